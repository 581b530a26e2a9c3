"""Answers to the operations of specs/payload.md."""

from __future__ import annotations

from collections.abc import Callable

from encmempool.conformance.values import Json, bytes_list, from_hex, reader, to_hex
from encmempool.errors import Rejected
from encmempool.transactions import pad, unpad
from threshold import symmetric
from threshold.hashing import Tag


def _pad(given: Json) -> Json:
    plaintext = pad(from_hex(given["payload"]), _sizes(given), random=reader(given["random"]))
    return {"plaintext": to_hex(plaintext)}


def _unpad(given: Json) -> Json:
    return {"payload": to_hex(unpad(from_hex(given["plaintext"]), _sizes(given)))}


def _derive_key(given: Json) -> Json:
    tag = Tag(from_hex(given["tag"]))
    return {"key": to_hex(symmetric.derive_key(tag, from_hex(given["secret"]), *bytes_list(given["context"])))}


def _seal(given: Json) -> Json:
    body = symmetric.seal(from_hex(given["key"]), from_hex(given["plaintext"]), from_hex(given["aad"]))
    return {"body": to_hex(body)}


def _unseal(given: Json) -> Json:
    try:
        plaintext = symmetric.unseal(from_hex(given["key"]), from_hex(given["body"]), from_hex(given["aad"]))
    except symmetric.AuthenticationFailed as error:
        raise Rejected("AED-3", str(error)) from error
    return {"plaintext": to_hex(plaintext)}


def _sizes(given: Json) -> tuple[int, ...]:
    return tuple(map(int, given["size_classes"]))


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "pad": _pad,
    "unpad": _unpad,
    "derive_key": _derive_key,
    "seal": _seal,
    "unseal": _unseal,
}
