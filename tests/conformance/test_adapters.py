"""Other programs over the line protocol: the pages' own code, and a client in JavaScript written from the pages."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from encmempool.conformance.runner import OtherProgram, Result, run
from encmempool.conformance.vectors import load

ADAPTERS = Path(__file__).parent / "adapters"
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH")


def failed(results: tuple[Result, ...]) -> list[str]:
    return [f"{result.case.id}: {result.difference}" for result in results if result.verdict == "failed"]


@pytest.mark.parametrize("page", ["notation", "payload"])
def test_specifications_own_code_meets_its_vectors(page) -> None:
    pytest.importorskip("galois", reason="the pages' code needs the extra `specs`")
    command = shlex.join([sys.executable, str(ADAPTERS / "specs_adapter.py")])
    results = run(load(page=page), OtherProgram(command, time_limit_s=60))
    assert failed(results) == []
    assert {result.verdict for result in results} == {"passed"}


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command of the JavaScript adapter, installed in a folder of its own."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed: the JavaScript adapter is not tested")
    folder = shutil.copytree(
        ADAPTERS / "javascript",
        tmp_path_factory.mktemp("javascript") / "adapter",
        ignore=shutil.ignore_patterns("node_modules"),
    )
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode and any(code in done.stderr for code in OFFLINE):
        pytest.skip("the npm registry cannot be reached: the JavaScript adapter is not tested")
    assert done.returncode == 0, done.stderr
    return shlex.join(["node", str(folder / "adapter.js")])


SUPPORTED = {
    "notation": None,
    "payload": None,
    "tdh2": {
        "key_id",
        "load_public_key",
        "second_generator",
        "encrypt",
        "verify_ciphertext",
        "batch_digest",
        "self_test",
    },
    "transactions": {"domain_separator", "signing_hash", "tx_id", "gas_ladder"},
    "ordering": {"batch_root"},
}
"""Operations that the JavaScript adapter answers, by page; None for all."""


@pytest.mark.slow
def test_javascript_client_meets_the_vectors(javascript) -> None:
    results = run(load(), OtherProgram(javascript, time_limit_s=30))
    assert failed(results) == []
    for result in results:
        case = result.case
        operations = SUPPORTED.get(case.page, set())
        answered = operations is None or case.operation in operations
        assert result.verdict == ("passed" if answered else "unsupported"), case.id
