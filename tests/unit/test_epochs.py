"""Epochs: which key counts at which height, what is admitted for it, and what a receipt may promise (TXN-8, SEQ-4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool.envelope import Epochs, check_receipt
from encmempool.errors import Rejected
from encmempool.types import Receipt, SignedReceipt, signing_digest

OLD, NEW = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def terms(clear_committee):
    """Terms of an epoch, as they would be after any change of committee."""

    def make(key_id=OLD, start=1, *, rounds=0, addresses_height=False):
        usual = clear_committee.terms
        key_set = replace(usual.key_set, key_id=key_id, start_height=start, rounds=rounds)
        return replace(usual, key_set=key_set, addresses_height=addresses_height)

    return make


@pytest.fixture
def epochs(terms):
    """Epochs of the key sets given as (key, start height)."""

    def make(*later, **keywords):
        made = Epochs(terms(**keywords))
        for key_id, start in later:
            made.adopt(terms(key_id, start, **keywords))
        return made

    return make


def rule_of(call, *arguments, **keywords) -> str:
    with pytest.raises(Rejected) as caught:
        call(*arguments, **keywords)
    return caught.value.rule


# --- which terms count -----------------------------------------------------------------------------------------------


def test_at_changes_with_the_start_height(epochs):
    known = epochs((NEW, 7), (b"\x03" * 32, 9))
    keys = [known.at(height).key_set.key_id[0] for height in (0, 1, 6, 7, 8, 9, 1000)]
    assert keys == [1, 1, 1, 2, 2, 3, 3]


def test_of_key_finds_a_key_before_its_start_and_until_its_end(epochs):
    known = epochs((NEW, 7))
    assert known.of_key(NEW, height=2).key_set.start_height == 7
    assert known.of_key(OLD, height=6).key_set.key_id == OLD
    assert known.of_key(OLD, height=7).key_set.key_id == NEW


def test_of_key_is_the_newest_key_set_of_a_key_shared_anew(epochs):
    assert epochs((OLD, 5), (OLD, 8)).of_key(OLD, height=6).key_set.start_height == 8


def test_of_key_of_a_stranger_is_what_refuses_it(epochs):
    known = epochs((NEW, 7))
    assert known.of_key(b"\x09" * 32, height=3).key_set.key_id == OLD
    assert known.of_key(b"\x09" * 32, height=7).key_set.key_id == NEW


def test_key_goes_from_its_first_start_to_the_height_before_another_keys(epochs):
    known = epochs((OLD, 4), (NEW, 7))
    assert (known.key_start(OLD), known.key_end(OLD)) == (1, 6)
    assert (known.key_start(NEW), known.key_end(NEW)) == (7, 2**64 - 1)
    assert (known.key_start(b"\x09" * 32), known.key_end(b"\x09" * 32)) == (0, 0)


def test_key_ends_where_its_rounds_were_used_up_or_earlier(epochs):
    known = epochs((NEW, 7))
    for height in (5, 6):
        known.use_up(OLD, height=height)
    assert known.key_end(OLD) == 5
    known.use_up(NEW, height=9)
    assert known.key_end(NEW) == 9
    ended = epochs((NEW, 7))
    ended.use_up(OLD, height=20)
    assert ended.key_end(OLD) == 6


# --- what is admitted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("valid_until", "rule"), [(6, "TXN-8"), (7, None), (50, None)])
def test_check_admits_a_next_keys_transaction_that_lives_to_its_start_txn_8(
    epochs, terms, seal_envelope, alice, valid_until, rule
):
    transaction = seal_envelope(terms(NEW, 7), alice, valid_until=valid_until)
    if rule:
        assert rule_of(epochs((NEW, 7)).check, transaction, height=2) == rule
    else:
        epochs((NEW, 7)).check(transaction, height=2)


def test_check_refuses_the_key_before_from_the_start_of_the_next_txn_2(epochs, terms, seal_envelope, alice):
    transaction = seal_envelope(terms(), alice, valid_until=50)
    epochs((NEW, 7)).check(transaction, height=6)
    assert rule_of(epochs((NEW, 7)).check, transaction, height=7) == "TXN-2"


@pytest.mark.parametrize(("target", "rule"), [(6, None), (7, "TXN-8"), (50, "TXN-8")])
def test_check_refuses_a_height_that_another_key_opens_txn_8(epochs, terms, seal_envelope, alice, target, rule):
    """It could never be committed: the height it addresses has another key."""
    own = terms(addresses_height=True)
    transaction = seal_envelope(own, alice, valid_until=target, target_height=target)
    known = epochs((NEW, 7), addresses_height=True)
    if rule:
        assert rule_of(known.check, transaction, height=2) == rule
    else:
        known.check(transaction, height=2)


# --- receipts --------------------------------------------------------------------------------------------------------


@pytest.fixture
def receipt(sequencer, network):
    def make(transaction, include_by):
        deadlines = network.deadlines
        message = Receipt(
            tx_id=transaction.tx_id,
            sequence=0,
            received_at_ms=1,
            include_by_height=include_by,
            include_by_l1_block=deadlines.include_l1_blocks,
            reveal_by_l1_block=deadlines.include_l1_blocks + deadlines.reveal_l1_blocks,
        )
        return SignedReceipt(message=message, signature=sequencer.sign(signing_digest(message, network.root)))

    return make


@pytest.mark.parametrize(("promised", "accepted"), [(49, True), (50, True), (51, False)])
def test_receipt_promises_at_most_the_last_valid_height_seq_4(terms, seal_envelope, alice, receipt, promised, accepted):
    transaction = seal_envelope(terms(), alice, valid_until=50)
    if accepted:
        check_receipt(terms(), transaction, receipt(transaction, promised))
    else:
        assert rule_of(check_receipt, terms(), transaction, receipt(transaction, promised)) == "SEQ-4"


@pytest.mark.parametrize(("promised", "accepted"), [(49, False), (50, True), (51, False)])
def test_receipt_promises_exactly_the_height_a_transaction_is_encrypted_to_seq_4(
    terms, seal_envelope, alice, receipt, promised, accepted
):
    own = terms(addresses_height=True)
    transaction = seal_envelope(own, alice, valid_until=50, target_height=50)
    if accepted:
        check_receipt(own, transaction, receipt(transaction, promised))
    else:
        assert rule_of(check_receipt, own, transaction, receipt(transaction, promised)) == "SEQ-4"
