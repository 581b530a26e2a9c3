"""One contract for every store, and what a real SQLite file owes besides: durability, locking, clear failures."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from encmempool.errors import Conflict, EnvironmentProblem, StorageError
from encmempool.store import PAGE_BYTES, DatabaseStore, MemoryStore, perform
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


@pytest.fixture(params=["memory", "sqlite", "sqlite in memory", "postgresql"])
def store(request):
    if request.param == "memory":
        return MemoryStore()
    return request.getfixturevalue(f"on_{request.param.replace(' ', '_')}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """A store that reads page by page."""
    return request.getfixturevalue(f"on_{request.param}")


@pytest.fixture
def on_sqlite(open_store):
    return open_store()


@pytest.fixture
def on_sqlite_in_memory():
    with contextlib.closing(DatabaseStore("sqlite:///:memory:")) as store:
        yield store


@pytest.fixture(scope="module")
def one_on_postgresql(postgresql):
    """For all tests: opening takes longer than all that most of them do."""
    with postgresql.database() as url, contextlib.closing(DatabaseStore(url)) as store:
        yield store, lambda: postgresql.execute("DELETE FROM records", database=url)


@pytest.fixture
def on_postgresql(one_on_postgresql):
    store, clear = one_on_postgresql
    yield store
    clear()


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr("encmempool.store.PAGE_ROWS", 3)
    monkeypatch.setattr("encmempool.store.PAGE_BYTES", 100)


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


@pytest.mark.parametrize(
    "start", [b"", b"\0", b"\x01", b"\x01\0", b"\x01\x01", b"\x02", b"\xff", b"\xff\0"], ids=bytes.hex
)
def test_scan_begins_with_the_first_key_that_is_not_less_than_start(store, start):
    keys = [b"", b"\x01", b"\x01\0", b"\x02\x03", b"\xff"]
    store.put([record(key) for key in keys] + [record(b"\x05", kind="share")])
    assert [key for key, _ in store.scan("vote", start=start)] == [key for key in keys if key >= start]


@pytest.mark.parametrize("limit", [0, 1, 3, 4, 7, 8, 12])
def test_scan_lists_at_most_limit_records(store, small_pages, limit):
    store.put([record(key) for key in range(10)])
    found = store.scan("vote", start=record(2).key, limit=limit)
    assert [key for key, _ in found] == [record(key).key for key in range(2, min(2 + limit, 10))]


def test_scan_raises_when_the_limit_is_negative(store):
    with pytest.raises(ValueError, match="at most -1 records"):
        store.scan("vote", limit=-1)


@pytest.mark.parametrize("sizes", [(1,), (40,), (99, 1), (1, 99), (100, 101), (0, 150, 50, 50, 1)], ids=str)
def test_scan_lists_every_record_once_over_several_pages(store, small_pages, sizes):
    records = [record(key, bytes([key]) * sizes[key % len(sizes)]) for key in range(8)]
    for count, added in enumerate(records):
        store.put([added])
        assert list(store.scan("vote")) == [(record.key, record.value) for record in records[: count + 1]]


@pytest.mark.parametrize("taken", [0, 2, 3, 7])
def test_scan_lists_in_order_all_that_was_there_when_records_are_put_during_it(store, small_pages, taken):
    there = [record(key).key for key in range(1, 20, 2)]
    store.put([record(key) for key in there])
    found = store.scan("vote")
    keys = [key for key, _ in itertools.islice(found, taken)]
    store.put([record(key) for key in range(0, 21)])
    keys += [key for key, _ in found]
    assert keys == sorted(set(keys))
    assert set(there) <= set(keys)


@pytest.mark.parametrize("taken", [0, 2, 3, 7])
def test_scan_lists_all_that_remains_when_records_are_erased_during_it(store, small_pages, taken):
    store.put([record(key) for key in range(20)])
    found = store.scan("vote")
    keys = [key for key, _ in itertools.islice(found, taken)]
    store.erase("vote", below=record(10).key)
    keys += [key for key, _ in found]
    assert keys == sorted(set(keys))
    assert {record(key).key for key in range(10, 20)} <= set(keys)


@pytest.fixture
def before_second_page(database, monkeypatch):
    """Does something when a scan knows where its second page ends and has not read it yet."""

    def at_that_moment(action) -> None:
        read, calls = database._read, itertools.count()

        def interrupted(query):
            if next(calls) == 3:
                action()
            return read(query)

        monkeypatch.setattr(database, "_read", interrupted)

    return at_that_moment


def test_scan_lists_all_that_was_there_when_a_page_fills_before_it_is_read(database, small_pages, before_second_page):
    there = [record(key).key for key in range(1, 20, 2)]
    database.put([record(key) for key in range(1, 20, 2)])
    before_second_page(lambda: database.put([record(key) for key in range(0, 20, 2)]))
    keys = [key for key, _ in database.scan("vote")]
    assert keys == sorted(set(keys))
    assert set(there) <= set(keys)


def test_scan_keeps_its_limit_when_a_page_fills_before_it_is_read(database, small_pages, before_second_page):
    database.put([record(key) for key in range(1, 20, 2)])
    before_second_page(lambda: database.put([record(key) for key in range(0, 20, 2)]))
    assert len(list(database.scan("vote", limit=5))) == 5


@pytest.mark.parametrize("below", [9, 12], ids=["a part", "all"])
def test_scan_lists_the_rest_when_a_page_is_erased_before_it_is_read(database, small_pages, before_second_page, below):
    database.put([record(key) for key in range(1, 20, 2)])
    before_second_page(lambda: database.erase("vote", below=record(below).key))
    rest = [key for key in range(1, 20, 2) if key < 6 or key >= below]
    assert [key for key, _ in database.scan("vote")] == [record(key).key for key in rest]


def test_scan_holds_a_page_and_not_everything(database):
    database.put([record(key, bytes(PAGE_BYTES // 4)) for key in range(40)])
    tracemalloc.start()
    try:
        assert sum(len(value) for _, value in database.scan("vote")) == 10 * PAGE_BYTES
        assert tracemalloc.get_traced_memory()[1] < 4 * PAGE_BYTES
    finally:
        tracemalloc.stop()


def test_last_returns_the_record_with_the_highest_key(store):
    store.put(
        [record(b"\x7f", b"low"), record(b"\x80", b"high"), record(b"\x80", b"other", kind="share"), record(b"a")]
    )
    assert store.last("vote") == (b"\x80", b"high")
    assert store.last("share") == (b"\x80", b"other")


def test_last_returns_none_when_there_is_no_record_of_the_kind(store):
    store.put([record(1)])
    assert store.last("share") is None


def test_erase_deletes_all_records_of_one_kind(store):
    store.put([record(1), record(2), record(1, kind="share")])
    store.erase("vote")
    assert list(store.scan("vote")) == []
    assert store.get("vote", record(1).key) is None
    assert [key for key, _ in store.scan("share")] == [record(1).key]


def test_erase_deletes_the_records_with_lower_keys(store):
    keys = [b"", b"\x01", b"\x01\0", b"\x80", b"\xff"]
    store.put([record(key) for key in keys] + [record(b"", kind="share")])
    store.erase("vote", below=b"\x80")
    assert [key for key, _ in store.scan("vote")] == [b"\x80", b"\xff"]
    assert [key for key, _ in store.scan("share")] == [b""]


def test_erase_below_the_empty_key_deletes_nothing(store):
    store.put([record(b"")])
    store.erase("vote", below=b"")
    assert store.last("vote") == (b"", b"value")


def test_an_erased_key_can_be_written_with_another_value(store):
    store.put([record(1, b"one")])
    store.erase("vote")
    store.put([record(1, b"two")])
    assert store.get("vote", record(1).key) == b"two"


@pytest.mark.parametrize("wrong", [record(b"k", kind="v" * 33), record(b"k" * 129)], ids=["kind", "key"])
def test_put_raises_when_a_kind_or_key_is_too_long(store, wrong):
    with pytest.raises(ValueError, match=r"a kind of .* characters with a key of .* bytes"):
        store.put([record(1), wrong])
    assert list(store.scan("vote")) == []


def test_put_takes_the_longest_kind_and_key(store):
    longest = record(b"k" * 128, kind="v" * 32)
    store.put([longest])
    assert list(store.scan(longest.kind)) == [(longest.key, longest.value)]


def test_several_threads_read_while_one_writes(store):
    """A reader that saw a record finds all that were written before it, and no half of a batch."""
    done = threading.Event()

    def write() -> None:
        try:
            for number in range(25):
                store.put([record(number, kind=kind) for kind in ("vote", "share")])
        finally:
            done.set()

    def read() -> int:
        rounds = 0
        while not (done.is_set() and rounds):
            votes = [key for key, _ in store.scan("vote")]
            assert votes == [record(number).key for number in range(len(votes))]
            assert all(store.get("share", key) == b"value" for key in votes[-3:])
            newest = store.last("vote")
            assert not votes or newest[0] >= votes[-1]
            rounds += 1
            done.wait(0.001)
        return rounds

    with ThreadPoolExecutor(5) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        pool.submit(write).result()
        assert all(reader.result() for reader in readers)
    assert len(list(store.scan("vote"))) == 25


def test_threads_that_write_the_same_key_find_one_winner(store):
    def write(name: bytes) -> list[bool]:
        won = []
        for number in range(20):
            try:
                store.put([record(number, name), record(number, name, kind="share")])
                won.append(True)
            except Conflict:
                won.append(False)
        return won

    names = [b"left", b"right", b"third"]
    with ThreadPoolExecutor(len(names)) as pool:
        outcomes = dict(zip(names, pool.map(write, names), strict=True))
    for number in range(20):
        (winner,) = [name for name in names if outcomes[name][number]]
        assert store.get("vote", record(number).key) == store.get("share", record(number).key) == winner


keys = st.binary(max_size=3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.tuples(keys, st.binary(max_size=1)), max_size=4)),
        st.tuples(st.just("erase"), st.none() | keys),
        st.tuples(st.just("scan"), keys, st.none() | st.integers(0, 5)),
    ),
    max_size=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(steps=steps)
def test_sqlite_does_what_memory_does(small_pages, steps):
    memory, database = MemoryStore(), DatabaseStore("sqlite:///:memory:")
    with contextlib.closing(database):
        for name, *arguments in steps:
            if name == "put":
                records = [record(key, value) for key, value in arguments[0]]
                assert refused(memory, records) == refused(database, records)
            elif name == "erase":
                memory.erase("vote", below=arguments[0])
                database.erase("vote", below=arguments[0])
            else:
                start, limit = arguments
                expected = list(memory.scan("vote", start=start, limit=limit))
                assert list(database.scan("vote", start=start, limit=limit)) == expected
            assert database.last("vote") == memory.last("vote")
        assert list(database.scan("vote")) == list(memory.scan("vote"))


def refused(store, records) -> bool:
    try:
        store.put(records)
    except Conflict:
        return True
    return False


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


def files_with(path: Path, secret: bytes) -> list[str]:
    """Of the database, its log and its index of the log."""
    return [file.name for file in path.parent.iterdir() if secret in file.read_bytes()]


@pytest.mark.parametrize("size", [32, 900, 5000, 100_000])
def test_erase_leaves_no_byte_of_the_values_in_the_files(open_store, path, size):
    store = open_store()
    secret = b"only once"
    for number in range(20):
        store.put([record(number), record(number, number.to_bytes(9, "big") + secret * (size // 9), kind="secret")])
    assert files_with(path, secret)
    store.erase("secret")
    assert files_with(path, secret) == []
    assert len(list(store.scan("vote"))) == 20


def test_erase_leaves_no_byte_of_values_that_moved_between_pages(open_store, path):
    """Records of all sizes come and go among the secrets. SQLite's secure_delete alone leaves some in this run."""
    store, secret = open_store(), b"SECRETSECRET"
    source = random.Random(134)
    for _ in range(source.randrange(1, 30)):
        batch = []
        for _ in range(source.randrange(1, 30)):
            hidden = source.random() < 0.5
            size = source.choice([20, 60, 200, 900, 3000, 5000, 20000])
            value = secret * (size // 12 + 1) if hidden else source.randbytes(size)
            batch.append(record(source.randbytes(8), value, kind="secret" if hidden else "vote"))
        store.put(batch)
        if source.random() < 0.3:
            store.erase("vote", below=source.randbytes(1))
    store.erase("secret")
    assert files_with(path, secret) == []


def test_erase_below_a_key_overwrites_what_it_deletes(open_store, path):
    store = open_store()
    store.put([record(1, b"only once" * 100), record(2)])
    store.erase("vote", below=record(2).key)
    assert files_with(path, b"only once") == []


def test_erase_raises_while_a_reader_holds_on_and_completes_when_called_again(open_store, path):
    store = open_store(timeout_s=0.05)
    store.put([record(1, b"only once" * 100)])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM records").fetchone()
        with pytest.raises(StorageError, match="is locked by another process"):
            store.erase("vote")
        other.execute("ROLLBACK")
    store.erase("vote")
    assert files_with(path, b"only once") == []


def test_erased_records_stay_erased_when_the_file_is_opened_again(open_store):
    store = open_store()
    store.put([record(1), record(2)])
    store.erase("vote", below=record(2).key)
    store.close()
    assert [key for key, _ in open_store().scan("vote")] == [record(2).key]


def test_scan_holds_no_transaction_between_two_pages(open_store, small_pages):
    """Otherwise the log could not be emptied, and would grow for as long as somebody reads."""
    store = open_store(timeout_s=0.05)
    store.put([record(key) for key in range(10)])
    found = store.scan("vote")
    next(found)
    store.erase("share")
    assert len(list(found)) == 9


def full(store: DatabaseStore) -> list[Persist]:
    """Puts batches until one is refused, and returns those that were taken."""
    taken: list[Persist] = []
    said = ""
    while not said:
        batch = [record(len(taken) + key, bytes([key]) * 1000) for key in range(10)]
        try:
            store.put(batch)
            taken += batch
        except StorageError as error:
            said = str(error)
        assert len(taken) < 1000
    assert said.endswith(
        "has no room, the disk is full or its limit is reached: nothing was written; make room and try again"
    )
    return taken


def test_put_raises_and_writes_nothing_when_the_file_may_grow_no_more(open_store, path):
    store = open_store(max_pages=64)
    taken = full(store)
    assert taken
    expected = [(record.key, record.value) for record in taken]
    assert list(store.scan("vote")) == expected
    store.close()
    assert path.stat().st_size <= 64 * 4096
    assert list(open_store().scan("vote")) == expected


def test_put_goes_on_when_the_limit_was_raised(open_store):
    store = open_store(max_pages=64)
    taken = full(store)
    store.close()
    store = open_store(max_pages=128)
    more = full(store)
    assert len(more) > len(taken)
    assert [key for key, _ in store.scan("vote")] == [record.key for record in more]


def test_records_can_be_read_and_erased_when_the_file_is_full(open_store):
    store = open_store(max_pages=64)
    taken = full(store)
    assert store.get("vote", taken[-1].key) == taken[-1].value
    store.erase("vote", below=taken[-1].key)
    store.put([record(number, bytes(1000), kind="share") for number in range(10)])
    assert store.last("vote") == (taken[-1].key, taken[-1].value)


def test_storage_error_is_an_environment_problem():
    assert issubclass(StorageError, EnvironmentProblem)


@pytest.mark.parametrize("name", ["a b", "a?b=c", "a#b", "a%20b", "ä"])
def test_a_file_may_have_any_name(tmp_path, name):
    for _ in range(2):
        with contextlib.closing(DatabaseStore.sqlite(tmp_path / name / name)) as store:
            store.put([record(1)])
    assert (tmp_path / name / name).is_file()


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
