"""What can become of a transaction, and what one decrypted position says of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from encmempool.errors import Malformed, Rejected
from encmempool.ethereum import EthereumTransaction
from encmempool.execution.ledger import Failure
from encmempool.summaries import GenesisSummary
from encmempool.transactions import check_payload, unpad
from encmempool.types import Genesis, Header
from threshold.schemes.base import Undecryptable


class Outcome(IntEnum):
    """What can become of a transaction; the numbers stand in reveals."""

    EXECUTED = 1
    UNDECRYPTABLE = 2
    BAD_PADDING = 3
    BAD_PAYLOAD = 4
    HEADER_MISMATCH = 5
    NOT_EXECUTABLE = 6
    EXPIRED = 7
    KEY_ENDED = 8
    NOT_COMMITTED = 9
    DROPPED = 10
    FORCED_INVALID = 11
    NOT_COMMITTED_OPENED = 12

    @property
    def text(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEntry:
    """One position after decryption: its payload if there is one, and what the ledger is to make of it."""

    payload: bytes | None
    content: EthereumTransaction | Failure


def open_entry(genesis: Genesis | GenesisSummary, header: Header, opened: bytes | Undecryptable) -> OpenedEntry:
    """The outcome so far of one decrypted position."""
    if isinstance(opened, Undecryptable):
        return OpenedEntry(payload=None, content=Failure.UNDECRYPTABLE)
    try:
        payload = unpad(opened, genesis.size_classes)
    except Rejected:
        return OpenedEntry(payload=None, content=Failure.BAD_PADDING)
    try:
        inner = check_payload(payload, header, genesis.chain_id)
    except Malformed:
        return OpenedEntry(payload=payload, content=Failure.BAD_PAYLOAD)
    except Rejected:
        return OpenedEntry(payload=payload, content=Failure.HEADER_MISMATCH)
    return OpenedEntry(payload=payload, content=inner)
