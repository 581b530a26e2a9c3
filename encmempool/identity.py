"""secp256k1 identities: who signed what. Signatures are Ethereum's, 65 bytes r | s | v, low-s, v 27 or 28."""

from __future__ import annotations

from typing import NoReturn

from coincurve import PrivateKey

from encmempool.ethereum import address_of, recover_public_key
from encmempool.ssz import SszObject
from encmempool.types import signing_digest
from threshold.errors import Rejected

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class Identity:
    """A private key. Without repr, equality or pickling; `secret_bytes` is for keystores and wallets only."""

    __slots__ = ("__key", "address")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise ValueError("a private key has 32 bytes")
        self.__key = PrivateKey(secret)
        self.address = address_of(self.__key.public_key.format(compressed=False))

    def sign(self, digest: bytes) -> bytes:
        """Deterministic (RFC 6979), low-s: the same digest gives the same bytes for ever."""
        signature: bytes = self.__key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])

    def secret_bytes(self) -> bytes:
        return bytes(self.__key.secret)

    def __repr__(self) -> str:
        return f"<identity 0x{self.address.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an identity is not pickled: store it in a keystore")


def recover(digest: bytes, signature: bytes) -> bytes:
    """The signer's address. Raises Rejected SIG-1 for anything but one canonical signature. 30 µs."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise Rejected("SIG-1", "a signature has 65 bytes and ends in 27 or 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise Rejected("SIG-1", "the signature's s is in the upper half of the curve order")
    compact = signature[:64] + bytes([signature[64] - 27])
    try:
        return address_of(recover_public_key(digest, compact))
    except ValueError as error:
        raise Rejected("SIG-1", "no public key can be recovered from the signature") from error


def recover_signer(message: SszObject, signature: bytes, genesis_root: bytes) -> bytes:
    """Who signed a protocol object of the network."""
    return recover(signing_digest(message, genesis_root), signature)


def require_signer(
    expected: bytes, message: SszObject, signature: bytes, genesis_root: bytes, *, rule: str, who: str
) -> None:
    """Raises Rejected with `rule` unless `expected` signed the message."""
    if recover_signer(message, signature, genesis_root) != expected:
        raise Rejected(rule, f"{type(message).__name__} is not signed by {who}")
