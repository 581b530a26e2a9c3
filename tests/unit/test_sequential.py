"""Evidence is 1 on average if orders are blind, alarms keep their error, and attacks are noticed when theory says."""

from itertools import permutations
from math import exp, log
from random import Random

import pytest

from encmempool.measure.reorderings import Rank
from encmempool.risk.sequential import Alarm, Calibration, Martingale, count_evidence, poisson_interval, rank_evidence

COUNTS = [[0, 0, 0], [1, 0, 0, 0], [2, 1, 1, 0, 0], [3, 0, 5, 0, 1, 1]]


def alarm_of(*names: str, error: float) -> Alarm:
    return Alarm(error=error, statistics={name: Martingale() for name in names})


# --- evidence of one block -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tilt", [0.0, 0.7, 4.6, 900.0])
@pytest.mark.parametrize("counts", COUNTS)
def test_evidence_of_counts_is_one_on_average_over_the_orders_wch_7(counts, tilt) -> None:
    """WCH-7: whichever of the orders is the real one."""
    each = [exp(count_evidence(counts[at], counts[:at] + counts[at + 1 :], tilt)) for at in range(len(counts))]
    assert sum(each) / len(each) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("figures", [*COUNTS, [5, 4, 3, 2, 1], [7]])
def test_evidence_of_ranks_is_one_on_average_over_the_orders_wch_8(figures) -> None:
    """WCH-8, ties included."""
    ranks = [Rank.among(figures[at], figures[:at] + figures[at + 1 :]) for at in range(len(figures))]
    assert sum(exp(rank_evidence(rank)) for rank in ranks) / len(ranks) == pytest.approx(1, rel=1e-12)


def test_evidence_grows_with_the_count_and_with_the_rank() -> None:
    others = [0] * 18 + [1]
    assert count_evidence(0, others, 2.0) < 0 < count_evidence(1, others, 2.0) < count_evidence(2, others, 2.0)
    ranked = [rank_evidence(Rank.among(observed, list(range(19)))) for observed in range(-1, 20)]
    assert ranked == sorted(ranked)


def test_evidence_of_rare_counts_is_that_of_two_poisson_rates() -> None:
    """With many reorderings the mean is that of a Poisson law, and the evidence Wald's ratio."""
    usual, attacked, random = 0.02, 0.12, Random(3)
    others = [int(random.random() < usual) for _ in range(200_000)]
    ratio = log(attacked / usual) - (attacked - usual)
    assert count_evidence(1, others, log(attacked / usual)) == pytest.approx(ratio, abs=0.02)


@pytest.mark.parametrize("figures", [[3, 1, 2], [1, 1, 2], [0, 0, 0, 0]])
def test_p_value_is_uniform_over_the_orders_wch_3(figures) -> None:
    """WCH-3: each order's stretch of (0, 1) follows the next one's, or is shared among equals."""
    random = Random(5)
    drawn = []
    for real, *others in permutations(figures):
        drawn += [Rank.among(real, others).p_value(random) for _ in range(4000)]
    for share in (0.1, 0.25, 0.5, 0.9):
        below = sum(p <= share for p in drawn) / len(drawn)
        assert below == pytest.approx(share, abs=4 * (share * (1 - share) / len(drawn)) ** 0.5)


# --- many blocks -----------------------------------------------------------------------------------------------------


def test_martingale_is_the_weighted_sum_over_beginnings_wch_9() -> None:
    """WCH-9, against its definition."""
    random, added, martingale = Random(11), [], Martingale()
    assert martingale.value == pytest.approx(0)
    for _ in range(30):
        added.append(random.gauss(0, 1))
        martingale.add(added[-1])
        begun = (exp(sum(added[first:])) / ((first + 1) * (first + 2)) for first in range(len(added)))
        assert martingale.value == pytest.approx(log(sum(begun) + 1 / (len(added) + 1)))


def test_martingale_stays_in_range_of_numbers_over_long_histories() -> None:
    martingale = Martingale()
    for _ in range(5_000):
        martingale.add(2.0)
    assert martingale.value == pytest.approx(10_000 - log(2), abs=1)
    for _ in range(20_000):
        martingale.add(-2.0)
    assert -log(30_000) < martingale.value < 0


def test_martingale_does_not_hold_the_honest_past_against_an_attack() -> None:
    martingale = Martingale()
    for _ in range(10_000):
        martingale.add(-3.0)
    for _ in range(20):
        martingale.add(1.5)
    assert martingale.value == pytest.approx(20 * 1.5 - 2 * log(10_001), abs=0.5)


def test_alarm_stands_once_raised_and_names_height_and_statistic_wch_10() -> None:
    """WCH-10"""
    alarm = alarm_of("first", "second", error=0.01)
    alarm.add(5, {"first": 0.1, "second": 4.0})
    assert alarm.raised is None
    alarm.add(6, {"second": 4.0})
    alarm.add(7, {"first": -3.0, "second": -30.0})
    assert alarm.value < alarm.limit
    alarm.add(8, {"first": 90.0})
    assert alarm.value > alarm.limit
    assert alarm.raised is not None
    assert (alarm.raised.height, alarm.raised.statistic) == (6, "second")


def counts_of(random: object, blocks: int, usual: float, attacked: float, orders: int):
    """(count in the real order, counts in reorderings) of each block."""
    real = random.poisson(attacked, size=blocks).tolist()  # type: ignore[attr-defined]
    others = random.poisson(usual, size=(blocks, orders)).tolist()  # type: ignore[attr-defined]
    return zip(real, others, strict=True)


def watched(counts, *, share: float, error: float) -> int | None:
    """The block of the alarm."""
    alarm, calibration = alarm_of("sandwiches", error=error), Calibration()
    for height, (real, others) in enumerate(counts, 1):
        calibration.add(real, others)
        alarm.add(height, {"sandwiches": count_evidence(real, others, calibration.tilt(share))})
        if alarm.raised is not None:
            return height
    return None


@pytest.mark.parametrize(("usual", "share"), [(0.05, 0.1), (0.3, 0.05), (0.002, 0.02)])
def test_false_alarms_stay_below_their_error_over_many_honest_histories(usual, share) -> None:
    """However long one looks, and although neither the rate nor the law of accidents is known."""
    numpy = pytest.importorskip("numpy")
    seed, error, histories = 17, 0.1, 400
    random = numpy.random.default_rng(seed)
    alarms = sum(
        watched(counts_of(random, 150, usual, usual, 19), share=share, error=error) is not None
        for _ in range(histories)
    )
    assert alarms <= error * histories, f"seed {seed}"


def test_false_alarms_of_ranks_stay_below_their_error() -> None:
    seed, error, histories = 19, 0.1, 400
    random, alarms = Random(seed), 0
    for _ in range(histories):
        alarm = alarm_of("ordering", error=error)
        for height in range(150):
            drawn = [random.randrange(12) for _ in range(20)]
            alarm.add(height, {"ordering": rank_evidence(Rank.among(drawn[0], drawn[1:]))})
        alarms += alarm.raised is not None
    assert alarms <= error * histories, f"seed {seed}"


@pytest.mark.parametrize(("usual", "share"), [(0.02, 0.1), (0.05, 0.2), (0.2, 0.3)])
def test_attack_is_noticed_about_when_wald_expects_it(usual, share) -> None:
    numpy = pytest.importorskip("numpy")
    seed, error = 23, 0.001
    random = numpy.random.default_rng(seed)
    expected = alarm_of("sandwiches", error=error).expected_blocks("sandwiches", usual, usual + share)
    took = [
        watched(counts_of(random, 2_000, usual, usual + share, 199), share=share, error=error) or 2_000
        for _ in range(60)
    ]
    assert 0.75 * expected < sum(took) / len(took) < 1.35 * expected, f"seed {seed}: {sum(took) / len(took)}"


def test_expected_blocks_grow_with_the_past_and_with_the_number_of_statistics() -> None:
    fresh, beside = alarm_of("sandwiches", error=0.001), alarm_of("sandwiches", "ordering", error=0.001)
    later = alarm_of("sandwiches", error=0.001)
    for height in range(1_000):
        later.add(height, {"sandwiches": 0.0})
    expected = [each.expected_blocks("sandwiches", 0.001, 0.011) for each in (fresh, beside, later)]
    assert expected == sorted(expected)
    with pytest.raises(ValueError, match="positive"):
        fresh.expected_blocks("sandwiches", 0.0, 0.01)


# --- calibration -----------------------------------------------------------------------------------------------------


def test_calibrated_rate_is_that_of_reorderings_alone_wch_6() -> None:
    """WCH-6"""
    calibration = Calibration()
    assert calibration.rate is None
    calibration.add(1, [0, 0, 1, 0])
    calibration.add(0, [0, 0, 0, 1, 0, 1, 0, 0])
    assert calibration.rate == pytest.approx(3 / 12)
    assert calibration.expected == pytest.approx(1 / 4 + 2 / 8)
    assert calibration.found == 1
    low, high = calibration.interval()
    assert low < 3 / 12 < high


def test_calibration_needs_reorderings() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Calibration().add(1, [])
    with pytest.raises(ValueError, match="no block"):
        Calibration().interval()


def test_tilt_weighs_the_real_order_as_any_other() -> None:
    """Otherwise a sandwich would lower its own weight more than an accident would."""
    one, other = Calibration(), Calibration()
    one.add(1, [0, 0, 0])
    other.add(0, [0, 1, 0])
    assert one.tilt(0.1) == other.tilt(0.1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 250, 40_000])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.999])
def test_poisson_interval_is_that_of_chi_squares(count, level) -> None:
    stats = pytest.importorskip("scipy.stats")
    low, high = poisson_interval(count, level)
    tail = (1 - level) / 2
    assert low == pytest.approx(stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0, rel=1e-9)
    assert high == pytest.approx(stats.chi2.ppf(1 - tail, 2 * count + 2) / 2, rel=1e-9)


@pytest.mark.parametrize(("count", "level"), [(-1, 0.95), (3, 0.0), (3, 1.0)])
def test_poisson_interval_refuses_what_makes_no_sense(count, level) -> None:
    with pytest.raises(ValueError, match="count and a level"):
        poisson_interval(count, level)
