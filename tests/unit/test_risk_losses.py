"""What a failure costs: puts, cascades, pools, against closed forms, simulation and the research notes."""

from __future__ import annotations

from math import exp, inf, sqrt

import numpy as np
import pytest

from encmempool.measure.formulas import lvr_rate, stale_quote_failure
from encmempool.risk.assumptions import MINUTES_YEAR
from encmempool.risk.losses import Book, arbitrage_loss, cascade, put_value, stale_share

NOTES = {"collateral": 1.10, "liquidation_cost": 0.05, "volatility": 0.8, "minutes": 360.0}


def book(depth: float = 10.0, **changes: float) -> Book:
    usual = {"low": 1.05, "high": 2.0, "liquidation_ratio": 1.05, "liquidation_cost": 0.05, "close_factor": 0.5}
    return Book(**{**usual, **changes}, depth=depth)  # type: ignore[arg-type]


# --- frozen loans ----------------------------------------------------------------------------------------------------


def test_put_is_the_research_notes_rsk_8() -> None:
    """RSK-8. The notes' year has 365 days, ours 365.25."""
    assert put_value(**NOTES) == pytest.approx(1.375e-4, rel=4e-3)
    assert put_value(**{**NOTES, "minutes": 360 * 365.25 / 365}) == pytest.approx(1.375e-4, rel=1e-3)


def test_put_agrees_with_simulation_within_its_error_rsk_8() -> None:
    """RSK-8."""
    seed, count = 4, 4_000_000
    deviation = 0.8 * sqrt(360 / MINUTES_YEAR)
    moves = np.exp(deviation * np.random.default_rng(seed).standard_normal(count) - deviation**2 / 2)
    lost = np.maximum(0, 1 - 1.10 * 0.95 * moves)
    assert abs(lost.mean() - put_value(**NOTES)) < 4 * lost.std() / sqrt(count), seed


def test_put_without_time_or_movement_is_what_is_missing_already_rsk_8() -> None:
    """RSK-8."""
    assert put_value(**{**NOTES, "minutes": 0.0}) == 0
    assert put_value(**{**NOTES, "collateral": 1.0, "volatility": 0.0}) == pytest.approx(0.05)


def test_book_is_the_mean_of_its_puts_rsk_10() -> None:
    """RSK-10."""
    b = book()
    puts = [put_value(collateral=c, liquidation_cost=0.05, volatility=0.8, minutes=360) for c in b.collateral]
    assert b.expected_bad_debt(360, 0.8) == pytest.approx(np.mean(puts), rel=2e-3)


def test_book_with_a_crash_is_the_research_notes() -> None:
    """60 and 229 bps with a jump. Without one the notes say 0.8 where six hours give 1.5: they do not name the time,
    and a bit more than three hours, the mean halt, gives theirs."""
    found = [1e4 * book().expected_bad_debt(360, 0.8, log_jump=jump) for jump in (0.0, -0.1, -0.2)]
    assert found == pytest.approx([1.48, 60.8, 230.4], abs=0.05)
    assert found[1:] == pytest.approx([60, 229], rel=0.02)
    assert 1e4 * book().expected_bad_debt(190, 0.8) == pytest.approx(0.8, abs=0.05)


# --- cascades --------------------------------------------------------------------------------------------------------


def test_cascade_without_end_of_depth_has_no_feedback_rsk_9() -> None:
    """RSK-9."""
    falls = np.linspace(0.3, 1.0, 50)
    assert np.array_equal(book(inf).after_cascade(falls), falls)


def test_cascade_stops_where_nobody_else_is_to_be_sold_rsk_9() -> None:
    """RSK-9. Step by step, as the rule is told: the largest fixed point."""
    b, start = book(3.0), 0.87
    amounts = 0.5 * b.collateral / b.collateral.sum()
    price, sold = start, 0.0
    for limit, amount in zip(1.05 / b.collateral, amounts, strict=True):
        if price > limit:
            break
        sold += amount
        price = start / (1 + sold / 3.0) ** 2
    found, amount_sold = cascade(np.array([start]), 3.0, 1.05 / b.collateral, amounts)
    assert found[0] == pytest.approx(price, rel=1e-12)
    assert amount_sold[0] == pytest.approx(sold, rel=1e-12)


def test_cascade_of_the_research_notes_rsk_9() -> None:
    """RSK-9. .893 and .853 after a fall by a tenth, and everything at R = 0.5. The notes do not name their loans: half
    of equal collateral sold, with health spread evenly from 1 to 2.6, gives their prices to a thousandth."""
    count = 100_000
    health = 1 + 1.6 * (np.arange(count) + 0.5) / count
    amounts = np.full(count, 0.5 / count)
    prices = [cascade(np.array([0.9]), depth, 1 / health, amounts)[0][0] for depth in (10.0, 2.0)]
    assert prices == pytest.approx([0.893, 0.853], abs=1e-3)
    final, sold = cascade(np.array([0.9]), 0.5, 1 / health, amounts)
    assert sold[0] == pytest.approx(0.5)
    assert final[0] == pytest.approx(0.9 / 4)


def test_cascade_takes_everything_only_below_the_critical_depth_rsk_9() -> None:
    """RSK-9."""
    falls = 1 - np.linspace(0, 0.6, 6_001)
    critical = book().critical_depth
    for depth, jumps in ((1.02 * critical, False), (0.9 * critical, True)):
        steps = np.abs(np.diff(book(depth).after_cascade(falls)))
        assert bool(steps.max() > 0.02) is jumps, depth


def test_cascade_adds_to_bad_debt_and_both_are_counted_once_rsk_10() -> None:
    """RSK-10."""
    b, moves = book(5.0), np.log(np.array([0.7, 0.8, 0.9, 1.0, 1.2]))
    alone, added = b.losses(moves)
    assert alone + added == pytest.approx(b.bad_debt(b.after_cascade(np.exp(moves))), abs=1e-4)
    assert alone == pytest.approx(b.bad_debt(np.exp(moves)), abs=1e-6)
    assert (added[:3] > 0).all()
    assert added[3:] == pytest.approx([0, 0], abs=1e-9)
    assert book(inf).losses(moves)[1] == pytest.approx([0] * 5, abs=1e-12)


def test_bad_debt_never_rises_with_the_price() -> None:
    lost = book().bad_debt(np.linspace(0.1, 1.5, 500))
    assert (np.diff(lost) <= 1e-15).all()
    assert lost[-1] == 0


# --- pools and quotes ------------------------------------------------------------------------------------------------


def test_arbitrage_takes_the_loss_versus_rebalancing_in_the_mean_rsk_11() -> None:
    """RSK-11."""
    seed, minutes = 9, 600.0
    deviation = 0.8 * sqrt(minutes / MINUTES_YEAR)
    moves = deviation * np.random.default_rng(seed).standard_normal(2_000_000) - deviation**2 / 2
    assert arbitrage_loss(moves).mean() == pytest.approx(lvr_rate(0.8) * minutes / MINUTES_YEAR, rel=0.01), seed


def test_arbitrage_takes_what_a_constant_product_pool_loses_against_holding_rsk_11() -> None:
    """RSK-11. 1 and 1 in the pool; at price r it holds 1/sqrt(r) of the one and sqrt(r) of the other."""
    r = 0.7
    held, pool = 1 * r + 1, 2 * sqrt(r)
    assert arbitrage_loss(np.log(np.array([r])))[0] == pytest.approx((held - pool) / 2)


@pytest.mark.parametrize("minutes", [0.0, 3.0, 90.0])
def test_stale_share_is_the_experiments_formula_rsk_11(minutes: float) -> None:
    """RSK-11."""
    expected = stale_quote_failure(0.005, 60 * minutes, 0.8)
    assert float(stale_share(50, minutes, 0.8)) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("tolerance_bps", [0.0, 50.0])
def test_stale_share_of_a_price_that_stands_still_is_the_experiments(tolerance_bps: float) -> None:
    assert float(stale_share(tolerance_bps, 30.0, 0.0)) == stale_quote_failure(tolerance_bps / 10_000, 1_800, 0.0)


def test_stale_share_reaches_a_half_at_most() -> None:
    assert float(stale_share(50, 1e9, 0.8)) == pytest.approx(0.5, abs=exp(-4))
