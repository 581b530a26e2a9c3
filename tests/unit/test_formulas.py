"""Closed forms of arbitrage, delay and detection against brute force, numerical optima and simulation."""

from math import exp, log
from random import Random

import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from encmempool.execution.pools import amount_out, settle
from encmempool.measure.formulas import (
    OutsideTrade,
    blind_margin,
    blind_threshold,
    expected_detection_blocks,
    lvr_rate,
    outside_arbitrage,
    price_move,
    required_accuracy,
    spam_success,
    stale_quote_failure,
    two_pool_optimum,
    two_pool_trade,
)
from encmempool.measure.market import Reserves
from encmempool.measure.sandwich import profitability_threshold

ETHER = 10**18


def received(reserve_in: float, reserve_out: float, paid: float, kept: float) -> float:
    return kept * paid * reserve_out / (reserve_in + kept * paid)


@pytest.mark.parametrize("kept", [0.997, 0.9995, 1.0])
def test_two_pool_optimum_equals_a_numerical_maximum(kept: float) -> None:
    bought, sold = (100.0, 300_000.0), (250.0, 700_000.0)

    def loss(paid: float) -> float:
        return paid - received(sold[1], sold[0], received(*bought, paid, kept), kept)

    found = minimize_scalar(loss, bounds=(0, 100), method="bounded", options={"xatol": 1e-9})
    paid, gain = two_pool_optimum(bought, sold, kept=kept)
    assert gain > 0
    assert paid == pytest.approx(found.x, rel=1e-5)
    assert gain == pytest.approx(-found.fun, rel=1e-9)


def test_two_pool_optimum_is_nothing_within_the_fees() -> None:
    assert two_pool_optimum((100.0, 300.0), (100.0, 298.3)) == (0.0, 0.0)
    assert two_pool_optimum((100.0, 300.0), (100.0, 298.1)) > (0.0, 0.0)


def test_two_pool_trade_of_deep_pools_earns_the_real_optimum_to_the_wei() -> None:
    seed = 5
    random = Random(seed)
    found = 0
    for _ in range(500):
        bought, sold = (
            Reserves(ether=int(10 ** random.uniform(18, 23)), token=int(10 ** random.uniform(21, 27))) for _ in range(2)
        )
        trade = two_pool_trade(bought, sold)
        _, gain = two_pool_optimum((bought.ether, bought.token), (sold.ether, sold.token))
        assert (trade.profit if trade else 0) == pytest.approx(gain, rel=1e-9, abs=2), f"seed {seed}"
        found += trade is not None
    assert 100 < found < 400


def worth(pool: Reserves, outside: tuple[int, int], *, buys: bool, paid: int) -> int:
    """What a trade gains in wei at the outside price, rounded down."""
    wei, units = outside
    if buys:
        return (amount_out(pool.ether, pool.token, paid) * wei - paid * units) // units
    return (amount_out(pool.token, pool.ether, paid) * units - paid * wei) // units


@pytest.mark.parametrize(("most_ether", "most_token"), [(400, 400), (2000, 20), (20, 2000)])
def test_outside_arbitrage_matches_brute_force_on_small_pools(most_ether: int, most_token: int) -> None:
    seed = 29
    random = Random(seed)
    found = 0
    for _ in range(60):
        pool = Reserves(ether=random.randint(5, most_ether), token=random.randint(5, most_token))
        outside = random.randint(1, most_ether), random.randint(1, most_token)
        best = max(
            (worth(pool, outside, buys=buys, paid=paid), buys, paid)
            for buys in (True, False)
            for paid in range(1, 40 * most_ether if buys else 40 * most_token)
        )
        trade = outside_arbitrage(pool, outside)
        case = f"seed {seed}: {pool} {outside} {best} {trade}"
        if trade is None:
            assert best[0] <= 1, case
            continue
        found += 1
        assert trade.profit in (best[0], best[0] - 1), case
        assert trade.profit == worth(pool, outside, buys=trade.buys, paid=trade.amount_in), case
    assert found > 20


def test_outside_arbitrage_brings_a_deep_pool_to_the_edge_of_the_fee() -> None:
    pool = Reserves(ether=10_000 * ETHER, token=30_000_000 * ETHER)
    for outside, buys in (((105, 300_000), True), ((95, 300_000), False)):
        trade = outside_arbitrage(pool, outside)
        assert isinstance(trade, OutsideTrade)
        assert trade.buys is buys
        side_in, side_out = (pool.ether, pool.token) if buys else (pool.token, pool.ether)
        side_in, side_out = settle(side_in, side_out, trade.amount_in, trade.amount_out)
        after = Reserves(ether=side_in, token=side_out) if buys else Reserves(ether=side_out, token=side_in)
        assert outside_arbitrage(after, outside) is None
        marginal = after.ether / after.token / (outside[0] / outside[1])
        assert marginal == pytest.approx(0.997 if buys else 1 / 0.997, rel=2e-3)


def test_outside_arbitrage_input_is_the_square_root_of_the_research() -> None:
    x, y, price = 10_000 * ETHER, 30_000_000 * ETHER, 1.05 / 3000
    trade = outside_arbitrage(Reserves(ether=x, token=y), (105, 300_000))
    assert trade is not None
    assert trade.amount_in == pytest.approx(((0.997 * price * x * y) ** 0.5 - x) / 0.997, rel=1e-12)


@pytest.mark.parametrize("outside", [(1, 3000), (1002, 3_000_000), (998, 3_000_000)])
def test_outside_arbitrage_finds_none_within_the_fee(outside: tuple[int, int]) -> None:
    assert outside_arbitrage(Reserves(ether=10_000 * ETHER, token=30_000_000 * ETHER), outside) is None


def test_outside_arbitrage_refuses_a_price_of_nothing() -> None:
    with pytest.raises(ValueError, match="positive"):
        outside_arbitrage(Reserves(ether=1, token=1), (0, 1))


def test_outside_arbitrage_survives_a_pool_too_small_to_trade() -> None:
    assert outside_arbitrage(Reserves(ether=1, token=1), (1, 100)) is None


def test_blind_margin_is_positive_without_fees_for_every_size() -> None:
    assert all(blind_margin(size, kept=1.0) > 0 for size in (1e-3, 1e-2, 1e-1))


def test_required_accuracy_is_certainty_at_the_plaintext_threshold_and_a_toss_at_the_blind_one() -> None:
    assert required_accuracy(profitability_threshold()) == pytest.approx(1, abs=1e-12)
    assert required_accuracy(blind_threshold()) == pytest.approx(0.5, abs=1e-12)
    assert price_move(blind_threshold()) == pytest.approx(exp(0.1097), rel=1e-3)


def test_spam_success_has_the_published_values() -> None:
    values = [spam_success(copies) for copies in (1, 2, 5, 10, 50)]
    assert values == pytest.approx([1 / 6, 0.367, 0.667, 0.818, 0.961], abs=5e-4)


def test_stale_quote_failure_has_the_published_values() -> None:
    assert stale_quote_failure(0.0050, 180, 0.8) == pytest.approx(0.0044, abs=5e-5)
    assert stale_quote_failure(0.0010, 180, 0.8) == pytest.approx(0.30, abs=5e-3)
    assert stale_quote_failure(4.93e-4, 12, 0.8) == pytest.approx(norm.cdf(-1), abs=1e-3)


@pytest.mark.parametrize(("delay_s", "volatility"), [(0, 0.8), (12, 0.0)])
def test_stale_quote_failure_is_nothing_without_delay_or_movement(delay_s: float, volatility: float) -> None:
    assert stale_quote_failure(0.005, delay_s, volatility) == 0


def test_lvr_rate_is_what_rebalancing_gains_over_the_pool() -> None:
    """Of a pool worth 2 sqrt(p): value falls by sigma^2/8 per year where the price has no drift."""
    volatility, years = 0.8, 1e-3
    up, down = exp(volatility * years**0.5), exp(-volatility * years**0.5)
    chance = (1 - down) / (up - down)
    pool = chance * up**0.5 + (1 - chance) * down**0.5
    assert (1 - pool) / years == pytest.approx(lvr_rate(volatility), rel=1e-3)


@pytest.mark.parametrize(
    ("usual", "attacked", "wald", "simulated"),
    [(1e-4, 0.0101, 377, 433), (1e-3, 0.011, 843, 887), (3e-3, 0.013, 1523, 1602)],
)
def test_expected_detection_blocks_has_the_published_values(
    usual: float, attacked: float, wald: float, simulated: float
) -> None:
    expected = expected_detection_blocks(usual, attacked, error=1e-6)
    assert expected == pytest.approx(wald, rel=2e-3)
    seed = 3
    random, rounds, blocks = Random(seed), 2000, 0.0
    for _ in range(rounds):
        # Between patterns the evidence falls by l1 - l0 per block; their distances are exponential in the limit.
        evidence = 0.0
        while evidence < log(1e6):
            wait = random.expovariate(attacked)
            blocks += wait
            evidence += log(attacked / usual) - (attacked - usual) * wait
    assert blocks / rounds == pytest.approx(simulated, rel=0.05), f"seed {seed}"
    assert blocks / rounds > expected


@pytest.mark.parametrize(("usual", "attacked"), [(0.0, 0.1), (0.1, 0.1), (0.2, 0.1)])
def test_expected_detection_blocks_refuses_rates_that_cannot_be_told_apart(usual: float, attacked: float) -> None:
    with pytest.raises(ValueError, match="exceed"):
        expected_detection_blocks(usual, attacked, error=0.01)


def test_two_pool_trade_finds_none_in_pools_of_dust() -> None:
    assert two_pool_trade(Reserves(ether=1, token=1), Reserves(ether=1, token=1)) is None
