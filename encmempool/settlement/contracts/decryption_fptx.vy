# pragma version 0.4.3
# pragma evm-version prague
"""
@title Decryption under fptx
@notice Whether a member's share, or a batch key, is the one of a batch: rules FPT-3 to FPT-7
@dev The points of a round's row come from the key's parameters, of which their digest names the hash tree: a batch of m
     shows the first m + 1 of its row, and what stands beside them in the tree.
"""
import bls
import decryption_batch
import ssz

MAX_BATCH: constant(uint256) = decryption_batch.MAX_BATCH
_ONE_TIME_KEY: constant(uint256) = 32
_TERM: constant(uint256) = 160
_LABEL_DST: constant(Bytes[58]) = b"encmempool-fptx-v1-label-BLS12381G1_XMD:SHA-256_SSWU_RO_\x38"
_IDENTITY_DST: constant(Bytes[28]) = b"encmempool-fptx-v1-identity\x1b"


# The row that a round reads, and how the parameters with this digest hold it: `batch` and `rounds` are B and Q.
struct Row:
    parameters: bytes32
    batch: uint32
    rounds: uint32
    round: uint64
    branch: DynArray[bytes32, ssz.ROW_BRANCH]


@external
@view
def verify_share(
    key_id: bytes32,
    row: Row,
    verification_key: Bytes[96],
    verification_key_y: Bytes[96],
    share: Bytes[48],
    y: Bytes[48],
    malformed: bool,
    entries: Bytes[_ONE_TIME_KEY * MAX_BATCH],
    terms: Bytes[_TERM * (MAX_BATCH + 1)],
) -> bool:
    """
    @notice Whether a share is its member's. The caller has authenticated the keys, the digest, the round, the share and
            the entries.
    @param key_id The key's name
    @param row The batch's round, the digest of the key's parameters, their sizes, and what stands beside the points of
           the row in the tree over the parameters
    @param verification_key The member's
    @param verification_key_y Its y, imaginary part first
    @param share What the member signed
    @param y Of the share, or what shows that it is no point
    @param malformed Whether it shall be shown to be no point
    @param entries The one-time key of each ciphertext
    @param terms For the precompile of sums: the points of the row with the coefficients of the batch's polynomial
    """
    return self._is_product(key_id, row, verification_key, verification_key_y, share, y, malformed, entries, terms)


@external
@view
def verify_batch_key(
    key_id: bytes32,
    row: Row,
    encryption_key: Bytes[96],
    encryption_key_y: Bytes[96],
    batch_key: Bytes[56],
    y: Bytes[48],
    malformed: bool,
    entries: Bytes[_ONE_TIME_KEY * MAX_BATCH],
    terms: Bytes[_TERM * (MAX_BATCH + 1)],
) -> bool:
    """
    @notice Whether a batch key is the batch's. The other arguments are as in `verify_share`.
    @param encryption_key The key's
    @param encryption_key_y Its y, imaginary part first
    @param batch_key As a reveal holds it
    """
    return self._is_product(
        key_id, row, encryption_key, encryption_key_y, bls._framed(batch_key), y, malformed, entries, terms
    )


@external
@view
def transaction_ids(
    entries: Bytes[_ONE_TIME_KEY * MAX_BATCH], openings: Bytes[decryption_batch.WITNESS]
) -> DynArray[bytes32, MAX_BATCH]:
    """
    @notice The ids of the transactions whose ciphertexts hold these one-time keys, which are their tenth chunks
    @param entries As in `verify_share`
    @param openings For each entry the root of its header (32 bytes), the length of its ciphertext (4) and the nodes
           beside its way to the root; in the end 384 zeros
    """
    ids: DynArray[bytes32, MAX_BATCH] = []
    zeros: bytes32[decryption_batch.DEPTH] = decryption_batch._zeros()
    at: uint256 = 0
    for i: uint256 in range(len(entries) // _ONE_TIME_KEY, bound=MAX_BATCH):
        length: uint256 = convert(extract32(openings, at + 32), uint256) >> 224
        node: bytes32 = extract32(entries, _ONE_TIME_KEY * i)
        used: uint256 = 0
        node, used = decryption_batch._opened(node, 9, 0, length, slice(openings, at + 36, 384), zeros)
        ids.append(decryption_batch._id(extract32(openings, at), node, length))
        at += 36 + 32 * used
    return ids


@external
@pure
def share_root(share: Bytes[48]) -> bytes32:
    """
    @notice The root of a share's bytes, which is a leaf of the `DecryptionShare` that the member signed
    @param share The bytes
    """
    return decryption_batch._share_root(share)


@external
@pure
def key_root(key: Bytes[96]) -> bytes32:
    """
    @notice The root of a key's bytes, which is a leaf of the `KeySet`: the encryption key, or one of its list
    @param key The bytes
    """
    return decryption_batch._key_root(key)


@internal
@view
def _is_product(
    key_id: bytes32,
    row: Row,
    key: Bytes[96],
    key_y: Bytes[96],
    point: Bytes[48],
    y: Bytes[48],
    malformed: bool,
    entries: Bytes[_ONE_TIME_KEY * MAX_BATCH],
    terms: Bytes[_TERM * (MAX_BATCH + 1)],
) -> bool:
    count: uint256 = len(entries) // _ONE_TIME_KEY
    assert 0 < count and count <= convert(row.batch, uint256) and len(entries) == _ONE_TIME_KEY * count, "FPT-3"
    assert 0 < row.round and row.round <= convert(row.rounds, uint64), "FPT-4"
    if len(point) != 48:
        return False
    if malformed:
        assert bls._is_none(point, y), "a point"
        return False

    self._check_terms(key_id, row, entries, terms)
    digest: bls.G1 = bls._decoded(raw_call(bls.G1_MSM, terms, max_outsize=128, is_static_call=True))
    label: bls.G1 = bls._hash_to_g1(concat(x"0000000000000001", x"0000000000000020", key_id), _LABEL_DST)
    signed: bls.G1 = bls._add(digest, label)
    return bls._is_product(bls._read(point, y), signed, bls._g2(key, key_y))


@internal
@pure
def _check_terms(
    key_id: bytes32,
    row: Row,
    entries: Bytes[_ONE_TIME_KEY * MAX_BATCH],
    terms: Bytes[_TERM * (MAX_BATCH + 1)],
):
    """
    @notice Check that the terms hold the row's points and the coefficients of the polynomial whose roots are the
            identities
    @dev Both sides are compared where a hash of both says: another polynomial passes with probability 2^-245.
    """
    count: uint256 = len(entries) // _ONE_TIME_KEY
    assert len(terms) == _TERM * (count + 1), "terms"
    x: uint256 = convert(sha256(concat(key_id, sha256(entries), sha256(terms))), uint256) % bls.ORDER
    value: uint256 = 0
    power: uint256 = 1
    leaves: DynArray[bytes32, ssz.ROW] = []
    for i: uint256 in range(count + 1, bound=MAX_BATCH + 1):
        term: bls.Term = abi_decode(slice(terms, _TERM * i, _TERM), bls.Term)
        value = uint256_addmod(value, uint256_mulmod(power, term.scalar, bls.ORDER), bls.ORDER)
        power = uint256_mulmod(power, x, bls.ORDER)
        leaves.append(bls._piece_of(term.point))
    product: uint256 = 1
    for i: uint256 in range(count, bound=MAX_BATCH):
        root: uint256 = self._identity(key_id, extract32(entries, _ONE_TIME_KEY * i))
        product = uint256_mulmod(product, x + bls.ORDER - root, bls.ORDER)
    assert value == product, "coefficients"

    # Two pieces are those of [tau]_2, then comes row 0.
    size: uint256 = convert(row.batch, uint256) + 1
    decryption_batch._check_parameters(
        row.parameters,
        concat(convert(row.batch, bytes4), convert(row.rounds, bytes4)),
        2 + size * (convert(row.rounds, uint256) + 1),
        leaves,
        2 + size * convert(row.round, uint256),
        row.branch,
    )


@internal
@pure
def _identity(key_id: bytes32, one_time_key: bytes32) -> uint256:
    zeros: bytes32 = empty(bytes32)
    first: bytes32 = sha256(
        concat(
            zeros,
            zeros,
            x"0000000000000002",
            x"0000000000000020",
            key_id,
            x"0000000000000020",
            one_time_key,
            x"003000",
            _IDENTITY_DST,
        )
    )
    blocks: bytes32[4] = bls._expanded(first, _IDENTITY_DST)
    return bls._scalar(blocks[0], blocks[1])
