"""Timings under a clock that only work moves, and how often a ratio's interval holds the truth."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace

import pytest

from encmempool.bench import sampling
from encmempool.bench.sampling import Timing, interleaved, ratio_interval, sampled


class Clock:
    """Stands still but for the work it makes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: list[str] = []

    def work(self, name: str, *seconds: float) -> Callable[[], object]:
        """Takes these times in turn, then the last of them for ever."""
        left = list(seconds)

        def run() -> None:
            self.ran.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(sampling, "time", SimpleNamespace(perf_counter=lambda: made.now))
    return made


@pytest.mark.parametrize(("seconds", "samples"), [(0.01, 20), (0.11, 19), (0.3, 7), (0.4, 6), (30, 6)])
def test_work_is_sampled_20_times_or_for_two_seconds_and_at_least_6_times(seconds, samples, clock) -> None:
    timing = sampled(clock.work("a", seconds))
    assert timing.samples == samples
    assert timing.values == pytest.approx([seconds] * samples)


def test_first_run_is_no_sample(clock) -> None:
    assert sampled(clock.work("a", 9.0, 0.25)).values == pytest.approx([0.25] * 8)


def test_slow_first_run_is_not_repeated_to_learn_its_length(clock) -> None:
    sampled(clock.work("a", 1.0))
    assert len(clock.ran) == 1 + 6


def test_short_work_is_repeated_within_a_sample(clock) -> None:
    timing = sampled(clock.work("a", 1e-6))
    assert timing.values == pytest.approx([1e-6] * 20)
    assert len(clock.ran) > 20 * 500


def test_first_run_does_not_tell_how_often_short_work_is_repeated(clock) -> None:
    sampled(clock.work("a", 0.1, 1e-6))
    assert len(clock.ran) > 20 * 500


def test_interleaved_work_takes_turns_and_every_second_round_runs_backwards(clock) -> None:
    before = [lambda: clock.ran.append("A"), lambda: clock.ran.append("B")]
    timings = interleaved(clock.work("a", 0.6), clock.work("b", 1.2), before=before)
    assert "".join(clock.ran) == "AaBb" + "AaBbBbAa" * 3
    assert [timing.values for timing in timings] == [pytest.approx([0.6] * 6), pytest.approx([1.2] * 6)]


def test_what_goes_before_is_out_of_the_clock(clock) -> None:
    def wait() -> None:
        clock.now += 5.0

    (timing,) = interleaved(clock.work("a", 0.5), before=[wait])
    assert timing.values == pytest.approx([0.5] * 6)


def test_interleaved_work_needs_as_many_preparations_or_none(clock) -> None:
    with pytest.raises(ValueError, match="argument"):
        interleaved(clock.work("a", 1), clock.work("b", 1), before=[lambda: None])


def test_timing_has_median_quartiles_and_least() -> None:
    timing = Timing(values=(5.0, 1.0, 4.0, 2.0, 3.0))
    assert (timing.median, timing.quartiles, timing.minimum, timing.samples) == (3.0, (1.5, 4.5), 1.0, 5)
    assert timing.divided(10).values == (0.5, 0.1, 0.4, 0.2, 0.3)
    assert Timing(values=(7.0,)).quartiles == (7.0, 7.0)
    assert Timing(values=(1.0, 2.0)).quartiles == (1.0, 2.0)
    with pytest.raises(ValueError, match="at least one"):
        Timing(values=())


# --- ratios ----------------------------------------------------------------------------------------------------------


def measured(random: Random, rounds: int, *, ratio: float, drift: bool) -> tuple[list[float], list[float]]:
    """Two works whose times scatter by a tenth; with drift, the machine is half as fast in half of the rounds."""
    slowness = [random.choice((1, 2)) if drift else 1 for _ in range(rounds)]
    ours = [each * random.lognormvariate(0, 0.1) for each in slowness]
    return ours, [ratio * each * random.lognormvariate(0, 0.1) for each in slowness]


@pytest.mark.parametrize("drift", [False, True])
@pytest.mark.parametrize("rounds", [6, 20])
def test_interval_of_a_ratio_holds_it_nineteen_times_in_twenty(rounds, drift, monkeypatch) -> None:
    monkeypatch.setattr(sampling, "_RESAMPLES", 400)
    random, trials = Random(rounds), 200
    found = [ratio_interval(*measured(random, rounds, ratio=3, drift=drift)) for _ in range(trials)]
    held = sum(each.low <= 3 <= each.high for each in found) / trials
    assert held >= 0.9
    assert all(each.low <= each.ratio <= each.high for each in found)


def test_drift_cancels_in_pairs_only() -> None:
    ours, theirs = measured(Random(1), 20, ratio=3, drift=True)
    paired, apart = ratio_interval(ours, theirs), ratio_interval(ours, theirs, paired=False)
    assert paired.ratio == apart.ratio
    assert paired.high - paired.low < (apart.high - apart.low) / 3


def test_ratio_is_theirs_to_ours_and_repeats() -> None:
    ours, theirs = [1.0, 1.1, 0.9, 1.0, 1.0, 1.0], [2.0, 2.2, 1.8, 2.0, 2.0, 2.0]
    assert ratio_interval(ours, theirs).ratio == 2.0
    assert ratio_interval(theirs, ours).ratio == 0.5
    assert ratio_interval(ours, theirs) == ratio_interval(ours, theirs)
    assert (ratio_interval(ours, ours).low, ratio_interval(ours, ours).high) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ([1.0] * 5, [1.0] * 6, "at least 6 samples"),
        ([1.0] * 6, [1.0] * 7, "no pairs"),
        ([1.0] * 5 + [0.0], [1.0] * 6, "above 0"),
    ],
)
def test_ratio_without_an_interval_is_refused(ours, theirs, words) -> None:
    with pytest.raises(ValueError, match=words):
        ratio_interval(ours, theirs)
