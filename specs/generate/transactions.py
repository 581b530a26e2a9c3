"""Cases of transactions.md, and builders of envelopes and payloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spec import genesis as signatures, transactions as page
from spec.notation import ENCRYPTED_TRANSACTION, GENESIS, HEADER, KEY_SET, ssz_encode, to_hex

from specs.generate.case import Case, Json, labelled
from specs.generate.genesis import GWEI, address, genesis, hexed, key_set, secret

HEIGHT = 5
VALID_UNTIL = 50


def header(of: Json, sender: str = "alice", **changes: Any) -> Json:
    keys = key_set(of)
    return {
        "version": 1,
        "key_id": keys["key_id"],
        "scheme": keys["scheme"],
        "sender": address(sender),
        "nonce": 0,
        "gas_limit": 21_000,
        "max_fee_per_gas": 30 * GWEI,
        "max_priority_fee_per_gas": 2 * GWEI,
        "target_height": 0,
        "valid_until": VALID_UNTIL,
    } | changes


def envelope(of: Json, sender: str = "alice", *, ciphertext: bytes | None = None, **changes: Any) -> Json:
    """Signed by its sender, around any bytes of the smallest size class."""
    public = header(of, sender, **changes)
    if ciphertext is None:
        ciphertext = labelled(f"ciphertext of {sender}, nonce {public['nonce']}")(of["size_classes"][0])
    return page.make_envelope(of, secret(sender), public, ciphertext)


FIELDS: dict[str, Any] = {
    "chain_id": 31337,
    "nonce": 7,
    "max_priority_fee_per_gas": 2 * GWEI,
    "max_fee_per_gas": 30 * GWEI,
    "gas_limit": 87_700,
    "to": b"\x7a" * 20,
    "value": 10**18,
    "data": b"",
}


def integer(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def items(sender: str = "alice", **changes: Any) -> list[bytes]:
    """The twelve items of a signed payload, each encoded. A change may be the bytes of an integer."""
    fields = FIELDS | changes
    encoded = [page.rlp_string(integer(f) if isinstance(f, int) else f) for f in fields.values()] + [page.rlp_list([])]
    return [*encoded, *signature_items(encoded, sender)]


def signature_items(encoded: list[bytes], sender: str) -> list[bytes]:
    digest = signatures.keccak256(b"\x02" + page.rlp_list(encoded))
    made = signatures.sign_digest(secret(sender), digest)
    return [page.rlp_string(integer(n)) for n in (made[64] - 27, *(int.from_bytes(made[a : a + 32]) for a in (0, 32)))]


def payload(sender: str = "alice", **changes: Any) -> bytes:
    return b"\x02" + page.rlp_list(items(sender, **changes))


def cases() -> Iterator[Case]:
    yield from _names()
    yield from _check()
    yield from _decode_payload()
    yield from _check_payload()
    yield from _gas_ladder()
    yield from _make_envelope()


def _case(operation: str, title: str, *rules: str, refused: bool, **given: Any) -> Case:
    shown = {name: to_hex(value) if isinstance(value, bytes) else value for name, value in given.items()}
    return Case(operation=operation, title=title, requirements=rules, input=shown, refused=refused)


def _names() -> Iterator[Case]:
    usual, other = genesis(), genesis(chain_id=1, timestamp_ms=1)
    for title, of in {"a small network": usual, "another chain and root": other}.items():
        yield Case(
            operation="domain_separator",
            title=title,
            requirements=("TXN-12",),
            input={"genesis": hexed(GENESIS, of)},
            intermediate={"type_hash": to_hex(signatures.keccak256(page.DOMAIN_TYPE))},
            refused=False,
        )
    largest: Json = {"nonce": 2**64 - 1, "gas_limit": 2**64 - 1, "max_fee_per_gas": 2**256 - 1, "target_height": 9}
    ciphertext = labelled("ciphertext")(64)
    for title, public, body in (
        ("a usual header", header(usual), ciphertext),
        ("large values, no ciphertext", header(usual, scheme=255, **largest), b""),
    ):
        yield Case(
            operation="signing_hash",
            title=title,
            requirements=("TXN-12",),
            input={"genesis": hexed(GENESIS, usual), "header": hexed(HEADER, public), "ciphertext": to_hex(body)},
            intermediate={
                "type_hash": to_hex(signatures.keccak256(page.TRANSACTION_TYPE)),
                "struct_hash": to_hex(page.struct_hash(public, body)),
            },
            refused=False,
        )
    given = {"genesis": hexed(GENESIS, usual), "ciphertext": ciphertext}
    data = ssz_encode(HEADER, header(usual))
    short = _case("signing_hash", "a header without its last byte", "TXN-13", refused=True, header=data[:-1], **given)
    yield short
    yield _case("signing_hash", "a byte after the header", "TXN-13", refused=True, header=data + b"\0", **given)

    usual_envelope = envelope(usual)
    data = ssz_encode(ENCRYPTED_TRANSACTION, usual_envelope)
    again = usual_envelope | {"signature": bytes(65)}
    rules = ("TXN-10", "TXN-11")
    yield _case("tx_id", "a usual transaction", *rules, refused=False, transaction=data)
    data_again = ssz_encode(ENCRYPTED_TRANSACTION, again)
    yield _case("tx_id", "the same with another signature", *rules, refused=False, transaction=data_again)
    empty = ssz_encode(ENCRYPTED_TRANSACTION, usual_envelope | {"ciphertext": b""})
    yield _case("tx_id", "no ciphertext", *rules, refused=False, transaction=empty)
    large = ssz_encode(ENCRYPTED_TRANSACTION, envelope(usual, ciphertext=bytes(1025)))
    yield _case("tx_id", "a ciphertext of 1025 bytes", *rules, refused=False, transaction=large)
    at = len(ssz_encode(HEADER, header(usual)))
    offset = bytes([data[at] + 1])
    yield _case("tx_id", "no bytes at all", "TXN-13", refused=True, transaction=b"")
    yield _case("tx_id", "cut within the signature", "TXN-13", refused=True, transaction=empty[:-1])
    moved = data[:at] + offset + data[at + 1 :]
    yield _case("tx_id", "the offset of the ciphertext one too high", "TXN-13", refused=True, transaction=moved)


def _check() -> Iterator[Case]:
    usual = genesis()

    def over(title: str, transaction: Json | bytes, *rules: str, refused: bool = True, **changes: Any) -> Case:
        data = transaction if isinstance(transaction, bytes) else ssz_encode(ENCRYPTED_TRANSACTION, transaction)
        given = {
            "genesis": hexed(GENESIS, usual),
            "key_set": hexed(KEY_SET, key_set(usual, valid_until=100)),
            "overhead_bytes": "0",
            "addresses_height": False,
            "height": str(HEIGHT),
            "transaction": data,
        }
        return _case("check", title, *rules, refused=refused, **(given | changes))

    def case(title: str, *rules: str, refused: bool = True, **changes: Any) -> Case:
        return over(title, envelope(usual, **changes), *rules, refused=refused)

    good = envelope(usual)
    everything = tuple(f"TXN-{number}" for number in range(1, 9))
    yield over("a usual transaction", good, *everything, refused=False)
    yield case("the highest rung of this network", "TXN-3", refused=False, gas_limit=21_000 * 64)
    yield case(
        "both fees at the base fee",
        "TXN-4",
        refused=False,
        max_fee_per_gas=10 * GWEI,
        max_priority_fee_per_gas=10 * GWEI,
    )
    yield case("the largest size class", "TXN-6", refused=False, ciphertext=bytes(1024))
    with_overhead = envelope(usual, ciphertext=bytes(64 + 160))
    yield over("a scheme with 160 bytes of overhead", with_overhead, "TXN-6", refused=False, overhead_bytes="160")
    yield case("valid for the next height only", "TXN-8", refused=False, valid_until=HEIGHT)
    yield case("valid until its key ends", "TXN-8", refused=False, valid_until=100)
    addressed = envelope(usual, target_height=VALID_UNTIL)
    yield over("a scheme that addresses a height", addressed, "TXN-5", refused=False, addresses_height=True)

    yield case("version 0", "TXN-1", version=0)
    yield case("version 2", "TXN-1", version=2)
    yield case("another key", "TXN-2", key_id=bytes(32))
    yield case("another scheme", "TXN-2", scheme=1)
    yield case("a gas limit of 0", "TXN-3", gas_limit=0)
    yield case("a gas limit one above a rung", "TXN-3", gas_limit=21_001)
    yield case("three times the first rung", "TXN-3", gas_limit=63_000)
    yield case("the rung above the network's gas limit", "TXN-3", gas_limit=21_000 * 128)
    yield case("a fee one below the base fee", "TXN-4", max_fee_per_gas=10 * GWEI - 1)
    yield case("a priority fee one above the fee", "TXN-4", max_priority_fee_per_gas=30 * GWEI + 1)
    yield case("a target height where none is addressed", "TXN-5", target_height=VALID_UNTIL)
    yield over("no target height where one is addressed", good, "TXN-5", addresses_height=True)
    early = envelope(usual, target_height=VALID_UNTIL - 1)
    yield over("another target height than valid_until", early, "TXN-5", addresses_height=True)
    yield case("a ciphertext one byte too long", "TXN-6", ciphertext=bytes(65))
    yield case("no ciphertext", "TXN-6", ciphertext=b"")
    yield over("the overhead missing", good, "TXN-6", overhead_bytes="160")
    yield case("expired at the next height", "TXN-8", valid_until=HEIGHT - 1)
    yield case("valid beyond the end of its key", "TXN-8", valid_until=101)
    by_bob = page.make_envelope(usual, secret("bob"), good["header"], good["ciphertext"])
    yield over("signed by somebody else", by_bob, "TXN-7")
    yield over("another nonce than was signed", good | {"header": good["header"] | {"nonce": 1}}, "TXN-7")
    body = bytes([good["ciphertext"][0] ^ 1]) + good["ciphertext"][1:]
    yield over("another ciphertext than was signed", good | {"ciphertext": body}, "TXN-7")
    elsewhere = envelope(genesis(chain_id=1), key_id=good["header"]["key_id"])
    yield over("signed for another network", elsewhere, "TXN-12", "TXN-7")
    r, s, v = good["signature"][:32], int.from_bytes(good["signature"][32:64]), good["signature"][64]
    other = r + (signatures.N - s).to_bytes(32) + bytes([55 - v])
    yield over("the signature with the other s", good | {"signature": other}, "TXN-7", "SIG-1")
    zero = good["signature"][:64] + bytes([v - 27])
    yield over("v is 0 or 1", good | {"signature": zero}, "TXN-7", "SIG-1")
    yield over("cut after the header", ssz_encode(ENCRYPTED_TRANSACTION, good)[:150], "TXN-13")


def _decode_payload() -> Iterator[Case]:
    def over(title: str, raw: bytes, *rules: str, refused: bool = True) -> Case:
        return _case("decode_payload", title, *rules, refused=refused, payload=raw)

    def with_item(title: str, at: int, encoded: bytes, *rules: str) -> Case:
        """One item replaced after signing; what precedes the signature is checked before it."""
        changed = items()
        changed[at] = encoded
        return over(title, b"\x02" + page.rlp_list(changed), *rules)

    def case(title: str, *rules: str, refused: bool = True, **changes: Any) -> Case:
        return over(title, payload(**changes), *rules, refused=refused)

    everything = tuple(f"PAY-{number}" for number in (1, *range(3, 9)))
    yield case("a transfer", *everything, refused=False)
    yield case("calldata of one byte below 0x80", "PAY-4", refused=False, data=b"\x7f")
    yield case("calldata of one byte from 0x80 on", "PAY-4", refused=False, data=b"\x80")
    yield case("calldata of 55 bytes", "PAY-4", refused=False, data=bytes(range(55)))
    yield case("calldata of 56 bytes", "PAY-4", refused=False, data=bytes(range(56)))
    yield case("calldata of 300 bytes", "PAY-4", refused=False, data=labelled("calldata")(300))
    zeros = {"nonce": 0, "max_priority_fee_per_gas": 0, "max_fee_per_gas": 0, "gas_limit": 0, "value": 0, "chain_id": 0}
    yield case("every integer 0", "PAY-5", refused=False, **zeros)
    largest = {"max_fee_per_gas": 2**256 - 1, "value": 2**256 - 1, "gas_limit": 2**64 - 1, "chain_id": 2**64 - 1}
    yield case("the largest integers", "PAY-5", "PAY-7", refused=False, nonce=2**64 - 2, **largest)

    raw, usual = payload(), items()
    yield over("no bytes at all", b"", "PAY-1")
    yield over("the type 1", b"\x01" + raw[1:], "PAY-1")
    yield over("the type alone", b"\x02", "PAY-1", "PAY-3")
    yield over("the last byte missing", raw[:-1], "PAY-3", "PAY-4")
    yield over("one byte after the list", raw + b"\0", "PAY-3")
    yield over("a string instead of the list", b"\x02" + page.rlp_string(b"".join(usual)), "PAY-3")
    yield over("an empty list", b"\x02\xc0", "PAY-3")
    yield over("eleven items", b"\x02" + page.rlp_list(usual[:-1]), "PAY-3")
    yield over("thirteen items", b"\x02" + page.rlp_list([*usual, b"\x80"]), "PAY-3")
    body = b"".join(usual)
    longer = b"\x02\xf9" + len(body).to_bytes(2) + body
    assert len(body) < 256
    yield over("the list's length with a leading zero byte", longer, "PAY-4")
    cut = [*usual[:-1], bytes([usual[-1][0] + 1]) + usual[-1][1:]]
    yield over("the last item reaches one byte beyond the list", b"\x02" + page.rlp_list(cut), "PAY-4")
    yield with_item("the nonce 7 written as a string of one byte", 1, b"\x81\x07", "PAY-4")
    yield with_item("`to` in the long form", 5, b"\xb8\x14" + FIELDS["to"], "PAY-4")
    for title, at, encoded in (
        ("the nonce with a leading zero byte", 1, b"\x82\x00\x07"),
        ("the value 0 written as a zero byte", 6, b"\x00"),
        ("a chain id of 9 bytes", 0, page.rlp_string(b"\x01" * 9)),
        ("a gas limit of 9 bytes", 4, page.rlp_string(b"\x01" * 9)),
        ("a value of 33 bytes", 6, page.rlp_string(b"\x01" * 33)),
        ("a y_parity of 2 bytes", 9, page.rlp_string(b"\x01\x00")),
        ("an r of 33 bytes", 10, page.rlp_string(b"\x01" * 33)),
    ):
        yield with_item(title, at, encoded, "PAY-5")
    yield case("no `to`: a contract is created", "PAY-6", to=b"")
    yield case("`to` of 19 bytes", "PAY-6", to=b"\x7a" * 19)
    yield case("`to` of 21 bytes", "PAY-6", to=b"\x7a" * 21)
    listed = page.rlp_list([page.rlp_list([page.rlp_string(b"\x11" * 20), page.rlp_list([])])])
    signed = [*items()[:8], listed]
    with_list = [*signed, *signature_items(signed, "alice")]
    yield over("an access list with an entry", b"\x02" + page.rlp_list(with_list), "PAY-6")
    yield with_item("a string for an access list", 8, b"\x80", "PAY-6")
    yield with_item("an empty list for calldata", 7, b"\xc0", "PAY-6")
    yield case("the nonce 2^64 - 1", "PAY-7", nonce=2**64 - 1)
    yield case("a priority fee above the fee", "PAY-7", max_priority_fee_per_gas=30 * GWEI + 1)
    order = signatures.N
    s = int.from_bytes(usual[11][1:])
    yield with_item("y_parity is 2", 9, b"\x02", "PAY-8")
    yield with_item("r is 0", 10, b"\x80", "PAY-8")
    yield with_item("r is N", 10, page.rlp_string(integer(order)), "PAY-8")
    yield with_item("r is the x of no point", 10, b"\x05", "PAY-8")
    yield with_item("s is 0", 11, b"\x80", "PAY-8")
    odd = 1 - int.from_bytes(usual[9].replace(b"\x80", b"\x00"))
    mirrored = [*usual[:9], page.rlp_string(integer(odd)), usual[10], page.rlp_string(integer(order - s))]
    yield over("the signature with the other s", b"\x02" + page.rlp_list(mirrored), "PAY-8")


def _check_payload() -> Iterator[Case]:
    usual = genesis()
    public = header(usual, nonce=7, gas_limit=21_000 * 8)

    def case(title: str, *rules: str, refused: bool = True, sender: str = "alice", **changes: Any) -> Case:
        given = {"payload": payload(sender, **changes), "header": hexed(HEADER, public), "chain_id": "31337"}
        return _case("check_payload", title, *rules, refused=refused, **given)

    yield case("everything as in the header", "PAY-2", refused=False)
    yield case("exactly the header's gas", "PAY-2", refused=False, gas_limit=21_000 * 8)
    yield case("another signer", "PAY-2", sender="bob")
    yield case("another chain id", "PAY-2", chain_id=1)
    yield case("another nonce", "PAY-2", nonce=8)
    yield case("a lower fee", "PAY-2", max_fee_per_gas=30 * GWEI - 1)
    yield case("a lower priority fee", "PAY-2", max_priority_fee_per_gas=2 * GWEI - 1)
    yield case("one gas more than the header", "PAY-2", gas_limit=21_000 * 8 + 1)
    yield case("no `to`", "PAY-6", to=b"")


def _gas_ladder() -> Iterator[Case]:
    for gas, title in {
        0: "nothing",
        21_000: "the first rung",
        21_001: "one above the first rung",
        42_000: "the second rung",
        87_700: "a swap",
        21_000 * 2**20 + 1: "one above the rung 20",
    }.items():
        yield _case("gas_ladder", title, "TXN-3", "TXN-14", refused=False, gas=str(gas))


def _make_envelope() -> Iterator[Case]:
    usual = genesis()
    for title, sender, size in (("by Alice", "alice", 64), ("by Bob, a larger size class", "bob", 256)):
        public = header(usual, sender, nonce=3)
        ciphertext = labelled(f"made envelope {title}")(size)
        yield Case(
            operation="make_envelope",
            title=title,
            requirements=("TXN-7", "TXN-11", "TXN-12", "SIG-5"),
            input={
                "genesis": hexed(GENESIS, usual),
                "key": to_hex(secret(sender)),
                "header": hexed(HEADER, public),
                "ciphertext": to_hex(ciphertext),
            },
            intermediate={"signing_hash": to_hex(page.signing_hash(usual, public, ciphertext))},
            refused=False,
        )
