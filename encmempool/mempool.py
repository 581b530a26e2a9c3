"""Admission of encrypted transactions, and what may be committed next. Sees no plaintext and has no way to any.

Requirements:
MEM-1  a transaction is admitted once
MEM-2  its nonce is the sender's next one without a live transaction
MEM-3  the sender's balance covers the reservations of all its live transactions
MEM-4  a full pool admits nothing more, and a sender holds a bounded share of it
MEM-5  a sender with an unexecuted committed transaction is not committed again
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Protocol

from encmempool.envelope import Epochs, Terms, reservation
from encmempool.errors import Rejected
from encmempool.ethereum import TRANSFER_GAS
from encmempool.ordering import Candidate, Policy, Rank, committed_order, rank
from encmempool.types import EncryptedTransaction, OrderCommitment, Transaction

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
    @property
    def commitment(self) -> OrderCommitment | None:
        """The one executed at this height, or None before the first."""

    def nonce(self, address: bytes) -> int: ...
    def balance(self, address: bytes) -> int: ...


class StateView(Protocol):
    """What was executed so far, read-only. Ordering sees this and nothing else of the revealed world.

    Any thread may look while another one executes; what it gets does not change any more."""

    @property
    def latest(self) -> StateAt: ...
    def at(self, height: int) -> StateAt | None:
        """The state after an earlier height, or None if it is not executed yet or no longer kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An admitted transaction; `sequence` is that of its receipt, which no other one has."""

    transaction: EncryptedTransaction
    sequence: int

    def candidate(self, base_fee: int) -> Candidate:
        return candidate(self.transaction, sequence=self.sequence, base_fee=base_fee)


class Mempool:
    """Live transactions by sender and nonce; by rank and last height too, so that a batch costs little more than what
    it holds, however much waits behind it."""

    def __init__(
        self,
        terms: Terms,
        verifier: CiphertextVerifier,
        state: StateView,
        *,
        received: Callable[[bytes], bool] | None = None,
    ) -> None:
        """`received` says of an id whether its transaction was received before; without it the pool remembers all."""
        self.epochs = Epochs(terms)
        self._verifier = verifier
        self._state = state
        self._received = received
        self._live: dict[int, Pending] = {}
        self._by_sender: dict[bytes, dict[int, Pending]] = {}
        self._last_heights: list[tuple[int, int]] = []
        self._overtaken: set[bytes] = set()
        self._policy = Policy(terms.key_set.policy_id)
        self._ranked: list[tuple[Rank, int]] = []
        self._sorted = True
        self._candidates: dict[int, Candidate] = {}
        self._known: set[bytes] = set()
        self._in_flight: dict[bytes, int] = {}
        self._expired_at = (0, 0)

    def __len__(self) -> int:
        return len(self._live)

    def adopt(self, terms: Terms) -> None:
        """Take transactions for the next key set as well, and those alone from its start on."""
        self.epochs.adopt(terms)
        self._move_key_ends()

    def use_up(self, key_id: bytes, *, height: int) -> None:
        """The key's last round was given to a height: what else is encrypted to it expires there."""
        self.epochs.use_up(key_id, height=height)
        self._move_key_ends()

    def check(self, transaction: EncryptedTransaction, *, height: int) -> None:
        """Everything admission asks, for a commitment at `height` at the earliest. Cheapest checks first."""
        header = transaction.header
        if self._was_received(transaction.tx_id):
            raise Rejected("MEM-1", f"transaction 0x{transaction.tx_id.hex()} was already received")
        if len(self) >= MAX_PENDING:
            raise Rejected("MEM-4", f"the mempool is full with {len(self)} transactions: try again later")
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

    def add(self, pending: Pending) -> EncryptedTransaction | None:
        """Take a checked transaction, or one whose receipt says it was checked. Returns the one it replaces, if any:
        records may hold an expired transaction and its replacement."""
        header = pending.transaction.header
        own = self._by_sender.setdefault(header.sender, {})
        replaced = own.get(header.nonce)
        if replaced is not None:
            self._forget(replaced)
        own[header.nonce] = self._live[pending.sequence] = pending
        self._take_note(pending.transaction)
        heappush(self._last_heights, (self._last_height(pending), pending.sequence))
        self._overtaken.add(header.sender)
        self._rank(pending)
        return None if replaced is None else replaced.transaction

    def next_nonce(self, sender: bytes) -> int:
        """The lowest nonce from the executed one on that no live or committed transaction of the sender holds."""
        nonce = max(self._state.latest.nonce(sender), self._in_flight.get(sender, 0))
        live = self._by_sender.get(sender, {})
        while nonce in live:
            nonce += 1
        return nonce

    def select(
        self,
        *,
        height: int,
        policy: Policy,
        state: StateAt | None = None,
        forced: Sequence[EncryptedTransaction] = (),
    ) -> tuple[Pending, ...]:
        """What follows the forced transactions in the batch of `height`, in the policy's order, within its limits.

        state    that the commitment will name: who executes may be ahead of it by the time this looks
        """
        terms = self.epochs.at(height)
        batch_limit = terms.key_set.batch_limit - len(forced)
        gas_left = terms.genesis.gas_limit - sum(transaction.header.gas_limit for transaction in forced)
        chosen: dict[bytes, Pending] = {}
        closed = {transaction.header.sender for transaction in forced}
        for pending in self._ready_by_rank(policy, height, terms, state or self._state.latest):
            if len(chosen) == batch_limit or gas_left < TRANSFER_GAS:  # no transaction has a lower limit
                break
            header = pending.transaction.header
            if header.sender in closed or header.gas_limit > gas_left:
                closed.add(header.sender)  # a later nonce must not overtake the one that did not fit
                continue
            gas_left -= header.gas_limit
            chosen[pending.transaction.tx_id] = pending
        candidates = [self._candidates[pending.sequence] for pending in chosen.values()]
        return tuple(chosen[item.tx_id] for item in committed_order(policy, candidates))

    def has_ready(self, *, height: int) -> bool:
        """Whether a batch at `height` would have anything in it."""
        terms, state = self.epochs.at(height), self._state.latest
        return any(True for _ in self._ready_by_rank(self._policy, height, terms, state))

    def is_in_flight(self, sender: bytes) -> bool:
        """Whether a committed transaction of the sender waits for its execution."""
        return sender in self._in_flight

    def commit(self, transactions: Iterable[EncryptedTransaction]) -> None:
        """Transactions that a commitment has taken. Its senders wait until it is executed."""
        for transaction in transactions:
            header = transaction.header
            self._take_note(transaction)
            if header.nonce in self._by_sender.get(header.sender, {}):
                self._remove(header.sender, header.nonce)
            self._in_flight[header.sender] = max(header.nonce + 1, self._in_flight.get(header.sender, 0))

    def retract(self, transactions: Iterable[EncryptedTransaction]) -> None:
        """Their commitment is void. They do not come back, but their senders wait for it no longer."""
        for transaction in transactions:
            self._in_flight.pop(transaction.header.sender, None)

    def executed(self, senders: Iterable[bytes]) -> None:
        """A batch has run: its senders may be committed again, unless a later batch holds them too."""
        state = self._state.latest
        for sender in senders:
            self._overtaken.add(sender)
            if self._in_flight.get(sender, 0) <= state.nonce(sender):
                self._in_flight.pop(sender, None)

    def expire(self, *, height: int) -> tuple[EncryptedTransaction, ...]:
        """Drop and return what can no longer be committed at `height` or later. Costs nothing while time stands."""
        state = self._state.latest
        now = (height, state.height)
        if now == self._expired_at:
            return ()
        self._expired_at = now
        expired = []
        while self._last_heights and self._last_heights[0][0] < height:
            _, sequence = heappop(self._last_heights)
            if (late := self._live.get(sequence)) is not None:
                header = late.transaction.header
                expired.append(self._remove(header.sender, header.nonce))
        for sender in self._overtaken:
            own = self._by_sender.get(sender)
            if own is not None and min(own) < (executed := state.nonce(sender)):
                expired += [self._remove(sender, nonce) for nonce in list(own) if nonce < executed]
        self._overtaken.clear()
        if len(self._last_heights) > 2 * len(self._live):  # most of them are of transactions that were committed
            self._last_heights = [item for item in self._last_heights if item[1] in self._live]
            heapify(self._last_heights)
        return tuple(expired)

    @property
    def live(self) -> Iterable[Pending]:
        """In no particular order."""
        return self._live.values()

    def _was_received(self, tx_id: bytes) -> bool:
        return tx_id in self._known if self._received is None else self._received(tx_id)

    def _take_note(self, transaction: EncryptedTransaction) -> None:
        if self._received is None:
            self._known.add(transaction.tx_id)

    def _remove(self, sender: bytes, nonce: int) -> EncryptedTransaction:
        own = self._by_sender[sender]
        pending = own.pop(nonce)
        if not own:
            del self._by_sender[sender]
        self._forget(pending)
        return pending.transaction

    def _forget(self, pending: Pending) -> None:
        del self._live[pending.sequence]
        self._candidates.pop(pending.sequence, None)

    def _last_height(self, pending: Pending) -> int:
        header = pending.transaction.header
        return min(header.valid_until, self.epochs.key_end(header.key_id))

    def _move_key_ends(self) -> None:
        self._last_heights = [(self._last_height(pending), pending.sequence) for pending in self._live.values()]
        heapify(self._last_heights)
        self._expired_at = (0, 0)

    def _ready_by_rank(self, policy: Policy, height: int, terms: Terms, state: StateAt) -> Iterator[Pending]:
        """What could run now, each sender's by ascending nonce on the ranks it has. Looks no further than asked."""
        ready: dict[bytes, tuple[list[Pending], Iterator[Pending]]] = {}
        for _, sequence in self._by_rank(policy):
            if (pending := self._live.get(sequence)) is None:
                continue
            sender = pending.transaction.header.sender
            if sender not in ready:
                own = self._ready(sender, height, terms, state)
                ready[sender] = own, iter(own)
            own, following = ready[sender]
            if pending in own:
                yield next(following)

    def _by_rank(self, policy: Policy) -> list[tuple[Rank, int]]:
        """Rank and sequence of what is live, in the policy's order, and of some that is no more."""
        if policy is not self._policy:
            self._policy, self._ranked = policy, []
            for pending in self._live.values():
                self._rank(pending)
        if not self._sorted:
            self._ranked.sort()
            self._sorted = True
        self._forget_ranks(room=0)
        return self._ranked

    def _rank(self, pending: Pending) -> None:
        item = self._candidates[pending.sequence] = pending.candidate(self.epochs.genesis.base_fee)
        self._forget_ranks(room=MAX_PENDING_PER_SENDER)
        self._ranked.append((rank(self._policy, item), pending.sequence))
        self._sorted = False

    def _forget_ranks(self, *, room: int) -> None:
        if len(self._ranked) > 2 * len(self._live) + room:
            self._ranked = [item for item in self._ranked if item[1] in self._live]

    def _ready(self, sender: bytes, height: int, terms: Terms, state: StateAt) -> list[Pending]:
        """A sender's transactions that could run now: unbroken nonces, for this key and height, covered by the
        balance."""
        if sender in self._in_flight:
            return []
        nonce, left, ready = state.nonce(sender), state.balance(sender), []
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


def candidate(transaction: Transaction, *, sequence: int, base_fee: int) -> Candidate:
    """What an order policy may see of a transaction."""
    header = transaction.header
    return Candidate(
        tx_id=transaction.tx_id,
        sender=header.sender,
        nonce=header.nonce,
        sequence=sequence,
        priority_fee=min(header.max_priority_fee_per_gas, header.max_fee_per_gas - base_fee),
    )
