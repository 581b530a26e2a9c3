"""`fetch uniswap`: paths and JSON out, and what it says when npm cannot deliver. A stand-in for npm delivers."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from encmempool.measure import contracts

FILES = ("uniswap-v2-core-1.0.1.tgz", "uniswap-v2-periphery-1.1.0-beta.0.tgz")
DATA = b"stands for a tarball"


@pytest.fixture
def run(invoked, tmp_path):
    """In a home that does not exist: none is needed."""
    return lambda *arguments, **options: invoked(tmp_path / "nowhere", "fetch", "uniswap", *arguments, **options)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    """Not the user's own; every tarball is DATA."""
    integrity = base64.b64encode(hashlib.sha512(DATA).digest()).decode()
    pinned = tuple(replace(package, integrity=integrity) for package in contracts.PACKAGES)
    monkeypatch.setattr(contracts, "PACKAGES", pinned)
    monkeypatch.setenv("ENCMEMPOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """Installs a shell script as npm, alone on the PATH. Without a script there is none."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def install(script: str) -> None:
        (programs / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "npm").chmod(0o755)

    return install


@pytest.fixture
def working_npm(npm) -> None:
    npm("\n".join(f"printf '{DATA.decode()}' > {file}" for file in FILES))


@pytest.mark.usefixtures("working_npm")
def test_paths_go_to_stdout_and_the_rest_to_stderr(run, cache, tmp_path) -> None:
    outcome = run()
    assert (outcome.code, outcome.out) == (0, "".join(f"{cache / file}\n" for file in FILES))
    for line, package in zip(outcome.err.splitlines(), contracts.PACKAGES, strict=True):
        assert line == f"fetched {package.name}@{package.version}, 20 bytes, digest checked, GPL-3.0-or-later"
    assert sorted(path.name for path in cache.iterdir()) == sorted(FILES)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.usefixtures("working_npm")
def test_quiet_leaves_the_paths(run) -> None:
    outcome = run("-q")
    assert (outcome.err, len(outcome.out.splitlines())) == ("", 2)


@pytest.mark.usefixtures("working_npm")
def test_json_says_what_was_fetched(run, cache, fits_schema) -> None:
    for fetched in (True, False):
        document = run("--json").json
        fits_schema(document)
        assert document["schema"] == "encmempool.fetch-uniswap/1"
        assert document["directory"] == str(cache)
        assert document["packages"] == [
            {
                "name": package.name,
                "version": package.version,
                "sha512": package.integrity,
                "bytes": len(DATA),
                "fetched": fetched,
            }
            for package in contracts.PACKAGES
        ]


def test_second_run_needs_no_npm(run, npm, cache) -> None:
    cache.mkdir()
    for file in FILES:
        (cache / file).write_bytes(DATA)
    outcome = run()
    assert outcome.code == 0
    assert all(line.startswith("already there: ") for line in outcome.err.splitlines())


@pytest.mark.usefixtures("npm")
def test_missing_npm_is_an_environment_problem(run, cache, is_problem, fits_schema) -> None:
    is_problem(run(), 3, "npm is not on the PATH", "install Node.js", FILES[0], str(cache))
    document = run("--json").json
    fits_schema(document)
    assert document["code"] == "environment"


def test_failing_npm_is_an_environment_problem(run, npm, cache, is_problem) -> None:
    npm("echo 'npm error code ENOTFOUND' >&2; exit 1")
    is_problem(run(), 3, "npm pack @uniswap/v2-core@1.0.1 failed", "ENOTFOUND", str(cache))
    assert list(cache.iterdir()) == []


def test_wrong_delivery_is_an_environment_problem(run, npm, cache, is_problem) -> None:
    npm(f"echo other > {FILES[0]}")
    is_problem(run(), 3, "npm delivered @uniswap/v2-core@1.0.1", "nothing was kept")
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("npm")
def test_broken_tarball_in_the_cache_is_an_environment_problem(run, cache, is_problem) -> None:
    cache.mkdir()
    (cache / FILES[0]).write_bytes(DATA[:-1])
    is_problem(run(), 3, str(cache / FILES[0]), "expected sha512-", "found sha512-", "delete it and run")


@pytest.mark.usefixtures("npm")
def test_cache_that_cannot_be_made_is_an_environment_problem(run, cache, is_problem) -> None:
    cache.write_text("a file is in the way")
    is_problem(run(), 3, str(cache))


def test_help_names_the_licence_and_the_cache(run) -> None:
    shown = run("--help").out
    for needle in ("GPL-3.0", "ENCMEMPOOL_CACHE", "~/.cache/encmempool"):
        assert needle in shown
