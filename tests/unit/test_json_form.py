"""The JSON form of SSZ objects."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from dataclasses import fields, make_dataclass
from typing import Any, get_args, get_type_hints

import jsonschema
import pytest
from hypothesis import given, settings, strategies as st

import encmempool
from encmempool import ssz
from encmempool.errors import Malformed
from encmempool.json_form import (
    COMPONENTS,
    decimal_schema,
    decode_document,
    decode_object,
    from_json,
    json_schema,
    json_schemas,
    to_json,
)
from encmempool.network import wire
from encmempool.ssz import SszObject
from encmempool.types import Account, BatchList, EncryptedTransaction, Header, Token

for module in pkgutil.iter_modules(encmempool.__path__, "encmempool."):
    importlib.import_module(module.name)
KINDS = sorted(
    (kind for kind in SszObject.__subclasses__() if kind.__module__.startswith("encmempool.")),
    key=lambda kind: (kind.__module__, kind.__name__),
)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)

HEADER = Header(
    version=1,
    key_id=bytes(31) + b"\xab",
    scheme=2,
    sender=bytes(20),
    nonce=7,
    gas_limit=21_000,
    max_fee_per_gas=(1 << 256) - 1,
    max_priority_fee_per_gas=0,
    target_height=0,
    valid_until=(1 << 64) - 1,
)
TRANSACTION = EncryptedTransaction(header=HEADER, ciphertext=b"\x00\xff", signature=bytes(65))


def values(hint: Any) -> st.SearchStrategy[Any]:
    if isinstance(hint, type):
        return objects(hint)
    python_type, mark = get_args(hint)
    match mark:
        case ssz.Limit():
            return st.lists(values(get_args(python_type)[0]), max_size=min(mark.limit, 3)).map(tuple)
        case ssz.Uint():
            return st.integers(0, (1 << 8 * mark.size) - 1)
        case ssz.ByteVector():
            return st.binary(min_size=mark.size, max_size=mark.size)
    return st.binary(max_size=min(mark._limit, 50))


def objects(kind: type[SszObject]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in fields(kind)})


def with_value(path: str, value: Any) -> dict[str, Any]:
    """The transaction's form with one value in another's place."""
    document = to_json(TRANSACTION)
    *steps, last = path.split(".")
    inner = document
    for step in steps:
        inner = inner[step]
    inner[last] = value
    return document


@every_kind
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_object_returns_unchanged_from_its_form_and_fits_its_schema(kind, data):
    value = data.draw(objects(kind))
    text = json.dumps(to_json(value)).encode()
    assert decode_object(kind, text) == value
    schemas = json_schemas([kind])
    document = {"$ref": COMPONENTS + kind.__name__, "components": {"schemas": schemas}}
    jsonschema.Draft202012Validator(document).validate(json.loads(text))


def test_all_containers_of_protocol_and_wire_are_covered():
    assert {kind for kind in vars(wire).values() if isinstance(kind, type) and issubclass(kind, SszObject)} <= {
        *KINDS,
        SszObject,
    }
    assert len(KINDS) >= 40


def test_form_is_that_of_the_beacon_api():
    form = to_json(TRANSACTION)
    assert form["header"]["nonce"] == "7"
    assert form["header"]["key_id"] == "0x" + "00" * 31 + "ab"
    assert form["ciphertext"] == "0x00ff"
    assert list(form) == ["header", "ciphertext", "signature"]
    assert to_json(BatchList(tx_ids=(bytes(32),))) == {"tx_ids": ["0x" + "00" * 32]}


def test_hex_in_upper_case_is_read():
    assert from_json(EncryptedTransaction, with_value("ciphertext", "0x00FF")) == TRANSACTION


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("header.nonce", 7, "header.nonce: a decimal string is wanted"),
        ("header.nonce", True, "header.nonce: a decimal string"),
        ("header.nonce", 7.0, "header.nonce: a decimal string"),
        ("header.nonce", None, "header.nonce: a decimal string"),
        ("header.nonce", "", "header.nonce: a decimal number without"),
        ("header.nonce", "07", "without sign and leading zeros"),
        ("header.nonce", "+7", "without sign"),
        ("header.nonce", "-7", "without sign"),
        ("header.nonce", " 7", "without sign"),
        ("header.nonce", "7\n", "without sign"),
        ("header.nonce", "٧", "without sign"),
        ("header.nonce", "7_0", "without sign"),
        ("header.nonce", "7e3", "without sign"),
        ("header.nonce", "0x7", "without sign"),
        ("header.nonce", "9" * 5000, "without sign"),
        ("header.nonce", str(1 << 64), "exceeds 64 bits"),
        ("header.version", "256", "header.version: the number exceeds 8 bits"),
        ("header.max_fee_per_gas", str(1 << 256), "exceeds 256 bits"),
        ("header.key_id", "0x" + "00" * 31, "header.key_id: 32 bytes are wanted, not 31"),
        ("header.key_id", "0x" + "00" * 33, "32 bytes are wanted, not 33"),
        ("header.key_id", "00" * 32, "a string of 0x"),
        ("header.key_id", "0X" + "00" * 32, "a string of 0x"),
        ("header.key_id", ["0x"], "a string of 0x"),
        ("header.key_id", "0x" + "00" * 31 + " 0", "hex digits"),
        ("header.key_id", "0x" + "00 " * 32, "hex digits"),
        ("header.key_id", "0x" + "0g" * 32, "hex digits"),
        ("header.key_id", "0x" + "0é" * 32, "hex digits"),
        ("header.sender", "0x" + "0" * 39, "header.sender: not hex digits, two for each byte"),
        ("ciphertext", "0x" + "00" * 66_561, "ciphertext: 66561 bytes exceed the limit of 66560"),
        ("header", [], "header: an object is wanted: Header"),
        ("header", None, "header: an object is wanted"),
    ],
)
def test_value_is_refused_naming_its_field(path, value, message):
    with pytest.raises(Malformed, match=re.escape(message)):
        from_json(EncryptedTransaction, with_value(path, value))


def test_field_that_is_missing_is_named():
    document = to_json(TRANSACTION)
    del document["header"]["nonce"]
    with pytest.raises(Malformed, match=r"^header\.nonce: the field is missing$"):
        from_json(EncryptedTransaction, document)


def test_field_that_is_unknown_is_named_within_bounds():
    document = to_json(TRANSACTION)
    document["header"]["ünknown\n" + "x" * 1000] = "1"
    with pytest.raises(Malformed) as caught:
        from_json(EncryptedTransaction, document)
    assert str(caught.value).startswith(r"header: unknown field '\xfcnknown\nx")
    assert len(str(caught.value)) < 100


def test_element_of_a_list_is_named_by_its_position():
    batch = {"transactions": [to_json(TRANSACTION), with_value("header.nonce", "x")]}
    with pytest.raises(Malformed, match=r"^transactions\[1\]\.header\.nonce: "):
        from_json(wire.TransactionBatch, batch)


def test_list_beyond_its_limit_is_refused():
    submission = {"receipt": [{}, {}], "status": "200", "code": "0x", "message": "0x", "rule": "0x"}
    with pytest.raises(Malformed, match=r"^receipt: 2 elements exceed the limit of 1$"):
        from_json(wire.Submission, submission)


@pytest.mark.parametrize("document", [{"0": {}}, "x", None, 1])
def test_list_is_refused_in_another_shape(document):
    with pytest.raises(Malformed, match=r"^tx_ids: an array is wanted$"):
        from_json(BatchList, {"tx_ids": document})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": 1, "a": 1}', "a name twice"),
        (b'{"b": {"a": 1, "a": 2}}', "a name twice"),
        (b"NaN", "NaN is not a JSON value"),
        (b"[Infinity]", "Infinity is not"),
        (b"[-Infinity]", "-Infinity is not"),
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"[" * 100_000, "nested"),
        (b"9" * 10_000, "not JSON"),
    ],
)
def test_text_that_is_not_strict_json_is_refused(text, message):
    with pytest.raises(Malformed, match=message):
        decode_document(text)


def test_lone_surrogate_is_refused_as_any_other_wrong_text():
    with pytest.raises(Malformed, match=r"^address: a string of 0x"):
        decode_object(Account, b'{"address": "\\ud800", "nonce": "0", "balance": "0"}')
    with pytest.raises(Malformed, match="unknown field"):
        decode_object(Account, b'{"address": "0x", "nonce": "0", "balance": "0", "\\ud800": 1}')


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_schema_of_numbers_ends_where_the_numbers_end(bits):
    pattern = re.compile(decimal_schema(bits)["pattern"])
    top = (1 << bits) - 1
    wanted = {0, 1, 9, 10, top // 10, top - 1, top}
    assert all(pattern.search(str(value)) for value in wanted)
    assert not any(pattern.search(text) for text in (str(top + 1), str(top * 10), "00", "01", "", "-1"))


def test_schema_of_bytes_counts_numbers_below_256_exactly():
    pattern = re.compile(decimal_schema(8)["pattern"])
    assert [value for value in range(3000) if pattern.search(str(value))] == list(range(256))


def test_schema_refuses_unknown_and_missing_fields():
    schema = json_schema(Token)
    assert schema["required"] == ["address", "symbol", "decimals"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["symbol"]["maxLength"] == 66


def test_schemas_of_containers_with_one_name_are_refused():
    other = make_dataclass("Account", [("number", ssz.U8)], bases=(SszObject,), frozen=True, kw_only=True)
    with pytest.raises(ValueError, match="two containers have the name Account"):
        json_schemas([Account, other])
