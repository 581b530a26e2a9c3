"""The load generator of `encmempool bench load`: `python -m encmempool.bench.generator FILE URL RATE`.

Sends the envelopes of a file to a sequencer at a fixed rate and prints what came of them as one JSON object. It writes
HTTP itself: a client library costs more than a receipt does, and would measure itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from encmempool.network.trading import quantile_ms
from encmempool.types import SignedReceipt

CONNECTIONS = 160
MAX_WAITING = 256
"""What is due and cannot be sent is counted, not sent later, beyond this."""


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


async def send(envelopes: list[bytes], url: str, rate: float) -> dict[str, object]:
    """In their order. Latencies count from the moment a request is due."""
    parts = urlsplit(url)
    latencies: list[float] = []
    answers: Counter[str] = Counter()
    retry_after = unsent = 0
    due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def work() -> None:
        nonlocal retry_after
        connection = _Connection(parts.hostname or "", parts.port or 80)
        while True:
            since, envelope = await due.get()
            try:
                status, headers, body = await connection.post("/v1/transactions", envelope)
            except (OSError, EOFError) as error:
                connection.close()
                answers[type(error).__name__] += 1
            else:
                if status == 200:
                    latencies.append(time.perf_counter() - since)
                    SignedReceipt.decode(body)
                else:
                    document: dict[str, Any] = json.loads(body)
                    answers[f"{status} {document.get('rule') or document.get('code')}"] += 1
                    retry_after += status == 429 and "retry-after" in headers
            finally:
                due.task_done()

    workers = [asyncio.create_task(work()) for _ in range(CONNECTIONS)]
    start = time.perf_counter()
    for at, envelope in enumerate(envelopes):
        if (wait := start + at / rate - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        if due.qsize() >= MAX_WAITING:
            unsent += 1
            continue
        due.put_nowait((time.perf_counter(), envelope))
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
        "unsent": unsent,
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
    file, address, per_second = sys.argv[1:]
    print(json.dumps(asyncio.run(send(_envelopes(Path(file)), address, float(per_second)))))  # noqa: T201 - its output
