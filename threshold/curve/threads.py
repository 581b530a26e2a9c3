"""How many threads a backend may use: all cores of the process, unless told otherwise."""

from __future__ import annotations

import os

_count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    return _count


def set_threads(count: int) -> None:
    """For the whole process, from the next call of a backend on. ValueError below 1."""
    global _count
    if count < 1:
        raise ValueError(f"a backend needs at least one thread, not {count}")
    _count = count
