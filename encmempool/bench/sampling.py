"""Repeated timing of one piece of work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import quantiles

MOST_SAMPLES = 20
LONGEST_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Wall time in milliseconds: median and quartiles."""

    median_ms: float
    lower_ms: float
    upper_ms: float
    samples: int

    def divided(self, by: int) -> Timing:
        """The same for one of `by` equal parts."""
        return replace(self, median_ms=self.median_ms / by, lower_ms=self.lower_ms / by, upper_ms=self.upper_ms / by)


def sampled(work: Callable[[], object]) -> Timing:
    """One run to warm up, then 20, or as many as fit into 2 seconds and at least 3."""
    work()
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 3 or (len(times) < MOST_SAMPLES and time.perf_counter() - started < LONGEST_S):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    lower, median, upper = quantiles(times, n=4)
    return Timing(median_ms=median, lower_ms=lower, upper_ms=upper, samples=len(times))
