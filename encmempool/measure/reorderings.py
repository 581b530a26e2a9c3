"""Orders that a block might as well have had, and where the one it has stands among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar


class Sent(Protocol):
    """What has a sender, whose own stay in sequence."""

    @property
    def sender(self) -> Hashable: ...


Item = TypeVar("Item", bound=Sent)


def reorderings(block: Sequence[Item], *, random: Random, count: int) -> Iterator[list[Item]]:
    """Uniform among the block's orders in which each sender's own stay in sequence."""
    senders = [each.sender for each in block]
    for _ in range(count):
        random.shuffle(senders)
        queues: dict[Hashable, list[Item]] = {}
        for each in reversed(block):
            queues.setdefault(each.sender, []).append(each)
        yield [queues[sender].pop() for sender in senders]


def exchanges(block: Sequence[Item], *, random: Random, count: int) -> Iterator[list[Item]]:
    """Uniform among the orders in which senders with equally many transactions in the block have changed places.

    The pattern of places stays: that somebody sends at even intervals, or first and last, is in every such order.
    """
    queues: dict[Hashable, list[Item]] = {}
    for each in block:
        queues.setdefault(each.sender, []).append(each)
    for _ in range(count):
        instead: dict[Hashable, Iterator[Item]] = {}
        for equals in _equals(queues):
            shuffled = random.sample(equals, len(equals))
            instead |= {sender: iter(queues[other]) for sender, other in zip(equals, shuffled, strict=True)}
        yield [next(instead[each.sender]) for each in block]


def can_exchange(block: Sequence[Item]) -> bool:
    """Whether there is another such order."""
    return any(count > 1 for count in Counter(Counter(each.sender for each in block).values()).values())


def _equals(queues: dict[Hashable, list[Item]]) -> Iterator[list[Hashable]]:
    """Senders with equally many."""
    by_count: dict[int, list[Hashable]] = {}
    for sender, queue in queues.items():
        by_count.setdefault(len(queue), []).append(sender)
    yield from by_count.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """Where a figure of the real order stands among those of `others` reorderings (WCH-3).

    above, ties    how many of these are greater, and equal
    """

    above: int
    ties: int
    others: int

    @classmethod
    def among(cls, observed: int, others: Sequence[int]) -> Rank:
        return cls(
            above=sum(other > observed for other in others),
            ties=sum(other == observed for other in others),
            others=len(others),
        )

    def p_value(self, random: Random) -> float:
        """Uniform on (0, 1) if the real order is as likely as every other: ties are broken at random."""
        return (self.above + random.random() * (self.ties + 1)) / (self.others + 1)
