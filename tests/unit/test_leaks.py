"""The leak score: what padding and the gas ladder hide, which of the two hides what, and that the score would notice.

The fast tests draw keys and ciphertexts from fixed streams, so that a failure repeats. The contract of 4,000
transactions is tested on fresh randomness, as the score is meant to be used.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import sqrt
from random import Random as Simulation
from statistics import NormalDist
from typing import Any

import pytest

from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.ethereum import decode_signed, gas_ladder
from encmempool.execution import router
from encmempool.execution.ledger import Entry, Ledger
from encmempool.genesis import ledger_of
from encmempool.keysets import Committee
from encmempool.measure import leaks
from encmempool.measure.leaks import COVERAGE, LABELS, MARKET, MODELS, Trade, auc_interval, draw_trades, features, seal
from encmempool.transactions import check_payload, unpad
from encmempool.types import Allocation, EncryptedTransaction
from threshold import entropy
from threshold.entropy import deterministic

SEED = 7
TRANSACTIONS = 600
TOLD = 0.9
Score = dict[str, dict[str, dict[str, float]]]


@pytest.fixture(scope="module")
def trades() -> tuple[Trade, ...]:
    return draw_trades(SEED, TRANSACTIONS)


@pytest.fixture(scope="module")
def committee() -> Committee:
    return leaks.dealt_committee("tdh2", random=deterministic(b"leaks: key"))


@pytest.fixture(scope="module")
def scored(trades: tuple[Trade, ...]) -> Callable[..., Score]:
    """The score of one world, by scheme and switches."""

    def score(
        scheme: str = "tdh2",
        *,
        padding: bool = True,
        ladder: bool = True,
        leading_bytes: int = leaks.LEADING_BYTES,
        of: Sequence[Trade] = trades,
    ) -> Score:
        random = deterministic(b"leaks: world")
        made = leaks.dealt_committee(scheme, random=random)
        envelopes = [seal(trade, made, padding=padding, ladder=ladder, random=random).encoded for trade in of]
        rows = [features(e, t.arrival, leading_bytes=leading_bytes) for e, t in zip(envelopes, of, strict=True)]
        return leaks.score(of, rows)

    return score


def hidden(score: Score, *labels: str) -> bool:
    return all(f["low"] <= 0.5 <= f["high"] for label in labels for f in score[label].values())


def told(score: Score, *labels: str) -> bool:
    return all(figure["auc"] > TOLD for label in labels for figure in score[label].values())


# --- the two worlds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["tdh2", "ibe"])
def test_score_finds_nothing_with_padding_and_ladder_and_everything_without(scheme):
    said: list[str] = []
    result = leaks.leak_score(
        seed=SEED,
        transactions=TRANSACTIONS,
        scheme=scheme,
        random=deterministic(b"leaks: " + scheme.encode()),
        progress=said.append,
    )
    assert set(result) == {"transactions", "models", "on", "off"}
    assert (result["transactions"], result["models"]) == (TRANSACTIONS, list(MODELS))
    for world in ("on", "off"):
        assert {label: set(models) for label, models in result[world].items()} == {key: set(MODELS) for key in LABELS}
    assert hidden(result["on"], *LABELS), result["on"]
    assert told(result["off"], *LABELS), result["off"]
    assert not hidden(result["off"], *LABELS)
    assert len(said) == 5


@pytest.mark.slow
def test_score_keeps_its_contract_at_four_thousand_transactions():
    """`on`: every interval contains 0.5. The six hold together with 97.5 %, so one run in forty misses by chance: a
    miss is tried again on another market, and fails where the same figure misses twice (1 in 10,000)."""
    missed = None
    for seed in (SEED, SEED + 1):
        result = leaks.leak_score(seed=seed, transactions=4000)
        assert told(result["off"], *LABELS), result["off"]
        figures = {(label, model): result["on"][label][model] for label in LABELS for model in MODELS}
        # Intervals wide enough to contain anything would prove nothing.
        assert all(f["high"] - f["low"] < 0.1 for f in figures.values()), figures
        now = {key for key, f in figures.items() if not f["low"] <= 0.5 <= f["high"]}
        missed = now if missed is None else missed & now
        if not missed:
            return
    pytest.fail(f"told apart in two markets: {missed}")


# --- what hides what -------------------------------------------------------------------------------------------------


def test_length_tells_direction_and_size_but_no_pool_without_padding(scored):
    score = scored(padding=False)
    assert told(score, "direction")
    assert all(figure["low"] > 0.6 for figure in score["size"].values()), score["size"]
    assert hidden(score, "pool"), score["pool"]


def test_gas_limit_tells_pool_direction_and_size_without_the_ladder(scored):
    score = scored(ladder=False)
    assert told(score, "pool", "direction")
    assert all(figure["low"] > 0.6 for figure in score["size"].values()), score["size"]


def test_ladder_tells_tokens_of_different_rungs_apart(scored, trades):
    """A limit of the ladder, and why the score's two tokens lie on one rung."""

    def cheaper(trade: Trade) -> Trade:
        gas = trade.listed.execution_gas - 6_000 * (1 - trade.order.pool)
        return replace(trade, listed=replace(trade.listed, execution_gas=gas))

    moved = [cheaper(trade) for trade in trades]
    assert {gas_ladder(trade.gas_limit) for trade in moved} == {84_000, 168_000}
    score = scored(of=moved)
    assert told(score, "pool")
    assert hidden(score, "direction", "size"), score


def test_bytes_of_the_scheme_that_hides_nothing_tell_everything(scored):
    score = scored("clear", leading_bytes=400)
    assert told(score, "pool", "direction")
    assert score["size"]["gradient boosting"]["auc"] > TOLD
    # What tdh2 makes of the same plaintexts, looked at as closely.
    assert hidden(scored(leading_bytes=500), *LABELS)


def test_scheme_that_hides_nothing_is_noticed_by_its_leading_bytes(scored):
    assert told(scored("clear"), "direction")  # the payload's length stands in front of it


def test_models_notice_a_field_that_follows_the_direction(scored, trades):
    """Tips independent of the trade are an assumption: here they are not."""
    tips = (10**9, 11 * 10**8)
    tipped = [replace(t, order=replace(t.order, tip_wei=tips[t.order.buys] + t.nonce)) for t in trades]
    score = scored(of=tipped)
    assert told(score, "direction")
    assert hidden(score, "pool", "size"), score


def test_models_notice_the_high_bit_of_a_ciphertext_byte_that_follows_the_direction(trades, committee):
    random, rows = deterministic(b"leaks: bit"), []
    for trade in trades:
        envelope = seal(trade, committee, padding=True, ladder=True, random=random)
        ciphertext = bytearray(envelope.ciphertext)
        ciphertext[5] = ciphertext[5] & 0x7F | trade.order.buys << 7
        rows.append(features(replace(envelope, ciphertext=bytes(ciphertext)).encoded, trade.arrival))
    score = leaks.score(trades, rows)
    assert told(score, "direction")
    assert hidden(score, "pool", "size"), score


# --- the envelopes ---------------------------------------------------------------------------------------------------


def test_envelopes_are_what_the_network_takes_only_with_both_switches_on(trades, committee):
    random = deterministic(b"leaks: envelopes")
    for padding, ladder, rule in ((True, True, None), (False, True, "TXN-6"), (True, False, "TXN-3")):
        envelope = seal(trades[0], committee, padding=padding, ladder=ladder, random=random)
        committee.verify_ciphertext(envelope)
        if rule is None:
            committee.terms.check(envelope, height=1)
            continue
        with pytest.raises(Rejected) as refused:
            committee.terms.check(envelope, height=1)
        assert refused.value.rule == rule


def test_worlds_differ_in_nothing_but_padding_and_gas_limit(trades):
    made = leaks.dealt_committee("clear", random=deterministic(b"leaks: key"))
    sizes = made.genesis.size_classes
    for trade in trades[:50]:
        on, off = (
            seal(trade, made, padding=hide, ladder=hide, random=deterministic(b"leaks: one")) for hide in (True, False)
        )
        assert unpad(on.ciphertext, sizes) == off.ciphertext == trade.payload
        assert replace(on.header, gas_limit=trade.gas_limit) == off.header
        assert on.header.gas_limit == gas_ladder(trade.gas_limit)
        assert off.header.gas_limit == decode_signed(trade.payload).gas_limit
        check_payload(trade.payload, on.header, made.genesis.chain_id)


def test_payloads_are_router_swaps_that_the_ledger_executes(trades, committee):
    for trade in trades[:60]:
        inner = decode_signed(trade.payload)
        swap = router.decode(inner.data, inner.value)
        assert swap == trade.swap
        assert MARKET[trade.order.pool].token.address in swap.path
        ledger = _funded(committee, trade)
        _spend_nonces(ledger, trade)
        entry = _entry(trade)
        (receipt,) = ledger.execute(ledger.height + 1, 0, [entry])
        assert receipt.success, receipt.reason


def _entry(trade: Trade) -> Entry:
    inner = decode_signed(trade.payload)
    return Entry(
        sender=inner.sender,
        nonce=trade.nonce,
        gas_limit=gas_ladder(trade.gas_limit),
        max_fee_per_gas=inner.max_fee_per_gas,
        max_priority_fee_per_gas=inner.max_priority_fee_per_gas,
        payload=inner,
    )


def _funded(committee: Committee, trade: Trade) -> Ledger:
    rich = Allocation(address=trade.sender.address, balance=10**26, tokens=(10**30, 10**30))
    return ledger_of(replace(committee.genesis, accounts=(rich,)))


def _spend_nonces(ledger: Ledger, trade: Trade) -> None:
    """A user's earlier transactions, all of which failed for nothing."""
    empty = replace(_entry(trade), max_fee_per_gas=0, max_priority_fee_per_gas=0)
    ledger.execute(1, 0, [replace(empty, nonce=nonce) for nonce in range(trade.nonce)])


def test_encryption_is_fresh_while_the_market_is_the_seeds(committee):
    trade, again = draw_trades(SEED, 200)[3], draw_trades(SEED, 200)[3]
    assert trade.payload == again.payload
    envelopes = [seal(t, committee, padding=True, ladder=True, random=entropy.system) for t in (trade, again)]
    assert envelopes[0].header == envelopes[1].header
    assert envelopes[0].ciphertext != envelopes[1].ciphertext
    assert leaks.leak_score.__kwdefaults__["random"] is entropy.system


def test_market_is_another_one_for_another_seed(trades):
    other = draw_trades(SEED + 1, TRANSACTIONS)
    assert not {t.sender.address for t in trades} & {t.sender.address for t in other}


def test_users_are_seen_once_and_labels_are_even(trades):
    assert len({trade.sender.address for trade in trades}) == TRANSACTIONS
    for which, label in enumerate(LABELS):
        share = sum(trade.labels[which] for trade in trades) / TRANSACTIONS
        assert 0.42 < share < 0.58, label


def test_a_market_too_small_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="at least 200"):
        draw_trades(SEED, 199)


def test_score_learns_and_tests_on_different_blocks(trades, monkeypatch):
    seen: list[tuple[set[Any], set[Any]]] = []

    def guess(model: str, rows: Any, truth: Any, unseen: Any) -> list[float]:
        seen.append(({row[0] for row in rows}, {row[0] for row in unseen}))
        return [float(row[0]) for row in unseen]

    monkeypatch.setattr(leaks, "_guess", guess)
    leaks.score(trades, [(trade.block,) for trade in trades])
    assert len(seen) == len(LABELS) * len(MODELS)
    for learnt, tested in seen:
        assert not learnt & tested
        assert learnt | tested == {trade.block for trade in trades}


# --- features --------------------------------------------------------------------------------------------------------


def test_features_are_every_public_field(trades, committee):
    envelope = seal(trades[0], committee, padding=True, ladder=True, random=deterministic(b"leaks: one"))
    plain = features(envelope.encoded, 3)
    assert len(plain) == 12 + 20 + leaks.LEADING_BYTES

    def told_by(**changes: Any) -> bool:
        changed = replace(envelope, header=replace(envelope.header, **changes))
        return features(changed.encoded, 3) != plain

    header = envelope.header
    for name in ("version", "scheme", "nonce", "gas_limit", "max_fee_per_gas", "max_priority_fee_per_gas"):
        assert told_by(**{name: getattr(header, name) + 1}), name
    for name in ("target_height", "valid_until"):
        assert told_by(**{name: getattr(header, name) + 1}), name
    assert told_by(sender=bytes(20))
    assert features(envelope.encoded, 4) != plain
    for ciphertext in (envelope.ciphertext + b"\0", b"\xff" + envelope.ciphertext[1:], envelope.ciphertext[:5]):
        assert features(replace(envelope, ciphertext=ciphertext).encoded, 3) != plain


def test_features_of_half_an_envelope_are_malformed(trades, committee):
    envelope = seal(trades[0], committee, padding=True, ladder=True, random=deterministic(b"leaks: one"))
    assert EncryptedTransaction.decode(envelope.encoded) == envelope
    with pytest.raises(Malformed):
        features(envelope.encoded[:150], 0)


def test_features_take_off_what_public_fields_add_to_length_and_gas(trades, committee):
    """Of two swaps alike in all but nonce, tip and sender, the first two features are the same."""
    first = next(trade for trade in trades if 0 not in trade.sender.address)
    other = next(trade for trade in trades if 0 in trade.sender.address)
    twin = replace(first, nonce=0 if first.nonce else 1, sender=other.sender)
    twin = replace(twin, order=replace(twin.order, tip_wei=3))
    rows = []
    for trade in (first, twin):
        assert trade.gas_limit > 0
        envelope = seal(trade, committee, padding=False, ladder=False, random=deterministic(b"leaks: one"))
        rows.append(features(envelope.encoded, 0))
    assert rows[0][1] == rows[1][1]
    assert rows[0][3] != rows[1][3]
    assert abs(rows[0][0] - rows[1][0]) <= 2  # r and s lose a byte now and then
    assert abs(rows[0][2] - rows[1][2]) > 2


# --- the interval ----------------------------------------------------------------------------------------------------


def _sample(seed: int, size: int) -> tuple[list[float], list[bool]]:
    simulation = Simulation(seed)
    truth = [simulation.random() < 0.4 for _ in range(size)]
    return [round(simulation.gauss(0.8 * is_true, 1.0), 1) for is_true in truth], truth


def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_by_half():
    guesses, truth = _sample(1, 80)
    pairs = [
        (g > h) + (g == h) / 2
        for g, one in zip(guesses, truth, strict=True)
        for h, other in zip(guesses, truth, strict=True)
        if one and not other
    ]
    assert auc_interval(guesses, truth)["auc"] == pytest.approx(sum(pairs) / len(pairs))


def test_interval_is_delongs():
    guesses, truth = _sample(2, 120)
    positives = [g for g, one in zip(guesses, truth, strict=True) if one]
    negatives = [g for g, one in zip(guesses, truth, strict=True) if not one]
    above = [sum((p > n) + (p == n) / 2 for n in negatives) / len(negatives) for p in positives]
    below = [sum((p > n) + (p == n) / 2 for p in positives) / len(positives) for n in negatives]
    auc = sum(above) / len(above)
    variance = sum(
        sum((value - auc) ** 2 for value in values) / (len(values) - 1) / len(values) for values in (above, below)
    )
    found = auc_interval(guesses, truth, coverage=0.975)
    assert found["auc"] == pytest.approx(auc)
    assert found["high"] - auc == pytest.approx(2.241402727604947 * sqrt(variance))
    assert auc - found["low"] == pytest.approx(2.241402727604947 * sqrt(variance))


def test_six_intervals_share_the_chance_of_missing():
    assert pytest.approx(1 - 0.025 / 6) == COVERAGE


def test_interval_covers_as_often_as_it_says():
    """300 times 200 guesses that know nothing, and 200 that know something; seed 4."""
    simulation = Simulation(4)
    for shift, auc in ((0.0, 0.5), (1.0, NormalDist().cdf(sqrt(0.5)))):
        missed = 0
        for _ in range(300):
            truth = [simulation.random() < 0.5 for _ in range(200)]
            found = auc_interval([simulation.gauss(shift * one, 1) for one in truth], truth, coverage=0.9)
            missed += not found["low"] <= auc <= found["high"]
        assert 15 <= missed <= 50  # 30 are expected


def test_interval_of_one_class_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        auc_interval([0.1, 0.2, 0.3], [True, True, True])


def test_score_without_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'encmempool\[measure\]'"):
        leaks.leak_score(seed=SEED, transactions=TRANSACTIONS)
