"""`bench peers` against programs that behave and programs that do not."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from encmempool.bench import peers
from threshold.curve import DEFAULT_BACKEND, set_threads, threads

JOB = ("--job", "hash-to-g1", "--rounds", "6")
PROGRAM = """
import json, os, sys, time
for number, line in enumerate(sys.stdin):
    request = json.loads(line)
    reply = {"job": request["job"], "seconds": [3, 1.0, 2]}
    BODY
    print(json.dumps(reply), flush=True)
"""
"""Answers right unless BODY makes it misbehave. `number` counts the requests of one process."""


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch) -> None:
    monkeypatch.setattr(peers, "ROUND_S", 0.002)


@pytest.fixture
def program(tmp_path):
    """A command that runs PROGRAM with this body."""

    def made(body: str = "pass", name: str = "peer.py") -> str:
        file = tmp_path / name
        file.write_text(PROGRAM.replace("BODY", body))
        return shlex.join([sys.executable, str(file)])

    return made


@pytest.fixture
def measured(invoked, program):
    """The outcome for one program with this body, and its command."""

    def made(body: str = "pass", *options: object):
        command = program(body)
        return invoked(None, "bench", "peers", "--peer-command", command, *(options or JOB)), command

    return made


@pytest.fixture
def bare(tmp_path) -> Path:
    """The drivers where no package is installed."""
    directory = tmp_path / "peers"
    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
    return Path(shutil.copytree(peers.DIRECTORY, directory, ignore=ignored))


# --- results ---------------------------------------------------------------------------------------------------------


def test_rows_hold_their_time_over_ours(measured, fits_schema) -> None:
    outcome, command = measured("pass", *JOB, "--json")
    assert outcome.code == 0, outcome
    fits_schema(outcome.json)
    assert set(outcome.json) == {"schema", "rows", "machine", "versions", "backend", "threads", "skipped"}
    (row,) = outcome.json["rows"]
    assert (row["peer"], row["job"], row["params"], row["peer_s"]) == (command, "hash-to-g1", {}, 2)
    assert row["ratio"] == pytest.approx(2 / row["ours_s"], rel=1e-3)
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert (outcome.json["threads"], outcome.json["skipped"]) == (1, [])


def test_first_answer_only_warms_up(measured) -> None:
    outcome, _ = measured('if number == 0: reply["seconds"] = [80000]', *JOB, "--json")
    assert (outcome.json["rows"][0]["peer_s"], outcome.json["rows"][0]["ratio_high"] < 1e6) == (2, True)


def test_every_round_asks_the_same(measured, tmp_path) -> None:
    log = tmp_path / "log"
    outcome, _ = measured(f"open({str(log)!r}, 'a').write(line)", "--job", "open", "--batch", "2", "--rounds", "7")
    assert outcome.code == 0, outcome
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    by_committee = [[r for r in requests if r["params"]["members"] == members] for members in (4, 16)]
    for asked, threshold in zip(by_committee, (3, 11), strict=True):
        assert len(asked) == 8
        assert all(request == asked[0] for request in asked)
        members = asked[0]["params"]["members"]
        assert asked[0]["params"] == {"members": members, "threshold": threshold, "payload_bytes": 256, "batch": 2}
        assert set(asked[0]["inputs"]) == {"message", "aad"}


def test_table_names_machine_peer_and_ratio(measured) -> None:
    outcome, _ = measured()
    assert outcome.code == 0, outcome
    assert outcome.out.startswith(f"{DEFAULT_BACKEND}, 1 thread, ")
    assert re.search(r"hash-to-g1 +[\d.]+ +2,000 +[\d,]+ +[\d,]+ to [\d,]+\n", outcome.out)
    assert "above 1 we are" in outcome.out


def test_markup_in_a_command_is_shown_as_it_is(invoked, program) -> None:
    command = program(name="[red]peer.py")
    outcome = invoked(None, "bench", "peers", "--peer-command", command, *JOB)
    assert outcome.code == 0, outcome
    assert "[red]" in outcome.out.replace("\n", "")


def test_threads_are_set_for_the_run_alone(measured, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(peers, "_measured", lambda *_, **__: (seen.append(threads()), ([], []))[1])
    before = threads()
    set_threads(5)
    try:
        measured("pass", *JOB)
        measured("pass", *JOB, "--threads", "3")
        assert (seen, threads()) == ([1, 3], 5)
    finally:
        set_threads(before)


def test_program_may_leave_by_itself(invoked, program, tmp_path) -> None:
    command, left = program(), tmp_path / "left"
    with open(tmp_path / "peer.py", "a") as file:
        file.write(f"open({str(left)!r}, 'w')\n")
    assert invoked(None, "bench", "peers", "--peer-command", command, *JOB).code == 0
    assert left.exists()


# --- programs that misbehave -----------------------------------------------------------------------------------------

MISBEHAVIOUR = [
    ("print('hello', flush=True); continue", "is no JSON object: hello"),
    ("print(flush=True); continue", "is no JSON object: an empty line"),
    ("reply = [1]", "is no JSON object: [1]"),
    ("print('[' * 100000, flush=True); continue", "is no JSON object"),
    ("print('{\"seconds\": [' + '9' * 5000 + ']}', flush=True); continue", "is no JSON object"),
    ("sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush(); continue", "is no JSON object"),
    ('reply["job"] = "pairing"', "answered another job"),
    ('del reply["job"]', "answered another job"),
    ('reply["unsupported"] = False; del reply["seconds"]', "without a list of seconds"),
    ('reply["seconds"] = []', "without a list of seconds"),
    ('reply["seconds"] = 0.1', "without a list of seconds"),
    ('reply["seconds"] = [float("nan")]', "a time that is none, NaN"),
    ('reply["seconds"] = [float("inf")]', "a time that is none, Infinity"),
    ('reply["seconds"] = [10 ** 400]', "a time that is none, 1000"),
    ('reply["seconds"] = [1.0, -1.0]', "a time that is none, -1.0"),
    ('reply["seconds"] = [0]', "a time that is none, 0"),
    ('reply["seconds"] = [True]', "a time that is none, true"),
    ('reply["seconds"] = ["1"]', 'a time that is none, "1"'),
    ('reply["seconds"] = [None]', "a time that is none, null"),
    ("print(json.dumps(reply))", "more than one line"),
    ("sys.exit(3)", "exited with code 3"),
    ('raise KeyError("no such curve")', "exited with code 1: KeyError: 'no such curve'"),
    ("os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
    ("if number == 3: reply = {'unsupported': True}", "no longer knows the job"),
]


@pytest.mark.parametrize(("body", "words"), MISBEHAVIOUR)
def test_program_that_misbehaves_is_one_line(body, words, measured, is_problem) -> None:
    outcome, command = measured(body)
    is_problem(outcome, 3, f"no peer was measured: {command}: hash-to-g1: ", words)
    assert outcome.out == ""


def test_program_that_hangs_is_stopped(measured, is_problem) -> None:
    began = time.monotonic()
    outcome, _ = measured("time.sleep(600)", *JOB, "--time-limit", "0.5")
    is_problem(outcome, 3, "no answer within 0.5 s")
    assert time.monotonic() - began < 30


def test_error_with_json_is_an_object(measured, fits_schema) -> None:
    outcome, _ = measured("sys.exit(3)", *JOB, "--json")
    assert (outcome.code, outcome.json["code"]) == (3, "environment")
    fits_schema(outcome.json)


def test_escapes_of_a_program_do_not_reach_the_terminal(measured) -> None:
    outcome, _ = measured("print('\\x1b[31mred', flush=True); continue")
    assert (outcome.code, "\x1b" in outcome.err) == (3, False)


def test_program_that_misbehaves_leaves_the_others_their_rows(invoked, program, fits_schema) -> None:
    bad, good = program("if number == 3: sys.exit(1)", "bad.py"), program(name="good.py")
    arguments = ["bench", "peers", "--peer-command", bad, "--peer-command", good, *JOB]
    outcome = invoked(None, *arguments, "--json")
    assert outcome.code == 3
    assert [row["peer"] for row in outcome.json["rows"]] == [good]
    reason = "hash-to-g1: exited with code 1 without an answer"
    assert outcome.json["skipped"] == [{"peer": bad, "reason": reason, "install": None}]
    assert outcome.err == f"warning: {bad}: {reason}\n"
    fits_schema(outcome.json)
    outcome = invoked(None, *arguments)
    assert (outcome.code, "hash-to-g1" in outcome.out) == (3, True)


def test_program_that_misbehaves_is_not_asked_further(measured, tmp_path) -> None:
    log = tmp_path / "log"
    body = f"open({str(log)!r}, 'a').write(request['job'] + ' '); sys.exit(1)"
    outcome, _ = measured(body, "--job", "pairing", "--job", "hash-to-g1")
    assert (outcome.code, log.read_text()) == (3, "pairing ")


def test_job_that_a_program_does_not_know_is_left_out(measured) -> None:
    body = 'if request["job"] == "pairing": reply = {"unsupported": True}'
    outcome, _ = measured(body, "--job", "pairing", *JOB, "--json")
    assert (outcome.code, [row["job"] for row in outcome.json["rows"]]) == (0, ["hash-to-g1"])
    outcome, _ = measured(body, "--job", "pairing")
    assert (outcome.code, "knows none of the jobs" in outcome.err) == (3, True)


# --- usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--job", "fly"], 2, "there is no job 'fly': choose from encrypt, share"),
        (["--peer", "nobody"], 2, "nobody"),
        (["--rounds", "5"], 2, "--rounds"),
        (["--batch", "0"], 2, "--batch"),
        (["--threads", "0"], 2, "--threads"),
        (["--time-limit", "nan"], 2, "--time-limit"),
        (["--peer-command", ""], 2, "empty"),
        (["--peer-command", "a 'b"], 2, "cannot be read"),
        (["--peer-command", "no-such-program --fast"], 3, "no-such-program"),
        (["--directory", "nowhere"], 2, "nowhere"),
    ],
)
def test_mistake_is_one_line(arguments, code, words, invoked, is_problem) -> None:
    is_problem(invoked(None, "bench", "peers", *arguments), code, words)


# --- which peers are here --------------------------------------------------------------------------------------------


def test_packages_that_are_not_installed_come_with_the_command(invoked, bare, monkeypatch, fits_schema) -> None:
    def nothing_but_ours(name: str) -> str:
        if name == "nucypher-core":
            raise PackageNotFoundError(name)
        return version(name)

    node = bare.parent / "bin" / "node"
    node.parent.mkdir()
    node.write_text("#!/bin/sh\necho v99.0.0\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(node.parent))
    monkeypatch.setattr(peers, "version", nothing_but_ours)
    outcome = invoked(None, "bench", "peers", "--directory", bare, *JOB, "--json")
    assert outcome.code == 0, outcome
    fits_schema(outcome.json)
    assert {row["peer"] for row in outcome.json["rows"]} == {"py_ecc"}
    python = peers._near(sys.executable)
    npm = "npm ci --prefix peers"
    assert {peer["peer"]: (peer["reason"], peer["install"]) for peer in outcome.json["skipped"]} == {
        "ferveo": ("nucypher-core is not installed", f"{python} -m pip install -r peers/requirements.txt"),
        "shutter-sdk": ("@shutter-network/shutter-sdk is not installed", npm),
        "tlock-js": ("tlock-js is not installed", npm),
    }
    shown = invoked(None, "bench", "peers", "--directory", bare, *JOB)
    assert (shown.code, shown.err) == (0, "next: encmempool bench micro\n")
    assert "not measured: tlock-js: tlock-js is not installed; to install it: " in " ".join(shown.out.split())


def test_missing_peer_alone_is_an_environment_problem(invoked, bare, monkeypatch, is_problem) -> None:
    monkeypatch.setenv("PATH", "")
    outcome = invoked(None, "bench", "peers", "--directory", bare, "--peer", "tlock-js")
    is_problem(outcome, 3, "no peer was measured: tlock-js: it needs Node")


def test_damaged_node_package_counts_as_missing(invoked, bare, is_problem) -> None:
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    for content in ("{", "[]", '{"name": "tlock-js"}'):
        manifest = bare / "node_modules" / "tlock-js" / "package.json"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(content)
        outcome = invoked(None, "bench", "peers", "--directory", bare, "--peer", "tlock-js")
        is_problem(outcome, 3, "tlock-js is not installed; to install it: npm ci --prefix peers")


def test_without_the_sources_it_says_so(invoked, tmp_path, is_problem) -> None:
    outcome = invoked(None, "bench", "peers", "--directory", tmp_path, "--peer", "py_ecc")
    is_problem(outcome, 3, "py_ecc: its driver is in the sources")


def test_py_ecc_answers_every_job_of_the_curve(invoked) -> None:
    outcome = invoked(None, "bench", "peers", "--peer", "py_ecc", "--rounds", "6", "--json")
    assert outcome.code == 0, outcome
    jobs = [row["job"] for row in outcome.json["rows"]]
    assert jobs == ["pairing", "multiply-g1", "multiply-g2", "hash-to-g1"]
    assert all(row["ratio_low"] > 1 for row in outcome.json["rows"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("peer", "jobs"),
    [
        ("ferveo", ["encrypt", "share", "open", "open-batch"] * 2),
        ("shutter-sdk", ["shutter-encrypt", "shutter-decrypt"]),
        ("tlock-js", ["timelock-encrypt", "timelock-decrypt"]),
    ],
)
def test_installed_peer_answers_its_jobs(peer, jobs, invoked, fits_schema) -> None:
    found, missing = peers.find([peer])
    if missing:
        pytest.skip(str(missing[0]))
    outcome = invoked(None, "bench", "peers", "--peer", peer, "--batch", "4", "--rounds", "6", "--json")
    assert outcome.code == 0, outcome
    fits_schema(outcome.json)
    assert [row["job"] for row in outcome.json["rows"]] == jobs
    assert found[0].versions.items() <= outcome.json["versions"].items()
    assert "nucypher_core" not in sys.modules


def test_packages_are_pinned_and_name_no_registry() -> None:
    manifest, lock = (
        json.loads((peers.DIRECTORY / name).read_text()) for name in ("package.json", "package-lock.json")
    )
    for name, wanted in manifest["dependencies"].items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == wanted
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    lines = (peers.DIRECTORY / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["nucypher-core==0.16.0"]
