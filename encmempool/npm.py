"""Packages on npm that this project uses and does not carry: fetched when asked for, checked each time they are read.

`fetch_package` puts a tarball into a cache, unpacks nothing and runs none of its scripts. What the pinned digest does
not match is never read.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from encmempool.errors import EnvironmentProblem

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tarball:
    """A package in the cache; `fetched` is False if it was there already."""

    package: Package
    path: Path
    size_bytes: int
    fetched: bool


def cache_directory() -> Path:
    """ENCMEMPOOL_CACHE, else encmempool in XDG_CACHE_HOME, which counts if absolute, else ~/.cache/encmempool."""
    chosen = os.environ.get("ENCMEMPOOL_CACHE")
    if chosen:
        return Path(chosen)
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path("~/.cache").expanduser()) / "encmempool"


def fetch_package(
    package: Package, where: Path, *, command: str, progress: Callable[[str], None] = lambda _: None
) -> Tarball:
    """Put a tarball into a directory. One that is there already is only checked.

    command    of ours that fetches it, for messages

    Raises EnvironmentProblem: npm is missing or fails, or the tarball is not the pinned one. A file appears under its
    name only when it is whole and checked; nothing else stays behind.
    """
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
        data = checked(package, path, command=command)
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


def checked(package: Package, path: Path, *, command: str) -> bytes:
    """The tarball, if it is the pinned one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise EnvironmentProblem(f"{path} is not there: run `{command}`") from None
    if (found := _integrity(data)) != package.integrity:
        raise EnvironmentProblem(
            f"{path} is not {package.specifier}: expected sha512-{package.integrity}, found sha512-{found}; "
            f"delete it and run `{command}` again"
        )
    return data


def _integrity(data: bytes) -> str:
    return base64.b64encode(hashlib.sha512(data).digest()).decode()


def _flush(path: Path) -> None:
    """What a rename makes visible must be on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
