"""`measure`: what a run leaves behind, however it ends; every mistake is one line, and finished work is kept."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from encmempool.measure import contracts

pytest.importorskip("numpy", reason="the extra `measure` is not installed")

CHEAP = (
    *("--verify-fraction", "0", "--leak-transactions", "0", "--training-blocks", "20"),
    *("--engine", "integer", "--workers", "1"),
)
TINY = ("measure", "run", "--blocks", "20", "--arms", "C1", *CHEAP)
LONG = ("measure", "run", "--blocks", "300", "--arms", "C1", *CHEAP)
"""Four chunks, seconds long."""
VARIES = ("elapsed_s", "latency", "verification")
COLUMNS = "block,pair,token_in,token_out,reserve_in,reserve_out,amount_in,amount_out,bound_min_out,bound_max_in"
WETH, TOKEN = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "0x" + "12" * 20


def swap(amount_in: object = 10**18, *, reserve_in: int = 10**22) -> str:
    """A row that counts."""
    return f"1,pool,{WETH},{TOKEN},{reserve_in},{10**25},{amount_in},{10**20},{10**20},"


def figures(file: Path) -> dict[str, Any]:
    """What a run's configuration alone determines."""
    document = json.loads(file.read_text(), parse_constant=pytest.fail)
    return {name: value for name, value in document.items() if name not in VARIES}


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "run.json.parts").glob("*.npz"))


@pytest.fixture
def run(invoked) -> Callable[..., Any]:
    """Commands that need no home."""
    return lambda *arguments: invoked(None, *arguments)


@pytest.fixture(scope="module")
def undisturbed(invoked, tmp_path_factory) -> dict[str, Any]:
    """The figures of LONG."""
    file = tmp_path_factory.mktemp("undisturbed") / "run.json"
    assert invoked(None, *LONG, "-o", file).code == 0
    return figures(file)


@pytest.fixture(scope="module")
def readable(invoked, tmp_path_factory) -> tuple[Path, Any]:
    """A run with a scheme that hides nothing."""
    file = tmp_path_factory.mktemp("readable") / "run.json"
    clear = ("--scheme", "clear", "--arms", "T1,T2")
    return file, invoked(None, *TINY, *clear, "-o", file)


# --- results ---------------------------------------------------------------------------------------------------------


def test_scheme_that_hides_nothing_gives_the_plaintext_figure_and_a_warning(readable) -> None:
    """A18, the negative control."""
    file, outcome = readable
    arms = figures(file)["arms"]
    assert arms["T1"]["extracted_bps"] == arms["C1"]["extracted_bps"]
    assert arms["C1"]["extracted_bps"]["low"] > 0
    assert "T2" not in arms  # nothing can be shuffled by what is read already
    assert outcome.code == 0
    assert outcome.err.count("warning: clear hides nothing: this is the negative control") == 1


def test_report_is_written_in_both_formats(readable, run, fits_schema) -> None:
    file, _ = readable
    outcome = run("measure", "report", file)
    assert (outcome.code, outcome.out) == (0, "report.html\n")
    assert Path("report.html").read_text().startswith("<!DOCTYPE html>")
    document = run("measure", "report", file, "-o", "report.md", "--json").json
    fits_schema(document)
    assert document["format"] == "markdown"
    assert document["size_bytes"] == len(Path("report.md").read_bytes())
    assert Path("report.md").read_text().startswith("# ")
    assert run("measure", "report", file, "--format", "markdown", "-o", "page").code == 0
    assert Path("page").read_bytes() == Path("report.md").read_bytes()


def test_arms_are_listed(run, fits_schema) -> None:
    shown, document = run("measure", "arms"), run("measure", "arms", "--members", "7", "--json").json
    fits_schema(document)
    assert shown.code == 0
    listed = {arm["id"]: arm for arm in document["arms"]}
    assert {"C0", "C1", "C2", "C3", "T1", "T6/t'=4", "T6/t'=5", "T10", "D1"} <= listed.keys()
    assert all(id in shown.out for id in ("C1", "T5/q=0.05", "T6/t'=3", "D1"))
    assert listed["T6/t'=4"]["claims"]
    assert not listed["T6/t'=5"]["claims"]


def test_arms_are_listed_without_the_extra(tmp_path) -> None:
    code = "import sys; sys.modules.update(numpy=None, scipy=None, sklearn=None); from cli.main import main; main()"
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", code, "measure", "arms"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_auto_runs_on_integers_without_contracts_and_says_so_once(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ENCMEMPOOL_CACHE", str(tmp_path / "empty"))
    outcome = run(*TINY, "--engine", "auto", "--arms", "T6/t'=3")
    assert outcome.code == 0
    assert outcome.err.count("integer engine alone: ") == 1
    result = figures(Path("run.json"))
    assert result["engine"] == "integer"
    command = shlex.split(result["command"])  # as a shell reads it
    assert command[command.index("--arms") + 1] == "T6/t'=3"


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "needles"),
    [
        (["--arms", "C1,X9"], ["no arm 'X9'", "C0, C1, C2", "D1", "measure arms"]),
        (["--arms", ","], ["--arms ','", "no arm"]),
        (["--arms", "T2", "--scheme", "clear"], ["--arms 'T2'", "clear"]),
        (["--users", "0"], ["--users"]),
        (["--users", "257"], ["1 to 256 users, not 257"]),
        (["--pools", "9"], ["1 to 8 pools, not 9"]),
        (["--flow", "swaps.csv", "--users", "3"], ["--users and --pools", "--flow"]),
        (["--blocks", "19"], ["20 to 1,000,000 blocks, not 19"]),
        (["--blocks", "1000001"], ["not 1,000,001"]),
        (["--training-blocks", "5"], ["training blocks, not 5"]),
        (["--threshold", "5"], ["between 1 and the 4 members, not 5"]),
        (["--threshold", "2"], ["--reduced-threshold"]),
        (["--verify-fraction", "1.5"], ["--verify-fraction"]),
        (["--verify-fraction", "nan"], ["between 0 and 1"]),
        (["--leak-transactions", "199"], ["at least 200", "not 199"]),
        (["--scheduler", "foo://bar"], ["'foo://bar'", "tcp://host:port"]),
        (["--scheduler", "tcp://localhost:99999"], ["tcp://host:port"]),
    ],
)
def test_usage_mistake_is_explained_and_leaves_nothing(arguments, needles, run, tmp_path, is_problem) -> None:
    is_problem(run(*TINY, *arguments), 2, *needles)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lines", "needles"),
    [
        ([COLUMNS.replace(",amount_in", ""), swap()], ["lacks the column amount_in"]),
        ([COLUMNS, swap(), swap(-5)], ["line 3", "amount_in is negative"]),
        ([COLUMNS, swap("many")], ["line 2", "'many'", "whole number"]),
        ([COLUMNS, swap("9" * 5000)], ["line 2", "amount_in"]),
        ([COLUMNS, swap("9" * 400)], ["line 2", "amount_in", "2^256"]),
        ([COLUMNS, swap()[:30]], ["line 2", "the row ends before"]),
        ([COLUMNS, swap(reserve_in=0)], ["no swap against WETH with a limit"]),
        ([COLUMNS, swap(10, reserve_in=1_000)], ["no swap against WETH"]),
        ([COLUMNS], ["no swap against WETH with a limit"]),
        ([], ["lacks the columns block, pair"]),
        (["\xff\xfe\x00"], ["is not a CSV file in UTF-8"]),
    ],
)
def test_bad_flow_is_explained_and_leaves_nothing(lines, needles, run, tmp_path, is_problem) -> None:
    (tmp_path / "swaps.csv").write_bytes("\n".join(lines).encode("latin-1"))
    outcome = run(*TINY, "--flow", "swaps.csv")
    is_problem(outcome, 1, "swaps.csv", *needles)
    assert len(outcome.err) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["swaps.csv"]


def test_flow_that_cannot_be_read_is_an_environment_problem(run, tmp_path, is_problem) -> None:
    is_problem(run(*TINY, "--flow", "gone.csv"), 3, "gone.csv: No such file")
    is_problem(run(*TINY, "--flow", tmp_path), 3, "Is a directory")


def test_evm_without_contracts_names_the_command_that_fetches(run, tmp_path, monkeypatch, is_problem) -> None:
    pytest.importorskip("pyrevm")
    monkeypatch.setenv("ENCMEMPOOL_CACHE", str(tmp_path / "cache"))
    is_problem(run(*TINY, "--engine", "evm"), 3, "encmempool fetch uniswap", str(tmp_path / "cache"))


def test_evm_with_a_corrupted_tarball_names_it_and_both_digests(run, tmp_path, monkeypatch, is_problem) -> None:
    pytest.importorskip("pyrevm")
    monkeypatch.setenv("ENCMEMPOOL_CACHE", str(tmp_path))
    for package in contracts.PACKAGES:
        (tmp_path / package.file).write_bytes(b"not what was pinned")
    file = str(tmp_path / contracts.CORE.file)
    is_problem(run(*TINY, "--engine", "evm"), 3, file, f"expected sha512-{contracts.CORE.integrity}", "delete it")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_unreachable_scheduler_is_an_environment_problem(run, silent_server, tmp_path, monkeypatch, is_problem) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("encmempool.measure.workers._SCHEDULER_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    began = time.monotonic()
    for address in (closed, silent_server):
        is_problem(run(*TINY, "--scheduler", address), 3, f"scheduler at {address} cannot be reached")
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["numpy", "scipy", "sklearn", "matplotlib", "jinja2"])
@pytest.mark.parametrize("command", [TINY, ("measure", "report", "run.json")])
def test_missing_extra_says_what_to_install(command, package, run, monkeypatch, is_problem) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    is_problem(run(*command), 3, "make measure", "pip install 'encmempool[measure]'")


@pytest.fixture
def _no_work(monkeypatch) -> None:
    """Work that starts fails the test."""
    monkeypatch.setattr("encmempool.measure.experiment.executor", lambda *_, **__: pytest.fail("the work started"))


@pytest.mark.usefixtures("_no_work")
def test_output_that_cannot_be_written_is_refused_before_the_work(run, tmp_path, monkeypatch, is_problem) -> None:
    is_problem(run(*TINY, "-o", "missing/run.json"), 3, "missing is no directory")
    is_problem(run(*TINY, "-o", tmp_path), 3, f"{tmp_path} is no file")
    is_problem(run(*TINY, "-o", "/dev/null"), 3, "/dev/null is no file")
    with monkeypatch.context() as patch:  # root may write everywhere
        patch.setattr(os, "access", lambda *_: False)
        is_problem(run(*TINY, "-o", "run.json"), 3, "cannot be written to")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "needles"),
    [
        ("", ["is empty"]),
        ('{"schema": "encmempool.measure/1", "se', ["cut off"]),
        ("hello", ["is not JSON"]),
        ("[]", ["without a schema"]),
        ('{"schema": "encmempool.demo/1"}', ["'encmempool.demo/1'", "'encmempool.measure/1' is expected"]),
        ('{"schema": "encmempool.measure/1"}', ["missing"]),
        ("\xff\x00", ["is not JSON"]),
    ],
)
def test_report_of_what_is_no_run_is_refused(text, needles, run, tmp_path, is_problem) -> None:
    (tmp_path / "other.json").write_bytes(text.encode("latin-1"))
    is_problem(run("measure", "report", "other.json"), 1, *needles)
    assert not (tmp_path / "report.html").exists()


def test_report_of_a_missing_file_is_an_environment_problem(run, readable, is_problem) -> None:
    is_problem(run("measure", "report", "gone.json"), 3, "gone.json: No such file")
    is_problem(run("measure", "report", readable[0], "-o", "missing/page.html"), 3, "missing/page.html: No such file")


# --- runs that do not end as they should -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full_disk(invoked, tmp_path_factory) -> tuple[Path, Any]:
    """The disk is full when the third chunk is written; config.json is written before the first."""
    folder = tmp_path_factory.mktemp("full")
    (folder / "run.json").write_text("precious")
    left, fsync = iter(range(3)), os.fsync

    def full(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("encmempool.measure.experiment.os.fsync", full)
        outcome = invoked(None, *LONG, "-o", folder / "run.json")
    return folder, outcome


@pytest.fixture
def stopped(full_disk, tmp_path, monkeypatch) -> Path:
    """A directory of one's own with what the full disk left."""
    copied = Path(shutil.copytree(full_disk[0], tmp_path / "stopped"))
    monkeypatch.chdir(copied)
    return copied


def test_full_disk_keeps_the_finished_chunks_and_the_earlier_result(full_disk, is_problem) -> None:
    folder, outcome = full_disk
    is_problem(outcome, 3, "No space left on device", "evaluation-0000100.npz", "finished blocks are kept", "--resume")
    assert parts(folder) == ["evaluation-0000000.npz", "training-0000000.npz"]
    assert not list(folder.rglob("*.tmp"))
    assert (folder / "run.json").read_text() == "precious"


def test_resumed_run_gives_the_figures_of_an_undisturbed_one(stopped, undisturbed, run) -> None:
    """Though a finished chunk was damaged meanwhile."""
    damaged = stopped / "run.json.parts" / "evaluation-0000000.npz"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    assert run(*LONG, "--resume").code == 0
    assert figures(stopped / "run.json") == undisturbed
    assert [path.name for path in stopped.iterdir()] == ["run.json"]


@pytest.mark.usefixtures("_no_work")
def test_finished_part_is_neither_overwritten_nor_mixed(stopped, run, is_problem) -> None:
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    is_problem(run(*LONG), 3, "run.json.parts holds the finished part of an earlier run", "--resume")
    is_problem(run(*LONG, "--resume", "--seed", "2"), 3, "run with other options (--seed)")
    is_problem(run(*LONG, "--resume", "--blocks", "400", "--arms", "C2"), 3, "other options (--arms, --blocks)")
    with open(stopped / "run.json.parts" / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        is_problem(run(*LONG, "--resume"), 3, "another run is writing to run.json.parts")
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before
    (stopped / "run.json.parts" / "config.json").unlink()
    is_problem(run(*LONG, "--resume"), 3, "its config.json is missing or damaged")


@pytest.mark.usefixtures("_no_work")
def test_resumed_run_with_another_flow_file_is_refused(stopped, run, is_problem) -> None:
    config = stopped / "run.json.parts" / "config.json"
    (stopped / "swaps.csv").write_text(f"{COLUMNS}\n{swap()}\n")
    told = json.loads(config.read_text()) | {"flow": str(stopped / "swaps.csv"), "contents of the flow file": "other"}
    config.write_text(json.dumps(told))
    outcome = run(*LONG, "--resume", "--flow", "swaps.csv")
    is_problem(outcome, 3, "other options (contents of the flow file)")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_stopped_process_leaves_its_chunks_and_no_process(number, code, started, undisturbed, run, tmp_path) -> None:
    """Ctrl-C reaches all processes of a terminal, and twice is once; a killed run's workers end by themselves."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what children inherit
    pipe = subprocess.PIPE
    process = started(LONG, cwd=tmp_path, stdout=pipe, stderr=pipe, start_new_session=True)
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run.json.parts" / "evaluation-0000000.npz").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=30)  # returns when the last process has closed the pipes
    assert (process.returncode, out) == (code, b"")
    assert err == b"interrupted\n" or number == signal.SIGKILL  # Python's own helper may say that it was left behind
    assert "evaluation-0000000.npz" in parts(tmp_path)
    assert not (tmp_path / "run.json").exists()
    assert run(*LONG, "--resume").code == 0
    assert figures(tmp_path / "run.json") == undisturbed


def test_killed_worker_is_an_environment_problem(run, tmp_path, monkeypatch, is_problem) -> None:
    monkeypatch.setattr("encmempool.measure.workers._end_with_the_run", partial(os._exit, 1))
    is_problem(run(*TINY), 3, "a worker process was killed", "--resume", "--workers")
    assert list(tmp_path.iterdir()) == []


def test_run_that_does_not_agree_with_itself_ends_in_one_line(invoked, is_problem, tmp_path, monkeypatch) -> None:
    """MSR-16. The run has no figures, and says where it parted from the model."""
    from encmempool.measure import experiment
    from encmempool.measure.ciphertexts import PathDisagrees

    def disagree(*_: object) -> None:
        raise PathDisagrees("T1, abstain, seed 1: another order was executed than was planned")

    monkeypatch.setattr(experiment, "_run", disagree)
    outcome = invoked(None, "measure", "run", "--blocks", "20", "--arms", "C1", "--engine", "integer")
    is_problem(outcome, 1, "another order was executed than was planned", "the run has no figures")
    assert not Path("run.json").exists()
