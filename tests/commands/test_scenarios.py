"""Misbehaviour in a real network on a real chain, and a user's way past the sequencer, by their commands."""

import os
import signal
import time

import pytest

from cli.scenario import AT_ANY_HEIGHT, NAMES
from encmempool.errors import EnvironmentProblem
from encmempool.network.devnet import Devnet
from encmempool.network.devnet_l1 import PARAMETERS
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


def test_scenario_for_which_the_scheme_has_no_place_is_refused(invoked, is_problem) -> None:
    for name in AT_ANY_HEIGHT:
        is_problem(invoked(None, "scenario", "run", name, "--scheme", "ibe"), 2, "for one height")


@pytest.mark.slow
def test_ignored_user_posts_to_the_inbox_and_is_executed(invoked, fits_schema, is_problem, tmp_path) -> None:
    home = tmp_path / "home"
    up = invoked(home, "devnet", "up", "--l1", "anvil", "--json")
    assert up.code == 0, up
    try:
        (auditor,) = (node["url"] for node in up.json["nodes"] if node["role"] == "auditor")
        signed = invoked(
            home, "--node", auditor, "tx", "sign", "--key", "dev-0", "--to", "0x" + "77" * 20, "--value", "0.1 ETH"
        )
        assert signed.code == 0, signed
        (tmp_path / "tx.hex").write_text(signed.out)
        envelope = invoked(home, "--node", auditor, "encrypt", str(tmp_path / "tx.hex"), "--valid-until", "5000")
        assert envelope.code == 0, envelope
        (tmp_path / "envelope.hex").write_text(envelope.out)
        posted = invoked(home, "inbox", "post", str(tmp_path / "envelope.hex"), "--key", "dev-0", "--json")
        fits_schema(posted.json)
        assert (posted.code, posted.json.get("index")) == (0, 0), posted
        waited = invoked(home, "--node", auditor, "wait", posted.json["tx_id"], "--json")
        assert (waited.code, waited.json["state"]) == (0, "executed")
        history = invoked(home, "--node", auditor, "audit", "export", "-o", str(tmp_path / "history.bin"))
        assert history.code == 0
        assert invoked(home, "audit", "verify", str(tmp_path / "history.bin")).code == 0
        is_problem(invoked(home, "inbox", "post", str(tmp_path / "envelope.hex"), "--key", "nobody"), 2, "nobody")
        elsewhere = ("--l1", "http://127.0.0.1:9", "--contracts", str(tmp_path / "none.json"))
        is_problem(
            invoked(home, "inbox", "post", str(tmp_path / "envelope.hex"), "--key", "dev-0", *elsewhere), 3, "none.json"
        )
        assert_no_receipt_without_the_chain(invoked, home, up.json["node"], tmp_path)
    finally:
        assert invoked(home, "devnet", "down").code == 0


def assert_no_receipt_without_the_chain(invoked, home, node, folder) -> None:
    """A receipt counts from the newest block that the sequencer has read: by an old one it could be broken at once."""
    signed = invoked(home, "--node", node, "tx", "sign", "--key", "dev-1", "--to", "0x" + "77" * 20, "--value", "1 ETH")
    (folder / "other.hex").write_text(signed.out)
    (folder / "sealed.hex").write_text(invoked(home, "--node", node, "encrypt", str(folder / "other.hex")).out)
    below = Devnet.load(home / "devnet").anvil
    os.kill(below.pid, signal.SIGSTOP)
    try:
        time.sleep(12)
        refused = invoked(home, "--node", node, "submit", str(folder / "sealed.hex"))
        assert (refused.code, "was not read lately" in refused.err) == (3, True), refused
    finally:
        os.kill(below.pid, signal.SIGCONT)
    wait_until(lambda: invoked(home, "--node", node, "submit", str(folder / "sealed.hex")).code == 0)


@pytest.mark.slow
def test_user_takes_ether_out_with_a_history_once_the_network_is_gone(
    invoked, fits_schema, is_problem, tmp_path
) -> None:
    home = tmp_path / "home"
    up = invoked(home, "devnet", "up", "--l1", "anvil", "--json")
    assert up.code == 0, up
    l1 = up.json["l1"]
    try:
        node, (auditor,) = up.json["node"], (n["url"] for n in up.json["nodes"] if n["role"] == "auditor")
        address = invoked(home, "exit", "address", "--key", "dev-0", "--json")
        fits_schema(address.json)
        signed = invoked(
            home,
            "--node",
            node,
            "tx",
            "sign",
            "--key",
            "dev-0",
            "--to",
            address.json["exit_address"],
            "--value",
            "2 ETH",
        )
        (tmp_path / "tx.hex").write_text(signed.out)
        (tmp_path / "envelope.hex").write_text(invoked(home, "--node", node, "encrypt", str(tmp_path / "tx.hex")).out)
        assert invoked(home, "--node", node, "submit", str(tmp_path / "envelope.hex")).code == 0
        waited = invoked(home, "--node", node, "wait", str(tmp_path / "envelope.hex"), "--json")
        assert waited.json["state"] == "executed"
        is_problem(invoked(home, "exit", "claim", "--key", "dev-0"), 2, "--history")

        contracts = Devnet.load(home / "devnet").contracts()
        wait_until(lambda: contracts.settlement.get("executed_height") >= waited.json["height"])
        history, site = tmp_path / "history.bin", next((home / "devnet").glob("*/l1.json"))
        assert invoked(home, "--node", auditor, "audit", "export", "-o", str(history)).code == 0
        named = contracts.settlement.get("height")
        Devnet.load(home / "devnet").stop(Devnet.load(home / "devnet").nodes)
        contracts.l1.request("anvil_mine", hex(2 * PARAMETERS.finality_blocks))
        by_history = ("--history", str(history), "--l1", l1, "--contracts", str(site))
        is_problem(invoked(home, "exit", "claim", "--key", "dev-1", *by_history), 3, "nothing to fetch")
        paid = invoked(home, "exit", "claim", "--key", "dev-0", *by_history, "--json")
        fits_schema(paid.json)
        assert (paid.code, paid.json.get("paid")) == (0, str(2 * 10**18)), paid
        assert paid.json["height"] >= named
        is_problem(invoked(home, "exit", "claim", "--key", "dev-0", *by_history), 3, "nothing to fetch", "was paid")
    finally:
        assert invoked(home, "devnet", "down").code == 0


def wait_until(reached, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.3)
