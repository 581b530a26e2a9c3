"""`bench`: how fast the parts are."""

from __future__ import annotations

from typing import Any

import click

from cli.application import Group, next_step, progress, settings, warning
from cli.committee import MAX_MEMBERS
from cli.io import heading, print_json, print_rich, table
from threshold.schemes.registry import ENCRYPTED_SCHEMES, SCHEMES

_CLOCK = (
    "vote finds the checks of admission done, as gossip leaves them; commitment to reveal is from commit to store, "
    "without encrypt and admit"
)


@click.group(cls=Group)
def bench() -> None:
    """Measure speed.

    \b
    Example:
      encmempool bench pipeline --batch 256
    """


@bench.command()
@click.option(
    "--scheme", type=click.Choice(SCHEMES), default="tdh2", show_default=True, help="See `encmempool schemes`."
)
@click.option("--members", type=click.IntRange(1, MAX_MEMBERS), default=4, show_default=True, help="Committee size.")
@click.option("--threshold", type=int, help="Members needed to open a batch.  [default: floor(2n/3) + 1]")
@click.option("--batch", type=click.IntRange(1, 4096), default=256, show_default=True, help="Transactions in a batch.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Chooses the transactions.")
@click.option("--reduced-threshold", is_flag=True, help="Allow a threshold below the default, for experiments.")
def pipeline(scheme: str, members: int, threshold: int | None, batch: int, seed: int, reduced_threshold: bool) -> None:
    """Time a batch on its way from encryption to execution.

    \b
    Example:
      encmempool bench pipeline --scheme tdh2 --members 4 --batch 256 --json
    """
    from encmempool.bench import pipeline as job
    from encmempool.keysets import default_threshold
    from encmempool.network.ceremony import check_committee
    from threshold.schemes.registry import load_scheme

    needed = default_threshold(members) if threshold is None else threshold
    check_committee(load_scheme(scheme, settings().backend), members, needed, reduced_allowed=reduced_threshold)
    if needed < default_threshold(members):
        warning(f"reduced threshold {needed} of {members}: two conflicting orders can both gather votes")
    with progress("starting") as say:
        result = job.run(
            scheme=scheme,
            members=members,
            threshold=needed,
            batch=batch,
            seed=seed,
            backend=settings().backend,
            progress=say,
        )
    if print_json("bench-pipeline", {name: value for name, value in result.items() if name != "schema"}):
        return
    listing = table("stage", "ms", "µs per transaction", right=("ms", "µs per transaction"))
    each = result["per_transaction_ms"]
    for name, value in result["stages_ms"].items():
        listing.add_row(name, f"{value:,.1f}", f"{1000 * each[name]:,.0f}" if name in each else "")
    title = heading(
        f"{result['scheme']}, {result['members']} members, batches of {result['batch']}, {result['backend']}"
    )
    rate = f"[bold]{result['transactions_per_second']:,.0f}[/] transactions a second, commitment to reveal"
    print_rich(title, "", listing, "", rate, f"[dim]{_CLOCK}[/]")
    next_step("encmempool bench pipeline --batch 1024")


@bench.command()
@click.option(
    "--scheme", "names", type=click.Choice(SCHEMES), multiple=True, help="Which schemes.  [default: all that hide]"
)
@click.option(
    "--batch", "sizes", type=click.IntRange(1, 4096), multiple=True, default=(128,), show_default=True, help="Sizes."
)
@click.option("--members", type=click.IntRange(1, 64), default=4, show_default=True, help="Committee size.")
@click.option("--ceremony", is_flag=True, help="Time the key ceremony of all members in one process as well.")
def micro(names: tuple[str, ...], sizes: tuple[int, ...], members: int, ceremony: bool) -> None:
    """Time every step of the schemes on full batches.

    \b
    Examples:
      encmempool bench micro --scheme simple-bte --batch 128 --batch 512
      encmempool bench micro --ceremony --json
    """
    from encmempool.bench import schemes as job
    from encmempool.bench.machine import machine, versions

    runs: list[dict[str, Any]] = []
    with progress("measuring") as say:
        for name in names or ENCRYPTED_SCHEMES:
            for size in sizes:
                timings = job.measure(name, batch=size, members=members, backend=settings().backend, progress=say)
                if ceremony:
                    say(f"{name}: key ceremony of {members} members")
                    timings["ceremony"] = job.measure_ceremony(
                        name, batch=size, members=members, backend=settings().backend
                    )
                steps = {step: job.document(timing) for step, timing in timings.items()}
                after = sum(timings[step].median_ms for step in job.AFTER_SHARES)
                runs.append(
                    {
                        "scheme": name,
                        "batch": size,
                        "steps_ms": steps,
                        "after_shares_ms": round(after, 4),
                        "open_ms": round(after + timings["precompute"].median_ms, 4),
                    }
                )
    fields: dict[str, Any] = {
        "members": members,
        "backend": settings().backend,
        "runs": runs,
        "peak_memory_mib": round(job.peak_memory_mib(), 1),
        "machine": machine(),
        "versions": versions(),
    }
    if print_json("bench-micro", fields):
        return
    columns = [f"{run['scheme']} {run['batch']}" for run in runs]
    listing = table("ms, medians", *columns, right=columns)
    for step in (*job.STEPS, *(["ceremony"] if ceremony else [])):
        unit = " (one)" if step in job.PER_CIPHERTEXT else ""
        listing.add_row(step + unit, *(f"{run['steps_ms'][step]['median_ms']:,.3g}" for run in runs))
    listing.add_section()
    listing.add_row("after the shares", *(f"{run['after_shares_ms']:,.3g}" for run in runs))
    listing.add_row("opening in all", *(f"{run['open_ms']:,.3g}" for run in runs))
    print_rich(
        heading(f"{members} members, {settings().backend}, {fields['machine']['processor']}"),
        "",
        listing,
        "",
        f"[dim]peak memory {fields['peak_memory_mib']:,.0f} MiB; opening is precompute, combine and decrypt[/]",
    )
    next_step("encmempool schemes --measure")
