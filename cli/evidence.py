"""`evidence`: take misbehaviour out of a node, and judge it anywhere."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.application import Group, next_step, note, settings
from cli.io import FILE, facts, hexed, open_home, open_remote, print_json, print_rich, read_bytes, read_object, table

if TYPE_CHECKING:
    from encmempool.evidence import Finding
    from encmempool.keysets import Committee


@click.group(cls=Group)
def evidence() -> None:
    """Misbehaviour as files that anybody can judge.

    \b
    Example:
      encmempool evidence verify evidence.hex
    """


@evidence.command()
@FILE
@click.option("--genesis", metavar="FILE", help="The network's genesis.json, instead of a home or node.")
@click.option(
    "--key-set", "key_sets", metavar="FILE", multiple=True, help="With --genesis: the signed key sets, in their order."
)
@click.option(
    "--parameters", metavar="FILE", multiple=True, help="With --genesis: public parameters of keys that have some."
)
@click.option("--history", metavar="FILE", help="The network as an exported history states it.")
def verify(
    file: str, genesis: str | None, key_sets: tuple[str, ...], parameters: tuple[str, ...], history: str | None
) -> None:
    """Say who misbehaved, and which rule was broken.

    FILE holds one piece of evidence, as hex or binary. Nothing else is needed but the network's genesis and key sets,
    which are checked: from the home, from the node behind --node, from files, or from a history. Exit code 1 says that
    nobody is convicted, and why.

    \b
    Examples:
      encmempool evidence verify evidence.hex
      encmempool evidence verify evidence.hex --genesis genesis.json --key-set key-set.ssz
    """
    from encmempool.evidence import Evidence, examine

    if bool(genesis) != bool(key_sets) or (genesis and history):
        raise click.UsageError(
            "name the network by --genesis and --key-set, or by --history alone", click.get_current_context()
        )
    data = read_object(file, "evidence")
    committees = _registry(genesis, key_sets, parameters, history)
    finding = examine(Evidence.decode(data), committees)
    fields = {
        "kind": finding.kind.text,
        "rule": finding.rule,
        "role": finding.role,
        "offender": hexed(finding.offender),
        "member": finding.member,
        "height": finding.height,
        "size_bytes": len(data),
        "network_root": hexed(committees[0].genesis.root),
    }
    if not print_json("evidence-verify", fields):
        print_rich(
            facts(
                [
                    ("offender", f"{finding.role} {hexed(finding.offender)}"),
                    *([("member", str(finding.member))] if finding.member else []),
                    ("rule", f"{finding.rule}, by {finding.kind.text.replace('_', ' ')}"),
                    (_place(finding), str(finding.height)),
                    ("network root", hexed(committees[0].genesis.root)),
                ]
            )
        )


@evidence.command()
@click.option("-o", "--output", metavar="DIR", required=True, help="Where to write one file for each piece.")
def fetch(output: str) -> None:
    """Take all evidence that the node behind --node can show, judging each piece.

    \b
    Example:
      encmempool evidence fetch --node http://127.0.0.1:8700 -o evidence
    """
    from encmempool.evidence import examine
    from encmempool.network.remote import RemoteNetwork

    network: RemoteNetwork = open_remote(open_home())
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for piece in network.call("evidence").evidence:
        finding = examine(piece, network.committees)
        path = folder / f"{finding.kind.text}-{finding.height}-{finding.offender.hex()[:8]}.hex"
        path.write_text(hexed(piece.encoded) + "\n")
        found.append((path, finding, len(piece.encoded)))
    fields = {
        "evidence": [
            {
                "file": str(path),
                "kind": finding.kind.text,
                "rule": finding.rule,
                "role": finding.role,
                "offender": hexed(finding.offender),
                "member": finding.member,
                "height": finding.height,
                "size_bytes": size,
            }
            for path, finding, size in found
        ]
    }
    if print_json("evidence-fetch", fields):
        return
    if not found:
        note("this node can show no misbehaviour")
        return
    listing = table("file", "rule", "offender", "at", "bytes", right=("at", "bytes"))
    for path, finding, size in found:
        who = f"member {finding.member}" if finding.member else finding.role
        listing.add_row(str(path), finding.rule, who, str(finding.height), f"{size:,}")
    print_rich(listing)
    next_step(f"encmempool evidence verify {shlex.quote(str(found[0][0]))}")


def _place(finding: Finding) -> str:
    from encmempool.evidence import EvidenceKind

    return "sequence" if finding.kind is EvidenceKind.CONFLICTING_RECEIPTS else "height"


def _registry(
    genesis: str | None, key_sets: Sequence[str], parameters: Sequence[str], history: str | None
) -> Sequence[Committee]:
    """The network's checked key sets, from wherever they were named."""
    from encmempool import audit, genesis as genesis_file
    from encmempool.keysets import load_registry
    from encmempool.network.local import load_committees
    from encmempool.types import SignedKeySet
    from threshold.keys import parameter_digest

    backend = settings().backend
    if genesis is not None:
        signed = [SignedKeySet.decode(read_object(file, "a key set")) for file in key_sets]
        known = {parameter_digest(data): data for data in map(read_bytes, parameters)}
        stated = genesis_file.read(Path(genesis))
        return load_registry(stated, signed, lambda of: known.get(of.parameter_digest, b""), backend=backend)
    if history is not None:
        return audit.registry(read_bytes(history), backend=backend)
    home = open_home()
    if settings().node is not None:
        return open_remote(home).committees
    return load_committees(home, backend=backend)
