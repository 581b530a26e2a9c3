"""Designs that are compared: who orders, whether it can read what it orders, and whether users can get around it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from encmempool.risk.assumptions import Parameters


class Sequencing(StrEnum):
    """centralised: one operator. rotating: several in turns, the next takes over. shared: one for several rollups."""

    CENTRALISED = "centralised"
    ROTATING = "rotating"
    SHARED = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """encrypted: a committee opens what was ordered. forced: users are included through L1 after a while."""

    sequencing: Sequencing
    encrypted: bool
    forced: bool

    @property
    def name(self) -> str:
        """As options have it: `rotating+encrypted+forced`."""
        return "+".join(
            [self.sequencing.value, *(["encrypted"] if self.encrypted else []), *(["forced"] if self.forced else [])]
        )

    def operators(self, parameters: Parameters) -> int:
        return parameters.sequencers if self.sequencing is Sequencing.ROTATING else 1

    def rollups(self, parameters: Parameters) -> int:
        """Behind one and the same sequencer."""
        return parameters.rollups if self.sequencing is Sequencing.SHARED else 1


ALL = tuple(
    Design(sequencing=sequencing, encrypted=encrypted, forced=forced)
    for sequencing, encrypted, forced in product(Sequencing, (False, True), (False, True))
)
PROTOTYPE = next(each for each in ALL if each.name == "centralised+encrypted+forced")
"""What this project builds."""
EXAMINED = ("centralised", PROTOTYPE.name)
"""Those whose assumptions are moved one by one where all are compared."""


def select(name: str) -> tuple[Design, ...]:
    """One by its name, or `all`. ValueError for another name."""
    if name == "all":
        return ALL
    found = tuple(each for each in ALL if each.name == name)
    if not found:
        raise ValueError(f"no design {name!r}: choose all, or one of {', '.join(each.name for each in ALL)}")
    return found
