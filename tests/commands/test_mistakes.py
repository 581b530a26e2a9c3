"""Every mistake a user can make: its exit code, one line that says what to do, nothing lost."""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path

import pytest

TX_ID = "0x" + "11" * 32
ADDRESS = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
SELL = ("tx", "sign", "--key", "alice", "--sell")
SEND = ("tx", "sign", "--key", "alice", "--to", ADDRESS)


def snapshot(home: Path) -> dict[Path, bytes]:
    """All files that matter; a database's write-ahead log may come and go."""
    return {
        path: path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and not path.name.startswith(("records.sqlite", "lock"))
    }


# --- usage: exit code 2 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "needles"),
    [
        (["frobnicate"], ["No such command", "frobnicate", "encmempool --help"]),
        (["tx", "sign"], ["--key", "encmempool tx sign --help"]),
        (["key", "new", "alice"], ["alice", "exists already"]),
        (["key", "new", "../x"], ["no name for a key"]),
        (["key", "new", "dev-3"], ["dev-3 is reserved", "public development keys"]),
        (["key", "show", "nobody"], ["no key named 'nobody'", "alice"]),
        (["tx", "sign", "--key", "nobody", "--sell", "1 ETH"], ["no key named 'nobody'"]),
        (["tx", "sign", "--key", "alice"], ["--sell", "--to"]),
        ([*SELL, "1 ETH", "--to", ADDRESS], ["--sell and --to exclude each other"]),
        ([*SELL, "1 ETH", "--value", "1 ETH"], ["--value and --data go with --to"]),
        ([*SEND, "--min-out", "1 ETH"], ["go with --sell"]),
        ([*SELL, "1 ETH", "--min-out", "1 TKN", "--slippage-bps", "1"], ["choose one"]),
        ([*SELL, "1,5 ETH"], ["is no amount", '"1.5 ETH"']),
        ([*SELL, "1.5"], ["is no amount"]),
        ([*SELL, "-1 ETH"], ["is no amount"]),
        ([*SELL, "1e3 ETH"], ["is no amount"]),
        ([*SELL, "0 ETH"], ["--sell '0 ETH'", "more than nothing"]),
        ([*SELL, "1.0000000000000000001 ETH"], ["19 decimal places", "ETH has 18"]),
        ([*SELL, "1 DOGE"], ["'DOGE' is not traded here", "ETH, WETH, TKN"]),
        ([*SELL, "1 ETH", "--for", "WETH"], ["no pool of ETH and WETH"]),
        ([*SELL, "1 ETH", "--min-out", "1 ETH"], ["--min-out is in ETH", "TKN"]),
        ([*SELL, "9" * 80 + " ETH"], ["too much"]),
        ([*SEND, "--value", "1 TKN"], ["'TKN' is not traded here"]),
        ([*SEND, "--data", "xyz"], ["'xyz' is not calldata"]),
        (["tx", "sign", "--key", "alice", "--to", "0x12"], ["is not an address", "40 hex digits"]),
        ([*SEND, "--max-fee-gwei", "9.9"], ["9.9 gwei", "base fee of 10 gwei"]),
        ([*SEND, "--max-fee-gwei", "ten"], ["no number of gwei"]),
        ([*SEND, "--priority-fee-gwei", "21"], ["21 gwei exceeds the max fee of 20 gwei"]),
        ([*SEND, "--nonce", str((1 << 64) - 1)], ["--nonce"]),
        ([*SEND, "--gas-limit", str(1 << 64)], ["--gas-limit"]),
        (["status", "0x1234"], ["no transaction id", "64 hex digits"]),
        (["wait", TX_ID, "--timeout", "-1"], ["--timeout"]),
        (["committee", "create"], ["there is a network", "--home"]),
        (["committee", "create", "--order", "random"], ["random", "arrival"]),
        (["audit", "export"], ["--output"]),
        (["audit", "export", "-o", "-", "--json"], ["standard output"]),
        (["encrypt", "-", "--password-file", "-"], ["only one"]),
        (["bench", "pipeline", "--batch", "0"], ["--batch"]),
        (["bench", "pipeline", "--members", "1025"], ["--members", "1<=x<=1024"]),
        (["demo", "--transactions", "4097"], ["--transactions", "1<=x<=4096"]),
        (["demo", "--transactions", "0"], ["--transactions"]),
        (["demo", "--members", "1025"], ["--members", "1<=x<=1024"]),
    ],
)
def test_usage_mistake_is_explained(arguments, needles, run, home, is_problem) -> None:
    before = snapshot(home)
    is_problem(run(*arguments), 2, *needles)
    assert snapshot(home) == before


@pytest.mark.parametrize(
    ("arguments", "needles"),
    [
        (["--threshold", "5"], ["between 1 and the 4 members, not 5"]),
        (["--threshold", "0"], ["between 1 and the 4 members, not 0"]),
        (["--threshold", "2"], ["at least 3", "--reduced-threshold"]),
        (["--members", "0"], ["--members"]),
        (["--scheme", "rot13"], ["rot13", "tdh2"]),
        (["--scheme", "clear", "--order", "shuffle"], ["shuffle", "clear"]),
    ],
)
def test_impossible_committee_is_refused(arguments, needles, invoked, tmp_path, is_problem) -> None:
    is_problem(invoked(tmp_path / "new", "committee", "create", *arguments), 2, *needles)
    assert not (tmp_path / "new" / "genesis.json").exists()


@pytest.mark.parametrize("command", ["demo", "bench pipeline"])
def test_measuring_an_impossible_committee_is_refused(command, run, is_problem) -> None:
    is_problem(run(*command.split(), "--threshold", "9"), 2, "between 1 and the 4 members, not 9")


@pytest.mark.parametrize("command", ["demo", "bench pipeline"])
def test_measuring_a_small_threshold_has_to_be_asked_for(command, run, is_problem) -> None:
    is_problem(run(*command.split(), "--threshold", "2"), 2, "--reduced-threshold")


def test_bench_of_a_reduced_threshold_warns(run) -> None:
    outcome = run("bench", "pipeline", "--batch", "2", "--threshold", "2", "--reduced-threshold")
    assert outcome.code == 0
    assert "warning: reduced threshold 2 of 4" in outcome.err


def test_reserved_name_leaves_nothing_behind(invoked, tmp_path, is_problem) -> None:
    is_problem(invoked(tmp_path / "new", "key", "new", "dev-0"), 2, "reserved")
    assert not (tmp_path / "new").exists()
    assert invoked(tmp_path / "new", "key", "new", "dev-10").code == 0


def test_existing_file_is_kept_unless_forced(run, tmp_path, is_problem) -> None:
    target = tmp_path / "history.bin"
    target.write_text("precious")
    is_problem(run("audit", "export", "-o", target), 2, "exists already", "--force")
    assert target.read_text() == "precious"
    assert run("audit", "export", "-o", target, "--force").code == 0
    assert run("audit", "verify", target).code == 0


def test_export_looks_for_the_network_first(invoked, tmp_path, is_problem) -> None:
    (tmp_path / "history.bin").write_text("precious")
    is_problem(invoked(tmp_path / "empty", "audit", "export", "-o", "history.bin"), 3, "no network")


def test_export_names_the_file_that_was_asked_for(run, tmp_path, is_problem) -> None:
    target = tmp_path / "nonexistent" / "x"
    is_problem(run("audit", "export", "-o", target), 3, f"{target}: No such file")


def test_transaction_of_nobody_here_names_its_signer(run, invoked, files, tmp_path, is_problem) -> None:
    invoked(tmp_path / "other", "committee", "create")
    is_problem(invoked(tmp_path / "other", "encrypt", files["tx"]), 2, "no key", "--key")
    is_problem(run("encrypt", files["tx"], "--key", "dev-0"), 2, "signed by", "the key given")


# --- what was checked is wrong: exit code 1 --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "needles"),
    [
        ("", ["is empty"]),
        ("0x12345", ["odd number of hex digits, 5"]),
        ("0x12zz", ["'z' at digit 3 is not hex"]),
        ("0x12\n0x34", ["not hex"]),
        ("0x" + "00" * 500, ["EncryptedTransaction"]),
        (b"\xff\x00" * 300, ["EncryptedTransaction"]),
    ],
)
def test_undecodable_envelope_is_explained(text, needles, run, is_problem) -> None:
    is_problem(run("submit", "-", stdin=text), 1, *needles)


@pytest.mark.parametrize(
    ("command", "field"), [("encrypt", "transaction"), ("submit", "envelope"), ("status", "receipt")]
)
def test_json_fed_back_is_explained(command, field, run, tmp_path, is_problem) -> None:
    file = tmp_path / "object"
    for name, arguments in {
        "transaction": ("tx", "sign", "--key", "alice", "--sell", "1 ETH"),
        "envelope": ("encrypt", file),
        "receipt": ("submit", file),
    }.items():
        document = run(*arguments, "--json")
        file.write_text(document.json[name])
        if name == field:
            break
    file.write_text(document.out)
    is_problem(run(command, file), 1, f"{file} is --json output", "without --json", f"`{field}` field")
    file.write_text("{")
    is_problem(run(command, file), 1, "is --json output")


def test_object_of_the_wrong_kind_names_the_command(run, home, files, is_problem) -> None:
    program = f"`encmempool --home {home}"
    is_problem(run("submit", files["tx"]), 1, f"tx.hex is a plain transaction: run {program} encrypt` first")
    is_problem(run("status", files["tx"]), 1, f"is a plain transaction: run {program} encrypt` first")
    is_problem(run("encrypt", files["envelope"]), 1, f"envelope.hex is already an envelope: run {program} submit`")


@pytest.mark.parametrize("command", ["status", "wait"])
@pytest.mark.parametrize("at", [0, 40, -1, -40])
def test_changed_receipt_is_refused(command, at, run, files, is_problem, fits_schema) -> None:
    """The last byte breaks the signature's form, the others its meaning."""
    receipt = bytearray.fromhex(files["receipt"].read_text().strip()[2:])
    receipt[at] ^= 1
    outcome = run(command, "-", stdin=bytes(receipt))
    is_problem(outcome, 1)
    assert outcome.err == "error: the receipt is not signed by this network's sequencer [AUD-3]\n"
    document = run(command, "-", "--json", stdin=bytes(receipt)).json
    assert document["rule"] == "AUD-3"
    fits_schema(document)


def test_receipt_of_another_network_is_refused(run, invoked, files, tmp_path, is_problem) -> None:
    invoked(tmp_path / "other", "committee", "create")
    is_problem(invoked(tmp_path / "other", "status", files["receipt"]), 1, "[AUD-3]")


@pytest.mark.parametrize("command", ["encrypt", "submit"])
def test_truncated_object_is_explained(command, run, files, is_problem) -> None:
    source = files["tx" if command == "encrypt" else "envelope"]
    source.write_text(source.read_text().strip()[:-2])
    is_problem(run(command, source), 1)


def test_duplicate_is_rejected_by_its_rule(run, files, is_problem) -> None:
    is_problem(run("submit", files["envelope"]), 1, "already received", "[MEM-1]")


def test_changed_ciphertext_is_rejected_by_its_rule(run, tmp_path, is_problem) -> None:
    raw = run("tx", "sign", "--key", "dev-3", "--sell", "1 ETH").out
    envelope = bytearray.fromhex(run("encrypt", "-", stdin=raw).out.strip()[2:])
    envelope[-1] ^= 1
    is_problem(run("submit", "-", stdin=bytes(envelope)), 1, "[TXN-7]")


def test_unknown_transaction_is_exit_1(run) -> None:
    for command in ("status", "wait"):
        outcome = run(command, TX_ID)
        assert outcome.code == 1
        assert "unknown" in outcome.out
        assert "never received" in outcome.err


@pytest.mark.parametrize("at", [0, 100, 4000, -1])
def test_damaged_history_names_height_and_record(at, run, files, tmp_path, is_problem) -> None:
    for arguments in (
        ("sequencer", "commit"),
        ("committee", "reveal"),
        ("audit", "export", "-o", tmp_path / "history"),
    ):
        assert run(*arguments).code == 0
    data = bytearray((tmp_path / "history").read_bytes())
    data[at] ^= 1
    (tmp_path / "history").write_bytes(data)
    is_problem(run("audit", "verify", tmp_path / "history"), 1, "height ", "header" if at == 0 else "record ")


@pytest.mark.parametrize("text", ["", "hello", "0x00", "encmempool history 1\n"])
def test_file_that_is_no_history_is_refused(text, run, is_problem) -> None:
    is_problem(run("audit", "verify", "-", stdin=text), 1, "height 0")


# --- environment: exit code 3 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["tx", "sign", "--key", "alice", "--sell", "1 ETH"],
        ["encrypt", "-"],
        ["submit", "-"],
        ["status", TX_ID],
        ["wait", TX_ID],
        ["committee", "show"],
        ["committee", "reveal"],
        ["sequencer", "commit"],
        ["audit", "export", "-o", "history.bin"],
    ],
)
def test_missing_network_names_the_command_that_makes_one(arguments, invoked, tmp_path, is_problem) -> None:
    is_problem(invoked(tmp_path / "empty", *arguments, stdin="0x00"), 3, "no network", "committee create")


def test_missing_file_is_named(run, is_problem) -> None:
    for arguments in (["submit", "gone.hex"], ["audit", "verify", "gone.hex"]):
        is_problem(run(*arguments), 3, "gone.hex: No such file")


def test_home_that_is_a_file_is_named(invoked, tmp_path, is_problem) -> None:
    (tmp_path / "file").write_text("")
    is_problem(invoked(tmp_path / "file", "key", "new", "alice"), 3, str(tmp_path / "file"))


@pytest.fixture
def locked(home):
    """Another process holds the home."""
    with open(home / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("arguments", [["sequencer", "commit"], ["committee", "reveal"], ["key", "new", "bob"]])
def test_locked_home_is_explained(arguments, run, is_problem) -> None:
    is_problem(run(*arguments, stdin="0x00"), 3, "another process is using")


def test_locked_home_takes_no_envelope(run, home, files, is_problem) -> None:
    with open(home / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        is_problem(run("submit", files["envelope"]), 3, "another process is using")


@pytest.mark.parametrize("role", ["sequencer", "archive"])
def test_corrupted_database_is_named(role, run, home, files, is_problem) -> None:
    for path in (home / role).glob("records.sqlite*"):
        path.unlink()
    (home / role).mkdir(exist_ok=True)
    (home / role / "records.sqlite").write_bytes(b"garbage " * 1000)
    assert run("sequencer", "commit").code == 3
    is_problem(run("committee", "reveal"), 3, f"{role}/records.sqlite is corrupted", "backup")


def test_member_that_cannot_be_loaded_is_warned_of(run, home, files) -> None:
    for path in (home / "members/2").glob("records.sqlite*"):
        path.unlink()
    assert run("sequencer", "commit").code == 0
    outcome = run("committee", "reveal")
    assert outcome.code == 0
    assert "warning: member 2 takes no part: " in outcome.err
    assert "members/2/records.sqlite" in outcome.err


def test_database_of_a_newer_version_is_refused(run, home, files, is_problem) -> None:
    connection = sqlite3.connect(home / "sequencer" / "records.sqlite")
    connection.execute("UPDATE meta SET value = 99")
    connection.commit()
    connection.close()
    is_problem(run("status", files["receipt"]), 3, "schema version 99", "newer encmempool")


# --- passwords -------------------------------------------------------------------------------------------------------


@pytest.fixture
def bob(run, tmp_path) -> Path:
    """The file with the password of bob's account, which is not the home's."""
    file = tmp_path / "bob.password"
    file.write_text("correct horse\nignored\n")
    assert run("key", "new", "bob", "--password-file", file).code == 0
    return file


def test_own_password_opens_from_file_and_standard_input(run, bob) -> None:
    for stdin in (None, "correct horse\n"):
        outcome = run(
            "tx", "sign", "--key", "bob", "--sell", "1 ETH", "--password-file", "-" if stdin else bob, stdin=stdin
        )
        assert outcome.code == 0
        assert "correct horse" not in outcome.out + outcome.err


def test_wrong_password_is_an_environment_problem(run, bob, is_problem, fits_schema) -> None:
    bob.write_text("battery staple\n")
    arguments = ("tx", "sign", "--key", "bob", "--to", ADDRESS, "--password-file", bob)
    is_problem(run(*arguments), 3, "wrong password for account 'bob'", "--password-file")
    outcome = run(*arguments, "--json")
    assert outcome.json["code"] == "wrong_password"
    fits_schema(outcome.json)


def test_wrong_password_of_the_network_signs_nothing(run, bob, is_problem) -> None:
    is_problem(run("sequencer", "commit", "--password-file", bob), 3, "wrong password for sequencer's identity")
    assert run("sequencer", "commit", "--json").json["height"] == 1


def test_missing_password_names_the_option(run, home, bob, is_problem) -> None:
    is_problem(run("tx", "sign", "--key", "bob", "--to", ADDRESS), 3, "'bob'", "--password-file")
    (home / "password").unlink()
    is_problem(run("sequencer", "commit"), 3, "the network's keystores", "--password-file")


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe\n"])
def test_unusable_password_file_is_named(content, run, tmp_path, is_problem) -> None:
    file = tmp_path / "password.txt"
    if content is not None:
        file.write_bytes(content)
    is_problem(run("key", "new", "carol", "--password-file", file), 3, "password.txt")


def test_network_with_a_chosen_password_needs_it(invoked, tmp_path, is_problem) -> None:
    home, file = tmp_path / "own", tmp_path / "password.txt"
    file.write_text("open sesame\n")
    assert invoked(home, "committee", "create", "--members", "1", "--password-file", file).code == 0
    assert not (home / "password").exists()
    is_problem(invoked(home, "sequencer", "commit"), 3, "--password-file")
    assert invoked(home, "sequencer", "commit", "--password-file", file).code == 0
    assert invoked(home, "committee", "reveal", "--password-file", file).code == 0


def test_generated_password_that_keystores_miss_is_not_made_anew(invoked, tmp_path, is_problem) -> None:
    home = tmp_path / "lost"
    assert invoked(home, "key", "new", "alice").code == 0
    (home / "password").unlink()
    for arguments in (["key", "new", "bob"], ["committee", "create"]):
        is_problem(invoked(home, *arguments), 3, "password is missing", "--password-file")
    assert not (home / "password").exists()


# --- warnings --------------------------------------------------------------------------------------------------------


def test_reduced_threshold_is_said_by_every_command(invoked, tmp_path) -> None:
    home = tmp_path / "reduced"
    keep = tmp_path / "object"
    for arguments in (
        ["committee", "create", "--threshold", "2", "--reduced-threshold"],
        ["committee", "show"],
        ["key", "show"],
        ["tx", "sign", "--key", "dev-0", "--sell", "1 ETH"],
        ["encrypt", keep],
        ["submit", keep],
        ["status", keep],
        ["sequencer", "commit"],
        ["committee", "reveal"],
        ["wait", keep],
        ["audit", "export", "-o", tmp_path / "history"],
    ):
        outcome = invoked(home, *arguments)
        assert outcome.code == 0, outcome
        assert outcome.err.count("warning: reduced threshold 2 of 4") == 1, arguments
        if arguments[0] in ("tx", "encrypt", "submit"):
            keep.write_text(outcome.out)


def test_scheme_that_hides_nothing_says_so(invoked, tmp_path) -> None:
    assert "hides nothing" in invoked(tmp_path / "clear", "committee", "create", "--scheme", "clear").err


@pytest.mark.usefixtures("brief_training")
def test_demo_of_a_scheme_that_hides_nothing_says_so(run) -> None:
    assert "warning: clear hides nothing" in run("demo", "--scheme", "clear", "--transactions", "2").err


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ([*SEND, "--gas-limit", "5"], "below the 21,000 its bytes cost"),
        ([*SEND, "--data", "0xff", "--gas-limit", "21015"], "below the 21,016 its bytes cost"),
        ([*SELL, "1 ETH", "--gas-limit", "87699"], "below the 87,700 the swap needs"),
        ([*SELL, "1 ETH", "--gas-limit", "5"], "its bytes cost"),
        ([*SEND, "--gas-limit", "21000"], None),
        ([*SELL, "1 ETH", "--gas-limit", "87700"], None),
    ],
)
def test_gas_limit_that_cannot_do_is_warned_of(arguments, needed, run) -> None:
    outcome = run(*arguments)
    assert outcome.code == 0
    warnings = [line for line in outcome.err.splitlines() if line.startswith("warning: a gas limit of ")]
    assert len(warnings) == (needed is not None)
    assert not needed or needed in warnings[0]


def test_swap_that_cannot_be_paid_is_warned_of(run) -> None:
    assert "warning: the account holds 20,000,000 TKN" in run(*SELL, "20000001 TKN").err
    assert "warning: alice holds 10,000 ETH, less than" in run(*SELL, "10000 ETH").err


def test_account_made_after_the_network_is_told_how_to_get_ether(run) -> None:
    address = run("key", "new", "late").out.strip()
    outcome = run("tx", "sign", "--key", "late", "--to", ADDRESS)
    assert "the network will refuse this" in outcome.err
    assert address == run("key", "show", "late", "--json").json["keys"][0]["address"]
