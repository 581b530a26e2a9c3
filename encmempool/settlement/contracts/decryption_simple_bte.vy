# pragma version 0.4.3
# pragma evm-version prague
"""
@title Decryption under simple-bte
@notice Whether a member's share, or a batch key, is the one of a batch: rules SBT-3 to SBT-6
@dev The points of a key come from its parameters, of which the key's name holds a hash that no transaction could
     compute. The caller knows a chain of hashes instead: link i is the hash of point i and of link i + 1, and after the
     last point comes zero. So a batch of m reads m points, whatever the key allows.
"""
import bls
import decryption_batch

MAX_BATCH: constant(uint256) = 256
_CT: constant(uint256) = 48
_PAIR: constant(uint256) = 384


@external
@view
def verify_share(
    verification_keys: bytes32,
    rest: bytes32,
    share: Bytes[48],
    malformed: bool,
    entries: Bytes[_CT * MAX_BATCH],
    pairs: Bytes[_PAIR * (MAX_BATCH + 1)],
) -> bool:
    """
    @notice Whether a share is its member's. The caller has authenticated the share, the entries and the first link.
    @param verification_keys The first link of the chain over the member's verification keys, for powers 1 to B
    @param rest The link after those of this batch
    @param share What the member signed
    @param malformed Whether it shall be shown to be no point
    @param entries The first 48 bytes of each ciphertext
    @param pairs For the pairing precompile: the share and the negative of the generator, then each entry with its key.
           If the share is no point, 128 bytes whose second half shows that.
    """
    return self._is_combination(verification_keys, rest, share, malformed, entries, pairs)


@external
@view
def verify_batch_key(
    powers: bytes32,
    rest: bytes32,
    batch_key: Bytes[56],
    malformed: bool,
    entries: Bytes[_CT * MAX_BATCH],
    pairs: Bytes[_PAIR * (MAX_BATCH + 1)],
) -> bool:
    """
    @notice Whether a batch key is the batch's. Arguments are as in `verify_share`.
    @param powers The first link of the chain over the powers h_1 to h_B
    @param batch_key As a reveal holds it
    """
    return self._is_combination(powers, rest, bls._framed(batch_key), malformed, entries, pairs)


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
    keys: bytes32,
    rest: bytes32,
    point: Bytes[48],
    malformed: bool,
    entries: Bytes[_CT * MAX_BATCH],
    pairs: Bytes[_PAIR * (MAX_BATCH + 1)],
) -> bool:
    count: uint256 = len(entries) // _CT
    assert 0 < count and len(entries) == _CT * count, "SBT-3"
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
    link: bytes32 = rest
    for back: uint256 in range(count, bound=MAX_BATCH):
        i: uint256 = count - 1 - back
        pair: bls.Pair = abi_decode(slice(pairs, _PAIR * (i + 1), _PAIR), bls.Pair)
        hi: uint256 = convert(extract32(entries, _CT * i), uint256) >> 128
        bls._require(pair.g1, hi, convert(extract32(entries, _CT * i + 16), uint256))
        link = bls._link_g2(pair.g2, link)
    assert link == keys, "keys"
    return bls._is_one(raw_call(bls.PAIRING_CHECK, pairs, max_outsize=32, is_static_call=True))
