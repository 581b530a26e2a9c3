"""Admission of encrypted transactions, and what may be committed next. Sees no plaintext and has no way to any.

Requirements:
MEM-1  a transaction is admitted once
MEM-2  its nonce is the sender's next one without a live transaction
MEM-3  the sender's balance covers the reservations of all its live transactions
MEM-4  a full pool admits nothing more, and a sender holds a bounded share of it
MEM-5  a sender with an unexecuted committed transaction is not committed again
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from encmempool.envelope import Epochs, Terms, reservation
from encmempool.errors import Rejected
from encmempool.ordering import Candidate, Policy, ascending_nonces, committed_order
from encmempool.types import EncryptedTransaction

MAX_PENDING = 100_000
MAX_PENDING_PER_SENDER = 64
MAX_UNEXECUTED = 32
"""How far commitments may run ahead of execution, in heights."""


class CiphertextVerifier(Protocol):
    """The scheme's public check, without the scheme."""

    def verify_ciphertext(self, transaction: EncryptedTransaction) -> object:
        """Raises Malformed or Rejected."""


class StateAt(Protocol):
    """The accounts as they are after one height was executed."""

    @property
    def height(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    def nonce(self, address: bytes) -> int: ...
    def balance(self, address: bytes) -> int: ...


class StateView(Protocol):
    """What was executed so far, read-only. Ordering sees this and nothing else of the revealed world."""

    @property
    def latest(self) -> StateAt: ...
    def at(self, height: int) -> StateAt | None:
        """The state after an earlier height, or None if it is not executed yet or no longer kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An admitted transaction; `sequence` is that of its receipt."""

    transaction: EncryptedTransaction
    sequence: int

    def candidate(self, base_fee: int) -> Candidate:
        return candidate(self.transaction, sequence=self.sequence, base_fee=base_fee)


class Mempool:
    """Live transactions by sender and nonce."""

    def __init__(self, terms: Terms, verifier: CiphertextVerifier, state: StateView) -> None:
        self.epochs = Epochs(terms)
        self._verifier = verifier
        self._state = state
        self._by_sender: dict[bytes, dict[int, Pending]] = {}
        self._known: set[bytes] = set()
        self._in_flight: dict[bytes, int] = {}
        self._size = 0
        self._expired_at = (0, 0)

    def __len__(self) -> int:
        return self._size

    def adopt(self, terms: Terms) -> None:
        """Take transactions for the next key set as well, and those alone from its start on."""
        self.epochs.adopt(terms)
        self._expired_at = (0, 0)

    def check(self, transaction: EncryptedTransaction, *, height: int) -> None:
        """Everything admission asks, for a commitment at `height` at the earliest. Cheapest checks first."""
        header = transaction.header
        if transaction.tx_id in self._known:
            raise Rejected("MEM-1", f"transaction 0x{transaction.tx_id.hex()} was already received")
        if self._size >= MAX_PENDING:
            raise Rejected("MEM-4", f"the mempool is full with {self._size} transactions: try again later")
        live = self._by_sender.get(header.sender, {})
        if len(live) >= MAX_PENDING_PER_SENDER:
            raise Rejected("MEM-4", f"the sender has {len(live)} transactions waiting, the most allowed")
        expected = self.next_nonce(header.sender)
        if header.nonce != expected:
            raise Rejected("MEM-2", f"nonce {header.nonce} is not the sender's next, which is {expected}")
        reserved = reservation(header) + sum(reservation(p.transaction.header) for p in live.values())
        balance = self._state.latest.balance(header.sender)
        if reserved > balance:
            raise Rejected(
                "MEM-3", f"the sender cannot pay: {reserved} wei to reserve in all, {balance} wei in the account"
            )
        self.epochs.check(transaction, height=height)
        self._verifier.verify_ciphertext(transaction)

    def add(self, pending: Pending) -> None:
        """Take a checked transaction, or one whose receipt says it was checked."""
        header = pending.transaction.header
        live = self._by_sender.setdefault(header.sender, {})
        self._size += header.nonce not in live  # records may hold an expired transaction and its replacement
        live[header.nonce] = pending
        self._known.add(pending.transaction.tx_id)

    def next_nonce(self, sender: bytes) -> int:
        """The lowest nonce from the executed one on that no live or committed transaction of the sender holds."""
        nonce = max(self._state.latest.nonce(sender), self._in_flight.get(sender, 0))
        live = self._by_sender.get(sender, {})
        while nonce in live:
            nonce += 1
        return nonce

    def select(self, *, height: int, policy: Policy) -> tuple[Pending, ...]:
        """The batch to commit at `height`, in the policy's order, within the batch's limits."""
        terms = self.epochs.at(height)
        genesis = terms.genesis
        ready = {p.transaction.tx_id: p for sender in self._by_sender for p in self._ready(sender, height)}
        ranked = committed_order(policy, [p.candidate(genesis.base_fee) for p in ready.values()])
        chosen: list[Candidate] = []
        closed: set[bytes] = set()
        gas = 0
        for item in ascending_nonces(ranked):
            if len(chosen) == terms.key_set.batch_limit:
                break
            needed = ready[item.tx_id].transaction.header.gas_limit
            if item.sender in closed or gas + needed > genesis.gas_limit:
                closed.add(item.sender)  # a later nonce must not overtake the one that did not fit
                continue
            gas += needed
            chosen.append(item)
        return tuple(ready[item.tx_id] for item in committed_order(policy, _contiguous(chosen, self._state.latest)))

    def commit(self, transactions: Iterable[EncryptedTransaction]) -> None:
        """Transactions that a commitment has taken. Its senders wait until it is executed."""
        for transaction in transactions:
            header = transaction.header
            self._known.add(transaction.tx_id)
            if self._by_sender.get(header.sender, {}).pop(header.nonce, None):
                self._size -= 1
            self._in_flight[header.sender] = max(header.nonce + 1, self._in_flight.get(header.sender, 0))

    def executed(self, senders: Iterable[bytes]) -> None:
        """A batch has run: its senders may be committed again, unless a later batch holds them too."""
        for sender in senders:
            if self._in_flight.get(sender, 0) <= self._state.latest.nonce(sender):
                self._in_flight.pop(sender, None)

    def expire(self, *, height: int) -> tuple[EncryptedTransaction, ...]:
        """Drop and return what can no longer be committed at `height` or later. Costs nothing while time stands."""
        now = (height, self._state.latest.height)
        if now == self._expired_at:
            return ()
        self._expired_at = now
        expired = []
        for sender, live in list(self._by_sender.items()):
            executed = self._state.latest.nonce(sender)
            for nonce, pending in list(live.items()):
                header = pending.transaction.header
                if min(header.valid_until, self.epochs.key_end(header.key_id)) < height or nonce < executed:
                    expired.append(live.pop(nonce).transaction)
            if not live:
                del self._by_sender[sender]
        self._size -= len(expired)
        return tuple(expired)

    def _ready(self, sender: bytes, height: int) -> list[Pending]:
        """A sender's transactions that could run now: unbroken nonces, for this key and height, covered by the
        balance."""
        if sender in self._in_flight:
            return []
        terms = self.epochs.at(height)
        nonce, left, ready = self._state.latest.nonce(sender), self._state.latest.balance(sender), []
        live = self._by_sender[sender]
        while (pending := live.get(nonce)) is not None:
            header = pending.transaction.header
            left -= reservation(header)
            if left < 0 or header.valid_until < height or header.key_id != terms.key_set.key_id:
                break
            if terms.addresses_height and header.target_height != height:
                break
            ready.append(pending)
            nonce += 1
        return ready


def candidate(transaction: EncryptedTransaction, *, sequence: int, base_fee: int) -> Candidate:
    """What an order policy may see of a transaction."""
    header = transaction.header
    return Candidate(
        tx_id=transaction.tx_id,
        sender=header.sender,
        nonce=header.nonce,
        sequence=sequence,
        priority_fee=min(header.max_priority_fee_per_gas, header.max_fee_per_gas - base_fee),
    )


def _contiguous(chosen: Sequence[Candidate], state: StateAt) -> list[Candidate]:
    """Drop what lost a lower nonce to a limit."""
    kept: list[Candidate] = []
    next_nonce: dict[bytes, int] = {}
    for item in sorted(chosen, key=lambda c: c.nonce):
        if item.nonce == next_nonce.get(item.sender, state.nonce(item.sender)):
            kept.append(item)
            next_nonce[item.sender] = item.nonce + 1
    return kept
