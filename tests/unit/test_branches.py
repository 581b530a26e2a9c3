"""Branches against roots that the SSZ code and remerkleable compute from whole objects."""

import hashlib

import pytest
from hypothesis import given, strategies as st
from remerkleable.byte_arrays import ByteVector
from remerkleable.complex import List

from encmempool.branches import fold, list_branch
from encmempool.execution.ledger import AccountState, Ledger, LedgerState
from encmempool.state import ACCOUNT_BRANCH, StateTree, account_place
from encmempool.types import MAX_BATCH, BatchList, account_root, state_root

DEPTH = 12


def leaf(at: int) -> bytes:
    return hashlib.sha256(at.to_bytes(4, "big")).digest()


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, MAX_BATCH])
def test_every_branch_folds_to_the_root_of_the_list(count) -> None:
    leaves = [leaf(at) for at in range(count)]
    root = BatchList(tx_ids=tuple(leaves)).root
    assert root == bytes(List[ByteVector[32], MAX_BATCH](*leaves).hash_tree_root())
    for index in {0, 1 % count, count // 2, count - 1}:
        branch = list_branch(leaves, index, DEPTH)
        assert len(branch) == DEPTH + 1
        assert branch[-1] == count.to_bytes(32, "little")
        assert fold(leaves[index], index, branch) == root


@given(st.integers(1, 40), st.integers(0, 39), st.integers(0, (1 << DEPTH) - 1))
def test_branch_fits_no_other_place_or_leaf(count, index, other) -> None:
    leaves, index = [leaf(at) for at in range(count)], index % count
    branch, root = list_branch(leaves, index, DEPTH), BatchList(tx_ids=tuple(leaves)).root
    assert (fold(leaves[index], other, branch) == root) == (other == index)
    assert fold(leaf(count), index, branch) != root


@pytest.mark.parametrize(("count", "index"), [(0, 0), (3, 3), (3, -1), (5, 0)])
def test_branch_refuses_a_place_that_the_list_has_not(count, index) -> None:
    with pytest.raises(ValueError, match="elements"):
        list_branch([leaf(at) for at in range(count)], index, 2)


def test_account_branch_folds_to_the_state_root() -> None:
    accounts = tuple(AccountState(address=bytes([at]) * 20, nonce=at, balance=10 * at) for at in (1, 2, 5, 7, 9))
    state = LedgerState(height=6, accounts=accounts, token_balances=(), pools=())
    empty = Ledger(
        chain_id=1,
        accounts={},
        token_balances={},
        pools=(),
        router=b"\x7a" * 20,
        weth=b"\xc0" * 20,
        base_fee=1,
        fee_recipient=b"\xfe" * 20,
    )
    tree = StateTree(empty.in_state(state, burned=0))
    for account in accounts:
        index, branch = tree.account_branch(account.address)
        assert accounts[index] == account
        assert len(branch) == ACCOUNT_BRANCH
        root = account_root(account.address, account.nonce, account.balance)
        assert fold(root, account_place(index), branch) == tree.root == state_root(state)
        assert fold(root, account_place(index ^ 1), branch) != tree.root
    with pytest.raises(ValueError, match="not in the list"):
        tree.account_branch(b"\x03" * 20)
