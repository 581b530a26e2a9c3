"""Our jobs and other software's, one round after the other in one run: the object behind `bench peers --json`.

Every peer is a program of its own, which times itself and answers line by line: the form is in benchmarks/peers.
Whatever it does is a result or one line of explanation. Nothing is installed or downloaded here.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from encmempool.bench.machine import machine, versions
from encmempool.bench.sampling import LEAST_ROUNDS, ratio_interval
from encmempool.conformance.program import NoAnswer, Program, shown
from encmempool.documents import decode_json
from threshold.curve import load_backend, set_threads, threads

if TYPE_CHECKING:
    from encmempool.bench.peer_jobs import Inputs, Job, Work

DIRECTORY = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"
"""In a copy of the sources; an installed package has no peers but those of --peer-command."""
ROUND_S = 0.1
"""What each side spends on one round of one job, or on one run that takes longer."""

_SHORTEST_S, _LONGEST_S = 1e-9, 86_400.0
_NODE_LIMIT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Software that we carry a driver for.

    package    its name where it is published; what it is found by
    driver     a file in benchmarks/peers
    """

    name: str
    package: str
    driver: str

    @property
    def on_node(self) -> bool:
        return self.driver.endswith(".cjs")


PEERS = (
    Peer(name="ferveo", package="nucypher-core", driver="ferveo.py"),
    Peer(name="shutter-sdk", package="@shutter-network/shutter-sdk", driver="shutter.cjs"),
    Peer(name="tlock-js", package="tlock-js", driver="tlock.cjs"),
    Peer(name="py_ecc", package="py-ecc", driver="curve.py"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A peer that was not measured, or not to the end.

    install      the command that installs it, where that is what is missing
    broke_off    whether it misbehaved
    """

    peer: str
    reason: str
    install: str | None = None
    broke_off: bool = False

    def __str__(self) -> str:
        return f"{self.peer}: {self.reason}" + (f"; to install it: {self.install}" if self.install else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A peer that can be started, with the versions its figures depend on."""

    name: str
    command: str
    versions: dict[str, str]


# --- which peers are here --------------------------------------------------------------------------------------------


def find(names: Sequence[str], directory: Path = DIRECTORY) -> tuple[tuple[Found, ...], tuple[Skipped, ...]]:
    """Those of PEERS with these names, by whether they are installed. Starts none."""
    found: list[Found] = []
    skipped: list[Skipped] = []
    for peer in (peer for peer in PEERS if peer.name in names):
        result = _found(peer, directory)
        if isinstance(result, Found):
            found.append(result)
        else:
            skipped.append(result)
    return tuple(found), tuple(skipped)


def _found(peer: Peer, directory: Path) -> Found | Skipped:
    driver = directory / peer.driver
    if not driver.is_file():
        return Skipped(peer=peer.name, reason="its driver is in the sources of encmempool, which are not here")
    if not peer.on_node:
        try:
            installed = {peer.package: version(peer.package)}
        except PackageNotFoundError:
            install = shlex.join(
                [_near(sys.executable), "-m", "pip", "install", "-r", _near(directory / "requirements.txt")]
            )
            return Skipped(peer=peer.name, reason=f"{peer.package} is not installed", install=install)
        return Found(name=peer.name, command=shlex.join([sys.executable, str(driver)]), versions=installed)
    node = shutil.which("node")
    if node is None:
        return Skipped(peer=peer.name, reason="it needs Node, and there is no program `node`")
    try:
        manifest = json.loads((directory / "node_modules" / peer.package / "package.json").read_bytes())
        installed = {peer.package: str(manifest["version"])}
    except (OSError, ValueError, KeyError, TypeError):
        install = shlex.join(["npm", "ci", "--prefix", _near(directory)])
        return Skipped(peer=peer.name, reason=f"{peer.package} is not installed", install=install)
    return Found(name=peer.name, command=shlex.join([node, str(driver)]), versions={**_node_version(node), **installed})


def _node_version(node: str) -> dict[str, str]:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([node, "--version"], capture_output=True, timeout=_NODE_LIMIT_S, check=True)
        return {"node": shown(done.stdout).removeprefix("v")}
    return {}


def _near(path: str | Path) -> str:
    """As one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


# --- a peer's answers ------------------------------------------------------------------------------------------------


class _Asked:
    """A peer's program. Errors as Program's."""

    def __init__(self, name: str, command: str, *, time_limit_s: float) -> None:
        self.name = name
        self._program = Program(command, time_limit_s=time_limit_s)

    def close(self) -> None:
        self._program.close()

    def seconds(self, job: Job, inputs: Inputs) -> float | None:
        """The median of the times it answers with; None if it does not know the job. Raises NoAnswer."""
        request = {
            "job": job.name,
            "params": job.params,
            "inputs": {name: "0x" + value.hex() for name, value in inputs.items()},
            "budget_s": ROUND_S,
        }
        line = self._program.ask(json.dumps(request, separators=(",", ":")).encode())
        times = _times(line, job.name)
        return None if times is None else median(times)


def _times(line: bytes, job: str) -> list[float] | None:
    """What a reply says. Raises NoAnswer for one that is none."""
    try:
        reply = decode_json(line)
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise NoAnswer(f"answered something that is no JSON object: {shown(line) or 'an empty line'}")
    if reply.get("unsupported") is True:
        return None
    if reply.get("job") != job:
        raise NoAnswer(f"answered another job: {shown(line)}")
    times = reply.get("seconds")
    if not isinstance(times, list) or not times:
        raise NoAnswer(f"answered without a list of seconds: {shown(line)}")
    for value in times:
        if not isinstance(value, int | float) or isinstance(value, bool) or not _SHORTEST_S <= value <= _LONGEST_S:
            raise NoAnswer(
                f"answered a time that is none, {shown(json.dumps(value).encode())}: seconds above 0, please"
            )
    return [float(value) for value in times]


# --- the run ---------------------------------------------------------------------------------------------------------


def run(
    *,
    found: Sequence[Found],
    commands: Sequence[str] = (),
    names: Sequence[str] = (),
    batch: int = 512,
    rounds: int = 10,
    thread_count: int = 1,
    backend: str,
    time_limit_s: float = 60.0,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[dict[str, Any], tuple[Skipped, ...]]:
    """The rows with what they depend on, and who has none or not all of its own.

    found           peers with a driver of ours
    commands        programs that answer the same requests, named by their command
    names           of jobs; all, if none is given
    batch           transactions that our side shares and opens together
    thread_count    for our side; the peers use one
    time_limit_s    for one answer of a peer, its start included

    ValueError for unknown jobs or too few rounds; EnvironmentProblem if there is no such program.
    """
    from encmempool.bench import peer_jobs

    if rounds < LEAST_ROUNDS:
        raise ValueError(f"an interval of 95 % needs at least {LEAST_ROUNDS} rounds, not {rounds}")
    chosen = [job for job in peer_jobs.jobs(batch) if not names or job.name in names]
    if unknown := set(names) - {job.name for job in chosen}:
        known = ", ".join(dict.fromkeys(job.name for job in peer_jobs.jobs(batch)))
        raise ValueError(f"there is no job {sorted(unknown)[0]!r}: choose from {known}")
    asked = [
        _Asked(name, command, time_limit_s=time_limit_s)
        for name, command in (*((peer.name, peer.command) for peer in found), *((text, text) for text in commands))
    ]
    with _threads(thread_count):
        rows, skipped = _measured(chosen, asked, rounds=rounds, backend=backend, progress=progress)
    heard = {*(row["peer"] for row in rows), *(peer.peer for peer in skipped)}
    skipped += [Skipped(peer=peer.name, reason="it knows none of the jobs") for peer in asked if peer.name not in heard]
    fields = {
        "rows": rows,
        "machine": machine(),
        "versions": {**versions(), **{name: text for peer in found for name, text in peer.versions.items()}},
        "backend": backend,
        "threads": thread_count,
    }
    return fields, tuple(skipped)


def _measured(
    chosen: Sequence[Job], asked: Sequence[_Asked], *, rounds: int, backend: str, progress: Callable[[str], None]
) -> tuple[list[dict[str, Any]], list[Skipped]]:
    rows: list[dict[str, Any]] = []
    broken: dict[str, Skipped] = {}
    curve = load_backend(backend)
    try:
        for job in chosen:
            inputs, ours = job.inputs(curve), None
            for peer in asked:
                if peer.name in broken:
                    continue
                progress(f"{peer.name}: {label(job.name, job.params)}")
                try:
                    if peer.seconds(job, inputs) is None:  # what it knows is warm now
                        continue
                    if ours is None:
                        ours = job.prepare(backend, inputs)
                        ours()
                    pairs = [(_timed(ours, job.transactions), _again(peer, job, inputs)) for _ in range(rounds)]
                except NoAnswer as error:
                    broken[peer.name] = Skipped(peer=peer.name, reason=f"{job.name}: {error}", broke_off=True)
                else:
                    rows.append(_row(peer.name, job, pairs))
    finally:
        for peer in asked:
            peer.close()
    return rows, list(broken.values())


def _again(peer: _Asked, job: Job, inputs: Inputs) -> float:
    seconds = peer.seconds(job, inputs)
    if seconds is None:
        raise NoAnswer("no longer knows the job")
    return seconds


def _timed(work: Work, transactions: int) -> float:
    """Median seconds for one transaction."""
    times: list[float] = []
    started = time.perf_counter()
    while not times or time.perf_counter() - started < ROUND_S:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times) / transactions


def _row(peer: str, job: Job, pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    ours, theirs = zip(*pairs, strict=True)
    found = ratio_interval(ours, theirs)
    figures = {
        "ours_s": median(ours),
        "peer_s": median(theirs),
        "ratio": found.ratio,
        "ratio_low": found.low,
        "ratio_high": found.high,
    }
    named = {"peer": peer, "job": job.name, "params": dict(job.params)}
    return {**named, **{name: float(f"{value:.4g}") for name, value in figures.items()}}


def label(job: str, params: Mapping[str, int]) -> str:
    """A job with the committee that tells it from its like."""
    members = params.get("members")
    return job if members is None else f"{job}, {params['threshold']} of {members}"


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = threads()
    set_threads(count)
    try:
        yield
    finally:
        set_threads(before)
