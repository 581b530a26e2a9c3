"""The HTTP border over real sockets: what a node takes, refuses and outlives, and what a peer takes from a node."""

from __future__ import annotations

import asyncio
import concurrent.futures
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
import trustme
from hypothesis import HealthCheck, given, settings, strategies as st

from encmempool.errors import Conflict, EnvironmentProblem, Malformed, Rejected, StorageError
from encmempool.json_form import to_json
from encmempool.network.endpoints import ENDPOINTS, KIB, MIB, Endpoint, Raw
from encmempool.network.listening import _Connection
from encmempool.network.peer import BlockingPeer, Peer, PeerProblem, PeerTls, Refused
from encmempool.network.server import (
    Application,
    Call,
    Event,
    EventFeed,
    Events,
    Handler,
    Limits,
    Listener,
    Problem,
    serve,
)
from encmempool.network.wire import TransactionBatch
from encmempool.types import EncryptedTransaction, Header, Receipt, SignedReceipt

HOST = "127.0.0.1"
JSON, SSZ = "application/json", "application/octet-stream"

HEADER = Header(
    version=1,
    key_id=bytes(32),
    scheme=2,
    sender=bytes(20),
    nonce=7,
    gas_limit=21_000,
    max_fee_per_gas=1,
    max_priority_fee_per_gas=1,
    target_height=0,
    valid_until=9,
)
TRANSACTION = EncryptedTransaction(header=HEADER, ciphertext=b"ciphertext", signature=bytes(65))
POST_HEAD = b"POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n"
BIG = EncryptedTransaction(header=HEADER, ciphertext=bytes(66_000), signature=bytes(65))
RECEIPT = SignedReceipt(
    message=Receipt(
        tx_id=TRANSACTION.tx_id,
        sequence=3,
        received_at_ms=1,
        include_by_height=2,
        include_by_l1_block=3,
        reveal_by_l1_block=4,
    ),
    signature=bytes(65),
)


class Node:
    """A server on a thread of its own. Whatever fails in it unexpectedly fails the test."""

    def __init__(
        self,
        handlers: Mapping[str, Handler] | None = None,
        *,
        limits: Limits | None = None,
        listener: Listener | None = None,
        endpoints: tuple[Endpoint, ...] = ENDPOINTS,
    ) -> None:
        self.logged: list[tuple[str, BaseException | None]] = []
        self.observed: list[tuple[str, int]] = []
        self.application = Application(
            handlers or {"submit_transaction": submit},
            endpoints=endpoints,
            limits=limits,
            log=lambda event, /, *, error=None, **fields: self.logged.append((event, error)),
            observe=lambda name, status, seconds: self.observed.append((name, status)),
        )
        self.listener = listener or Listener()
        self.unhandled: list[dict[str, Any]] = []
        self._started: concurrent.futures.Future[int] = concurrent.futures.Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda loop, context: self.unhandled.append(context))
        self._stop = asyncio.Event()
        try:
            await serve(self.application, self.listener, started=self._started.set_result, stop=self._stop)
        except EnvironmentProblem as problem:
            self._started.set_exception(problem)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.port = self._started.result(5)
        except EnvironmentProblem:
            self._thread.join()
            raise
        self.url = f"{'https' if self.listener.certificate else 'http'}://{HOST}:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.unhandled == []

    def stop(self) -> None:
        with suppress(RuntimeError):  # the loop may be closed already
            self.loop.call_soon_threadsafe(self._stop.set)

    def wait_stopped(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def on_loop(self, call: Callable[..., Any], *arguments: Any) -> Any:
        async def work() -> Any:
            return call(*arguments)

        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(5)

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=5)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=5)) as connection:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            return answer_of(connection.getresponse())

    def post(self, body: bytes, content_type: str | None = SSZ, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type is not None:
            named["content-type"] = content_type
        return self.ask("POST", "/v1/transactions", body, named)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the uniform error object, which it must be."""
        assert self.headers["content-type"] == JSON
        assert set(self.document) == {"code", "message", "rule"}
        assert b"Traceback" not in self.body
        return str(self.document["code"])


def answer_of(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def received(connection: socket.socket) -> Answer:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return answer_of(response)


def receive(connection: socket.socket, enough: Callable[[bytes], bool]) -> bytes:
    """Until it is enough. Keeps the last kilobytes only."""
    data = b""
    while not enough(data):
        piece = connection.recv(65_536)
        assert piece, data
        data = data[-4096:] + piece
    return data


def is_closed(connection: socket.socket, within_s: float) -> bool:
    connection.settimeout(within_s)
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def eventually(condition: Callable[[], bool], within_s: float = 3.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


async def submit(call: Call) -> SignedReceipt:
    return replace(RECEIPT, message=replace(RECEIPT.message, tx_id=call.body.tx_id))


def raising(error: Exception) -> Handler:
    async def handler(call: Call) -> None:
        raise error

    return handler


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """For what leaves no trace behind: it limits no requests."""

    async def about(call: Call) -> dict[str, Any]:
        return {"role": "member", "query": {name: str(value) for name, value in call.query.items()}}

    async def echo(call: Call) -> dict[str, Any]:
        return {name: value if isinstance(value, str) else repr(value) for name, value in call.path.items()}

    async def nothing(call: Call) -> None:
        return None

    handlers: dict[str, Handler] = {
        "submit_transaction": submit,
        "submit_vote": nothing,
        "node": about,
        "votes": nothing,
        "account": echo,
        "certificate": nothing,
    }
    with Node(handlers, limits=Limits(exempt=frozenset({HOST}))) as running:
        yield running
    assert running.logged == []


# --- forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (SSZ, TRANSACTION.encoded),
        (JSON, json.dumps(to_json(TRANSACTION)).encode()),
        ("Application/JSON; charset=utf-8", json.dumps(to_json(TRANSACTION)).encode()),
        (SSZ, BIG.encoded),
        (JSON, json.dumps(to_json(BIG)).encode()),
    ],
    ids=["ssz", "json", "json-charset", "ssz-large", "json-large"],
)
def test_object_is_taken_as_json_and_as_ssz(node, content_type, body):
    answer = node.post(body, content_type)
    assert answer.status == 200
    tx_id = (BIG if len(body) > 10_000 else TRANSACTION).tx_id
    assert answer.document["data"]["message"]["tx_id"] == "0x" + tx_id.hex()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (SSZ, SSZ),
        (f"{SSZ};q=0.9, {JSON};q=0.5", SSZ),
        (f"{SSZ};q=0.5, {JSON}", JSON),
        (f"{JSON};q=0, */*", SSZ),
        ("text/html, */*;q=0.1", JSON),
    ],
)
def test_answer_has_the_form_that_is_accepted(node, accept, content_type):
    answer = node.post(TRANSACTION.encoded, **({"accept": accept} if accept else {}))
    assert answer.headers["content-type"] == content_type
    if content_type == SSZ:
        assert SignedReceipt.decode(answer.body) == RECEIPT
    else:
        assert answer.document == {"data": to_json(RECEIPT)}


@pytest.mark.parametrize("accept", ["text/html", f"{JSON};q=0", f"{JSON};q=x", "application/json+x", ","])
def test_answer_is_refused_if_neither_form_is_accepted(node, accept):
    answer = node.post(TRANSACTION.encoded, accept=accept)
    assert (answer.status, answer.code) == (406, "not_acceptable")


def test_endpoint_without_content_answers_204(node):
    vote = next(endpoint for endpoint in ENDPOINTS if endpoint.name == "submit_vote").request
    body = bytes(vote.codec().size)
    answer = node.ask("POST", "/v1/votes", body, {"content-type": SSZ})
    assert (answer.status, answer.body) == (204, b"")
    assert "content-type" not in answer.headers


def test_lookup_that_finds_nothing_answers_404(node):
    answer = node.ask("GET", "/v1/certificates/3")
    assert (answer.status, answer.code) == (404, "not_found")


def test_parameters_reach_the_handler_decoded(node):
    assert node.ask("GET", "/v1/votes?height=12").status == 404
    answer = node.ask("GET", "/v1/accounts/0x" + "ab" * 20)
    assert answer.document["data"]["address"] == repr(b"\xab" * 20)


def test_openapi_document_lists_what_this_node_serves(node):
    document = node.ask("GET", "/v1/openapi.json").document
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]["/v1/votes"]) == {"get", "post"}
    assert "/v1/proposals" not in document["paths"]


def test_answer_tells_nothing_of_the_program(node):
    headers = node.ask("GET", "/v1/node").headers
    assert set(headers) == {"date", "content-type", "content-length", "x-content-type-options"}


def test_observer_is_told_name_and_status_of_every_answer():
    with Node() as fresh:
        fresh.post(TRANSACTION.encoded)
        fresh.post(b"")
        fresh.ask("GET", "/nothing")
        assert eventually(
            lambda: fresh.observed == [("submit_transaction", 200), ("submit_transaction", 400), ("", 404)]
        )


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "document", "retry"),
    [
        (Malformed("torn"), 400, {"code": "malformed", "message": "torn", "rule": None}, None),
        (Rejected("MEM-1", "spent"), 422, {"code": "rejected", "message": "spent", "rule": "MEM-1"}, None),
        (Conflict("another vote"), 409, {"code": "conflict", "message": "another vote", "rule": None}, None),
        (
            Problem(429, "rate_limited", "full", retry_after_s=2.1),
            429,
            {"code": "rate_limited", "message": "full", "rule": None},
            "3",
        ),
        (
            Problem(503, "not_ready", "behind", rule="TOY-1", retry_after_s=0.1),
            503,
            {"code": "not_ready", "message": "behind", "rule": "TOY-1"},
            "1",
        ),
    ],
)
def test_error_of_a_handler_becomes_the_uniform_object(error, status, document, retry):
    with Node({"submit_transaction": raising(error)}) as running:
        answer = running.post(TRANSACTION.encoded)
        assert answer.code == document["code"]
        assert (answer.status, answer.document, answer.headers.get("retry-after")) == (status, document, retry)
        assert running.logged == []


@pytest.mark.parametrize(
    ("error", "status", "code", "event"),
    [
        (StorageError("/home/secret.sqlite is full"), 503, "storage", "storage_failed"),
        (EnvironmentProblem("/home/secret is missing"), 503, "not_ready", "not_ready"),
        (ValueError("secret"), 500, "internal", "request_failed"),
        (AssertionError("secret"), 500, "internal", "request_failed"),
        (KeyError(b"secret"), 500, "internal", "request_failed"),
    ],
)
def test_failure_of_the_node_is_logged_and_not_told(error, status, code, event):
    with Node({"submit_transaction": raising(error)}) as running:
        for _ in range(2):
            answer = running.post(TRANSACTION.encoded)
            assert (answer.status, answer.code) == (status, code)
            assert b"secret" not in answer.body
        assert running.logged == [(event, error)] * 2
        assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("answer", [{"a": 1}, b"bytes", TRANSACTION, Events(EventFeed().subscribe())])
def test_answer_of_another_kind_than_the_table_says_is_a_mistake_of_the_node(answer):
    async def wrong(call: Call) -> Any:
        return answer

    with Node({"submit_transaction": wrong}) as running:
        assert running.post(TRANSACTION.encoded).status == 500
        assert [event for event, _ in running.logged] == ["request_failed"]


def test_handler_for_no_endpoint_is_refused():
    with pytest.raises(ValueError, match="no endpoint is called submit"):
        Application({"submit": submit})


# --- paths and queries -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/v1",
        "/v1/",
        "//v1/node",
        "/v1//node",
        "/v1/node/",
        "/v1/./node",
        "/v1/../v1/node",
        "/../../etc/passwd",
        "/v1/%6eode",
        "/v1%2fnode",
        "/v1/node%00",
        "/v1/node%2f",
        "/v1/{}",
        "/v1/accounts/",
        "/v1/accounts//",
        "/v1/accounts/{}/x",
        "/V1/node",
        "/v1/node;x",
        "/v1/" + "x" * 5000,
        "/v1/certificates/1/" * 20,
        "/v1/genesis",
        "/v1/é".encode().decode("latin-1").replace("\xa9", "%A9").replace("\xc3", "%C3"),
        "http://other/v1/nothing",
        "*",
    ],
)
def test_path_that_is_none_answers_404(node, path):
    answer = node.ask("GET", path)
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/certificates/-1",
        "/v1/certificates/01",
        "/v1/certificates/%31",
        "/v1/certificates/1%00",
        "/v1/certificates/..",
        "/v1/certificates/99999999999999999999",
        "/v1/certificates/" + "9" * 400,
        "/v1/certificates/heads",
        "/v1/accounts/0x" + "ab" * 19,
        "/v1/accounts/" + "ab" * 20,
        "/v1/accounts/{address}",
        "/v1/accounts/{}",
    ],
)
def test_parameter_that_is_none_answers_400_naming_it(node, path):
    answer = node.ask("GET", path)
    assert (answer.status, answer.code) == (400, "malformed")
    assert answer.document["message"].startswith(
        path.split("/")[2].removesuffix("s").replace("certificate", "height").replace("account", "address") + ": "
    )


@pytest.mark.parametrize(
    "query",
    [
        "x=1",
        "height",
        "height=",
        "height=x",
        "height=1&height=1",
        "height=1&x=1",
        "=1",
        "&",
        "height=1;x",
        "height=%ff",
        "height=1%00",
        "&".join(f"x{number}=1" for number in range(40)),
    ],
)
def test_query_that_is_not_the_endpoints_answers_400(node, query):
    answer = node.ask("GET", f"/v1/votes?{query}")
    assert (answer.status, answer.code) == (400, "malformed")


def test_query_is_refused_where_none_is_known(node):
    assert node.ask("GET", "/v1/node?").status == 200
    assert node.ask("GET", "/v1/node?verbose=1").code == "malformed"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "POST", "FOO"])
def test_other_method_answers_405_with_those_allowed(node, method):
    answer = node.ask(method, "/v1/node")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    if method != "HEAD":
        assert answer.code == "method_not_allowed"


def test_method_of_another_role_is_not_allowed():
    with Node({"votes": raising(Malformed(""))}) as running:
        assert running.ask("POST", "/v1/votes", b"").headers["allow"] == "GET"


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "json"])
def test_body_of_another_content_type_answers_415(node, content_type):
    answer = node.post(TRANSACTION.encoded, content_type)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_body_with_content_encoding_answers_415(node):
    assert node.post(TRANSACTION.encoded, content_encoding="gzip").status == 415


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", SSZ),
        (b"", JSON),
        (TRANSACTION.encoded[:100], SSZ),
        (b"\0" + TRANSACTION.encoded, SSZ),
        (TRANSACTION.encoded, JSON),
        (b"{}", JSON),
        (b"[" * 60_000, JSON),
        (b"\xff\xfe", JSON),
        (json.dumps({**to_json(TRANSACTION), "more": "1"}).encode(), JSON),
    ],
)
def test_body_that_is_no_such_object_answers_400(node, body, content_type):
    answer = node.post(body, content_type)
    assert (answer.status, answer.code) == (400, "malformed")


@pytest.mark.parametrize("content_type", [SSZ, JSON])
def test_body_beyond_the_limit_answers_413_without_being_read(node, content_type):
    with node.connect() as connection:
        head = f"POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\n"
        connection.sendall(f"{head}content-length: {10 * MIB}\r\n\r\n".encode())
        answer = received(connection)
        assert (answer.status, answer.code) == (413, "too_large")
        assert answer.headers["connection"] == "close"


def test_body_of_a_large_endpoint_has_a_limit_of_its_own_as_json():
    async def batch(call: Call) -> dict[str, Any]:
        return {}

    large = next(endpoint for endpoint in ENDPOINTS if endpoint.name == "submit_transactions")
    endpoint = replace(large, limit_bytes=64 * MIB, response={"type": "object"})
    unlimited = Limits(exempt=frozenset({HOST}))
    with Node({"submit_transactions": batch}, endpoints=(endpoint,), limits=unlimited) as running:
        body = TransactionBatch(transactions=(BIG,) * 150).encoded
        assert len(body) > 9 * MIB
        headers = {"content-type": SSZ}
        assert running.ask("POST", endpoint.path, body, headers).status == 200
        answer = running.ask("POST", endpoint.path, b"x" * 9 * MIB, {"content-type": JSON})
        assert answer.code == "too_large"


def test_chunked_body_is_taken_and_bounded(node):
    def chunks(data: bytes) -> Iterator[bytes]:
        return (data[at : at + 1000] for at in range(0, len(data), 1000))

    assert node.ask("POST", "/v1/transactions", chunks(BIG.encoded), {"content-type": SSZ}).status == 200
    with node.connect() as connection:
        connection.sendall(POST_HEAD + b"transfer-encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):  # refused while it is being sent
            for _ in range(400):
                connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        answer = received(connection)
        assert (answer.status, answer.code) == (413, "too_large")


def test_body_without_length_answers_411(node):
    with node.connect() as connection:
        connection.sendall(
            b"POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n\r\n"
        )
        answer = received(connection)
        assert (answer.status, answer.code) == (411, "length_required")


def test_body_of_a_request_that_has_none_answers_400(node):
    answer = node.ask("GET", "/v1/node", b"{}", {"content-type": JSON})
    assert (answer.status, answer.code) == (400, "malformed")


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: -1\r\n",
        b"content-length: 0x5\r\n",
        b"transfer-encoding: gzip\r\n",
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
    ],
)
def test_body_whose_end_is_doubtful_is_refused(node, head):
    with node.connect() as connection:
        connection.sendall(
            b"POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n"
            + head
            + b"\r\nGET x"
        )
        answer = received(connection)
        assert answer.status in (400, 501)
        assert answer.headers["connection"] == "close"


def test_chunk_that_is_none_ends_the_connection(node):
    with node.connect() as connection:
        connection.sendall(POST_HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n")
        assert is_closed(connection, 2)


def test_refused_request_with_a_small_body_keeps_the_connection(node):
    with closing(http.client.HTTPConnection(HOST, node.port, timeout=5)) as connection:
        for content_type, status in (("text/plain", 415), (SSZ, 200), ("text/plain", 415), (SSZ, 200)):
            connection.request("POST", "/v1/transactions", TRANSACTION.encoded, {"content-type": content_type})
            own = connection.sock
            assert answer_of(connection.getresponse()).status == status
            assert connection.sock is own
        connection.request("POST", "/v1/transactions", bytes(100_000), {"content-type": "text/plain"})
        assert answer_of(connection.getresponse()).headers["connection"] == "close"


def test_client_that_waits_for_a_go_ahead_gets_one_or_the_refusal(node):
    head = POST_HEAD + b"expect: 100-continue\r\n"
    with node.connect() as connection:
        connection.sendall(head + f"content-length: {len(TRANSACTION.encoded)}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(TRANSACTION.encoded)
        assert received(connection).status == 200
    with node.connect() as connection:
        connection.sendall(head + b"content-length: 9999999\r\n\r\n")
        assert received(connection).status == 413


def test_large_bodies_have_a_budget_that_is_given_back():
    limits = Limits(body_bytes=300 * KIB, body_bytes_per_address=300 * KIB)
    release = threading.Event()

    async def slow(call: Call) -> SignedReceipt:
        await asyncio.to_thread(release.wait, 10)
        return RECEIPT

    padded = json.dumps(to_json(BIG), indent=1).encode()
    assert 128 * KIB < len(padded) < 150 * KIB
    with Node({"submit_transaction": slow}, limits=limits) as running, concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = [pool.submit(running.post, padded, JSON) for _ in range(2)]
        assert eventually(lambda: running.application._bodies.taken > 250 * KIB)
        answer = running.post(padded, JSON)
        assert (answer.status, answer.code) == (503, "overloaded")
        assert answer.headers["retry-after"] == "1"
        release.set()
        assert [future.result().status for future in first] == [200, 200]
        assert eventually(lambda: running.application._bodies.taken == 0)
        assert running.post(padded, JSON).status == 200


# --- time ------------------------------------------------------------------------------------------------------------

IMPATIENT = Limits(header_timeout_s=0.4, body_timeout_s=0.4, idle_timeout_s=0.4, write_timeout_s=0.4)
HEAD = b"GET /v1/node HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def impatient() -> Iterator[Node]:
    async def about(call: Call) -> dict[str, Any]:
        return {}

    async def much(call: Call) -> bytes:
        return bytes(64 * MIB)

    with Node({"node": about, "submit_transaction": submit, "parameters": much}, limits=IMPATIENT) as running:
        yield running


def test_connection_without_a_request_is_closed(impatient):
    with impatient.connect() as connection:
        assert not is_closed(connection, 0.2)
        assert is_closed(connection, 2)


def test_idle_connection_is_closed(impatient):
    with impatient.connect() as connection:
        connection.sendall(HEAD)
        assert received(connection).status == 200
        assert is_closed(connection, 2)


def trickle(connection: socket.socket, data: bytes, *, every_s: float = 0.05) -> None:
    """Byte by byte until the other side has enough."""
    connection.settimeout(0.001)
    for at in range(len(data)):
        try:
            connection.sendall(data[at : at + 1])
        except OSError:
            return
        time.sleep(every_s)
        with suppress(TimeoutError):
            if connection.recv(1, socket.MSG_PEEK):
                return


def test_head_that_trickles_answers_408(impatient):
    started = time.monotonic()
    with impatient.connect() as connection:
        trickle(connection, HEAD * 10)
        connection.settimeout(2)
        answer = received(connection)
        assert (answer.status, answer.code) == (408, "timeout")
        assert is_closed(connection, 2)
    assert time.monotonic() - started < 1.5


def test_head_that_trickles_after_another_request_answers_408(impatient):
    started = time.monotonic()
    with impatient.connect() as connection:
        connection.sendall(HEAD)
        assert received(connection).status == 200
        trickle(connection, HEAD)
        connection.settimeout(2)
        assert received(connection).status == 408
    assert time.monotonic() - started < 1.5


def test_many_half_heads_do_not_keep_others_out(impatient):
    held = [impatient.connect() for _ in range(60)]
    for connection in held:
        connection.sendall(HEAD[:-2])
    assert impatient.ask("GET", "/v1/node").status == 200
    assert all(is_closed(connection, 2) for connection in held)
    for connection in held:
        connection.close()


def test_body_that_trickles_answers_408(impatient):
    with impatient.connect() as connection:
        connection.sendall(POST_HEAD + b"content-length: 1000\r\n\r\n")
        trickle(connection, bytes(100))
        connection.settimeout(2)
        answer = received(connection)
        assert (answer.status, answer.code, answer.headers["connection"]) == (408, "timeout", "close")
        assert is_closed(connection, 2)


def test_client_that_goes_away_in_its_body_leaves_nothing(impatient):
    with impatient.connect() as connection:
        connection.sendall(POST_HEAD + b"content-length: 100000\r\n\r\n" + bytes(80_000))
        assert eventually(lambda: impatient.application._bodies.taken > 0)
    assert eventually(lambda: impatient.application._bodies.taken == 0)


def test_response_that_nobody_reads_is_given_up(impatient):
    with impatient.connect() as connection:
        connection.sendall(b"GET /v1/parameters/0x" + b"00" * 32 + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        assert eventually(lambda: impatient.application._bodies.taken > 0)
        assert eventually(lambda: impatient.application._bodies.taken == 0, 3)
        assert is_closed(connection, 2)


def test_response_that_is_read_slowly_arrives(impatient):
    with impatient.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.sendall(b"GET /v1/parameters/0x" + b"00" * 32 + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        size, started = 0, time.monotonic()
        while piece := connection.recv(MIB):
            size += len(piece)
            if time.monotonic() - started < 1.2:  # three times the limit
                time.sleep(0.1)
        assert size > 64 * MIB


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/node HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET /v1/node HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 40_000,
        b"GET /v1/" + b"x" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/votes?height=" + b"1" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/node HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 9000 + b"\r\n",
    ],
    ids=["at-once", "in-parts", "path", "query", "many"],
)
def test_head_beyond_the_limit_answers_431(node, head):
    with node.connect() as connection:
        connection.sendall(head)
        answer = received(connection)
        assert (answer.status, answer.code) == (431, "headers_too_large")


def test_limit_of_a_head_is_the_nodes_own():
    with Node(limits=Limits(header_bytes=1000)) as running, running.connect() as connection:
        connection.sendall(b"GET /v1/node HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 2000)
        assert received(connection).code == "headers_too_large"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET / HTTP/1.1\nno colon\n\n",
        b"\r\n\r\n\r\n" * 10 + b"x\r\n\r\n",
    ],
)
def test_what_is_not_http_answers_400(node, data):
    with node.connect() as connection:
        connection.sendall(data)
        answer = received(connection)
        assert (answer.status, answer.code) == (400, "malformed")
        assert is_closed(connection, 2)


REQUEST = POST_HEAD + f"content-length: {len(TRANSACTION.encoded)}\r\n\r\n".encode() + TRANSACTION.encoded
CHUNKED = POST_HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx: y\r\n\r\n"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.sampled_from((HEAD, REQUEST, CHUNKED, HEAD + REQUEST + HEAD)),
    faults=st.lists(
        st.tuples(
            st.floats(0, 1), st.integers(0, 9), st.binary(max_size=3) | st.sampled_from((b"\r\n", b": ", b"%00"))
        ),
        max_size=3,
    ),
)
def test_mutated_request_is_answered_in_order_or_cut_off(node, whole, faults):
    for place, cut, inserted in faults:
        at = int(place * min(len(whole), 200))
        whole = whole[:at] + inserted + whole[at + cut :]
    with node.connect() as connection:
        connection.sendall(whole)
        connection.shutdown(socket.SHUT_WR)
        data = b""
        with suppress(ConnectionError):
            while piece := connection.recv(65_536):
                data += piece
    assert data == b"" or data.startswith(b"HTTP/1.1 ")
    assert b"Internal Server Error" not in data


def test_upgrade_is_not_heard(node):
    answer = node.ask("GET", "/v1/node", headers={"connection": "upgrade", "upgrade": "websocket"})
    assert answer.status == 200


def test_pipelined_requests_are_answered_in_order(node):
    with node.connect() as connection:
        connection.sendall(HEAD + HEAD.replace(b"node", b"nothing") + HEAD)
        data = receive(connection, lambda data: data.count(b"HTTP/1.1 ") == 3)
        assert re.findall(rb"HTTP/1\.1 (\d+)", data) == [b"200", b"404", b"200"]


@pytest.fixture
def connections(monkeypatch) -> list[_Connection]:
    """All that servers accept, in order."""
    found: list[_Connection] = []
    made = _Connection.connection_made

    def record(self: _Connection, transport: asyncio.Transport) -> None:
        found.append(self)
        made(self, transport)

    monkeypatch.setattr(_Connection, "connection_made", record)
    return found


def test_answers_do_not_wait_for_acknowledgements(node, connections):
    with node.connect() as connection:
        connection.sendall(HEAD)
        assert received(connection).status == 200
        accepted = connections[0].transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# --- how much --------------------------------------------------------------------------------------------------------


def test_caller_beyond_its_rate_answers_429_and_is_served_again():
    handlers: dict[str, Handler] = {"submit_transaction": submit, "health": raising(Malformed(""))}
    with Node(handlers, limits=Limits(requests_per_s=4, burst=3)) as running:
        answers = [running.post(TRANSACTION.encoded) for _ in range(6)]
        assert [answer.status for answer in answers[:3]] == [200] * 3
        assert answers[-1].code == "rate_limited"
        assert answers[-1].headers["retry-after"] == "1"
        assert running.ask("GET", "/nothing").status == 429
        assert running.ask("GET", "/v1/health").status == 400  # costs nothing
        assert eventually(lambda: running.post(TRANSACTION.encoded).status == 200)


def test_large_bodies_cost_more_of_the_rate():
    with Node(limits=Limits(requests_per_s=0.001, burst=10)) as running:
        assert [running.post(BIG.encoded).status for _ in range(4)] == [200, 200, 429, 429]


def test_connections_of_an_address_are_bounded_and_given_back():
    with Node(limits=Limits(connections=10, connections_per_address=4)) as running:
        held = [running.connect() for _ in range(4)]
        with running.connect() as connection:
            answer = received(connection)
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "overloaded", "1")
            assert is_closed(connection, 2)
        held.pop().close()

        def served() -> bool:
            with suppress(ConnectionError):
                return running.post(TRANSACTION.encoded).status == 200
            return False

        assert eventually(served)
        for connection in held:
            connection.close()


def test_exempt_address_has_no_limit_of_connections_and_requests():
    limits = Limits(connections=1, connections_per_address=1, requests_per_s=0.1, burst=1, exempt=frozenset({HOST}))
    with Node(limits=limits) as running:
        held = [running.connect() for _ in range(3)]
        assert [running.post(BIG.encoded).status for _ in range(3)] == [200] * 3
        for connection in held:
            connection.close()


def test_large_object_is_not_answered_as_json():
    async def large(call: Call) -> TransactionBatch:
        return TransactionBatch(transactions=(BIG,) * 150)

    endpoint = Endpoint(
        name="large", method="GET", path="/v1/large", summary="", tag="chain", response=TransactionBatch
    )
    with Node({"large": large}, endpoints=(endpoint,)) as running:
        assert running.ask("GET", "/v1/large").code == "not_acceptable"
        assert len(running.ask("GET", "/v1/large", headers={"accept": SSZ}).body) > 9 * MIB


@pytest.mark.parametrize(("count", "thread"), [(1, "Thread"), (500, "http-bodies")], ids=["small", "large"])
def test_large_body_is_decoded_beside_the_loop(monkeypatch, count, thread):
    decode, threads = TransactionBatch.decode, []

    def record(data: bytes) -> TransactionBatch:
        threads.append(threading.current_thread().name)
        return decode(data)

    async def batch(call: Call) -> dict[str, Any]:
        return {}

    monkeypatch.setattr(TransactionBatch, "decode", record)
    large = next(endpoint for endpoint in ENDPOINTS if endpoint.name == "submit_transactions")
    endpoint = replace(large, response={"type": "object"})
    body = TransactionBatch(transactions=(TRANSACTION,) * count).encoded
    with Node({"submit_transactions": batch}, endpoints=(endpoint,)) as running:
        assert running.ask("POST", endpoint.path, body, {"content-type": SSZ}).status == 200
    assert [name.startswith(thread) for name in threads] == [True]


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass
class Stream:
    """A node with a feed, and what its handler saw."""

    node: Node
    feed: EventFeed
    last_ids: list[int | None]

    def publish(self, number: int, size: int = 1) -> None:
        self.node.on_loop(self.feed.publish, Event("height", {"height": "x" * size}, number))

    def open(self, headers: bytes = b"") -> socket.socket:
        before = self.feed.subscribers
        connection = self.node.connect()
        connection.sendall(b"GET /v1/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n" + headers + b"\r\n")
        assert eventually(lambda: self.feed.subscribers > before)
        return connection


@pytest.fixture
def stream() -> Iterator[Stream]:
    feed = EventFeed(queue=8)
    last_ids: list[int | None] = []

    async def events(call: Call) -> Events:
        last_ids.append(call.last_event_id)
        return Events(feed.subscribe())

    limits = Limits(keep_alive_s=0.1, write_timeout_s=0.4, streams=3, streams_per_address=2)
    with Node({"events": events}, limits=limits) as node:
        yield Stream(node, feed, last_ids)


def test_event_arrives_with_name_data_and_id(stream):
    with stream.open() as connection:
        stream.publish(4)
        data = receive(connection, lambda data: b'id: 4\nevent: height\ndata: {"height":"x"}\n\n' in data)
        assert b"content-type: text/event-stream\r\n" in data


def test_idle_event_stream_is_kept_alive_by_comments(stream):
    with stream.open() as connection:
        receive(connection, lambda data: data.count(b":\n\n") >= 3)


def test_client_that_comes_back_hands_over_its_last_id(stream):
    with stream.open(b"last-event-id: 17\r\n"):
        assert stream.last_ids == [17]
    answer = stream.node.ask("GET", "/v1/events", headers={"last-event-id": "x"})
    assert (answer.status, answer.code) == (400, "malformed")


def test_client_that_leaves_is_forgotten(stream):
    with stream.open():
        assert stream.feed.subscribers == 1
    assert eventually(lambda: stream.feed.subscribers == 0)


def contains(piece: bytes, data: bytes) -> bool:
    return piece in data


def test_client_that_does_not_read_is_dropped_while_others_go_on(stream):
    with stream.open() as slow, stream.open() as quick:
        for number in range(60):  # more than both sides' buffers and the queue hold
            stream.publish(number, 256 * KIB)
            receive(quick, partial(contains, b"id: %d\n" % number))
        assert eventually(lambda: stream.feed.subscribers == 1)
        assert is_closed(slow, 3)
        stream.publish(60)
        receive(quick, partial(contains, b"id: 60\n"))
        assert stream.node.logged == []


def test_event_streams_of_an_address_are_bounded(stream):
    with stream.open(), stream.open():
        answer = stream.node.ask("GET", "/v1/events")
        assert (answer.status, answer.code) == (503, "overloaded")
        assert stream.feed.subscribers == 2
    assert eventually(lambda: stream.feed.subscribers == 0)
    stream.open().close()


def test_event_stream_ends_with_the_node(stream):
    with stream.open() as connection:
        stream.node.stop()
        assert stream.node.wait_stopped(2)
        data = b""
        while piece := connection.recv(1000):
            data += piece
        assert data.endswith(b"0\r\n\r\n")  # an orderly end


def test_failing_source_of_events_cuts_the_stream_off_and_is_logged():
    async def source() -> Any:
        yield Event("height", {}, 1)
        raise RuntimeError("broken")

    async def events(call: Call) -> Events:
        return Events(source())

    with Node({"events": events}) as running:
        with pytest.raises(http.client.IncompleteRead):
            running.ask("GET", "/v1/events")
        assert [str(error) for _, error in running.logged] == ["broken"]


def test_peer_follows_events_and_comes_back_with_its_last_id(stream):
    async def scenario() -> list[Event]:
        found = []
        async with Peer(stream.node.url) as peer:
            for last_id in (None, 5):
                events = peer.events(last_id)
                following = asyncio.ensure_future(anext(events))
                await asyncio.to_thread(eventually, lambda: stream.feed.subscribers == 1)
                await asyncio.to_thread(stream.publish, 5 + len(found))
                found.append(await following)
                await events.aclose()
                await asyncio.to_thread(eventually, lambda: stream.feed.subscribers == 0)
        return found

    found = asyncio.run(scenario())
    assert [event.id for event in found] == [5, 6]
    assert found[0] == Event("height", {"height": "x"}, 5)
    assert stream.last_ids == [None, 5]


# --- starting and stopping -------------------------------------------------------------------------------------------


def test_port_in_use_is_one_clear_line(node):
    with (
        pytest.raises(EnvironmentProblem, match=f"^port {node.port} is in use"),
        Node(listener=Listener(port=node.port)),
    ):
        pass


@pytest.mark.parametrize(
    ("listener", "message"),
    [
        (Listener(host="192.0.2.1"), "192.0.2.1 is not an address of this machine"),
        (Listener(host="no.such.host.invalid"), "is not an address of this machine"),
        (Listener(port=1 << 20), "1048576 is no port"),
        (Listener(key=Path("key.pem")), "needs a certificate"),
        (Listener(certificate=Path("/nothing.pem")), "missing: /nothing.pem"),
        (Listener(certificate=Path(__file__)), "cannot be used"),
    ],
)
def test_listener_that_is_impossible_is_one_clear_line(listener, message):
    with pytest.raises(EnvironmentProblem, match=message), Node(listener=listener):
        pass


def test_stopping_node_finishes_what_is_under_way_and_accepts_nothing_more():
    entered, release = threading.Event(), threading.Event()

    async def slow(call: Call) -> SignedReceipt:
        entered.set()
        await asyncio.to_thread(release.wait, 10)
        return RECEIPT

    with Node({"submit_transaction": slow}) as running, concurrent.futures.ThreadPoolExecutor(1) as pool:
        idle = running.connect()
        under_way = pool.submit(running.post, TRANSACTION.encoded)
        assert entered.wait(5)
        running.stop()
        assert is_closed(idle, 2)
        idle.close()
        with pytest.raises(ConnectionError):
            running.connect()
        assert not running.wait_stopped(0.2)
        release.set()
        assert under_way.result(5).status == 200
        assert running.wait_stopped(2)


def test_stopping_node_does_not_wait_for_ever():
    entered = threading.Event()

    async def hangs(call: Call) -> SignedReceipt:
        entered.set()
        await asyncio.Event().wait()
        return RECEIPT

    with (
        Node({"submit_transaction": hangs}, limits=Limits(shutdown_timeout_s=0.3)) as running,
        running.connect() as connection,
    ):
        connection.sendall(
            POST_HEAD + f"content-length: {len(TRANSACTION.encoded)}\r\n\r\n".encode() + TRANSACTION.encoded
        )
        assert entered.wait(5)
        running.stop()
        assert running.wait_stopped(3)


def test_port_is_free_again_after_the_node_stopped():
    with Node() as running:
        running.post(TRANSACTION.encoded)
        port = running.port
    with Node(listener=Listener(port=port)) as running:
        assert running.post(TRANSACTION.encoded).status == 200


# --- TLS -------------------------------------------------------------------------------------------------------------


@dataclass
class Certificates:
    folder: Path
    authority: trustme.CA

    def pem(self, authority: trustme.CA, name: str) -> Path:
        path = self.folder / f"{name}.pem"
        if not path.exists():
            authority.cert_pem.write_to_path(path)
        return path

    def tls(self, certificate: trustme.LeafCert, authority: trustme.CA, name: str) -> PeerTls:
        path, key = self.folder / f"{name}-chain.pem", self.folder / f"{name}.key"
        path.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
        return PeerTls(authority=self.pem(authority, f"{name}-authority"), certificate=path, key=key)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"), trustme.CA())


@pytest.fixture(scope="module")
def other_authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def secured(certificates: Certificates, *, header_timeout_s: float = 0.5) -> Iterator[Node]:
    """Mutual TLS: certificates of peers are verified; clients have none."""
    tls = certificates.tls(certificates.authority.issue_cert(HOST), certificates.authority, "server")

    async def about(call: Call) -> dict[str, Any]:
        return {"caller": call.caller, "peer": call.peer}

    async def vote(call: Call) -> None:
        return None

    listener = Listener(certificate=tls.certificate, key=tls.key, peer_authorities=tls.authority)
    limits = Limits(header_timeout_s=header_timeout_s, connections_per_address=8, requests_per_s=1, burst=4)
    with Node({"node": about, "submit_vote": vote}, listener=listener, limits=limits) as running:
        yield running


@pytest.fixture(scope="module")
def secure(certificates: Certificates) -> Iterator[Node]:
    with secured(certificates) as running:
        yield running


VOTE = next(endpoint for endpoint in ENDPOINTS if endpoint.name == "submit_vote").request.decode(bytes(145))


def ask_over_tls(node: Node, tls: PeerTls, name: str = "node", **arguments: Any) -> Any:
    async def scenario() -> Any:
        async with Peer(node.url, tls=tls) as peer:
            return await peer.call(name, **arguments)

    return asyncio.run(scenario())


def test_peer_with_a_certificate_is_known_by_its_name_and_has_no_limit_of_requests(secure, certificates):
    tls = certificates.tls(certificates.authority.issue_cert("member-1.example"), certificates.authority, "member")
    assert ask_over_tls(secure, tls) == {"caller": "member-1.example", "peer": True}
    for _ in range(6):
        assert ask_over_tls(secure, tls, "submit_vote", body=VOTE) is None


def test_client_without_a_certificate_is_served_but_for_what_is_for_peers(secure, certificates):
    tls = PeerTls(authority=certificates.pem(certificates.authority, "own-authority"))
    assert ask_over_tls(secure, tls) == {"caller": HOST, "peer": False}
    with pytest.raises(Refused) as caught:
        ask_over_tls(secure, tls, "submit_vote", body=VOTE)
    assert (caught.value.status, caught.value.code) == (403, "forbidden")


def test_peer_with_a_certificate_of_another_authority_is_refused(secure, certificates, other_authority):
    tls = replace(
        certificates.tls(other_authority.issue_cert("member-1.example"), other_authority, "stranger"),
        authority=certificates.pem(certificates.authority, "own-authority"),
    )
    with pytest.raises(PeerProblem, match=secure.url):
        ask_over_tls(secure, tls)


def test_peer_with_an_expired_certificate_is_refused(secure, certificates):
    then = datetime.now(UTC) - timedelta(days=1)
    expired = certificates.authority.issue_cert("member-1.example", not_before=then - timedelta(days=1), not_after=then)
    with pytest.raises(PeerProblem, match=secure.url):
        ask_over_tls(secure, certificates.tls(expired, certificates.authority, "expired"))


def test_node_with_a_certificate_of_another_authority_is_not_trusted(secure, certificates, other_authority):
    with pytest.raises(PeerProblem, match=r"cannot be reached: .*certificate verify failed"):
        ask_over_tls(secure, PeerTls(authority=certificates.pem(other_authority, "other-authority")))


def test_node_with_a_certificate_for_another_name_is_not_trusted(certificates):
    tls = certificates.tls(certificates.authority.issue_cert("elsewhere.example"), certificates.authority, "elsewhere")
    with (
        Node(listener=Listener(certificate=tls.certificate, key=tls.key)) as running,
        pytest.raises(PeerProblem, match="certificate verify failed"),
    ):
        ask_over_tls(running, PeerTls(authority=tls.authority), "genesis")


def test_system_authorities_are_asked_where_none_is_named(secure):
    with pytest.raises(PeerProblem, match="certificate verify failed"):
        ask_over_tls(secure, PeerTls())


def test_http_to_a_port_with_tls_fails_and_leaves_it_well(secure, certificates):
    with secure.connect() as connection:
        connection.sendall(HEAD)
        assert is_closed(connection, 2)
    tls = certificates.tls(certificates.authority.issue_cert("member-1.example"), certificates.authority, "member")
    assert ask_over_tls(secure, tls)["peer"]


def test_handshakes_that_never_end_are_counted_and_given_up(certificates):
    with secured(certificates, header_timeout_s=4.0) as secure:
        held = [secure.connect() for _ in range(8)]
        with secure.connect() as connection:
            assert is_closed(connection, 3)  # one too many
        assert all(is_closed(connection, 6) for connection in held)
        for connection in held:
            connection.close()
        tls = certificates.tls(certificates.authority.issue_cert("member-1.example"), certificates.authority, "member")
        assert ask_over_tls(secure, tls)["peer"]


def test_connection_that_is_lost_while_the_server_looks_after_it_does_no_harm(secure, certificates, connections):
    def lose(connection: _Connection) -> None:
        connection.transport._ssl_protocol.connection_lost(None)  # type: ignore[attr-defined]
        connection.check(time.monotonic())

    context = ssl.create_default_context(cafile=certificates.pem(certificates.authority, "own-authority"))
    with context.wrap_socket(secure.connect(), server_hostname=HOST):
        assert eventually(lambda: len(connections) == 1)
        secure.on_loop(lose, connections[0])


def test_old_tls_is_refused(secure, certificates):
    context = ssl.create_default_context(cafile=certificates.pem(certificates.authority, "own-authority"))
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with secure.connect() as connection, pytest.raises(OSError):
        context.wrap_socket(connection, server_hostname=HOST)


@pytest.mark.parametrize("part", ["authority", "certificate", "key"])
def test_missing_pem_file_of_a_peer_is_one_clear_line(certificates, part):
    tls = certificates.tls(certificates.authority.issue_cert("member-1.example"), certificates.authority, "member")
    with pytest.raises(EnvironmentProblem, match=r"is missing: /nothing\.pem"):
        Peer("https://127.0.0.1:1", tls=replace(tls, **{part: Path("/nothing.pem")}))


def test_key_with_a_password_is_refused_without_asking(certificates, tmp_path):
    from cryptography.hazmat.primitives import serialization

    leaf = certificates.authority.issue_cert(HOST)
    tls = certificates.tls(leaf, certificates.authority, "locked")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    tls.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    with pytest.raises(EnvironmentProblem, match="the key for TLS is encrypted"):
        Listener(certificate=tls.certificate, key=tls.key).context()


# --- peers -----------------------------------------------------------------------------------------------------------


def blocking(url: str, name: str, **arguments: Any) -> Any:
    timeout_s = arguments.pop("timeout_s", 2.0)
    with BlockingPeer(url, timeout_s=timeout_s) as peer:
        return peer.call(name, **arguments)


def on_a_loop(url: str, name: str, **arguments: Any) -> Any:
    timeout_s = arguments.pop("timeout_s", 2.0)

    async def scenario() -> Any:
        async with Peer(url, timeout_s=timeout_s) as peer:
            return await peer.call(name, **arguments)

    return asyncio.run(scenario())


either_peer = pytest.mark.parametrize("call", [blocking, on_a_loop], ids=["blocking", "async"])


class Impostor:
    """Answers every connection with the same bytes, piece by piece."""

    def __init__(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        self._pieces = pieces
        self._pause_s = pause_s
        self.requests: list[bytes] = []
        self._left = threading.Event()
        self._listening = socket.create_server((HOST, 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self.requests.append(connection.recv(65_536))
                for piece in self._pieces:
                    connection.sendall(piece)
                    self._left.wait(self._pause_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


def response(status: int, body: bytes, content_type: str = JSON, **headers: str) -> bytes:
    named = {"content-type": content_type, "content-length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return f"HTTP/1.1 {status} X\r\n{chr(13).join(chr(10) + line for line in lines)[1:]}\r\n\r\n".encode() + body


@either_peer
def test_peer_gets_objects_documents_and_nothing(node, call):
    assert call(node.url, "submit_transaction", body=TRANSACTION) == RECEIPT
    assert call(node.url, "node") == {"role": "member", "query": {}}
    assert call(node.url, "submit_vote", body=VOTE) is None
    assert b"paths" in call(node.url, "openapi")
    assert call(node.url + "/", "account", path={"address": b"\xab" * 20}) == {"address": repr(b"\xab" * 20)}
    assert call(node.url, "submit_transaction", body=BIG).message.tx_id == BIG.tx_id


@either_peer
def test_refusal_of_a_node_has_its_rule_and_its_time(call):
    with Node({"submit_transaction": raising(Rejected("MEM-1", "spent"))}) as running:
        with pytest.raises(Refused) as caught:
            call(running.url, "submit_transaction", body=TRANSACTION)
        refused = caught.value
        assert (refused.status, refused.code, refused.message, refused.rule) == (422, "rejected", "spent", "MEM-1")
    with Node({"submit_transaction": raising(Problem(503, "not_ready", "behind", retry_after_s=7))}) as running:
        with pytest.raises(Refused) as caught:
            call(running.url, "submit_transaction", body=TRANSACTION)
        assert (caught.value.retry_after_s, caught.value.rule) == (7.0, None)


@either_peer
@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "nothing"},
        {"name": "submit_transaction"},
        {"name": "submit_transaction", "body": RECEIPT},
        {"name": "node", "body": TRANSACTION},
        {"name": "node", "query": {"height": 1}},
        {"name": "votes", "query": {"height": -1}},
        {"name": "certificate"},
        {"name": "certificate", "path": {"height": "../node"}},
    ],
)
def test_call_that_no_endpoint_takes_is_the_callers_mistake(call, arguments):
    with pytest.raises(ValueError):
        call("http://127.0.0.1:1", **arguments)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:80", "ftp://x", "http://", "http://x:y", "http://x:99999", "https://x/?a=1", "http://x/#a"]
)
def test_what_is_no_url_is_the_callers_mistake(url):
    with pytest.raises(ValueError, match="URL"):
        Peer(url)


@either_peer
@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        ("node", b"", "broke the connection off"),
        ("node", b"\x15\x03\x01\0\x02\x02", "broke the connection off"),
        ("node", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "does not answer as a node"),
        ("node", response(200, b"{}", "text/html"), "content type"),
        ("node", response(200, b"{}"), "no object under the name data"),
        ("node", response(200, b'{"data": []}'), "no object under the name data"),
        ("node", response(200, b'{"data": {}, "more": 1}'), "no object under the name data"),
        ("node", response(200, b'{"data": {"a": 1, "a": 2}}'), "a name twice"),
        ("node", response(200, b'{"data": {"a": NaN}}'), "NaN"),
        ("node", response(200, b"[" * 10_000), "nested"),
        ("node", response(204, b""), "status 204"),
        ("node", response(201, b'{"data": {}}'), "status 201"),
        ("node", response(302, b"", location="http://127.0.0.1:1/v1/node"), "status 302"),
        ("node", response(200, b"\x1f\x8b", content_encoding="gzip"), "encodes"),
        ("node", response(200, b'{"data": {"a": "' + b"x" * MIB + b'"}}'), "exceeds 1048576 bytes"),
        ("node", response(500, b"<html>", "text/html"), "status 500 without an error object"),
        ("node", response(500, b"{}"), "status 500 without an error object"),
        ("node", response(500, b'{"code": 1, "message": "", "rule": null}'), "without an error object"),
        ("node", response(500, b'{"code": "a b", "message": "", "rule": null}'), "without an error object"),
        ("node", response(500, b'{"code": "a", "message": "", "rule": "\\u001b[2J"}'), "without an error object"),
        ("node", response(500, b'"' + b"x" * 70_000 + b'"'), "exceeds 65536 bytes"),
        ("receipt", response(200, RECEIPT.encoded), "content type"),
        ("receipt", response(200, RECEIPT.encoded[1:], SSZ), "does not answer as a node"),
        ("receipt", response(200, b"", SSZ), "does not answer as a node"),
        ("receipt", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n", "broke the connection off"),
    ],
)
def test_nonsense_of_a_node_is_one_clear_line(call, name, answer, message):
    path = {"tx_id": bytes(32)} if name == "receipt" else {}
    with Impostor(answer) as impostor, pytest.raises(PeerProblem) as caught:
        call(impostor.url, name, path=path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(impostor.url)
    assert "\n" not in str(caught.value)


@either_peer
def test_words_of_a_node_are_made_harmless(call):
    text = json.dumps({"code": "x" * 99, "message": "a\x1b[2J\n" + "b" * 9999, "rule": "TDH-4"}).encode()
    with Impostor(response(422, text, retry_after="99999999")) as impostor, pytest.raises(Refused) as caught:
        call(impostor.url, "node")
    refused = caught.value
    assert refused.message.startswith("a?[2J?b")
    assert len(str(refused)) < 600
    assert len(refused.code) <= 40
    assert refused.retry_after_s == 3600


@either_peer
@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n", *[b" "] * 30),
    ],
    ids=["head", "body"],
)
def test_node_that_is_too_slow_is_given_up(call, pieces):
    started = time.monotonic()
    with Impostor(*pieces, pause_s=0.1 if len(pieces) > 1 else 1.5) as impostor:
        with pytest.raises(PeerProblem, match=r"did not answer within 0\.3 s"):
            call(impostor.url, "node", timeout_s=0.3)
        assert time.monotonic() - started < 1.4


def test_head_that_trickles_is_given_up():
    pieces = [b"H", b"T", b"T", b"P", b"/", b"1", b".", b"1", b" "]
    with Impostor(*pieces, pause_s=0.1) as impostor, pytest.raises(PeerProblem, match="did not answer"):
        on_a_loop(impostor.url, "node", timeout_s=0.3)


@either_peer
def test_node_that_is_not_there_is_one_clear_line_without_credentials(call):
    with closing(socket.create_server((HOST, 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(PeerProblem, match=f"^http://127.0.0.1:{port} cannot be reached") as caught:
        call(f"http://user:secret@127.0.0.1:{port}", "node")
    assert "secret" not in str(caught.value)


@either_peer
def test_proxies_of_the_environment_are_not_used(node, call, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert call(node.url, "node")["role"] == "member"


def test_request_of_a_peer_asks_for_no_compression_and_names_no_version():
    with Impostor(response(200, b'{"data": {}}')) as impostor:
        on_a_loop(impostor.url, "node")
        head = impostor.requests[0].lower()
    assert b"accept-encoding: identity\r\n" in head
    assert b"user-agent: encmempool\r\n" in head


def test_peer_keeps_its_connection(node, connections):
    async def scenario() -> None:
        async with Peer(node.url) as peer:
            for _ in range(5):
                await peer.call("node")

    asyncio.run(scenario())
    assert len(connections) == 1


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"data: {}\n\n", "text/event-stream", "lacks its id"),
        (b"id: 1\nevent: x\ndata: " + b"x" * 300_000, "text/event-stream", "exceeds"),
        (b"{}", JSON, "content type"),
    ],
)
def test_nonsense_in_an_event_stream_is_one_clear_line(body, content_type, message):
    async def scenario(url: str) -> None:
        async with Peer(url) as peer:
            async for _ in peer.events():
                pass

    with Impostor(response(200, body, content_type)) as impostor, pytest.raises(PeerProblem, match=message):
        asyncio.run(scenario(impostor.url))


def test_refused_event_stream_raises_the_nodes_error():
    async def scenario(url: str) -> None:
        async with Peer(url) as peer:
            async for _ in peer.events():
                pass

    handlers = {"events": raising(Problem(503, "not_ready", "later"))}
    with Node(handlers) as running, pytest.raises(Refused, match="later"):
        asyncio.run(scenario(running.url))


def test_raw_answer_reaches_the_peer_as_it_is():
    async def metrics(call: Call) -> bytes:
        return b"requests_total 1\n"

    with Node({"metrics": metrics}) as running:
        assert blocking(running.url, "metrics") == b"requests_total 1\n"
        answer = running.ask("GET", "/metrics", headers={"accept": "text/plain"})
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert isinstance(next(endpoint for endpoint in ENDPOINTS if endpoint.name == "metrics").response, Raw)
