"""The sequencer's part: admit submissions in groups, commit, and hand out what members need. Sees no plaintext."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from encmempool.errors import Malformed, Rejected, StorageError
from encmempool.forced import StoredInbox
from encmempool.identity import Identity
from encmempool.keysets import Committee
from encmempool.mempool import StateView
from encmempool.network.nodes.history import History
from encmempool.network.wire import Gossip
from encmempool.reveal import Outcome
from encmempool.sequencer import SEQUENCER_CHECKPOINT, Sequencer
from encmempool.status import Status, never_committed
from encmempool.store import Store, perform
from encmempool.types import ZERO_HASH, EncryptedTransaction, KeySet, Proposal, SignedReceipt
from threshold.errors import ThresholdError
from threshold.sansio import Persist, Send

ROLE = "sequencer"
CHECKPOINT_EVERY = 32
_L1_FRESH_S = 10.0
Answer = SignedReceipt | ThresholdError


class SequencerCore:
    """Owned by a thread of its own: its follower's work must not keep receipts waiting."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        *,
        committees: Callable[[], tuple[Committee, ...]],
        state: StateView,
        inbox: StoredInbox,
        clock_ms: Callable[[], int],
    ) -> None:
        """`committees` and `state` are those of the node's follower, as they are at the moment of the call."""
        self._store = store
        self._identity = identity
        self._committees = committees
        self._state = state
        self._inbox = inbox
        self._clock_ms = clock_ms
        self._checkpoint_height = 0
        self._sequencer: Sequencer | None = None

    @property
    def sequencer(self) -> Sequencer:
        """The role, restored from its records where it is not loaded."""
        if self._sequencer is None:
            first, *successors = self._committees()
            self._sequencer = Sequencer(
                terms=first.terms,
                successors=[committee.terms for committee in successors],
                identity=self._identity,
                verifier=_Verifier(self._committees),
                state=self._state,
                records=self._store,
                inbox=self._inbox,
                kept=1,
            )
        return self._sequencer

    @property
    def in_office(self) -> bool:
        """Whether the key set of the next height names this sequencer."""
        return self.sequencer.terms.key_set.sequencer == self._identity.address

    def submit(self, submissions: Sequence[bytes]) -> list[tuple[EncryptedTransaction | None, Answer]]:
        """Admit a group, durable in one transaction: the receipts, or why not, in their order.

        A transaction that already has a receipt gets the same one again."""
        now_ms = self._clock_ms()
        answers: list[tuple[EncryptedTransaction | None, Answer]] = []
        records: list[Persist] = []
        for data in submissions:
            transaction: EncryptedTransaction | None = None
            try:
                transaction = EncryptedTransaction.decode(data)
                if not self.in_office:
                    raise Rejected("SEQ-6", "another sequencer is in office: ask a member for the newest key set")
                *kept, send = self.sequencer.admit(transaction, now_ms=now_ms)
            except Malformed as error:
                answers.append((None, error))
                continue
            except Rejected as error:
                known = None if transaction is None else self.sequencer.receipt(transaction.tx_id)
                answers.append((transaction, error) if known is None else (None, known))
                continue
            records += [record for record in kept if isinstance(record, Persist)]
            answers.append((transaction, SignedReceipt.decode(_message(send))))
        self._perform(records)
        return answers

    def commit(self) -> Proposal:
        """The next height's order. Raises Rejected."""
        if not self.in_office:
            raise Rejected("SEQ-6", "another sequencer is in office")
        if self._is_behind:
            raise Rejected("VOT-7", "the last commitment names a height that has to be executed here again first")
        *records, send = self.sequencer.commit(now_ms=self._clock_ms())
        height = self.sequencer.height
        if height - self._checkpoint_height < CHECKPOINT_EVERY:
            self._perform(records)
        else:
            checkpoint = self.sequencer.checkpoint()
            self._perform([*records, checkpoint])
            self._checkpoint_height = height
            with suppress(StorageError):  # the next time, then
                self._store.erase(SEQUENCER_CHECKPOINT, below=checkpoint.key)
        return Proposal.decode(_message(send))

    def turn(self, due: bool, pipeline: int) -> Proposal | None:
        """A commitment, if one is due or something can be committed, and few enough wait for their reveal."""
        sequencer = self.sequencer
        waiting = sequencer.height - self._state.latest.height
        if waiting >= pipeline or not self.in_office or self._is_behind or self.is_out_of_date:
            return None
        # A ciphertext that names its height has to wait for the heights before.
        waits = sequencer.has_ready or (sequencer.terms.addresses_height and sequencer.pending > 0)
        return self.commit() if due or waits else None

    @property
    def is_out_of_date(self) -> bool:
        """Whether the chain below has not been seen for a while: members would refuse a commitment that lags, and a
        receipt would promise a block that may have passed."""
        window = self._committees()[0].genesis.deadlines.force_l1_blocks
        return window > 0 and time.monotonic() - self._inbox.looked_at > _L1_FRESH_S

    @property
    def _is_behind(self) -> bool:
        """Whether the follower has lost, or not yet taken again, a height that the last commitment rests on: the next
        one must not name an earlier one."""
        last = self.sequencer.batch(self.sequencer.height)
        return last is not None and last.commitment.message.executed_height > self._state.latest.height

    def unexecuted(self) -> list[Proposal]:
        """What was committed and is not executed, byte for byte."""
        sequencer = self.sequencer
        heights = range(self._state.latest.height + 1, sequencer.height + 1)
        batches = [sequencer.batch(height) for height in heights]
        return [sequencer.proposal(batch) for batch in batches if batch is not None]

    def load(self) -> tuple[int, int | None]:
        """How many transactions wait, and how many rounds the key has left."""
        return self.sequencer.pending, self.sequencer.rounds_left

    def next_nonce(self, sender: bytes) -> int:
        return self.sequencer.next_nonce(sender)

    def status(self, tx_id: bytes, history: History) -> Status:
        """Of a transaction with a receipt that is not executed."""
        sequencer = self.sequencer
        receipt, transaction = sequencer.receipt(tx_id), sequencer.transaction(tx_id)
        if receipt is None or transaction is None:
            return Status(tx_id=tx_id, state="unknown")
        sequence = receipt.message.sequence
        if (dropped := sequencer.dropped_at(tx_id)) is not None:
            return Status(tx_id=tx_id, state=Outcome.DROPPED.text, sequence=sequence, height=dropped)
        height = sequencer.place(tx_id)
        batch = None if height is None else sequencer.batch(height)
        if height is not None and batch is not None:
            position = batch.tx_ids.index(tx_id)
            return Status(tx_id=tx_id, state="committed", sequence=sequence, height=height, position=position)

        def opened(target: int) -> bool | None:
            if target > self._state.latest.height:
                return None
            return history.reveal(target) is not None

        key_end = sequencer.key_end(transaction.header.key_id)
        outcome = never_committed(transaction.header, head=sequencer.height, key_end=key_end, opened=opened)
        return Status(tx_id=tx_id, state=outcome or "received", sequence=sequence)

    def adopt(self, committee: Committee) -> None:
        if self._sequencer is not None:
            self._sequencer.adopt(committee.terms)

    def drop(self, height: int) -> None:
        """Members abstained there, as the store says by now."""
        if self._sequencer is not None:
            self._sequencer.drop(height)

    def announce(self, key_set: KeySet, overlap: int) -> KeySet:
        """Leave the heights from the key set's start on to it, and fill the start in: the next height, with a new key
        after `overlap` more. One that was announced before is finished first. Raises Rejected SEQ-10."""
        sequencer = self.sequencer
        before = self._committees()[-1].key_set
        announced = sequencer.announced(before.root)
        if announced is not None:
            return announced
        height, parent, round = sequencer.tip if before.sequencer == self._identity.address else self._executed_tip()
        if key_set.key_id == before.key_id:
            key_set = replace(key_set, start_height=height + 1, start_parent=parent, start_round=round)
        else:
            key_set = replace(key_set, start_height=height + 1 + overlap, start_parent=ZERO_HASH, start_round=0)
        self._perform(sequencer.announce(key_set))
        return key_set

    def _executed_tip(self) -> tuple[int, bytes, int]:
        """Where a sequencer that comes into office begins: above all that is executed."""
        latest, first = self._state.latest, self._committees()[0].key_set
        commitment = latest.commitment
        if commitment is None:
            return latest.height, first.start_parent, first.start_round
        return latest.height, commitment.root, commitment.round

    def announced(self, committee_id: bytes) -> KeySet | None:
        return self.sequencer.announced(committee_id)

    def gossip(self) -> Gossip:
        """What has a receipt and no commitment, for members that missed it and for a successor."""
        pairs = self.sequencer.live()
        return Gossip(transactions=tuple(t for t, _ in pairs), receipts=tuple(r for _, r in pairs))

    def _perform(self, effects: Sequence[object]) -> None:
        try:
            perform(effects, self._store)
        except BaseException:
            self._sequencer = None
            raise


class _Verifier:
    """The public check of a ciphertext by the scheme and key that its header names."""

    def __init__(self, committees: Callable[[], tuple[Committee, ...]]) -> None:
        self._committees = committees

    def verify_ciphertext(self, transaction: EncryptedTransaction) -> object:
        for committee in reversed(self._committees()):
            if committee.key_set.key_id == transaction.header.key_id:
                return committee.verify_ciphertext(transaction)
        raise Rejected("TXN-2", "encrypted to a key that this network does not have")


def _message(effect: object) -> bytes:
    if not isinstance(effect, Send):
        raise TypeError(f"a message was expected, not {type(effect).__name__}")
    return effect.message
