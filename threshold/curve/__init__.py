"""The pairing group BLS12-381 behind one Protocol, with a readable and a fast backend."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from threshold.curve.backend import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    GT,
    GT_BYTES,
    ORDER,
    SCALAR_BYTES,
    Backend,
    FixedBase,
    Group,
)
from threshold.curve.threads import set_threads, threads

__all__ = [
    "BACKENDS",
    "DEFAULT_BACKEND",
    "G1",
    "G1_BYTES",
    "G2",
    "G2_BYTES",
    "GT",
    "GT_BYTES",
    "ORDER",
    "SCALAR_BYTES",
    "Backend",
    "FixedBase",
    "Group",
    "load_backend",
    "set_threads",
    "threads",
]

BACKENDS = ("arkworks", "reference")
DEFAULT_BACKEND = "arkworks"


@cache
def load_backend(name: str = DEFAULT_BACKEND) -> Backend:
    """The backend of that name. ValueError if there is none."""
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}: choose {' or '.join(BACKENDS)}")
    module = import_module(f"threshold.curve.{name}")
    backend: Backend = module.BACKEND
    return backend
