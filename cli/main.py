"""The tree of commands. Modules of a command's work are imported when it runs: `--help` must not wait for them."""

from __future__ import annotations

from cli import interruption

# isort: split
import click

from cli.application import PROGRAM, Application
from cli.audit import audit
from cli.bench import bench
from cli.committee import committee
from cli.conformance import conformance
from cli.demo import demo
from cli.devnet import devnet
from cli.evidence import evidence
from cli.exit import exit
from cli.fetch import fetch
from cli.inbox import inbox
from cli.keys import key
from cli.measure import measure
from cli.node import node
from cli.risk import risk
from cli.scenario import scenario
from cli.schemes import schemes
from cli.sequencer import sequencer
from cli.shutter import shutter
from cli.transactions import encrypt, status, submit, tx, wait


@click.group(cls=Application)
@click.version_option(package_name=PROGRAM, prog_name=PROGRAM, message="%(prog)s %(version)s")
def main() -> None:
    """Private ordering with encrypted mempools: a research prototype.

    Clients encrypt transactions, a sequencer commits to an order it cannot read, and a committee opens them only
    afterwards. Data goes to stdout, everything else to stderr. FILE arguments take `-` for standard input.

    \b
    Examples:
      encmempool demo
      encmempool key new alice
      encmempool committee create
      encmempool tx sign --key alice --sell "1.5 ETH" > tx.hex
      encmempool encrypt tx.hex > envelope.hex
      encmempool submit envelope.hex > receipt.hex
      encmempool sequencer commit > commitment.hex
      encmempool committee reveal
      encmempool status receipt.hex
      encmempool audit export -o history.bin
      encmempool audit verify history.bin
    """


for command in (demo, schemes, key, tx, encrypt, submit, status, wait, committee, sequencer, audit, conformance, bench):
    main.add_command(command)
main.add_command(node)
main.add_command(devnet)
main.add_command(scenario)
main.add_command(inbox)
main.add_command(exit)
main.add_command(measure)
main.add_command(risk)
main.add_command(shutter)
main.add_command(fetch)
main.add_command(evidence)

interruption.loaded()


if __name__ == "__main__":
    main()
