"""`evidence verify` as a user meets it: from a home, from files, from a history, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest


@pytest.fixture
def piece(home, two_receipts, tmp_path):
    file = tmp_path / "evidence.hex"
    file.write_text("0x" + two_receipts(home).encoded.hex() + "\n")
    return file


def test_evidence_names_offender_and_rule(run, piece, home):
    outcome = run("evidence", "verify", piece)
    assert outcome.code == 0
    assert "sequencer 0x" in outcome.out
    assert "SEQ-2, by conflicting receipts" in outcome.out
    assert outcome.err == ""


def test_evidence_is_read_from_standard_input_in_hex_and_binary(run, home, two_receipts):
    data = two_receipts(home).encoded
    documents = [run("evidence", "verify", "-", "--json", stdin=given).json for given in (data, data.hex())]
    assert documents[0] == documents[1]
    assert (documents[0]["kind"], documents[0]["height"], documents[0]["member"]) == ("conflicting_receipts", 5, None)
    assert documents[0]["size_bytes"] == len(data)


def test_evidence_is_judged_without_a_home(run, invoked, piece, home, tmp_path, is_problem):
    assert run("audit", "export", "-o", tmp_path / "history").code == 0
    elsewhere = tmp_path / "elsewhere"
    for registry in (
        ["--genesis", home / "genesis.json", "--key-set", home / "key-set.ssz"],
        ["--history", tmp_path / "history"],
    ):
        assert "SEQ-2" in invoked(elsewhere, "evidence", "verify", piece, *registry).out
    is_problem(invoked(elsewhere, "evidence", "verify", piece), 3, "committee create")


@pytest.mark.parametrize("options", [["--genesis", "g"], ["--key-set", "k"], ["--genesis", "g", "--history", "h"]])
def test_registry_named_by_halves_is_a_usage_error(run, piece, options, is_problem):
    is_problem(run("evidence", "verify", piece, *options), 2, "--genesis and --key-set")


def test_evidence_of_another_network_convicts_nobody(invoked, piece, tmp_path, is_problem):
    other = tmp_path / "other"
    assert invoked(other, "committee", "create", "--scheme", "clear").code == 0
    is_problem(invoked(other, "evidence", "verify", piece), 1, "[EVD-3]")


def test_evidence_that_shows_nothing_is_refused_in_one_line(run, home, two_receipts, tmp_path, is_problem):
    piece = two_receipts(home)
    first = piece.open().first
    for shown, needle in (
        (replace(piece, kind=99), "[EVD-1]"),
        (replace(piece, body=first.encoded * 2), "[EVD-3]"),
        (replace(piece, body=piece.body[:-1]), "bytes"),
    ):
        (tmp_path / "shown").write_bytes(shown.encoded)
        is_problem(run("evidence", "verify", tmp_path / "shown"), 1, needle)
    (tmp_path / "empty").write_bytes(b"")
    is_problem(run("evidence", "verify", tmp_path / "empty"), 1, "is empty")
    is_problem(run("evidence", "fetch", "-o", "shown"), 2, "--node")
