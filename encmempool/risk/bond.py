"""The smallest bonds with which corruption does not pay, and the bond at which capital costs what it saves.

Notation of specs/risk.md: t members share a fault, each with a bond B of which the share f is taken; p is the chance
that the fault is noticed and pinned on them; G is what an interval of abuse yields, gamma the margin.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import erfc, exp, log, sqrt

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from encmempool.measure.formulas import expected_detection_blocks
from encmempool.risk.assumptions import Assumption, Inputs, Parameters
from encmempool.risk.designs import Design
from encmempool.risk.failures import collusion
from encmempool.risk.losses import Book

_DAY_S = 86_400.0
_HOURS_DAY = 24.0


def gain_quantile(mean: float, sigma: float, tail: float) -> float:
    """What a lognormal gain of that mean exceeds with chance `tail`. sigma: of its logarithm."""
    return mean * exp(sigma * float(ndtri(1 - tail)) - sigma**2 / 2)


def detection_attacks(usual: float, share: float, *, error: float) -> float:
    """Attacked blocks until a sequential test notices a share of blocks with one pattern more than usual (Wald)."""
    return share * expected_detection_blocks(usual, usual + share, error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One party's bond in USD by the two conditions; None where no bond suffices, since nobody would be named."""

    one_shot_usd: float | None
    covert_usd: float | None
    gain_usd: float
    """What the party, or its coalition, gains at most in one interval, but for the tail."""

    @property
    def usd(self) -> float | None:
        return None if self.one_shot_usd is None or self.covert_usd is None else max(self.one_shot_usd, self.covert_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonds:
    """Of a design. Where nothing is encrypted there is no committee."""

    sequencer: Requirement
    member: Requirement | None

    def total_usd(self, design: Design, parameters: Parameters) -> float | None:
        """All of them, for one rollup; None where one of them cannot exist."""
        each = self.sequencer.usd
        committee = 0.0 if self.member is None else self.member.usd
        if each is None or committee is None:
            return None
        whole = each * design.operators(parameters) + committee * parameters.members
        return whole / design.rollups(parameters)


def requirement(
    gain_usd: float,
    *,
    attacks: float,
    gain_per_attack_usd: float,
    payers: int,
    slashed_share: float,
    attribution: float,
    margin: float,
) -> Requirement:
    """RSK-19: against one abuse that yields `gain_usd`, and against so many covert ones until a detector notices.

    attribution    that a fault is noticed and pinned on its author
    """

    def bond(loot_usd: float) -> float | None:
        """The B with payers f p B = (1 + margin) loot."""
        return (1 + margin) * loot_usd / (payers * slashed_share * attribution) if attribution else None

    return Requirement(one_shot_usd=bond(gain_usd), covert_usd=bond(attacks * gain_per_attack_usd), gain_usd=gain_usd)


def reading_gain(bps: float, parameters: Parameters) -> float:
    """Mean gain in USD of ordering against everybody until it is stopped."""
    return bps / 10_000 * parameters.volume_usd_day * parameters.reaction_hours / _HOURS_DAY


def censoring_gain(design: Design, parameters: Parameters) -> float:
    """What borrowers save in the mean, and may pay for, if no liquidation gets through until it is stopped."""
    hours = min(parameters.reaction_hours, parameters.forced_hours) if design.forced else parameters.reaction_hours
    return parameters.loans_usd * Book.of(parameters).expected_bad_debt(60 * hours, parameters.volatility)


def required(design: Design, parameters: Parameters) -> Bonds:
    """The bonds of a design.

    A sequencer that reads gains by itself. One that cannot read gains what blind strategies may yield at most, or
    sells censorship; t members who pool their shares read everything, with it or without it, so they pay for that.
    """
    p = parameters
    readable = p.encrypted_bps if design.encrypted else p.plaintext_bps
    alone = design.rollups(p) / design.operators(p)
    sequencer = _requirement(readable * alone, p, payers=1, least_gain=censoring_gain(design, p) * design.rollups(p))
    member = (
        _requirement(p.plaintext_bps * design.rollups(p), p, payers=p.threshold, least_gain=0.0)
        if design.encrypted
        else None
    )
    return Bonds(sequencer=sequencer, member=member)


def _requirement(bps: float, p: Parameters, *, payers: int, least_gain: float) -> Requirement:
    gain = max(gain_quantile(reading_gain(bps, p), p.gain_sigma, p.tail), least_gain)
    return requirement(
        gain,
        attacks=detection_attacks(p.usual_patterns, p.covert_share, error=p.false_alarm),
        gain_per_attack_usd=bps / 10_000 * p.volume_usd_day * p.block_s / _DAY_S,
        payers=payers,
        slashed_share=p.slashed_share,
        attribution=p.noticed * p.attribution,
        margin=p.margin,
    )


# --- what a bond may cost --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The bond a party at which capital and undeterred abuse cost least together; USD and USD a year."""

    bond_usd: float
    capital_usd_year: float
    expected_loss_usd_year: float

    @property
    def cost_usd_year(self) -> float:
        return self.capital_usd_year + self.expected_loss_usd_year


def undeterred_loss(
    bond_usd: float, *, rate: float, mean: float, sigma: float, loss_per_gain: float, hold: float
) -> float:
    """Expected loss a year from the gains that exceed what the bond holds back: rate * k * E[G; G > hold * B].

    hold    t f p / (1 + margin)

    For a lognormal G of mean m: E[G; G > b] = m Phi((ln(m/b) + sigma^2/2) / sigma).
    """
    held = hold * bond_usd
    reached = 1.0 if not held else erfc(-(log(mean / held) + sigma**2 / 2) / sigma / sqrt(2)) / 2
    return rate * loss_per_gain * mean * reached


def optimum(design: Design, parameters: Parameters) -> Optimum:
    """(iv) Minimise capital_cost * parties * B + undeterred loss, over those who can be made to pay.

    Where no bond is cheaper than none, it is 0. Abuse that nobody notices is not deterred by any bond and left out.
    """
    p = parameters
    payers = p.threshold if design.encrypted else 1
    parties = p.members if design.encrypted else design.operators(p)
    rate = p.malicious_per_year * (collusion(p) if design.encrypted else design.operators(p))
    scale = design.rollups(p) / (1 if design.encrypted else design.operators(p))
    mean = reading_gain(p.plaintext_bps, p) * scale
    hold = payers * p.slashed_share * p.noticed * p.attribution / (1 + p.margin)

    def loss(bond_usd: float) -> float:
        return undeterred_loss(
            bond_usd, rate=rate, mean=mean, sigma=p.gain_sigma, loss_per_gain=p.loss_per_gain, hold=hold
        )

    def cost(log_bond: float) -> float:
        return p.capital_cost * parties * exp(log_bond) + loss(exp(log_bond))

    best = 0.0
    if hold and rate and mean:
        grid = np.linspace(log(mean / hold) - 12, log(mean / hold) + 12, 241)
        start = grid[int(np.argmin([cost(each) for each in grid]))]
        found = minimize_scalar(cost, bounds=(start - 0.1, start + 0.1), method="bounded", options={"xatol": 1e-10})
        best = exp(float(found.x)) if found.fun < loss(0.0) else 0.0
    return Optimum(bond_usd=best, capital_usd_year=p.capital_cost * parties * best, expected_loss_usd_year=loss(best))


# --- for `risk bond` -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BondSwing:
    """What one assumption, moved over its interval, makes of the two bonds."""

    name: str
    low: float
    high: float
    member_usd: tuple[float | None, float | None]
    sequencer_usd: tuple[float | None, float | None]

    @property
    def widest(self) -> float:
        """Of the two bonds, the larger factor between the ends."""
        factors = [1.0]
        for low, high in (self.member_usd, self.sequencer_usd):
            if low is not None and high is not None:
                factors.append(max(low, high) / max(min(low, high), 1e-9))
        return max(factors)


_MOVED = (
    *("plaintext_bps", "reaction_hours", "gain_sigma", "tail", "attribution", "noticed", "margin", "threshold"),
    *("volume_usd_day", "loans_usd", "volatility", "liquidation_cost", "usual_patterns"),
)


def sensitivities(design: Design, inputs: Inputs) -> tuple[BondSwing, ...]:
    """The bonds at both ends of each assumption that moves them, the widest first."""
    swings = []
    for name in _MOVED:
        low, high = _span(name, inputs)
        ends = [required(design, inputs.moved(name, value)) for value in (low, high)]
        swings.append(
            BondSwing(
                name=name,
                low=low,
                high=high,
                member_usd=(_of_member(ends[0]), _of_member(ends[1])),
                sequencer_usd=(ends[0].sequencer.usd, ends[1].sequencer.usd),
            )
        )
    return tuple(sorted((each for each in swings if each.widest > 1 + 1e-9), key=lambda each: -each.widest))


def _of_member(bonds: Bonds) -> float | None:
    return None if bonds.member is None else bonds.member.usd


def _span(name: str, inputs: Inputs) -> tuple[float, float]:
    """The interval, or for what has none half and twice the value."""
    value = getattr(inputs.parameters, name)
    if name in inputs.intervals:
        return inputs.intervals[name]
    if name == "threshold":
        return max(1, value - 1), min(inputs.parameters.members, value + 1)
    most = next(each.metadata["most"] for each in fields(Parameters) if each.name == name)
    return value / 2, min(2 * value, most)


def used(inputs: Inputs) -> tuple[Assumption, ...]:
    """The assumptions that a bond depends on."""
    names = {*_MOVED, "block_s", "forced_hours", "members", "slashed_share", "covert_share", "false_alarm"}
    names |= {"encrypted_bps", "collateral_low", "collateral_high", "capital_cost", "malicious_per_year"}
    names |= {"loss_per_gain", "corruption", "collusion_common"}
    assert names <= {each.name for each in fields(Parameters)}
    return tuple(each for each in inputs.assumptions() if each.name in names)


def insurance_needed(bonds: Bonds, parameters: Parameters) -> float:
    """What users lose of the largest gain that a bond is sized for: the cover they need where nobody is named."""
    gains = [bonds.sequencer.gain_usd, *([bonds.member.gain_usd] if bonds.member is not None else [])]
    return parameters.loss_per_gain * max(gains)
