"""A complete network of processes on this machine's loopback, for trying things out and for experiments.

    DIR/devnet.json              what runs: names, roles, addresses, process numbers
    DIR/NODE/node.toml           and the node's home: sequencer, member-1 …, auditor-1
    DIR/NODE/log.jsonl           what it says
    DIR/operator/                the key that orders key ceremonies

Every node is an ordinary one, started with `encmempool node`. Nothing here can do what an operator of separate
machines could not.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encmempool import genesis as development
from encmempool.documents import decode_json
from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.keysets import default_threshold
from encmempool.network.ceremony import check_committee
from encmempool.network.config import read as read_config
from encmempool.network.coordination import Made, Sites, create
from encmempool.network.local import Plan
from encmempool.network.nodes.launch import prepare
from encmempool.network.peer import BlockingPeer, PeerProblem, Refused
from encmempool.network.remote import Pins
from encmempool.ordering import Policy
from encmempool.store import DatabaseStore
from encmempool.types import Deadlines, Genesis
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND, ORDER
from threshold.keys import KeyShare
from threshold.schemes.registry import load_scheme

if TYPE_CHECKING:
    from encmempool.settlement.l1 import L1
    from encmempool.settlement.site import Contracts

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
OPERATOR = "operator"
_POLL_S = 0.05
ANVIL = "anvil"
_ANVIL_CONFIG = "anvil.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a development network consists of.

    link    the address by which one node reaches another, by default its own: a soak puts proxies in between
    extra   further lines of every node.toml
    l1      the chain below: "anvil", or the address of one; none by default
    l1_key  a file with the key that deploys and bonds there, by default that of anvil's first account
    stall   whether members halt or expire where a height gathers no certificate
    """

    members: int = 4
    auditors: int = 1
    sequencers: int = 1
    store: str | None = None
    backend: str | None = None
    interval_ms: int = 200
    heartbeat_ms: int = 2_000
    pipeline: int = 4
    queue: int = 64
    l1: str | None = None
    l1_key: Path | None = None
    stall: str = "halt"


@dataclass(slots=True, kw_only=True)
class NodeProcess:
    """One node. `pid` is None while it does not run."""

    name: str
    role: str
    url: str
    pid: int | None = None

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@dataclass(slots=True)
class Devnet:
    path: Path
    nodes: list[NodeProcess] = field(default_factory=list)
    genesis_root: str | None = None
    store: str | None = None
    l1_url: str | None = None
    anvil: NodeProcess | None = None

    # --- making and finding

    @classmethod
    def create(
        cls, path: Path, layout: Layout, *, link: Callable[[str, str, str], str] = lambda _from, _to, url: url
    ) -> Devnet:
        """Homes, identities and configurations; nothing runs yet. ValueError if a network is there already."""
        if (path / "devnet.json").exists():
            raise ValueError(f"there is a development network in {path}: `encmempool devnet down` removes it")
        names = [
            *(("sequencer" if i == 1 else f"sequencer-{i}", "sequencer") for i in range(1, layout.sequencers + 1)),
            *((f"member-{i}", "member") for i in range(1, layout.members + 1)),
            *((f"auditor-{i}", "auditor") for i in range(1, layout.auditors + 1)),
        ]
        ports = free_ports(len(names))
        nodes = [
            NodeProcess(name=name, role=role, url=f"http://127.0.0.1:{port}")
            for (name, role), port in zip(names, ports, strict=True)
        ]
        devnet = cls(path, nodes, store=layout.store, l1_url=layout.l1)
        if layout.l1 == ANVIL:
            (port,) = free_ports(1)
            devnet.l1_url = f"http://127.0.0.1:{port}"
            devnet.anvil = NodeProcess(name=ANVIL, role="l1", url=devnet.l1_url)
        path.mkdir(parents=True, exist_ok=True)
        operator = devnet._make_operator()
        for node in nodes:
            devnet._configure(node, layout, operator.address, link)
        devnet.save()
        return devnet

    @classmethod
    def load(cls, path: Path) -> Devnet:
        """EnvironmentProblem if there is none."""
        try:
            document = decode_json((path / "devnet.json").read_bytes())
            nodes = [
                NodeProcess(name=node["name"], role=node["role"], url=node["url"], pid=node["pid"])
                for node in document["nodes"]
            ]
            anvil = document["anvil"]
            return cls(
                path,
                nodes,
                genesis_root=document["genesis_root"],
                store=document["store"],
                l1_url=document["l1_url"],
                anvil=NodeProcess(name=ANVIL, role="l1", url=document["l1_url"], pid=anvil) if anvil else None,
            )
        except FileNotFoundError:
            raise EnvironmentProblem(
                f"no development network in {path}: start one with `encmempool devnet up`"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"{path / 'devnet.json'} is damaged: {error}") from error

    def save(self) -> None:
        document = {
            "genesis_root": self.genesis_root,
            "store": self.store,
            "l1_url": self.l1_url,
            "anvil": self.anvil.pid if self.anvil else None,
            "nodes": [{"name": n.name, "role": n.role, "url": n.url, "pid": n.pid} for n in self.nodes],
        }
        partial = self.path / "devnet.json.partial"
        partial.write_text(json.dumps(document, indent=2) + "\n")
        partial.chmod(0o600)
        partial.replace(self.path / "devnet.json")

    # --- parts

    def node(self, name: str) -> NodeProcess:
        """ValueError for a name that is not one."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ValueError(f"there is no node {name!r}; there are {', '.join(node.name for node in self.nodes)}")

    def of_role(self, role: str) -> list[NodeProcess]:
        return [node for node in self.nodes if node.role == role]

    @property
    def sequencer(self) -> NodeProcess:
        return self.of_role("sequencer")[0]

    @property
    def members(self) -> list[NodeProcess]:
        return self.of_role("member")

    def home(self, node: NodeProcess) -> Home:
        return Home(self.path / node.name)

    def config_path(self, node: NodeProcess) -> Path:
        return self.path / node.name / "node.toml"

    def open_store(self, node: NodeProcess) -> DatabaseStore:
        """The database of a node that does not run."""
        settings = read_config(self.config_path(node)).store
        return DatabaseStore(settings.url) if settings.url else self.home(node).store(node.role)

    def log_path(self, node: NodeProcess) -> Path:
        return self.path / node.name / "log.jsonl"

    def operator(self) -> Identity:
        home = Home(self.path / OPERATOR)
        password = home.generated_password()
        if password is None:
            raise EnvironmentProblem(f"{home.path} has lost its password: take the network down and start another")
        return home.account(OPERATOR, password)

    @property
    def public_home(self) -> Home:
        """What the operator knows of the network: genesis, addresses, key sets."""
        return Home(self.path / OPERATOR)

    def sites(self) -> Sites:
        """The nodes as their operator reaches them."""
        others = [node.url for node in self.nodes if node.role != "member" and node is not self.sequencer]
        return Sites(self.sequencer.url, [node.url for node in self.members], others)

    def password(self, node: NodeProcess) -> Password:
        found = self.home(node).generated_password()
        if found is None:
            raise EnvironmentProblem(f"{self.home(node).path} has lost its password: take the network down")
        return found

    # --- running

    def start(self, node: NodeProcess) -> None:
        """Start one process; `wait` says when it answers."""
        command = [sys.executable, "-P", "-m", "cli.main", "node", node.role, "--config", str(self.config_path(node))]
        self._spawn(node, command, self.log_path(node))

    def start_anvil(self) -> None:
        """The chain below, where it is one of this network's own."""
        if self.anvil is not None:
            from encmempool.settlement.anvil import command, fetch

            # The file tells this process from others.
            options = ("--config-out", str(self.path / _ANVIL_CONFIG))
            self._spawn(self.anvil, command(fetch().binary, self.anvil.port, *options), self.path / "anvil.log")

    def _spawn(self, node: NodeProcess, command: Sequence[str], log_path: Path) -> None:
        with open(log_path, "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        _children[process.pid] = process
        node.pid = process.pid
        self.save()

    def start_all(self) -> None:
        for node in self.nodes:
            self.start(node)

    def wait(
        self, nodes: Sequence[NodeProcess], endpoint: str = "health", *, timeout_s: float = START_TIMEOUT_S
    ) -> None:
        """Until all of them answer. EnvironmentProblem with the last lines of the log of one that does not."""
        end = time.monotonic() + timeout_s
        for node in nodes:
            with BlockingPeerOf(node.url, timeout_s=5.0) as peer:
                while not _answers(peer, endpoint):
                    if not self.runs(node):
                        raise EnvironmentProblem(f"{node.name} ended: {self.last_words(node)}")
                    if time.monotonic() > end:
                        raise EnvironmentProblem(
                            f"{node.name} is not ready after {timeout_s:g} s: {self.last_words(node)}"
                        )
                    time.sleep(_POLL_S)

    def runs(self, node: NodeProcess) -> bool:
        if node.pid is None:
            return False
        child = _children.get(node.pid)
        if child is not None:
            return child.poll() is None
        return _is_ours(node.pid, self.path / _ANVIL_CONFIG if node is self.anvil else self.config_path(node))

    def signal(self, node: NodeProcess, number: int) -> None:
        if node.pid is not None and self.runs(node):
            with suppress(ProcessLookupError):
                os.kill(node.pid, number)

    def stop(self, nodes: Sequence[NodeProcess], *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """SIGTERM, and SIGKILL for one that does not end in time."""
        for node in nodes:
            self.signal(node, signal.SIGCONT)
            self.signal(node, signal.SIGTERM)
        end = time.monotonic() + timeout_s
        for node in nodes:
            while self.runs(node) and time.monotonic() < end:
                time.sleep(_POLL_S)
            self.kill(node)

    def kill(self, node: NodeProcess) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(node, signal.SIGKILL)
        while self.runs(node):
            time.sleep(_POLL_S / 5)
        if node.pid is not None:
            _children.pop(node.pid, None)
        node.pid = None
        self.save()

    def remove(self) -> None:
        """Stop everything and leave nothing behind."""
        self.stop(self.nodes)
        if self.anvil is not None:
            self.kill(self.anvil)
        if self.store is not None:
            drop_databases(self.store, [node.name for node in self.nodes])
        shutil.rmtree(self.path)

    def last_words(self, node: NodeProcess) -> str:
        """The end of its log, on one line."""
        try:
            lines = self.log_path(node).read_text(errors="replace").strip().splitlines()
        except FileNotFoundError:
            return "it left no log"
        return " | ".join(lines[-2:])[-500:] or "it said nothing"

    def log_lines(self, names: Sequence[str] = ()) -> Iterator[str]:
        for node in self.nodes:
            if not names or node.name in names:
                with suppress(FileNotFoundError):
                    yield from self.log_path(node).read_text(errors="replace").splitlines()

    # --- the chain below

    def l1(self) -> L1:
        """EnvironmentProblem if the network has none."""
        if self.l1_url is None:
            raise EnvironmentProblem("this network has no chain below: run `encmempool devnet up --l1 anvil`")
        from encmempool.settlement.l1 import L1

        return L1(self.l1_url)

    def contracts(self) -> Contracts:
        from encmempool.settlement.site import FILE, Site, connect

        return connect(self.l1(), Site.read(self.path / OPERATOR / FILE), self.public_home.genesis())

    def settle(
        self, genesis: Genesis, layout: Layout, *, accounts: Sequence[bytes], progress: Callable[[str], None]
    ) -> None:
        """Put the network's contracts and bonds on the chain below."""
        from encmempool.network.devnet_l1 import deployer_of, settle, wait_for

        l1 = self.l1()
        progress("waiting for the chain below")
        wait_for(l1)
        addresses = {node.name: self._address(node) for node in self.nodes}
        settle(
            l1,
            deployer_of(layout.l1_key),
            genesis,
            [self.path / name for name in (OPERATOR, *addresses)],
            sequencers=[addresses[node.name] for node in self.of_role("sequencer")],
            members=[addresses[node.name] for node in self.members],
            others=[*(addresses[node.name] for node in self.of_role("auditor")), *accounts],
            progress=progress,
        )

    def _address(self, node: NodeProcess) -> bytes:
        with BlockingPeerOf(node.url, timeout_s=5.0) as peer:
            return bytes.fromhex(peer.call("node")["address"][2:])

    # --- setting up

    def _make_operator(self) -> Identity:
        home = Home(self.path / OPERATOR)
        home.path.mkdir()
        password = home.generated_password(create=True)
        if password is None:
            raise AssertionError("a generated password was just written")
        home.create_account(OPERATOR, password)
        return home.account(OPERATOR, password)

    def _configure(
        self, node: NodeProcess, layout: Layout, operator: bytes, link: Callable[[str, str, str], str]
    ) -> None:
        def reached(other: NodeProcess) -> str:
            return node.url if other is node else link(node.name, other.name, other.url)

        sequencers = self.of_role("sequencer")
        own = node if node.role == "sequencer" else sequencers[0]
        settings: dict[str, Any] = {
            "role": node.role,
            "listen": f"127.0.0.1:{node.port}",
            "url": node.url,
            "sequencer": reached(own),
            "members": [reached(other) for other in self.members],
            "auditors": [
                reached(other)
                for other in self.nodes
                if other.role == "auditor" or (other in sequencers and other is not own)
            ],
            "operators": [f"0x{operator.hex()}"],
            **({"backend": layout.backend} if layout.backend else {}),
        }
        sections: dict[str, Mapping[str, Any]] = {
            "commitments": {
                "interval_ms": layout.interval_ms,
                "heartbeat_ms": layout.heartbeat_ms,
                "pipeline": layout.pipeline,
                "queue": layout.queue,
            },
            "limits": {"exempt": ["127.0.0.1"]},
        }
        if self.l1_url is not None:
            sections["l1"] = {"url": self.l1_url, "contracts": "l1.json", "poll_ms": 500}
        if layout.stall != "halt":
            sections["stall"] = {"policy": layout.stall, "after_s": 10}
        if layout.store is not None:
            sections["store"] = {"url": create_database(layout.store, node.name)}
        (self.path / node.name).mkdir()
        write_toml(self.config_path(node), settings, sections)
        prepare(read_config(self.config_path(node)))


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Processes that this one started: they have to be waited for."""


class BlockingPeerOf:
    """A peer for the length of a block."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._peer = BlockingPeer(url, timeout_s=timeout_s)

    def __enter__(self) -> BlockingPeer:
        return self._peer

    def __exit__(self, *_: object) -> None:
        self._peer.close()


def _answers(peer: BlockingPeer, endpoint: str) -> bool:
    try:
        peer.call(endpoint)
    except (PeerProblem, Refused):
        return False
    return True


def _is_ours(pid: int, config: Path) -> bool:
    """Whether the process with this number is still that node, and not another that has its number now."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return str(config).encode() in command and state != "Z"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return str(config) in shown.stdout


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody has at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def write_toml(path: Path, settings: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]]) -> None:
    """Numbers, texts, lists of texts, and sections of them. For its owner alone: a URL may hold a password."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    for section, entries in sections.items():
        lines += ["", f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in entries.items())]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")


# --- a database for each node ----------------------------------------------------------------------------------------


def create_database(url: str, name: str) -> str:
    """A new database beside the one of the URL; its URL."""
    from sqlalchemy import text
    from sqlalchemy.engine import make_url

    base = make_url(url)
    own = base.set(database=_database_name(base.database, name))
    with _server(url) as connection:
        connection.execute(text(f'CREATE DATABASE "{own.database}"'))
    return own.render_as_string(hide_password=False)


def drop_databases(url: str, names: Sequence[str]) -> None:
    from sqlalchemy import text
    from sqlalchemy.engine import make_url

    with _server(url) as connection:
        for name in names:
            database = _database_name(make_url(url).database, name)
            connection.execute(text(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)'))


def _database_name(base: str | None, name: str) -> str:
    return f"{base or 'encmempool'}_{name.replace('-', '_')}".replace('"', "")


class _server:
    """A connection outside transactions, for statements about databases."""

    def __init__(self, url: str) -> None:
        from sqlalchemy import create_engine

        self._engine = create_engine(url, isolation_level="AUTOCOMMIT")

    def __enter__(self) -> Any:
        from sqlalchemy.exc import DBAPIError

        try:
            self._connection = self._engine.connect()
        except DBAPIError as error:
            reason = str(error.orig).splitlines()[0]
            raise EnvironmentProblem(f"the database server cannot be used: {reason}") from error
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._engine.dispose()


# --- a whole network -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The key of a new network, as `encmempool committee create` takes it."""

    scheme: str = "tdh2"
    threshold: int | None = None
    order: str = "arrival"
    batch_limit: int | None = None
    rounds: int | None = None


def _deadlines(layout: Layout) -> Deadlines:
    if layout.l1 is None:
        return development.DEADLINES
    from encmempool.network.devnet_l1 import DEADLINES

    return DEADLINES


def launch(
    path: Path,
    home: Home,
    layout: Layout,
    wanted: Wanted,
    *,
    funded: Sequence[bytes] = (),
    backend: str = DEFAULT_BACKEND,
    link: Callable[[str, str, str], str] = lambda _from, _to, url: url,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[Devnet, Made]:
    """Start everything, make the key, pin the network in `home`. What fails half-way leaves nothing behind.

    funded    addresses besides the home's accounts and the development accounts
    """
    scheme = load_scheme(wanted.scheme, backend)
    threshold = default_threshold(layout.members) if wanted.threshold is None else wanted.threshold
    check_committee(scheme, layout.members, threshold, reduced_allowed=False)
    home.path.mkdir(parents=True, exist_ok=True)
    password = home.generated_password(create=True)
    if password is None:
        raise AssertionError("a generated password was just written")
    development = home.create_development_accounts(password)
    own = [home.account_address(name) for name in home.account_names()]
    devnet = Devnet.create(path, layout, link=link)
    try:
        progress("starting the nodes")
        devnet.start_anvil()
        devnet.start_all()
        devnet.wait(devnet.nodes)
        plan = Plan(
            members=layout.members,
            threshold=threshold,
            policy=Policy.named(wanted.order),
            funded=(*development, *own, *funded),
            batch_limit=wanted.batch_limit,
            rounds=wanted.rounds,
            deadlines=_deadlines(layout),
        )
        with devnet.sites() as sites:
            made = create(sites, plan, scheme, devnet.operator(), devnet.public_home, progress=progress)
        if layout.l1 is not None:
            devnet.settle(made.committee.genesis, layout, accounts=(*development, *own), progress=progress)
        devnet.wait(devnet.nodes, "ready")
    except BaseException:
        devnet.remove()
        raise
    devnet.genesis_root = f"0x{made.committee.genesis.root.hex()}"
    devnet.save()
    for node in devnet.nodes:
        Pins(home).pin(node.url, made.committee.genesis.root)
    return devnet, made


@contextmanager
def with_wrong_key(devnet: Devnet, node: NodeProcess, restart: Callable[[NodeProcess], None]) -> Iterator[None]:
    """While the context lasts a member runs with a share of another key, and so signs wrong decryption shares."""
    home, password = devnet.home(node), devnet.password(node)
    epoch = len(home.key_sets())
    key_set = home.key_sets()[-1].message
    index = key_set.members.index(home.identity("member", password).address) + 1
    share = home.key_share(index, password, role="member", epoch=epoch)
    public = key_set.verification_keys[index - 1]
    wrong = KeyShare(index, entropy.scalar(entropy.system, ORDER).to_bytes(len(share.secret_bytes()), "big"))

    def run_with(held: KeyShare) -> None:
        devnet.kill(node)
        home.write_key_share("member", held, public, password, epoch=epoch)
        restart(node)

    run_with(wrong)
    try:
        yield
    finally:
        run_with(share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How a node is. Numbers are None for one that does not answer."""

    runs: bool
    answers: bool
    ready: bool
    head: int | None = None
    executed_height: int | None = None
    epoch: int | None = None
    evidence: int | None = None

    @property
    def text(self) -> str:
        if not self.runs:
            return "[red]gone[/]"
        if not self.answers:
            return "[red]silent[/]"
        return "[green]ready[/]" if self.ready else "[yellow]not ready[/]"


def conditions(devnet: Devnet) -> tuple[Condition, ...]:
    """Of every node, in the network's order."""
    return tuple(map(_condition, [devnet] * len(devnet.nodes), devnet.nodes))


def _condition(devnet: Devnet, node: NodeProcess) -> Condition:
    runs = devnet.runs(node)
    with BlockingPeerOf(node.url, timeout_s=2.0) as peer:
        try:
            document = peer.call("node")
            evidence = len(peer.call("evidence").evidence)
        except (PeerProblem, Refused):
            return Condition(runs=runs, answers=False, ready=False)
        return Condition(
            runs=runs,
            answers=True,
            ready=_answers(peer, "ready"),
            head=int(document["head"]),
            executed_height=int(document["executed_height"]),
            epoch=document["epoch"],
            evidence=evidence,
        )
