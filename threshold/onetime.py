"""Ed25519 for one-time keys, where every verifier gives the same answer to every signature. Imports pycryptodome.

RFC 8032 leaves a verifier some freedom, libraries differ in how they use it, and some do not keep to the rest. Where
a signature decides what a committee opens, all have to agree. Chosen here, for the public key A and the signature's
R and S:

* The equation. Section 5.1.7 demands [8][S]B = [8]R + [8][k]A and lets a verifier check [S]B = R + [k]A instead. Here
  it is the latter, without the cofactor.
* Small orders. The RFC accepts every point. Here A and R of an order that divides 8 are refused: under such a key one
  signature holds for many messages.
* Encodings. As in the RFC, y >= p, x = 0 with the sign bit, and S >= L are refused.

A and R outside the prime-order subgroup are otherwise accepted: to refuse them changes nothing for who signs honestly.
A verifier that multiplies by the cofactor cannot be used as it is. pycryptodome's is one, and takes S = L besides, so
only its arithmetic and its signer are used here.
"""

from __future__ import annotations

from hashlib import sha512

from Crypto.PublicKey.ECC import EccPoint
from Crypto.Signature import eddsa

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

_FIELD = 2**255 - 19
"""p."""

_L = 2**252 + 27742317777372353535851937790883648493
"""L, the order of the base point."""

_SIGN = 1 << 255
"""The bit of an encoded point that holds the parity of x; the bits below it are y."""

_BASE = eddsa.import_public_key(b"\x58" + b"\x66" * 31).pointQ

_Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y = frozenset({0, 1, _FIELD - 1, _Y_OF_ORDER_8, _FIELD - _Y_OF_ORDER_8})
"""y of the eight points whose order divides 8, among them the two with x = 0."""


def public_key(seed: bytes) -> bytes:
    """The 32 bytes of A for a secret seed of 32 random bytes."""
    return eddsa.import_private_key(seed).public_key().export_key(format="raw")


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64 bytes of R and S, deterministic."""
    return eddsa.new(eddsa.import_private_key(seed), "rfc8032").sign(message)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is valid by the rules above; bytes that are no key or no signature are not.

    One square root and two multiplications: about a millisecond.
    """
    if len(public) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    commitment, response = signature[:32], int.from_bytes(signature[32:], "little")
    if _has_small_order(public) or _has_small_order(commitment) or response >= _L:
        return False
    opposite = int.from_bytes(public, "little") ^ _SIGN
    try:
        # Refuses y >= p.
        negated_key = eddsa.import_public_key(opposite.to_bytes(PUBLIC_KEY_BYTES, "little")).pointQ
    except ValueError:
        return False
    k = int.from_bytes(sha512(commitment + public + message).digest(), "little") % _L
    # Comparing encodings shows besides that R is on the curve and canonical.
    return _encode(_BASE * response + negated_key * k) == commitment


def _has_small_order(encoded: bytes) -> bool:
    """Whether y is that of such a point, whatever the sign: so x = 0 is refused with and without the sign bit."""
    return int.from_bytes(encoded, "little") & (_SIGN - 1) in _SMALL_ORDER_Y


def _encode(point: EccPoint) -> bytes:
    x, y = map(int, point.xy)
    return (y | (x & 1) << 255).to_bytes(32, "little")
