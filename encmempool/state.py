"""The root of the state, kept from height to height: what a batch did not touch is not hashed again.

SSZ lists go by position. An account or a balance that appears, or is used up, moves all that come after it, and the
tree above those is hashed anew; their own roots stay.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property

from encmempool.execution.ledger import Ledger
from encmempool.ssz import HashTree, hash_pair, list_root, uint_chunk
from encmempool.types import POOL_DEPTH, STATE_DEPTH, account_root, combined_root, pool_root, token_balance_root

ACCOUNT_BRANCH = STATE_DEPTH + 3
"""Nodes from an account up to the state's root: the list's, its length, and two of the state's four fields."""


def account_place(index: int) -> int:
    """What `encmempool.branches.fold` takes for the account at an index: accounts are the second of the fields."""
    return index | 1 << (STATE_DEPTH + 1)


class StateTree:
    """The hash trees of one ledger's state, whose root is that of `encmempool.types.State`. A value."""

    def __init__(self, ledger: Ledger) -> None:
        """From all its parts."""
        state = ledger.snapshot()
        accounts = {a.address: account_root(a.address, a.nonce, a.balance) for a in state.accounts}
        tokens = {b.token + b.owner: token_balance_root(b.token, b.owner, b.amount) for b in state.token_balances}
        pools = {pool.token0 + pool.token1: pool_root(pool) for pool in state.pools}
        self._height = ledger.height
        self._accounts, self._tokens, self._pools = map(_KeyedTree.of, (accounts, tokens, pools))

    def after(self, ledger: Ledger) -> StateTree:
        """The tree of a copy of that ledger, from what it touched since it was copied."""
        touched = ledger.touched
        accounts: dict[bytes, bytes | None] = {}
        for address in touched.accounts:
            nonce, balance = ledger.nonce(address), ledger.balance(address)
            accounts[address] = account_root(address, nonce, balance) if nonce or balance else None
        tokens: dict[bytes, bytes | None] = {}
        for token, owner in touched.tokens:
            amount = ledger.token_balance(token, owner)
            tokens[token + owner] = token_balance_root(token, owner, amount) if amount else None
        following = StateTree.__new__(StateTree)
        following._height = ledger.height
        following._accounts = self._accounts.after(accounts)
        following._tokens = self._tokens.after(tokens)
        following._pools = self._pools.after({a + b: pool_root(ledger.pool(a, b)) for a, b in touched.pools})
        return following

    @cached_property
    def root(self) -> bytes:
        return combined_root(
            self._height, self._accounts.root(STATE_DEPTH), self._tokens.root(STATE_DEPTH), self._pools.root(POOL_DEPTH)
        )

    def account_branch(self, address: bytes) -> tuple[int, tuple[bytes, ...]]:
        """An account's index in the state's list, and ACCOUNT_BRANCH nodes from its root to the state's:
        `fold(account.root, account_place(index), branch)` is that. ValueError if the state does not list it."""
        index, branch = self._accounts.branch(address, STATE_DEPTH)
        beside = hash_pair(self._tokens.root(STATE_DEPTH), self._pools.root(POOL_DEPTH))
        return index, (*branch, uint_chunk(self._height), beside)


class _KeyedTree:
    """A list's elements, which stand by ascending key, as roots."""

    def __init__(self, keys: Sequence[bytes], tree: HashTree) -> None:
        self._keys = keys
        self._tree = tree

    @classmethod
    def of(cls, roots: Mapping[bytes, bytes]) -> _KeyedTree:
        """`roots` by ascending key."""
        return cls(list(roots), HashTree(list(roots.values())))

    def root(self, depth: int) -> bytes:
        return list_root(self._tree.root(depth), len(self._keys))

    def branch(self, key: bytes, depth: int) -> tuple[int, tuple[bytes, ...]]:
        """An element's index and its branch to the list's root."""
        index = bisect_left(self._keys, key)
        if self._keys[index : index + 1] != [key]:
            raise ValueError(f"0x{key.hex()} is not in the list")
        return index, (*self._tree.siblings(index, depth), uint_chunk(len(self._keys)))

    def after(self, roots: Mapping[bytes, bytes | None]) -> _KeyedTree:
        """The list with these elements instead of, or besides, those it has; None takes one out."""
        keys, leaves = self._keys, list(self._tree.leaves)
        changed, moved = [], {}
        for key, root in roots.items():
            at = bisect_left(keys, key)
            there = at < len(keys) and keys[at] == key
            if there and root is not None:
                leaves[at] = root
                changed.append(at)
            elif there or root is not None:
                moved[key] = root
        if not moved:
            return _KeyedTree(keys, HashTree(leaves, self._tree, changed, kept=len(leaves)))
        keys = list(keys)
        kept = bisect_left(keys, min(moved))
        for key, root in sorted(moved.items()):
            at = bisect_left(keys, key)
            if root is None:
                del keys[at], leaves[at]
            else:
                keys.insert(at, key)
                leaves.insert(at, root)
        return _KeyedTree(keys, HashTree(leaves, self._tree, changed, kept=kept))
