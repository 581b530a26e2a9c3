"""What a PostgreSQL server owes besides the contract of every store: one writer wins, durability, clear failures."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from encmempool.errors import Conflict, StorageError
from encmempool.store import DatabaseStore
from threshold.sansio import Persist


def record(key: int, value: bytes = b"value", kind: str = "vote") -> Persist:
    return Persist(kind=kind, key=key.to_bytes(8, "big"), value=value)


@pytest.fixture(scope="module")
def url(postgresql):
    with postgresql.database() as url:
        DatabaseStore(url).close()
        yield url


@pytest.fixture
def open_store(url, postgresql):
    """Opens the database, again if asked again; all are closed and its records deleted in the end."""
    with contextlib.ExitStack() as stack:
        stack.callback(postgresql.execute, "DELETE FROM records", database=url)
        yield lambda **options: stack.enter_context(contextlib.closing(DatabaseStore(url, **options)))


@pytest.fixture
def other(url):
    """A connection of somebody else, in a transaction."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        yield connection


def insert(connection, record: Persist) -> None:
    values = {"kind": record.kind, "key": record.key, "value": record.value}
    connection.execute(text("INSERT INTO records VALUES (:kind, :key, :value)"), values)


def waiting_backends(url: str) -> int:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND wait_event_type = 'Lock'"
        return connection.execute(text(query), {"name": make_url(url).database}).scalar_one()


@contextlib.contextmanager
def put_that_waits(store: DatabaseStore, url: str, *records: Persist):
    """A put in a thread, from when on it waits for the lock of another transaction."""
    with ThreadPoolExecutor(1) as pool:
        future: Future[None] = pool.submit(store.put, records)
        end = time.monotonic() + 20
        while not waiting_backends(url):
            assert time.monotonic() < end
            assert not future.done()
            time.sleep(0.01)
        yield future


def disconnect(postgresql, url: str, which: str = "true") -> None:
    name = make_url(url).database
    postgresql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND {which}")


# --- writers at once -------------------------------------------------------------------------------------------------


def test_exactly_one_of_two_writers_wins_each_key(open_store):
    count = 40
    barrier = threading.Barrier(2, timeout=20)

    def write(name: bytes, store: DatabaseStore) -> list[bool]:
        won = []
        for number in range(count):
            barrier.wait()
            try:
                store.put([record(number, name), record(number, name, kind="share")])
                won.append(True)
            except Conflict:
                won.append(False)
        return won

    left, right = open_store(), open_store()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(write, b"left", left), pool.submit(write, b"right", right)]
        outcomes = dict(zip([b"left", b"right"], [future.result() for future in futures], strict=True))
    for kind in ("vote", "share"):
        stored = [value for _, value in left.scan(kind)]
        assert stored == [b"left" if won else b"right" for won in outcomes[b"left"]]
    assert outcomes[b"right"] == [not won for won in outcomes[b"left"]]


def test_put_raises_conflict_when_another_value_is_committed_while_it_waits(open_store, other, url):
    store = open_store()
    insert(other, record(2, b"other"))
    with put_that_waits(store, url, record(1), record(2)) as put:
        other.commit()
        with pytest.raises(Conflict, match="a different vote is already stored"):
            put.result()
    assert [value for _, value in store.scan("vote")] == [b"other"]


def test_put_keeps_an_equal_value_that_is_committed_while_it_waits(open_store, other, url):
    store = open_store()
    insert(other, record(2))
    with put_that_waits(store, url, record(1), record(2)) as put:
        other.commit()
        put.result()
    assert len(list(store.scan("vote"))) == 2


def test_put_wins_when_the_other_transaction_is_rolled_back(open_store, other, url):
    store = open_store()
    insert(other, record(2, b"other"))
    with put_that_waits(store, url, record(1), record(2)) as put:
        other.rollback()
        put.result()
    assert [value for _, value in store.scan("vote")] == [b"value"] * 2


def test_writers_of_the_same_keys_in_different_orders_never_wait_in_a_circle(open_store, other, url):
    """The server would end one of two such transactions with an error."""
    store = open_store()
    insert(other, record(1))
    with put_that_waits(store, url, record(2), record(1)) as put:
        insert(other, record(2))
        other.commit()
        put.result()
    assert len(list(store.scan("vote"))) == 2


def test_put_raises_one_clear_line_when_another_transaction_holds_the_key(open_store, other, url):
    store = open_store(timeout_s=0.1)
    insert(other, record(1, b"other"))
    with pytest.raises(StorageError, match="is locked by another process: wait for it or stop it"):
        store.put([record(1)])
    other.rollback()
    store.put([record(1)])


def test_scan_holds_no_transaction_between_two_pages(open_store, other, url, monkeypatch):
    monkeypatch.setattr("encmempool.store.PAGE_ROWS", 3)
    store = open_store()
    store.put([record(key) for key in range(10)])
    found = store.scan("vote")
    next(found)
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND state LIKE '%in transaction%'"
    assert other.execute(text(query), {"name": make_url(url).database}).scalar_one() == 0
    assert len(list(found)) == 9


# --- durability ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["_engine", "_writer"])
def test_every_transaction_waits_for_the_disk_whatever_the_database_says(open_store, postgresql, url, engine):
    postgresql.execute(f"ALTER DATABASE {make_url(url).database} SET synchronous_commit = off")
    try:
        with getattr(open_store(), engine).connect() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
            connection.rollback()
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
    finally:
        postgresql.execute(f"ALTER DATABASE {make_url(url).database} RESET ALL")


def test_records_remain_when_the_database_is_opened_again(open_store):
    store = open_store()
    store.put([record(1)])
    store.close()
    with pytest.raises(Conflict):
        open_store().put([record(1, b"other")])


# --- a server that fails ---------------------------------------------------------------------------------------------


def test_calls_go_on_after_the_server_has_closed_the_connections(open_store, postgresql, url):
    store = open_store()
    store.put([record(1)])
    disconnect(postgresql, url)
    assert store.get("vote", record(1).key) == b"value"
    disconnect(postgresql, url)
    store.put([record(2)])
    assert len(list(store.scan("vote"))) == 2


def test_put_raises_one_clear_line_when_the_connection_is_lost_meanwhile(open_store, postgresql, other, url):
    store = open_store()
    insert(other, record(2, b"other"))
    with put_that_waits(store, url, record(1), record(2)) as put:
        disconnect(postgresql, url, "wait_event_type = 'Lock'")
        with pytest.raises(StorageError, match=r"lost its connection \(.+\): try again$"):
            put.result()
    other.rollback()
    store.put([record(1), record(2)])
    assert len(list(store.scan("vote"))) == 2


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("53100", "the disk is full or its limit is reached: nothing was written"),
        ("XX001", r"is corrupted \(on purpose\): restore it from a backup"),
        ("XX002", r"is corrupted \(on purpose\): restore it from a backup"),
        ("42501", "cannot be used: on purpose$"),
        ("P0001", "cannot be used: on purpose$"),
    ],
    ids=["disk full", "data corrupted", "index corrupted", "not permitted", "other"],
)
def test_put_raises_what_the_server_says_in_one_line(open_store, postgresql, url, state, message):
    store = open_store()
    for statement in (
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION 'on purpose' USING ERRCODE = '{state}', DETAIL = 'more'; END $$",
        "CREATE TRIGGER fail BEFORE INSERT ON records EXECUTE FUNCTION fail()",
    ):
        postgresql.execute(statement, database=url)
    try:
        with pytest.raises(StorageError, match=message) as caught:
            store.put([record(1)])
        assert "\n" not in str(caught.value)
    finally:
        postgresql.execute("DROP FUNCTION fail CASCADE", database=url)
    store.put([record(1)])


def test_opening_raises_when_psycopg_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError) as caught:
        DatabaseStore("postgresql+psycopg://alice:open-sesame@127.0.0.1:1/ledger")
    assert str(caught.value) == (
        "the database postgresql+psycopg://alice@127.0.0.1:1/ledger needs psycopg: "
        "run pip install 'encmempool[postgres]'"
    )


# --- URLs, and the passwords in them ---------------------------------------------------------------------------------

PASSWORD = "open-sesame"


def opening_fails(url: str) -> str:
    """What is said then; no trace of it says the password."""
    with pytest.raises(StorageError) as caught:
        DatabaseStore(url, timeout_s=2)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_opening_raises_one_clear_line_when_the_server_is_down():
    said = opening_fails(f"postgresql+psycopg://alice:{PASSWORD}@127.0.0.1:1/ledger")
    assert said.startswith("the database postgresql+psycopg://alice@127.0.0.1:1/ledger cannot be reached (")
    assert "onnection refused" in said
    assert said.endswith("): start its server or correct the URL")


def test_opening_raises_one_clear_line_when_the_password_is_wrong(url):
    wrong = make_url(url).set(password=PASSWORD).render_as_string(hide_password=False)
    assert "password authentication failed for user" in opening_fails(wrong)


def test_opening_raises_one_clear_line_when_the_database_is_missing(url):
    missing = make_url(url).set(database="nothing").render_as_string(hide_password=False)
    assert 'database "nothing" does not exist' in opening_fails(missing)


def test_opening_leaves_no_connection_when_it_fails(postgresql, postgresql_url, other):
    postgresql.execute("CREATE TABLE accounts (id INTEGER)", database=postgresql_url)
    with pytest.raises(StorageError) as caught:
        DatabaseStore(postgresql_url)
    assert "another application" in str(caught.value)
    end = time.monotonic() + 20
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name"
    while other.execute(text(query), {"name": make_url(postgresql_url).database}).scalar_one():
        assert time.monotonic() < end
        other.rollback()  # the view stays the same within a transaction
        time.sleep(0.01)


@pytest.mark.parametrize("place", ["before the host", "in the query", "of a socket"])
def test_no_error_or_repr_says_the_password(url, place):
    known = make_url(url)
    given = {
        "before the host": known,
        "in the query": known.set(password="").update_query_dict({"password": known.password}),
        "of a socket": known.set(host="").update_query_dict({"host": known.host}),
    }[place]
    with contextlib.closing(DatabaseStore(given.render_as_string(hide_password=False))) as store:
        assert known.password not in repr(store)
        assert known.host in repr(store)
        store.put([record(1)])
        with pytest.raises(Conflict) as conflict:
            store.put([record(1, b"other")])
        with pytest.raises(StorageError) as failure:
            store._read(text("SELECT nothing"))
        store.erase("vote")
    for caught in (conflict, failure):
        assert known.password not in "".join(traceback.format_exception(caught.value))


def test_no_error_says_the_value_of_a_record(open_store, monkeypatch):
    store = open_store(timeout_s=0.1)
    monkeypatch.setattr("encmempool.store._INSERT", text("INSERT INTO nothing VALUES (:kind, :key, :value)"))
    value = b"only " + b"once"
    with pytest.raises(StorageError) as caught:
        store.put([record(1, value)])
    assert value.decode() not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql+psycopg://alice:{PASSWORD}@127.0.0.1:port/ledger", "the URL of a database cannot be read: give "),
        (f"postgresql+psycopg://alice:x@127.0.0.1:{PASSWORD}/ledger", "the URL of a database cannot be read: give "),
        (f"postgresql+psycopg//alice:{PASSWORD}@127.0.0.1/ledger", "the URL of a database cannot be read: give "),
        ("", "the URL of a database cannot be read: give "),
        (f"postgresql+psycopg://alice:{PASSWORD}@x@127.0.0.1/ledger", "the URL of a database has two @: write one in"),
        (f"postgresql+psycopg://alice:x@{PASSWORD}@127.0.0.1/ledger", "the URL of a database has two @: write one in"),
        (f"postgresql://alice:{PASSWORD}@127.0.0.1/ledger", "postgresql is no database that can be used: give sqlite"),
        (f"mysql://alice:{PASSWORD}@127.0.0.1/ledger", "mysql is no database that can be used: give sqlite:///FILE or"),
    ],
)
def test_opening_raises_one_clear_line_when_the_url_is_wrong(url, said):
    assert opening_fails(url).startswith(said)
