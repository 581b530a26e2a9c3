"""Forced inclusion: the inbox on the chain below (L1), and what a commitment has to begin with because of it.

Whoever is ignored posts the whole encrypted transaction there. A commitment names the block up to which it has read the
inbox; what was posted a window before that block is overdue and comes first. Sequencer and members walk the same
entries by the same rule, so that nothing but what was posted, and the commitment, decides.

Requirements:
FRC-1  an entry is the complete encoding of one EncryptedTransaction
FRC-3  inbox_index moves past exactly what the walk settled
FRC-4  overdue entries come first, by index, in at most half of the batch and of its gas, MAX_SETTLED at a time
FRC-6  what cannot be committed at its turn is passed over
FRC-7  so is what is committed already, without an outcome of its own
FRC-8  a key does not end while an entry encrypted to it is overdue
FRC-9  overdue is counted in blocks of the commitment's view
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from encmempool.envelope import Terms, reservation
from encmempool.errors import Malformed, Rejected
from encmempool.mempool import StateAt
from encmempool.store import Records
from encmempool.types import EncryptedTransaction, InboxEntry
from threshold.encoding import u64
from threshold.sansio import Persist

INBOX = "inbox-entry"
MAX_SETTLED = 256
"""Entries of one commitment: a flood of what is passed over must not hold up those who check."""


class InboxView(Protocol):
    """The inbox as one party sees it."""

    @property
    def head(self) -> int:
        """The newest block of L1 under the genesis' depth: all entries up to it are known."""

    def entry(self, index: int) -> InboxEntry | None:
        """None for one that was not posted up to the head."""


class NoInbox:
    """That of a network without a chain below."""

    head = 0

    def entry(self, index: int) -> InboxEntry | None:
        return None


class KnownInbox:
    """Entries that are all there is: those of a history file, or of a test."""

    def __init__(self, *, head: int = 0) -> None:
        self.head = head
        self.entries: list[InboxEntry] = []

    def add(self, entry: InboxEntry) -> None:
        """The next one. Raises Rejected FRC-1 if it is not."""
        last = self.entries[-1].l1_block if self.entries else 0
        if entry.index != len(self.entries) or entry.l1_block < last:
            raise Rejected("FRC-1", f"inbox entry {entry.index} is not the next one")
        self.entries.append(entry)

    def entry(self, index: int) -> InboxEntry | None:
        return self.entries[index] if index < len(self.entries) else None


class StoredInbox:
    """Entries in a party's own records. One thread adds what L1 shows; any may look."""

    def __init__(self, records: Records) -> None:
        newest = records.last(INBOX)
        self._records = records
        self.head = 0 if newest is None else InboxEntry.decode(newest[1]).l1_block
        self.count = 0 if newest is None else int.from_bytes(newest[0], "big") + 1
        self.looked_at = -math.inf
        """When L1 was last looked at, on the monotonic clock."""

    def entry(self, index: int) -> InboxEntry | None:
        data = self._records.get(INBOX, u64(index)) if index < self.count else None
        return None if data is None else InboxEntry.decode(data)

    def records_of(self, entries: tuple[InboxEntry, ...]) -> tuple[Persist, ...]:
        """Entries that follow those held, to be stored before `advance`. ValueError if they do not follow."""
        for at, entry in enumerate(entries):
            if entry.index != self.count + at:
                raise ValueError(f"inbox entry {entry.index} does not follow entry {self.count + at - 1}")
        return tuple(Persist(kind=INBOX, key=u64(entry.index), value=entry.encoded) for entry in entries)

    def advance(self, head: int, entries: tuple[InboxEntry, ...] = ()) -> None:
        """All entries up to `head` are stored now."""
        self.count += len(entries)
        self.head = max(self.head, head)


def known_entry(inbox: InboxView, index: int) -> InboxEntry:
    """Raises Rejected FRC-1 for one that is not known here."""
    entry = inbox.entry(index)
    if entry is None:
        raise Rejected("FRC-1", f"entry {index} of the inbox is not known here")
    return entry


def is_waited_for(inbox: InboxView, key_id: bytes, *, start: int, window: int) -> bool:
    """Whether an entry from index `start` on that is encrypted to a key is overdue by what this party sees (FRC-8)."""
    index = start
    while window and (entry := inbox.entry(index)) is not None and entry.l1_block + window <= inbox.head:
        with suppress(Malformed):
            if EncryptedTransaction.decode(entry.data).header.key_id == key_id:
                return True
        index += 1
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """An entry that was passed over, and the requirement it misses."""

    index: int
    rule: str


def is_invalid(entry: InboxEntry, is_committed: Callable[[bytes], bool]) -> bool:
    """Whether the outcome of an entry that was passed over is `forced_invalid`: a transaction that is committed has its
    own (FRC-7)."""
    try:
        return not is_committed(EncryptedTransaction.decode(entry.data).tx_id)
    except Malformed:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a commitment makes of the inbox: its first transactions, who was passed over, and its inbox_index."""

    transactions: tuple[EncryptedTransaction, ...]
    passed: tuple[Passed, ...]
    index: int


def settle(
    inbox: InboxView,
    terms: Terms,
    *,
    start: int,
    l1_block: int,
    height: int,
    state: StateAt,
    verify: Callable[[EncryptedTransaction], object],
    is_in_flight: Callable[[bytes], bool],
    exhausted: bool,
) -> Settlement:
    """The walk over overdue entries from index `start` on, for the commitment of a height.

    l1_block        up to which it has read the chain below
    state           at the commitment's executed height
    verify          the ciphertext, TXN-9; raises Malformed or Rejected
    is_in_flight    whether a sender has a transaction in a height above the state's
    exhausted       whether the key has no round left
    """
    window, gas = terms.genesis.deadlines.force_l1_blocks, terms.genesis.gas_limit // 2
    room = max(terms.key_set.batch_limit // 2, 1)
    chosen: list[EncryptedTransaction] = []
    passed: list[Passed] = []
    spent: dict[bytes, tuple[int, int]] = {}
    index = start
    while window and len(chosen) < room and index < start + MAX_SETTLED:
        entry = inbox.entry(index)
        if entry is None or entry.l1_block + window > l1_block:
            break
        try:
            transaction = EncryptedTransaction.decode(entry.data)
            header = transaction.header
            if header.gas_limit > terms.genesis.gas_limit // 2:
                raise Rejected("FRC-4", "it would never find room")
            if header.gas_limit > gas:
                break
            if exhausted:
                raise Rejected("SEQ-9", "the key has no round left")
            if is_in_flight(header.sender):
                raise Rejected("MEM-5", "its sender has a transaction in flight")
            count, reserved = spent.get(header.sender, (0, 0))
            reserved += reservation(header)
            if header.nonce != state.nonce(header.sender) + count or reserved > state.balance(header.sender):
                raise Rejected("VOT-5", "its sender's nonce or balance is another one")
            if terms.addresses_height and header.target_height != height:
                raise Rejected("VOT-5", "it is addressed to another height")
            terms.check(transaction, height=height)
            verify(transaction)
        except (Malformed, Rejected) as error:
            passed.append(Passed(index=index, rule=getattr(error, "rule", "FRC-1")))
        else:
            chosen.append(transaction)
            spent[header.sender] = count + 1, reserved
            gas -= header.gas_limit
        index += 1
    return Settlement(transactions=tuple(chosen), passed=tuple(passed), index=index)
