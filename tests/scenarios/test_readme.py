"""The README's library examples run as printed, and its table of designs is that of the recorded run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from encmempool.network.local import Plan, create_network, fresh_home
from encmempool.ordering import Policy
from threshold import entropy
from threshold.schemes.registry import load_scheme

README = Path(__file__).parents[2] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The network of the README's tour, with alice's account."""
    monkeypatch.chdir(tmp_path)
    home, password = fresh_home(Path(".encmempool"))
    plan = Plan(members=4, threshold=3, policy=Policy.ARRIVAL, funded=(home.create_account("alice", password),))
    create_network(home, plan, load_scheme("tdh2"), password, random=entropy.system)


def test_readme_has_both_examples():
    assert len(EXAMPLES) == 2


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("source", EXAMPLES)
def test_readme_example_prints_what_it_says(source, capsys):
    exec(compile(source, str(README), "exec"), {"__name__": "example"})
    (expected,) = re.findall(r"print\(.*\)  # (.+)", source)
    assert capsys.readouterr().out.strip() == expected


def test_readme_shows_the_recorded_comparison_of_designs():
    record = json.loads((README.parent / "benchmarks" / "studies" / "sequencer-risk" / "risk.json").read_text())
    section = README.read_text().partition("## What does sequencer risk cost?")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[2:-1]] for line in section.splitlines() if line.startswith("| ")]
    shown = [row for row in rows if row[0].isdigit()]
    designs = [design for design in record["designs"] if design["forced"]]
    assert len(shown) == len(designs) == 6
    for row, design in zip(shown, designs, strict=True):
        found = design["figures"]
        thousands = [found["expected"]["mean"], design["capital_usd_year"] + design["nodes_usd_year"]]
        assert row[0] == f"{found['stopped_minutes']:.0f}"
        assert [row[1], row[5]] == [f"${value / 1e3:.0f}k" for value in thousands]
        assert row[2] in (f"${found['components']['ordering'] / 1e3:.{digits}f}k" for digits in (0, 1))
        assert row[3] == f"${found['shortfall_99']['mean'] / 1e6:.1f}M"
        assert row[6] == f"${design['cost_usd_year'] / 1e3:.0f}k"
