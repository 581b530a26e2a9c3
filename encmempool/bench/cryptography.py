"""How much of the time is cryptography: timers around the calls into it.

group         every call of the curve backend
aead          deriving the key of a body, sealing and opening it
signatures    signing, and recovering the key that signed; not the hash of what is signed
database      no cryptography, but told apart as well: the writes that have to reach the disk
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from types import FunctionType
from typing import Any

from encmempool.ethereum import recover_public_key
from encmempool.identity import Identity
from encmempool.keysets import Committee, public_material
from encmempool.reveal import Stage
from encmempool.store import DatabaseStore
from threshold.curve import load_backend
from threshold.symmetric import derive_key, seal, unseal

CRYPTOGRAPHY = ("group", "aead", "signatures")
DATABASE = "database"

_FUNCTIONS: dict[Any, str] = {derive_key: "aead", seal: "aead", unseal: "aead", recover_public_key: "signatures"}
_METHODS: tuple[tuple[Any, str, str], ...] = ((Identity, "sign", "signatures"), (DatabaseStore, "put", DATABASE))
_HELPERS = ("fixed_base", "toeplitz")
"""Calls of a backend which return what does more of its work."""

_Call = Callable[..., Any]


class Timers:
    """Wall time inside calls of each kind, told apart by stage. Of nested calls the outer one counts. One thread."""

    def __init__(self) -> None:
        self._ns: Counter[str] = Counter()
        self._by_stage: dict[str, Counter[str]] = {}
        self._inside = False

    def ms(self, stage: str, kind: str) -> float:
        """Milliseconds in calls of a kind during a stage."""
        return self._by_stage.get(stage, Counter())[kind] / 1e6

    def around(self, kind: str, call: _Call) -> _Call:
        """The same call, timed. Costs 0.3 µs more."""

        def timed(*arguments: Any, **options: Any) -> Any:
            if self._inside:
                return call(*arguments, **options)
            self._inside = True
            start = time.perf_counter_ns()
            try:
                return call(*arguments, **options)
            finally:
                self._ns[kind] += time.perf_counter_ns() - start
                self._inside = False

        return timed

    def within(self, stage: Stage) -> Stage:
        """The same stages, with the calls inside each told apart."""

        @contextmanager
        def bracket(name: str) -> Iterator[None]:
            before = self._ns.copy()
            with stage(name):
                yield
            self._by_stage.setdefault(name, Counter()).update(self._ns - before)

        return bracket

    @contextmanager
    def installed(self) -> Iterator[None]:
        """In the whole process, time what goes through no backend: signatures, bodies and the database."""
        found = [(owner, name, kind) for owner, name, kind in _METHODS]
        for module_name, module in list(sys.modules.items()):
            if module_name.partition(".")[0] in ("encmempool", "threshold"):
                functions = [(name, value) for name, value in vars(module).items() if isinstance(value, FunctionType)]
                found += [(module, name, _FUNCTIONS[value]) for name, value in functions if value in _FUNCTIONS]
        originals = [getattr(owner, name) for owner, name, _ in found]
        for (owner, name, kind), original in zip(found, originals, strict=True):
            setattr(owner, name, self.around(kind, original))
        try:
            yield
        finally:
            for (owner, name, _), original in zip(found, originals, strict=True):
                setattr(owner, name, original)

    def committee(self, committee: Committee, backend: str) -> Committee:
        """The same committee, on the backend of that name with all its calls timed."""
        scheme = import_module(type(committee.scheme).__module__).make(_TimedBackend(load_backend(backend), self))
        material = public_material(committee.key_set, committee.parameters)
        public_key = scheme.load_public_key(material, key_id=committee.key_set.key_id)
        return replace(committee, scheme=scheme, public_key=public_key)


class _Timed:
    """Stands for an object whose calls are timed as group operations."""

    def __init__(self, target: Any, timers: Timers) -> None:
        self._target = target
        self._timers = timers

    def __call__(self, *arguments: Any) -> Any:
        return self._timers.around("group", self._target)(*arguments)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if callable(value):
            value = self._timers.around("group", value)
        if name in _HELPERS:
            value = self._helping(value)
        setattr(self, name, value)
        return value

    def _helping(self, call: _Call) -> _Call:
        def helping(*arguments: Any) -> Any:
            made = call(*arguments)
            return None if made is None else _Timed(made, self._timers)

        return helping


class _TimedBackend(_Timed):
    @cached_property
    def g1(self) -> _Timed:
        return _Timed(self._target.g1, self._timers)

    @cached_property
    def g2(self) -> _Timed:
        return _Timed(self._target.g2, self._timers)
