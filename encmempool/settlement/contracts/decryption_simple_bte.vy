# pragma version 0.4.3
# pragma evm-version prague
"""
@title Decryption under simple-bte
@notice Whether a member's share, or a batch key, is the one of a batch: rules SBT-3 to SBT-6
@dev The points of a key come from its parameters, of which its digest names the hash tree: a batch of m shows m of them
     in a row and what stands beside it in the tree.
"""
import bls
import decryption_batch
import ssz

MAX_BATCH: constant(uint256) = 256
_CT: constant(uint256) = 48
_PAIR: constant(uint256) = 384


@external
@view
def verify_share(
    parameters: bytes32,
    batch: uint32,
    members: uint16,
    member: uint16,
    share: Bytes[48],
    malformed: bool,
    entries: Bytes[_CT * MAX_BATCH],
    pairs: Bytes[_PAIR * (MAX_BATCH + 1)],
    branch: DynArray[bytes32, ssz.ROW_BRANCH],
) -> bool:
    """
    @notice Whether a share is its member's. The caller has authenticated the digest, the member, the share and the
            entries.
    @param parameters The digest of the key's parameters
    @param batch B, the largest batch that they allow
    @param members n, how many members they have keys for
    @param member Who signed the share
    @param share What the member signed
    @param malformed Whether it shall be shown to be no point
    @param entries The first 48 bytes of each ciphertext
    @param pairs For the pairing precompile: the share and the negative of the generator, then each entry with its key.
           If the share is no point, 128 bytes whose second half shows that.
    @param branch What stands beside the keys in the tree over the parameters
    """
    assert 0 < member and member <= members, "member"
    place: uint256 = 2 * convert(batch, uint256) - 1 + (convert(member, uint256) - 1) * convert(batch, uint256)
    return self._is_combination(parameters, batch, members, place, share, malformed, entries, pairs, branch)


@external
@view
def verify_batch_key(
    parameters: bytes32,
    batch: uint32,
    members: uint16,
    batch_key: Bytes[56],
    malformed: bool,
    entries: Bytes[_CT * MAX_BATCH],
    pairs: Bytes[_PAIR * (MAX_BATCH + 1)],
    branch: DynArray[bytes32, ssz.ROW_BRANCH],
) -> bool:
    """
    @notice Whether a batch key is the batch's. The other arguments are as in `verify_share`.
    @param batch_key As a reveal holds it
    @param branch What stands beside the powers h_1 to h_m
    """
    return self._is_combination(
        parameters, batch, members, 0, bls._framed(batch_key), malformed, entries, pairs, branch
    )


@external
@view
def transaction_ids(
    entries: Bytes[_CT * MAX_BATCH], openings: Bytes[decryption_batch.WITNESS]
) -> DynArray[bytes32, MAX_BATCH]:
    """
    @notice The ids of the transactions whose ciphertexts begin with these entries
    @param entries As in `verify_share`
    @param openings For each entry the root of its header (32 bytes), the length of its ciphertext (4), the 16 bytes
           after the entry, and the nodes beside its way to the root; in the end 384 zeros
    """
    ids: DynArray[bytes32, MAX_BATCH] = []
    zeros: bytes32[decryption_batch.DEPTH] = decryption_batch._zeros()
    at: uint256 = 0
    for i: uint256 in range(len(entries) // _CT, bound=MAX_BATCH):
        length: uint256 = convert(extract32(openings, at + 32), uint256) >> 224
        node: bytes32 = sha256(concat(slice(entries, _CT * i, 48), slice(openings, at + 36, 16)))
        used: uint256 = 0
        node, used = decryption_batch._opened(node, 0, 1, length, slice(openings, at + 52, 384), zeros)
        ids.append(decryption_batch._id(extract32(openings, at), node, length))
        at += 52 + 32 * used
    return ids


@external
@pure
def share_root(share: Bytes[48]) -> bytes32:
    """
    @notice The root of a share's bytes, which is a leaf of the `DecryptionShare` that the member signed
    @param share The bytes
    """
    return decryption_batch._share_root(share)


@internal
@view
def _is_combination(
    parameters: bytes32,
    batch: uint32,
    members: uint16,
    place: uint256,
    point: Bytes[48],
    malformed: bool,
    entries: Bytes[_CT * MAX_BATCH],
    pairs: Bytes[_PAIR * (MAX_BATCH + 1)],
    branch: DynArray[bytes32, ssz.ROW_BRANCH],
) -> bool:
    """
    @param place Of the first key among the parameters' points of G2
    """
    count: uint256 = len(entries) // _CT
    assert 0 < count and count <= convert(batch, uint256) and len(entries) == _CT * count, "SBT-3"
    if len(point) != 48:
        return False
    if malformed:
        root: bls.G1 = abi_decode(slice(pairs, 0, 128), bls.G1)
        assert bls._is_no_point(bls._high(point, 0), bls._low(point, 0), root.y_hi, root.y_lo), "a point"
        return False

    assert len(pairs) == _PAIR * (count + 1), "pairs"
    sent: bls.Pair = abi_decode(slice(pairs, 0, _PAIR), bls.Pair)
    bls._require(sent.g1, bls._high(point, 0), bls._low(point, 0))
    assert slice(pairs, 128, 256) == abi_encode(bls._negative_generator()), "pairs"
    leaves: DynArray[bytes32, ssz.ROW] = []
    for i: uint256 in range(count, bound=MAX_BATCH):
        pair: bls.Pair = abi_decode(slice(pairs, _PAIR * (i + 1), _PAIR), bls.Pair)
        hi: uint256 = convert(extract32(entries, _CT * i), uint256) >> 128
        bls._require(pair.g1, hi, convert(extract32(entries, _CT * i + 16), uint256))
        left: bytes32 = empty(bytes32)
        right: bytes32 = empty(bytes32)
        left, right = bls._pieces_of(pair.g2)
        leaves.append(left)
        leaves.append(right)

    # One piece for T1 and for T2, which a key for batches of one lacks; two for each point of G2.
    before: uint256 = 2 if batch > 1 else 1
    points: uint256 = (convert(members, uint256) + 2) * convert(batch, uint256) - 1
    decryption_batch._check_parameters(
        parameters,
        slice(convert(batch, bytes32), 28, 4),
        before + 2 * points,
        leaves,
        before + 2 * place,
        branch,
    )
    return bls._is_one(raw_call(bls.PAIRING_CHECK, pairs, max_outsize=32, is_static_call=True))
