"""Whether a block's order carries its content: does an address gain more than in random orders of the same block?

No definition of an attack is needed. Source of the idea: Ankile, Ferreira, Parkes, "I See You! Robust Measurement of
Adversarial Behavior" (2023); the calibrated test is the project's (research, measurement, section 6.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

from scipy.stats import kstest

from encmempool.measure.figures import input_worth, output_worth
from encmempool.measure.market import ATTACKER, Order, Reserves, play
from encmempool.measure.reorderings import Rank, reorderings


def p_value(pools: Sequence[Reserves], block: Sequence[Order], *, random: Random, permutations: int = 199) -> float:
    """Rank of the attacker's profit in this order among random orders of the same block. 8 ms per block of 15.

    The profit is that of sender ATTACKER at the opening mid price, without gas; order moves it only for an address that
    swaps in both directions. A random order keeps each sender's own transactions in sequence, as nonces do, and is
    uniform among those. Ties are broken at random, so the p-value is uniform on (0, 1) exactly where all such orders
    are equally likely. Places that are always the same, as first and last for the attacker, are not, even if they
    were chosen blindly: look at the share of small p-values there.
    """
    orders = reorderings(block, random=random, count=permutations)
    rank = Rank.among(_profit(pools, block), [_profit(pools, order) for order in orders])
    return rank.p_value(random)


def _profit(pools: Sequence[Reserves], block: Sequence[Order]) -> int:
    """Wei at the mid price of `pools`."""
    return sum(
        output_worth(pools, fill) - input_worth(pools, fill)
        for fill in play(pools, block, gas_price_wei=0)
        if fill.executed and fill.order.sender == ATTACKER
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniformity:
    """p-values of many blocks. If orders carry no content the median is near 0.5 and the share near 0.05.

    share_below_5    share of p-values of at most 0.05
    ks_p             p-value of the Kolmogorov-Smirnov test against uniform
    """

    blocks: int
    median: float
    share_below_5: float
    ks_p: float


def summary(p_values: Iterable[float]) -> Uniformity:
    """ValueError for no blocks."""
    values = list(p_values)
    if not values:
        raise ValueError("there is no block to summarise")
    return Uniformity(
        blocks=len(values),
        median=median(values),
        share_below_5=sum(value <= 0.05 for value in values) / len(values),
        ks_p=float(kstest(values, "uniform").pvalue),
    )
