"""`bench accountability`: how large evidence and proofs are, and how long checking takes."""

from __future__ import annotations

from typing import Any

import click

from cli.application import Command, progress, settings
from cli.committee import MAX_MEMBERS
from cli.io import heading, print_json, print_rich, table
from threshold.schemes.registry import ENCRYPTED_SCHEMES, SCHEMES

_BATCHES = (64,)
_MAX_BATCH = 4096


@click.command(cls=Command)
@click.option(
    "--scheme", "names", type=click.Choice(SCHEMES), multiple=True, help="Which schemes.  [default: all that hide]"
)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(1, _MAX_BATCH),
    multiple=True,
    help=f"Batch sizes.  [default: {', '.join(map(str, _BATCHES))}]",
)
@click.option("--members", type=click.IntRange(1, MAX_MEMBERS), default=4, show_default=True, help="Committee size.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Chooses the inputs.")
def accountability(names: tuple[str, ...], batches: tuple[int, ...], members: int, seed: int) -> None:
    """Measure evidence, proofs of single transactions, and the audit.

    \b
    Examples:
      encmempool bench accountability
      encmempool bench accountability --scheme tdh2 --batch 64 --batch 512 --batch 2048 --json
    """
    from encmempool.bench import accountability as job

    with progress("starting") as say:
        result = job.run(
            schemes=names or ENCRYPTED_SCHEMES,
            batches=batches or _BATCHES,
            members=members,
            seed=seed,
            backend=settings().backend,
            progress=say,
        )
    if not print_json("bench-accountability", result):
        _print(result)


def _print(result: dict[str, Any]) -> None:
    from encmempool.report import significant

    numbers = ("proof bytes", "verify ms", "history bytes", "audited tx/s", "heights/s")
    listing = table("scheme", "batch", *numbers, right=("batch", *numbers))
    for row in result["rows"]:
        proof, audit = row["proof"], row["audit"]
        listing.add_row(
            row["scheme"],
            f"{row['batch']:,}",
            f"{proof['bytes']:,}",
            significant(proof["verify_ms"]),
            f"{audit['bytes']:,}",
            significant(audit["transactions_per_second"]),
            significant(audit["heights_per_second"]),
        )
    title = f"{result['threshold']} of {result['members']} members, {result['backend']}"
    print_rich(heading(f"{title}, {result['machine']['processor']}"), "", listing, "")
    columns = [f"{row['scheme']}, {row['batch']:,}" for row in result["rows"]]
    listing = table("evidence: bytes, and ms to judge it", *columns, right=columns)
    for kind in dict.fromkeys(kind for row in result["rows"] for kind in row["evidence"]):
        found = [row["evidence"].get(kind) for row in result["rows"]]
        cells = [f"{each['bytes']:,}, {significant(each['verify_ms'])}" if each else "" for each in found]
        listing.add_row(kind.replace("_", " "), *cells)
    print_rich(listing)
