"""`sequencer`: order what waits, without being able to read it."""

from __future__ import annotations

import click

from cli.application import Group, next_step, note, warning
from cli.io import PASSWORD_FILE, hexed, open_home, open_network, print_object


@click.group(cls=Group)
def sequencer() -> None:
    """Play the sequencer.

    \b
    Example:
      encmempool sequencer commit
    """


@sequencer.command()
@PASSWORD_FILE
def commit(password_file: str | None) -> None:
    """Sign the next height's order and print the commitment.

    Fixes which transactions run, and in which order, before anyone can read them. One commitment per height, ever.

    \b
    Example:
      encmempool sequencer commit > commitment.hex
    """
    from encmempool.ordering import Policy

    home = open_home()
    with home.locked():
        network = open_network(home, password_file=password_file)
        proposal = network.commit()
        pending, left = network.sequencer.pending, network.sequencer.rounds_left
    signed = proposal.commitment
    message = signed.message
    order = Policy(message.policy_id).name.lower()
    print_object(
        signed.encoded,
        "sequencer-commit",
        {
            "commitment": hexed(signed.encoded),
            "commitment_root": hexed(message.root),
            "height": message.height,
            "parent": hexed(message.parent),
            "order": order,
            "tx_ids": [hexed(transaction.tx_id) for transaction in proposal.transactions],
            "timestamp_ms": message.timestamp_ms,
            "still_pending": pending,
        },
    )
    count = message.count
    what = f"{count} transaction{'s' * (count != 1)} in order of {order}, unread" if count else "an empty batch"
    still = f"; {pending} still wait{'s' * (pending == 1)}" if pending else ""
    note(f"height {message.height} commits to {what}{still}")
    if left is not None:
        rounds = f"{left} round{'s' * (left != 1)} of this key left"
        (note if left else warning)(rounds if left else f"{rounds}: run `encmempool committee rotate --new-key`")
    next_step("encmempool committee reveal")
