"""The README's library examples run as printed."""

from __future__ import annotations

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
