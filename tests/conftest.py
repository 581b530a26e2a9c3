"""What lies or runs outside the repository: public vectors, data sets, and a PostgreSQL server."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.exc import OperationalError

ROOT = Path(__file__).resolve().parents[1]


def _directory(variable: str, default: str) -> Path:
    path = ROOT / os.environ.get(variable, default)
    if not path.is_dir():
        pytest.skip(f"{path} is not there: set {variable} to the directory that holds these files")
    return path


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Published test vectors, one directory for each source."""
    return _directory("ENCMEMPOOL_VECTORS", "../shared/vectors")


@pytest.fixture(scope="session")
def data() -> Path:
    """Recorded market and chain data."""
    return _directory("ENCMEMPOOL_DATA", "../shared/data")


class PostgresqlServer:
    """A real server and its administrator."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._databases: list[str] = []
        self._free: list[str] = []

    def execute(self, statement: str, *, database: str | None = None) -> None:
        """In the administrator's own database, or in one by its URL."""
        engine = self._engine if database is None else create_engine(database, poolclass=NullPool)
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql(statement)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty one. They are used again: a new one takes 8 MB and its fsyncs."""
        if self._free:
            name = self._free.pop()
        else:
            name = f"encmempool_{secrets.token_hex(8)}"
            self.execute(f"CREATE DATABASE {name}")
            self._databases.append(name)
        url = self.url.set(database=name).render_as_string(hide_password=False)
        yield url
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", database=url)
        self.execute(f"ALTER DATABASE {name} RESET ALL")
        self._free.append(name)

    def drop_databases(self) -> None:
        for name in self._databases:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _postgresql_programs() -> Path | None:
    """Debian's newest, or those of PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    return Path(found).resolve().parent if found else None


_WHILE_STDIN_IS_OPEN = 'exec 3<&0; "$@" & server=$!; { read -r _ <&3; kill -QUIT $server; } & wait $server'
"""Runs the server, and ends it when the tests end, even if they were killed."""


def _started(programs: Path, folder: Path, user: dict[str, Any]) -> tuple[PostgresqlServer, subprocess.Popen[bytes]]:
    password = secrets.token_hex(8)
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    initdb = [programs / "initdb", "-D", "data", "-U", "tester", "-A", "scram-sha-256", "--pwfile", "password"]
    made = subprocess.run([*initdb, "-E", "UTF8", "--no-sync"], cwd=folder, capture_output=True, text=True, **user)
    assert made.returncode == 0, made.stderr
    options = ["-D", "data", "-h", "127.0.0.1", "-k", "", "-c", "fsync=on"]
    for _ in range(5):  # another process may take the free port first
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                ["sh", "-c", _WHILE_STDIN_IS_OPEN, "sh", programs / "postgres", *options, "-p", str(port)],
                cwd=folder,
                stdin=subprocess.PIPE,
                stderr=log,
                **user,
            )
        server = PostgresqlServer(
            URL.create("postgresql+psycopg", "tester", password, "127.0.0.1", port, database="postgres")
        )
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            try:
                server.execute("SELECT 1")
                return server, process
            except OperationalError:
                time.sleep(0.02)
        _stop(process)
    raise AssertionError((folder / "log").read_text())


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(30)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """The server that ENCMEMPOOL_POSTGRES_URL names, as one who may create databases; or a private one on loopback."""
    pytest.importorskip("psycopg", reason="psycopg is not here: pip install 'encmempool[postgres]'")
    if url := os.environ.get("ENCMEMPOOL_POSTGRES_URL"):
        server = PostgresqlServer(make_url(url))
        yield server
        server.drop_databases()
        return
    programs = _postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not here: install Debian's postgresql, or set ENCMEMPOOL_POSTGRES_URL")
    # It refuses to run as root, and its own user cannot enter pytest's temporary folders.
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="encmempool-postgresql-"))
    try:
        if user:
            shutil.chown(folder, "postgres", "postgres")
        server, process = _started(programs, folder, user)
        yield server
        _stop(process)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql: PostgresqlServer) -> Iterator[str]:
    """Of an empty database."""
    with postgresql.database() as url:
        yield url
