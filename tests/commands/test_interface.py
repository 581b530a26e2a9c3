"""What holds for every command: help, global options, --json and its schemas, exit codes, terminals."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import jsonschema
import pytest

from cli.main import main
from encmempool.measure import contracts
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.schemes import shutter

SCHEMAS = Path(__file__).resolve().parents[2] / "specs" / "schemas"


def commands(group: click.Group = main, path: tuple[str, ...] = ()):
    """(path, command) of everything below, groups included."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = [" ".join(path) for path, _ in commands()]
LEAVES = [" ".join(path) for path, command in commands() if not isinstance(command, click.Group)]


def schema(leaf: str) -> Path:
    return SCHEMAS / f"{leaf.replace(' ', '-')}.json"


VERSIONS = {"bench micro": 2}


NAMES = {"devnet soak": "encmempool.soak/1", "risk run": "encmempool.risk-run/1"}
NEED_MORE = ("bench load", "fetch anvil", "evidence fetch", "inbox post", "exit claim", "scenario run")
PROCESSES = [leaf for leaf in LEAVES if leaf.startswith(("node ", "devnet ")) or leaf in NEED_MORE]
"""Commands that need nodes or the package registry: test_devnet.py, test_scenarios.py and test_fetch.py run them."""


def schema_name(leaf: str) -> str:
    """What a document of the command calls its schema: the group alone where `run` is its purpose."""
    if leaf in NAMES:
        return NAMES[leaf]
    return f"encmempool.{leaf.removesuffix(' run').replace(' ', '-')}/{VERSIONS.get(leaf, 1)}"


# --- help ------------------------------------------------------------------------------------------------------------


def test_tree_is_the_documented_one() -> None:
    assert LEAVES == [
        "demo",
        "schemes",
        "key new",
        "key show",
        "tx sign",
        "encrypt",
        "submit",
        "status",
        "wait",
        "committee create",
        "committee show",
        "committee reveal",
        "committee rotate",
        "committee verify",
        "sequencer commit",
        "audit export",
        "audit prove",
        "audit verify",
        "conformance run",
        "bench pipeline",
        "bench load",
        "bench micro",
        "bench scaling",
        "bench peers",
        "bench accountability",
        "bench compare",
        "node init",
        "node sequencer",
        "node member",
        "node auditor",
        "node restored",
        "devnet up",
        "devnet status",
        "devnet logs",
        "devnet down",
        "devnet trade",
        "devnet soak",
        "scenario run",
        "inbox post",
        "exit address",
        "exit claim",
        "measure run",
        "measure report",
        "measure arms",
        "risk run",
        "risk report",
        "risk bond",
        "risk watch",
        "shutter encrypt",
        "shutter decrypt",
        "shutter verify-key",
        "fetch uniswap",
        "fetch anvil",
        "evidence verify",
        "evidence fetch",
    ]


@pytest.mark.parametrize("command", ["", *ALL])
def test_help_has_an_example_and_the_global_options(command, invoked) -> None:
    outcome = invoked(None, *command.split(), "--help")
    assert outcome.code == 0
    assert re.search(rf"Examples?:\n(.*\n)*? +encmempool {command}", outcome.out)
    for option in ("--home", "--node", "--backend", "--json", "--quiet"):
        assert option in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_help_is_quick(executed, tmp_path) -> None:
    # Processor time, twice what it takes on a busy machine: the heavy imports alone take longer.
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert executed("--help", cwd=tmp_path).code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 1.0


def test_help_imports_nothing_heavy(tmp_path) -> None:
    heavy = ("eth_account", "sqlalchemy", "rich", "remerkleable", "py_ecc", "numpy")
    code = f"import cli.main, sys; print([name for name in {heavy} if name in sys.modules])"
    root = str(SCHEMAS.parents[1])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


GROUPS = ["", *(" ".join(path) for path, command in commands() if isinstance(command, click.Group))]


@pytest.mark.parametrize("group", GROUPS)
def test_bare_group_shows_its_help(group, invoked) -> None:
    outcome = invoked(None, *group.split())
    helped = invoked(None, *group.split(), "--help")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", helped.out)


@pytest.mark.parametrize("group", GROUPS)
def test_bare_group_with_json_is_an_error_object(group, invoked, is_problem, fits_schema) -> None:
    outcome = invoked(None, *group.split(), "--json")
    is_problem(outcome, 2, "Missing command", f"encmempool {group}".strip() + " --help")
    fits_schema(outcome.json)


@pytest.mark.parametrize("group", GROUPS)
def test_help_of_groups_documents_exit_codes(group, invoked) -> None:
    shown = " ".join(invoked(None, *group.split(), "--help").out.split())
    assert "Exit codes: 0 done, 1 " in shown
    for words in ("2 usage", "3 environment", "130 interrupted"):
        assert words in shown


def test_version_is_named(invoked) -> None:
    assert re.fullmatch(r"encmempool \d+\.\d+\.\d+\S*\n", invoked(None, "--version").out)


# --- --json ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_command_has_a_schema(leaf) -> None:
    document = json.loads(schema(leaf).read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    assert document["properties"]["schema"]["const"] == schema_name(leaf)
    assert "schema" in document["required"]


def test_every_schema_has_a_command() -> None:
    others = {"error.json", "vectors.json", "bench.json"}
    assert {path.name for path in SCHEMAS.glob("*.json")} == {*(schema(leaf).name for leaf in LEAVES), *others}


@pytest.fixture
def one_vector(tmp_path) -> Path:
    """A directory with a vector of no page that the package answers."""
    file = tmp_path / "vectors" / "toy" / "echo.json"
    file.parent.mkdir(parents=True)
    case = {"id": "toy/echo/1", "title": "a toy", "requirements": ["TOY-1"], "input": {}, "output": {}}
    document = {"schema": "encmempool.vectors/1", "page": "toy", "operation": "echo", "cases": [case]}
    file.write_text(json.dumps(document))
    return tmp_path / "vectors"


@pytest.fixture
def fetched_contracts(tmp_path, monkeypatch) -> None:
    """A cache with stand-ins for the contracts' tarballs: npm is not asked."""
    integrity = base64.b64encode(hashlib.sha512(b"tarball").digest()).decode()
    packages = tuple(replace(package, integrity=integrity) for package in contracts.PACKAGES)
    monkeypatch.setattr(contracts, "PACKAGES", packages)
    monkeypatch.setenv("ENCMEMPOOL_CACHE", str(tmp_path))
    for package in packages:
        (tmp_path / package.file).write_bytes(b"tarball")


@pytest.mark.usefixtures("brief_training", "fetched_contracts")
def test_json_of_every_command_fits_its_schema(
    invoked, fits_schema, one_vector, two_receipts, tmp_path, monkeypatch
) -> None:
    """Runs every leaf of the tree once; a new command without a line here fails."""
    monkeypatch.chdir(tmp_path)
    backend = load_backend()
    Path("message").write_text("0x1c")
    Path("identity_key").write_bytes(shutter.key_share(backend, 1, b""))
    small = ["--blocks", "20", "--arms", "C1", "--verify-fraction", "0", "--leak-transactions", "0", "--workers", "1"]
    identity = ["--eon-key", backend.g2.encode(backend.g2.generator).hex(), "--identity", "0x"]
    lines = {
        "key new": ["alice"],
        "committee create": [],
        "key show": [],
        "committee show": [],
        "tx sign": ["--key", "alice", "--sell", "1 ETH"],
        "encrypt": ["tx"],
        "submit": ["envelope"],
        "status": ["receipt"],
        "sequencer commit": [],
        "committee reveal": [],
        "committee rotate": [],
        "committee verify": [],
        "wait": ["receipt"],
        "audit export": ["-o", "history"],
        "audit prove": ["receipt", "-o", "proof"],
        "audit verify": ["history"],
        "schemes": [],
        "demo": ["--transactions", "2"],
        "bench pipeline": ["--batch", "2"],
        "bench micro": ["--scheme", "tdh2", "--batch", "1"],
        "bench scaling": ["--over", "batch", "--scheme", "clear", "--batch", "1", "--batch", "2", "--batch", "3"],
        "bench compare": ["--threads", "1,2", "--only", "g1::add"],
        "bench accountability": ["--scheme", "tdh2", "--batch", "2"],
        "exit address": ["--key", "alice"],
        "bench peers": ["--peer", "py_ecc", "--job", "hash-to-g1", "--rounds", "6"],
        "conformance run": ["--vectors", str(one_vector)],
        "measure run": [*small, "--engine", "integer"],
        "measure report": ["run.json"],
        "measure arms": [],
        "risk run": ["--years", "1000", "--design", "rotating", "--workers", "1"],
        "risk report": ["risk.json"],
        "risk bond": [],
        "risk watch": ["history"],
        "shutter encrypt": [*identity, "--message", "message"],
        "shutter decrypt": ["--key", "identity_key", "--ciphertext", "ciphertext"],
        "shutter verify-key": [*identity, "--key", "identity_key"],
        "fetch uniswap": [],
        "evidence verify": ["evidence"],
    }
    assert sorted([*lines, *PROCESSES]) == sorted(LEAVES)
    kept = {
        "tx sign": ("transaction", "tx"),
        "encrypt": ("envelope",) * 2,
        "submit": ("receipt",) * 2,
        "shutter encrypt": ("ciphertext",) * 2,
    }
    for leaf, arguments in lines.items():
        if leaf == "evidence verify":
            Path("evidence").write_bytes(two_receipts(Path(".encmempool")).encoded)
        outcome = invoked(None, *leaf.split(), *arguments, "--json")
        assert outcome.code == 0, outcome
        document = outcome.json
        assert document["schema"] == schema_name(leaf)
        fits_schema(document)
        if leaf in kept:
            field, name = kept[leaf]
            Path(name).write_text(document[field])


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["key", "show", "nobody"], 2, "usage"),
        (["--frobnicate"], 2, "usage"),
        (["status"], 2, "usage"),
        (["submit", "/nowhere/envelope.hex"], 3, "environment"),
        (["audit", "verify", "/dev/null"], 1, "audit_failed"),
        (["encrypt", "/dev/null"], 1, "malformed"),
    ],
)
def test_json_error_is_an_object_too(arguments, code, kind, run, fits_schema) -> None:
    outcome = run(*arguments, "--json")
    assert outcome.code == code
    assert outcome.json["schema"] == "encmempool.error/1"
    assert outcome.json["code"] == kind
    assert outcome.err == f"error: {outcome.json['message']}\n"
    fits_schema(outcome.json)


def test_json_error_names_the_rule(run, files, fits_schema) -> None:
    outcome = run("submit", files["envelope"], "--json")
    assert (outcome.code, outcome.json["code"], outcome.json["rule"]) == (1, "rejected", "MEM-1")
    fits_schema(outcome.json)


def test_json_of_an_unknown_transaction_is_its_status(run, fits_schema) -> None:
    for command in ("status", "wait"):
        outcome = run(command, "0x" + "11" * 32, "--json")
        assert (outcome.code, outcome.json["state"]) == (1, "unknown")
        fits_schema(outcome.json)


# --- global options --------------------------------------------------------------------------------------------------


def test_global_options_count_in_any_position(invoked, home) -> None:
    for arguments in (
        ["--home", home, "--json", "committee", "show"],
        ["committee", "--home", home, "show", "--json"],
        ["committee", "show", "--json", "--home", home],
    ):
        assert invoked(None, *arguments).json["members"] == 4


def test_home_given_last_wins_and_beats_the_environment(invoked, home, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ENCMEMPOOL_HOME", str(tmp_path / "nowhere"))
    assert invoked(None, "committee", "show").code == 3
    assert invoked(home, "committee", "show").code == 0
    assert invoked(tmp_path / "nowhere", "committee", "show", "--home", home).code == 0
    assert invoked(home, "committee", "show", "--home", tmp_path / "nowhere").code == 3
    monkeypatch.setenv("ENCMEMPOOL_HOME", str(home))
    assert invoked(None, "committee", "show").code == 0


def test_backend_is_chosen_by_option_or_environment(run, monkeypatch, is_problem) -> None:
    assert run("committee", "show", "--backend", "reference").code == 0
    monkeypatch.setenv("ENCMEMPOOL_BACKEND", "abacus")
    is_problem(run("committee", "show"), 2, "abacus", DEFAULT_BACKEND)
    assert run("--backend", DEFAULT_BACKEND, "committee", "show").code == 0


def test_quiet_silences_hints_and_keeps_warnings(invoked, tmp_path) -> None:
    outcome = invoked(tmp_path / "home", "committee", "create", "--threshold", "2", "--reduced-threshold", "-q")
    assert outcome.code == 0
    assert outcome.err.startswith("warning: reduced threshold 2 of 4")
    assert len(outcome.err.splitlines()) == 1


def test_hints_carry_the_home_that_was_given(run, home) -> None:
    hint = run("status", "0x" + "11" * 32).err
    assert f"next: encmempool --home {home} submit envelope.hex > receipt.hex\n" in hint


def test_errors_that_name_a_command_carry_the_home_too(invoked, run, home, files, tmp_path) -> None:
    empty = tmp_path / "an empty one"
    assert f"run `encmempool --home '{empty}' committee create` first" in invoked(empty, "status", "0x" + "11" * 32).err
    assert f"`encmempool --home {home} key new nobody`" in run("key", "show", "nobody").err
    late = run("wait", files["receipt"], "--timeout", "0").err
    for command in ("sequencer commit", "committee reveal"):
        assert f"`encmempool --home {home} {command}`" in late


def test_errors_in_the_default_home_name_commands_plainly(invoked) -> None:
    assert "run `encmempool committee create` first" in invoked(None, "status", "0x" + "11" * 32).err
    assert "(see `encmempool status --help`)" in invoked(None, "status").err


# --- terminals, pipes and interruptions ------------------------------------------------------------------------------


def on_terminal(started, arguments, *, cwd, answers=(), env=None):
    """Runs a command whose three streams are a terminal, answering each (prompt, line) once it shows.

    Returns the exit code and everything shown.
    """
    ours, theirs = os.openpty()
    process = started(
        arguments, cwd=cwd, env=env or {}, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown, waiting = b"", list(answers)
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
            if waiting and waiting[0][0] in shown:
                os.write(ours, waiting.pop(0)[1])
    except OSError:
        pass  # the terminal's other end is closed
    finally:
        os.close(ours)
    return process.wait(timeout=60), shown.decode()


def test_colors_appear_on_a_terminal_only(started, executed, tmp_path) -> None:
    terminal = {"TERM": "xterm-256color"}
    _, shown = on_terminal(started, ["schemes"], cwd=tmp_path, env=terminal)
    assert "\x1b[32m" in shown
    assert "\x1b[" not in executed("schemes", cwd=tmp_path, env=terminal).out


def test_no_color_is_respected(started, tmp_path) -> None:
    _, shown = on_terminal(started, ["schemes"], cwd=tmp_path, env={"TERM": "xterm-256color", "NO_COLOR": "1"})
    assert "\x1b[" not in shown
    _, shown = on_terminal(started, ["committee", "show"], cwd=tmp_path, env={"TERM": "xterm", "NO_COLOR": "1"})
    assert "\x1b[" not in shown
    assert "error: " in shown


def test_password_is_asked_for_on_a_terminal_and_not_shown(started, invoked, tmp_path) -> None:
    answers = [(b"Password for the account", b"correct horse\n"), (b"Once more", b"correct horse\n")]
    code, shown = on_terminal(started, ["key", "new", "bob", "--home", "home"], cwd=tmp_path, answers=answers)
    assert code == 0, shown
    assert "opened by your password" in shown
    assert "correct horse" not in shown
    assert not (tmp_path / "home" / "password").exists()


def test_empty_password_generates_the_homes(started, tmp_path) -> None:
    answers = [(b"Password for the account", b"\n")]
    code, shown = on_terminal(started, ["key", "new", "bob", "--home", "home"], cwd=tmp_path, answers=answers)
    assert code == 0, shown
    assert (tmp_path / "home" / "password").read_text().strip() not in shown


def test_interrupted_command_exits_130_quietly(run, monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("encmempool.client.Client.status", interrupt)
    outcome = run("status", "0x" + "11" * 32)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children inherit an ignored signal, and workers of a parallel test run ignore this one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_process_exits_130_quietly(started, home, tmp_path) -> None:
    ours, theirs = os.openpty()
    pipe = subprocess.PIPE
    process = started(["--home", home, "status", "-"], cwd=tmp_path, stdin=theirs, stdout=pipe, stderr=pipe)
    os.close(theirs)
    assert process.stderr is not None
    assert process.stderr.readline() == b"reading from the terminal: end with Ctrl-D\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    os.close(ours)
    assert (process.returncode, out, err) == (130, b"", b"interrupted\n")


@pytest.mark.usefixtures("interruptible")
def test_interrupted_loading_exits_130_quietly(executed, tmp_path) -> None:
    """The first library that the program loads is replaced by one that interrupts it there."""
    (tmp_path / "click.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    outcome = executed("--help", cwd=tmp_path)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")


@pytest.mark.usefixtures("interruptible")
def test_interruptions_are_exceptions_again_once_loaded() -> None:
    check = "import signal, cli.main; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    loaded = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert loaded.stdout == "True\n"


def test_closed_pipe_ends_quietly(started, tmp_path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = started(["schemes", "-q"], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_an_environment_problem(started, tmp_path) -> None:
    with open("/dev/full", "wb") as full:
        process = started(["schemes", "-q"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (3, b"error: No space left on device\n")


def test_own_mistake_is_not_hidden(run, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr("encmempool.client.Client.status", broken)
    with pytest.raises(AssertionError, match="ours"):
        run("status", "0x" + "11" * 32)
