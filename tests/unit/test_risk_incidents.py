"""Incidents: the public list, a user's list, and what is fitted to them."""

from __future__ import annotations

import csv
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from encmempool.errors import Malformed
from encmempool.risk.incidents import (
    LEAST_MINUTES,
    REPORTED,
    REPORTED_CHAIN_YEARS,
    Kind,
    calibrate,
    fit_durations,
    poisson_rate,
    read_csv,
    reported,
    share,
)

HEADER = "date,chain,kind,minutes\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "ours.csv"
    file.write_text(text)
    return file


# --- the public list -------------------------------------------------------------------------------------------------


def test_reported_incidents_are_those_of_the_file_they_were_taken_from(data: Path) -> None:
    with (data / "l2-outages" / "outages.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(REPORTED)
    for row, incident in zip(rows, REPORTED, strict=True):
        assert (row["date"], row["chain"]) == (f"{incident.started:%Y-%m-%d}", incident.chain)
        assert float(row["used_in_fit"] or row["minutes_low"]) == incident.minutes
        counted = incident.kind in (Kind.HALT, Kind.PAUSE) and incident.minutes >= LEAST_MINUTES
        assert bool(row["used_in_fit"]) is counted


def test_reported_calibration_is_the_research_notes_rsk_1_rsk_3_rsk_4() -> None:
    """RSK-1, RSK-3, RSK-4."""
    found = reported()
    assert (found.stops.events, found.chain_years) == (13, REPORTED_CHAIN_YEARS)
    assert [round(each, 2) for each in (found.stops.per_year, found.stops.low, found.stops.high)] == [0.56, 0.30, 0.96]
    fit = found.durations
    assert (round(fit.mu, 3), round(fit.sigma, 3), fit.count) == (4.757, 0.929, 13)
    assert round(fit.ks_p, 2) == 0.90
    assert found.stops.per_year * fit.mean_minutes == pytest.approx(101, abs=0.5)
    assert exp(-found.stops.per_year) == pytest.approx(0.57, abs=0.005)


def test_quoted_p_value_is_too_kind_and_the_fit_holds_all_the_same_rsk_4() -> None:
    """RSK-4. The notes quote p = .90, as if mu and sigma had been known; fitted, the same distance has .59."""
    fit = reported().durations
    assert fit.lilliefors_p == pytest.approx(0.59, abs=0.02)
    assert fit.lilliefors_p < fit.ks_p


def test_quoted_p_value_is_scipys() -> None:
    minutes = [each.minutes for each in REPORTED if each.kind in (Kind.HALT, Kind.PAUSE) and each.minutes >= 30]
    fit = fit_durations(minutes)
    assert fit.ks_p == pytest.approx(stats.kstest(np.log(minutes), "norm", args=(fit.mu, fit.sigma)).pvalue)


def test_p_value_of_fitted_parameters_is_uniform_where_the_law_is_lognormal() -> None:
    random = np.random.default_rng(3)
    found = [fit_durations(np.exp(4 + 0.9 * random.standard_normal(13)).tolist()).lilliefors_p for _ in range(150)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_p_value_rejects_what_is_not_lognormal() -> None:
    assert fit_durations([40.0, 41, 42, 43, 44, 45, 46, 47, 48, 5_000]).lilliefors_p < 0.001


def test_halts_and_pauses_are_counted_once_rsk_5() -> None:
    """RSK-5."""
    found = reported()
    assert found.rates[Kind.HALT].events + found.rates[Kind.PAUSE].events == found.stops.events == 13
    counted = sum(rate.events for rate in found.rates.values())
    assert counted == sum(each.minutes >= LEAST_MINUTES for each in REPORTED)


def test_cause_is_shared_in_seven_of_the_ten_stops_that_tell() -> None:
    found = reported().shared
    assert (found.events, found.of) == (7, 10)
    assert found.low < 0.5 < found.share < found.high


# --- rates and fits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("events", "years"), [(0, 23.05), (1, 23.05), (13, 23.05), (400, 7.0)])
def test_interval_of_a_rate_leaves_half_of_the_error_on_each_side_rsk_3(events: int, years: float) -> None:
    """RSK-3."""
    found = poisson_rate(events, years)
    assert stats.poisson.cdf(events, found.high * years) == pytest.approx(0.025)
    if events:
        assert stats.poisson.sf(events - 1, found.low * years) == pytest.approx(0.025)
        assert found.per_year == events / years
    else:
        assert (found.low, found.per_year) == (0, 0.5 / years)


def test_interval_of_a_rate_covers_at_least_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(1).poisson(2.5, size=4_000)
    spans = {int(k): poisson_rate(int(k), 1.0) for k in np.unique(drawn)}
    assert np.mean([spans[int(k)].low <= 2.5 <= spans[int(k)].high for k in drawn]) >= 0.95


@pytest.mark.parametrize(("events", "years"), [(-1, 5.0), (3, 0.0), (3, -2.0), (3, float("inf"))])
def test_rate_is_refused_without_time_to_count_in(events: int, years: float) -> None:
    with pytest.raises(ValueError, match="positive time"):
        poisson_rate(events, years)


def test_share_of_none_may_be_anything() -> None:
    assert (share(0, 0).low, share(0, 0).share, share(0, 0).high) == (0.0, 0.5, 1.0)


def test_durations_recover_what_they_were_drawn_from() -> None:
    minutes = np.exp(4.7 + 0.9 * np.random.default_rng(2).standard_normal(4_000)).tolist()
    found = fit_durations(minutes)
    assert found.mu_low < 4.7 < found.mu_high
    assert found.sigma_low < 0.9 < found.sigma_high
    assert found.mean_minutes == pytest.approx(exp(4.7 + 0.405), rel=0.05)


@pytest.mark.parametrize(("minutes", "needle"), [([50.0, 60.0], "at least 3"), ([50.0] * 4, "all durations are equal")])
def test_durations_are_refused_where_there_is_no_spread_rsk_4(minutes: list[float], needle: str) -> None:
    """RSK-4."""
    with pytest.raises(ValueError, match=needle):
        fit_durations(minutes)


# --- a user's list ---------------------------------------------------------------------------------------------------


def test_csv_is_read_with_times_offsets_and_causes(tmp_path: Path) -> None:
    text = (
        "\ufeffdate, chain, kind, minutes, shared, note\n2025-01-02, x, halt, 45, yes, any\n"
        "2025-01-02T01:00+02:00,y,pause,60,no,\n2025-03-01T10:00,x,delay,90,,\n"
    )
    first, second, third = read_csv(written(tmp_path, text))
    assert (first.kind, first.shared, first.minutes) == (Kind.HALT, True, 45)
    assert f"{second.started:%Y-%m-%d %H:%M}" == "2025-01-01 23:00"
    assert (second.shared, third.shared) == (False, None)


@pytest.mark.parametrize(
    ("text", "needles"),
    [
        ("", ["row 1", "no column 'date'"]),
        ("date,chain,minutes\n", ["row 1", "no column 'kind'"]),
        (HEADER, ["holds no incident"]),
        (HEADER + "2025-02-30,x,halt,45\n", ["row 2", "date '2025-02-30'"]),
        (HEADER + "2025-01-01,x,halt,45\nlater,x,halt,45\n", ["row 3", "date 'later'"]),
        (HEADER + "2025-01-01,,halt,45\n", ["row 2", "chain is empty"]),
        (HEADER + "2025-01-01,x,nap,45\n", ["row 2", "kind 'nap'", "halt, pause, withheld, delay, malicious"]),
        (HEADER + "2025-01-01,x,halt,-45\n", ["row 2", "minutes '-45'"]),
        (HEADER + "2025-01-01,x,halt,nan\n", ["row 2", "minutes 'nan'"]),
        (HEADER + "2025-01-01,x,halt\n", ["row 2", "minutes ''"]),
        (HEADER + "2025-01-01,x,halt,1e9\n", ["row 2", "minutes '1e9'", "a year's"]),
        ("date,chain,kind,minutes,shared\n2025-01-01,x,halt,45,maybe\n", ["row 2", "shared 'maybe'"]),
        (HEADER + "2025-01-01,x,halt,45\n2025-01-01,x,delay,45\n", ["row 3", "date", "overlaps row 2", "00:45"]),
        (HEADER + "2025-01-02T00:10,x,halt,45\n2025-01-01T23:50,x,halt,21\n", ["row 2", "overlaps row 3"]),
    ],
)
def test_csv_is_refused_naming_row_and_field_rsk_2(text: str, needles: list[str], tmp_path: Path) -> None:
    """RSK-2."""
    with pytest.raises(Malformed) as caught:
        read_csv(written(tmp_path, text))
    for needle in needles:
        assert needle in str(caught.value)


def test_csv_takes_two_chains_that_stop_together_and_one_that_stops_again(tmp_path: Path) -> None:
    text = HEADER + "2025-01-01T10:00,x,halt,45\n2025-01-01T10:00,y,halt,45\n2025-01-01T10:45,x,halt,45\n"
    assert len(read_csv(written(tmp_path, text))) == 3


def test_csv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ours.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Malformed, match="not text"):
        read_csv(tmp_path / "ours.csv")


def test_short_stops_do_not_count_rsk_1(tmp_path: Path) -> None:
    """RSK-1."""
    text = HEADER + "".join(f"2025-01-0{day},x,halt,{minutes}\n" for day, minutes in enumerate((29, 30, 60, 90), 1))
    found = calibrate(read_csv(written(tmp_path, text)), 2.0, "ours")
    assert found.rates[Kind.HALT].events == found.durations.count == 3
    assert found.durations.mu == pytest.approx((log(30) + log(60) + log(90)) / 3)
