"""Parts of a batch or of a state, each shown with its branch up to a root that somebody has signed.

Requirements:
EVD-9  a branch ends in a root that the accused has signed; of a state one account is shown, or the two next to where
       it would stand
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from encmempool.branches import fold, list_branch
from encmempool.errors import Rejected
from encmempool.ssz import U16, U32, Hash, Limit, SszObject, hash_pair, uint_chunk
from encmempool.types import (
    BATCH_DEPTH,
    STATE_DEPTH,
    Account,
    OrderCommitment,
    State,
    Transaction,
    UnsignedTransaction,
)

BATCH_BRANCH = BATCH_DEPTH + 1
STATE_BRANCH = STATE_DEPTH + 3
_IN_STATE = 1 << STATE_DEPTH + 1
"""A state's accounts are its second field: at that height of the branch their list stands on the right."""


@dataclass(frozen=True, kw_only=True)
class Position(SszObject):
    """A place in a batch. The branch ends with the batch's length."""

    index: U16
    branch: Annotated[tuple[Hash, ...], Limit(BATCH_BRANCH)]

    @property
    def length(self) -> int:
        """Of the batch, once the position is checked."""
        return int.from_bytes(self.branch[-1], "little")


@dataclass(frozen=True, kw_only=True)
class Entry(SszObject):
    """A transaction at its place in a batch, without the sender's signature, which the batch does not bind."""

    position: Position
    transaction: UnsignedTransaction


@dataclass(frozen=True, kw_only=True)
class AccountEntry(SszObject):
    """An account at its place in a state."""

    account: Account
    index: U32
    branch: Annotated[tuple[Hash, ...], Limit(STATE_BRANCH)]

    @property
    def length(self) -> int:
        return int.from_bytes(self.branch[STATE_DEPTH], "little")


def check_position(tx_id: bytes, position: Position, commitment: OrderCommitment) -> None:
    """Raises Rejected EVD-9 unless the id stands at that place of the commitment's batch. 13 hashes."""
    of_form = len(position.branch) == BATCH_BRANCH and position.index < 1 << BATCH_DEPTH
    if not of_form or fold(tx_id, position.index, position.branch) != commitment.batch_root:
        raise Rejected("EVD-9", "the branch does not lead to the commitment's batch")


def check_entry(entry: Entry, commitment: OrderCommitment) -> None:
    check_position(entry.transaction.tx_id, entry.position, commitment)


def account_under(state_root: bytes, address: bytes, shown: Sequence[AccountEntry]) -> tuple[int, int]:
    """Nonce and balance of an address in a state; zeros where its neighbours show that it is not there.

    Raises Rejected EVD-9."""
    for entry in shown:
        of_form = len(entry.branch) == STATE_BRANCH and entry.index < 1 << STATE_DEPTH
        if not of_form or fold(entry.account.root, entry.index | _IN_STATE, entry.branch) != state_root:
            raise Rejected("EVD-9", "the branch does not lead to the state")
    match shown:
        case [only] if only.account.address == address:
            return only.account.nonce, only.account.balance
        case [first] if first.index == 0 and address < first.account.address:
            return 0, 0
        case [last] if last.index + 1 == last.length and last.account.address < address:
            return 0, 0
        case [before, after] if before.index + 1 == after.index:
            if before.account.address < address < after.account.address:
                return 0, 0
    raise Rejected("EVD-9", "the accounts shown say nothing of this sender")


def position_of(tx_ids: Sequence[bytes], index: int) -> Position:
    return Position(index=index, branch=list_branch(tx_ids, index, BATCH_DEPTH))


def entry_of(transactions: Sequence[Transaction], index: int) -> Entry:
    chosen = transactions[index]
    unsigned = chosen if isinstance(chosen, UnsignedTransaction) else chosen.unsigned
    return Entry(position=position_of([t.tx_id for t in transactions], index), transaction=unsigned)


def accounts_of(state: State, address: bytes) -> tuple[AccountEntry, ...]:
    """The account, or its neighbours if it is not there. Cost: hashing the whole state."""
    roots = [account.root for account in state.accounts]
    codec = State.codec()
    above = (
        uint_chunk(state.height),
        hash_pair(codec.field_root(state, "token_balances"), codec.field_root(state, "pools")),
    )
    there = [at for at, account in enumerate(state.accounts) if account.address == address]
    after = sum(account.address < address for account in state.accounts)
    chosen = there or [at for at in (after - 1, after) if 0 <= at < len(roots)]
    return tuple(
        AccountEntry(account=state.accounts[at], index=at, branch=(*list_branch(roots, at, STATE_DEPTH), *above))
        for at in chosen
    )
