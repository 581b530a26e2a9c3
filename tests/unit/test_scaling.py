"""Fitted powers: exact data, a regression worked out elsewhere, and how often the interval holds the truth."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from scipy import stats

from encmempool.bench.records import Setting
from encmempool.bench.scaling import STEPS, Sweep, fit, measure

SIZES = (8, 16, 32, 64, 128)


def test_exact_power_is_found_exactly() -> None:
    found = fit([(size, 3e-6 * size**1.5) for size in SIZES])
    assert (found.exponent, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))
    assert (found.coefficient, found.deviation) == pytest.approx((3e-6, 1.0))
    assert found.at(100) == pytest.approx(3e-3)


@pytest.mark.parametrize("count", [*range(3, 19), 60])
def test_fit_is_the_regression_of_scipy(count: int) -> None:
    random = Random(count)
    points = [(2**at, 1e-3 * 2**at * random.lognormvariate(0, 0.3)) for at in range(1, count + 1)]
    xs, ys = np.log(np.array(points)).T
    theirs = stats.linregress(xs, ys)
    margin = theirs.stderr * stats.t.ppf(0.975, count - 2)
    mine = fit(points)
    assert mine.exponent == pytest.approx(theirs.slope)
    assert mine.coefficient == pytest.approx(np.exp(theirs.intercept))
    # Beyond the table of quantiles the normal's is taken, which is 9 % less at worst.
    assert mine.high - mine.exponent == pytest.approx(margin, rel=1e-3 if count <= 17 else 0.09)
    assert mine.deviation == pytest.approx(np.exp(np.abs(ys - theirs.intercept - theirs.slope * xs).max()))


def test_interval_holds_the_exponent_nineteen_times_in_twenty() -> None:
    random, trials, held = Random(1), 1_000, 0
    for _ in range(trials):
        found = fit([(size, 1e-3 * size**1.2 * random.lognormvariate(0, 0.1)) for size in SIZES])
        held += found.low <= 1.2 <= found.high
    assert 0.93 <= held / trials <= 0.97


def test_curve_that_is_no_line_widens_the_interval() -> None:
    found = fit([(size, 1 + 0.1 * size) for size in SIZES])
    assert found.high - found.low > 0.2
    assert found.deviation > 1.05


@pytest.mark.parametrize("points", [[], [(1, 1.0), (2, 2.0)], [(1, 1.0)] * 3])
def test_fewer_than_three_sizes_are_refused(points) -> None:
    with pytest.raises(ValueError, match="at least 3 different sizes"):
        fit(points)
    with pytest.raises(ValueError, match="over B needs at least 3 different sizes"):
        Sweep(over="B", sizes=tuple(size for size, _ in points), batch=1, members=1)


@pytest.mark.parametrize("over", ["B", "n", "payload_bytes"])
def test_sweep_changes_one_variable(over) -> None:
    sweep = Sweep(over=over, sizes=(3, 1, 2, 2), batch=2, members=2)
    kept = []
    laws = measure(sweep, ["clear"], Setting.of("arkworks", 1), keep=kept.append)
    assert [law.step for law in laws] == list(STEPS[over])
    assert kept == [record for law in laws for record in law.records]
    for law in laws:
        assert [size for size, _ in law.points] == [1, 2, 3]
        assert len({tuple({**record.params, over: 0, "t": 0}.items()) for record in law.records}) == 1
        assert law.name == f"clear::{law.step}"


def test_step_that_does_nothing_has_no_power() -> None:
    sweep = Sweep(over="B", sizes=(1, 2, 3), batch=1, members=1)
    powers = {law.step: law.power for law in measure(sweep, ["tdh2"], Setting.of("arkworks", 1))}
    assert powers["precompute"] is None
    assert powers["verify"] is not None
