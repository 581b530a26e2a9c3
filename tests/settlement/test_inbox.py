"""The inbox on chain: full bytes in order, at a price, and who has to settle them: STL-30, STL-31."""

from __future__ import annotations

import hashlib

import pytest

from encmempool.settlement.rehearsal import Reverted
from encmempool.types import MAX_CIPHERTEXT_BYTES, EncryptedTransaction


def post(world, entry, *, wei=None):
    p = world.parameters
    fee = p.entry_fee + p.byte_fee * len(entry) if wei is None else wei
    return world.inbox.send("post", entry, sender=world.anybody, wei=fee)


def test_entry_is_posted_whole_with_its_block_and_sender_frc_1(bare):
    entries = [bare.network.transaction().encoded for _ in range(3)]
    for index, entry in enumerate(entries):
        done = post(bare, entry)
        (log,) = bare.inbox.logs(done)
        assert log.arguments == {"index": index, "sender": bare.anybody, "entry": entry}
        assert bare.inbox.get("entry", index) == (hashlib.sha256(entry).digest(), bare.anybody, bare.chain.block())
    assert bare.inbox.get("count") == 3


def test_largest_transaction_fits_and_nothing_larger(bare):
    made = bare.network.transaction()
    largest = EncryptedTransaction(
        header=made.header, ciphertext=bytes(MAX_CIPHERTEXT_BYTES), signature=made.signature
    ).encoded
    post(bare, largest)
    with pytest.raises(Reverted):
        post(bare, largest + b"\0")


@pytest.mark.parametrize("difference", [-1, 1])
def test_fee_is_exact_so_that_flooding_costs_the_flooder(bare, refused, difference):
    p = bare.parameters
    with refused("fee"):
        post(bare, b"entry", wei=p.entry_fee + 5 * p.byte_fee + difference)
    post(bare, b"entry")
    assert bare.chain.balance(bare.inbox.address) == p.entry_fee + 5 * p.byte_fee


def test_empty_entry_is_refused(bare, refused):
    with refused("FRC-1"):
        post(bare, b"")


def test_entries_up_to_a_block_are_counted(bare):
    start = bare.chain.block()
    counts = {start - 1: 0}
    for number, entries in ((0, 2), (1, 0), (2, 1), (3, 4), (10, 1)):
        bare.chain.advance(start + number - bare.chain.block())
        for _ in range(entries):
            post(bare, b"entry")
        counts[start + number] = bare.inbox.get("count")
    counts[start + 7] = counts[start + 3]
    counts[2**64] = 8
    assert {number: bare.inbox.get("count_at", number) for number in counts} == counts


def test_entry_that_was_not_posted_is_refused(bare, refused):
    with refused("index"):
        bare.inbox.get("entry", 0)
