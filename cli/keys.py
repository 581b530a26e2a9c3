"""`key`: accounts of users, as Ethereum keystores in the home."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cli.application import Group, next_step, note
from cli.io import (
    PASSWORD_FILE,
    generated_password,
    heading,
    hexed,
    open_home,
    open_network,
    print_json,
    print_rich,
    read_password_file,
    table,
)

if TYPE_CHECKING:
    from rich.table import Table

    from cli.amounts import Asset
    from encmempool.home import Home, Password
    from encmempool.network.local import LocalNetwork


@click.group(cls=Group)
def key() -> None:
    """Make and list accounts.

    \b
    Example:
      encmempool key new alice
    """


@key.command()
@click.argument("name")
@PASSWORD_FILE
def new(name: str, password_file: str | None) -> None:
    """Make an account and print its address.

    Before `committee create`: the network then starts with ether and tokens in it. The keystore has mode 0600.

    \b
    Examples:
      encmempool key new alice
      encmempool key new bob --password-file bob.password
    """
    from encmempool.home import DEVELOPMENT_ACCOUNTS

    if name in {f"dev-{at}" for at in range(DEVELOPMENT_ACCOUNTS)}:
        raise ValueError(
            f"{name} is reserved: dev-0 … dev-{DEVELOPMENT_ACCOUNTS - 1} are the public development keys; "
            "choose another name"
        )
    home = open_home()
    with home.locked():
        password, source = _new_password(home, password_file)
        address = home.create_account(name, password)
    path = home.path / "accounts" / f"{name}.json"
    fields = {"name": name, "address": hexed(address), "path": str(path), "password_source": source}
    if not print_json("key-new", fields):
        click.echo(hexed(address))
    opened = f"this home's generated password ({home.path / 'password'})" if source == "generated" else "your password"
    note(f"account {name!r} is in {path}, opened by {opened}")
    if home.exists:
        next_step(
            f'encmempool tx sign --key dev-0 --to {hexed(address)} --value "10 ETH"', "the account is empty; fund:"
        )
    else:
        next_step("encmempool committee create")


@key.command()
@click.argument("name", required=False)
def show(name: str | None) -> None:
    """List accounts with addresses and balances, never secrets.

    \b
    Examples:
      encmempool key show
      encmempool key show alice --json
    """
    from encmempool.home import DEVELOPMENT_LABEL

    home = open_home()
    names = home.account_names() if name is None else (name,)
    addresses = {each: home.account_address(each) for each in names}
    network = open_network(home) if home.exists else None
    assets = _assets(network)
    rows: list[dict[str, Any]] = [
        {
            "name": each,
            "address": hexed(address),
            "development": home.account_label(each) == DEVELOPMENT_LABEL,
            "nonce": network.follower.latest.nonce(address) if network else None,
            "balances": _balances(network, address, assets),
        }
        for each, address in addresses.items()
    ]
    if print_json("key-show", {"home": str(home.path), "network": network is not None, "keys": rows}):
        return
    if not rows:
        note(f"no accounts in {home.path}")
        next_step("encmempool key new alice")
        return
    own = [row for row in rows if not row["development"]]
    development = [row for row in rows if row["development"]]
    if own:
        print_rich(_listing(own, assets))
    if development:
        print_rich("", heading(f"{DEVELOPMENT_LABEL}:", "yellow"), _listing(development, assets))
    if network is None:
        next_step("encmempool committee create", "no network yet; next:")


def _listing(rows: list[dict[str, Any]], assets: dict[str, Asset]) -> Table:
    from cli.amounts import shown

    listing = table("name", "address", *assets, right=assets)
    for row in rows:
        amounts = [shown(int(row["balances"][symbol]), asset.decimals, places=4) for symbol, asset in assets.items()]
        listing.add_row(row["name"], row["address"], *amounts)
    return listing


def _new_password(home: Home, password_file: str | None) -> tuple[Password, str]:
    """For a new keystore, and whether it is given or generated."""
    from encmempool.home import Password

    given = read_password_file(password_file)
    if given is not None:
        return given, "given"
    generated = home.generated_password()
    if generated is None and sys.stdin.isatty():
        text = click.prompt(
            "Password for the account (empty: generate one for this home)",
            hide_input=True,
            default="",
            show_default=False,
            err=True,
        )
        if text and text != click.prompt("Once more", hide_input=True, err=True):
            raise click.UsageError("the two passwords differ: nothing was made", click.get_current_context())
        if text:
            return Password(text.encode(), generated=False), "given"
    return generated or generated_password(home), "generated"


def _assets(network: LocalNetwork | None) -> dict[str, Asset]:
    """What a listing has columns for."""
    from cli.amounts import assets

    return {} if network is None else {s: a for s, a in assets(network.committee.genesis).items() if s != "WETH"}


def _balances(network: LocalNetwork | None, address: bytes, assets: dict[str, Asset]) -> dict[str, Any]:
    if network is None:
        return {}
    ledger = network.follower.ledger
    return {
        symbol: str(ledger.balance(address) if asset.address is None else ledger.token_balance(asset.address, address))
        for symbol, asset in assets.items()
    }
