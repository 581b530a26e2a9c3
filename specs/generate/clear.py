"""Inputs for specs/clear.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spec.notation import Json, counted, to_hex, u32
from spec.tdh2 import encode_batch_key

from specs.generate.case import Case, labelled
from specs.generate.tdh2 import batch_json, committee, listed


def cases() -> Iterator[Case]:
    made = committee(scheme=0, label="clear/key")
    named = made.named
    ciphertext = labelled("clear/ciphertext")(40)
    batch = {"batch": batch_json([ciphertext, b""])}
    empty = to_hex(encode_batch_key(b"", b""))

    def case(operation: str, title: str, rule: str, fields: Json, *, refused: bool = False) -> Case:
        return Case(
            operation=operation, title=title, requirements=(rule,), input=named | batch | fields, refused=refused
        )

    def key(title: str, rule: str, material: bytes, *, refused: bool) -> Case:
        fields = {"material": to_hex(material), "key_id": named["key_id"]}
        return Case(operation="load_public_key", title=title, requirements=(rule,), input=fields, refused=refused)

    material = made.material
    yield key("3 of 4 members", "CLR-1", material.encode(), refused=False)
    strange = replace(material, encryption_key=b"no point", verification_keys=(b"",) * 3, parameters=b"parameters")
    yield key("keys that are no points, and parameters", "CLR-1", strange.encode(), refused=False)
    yield key("the scheme is 1", "CLR-1", replace(material, scheme=1).encode(), refused=True)
    yield key("a byte follows", "CLR-1", material.encode() + b"\0", refused=True)

    for title, data in (("40 bytes", ciphertext), ("no bytes", b"")):
        fields = {"aad": to_hex(b"associated"), "plaintext": to_hex(data)}
        yield Case(operation="encrypt", title=title, requirements=("CLR-3",), input=named | fields, refused=False)
        fields = {"aad": to_hex(b"associated"), "ciphertext": to_hex(data)}
        yield Case(operation="verify_ciphertext", title=title, requirements=("CLR-3", "CLR-4"), input=named | fields)

    yield case("verify_share", "an empty share", "CLR-2", {"member": "4", "share": "0x"})
    yield case("verify_share", "a byte", "CLR-2", {"member": "4", "share": "0x00"}, refused=True)
    yield case("verify_share", "member 0", "CLR-2", {"member": "0", "share": "0x"}, refused=True)
    yield case("verify_share", "member 5 of 4", "CLR-2", {"member": "5", "share": "0x"}, refused=True)

    one, two, four = (1, b""), (2, b""), (4, b"")
    yield case("combine", "three members", "CLR-2", listed(four, one, two))
    yield case("combine", "one that is not empty is set aside", "CLR-2", listed(one, (3, b"\0"), two, four))
    yield case("combine", "two members", "CLR-2", listed(one, two), refused=True)
    yield case("combine", "three shares of two members", "CLR-2", listed(one, two, two), refused=True)
    yield case("combine", "three shares, one not empty", "CLR-2", listed(one, two, (3, b"\0")), refused=True)

    yield case("verify_batch_key", "an empty batch key", "CLR-2", {"batch_key": empty})
    value, proof = to_hex(encode_batch_key(b"\0", b"")), to_hex(encode_batch_key(b"", counted([])))
    yield case("verify_batch_key", "the value is a byte", "CLR-2", {"batch_key": value}, refused=True)
    yield case("verify_batch_key", "the proof is an empty list", "CLR-2", {"batch_key": proof}, refused=True)
    yield case("verify_batch_key", "a byte follows", "CLR-6", {"batch_key": empty + "00"}, refused=True)
    yield case("verify_batch_key", "truncated", "CLR-6", {"batch_key": to_hex(u32(0))}, refused=True)

    yield case("decrypt", "two ciphertexts, one of them empty", "CLR-5", {"batch_key": empty})
    none = {"batch": batch_json([]), "batch_key": empty}
    yield case("decrypt", "no ciphertext", "CLR-5", none)
