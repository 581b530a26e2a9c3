"""`audit`: the history as one file, and its verification from outside."""

from __future__ import annotations

import hashlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.application import Group, next_step, note, progress, settings, warning
from cli.io import STDIN, facts, hexed, open_home, open_network, open_remote, print_json, print_rich, read_bytes

if TYPE_CHECKING:
    from encmempool.audit import AuditReport


@click.group(cls=Group)
def audit() -> None:
    """Export a network's history and verify one.

    \b
    Example:
      encmempool audit verify history.bin
    """


@audit.command()
@click.option("-o", "--output", metavar="FILE|-", required=True, help="Where to write; `-` is standard output.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def export(output: str, force: bool) -> None:
    """Write the whole history as one canonical file.

    \b
    Example:
      encmempool audit export -o history.bin
    """
    from encmempool.audit import export
    from encmempool.network.export import export_history

    if output == STDIN and settings().json:
        raise click.UsageError("`-o -` and --json both want standard output", click.get_current_context())
    home = open_home()
    view = open_remote(home) if settings().node is not None else None
    network = None if view else open_network(home)
    if output != STDIN and not force and Path(output).exists():
        raise ValueError(f"{output} exists already: choose another name, or say --force")
    with progress("collecting the history"):
        if network is None:
            assert view is not None
            data = export_history(view)
            heights, root = view.head, view.genesis.root
        else:
            data = export(network)
            heights = network.sequencer.height - network.follower.chain.first_height + 1
            root = network.committee.genesis.root
    if output == STDIN:
        sys.stdout.buffer.write(data)
    else:
        _write(Path(output), data)
    digest = hashlib.sha256(data).digest()
    fields = {
        "file": output,
        "size_bytes": len(data),
        "sha256": hexed(digest),
        "network_root": hexed(root),
        "heights": heights,
    }
    print_json("audit-export", fields)
    target = "standard output" if output == STDIN else output
    note(f"wrote {len(data):,} bytes, {heights} height{'s' * (heights != 1)}, to {target}; sha256 {hexed(digest)}")
    if output != STDIN:
        next_step(f"encmempool audit verify {shlex.quote(output)}")


@audit.command()
@click.argument("file", metavar="FILE|-")
def verify(file: str) -> None:
    """Recompute a history: every signature, order, share, decryption, outcome and state root.

    Needs nothing but the file. Exit code 1 names the height and record that is wrong. The network root is what to
    compare with the network you mean.

    \b
    Example:
      encmempool audit verify history.bin
    """
    from encmempool.audit import verify

    data = _unhexed(read_bytes(file))
    with progress("verifying"):
        report = verify(data, backend=settings().backend)
    fields = {
        "valid": True,
        "network_root": hexed(report.genesis_root),
        "state_root": hexed(report.state_root),
        "heights": report.heights,
        "executed_height": report.executed_height,
        "transactions": report.transactions,
        "pending": report.pending,
        "records": report.records,
        "outcomes": report.outcomes,
        "wrong_shares": [{"height": height, "member": member} for height, member in report.wrong_shares],
        "conflicts": [{"height": height, "member": member} for height, member in report.conflicts],
        "dropped": list(report.dropped),
    }
    if not print_json("audit-verify", fields):
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in report.outcomes.items()) or "none"
        print_rich(
            facts(
                [
                    ("verdict", "[bold green]valid[/]"),
                    ("network root", hexed(report.genesis_root)),
                    ("state root", hexed(report.state_root)),
                    ("heights", _heights(report)),
                    ("transactions", f"{report.transactions} committed, {report.pending} waiting"),
                    ("outcomes", outcomes),
                    ("records", f"{report.records}, all recomputed"),
                ]
            )
        )
    for height, member in report.wrong_shares:
        warning(f"member {member} signed a wrong share at height {height}; the batch was opened without it")
    for height, member in report.conflicts:
        warning(f"member {member} signed both a share and an abstention at height {height}")


def _heights(report: AuditReport) -> str:
    dropped = f", {len(report.dropped)} of them dropped" if report.dropped else ""
    return f"{report.heights}, executed up to {report.executed_height}{dropped}"


def _unhexed(data: bytes) -> bytes:
    """Hex is decoded, anything else is left for the auditor to judge."""
    try:
        return bytes.fromhex(data.strip().removeprefix(b"0x").decode("ascii"))
    except ValueError:
        return data


def _write(path: Path, data: bytes) -> None:
    """Never half a file under its name."""
    partial = path.with_name(path.name + ".partial")
    try:
        try:
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
