"""A network of processes, from the commands that a user types: up, the tour of a wallet, trade, audit, down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from encmempool import Client
from encmempool.ethereum import sign_transaction
from encmempool.network.devnet import Devnet
from encmempool.network.peer import BlockingPeer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("devnet")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[dict]:
    """The document of `devnet up --json`, in a home with an account of alice's, and without the packages of extras."""
    command = [sys.executable, "-m", "cli.main", "--home", str(folder / "home")]
    for package in ("web3", "vyper", "pyrevm", "matplotlib"):
        (folder / "without" / package).mkdir(parents=True)
        (folder / "without" / package / "__init__.py").write_text("raise ImportError")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "without"), str(ROOT)])}

    def execute(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)

    assert execute("key", "new", "alice").returncode == 0
    started = execute("devnet", "up", "--json")
    assert started.returncode == 0, started.stderr
    try:
        yield json.loads(started.stdout)
    finally:
        execute("devnet", "down")


@pytest.fixture
def devnet(folder: Path, up: dict) -> Devnet:
    return Devnet.load(folder / "home" / "devnet")


@pytest.fixture
def ask(folder: Path, up: dict, invoked):
    """A command in the home with the network, at its sequencer."""
    return lambda *arguments, **options: invoked(folder / "home", "--node", up["node"], *arguments, **options)


def test_up_document_fits_its_schema(up, fits_schema) -> None:
    fits_schema(up)
    assert [node["role"] for node in up["nodes"]] == ["sequencer", *["member"] * 4, "auditor"]


def test_up_is_refused_where_a_network_runs(ask, is_problem) -> None:
    is_problem(ask("devnet", "up"), 2, "devnet down")


def test_status_names_every_node_and_fits_its_schema(ask, fits_schema) -> None:
    outcome = ask("devnet", "status", "--json")
    assert outcome.code == 0
    fits_schema(outcome.json)
    assert outcome.json["healthy"]
    assert all(node["ready"] for node in outcome.json["nodes"])


def test_evidence_is_fetched_and_judged_by_files_alone(
    ask, devnet, folder, up, two_receipts, invoked, fits_schema, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ask("evidence", "fetch", "-o", "none").err.startswith("this node can show no misbehaviour")
    sequencer = next(node for node in devnet.nodes if node.role == "sequencer")
    home = devnet.home(sequencer).path
    piece = two_receipts(home)
    peer = BlockingPeer(up["node"])
    peer.call("submit_evidence", body=piece)
    peer.close()
    outcome = ask("evidence", "fetch", "-o", "shown", "--json")
    assert outcome.code == 0, outcome
    fits_schema(outcome.json)
    (listed,) = outcome.json["evidence"]
    assert (listed["kind"], listed["rule"], listed["height"]) == ("conflicting_receipts", "SEQ-2", 5)
    verified = ask("evidence", "verify", listed["file"], "--json")
    assert verified.json["offender"] == listed["offender"]
    files = ["--genesis", home / "genesis.json", "--key-set", home / "key-set.ssz"]
    assert invoked(tmp_path / "nowhere", "evidence", "verify", listed["file"], *files).code == 0


def test_wallet_tour_ends_in_a_verified_history(ask, fits_schema, tmp_path) -> None:
    made = {}
    for name, arguments in (
        ("tx", ("tx", "sign", "--key", "alice", "--sell", "1.5 ETH")),
        ("envelope", ("encrypt", tmp_path / "tx")),
        ("receipt", ("submit", tmp_path / "envelope")),
    ):
        outcome = ask(*arguments)
        assert outcome.code == 0, outcome
        made[name] = tmp_path / name
        made[name].write_text(outcome.out)
    waited = ask("wait", made["receipt"], "--json")
    assert (waited.code, waited.json["state"], waited.json["success"]) == (0, "executed", True)
    fits_schema(waited.json)
    again = ask("submit", made["envelope"])
    assert (again.code, again.out) == (0, made["receipt"].read_text())
    exported = ask("audit", "export", "-o", tmp_path / "history.bin", "--json")
    fits_schema(exported.json)
    verified = ask("audit", "verify", tmp_path / "history.bin", "--json")
    assert (verified.code, verified.json["outcomes"]["executed"] > 0) == (0, True)
    proven = ask("audit", "prove", made["receipt"], "-o", tmp_path / "proof.bin", "--json")
    fits_schema(proven.json)
    shown = ask("audit", "verify", tmp_path / "proof.bin", "--json")
    assert (shown.json["tx_id"], shown.json["position"]) == (waited.json["tx_id"], waited.json["position"])
    unknown = ask("audit", "prove", "0x" + "11" * 32, "-o", tmp_path / "none.bin")
    assert (unknown.code, "has never received" in unknown.err) == (3, True)


def test_client_by_address_has_the_calls_of_a_home(up, folder) -> None:
    root = bytes.fromhex(up["genesis_root"][2:])
    with Client(up["node"], home=folder / "home", genesis_root=root) as client:
        pay_and_wait(client)


def pay_and_wait(client: Client) -> None:
    account = client.account("dev-9")
    raw = sign_transaction(
        account.secret_bytes(),
        chain_id=client.view().genesis.chain_id,
        nonce=client.next_nonce(account.address),
        to=bytes(20),
        value=1,
        data=b"",
        gas_limit=21_000,
        max_fee_per_gas=20 * 10**9,
        max_priority_fee_per_gas=10**9,
    )
    envelope = client.encrypt(raw, account)
    assert client.submit(envelope).message.tx_id == envelope.tx_id
    assert client.wait(envelope.tx_id, timeout_s=30).state == "executed"
    with pytest.raises(ValueError, match="elsewhere"):
        client.network()


def test_wrong_genesis_root_is_refused_cli_1(ask, is_problem, invoked, up, tmp_path) -> None:
    stranger = invoked(tmp_path / "other", "--node", up["node"], "status", "0x" + "11" * 32)
    is_problem(stranger, 3, "--genesis-root")
    wrong = invoked(
        tmp_path / "other", "--node", up["node"], "--genesis-root", "0x" + "22" * 32, "status", "0x" + "11" * 32
    )
    is_problem(wrong, 1, "CLI-1")


def test_trade_executes_what_it_sends_and_logs_hold_none_of_it(ask, fits_schema, devnet) -> None:
    outcome = ask("devnet", "trade", "--seconds", "2", "--rate", "10", "--json")
    assert outcome.code == 0, outcome
    fits_schema(outcome.json)
    assert outcome.json["outcomes"] == {"executed": outcome.json["receipted"]}
    logs = ask("devnet", "logs", "--last", "5", "--json")
    fits_schema(logs.json)
    assert set(logs.json["nodes"]) == {node.name for node in devnet.nodes}
    genesis = devnet.public_home.genesis()
    assert genesis.router.hex() not in "\n".join(devnet.log_lines())


def test_committee_hands_over_while_trading_goes_on(ask, devnet, folder, invoked, fits_schema, tmp_path) -> None:
    operator = ("--operator", "operator", "--json")
    same = invoked(devnet.public_home.path, "committee", "rotate", *operator)
    assert same.code == 0, same
    fits_schema(same.json)
    assert same.json["same_key"]
    assert ask("devnet", "trade", "--seconds", "1", "--rate", "5", "--json").json["lost"] == 0
    other = invoked(devnet.public_home.path, "committee", "rotate", "--new-key", "--overlap", "1", *operator)
    assert other.code == 0, other
    assert (other.json["same_key"], other.json["epoch"]) == (False, same.json["epoch"] + 1)
    assert ask("devnet", "trade", "--seconds", "1", "--rate", "5", "--json").json["lost"] == 0
    exported = ask("audit", "export", "-o", tmp_path / "history.bin")
    assert exported.code == 0
    assert ask("audit", "verify", tmp_path / "history.bin").code == 0


def test_home_of_separate_nodes_says_so(devnet, invoked, is_problem) -> None:
    home = devnet.public_home.path
    is_problem(invoked(home, "committee", "reveal"), 3, "--node")
    is_problem(invoked(home, "committee", "rotate"), 2, "--operator")
    is_problem(invoked(home, "committee", "rotate", "--operator", "operator", "--add", "1"), 2, "--member-url")


def test_killed_member_comes_back_and_catches_up(ask, devnet) -> None:
    member = devnet.node("member-2")
    devnet.kill(member)
    assert ask("devnet", "status").code == 1
    traded = ask("devnet", "trade", "--seconds", "1", "--rate", "5", "--json")
    assert traded.json["lost"] == 0
    devnet.start(member)
    devnet.wait([member], "ready")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        nodes = ask("devnet", "status", "--json").json["nodes"]
        heights = {node["executed_height"] for node in nodes}
        if len(heights) == 1:
            return
    raise AssertionError(f"the nodes are at heights {heights}")


def test_stopped_node_ends_with_code_0(devnet) -> None:
    auditor = devnet.node("auditor-1")
    process = auditor.pid
    os.kill(process, signal.SIGTERM)
    end = time.monotonic() + 15
    while devnet.runs(auditor) and time.monotonic() < end:
        time.sleep(0.05)
    assert not devnet.runs(auditor)
    assert '"event": "stopped"' in devnet.log_path(auditor).read_text()
    devnet.start(auditor)
    devnet.wait([auditor], "ready")


def test_node_commands_say_what_they_need(invoked, is_problem, fits_schema, tmp_path) -> None:
    config = tmp_path / "node.toml"
    is_problem(invoked(None, "node", "member", "--config", config), 3, "node.toml")
    config.write_text(
        'role = "member"\nlisten = "127.0.0.1:0"\nsequencer = "http://127.0.0.1:1"\nmembers = ["http://127.0.0.1:2"]\n'
    )
    is_problem(invoked(None, "node", "member", "--config", config), 3, "node init")
    is_problem(invoked(None, "node", "sequencer", "--config", config), 2, "node member")
    made = invoked(None, "node", "init", "--config", config, "--json")
    assert made.code == 0
    fits_schema(made.json)
    is_problem(invoked(None, "node", "init", "--config", config), 2, "already")
    restored = invoked(None, "node", "restored", "--config", config, "--json")
    fits_schema(restored.json)
    config.write_text(config.read_text() + "surprise = 1\n")
    is_problem(invoked(None, "node", "member", "--config", config), 1, "surprise")


def test_node_json_says_where_it_listens(tmp_path, fits_schema) -> None:
    config = tmp_path / "node.toml"
    config.write_text(
        'role = "auditor"\nlisten = "127.0.0.1:0"\nsequencer = "http://127.0.0.1:1"\nmembers = ["http://127.0.0.1:2"]\n'
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli.main", "node"]
    subprocess.run([*command, "init", "--config", config], env=environment, check=True, capture_output=True)
    with subprocess.Popen(
        [*command, "auditor", "--config", config, "--json"], env=environment, stdout=-1, stderr=-1
    ) as node:
        assert node.stdout is not None
        document = json.loads(node.stdout.readline())
        node.send_signal(signal.SIGTERM)
        _, errors = node.communicate(timeout=30)
    fits_schema(document)
    assert (node.returncode, document["role"]) == (0, "auditor")
    assert b"Traceback" not in errors


@pytest.mark.slow
def test_soak_with_every_fault_loses_nothing(invoked, fits_schema) -> None:
    outcome = invoked(None, "devnet", "soak", "--seconds", "30", "--seed", "5", "--every", "1.5", "--json")
    fits_schema(outcome.json)
    assert outcome.code == 0, outcome.json
    assert outcome.json["passed"]


@pytest.mark.slow
def test_network_on_postgresql_comes_up_trades_and_goes(invoked, postgresql, tmp_path) -> None:
    with postgresql.database() as url:
        assert invoked(tmp_path / "home", "devnet", "up", "--members", "4", "--store", url).code == 0
        traded = invoked(tmp_path / "home", "devnet", "trade", "--seconds", "2", "--rate", "5", "--json")
        assert invoked(tmp_path / "home", "devnet", "down").code == 0
    assert (traded.code, traded.json["lost"]) == (0, 0)


@pytest.mark.slow
def test_load_report_fits_its_schema(invoked, fits_schema) -> None:
    outcome = invoked(None, "bench", "load", "--rate", "20", "--seconds", "3", "--json")
    assert outcome.code == 0, outcome
    fits_schema(outcome.json)
    assert (outcome.json["receipted"], outcome.json["receipted_lost"]) == (60, 0)
