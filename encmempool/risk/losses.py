"""What one failure costs: loans that cannot be liquidated, the cascade after the thaw, pools and quotes gone stale.

Prices are relative to what they were when ordering stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import erfc, exp, log, sqrt

import numpy as np
from scipy.special import ndtr

from encmempool.measure.statistics import Floats
from encmempool.risk.assumptions import MINUTES_YEAR, Parameters

_CLASSES = 1_000
_LOWEST, _STEP = -3.0, 0.001
_GRID = _LOWEST + _STEP * np.arange(4_001)
"""Logarithms of prices at which a book's losses are tabulated; between them they are interpolated."""


def put_value(*, collateral: float, liquidation_cost: float, volatility: float, minutes: float) -> float:
    """Expected bad debt of a loan that is frozen for some time, per unit of debt: a put struck at the debt.

    collateral    over debt, when it froze

    With S = collateral (1 - liquidation_cost) and v = volatility sqrt(T): Phi(-d2) - S Phi(-d1),
    d1 = (ln S + v^2/2) / v, d2 = d1 - v. Source: Black and Scholes 1973 without interest.
    """
    held = collateral * (1 - liquidation_cost)
    deviation = volatility * sqrt(minutes / MINUTES_YEAR)
    if not deviation:
        return max(0.0, 1 - held)
    d1 = (log(held) + deviation**2 / 2) / deviation
    return _below(deviation - d1) - held * _below(-d1)


def _below(deviate: float) -> float:
    return erfc(-deviate / sqrt(2)) / 2


def cascade(prices: Floats, depth: float, liquidation_prices: Floats, amounts: Floats) -> tuple[Floats, Floats]:
    """Final price and amount sold, for each price at which liquidations can begin again.

    depth                 reserve of the constant-product pool they sell into, in units of all collateral; inf is none
    liquidation_prices    descending; a loan is sold once the price is at or below its own
    amounts               what is then sold of each, in the same units

    Each sale moves the price on, to price / (1 + sold/depth)^2; the answer is the first state in which nobody else is
    to be sold, the largest fixed point. Cost: len(prices) * len(amounts).
    """
    sold = np.concatenate(([0.0], np.cumsum(amounts)))
    relative = (1 + sold / depth) ** -2
    next_price = np.append(liquidation_prices, -1.0)
    # The first k at which the price after k sales lies above the next loan's.
    stops = prices[:, None] * relative[None, :] > next_price[None, :]
    at = np.argmax(stops, axis=1)
    return prices * relative[at], sold[at]


@dataclass(frozen=True)
class Book:
    """Loans of equal debt whose collateral over debt is uniform, in classes; figures per unit of debt."""

    low: float
    high: float
    liquidation_ratio: float
    liquidation_cost: float
    close_factor: float
    depth: float

    @classmethod
    def of(cls, parameters: Parameters, *, depth: float | None = None) -> Book:
        return cls(
            low=parameters.collateral_low,
            high=parameters.collateral_high,
            liquidation_ratio=parameters.liquidation_ratio,
            liquidation_cost=parameters.liquidation_cost,
            close_factor=parameters.close_factor,
            depth=parameters.depth if depth is None else depth,
        )

    @cached_property
    def collateral(self) -> Floats:
        """Of each class, ascending."""
        return self.low + (self.high - self.low) * (np.arange(_CLASSES) + 0.5) / _CLASSES

    def bad_debt(self, prices: Floats) -> Floats:
        """At final prices: what the collateral no longer covers after the cost of selling it."""
        held = prices * (1 - self.liquidation_cost)
        under = np.searchsorted(self.collateral, 1 / held)
        total = np.concatenate(([0.0], np.cumsum(self.collateral)))
        return (under - held * total[under]) / _CLASSES

    def expected_bad_debt(self, minutes: float, volatility: float, *, log_jump: float = 0.0) -> float:
        """Mean over the price's lognormal move and a jump, without feedback: `put_value` averaged over the book."""
        held = self.collateral * (1 - self.liquidation_cost) * exp(log_jump)
        deviation = volatility * sqrt(minutes / MINUTES_YEAR)
        if not deviation:
            return float(np.maximum(0, 1 - held).mean())
        d1 = (np.log(held) + deviation**2 / 2) / deviation
        return float((ndtr(deviation - d1) - held * ndtr(-d1)).mean())

    def after_cascade(self, prices: Floats) -> Floats:
        """Final prices once everybody who is to be liquidated was."""
        amounts = self.close_factor * self.collateral / self.collateral.sum()
        return np.concatenate(
            [
                cascade(part, self.depth, self.liquidation_ratio / self.collateral, amounts)[0]
                for part in np.array_split(prices, max(1, len(prices) // 500))
            ]
        )

    def losses(self, log_returns: Floats) -> tuple[Floats, Floats]:
        """(bad debt without feedback, what the cascade adds to it)."""
        place = np.clip((log_returns - _LOWEST) / _STEP, 0, len(_GRID) - 1.000001)
        below = place.astype(np.intp)
        above = place - below
        alone, added = (table[below] * (1 - above) + table[below + 1] * above for table in _tables(self))
        return alone, added

    @property
    def critical_depth(self) -> float:
        """Above this depth no fall sets off sales that feed on themselves; below it some fall does.

        With s(p) the share sold at price p, the largest -2 p s'(p) - s(p); here
        close_factor (3 high^2 + low^2) / (high^2 - low^2), where the last loans go.
        """
        a, b = self.low**2, self.high**2
        return self.close_factor * (3 * b + a) / (b - a)


@lru_cache(maxsize=256)
def _tables(book: Book) -> tuple[Floats, Floats]:
    """On the grid: bad debt at the price itself, and what the cascade adds. About 50 ms a book."""
    prices = np.exp(_GRID)
    alone = book.bad_debt(prices)
    return alone, book.bad_debt(book.after_cascade(prices)) - alone


def arbitrage_loss(log_returns: Floats) -> Floats:
    """What a constant-product pool without fee loses to the first trade after a stop, of its value before.

    (sqrt(r) - 1)^2 / 2 with r the price relative; its mean is volatility^2/8 a year of waiting, the loss versus
    rebalancing. In normal times the fee keeps all but some percent of that from arbitrage, so it is due to the stop.
    """
    return np.square(np.expm1(log_returns / 2)) / 2


def stale_share(tolerance_bps: float, minutes: Floats | float, volatility: float) -> Floats:
    """Share of quotes that the price alone leaves after a wait: `stale_quote_failure` for arrays."""
    deviation = volatility * np.sqrt(np.asarray(minutes, dtype=np.float64) / MINUTES_YEAR)
    still = 0.0 if tolerance_bps else 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(deviation > 0, ndtr(-tolerance_bps / 10_000 / deviation), still)
    return found
