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
VOT-6   every transaction has the sequencer's receipt, no two of one sequence, and the order is what the policy makes
        of them
VOT-7   executed_height does not fall behind, nor lag by more than MAX_UNEXECUTED; state_root is this member's own
        at that height
VOT-8   the round is the parent's, plus one if the batch is not empty, and one that the key has
VOT-9   gas and batch limits, key end, inbox and time are respected
VOT-10  one vote per height for ever, and none after an abstention there
SHR-1   a share is released only on votes of t members for one commitment
SHR-2   one share per key and height, and per round where rounds are limited; none after an abstention
SHR-3   a share is made only for a batch whose every ciphertext this member has checked
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from encmempool.envelope import reservation
from encmempool.errors import Rejected
from encmempool.identity import require_signer
from encmempool.keysets import Committee
from encmempool.mempool import MAX_UNEXECUTED, StateAt, StateView, candidate
from encmempool.ordering import Policy, committed_order
from encmempool.store import Records
from encmempool.types import (
    ZERO_HASH,
    Abstain,
    BatchList,
    DecryptionShare,
    EncryptedTransaction,
    KeySet,
    OrderCertificate,
    OrderCommitment,
    Proposal,
    ShareRelease,
    SignedAbstain,
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
MAX_CLOCK_LEAD_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A commitment this party has checked in full, with its batch."""

    proposal: Proposal
    batch: Batch

    @property
    def commitment(self) -> OrderCommitment:
        return self.proposal.commitment.message


class Chain:
    """The commitments one party has checked, and the checks. Members vote on it; followers and auditors replay it."""

    def __init__(self, committee: Committee, state: StateView, *, successors: Sequence[Committee] = ()) -> None:
        self.committees = (committee, *successors)
        self._state = state
        self._heights: list[Ready] = []
        self._committed: set[bytes] = set()
        self._nonces: set[tuple[bytes, int]] = set()
        self._verified: dict[bytes, VerifiedCiphertext] = {}
        self._checked: dict[bytes, EncryptedTransaction | SignedReceipt] = {}
        self._sequences: set[int] = set()

    @property
    def first_height(self) -> int:
        return self.committees[0].key_set.start_height

    @property
    def next_height(self) -> int:
        return self.first_height + len(self._heights)

    @property
    def committee(self) -> Committee:
        """The one that governs the next height."""
        return self.committee_at(self.next_height)

    def committee_at(self, height: int) -> Committee:
        return next((c for c in reversed(self.committees) if c.key_set.start_height <= height), self.committees[0])

    def adopt(self, successor: Committee) -> None:
        """Take the next committee, loaded as the newest one's successor. Raises Rejected KEY-9 if the chain already
        went on, or from elsewhere, without it."""
        start = successor.key_set
        if start.start_height < self.next_height:
            raise Rejected("KEY-9", f"height {start.start_height} was committed to under the key set before")
        self.check_key_goes_on(start)
        if (known := self.at(start.start_height - 1)) is not None:
            before = known.commitment
            if start.start_parent not in (ZERO_HASH, before.root):
                raise Rejected("KEY-9", "the key set starts from another commitment than the one certified here")
            if start.key_id == before.key_id and start.start_round != before.round:
                raise Rejected("KEY-9", "the key set starts from another round than the commitment before it")
        self.committees = (*self.committees, successor)

    def check_key_goes_on(self, key_set: KeySet) -> None:
        """The next key is the newest or one that never was: rounds and heights of an earlier one are given away, and
        under another name, with other parameters, its shares would be made a second time."""
        if key_set.key_id == self.committees[-1].key_set.key_id:
            return
        if key_set.encryption_key in (committee.key_set.encryption_key for committee in self.committees):
            raise Rejected("KEY-9", "a key that another has replaced does not come back, nor under another name")

    def at(self, height: int) -> Ready | None:
        index = height - self.first_height
        return self._heights[index] if 0 <= index < len(self._heights) else None

    def prepare(self, transaction: EncryptedTransaction) -> VerifiedCiphertext:
        """Check a transaction ahead of its commitment. Remembered by its bytes: the id leaves its signature out."""
        known = self._verified.get(transaction.encoded)
        if known is None:
            self.committee.terms.check(transaction, height=self.next_height)
            known = self._remember(transaction, self.committee.verify_ciphertext(transaction))
        return known

    def _prepared(self, transactions: Sequence[EncryptedTransaction]) -> tuple[VerifiedCiphertext, ...]:
        """The same for a whole batch: what was not checked ahead is checked together."""
        fresh = [t for t in transactions if t.encoded not in self._verified]
        for transaction in fresh:
            self.committee.terms.check(transaction, height=self.next_height)
        for transaction, verified in zip(fresh, self.committee.verify_ciphertexts(fresh), strict=True):
            self._remember(transaction, verified)
        return tuple(self._verified[t.encoded] for t in transactions)

    def _remember(self, transaction: EncryptedTransaction, verified: VerifiedCiphertext) -> VerifiedCiphertext:
        _ = transaction.tx_id  # with the object, so that it is there when the commitment comes
        self._checked[transaction.encoded] = transaction
        self._verified[transaction.encoded] = verified
        return verified

    def decode(self, data: bytes) -> Proposal:
        """A proposal as it was sent, made of the transactions and receipts that were checked ahead. Raises Malformed.

        Says nothing about the others, or about the proposal."""
        return Proposal.decode(data, self._checked)

    def prepare_receipt(self, signed: SignedReceipt) -> None:
        """Check a receipt's signature ahead of its commitment."""
        if not isinstance(self._checked.get(signed.encoded), SignedReceipt):
            require_signer(
                self.committee.key_set.sequencer,
                signed.message,
                signed.signature,
                self.committee.terms.genesis_root,
                rule="VOT-6",
                who="the sequencer",
            )
            self._checked[signed.encoded] = signed

    def extend(self, proposal: Proposal, *, now_ms: int | None = None) -> Ready:
        """Check everything a vote says (VOT-1 to VOT-9) and append. Raises Malformed or Rejected.

        now_ms    the reader's clock, or None for history, whose time is past
        """
        commitment = proposal.commitment.message
        self._check_commitment(proposal, now_ms)
        self._check_transactions(proposal)
        entries = self._prepared(proposal.transactions)
        batch = Batch(key_id=commitment.key_id, height=commitment.height, round=commitment.round, entries=entries)
        ready = Ready(proposal=proposal, batch=batch)
        self._heights.append(ready)
        for transaction in proposal.transactions:
            self._committed.add(transaction.tx_id)
            self._nonces.add((transaction.header.sender, transaction.header.nonce))
            del self._checked[transaction.encoded], self._verified[transaction.encoded]
        for receipt in proposal.receipts:
            del self._checked[receipt.encoded]
            self._sequences.add(receipt.message.sequence)
        return ready

    def retract(self, height: int) -> None:
        """Forget a height and those above it, for another commitment that t members certified."""
        index = height - self.first_height
        for ready in self._heights[index:]:
            for transaction in ready.proposal.transactions:
                self._committed.discard(transaction.tx_id)
                self._nonces.discard((transaction.header.sender, transaction.header.nonce))
            self._sequences.difference_update(receipt.message.sequence for receipt in ready.proposal.receipts)
        del self._heights[index:]

    def _check_commitment(self, proposal: Proposal, now_ms: int | None) -> None:
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
        before = self._heights[-1].commitment if self._heights else None
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
        state = self._state_of(commitment)
        if commitment.state_root != state.root:
            raise Rejected("VOT-7", f"another state root at height {commitment.executed_height}")
        round_before = key_set.start_round if starts or before is None else before.round
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
        if commitment.inbox_index != 0 or (before and commitment.l1_block < before.l1_block):
            raise Rejected("VOT-9", "the inbox index or the block of the chain below is wrong")
        if commitment.timestamp_ms < (before.timestamp_ms if before else genesis.timestamp_ms):
            raise Rejected("VOT-9", "the commitment's time lies before its parent's")
        if now_ms is not None and commitment.timestamp_ms > now_ms + MAX_CLOCK_LEAD_MS:
            raise Rejected("VOT-9", "the commitment's time lies in the future")

    def _check_transactions(self, proposal: Proposal) -> None:
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
            if tx_id in seen or tx_id in self._committed:
                raise Rejected("VOT-4", f"transaction 0x{tx_id.hex()} is committed twice")
            if (header.sender, header.nonce) in self._nonces:
                raise Rejected("VOT-4", f"nonce {header.nonce} of 0x{header.sender.hex()} is committed twice")
            seen.add(tx_id)
            if header.valid_until < commitment.height:
                raise Rejected("VOT-5", f"transaction 0x{tx_id.hex()} has expired")
            if terms.addresses_height and header.target_height != commitment.height:
                raise Rejected("VOT-5", f"transaction 0x{tx_id.hex()} is encrypted to height {header.target_height}")
        self._check_balances(proposal)
        candidates = [
            candidate(transaction, sequence=sequence, base_fee=terms.genesis.base_fee)
            for transaction, sequence in zip(proposal.transactions, self._receipted(proposal), strict=True)
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

    def _receipted(self, proposal: Proposal) -> tuple[int, ...]:
        """The sequence of each transaction's receipt."""
        if len(proposal.receipts) != len(proposal.transactions):
            raise Rejected("VOT-6", "a transaction comes without its receipt")
        sequences = []
        for transaction, signed in zip(proposal.transactions, proposal.receipts, strict=True):
            if signed.message.tx_id != transaction.tx_id:
                raise Rejected("VOT-6", f"the receipt is not that of transaction 0x{transaction.tx_id.hex()}")
            self.prepare_receipt(signed)
            sequences.append(signed.message.sequence)
        if len(set(sequences)) != len(sequences) or not self._sequences.isdisjoint(sequences):
            raise Rejected("VOT-6", "two receipts have one sequence")
        return tuple(sequences)


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
            del self._votes[heights.pop(0)][member]


def check_certificate(committee: Committee, certificate: OrderCertificate, commitment: OrderCommitment) -> None:
    """Exactly t members, ascending, voted for this commitment. Raises Rejected CRT-3."""
    if certificate.vote != vote_for(commitment):
        raise Rejected("CRT-3", "the certificate is for another commitment")
    members = [
        committee.signing_member(certificate.vote, signature, rule="CRT-3") for signature in certificate.signatures
    ]
    if members != sorted(set(members)) or len(members) != committee.key_set.t:
        raise Rejected("CRT-3", f"a certificate needs {committee.key_set.t} different members in order")


def proposal_record(proposal: Proposal) -> Persist:
    """Kept by height and root: after an equivocation a party may hold the one it saw and the one that was certified."""
    commitment = proposal.commitment.message
    return Persist(kind=PROPOSAL, key=u64(commitment.height) + commitment.root, value=proposal.encoded)


def vote_for(commitment: OrderCommitment) -> Vote:
    return Vote(
        committee_id=commitment.committee_id,
        height=commitment.height,
        round=commitment.round,
        commitment_root=commitment.root,
    )


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
        self._votes: dict[int, SignedVote] = {}
        self._shares: dict[int, ShareRelease] = {}
        self._abstentions: dict[int, SignedAbstain] = {}
        self._successor: SignedKeySet | None = None
        for _, value in records.scan(SUCCESSOR):
            signed = SignedKeySet.decode(value)
            if signed.message.predecessor == self.committee.committee_id:
                self._successor = signed
        for _, value in records.scan(ABSTENTION):
            abstention = SignedAbstain.decode(value)
            self._abstentions[abstention.message.height] = abstention
        for _, value in records.scan(VOTE):
            vote = SignedVote.decode(value)
            self._votes[vote.message.height] = vote
        for _, value in records.scan(SHARE):
            release = ShareRelease.decode(value)
            self._shares[release.share.message.height] = release

    def vote(self, proposal: Proposal, *, now_ms: int) -> tuple[Persist | Send, ...]:
        """Check a proposal and vote for it. Raises Malformed or Rejected; a second root at a height is VOT-10."""
        commitment = proposal.commitment.message
        self._require_office(commitment.height)
        given = self._votes.get(commitment.height)
        if given is not None and given.message != vote_for(commitment):
            raise Rejected("VOT-10", f"this member already voted for another commitment at height {commitment.height}")
        if commitment.height in self._abstentions:
            raise Rejected("VOT-10", f"this member abstained at height {commitment.height}")
        known = self.chain.at(commitment.height)
        if known is not None and known.commitment != commitment:
            raise Rejected("VOT-10", f"two commitments for height {commitment.height}: the sequencer equivocates")
        if known is None:
            known = self.chain.extend(proposal, now_ms=now_ms)
        vote = vote_for(commitment)
        signed = given or SignedVote(message=vote, signature=self._sign(vote))
        self._votes[commitment.height] = signed
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
        ready = self.chain.at(height)
        if ready is None:
            raise Rejected("SHR-3", f"this member has not checked the commitment of height {height}")
        check_certificate(self.committee, certificate, ready.commitment)
        if height in self._abstentions:
            raise Rejected("SHR-2", f"this member abstained at height {height}")
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
        """Bar this member's share at a height for ever. Allowed after a vote, never after a share: Rejected SHR-2."""
        if self.chain.committee_at(height) is not self.committee:
            raise Rejected("VOT-2", f"height {height} belongs to another committee")
        if height in self._shares:
            raise Rejected("SHR-2", f"this member has already released its share at height {height}")
        message = Abstain(committee_id=self.committee.committee_id, height=height)
        signed = self._abstentions.get(height) or SignedAbstain(message=message, signature=self._sign(message))
        self._abstentions[height] = signed
        key = self.committee.key_set.key_id + u64(height)
        return (
            Persist(kind=GUARD, key=key, value=b"abstention"),
            Persist(kind=ABSTENTION, key=key, value=signed.encoded),
            Send(message=signed.encoded),
        )

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
        own = [share.round for share in released if share.committee_id == self.committee.committee_id]
        if key_set.key_id == self.committee.key_set.key_id:
            before = self.chain.at(key_set.start_height - 1)
            if before is None or before.commitment.root != key_set.start_parent:
                raise Rejected("KEY-10", "the key set starts from a commitment that this member does not know")
            if key_set.start_round != before.commitment.round or max(own, default=0) > key_set.start_round:
                raise Rejected("KEY-10", "the key set starts from another round than the commitment before it")
        signature = self._identity.sign(signing_digest(key_set, self.committee.terms.genesis_root))
        self._successor = SignedKeySet(message=key_set, signatures=(signature,))
        encoded = self._successor.encoded
        return (
            Persist(kind=SUCCESSOR, key=self.committee.committee_id, value=encoded),
            Send(message=encoded),
        )

    def _require_office(self, height: int) -> None:
        """A member acts at the heights of its committee, up to the start of a successor it has signed."""
        if self.chain.committee_at(height) is not self.committee:
            raise Rejected("VOT-2", f"height {height} belongs to another committee")
        if self._successor is not None and height >= self._successor.message.start_height:
            raise Rejected(
                "KEY-10", f"this member signed a key set that starts at {self._successor.message.start_height}"
            )

    def resend(self) -> tuple[Send, ...]:
        """After a restart: the newest vote and share once more, byte for byte."""
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
