"""A committee member: check a commitment, vote for it, and release one decryption share on a certificate.

Two phases for every scheme, because shares made for one batch can be turned into shares for another: members fix the
root first. Sans-IO; the guard is the store: votes, abstentions and shares are write-once records with the complete
signed bytes, durable before anything leaves. A restarted member sends those bytes and never makes new ones. Whoever
performs the effects drops the member and restores it from its records if one of them fails.

Requirements:
VOT-1   the sequencer of the key set signed the commitment
VOT-2   it names this committee and key, extends the chain by one height, and no height is skipped
VOT-3   count and batch_root are those of the transactions handed over
VOT-4   no transaction and no (sender, nonce) was committed before, no transaction twice, and no sender of an
        unexecuted height again
VOT-5   every transaction passes admission's checks, in the state the commitment names, and is addressed to this
        height where the scheme addresses one
VOT-6   every transaction has the sequencer's receipt, no two of that sequencer have one sequence, and the order is
        what the policy makes of them
VOT-7   executed_height does not fall behind, nor lag by more than MAX_UNEXECUTED; state_root is this member's own
        at that height
VOT-8   the round is the parent's, plus one if the batch is not empty, and one that the key has
VOT-9   gas and batch limits, key end, inbox and time are respected
FRC-2   its view of the chain below is one that this party has too, and not too far behind
FRC-3   inbox_index moves past exactly what the inbox's walk settles
FRC-5   what is overdue in the inbox comes first
VOT-10  one vote per height for ever, and none after an abstention there, or after a share for another commitment
VOT-13  what was signed for past heights is not looked at, and nothing is signed there any more
VOT-14  what a successor makes void is forgotten
SHR-1   a share is released only on votes of t members for one commitment
SHR-2   one share per key and height, and per round where rounds are limited; none after an abstention
SHR-3   a share is made only for a batch whose every ciphertext this member has checked
SHR-4   none is made while a height below is not executed at which this member abstained, or which another key set
        governs; and no abstention below a share
SHR-5   no abstention where this member voted for an empty batch, which needs no share, unless it cannot run any more
DRP-1   2(n - t) + 1 abstentions drop a height
DRP-2   a height that is executed is never dropped
DRP-3   what is below a dropped height is certified or dropped
DRP-4   what stands in its place follows from the height below
DRP-5   no abstention that could take from a signed successor what it starts from, and no such successor after one
DRP-6   no height above the key's end is dropped or abstained at
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from encmempool import certificates
from encmempool.certificates import vote_for
from encmempool.envelope import reservation
from encmempool.errors import Malformed, Rejected
from encmempool.forced import InboxView, NoInbox, Passed, Settlement, is_waited_for, settle
from encmempool.identity import require_signer
from encmempool.intervals import IntervalSet
from encmempool.keysets import Committee
from encmempool.mempool import MAX_PENDING, MAX_UNEXECUTED, StateAt, StateView, candidate
from encmempool.ordering import Policy, committed_order
from encmempool.store import Records
from encmempool.types import (
    ZERO_HASH,
    Abstain,
    BatchList,
    DecryptionShare,
    DropCertificate,
    EncryptedTransaction,
    KeySet,
    OrderCertificate,
    OrderCommitment,
    Proposal,
    ShareRelease,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
    Vote,
    signing_digest,
)
from threshold.encoding import u64
from threshold.entropy import Random
from threshold.keys import KeyShare
from threshold.sansio import Persist, Send, Signer
from threshold.schemes.base import Batch, VerifiedCiphertext

VOTE = "vote"
ABSTENTION = "abstention"
SHARE = "share"
GUARD = "share-or-abstention"
"""One record for both, so that the store itself refuses the second."""
ROUND_GUARD = "share-in-round"
"""For keys with rounds: two batches opened in one round would open everything pending."""
SUCCESSOR = "successor"
ERASURE = "erasure"
PROPOSAL = "proposal"
UNSIGNED = bytes(65)
"""In place of a signature on the commitment of a dropped height, which nobody made."""
MAX_CLOCK_LEAD_MS = 60_000
MAX_AHEAD = MAX_PENDING
"""Transactions that may be held as checked before their commitment comes, and as many receipts."""
MAX_AHEAD_BYTES = 1 << 26
"""The same in bytes of their encodings. What had to go is checked again when it is committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A commitment this party has checked in full, with its batch."""

    proposal: Proposal
    batch: Batch
    passed: tuple[Passed, ...] = ()
    """Entries of the inbox that it passes over."""

    @property
    def commitment(self) -> OrderCommitment:
        return self.proposal.commitment.message


class Ahead:
    """Transactions and receipts that were checked before their commitment came, by their bytes. When there is no more
    room the oldest goes: nothing rests on what is here but time."""

    def __init__(self, *, objects: int = 2 * MAX_AHEAD, size_bytes: int = MAX_AHEAD_BYTES) -> None:
        self.objects: dict[bytes, EncryptedTransaction | SignedReceipt] = {}
        self._verified: dict[bytes, VerifiedCiphertext] = {}
        self._most, self._most_bytes = objects, size_bytes
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self.objects)

    def verified(self, transaction: EncryptedTransaction) -> VerifiedCiphertext | None:
        return self._verified.get(transaction.encoded)

    def holds(self, receipt: SignedReceipt) -> bool:
        return isinstance(self.objects.get(receipt.encoded), SignedReceipt)

    def add(self, item: EncryptedTransaction | SignedReceipt, verified: VerifiedCiphertext | None = None) -> None:
        """By its bytes: the id of a transaction leaves its signature out."""
        self.forget(item)
        self.objects[item.encoded] = item
        if verified is not None:
            self._verified[item.encoded] = verified
        self._size_bytes += len(item.encoded)
        while len(self.objects) > self._most or self._size_bytes > self._most_bytes:
            self.forget(next(iter(self.objects.values())))

    def forget(self, item: EncryptedTransaction | SignedReceipt) -> None:
        if self.objects.pop(item.encoded, None) is not None:
            self._verified.pop(item.encoded, None)
            self._size_bytes -= len(item.encoded)


class Chain:
    """The commitments one party has checked, and the checks. Members vote on it; followers and auditors replay it.

    It holds the heights above `base`; what is below is past. Of those it remembers the newest commitment, each sender's
    next nonce and the sequences of receipts, which is all that later checks look at.
    """

    def __init__(
        self,
        committee: Committee,
        state: StateView,
        *,
        successors: Sequence[Committee] = (),
        inbox: InboxView | None = None,
    ) -> None:
        self.committees = (committee, *successors)
        self.inbox = inbox or NoInbox()
        self.base = self.first_height - 1
        """Heights up to here are executed, and not held any more."""
        self.certified = self.first_height - 1
        """The highest height known to be certified."""
        self._state = state
        self._below: SignedCommitment | None = None
        self._heights: dict[int, Ready] = {}
        self._next_nonces: dict[bytes, int] = {}
        self._sequences: dict[bytes, IntervalSet] = {}
        self._ahead = Ahead()
        self._ahead_of = self.committees[0]

    @property
    def first_height(self) -> int:
        return self.committees[0].key_set.start_height

    @property
    def next_height(self) -> int:
        return self.base + 1 + len(self._heights)

    @property
    def committee(self) -> Committee:
        """The one that governs the next height."""
        return self.committee_at(self.next_height)

    def committee_at(self, height: int) -> Committee:
        return next((c for c in reversed(self.committees) if c.key_set.start_height <= height), self.committees[0])

    def adopt(self, successor: Committee) -> None:
        """Take the next committee, loaded as the newest one's successor. Raises Rejected KEY-9 if the chain already
        went on, or from elsewhere, without it.

        Under another sequencer, commitments from its start on that are not certified are void, and so is one below
        that is not the one it starts from: they are forgotten here.
        """
        start = successor.key_set
        height = start.start_height
        if height <= self.certified:
            raise Rejected("KEY-9", f"height {height} was committed to and certified under the key set before")
        if height < self.next_height and start.sequencer == self.committees[-1].key_set.sequencer:
            raise Rejected("KEY-9", f"height {height} was committed to under the key set before")
        self.check_key_goes_on(start)
        before, void_from = self.commitment_at(height - 1), height
        if before is not None:
            message = before.message
            if start.start_parent not in (ZERO_HASH, message.root):
                if height - 1 <= self.certified:
                    raise Rejected("KEY-9", "the key set starts from another commitment than the one certified here")
                void_from = height - 1
            elif start.key_id == message.key_id and start.start_round != message.round:
                raise Rejected("KEY-9", "the key set starts from another round than the commitment before it")
        if void_from < self.next_height:
            self.retract(void_from)
        self.committees = (*self.committees, successor)

    def check_key_goes_on(self, key_set: KeySet) -> None:
        """The next key is the newest or one that never was: rounds and heights of an earlier one are given away, and
        under another name, with other parameters, its shares would be made a second time."""
        if key_set.key_id == self.committees[-1].key_set.key_id:
            return
        if key_set.encryption_key in (committee.key_set.encryption_key for committee in self.committees):
            raise Rejected("KEY-9", "a key that another has replaced does not come back, nor under another name")

    def at(self, height: int) -> Ready | None:
        """None for what was not checked yet, and for what is past."""
        return self._heights.get(height)

    def commitment_at(self, height: int) -> SignedCommitment | None:
        """Of a height that is held, or of the one below these."""
        ready = self._heights.get(height)
        if ready is not None:
            return ready.proposal.commitment
        return self._below if height == self.base else None

    def certify(self, height: int) -> None:
        """A certificate for the commitment held at this height was checked."""
        self.certified = max(self.certified, height)

    def prepare(self, transaction: EncryptedTransaction) -> VerifiedCiphertext:
        """Check a transaction ahead of its commitment. Raises Malformed or Rejected."""
        known = self._checked_ahead().verified(transaction)
        if known is None:
            self.committee.terms.check(transaction, height=self.next_height)
            known = self._remember(transaction, self.committee.verify_ciphertext(transaction))
        return known

    def prepare_all(self, transactions: Sequence[EncryptedTransaction]) -> tuple[EncryptedTransaction, ...]:
        """The same for many at once, which is cheaper. Returns those that passed."""
        ahead, candidates = self._checked_ahead(), []
        passed = {t.encoded for t in transactions if ahead.verified(t) is not None}
        for transaction in transactions:
            if transaction.encoded not in passed:
                with suppress(Malformed, Rejected):
                    self.committee.terms.check(transaction, height=self.next_height)
                    candidates.append(transaction)
        for transaction, result in zip(candidates, self.committee.examine_ciphertexts(candidates), strict=True):
            if isinstance(result, VerifiedCiphertext):
                self._remember(transaction, result)
                passed.add(transaction.encoded)
        return tuple(t for t in transactions if t.encoded in passed)

    def _prepared(self, transactions: Sequence[EncryptedTransaction]) -> tuple[VerifiedCiphertext, ...]:
        """A whole batch: what was not checked ahead is checked together. Raises Malformed or Rejected."""
        ahead = self._checked_ahead()
        known = {t.encoded: verified for t in transactions if (verified := ahead.verified(t)) is not None}
        fresh = [t for t in transactions if t.encoded not in known]
        for transaction in fresh:
            self.committee.terms.check(transaction, height=self.next_height)
        for transaction, verified in zip(fresh, self.committee.verify_ciphertexts(fresh), strict=True):
            known[transaction.encoded] = self._remember(transaction, verified)
        return tuple(known[t.encoded] for t in transactions)

    def _remember(self, transaction: EncryptedTransaction, verified: VerifiedCiphertext) -> VerifiedCiphertext:
        _ = transaction.tx_id  # with the object, so that it is there when the commitment comes
        self._ahead.add(transaction, verified)
        return verified

    def _checked_ahead(self) -> Ahead:
        """What was checked under the committee of the next height: another one has another key, or sequencer."""
        if self._ahead_of is not self.committee:
            self._ahead, self._ahead_of = Ahead(), self.committee
        return self._ahead

    def decode(self, data: bytes) -> Proposal:
        """A proposal as it was sent, made of the transactions and receipts that were checked ahead. Raises Malformed.

        Says nothing about the others, or about the proposal."""
        return Proposal.decode(data, self._checked_ahead().objects)

    def prepare_receipt(self, signed: SignedReceipt) -> None:
        """Check a receipt's signature ahead of its commitment. Raises Rejected VOT-6."""
        if not self._checked_ahead().holds(signed):
            require_signer(
                self.committee.key_set.sequencer,
                signed.message,
                signed.signature,
                self.committee.terms.genesis_root,
                rule="VOT-6",
                who="the sequencer",
            )
            self._ahead.add(signed)

    def extend(self, proposal: Proposal, *, now_ms: int | None = None, recorded: bool = False) -> Ready:
        """Check everything a vote says (VOT-1 to VOT-9) and append. Raises Malformed or Rejected.

        now_ms      the reader's clock, or None for history, whose time is past
        recorded    this party's own record: what it says of states below the checkpoint was checked before
        """
        commitment = proposal.commitment.message
        names_state = not recorded or commitment.executed_height >= self.base
        self._check_commitment(proposal, now_ms, names_state=names_state)
        if not recorded:
            self._check_view(commitment, now_ms)
        settlement = self._check_forced(proposal) if names_state else None
        forced = proposal.forced if settlement is None else settlement.transactions
        self._check_transactions(proposal, forced=len(forced), names_state=names_state)
        entries = self._prepared(proposal.transactions)
        batch = Batch(key_id=commitment.key_id, height=commitment.height, round=commitment.round, entries=entries)
        ready = Ready(proposal=proposal, batch=batch, passed=() if settlement is None else settlement.passed)
        sequences = self._sequences.setdefault(self.committee.key_set.sequencer, IntervalSet())
        self._append(ready)
        for transaction in proposal.transactions:
            header = transaction.header
            self._next_nonces[header.sender] = max(header.nonce + 1, self._next_nonces.get(header.sender, 0))
            self._ahead.forget(transaction)
        for receipt in proposal.receipts:
            sequences.add(receipt.message.sequence)
            self._ahead.forget(receipt)
        if commitment.height % MAX_UNEXECUTED == 0:
            self._forget_expired()
        return ready

    def _append(self, ready: Ready) -> None:
        self._heights[self.next_height] = ready

    def _forget_expired(self) -> None:
        """Of what was checked ahead, all that no commitment can take any more, or that broke its promise."""
        height = self.next_height
        for item in tuple(self._ahead.objects.values()):
            if isinstance(item, SignedReceipt):
                gone = item.message.include_by_height < height
            else:
                header = item.header
                gone = header.valid_until < height or header.nonce < self._next_nonces.get(header.sender, 0)
            if gone:
                self._ahead.forget(item)

    def drop(self, certificate: DropCertificate) -> Ready:
        """An empty height in place of one that nobody can open any more, and of all above it. Raises Rejected DRP-1,
        DRP-2 or DRP-3.

        Its commitment is nobody's: it follows from the one below, and goes unsigned (DRP-4).
        """
        height = certificate.abstention.height
        check_drop(self.committee_at(height), certificate)
        if height <= self.executed_height:
            raise Rejected("DRP-2", f"height {height} is executed: more members are dishonest than assumed")
        if height - 1 > self.certified:
            raise Rejected("DRP-3", f"height {height - 1} is neither certified nor dropped")
        if height > self.committee_at(height).key_set.valid_until:
            raise Rejected("DRP-6", f"height {height} is above the key's end: the next key set begins there or below")
        if height < self.next_height:
            self.certified = height - 1
            self.retract(height)
        commitment = self._empty(height)
        batch = Batch(key_id=commitment.key_id, height=height, round=commitment.round, entries=())
        signed = SignedCommitment(message=commitment, signature=UNSIGNED)
        ready = Ready(proposal=Proposal(commitment=signed, transactions=(), receipts=()), batch=batch)
        self._append(ready)
        self.certify(height)
        return ready

    def _empty(self, height: int) -> OrderCommitment:
        """The next height without a batch: all else is as it was below."""
        known, key_set, genesis = self.commitment_at(height - 1), self.committee.key_set, self.committee.genesis
        before = known.message if known else None
        executed = before.executed_height if before else self.first_height - 1
        return OrderCommitment(
            height=height,
            parent=before.root if before else key_set.start_parent,
            committee_id=self.committee.committee_id,
            key_id=key_set.key_id,
            round=self.round_before(height),
            batch_root=BatchList(tx_ids=()).root,
            count=0,
            policy_id=key_set.policy_id,
            l1_block=before.l1_block if before else 0,
            inbox_index=before.inbox_index if before else 0,
            timestamp_ms=before.timestamp_ms if before else genesis.timestamp_ms,
            executed_height=executed,
            state_root=before.state_root if before else self._state.latest.root,
        )

    @property
    def executed_height(self) -> int:
        return self._state.latest.height

    def retract(self, height: int) -> None:
        """Forget a height and those above it, which nobody has certified."""
        if height <= max(self.base, self.certified):
            raise ValueError(f"height {height} is certified, or past")
        for at in range(self.next_height - 1, height - 1, -1):
            proposal = self._heights.pop(at).proposal
            sequences = self._sequences.get(self.committee_at(at).key_set.sequencer, IntervalSet())
            for receipt in proposal.receipts:
                sequences.discard(receipt.message.sequence)
            for header in (transaction.header for transaction in proposal.transactions):
                if header.nonce < self._next_nonces.get(header.sender, 0):
                    self._next_nonces[header.sender] = header.nonce

    def forget(self, height: int) -> None:
        """Leave an executed height, and those below, to the records."""
        for past in range(self.base + 1, min(height, self.next_height - 1) + 1):
            self._below = self._heights.pop(past).proposal.commitment
            self.base = past

    def sequences_up_to(self, height: int) -> dict[bytes, IntervalSet]:
        """Those of the receipts committed up to a height, by sequencer. No height above it may be past."""
        found = {sequencer: sequences.copy() for sequencer, sequences in self._sequences.items()}
        for at in range(height + 1, self.next_height):
            sequences = found[self.committee_at(at).key_set.sequencer]
            for receipt in self._heights[at].proposal.receipts:
                sequences.discard(receipt.message.sequence)
        return found

    def resume(
        self,
        height: int,
        commitment: SignedCommitment | None,
        *,
        next_nonces: dict[bytes, int],
        sequences: dict[bytes, IntervalSet],
    ) -> None:
        """Start above an executed height instead of the first. Raises Rejected if its commitment is not this
        network's."""
        if commitment is not None and commitment.signature != UNSIGNED:
            self.committee_at(height).check_sequencer(commitment)
        self.base = self.certified = height
        self._below, self._next_nonces, self._sequences = commitment, next_nonces, sequences

    def _check_commitment(self, proposal: Proposal, now_ms: int | None, *, names_state: bool = True) -> None:
        commitment, key_set, terms = proposal.commitment.message, self.committee.key_set, self.committee.terms
        require_signer(
            key_set.sequencer,
            commitment,
            proposal.commitment.signature,
            terms.genesis_root,
            rule="VOT-1",
            who="the sequencer",
        )
        if commitment.committee_id != self.committee.committee_id or commitment.key_id != key_set.key_id:
            raise Rejected("VOT-2", "the commitment names another committee or key")
        if commitment.height != self.next_height:
            raise Rejected("VOT-2", f"the commitment is for height {commitment.height}, the next is {self.next_height}")
        known = self.commitment_at(self.next_height - 1)
        before = known.message if known else None
        starts = commitment.height == key_set.start_height
        if commitment.parent != (before.root if before else key_set.start_parent):
            raise Rejected("VOT-2", "the commitment does not extend the chain this member follows")
        if starts and key_set.start_parent not in (ZERO_HASH, commitment.parent):
            raise Rejected("VOT-2", "the key set starts from another commitment")
        if starts and before and before.key_id == key_set.key_id and before.round != key_set.start_round:
            raise Rejected("VOT-8", f"the key set starts from round {key_set.start_round}, not from {before.round}")
        tx_ids = tuple(transaction.tx_id for transaction in proposal.transactions)
        if commitment.count != len(tx_ids) or commitment.batch_root != BatchList(tx_ids=tx_ids).root:
            raise Rejected("VOT-3", "count or batch_root are not those of the transactions handed over")
        executed_before = before.executed_height if before else self.first_height - 1
        if not executed_before <= commitment.executed_height < commitment.height:
            raise Rejected("VOT-7", f"executed height {commitment.executed_height} falls behind or runs ahead")
        if commitment.height - commitment.executed_height > MAX_UNEXECUTED:
            raise Rejected("VOT-7", f"more than {MAX_UNEXECUTED} heights would wait for their execution")
        if names_state and commitment.state_root != self._state_of(commitment).root:
            raise Rejected("VOT-7", f"another state root at height {commitment.executed_height}")
        round_before = self.round_before(commitment.height)
        if commitment.round != round_before + bool(commitment.count):
            raise Rejected("VOT-8", f"round {commitment.round} does not follow round {round_before}")
        if terms.rounds_limited and commitment.count and commitment.round > key_set.rounds:
            raise Rejected("VOT-8", f"the key has {key_set.rounds} rounds, so there is no round {commitment.round}")
        self._check_limits(proposal, before, now_ms)

    def _check_limits(self, proposal: Proposal, before: OrderCommitment | None, now_ms: int | None) -> None:
        commitment, key_set = proposal.commitment.message, self.committee.key_set
        genesis = self.committee.genesis
        if commitment.height > key_set.valid_until:
            raise Rejected("VOT-9", f"the key ends at height {key_set.valid_until}")
        if commitment.count > key_set.batch_limit:
            raise Rejected("VOT-9", f"{commitment.count} transactions exceed the batch limit of {key_set.batch_limit}")
        gas = sum(transaction.header.gas_limit for transaction in proposal.transactions)
        if gas > genesis.gas_limit:
            raise Rejected("VOT-9", f"{gas} gas exceeds the batch's {genesis.gas_limit}")
        if before and commitment.l1_block < before.l1_block:
            raise Rejected("VOT-9", "the commitment goes back behind its parent in the chain below")
        if commitment.inbox_index and not genesis.deadlines.force_l1_blocks:
            raise Rejected("VOT-9", "this network has no inbox on a chain below")
        if commitment.timestamp_ms < (before.timestamp_ms if before else genesis.timestamp_ms):
            raise Rejected("VOT-9", "the commitment's time lies before its parent's")
        if now_ms is not None and commitment.timestamp_ms > now_ms + MAX_CLOCK_LEAD_MS:
            raise Rejected("VOT-9", "the commitment's time lies in the future")

    def _check_view(self, commitment: OrderCommitment, now_ms: int | None) -> None:
        """FRC-2, by this party's own view of the chain below: without its entries nothing can be said of the inbox.
        History, which has no clock, is past its lag."""
        deadlines, head = self.committee.genesis.deadlines, self.inbox.head
        if not deadlines.force_l1_blocks:
            return
        if commitment.l1_block > head:
            raise Rejected("FRC-2", f"block {commitment.l1_block} of the chain below is not final here yet")
        if now_ms is not None and commitment.l1_block + deadlines.l1_lag_blocks < head:
            raise Rejected("FRC-2", f"block {commitment.l1_block} of the chain below is too far behind block {head}")

    def _check_forced(self, proposal: Proposal) -> Settlement:
        """FRC-3 to FRC-6: what is overdue comes first."""
        commitment = proposal.commitment.message
        settlement = self._settlement(commitment)
        forced = tuple(t.encoded for t in proposal.transactions[: len(settlement.transactions)])
        if forced != tuple(t.encoded for t in settlement.transactions):
            raise Rejected("FRC-5", "an overdue entry of the inbox is left out, or not in its place")
        if commitment.inbox_index != settlement.index:
            raise Rejected("FRC-3", f"the inbox is settled up to entry {settlement.index}")
        return settlement

    def _settlement(self, commitment: OrderCommitment) -> Settlement:
        terms, before = self.committee.terms, self.commitment_at(commitment.height - 1)
        waiting = [self.at(height) for height in range(commitment.executed_height + 1, commitment.height)]
        in_flight = {t.header.sender for ready in waiting if ready for t in ready.proposal.transactions}

        def verify(transaction: EncryptedTransaction) -> None:
            if self._checked_ahead().verified(transaction) is None:
                self._remember(transaction, self.committee.verify_ciphertext(transaction))

        return settle(
            self.inbox,
            terms,
            start=before.message.inbox_index if before else 0,
            l1_block=commitment.l1_block,
            height=commitment.height,
            state=self._state_of(commitment),
            verify=verify,
            is_in_flight=in_flight.__contains__,
            exhausted=terms.rounds_limited and self.round_before(commitment.height) >= terms.key_set.rounds,
        )

    def round_before(self, height: int) -> int:
        """The round that the next height goes on from."""
        before, key_set = self.commitment_at(height - 1), self.committee.key_set
        return key_set.start_round if height == key_set.start_height or before is None else before.message.round

    def _check_transactions(self, proposal: Proposal, *, forced: int = 0, names_state: bool = True) -> None:
        commitment, terms = proposal.commitment.message, self.committee.terms
        policy = Policy(terms.key_set.policy_id)
        if commitment.policy_id != policy:
            raise Rejected("VOT-6", f"policy {commitment.policy_id} is not the key set's policy {int(policy)}")
        for height in range(commitment.executed_height + 1, commitment.height):
            waiting = self.at(height)
            senders = {t.header.sender for t in waiting.proposal.transactions} if waiting else set()
            if any(t.header.sender in senders for t in proposal.transactions):
                raise Rejected("VOT-4", f"a sender of height {height}, not yet executed, is committed again")
        seen: set[bytes] = set()
        for transaction in proposal.transactions:
            header, tx_id = transaction.header, transaction.tx_id
            if tx_id in seen:
                raise Rejected("VOT-4", f"transaction 0x{tx_id.hex()} is committed twice")
            # VOT-5 lets a sender's committed nonces have no gap: whatever is below the next one is committed.
            if header.nonce < self._next_nonces.get(header.sender, 0):
                raise Rejected("VOT-4", f"nonce {header.nonce} of 0x{header.sender.hex()} is committed twice")
            seen.add(tx_id)
            if header.valid_until < commitment.height:
                raise Rejected("VOT-5", f"transaction 0x{tx_id.hex()} has expired")
            if terms.addresses_height and header.target_height != commitment.height:
                raise Rejected("VOT-5", f"transaction 0x{tx_id.hex()} is encrypted to height {header.target_height}")
        if names_state:
            self._check_balances(proposal)
        candidates = [
            candidate(transaction, sequence=sequence, base_fee=terms.genesis.base_fee)
            for transaction, sequence in self._receipted(proposal, forced)
        ]
        if committed_order(policy, candidates) != tuple(candidates):
            raise Rejected("VOT-6", f"the order is not what the policy {policy.name.lower()} makes of this batch")

    def _state_of(self, commitment: OrderCommitment) -> StateAt:
        state = self._state.at(commitment.executed_height)
        if state is None:
            raise Rejected(
                "VOT-7",
                f"the commitment rests on height {commitment.executed_height}, which this party cannot look up; "
                f"it has executed height {self._state.latest.height}",
            )
        return state

    def _check_balances(self, proposal: Proposal) -> None:
        state = self._state_of(proposal.commitment.message)
        nonces: dict[bytes, int] = {}
        left: dict[bytes, int] = {}
        for header in sorted((t.header for t in proposal.transactions), key=lambda header: header.nonce):
            sender = header.sender
            if sender not in nonces:
                nonces[sender], left[sender] = state.nonce(sender), state.balance(sender)
            if header.nonce != nonces[sender]:
                raise Rejected("VOT-5", f"the nonces of 0x{sender.hex()} do not continue from {state.nonce(sender)}")
            nonces[sender] += 1
            left[sender] -= reservation(header)
            if left[sender] < 0:
                raise Rejected("VOT-5", f"0x{sender.hex()} cannot cover its reservations")

    def _receipted(self, proposal: Proposal, forced: int) -> list[tuple[EncryptedTransaction, int]]:
        """The transactions after the forced ones, each with the sequence of its receipt."""
        received = proposal.transactions[forced:]
        if len(proposal.receipts) != len(received):
            raise Rejected("VOT-6", "a transaction comes without its receipt")
        for transaction, signed in zip(received, proposal.receipts, strict=True):
            if signed.message.tx_id != transaction.tx_id:
                raise Rejected("VOT-6", f"the receipt is not that of transaction 0x{transaction.tx_id.hex()}")
            self.prepare_receipt(signed)
        sequences = [signed.message.sequence for signed in proposal.receipts]
        committed = self._sequences.get(self.committee.key_set.sequencer, IntervalSet())
        if len(set(sequences)) != len(sequences) or any(sequence in committed for sequence in sequences):
            raise Rejected("VOT-6", "two receipts have one sequence")
        return list(zip(received, sequences, strict=True))


class Ballot:
    """Votes for commitments, until t members agree on one. Each member's votes of the newest heights are kept."""

    def __init__(self, committee: Committee) -> None:
        self._committee = committee
        self._votes: dict[int, dict[int, SignedVote]] = {}
        self._heights: dict[int, list[int]] = {}

    def add(self, signed: SignedVote) -> OrderCertificate | None:
        """The certificate, once this vote completes one. Raises Rejected CRT-1 (stranger) or CRT-2 (two votes)."""
        vote = signed.message
        if vote.committee_id != self._committee.committee_id:
            raise Rejected("CRT-1", "the vote is for another committee")
        member = self._committee.signing_member(vote, signed.signature, rule="CRT-1")
        votes = self._votes.setdefault(vote.height, {})
        earlier = votes.setdefault(member, signed)
        if earlier.message != vote:
            raise Rejected("CRT-2", f"member {member} voted for two commitments at height {vote.height}", member=member)
        self._forget_old(member, vote.height)
        agreeing = sorted(m for m, other in votes.items() if other.message == vote)
        if len(agreeing) < self._committee.key_set.t:
            return None
        signatures = tuple(votes[m].signature for m in agreeing[: self._committee.key_set.t])
        return OrderCertificate(vote=vote, signatures=signatures)

    def _forget_old(self, member: int, height: int) -> None:
        """A member that votes for all heights there are fills only its own share of the memory."""
        heights = self._heights.setdefault(member, [])
        if height not in heights:
            insort(heights, height)
        if len(heights) > 2 * MAX_UNEXECUTED:
            oldest = heights.pop(0)
            del self._votes[oldest][member]
            if not self._votes[oldest]:
                del self._votes[oldest]

    def vote(self, height: int, member: int) -> SignedVote | None:
        """The one of a member that counts."""
        return self._votes.get(height, {}).get(member)

    def votes(self, height: int) -> tuple[SignedVote, ...]:
        """Those that count, by member."""
        return tuple(vote for _, vote in sorted(self._votes.get(height, {}).items()))


def check_certificate(committee: Committee, certificate: OrderCertificate, commitment: OrderCommitment) -> None:
    """`certificates.check_certificate`, of a loaded committee."""
    certificates.check_certificate(committee.key_set, certificate, commitment)


def check_votes(committee: Committee, certificate: OrderCertificate) -> None:
    """`certificates.check_votes`, of a loaded committee."""
    certificates.check_votes(committee.key_set, certificate)


def abstentions_needed(key_set: KeySet) -> int:
    """2(n - t) + 1: though n - t of them may be dishonest, fewer than t members are left who could make a share."""
    return 2 * (key_set.n - key_set.t) + 1


def check_drop(committee: Committee, certificate: DropCertificate) -> None:
    """Enough members of this committee, ascending, abstained at a height. Raises Rejected DRP-1."""
    if certificate.abstention.committee_id != committee.committee_id:
        raise Rejected("DRP-1", "the abstentions are of another committee than that of their height")
    members = [
        committee.signing_member(certificate.abstention, signature, rule="DRP-1")
        for signature in certificate.signatures
    ]
    needed = abstentions_needed(committee.key_set)
    if members != sorted(set(members)) or len(members) < needed:
        raise Rejected("DRP-1", f"dropping a height needs abstentions of {needed} different members in order")


def proposal_record(proposal: Proposal) -> Persist:
    """Kept by height and root: after an equivocation a party may hold the one it saw and the one that was certified."""
    commitment = proposal.commitment.message
    return Persist(kind=PROPOSAL, key=u64(commitment.height) + commitment.root, value=proposal.encoded)


class Member:
    def __init__(
        self,
        *,
        index: int,
        chain: Chain,
        identity: Signer,
        key_share: KeyShare,
        records: Records,
        random: Random,
        committee: Committee | None = None,
    ) -> None:
        """`chain` is that of the member's own follower, restored from the same records. A member belongs to one
        `committee`, by default that of the next height; who stays for the next one is a member of both."""
        self.index = index
        self.chain = chain
        self.committee = committee or chain.committee
        self._identity = identity
        self._key_share = key_share
        self._random = random
        self._past = chain.base
        self._records = records
        key_set = self.committee.key_set
        self._votes = {
            vote.message.height: vote
            for vote in map(SignedVote.decode, self._stored(records, VOTE, self.committee.committee_id))
        }
        self._shares = {
            release.share.message.height: release
            for release in map(ShareRelease.decode, self._stored(records, SHARE, key_set.key_id))
        }
        self._abstentions = {
            abstention.message.height: abstention
            for abstention in map(SignedAbstain.decode, self._stored(records, ABSTENTION, key_set.key_id))
        }
        self._parents = {
            vote.message.height: voted.parent
            for vote in self._votes.values()
            if (voted := self._voted_for(vote.message)) is not None and voted.count == 0
        }
        signed = records.get(SUCCESSOR, self.committee.committee_id)
        self._successor = None if signed is None else SignedKeySet.decode(signed)

    def _stored(self, records: Records, kind: str, name: bytes) -> Iterator[bytes]:
        """What was signed under a name for heights that are not past."""
        for key, value in records.scan(kind, start=name + u64(self._past + 1)):
            if not key.startswith(name):
                return
            yield value

    def _voted_for(self, vote: Vote) -> OrderCommitment | None:
        """From this member's records, where it is not in the chain any more."""
        ready = self.chain.at(vote.height)
        if ready is not None and ready.commitment.root == vote.commitment_root:
            return ready.commitment
        stored = self._records.get(PROPOSAL, u64(vote.height) + vote.commitment_root)
        return None if stored is None else Proposal.decode(stored).commitment.message

    def vote(self, proposal: Proposal, *, now_ms: int) -> tuple[Persist | Send, ...]:
        """Check a proposal and vote for it. Raises Malformed or Rejected; a second root at a height is VOT-10."""
        commitment = proposal.commitment.message
        self._require_office(commitment.height)
        self._require_present(commitment.height, rule="VOT-10")
        given = self._votes.get(commitment.height)
        if given is not None and given.message != vote_for(commitment):
            raise Rejected("VOT-10", f"this member already voted for another commitment at height {commitment.height}")
        if commitment.height in self._abstentions:
            raise Rejected("VOT-10", f"this member abstained at height {commitment.height}")
        released = self._shares.get(commitment.height)  # if under another committee, then with the same key
        if released is not None and released.share.message.commitment_root != commitment.root:
            raise Rejected("VOT-10", f"this member released a share for another commitment at {commitment.height}")
        known = self.chain.at(commitment.height)
        if known is not None and known.commitment != commitment:
            raise Rejected("VOT-10", f"two commitments for height {commitment.height}: the sequencer equivocates")
        if known is None:
            known = self.chain.extend(proposal, now_ms=now_ms)
        vote = vote_for(commitment)
        signed = given or SignedVote(message=vote, signature=self._sign(vote))
        self._votes[commitment.height] = signed
        if commitment.count == 0:
            self._parents[commitment.height] = commitment.parent
        key = self.committee.committee_id + u64(commitment.height)
        return (
            proposal_record(known.proposal),
            Persist(kind=VOTE, key=key, value=signed.encoded),
            Send(message=signed.encoded),
        )

    def release(self, certificate: OrderCertificate) -> tuple[Persist | Send, ...]:
        """The share for a certified commitment; empty batches have none. Raises Rejected."""
        height = certificate.vote.height
        self._require_office(height)
        self._require_present(height, rule="SHR-2")
        ready = self.chain.at(height)
        if ready is None:
            raise Rejected("SHR-3", f"this member has not checked the commitment of height {height}")
        check_certificate(self.committee, certificate, ready.commitment)
        if height in self._abstentions:
            raise Rejected("SHR-2", f"this member abstained at height {height}")
        open_ones = [at for at in self._abstentions if self.chain.executed_height < at < height]
        if open_ones:
            raise Rejected("SHR-4", f"this member abstained at height {min(open_ones)}, on which this one is built")
        if self.chain.executed_height < self.committee.key_set.start_height - 1:
            raise Rejected("SHR-4", "a height of the key set before is not executed: its committee may drop it still")
        if not ready.batch.entries:
            return ()
        release = self._shares.get(height)
        if release is None:
            release = self._shares[height] = self._new_release(ready, certificate)
        if release.share.message.commitment_root != ready.commitment.root:
            raise Rejected("SHR-2", f"this member already released a share for another root at height {height}")
        name = self.committee.key_set.key_id
        key, value = name + u64(height), b"share" + ready.commitment.root
        guards = [Persist(kind=GUARD, key=key, value=value)]
        if self.committee.terms.rounds_limited:
            guards.append(Persist(kind=ROUND_GUARD, key=name + u64(ready.commitment.round), value=value))
        return (
            *guards,
            Persist(kind=SHARE, key=key, value=release.encoded),
            Send(message=release.encoded),
        )

    def abstain(self, height: int) -> tuple[Persist | Send, ...]:
        """Bar this member's share at a height for ever, and above it until it is executed. Allowed after a vote for a
        batch that needs shares, never after a share there or above: Rejected SHR-2, SHR-4, SHR-5 or DRP-5."""
        if self.chain.committee_at(height) is not self.committee:
            raise Rejected("VOT-2", f"height {height} belongs to another committee")
        if height > self.committee.key_set.valid_until:
            raise Rejected("DRP-6", f"height {height} is above the key's end: the next key set begins there or below")
        self._require_present(height, rule="SHR-2")
        if height in self._shares:
            raise Rejected("SHR-2", f"this member has already released its share at height {height}")
        if any(at > height for at in self._shares) and height not in self._abstentions:
            raise Rejected("SHR-4", f"this member has released a share for what is built on height {height}")
        if height not in self._abstentions and self._may_run_empty(height):
            raise Rejected(
                "SHR-5", f"this member voted for an empty batch at height {height}, which runs without shares"
            )
        if self._successor is not None:
            start = self._successor.message
            if height >= start.start_height or start.start_parent != ZERO_HASH:
                raise Rejected("DRP-5", f"this member signed a key set that starts at height {start.start_height}")
        message = Abstain(committee_id=self.committee.committee_id, height=height)
        signed = self._abstentions.get(height) or SignedAbstain(message=message, signature=self._sign(message))
        self._abstentions[height] = signed
        key = self.committee.key_set.key_id + u64(height)
        return (
            Persist(kind=GUARD, key=key, value=b"abstention"),
            Persist(kind=ABSTENTION, key=key, value=signed.encoded),
            Send(message=signed.encoded),
        )

    def _may_run_empty(self, height: int) -> bool:
        """Whether a certificate may still execute an empty commitment that this member voted for. Not where another
        one is certified in its place or its parent's, or stands there because that one was dropped."""
        if height not in self._parents:
            return False
        own = {height - 1: self._parents[height], height: self._votes[height].message.commitment_root}
        for at, root in own.items():
            known = self.chain.commitment_at(at)
            if known is not None and at <= self.chain.certified and known.message.root != root:
                return False
        return True

    def sign_successor(self, key_set: KeySet) -> tuple[Persist | Send, ...]:
        """Sign the next key set and stop acting from its start on (KEY-10). Raises Rejected.

        The last effect sends a SignedKeySet with this one signature. What the key set says of keys and members has
        been looked at before: in the ceremony, by `verify_parameters`, and by whoever runs this member.
        """
        if self._successor is not None and self._successor.message != key_set:
            raise Rejected("KEY-10", "this member has signed another successor of this key set")
        if key_set.predecessor != self.committee.committee_id:
            raise Rejected("KEY-10", "the key set does not follow the one this member belongs to")
        self.chain.check_key_goes_on(key_set)
        released = [release.share.message for release in self._shares.values()]
        if any(share.height >= key_set.start_height for share in released):
            raise Rejected("KEY-10", f"this member released a share at height {key_set.start_height} or above")
        if self._successor is None and key_set.start_height <= self.chain.certified:
            raise Rejected("KEY-10", f"height {self.chain.certified} is certified, and the key set starts no higher")
        open_ones = [at for at in self._abstentions if at > self.chain.executed_height]
        if open_ones and (max(open_ones) >= key_set.start_height or key_set.start_parent != ZERO_HASH):
            raise Rejected("DRP-5", f"this member abstained at height {max(open_ones)}, which may be dropped still")
        self._require_nothing_waits_for_the_key(key_set)
        own = [share.round for share in released if share.committee_id == self.committee.committee_id]
        if key_set.key_id == self.committee.key_set.key_id:
            before = self.chain.commitment_at(key_set.start_height - 1)
            if before is None or before.message.root != key_set.start_parent:
                raise Rejected("KEY-10", "the key set starts from a commitment that this member does not know")
            if key_set.start_round != before.message.round or max(own, default=0) > key_set.start_round:
                raise Rejected("KEY-10", "the key set starts from another round than the commitment before it")
        signature = self._identity.sign(signing_digest(key_set, self.committee.terms.genesis_root))
        self._successor = SignedKeySet(message=key_set, signatures=(signature,))
        encoded = self._successor.encoded
        return (
            Persist(kind=SUCCESSOR, key=self.committee.committee_id, value=encoded),
            Send(message=encoded),
        )

    def _require_nothing_waits_for_the_key(self, successor: KeySet) -> None:
        """FRC-8. A sequencer that is replaced need not be waited for: it may have stopped."""
        present = self.committee.key_set
        if successor.key_id == present.key_id or successor.sequencer != present.sequencer:
            return
        newest = self.chain.commitment_at(self.chain.certified)
        window = self.committee.genesis.deadlines.force_l1_blocks
        settled = newest.message.inbox_index if newest else 0
        if is_waited_for(self.chain.inbox, present.key_id, start=settled, window=window):
            raise Rejected(
                "FRC-8", "an overdue entry of the inbox is encrypted to the key that would end: sign once it is settled"
            )

    def _require_office(self, height: int) -> None:
        """A member acts at the heights of its committee, up to the start of a successor it has signed."""
        if self.chain.committee_at(height) is not self.committee:
            raise Rejected("VOT-2", f"height {height} belongs to another committee")
        if self._successor is not None and height >= self._successor.message.start_height:
            raise Rejected(
                "KEY-10", f"this member signed a key set that starts at {self._successor.message.start_height}"
            )

    def _require_present(self, height: int, *, rule: str) -> None:
        """What was signed for past heights is in the records alone, and stays the only thing ever signed there."""
        if self._past != self.chain.base:
            self._past = self.chain.base
            for signed in (self._votes, self._parents, self._shares, self._abstentions):
                for at in [at for at in signed if at <= self._past]:
                    del signed[at]
        if self.chain.first_height <= height <= self._past:
            raise Rejected(rule, f"height {height} is past: what this member signed there is in its records")

    def resend(self) -> tuple[Send, ...]:
        """After a restart: the newest vote and share once more, byte for byte, unless their heights are past."""
        newest = [records[max(records)] for records in (self._votes, self._shares) if records]
        return tuple(Send(message=message.encoded) for message in newest)

    def _new_release(self, ready: Ready, certificate: OrderCertificate) -> ShareRelease:
        share = self.committee.scheme.partial_decrypt(
            self.committee.public_key, self._key_share, ready.batch, random=self._random
        )
        message = DecryptionShare(
            committee_id=self.committee.committee_id,
            height=ready.commitment.height,
            round=ready.commitment.round,
            commitment_root=ready.commitment.root,
            member=self.index,
            data=share.data,
        )
        return ShareRelease(share=SignedShare(message=message, signature=self._sign(message)), certificate=certificate)

    def _sign(self, message: Vote | DecryptionShare | Abstain) -> bytes:
        return self._identity.sign(signing_digest(message, self.committee.terms.genesis_root))
