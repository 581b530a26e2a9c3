"""TCP proxies, one for each way from one node to another, which can be slow or broken on purpose."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

_CHUNK_BYTES = 64 << 10


@dataclass(slots=True, eq=False)
class Way:
    """From one node to another. Set `delay_s` and `broken` at any time, from any thread."""

    source: str
    target: str
    host: str
    port: int
    listener: socket.socket
    delay_s: float = 0.0
    broken: bool = False
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"


class ProxyBoard:
    """All ways of a network, served by a thread of their own for the length of a block."""

    def __init__(self) -> None:
        self.ways: list[Way] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)

    def __enter__(self) -> ProxyBoard:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
        for way in self.ways:
            way.listener.close()

    def link(self, source: str, target: str, url: str) -> str:
        """The address by which `source` reaches `target` from now on."""
        host, _, port = url.removeprefix("http://").rpartition(":")
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        way = Way(source=source, target=target, host=host, port=int(port), listener=listener)
        self.ways.append(way)
        asyncio.run_coroutine_threadsafe(self._serve(way), self._loop).result(timeout=10)
        return way.url

    def of(self, node: str) -> Iterable[Way]:
        """To and from a node."""
        return [way for way in self.ways if node in (way.source, way.target)]

    def cut(self, ways: Iterable[Way]) -> None:
        """Break ways, and the connections on them."""
        for way in ways:
            way.broken = True
            self._loop.call_soon_threadsafe(self._close, way)

    def mend(self, ways: Iterable[Way]) -> None:
        for way in ways:
            way.broken, way.delay_s = False, 0.0

    async def _serve(self, way: Way) -> None:
        await asyncio.start_server(lambda reader, writer: self._carry(way, reader, writer), sock=way.listener)

    async def _carry(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if way.broken:
            writer.transport.abort()
            return
        try:
            onward_reader, onward_writer = await asyncio.open_connection(way.host, way.port)
        except OSError:
            writer.transport.abort()
            return
        way.open |= {writer, onward_writer}
        try:
            await asyncio.gather(
                self._pump(way, reader, onward_writer),
                self._pump(way, onward_reader, writer),
            )
        finally:
            way.open -= {writer, onward_writer}
            for each in (writer, onward_writer):
                each.transport.abort()

    async def _pump(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, RuntimeError):
            while data := await reader.read(_CHUNK_BYTES):
                if way.delay_s:
                    await asyncio.sleep(way.delay_s)
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    def _close(self, way: Way) -> None:
        for writer in tuple(way.open):
            writer.transport.abort()

    async def _end(self) -> None:
        for way in self.ways:
            self._close(way)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
