"""The table of endpoints, and the OpenAPI document made from it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import pytest

from encmempool.errors import Malformed
from encmempool.network.endpoints import ENDPOINTS, PARAMETERS, STATUSES, Endpoint, Parameter, named, openapi, word
from encmempool.ssz import SszObject

DOCUMENT = openapi(ENDPOINTS, title="title", version="1")

every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)


def parameter(name: str) -> Parameter:
    return PARAMETERS[name]


def test_names_and_places_are_unique():
    assert len(named(ENDPOINTS)) == len(ENDPOINTS)
    assert len({(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}) == len(ENDPOINTS)


def test_two_endpoints_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two endpoints have the name"):
        named([ENDPOINTS[0], ENDPOINTS[0]])


@every_endpoint
def test_endpoint_has_a_path_below_the_version_and_takes_what_its_container_needs(endpoint):
    assert endpoint.path.startswith("/v1/") or endpoint.path == "/metrics"
    assert endpoint.tag in ("client", "chain", "peers", "operations")
    if endpoint.request is not None and (size := endpoint.request.codec().size) is not None:
        assert endpoint.limit_bytes >= 3 * size


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "PUT"}, "cannot be asked for with PUT"),
        ({"path": "/v1/{nothing}"}, "unknown parameters: nothing"),
        ({"request": ENDPOINTS[5].response}, "cannot be asked for with GET"),
    ],
)
def test_impossible_endpoint_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(ENDPOINTS[0], **changes)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("height", "0", 0),
        ("height", str((1 << 64) - 1), (1 << 64) - 1),
        ("height", "head", "head"),
        ("block", "12", 12),
        ("block", "head", "head"),
        ("block", "0x" + "ab" * 32, b"\xab" * 32),
        ("epoch", "1", 1),
        ("tx_id", "0x" + "AB" * 32, b"\xab" * 32),
        ("address", "0x" + "01" * 20, b"\x01" * 20),
    ],
)
def test_parameter_is_parsed_and_written(name, text, value):
    assert parameter(name).parse(text) == value
    assert parameter(name).write(value) == text.lower()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("height", "-1"),
        ("height", "01"),
        ("height", str(1 << 64)),
        ("height", "Head"),
        ("height", "0x" + "ab" * 32),
        ("height", ""),
        ("block", "0x" + "ab" * 31),
        ("epoch", "head"),
        ("tx_id", "ab" * 32),
        ("tx_id", "0x" + "ab" * 33),
        ("address", "0x" + "ab" * 32),
    ],
)
def test_parameter_is_refused(name, text):
    with pytest.raises(Malformed):
        parameter(name).parse(text)


@pytest.mark.parametrize("value", [-1, 1 << 64, b"", b"x" * 20, "tail", None, 1.5])
def test_value_that_would_be_refused_is_not_written(value):
    with pytest.raises(ValueError, match="cannot be asked for"):
        parameter("height").write(value)


def test_word_is_one_of_those_listed():
    assert word("up", "down").parse("down") == "down"
    with pytest.raises(Malformed, match="one of up, down"):
        word("up", "down").parse("left")


@pytest.mark.parametrize("values", [{}, {"height": 1, "epoch": 1}, {"epoch": 1}])
def test_path_with_other_parameters_is_refused(values):
    with pytest.raises(ValueError, match="takes height"):
        named(ENDPOINTS)["certificate"].url(values)


# --- the document ----------------------------------------------------------------------------------------------------


@every_endpoint
def test_document_describes_the_endpoint(endpoint: Endpoint):
    operation = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
    assert operation["operationId"] == endpoint.name
    assert ("requestBody" in operation) == (endpoint.request is not None)
    success = "204" if endpoint.response is None else "200"
    assert success in operation["responses"]
    if isinstance(endpoint.response, type):
        assert set(operation["responses"]["200"]["content"]) == {"application/json", "application/octet-stream"}
    wanted = {**dict.fromkeys(endpoint.parameters, "path"), **dict.fromkeys(endpoint.query, "query")}
    assert {item["name"]: item["in"] for item in operation.get("parameters", [])} == wanted


def test_document_resolves_all_its_references():
    text = json.dumps(DOCUMENT)
    for group, name in set(re.findall(r'"#/components/(\w+)/(\w+)"', text)):
        assert name in DOCUMENT["components"][group]


def test_document_defines_every_container_and_each_schema_is_one():
    schemas = DOCUMENT["components"]["schemas"]
    for endpoint in ENDPOINTS:
        for kind in (endpoint.request, endpoint.response):
            if isinstance(kind, type) and issubclass(kind, SszObject):
                assert kind.__name__ in schemas
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


@every_endpoint
def test_examples_are_valid(endpoint):
    operation = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
    for item in operation.get("parameters", []):
        jsonschema.validate(item["example"], item["schema"])
        (PARAMETERS | dict(endpoint.query))[item["name"]].parse(item["example"])


def test_document_has_the_error_object_for_every_failure():
    for status in STATUSES:
        response = DOCUMENT["components"]["responses"][str(status)]
        assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    error = DOCUMENT["components"]["schemas"]["Error"]
    jsonschema.validate(error["example"], error)
