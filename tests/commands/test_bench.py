"""`bench`: tables, records, pages and ratios of tiny runs; every mistake is one line, said before the work."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from encmempool.bench import micro as job
from threshold.curve import threads

ADD = ("--only", "g1::add")
SMALL = ("bench", "micro", "--scheme", "tdh2", "--batch", "2", "--members", "4", "--backend", "arkworks")


@pytest.fixture
def run(invoked):
    """Commands that need no home."""
    return lambda *arguments, **options: invoked(None, *arguments, **options)


@pytest.fixture
def _no_work(monkeypatch) -> None:
    """Work that starts fails the test."""
    for module in ("micro", "compare", "scaling"):
        name = "sampled" if module == "micro" else "interleaved"
        monkeypatch.setattr(f"encmempool.bench.{module}.{name}", lambda *_, **__: pytest.fail("the work started"))
    monkeypatch.setattr("encmempool.bench.pipeline.run", lambda **_: pytest.fail("the work started"))


def lines(file: str) -> list[dict]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


# --- results ---------------------------------------------------------------------------------------------------------


def test_micro_prints_a_table_and_adds_records_to_a_file(run, fits_schema) -> None:
    shown = run(*SMALL, "-o", "results.jsonl")
    assert shown.code == 0, shown
    for words in ("arkworks, ", "tdh2 B=2", "encrypt (one)", "after the shares", "opening in all", "peak memory"):
        assert words in shown.out
    assert "records were added to results.jsonl" in shown.err
    again = run(*SMALL, "-o", "results.jsonl", "--seed", "2", "--threads", "1", "--json").json
    fits_schema(again)
    written = lines("results.jsonl")
    for record in written:
        fits_schema(record)
    assert [record["name"] for record in written[:7]] == [
        *("tdh2::encrypt/B=2", "tdh2::verify/B=2", "tdh2::precompute/B=2", "tdh2::share/B=2,n=4"),
        *("tdh2::verify_share/B=2,n=4", "tdh2::combine/B=2,n=4", "tdh2::decrypt/B=2"),
    ]
    assert written[0]["params"] == {"B": 2, "n": 4, "t": 3, "payload_bytes": 512}
    assert written[7:] == again["records"]
    assert {(record["seed"], record["threads"]) for record in written[7:]} == {(2, 1)}


def test_micro_without_schemes_measures_the_curve_too(run) -> None:
    shown = run("bench", "micro", "--batch", "2", *ADD, "--only", "gt::*multiply*", "--only", "tdh2::verify/*")
    assert shown.code == 0, shown
    for words in ("µs, medians", "add", "multiply_each/N=2", "tdh2 B=2", "verify (one)"):
        assert words in shown.out
    assert "msm" not in shown.out
    assert "after the shares" not in shown.out


def test_micro_lays_large_grids_out_by_scheme(run) -> None:
    sizes = [word for size in (1, 2, 3, 4) for word in ("--batch", size)]
    shown = run("bench", "micro", "--scheme", "clear", "--scheme", "tdh2", *sizes, "--members", "1", "--members", "2")
    assert shown.code == 0, shown
    headings = [line for line in shown.out.splitlines() if line.startswith("ms, medians")]
    assert [heading.split()[2::2] for heading in headings] == [["clear"] * 4, ["tdh2"] * 4]
    for step in ("share, n=1", "share, n=2", "combine, n=2", "decrypt"):
        assert shown.out.count(f"\n{step} ") == 2


def test_full_is_the_whole_grid_unless_sizes_are_given(run, monkeypatch) -> None:
    grids = []

    def noted(grid, **_):
        grids.append(grid)
        raise ValueError("enough")

    monkeypatch.setattr(job, "groups", noted)
    run("bench", "micro", "--full")
    run("bench", "micro", "--full", "--batch", "7", "--scheme", "fptx")
    assert [(grid.batches, grid.members, grid.curve) for grid in grids] == [
        ((32, 128, 512, 2048), (4, 16, 64, 128), True),
        ((7,), (4, 16, 64, 128), False),
    ]


def test_ceremony_is_a_step_of_its_own(run) -> None:
    document = run(*SMALL, "--ceremony", "--only", "*::ceremony/*", "--json").json
    assert [record["name"] for record in document["records"]] == ["tdh2::ceremony/B=2,n=4"]


def test_pipeline_adds_records(run, fits_schema) -> None:
    outcome = run("bench", "pipeline", "--batch", "2", "-o", "results.jsonl", "--threads", "1", "--json")
    assert outcome.code == 0, outcome
    fits_schema(outcome.json)
    found = {record["name"]: record for record in lines("results.jsonl")}
    for record in found.values():
        fits_schema(record)
        assert (record["samples"], record["threads"]) == (1, 1)
    total = found["pipeline::commitment_to_reveal/scheme=tdh2,B=2,n=4"]
    assert total["median"] == pytest.approx(outcome.json["commitment_to_reveal_ms"] / 1e3, rel=1e-5)


def test_scaling_fits_and_draws(run, fits_schema) -> None:
    sizes = [word for size in (1, 2, 3) for word in ("--batch", size)]
    command = ("bench", "scaling", "--over", "batch", "--scheme", "tdh2", *sizes)
    shown = run(*command, "--report", "page.html", "-o", "results.jsonl")
    assert shown.code == 0, shown
    assert "over batch size" in shown.out
    assert "tdh2::verify" in shown.out
    page = Path("page.html").read_text()
    for words in ("How cost grows", "combine: time over batch size", "encmempool bench scaling --scheme tdh2", "<svg"):
        assert words in page
    assert len(lines("results.jsonl")) == 6 * 3
    document = run(*command, "--json").json
    laws = {law["name"]: law for law in document["laws"]}
    assert laws["tdh2::verify"]["sizes"] == [1, 2, 3]
    assert laws["tdh2::verify"]["exponent_low"] < laws["tdh2::verify"]["exponent"]
    assert laws["tdh2::precompute"]["exponent"] is None


@pytest.mark.parametrize("page", ["page.html", "page.md"])
def test_pages_name_the_machine_and_the_command(page, run) -> None:
    assert run(*SMALL, *("--only", "*verify*"), "--report", page).code == 0
    both = ("--backends", "arkworks,reference")
    assert run("bench", "compare", *both, *ADD, "--report", f"2-{page}").code == 0
    micro, compared = Path(page).read_text(), Path(f"2-{page}").read_text()
    for text in (micro, compared):
        assert "Processor" in text
    assert "encmempool bench micro --scheme tdh2 --batch 2 --members 4 --only" in micro
    assert "encmempool bench compare --backends arkworks,reference --batch 128" in compared
    assert (micro.startswith("<!DOCTYPE html>"), micro.startswith("# ")) == (page == "page.html", page == "page.md")


def test_compare_of_two_backends_in_turns(run, fits_schema) -> None:
    command = ("bench", "compare", "--backends", "arkworks,reference", *ADD)
    document = run(*command, "--json").json
    fits_schema(document)
    (row,) = document["rows"]
    assert document["interleaved"]
    assert (document["first"]["backend"], document["second"]["backend"]) == ("arkworks", "reference")
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    shown = run(*command)
    assert f"A: arkworks on {threads()} thread" in shown.out
    assert "g1::add" in shown.out
    assert "above 1, A is faster" in shown.out


def test_compare_of_two_files(run, fits_schema) -> None:
    for file in ("a.jsonl", "b.jsonl"):
        assert run(*SMALL, "--only", "*verify*", "-o", file).code == 0
    slow = [{**each, **{name: 2 * each[name] for name in ("min", "q1", "median", "q3")}} for each in lines("a.jsonl")]
    with open("b.jsonl", "a") as file:
        for record in slow[:1]:
            del record["values"]
            file.write(json.dumps({**record, "backend": "reference"}) + "\n")
    shown = run("bench", "compare", "a.jsonl", "b.jsonl", "--report", "page.html")
    assert shown.code == 0, shown
    assert "2.00" in shown.out
    assert "warning: 1 records have a later one" in shown.err
    assert "backend: arkworks against arkworks / reference" in shown.err
    document = run("bench", "compare", "a.jsonl", "b.jsonl", "--json").json
    fits_schema(document)
    assert [(row["ratio"], row["ratio_low"]) for row in document["rows"][:1]] == [(2.0, None)]
    assert document["rows"][1]["ratio_low"] is not None
    narrowed = run("bench", "compare", "a.jsonl", "b.jsonl", "--only", "*_share*", "--json").json
    assert [row["name"] for row in narrowed["rows"]] == ["tdh2::verify_share/B=2,n=4"]


def test_threads_are_those_of_before_afterwards(run) -> None:
    before = threads()
    assert run("bench", "micro", *ADD, "--threads", before + 1).code == 0
    assert run("bench", "micro", "--only", "nothing", "--threads", before + 1).code == 2
    assert threads() == before


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_work")
@pytest.mark.parametrize(
    ("arguments", "needles"),
    [
        (["micro", "--only", "g3::*"], ["g3::*"]),
        (["micro", "--batch", "0"], ["--batch"]),
        (["micro", "--threads", "0"], ["--threads"]),
        (["scaling", "--over", "batch", "--batch", "1", "--batch", "2"], ["over B", "at least 3"]),
        (["scaling", "--over", "time"], ["--over", "payload"]),
        (["compare"], ["two files", "--backends A,B", "--threads A,B"]),
        (["compare", "a.jsonl"], ["two files", "not 1"]),
        (["compare", "a.jsonl", "b.jsonl", "c.jsonl"], ["two files", "not 3"]),
        (["compare", "a.jsonl", "b.jsonl", "--threads", "1,2"], ["--only"]),
        (["compare", "a.jsonl", "b.jsonl", "--scheme", "tdh2"], ["--only"]),
        (["compare", "--backends", "arkworks"], ["both sides are arkworks"]),
        (["compare", "--threads", "2,2"], ["both sides", "2 threads"]),
        (["compare", "--backends", "arkworks,abacus"], ["abacus", "arkworks"]),
        (["compare", "--backends", "a,b,c"], ["--backends", "A,B"]),
        (["compare", "--backends", "arkworks,"], ["--backends", "A,B"]),
        (["compare", "--threads", "1,many"], ["--threads", "1 to 1024"]),
        (["compare", "--threads", "1,0"], ["--threads", "1 to 1024"]),
        (["compare", "--threads", "1,²"], ["--threads", "1 to 1024"]),
    ],
)
def test_usage_mistake_is_explained_and_leaves_nothing(arguments, needles, run, tmp_path, is_problem) -> None:
    is_problem(run("bench", *arguments), 2, *needles)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_no_work")
@pytest.mark.parametrize("command", ["micro", "scaling", "pipeline"])
def test_output_that_holds_something_else_is_refused_before_the_work(command, run, tmp_path, is_problem) -> None:
    (tmp_path / "notes.md").write_text("# precious\n")
    is_problem(run("bench", command, "-o", "notes.md"), 1, "notes.md, line 1: no JSON")
    is_problem(run("bench", command, "-o", "missing/results.jsonl"), 3, "missing/results.jsonl: No such file")
    is_problem(run("bench", command, "-o", tmp_path), 3, "Is a directory")
    assert (tmp_path / "notes.md").read_text() == "# precious\n"


@pytest.mark.usefixtures("_no_work")
@pytest.mark.parametrize("command", [("micro",), ("scaling",), ("compare", "--threads", "1,2")])
def test_page_that_cannot_be_made_is_refused_before_the_work(command, run, tmp_path, monkeypatch, is_problem) -> None:
    is_problem(run("bench", *command, "--report", "missing/page.html"), 3, "missing/page.html", "--report")
    is_problem(run("bench", *command, "--report", tmp_path), 3, "--report")
    for package in ("matplotlib", "jinja2"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            outcome = run("bench", *command, "--report", "page.html")
        is_problem(outcome, 3, "make measure", "pip install 'encmempool[measure]'", "--report page.md")


@pytest.mark.parametrize("package", ["numpy", "matplotlib", "jinja2"])
def test_markdown_needs_no_extra(package, run, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert run("bench", "micro", *ADD, "--report", "page.md").code == 0
    assert Path("page.md").read_text().startswith("# ")


def test_broken_line_of_a_file_is_named(run, is_problem) -> None:
    assert run("bench", "micro", *ADD, "-o", "a.jsonl").code == 0
    for added, words in (("{}", "without a schema"), ('{"schema": "encmempool.ben', "cut off")):
        Path("b.jsonl").write_text(Path("a.jsonl").read_text() + added)
        is_problem(run("bench", "compare", "a.jsonl", "b.jsonl"), 1, "b.jsonl, line 2: ", words)
        is_problem(run("bench", "micro", *ADD, "-o", "b.jsonl"), 1, "b.jsonl, line 2: ", words)
    is_problem(run("bench", "compare", "a.jsonl", "gone.jsonl"), 3, "gone.jsonl: No such file")


def test_files_with_nothing_in_common_are_told(run, is_problem) -> None:
    assert run("bench", "micro", *ADD, "-o", "a.jsonl").code == 0
    assert run("bench", "micro", "--only", "g2::add", "-o", "b.jsonl").code == 0
    is_problem(run("bench", "compare", "a.jsonl", "b.jsonl"), 2, "nothing can be compared")


def test_what_an_interrupted_run_measured_is_kept(run, monkeypatch) -> None:
    measured = iter(range(3))
    sampled = job.sampled

    def interrupted(work):
        if next(measured, None) is None:
            raise KeyboardInterrupt
        return sampled(work)

    monkeypatch.setattr(job, "sampled", interrupted)
    assert run(*SMALL, "-o", "results.jsonl", "--report", "page.md").code == 130
    assert len(lines("results.jsonl")) == 3
    assert not Path("page.md").exists()
