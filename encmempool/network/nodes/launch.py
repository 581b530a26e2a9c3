"""From a `node.toml` to a running process.

A node's home holds `ROLE/identity.json`, `ROLE/records.sqlite` and, for members, `ROLE/key-share*.json`; besides what
everyone may know, as in any home. One process at a time acts in it.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.home import Home, Password, read_password
from encmempool.identity import Identity
from encmempool.network.ceremonies import CeremonyDesk
from encmempool.network.config import NodeConfig
from encmempool.network.nodes.auditor import AuditorCore
from encmempool.network.nodes.core import Core
from encmempool.network.nodes.l1_link import L1Link
from encmempool.network.nodes.member import RESTORED, MemberCore
from encmempool.network.nodes.member_service import MemberService
from encmempool.network.nodes.sequencer import SequencerCore
from encmempool.network.nodes.sequencer_service import SequencerService
from encmempool.network.nodes.service import Service
from encmempool.network.observation import Log
from encmempool.store import DatabaseStore
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND

_SWITCH_S = 0.0005
"""A tenth of Python's own: the loop, which waits for the interpreter after every call of the system, would otherwise
wait 5 ms each time while a thread computes."""


def prepare(config: NodeConfig) -> bytes:
    """Make a new node's identity and database; its address. ValueError if the home has them already."""
    home = Home(config.home)
    if (home.path / config.role).exists():
        raise ValueError(f"{home.path} holds a {config.role} already: start it, or choose another home")
    home.path.mkdir(parents=True, exist_ok=True)
    password = password_of(config, home, create=True)
    identity = Identity(secrets.token_bytes(32))
    home.write_identity(config.role, identity, password)
    if config.store.url is None:
        home.create_store(config.role)
    return identity.address


def password_of(config: NodeConfig, home: Home, *, create: bool = False) -> Password:
    """What opens the node's keystores: the configured file, else the home's generated password."""
    if config.password_file is not None:
        return Password(read_password(config.password_file), generated=False)
    found = home.generated_password(create=create)
    if found is None:
        raise EnvironmentProblem(f"no password for {home.path}: set password_file in node.toml")
    return found


@contextmanager
def opened(config: NodeConfig, *, log: Log | None = None) -> Iterator[Service]:
    """A node ready to run, alone in its home. EnvironmentProblem or Malformed if something is missing or wrong."""
    home = Home(config.home)
    if not (home.path / config.role / "identity.json").exists():
        raise EnvironmentProblem(f"there is no {config.role} in {home.path}: run `encmempool node init` first")
    with home.locked():
        if home.exists and config.genesis_root and home.genesis().root != bytes.fromhex(config.genesis_root[2:]):
            raise Malformed(f"the network in {home.path} is not the one with the configured genesis_root")
        password = password_of(config, home)
        identity = home.identity(config.role, password)
        store = _store(config, home)
        try:
            service = _service(config, home, store, identity, password, log)
            if config.l1 is not None:
                service.below = L1Link(config.l1, identity, role=config.role)
            yield service
        finally:
            store.close()


def _store(config: NodeConfig, home: Home) -> DatabaseStore:
    settings = config.store
    if settings.url is not None:
        return DatabaseStore(settings.url)
    return home.store(config.role, max_pages=settings.max_pages)


def _service(
    config: NodeConfig, home: Home, store: DatabaseStore, identity: Identity, password: Password, log: Log | None
) -> Service:
    backend = config.backend or DEFAULT_BACKEND
    clock_ms = _clock(config.clock.offset_ms)
    log = log or Log(node=f"{config.role}@{config.listen}")
    address = identity.address
    match config.role:
        case "member":
            member = MemberCore(
                home, store, identity, password, backend=backend, clock_ms=clock_ms, random=entropy.system
            )
            operators = [bytes.fromhex(operator[2:]) for operator in config.operators]
            desk = CeremonyDesk(home, identity, password, operators=operators, backend=backend)
            return MemberService(config, member, desk, log=log, address=address)
        case "sequencer":
            core = Core(home, store, role="sequencer", backend=backend, clock_ms=clock_ms)
            sequencer = SequencerCore(
                store,
                identity,
                committees=lambda: core.committees,
                state=core.state,
                inbox=core.inbox,
                clock_ms=clock_ms,
            )
            return SequencerService(config, core, sequencer, log=log, address=address)
    return Service(
        config, AuditorCore(home, store, role="auditor", backend=backend, clock_ms=clock_ms), log=log, address=address
    )


def _clock(offset_ms: int) -> Callable[[], int]:
    return lambda: time.time_ns() // 1_000_000 + offset_ms


def run(config: NodeConfig, *, started: Callable[[bytes, int], None] = lambda address, port: None) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way. `started` is told the node's address and port."""
    sys.setswitchinterval(_SWITCH_S)
    with opened(config) as service:
        asyncio.run(_run(service, lambda port: started(service.address, port)))


async def _run(service: Service, started: Callable[[int], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop.set)
    await service.run(started)


def mark_restored(config: NodeConfig) -> None:
    """Have the member follow in silence until the network is past what it may have signed. ValueError elsewhere."""
    if config.role != "member":
        raise ValueError("only a member has anything to keep silent about: start the node as usual")
    home = Home(config.home)
    if not (home.path / config.role / "identity.json").exists():
        raise EnvironmentProblem(f"there is no member in {home.path}: restore its home first")
    with home.locked():
        (home.path / config.role / RESTORED).touch()
