"""`fetch`: what this project uses and does not carry."""

from __future__ import annotations

import click

from cli.application import Group, note, progress
from cli.io import print_json


@click.group(cls=Group)
def fetch() -> None:
    """Fetch what is not part of this project.

    \b
    Example:
      encmempool fetch uniswap
    """


@fetch.command()
def uniswap() -> None:
    """Fetch the genuine Uniswap V2 contracts from npm and print where they are.

    Two packages, @uniswap/v2-core and @uniswap/v2-periphery, 1 MB in all, in pinned versions with pinned digests. They
    are licensed under GPL-3.0-or-later and stay in the cache: ENCMEMPOOL_CACHE, else encmempool in XDG_CACHE_HOME, else
    ~/.cache/encmempool. None of their scripts run, and what is there already is checked and not fetched again.

    \b
    Examples:
      encmempool fetch uniswap
      ENCMEMPOOL_CACHE=/tmp/cache encmempool fetch uniswap --json
    """
    from encmempool.measure import contracts
    from encmempool.npm import cache_directory

    directory = cache_directory()
    with progress("fetching") as say:
        tarballs = contracts.fetch(directory, progress=say)
    for tarball in tarballs:
        done = "fetched" if tarball.fetched else "already there:"
        note(f"{done} {tarball.package.specifier}, {tarball.size_bytes:,} bytes, digest checked, GPL-3.0-or-later")
    fields = {
        "directory": str(directory),
        "packages": [
            {
                "name": tarball.package.name,
                "version": tarball.package.version,
                "sha512": tarball.package.integrity,
                "bytes": tarball.size_bytes,
                "fetched": tarball.fetched,
            }
            for tarball in tarballs
        ],
    }
    if not print_json("fetch-uniswap", fields):
        for tarball in tarballs:
            click.echo(tarball.path)


@fetch.command()
def anvil() -> None:
    """Fetch anvil, a chain on this machine, from npm and print where it is.

    Foundry's own binary for this platform, 19 MB packed, in a pinned version with a pinned digest. It runs without
    Node; licence MIT or Apache-2.0. What is there already is checked and not fetched again.

    \b
    Example:
      encmempool fetch anvil
    """
    from encmempool.settlement import anvil as chain

    with progress("fetching") as say:
        found = chain.fetch(progress=say)
    tarball = found.tarball
    done = "fetched" if tarball.fetched else "already there:"
    note(f"{done} {tarball.package.specifier}, {tarball.size_bytes:,} bytes, digest checked")
    fields = {
        "binary": str(found.binary),
        "name": tarball.package.name,
        "version": tarball.package.version,
        "sha512": tarball.package.integrity,
        "bytes": tarball.size_bytes,
        "fetched": tarball.fetched,
    }
    if not print_json("fetch-anvil", fields):
        click.echo(found.binary)
