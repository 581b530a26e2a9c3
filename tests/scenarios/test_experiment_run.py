"""Whole runs: the same figures on any number of processes, choices made in training, and what the verdict rests on."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encmempool.errors import EnvironmentProblem
from encmempool.measure import experiment, results
from encmempool.measure.arms import arms
from encmempool.measure.experiment import run
from encmempool.measure.flow import QuantileFlow
from encmempool.measure.laboratory import COLUMNS, Config, Laboratory, Tally
from encmempool.measure.results import Part, document
from encmempool.measure.strategies import Nothing

CONFIG = Config(seed=4, blocks=60, training_blocks=20, arms=("C1", "C3", "T1", "T2", "T7a"), users=6)
VARIES = ("elapsed_s", "latency", "verification", "leak")
"""What takes time or fresh randomness, and so is not the same twice."""


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "CHUNK_BLOCKS", 20)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "CHUNK_BLOCKS", 80)
        return run(CONFIG, tmp_path_factory.mktemp("single") / "run.json", leak_transactions=0)


def figures(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in VARIES}


def test_run_is_the_same_on_two_processes_and_in_smaller_chunks(single, tmp_path: Path) -> None:
    result = run(CONFIG, tmp_path / "run.json", workers=2, leak_transactions=0)
    assert figures(result) == figures(single)
    assert json.loads((tmp_path / "run.json").read_text()) == result
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_run_is_the_same_on_a_dask_cluster(single, tmp_path: Path, scheduler: str) -> None:
    result = run(CONFIG, tmp_path / "run.json", scheduler=scheduler, leak_transactions=0)
    assert figures(result) == figures(single)


@pytest.fixture
def scheduler() -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", protocol="tcp", **options) as cluster:
        yield cluster.scheduler_address


def test_run_goes_on_where_it_stopped(single, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []

    def stop_at_40(done: int, total: int, text: str) -> None:
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(CONFIG, tmp_path / "run.json", leak_transactions=0, progress=stop_at_40)
    kept = sorted((tmp_path / "run.json.parts").glob("*.npz"))
    assert len(kept) == 2
    kept[1].write_bytes(kept[1].read_bytes()[:100])  # as a crash would leave it on a disk that lies
    with pytest.raises(EnvironmentProblem, match="--resume"):
        run(CONFIG, tmp_path / "run.json", leak_transactions=0)
    result = run(
        CONFIG,
        tmp_path / "run.json",
        resume=True,
        leak_transactions=0,
        progress=lambda done, total, _: reports.append((done, total)),
    )
    assert reports[0] == (20, 80)
    assert figures(result) == figures(single)


def test_leak_score_is_part_of_a_run(tmp_path: Path) -> None:
    config = Config(seed=4, blocks=20, training_blocks=20, arms=("C1",), users=2)
    leak = run(config, tmp_path / "run.json", leak_transactions=400)["leak"]
    assert leak["transactions"] == 400
    assert leak["on"].keys() == leak["off"].keys() == {"pool", "direction", "size"}


def test_no_figure_is_infinite_or_missing_in_the_smallest_run(tmp_path: Path) -> None:
    config = Config(seed=1, blocks=20, training_blocks=20, arms=("C1",), users=1, verify_fraction=0.0)
    run(config, tmp_path / "run.json", leak_transactions=0)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in the result")

    json.loads((tmp_path / "run.json").read_text(), parse_constant=refuse)


# --- from figures to the verdict -------------------------------------------------------------------------------------


class Invented:
    """Figures of arms made up for a test: every block the same volume, an extraction drawn about a mean."""

    def __init__(self, ids: tuple[str, ...], *, blocks: int = 400) -> None:
        self.config = Config(seed=1, blocks=blocks, training_blocks=blocks, arms=ids)
        known = {arm.id: arm for arm in arms()}
        self.rows = [(known[id], strategy) for id in ids for strategy in known[id].strategies]
        self._random = np.random.default_rng(1)
        self._blocks = blocks

    def part(self, means_bps: dict[tuple[str, str], float], spread_bps: float = 20.0) -> Part:
        """Means by arm and strategy; others extract nothing."""
        made = np.zeros((self._blocks, len(self.rows), len(COLUMNS)))
        made[:, :, COLUMNS.index("volume")] = made[:, :, COLUMNS.index("expected")] = 1e4
        for at, (arm, strategy) in enumerate(self.rows):
            mean = means_bps.get((arm.id, strategy.name))
            if mean is not None:
                extracted = self._random.normal(mean, spread_bps, self._blocks)
                made[:, at, COLUMNS.index("extracted")] = extracted - extracted.mean() + mean
        made[:, :, COLUMNS.index("closed_form")] = made[:, :, COLUMNS.index("extracted")]
        return Part(figures=made, tallies=(Tally(),))

    def document(self, training: Part, evaluation: Part) -> dict[str, Any]:
        flow = QuantileFlow()
        return document(
            self.config, self.rows, training=training, evaluation=evaluation, flow=flow, leak=None, elapsed_s=0.0
        )


PLAIN = {("C1", "greedy sandwich"): 500.0}
SMALL, LARGE = ("T1", "blind bracket 0.0001"), ("T1", "blind bracket 0.001")


def test_strategy_is_chosen_in_training_and_judged_on_other_blocks_msr_14() -> None:
    """MSR-14."""
    world = Invented(("C0", "C1", "T1"))
    arm = world.document(world.part(PLAIN | {SMALL: 30.0, LARGE: 20.0}), world.part(PLAIN | {SMALL: 1.0, LARGE: 90.0}))
    assert arm["arms"]["T1"]["strategy"] == SMALL[1]
    assert arm["arms"]["T1"]["extracted_bps"]["mean"] == pytest.approx(1.0)


def test_gain_that_noise_explains_is_not_chosen() -> None:
    world = Invented(("C0", "C1", "T1"))
    result = world.document(world.part(PLAIN | {SMALL: 1.5}), world.part(PLAIN | {SMALL: 1.5}))
    assert result["arms"]["T1"]["strategy"] == Nothing().name


def test_prevention_fails_if_one_strategy_of_the_family_may_gain_msr_20() -> None:
    """MSR-20."""
    world = Invented(("C0", "C1", "T1", "T3"))
    nothing = world.part(PLAIN)
    for gain, passed in ((-5.0, True), (-0.5, False), (5.0, False)):  # bounds lie some 3 bps above
        found = world.document(nothing, world.part(PLAIN | {("T3", "fee bracket 0.001"): gain}))["equivalence"]
        assert found["passed"] is passed
        assert found["family"] == 12
        if not passed:
            assert found["strategy"] == "T3 fee bracket 0.001"
            assert found["upper_bps"] > max(gain, 1)


def test_prevention_is_measured_against_the_plaintext_arm_too_msr_20() -> None:
    """MSR-20."""
    world = Invented(("C0", "C1", "T1"))
    poor = {("C1", "greedy sandwich"): 50.0}
    small = {SMALL: 0.6}
    for plain, passed in ((PLAIN, True), (poor, False)):
        evaluation = world.part(plain | small, spread_bps=0.5)
        found = world.document(world.part(plain), evaluation)["equivalence"]
        assert 0.6 < found["upper_bps"] < 1
        assert found["passed"] is passed


def test_advantage_is_the_share_of_the_plaintext_gain_msr_19() -> None:
    """MSR-19."""
    world = Invented(("C0", "C1", "T1", "T7a"))
    leak = {("T7a", "net bracket 0.001"): 125.0}
    arm = world.document(world.part(PLAIN | leak), world.part(PLAIN | leak))["arms"]
    assert arm["T7a"]["advantage"]["mean"] == pytest.approx(0.25)
    assert arm["C1"]["advantage"]["mean"] == pytest.approx(1.0)
    assert arm["T1"]["advantage"]["mean"] == 0


def test_intervals_resample_blocks_together_in_all_arms_msr_18() -> None:
    """MSR-18. Two arms that differ by a constant in every block: their difference has no width, each of them has."""
    world = Invented(("C0", "C1", "T1", "T7a"))
    part, half = world.part(PLAIN), ("T7a", "net bracket 0.001")
    extracted = COLUMNS.index("extracted")
    names = [(arm.id, strategy.name) for arm, strategy in world.rows]
    plain, leaking = (names.index(row) for row in (("C1", "greedy sandwich"), half))
    part.figures[:, leaking, extracted] = part.figures[:, plain, extracted] / 2
    arm = world.document(part, part)["arms"]["T7a"]
    assert arm["extracted_bps"]["high"] - arm["extracted_bps"]["low"] > 1
    assert arm["advantage"]["high"] - arm["advantage"]["low"] < 1e-9
    assert arm["advantage"]["mean"] == pytest.approx(0.5)


def test_every_interval_holds_its_mean_and_every_bound_lies_above(single) -> None:
    for arm in single["arms"].values():
        for name in ("extracted_bps", "victim_loss_bps", "failed_volume", "welfare_bps", "backrun_bps", "advantage"):
            assert arm[name]["low"] <= arm[name]["mean"] <= arm[name]["high"]
        for tried in arm["strategies"]:
            assert tried["upper_bps"] >= tried["extracted_bps"]["mean"]
            assert math.isfinite(tried["training_bps"])


def test_control_that_disagrees_with_the_closed_forms_says_so() -> None:
    world = Invented(("C0", "C1"))
    evaluation = world.part(PLAIN)
    assert world.document(evaluation, evaluation)["control"]["agrees"]
    evaluation.figures[:, :, COLUMNS.index("closed_form")] *= 1.2
    assert not world.document(evaluation, evaluation)["control"]["agrees"]


def test_command_of_a_result_names_what_is_unusual() -> None:
    config = Config(
        seed=2,
        blocks=30,
        training_blocks=20,
        arms=("T1",),
        flow="folder/swaps.csv",
        scheme="ibe",
        members=7,
        threshold=5,
    )
    assert results._command(config) == (
        "encmempool measure run --blocks 30 --training-blocks 20 --arms T1 --seed 2 --scheme ibe --members 7 "
        "--threshold 5 --flow swaps.csv"
    )


def test_engine_that_disagrees_ends_the_run_msr_17(monkeypatch: pytest.MonkeyPatch) -> None:
    """MSR-17."""
    from encmempool.measure.evm import EngineMismatch

    class Wrong:
        def check(self, *_: object) -> None:
            raise EngineMismatch("position 0: the model has 1, the EVM 2")

    laboratory = Laboratory(Config(seed=1, blocks=20, training_blocks=20, arms=("C1",), verify_fraction=0.0))
    monkeypatch.setattr(laboratory, "_engine", Wrong())
    with pytest.raises(EngineMismatch, match="position 0"):
        laboratory.run(0, 1)
