"""What every node does with what it hears: check, keep, follow, answer. Knows no socket; one thread owns it.

A call returns an `Outbox`: messages for all other nodes, and what happened, for listeners and logs. Everything it
holds is durable before it leaves. A store that refuses a write leaves memory ahead of the disk: the next call builds
the roles anew from what is stored.

Requirements:
NET-1  a message about a height far above the next one is refused: it could not be checked, only kept
NET-2  conflicting messages that one party signed are kept as evidence and told to everyone
NET-3  a node that missed messages takes from any other what it missed, and checks it like everything else
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from encmempool.committee import UNSIGNED, Ballot, abstentions_needed, check_votes
from encmempool.errors import Malformed, Rejected, StorageError
from encmempool.evidence import (
    ConflictingCommitments,
    ConflictingShares,
    ConflictingVotes,
    Evidence,
    Finding,
    WrongShare,
    examine,
)
from encmempool.forced import StoredInbox
from encmempool.home import Home
from encmempool.keysets import Committee
from encmempool.mempool import MAX_UNEXECUTED, StateAt, StateView
from encmempool.network.local import load_committees
from encmempool.network.nodes.history import (
    EVIDENCE,
    EXECUTED_AT,
    HEARD_ABSTENTION,
    HEARD_ERASURE,
    OUTCOMES,
    PASSED,
    POSTED,
    History,
)
from encmempool.network.wire import ExecutionOutcome, HeightOutcomes, HeightRecord
from encmempool.reveal import CHECKPOINT, Executed, Follower, NotEnoughShares, Outcome
from encmempool.ssz import SszObject
from encmempool.store import Store, perform
from encmempool.types import (
    BatchList,
    DropCertificate,
    EncryptedTransaction,
    Genesis,
    InboxEntry,
    OrderCertificate,
    OrderCommitment,
    Proposal,
    Reveal,
    ShareRelease,
    SignedAbstain,
    SignedCommitment,
    SignedErasure,
    SignedKeySet,
    SignedShare,
    SignedVote,
)
from threshold.encoding import u16, u64
from threshold.sansio import Persist

KEPT_HEIGHTS = 2 * MAX_UNEXECUTED
REACH = 4 * MAX_UNEXECUTED
"""Heights above the next one of which a node hears."""
CHECKPOINT_EVERY = 32
MAX_EARLY_BYTES = 1 << 26
"""Of commitments with their batches that cannot be checked yet. What had to go is taken from others later."""
MAX_EVIDENCE = 1_024
MAX_EVIDENCE_OF_ONE = 128
"""Pieces of evidence that are kept, one for each offender, kind and height. Nobody crowds out what others did."""


@dataclass(frozen=True, slots=True)
class Happening:
    """For the event stream, the log and the metrics."""

    name: str
    fields: Mapping[str, int | str | bytes]


@dataclass(slots=True)
class Outbox:
    """Messages by the endpoint that takes them, and what happened."""

    messages: list[tuple[str, SszObject]] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)

    def tell(self, endpoint: str, message: SszObject) -> None:
        self.messages.append((endpoint, message))

    def note(self, name: str, **fields: int | str | bytes) -> None:
        self.happenings.append(Happening(name, fields))


class Core:
    """A follower of the network, which is all that an auditor is, and the base of the other roles."""

    def __init__(self, home: Home, store: Store, *, role: str, backend: str, clock_ms: Callable[[], int]) -> None:
        self.role = role
        self.home = home
        self.store = store
        self.history = History(store)
        self.clock_ms = clock_ms
        self.head = 0
        """The highest height this node has heard of from those who sign."""
        self._backend = backend
        self._stale = False
        self._reported = 0
        self.committees: tuple[Committee, ...] = ()
        self._genesis_root: bytes | None = None
        self._early: dict[int, Proposal] = {}
        self._wanted: dict[int, OrderCertificate] = {}
        self._found: dict[tuple[object, ...], Finding] = {}
        self._abstained: dict[int, dict[int, SignedAbstain]] = {}
        self.inbox = StoredInbox(store)
        self.load()

    # --- loading

    @property
    def has_network(self) -> bool:
        """Whether this node knows a key set."""
        return bool(self.committees)

    @property
    def genesis_root(self) -> bytes | None:
        """Of the network in the home, if one is."""
        if self._genesis_root is None and self.home.exists:
            self._genesis_root = self.home.genesis().root
        return self._genesis_root

    def load(self) -> None:
        """Open the network that is in the home, if one is, as far as it was executed."""
        if not (self.home.exists and self.home.has_key_set):
            return
        committees = load_committees(self.home, backend=self._backend)
        self._restore(committees)
        executed = [done.ready.commitment.height for done in self._follower.executed]
        unreported = [height for height in executed if self.store.get(OUTCOMES, u64(height)) is None]
        self._reported = min(unreported, default=self._follower.latest.height + 1) - 1
        for _, value in self.store.scan(EVIDENCE):
            self._remember(examine(Evidence.decode(value), committees, recorded=True))
        self.committees = committees  # other threads take this for the sign that the rest is there

    def _restore(self, committees: tuple[Committee, ...]) -> None:
        first, *successors = committees
        self._follower = Follower(first, successors=successors, records=self.store, inbox=self.inbox, kept=KEPT_HEIGHTS)
        self._ballots = {committee.committee_id: Ballot(committee) for committee in committees}
        self.head = max(self.head, self._follower.chain.next_height - 1)
        self._abstained.clear()
        for _, value in self.store.scan(HEARD_ABSTENTION):
            self._count_abstention(SignedAbstain.decode(value))
        self._stale = False

    @property
    def follower(self) -> Follower:
        """Rejected NET-3 while the network is not known yet."""
        if not self.committees:
            raise Rejected("NET-3", "this node waits for the network's first key set")
        if self._stale:
            self._restore(self.committees)
        return self._follower

    @property
    def executed_height(self) -> int:
        return self._follower.latest.height if self.committees else 0

    @property
    def state(self) -> StateView:
        """What was executed, for other threads: always that of the follower in use."""
        return _State(self)

    # --- taking what others send

    def take_proposal(self, proposal: Proposal) -> Outbox:
        """Check a commitment with its batch. One for a later height than can be checked now is kept until it can."""
        out = self._begin()
        commitment = proposal.commitment.message
        height = commitment.height
        self._require_near(height)
        self._check_sequencer(proposal.commitment)
        if self._is_conflict(proposal.commitment, out) or height <= self.executed_height:
            return out
        self.head = max(self.head, height)
        if not self._is_checkable(commitment):
            self._keep_early(proposal)
        else:
            self._propose(proposal, out)
            self._go_on(out)
        return out

    def take_vote(self, signed: SignedVote) -> Outbox:
        """Count a member's vote. One that comes after the certificate still counts against another of that member."""
        out = self._begin()
        vote = signed.message
        self._require_near(vote.height)
        certificate, known = self._hear(signed, out), self._certificate(vote.height)
        if known is not None:
            if known.vote != vote:
                self._hear_votes(known, out)
            return out
        # One member's word that there is a next height, not for how many: whoever is behind asks for more.
        self.head = max(self.head, min(vote.height, self.follower.chain.next_height))
        if certificate is not None:
            self._certified(certificate, out)
            self._go_on(out)
        return out

    def take_share(self, release: ShareRelease) -> Outbox:
        """Take a member's share with its certificate; open and execute the height when that makes t."""
        out = self._begin()
        message = release.share.message
        self._require_near(message.height)
        ready = self.follower.chain.at(message.height)
        if ready is None or ready.commitment.root != message.commitment_root:
            self._take_stray(release, out)
            return out
        late = message.height <= self.executed_height
        if release.share in self.follower.shares(message.height):
            return out
        fresh = self.follower.certificate(message.height) is None
        self._perform(self.follower.receive(release))
        if fresh:
            self._hear_votes(release.certificate, out)
            self._after_certificate(release.certificate, out)
        out.note("share", height=message.height, member=message.member, late=int(late))
        self._go_on(out)
        return out

    def take_height(self, record: HeightRecord) -> Outbox:
        """What another node holds of a height that this one has not executed."""
        out = self._begin()
        height = record.proposal.commitment.message.height
        is_next = height == self.executed_height + 1
        if record.drop:
            if is_next and record.drop[0].abstention.height == height:
                self._drop(record.drop[0], out)
                self._go_on(out)
            return out
        if height <= self.executed_height or not (is_next or self.follower.chain.at(height)):
            return self.take_proposal(record.proposal)
        if record.certificate:
            certificate = record.certificate[0]
            fresh = self.follower.certificate(height) is None
            try:
                self._perform(self.follower.follow(record.proposal, certificate))
            except Rejected as error:
                if error.rule != "CRT-4":
                    raise
                self._hear_votes(certificate, out)
                return out
            if fresh:
                self._hear_votes(certificate, out)
            for share in record.shares:
                with suppress(Rejected):
                    self._perform(self.follower.receive(ShareRelease(share=share, certificate=certificate)))
            complete = is_next and self._is_complete(record)
            reveal = record.reveal[0] if record.reveal else None
            if not (complete and self._take_reveal(height, reveal, out)) and fresh:
                self._after_certificate(certificate, out)
        else:
            for part in (self.take_proposal(record.proposal), *self._take_votes(record.votes)):
                out.messages += part.messages
                out.happenings += part.happenings
        self._go_on(out)
        return out

    def _is_complete(self, record: HeightRecord) -> bool:
        """Whether a height can be executed from its reveal, and handed on with all that makes it valid."""
        height = record.proposal.commitment.message.height
        if not record.proposal.transactions:
            return True
        needed = self.follower.chain.committee_at(height).key_set.t
        return bool(record.reveal) and len(self.follower.shares(height)) >= needed

    def _take_votes(self, votes: Iterable[SignedVote]) -> Iterable[Outbox]:
        for vote in votes:
            with suppress(Rejected):
                yield self.take_vote(vote)

    def take_abstention(self, signed: SignedAbstain) -> Outbox:
        """Keep and pass on a member's abstention; enough of them drop the height. Raises Rejected DRP-1."""
        out = self._begin()
        height = signed.message.height
        self._require_near(height)
        committee = self.follower.chain.committee_at(height)
        if signed.message.committee_id != committee.committee_id:
            raise Rejected("DRP-1", "the abstention is of another committee than that of its height")
        member = committee.signing_member(signed.message, signed.signature, rule="DRP-1")
        if height <= self.executed_height or member in self._abstained.get(height, {}):
            return out
        key = committee.committee_id + u64(height) + u16(member)
        self._perform([Persist(kind=HEARD_ABSTENTION, key=key, value=signed.encoded)])
        self._count_abstention(signed)
        out.note("abstained", height=height, member=member)
        out.tell("submit_abstention", signed)
        self._go_on(out)
        return out

    def _count_abstention(self, signed: SignedAbstain) -> None:
        height = signed.message.height
        if height > self._follower.latest.height:
            committee = self._follower.chain.committee_at(height)
            member = committee.signing_member(signed.message, signed.signature, rule="DRP-1")
            self._abstained.setdefault(height, {})[member] = signed

    def _drop_abandoned(self, out: Outbox) -> None:
        """Heights at which enough members abstained, from the first that is not settled on."""
        for height in sorted(self._abstained):
            by_member = self._abstained[height]
            needed = abstentions_needed(self.follower.chain.committee_at(height).key_set)
            if height <= self.executed_height or len(by_member) < needed:
                continue
            signed = [by_member[member] for member in sorted(by_member)]
            self._drop(
                DropCertificate(abstention=signed[0].message, signatures=tuple(each.signature for each in signed)), out
            )

    def _drop(self, certificate: DropCertificate, out: Outbox) -> None:
        height = certificate.abstention.height
        try:
            records = self.follower.drop(certificate)
        except Rejected as error:
            if error.rule not in ("DRP-3", "DRP-6"):  # the height below comes first; or nothing comes there
                raise
            return
        if records:
            self._perform(records)
            self._after_drop(height, out)

    def _after_drop(self, height: int, out: Outbox) -> None:
        for held in (self._early, self._wanted):
            held.pop(height, None)
        out.note("dropped", height=height)

    def take_inbox(self, head: int, entries: tuple[InboxEntry, ...]) -> Outbox:
        """What the chain below shows, up to a block that is deep enough: no more changes there."""
        out = self._begin()
        self._perform([*self.inbox.records_of(entries), *self._posted(entries)])
        self.inbox.advance(head, entries)
        for entry in entries:
            out.note("posted", index=entry.index, l1_block=entry.l1_block)
        self._go_on(out)
        return out

    def _posted(self, entries: Iterable[InboxEntry]) -> list[Persist]:
        """Where each transaction was posted first."""
        found: dict[bytes, int] = {}
        for entry in entries:
            with suppress(Malformed):
                tx_id = EncryptedTransaction.decode(entry.data).tx_id
                if self.history.posted(tx_id) is None:
                    found.setdefault(tx_id, entry.index)
        return [Persist(kind=POSTED, key=tx_id, value=u64(index)) for tx_id, index in found.items()]

    def take_evidence(self, evidence: Evidence) -> Outbox:
        """Judge and keep evidence, and pass on what is new."""
        out = self._begin()
        self._keep_evidence(evidence, out)
        return out

    def take_erasure(self, signed: SignedErasure) -> Outbox:
        """Keep and pass on a member's statement."""
        out = self._begin()
        committee = next((c for c in self.committees if c.committee_id == signed.message.committee_id), None)
        if committee is None:
            raise Rejected("AUD-2", "the statement is about a committee that this node does not know")
        member = committee.signing_member(signed.message, signed.signature, rule="AUD-2")
        key = committee.committee_id + u16(member)
        if self.store.get(HEARD_ERASURE, key) is None:
            self._perform([Persist(kind=HEARD_ERASURE, key=key, value=signed.encoded)])
            out.note("erased", epoch=committee.key_set.epoch, member=member)
            out.tell("submit_erasure", signed)
        return out

    def take_network(self, genesis: Genesis, key_sets: Sequence[SignedKeySet]) -> Outbox:
        """The network's first key set and its successors, for a node that knows the genesis alone."""
        out = Outbox()
        if self.committees or not key_sets:
            return out
        first, *successors = key_sets
        parameters = self.home.parameters(first.message)
        committees = [Committee.load(genesis, first, parameters, backend=self._backend)]
        for signed in successors:
            parameters = self.home.parameters(signed.message)
            committees.append(committees[-1].load_successor(signed, parameters, backend=self._backend))
        for committee in committees:
            committee.scheme.verify_parameters(committee.public_key)
            self.home.write_key_set(committee.signed)
        self.load()
        out.note("key_set", epoch=len(committees), height=0, committee_id=committees[-1].committee_id)
        return out

    def wants_key_set(self, signed: SignedKeySet) -> bool:
        """Whether it is the successor of the newest key set, signed by those who have to. False for one that is known.
        Raises Malformed or Rejected."""
        if any(committee.key_set == signed.message for committee in self.committees):
            return False
        self.committees[-1].check_successor(signed, backend=self._backend)
        return True

    def take_key_set(self, signed: SignedKeySet) -> Outbox:
        """The successor of the newest key set, whose parameters are in the home already. Old news is no error."""
        out = Outbox()
        key_set = signed.message
        if any(committee.key_set == key_set for committee in self.committees):
            return out
        newest = self.committees[-1]
        following = newest.load_successor(signed, self.home.parameters(key_set), backend=self._backend)
        following.scheme.verify_parameters(following.public_key)
        self.follower.adopt(following)
        try:
            self.home.write_key_set(signed)
        except OSError as error:
            self._stale = True
            raise StorageError(f"the key set cannot be kept in {self.home.path}: {error.strerror}") from error
        self.committees = (*self.committees, following)
        self._ballots[following.committee_id] = Ballot(following)
        self._early.clear()
        out.note("key_set", epoch=key_set.epoch, height=key_set.start_height, committee_id=following.committee_id)
        out.tell("announce_key_set", signed)
        self._go_on(out)
        return out

    def nudge(self) -> Outbox:
        """Do again what a height that stands still may be waiting for."""
        if not self.committees:
            return Outbox()
        out = self._begin()
        self._go_on(out)
        return out

    # --- answering

    def votes(self, height: int) -> tuple[SignedVote, ...]:
        """Heard for a height that is not certified yet."""
        ballots = tuple(self._ballots.values()) if self.committees else ()
        return tuple(vote for ballot in ballots for vote in ballot.votes(height))

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(Evidence.decode(value) for _, value in self.store.scan(EVIDENCE))

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._found.values())

    @property
    def missing(self) -> int | None:
        """The next height to take from others, or None if nothing is known to be missing."""
        following = self.executed_height + 1
        return following if self.committees and following <= self.head else None

    # --- what follows from what was taken

    def _begin(self) -> Outbox:
        """With the heights that were executed from the records alone: their outcomes could not be stored before."""
        out = Outbox()
        waiting = [done for done in self.follower.executed if done.ready.commitment.height > self._reported]
        self._adopt((), waiting, out)
        return out

    def _is_checkable(self, commitment: OrderCommitment) -> bool:
        """Whether the height below, the state and the block of L1 that it names are known here."""
        return (
            commitment.height <= self.follower.chain.next_height
            and commitment.executed_height <= self.executed_height
            and not self._is_ahead_on_l1(commitment)
        )

    def _is_ahead_on_l1(self, commitment: OrderCommitment) -> bool:
        window = self.committees[0].genesis.deadlines.force_l1_blocks
        return window > 0 and commitment.l1_block > self.inbox.head

    def _propose(self, proposal: Proposal, out: Outbox) -> None:
        known = self.follower.chain.at(proposal.commitment.message.height)
        if known is None:
            self._perform(self.follower.propose(proposal, now_ms=self.clock_ms()))
            self._note_commitment(proposal, out)

    def _note_commitment(self, proposal: Proposal, out: Outbox) -> None:
        message = proposal.commitment.message
        out.note("committed", height=message.height, root=message.root, count=message.count)

    def _keep_early(self, proposal: Proposal) -> None:
        """Anybody can put another batch beside a commitment that the sequencer signed. Raises Rejected."""
        commitment = proposal.commitment.message
        tx_ids = tuple(transaction.tx_id for transaction in proposal.transactions)
        if commitment.count != len(tx_ids) or commitment.batch_root != BatchList(tx_ids=tx_ids).root:
            raise Rejected("VOT-3", "count or batch_root are not those of the transactions handed over")
        if len(proposal.receipts) > len(tx_ids):
            raise Rejected("VOT-6", "a receipt comes without its transaction")
        self._early.setdefault(commitment.height, proposal)
        while sum(len(early.encoded) for early in self._early.values()) > MAX_EARLY_BYTES:
            del self._early[max(self._early)]

    def _take_stray(self, release: ShareRelease, out: Outbox) -> None:
        """A share for another commitment than the one checked here, or for none: its member's second one, or one that
        comes before its commitment, with a certificate that helps. Raises Rejected if it is neither."""
        second = tuple(self._second_shares(release.share))
        for evidence in second:
            self._keep_evidence(evidence, out)
        if release.share.message.height > self.executed_height:
            try:
                self._take_certificate(release.certificate, out)
            except Rejected:
                if not second:
                    raise
            self._go_on(out)

    def _take_certificate(self, certificate: OrderCertificate, out: Outbox) -> None:
        """Of a height that is not executed. Raises Rejected NET-1, CRT-1 or CRT-3."""
        vote = certificate.vote
        self._require_near(vote.height)
        known = self._certificate(vote.height)
        if known is not None and known.vote == vote:
            return
        committee = next((c for c in self.committees if c.committee_id == vote.committee_id), None)
        if committee is None:
            raise Rejected("CRT-1", "the certificate is of a committee that this node does not know")
        check_votes(committee, certificate)
        self._hear_votes(certificate, out)
        if known is not None:
            self._hear_votes(known, out)
        else:
            self._certified(certificate, out)

    def _certified(self, certificate: OrderCertificate, out: Outbox) -> None:
        """By votes that were checked."""
        height = certificate.vote.height
        ready = self.follower.chain.at(height)
        if ready is None or ready.commitment.root != certificate.vote.commitment_root:
            self.head = max(self.head, height)
            self._wanted[height] = certificate
            return
        self._perform(self.follower.certify(certificate))
        self._after_certificate(certificate, out)

    def _certificate(self, height: int) -> OrderCertificate | None:
        held = self.follower.certificate(height)
        return self.history.certificate(height) if held is None and height <= self.executed_height else held

    def _hear(self, signed: SignedVote, out: Outbox) -> OrderCertificate | None:
        """Count a vote; two of one member for one height are evidence. Raises Rejected CRT-1."""
        vote = signed.message
        ballot = self._ballots.get(vote.committee_id)
        if ballot is None:
            raise Rejected("CRT-1", "the vote is for a committee that this node does not know")
        try:
            return ballot.add(signed)
        except Rejected as error:
            if error.rule == "CRT-2" and (earlier := ballot.vote(vote.height, error.member or 0)) is not None:
                self._found_conflict(ConflictingVotes(first=earlier, second=signed), out)
                return None
            raise

    def _hear_votes(self, certificate: OrderCertificate, out: Outbox) -> None:
        """The votes of a certificate that was checked: some may have been heard otherwise."""
        for signature in certificate.signatures:
            self._hear(SignedVote(message=certificate.vote, signature=signature), out)

    def _after_certificate(self, certificate: OrderCertificate, out: Outbox) -> None:
        out.note("certified", height=certificate.vote.height, root=certificate.vote.commitment_root)

    def _go_on(self, out: Outbox) -> None:
        """Open what can be opened, then check what waited for that."""
        while True:
            self._drop_abandoned(out)
            self._use_wanted(out)
            self._advance(out)
            following = self.follower.chain.next_height
            proposal = self._early.pop(following, None)
            if proposal is None or not self._is_checkable(proposal.commitment.message):
                if proposal is not None:
                    self._early[following] = proposal
                break
            try:
                self._propose(proposal, out)
            except (Malformed, Rejected) as error:
                out.note("refused", height=following, rule=getattr(error, "rule", ""), reason=str(error))
                break
        for height in [h for h in self._early if h <= self.executed_height]:
            del self._early[height]
        for held in (self._wanted, self._abstained):
            for height in [h for h in held if h <= self.executed_height]:
                del held[height]

    def _use_wanted(self, out: Outbox) -> None:
        """Certificates that came before their commitment was checked."""
        for height in sorted(self._wanted):
            ready = self.follower.chain.at(height)
            if ready is not None and ready.commitment.root == self._wanted[height].vote.commitment_root:
                certificate = self._wanted.pop(height)
                if self.follower.certificate(height) is None:
                    with suppress(Rejected):
                        self._certified(certificate, out)

    def _advance(self, out: Outbox) -> None:
        try:
            records, executed = self.follower.advance()
        except NotEnoughShares as error:
            height = self.executed_height + 1
            for member in error.blamed:
                self._found_wrong_share(height, member, out)
            return
        self._adopt(records, executed, out)

    def _take_reveal(self, height: int, reveal: Reveal | None, out: Outbox) -> bool:
        """Whether the height was executed from it. If it is wrong, shares are still as good as they were."""
        try:
            records, executed = self.follower.take_reveal(height, reveal)
        except (Malformed, Rejected) as error:
            out.note("refused", height=height, rule=getattr(error, "rule", ""), reason=str(error))
            return False
        self._adopt(records, (executed,), out)
        return True

    def _adopt(self, records: Sequence[Persist], executed: Sequence[Executed], out: Outbox) -> None:
        """Keep what was executed with its outcomes, and now and then a checkpoint."""
        if not executed:
            return
        extra = [record for done in executed for record in _outcome_records(done)]
        height = self.executed_height
        due = height // CHECKPOINT_EVERY > (height - len(executed)) // CHECKPOINT_EVERY
        self._perform([*records, *extra, *([self.follower.checkpoint()] if due else [])])
        if due:
            with suppress(StorageError):  # the next time, then
                self.store.erase(CHECKPOINT, below=u64(max(height - CHECKPOINT_EVERY, 0)))
        self._reported = height
        for done in executed:
            commitment = done.ready.commitment
            out.note(
                "executed",
                height=commitment.height,
                root=commitment.root,
                count=commitment.count,
                state_root=done.state.root,
                committed_ms=commitment.timestamp_ms,
            )
            self._after_execution(done, out)

    def _after_execution(self, done: Executed, out: Outbox) -> None:
        """Members whose shares were refused on the way are shown with them."""
        for member in self.follower.refused(done.ready.commitment.height):
            self._found_wrong_share(done.ready.commitment.height, member, out)

    def _perform(self, effects: Sequence[object]) -> tuple[object, ...]:
        try:
            return perform(effects, self.store)
        except BaseException:
            self._stale = True
            raise

    # --- evidence

    def _check_sequencer(self, signed: SignedCommitment) -> None:
        committee = self.follower.chain.committee_at(signed.message.height)
        committee.check_sequencer(signed)

    def _is_conflict(self, signed: SignedCommitment, out: Outbox) -> bool:
        """Whether another commitment for the height is known here: then both are evidence."""
        known = self._commitment(signed)
        if known is None or known.message == signed.message or known.signature == UNSIGNED:
            return False
        self._found_conflict(ConflictingCommitments(first=known, second=signed), out)
        return True

    def _commitment(self, like: SignedCommitment) -> SignedCommitment | None:
        """The one known for the height of another, however old."""
        height = like.message.height
        ready = self.follower.chain.at(height)
        proposal = ready.proposal if ready else self._early.get(height)
        if proposal is None and height <= self.executed_height:
            certificate = self.history.certificate(height)
            if certificate is not None and certificate.vote.commitment_root != like.message.root:
                proposal = self.history.proposal(height)
        return None if proposal is None else proposal.commitment

    def _second_shares(self, second: SignedShare) -> Iterator[Evidence]:
        """What a member's share shows together with one for another commitment that is stored here."""
        message = second.message
        for first in self.history.shares(message.height):
            of_same = (first.message.committee_id, first.message.member) == (message.committee_id, message.member)
            if of_same and first.message.commitment_root != message.commitment_root:
                yield Evidence.of(ConflictingShares(first=first, second=second))

    def _found_conflict(self, conflict: ConflictingCommitments | ConflictingVotes, out: Outbox) -> None:
        self._keep_evidence(Evidence.of(conflict), out)

    def _found_wrong_share(self, height: int, member: int, out: Outbox) -> None:
        ready = self.follower.chain.at(height)
        share = next((s for s in self.follower.shares(height) if s.message.member == member), None)
        if ready is not None and share is not None:
            self._keep_evidence(Evidence.of(_wrong_share(share, ready.proposal)), out)

    def _keep_evidence(self, evidence: Evidence, out: Outbox) -> None:
        claimed = examine(evidence, self.committees, recorded=True)  # what is told again costs no more than this
        of_one = sum(claimed.offender == known.offender for known in self._found.values())
        if claimed.subject in self._found or of_one >= MAX_EVIDENCE_OF_ONE or len(self._found) >= MAX_EVIDENCE:
            return
        finding = examine(evidence, self.committees)
        self._perform([Persist(kind=EVIDENCE, key=evidence.root, value=evidence.encoded)])
        self._remember(finding)
        out.note(
            "evidence",
            kind=finding.kind.text,
            role=finding.role,
            offender=finding.offender,
            member=finding.member or 0,
            height=finding.height,
        )
        out.tell("submit_evidence", evidence)

    def _remember(self, finding: Finding) -> None:
        self._found[finding.subject] = finding

    def _require_near(self, height: int) -> None:
        if height > self.follower.chain.next_height + REACH:
            raise Rejected(
                "NET-1", f"height {height} is far above {self.executed_height}, which this node has executed"
            )


class _State:
    """Looks only: what the disk has not taken yet is no less true, and another thread restores nothing."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @property
    def latest(self) -> StateAt:
        return self._core._follower.latest

    def at(self, height: int) -> StateAt | None:
        return self._core._follower.at(height)


def _wrong_share(share: SignedShare, proposal: Proposal) -> WrongShare:
    return WrongShare(share=share, commitment=proposal.commitment, transactions=proposal.transactions)


def _outcome_records(done: Executed) -> list[Persist]:
    height = done.ready.commitment.height
    transactions = done.ready.proposal.transactions
    outcomes = HeightOutcomes(
        height=height,
        state_root=done.state.root,
        outcomes=tuple(
            ExecutionOutcome(
                tx_id=transaction.tx_id,
                code=Outcome[receipt.code.upper()],
                success=int(receipt.success),
                gas_used=receipt.gas_used,
                fee=receipt.fee,
                amount_in=receipt.amount_in,
                amount_out=receipt.amount_out,
                reason=receipt.reason.encode()[:256],
            )
            for transaction, receipt in zip(transactions, done.receipts, strict=True)
        ),
    )
    return [
        Persist(kind=OUTCOMES, key=u64(height), value=outcomes.encoded),
        *(Persist(kind=EXECUTED_AT, key=t.tx_id, value=u64(height)) for t in transactions),
        *(Persist(kind=PASSED, key=u64(p.index), value=u64(height) + p.rule.encode()) for p in done.ready.passed),
    ]
