"""What a chain holds of transactions before their commitment: bounded, and worth nothing but time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from encmempool.certificates import vote_for
from encmempool.committee import Ahead, Ballot, Chain
from encmempool.mempool import MAX_UNEXECUTED
from encmempool.types import (
    OrderCommitment,
    Receipt,
    SignedReceipt,
    SignedVote,
    signing_digest,
)


@pytest.fixture
def transactions(encrypt: Any, committee: Any, alice: Any) -> Any:
    return [encrypt(committee, alice, nonce=nonce, valid_until=20 + nonce) for nonce in range(6)]


@pytest.fixture
def chain(committee: Any, make_state: Any) -> Chain:
    return Chain(committee, make_state())


@pytest.fixture
def receipt(sequencer: Any, network: Any) -> Any:
    def make(transaction: Any, sequence: int = 0, include_by_height: int = 16) -> SignedReceipt:
        message = Receipt(
            tx_id=transaction.tx_id,
            sequence=sequence,
            received_at_ms=0,
            include_by_height=include_by_height,
            include_by_l1_block=0,
            reveal_by_l1_block=0,
        )
        return SignedReceipt(message=message, signature=sequencer.sign(signing_digest(message, network.root)))

    return make


def test_ahead_drops_the_oldest_when_there_are_too_many(transactions: Any) -> None:
    ahead = Ahead(objects=3)
    for transaction in transactions:
        ahead.add(transaction)
        assert len(ahead) <= 3
    assert list(ahead.objects.values()) == transactions[3:]


def test_ahead_drops_the_oldest_when_there_are_too_many_bytes(transactions: Any) -> None:
    size = len(transactions[0].encoded)
    ahead = Ahead(size_bytes=2 * size + size // 2)
    for transaction in (*transactions, transactions[-1]):
        ahead.add(transaction)
    assert list(ahead.objects.values()) == transactions[4:]
    ahead.forget(transactions[4])
    ahead.forget(transactions[4])
    ahead.add(transactions[0])
    assert list(ahead.objects.values()) == [transactions[5], transactions[0]]


def test_ahead_takes_nothing_that_does_not_fit(transactions: Any) -> None:
    ahead = Ahead(size_bytes=10)
    ahead.add(transactions[0])
    assert len(ahead) == 0


def test_ahead_forgets_what_was_verified_with_its_transaction(transactions: Any, committee: Any) -> None:
    ahead = Ahead(objects=1)
    first, second = transactions[:2]
    ahead.add(first, committee.verify_ciphertext(first))
    assert ahead.verified(first) is not None
    ahead.add(second)
    assert ahead.verified(first) is None


def test_chain_prepares_many_and_says_which_passed(chain: Chain, transactions: Any, alice: Any, encrypt: Any) -> None:
    bad = replace(transactions[1], ciphertext=transactions[2].ciphertext)
    forged = replace(transactions[3], signature=transactions[4].signature)
    late = encrypt(chain.committee, alice, nonce=9, valid_until=0)
    good = [transactions[0], transactions[4]]
    chain.prepare(transactions[0])
    assert chain.prepare_all([transactions[0], bad, forged, transactions[4], late]) == tuple(good)
    assert set(chain._ahead.objects.values()) == set(good)
    assert chain.prepare_all(good) == tuple(good)
    assert chain.prepare_all([]) == ()


def test_chain_refuses_a_ciphertext_that_only_the_scheme_can_tell_from_a_good_one(
    chain: Chain, committee: Any, alice: Any, bob: Any, encrypt: Any, seal_envelope: Any
) -> None:
    copied = seal_envelope(committee.terms, bob, ciphertext=encrypt(committee, alice).ciphertext)
    good = encrypt(committee, alice)
    assert chain.prepare_all([copied, good]) == (good,)


def test_chain_forgets_what_expired_and_what_its_sender_has_moved_past(
    chain: Chain, transactions: Any, receipt: Any, alice: Any
) -> None:
    chain.prepare_all(transactions)
    receipts = [receipt(t, at, include_by_height=20 + at) for at, t in enumerate(transactions)]
    for signed in receipts:
        chain.prepare_receipt(signed)
    chain.base = 21  # the next height is 22: the first two transactions and receipts are late
    chain._next_nonces[alice.address] = 4
    chain._forget_expired()
    assert set(chain._ahead.objects.values()) == {*transactions[4:], *receipts[2:]}


def test_chain_checks_a_receipt_again_that_had_to_go(chain: Chain, transactions: Any, receipt: Any) -> None:
    signed = receipt(transactions[0])
    chain.prepare_receipt(signed)
    assert chain._ahead.holds(signed)
    chain._ahead.forget(signed)
    chain.prepare_receipt(signed)
    assert chain._ahead.holds(signed)


def test_chain_uses_nothing_that_was_checked_for_another_committee(chain: Chain, transactions: Any) -> None:
    """Its key may be another, or its sequencer."""
    chain.prepare(transactions[0])
    chain.committees = (chain.committee, replace(chain.committee))
    assert chain.decode is not None
    assert len(chain._checked_ahead()) == 0
    chain.prepare(transactions[1])
    assert len(chain._checked_ahead()) == 1


def test_ballot_forgets_heights_without_votes(committee: Any, dealt: Any, network: Any) -> None:
    commitment = OrderCommitment(
        **dict.fromkeys(OrderCommitment.__dataclass_fields__, 0)
        | {name: bytes(32) for name in ("parent", "committee_id", "key_id", "batch_root", "state_root")}
    )
    vote = replace(vote_for(commitment), committee_id=committee.committee_id)
    ballot, first = Ballot(committee), dealt.identities[0]
    for height in range(1, 4 * MAX_UNEXECUTED):
        message = replace(vote, height=height)
        signed = SignedVote(message=message, signature=first.sign(signing_digest(message, network.root)))
        ballot.add(signed)
        assert ballot.vote(height, 1) == signed
        assert ballot.votes(height) == (signed,)
    assert len(ballot._votes) == 2 * MAX_UNEXECUTED
    assert (ballot.vote(1, 1), ballot.votes(1), ballot.vote(9999, 1)) == (None, (), None)
