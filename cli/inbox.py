"""`inbox`: the way past a sequencer that ignores somebody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.application import Group, next_step, note, settings
from cli.devnet import FOLDER
from cli.io import PASSWORD_FILE, hexed, open_account, open_home, open_view, print_object, read_object

if TYPE_CHECKING:
    from encmempool.home import Home
    from encmempool.settlement.site import Contracts
    from encmempool.types import Genesis

L1_URL = click.option("--l1", metavar="URL", help="The chain.  [default: that of the home's development network]")
CONTRACTS = click.option(
    "--contracts", type=click.Path(path_type=Path), metavar="FILE", help="l1.json, which names the network's contracts."
)


@click.group(cls=Group)
def inbox() -> None:
    """Force an encrypted transaction in, through the inbox on the chain below (L1).

    \b
    Example:
      encmempool inbox post envelope.hex --key alice
    """


@inbox.command()
@click.argument("file", metavar="FILE|-")
@click.option("--key", required=True, metavar="NAME", help="Account that pays on L1.")
@L1_URL
@CONTRACTS
@PASSWORD_FILE
def post(file: str, key: str, l1: str | None, contracts: Path | None, password_file: str | None) -> None:
    """Post an envelope to the inbox and pay its fee.

    Once it is overdue no member votes for a commitment that leaves it out. It is encrypted there as everywhere. That
    its contents are in order is nobody's business but the sender's: what is not admissible at its turn is passed over.

    \b
    Examples:
      encmempool inbox post envelope.hex --key dev-0
      encmempool inbox post envelope.hex --key alice --l1 http://127.0.0.1:8545 --contracts l1.json
    """
    from encmempool.errors import EnvironmentProblem
    from encmempool.settlement.l1 import Reverted
    from encmempool.types import EncryptedTransaction

    home = open_home()
    transaction = EncryptedTransaction.decode(read_object(file, "an envelope"))
    site = open_contracts(home, l1, contracts)
    payer = open_account(home, key, password_file)
    parameters = site.site.parameters
    fee = parameters.entry_fee + parameters.byte_fee * len(transaction.encoded)
    try:
        mined = site.inbox.send("post", transaction.encoded, sender=payer, wei=fee)
    except Reverted as error:
        raise EnvironmentProblem(f"the inbox refuses: {error}") from error
    (posted,) = site.inbox.logs_of(mined)
    index = int(posted.arguments["index"])
    fields = {
        "tx_id": hexed(transaction.tx_id),
        "index": index,
        "l1_block": mined.block,
        "fee": str(fee),
        "gas": mined.gas,
    }
    print_object(transaction.tx_id, "inbox-post", fields)
    note(f"entry {index} of the inbox, in block {mined.block}; {fee} wei and {mined.gas:,} gas")
    node = settings().node
    next_step(f"encmempool wait {hexed(transaction.tx_id)}{f' --node {node}' if node else ''}")


def open_contracts(home: Home, l1: str | None, file: Path | None, genesis: Genesis | None = None) -> Contracts:
    """A network's contracts: those of the development network, or of the genesis if that is not the home's."""
    from encmempool.network.devnet import Devnet
    from encmempool.settlement.l1 import L1
    from encmempool.settlement.site import Site, connect

    if (l1 is None) != (file is None):
        raise click.UsageError("--l1 and --contracts belong together", click.get_current_context())
    if l1 is None or file is None:
        return Devnet.load(home.path / FOLDER).contracts()
    return connect(L1(l1), Site.read(file), genesis or open_view(home).genesis)
