"""What nobody can show, as questions: who has to answer from which block of the chain below (L1) on, and what answers.

An absence leaves no object. A contract takes the question with a bond, gives a window, and slashes whom no answer has
freed when it ends. These functions are the contract's judgement without its clock: that an answer counts only if the
commitment it rests on was posted in time, and that windows stand still while a posted commitment lacks its reveal
(EVD-15), is the contract's to see.

Requirements:
EVD-6   a signed share is answered by the certificate that permits it
EVD-12  a receipt is answered by its transaction's place in a batch, or by what forbids it one
EVD-13  an open inbox entry is answered by a commitment that settles it
EVD-14  a certificate whose receipts are due is answered by the reveal, or by each of its members for itself
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from encmempool.certificates import vote_for
from encmempool.committee import check_certificate, check_votes
from encmempool.envelope import reservation
from encmempool.errors import Rejected
from encmempool.evidence import named
from encmempool.exhibits import AccountEntry, Position, account_under, check_position
from encmempool.identity import recover_signer
from encmempool.keysets import Committee
from encmempool.ssz import U64, Hash, Limit, SszObject, hash_pair
from encmempool.types import (
    MAX_BATCH,
    BatchList,
    DecryptionShare,
    Header,
    OrderCertificate,
    OrderCommitment,
    Reveal,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    UnsignedTransaction,
    Vote,
)
from threshold.schemes.base import Batch, BatchKey

# --- questions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class InclusionQuestion(SszObject):
    """Where is the transaction that this receipt promised a place?"""

    receipt: SignedReceipt


@dataclass(frozen=True, kw_only=True)
class ForcedQuestion(SszObject):
    """Why is the first open entry of the inbox not settled?

    commitment    the newest that is posted: its inbox_index names the entry
    l1_block      in which the entry was posted
    """

    commitment: SignedCommitment
    l1_block: U64


@dataclass(frozen=True, kw_only=True)
class RevealQuestion(SszObject):
    """Why is this batch, certified and promised to be open by now, not open?"""

    receipt: SignedReceipt
    position: Position
    commitment: SignedCommitment
    certificate: OrderCertificate


@dataclass(frozen=True, kw_only=True)
class CertificateQuestion(SszObject):
    """On which certificate was this share released?"""

    share: SignedShare


Question = InclusionQuestion | ForcedQuestion | RevealQuestion | CertificateQuestion

# --- answers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Included(SszObject):
    """To InclusionQuestion: here."""

    commitment: SignedCommitment
    position: Position


@dataclass(frozen=True, kw_only=True)
class Inadmissible(SszObject):
    """To InclusionQuestion: at the last height promised it could not be committed.

    header             of the transaction; with the root of its ciphertext it gives the id
    accounts           the sender's, in the state that the commitment names; none if the key alone forbids it
    """

    commitment: SignedCommitment
    header: Header
    ciphertext_root: Hash
    accounts: Annotated[tuple[AccountEntry, ...], Limit(2)]


@dataclass(frozen=True, kw_only=True)
class Settled(SszObject):
    """To ForcedQuestion: here."""

    commitment: SignedCommitment


@dataclass(frozen=True, kw_only=True)
class Opening(SszObject):
    """To RevealQuestion, for all members."""

    reveal: Reveal
    transactions: Annotated[tuple[UnsignedTransaction, ...], Limit(MAX_BATCH)]


@dataclass(frozen=True, kw_only=True)
class Released(SszObject):
    """To RevealQuestion, for one member: its share. A wrong one is evidence."""

    share: SignedShare


@dataclass(frozen=True, kw_only=True)
class Abstained(SszObject):
    """To RevealQuestion, for one member: why it must not release one."""

    abstention: SignedAbstain


@dataclass(frozen=True, kw_only=True)
class HandedOver(SszObject):
    """To RevealQuestion, for one member: the successor, with its signature alone, that bars it from the height."""

    successor: SignedKeySet


@dataclass(frozen=True, kw_only=True)
class Certified(SszObject):
    """To CertificateQuestion."""

    certificate: OrderCertificate


Answer = Included | Inadmissible | Settled | Opening | Released | Abstained | HandedOver | Certified

# --- who has to answer -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Addresses of which each is convicted of the rule unless an answer frees it, asked from `l1_block` on."""

    rule: str
    parties: tuple[bytes, ...]
    l1_block: int


def due(question: Question, committees: Sequence[Committee]) -> Due:
    """Raises Rejected if nobody has to answer: the question shows less than it has to."""
    match question:
        case InclusionQuestion(receipt=signed):
            sequencer, last = _receipt_signer(signed, committees, "EVD-12"), signed.message.include_by_height
            if _at(last, committees).key_set.sequencer != sequencer:
                raise Rejected("EVD-12", f"another sequencer is in office at height {last}")
            return Due(rule="SEQ-4", parties=(sequencer,), l1_block=signed.message.include_by_l1_block)
        case ForcedQuestion(commitment=signed):
            committee, deadlines = _check_sequencer(signed, committees), committees[0].genesis.deadlines
            if deadlines.force_l1_blocks == 0:
                raise Rejected("EVD-13", "this network has no inbox")
            after = deadlines.force_l1_blocks + deadlines.l1_depth + deadlines.l1_lag_blocks
            committee = _at(signed.message.height + 1, committees)
            return Due(rule="FRC-5", parties=(committee.key_set.sequencer,), l1_block=question.l1_block + after)
        case RevealQuestion():
            committee, members = _certified(question, committees)
            parties = tuple(committee.key_set.members[member - 1] for member in members)
            return Due(rule="REV-2", parties=parties, l1_block=question.receipt.message.reveal_by_l1_block)
        case CertificateQuestion(share=signed_share):
            committee = named(signed_share.message.committee_id, committees)
            member = committee.signing_member(signed_share.message, signed_share.signature, rule="EVD-11")
            return Due(rule="SHR-1", parties=(committee.key_set.members[member - 1],), l1_block=0)


def freed(question: Question, answer: Answer, committees: Sequence[Committee]) -> tuple[bytes, ...]:
    """Those whom an answer frees, of a question that is due. Raises Malformed or Rejected if it answers nothing."""
    everybody = due(question, committees).parties
    match question, answer:
        case InclusionQuestion(receipt=receipt), Included():
            _check_included(receipt, answer, committees)
        case InclusionQuestion(receipt=receipt), Inadmissible():
            _check_inadmissible(receipt, answer, committees)
        case ForcedQuestion(commitment=asked), Settled(commitment=settled):
            _check_sequencer(settled, committees)
            before, after = asked.message, settled.message
            if after.height <= before.height or after.inbox_index <= before.inbox_index:
                raise Rejected("EVD-13", "the commitment does not settle the entry")
        case RevealQuestion(), Opening():
            _check_opening(question, answer, committees)
        case RevealQuestion(), Released() | Abstained() | HandedOver():
            member = _answering_member(question.commitment.message, answer, committees)
            if member not in everybody:
                raise Rejected("EVD-14", "this member was not asked")
            return (member,)
        case CertificateQuestion(share=share), Certified(certificate=certificate):
            _check_permit(share, certificate, committees)
        case _:
            raise Rejected("EVD-1", f"{type(answer).__name__} is no answer to {type(question).__name__}")
    return everybody


def _check_included(receipt: SignedReceipt, answer: Included, committees: Sequence[Committee]) -> None:
    commitment = answer.commitment.message
    _check_own(receipt, answer.commitment, committees)
    if commitment.height > receipt.message.include_by_height:
        raise Rejected("EVD-12", f"height {commitment.height} is later than promised")
    check_position(receipt.message.tx_id, answer.position, commitment)


def _check_inadmissible(receipt: SignedReceipt, answer: Inadmissible, committees: Sequence[Committee]) -> None:
    """At exactly the last height promised: in an earlier state every nonce and many a balance was lower."""
    commitment, header = answer.commitment.message, answer.header
    key_set = _check_own(receipt, answer.commitment, committees).key_set
    if commitment.height != receipt.message.include_by_height:
        raise Rejected("EVD-12", f"the state is not that of height {receipt.message.include_by_height}")
    if hash_pair(header.root, answer.ciphertext_root) != receipt.message.tx_id:
        raise Rejected("EVD-12", "the header is that of another transaction")
    used_up = 0 < key_set.rounds <= commitment.round
    if not answer.accounts and (used_up or header.key_id != commitment.key_id):
        return
    nonce, balance = account_under(commitment.state_root, header.sender, answer.accounts)
    if nonce == header.nonce and balance >= reservation(header):
        raise Rejected("EVD-12", "the transaction could be committed at that height")


def _check_opening(question: RevealQuestion, answer: Opening, committees: Sequence[Committee]) -> None:
    commitment = question.commitment.message
    committee = named(commitment.committee_id, committees)
    if answer.reveal.commitment_root != commitment.root:
        raise Rejected("EVD-14", "the reveal is of another commitment")
    if BatchList(tx_ids=tuple(t.tx_id for t in answer.transactions)).root != commitment.batch_root:
        raise Rejected("EVD-14", "the transactions are not those of the commitment")
    batch = Batch(
        key_id=commitment.key_id,
        height=commitment.height,
        round=commitment.round,
        entries=committee.verify_ciphertexts(answer.transactions),
    )
    batch_key = BatchKey.decode(answer.reveal.batch_key)
    committee.scheme.verify_batch_key(committee.public_key, batch, batch_key, committee.precompute(batch))


def _answering_member(
    commitment: OrderCommitment, answer: Released | Abstained | HandedOver, committees: Sequence[Committee]
) -> bytes:
    committee = named(commitment.committee_id, committees)
    message: SszObject
    match answer:
        case Released(share=SignedShare(message=share, signature=signature)):
            message = share
            if _vote_of(share) != vote_for(commitment):
                raise Rejected("EVD-14", "the share is for another commitment")
        case Abstained(abstention=SignedAbstain(message=abstention, signature=signature)):
            message, key_id = abstention, named(abstention.committee_id, committees).key_set.key_id
            if (abstention.height, key_id) != (commitment.height, commitment.key_id):
                raise Rejected("EVD-14", "the abstention is for another height or key")
        case HandedOver(successor=SignedKeySet(message=key_set, signatures=signatures)):
            message = key_set
            if key_set.predecessor != committee.committee_id or key_set.start_height > commitment.height:
                raise Rejected("EVD-14", "the key set does not bar anybody from the height")
            if len(signatures) != 1:
                raise Rejected("EVD-14", "the key set is shown with one signature")
            signature = signatures[0]
    return committee.key_set.members[committee.signing_member(message, signature, rule="EVD-11") - 1]


def _check_permit(share: SignedShare, certificate: OrderCertificate, committees: Sequence[Committee]) -> None:
    if certificate.vote != _vote_of(share.message):
        raise Rejected("EVD-6", "the certificate is for another commitment than the share")
    check_votes(named(share.message.committee_id, committees), certificate)


def _vote_of(message: DecryptionShare) -> Vote:
    return Vote(
        committee_id=message.committee_id,
        height=message.height,
        round=message.round,
        commitment_root=message.commitment_root,
    )


def _certified(question: RevealQuestion, committees: Sequence[Committee]) -> tuple[Committee, tuple[int, ...]]:
    """The committee of a batch, and those of its members who certified it: they had all its bytes."""
    commitment, certificate = question.commitment.message, question.certificate
    committee = _check_sequencer(question.commitment, committees)
    _receipt_signer(question.receipt, committees, "EVD-14")
    check_position(question.receipt.message.tx_id, question.position, commitment)
    check_certificate(committee, certificate, commitment)
    signers = (committee.signing_member(certificate.vote, one, rule="CRT-3") for one in certificate.signatures)
    return committee, tuple(signers)


def _receipt_signer(signed: SignedReceipt, committees: Sequence[Committee], rule: str) -> bytes:
    signer = recover_signer(signed.message, signed.signature, committees[0].terms.genesis_root)
    if all(committee.key_set.sequencer != signer for committee in committees):
        raise Rejected(rule, "the receipt is not signed by a sequencer of this network")
    return signer


def _check_own(receipt: SignedReceipt, signed: SignedCommitment, committees: Sequence[Committee]) -> Committee:
    """The committee of a commitment that the receipt's sequencer signed."""
    committee = _check_sequencer(signed, committees)
    if committee.key_set.sequencer != _receipt_signer(receipt, committees, "EVD-12"):
        raise Rejected("EVD-12", "the commitment is of another sequencer than the receipt")
    return committee


def _check_sequencer(signed: SignedCommitment, committees: Sequence[Committee]) -> Committee:
    committee = named(signed.message.committee_id, committees)
    committee.check_sequencer(signed)
    return committee


def _at(height: int, committees: Sequence[Committee]) -> Committee:
    by_start = sorted(committees, key=lambda committee: committee.key_set.start_height)
    return next((c for c in reversed(by_start) if c.key_set.start_height <= height), by_start[0])
