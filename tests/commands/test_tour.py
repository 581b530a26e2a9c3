"""The README's tour as a user types it, and what it must not say."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from encmempool.home import Home

ROOT = Path(__file__).resolve().parents[2]
HEX_LINE = re.compile(r"0x([0-9a-f]{2})+\n")
TOUR = """
key new alice
committee create
key show
committee show
tx sign --key alice --sell "1.5 ETH" > tx.hex
encrypt tx.hex > envelope.hex
submit envelope.hex > receipt.hex
status receipt.hex
sequencer commit > commitment.hex
committee reveal
status receipt.hex
wait receipt.hex
audit export -o history.bin
audit verify history.bin
"""


@pytest.fixture(scope="module")
def tour(tmp_path_factory, invoked):
    """Every line of the tour in one home: what each printed, and where."""
    folder = tmp_path_factory.mktemp("tour")
    outcomes = []
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in TOUR.strip().splitlines():
            command, _, target = line.partition(" > ")
            arguments = re.findall(r'"[^"]*"|\S+', command)
            outcome = invoked(None, *(argument.strip('"') for argument in arguments))
            if target:
                Path(target).write_text(outcome.out)
            outcomes.append((line, outcome))
    finally:
        os.chdir(before)
    return folder, outcomes


def test_tour_succeeds_line_by_line(tour) -> None:
    assert [(line, outcome.err) for line, outcome in tour[1] if outcome.code != 0] == []


def test_tour_ends_executed_and_verified(tour) -> None:
    outputs = [(line, outcome.out) for line, outcome in tour[1]]
    statuses = [out for line, out in outputs if line == "status receipt.hex"]
    assert "received" in statuses[0]
    assert "executed, succeeded" in statuses[1]
    assert "swapped 1.5 ETH for 4,485.158489 TKN" in dict(outputs)["committee reveal"]
    assert "valid" in dict(outputs)["audit verify history.bin"]


def test_tour_objects_are_one_line_of_hex(tour) -> None:
    for line, outcome in tour[1]:
        if ".hex" in line and ">" in line:
            assert HEX_LINE.fullmatch(outcome.out), line


def test_tour_hints_name_the_next_line(tour) -> None:
    for (line, outcome), (following, _) in zip(tour[1], tour[1][1:], strict=False):
        if following.split()[0] not in ("key", "status", "wait") and "show" not in following + line:
            assert f"encmempool {' '.join(following.split()[:2])}" in outcome.err, line


def test_tour_output_fits_80_columns(tour) -> None:
    wide = [row for _, outcome in tour[1] for row in outcome.out.splitlines() if len(row) > 80]
    assert [row for row in wide if not HEX_LINE.fullmatch(row + "\n")] == []


def test_tour_prints_no_secret(tour) -> None:
    folder, outcomes = tour
    home = Home(folder / ".encmempool")
    password = home.generated_password()
    secrets = [password.text.decode(), home.identity("sequencer", password).secret_bytes().hex()]
    secrets += [home.account(name, password).secret_bytes().hex() for name in home.account_names()]
    for member in range(1, 5):
        secrets.append(home.identity(f"members/{member}", password).secret_bytes().hex())
        secrets.append(home.key_share(member, password).secret_bytes().hex())
    said = "".join(outcome.out + outcome.err for _, outcome in outcomes).lower()
    assert [secret for secret in secrets if secret in said] == []
    assert len(secrets) == len(set(secrets)) == 2 + 11 + 8


def test_tour_leaves_secrets_private(tour) -> None:
    home = tour[0] / ".encmempool"
    for path in (home / "password", *home.glob("accounts/*.json"), *home.glob("**/key-share.json")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.parametrize("program", ["module", "script"])
def test_pipes_carry_objects_from_command_to_command(program, home, tmp_path) -> None:
    script = Path(sys.executable).with_name("encmempool")
    if program == "script" and not script.exists():
        pytest.skip("the console script is not installed")
    call = f"{sys.executable} -m cli.main" if program == "module" else str(script)
    line = (
        f'{call} -q tx sign --key alice --sell "4000 TKN" | {call} -q encrypt - | '
        f"{call} -q submit - | {call} -q status --json -"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ENCMEMPOOL_HOME": str(home)}
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-o", "pipefail", "-c", line], env=environment, cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'"state": "received"' in done.stdout


def test_objects_are_read_as_hex_or_binary(run, files) -> None:
    digits = files["envelope"].read_text().strip().removeprefix("0x")
    ids = set()
    for data in (f"0x{digits}", f"\n {digits}\r\n", digits.upper(), bytes.fromhex(digits)):
        files["envelope"].write_bytes(data if isinstance(data, bytes) else data.encode())
        ids.add(run("status", "--json", files["envelope"]).json["tx_id"])
    ids.add(run("status", "--json", "-", stdin=digits).json["tx_id"])
    ids.add(run("status", "--json", files["receipt"]).json["tx_id"])
    assert len(ids) == 1
    assert run("status", "--json", ids.pop()).json["state"] == "received"


def test_history_passes_through_a_pipe(run) -> None:
    exported = run("audit", "export", "-o", "-")
    assert exported.raw.startswith(b"encmempool history 1\n")
    assert run("audit", "verify", "-", stdin=exported.raw).code == 0
    assert run("audit", "verify", "-", stdin="0x" + exported.raw.hex()).code == 0
