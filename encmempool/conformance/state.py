"""The executed state as a vector gives it: one height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from encmempool.conformance.values import from_hex
from encmempool.types import OrderCommitment


@dataclass(frozen=True, slots=True, kw_only=True)
class OneState:
    """One state, with any root: both a StateView and its only StateAt. Accounts are (nonce, balance)."""

    height: int
    root: bytes
    commitment: OrderCommitment | None = None
    accounts: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    @property
    def latest(self) -> OneState:
        return self

    def at(self, height: int) -> OneState | None:
        return self if height == self.height else None

    def nonce(self, address: bytes) -> int:
        return self.accounts.get(address, (0, 0))[0]

    def balance(self, address: bytes) -> int:
        return self.accounts.get(address, (0, 0))[1]


def accounts_of(given: Sequence[dict[str, Any]]) -> dict[bytes, tuple[int, int]]:
    """From a list of {address, nonce, balance}."""
    return {from_hex(a["address"]): (int(a["nonce"]), int(a["balance"])) for a in given}
