"""Misbehaviour in a real network on a real chain, and a user's way past the sequencer, by their commands."""

import pytest

from cli.scenario import NAMES
from encmempool.errors import EnvironmentProblem
from encmempool.settlement import anvil


@pytest.fixture(scope="module", autouse=True)
def fetched():
    """The chain comes from the package registry, and only for who asks."""
    try:
        anvil.fetch()
    except EnvironmentProblem as problem:
        pytest.skip(f"no anvil here: {problem}")


@pytest.mark.slow
def test_every_scenario_ends_as_it_should(invoked, fits_schema) -> None:
    outcome = invoked(None, "scenario", "run", "all", "--seconds", "5", "--json")
    fits_schema(outcome.json)
    assert [played["name"] for played in outcome.json["scenarios"] if not played["passed"]] == [], outcome.json
    assert [played["name"] for played in outcome.json["scenarios"]] == list(NAMES)
    facts = {played["name"]: played["facts"] for played in outcome.json["scenarios"]}
    assert facts["honest"]["slashed"] == "0"
    for name in ("broken-receipt", "skipped-entry"):
        assert int(facts[name]["slashed"]) > int(facts[name]["compensation"]) > 0
    assert outcome.code == 0


def test_names_of_the_command_are_those_of_the_scenarios() -> None:
    from encmempool.network.scenarios import SCENARIOS

    assert tuple(SCENARIOS) == NAMES
