"""`demo`: the main job once, encrypted and in plaintext."""

from __future__ import annotations

from typing import Any

import click

from cli.application import WRONG, Command, next_step, progress, settings, warning
from cli.committee import MAX_MEMBERS
from cli.io import Packed, facts, heading, print_rich, table
from threshold.schemes.registry import SCHEMES, load_scheme

_UNITS = "bps: hundredths of a percent of traded volume. One market is an illustration, not evidence."
_LEFT_OUT = {
    False: "[green]stays closed[/]: a ciphertext the sequencer withholds is not opened with the others",
    True: "[red]opens as well[/]: everyone can read a ciphertext that was withheld",
}
_DIFFERENCE = (
    "Users lose more or less than the attacker gains: it pays fees and gas, and its trades move the pool's price for "
    "all of them."
)


@click.command(cls=Command)
@click.option("--members", type=click.IntRange(1, MAX_MEMBERS), default=4, show_default=True, help="Committee size.")
@click.option("--threshold", type=int, help="Members needed to open a batch.  [default: floor(2n/3) + 1]")
@click.option(
    "--scheme", type=click.Choice(SCHEMES), default="tdh2", show_default=True, help="See `encmempool schemes`."
)
@click.option("--transactions", type=click.IntRange(1, 4096), default=64, show_default=True, help="Swaps of the users.")
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Chooses the market.")
@click.option("--reduced-threshold", is_flag=True, help="Allow a threshold below the default, for experiments.")
def demo(
    members: int, threshold: int | None, scheme: str, transactions: int, seed: int, reduced_threshold: bool
) -> None:
    """Trade once encrypted and once in the clear, under attack.

    The same users' swaps go through an encrypted and a plaintext mempool, while the sequencer attacks both.

    \b
    Examples:
      encmempool demo
      encmempool demo --members 7 --transactions 256 --json
    """
    from encmempool.keysets import default_threshold
    from encmempool.measure import demo as experiment
    from encmempool.network.ceremony import check_committee

    needed = default_threshold(members) if threshold is None else threshold
    loaded = load_scheme(scheme, settings().backend)
    check_committee(loaded, members, needed, reduced_allowed=reduced_threshold)
    if needed < default_threshold(members):
        warning(f"reduced threshold {needed} of {members}: two conflicting orders can both gather votes")
    if not loaded.info.hides:
        warning(f"{scheme} hides nothing: the attacker reads the swaps in both columns")
    with progress("starting") as say:
        result = experiment.run(
            members=members,
            threshold=needed,
            scheme=scheme,
            transactions=transactions,
            seed=seed,
            backend=settings().backend,
            reduced_threshold=reduced_threshold,
            progress=say,
        )
    print_result(result)
    next_step("encmempool key new alice", "your turn:")
    if result["audit"] != "ok":
        click.get_current_context().exit(WRONG)


def print_result(result: dict[str, Any]) -> None:
    """As a table, or as it is with --json."""
    if _print_document(result):
        return
    plain, encrypted = result["plaintext"], result["encrypted"]
    hides = load_scheme(result["scheme"], result["backend"]).info.hides
    name = "encrypted" if hides else result["scheme"]
    listing = table("", "plaintext", name, right=("plaintext", name))
    count = result["transactions"]
    title = heading(
        f"{count:,} swap{'s' * (count != 1)}, a sequencer that attacks; {result['scheme']}, "
        f"{result['threshold']} of {result['members']} members, seed {result['seed']}"
    )
    listing.add_row("attacker extracts", *(_bps(run["extracted_bps"], good=0.5) for run in (plain, encrypted)))
    listing.add_row("users lose", *(_bps(run["victim_loss_bps"], good=0.5) for run in (plain, encrypted)))
    listing.add_row("failed volume", *(f"{100 * run['failed_volume']:.1f} %" for run in (plain, encrypted)))
    other = encrypted.get("strategy_not_abstaining")
    learned = f"after training on {encrypted['training_markets']:,} markets " if hides else ""
    stages = [f"{name} {_ms(value)}" for name, value in result["stages_ms"].items()]
    sizes = result["bytes"]
    verdict = (
        "[bold green]ok[/]: the exported history verifies" if result["audit"] == "ok" else f"[red]{result['audit']}[/]"
    )
    print_rich(
        title,
        "",
        listing,
        "",
        facts(
            [
                ("attack, plaintext", "optimal sandwiches: it reads every swap"),
                (f"attack, {name}", f"{learned}it chose: {_words(encrypted['strategy'])}"),
                (
                    "best other choice",
                    f"{_words(other) + ': ' if other else ''}{_plain_bps(encrypted['extracted_bps_not_abstaining'])}",
                ),
                ("left out of the batch", _LEFT_OUT[result["left_out_opens"]]),
                ("stages, ms", Packed(stages)),
                (
                    "bytes",
                    f"transaction {sizes['transaction']:,}, of which encryption adds {sizes['ciphertext_overhead']:,}; "
                    f"a share of the batch {sizes['share']:,}",
                ),
                ("audit", verdict),
            ]
        ),
        "",
        f"[dim]{_UNITS} {_DIFFERENCE}[/]",
    )


def _print_document(result: dict[str, Any]) -> bool:
    from cli.io import print_json

    command = result["schema"].removeprefix("encmempool.").removesuffix("/1")
    return print_json(command, {name: value for name, value in result.items() if name != "schema"})


def _bps(value: float, *, good: float) -> str:
    color = "green" if value <= good else "red"
    return f"[{color}]{_plain_bps(value)}[/]"


def _plain_bps(value: float) -> str:
    return f"{value + 0.0:.1f} bps".replace("-", "−")


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _words(strategy: str) -> str:
    return strategy.replace("_", " ")
