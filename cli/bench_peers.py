"""`bench peers`: ratios to software that a user would pick instead."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from cli.application import ENVIRONMENT, Command, next_step, progress, settings, warning
from cli.io import heading, print_json, print_rich, table

# What `encmempool.bench` says too: to import it would slow down the start of every command.
NAMES = ("ferveo", "shutter-sdk", "tlock-js", "py_ecc")
LEAST_ROUNDS = 6


@click.command(cls=Command)
@click.option(
    "--peer",
    "names",
    type=click.Choice(NAMES),
    multiple=True,
    help="Which peers.  [default: all, or none with --peer-command]",
)
@click.option(
    "--peer-command",
    "commands",
    metavar="CMD",
    multiple=True,
    help="A program that times the jobs itself; benchmarks/peers/README.md says how it is asked.",
)
@click.option("--job", "jobs", metavar="JOB", multiple=True, help="Only these jobs, for instance `open-batch`.")
@click.option("--rounds", type=click.IntRange(LEAST_ROUNDS, 1000), default=10, show_default=True, help="Of each job.")
@click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    default=512,
    show_default=True,
    help="Transactions that we share and open together.",
)
@click.option(
    "--threads",
    "thread_count",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="For our side. The peers use one, and so do we unless told otherwise.",
)
@click.option(
    "--time-limit",
    "time_limit_s",
    type=click.FloatRange(0, 3600, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For each answer of a peer.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Where the peers are installed.  [default: benchmarks/peers of the sources]",
)
def peers(
    names: tuple[str, ...],
    commands: tuple[str, ...],
    jobs: tuple[str, ...],
    rounds: int,
    batch: int,
    thread_count: int,
    time_limit_s: float,
    directory: Path | None,
) -> None:
    """Time the same jobs on other software and print the ratios, theirs to ours.

    Both sides take turns in one run, so that whatever else the machine does hits both. A ratio is that of the median
    times, with its 95 % interval; above 1 we are faster. Peers that are not installed are listed with the command that
    installs them: nothing is downloaded here.

    \b
    Examples:
      encmempool bench peers
      encmempool bench peers --peer ferveo --batch 128 --json
      encmempool bench peers --peer-command "./my-library --bench" --job encrypt --job open
    """
    from encmempool.bench import peers as job
    from encmempool.errors import EnvironmentProblem

    if math.isnan(time_limit_s):
        raise ValueError("--time-limit is no number of seconds")
    wanted = names or (() if commands else NAMES)
    found, missing = job.find(wanted, directory or job.DIRECTORY)
    with progress("starting") as say:
        fields, silent = job.run(
            found=found,
            commands=tuple(dict.fromkeys(commands)),
            names=jobs,
            batch=batch,
            rounds=rounds,
            thread_count=thread_count,
            backend=settings().backend,
            time_limit_s=time_limit_s,
            progress=say,
        )
    skipped = (*missing, *silent)
    if not fields["rows"]:
        raise EnvironmentProblem(f"no peer was measured: {'; '.join(map(str, skipped))}")
    broken = [peer for peer in skipped if peer.broke_off]
    for peer in broken:
        warning(str(peer))
    fields["skipped"] = [{"peer": peer.peer, "reason": peer.reason, "install": peer.install} for peer in skipped]
    if not print_json("bench-peers", fields):
        _print_table(fields, [str(peer) for peer in skipped if not peer.broke_off], rounds)
        next_step("encmempool bench micro")
    if broken:
        click.get_current_context().exit(ENVIRONMENT)


def _print_table(fields: dict[str, Any], unmeasured: list[str], rounds: int) -> None:
    from rich.text import Text

    from encmempool.bench.peers import label

    numbers = ("ours, ms", "theirs, ms", "ratio", "95 %")
    listing = table("peer", "job", *numbers, right=numbers, wrap=("peer",))
    for row in fields["rows"]:
        # Text, not markup: a command may hold anything
        listing.add_row(
            Text(row["peer"]),
            label(row["job"], row["params"]),
            _shown(1e3 * row["ours_s"]),
            _shown(1e3 * row["peer_s"]),
            Text(_shown(row["ratio"]), style="bold"),
            f"{_shown(row['ratio_low'])} to {_shown(row['ratio_high'])}",
        )
    threads = f"{fields['threads']} thread" + "s" * (fields["threads"] > 1)
    notes = [
        f"for one transaction or call, medians of {rounds} rounds; ratios are theirs / ours: above 1 we are faster"
    ]
    batches = {row["params"]["batch"] for row in fields["rows"] if "batch" in row["params"]}
    notes += [
        f"ours shares and opens in batches of {size}, open-batch with simple-bte, the rest tdh2" for size in batches
    ]
    print_rich(
        heading(f"{fields['backend']}, {threads}, {fields['machine']['processor']}"),
        "",
        listing,
        "",
        *(Text(text, style="dim") for text in notes),
        *(Text(f"not measured: {text}") for text in unmeasured),
    )


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
