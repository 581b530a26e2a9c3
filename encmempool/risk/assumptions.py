"""Every number that the figures rest on: its default, where that comes from, and the interval it may lie in.

Money is in US dollars, rates are per year, shares lie between 0 and 1. What depends on a list of incidents or on an
experiment has no default here: `Inputs.of` takes it from a calibration and from an extraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

from encmempool.errors import Malformed
from encmempool.measure import report as measure_report
from encmempool.risk.incidents import Calibration, Kind, reported

MINUTES_YEAR = 525_960.0
MINUTES_DAY = 1_440.0
MAX_MEMBERS = 1_024


def _assumed(
    default: Any,
    source: str,
    *,
    least: float = 0.0,
    most: float = inf,
    above: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A field: its source, what it may be at all, and for the sensitivities, what it may well be."""
    metadata = {"source": source, "least": least, "most": most, "above": above, "low": low, "high": high}
    return field(default=default, metadata=metadata)


def _given(source: str, *, least: float = 0.0, most: float = inf, above: float | None = None) -> Any:
    """A field without default."""
    return field(metadata={"source": source, "least": least, "most": most, "above": above, "low": None, "high": None})


_CALIBRATED = "incidents"
_MEASURED = "experiment"
_SCALE = "assumed size of a rollup; money scales with it"
_PLAIN = "assumption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """One set of numbers. ValueError naming the first that is out of its range.

    depth                   reserves that the collateral is sold into, in units of all collateral; of both venues and
                            arbitrage, so several times what one pool holds
    volatility              of the collateral's price, per square root of a year
    jump_probability        that a stop of ordering and a crash of the price come together
    jump_mean               mean of the crash, minus its logarithm; exponential
    withheld_share          share of the volume that needs final data: withdrawals, bridges
    shared_cause            of halts: that every sequencer with the same software stops
    member_outages_per_year, common_cause    of one member; and the share of these that stops all members at once
    malicious_per_year      that one operator, or whoever holds its keys, begins to order against users
    noticed                 chance that somebody looks for it and is heard; then it lasts reaction_hours, else
                            unnoticed_days, both in the median
    gain_sigma              of the logarithm of what one interval, a block or a reaction time, yields
    corruption              chance that a member can be bought, and collusion_common that all share one fate
    attribution             chance that what was noticed is pinned on its author so that a bond can be taken
    tail                    chance with which a gain may exceed what a bond is sized for
    """

    halts_per_year: float = _given(_CALIBRATED)
    pauses_per_year: float = _given(_CALIBRATED)
    withheld_per_year: float = _given(_CALIBRATED)
    delays_per_year: float = _given(_CALIBRATED)
    malicious_per_year: float = _given(_CALIBRATED)
    log_minutes: float = _given(_CALIBRATED, least=-inf)
    log_minutes_sigma: float = _given(_CALIBRATED)
    shared_cause: float = _given(_CALIBRATED, most=1)
    member_outages_per_year: float = _given("a member is taken to fail as the sequencers of the incidents do")

    plaintext_bps: float = _given(_MEASURED)
    encrypted_bps: float = _given(_MEASURED)
    loss_per_gain: float = _given(_MEASURED)

    volume_usd_day: float = _assumed(100e6, _SCALE)
    loans_usd: float = _assumed(200e6, _SCALE)
    pools_usd: float = _assumed(100e6, _SCALE)
    block_s: float = _assumed(2.0, "of the larger rollups", above=0)

    collateral_low: float = _assumed(1.05, "loan book of the research notes: uniform, 1.05 to 2", least=1)
    collateral_high: float = _assumed(2.0, "loan book of the research notes: uniform, 1.05 to 2", least=1)
    liquidation_ratio: float = _assumed(1.05, "the weakest loan is just not liquidated", least=1)
    liquidation_cost: float = _assumed(0.05, "research notes: 5 % bonus of liquidators", most=0.99, low=0.03, high=0.1)
    close_factor: float = _assumed(0.5, "research notes: half of a position a time", most=1)
    depth: float = _assumed(10.0, _PLAIN, above=0, low=2, high=50)

    volatility: float = _assumed(0.8, "research notes: of ether", low=0.5, high=1.2)
    jump_probability: float = _assumed(
        0.05, f"{_PLAIN}: 2 of 10 causes were surges of traffic, none a known crash", most=1, low=0, high=0.2
    )
    jump_mean: float = _assumed(0.1, f"{_PLAIN}: the research notes price -0.1 and -0.2", low=0.05, high=0.2)

    tolerance_bps: float = _assumed(50.0, "median tolerance of real swaps (research, measurement, section 4)")
    failed_order_bps: float = _assumed(10.0, f"{_PLAIN}: what a failed order costs its user", low=0, high=50)
    delay_s: float = _assumed(180.0, "research notes: added wait while a sequencer lags")
    withheld_share: float = _assumed(0.1, _PLAIN, most=1, low=0.01, high=0.5)

    sequencers: int = _assumed(4, "of a rotating set", least=2, most=MAX_MEMBERS)
    failover_minutes: float = _assumed(10.0, _PLAIN, low=1, high=60)
    rollups: int = _assumed(5, "behind one shared sequencer", least=2, most=1_000)
    forced_hours: float = _assumed(24.0, "Arbitrum's delay of forced inclusion", above=0)

    members: int = _assumed(7, "the research notes' committee", least=1, most=MAX_MEMBERS)
    threshold: int = _assumed(5, "more than two thirds", least=1, most=MAX_MEMBERS)
    common_cause: float = _assumed(
        0.1, f"{_PLAIN}: engineering practice takes 1 to 10 %, one software more", most=1, low=0.01, high=0.5
    )

    noticed: float = _assumed(0.9, f"{_PLAIN}: `risk watch` or its like runs", most=1, low=0.5, high=0.99)
    reaction_hours: float = _assumed(6.0, f"{_PLAIN}: from the first abuse to its end", above=0, low=1, high=48)
    unnoticed_days: float = _assumed(30.0, _PLAIN, above=0, low=7, high=180)
    gain_sigma: float = _assumed(
        1.71, "one block in a hundred holds 27 % of profit (research, measurement, section 6.4)", low=1.2, high=2.2
    )
    corruption: float = _assumed(0.1, "the least of the research notes' three", most=1, low=0.01, high=0.33)
    collusion_common: float = _assumed(
        0.05, f"{_PLAIN}: one owner, one court, one cloud behind all members", most=1, low=0, high=0.2
    )

    usual_patterns: float = _assumed(
        1e-3, "research notes: 1e-4 to 3e-3 patterns a block without attack", above=0, low=1e-4, high=3e-3
    )
    covert_share: float = _assumed(
        0.01, "research notes: share of blocks that a covert attack touches", above=0, most=1
    )
    false_alarm: float = _assumed(1e-6, "research notes: of the sequential test", above=0, most=0.5)

    slashed_share: float = _assumed(1.0, "specs/settlement.md: all of a bond", above=0, most=1)
    attribution: float = _assumed(
        0.5, f"{_PLAIN}: 1 for a signed early share, 0 for silent pooling", most=1, low=0.1, high=1
    )
    margin: float = _assumed(0.1, "research notes: security margin gamma", low=0, high=0.5)
    tail: float = _assumed(0.01, "the bond covers 99 of 100 gains", above=0, most=0.5, low=0.001, high=0.05)
    capital_cost: float = _assumed(0.05, f"{_PLAIN}: a year's return forgone on a bond", low=0.02, high=0.1)
    node_usd_year: float = _assumed(12_000.0, f"{_PLAIN}: a node's machine and operator")
    insurance_usd: float = _assumed(1e6, f"{_PLAIN}: a pool that pays after the bonds, each year anew")

    def __post_init__(self) -> None:
        for each in fields(self):
            check(each, getattr(self, each.name))
        if self.threshold > self.members:
            raise ValueError(f"threshold lies between 1 and the {self.members} members, not {self.threshold}")
        if self.collateral_high <= self.collateral_low:
            low, high = self.collateral_low, self.collateral_high
            raise ValueError(f"collateral_high must exceed collateral_low, {low:g}: {high:g} does not")


def check(each: Field[Any], value: float) -> None:
    """ValueError unless the value is one that the parameter can have."""
    least, most, above = (each.metadata[name] for name in ("least", "most", "above"))
    if not isfinite(value) or value < least or value > most or (above is not None and value <= above):
        lower = f"above {above:g}" if above is not None else f"at least {least:g}" if isfinite(least) else "a number"
        upper = f" and at most {most:g}" if isfinite(most) else ""
        raise ValueError(f"{each.name} must be {lower}{upper}, not {value:g}")


# --- what ordering power is worth ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """Of a result of `measure run`: what a sequencer takes that reads, and at most one that does not, bps of volume.

    loss_per_gain    what users lose for each dollar it takes
    """

    plaintext_bps: float
    plaintext_low: float
    plaintext_high: float
    encrypted_bps: float
    loss_per_gain: float
    source: str


REPLAYED = Extraction(
    plaintext_bps=46.03,
    plaintext_low=19.00,
    plaintext_high=84.63,
    encrypted_bps=0.12,
    loss_per_gain=1.56,
    source="22 real blocks replayed; for ciphertexts the bound of the drawn flow (benchmarks/studies/front-running)",
)
"""The sober figure: drawn flow, the severe test, gives 545.7 bps in plaintext."""


def read_extraction(file: Path) -> Extraction:
    """From the file that `measure run` wrote. Raises Malformed, and OSError if it cannot be read."""
    document = measure_report.load(file)
    try:
        plain = document["arms"]["C1"]
        extracted, lost = (
            {name: float(plain[figure][name]) for name in ("mean", "low", "high")}
            for figure in ("extracted_bps", "victim_loss_bps")
        )
        bound = None if document["equivalence"] is None else float(document["equivalence"]["upper_bps"])
        flow, blocks = str(document["flow"]["source"]), int(document["blocks"])
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"{file} lacks a figure of plaintext that `encmempool measure run` writes: {error}") from None
    if bound is None:
        raise Malformed(
            f"{file} has no bound for ciphertexts: run `encmempool measure run` with arms C1 and T1 at least"
        )
    if not (0 < extracted["low"] <= extracted["mean"] <= extracted["high"] < 1e4 and lost["mean"] > 0 <= bound):
        raise Malformed(
            f"{file}: in plaintext (arm C1) nothing was extracted for certain, so there is nothing to compare"
        )
    return Extraction(
        plaintext_bps=extracted["mean"],
        plaintext_low=extracted["low"],
        plaintext_high=extracted["high"],
        encrypted_bps=bound,
        loss_per_gain=lost["mean"] / extracted["mean"],
        source=f"{file.name}: {blocks:,} blocks, flow: {flow}",
    )


# --- all together ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One number of a run, for a reader."""

    name: str
    value: float
    low: float | None
    high: float | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Parameters with the intervals that their sensitivities are taken over."""

    parameters: Parameters
    intervals: Mapping[str, tuple[float, float]]
    sources: Mapping[str, str]

    @classmethod
    def of(cls, calibration: Calibration | None = None, extraction: Extraction = REPLAYED, **changes: float) -> Inputs:
        """Defaults, what the two say, and what the caller wants otherwise: that then has no interval.

        ValueError for a value out of range.
        """
        found = calibration or reported()
        rates, durations, shared = found.rates, found.durations, found.shared
        halts = rates[Kind.HALT]
        intervals: dict[str, tuple[float, float]] = {
            "log_minutes": (durations.mu_low, durations.mu_high),
            "log_minutes_sigma": (durations.sigma_low, durations.sigma_high),
            "shared_cause": (shared.low, shared.high),
            "member_outages_per_year": (halts.low, halts.high),
            "plaintext_bps": (extraction.plaintext_low, extraction.plaintext_high),
        }
        given: dict[str, float] = {
            "log_minutes": durations.mu,
            "log_minutes_sigma": durations.sigma,
            "shared_cause": shared.share,
            "member_outages_per_year": halts.per_year,
            "plaintext_bps": extraction.plaintext_bps,
            "encrypted_bps": extraction.encrypted_bps,
            "loss_per_gain": extraction.loss_per_gain,
        }
        for name, kind in (
            ("halts_per_year", Kind.HALT),
            ("pauses_per_year", Kind.PAUSE),
            ("withheld_per_year", Kind.WITHHELD),
            ("delays_per_year", Kind.DELAY),
            ("malicious_per_year", Kind.MALICIOUS),
        ):
            given[name] = rates[kind].per_year
            intervals[name] = (rates[kind].low, rates[kind].high)
        parameters = Parameters(**{**given, **changes})  # type: ignore[arg-type]
        sources = {_CALIBRATED: found.source, _MEASURED: extraction.source}
        for each in fields(Parameters):
            if each.metadata["low"] is not None:
                intervals[each.name] = (each.metadata["low"], each.metadata["high"])
        kept = {name: span for name, span in intervals.items() if name not in changes}
        return cls(
            parameters=parameters,
            intervals=kept,
            sources={
                each.name: "given"
                if each.name in changes
                else sources.get(each.metadata["source"], each.metadata["source"])
                for each in fields(Parameters)
            },
        )

    def assumptions(self) -> tuple[Assumption, ...]:
        made = []
        for each in fields(Parameters):
            low, high = self.intervals.get(each.name, (None, None))
            value = getattr(self.parameters, each.name)
            made.append(Assumption(name=each.name, value=value, low=low, high=high, source=self.sources[each.name]))
        return tuple(made)

    def moved(self, name: str, value: float) -> Parameters:
        """The parameters with one of them elsewhere."""
        return replace(self.parameters, **{name: value})  # type: ignore[arg-type]
