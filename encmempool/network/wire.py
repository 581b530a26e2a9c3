"""What nodes send each other and is no object of the protocol: lists, and several objects in one message.

Nobody signs these but operators their orders: every part of the others proves itself, or says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from encmempool.evidence import Evidence
from encmempool.ssz import U8, U16, U64, U256, ByteList, Hash, Limit, Signature, SszObject
from encmempool.types import (
    MAX_BATCH,
    MAX_MEMBERS,
    DropCertificate,
    EncryptedTransaction,
    KeySet,
    OrderCertificate,
    Proposal,
    Reveal,
    SignedAbstain,
    SignedErasure,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
)

MAX_KEY_SETS = 1 << 10
MAX_EVIDENCE = 1 << 10


@dataclass(frozen=True, kw_only=True)
class TransactionBatch(SszObject):
    """Several submissions at once; each gets the checks and the answer it would get alone."""

    transactions: Annotated[tuple[EncryptedTransaction, ...], Limit(MAX_BATCH)]


@dataclass(frozen=True, kw_only=True)
class Submission(SszObject):
    """The answer to one transaction of a batch: a receipt, or the error object's status, code, message and rule."""

    receipt: Annotated[tuple[SignedReceipt, ...], Limit(1)]
    status: U16
    code: Annotated[bytes, ByteList(32)]
    message: Annotated[bytes, ByteList(512)]
    rule: Annotated[bytes, ByteList(16)]


@dataclass(frozen=True, kw_only=True)
class SubmissionList(SszObject):
    """In the order of the batch."""

    submissions: Annotated[tuple[Submission, ...], Limit(MAX_BATCH)]


@dataclass(frozen=True, kw_only=True)
class Gossip(SszObject):
    """Transactions that have a receipt, so that members check ciphertexts ahead of their proposal."""

    transactions: Annotated[tuple[EncryptedTransaction, ...], Limit(MAX_BATCH)]
    receipts: Annotated[tuple[SignedReceipt, ...], Limit(MAX_BATCH)]


@dataclass(frozen=True, kw_only=True)
class HeightRecord(SszObject):
    """All that a node holds of a height; what it lacks is left out."""

    proposal: Proposal
    votes: Annotated[tuple[SignedVote, ...], Limit(MAX_MEMBERS)]
    certificate: Annotated[tuple[OrderCertificate, ...], Limit(1)]
    shares: Annotated[tuple[SignedShare, ...], Limit(MAX_MEMBERS)]
    reveal: Annotated[tuple[Reveal, ...], Limit(1)]
    drop: Annotated[tuple[DropCertificate, ...], Limit(1)]


@dataclass(frozen=True, kw_only=True)
class KeySetList(SszObject):
    """By ascending epoch."""

    key_sets: Annotated[tuple[SignedKeySet, ...], Limit(MAX_KEY_SETS)]


@dataclass(frozen=True, kw_only=True)
class SuccessorOrder(SszObject):
    """An operator's wish for the next key set. Its start is the sequencer's to fill in, after so many heights."""

    key_set: KeySet
    overlap: U64


@dataclass(frozen=True, kw_only=True)
class SignedOrder(SszObject):
    order: SuccessorOrder
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class VoteList(SszObject):
    votes: Annotated[tuple[SignedVote, ...], Limit(MAX_MEMBERS)]


@dataclass(frozen=True, kw_only=True)
class ShareList(SszObject):
    shares: Annotated[tuple[SignedShare, ...], Limit(MAX_MEMBERS)]


@dataclass(frozen=True, kw_only=True)
class ErasureList(SszObject):
    erasures: Annotated[tuple[SignedErasure, ...], Limit(MAX_KEY_SETS * MAX_MEMBERS)]


@dataclass(frozen=True, kw_only=True)
class AbstentionList(SszObject):
    abstentions: Annotated[tuple[SignedAbstain, ...], Limit(MAX_KEY_SETS * MAX_MEMBERS)]


@dataclass(frozen=True, kw_only=True)
class EvidenceList(SszObject):
    evidence: Annotated[tuple[Evidence, ...], Limit(MAX_EVIDENCE)]


@dataclass(frozen=True, kw_only=True)
class ExecutionOutcome(SszObject):
    """What became of one transaction: `code` is its outcome's number, amounts are those of a successful swap."""

    tx_id: Hash
    code: U8
    success: U8
    gas_used: U64
    fee: U256
    amount_in: U256
    amount_out: U256
    reason: Annotated[bytes, ByteList(256)]


@dataclass(frozen=True, kw_only=True)
class HeightOutcomes(SszObject):
    """By position of the committed batch, with the state root after it."""

    height: U64
    state_root: Hash
    outcomes: Annotated[tuple[ExecutionOutcome, ...], Limit(MAX_BATCH)]
