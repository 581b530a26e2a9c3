"""Anvil, a chain on this machine: Foundry's own binary for this platform, from npm, pinned by digest.

The package needs no Node to run. Licence: MIT or Apache-2.0.
"""

from __future__ import annotations

import io
import platform
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from encmempool.errors import EnvironmentProblem
from encmempool.npm import Package, Tarball, cache_directory, checked, fetch_package

VERSION = "1.7.1"
FETCH = "encmempool fetch anvil"
CHAIN_ID = 31_338
"""Not that of the development network above it: a payload of one must not be valid on the other."""

_DIGESTS = {
    ("Linux", "x86_64"): (
        "linux-amd64",
        "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
    ),
    ("Linux", "aarch64"): (
        "linux-arm64",
        "ykHJmFOGdBR8+9smOKBm9ZZDCCCkLQctiHOAddLvmYx9mPeBDMfq6jP51hKYsO5MG8ClPLSlWe+JpiXPjoXgBQ==",
    ),
    ("Darwin", "arm64"): (
        "darwin-arm64",
        "JNeu3+A3f/npXLn8SR8EahVcqE7BpO9VQZMcPvSIy27/RNc1GsoEBvSLR99aSvt8sGKWAgNg/EzrtjAPq6mxcA==",
    ),
    ("Darwin", "x86_64"): (
        "darwin-amd64",
        "OgwzwY+FsGrsPyDv4mmbhOwARO8s37YHrm2qaNzgSH4VlKnXgJCrnoT7bpgOhLyBPtxXjBT8L2E3b79deesXRg==",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anvil:
    """The binary in the cache, and the tarball it came from."""

    tarball: Tarball
    binary: Path


def package() -> Package:
    """That of this platform. EnvironmentProblem where there is none."""
    here = platform.system(), platform.machine()
    if here not in _DIGESTS:
        raise EnvironmentProblem(
            f"anvil is not packaged for {here[0]} on {here[1]}: use a chain by its address instead"
        )
    name, integrity = _DIGESTS[here]
    return Package(name=f"@foundry-rs/anvil-{name}", version=VERSION, integrity=integrity)


def fetch(directory: Path | None = None, *, progress: Callable[[str], None] = lambda _: None) -> Anvil:
    """Have the binary in the cache. Raises EnvironmentProblem as `encmempool.npm.fetch_package` does."""
    where = cache_directory() if directory is None else directory
    where.mkdir(parents=True, exist_ok=True)
    tarball = fetch_package(package(), where, command=FETCH, progress=progress)
    binary = where / f"anvil-{VERSION}"
    data = _binary(checked(tarball.package, tarball.path, command=FETCH))
    if not binary.exists() or binary.read_bytes() != data:
        partial = binary.with_suffix(".partial")
        partial.write_bytes(data)
        partial.chmod(0o755)
        partial.replace(binary)
    return Anvil(tarball=tarball, binary=binary)


def command(binary: Path, port: int, *options: str) -> list[str]:
    """How it is run here: a block for each transaction, until it is told otherwise."""
    where = ("--host", "127.0.0.1", "--port", str(port))
    return [str(binary), "--silent", *where, "--chain-id", str(CHAIN_ID), "--hardfork", "prague", *options]


def _binary(tarball: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        for member in archive:
            if member.isfile() and member.name in ("package/bin/anvil", "package/anvil"):
                file = archive.extractfile(member)
                if file is not None:
                    return file.read()
    raise EnvironmentProblem(f"there is no anvil in the package of version {VERSION}")
