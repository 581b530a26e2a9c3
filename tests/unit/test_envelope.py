"""TXN-1 to TXN-9: EIP-712 against eth-account, and one fault for each requirement."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak

from encmempool.envelope import TYPED_DATA, Terms, reservation
from encmempool.errors import Malformed, Rejected
from encmempool.types import EncryptedTransaction

HEIGHT = 5


@pytest.fixture(scope="module")
def terms(committee) -> Terms:
    return committee.terms


@pytest.fixture(scope="module")
def honest(committee, alice, encrypt) -> EncryptedTransaction:
    return encrypt(committee, alice)


def wallet_hash(terms: Terms, transaction: EncryptedTransaction) -> bytes:
    """The digest as eth-account derives it from what a wallet is shown."""
    typed = encode_typed_data(full_message=terms.typed_data(transaction.header, transaction.ciphertext))
    return bytes(keccak(b"\x19" + typed.version + typed.header + typed.body))


# --- EIP-712 ---------------------------------------------------------------------------------------------------------


def test_signing_hash_equals_eth_accounts(terms, honest):
    assert terms.signing_hash(honest.header, honest.ciphertext) == wallet_hash(terms, honest)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 255},
        {"nonce": 2**64 - 1},
        {"gas_limit": 2**64 - 1, "target_height": 9, "valid_until": 2**64 - 1},
        {"max_fee_per_gas": 2**256 - 1, "max_priority_fee_per_gas": 2**256 - 1},
        {"sender": bytes(20), "key_id": bytes(32), "scheme": 0},
        {"ciphertext": b""},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_signing_hash_equals_eth_accounts_at_extremes(terms, alice, seal_envelope, changes):
    transaction = seal_envelope(terms, alice, **changes)
    assert terms.signing_hash(transaction.header, transaction.ciphertext) == wallet_hash(terms, transaction)


def test_signing_hash_equals_eth_accounts_in_another_network(make_genesis, terms, honest):
    elsewhere = replace(terms, genesis=make_genesis(chain_id=10**9))
    assert elsewhere.signing_hash(honest.header, honest.ciphertext) == wallet_hash(elsewhere, honest)


def test_typed_data_names_every_field_of_the_header_and_the_ciphertext(honest):
    words = [field["name"] for field in TYPED_DATA["EncryptedTransaction"]]
    fields = [name.split("_") for name in (*honest.header.__dataclass_fields__, "ciphertext")]
    assert words == [first + "".join(word.title() for word in rest) for first, *rest in fields]


def test_wallet_signature_is_accepted(terms, alice, honest):
    message = terms.typed_data(honest.header, honest.ciphertext)
    signed = Account.sign_typed_data(alice.secret_bytes(), full_message=message)
    terms.check(replace(honest, signature=bytes(signed.signature)), height=HEIGHT)


def test_signing_hash_differs_when_any_signed_part_does(terms, make_genesis, honest):
    header, ciphertext = honest.header, honest.ciphertext
    changed = [
        replace(header, **{name: value + 1 if isinstance(value, int) else value[::-1]})
        for name in header.__dataclass_fields__
        for value in [getattr(header, name)]
    ]
    hashes = {terms.signing_hash(header, ciphertext), terms.signing_hash(header, ciphertext[:-1])}
    hashes |= {terms.signing_hash(other, ciphertext) for other in changed}
    hashes |= {
        replace(terms, genesis=make_genesis(**change)).signing_hash(header, ciphertext)
        for change in ({"chain_id": 1}, {"base_fee": 1})
    }
    assert len(hashes) == 2 + len(changed) + 2


# --- TXN-1 to TXN-8 --------------------------------------------------------------------------------------------------


def test_check_accepts_an_honest_transaction(terms, committee, honest):
    terms.check(honest, height=HEIGHT)
    committee.verify_ciphertext(honest)


def test_check_accepts_what_touches_every_bound(terms, alice, seal_envelope):
    base_fee = terms.genesis.base_fee
    transaction = seal_envelope(
        terms,
        alice,
        gas_limit=terms.genesis.gas_limit,
        max_fee_per_gas=base_fee,
        max_priority_fee_per_gas=base_fee,
        valid_until=HEIGHT,
        ciphertext=bytes(max(terms.ciphertext_sizes)),
    )
    terms.check(transaction, height=HEIGHT)


FAULTS = {
    "version 0": ("TXN-1", {"version": 0}),
    "version 2": ("TXN-1", {"version": 2}),
    "another key": ("TXN-2", {"key_id": bytes(32)}),
    "another scheme": ("TXN-2", {"scheme": 0}),
    "no gas": ("TXN-3", {"gas_limit": 0}),
    "gas above a rung": ("TXN-3", {"gas_limit": 21_001}),
    "gas at no power of two": ("TXN-3", {"gas_limit": 63_000}),
    "gas above the batch's": ("TXN-3", {"gas_limit": 21_000 * 128}),
    "fee below the base fee": ("TXN-4", {"max_fee_per_gas": 10 * 10**9 - 1}),
    "priority fee above the fee": ("TXN-4", {"max_priority_fee_per_gas": 30 * 10**9 + 1}),
    "a target height": ("TXN-5", {"target_height": 50}),
    "no ciphertext": ("TXN-6", {"ciphertext": b""}),
    "a size class without overhead": ("TXN-6", {"ciphertext": bytes(256)}),
    "one byte above a size class": ("TXN-6", {"ciphertext": bytes(417)}),
    "above the largest size class": ("TXN-6", {"ciphertext": bytes((1 << 17) + 160)}),
    "expired": ("TXN-8", {"valid_until": HEIGHT - 1}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_check_rejects_one_fault(terms, alice, seal_envelope, fault):
    """Every one is signed by its sender, so that the signature is not what is wrong."""
    rule, changes = FAULTS[fault]
    with pytest.raises(Rejected) as caught:
        terms.check(seal_envelope(terms, alice, **changes), height=HEIGHT)
    assert caught.value.rule == rule


@pytest.mark.parametrize(("target_height", "accepted"), [(50, True), (0, False), (49, False)])
def test_check_wants_valid_until_as_target_for_schemes_that_address_a_height(
    terms, alice, seal_envelope, target_height, accepted
):
    addressing = replace(terms, addresses_height=True)
    transaction = seal_envelope(addressing, alice, target_height=target_height, valid_until=50)
    if accepted:
        addressing.check(transaction, height=HEIGHT)
        return
    with pytest.raises(Rejected) as caught:
        addressing.check(transaction, height=HEIGHT)
    assert caught.value.rule == "TXN-5"


def test_check_rejects_a_transaction_that_outlives_its_key(terms, alice, seal_envelope):
    ending = replace(terms, key_set=replace(terms.key_set, valid_until=40))
    ending.check(seal_envelope(ending, alice, valid_until=40), height=HEIGHT)
    with pytest.raises(Rejected, match="key ends at 40") as caught:
        ending.check(seal_envelope(ending, alice, valid_until=41), height=HEIGHT)
    assert caught.value.rule == "TXN-8"


def test_check_rejects_a_foreign_signature(terms, bob, honest):
    signature = bob.sign(terms.signing_hash(honest.header, honest.ciphertext))
    with pytest.raises(Rejected, match="not signed by its sender") as caught:
        terms.check(replace(honest, signature=signature), height=HEIGHT)
    assert caught.value.rule == "TXN-7"


@pytest.mark.parametrize(
    "changes",
    [{"nonce": 1}, {"max_fee_per_gas": 31 * 10**9}, {"max_priority_fee_per_gas": 0}, {"gas_limit": 42_000}],
    ids=lambda changes: next(iter(changes)),
)
def test_check_rejects_a_header_changed_after_signing(terms, honest, changes):
    with pytest.raises(Rejected) as caught:
        terms.check(replace(honest, header=replace(honest.header, **changes)), height=HEIGHT)
    assert caught.value.rule == "TXN-7"


def test_check_rejects_a_signature_for_another_network(terms, make_genesis, alice, honest):
    """Same chain id, another genesis: the salt tells them apart."""
    elsewhere = replace(terms, genesis=make_genesis(timestamp_ms=1))
    signature = alice.sign(elsewhere.signing_hash(honest.header, honest.ciphertext))
    with pytest.raises(Rejected) as caught:
        terms.check(replace(honest, signature=signature), height=HEIGHT)
    assert caught.value.rule == "TXN-7"


def test_check_rejects_a_signature_that_is_none(terms, honest):
    """The recovery itself fails, so the rule is the signature's own."""
    with pytest.raises(Rejected) as caught:
        terms.check(replace(honest, signature=bytes(65)), height=HEIGHT)
    assert caught.value.rule == "SIG-1"


def test_reservation_is_gas_times_max_fee(honest):
    assert reservation(honest.header) == 21_000 * 30 * 10**9


# --- TXN-9 -----------------------------------------------------------------------------------------------------------


def assert_refused(committee, transaction: EncryptedTransaction) -> None:
    """TXN-9 alone: bytes that are no ciphertext are Malformed, a proof that fails is the scheme's TDH-2."""
    with pytest.raises((Malformed, Rejected)) as caught:
        committee.verify_ciphertext(transaction)
    assert isinstance(caught.value, Malformed) or caught.value.rule == "TDH-2"


def flipped(ciphertext: bytes, position: int, mask: int) -> bytes:
    return ciphertext[:position] + bytes([ciphertext[position] ^ mask]) + ciphertext[position + 1 :]


def test_ciphertext_is_refused_when_any_byte_is_changed(committee, honest):
    for position in range(len(honest.ciphertext)):
        for mask in (0x01, 0x80):
            assert_refused(committee, replace(honest, ciphertext=flipped(honest.ciphertext, position, mask)))


def resigned_by(identity, committee, transaction: EncryptedTransaction, **changes) -> EncryptedTransaction:
    """The ciphertext under another header, signed properly by whoever sends it."""
    header = replace(transaction.header, sender=identity.address, **changes)
    signature = identity.sign(committee.terms.signing_hash(header, transaction.ciphertext))
    return EncryptedTransaction(header=header, ciphertext=transaction.ciphertext, signature=signature)


def test_ciphertext_is_refused_when_copied_by_another_sender(committee, bob, honest):
    stolen = resigned_by(bob, committee, honest)
    committee.terms.check(stolen, height=HEIGHT)  # nothing else is wrong with it
    assert_refused(committee, stolen)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": 1},
        {"max_fee_per_gas": 31 * 10**9},
        {"max_priority_fee_per_gas": 3 * 10**9},
        {"gas_limit": 42_000},
        {"valid_until": 51},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("thief", [False, True], ids=["same sender", "thief"])
def test_ciphertext_is_refused_under_another_header(committee, alice, bob, honest, changes, thief):
    moved = resigned_by(bob if thief else alice, committee, honest, **changes)
    committee.terms.check(moved, height=HEIGHT)
    assert_refused(committee, moved)


def test_ciphertext_is_refused_under_another_key(make_genesis, make_committee, honest, alice):
    """The same points as a key of another network: key_id is in the ciphertext's transcript."""
    elsewhere = make_committee(make_genesis(timestamp_ms=1)).committee
    moved = resigned_by(alice, elsewhere, honest, key_id=elsewhere.key_set.key_id)
    elsewhere.terms.check(moved, height=HEIGHT)
    assert_refused(elsewhere, moved)
