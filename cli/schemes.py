"""`schemes`: what there is to choose from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from cli.application import Command, next_step, progress, settings
from cli.io import print_json, print_rich, table

_STEPS = {
    "encrypt": "encrypt one",
    "verify": "check one, in a batch",
    "precompute": "prepare the batch",
    "share": "make a share",
    "verify_share": "check a share",
    "combine": "combine shares",
    "decrypt": "open the batch",
}


@click.command(cls=Command)
@click.option("--measure", is_flag=True, help="Time every step on this machine as well.")
@click.option("--batch", type=click.IntRange(1, 4096), default=32, show_default=True, help="Batch to measure with.")
@click.option("--members", type=click.IntRange(1, 64), default=4, show_default=True, help="Committee to measure with.")
def schemes(measure: bool, batch: int, members: int) -> None:
    """Compare the encryption schemes.

    \b
    Examples:
      encmempool schemes
      encmempool schemes --measure --batch 128
    """
    from threshold.schemes.registry import SCHEMES, load_scheme

    infos = [load_scheme(name, settings().backend).info for name in SCHEMES]
    listed = [asdict(info) for info in infos]
    fields: dict[str, Any] = {"schemes": listed}
    if measure:
        fields |= _measured(listed, batch, members)
    if print_json("schemes", fields):
        return
    # Schemes side by side: there are more properties than a terminal has columns.
    listing = table("", *(info.name for info in infos), wrap=[info.name for info in infos])
    for name, values in (
        ("title", [info.title for info in infos]),
        ("hides contents", [_yes(info.hides) for info in infos]),
        ("a batch key opens", [info.opens for info in infos]),
        ("uncommitted stays closed", [_yes(info.pending_privacy) for info in infos]),
        ("restrictions", [info.restrictions for info in infos]),
        ("setup", [info.setup for info in infos]),
        ("colluders to learn the key", [info.setup_privacy if info.hides else "0" for info in infos]),
        ("hands its key on", [_yes(info.reshares) for info in infos]),
        ("ciphertext overhead", [_bytes(info.ciphertext_overhead_bytes) for info in infos]),
        (
            "a member's share of a batch",
            [_growing(info.share_bytes_per_batch, info.share_bytes_per_transaction, "transaction") for info in infos],
        ),
        ("a member's secret", [_growing(info.secret_bytes, info.secret_bytes_per_slot, "slot") for info in infos]),
        ("CCA security rests on", [info.cca for info in infos]),
        ("two signed batches open", [info.equivocation_opens for info in infos]),
        (
            "threshold below floor(2n/3)+1",
            ["refused" if info.needs_default_threshold else "allowed by --reduced-threshold" for info in infos],
        ),
    ):
        listing.add_row(name, *values)
    if measure:
        listing.add_section()
        for step, text in _STEPS.items():
            listing.add_row(f"{text}, ms", *(_ms(entry["measured_ms"][step]["median_ms"]) for entry in listed))
    listing.columns[0].style = "dim"
    print_rich(listing)
    if measure:
        machine = fields["machine"]
        print_rich(
            f"[dim]Medians for batches of {batch}, {members} members, {settings().backend}, "
            f"{machine['processor']}, {machine['cores']} cores[/]"
        )
    next_step("encmempool demo --scheme simple-bte")


def _measured(listed: list[dict[str, Any]], batch: int, members: int) -> dict[str, Any]:
    from encmempool.bench import schemes as job
    from encmempool.bench.machine import machine, versions

    with progress("measuring") as say:
        for entry in listed:
            timings = job.measure(entry["name"], batch=batch, members=members, backend=settings().backend, progress=say)
            entry["measured_ms"] = {step: job.document(timing) for step, timing in timings.items()}
    return {
        "batch": batch,
        "members": members,
        "backend": settings().backend,
        "machine": machine(),
        "versions": versions(),
    }


def _yes(value: bool) -> str:
    return "[green]yes[/]" if value else "no"


def _bytes(count: int) -> str:
    return f"{count:,} B"


def _growing(fixed: int, each: int, unit: str) -> str:
    """A size of which a part grows with something."""
    if not each:
        return _bytes(fixed)
    return f"{each:,} B a {unit}" + (f" + {fixed:,} B" if fixed else "")


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
