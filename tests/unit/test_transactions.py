"""Padding, payload checks and encryption: PAD-1 to PAD-4, PAY-1, PAY-2, and the way there and back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool.errors import Malformed, Rejected
from encmempool.ethereum import decode_signed
from encmempool.genesis import SIZE_CLASSES
from encmempool.transactions import check_payload, encrypt_transaction, pad, unpad
from threshold.entropy import deterministic, system
from threshold.schemes.base import Batch

PREFIX = 1 + 16 + 4
GWEI = 10**9


def padded(payload: bytes = b"payload", size_classes: tuple[int, ...] = SIZE_CLASSES) -> bytes:
    return pad(payload, size_classes, random=deterministic(b"pad"))


def rule_of(plaintext: bytes, size_classes: tuple[int, ...] = SIZE_CLASSES) -> str:
    with pytest.raises(Rejected) as caught:
        unpad(plaintext, size_classes)
    return caught.value.rule


# --- padding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_class", SIZE_CLASSES)
def test_pad_fills_a_size_class_and_steps_at_its_boundary(size_class):
    fits = size_class - PREFIX
    assert len(padded(bytes(fits))) == size_class
    if size_class != SIZE_CLASSES[-1]:
        assert len(padded(bytes(fits + 1))) == 2 * size_class


@pytest.mark.parametrize("size_class", SIZE_CLASSES)
@pytest.mark.parametrize("below", [0, 1, 17])
def test_unpad_returns_what_was_padded(size_class, below):
    payload = bytes(range(1, 256)) * 300
    payload = payload[: size_class - PREFIX - below]
    assert unpad(padded(payload), SIZE_CLASSES) == payload


@pytest.mark.parametrize("payload", [b"", b"\0", b"zeros at the end" + bytes(50)])
def test_unpad_returns_the_payload_when_zeros_end_it(payload):
    assert unpad(padded(payload), SIZE_CLASSES) == payload


def test_pad_picks_the_smallest_class_when_the_list_is_not_in_order():
    assert len(padded(b"", (1024, 256, 512))) == 256


def test_pad_raises_when_no_size_class_holds_the_payload():
    with pytest.raises(ValueError, match=f"at most {65536 - PREFIX}"):
        padded(bytes(65536 - PREFIX + 1))


def test_two_paddings_differ_only_in_their_blinding():
    first, second = (pad(b"payload", SIZE_CLASSES, random=system) for _ in range(2))
    assert first[1:17] != second[1:17]
    assert first[:1] + first[17:] == second[:1] + second[17:]


@pytest.mark.parametrize(
    "plaintext",
    [b"", padded()[: PREFIX - 1], b"\0" + padded()[1:], b"\x02" + padded()[1:]],
    ids=["empty", "cut in the prefix", "version 0", "version 2"],
)
def test_unpad_rejects_another_version_pad_1(plaintext):
    assert rule_of(plaintext) == "PAD-1"


@pytest.mark.parametrize("length", [256 - PREFIX + 1, 2**32 - 1])
def test_unpad_rejects_a_length_that_does_not_fit_pad_2(length):
    plaintext = padded()
    assert rule_of(plaintext[:17] + length.to_bytes(4, "big") + plaintext[PREFIX:]) == "PAD-2"


@pytest.mark.parametrize("position", [PREFIX + 7, 128, 255])
def test_unpad_rejects_a_byte_in_the_padding_pad_3(position):
    plaintext = padded()
    assert rule_of(plaintext[:position] + b"\x01" + plaintext[position + 1 :]) == "PAD-3"


def test_unpad_rejects_a_length_shorter_than_the_payload_pad_3():
    plaintext = padded()
    assert rule_of(plaintext[:17] + (6).to_bytes(4, "big") + plaintext[PREFIX:]) == "PAD-3"


@pytest.mark.parametrize("size", [512, 65536, 255, 257, 131072])
def test_unpad_rejects_another_size_class_pad_4(size):
    """The payload would fit into 256 bytes; some of these sizes are no class at all."""
    assert rule_of(padded()[: min(size, 256)].ljust(size, b"\0")) == "PAD-4"


def test_unpad_rejects_a_class_this_network_does_not_have_pad_4():
    assert rule_of(padded(), (512, 1024)) == "PAD-4"


def test_blinding_may_be_anything():
    plaintext = padded()
    assert unpad(plaintext[:1] + b"\xff" * 16 + plaintext[17:], SIZE_CLASSES) == b"payload"


# --- payload ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def header(committee, alice, encrypt):
    return encrypt(committee, alice, gas_limit=60_000).header


def test_check_payload_accepts_what_the_header_announces(header, alice, payload, network):
    raw = payload(alice, gas_limit=60_000)
    assert check_payload(raw, header, network.chain_id) == decode_signed(raw)


@pytest.mark.parametrize("gas_limit", [84_000, 21_000])
def test_check_payload_accepts_gas_up_to_the_headers(header, alice, payload, network, gas_limit):
    assert header.gas_limit == 84_000
    assert check_payload(payload(alice, gas_limit=gas_limit), header, network.chain_id).gas_limit == gas_limit


@pytest.mark.parametrize(
    "change", [lambda raw: b"", lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda raw: raw[1:]]
)
def test_check_payload_refuses_what_is_no_transaction_pay_1(header, alice, payload, network, change):
    with pytest.raises(Malformed):
        check_payload(change(payload(alice)), header, network.chain_id)


MISMATCHES = {
    "chain id": {"chain_id": 1},
    "nonce": {"nonce": 1},
    "max fee": {"max_fee_per_gas": 30 * GWEI + 1},
    "priority fee": {"max_priority_fee_per_gas": 2 * GWEI - 1},
    "gas limit": {"gas_limit": 84_001},
}


@pytest.mark.parametrize("field", MISMATCHES)
def test_check_payload_rejects_a_field_that_is_not_the_headers_pay_2(header, alice, payload, network, field):
    with pytest.raises(Rejected, match=field) as caught:
        check_payload(payload(alice, **MISMATCHES[field]), header, network.chain_id)
    assert caught.value.rule == "PAY-2"


def test_check_payload_rejects_another_signer_pay_2(header, bob, payload, network):
    with pytest.raises(Rejected, match="signer") as caught:
        check_payload(payload(bob), header, network.chain_id)
    assert caught.value.rule == "PAY-2"


# --- encryption ------------------------------------------------------------------------------------------------------


@pytest.fixture
def encrypt_payload(committee, alice):
    """encrypt_transaction with Alice's key and any raw payload."""

    def make(raw: bytes, **changes):
        arguments = {
            "terms": committee.terms,
            "scheme": committee.scheme,
            "public_key": committee.public_key,
            "identity": alice,
            "valid_until": 50,
            "random": deterministic(b"encryption"),
        }
        return encrypt_transaction(raw, **(arguments | changes))

    return make


def refusing(_: int) -> bytes:
    raise AssertionError("something was encrypted or padded")


def test_encrypt_makes_what_the_network_admits(committee, alice, payload, encrypt_payload):
    transaction = encrypt_payload(payload(alice))
    committee.terms.check(transaction, height=50)
    committee.verify_ciphertext(transaction)


def test_encrypt_copies_the_payloads_public_fields(committee, alice, payload, encrypt_payload):
    raw = payload(alice, nonce=7, gas_limit=21_001)
    header, inner = encrypt_payload(raw).header, decode_signed(raw)
    assert (header.sender, header.nonce) == (alice.address, 7)
    assert header.max_fee_per_gas == inner.max_fee_per_gas
    assert header.max_priority_fee_per_gas == inner.max_priority_fee_per_gas
    assert (header.key_id, header.scheme) == (committee.key_set.key_id, committee.key_set.scheme)
    assert (header.target_height, header.valid_until) == (0, 50)


@pytest.mark.parametrize(
    ("gas", "rung"), [(1, 21_000), (21_000, 21_000), (21_001, 42_000), (42_000, 42_000), (87_700, 168_000)]
)
def test_encrypt_rounds_gas_up_to_the_ladder(alice, payload, encrypt_payload, gas, rung):
    assert encrypt_payload(payload(alice, gas_limit=gas)).header.gas_limit == rung


def test_encrypt_addresses_valid_until_when_the_scheme_addresses_a_height(committee, alice, payload, encrypt_payload):
    terms = replace(committee.terms, addresses_height=True)
    assert encrypt_payload(payload(alice), terms=terms).header.target_height == 50


def test_encrypt_differs_when_repeated_with_fresh_randomness(alice, payload, encrypt_payload):
    first, second = (encrypt_payload(payload(alice), random=system) for _ in range(2))
    assert first.ciphertext != second.ciphertext
    assert first.tx_id != second.tx_id


def test_encrypt_raises_when_the_key_is_not_the_signers(bob, payload, encrypt_payload):
    with pytest.raises(ValueError, match="is signed by 0x"):
        encrypt_payload(payload(bob), random=refusing)


def test_encrypt_raises_when_the_payload_is_for_another_chain(alice, payload, encrypt_payload):
    with pytest.raises(ValueError, match="this network is chain 31337"):
        encrypt_payload(payload(alice, chain_id=1), random=refusing)


def test_encrypt_raises_when_the_payload_is_malformed(alice, payload, encrypt_payload):
    with pytest.raises(Malformed):
        encrypt_payload(payload(alice) + b"\0", random=refusing)


def test_encrypt_raises_when_the_payload_is_too_large(alice, payload, encrypt_payload):
    with pytest.raises(ValueError, match="takes at most"):
        encrypt_payload(payload(alice, data=bytes(1 << 16)), random=refusing)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_fee_per_gas": 10 * GWEI - 1, "max_priority_fee_per_gas": 0},
        {"gas_limit": 21_000 * 64 + 1},
        {"gas_limit": 2**64 - 1},
    ],
    ids=["fee below the base fee", "gas above the batch's", "gas whose rung has no encoding"],
)
def test_encrypt_raises_when_the_network_would_refuse_the_payload(alice, payload, encrypt_payload, changes):
    """As its docstring says: before anything is encrypted."""
    with pytest.raises((ValueError, Malformed)):
        encrypt_payload(payload(alice, **changes), random=refusing)


@pytest.mark.parametrize("scheme", ["clear", "tdh2"])
def test_transaction_opens_to_its_payload(make_committee, network, alice, payload, encrypt, scheme):
    dealt = make_committee(network, scheme)
    committee = dealt.committee
    transactions = [encrypt(committee, alice, nonce=nonce, data=bytes(300 * nonce)) for nonce in range(3)]
    entries = tuple(map(committee.verify_ciphertext, transactions))
    batch = Batch(key_id=committee.key_set.key_id, height=1, round=1, entries=entries)
    shares = [
        committee.scheme.partial_decrypt(committee.public_key, share, batch, random=deterministic(b"share"))
        for share in dealt.shares[1:]
    ]
    batch_key, refused = committee.scheme.combine(committee.public_key, batch, shares, None)
    assert refused == ()
    prepared = committee.scheme.precompute(committee.public_key, batch)
    opened = committee.scheme.decrypt(committee.public_key, batch, batch_key, prepared)
    for nonce, (transaction, plaintext) in enumerate(zip(transactions, opened, strict=True)):
        raw = unpad(plaintext, network.size_classes)
        assert raw == payload(alice, nonce=nonce, data=bytes(300 * nonce))
        assert check_payload(raw, transaction.header, network.chain_id).nonce == nonce
