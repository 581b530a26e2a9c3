# pragma version 0.4.3
# pragma evm-version prague
"""
@title What ties shares, keys and entries to signed objects
@notice Roots of the bytes that a `DecryptionShare` and a `KeySet` hold; and from parts of ciphertexts the ids of their
        transactions, which a commitment's batch root is over
@dev A ciphertext is a list of at most `MAX_CIPHERTEXT` bytes, and a tree of 2^12 chunks over it
"""
import ssz

MAX_BATCH: constant(uint256) = 512
MAX_CIPHERTEXT: constant(uint256) = 66560
DEPTH: constant(uint256) = 12
# What one call reads; the longest ciphertext fits.
WITNESS: constant(uint256) = 68 * 1024

MAX_SHARE: constant(uint256) = 2**15
_SHARE_DEPTH: constant(uint256) = 15
_KEY_DEPTH: constant(uint256) = 5


@internal
@pure
def _share_root(share: Bytes[MAX_SHARE]) -> bytes32:
    """
    @notice The root of a share's bytes: a leaf of the `DecryptionShare`
    """
    return self._bytes_root(share, _SHARE_DEPTH)


@internal
@pure
def _key_root(key: Bytes[96]) -> bytes32:
    """
    @notice The root of a key's bytes: a leaf of the `KeySet`, or of its list of verification keys
    """
    return self._bytes_root(key, _KEY_DEPTH)


@internal
@pure
def _bytes_root(data: Bytes[MAX_SHARE], depth: uint256) -> bytes32:
    padded: Bytes[MAX_SHARE + 32] = concat(data, empty(bytes32))
    line: bytes32[16] = empty(bytes32[16])
    chunks: uint256 = (len(data) + 31) // 32
    for k: uint256 in range(chunks, bound=MAX_SHARE // 32):
        line = ssz._put(line, k, extract32(padded, 32 * k))
    return ssz._list_root(line, chunks, depth, len(data))


@internal
@pure
def _zeros() -> bytes32[DEPTH]:
    """
    @notice The roots of trees of zeros, by height
    """
    roots: bytes32[DEPTH] = empty(bytes32[DEPTH])
    for height: uint256 in range(1, DEPTH):
        roots[height] = ssz._pair(roots[height - 1], roots[height - 1])
    return roots


@internal
@pure
def _id(header_root: bytes32, tree: bytes32, length: uint256) -> bytes32:
    """
    @notice The id of the transaction with this header and ciphertext
    """
    return ssz._pair(header_root, ssz._pair(tree, ssz._from_uint(length)))


@internal
@pure
def _opened(
    node: bytes32, index: uint256, height: uint256, length: uint256, siblings: Bytes[384], zeros: bytes32[DEPTH]
) -> (bytes32, uint256):
    """
    @notice The tree over a ciphertext's chunks, from one node and its siblings
    @param node The node
    @param index Its place among those of its height
    @param height Above the chunks
    @param length Of the ciphertext in bytes, which says where the tree holds nothing but zeros
    @param siblings Those that are not trees of zeros, from below
    @return The root, and how many siblings were used
    """
    assert 0 < length and length <= MAX_CIPHERTEXT, "length"
    root: bytes32 = node
    place: uint256 = index
    last: uint256 = ((length - 1) // 32) >> height
    used: uint256 = 0
    for h: uint256 in range(height, DEPTH, bound=DEPTH):
        sibling: bytes32 = zeros[h]
        if place ^ 1 <= last:
            sibling = extract32(siblings, 32 * used)
            used += 1
        if place & 1 == 1:
            root = ssz._pair(sibling, root)
        else:
            root = ssz._pair(root, sibling)
        place >>= 1
        last >>= 1
    return root, used


@internal
@pure
def _check_parameters(
    digest: bytes32,
    head: Bytes[8],
    count: uint256,
    leaves: DynArray[bytes32, ssz.ROW],
    first: uint256,
    branch: DynArray[bytes32, ssz.ROW_BRANCH],
):
    """
    @notice Check that a key's parameters have these pieces: TDH-8
    @param digest The parameters'
    @param head What stands before the pieces
    @param count Of all pieces
    @param leaves The hashes of those shown
    @param first The place of the first
    @param branch What stands beside them in the tree
    """
    depth: uint256 = 0
    for _: uint256 in range(32):
        if 1 << depth >= count:
            break
        depth += 1
    root: bytes32 = ssz._row_root(leaves, first, depth, branch)
    named: bytes32 = sha256(
        concat(
            x"0000000000000005",
            x"0000000000000014",
            b"encmempool-key-v1-id",
            x"000000000000000a",
            b"parameters",
            convert(convert(len(head), uint64), bytes8),
            head,
            x"0000000000000008",
            convert(convert(count, uint64), bytes8),
            x"0000000000000020",
            root,
        )
    )
    assert named == digest, "parameters"
