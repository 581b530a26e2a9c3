"""`exit`: ether from the network back to the chain below, without the sequencer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.amounts import ETHER
from cli.application import Group, note, progress, settings
from cli.inbox import CONTRACTS, L1_URL, open_contracts
from cli.io import (
    PASSWORD_FILE,
    facts,
    hexed,
    open_account,
    open_home,
    open_remote,
    print_json,
    print_rich,
    read_bytes,
    unhexed,
)

if TYPE_CHECKING:
    from encmempool.home import Home
    from encmempool.reveal import Follower


@click.group(cls=Group)
def exit() -> None:
    """Take ether out of the network, on the chain below (L1).

    What is transferred to a user's exit address stays there for good; the bridge pays as much on L1, once a state that
    shows it is final.

    \b
    Examples:
      encmempool exit address --key alice
      encmempool exit claim --key alice --history history.bin --l1 URL --contracts l1.json
    """


@exit.command()
@click.option("--key", required=True, metavar="NAME", help="Account that is going to be paid.")
def address(key: str) -> None:
    """Print where an account transfers what it wants to take out.

    \b
    Examples:
      encmempool exit address --key alice
      encmempool tx sign --key alice --to $(encmempool exit address --key alice) --value "1 ETH"
    """
    from encmempool.settlement.leaves import exit_address

    user = open_home().account_address(key)
    if not print_json("exit-address", {"user": hexed(user), "exit_address": hexed(exit_address(user))}):
        click.echo(hexed(exit_address(user)))


@exit.command()
@click.option("--key", required=True, metavar="NAME", help="Account that is paid, and pays the gas.")
@click.option(
    "--history", metavar="FILE|-", help="Exported by `audit export`; no node is asked.  [default: from --node]"
)
@L1_URL
@CONTRACTS
@PASSWORD_FILE
def claim(key: str, history: str | None, l1: str | None, contracts: Path | None, password_file: str | None) -> None:
    """Make final what can be by now, and fetch what the exit address holds in the newest final state.

    Recomputes the history, and trusts nobody for it.

    \b
    Examples:
      encmempool exit claim --key dev-0 --node http://127.0.0.1:49137
      encmempool exit claim --key alice --history history.bin --l1 URL --contracts l1.json
    """
    from encmempool.settlement import exits

    if history is None and settings().node is None:
        raise click.UsageError("say --history FILE or --node URL: the state has to be recomputed")
    home = open_home()
    follower = _replayed(history) if history is not None else None
    site = open_contracts(home, l1, contracts, follower.committee.genesis if follower else None)
    user = open_account(home, key, password_file)
    final = exits.finalize(site, user)
    claimed = exits.claim(site, follower or _followed(home, final), user.address, final_height=final)
    paid, mined = exits.fetch(site, claimed, user)
    fields = {
        "user": hexed(user.address),
        "paid": str(paid),
        "balance": str(claimed.balance),
        "height": claimed.height,
        "l1_block": mined.block,
        "gas": mined.gas,
    }
    if not print_json("exit-claim", fields):
        print_rich(
            facts(
                [
                    ("paid", f"{ETHER(paid)} to {hexed(user.address)}"),
                    ("by the state of", f"the commitment of height {claimed.height}, which is final"),
                    ("in block", f"{mined.block}, for {mined.gas:,} gas"),
                ]
            )
        )
    if paid < claimed.balance:
        note("the exit address holds more than that: it was paid before, or the bridge had no more ether")


def _replayed(history: str) -> Follower:
    from encmempool.audit import replayed

    with progress("verifying the history"):
        return replayed(unhexed(read_bytes(history)), backend=settings().backend)


def _followed(home: Home, height: int) -> Follower:
    from encmempool.network.export import RemoteHistory
    from encmempool.prover import followed_to

    with progress("verifying the history"):
        return followed_to(RemoteHistory(open_remote(home)), height)
