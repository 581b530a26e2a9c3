"""Every domain tag of the project, and the hashes made with them.

Hash-to-field and Fiat-Shamir challenges are expand_message_xmd with SHA-256 (RFC 9380, section 5.3.1) over the
injective encoding `enc`; curve hashing with these tags is a call of the curve backend.
"""

from __future__ import annotations

import hashlib
from enum import Enum

from threshold.encoding import enc

CHALLENGE_BYTES = 16
"""Fiat-Shamir challenges have 128 bits: the soundness error is 2^-128 and every proof 16 bytes shorter."""


class Tag(bytes, Enum):
    """Domain separation: `encmempool-<subject>-v1-<purpose>`, unique over the whole project."""

    KEY_ID = b"encmempool-key-v1-id"
    CEREMONY_ID = b"encmempool-key-v1-ceremony"
    CIPHERTEXT_ID = b"encmempool-ciphertext-v1-id"
    BATCH_DIGEST = b"encmempool-batch-v1-digest"
    SELF_TEST = b"encmempool-selftest-v1-randomness"

    DKG_POSSESSION = b"encmempool-dkg-v1-possession"
    DKG_SHARE_KEY = b"encmempool-dkg-v1-share-key"
    DKG_COMPLAINT = b"encmempool-dkg-v1-complaint"
    DKG_MESSAGE = b"encmempool-dkg-v1-message"
    DKG_TRANSCRIPT = b"encmempool-dkg-v1-transcript"

    KEY_POLYNOMIAL = b"encmempool-key-v1-polynomial"

    TDH2_GENERATOR = b"encmempool-tdh2-v1-gbar-BLS12381G1_XMD:SHA-256_SSWU_RO_"
    TDH2_ENCRYPT = b"encmempool-tdh2-v1-encrypt"
    TDH2_SHARE = b"encmempool-tdh2-v1-share"
    TDH2_WEIGHT = b"encmempool-tdh2-v1-weight"
    TDH2_KEM = b"encmempool-tdh2-v1-kem"

    IBE_IDENTITY = b"encmempool-ibe-v1-identity-BLS12381G1_XMD:SHA-256_SSWU_RO_"
    IBE_WEIGHT = b"encmempool-ibe-v1-weight"
    IBE_KEM = b"encmempool-ibe-v1-kem"

    SBTE_POSSESSION = b"encmempool-simple-bte-v1-possession"
    SBTE_WEIGHT = b"encmempool-simple-bte-v1-weight"
    SBTE_KEM = b"encmempool-simple-bte-v1-kem"

    FPTX_LABEL = b"encmempool-fptx-v1-label-BLS12381G1_XMD:SHA-256_SSWU_RO_"
    FPTX_IDENTITY = b"encmempool-fptx-v1-identity"
    FPTX_SIGNATURE = b"encmempool-fptx-v1-signature"
    FPTX_KEM = b"encmempool-fptx-v1-kem"

    POWERS_POSSESSION = b"encmempool-powers-v1-possession"
    POWERS_WEIGHT = b"encmempool-powers-v1-weight"
    POWERS_MESSAGE = b"encmempool-powers-v1-message"

    MPC_POSSESSION = b"encmempool-mpc-v1-possession"
    MPC_SHARE_KEY = b"encmempool-mpc-v1-share-key"
    MPC_MESSAGE = b"encmempool-mpc-v1-message"
    MPC_TRANSCRIPT = b"encmempool-mpc-v1-transcript"
    MPC_RANDOMNESS = b"encmempool-mpc-v1-randomness"

    RESHARE_TRANSCRIPT = b"encmempool-reshare-v1-transcript"

    SHUFFLE_SEED = b"encmempool-order-v1-shuffle"
    SIGNATURE = b"encmempool-signature-v1"


def tagged_hash(tag: Tag, *items: bytes) -> bytes:
    """SHA-256 of enc(tag, items…): 32 bytes."""
    return hashlib.sha256(enc(tag.value, *items)).digest()


def expand_message_xmd(message: bytes, dst: bytes, size: int) -> bytes:
    """RFC 9380, section 5.3.1, with SHA-256. `dst` of 1 to 255 bytes; `size` at most 8160 bytes."""
    if not 0 < len(dst) <= 255 or size > 255 * 32:
        raise ValueError("dst must have 1 to 255 bytes and the output at most 8160")
    dst_prime = dst + bytes([len(dst)])
    first = hashlib.sha256(bytes(64) + message + size.to_bytes(2, "big") + b"\0" + dst_prime).digest()
    block = hashlib.sha256(first + b"\1" + dst_prime).digest()
    output = [block]
    for i in range(2, -(-size // 32) + 1):
        mixed = bytes(a ^ b for a, b in zip(first, block, strict=True))
        block = hashlib.sha256(mixed + bytes([i]) + dst_prime).digest()
        output.append(block)
    return b"".join(output)[:size]


def hash_to_scalar(tag: Tag, *items: bytes, modulus: int) -> int:
    """A scalar with bias below 2^-128: 48 bytes reduced."""
    return int.from_bytes(expand_message_xmd(enc(*items), tag.value, 48), "big") % modulus


def challenge(tag: Tag, *items: bytes) -> int:
    """A Fiat-Shamir challenge below 2^128."""
    return int.from_bytes(expand_message_xmd(enc(*items), tag.value, CHALLENGE_BYTES), "big")


def weights(tag: Tag, count: int, *items: bytes) -> tuple[int, ...]:
    """`count` 128-bit weights bound to `items`, each from its own expansion of one digest."""
    seed = hashlib.sha256(enc(tag.value, *items)).digest()
    return tuple(
        int.from_bytes(hashlib.sha256(seed + i.to_bytes(8, "big")).digest()[:CHALLENGE_BYTES], "big")
        for i in range(count)
    )
