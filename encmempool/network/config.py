"""`node.toml`: what a node is, where it keeps its things, whom it talks to.

role = "member"                                 sequencer, member or auditor
home = "."                                      keys and database; by default beside this file
listen = "127.0.0.1:7101"
url = "https://member-1.example:7101"           where others reach it; by default http(s)://listen
sequencer = "https://sequencer.example:7100"
members = ["https://member-1.example:7101"]     in the order of the key set; a node's own is skipped
auditors = []                                   who is told of everything as well
operators = ["0x…"]                             whose key ceremonies it takes part in
genesis_root = "0x…"                            optional: refuse any other network
password_file = "password"                      opens the keystores

[store]     url = "postgresql+psycopg://…"      by default SQLite in the home; max_pages bounds it
[tls]       certificate, key, authority         PEM files; client_authority asks callers for certificates
[limits]    requests_per_s, burst, connections; exempt = ["10.0.0.2"] lists addresses without a limit of requests
[clock]     offset_ms = 0                       for experiments with wrong clocks

[commitments]                                   of a sequencer
interval_ms = 250                               between commitments while something waits
heartbeat_ms = 2000                             between empty ones
pipeline = 4                                    heights that may wait for their reveal
queue = 64                                      submissions that may wait for admission
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import urlsplit

from encmempool.errors import EnvironmentProblem, Malformed

ROLES = ("sequencer", "member", "auditor")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    url: str | None = field(default=None, repr=False)
    max_pages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """PEM files. `authority` verifies the nodes called; with `client_authority` callers need a certificate of it."""

    certificate: Path
    key: Path
    authority: Path | None = None
    client_authority: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    interval_ms: int = 250
    heartbeat_ms: int = 2_000
    pipeline: int = 4
    queue: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    requests_per_s: float = 200.0
    burst: int = 400
    connections: int = 512
    exempt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSettings:
    offset_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    role: str
    listen: str
    sequencer: str
    members: tuple[str, ...]
    home: Path = Path(".")
    url: str = ""
    auditors: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    genesis_root: str | None = None
    password_file: Path | None = None
    backend: str | None = None
    store: StoreSettings = StoreSettings()
    tls: TlsSettings | None = None
    pace: Pace = Pace()
    limits: LimitSettings = LimitSettings()
    clock: ClockSettings = ClockSettings()

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def own_url(self) -> str:
        return self.url or f"{'https' if self.tls else 'http'}://{self.listen}"

    @property
    def peers(self) -> tuple[str, ...]:
        """Everyone else: sequencer, members, auditors."""
        everyone = (self.sequencer, *self.members, *self.auditors)
        return tuple(dict.fromkeys(url for url in everyone if url != self.own_url))


def read(path: Path) -> NodeConfig:
    """EnvironmentProblem if the file is not there, Malformed naming the entry that is wrong."""
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise EnvironmentProblem(f"{path} is not there: write a node.toml, see `encmempool node --help`") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{path} is not TOML: {error}") from error
    try:
        return _config(document, path.resolve().parent)
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from error


def _config(document: dict[str, Any], folder: Path) -> NodeConfig:
    document = dict(document)
    pace = document.pop("commitments", {})
    sections = {
        "store": _section(StoreSettings, document.pop("store", {}), "store", folder),
        "pace": _section(Pace, pace, "commitments", folder),
        "limits": _section(LimitSettings, document.pop("limits", {}), "limits", folder),
        "clock": _section(ClockSettings, document.pop("clock", {}), "clock", folder),
        "tls": _section(TlsSettings, tls, "tls", folder) if (tls := document.pop("tls", None)) is not None else None,
    }
    document.setdefault("home", ".")
    config: NodeConfig = _section(NodeConfig, document, "", folder, given=sections)
    _check(config)
    return config


def _section(kind: type, document: Any, name: str, folder: Path, *, given: Mapping[str, Any] | None = None) -> Any:
    if not isinstance(document, dict):
        raise Malformed(f"[{name}] is a section, not a value")
    given = given or {}
    hints = get_type_hints(kind)
    values = dict(given)
    for entry, value in document.items():
        at = f"{name}.{entry}" if name else entry
        if entry not in hints or entry in given:
            known = ", ".join(sorted(set(hints) - set(given)))
            raise Malformed(f"there is no entry {at!r}; there are {known}")
        values[entry] = _value(hints[entry], value, at, folder)
    missing = [f.name for f in fields(kind) if f.name not in values and f.default is MISSING]
    if missing:
        raise Malformed(f"{f'{name}.' if name else ''}{missing[0]} is missing")
    return kind(**values)


def _value(hint: Any, value: Any, at: str, folder: Path) -> Any:
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
    if tuple in kinds or getattr(hint, "__origin__", None) is tuple:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Malformed(f"{at} is a list of strings")
        return tuple(value)
    (kind,) = kinds
    if kind is Path:
        if not isinstance(value, str):
            raise Malformed(f"{at} is a path in quotes")
        return folder / value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Malformed(f"{at} is {'a number' if kind in (int, float) else 'a text in quotes'}")
    return value


def _check(config: NodeConfig) -> None:
    if config.role not in ROLES:
        raise Malformed(f"role is {config.role!r}: it is one of {', '.join(ROLES)}")
    host, colon, port = config.listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise Malformed(f"listen is {config.listen!r}: a host and a port such as 127.0.0.1:7101 are expected")
    for url in (config.own_url, *config.peers):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise Malformed(f"{url!r} is no address of a node: http://host:port is expected")
        if parts.username is not None:
            raise Malformed("an address of a node holds no user name and no password")
    if not config.members:
        raise Malformed("members is empty: list the address of every member, in the order of the key set")
    for text, size, what in [
        *((operator, 20, "operators") for operator in config.operators),
        *([(config.genesis_root, 32, "genesis_root")] if config.genesis_root else []),
    ]:
        if len(text) != 2 + 2 * size or not text.startswith("0x"):
            raise Malformed(f"{what}: {text!r} is not 0x and {2 * size} hex digits")
        try:
            bytes.fromhex(text[2:])
        except ValueError:
            raise Malformed(f"{what}: {text!r} is not hex") from None
    pace = config.pace
    if min(pace.interval_ms, pace.heartbeat_ms, pace.pipeline, pace.queue) < 1:
        raise Malformed("[commitments] takes numbers from 1")
