"""The HTTP interface as a table: what can be asked, in which form, at which cost; and its OpenAPI document.

Servers, clients and the document are all made from the table. It knows SSZ containers and no roles: which of the
endpoints a node serves is the node's own matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from encmempool.errors import Malformed
from encmempool.evidence import Evidence
from encmempool.json_form import COMPONENTS, decimal, decimal_schema, hex_schema, hexadecimal, json_schemas
from encmempool.network.ceremonies import CeremonyState, SignedCeremonyMessage, SignedPlan
from encmempool.network.wire import (
    AbstentionList,
    ErasureList,
    EvidenceList,
    Gossip,
    HeightOutcomes,
    HeightRecord,
    KeySetList,
    ShareList,
    SignedOrder,
    SubmissionList,
    TransactionBatch,
    VoteList,
)
from encmempool.sequencer import CommittedBatch
from encmempool.ssz import SszObject
from encmempool.status import STATUS_SCHEMA
from encmempool.types import (
    EncryptedTransaction,
    Genesis,
    InboxEntry,
    KeySet,
    OrderCertificate,
    Proposal,
    Reveal,
    ShareRelease,
    SignedAbstain,
    SignedCommitment,
    SignedErasure,
    SignedKeySet,
    SignedReceipt,
    SignedVote,
)

JSON = "application/json"
SSZ = "application/octet-stream"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
STREAM = "text/event-stream"

KIB = 1 << 10
MIB = 1 << 20

Value: TypeAlias = int | bytes | str
Schema: TypeAlias = Mapping[str, Any]
_NONE: Mapping[str, Any] = MappingProxyType({})


# --- parameters ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A value in a path or query.

    parse    from text; raises Malformed
    """

    schema: Schema
    parse: Callable[[str], Value]
    example: str

    def write(self, value: object) -> str:
        """The text of a value. ValueError for one that would not be accepted."""
        text = "0x" + value.hex() if isinstance(value, bytes) else str(value)
        try:
            self.parse(text)
        except Malformed as error:
            raise ValueError(f"{value!r} cannot be asked for: {error}") from error
        return text


def number(bits: int = 64, *, example: str = "7") -> Parameter:
    return Parameter(schema=decimal_schema(bits), parse=lambda text: decimal(text, bits), example=example)


def octets(size: int) -> Parameter:
    def parse(text: str) -> bytes:
        data = hexadecimal(text)
        if len(data) != size:
            raise Malformed(f"{size} bytes are wanted, not {len(data)}")
        return data

    return Parameter(schema=hex_schema(size=size), parse=parse, example="0x" + "1f" * size)


def word(*words: str) -> Parameter:
    def parse(text: str) -> str:
        if text not in words:
            raise Malformed(f"one of {', '.join(words)} is wanted")
        return text

    return Parameter(schema={"enum": list(words)}, parse=parse, example=words[0])


def either(*kinds: Parameter) -> Parameter:
    """What the first of these accepts."""

    def parse(text: str) -> Value:
        reasons = []
        for kind in kinds:
            try:
                return kind.parse(text)
            except Malformed as error:
                reasons.append(str(error))
        raise Malformed(", or ".join(reasons))

    return Parameter(schema={"anyOf": [kind.schema for kind in kinds]}, parse=parse, example=kinds[0].example)


_HASH = octets(32)
_HEIGHT = either(number(), word("head"))

PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "height": _HEIGHT,
        "block": either(number(), word("head"), _HASH),
        "epoch": number(example="1"),
        "index": number(),
        "address": octets(20),
        "tx_id": _HASH,
        "root": _HASH,
        "digest": _HASH,
        "ceremony_id": _HASH,
        "committee_id": _HASH,
    }
)
"""What stands in a path's braces, by name."""


# --- endpoints -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are, with this content type; a STREAM holds events."""

    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operation.

    name                    the operation's id, and the name of its handler
    path                    its braces name PARAMETERS
    tag                     client, chain, peers or operations
    request                 the container in the body, as JSON or SSZ
    response                a container (JSON or SSZ, as accepted), a JSON Schema, raw bytes, or nothing: status 204
    limit_bytes             of the request's body, in either form
    response_limit_bytes    what a client takes at most
    query                   optional parameters by name
    weight                  what a call costs of the caller's budget of requests
    peers_only              refused to callers without a certificate where mutual TLS is on
    """

    name: str
    method: str
    path: str
    summary: str
    tag: str
    request: type[SszObject] | None = None
    response: type[SszObject] | Schema | Raw | None = None
    limit_bytes: int = 64 * KIB
    response_limit_bytes: int = MIB
    query: Mapping[str, Parameter] = field(default_factory=dict)
    weight: int = 1
    peers_only: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("GET", "POST") or (self.request and self.method != "POST"):
            raise ValueError(f"{self.name} cannot be asked for with {self.method}")
        if unknown := set(self.parameters) - PARAMETERS.keys():
            raise ValueError(f"the path of {self.name} has unknown parameters: {', '.join(sorted(unknown))}")

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(step[1:-1] for step in self.path.split("/") if step.startswith("{"))

    @property
    def media_types(self) -> tuple[str, ...]:
        """What the response can be, the preferred first."""
        match self.response:
            case None:
                return ()
            case Raw():
                return (self.response.content_type,)
            case type():
                return (JSON, SSZ)
        return (JSON,)

    def url(self, values: Mapping[str, object]) -> str:
        """The path with its parameters. ValueError for a missing, an unknown or an impossible one."""
        if set(values) != set(self.parameters):
            raise ValueError(f"{self.name} takes {', '.join(self.parameters) or 'no parameters'}")
        return self.path.format_map({name: PARAMETERS[name].write(value) for name, value in values.items()})


def named(endpoints: Iterable[Endpoint]) -> dict[str, Endpoint]:
    """By name. ValueError if two have one name."""
    found: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        if endpoint.name in found:
            raise ValueError(f"two endpoints have the name {endpoint.name}")
        found[endpoint.name] = endpoint
    return found


# --- the table -------------------------------------------------------------------------------------------------------

_HEX = {"type": "string", "pattern": "^0x([0-9a-f]{2})*$"}
_DECIMAL = {"type": "string", "pattern": "^(0|[1-9][0-9]*)$"}


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] = _NONE) -> Schema:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


_NODE = _object(
    {
        "role": {"enum": ["sequencer", "member", "auditor"]},
        "version": {"type": "string"},
        "genesis_root": {"anyOf": [_HEX, {"type": "null"}]},
        "address": _HEX,
        "member": {"type": ["integer", "null"]},
        "epoch": {"type": ["integer", "null"]},
        "head": _DECIMAL,
        "executed_height": _DECIMAL,
    }
)
_CONDITION = _object({"status": {"type": "string"}})
_ACCOUNT = _object(
    {
        "address": _HEX,
        "height": _DECIMAL,
        "nonce": _DECIMAL,
        "balance": _DECIMAL,
        "next_nonce": _DECIMAL,
    },
    {"tokens": {"type": "object", "additionalProperties": _DECIMAL}},
)

_POOLS = _object(
    {
        "height": _DECIMAL,
        "pools": {
            "type": "array",
            "items": _object({"token0": _HEX, "token1": _HEX, "reserve0": _DECIMAL, "reserve1": _DECIMAL}),
        },
    }
)

_BY_HEIGHT = {"height": _HEIGHT}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        name="node",
        method="GET",
        path="/v1/node",
        summary="Who this node is: role, address, member index, version, network",
        tag="operations",
        response=_NODE,
    ),
    Endpoint(
        name="health",
        method="GET",
        path="/v1/health",
        summary="Whether the process answers",
        tag="operations",
        response=_CONDITION,
        weight=0,
    ),
    Endpoint(
        name="ready",
        method="GET",
        path="/v1/ready",
        summary="Whether the node can do its part; 503 with the reason if not",
        tag="operations",
        response=_CONDITION,
        weight=0,
    ),
    Endpoint(
        name="metrics",
        method="GET",
        path="/metrics",
        summary="Counters and histograms in Prometheus' text format",
        tag="operations",
        response=Raw(TEXT),
        response_limit_bytes=8 * MIB,
    ),
    Endpoint(
        name="openapi",
        method="GET",
        path="/v1/openapi.json",
        summary="This document",
        tag="operations",
        response=Raw(JSON),
        response_limit_bytes=8 * MIB,
    ),
    Endpoint(
        name="genesis",
        method="GET",
        path="/v1/genesis",
        summary="The network's genesis; its root names the network",
        tag="chain",
        response=Genesis,
        response_limit_bytes=16 * MIB,
    ),
    Endpoint(
        name="key_sets",
        method="GET",
        path="/v1/key_sets",
        summary="All signed key sets by ascending epoch",
        tag="chain",
        response=KeySetList,
        response_limit_bytes=16 * MIB,
    ),
    Endpoint(
        name="key_set",
        method="GET",
        path="/v1/key_sets/{epoch}",
        summary="The signed key set of an epoch",
        tag="chain",
        response=SignedKeySet,
        response_limit_bytes=4 * MIB,
    ),
    Endpoint(
        name="announce_key_set",
        method="POST",
        path="/v1/key_sets",
        summary="Hand over a signed key set",
        tag="peers",
        request=SignedKeySet,
        limit_bytes=8 * MIB,
    ),
    Endpoint(
        name="parameters",
        method="GET",
        path="/v1/parameters/{digest}",
        summary="The public parameters of a key, by their digest",
        tag="chain",
        response=Raw(SSZ),
        response_limit_bytes=256 * MIB,
    ),
    Endpoint(
        name="submit_transaction",
        method="POST",
        path="/v1/transactions",
        summary="Submit an encrypted transaction for a signed receipt",
        tag="client",
        request=EncryptedTransaction,
        response=SignedReceipt,
        limit_bytes=160 * KIB,
    ),
    Endpoint(
        name="submit_transactions",
        method="POST",
        path="/v1/transactions/batch",
        summary="Submit several; each gets the checks and the answer it would get alone",
        tag="client",
        request=TransactionBatch,
        response=SubmissionList,
        limit_bytes=8 * MIB,
        response_limit_bytes=4 * MIB,
        weight=16,
    ),
    Endpoint(
        name="transaction_status",
        method="GET",
        path="/v1/transactions/{tx_id}",
        summary="Where a transaction stands",
        tag="client",
        response=STATUS_SCHEMA,
    ),
    Endpoint(
        name="envelope",
        method="GET",
        path="/v1/transactions/{tx_id}/envelope",
        summary="The encrypted transaction as it was submitted",
        tag="chain",
        response=EncryptedTransaction,
    ),
    Endpoint(
        name="receipt",
        method="GET",
        path="/v1/receipts/{tx_id}",
        summary="The receipt given for a transaction",
        tag="client",
        response=SignedReceipt,
    ),
    Endpoint(
        name="account",
        method="GET",
        path="/v1/accounts/{address}",
        summary="Nonce and balances in the newest executed state, and the nonce the next transaction needs",
        tag="client",
        response=_ACCOUNT,
    ),
    Endpoint(
        name="pools",
        method="GET",
        path="/v1/pools",
        summary="The reserves of every pool in the newest executed state",
        tag="client",
        response=_POOLS,
    ),
    Endpoint(
        name="pending",
        method="GET",
        path="/v1/pending",
        summary="Transactions with a receipt that no commitment holds yet, as far as the node was shown them",
        tag="peers",
        response=Gossip,
        response_limit_bytes=32 * MIB,
        weight=4,
    ),
    Endpoint(
        name="commitment",
        method="GET",
        path="/v1/commitments/{block}",
        summary="The signed order commitment of a height or with a root",
        tag="chain",
        response=SignedCommitment,
    ),
    Endpoint(
        name="batch",
        method="GET",
        path="/v1/batches/{block}",
        summary="A commitment with the ordered ids of its transactions",
        tag="chain",
        response=CommittedBatch,
    ),
    Endpoint(
        name="height",
        method="GET",
        path="/v1/heights/{height}",
        summary="All that the node holds of a height",
        tag="peers",
        response=HeightRecord,
        response_limit_bytes=512 * MIB,
        weight=4,
    ),
    Endpoint(
        name="propose",
        method="POST",
        path="/v1/proposals",
        summary="A commitment with its transactions, to be voted on",
        tag="peers",
        request=Proposal,
        limit_bytes=256 * MIB,
        weight=4,
        peers_only=True,
    ),
    Endpoint(
        name="gossip",
        method="POST",
        path="/v1/gossip",
        summary="Transactions with their receipts, to be checked ahead",
        tag="peers",
        request=Gossip,
        limit_bytes=32 * MIB,
        weight=4,
        peers_only=True,
    ),
    Endpoint(
        name="votes",
        method="GET",
        path="/v1/votes",
        summary="The votes held for a height, by default the newest",
        tag="chain",
        response=VoteList,
        query=_BY_HEIGHT,
    ),
    Endpoint(
        name="submit_vote",
        method="POST",
        path="/v1/votes",
        summary="Hand over a member's vote",
        tag="peers",
        request=SignedVote,
        peers_only=True,
    ),
    Endpoint(
        name="certificate",
        method="GET",
        path="/v1/certificates/{height}",
        summary="The certificate of a height",
        tag="chain",
        response=OrderCertificate,
    ),
    Endpoint(
        name="shares",
        method="GET",
        path="/v1/shares",
        summary="The decryption shares held for a height, by default the newest",
        tag="chain",
        response=ShareList,
        query=_BY_HEIGHT,
        response_limit_bytes=64 * MIB,
    ),
    Endpoint(
        name="submit_share",
        method="POST",
        path="/v1/shares",
        summary="Hand over a member's share with the certificate that permits it",
        tag="peers",
        request=ShareRelease,
        limit_bytes=3 * MIB,
        peers_only=True,
    ),
    Endpoint(
        name="reveal",
        method="GET",
        path="/v1/reveals/{height}",
        summary="The key that opens a batch, and what became of its positions",
        tag="chain",
        response=Reveal,
        response_limit_bytes=512 * MIB,
    ),
    Endpoint(
        name="outcomes",
        method="GET",
        path="/v1/outcomes/{height}",
        summary="What became of a height's transactions",
        tag="client",
        response=HeightOutcomes,
        response_limit_bytes=8 * MIB,
    ),
    Endpoint(
        name="evidence",
        method="GET",
        path="/v1/evidence",
        summary="The misbehaviour this node can show",
        tag="chain",
        response=EvidenceList,
        response_limit_bytes=512 * MIB,
    ),
    Endpoint(
        name="submit_evidence",
        method="POST",
        path="/v1/evidence",
        summary="Hand over evidence of misbehaviour",
        tag="peers",
        request=Evidence,
        limit_bytes=128 * MIB,
        weight=8,
    ),
    Endpoint(
        name="erasures",
        method="GET",
        path="/v1/erasures",
        summary="Members' statements that they erased shares of earlier committees",
        tag="chain",
        response=ErasureList,
        response_limit_bytes=16 * MIB,
    ),
    Endpoint(
        name="submit_erasure",
        method="POST",
        path="/v1/erasures",
        summary="Hand over a member's statement that it erased a share",
        tag="peers",
        request=SignedErasure,
    ),
    Endpoint(
        name="abstentions",
        method="GET",
        path="/v1/abstentions",
        summary="Members' abstentions, which bar their shares at a height",
        tag="chain",
        response=AbstentionList,
        response_limit_bytes=16 * MIB,
    ),
    Endpoint(
        name="submit_abstention",
        method="POST",
        path="/v1/abstentions",
        summary="Hand over a member's abstention",
        tag="peers",
        request=SignedAbstain,
        peers_only=True,
    ),
    Endpoint(
        name="inbox_entry",
        method="GET",
        path="/v1/inbox/{index}",
        summary="What was posted to the inbox on the chain below, once it is deep enough",
        tag="chain",
        response=InboxEntry,
        response_limit_bytes=MIB,
    ),
    Endpoint(
        name="open_ceremony",
        method="POST",
        path="/v1/ceremonies",
        summary="An operator's plan of a key ceremony; whoever is no member learns the genesis from it",
        tag="operations",
        request=SignedPlan,
        limit_bytes=32 * MIB,
        weight=8,
    ),
    Endpoint(
        name="ceremony",
        method="GET",
        path="/v1/ceremonies/{ceremony_id}",
        summary="How far a member is with a key ceremony, and what came of it",
        tag="operations",
        response=CeremonyState,
        response_limit_bytes=4 * MIB,
    ),
    Endpoint(
        name="ceremony_message",
        method="POST",
        path="/v1/ceremonies/messages",
        summary="One member's message to another in a key ceremony",
        tag="peers",
        request=SignedCeremonyMessage,
        limit_bytes=300 * MIB,
        weight=4,
    ),
    Endpoint(
        name="announce_successor",
        method="POST",
        path="/v1/announcements",
        summary="An operator's order to leave the coming heights to the next key set; the answer says from which on",
        tag="operations",
        request=SignedOrder,
        response=KeySet,
        limit_bytes=8 * MIB,
        response_limit_bytes=4 * MIB,
    ),
    Endpoint(
        name="announced",
        method="GET",
        path="/v1/announcements/{committee_id}",
        summary="The successor of a key set that the sequencer keeps heights free for",
        tag="operations",
        response=KeySet,
        response_limit_bytes=4 * MIB,
    ),
    Endpoint(
        name="sign_successor",
        method="POST",
        path="/v1/successors",
        summary="An operator's order to sign the next key set, which the member has made itself",
        tag="operations",
        request=SignedOrder,
        response=SignedKeySet,
        limit_bytes=8 * MIB,
        response_limit_bytes=4 * MIB,
    ),
    Endpoint(
        name="events",
        method="GET",
        path="/v1/events",
        summary="Server-sent events: heights as they are committed, certified and executed",
        tag="chain",
        response=Raw(STREAM),
    ),
)


# --- the OpenAPI document --------------------------------------------------------------------------------------------

STATUSES: Mapping[int, str] = MappingProxyType(
    {
        400: "malformed: not a request of the documented form",
        403: "forbidden: for peers with a certificate only",
        404: "not_found: nothing of that name, or not in this node's role",
        405: "method_not_allowed",
        406: "not_acceptable: neither of the response's media types is accepted",
        408: "timeout: the request did not arrive in time",
        409: "conflict: another object stands in its place",
        411: "length_required",
        413: "too_large",
        415: "unsupported_media_type",
        422: "rejected: a numbered rule is broken",
        429: "rate_limited: to be repeated after Retry-After",
        431: "headers_too_large",
        500: "internal: a mistake of this program, which its log explains",
        503: "not_ready, storage or overloaded: to be repeated after Retry-After",
    }
)

_ERROR: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "rule": {"type": ["string", "null"], "description": "id of the broken requirement, such as MEM-1"},
    },
    "required": ["code", "message", "rule"],
    "additionalProperties": False,
    "example": {"code": "rejected", "message": "the nonce is 7, but 5 comes next", "rule": "MEM-4"},
}
_BINARY: Schema = {"type": "string", "contentMediaType": SSZ}
_RAW: Mapping[str, Schema] = {
    JSON: {},
    SSZ: _BINARY,
    STREAM: {
        "type": "object",
        "properties": {
            "id": decimal_schema(64),
            "event": {"type": "string"},
            "data": {"type": "string", "contentMediaType": JSON},
        },
        "required": ["id", "event", "data"],
        "description": "each event of the stream",
    },
}


def openapi(endpoints: Iterable[Endpoint], *, title: str, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these endpoints."""
    endpoints = tuple(endpoints)
    containers = [
        kind for endpoint in endpoints for kind in (endpoint.request, endpoint.response) if isinstance(kind, type)
    ]
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "schemas": {**json_schemas(containers), "Error": dict(_ERROR)},
            "responses": {str(status): _error_response(status, text) for status, text in STATUSES.items()},
        },
    }


def _error_response(status: int, text: str) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": text,
        "content": {JSON: {"schema": {"$ref": COMPONENTS + "Error"}}},
    }
    if status in (429, 503):
        response["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
    if status == 405:
        response["headers"] = {"Allow": {"schema": {"type": "string"}}}
    return response


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": {
            **_success(endpoint),
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _failures(endpoint)},
        },
    }
    parameters = [_parameter(name, PARAMETERS[name], "path") for name in endpoint.parameters]
    parameters += [_parameter(name, parameter, "query") for name, parameter in endpoint.query.items()]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.request is not None:
        operation["requestBody"] = {
            "required": True,
            "description": f"at most {endpoint.limit_bytes} bytes",
            "content": _both(endpoint.request),
        }
    return operation


def _parameter(name: str, parameter: Parameter, place: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": parameter.schema,
        "example": parameter.example,
    }


def _both(kind: type[SszObject]) -> dict[str, Any]:
    return {JSON: {"schema": {"$ref": COMPONENTS + kind.__name__}}, SSZ: {"schema": dict(_BINARY)}}


def _success(endpoint: Endpoint) -> dict[str, Any]:
    match endpoint.response:
        case None:
            return {"204": {"description": "taken"}}
        case Raw(content_type=content_type):
            content: dict[str, Any] = {content_type: {"schema": dict(_RAW.get(content_type, {"type": "string"}))}}
        case type():
            content = _both(endpoint.response)
            content[JSON]["schema"] = _wrapped(content[JSON]["schema"])
        case _:
            content = {JSON: {"schema": _wrapped(endpoint.response)}}
    return {"200": {"description": "done", "content": content}}


def _wrapped(schema: Schema) -> Schema:
    return {"type": "object", "properties": {"data": schema}, "required": ["data"], "additionalProperties": False}


def _failures(endpoint: Endpoint) -> list[int]:
    """What the endpoint can answer otherwise."""
    bodily = (408, 409, 411, 413, 415, 422)
    return [
        status
        for status in STATUSES
        if (endpoint.request or status not in bodily)
        and (endpoint.peers_only or status != 403)
        and (endpoint.response or status != 406)
    ]
