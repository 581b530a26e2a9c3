"""Every endpoint under generated requests: schemathesis against the OpenAPI document, mutated SSZ and JSON bodies.

In process, with handlers that take everything: what is tried is the border and the document, not the roles.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies as st
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from encmempool import ssz
from encmempool.errors import Malformed
from encmempool.json_form import decode_object, to_json
from encmempool.network.endpoints import COMPONENTS, ENDPOINTS, JSON, SSZ, STREAM, Endpoint, Raw, openapi
from encmempool.network.server import Answer, Application, Call, Event, Events, Limits
from encmempool.ssz import SszObject

DOCUMENT = openapi(ENDPOINTS, title="title", version="1")
REQUESTS = [endpoint for endpoint in ENDPOINTS if endpoint.request is not None]

every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
every_request = pytest.mark.parametrize("endpoint", REQUESTS, ids=lambda endpoint: endpoint.name)


# --- handlers that take everything -----------------------------------------------------------------------------------


def sample(hint: Any, elements: int = 1) -> Any:
    """A value of an SSZ type, with one element in each list."""
    if isinstance(hint, type):
        hints = get_type_hints(hint, include_extras=True)
        return hint(**{field.name: sample(hints[field.name]) for field in fields(hint)})
    python_type, mark = get_args(hint)
    match mark:
        case ssz.Limit():
            return (sample(get_args(python_type)[0]),) * min(elements, mark.limit)
        case ssz.Uint():
            return 1
        case ssz.ByteVector():
            return bytes(mark.size)
    return b"\1"


def document_of(schema: Mapping[str, Any]) -> Any:
    """The smallest document of a JSON Schema, as far as the table has such."""
    for choice in (schema.get("anyOf") or schema.get("oneOf") or [])[:1]:
        return document_of(choice)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    match kind if isinstance(kind, str) else kind[0]:
        case "object":
            return {name: document_of(schema["properties"][name]) for name in schema.get("required", ())}
        case "array":
            return []
        case "string":
            pattern = schema.get("pattern", "")
            digits = re.search(r"^\^0x.*\{(\d+)\}\$$", pattern)
            return "0x" + "0" * int(digits[1]) if digits else "0x" if "0x" in pattern else "0"
        case "boolean":
            return True
    return 0


async def one_event() -> AsyncIterator[Event]:
    yield Event("height", {"height": "1"}, 1)


async def answer(call: Call) -> Answer:
    match call.endpoint.response:
        case None:
            return None
        case Raw(content_type=content_type):
            return Events(one_event()) if content_type == STREAM else b"{}"
        case type() as kind:
            return sample(kind)
    return document_of(call.endpoint.response)


def failing(event: str, /, *, error: BaseException | None = None, **fields: object) -> None:
    raise AssertionError(event) from error


APPLICATION = Application(
    {endpoint.name: answer for endpoint in ENDPOINTS if endpoint.name != "openapi"},
    limits=Limits(requests_per_s=1e9, burst=10**9),
    log=failing,
)


# --- schemathesis ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described() -> BaseSchema:
    return schemathesis.openapi.from_asgi("/v1/openapi.json", APPLICATION)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@every_endpoint
def test_requests_made_from_the_document_get_answers_that_it_describes(described, endpoint, mode):
    operation = described[endpoint.path][endpoint.method]

    @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: schemathesis.Case) -> None:
        # The document says nothing of what is inside SSZ: what is made from it is not expected to be taken.
        opaque = case.media_type == SSZ
        case.call_and_validate(excluded_checks=[schemathesis.checks.positive_data_acceptance] if opaque else [])

    if mode is GenerationMode.NEGATIVE and not (endpoint.parameters or endpoint.query or endpoint.request):
        return  # nothing in it can be wrong
    call()


# --- mutations -------------------------------------------------------------------------------------------------------


def post(endpoint: Endpoint, body: bytes, content_type: str) -> tuple[int, Any]:
    """Status and error object of a request in process."""
    sent: list[dict[str, Any]] = []
    arriving = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return arriving.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": endpoint.method,
        "path": endpoint.path,
        "raw_path": endpoint.path.encode(),
        "query_string": b"",
        "client": ("192.0.2.1", 1),
        "headers": [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())],
    }
    asyncio.run(APPLICATION(scope, receive, send))  # type: ignore[arg-type]
    status = sent[0]["status"]
    text = b"".join(message["body"] for message in sent[1:])
    return status, json.loads(text) if status >= 400 else None


@st.composite
def mutations(draw: st.DrawFn, encoded: bytes) -> bytes:
    """One to three faults: bytes changed, cut out, doubled or added, or four bytes that may be an offset."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(encoded)))
        end = draw(st.integers(at, min(len(encoded), at + 70)))
        match draw(st.sampled_from(("change", "cut", "double", "insert", "offset"))):
            case "change":
                encoded = encoded[:at] + draw(st.binary(min_size=1, max_size=2)) + encoded[at + 1 :]
            case "cut":
                encoded = encoded[:at] + encoded[end:]
            case "double":
                encoded = encoded[:end] + encoded[at:]
            case "insert":
                encoded = encoded[:at] + draw(st.binary(max_size=5)) + encoded[at:]
            case "offset":
                offset = draw(st.one_of(st.integers(0, len(encoded) + 8), st.integers(0, (1 << 32) - 1)))
                encoded = encoded[:at] + offset.to_bytes(4, "little") + encoded[at + 4 :]
    return encoded


def accepted(decode: Any, body: bytes) -> bool:
    try:
        decode(body)
    except Malformed:
        return False
    return True


def check(endpoint: Endpoint, body: bytes, content_type: str, valid: bool) -> None:
    status, error = post(endpoint, body, content_type)
    if valid:
        assert status == (204 if endpoint.response is None else 200)
    else:
        assert status == 400
        assert (error["code"], error["rule"]) == ("malformed", None)
        assert "Traceback" not in error["message"]
        assert len(error["message"]) < 300


@every_request
def test_sample_of_the_endpoint_is_taken_in_both_forms(endpoint):
    value = sample(endpoint.request)
    check(endpoint, value.encoded, SSZ, True)
    check(endpoint, json.dumps(to_json(value)).encode(), JSON, True)


@every_request
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_mutated_ssz_is_taken_or_refused_as_malformed(endpoint, data):
    kind: type[SszObject] = endpoint.request
    body = data.draw(mutations(sample(kind).encoded))
    check(endpoint, body, SSZ, accepted(kind.decode, body))


@every_request
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_mutated_json_is_taken_or_refused_as_malformed(endpoint, data):
    kind: type[SszObject] = endpoint.request
    body = data.draw(mutations(json.dumps(to_json(sample(kind))).encode()))
    check(endpoint, body, JSON, accepted(lambda text: decode_object(kind, text), body))


@every_request
@settings(max_examples=10, deadline=None)
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=9,
    )
)
def test_any_other_json_is_refused_as_malformed(endpoint, document):
    check(endpoint, json.dumps(document).encode(), JSON, False)


@every_request
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_the_schema_refuses_is_refused(endpoint, data):
    """One value of the form is replaced by another; the border takes no more than the document says."""
    form = to_json(sample(endpoint.request))
    inner: Any = form
    while True:
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        if not isinstance(inner[key], dict | list) or not inner[key] or data.draw(st.booleans()):
            break
        inner = inner[key]
    replacements = (
        "",
        "0",
        "1",
        "-1",
        "256",
        "0x",
        "0x00",
        "0X00",
        "0x0",
        str(1 << 64),
        "0x" + "0" * 40,
        None,
        1,
        [],
        {},
    )
    inner[key] = data.draw(st.sampled_from(replacements))
    described = {"$ref": COMPONENTS + endpoint.request.__name__, "components": DOCUMENT["components"]}
    valid = jsonschema.Draft202012Validator(described).is_valid(form)
    check(endpoint, json.dumps(form).encode(), JSON, valid)
