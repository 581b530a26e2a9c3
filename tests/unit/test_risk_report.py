"""The record of a run read back, and the page that is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from encmempool.errors import Malformed
from encmempool.report import html, markdown
from encmempool.risk import results
from encmempool.risk.assumptions import REPLAYED, Inputs, read_extraction
from encmempool.risk.designs import ALL
from encmempool.risk.incidents import reported
from encmempool.risk.report import build

STUDY = Path(__file__).parents[2] / "benchmarks" / "studies" / "front-running"


@pytest.fixture(scope="module")
def made() -> results.Run:
    return results.run(Inputs.of(), reported(), REPLAYED, ALL, years=2_000, seed=1, command="encmempool risk run")


@pytest.fixture
def record(made: results.Run, tmp_path: Path) -> Path:
    file = tmp_path / "risk.json"
    file.write_bytes(results.encode(made))
    return file


def changed(record: Path, change: Any) -> Path:
    document = json.loads(record.read_text())
    change(document)
    record.write_text(json.dumps(document))
    return record


# --- the record ------------------------------------------------------------------------------------------------------


def test_record_is_read_back_as_it_was_rsk_16(made: results.Run, record: Path) -> None:
    """RSK-16."""
    assert results.load(record) == made
    assert all(each.source for each in made.assumptions)


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        (lambda d: d.pop("designs"), "designs is not there"),
        (lambda d: d["designs"][0].pop("figures"), "designs[0].figures is not there"),
        (lambda d: d["designs"][0]["figures"]["expected"].update(mean="much"), "figures.expected.mean is not a finite"),
        (lambda d: d["designs"][0].update(operators=1.5), "designs[0].operators is not a whole number"),
        (lambda d: d["designs"][0].update(encrypted="no"), "designs[0].encrypted is not true or false"),
        (lambda d: d["designs"][0].update(bond_sequencer_usd="none"), "bond_sequencer_usd is not a finite number"),
        (lambda d: d.update(assumptions={}), "assumptions is not a list"),
        (lambda d: d.update(machine=[]), "machine is not an object"),
        (lambda d: d["machine"].update(cores=[]), "machine.cores is not text or a number"),
        (lambda d: d.update(command=3), "command is not text"),
        (lambda d: d.update(schema="encmempool.measure/1"), "'encmempool.risk-run/1' is expected"),
        (lambda d: d.pop("schema"), "without a schema"),
    ],
)
def test_record_that_lacks_something_is_refused_by_name(record: Path, change: Any, needle: str) -> None:
    with pytest.raises(Malformed) as caught:
        results.load(changed(record, change))
    assert needle in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"schema": NaN}', "\ufeff"])
def test_file_that_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "risk.json").write_text(text)
    with pytest.raises(Malformed, match=r"risk\.json"):
        results.load(tmp_path / "risk.json")


# --- what ordering is worth ------------------------------------------------------------------------------------------


def test_extraction_comes_from_the_experiments_result_rsk_12() -> None:
    """RSK-12."""
    drawn = read_extraction(STUDY / "results.json")
    assert round(drawn.plaintext_bps, 1) == 545.7
    assert round(drawn.encrypted_bps, 2) == REPLAYED.encrypted_bps == 0.12
    assert drawn.loss_per_gain == pytest.approx(638.04 / 545.69, rel=1e-3)
    assert "4,000 blocks" in drawn.source
    assert "quantiles" in drawn.source


def test_default_extraction_is_the_replay_of_real_blocks_rsk_12() -> None:
    """RSK-12."""
    replayed = read_extraction(STUDY / "replay.json")
    assert (REPLAYED.plaintext_bps, REPLAYED.plaintext_low, REPLAYED.plaintext_high) == (
        round(replayed.plaintext_bps, 2),
        round(replayed.plaintext_low, 2),
        round(replayed.plaintext_high, 2),
    )
    assert pytest.approx(replayed.loss_per_gain, abs=0.005) == REPLAYED.loss_per_gain


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        (lambda d: d["arms"].pop("C1"), "lacks a figure of plaintext"),
        (lambda d: d.update(equivalence=None), "no bound for ciphertexts"),
        (lambda d: d["arms"]["C1"]["extracted_bps"].update(low=-1.0), "nothing was extracted for certain"),
        (lambda d: d["arms"]["C1"]["extracted_bps"].update(mean="x"), "lacks a figure"),
        (lambda d: d.update(schema="x"), "'encmempool.measure/1' is expected"),
    ],
)
def test_result_without_what_is_needed_is_refused(tmp_path: Path, change: Any, needle: str) -> None:
    (tmp_path / "run.json").write_text((STUDY / "results.json").read_text())
    with pytest.raises(Malformed) as caught:
        read_extraction(changed(tmp_path / "run.json", change))
    assert needle in str(caught.value)


# --- the page --------------------------------------------------------------------------------------------------------


def test_page_says_what_bounds_it_rsk_1_rsk_22(made: results.Run) -> None:
    """RSK-1, RSK-22."""
    text = markdown(build(made))
    assert "lower bound" in text
    assert "chance 0.45" in text
    assert "pool unsigned shares" in text
    assert "no bond deters" in text


def test_page_has_every_design_assumption_and_the_command(made: results.Run) -> None:
    text = markdown(build(made)).replace("\\", "")
    for name in (*(each.name.replace("+", ", ") for each in ALL), *(each.name for each in made.assumptions)):
        assert name in text
    assert "encmempool risk run" in text
    for each in made.designs:
        if each.swings:
            assert f"## Sensitivities: {each.name.replace('+', ', ')}" in text


def test_page_is_one_file_and_the_same_for_the_same_record(made: results.Run) -> None:
    page = html(build(made))
    assert page == html(build(made))
    assert page.count("<svg") == 2 * page.count("<figure ")
    assert page.count("<figure ") >= 4
    assert "<script" not in page


def test_page_of_one_design_compares_nothing(made: results.Run) -> None:
    one = results.run(Inputs.of(), reported(), REPLAYED, ALL[:1], years=1_000, seed=1, command="")
    text = markdown(build(one))
    assert "cheapest" not in text
    assert "One sequencer for many" not in text
    assert "Sensitivities: centralised" in text


def test_page_says_where_no_bond_suffices_rsk_22() -> None:
    """RSK-22."""
    made = results.run(Inputs.of(attribution=0.0), reported(), REPLAYED, ALL[:4], years=1_000, seed=1, command="")
    text = markdown(build(made))
    assert "none suffices" in text
    assert "only insurance pays" in text
