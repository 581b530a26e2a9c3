"""An experiment from its configuration to its result: training, evaluation in chunks on any number of processes.

A run is a folder of finished chunks beside its result file until it is complete, so that one that was killed goes on
where it stopped. Figures depend on the configuration alone; how long things took, and the leak score (whose
ciphertexts are encrypted with fresh randomness every time), do not repeat bit for bit.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, as_completed
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encmempool.errors import EnvironmentProblem
from encmempool.locking import exclusive
from encmempool.measure.arms import select
from encmempool.measure.laboratory import COLUMNS, MAX_BLOCKS, Config, Laboratory, Tally, make_flow
from encmempool.measure.leaks import FEWEST, leak_score
from encmempool.measure.results import Part, document
from encmempool.measure.workers import executor, interruptions_held

CHUNK_BLOCKS = 100
LEAK_TRANSACTIONS = 4_000
MIN_BLOCKS = 20
"""Fewer have no interval worth the name."""
_AFTER_A_KILL = "finished blocks are kept, go on with --resume and fewer --workers"
_DIGEST_BYTES = 32
_LOCK = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """Some blocks of one phase."""

    training: bool
    first: int
    count: int

    @property
    def name(self) -> str:
        return f"{'training' if self.training else 'evaluation'}-{self.first:07}.npz"


Progress = Callable[[int, int, str], None]
"""Called with the number of blocks done and to do, and what is being done."""


def run(
    config: Config,
    output: Path,
    *,
    resume: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    leak_transactions: int = LEAK_TRANSACTIONS,
    progress: Progress = lambda done, total, text: None,
) -> dict[str, Any]:
    """Run, write the result to `output` and return it: the object behind `encmempool measure run --json`.

    resume               go on with the finished chunks of a run that was interrupted
    workers              processes of this machine
    scheduler            address of a Dask cluster to use instead
    leak_transactions    0 leaves the leak score away, else 200 at least

    Raises ValueError for an impossible configuration, Malformed for a bad flow file, EnvironmentProblem where software
    or the scheduler is missing or the disk fails. What stops the run, an interruption too, leaves the finished chunks.
    """
    _check(config, leak_transactions)
    with _Parts.of(output, config, resume=resume) as parts:
        result = _run(config, parts, workers, scheduler, leak_transactions, progress)
        with _finished_is_kept(output):
            _write_atomically(output, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
        parts.remove()
    return result


def _run(
    config: Config,
    parts: _Parts,
    workers: int,
    scheduler: str | None,
    leak_transactions: int,
    progress: Progress,
) -> dict[str, Any]:
    started = time.perf_counter()
    chunks = [*_chunks(config.training_blocks, training=True), *_chunks(config.blocks, training=False)]
    todo = [chunk for chunk in chunks if not parts.has(chunk)]
    done, total = sum(chunk.count for chunk in chunks if chunk not in todo), sum(chunk.count for chunk in chunks)
    leak: dict[str, Any] | None = None
    progress(done, total, "blocks")
    with executor(workers, scheduler, advice=_AFTER_A_KILL) as pool:
        pending: dict[Future[Any], _Chunk] = {}
        score: Future[Any] | None = None
        try:
            with interruptions_held():
                if leak_transactions:
                    score = pool.submit(_leak_score, config, leak_transactions)
                pending = {pool.submit(run_chunk, config, c.first, c.count, c.training): c for c in todo}
            for future in as_completed([*pending, *([score] if score is not None else [])]):
                if future is score:
                    leak = future.result()
                    continue
                chunk = pending[future]
                figures, tally = future.result()
                parts.write(chunk, figures, tally)
                done += chunk.count
                progress(done, total, "blocks" if done < total else "leak score")
        except BaseException:
            for future in (*pending, *([score] if score is not None else [])):
                future.cancel()
            raise
    progress(done, total, "statistics")
    laboratory = _laboratory(config)
    return document(
        config,
        laboratory.rows,
        training=parts.read(chunk for chunk in chunks if chunk.training),
        evaluation=parts.read(chunk for chunk in chunks if not chunk.training),
        flow=laboratory.flow,
        leak=leak,
        elapsed_s=time.perf_counter() - started,
    )


@lru_cache(maxsize=2)
def _laboratory(config: Config) -> Laboratory:
    """One per process and configuration: families are learned and keys made once."""
    return Laboratory(config)


def run_chunk(config: Config, first: int, count: int, training: bool) -> tuple[NDArray[np.float64], Tally]:
    """What a worker does. The same figures wherever it runs."""
    return _laboratory(config).run(first, count, training=training)


def _leak_score(config: Config, transactions: int) -> dict[str, Any]:
    scheme = config.scheme
    return leak_score(seed=config.seed, transactions=transactions, scheme=scheme, backend=config.backend)


def _check(config: Config, leak_transactions: int) -> None:
    for name, count in (("blocks", config.blocks), ("training blocks", config.training_blocks)):
        if not MIN_BLOCKS <= count <= MAX_BLOCKS:
            raise ValueError(f"a run has {MIN_BLOCKS} to {MAX_BLOCKS:,} {name}, not {count:,}")
    if not 0.0 <= config.verify_fraction <= 1.0:
        raise ValueError(f"the share of verified blocks lies between 0 and 1, not {config.verify_fraction:g}")
    if leak_transactions and leak_transactions < FEWEST:
        raise ValueError(f"a leak score takes at least {FEWEST} transactions, or 0 for none, not {leak_transactions}")
    select(config.arms, members=config.members, threshold=config.threshold)
    make_flow(config)


def _chunks(blocks: int, *, training: bool) -> Iterator[_Chunk]:
    for first in range(0, blocks, CHUNK_BLOCKS):
        yield _Chunk(training=training, first=first, count=min(CHUNK_BLOCKS, blocks - first))


class _Parts:
    """Finished chunks on disk, beside the result they will become. Each file ends with its own SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    @contextmanager
    def of(cls, output: Path, config: Config, *, resume: bool) -> Iterator[_Parts]:
        """The folder, held against other runs. It goes with the last chunk in it. EnvironmentProblem, OSError."""
        if output.exists() and not output.is_file():
            raise EnvironmentProblem(f"{output} is no file that a result could replace: choose another --output")
        if not output.parent.is_dir():
            raise EnvironmentProblem(f"{output.parent} is no directory: make it, or choose another --output")
        if not os.access(output.parent, os.W_OK):
            raise EnvironmentProblem(f"{output.parent} cannot be written to: choose another --output")
        folder = output.with_name(output.name + ".parts")
        folder.mkdir(exist_ok=True)
        # Two runs would mix their chunks.
        taken = f"another run is writing to {folder}: wait for it to end, or choose another --output"
        with exclusive(folder / _LOCK, taken):
            parts = cls(folder)
            try:
                parts._claim(config, resume=resume)
                yield parts
            finally:
                if not parts._finished:
                    with interruptions_held():
                        parts.remove()

    @property
    def _finished(self) -> tuple[Path, ...]:
        return tuple(self._folder.glob("*.npz"))

    def _claim(self, config: Config, *, resume: bool) -> None:
        """Chunks of another run must not get into this one."""
        file = self._folder / "config.json"
        described = json.dumps(asdict(config) | _inputs(config), sort_keys=True)
        if self._finished and not resume:
            raise EnvironmentProblem(
                f"{self._folder} holds the finished part of an earlier run: add --resume to go on, or remove it"
            )
        if self._finished and (difference := _difference(file, described)):
            raise EnvironmentProblem(
                f"{self._folder} belongs to a run with other options ({difference}): give the same ones, or remove it"
            )
        if not self._finished:
            _write_atomically(file, described.encode())

    def has(self, chunk: _Chunk) -> bool:
        """Whether it is there and whole; what a crash left half-written is run again."""
        try:
            self._read(chunk)
        except (OSError, _Damaged):
            return False
        return True

    def write(self, chunk: _Chunk, figures: NDArray[np.float64], tally: Tally) -> None:
        described = json.dumps({field.name: getattr(tally, field.name) for field in fields(tally)})
        stored = io.BytesIO()
        np.savez(stored, figures=figures, tally=np.array(described))
        data, target = stored.getvalue(), self._folder / chunk.name
        with _finished_is_kept(target):
            _write_atomically(target, data + hashlib.sha256(data).digest())

    def read(self, chunks: Iterable[_Chunk]) -> Part:
        figures, tallies = zip(*map(self._read, chunks), strict=True)
        return Part(figures=np.concatenate(figures), tallies=tallies)

    def _read(self, chunk: _Chunk) -> tuple[NDArray[np.float64], Tally]:
        stored = (self._folder / chunk.name).read_bytes()
        data, digest = stored[:-_DIGEST_BYTES], stored[-_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            raise _Damaged
        with np.load(io.BytesIO(data)) as arrays:
            figures, tally = arrays["figures"], Tally(**json.loads(str(arrays["tally"])))
        if len(figures) != chunk.count:
            raise _Damaged  # its chunks were of another length
        return figures, tally

    def remove(self) -> None:
        """Ours alone, and the folder if nothing else is in it."""
        for pattern in ("*.npz", "*.tmp", "config.json", _LOCK):
            for file in self._folder.glob(pattern):
                file.unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()


class _Damaged(Exception):
    """A chunk's file is not what was written."""


def _inputs(config: Config) -> dict[str, str | None]:
    """What chunks depend on besides the configuration, by the words for it."""
    flow = None if config.flow is None else hashlib.sha256(Path(config.flow).read_bytes()).hexdigest()
    return {"contents of the flow file": flow, "version": ",".join(COLUMNS)}


def _difference(file: Path, now: str) -> str:
    """Which options differ from those in the file."""
    try:
        old = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return f"its {file.name} is missing or damaged"
    names = [name for name, value in json.loads(now).items() if old.get(name) != value]
    return ", ".join(name if " " in name or name == "version" else f"--{name.replace('_', '-')}" for name in names)


@contextmanager
def _finished_is_kept(target: Path) -> Iterator[None]:
    """Says so where the disk fails."""
    try:
        yield
    except OSError as error:
        raise EnvironmentProblem(
            f"{target} cannot be written: {error.strerror or error}; finished blocks are kept: go on with --resume"
        ) from error


def _write_atomically(target: Path, data: bytes) -> None:
    scratch = target.with_name(target.name + ".tmp")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
