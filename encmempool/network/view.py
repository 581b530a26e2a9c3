"""A network as its clients see it, whether it is in a home of this machine or behind a node's address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from encmempool.envelope import check_receipt
from encmempool.keysets import Committee
from encmempool.network.local import LocalNetwork
from encmempool.reveal import Executed
from encmempool.status import Status, never_committed
from encmempool.types import EncryptedTransaction, Genesis, PoolState, SignedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """In the newest executed state. `next_nonce` counts what waits as well; `tokens` by the token's address."""

    next_nonce: int
    balance: int
    tokens: dict[bytes, int]


class NetworkView(Protocol):
    @property
    def genesis(self) -> Genesis: ...
    @property
    def committee(self) -> Committee:
        """The one that governs the next height."""

    @property
    def head(self) -> int:
        """The newest committed height."""

    @property
    def lookahead(self) -> int:
        """How many heights ahead to encrypt to, where the scheme addresses one."""

    @property
    def sequencers(self) -> frozenset[bytes]:
        """All that were ever in office: their receipts are the network's."""

    def committee_at(self, height: int) -> Committee: ...
    def key_end(self, key_id: bytes) -> int: ...
    def account(self, address: bytes) -> Account: ...
    def pools(self) -> tuple[PoolState, ...]: ...
    def status(self, tx_id: bytes) -> Status: ...

    def submit(self, transaction: EncryptedTransaction) -> SignedReceipt:
        """The sequencer's receipt, checked. Raises Malformed or Rejected."""


class LocalView:
    """A home's network, in this process."""

    lookahead = 1

    def __init__(self, network: LocalNetwork) -> None:
        self._network = network

    @property
    def genesis(self) -> Genesis:
        return self._network.committee.genesis

    @property
    def committee(self) -> Committee:
        return self._network.committee

    @property
    def head(self) -> int:
        return self._network.sequencer.height

    @property
    def sequencers(self) -> frozenset[bytes]:
        return frozenset(committee.key_set.sequencer for committee in self._network.committees)

    def committee_at(self, height: int) -> Committee:
        return self._network.committee_at(height)

    def key_end(self, key_id: bytes) -> int:
        return self._network.sequencer.key_end(key_id)

    def account(self, address: bytes) -> Account:
        ledger = self._network.follower.ledger
        return Account(
            next_nonce=self._network.sequencer.next_nonce(address),
            balance=ledger.balance(address),
            tokens={token.address: ledger.token_balance(token.address, address) for token in self.genesis.tokens},
        )

    def pools(self) -> tuple[PoolState, ...]:
        return tuple(
            PoolState(token0=pool.token0, token1=pool.token1, reserve0=pool.reserve0, reserve1=pool.reserve1)
            for pool in self._network.follower.ledger.snapshot().pools
        )

    def submit(self, transaction: EncryptedTransaction) -> SignedReceipt:
        with self._network.home.locked():
            receipt = self._network.submit(transaction.encoded)
        check_receipt(self._network.sequencer.terms_of(transaction.header.key_id), transaction, receipt)
        return receipt

    def status(self, tx_id: bytes) -> Status:
        """By what the sequencer stored and its follower executed."""
        sequencer, follower = self._network.sequencer, self._network.follower
        receipt, transaction = sequencer.receipt(tx_id), sequencer.transaction(tx_id)
        if receipt is None or transaction is None:
            return Status(tx_id=tx_id, state="unknown")
        sequence, height = receipt.message.sequence, sequencer.place(tx_id)
        batch = None if height is None else sequencer.batch(height)
        if height is not None and batch is not None:
            position = batch.tx_ids.index(tx_id)
            executed = follower.executed_at(height)
            if executed is None:
                return Status(tx_id=tx_id, state="committed", sequence=sequence, height=height, position=position)
            return _final(tx_id, sequence, executed, position)

        def opened(target: int) -> bool | None:
            executed = follower.executed_at(target)
            return None if executed is None else executed.reveal is not None

        outcome = never_committed(
            transaction.header,
            head=sequencer.height,
            key_end=sequencer.key_end(transaction.header.key_id),
            opened=opened,
        )
        return Status(tx_id=tx_id, state=outcome or "received", sequence=sequence)


def _final(tx_id: bytes, sequence: int, executed: Executed, position: int) -> Status:
    receipt = executed.receipts[position]
    return Status(
        tx_id=tx_id,
        state=receipt.code,
        sequence=sequence,
        height=executed.ready.commitment.height,
        position=position,
        success=receipt.success,
        reason=receipt.reason,
        gas_used=receipt.gas_used,
        fee=receipt.fee,
        amount_in=receipt.amount_in,
        amount_out=receipt.amount_out,
    )
