"""What a node has stored of every height: read from its database alone, by any thread, however old."""

from __future__ import annotations

from collections.abc import Iterator

from encmempool.committee import PROPOSAL, UNSIGNED
from encmempool.network.wire import HeightOutcomes, HeightRecord
from encmempool.reveal import CERTIFICATE, REVEAL, SHARE
from encmempool.sequencer import DROP, RECEIPT, RECEIPT_OF, TRANSACTION
from encmempool.store import Records
from encmempool.types import (
    DropCertificate,
    EncryptedTransaction,
    OrderCertificate,
    Proposal,
    Reveal,
    SignedAbstain,
    SignedErasure,
    SignedReceipt,
    SignedShare,
    SignedVote,
)
from threshold.encoding import u16, u64

OUTCOMES = "outcomes"
EXECUTED_AT = "executed-at"
EVIDENCE = "evidence"
HEARD_ERASURE = "heard-erasure"
HEARD_ABSTENTION = "heard-abstention"
POSTED = "posted"
"""By transaction id: the index of its first entry in the inbox."""
PASSED = "passed-entry"
"""By index of an entry that was passed over: the height that did it, and the requirement it misses."""


def abstention_key(height: int, committee_id: bytes, member: int) -> bytes:
    return u64(height) + committee_id + u16(member)


class History:
    def __init__(self, records: Records) -> None:
        self._records = records

    def certificate(self, height: int) -> OrderCertificate | None:
        data = self._records.get(CERTIFICATE, u64(height))
        return None if data is None else OrderCertificate.decode(data)

    def proposal(self, height: int) -> Proposal | None:
        """The certified one, or what stands in a dropped one's place; before that any that this node has checked."""
        if self.drop(height) is not None:
            return next((p for p in self.proposals(height) if p.commitment.signature == UNSIGNED), None)
        certificate = self.certificate(height)
        if certificate is not None:
            data = self._records.get(PROPOSAL, u64(height) + certificate.vote.commitment_root)
            return None if data is None else Proposal.decode(data)
        return next(self.proposals(height), None)

    def drop(self, height: int) -> DropCertificate | None:
        data = self._records.get(DROP, u64(height))
        return None if data is None else DropCertificate.decode(data)

    def proposals(self, height: int) -> Iterator[Proposal]:
        """Every one of a height that this node has checked."""
        for _, value in self._of_height(PROPOSAL, height):
            yield Proposal.decode(value)

    def proposal_of_root(self, root: bytes, *, heights: range) -> Proposal | None:
        for height in heights:
            data = self._records.get(PROPOSAL, u64(height) + root)
            if data is not None:
                return Proposal.decode(data)
        return None

    def shares(self, height: int) -> tuple[SignedShare, ...]:
        return tuple(SignedShare.decode(value) for _, value in self._of_height(SHARE, height))

    def reveal(self, height: int) -> Reveal | None:
        data = self._records.get(REVEAL, u64(height))
        return None if data is None else Reveal.decode(data)

    def outcomes(self, height: int) -> HeightOutcomes | None:
        data = self._records.get(OUTCOMES, u64(height))
        return None if data is None else HeightOutcomes.decode(data)

    def executed_at(self, tx_id: bytes) -> int | None:
        """The height in whose batch a transaction was revealed."""
        data = self._records.get(EXECUTED_AT, tx_id)
        return None if data is None else int.from_bytes(data, "big")

    def record(self, height: int, votes: tuple[SignedVote, ...] = ()) -> HeightRecord | None:
        """All that another node needs to follow a height, or None if this one knows nothing of it."""
        proposal = self.proposal(height)
        if proposal is None:
            return None
        certificate, reveal, drop = self.certificate(height), self.reveal(height), self.drop(height)
        if drop is not None:
            return HeightRecord(proposal=proposal, votes=(), certificate=(), shares=(), reveal=(), drop=(drop,))
        return HeightRecord(
            proposal=proposal,
            votes=() if certificate else votes,
            certificate=(certificate,) if certificate else (),
            shares=self.shares(height),
            reveal=(reveal,) if reveal else (),
            drop=(),
        )

    def receipts(self) -> Iterator[SignedReceipt]:
        """All of the sequencer whose database this is."""
        for _, value in self._records.scan(RECEIPT):
            yield SignedReceipt.decode(value)

    def receipt(self, tx_id: bytes) -> SignedReceipt | None:
        """Of the sequencer whose database this is."""
        key = self._records.get(RECEIPT_OF, tx_id)
        data = None if key is None else self._records.get(RECEIPT, key)
        return None if data is None else SignedReceipt.decode(data)

    def transaction(self, tx_id: bytes) -> EncryptedTransaction | None:
        data = self._records.get(TRANSACTION, tx_id)
        return None if data is None else EncryptedTransaction.decode(data)

    def abstentions(self) -> tuple[SignedAbstain, ...]:
        """Those heard of heights that were not executed then."""
        return tuple(SignedAbstain.decode(value) for _, value in self._records.scan(HEARD_ABSTENTION))

    def posted(self, tx_id: bytes) -> int | None:
        """The index of a transaction's entry in the inbox."""
        data = self._records.get(POSTED, tx_id)
        return None if data is None else int.from_bytes(data, "big")

    def passed(self, index: int) -> tuple[int, str] | None:
        """The height that passed an entry over, and the requirement it misses."""
        data = self._records.get(PASSED, u64(index))
        return None if data is None else (int.from_bytes(data[:8], "big"), data[8:].decode())

    def heard_abstentions(self, height: int, committee_id: bytes, member: int) -> tuple[SignedAbstain, ...]:
        """One, if it was told to this node."""
        data = self._records.get(HEARD_ABSTENTION, abstention_key(height, committee_id, member))
        return () if data is None else (SignedAbstain.decode(data),)

    def erasures(self) -> tuple[SignedErasure, ...]:
        return tuple(SignedErasure.decode(value) for _, value in self._records.scan(HEARD_ERASURE))

    def _of_height(self, kind: str, height: int) -> Iterator[tuple[bytes, bytes]]:
        prefix = u64(height)
        for key, value in self._records.scan(kind, start=prefix):
            if not key.startswith(prefix):
                return
            yield key, value
