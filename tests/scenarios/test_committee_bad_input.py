"""What a member refuses of a dishonest sequencer, of strangers and of other members, and what it never does itself.

Every commitment here carries the real sequencer's signature unless the signature is the fault.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool.committee import Ballot
from encmempool.errors import Malformed, Rejected, StorageError
from encmempool.store import perform
from encmempool.types import (
    BatchList,
    OrderCertificate,
    SignedCommitment,
    SignedVote,
    Vote,
)

MINUTE_MS = 60_000


class Stage:
    """Two executed heights, and an honest proposal for the third that nobody has seen yet."""

    def __init__(self, world):
        self.world = world
        alice, bob, carol, self.dave = world.people[:4]
        self.first = world.run_height(world.transfer(alice), world.transfer(bob))
        self.second = world.run_height(world.transfer(alice, 1))
        for transaction in (world.transfer(alice, 2), world.transfer(bob, 1), world.transfer(carol)):
            world.network.submit(transaction.encoded)
        self.honest = world.network.commit()
        self.seat = world.network.seats[0]

    def vote(self, proposal):
        sends = perform(self.seat.member.vote(proposal, now_ms=self.world.clock()), self.seat.store)
        (send,) = sends
        return SignedVote.decode(send.message)

    def refused(self, *proposals):
        """The member refuses and has changed nothing: it votes for the honest proposal right after. The rules."""
        rules = set()
        before = self.world.records("members/1")
        height = self.seat.member.chain.next_height
        for proposal in proposals:
            with pytest.raises((Malformed, Rejected)) as caught:
                self.vote(proposal)
            assert self.world.records("members/1") == before
            assert self.seat.member.chain.next_height == height
            rules.add(caught.value.rule if isinstance(caught.value, Rejected) else "malformed")
        vote = self.vote(self.honest)
        assert vote.message.commitment_root == self.honest.commitment.message.root
        return rules


@pytest.fixture
def stage(world):
    return Stage(world)


def _bad_fields():
    yield "VOT-2", "committee", lambda c: {"committee_id": b"\x01" * 32}
    yield "VOT-2", "key", lambda c: {"key_id": b"\x01" * 32}
    yield "VOT-2", "a height skipped", lambda c: {"height": c.height + 1}
    yield "VOT-2", "height 0", lambda c: {"height": 0}
    yield "VOT-2", "the last height", lambda c: {"height": 2**64 - 1}
    yield "VOT-2", "parent", lambda c: {"parent": b"\x01" * 32}
    yield "VOT-3", "one more", lambda c: {"count": c.count + 1}
    yield "VOT-3", "none", lambda c: {"count": 0, "round": c.round - 1}
    yield "VOT-3", "root", lambda c: {"batch_root": b"\x01" * 32}
    yield "VOT-6", "policy", lambda c: {"policy_id": 2}
    yield "VOT-6", "unknown policy", lambda c: {"policy_id": 99}
    yield "VOT-7", "state", lambda c: {"state_root": b"\x01" * 32}
    yield "VOT-7", "executed behind its parent", lambda c: {"executed_height": 0}
    yield "VOT-7", "executed itself", lambda c: {"executed_height": c.height}
    yield "VOT-7", "executed ahead", lambda c: {"executed_height": c.height + 5}
    yield "VOT-7", "state of another height", lambda c: {"executed_height": 1}
    yield "VOT-8", "round behind", lambda c: {"round": c.round - 1}
    yield "VOT-8", "round ahead", lambda c: {"round": c.round + 1}
    yield "VOT-9", "inbox", lambda c: {"inbox_index": 1}
    yield "VOT-9", "time before the parent", lambda c: {"timestamp_ms": 1}
    yield "VOT-9", "time ahead", lambda c: {"timestamp_ms": c.timestamp_ms + 2 * MINUTE_MS}


@pytest.mark.parametrize(
    ("rule", "change"), [pytest.param(r, change, id=f"{r} {name}") for r, name, change in _bad_fields()]
)
def test_vote_is_refused_for_a_wrong_field_of_the_commitment(stage, rule, change):
    forged = stage.world.forge(stage.honest, **change(stage.honest.commitment.message))
    assert stage.refused(forged) == {rule}


def test_vote_is_refused_if_the_block_of_the_chain_below_goes_back(world):
    world.network.submit(world.transfer(world.people[0]).encoded)
    seat = world.network.seats[0]
    first = world.forge(world.network.commit(), l1_block=10)
    perform(seat.member.vote(first, now_ms=world.clock()), seat.store)
    second = world.forge(world.network.commit(), parent=first.commitment.message.root, l1_block=9)
    with pytest.raises(Rejected, match="VOT-9"):
        seat.member.vote(second, now_ms=world.clock())


def test_vote_is_refused_if_somebody_else_signed(stage):
    signers = (stage.world.stranger, stage.world.member_identity(1))
    assert stage.refused(*(stage.world.forge(stage.honest, signer=signer) for signer in signers)) == {"VOT-1"}


@pytest.mark.parametrize("signature", [bytes(65), b"\xff" * 65, b"\x01" * 64 + b"\x1b"], ids=["zero", "ones", "noise"])
def test_vote_is_refused_if_the_signature_is_noise(stage, signature):
    commitment = SignedCommitment(message=stage.honest.commitment.message, signature=signature)
    assert stage.refused(replace(stage.honest, commitment=commitment)) <= {"VOT-1", "SIG-1"}


def test_vote_is_refused_if_a_transaction_is_withheld(stage):
    """T-25: what members do not hold, they do not vote for."""
    fewer = replace(stage.honest, transactions=stage.honest.transactions[1:])
    assert stage.refused(fewer, replace(stage.honest, transactions=())) == {"VOT-3"}


def test_vote_is_refused_if_a_transaction_is_added(stage):
    extra = stage.world.transfer(stage.dave)
    assert stage.refused(replace(stage.honest, transactions=(*stage.honest.transactions, extra))) == {"VOT-3"}


def test_vote_is_refused_if_the_transactions_are_not_in_committed_order(stage):
    assert stage.refused(replace(stage.honest, transactions=stage.honest.transactions[::-1])) == {"VOT-3"}


def _bad_batches():
    def both(stage):
        return stage.honest.transactions[0], stage.honest.transactions[0]

    def repeated(stage):
        return stage.first.ready.proposal.transactions

    def taken_nonce(stage):
        return (stage.world.transfer(stage.world.people[0], 0, value=99),)

    def twin_nonce(stage):
        return stage.world.transfer(stage.dave), stage.world.transfer(stage.dave, value=2)

    def gap(stage):
        return (stage.world.transfer(stage.dave, 1),)

    def unsigned(stage):
        return (replace(stage.world.transfer(stage.dave), signature=bytes(64) + b"\x1b"),)

    def signed_by_another(stage):
        genuine = stage.world.transfer(stage.dave)
        return (stage.world.envelope(stage.world.stranger, genuine.header, genuine.ciphertext),)

    def poor(stage):
        return (stage.world.transfer(stage.world.poor),)

    def too_dear(stage):
        return (stage.world.transfer(stage.dave, max_fee_per_gas=10**18),)

    def too_dear_together(stage):
        half = stage.world.balance(stage.dave) // 2 // 21_000 + 10
        return tuple(stage.world.transfer(stage.dave, nonce, max_fee_per_gas=half) for nonce in (0, 1))

    def expired(stage):
        return (stage.world.transfer(stage.dave, valid_until=2),)

    def flipped(stage):
        genuine = stage.world.transfer(stage.dave)
        ciphertext = genuine.ciphertext[:-1] + bytes([genuine.ciphertext[-1] ^ 1])
        return (stage.world.envelope(stage.dave, genuine.header, ciphertext),)

    def no_points(stage):
        header = stage.world.header(stage.dave)
        return (stage.world.envelope(stage.dave, header, bytes(256 + 160)),)

    def off_ladder(stage):
        return (stage.world.seal(stage.dave, stage.world.pad(b"x"), gas_limit=22_000),)

    def other_version(stage):
        return (stage.world.seal(stage.dave, stage.world.pad(b"x"), version=2),)

    def other_key(stage):
        return (stage.world.seal(stage.dave, stage.world.pad(b"x"), key_id=b"\x05" * 32),)

    def odd_size(stage):
        return (stage.world.seal(stage.dave, b"\x01" * 300),)

    def below_base_fee(stage):
        return (stage.world.seal(stage.dave, stage.world.pad(b"x"), max_fee_per_gas=1, max_priority_fee_per_gas=0),)

    def too_many(stage):
        world = stage.world
        return (*(world.transfer(person) for person in world.people[2:]), world.transfer(world.people[0], 2))

    def too_much_gas(stage):
        return tuple(stage.world.swap(person, gas_limit=672_000) for person in stage.world.people[2:5])

    yield both, {"VOT-4"}
    yield repeated, {"VOT-4"}
    yield taken_nonce, {"VOT-4"}
    yield twin_nonce, {"VOT-4", "VOT-5"}
    yield gap, {"VOT-5"}
    yield unsigned, {"TXN-7", "SIG-1"}
    yield signed_by_another, {"TXN-7"}
    yield poor, {"VOT-5"}
    yield too_dear, {"VOT-5"}
    yield too_dear_together, {"VOT-5"}
    yield expired, {"VOT-5", "TXN-8"}
    yield flipped, {"TDH-2"}
    yield no_points, {"TDH-1", "malformed"}
    yield off_ladder, {"TXN-3"}
    yield other_version, {"TXN-1"}
    yield other_key, {"TXN-2"}
    yield odd_size, {"TXN-6"}
    yield below_base_fee, {"TXN-4"}
    yield too_many, {"VOT-9"}
    yield too_much_gas, {"VOT-9"}


@pytest.mark.parametrize(
    ("batch", "rules"), [pytest.param(batch, rules, id=batch.__name__) for batch, rules in _bad_batches()]
)
def test_vote_is_refused_for_an_inadmissible_batch(stage, batch, rules):
    """The root, count, receipts and signature fit; the batch itself is the fault. One bad entry is enough."""
    alone = batch(stage)
    assert stage.refused(stage.world.forge(stage.honest, transactions=alone)) <= rules


def test_vote_is_refused_if_one_bad_entry_hides_among_good_ones(stage):
    bad = stage.world.transfer(stage.dave)
    bad = replace(bad, signature=stage.world.transfer(stage.dave, 5).signature)
    transactions = (*stage.honest.transactions, bad)
    assert stage.refused(stage.world.forge(stage.honest, transactions=transactions)) == {"TXN-7"}


def test_vote_is_refused_if_a_sender_in_flight_is_committed_again(world):
    world.network.submit(world.transfer(world.people[0]).encoded)
    first = world.network.commit()
    seat = world.network.seats[0]
    perform(seat.member.vote(first, now_ms=world.clock()), seat.store)
    second = world.network.commit()
    message = second.commitment.message
    forged = world.forge(second, transactions=(world.transfer(world.people[0], 1),), round=message.round + 1)
    with pytest.raises(Rejected, match="VOT-4"):
        seat.member.vote(forged, now_ms=world.clock())
    perform(seat.member.vote(second, now_ms=world.clock()), seat.store)


def test_vote_is_refused_if_a_signature_was_only_right_in_an_earlier_proposal(stage):
    """A transaction id leaves the signature out, so a check remembered by id would let an unsigned copy pass.

    What members certified would then be refused by every auditor, and by the members themselves after a restart.
    """
    good, *others = stage.honest.transactions
    broken = replace(others[-1], signature=bytes(64) + b"\x1b")
    unsigned = replace(good, signature=bytes(64) + b"\x1b")
    with pytest.raises(Rejected):  # `good` was looked at and found right before `broken` was refused
        stage.vote(replace(stage.honest, transactions=(good, *others[:-1], broken)))
    with pytest.raises(Rejected):
        stage.vote(replace(stage.honest, transactions=(unsigned, *others)))


@pytest.mark.parametrize("policy", ["arrival", "priority_fee", "shuffle"])
def test_vote_is_refused_if_the_order_is_not_the_policys(make_world, policy):
    world = make_world("tdh2", policy)
    for at, person in enumerate(world.people[:3]):
        world.network.submit(world.transfer(person, max_priority_fee_per_gas=(at + 1) * 10**9).encoded)
    honest = world.network.commit()
    seat = world.network.seats[0]
    a, b, c = zip(honest.transactions, honest.receipts, strict=True)
    for permuted in ((b, a, c), (a, c, b), (c, b, a), (b, c, a), (c, a, b)):
        transactions, receipts = zip(*permuted, strict=True)
        with pytest.raises(Rejected, match="VOT-6"):
            seat.member.vote(world.forge(honest, transactions=transactions, receipts=receipts), now_ms=world.clock())
    assert perform(seat.member.vote(honest, now_ms=world.clock()), seat.store)


def test_vote_is_refused_if_a_senders_nonces_descend(make_world):
    world = make_world("tdh2", "priority_fee")
    for nonce in range(2):
        world.network.submit(world.transfer(world.people[0], nonce).encoded)
    honest = world.network.commit()
    forged = world.forge(honest, transactions=honest.transactions[::-1])
    with pytest.raises(Rejected, match="VOT-6"):
        world.network.seats[0].member.vote(forged, now_ms=world.clock())


def test_vote_is_refused_if_receipts_are_missing_or_foreign_under_arrival(stage):
    world, honest = stage.world, stage.honest
    one, two, three = honest.transactions
    receipts = honest.receipts
    foreign = tuple(world.receipt(t, at, world.stranger) for at, t in enumerate(honest.transactions))
    same_sequence = tuple(world.receipt(t, 700) for t in honest.transactions)
    bad = (
        (),
        receipts[:-1],
        (*receipts, receipts[-1]),
        foreign,
        (foreign[0], *receipts[1:]),
        (receipts[1], receipts[0], receipts[2]),
        (receipts[0], receipts[0], receipts[0]),
        same_sequence,
        (replace(receipts[0], signature=bytes(65)), *receipts[1:]),
        (world.receipt(three, 0), world.receipt(two, 1), world.receipt(one, 2)),
    )
    assert stage.refused(*(replace(honest, receipts=some) for some in bad)) <= {"VOT-6", "SIG-1"}


def test_second_commitment_for_a_voted_height_gets_no_vote_ever(stage):
    """Equivocation: VOT-10, again after a restart, and whichever way the second one differs."""
    world = stage.world
    stage.vote(stage.honest)
    before = world.records("members/1")
    others = [
        world.forge(stage.honest, timestamp_ms=stage.honest.commitment.message.timestamp_ms + 1),
        world.forge(stage.honest, transactions=stage.honest.transactions[:1]),
        world.forge(stage.honest, transactions=(), round=stage.honest.commitment.message.round - 1),
    ]
    for _ in range(2):
        for other in others:
            for _ in range(3):
                with pytest.raises(Rejected, match="VOT-10"):
                    world.network.seats[0].member.vote(other, now_ms=world.clock())
        assert world.records("members/1") == before
        world.restart()
    seat = world.network.seats[0]
    (again,) = perform(seat.member.vote(stage.honest, now_ms=world.clock()), seat.store)
    assert again.message in before.values()
    assert world.records("members/1") == before


def test_vote_asked_for_again_with_other_receipts_is_the_same_vote(make_world):
    """Receipts are no part of a commitment, and outside `arrival` nobody checks them: not a second proposal."""
    world = make_world("tdh2", "shuffle")
    world.network.submit(world.transfer(world.people[0]).encoded)
    honest = world.network.commit()
    seat = world.network.seats[0]
    first = perform(seat.member.vote(honest, now_ms=world.clock()), seat.store)
    assert perform(seat.member.vote(replace(honest, receipts=()), now_ms=world.clock()), seat.store) == first


def test_second_commitment_for_a_checked_height_gets_no_vote_though_none_was_given(stage):
    """The member follows the first one without having voted; the second is evidence, not a choice."""
    perform(stage.seat.follower.propose(stage.honest), stage.seat.store)
    other = stage.world.forge(stage.honest, transactions=stage.honest.transactions[:1])
    with pytest.raises(Rejected, match="VOT-10"):
        stage.vote(other)


def test_old_height_gets_no_second_vote(stage):
    old = stage.world.forge(stage.first.ready.proposal, l1_block=1)
    assert stage.refused(old) == {"VOT-10"}


def test_vote_is_refused_after_an_abstention(stage):
    world = stage.world
    perform(stage.seat.member.abstain(3), stage.seat.store)
    before = world.records("members/1")
    for _ in range(2):
        with pytest.raises(Rejected, match="VOT-10"):
            world.network.seats[0].member.vote(stage.honest, now_ms=world.clock())
        assert world.records("members/1") == before
        world.restart()


def test_share_is_refused_after_an_abstention(stage):
    world = stage.world
    certificate = world.network.vote(stage.honest)
    perform(stage.seat.member.abstain(3), stage.seat.store)
    before = world.records("members/1")
    for _ in range(2):
        with pytest.raises(Rejected, match="SHR-2"):
            world.network.seats[0].member.release(certificate)
        assert world.records("members/1") == before
        world.restart()


def test_abstention_is_refused_after_a_share(stage):
    world = stage.world
    world.network.release(world.network.vote(stage.honest))
    before = world.records("members/1")
    for _ in range(2):
        with pytest.raises(Rejected, match="SHR-2"):
            world.network.seats[0].member.abstain(3)
        assert world.records("members/1") == before
        world.restart()


def test_abstention_after_a_vote_is_given_and_always_the_same(stage):
    stage.vote(stage.honest)
    first = perform(stage.seat.member.abstain(3), stage.seat.store)
    assert perform(stage.seat.member.abstain(3), stage.seat.store) == first
    seat = stage.world.restart().seats[0]
    assert perform(seat.member.abstain(3), seat.store) == first


def _votes(stage, root=None, signers=(1, 2, 3), **changes):
    """A certificate-shaped object of these members' real signatures."""
    commitment = stage.honest.commitment.message
    fields = {
        "committee_id": commitment.committee_id,
        "height": commitment.height,
        "round": commitment.round,
        "commitment_root": root or commitment.root,
    }
    vote = Vote(**(fields | changes))
    identities = [stage.world.member_identity(s) if isinstance(s, int) else s for s in signers]
    return OrderCertificate(vote=vote, signatures=tuple(stage.world.sign(identity, vote) for identity in identities))


def _bad_certificates():
    yield "too few", lambda s: _votes(s, signers=(1, 2))
    yield "none", lambda s: _votes(s, signers=())
    yield "a member twice", lambda s: _votes(s, signers=(1, 1, 2))
    yield "the same member only", lambda s: _votes(s, signers=(1, 1, 1))
    yield "not in order", lambda s: _votes(s, signers=(3, 2, 1))
    yield "more than the threshold", lambda s: _votes(s, signers=(1, 2, 3, 4))
    yield "a stranger among them", lambda s: _votes(s, signers=(1, 2, s.world.stranger))
    yield "strangers", lambda s: _votes(s, signers=(s.world.stranger, s.world.poor, s.world.people[0]))
    yield "the sequencer among them", lambda s: _votes(s, signers=(1, 2, s.world.sequencer_identity))
    yield "another root", lambda s: _votes(s, root=b"\x01" * 32)
    yield "another round", lambda s: _votes(s, round=9)
    yield "another committee", lambda s: _votes(s, committee_id=b"\x01" * 32)
    yield "signatures of another vote", lambda s: replace(_votes(s, round=9), vote=_votes(s).vote)
    yield "noise", lambda s: replace(_votes(s), signatures=(bytes(65),) * 3)


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in _bad_certificates()])
def test_release_is_refused_without_a_certificate(stage, make):
    """SHR-1: no share, no record; and the true certificate opens right after."""
    stage.world.network.vote(stage.honest)
    before = stage.world.records("members/1")
    with pytest.raises(Rejected) as caught:
        stage.seat.member.release(make(stage))
    assert caught.value.rule in ("CRT-3", "SIG-1")
    assert stage.world.records("members/1") == before
    assert stage.seat.member.release(_votes(stage))


@pytest.mark.parametrize("height", [0, 4, 2**64 - 1])
def test_release_is_refused_for_a_height_the_member_has_not_checked(stage, height):
    stage.world.network.vote(stage.honest)
    with pytest.raises(Rejected, match="SHR-3"):
        stage.seat.member.release(_votes(stage, height=height))


def test_release_is_refused_for_a_commitment_this_member_did_not_check_though_others_certified_it(stage):
    """SHR-3: t votes cannot make a member open what it has not looked at."""
    with pytest.raises(Rejected, match="SHR-3"):
        stage.seat.member.release(_votes(stage))


def test_release_for_the_other_of_two_certified_roots_is_refused(stage):
    """Members who sign twice make two certificates; an honest member follows its own root."""
    stage.vote(stage.honest)
    other = stage.world.forge(stage.honest, transactions=stage.honest.transactions[:1])
    certificate = _votes(stage, root=other.commitment.message.root, signers=(2, 3, 4))
    with pytest.raises(Rejected, match="CRT-3"):
        stage.seat.member.release(certificate)


def test_release_twice_sends_the_same_bytes_whichever_votes_are_shown(stage):
    stage.world.network.vote(stage.honest)
    (first,) = perform(stage.seat.member.release(_votes(stage)), stage.seat.store)
    (second,) = perform(stage.seat.member.release(_votes(stage, signers=(2, 3, 4))), stage.seat.store)
    assert first == second


def test_ballot_refuses_votes_of_strangers_and_second_votes(stage):
    committee = stage.world.committee
    ballot = Ballot(committee)
    vote = _votes(stage).vote

    def signed(signer, message=vote):
        return SignedVote(message=message, signature=stage.world.sign(signer, message))

    member = stage.world.member_identity
    for bad in (
        signed(stage.world.stranger),
        signed(stage.world.sequencer_identity),
        signed(member(1), replace(vote, committee_id=b"\x01" * 32)),
        SignedVote(message=vote, signature=bytes(65)),
    ):
        with pytest.raises(Rejected) as caught:
            ballot.add(bad)
        assert caught.value.rule in ("CRT-1", "SIG-1")
    assert ballot.add(signed(member(4))) is None
    assert ballot.add(signed(member(4))) is None
    with pytest.raises(Rejected) as caught:
        ballot.add(signed(member(4), replace(vote, commitment_root=b"\x02" * 32)))
    assert (caught.value.rule, caught.value.member) == ("CRT-2", 4)
    assert ballot.add(signed(member(2))) is None
    certificate = ballot.add(signed(member(1)))
    assert certificate == _votes(stage, signers=(1, 2, 4))


def test_vote_after_a_failed_write_is_not_sent_before_it_is_stored(stage, monkeypatch):
    """VOT-10: a vote that left without its record could be followed by another after a restart."""
    with monkeypatch.context() as patch:

        def fail(records):
            raise StorageError("the database is locked by another process")

        patch.setattr(stage.seat.store, "put", fail)
        with pytest.raises(StorageError):
            stage.vote(stage.honest)
    sent = stage.vote(stage.honest)
    assert sent.encoded in stage.world.records("members/1").values()


def test_share_after_a_failed_write_is_not_sent_before_it_is_stored(stage, monkeypatch):
    """SHR-2: two proofs for one batch would be two different shares."""
    stage.world.network.vote(stage.honest)
    with monkeypatch.context() as patch:

        def fail(records):
            raise StorageError("the database is locked by another process")

        patch.setattr(stage.seat.store, "put", fail)
        with pytest.raises(StorageError):
            perform(stage.seat.member.release(_votes(stage)), stage.seat.store)
    (sent,) = perform(stage.seat.member.release(_votes(stage)), stage.seat.store)
    assert sent.message in stage.world.records("members/1").values()


def test_honest_member_is_not_stopped_by_a_network_of_bad_proposals(stage):
    """Many refusals in a row leave no trace; the network then finishes the honest height."""
    world = stage.world
    for change in ({"round": 9}, {"inbox_index": 3}, {"parent": bytes(32)}, {"state_root": bytes(32)}):
        with pytest.raises(Rejected):
            world.network.vote(world.forge(stage.honest, **change))
    (executed,) = world.network.reveal()
    assert executed.ready.commitment == stage.honest.commitment.message
    assert (
        BatchList(tx_ids=tuple(t.tx_id for t in stage.honest.transactions)).root == executed.ready.commitment.batch_root
    )
