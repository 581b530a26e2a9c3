"""`committee rotate`, `committee verify`, and networks whose keys have limits, as their users see them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from encmempool.store import DatabaseStore


@pytest.fixture(autouse=True)
def unsynced_files(monkeypatch) -> None:
    """These tests do not cut the power."""
    monkeypatch.setattr("encmempool.home.os.fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def _started(_template, invoked, tmp_path_factory) -> Path:
    """The usual network after a height."""
    home = Path(shutil.copytree(_template, tmp_path_factory.mktemp("started") / "home"))
    for command in ("sequencer commit", "committee reveal"):
        assert invoked(home, *command.split()).code == 0
    return home


@pytest.fixture
def home(_started, tmp_path) -> Path:
    return Path(shutil.copytree(_started, tmp_path / "home"))


@pytest.fixture(scope="module")
def _limited(invoked, tmp_path_factory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(scheme: str) -> Path:
        if scheme not in made:
            home = tmp_path_factory.mktemp(scheme) / "home"
            rounds = ["--rounds", "2"] if scheme == "fptx" else []
            outcome = invoked(home, "committee", "create", "--scheme", scheme, "--batch-limit", "4", *rounds)
            assert outcome.code == 0, outcome
            made[scheme] = home
        return made[scheme]

    return make


@pytest.fixture
def limited(_limited, invoked, tmp_path):
    """limited(scheme): its home, of batches of 4 and 2 rounds, and a function that runs commands there."""

    def make(scheme: str):
        home = Path(shutil.copytree(_limited(scheme), tmp_path / scheme))
        return home, lambda *arguments, **options: invoked(home, *arguments, **options)

    return make


def transfer(run, folder: Path, key: str = "dev-0", *more: str) -> str:
    """A submitted transaction's id."""
    to = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
    signed = run("tx", "sign", "--key", key, "--to", to, "--value", "1 ETH", *more)
    assert signed.code == 0, signed
    sealed = run("encrypt", "-", "--json", stdin=signed.out)
    assert sealed.code == 0, sealed
    (folder / "envelope.hex").write_text(sealed.json["envelope"])
    outcome = run("submit", folder / "envelope.hex")
    assert outcome.code == 0, outcome
    return str(sealed.json["tx_id"])


# --- rotate ----------------------------------------------------------------------------------------------------------


def test_rotate_refreshes_in_place_and_says_what_a_backup_still_opens(run, home) -> None:
    before = run("committee", "show", "--json").json
    outcome = run("committee", "rotate")
    assert outcome.code == 0, outcome
    assert "2, from height 2" in outcome.out
    said = " ".join(outcome.err.split())
    assert "the same key, shared anew; 4 members erased their old shares" in said
    assert "Whoever kept 3 of them, in a backup say, can still open everything" in said
    assert said.endswith("committee verify")
    after = run("committee", "show", "--json").json
    assert (after["key_id"], after["epoch"], after["start_height"]) == (before["key_id"], 2, 2)
    assert after["committee_id"] != before["committee_id"]
    assert "4 of the committee before, 3 are needed" in run("committee", "show").out


def test_rotate_changes_members_and_waiting_transactions_survive(run, tmp_path) -> None:
    tx_id = transfer(run, tmp_path)
    outcome = run("committee", "rotate", "--remove", "2", "--remove", "3", "--add", "3", "--json")
    assert (outcome.code, outcome.json["members"], outcome.json["threshold"]) == (0, 5, 4)
    assert (outcome.json["same_key"], outcome.json["erased_shares"], outcome.json["start_round"]) == (True, 4, 0)
    for command in ("sequencer commit", "committee reveal"):
        assert run(*command.split()).code == 0
    assert run("status", tx_id, "--json").json["state"] == "executed"
    assert run("audit", "export", "-o", tmp_path / "history").code == 0
    assert run("audit", "verify", tmp_path / "history", "--json").json["heights"] == 2


def test_rotate_to_another_scheme_and_its_window(run, tmp_path) -> None:
    waiting = transfer(run, tmp_path)
    outcome = run("committee", "rotate", "--scheme", "ibe", "--overlap", "1", "--json")
    assert outcome.code == 0, outcome
    assert (outcome.json["scheme"], outcome.json["same_key"], outcome.json["start_height"]) == ("ibe", False, 3)
    said = run("committee", "rotate")
    assert said.code == 2
    assert "no height of epoch 2 is committed yet, it starts at 3" in said.err
    for _ in range(2):
        for command in ("sequencer commit", "committee reveal"):
            assert run(*command.split()).code == 0
    assert run("status", waiting, "--json").json["state"] == "executed"
    new = transfer(run, tmp_path, "dev-1")
    for command in ("sequencer commit", "committee reveal"):
        assert run(*command.split()).code == 0
    assert run("status", new, "--json").json["state"] == "executed"
    shares = run("committee", "verify", "--json").json["epochs"][0]["shares"]
    assert set(shares.values()) == {"erased"}


@pytest.mark.parametrize(
    ("arguments", "needles"),
    [
        (["--remove", "9"], ["there is no member 9 to remove", "has 4"]),
        (["--remove", "0"], ["--remove"]),
        (["--threshold", "2"], ["use at least 3", "--reduced-threshold"]),
        (["--threshold", "9"], ["between 1 and the 4 members"]),
        (["--overlap", "3"], ["belong to a new key"]),
        (["--new-key", "--rounds", "3"], ["tdh2 opens any number of batches"]),
        (["--scheme", "rot13"], ["rot13"]),
    ],
)
def test_rotate_refuses_what_cannot_be_and_changes_nothing(run, is_problem, arguments, needles) -> None:
    before = run("committee", "show", "--json").json
    is_problem(run("committee", "rotate", *arguments), 2, *needles)
    assert run("committee", "show", "--json").json == before


def test_rotate_waits_for_the_first_height(limited, is_problem) -> None:
    _, run = limited("simple-bte")
    outcome = run("committee", "rotate", "--new-key")
    is_problem(outcome, 2, "no height of epoch 1 is committed yet", "sequencer commit", "committee reveal")


def test_rotate_without_the_files_of_a_member_says_which(run, home, is_problem) -> None:
    shutil.rmtree(home / "members" / "3")
    is_problem(run("committee", "rotate"), 3, "members/3/identity.json is missing")
    assert run("committee", "rotate", "--remove", "3", "--add", "1").code == 0


def test_interrupted_rotation_blocks_its_heights_until_it_is_finished(run, home, is_problem, monkeypatch) -> None:
    original = DatabaseStore.put

    def dying(self, records) -> None:
        if any(record.kind == "successor" for record in records):
            raise KeyboardInterrupt
        original(self, records)

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseStore, "put", dying)
        assert run("committee", "rotate", "--add", "1").code == 130
    refused = run("sequencer", "commit")
    is_problem(refused, 1, "height 2 is left to a key set that is not signed yet")
    assert f"run `encmempool --home {home} committee rotate` [SEQ-10]" in refused.err
    finished = run("committee", "rotate")
    assert finished.code == 0
    assert "warning: this finished a rotation that had been interrupted" in finished.err
    assert run("committee", "show", "--json").json["members"] == 5
    assert run("sequencer", "commit").code == 0


# --- verify ----------------------------------------------------------------------------------------------------------


def shares(outcome) -> list[list[str]]:
    return [list(epoch["shares"].values()) for epoch in outcome.json["epochs"]]


def test_verify_finds_every_share_good_and_replaced_ones_erased(run, fits_schema) -> None:
    assert shares(run("committee", "verify", "--json")) == [["good"] * 4]
    run("committee", "rotate")
    outcome = run("committee", "verify", "--json")
    assert (outcome.code, outcome.json["ok"], shares(outcome)) == (0, True, [["erased"] * 4, ["good"] * 4])
    fits_schema(outcome.json)
    shown = run("committee", "verify").out
    assert "4 erased" in shown
    assert "1 good" in shown


def test_verify_exits_1_over_a_wrong_share(run, home) -> None:
    one, two = (home / "members" / name / "key-share.json" for name in "12")
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    outcome = run("committee", "verify", "--json")
    assert (outcome.code, outcome.json["ok"]) == (1, False)
    assert shares(outcome) == [["wrong", "wrong", "good", "good"]]
    assert run("committee", "verify").code == 1


def test_verify_says_whose_share_is_not_here(run, home) -> None:
    (home / "members" / "2" / "key-share.json").unlink()
    outcome = run("committee", "verify", "--json")
    assert outcome.code == 0
    assert shares(outcome)[0][1].startswith("absent: ")
    assert "key-share.json is missing" in shares(outcome)[0][1]


def test_verify_with_a_wrong_password_is_no_verdict(run, home, is_problem, tmp_path) -> None:
    run("committee", "rotate")
    (tmp_path / "wrong").write_text("wrong\n")
    outcome = run("committee", "verify", "--password-file", tmp_path / "wrong")
    is_problem(outcome, 3, "wrong password for member 1's key share", "--password-file")


# --- keys with limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["fptx", "simple-bte"])
def test_verify_checks_parameters_and_names_their_file(limited, is_problem, scheme) -> None:
    home, run = limited(scheme)
    outcome = run("committee", "verify", "--json")
    (path,) = (home / "parameters").iterdir()
    assert outcome.json["epochs"][0]["parameters_bytes"] == path.stat().st_size
    assert shares(outcome) == [["good"] * 4]
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    for command in ("committee verify", "committee show", "sequencer commit"):
        is_problem(run(*command.split()), 1, path.name, "is damaged", "copy it from another home")
    path.unlink()
    for command in ("committee verify", "committee show", "sequencer commit"):
        is_problem(run(*command.split()), 3, path.name, "is missing", "copy it from another home")


def test_fault_of_a_sealed_share_is_named_and_the_others_are_checked(limited) -> None:
    home, run = limited("simple-bte")
    path = home / "members" / "2" / "key-share.sealed"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    outcome = run("committee", "verify", "--json")
    assert outcome.code == 1
    assert shares(outcome)[0][0] == "good"
    assert "members/2/key-share.sealed is damaged" in shares(outcome)[0][1]
    path.unlink()
    outcome = run("committee", "verify", "--json")
    assert "key-share.sealed is missing" in shares(outcome)[0][1]
    assert run("sequencer", "commit").code == 0
    revealed = run("committee", "reveal")
    assert revealed.code == 0
    assert "warning: member 2 takes no part: " in revealed.err


def test_rounds_are_shown_and_their_end_is_an_outcome(limited, is_problem, tmp_path) -> None:
    home, run = limited("fptx")
    assert "2 of 2 left" in run("committee", "show").out
    for key in ("dev-0", "dev-1", "dev-2", "dev-3", "dev-4", "dev-5", "dev-6", "dev-7", "dev-8"):
        last = transfer(run, tmp_path, key)
    for left in (1, 0):
        for command in ("sequencer commit", "committee reveal"):
            assert run(*command.split()).code == 0
        shown = run("committee", "show", "--json").json
        assert (shown["rounds"], shown["rounds_left"]) == (2, left)
    outcome = run("status", last, "--json")
    assert outcome.json["state"] == "key_ended"
    refused = run("submit", tmp_path / "envelope.hex")
    is_problem(
        refused, 1, "all 2 rounds of this key are used", f"`encmempool --home {home} committee rotate --new-key`"
    )
    arguments = ("--new-key", "--overlap", "0", "--batch-limit", "4", "--rounds", "3")
    assert run("committee", "rotate", *arguments).code == 0
    assert run("committee", "show", "--json").json["rounds_left"] == 3
    transfer(run, tmp_path, "dev-8")


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["--scheme", "tdh2", "--rounds", "3"], "tdh2 opens any number of batches: leave the rounds away"),
        (["--scheme", "fptx", "--threshold", "2", "--reduced-threshold"], "fptx needs a threshold of at least 3 of 4"),
        (["--scheme", "ibe", "--threshold", "2", "--reduced-threshold"], "ibe needs a threshold of at least 3 of 4"),
        (["--batch-limit", "0"], "--batch-limit"),
    ],
)
def test_create_refuses_what_the_scheme_does_not_have(invoked, is_problem, tmp_path, arguments, needle) -> None:
    home = tmp_path / "none"
    is_problem(invoked(home, "committee", "create", *arguments), 2, needle)
    assert not (home / "genesis.json").exists()
    assert invoked(home, "committee", "create", "--scheme", "clear").code == 0


def test_create_with_a_trusted_dealer_says_so(invoked, tmp_path) -> None:
    home = tmp_path / "dealt"
    assert invoked(home, "committee", "create", "--scheme", "tdh2", "--trusted-dealer").code == 0
    shown = invoked(home, "committee", "show", "--json").json
    assert (shown["setup"], shown["setup_privacy"]) == ("TRUSTED DEALER", 0)
    assert set(shares(invoked(home, "committee", "verify", "--json"))[0]) == {"good"}
