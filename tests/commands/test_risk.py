"""`risk`: what is printed and written, and that every mistake is one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy", reason="the extra `measure` is not installed")

STUDY = Path(__file__).parents[2] / "benchmarks" / "studies" / "front-running"
TINY = ("risk", "run", "--years", "1000", "--workers", "1", "--design", "centralised")
CSV = "date,chain,kind,minutes\n2025-01-01,x,halt,45\n2025-02-01,x,halt,120\n2025-03-01,y,pause,300\n"


@pytest.fixture
def run(invoked) -> Callable[..., Any]:
    """Commands that need no home."""
    return lambda *arguments: invoked(None, *arguments)


def test_run_prints_designs_and_what_they_rest_on(run) -> None:
    outcome = run(*TINY[:-1], "all")
    assert outcome.code == 0
    for text in ("centralised+encrypted+forced", "13 halts and pauses", "46.0 bps", "pays from"):
        assert text in outcome.out
    assert "lower bound" in outcome.err
    assert "risk report risk.json -o risk.html" in outcome.err


def test_run_is_the_same_record_again_by_its_own_command(run) -> None:
    assert run(*TINY, "--set", "depth=4", "--volume", "40e6").code == 0
    first = json.loads(Path("risk.json").read_text())
    command = first["command"].split()[1:]
    assert run(*command, "--workers", "1", "-o", "again.json").code == 0
    again = json.loads(Path("again.json").read_text())
    assert {**again, "elapsed_s": 0} == {**first, "elapsed_s": 0}
    assert {each["name"]: each["value"] for each in first["assumptions"]}["volume_usd_day"] == 40e6


def test_run_takes_incidents_and_an_experiment_of_the_users(run, fits_schema) -> None:
    Path("ours.csv").write_text(CSV)
    outcome = run(*TINY, "--incidents", "ours.csv", "--chain-years", "4", "--measure", STUDY / "results.json", "--json")
    assert outcome.code == 0, outcome
    fits_schema(outcome.json)
    assert outcome.json["calibration"]["rates"]["halt"]["per_year"] == 0.5
    assert outcome.json["calibration"]["source"] == "ours.csv: 3 incidents"
    assert round(outcome.json["extraction"]["plaintext_bps"]) == 546
    assert str(STUDY) not in outcome.json["command"]


def test_report_is_written_in_both_formats(run, fits_schema) -> None:
    assert run(*TINY).code == 0
    assert run("risk", "report", "risk.json").out == "risk.html\n"
    assert Path("risk.html").read_text().startswith("<!DOCTYPE html>")
    document = run("risk", "report", "risk.json", "-o", "risk.md", "--json").json
    fits_schema(document)
    assert (document["format"], document["size_bytes"]) == ("markdown", len(Path("risk.md").read_bytes()))
    assert Path("risk.md").read_text().startswith("# ")


def test_bond_prints_the_figure_its_assumptions_and_what_changes_it(run, fits_schema) -> None:
    outcome = run("risk", "bond", "--members", "7", "--threshold", "5")
    assert outcome.code == 0
    for text in ("each member", "sequencer", "5 of 7", "chance 0.45", "silent pooling", "no bond deters", "what moves"):
        assert text in outcome.out
    document = run("risk", "bond", "--members", "7", "--threshold", "5", "--json").json
    fits_schema(document)
    assert 0 < document["bond_sequencer"] < document["bond_per_member"]
    assert {"members", "threshold", "attribution"} <= {each["name"] for each in document["assumptions"]}
    assert document["sensitivities"]


def test_bond_of_silent_pooling_is_none_and_says_so(run, fits_schema) -> None:
    """RSK-22."""
    outcome = run("risk", "bond", "--attribution", "0")
    assert outcome.code == 0
    assert outcome.out.count("none suffices") >= 2
    document = run("risk", "bond", "--attribution", "0", "--json").json
    fits_schema(document)
    assert (document["bond_per_member"], document["bond_sequencer"], document["total_usd"]) == (None, None, None)
    assert document["insurance_needed_usd"] > 0


def test_threshold_follows_the_committees_size(run) -> None:
    document = run("risk", "bond", "--members", "10", "--json").json
    assert {each["name"]: each["value"] for each in document["assumptions"]}["threshold"] == 7


def test_bond_of_a_readable_design_has_no_members(run, fits_schema) -> None:
    document = run("risk", "bond", "--design", "centralised", "--json").json
    fits_schema(document)
    assert document["bond_per_member"] is None
    assert document["bond_sequencer"] > 1e6
    assert "silent pooling" not in run("risk", "bond", "--design", "centralised").out


@pytest.mark.parametrize(
    ("arguments", "code", "needles"),
    [
        (["run", "--years", "999"], 2, ["1,000 to 20,000,000 years, not 999"]),
        (["run", "--design", "mainnet"], 2, ["no design 'mainnet'", "all", "rotating+encrypted"]),
        (["run", "--threshold", "8"], 2, ["threshold", "7 members, not 8"]),
        (["run", "--set", "halts_per_year=-1"], 2, ["halts_per_year must be at least 0, not -1"]),
        (["run", "--set", "weather=1"], 2, ["no assumption 'weather'"]),
        (["run", "--set", "depth"], 2, ["depth takes a number, not ''"]),
        (["run", "--set", "rollups=2.5"], 2, ["rollups takes a whole number, not '2.5'"]),
        (["run", "--volume", "-1"], 2, ["volume_usd_day must be at least 0"]),
        (["run", "--incidents", "ours.csv"], 2, ["--incidents and --chain-years belong together"]),
        (["run", "--chain-years", "3"], 2, ["--incidents and --chain-years belong together"]),
        (["run", "--incidents", "ours.csv", "--chain-years", "-3"], 2, ["--chain-years must be above 0, not -3"]),
        (["run", "--incidents", "none.csv", "--chain-years", "3"], 3, ["none.csv", "No such file"]),
        (["run", "--incidents", "bad.csv", "--chain-years", "3"], 1, ["bad.csv, row 2", "date '1 May'"]),
        (["run", "--incidents", "empty.csv", "--chain-years", "3"], 1, ["empty.csv", "holds no incident"]),
        (["run", "--incidents", "two.csv", "--chain-years", "3"], 2, ["at least 3 halts or pauses"]),
        (["run", "--measure", "bad.csv"], 1, ["bad.csv is not JSON", "encmempool measure run"]),
        (["run", "-o", "missing/risk.json"], 3, ["missing/risk.json cannot be written"]),
        (["run", "--scheduler", "nowhere"], 2, ["no scheduler's address"]),
        (["report", "bad.csv"], 1, ["bad.csv is not JSON", "encmempool risk run"]),
        (["report", "none.json"], 3, ["none.json"]),
        (["bond", "--design", "all"], 2, ["--design names one design here"]),
        (["bond", "--members", "4", "--threshold", "5"], 2, ["4 members, not 5"]),
        (["bond", "--attribution", "1.5"], 2, ["attribution must be at least 0 and at most 1, not 1.5"]),
    ],
)
def test_mistake_is_one_line_and_an_exit_code(arguments, code, needles, run, is_problem) -> None:
    Path("ours.csv").write_text(CSV)
    Path("bad.csv").write_text("date,chain,kind,minutes\n1 May,x,halt,45\n")
    Path("empty.csv").write_text("date,chain,kind,minutes\n")
    Path("two.csv").write_text("\n".join(CSV.splitlines()[:3]))
    is_problem(run("risk", *arguments), code, *needles)


@pytest.mark.parametrize("package", ["numpy", "scipy", "matplotlib", "jinja2"])
@pytest.mark.parametrize("command", [TINY, ("risk", "report", "risk.json"), ("risk", "bond")])
def test_missing_extra_says_what_to_install(command, package, run, monkeypatch, is_problem) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    is_problem(run(*command), 3, "make measure", "pip install 'encmempool[measure]'")
