"""The history of a network of nodes, as one of them hands it out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import cast

from encmempool.audit import PublishedHeight, export
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.identity import recover_signer
from encmempool.keysets import Committee
from encmempool.network.remote import RemoteNetwork
from encmempool.types import EncryptedTransaction, InboxEntry, SignedAbstain, SignedErasure, SignedReceipt


class RemoteHistory:
    """All executed heights that the node has. What it leaves out, a verification counts as missing."""

    def __init__(self, network: RemoteNetwork) -> None:
        self._network = network
        self._heights = 0
        self._committed: set[bytes] = set()

    @property
    def committees(self) -> tuple[Committee, ...]:
        return self._network.committees

    def erasures(self, *, of: bytes) -> tuple[SignedErasure, ...]:
        committee = next((c for c in self.committees if c.committee_id == of), None)
        if committee is None:
            return ()
        found: dict[int, SignedErasure] = {}
        for erasure in self._network.call("erasures").erasures:
            if erasure.message.committee_id == of:
                with suppress(Rejected):
                    found[committee.signing_member(erasure.message, erasure.signature, rule="AUD-2")] = erasure
        return tuple(erasure for _, erasure in sorted(found.items()))

    def inbox_entry(self, index: int) -> InboxEntry:
        return cast(InboxEntry, self._network.call("inbox_entry", index=index))

    def abstentions(self) -> tuple[SignedAbstain, ...]:
        return ()

    def heights(self) -> Iterator[PublishedHeight]:
        executed = self._network.progress.executed_height
        for height in range(self.committees[0].key_set.start_height, executed + 1):
            record = self._network.call("height", height=height)
            self._committed |= {transaction.tx_id for transaction in record.proposal.transactions}
            yield PublishedHeight(
                proposal=record.proposal,
                drop=record.drop[0] if record.drop else None,
                certificate=record.certificate[0] if record.certificate else None,
                shares=record.shares,
                reveal=record.reveal[0] if record.reveal else None,
            )

    def uncommitted(self) -> tuple[tuple[EncryptedTransaction, SignedReceipt], ...]:
        """What waits, by a node that is shown it: the sequencer and the members."""
        with suppress(EnvironmentProblem, Malformed):
            gossip = self._network.call("pending")
            pairs = zip(gossip.transactions, gossip.receipts, strict=True)
            waiting = [(t, r) for t, r in pairs if t.tx_id not in self._committed and self._is_current(r)]
            return tuple(sorted(waiting, key=lambda pair: pair[1].message.sequence))
        return ()

    def _is_current(self, receipt: SignedReceipt) -> bool:
        """Whether the sequencer in office gave it: the receipts of one before are void."""
        try:
            signer = recover_signer(receipt.message, receipt.signature, self._network.genesis.root)
        except Rejected:
            return False
        return signer == self.committees[-1].key_set.sequencer


def export_history(network: RemoteNetwork) -> bytes:
    """The file that `audit verify` takes."""
    return export(RemoteHistory(network))
