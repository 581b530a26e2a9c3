"""One contract for every store, and what a real SQLite file owes besides: durability, locking, clear failures."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from encmempool.errors import Conflict, EnvironmentProblem, StorageError
from encmempool.store import SCHEMA_VERSION, DatabaseStore, MemoryStore, perform
from threshold.sansio import Persist, Send


def record(key: int | bytes, value: bytes = b"value", kind: str = "vote") -> Persist:
    return Persist(kind=kind, key=key if isinstance(key, bytes) else key.to_bytes(8, "big"), value=value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "records.sqlite"


@pytest.fixture
def open_store(path):
    """Opens the file, again if asked again; all are closed in the end."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(contextlib.closing(DatabaseStore.sqlite(path, **options)))


@pytest.fixture(params=["memory", "sqlite"])
def store(request):
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("open_store")()


# --- the contract ----------------------------------------------------------------------------------------------------


def test_get_returns_what_was_put(store):
    store.put([record(1, b"one"), record(2, b"two")])
    assert store.get("vote", record(1).key) == b"one"
    assert store.get("vote", record(2).key) == b"two"


def test_get_returns_none_for_another_key_or_kind(store):
    store.put([record(1)])
    assert store.get("vote", record(2).key) is None
    assert store.get("share", record(1).key) is None
    assert store.get("vote", record(1).key[:7]) is None


@pytest.mark.parametrize("value", [b"", b"\0", bytes(1 << 20)], ids=["empty", "zero byte", "a mebibyte"])
@pytest.mark.parametrize("key", [b"", b"\0", b"\0\0", b"\xff" * 128], ids=["empty", "zero", "zeros", "128 bytes"])
def test_get_returns_any_bytes_under_any_key(store, key, value):
    store.put([record(key, value)])
    assert store.get("vote", key) == value
    assert list(store.scan("vote")) == [(key, value)]


def test_scan_lists_one_kind_by_ascending_key(store):
    keys = [b"\xff", b"\0", b"", b"\x01\0", b"\x01", b"\x80", b"a", b"B"]
    store.put([record(key, b"of " + key) for key in keys] + [record(b"\x02", kind="share")])
    assert list(store.scan("vote")) == [(key, b"of " + key) for key in sorted(keys)]
    assert list(store.scan("share")) == [(b"\x02", b"value")]
    assert list(store.scan("nothing")) == []


def test_scan_does_not_see_what_is_put_during_it(store):
    store.put([record(1), record(3)])
    found = store.scan("vote")
    store.put([record(2)])
    assert [key for key, _ in found] == [record(1).key, record(3).key]


def test_one_key_may_be_used_by_every_kind(store):
    store.put([record(1, b"a", "vote"), record(1, b"b", "share")])
    assert (store.get("vote", record(1).key), store.get("share", record(1).key)) == (b"a", b"b")


def test_put_of_nothing_does_nothing(store):
    store.put([])
    assert list(store.scan("vote")) == []


def test_put_keeps_an_equal_record(store):
    for _ in range(3):
        store.put([record(1)])
    assert list(store.scan("vote")) == [(record(1).key, b"value")]


def test_put_writes_the_new_beside_the_equal(store):
    store.put([record(2)])
    store.put([record(1), record(2), record(3)])
    assert [key for key, _ in store.scan("vote")] == [record(key).key for key in (1, 2, 3)]


def test_put_keeps_one_of_equal_records_in_one_batch(store):
    store.put([record(1), record(1)])
    assert list(store.scan("vote")) == [(record(1).key, b"value")]


@pytest.mark.parametrize("old", [b"value", b""], ids=["some", "empty"])
def test_put_raises_conflict_when_the_value_differs(store, old):
    store.put([record(1, old)])
    with pytest.raises(Conflict, match=f"a different vote is already stored under {record(1).key.hex()}"):
        store.put([record(1, b"other")])
    assert store.get("vote", record(1).key) == old


@pytest.mark.parametrize("position", [0, 1, 2])
def test_put_writes_nothing_of_a_batch_with_a_conflict(store, position):
    store.put([record(9)])
    batch = [record(1), record(2, kind="share")]
    batch.insert(position, record(9, b"other"))
    with pytest.raises(Conflict):
        store.put(batch)
    assert list(store.scan("vote")) == [(record(9).key, b"value")]
    assert list(store.scan("share")) == []


def test_put_writes_nothing_of_a_batch_that_contradicts_itself(store):
    with pytest.raises(Conflict):
        store.put([record(1), record(2, b"a"), record(2, b"b"), record(3)])
    assert list(store.scan("vote")) == []


def test_put_works_after_a_conflict(store):
    store.put([record(1)])
    with pytest.raises(Conflict):
        store.put([record(1, b"other")])
    store.put([record(2)])
    assert store.get("vote", record(2).key) == b"value"


# --- performing effects ----------------------------------------------------------------------------------------------


def test_perform_stores_records_and_returns_messages(store):
    messages = (Send(message=b"first"), Send(message=b"second", recipient=2))
    assert perform([record(1), record(2), *messages], store) == messages
    assert [key for key, _ in store.scan("vote")] == [record(1).key, record(2).key]


def test_perform_returns_no_message_when_a_record_conflicts(store):
    store.put([record(1)])
    with pytest.raises(Conflict):
        perform([record(2), record(1, b"other"), Send(message=b"never")], store)
    assert store.get("vote", record(2).key) is None


def test_perform_refuses_a_record_after_a_message(store):
    """The message may depend on the record, so it would leave before the record is durable."""
    with pytest.raises(ValueError, match="record after a message"):
        perform([record(1), Send(message=b"early"), record(2)], store)
    assert list(store.scan("vote")) == []


# --- the SQLite file -------------------------------------------------------------------------------------------------


def test_records_remain_when_the_file_is_opened_again(open_store):
    first = open_store()
    first.put([record(1, b"one"), record(2, b"two")])
    first.close()
    second = open_store()
    assert [value for _, value in second.scan("vote")] == [b"one", b"two"]
    with pytest.raises(Conflict):
        second.put([record(1, b"other")])


def test_records_are_visible_to_another_opener_at_once(open_store):
    first, second = open_store(), open_store()
    first.put([record(1)])
    assert second.get("vote", record(1).key) == b"value"
    with pytest.raises(Conflict):
        second.put([record(1, b"other")])


def test_memory_url_keeps_records():
    with contextlib.closing(DatabaseStore("sqlite:///:memory:")) as store:
        store.put([record(1)])
        assert store.get("vote", record(1).key) == b"value"


@pytest.mark.parametrize("engine", ["_engine", "_writer"])
def test_every_connection_syncs_fully_to_a_write_ahead_log(open_store, engine):
    """synchronous=FULL is per connection: 2 is FULL, 1 would lose acknowledged records with the power."""
    with getattr(open_store(), engine).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


@pytest.mark.parametrize("call", ["put", "put again"])
def test_put_raises_one_clear_line_when_the_file_is_locked(open_store, path, call):
    store = open_store(timeout_s=0.05)
    store.put([record(1)])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError) as caught:
            store.put([record(1 if call == "put again" else 2)])
        assert str(caught.value) == f"the database {path} is locked by another process: wait for it or stop it"
        other.execute("ROLLBACK")
    store.put([record(2)])
    assert store.get("vote", record(2).key) == b"value"


def test_reading_goes_on_while_another_process_writes(open_store, path):
    store = open_store(timeout_s=0.05)
    store.put([record(1)])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.get("vote", record(1).key) == b"value"
        assert len(list(store.scan("vote"))) == 1


def test_opening_raises_when_the_file_is_locked(open_store, path):
    open_store().close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="is locked by another process"):
            open_store(timeout_s=0.05)


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to have a header\n" * 50, b"x" * 16], ids=["text", "short"]
)
def test_opening_raises_when_the_file_is_not_a_database(open_store, path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"is corrupted .*: restore it from a backup"):
        open_store()
    assert path.read_bytes() == content


def test_opening_raises_when_the_path_is_a_directory(open_store, path):
    path.mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot be used"):
        open_store()


def filled(open_store) -> None:
    store = open_store()
    store.put([record(key, key.to_bytes(2, "big") * 1000) for key in range(200)])
    store.close()


def test_reading_raises_when_pages_in_the_middle_are_overwritten(open_store, path):
    filled(open_store)
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = b"\xa5" * (len(content) // 2 - len(content) // 4)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"is corrupted .*: restore it from a backup"):
        list(open_store().scan("vote"))


def test_reading_raises_when_the_file_is_cut_short(open_store, path):
    filled(open_store)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StorageError, match="is corrupted"):
        list(open_store().scan("vote"))


def test_storage_error_is_an_environment_problem():
    assert issubclass(StorageError, EnvironmentProblem)


def set_schema_version(path: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET value = ? WHERE name = 'schema_version'", (version,))


def test_opening_raises_when_the_schema_is_newer(open_store, path):
    open_store().close()
    set_schema_version(path, SCHEMA_VERSION + 1)
    with pytest.raises(StorageError, match=rf"schema version {SCHEMA_VERSION + 1}.*install a newer encmempool"):
        open_store()


def test_opening_keeps_the_schema_version(open_store, path):
    open_store().close()
    open_store().close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name, value FROM meta").fetchall() == [("schema_version", SCHEMA_VERSION)]


# --- other processes -------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from encmempool.errors import Conflict
from encmempool.store import DatabaseStore
from threshold.sansio import Persist

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
store = DatabaseStore.sqlite(path, timeout_s=30)
for number in range(count):
    try:
        store.put([Persist(kind="vote", key=number.to_bytes(8, "big"), value=name.encode())])
        print("won", number, flush=True)
    except Conflict:
        print("lost", number, flush=True)
"""


def start_writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout.readline() == "ready\n"
    return writer


def go(writer: subprocess.Popen[str]) -> None:
    writer.stdin.write("\n")
    writer.stdin.flush()


def test_exactly_one_of_two_processes_wins_each_guard_key(open_store, path):
    """They also create the file at the same moment."""
    count = 40
    with start_writer(path, "left", count) as left, start_writer(path, "right", count) as right:
        go(left)
        go(right)
        outcomes = {"left": left.communicate(timeout=60)[0], "right": right.communicate(timeout=60)[0]}
    lines = {name: output.splitlines() for name, output in outcomes.items()}
    stored = dict(open_store().scan("vote"))
    assert len(stored) == count
    for number in range(count):
        winner = stored[number.to_bytes(8, "big")].decode()
        loser = "right" if winner == "left" else "left"
        assert lines[winner][number] == f"won {number}"
        assert lines[loser][number] == f"lost {number}"


@pytest.mark.parametrize("acknowledged", [1, 25])
def test_no_acknowledged_record_is_lost_when_the_writer_is_killed(open_store, path, acknowledged):
    with start_writer(path, "writer", 1_000_000) as writer:
        go(writer)
        printed = [writer.stdout.readline() for _ in range(acknowledged)]
        writer.send_signal(signal.SIGKILL)
        printed += writer.stdout.read().splitlines(keepends=True)
        assert writer.wait(timeout=60) == -signal.SIGKILL
    numbers = [int(line.split()[1]) for line in printed if line.endswith("\n")]
    stored = [key for key, _ in open_store().scan("vote")]
    assert len(numbers) >= acknowledged
    assert numbers == list(range(len(numbers)))
    assert stored[: len(numbers)] == [number.to_bytes(8, "big") for number in numbers]
    assert len(stored) <= len(numbers) + 1
