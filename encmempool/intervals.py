"""Sets of numbers that come nearly without gaps, such as receipt sequences: stored as ranges."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from encmempool.errors import Malformed


class IntervalSet:
    """Numbers from 0 to 2^64 - 1. What follows one another costs nothing; each gap 16 bytes, however wide."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """`ranges` as `ranges()` gives them. Raises Malformed for others."""
        self._firsts, self._lasts = array("Q"), array("Q")
        before = -2
        for first, last in ranges:
            if not before + 1 < first <= last < 1 << 64:
                raise Malformed("the ranges of a set of numbers do not ascend with gaps between them")
            self._firsts.append(first)
            self._lasts.append(last)
            before = last

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def ranges(self) -> tuple[tuple[int, int], ...]:
        """First and last of each, ascending."""
        return tuple(zip(self._firsts, self._lasts, strict=True))

    @property
    def missing(self) -> int:
        """How many numbers below the greatest are not in it."""
        held = sum(last + 1 - first for first, last in self.ranges())
        return self._lasts[-1] + 1 - held if self._lasts else 0

    def copy(self) -> IntervalSet:
        twin = IntervalSet()
        twin._firsts, twin._lasts = self._firsts[:], self._lasts[:]
        return twin

    def add(self, number: int) -> None:
        if number in self:
            return
        at = bisect_left(self._firsts, number)
        joins_before = at > 0 and self._lasts[at - 1] + 1 == number
        joins_after = at < len(self._firsts) and self._firsts[at] == number + 1
        if joins_before and joins_after:
            self._lasts[at - 1] = self._lasts[at]
            del self._firsts[at], self._lasts[at]
        elif joins_before:
            self._lasts[at - 1] = number
        elif joins_after:
            self._firsts[at] = number
        else:
            self._firsts.insert(at, number)
            self._lasts.insert(at, number)

    def discard(self, number: int) -> None:
        if number not in self:
            return
        at = bisect_right(self._firsts, number) - 1
        first, last = self._firsts[at], self._lasts[at]
        if first == last:
            del self._firsts[at], self._lasts[at]
        elif number == first:
            self._firsts[at] = number + 1
        else:
            self._lasts[at] = number - 1
            if number != last:
                self._firsts.insert(at + 1, number + 1)
                self._lasts.insert(at + 1, last)
