"""What a node says about itself: structured logs and Prometheus metrics. Never what it may not know or tell.

A log line is one JSON object. Its values are numbers, short texts of our own and 32-byte hashes; anything longer is
shown as its length and digest, so that payloads, ciphertexts and keys cannot get in by mistake.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
import time
from collections.abc import Callable
from typing import TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_HASH_BYTES = 32
_TEXT_CHARACTERS = 300
_LONG_HEX = re.compile(r"[0-9A-Fa-f]{65,}", re.ASCII)
"""More than a hash in a text, such as another's error message."""
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

LogValue = int | float | str | bytes | None


class Redacted:
    """Something a log may know the size of and recognise, but not hold."""

    def __init__(self, data: bytes) -> None:
        self._size = len(data)
        self._digest = hashlib.sha256(data).hexdigest()[:16]

    def __str__(self) -> str:
        return f"<{self._size} bytes, sha256 {self._digest}>"

    __repr__ = __str__


class Log:
    """JSON lines on a stream, standard error by default."""

    def __init__(
        self,
        *,
        node: str,
        stream: TextIO | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._node = node
        self._stream = stream
        self._clock_ms = clock_ms

    def write(self, event: str, *, level: str = "info", **values: LogValue | Redacted) -> None:
        line = {"time_ms": self._clock_ms(), "level": level, "node": self._node, "event": event}
        line |= {name: _shown(value) for name, value in values.items()}
        stream = self._stream or sys.stderr
        if stream is None:  # a process without a standard error
            return
        try:
            stream.write(json.dumps(line) + "\n")
            stream.flush()
        except (OSError, ValueError):  # a full disk or a closed pipe must not stop a node
            return


def _shown(value: LogValue | Redacted) -> LogValue:
    match value:
        case Redacted():
            return str(value)
        case bytes():
            return f"0x{value.hex()}" if len(value) <= _HASH_BYTES else str(Redacted(value))
        case str():
            text = _LONG_HEX.sub(lambda digits: str(Redacted(digits[0].encode())), value)
            return text if len(text) <= _TEXT_CHARACTERS else text[:_TEXT_CHARACTERS] + "…"
        case int() if value.bit_length() > 8 * _HASH_BYTES:
            return str(Redacted(value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)))
        case float() if not math.isfinite(value):
            return str(value)
    return value


class Metrics:
    """Of one node; names start with `encmempool_`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "encmempool_request_seconds",
            "Requests by endpoint and status",
            ["endpoint", "status"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.stages = Histogram(
            "encmempool_stage_seconds",
            "Time from a commitment to its certificate, and to its execution, as this node saw them",
            ["stage"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.shares = Counter(
            "encmempool_shares_total",
            "Decryption shares by member: on_time, late (the height was open already) or wrong",
            ["member", "verdict"],
            registry=self.registry,
        )
        self.transactions = Counter(
            "encmempool_transactions_total",
            "Submissions by verdict: receipted, or the rule they broke",
            ["verdict"],
            registry=self.registry,
        )
        self.evidence = Counter(
            "encmempool_evidence_total", "Misbehaviour shown, by kind", ["kind"], registry=self.registry
        )
        self.messages = Counter(
            "encmempool_messages_total",
            "Messages to other nodes by fate: sent, refused or dropped",
            ["fate"],
            registry=self.registry,
        )
        self.height = Gauge("encmempool_height", "Newest height: known or executed", ["kind"], registry=self.registry)
        self.waiting = Gauge(
            "encmempool_waiting",
            "Submissions in the queue, and admitted transactions",
            ["where"],
            registry=self.registry,
        )
        self.rounds_left = Gauge(
            "encmempool_rounds_left", "Batches the key still opens, for schemes that limit them", registry=self.registry
        )
        self.storage_failures = Counter(
            "encmempool_storage_failures_total", "Writes that the database refused", registry=self.registry
        )

    def text(self) -> bytes:
        """In Prometheus' format."""
        return generate_latest(self.registry)
