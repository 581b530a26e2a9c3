"""Misbehaviour as self-contained objects, and who committed it.

Each kind is a pure function of the object and the key sets: whoever holds the genesis can judge it years later,
without having been there. What leaves no signed trace is no evidence: raw shares without a signature, and members who
pool their shares in private.

Requirements:
EVD-1  a verdict names one offender and one rule, or the object is refused
EVD-2  two commitments of one committee and height convict the sequencer (SEQ-3)
EVD-3  two receipts of one sequence convict the sequencer (SEQ-2)
EVD-4  two votes of one member, committee and height convict the member (VOT-10)
EVD-5  two shares of one member, key and height for different commitments convict the member (SHR-2)
EVD-7  a signed share that the scheme refuses, shown with its commitment and batch, convicts the member (REV-2)
EVD-10 the second form of a signature is no second message
EVD-11 what a member has not signed convicts nobody
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from encmempool.errors import Malformed, Rejected
from encmempool.identity import recover_signer
from encmempool.keysets import Committee
from encmempool.ssz import U8, ByteList, Limit, SszObject
from encmempool.types import (
    MAX_BATCH,
    BatchList,
    EncryptedTransaction,
    SignedCommitment,
    SignedReceipt,
    SignedShare,
    SignedVote,
)
from threshold.schemes.base import Batch, Share

MAX_EVIDENCE_BYTES = 1 << 26


class EvidenceKind(IntEnum):
    COMMITMENTS = 1
    VOTES = 2
    SHARES = 3
    RECEIPTS = 4
    WRONG_SHARE = 5

    @property
    def text(self) -> str:
        return _TEXTS[self]


_TEXTS = {
    EvidenceKind.COMMITMENTS: "conflicting_commitments",
    EvidenceKind.VOTES: "conflicting_votes",
    EvidenceKind.SHARES: "conflicting_shares",
    EvidenceKind.RECEIPTS: "conflicting_receipts",
    EvidenceKind.WRONG_SHARE: "wrong_share",
}


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
    transactions: Annotated[tuple[EncryptedTransaction, ...], Limit(MAX_BATCH)]


Misbehaviour = ConflictingCommitments | ConflictingVotes | ConflictingShares | ConflictingReceipts | WrongShare

_KINDS: dict[EvidenceKind, type[Misbehaviour]] = {
    EvidenceKind.COMMITMENTS: ConflictingCommitments,
    EvidenceKind.VOTES: ConflictingVotes,
    EvidenceKind.SHARES: ConflictingShares,
    EvidenceKind.RECEIPTS: ConflictingReceipts,
    EvidenceKind.WRONG_SHARE: WrongShare,
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
    member     1-based index in the committee named, or None for a sequencer
    height     or the sequence, for receipts
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

    recorded    this party's own record, which was judged before: who signed is looked at, not what

    Cost: two signature recoveries, and for a wrong share the check of its batch.
    """
    match evidence.open():
        case ConflictingCommitments() as shown:
            return _commitments(shown, committees)
        case ConflictingVotes() as shown:
            return _votes(shown, committees)
        case ConflictingShares() as shown:
            return _shares(shown, committees)
        case ConflictingReceipts() as shown:
            return _receipts(shown, committees)
        case WrongShare() as shown:
            return _wrong_share(shown, committees, recorded=recorded)


def _commitments(shown: ConflictingCommitments, committees: Sequence[Committee]) -> Finding:
    first, second = shown.first.message, shown.second.message
    if (first.committee_id, first.height) != (second.committee_id, second.height) or first == second:
        raise Rejected("EVD-2", "the commitments are of different committees or heights, or the same")
    sequencer = _committee(first.committee_id, committees).key_set.sequencer
    for signed in (shown.first, shown.second):
        if _signer(signed, committees) != sequencer:
            raise Rejected("EVD-2", "the commitments are not signed by the committee's sequencer")
    return _sequencer_finding(EvidenceKind.COMMITMENTS, "SEQ-3", sequencer, first.height)


def _receipts(shown: ConflictingReceipts, committees: Sequence[Committee]) -> Finding:
    first, second = shown.first.message, shown.second.message
    if first.sequence != second.sequence or first == second:
        raise Rejected("EVD-3", "the receipts are of different sequences, or the same")
    signers = {_signer(signed, committees) for signed in (shown.first, shown.second)}
    sequencers = {committee.key_set.sequencer for committee in committees}
    if len(signers) != 1 or not signers <= sequencers:
        raise Rejected("EVD-3", "the receipts are not signed by one sequencer of this network")
    return _sequencer_finding(EvidenceKind.RECEIPTS, "SEQ-2", signers.pop(), first.sequence)


def _sequencer_finding(kind: EvidenceKind, rule: str, offender: bytes, height: int) -> Finding:
    return Finding(kind=kind, rule=rule, role="sequencer", offender=offender, member=None, height=height)


def _signer(signed: SignedCommitment | SignedReceipt, committees: Sequence[Committee]) -> bytes:
    return recover_signer(signed.message, signed.signature, committees[0].terms.genesis_root)


def _votes(shown: ConflictingVotes, committees: Sequence[Committee]) -> Finding:
    first, second = shown.first.message, shown.second.message
    if (first.committee_id, first.height) != (second.committee_id, second.height) or first == second:
        raise Rejected("EVD-4", "the votes are of different committees or heights, or the same")
    committee = _committee(first.committee_id, committees)
    member = _one_member(committee, (shown.first, shown.second), "EVD-4")
    return _member_finding(EvidenceKind.VOTES, "VOT-10", committee, member, first.height)


def _shares(shown: ConflictingShares, committees: Sequence[Committee]) -> Finding:
    first, second = shown.first.message, shown.second.message
    if (first.committee_id, first.height) != (second.committee_id, second.height):
        raise Rejected("EVD-5", "the shares are of different committees or heights")
    if first.commitment_root == second.commitment_root:
        raise Rejected("EVD-5", "the shares are for the same commitment")
    committee = _committee(first.committee_id, committees)
    member = _one_member(committee, (shown.first, shown.second), "EVD-5")
    return _member_finding(EvidenceKind.SHARES, "SHR-2", committee, member, first.height)


def _one_member(committee: Committee, signed: Sequence[SignedVote | SignedShare], rule: str) -> int:
    members = {committee.signing_member(each.message, each.signature, rule="EVD-11") for each in signed}
    if len(members) != 1:
        raise Rejected(rule, "they are of different members")
    return members.pop()


def _wrong_share(shown: WrongShare, committees: Sequence[Committee], *, recorded: bool) -> Finding:
    message, commitment = shown.share.message, shown.commitment.message
    committee = _committee(message.committee_id, committees)
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


def _committee(committee_id: bytes, committees: Sequence[Committee]) -> Committee:
    for committee in committees:
        if committee.committee_id == committee_id:
            return committee
    raise Rejected("EVD-1", "it names a committee that this network does not have")
