"""Protocol objects as the contracts take them: leaves of containers, signatures in three parts, branches.

STL-1 to STL-5 and STL-7, as specs/settlement.md has them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields

from encmempool.branches import fold, list_branch
from encmempool.ssz import SszObject, hash_pair
from encmempool.types import (
    BATCH_DEPTH,
    STATE_DEPTH,
    EncryptedTransaction,
    SignedCommitment,
    SignedReceipt,
    State,
)
from threshold.errors import Rejected

Leaves = tuple[bytes, ...]
Signature = tuple[int, int, int]
Promise = tuple[Leaves, Leaves, bytes]
Posting = tuple[Leaves, Signature, tuple[Signature, ...]]

BATCH_INDEX = 2 << BATCH_DEPTH
ACCOUNTS_INDEX = 10 << STATE_DEPTH
"""Generalized indices of the first id under a `batch_root`, and of the first account under a `state_root`."""


def leaves(message: SszObject) -> Leaves:
    """The roots of an object's fields: integers and addresses as they are, lists and bytes hashed."""
    codec = message.codec()
    return tuple(codec.field_root(message, field.name) for field in fields(message))  # type: ignore[arg-type]


def signature(encoded: bytes) -> Signature:
    """r, s and v of 65 bytes."""
    return int.from_bytes(encoded[:32], "big"), int.from_bytes(encoded[32:64], "big"), encoded[64]


def signatures(encoded: Sequence[bytes]) -> tuple[Signature, ...]:
    return tuple(map(signature, encoded))


def posting(commitment: SignedCommitment, votes: Sequence[bytes]) -> Posting:
    """A height for `Settlement.post`; `votes` are its certificate's signatures."""
    return leaves(commitment.message), signature(commitment.signature), signatures(votes)


def promise(receipt: SignedReceipt, transaction: EncryptedTransaction) -> Promise:
    """A receipt and what it is for, as `Challenges` takes them."""
    ciphertext_root = transaction.codec().field_root(transaction, "ciphertext")
    return leaves(receipt.message), leaves(transaction.header), ciphertext_root


def batch_branch(tx_ids: Sequence[bytes], position: int) -> Leaves:
    """From the id at a position to the `batch_root`."""
    return list_branch(tx_ids, position, BATCH_DEPTH)


def account_branch(state: State, address: bytes) -> tuple[int, Leaves]:
    """Where an account stands in a state, and from there to the state's root. Raises KeyError if it is not there."""
    position = next((at for at, account in enumerate(state.accounts) if account.address == address), None)
    if position is None:
        raise KeyError(f"0x{address.hex()}")
    roots = [account.root for account in state.accounts]
    height, _, tokens, pools = leaves(state)
    return position, (*list_branch(roots, position, STATE_DEPTH), height, hash_pair(tokens, pools))


def check_branch(first: int, leaf: bytes, position: int, branch: Sequence[bytes], root: bytes) -> int:
    """The generalized index of a leaf, if the contracts take its branch: to see that before paying for a call.

    first    BATCH_INDEX or ACCOUNTS_INDEX

    Raises Rejected STL-5.
    """
    index = first + position
    if position >= 1 << (BATCH_DEPTH if first == BATCH_INDEX else STATE_DEPTH):
        raise Rejected("STL-5", f"the list has no position {position}")
    if len(branch) != index.bit_length() - 1:
        raise Rejected("STL-5", f"the branch has {len(branch)} siblings instead of {index.bit_length() - 1}")
    if fold(leaf, index, branch) != root:
        raise Rejected("STL-5", "the branch leads to another root")
    return index


def exit_address(user: bytes) -> bytes:
    """Where on the network to send what `Bridge.exit` pays the user. No key opens it."""
    return hashlib.sha256(b"encmempool exit" + user).digest()[12:]
