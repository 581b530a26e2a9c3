"""Years of operation drawn at random: failures, prices and abuse, and what a design makes of them.

A chunk of years is drawn once and shared by all scenarios, so designs and assumptions are compared on the same
failures, durations and prices. Events are drawn at the highest rate that any scenario has, each with a mark, and a
scenario keeps those whose mark lies below its own rate. What a chunk holds depends on the seed and its number alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encmempool.measure.statistics import Floats, Interval
from encmempool.measure.workers import executor
from encmempool.risk.assumptions import MINUTES_DAY, MINUTES_YEAR, Parameters
from encmempool.risk.designs import Design, Sequencing
from encmempool.risk.failures import FROZEN, Failure, collusion, mean_minutes, stalls
from encmempool.risk.losses import Book, arbitrage_loss, stale_share

CHUNK_YEARS = 50_000
MIN_YEARS, MAX_YEARS = 1_000, 20_000_000
COMPONENTS = ("bad_debt", "cascade", "arbitrage", "stale", "ordering")
"""Of a year's loss. Bad debt is that without feedback, cascade what feedback adds to it."""
_KINDS = tuple(Failure)
_HOURS_DAY = 24.0
_NORMAL = 1.959963984540054
_ROUNDING = 1e-9
"""Of a rank that floating point lifts above a whole number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """slashable_usd: what can be taken from bonds in a year, for one rollup."""

    design: Design
    parameters: Parameters
    slashable_usd: float = 0.0

    def rates(self) -> dict[Failure, float]:
        """Events a year."""
        p, encrypted = self.parameters, self.design.encrypted
        committee = stalls(p)
        return {
            Failure.HALT: p.halts_per_year,
            Failure.PAUSE: p.pauses_per_year,
            Failure.WITHHELD: p.withheld_per_year,
            Failure.DELAY: p.delays_per_year,
            Failure.STALL: committee.common_per_year if encrypted else 0.0,
            Failure.QUORUM: committee.quorum_per_year if encrypted else 0.0,
            Failure.MALICIOUS: p.malicious_per_year * self.design.operators(p),
        }

    def book(self) -> Book:
        """The rollups behind one sequencer thaw together and sell into the same market."""
        p = self.parameters
        return Book.of(p, depth=p.depth / self.design.rollups(p))


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Of one failure, in the order drawn. shapes: (n,), uniform (5, n), normal (2, n), exponential (n,)."""

    year: NDArray[np.int64]
    uniform: Floats
    normal: Floats
    exponential: Floats


def draw(failure: Failure, *, per_year: float, years: int, seed: int, chunk: int) -> Events:
    """A Poisson process over the years, with all that a scenario may need of each event."""
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(chunk, _KINDS.index(failure))))
    count = int(random.poisson(per_year * years))
    return Events(
        year=random.integers(0, years, count),
        uniform=random.random((5, count)),
        normal=random.standard_normal((2, count)),
        exponential=random.standard_exponential(count),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What some years came to. Arrays hold a year each: USD lost, minutes without execution."""

    losses: NDArray[np.float32]
    stopped_minutes: NDArray[np.float32]
    sums: Mapping[str, float]


@dataclass(slots=True)
class _Years:
    """Sums by year while events are added."""

    count: int
    columns: dict[str, Floats] = field(default_factory=dict)
    components: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COMPONENTS, 0.0))

    def add(self, name: str, year: NDArray[np.int64], values: Floats | None = None) -> None:
        """To a column; without values, the number of events."""
        found = np.bincount(year, weights=values, minlength=self.count).astype(np.float64, copy=False)
        self.columns[name] = self.columns[name] + found if name in self.columns else found

    def lose(self, year: NDArray[np.int64], parts: Mapping[str, Floats]) -> None:
        """To each year's loss, and to the sum of each component over all years."""
        self.add("loss", year, np.sum(list(parts.values()), axis=0))
        for name, values in parts.items():
            self.components[name] += float(values.sum())

    def get(self, name: str) -> Floats:
        return self.columns.get(name, np.zeros(self.count))


def evaluate(
    scenario: Scenario, events: Mapping[Failure, Events], ceilings: Mapping[Failure, float], years: int
) -> Tally:
    """What a design makes of drawn years."""
    made = _Years(count=years)
    for failure, rate in scenario.rates().items():
        if not rate:
            continue
        drawn = events[failure]
        kept = drawn.uniform[0] * ceilings[failure] < rate
        if failure is Failure.MALICIOUS:
            _add_abuse(scenario, made, drawn, kept)
        else:
            _add_outages(scenario, made, failure, drawn, kept)
    named = made.get("attributed")
    paid, insured, borne = waterfall(
        made.get("ordering"),
        named,
        bonds_usd=scenario.slashable_usd,
        insurance_usd=scenario.parameters.insurance_usd,
    )
    total = made.get("loss")
    sums = made.components | {
        "bond_paid": float(paid.sum()),
        "insurance_paid": float(insured.sum()),
        "uninsured": float(borne.sum()),
        "exhausted": float(np.count_nonzero(named > scenario.slashable_usd)),
        "quiet": float(np.count_nonzero(made.get("outages") == 0)),
        "stopped": float(made.get("stopped").sum()),
        "squares": float(np.square(total).sum()),
        "total": float(total.sum()),
    }
    return Tally(losses=total.astype(np.float32), stopped_minutes=made.get("stopped").astype(np.float32), sums=sums)


def waterfall(
    ordering: Floats, named: Floats, *, bonds_usd: float, insurance_usd: float
) -> tuple[Floats, Floats, Floats]:
    """Who bears each year's loss from order: bonds for what is pinned on their owners, insurance, users. RSK-15."""
    paid = np.minimum(named, bonds_usd)
    insured = np.minimum(ordering - paid, insurance_usd)
    return paid, insured, ordering - paid - insured


def _minutes(scenario: Scenario, failure: Failure, drawn: Events, kept: NDArray[np.bool_]) -> Floats:
    """How long each outage lasts under the design."""
    p, design = scenario.parameters, scenario.design
    longest: Floats = np.exp(p.log_minutes + p.log_minutes_sigma * drawn.normal[0, kept])
    if failure is Failure.QUORUM:
        longest *= stalls(p).quorum_minutes / mean_minutes(p)
    stopped_by_operator = failure in (Failure.HALT, Failure.PAUSE)
    if design.sequencing is Sequencing.ROTATING and stopped_by_operator:
        alone = drawn.uniform[1, kept] >= p.shared_cause
        longest = np.where(alone, np.minimum(longest, p.failover_minutes), longest)
    if design.forced and stopped_by_operator:
        longest = np.minimum(longest, 60 * p.forced_hours)
    return longest


def _add_outages(scenario: Scenario, made: _Years, failure: Failure, drawn: Events, kept: NDArray[np.bool_]) -> None:
    p = scenario.parameters
    minutes = _minutes(scenario, failure, drawn, kept)
    affected = p.volume_usd_day * minutes / MINUTES_DAY
    waiting: Floats | float = minutes / 2
    if failure is Failure.DELAY:
        waiting = p.delay_s / 60
    elif failure is Failure.WITHHELD:
        affected = affected * p.withheld_share
    stale = affected * stale_share(p.tolerance_bps, waiting, p.volatility) * p.failed_order_bps / 10_000
    year = drawn.year[kept]
    if failure not in FROZEN:
        made.lose(year, {"stale": stale})
        return
    deviation = p.volatility * np.sqrt(minutes / MINUTES_YEAR)
    moved = deviation * drawn.normal[1, kept] - deviation**2 / 2
    crashed = drawn.uniform[2, kept] < p.jump_probability
    moved = moved - crashed * p.jump_mean * drawn.exponential[kept]
    alone, added = scenario.book().losses(moved)
    made.add("outages", year)
    made.add("stopped", year, minutes)
    made.lose(
        year,
        {
            "bad_debt": p.loans_usd * alone,
            "cascade": p.loans_usd * added,
            "arbitrage": p.pools_usd * arbitrage_loss(moved),
            "stale": stale,
        },
    )


def _add_abuse(scenario: Scenario, made: _Years, drawn: Events, kept: NDArray[np.bool_]) -> None:
    """Campaigns. One that lasts longer than a reaction averages over more intervals, so it varies less."""
    p, design = scenario.parameters, scenario.design
    noticed = drawn.uniform[1, kept] < p.noticed
    hours = np.where(noticed, p.reaction_hours, _HOURS_DAY * p.unnoticed_days)
    hours = hours * np.exp(p.log_minutes_sigma * drawn.normal[0, kept])
    intervals = np.maximum(hours / p.reaction_hours, 1.0)
    variance = np.log1p(np.expm1(p.gain_sigma**2) / intervals)
    scale = np.exp(np.sqrt(variance) * drawn.normal[1, kept] - variance / 2)
    readable = drawn.uniform[2, kept] < collusion(p) if design.encrypted else np.ones(len(hours), dtype=np.bool_)
    bps = np.where(readable, p.plaintext_bps, p.encrypted_bps)
    gain = bps / 10_000 * p.volume_usd_day * hours / _HOURS_DAY * scale / design.operators(p)
    lost = p.loss_per_gain * gain
    year = drawn.year[kept]
    made.lose(year, {"ordering": lost})
    made.add("ordering", year, lost)
    made.add("attributed", year, lost * (noticed & (drawn.uniform[3, kept] < p.attribution)))


def ceilings_of(scenarios: Iterable[Scenario]) -> dict[Failure, float]:
    """The highest rate of each failure."""
    found = [scenario.rates() for scenario in scenarios]
    return {failure: max(rates[failure] for rates in found) for failure in _KINDS}


def run_chunk(
    scenarios: Sequence[Scenario], ceilings: Mapping[Failure, float], seed: int, chunk: int, years: int
) -> tuple[Tally, ...]:
    """What a worker does. The same figures wherever it runs."""
    events = {
        failure: draw(failure, per_year=rate, years=years, seed=seed, chunk=chunk) for failure, rate in ceilings.items()
    }
    return tuple(evaluate(scenario, events, ceilings, years) for scenario in scenarios)


# --- figures ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one design over all years; money in USD, intervals of 95 % for the drawing alone, not for the assumptions.

    components         mean of each part of the loss
    together_es_99     of as many rollups as one sequencer would serve, added up: each with its own sequencer, or all
                       behind this one
    """

    expected: Interval
    components: Mapping[str, float]
    var_95: Interval
    var_99: Interval
    shortfall_95: Interval
    shortfall_99: Interval
    bond_exhausted: float
    bond_paid: float
    insurance_paid: float
    uninsured: float
    stopped_minutes: float
    stopped_minutes_95: float
    stopped_minutes_99: float
    quiet_years: float
    together_es_99: float


def figures(scenario: Scenario, tallies: Sequence[Tally]) -> Figures:
    """From all chunks of a run, in their order."""
    losses = np.concatenate([tally.losses for tally in tallies]).astype(np.float64)
    stopped = np.concatenate([tally.stopped_minutes for tally in tallies])
    years = len(losses)
    sums = {name: sum(tally.sums[name] for tally in tallies) / years for name in tallies[0].sums}
    rollups = scenario.parameters.rollups
    whole = years // rollups * rollups
    together = (
        losses * rollups
        if scenario.design.sequencing is Sequencing.SHARED
        else losses[:whole].reshape(-1, rollups).sum(axis=1)
    )
    ordered = np.sort(losses)
    error = sqrt(max(sums["squares"] - sums["total"] ** 2, 0.0) / years)
    return Figures(
        expected=Interval(
            mean=sums["total"], low=sums["total"] - _NORMAL * error, high=sums["total"] + _NORMAL * error
        ),
        components={name: sums[name] for name in COMPONENTS},
        var_95=value_at_risk(ordered, 0.95),
        var_99=value_at_risk(ordered, 0.99),
        shortfall_95=expected_shortfall(ordered, 0.95),
        shortfall_99=expected_shortfall(ordered, 0.99),
        bond_exhausted=sums["exhausted"],
        bond_paid=sums["bond_paid"],
        insurance_paid=sums["insurance_paid"],
        uninsured=sums["uninsured"],
        stopped_minutes=sums["stopped"],
        stopped_minutes_95=float(np.quantile(stopped, 0.95)),
        stopped_minutes_99=float(np.quantile(stopped, 0.99)),
        quiet_years=sums["quiet"],
        together_es_99=expected_shortfall(np.sort(together), 0.99).mean,
    )


def value_at_risk(ordered: Floats, level: float) -> Interval:
    """The loss that a year exceeds with chance 1 - level, and the order statistics that enclose it at 95 %.

    ordered    ascending
    """
    count = len(ordered)
    half = _NORMAL * sqrt(count * level * (1 - level))
    low, at, high = (ceil(count * level + shift - _ROUNDING) - 1 for shift in (-half, 0.0, half))
    return Interval(mean=float(ordered[at]), low=float(ordered[max(low, 0)]), high=float(ordered[min(high, count - 1)]))


def expected_shortfall(ordered: Floats, level: float) -> Interval:
    """The mean of the worst 1 - level of years.

    Its error counts the uncertain quantile too. Source: Manistre and Hancock, "Variance of the CTE estimator", 2005.
    ValueError where no year lies beyond the level (RSK-14).
    """
    worst = ordered[ceil(len(ordered) * level - _ROUNDING) :]
    if not len(worst):
        raise ValueError(f"no year of {len(ordered)} lies beyond the level {level:g}")
    mean, quantile = float(worst.mean()), float(worst[0])
    variance = (float(worst.var()) + level * (mean - quantile) ** 2) / len(worst)
    reach = _NORMAL * sqrt(variance)
    return Interval(mean=mean, low=mean - reach, high=mean + reach)


# --- sensitivities ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """By how much an assumption at either end of its interval changes a design's figures; USD a year.

    Differences are taken on the same years, so they are known far better than the figures.
    """

    name: str
    low: float
    high: float
    expected: tuple[float, float]
    shortfall_99: tuple[float, float]

    @property
    def width(self) -> float:
        return max(0.0, *self.expected) - min(0.0, *self.expected)


def swings(
    base: Scenario,
    moved: Mapping[str, tuple[tuple[float, Parameters], tuple[float, Parameters]]],
    *,
    years: int,
    seed: int,
) -> tuple[Swing, ...]:
    """One for each assumption that moves this design, the widest first. One chunk of years."""
    names = tuple(moved)
    scenarios = [
        Scenario(design=base.design, parameters=parameters, slashable_usd=base.slashable_usd)
        for name in names
        for _, parameters in moved[name]
    ]
    ceilings = ceilings_of([base, *scenarios])
    (mean, tail), *ends = [
        (float(losses.mean()), expected_shortfall(np.sort(losses), 0.99).mean)
        for losses in (
            tally.losses.astype(np.float64) for tally in run_chunk([base, *scenarios], ceilings, seed, 0, years)
        )
    ]
    found = []
    for name, low, high in zip(names, ends[0::2], ends[1::2], strict=True):
        found.append(
            Swing(
                name=name,
                low=moved[name][0][0],
                high=moved[name][1][0],
                expected=(low[0] - mean, high[0] - mean),
                shortfall_99=(low[1] - tail, high[1] - tail),
            )
        )
    changing = (each for each in found if each.width > 1e-9 * max(mean, 1.0))
    return tuple(sorted(changing, key=lambda each: -each.width))


# --- on all cores ----------------------------------------------------------------------------------------------------

Progress = Callable[[int, int], None]
"""Called with the number of jobs done and to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something a worker is asked: a function of this module and its arguments."""

    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


def run_jobs(jobs: Sequence[Job], *, workers: int, scheduler: str | None, progress: Progress) -> list[Any]:
    """Their results, in the order of the jobs. One worker is this process. Errors as `executor`'s."""
    results: list[Any] = [None] * len(jobs)
    progress(0, len(jobs))
    if workers == 1 and scheduler is None:
        for at, job in enumerate(jobs):
            results[at] = job.call(*job.arguments, **job.options)
            progress(at + 1, len(jobs))
        return results
    with executor(workers, scheduler, advice="try again with fewer --workers") as pool:
        pending: dict[Future[Any], int] = {
            pool.submit(job.call, *job.arguments, **job.options): at for at, job in enumerate(jobs)
        }
        for done, future in enumerate(as_completed(pending), 1):
            results[pending[future]] = future.result()
            progress(done, len(jobs))
    return results
