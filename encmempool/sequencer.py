"""The sequencer: receipts for ciphertexts and signed order commitments. Holds no key material and sees no plaintext.

Sans-IO. Whatever it signs is stored before it leaves, one commitment for a height for ever; restarted from its
records it sends the same bytes again. Whoever performs the effects drops the sequencer and restores it from its
records if one of them fails.

Requirements:
SEQ-1  a receipt leaves only after the transaction and the receipt are durable
SEQ-2  receipt sequences ascend without gaps
SEQ-3  one commitment per height; it is durable before it leaves
SEQ-4  a receipt's include_by height is at most the transaction's valid_until and the key's end, and not before the
       key's start
SEQ-5  commitments run ahead of execution by at most MAX_UNEXECUTED heights
SEQ-9  when the key's rounds are used up, nothing more is admitted and only empty batches are committed
SEQ-10 before members sign the next key set it is announced, once; from its start on nothing is committed without it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from encmempool.envelope import Terms
from encmempool.errors import Rejected
from encmempool.mempool import MAX_UNEXECUTED, CiphertextVerifier, Mempool, Pending, StateView
from encmempool.ordering import Policy
from encmempool.ssz import Hash, Limit, SszObject
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
from threshold.encoding import u64
from threshold.sansio import Persist, Send, Signer

TRANSACTION = "transaction"
RECEIPT = "receipt"
COMMITMENT = "commitment"
ANNOUNCED = "announced-key-set"
_ROTATE = "run `encmempool committee rotate`"
_NEW_KEY = "run `encmempool committee rotate --new-key`"


@dataclass(frozen=True, kw_only=True)
class CommittedBatch(SszObject):
    """What the sequencer stores of a height: the signed commitment and the ids it commits to."""

    commitment: SignedCommitment
    tx_ids: Annotated[tuple[Hash, ...], Limit(MAX_BATCH)]


class Sequencer:
    def __init__(
        self,
        *,
        terms: Terms,
        successors: Sequence[Terms] = (),
        identity: Signer,
        verifier: CiphertextVerifier,
        state: StateView,
        records: Records,
    ) -> None:
        """`terms` of the first key set."""
        self._genesis_root = terms.genesis_root
        self._identity = identity
        self._state = state
        self._mempool = Mempool(terms, verifier, state)
        self._epochs = self._mempool.epochs
        for later in successors:
            self.adopt(later)
        self._transactions: dict[bytes, EncryptedTransaction] = {}
        self._receipts: dict[bytes, SignedReceipt] = {}
        self._batches: list[CommittedBatch] = []
        self._unexecuted: list[CommittedBatch] = []
        self._announced: dict[bytes, KeySet] = {}
        self._restore(records)

    @property
    def height(self) -> int:
        """Of the last commitment, 0 before the first."""
        return self._epochs.first_height - 1 + len(self._batches)

    @property
    def terms(self) -> Terms:
        """Those of the next commitment."""
        return self._epochs.at(self.height + 1)

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
        """Take the next key set: from its start on it governs, and its transactions are admitted from now on."""
        self._mempool.adopt(terms)

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
        return self._receipts.get(tx_id)

    def transaction(self, tx_id: bytes) -> EncryptedTransaction | None:
        return self._transactions.get(tx_id)

    def batch(self, height: int) -> CommittedBatch | None:
        at = height - self._epochs.first_height
        return self._batches[at] if 0 <= at < len(self._batches) else None

    def uncommitted(self) -> tuple[tuple[EncryptedTransaction, SignedReceipt], ...]:
        """What has a receipt and no place in a commitment yet, by sequence."""
        committed = {tx_id for batch in self._batches for tx_id in batch.tx_ids}
        return tuple(
            (self._transactions[tx_id], receipt) for tx_id, receipt in self._receipts.items() if tx_id not in committed
        )

    def submit(self, data: bytes, *, now_ms: int, l1_block: int = 0) -> tuple[Persist | Send, ...]:
        """Admit one encoded envelope. The last effect sends the signed receipt. Raises Malformed or Rejected."""
        transaction = EncryptedTransaction.decode(data)
        self._drop_ended()
        height = self.height + 1
        header = transaction.header
        terms = self._epochs.of_key(header.key_id, height=height)
        if self.rounds_left == 0 and header.key_id == self.terms.key_set.key_id:
            raise Rejected("SEQ-9", f"all {terms.key_set.rounds} rounds of this key are used: {_NEW_KEY}")
        self._mempool.check(transaction, height=height)
        deadlines = terms.genesis.deadlines
        first = max(height, self._epochs.key_start(header.key_id))
        last = min(header.valid_until, self._epochs.key_end(header.key_id))
        promised = last if terms.addresses_height else min(first - 1 + deadlines.include_heights, last)
        receipt = Receipt(
            tx_id=transaction.tx_id,
            sequence=len(self._receipts),
            received_at_ms=now_ms,
            include_by_height=promised,
            include_by_l1_block=l1_block + deadlines.include_l1_blocks,
            reveal_by_l1_block=l1_block + deadlines.include_l1_blocks + deadlines.reveal_l1_blocks,
        )
        signature = self._identity.sign(signing_digest(receipt, self._genesis_root))
        signed = SignedReceipt(message=receipt, signature=signature)
        self._take(transaction, signed)
        return (
            Persist(kind=TRANSACTION, key=transaction.tx_id, value=transaction.encoded),
            Persist(kind=RECEIPT, key=u64(receipt.sequence), value=signed.encoded),
            Send(message=signed.encoded),
        )

    def commit(self, *, now_ms: int, l1_block: int = 0) -> tuple[Persist | Send, ...]:
        """Fix the next height's order; an empty batch is valid. The last effect sends the Proposal to all members."""
        self._drop_ended()
        height, terms = self.height + 1, self.terms
        key_set = terms.key_set
        if height > key_set.valid_until:
            raise Rejected("SEQ-3", f"the key ends at height {key_set.valid_until}: {_ROTATE}")
        announced = self.announced(key_set.root)
        if announced is not None and height >= announced.start_height:
            raise Rejected("SEQ-10", f"height {height} is left to a key set that is not signed yet: {_ROTATE}")
        waiting = height - self._state.latest.height
        if waiting > MAX_UNEXECUTED:
            raise Rejected("SEQ-5", f"{waiting - 1} heights wait for their reveal: let the committee catch up first")
        exhausted = self.rounds_left == 0
        chosen = () if exhausted else self._mempool.select(height=height, policy=Policy(key_set.policy_id))
        tx_ids = tuple(p.transaction.tx_id for p in chosen)
        parent = self._batches[-1].commitment.message if self._batches else None
        commitment = OrderCommitment(
            height=height,
            parent=parent.root if parent else key_set.start_parent,
            committee_id=key_set.root,
            key_id=key_set.key_id,
            round=self._round_before(terms) + bool(chosen),
            batch_root=BatchList(tx_ids=tx_ids).root,
            count=len(chosen),
            policy_id=key_set.policy_id,
            l1_block=l1_block,
            inbox_index=0,
            timestamp_ms=max(now_ms, parent.timestamp_ms if parent else terms.genesis.timestamp_ms),
            executed_height=self._state.latest.height,
            state_root=self._state.latest.root,
        )
        signature = self._identity.sign(signing_digest(commitment, self._genesis_root))
        batch = CommittedBatch(commitment=SignedCommitment(message=commitment, signature=signature), tx_ids=tx_ids)
        self._append(batch)
        return (
            Persist(kind=COMMITMENT, key=u64(height), value=batch.encoded),
            Send(message=self.proposal(batch).encoded),
        )

    def resend(self) -> tuple[Send, ...]:
        """After a restart: the newest proposal once more, byte for byte."""
        return (Send(message=self.proposal(self._batches[-1]).encoded),) if self._batches else ()

    def proposal(self, batch: CommittedBatch) -> Proposal:
        """The commitment with the bytes and receipts members need to check it."""
        return Proposal(
            commitment=batch.commitment,
            transactions=tuple(self._transactions[tx_id] for tx_id in batch.tx_ids),
            receipts=tuple(self._receipts[tx_id] for tx_id in batch.tx_ids),
        )

    def _round_before(self, terms: Terms) -> int:
        """The round of the last commitment under these terms, or the one they start from."""
        if self.height < terms.key_set.start_height:
            return terms.key_set.start_round
        return self._batches[-1].commitment.message.round

    def _restore(self, records: Records) -> None:
        stored = {key: EncryptedTransaction.decode(value) for key, value in records.scan(TRANSACTION)}
        receipts = [SignedReceipt.decode(value) for _, value in records.scan(RECEIPT)]
        for signed in receipts:
            self._take(stored[signed.message.tx_id], signed)
        for key, value in records.scan(ANNOUNCED):
            self._announced[key] = KeySet.decode(value)
        for _, value in records.scan(COMMITMENT):
            self._append(CommittedBatch.decode(value))
        self._note_execution()

    def _take(self, transaction: EncryptedTransaction, receipt: SignedReceipt) -> None:
        self._transactions[transaction.tx_id] = transaction
        self._receipts[transaction.tx_id] = receipt
        self._mempool.add(Pending(transaction=transaction, sequence=receipt.message.sequence))

    def _append(self, batch: CommittedBatch) -> None:
        self._batches.append(batch)
        self._unexecuted.append(batch)
        message, terms = batch.commitment.message, self._epochs.at(self.height)
        if terms.rounds_limited and message.round == terms.key_set.rounds:
            self._mempool.use_up(message.key_id, height=message.height)
        self._mempool.commit(self._transactions[tx_id] for tx_id in batch.tx_ids)

    def _drop_ended(self) -> None:
        """Forget what can no longer be committed: its nonces are free."""
        self._note_execution()
        self._mempool.expire(height=self.height + 1)

    def _note_execution(self) -> None:
        executed = self._state.latest.height
        while self._unexecuted and self._unexecuted[0].commitment.message.height <= executed:
            batch = self._unexecuted.pop(0)
            self._mempool.executed(self._transactions[tx_id].header.sender for tx_id in batch.tx_ids)
