"""Faults in a running network of real processes, and what it came to.

Traders go on while nodes are killed, stopped, cut off, slowed down, run out of disk, have wrong clocks, hand out wrong
shares, and while a sequencer signs twice. Afterwards everything is stopped and looked into: databases, logs, history.

    kill, pause            SIGKILL and restart; SIGSTOP and SIGCONT
    delay, drop            on one way from one node to another, by a proxy
    silent-member          a member cut off from everybody
    bad-share              a member runs with a share of another key for a while
    equivocate             the sequencer's key signs two commitments for one height, each shown to half of the members.
                           Nobody certifies either; the network halts with evidence, and goes on under a new committee
                           epoch with another sequencer
    disk-full              a node's database may not grow any more
    clock-skew             a node's clock is up to 45 s wrong

With a chain below, what contracts took is looked at as well: nobody pays who did not misbehave.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import tempfile
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from encmempool.audit import AuditFailed, verify
from encmempool.committee import PROPOSAL, SHARE, VOTE
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.evidence import examine
from encmempool.home import Home
from encmempool.identity import Identity
from encmempool.network.coordination import Handover, Sites, rotate
from encmempool.network.devnet import (
    BlockingPeerOf,
    Devnet,
    Layout,
    NodeProcess,
    Wanted,
    launch,
    with_wrong_key,
    write_toml,
)
from encmempool.network.export import export_history
from encmempool.network.nodes.history import OUTCOMES
from encmempool.network.peer import PeerProblem, Refused
from encmempool.network.proxies import ProxyBoard
from encmempool.network.remote import RemoteNetwork
from encmempool.network.trading import Trader, Trades, quantile_ms
from encmempool.reveal import REVEAL, SHARE as FOLLOWED_SHARE
from encmempool.store import DatabaseStore
from encmempool.types import (
    BatchList,
    OrderCommitment,
    Proposal,
    ShareRelease,
    SignedCommitment,
    SignedShare,
    SignedVote,
    signing_digest,
)
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.keys import CeremonyFailed

FAULTS = (
    "kill",
    "pause",
    "delay",
    "drop",
    "bad-share",
    "silent-member",
    "equivocate",
    "disk-full",
    "clock-skew",
)
TRADERS = 24
MAX_EQUIVOCATIONS = 2
_SETTLE_S = 90.0
_LAST_FAULT_S = 8.0
_READY_S = 45.0
_MAX_SKEW_MS = 45_000


@dataclass(slots=True)
class Report:
    """What a soak came to; `document` is `encmempool.soak/1`."""

    seconds: float
    seed: int
    scheme: str
    members: int
    trades: Trades
    faults: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    recovery_s: list[float] = field(default_factory=list)
    second_signatures: int = 0
    revealed_not_executed: int = 0
    plaintext_in_logs: int = 0
    heights: int = 0
    epochs: int = 0
    slashed: int | None = None
    slashed_honest: int = 0
    audit: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return self.trades.lost

    @property
    def passed(self) -> bool:
        """Zeros where zeros are due, evidence of every kind that was injected, and a history that verifies."""
        return (
            not (self.second_signatures or self.lost or self.revealed_not_executed or self.plaintext_in_logs)
            and not self.slashed_honest
            and all(self.evidence[kind] >= count for kind, count in self.injected.items())
            and bool(self.audit.get("verified"))
            and not self.problems
        )

    def document(self) -> dict[str, Any]:
        outcomes = self.trades.outcomes
        return {
            "passed": self.passed,
            "seconds": round(self.seconds, 1),
            "seed": self.seed,
            "scheme": self.scheme,
            "members": self.members,
            "sent": len(self.trades.made),
            "receipted": len(self.trades.receipted),
            "executed": outcomes.get("executed", 0),
            "expired": outcomes.get("expired", 0),
            "outcomes": outcomes,
            "faults": dict(self.faults),
            "second_signatures": self.second_signatures,
            "receipted_lost": self.lost,
            "revealed_not_executed": self.revealed_not_executed,
            "plaintext_in_logs": self.plaintext_in_logs,
            "recovery_s": {"median": self._recovery(0.5), "p99": self._recovery(0.99)},
            "injected": dict(self.injected),
            "evidence": dict(self.evidence),
            "heights": self.heights,
            "epochs": self.epochs,
            **({} if self.slashed is None else {"slashed": self.slashed, "slashed_honest": self.slashed_honest}),
            "audit": self.audit,
            "problems": self.problems,
        }

    def _recovery(self, share: float) -> float | None:
        found = quantile_ms(self.recovery_s, share)
        return None if found is None else round(found / 1e3, 2)


def soak(
    *,
    seconds: float,
    seed: int,
    faults: Sequence[str] = FAULTS,
    layout: Layout | None = None,
    wanted: Wanted | None = None,
    rate: float = 12.0,
    pause_s: float = 2.0,
    backend: str = DEFAULT_BACKEND,
    keep: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Run a network of its own for `seconds` and look into it afterwards.

    pause_s    about so long between the beginnings of two faults
    keep       a folder to leave everything in
    """
    if unknown := set(faults) - set(FAULTS):
        raise ValueError(f"there is no fault {sorted(unknown)[0]!r}; there are {', '.join(FAULTS)}")
    layout, wanted = layout or Layout(), wanted or Wanted()
    equivocations = _equivocations(faults, seconds)
    layout = replace(layout, sequencers=1 + equivocations, backend=backend, heartbeat_ms=1_000)
    with _folder(keep) as folder, ProxyBoard() as board:
        home = Home(folder / "client")
        accounts = [Identity(entropy.system(32)) for _ in range(TRADERS)]
        progress("starting a network")
        devnet, _ = launch(
            folder / "network",
            home,
            layout,
            wanted,
            funded=[account.address for account in accounts],
            backend=backend,
            link=board.link,
            progress=progress,
        )
        run = _Soak(devnet, board, home, accounts, seed=seed, faults=faults, backend=backend, progress=progress)
        run.report.scheme, run.report.members = wanted.scheme, layout.members
        try:
            run.go(seconds=seconds, rate=rate, pause_s=pause_s, equivocations=equivocations)
            run.look_back()
        finally:
            run.close()
            devnet.stop(devnet.nodes)
            if keep is None:
                devnet.remove()
        return run.report


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="encmempool-soak-") as name:
        yield Path(name)


def _equivocations(faults: Sequence[str], seconds: float) -> int:
    """One, and another in a long run: each takes a sequencer of its own."""
    return 0 if "equivocate" not in faults else 1 if seconds < 300 else MAX_EQUIVOCATIONS


class _Soak:
    def __init__(
        self,
        devnet: Devnet,
        board: ProxyBoard,
        home: Home,
        accounts: Sequence[Identity],
        *,
        seed: int,
        faults: Sequence[str],
        backend: str,
        progress: Callable[[str], None],
    ) -> None:
        self._devnet = devnet
        self._board = board
        self._home = home
        self._accounts = accounts
        self._draw = random.Random(seed)  # of times and targets; no secret comes from it
        self._faults = list(faults)
        self._backend = backend
        self._progress = progress
        self._sequencer = devnet.sequencer
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._injected_heights: set[int] = set()
        self._offenders: set[bytes] = set()
        self._network = RemoteNetwork(self._sequencer.url, home, backend=backend)
        self._trader = Trader(self._network, accounts, seed=seed)
        self.report = Report(seconds=0.0, seed=seed, scheme="", members=0, trades=self._trader.trades)

    def close(self) -> None:
        self._network.close()

    # --- the run

    def go(self, *, seconds: float, rate: float, pause_s: float, equivocations: int) -> None:
        began = time.monotonic()
        stop = threading.Event()
        trading = threading.Thread(target=self._trade, args=(rate, stop), name="trading")
        trading.start()
        try:
            self._inject(began, seconds, pause_s, equivocations)
        finally:
            for worker in self._workers:
                worker.join(timeout=_READY_S + 15)
            stop.set()
            trading.join(timeout=60)
        self.report.seconds = time.monotonic() - began
        self._progress("waiting for the outcomes")
        self._board.mend(self._board.ways)
        for node in self._devnet.nodes:
            if not self._devnet.runs(node):
                self._devnet.start(node)
        try:
            self._wait_level()
        except EnvironmentProblem as error:
            self.report.problems.append(str(error))
        asyncio.run(self._trader.settle(timeout_s=_SETTLE_S, url=self._sequencer.url))

    def _trade(self, rate: float, stop: threading.Event) -> None:
        async def run() -> None:
            ended = asyncio.Event()

            async def watch() -> None:
                while not stop.is_set():
                    await asyncio.sleep(0.1)
                ended.set()

            watcher = asyncio.create_task(watch())
            await self._trader.run(seconds=86_400.0, rate=rate, stop=ended)
            await watcher

        asyncio.run(run())

    def _inject(self, began: float, seconds: float, pause_s: float, equivocations: int) -> None:
        """A round of every kind first, in a drawn order, then whatever is drawn."""
        kinds = [kind for kind in self._faults if kind != "equivocate"]
        first = self._draw.sample(kinds, len(kinds))
        equivocate_at = [began + seconds * (at + 1) / (equivocations + 1) for at in range(equivocations)]
        while (now := time.monotonic()) < began + seconds - min(_LAST_FAULT_S, seconds / 3):
            if equivocate_at and now >= equivocate_at[0]:
                equivocate_at.pop(0)
                self._quiet()
                self._equivocate()
                continue
            if kinds:
                kind = first.pop(0) if first else self._draw.choice(kinds)
                self._progress(f"{now - began:.0f} of {seconds:g} s, {sum(self.report.faults.values())} faults, {kind}")
                self._begin(kind)
            time.sleep(pause_s * self._draw.uniform(0.5, 1.5))
        for _ in equivocate_at:
            self._quiet()
            self._equivocate()

    def _quiet(self) -> None:
        """Until nothing else goes on: who halts a network wants to know what halted it."""
        for worker in self._workers:
            worker.join(timeout=_READY_S + 15)
        self._workers.clear()

    def _begin(self, kind: str) -> None:
        if kind in ("delay", "drop"):
            self._start(self._disturb_way, kind)
            return
        members_only = kind in ("bad-share", "silent-member")
        node = self._take(members_only)
        if node is None:
            return
        work = {
            "kill": self._kill,
            "pause": self._pause,
            "bad-share": self._bad_share,
            "silent-member": self._silence,
            "disk-full": self._fill_disk,
            "clock-skew": self._skew_clock,
        }[kind]
        self._start(self._with_node, work, node, kind)

    def _take(self, members_only: bool) -> NodeProcess | None:
        """A node to which nothing is being done; never more members at once than the threshold allows to miss."""
        with self._lock:
            busy_members = [name for name in self._busy if name.startswith("member")]
            spare = self.report.members - _threshold(self.report.members) if self.report.members else 1
            nodes = [
                node
                for node in (self._devnet.members if members_only else self._devnet.nodes)
                if node.name not in self._busy and (node.role != "member" or len(busy_members) < spare)
            ]
            if not nodes:
                return None
            node = self._draw.choice(nodes)
            self._busy.add(node.name)
            return node

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        self._workers.append(thread)
        thread.start()

    def _with_node(self, work: Callable[[NodeProcess], None], node: NodeProcess, kind: str) -> None:
        try:
            work(node)
            self.report.faults[kind] += 1
        except (EnvironmentProblem, OSError) as error:
            self.report.problems.append(f"{kind} of {node.name}: {error}")
        finally:
            with self._lock:
                self._busy.discard(node.name)

    # --- faults

    def _kill(self, node: NodeProcess) -> None:
        self._devnet.kill(node)
        self._restart(node)

    def _restart(self, node: NodeProcess) -> None:
        began = time.monotonic()
        self._devnet.start(node)
        self._devnet.wait([node], "ready", timeout_s=_READY_S)
        self.report.recovery_s.append(time.monotonic() - began)

    def _pause(self, node: NodeProcess) -> None:
        self._devnet.signal(node, signal.SIGSTOP)
        time.sleep(self._draw.uniform(0.5, 3.0))
        self._devnet.signal(node, signal.SIGCONT)

    def _disturb_way(self, kind: str) -> None:
        way = self._draw.choice(self._board.ways)
        if kind == "drop":
            self._board.cut([way])
        else:
            way.delay_s = self._draw.uniform(0.05, 0.5)
        time.sleep(self._draw.uniform(1.0, 4.0))
        self._board.mend([way])
        self.report.faults[kind] += 1

    def _silence(self, node: NodeProcess) -> None:
        ways = self._board.of(node.name)
        self._board.cut(ways)
        time.sleep(self._draw.uniform(2.0, 5.0))
        self._board.mend(ways)

    def _bad_share(self, node: NodeProcess) -> None:
        """Long enough that it hands out a wrong share, which somebody shows."""
        home, password = self._devnet.home(node), self._devnet.password(node)
        self._offenders.add(home.identity("member", password).address)
        before = self._shown_evidence("wrong_share")
        with with_wrong_key(self._devnet, node, self._restart):
            end = time.monotonic() + 15.0
            while self._shown_evidence("wrong_share") == before and time.monotonic() < end:
                time.sleep(0.2)
        self.report.injected["wrong_share"] += 1

    def _fill_disk(self, node: NodeProcess) -> None:
        database = self._devnet.path / node.name / node.role / "records.sqlite"
        if not database.exists():
            return
        with self._setting(node, "store", {"max_pages": _pages(database) + 4}):
            self._devnet.kill(node)
            self._devnet.start(node)
            time.sleep(self._draw.uniform(3.0, 5.0))
            self._devnet.kill(node)
        self._restart(node)

    def _skew_clock(self, node: NodeProcess) -> None:
        offset_ms = self._draw.randrange(-_MAX_SKEW_MS, _MAX_SKEW_MS)
        with self._setting(node, "clock", {"offset_ms": offset_ms}):
            self._devnet.kill(node)
            self._restart(node)
            time.sleep(self._draw.uniform(2.0, 4.0))
            self._devnet.kill(node)
        self._restart(node)

    @contextmanager
    def _setting(self, node: NodeProcess, section: str, entries: dict[str, Any]) -> Iterator[None]:
        """Another line in a node's configuration, for a while."""
        path = self._devnet.config_path(node)
        before = path.read_text()
        document = tomllib.loads(before)
        sections = {name: value for name, value in document.items() if isinstance(value, dict)}
        settings = {name: value for name, value in document.items() if not isinstance(value, dict)}
        sections[section] = {**sections.get(section, {}), **entries}
        write_toml(path, settings, sections)
        try:
            yield
        finally:
            path.write_text(before)

    def _equivocate(self) -> None:
        """Sign two commitments with the sequencer's key, show each to half of the members, and hand over."""
        self._progress("the sequencer signs twice")
        offender, following = self._sequencer, self._next_sequencer()
        try:
            self._devnet.kill(offender)
            height = self._sign_twice(offender)
            self._injected_heights.add(height)
            self.report.injected["conflicting_commitments"] += 1
            self._await_evidence("conflicting_commitments")
            self._hand_over(following)
            self._sequencer = following
            network = RemoteNetwork(following.url, self._home, backend=self._backend)
            self._trader.redirect(network)
            self._network.close()
            self._network = network
            self.report.faults["equivocate"] += 1
        except (EnvironmentProblem, Malformed, Rejected, Refused, CeremonyFailed) as error:
            self.report.problems.append(f"equivocate: {error}")
        finally:
            self._restart(offender)

    def _next_sequencer(self) -> NodeProcess:
        sequencers = self._devnet.of_role("sequencer")
        return sequencers[sequencers.index(self._sequencer) + 1]

    def _sign_twice(self, offender: NodeProcess) -> int:
        """Once every member has executed all that is committed: two empty commitments that differ in their time."""
        self._wait_level(members_only=True)
        identity = self._devnet.home(offender).identity("sequencer", self._devnet.password(offender))
        self._offenders.add(identity.address)
        members = self._devnet.members
        with BlockingPeerOf(members[0].url, timeout_s=10.0) as peer:
            executed = int(peer.call("node")["executed_height"])
            last = peer.call("commitment", path={"block": executed}).message
            state_root = peer.call("outcomes", path={"height": executed}).state_root
            genesis_root = peer.call("genesis").root
        proposals = []
        for later_ms in (1, 2):
            commitment = replace(
                last,
                height=executed + 1,
                parent=last.root,
                batch_root=BatchList(tx_ids=()).root,
                count=0,
                timestamp_ms=max(time.time_ns() // 1_000_000, last.timestamp_ms) + later_ms,
                executed_height=executed,
                state_root=state_root,
            )
            proposals.append(_signed(commitment, identity, genesis_root))
        with ThreadPoolExecutor(len(members)) as both_at_once:
            for at, member in enumerate(members):
                both_at_once.submit(_propose, member, proposals[at % 2])
        return executed + 1

    def _await_evidence(self, kind: str) -> None:
        end = time.monotonic() + 20.0
        while self._shown_evidence(kind) == 0:
            if time.monotonic() > end:
                raise EnvironmentProblem(f"nobody shows evidence of {kind}")
            time.sleep(0.2)

    def _hand_over(self, following: NodeProcess) -> None:
        self._rebond()
        self._progress("a new committee epoch with another sequencer")
        committees = self._network.committees
        others = [node.url for node in self._devnet.nodes if node.role != "member" and node is not following]
        with Sites(following.url, [node.url for node in self._devnet.members], others) as sites:
            rotate(
                sites,
                committees,
                Handover(sequencer=following.url),
                self._devnet.operator(),
                round_ms=10_000,
                progress=self._progress,
            )

    def _rebond(self) -> None:
        """Members who were slashed put down another bond: without it nobody signs a key set that names them."""
        if self._devnet.l1_url is None:
            return
        from encmempool.network.devnet_l1 import bond, deployer_of

        members = self._network.committees[-1].key_set.members
        bond(self._devnet.contracts(), deployer_of(None), sequencers=(), members=members)

    def _shown_evidence(self, kind: str) -> int:
        """Pieces of evidence of a kind that an auditor has now."""
        for auditor in self._devnet.of_role("auditor"):
            with (
                BlockingPeerOf(auditor.url, timeout_s=5.0) as peer,
                suppress(PeerProblem, Refused, Malformed, Rejected),
            ):
                found = peer.call("evidence").evidence
                return sum(examine(piece, self._network.committees).kind.text == kind for piece in found)
        return 0

    def _wait_level(self, *, members_only: bool = False) -> None:
        """Until all have executed all that anybody knows of. EnvironmentProblem if that does not come."""
        nodes = self._devnet.members if members_only else self._devnet.nodes
        end = time.monotonic() + _READY_S
        while True:
            heads = [self._heights(node) for node in nodes]
            known = [pair for pair in heads if pair is not None]
            if len(known) == len(nodes) and len(set(known) | {(h, h) for h, _ in known}) == 1:
                return
            if time.monotonic() > end:
                raise EnvironmentProblem(f"the nodes do not come to one height: {heads}")
            time.sleep(0.2)

    def _heights(self, node: NodeProcess) -> tuple[int, int] | None:
        with BlockingPeerOf(node.url, timeout_s=5.0) as peer, suppress(PeerProblem, Refused, KeyError, ValueError):
            document = peer.call("node")
            return int(document["head"]), int(document["executed_height"])
        return None

    # --- looking back

    def look_back(self) -> None:
        """Everything that the processes left: history, databases, logs."""
        self._progress("verifying the history")
        self._network.refresh()
        auditor = self._devnet.of_role("auditor")[0]
        self._count_evidence(auditor)
        self._verify_history(auditor)
        if self._devnet.l1_url is not None:
            self._count_slashes()
        self._devnet.stop(self._devnet.nodes)
        self._progress("looking into databases and logs")
        self.report.epochs = len(self._network.committees)
        self.report.second_signatures = self._second_signatures()
        self.report.revealed_not_executed = self._revealed_not_executed()
        self.report.plaintext_in_logs = self._plaintext_in_logs()

    def _count_evidence(self, auditor: NodeProcess) -> None:
        with BlockingPeerOf(auditor.url, timeout_s=20.0) as peer:
            for piece in peer.call("evidence").evidence:
                self.report.evidence[examine(piece, self._network.committees).kind.text] += 1

    def _count_slashes(self) -> None:
        contracts, last = self._devnet.contracts(), self._devnet.l1().block()
        slashes = [found for _, found in contracts.collateral.logs("Slashed", first=0, last=last)]
        self.report.slashed = len(slashes)
        self.report.slashed_honest = sum(slashed["party"] not in self._offenders for slashed in slashes)

    def _verify_history(self, auditor: NodeProcess) -> None:
        network = RemoteNetwork(auditor.url, self._home, backend=self._backend)
        try:
            data = export_history(network)
            found = verify(data, backend=self._backend)
        except (AuditFailed, EnvironmentProblem, Malformed, Rejected) as error:
            self.report.audit = {"verified": False, "reason": str(error)}
            return
        finally:
            network.close()
        self.report.heights = found.heights
        self.report.audit = {
            "verified": True,
            "heights": found.heights,
            "executed_height": found.executed_height,
            "transactions": found.transactions,
            "outcomes": found.outcomes,
            "wrong_shares": len(found.wrong_shares),
            "bytes": len(data),
        }

    def _stores(self) -> Iterator[tuple[NodeProcess, DatabaseStore]]:
        for node in self._devnet.nodes:
            store = self._devnet.open_store(node)
            try:
                yield node, store
            finally:
                store.close()

    def _second_signatures(self) -> int:
        """Two different messages of one kind by one party for one height, anywhere; what was injected is left out."""
        said: dict[tuple[object, ...], set[bytes]] = {}
        for _, store in self._stores():
            for _, value in store.scan(VOTE):
                vote = SignedVote.decode(value)
                signer = self._member_who_signed(vote)
                said.setdefault(("vote", signer, vote.message.committee_id, vote.message.height), set()).add(
                    vote.message.root
                )
            for _, value in store.scan(SHARE):
                share = ShareRelease.decode(value).share.message
                said.setdefault(("share", share.member, share.committee_id, share.height), set()).add(share.root)
            for _, value in store.scan(FOLLOWED_SHARE):
                share = SignedShare.decode(value).message
                said.setdefault(("share", share.member, share.committee_id, share.height), set()).add(share.root)
            for _, value in store.scan(PROPOSAL):
                commitment = Proposal.decode(value).commitment.message
                if commitment.height not in self._injected_heights:
                    said.setdefault(("commitment", commitment.committee_id, commitment.height), set()).add(
                        commitment.root
                    )
        return sum(len(roots) - 1 for roots in said.values())

    def _member_who_signed(self, vote: SignedVote) -> int:
        for committee in self._network.committees:
            if committee.committee_id == vote.message.committee_id:
                return committee.signing_member(vote.message, vote.signature, rule="CRT-1")
        return 0

    def _revealed_not_executed(self) -> int:
        """Heights whose contents are out at a node that has no outcomes for them."""
        missing = 0
        for _, store in self._stores():
            executed = {key for key, _ in store.scan(OUTCOMES)}
            missing += sum(key not in executed for key, _ in store.scan(REVEAL))
        return missing

    def _plaintext_in_logs(self) -> int:
        """Occurrences of any payload, or of a secret of a node, in any log."""
        needles = [trade.payload[:64].hex() for trade in self.report.trades.made]
        needles += [trade.payload[-40:].hex() for trade in self.report.trades.made]
        for node in self._devnet.nodes:
            home, password = self._devnet.home(node), self._devnet.password(node)
            needles += [password.text.decode(), home.identity(node.role, password).secret_bytes().hex()]
            if node.role == "member":
                needles += self._key_shares(node)
        text = "\n".join(self._devnet.log_lines()).lower()
        return _occurrences(text, needles)

    def _key_shares(self, node: NodeProcess) -> list[str]:
        home, password = self._devnet.home(node), self._devnet.password(node)
        found = []
        for signed in home.key_sets():
            key_set = signed.message
            address = home.identity("member", password).address
            if address in key_set.members:
                index = key_set.members.index(address) + 1
                with suppress(EnvironmentProblem):
                    share = home.key_share(index, password, role="member", epoch=key_set.epoch)
                    found.append(share.secret_bytes()[:64].hex())
        return found


def _occurrences(text: str, needles: Sequence[str]) -> int:
    """How many different ones of at least 24 characters stand in the text."""
    return sum(needle.lower() in text for needle in set(needles) if len(needle) >= 24)


def _signed(commitment: OrderCommitment, identity: Identity, genesis_root: bytes) -> Proposal:
    signature = identity.sign(signing_digest(commitment, genesis_root))
    signed = SignedCommitment(message=commitment, signature=signature)
    return Proposal(commitment=signed, transactions=(), receipts=())


def _propose(member: NodeProcess, proposal: Proposal) -> None:
    """Show it to one member, which may have heard of the other one already."""
    with BlockingPeerOf(member.url, timeout_s=10.0) as peer, suppress(PeerProblem, Refused):
        peer.call("propose", body=proposal)


def _threshold(members: int) -> int:
    return 2 * members // 3 + 1


def _pages(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    return int(pages)
