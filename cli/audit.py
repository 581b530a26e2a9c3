"""`audit`: the history as one file, proofs of single transactions, and their verification from outside."""

from __future__ import annotations

import hashlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.amounts import ETHER
from cli.application import Group, next_step, note, progress, settings, warning
from cli.io import (
    STDIN,
    facts,
    genesis_root,
    hexed,
    open_client,
    open_home,
    open_network,
    open_remote,
    print_json,
    print_rich,
    read_bytes,
    short,
    unhexed,
)
from cli.transactions import named_transaction

if TYPE_CHECKING:
    from encmempool.audit import AuditReport
    from encmempool.proof import Proof, ProvenTransaction

OUTPUT = click.option("-o", "--output", metavar="FILE|-", required=True, help="Where to write; `-` is standard output.")
FORCE = click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
SHOWN_BY = {
    None: "not shown",
    "nothing": "shown: this scheme closes nothing",
    "height key": "shown by the key of its height, which is checked",
    "body key": "shown by the key of its body: what its sender sealed under that key",
}


@click.group(cls=Group)
def audit() -> None:
    """Export a network's history, prove one transaction, and verify either.

    \b
    Example:
      encmempool audit verify history.bin
    """


@audit.command()
@OUTPUT
@FORCE
def export(output: str, force: bool) -> None:
    """Write the whole history as one canonical file.

    \b
    Example:
      encmempool audit export -o history.bin
    """
    from encmempool.audit import export
    from encmempool.network.export import export_history

    _check_output(output)
    home = open_home()
    view = open_remote(home) if settings().node is not None else None
    network = None if view else open_network(home)
    _check_free(output, force)
    with progress("collecting the history"):
        if network is None:
            assert view is not None
            data = export_history(view)
            heights, root = view.head, view.genesis.root
        else:
            data = export(network)
            heights = network.sequencer.height - network.follower.chain.first_height + 1
            root = network.committee.genesis.root
    _put(output, data)
    digest = hashlib.sha256(data).digest()
    fields = {
        "file": output,
        "size_bytes": len(data),
        "sha256": hexed(digest),
        "network_root": hexed(root),
        "heights": heights,
    }
    print_json("audit-export", fields)
    target = "standard output" if output == STDIN else output
    note(f"wrote {len(data):,} bytes, {heights} height{'s' * (heights != 1)}, to {target}; sha256 {hexed(digest)}")
    if output != STDIN:
        next_step(f"encmempool audit verify {shlex.quote(output)}")


@audit.command()
@click.argument("transaction", metavar="TX_ID|FILE|-")
@OUTPUT
@FORCE
@click.option("--history", metavar="FILE|-", help="Take it from an exported history instead of the network.")
def prove(transaction: str, output: str, force: bool, history: str | None) -> None:
    """Write a proof of one transaction: a few kilobytes that show its place, content and outcome.

    Takes its id, its envelope or its receipt, of a transaction that is revealed. Whoever verifies the proof needs no
    node: the network's genesis root is enough.

    \b
    Example:
      encmempool audit prove receipt.hex -o proof.bin
      encmempool audit prove 0x5c3f… -o proof.bin --history history.bin
    """
    from encmempool.proof import verify

    _check_output(output)
    _check_free(output, force)
    proof = _proof_of_history(history, transaction) if history is not None else _proof_of_network(transaction)
    shown = verify(proof, genesis_root=proof.genesis.root, backend=settings().backend)
    data = proof.file
    _put(output, data)
    fields = {"file": output, "size_bytes": len(data), "sha256": hexed(hashlib.sha256(data).digest())}
    print_json("audit-prove", fields | _proven(shown))
    target = "standard output" if output == STDIN else output
    note(
        f"wrote {len(data):,} bytes to {target}: transaction {short(shown.tx_id)} is at height {shown.height}, "
        f"position {shown.position} of {shown.count}"
    )
    if shown.state is None:
        note("no certified commitment names the state after it yet: a proof made later shows that as well")
    if output != STDIN:
        next_step(f"encmempool audit verify {shlex.quote(output)} --genesis-root {hexed(shown.genesis_root)}")


def _proof_of_history(history: str, transaction: str) -> Proof:
    from encmempool.audit import replayed
    from encmempool.prover import prove

    tx_id, _ = named_transaction(transaction, None)
    with progress("verifying the history"):
        follower = replayed(unhexed(read_bytes(history)), backend=settings().backend)
    return prove(follower, tx_id)


def _proof_of_network(transaction: str) -> Proof:
    from encmempool.network.export import RemoteHistory
    from encmempool.prover import followed, prove

    home = open_home()
    if settings().node is None:
        network = open_network(home)
        tx_id = _revealed(transaction)
        return prove(network.follower, tx_id)
    tx_id = _revealed(transaction)
    view = open_remote(home)
    with progress("verifying the history up to the transaction"):
        return prove(followed(RemoteHistory(view), tx_id), tx_id)


def _revealed(transaction: str) -> bytes:
    """The transaction's id. EnvironmentProblem, saying what to do, unless its height is executed."""
    from encmempool.errors import EnvironmentProblem
    from encmempool.status import WAITING

    client = open_client(open_home())
    tx_id, _ = named_transaction(transaction, client)
    status, wait = client.status(tx_id), f"run `encmempool wait {hexed(tx_id)}`"
    if status.state == "unknown":
        raise EnvironmentProblem(
            f"the network has never received transaction {hexed(tx_id)}: check the id, or submit it"
        )
    if status.height is None:
        todo = wait if settings().node else "run `encmempool sequencer commit`"
        reason = f"is not committed yet: {todo}" if status.state in WAITING else f"was never committed: {status.state}"
        raise EnvironmentProblem(f"transaction {hexed(tx_id)} {reason}")
    if not status.final:
        todo = wait if settings().node else "run `encmempool committee reveal`"
        raise EnvironmentProblem(
            f"transaction {hexed(tx_id)} is committed at height {status.height} and not revealed yet: {todo}"
        )
    return tx_id


@audit.command()
@click.argument("file", metavar="FILE|-")
def verify(file: str) -> None:
    """Verify a history, or a proof of one transaction.

    A history is recomputed: every signature, order, share, decryption, outcome and state root. Of a proof everything is
    checked that it shows, and what it does not show is said. Neither needs anything but the file.

    Exit code 1 names what is wrong, of a history with height and record. The network root is what to compare with the
    network you mean: for a proof, name it with --genesis-root; by default it is that of the home, if there is one.

    \b
    Examples:
      encmempool audit verify history.bin
      encmempool audit verify proof.bin --genesis-root 0x91b2…
    """
    from encmempool.proof import MAGIC

    data = unhexed(read_bytes(file))
    if data.startswith(MAGIC):
        _verify_proof(data)
    else:
        _verify_history(data)


def _verify_proof(data: bytes) -> None:
    from encmempool.proof import Proof, verify

    proof, home = Proof.of_file(data), open_home()
    root = genesis_root() or (home.genesis().root if home.exists else None)
    shown = verify(proof, genesis_root=root or proof.genesis.root, backend=settings().backend)
    fields = {"valid": True, "kind": "proof", "pinned": root is not None, "size_bytes": len(data)}
    if not print_json("audit-verify", fields | _proven(shown)):
        print_rich(facts(_proof_lines(shown)))
    if root is None:
        warning("the network root is the proof's own word: compare it, or name it with --genesis-root")


def _proven(shown: ProvenTransaction) -> dict[str, Any]:
    state = shown.state
    return {
        "network_root": hexed(shown.genesis_root),
        "tx_id": hexed(shown.tx_id),
        "sender": hexed(shown.sender),
        "nonce": shown.nonce,
        "scheme": shown.scheme,
        "members": shown.members,
        "threshold": shown.threshold,
        "height": shown.height,
        "timestamp_ms": shown.timestamp_ms,
        "commitment_root": hexed(shown.commitment_root),
        "position": shown.position,
        "count": shown.count,
        "sequence": shown.sequence,
        "opened_by": shown.opened_by,
        "payload": None if shown.payload is None else hexed(shown.payload),
        "plaintext_root": hexed(shown.plaintext_root),
        "outcomes": [outcome.text for outcome in shown.outcomes],
        "success": shown.success or None,
        "state": None
        if state is None
        else {
            "height": state.height,
            "executed_height": state.executed_height,
            "state_root": hexed(state.state_root),
            "nonce": state.nonce,
            "balance_wei": str(state.balance),
        },
    }


def _proof_lines(shown: ProvenTransaction) -> list[tuple[str, str]]:
    state = shown.state
    after = (
        f"nonce {state.nonce}, {ETHER(state.balance)} after height {state.executed_height}, "
        f"by the commitment of height {state.height}"
        if state
        else "not shown: no later commitment is in the proof"
    )
    return [
        ("verdict", "[bold green]valid[/]"),
        ("network root", hexed(shown.genesis_root)),
        ("transaction", hexed(shown.tx_id)),
        ("sender", f"{hexed(shown.sender)}, nonce {shown.nonce}"),
        ("received as", "not received: forced in" if shown.sequence is None else f"number {shown.sequence}"),
        ("inclusion", f"height {shown.height}, position {shown.position} of {shown.count}"),
        ("fixed by", f"{shown.threshold} of {shown.members} members, before anything was opened"),
        ("content", _content(shown)),
        ("reveal", f"{SHOWN_BY[shown.opened_by]} ({shown.scheme})"),
        ("outcome", _outcome(shown)),
        ("sender's account", after),
    ]


def _content(shown: ProvenTransaction) -> str:
    from encmempool.errors import Malformed
    from encmempool.ethereum import decode_signed

    if shown.payload is None:
        return "not shown"
    try:
        inner = decode_signed(shown.payload)
    except Malformed:
        return f"{len(shown.payload)} bytes that are no transaction"
    data = f", {len(inner.data)} bytes of calldata" if inner.data else ""
    return f"{ETHER(inner.value)} to {hexed(inner.to)}{data}"


def _outcome(shown: ProvenTransaction) -> str:
    """What is possible by what the proof shows."""
    names = [outcome.text for outcome in shown.outcomes]
    if not names:
        return "not shown"
    if shown.success:
        return "executed, and succeeded: its sender has less by more than it may be charged"
    said = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}: a proof does not tell which"
    return f"{said} (success or revert is not shown)" if names == ["executed"] else said


def _verify_history(data: bytes) -> None:
    from encmempool.audit import verify

    with progress("verifying"):
        report = verify(data, backend=settings().backend)
    fields = {
        "valid": True,
        "kind": "history",
        "network_root": hexed(report.genesis_root),
        "state_root": hexed(report.state_root),
        "heights": report.heights,
        "executed_height": report.executed_height,
        "transactions": report.transactions,
        "pending": report.pending,
        "records": report.records,
        "outcomes": report.outcomes,
        "wrong_shares": [{"height": height, "member": member} for height, member in report.wrong_shares],
        "conflicts": [{"height": height, "member": member} for height, member in report.conflicts],
        "dropped": list(report.dropped),
    }
    if not print_json("audit-verify", fields):
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in report.outcomes.items()) or "none"
        print_rich(
            facts(
                [
                    ("verdict", "[bold green]valid[/]"),
                    ("network root", hexed(report.genesis_root)),
                    ("state root", hexed(report.state_root)),
                    ("heights", _heights(report)),
                    ("transactions", f"{report.transactions} committed, {report.pending} waiting"),
                    ("outcomes", outcomes),
                    ("records", f"{report.records}, all recomputed"),
                ]
            )
        )
    for height, member in report.wrong_shares:
        warning(f"member {member} signed a wrong share at height {height}; the batch was opened without it")
    for height, member in report.conflicts:
        warning(f"member {member} signed both a share and an abstention at height {height}")


def _heights(report: AuditReport) -> str:
    dropped = f", {len(report.dropped)} of them dropped" if report.dropped else ""
    return f"{report.heights}, executed up to {report.executed_height}{dropped}"


def _check_output(output: str) -> None:
    if output == STDIN and settings().json:
        raise click.UsageError("`-o -` and --json both want standard output", click.get_current_context())


def _check_free(output: str, force: bool) -> None:
    if output != STDIN and not force and Path(output).exists():
        raise ValueError(f"{output} exists already: choose another name, or say --force")


def _put(output: str, data: bytes) -> None:
    if output == STDIN:
        sys.stdout.buffer.write(data)
    else:
        _write(Path(output), data)


def _write(path: Path, data: bytes) -> None:
    """Never half a file under its name."""
    partial = path.with_name(path.name + ".partial")
    try:
        try:
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
