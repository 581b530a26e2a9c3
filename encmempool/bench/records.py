"""One record for every figure a benchmark measures, and files of them: JSON lines.

A record is the time of one run of what its name says: `g1::msm/N=512`, `simple_bte::decrypt/B=512`. It carries all
that the figure rests on, so that a line taken out of its file still says what it is.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from encmempool.bench.machine import machine, versions
from encmempool.bench.sampling import Timing, Work
from encmempool.documents import decode_json
from encmempool.errors import Malformed
from threshold.curve import load_backend, threads

SCHEMA = "encmempool.bench/1"
SECONDS = "s"
_DIGITS = 6
"""More than any clock is good for."""

Params: TypeAlias = Mapping[str, int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something to time.

    group      a scheme, or `g1`, `g2`, `gt`
    params     all that the time may depend on
    named      those that the name shows
    prepare    makes what the work needs, out of the clock, and returns the work
    """

    group: str
    step: str
    params: Params
    named: tuple[str, ...] = ()
    prepare: Callable[[], Work]

    @property
    def name(self) -> str:
        return record_name(self.group, self.step, {name: self.params[name] for name in self.named})


def record_name(group: str, step: str, params: Params) -> str:
    shown = ",".join(f"{name}={value}" for name, value in params.items())
    return f"{group.replace('-', '_')}::{step}" + (f"/{shown}" if shown else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What holds for all records of a run."""

    backend: str
    threads: int
    seed: int
    commit: str
    host: Mapping[str, Any]

    @classmethod
    def of(cls, backend: str, seed: int) -> Setting:
        """That of this process, as it is now."""
        name = load_backend(backend).name
        host = {**machine(), "versions": versions()}
        return cls(backend=name, threads=threads(), seed=seed, commit=commit(), host=host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Median, quartiles and the least of `samples` values, in `unit`; `values` in the order they were taken."""

    name: str
    unit: str
    median: float
    q1: float
    q3: float
    min: float
    samples: int
    params: Params
    backend: str
    threads: int
    seed: int
    commit: str
    host: Mapping[str, Any]
    values: tuple[float, ...] = ()

    @classmethod
    def of(cls, name: str, params: Params, timing: Timing, setting: Setting) -> Record:
        lower, upper = timing.quartiles
        return cls(
            name=name,
            unit=SECONDS,
            median=_rounded(timing.median),
            q1=_rounded(lower),
            q3=_rounded(upper),
            min=_rounded(timing.minimum),
            samples=timing.samples,
            params=params,
            **{name: getattr(setting, name) for name in ("backend", "threads", "seed", "commit", "host")},
            values=tuple(map(_rounded, timing.values)),
        )

    @property
    def key(self) -> tuple[object, ...]:
        """What two records have in common that measure the same."""
        return self.name, self.unit, frozenset(self.params.items())

    def document(self) -> dict[str, Any]:
        fields = {"schema": SCHEMA, **asdict(self)}
        return fields if self.values else {name: value for name, value in fields.items() if name != "values"}


def of_pipeline(result: Mapping[str, Any], setting: Setting) -> tuple[Record, ...]:
    """The stages of one run of `bench pipeline`: each is the time of all its transactions."""
    named = {"scheme": result["scheme"], "B": result["batch"], "n": result["members"]}
    params = {**named, "t": result["threshold"], "transactions": result.get("transactions", result["batch"])}
    if params["transactions"] != params["B"]:
        named["transactions"] = params["transactions"]
    times = {**result["stages_ms"], "commitment_to_reveal": result["commitment_to_reveal_ms"]}
    seconds = {name: value / 1e3 for name, value in times.items()}
    if overlapped := result.get("transactions_per_second_overlapped"):
        seconds["overlapped"] = params["transactions"] / overlapped
    return tuple(
        Record.of(record_name("pipeline", stage, named), params, Timing(values=(value,)), setting)
        for stage, value in seconds.items()
        if value  # not what was too short for the result's digits
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


@cache
def commit() -> str:
    """Of the checkout this package runs from, with `-dirty` if files differ from it; else the package's version."""
    root = Path(__file__).parents[2]
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):  # no git, or it does not trust the folder
            pass
    return version("encmempool")


# --- files -----------------------------------------------------------------------------------------------------------


class RecordFile:
    """A file that records are added to, one line each and at once: what an interrupted run has measured stays.

    Made before the work, so that a file which cannot take records says so first: Malformed for what holds something
    else, OSError for what cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        there = path.exists()
        held = path.read_bytes() if path.is_file() else b""
        parse(held, str(path))
        with path.open("ab"):
            pass
        if not there:
            path.unlink()
        self._separator = b"" if held.endswith(b"\n") or not held else b"\n"

    def add(self, record: Record) -> None:
        line = json.dumps(record.document()).encode() + b"\n"
        with self._path.open("ab") as file:
            file.write(self._separator + line)
        self._separator = b""


def read(path: Path) -> tuple[Record, ...]:
    """Raises Malformed naming the line, and OSError."""
    return parse(path.read_bytes(), str(path))


def parse(data: bytes, source: str) -> tuple[Record, ...]:
    """The records in bytes that came from `source`. Raises Malformed naming it and the line."""
    found = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                found.append(_record(line))
            except ValueError as error:
                raise Malformed(f"{source}, line {number}: {error}") from None
    return tuple(found)


def _record(line: bytes) -> Record:
    try:
        fields = decode_json(line)
    except json.JSONDecodeError as error:
        cut = line.startswith(b"{") and not line.rstrip().endswith(b"}")
        raise ValueError("the record is cut off" if cut else f"no JSON ({error.msg}, column {error.colno})") from None
    except UnicodeDecodeError:
        raise ValueError("no text in UTF-8") from None
    schema = fields.get("schema") if isinstance(fields, dict) else None
    if schema != SCHEMA:
        what = f"of schema {str(schema)[:60]!r}" if schema is not None else "without a schema"
        raise ValueError(f"JSON {what}: a record of {SCHEMA!r} is expected")
    for name in (*_FIELDS, *fields):
        if name not in fields:
            raise ValueError(f"the record lacks {name!r}")
        if name not in _FIELDS and name not in ("schema", "values"):
            raise ValueError(f"a record has no {name[:60]!r}")
    for name, (fits, expected) in _FIELDS.items():
        if not fits(fields[name]):
            raise ValueError(f"{name!r} is not {expected}")
    values = fields.get("values", [])
    if not (isinstance(values, list) and all(map(_is_number, values)) and len(values) in (0, fields["samples"])):
        raise ValueError("'values' is not a list of as many numbers as there are samples")
    if not fields["min"] <= fields["q1"] <= fields["median"] <= fields["q3"]:
        raise ValueError("min, q1, median and q3 do not ascend")
    return Record(**{name: fields[name] for name in _FIELDS}, values=tuple(values))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    except OverflowError:
        return False


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_params(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(each) or type(each) is int for each in value.values())


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "text"),
    "unit": (_is_text, "text"),
    **dict.fromkeys(("median", "q1", "q3", "min"), (_is_number, "a number above 0")),
    "samples": (_is_count, "a whole number from 1 up"),
    "params": (_is_params, "an object of whole numbers and texts"),
    "backend": (_is_text, "text"),
    "threads": (_is_count, "a whole number from 1 up"),
    "seed": (lambda value: value == 0 or _is_count(value), "a whole number from 0 up"),
    "commit": (_is_text, "text"),
    "host": (lambda value: isinstance(value, dict), "an object"),
}


def latest(records: Sequence[Record]) -> tuple[dict[tuple[object, ...], Record], int]:
    """The last record of each name and params, and how many stand before one of the same."""
    kept = {record.key: record for record in records}
    return kept, len(records) - len(kept)
