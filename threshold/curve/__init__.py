"""The pairing group BLS12-381 behind one Protocol, with a readable and a fast backend."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec

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
    Toeplitz,
    decode_all,
    required,
)
from threshold.curve.threads import set_threads, threads
from threshold.errors import BackendUnavailable

__all__ = [
    "BACKENDS",
    "DEFAULT_BACKEND",
    "G1",
    "G1_BYTES",
    "G2",
    "G2_BYTES",
    "GT",
    "GT_BYTES",
    "INSTALLED",
    "ORDER",
    "SCALAR_BYTES",
    "Backend",
    "FixedBase",
    "Group",
    "Toeplitz",
    "decode_all",
    "load_backend",
    "loaded_backends",
    "required",
    "set_threads",
    "threads",
]

BACKENDS = ("native", "arkworks", "reference")
INSTALLED = tuple(name for name in BACKENDS if name != "native" or find_spec("encmempool_native"))
"""From the fastest."""
_loaded: dict[str, Backend] = {}

DEFAULT_BACKEND = os.environ.get("ENCMEMPOOL_BACKEND") or INSTALLED[0]


def load_backend(name: str = DEFAULT_BACKEND) -> Backend:
    """The backend of that name. ValueError if there is none, BackendUnavailable if it cannot be used here."""
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}: choose {' or '.join(BACKENDS)}")
    if name not in INSTALLED:
        raise BackendUnavailable(f"the {name} backend is not installed: run `make native` or choose --backend arkworks")
    if name not in _loaded:
        try:
            _loaded[name] = import_module(f"threshold.curve.{name}").BACKEND
        except ImportError as error:
            raise BackendUnavailable(
                f"the {name} backend cannot be loaded ({error}): run `make native` or choose --backend arkworks"
            ) from error
    return _loaded[name]


def loaded_backends() -> tuple[Backend, ...]:
    """Those in use so far, in order."""
    return tuple(_loaded.values())
