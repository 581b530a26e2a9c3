"""Answers to the operations of specs/notation.md."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from encmempool.conformance.values import (
    Json,
    bytes_list,
    from_hex,
    from_json,
    object_type,
    reader,
    to_hex,
    to_json,
)
from encmempool.execution.ledger import AccountState, LedgerState, TokenBalance
from encmempool.execution.pools import Pool
from encmempool.types import State, signing_digest, state_root
from threshold import entropy, hashing
from threshold.curve import DEFAULT_BACKEND, ORDER, Backend, Group, load_backend
from threshold.encoding import Reader, enc
from threshold.hashing import Tag


def _enc(given: Json) -> Json:
    return {"encoded": to_hex(enc(*bytes_list(given["items"])))}


def _decode_counted(given: Json) -> Json:
    source = Reader(from_hex(given["encoded"]), "the list")
    items = source.counted()
    source.end()
    return {"items": [to_hex(item) for item in items]}


def _tagged_hash(given: Json) -> Json:
    return {"digest": to_hex(hashing.tagged_hash(_tag(given), *bytes_list(given["items"])))}


def _expand_message(given: Json) -> Json:
    message, dst = from_hex(given["message"]), from_hex(given["dst"])
    return {"expanded": to_hex(hashing.expand_message_xmd(message, dst, int(given["size"])))}


def _hash_to_scalar(given: Json) -> Json:
    return {"scalar": str(hashing.hash_to_scalar(_tag(given), *bytes_list(given["items"]), modulus=ORDER))}


def _challenge(given: Json) -> Json:
    return {"challenge": str(hashing.challenge(_tag(given), *bytes_list(given["items"])))}


def _weights(given: Json) -> Json:
    made = hashing.weights(_tag(given), int(given["count"]), *bytes_list(given["items"]))
    return {"weights": [str(weight) for weight in made]}


def _decode_scalar(given: Json) -> Json:
    source = Reader(from_hex(given["encoded"]), "the scalar")
    scalar = source.scalar(ORDER)
    source.end()
    return {"scalar": str(scalar)}


def _draw_scalar(given: Json) -> Json:
    return {"scalar": str(entropy.scalar(reader(given["random"]), ORDER))}


def _decode_point(group: Group[Any], given: Json) -> Json:
    point = group.decode(from_hex(given["encoded"]))
    return {"double": to_hex(group.encode(group.multiply(point, 2)))}


def _hash_to_g1(group: Group[Any], given: Json) -> Json:
    return {"point": to_hex(group.encode(group.hash_to_curve(from_hex(given["message"]), from_hex(given["tag"]))))}


def _pairing(curve: Backend, given: Json) -> Json:
    value = curve.pairing(curve.g1.decode(from_hex(given["g1"])), curve.g2.decode(from_hex(given["g2"])))
    return {"value": to_hex(curve.gt_encode(value))}


def _ssz_decode(given: Json) -> Json:
    value = object_type(given["type"]).decode(from_hex(given["encoded"]))
    return {"value": to_json(value), "root": to_hex(value.root)}


def _ssz_encode(given: Json) -> Json:
    value = from_json(object_type(given["type"]), given["value"])
    return {"encoded": to_hex(value.encoded), "root": to_hex(value.root)}


def _signing_digest(given: Json) -> Json:
    value = from_json(object_type(given["type"]), given["value"])
    return {"digest": to_hex(signing_digest(value, from_hex(given["genesis_root"])))}


def _state_root(given: Json) -> Json:
    state = from_json(State, given["state"])
    ledger = LedgerState(
        height=state.height,
        accounts=tuple(AccountState(address=a.address, nonce=a.nonce, balance=a.balance) for a in state.accounts),
        token_balances=tuple(TokenBalance(token=b.token, owner=b.owner, amount=b.amount) for b in state.token_balances),
        pools=tuple(
            Pool(token0=p.token0, token1=p.token1, reserve0=p.reserve0, reserve1=p.reserve1) for p in state.pools
        ),
    )
    return {"root": to_hex(state_root(ledger))}


def _tag(given: Json) -> Tag:
    return Tag(from_hex(given["tag"]))


def operations(backend: str) -> dict[str, Callable[[Json], Json]]:
    """With this curve backend."""
    curve = load_backend(backend)
    return {
        "enc": _enc,
        "decode_counted": _decode_counted,
        "tagged_hash": _tagged_hash,
        "expand_message": _expand_message,
        "hash_to_scalar": _hash_to_scalar,
        "challenge": _challenge,
        "weights": _weights,
        "decode_scalar": _decode_scalar,
        "draw_scalar": _draw_scalar,
        "decode_g1": partial(_decode_point, curve.g1),
        "decode_g2": partial(_decode_point, curve.g2),
        "hash_to_g1": partial(_hash_to_g1, curve.g1),
        "pairing": partial(_pairing, curve),
        "ssz_decode": _ssz_decode,
        "ssz_encode": _ssz_encode,
        "signing_digest": _signing_digest,
        "state_root": _state_root,
    }


OPERATIONS = operations(DEFAULT_BACKEND)
