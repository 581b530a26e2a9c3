"""A hash tree over the parameters of a key, by which a row of their points is shown without the others.

Cut into pieces of 48 bytes from the end, encoded parameters have one piece for a point of G1 and two for one of G2; the
head, what is left in front, holds their sizes. The leaves of the tree are the SHA-256 of the pieces, then zeros up to
a power of two. A leaf hashes 48 bytes and a node 64, so neither passes for the other.
"""

from __future__ import annotations

from hashlib import sha256

PIECE_BYTES = 48
_HASH_BYTES = 32


def head_bytes(size: int) -> int:
    """How much of `size` bytes stands before the pieces."""
    return size % PIECE_BYTES


def depth(count: int) -> int:
    """Levels above so many leaves, at least one."""
    return (count - 1).bit_length()


def root(data: bytes) -> bytes:
    """Of the tree over the pieces of `data`, at least one. Cost: two hashes a piece, 1 s for 32 MB."""
    level, zero = _leaves(data), bytes(_HASH_BYTES)
    while len(level) > _HASH_BYTES:
        level, zero = _above(level, zero)
    return level


def piece_branch(data: bytes, first: int, count: int) -> tuple[bytes, ...]:
    """What stands beside the pieces `first` to `first + count - 1` of the data, as `row_branch` has it."""
    leaves = _leaves(data)
    return row_branch(leaves, first, count, depth(len(leaves) // _HASH_BYTES))


def row_branch(leaves: bytes, first: int, count: int, depth: int) -> tuple[bytes, ...]:
    """What stands beside a row of leaves in the tree with 2^depth leaves: level by level from below, left before right.

    leaves    one after the other, 32 bytes each; zeros follow them

    ValueError for a row that is empty or not among them.
    """
    if not 0 <= first < first + count <= len(leaves) // _HASH_BYTES <= 1 << depth:
        raise ValueError(f"there is no row of {count} leaves from {first} on")
    beside, zero, start, stop = list[bytes](), bytes(_HASH_BYTES), first, first + count
    level = leaves
    for _ in range(depth):
        if start % 2:
            beside.append(_node(level, start - 1))
        if stop % 2:
            beside.append(_node(level, stop) or zero)
        level, zero = _above(level, zero)
        start, stop = start // 2, (stop + 1) // 2
    return tuple(beside)


def _leaves(data: bytes) -> bytes:
    start = head_bytes(len(data))
    return b"".join(sha256(data[at : at + PIECE_BYTES]).digest() for at in range(start, len(data), PIECE_BYTES))


def _above(level: bytes, zero: bytes) -> tuple[bytes, bytes]:
    """The next level, and what fills that up."""
    if len(level) % (2 * _HASH_BYTES):
        level += zero
    above = (sha256(level[at : at + 2 * _HASH_BYTES]).digest() for at in range(0, len(level), 2 * _HASH_BYTES))
    return b"".join(above), sha256(zero + zero).digest()


def _node(level: bytes, at: int) -> bytes:
    """Empty where the level has ended."""
    return level[_HASH_BYTES * at : _HASH_BYTES * (at + 1)]
