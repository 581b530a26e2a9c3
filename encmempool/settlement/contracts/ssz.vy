# pragma version 0.4.3
# pragma evm-version prague
"""
@title Hash trees of SSZ objects
@notice Objects come as the leaves of their containers, so that a contract reads the integers it needs and computes the
        root that was signed. Integers stand in leaves little-endian, addresses at the left.
"""

# Members that these contracts allow in a committee. SSZ allows 1024, more than a transaction could register.
COMMITTEE: constant(uint256) = 128

# The longest row of leaves that is shown at once, and what may stand beside it.
ROW: constant(uint256) = 513
ROW_BRANCH: constant(uint256) = 64

_TREE: constant(uint256) = 32
_MEMBERS_DEPTH: constant(uint256) = 10

# Every other group of one, two, four or eight bytes.
_BYTES: constant(uint256) = max_value(uint256) // (2**8 + 1)
_PAIRS: constant(uint256) = max_value(uint256) // (2**16 + 1)
_FOURS: constant(uint256) = max_value(uint256) // (2**32 + 1)
_EIGHTS: constant(uint256) = max_value(uint256) // (2**64 + 1)


@internal
@pure
def _pair(left: bytes32, right: bytes32) -> bytes32:
    return sha256(concat(left, right))


@internal
@pure
def _reversed(word: uint256) -> uint256:
    swapped: uint256 = (word & _BYTES) << 8 | (word >> 8) & _BYTES
    swapped = (swapped & _PAIRS) << 16 | (swapped >> 16) & _PAIRS
    swapped = (swapped & _FOURS) << 32 | (swapped >> 32) & _FOURS
    swapped = (swapped & _EIGHTS) << 64 | (swapped >> 64) & _EIGHTS
    return swapped << 128 | swapped >> 128


@internal
@pure
def _from_uint(number: uint256) -> bytes32:
    return convert(self._reversed(number), bytes32)


@internal
@pure
def _to_uint256(leaf: bytes32) -> uint256:
    return self._reversed(convert(leaf, uint256))


@internal
@pure
def _to_uint(leaf: bytes32) -> uint256:
    """
    @notice The integer in a leaf of 64 bits or fewer
    """
    number: uint256 = self._to_uint256(leaf)
    assert number < 2**64, "SSZ-1"
    return number


@internal
@pure
def _from_address(account: address) -> bytes32:
    return convert(convert(account, uint256) << 96, bytes32)


@internal
@pure
def _to_address(leaf: bytes32) -> address:
    word: uint256 = convert(leaf, uint256)
    assert word & (2**96 - 1) == 0, "SSZ-1"
    return convert(word >> 96, address)


@internal
@pure
def _folded(nodes: bytes32[_TREE], width: uint256) -> bytes32:
    level: bytes32[_TREE] = nodes
    left: uint256 = width
    for _: uint256 in range(5):
        if left == 1:
            break
        left //= 2
        for i: uint256 in range(left, bound=_TREE // 2):
            level[i] = self._pair(level[2 * i], level[2 * i + 1])
    return level[0]


@internal
@pure
def _root4(leaves: bytes32[4]) -> bytes32:
    return self._pair(self._pair(leaves[0], leaves[1]), self._pair(leaves[2], leaves[3]))


@internal
@pure
def _root6(leaves: bytes32[6]) -> bytes32:
    nodes: bytes32[_TREE] = empty(bytes32[_TREE])
    for i: uint256 in range(6):
        nodes[i] = leaves[i]
    return self._folded(nodes, 8)


@internal
@pure
def _root10(leaves: bytes32[10]) -> bytes32:
    nodes: bytes32[_TREE] = empty(bytes32[_TREE])
    for i: uint256 in range(10):
        nodes[i] = leaves[i]
    return self._folded(nodes, 16)


@internal
@pure
def _root13(leaves: bytes32[13]) -> bytes32:
    nodes: bytes32[_TREE] = empty(bytes32[_TREE])
    for i: uint256 in range(13):
        nodes[i] = leaves[i]
    return self._folded(nodes, 16)


@internal
@pure
def _root16(leaves: bytes32[16]) -> bytes32:
    nodes: bytes32[_TREE] = empty(bytes32[_TREE])
    for i: uint256 in range(16):
        nodes[i] = leaves[i]
    return self._folded(nodes, 16)


@internal
@pure
def _root23(leaves: bytes32[23]) -> bytes32:
    nodes: bytes32[_TREE] = empty(bytes32[_TREE])
    for i: uint256 in range(23):
        nodes[i] = leaves[i]
    return self._folded(nodes, 32)


@internal
@pure
def _put(line: bytes32[16], count: uint256, leaf: bytes32) -> bytes32[16]:
    """
    @notice Add a leaf to a tree that grows from the left, of which the last full subtree of each height is kept
    """
    kept: bytes32[16] = line
    node: bytes32 = leaf
    height: uint256 = 0
    for _: uint256 in range(16):
        if (count >> height) & 1 == 0:
            break
        node = self._pair(kept[height], node)
        height += 1
    kept[height] = node
    return kept


@internal
@pure
def _list_root(line: bytes32[16], count: uint256, depth: uint256, length: uint256) -> bytes32:
    """
    @notice The root of a list whose leaves were put, fewer than 2^depth, mixed with its length
    """
    node: bytes32 = empty(bytes32)
    zeros: bytes32 = empty(bytes32)
    for height: uint256 in range(depth, bound=16):
        if (count >> height) & 1 == 1:
            node = self._pair(line[height], node)
        else:
            node = self._pair(node, zeros)
        zeros = self._pair(zeros, zeros)
    return self._pair(node, self._from_uint(length))


@internal
@pure
def _members_root(members: DynArray[address, COMMITTEE]) -> bytes32:
    line: bytes32[16] = empty(bytes32[16])
    count: uint256 = 0
    for member: address in members:
        line = self._put(line, count, self._from_address(member))
        count += 1
    return self._list_root(line, count, _MEMBERS_DEPTH, count)


@internal
@pure
def _branch_root(leaf: bytes32, index: uint256, branch: DynArray[bytes32, 32]) -> bytes32:
    """
    @notice The root over a leaf at a generalized index: 1 is the root, and 2i, 2i + 1 are below i
    """
    node: bytes32 = leaf
    place: uint256 = index
    for sibling: bytes32 in branch:
        if place & 1 == 1:
            node = self._pair(sibling, node)
        else:
            node = self._pair(node, sibling)
        place >>= 1
    assert place == 1, "SSZ branch"
    return node


@internal
@pure
def _account_root(account: address, nonce: uint256, balance: uint256) -> bytes32:
    return self._root4(
        [self._from_address(account), self._from_uint(nonce), self._from_uint(balance), empty(bytes32)]
    )


@internal
@pure
def _row_root(
    leaves: DynArray[bytes32, ROW], first: uint256, depth: uint256, branch: DynArray[bytes32, ROW_BRANCH]
) -> bytes32:
    """
    @notice The root of the tree with 2^depth leaves over some of them that stand in a row
    @param first The place of the first
    @param branch What stands beside the row: level by level from below, left before right
    """
    nodes: DynArray[bytes32, ROW] = leaves
    count: uint256 = len(leaves)
    place: uint256 = first
    used: uint256 = 0
    for level: uint256 in range(depth, bound=ROW_BRANCH // 2):
        read: uint256 = place & 1
        written: uint256 = read
        if read == 1:
            nodes[0] = self._pair(branch[used], nodes[0])
            used += 1
        for pair: uint256 in range((count - read) // 2, bound=ROW // 2):
            nodes[written] = self._pair(nodes[read], nodes[read + 1])
            read += 2
            written += 1
        if read < count:
            nodes[written] = self._pair(nodes[read], branch[used])
            used += 1
            written += 1
        count = written
        place >>= 1
    assert count == 1 and place == 0 and used == len(branch), "SSZ branch"
    return nodes[0]
