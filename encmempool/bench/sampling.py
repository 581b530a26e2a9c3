"""Repeated timing of work, alone or side by side, and how sure a ratio of two timings is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median, quantiles
from typing import TypeAlias

Work: TypeAlias = Callable[[], object]

MOST_SAMPLES = 20
LONGEST_S = 2.0
LEAST_ROUNDS = 6
"""The whole range of six samples holds their true median 97 times in 100; that of five falls short of 95."""
_SHORTEST_S = 1e-3
"""What takes less is repeated within a sample: the clock and a passing interruption would weigh too much."""
_LONG_S = 0.5
"""A first run that takes more is not followed by another to learn how long the work takes."""
_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Wall time in seconds, one value a sample, in the order they were taken."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a timing needs at least one sample")

    @property
    def samples(self) -> int:
        return len(self.values)

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The value itself twice where it is the only one."""
        if len(self.values) == 1:
            return self.values * 2
        lower, _, upper = quantiles(self.values, n=4)
        # Of two values these would lie outside.
        return max(lower, self.minimum), min(upper, max(self.values))

    @property
    def minimum(self) -> float:
        return min(self.values)

    def divided(self, by: int) -> Timing:
        """The same for one of `by` equal parts."""
        return Timing(values=tuple(value / by for value in self.values))


def sampled(work: Work) -> Timing:
    """One run to warm up, then 20 samples, or as many as fit into 2 seconds and at least 6."""
    (timing,) = _rounds((work,), (), longest_s=LONGEST_S)
    return timing


def interleaved(*works: Work, before: Sequence[Work] = ()) -> tuple[Timing, ...]:
    """Time several pieces of work in turns, so that what disturbs the machine disturbs all of them alike.

    before    what to call before each sample of a work, out of the clock: as many as works, or none

    20 rounds after one to warm up, or as many as fit into 2 seconds for each work and at least 6; every second round
    runs backwards. Value i of every timing is of round i: `ratio_interval` takes them as pairs.
    """
    return _rounds(works, before, longest_s=LONGEST_S * len(works))


def _rounds(works: Sequence[Work], before: Sequence[Work], *, longest_s: float) -> tuple[Timing, ...]:
    prepare = before or [lambda: None] * len(works)
    repeats = []
    for ready, work in zip(prepare, works, strict=True):
        ready()
        repeats.append(1 if _seconds(work, 1) > _LONG_S else _repeats(work))
    times: list[list[float]] = [[] for _ in works]
    order = range(len(works))
    started = time.perf_counter()
    while len(times[0]) < LEAST_ROUNDS or (len(times[0]) < MOST_SAMPLES and time.perf_counter() - started < longest_s):
        for index in order:
            prepare[index]()
            times[index].append(_seconds(works[index], repeats[index]))
        order = order[::-1]
    return tuple(Timing(values=tuple(values)) for values in times)


def _repeats(work: Work) -> int:
    """How often the work runs in a sample. Doubling finds it: one short run is too rough a guess."""
    repeats = 1
    while (spent := repeats * _seconds(work, repeats)) < _SHORTEST_S:
        repeats *= 2 if spent > _SHORTEST_S / 8 else 8
    return repeats


def _seconds(work: Work, repeats: int) -> float:
    """Of one run, on average."""
    again = range(repeats)
    start = time.perf_counter()
    for _ in again:
        work()
    return (time.perf_counter() - start) / repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio and the ends of its 95 % interval."""

    ratio: float
    low: float
    high: float


def ratio_interval(ours: Sequence[float], theirs: Sequence[float], *, paired: bool = True) -> Ratio:
    """How many times as long theirs takes as ours: above 1, ours is faster. Ratio of the medians.

    paired    value i of both is of one round of `interleaved`: rounds are resampled whole, so that what disturbed both
              cancels. Otherwise each side is resampled by itself, and a machine that was slower for all of one side
              cannot be told from slower work.

    The interval is the percentile bootstrap's, the same for the same data. ValueError for fewer than 6 samples, for
    pairs of unequal number and for times that are not positive.
    """
    if min(len(ours), len(theirs)) < LEAST_ROUNDS:
        raise ValueError(f"an interval needs at least {LEAST_ROUNDS} samples of each side")
    if paired and len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} samples are no pairs with {len(theirs)}")
    if min(*ours, *theirs) <= 0:
        raise ValueError("a ratio needs times above 0")
    random = Random(1)
    drawn = []
    for _ in range(_RESAMPLES):
        mine = random.choices(range(len(ours)), k=len(ours))
        other = mine if paired else random.choices(range(len(theirs)), k=len(theirs))
        drawn.append(median(theirs[at] for at in other) / median(ours[at] for at in mine))
    low, high = percentiles(drawn)
    return Ratio(ratio=median(theirs) / median(ours), low=low, high=high)


def percentiles(drawn: Sequence[float]) -> tuple[float, float]:
    """The ends of the 95 % interval of resampled statistics."""
    cuts = quantiles(drawn, n=40, method="inclusive")
    return cuts[0], cuts[-1]
