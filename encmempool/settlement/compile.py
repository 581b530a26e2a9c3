"""The contracts, compiled with vyper and kept in the cache.

Vyper runs as a program, not as a library. What it made is kept under the digest of the sources, its version and its
options, so nothing is compiled twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from eth_abi import decode, encode

from encmempool.errors import EnvironmentProblem
from encmempool.ethereum import keccak256
from encmempool.npm import cache_directory

CONTRACTS = (
    "registry",
    "collateral",
    "settlement",
    "inbox",
    "judge",
    "challenges",
    "bridge",
    "decryption_tdh2",
    "decryption_ibe",
    "decryption_simple_bte",
    "decryption_fptx",
    "openings",
)
"""In the order of their deployment."""
MAX_CODE_BYTES = 24_576

_OPTIONS = ("--disable-sys-path", "--evm-version", "prague", "--optimize", "gas", "--no-bytecode-metadata")
_TIMEOUT_S = 900
_MODULES = ("ssz", "signatures", "bls", "decryption_batch")
_SOURCES = Path(__file__).parent / "contracts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What a contract said: an event's name and arguments, indexed ones too, but for dynamic indexed ones."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One contract: how to create it and how to speak with it. Addresses are 20 bytes."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes

    def creation(self, *arguments: Any) -> bytes:
        """Code that deploys it with these constructor arguments."""
        inputs: Sequence[dict[str, Any]] = next(
            (item["inputs"] for item in self.abi if item["type"] == "constructor"), []
        )
        return self.bytecode + _encode(inputs, arguments)

    def call(self, function: str, *arguments: Any) -> bytes:
        """Calldata."""
        item = self._functions[function]
        return keccak256(_signature(item))[:4] + _encode(item["inputs"], arguments)

    def result(self, function: str, data: bytes) -> Any:
        """What a call returned: nothing, one value, or a tuple."""
        outputs = self._functions[function]["outputs"]
        values = tuple(map(_plain, outputs, decode(list(map(_type, outputs)), data)))
        return values[0] if len(values) == 1 else values or None

    def log(self, topics: Sequence[bytes], data: bytes) -> Log:
        """Raises KeyError for an event that is not this contract's."""
        event = self._events[bytes(topics[0])]
        indexed = [item for item in event["inputs"] if item["indexed"]]
        rest = [item for item in event["inputs"] if not item["indexed"]]
        values: dict[str, Any] = {}
        for item, topic in zip(indexed, topics[1:], strict=True):
            values[item["name"]] = _plain(item, decode([item["type"]], topic)[0])
        for item, value in zip(rest, decode(list(map(_type, rest)), data), strict=True):
            values[item["name"]] = _plain(item, value)
        return Log(name=event["name"], arguments=values)

    @cached_property
    def _functions(self) -> dict[str, dict[str, Any]]:
        return {item["name"]: item for item in self.abi if item["type"] == "function"}

    @cached_property
    def _events(self) -> dict[bytes, dict[str, Any]]:
        return {keccak256(_signature(item)): item for item in self.abi if item["type"] == "event"}


def load(directory: Path | None = None) -> dict[str, Artifact]:
    """Every contract by its name, from the cache or compiled into it, which takes some 40 s.

    Raises EnvironmentProblem: vyper is not installed or fails.
    """
    where = cache_directory() if directory is None else directory
    try:
        compiler = version("vyper")
    except PackageNotFoundError:
        raise EnvironmentProblem("the contracts are compiled with vyper: pip install 'encmempool[chain]'") from None
    sources = [(_SOURCES / f"{name}.vy").read_text() for name in (*_MODULES, *CONTRACTS)]
    digest = hashlib.sha256(json.dumps([compiler, _OPTIONS, sources]).encode()).hexdigest()
    path = where / f"contracts-{digest[:32]}.json"
    if not path.exists():
        where.mkdir(parents=True, exist_ok=True)
        lines = _vyper([_SOURCES / f"{name}.vy" for name in CONTRACTS])
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(lines))
        partial.replace(path)
    lines = json.loads(path.read_text())
    return dict(zip(CONTRACTS, map(_artifact, CONTRACTS, lines[::2], lines[1::2]), strict=True))


def compile_file(path: Path) -> Artifact:
    """A contract that is not this package's, but may import its modules. Raises EnvironmentProblem as `load` does."""
    abi, bytecode = _vyper([path])
    return _artifact(path.stem, abi, bytecode)


def _vyper(paths: Sequence[Path]) -> list[str]:
    """A line of ABI and one of bytecode for each."""
    command = [sys.executable, "-m", "vyper", *_OPTIONS, "-p", str(_SOURCES), "-f", "abi,bytecode", *map(str, paths)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(f"vyper took more than {_TIMEOUT_S} s") from None
    if done.returncode:
        raise EnvironmentProblem(f"vyper does not compile the contracts: {done.stderr.strip()}")
    return done.stdout.splitlines()


def _artifact(name: str, abi: str, bytecode: str) -> Artifact:
    return Artifact(name=name, abi=tuple(json.loads(abi)), bytecode=bytes.fromhex(bytecode.removeprefix("0x")))


def _signature(item: dict[str, Any]) -> bytes:
    return f"{item['name']}({','.join(map(_type, item['inputs']))})".encode()


def _type(item: dict[str, Any]) -> str:
    """As in a function's signature: a struct is the tuple of its fields."""
    kind: str = item["type"]
    if kind.startswith("tuple"):
        return f"({','.join(map(_type, item['components']))}){kind.removeprefix('tuple')}"
    return kind


def _encode(inputs: Sequence[dict[str, Any]], arguments: Sequence[Any]) -> bytes:
    if len(inputs) != len(arguments):
        raise TypeError(f"{len(inputs)} arguments wanted, not {len(arguments)}")
    encoded: bytes = encode([_type(item) for item in inputs], arguments)
    return encoded


def _plain(item: dict[str, Any], value: Any) -> Any:
    """eth_abi's addresses are text, ours are bytes."""
    kind = item["type"]
    if kind.endswith("]"):
        element = {**item, "type": kind[: kind.rindex("[")]}
        return tuple(_plain(element, each) for each in value)
    if kind == "tuple":
        return tuple(map(_plain, item["components"], value))
    return bytes.fromhex(value[2:]) if kind == "address" else value
