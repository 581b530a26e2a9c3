"""What this package answers of the page transactions.md."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from encmempool.conformance.vectors import Json
from encmempool.envelope import Terms, reservation
from encmempool.ethereum import decode_signed, gas_ladder
from encmempool.identity import Identity
from encmempool.transactions import check_payload
from encmempool.types import EncryptedTransaction, Genesis, Header, KeySet


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _terms(given: Json, **fields: Any) -> Terms:
    unused: Any = SimpleNamespace()
    genesis = Genesis.decode(_bytes(given["genesis"]))
    return Terms(genesis=genesis, **({"key_set": unused, "overhead_bytes": 0, "addresses_height": False} | fields))


def domain_separator(given: Json) -> Json:
    return {"domain_separator": _hex(_terms(given).domain_separator)}


def signing_hash(given: Json) -> Json:
    header = Header.decode(_bytes(given["header"]))
    return {"signing_hash": _hex(_terms(given).signing_hash(header, _bytes(given["ciphertext"])))}


def tx_id(given: Json) -> Json:
    transaction = EncryptedTransaction.decode(_bytes(given["transaction"]))
    return {"tx_id": _hex(transaction.tx_id), "aad": _hex(transaction.header.root)}


def check(given: Json) -> Json:
    transaction = EncryptedTransaction.decode(_bytes(given["transaction"]))
    terms = _terms(
        given,
        key_set=KeySet.decode(_bytes(given["key_set"])),
        overhead_bytes=int(given["overhead_bytes"]),
        addresses_height=given["addresses_height"],
    )
    terms.check(transaction, height=int(given["height"]))
    return {"tx_id": _hex(transaction.tx_id), "reservation": str(reservation(transaction.header))}


def decode_payload(given: Json) -> Json:
    payload = decode_signed(_bytes(given["payload"]))
    integers = ("chain_id", "nonce", "max_priority_fee_per_gas", "max_fee_per_gas", "gas_limit", "value")
    return {
        **{name: str(getattr(payload, name)) for name in integers},
        **{name: _hex(getattr(payload, name)) for name in ("to", "data", "sender", "hash")},
    }


def payload_of_header(given: Json) -> Json:
    header = Header.decode(_bytes(given["header"]))
    payload = check_payload(_bytes(given["payload"]), header, int(given["chain_id"]))
    return {"sender": _hex(payload.sender), "hash": _hex(payload.hash)}


def rung(given: Json) -> Json:
    return {"rung": str(gas_ladder(int(given["gas"])))}


def make_envelope(given: Json) -> Json:
    header, ciphertext = Header.decode(_bytes(given["header"])), _bytes(given["ciphertext"])
    signature = Identity(_bytes(given["key"])).sign(_terms(given).signing_hash(header, ciphertext))
    made = EncryptedTransaction(header=header, ciphertext=ciphertext, signature=signature)
    return {"transaction": _hex(made.encoded), "tx_id": _hex(made.tx_id)}


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "domain_separator": domain_separator,
    "signing_hash": signing_hash,
    "tx_id": tx_id,
    "check": check,
    "decode_payload": decode_payload,
    "check_payload": payload_of_header,
    "gas_ladder": rung,
    "make_envelope": make_envelope,
}
