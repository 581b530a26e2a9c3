"""The HTTP border: from a connection to a handler's call and back, with every limit in between.

A handler gets a `Call` with decoded values and returns an object, a JSON document, bytes or `Events`; what it raises
becomes the uniform error {code, message, rule}. Nothing that a caller sends is held without bound, waited for without
end, or answered with a traceback. Sockets, TLS and time limits of connections: `serve`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from encmempool.errors import Conflict, EnvironmentProblem, Malformed, Rejected, StorageError
from encmempool.json_form import decode_object, to_json
from encmempool.network.endpoints import (
    ENDPOINTS,
    JSON,
    KIB,
    MIB,
    PARAMETERS,
    SSZ,
    STREAM,
    Endpoint,
    Raw,
    Value,
    named,
    openapi,
)
from encmempool.network.events import Event, EventFeed, Events, SlowReader
from encmempool.network.limits import Budget, Limits, RateLimiter, network_of
from encmempool.network.listening import Listener, error_text, serve
from encmempool.ssz import SszObject

__all__ = [
    "Application",
    "Call",
    "Event",
    "EventFeed",
    "Events",
    "Handler",
    "Limits",
    "Listener",
    "Problem",
    "SlowReader",
    "serve",
]

_logger = logging.getLogger("encmempool.http")

INTERFACE_VERSION = "1"

SMALL_BYTES = 64 * KIB
"""Larger bodies are decoded on a thread, and all of them together have a limit."""

MAX_JSON_BYTES = 8 * MIB
"""What is larger comes and goes as SSZ only: JSON takes many times its size, and the interpreter while it is read."""

_PIECE_BYTES = 256 * KIB
_CHARGED_BYTES = 16 * KIB
_NOT_READY_S = 2.0
_STORAGE_S = 5.0
_OVERLOADED_S = 1.0
_DISCARD_S = 1.0
_DISCARD_BYTES = 16 * MIB
_COMMENT = b":\n\n"
_ENDLESS = 1 << 64

Argument = TypeVar("Argument")
Result = TypeVar("Result")


# --- what handlers see -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request whose every part was accepted.

    path            the path's parameters by name: int, bytes or "head"
    query           the optional parameters that were given
    body            the endpoint's request object
    caller          the name in the peer's certificate, else the address
    peer            whether that certificate was verified
    last_event_id   of a client that lost an event stream and comes back
    """

    endpoint: Endpoint
    path: Mapping[str, Any]
    query: Mapping[str, Any]
    body: Any
    caller: str
    peer: bool = False
    last_event_id: int | None = None


class Problem(Exception):
    """An answer other than success, in the uniform form."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        rule: str | None = None,
        retry_after_s: float | None = None,
        allow: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.rule = rule
        self.retry_after_s = retry_after_s
        self.allow = tuple(allow)


Answer: TypeAlias = SszObject | Mapping[str, Any] | bytes | Events | None
Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]
Observe: TypeAlias = Callable[[str, int, float], None]


class Log(Protocol):
    def __call__(self, event: str, /, *, error: BaseException | None = None, **fields: object) -> None: ...


def log_to_logger(event: str, /, *, error: BaseException | None = None, **fields: object) -> None:
    """By default to the logger encmempool.http."""
    _logger.error("%s %s", event, fields, exc_info=error)


def observe_nothing(endpoint: str, status: int, seconds: float) -> None:
    """Nobody counts."""


# --- the application -------------------------------------------------------------------------------------------------


class _Disconnected(Exception):
    """Nobody is there any more to be answered."""


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """A request under way, and what came of it.

    unread    some of the body may still be on its way
    held      bytes of the large bodies taken from the budget
    status    of the answer, 0 before it; `seconds` it took to come
    """

    scope: Scope
    receive: Receive
    send: Send
    headers: Headers
    address: str
    peer: str | None
    endpoint: Endpoint | None = None
    unread: bool = True
    held: int = 0
    status: int = 0
    started: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    @property
    def caller(self) -> str:
        return self.peer or self.address

    @property
    def length(self) -> int:
        """Of the body, as announced. A server has refused what is no number already."""
        text = self.headers.get("content-length", "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else _ENDLESS

    def answered(self, status: int) -> None:
        self.status = status
        self.seconds = time.perf_counter() - self.started

    async def respond(
        self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = (), *, last: bool = True
    ) -> None:
        """With `last` false the connection is not yet let go."""
        self.answered(status)
        head = [(b"x-content-type-options", b"nosniff"), *headers]
        if status != 204:
            head.append((b"content-length", str(len(body)).encode()))
        if self.unread:
            head.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": status, "headers": head})
        at = 0
        while len(body) - at > _PIECE_BYTES:  # piece by piece, so that it is not held twice
            await self.send(_piece(body[at : at + _PIECE_BYTES]))
            at += _PIECE_BYTES
        await self.send(_piece(body[at:], more=not last))


def _piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


class Application:
    """An ASGI application over a table of endpoints and the handlers that this node has for some of them.

    log        told of what callers are not: causes of 500 and 503
    observe    told of every answer: the endpoint's name, or "" for none, the status, and the seconds it took
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        *,
        endpoints: Sequence[Endpoint] = ENDPOINTS,
        limits: Limits | None = None,
        log: Log = log_to_logger,
        observe: Observe = observe_nothing,
        title: str = "encmempool node",
        peers_only: bool = False,
    ) -> None:
        """`peers_only`: whether peers show certificates, so that their endpoints are theirs alone; set by `serve`."""
        known = named(endpoints)
        if unknown := handlers.keys() - known.keys():
            raise ValueError(f"no endpoint is called {', '.join(sorted(unknown))}")
        self.limits = limits or Limits()
        self.peers_only = peers_only
        self._log = log
        self._observe = observe
        self._handlers = dict(handlers)
        if "openapi" in known:
            self._handlers.setdefault("openapi", self._openapi)
        self._served = [endpoint for endpoint in endpoints if endpoint.name in self._handlers]
        self._title = title
        self._document: bytes | None = None
        self._routes = _Routes(self._served)
        self._rates = RateLimiter(self.limits)
        self._exempt = frozenset(map(network_of, self.limits.exempt))
        self._bodies = Budget(self.limits.body_bytes, self.limits.body_bytes_per_address)
        self._streams = Budget(self.limits.streams, self.limits.streams_per_address)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="http-bodies")
        self._closing = asyncio.Event()

    def close_streams(self) -> None:
        """End all event streams, and refuse new ones."""
        self._closing.set()

    async def _openapi(self, call: Call) -> bytes:
        if self._document is None:
            document = openapi(self._served, title=self._title, version=INTERFACE_VERSION)
            self._document = json.dumps(document).encode()
        return self._document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        exchange = _Exchange(
            scope=scope,
            receive=receive,
            send=send,
            headers=Headers(scope=scope),
            address=network_of((scope.get("client") or ("",))[0]),
            peer=scope.get("state", {}).get("peer"),
        )
        try:
            await self._serve(exchange)
        except _Disconnected:
            return
        finally:
            if exchange.held:
                self._bodies.give_back(exchange.caller, exchange.held)
        name = exchange.endpoint.name if exchange.endpoint else ""
        self._observe(name, exchange.status, exchange.seconds)

    async def _serve(self, exchange: _Exchange) -> None:
        try:
            await self._answer(exchange)
        except Problem as problem:
            await self._refuse(exchange, problem)
        except _Disconnected:
            raise
        except Exception as error:
            failure = self._problem(exchange, error)  # logs what is nobody's mistake but ours
            if exchange.status:  # half an answer is out: cut it off
                raise _Disconnected from error
            await self._refuse(exchange, failure)

    async def _answer(self, exchange: _Exchange) -> None:
        if _head_bytes(exchange.scope) > self.limits.header_bytes:  # uvicorn sees only to heads that come in parts
            raise Problem(431, "headers_too_large", f"a head has at most {self.limits.header_bytes} bytes")
        endpoint, path = self._route(exchange)
        self._admit(exchange, endpoint)
        query = _query(endpoint, exchange.scope["query_string"])
        media_type = _acceptable(endpoint, exchange.headers.getlist("accept"))
        last_event_id = _last_event_id(exchange.headers)
        body = await self._body(exchange, endpoint)
        answer = await self._handlers[endpoint.name](
            Call(
                endpoint=endpoint,
                path=path,
                query=query,
                body=body,
                caller=exchange.caller,
                peer=exchange.peer is not None,
                last_event_id=last_event_id,
            )
        )
        if media_type is None:
            if answer is not None:
                raise TypeError(f"{endpoint.name} has no content, but its handler made a {type(answer).__name__}")
            await exchange.respond(204, b"")
        elif answer is None:
            raise Problem(404, "not_found", "there is nothing of that name")
        elif isinstance(answer, Events) and media_type == STREAM:
            await self._stream(exchange, answer)
        else:
            data = await self._encoded(endpoint, answer, media_type)
            self._hold(exchange, len(data))
            await exchange.respond(200, data, [(b"content-type", media_type.encode())])

    # --- before the handler ---

    def _route(self, exchange: _Exchange) -> tuple[Endpoint, dict[str, Value]]:
        scope = exchange.scope
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        try:
            methods, values = self._routes.find(raw_path)
        except LookupError:
            self._limit(exchange, 1)
            raise Problem(404, "not_found", "there is no such path, or not in this node's role") from None
        endpoint = methods.get(scope["method"])
        if endpoint is None:
            self._limit(exchange, 1)
            raise Problem(405, "method_not_allowed", "another method is wanted", allow=sorted(methods))
        exchange.endpoint = endpoint
        path = {}
        for name, text in zip(endpoint.parameters, values, strict=True):
            try:
                path[name] = PARAMETERS[name].parse(text)
            except Malformed as error:
                self._limit(exchange, 1)
                raise Problem(400, "malformed", f"{name}: {error}") from None
        return endpoint, path

    def _admit(self, exchange: _Exchange, endpoint: Endpoint) -> None:
        self._limit(exchange, endpoint.weight)
        if endpoint.peers_only and self.peers_only and exchange.peer is None:
            raise Problem(403, "forbidden", "this is for peers, who show a certificate")

    def _limit(self, exchange: _Exchange, weight: int) -> None:
        if not weight or self._is_free(exchange):
            return
        wait_s = self._rates.wait_s(exchange.address, weight)
        if wait_s:
            raise Problem(429, "rate_limited", "too many requests from this address", retry_after_s=wait_s)

    def _is_free(self, exchange: _Exchange) -> bool:
        return exchange.peer is not None or exchange.address in self._exempt

    async def _body(self, exchange: _Exchange, endpoint: Endpoint) -> SszObject | None:
        headers = exchange.headers
        chunked = "transfer-encoding" in headers
        if endpoint.request is None:
            exchange.unread = chunked or exchange.length > 0
            if exchange.unread:
                raise Problem(400, "malformed", "this request has no body")
            return None
        if chunked and "content-length" in headers:
            raise Problem(400, "malformed", "either a Content-Length or a chunked body, not both")
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in (JSON, SSZ):
            raise Problem(415, "unsupported_media_type", f"the content type is {JSON} or {SSZ}")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "unsupported_media_type", "the body is sent as it is, without content encoding")
        if not chunked and "content-length" not in headers:
            raise Problem(411, "length_required", "a Content-Length is wanted, or a chunked body")
        limit = endpoint.limit_bytes if media_type == SSZ else min(endpoint.limit_bytes, MAX_JSON_BYTES)
        if exchange.length > limit:
            raise _too_large(limit, media_type)
        data = await self._read(exchange, limit, media_type)
        exchange.unread = False
        if len(data) >= _CHARGED_BYTES and not self._is_free(exchange):
            self._rates.charge(exchange.address, len(data) // _CHARGED_BYTES)
        kind = endpoint.request
        decode = kind.decode if media_type == SSZ else partial(decode_object, kind)
        return decode(data) if len(data) <= SMALL_BYTES else await self._on_thread(decode, data)

    async def _read(self, exchange: _Exchange, limit: int, media_type: str) -> bytes:
        size, pieces = 0, []
        try:
            async with asyncio.timeout(self.limits.body_timeout_s):
                async for piece in _pieces(exchange.receive):
                    size += len(piece)
                    if size > limit:
                        raise _too_large(limit, media_type)
                    self._hold(exchange, size)
                    pieces.append(piece)
        except TimeoutError:
            raise Problem(408, "timeout", "the body did not arrive in time") from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _hold(self, exchange: _Exchange, size: int) -> None:
        """Take what a large body needs from the budget. It is given back at the end of the exchange."""
        missing = size - exchange.held if size > SMALL_BYTES else 0
        if missing <= 0:
            return
        if not self._bodies.take(exchange.caller, missing):
            raise Problem(503, "overloaded", "too many large bodies are under way already", retry_after_s=_OVERLOADED_S)
        exchange.held += missing

    async def _on_thread(self, work: Callable[[Argument], Result], argument: Argument) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, argument)

    # --- after the handler ---

    async def _encoded(self, endpoint: Endpoint, answer: Answer, media_type: str) -> bytes:
        match endpoint.response, answer:
            case Raw(), bytes():
                return answer
            case type(), SszObject() if isinstance(answer, endpoint.response):
                if media_type == SSZ:
                    return answer.encoded
                size = len(answer.encoded)
                if size > MAX_JSON_BYTES:
                    raise Problem(406, "not_acceptable", f"this is {size} bytes, which are sent as {SSZ} only")
                return _object_text(answer) if size <= SMALL_BYTES else await self._on_thread(_object_text, answer)
            case Mapping(), Mapping():
                return json.dumps({"data": answer}, separators=(",", ":"), allow_nan=False).encode()
        raise TypeError(f"the handler of {endpoint.name} made a {type(answer).__name__}")

    def _problem(self, exchange: _Exchange, error: Exception) -> Problem:
        match error:
            case Malformed():
                return Problem(400, "malformed", str(error))
            case Rejected():
                message = str(error).removesuffix(f" [{error.rule}]")
                return Problem(422, "rejected", message, rule=error.rule)
            case Conflict():
                return Problem(409, "conflict", str(error))
        name = exchange.endpoint.name if exchange.endpoint else ""
        match error:
            case StorageError():
                self._log("storage_failed", error=error, endpoint=name)
                return Problem(503, "storage", "the node's storage fails", retry_after_s=_STORAGE_S)
            case EnvironmentProblem():
                self._log("not_ready", error=error, endpoint=name)
                return Problem(503, "not_ready", "the node lacks something it needs", retry_after_s=_NOT_READY_S)
        self._log("request_failed", error=error, endpoint=name)
        return Problem(500, "internal", "a mistake of this node, not of the request")

    async def _refuse(self, exchange: _Exchange, problem: Problem) -> None:
        small = exchange.length <= SMALL_BYTES and {"transfer-encoding", "expect"}.isdisjoint(exchange.headers)
        if exchange.unread and small:  # soon gone, and the connection can go on
            exchange.unread = not await self._discard(exchange)
        headers = [(b"content-type", JSON.encode())]
        if problem.retry_after_s is not None:
            headers.append((b"retry-after", str(max(1, math.ceil(problem.retry_after_s))).encode()))
        if problem.allow:
            headers.append((b"allow", ", ".join(problem.allow).encode()))
        lingering = exchange.unread and "expect" not in exchange.headers
        text = error_text(problem.code, problem.message, problem.rule)
        await exchange.respond(problem.status, text, headers, last=not lingering)
        if lingering:  # closed at once, the connection would be reset, and the answer lost on its way
            await self._discard(exchange)
            await exchange.send(_piece(b"", more=False))

    async def _discard(self, exchange: _Exchange) -> bool:
        """Whether the rest of the body came within bounds."""
        size = 0
        try:
            async with asyncio.timeout(min(_DISCARD_S, self.limits.body_timeout_s)):
                async for piece in _pieces(exchange.receive):
                    size += len(piece)
                    if size > _DISCARD_BYTES:
                        return False
        except TimeoutError:
            return False
        return True

    # --- event streams ---

    async def _stream(self, exchange: _Exchange, events: Events) -> None:
        source = aiter(events.source)
        streams = 0
        try:
            if self._closing.is_set():
                raise Problem(503, "not_ready", "the node is shutting down", retry_after_s=_NOT_READY_S)
            if not self._streams.take(exchange.caller, 1):
                raise Problem(503, "overloaded", "there are too many event streams", retry_after_s=_OVERLOADED_S)
            streams = 1
            await self._send_events(exchange, source)
        finally:
            if streams:
                self._streams.give_back(exchange.caller, streams)
            if (close := getattr(source, "aclose", None)) is not None:
                await close()

    async def _send_events(self, exchange: _Exchange, source: AsyncIterator[Event]) -> None:
        exchange.answered(200)
        headers = [(b"content-type", STREAM.encode()), (b"cache-control", b"no-store")]
        await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
        await exchange.send(_piece(_COMMENT))
        gone = asyncio.ensure_future(_wait_for_disconnect(exchange.receive))
        closing = asyncio.ensure_future(self._closing.wait())
        following = asyncio.ensure_future(_next(source))
        try:
            while True:
                waiting = {gone, closing, following}
                await asyncio.wait(waiting, timeout=self.limits.keep_alive_s, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    raise _Disconnected
                if closing.done():
                    break
                text = _COMMENT
                if following.done():
                    event = following.result()
                    if event is None:
                        break
                    text = event.text
                    following = asyncio.ensure_future(_next(source))
                await asyncio.wait_for(exchange.send(_piece(text)), self.limits.write_timeout_s)
        except (SlowReader, TimeoutError):
            raise _Disconnected from None
        finally:
            for future in (gone, closing, following):
                future.cancel()
            await asyncio.gather(gone, closing, following, return_exceptions=True)
        await exchange.send(_piece(b"", more=False))


def _head_bytes(scope: Scope) -> int:
    target = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    return target + sum(len(name) + len(value) for name, value in scope["headers"])


async def _next(source: AsyncIterator[Event]) -> Event | None:
    return await anext(source, None)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    """A request's body as it arrives."""
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        if piece := message.get("body", b""):
            yield piece
        if not message.get("more_body", False):
            return


async def _live(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


def _too_large(limit: int, media_type: str) -> Problem:
    return Problem(413, "too_large", f"at most {limit} bytes of {media_type} are taken here")


def _object_text(value: SszObject) -> bytes:
    return json.dumps({"data": to_json(value)}, separators=(",", ":")).encode()


class _Routes:
    """Paths to endpoints, step by step. A path is what it is: nothing in it is decoded, resolved or made shorter."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._tree: dict[str, Any] = {}
        for endpoint in endpoints:
            node = self._tree
            for step in endpoint.path.split("/")[1:]:
                node = node.setdefault("{}" if step.startswith("{") else step, {})
            methods = node.setdefault("", {})
            if methods.setdefault(endpoint.method, endpoint) is not endpoint:
                raise ValueError(f"two endpoints are at {endpoint.method} {endpoint.path}")

    def find(self, raw_path: bytes) -> tuple[Mapping[str, Endpoint], list[str]]:
        """The endpoints there, by method, and the values of the path's parameters. LookupError if there are none."""
        values: list[str] = []
        node = self._tree
        for step in raw_path.decode("latin-1").split("/")[1:]:
            if step and step in node and step != "{}":
                node = node[step]
            elif step and "{}" in node:
                values.append(step)
                node = node["{}"]
            else:
                raise LookupError
        methods: Mapping[str, Endpoint] = node.get("", {})
        if not methods or not raw_path.startswith(b"/"):
            raise LookupError
        return methods, values


def _query(endpoint: Endpoint, text: bytes) -> dict[str, Value]:
    if not text:
        return {}
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=16
        )
    except ValueError:
        raise Problem(400, "malformed", "the query is not of the form name=value&…") from None
    found: dict[str, Value] = {}
    for name, value in pairs:
        parameter = endpoint.query.get(name)
        if parameter is None:
            allowed = ", ".join(endpoint.query) or "none at all"
            raise Problem(400, "malformed", f"unknown query parameter {name[:40]!a}; here are known: {allowed}")
        if name in found:
            raise Problem(400, "malformed", f"{name}: given twice")
        try:
            found[name] = parameter.parse(value)
        except Malformed as error:
            raise Problem(400, "malformed", f"{name}: {error}") from None
    return found


def _acceptable(endpoint: Endpoint, accept: Sequence[str]) -> str | None:
    """The media type to answer with: of those accepted with the highest weight, the one the endpoint prefers."""
    offered = endpoint.media_types
    if not offered:
        return None
    if not accept:
        return offered[0]
    ranges = [_media_range(text) for header in accept for text in header.split(",") if text.strip()]
    best, best_weight = None, 0.0
    for media_type in offered:
        weight = _weight(media_type.partition(";")[0], ranges)
        if weight > best_weight:
            best, best_weight = media_type, weight
    if best is None:
        raise Problem(406, "not_acceptable", f"the answer is {' or '.join(offered)}")
    return best


def _media_range(text: str) -> tuple[str, float]:
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = 1.0
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                weight = float(parameter[2:])
            except ValueError:
                weight = 0.0
    return kind, weight if 0.0 <= weight <= 1.0 else 0.0


def _weight(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """What the most specific range that covers the type gives it."""
    for wanted in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        for kind, weight in ranges:
            if kind == wanted:
                return weight
    return 0.0


def _last_event_id(headers: Headers) -> int | None:
    text = headers.get("last-event-id")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise Problem(400, "malformed", "Last-Event-ID is a decimal number")
    return int(text)
