"""`Client` as a user meets it: its four calls, and what it says when something around it is missing or broken."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys

import pytest

from encmempool.client import Client
from encmempool.errors import EnvironmentProblem, Malformed, Rejected, StorageError
from encmempool.home import Password, WrongPassword
from encmempool.store import DatabaseStore
from threshold.sansio import Persist


@pytest.fixture
def client(world):
    return Client(world.home.path)


def test_client_follows_a_transaction_from_unknown_to_executed(world, client):
    alice = world.people[0]
    envelope = client.encrypt(world.payload(alice), alice)
    assert client.status(envelope.tx_id).state == "unknown"
    receipt = client.submit(envelope)
    assert receipt.message.tx_id == envelope.tx_id
    status = client.status(envelope.tx_id)
    assert (status.state, status.sequence, status.height, status.final) == ("received", 0, None, False)
    world.restart().commit()
    status = client.status(envelope.tx_id)
    assert (status.state, status.height, status.position, status.final) == ("committed", 1, 0, False)
    world.network.reveal()
    status = client.wait(envelope.tx_id)
    assert (status.state, status.success, status.final) == ("executed", True, True)
    assert (status.height, status.position, status.gas_used, status.fee) == (1, 0, 21_000, 21_000 * 12 * 10**9)


def test_client_reports_a_swap_and_a_revert(world, client):
    alice, bob = world.people[:2]
    good, bad = world.swap(alice), world.swap(bob, minimum=10**30)
    for envelope in (good, bad):
        client.submit(envelope)
    world.restart().commit()
    world.network.reveal()
    status = client.status(good.tx_id)
    assert (status.state, status.success, status.amount_in) == ("executed", True, 10**18)
    assert status.amount_out > 0
    status = client.status(bad.tx_id)
    assert (status.state, status.success) == ("executed", False)
    assert "INSUFFICIENT_OUTPUT_AMOUNT" in status.reason


def test_client_reports_the_outcome_of_rubbish_as_final(world, client):
    envelope = world.seal(world.people[0], world.pad(b"rubbish"))
    client.submit(envelope)
    world.restart().commit()
    world.network.reveal()
    assert client.wait(envelope.tx_id, timeout_s=0).state == "bad_payload"


def test_client_reports_an_expired_transaction_as_final(world, client):
    alice = world.people[0]
    client.submit(world.transfer(alice))
    world.restart().commit()
    late = client.encrypt(world.payload(alice, 1), alice, valid_until=2)
    client.submit(late)  # its sender is in flight until height 1 is executed
    assert client.status(late.tx_id).state == "received"
    world.restart().commit()
    assert client.status(late.tx_id).state == "expired"
    assert client.wait(late.tx_id, timeout_s=0).final


def test_client_takes_bytes_as_well_and_the_same_only_once(world, client):
    envelope = world.transfer(world.people[0])
    assert client.submit(envelope.encoded).message.sequence == 0
    with pytest.raises(Rejected, match="MEM-1"):
        client.submit(envelope)
    assert client.status(envelope.tx_id).sequence == 0


def test_client_refuses_to_encrypt_what_the_network_would_refuse(world, client):
    alice, bob = world.people[:2]
    with pytest.raises(ValueError, match="signed by"):
        client.encrypt(world.payload(alice), bob)
    with pytest.raises(ValueError, match="chain"):
        client.encrypt(world.payload(alice, chain_id=1), alice)
    with pytest.raises(ValueError, match="at most"):
        client.encrypt(world.payload(alice, data=b"x" * 70_000, gas_limit=1_344_000), alice)
    with pytest.raises(Malformed):
        client.encrypt(b"\x02\xff", alice)
    assert world.records("sequencer") == {}


def test_client_gives_a_new_ciphertext_each_time(world, client):
    alice = world.people[0]
    one, two = (client.encrypt(world.payload(alice), alice) for _ in range(2))
    assert one.ciphertext != two.ciphertext
    assert one.tx_id != two.tx_id


def test_wait_ends_with_the_timeout_and_says_who_has_to_act(world, client):
    envelope = world.transfer(world.people[0])
    client.submit(envelope)
    with pytest.raises(EnvironmentProblem, match=r"still received after 0 s.*sequencer commit"):
        client.wait(envelope.tx_id, timeout_s=0)
    world.restart().commit()
    with pytest.raises(EnvironmentProblem, match="still committed"):
        client.wait(envelope.tx_id, timeout_s=0)


def test_wait_asks_again_until_the_outcome_is_there(world, client, monkeypatch):
    """A clock and a pause of our own: the network moves while the client sleeps."""
    envelope = world.transfer(world.people[0])
    client.submit(envelope)
    steps = iter([lambda: world.restart().commit(), lambda: world.network.reveal()])
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        next(steps)()

    monkeypatch.setattr("encmempool.client.time.sleep", sleep)
    assert client.wait(envelope.tx_id, poll_s=7).state == "executed"
    assert pauses == [7, 7]


def test_wait_for_an_unknown_transaction_ends_at_once(client):
    with pytest.raises(EnvironmentProblem, match="never received"):
        client.wait(b"\x01" * 32, timeout_s=10**6)


@pytest.mark.parametrize("call", ["encrypt", "submit", "status", "wait"])
def test_client_without_a_network_says_how_to_make_one(world, tmp_path, call):
    client = Client(tmp_path / "nothing")
    alice, envelope = world.people[0], world.transfer(world.people[0])
    arguments = {"encrypt": (b"", alice), "submit": (envelope,), "status": (b"",), "wait": (b"",)}[call]
    with pytest.raises(EnvironmentProblem, match="committee create"):
        getattr(client, call)(*arguments)


@pytest.mark.parametrize(("file", "way_out"), [("genesis.json", "committee create"), ("key-set.ssz", "restore it")])
def test_client_with_a_missing_network_file_says_what_to_do(world, client, file, way_out):
    (world.home.path / file).unlink()
    with pytest.raises(EnvironmentProblem, match=way_out):
        client.status(b"")


@pytest.mark.parametrize("content", ["", "{}", "[]", "0x", "0xzz", "0x00", "null", '{"root": 1}'])
@pytest.mark.parametrize("file", ["genesis.json", "key-set.ssz"])
def test_client_with_a_damaged_network_file_names_it(world, client, file, content):
    (world.home.path / file).write_text(content)
    with pytest.raises((Malformed, EnvironmentProblem)):
        client.status(b"")


def test_client_with_another_networks_genesis_refuses(make_world):
    one, two = make_world("tdh2"), make_world("clear")
    shutil.copy(two.home.genesis_path, one.home.genesis_path)
    with pytest.raises(Rejected, match="KEY-1"):
        Client(one.home.path).status(b"")


HOLD = """
import sys
from pathlib import Path
from encmempool.home import Home
with Home(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_submission_is_refused_while_another_process_holds_the_home(world, client):
    command = [sys.executable, "-c", HOLD, str(world.home.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(EnvironmentProblem, match="another process is using"):
            client.submit(world.transfer(world.people[0]))
        process.communicate()
    assert world.records("sequencer") == {}
    assert client.submit(world.transfer(world.people[0])).message.sequence == 0


def test_submission_is_refused_while_another_handle_holds_the_home_and_taken_after(world, client):
    envelope = world.transfer(world.people[0])
    with world.home.locked(), pytest.raises(EnvironmentProblem, match="another process is using"):
        client.submit(envelope)
    assert client.submit(envelope).message.sequence == 0


def test_reading_needs_neither_lock_nor_password(world, client):
    (world.home.path / "password").unlink()
    with world.home.locked():
        assert client.status(b"\x01" * 32).state == "unknown"
        assert client.encrypt(world.payload(world.people[0]), world.people[0])


def test_signing_without_a_password_file_asks_for_one(world, client):
    (world.home.path / "password").unlink()
    with pytest.raises(EnvironmentProblem, match="password"):
        client.submit(world.transfer(world.people[0]))
    assert world.records("sequencer") == {}


@pytest.mark.parametrize("generated", [True, False])
def test_wrong_password_is_named_and_nothing_is_stored(world, generated):
    wrong = Password(b"not it", generated=generated)
    client = Client(world.home.path, password=lambda: wrong)
    with pytest.raises(WrongPassword, match="sequencer"):
        client.submit(world.transfer(world.people[0]))
    assert world.records("sequencer") == {}
    with pytest.raises(WrongPassword, match="members/1"):
        _ = client.network().seats
    assert Client(world.home.path).submit(world.transfer(world.people[0])).message.sequence == 0


def test_users_password_opens_only_the_users_accounts(world):
    users = Password(b"correct horse", generated=False)
    address = world.home.create_account("mine", users)
    assert world.home.account("mine", users).address == address
    with pytest.raises(WrongPassword, match="mine"):
        world.home.account("mine", world.password)
    with pytest.raises(WrongPassword):
        world.home.identity("sequencer", users)
    with pytest.raises(WrongPassword):
        world.home.key_share(1, users)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"version": 3}', '{"version": 9, "crypto": {}}'])
@pytest.mark.parametrize("file", ["sequencer/identity.json", "members/1/identity.json", "members/1/key-share.json"])
def test_damaged_keystore_is_named(world, file, content):
    (world.home.path / file).write_text(content)
    with pytest.raises(Malformed):
        _sign_with(world, file)


@pytest.mark.parametrize("file", ["sequencer/identity.json", "members/1/identity.json", "members/1/key-share.json"])
def test_keystore_with_a_changed_ciphertext_does_not_open(world, file):
    path = world.home.path / file
    document = json.loads(path.read_text())
    part = document["crypto"]
    holder = part["cipher"] if "share" in file else part
    name = "message" if "share" in file else "ciphertext"
    holder[name] = ("0" if holder[name][0] != "0" else "1") + holder[name][1:]
    path.write_text(json.dumps(document))
    with pytest.raises((WrongPassword, Malformed)):
        _sign_with(world, file)


@pytest.mark.parametrize("file", ["sequencer/identity.json", "members/1/identity.json", "members/1/key-share.json"])
def test_missing_keystore_is_named(world, file):
    (world.home.path / file).unlink()
    with pytest.raises(EnvironmentProblem, match=file):
        _sign_with(world, file)


def _sign_with(world, file):
    if "sequencer" in file:
        world.restart().submit(world.transfer(world.people[0]).encoded)
    else:
        _raise_absence(world)


def _raise_absence(world):
    """Three of four members are enough; why the first is not among them is what the network says of it."""
    network = world.restart()
    assert [seat.member.index for seat in network.seats] == [2, 3, 4]
    raise network.absent[1]


@pytest.mark.parametrize("role", ["sequencer", "archive", "members/1"])
@pytest.mark.parametrize("content", [b"this is no database at all" * 50, b"SQLite format 3\0" + b"\xff" * 4000])
def test_corrupt_database_is_a_storage_error(world, role, content):
    world.network.submit(world.transfer(world.people[0]).encoded)
    world.restart().commit()
    world.network.reveal()
    world.__dict__.pop("network")
    for path in (world.home.path / role).glob("records.sqlite*"):
        path.unlink()
    (world.home.path / role / "records.sqlite").write_bytes(content)
    with pytest.raises(StorageError, match=r"records\.sqlite"):
        _touch(world, role)


def _touch(world, role):
    if role.startswith("members/"):
        _raise_absence(world)
    network = world.restart()
    return network.sequencer if role == "sequencer" else network.follower


def test_damaged_record_is_not_taken_for_a_valid_one(world):
    world.run_height(world.transfer(world.people[0]))
    path = world.home.path / "archive" / "records.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("update records set value = x'00' where kind = 'reveal'")
    connection.commit()
    connection.close()
    with pytest.raises((Malformed, Rejected, StorageError)):
        _ = world.load().follower


def test_locked_database_is_a_storage_error_that_says_so(tmp_path):
    path = tmp_path / "records.sqlite"
    store = DatabaseStore.sqlite(path, timeout_s=0.05)
    record = Persist(kind="vote", key=b"k", value=b"v")
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked by another process"):
            store.put([record])
        assert store.get("vote", b"k") is None
    finally:
        holder.close()
    store.put([record])
    assert store.get("vote", b"k") == b"v"


def test_exclusively_locked_database_is_a_storage_error_when_opened(tmp_path):
    path = tmp_path / "records.sqlite"
    DatabaseStore.sqlite(path, timeout_s=0.05).close()
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError):
            DatabaseStore.sqlite(path, timeout_s=0.05).put([Persist(kind="vote", key=b"k", value=b"v")])
    finally:
        holder.close()


def test_database_of_a_newer_version_is_a_storage_error(world):
    world.network.submit(world.transfer(world.people[0]).encoded)
    connection = sqlite3.connect(world.home.path / "sequencer" / "records.sqlite")
    connection.execute("update meta set value = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="newer"):
        _ = world.restart().sequencer
