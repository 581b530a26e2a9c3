"""Databases of the first release: they open, and what the newer schema holds besides is found in them afterwards."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import NullPool, create_engine, text

from encmempool import migrations
from encmempool.errors import StorageError
from encmempool.sequencer import COMMITMENT, RECEIPT, CommittedBatch
from encmempool.store import DatabaseStore
from encmempool.types import MAX_BATCH, OrderCommitment, Receipt, SignedCommitment, SignedReceipt
from threshold.encoding import u64
from threshold.entropy import deterministic
from threshold.sansio import Persist

FIRST_SCHEMA = (
    'CREATE TABLE records (\n\tkind VARCHAR(32) NOT NULL, \n\t"key" BLOB NOT NULL, \n\tvalue BLOB NOT NULL, \n\t'
    'PRIMARY KEY (kind, "key")\n)',
    "CREATE TABLE meta (\n\tname VARCHAR(32) NOT NULL, \n\tvalue INTEGER, \n\tPRIMARY KEY (name)\n)",
)
"""As sqlite_master has it in a file that the first release made."""

BATCHES = (0, 1, 3, 64, 0, 5)

random = deterministic(b"migrations")


def receipt(sequence: int, tx_id: bytes) -> tuple[str, bytes, bytes]:
    message = Receipt(
        tx_id=tx_id,
        sequence=sequence,
        received_at_ms=1_700_000_000_000 + sequence,
        include_by_height=7,
        include_by_l1_block=1 << 60,
        reveal_by_l1_block=0,
    )
    return RECEIPT, u64(sequence), SignedReceipt(message=message, signature=random(65)).encoded


def commitment(height: int, tx_ids: tuple[bytes, ...]) -> tuple[str, bytes, bytes]:
    message = OrderCommitment(
        height=height,
        parent=random(32),
        committee_id=random(32),
        key_id=random(32),
        round=height,
        batch_root=random(32),
        count=len(tx_ids),
        policy_id=1,
        l1_block=0,
        inbox_index=0,
        timestamp_ms=1_700_000_000_000,
        executed_height=height - 1,
        state_root=random(32),
    )
    signed = SignedCommitment(message=message, signature=random(65))
    return COMMITMENT, u64(height), CommittedBatch(commitment=signed, tx_ids=tx_ids).encoded


@pytest.fixture(scope="module")
def batches() -> dict[int, tuple[bytes, ...]]:
    """Transaction ids by height."""
    return {height: tuple(random(32) for _ in range(count)) for height, count in enumerate(BATCHES, start=1)}


@pytest.fixture(scope="module")
def waiting() -> tuple[bytes, ...]:
    """Ids with a receipt and no place yet."""
    return tuple(random(32) for _ in range(3))


@pytest.fixture(scope="module")
def receipted(batches, waiting) -> tuple[bytes, ...]:
    """Ids by the sequence of their receipt, which is not the order of their heights."""
    return tuple(sorted((*(tx_id for ids in batches.values() for tx_id in ids), *waiting)))


@pytest.fixture(scope="module")
def first_records(batches, receipted) -> list[tuple[str, bytes, bytes]]:
    """What the first release wrote, and a record of another kind."""
    return [
        *(receipt(sequence, tx_id) for sequence, tx_id in enumerate(receipted)),
        *(commitment(height, tx_ids) for height, tx_ids in batches.items()),
        ("vote", u64(1), random(200)),
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path) -> str:
    """The URL of an empty database."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql_url")
    return f"sqlite:///{tmp_path / 'records.sqlite'}"


def execute(url: str, *statements: str, **values: object) -> list[tuple[object, ...]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def write_first(url: str, records: list[tuple[str, bytes, bytes]]) -> None:
    postgresql = url.startswith("postgresql")
    execute(url, *(ddl.replace("BLOB", "BYTEA") if postgresql else ddl for ddl in FIRST_SCHEMA))
    execute(url, "INSERT INTO meta VALUES ('schema_version', 1)")
    if records:
        rows = [{"kind": kind, "key": key, "value": value} for kind, key, value in records]
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text("INSERT INTO records VALUES (:kind, :key, :value)"), rows)


@pytest.fixture
def first(empty, first_records) -> str:
    """The URL of a database of the first release."""
    write_first(empty, first_records)
    return empty


def version(url: str) -> list[tuple[object, ...]]:
    return execute(url, "SELECT name, value FROM meta")


def upgraded(url: str) -> DatabaseStore:
    return contextlib.closing(DatabaseStore(url, timeout_s=20))


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    statement = 'SELECT "key", value FROM records WHERE kind = :kind ORDER BY "key"'
    kinds = [str(kind) for (kind,) in execute(url, "SELECT DISTINCT kind FROM records")]
    return {kind: execute(url, statement, kind=kind) for kind in kinds}


# --- the steps -------------------------------------------------------------------------------------------------------


def test_the_first_step_makes_the_schema_of_the_first_release():
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for statement in migrations.step(1, "sqlite"):
            connection.execute(statement)
        made = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    assert [sql for (sql,) in made] == list(FIRST_SCHEMA)


def test_a_new_database_takes_the_same_steps_as_an_old_one(empty, tmp_path):
    with upgraded(empty):
        assert version(empty) == [("schema_version", migrations.NEWEST)]
        assert contents(empty) == {}
    if empty.startswith("sqlite"):
        made = execute(empty, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        assert [sql for (sql,) in made] == list(FIRST_SCHEMA)


def test_transaction_ids_lie_where_the_second_step_looks_for_them(batches):
    """Its SQL cannot ask the codec."""
    at = SignedCommitment.codec().size + 4
    (statement,) = (text for text in migrations.step(2, "sqlite") if "commitment'" in text)
    assert f"substr(value, {at + 1} + 32 * number, 32)" in statement
    assert f"(length(value) - {at}) / 32" in statement
    assert f"{at} + 32 * (number + 1) <= length(value)" in statement
    _, _, encoded = commitment(1, batches[4])
    assert encoded[at:] == b"".join(batches[4])
    assert receipt(0, batches[4][0])[2].startswith(batches[4][0])


# --- the upgrade -----------------------------------------------------------------------------------------------------


def test_upgrade_keeps_every_record(first, first_records):
    with upgraded(first) as store:
        for kind, key, value in first_records:
            assert store.get(kind, key) == value
    after = contents(first)
    assert sum(len(after[kind]) for kind in (RECEIPT, COMMITMENT, "vote")) == len(first_records)
    assert version(first) == [("schema_version", migrations.NEWEST)]


def test_upgrade_finds_the_receipt_of_every_transaction(first, receipted):
    with upgraded(first) as store:
        for sequence, tx_id in enumerate(receipted):
            key = store.get("receipt-of", tx_id)
            assert key == u64(sequence)
            assert SignedReceipt.decode(store.get(RECEIPT, key)).message.tx_id == tx_id
        assert len(list(store.scan("receipt-of"))) == len(receipted)


def test_upgrade_finds_the_place_of_every_committed_transaction(first, batches, waiting):
    with upgraded(first) as store:
        for height, tx_ids in batches.items():
            assert [store.get("place", tx_id) for tx_id in tx_ids] == [u64(height)] * len(tx_ids)
        assert [store.get("place", tx_id) for tx_id in waiting] == [None] * len(waiting)
        assert len(list(store.scan("place"))) == sum(BATCHES)


def test_upgrade_finds_the_places_of_a_batch_of_the_greatest_size(empty):
    tx_ids = tuple(random(32) for _ in range(MAX_BATCH))
    write_first(empty, [commitment(1, tx_ids)])
    with upgraded(empty) as store:
        assert dict(store.scan("place")) == dict.fromkeys(tx_ids, u64(1))


@pytest.mark.parametrize(
    "records", [[], [("vote", u64(1), b"v")], [commitment(1, ())]], ids=["none", "vote", "empty batch"]
)
def test_upgrade_adds_nothing_where_nothing_was_ordered(empty, records):
    write_first(empty, records)
    with upgraded(empty):
        pass
    assert contents(empty) == {kind: [(key, value)] for kind, key, value in records}


def test_upgrade_keeps_the_first_of_two_places_of_a_transaction(empty, batches):
    """No honest sequencer writes such a file; it must still open."""
    (tx_id,) = batches[2]
    write_first(empty, [commitment(9, (tx_id,)), commitment(4, (tx_id, tx_id)), receipt(7, tx_id), receipt(3, tx_id)])
    with upgraded(empty) as store:
        assert store.get("place", tx_id) == u64(4)
        assert store.get("receipt-of", tx_id) == u64(3)


def test_an_upgraded_database_opens_again_unchanged(first):
    with upgraded(first):
        before = contents(first)
    with upgraded(first) as store:
        assert contents(first) == before
        store.put([Persist(kind="vote", key=u64(2), value=b"v")])


def test_upgrade_goes_on_where_the_first_release_was_stopped_while_it_made_the_file(empty):
    write_first(empty, [])
    execute(empty, "DELETE FROM meta")
    with upgraded(empty):
        assert version(empty) == [("schema_version", migrations.NEWEST)]


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_several_that_open_a_database_at_once_all_find_it_up_to_date(empty, first_records, receipted, old):
    if old:
        write_first(empty, first_records)
    count = 4
    barrier = threading.Barrier(count)

    def opened() -> int:
        barrier.wait()
        with upgraded(empty) as store:
            return len(list(store.scan("receipt-of")))

    with ThreadPoolExecutor(count) as pool:
        found = [pool.submit(opened) for _ in range(count)]
        assert [future.result() for future in found] == [len(receipted) if old else 0] * count
    assert version(empty) == [("schema_version", migrations.NEWEST)]


def test_upgrade_changes_nothing_when_a_step_fails(first, monkeypatch):
    before = contents(first)
    broken = (*migrations.step(2, "sqlite"), "INSERT INTO nothing VALUES (1)")
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "step", lambda *_: broken)
        with pytest.raises(StorageError, match="cannot be used"):
            DatabaseStore(first)
    assert contents(first) == before
    assert version(first) == [("schema_version", 1)]
    with upgraded(first):
        assert contents(first) != before


def test_upgrade_changes_nothing_when_the_disk_is_full(tmp_path, first_records):
    path = tmp_path / "records.sqlite"
    url = f"sqlite:///{path}"
    write_first(url, first_records)
    before = contents(url)
    with pytest.raises(StorageError, match="the disk is full or its limit is reached"):
        DatabaseStore.sqlite(path, max_pages=1)
    assert contents(url) == before
    assert version(url) == [("schema_version", 1)]
    with upgraded(url) as store:
        assert store.last("place") is not None


# --- what is not upgraded --------------------------------------------------------------------------------------------


def test_opening_raises_and_changes_nothing_when_the_schema_is_newer(first):
    newer = migrations.NEWEST + 1
    execute(first, f"UPDATE meta SET value = {newer}")
    before = contents(first)
    with pytest.raises(StorageError, match=rf"schema version {newer}; .* knows up to {newer - 1}: install a newer"):
        DatabaseStore(first)
    assert contents(first) == before


@pytest.mark.parametrize(
    "tables",
    [
        ["CREATE TABLE accounts (id INTEGER)"],
        ["CREATE TABLE meta (name VARCHAR(32), value INTEGER)"],
        ["CREATE TABLE records (kind VARCHAR(32), key INTEGER, value INTEGER)"],
        [
            "CREATE TABLE records (id INTEGER, title VARCHAR(99))",
            "CREATE TABLE meta (name VARCHAR(32), value INTEGER)",
        ],
        [
            "CREATE TABLE records (kind VARCHAR(32), key INTEGER, value INTEGER)",
            "CREATE TABLE meta (id INTEGER, author VARCHAR(99))",
        ],
    ],
    ids=["another table", "meta alone", "records alone", "other records", "other meta"],
)
def test_opening_raises_and_changes_nothing_when_another_application_has_tables_there(empty, tables):
    execute(empty, *tables)
    with pytest.raises(StorageError, match="holds tables of another application: name a database of its own"):
        DatabaseStore(empty)
    for ddl in tables:
        name = ddl.split()[2]
        assert execute(empty, f"SELECT * FROM {name}") == []
    with pytest.raises(StorageError, match="another application"):
        DatabaseStore(empty)
