"""`scenario`: misbehaviour and what it costs, in a real network on a real chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.application import WRONG, Group, progress, settings
from cli.io import open_home, print_json, print_rich, table
from threshold.schemes.registry import ENCRYPTED_SCHEMES

if TYPE_CHECKING:
    from encmempool.network.scenarios import Outcome

NAMES = (
    "honest",
    "censored-user",
    "flooded-inbox",
    "exit-without-sequencer",
    "kept-receipt",
    "broken-receipt",
    "two-receipts",
    "two-votes",
    "wrong-share",
    "early-share",
    "share-and-abstention",
    "two-successors",
    "two-commitments",
    "skipped-entry",
    "silent-members",
)
AT_ANY_HEIGHT = ("censored-user", "flooded-inbox", "exit-without-sequencer", "kept-receipt", "silent-members")
"""Those whose transactions wait for whichever height takes them; under ibe they are for one."""
_ETHER = 10**18


@click.group(cls=Group)
def scenario() -> None:
    """Play one misbehaviour after another and see who pays.

    \b
    Example:
      encmempool scenario run two-commitments
    """


@scenario.command()
@click.argument("names", metavar="NAME|all", type=click.Choice((*NAMES, "all")), nargs=-1, required=True)
@click.option(
    "--scheme",
    type=click.Choice(ENCRYPTED_SCHEMES),
    default="tdh2",
    show_default=True,
    help="See `encmempool schemes`.",
)
@click.option("--seconds", type=click.FloatRange(1), default=10.0, show_default=True, help="Of honest trading.")
def run(names: tuple[str, ...], scheme: str, seconds: float) -> None:
    """Start a network with anvil below it, play scenarios, and remove it again.

    A party misbehaves with its own keys; nodes find the evidence, one reports it, contracts slash and compensate. Exit
    code 1 if a scenario does not end as it should. Under ibe, where a transaction is for one height, those are
    left out in which one waits for a height to take it.

    \b
    honest                  trading: nobody is slashed
    censored-user           an encrypted transaction gets in through the inbox
    flooded-inbox           the same behind rubbish, which costs who posts it
    exit-without-sequencer  ether fetched on the chain below by a final state
    kept-receipt            a challenge that the sequencer's node answers
    broken-receipt          a receipt that is not honoured; the user is compensated
    two-receipts            one sequence given twice
    two-votes               a member votes for two commitments
    wrong-share             a member runs with a share of another key
    early-share             a member opens without a certificate
    share-and-abstention    a member opens a height and abstains from it
    two-successors          a member signs two key sets to follow one
    two-commitments         the sequencer signs two orders for one height
    skipped-entry           the sequencer leaves an overdue entry of the inbox
    silent-members          two of four members send no share for a certified batch

    \b
    Examples:
      encmempool scenario run all
      encmempool scenario run wrong-share --scheme ibe
      encmempool scenario run broken-receipt --json
    """
    from encmempool.network.scenarios import run

    wanted = NAMES if "all" in names else names
    if scheme == "ibe":
        if misses := [name for name in names if name in AT_ANY_HEIGHT]:
            raise click.UsageError(f"{misses[0]} is not played under ibe: a transaction is for one height there")
        wanted = tuple(name for name in wanted if name not in AT_ANY_HEIGHT)
    with progress("starting") as say:
        outcomes = run(open_home(), wanted, scheme=scheme, seconds=seconds, backend=settings().backend, progress=say)
    passed = all(outcome.passed for outcome in outcomes)
    fields = {"passed": passed, "scenarios": [outcome.document() for outcome in outcomes]}
    if not print_json("scenario", fields):
        print_rich(_table(outcomes))
    if not passed:
        click.get_current_context().exit(WRONG)


def _table(outcomes: list[Outcome]) -> object:
    made = table("scenario", "end", "took s", "slashed ETH", "compensation ETH", "", right=("took s",), wrap=("",))
    for outcome in outcomes:
        made.add_row(
            outcome.name,
            "[green]passed[/]" if outcome.passed else "[red]failed[/]",
            f"{outcome.seconds:.0f}",
            _ether(outcome.facts.get("slashed")),
            _ether(outcome.facts.get("compensation")),
            outcome.problem or _rest(outcome),
        )
    return made


def _ether(wei: object) -> str:
    return f"{wei / _ETHER:g}" if isinstance(wei, int) else ""


def _rest(outcome: Outcome) -> str:
    shown = ("executed", "height", "blocks", "cost", "answered", "paid")
    return ", ".join(f"{name} {outcome.facts[name]}" for name in shown if name in outcome.facts)
