"""`committee`: make a network, look at its key set, reveal what was committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cli.amounts import ETHER, Asset, assets
from cli.application import WRONG, Group, next_step, note, progress, settings, warning
from cli.io import (
    NEXT_COMMIT,
    NEXT_SUBMIT,
    PASSWORD_FILE,
    facts,
    generated_password,
    heading,
    hexed,
    network_password,
    open_account,
    open_home,
    open_network,
    peer_tls,
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
    from encmempool.network.local import Plan
    from encmempool.reveal import Executed, OpenedEntry
    from encmempool.types import Genesis
    from threshold.schemes.base import Scheme

DEFAULT_MEMBERS = 4
MAX_MEMBERS = 1024
OVERLAP_HELP = "Heights for which the key in use goes on.  [default: as many as a receipt may take, 16]"
BATCH_LIMIT_HELP = "The largest batch.  [default: 4096, or 128 where the key grows with it]"
ROUNDS_HELP = "Batches the key can open, for schemes that limit them.  [default: 64]"
POLICIES = ("arrival", "priority_fee", "shuffle")
SHOWN_ROWS = 20


def node_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Addresses of separate nodes, and who orders."""
    options = [
        click.option("--sequencer-url", metavar="URL", help="A sequencer that runs as a node of its own."),
        click.option(
            "--member-url",
            "member_urls",
            metavar="URL",
            multiple=True,
            help="A member's node; once for each, in order.",
        ),
        click.option("--auditor-url", "auditor_urls", metavar="URL", multiple=True, help="Another node to tell."),
        click.option("--operator", metavar="NAME", help="The account that orders nodes to make a key."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


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
    help=f"Committee size n.  [default: {DEFAULT_MEMBERS}, or the number of addresses]",
)
@click.option("--threshold", type=int, help="Members needed to open a batch.  [default: floor(2n/3) + 1]")
@click.option(
    "--scheme", type=click.Choice(SCHEMES), default="tdh2", show_default=True, help="See `encmempool schemes`."
)
@click.option(
    "--order", type=click.Choice(POLICIES), default="arrival", show_default=True, help="How batches are ordered."
)
@click.option("--batch-limit", type=click.IntRange(1, 4096), help=BATCH_LIMIT_HELP)
@click.option("--rounds", type=click.IntRange(1, 100_000), help=ROUNDS_HELP)
@click.option("--trusted-dealer", is_flag=True, help="One process makes the key and could open all: for experiments.")
@click.option("--reduced-threshold", is_flag=True, help="Allow a threshold below the default, for experiments.")
@node_options
@PASSWORD_FILE
def create(
    members: int | None,
    threshold: int | None,
    scheme: str,
    order: str,
    batch_limit: int | None,
    rounds: int | None,
    trusted_dealer: bool,
    reduced_threshold: bool,
    sequencer_url: str | None,
    member_urls: tuple[str, ...],
    auditor_urls: tuple[str, ...],
    operator: str | None,
    password_file: str | None,
) -> None:
    """Generate a committee's key and start a development network.

    Runs the scheme's key ceremony, makes ten development accounts with PUBLICLY KNOWN keys, and gives ether and
    tokens to them and to every account in the home. With addresses of running nodes the members make the key among
    themselves, on the order of an operator that their configuration lists.

    \b
    Examples:
      encmempool committee create
      encmempool committee create --members 7 --order shuffle
      encmempool committee create --scheme fptx --batch-limit 32 --rounds 100
      encmempool committee create --operator ops --sequencer-url https://s.example \\
        --member-url https://m1.example --member-url https://m2.example
    """
    from encmempool.keysets import default_threshold
    from encmempool.network.ceremony import check_committee
    from encmempool.network.local import Plan, create_network
    from encmempool.ordering import Policy
    from threshold import entropy
    from threshold.schemes.registry import load_scheme

    home, loaded = open_home(), load_scheme(scheme, settings().backend)
    if member_urls:
        members = _number_of(member_urls, members)
    members = members or DEFAULT_MEMBERS
    needed = default_threshold(members) if threshold is None else threshold
    check_committee(loaded, members, needed, reduced_allowed=reduced_threshold)
    if home.exists or home.has_roles:
        raise ValueError(f"there is a network in {home.path} already: choose another --home, or remove it")
    with home.locked(), progress(f"{members} members generate a key") as say:
        password = read_password_file(password_file) or generated_password(home)
        development = home.create_development_accounts(password)
        own = [name for name in home.account_names() if home.account_address(name) not in development]
        plan = Plan(
            members=members,
            threshold=needed,
            policy=Policy.named(order),
            batch_limit=batch_limit,
            rounds=rounds,
            trusted_dealer=trusted_dealer,
            funded=(*development, *map(home.account_address, own)),
            reduced_threshold=reduced_threshold,
        )
        absent: dict[str, str] = {}
        if member_urls:
            made, absent = _create_among_nodes(
                home, plan, loaded, sequencer_url, member_urls, auditor_urls, operator, password_file, say
            )
        else:
            made = create_network(home, plan, loaded, password, random=entropy.system, backend=settings().backend)
    for url, reason in absent.items():
        warning(f"{url} took no part: {reason}")
    warn_of(made.key_set, hides=loaded.info.hides)
    funded = [*own, *(name for name in home.account_names() if name not in own)]
    if not print_json("committee-create", {**_key_set_fields(made), "home": str(home.path), "funded": funded}):
        print_rich(facts(_key_set_lines(made)))
    people = f"{', '.join(own)} and ten" if own else "ten"
    note(f"{people} DEVELOPMENT accounts dev-0 … dev-9, whose keys are PUBLICLY KNOWN, hold 10,000 ETH each")
    next_step(f'encmempool tx sign --key {own[0] if own else "dev-0"} --sell "1.5 ETH" > tx.hex')


def _number_of(member_urls: tuple[str, ...], members: int | None) -> int:
    if members not in (None, len(member_urls)):
        raise ValueError(f"--members {members} and {len(member_urls)} addresses of members: leave --members away")
    return len(member_urls)


def _create_among_nodes(
    home: Home,
    plan: Plan,
    scheme: Scheme,
    sequencer_url: str | None,
    member_urls: tuple[str, ...],
    auditor_urls: tuple[str, ...],
    operator: str | None,
    password_file: str | None,
    say: Callable[[str], None],
) -> tuple[Committee, dict[str, str]]:
    """The key ceremony among separate nodes; the network's public files and addresses go into the home."""
    from encmempool.network.coordination import Sites, create as make
    from encmempool.network.remote import Pins

    if sequencer_url is None or operator is None:
        raise ValueError("name the sequencer with --sequencer-url and the account that orders this with --operator")
    if plan.trusted_dealer:
        raise ValueError("separate nodes have no dealer: leave --trusted-dealer away")
    signer = open_account(home, operator, password_file)
    with Sites(sequencer_url, member_urls, auditor_urls, tls=peer_tls()) as sites:
        made = make(sites, plan, scheme, signer, home, progress=say)
    for url in (sequencer_url, *member_urls, *auditor_urls):
        Pins(home).pin(url, made.committee.genesis.root)
    return made.committee, made.absent


@committee.command()
def show() -> None:
    """The key set: its key, members, setup and signatures.

    \b
    Example:
      encmempool committee show
    """
    from encmempool.identity import recover_signer
    from encmempool.keysets import NO_END, signatures_needed
    from encmempool.network.local import LocalNetwork

    home = open_home()
    network = LocalNetwork(home, backend=settings().backend)
    committees = network.committees
    loaded = committees[-1]
    key_set = loaded.key_set
    signing = committees[-2].key_set if len(committees) > 1 else key_set
    of_whom = "of the committee before" if len(committees) > 1 else f"of {key_set.n} members"
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
        "rounds": key_set.rounds or None,
        "rounds_left": network.sequencer.rounds_left if loaded is network.committee else key_set.rounds or None,
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
                *([("rounds", f"{fields['rounds_left']:,} of {key_set.rounds:,} left")] if key_set.rounds else []),
                ("signatures", f"{len(signers)} {of_whom}, {signatures_needed(signing)} are needed"),
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
    from encmempool.network.rotation import retire

    home = open_home()
    with home.locked():
        network = open_network(home, password_file=password_file)
        with progress("members check, vote and release shares"):
            executed = network.reveal()
            retire(network)
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


@committee.command()
@click.option("--remove", type=click.IntRange(1), multiple=True, metavar="MEMBER", help="Index of one who leaves.")
@click.option("--add", type=click.IntRange(0, MAX_MEMBERS), default=0, help="How many members join.")
@click.option("--threshold", type=int, help="Members needed to open a batch.  [default: floor(2n/3) + 1]")
@click.option("--new-key", is_flag=True, help="Make another key instead of sharing the same one anew.")
@click.option("--scheme", type=click.Choice(SCHEMES), help="Scheme of the new key.  [default: the present one]")
@click.option("--overlap", type=click.IntRange(0, 10_000), help=OVERLAP_HELP)
@click.option("--batch-limit", type=click.IntRange(1, 4096), help=BATCH_LIMIT_HELP)
@click.option("--rounds", type=click.IntRange(1, 100_000), help=ROUNDS_HELP)
@click.option("--reduced-threshold", is_flag=True, help="Allow a threshold below the default, for experiments.")
@node_options
@PASSWORD_FILE
def rotate(
    remove: tuple[int, ...],
    add: int,
    threshold: int | None,
    new_key: bool,
    scheme: str | None,
    overlap: int | None,
    batch_limit: int | None,
    rounds: int | None,
    reduced_threshold: bool,
    sequencer_url: str | None,
    member_urls: tuple[str, ...],
    auditor_urls: tuple[str, ...],
    operator: str | None,
    password_file: str | None,
) -> None:
    """Hand over to the next committee.

    Reveals what is committed, then shares the same key anew, among the same members or others: the key keeps its
    name, waiting transactions stay valid, and old shares are erased. With --new-key (the only way for simple-bte, and
    for fptx when its rounds are used up) another key takes over after an overlap in which both are known.

    Where the members are separate nodes, they do this among themselves on the order of --operator. --member-url lists
    the members of the next committee if they are others, and --sequencer-url names another sequencer after the present
    one was shown to be dishonest.

    \b
    Examples:
      encmempool committee rotate
      encmempool committee rotate --remove 2 --add 1
      encmempool committee rotate --new-key --scheme simple-bte --overlap 4
      encmempool committee rotate --operator ops
    """
    from encmempool.network.rotation import Change, rotate as hand_over
    from threshold import entropy
    from threshold.schemes.registry import load_scheme

    home = open_home()
    if home.nodes() is not None:
        if remove or add:
            raise ValueError("separate nodes have addresses: list those of the next committee with --member-url")
        _rotate_nodes(
            home,
            sequencer_url=sequencer_url,
            member_urls=member_urls,
            auditor_urls=auditor_urls,
            operator=operator,
            password_file=password_file,
            threshold=threshold,
            reduced_threshold=reduced_threshold,
            scheme=load_scheme(scheme, settings().backend) if scheme else None,
            new_key=new_key,
            overlap=overlap,
            batch_limit=batch_limit,
            rounds=rounds,
        )
        return
    with home.locked():
        network = open_network(home, password_file=password_file)
        before = network.committees[-1]
        unfinished = network.sequencer.announced(before.committee_id) is not None
        change = Change(
            remove=frozenset(remove),
            add=add,
            threshold=threshold,
            reduced_threshold=reduced_threshold,
            new_key=new_key,
            scheme=load_scheme(scheme, settings().backend) if scheme else None,
            overlap=overlap,
            batch_limit=batch_limit,
            rounds=rounds,
        )
        with progress("the committee hands over"):
            made = hand_over(network, change, random=entropy.system)
        erased = len(network.erasures(of=before.committee_id))
        absent = dict(network.absent)
    for index, reason in absent.items():
        warning(f"member {index} took no part: {reason}")
    if unfinished:
        warning("this finished a rotation that had been interrupted; for another change, rotate again")
    key_set = made.key_set
    same_key = key_set.key_id == before.key_set.key_id
    promised = made.genesis.deadlines.include_heights
    if overlap is not None and overlap < promised:
        warning(f"receipts may promise up to {promised} heights: those given so far can be broken by this overlap")
    warn_of(key_set, hides=made.scheme.info.hides)
    fields = {
        **_key_set_fields(made),
        "epoch": key_set.epoch,
        "start_height": key_set.start_height,
        "start_round": key_set.start_round,
        "same_key": same_key,
        "erased_shares": erased,
        "key_set": hexed(made.signed.encoded),
    }
    if print_json("committee-rotate", fields):
        return
    print_rich(facts([*_key_set_lines(made), ("epoch", f"{key_set.epoch}, from height {key_set.start_height}")]))
    if same_key:
        note(
            f"the same key, shared anew; {erased} members erased their old shares. Whoever kept {before.key_set.t} of "
            "them, in a backup say, can still open everything"
        )
    else:
        note(f"another key: the one before it is used up to height {key_set.start_height - 1}")
    next_step("encmempool committee verify")


def _rotate_nodes(
    home: Home,
    *,
    sequencer_url: str | None,
    member_urls: tuple[str, ...],
    auditor_urls: tuple[str, ...],
    operator: str | None,
    password_file: str | None,
    **change: Any,
) -> None:
    """The same among separate nodes."""
    from encmempool.genesis import Nodes
    from encmempool.network.coordination import Handover, Sites, erasures, rotate as hand_over
    from encmempool.network.local import load_committees

    nodes = home.nodes()
    assert nodes is not None
    if operator is None:
        raise ValueError("name the account that orders this with --operator")
    signer = open_account(home, operator, password_file)
    before = load_committees(home, backend=settings().backend)
    next_members = member_urls or nodes.members
    others = tuple(dict.fromkeys((*nodes.others, *auditor_urls, *member_urls)))
    with (
        progress("the committee hands over") as say,
        Sites(
            nodes.sequencer, nodes.members, (*others, *((sequencer_url,) if sequencer_url else ())), tls=peer_tls()
        ) as sites,
    ):
        made = hand_over(
            sites, before, Handover(members=member_urls, sequencer=sequencer_url, **change), signer, progress=say
        )
        erased = erasures(sites, before[-1])
    key_set = made.committee.key_set
    home.write_parameters(key_set.parameter_digest, made.committee.parameters)
    home.write_key_set(made.committee.signed)
    home.write_nodes(
        Nodes(sequencer=sequencer_url or nodes.sequencer, members=tuple(next_members), others=nodes.others)
    )
    for url, reason in made.absent.items():
        warning(f"{url} took no part: {reason}")
    warn_of(key_set, hides=made.committee.scheme.info.hides)
    same_key = key_set.key_id == before[-1].key_set.key_id
    fields = {
        **_key_set_fields(made.committee),
        "epoch": key_set.epoch,
        "start_height": key_set.start_height,
        "start_round": key_set.start_round,
        "same_key": same_key,
        "erased_shares": erased,
        "key_set": hexed(made.committee.signed.encoded),
    }
    if print_json("committee-rotate", fields):
        return
    print_rich(
        facts([*_key_set_lines(made.committee), ("epoch", f"{key_set.epoch}, from height {key_set.start_height}")])
    )
    note(
        "members erase their old shares once its last height is executed, and say so: see GET /v1/heights and the audit"
    )


@committee.command()
@PASSWORD_FILE
def verify(password_file: str | None) -> None:
    """Check the key sets, their public parameters, and every key share that is here.

    \b
    Example:
      encmempool committee verify
    """
    from encmempool.errors import EnvironmentProblem, Malformed
    from encmempool.home import WrongPassword
    from encmempool.network.local import check_share, load_committees

    home = open_home()
    committees = load_committees(home, backend=settings().backend)
    password = network_password(home, password_file)
    epochs: list[dict[str, Any]] = []
    wrong = False
    with progress("checking parameters and shares"):
        for loaded in committees:
            loaded.scheme.verify_parameters(loaded.public_key)
            shares = {}
            for index in range(1, loaded.key_set.n + 1):
                try:
                    shares[str(index)] = check_share(home, loaded, index, password())
                except WrongPassword:
                    raise
                except Malformed as error:
                    shares[str(index)] = f"damaged: {error}"
                except EnvironmentProblem as problem:
                    shares[str(index)] = f"absent: {problem}"
            states = [state.partition(":")[0] for state in shares.values()]
            too_few = "erased" not in states and states.count("good") < loaded.key_set.t
            wrong = wrong or too_few or not {"wrong", "damaged"}.isdisjoint(states)
            epochs.append(
                {
                    "epoch": loaded.key_set.epoch,
                    "start_height": loaded.key_set.start_height,
                    "scheme": loaded.scheme.info.name,
                    "key_id": hexed(loaded.key_set.key_id),
                    "parameters_bytes": len(loaded.parameters),
                    "shares": shares,
                }
            )
    if not print_json("committee-verify", {"ok": not wrong, "epochs": epochs}):
        listing = table("epoch", "from height", "scheme", "parameters", "shares", right=("epoch", "from height"))
        for epoch in epochs:
            states = [f"{index} {state.partition(':')[0]}" for index, state in epoch["shares"].items()]
            size = f"{epoch['parameters_bytes']:,} B verified" if epoch["parameters_bytes"] else "none"
            listing.add_row(str(epoch["epoch"]), str(epoch["start_height"]), epoch["scheme"], size, ", ".join(states))
        print_rich(listing)
    if wrong:
        warning(
            "a share is wrong or damaged, or fewer are good than open a batch: restore them, or rotate the committee"
        )
        click.get_current_context().exit(WRONG)


# --- what is shown ---------------------------------------------------------------------------------------------------


def _setup_text(loaded: Committee) -> str:
    from encmempool.keysets import DISTRIBUTED, TRUSTED_DEALER

    kind = loaded.key_set.setup_kind
    return {DISTRIBUTED: loaded.scheme.info.setup, TRUSTED_DEALER: "TRUSTED DEALER"}.get(kind, f"unknown ({kind})")


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
        "setup": _setup_text(loaded),
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
