"""Runs commands in this process (`run`) or as a user would (`shell`), in homes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from referencing import Registry

from cli.main import main
from encmempool.evidence import ConflictingReceipts, Evidence
from encmempool.home import Home
from encmempool.types import Receipt, SignedReceipt, signing_digest

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "specs" / "schemas"


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str
    raw: bytes = b""

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every command runs in a directory of its own: what it writes by mistake lands there."""
    monkeypatch.chdir(tmp_path)
    for name in ("ENCMEMPOOL_HOME", "ENCMEMPOOL_NODE", "ENCMEMPOOL_BACKEND", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def brief_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's attacker learns from fewer markets: here only the output matters."""
    monkeypatch.setattr("encmempool.measure.demo.TRAINING_SWAPS", 1)


def invoke(home: Path | None, *arguments: object, stdin: bytes | str | None = None) -> Outcome:
    """One command in this process; a traceback would surface here as the test's own failure."""
    options = [] if home is None else ["--home", str(home)]
    result = CliRunner().invoke(main, [*options, *map(str, arguments)], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, without_backend(result.stderr), result.stdout_bytes)


def start(arguments: Sequence[object], *, cwd: Path, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *map(str, arguments)], cwd=cwd, env=environment, **options
    )


def execute(*arguments: object, cwd: Path, stdin: bytes = b"", env: dict[str, str] | None = None) -> Outcome:
    """One command as a process of its own."""
    pipe = subprocess.PIPE
    process = start(arguments, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, env=env or {})
    out, err = process.communicate(stdin, timeout=60)
    return Outcome(process.returncode, out.decode(errors="replace"), without_backend(err.decode()), out)


def without_backend(err: str) -> str:
    """Which curve arithmetic a command used depends on what is installed, and is said once a process."""
    return "".join(line for line in err.splitlines(keepends=True) if not line.startswith("curve: "))


def check_schema(document: dict[str, Any]) -> None:
    """The document against the schema it names. Schemas refer to each other by their $id."""
    schemas = [json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")]
    named = {schema["properties"]["schema"]["const"]: schema for schema in schemas}
    registry: Registry[Any] = Registry().with_contents((schema["$id"], schema) for schema in schemas)
    jsonschema.Draft202012Validator(named[document["schema"]], registry=registry).validate(document)


def check_problem(outcome: Outcome, code: int, *needles: str) -> None:
    """Exit code and one line that says what is wrong, apart from warnings."""
    assert outcome.code == code, outcome
    assert "Traceback" not in outcome.err + outcome.out
    lines = [line for line in outcome.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    for needle in needles:
        assert needle in lines[0]


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with alice's account and a network, made once and copied for each test."""
    home = tmp_path_factory.mktemp("template") / "home"
    for arguments in (("key", "new", "alice"), ("committee", "create")):
        assert invoke(home, *arguments).code == 0
    return home


@pytest.fixture
def home(_template: Path, tmp_path: Path) -> Path:
    """A network with nothing in it yet, alice's account and the development accounts."""
    return Path(shutil.copytree(_template, tmp_path / "home"))


@pytest.fixture
def run(home: Path) -> Run:
    """Commands in `home`."""
    return lambda *arguments, **options: invoke(home, *arguments, **options)


def _two_receipts(home: Path) -> Evidence:
    """What a network's sequencer must never sign: here the test holds its key."""
    opened = Home(home)
    password = opened.generated_password()
    assert password is not None
    identity, root = opened.identity("sequencer", password), opened.genesis().root
    signed = []
    for tx_id in (b"\x01" * 32, b"\x02" * 32):
        receipt = Receipt(
            tx_id=tx_id,
            sequence=5,
            received_at_ms=1,
            include_by_height=9,
            include_by_l1_block=64,
            reveal_by_l1_block=128,
        )
        signed.append(SignedReceipt(message=receipt, signature=identity.sign(signing_digest(receipt, root))))
    return Evidence.of(ConflictingReceipts(first=signed[0], second=signed[1]))


@pytest.fixture(scope="session")
def two_receipts() -> Callable[..., Evidence]:
    """Evidence about the sequencer of the network in a home."""
    return _two_receipts


@pytest.fixture
def files(run: Run, tmp_path: Path) -> dict[str, Path]:
    """A transaction of alice, its envelope and its receipt, as files; submitted, not committed."""
    made = {}
    for name, arguments in (
        ("tx", ("tx", "sign", "--key", "alice", "--sell", "1.5 ETH")),
        ("envelope", ("encrypt", tmp_path / "tx.hex")),
        ("receipt", ("submit", tmp_path / "envelope.hex")),
    ):
        outcome = run(*arguments)
        assert outcome.code == 0, outcome
        made[name] = tmp_path / f"{name}.hex"
        made[name].write_text(outcome.out)
    return made


@pytest.fixture(scope="session")
def invoked() -> Run:
    """invoke(home or None, *arguments, stdin=…)."""
    return invoke


@pytest.fixture(scope="session")
def executed() -> Run:
    """execute(*arguments, cwd=…, stdin=…, env=…)."""
    return execute


@pytest.fixture(scope="session")
def started() -> Callable[..., subprocess.Popen[bytes]]:
    """start(arguments, cwd=…, **Popen options)."""
    return start


@pytest.fixture(scope="session")
def is_problem() -> Callable[..., None]:
    """is_problem(outcome, exit code, *words of the line)."""
    return check_problem


@pytest.fixture(scope="session")
def fits_schema() -> Callable[[dict[str, Any]], None]:
    """The document against the schema it names."""
    return check_schema
