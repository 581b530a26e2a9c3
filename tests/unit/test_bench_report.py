"""How records are laid out in tables, and what the pages of benchmarks say."""

from __future__ import annotations

import pytest

from encmempool.bench import report
from encmempool.bench.compare import Row
from encmempool.bench.records import Record, Setting, record_name
from encmempool.bench.sampling import Timing
from encmempool.bench.scaling import Law, fit
from encmempool.report import html, markdown

SETTING = Setting(backend="arkworks", threads=2, seed=5, commit="c" * 40, host={"processor": "abacus", "cores": 3})
COMMITTEE = ("share", "verify_share", "combine")


def step(scheme: str, name: str, ms: float, *, batch: int = 8, members: int = 4) -> Record:
    params = {"B": batch, "n": members}
    named = params if name in COMMITTEE else {"B": batch}
    return Record.of(record_name(scheme, name, named), params, Timing(values=(ms / 1e3,) * 6), SETTING)


OPENING = (
    step("tdh2", "verify", 16.0),
    step("tdh2", "precompute", 1.0),
    step("tdh2", "combine", 20.0),
    step("tdh2", "decrypt", 300.0),
    step("tdh2", "combine", 4000.0, members=7),
)


def test_opening_sums_what_the_first_committee_does() -> None:
    sheet = report.scheme_sheets(OPENING)["tdh2"]
    assert report.opening_ms(sheet, "B=8") == pytest.approx((320.0, 321.0))
    without = report.scheme_sheets(OPENING[:2] + OPENING[3:4])["tdh2"]
    assert report.opening_ms(without, "B=8") is None


def test_verify_is_shown_for_one_ciphertext() -> None:
    assert report.step_ms(OPENING[0]) == pytest.approx(2.0)
    assert report.step_ms(OPENING[2]) == pytest.approx(20.0)
    assert report.step_title("verify") == "verify (one)"
    assert report.step_title("combine, n=4") == "combine, n=4"


def test_rows_name_the_committee_where_there_are_several() -> None:
    assert list(report.scheme_sheets(OPENING)["tdh2"].rows) == [
        *("verify", "precompute", "combine, n=4", "decrypt", "combine, n=7")
    ]
    assert list(report.scheme_sheets(OPENING[:4])["tdh2"].rows) == ["verify", "precompute", "combine", "decrypt"]


def test_schemes_share_a_table_while_it_has_room() -> None:
    few = report.scheme_sheets([step(name, "verify", 1.0) for name in ("tdh2", "ibe", "fptx")])
    (together,) = map(report.joined, report.side_by_side(few))
    assert together.columns == ("tdh2 B=8", "ibe B=8", "fptx B=8")
    many = report.scheme_sheets([step(name, "verify", 1.0, batch=size) for name in ("a", "b") for size in range(4)])
    assert [tuple(each) for each in report.side_by_side(many)] == [("a",), ("b",)]


def test_page_of_operations_has_tables_plots_and_the_setting() -> None:
    curve = Record.of("g1::msm/N=8", {"N": 8}, Timing(values=(1e-6, 2e-6, 3e-6)), SETTING)
    text = markdown(report.micro([curve, *OPENING], "encmempool bench micro --seed 5"))
    for words in (
        "6 benchmarks",
        "| msm/N=8 | 2.00 (1.00 to 3.00) |",
        "| decrypt | 300",
        "encmempool bench micro --seed 5",
    ):
        assert words in text
    for words in ("arkworks, threads: 2", "abacus", "c" * 40):
        assert words in text
    assert html(report.micro([curve, *OPENING], "x")).count("<svg") == 4


def law(scheme: str, name: str, *ms: float, works: bool = True) -> Law:
    records = tuple(step(scheme, name, each, batch=2**at) for at, each in enumerate(ms))
    power = fit([(2**at, each / 1e3) for at, each in enumerate(ms)]) if works else None
    return Law(scheme=scheme, step=name, over="B", records=records, power=power)


def test_page_of_scaling_draws_the_schemes_in_which_a_step_does_anything() -> None:
    laws = [
        law("tdh2", "combine", 1, 2, 4),
        law("ibe", "combine", 3, 3, 3),
        law("tdh2", "precompute", 1e-4, 1e-4, 1e-4, works=False),
    ]
    text = markdown(report.scaling(laws, "again"))
    assert "**combine: time over batch size**" in text
    assert "precompute: time" not in text
    assert "Exponents: tdh2 1.00, ibe 0.00" in text
    assert "| combine | 1.00 | 2.00 | 4.00 | 1.00 (1.00 to 1.00) | × 1.00 |" in text
    assert "| precompute | &lt; 0.005 | &lt; 0.005 | &lt; 0.005 | – | – |" in text


@pytest.mark.parametrize("setting", [SETTING, None])
def test_page_of_a_comparison_says_how_it_was_measured(setting) -> None:
    rows = [
        Row(name="g1::a", params={}, unit="s", first=0.001, second=0.002, ratio=2.0, low=1.5, high=2.5, samples=9),
        Row(name="g2::b", params={}, unit="x", first=1.0, second=4.0, ratio=4.0, low=None, high=None, samples=1),
    ]
    made = report.comparison(rows, first="new", second="old", setting=setting, command="again")
    text = markdown(made)
    assert "old takes 2.00 to 4.00 times as long as new, 3.00 in the middle of 2 benchmarks" in text
    assert "| a | 1.00 | 2.00 | 2.00 (1.50 to 2.50) | 9 |" in text
    assert "| b | 1.00 | 4.00 | 4.00 | 1 |" in text
    assert ("in turns" in text, "abacus" in text) == (setting is not None,) * 2
    assert html(made).count("<svg") == 2
