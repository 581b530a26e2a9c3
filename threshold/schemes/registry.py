"""Name to scheme, imported when first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.schemes.base import Scheme

_MODULES = {"clear": "clear", "tdh2": "tdh2", "ibe": "ibe", "simple-bte": "simple_bte", "fptx": "fptx"}

SCHEMES = tuple(_MODULES)
ENCRYPTED_SCHEMES = tuple(name for name in SCHEMES if name != "clear")


@cache
def load_scheme(name: str, backend: str = DEFAULT_BACKEND) -> Scheme:
    """The scheme of that name on that backend. ValueError if either is unknown."""
    if name not in _MODULES:
        raise ValueError(f"unknown scheme {name!r}: choose one of {', '.join(SCHEMES)}")
    module = import_module(f"threshold.schemes.{_MODULES[name]}")
    scheme: Scheme = module.make(load_backend(backend))
    return scheme


def scheme_name(number: int) -> str:
    """The name behind a scheme number in a header or key set. ValueError if unknown."""
    for name in SCHEMES:
        if load_scheme(name).info.number == number:
            return name
    raise ValueError(f"unknown scheme number {number}")
