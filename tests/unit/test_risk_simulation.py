"""Drawn years: against closed forms, against each other, and whatever the number of processes."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, exp, sqrt

import numpy as np
import pytest

from encmempool.risk import results
from encmempool.risk.assumptions import Inputs, Parameters
from encmempool.risk.bond import required
from encmempool.risk.designs import ALL, PROTOTYPE, Design, select
from encmempool.risk.failures import Failure, collusion, mean_minutes
from encmempool.risk.incidents import reported
from encmempool.risk.simulation import (
    COMPONENTS,
    Figures,
    Scenario,
    ceilings_of,
    draw,
    expected_shortfall,
    figures,
    run_chunk,
    value_at_risk,
    waterfall,
)

YEARS = 200_000
SEED = 7
DEFAULTS = Inputs.of().parameters
QUIET = dict.fromkeys(("pauses_per_year", "withheld_per_year", "delays_per_year", "malicious_per_year"), 0.0)


def design(name: str) -> Design:
    return select(name)[0]


def play(*scenarios: Scenario, years: int = YEARS, seed: int = SEED) -> list[Figures]:
    """Of the same years."""
    tallies = run_chunk(scenarios, ceilings_of(scenarios), seed, 0, years)
    return [figures(scenario, [tally]) for scenario, tally in zip(scenarios, tallies, strict=True)]


def scenario(name: str = "centralised", parameters: Parameters = DEFAULTS, **changes: float) -> Scenario:
    return results.scenario(design(name), replace(parameters, **changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def compared() -> dict[str, Figures]:
    return dict(zip((each.name for each in ALL), play(*map(scenario, (each.name for each in ALL))), strict=True))


# --- anchors ---------------------------------------------------------------------------------------------------------


def test_years_without_a_stop_are_those_of_a_poisson_process(compared) -> None:
    expected = exp(-reported().stops.per_year)
    assert compared["centralised"].quiet_years == pytest.approx(expected, abs=4 * sqrt(0.25 / YEARS))


def test_minutes_without_execution_are_the_research_notes(compared) -> None:
    """101 in the mean, 478 and 956 in the worst years of twenty and of a hundred."""
    found = compared["centralised"]
    assert found.stopped_minutes == pytest.approx(101, rel=0.02)
    assert found.stopped_minutes_95 == pytest.approx(478, rel=0.02)
    assert found.stopped_minutes_99 == pytest.approx(956, rel=0.03)


def test_bad_debt_of_one_frozen_loan_is_its_put() -> None:
    """A book of one loan, stops of one length, no crash and no feedback: rate times put, within the drawing's error."""
    one = scenario(
        **QUIET,
        halts_per_year=1.0,
        log_minutes=np.log(360),
        log_minutes_sigma=0.0,
        jump_probability=0.0,
        collateral_low=1.0999,
        collateral_high=1.1001,
        depth=1e12,
        pools_usd=0.0,
        failed_order_bps=0.0,
    )
    (found,) = play(one, years=1_000_000)
    expected = DEFAULTS.loans_usd * one.book().expected_bad_debt(360, 0.8)
    assert expected == pytest.approx(DEFAULTS.loans_usd * 1.372e-4, rel=2e-3)
    assert found.expected.low < expected < found.expected.high
    assert found.components["cascade"] == pytest.approx(0, abs=1e-3 * expected)


def test_abuse_is_rate_times_mean_gain_times_users_loss_rsk_12() -> None:
    """RSK-12."""
    p = replace(DEFAULTS, malicious_per_year=5.0, noticed=1.0, gain_sigma=0.5)
    (found,) = play(scenario(parameters=p), years=50_000)
    hours = p.reaction_hours * mean_minutes(p) / exp(p.log_minutes)
    expected = 5.0 * p.loss_per_gain * p.plaintext_bps / 10_000 * p.volume_usd_day * hours / 24
    assert found.components["ordering"] == pytest.approx(expected, rel=0.02)


def test_encryption_leaves_collusion_and_the_bound_rsk_12() -> None:
    """RSK-12."""
    p = replace(DEFAULTS, malicious_per_year=5.0, noticed=1.0, gain_sigma=0.5, corruption=0.5, collusion_common=0.5)
    plain, encrypted = play(scenario(parameters=p), scenario("centralised+encrypted", p), years=50_000)
    share = collusion(p) + (1 - collusion(p)) * p.encrypted_bps / p.plaintext_bps
    assert encrypted.components["ordering"] / plain.components["ordering"] == pytest.approx(share, rel=0.02)


# --- designs ---------------------------------------------------------------------------------------------------------


def test_designs_meet_the_same_failures_rsk_13(compared) -> None:
    """RSK-13. Forced inclusion changes nothing but stops beyond its window, so all else is equal to the bit."""
    for each in ALL:
        if not each.forced:
            forced = compared[f"{each.name}+forced"]
            assert forced.quiet_years == compared[each.name].quiet_years
            assert forced.components["ordering"] == compared[each.name].components["ordering"]
            assert forced.stopped_minutes <= compared[each.name].stopped_minutes


def test_figures_are_the_same_for_the_same_seed_and_no_other_rsk_13() -> None:
    """RSK-13."""
    first, second = play(scenario(), years=5_000), play(scenario(), years=5_000)
    assert first == second
    assert play(scenario(), years=5_000, seed=8) != first


def test_failures_of_one_design_do_not_depend_on_its_company_rsk_13() -> None:
    """RSK-13. Thinning: which events there are follows from the highest rate, which of them count from one's own."""
    alone, high = scenario(), scenario(halts_per_year=2.0)
    ceilings = ceilings_of([alone, high])
    (first,) = run_chunk([alone], ceilings, SEED, 0, 2_000)
    assert np.array_equal(first.losses, run_chunk([high, alone], ceilings, SEED, 0, 2_000)[1].losses)


def test_more_of_a_failure_adds_events_and_moves_none_rsk_13() -> None:
    """RSK-13."""
    few, many = scenario(**QUIET, halts_per_year=0.5), scenario(**QUIET, halts_per_year=1.0)
    tallies = run_chunk([few, many], ceilings_of([few, many]), SEED, 0, 5_000)
    assert (tallies[1].stopped_minutes >= tallies[0].stopped_minutes).all()


def test_rotating_set_cuts_what_has_no_shared_cause_rsk_18() -> None:
    """RSK-18."""
    p = replace(DEFAULTS, **QUIET)  # type: ignore[arg-type]
    whole, one, none = play(
        scenario(parameters=p), scenario("rotating", p, shared_cause=1.0), scenario("rotating", p, shared_cause=0.0)
    )
    assert one.stopped_minutes == whole.stopped_minutes
    assert none.stopped_minutes <= p.failover_minutes * p.halts_per_year * 1.02


def test_rotating_set_splits_abuse_and_does_not_end_it_rsk_18(compared) -> None:
    """RSK-18."""
    own, rotating = compared["centralised"], compared["rotating"]
    assert rotating.components["ordering"] == pytest.approx(own.components["ordering"], rel=0.25)
    p = replace(DEFAULTS, malicious_per_year=0.02)
    rates = [scenario(name, p).rates()[Failure.MALICIOUS] for name in ("centralised", "rotating")]
    assert rates == [0.02, pytest.approx(0.08)]


def test_forced_inclusion_ends_a_stop_at_its_window_rsk_18() -> None:
    """RSK-18."""
    p = replace(DEFAULTS, forced_hours=1.0, **QUIET)  # type: ignore[arg-type]
    tally, _ = (
        run_chunk([each], ceilings_of([each]), SEED, 0, 20_000)[0]
        for each in (scenario("centralised+forced", p), scenario(parameters=p))
    )
    once = tally.stopped_minutes[tally.stopped_minutes > 0].min()
    assert once <= 60
    counts = np.rint(tally.stopped_minutes / 60)
    assert (tally.stopped_minutes <= 60 * np.maximum(counts, 1) + 60).all()
    assert tally.stopped_minutes.mean() < 60 * p.halts_per_year * 1.05


def test_committee_adds_stalls(compared) -> None:
    added = compared["centralised+encrypted"].stopped_minutes - compared["centralised"].stopped_minutes
    common = DEFAULTS.common_cause * DEFAULTS.member_outages_per_year
    assert added == pytest.approx(common * mean_minutes(DEFAULTS), rel=0.05)


def test_shared_sequencer_spreads_failure_and_depth_rsk_17(compared) -> None:
    """RSK-17."""
    own, shared = compared["centralised"], compared["shared"]
    k = DEFAULTS.rollups
    assert scenario("shared").book().depth == DEFAULTS.depth / k
    assert shared.components["bad_debt"] == own.components["bad_debt"]
    assert shared.components["cascade"] > own.components["cascade"]
    assert shared.together_es_99 == pytest.approx(k * shared.shortfall_99.mean, rel=1e-9)
    deep = {**QUIET, "depth": 1e12}
    lone, spread = play(scenario(**deep), scenario("shared", **deep))
    assert spread.expected.mean == pytest.approx(lone.expected.mean, rel=1e-6)
    assert spread.together_es_99 > 1.5 * lone.together_es_99


def test_components_add_up_to_the_expected_loss_rsk_10(compared) -> None:
    """RSK-10."""
    for found in compared.values():
        assert sum(found.components[name] for name in COMPONENTS) == pytest.approx(found.expected.mean, rel=1e-9)


# --- tails -----------------------------------------------------------------------------------------------------------


def test_value_at_risk_and_shortfall_are_ranks_and_means_rsk_14() -> None:
    """RSK-14."""
    ordered = np.arange(1.0, 1_001.0)
    assert value_at_risk(ordered, 0.95).mean == 950
    assert expected_shortfall(ordered, 0.95).mean == np.arange(951, 1_001).mean()
    assert value_at_risk(ordered, 0.99).mean == ordered[ceil(990) - 1]


def test_interval_of_a_quantile_and_of_a_shortfall_cover_the_truth_rsk_14() -> None:
    """RSK-14. Exponential years: VaR = -ln(1-a), ES = VaR + 1."""
    random, truth = np.random.default_rng(5), -np.log(0.01)
    hits = np.zeros(2)
    for _ in range(300):
        ordered = np.sort(random.standard_exponential(20_000))
        quantile, shortfall = value_at_risk(ordered, 0.99), expected_shortfall(ordered, 0.99)
        hits += [quantile.low <= truth <= quantile.high, shortfall.low <= truth + 1 <= shortfall.high]
    assert (hits / 300 > 0.91).all()


def test_shortfall_is_refused_where_no_year_lies_beyond_rsk_14() -> None:
    """RSK-14."""
    with pytest.raises(ValueError, match="no year of 10"):
        expected_shortfall(np.arange(10.0), 0.99)


def test_waterfall_pays_bonds_then_insurance_then_users_rsk_15() -> None:
    """RSK-15."""
    loss, pinned = np.array([10.0, 30.0, 30.0, 0.0]), np.array([10.0, 25.0, 0.0, 0.0])
    paid, insured, borne = waterfall(loss, pinned, bonds_usd=12.0, insurance_usd=5.0)
    assert paid.tolist() == [10, 12, 0, 0]
    assert insured.tolist() == [0, 5, 5, 0]
    assert borne.tolist() == [0, 13, 25, 0]


def test_bond_is_exhausted_as_often_as_pinned_loss_exceeds_it_rsk_15() -> None:
    """RSK-15."""
    p = replace(DEFAULTS, malicious_per_year=1.0, noticed=1.0, attribution=1.0)
    base = scenario(parameters=p)
    kept = [replace(base, slashable_usd=amount) for amount in (0.0, 1e5, 1e6, 1e12)]
    found = [each.bond_exhausted for each in play(*kept, years=20_000)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(1 - exp(-1), abs=0.015)
    assert found[-1] == 0


def test_bonds_that_pay_are_those_of_whoever_can_read_rsk_15() -> None:
    """RSK-15. The sequencer's own, or those of t members; of a shared sequencer each rollup's part."""
    readable, encrypted, shared = map(scenario, ("centralised", "centralised+encrypted", "shared+encrypted"))
    member = required(design("centralised+encrypted"), DEFAULTS).member
    assert readable.slashable_usd == required(design("centralised"), DEFAULTS).sequencer.usd
    assert member is not None
    assert encrypted.slashable_usd == DEFAULTS.threshold * member.usd
    assert shared.slashable_usd == pytest.approx(encrypted.slashable_usd)
    assert scenario("centralised+encrypted", attribution=0.0).slashable_usd == 0


def test_loss_from_order_is_all_paid_by_somebody_rsk_15(compared) -> None:
    """RSK-15."""
    for found in compared.values():
        paid = found.bond_paid + found.insurance_paid + found.uninsured
        assert paid == pytest.approx(found.components["ordering"], rel=1e-9, abs=1e-9)


# --- runs ------------------------------------------------------------------------------------------------------------


def run(workers: int = 1, years: int = 3_500, designs: str = PROTOTYPE.name) -> results.Run:
    from encmempool.risk.assumptions import REPLAYED

    return results.run(
        Inputs.of(), reported(), REPLAYED, select(designs), years=years, seed=3, command="", workers=workers
    )


def test_run_is_the_same_on_any_number_of_processes_rsk_13(monkeypatch) -> None:
    """RSK-13."""
    monkeypatch.setattr(results, "CHUNK_YEARS", 1_000)
    one, two = run(), run(workers=2)
    assert one.designs == two.designs
    assert one.designs[0].figures.expected.mean > 0


def test_run_moves_every_assumption_on_the_same_years_rsk_16() -> None:
    """RSK-16."""
    made = run(years=20_000)
    found = made.designs[0]
    names = [swing.name for swing in found.swings]
    assert {"halts_per_year", "jump_probability", "depth", "common_cause", "volatility"} <= set(names)
    assert not {"margin", "capital_cost", "shared_cause"} & set(names)
    assert [swing.width for swing in found.swings] == sorted((s.width for s in found.swings), reverse=True)
    by_name = {swing.name: swing for swing in found.swings}
    assert by_name["halts_per_year"].expected[0] < 0 < by_name["halts_per_year"].expected[1]
    assert by_name["depth"].expected[0] > 0 > by_name["depth"].expected[1]
    frozen = found.figures.components
    halved = by_name["jump_probability"].expected[0]
    assert -frozen["bad_debt"] - frozen["cascade"] - frozen["arbitrage"] < halved < 0
    listed = {each.name: each for each in made.assumptions}
    assert all(each.source for each in made.assumptions)
    assert (listed["jump_probability"].low, listed["jump_probability"].high) == (0, 0.2)


def test_encryption_pays_from_the_stated_rate_on() -> None:
    """At the break-even rate both twins cost the same: the loss from order is in proportion to the rate."""
    from encmempool.risk.assumptions import REPLAYED

    def made(**changes: float) -> results.Run:
        inputs = Inputs.of(**changes)
        return results.run(inputs, reported(), REPLAYED, ALL[:4], years=10_000, seed=3, command="")

    even = made(malicious_per_year=0.5).break_even[0]
    assert (even.readable, even.encrypted) == ("centralised", "centralised+encrypted")
    assert even.malicious_per_year is not None
    for factor, encrypted_is_dearer in ((0.5, True), (2.0, False)):
        rate = factor * even.malicious_per_year
        costs = {each.name: each.cost_usd_year for each in made(malicious_per_year=rate).designs}
        assert (costs["centralised+encrypted"] > costs["centralised"]) is encrypted_is_dearer, rate


@pytest.mark.parametrize("years", [999, 20_000_001])
def test_run_of_too_few_or_too_many_years_is_refused(years: int) -> None:
    with pytest.raises(ValueError, match="1,000 to 20,000,000 years"):
        run(years=years)


def test_events_are_a_poisson_process() -> None:
    events = draw(Failure.HALT, per_year=0.5, years=40_000, seed=1, chunk=0)
    counts = np.bincount(events.year, minlength=40_000)
    assert counts.mean() == pytest.approx(0.5, abs=0.02)
    assert counts.var() == pytest.approx(0.5, abs=0.03)


def test_chunks_and_failures_are_drawn_apart_rsk_13() -> None:
    """RSK-13. Else more years would repeat the same ones."""
    first = draw(Failure.HALT, per_year=0.5, years=1_000, seed=1, chunk=0)
    for other in (
        draw(Failure.HALT, per_year=0.5, years=1_000, seed=1, chunk=1),
        draw(Failure.PAUSE, per_year=0.5, years=1_000, seed=1, chunk=0),
        draw(Failure.HALT, per_year=0.5, years=1_000, seed=2, chunk=0),
    ):
        assert not np.array_equal(first.normal[:, :100], other.normal[:, :100])


# --- assumptions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "needle"),
    [
        ({"halts_per_year": -0.1}, "halts_per_year must be at least 0, not -0.1"),
        ({"depth": 0.0}, "depth must be above 0, not 0"),
        ({"jump_probability": 1.5}, "jump_probability must be at least 0 and at most 1, not 1.5"),
        ({"volatility": float("nan")}, "volatility must be at least 0, not nan"),
        ({"threshold": 8}, "threshold lies between 1 and the 7 members, not 8"),
        ({"collateral_high": 1.0}, "collateral_high must exceed"),
        ({"attribution": -1.0}, "attribution"),
    ],
)
def test_assumption_out_of_range_is_refused(changes: dict[str, float], needle: str) -> None:
    with pytest.raises(ValueError, match=needle):
        Inputs.of(**changes)


def test_assumption_that_is_given_has_no_interval_and_says_so() -> None:
    inputs = Inputs.of(jump_probability=0.02)
    listed = {each.name: each for each in inputs.assumptions()}
    assert (listed["jump_probability"].source, listed["jump_probability"].low) == ("given", None)
    assert listed["halts_per_year"].low == pytest.approx(0.269, abs=1e-3)
