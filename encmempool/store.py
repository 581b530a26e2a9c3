"""Seam 3: durable state. Write-once records on SQLAlchemy Core; SQLite by default, PostgreSQL by URL.

Everything a role must not forget is an immutable object, so one table of (kind, key) -> bytes serves them all, and
"never sign twice" is the table's own rule: a second, different value under one key is a Conflict and nothing is
written. A write that returned has reached the disk (SQLite: WAL, synchronous=FULL; PostgreSQL: synchronous_commit=on,
on a server that runs with fsync, as servers do by default).

One store may be used by several threads at once.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, takewhile
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    QueuePool,
    Select,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, TimeoutError as PoolTimeout

from encmempool import migrations
from encmempool.errors import Conflict, StorageError
from threshold.sansio import Persist

SCHEMA_VERSION = migrations.NEWEST

MAX_KIND = 32
"""Characters of a record's kind."""

MAX_RECORD_KEY_BYTES = 128

PAGE_ROWS = 256
PAGE_BYTES = 1 << 20
"""A scan holds as many records at a time, and more bytes only where a single record has more."""

Rows = list[tuple[bytes, bytes]]

_URLS = "give sqlite:///FILE or postgresql+psycopg://USER@HOST:PORT/DATABASE"
_WRITES: dict[str, dict[str, Any]] = {"sqlite": {"writes": True}, "postgresql": {"isolation_level": "READ COMMITTED"}}
"""What makes a transaction of several statements. Reads are single statements, each a transaction of its own."""

_MIGRATION_LOCK = 0x656E636D656D
"""PostgreSQL's advisory locks are numbers that all applications of a database share."""

_metadata = MetaData()
_records = Table(
    "records",
    _metadata,
    Column("kind", String(MAX_KIND), primary_key=True),
    Column("key", LargeBinary(MAX_RECORD_KEY_BYTES), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
_meta = Table("meta", _metadata, Column("name", String(32), primary_key=True), Column("value", Integer))

_INSERT = text("INSERT INTO records (kind, key, value) VALUES (:kind, :key, :value) ON CONFLICT DO NOTHING")
_GET = select(_records.c.value).where(
    (_records.c.kind == bindparam("of_kind")) & (_records.c.key == bindparam("of_key"))
)


class Records(Protocol):
    """What roles read: one record, or those of a kind by ascending key, compared byte by byte."""

    def get(self, kind: str, key: bytes) -> bytes | None: ...

    def scan(self, kind: str, *, start: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """At most `limit` records, from key `start` on. Those put or erased meanwhile may be among them or not."""

    def last(self, kind: str) -> tuple[bytes, bytes] | None:
        """The record with the highest key."""


class Store(Records, Protocol):
    def put(self, records: Sequence[Persist]) -> None:
        """Write all or nothing, durably. Equal records already there are kept; others raise Conflict.

        After a StorageError it may be called again: what was written after all is then equal.
        """

    def erase(self, kind: str, *, below: bytes | None = None) -> None:
        """Delete the records of a kind, or those with a key less than `below`, durably.

        Their keys may then be written anew with other values: never erase what guards a signature.
        """

    def close(self) -> None: ...


class MemoryStore:
    """The same contract without a disk, for simulations."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, bytes], bytes] = {}

    def put(self, records: Sequence[Persist]) -> None:
        _check_sizes(records)
        new: dict[tuple[str, bytes], bytes] = {}
        for record in records:
            at = (record.kind, record.key)
            old = self._records.get(at, new.get(at))
            if old is not None and old != record.value:
                raise _conflict(record.kind, record.key)
            new[at] = record.value
        self._records.update(new)

    def get(self, kind: str, key: bytes) -> bytes | None:
        return self._records.get((kind, key))

    def scan(self, kind: str, *, start: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        found = sorted((key, value) for key, value in self._of(kind) if key >= start)
        return iter(found[: _checked_limit(limit)])

    def last(self, kind: str) -> tuple[bytes, bytes] | None:
        return max(self._of(kind), default=None)

    def erase(self, kind: str, *, below: bytes | None = None) -> None:
        for key, _ in self._of(kind):
            if below is None or key < below:
                del self._records[kind, key]

    def close(self) -> None:
        pass

    def _of(self, kind: str) -> list[tuple[bytes, bytes]]:
        # The copy is one step of the interpreter, so that another thread may write meanwhile.
        return [(key, value) for (k, key), value in list(self._records.items()) if k == kind]


class DatabaseStore:
    """One database of one role."""

    def __init__(self, url: str | URL, *, timeout_s: float = 5.0, max_pages: int | None = None) -> None:
        """Opens the database, creates its tables in an empty one, and brings those of an older version up to date.

        timeout_s   how long to wait for a lock or for a server
        max_pages   limits the size of an SQLite file, in pages of 4096 bytes; one that is larger grows no more
        """
        url = _parsed(url)
        self._name = f"the database {_shown(url)}"
        try:
            self._engine = (
                _sqlite_engine(url, timeout_s, max_pages) if _is_sqlite(url) else _postgresql_engine(url, timeout_s)
            )
        except ImportError as error:
            raise StorageError(f"{self._name} needs psycopg: run pip install 'encmempool[postgres]'") from error
        self._writer = self._engine.execution_options(**_WRITES[self._engine.name])
        try:
            with self._translated():
                self._prepare()
        except StorageError:
            self.close()
            raise

    @classmethod
    def sqlite(cls, path: Path, *, timeout_s: float = 5.0, max_pages: int | None = None) -> DatabaseStore:
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(URL.create("sqlite", database=str(path)), timeout_s=timeout_s, max_pages=max_pages)

    def __repr__(self) -> str:
        return f"<DatabaseStore: {self._name}>"

    def put(self, records: Sequence[Persist]) -> None:
        if not records:
            return
        _check_sizes(records)
        # In one order for all: writers of the same keys then wait for each other and never in a circle.
        rows = [_row(record) for record in sorted(records, key=lambda record: (record.kind, record.key))]
        with self._translated(), self._writer.begin() as connection:
            if connection.execute(_INSERT, rows).rowcount != len(rows):
                self._check_equal(connection, rows)

    def _check_equal(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            at = (_records.c.kind == row["kind"]) & (_records.c.key == row["key"])
            if connection.execute(select(_records.c.value).where(at)).scalar() != row["value"]:
                raise _conflict(row["kind"], row["key"])

    def get(self, kind: str, key: bytes) -> bytes | None:
        with self._translated(), self._engine.connect() as connection:
            return connection.execute(_GET, {"of_kind": kind, "of_key": key}).scalar()

    def scan(self, kind: str, *, start: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Holds a page of records at a time, and no transaction between two pages. The first is read at once."""
        pages = self._pages(kind, _records.c.key >= start, _checked_limit(limit))
        return chain(next(pages, ()), chain.from_iterable(pages))

    def _pages(self, kind: str, where: ColumnElement[bool], left: int | None) -> Iterator[Rows]:
        while left != 0:
            wanted = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            sizes = self._read(_by_key(kind, where, func.length(_records.c.value)).limit(wanted))
            if not sizes:
                return
            count = _fitting(size for _, size in sizes)
            end = sizes[count - 1][0]
            page = self._read(_by_key(kind, where & (_records.c.key <= end), _records.c.value).limit(count))
            yield page
            if count == len(sizes) < wanted:
                return
            left = None if left is None else left - len(page)
            # Records put meanwhile may have filled the page before its end.
            where = _records.c.key > (page[-1][0] if len(page) == count else end)

    def last(self, kind: str) -> tuple[bytes, bytes] | None:
        newest = select(_records.c.key, _records.c.value).where(_records.c.kind == kind).order_by(_records.c.key.desc())
        return next(iter(self._read(newest.limit(1))), None)

    def _read(self, query: Select[*tuple[Any, ...]]) -> list[Any]:
        with self._translated(), self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def erase(self, kind: str, *, below: bytes | None = None) -> None:
        """Of a whole kind no byte is left in an SQLite file, which is written anew for it, some 10 ms a megabyte. With
        `below` what is deleted is overwritten, but not what SQLite left behind when it moved records between pages.
        Neither reaches copies of the file or spare blocks of the disk.

        StorageError if another process uses the file all the time: call it again. A PostgreSQL server keeps the bytes
        until it needs their space, and in its log and backups.
        """
        where = _records.c.kind == kind
        if below is not None:
            where &= _records.c.key < below
        with self._translated():
            with self._writer.begin() as connection:
                connection.execute(_records.delete().where(where))
            if self._engine.name == "sqlite":
                self._scrub(whole=below is None)

    def _scrub(self, *, whole: bool) -> None:
        with self._engine.connect() as connection:
            if whole:
                # secure_delete misses what moved to another page while neighbours were written or deleted.
                connection.exec_driver_sql("VACUUM")
            busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if busy:
            raise StorageError(f"{self._name} is locked by another process: wait for it or stop it")

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self) -> None:
        with self._engine.connect() as connection:
            version = self._version(connection)
        while version != SCHEMA_VERSION:
            with self._writer.begin() as connection:
                if self._engine.name == "postgresql":
                    connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
                version = self._version(connection)  # another process may have taken the step meanwhile
                if version != SCHEMA_VERSION:
                    version += 1
                    for statement in migrations.step(version, self._engine.name):
                        connection.exec_driver_sql(statement)
                    connection.execute(_meta.delete().where(_meta.c.name == "schema_version"))
                    connection.execute(_meta.insert(), {"name": "schema_version", "value": version})

    def _version(self, connection: Connection) -> int:
        """0 for an empty database. StorageError if it is not ours, or a newer one."""
        inspector = inspect(connection)
        tables = inspector.get_table_names()
        if not tables:
            return 0
        for table in (_records, _meta):
            found = inspector.get_columns(table.name) if table.name in tables else []
            if {column["name"] for column in found} != {*table.c.keys()}:
                raise StorageError(f"{self._name} holds tables of another application: name a database of its own")
        # The first release wrote the version after the tables, so that it may be missing.
        version = connection.execute(select(_meta.c.value).where(_meta.c.name == "schema_version")).scalar() or 1
        if version > SCHEMA_VERSION:
            raise StorageError(
                f"{self._name} has schema version {version}; this program knows up to {SCHEMA_VERSION}: "
                "install a newer encmempool"
            )
        return version

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise StorageError(f"{self._name} is used by too many threads at once: try again") from error
        except DBAPIError as error:
            raise StorageError(f"{self._name} {_reason(error)}") from error


def _reason(error: DBAPIError) -> str:
    """What is wrong with a database and what to do, in one line: only psycopg's first one says what happened."""
    said = str(error.orig).strip().partition("\n")[0].removeprefix("connection failed: ")
    state: str | None = getattr(error.orig, "sqlstate", None)
    postgresql = not isinstance(error.orig, sqlite3.Error)
    if state == "55P03" or (not postgresql and "locked" in said):
        return "is locked by another process: wait for it or stop it"
    if state == "53100" or (not postgresql and "disk is full" in said):
        return "has no room, the disk is full or its limit is reached: nothing was written; make room and try again"
    if state in ("XX001", "XX002") or not (postgresql or isinstance(error, OperationalError)):
        return (
            f"is corrupted ({said}): restore it from a backup; a member must not sign again "
            "with an old copy, which has forgotten what it signed"
        )
    if error.connection_invalidated:
        return f"lost its connection ({said}): try again"
    if postgresql and state is None:
        return f"cannot be reached ({said}): start its server or correct the URL"
    return f"cannot be used: {said}"


def _parsed(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # their text may hold a password
        raise StorageError(f"the URL of a database cannot be read: {_URLS}") from None
    if not _is_sqlite(parsed) and parsed.drivername != "postgresql+psycopg":
        raise StorageError(f"{parsed.drivername} is no database that can be used: {_URLS}")
    if "@" in (parsed.host or ""):
        raise StorageError("the URL of a database has two @: write one in a password as %40")
    return parsed


def _is_sqlite(url: URL) -> bool:
    return url.drivername in ("sqlite", "sqlite+pysqlite")


def _in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _shown(url: URL) -> str:
    """Without a password."""
    if _is_sqlite(url):
        return url.database or ":memory:"
    query = {name: url.query[name] for name in ("host", "port") if name in url.query}
    shown = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query)
    return shown.render_as_string()


def _sqlite_engine(url: URL, timeout_s: float, max_pages: int | None) -> Engine:
    # A database in memory lives in one connection, which threads then take in turns.
    pool = {"pool_size": 1, "max_overflow": 0} if _in_memory(url) else {}
    engine = create_engine(
        url,
        connect_args={"timeout": timeout_s, "check_same_thread": False},
        poolclass=QueuePool,
        pool_timeout=timeout_s,
        hide_parameters=True,
        **pool,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # each statement is a transaction of its own, but for those begun below
        _enable_wal(connection, timeout_s)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        if max_pages is not None:
            connection.execute(f"PRAGMA max_page_count={max_pages:d}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A writer takes its lock at once: upgrading a read later could fail half-way.
        if connection.get_execution_options().get("writes"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql_engine(url: URL, timeout_s: float) -> Engine:
    seconds, milliseconds = math.ceil(timeout_s), math.ceil(timeout_s * 1000)
    wanted = {
        "connect_timeout": seconds,
        "tcp_user_timeout": milliseconds,
        "keepalives_idle": seconds,
        "keepalives_interval": seconds,
        "keepalives_count": 2,
    }
    engine = create_engine(
        url,
        connect_args={name: value for name, value in wanted.items() if name not in url.query},
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=True,
        pool_timeout=timeout_s,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.autocommit = True  # a setting made in a transaction ends with it
        connection.execute("SET synchronous_commit = on")
        connection.execute(f"SET lock_timeout = {milliseconds:d}")

    return engine


def _enable_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """SQLite's own timeout does not cover this change while another process makes the same one."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= end:
                raise
            time.sleep(0.01)


def _checked_limit(limit: int | None) -> int | None:
    if limit is not None and limit < 0:
        raise ValueError(f"a scan of at most {limit} records")
    return limit


def _check_sizes(records: Iterable[Persist]) -> None:
    for record in records:
        if len(record.kind) > MAX_KIND or len(record.key) > MAX_RECORD_KEY_BYTES:
            raise ValueError(f"a kind of {len(record.kind)} characters with a key of {len(record.key)} bytes")


def _by_key(kind: str, where: ColumnElement[bool], column: ColumnElement[Any]) -> Select[Any, Any]:
    """Keys of a kind, each with what `column` says of its record."""
    return select(_records.c.key, column).where((_records.c.kind == kind) & where).order_by(_records.c.key)


def _fitting(sizes: Iterable[int]) -> int:
    """How many of the first ones make a page."""
    totals = accumulate(sizes)
    next(totals)
    return 1 + sum(1 for _ in takewhile(lambda total: total <= PAGE_BYTES, totals))


def _row(record: Persist) -> dict[str, str | bytes]:
    return {"kind": record.kind, "key": record.key, "value": record.value}


def _conflict(kind: str, key: bytes) -> Conflict:
    return Conflict(f"a different {kind} is already stored under {key.hex()}")


def perform(effects: Iterable[object], store: Store) -> tuple[object, ...]:
    """Write what must be durable, in one transaction for each run of records, and return what may then be sent."""
    pending: list[Persist] = []
    to_send: list[object] = []
    for effect in effects:
        if isinstance(effect, Persist):
            if to_send:
                raise ValueError("a record after a message: perform the message first")
            pending.append(effect)
        else:
            to_send.append(effect)
    store.put(pending)
    return tuple(to_send)
