"""Bootstrap against scipy on the same resamples, its coverage on heavy tails, and the tests over families."""

from math import inf
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from encmempool.measure import statistics
from encmempool.measure.attacker import arrange, greedy_sandwich
from encmempool.measure.figures import measure
from encmempool.measure.market import Market, play
from encmempool.measure.statistics import (
    Bootstrap,
    Floats,
    advantage,
    bonferroni_level,
    difference,
    equivalence,
    holm,
    ratio,
)


def heavy_tailed(blocks: int, seed: int, *, sigma: float = 1.75) -> Floats:
    """(profit, volume) of blocks: a sixth without profit, a hundredth with a quarter of it all, as the research found.

    The true ratio of means is `true_ratio`.
    """
    random = np.random.default_rng(seed)
    size, noise = random.normal(size=(2, blocks))
    profit = np.exp(sigma * size) * (random.random(blocks) >= 1 / 6)
    return np.stack([profit, np.exp(0.42 * size + 0.43 * noise)], axis=1)


def true_ratio(sigma: float = 1.75) -> float:
    return float(5 / 6 * np.exp(sigma**2 / 2) / np.exp((0.42**2 + 0.43**2) / 2))


@pytest.mark.parametrize(("blocks", "seed"), [(12, 1), (40, 2), (300, 3)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_interval_equals_scipy_on_the_same_resamples(blocks: int, seed: int, level: float) -> None:
    data = heavy_tailed(blocks, seed)
    bootstrap = Bootstrap(blocks, seed=seed)
    mine = bootstrap.interval(ratio(0, 1), data, level)
    theirs = stats.bootstrap(
        (data[:, 0], data[:, 1]),
        lambda profit, volume, axis: profit.sum(axis=axis) / volume.sum(axis=axis),
        paired=True,
        method="BCa",
        confidence_level=level,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=ratio(0, 1)(bootstrap.resample(data).sums)),
    ).confidence_interval
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert bootstrap.upper_bound(ratio(0, 1), data, (1 + level) / 2) == mine.high


def test_interval_equals_scipy_on_resamples_of_its_own() -> None:
    data = heavy_tailed(50, 9, sigma=0.5)
    mine = Bootstrap(50, seed=1, resamples=20_000).interval(ratio(0, 1), data)
    theirs = stats.bootstrap(
        (data[:, 0], data[:, 1]),
        lambda profit, volume, axis: profit.sum(axis=axis) / volume.sum(axis=axis),
        paired=True,
        method="BCa",
        n_resamples=20_000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), rel=0.01)


def test_resample_sums_are_of_blocks_drawn_with_replacement() -> None:
    sums = Bootstrap(50, seed=4).resample(np.stack([np.ones(50), np.arange(50.0)], axis=1)).sums
    assert np.all(sums[:, 0] == 50)
    assert sums[:, 1].mean() == pytest.approx(49 * 25, rel=0.01)
    assert sums[:, 1].std() == pytest.approx(np.sqrt(50 * (50**2 - 1) / 12), rel=0.05)


def test_resample_depends_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heavy_tailed(100, 5)
    first = Bootstrap(100, seed=6).resample(data).sums
    monkeypatch.setattr(statistics, "_BATCH", 7)
    assert np.allclose(Bootstrap(100, seed=6).resample(data).sums, first, rtol=1e-12, atol=0)
    assert not np.allclose(Bootstrap(100, seed=7).resample(data).sums, first)


def test_resample_pairs_the_arms() -> None:
    data = np.repeat(heavy_tailed(80, 8), 2, axis=1)[:, [0, 2, 1, 3]]
    data[:, 2] += 3 * data[:, 3]
    interval = Bootstrap(80, seed=1).interval(difference(ratio(2, 3), ratio(0, 1)), data)
    assert (interval.low, interval.high) == pytest.approx((3, 3), rel=1e-9)


@pytest.mark.parametrize("data", [np.zeros((30, 2)), np.ones((30, 1)) * [0.1, 0.3]])
def test_interval_of_blocks_all_alike_is_one_point(data: Floats) -> None:
    bootstrap = Bootstrap(30, seed=1)
    interval = bootstrap.interval(ratio(0, 1), data)
    assert interval.low == interval.mean == interval.high
    assert bootstrap.p_value(ratio(0, 1), data, interval.mean) == 1
    assert bootstrap.p_value(ratio(0, 1), data, interval.mean + 1) == 1 / 2001


def test_interval_of_one_block_is_infinite() -> None:
    bootstrap = Bootstrap(1, seed=1)
    data = np.array([[2.0, 4.0]])
    interval = bootstrap.interval(ratio(0, 1), data)
    assert (interval.mean, interval.low, interval.high) == (0.5, -inf, inf)
    assert bootstrap.upper_bound(ratio(0, 1), data) == inf
    assert bootstrap.p_value(ratio(0, 1), data) == 1


def test_interval_bears_a_single_outlier() -> None:
    data = np.ones((200, 2))
    data[0, 0] = 1e9
    interval = Bootstrap(200, seed=1).interval(ratio(0, 1), data)
    assert 1 <= interval.low < interval.mean < interval.high
    mirrored = Bootstrap(200, seed=1).interval(ratio(0, 1), data * [-1, 1])
    assert (-mirrored.high, -mirrored.low) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_quantile_beyond_the_correction_is_the_last_resample() -> None:
    resampled = np.arange(100.0)
    for sign in (1, -1):
        skewed = statistics._Distribution(mean=50, resampled=resampled, bias=3 * sign, acceleration=sign / 6)
        assert skewed.quantile(0.9999 if sign > 0 else 0.0001) == (99 if sign > 0 else 0)


def test_upper_bound_refuses_a_level_its_resamples_cannot_show() -> None:
    data = heavy_tailed(30, 1)
    level = bonferroni_level(0.975, 40)
    assert level == pytest.approx(1 - 0.025 / 40)
    with pytest.raises(ValueError, match="resamples"):
        Bootstrap(30, seed=1, resamples=1000).upper_bound(ratio(0, 1), data, level)
    Bootstrap(30, seed=1, resamples=2000).upper_bound(ratio(0, 1), data, level)


@pytest.mark.parametrize("shape", [(29, 2), (30,)])
def test_resample_refuses_data_of_other_blocks(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        Bootstrap(30, seed=1).resample(np.ones(shape))


def test_advantage_is_the_share_of_plaintext_extraction() -> None:
    sums = np.array([[30.0, 10.0, 90.0, 1.0], [10.0, 10.0, 10.0, 1.0]])
    arms = (ratio(0, 3), ratio(1, 3), ratio(2, 3))
    assert advantage(*arms)(sums) == pytest.approx([0.25, 0])


def test_ratio_of_no_volume_is_zero() -> None:
    assert list(ratio(0, 1, scale=10_000)(np.array([[1.0, 0.0], [1.0, 2.0]]))) == [0, 5000]


def test_p_value_is_where_the_interval_meets_the_null() -> None:
    data = heavy_tailed(60, 2)
    resampled = Bootstrap(60, seed=3).resample(data)
    interval = resampled.interval(ratio(0, 1), 0.9)
    assert resampled.p_value(ratio(0, 1), interval.low) == pytest.approx(0.1, abs=0.002)
    assert resampled.p_value(ratio(0, 1), interval.high) == pytest.approx(0.1, abs=0.002)
    assert resampled.p_value(ratio(0, 1), interval.mean) > 0.5


def test_p_value_of_equal_arms_is_uniform_and_of_unequal_arms_small() -> None:
    seed = 11
    random = np.random.default_rng(seed)
    bootstrap = Bootstrap(60, seed=seed, resamples=500)
    same, other = [], []
    for _ in range(300):
        volume = random.exponential(size=60) + 1
        first, second = (volume * random.normal(1, 1, size=60) for _ in range(2))
        data = np.stack([first, second, volume], axis=1)
        same.append(bootstrap.p_value(difference(ratio(0, 2), ratio(1, 2)), data))
        data[:, 0] += 1.5 * volume
        other.append(bootstrap.p_value(difference(ratio(0, 2), ratio(1, 2)), data))
    assert 0.02 < np.mean(np.array(same) <= 0.05) < 0.09, f"seed {seed}"
    assert max(other) < 0.05, f"seed {seed}"


def misses(samples: list[Floats], truth: float, *, resamples: int = 1000) -> tuple[tuple[float, float], ...]:
    """(share of intervals above the truth, share below it) at 95%, of BCa and of the percentile interval."""
    bootstrap = Bootstrap(len(samples[0]), seed=7, resamples=resamples)
    counts = np.zeros((2, 2))
    for data in samples:
        resampled = bootstrap.resample(data)
        bca = resampled.interval(ratio(0, 1))
        percentile = np.quantile(ratio(0, 1)(resampled.sums), [0.025, 0.975])
        counts += [[truth < bca.low, truth > bca.high], [truth < percentile[0], truth > percentile[1]]]
    low, high = counts / len(samples)
    return tuple(low), tuple(high)


def test_upper_end_misses_less_often_than_the_percentile_interval_on_heavy_tails() -> None:
    samples = [heavy_tailed(200, seed) for seed in range(300)]
    bca, percentile = misses(samples, true_ratio(), resamples=400)
    assert bca[1] < percentile[1] - 0.02
    assert sum(bca) < sum(percentile)


@pytest.mark.slow
def test_interval_covers_the_truth_on_the_profits_of_markets() -> None:
    """The draws' sizes are bounded, so their tail is too. Percentile: some 91.5% at 100 blocks."""
    rows = []
    for seed in range(12_000):
        market = Market.draw(seed, 12)
        alone = play(market.pools, market.orders)
        block = arrange(market.orders, greedy_sandwich(market.pools, market.orders))
        measured = measure(market.pools, play(market.pools, block), alone)
        rows.append((measured.extracted, measured.volume))
    population = np.array(rows, dtype=np.float64)
    truth = float(ratio(0, 1)(population.sum(axis=0)))
    random = np.random.default_rng(1)
    for blocks in (100, 1000):
        samples = [population[random.integers(len(population), size=blocks)] for _ in range(2000)]
        bca, percentile = misses(samples, truth)
        assert 0.925 < 1 - sum(bca) < 0.975
        assert bca[1] < percentile[1]


@pytest.mark.slow
def test_interval_covers_too_little_where_the_tail_has_no_bound() -> None:
    """A limit of the method: with lognormal profits of sigma 1.75 BCa reaches 90% at 1,000 blocks and 92% at 4,000."""
    for blocks, low, high in ((1000, 0.87, 0.92), (4000, 0.90, 0.95)):
        bca, percentile = misses([heavy_tailed(blocks, seed) for seed in range(1000)], true_ratio())
        assert low < 1 - sum(bca) < high
        assert sum(bca) < sum(percentile) + 0.005


def test_equivalence_reports_the_largest_bound() -> None:
    found = equivalence({"abstain": 0.0, "bracket": 0.4, "spam": -2.0}, 90.0)
    assert (found.strategy, found.upper_bps, found.passes) == ("bracket", 0.4, True)


@pytest.mark.parametrize(("upper", "plain", "passes"), [(0.99, 200, True), (1.0, 200, False), (0.5, 50, False)])
def test_equivalence_needs_both_margins(upper: float, plain: float, passes: bool) -> None:
    assert equivalence({"bracket": upper}, plain).passes is passes


def test_equivalence_refuses_an_empty_family() -> None:
    with pytest.raises(ValueError, match="one strategy"):
        equivalence({}, 90.0)


def test_holm_adjusts_in_steps_and_keeps_the_order() -> None:
    adjusted = holm({"c": 0.03, "a": 0.01, "d": 0.04, "b": 0.02, "e": 0.9})
    assert list(adjusted) == ["c", "a", "d", "b", "e"]
    assert adjusted == pytest.approx({"a": 0.05, "b": 0.08, "c": 0.09, "d": 0.09, "e": 0.9})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
