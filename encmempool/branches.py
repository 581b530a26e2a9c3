"""Branches of SSZ lists: one element's way up to the root, in as few bytes as a contract can check."""

from __future__ import annotations

from collections.abc import Sequence

from encmempool.ssz import hash_pair, uint_chunk


def list_branch(leaves: Sequence[bytes], index: int, depth: int) -> tuple[bytes, ...]:
    """The siblings of a list's element from the bottom up, then the chunk with the list's length.

    leaves    the elements' roots
    depth     of the tree that the list's limit has room for
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"there is no element {index} in a list of {len(leaves)}")
    siblings, level, zero = [], list(leaves), bytes(32)
    for at in (index >> height for height in range(depth)):
        if len(level) % 2:
            level.append(zero)
        siblings.append(level[at ^ 1])
        pairs = iter(level)
        level = [hash_pair(left, right) for left, right in zip(pairs, pairs, strict=True)]
        zero = hash_pair(zero, zero)
    return (*siblings, uint_chunk(len(leaves)))


def fold(leaf: bytes, index: int, branch: Sequence[bytes]) -> bytes:
    """The root that a leaf has with this branch. Bit k of the index says whether sibling k stands on the left."""
    for height, sibling in enumerate(branch):
        leaf = hash_pair(sibling, leaf) if index >> height & 1 else hash_pair(leaf, sibling)
    return leaf
