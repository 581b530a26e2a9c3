"""`risk watch`: on an exported history, on nodes as processes, and for every mistake one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from encmempool.network.devnet import Devnet
from encmempool.network.peer import BlockingPeer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def history(run, files, tmp_path) -> Path:
    """A network with one executed height, exported."""
    assert run("sequencer", "commit").code == 0
    assert run("committee", "reveal").code == 0
    assert run("audit", "export", "-o", tmp_path / "history.bin").code == 0
    return Path(tmp_path / "history.bin")


# --- an exported history ---------------------------------------------------------------------------------------------


def test_history_is_reported_for_people(run, history) -> None:
    outcome = run("risk", "watch", history)
    assert outcome.code == 0, outcome
    shown = " ".join(outcome.out.split())
    for words in ("1 to 1, all recomputed", "0 dropped, 0 empty", "no block can tell", "none: e-value 1 of 1000"):
        assert words in shown
    assert "1 of 1" in shown  # a member's votes
    assert "unknown: a history holds no counters of nodes" in shown


def test_history_is_reported_as_json_in_either_form(run, history, fits_schema) -> None:
    document = run("risk", "watch", history, "--json").json
    fits_schema(document)
    assert (document["source"], document["verified_height"]) == ("history", 1)
    in_hex = run("risk", "watch", "-", "--json", stdin=history.read_bytes().hex()).json
    assert {**in_hex, "at_ms": 0} == {**document, "at_ms": 0}


def test_options_are_what_the_report_says(run, history) -> None:
    options = ("--alpha", "0.01", "--attack-share", "0.05", "--reorderings", "50", "--from", "2", "--seed", "3")
    document = run("risk", "watch", history, *options, "--json").json
    assert (document["alarm"]["error"], document["alarm"]["attacked_share"]) == (0.01, 0.05)
    assert (document["ordering"]["reorderings"], document["heights"]["executed"]) == (50, 0)
    assert document["verified_height"] == 1


def test_history_that_does_not_verify_is_named_by_height_and_record(run, history, is_problem) -> None:
    damaged = bytearray(history.read_bytes())
    damaged[-200] ^= 1
    history.write_bytes(bytes(damaged))
    is_problem(run("risk", "watch", history), 1, "height ", "record ")
    history.write_bytes(b"something else")
    is_problem(run("risk", "watch", history), 1, "does not start as a history")


@pytest.mark.parametrize(
    ("arguments", "code", "needles"),
    [
        ([], 2, ["--node URL", "exported history"]),
        (["history.bin", "--every", "1"], 2, ["--every", "does not grow"]),
        (["history.bin", "--alpha", "0"], 2, ["--alpha"]),
        (["history.bin", "--attack-share", "2"], 2, ["--attack-share"]),
        (["history.bin", "--reorderings", "18"], 2, ["--reorderings"]),
        (["history.bin", "--from", "-1"], 2, ["--from"]),
        (["nowhere.bin"], 3, ["nowhere.bin: No such file"]),
        (["--node", "http://127.0.0.1:9", "--every", "1"], 3, ["--genesis-root"]),
    ],
)
def test_mistake_is_explained(arguments, code, needles, invoked, is_problem) -> None:
    is_problem(invoked(None, "risk", "watch", *arguments), code, *needles)


def test_history_is_watched_without_the_extra(history, tmp_path) -> None:
    """Nodes' machines have no packages of the experiment."""
    packages = "numpy=None, scipy=None, sklearn=None, matplotlib=None"
    code = f"import sys; sys.modules.update({packages}); from cli.main import main; main()"
    command = [sys.executable, "-c", code, "risk", "watch", str(history)]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0, done.stderr


# --- nodes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a development network of processes that has traded."""
    folder = tmp_path_factory.mktemp("watched")
    try:
        assert execute(folder, "devnet", "up", "-q").returncode == 0
        assert execute(folder, "devnet", "trade", "--seconds", "2", "--rate", "20", "-q").returncode == 0
        yield folder
    finally:
        execute(folder, "devnet", "down", "-q")


def execute(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "cli.main", "--home", str(folder / "home"), *arguments]
    return subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)


@pytest.fixture
def devnet(folder: Path) -> Devnet:
    return Devnet.load(folder / "home" / "devnet")


@pytest.fixture
def ask(folder: Path, devnet: Devnet, invoked) -> Callable[..., Any]:
    url = devnet.node("auditor-1").url
    return lambda *arguments: invoked(folder / "home", "--node", url, *arguments)


@pytest.fixture
def watching(folder: Path, devnet: Devnet) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A watch as a process, ended with the test if not by itself."""
    started = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        url = devnet.node("auditor-1").url
        command = [sys.executable, "-m", "cli.main", "--home", str(folder / "home"), "--node", url, "risk", "watch"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen([*command, *arguments], cwd=folder, env=environment, stdout=-1, stderr=-1)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_node_is_watched_and_agrees_with_its_history(ask, fits_schema, tmp_path) -> None:
    outcome = ask("risk", "watch", "--json")
    assert outcome.code == 0, outcome
    document = outcome.json
    fits_schema(document)
    assert document["heights"]["transactions"] >= 10
    assert document["inclusion"]["delay_ms"]["count"] == document["heights"]["transactions"]
    assert [member["member"] for member in document["members"]] == [1, 2, 3, 4]
    shares = {member["member"]: member["shares"] for member in document["members"]}
    for each in document["metrics"]["shares"]:  # what a node took from another's records it does not count
        assert 0 < each["on_time"] + each["late"] <= shares[each["member"]]
    assert document["metrics"]["stages"]["commitment_to_executed"]["count"] > 0
    assert ask("audit", "export", "-o", tmp_path / "history.bin").code == 0
    exported = ask("risk", "watch", tmp_path / "history.bin", "--from", "0", "--json").json
    assert exported["heights"]["transactions"] == document["heights"]["transactions"]
    assert exported["inclusion"]["delay_ms"] == document["inclusion"]["delay_ms"]


@pytest.mark.slow
def test_watch_survives_a_node_that_is_away(watching, devnet) -> None:
    auditor = devnet.node("auditor-1")
    watch = watching("--every", "0.3", "--from", "100000")
    assert watch.stdout is not None
    assert watch.stderr is not None
    watch.stdout.readline()
    devnet.kill(auditor)
    assert b"warning: this look is left out: " in watch.stderr.readline()
    devnet.start(auditor)
    devnet.wait([auditor], "ready")
    while not watch.stdout.readline().startswith(b"height "):
        pass
    watch.send_signal(signal.SIGINT)
    watch.communicate(timeout=30)
    assert watch.returncode == 130


@pytest.mark.slow
def test_watch_goes_on_until_a_party_is_convicted(watching, folder, devnet, two_receipts, fits_schema) -> None:
    watch = watching("--every", "0.5", "--json")
    assert watch.stdout is not None
    first = json.loads(watch.stdout.readline())
    fits_schema(first)
    assert execute(folder, "devnet", "trade", "--seconds", "1", "--rate", "20", "-q").returncode == 0
    auditor = devnet.node("auditor-1")
    os.kill(auditor.pid or 0, signal.SIGSTOP)  # the watch goes on after a look that is not answered
    time.sleep(0.2)
    os.kill(auditor.pid or 0, signal.SIGCONT)
    piece = two_receipts(devnet.home(devnet.node("sequencer")).path)
    with BlockingPeer(auditor.url) as peer:
        peer.call("submit_evidence", body=piece)
    out, _ = watch.communicate(timeout=60)
    looks = [first, *map(json.loads, out.splitlines())]
    assert watch.returncode == 1
    assert [each["look"] for each in looks] == list(range(1, len(looks) + 1))
    transactions = [each["heights"]["transactions"] for each in looks]
    assert transactions == sorted(transactions)
    assert transactions[-1] > transactions[0]
    (fact,) = looks[-1]["facts"]["newest"]
    assert (fact["kind"], fact["rule"], fact["role"]) == ("conflicting_receipts", "SEQ-2", "sequencer")
    assert looks[-2]["facts"]["count"] == 0
