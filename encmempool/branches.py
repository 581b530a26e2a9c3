"""Branches of SSZ lists: that one element stands at one place under a root, without the others.

A branch is the sibling of each node on the way up, from the bottom, and last the chunk with the list's length. It
fixes the element, its index and, by that chunk, the length; whoever folds it checks that the branch has as many nodes
as the tree has levels, since `fold` takes any number. Branches of containers, and of what is nested, are folded the
same way: the bits of the index say at each level whether the node is the right one (PRF-9).
"""

from __future__ import annotations

from collections.abc import Sequence

from encmempool.ssz import HashTree, hash_pair, uint_chunk


def list_branch(leaves: Sequence[bytes], index: int, depth: int) -> tuple[bytes, ...]:
    """depth + 1 nodes for the element at `index` of an SSZ list of room for 2^depth elements.

    leaves    the roots of the elements that the list has. Cost: one hash for each
    """
    if not 0 <= index < len(leaves) <= 1 << depth:
        raise ValueError(f"a list of {len(leaves)} elements, at most {1 << depth}, has none at {index}")
    return (*HashTree(list(leaves)).siblings(index, depth), uint_chunk(len(leaves)))


def fold(leaf: bytes, index: int, branch: Sequence[bytes]) -> bytes:
    """The root under which the leaf stands at `index`, if the branch is one of that tree. Cost: one hash for each
    node."""
    node = leaf
    for level, sibling in enumerate(branch):
        node = hash_pair(sibling, node) if index >> level & 1 else hash_pair(node, sibling)
    return node
