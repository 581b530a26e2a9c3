"""HKDF-SHA256 and the payload AEAD, ChaCha20-Poly1305. Only this file and `threshold.onetime` import pycryptodome.

A key is derived for one ciphertext and used once, so the nonce is zero. ChaCha20-Poly1305 does not commit to its
key; the schemes' transcripts cover the body, and the key is a function of the ciphertext, so nothing rests on that.
"""

from __future__ import annotations

import hmac

from Crypto.Cipher import ChaCha20_Poly1305

from threshold.encoding import enc
from threshold.errors import ThresholdError
from threshold.hashing import Tag

KEY_BYTES = 32
TAG_BYTES = 16
_ONE_TIME_NONCE = bytes(12)


class AuthenticationFailed(ThresholdError):
    """Authenticated decryption failed: wrong key, associated data or body."""


def derive_key(tag: Tag, secret: bytes, *context: bytes) -> bytes:
    """HKDF-SHA256(salt = tag, ikm = secret, info = enc(context…)): 32 bytes. RFC 5869."""
    # On the standard library's HMAC, which takes a fifth of the time of pycryptodome's HKDF.
    extracted, info = hmac.digest(tag.value, secret, "sha256"), enc(*context)
    block = output = b""
    while len(output) < KEY_BYTES:
        block = hmac.digest(extracted, block + info + bytes([len(output) // 32 + 1]), "sha256")
        output += block
    return output[:KEY_BYTES]


def seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Ciphertext followed by the 16-byte tag. The key must be used once only."""
    cipher = ChaCha20_Poly1305.new(key=key, nonce=_ONE_TIME_NONCE)
    cipher.update(aad)
    body, tag = cipher.encrypt_and_digest(plaintext)
    return bytes(body + tag)


def unseal(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext. Raises AuthenticationFailed."""
    if len(sealed) < TAG_BYTES:
        raise AuthenticationFailed("the sealed body is shorter than its tag")
    cipher = ChaCha20_Poly1305.new(key=key, nonce=_ONE_TIME_NONCE)
    cipher.update(aad)
    try:
        return bytes(cipher.decrypt_and_verify(sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]))
    except ValueError as error:
        raise AuthenticationFailed("authenticated decryption failed") from error
