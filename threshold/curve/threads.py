"""How many threads a backend may use: all cores of the process, unless told otherwise."""

from __future__ import annotations

import os

MOST_THREADS = 1024

_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_count = min(_cores, MOST_THREADS)


def threads() -> int:
    return _count


def set_threads(count: int) -> None:
    """For the whole process, from the next call of a backend on. ValueError below 1 or above 1024."""
    global _count
    if not 1 <= count <= MOST_THREADS:
        raise ValueError(f"a backend takes 1 to {MOST_THREADS} threads, not {count}")
    _count = count
