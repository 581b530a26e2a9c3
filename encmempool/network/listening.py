"""Connections: TLS, how many there may be, how long they may take; uvicorn inside.

uvicorn waits for ever for the head of a request and for the reader of a response, counts no connection before its TLS
handshake is done, and ends the process when it cannot listen. All that is different here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import h11
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from encmempool.errors import EnvironmentProblem
from encmempool.network.endpoints import JSON
from encmempool.network.limits import Limits, network_of
from encmempool.network.tls import certificate_name, server_context

_POLL_S = 0.01
_CANCEL_S = 1.0
_BYTES_ACKED = slice(120, 128)
"""Of Linux' struct tcp_info."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where a node listens; PEM files for TLS.

    port                0 for any that is free
    peer_authorities    certificates that those of peers are verified against: mutual TLS. Who shows none is a client
                        like any other; who shows another's is refused
    """

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    peer_authorities: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """None for plain HTTP. Raises EnvironmentProblem for files that are missing or do not fit."""
        if self.certificate is not None:
            return server_context(self.certificate, self.key, self.peer_authorities)
        if self.key is not None or self.peer_authorities is not None:
            raise EnvironmentProblem("TLS needs a certificate: name its PEM file")
        return None


class Served(Protocol):
    """The application, as far as its connections are concerned."""

    limits: Limits
    peers_only: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...
    def close_streams(self) -> None: ...


async def serve(
    application: Served,
    listener: Listener,
    *,
    started: Callable[[int], None],
    stop: asyncio.Event,
) -> None:
    """Serve until `stop` is set; then accept nothing more, finish what is under way, and return.

    started    told the port once connections are accepted

    Raises EnvironmentProblem for an address that cannot be listened on, or TLS files that cannot be used.
    """
    limits = application.limits
    context = listener.context()
    application.peers_only = listener.peer_authorities is not None
    gate = _bind(listener, limits, polite=context is None)
    config = uvicorn.Config(
        application,
        http=_Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=cast(int, limits.idle_timeout_s),
        h11_max_incomplete_event_size=limits.header_bytes,
    )
    server = _Server(config, application=application, gate=gate, context=context, started=started, stop=stop)
    try:
        await server.serve()
    finally:
        gate.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()


class _Server(uvicorn.Server):
    """uvicorn's, without its signal handlers and exits of the process."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        application: Served,
        gate: _Gate,
        context: ssl.SSLContext | None,
        started: Callable[[int], None],
        stop: asyncio.Event,
    ) -> None:
        super().__init__(config)
        self._application = application
        self._gate = gate
        self._context = context
        self._started = started
        self._stop = stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            self._connection,
            sock=self._gate,
            ssl=self._context,
            backlog=self.config.backlog,
            ssl_handshake_timeout=self._application.limits.header_timeout_s if self._context else None,
        )
        self.servers = [server]
        self.started = True
        await self.on_tick(0)  # the Date header
        self._started(self._gate.getsockname()[1])

    def _connection(self) -> _Connection:
        return _Connection(
            config=self.config,
            server_state=self.server_state,
            app_state={},
            _loop=asyncio.get_running_loop(),
            limits=self._application.limits,
        )

    async def main_loop(self) -> None:
        limits = self._application.limits
        pause_s = min(0.5, limits.header_timeout_s / 4, limits.write_timeout_s / 4)
        ticked = time.monotonic()
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                cast(_Connection, connection).check(now)
            if now - ticked >= 1.0:
                ticked = now
                await self.on_tick(0)
        self._application.close_streams()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Without uvicorn's pauses. What is not done in time is broken off."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        end = time.monotonic() + self._application.limits.shutdown_timeout_s
        while (self.server_state.connections or self.server_state.tasks) and time.monotonic() < end:
            await asyncio.sleep(_POLL_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if tasks := list(self.server_state.tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CANCEL_S)


class _Connection(H11Protocol):
    """uvicorn's, with an end to waiting: for the head of a request, and for a reader of a response."""

    _LEAST_PROGRESS_BYTES = 1 << 10

    def __init__(self, *, limits: Limits, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._head_since: float | None = None
        self._bytes_seen = False
        self._drained = 0
        self._taken_before = 0
        self._stalled_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_since = time.monotonic()
        certificate = transport.get_extra_info("peercert")
        if certificate:
            self.app_state = {"peer": certificate_name(certificate)}

    def data_received(self, data: bytes) -> None:
        self._bytes_seen = True
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_since = None
        elif self._head_since is None:
            self._head_since = time.monotonic()

    def on_response_complete(self) -> None:
        self._head_since = None
        self._bytes_seen = False
        super().on_response_complete()

    def resume_writing(self) -> None:
        self._drained += 1
        super().resume_writing()

    def check(self, now: float) -> None:
        """Called several times a second."""
        if self._head_since is not None and now - self._head_since > self._limits.header_timeout_s:
            self._head_since = None
            if self._bytes_seen:
                self._refuse(408, "timeout", "the head of the request did not arrive in time")
            else:
                self.transport.close()
        self._check_writing(now)

    def _check_writing(self, now: float) -> None:
        if self.transport.get_write_buffer_size() == 0 and not self.transport.is_closing():
            self._stalled_since = None
            return
        taken = self._taken()
        if self._stalled_since is None or taken >= self._taken_before + self._LEAST_PROGRESS_BYTES:
            self._taken_before, self._stalled_since = taken, now
        elif now - self._stalled_since > self._limits.write_timeout_s:
            self.transport.abort()

    def _taken(self) -> int:
        """Bytes that the reader took. The system holds megabytes itself, and asks for more only now and then."""
        connection: socket.socket | None = self.transport.get_extra_info("socket")
        if sys.platform == "linux" and connection is not None:  # None: TLS lost its connection and will tell us next
            with contextlib.suppress(OSError):  # closed meanwhile
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
                return int.from_bytes(info[_BYTES_ACKED], sys.byteorder)
        return self._drained * self._LEAST_PROGRESS_BYTES

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for what is not HTTP."""
        if len(self.conn.trailing_data[0]) > self._limits.header_bytes:
            self._refuse(
                431, "headers_too_large", f"the head of a request has at most {self._limits.header_bytes} bytes"
            )
        else:
            self._refuse(400, "malformed", "this is not an HTTP/1.1 request")

    def _refuse(self, status: int, code: str, message: str) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # in the middle of an exchange: there is no place for another answer
            return
        self.transport.write(refusal(status, code, message))
        self.transport.close()


def error_text(code: str, message: str, rule: str | None = None) -> bytes:
    return json.dumps({"code": code, "message": message, "rule": rule}, separators=(",", ":")).encode()


def refusal(status: int, code: str, message: str) -> bytes:
    """A whole response, for where no request was understood."""
    body = error_text(code, message)
    phrase = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}.get(
        status, "Service Unavailable"
    )
    retry = "retry-after: 1\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {JSON}\r\ncontent-length: {len(body)}\r\n{retry}"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body


class _Gate(socket.socket):
    """A listening socket that counts what it accepted, TLS handshakes included, and refuses what is too much."""

    _REFUSED_AT_ONCE = 64

    def __init__(self, family: int, *, limits: Limits, polite: bool) -> None:
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: asyncio then sets TCP_NODELAY
        self._limits = limits
        self._exempt = frozenset(map(network_of, limits.exempt))
        self._polite = polite
        self._open: dict[str, int] = {}
        self._count = 0

    def accept(self) -> tuple[socket.socket, Any]:
        for _ in range(self._REFUSED_AT_ONCE):
            connection, address = super().accept()
            network = network_of(address[0])
            if network in self._exempt:
                return _Accepted(connection, None), address
            if self._count < self._limits.connections and (
                self._open.get(network, 0) < self._limits.connections_per_address
            ):
                self._count += 1
                self._open[network] = self._open.get(network, 0) + 1
                return _Accepted(connection, partial(self._release, network)), address
            self._turn_away(connection)
        raise BlockingIOError

    def _turn_away(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._polite:
                connection.setblocking(False)
                connection.send(refusal(503, "overloaded", "there are too many connections already"))

    def _release(self, network: str) -> None:
        self._count -= 1
        left = self._open[network] - 1
        if left:
            self._open[network] = left
        else:
            del self._open[network]


class _Accepted(socket.socket):
    def __init__(self, connection: socket.socket, closed: Callable[[], None] | None) -> None:
        super().__init__(connection.family, connection.type, connection.proto, connection.detach())
        self._tell = closed

    def close(self) -> None:
        super().close()
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()


def _bind(listener: Listener, limits: Limits, *, polite: bool) -> _Gate:
    host, port = listener.host, listener.port
    if not 0 <= port < 1 << 16:
        raise EnvironmentProblem(f"{port} is no port: choose one below 65536, or 0 for any that is free")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
    except (OSError, UnicodeError) as error:
        raise EnvironmentProblem(f"{host}:{port} is not an address of this machine: {error}") from error
    gate = _Gate(family, limits=limits, polite=polite)
    try:
        gate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        gate.bind(address)
        gate.listen(1)
    except OSError as error:
        gate.close()
        raise EnvironmentProblem(_bind_failure(listener, error)) from error
    return gate


def _bind_failure(listener: Listener, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {listener.port} is in use: stop the process that has it, or choose another"
        case errno.EACCES:
            return f"port {listener.port} is not allowed: ports below 1024 are the system's, choose another"
        case errno.EADDRNOTAVAIL:
            return f"{listener.host} is not an address of this machine"
    return f"cannot listen on {listener.host}:{listener.port}: {error.strerror}"
