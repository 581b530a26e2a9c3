"""The client's verbs: `tx sign`, `encrypt`, `submit`, `status`, `wait`."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import click

from cli.amounts import ETHER, Asset, asset_named, assets, gwei, parse, parse_gwei
from cli.application import WRONG, Command, Group, next_step, note, progress, settings, warning
from cli.io import (
    FILE,
    NEXT_COMMIT,
    NEXT_SUBMIT,
    PASSWORD_FILE,
    facts,
    hex_bytes,
    hexed,
    open_account,
    open_client,
    open_home,
    open_view,
    print_json,
    print_object,
    print_rich,
    read_object,
    refuse_two_readers,
    short,
    source,
    warn_of_network,
)

if TYPE_CHECKING:
    from encmempool.client import Client, Status
    from encmempool.execution.router import Swap
    from encmempool.home import Home
    from encmempool.network.view import Account, NetworkView
    from encmempool.types import Receipt, SignedReceipt

DEFAULT_SLIPPAGE_BPS = 50
DEFAULT_DEADLINE_S = 3600
DEFAULT_PRIORITY_GWEI = "1"
BPS = 10_000
_U64_MAX = (1 << 64) - 1
_TX_ID = re.compile(r"(0x)?[0-9a-fA-F]{64}")


@click.group(cls=Group)
def tx() -> None:
    """Make Ethereum transactions.

    \b
    Example:
      encmempool tx sign --key alice --sell "1.5 ETH" > tx.hex
    """


@tx.command()
@click.option("--key", "key", metavar="NAME", required=True, help="The account that pays and signs.")
@click.option("--sell", metavar="AMOUNT", help='Swap this much on the network\'s pool, such as "1.5 ETH".')
@click.option("--for", "wanted", metavar="SYMBOL", help="What to buy.  [default: ETH for a token, the token for ETH]")
@click.option("--min-out", metavar="AMOUNT", help="Fail if the swap would bring less.")
@click.option(
    "--slippage-bps",
    type=click.IntRange(0, BPS),
    help=f"The same, as hundredths of a percent below the present price.  [default: {DEFAULT_SLIPPAGE_BPS}]",
)
@click.option(
    "--deadline-s", type=click.IntRange(1), help=f"Seconds the swap stays good.  [default: {DEFAULT_DEADLINE_S}]"
)
@click.option("--to", metavar="ADDRESS", help="Send to this address instead of swapping.")
@click.option("--value", metavar="AMOUNT", help='Ether to send with --to, such as "0.1 ETH".')
@click.option("--data", metavar="HEX", help="Calldata to send with --to.")
@click.option("--nonce", type=click.IntRange(0), metavar="N", help="[default: the account's next]")
@click.option("--gas-limit", type=click.IntRange(1), metavar="GAS", help="[default: enough for the call]")
@click.option("--max-fee-gwei", metavar="GWEI", help="Most to pay for a unit of gas.  [default: twice the base fee]")
@click.option(
    "--priority-fee-gwei",
    metavar="GWEI",
    default=DEFAULT_PRIORITY_GWEI,
    show_default=True,
    help="Tip for the sequencer.",
)
@PASSWORD_FILE
def sign(
    key: str,
    sell: str | None,
    wanted: str | None,
    min_out: str | None,
    slippage_bps: int | None,
    deadline_s: int | None,
    to: str | None,
    value: str | None,
    data: str | None,
    nonce: int | None,
    gas_limit: int | None,
    max_fee_gwei: str | None,
    priority_fee_gwei: str,
    password_file: str | None,
) -> None:
    """Sign a swap or a transfer and print the raw transaction.

    This is an ordinary EIP-1559 transaction: whoever sees it can read it. `encrypt` comes next.

    \b
    Examples:
      encmempool tx sign --key alice --sell "1.5 ETH" > tx.hex
      encmempool tx sign --key alice --sell "4000 TKN" --min-out "1.3 ETH"
      encmempool tx sign --key dev-0 --to 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --value "0.1 ETH"
    """
    _require_one_purpose(sell, to, swap_only=(wanted, min_out, slippage_bps, deadline_s), send_only=(value, data))
    from encmempool.ethereum import gas_ladder, intrinsic_gas, keccak256, sign_transaction
    from encmempool.execution import router

    home = open_home()
    view = open_view(home)
    genesis = view.genesis
    sender = home.account_address(key)
    account = view.account(sender)
    if sell is not None:
        swap, terms, description = _swap(view, account, sender, sell, wanted, min_out, slippage_bps, deadline_s)
        recipient, wei, calldata = genesis.router, swap.value, router.encode(swap)
    else:
        assert to is not None
        recipient = hex_bytes(to, "an address", size=20)
        wei = _ether(value or "0 ETH")
        calldata, terms = hex_bytes(data or "", "calldata"), None
        description = f"sends {ETHER(wei)} to {hexed(recipient)}" + (f", {len(calldata)} bytes of data" * bool(data))
    max_fee = 2 * genesis.base_fee if max_fee_gwei is None else parse_gwei(max_fee_gwei)
    priority_fee = parse_gwei(priority_fee_gwei)
    if priority_fee > max_fee:
        raise ValueError(f"the priority fee of {gwei(priority_fee)} exceeds the max fee of {gwei(max_fee)}")
    if max_fee < genesis.base_fee:
        raise ValueError(f"a max fee of {gwei(max_fee)} is below this network's base fee of {gwei(genesis.base_fee)}")
    if gas_limit is None:
        gas_limit = gas_ladder(max(intrinsic_gas(calldata), _gas_of_call(genesis.router, recipient, wei, calldata)))
    else:
        _warn_of_gas(gas_limit, intrinsic_gas(calldata), _gas_of_call(genesis.router, recipient, wei, calldata))
    if nonce is None:
        nonce = account.next_nonce
    if nonce >= _U64_MAX or gas_limit > _U64_MAX:
        raise ValueError(f"--nonce lies below {_U64_MAX} and --gas-limit is at most that")
    _warn_if_short(account, key, wei, gas_limit * max_fee)
    fields = {
        "chain_id": genesis.chain_id,
        "nonce": nonce,
        "gas_limit": gas_limit,
        "max_fee_per_gas_wei": str(max_fee),
        "max_priority_fee_per_gas_wei": str(priority_fee),
    }
    raw = sign_transaction(
        open_account(home, key, password_file).secret_bytes(),
        chain_id=genesis.chain_id,
        nonce=nonce,
        to=recipient,
        value=wei,
        data=calldata,
        gas_limit=gas_limit,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=priority_fee,
    )
    addressed = {"from": hexed(sender), "to": hexed(recipient), "value_wei": str(wei), "data": hexed(calldata)}
    hashed = {"transaction": hexed(raw), "hash": hexed(keccak256(raw))}
    print_object(raw, "tx-sign", hashed | addressed | fields | {"swap": terms})
    note(f"{key} {description}; nonce {nonce}, gas limit {gas_limit:,}, at most {gwei(max_fee)} a unit")
    next_step("encmempool encrypt tx.hex > envelope.hex", "readable by anyone; next:")


@click.command(cls=Command)
@FILE
@click.option("--key", "key", metavar="NAME", help="The account that signs.  [default: the transaction's signer]")
@click.option("--valid-until", type=click.IntRange(1), metavar="HEIGHT", help="Last height to be committed at.")
@PASSWORD_FILE
def encrypt(file: str, key: str | None, valid_until: int | None, password_file: str | None) -> None:
    """Encrypt a raw signed transaction and print the envelope.

    The sequencer sees sender, nonce, gas limit and fees of an envelope, and a padded ciphertext that it cannot read.

    \b
    Examples:
      encmempool encrypt tx.hex > envelope.hex
      encmempool tx sign --key alice --sell "1.5 ETH" | encmempool encrypt - > envelope.hex
    """
    from encmempool.ethereum import decode_signed

    refuse_two_readers(file, password_file)
    home = open_home()
    warn_of_network(home)
    raw = read_object(file, "a raw signed transaction")
    _refuse_envelope(raw, file)
    key = key or _signer(home, decode_signed(raw).sender)
    identity = open_account(home, key, password_file)
    envelope = open_client(home).encrypt(raw, identity, valid_until=valid_until)
    header = envelope.header
    print_object(
        envelope.encoded,
        "encrypt",
        {
            "envelope": hexed(envelope.encoded),
            "tx_id": hexed(envelope.tx_id),
            "size_bytes": len(envelope.encoded),
            "key_id": hexed(header.key_id),
            "sender": hexed(header.sender),
            "nonce": header.nonce,
            "gas_limit": header.gas_limit,
            "valid_until": header.valid_until,
        },
    )
    note(
        f"encrypted {len(raw)} bytes to key {short(header.key_id)}, signed by {key}: an envelope of "
        f"{len(envelope.encoded):,} bytes, good until height {header.valid_until}"
    )
    next_step(NEXT_SUBMIT)


@click.command(cls=Command)
@FILE
@PASSWORD_FILE
def submit(file: str, password_file: str | None) -> None:
    """Submit an envelope and print the sequencer's signed receipt.

    \b
    Examples:
      encmempool submit envelope.hex > receipt.hex
      encmempool tx sign --key alice --sell "1 ETH" | encmempool encrypt - | encmempool submit -
    """
    refuse_two_readers(file, password_file)
    home = open_home()
    warn_of_network(home)
    data = read_object(file, "an envelope")
    _refuse_plain(data, file)
    receipt = open_client(home, password_file).submit(data)
    message = receipt.message
    print_object(
        receipt.encoded,
        "submit",
        {
            "receipt": hexed(receipt.encoded),
            "tx_id": hexed(message.tx_id),
            "sequence": message.sequence,
            "received_at_ms": message.received_at_ms,
            "include_by_height": message.include_by_height,
        },
    )
    note(
        f"transaction {hexed(message.tx_id)} received as number {message.sequence}, "
        f"to be committed by height {message.include_by_height}"
    )
    next_step("encmempool wait receipt.hex" if settings().node else NEXT_COMMIT)


@click.command(cls=Command)
@click.argument("transaction", metavar="TX_ID|FILE|-")
def status(transaction: str) -> None:
    """Where a transaction stands: received, committed, executed.

    Takes its id, its envelope or its receipt. Exit code 1 if the network never received it, or if the receipt is not
    signed by the network's sequencer.

    \b
    Example:
      encmempool status receipt.hex
    """
    home = open_home()
    warn_of_network(home)
    client = open_client(home)
    tx_id, receipt = named_transaction(transaction, client)
    _print_status("status", client.status(tx_id), receipt)


@click.command(cls=Command)
@click.argument("transaction", metavar="TX_ID|FILE|-")
@click.option("--timeout", "timeout_s", type=click.FloatRange(0), default=60.0, show_default=True, metavar="SECONDS")
def wait(transaction: str, timeout_s: float) -> None:
    """Wait until the outcome of a transaction is final.

    Exit code 0 whatever the outcome, 1 if the network never received it or the receipt is not its sequencer's, 3 when
    the time is over.

    \b
    Example:
      encmempool wait receipt.hex --timeout 10
    """
    home = open_home()
    warn_of_network(home)
    client = open_client(home)
    tx_id, receipt = named_transaction(transaction, client)
    found = client.status(tx_id)
    if found.state != "unknown" or client.has_inbox:
        with progress(f"waiting for {short(tx_id)}"):
            found = client.wait(tx_id, timeout_s=timeout_s)
    _print_status("wait", found, receipt)


def _signer(home: Home, address: bytes) -> str:
    for name in home.account_names():
        if home.account_address(name) == address:
            return name
    raise ValueError(
        f"no key in {home.path} belongs to {hexed(address)}, who signed the transaction: name one with --key"
    )


def _refuse_plain(data: bytes, file: str) -> None:
    """A raw transaction where an envelope belongs. Raises Malformed."""
    from encmempool.errors import Malformed
    from encmempool.types import EncryptedTransaction

    if data[:1] != b"\x02":
        return
    try:
        EncryptedTransaction.decode(data)
    except Malformed:
        raise Malformed(f"{source(file)} is a plain transaction: run `encmempool encrypt` first") from None


def _refuse_envelope(data: bytes, file: str) -> None:
    """An envelope where a raw transaction belongs. Raises Malformed."""
    from encmempool.errors import Malformed
    from encmempool.types import EncryptedTransaction

    try:
        EncryptedTransaction.decode(data)
    except Malformed:
        return
    raise Malformed(f"{source(file)} is already an envelope: run `encmempool submit`")


def named_transaction(text: str, client: Client | None) -> tuple[bytes, Receipt | None]:
    """Its id: given itself, or by a file with an envelope or a receipt. Raises Rejected for a receipt of others, if
    there is a client to ask."""
    from encmempool.errors import Malformed
    from encmempool.types import EncryptedTransaction, SignedReceipt

    if _TX_ID.fullmatch(text):
        return bytes.fromhex(text.removeprefix("0x")), None
    if text.startswith("0x"):
        raise ValueError(f"{text!r} is no transaction id: 0x and 64 hex digits are expected")
    data = read_object(text, "an envelope or a receipt")
    if len(data) == SignedReceipt.codec().size:
        signed = SignedReceipt.decode(data)
        receipt = signed.message if client is None else _verified(signed, client)
        return receipt.tx_id, receipt
    _refuse_plain(data, text)
    try:
        return EncryptedTransaction.decode(data).tx_id, None
    except Malformed:
        raise Malformed(f"{source(text)} holds neither an envelope nor a receipt") from None


def _verified(receipt: SignedReceipt, client: Client) -> Receipt:
    from encmempool.errors import Rejected
    from encmempool.identity import recover_signer

    view = client.view()
    try:
        signer = recover_signer(receipt.message, receipt.signature, view.genesis.root)
    except Rejected:
        signer = None
    if signer not in view.sequencers:
        raise Rejected("AUD-3", "the receipt is not signed by this network's sequencer")
    return receipt.message


def _print_status(command: str, found: Status, receipt: Receipt | None) -> None:
    fields: dict[str, Any] = {
        "tx_id": hexed(found.tx_id),
        "state": found.state,
        "final": found.final,
        "sequence": found.sequence,
        "include_by_height": receipt.include_by_height if receipt else None,
        "height": found.height,
        "position": found.position,
        "success": found.success,
        "reason": found.reason,
        "gas_used": found.gas_used,
        "fee_wei": _text(found.fee),
        "amount_in": _text(found.amount_in),
        "amount_out": _text(found.amount_out),
    }
    if not print_json(command, fields):
        print_rich(facts((name, value) for name, value in _status_lines(found, receipt) if value not in (None, "")))
    if found.state == "unknown":
        promised = "; yet the receipt is its sequencer's" if receipt else ""
        note(f"the network has never received transaction {hexed(found.tx_id)}{promised}")
        next_step(NEXT_SUBMIT)
        click.get_current_context().exit(WRONG)
    if found.state == "received":
        next_step("encmempool wait receipt.hex" if settings().node else NEXT_COMMIT)
    if found.state == "committed":
        next_step("encmempool wait receipt.hex" if settings().node else "encmempool committee reveal")
    if found.state in _NEVER_RUN:
        note(_NEVER_RUN[found.state])
        next_step("encmempool encrypt tx.hex > envelope.hex")
    elif found.final:
        next_step("encmempool audit export -o history.bin")


_NEVER_RUN = {
    "not_committed_opened": "left out of its height, whose key is released: it did not run, and everyone can read it",
    "key_ended": "its key ended before it was committed: it did not run, stays closed, and may be encrypted again",
    "expired": "it was not committed in time: it did not run, and may be encrypted again",
}


def _status_lines(found: Status, receipt: Receipt | None) -> list[tuple[str, Any]]:
    verdict = {None: "", True: ", succeeded", False: f", failed: {found.reason}"}[found.success]
    place = None if found.height is None else f"height {found.height}, position {found.position}"
    return [
        ("transaction", hexed(found.tx_id)),
        ("state", found.state + verdict),
        ("received as", None if found.sequence is None else f"number {found.sequence}"),
        ("commit by", None if receipt is None else f"height {receipt.include_by_height}"),
        ("place", place),
        ("gas used", None if found.gas_used is None else f"{found.gas_used:,}"),
        ("fee", None if found.fee is None else ETHER(found.fee)),
    ]


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


# --- what to sign ----------------------------------------------------------------------------------------------------


def _require_one_purpose(
    sell: str | None, to: str | None, *, swap_only: tuple[object, ...], send_only: tuple[object, ...]
) -> None:
    context = click.get_current_context()
    if sell is not None and to is not None:
        raise click.UsageError("--sell and --to exclude each other: a swap goes to the network's router", context)
    if sell is None and to is None:
        raise click.UsageError(
            'say what to do: --sell "1.5 ETH" for a swap, or --to ADDRESS --value "0.1 ETH"', context
        )
    if sell is None and any(option is not None for option in swap_only):
        raise click.UsageError("--for, --min-out, --slippage-bps and --deadline-s go with --sell", context)
    if to is None and any(option is not None for option in send_only):
        raise click.UsageError("--value and --data go with --to", context)
    if swap_only[1] is not None and swap_only[2] is not None:
        raise click.UsageError("--min-out and --slippage-bps say the same: choose one", context)


def _swap(
    view: NetworkView,
    account: Account,
    sender: bytes,
    sell: str,
    wanted: str | None,
    min_out: str | None,
    slippage_bps: int | None,
    deadline_s: int | None,
) -> tuple[Swap, dict[str, Any], str]:
    """The swap, its terms for --json, and a sentence about it."""
    from encmempool.execution.pools import Reverted, amount_out
    from encmempool.execution.router import Swap, SwapKind

    genesis = view.genesis
    known = assets(genesis)
    amount, sold = parse(sell, known)
    if not amount:
        raise ValueError(f"--sell {sell!r}: sell more than nothing")
    bought = asset_named(wanted, known) if wanted else _other_side(sold, known)
    path = tuple(genesis.weth if asset.address is None else asset.address for asset in (sold, bought))
    try:
        quote = amount_out(*_reserves(view, *path), amount)
    except (KeyError, ValueError):
        raise ValueError(f"there is no pool of {sold.symbol} and {bought.symbol}") from None
    except Reverted as error:
        raise ValueError(f"{sold(amount)} cannot be sold: {error}") from None
    if min_out is None:
        slippage = DEFAULT_SLIPPAGE_BPS if slippage_bps is None else slippage_bps
        least, how = quote * (BPS - slippage) // BPS, f"{slippage} bps below the present price"
    else:
        least, asset = parse(min_out, known)
        if asset != bought:
            raise ValueError(f"--min-out is in {asset.symbol}, but the swap brings {bought.symbol}")
        how = f"the present price brings {bought(quote)}"
    if sold.address is not None and (held := account.tokens.get(sold.address, 0)) < amount:
        warning(f"the account holds {sold(held)}: selling {sold(amount)} will fail")
    kinds = {
        (True, False): SwapKind.EXACT_ETH_FOR_TOKENS,
        (False, True): SwapKind.EXACT_TOKENS_FOR_ETH,
        (False, False): SwapKind.EXACT_TOKENS_FOR_TOKENS,
    }
    deadline = int(time.time()) + (deadline_s or DEFAULT_DEADLINE_S)
    swap = Swap(
        kind=kinds[sold.address is None, bought.address is None],
        exact=amount,
        bound=least,
        path=path,
        recipient=sender,
        deadline=deadline,
    )
    terms = {
        "sell": sold.symbol,
        "buy": bought.symbol,
        "amount_in": str(amount),
        "quote_out": str(quote),
        "min_out": str(least),
        "deadline_s": deadline,
    }
    return swap, terms, f"sells {sold(amount)} for at least {bought(least)} ({how})"


def _reserves(view: NetworkView, sold: bytes, bought: bytes) -> tuple[int, int]:
    """What the pool of two tokens holds of each. KeyError if there is none."""
    for pool in view.pools():
        if {pool.token0, pool.token1} == {sold, bought}:
            both = pool.reserve0, pool.reserve1
            return both if sold == pool.token0 else both[::-1]
    raise KeyError(sold)


def _other_side(sold: Asset, known: dict[str, Asset]) -> Asset:
    tokens = [asset for asset in known.values() if asset.symbol not in ("ETH", "WETH")]
    if sold.symbol not in ("ETH", "WETH"):
        return known["ETH"]
    if len(tokens) != 1:
        raise ValueError(f"say what to buy with --for: {', '.join(token.symbol for token in tokens)}")
    return tokens[0]


def _ether(text: str) -> int:
    amount, _ = parse(text, {"ETH": ETHER})
    return amount


def _gas_of_call(router_address: bytes, to: bytes, value: int, calldata: bytes) -> int:
    """What a swap needs beyond its bytes; 0 for anything else."""
    from encmempool.errors import Malformed
    from encmempool.execution import router
    from encmempool.execution.ledger import EXTRA_HOP_GAS, SWAP_GAS

    if to != router_address:
        return 0
    try:
        swap = router.decode(calldata, value)
    except Malformed:
        return 0
    return SWAP_GAS + EXTRA_HOP_GAS * (len(swap.path) - 2)


def _warn_of_gas(limit: int, intrinsic: int, call: int) -> None:
    if limit < intrinsic:
        warning(f"a gas limit of {limit:,} is below the {intrinsic:,} its bytes cost: this will fail, out of gas")
    elif limit < call:
        warning(f"a gas limit of {limit:,} is below the {call:,} the swap needs: this will fail, out of gas")


def _warn_if_short(account: Account, key: str, value: int, fees: int) -> None:
    balance = account.balance
    if balance < fees:
        warning(f"{key} holds {ETHER(balance)} and must reserve {ETHER(fees)} for gas: the network will refuse this")
    elif balance < value + fees:
        warning(f"{key} holds {ETHER(balance)}, less than {ETHER(value)} and gas: this will fail when it runs")
