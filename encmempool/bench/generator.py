"""The load generator of `encmempool bench load`: `python -m encmempool.bench.generator FILE URL RATE ACCOUNTS`.

Sends the envelopes of a file, which so many accounts made in turns, to a sequencer at a fixed rate and prints what came
of them as one JSON object. What is refused with 429 is sent again once Retry-After has passed, in the place of a new
one, and the account's next ones after it. It writes HTTP itself: a client library costs more than a receipt does, and
would measure itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter, deque
from heapq import heappop, heappush
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from encmempool.network.trading import quantile_ms
from encmempool.types import SignedReceipt

CONNECTIONS = 160
MAX_WAITING = 256
"""Beyond this nothing more is put under way: what is left in the end is counted."""


class _Connection:
    """One request after another over one connection."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. OSError or EOFError if the connection breaks."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/octet-stream\r\n"
            f"accept: application/octet-stream\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        answer = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split(" ", 2)[1]), headers, answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


class _Backlog:
    """What is to be sent next: refused ones whose time has come, then new ones. An account's stay in their order."""

    def __init__(self, envelopes: list[bytes], accounts: int) -> None:
        self._envelopes = envelopes
        self._accounts = accounts
        self._next = 0
        self._refused: list[tuple[float, int]] = []
        self._held: dict[int, deque[int]] = {}
        """By account with a refused one, those after it."""

    @property
    def left(self) -> int:
        return len(self._envelopes) - self._next + len(self._refused) + sum(map(len, self._held.values()))

    def take(self) -> tuple[int, bytes] | None:
        """None if nothing can be sent yet."""
        if self._refused and self._refused[0][0] <= time.perf_counter():
            at = heappop(self._refused)[1]
            return at, self._envelopes[at]
        while self._next < len(self._envelopes):
            at = self._next
            self._next += 1
            if (behind := self._held.get(at % self._accounts)) is None:
                return at, self._envelopes[at]
            behind.append(at)
        return None

    def refuse(self, at: int, again_after_s: float) -> None:
        heappush(self._refused, (time.perf_counter() + again_after_s, at))
        self._held.setdefault(at % self._accounts, deque())

    def accept(self, at: int) -> None:
        """Or refuse for good: it is not sent again."""
        behind = self._held.pop(at % self._accounts, None)
        if behind:
            self.refuse(behind.popleft(), 0.0)
            self._held[at % self._accounts] = behind


async def send(envelopes: list[bytes], url: str, rate: float, accounts: int) -> dict[str, object]:
    """For as long as sending all of them once takes. Latencies count from the moment a request is due."""
    parts = urlsplit(url)
    latencies: list[float] = []
    answers: Counter[str] = Counter()
    retry_after = 0
    backlog = _Backlog(envelopes, accounts)
    due: asyncio.Queue[tuple[float, int, bytes]] = asyncio.Queue()

    async def work() -> None:
        nonlocal retry_after
        connection = _Connection(parts.hostname or "", parts.port or 80)
        while True:
            since, at, envelope = await due.get()
            try:
                status, headers, body = await connection.post("/v1/transactions", envelope)
            except (OSError, EOFError) as error:
                connection.close()
                answers[type(error).__name__] += 1
                backlog.accept(at)
            else:
                if status == 200:
                    latencies.append(time.perf_counter() - since)
                    SignedReceipt.decode(body)
                else:
                    document: dict[str, Any] = json.loads(body)
                    answers[f"{status} {document.get('rule') or document.get('code')}"] += 1
                if status == 429 and "retry-after" in headers:
                    retry_after += 1
                    backlog.refuse(at, float(headers["retry-after"]))
                else:
                    backlog.accept(at)
            finally:
                due.task_done()

    workers = [asyncio.create_task(work()) for _ in range(CONNECTIONS)]
    start = time.perf_counter()
    for tick in range(len(envelopes)):
        if (wait := start + tick / rate - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        if due.qsize() < MAX_WAITING and (chosen := backlog.take()) is not None:
            due.put_nowait((time.perf_counter(), *chosen))
    sending_s = time.perf_counter() - start
    await asyncio.wait_for(due.join(), timeout=60.0)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return {
        "sending_s": round(sending_s, 3),
        "receipted": len(latencies),
        "refused": dict(answers),
        "retry_after": retry_after,
        "unsent": backlog.left,
        "receipt_ms": {"p50": quantile_ms(latencies, 0.5), "p99": quantile_ms(latencies, 0.99)},
    }


def _envelopes(path: Path) -> list[bytes]:
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


if __name__ == "__main__":
    file, address, per_second, senders = sys.argv[1:]
    found = asyncio.run(send(_envelopes(Path(file)), address, float(per_second), int(senders)))
    print(json.dumps(found))  # noqa: T201 - its output
