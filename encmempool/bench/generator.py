"""The load generator of `encmempool bench load`: `python -m encmempool.bench.generator FILE URL RATE`.

Sends the envelopes of a file to a sequencer at a fixed rate and prints what came of them as one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import httpx

from encmempool.network.trading import quantile_ms
from encmempool.types import SignedReceipt

MAX_UNDER_WAY = 256
_SSZ = {"content-type": "application/octet-stream", "accept": "application/octet-stream"}


async def send(envelopes: list[bytes], url: str, rate: float) -> dict[str, object]:
    """In their order: an account's later nonce never overtakes an earlier one by more than the network's delay."""
    latencies: list[float] = []
    answers: Counter[str] = Counter()
    retry_after = 0
    unsent = 0
    tasks: set[asyncio.Task[None]] = set()
    limits = httpx.Limits(max_connections=MAX_UNDER_WAY // 4, max_keepalive_connections=MAX_UNDER_WAY // 4)

    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30.0, trust_env=False) as client:

        async def one(envelope: bytes) -> None:
            nonlocal retry_after
            began = time.perf_counter()
            try:
                response = await client.post("/v1/transactions", content=envelope, headers=_SSZ)
            except httpx.HTTPError as error:
                answers[type(error).__name__] += 1
                return
            if response.status_code == 200:
                SignedReceipt.decode(response.content)
                latencies.append(time.perf_counter() - began)
            else:
                document = response.json()
                answers[f"{response.status_code} {document.get('rule') or document.get('code')}"] += 1
                retry_after += response.status_code == 429 and "retry-after" in response.headers

        start = time.perf_counter()
        for at, envelope in enumerate(envelopes):
            wait = start + at / rate - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            if len(tasks) >= MAX_UNDER_WAY:
                unsent += 1
                continue
            task = asyncio.create_task(one(envelope))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        sending_s = time.perf_counter() - start
        if tasks:
            await asyncio.wait(tasks, timeout=60.0)
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
