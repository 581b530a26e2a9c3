"""Tests that may be looked at after every block: evidence against a blind order, and an alarm of a stated error.

Evidence is a number that is 1 on average if the order was drawn blindly: the same block's reorderings say what to
expect of it, so nothing is assumed of users. Bets on many blocks multiply, and the product exceeds 1/a at any time
with chance a at most (Ville's inequality, 1939). With the likelihood ratio of two Poisson rates as the bet this is
Wald's sequential test (1945), its denominator taken from reorderings instead of a rate that is only estimated.
Sources: Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid inference" (2023) for
e-processes and averaging; Besag, Clifford (1989) for ranks among reorderings. All logarithms are natural.

Requirements: WCH-3, WCH-6 to WCH-10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import exp, inf, lgamma, log, log1p, sqrt

from encmempool.measure.formulas import expected_detection_blocks
from encmempool.measure.reorderings import Rank

_LEAST_TERM = 1e-17


def count_evidence(observed: int, others: Sequence[int], tilt: float) -> float:
    """Logarithm of the evidence of a count (WCH-7): e^(tilt k) over its mean, reorderings and the real order alike.

    tilt    ln(l1 / l0): what one more pattern counts for
    """
    counts = [observed, *others]
    greatest = max(counts)
    mean = sum(exp(tilt * (count - greatest)) for count in counts) / len(counts)
    return tilt * (observed - greatest) - log(mean)


def rank_evidence(rank: Rank) -> float:
    """Logarithm of the evidence of a rank (WCH-8): r^(-1/2) from the top over its mean; ties share their places."""
    sums = _root_sums(rank.others + 1)
    places = sums[rank.above + rank.ties + 1] - sums[rank.above]
    return log(places / (rank.ties + 1)) - log(sums[-1] / (rank.others + 1))


@lru_cache(maxsize=8)
def _root_sums(count: int) -> tuple[float, ...]:
    """Sums of 1/sqrt(r) over r = 1..k, for k = 0..count."""
    return tuple(accumulate((1 / sqrt(rank) for rank in range(1, count + 1)), initial=0.0))


@dataclass(slots=True)
class Martingale:
    """Evidence of all blocks against "every order so far was blind", for an attack that may begin at any of them.

    The average of the products from block s on, weighted 1/(s(s+1)): what came before an attack is not held against
    it, and the logarithm of what that costs is that of s(s+1) (WCH-9). Constant memory.
    """

    blocks: int = 0
    _running: float = -inf

    def add(self, evidence: float) -> None:
        """The next block's, as a logarithm."""
        self.blocks += 1
        self._running = evidence + _log_sum(self._running, -log(self.blocks * (self.blocks + 1)))

    @property
    def value(self) -> float:
        """As a logarithm; 0 at the start."""
        return _log_sum(self._running, -log(self.blocks + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An alarm: at which height, by which statistic most."""

    height: int
    statistic: str


@dataclass(slots=True, kw_only=True)
class Alarm:
    """Several statistics of one history with one error for all and for ever.

    error     chance of an alarm, at any time, while every order is blind
    raised    the first alarm; it stands

    The average of martingales is one, however they depend on each other, so none needs a share of the error
    beforehand; at worst one of n has to exceed n/error alone (WCH-9, WCH-10).
    """

    error: float
    statistics: Mapping[str, Martingale]
    raised: Raised | None = None

    @property
    def value(self) -> float:
        """Logarithm of the average."""
        values = [each.value for each in self.statistics.values()]
        greatest = max(values)
        return greatest + log(sum(exp(value - greatest) for value in values) / len(values))

    @property
    def limit(self) -> float:
        return log(1 / self.error)

    def add(self, height: int, evidence: Mapping[str, float]) -> None:
        """What a height adds to some of the statistics, as logarithms."""
        for name, each in evidence.items():
            self.statistics[name].add(each)
        if self.raised is None and self.value >= self.limit:
            strongest = max(self.statistics, key=lambda name: self.statistics[name].value)
            self.raised = Raised(height=height, statistic=strongest)

    def expected_blocks(self, name: str, usual: float, attacked: float) -> float:
        """Blocks to the alarm after an attack begins with the next one, by Wald's formula for one statistic alone.

        usual, attacked    patterns per block without and with the attack; ValueError unless 0 < usual < attacked
        """
        start = self.statistics[name].blocks + 1
        error = self.error / (len(self.statistics) * start * (start + 1))
        return expected_detection_blocks(usual, attacked, error=error)


@dataclass(slots=True)
class Calibration:
    """How often a pattern stands in blocks, and how often in reorderings of the very same blocks (WCH-6).

    blocks         those compared
    found          patterns in their real order
    reorderings    of all of them
    accidents      patterns in those
    expected       patterns that blind orders would show in these blocks
    """

    blocks: int = 0
    found: int = 0
    reorderings: int = 0
    accidents: int = 0
    expected: float = 0.0

    def add(self, observed: int, others: Sequence[int]) -> None:
        """ValueError without reorderings."""
        if not others:
            raise ValueError("a block is compared with at least one reordering")
        self.blocks += 1
        self.found += observed
        self.reorderings += len(others)
        self.accidents += sum(others)
        self.expected += sum(others) / len(others)

    @property
    def rate(self) -> float | None:
        """Accidents per block; None before the first."""
        return self.accidents / self.reorderings if self.reorderings else None

    def tilt(self, attacked_share: float) -> float:
        """ln(l1 / l0) for an attack on a share of blocks, once the block at hand is added.

        The real orders count among the reorderings here, and half a pattern more: so the block at hand weighs the
        same in each of its orders, as `count_evidence` needs, and a rate that was never seen is not taken as 0.
        """
        orders = self.reorderings + self.blocks
        return log1p(attacked_share * orders / (self.found + self.accidents + 0.5))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Of the rate. ValueError before the first block."""
        low, high = poisson_interval(self.accidents, level)
        if not self.reorderings:
            raise ValueError("no block was compared yet")
        return low / self.reorderings, high / self.reorderings


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Means of a Poisson law that a count does not contradict, each end erring in half of 1 - level.

    Garwood, "Fiducial limits for the Poisson distribution" (1936): exact, and so a little wide.
    """
    if count < 0 or not 0 < level < 1:
        raise ValueError("an interval needs a count and a level between 0 and 1")
    tail, far = (1 - level) / 2, count + 12 * sqrt(count + 1) + 40
    low = _solve(lambda mean: _at_least(count, mean) < tail, 0.0, float(count)) if count else 0.0
    return low, _solve(lambda mean: _at_most(count, mean) > tail, float(count), far)


def _solve(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition that holds at first stops to hold."""
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return high


def _at_least(count: int, mean: float) -> float:
    """Chance of a count at least so large, for a mean below it."""
    total, term, at = 0.0, _chance(count, mean), count
    while term > _LEAST_TERM * total:
        total, at = total + term, at + 1
        term *= mean / at
    return total


def _at_most(count: int, mean: float) -> float:
    """Chance of a count at most so large, for a mean of at least it."""
    total, term, at = 0.0, _chance(count, mean), count
    while at >= 0 and term > _LEAST_TERM * total:
        total, term, at = total + term, term * at / mean, at - 1
    return total


def _chance(count: int, mean: float) -> float:
    return exp(count * log(mean) - mean - lgamma(count + 1)) if mean > 0 else float(count == 0)


def _log_sum(first: float, second: float) -> float:
    """ln(e^first + e^second); the second is finite."""
    high, low = max(first, second), min(first, second)
    return high + log1p(exp(low - high))
