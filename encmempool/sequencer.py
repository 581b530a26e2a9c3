"""The sequencer: receipts for ciphertexts and signed order commitments. Holds no key material and sees no plaintext.

Sans-IO. Whatever it signs is stored before it leaves, one commitment for a height for ever; restarted from its
records it sends the same bytes again. Whoever performs the effects drops the sequencer and restores it from its
records if one of them fails. The effects of several calls may be performed together, in their order.

What is executed or expired need not stay in memory: it is read from the records when somebody asks.

Requirements:
SEQ-1  a receipt leaves only after the transaction and the receipt are durable
SEQ-2  a sequencer's receipt sequences ascend without gaps
SEQ-3  one commitment per height; it is durable before it leaves
SEQ-4  a receipt's include_by height is at most the transaction's valid_until and the key's end, and not before the
       key's start
SEQ-5  commitments run ahead of execution by at most MAX_UNEXECUTED heights, and another sequencer's first one follows
       when all before it is executed
SEQ-6  receipts are given for transactions of key sets that name this sequencer, and no others
SEQ-9  when the key's rounds are used up, nothing more is admitted and only empty batches are committed
SEQ-10 before members sign the next key set it is announced, once; from its start on nothing is committed without it
SEQ-11 commitments are made for heights of key sets that name this sequencer, and no others
SEQ-14 a commitment settles what is overdue in the inbox up to the block that it names
SEQ-15 what a drop makes void is never committed again, and nothing is built on it
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

from encmempool.checkpoint import SequenceRange, ranges_of
from encmempool.envelope import Terms
from encmempool.errors import Malformed, Rejected, StorageError
from encmempool.forced import InboxView, NoInbox, Settlement, settle
from encmempool.intervals import IntervalSet
from encmempool.mempool import (
    MAX_PENDING,
    MAX_UNEXECUTED,
    CiphertextVerifier,
    Mempool,
    Pending,
    StateAt,
    StateView,
)
from encmempool.ordering import Policy
from encmempool.ssz import U64, Hash, Limit, SszObject
from encmempool.store import Records
from encmempool.types import (
    MAX_BATCH,
    BatchList,
    EncryptedTransaction,
    KeySet,
    OrderCommitment,
    Proposal,
    Receipt,
    SignedCommitment,
    SignedReceipt,
    signing_digest,
)
from threshold.encoding import u16, u64
from threshold.sansio import Persist, Send, Signer

TRANSACTION = "transaction"
RECEIPT = "receipt"
RECEIPT_OF = "receipt-of"
"""By transaction id: the key of its receipt."""
COMMITMENT = "commitment"
PLACE = "place"
"""By transaction id: the key of the commitment that has it."""
FORCED = "forced-count"
"""By height: how many of its transactions came from the inbox, if any did."""
DROP = "drop"
"""By height: the abstentions that dropped it. Written by whoever follows the committee."""
ANNOUNCED = "announced-key-set"
SEQUENCER_CHECKPOINT = "sequencer-checkpoint"
_ROTATE = "run `encmempool committee rotate`"
_NEW_KEY = "run `encmempool committee rotate --new-key`"
_MAX_KEYS = 1 << 16


class NamedSigner(Signer, Protocol):
    """A signer that says who it is."""

    @property
    def address(self) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class CommittedBatch(SszObject):
    """What the sequencer stores of a height: the signed commitment and the ids it commits to."""

    commitment: SignedCommitment
    tx_ids: Annotated[tuple[Hash, ...], Limit(MAX_BATCH)]


@dataclass(frozen=True, kw_only=True)
class UsedUp(SszObject):
    """A key whose last round was given to a height."""

    key_id: Hash
    height: U64


@dataclass(frozen=True, kw_only=True)
class SequencerCheckpoint(SszObject):
    """Where to begin reading the records: what was live when all up to a height was executed.

    next_sequence    of the first receipt after it
    live             sequences of transactions that waited for their commitment
    """

    executed_height: U64
    next_sequence: U64
    live: Annotated[tuple[SequenceRange, ...], Limit(MAX_PENDING)]
    used_up: Annotated[tuple[UsedUp, ...], Limit(_MAX_KEYS)]


class _Held:
    """A state view that stands still between two looks, so that a call sees one state from its beginning to its end,
    whatever another thread executes meanwhile."""

    def __init__(self, source: StateView) -> None:
        self._source = source
        self.latest: StateAt = source.latest

    def look(self) -> None:
        self.latest = self._source.latest

    def at(self, height: int) -> StateAt | None:
        return self._source.at(height)


class Sequencer:
    def __init__(
        self,
        *,
        terms: Terms,
        successors: Sequence[Terms] = (),
        identity: NamedSigner,
        verifier: CiphertextVerifier,
        state: StateView,
        records: Records,
        inbox: InboxView | None = None,
        kept: int | None = None,
        checkpoints: bool = True,
    ) -> None:
        """`terms` of the first key set; this sequencer acts at heights whose key set names it, and starts above what
        others committed to there.

        kept           how many executed heights to hold in memory, besides what waits; by default all of them
        checkpoints    whether to start from the newest one, where not everything is held
        """
        self.address = identity.address
        self._genesis_root = terms.genesis_root
        self._identity = identity
        self._state = _Held(state)
        self._records = records
        self._verifier = verifier
        self._inbox = inbox or NoInbox()
        self._kept = kept
        self._mempool = Mempool(terms, verifier, self._state, received=self._has_receipt)
        self._epochs = self._mempool.epochs
        self._transactions: dict[bytes, EncryptedTransaction] = {}
        self._receipts: dict[bytes, SignedReceipt] = {}
        self._places: dict[bytes, int] = {}
        self._batches: dict[int, CommittedBatch] = {}
        self._forced: dict[int, int] = {}
        self._dropped: set[int] = set()
        self._void: set[int] = set()
        """Heights of own commitments that were dropped or built on dropped ones."""
        self._unexecuted: list[CommittedBatch] = []
        self._executed: deque[CommittedBatch] = deque()
        self._last: CommittedBatch | None = None
        self._next_sequence = 0
        self._used_up: dict[bytes, int] = {}
        self._announced: dict[bytes, KeySet] = {}
        self._checkpoints = 0
        for later in successors:
            self._mempool.adopt(later)
        self._restore(checkpoints=checkpoints)

    @property
    def height(self) -> int:
        """Of the last commitment before the next one that is this sequencer's to make: its own, 0 before the first, or
        where the heights of another one end."""
        following = self._epochs.first_height if self._last is None else self._last.commitment.message.height + 1
        while following in self._dropped:
            following += 1
        if self._owns(following):
            return following - 1
        return next((start - 1 for start in self._own_starts() if start >= following), following - 1)

    @property
    def terms(self) -> Terms:
        """Those of the next commitment."""
        return self._epochs.at(self.height + 1)

    @property
    def in_office(self) -> bool:
        """Whether a key set that is known leaves the next commitment to this sequencer."""
        return self.terms.key_set.sequencer == self.address

    @property
    def tip(self) -> tuple[int, bytes, int]:
        """Height, root and round of its last commitment, or what the first key set starts from. Raises Rejected SEQ-5
        while that height is dropped and not executed."""
        if self._last is None:
            first = self._epochs.at(0).key_set
            return first.start_height - 1, first.start_parent, first.start_round
        message = self._newest(self._last.commitment.message)
        return message.height, message.root, message.round

    def drop(self, height: int) -> None:
        """Members abstained at a height, as the records say by now: what this sequencer committed to there and above
        is void, and its transactions do not come back."""
        self._dropped.add(height)
        if self._last is not None:
            self._void.update(range(height, self._last.commitment.message.height + 1))
        for held in (self._unexecuted, self._executed):  # the follower may have executed what is left of it
            for batch in [batch for batch in held if batch.commitment.message.height >= height]:
                self._mempool.retract(map(self._transaction, batch.tx_ids))
                held.remove(batch)
                self._let_go(batch)

    def _newest(self, own: OrderCommitment) -> OrderCommitment:
        """What stands at the height of the last commitment: that, or where it is void what the state says."""
        if own.height not in self._void:
            return own
        executed = self._state.latest.commitment
        if executed is None or executed.height != own.height:
            raise Rejected("SEQ-5", f"the commitment of height {own.height} is void, and nothing is executed there yet")
        return executed

    @property
    def has_ready(self) -> bool:
        """Whether the next commitment would have a transaction."""
        self._drop_ended()
        return self.rounds_left != 0 and self._mempool.has_ready(height=self.height + 1)

    @property
    def rounds_left(self) -> int | None:
        """How many more batches the key opens, or None if it sets no limit."""
        terms = self.terms
        return terms.key_set.rounds - self._round_before(terms) if terms.rounds_limited else None

    def terms_of(self, key_id: bytes) -> Terms:
        """Those under which transactions of a key are taken now."""
        return self._epochs.of_key(key_id, height=self.height + 1)

    def key_end(self, key_id: bytes) -> int:
        """The last height of a key: where its rounds were used up, or as far as its successor is known."""
        return self._epochs.key_end(key_id)

    def adopt(self, terms: Terms) -> None:
        """Take the next key set: from its start on it governs, and its transactions are admitted from now on. If it
        names another sequencer, what this one committed to from its start on is void."""
        self._mempool.adopt(terms)
        start = terms.key_set.start_height
        void = [batch for batch in self._unexecuted if batch.commitment.message.height >= start]
        for batch in void:
            self._mempool.retract(map(self._transaction, batch.tx_ids))
            self._unexecuted.remove(batch)
            self._let_go(batch)
        if void:
            data = self._records.get(COMMITMENT, u64(start - 1))  # also if it is void
            self._last = None if data is None else CommittedBatch.decode(data)

    def announce(self, key_set: KeySet) -> tuple[Persist, ...]:
        """Leave the heights from its start on to a key set that members are about to sign. Raises Rejected SEQ-10."""
        if key_set.start_height <= self.height:
            raise Rejected("SEQ-10", f"height {key_set.start_height} was committed to under the key set before")
        if self._announced.setdefault(key_set.predecessor, key_set) != key_set:
            raise Rejected("SEQ-10", "another successor of this key set was announced: finish that one first")
        return (Persist(kind=ANNOUNCED, key=key_set.predecessor, value=key_set.encoded),)

    def announced(self, committee_id: bytes) -> KeySet | None:
        """The successor of a key set that members were asked to sign."""
        return self._announced.get(committee_id)

    @property
    def pending(self) -> int:
        self._drop_ended()
        return len(self._mempool)

    def next_nonce(self, sender: bytes) -> int:
        self._drop_ended()
        return self._mempool.next_nonce(sender)

    def receipt(self, tx_id: bytes) -> SignedReceipt | None:
        """This sequencer's."""
        if tx_id in self._receipts:
            return self._receipts[tx_id]
        key = self._records.get(RECEIPT_OF, tx_id)
        data = None if key is None else self._records.get(RECEIPT, key)
        return None if data is None else SignedReceipt.decode(data)

    def transaction(self, tx_id: bytes) -> EncryptedTransaction | None:
        if tx_id in self._transactions:
            return self._transactions[tx_id]
        data = self._records.get(TRANSACTION, tx_id)
        return None if data is None else EncryptedTransaction.decode(data)

    def place(self, tx_id: bytes) -> int | None:
        """The height at which this sequencer committed to a transaction, unless that commitment is void."""
        height = self._places.get(tx_id)
        if height is None and (key := self._records.get(PLACE, tx_id)) is not None:
            height = int.from_bytes(key, "big")
        return height if height is not None and self._stands(height) else None

    def dropped_at(self, tx_id: bytes) -> int | None:
        """The height of a dropped commitment that held a transaction."""
        key = self._records.get(PLACE, tx_id)
        height = None if key is None else int.from_bytes(key, "big")
        return height if height in self._void else None

    def batch(self, height: int) -> CommittedBatch | None:
        """What this sequencer committed to at a height; None where it did not, or where that is void."""
        if height in self._batches:
            return self._batches[height]
        data = self._records.get(COMMITMENT, u64(height)) if self._stands(height) else None
        return None if data is None else CommittedBatch.decode(data)

    def live(self) -> tuple[tuple[EncryptedTransaction, SignedReceipt], ...]:
        """What has a receipt and can still be committed, by sequence."""
        self._drop_ended()
        pending = sorted(self._mempool.live, key=lambda pending: pending.sequence)
        return tuple((p.transaction, self._receipts[p.transaction.tx_id]) for p in pending)

    def uncommitted(self) -> tuple[tuple[EncryptedTransaction, SignedReceipt], ...]:
        """All that has a receipt and no place with it in a commitment, by sequence, however long ago it expired: for
        those who read history. What was forced is committed without its receipt. Reads every receipt there is."""
        receipts = self._receipts.values() if self._kept is None else self._stored_receipts()
        return tuple(
            (self._transaction(receipt.message.tx_id), receipt)
            for receipt in receipts
            if not self._is_committed_with_receipt(receipt.message.tx_id)
        )

    def _is_committed_with_receipt(self, tx_id: bytes) -> bool:
        height = self.place(tx_id)
        batch = None if height is None else self.batch(height)
        return batch is not None and tx_id in batch.tx_ids[self._forced_at(batch) :]

    def submit(self, data: bytes, *, now_ms: int) -> tuple[Persist | Send, ...]:
        """Admit one encoded envelope. The last effect sends the signed receipt. Raises Malformed or Rejected."""
        return self.admit(EncryptedTransaction.decode(data), now_ms=now_ms)

    def admit(self, transaction: EncryptedTransaction, *, now_ms: int) -> tuple[Persist | Send, ...]:
        """The same of one that is decoded. Raises Rejected, or Malformed for the ciphertext."""
        self._drop_ended()
        height = self.height + 1
        header = transaction.header
        terms = self._epochs.of_key(header.key_id, height=height)
        if terms.key_set.sequencer != self.address:
            raise Rejected("SEQ-6", f"transactions of this key are received by 0x{terms.key_set.sequencer.hex()} now")
        if self.rounds_left == 0 and header.key_id == self.terms.key_set.key_id:
            raise Rejected("SEQ-9", f"all {terms.key_set.rounds} rounds of this key are used: {_NEW_KEY}")
        self._mempool.check(transaction, height=height)
        deadlines = terms.genesis.deadlines
        first = max(height, self._epochs.key_start(header.key_id))
        last = min(header.valid_until, self._epochs.key_end(header.key_id))
        l1_block = self._inbox.head
        promised = last if terms.addresses_height else min(first - 1 + deadlines.include_heights, last)
        receipt = Receipt(
            tx_id=transaction.tx_id,
            sequence=self._next_sequence,
            received_at_ms=now_ms,
            include_by_height=promised,
            include_by_l1_block=l1_block + deadlines.include_l1_blocks,
            reveal_by_l1_block=l1_block + deadlines.include_l1_blocks + deadlines.reveal_l1_blocks,
        )
        signature = self._identity.sign(signing_digest(receipt, self._genesis_root))
        signed = SignedReceipt(message=receipt, signature=signature)
        self._take(transaction, signed)
        key = u64(receipt.sequence)
        return (
            Persist(kind=TRANSACTION, key=transaction.tx_id, value=transaction.encoded),
            Persist(kind=RECEIPT, key=key, value=signed.encoded),
            Persist(kind=RECEIPT_OF, key=transaction.tx_id, value=key),
            Send(message=signed.encoded),
        )

    def commit(self, *, now_ms: int) -> tuple[Persist | Send, ...]:
        """Fix the next height's order; an empty batch is valid. The last effect sends the Proposal to all members."""
        self._drop_ended()
        state = self._state.latest
        height, terms = self.height + 1, self.terms
        key_set = terms.key_set
        if key_set.sequencer != self.address:
            raise Rejected("SEQ-11", f"height {height} belongs to the sequencer 0x{key_set.sequencer.hex()}")
        if height > key_set.valid_until:
            raise Rejected("SEQ-3", f"the key ends at height {key_set.valid_until}: {_ROTATE}")
        announced = self.announced(key_set.root)
        if announced is not None and height >= announced.start_height:
            raise Rejected("SEQ-10", f"height {height} is left to a key set that is not signed yet: {_ROTATE}")
        waiting = height - state.height
        if waiting > MAX_UNEXECUTED:
            raise Rejected("SEQ-5", f"{waiting - 1} heights wait for their reveal: let the committee catch up first")
        parent = self._parent(height, state)
        exhausted, policy = self.rounds_left == 0, Policy(key_set.policy_id)
        l1_block = self._l1_block(parent)
        settlement = self._settle(height, parent, state, l1_block)
        forced = settlement.transactions
        chosen = () if exhausted else self._mempool.select(height=height, policy=policy, state=state, forced=forced)
        tx_ids = tuple(t.tx_id for t in (*forced, *(pending.transaction for pending in chosen)))
        commitment = OrderCommitment(
            height=height,
            parent=parent.root if parent else key_set.start_parent,
            committee_id=key_set.root,
            key_id=key_set.key_id,
            round=self._round_before(terms) + bool(tx_ids),
            batch_root=BatchList(tx_ids=tx_ids).root,
            count=len(tx_ids),
            policy_id=key_set.policy_id,
            l1_block=l1_block,
            inbox_index=settlement.index,
            timestamp_ms=max(now_ms, parent.timestamp_ms if parent else terms.genesis.timestamp_ms),
            executed_height=state.height,
            state_root=state.root,
        )
        signature = self._identity.sign(signing_digest(commitment, self._genesis_root))
        batch = CommittedBatch(commitment=SignedCommitment(message=commitment, signature=signature), tx_ids=tx_ids)
        self._transactions.update({transaction.tx_id: transaction for transaction in forced})
        self._forced[height] = len(forced)
        self._append(batch)
        key = u64(height)
        return (
            *(Persist(kind=TRANSACTION, key=t.tx_id, value=t.encoded) for t in forced),
            *((Persist(kind=FORCED, key=key, value=u16(len(forced))),) if forced else ()),
            Persist(kind=COMMITMENT, key=key, value=batch.encoded),
            *(Persist(kind=PLACE, key=tx_id, value=key) for tx_id in tx_ids),
            Send(message=self.proposal(batch).encoded),
        )

    def _settle(self, height: int, parent: OrderCommitment | None, state: StateAt, l1_block: int) -> Settlement:
        return settle(
            self._inbox,
            self.terms,
            start=parent.inbox_index if parent else 0,
            l1_block=l1_block,
            height=height,
            state=state,
            verify=self._verifier.verify_ciphertext,
            is_in_flight=self._mempool.is_in_flight,
            exhausted=self.rounds_left == 0,
        )

    def _l1_block(self, parent: OrderCommitment | None) -> int:
        """As far as the chain below was read, once for a commitment: another thread reads on.

        A new sequencer may have read less than the one before. Raises Rejected SEQ-14 if an entry could be overdue
        that it does not know."""
        head, before = self._inbox.head, parent.l1_block if parent else 0
        window = self._epochs.genesis.deadlines.force_l1_blocks
        if window and head + window < before:
            raise Rejected("SEQ-14", f"the chain below was read up to block {head} only, and before up to {before}")
        return max(head, before)

    def resend(self) -> tuple[Send, ...]:
        """After a restart: the newest proposal once more, byte for byte."""
        return (Send(message=self.proposal(self._last).encoded),) if self._last else ()

    def proposal(self, batch: CommittedBatch) -> Proposal:
        """The commitment with the bytes and receipts members need to check it."""
        return Proposal(
            commitment=batch.commitment,
            transactions=tuple(map(self._transaction, batch.tx_ids)),
            receipts=tuple(map(self._receipt, batch.tx_ids[self._forced_at(batch) :])),
        )

    def _forced_at(self, batch: CommittedBatch) -> int:
        """How many transactions of a batch were forced: its first."""
        height = batch.commitment.message.height
        if not self._epochs.genesis.deadlines.force_l1_blocks:
            return 0
        if height not in self._forced:
            stored = self._records.get(FORCED, u64(height))
            return 0 if stored is None else int.from_bytes(stored, "big")
        return self._forced[height]

    def checkpoint(self) -> Persist:
        """A record from which the next start reads on. Older ones may be erased once it is stored."""
        self._drop_ended()
        live = IntervalSet()
        for pending in self._mempool.live:
            live.add(pending.sequence)
        checkpoint = SequencerCheckpoint(
            executed_height=self._state.latest.height,
            next_sequence=self._next_sequence,
            live=ranges_of(live),
            used_up=tuple(UsedUp(key_id=key_id, height=height) for key_id, height in sorted(self._used_up.items())),
        )
        self._checkpoints += 1
        return Persist(kind=SEQUENCER_CHECKPOINT, key=u64(self._checkpoints), value=checkpoint.encoded)

    def _own_starts(self) -> Iterable[int]:
        return (terms.key_set.start_height for terms in self._epochs if terms.key_set.sequencer == self.address)

    def _parent(self, height: int, state: StateAt) -> OrderCommitment | None:
        """The commitment below a height, None below the first. Raises Rejected SEQ-3 or SEQ-5."""
        if state.height >= height:
            raise Rejected(
                "SEQ-3",
                f"height {state.height} is executed, and not in this sequencer's records: restore the newest copy",
            )
        if self._last is not None and self._last.commitment.message.height == height - 1:
            return self._newest(self._last.commitment.message)
        if height == self._epochs.first_height:
            return None
        if state.height < height - 1 or state.commitment is None:
            raise Rejected("SEQ-5", f"this sequencer's first height is {height}, and {height - 1} is not executed yet")
        return state.commitment

    def _round_before(self, terms: Terms) -> int:
        """The round of the last commitment under these terms, or the one they start from."""
        if self._last is None or self.height < terms.key_set.start_height:
            return terms.key_set.start_round
        return self._newest(self._last.commitment.message).round

    def _owns(self, height: int) -> bool:
        """Whether the key set of a height names this sequencer. Where one was adopted that names another, what this
        one had committed to is void."""
        return self._epochs.at(height).key_set.sequencer == self.address

    def _stands(self, height: int) -> bool:
        return self._owns(height) and height not in self._void

    def _transaction(self, tx_id: bytes) -> EncryptedTransaction:
        return _found(self.transaction(tx_id), tx_id)

    def _receipt(self, tx_id: bytes) -> SignedReceipt:
        return _found(self.receipt(tx_id), tx_id)

    def _has_receipt(self, tx_id: bytes) -> bool:
        return self.receipt(tx_id) is not None

    def _stored_receipts(self, *, start: int = 0, limit: int | None = None) -> Iterator[SignedReceipt]:
        for _, value in self._records.scan(RECEIPT, start=u64(start), limit=limit):
            yield SignedReceipt.decode(value)

    def _restore(self, *, checkpoints: bool) -> None:
        self._dropped.update(int.from_bytes(key, "big") for key, _ in self._records.scan(DROP))
        for key, value in self._records.scan(ANNOUNCED):
            self._announced[key] = KeySet.decode(value)
        executed = self._state.latest.height
        checkpoint = self._newest_checkpoint() if checkpoints else None
        if checkpoint is None:
            lowest = 0
            for receipt in self._stored_receipts():
                self._restore_receipt(receipt, executed)
        else:
            lowest = min(checkpoint.executed_height, executed)
            for used in checkpoint.used_up:
                self._use_up(used.key_id, used.height)
            for waited in checkpoint.live:
                for receipt in self._stored_receipts(start=waited.first, limit=waited.last - waited.first + 1):
                    self._restore_receipt(receipt, executed)
            for receipt in self._stored_receipts(start=checkpoint.next_sequence):
                self._restore_receipt(receipt, executed)
            self._next_sequence = max(self._next_sequence, checkpoint.next_sequence)
        void_root = None
        for _, value in self._records.scan(COMMITMENT, start=u64(lowest)):
            batch = CommittedBatch.decode(value)
            message = batch.commitment.message
            if message.height in self._dropped or message.parent == void_root:
                self._last, void_root = batch, message.root
                self._void.add(message.height)
                self._mempool.commit(map(self._transaction, batch.tx_ids))
                self._mempool.retract(map(self._transaction, batch.tx_ids))
            elif self._owns(batch.commitment.message.height):
                self._append(batch, of_old=self._kept is not None and batch.commitment.message.height <= executed)
        self._drop_ended()

    def _newest_checkpoint(self) -> SequencerCheckpoint | None:
        newest = self._records.last(SEQUENCER_CHECKPOINT)
        if newest is None:
            return None
        key, value = newest
        self._checkpoints = int.from_bytes(key, "big")
        if self._kept is None:
            return None
        try:
            return SequencerCheckpoint.decode(value)
        except Malformed as error:
            raise StorageError(
                f"the sequencer's newest checkpoint is damaged ({error}): restore the newest copy of its database, or "
                "start without checkpoints, which reads everything"
            ) from error

    def _restore_receipt(self, receipt: SignedReceipt, executed: int) -> None:
        """Take what may be live still, or is committed and not executed."""
        tx_id = receipt.message.tx_id
        self._next_sequence = receipt.message.sequence + 1
        if self._kept is not None and (place := self.place(tx_id)) is not None and place <= executed:
            return
        self._take(self._transaction(tx_id), receipt)

    def _take(self, transaction: EncryptedTransaction, receipt: SignedReceipt) -> None:
        self._transactions[transaction.tx_id] = transaction
        self._receipts[transaction.tx_id] = receipt
        self._next_sequence = receipt.message.sequence + 1
        replaced = self._mempool.add(Pending(transaction=transaction, sequence=receipt.message.sequence))
        if replaced is not None:
            self._let_go_of(replaced.tx_id)

    def _append(self, batch: CommittedBatch, *, of_old: bool = False) -> None:
        """`of_old`: it is executed, and nobody is going to ask for its transactions."""
        message = batch.commitment.message
        self._last = batch
        terms = self._epochs.at(message.height)
        if terms.rounds_limited and message.round == terms.key_set.rounds:
            self._use_up(message.key_id, message.height)
        if not of_old:
            self._batches[message.height] = batch
            self._places.update(dict.fromkeys(batch.tx_ids, message.height))
            self._unexecuted.append(batch)
            self._mempool.commit(map(self._transaction, batch.tx_ids))

    def _use_up(self, key_id: bytes, height: int) -> None:
        self._used_up.setdefault(key_id, height)
        self._mempool.use_up(key_id, height=height)

    def _drop_ended(self) -> None:
        """Look at the state, and forget what can no longer be committed: its nonces are free."""
        self._state.look()
        self._note_execution()
        for expired in self._mempool.expire(height=self.height + 1):
            self._let_go_of(expired.tx_id)

    def _note_execution(self) -> None:
        executed = self._state.latest.height
        while self._unexecuted and self._unexecuted[0].commitment.message.height <= executed:
            batch = self._unexecuted.pop(0)
            self._mempool.executed(self._transaction(tx_id).header.sender for tx_id in batch.tx_ids)
            self._executed.append(batch)
        while self._kept is not None and len(self._executed) > self._kept:
            self._let_go(self._executed.popleft())

    def _let_go(self, batch: CommittedBatch) -> None:
        """It is in the records, and void or executed long ago."""
        del self._batches[batch.commitment.message.height]
        self._forced.pop(batch.commitment.message.height, None)
        for tx_id in batch.tx_ids:
            del self._places[tx_id]
            self._let_go_of(tx_id)

    def _let_go_of(self, tx_id: bytes) -> None:
        if self._kept is not None:
            self._transactions.pop(tx_id, None)
            self._receipts.pop(tx_id, None)


_Stored = TypeVar("_Stored", EncryptedTransaction, SignedReceipt)


def _found(value: _Stored | None, tx_id: bytes) -> _Stored:
    if value is None:
        raise StorageError(
            f"transaction 0x{tx_id.hex()} or its receipt is not in the sequencer's database: restore the newest copy"
        )
    return value
