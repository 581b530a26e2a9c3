"""The demo and the pipeline benchmark run for real and say what they measured."""

from __future__ import annotations

from threading import Event, current_thread, main_thread

import pytest

from encmempool import ethereum
from encmempool.bench import pipeline
from encmempool.identity import Identity
from encmempool.measure import demo
from encmempool.reveal import Follower
from encmempool.store import DatabaseStore
from threshold.schemes import simple_bte
from threshold.schemes.registry import ENCRYPTED_SCHEMES, load_scheme


@pytest.fixture(scope="module")
def result() -> dict[str, object]:
    return demo.run(transactions=24, seed=7)


def test_demo_reports_extraction_in_plaintext_and_none_when_encrypted(result):
    assert result["plaintext"]["extracted_bps"] > 10
    assert result["plaintext"]["victim_loss_bps"] > result["encrypted"]["victim_loss_bps"]
    assert result["encrypted"]["strategy"] == "abstain"
    assert result["encrypted"]["extracted_bps"] == 0
    assert result["encrypted"]["extracted_bps_not_abstaining"] < 1
    assert result["audit"] == "ok"


def test_demo_gives_the_same_figures_for_the_same_seed(result):
    again = demo.run(transactions=24, seed=7)
    assert again["plaintext"] == result["plaintext"]
    assert again["encrypted"] == result["encrypted"]
    other = demo.run(transactions=24, seed=8)
    assert other["plaintext"] != result["plaintext"]


def test_demo_measures_every_stage(result):
    assert tuple(result["stages_ms"]) == demo.STAGES
    assert all(ms > 0 for ms in result["stages_ms"].values())
    assert result["bytes"]["ciphertext_overhead"] == 160
    assert result["bytes"]["share"] == 24 * 48 + 48


@pytest.mark.parametrize("scheme", ENCRYPTED_SCHEMES)
def test_demo_runs_with_every_scheme_and_tries_to_open_what_was_left_out(scheme):
    """MSR-13's attacker gets nothing more with any of them; what an epoch key opens besides is said."""
    result = demo.run(transactions=6, scheme=scheme, seed=7)
    assert result["audit"] == "ok"
    assert result["encrypted"]["extracted_bps"] == 0
    assert result["bytes"]["share"] == load_scheme(scheme).info.share_bytes(6)
    assert result["left_out_opens"] is (not load_scheme(scheme).info.pending_privacy)


def test_demo_without_encryption_still_runs_the_whole_pipeline():
    result = demo.run(transactions=12, scheme="clear", seed=3)
    assert result["audit"] == "ok"
    assert result["bytes"]["ciphertext_overhead"] == 0


def test_demo_returns_to_the_plaintext_figures_when_the_scheme_hides_nothing():
    """The negative control: the attacker reads what the sequencer recorded."""
    result = demo.run(transactions=12, scheme="clear", seed=3)
    assert result["plaintext"]["extracted_bps"] > 1
    for figure in ("extracted_bps", "victim_loss_bps", "failed_volume"):
        assert result["encrypted"][figure] == result["plaintext"][figure]


@pytest.mark.parametrize("transactions", [0, -1, 4_097])
def test_demo_is_refused_for_an_impossible_size(transactions):
    with pytest.raises(ValueError, match="transactions"):
        demo.run(transactions=transactions)


def test_demo_is_refused_for_a_threshold_that_lets_two_orders_win():
    with pytest.raises(ValueError, match="reduced-threshold"):
        demo.run(transactions=2, members=4, threshold=2)


def test_pipeline_opens_and_executes_its_whole_batch():
    result = pipeline.run(batch=16)
    assert result["outcomes"] == {"executed": 16}
    assert result["transactions_per_second"] > 0
    critical = sum(result["stages_ms"][name] for name in pipeline.CRITICAL_PATH)
    assert result["commitment_to_reveal_ms"] == pytest.approx(critical, abs=0.1)


@pytest.mark.parametrize("scheme", ["clear", *ENCRYPTED_SCHEMES])
def test_pipeline_opens_batch_after_batch_in_turn_and_overlapped(scheme):
    """The last one is smaller. Overlapped the batches come to the same end, or the run fails."""
    result = pipeline.run(scheme=scheme, batch=4, transactions=10)
    assert result["outcomes"] == {"executed": 10}
    assert result["transactions"] == 10
    assert result["transactions_per_second_overlapped"] > 0
    assert result["per_transaction_ms"]["execute"] == pytest.approx(result["stages_ms"]["execute"] / 10, abs=1e-3)


def test_pipeline_of_one_batch_is_not_overlapped_with_anything():
    assert "transactions_per_second_overlapped" not in pipeline.run(scheme="clear", batch=2)


def test_pipeline_prepares_the_next_batch_while_one_is_opened(monkeypatch):
    """Each waits here until the other has begun, which one after the other they never would."""
    opening, preparing_next, order = [Event() for _ in range(4)], [Event() for _ in range(4)], []
    advance, precompute, run = Follower.advance, Follower.precompute, pipeline._Node.open_overlapped

    def advancing(self):
        height = self.latest.height + 1
        opening[height].set()
        assert height == 3 or preparing_next[height].wait(timeout=30)
        return advance(self)

    def preparing(self, height):
        preparing_next[height - 1].set()
        assert height == 1 or opening[height - 1].wait(timeout=30)
        order.append((height, current_thread() is main_thread()))
        precompute(self, height)

    def open_overlapped(self, batches):
        monkeypatch.setattr(Follower, "advance", advancing)
        monkeypatch.setattr(Follower, "precompute", preparing)
        return run(self, batches)

    monkeypatch.setattr(pipeline._Node, "open_overlapped", open_overlapped)
    pipeline.run(scheme="simple-bte", batch=2, transactions=6)
    assert order == [(1, False), (2, False), (3, False)]


def test_pipeline_profile_tells_cryptography_from_the_rest():
    result = pipeline.run(scheme="simple-bte", batch=16, profile=True)
    crypto, rest = result["crypto_ms"], result["rest_ms"]
    assert set(crypto) == {"group", "aead", "signatures"}
    assert set(rest) == {"database", *pipeline.CRITICAL_PATH}
    assert all(ms > 0 for ms in (*crypto.values(), rest["database"], rest["execute"]))
    assert all(ms >= 0 for ms in rest.values())
    assert sum((*crypto.values(), *rest.values())) == pytest.approx(result["commitment_to_reveal_ms"], abs=0.1)
    assert result["crypto_share"] == pytest.approx(sum(crypto.values()) / result["commitment_to_reveal_ms"], abs=1e-3)


def test_pipeline_profile_leaves_no_timer_behind():
    before = [Identity.sign, DatabaseStore.put, simple_bte.unseal, ethereum.recover_public_key]
    pipeline.run(scheme="simple-bte", batch=2, profile=True)
    assert [Identity.sign, DatabaseStore.put, simple_bte.unseal, ethereum.recover_public_key] == before


@pytest.mark.parametrize("transactions", [0, pipeline.MAX_TRANSACTIONS + 1])
def test_pipeline_is_refused_for_an_impossible_number_of_transactions(transactions):
    with pytest.raises(ValueError, match="transactions"):
        pipeline.run(batch=2, transactions=transactions)


@pytest.mark.slow
def test_pipeline_opens_a_batch_of_2048():
    assert pipeline.run(batch=2048)["outcomes"] == {"executed": 2048}
