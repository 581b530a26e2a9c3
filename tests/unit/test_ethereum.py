"""EIP-1559 decoding: agreement with eth_account, and one refusal per field."""

from random import Random
from typing import Any

import pytest
import rlp
from eth_account import Account

from encmempool.errors import Malformed
from encmempool.ethereum import (
    EthereumTransaction,
    decode_signed,
    gas_ladder,
    intrinsic_gas,
    keccak256,
    on_ladder,
    sign_transaction,
)

KEY = bytes(31) + b"\x07"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
CHAIN, NONCE, PRIORITY, MAX_FEE, GAS, TO, VALUE, DATA, ACCESS_LIST, PARITY, R, S = range(12)


def signed(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "chain_id": 1337,
        "nonce": 5,
        "to": b"\x11" * 20,
        "value": 10**18,
        "data": b"",
        "gas_limit": 21_000,
        "max_fee_per_gas": 10**10,
        "max_priority_fee_per_gas": 10**9,
    }
    return sign_transaction(KEY, **(fields | changes))


def with_field(index: int, value: object) -> bytes:
    fields = rlp.decode(signed()[1:])
    fields[index] = value
    return b"\x02" + bytes(rlp.encode(fields))


def test_decode_signed_agrees_with_eth_account_on_random_transactions() -> None:
    seed = 20_261
    random = Random(seed)
    for _ in range(60):
        key = random.randbytes(32)
        max_fee = random.getrandbits(random.randint(1, 64))
        expected: dict[str, Any] = {
            "chain_id": random.getrandbits(random.randint(1, 40)),
            "nonce": random.getrandbits(random.randint(0, 63)),
            "to": random.randbytes(20),
            "value": random.getrandbits(random.randint(0, 255)),
            "data": random.randbytes(random.choice([0, 1, 55, 56, 300])),
            "gas_limit": random.getrandbits(63),
            "max_fee_per_gas": max_fee,
            "max_priority_fee_per_gas": random.randint(0, max_fee),
        }
        raw = sign_transaction(key, **expected)
        names = ("chainId", "nonce", "to", "value", "data", "gas", "maxFeePerGas", "maxPriorityFeePerGas")
        theirs = Account.sign_transaction(dict(zip(names, expected.values(), strict=True)), key)
        assert raw == theirs.raw_transaction
        decoded = decode_signed(raw)
        assert decoded == EthereumTransaction(
            **expected,
            sender=bytes.fromhex(Account.recover_transaction(raw)[2:]),
            raw=raw,
        ), f"seed {seed}"
        assert decoded.hash == theirs.hash
        assert decoded.sender == bytes.fromhex(Account.from_key(key).address[2:])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "0x02"),
        (b"\x01" + signed()[1:], "0x02"),
        (signed()[:-1], "one RLP list"),
        (signed() + b"\x00", "one RLP list"),
        (b"\x02\x80", "one RLP list"),
        (b"\x02", "canonical RLP"),
        (b"\x02" + rlp.encode(rlp.decode(signed()[1:])[:11]), "11 whole fields"),
        (b"\x02" + rlp.encode([*rlp.decode(signed()[1:]), b""]), "13 whole fields"),
        (with_field(NONCE, b"\x00\x05"), "nonce: leading zero"),
        (with_field(VALUE, b"\x00"), "value: leading zero"),
        (with_field(VALUE, b"\x01" * 33), "value: 33 bytes"),
        (with_field(CHAIN, b"\x01" * 9), "chain_id: 9 bytes"),
        (with_field(GAS, b"\x01" * 9), "gas_limit: 9 bytes"),
        (with_field(NONCE, b"\xff" * 8), "limit"),
        (with_field(TO, b""), "creates a contract"),
        (with_field(TO, b"\x11" * 19), "to: 19 bytes"),
        (with_field(TO, []), "list out of place"),
        (with_field(ACCESS_LIST, [[b"\x11" * 20, []]]), "access list"),
        (with_field(ACCESS_LIST, b""), "access_list: not a list"),
        (with_field(PARITY, b"").replace(b"\xc0\x80\xa0", b"\xc1\x80\xa0"), "access list"),
        (with_field(PRIORITY, b"\xff" * 8), "exceeds max_fee"),
        (with_field(PARITY, b"\x02"), "y_parity: 2"),
        (with_field(R, b""), "r: outside"),
        (with_field(R, ORDER.to_bytes(32, "big")), "r: outside"),
        (with_field(S, b""), "s: zero"),
        (with_field(S, (ORDER // 2 + 1).to_bytes(32, "big")), "upper half"),
        (with_field(R, (5).to_bytes(1, "big")), "no public key"),
    ],
)
def test_decode_signed_refuses_one_fault(raw: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        decode_signed(raw)


def test_decode_signed_refuses_long_form_of_a_short_string() -> None:
    raw = signed(data=b"\xaa\xbb")
    assert raw.count(b"\x82\xaa\xbb") == 1
    padded = raw[3:].replace(b"\x82\xaa\xbb", b"\xb8\x02\xaa\xbb")
    with pytest.raises(Malformed, match="canonical RLP"):
        decode_signed(b"\x02\xf8" + bytes([len(padded)]) + padded)


def test_decode_signed_refuses_single_byte_written_as_string() -> None:
    body = signed()[3:].replace(b"\x39\x05", b"\x39\x81\x05", 1)
    with pytest.raises(Malformed, match="canonical RLP"):
        decode_signed(b"\x02\xf8" + bytes([len(body)]) + body)


def test_decode_signed_refuses_deep_nesting_without_recursing() -> None:
    nested: bytes = b""
    for _ in range(15_000):
        nested = rlp.codec.length_prefix(len(nested), 0xC0) + nested
    items = rlp.decode(signed()[1:])
    body = b"".join(rlp.encode(item) for item in items[:8]) + nested + b"".join(map(rlp.encode, items[9:]))
    with pytest.raises(Malformed, match="access list"):
        decode_signed(b"\x02" + rlp.codec.length_prefix(len(body), 0xC0) + body)


def test_decode_signed_names_another_sender_when_a_field_is_changed() -> None:
    raw = signed()
    changed = decode_signed(with_field(VALUE, b"\x01"))
    assert changed.sender != decode_signed(raw).sender


def test_decode_signed_raises_nothing_but_malformed_on_corrupted_bytes() -> None:
    seed = 7
    random = Random(seed)
    raw = signed(data=bytes(range(60)))
    refused = 0
    for _ in range(1500):
        corrupted = bytearray(raw)
        for _ in range(random.randint(1, 3)):
            corrupted[random.randrange(len(raw))] = random.randrange(256)
        cut = bytes(corrupted[: random.choice([len(raw), random.randrange(len(raw))])])
        try:
            decode_signed(cut)
        except Malformed:
            refused += 1
    assert refused > 300, f"seed {seed}"


def test_decode_signed_accepts_only_what_rlp_encodes_again() -> None:
    seed = 8
    random = Random(seed)
    accepted = 0
    for size in (0, 1, 2, 55, 56, 300):
        raw = signed(data=random.randbytes(size))
        body = rlp.codec.consume_length_prefix(raw, 1)[3]
        for _ in range(400):
            changed = bytearray(raw)
            # The prefixes of the fields that are read by hand are many, and what they may lie about is the length.
            changed[random.randrange(body, len(raw))] = random.choice([0, 0x7F, 0x80, 0x81, 0x82, 0xB7, 0xB8, 0xC0])
            try:
                decode_signed(bytes(changed))
            except Malformed:
                continue
            accepted += 1
            assert b"\x02" + bytes(rlp.encode(rlp.decode(bytes(changed[1:])))) == changed, f"seed {seed}"
    assert accepted > 50, f"seed {seed}"


def test_sign_transaction_refuses_an_address_of_another_size() -> None:
    with pytest.raises(ValueError, match="20"):
        signed(to=b"\x11" * 21)


def test_keccak256_matches_the_known_hash_of_nothing() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_intrinsic_gas_counts_zero_and_nonzero_bytes() -> None:
    assert intrinsic_gas(b"") == 21_000
    assert intrinsic_gas(b"\x00\x00\x01") == 21_000 + 2 * 4 + 16


@pytest.mark.parametrize(
    ("gas", "rung"), [(0, 21_000), (21_000, 21_000), (21_001, 42_000), (87_700, 168_000), (168_001, 336_000)]
)
def test_gas_ladder_returns_the_next_rung(gas: int, rung: int) -> None:
    assert gas_ladder(gas) == rung


def test_on_ladder_accepts_rungs_only() -> None:
    assert [gas for gas in (0, 20_999, 21_000, 42_000, 63_000, 84_000) if on_ladder(gas)] == [21_000, 42_000, 84_000]
