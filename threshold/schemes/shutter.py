"""Shutter's encryption, byte for byte: shlib's message version 3, as used on Gnosis Chain and by the Shutter API.

Boneh-Franklin identity-based encryption with the Fujisaki-Okamoto transform. A committee of keypers holds the secret
behind one *eon key*; each transaction has an identity of its own, and t keypers' key shares combine to the one key that
opens what was encrypted to that identity, whatever its number of ciphertexts. Any two of Shutter's programs and this
file can be at the two ends:

    preimage = gnosis_preimage(prefix, sender)
    data = encrypt(backend, eon_key, preimage, message, sigma)         the client, sigma = 32 fresh random bytes
    share = key_share(backend, secret, preimage)                       each keyper
    verify_key_share(backend, public_share, preimage, keyper, share)
    key = combine(backend, [(keyper, share), …], threshold=t)
    message = decrypt(backend, key, data)

Groups: identities, key shares and keys are points of G1; the eon key, its public shares, the dealers' gammas and C1 of
G2. Keypers count from 0, and keyper i stands at x = i + 1. With Keccak-256 (Ethereum's, not SHA3-256) written K:

    H1(x) = hash to G1 of 01 ‖ x       H2(gt) = K(02 ‖ gt in blst's order)
    H3(x) = K(03 ‖ x) mod r            H4(x) = K(04 ‖ x)

Message, 130 to 161 bytes more than the plaintext: 03 | C1 (96) | C2 (32) | C3, blocks of 32. C1 = r·g2 for
r = H3(sigma ‖ message); C2 = sigma xor H2(e(H1(preimage), eon key)^r); C3 = padded message xor H4(sigma ‖ i), with i
from 0, big-endian, in as few bytes as it needs but at least one.

Requirements:
SHU-1  a message is the byte 03, C1, C2 and whole blocks, nothing else
SHU-2  every point is canonical, in the subgroup and not the identity
SHU-3  the blocks end in a count of 1 to 32 padding bytes, and C1 is H3(sigma ‖ message) times the generator
SHU-4  there is at least one block, and every padding byte is the count
SHU-5  a key K has e(K, g2) = e(H1(preimage), eon key)
SHU-6  a key share has the same for its keyper's share of the eon key
SHU-7  a key comes from exactly t shares of distinct keypers
SHU-8  t dealers or more have gammas of t points each, and neither the eon key nor a public share is the identity
SHU-9  a scalar is big-endian below r, without leading zeros: at most 32 bytes, none for zero

Stricter than the original, on purpose. shlib takes undecodable points for the identity (SHU-2), skips SHU-4, so that a
third party can change a message's bytes and it still opens, and combines repeated shares (SHU-7); the TypeScript SDK
leaves out the check of C1 (SHU-3). `decrypt(lax_padding=True)` gives up SHU-4 alone, to read what others' programs
accept. With it a message's bytes, or a hash of them, identify nothing.

Not bound to a message: who sent it, and any associated data. Nothing tells a well-formed message from another before
its key is there. Source: github.com/shutter-network/rolling-shutter at cf2e9611, shlib 0.1.19, and its test vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from eth_hash.auto import keccak

from threshold.curve import G1, G2, G2_BYTES, GT, ORDER, Backend, FixedBase, Group
from threshold.curve.backend import Point
from threshold.errors import Malformed, Rejected, ShareRejected
from threshold.sharing import committed_share, recover_points

VERSION = 3
BLOCK_BYTES = 32
HEADER_BYTES = 1 + G2_BYTES + BLOCK_BYTES
PREFIX_BYTES = 32
SENDER_BYTES = 20
_DST = b"SHUTTER_V01_BLS12381G1_XMD:SHA-256_SSWU_RO_"


@dataclass(frozen=True, slots=True, kw_only=True)
class EonPublicKey:
    """The key clients encrypt to, and what keyper i's key shares are checked with, at index i: 96 bytes each."""

    key: bytes
    shares: tuple[bytes, ...]


# --- identities ------------------------------------------------------------------------------------------------------


def gnosis_preimage(prefix: bytes, sender: bytes) -> bytes:
    """The identity of a transaction on Gnosis Chain: 52 bytes. `prefix` is the sender's choice, 32 bytes."""
    if len(prefix) != PREFIX_BYTES or len(sender) != SENDER_BYTES:
        raise ValueError(f"an identity needs a prefix of {PREFIX_BYTES} bytes and a sender of {SENDER_BYTES}")
    return prefix + sender


def service_preimage(prefix: bytes, sender: bytes, trigger: bytes = b"") -> bytes:
    """The identity at the Shutter API: 32 bytes. Without the definition of an event trigger, that of a time trigger."""
    return keccak(gnosis_preimage(prefix, sender) + trigger)


def identity(backend: Backend, preimage: bytes) -> G1:
    """H1, of any number of bytes."""
    return backend.g1.hash_to_curve(b"\x01" + preimage, _DST)


# --- messages --------------------------------------------------------------------------------------------------------


def encrypt(backend: Backend, eon_key: bytes, preimage: bytes, message: bytes, sigma: bytes) -> bytes:
    """Encrypt to an identity. One pairing, one multiplication in each group.

    sigma    32 uniformly random bytes, secret and used once: it alone makes the keys of the blocks

    Raises Malformed for an eon key that is none (SHU-2).
    """
    if len(sigma) != BLOCK_BYTES:
        raise ValueError(f"sigma has {BLOCK_BYTES} bytes, not {len(sigma)}")
    key = _eon_key(backend, eon_key)
    r = _h3(sigma + message)
    c1 = backend.g2.encode(_times_generator(backend)(r))
    shared = backend.pairing(backend.g1.multiply(identity(backend, preimage), r), key)
    return bytes([VERSION]) + c1 + _xor(sigma, _h2(backend, shared)) + _mask(sigma, _pad(message))


def decrypt(backend: Backend, key: bytes, message_bytes: bytes, *, lax_padding: bool = False) -> bytes:
    """Open a message with its identity's key. One pairing and one multiplication in G2.

    What it returns was encrypted by someone who knew it, to the identity of this key, and no other bytes open to it
    with the same sigma. With lax_padding the latter is given up: SHU-4 is not checked, all else is.

    Raises Malformed (SHU-1, SHU-2) or Rejected: SHU-3 wrong key or changed message, SHU-4 padding.
    """
    _check_form(message_bytes)
    c1_bytes = message_bytes[1 : 1 + G2_BYTES]
    c1 = _decode(backend.g2, c1_bytes, "C1 of the message")
    shared = backend.pairing(_decode(backend.g1, key, "the key"), c1)
    sigma = _xor(message_bytes[1 + G2_BYTES : HEADER_BYTES], _h2(backend, shared))
    blocks = _mask(sigma, message_bytes[HEADER_BYTES:])
    message = _unpad(blocks)
    # One error for both: nobody learns from it whether the padding alone was right.
    if message is None or c1_bytes != backend.g2.encode(_times_generator(backend)(_h3(sigma + message))):
        raise Rejected("SHU-3", "the message does not open: the key is of another identity, or one of them was changed")
    if not lax_padding and blocks != _pad(message):
        raise Rejected("SHU-4", "the message opens, but its padding is not the one that encryption makes")
    return message


def _check_form(message_bytes: bytes) -> None:
    if message_bytes and message_bytes[0] != VERSION:
        raise Malformed(f"a Shutter message of version {message_bytes[0]}: only version {VERSION} is read")
    if len(message_bytes) < HEADER_BYTES or (len(message_bytes) - HEADER_BYTES) % BLOCK_BYTES:
        raise Malformed(
            f"a Shutter message has {HEADER_BYTES} bytes and blocks of {BLOCK_BYTES}, not {len(message_bytes)} bytes"
        )


def _pad(message: bytes) -> bytes:
    count = BLOCK_BYTES - len(message) % BLOCK_BYTES
    return message + bytes([count]) * count


def _unpad(blocks: bytes) -> bytes | None:
    """As the original: by the last byte alone, and no block is an empty message. None for an impossible count."""
    if not blocks:
        return b""
    count = blocks[-1]
    return blocks[:-count] if 1 <= count <= BLOCK_BYTES else None


def _mask(sigma: bytes, blocks: bytes) -> bytes:
    """C3 from the padded message, and back."""
    keys = [_h4(sigma + _counter(i)) for i in range(len(blocks) // BLOCK_BYTES)]
    return _xor(blocks, b"".join(keys))


def _counter(i: int) -> bytes:
    return i.to_bytes(max(1, (i.bit_length() + 7) // 8), "big")


def _xor(a: bytes, b: bytes) -> bytes:
    if len(a) != len(b):
        raise ValueError(f"{len(a)} bytes cannot be masked with {len(b)}")
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


def _h2(backend: Backend, shared: GT) -> bytes:
    return keccak(b"\x02" + backend.gt_encode(shared))


def _h3(data: bytes) -> int:
    return int.from_bytes(keccak(b"\x03" + data), "big") % ORDER


def _h4(data: bytes) -> bytes:
    return keccak(b"\x04" + data)


# --- keys ------------------------------------------------------------------------------------------------------------


def verify_key(backend: Backend, eon_key: bytes, preimage: bytes, key: bytes) -> None:
    """Check an identity's key. Two Miller loops.

    Raises Malformed (SHU-2) or Rejected: SHU-5.
    """
    public = _eon_key(backend, eon_key)
    if not _is_multiple(backend, public, preimage, _decode(backend.g1, key, "the key")):
        raise Rejected("SHU-5", "this is not the key of this identity under this eon key")


def key_share(backend: Backend, secret: int, preimage: bytes) -> bytes:
    """A keyper's share of an identity's key: 48 bytes.

    secret    the keyper's share of the eon secret: the sum of what the dealers sent it, mod r
    """
    if not 0 < secret < ORDER:
        raise ValueError("a keyper's secret lies between 0 and the group order")
    return backend.g1.encode(backend.g1.multiply(identity(backend, preimage), secret))


def verify_key_share(backend: Backend, public_share: bytes, preimage: bytes, keyper: int, share: bytes) -> None:
    """Check one keyper's share of an identity's key. Two Miller loops.

    Raises Malformed for a public share that is none, or ShareRejected for member keyper + 1: SHU-2, SHU-6.
    """
    public = _decode(backend.g2, public_share, "the public share")
    try:
        point = _decode(backend.g1, share, f"keyper {keyper}'s key share")
    except Malformed as error:
        raise ShareRejected("SHU-2", str(error), member=keyper + 1) from error
    if not _is_multiple(backend, public, preimage, point):
        raise ShareRejected("SHU-6", f"keyper {keyper}'s key share is not of this identity", member=keyper + 1)


def combine(backend: Backend, shares: Sequence[tuple[int, bytes]], *, threshold: int) -> bytes:
    """An identity's key from (keyper, share) pairs in any order: 48 bytes.

    Says nothing about the shares: check each with verify_key_share, or the result with verify_key.

    Raises Malformed (SHU-2) or Rejected: SHU-7.
    """
    keypers = [keyper for keyper, _ in shares]
    if len(keypers) != threshold or len(set(keypers)) != threshold:
        raise Rejected("SHU-7", f"a key needs exactly {threshold} shares of distinct keypers, not those of {keypers}")
    points = {keyper + 1: (_decode(backend.g1, share, f"keyper {keyper}'s key share"),) for keyper, share in shares}
    (key,) = recover_points(backend.g1, points)
    return backend.g1.encode(key)


def eon_public_key(backend: Backend, gammas: Sequence[bytes], *, keypers: int, threshold: int) -> EonPublicKey:
    """The eon key and its public shares from the commitments of all honest dealers.

    gammas    for each dealer its t points of 96 bytes, concatenated: Feldman's commitment, the constant first

    Raises Malformed (SHU-2) or Rejected: SHU-8.
    """
    if len(gammas) < threshold:
        raise Rejected("SHU-8", f"an eon key needs the gammas of {threshold} dealers, not of {len(gammas)}")
    group = backend.g2
    dealt = []
    for dealer, data in enumerate(gammas):
        if len(data) != threshold * G2_BYTES:
            raise Rejected(
                "SHU-8",
                f"dealer {dealer}'s gammas have {len(data)} bytes, not {threshold * G2_BYTES}",
                member=dealer + 1,
            )
        pieces = [data[at : at + G2_BYTES] for at in range(0, len(data), G2_BYTES)]
        dealt.append([_decode(group, piece, f"dealer {dealer}'s gammas") for piece in pieces])
    total = [group.sum(column) for column in zip(*dealt, strict=True)]
    points = [committed_share(group, total, x) for x in range(keypers + 1)]
    if any(group.equal(point, group.identity) for point in points):
        raise Rejected("SHU-8", "the gammas add up to the identity: some dealer chose its own from the others'")
    key, *shares = map(group.encode, points)
    return EonPublicKey(key=key, shares=tuple(shares))


def encode_scalar(value: int) -> bytes:
    """A polynomial's evaluation or a keyper's secret, in 0..r-1, as the original writes it (SHU-9)."""
    if not 0 <= value < ORDER:
        raise ValueError("a scalar lies in 0..r-1")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode_scalar(data: bytes) -> int:
    """Its inverse. Raises Malformed (SHU-9)."""
    value = int.from_bytes(data, "big")
    if value >= ORDER or data[:1] == b"\0":
        raise Malformed("a scalar is below the group order and has no leading zero")
    return value


def _is_multiple(backend: Backend, public: G2, preimage: bytes, point: G1) -> bool:
    """Whether `point` is H1(preimage) by the scalar that `public` is the generator by."""
    base = backend.g1.negate(identity(backend, preimage))
    return backend.pairing_check((point, base), (backend.g2.generator, public))


def _eon_key(backend: Backend, eon_key: bytes) -> G2:
    return _decoded_eon_key(backend, bytes(eon_key))


@lru_cache(maxsize=64)
def _decoded_eon_key(backend: Backend, eon_key: bytes) -> G2:
    """An epoch's many messages are to one key."""
    return _decode(backend.g2, eon_key, "the eon key")


@lru_cache(maxsize=4)
def _times_generator(backend: Backend) -> FixedBase[G2]:
    return backend.g2.fixed_base(backend.g2.generator)


def _decode(group: Group[Point], data: bytes, what: str) -> Point:
    try:
        return group.decode(data)
    except Malformed as error:
        raise Malformed(f"{what}: {error}") from error
