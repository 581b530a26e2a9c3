"""Comparisons: of two files, record by record, and of two backends in turns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool.bench import compare, micro
from encmempool.bench.compare import Variant, side_by_side
from encmempool.bench.micro import Grid, Group, groups, paced
from encmempool.bench.records import Record, Setting
from encmempool.bench.sampling import Timing
from threshold.curve import threads

SETTING = Setting(backend="arkworks", threads=2, seed=1, commit="0" * 40, host={"processor": "abacus"})
FAST = (1.0, 1.1, 0.9, 1.0, 1.05, 0.95)


def record(name: str, *values: float, **params: int) -> Record:
    return Record.of(name, params, Timing(values=values), SETTING)


def slower(factor: float) -> tuple[float, ...]:
    return tuple(factor * value for value in FAST)


# --- files -----------------------------------------------------------------------------------------------------------


def test_files_are_matched_by_name_and_params() -> None:
    found = compare.files(
        [record("g1::a", *FAST, N=1), record("g1::a", *FAST, N=2), record("g1::b", *FAST)],
        [record("g1::a", *slower(2), N=2), record("g1::a", *slower(9), N=3), record("g1::c", *FAST)],
    )
    (row,) = found.rows
    assert (row.name, row.params, row.ratio) == ("g1::a", {"N": 2}, 2.0)
    assert row.low is not None
    assert row.high is not None
    assert 1.7 < row.low < 2.0 < row.high < 2.4
    assert found.only_first == ("g1::a", "g1::b")
    assert found.only_second == ("g1::a", "g1::c")
    assert (found.superseded, found.differences) == (0, ())


def test_other_units_do_not_match() -> None:
    with pytest.raises(ValueError, match="nothing can be compared"):
        compare.files([record("g1::a", *FAST)], [replace(record("g1::a", *FAST), unit="ms")])


def test_files_with_nothing_in_common_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="nothing can be compared"):
        compare.files([record("g1::a", 1.0)], [record("g1::b", 1.0)])
    with pytest.raises(ValueError, match="nothing can be compared"):
        compare.files([record("g1::a", 1.0)], [record("g1::a", 1.0)], only=["g2::*"])


@pytest.mark.parametrize("values", [(1.0,), FAST[:5]])
def test_ratio_without_enough_values_has_no_interval(values) -> None:
    (row,) = compare.files([record("g1::a", *FAST)], [record("g1::a", *values)]).rows
    assert (row.low, row.high) == (None, None)
    assert row.samples == len(values)


def test_record_without_values_has_no_interval() -> None:
    bare = replace(record("g1::a", *FAST), values=())
    (row,) = compare.files([bare], [record("g1::a", *FAST)]).rows
    assert (row.ratio, row.low) == (1.0, None)


def test_latest_record_counts_and_others_are_numbered() -> None:
    found = compare.files([record("g1::a", 1.0), record("g1::a", 2.0)], [record("g1::a", 4.0)])
    assert (found.rows[0].ratio, found.superseded) == (2.0, 1)


def test_settings_that_differ_are_told() -> None:
    other = replace(record("g1::a", *FAST), threads=1, host={"processor": "abacus", "versions": {"python": "4"}})
    found = compare.files([record("g1::a", *FAST)], [other])
    assert [(each.field, each.first, each.second) for each in found.differences] == [
        ("threads", ("2",), ("1",)),
        ("versions", ("",), ("python 4",)),
    ]


def test_pattern_keeps_names_that_fit() -> None:
    both = [record("g1::a", *FAST), record("g2::a", *FAST)]
    assert [row.name for row in compare.files(both, both, only=["g2::*"]).rows] == ["g2::a"]


# --- runs ------------------------------------------------------------------------------------------------------------

GRID = Grid(schemes=("tdh2",), batches=(2,), members=(2,), only=("g1::multiply", "tdh2::share/*"))


def test_backends_are_compared_on_the_same_work() -> None:
    """The readable backend is tens of times slower: that much is sure on any machine."""
    rows = side_by_side(Variant(backend="arkworks", threads=1), Variant(backend="reference", threads=1), GRID, seed=1)
    assert [row.name for row in rows] == ["g1::multiply", "tdh2::share/B=2,n=2"]
    for row in rows:
        assert row.low is not None
        assert row.high is not None
        assert row.low <= row.ratio <= row.high
        assert row.ratio == row.second / row.first
        assert row.samples >= 6
    assert all(row.ratio > 5 for row in rows)


def test_variants_run_on_their_threads_and_the_setting_comes_back(monkeypatch) -> None:
    before, seen = threads(), []

    def watched(*works, before):
        for ready in before:
            ready()
            seen.append(threads())
        return (Timing(values=FAST),) * len(works)

    monkeypatch.setattr(compare, "interleaved", watched)
    one, two = (Variant(backend="arkworks", threads=count) for count in (before + 1, before + 2))
    rows = side_by_side(one, two, replace(GRID, only=("g1::add",)), seed=1)
    assert (seen, threads()) == ([before + 1, before + 2], before)
    assert rows[0].ratio == 1.0
    assert (one.label, replace(one, threads=1).label) == (f"arkworks on {before + 1} threads", "arkworks on 1 thread")


# --- the grid --------------------------------------------------------------------------------------------------------


def names(grid: Grid) -> list[str]:
    return [case.name for group in groups(grid, backend="arkworks", seed=1) for case in group.cases]


def test_grid_has_every_step_once_for_each_committee_it_depends_on() -> None:
    found = names(Grid(schemes=("tdh2",), batches=(2, 4), members=(4, 7), curve=False, ceremony=True))
    assert len(found) == len(set(found)) == 2 * (8 + 4)
    assert found.count("tdh2::combine/B=4,n=7") == 1
    assert "tdh2::decrypt/B=4" in found


def test_grid_has_operations_of_the_curve() -> None:
    found = names(Grid(schemes=(), batches=(3,), members=(4,)))
    assert {"g1::decode", "g2::msm/N=3", "gt::pairing", "gt::multi_pairing/N=3"} <= set(found)
    assert len(found) == len(set(found))


def test_every_operation_of_the_curve_runs() -> None:
    for group in groups(Grid(schemes=(), batches=(2,), members=(4,)), backend="arkworks", seed=1):
        for case in group.cases:
            case.prepare()()


def test_pattern_that_fits_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"g3::\* or none"):
        names(Grid(schemes=("tdh2",), batches=(2,), members=(4,), only=("g3::*", "none")))


def test_what_follows_a_slow_group_is_announced(monkeypatch) -> None:
    now, said = [0.0], []
    monkeypatch.setattr(micro.time, "monotonic", lambda: now[0])
    made = [Group(title=title, detail=detail, cases=()) for title, detail in ("aB", "bB", "aC", "aD", "bC")]
    for group, seconds in zip(paced(made, said.append), (20, 5, 40, 3, 3), strict=True):
        assert group in made
        now[0] += seconds
    assert said == ["a, C: B took 20 s", "a, D: C took 40 s"]
