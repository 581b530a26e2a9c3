"""Bonds: the two conditions, what moves them, the detector they rest on, and the bond at least cost."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest
from scipy import integrate, stats

from encmempool.risk.assumptions import Inputs, Parameters
from encmempool.risk.bond import (
    censoring_gain,
    detection_attacks,
    gain_quantile,
    insurance_needed,
    optimum,
    reading_gain,
    required,
    requirement,
    sensitivities,
    undeterred_loss,
    used,
)
from encmempool.risk.designs import PROTOTYPE, select
from encmempool.risk.failures import collusion

INPUTS = Inputs.of()
DEFAULTS = INPUTS.parameters
PLAIN = select("centralised")[0]


def with_(**changes: float) -> Parameters:
    return replace(DEFAULTS, **changes)  # type: ignore[arg-type]


def member_bond(**changes: float) -> float:
    found = required(PROTOTYPE, with_(**changes)).member
    assert found is not None
    assert found.usd is not None
    return found.usd


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_bond_takes_away_the_gain_that_is_exceeded_once_in_a_hundred_rsk_19() -> None:
    """RSK-19. t bonds, taken with the chance of being named, are worth the gain and the margin."""
    p = DEFAULTS
    each = member_bond()
    lost = p.threshold * p.slashed_share * p.noticed * p.attribution * each
    mean = 46.03 / 10_000 * 100e6 * 6 / 24
    gain = stats.lognorm.ppf(0.99, p.gain_sigma, scale=mean * exp(-(p.gain_sigma**2) / 2))
    assert lost == pytest.approx(1.1 * gain, rel=1e-9)


def test_bond_grows_with_the_gain_and_falls_with_detection_and_attribution_rsk_19() -> None:
    """RSK-19."""
    base = member_bond()
    assert member_bond(plaintext_bps=2 * DEFAULTS.plaintext_bps) == pytest.approx(2 * base)
    assert member_bond(volume_usd_day=2 * DEFAULTS.volume_usd_day) == pytest.approx(2 * base)
    assert member_bond(attribution=1.0) == pytest.approx(base / 2)
    assert member_bond(noticed=0.45) == pytest.approx(2 * base)
    assert member_bond(threshold=6) == pytest.approx(base * 5 / 6)
    assert member_bond(tail=0.001) > base > member_bond(tail=0.05)


def test_no_bond_suffices_where_nobody_is_named_rsk_19_rsk_22() -> None:
    """RSK-19, RSK-22."""
    for changes in ({"attribution": 0.0}, {"noticed": 0.0}):
        found = required(PROTOTYPE, with_(**changes))
        assert found.member is not None
        assert (found.member.usd, found.sequencer.usd) == (None, None)
        assert found.total_usd(PROTOTYPE, with_(**changes)) is None
        assert insurance_needed(found, DEFAULTS) == pytest.approx(DEFAULTS.loss_per_gain * found.member.gain_usd)


def test_bond_is_the_larger_of_one_abuse_and_covert_ones_rsk_19() -> None:
    """RSK-19."""
    terms = {"payers": 2, "slashed_share": 0.5, "attribution": 0.5, "margin": 0.0}
    found = requirement(100.0, attacks=10, gain_per_attack_usd=30.0, **terms)  # type: ignore[arg-type]
    assert (found.one_shot_usd, found.covert_usd, found.usd) == (200.0, 600.0, 600.0)
    assert requirement(100.0, attacks=1, gain_per_attack_usd=30.0, **terms).usd == 200.0  # type: ignore[arg-type]


def test_readable_order_is_the_sequencers_own_and_encrypted_order_the_committees() -> None:
    plain, encrypted = required(PLAIN, DEFAULTS), required(PROTOTYPE, DEFAULTS)
    assert plain.member is None
    assert encrypted.member is not None
    assert plain.sequencer.gain_usd == encrypted.member.gain_usd
    assert encrypted.sequencer.gain_usd < plain.sequencer.gain_usd / 20
    assert plain.sequencer.usd == pytest.approx(DEFAULTS.threshold * member_bond())


def test_sequencer_that_reads_nothing_is_bonded_for_censorship_at_least() -> None:
    gain = censoring_gain(PROTOTYPE, DEFAULTS)
    assert required(PROTOTYPE, DEFAULTS).sequencer.gain_usd == pytest.approx(gain)
    assert censoring_gain(PROTOTYPE, with_(forced_hours=0.2)) < gain
    assert censoring_gain(PLAIN, with_(forced_hours=0.2)) == pytest.approx(gain)


def test_shared_sequencer_needs_a_bond_for_all_its_rollups_and_a_rotating_one_for_its_turn() -> None:
    own, shared, rotating = (
        required(select(name)[0], DEFAULTS).sequencer.usd for name in ("centralised", "shared", "rotating")
    )
    assert own is not None
    assert shared == pytest.approx(DEFAULTS.rollups * own)
    assert rotating == pytest.approx(own / DEFAULTS.sequencers)


def test_gain_exceeds_its_quantile_as_rarely_as_said() -> None:
    limit = gain_quantile(100.0, 1.71, 0.01)
    drawn = 100 * np.exp(1.71 * np.random.default_rng(2).standard_normal(400_000) - 1.71**2 / 2)
    assert (drawn > limit).mean() == pytest.approx(0.01, abs=0.001)
    assert gain_quantile(100.0, 0.0, 0.01) == 100


def test_spread_of_gains_gives_the_top_percent_the_share_that_was_measured() -> None:
    """One block in a hundred holds 27 % of profit: Phi(sigma - 2.326) for a lognormal."""
    assert stats.norm.cdf(DEFAULTS.gain_sigma - stats.norm.ppf(0.99)) == pytest.approx(0.27, abs=0.005)


# --- the detector ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usual", "share", "simulated"), [(1e-4, 0.01, 4.3), (1e-3, 0.01, 8.9), (3e-3, 0.01, 16.0), (3e-3, 0.001, 92.0)]
)
def test_attacks_until_detection_are_walds_and_some_percent_below_the_notes_simulation_rsk_20(
    usual: float, share: float, simulated: float
) -> None:
    """RSK-20."""
    found = detection_attacks(usual, share, error=1e-6)
    assert 0.85 * simulated < found <= simulated


def test_attacks_until_detection_agree_with_a_simulated_test_rsk_20() -> None:
    """RSK-20. Wald leaves out by how much the evidence overshoots its limit."""
    usual, share, seed = 3e-3, 0.01, 6
    attacked, random, limit = usual + share, np.random.default_rng(seed), log(1e6)
    blocks = []
    for _ in range(400):
        counts = random.poisson(attacked, 12_000)
        evidence = np.cumsum(counts * log(attacked / usual) - share)
        blocks.append(1 + int(np.argmax(evidence >= limit)))
    mean, error = share * np.mean(blocks), share * np.std(blocks) / sqrt(400)
    wald = detection_attacks(usual, share, error=1e-6)
    assert wald - 3 * error < mean < 1.15 * wald, seed


@pytest.mark.parametrize(("usual", "share"), [(0.0, 0.01), (0.001, 0.0), (-0.1, 0.01)])
def test_detector_is_refused_without_rates_rsk_20(usual: float, share: float) -> None:
    """RSK-20."""
    with pytest.raises(ValueError, match="rate"):
        detection_attacks(usual, share, error=1e-6)


# --- the bond at least cost ------------------------------------------------------------------------------------------

TERMS = {"rate": 0.2, "mean": 115_000.0, "sigma": 1.71, "loss_per_gain": 1.56, "hold": 2.045}


@pytest.mark.parametrize("bond_usd", [0.0, 1e4, 1e5, 1e6])
def test_undeterred_loss_is_the_integral_over_gains_beyond_rsk_21(bond_usd: float) -> None:
    """RSK-21."""
    law = stats.lognorm(1.71, scale=115_000 * exp(-(1.71**2) / 2))
    limit = 2.045 * bond_usd
    beyond, _ = integrate.quad(lambda z: law.ppf(stats.norm.cdf(z)) * stats.norm.pdf(z), _deviate(law, limit), 8)
    assert undeterred_loss(bond_usd, **TERMS) == pytest.approx(0.2 * 1.56 * beyond, rel=1e-3)


def _deviate(law: object, limit: float) -> float:
    return -8.0 if not limit else float(stats.norm.ppf(law.cdf(limit)))  # type: ignore[attr-defined]


def test_bond_at_least_cost_meets_the_first_order_condition_rsk_21() -> None:
    """RSK-21. rho n = k h b pdf(b) times the rate, at b = h B; and no other bond is cheaper."""
    p = with_(malicious_per_year=20.0, corruption=0.6, collusion_common=0.5)
    found = optimum(PROTOTYPE, p)
    assert found.bond_usd > 0
    hold = p.threshold * p.noticed * p.attribution * p.slashed_share / (1 + p.margin)
    mean = reading_gain(p.plaintext_bps, p)
    law = stats.lognorm(p.gain_sigma, scale=mean * exp(-(p.gain_sigma**2) / 2))
    b = hold * found.bond_usd
    marginal = p.malicious_per_year * collusion(p) * p.loss_per_gain * hold * b * law.pdf(b)
    assert marginal == pytest.approx(p.capital_cost * p.members, rel=1e-4)
    for bond_usd in (0.0, *(found.bond_usd * np.geomspace(0.01, 100, 41))):
        terms = {"rate": p.malicious_per_year * collusion(p), "mean": mean, "sigma": p.gain_sigma}
        loss = undeterred_loss(bond_usd, **terms, loss_per_gain=p.loss_per_gain, hold=hold)
        assert found.cost_usd_year <= p.capital_cost * p.members * bond_usd + loss + 1e-6


def test_no_bond_is_cheapest_where_abuse_is_rare_or_unnamed_rsk_21() -> None:
    """RSK-21."""
    assert optimum(PROTOTYPE, with_(malicious_per_year=1e-6)).bond_usd == 0
    assert optimum(PLAIN, with_(malicious_per_year=5.0, attribution=0.0)).bond_usd == 0
    assert optimum(PLAIN, with_(malicious_per_year=5.0)).bond_usd > 0


# --- what moves it ---------------------------------------------------------------------------------------------------


def test_sensitivities_are_the_bonds_at_both_ends_widest_first_rsk_16() -> None:
    """RSK-16."""
    found = sensitivities(PROTOTYPE, INPUTS)
    assert [each.widest for each in found] == sorted((each.widest for each in found), reverse=True)
    by_name = {each.name: each for each in found}
    attribution = by_name["attribution"]
    assert attribution.member_usd == (pytest.approx(5 * member_bond()), pytest.approx(member_bond() / 2))
    assert "noticed" in by_name
    assert by_name["plaintext_bps"].low == 19.0


def test_assumptions_of_a_bond_hold_whatever_moves_it_rsk_16() -> None:
    """RSK-16. Moving what is not listed changes neither bond."""
    listed = {each.name for each in used(INPUTS)}
    base = required(PROTOTYPE, DEFAULTS)
    for each in INPUTS.assumptions():
        if each.name in listed or each.name in ("members", "threshold", "sequencers", "rollups"):
            continue
        moved = 1.05 * each.value if each.value else 0.1
        if isinstance(getattr(DEFAULTS, each.name), int):
            continue
        assert required(PROTOTYPE, with_(**{each.name: moved})) == base, each.name
