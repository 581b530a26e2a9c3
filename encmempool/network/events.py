"""Server-sent events: a feed with bounded queues, the text of a stream, and reading one."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from encmempool.errors import Malformed
from encmempool.json_form import decode_document

_QUEUE = 256
_MAX_EVENT_BYTES = 256 << 10


class Event(NamedTuple):
    """Ids ascend within a stream."""

    name: str
    document: Mapping[str, Any]
    id: int

    @property
    def text(self) -> bytes:
        document = json.dumps(self.document, separators=(",", ":"), allow_nan=False)
        return f"id: {self.id}\nevent: {self.name}\ndata: {document}\n\n".encode()


class Events:
    """What a handler answers with to stream events, of its own making or of a feed."""

    def __init__(self, source: AsyncIterable[Event]) -> None:
        self.source = source


class SlowReader(Exception):
    """A subscriber left its events lying: the stream ends, and the client may come back with the last id it had."""


class EventFeed:
    """Events for any number of subscribers, each with a bounded queue. For one event loop."""

    def __init__(self, *, queue: int = _QUEUE) -> None:
        self._queue = queue
        self._subscriptions: set[Subscription] = set()

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

    def publish(self, event: Event) -> None:
        """Never waits: a subscriber whose queue is full gets nothing more."""
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)

    def subscribe(self, missed: Sequence[Event] = ()) -> Subscription:
        """What was missed, then all that is published from this call on, without ids that were had already."""
        subscription = Subscription(missed, limit=self._queue, left=self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription


class Subscription(AsyncIterator[Event]):
    """Iterating raises SlowReader after the queue was full. `aclose` leaves the feed."""

    def __init__(self, missed: Sequence[Event], *, limit: int, left: Callable[[Subscription], None]) -> None:
        self._events: deque[Event] = deque(missed)
        self._last = max((event.id for event in missed), default=-1)
        self._limit = len(missed) + limit
        self._left = left
        self._ended = False
        self._overrun = False
        self._changed = asyncio.Event()

    def offer(self, event: Event) -> None:
        if event.id <= self._last:
            return
        if len(self._events) >= self._limit:
            self._overrun = True
            self._left(self)
        else:
            self._events.append(event)
        self._changed.set()

    async def __anext__(self) -> Event:
        while True:
            if self._overrun:
                self._events.clear()
                raise SlowReader("events were lost")
            if self._events:
                return self._events.popleft()
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()

    async def aclose(self) -> None:
        self._ended = True
        self._left(self)
        self._changed.set()


class EventReader:
    """A stream's bytes to events. Raises Malformed for what no node of ours sends."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Event]:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        if len(self._rest) > _MAX_EVENT_BYTES:
            raise Malformed(f"an event exceeds {_MAX_EVENT_BYTES} bytes")
        for block in blocks:
            event = _event(block)
            if event is not None:
                yield event


def _event(block: bytes) -> Event | None:
    """None for a comment."""
    fields: dict[str, str] = {}
    try:
        for line in block.decode().split("\n"):
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
        if not fields:
            return None
        if not fields["id"].isascii() or not fields["id"].isdigit() or len(fields["id"]) > 20:
            raise Malformed("an event's id is no number")
        document = decode_document(fields["data"].encode())
        name = fields["event"]
    except (KeyError, UnicodeError) as error:
        raise Malformed("an event lacks its id, name or data") from error
    if not isinstance(document, dict):
        raise Malformed("an event's data is no object")
    return Event(name, document, int(fields["id"]))
