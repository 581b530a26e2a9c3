# pragma version 0.4.3
# pragma evm-version prague
"""
@title Signatures of protocol objects
"""

struct Signature:
    r: uint256
    s: uint256
    v: uint256

RECEIPT: constant(bytes4) = 0x52435054
ORDER_COMMITMENT: constant(bytes4) = 0x4F524452
VOTE: constant(bytes4) = 0x564F5445
DECRYPTION_SHARE: constant(bytes4) = 0x53484152
ABSTAIN: constant(bytes4) = 0x41425354
KEY_SET: constant(bytes4) = 0x4B455953

# (N - 1) / 2, N being the order of secp256k1.
_HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168


@internal
@pure
def _digest(root: bytes32, tag: bytes4, genesis_root: bytes32) -> bytes32:
    return sha256(concat(root, tag, slice(genesis_root, 0, 28)))


@internal
@pure
def _recover(digest: bytes32, signature: Signature) -> address:
    """
    @notice Who signed. SIG-1: one form only for each signature
    """
    assert signature.v == 27 or signature.v == 28, "SIG-1"
    assert signature.s <= _HALF_ORDER, "SIG-1"
    signer: address = ecrecover(digest, signature.v, signature.r, signature.s)
    assert signer != empty(address), "SIG-1"
    return signer
