"""Every operation of a curve backend and every step of the schemes, over batch sizes and committees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from encmempool.bench import curve, schemes
from encmempool.bench.records import Case, Record, Setting
from encmempool.bench.sampling import sampled

FULL_BATCHES = (32, 128, 512, 2048)
FULL_MEMBERS = (4, 16, 64, 128)
_SLOW_S = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What is measured.

    batches    also how many elements an operation on many takes
    members    steps whose cost depends on it are measured for each, the others for the first
    only       shell patterns of names, any of which has to fit; none means everything
    curve      the backend's operations as well
    """

    schemes: tuple[str, ...]
    batches: tuple[int, ...]
    members: tuple[int, ...]
    only: tuple[str, ...] = ()
    curve: bool = True
    ceremony: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Cases that share what they prepare; those of one title follow each other by size."""

    title: str
    detail: str
    cases: tuple[Case, ...]


def groups(grid: Grid, *, backend: str, seed: int) -> Iterator[Group]:
    """What the grid holds, made one after another: nothing of a group has to be kept for the next.

    ValueError for patterns that fit nothing."""
    found = False
    for group in _all(grid, backend, seed):
        cases = tuple(case for case in group.cases if wanted(case.name, grid.only))
        if cases:
            found = True
            yield replace(group, cases=cases)
    if not found:
        raise ValueError(f"nothing that is measured here is named {' or '.join(grid.only)}")


def _all(grid: Grid, backend: str, seed: int) -> Iterator[Group]:
    if grid.curve:
        yield Group(title="the curve", detail="", cases=curve.single_cases(backend, seed=seed))
        for size in grid.batches:
            cases = curve.sized_cases(backend, size=size, seed=seed)
            yield Group(title="the curve on many", detail=f"N={size}", cases=cases)
    for name in grid.schemes:
        for batch in grid.batches:
            for at, members in enumerate(grid.members):
                cases = schemes.cases(
                    name,
                    batch=batch,
                    members=members,
                    backend=backend,
                    seed=seed,
                    ceremony=grid.ceremony,
                )
                kept = tuple(case for case in cases if at == 0 or case.step in schemes.OF_COMMITTEE)
                yield Group(title=name, detail=f"B={batch}, n={members}", cases=kept)


def wanted(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of the shell patterns, if there are any."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def paced(found: Iterable[Group], announce: Say) -> Iterator[Group]:
    """The same groups; what follows a slow one of its title is announced."""
    last: dict[str, str] = {}
    for group in found:
        if group.title in last:
            announce(f"{group.title}, {group.detail}: {last[group.title]}")
        started = time.monotonic()
        yield group
        spent_s = time.monotonic() - started
        if spent_s > _SLOW_S:
            last[group.title] = f"{group.detail} took {spent_s:.0f} s"


def measure(
    found: Iterable[Group],
    setting: Setting,
    *,
    progress: Say = lambda text: None,
    keep: Callable[[Record], None] = lambda record: None,
) -> tuple[Record, ...]:
    """`keep` gets each record as soon as there is one."""
    records = []
    for group in found:
        for case in group.cases:
            progress(case.name)
            record = Record.of(case.name, case.params, sampled(case.prepare()), setting)
            keep(record)
            records.append(record)
    return tuple(records)
