"""Where a party that follows the chain starts from again: what it has to know of the heights that it does not read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated

from encmempool.errors import Malformed
from encmempool.execution.ledger import AccountState, LedgerState, TokenBalance as TokenAmount
from encmempool.execution.pools import Pool
from encmempool.intervals import IntervalSet
from encmempool.ssz import U64, U256, Address, Hash, Limit, SszObject
from encmempool.types import Account, PoolState, SignedCommitment, State, TokenBalance

_CHECKSUM_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class SequenceRange(SszObject):
    """Receipt sequences that follow one another, both ends included."""

    first: U64
    last: U64


@dataclass(frozen=True, kw_only=True)
class SequencesOf(SszObject):
    """The sequences of one sequencer's receipts whose transactions are committed."""

    sequencer: Address
    ranges: Annotated[tuple[SequenceRange, ...], Limit(1 << 32)]


@dataclass(frozen=True, kw_only=True)
class Checkpoint(SszObject):
    """An executed height, and all that later ones depend on.

    checksum      SHA-256 of the encoding after it
    commitment    of that height; none before the first
    burned        wei, by base fees since genesis
    """

    checksum: Hash
    height: U64
    state_root: Hash
    burned: U256
    commitment: Annotated[tuple[SignedCommitment, ...], Limit(1)]
    state: State
    sequences: Annotated[tuple[SequencesOf, ...], Limit(1 << 16)]

    @classmethod
    def opened(cls, data: bytes) -> Checkpoint:
        """Raises Malformed if a byte is not as it was written."""
        if hashlib.sha256(data[_CHECKSUM_BYTES:]).digest() != data[:_CHECKSUM_BYTES]:
            raise Malformed("its checksum differs")
        return cls.decode(data)

    def sealed(self) -> Checkpoint:
        """The same with its checksum."""
        return replace(self, checksum=hashlib.sha256(self.encoded[_CHECKSUM_BYTES:]).digest())


def ranges_of(numbers: IntervalSet) -> tuple[SequenceRange, ...]:
    return tuple(SequenceRange(first=first, last=last) for first, last in numbers.ranges())


def numbers_in(ranges: tuple[SequenceRange, ...]) -> IntervalSet:
    """Raises Malformed unless they ascend."""
    return IntervalSet((item.first, item.last) for item in ranges)


def state_of(ledger: LedgerState) -> State:
    return State(
        height=ledger.height,
        accounts=tuple(Account(address=a.address, nonce=a.nonce, balance=a.balance) for a in ledger.accounts),
        token_balances=tuple(
            TokenBalance(token=b.token, owner=b.owner, amount=b.amount) for b in ledger.token_balances
        ),
        pools=tuple(
            PoolState(token0=p.token0, token1=p.token1, reserve0=p.reserve0, reserve1=p.reserve1) for p in ledger.pools
        ),
    )


def ledger_state_of(state: State) -> LedgerState:
    return LedgerState(
        height=state.height,
        accounts=tuple(AccountState(address=a.address, nonce=a.nonce, balance=a.balance) for a in state.accounts),
        token_balances=tuple(TokenAmount(token=b.token, owner=b.owner, amount=b.amount) for b in state.token_balances),
        pools=tuple(
            Pool(token0=p.token0, token1=p.token1, reserve0=p.reserve0, reserve1=p.reserve1) for p in state.pools
        ),
    )
