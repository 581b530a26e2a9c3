"""Inputs for the vectors of reveal.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from spec.genesis import address_of_key, keccak256, sign_digest
from spec.notation import (
    ABSTAIN,
    DECRYPTION_SHARE,
    ENCRYPTED_TRANSACTION,
    GENESIS,
    HEADER,
    INBOX_ENTRY,
    KEY_SET,
    ORDER_COMMITMENT,
    RECEIPT,
    REVEAL,
    SHARE_RELEASE,
    SIGNED_ABSTAIN,
    SIGNED_COMMITMENT,
    SIGNED_KEY_SET,
    SIGNED_RECEIPT,
    SIGNED_SHARE,
    SIGNED_VOTE,
    VOTE,
    Container,
    sha256,
    signing_digest,
    sized,
    ssz_encode,
    ssz_root,
    to_hex,
    u64,
)
from spec.ordering import batch_root, execution_order
from spec.payload import pad
from spec.reveal import (
    MAGIC,
    SELECTORS,
    Record,
    encode_record,
    entry_of,
    execute,
    first_ledger,
    make_reveal,
    open_position,
    state_root,
)
from spec.transactions import rlp_list, rlp_string, tx_id
from spec.voting import order_candidate, share_message, vote_for

from specs.generate.case import Case, Json, labelled
from specs.generate.forced import network, posted
from specs.generate.genesis import key_set, secret as network_secret, signed as signed_key_set
from specs.generate.transactions import envelope, payload as usual_payload

Object = dict[str, Any]

GWEI, ETHER = 10**9, 10**18
CHAIN_ID = 31337
SIZES = (256, 512)
SELECTOR = {name: selector for selector, name in SELECTORS.items()}
TOKEN, OTHER, WETH = b"\x10" * 20, b"\x20" * 20, b"\xc0" * 20
ROUTER, SEQUENCER, NOBODY = b"\x7a" * 20, b"\xfe" * 20, b"\x55" * 20
ALICE, BOB, CAROL = b"\xa1" * 20, b"\xb2" * 20, b"\xc3" * 20
TIME_MS = 1_700_000_000_000
NOW_S = TIME_MS // 1000
KEY_ID = labelled("reveal/key")(32)


# --- amounts ---------------------------------------------------------------------------------------------------------


def amount_cases() -> Iterator[Case]:
    def case(operation: str, title: str, reserve_in: int, reserve_out: int, amount: int) -> Case:
        given = {"reserve_in": str(reserve_in), "reserve_out": str(reserve_out), "amount": str(amount)}
        return Case(operation=operation, title=title, requirements=("LED-12",), input=given, refused=False)

    yield case("amount_out", "a tenth of a percent of the pool", 10**22, 2 * 10**25, 10**19)
    yield case("amount_out", "one unit out of a small pool", 1000, 1000, 2)
    yield case("amount_out", "rounded down to nothing", 10**18, 10**18, 1)
    yield case("amount_out", "the largest reserves", 2**112 - 1, 2**112 - 1, 2**111)
    yield case("amount_out", "nothing paid", 1000, 1000, 0)
    yield case("amount_out", "an empty side", 1000, 0, 5)
    yield case("amount_out", "the product does not fit 256 bits", 1, 2**112 - 1, 2**135)
    yield case("amount_in", "a tenth of a percent of the pool", 10**22, 2 * 10**25, 10**22)
    yield case("amount_in", "plus one even where the division is exact", 997, 2000, 1000)
    yield case("amount_in", "all but one unit", 1000, 1000, 999)
    yield case("amount_in", "nothing wanted", 1000, 1000, 0)
    yield case("amount_in", "an empty side", 0, 1000, 5)
    yield case("amount_in", "the whole reserve", 1000, 1000, 1000)
    yield case("amount_in", "more than the reserve", 1000, 1000, 1001)
    yield case("amount_in", "the product does not fit 256 bits", 2**112 - 1, 2**112 - 1, 2**140)

    def settle(title: str, reserve_in: int, reserve_out: int, paid: int, taken: int) -> Case:
        given = {
            "reserve_in": str(reserve_in),
            "reserve_out": str(reserve_out),
            "paid": str(paid),
            "taken": str(taken),
        }
        return Case(operation="settle", title=title, requirements=("LED-13",), input=given, refused=False)

    yield settle("what amount_out gives", 1000, 1000, 100, 90)
    yield settle("one unit more breaks the product", 1000, 1000, 100, 91)
    yield settle("nothing taken", 1000, 1000, 100, 0)
    yield settle("everything taken", 1000, 1000, 10**9, 1000)
    yield settle("nothing paid", 1000, 1000, 0, 1)
    yield settle("a reserve of 112 bits", 2**112 - 101, 1000, 100, 1)
    yield settle("a reserve of 113 bits", 2**112 - 100, 1000, 100, 1)


# --- calldata --------------------------------------------------------------------------------------------------------


def word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big")


def calldata(
    function: str, *amounts: int, path: Sequence[bytes], to: bytes = BOB, deadline: int = NOW_S, **faults: int
) -> bytes:
    """`amounts`: exact and bound, or the bound alone. Faults replace the path's offset or length."""
    offset = faults.get("offset", 32 * (len(amounts) + 3))
    head = b"".join(map(word, amounts)) + word(offset) + word(to) + word(deadline)
    made: bytes = SELECTOR[function] + head + word(faults.get("count", len(path))) + b"".join(map(word, path))
    return made


EXACT_TOKENS, EXACT_ETHER = "swapExactTokensForTokens", "swapExactETHForTokens"
FOR_ETHER, FOR_EXACT = "swapExactTokensForETH", "swapTokensForExactTokens"


def call_cases() -> Iterator[Case]:
    def case(title: str, data: bytes, value: int = 0, *, refused: bool = False) -> Case:
        given = {"data": to_hex(data), "value": str(value)}
        return Case(operation="decode_call", title=title, requirements=("LED-10",), input=given, refused=refused)

    usual = calldata(EXACT_TOKENS, 10**18, 997, path=(TOKEN, WETH))
    yield case(EXACT_TOKENS, usual)
    yield case(EXACT_ETHER, calldata(EXACT_ETHER, 5, path=(WETH, TOKEN)), 10**18)
    yield case(FOR_ETHER, calldata(FOR_ETHER, 10**18, 0, path=(OTHER, TOKEN, WETH)))
    yield case(FOR_EXACT, calldata(FOR_EXACT, 10**18, 2**256 - 1, path=(TOKEN, OTHER), deadline=2**256 - 1))
    yield case("an empty path is the router's to judge", calldata(EXACT_TOKENS, 1, 2, path=()))
    yield case("ether sent may be nothing", calldata(EXACT_ETHER, 5, path=(WETH, TOKEN)))

    yield case("no calldata", b"", refused=True)
    yield case("three bytes of a selector", usual[:3], refused=True)
    yield case("an unknown selector", b"\xde\xad\xbe\xef" + usual[4:], refused=True)
    yield case("the selector alone", usual[:4], refused=True)
    yield case("ether for a function that takes none", usual, 1, refused=True)
    yield case("a word is missing", usual[:-32], refused=True)
    yield case("a byte is missing", usual[:-1], refused=True)
    yield case("a word follows", usual + bytes(32), refused=True)
    yield case("a byte follows", usual + b"\0", refused=True)
    shifted = calldata(EXACT_TOKENS, 10**18, 997, path=(TOKEN, WETH), offset=192)
    yield case("the path starts a word later", shifted[:-96] + bytes(32) + shifted[-96:], refused=True)
    yield case(
        "the path's offset lies in the head", calldata(EXACT_TOKENS, 1, 2, path=(TOKEN,), offset=128), refused=True
    )
    yield case("the offset has 256 bits", calldata(EXACT_TOKENS, 1, 2, path=(TOKEN,), offset=2**256 - 1), refused=True)
    yield case("the path says it is longer", calldata(EXACT_TOKENS, 1, 2, path=(TOKEN,), count=2), refused=True)
    yield case("the path says it is shorter", calldata(EXACT_TOKENS, 1, 2, path=(TOKEN, WETH), count=1), refused=True)
    yield case("a token with 21 bytes", calldata(EXACT_TOKENS, 1, 2, path=(b"\1" + TOKEN, WETH)), refused=True)
    yield case(
        "a recipient with 21 bytes", calldata(EXACT_TOKENS, 1, 2, path=(TOKEN, WETH), to=b"\1" + BOB), refused=True
    )


# --- the ledger ------------------------------------------------------------------------------------------------------


def state(**changes: Any) -> Json:
    usual: Json = {
        "router": to_hex(ROUTER),
        "weth": to_hex(WETH),
        "base_fee": str(10 * GWEI),
        "fee_recipient": to_hex(SEQUENCER),
        "height": "4",
        "accounts": [
            {"address": to_hex(ALICE), "nonce": "0", "balance": str(10 * ETHER)},
            {"address": to_hex(BOB), "nonce": "7", "balance": str(ETHER)},
            {"address": to_hex(CAROL), "nonce": "0", "balance": str(10**15)},
        ],
        "token_balances": [
            {"token": to_hex(token), "owner": to_hex(owner), "amount": str(1000 * ETHER)}
            for token in (TOKEN, OTHER)
            for owner in (ALICE, BOB)
        ],
        "pools": [
            {
                "token0": to_hex(TOKEN),
                "token1": to_hex(WETH),
                "reserve0": str(3 * 10**21),
                "reserve1": str(10**18),
            },
            {
                "token0": to_hex(TOKEN),
                "token1": to_hex(OTHER),
                "reserve0": str(10**21),
                "reserve1": str(10**20),
            },
        ],
    }
    return usual | changes


def entry(sender: bytes, nonce: int, content: Json | str, **changes: Any) -> Json:
    fields: Json = {
        "nonce": nonce,
        "gas_limit": 168_000,
        "max_fee_per_gas": 30 * GWEI,
        "max_priority_fee_per_gas": 2 * GWEI,
    }
    return {
        "sender": to_hex(sender),
        **{name: str(value) for name, value in (fields | changes).items()},
        "content": {"failure": content} if isinstance(content, str) else content,
    }


def call(to: bytes, value: int = 0, data: bytes = b"", gas_limit: int = 168_000) -> Json:
    return {"to": to_hex(to), "value": str(value), "data": to_hex(data), "gas_limit": str(gas_limit)}


def swap(
    function: str, *amounts: int, path: Sequence[bytes], value: int = 0, gas_limit: int = 168_000, **more: Any
) -> Json:
    return call(ROUTER, value, calldata(function, *amounts, path=path, **more), gas_limit)


def ledger_cases() -> Iterator[Case]:
    def case(title: str, rules: tuple[str, ...], *entries: Json, timestamp_ms: int = TIME_MS, **changes: Any) -> Case:
        given = {
            "state": state(**changes),
            "height": "5",
            "timestamp_ms": str(timestamp_ms),
            "entries": list(entries),
        }
        return Case(operation="execute", title=title, requirements=(*rules, "LED-17"), input=given, refused=False)

    to_bob = call(BOB, ETHER)
    reservation = 168_000 * 30 * GWEI
    yield case("no entries: the height moves", ())
    yield case("a transfer", ("LED-3", "LED-5", "LED-9"), entry(ALICE, 0, to_bob))
    yield case("the price is capped by the max fee", ("LED-3",), entry(ALICE, 0, to_bob, max_fee_per_gas=11 * GWEI))
    yield case("the sequencer pays itself", ("LED-3",), entry(ALICE, 0, to_bob), fee_recipient=to_hex(ALICE))
    for failure in ("undecryptable", "bad_padding", "bad_payload", "header_mismatch"):
        yield case(f"{failure} pays its gas limit", ("LED-6", "LED-5"), entry(ALICE, 0, failure))
    yield case("the reservation is not covered", ("LED-2", "LED-7"), entry(CAROL, 0, call(BOB)))
    yield case("the max fee is below the base fee", ("LED-7",), entry(ALICE, 0, call(BOB), max_fee_per_gas=9 * GWEI))
    yield case("the nonce was used", ("LED-7", "LED-5"), entry(BOB, 6, call(ALICE)))
    yield case("the value is a wei too much", ("LED-7",), entry(ALICE, 0, call(BOB, 10 * ETHER - reservation + 1)))
    yield case("the value is all that is left", ("LED-7",), entry(ALICE, 0, call(BOB, 10 * ETHER - reservation)))
    yield case(
        "a later entry's reservation cannot be spent",
        ("LED-2",),
        entry(ALICE, 0, call(BOB, 10 * ETHER - reservation)),
        entry(ALICE, 1, call(BOB)),
    )
    yield case(
        "what an entry leaves over can be spent by the next",
        ("LED-4",),
        entry(ALICE, 0, call(BOB)),
        entry(ALICE, 1, call(BOB, 10 * ETHER - 2 * reservation + 1)),
    )
    yield case(
        "what comes in can be spent by the next",
        ("LED-4", "LED-16"),
        entry(ALICE, 0, call(CAROL, ETHER)),
        entry(CAROL, 0, call(BOB, ETHER), gas_limit=21_000, max_fee_per_gas=12 * GWEI),
    )
    yield case("a plain transfer to the router", ("LED-9", "LED-14"), entry(ALICE, 0, call(ROUTER, 1)))
    yield case("a plain transfer to WETH", ("LED-9", "LED-14"), entry(ALICE, 0, call(WETH, 1)))
    yield case("calldata to an account", ("LED-9", "LED-8"), entry(ALICE, 0, call(BOB, 1, b"\0\1")))
    yield case(
        "calldata that is no router call", ("LED-10", "LED-8"), entry(ALICE, 0, call(ROUTER, 0, b"\xde\xad\xbe\xef"))
    )
    yield case(
        "ether for a swap that takes none",
        ("LED-10",),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**18, 0, path=(TOKEN, OTHER), value=1)),
    )
    yield case("out of gas below the transfer's 21,000", ("LED-8",), entry(ALICE, 0, call(BOB, 1, gas_limit=20_999)))
    yield case(
        "out of gas in a swap",
        ("LED-8", "LED-14"),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**18, 0, path=(TOKEN, WETH), gas_limit=87_699)),
    )
    long = (TOKEN, OTHER) * 23
    yield case(
        "a path whose further pairs alone need too much",
        ("LED-8",),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**18, 2**255, path=(TOKEN, OTHER, TOKEN, OTHER, TOKEN))),
    )
    yield case(
        "a refused swap whose calldata costs more than 35,000",
        ("LED-8",),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**18, 2**255, path=long, gas_limit=2_688_000), gas_limit=2_688_000),
    )
    yield case(
        "calldata that costs more than the limit",
        ("LED-8",),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**18, 2**255, path=long, gas_limit=30_000)),
    )
    yield case(
        "the header's limit binds below the payload's",
        ("LED-8",),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**18, 0, path=(TOKEN, WETH)), gas_limit=84_000),
    )

    yield case(
        "ether for tokens",
        ("LED-11", "LED-12"),
        entry(ALICE, 0, swap(EXACT_ETHER, 1, path=(WETH, TOKEN), value=10**16)),
    )
    yield case(
        "tokens for ether", ("LED-11", "LED-12"), entry(ALICE, 0, swap(FOR_ETHER, 10**18, 1, path=(TOKEN, WETH)))
    )
    yield case(
        "tokens for tokens over two pairs",
        ("LED-8", "LED-12"),
        entry(
            BOB,
            7,
            swap(EXACT_TOKENS, 10**18, 1, path=(OTHER, TOKEN, WETH)),
            gas_limit=168_000,
            max_fee_per_gas=12 * GWEI,
        ),
    )
    yield case("an exact output", ("LED-12",), entry(ALICE, 0, swap(FOR_EXACT, 10**18, 10**20, path=(TOKEN, OTHER))))
    yield case(
        "there and back through one pair: both hops are priced before the call",
        ("LED-12", "LED-13"),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**18, 0, path=(TOKEN, OTHER, TOKEN))),
    )
    yield case(
        "two swaps, the second at the reserves of the first",
        ("LED-16",),
        entry(ALICE, 0, swap(EXACT_ETHER, 0, path=(WETH, TOKEN), value=10**17)),
        entry(BOB, 7, swap(FOR_ETHER, 10**19, 0, path=(TOKEN, WETH))),
    )
    yield case(
        "in the second of its deadline",
        ("LED-15",),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**18, 0, path=(TOKEN, OTHER))),
        timestamp_ms=TIME_MS + 999,
    )
    yield case(
        "a second after its deadline",
        ("LED-15",),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**18, 0, path=(TOKEN, OTHER))),
        timestamp_ms=TIME_MS + 1000,
    )
    refused = (
        ("ether for tokens, from another token", swap(EXACT_ETHER, 0, path=(TOKEN, OTHER), value=1)),
        ("tokens for ether, to another token", swap(FOR_ETHER, 10**18, 0, path=(TOKEN, OTHER))),
        ("a path of one token", swap(EXACT_TOKENS, 10**18, 0, path=(TOKEN,))),
        ("an empty path", swap(EXACT_TOKENS, 10**18, 0, path=())),
        ("a token for itself", swap(EXACT_TOKENS, 10**18, 0, path=(TOKEN, TOKEN))),
        ("no such pool", swap(EXACT_TOKENS, 10**18, 0, path=(OTHER, WETH))),
        ("nothing in", swap(EXACT_TOKENS, 0, 0, path=(TOKEN, OTHER))),
        ("nothing out", swap(EXACT_TOKENS, 1, 0, path=(TOKEN, OTHER))),
        ("less than the smallest output", swap(EXACT_TOKENS, 10**18, 10**17, path=(TOKEN, OTHER))),
        ("more than the largest input", swap(FOR_EXACT, 10**18, 10**19, path=(TOKEN, OTHER))),
        ("the whole reserve", swap(FOR_EXACT, 10**20, 2**256 - 1, path=(TOKEN, OTHER))),
        ("more than the sender holds", swap(EXACT_TOKENS, 1000 * ETHER + 1, 0, path=(TOKEN, OTHER))),
        ("to a token of the last pair", swap(EXACT_TOKENS, 10**18, 0, path=(TOKEN, OTHER), to=OTHER)),
        ("ether to the router", swap(FOR_ETHER, 10**18, 0, path=(TOKEN, WETH), to=ROUTER)),
    )
    for title, content in refused:
        yield case(title, ("LED-11", "LED-14"), entry(ALICE, 0, content))
    full = [{"token0": to_hex(TOKEN), "token1": to_hex(OTHER), "reserve0": str(2**112 - 1), "reserve1": str(10**20)}]
    yield case(
        "the reserve would exceed 112 bits",
        ("LED-13",),
        entry(ALICE, 0, swap(EXACT_TOKENS, 10**20, 0, path=(TOKEN, OTHER))),
        pools=full,
    )
    yield case(
        "a batch of everything",
        ("LED-2", "LED-5", "LED-16"),
        entry(ALICE, 0, swap(EXACT_ETHER, 0, path=(WETH, TOKEN), value=10**16)),
        entry(BOB, 7, "bad_payload", gas_limit=21_000),
        entry(CAROL, 0, call(BOB)),
        entry(ALICE, 1, call(NOBODY, 1)),
        entry(BOB, 8, swap(FOR_EXACT, 10**18, 1, path=(OTHER, TOKEN))),
        entry(ALICE, 1, call(BOB)),
    )


# --- outcomes and reveals --------------------------------------------------------------------------------------------


def secret(name: str) -> bytes:
    return b"\x01" + labelled(f"reveal/secret/{name}")(31)


def address(name: str) -> bytes:
    found: bytes = address_of_key(secret(name))
    return found


def integer(value: int) -> bytes:
    made: bytes = rlp_string(value.to_bytes((value.bit_length() + 7) // 8, "big"))
    return made


def payload(sender: str, **changes: Any) -> bytes:
    """A raw signed EIP-1559 transfer."""
    fields: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "nonce": 0,
        "max_priority_fee_per_gas": 2 * GWEI,
        "max_fee_per_gas": 30 * GWEI,
        "gas_limit": 21_000,
        "to": NOBODY,
        "value": 5,
        "data": b"",
    } | changes
    items = [rlp_string(value) if isinstance(value, bytes) else integer(value) for value in fields.values()]
    items.append(rlp_list([]))
    signature = sign_digest(secret(sender), keccak256(b"\x02" + rlp_list(items)))
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    made: bytes = b"\x02" + rlp_list([*items, integer(signature[64] - 27), integer(r), integer(s)])
    return made


def header(sender: str, **changes: Any) -> Object:
    return {
        "version": 1,
        "key_id": KEY_ID,
        "scheme": 0,
        "sender": address(sender),
        "nonce": 0,
        "gas_limit": 21_000,
        "max_fee_per_gas": 30 * GWEI,
        "max_priority_fee_per_gas": 2 * GWEI,
        "target_height": 0,
        "valid_until": 100,
    } | changes


def padded(content: bytes, label: str = "pad") -> bytes:
    made: bytes = pad(content, SIZES, labelled(f"reveal/{label}"))
    return made


def outcome_cases() -> Iterator[Case]:
    def case(title: str, rules: tuple[str, ...], plaintext: bytes | None, **changes: Any) -> Case:
        given = {
            "plaintext": None if plaintext is None else to_hex(plaintext),
            "header": to_hex(ssz_encode(HEADER, header("alice", **changes))),
            "chain_id": str(CHAIN_ID),
            "size_classes": [str(size) for size in SIZES],
        }
        return Case(
            operation="open_outcome", title=title, requirements=("REV-3", "REV-5", *rules), input=given, refused=False
        )

    good = padded(payload("alice"))
    length = len(payload("alice"))
    yield case("a transfer", (), good)
    yield case("gas below the header's", ("PAY-2",), padded(payload("alice", gas_limit=20_000)))
    yield case("decryption failed", (), None)
    yield case("empty", ("PAD-1",), b"")
    yield case("another version", ("PAD-1",), b"\2" + good[1:])
    yield case("a length that does not fit", ("PAD-2",), good[:17] + b"\0\0\1\0" + good[21:])
    yield case("a byte in the padding", ("PAD-3",), good[:-1] + b"\1")
    yield case("a larger size class than needed", ("PAD-4",), good + bytes(256))
    yield case("an empty payload", ("PAY-1",), padded(b""))
    yield case("the transaction's last byte is missing", ("PAY-1",), padded(payload("alice")[:-1]))
    yield case("another type of transaction", ("PAY-1",), padded(b"\1" + payload("alice")[1:]))
    yield case("somebody else's transaction", ("PAY-2",), padded(payload("bob")))
    yield case("another nonce", ("PAY-2",), padded(payload("alice", nonce=1)))
    yield case("another chain", ("PAY-2",), padded(payload("alice", chain_id=1)))
    yield case("another max fee", ("PAY-2",), padded(payload("alice", max_fee_per_gas=31 * GWEI)))
    yield case("another priority fee", ("PAY-2",), padded(payload("alice", max_priority_fee_per_gas=GWEI)))
    yield case("more gas than the header's", ("PAY-2",), padded(payload("alice", gas_limit=21_001)))
    assert length < 256
    for title, content in (("a transfer", payload("alice")), ("empty", b""), ("33 bytes", bytes(33))):
        yield Case(
            operation="plaintext_root",
            title=title,
            requirements=("REV-5",),
            input={"payload": to_hex(content)},
            refused=False,
        )


def commitment(transactions: Sequence[Object], **changes: Any) -> Object:
    return {
        "height": 1,
        "parent": ssz_root(GENESIS, genesis()),
        "committee_id": labelled("reveal/committee")(32),
        "key_id": KEY_ID,
        "round": int(bool(transactions)),
        "batch_root": batch_root([tx_id(one) for one in transactions]),
        "count": len(transactions),
        "policy_id": 1,
        "l1_block": 0,
        "inbox_index": 0,
        "timestamp_ms": TIME_MS + 1,
        "executed_height": 0,
        "state_root": bytes(32),
    } | changes


def genesis() -> Object:
    return {
        "chain_id": CHAIN_ID,
        "timestamp_ms": TIME_MS,
        "accounts": [{"address": address(name), "balance": ETHER, "tokens": [10**20]} for name in ("alice", "bob")],
        "tokens": [{"address": TOKEN, "symbol": b"TKN", "decimals": 18}],
        "pools": [{"token0": TOKEN, "token1": WETH, "reserve0": 3 * 10**21, "reserve1": 10**18}],
        "router": ROUTER,
        "weth": WETH,
        "base_fee": 10 * GWEI,
        "sequencer": SEQUENCER,
        "members": [address(f"member {at}") for at in range(1, 5)],
        "policy_id": 1,
        "policy_parameters": b"",
        "batch_limit": 8,
        "gas_limit": 21_000 * 64,
        "size_classes": list(SIZES),
        "deadlines": {
            "include_heights": 16,
            "include_l1_blocks": 64,
            "reveal_l1_blocks": 64,
            "force_l1_blocks": 0,
            "l1_depth": 0,
            "l1_lag_blocks": 0,
        },
    }


def transaction(sender: str, plaintext: bytes, **changes: Any) -> Object:
    return {"header": header(sender, **changes), "ciphertext": plaintext, "signature": bytes(65)}


def exchanged_by_shuffle(transactions: Sequence[Object]) -> int:
    """A time of the commitment at which the shuffle does not leave the order as it was committed."""
    batch = [order_candidate(one, 0, 10 * GWEI) for one in transactions]
    for timestamp_ms in range(TIME_MS, TIME_MS + 100):
        root = ssz_root(ORDER_COMMITMENT, commitment(transactions, policy_id=3, timestamp_ms=timestamp_ms))
        if execution_order(3, batch, root, b"") != batch:
            return timestamp_ms
    raise AssertionError("the shuffle never exchanges anything")


def reveal_cases() -> Iterator[Case]:
    def make(title: str, positions: Sequence[tuple[str, bytes | None]], value: bytes = b"", proof: bytes = b"") -> Case:
        given = {
            "commitment_root": to_hex(labelled("reveal/root")(32)),
            "value": to_hex(value),
            "proof": to_hex(proof),
            "positions": [
                {"outcome": code, "payload": None if content is None else to_hex(content)}
                for code, content in positions
            ],
        }
        return Case(operation="make_reveal", title=title, requirements=("REV-4", "REV-5"), input=given, refused=False)

    yield make(
        "every outcome a reveal can hold",
        [
            ("executed", payload("alice")),
            ("undecryptable", None),
            ("bad_padding", None),
            ("bad_payload", b"\1\2"),
            ("header_mismatch", payload("bob")),
            ("not_executable", payload("alice", nonce=1)),
        ],
        value=labelled("reveal/value")(96),
        proof=labelled("reveal/proof")(7),
    )
    yield make("a batch key of the control scheme", [("executed", payload("alice"))])

    swapped = payload(
        "bob", gas_limit=168_000, to=ROUTER, value=10**16, data=calldata(EXACT_ETHER, 1, path=(WETH, TOKEN))
    )
    batch = [
        transaction("alice", padded(payload("alice"))),
        transaction("bob", padded(swapped, "pad bob"), gas_limit=168_000),
        transaction("alice", b"rubbish".ljust(256, b"\0"), nonce=1),
    ]
    payloads = [payload("alice"), swapped, None]
    codes = ["executed", "executed", "bad_padding"]
    no_key: bytes = sized(b"") + sized(b"")

    def replay(
        title: str,
        rule: str,
        *,
        transactions: Sequence[Object] = batch,
        codes: Sequence[str] = codes,
        payloads: Sequence[bytes | None] = payloads,
        key: bytes = no_key,
        root: bytes | None = None,
        without: bool = False,
        refused: bool = True,
        policy: int = 1,
        timestamp_ms: int = TIME_MS + 1,
    ) -> Case:
        made = commitment(transactions, policy_id=policy, timestamp_ms=timestamp_ms)
        reveal = make_reveal(ssz_root(ORDER_COMMITMENT, made) if root is None else root, key, codes, payloads)
        given = {
            "genesis": to_hex(ssz_encode(GENESIS, genesis())),
            "commitment": to_hex(ssz_encode(ORDER_COMMITMENT, made)),
            "transactions": [to_hex(ssz_encode(ENCRYPTED_TRANSACTION, one)) for one in transactions],
            "reveal": None if without else to_hex(ssz_encode(REVEAL, reveal)),
        }
        requirements = (rule,) if refused else (rule, "REV-3", "LED-1", "LED-16")
        return Case(operation="replay", title=title, requirements=requirements, input=given, refused=refused)

    yield replay("two transactions and rubbish", "REV-4", refused=False)
    mine = payload(
        "alice", gas_limit=168_000, to=ROUTER, value=10**17, data=calldata(EXACT_ETHER, 1, path=(WETH, TOKEN))
    )
    rivals = [
        (transaction("alice", padded(mine, "pad alice"), gas_limit=168_000), mine),
        (transaction("bob", padded(swapped, "pad bob"), gas_limit=168_000), swapped),
    ]
    rivals.sort(key=lambda pair: tx_id(pair[0]))
    yield replay(
        "two swaps executed in a shuffled order, listed in the committed one",
        "REV-4",
        transactions=[one for one, _ in rivals],
        codes=["executed", "executed"],
        payloads=[content for _, content in rivals],
        policy=3,
        refused=False,
        timestamp_ms=exchanged_by_shuffle([one for one, _ in rivals]),
    )
    empty: dict[str, Any] = {"transactions": (), "codes": (), "payloads": ()}
    yield replay("an empty height", "REV-4", **empty, without=True, refused=False)
    yield replay("another commitment's reveal", "REV-4", root=bytes(32))
    yield replay("another outcome", "REV-4", codes=["executed", "not_executable", "bad_padding"])
    yield replay("another payload's root", "REV-4", payloads=[payload("alice"), payload("alice"), None])
    yield replay("a root where nothing was opened", "REV-4", payloads=[payload("alice"), swapped, b""])
    yield replay("a position is missing", "REV-4", codes=codes[:2], payloads=payloads[:2])
    yield replay(
        "positions are exchanged",
        "REV-4",
        codes=[codes[at] for at in (0, 2, 1)],
        payloads=[payloads[at] for at in (0, 2, 1)],
    )
    yield replay("no reveal of a batch with transactions", "REV-4", without=True)
    yield replay("a reveal of an empty height", "REV-4", **empty)
    yield replay("a batch key where the scheme has none", "CLR-2", key=sized(b"\1") + sized(b""))
    for title, key in (("the batch key is truncated", no_key[:-1]), ("a byte follows the batch key", no_key + b"\0")):
        yield replay(title, "ENC-3", key=key)


# --- what was never committed ----------------------------------------------------------------------------------------


def left_out_cases() -> Iterator[Case]:
    def case(
        title: str, head: int, *, end: int = 2**64 - 1, revealed: bool | None = None, target: bool = False
    ) -> Case:
        made = header("alice", valid_until=9, target_height=9 if target else 0)
        given = {
            "header": to_hex(ssz_encode(HEADER, made)),
            "head": str(head),
            "key_end": str(end),
            "revealed": revealed,
        }
        return Case(operation="never_committed", title=title, requirements=("REV-6",), input=given, refused=False)

    yield case("before its last height", 8)
    yield case("at its last height", 9)
    yield case("long after it", 90)
    yield case("its key ends below its last height: before that", 6, end=7)
    yield case("its key ends below its last height: then", 7, end=7)
    yield case("its key ends below its last height: long after both", 90, end=7)
    yield case("its key ends at its last height", 9, end=9)
    yield case("its key ends above its last height", 10, end=10)
    yield case("a height addressed that is to come", 8, target=True)
    yield case("a height addressed that is committed, and not executed", 9, target=True)
    yield case("a height addressed, executed with a reveal", 9, revealed=True, target=True)
    yield case("a height addressed, executed empty", 9, revealed=False, target=True)
    yield case("a height addressed, whose key ended before", 8, end=8, target=True)


# --- shares ----------------------------------------------------------------------------------------------------------


def share_cases() -> Iterator[Case]:
    network = labelled("reveal/network")(32)
    members = [address(f"member {at}") for at in range(1, 5)]
    made = commitment([transaction("alice", b"")])
    other = commitment([transaction("bob", b"")])

    def signed(of: Object, signer: str, member: int, **changes: Any) -> Object:
        message = share_message(of, member, b"\1") | changes
        return {
            "message": message,
            "signature": sign_digest(secret(signer), signing_digest(DECRYPTION_SHARE, message, network)),
        }

    def certificate(of: Object, voters: Sequence[int] = (1, 2, 3)) -> Object:
        digest = signing_digest(VOTE, vote_for(of), network)
        return {
            "vote": vote_for(of),
            "signatures": [sign_digest(secret(f"member {at}"), digest) for at in voters],
        }

    def case(
        title: str,
        share: Object,
        rule: str = "REV-1",
        *,
        held: Sequence[Object] = (),
        voted: Object | None = None,
        of: Object = made,
        refused: bool = True,
    ) -> Case:
        given = {
            "genesis_root": to_hex(network),
            "committee_id": to_hex(made["committee_id"]),
            "members": [to_hex(member) for member in members],
            "t": "3",
            "commitment": to_hex(ssz_encode(ORDER_COMMITMENT, of)),
            "held": [to_hex(ssz_encode(SIGNED_SHARE, one)) for one in held],
            "release": to_hex(ssz_encode(SHARE_RELEASE, {"share": share, "certificate": voted or certificate(of)})),
        }
        return Case(operation="take_share", title=title, requirements=(rule,), input=given, refused=refused)

    mine = signed(made, "member 2", 2)
    yield case("a member's share", mine, refused=False)
    yield case("of a member who did not vote for the certificate", signed(made, "member 4", 4), refused=False)
    yield case("the same share again", mine, held=[mine], refused=False)
    yield case("beside another member's", mine, held=[signed(made, "member 3", 3)], refused=False)
    yield case("a second, different share", mine, held=[signed(made, "member 2", 2, data=b"\2")])
    yield case("for another commitment", signed(other, "member 2", 2))
    yield case("for another round", signed(made, "member 2", 2, round=9))
    yield case("for another height", signed(made, "member 2", 2, height=9))
    yield case("from another committee", signed(made, "member 2", 2, committee_id=bytes(32)))
    yield case("a stranger's", signed(made, "mallory", 2))
    yield case("in another member's name", signed(made, "member 2", 3))
    yield case("with a certificate for another commitment", mine, "CRT-3", voted=certificate(other))
    yield case("with a certificate of two", mine, "CRT-3", voted=certificate(made, (1, 2)))
    yield case("for an empty height", signed(commitment(()), "member 2", 2), of=commitment(()))
    yield case("the signature is of a share with other bytes", mine | {"message": mine["message"] | {"data": b"\2"}})


# --- history files ---------------------------------------------------------------------------------------------------


def history_cases() -> Iterator[Case]:
    def case(title: str, data: bytes, *, refused: bool) -> Case:
        given = {"data": to_hex(data)}
        return Case(operation="audit_records", title=title, requirements=("AUD-1",), input=given, refused=refused)

    records = [
        Record("genesis", 0, labelled("reveal/history/genesis")(40)),
        Record("key_set", 1, labelled("reveal/history/key set")(30)),
        Record("transaction", 1, labelled("reveal/history/transaction")(20)),
        Record("receipt", 1, b"\1"),
        Record("commitment", 1, b"\2\3"),
        Record("vote", 1, b""),
        Record("abstention", 2**64 - 1, b"\4"),
        Record("end", 2, u64(7)),
    ]
    later = [
        Record("key_set", 2, labelled("reveal/history/next key set")(30)),
        Record("parameters", 2, labelled("reveal/history/parameters")(300)),
        Record("erasure", 2, labelled("reveal/history/erasure")(97)),
        Record("end", 2, u64(9)),
    ]
    parts = [encode_record(record) for record in records]
    whole = MAGIC + b"".join(parts)
    yield case("eight records, their bodies any bytes", whole, refused=False)
    yield case("an end record alone", MAGIC + encode_record(Record("end", 1, u64(0))), refused=False)
    yield case("another first line", b"encmempool history 2\n" + whole[len(MAGIC) :], refused=True)
    yield case("empty", b"", refused=True)
    yield case("the first line alone", MAGIC, refused=True)
    yield case("the last byte is missing", whole[:-1], refused=True)
    yield case("a byte follows", whole + b"\0", refused=True)
    yield case("the end record is missing", MAGIC + b"".join(parts[:-1]), refused=True)
    yield case("a record follows the end record", whole + parts[3], refused=True)
    at = len(MAGIC) + 13
    yield case("a bit of a body flipped", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], refused=True)
    yield case("a bit of a checksum flipped", whole[:-1] + bytes([whole[-1] ^ 1]), refused=True)
    kinds = b"\x0e" + parts[3][1:-32]
    yield case("an unknown kind", MAGIC + parts[0] + kinds + sha256(kinds) + parts[-1], refused=True)
    parts = [encode_record(record) for record in (*records[:-2], *later)]
    yield case("another key set, with parameters and an erasure", MAGIC + b"".join(parts), refused=False)
    zero = b"\0" + parts[3][1:-32]
    yield case("the kind 0", MAGIC + parts[0] + zero + sha256(zero) + parts[-1], refused=True)


# --- whole histories -------------------------------------------------------------------------------------------------

NETWORK = network()
KEYS = key_set(NETWORK)
PEOPLE = ("alice", "bob")
"""Who has an ether in that network."""


def transfer(sender: str, nonce: int = 0, **changes: Any) -> Object:
    """An envelope of the control scheme in that network."""
    inner = usual_payload(sender, nonce=nonce, gas_limit=21_000, to=NOBODY, value=5)
    plaintext = pad(inner, NETWORK["size_classes"], labelled(f"reveal/{sender}/{nonce}"))
    made: Object = envelope(NETWORK, sender, nonce=nonce, ciphertext=plaintext, **changes)
    return made


def signed_in(kind: Any, message: Object, by: str) -> Object:
    digest = signing_digest(kind, message, ssz_root(GENESIS, NETWORK))
    return {"message": message, "signature": sign_digest(network_secret(by), digest)}


@dataclass(kw_only=True)
class Written:
    """A history as it is written down, height by height. Faults are for the cases."""

    records: list[Record] = field(default_factory=list)
    chain: list[Object] = field(default_factory=list)
    ledger: Any = field(default_factory=lambda: first_ledger(NETWORK))
    sequence: int = 0
    executed: int = 0

    def __post_init__(self) -> None:
        self.add("genesis", 0, GENESIS, NETWORK)
        self.add("key_set", 1, SIGNED_KEY_SET, signed_key_set(NETWORK, KEYS))

    @property
    def height(self) -> int:
        return len(self.chain) + 1

    def add(self, kind: str, height: int, container: Container, value: Object) -> None:
        self.records.append(Record(kind, height, ssz_encode(container, value)))

    def receipted(self, transaction: Object, height: int) -> None:
        self.add("transaction", height, ENCRYPTED_TRANSACTION, transaction)
        receipt = {
            "tx_id": tx_id(transaction),
            "sequence": self.sequence,
            "received_at_ms": TIME_MS,
            "include_by_height": 17,
            "include_by_l1_block": 64,
            "reveal_by_l1_block": 64 + NETWORK["deadlines"]["reveal_l1_blocks"],
        }
        self.add("receipt", height, SIGNED_RECEIPT, signed_in(RECEIPT, receipt, "sequencer"))
        self.sequence += 1

    def committed(
        self,
        *,
        shown: Sequence[Object] = (),
        forced: Sequence[Object] = (),
        received: Sequence[Object] = (),
        with_receipt: Sequence[Object] = (),
        reveal: bool = True,
        **changes: Any,
    ) -> Written:
        """A height with the inbox entries that it shows. `with_receipt`: those of the forced that have one."""
        height, batch = self.height, [*forced, *received]
        for entry in shown:
            self.add("forced", height, INBOX_ENTRY, entry)
        for one in batch:
            if one in received or one in with_receipt:
                self.receipted(one, height)
            else:
                self.add("transaction", height, ENCRYPTED_TRANSACTION, one)
        before = self.chain[-1] if self.chain else None
        message = {
            "height": height,
            "parent": ssz_root(ORDER_COMMITMENT, before) if before else ssz_root(GENESIS, NETWORK),
            "committee_id": ssz_root(KEY_SET, KEYS),
            "key_id": KEYS["key_id"],
            "round": (before["round"] if before else 0) + bool(batch),
            "batch_root": batch_root([tx_id(one) for one in batch]),
            "count": len(batch),
            "policy_id": 1,
            "l1_block": 100,
            "inbox_index": (before["inbox_index"] if before else 0) + len(shown),
            "timestamp_ms": TIME_MS + height,
            "executed_height": self.executed,
            "state_root": state_root(self.ledger),
        } | changes
        self.add("commitment", height, SIGNED_COMMITMENT, signed_in(ORDER_COMMITMENT, message, "sequencer"))
        self.chain.append(message)
        for member in (1, 2, 3):
            self.add("vote", height, SIGNED_VOTE, signed_in(VOTE, vote_for(message), f"member {member}"))
        if batch and reveal:
            for member in (1, 2, 3):
                share = signed_in(DECRYPTION_SHARE, share_message(message, member, b""), f"member {member}")
                self.add("share", height, SIGNED_SHARE, share)
            opened = [
                open_position(one["ciphertext"], one["header"], NETWORK["chain_id"], NETWORK["size_classes"])
                for one in batch
            ]
            entries = [entry_of(one["header"], what.content) for one, what in zip(batch, opened, strict=True)]
            codes = [one.code for one in execute(self.ledger, height, message["timestamp_ms"], entries)]
            key = sized(b"") + sized(b"")
            root = ssz_root(ORDER_COMMITMENT, message)
            self.add("reveal", height, REVEAL, make_reveal(root, key, codes, [one.payload for one in opened]))
        elif not batch:
            execute(self.ledger, height, message["timestamp_ms"], [])
        if reveal or not batch:
            self.executed = height
        return self

    def abstained(self, *members: int, height: int | None = None, signer: str | None = None, **changes: Any) -> Written:
        at = self.height if height is None else height
        for member in members:
            message = {"committee_id": ssz_root(KEY_SET, KEYS), "height": at} | changes
            self.add("abstention", at, SIGNED_ABSTAIN, signed_in(ABSTAIN, message, signer or f"member {member}"))
        return self

    def dropped(self, *members: int, **changes: Any) -> Written:
        """The next height, which nobody opens: abstentions, and in the chain what DRP-4 puts in its place."""
        self.abstained(*(members or (1, 2, 3)))
        before = self.chain[-1] if self.chain else None
        genesis_state = {"l1_block": 0, "inbox_index": 0, "timestamp_ms": NETWORK["timestamp_ms"], "round": 0}
        copied = before or genesis_state | {"executed_height": 0, "state_root": state_root(self.ledger)}
        self.chain.append(
            {
                **copied,
                "height": self.height,
                "parent": ssz_root(ORDER_COMMITMENT, before) if before else ssz_root(GENESIS, NETWORK),
                "committee_id": ssz_root(KEY_SET, KEYS),
                "key_id": KEYS["key_id"],
                "batch_root": batch_root([]),
                "count": 0,
                "policy_id": 1,
            }
            | changes
        )
        if self.executed == self.height - 2:
            execute(self.ledger, self.height - 1, copied["timestamp_ms"], [])
            self.executed += 1
        return self

    @property
    def data(self) -> bytes:
        end = Record("end", self.height, u64(len(self.records)))
        return bytes(MAGIC + b"".join(map(encode_record, [*self.records, end])))

    def without(self, kind: str) -> Written:
        """The first record of a kind left out."""
        at = next(at for at, record in enumerate(self.records) if record.kind == kind)
        del self.records[at]
        return self

    def exchanged(self, one: int, other: int) -> Written:
        self.records[one], self.records[other] = self.records[other], self.records[one]
        return self


def audit_cases() -> Iterator[Case]:
    def case(title: str, history: Written | bytes, *rules: str, refused: bool = True) -> Case:
        data = history if isinstance(history, bytes) else history.data
        return Case(operation="audit", title=title, requirements=rules, input={"data": to_hex(data)}, refused=refused)

    alice, bob, later = transfer("alice"), transfer("bob"), transfer("alice", 1)
    rubbish = b"rubbish"
    usual: Object = {"shown": posted(rubbish, alice, block=90), "forced": [alice], "received": [bob]}
    every = ("AUD-1", "AUD-2", "AUD-3")
    plain = Written().committed(received=[alice, bob]).committed().committed(received=[later])
    yield case("three heights without an inbox entry", plain, *every, refused=False)
    forced = ("AUD-1", "AUD-2", "FRC-3", "FRC-6")
    yield case("an entry passed over, one forced, one received", Written().committed(**usual), *forced, refused=False)
    two: Object = {"shown": posted(later, rubbish, block=90, first=2), "forced": [later]}
    yield case("entries of two heights", Written().committed(**usual).committed(**two), *forced, refused=False)
    nothing = Written().committed(shown=posted(rubbish, rubbish, block=90))
    yield case("an empty height that passes two entries over", nothing, *forced, refused=False)
    none_left: Object = {"reveal": False}
    closed = Written().committed(**usual, **none_left)
    yield case("forced, and not revealed yet", closed, "AUD-4", refused=False)
    waiting = Written().committed(shown=posted(alice, block=90), forced=[alice])
    waiting.receipted(bob, 2)
    yield case("what has a receipt waits", waiting, "AUD-1", "AUD-3", refused=False)
    both = Written().committed(**usual)
    both.receipted(alice, 2)
    yield case("a forced transaction that has a receipt too: it stands at the end", both, "AUD-3", refused=False)

    yield case("the first entry is not shown", Written().committed(**usual).without("forced"), "FRC-1")
    hidden = Written().committed(shown=posted(alice, block=90), forced=[alice], received=[bob]).without("forced")
    yield case("no entry is shown", hidden, "VOT-6", "FRC-3")
    early = Written().committed(shown=posted(alice, block=91), forced=[alice])
    yield case("the entry was not overdue", early, "FRC-3", "FRC-9", "VOT-6")
    skipped = Written().committed(shown=posted(alice, block=90), received=[bob])
    yield case("an overdue entry is shown and left out", skipped, "FRC-5")
    more = Written().committed(shown=posted(alice, bob, block=91), inbox_index=0)
    yield case("entries are shown that the height does not settle", more, "AUD-1")
    numbered = Written().committed(shown=posted(alice, block=90, first=1), forced=[alice])
    yield case("the first entry has the index 1", numbered, "FRC-1")
    older = [*posted(rubbish, block=90), *posted(alice, block=89, first=1)]
    yield case("an entry of an earlier block after it", Written().committed(shown=older, forced=[alice]), "FRC-1")
    receipt = Written().committed(**usual, with_receipt=[alice])
    yield case("a forced transaction with a receipt in its batch", receipt, "VOT-6")
    bare = Written().committed(**usual).without("receipt")
    yield case("a transaction without a receipt that is not forced", bare, "VOT-6", "AUD-3")
    # genesis, key set, two entries, alice, bob and his receipt
    behind = Written().committed(**usual).exchanged(4, 5).exchanged(5, 6)
    yield case("the forced transaction after the others", behind, "AUD-1")
    late = Written().committed(**usual).exchanged(3, 4)
    yield case("an entry after the transaction", late, "AUD-1")
    yield case("a vote is left out", Written().committed(**usual).without("vote"), "CRT-3", "AUD-2")
    yield case("a share is left out", Written().committed(**usual).without("share"), "AUD-1")
    naked = Written().committed(received=[alice])
    naked.add("transaction", 2, ENCRYPTED_TRANSACTION, bob)
    yield case("what waits comes without its receipt", naked, "AUD-1", "AUD-3")
    again = Written().committed(received=[alice])
    again.receipted(alice, 2)
    yield case("a second receipt for one transaction", again, "AUD-3")
    above = Written().committed(received=[alice], reveal=False)
    yield case("a reveal above a height that has none", above.committed(received=[bob]), "AUD-4")
    yield case("the end record is missing", plain.data[:-53], "AUD-1")

    drops = ("AUD-5", "DRP-1", "DRP-4")
    lost = Written().committed(received=[alice]).dropped()
    yield case("a dropped height above one that is open", lost, *drops, refused=False)
    on = Written().committed(received=[alice]).dropped().committed(received=[bob])
    yield case("a height built on a dropped one", on, *drops, refused=False)
    yield case(
        "the first two heights dropped",
        Written().dropped().dropped(1, 3, 4).committed(received=[alice]),
        *drops,
        refused=False,
    )
    yield case("dropped by all four", Written().dropped(1, 2, 3, 4).committed(), *drops, refused=False)
    back = Written().dropped()
    back.receipted(alice, 2)
    yield case("a transaction of a dropped height waits for nothing any more", back, "AUD-5", refused=False)
    entries = Written().committed(**usual).dropped().committed(**two)
    yield case("a dropped height between inbox entries", entries, *drops, "FRC-3", refused=False)
    shut = Written().committed(received=[alice], reveal=False).dropped().committed()
    yield case("a dropped height above one that is not open yet", shut, *drops, "AUD-4", refused=False)
    yield case(
        "too few abstentions above the last height", Written().committed().abstained(1, 2), "AUD-2", refused=False
    )
    ahead = Written().committed().abstained(1, 2).abstained(2, 3, 4, height=4)
    yield case("enough abstentions above a height that is not settled", ahead, "DRP-3", refused=False)

    yield case("two abstentions, and a height above", Written().dropped(1, 2).committed(), "AUD-1")
    yield case(
        "what stands for it in the next one's parent has another time",
        Written().dropped(timestamp_ms=1).committed(),
        "VOT-2",
    )
    yield case(
        "the next one takes the round that was lost", Written().dropped().committed(received=[alice], round=2), "VOT-8"
    )
    yield case("abstentions not by ascending member", Written().abstained(2, 1, 3), "AUD-1")
    yield case("one member's abstention twice", Written().abstained(1, 2, 2), "AUD-1")
    yield case("a stranger's abstention", Written().abstained(1, 2).abstained(3, signer="mallory"), "AUD-2")
    yield case(
        "an abstention for another committee", Written().abstained(1, 2).abstained(3, committee_id=bytes(32)), "AUD-2"
    )
    elsewhere = Written().abstained(1, 2)
    message = {"committee_id": ssz_root(KEY_SET, KEYS), "height": 2}
    elsewhere.add("abstention", 1, SIGNED_ABSTAIN, signed_in(ABSTAIN, message, "member 3"))
    yield case("an abstention for another height", elsewhere, "AUD-2")
    unsettled = Written().committed(received=[alice]).without("vote").without("vote").without("vote")
    unsettled = unsettled.without("share").without("share").without("share").without("reveal")
    yield case("dropped above a height that is not certified", unsettled.dropped(), "DRP-3")
    turned = Written().committed().abstained(1, 2)
    turned.receipted(alice, 2)
    yield case("what waits follows the abstentions", turned, "AUD-1")
    instead = Written().dropped()
    instead.add("transaction", 1, ENCRYPTED_TRANSACTION, alice)
    yield case("a dropped height shows a transaction", instead, "AUD-1")


def cases() -> Iterator[Case]:
    yield from amount_cases()
    yield from call_cases()
    yield from ledger_cases()
    yield from outcome_cases()
    yield from reveal_cases()
    yield from left_out_cases()
    yield from share_cases()
    yield from history_cases()
    yield from audit_cases()
