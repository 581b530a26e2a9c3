"""The genuine Uniswap V2 contracts, fetched from npm on demand and read out of the tarballs in memory.

The packages are GPL-3.0-or-later. They are no part of this project: `fetch` puts them into a cache, unpacks nothing
and runs none of their scripts. What the pinned digest does not match is never read.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from encmempool.errors import EnvironmentProblem
from encmempool.ethereum import keccak256

PAIR_KECCAK = "96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"
"""Of the pair's creation code, as UniswapV2Library on mainnet has it: the router finds pairs by this hash."""
FETCH = "encmempool fetch uniswap"
_NPM_TIMEOUT_S = 300
_NPM_OPTIONS = (
    "--ignore-scripts",
    "--pack-destination=.",
    "--loglevel=error",
    "--no-update-notifier",
    "--no-color",
    # With npm's own patience it takes 70 s to say that there is no network.
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=2000",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A version on npm. `integrity` is npm's own: the base64 of the tarball's SHA-512."""

    name: str
    version: str
    integrity: str

    @property
    def specifier(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def file(self) -> str:
        """The name that `npm pack` gives the tarball."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


CORE = Package(
    name="@uniswap/v2-core",
    version="1.0.1",
    integrity="MtybtkUPSyysqLY2U210NBDeCHX+ltHt3oADGdjqoThZaFRDKwM6k1Nb3F0A3hk5hwuQvytFWhrWHOEq6nVJ8Q==",
)
PERIPHERY = Package(
    name="@uniswap/v2-periphery",
    version="1.1.0-beta.0",
    integrity="6dkwAMKza8nzqYiXEr2D86dgW3TTavUvCR0w2Tu33bAbM8Ah43LKAzH7oKKPRT5VJQaMi1jtkGs1E8JPor1n5g==",
)
PACKAGES = (CORE, PERIPHERY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tarball:
    """A package in the cache; `fetched` is False if it was there already."""

    package: Package
    path: Path
    size_bytes: int
    fetched: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """Creation code, constructor arguments not included."""

    weth9: bytes
    factory: bytes
    router02: bytes
    erc20: bytes


def cache_directory() -> Path:
    """ENCMEMPOOL_CACHE, else encmempool in XDG_CACHE_HOME, which counts if absolute, else ~/.cache/encmempool."""
    chosen = os.environ.get("ENCMEMPOOL_CACHE")
    if chosen:
        return Path(chosen)
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path("~/.cache").expanduser()) / "encmempool"


def fetch(directory: Path | None = None, *, progress: Callable[[str], None] = lambda _: None) -> tuple[Tarball, ...]:
    """Put both tarballs into the directory, by default the cache's. One that is there already is only checked.

    Raises EnvironmentProblem: npm is missing or fails, or a tarball is not the pinned one. A file appears under its
    name only when it is whole and checked; nothing else stays behind.
    """
    where = cache_directory() if directory is None else directory
    where.mkdir(parents=True, exist_ok=True)
    return tuple(_fetch_one(package, where, progress) for package in PACKAGES)


def load(directory: Path | None = None) -> Contracts:
    """Read the contracts out of the fetched tarballs, whose digests are checked each time. About 50 ms.

    Raises EnvironmentProblem: a tarball is absent or not the pinned one, or the pair is not mainnet's.
    """
    where = cache_directory() if directory is None else directory
    core, periphery = (_checked(package, where / package.file) for package in (CORE, PERIPHERY))
    (factory, erc20, pair) = _creation_codes(core, "UniswapV2Factory", "ERC20", "UniswapV2Pair")
    (router02, weth9) = _creation_codes(periphery, "UniswapV2Router02", "WETH9")
    if (found := keccak256(pair).hex()) != PAIR_KECCAK:
        raise EnvironmentProblem(
            f"UniswapV2Pair in {where / CORE.file} has keccak256 0x{found}, not the 0x{PAIR_KECCAK} of mainnet's"
        )
    return Contracts(weth9=weth9, factory=factory, router02=router02, erc20=erc20)


def _fetch_one(package: Package, where: Path, progress: Callable[[str], None]) -> Tarball:
    path = where / package.file
    fetched = not path.exists()
    if fetched:
        npm = shutil.which("npm")
        if npm is None:
            raise EnvironmentProblem(
                f"npm is not on the PATH: install Node.js, or run `npm pack {package.specifier}` elsewhere "
                f"and put {package.file} into {where}"
            )
        progress(f"fetching {package.specifier}")
        # On the cache's own file system, so that the file can be renamed into place.
        with tempfile.TemporaryDirectory(dir=where, prefix=".fetch-") as scratch:
            partial = Path(scratch, package.file)
            _pack(npm, package, partial)
            data = partial.read_bytes()
            if (found := _integrity(data)) != package.integrity:
                raise EnvironmentProblem(
                    f"npm delivered {package.specifier} with sha512-{found}, expected sha512-{package.integrity}: "
                    "nothing was kept; check which registry `npm config get registry` names"
                )
            _flush(partial)
            partial.replace(path)
    else:
        data = _checked(package, path)
    return Tarball(package=package, path=path, size_bytes=len(data), fetched=fetched)


def _pack(npm: str, package: Package, tarball: Path) -> None:
    """Have npm write the tarball into its directory. Raises EnvironmentProblem with npm's own words."""
    command = [npm, "pack", *_NPM_OPTIONS, package.specifier]
    try:
        done = subprocess.run(
            command,
            cwd=tarball.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_NPM_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(
            f"npm pack {package.specifier} took more than {_NPM_TIMEOUT_S} s: check the network and fetch again"
        ) from None
    except OSError as error:
        raise EnvironmentProblem(f"npm at {npm} does not start: {error.strerror}") from error
    if done.returncode or not tarball.is_file():
        why = _complaint(done.stderr.decode(errors="replace")) or f"it left no {package.file}"
        raise EnvironmentProblem(
            f"npm pack {package.specifier} failed with exit code {done.returncode}: {why} (without a network, put "
            f"{package.file} into {tarball.parent.parent} yourself)"
        )


def _complaint(text: str) -> str:
    """npm's error on one line: its first lines that carry words."""
    lines = (line.removeprefix("npm").strip() for line in text.splitlines())
    words = [line.removeprefix("ERR!").removeprefix("error").strip() for line in lines]
    telling = [line for line in words if line and not line.startswith(("errno", "syscall", "A complete log"))]
    return "; ".join(telling[:2])[:300]


def _checked(package: Package, path: Path) -> bytes:
    """The tarball, if it is the pinned one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise EnvironmentProblem(f"{path} is not there: run `{FETCH}`") from None
    if (found := _integrity(data)) != package.integrity:
        raise EnvironmentProblem(
            f"{path} is not {package.specifier}: expected sha512-{package.integrity}, found sha512-{found}; "
            f"delete it and run `{FETCH}` again"
        )
    return data


def _integrity(data: bytes) -> str:
    return base64.b64encode(hashlib.sha512(data).digest()).decode()


def _flush(path: Path) -> None:
    """What a rename makes visible must be on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _creation_codes(tarball: bytes, *names: str) -> list[bytes]:
    """Of contracts in the order of `names`. The tarball is checked before: what it lacks is a mistake of our pins."""
    with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:gz") as archive:
        codes = []
        for name in names:
            member = archive.extractfile(f"package/build/{name}.json")
            assert member is not None, name
            codes.append(bytes.fromhex(json.load(member)["bytecode"].removeprefix("0x")))
    return codes
