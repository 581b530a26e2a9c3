"""Wall time by named stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Adds up what runs inside `with stages("name")`."""

    def __init__(self) -> None:
        self._ns: dict[str, int] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter_ns()
        try:
            yield
        finally:
            self._ns[name] = self._ns.get(name, 0) + time.perf_counter_ns() - start

    def add(self, other: Stages) -> None:
        """Count what ran elsewhere as if it had run here."""
        for name, ns in other._ns.items():
            self._ns[name] = self._ns.get(name, 0) + ns

    def ms(self, name: str) -> float:
        """Milliseconds so far, 0 for a stage that never ran."""
        return self._ns.get(name, 0) / 1e6
