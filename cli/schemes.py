"""`schemes`: what there is to choose from."""

from __future__ import annotations

from dataclasses import asdict

import click

from cli.application import Command, next_step, settings
from cli.io import print_json, print_rich, table


@click.command(cls=Command)
def schemes() -> None:
    """Compare the encryption schemes.

    \b
    Example:
      encmempool schemes --json
    """
    from threshold.schemes.registry import SCHEMES, load_scheme

    infos = [load_scheme(name, settings().backend).info for name in SCHEMES]
    if print_json("schemes", {"schemes": [asdict(info) for info in infos]}):
        return
    # Schemes side by side: there are more properties than a terminal has columns.
    listing = table("", *(info.name for info in infos), wrap=[info.name for info in infos])
    for name, values in (
        ("title", [info.title for info in infos]),
        ("hides contents", [_yes(info.hides) for info in infos]),
        ("uncommitted stays closed", [_yes(info.pending_privacy) for info in infos]),
        ("setup", [info.setup for info in infos]),
        ("colluders to learn the key", [info.setup_privacy if info.hides else "0" for info in infos]),
        ("ciphertext overhead", [_bytes(info.ciphertext_overhead_bytes) for info in infos]),
        ("share, per transaction", [_bytes(info.share_bytes_per_transaction) for info in infos]),
        ("share, per batch", [_bytes(info.share_bytes_per_batch) for info in infos]),
        ("a member's secret", [_bytes(info.secret_bytes) for info in infos]),
        ("CCA security rests on", [info.cca for info in infos]),
        ("two signed batches open", [info.equivocation_opens for info in infos]),
        (
            "threshold below floor(2n/3)+1",
            ["refused" if info.needs_default_threshold else "allowed by --reduced-threshold" for info in infos],
        ),
        ("restrictions", [info.restrictions for info in infos]),
    ):
        listing.add_row(name, *values)
    listing.columns[0].style = "dim"
    print_rich(listing)
    next_step("encmempool committee create --scheme tdh2")


def _yes(value: bool) -> str:
    return "[green]yes[/]" if value else "no"


def _bytes(count: int) -> str:
    return f"{count:,} B"
