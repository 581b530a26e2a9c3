"""The genuine Uniswap V2 contracts, fetched from npm on demand and read out of the tarballs in memory.

The packages are GPL-3.0-or-later. They are no part of this project: `fetch` puts them into a cache, unpacks nothing
and runs none of their scripts. What the pinned digest does not match is never read.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from encmempool.errors import EnvironmentProblem
from encmempool.ethereum import keccak256
from encmempool.npm import Package, Tarball, cache_directory, checked, fetch_package

PAIR_KECCAK = "96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"
"""Of the pair's creation code, as UniswapV2Library on mainnet has it: the router finds pairs by this hash."""
FETCH = "encmempool fetch uniswap"
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
class Contracts:
    """Creation code, constructor arguments not included."""

    weth9: bytes
    factory: bytes
    router02: bytes
    erc20: bytes


def fetch(directory: Path | None = None, *, progress: Callable[[str], None] = lambda _: None) -> tuple[Tarball, ...]:
    """Put both tarballs into the directory, by default the cache's. One that is there already is only checked.
    Raises EnvironmentProblem as `encmempool.npm.fetch_package` does.
    """
    where = cache_directory() if directory is None else directory
    where.mkdir(parents=True, exist_ok=True)
    return tuple(fetch_package(package, where, command=FETCH, progress=progress) for package in PACKAGES)


def load(directory: Path | None = None) -> Contracts:
    """Read the contracts out of the fetched tarballs, whose digests are checked each time. About 50 ms.

    Raises EnvironmentProblem: a tarball is absent or not the pinned one, or the pair is not mainnet's.
    """
    where = cache_directory() if directory is None else directory
    core, periphery = (checked(package, where / package.file, command=FETCH) for package in (CORE, PERIPHERY))
    (factory, erc20, pair) = _creation_codes(core, "UniswapV2Factory", "ERC20", "UniswapV2Pair")
    (router02, weth9) = _creation_codes(periphery, "UniswapV2Router02", "WETH9")
    if (found := keccak256(pair).hex()) != PAIR_KECCAK:
        raise EnvironmentProblem(
            f"UniswapV2Pair in {where / CORE.file} has keccak256 0x{found}, not the 0x{PAIR_KECCAK} of mainnet's"
        )
    return Contracts(weth9=weth9, factory=factory, router02=router02, erc20=erc20)


def _creation_codes(tarball: bytes, *names: str) -> list[bytes]:
    """Of contracts in the order of `names`. The tarball is checked before: what it lacks is a mistake of our pins."""
    with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:gz") as archive:
        codes = []
        for name in names:
            member = archive.extractfile(f"package/build/{name}.json")
            assert member is not None, name
            codes.append(bytes.fromhex(json.load(member)["bytecode"].removeprefix("0x")))
    return codes
