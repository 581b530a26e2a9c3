"""The history of a network as one file, and its verification from outside.

The file is a magic line and then records: kind (1 byte), height (8), length (4), SSZ object, SHA-256 of all that
(32). Their order is fixed, so one history has one file:

    genesis,
    for each height: (key set that starts there, parameters*, erasure*)*, forced*, transaction*,
                     (transaction, receipt)*, commitment, vote*, share*, reveal, abstention*,
    for what was never committed: key sets that start later, (transaction, receipt)*, then abstentions and the end
                     record.

Parameters are shown with the first key set that has them; a key set has its start's height. Forced records are the
inbox entries that the height settles, and the transactions without receipts the forced ones. Abstentions are those of
the committee that governs the height. Receipts whose sequencer did not commit to their transaction stand at the end,
also if another one did, or if it was forced.

`verify` trusts nothing in it. The genesis names the network; from there every signature, root, order, share, batch
key, outcome and state root is recomputed. The checksums only say early and exactly which record was damaged.

Requirements:
AUD-1  the file is the canonical encoding of its history, and complete
AUD-2  every rule of voting, certification, sharing and revealing holds at every height
AUD-3  every receipt is a sequencer's and belongs to its transaction; no two of one sequencer have one sequence or
       transaction
AUD-4  only the newest heights may lack a reveal
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import Protocol

from encmempool import genesis as genesis_file
from encmempool.committee import abstentions_needed
from encmempool.envelope import Epochs, check_receipt
from encmempool.errors import Malformed, Rejected
from encmempool.forced import KnownInbox
from encmempool.identity import recover_signer
from encmempool.intervals import IntervalSet
from encmempool.keysets import NO_END, Committee, load_registry
from encmempool.reveal import Executed, Follower
from encmempool.types import (
    DropCertificate,
    EncryptedTransaction,
    Genesis,
    InboxEntry,
    OrderCertificate,
    Proposal,
    Reveal,
    ShareRelease,
    SignedAbstain,
    SignedCommitment,
    SignedErasure,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
)
from threshold.curve import DEFAULT_BACKEND
from threshold.encoding import Reader, u8, u32, u64
from threshold.keys import parameter_digest

MAGIC = b"encmempool history 1\n"
NO_PARAMETERS = parameter_digest(b"")
_HEAD_BYTES = 13
_CHECKSUM_BYTES = 32


class Kind(IntEnum):
    GENESIS = 1
    KEY_SET = 2
    FORCED = 3
    TRANSACTION = 4
    RECEIPT = 5
    COMMITMENT = 6
    VOTE = 7
    SHARE = 8
    REVEAL = 9
    ABSTENTION = 10
    END = 11
    PARAMETERS = 12
    ERASURE = 13

    @property
    def text(self) -> str:
        return self.name.lower().replace("_", " ")


class AuditFailed(Exception):
    """The history is not what it claims. `height` and `record` say where."""

    def __init__(self, message: str, *, height: int, record: str) -> None:
        super().__init__(f"height {height}, {record}: {message}")
        self.height = height
        self.record = record
        self.reason = message


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What a verified history says.

    outcomes        count by outcome
    threshold       members whose shares open a batch, of `members`; `reduced` if below the default
    pending         transactions that have a receipt and are not committed
    missing_receipts    sequences below a sequencer's highest that the file does not show: their transactions are
                    unknown
    wrong_shares    (height, member) of shown shares that do not verify; more may exist that are not shown
    conflicts       (height, member) of members that signed both a share and an abstention
    dropped         heights that members abandoned
    """

    genesis_root: bytes
    committee_id: bytes
    members: int
    threshold: int
    reduced: bool
    heights: int
    executed_height: int
    transactions: int
    pending: int
    missing_receipts: int
    records: int
    state_root: bytes
    outcomes: dict[str, int] = field(default_factory=dict)
    wrong_shares: tuple[tuple[int, int], ...] = ()
    conflicts: tuple[tuple[int, int], ...] = ()
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedHeight:
    """A height as it was made public; what is not there yet is None or empty. Of a dropped one that is all but the
    proof, and a proposal that is nobody's."""

    proposal: Proposal
    drop: DropCertificate | None
    certificate: OrderCertificate | None
    shares: tuple[SignedShare, ...]
    reveal: Reveal | None


class Published(Protocol):
    """What an export is made of."""

    @property
    def committees(self) -> tuple[Committee, ...]: ...
    def erasures(self, *, of: bytes) -> tuple[SignedErasure, ...]:
        """By members of the committee with this id, in their order."""

    def abstentions(self) -> tuple[SignedAbstain, ...]: ...
    def inbox_entry(self, index: int) -> InboxEntry:
        """One that a commitment has settled."""

    def heights(self) -> Iterator[PublishedHeight]:
        """From the first to the last that is committed."""

    def uncommitted(self) -> tuple[tuple[EncryptedTransaction, SignedReceipt], ...]:
        """What has a receipt and no place with it in a commitment of the sequencer that gave it, in any order."""


def export(history: Published) -> bytes:
    """A published history as one file."""
    out = [MAGIC]
    count = 0

    def add(kind: Kind, height: int, body: bytes) -> None:
        nonlocal count
        out.append(_record(kind, height, body))
        count += 1

    first = history.committees[0]
    add(Kind.GENESIS, 0, first.genesis.encoded)
    starting = list(history.committees)
    known_parameters = NO_PARAMETERS

    def add_key_sets(last: int) -> None:
        nonlocal known_parameters
        while starting and starting[0].key_set.start_height <= last:
            committee = starting.pop(0)
            height = committee.key_set.start_height
            add(Kind.KEY_SET, height, committee.signed.encoded)
            if committee.key_set.parameter_digest not in (known_parameters, NO_PARAMETERS):
                add(Kind.PARAMETERS, height, committee.parameters)
            known_parameters = committee.key_set.parameter_digest
            for erasure in history.erasures(of=committee.key_set.predecessor):
                add(Kind.ERASURE, height, erasure.encoded)

    def committee_at(height: int) -> Committee:
        return next((c for c in reversed(history.committees) if c.key_set.start_height <= height), first)

    abstentions: dict[int, list[SignedAbstain]] = {}
    for signed in history.abstentions():
        if signed.message.committee_id == committee_at(signed.message.height).committee_id:
            abstentions.setdefault(signed.message.height, []).append(signed)
    height, settled = first.key_set.start_height - 1, 0
    for published in history.heights():
        height += 1
        add_key_sets(height)
        proposal = published.proposal
        if published.drop is not None:
            for signed in _all_abstentions(published.drop, abstentions.pop(height, []), committee_at(height)):
                add(Kind.ABSTENTION, height, signed.encoded)
            continue
        while settled < proposal.commitment.message.inbox_index:
            add(Kind.FORCED, height, history.inbox_entry(settled).encoded)
            settled += 1
        for transaction in proposal.forced:
            add(Kind.TRANSACTION, height, transaction.encoded)
        for transaction, receipt in zip(proposal.received, proposal.receipts, strict=True):
            add(Kind.TRANSACTION, height, transaction.encoded)
            add(Kind.RECEIPT, height, receipt.encoded)
        add(Kind.COMMITMENT, height, proposal.commitment.encoded)
        if (certificate := published.certificate) is not None:
            for signature in certificate.signatures:
                add(Kind.VOTE, height, SignedVote(message=certificate.vote, signature=signature).encoded)
        for share in published.shares:
            add(Kind.SHARE, height, share.encoded)
        if published.reveal is not None:
            add(Kind.REVEAL, height, published.reveal.encoded)
        for signed in abstentions.pop(height, []):
            add(Kind.ABSTENTION, height, signed.encoded)
    add_key_sets(NO_END)
    epochs = _epochs(history.committees)
    for transaction, receipt in sorted(history.uncommitted(), key=lambda pair: _place(epochs, pair[1])):
        add(Kind.TRANSACTION, height + 1, transaction.encoded)
        add(Kind.RECEIPT, height + 1, receipt.encoded)
    for later in sorted(abstentions):
        for signed in abstentions[later]:
            add(Kind.ABSTENTION, later, signed.encoded)
    add(Kind.END, height + 1, u64(count))
    return b"".join(out)


def _all_abstentions(
    drop: DropCertificate, others: Sequence[SignedAbstain], committee: Committee
) -> Iterator[SignedAbstain]:
    """Those that dropped a height, and later ones, by member."""
    shown = [SignedAbstain(message=drop.abstention, signature=signature) for signature in drop.signatures]
    by_member = {
        committee.signing_member(signed.message, signed.signature, rule="AUD-2"): signed for signed in (*shown, *others)
    }
    return (signed for _, signed in sorted(by_member.items()))


def _epochs(committees: Sequence[Committee]) -> Epochs:
    epochs = Epochs(committees[0].terms)
    for committee in committees[1:]:
        epochs.adopt(committee.terms)
    return epochs


def _place(epochs: Epochs, signed: SignedReceipt) -> tuple[int, int]:
    """Among receipts without a commitment: in the order in which sequencers come into office, then by sequence.

    Raises Rejected SEQ-6 for a stranger's."""
    sequencers = list(dict.fromkeys(terms.key_set.sequencer for terms in epochs))
    signer = recover_signer(signed.message, signed.signature, epochs.genesis.root)
    if signer not in sequencers:
        raise Rejected("SEQ-6", "a receipt is not signed by a sequencer")
    return sequencers.index(signer), signed.message.sequence


def verify(data: bytes, *, backend: str = DEFAULT_BACKEND) -> AuditReport:
    """Recompute everything. Raises AuditFailed naming height and record."""
    return _Auditor(data, backend).run()


def inspected(data: bytes, *, backend: str = DEFAULT_BACKEND) -> tuple[AuditReport, Follower]:
    """The same, for who then wants to look into it."""
    auditor = _Auditor(data, backend)
    return auditor.run(), auditor.follower


def replayed(data: bytes, *, backend: str = DEFAULT_BACKEND) -> Follower:
    """The follower alone."""
    return inspected(data, backend=backend)[1]


def registry(data: bytes, *, backend: str = DEFAULT_BACKEND) -> tuple[Committee, ...]:
    """The committees of a history, checked as key sets are; nothing else of it is.

    Raises AuditFailed, Malformed or Rejected."""
    bodies: dict[Kind, list[bytes]] = {Kind.GENESIS: [], Kind.KEY_SET: [], Kind.PARAMETERS: []}
    for record in _records(data):
        if record.kind in bodies:
            bodies[record.kind].append(record.body)
    genesis = genesis_file.check(Genesis.decode(b"".join(bodies[Kind.GENESIS])))
    known = {parameter_digest(body): body for body in bodies[Kind.PARAMETERS]}
    key_sets = [SignedKeySet.decode(body) for body in bodies[Kind.KEY_SET]]
    return load_registry(genesis, key_sets, lambda of: known.get(of.parameter_digest, b""), backend=backend)


@dataclass(frozen=True, slots=True)
class _Record:
    kind: Kind
    height: int
    body: bytes
    name: str


class _Auditor:
    def __init__(self, data: bytes, backend: str) -> None:
        self._backend = backend
        self._records = _records(data)
        self._next = next(self._records)
        self._count = 0
        self._sequences: dict[bytes, IntervalSet] = {}
        self._receipted: set[tuple[bytes, bytes]] = set()
        self._committed: set[bytes] = set()
        self._conflicts: list[tuple[int, int]] = []
        self._outcomes: dict[str, int] = {}
        self._wrong: list[tuple[int, int]] = []
        self._unrevealed = False
        self._by_key: dict[bytes, Committee] = {}
        self._batch: list[tuple[EncryptedTransaction, SignedReceipt | None]] = []
        self._abstained: list[SignedAbstain] = []
        self._dropped: list[int] = []
        self._inbox = KnownInbox(head=NO_END)

    @property
    def follower(self) -> Follower:
        return self._follower

    def run(self) -> AuditReport:
        genesis_record = self._take(Kind.GENESIS, 0)
        with _at(genesis_record):
            genesis = genesis_file.check(Genesis.decode(genesis_record.body))
        self._parameters = b""
        self._committee = self._key_set(1, partial(Committee.load, genesis, backend=self._backend))
        self._epochs = Epochs(self._committee.terms)
        self._follower = Follower(self._committee, inbox=self._inbox)
        first = height = self._committee.key_set.start_height
        transactions = 0
        self._successors(height)
        while self._is_dropped(height) or (not self._abstained and self._peek_commitment(height)):
            transactions += self._height(height)
            height += 1
            self._successors(height)
        pending = self._pending_height(height)
        end = self._take(Kind.END, height)
        with _at(end):
            if end.body != u64(self._count - 1):
                raise Rejected("AUD-1", "the end record counts other records than the file holds")
            if next(self._records, None) is not None:
                raise Rejected("AUD-1", "records follow the end record")
        return AuditReport(
            genesis_root=genesis.root,
            committee_id=self._committee.committee_id,
            members=self._committee.key_set.n,
            threshold=self._committee.key_set.t,
            reduced=bool(self._committee.key_set.reduced_threshold),
            heights=height - first,
            executed_height=self._follower.latest.height,
            transactions=transactions,
            pending=pending,
            missing_receipts=sum(shown.missing for shown in self._sequences.values()),
            records=self._count,
            state_root=self._follower.latest.root,
            outcomes=dict(sorted(self._outcomes.items())),
            wrong_shares=tuple(self._wrong),
            conflicts=tuple(self._conflicts),
            dropped=tuple(self._dropped),
        )

    def _key_set(self, height: int, load: Callable[[SignedKeySet, bytes], Committee]) -> Committee:
        """A key set with its parameters, which are shown where they are others than before, checked in full."""
        record = self._take(Kind.KEY_SET, height)
        with _at(record):
            signed = SignedKeySet.decode(record.body)
        if signed.message.parameter_digest == NO_PARAMETERS:
            self._parameters = b""
        elif self._is_next(Kind.PARAMETERS, height):
            shown = self._take(Kind.PARAMETERS, height)
            with _at(shown):
                if shown.body == self._parameters:
                    raise Rejected("AUD-1", "the parameters are shown again")
            self._parameters = shown.body
        with _at(record):
            committee = load(signed, self._parameters)
            committee.scheme.verify_parameters(committee.public_key)
        self._by_key[committee.key_set.key_id] = committee
        return committee

    def _successors(self, height: int) -> None:
        """The key set that starts at a height, or later after the last commitment, and the statements that its
        predecessor's shares are erased."""
        while self._next.kind is Kind.KEY_SET and self._next.height >= height:
            before = self._committee
            record, height = self._next, self._next.height
            self._committee = self._key_set(height, partial(before.load_successor, backend=self._backend))
            with _at(record):
                if self._committee.key_set.start_height != height:
                    raise Rejected("AUD-1", "a key set is shown where it starts")
                self._follower.adopt(self._committee)
            self._epochs.adopt(self._committee.terms)
            last = 0
            while self._is_next(Kind.ERASURE, height):
                record = self._take(Kind.ERASURE, height)
                with _at(record):
                    erasure = SignedErasure.decode(record.body)
                    member = before.signing_member(erasure.message, erasure.signature, rule="AUD-2")
                    if erasure.message.committee_id != before.committee_id or member <= last:
                        raise Rejected("AUD-2", "erasures are of the committee before, by ascending member")
                    last = member

    def _take(self, kind: Kind, height: int) -> _Record:
        record = self._next
        with _at(record):
            if record.kind is not kind or record.height != height:
                raise Rejected("AUD-1", f"a {kind.text} of height {height} was expected here")
        self._count += 1
        if kind is not Kind.END:
            self._next = next(self._records)
        return record

    def _is_next(self, kind: Kind, height: int) -> bool:
        return self._next.kind is kind and self._next.height == height

    def _is_dropped(self, height: int) -> bool:
        """Whether the abstentions ahead drop a height. If they are too few it was not committed to at all."""
        if not self._is_next(Kind.ABSTENTION, height):
            return False
        committee = self._follower.chain.committee_at(height)
        self._abstained = self._abstentions(height)
        if len(self._abstained) < abstentions_needed(committee.key_set):
            return False
        first = self._abstained[0]
        with _at(self._next):
            self._follower.drop(
                DropCertificate(abstention=first.message, signatures=tuple(s.signature for s in self._abstained))
            )
        return True

    def _peek_commitment(self, height: int) -> bool:
        """Whether the records ahead are those of a committed height."""
        while self._is_next(Kind.FORCED, height):
            record = self._take(Kind.FORCED, height)
            with _at(record):
                self._inbox.add(InboxEntry.decode(record.body))
        self._batch = self._transactions(height)
        return self._is_next(Kind.COMMITMENT, height)

    def _transactions(self, height: int) -> list[tuple[EncryptedTransaction, SignedReceipt | None]]:
        """Those without a receipt are forced; a commitment says whether they may be."""
        batch: list[tuple[EncryptedTransaction, SignedReceipt | None]] = []
        while self._is_next(Kind.TRANSACTION, height):
            record = self._take(Kind.TRANSACTION, height)
            receipt = None
            with _at(record):
                transaction = EncryptedTransaction.decode(record.body)
                if not self._is_next(Kind.RECEIPT, height) and batch and batch[-1][1] is not None:
                    raise Rejected("AUD-1", f"a {Kind.RECEIPT.text} of height {height} was expected after this")
            if self._is_next(Kind.RECEIPT, height):
                record = self._take(Kind.RECEIPT, height)
                with _at(record):
                    receipt = SignedReceipt.decode(record.body)
                    self._check_receipt(transaction, receipt)
            batch.append((transaction, receipt))
        return batch

    def _check_receipt(self, transaction: EncryptedTransaction, signed: SignedReceipt) -> None:
        receipt, key_id = signed.message, transaction.header.key_id
        sequencer = recover_signer(receipt, signed.signature, self._epochs.genesis.root)
        terms = self._epochs.of_sequencer(sequencer, key_id) or self._epochs.of_key(key_id, height=0)
        check_receipt(terms, transaction, signed)
        shown = self._sequences.setdefault(sequencer, IntervalSet())
        if receipt.sequence in shown:
            raise Rejected("AUD-3", f"two receipts have the sequence {receipt.sequence}")
        if (sequencer, transaction.tx_id) in self._receipted:
            raise Rejected("AUD-3", f"two receipts for transaction 0x{transaction.tx_id.hex()}")
        shown.add(receipt.sequence)
        self._receipted.add((sequencer, transaction.tx_id))

    def _check_pending(self, transaction: EncryptedTransaction) -> None:
        committee = self._by_key.get(transaction.header.key_id, self._committee)
        committee.terms.check(transaction, height=transaction.header.valid_until)
        committee.verify_ciphertext(transaction)

    def _height(self, height: int) -> int:
        if self._abstained:
            self._abstained = []
            self._dropped.append(height)
            self._replay_empty(height)
            return 0
        batch, self._batch = self._batch, []
        commitment_record = self._take(Kind.COMMITMENT, height)
        with _at(commitment_record):
            if self._committee.key_set.start_height > height:
                raise Rejected("AUD-1", "a key set is shown before the heights of the one it follows")
            proposal = Proposal(
                commitment=SignedCommitment.decode(commitment_record.body),
                transactions=tuple(transaction for transaction, _ in batch),
                receipts=tuple(receipt for _, receipt in batch if receipt is not None),
            )
            self._follower.propose(proposal)
            if proposal.commitment.message.inbox_index != len(self._inbox.entries):
                raise Rejected("AUD-1", "a height is shown with the inbox entries that it settles, and no others")
        self._committed |= {transaction.tx_id for transaction, _ in batch}
        certificate = self._certificate(height)
        self._shares(height, certificate)
        executed = self._reveal(height, certificate)
        for receipt in executed.receipts if executed else ():
            self._outcomes[receipt.code] = self._outcomes.get(receipt.code, 0) + 1
        self._abstentions(height)
        return len(batch)

    def _certificate(self, height: int) -> OrderCertificate | None:
        signatures = []
        vote = None
        record = self._next
        while self._is_next(Kind.VOTE, height):
            record = self._take(Kind.VOTE, height)
            with _at(record):
                signed = SignedVote.decode(record.body)
                if vote is not None and signed.message != vote:
                    raise Rejected("AUD-2", "the votes are for different commitments")
                self._committee.signing_member(signed.message, signed.signature, rule="CRT-1")
                vote = signed.message
                signatures.append(signed.signature)
        if vote is None:
            return None
        certificate = OrderCertificate(vote=vote, signatures=tuple(signatures))
        with _at(record):
            self._follower.certify(certificate)
        return certificate

    def _shares(self, height: int, certificate: OrderCertificate | None) -> None:
        last = 0
        while self._is_next(Kind.SHARE, height):
            record = self._take(Kind.SHARE, height)
            with _at(record):
                share = SignedShare.decode(record.body)
                if certificate is None:
                    raise Rejected("SHR-1", "a share was released without a certificate")
                if share.message.member <= last:
                    raise Rejected("AUD-1", "the shares are not by ascending member")
                last = share.message.member
                self._follower.receive(ShareRelease(share=share, certificate=certificate))
        self._wrong += [(height, member) for member in self._follower.wrong_shares(height)]

    def _reveal(self, height: int, certificate: OrderCertificate | None) -> Executed | None:
        ready = self._follower.chain.at(height)
        if ready is None:
            raise AssertionError("the height was just proposed")
        if self._is_next(Kind.REVEAL, height):
            record = self._take(Kind.REVEAL, height)
            with _at(record):
                if certificate is None or self._unrevealed:
                    raise Rejected("AUD-4", "a reveal without a certificate, or above an unrevealed height")
                needed = self._committee.key_set.t
                if len(self._follower.shares(height)) < needed:
                    raise Rejected("AUD-1", f"a revealed height has at least {needed} shares")
                return self._follower.replay(ready, Reveal.decode(record.body))
        if certificate is not None and not ready.batch.entries:
            return self._replay_empty(height)
        self._unrevealed = True
        return None

    def _replay_empty(self, height: int) -> Executed | None:
        """One that is settled, unless a height below it is not open."""
        ready = self._follower.chain.at(height)
        if ready is None or self._unrevealed:
            return None
        return self._follower.replay(ready, None)

    def _abstentions(self, height: int) -> list[SignedAbstain]:
        found: list[SignedAbstain] = []
        last, committee = 0, self._follower.chain.committee_at(height)
        while self._is_next(Kind.ABSTENTION, height):
            record = self._take(Kind.ABSTENTION, height)
            with _at(record):
                signed = SignedAbstain.decode(record.body)
                if signed.message.height != height or signed.message.committee_id != committee.committee_id:
                    raise Rejected("AUD-2", "the abstention is for another height or committee")
                member = committee.signing_member(signed.message, signed.signature, rule="AUD-2")
                if member <= last:
                    raise Rejected("AUD-1", "the abstentions are not by ascending member")
                last = member
                found.append(signed)
                if any(share.message.member == member for share in self._follower.shares(height)):
                    self._conflicts.append((height, member))
        return found

    def _pending_height(self, height: int) -> int:
        """What follows the last commitment: transactions by sequencer and sequence, then abstentions by height and
        member. Returns how many transactions wait."""
        batch, self._batch = self._batch, []
        with _at(self._next):
            pairs = [(transaction, receipt) for transaction, receipt in batch if receipt is not None]
            if len(pairs) < len(batch):
                raise Rejected("AUD-1", "a transaction that waits comes without its receipt")
            places = [_place(self._epochs, receipt) for _, receipt in pairs]
            if places != sorted(places):
                raise Rejected("AUD-1", "the transactions that wait are not in the order of their receipts")
            for transaction, _ in pairs:
                # It was admitted once; it may have expired since, or its key ended.
                self._check_pending(transaction)
        last = height if self._abstained else height - 1
        while self._next.kind is Kind.ABSTENTION:
            record = self._next
            with _at(record):
                if record.height <= last:
                    raise Rejected("AUD-1", "the last abstentions are not by ascending height")
            last = record.height
            self._abstentions(last)
        return len({transaction.tx_id for transaction, _ in pairs} - self._committed)


@contextmanager
def failing_at(height: int, record: str) -> Iterator[None]:
    """Whatever breaks a rule meanwhile fails the audit there. Raises AuditFailed."""
    try:
        yield
    except (Malformed, Rejected) as error:
        raise AuditFailed(str(error), height=height, record=record) from error


def _at(record: _Record) -> AbstractContextManager[None]:
    return failing_at(record.height, record.name)


def _record(kind: Kind, height: int, body: bytes) -> bytes:
    framed = u8(kind) + u64(height) + u32(len(body)) + body
    return framed + hashlib.sha256(framed).digest()


def _records(data: bytes) -> Iterator[_Record]:
    if not data.startswith(MAGIC):
        raise AuditFailed("the file does not start as a history of version 1", height=0, record="header")
    reader = Reader(data[len(MAGIC) :], "the history")
    height, number, left = 0, 0, len(data) - len(MAGIC)
    kind: int = 0
    counts: dict[tuple[int, int], int] = {}
    while left:
        number += 1
        try:
            head = reader.take(_HEAD_BYTES)
            kind, claimed, size = head[0], int.from_bytes(head[1:9], "big"), int.from_bytes(head[9:], "big")
            body = reader.take(size)
            intact = hashlib.sha256(head + body).digest() == reader.take(_CHECKSUM_BYTES)
        except Malformed as error:
            raise AuditFailed(str(error), height=height, record=f"record {number}") from error
        if claimed == height + 1:
            height = claimed
        if not intact or kind not in Kind._value2member_map_:
            raise AuditFailed("the record is damaged: its checksum differs", height=height, record=f"record {number}")
        at = counts[kind, claimed] = counts.get((kind, claimed), 0) + 1
        left -= _HEAD_BYTES + size + _CHECKSUM_BYTES
        yield _Record(Kind(kind), claimed, body, f"record {number} ({Kind(kind).text} {at})")
    if kind != Kind.END:
        raise AuditFailed("the history ends without its end record", height=height, record=f"record {number + 1}")
