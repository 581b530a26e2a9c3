"""The client's side of the HTTP interface: one node as others call it.

Whatever a node answers comes from a stranger: it is read up to the endpoint's limit and within a time limit, must have
the content type that was asked for, and is decoded strictly. Redirects are not followed, no proxy and no certificate is
taken from the environment, and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.json_form import decode_document
from encmempool.network.endpoints import ENDPOINTS, JSON, KIB, SSZ, Endpoint, Raw, named
from encmempool.network.events import Event, EventReader
from encmempool.network.tls import client_context, no_trust
from encmempool.ssz import SszObject

_NOTHING: Mapping[str, object] = MappingProxyType({})
_ERROR_BYTES = 64 * KIB
_ON_THE_LOOP_BYTES = 64 * KIB
_CONNECTIONS = 16
_IDLE_S = 30.0
"""Shorter than what nodes keep idle connections for, so that none is used while it is being closed."""
_EVENT_SILENCE_S = 60.0
_MAX_MESSAGE = 500
_MAX_CODE = 40
_MAX_RETRY_S = 3600
_WORD = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class PeerProblem(EnvironmentProblem):
    """A node cannot be reached, is too slow, or does not answer as a node does."""


class Refused(Exception):
    """A node's uniform error. With a `rule`, what was sent breaks that rule, or so the node says."""

    def __init__(
        self, status: int, code: str, message: str, *, rule: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{message} [{rule or code}]")
        self.status = status
        self.code = code
        self.message = message
        self.rule = rule
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTls:
    """PEM files: who is trusted, by default whom the system trusts, and one's own certificate for mutual TLS."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Peer:
    """A node, called from an event loop. Keeps connections open: close it in the end."""

    def __init__(
        self,
        url: str,
        *,
        tls: PeerTls | None = None,
        timeout_s: float = 5.0,
        endpoints: Sequence[Endpoint] = ENDPOINTS,
    ) -> None:
        """ValueError for what is no URL, EnvironmentProblem for TLS files that cannot be used."""
        self._calls = _Calls(url, endpoints)
        self.url = self._calls.url
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(**_options(url, tls, timeout_s))

    async def call(
        self,
        name: str,
        *,
        path: Mapping[str, object] = _NOTHING,
        body: SszObject | None = None,
        query: Mapping[str, object] = _NOTHING,
        timeout_s: float | None = None,
    ) -> Any:
        """Call an endpoint: its response object, JSON document, bytes or None.

        timeout_s    for all of it, if not the peer's

        Raises Refused for the node's uniform error, and PeerProblem.
        """
        endpoint = self._calls.endpoint(name)
        request = self._calls.request(endpoint, path, body, query)
        limit_s = timeout_s or self._timeout_s
        with self._calls.one_line(limit_s):
            async with asyncio.timeout(limit_s), self._client.stream(**request, timeout=limit_s) as response:
                incoming = _Incoming(endpoint, response)
                async for piece in response.aiter_raw():
                    incoming.take(piece)
            if incoming.size <= _ON_THE_LOOP_BYTES:
                return incoming.value()
            return await asyncio.to_thread(incoming.value)

    async def events(self, last_id: int | None = None) -> AsyncIterator[Event]:
        """The node's events after that id, until the node ends the stream. Close the iterator when done with it."""
        endpoint = self._calls.endpoint("events")
        request = self._calls.request(endpoint, _NOTHING, None, _NOTHING)
        if last_id is not None:
            request["headers"]["last-event-id"] = str(last_id)
        timeout = httpx.Timeout(self._timeout_s, read=_EVENT_SILENCE_S)
        with self._calls.one_line(_EVENT_SILENCE_S):
            async with self._client.stream(**request, timeout=timeout) as response:
                incoming = _Incoming(endpoint, response)
                reader = EventReader()
                async for piece in response.aiter_raw():
                    if incoming.failed:
                        incoming.take(piece)
                        continue
                    for event in reader.feed(piece):
                        yield event
                if incoming.failed:
                    incoming.value()

    async def close(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class BlockingPeer:
    """The same for programs without an event loop."""

    def __init__(
        self,
        url: str,
        *,
        tls: PeerTls | None = None,
        timeout_s: float = 5.0,
        endpoints: Sequence[Endpoint] = ENDPOINTS,
    ) -> None:
        self._calls = _Calls(url, endpoints)
        self.url = self._calls.url
        self._timeout_s = timeout_s
        self._client = httpx.Client(**_options(url, tls, timeout_s))

    def call(
        self,
        name: str,
        *,
        path: Mapping[str, object] = _NOTHING,
        body: SszObject | None = None,
        query: Mapping[str, object] = _NOTHING,
        timeout_s: float | None = None,
    ) -> Any:
        """As `Peer.call`. The time limit holds between any two pieces that arrive, and at each of them for all."""
        endpoint = self._calls.endpoint(name)
        request = self._calls.request(endpoint, path, body, query)
        limit_s = timeout_s or self._timeout_s
        end = time.monotonic() + limit_s
        with self._calls.one_line(limit_s), self._client.stream(**request, timeout=limit_s) as response:
            incoming = _Incoming(endpoint, response)
            for piece in response.iter_raw():
                if time.monotonic() > end:
                    raise TimeoutError
                incoming.take(piece)
            return incoming.value()

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Calls:
    """Requests to one node, and the words for what goes wrong with them."""

    def __init__(self, url: str, endpoints: Sequence[Endpoint]) -> None:
        self.url = _shown(url)
        self._endpoints = named(endpoints)

    def endpoint(self, name: str) -> Endpoint:
        try:
            return self._endpoints[name]
        except KeyError:
            raise ValueError(f"there is no endpoint {name}") from None

    def request(
        self, endpoint: Endpoint, path: Mapping[str, object], body: SszObject | None, query: Mapping[str, object]
    ) -> dict[str, Any]:
        """Arguments of httpx. ValueError if they are not what the endpoint takes."""
        if type(body) is not (endpoint.request or type(None)):
            raise ValueError(f"{endpoint.name} takes {getattr(endpoint.request, '__name__', 'no body')}")
        if unknown := query.keys() - endpoint.query.keys():
            raise ValueError(f"{endpoint.name} has no query parameter {', '.join(sorted(unknown))}")
        headers = {"accept": _wanted(endpoint)} if endpoint.response is not None else {}
        if body is not None:
            headers["content-type"] = SSZ
        return {
            "method": endpoint.method,
            "url": endpoint.url(path).removeprefix("/"),
            "params": {name: endpoint.query[name].write(value) for name, value in query.items()} or None,
            "headers": headers,
            "content": None if body is None else body.encoded,
        }

    @contextmanager
    def one_line(self, timeout_s: float) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, httpx.TimeoutException) as error:
            raise PeerProblem(f"{self.url} did not answer within {timeout_s:g} s") from error
        except httpx.ConnectError as error:
            raise PeerProblem(f"{self.url} cannot be reached: {_reason(error)}") from error
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise PeerProblem(f"{self.url} broke the connection off: {_reason(error)}") from error
        except (Malformed, _Nonsense) as error:
            raise PeerProblem(f"{self.url} does not answer as a node does: {error}") from error


class _Nonsense(Exception):
    """An answer that no node gives."""


class _Incoming:
    """A response as it arrives, and what it means in the end."""

    def __init__(self, endpoint: Endpoint, response: httpx.Response) -> None:
        """Raises _Nonsense for a head that does not belong to the endpoint."""
        self._endpoint = endpoint
        self._status = response.status_code
        self._content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._retry_after_s = _seconds(response.headers.get("retry-after", ""))
        self.failed = self._status >= 400
        self._limit = _ERROR_BYTES if self.failed else endpoint.response_limit_bytes
        self._pieces: list[bytes] = []
        self.size = 0
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _Nonsense("it encodes the content of its answer, which was not asked for")
        if self.failed:
            if self._content_type != JSON:
                raise _Nonsense(f"status {self._status} without an error object")
        elif self._status != (200 if endpoint.response is not None else 204):
            raise _Nonsense(f"status {self._status} is none of the interface")
        elif endpoint.response is not None and self._content_type != _wanted(endpoint).partition(";")[0]:
            raise _Nonsense(f"the content type of its answer is {_printable(self._content_type, _MAX_CODE)!r}")

    def take(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._limit:
            raise _Nonsense(f"its answer exceeds {self._limit} bytes")
        self._pieces.append(piece)

    def value(self) -> Any:
        """Raises Refused, Malformed or _Nonsense."""
        data = b"".join(self._pieces)
        if self.failed:
            raise self._refusal(data)
        match self._endpoint.response:
            case None:
                return None
            case Raw():
                return data
            case type() as kind:
                return kind.decode(data)
        document = decode_document(data)
        if not isinstance(document, dict) or document.keys() != {"data"} or not isinstance(document["data"], dict):
            raise _Nonsense("its answer is no object under the name data")
        return document["data"]

    def _refusal(self, data: bytes) -> Refused:
        document = decode_document(data)
        match document:
            case {"code": str(code), "message": str(message), "rule": str() | None as rule}:
                if _WORD.fullmatch(code) and (rule is None or _WORD.fullmatch(rule)):
                    return Refused(
                        self._status,
                        code[:_MAX_CODE],
                        _printable(message, _MAX_MESSAGE),
                        rule=rule and rule[:_MAX_CODE],
                        retry_after_s=self._retry_after_s,
                    )
        raise _Nonsense(f"status {self._status} without an error object")


def _options(url: str, tls: PeerTls | None, timeout_s: float) -> dict[str, Any]:
    tls = tls or PeerTls()
    secure = urlsplit(url).scheme == "https"
    return {
        "base_url": url,
        "headers": {"user-agent": "encmempool", "accept-encoding": "identity"},
        "verify": client_context(tls.authority, tls.certificate, tls.key) if secure else no_trust(),
        "timeout": timeout_s,
        "limits": httpx.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_IDLE_S
        ),
        "trust_env": False,
        "follow_redirects": False,
    }


def _shown(url: str) -> str:
    """The URL without credentials. ValueError for what is none of a node."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{url!r} is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("a node's URL has the form https://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}{parts.path.rstrip('/')}"


def _wanted(endpoint: Endpoint) -> str:
    return SSZ if isinstance(endpoint.response, type) else endpoint.media_types[0]


def _seconds(text: str) -> float | None:
    return float(min(int(text), _MAX_RETRY_S)) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _printable(text: str, longest: int) -> str:
    """A stranger's words, for terminals and logs."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:longest])


def _reason(error: Exception) -> str:
    return _printable(str(error), _MAX_MESSAGE) or type(error).__name__
