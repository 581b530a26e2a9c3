"""From submission to execution, with every party honest: all roles end in one state."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from encmempool.errors import Rejected
from encmempool.reveal import Follower
from encmempool.store import perform
from encmempool.types import EncryptedTransaction

COMBINATIONS = [
    ("tdh2", "arrival"),
    ("tdh2", "priority_fee"),
    ("tdh2", "shuffle"),
    ("clear", "arrival"),
    ("clear", "priority_fee"),
]


def roots(network):
    """Every role's latest state root."""
    return {network.follower.latest.root, *(seat.follower.latest.root for seat in network.seats)}


@pytest.mark.parametrize(("scheme", "policy"), COMBINATIONS)
def test_pipeline_agrees_on_one_state_over_several_heights(make_world, scheme, policy):
    world = make_world(scheme, policy)
    for height in range(1, 4):
        submitted = []
        for person in world.people[:3]:
            for nonce in (2 * height - 2, 2 * height - 1):
                transaction = world.transfer(person, nonce, max_priority_fee_per_gas=(person.address[0] % 9) * 10**9)
                submitted.append(transaction.tx_id)
                world.network.submit(transaction.encoded)
        executed = world.run_height()
        assert executed.ready.commitment.height == height
        assert {t.tx_id for t in executed.ready.proposal.transactions} == set(submitted)
        assert {r.code for r in executed.receipts} == {"executed"}
        assert all(r.success for r in executed.receipts)
        assert roots(world.network) == {executed.state.root}
    assert all(world.nonce(person) == 6 for person in world.people[:3])
    assert roots(world.restart()) == {executed.state.root}


@pytest.mark.parametrize(("scheme", "policy"), COMBINATIONS)
def test_pipeline_runs_swaps_and_transfers_together(make_world, scheme, policy):
    world = make_world(scheme, policy)
    executed = world.run_height(
        world.swap(world.people[0]), world.transfer(world.people[1]), world.swap(world.people[2])
    )
    assert [r.code for r in executed.receipts] == ["executed"] * 3
    assert sorted(r.amount_out > 0 for r in executed.receipts) == [False, True, True]


@pytest.mark.parametrize("policy", ["arrival", "priority_fee", "shuffle"])
def test_pipeline_runs_each_senders_nonces_in_ascending_order(make_world, policy):
    world = make_world("tdh2", policy)
    alice, bob = world.people[:2]
    for nonce in range(4):  # the later the nonce, the higher the fee: a naive ranking would reverse them
        fee = (nonce + 1) * 10**9
        world.network.submit(world.transfer(alice, nonce, max_priority_fee_per_gas=fee).encoded)
        world.network.submit(world.transfer(bob, nonce, max_priority_fee_per_gas=fee).encoded)
    executed = world.run_height()
    by_position = {r.position: t for r, t in zip(executed.receipts, executed.ready.proposal.transactions, strict=True)}
    for person in (alice, bob):
        own = [by_position[at].header.nonce for at in range(8) if by_position[at].header.sender == person.address]
        assert own == [0, 1, 2, 3]
    assert [r.code for r in executed.receipts] == ["executed"] * 8


def test_pipeline_commits_by_receipt_sequence_under_arrival(world):
    sent = [world.transfer(person) for person in reversed(world.people[:5])]
    executed = world.run_height(*sent)
    assert [t.tx_id for t in executed.ready.proposal.transactions] == [t.tx_id for t in sent]


def test_pipeline_commits_by_fee_under_priority_fee(make_world):
    world = make_world("tdh2", "priority_fee")
    fees = [3, 1, 5, 2]
    sent = [
        world.transfer(person, max_priority_fee_per_gas=fee * 10**9)
        for person, fee in zip(world.people, fees, strict=False)
    ]
    executed = world.run_height(*sent)
    committed = [t.header.max_priority_fee_per_gas // 10**9 for t in executed.ready.proposal.transactions]
    assert committed == [5, 3, 2, 1]


@pytest.mark.parametrize(("scheme", "policy"), COMBINATIONS)
def test_pipeline_executes_an_empty_batch_without_share_or_round(make_world, scheme, policy):
    world = make_world(scheme, policy)
    executed = world.run_height()
    assert executed.receipts == ()
    assert executed.reveal is None
    assert executed.ready.commitment.round == 0
    assert world.network.follower.shares(1) == ()
    assert roots(world.network) == {executed.state.root}
    later = world.run_height(world.transfer(world.people[0]))
    assert later.ready.commitment.round == 1


def test_pipeline_leaves_a_sender_in_flight_out_of_the_next_commitment(world):
    alice, bob = world.people[:2]
    world.network.submit(world.transfer(alice).encoded)
    first = world.network.commit()
    waiting = world.transfer(alice, 1)
    world.network.submit(waiting.encoded)
    world.network.submit(world.transfer(bob).encoded)
    second = world.network.commit()
    assert [t.header.sender for t in second.transactions] == [bob.address]
    assert first.commitment.message.height + 1 == second.commitment.message.height
    world.network.reveal()
    third = world.network.commit()
    assert [t.tx_id for t in third.transactions] == [waiting.tx_id]
    (executed,) = world.network.reveal()
    assert executed.receipts[0].success


@pytest.mark.parametrize("policy", ["arrival", "shuffle"])
def test_pipeline_reveals_two_commitments_that_were_pending_together(make_world, policy):
    world = make_world("tdh2", policy)
    world.network.submit(world.transfer(world.people[0]).encoded)
    first = world.network.commit()
    world.network.submit(world.transfer(world.people[1]).encoded)
    second = world.network.commit()
    assert second.commitment.message.executed_height == 0
    certificates = [world.network.vote(first), world.network.vote(second)]
    for certificate in reversed(certificates):  # the later height's shares come first
        world.network.release(certificate)
    executed = world.network.execute()
    assert [e.ready.commitment.height for e in executed] == [1, 2]
    assert len(roots(world.network)) == 1
    assert world.network.follower.latest.height == 2
    assert roots(world.restart()) == {executed[-1].state.root}


def test_pipeline_does_not_execute_a_later_height_before_an_earlier_one(world):
    world.network.submit(world.transfer(world.people[0]).encoded)
    first = world.network.vote(world.network.commit())
    world.network.submit(world.transfer(world.people[1]).encoded)
    second = world.network.vote(world.network.commit())
    world.network.release(second)
    assert world.network.execute() == ()
    world.network.release(first)
    assert [e.ready.commitment.height for e in world.network.execute()] == [1, 2]


def test_pipeline_restarts_with_an_empty_height_certified_above_an_unrevealed_one(world):
    """Pipelining allows it, so loading must."""
    world.network.submit(world.transfer(world.people[0]).encoded)
    first = world.network.commit()
    second = world.network.commit()
    assert second.commitment.message.count == 0
    certificates = [world.network.vote(first), world.network.vote(second)]
    network = world.restart()
    for certificate in certificates:
        network.release(certificate)
    network.execute()
    assert network.follower.latest.height == 2


def test_pipeline_goes_on_after_a_restart_between_the_votes_for_an_empty_height_and_its_execution(world):
    """The archive runs the height when it is loaded; the members must not be left behind."""
    world.network.vote(world.network.commit())
    network = world.restart()
    network.submit(world.transfer(world.people[0]).encoded)
    network.commit()
    network.reveal()
    assert network.follower.latest.height == 2
    assert len(roots(network)) == 1


@pytest.mark.parametrize("scheme", ["tdh2", "clear"])
@pytest.mark.parametrize("members", list(combinations(range(1, 5), 3)))
def test_pipeline_opens_with_any_threshold_of_members(make_world, scheme, members):
    world = make_world(scheme)
    world.network.submit(world.transfer(world.people[0]).encoded)
    world.network.release(world.network.vote(world.network.commit()), members=list(members))
    (executed,) = world.network.execute()
    assert executed.receipts[0].success
    assert tuple(s.message.member for s in world.network.follower.shares(1)) == members
    assert roots(world.network) == {executed.state.root}


@pytest.mark.parametrize("scheme", ["tdh2", "clear"])
def test_pipeline_waits_with_too_few_shares_and_goes_on_when_the_missing_one_arrives(make_world, scheme):
    world = make_world(scheme)
    world.network.submit(world.transfer(world.people[0]).encoded)
    certificate = world.network.vote(world.network.commit())
    world.network.release(certificate, members=[2, 4])
    assert world.network.execute() == ()
    assert world.network.follower.latest.height == 0
    network = world.restart()
    assert network.execute() == ()
    network.release(certificate, members=[1])
    (executed,) = network.execute()
    assert executed.receipts[0].success
    assert roots(network) == {executed.state.root}


def test_pipeline_shuffles_differently_from_the_committed_order_and_equally_for_all_subsets(make_world):
    orders, values = set(), set()
    committed = None
    original = make_world("tdh2", "shuffle")
    transactions = [original.transfer(person) for person in original.people[:8]]
    commitment_bytes = set()
    for members in combinations(range(1, 5), 3):
        world = make_world("tdh2", "shuffle")  # the same template, clock and transactions: the same commitment
        for transaction in transactions:
            world.network.submit(transaction.encoded)
        proposal = world.network.commit()
        commitment_bytes.add(proposal.commitment.encoded)
        committed = [t.tx_id for t in proposal.transactions]
        world.network.release(world.network.vote(proposal), members=list(members))
        (executed,) = world.network.execute()
        ran = sorted(zip((r.position for r in executed.receipts), committed, strict=True))
        orders.add(tuple(tx_id for _, tx_id in ran))
        values.add(executed.state.root)
    assert len(commitment_bytes) == 1
    assert committed == sorted(committed)
    (order,) = orders
    assert sorted(order) == committed
    assert list(order) != committed  # one in 40320 by chance; the inputs are fixed
    assert len(values) == 1


def test_pipeline_keeps_the_senders_nonces_ascending_under_shuffle_whatever_the_seed(make_world):
    world = make_world("tdh2", "shuffle")
    for height in range(3):
        for nonce in range(4):
            world.network.submit(world.transfer(world.people[0], 4 * height + nonce).encoded)
            world.network.submit(world.transfer(world.people[1], 4 * height + nonce).encoded)
        assert [r.code for r in world.run_height().receipts] == ["executed"] * 8


def test_pipeline_carries_over_what_exceeds_the_batch_limit(world):
    sent = [world.transfer(person) for person in world.people]
    assert len(sent) == 10
    first = world.run_height(*sent)
    assert len(first.receipts) == 8
    second = world.run_height()
    assert [t.tx_id for t in second.ready.proposal.transactions] == [t.tx_id for t in sent[8:]]


def test_pipeline_carries_over_what_exceeds_the_gas_limit(world):
    sent = [world.swap(person, gas_limit=672_000) for person in world.people[:3]]
    assert len(world.run_height(*sent).receipts) == 2
    assert len(world.run_height().receipts) == 1


def test_pipeline_survives_more_pending_heights_than_states_are_kept(clear_world):
    """A sequencer that runs ahead must be stopped, or its commitments become impossible to certify."""
    clear_world.network.submit(clear_world.transfer(clear_world.people[0]).encoded)
    clear_world.network.commit()
    for _ in range(70):
        try:
            clear_world.network.commit()
        except Rejected:
            break
    clear_world.network.reveal()
    assert clear_world.network.follower.latest.height == clear_world.network.sequencer.height
    clear_world.restart()
    assert clear_world.network.follower.latest.height == clear_world.network.sequencer.height


def test_pipeline_of_a_member_that_abstained_once_goes_on_at_the_next_height(world):
    """An abstention bars a share at one height; it must not put the member out of the committee for ever."""
    seat = world.network.seats[0]
    perform(seat.member.abstain(1), seat.store)
    world.run_height(world.transfer(world.people[0]))
    world.network.submit(world.transfer(world.people[1]).encoded)
    proposal = world.network.commit()
    world.network.vote(proposal)
    assert ("vote", world.committee.committee_id + (2).to_bytes(8, "big")) in world.records("members/1")


def test_pipeline_opens_although_a_member_abstained_after_its_vote(world):
    world.network.submit(world.transfer(world.people[0]).encoded)
    certificate = world.network.vote(world.network.commit())
    seat = world.network.seats[0]
    perform(seat.member.abstain(1), seat.store)
    world.network.release(certificate)
    (executed,) = world.network.execute()
    assert executed.receipts[0].success
    assert [s.message.member for s in world.network.follower.shares(1)] == [2, 3, 4]


def test_member_makes_a_proposal_of_what_it_checked_ahead(world):
    """And decodes the rest: what the sequencer sends is what is voted on, with another signature as well."""
    network = world.network
    chain = network.seats[0].follower.chain
    ahead, other = (world.transfer(person) for person in world.people[:2])
    prepared = EncryptedTransaction.decode(ahead.encoded)
    chain.prepare(prepared)
    receipts = [network.submit(transaction.encoded) for transaction in (ahead, other)]
    chain.prepare_receipt(receipts[0])
    sent = network.commit()
    proposal = chain.decode(sent.encoded)
    assert proposal == sent
    assert proposal.transactions[0] is prepared
    assert proposal.receipts[0] is receipts[0]
    forged = replace(sent, transactions=(replace(ahead, signature=bytes(65)), other))
    assert chain.decode(forged.encoded).transactions[0].signature == bytes(65)
    network.vote(proposal)
    assert chain.decode(sent.encoded).transactions[0] is not prepared
    (executed,) = network.reveal()
    assert [receipt.code for receipt in executed.receipts] == ["executed"] * 2


def test_follower_stores_a_certificate_once(world):
    world.network.submit(world.transfer(world.people[0]).encoded)
    proposal = world.network.commit()
    certificate = world.network.vote(proposal)
    follower = Follower(world.committee)
    follower.propose(proposal)
    (record,) = follower.certify(certificate)
    assert record.value == certificate.encoded
    assert follower.certify(certificate) == ()
    with pytest.raises(Rejected) as caught:
        follower.certify(replace(certificate, signatures=certificate.signatures[::-1]))
    assert caught.value.rule == "CRT-3"
