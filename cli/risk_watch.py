"""`risk watch`: running figures of a real network, from a node or an exported history, and an alarm."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from cli.application import PROGRAM, WRONG, Command, note, progress, settings, warning
from cli.io import facts, heading, open_home, open_remote, print_json, print_rich, read_bytes, short, table, unhexed

_SCHEMA = f"{PROGRAM}.risk-watch/1"


@click.command(cls=Command)
@click.argument("history", metavar="[HISTORY|-]", required=False)
@click.option(
    "--every", type=click.FloatRange(0.1), metavar="SECONDS", help="Go on: look again and again, until an alarm."
)
@click.option(
    "--alpha",
    type=click.FloatRange(1e-12, 0.5),
    default=0.001,
    show_default=True,
    help="Chance of an alarm, ever, while orders are blind.",
)
@click.option(
    "--attack-share",
    type=click.FloatRange(1e-6, 1),
    default=0.01,
    show_default=True,
    help="Share of blocks attacked that the test is tuned to.",
)
@click.option(
    "--reorderings",
    type=click.IntRange(19, 100_000),
    default=99,
    show_default=True,
    help="Other orders that each block is compared with.",
)
@click.option("--from", "start", type=click.IntRange(0), default=0, metavar="HEIGHT", help="Count from this height on.")
@click.option("--seed", type=click.IntRange(0), help="Draw the same reorderings again.  [default: a secret one]")
def watch(
    history: str | None,
    every: float | None,
    alpha: float,
    attack_share: float,
    reorderings: int,
    start: int,
    seed: int | None,
) -> None:
    """Watch a network: delays, missed heights, members, and whether orders are blind.

    Takes an exported history, or follows the node behind --node. Everything is verified before it counts, as in `audit
    verify`. The order of each block is compared with other orders of the same block: sandwiches, and what the best
    trader gained. Exit code 1 says that an order was hardly blind, that a party is convicted, or that the history does
    not verify; with --every the command goes on until then.

    \b
    Examples:
      encmempool risk watch history.bin
      encmempool risk watch --node http://127.0.0.1:8700 --every 10 --json
    """
    from random import Random, SystemRandom

    from encmempool.risk.looks import NodeLooks, look_at_history
    from encmempool.risk.watch import Watch

    context = click.get_current_context()
    if history is None and settings().node is None:
        raise click.UsageError("name a node with --node URL, or an exported history", context)
    if history is not None and every is not None:
        raise click.UsageError("--every is for a node: a history does not grow", context)
    random = SystemRandom() if seed is None else Random(seed)
    watched = Watch(error=alpha, attacked_share=attack_share, orders=reorderings, random=random, start=start)
    if history is not None:
        with progress("verifying the history"):
            found = look_at_history(watched, unhexed(read_bytes(history)), clock_ms=_now_ms, backend=settings().backend)
        _tell(found)
    else:
        looks = NodeLooks(open_remote(open_home()), watched, clock_ms=_now_ms)
        with progress("following the node") as say:
            found = looks.look(say)
        if every is None:
            _tell(found)
        else:
            _go_on(looks.look, found, every, is_over=lambda: watched.alarmed)
    if watched.alarmed:
        context.exit(WRONG)


def _go_on(
    look: Callable[[], dict[str, Any]], found: dict[str, Any], every: float, is_over: Callable[[], bool]
) -> None:
    """A report for each look; one that the node does not answer is left out."""
    from encmempool.errors import EnvironmentProblem

    _tell_line(found)
    while not is_over():
        time.sleep(every)
        try:
            found = look()
        except EnvironmentProblem as error:
            warning(f"this look is left out: {error}")
            continue
        _tell_line(found)


def _tell_line(found: dict[str, Any]) -> None:
    """One line for each look; with --json the whole report."""
    if settings().json:
        click.echo(json.dumps({"schema": _SCHEMA, **found}))
    else:
        alarm, heights = found["alarm"], found["heights"]
        click.echo(
            f"height {found['verified_height']}: {heights['transactions']} transactions, "
            f"{heights['dropped']['count']} dropped, {found['sandwiches']['found']['count']} sandwiches, "
            f"e-value {alarm['e_value']:g} of {alarm['limit']:g}"
        )
        _warn(found)
    sys.stdout.flush()


def _tell(found: dict[str, Any]) -> None:
    if print_json("risk-watch", found):
        return
    heights, inclusion = found["heights"], found["inclusion"]
    ordering, sandwiches, alarm = found["ordering"], found["sandwiches"], found["alarm"]
    members = table(
        "member", "address", "in certificates", "shares", "wrong", right=("in certificates", "shares", "wrong")
    )
    for member in found["members"]:
        members.add_row(
            str(member["member"]),
            short(bytes.fromhex(member["address"][2:])),
            f"{member['in_certificate']} of {member['certified_heights']}",
            f"{member['shares']} of {member['opened_heights']}",
            str(member["wrong_shares"]),
        )
    compared = (
        f"{ordering['p_below_5']} of {ordering['blocks']} p-values up to 5 %"
        if ordering["blocks"]
        else "no block can tell"
    )
    lines = [
        ("network root", found["network_root"]),
        ("heights", _heights(found)),
        ("missed", f"{heights['dropped']['count']} dropped, {heights['empty']} empty"),
        ("between heights", _spread(heights["interval_ms"], "ms")),
        ("inclusion", f"{_spread(inclusion['delay_ms'], 'ms')}; {_spread(inclusion['commitments'], 'commitments')}"),
        ("opened within", _spread(inclusion["opening_ms"], "ms")),
        ("promises", f"{inclusion['late']} included late, {inclusion['missing_receipts']} receipts not committed"),
        ("order", f"{ordering['policy'] or 'none yet'}: {compared}"),
        ("sandwiches", _sandwiches(sandwiches)),
        ("node's counters", _counters(found)),
        ("alarm", _verdict(found)),
    ]
    print_rich(facts(lines), "", heading("members"), members)
    _warn(found)
    if alarm["expected_blocks"] is not None:
        note(
            f"an attack on {100 * alarm['attacked_share']:g} % of the blocks that can hold a sandwich is noticed after "
            f"about {alarm['expected_blocks']:,.0f} of them"
        )


def _warn(found: dict[str, Any]) -> None:
    raised = found["alarm"]["raised"]
    if raised is not None:
        warning(
            f"orders are hardly blind: {raised['statistic'].replace('_', ' ')} up to height {raised['height']} say so; "
            f"a blind order does that with chance {found['alarm']['error']:g} at most"
        )
    for fact in found["facts"]["newest"]:
        who = f"member {fact['member']}" if fact["member"] else fact["role"]
        what = f"{fact['kind'].replace('_', ' ')}, {fact['rule']}"
        warning(f"{who} {fact['offender']} is convicted at {fact['height']}: {what}")


def _heights(found: dict[str, Any]) -> str:
    heights = found["heights"]
    if heights["first"] is None:
        return f"none counted, {found['verified_height']} verified, head {found['head']}"
    return (
        f"{heights['first']} to {heights['last']}, all recomputed, head {found['head']}; "
        f"{heights['transactions']} transactions"
    )


def _spread(found: dict[str, Any] | None, unit: str) -> str:
    if found is None:
        return f"no {unit} yet"
    return f"p50 {found['p50']:,}, p99 {found['p99']:,}, most {found['max']:,} {unit}"


def _sandwiches(found: dict[str, Any]) -> str:
    count, calibrated = found["found"]["count"], found["calibration"]
    if calibrated is None:
        return f"{count}: no block can hold one"
    usual, excess = calibrated["false_positives_per_1000_blocks"], calibrated["excess"]
    return (
        f"{count} in {found['blocks']} blocks; random orders show {usual['mean']:.3g} in 1,000 "
        f"\\[{usual['low']:.3g}, {usual['high']:.3g}], so {excess['mean']:+.3g} \\[{excess['low']:+.3g}, "
        f"{excess['high']:+.3g}] too many"
    )


def _counters(found: dict[str, Any]) -> str:
    metrics = found["metrics"]
    if metrics is None:
        return f"unknown: {found['unknown']['metrics']}"
    late, wrong = (sum(each[verdict] for each in metrics["shares"]) for verdict in ("late", "wrong"))
    opened = metrics["stages"].get("commitment_to_executed")
    times = f"opened after {1000 * opened['mean_s']:,.0f} ms on average, " if opened else ""
    return f"{times}{late} shares late, {wrong} wrong, {metrics['storage_failures']} failures of storage (its word)"


def _verdict(found: dict[str, Any]) -> str:
    alarm = found["alarm"]
    if alarm["raised"] is not None or found["facts"]["count"]:
        return f"[bold red]raised[/]: e-value {alarm['e_value']:g} of {alarm['limit']:g}"
    return f"[bold green]none[/]: e-value {alarm['e_value']:g} of {alarm['limit']:g}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
