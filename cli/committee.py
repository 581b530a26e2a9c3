"""`committee`: make a network, look at its key set, reveal what was committed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from cli.amounts import ETHER, Asset, assets
from cli.application import Group, next_step, note, progress, settings, warning
from cli.io import (
    NEXT_COMMIT,
    NEXT_SUBMIT,
    PASSWORD_FILE,
    facts,
    generated_password,
    heading,
    hexed,
    open_home,
    open_network,
    print_json,
    print_rich,
    read_password_file,
    short,
    table,
    warn_of,
)
from threshold.schemes.registry import SCHEMES

if TYPE_CHECKING:
    from encmempool.execution.ledger import ExecutionReceipt
    from encmempool.home import Home
    from encmempool.keysets import Committee
    from encmempool.reveal import Executed, OpenedEntry
    from encmempool.types import Genesis

DEFAULT_MEMBERS = 4
MAX_MEMBERS = 1024
POLICIES = ("arrival", "priority_fee", "shuffle")
SHOWN_ROWS = 20


@click.group(cls=Group)
def committee() -> None:
    """Make a network and play its decryption committee.

    \b
    Example:
      encmempool committee create --members 4
    """


@committee.command()
@click.option(
    "--members",
    type=click.IntRange(1, MAX_MEMBERS),
    default=DEFAULT_MEMBERS,
    show_default=True,
    help="Committee size n.",
)
@click.option("--threshold", type=int, help="Members needed to open a batch.  [default: floor(2n/3) + 1]")
@click.option(
    "--scheme", type=click.Choice(SCHEMES), default="tdh2", show_default=True, help="See `encmempool schemes`."
)
@click.option(
    "--order", type=click.Choice(POLICIES), default="arrival", show_default=True, help="How batches are ordered."
)
@click.option("--reduced-threshold", is_flag=True, help="Allow a threshold below the default, for experiments.")
@PASSWORD_FILE
def create(
    members: int, threshold: int | None, scheme: str, order: str, reduced_threshold: bool, password_file: str | None
) -> None:
    """Generate a committee's key and start a development network.

    Runs the distributed key generation, makes ten development accounts with PUBLICLY KNOWN keys, and gives ether and
    tokens to them and to every account in the home.

    \b
    Examples:
      encmempool committee create
      encmempool committee create --members 7 --order shuffle
    """
    from encmempool.keysets import default_threshold
    from encmempool.network.ceremony import check_committee
    from encmempool.network.local import Plan, create_network
    from encmempool.ordering import Policy
    from threshold import entropy
    from threshold.schemes.registry import load_scheme

    home, loaded = open_home(), load_scheme(scheme, settings().backend)
    needed = default_threshold(members) if threshold is None else threshold
    check_committee(loaded, members, needed, reduced_allowed=reduced_threshold)
    if home.exists or home.has_roles:
        raise ValueError(f"there is a network in {home.path} already: choose another --home, or remove it")
    with home.locked(), progress(f"{members} members generate a key"):
        password = read_password_file(password_file) or generated_password(home)
        development = home.create_development_accounts(password)
        own = [name for name in home.account_names() if home.account_address(name) not in development]
        made = create_network(
            home,
            Plan(
                members=members,
                threshold=needed,
                policy=Policy.named(order),
                funded=(*development, *map(home.account_address, own)),
                reduced_threshold=reduced_threshold,
            ),
            loaded,
            password,
            random=entropy.system,
            backend=settings().backend,
        )
    warn_of(made.key_set, hides=loaded.info.hides)
    funded = [*own, *(name for name in home.account_names() if name not in own)]
    if not print_json("committee-create", {**_key_set_fields(made), "home": str(home.path), "funded": funded}):
        print_rich(facts(_key_set_lines(made)))
    people = f"{', '.join(own)} and ten" if own else "ten"
    note(f"{people} DEVELOPMENT accounts dev-0 … dev-9, whose keys are PUBLICLY KNOWN, hold 10,000 ETH each")
    next_step(f'encmempool tx sign --key {own[0] if own else "dev-0"} --sell "1.5 ETH" > tx.hex')


@committee.command()
def show() -> None:
    """The key set: its key, members, setup and signatures.

    \b
    Example:
      encmempool committee show
    """
    from encmempool.identity import recover_signer
    from encmempool.keysets import NO_END, Committee

    home = open_home()
    loaded = Committee.load(home.genesis(), home.key_set(), backend=settings().backend)
    key_set = loaded.key_set
    warn_of(key_set, hides=loaded.scheme.info.hides)
    signers = {recover_signer(key_set, signature, loaded.genesis.root) for signature in loaded.signed.signatures}
    valid_until = None if key_set.valid_until == NO_END else key_set.valid_until
    members = [
        {
            "index": index,
            "address": hexed(address),
            "verification_key": hexed(verification_key),
            "signed": address in signers,
        }
        for index, (address, verification_key) in enumerate(
            zip(key_set.members, key_set.verification_keys, strict=True), 1
        )
    ]
    fields = {
        **_key_set_fields(loaded),
        "epoch": key_set.epoch,
        "start_height": key_set.start_height,
        "valid_until": valid_until,
        "batch_limit": key_set.batch_limit,
        "sequencer": hexed(key_set.sequencer),
        "encryption_key": hexed(key_set.encryption_key),
        "member_list": members,
        "key_set": hexed(loaded.signed.encoded),
    }
    if print_json("committee-show", fields):
        return
    until = "without end" if valid_until is None else f"to {valid_until}"
    listing = table("member", "address", "verification key", "signed", right=("member",))
    for address, verification_key, member in zip(key_set.members, key_set.verification_keys, members, strict=True):
        mark = "[green]yes[/]" if member["signed"] else "[red]no[/]"
        listing.add_row(str(member["index"]), hexed(address), short(verification_key), mark)
    print_rich(
        facts(
            [
                *_key_set_lines(loaded),
                ("epoch", f"{key_set.epoch}, from height {key_set.start_height} {until}"),
                ("sequencer", hexed(key_set.sequencer)),
                ("batch limit", f"{key_set.batch_limit:,} transactions"),
                ("signatures", f"{len(signers)} of {key_set.n} members, {key_set.t} are needed"),
            ]
        ),
        "",
        listing,
    )


@committee.command()
@PASSWORD_FILE
def reveal(password_file: str | None) -> None:
    """Open and execute every commitment that is not yet.

    Every member checks the commitment and votes; on enough votes each releases one share; the batch is decrypted and
    executed in the committed order.

    \b
    Example:
      encmempool committee reveal
    """
    home = open_home()
    with home.locked():
        network = open_network(home, password_file=password_file)
        with progress("members check, vote and release shares"):
            executed = network.reveal()
        pending = network.sequencer.pending
    for index, reason in network.absent.items():
        warning(f"member {index} takes no part: {reason}")
    heights = [_height_fields(height) for height in executed]
    if not print_json("committee-reveal", {"heights": heights}):
        for at, height in enumerate(executed):
            print_rich(*([""] if at else []), *_height_table(height, network.committee.genesis, _names(home)))
    if not executed:
        note("nothing to reveal: every commitment is executed")
        if pending:
            next_step(NEXT_COMMIT, f"{pending} waiting; next:")
        else:
            next_step(NEXT_SUBMIT, "nothing is waiting either; next:")
        return
    last = executed[-1]
    note(f"executed up to height {last.state.height}, state root {hexed(last.state.root)}")
    ids = last.ready.proposal.transactions
    next_step(f"encmempool status {hexed(ids[0].tx_id)}" if ids else "encmempool audit export -o history.bin")


# --- what is shown ---------------------------------------------------------------------------------------------------


def _setup_text(kind: int) -> str:
    from encmempool.keysets import DISTRIBUTED, TRUSTED_DEALER

    return {DISTRIBUTED: "distributed key generation", TRUSTED_DEALER: "TRUSTED DEALER"}.get(kind, f"unknown ({kind})")


def _key_set_fields(loaded: Committee) -> dict[str, Any]:
    from encmempool.ordering import Policy

    key_set = loaded.key_set
    return {
        "network_root": hexed(loaded.genesis.root),
        "committee_id": hexed(loaded.committee_id),
        "key_id": hexed(key_set.key_id),
        "scheme": loaded.scheme.info.name,
        "members": key_set.n,
        "threshold": key_set.t,
        "reduced_threshold": bool(key_set.reduced_threshold),
        "setup": _setup_text(key_set.setup_kind),
        "setup_privacy": key_set.setup_privacy,
        "order": Policy(key_set.policy_id).name.lower(),
    }


def _key_set_lines(loaded: Committee) -> list[tuple[str, str]]:
    fields = _key_set_fields(loaded)
    info, key_set = loaded.scheme.info, loaded.key_set
    kept = f", secret unless {key_set.setup_privacy} members collude" if key_set.setup_privacy else ""
    reduced = " (reduced: for experiments only)" if key_set.reduced_threshold else ""
    return [
        ("network root", fields["network_root"]),
        ("committee id", fields["committee_id"]),
        ("key id", fields["key_id"]),
        ("members", f"{key_set.n}, of whom {key_set.t} open a batch{reduced}"),
        ("scheme", f"{info.name}, {info.title}"),
        ("setup", f"{fields['setup']}{kept}"),
        ("order", fields["order"]),
    ]


def _height_fields(executed: Executed) -> dict[str, Any]:
    commitment = executed.ready.commitment
    return {
        "height": commitment.height,
        "commitment_root": hexed(commitment.root),
        "state_root": hexed(executed.state.root),
        "votes": len(executed.certificate.signatures) if executed.certificate else 0,
        "transactions": [
            {
                "position": position,
                "tx_id": hexed(transaction.tx_id),
                "sender": hexed(transaction.header.sender),
                "nonce": transaction.header.nonce,
                "outcome": receipt.code,
                "success": receipt.success,
                "reason": receipt.reason,
                "gas_used": receipt.gas_used,
                "fee_wei": str(receipt.fee),
                "amount_in": str(receipt.amount_in),
                "amount_out": str(receipt.amount_out),
            }
            for position, (transaction, receipt) in enumerate(
                zip(executed.ready.proposal.transactions, executed.receipts, strict=True)
            )
        ],
    }


def _names(home: Home) -> dict[bytes, str]:
    return {home.account_address(name): name for name in home.account_names()}


def _height_table(executed: Executed, genesis: Genesis, names: dict[bytes, str]) -> tuple[Any, ...]:
    commitment = executed.ready.commitment
    votes = len(executed.certificate.signatures) if executed.certificate else 0
    counts = Counter(receipt.code for receipt in executed.receipts)
    summary = ", ".join(f"{count} {code}" for code, count in sorted(counts.items())) or "an empty batch"
    listing = table("#", "transaction", "sender", "outcome", "what it did", right=("#",), wrap=("what it did",))
    title = heading(f"Height {commitment.height}: {summary}; {votes} votes")
    if not executed.receipts:
        return (title,)
    known = assets(genesis)
    rows = zip(executed.ready.proposal.transactions, executed.opened, executed.receipts, strict=True)
    for position, (transaction, opened, receipt) in enumerate(rows):
        if position == SHOWN_ROWS:
            return (title, listing, f"[dim]and {len(executed.receipts) - SHOWN_ROWS} more: --json lists them all[/]")
        color = "green" if receipt.success else "red"
        listing.add_row(
            str(position),
            short(transaction.tx_id),
            names.get(transaction.header.sender, short(transaction.header.sender)),
            f"[{color}]{receipt.code}[/]",
            _deed(opened, receipt, genesis, known, names),
        )
    return (title, listing)


def _deed(
    opened: OpenedEntry,
    receipt: ExecutionReceipt,
    genesis: Genesis,
    known: dict[str, Asset],
    names: dict[bytes, str],
) -> str:
    from encmempool.execution.ledger import Failure
    from encmempool.execution.router import SwapKind, decode

    content = opened.content
    if isinstance(content, Failure):
        return "not run: its gas limit is charged"
    if not receipt.success:
        return f"failed: {receipt.reason}"
    if content.to != genesis.router:
        return f"sent {ETHER(content.value)} to {names.get(content.to, short(content.to))}"
    swap = decode(content.data, content.value)
    by_address = {asset.address: asset for asset in known.values()}
    sold = known["ETH"] if swap.kind is SwapKind.EXACT_ETH_FOR_TOKENS else by_address.get(swap.path[0])
    bought = known["ETH"] if swap.kind is SwapKind.EXACT_TOKENS_FOR_ETH else by_address.get(swap.path[-1])
    if sold is None or bought is None:
        return "swapped"
    return f"swapped {sold(receipt.amount_in)} for {bought(receipt.amount_out)}"
