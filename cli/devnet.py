"""`devnet`: a complete network of processes on this machine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.application import WRONG, Group, next_step, note, progress, settings, warning
from cli.committee import POLICIES
from cli.io import facts, open_home, print_json, print_rich, table
from threshold.schemes.registry import SCHEMES

if TYPE_CHECKING:
    from encmempool.network.devnet import Devnet

FOLDER = "devnet"
FAULTS = (
    "kill",
    "pause",
    "delay",
    "drop",
    "bad-share",
    "silent-member",
    "equivocate",
    "disk-full",
    "clock-skew",
)


@click.group(cls=Group)
def devnet() -> None:
    """A complete local network: sequencer, members and auditor as separate processes.

    It lives in the home's folder `devnet` and on the loopback interface. `down` stops it and removes all of it.

    \b
    Examples:
      encmempool devnet up
      encmempool devnet trade --seconds 10
      encmempool devnet down
    """


@devnet.command()
@click.option("--members", type=click.IntRange(1, 64), default=4, show_default=True, help="Committee size n.")
@click.option("--threshold", type=int, help="Members needed to open a batch.  [default: floor(2n/3) + 1]")
@click.option(
    "--scheme", type=click.Choice(SCHEMES), default="tdh2", show_default=True, help="See `encmempool schemes`."
)
@click.option(
    "--order", type=click.Choice(POLICIES), default="arrival", show_default=True, help="How batches are ordered."
)
@click.option("--batch-limit", type=click.IntRange(1, 4096), help="The largest batch.")
@click.option(
    "--rounds", type=click.IntRange(1, 100_000), help="Batches the key can open, for schemes that limit them."
)
@click.option(
    "--store", metavar="URL", help="A PostgreSQL server's URL: every node gets a database there.  [default: SQLite]"
)
@click.option("--interval-ms", type=click.IntRange(10), default=200, show_default=True, help="Between commitments.")
@click.option("--l1", metavar="anvil|URL", help="A chain below, with contracts and bonds.  [default: none]")
@click.option(
    "--l1-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Key in hex that deploys.  [default: anvil's]",
)
@click.option(
    "--stall", type=click.Choice(("halt", "expire")), default="halt", show_default=True, help="If no certificate comes."
)
def up(
    members: int,
    threshold: int | None,
    scheme: str,
    order: str,
    batch_limit: int | None,
    rounds: int | None,
    store: str | None,
    interval_ms: int,
    l1: str | None,
    l1_key: Path | None,
    stall: str,
) -> None:
    """Start a network and make its key, between separate processes.

    Funds the accounts of the home and ten development accounts dev-0 … dev-9, whose keys are PUBLICLY KNOWN, and
    leaves the network's genesis root pinned in the home.

    \b
    Examples:
      encmempool devnet up
      encmempool devnet up --members 7 --scheme simple-bte
      encmempool devnet up --l1 anvil
      encmempool devnet up --store postgresql+psycopg://user@localhost/postgres
    """
    from encmempool.network.devnet import Layout, Wanted, launch

    home = open_home()
    if l1 not in (None, "anvil") and l1_key is None:
        raise click.UsageError("--l1 URL needs --l1-key FILE: somebody has to pay there", click.get_current_context())
    layout = Layout(
        members=members,
        store=store,
        interval_ms=interval_ms,
        backend=settings().backend,
        l1=l1,
        l1_key=l1_key,
        stall=stall,
    )
    wanted = Wanted(scheme=scheme, threshold=threshold, order=order, batch_limit=batch_limit, rounds=rounds)
    began = time.monotonic()
    with progress("starting") as say:
        network, made = launch(home.path / FOLDER, home, layout, wanted, backend=settings().backend, progress=say)
    took_s = time.monotonic() - began
    for url, reason in made.absent.items():
        warning(f"{url} took no part: {reason}")
    fields = {
        "folder": str(network.path),
        "node": network.sequencer.url,
        "genesis_root": network.genesis_root,
        "nodes": _node_fields(network),
        "scheme": scheme,
        "members": members,
        "threshold": made.committee.key_set.t,
        "took_s": round(took_s, 3),
        "l1": network.l1_url,
    }
    if not print_json("devnet-up", fields):
        print_rich(
            facts(
                [
                    ("network", network.genesis_root),
                    ("scheme", f"{scheme}, any {made.committee.key_set.t} of {members} members open"),
                    ("ready after", f"{took_s:.1f} s"),
                ]
            ),
            "",
            _node_table(network),
        )
    note(f"use it with --node {network.sequencer.url}, or  export ENCMEMPOOL_NODE={network.sequencer.url}")
    next_step(f'encmempool tx sign --node {network.sequencer.url} --key dev-0 --sell "1.5 ETH" > tx.hex')


@devnet.command()
def status() -> None:
    """Which nodes run, and how far each is.

    Exit code 1 if one does not answer.

    \b
    Example:
      encmempool devnet status
    """
    from encmempool.network.devnet import conditions

    network = _network()
    found = conditions(network)
    healthy = all(condition.answers for condition in found)
    fields = {
        "genesis_root": network.genesis_root,
        "healthy": healthy,
        "nodes": [
            {
                **node,
                "runs": condition.runs,
                "answers": condition.answers,
                "ready": condition.ready,
                "head": condition.head,
                "executed_height": condition.executed_height,
                "epoch": condition.epoch,
                "evidence": condition.evidence,
            }
            for node, condition in zip(_node_fields(network), found, strict=True)
        ],
    }
    if not print_json("devnet-status", fields):
        listing = table("node", "address", "state", "head", "executed", "epoch", "evidence", right=("head", "executed"))
        for node, condition in zip(network.nodes, found, strict=True):
            listing.add_row(
                node.name,
                node.url,
                condition.text,
                _shown(condition.head),
                _shown(condition.executed_height),
                _shown(condition.epoch),
                _shown(condition.evidence),
            )
        print_rich(listing)
    if not healthy:
        click.get_current_context().exit(WRONG)


@devnet.command()
@click.argument("names", metavar="[NODE]...", nargs=-1)
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="Lines of each node.")
def logs(names: tuple[str, ...], last: int) -> None:
    """What nodes logged: JSON lines, with no payload, key or plaintext in them.

    \b
    Examples:
      encmempool devnet logs
      encmempool devnet logs member-2 --last 100
    """
    network = _network()
    chosen = [network.node(name) for name in names] or network.nodes
    lines = {node.name: list(network.log_lines([node.name]))[-last:] for node in chosen}
    if print_json("devnet-logs", {"nodes": {name: [_parsed(line) for line in found] for name, found in lines.items()}}):
        return
    for found in lines.values():
        for line in found:
            click.echo(line)


@devnet.command()
def down() -> None:
    """Stop every node and remove the network with its keys and databases.

    \b
    Example:
      encmempool devnet down
    """
    from encmempool.network.remote import Pins

    home, network = open_home(), _network()
    with progress("stopping"):
        network.remove()
    for node in network.nodes:
        Pins(home).forget(node.url)
    if not print_json("devnet-down", {"stopped": [node.name for node in network.nodes]}):
        click.echo(f"stopped {len(network.nodes)} nodes and removed {network.path}")


@devnet.command()
@click.option("--seconds", type=click.FloatRange(0.1, 86_400), default=10.0, show_default=True, help="How long.")
@click.option("--rate", type=click.FloatRange(0.1, 10_000), default=20.0, show_default=True, help="Swaps a second.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the swaps.")
def trade(seconds: float, rate: float, seed: int) -> None:
    """Send a stream of signed, encrypted swaps from development accounts, and say what became of them.

    \b
    Example:
      encmempool devnet trade --seconds 30 --rate 50
    """
    from encmempool.network.trading import trade as run_trade

    home, network = open_home(), _network()
    with progress("trading") as say:
        result = run_trade(
            network, home, seconds=seconds, rate=rate, seed=seed, backend=settings().backend, progress=say
        )
    if not print_json("devnet-trade", result.document()):
        print_rich(facts(result.lines()))
    if result.lost:
        click.get_current_context().exit(WRONG)


@devnet.command()
@click.option("--seconds", type=click.FloatRange(5, 86_400), default=120.0, show_default=True, help="How long.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the times and targets of faults.")
@click.option("--faults", metavar="LIST", default="all", show_default=True, help=f"Any of {', '.join(FAULTS)}.")
@click.option(
    "--every", "pause_s", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Seconds between faults."
)
@click.option("--rate", type=click.FloatRange(0.1, 1_000), default=12.0, show_default=True, help="Swaps a second.")
@click.option("--members", type=click.IntRange(4, 32), default=4, show_default=True, help="Committee size n.")
@click.option(
    "--scheme", type=click.Choice(SCHEMES), default="tdh2", show_default=True, help="See `encmempool schemes`."
)
@click.option(
    "--rounds", type=click.IntRange(1, 100_000), help="Batches the key can open, for schemes that limit them."
)
@click.option("--store", metavar="URL", help="A PostgreSQL server's URL: every node gets a database there.")
@click.option("--l1", type=click.Choice(("anvil",)), help="A chain below, with contracts and bonds.  [default: none]")
@click.option("--keep", type=click.Path(path_type=Path), metavar="DIR", help="Leave homes, databases and logs there.")
def soak(
    seconds: float,
    seed: int,
    faults: str,
    pause_s: float,
    rate: float,
    members: int,
    scheme: str,
    rounds: int | None,
    store: str | None,
    l1: str | None,
    keep: Path | None,
) -> None:
    """Break a network of its own on purpose while trading goes on, and audit it afterwards.

    Nodes are killed, stopped, cut off, slowed down, run out of disk and have wrong clocks; a member hands out wrong
    shares; a sequencer signs twice. Exit code 1 if a receipted transaction was lost, anything was signed twice or
    revealed and not executed, a log holds plaintext, misbehaviour left no evidence, the history does not verify, or
    with --l1 anybody else was slashed.

    \b
    Examples:
      encmempool devnet soak --seconds 120 --seed 7
      encmempool devnet soak --seconds 30 --faults kill,pause --json
      encmempool devnet soak --l1 anvil --faults kill,pause,delay,drop,disk-full,clock-skew
    """
    from encmempool.network.devnet import Layout, Wanted
    from encmempool.network.soak import soak as run_soak

    kinds = FAULTS if faults == "all" else tuple(kind.strip() for kind in faults.split(",") if kind.strip())
    with progress("starting a network") as say:
        report = run_soak(
            seconds=seconds,
            seed=seed,
            faults=kinds,
            layout=Layout(members=members, store=store, l1=l1),
            wanted=Wanted(scheme=scheme, rounds=rounds),
            rate=rate,
            pause_s=pause_s,
            backend=settings().backend,
            keep=keep,
            progress=say,
        )
    document = report.document()
    if not print_json("soak", document):
        print_rich(facts((name.replace("_", " "), _listed(value)) for name, value in document.items()))
    if not report.passed:
        click.get_current_context().exit(WRONG)


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_listed(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _network() -> Devnet:
    from encmempool.network.devnet import Devnet

    return Devnet.load(open_home().path / FOLDER)


def _node_fields(network: Devnet) -> list[dict[str, Any]]:
    return [{"name": node.name, "role": node.role, "url": node.url, "pid": node.pid} for node in network.nodes]


def _node_table(network: Devnet) -> Any:
    listing = table("node", "address", "process", right=("process",))
    for node in network.nodes:
        listing.add_row(node.name, node.url, str(node.pid))
    return listing


def _shown(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line
