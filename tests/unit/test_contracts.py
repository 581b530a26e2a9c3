"""Fetching and reading the contracts' tarballs: from a stand-in for npm, and the genuine ones where they can be had."""

import base64
import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from encmempool.errors import EnvironmentProblem
from encmempool.measure import contracts
from encmempool.measure.contracts import CORE, PACKAGES, PERIPHERY, Package, cache_directory, fetch, load


def tarball(**codes: str) -> bytes:
    """Contracts of these names and bytecodes, packed as npm does."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, code in codes.items():
            data = json.dumps({"bytecode": code}).encode()
            member = tarfile.TarInfo(f"package/build/{name}.json")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def integrity(data: bytes) -> str:
    return base64.b64encode(hashlib.sha512(data).digest()).decode()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the two tarballs that a stand-in for npm delivers; the pins are theirs."""
    delivered = {
        CORE: tarball(UniswapV2Factory="fa", ERC20="0xe2", UniswapV2Pair="9a"),
        PERIPHERY: tarball(UniswapV2Router02="02", WETH9="e9"),
    }
    directory = tmp_path / "registry"
    directory.mkdir()
    for package, data in delivered.items():
        (directory / package.file).write_bytes(data)
    pinned = [replace(package, integrity=integrity(data)) for package, data in delivered.items()]
    monkeypatch.setattr(contracts, "CORE", pinned[0])
    monkeypatch.setattr(contracts, "PERIPHERY", pinned[1])
    monkeypatch.setattr(contracts, "PACKAGES", tuple(pinned))
    return directory


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a shell script as npm, first on the PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def install(script: str) -> None:
        (programs / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "npm").chmod(0o755)

    return install


@pytest.fixture
def working_npm(npm: Callable[[str], None], registry: Path, tmp_path: Path) -> Path:
    """npm delivers from the registry. The file returned has a line with its arguments for each call."""
    calls = tmp_path / "calls"
    npm(
        f'echo "$*" >> {calls}\n'
        'for last; do :; done; name="${last#@}"\n'
        f'cp "{registry}/$(echo "$name" | tr /@ --).tgz" .'
    )
    return calls


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def names(directory: Path) -> set[str]:
    return set(os.listdir(directory))


# --- where -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ENCMEMPOOL_CACHE": "/chosen", "XDG_CACHE_HOME": "/xdg"}, "/chosen"),
        ({"ENCMEMPOOL_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/encmempool"),
        ({"XDG_CACHE_HOME": "relative"}, "/people/ann/.cache/encmempool"),
        ({"XDG_CACHE_HOME": ""}, "/people/ann/.cache/encmempool"),
        ({}, "/people/ann/.cache/encmempool"),
    ],
)
def test_cache_is_the_chosen_one_else_the_desktops_else_the_homes(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ENCMEMPOOL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/people/ann", **environment}.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == Path(expected)


# --- fetching --------------------------------------------------------------------------------------------------------


def test_fetch_keeps_both_tarballs_and_nothing_else(working_npm: Path, registry: Path, cache: Path) -> None:
    fetched = fetch(cache)
    assert names(cache) == names(registry)
    for each in fetched:
        assert each.path == cache / each.package.file
        assert each.path.read_bytes() == (registry / each.package.file).read_bytes()
        assert (each.fetched, each.size_bytes) == (True, each.path.stat().st_size)


def test_fetch_asks_npm_for_exact_versions_and_runs_no_scripts(working_npm: Path, cache: Path) -> None:
    said: list[str] = []
    fetch(cache, progress=said.append)
    calls = working_npm.read_text().splitlines()
    for call, line, package in zip(calls, said, PACKAGES, strict=True):
        assert call.startswith("pack ")
        assert "--ignore-scripts" in call
        assert call.endswith(f" {package.name}@{package.version}")
        assert line == f"fetching {package.name}@{package.version}"


def test_fetch_leaves_a_tarball_alone_that_is_there(working_npm: Path, registry: Path, cache: Path) -> None:
    cache.mkdir()
    shutil.copy(registry / CORE.file, cache)
    assert [each.fetched for each in fetch(cache)] == [False, True]
    assert [each.fetched for each in fetch(cache)] == [False, False]
    assert len(working_npm.read_text().splitlines()) == 1


def test_fetch_needs_no_npm_when_everything_is_there(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not any(each.fetched for each in fetch(registry))


def test_fetch_uses_the_cache_by_default(
    working_npm: Path, registry: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCMEMPOOL_CACHE", str(cache))
    fetch()
    assert names(cache) == names(registry)


@pytest.mark.usefixtures("working_npm")
def test_fetch_refuses_a_tarball_from_npm_that_is_another(registry: Path, cache: Path) -> None:
    other = tarball(UniswapV2Factory="00")
    (registry / CORE.file).write_bytes(other)
    with pytest.raises(EnvironmentProblem) as raised:
        fetch(cache)
    for needle in (CORE.specifier, integrity(other), contracts.CORE.integrity, "nothing was kept", "registry"):
        assert needle in str(raised.value)
    assert names(cache) == set()


@pytest.mark.usefixtures("working_npm")
def test_fetch_refuses_a_broken_tarball_that_is_there_and_leaves_it(registry: Path, cache: Path) -> None:
    cache.mkdir()
    (cache / CORE.file).write_bytes(b"half")
    with pytest.raises(EnvironmentProblem, match=r"expected sha512-.*, found sha512-.*delete it and run"):
        fetch(cache)
    assert (cache / CORE.file).read_bytes() == b"half"


@pytest.mark.usefixtures("registry")
def test_fetch_says_that_npm_is_missing_and_what_to_do(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem) as raised:
        fetch(cache)
    for needle in ("npm is not on the PATH", "Node.js", f"npm pack {CORE.specifier}", CORE.file, str(cache)):
        assert needle in str(raised.value)


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("script", "needles"),
    [
        (
            "printf 'npm ERR! %s\\n' 'code ENOTFOUND' 'errno ENOTFOUND' 'network request failed' >&2; exit 7",
            ["exit code 7: code ENOTFOUND; network request failed (", "without a network"],
        ),
        (
            "printf 'npm error code ENOSPC\\nnpm error nospc no space left\\n' >&2; exit 228",
            ["code ENOSPC", "no space"],
        ),
        ("exit 1", ["exit code 1", f"left no {CORE.file}"]),
        ("exit 0", [f"left no {CORE.file}"]),
        (f"cp ../../registry/{CORE.file} .; exit 1", ["exit code 1"]),
        ("echo half > partial; kill -9 $$", ["exit code -9"]),
    ],
)
def test_fetch_repeats_on_one_line_why_npm_failed(
    script: str, needles: list[str], npm: Callable[[str], None], cache: Path
) -> None:
    npm(script)
    with pytest.raises(EnvironmentProblem) as raised:
        fetch(cache)
    message = str(raised.value)
    assert message.startswith(f"npm pack {CORE.specifier} failed")
    assert "\n" not in message
    for needle in (*needles, CORE.file, str(cache)):
        assert needle in message
    assert names(cache) == set()


@pytest.mark.usefixtures("registry")
def test_fetch_gives_up_on_an_npm_that_hangs(
    npm: Callable[[str], None], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm("exec sleep 60")
    monkeypatch.setattr("encmempool.npm._NPM_TIMEOUT_S", 0.05)
    with pytest.raises(EnvironmentProblem, match="took more than"):
        fetch(cache)
    assert names(cache) == set()


@pytest.mark.usefixtures("registry")
def test_fetch_says_that_npm_does_not_start(npm: Callable[[str], None], cache: Path, tmp_path: Path) -> None:
    npm("")
    (tmp_path / "bin" / "npm").write_text("#!/nowhere/sh\n")
    with pytest.raises(EnvironmentProblem, match="does not start: No such file"):
        fetch(cache)
    assert names(cache) == set()


@pytest.mark.usefixtures("working_npm")
def test_fetch_leaves_nothing_behind_on_a_full_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(cache)
    assert names(cache) == set()


# --- reading ---------------------------------------------------------------------------------------------------------


def test_load_reads_the_contracts_and_writes_nothing(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "PAIR_KECCAK", contracts.keccak256(b"\x9a").hex())
    before = names(registry)
    found = load(registry)
    assert (found.weth9, found.factory, found.router02, found.erc20) == (b"\xe9", b"\xfa", b"\x02", b"\xe2")
    assert names(registry) == before


def test_load_names_the_command_that_fetches(cache: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="is not there: run `encmempool fetch uniswap`") as raised:
        load(cache)
    assert str(cache / CORE.file) in str(raised.value)
    assert not cache.exists()


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], id="corrupted"),
        pytest.param(lambda data: data[:-1], id="truncated"),
        pytest.param(lambda data: data + b"\0", id="extended"),
        pytest.param(lambda data: b"", id="empty"),
    ],
)
def test_load_refuses_a_tarball_that_is_not_the_pinned_one(
    package: Package, damage: Callable[[bytes], bytes], registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "PAIR_KECCAK", contracts.keccak256(b"\x9a").hex())
    path = registry / package.file
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.raises(EnvironmentProblem) as raised:
        load(registry)
    found = integrity(path.read_bytes())
    needles = (str(path), f"expected sha512-{integrity(whole)}", f"found sha512-{found}", "delete it and run")
    for needle in (*needles, "`encmempool fetch uniswap` again"):
        assert needle in str(raised.value)


def test_load_refuses_a_pair_that_is_not_mainnets(registry: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"UniswapV2Pair in .* has keccak256 0x.*, not the 0x96e8ac42"):
        load(registry)


def test_genuine_contracts_load_without_npm(genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = load(genuine)
    # The hash by which the router finds pairs stands in its code.
    assert bytes.fromhex(contracts.PAIR_KECCAK) in found.router02
    assert [len(code) for code in (found.weth9, found.factory, found.router02, found.erc20)] == [
        2519,
        13958,
        22334,
        3352,
    ]


def test_genuine_tarballs_are_the_pinned_ones(genuine: Path) -> None:
    for package in PACKAGES:
        assert integrity((genuine / package.file).read_bytes()) == package.integrity
