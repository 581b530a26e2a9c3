"""Two ways to do the same work, as ratios of their times with 95 % intervals.

Interleaved, both ways take turns in one process, and what disturbs the machine disturbs both. Of two files of records
an interval knows the noise within each file only, not what changed on the machine between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from encmempool.bench.curve import on_threads
from encmempool.bench.micro import Grid, Say, groups, paced, wanted
from encmempool.bench.records import SECONDS, Case, Params, Record, latest
from encmempool.bench.sampling import LEAST_ROUNDS, Timing, interleaved, ratio_interval
from threshold.curve import set_threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Medians of both sides, and how many times as long the second takes as the first.

    low, high    of the ratio; None where there are too few values for an interval
    samples      of the side that has fewer
    """

    name: str
    params: Params
    unit: str
    first: float
    second: float
    ratio: float
    low: float | None
    high: float | None
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A backend on so many threads."""

    backend: str
    threads: int

    @property
    def label(self) -> str:
        return f"{self.backend} on {self.threads} thread{'s' * (self.threads > 1)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field of the setting that the two sides do not share, with what each has there."""

    field: str
    first: tuple[str, ...]
    second: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What two files of records have in common, and the names that only one of them has.

    superseded    records that a later one of the same file, name and params replaced
    differences   what else than the work differs between the two sides
    """

    rows: tuple[Row, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    superseded: int
    differences: tuple[Difference, ...]


def files(first: Sequence[Record], second: Sequence[Record], only: Sequence[str] = ()) -> Files:
    """Records of the same name and params, of names that fit a pattern. ValueError if there are none."""
    first, second = ([record for record in side if wanted(record.name, only)] for side in (first, second))
    (ours, before), (theirs, after) = latest(first), latest(second)
    shared = [(record, theirs[key]) for key, record in ours.items() if key in theirs]
    if not shared:
        raise ValueError("the two files share no record of such a name with the same params: nothing can be compared")
    return Files(
        rows=tuple(_of_records(a, b) for a, b in shared),
        only_first=tuple(record.name for key, record in ours.items() if key not in theirs),
        only_second=tuple(record.name for key, record in theirs.items() if key not in ours),
        superseded=before + after,
        differences=_differences(shared),
    )


def _of_records(first: Record, second: Record) -> Row:
    enough = min(len(first.values), len(second.values)) >= LEAST_ROUNDS
    interval = ratio_interval(first.values, second.values, paired=False) if enough else None
    return Row(
        name=first.name,
        params=first.params,
        unit=first.unit,
        first=first.median,
        second=second.median,
        ratio=second.median / first.median,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        samples=min(first.samples, second.samples),
    )


def _differences(shared: Sequence[tuple[Record, Record]]) -> tuple[Difference, ...]:
    sides = zip(*((_setting(first), _setting(second)) for first, second in shared), strict=True)
    first, second = ({name: sorted({each[name] for each in side}) for name in _SETTING} for side in sides)
    return tuple(
        Difference(field=name, first=tuple(first[name]), second=tuple(second[name]))
        for name in _SETTING
        if first[name] != second[name]
    )


_SETTING = ("backend", "threads", "seed", "commit", "processor", "cores", "versions")


def _setting(record: Record) -> dict[str, str]:
    host = record.host
    versions = host.get("versions")
    listed = versions.items() if isinstance(versions, dict) else ()
    return {
        "backend": record.backend,
        "threads": str(record.threads),
        "seed": str(record.seed),
        "commit": record.commit,
        "processor": str(host.get("processor")),
        "cores": str(host.get("cores")),
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(listed)),
    }


def side_by_side(
    first: Variant,
    second: Variant,
    grid: Grid,
    *,
    seed: int,
    progress: Say = lambda text: None,
    announce: Say = lambda text: None,
) -> tuple[Row, ...]:
    """Every case of the grid by both variants in turns, on the same inputs."""
    rows = []
    ready = [partial(set_threads, variant.threads) for variant in (first, second)]
    ours = groups(grid, backend=first.backend, seed=seed)
    theirs = groups(grid, backend=second.backend, seed=seed)
    with on_threads(None):
        for group, other in zip(paced(ours, announce), theirs, strict=True):
            for case, counterpart in zip(group.cases, other.cases, strict=True):
                progress(case.name)
                work = case.prepare()
                same = first.backend == second.backend
                timings = interleaved(work, work if same else counterpart.prepare(), before=ready)
                rows.append(_of_timings(case, *timings))
    return tuple(rows)


def _of_timings(case: Case, first: Timing, second: Timing) -> Row:
    found = ratio_interval(first.values, second.values)
    return Row(
        name=case.name,
        params=case.params,
        unit=SECONDS,
        first=first.median,
        second=second.median,
        ratio=found.ratio,
        low=found.low,
        high=found.high,
        samples=first.samples,
    )
