"""Which curve backend a command takes, that it says so, and what it does when the native one is missing or stale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from threshold.curve import INSTALLED

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("committee", "create", "--members", "1", "--threshold", "1")
MISSING = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "encmempool_native" else real(name, *rest)
from cli.main import main
main(sys.argv[1:])
"""


def command(*arguments: str, cwd: Path, path: Path = ROOT, program: str = "", **env: str) -> tuple[int, str, str]:
    """A process of its own, since a backend is loaded once."""
    start = ["-c", program] if program else ["-m", "cli.main"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join({str(path): 0, str(ROOT): 0}), **env}
    done = subprocess.run(
        [sys.executable, *start, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def _account(tmp_path: Path) -> None:
    assert command("key", "new", "alice", cwd=tmp_path)[0] == 0


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "reference"])
def test_command_says_which_backend_it_used(tmp_path, name) -> None:
    code, _, err = command(*COMMAND, "--backend", name, cwd=tmp_path)
    assert code == 0
    assert [line.split(" (")[0] for line in err.splitlines() if line.startswith("curve: ")] == [f"curve: {name}"]


def test_command_that_needs_no_curve_says_nothing(tmp_path) -> None:
    assert "curve: " not in command("schemes", "--help", cwd=tmp_path)[2]


def test_backend_is_said_on_stderr_and_not_when_quiet(tmp_path) -> None:
    code, out, err = command(*COMMAND, "--json", cwd=tmp_path)
    assert (code, "curve: " in out, "curve: " in err) == (0, False, True)
    code, _, err = command("demo", "--transactions", "2", "--quiet", cwd=tmp_path)
    assert (code, err) == (0, "")


def test_missing_native_backend_is_replaced_and_said_once(tmp_path) -> None:
    code, _, err = command(*COMMAND, cwd=tmp_path, program=MISSING)
    assert code == 0
    said = [line for line in err.splitlines() if "native" in line]
    assert len(said) == 1
    assert said[0].startswith("curve: arkworks; the native backend is not installed: `make native` builds it")


def test_missing_native_backend_is_an_error_when_it_was_asked_for(tmp_path) -> None:
    code, out, err = command(*COMMAND, "--backend", "native", cwd=tmp_path, program=MISSING)
    assert (code, out) == (3, "")
    assert err.splitlines()[-1].startswith("error: the native backend is not installed: run `make native` or choose")


@pytest.mark.parametrize("interface", ["INTERFACE = 0", ""])
def test_native_backend_of_another_version_is_refused_with_the_command_that_rebuilds_it(tmp_path, interface) -> None:
    stale = tmp_path / "stale" / "encmempool_native"
    stale.mkdir(parents=True)
    (stale / "__init__.py").write_text(interface)
    code, out, err = command(*COMMAND, cwd=tmp_path, path=stale.parent)
    assert (code, out) == (3, "")
    assert err.splitlines()[-1] == (
        "error: the installed native backend does not fit this version: run `make native`, which builds it again"
    )


def test_native_backend_that_does_not_load_is_one_line(tmp_path) -> None:
    broken = tmp_path / "broken" / "encmempool_native"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('made for another Python')")
    code, out, err = command(*COMMAND, cwd=tmp_path, path=broken.parent)
    assert (code, out) == (3, "")
    assert "the native backend cannot be loaded (made for another Python): run `make native`" in err
    assert "Traceback" not in err


def test_backend_of_the_environment_counts_for_the_library_too(tmp_path) -> None:
    program = "import threshold.curve as c; print(c.load_backend().name, c.DEFAULT_BACKEND)"
    assert command(cwd=tmp_path, program=program, ENCMEMPOOL_BACKEND="reference")[1] == "reference reference\n"
