"""Seam 3: durable state. Write-once records on SQLAlchemy Core; SQLite by default.

Everything a role must not forget is an immutable object, so one table of (kind, key) -> bytes serves them all, and
"never sign twice" is the table's own rule: a second, different value under one key is a Conflict and nothing is
written. A write that returned has reached the disk (WAL, synchronous=FULL).
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    select,
)
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.pool import StaticPool

from encmempool.errors import Conflict, StorageError
from threshold.sansio import Persist

SCHEMA_VERSION = 1

_metadata = MetaData()
_records = Table(
    "records",
    _metadata,
    Column("kind", String(32), primary_key=True),
    Column("key", LargeBinary(128), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
_meta = Table("meta", _metadata, Column("name", String(32), primary_key=True), Column("value", Integer))


class Records(Protocol):
    """What roles read when they start: every record of a kind, by ascending key."""

    def get(self, kind: str, key: bytes) -> bytes | None: ...
    def scan(self, kind: str) -> Iterator[tuple[bytes, bytes]]: ...


class Store(Records, Protocol):
    def put(self, records: Sequence[Persist]) -> None:
        """Write all or nothing, durably. Equal records already there are kept; others raise Conflict."""


class MemoryStore:
    """The same contract without a disk, for simulations."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, bytes], bytes] = {}

    def put(self, records: Sequence[Persist]) -> None:
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

    def scan(self, kind: str) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted((key, value) for (k, key), value in self._records.items() if k == kind))


class DatabaseStore:
    """One database of one role."""

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        self._engine = _engine(url, timeout_s)
        self._writer = self._engine.execution_options(writes=True)
        with self._translated():
            self._prepare()

    @classmethod
    def sqlite(cls, path: Path, *, timeout_s: float = 5.0) -> DatabaseStore:
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{path}", timeout_s=timeout_s)

    def put(self, records: Sequence[Persist]) -> None:
        if not records:
            return
        with self._translated():
            try:
                with self._writer.begin() as connection:
                    connection.execute(_records.insert(), [_row(record) for record in records])
            except IntegrityError:  # some are there already, and nothing was written
                self._put_each(records)

    def _put_each(self, records: Sequence[Persist]) -> None:
        with self._writer.begin() as connection:
            for record in records:
                at = (_records.c.kind == record.kind) & (_records.c.key == record.key)
                old = connection.execute(select(_records.c.value).where(at)).scalar()
                if old is None:
                    connection.execute(_records.insert(), _row(record))
                elif old != record.value:
                    raise _conflict(record.kind, record.key)

    def get(self, kind: str, key: bytes) -> bytes | None:
        query = select(_records.c.value).where((_records.c.kind == kind) & (_records.c.key == key))
        with self._translated(), self._engine.connect() as connection:
            value = connection.execute(query).scalar()
        return None if value is None else bytes(value)

    def scan(self, kind: str) -> Iterator[tuple[bytes, bytes]]:
        query = select(_records.c.key, _records.c.value).where(_records.c.kind == kind).order_by(_records.c.key)
        with self._translated(), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return ((bytes(key), bytes(value)) for key, value in rows)

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self) -> None:
        _metadata.create_all(self._writer)
        with self._writer.begin() as connection:
            version = connection.execute(select(_meta.c.value).where(_meta.c.name == "schema_version")).scalar()
            if version is None:
                connection.execute(_meta.insert(), {"name": "schema_version", "value": SCHEMA_VERSION})
            elif version > SCHEMA_VERSION:
                raise StorageError(
                    f"{self._name} has schema version {version}; this program knows up to {SCHEMA_VERSION}: "
                    "install a newer encmempool"
                )

    @property
    def _name(self) -> str:
        return f"the database {self._engine.url.database or self._engine.url.render_as_string()}"

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            reason = str(error.orig)
            if "locked" in reason:
                raise StorageError(f"{self._name} is locked by another process: wait for it or stop it") from error
            raise StorageError(f"{self._name} cannot be used: {reason}") from error
        except DatabaseError as error:
            raise StorageError(
                f"{self._name} is corrupted ({error.orig}): restore it from a backup; a member must not sign again "
                "with an old copy, which has forgotten what it signed"
            ) from error


def _engine(url: str, timeout_s: float) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url)
    engine = create_engine(
        url, connect_args={"timeout": timeout_s}, poolclass=StaticPool if ":memory:" in url else None
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy then emits BEGIN itself, below
        _enable_wal(connection, timeout_s)
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A writer takes its lock at once: upgrading a read later could fail half-way.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

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
