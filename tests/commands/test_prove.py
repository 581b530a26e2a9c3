"""`audit prove`, and `audit verify` of what it writes: what users see, and their mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

OTHER_ROOT = "0x" + "11" * 32


@pytest.fixture
def revealed(run, files, tmp_path) -> dict[str, Path]:
    """The transaction of `files`, executed, with a commitment that names the state after it."""
    for _ in range(2):
        assert run("sequencer", "commit").code == 0
        assert run("committee", "reveal").code == 0
    return files | {"proof": tmp_path / "proof.bin", "history": tmp_path / "history.bin"}


@pytest.fixture
def proof(run, revealed) -> Path:
    assert run("audit", "prove", revealed["receipt"], "-o", revealed["proof"]).code == 0
    return revealed["proof"]


def root_of(run, proof: Path) -> str:
    return run("audit", "verify", proof, "--json").json["network_root"]


def test_prove_says_what_it_wrote_and_how_to_verify_it(run, revealed) -> None:
    outcome = run("audit", "prove", revealed["receipt"], "-o", revealed["proof"])
    assert (outcome.code, outcome.out) == (0, "")
    size = revealed["proof"].stat().st_size
    assert f"wrote {size:,} bytes" in outcome.err
    assert "height 1, position 0 of 1" in outcome.err
    assert f"audit verify {revealed['proof']} --genesis-root {root_of(run, revealed['proof'])}" in outcome.err


def test_verify_shows_place_reveal_and_outcome(run, proof) -> None:
    shown = run("audit", "verify", proof)
    assert shown.code == 0
    for line in ("valid", "height 1, position 0 of 1", "3 of 4 members", "1.5 ETH to 0x", "key of its body", "nonce 1"):
        assert line in shown.out
    assert "executed, and succeeded" in shown.out


def test_verify_needs_nothing_but_the_file_and_the_root(run, invoked, proof, tmp_path, fits_schema) -> None:
    root = root_of(run, proof)
    alone = invoked(tmp_path / "nowhere", "audit", "verify", proof, "--genesis-root", root, "--json")
    assert (alone.code, alone.err) == (0, "")
    assert (alone.json["kind"], alone.json["pinned"], alone.json["outcomes"]) == ("proof", True, ["executed"])
    fits_schema(alone.json)


def test_root_that_nobody_named_is_warned_of(run, invoked, proof, tmp_path) -> None:
    outcome = invoked(tmp_path / "nowhere", "audit", "verify", proof, "--json")
    assert (outcome.code, outcome.json["pinned"]) == (0, False)
    assert outcome.err.startswith("warning: the network root is the proof's own word")
    assert run("audit", "verify", proof).err == ""


def test_proof_of_another_network_is_refused(run, proof, is_problem) -> None:
    is_problem(run("audit", "verify", proof, "--genesis-root", OTHER_ROOT), 1, "another network", "[PRF-1]")
    is_problem(run("audit", "verify", proof, "--genesis-root", "0x11"), 2, "genesis root")


def test_hex_and_standard_input_are_taken(run, proof) -> None:
    text = "0x" + proof.read_bytes().hex() + "\n"
    assert run("audit", "verify", "-", stdin=text).code == 0
    assert run("audit", "verify", "-", stdin=proof.read_bytes()).code == 0


@pytest.mark.parametrize("at", [19, 700, 2000, -1])
def test_damaged_proof_exits_with_1(run, proof, at, is_problem) -> None:
    data = bytearray(proof.read_bytes())
    data[at] ^= 1
    proof.write_bytes(bytes(data))
    is_problem(run("audit", "verify", proof), 1)


def test_proof_from_a_history_file_is_the_same(run, revealed, proof, tmp_path, invoked) -> None:
    assert run("audit", "export", "-o", revealed["history"]).code == 0
    other = tmp_path / "other.bin"
    arguments = ["audit", "prove", revealed["envelope"], "-o", other, "--history", revealed["history"]]
    assert invoked(tmp_path / "nowhere", *arguments).code == 0
    assert other.read_bytes() == proof.read_bytes()


def test_proof_goes_to_standard_output(run, revealed, proof) -> None:
    tx_id = run("status", revealed["receipt"], "--json").json["tx_id"]
    assert run("audit", "prove", tx_id, "-o", "-").raw == proof.read_bytes()


# --- mistakes --------------------------------------------------------------------------------------------------------


def test_transaction_that_is_not_revealed_is_no_proof_yet(run, files, tmp_path, is_problem) -> None:
    target = tmp_path / "proof.bin"
    arguments = ("audit", "prove", files["receipt"], "-o", target)
    is_problem(run(*arguments), 3, "is not committed yet", "sequencer commit")
    assert run("sequencer", "commit").code == 0
    is_problem(run(*arguments), 3, "is committed at height 1 and not revealed yet", "committee reveal")
    assert run("committee", "reveal").code == 0
    outcome = run(*arguments)
    assert outcome.code == 0
    assert "no certified commitment names the state after it yet" in outcome.err


def test_unknown_transaction_has_no_proof(run, revealed, is_problem) -> None:
    arguments = ("audit", "prove", OTHER_ROOT, "-o", revealed["proof"])
    is_problem(run(*arguments), 3, "has never received", "check the id")
    assert run("audit", "export", "-o", revealed["history"]).code == 0
    is_problem(run(*arguments, "--history", revealed["history"]), 3, "no commitment up to height 2", "newer history")
    assert not revealed["proof"].exists()


def test_file_that_is_there_stays(run, revealed, proof, is_problem) -> None:
    arguments = ("audit", "prove", revealed["receipt"], "-o", proof)
    is_problem(run(*arguments), 2, "exists already", "--force")
    assert run(*arguments, "--force").code == 0


def test_arguments_that_do_not_fit_are_usage_errors(run, revealed, is_problem) -> None:
    is_problem(run("audit", "prove", revealed["receipt"]), 2, "--output")
    is_problem(run("audit", "prove", revealed["receipt"], "-o", "-", "--json"), 2, "standard output")
    is_problem(run("audit", "prove", "0x12", "-o", revealed["proof"]), 2, "no transaction id")


def test_history_that_is_none_or_damaged_exits_with_1(run, revealed, proof, is_problem) -> None:
    arguments = ("audit", "prove", revealed["receipt"], "-o", revealed["history"], "--history")
    is_problem(run(*arguments, proof), 1, "height 0", "history of version 1")


def test_json_of_prove_names_the_file_and_what_it_shows(run, revealed, fits_schema) -> None:
    outcome = run("audit", "prove", revealed["receipt"], "-o", revealed["proof"], "--json")
    document = json.loads(outcome.out)
    fits_schema(document)
    assert document["size_bytes"] == revealed["proof"].stat().st_size
    assert (document["height"], document["state"]["nonce"]) == (1, 1)
