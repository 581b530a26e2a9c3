"""Misbehaviour as self-contained objects, and who committed it.

Each kind is a pure function of the object and the key sets: whoever holds the genesis can judge it years later,
without having been there. What leaves no signed trace is no evidence: raw shares without a signature, and members who
pool their shares in private. A share whose certificate is missing or false is none either, since its member signs the
share alone and anybody can put another certificate beside it: `encmempool.challenges` asks for the right one.

Requirements:
EVD-1  a verdict names one offender and one rule, or the object is refused
EVD-2  two commitments of one committee and height convict the sequencer (SEQ-3)
EVD-3  two receipts of one sequence convict the sequencer (SEQ-2)
EVD-4  two votes of one member, committee and height convict the member (VOT-10)
EVD-5  two shares of one member, key and height for different commitments convict the member (SHR-2)
EVD-7  a signed share that the scheme refuses, shown with its commitment and batch, convicts the member (REV-2)
EVD-8  a commitment that breaks VOT-2 to VOT-9 convicts the sequencer (`encmempool.faults`)
EVD-10 the second form of a signature is no second message
EVD-11 what a member has not signed convicts nobody
EVD-16 two successors, or one and a share from its start on, convict the member who signed both (KEY-10)
EVD-17 two shares in one round where rounds are limited, or a share and an abstention, convict the member (SHR-2)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from encmempool.errors import Malformed, Rejected
from encmempool.faults import Fault, InvalidBatch, InvalidCommitment, InvalidEntry, RepeatedEntry, broken_rule
from encmempool.identity import recover_signer
from encmempool.keysets import Committee
from encmempool.ssz import U8, ByteList, Limit, SszObject
from encmempool.types import (
    MAX_BATCH,
    BatchList,
    KeySet,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
    UnsignedTransaction,
)
from threshold.schemes.base import Batch, Share

MAX_EVIDENCE_BYTES = 1 << 26


class EvidenceKind(IntEnum):
    CONFLICTING_COMMITMENTS = 1
    CONFLICTING_VOTES = 2
    CONFLICTING_SHARES = 3
    CONFLICTING_RECEIPTS = 4
    WRONG_SHARE = 5
    SHARE_AND_ABSTENTION = 6
    CONFLICTING_SUCCESSORS = 7
    SHARE_AFTER_SUCCESSOR = 8
    INVALID_COMMITMENT = 9
    INVALID_ENTRY = 10
    REPEATED_ENTRY = 11
    INVALID_BATCH = 12

    @property
    def text(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class ConflictingCommitments(SszObject):
    first: SignedCommitment
    second: SignedCommitment


@dataclass(frozen=True, kw_only=True)
class ConflictingVotes(SszObject):
    first: SignedVote
    second: SignedVote


@dataclass(frozen=True, kw_only=True)
class ConflictingShares(SszObject):
    first: SignedShare
    second: SignedShare


@dataclass(frozen=True, kw_only=True)
class ConflictingReceipts(SszObject):
    first: SignedReceipt
    second: SignedReceipt


@dataclass(frozen=True, kw_only=True)
class WrongShare(SszObject):
    """The share with the commitment and batch that it should open."""

    share: SignedShare
    commitment: SignedCommitment
    transactions: Annotated[tuple[UnsignedTransaction, ...], Limit(MAX_BATCH)]


@dataclass(frozen=True, kw_only=True)
class ShareAndAbstention(SszObject):
    share: SignedShare
    abstention: SignedAbstain


@dataclass(frozen=True, kw_only=True)
class ConflictingSuccessors(SszObject):
    """Each with the signature of the one who is accused, and no other."""

    first: SignedKeySet
    second: SignedKeySet


@dataclass(frozen=True, kw_only=True)
class ShareAfterSuccessor(SszObject):
    """The successor with the signature of the one who is accused, and no other."""

    successor: SignedKeySet
    share: SignedShare


Misbehaviour = (
    ConflictingCommitments
    | ConflictingVotes
    | ConflictingShares
    | ConflictingReceipts
    | WrongShare
    | ShareAndAbstention
    | ConflictingSuccessors
    | ShareAfterSuccessor
    | Fault
)

_KINDS: dict[EvidenceKind, type[Misbehaviour]] = {
    EvidenceKind.CONFLICTING_COMMITMENTS: ConflictingCommitments,
    EvidenceKind.CONFLICTING_VOTES: ConflictingVotes,
    EvidenceKind.CONFLICTING_SHARES: ConflictingShares,
    EvidenceKind.CONFLICTING_RECEIPTS: ConflictingReceipts,
    EvidenceKind.WRONG_SHARE: WrongShare,
    EvidenceKind.SHARE_AND_ABSTENTION: ShareAndAbstention,
    EvidenceKind.CONFLICTING_SUCCESSORS: ConflictingSuccessors,
    EvidenceKind.SHARE_AFTER_SUCCESSOR: ShareAfterSuccessor,
    EvidenceKind.INVALID_COMMITMENT: InvalidCommitment,
    EvidenceKind.INVALID_ENTRY: InvalidEntry,
    EvidenceKind.REPEATED_ENTRY: RepeatedEntry,
    EvidenceKind.INVALID_BATCH: InvalidBatch,
}


@dataclass(frozen=True, kw_only=True)
class Evidence(SszObject):
    """One misbehaviour, as it travels and is stored."""

    kind: U8
    body: Annotated[bytes, ByteList(MAX_EVIDENCE_BYTES)]

    @classmethod
    def of(cls, misbehaviour: Misbehaviour) -> Evidence:
        kind = next(kind for kind, made in _KINDS.items() if isinstance(misbehaviour, made))
        return cls(kind=kind, body=misbehaviour.encoded)

    def open(self) -> Misbehaviour:
        """Raises Malformed or Rejected EVD-1."""
        try:
            made = _KINDS[EvidenceKind(self.kind)]
        except ValueError:
            raise Rejected("EVD-1", f"there is no kind of evidence {self.kind}") from None
        return made.decode(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Who misbehaved, and how.

    rule       that was broken
    role       sequencer or member
    offender   the address that signed
    member     1-based index in the committee named first, or None for a sequencer
    height     or the sequence, for receipts; of two shares the second's, of two successors the lower start
    """

    kind: EvidenceKind
    rule: str
    role: str
    offender: bytes
    member: int | None
    height: int

    @property
    def subject(self) -> tuple[EvidenceKind, bytes, int]:
        """What makes two pieces of evidence tell the same."""
        return self.kind, self.offender, self.height


def examine(evidence: Evidence, committees: Sequence[Committee], *, recorded: bool = False) -> Finding:
    """Judge evidence by the network's key sets. Raises Malformed or Rejected with the requirement it misses.

    recorded    this party's own record, which was judged before: who signed is looked at, and no ciphertext or share

    Cost: one or two signature recoveries; beside them the check of one ciphertext for an invalid entry, hashes for an
    invalid batch, and for a wrong share the check of its batch.
    """
    match shown := evidence.open():
        case ConflictingCommitments():
            return _commitments(shown, committees)
        case ConflictingVotes():
            return _votes(shown, committees)
        case ConflictingShares():
            return _shares(shown, committees)
        case ConflictingReceipts():
            return _receipts(shown, committees)
        case WrongShare():
            return _wrong_share(shown, committees, recorded=recorded)
        case ShareAndAbstention():
            return _share_and_abstention(shown, committees)
        case ConflictingSuccessors():
            return _successors(shown, committees)
        case ShareAfterSuccessor():
            return _share_after_successor(shown, committees)
        case InvalidCommitment() | InvalidEntry() | RepeatedEntry() | InvalidBatch():
            return _fault(EvidenceKind(evidence.kind), shown, committees, recorded=recorded)


def _commitments(shown: ConflictingCommitments, committees: Sequence[Committee]) -> Finding:
    first, second = shown.first.message, shown.second.message
    if (first.committee_id, first.height) != (second.committee_id, second.height) or first == second:
        raise Rejected("EVD-2", "the commitments are of different committees or heights, or the same")
    sequencer = named(first.committee_id, committees).key_set.sequencer
    for signed in (shown.first, shown.second):
        if _signer(signed, committees) != sequencer:
            raise Rejected("EVD-2", "the commitments are not signed by the committee's sequencer")
    return _sequencer_finding(EvidenceKind.CONFLICTING_COMMITMENTS, "SEQ-3", sequencer, first.height)


def _receipts(shown: ConflictingReceipts, committees: Sequence[Committee]) -> Finding:
    first, second = shown.first.message, shown.second.message
    if first.sequence != second.sequence or first == second:
        raise Rejected("EVD-3", "the receipts are of different sequences, or the same")
    signers = {_signer(signed, committees) for signed in (shown.first, shown.second)}
    sequencers = {committee.key_set.sequencer for committee in committees}
    if len(signers) != 1 or not signers <= sequencers:
        raise Rejected("EVD-3", "the receipts are not signed by one sequencer of this network")
    return _sequencer_finding(EvidenceKind.CONFLICTING_RECEIPTS, "SEQ-2", signers.pop(), first.sequence)


def _sequencer_finding(kind: EvidenceKind, rule: str, offender: bytes, height: int) -> Finding:
    return Finding(kind=kind, rule=rule, role="sequencer", offender=offender, member=None, height=height)


def _signer(signed: SignedCommitment | SignedReceipt, committees: Sequence[Committee]) -> bytes:
    return recover_signer(signed.message, signed.signature, committees[0].terms.genesis_root)


def _votes(shown: ConflictingVotes, committees: Sequence[Committee]) -> Finding:
    first, second = shown.first.message, shown.second.message
    if (first.committee_id, first.height) != (second.committee_id, second.height) or first == second:
        raise Rejected("EVD-4", "the votes are of different committees or heights, or the same")
    committee = named(first.committee_id, committees)
    member = _one_member(committee, (shown.first, shown.second), "EVD-4")
    return _member_finding(EvidenceKind.CONFLICTING_VOTES, "VOT-10", committee, member, first.height)


def _shares(shown: ConflictingShares, committees: Sequence[Committee]) -> Finding:
    """For one height of a key or, where rounds are limited, in one round of it."""
    first, second = shown.first.message, shown.second.message
    committee = named(first.committee_id, committees)
    _require_same_key(committee, named(second.committee_id, committees), "EVD-5")
    one_round = committee.terms.rounds_limited and first.round == second.round
    if first.height != second.height and not one_round:
        raise Rejected("EVD-5", "the shares are of different heights and rounds")
    if first.commitment_root == second.commitment_root:
        raise Rejected("EVD-5", "the shares are for the same commitment")
    member = _one_member(committee, (shown.first, shown.second), "EVD-5")
    return _member_finding(EvidenceKind.CONFLICTING_SHARES, "SHR-2", committee, member, second.height)


def _share_and_abstention(shown: ShareAndAbstention, committees: Sequence[Committee]) -> Finding:
    share, abstention = shown.share.message, shown.abstention.message
    committee = named(share.committee_id, committees)
    _require_same_key(committee, named(abstention.committee_id, committees), "EVD-17")
    if share.height != abstention.height:
        raise Rejected("EVD-17", "the share and the abstention are of different heights")
    member = _one_member(committee, (shown.share, shown.abstention), "EVD-17")
    return _member_finding(EvidenceKind.SHARE_AND_ABSTENTION, "SHR-2", committee, member, share.height)


def _require_same_key(first: Committee, second: Committee, rule: str) -> None:
    if first.key_set.key_id != second.key_set.key_id:
        raise Rejected(rule, "they are under different keys")


def _successors(shown: ConflictingSuccessors, committees: Sequence[Committee]) -> Finding:
    first, second = shown.first.message, shown.second.message
    if first.predecessor != second.predecessor or first == second:
        raise Rejected("EVD-16", "the key sets follow different ones, or are the same")
    committee = named(first.predecessor, committees)
    member = _one_member(committee, (_signed_once(shown.first), _signed_once(shown.second)), "EVD-16")
    height = min(first.start_height, second.start_height)
    return _member_finding(EvidenceKind.CONFLICTING_SUCCESSORS, "KEY-10", committee, member, height)


def _share_after_successor(shown: ShareAfterSuccessor, committees: Sequence[Committee]) -> Finding:
    key_set, share = shown.successor.message, shown.share.message
    if share.committee_id != key_set.predecessor or share.height < key_set.start_height:
        raise Rejected("EVD-16", "the share is of another committee, or below the successor's start")
    committee = named(key_set.predecessor, committees)
    member = _one_member(committee, (_signed_once(shown.successor), shown.share), "EVD-16")
    return _member_finding(EvidenceKind.SHARE_AFTER_SUCCESSOR, "KEY-10", committee, member, share.height)


@dataclass(frozen=True, slots=True)
class _Successor:
    """A key set as one member signed it."""

    message: KeySet
    signature: bytes


def _signed_once(signed: SignedKeySet) -> _Successor:
    if len(signed.signatures) != 1:
        raise Rejected("EVD-16", "a successor is shown with one signature, that of the accused")
    return _Successor(signed.message, signed.signatures[0])


def _one_member(
    committee: Committee, signed: Sequence[SignedVote | SignedShare | SignedAbstain | _Successor], rule: str
) -> int:
    members = {committee.signing_member(each.message, each.signature, rule="EVD-11") for each in signed}
    if len(members) != 1:
        raise Rejected(rule, "they are of different members")
    return members.pop()


def _fault(kind: EvidenceKind, shown: Fault, committees: Sequence[Committee], *, recorded: bool) -> Finding:
    commitment = shown.commitment.message
    committee = named(commitment.committee_id, committees)
    rule = broken_rule(shown, committee, recorded=recorded)
    return _sequencer_finding(kind, rule, committee.key_set.sequencer, commitment.height)


def _wrong_share(shown: WrongShare, committees: Sequence[Committee], *, recorded: bool) -> Finding:
    message, commitment = shown.share.message, shown.commitment.message
    committee = named(message.committee_id, committees)
    if (commitment.committee_id, commitment.key_id) != (committee.committee_id, committee.key_set.key_id):
        raise Rejected("EVD-7", "the commitment names another committee or key than the share")
    if _signer(shown.commitment, committees) != committee.key_set.sequencer:
        raise Rejected("EVD-7", "the commitment is not signed by the committee's sequencer")
    if message.commitment_root != commitment.root or message.height != commitment.height:
        raise Rejected("EVD-7", "the share is for another commitment than the one shown")
    if BatchList(tx_ids=tuple(t.tx_id for t in shown.transactions)).root != commitment.batch_root:
        raise Rejected("EVD-7", "the transactions are not those of the commitment")
    member = committee.signing_member(message, shown.share.signature, rule="EVD-11")
    if member != message.member:
        raise Rejected("EVD-11", f"member {member} signed a share in the name of member {message.member}")
    if not shown.transactions:
        raise Rejected("EVD-7", "an empty batch has no shares, neither right ones nor wrong ones")
    finding = _member_finding(EvidenceKind.WRONG_SHARE, "REV-2", committee, member, message.height)
    if recorded:
        return finding
    batch = Batch(
        key_id=commitment.key_id,
        height=commitment.height,
        round=commitment.round,
        entries=committee.verify_ciphertexts(shown.transactions),
    )
    try:
        committee.scheme.verify_share(committee.public_key, batch, Share(member=member, data=message.data))
    except (Malformed, Rejected):
        return finding
    raise Rejected("EVD-7", "the share is right")


def _member_finding(kind: EvidenceKind, rule: str, committee: Committee, member: int, height: int) -> Finding:
    return Finding(
        kind=kind,
        rule=rule,
        role="member",
        offender=committee.key_set.members[member - 1],
        member=member,
        height=height,
    )


def named(committee_id: bytes, committees: Sequence[Committee]) -> Committee:
    """Raises Rejected EVD-1 for a committee that the registry does not have."""
    for committee in committees:
        if committee.committee_id == committee_id:
            return committee
    raise Rejected("EVD-1", "it names a committee that this network does not have")
