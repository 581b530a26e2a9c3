"""`bench pipeline`: several batches, overlapped, and what of it is cryptography."""

from __future__ import annotations

import pytest

from encmempool.bench import pipeline as job
from threshold.curve import threads


@pytest.fixture
def run(invoked):
    """Commands that need no home."""
    return lambda *arguments: invoked(None, "bench", "pipeline", *arguments)


def test_pipeline_of_several_batches_prints_the_overlapped_rate(run, fits_schema) -> None:
    shown = run("--batch", "2", "--transactions", "5")
    assert shown.code == 0, shown
    assert "with each batch prepared while the one before is opened" in shown.out
    document = run("--batch", "2", "--transactions", "5", "--json").json
    fits_schema(document)
    assert document["transactions"] == 5
    assert document["outcomes"] == {"executed": 5}
    assert "crypto_share" not in document


def test_pipeline_profile_prints_what_is_cryptography(run, fits_schema) -> None:
    shown = run("--batch", "2", "--profile")
    assert shown.code == 0, shown
    words = " ".join(shown.out.split())
    assert "% of the time is cryptography; the rest, µs per transaction:" in words
    assert "database" in words
    document = run("--batch", "2", "--transactions", "4", "--profile", "--json").json
    fits_schema(document)
    assert 0 < document["crypto_share"] < 1
    assert "transactions_per_second_overlapped" not in document


@pytest.mark.parametrize(
    ("options", "used"), [([], None), (["--profile"], 1), (["--threads", "2"], 2), (["--profile", "--threads", "2"], 2)]
)
def test_pipeline_profile_takes_one_thread_unless_told_otherwise(run, monkeypatch, options, used) -> None:
    before, seen, measure = threads(), [], job.run
    monkeypatch.setattr(job, "run", lambda **fields: seen.append(threads()) or measure(**fields))
    assert run("--scheme", "clear", "--batch", "1", *options).code == 0
    assert seen == [used or before]
    assert threads() == before


@pytest.mark.parametrize("number", ["0", "65537"])
def test_pipeline_refuses_an_impossible_number_of_transactions(run, number) -> None:
    refused = run("--transactions", number)
    assert refused.code == 2
    assert "--transactions" in refused.err
