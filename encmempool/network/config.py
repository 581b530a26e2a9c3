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

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any, get_args, get_type_hints

from encmempool.errors import EnvironmentProblem, Malformed
from threshold.curve import BACKENDS

ROLES = ("sequencer", "member", "auditor")
STALL_POLICIES = ("halt", "expire")
_STORES = ("sqlite://", "sqlite+pysqlite://", "postgresql+psycopg://")
_HOST_AND_PORT = re.compile(r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?", re.ASCII)
_LAST_PORT = 65_535
_HEX = re.compile(r"0x[0-9a-fA-F]*", re.ASCII)
_SHOWN_CHARACTERS = 80
_MOST = (1 << 31) - 1
_MOST_OFFSET_MS = 10**12


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
class StallSettings:
    """What a member does about a height that gathers no certificate: nothing (`halt`), or abstain after so long."""

    policy: str = "halt"
    after_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Settings:
    """The chain below: its JSON-RPC address, and the file that names the network's contracts there."""

    url: str
    contracts: Path
    poll_ms: int = 1_000


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
    l1: L1Settings | None = None
    pace: Pace = Pace()
    stall: StallSettings = StallSettings()
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
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
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
        "stall": _section(StallSettings, document.pop("stall", {}), "stall", folder),
        "limits": _section(LimitSettings, document.pop("limits", {}), "limits", folder),
        "clock": _section(ClockSettings, document.pop("clock", {}), "clock", folder),
        "l1": _section(L1Settings, l1, "l1", folder) if (l1 := document.pop("l1", None)) is not None else None,
        "tls": _section(TlsSettings, tls, "tls", folder) if (tls := document.pop("tls", None)) is not None else None,
    }
    document.setdefault("home", ".")
    config: NodeConfig = _section(NodeConfig, document, "", folder, given=sections)
    _check(config)
    return replace(
        config,
        url=config.url.rstrip("/"),
        sequencer=config.sequencer.rstrip("/"),
        members=tuple(url.rstrip("/") for url in config.members),
        auditors=tuple(url.rstrip("/") for url in config.auditors),
    )


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
            raise Malformed(f"there is no entry {_shown(at)}; there are {known}")
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
        wanted = {int: "a whole number", float: "a number"}.get(kind, "a text in quotes")
        raise Malformed(f"{at} is {wanted}")
    return value


def _check(config: NodeConfig) -> None:
    if config.role not in ROLES:
        raise Malformed(f"role is {_shown(config.role)}: it is one of {', '.join(ROLES)}")
    if config.backend is not None and config.backend not in BACKENDS:
        raise Malformed(f"backend is {_shown(config.backend)}: it is one of {', '.join(BACKENDS)}")
    if config.stall.policy not in STALL_POLICIES:
        raise Malformed(f"stall.policy is {_shown(config.stall.policy)}: it is one of {', '.join(STALL_POLICIES)}")
    if _port_of(config.listen) is None:
        raise Malformed(f"listen is {_shown(config.listen)}: a host and a port such as 127.0.0.1:7101 are expected")
    _check_addresses(config)
    for text, size, what in [
        *((operator, 20, "operators") for operator in config.operators),
        *([(config.genesis_root, 32, "genesis_root")] if config.genesis_root is not None else []),
    ]:
        if len(text) != 2 + 2 * size or _HEX.fullmatch(text) is None:
            raise Malformed(f"{what}: {_shown(text)} is not 0x and {2 * size} hex digits")
    _check_numbers(config)
    if config.store.url is not None and not config.store.url.startswith(_STORES):
        # Not repeated: it may hold a password.
        raise Malformed(f"store.url is none of a database: it begins with one of {', '.join(_STORES)}")


def _check_addresses(config: NodeConfig) -> None:
    if not config.members:
        raise Malformed("members is empty: list the address of every member, in the order of the key set")
    for entry, urls in {
        "sequencer": (config.sequencer,),
        "members": config.members,
        "auditors": config.auditors,
        "url": (config.url,) if config.url else (),
    }.items():
        for url in urls:
            _check_url(entry, url)
        if len({url.rstrip("/") for url in urls}) != len(urls):
            raise Malformed(f"{entry} lists an address twice")
    if config.l1 is not None and not config.l1.url.startswith(("http://", "https://")):
        # Not repeated: it may hold a key to the service.
        raise Malformed("l1.url is no address of a chain: http://host:port is expected")
    for address in config.limits.exempt:
        try:
            ip_address(address.partition("%")[0])
        except ValueError:
            raise Malformed(f"limits.exempt: {_shown(address)} is no IP address") from None


def _check_url(entry: str, url: str) -> None:
    if "@" in url:
        raise Malformed(f"{entry}: an address of a node holds no user name and no password")
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not _port_of(rest.removesuffix("/"), default=80):
        raise Malformed(f"{entry}: {_shown(url)} is no address of a node: http://host:port is expected")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def _port_of(text: str, *, default: int | None = None) -> int | None:
    """Of `host:port`, or the default of a host alone. None for anything else."""
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        return None
    try:
        if match["host"].startswith("["):
            IPv6Address(match["host"][1:-1])
    except ValueError:
        return None
    port = default if match["port"] is None else int(match["port"])
    return None if port is None or port > _LAST_PORT else port


def _check_numbers(config: NodeConfig) -> None:
    pace, limits = config.pace, config.limits
    counts: dict[str, int | None] = {
        **{f"commitments.{entry.name}": getattr(pace, entry.name) for entry in fields(pace)},
        "stall.after_s": config.stall.after_s,
        "limits.burst": limits.burst,
        "limits.connections": limits.connections,
        "store.max_pages": config.store.max_pages,
        "l1.poll_ms": config.l1.poll_ms if config.l1 else None,
    }
    for at, number in counts.items():
        if number is not None and not 1 <= number <= _MOST:
            raise Malformed(f"{at} lies between 1 and {_MOST}")
    if not 0 < limits.requests_per_s <= _MOST:
        raise Malformed(f"limits.requests_per_s is more than 0 and at most {_MOST}")
    if abs(config.clock.offset_ms) > _MOST_OFFSET_MS:
        raise Malformed(f"clock.offset_ms lies between {-_MOST_OFFSET_MS} and {_MOST_OFFSET_MS}")
