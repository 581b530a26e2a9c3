"""Stalls and collusion against exact binomials and a simulated committee."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from encmempool.risk.assumptions import MINUTES_YEAR, Inputs
from encmempool.risk.failures import (
    binomial_at_least,
    collusion,
    collusion_probability,
    committee_stalls,
    mean_minutes,
    stalls,
)


@pytest.mark.parametrize(
    ("members", "threshold", "expected"),
    [
        (7, 5, (1.8e-4, 4.7e-3, 4.3e-2)),
        (20, 14, (2e-10, 1.9e-6, 7.8e-4)),
        (100, 67, (1e-42, 3e-24, 4e-12)),
    ],
)
def test_collusion_of_independent_members_is_the_research_notes_rsk_7(members, threshold, expected) -> None:
    """RSK-7."""
    for chance, figure in zip((0.1, 0.2, 0.33), expected, strict=True):
        found = collusion_probability(members, threshold, chance, 0.0)
        assert found == pytest.approx(figure, rel=0.1)


def test_binomial_tail_is_exact() -> None:
    for least in range(-1, 9):
        exact = sum(comb(7, k) * Fraction(1, 3) ** k * Fraction(2, 3) ** (7 - k) for k in range(max(least, 0), 8))
        assert binomial_at_least(7, 1 / 3, least) == pytest.approx(float(exact), rel=1e-12)


def test_common_fate_sets_a_floor_that_no_committee_size_lowers() -> None:
    alone, common = (collusion_probability(100, 67, 0.1, each) for each in (0.0, 0.05))
    assert alone < 1e-40
    assert common == pytest.approx(0.005)


@pytest.mark.parametrize(("members", "threshold"), [(4, 5), (4, 0), (4, -1)])
def test_threshold_outside_the_committee_is_refused_rsk_6_rsk_7(members, threshold) -> None:
    """RSK-6, RSK-7."""
    with pytest.raises(ValueError, match=f"the {members} members, not {threshold}"):
        collusion_probability(members, threshold, 0.1, 0)
    with pytest.raises(ValueError, match=f"the {members} members, not {threshold}"):
        committee_stalls(members, threshold, outages_per_year=1, mean_minutes=100, common_cause=0)


def test_stalls_of_a_single_member_are_its_outages_rsk_6() -> None:
    """RSK-6."""
    found = committee_stalls(1, 1, outages_per_year=2.0, mean_minutes=300, common_cause=0.25)
    down = 1.5 * 300 / MINUTES_YEAR
    assert found.common_per_year == 0.5
    assert found.quorum_per_year == pytest.approx(1.5 / (1 + down))
    assert found.quorum_minutes == pytest.approx(300)
    assert found.quorum_unavailability == pytest.approx(down / (1 + down))


def test_stalls_are_those_of_a_simulated_committee_rsk_6() -> None:
    """RSK-6. Members up for exponential times, down for lognormal ones, each on its own: time and number of stalls."""
    seed, years, members, threshold, outages, minutes = 11, 15_000, 5, 4, 20.0, 3_000.0
    random = np.random.default_rng(seed)
    changes = []
    for _ in range(members):
        count = int(years * outages * 1.2)
        up = random.exponential(MINUTES_YEAR / outages, count)
        down = random.lognormal(np.log(minutes) - 0.9**2 / 2, 0.9, count)
        ends = np.cumsum(np.stack([up, down], axis=1).ravel())
        changes += [(ends[0::2], -1), (ends[1::2], 1)]
    times = np.concatenate([at for at, _ in changes])
    steps = np.concatenate([np.full(len(at), step) for at, step in changes])
    order = np.argsort(times)
    times, state = times[order], members + np.cumsum(steps[order])
    within = times < years * MINUTES_YEAR * 0.9
    times, state = times[within], state[within]
    stalled = state < threshold
    begun = np.count_nonzero(stalled[1:] & ~stalled[:-1])
    lasted = np.diff(times)[stalled[:-1]].sum()
    found = committee_stalls(members, threshold, outages_per_year=outages, mean_minutes=minutes, common_cause=0)
    span_years = times[-1] / MINUTES_YEAR
    assert begun / span_years == pytest.approx(found.quorum_per_year, rel=0.03), seed
    assert lasted / times[-1] == pytest.approx(found.quorum_unavailability, rel=0.05), seed
    assert lasted / begun == pytest.approx(found.quorum_minutes, rel=0.05), seed


def test_unavailability_is_the_binomial_stall_probability_rsk_6() -> None:
    """RSK-6."""
    up = 1 / (1 + 6 * 180 / MINUTES_YEAR)
    found = committee_stalls(7, 5, outages_per_year=6, mean_minutes=180, common_cause=0)
    assert found.quorum_unavailability == pytest.approx(1 - binomial_at_least(7, up, 5), rel=1e-4)


def test_default_committee_stalls_for_common_causes_alone() -> None:
    p = Inputs.of().parameters
    found = stalls(p)
    assert found.quorum_per_year < 1e-5 < found.common_per_year
    assert mean_minutes(p) == pytest.approx(179.26, abs=0.01)
    assert collusion(p) == pytest.approx(0.005 + 0.95 * 1.765e-4, rel=1e-6)
