"""`node`: one role as a process of its own."""

from __future__ import annotations

from pathlib import Path

import click

from cli.application import Group, next_step, note
from cli.io import hexed, print_json

CONFIG = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("node.toml"),
    show_default=True,
    help="The node's configuration.",
)


@click.group(cls=Group)
def node() -> None:
    """Run a sequencer, a committee member or an auditor.

    Each is a process with a home, keys and a database of its own, configured by a node.toml. The operators' chapter of
    the README has one for every role.

    \b
    Examples:
      encmempool node init --config node.toml
      encmempool node member --config node.toml
    """


@node.command()
@CONFIG
def init(config_file: Path) -> None:
    """Make a new node's keys and database, and print its address.

    \b
    Example:
      encmempool node init --config node.toml
    """
    from encmempool.network.config import read
    from encmempool.network.nodes.launch import prepare

    config = read(config_file)
    address = prepare(config)
    fields = {"role": config.role, "address": hexed(address), "url": config.own_url}
    if not print_json("node-init", fields):
        click.echo(hexed(address))
    note(f"a {config.role} with this address; its keys are in {config.home}: back them up, never its database alone")
    next_step(f"encmempool node {config.role} --config {config_file}")


def _run(role: str, config_file: Path) -> None:
    from encmempool.network.config import read
    from encmempool.network.nodes.launch import run

    config = read(config_file)
    if config.role != role:
        raise ValueError(f"{config_file} is the configuration of a {config.role}: run `encmempool node {config.role}`")

    def started(address: bytes, port: int) -> None:
        fields = {"role": role, "address": hexed(address), "host": config.host, "port": port}
        print_json(f"node-{role}", fields)
        note(f"{role} on {config.host}:{port}; stop it with Ctrl-C")

    run(config, started=started)


@node.command()
@CONFIG
def sequencer(config_file: Path) -> None:
    """Give receipts and commit to an order that cannot be read yet.

    \b
    Example:
      encmempool node sequencer --config node.toml
    """
    _run("sequencer", config_file)


@node.command()
@CONFIG
def member(config_file: Path) -> None:
    """Check commitments, vote, and release decryption shares.

    \b
    Example:
      encmempool node member --config node.toml
    """
    _run("member", config_file)


@node.command()
@CONFIG
def auditor(config_file: Path) -> None:
    """Follow everything, check everything, and keep evidence of misbehaviour.

    \b
    Example:
      encmempool node auditor --config node.toml
    """
    _run("auditor", config_file)


@node.command()
@CONFIG
def restored(config_file: Path) -> None:
    """Say that a member's home was restored from a backup.

    A backup has forgotten what was signed after it was made. The member then follows in silence until the network is
    past everything it could have signed.

    \b
    Example:
      encmempool node restored --config node.toml
    """
    from encmempool.network.config import read
    from encmempool.network.nodes.launch import mark_restored

    config = read(config_file)
    mark_restored(config)
    if not print_json("node-restored", {"role": config.role, "url": config.own_url}):
        click.echo("restored")
    note("it will follow in silence until the network is past what it may have signed before")
    next_step(f"encmempool node {config.role} --config {config_file}")
