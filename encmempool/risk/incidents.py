"""Outages of rollups that were reported, and rates and durations fitted to them or to a user's own list.

A list of public reports is a lower bound: what nobody reported is not in it, and short stops are reported least. So
nothing below `LEAST_MINUTES` counts, and rates are those of longer incidents.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from math import exp, inf, isfinite, sqrt
from pathlib import Path

import numpy as np
from scipy import stats

from encmempool.errors import Malformed
from encmempool.measure.statistics import Floats

LEAST_MINUTES = 30.0
LEVEL = 0.95
"""Of the two-sided intervals of rates, shares and fitted parameters."""
_COLUMNS = ("date", "chain", "kind", "minutes")
_RESAMPLES = (500, 20_000)
_CELLS = 2_000_000
_MAX_MINUTES = 525_600.0


class Kind(StrEnum):
    """What happened, as a CSV file says it."""

    HALT = "halt"
    PAUSE = "pause"
    WITHHELD = "withheld"
    DELAY = "delay"
    MALICIOUS = "malicious"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """started: UTC, midnight where only the day is known. shared: whether other sequencers of the same software would
    have stopped too; None if unknown. Our reading of the reported cause, not a report's words."""

    started: datetime
    chain: str
    kind: Kind
    minutes: float
    shared: bool | None = None
    cause: str = ""
    source: str = ""


def _reported(day: str, chain: str, kind: Kind, minutes: float, shared: bool | None, cause: str, src: str) -> Incident:
    return Incident(
        started=datetime.fromisoformat(day).replace(tzinfo=UTC),
        chain=chain,
        kind=kind,
        minutes=minutes,
        shared=shared,
        cause=cause,
        source=src,
    )


_HALT, _PAUSE, _WITHHELD, _DELAY = Kind.HALT, Kind.PAUSE, Kind.WITHHELD, Kind.DELAY
_L2S_FALL = "electisec, 'When L2s Fall', 2024-08-19"
REPORTED = (
    _reported("2021-09-14", "Arbitrum One", _HALT, 45, True, "burst of submitted transactions", _L2S_FALL),
    _reported(
        "2022-01-09", "Arbitrum One", _HALT, 420, False, "hardware failed, and the backup during an upgrade", _L2S_FALL
    ),
    _reported("2023-04-01", "zkSync Era", _HALT, 240, False, "database down and its alert silent", _L2S_FALL),
    _reported("2023-04-26", "OP Mainnet", _DELAY, 120, True, "ten times the traffic, replicas behind", _L2S_FALL),
    _reported("2023-06-07", "Arbitrum One", _WITHHELD, 115, True, "nonce bug of the batch poster", _L2S_FALL),
    _reported("2023-09-05", "Base", _HALT, 43, None, "block production stopped", "coinoffice.net, 2025-08"),
    _reported(
        "2023-12-15", "Arbitrum One", _HALT, 78, True, "surge of inscriptions and a sync bug", "cointelegraph.com"
    ),
    _reported("2023-12-25", "zkSync Era", _HALT, 302, True, "safety stop on an operator's state bug", "bitkan.com"),
    _reported("2024-02-15", "OP Mainnet", _HALT, 120, True, "unsafe head stalled; two fixes", _L2S_FALL),
    _reported("2024-03-23", "Polygon zkEVM", _HALT, 600, True, "reorganisation of L1", "unchainedcrypto.com"),
    _reported("2024-06-02", "Linea", _PAUSE, 90, None, "operator's stop during an exploit", _L2S_FALL),
    _reported("2025-07-18", "Starknet", _HALT, 13, None, "block creation slowed", "coinalertnews.com, 2025-09-02"),
    _reported("2025-08-05", "Base", _HALT, 33, False, "failover to a standby not provisioned", "coinoffice.net"),
    _reported(
        "2025-09-02", "Starknet", _HALT, 133, True, "upgrade; an hour was rolled back", "coinalertnews.com, 2025-09-02"
    ),
    _reported("2025-09-10", "Linea", _HALT, 46, None, "sequencer performance", "cryptoslate.com"),
    _reported("2026-01-05", "Starknet", _HALT, 120, True, "state mismatch; 18 minutes rolled back", "BlockBeats"),
)
"""Public reports on seven rollups until January 2026; the minutes are those of the project's research notes."""
REPORTED_CHAIN_YEARS = 23.05
"""Of those seven rollups, from each one's launch on (research, measurement, section 7.1)."""
REPORTED_SOURCE = "16 public reports on 7 rollups, 2021-09 to 2026-01: a lower bound"


# --- a user's list ---------------------------------------------------------------------------------------------------


def read_csv(path: Path) -> tuple[Incident, ...]:
    """Incidents of a file with the columns date, chain, kind and minutes; `shared` (yes, no) may be there too.

    date    ISO 8601, a day or a time; UTC unless it has an offset. A day alone counts from midnight.

    Raises Malformed naming row and field, also for incidents of one chain that overlap, and OSError.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Malformed(f"{path} is not text in UTF-8: save it as CSV") from None
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise Malformed(f"{path}, row 1: no column {missing[0]!r}: the first row names {', '.join(_COLUMNS)}")
    try:
        return read_rows(((rows.line_num, row) for row in rows), str(path))
    except csv.Error as error:
        raise Malformed(f"{path}, row {rows.line_num}: not CSV: {error}") from None


def read_rows(rows: Iterable[tuple[int, Mapping[str, str | None]]], source: str) -> tuple[Incident, ...]:
    """Incidents of numbered rows. RSK-2; errors as `read_csv`'s."""
    found = [(number, _incident(row, f"{source}, row {number}")) for number, row in rows]
    if not found:
        raise Malformed(f"{source} holds no incident: there is nothing to fit")
    _check_apart(found, source)
    return tuple(incident for _, incident in found)


def _incident(row: Mapping[str, str | None], where: str) -> Incident:
    date, chain, kind, minutes = ((row.get(name) or "").strip() for name in _COLUMNS)
    try:
        started = datetime.fromisoformat(date)
        started = started.replace(tzinfo=UTC) if started.tzinfo is None else started.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed(f"{where}: date {date!r} is none: write it as 2025-09-02 or 2025-09-02T02:23") from None
    if not chain:
        raise Malformed(f"{where}: chain is empty: name the rollup")
    if kind not in tuple(Kind):
        raise Malformed(f"{where}: kind {kind!r} is none of {', '.join(Kind)}")
    try:
        lasted = float(minutes)
    except ValueError:
        lasted = -inf
    if not (isfinite(lasted) and 0 < lasted <= _MAX_MINUTES):
        raise Malformed(f"{where}: minutes {minutes!r} is no number above 0 and at most a year's {_MAX_MINUTES:,.0f}")
    shared = (row.get("shared") or "").strip().lower()
    if shared not in ("", "yes", "no"):
        raise Malformed(f"{where}: shared {shared!r} is neither yes nor no: leave it empty if unknown")
    return Incident(
        started=started,
        chain=chain,
        kind=Kind(kind),
        minutes=lasted,
        shared={"": None, "yes": True, "no": False}[shared],
    )


def _check_apart(found: Sequence[tuple[int, Incident]], source: str) -> None:
    """One stop that is listed twice would count twice."""
    latest: dict[str, tuple[int, Incident]] = {}
    for number, incident in sorted(found, key=lambda each: each[1].started):
        before = latest.get(incident.chain)
        if before is not None and incident.started < (end := _end(before[1])):
            raise Malformed(
                f"{source}, row {number}: date: overlaps row {before[0]}, which stops {incident.chain} until "
                f"{end:%Y-%m-%d %H:%M} UTC: merge the two, or give times of day"
            )
        latest[incident.chain] = (number, incident)


def _end(incident: Incident) -> datetime:
    return incident.started + timedelta(minutes=incident.minutes)


# --- rates and durations ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Events a chain-year with the exact Poisson interval (Garwood 1936)."""

    events: int
    per_year: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Of a whole, with the exact binomial interval (Clopper and Pearson 1934)."""

    events: int
    of: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """A lognormal law of minutes. mu, sigma: mean and standard deviation of the natural logarithm.

    ks_p            of Kolmogorov and Smirnov's test as it is often quoted, too kind since mu and sigma are fitted
    lilliefors_p    the same distance against samples that are fitted likewise
    """

    count: int
    mu: float
    mu_low: float
    mu_high: float
    sigma: float
    sigma_low: float
    sigma_high: float
    ks_p: float
    lilliefors_p: float

    @property
    def median_minutes(self) -> float:
        return exp(self.mu)

    @property
    def mean_minutes(self) -> float:
        return exp(self.mu + self.sigma**2 / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a list of incidents says. durations: of halts and pauses, the two that stop everything."""

    chain_years: float
    source: str
    rates: dict[Kind, Rate]
    durations: Durations
    shared: Share

    @property
    def stops(self) -> Rate:
        """Halts and pauses together."""
        return poisson_rate(self.rates[Kind.HALT].events + self.rates[Kind.PAUSE].events, self.chain_years)


def poisson_rate(events: int, years: float, *, level: float = LEVEL) -> Rate:
    """The rate and its exact interval. Without any event Jeffreys' mean, half an event, stands for the rate.

    Source: Garwood, "Fiducial limits for the Poisson distribution", 1936.
    """
    if events < 0 or not years > 0 or not isfinite(years):
        raise ValueError(f"a rate needs events counted over a positive time, not {events} over {years:g} years")
    tail = (1 - level) / 2
    return Rate(
        events=events,
        per_year=(events or 0.5) / years,
        low=float(stats.chi2.ppf(tail, 2 * events) / 2 / years) if events else 0.0,
        high=float(stats.chi2.ppf(1 - tail, 2 * events + 2) / 2 / years),
    )


def share(events: int, of: int, *, level: float = LEVEL) -> Share:
    """A share and its exact interval; of none, everything is possible and a half stands for it."""
    tail = (1 - level) / 2
    return Share(
        events=events,
        of=of,
        share=events / of if of else 0.5,
        low=float(stats.beta.ppf(tail, events, of - events + 1)) if events else 0.0,
        high=float(stats.beta.ppf(1 - tail, events + 1, of - events)) if events < of else 1.0,
    )


def fit_durations(minutes: Sequence[float], *, level: float = LEVEL) -> Durations:
    """The lognormal law with the moments of the logarithms (n - 1 in the variance), intervals and fit.

    Source of the second p-value: Lilliefors, "On the Kolmogorov-Smirnov test for normality with mean and variance
    unknown", 1967, here simulated. ValueError for fewer than three durations, or three that are equal.
    """
    logs = np.log(np.sort(np.asarray(minutes, dtype=np.float64)))
    count = len(logs)
    if count < 3:
        raise ValueError(f"durations need at least 3 halts or pauses of {LEAST_MINUTES:g} minutes or more, not {count}")
    mu, sigma = float(logs.mean()), float(logs.std(ddof=1))
    if not sigma > 0:
        raise ValueError("all durations are equal: a spread cannot be fitted to them")
    tail = (1 - level) / 2
    reach = float(stats.t.ppf(1 - tail, count - 1)) * sigma / sqrt(count)
    low, high = (sigma * sqrt((count - 1) / float(stats.chi2.ppf(p, count - 1))) for p in (1 - tail, tail))
    distance = _distances(logs[None, :])[0]
    return Durations(
        count=count,
        mu=mu,
        mu_low=mu - reach,
        mu_high=mu + reach,
        sigma=sigma,
        sigma_low=low,
        sigma_high=high,
        ks_p=float(stats.kstwo.sf(distance, count)),
        lilliefors_p=float(np.mean(_usual_distances(count) >= distance)),
    )


@lru_cache(maxsize=16)
def _usual_distances(count: int) -> Floats:
    """Of samples that are normal indeed. The same count gives the same."""
    resamples = max(_RESAMPLES[0], min(_RESAMPLES[1], _CELLS // count))
    return _distances(np.sort(np.random.default_rng(count).standard_normal((resamples, count)), axis=1))


def _distances(ordered: Floats) -> Floats:
    """Each row's largest distance between its own distribution and the normal fitted to it."""
    count = ordered.shape[1]
    scaled = (ordered - ordered.mean(axis=1, keepdims=True)) / ordered.std(axis=1, ddof=1, keepdims=True)
    expected = stats.norm.cdf(scaled)
    steps = np.arange(count + 1) / count
    distances: Floats = np.maximum(steps[1:] - expected, expected - steps[:-1]).max(axis=1)
    return distances


def calibrate(incidents: Sequence[Incident], chain_years: float, source: str) -> Calibration:
    """Rates of every kind, durations of what stops everything, and the share of halts with a shared cause.

    chain_years    how long the chains were watched, summed

    ValueError where there is too little to fit.
    """
    counted = [incident for incident in incidents if incident.minutes >= LEAST_MINUTES]
    stopped = [incident for incident in counted if incident.kind in (Kind.HALT, Kind.PAUSE)]
    known = [incident.shared for incident in stopped if incident.shared is not None]
    return Calibration(
        chain_years=chain_years,
        source=source,
        rates={kind: poisson_rate(sum(each.kind is kind for each in counted), chain_years) for kind in Kind},
        durations=fit_durations([incident.minutes for incident in stopped]),
        shared=share(sum(known), len(known)),
    )


def reported() -> Calibration:
    """That of the public reports."""
    return calibrate(REPORTED, REPORTED_CHAIN_YEARS, REPORTED_SOURCE)
