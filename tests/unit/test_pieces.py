"""The hash tree over a key's parameters: TDH-8, and STL-46 for the rows that are shown of it."""

from __future__ import annotations

from hashlib import sha256

import pytest

from threshold.encoding import u64
from threshold.hashing import Tag, tagged_hash
from threshold.keys import parameter_digest
from threshold.pieces import depth, head_bytes, piece_branch, root, row_branch


def tree(leaves, levels):
    """Its root, the plain way."""
    level = [*leaves, *[bytes(32)] * ((1 << levels) - len(leaves))]
    while len(level) > 1:
        level = [sha256(left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def above(row, first, levels, branch):
    """The root over a row of leaves, as a contract finds it."""
    nodes, place, beside = list(row), first, list(branch)
    for _ in range(levels):
        if place % 2:
            nodes.insert(0, beside.pop(0))
        if len(nodes) % 2:
            nodes.append(beside.pop(0))
        nodes = [sha256(left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=True)]
        place //= 2
    assert (beside, place, len(nodes)) == ([], 0, 1)
    return nodes[0]


def leaves_of(data):
    return [sha256(data[at : at + 48]).digest() for at in range(len(data) % 48, len(data), 48)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 33])
@pytest.mark.parametrize("head", [0, 4, 8, 47])
def test_digest_is_over_head_number_and_tree_of_pieces_tdh_8(count, head):
    data = bytes(at % 251 for at in range(head + 48 * count))
    assert head_bytes(len(data)) == head
    assert root(data) == tree(leaves_of(data), depth(count))
    expected = tagged_hash(Tag.KEY_ID, b"parameters", data[:head], u64(count), root(data))
    assert parameter_digest(data) == expected


def test_digest_of_less_than_a_piece_is_over_the_bytes_tdh_8():
    for size in (0, 1, 47):
        assert parameter_digest(bytes(size)) == tagged_hash(Tag.KEY_ID, b"parameters", bytes(size))


def test_digest_differs_for_every_byte_and_for_bytes_moved_into_the_head():
    data = bytes(range(104))
    others = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]
    others += [data[1:], data + b"\0", b"\0" + data, data[48:], data + data, data[:8] + data[56:] + data[8:56]]
    digests = {parameter_digest(each) for each in (data, *others)}
    assert len(digests) == len(others) + 1


def test_row_of_pieces_leads_to_the_root_stl_46():
    for count in range(1, 14):
        data = b"head" + bytes(at % 256 for at in range(48 * count))
        leaves = leaves_of(data)
        for first in range(count):
            for size in range(1, count - first + 1):
                branch = piece_branch(data, first, size)
                assert above(leaves[first : first + size], first, depth(count), branch) == root(data)


def test_row_that_is_not_there_is_refused():
    leaves = bytes(32 * 5)
    for first, count, levels in ((0, 0, 3), (-1, 2, 3), (4, 2, 3), (5, 1, 3), (0, 5, 2)):
        with pytest.raises(ValueError, match="no row"):
            row_branch(leaves, first, count, levels)
