"""Known answers that need no experiment (research, measurement, section 6.5): models against theory and real blocks."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from math import sqrt
from pathlib import Path
from random import Random

import pytest

from encmempool.execution.pools import Reverted, amount_out
from encmempool.measure.attacker import BlindBracket, arrange
from encmempool.measure.detector import Sandwich, sandwiches
from encmempool.measure.formulas import (
    blind_margin,
    blind_threshold,
    fee_free_profit,
    required_accuracy,
    spam_success,
    two_pool_optimum,
    two_pool_trade,
)
from encmempool.measure.market import ATTACKER, Call, Fill, Order, Reserves, play
from encmempool.measure.sandwich import Victim, profitability_threshold, round_trip_loss, run

ETHER = 10**18
POOL = Reserves(ether=10_000 * ETHER, token=30_000_000 * ETHER)


def attacker_gain(fills: Iterable[Fill]) -> int:
    """Wei of the attacker who ends without tokens, before gas."""
    mine = [fill for fill in fills if fill.order.sender == ATTACKER]
    return sum(-fill.order.amount_in if fill.order.buys else fill.amount_out for fill in mine)


def bracket(pool: Reserves, user: Order | None, *, buys: bool, share: Fraction) -> Fraction:
    """What a bracket around one user gains per unit staked, in the currency that it stakes."""
    side_in, side_out = (pool.ether, pool.token) if buys else (pool.token, pool.ether)
    staked = int(side_in * share)
    front = Order(sender=ATTACKER, buys=buys, amount_in=staked, minimum_out=0)
    back = Order(sender=ATTACKER, buys=not buys, amount_in=amount_out(side_in, side_out, staked), minimum_out=0)
    block = (front, back) if user is None else (front, user, back)
    return Fraction(play((pool,), block)[-1].amount_out - staked, staked)


def trader(size: float, *, buys: bool) -> Order:
    reserve = POOL.ether if buys else POOL.token
    return Order(sender=0, buys=buys, amount_in=int(reserve * size), minimum_out=0)


def test_a3_profit_in_a_pool_without_fee_is_the_closed_form() -> None:
    x, y, v = POOL.ether, POOL.token, 100 * ETHER
    for tolerance in (Fraction(1, 1000), Fraction(1, 200), Fraction(1, 20)):
        minimum = (1 - tolerance) * Fraction(v * y, x + v)

        def victim_out(front: int) -> int:
            return v * (y - front * y // (x + front)) // (x + front + v)

        low, high = 0, x
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if victim_out(middle) >= minimum else (low, middle)
        bought = low * y // (x + low)
        x2, y2 = x + low + v, y - bought - victim_out(low)
        gain = bought * x2 // (y2 + bought) - low
        assert gain == pytest.approx(fee_free_profit(x, v, float(tolerance)), rel=1e-14)


def test_a4_no_front_run_profits_from_a_victim_below_the_threshold() -> None:
    seed = 4
    random = Random(seed)
    for _ in range(100):
        x, y = int(10 ** random.uniform(20, 23)), int(10 ** random.uniform(20, 27))
        for margin, pays in ((-1e-6, False), (1e-3, True)):
            victim = Victim(amount=int(x * (profitability_threshold() + margin)), bound=0)
            plans = [run(x, y, victim, int(x * 10 ** (step / 4))) for step in range(-28, 9)]
            assert any(plan is not None and plan.profit > 0 for plan in plans) is pays, f"seed {seed}: {x} {y}"


@pytest.mark.parametrize("size_ppm", [100, 1_000, 10_000, 100_000])
def test_a5_a_blind_bracket_in_an_empty_block_loses_the_round_trip(size_ppm: int) -> None:
    placements = BlindBracket(size_ppm=size_ppm).plan((), (POOL,), Random(0))
    block = arrange((), placements)
    gain = attacker_gain(play((POOL,), block))
    assert -gain == pytest.approx(round_trip_loss(POOL.ether, POOL.ether * size_ppm // 10**6), rel=1e-13)


def test_a6_a_blind_bracket_turns_profitable_at_the_blind_threshold() -> None:
    assert blind_threshold() * 100 == pytest.approx(5.6486, abs=5e-5)
    share = Fraction(1, 10**9)
    for size in (blind_threshold() - 1e-5, blind_threshold() + 1e-5, 0.01, 0.1):
        gains = [bracket(POOL, trader(size, buys=user_buys), buys=True, share=share) for user_buys in (True, False)]
        expected = float(sum(gains) / 2)
        assert expected == pytest.approx(blind_margin(size), abs=2e-8)
        assert (expected > 0) is (size > blind_threshold())


@pytest.mark.parametrize(("size", "accuracy"), [(0.004, 0.876), (0.01, 0.647), (0.03, 0.536)])
def test_a7_a_guess_of_the_direction_pays_above_the_required_accuracy(size: float, accuracy: float) -> None:
    assert required_accuracy(size) == pytest.approx(accuracy, abs=5e-4)
    gain = {
        (user_buys, buys): float(bracket(POOL, trader(size, buys=user_buys), buys=buys, share=Fraction(1, 10**8)))
        for user_buys in (True, False)
        for buys in (True, False)
    }
    seed = 7
    random = Random(seed)
    for margin in (-0.03, 0.03):
        total = 0.0
        for _ in range(20_000):
            user_buys, right = random.random() < 0.5, random.random() < required_accuracy(size) + margin
            total += gain[user_buys, user_buys is right]
        assert (total > 0) is (margin > 0), f"seed {seed}"


def victim_executed(fills: Sequence[Fill]) -> bool:
    return any(fill.executed and fill.order.sender != ATTACKER for fill in fills)


def own_legs(fills: Sequence[Fill]) -> list[Fill]:
    return [fill for fill in fills if fill.executed and fill.order.sender == ATTACKER]


def front_run(pools: Sequence[Reserves], fills: Sequence[Fill]) -> Order | None:
    """Buys once, as long as the victim has not."""
    if own_legs(fills) or victim_executed(fills):
        return None
    return Order(sender=ATTACKER, buys=True, amount_in=10 * ETHER, minimum_out=0)


def back_run(pools: Sequence[Reserves], fills: Sequence[Fill]) -> Order | None:
    """Sells once what was bought, when the victim has."""
    legs = own_legs(fills)
    if len(legs) != 1 or not victim_executed(fills):
        return None
    return Order(sender=ATTACKER, buys=False, amount_in=legs[0].amount_out, minimum_out=0)


def spam_succeeds(block: Sequence[Order | Call]) -> bool:
    fills = play((POOL,), block)
    legs = own_legs(fills)
    return len(legs) == 2 and attacker_gain(legs) > 0


SPAMMED = trader(0.01, buys=True)


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_a8_spam_succeeds_in_exactly_the_share_of_orders_that_the_formula_gives(copies: int) -> None:
    block = [SPAMMED] + [Call(decide=front_run)] * copies + [Call(decide=back_run)] * copies
    outcomes = [spam_succeeds(order) for order in permutations(block)]
    assert sum(outcomes) / len(outcomes) == pytest.approx(spam_success(copies), abs=1e-12)


@pytest.mark.parametrize("copies", [10, 50])
def test_a8_spam_succeeds_as_often_in_random_orders_as_the_formula_says(copies: int) -> None:
    block = [SPAMMED] + [Call(decide=front_run)] * copies + [Call(decide=back_run)] * copies
    seed, rounds, successes = 8, 1500, 0
    random = Random(seed)
    for _ in range(rounds):
        random.shuffle(block)
        successes += spam_succeeds(block)
    expected = spam_success(copies)
    assert successes / rounds == pytest.approx(expected, abs=4 * sqrt(expected * (1 - expected) / rounds)), (
        f"seed {seed}"
    )


def two_pool_gain(bought: Reserves, sold: Reserves, paid: int) -> int:
    try:
        tokens = amount_out(bought.ether, bought.token, paid)
        return amount_out(sold.token, sold.ether, tokens) - paid
    except Reverted:
        return -paid


@pytest.mark.parametrize(("most_ether", "most_token"), [(500, 500), (2000, 40), (40, 2000)])
def test_a12_no_back_run_of_two_small_pools_beats_the_closed_form(most_ether: int, most_token: int) -> None:
    seed = 12
    random = Random(seed)
    found = 0
    for _ in range(150):
        bought, sold = (
            Reserves(ether=random.randint(10, most_ether), token=random.randint(10, most_token)) for _ in range(2)
        )
        best = max(two_pool_gain(bought, sold, paid) for paid in range(1, 10 * most_ether))
        _, real = two_pool_optimum((bought.ether, bought.token), (sold.ether, sold.token))
        assert best <= real
        trade = two_pool_trade(bought, sold)
        assert (trade.profit if trade else 0) in (max(best, 0), best - 1), f"seed {seed}: {bought} {sold} {best}"
        found += trade is not None
    assert found > 30


def test_a12_a_back_run_played_on_two_pools_earns_the_closed_form() -> None:
    pools = POOL, Reserves(ether=8_000 * ETHER, token=24_000_000 * ETHER)
    user = Order(sender=0, buys=False, amount_in=600_000 * ETHER, minimum_out=0)

    def back_run_user(now: Sequence[Reserves], fills: Sequence[Fill]) -> Order | None:
        trade = two_pool_trade(now[0], now[1])
        assert trade is not None
        if not own_legs(fills):
            return Order(sender=ATTACKER, buys=True, amount_in=trade.amount_in, minimum_out=trade.tokens)
        return None

    def sell_elsewhere(now: Sequence[Reserves], fills: Sequence[Fill]) -> Order | None:
        [bought] = own_legs(fills)
        return Order(sender=ATTACKER, buys=False, amount_in=bought.amount_out, minimum_out=0, pool=1)

    fills = play(pools, (user, Call(decide=back_run_user), Call(decide=sell_elsewhere)))
    after = replace(POOL, ether=POOL.ether - fills[0].amount_out, token=POOL.token + user.amount_in)
    trade = two_pool_trade(after, pools[1])
    assert trade is not None
    assert attacker_gain(fills) == trade.profit
    _, real = two_pool_optimum((after.ether, after.token), (pools[1].ether, pools[1].token))
    assert trade.profit == pytest.approx(real, rel=1e-12)
    assert trade.profit > ETHER


def real_block(path: Path, block: str) -> tuple[list[Reserves], list[Fill]]:
    """Swaps of a real block as fills. A pool's "ether" is what its first swap of the block pays in.

    Senders are transaction origins; fees and refused swaps are not in the data.
    """
    with path.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["block"] == block]
    rows.sort(key=lambda row: (int(row["tx_index"]), [int(step) for step in row["trace"].split(".")]))
    pools: list[Reserves] = []
    first_swaps: dict[str, tuple[int, str]] = {}
    senders: dict[str, int] = {}
    fills = []
    for row in rows:
        if row["pair"] not in first_swaps:
            first_swaps[row["pair"]] = len(pools), row["token_in"]
            pools.append(Reserves(ether=int(row["reserve_in"]), token=int(row["reserve_out"])))
        pool, ether = first_swaps[row["pair"]]
        order = Order(
            sender=senders.setdefault(row["origin"], len(senders)),
            buys=row["token_in"] == ether,
            amount_in=int(row["amount_in"]),
            minimum_out=0,
            pool=pool,
        )
        fills.append(Fill(order=order, executed=True, amount_out=int(row["amount_out"]), fee=0))
    return pools, fills


@pytest.mark.parametrize("by_sender", [True, False])
def test_a14_detector_finds_the_labelled_sandwich_of_block_12775690(data: Path, by_sender: bool) -> None:
    pools, fills = real_block(data / "real-v2-swaps" / "swaps.csv", "12775690")
    [sandwich] = sandwiches(pools, fills, by_sender=by_sender)
    assert sandwich == Sandwich(front=2, victims=(3, 4, 5, 6), back=7)
    assert fills[7].amount_out - fills[2].order.amount_in == 49_991_481_915_322_274


def test_a14_detector_finds_one_labelled_and_four_further_sandwiches_in_27_real_blocks(data: Path) -> None:
    path = data / "real-v2-swaps" / "swaps.csv"
    with path.open(newline="") as lines:
        blocks = sorted({row["block"] for row in csv.DictReader(lines)})
    found = [block for block in blocks for _ in sandwiches(*real_block(path, block), by_sender=True)]
    assert found == ["11935012", "12412732", "12775690", "12914944", "13666363"]


def test_a15_two_legs_of_twelve_real_sandwiches_predict_the_third(data: Path) -> None:
    """x = o (a + g v) / (v f / a - o) and y = f (x + g a) / (g a), from the front-run (a, f) and the victim (v, o)."""
    with (data / "real-sandwiches" / "weth_usdc_v2_sandwiches.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 12
    g = Fraction(997, 1000)
    for row in rows:
        a, f, v, o, sold, earned = (
            Fraction(row[leg]) for leg in ("front_in", "front_out", "victim_in", "victim_out", "back_in", "back_out")
        )
        x = o * (a + g * v) / (v * f / a - o)
        y = f * (x + g * a) / (g * a)
        x, y = x + a + v, y - f - o
        predicted = g * sold * x / (y + g * sold)
        assert float(predicted / earned) == pytest.approx(1, abs=1e-9), row["sandwich_id"]


def test_a17_published_totals_of_front_running_attacks_add_up() -> None:
    """Torres, Camino, State, "Frontrunner Jones" (USENIX Security 2021): 199,725 attacks, 18.41 million USD.

    Arithmetic on published figures only. That the attacks themselves sum to these figures cannot be tested here:
    their data carry no licence and are not among ours. The published number of attacks is one more than its parts.
    """
    displacement, insertion, suppression = 2_983, 196_691, 50
    assert displacement + insertion + suppression == 199_725 - 1
    assert displacement * 1_537.99 == pytest.approx(4_587_832, abs=displacement * 0.005)
    total = 4_587_832 + insertion * 65.05 + 1_036_262
    assert total == pytest.approx(18_418_843, abs=1)
    assert total == pytest.approx(18.41e6, abs=0.01e6)
