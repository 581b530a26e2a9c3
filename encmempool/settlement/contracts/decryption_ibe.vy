# pragma version 0.4.3
# pragma evm-version prague
"""
@title Decryption under ibe
@notice Whether a member's share, or a batch key, is the one of a height: rules IBE-3 to IBE-6
@dev Both depend on the key and the height alone. What a batch lists is not looked at, nor IBE-2.
"""
import bls
import decryption_batch

_IDENTITY_DST: constant(Bytes[60]) = b"encmempool-ibe-v1-identity-BLS12381G1_XMD:SHA-256_SSWU_RO_\x3a"


@external
@view
def verify_share(
    key_id: bytes32,
    height: uint64,
    count: uint32,
    verification_key: Bytes[96],
    verification_key_y: Bytes[96],
    share: Bytes[48],
    y: Bytes[48],
    malformed: bool,
) -> bool:
    """
    @notice Whether a share is its member's. The caller has authenticated all but what is called `y` and `malformed`.
    @param key_id The key's name
    @param height The batch's height
    @param count The batch's entries
    @param verification_key The member's
    @param verification_key_y Its y, imaginary part first
    @param share What the member signed
    @param y Of the share, or what shows that it is no point
    @param malformed Whether it shall be shown to be no point
    """
    assert count > 0, "IBE-3"
    return self._is_product(key_id, height, verification_key, verification_key_y, share, y, malformed)


@external
@view
def verify_batch_key(
    key_id: bytes32,
    height: uint64,
    count: uint32,
    encryption_key: Bytes[96],
    encryption_key_y: Bytes[96],
    batch_key: Bytes[56],
    y: Bytes[48],
    malformed: bool,
) -> bool:
    """
    @notice Whether a batch key is the height's. The other arguments are as in `verify_share`.
    @param encryption_key The key's
    @param batch_key As a reveal holds it
    """
    assert count > 0, "IBE-3"
    return self._is_product(
        key_id, height, encryption_key, encryption_key_y, bls._framed(batch_key), y, malformed
    )


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
    key_id: bytes32, height: uint64, key: Bytes[96], key_y: Bytes[96], point: Bytes[48], y: Bytes[48], malformed: bool
) -> bool:
    if len(point) != 48:
        return False
    if malformed:
        assert bls._is_none(point, y), "a point"
        return False
    identity: bls.G1 = bls._hash_to_g1(
        concat(
            x"0000000000000002",
            x"0000000000000020",
            key_id,
            x"0000000000000008",
            convert(height, bytes8),
        ),
        _IDENTITY_DST,
    )
    return bls._is_product(bls._read(point, y), identity, bls._g2(key, key_y))
