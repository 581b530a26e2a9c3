"""A run from its inputs to its record, and the record read back: the object behind `encmempool risk run --json`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib.metadata import version
from math import exp, inf, isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from encmempool.bench.machine import machine, versions
from encmempool.documents import decode_json
from encmempool.errors import Malformed
from encmempool.risk.assumptions import Assumption, Extraction, Inputs, Parameters
from encmempool.risk.bond import Optimum, detection_attacks, optimum, required
from encmempool.risk.designs import EXAMINED, Design
from encmempool.risk.failures import TITLES, Failure, collusion, mean_minutes, stalls
from encmempool.risk.incidents import LEAST_MINUTES, Calibration, Durations, Kind, Rate, Share
from encmempool.risk.losses import Book
from encmempool.risk.simulation import (
    CHUNK_YEARS,
    MAX_YEARS,
    MIN_YEARS,
    Figures,
    Job,
    Progress,
    Scenario,
    Swing,
    ceilings_of,
    figures,
    run_chunk,
    run_jobs,
    swings,
)

SCHEMA = "encmempool.risk-run/1"
SWING_YEARS = 100_000
_JUMPS = (0.0, -0.1, -0.2)
_DEPTHS = (inf, 50.0, 20.0, 10.0, 5.0, 3.0, 2.0, 1.0, 0.5)
_SHOCK = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureModel:
    """One way to fail as it was drawn. events: how many of it the incidents hold; None for what is derived."""

    name: str
    title: str
    per_year: float
    low: float | None
    high: float | None
    events: int | None
    mean_minutes: float
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPoint:
    """Bad debt of the frozen book after a halt of 6 h with a jump of the price's logarithm, bps of all debt."""

    log_jump: float
    bad_debt_bps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadePoint:
    """Where the price ends after a fall by a tenth, by the depth it is sold into; None is without end."""

    depth: float | None
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What follows from the assumptions without drawing."""

    collusion: float
    stall_common_per_year: float
    stall_quorum_per_year: float
    stall_quorum_unavailability: float
    detection_attacks: float
    critical_depth: float
    book: tuple[BookPoint, ...]
    cascade: tuple[CascadePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignResult:
    """One row of the comparison; USD, of one rollup. capital and bonds are None where no bond suffices."""

    name: str
    sequencing: str
    encrypted: bool
    forced: bool
    operators: int
    members: int
    figures: Figures
    bond_sequencer_usd: float | None
    bond_member_usd: float | None
    optimum: Optimum
    capital_usd_year: float | None
    nodes_usd_year: float
    cost_usd_year: float
    swings: tuple[Swing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """From how many abuses a year and operator on a design costs less encrypted than readable; None if never.

    The loss from order is in proportion to that rate, everything else does not depend on it.
    """

    readable: str
    encrypted: str
    malicious_per_year: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """The calibration as a record."""

    source: str
    chain_years: float
    least_minutes: float
    stops: Rate
    rates: Mapping[str, Rate]
    durations: Durations
    shared: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run. Equal inputs, years and seed give equal figures, on any number of processes."""

    seed: int
    years: int
    command: str
    calibration: Calibrated
    extraction: Extraction
    assumptions: tuple[Assumption, ...]
    failures: tuple[FailureModel, ...]
    derived: Derived
    designs: tuple[DesignResult, ...]
    break_even: tuple[BreakEven, ...]
    warnings: tuple[str, ...]
    machine: Mapping[str, str | int | float]
    versions: Mapping[str, str]
    elapsed_s: float

    def document(self) -> dict[str, Any]:
        """Without the schema's name."""
        return asdict(self)


def run(
    inputs: Inputs,
    calibration: Calibration,
    extraction: Extraction,
    designs: Sequence[Design],
    *,
    years: int,
    seed: int,
    command: str,
    workers: int = 1,
    scheduler: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Run:
    """Draw the years, evaluate every design on them, and move every assumption.

    Raises ValueError for too few or too many years, EnvironmentProblem where processes or the scheduler fail.
    """
    if not MIN_YEARS <= years <= MAX_YEARS:
        raise ValueError(f"a run has {MIN_YEARS:,} to {MAX_YEARS:,} years, not {years:,}")
    started = time.perf_counter()
    scenarios = [scenario(design, inputs.parameters) for design in designs]
    ceilings = ceilings_of(scenarios)
    chunks = [min(CHUNK_YEARS, years - first) for first in range(0, years, CHUNK_YEARS)]
    jobs = [
        Job(call=run_chunk, arguments=(scenarios, ceilings, seed, at, count), options={})
        for at, count in enumerate(chunks)
    ]
    examined = [each for each in scenarios if each.design.name in EXAMINED] or scenarios[:1]
    jobs += [
        Job(call=swings, arguments=(each, moved(inputs)), options={"years": min(SWING_YEARS, years), "seed": seed})
        for each in examined
    ]
    results = run_jobs(jobs, workers=workers, scheduler=scheduler, progress=progress)
    tallies = results[: len(chunks)]
    moves = {each.design: found for each, found in zip(examined, results[len(chunks) :], strict=True)}
    compared = tuple(
        _result(each, [chunk[at] for chunk in tallies], moves.get(each.design, ())) for at, each in enumerate(scenarios)
    )
    return Run(
        seed=seed,
        years=years,
        command=command,
        calibration=Calibrated(
            source=calibration.source,
            chain_years=calibration.chain_years,
            least_minutes=LEAST_MINUTES,
            stops=calibration.stops,
            rates={kind.value: rate for kind, rate in calibration.rates.items()},
            durations=calibration.durations,
            shared=calibration.shared,
        ),
        extraction=extraction,
        assumptions=inputs.assumptions(),
        failures=failure_models(inputs, calibration),
        derived=derived(inputs.parameters),
        designs=compared,
        break_even=break_even(compared, inputs.parameters.malicious_per_year),
        warnings=warnings(inputs, calibration),
        machine=machine(),
        versions={**versions(), **{name: version(name) for name in ("numpy", "scipy")}},
        elapsed_s=round(time.perf_counter() - started, 1),
    )


def scenario(design: Design, parameters: Parameters) -> Scenario:
    """With the bonds that the design needs: in an encrypted one t members pay, else the sequencer."""
    p, needed = parameters, required(design, parameters)
    each = needed.sequencer.usd if needed.member is None else needed.member.usd
    payers = p.threshold if design.encrypted else 1
    slashable = 0.0 if each is None else each * payers * p.slashed_share / design.rollups(p)
    return Scenario(design=design, parameters=parameters, slashable_usd=slashable)


def moved(inputs: Inputs) -> dict[str, tuple[tuple[float, Parameters], tuple[float, Parameters]]]:
    """Every assumption with an interval, at both ends of it."""
    return {
        name: ((low, inputs.moved(name, low)), (high, inputs.moved(name, high)))
        for name, (low, high) in inputs.intervals.items()
    }


def _result(scenario: Scenario, tallies: Sequence[Any], moves: tuple[Swing, ...]) -> DesignResult:
    design, p = scenario.design, scenario.parameters
    needed, found = required(design, p), figures(scenario, tallies)
    members = p.members if design.encrypted else 0
    total = needed.total_usd(design, p)
    capital = None if total is None else p.capital_cost * total
    nodes = p.node_usd_year * (design.operators(p) + members) / design.rollups(p)
    return DesignResult(
        name=design.name,
        sequencing=design.sequencing.value,
        encrypted=design.encrypted,
        forced=design.forced,
        operators=design.operators(p),
        members=members,
        figures=found,
        bond_sequencer_usd=needed.sequencer.usd,
        bond_member_usd=None if needed.member is None else needed.member.usd,
        optimum=optimum(design, p),
        capital_usd_year=capital,
        nodes_usd_year=nodes,
        cost_usd_year=found.expected.mean + (capital or 0.0) + nodes,
        swings=moves,
    )


def break_even(designs: Sequence[DesignResult], malicious_per_year: float) -> tuple[BreakEven, ...]:
    """For each design that was run both ways; none where no abuse was drawn to go by."""
    found = []
    if not malicious_per_year:
        return ()
    for readable in designs:
        for each in designs:
            twins = readable.sequencing == each.sequencing and readable.forced == each.forced
            if twins and each.encrypted and not readable.encrypted:
                saved = readable.figures.components["ordering"] - each.figures.components["ordering"]
                dearer = each.cost_usd_year - readable.cost_usd_year + saved
                rate = None if saved <= 0 else max(0.0, malicious_per_year * dearer / saved)
                found.append(BreakEven(readable=readable.name, encrypted=each.name, malicious_per_year=rate))
    return tuple(found)


def failure_models(inputs: Inputs, calibration: Calibration) -> tuple[FailureModel, ...]:
    p, committee = inputs.parameters, stalls(inputs.parameters)
    halt = mean_minutes(p)
    found = []
    for failure, name in (
        (Failure.HALT, "halts_per_year"),
        (Failure.PAUSE, "pauses_per_year"),
        (Failure.WITHHELD, "withheld_per_year"),
        (Failure.DELAY, "delays_per_year"),
        (Failure.MALICIOUS, "malicious_per_year"),
    ):
        low, high = inputs.intervals.get(name, (None, None))
        minutes = halt
        if failure is Failure.MALICIOUS:
            spread = halt / exp(p.log_minutes)
            minutes = 60 * spread * (p.noticed * p.reaction_hours + (1 - p.noticed) * 24 * p.unnoticed_days)
        found.append(
            FailureModel(
                name=failure.value,
                title=TITLES[failure],
                per_year=getattr(p, name),
                low=low,
                high=high,
                events=calibration.rates[Kind(failure.value)].events,
                mean_minutes=minutes,
                basis=inputs.sources[name],
            )
        )
    for failure, rate, minutes, basis in (
        (Failure.STALL, committee.common_per_year, halt, "common_cause of a member's outages"),
        (Failure.QUORUM, committee.quorum_per_year, committee.quorum_minutes, "members fail each for itself"),
    ):
        found.append(
            FailureModel(
                name=failure.value,
                title=TITLES[failure],
                per_year=rate,
                low=None,
                high=None,
                events=None,
                mean_minutes=minutes,
                basis=basis,
            )
        )
    return tuple(found)


def derived(parameters: Parameters) -> Derived:
    p, committee = parameters, stalls(parameters)
    book = Book.of(p)
    fallen = np.array([1 - _SHOCK])
    return Derived(
        collusion=collusion(p),
        stall_common_per_year=committee.common_per_year,
        stall_quorum_per_year=committee.quorum_per_year,
        stall_quorum_unavailability=committee.quorum_unavailability,
        detection_attacks=detection_attacks(p.usual_patterns, p.covert_share, error=p.false_alarm),
        critical_depth=book.critical_depth,
        book=tuple(
            BookPoint(log_jump=jump, bad_debt_bps=1e4 * book.expected_bad_debt(360, p.volatility, log_jump=jump))
            for jump in _JUMPS
        ),
        cascade=tuple(
            CascadePoint(
                depth=depth if isfinite(depth) else None,
                price=float(Book.of(p, depth=depth).after_cascade(fallen)[0]),
            )
            for depth in _DEPTHS
        ),
    )


def warnings(inputs: Inputs, calibration: Calibration) -> tuple[str, ...]:
    """What a reader must not miss."""
    p = inputs.parameters
    few = [kind.value for kind, rate in calibration.rates.items() if rate.events <= 2]
    said = ["outages are those that were reported: a lower bound, and losses with it"]
    if few:
        said.append(f"rates of {', '.join(few)} rest on two events or fewer: read their intervals, not their values")
    if not p.attribution or not p.noticed:
        said.append("nobody is ever named (attribution 0): no bond deters, only insurance pays")
    else:
        said.append(
            "bonds assume that abuse is noticed and pinned on its authors with chance "
            f"{p.noticed * p.attribution:.2f}: members who pool unsigned shares leave nothing to pin, and then no "
            "bond deters"
        )
    if calibration.durations.lilliefors_p < 0.05:
        found = calibration.durations.lilliefors_p
        said.append(f"durations do not look lognormal (Lilliefors p = {found:.3f}): their tail is a guess")
    return tuple(said)


def encode(made: Run) -> bytes:
    """The record's file."""
    return (json.dumps({"schema": SCHEMA, **made.document()}, indent=1, allow_nan=False) + "\n").encode()


# --- the record read back --------------------------------------------------------------------------------------------


def load(path: Path) -> Run:
    """The record that `risk run` wrote. Raises Malformed, and OSError if it cannot be read."""
    try:
        document = decode_json(path.read_bytes())
    except ValueError as error:
        raise Malformed(f"{path} is not JSON: {error}; write it anew with `encmempool risk run`") from None
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        what = f"of schema {str(found)[:60]!r}" if found is not None else "without a schema"
        raise Malformed(f"{path} is JSON {what}: {SCHEMA!r} is expected, as `encmempool risk run` writes it")
    loaded: Run = decode(Run, {name: value for name, value in document.items() if name != "schema"}, "")
    return loaded


def decode(kind: Any, value: object, path: str) -> Any:
    """A value of that type from JSON. Raises Malformed naming what is missing or of another type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _object(kind, value, path)
    if origin is tuple:
        items = value if isinstance(value, list) else None
        if items is None or (arguments[-1] is not ... and len(items) != len(arguments)):
            raise _wrong(path, "a list of the right length")
        kinds = [arguments[0]] * len(items) if arguments[-1] is ... else arguments
        return tuple(
            decode(each, item, f"{path}[{at}]") for at, (each, item) in enumerate(zip(kinds, items, strict=True))
        )
    if origin is UnionType:
        others = [each for each in arguments if each is not NoneType]
        if value is None and len(others) < len(arguments):
            return None
        if len(others) == 1:
            return decode(others[0], value, path)
        if type(value) in others:
            return value
        raise _wrong(path, "text or a number")
    if origin is not None:
        if not isinstance(value, dict):
            raise _wrong(path, "an object")
        return {name: decode(arguments[1], item, f"{path}.{name}") for name, item in value.items()}
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    if kind is not float and type(value) is kind:
        return value
    raise _wrong(path, {float: "a finite number", int: "a whole number", bool: "true or false"}.get(kind, "text"))


def _object(kind: Any, value: object, path: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(path or "the whole", "an object")
    hints = get_type_hints(kind)
    names = [each.name for each in fields(kind)]
    for name in names:
        if name not in value:
            raise _wrong(f"{path}.{name}".lstrip("."), "there")
    return kind(**{name: decode(hints[name], value[name], f"{path}.{name}".lstrip(".")) for name in names})


def _wrong(path: str, expected: str) -> Malformed:
    return Malformed(f"this is not what `encmempool risk run` wrote: {path} is not {expected}")
