"""Another sequencer takes over: what of the one before is void, what stands, and that the audit still shows it all.

KEY-9, KEY-10, VOT-6, VOT-10, VOT-14, SEQ-2, SEQ-5, SEQ-6, SEQ-11, AUD-3.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from encmempool import audit
from encmempool.audit import AuditFailed, Kind
from encmempool.committee import PROPOSAL, vote_for
from encmempool.errors import Rejected
from encmempool.keysets import public_material, sign_key_set, successor_key_set
from encmempool.network.rotation import Change, rotate
from encmempool.reveal import Follower
from encmempool.sequencer import Sequencer
from encmempool.store import perform
from encmempool.types import (
    ZERO_HASH,
    EncryptedTransaction,
    OrderCertificate,
    SignedReceipt,
    SignedVote,
)
from threshold.encoding import u64

OTHER = b"\x09" * 20


def take_over(world, **change):
    return rotate(world.network, Change(new_sequencer=True, **change), random=world.random)


def sequencers(world):
    return world.network.sequencers


def vote_by(world, proposal, members):
    """What these members sign when they alone see a proposal; the archive sees it too."""
    return [
        SignedVote.decode(perform(seat.member.vote(proposal, now_ms=world.clock()), seat.store)[0].message)
        for seat in world.network.seats
        if seat.member.index in members
    ]


@pytest.fixture
def equivocated(world):
    """Height 1 is open. At height 2 the sequencer shows two halves of the committee two orders of four transactions;
    two more wait."""
    world.run_height(world.transfer(world.people[0]))
    for person in world.people[1:5]:
        world.network.submit(world.transfer(person).encoded)
    world.one = world.network.commit()
    for person in world.people[5:7]:
        world.network.submit(world.transfer(person).encoded)
    world.two = world.forge(
        world.one,
        transactions=world.one.transactions[:2],
        receipts=world.one.receipts[:2],
    )
    perform(world.network.follower.propose(world.one), world.network._archive)
    assert len(vote_by(world, world.one, {1, 2}) + vote_by(world, world.two, {3, 4})) == 4
    return world


def resubmitted(world):
    """The new sequencer is given what the one before left: by whoever sent it, or holds it."""
    before, _ = sequencers(world)
    return [world.network.submit(transaction.encoded) for transaction, _ in before.uncommitted()]


def test_network_goes_on_after_an_equivocation_under_another_sequencer(equivocated):
    world = equivocated
    made = take_over(world)
    before, now = sequencers(world)
    assert (made.key_set.start_height, made.key_set.start_parent) == (2, world.one.commitment.message.parent)
    assert (made.key_set.sequencer, world.network.sequencer) == (now.address, now)
    assert now.address != before.address
    receipts = resubmitted(world)
    assert [receipt.message.sequence for receipt in receipts] == list(range(6))
    executed = world.run_height()
    assert [receipt.code for receipt in executed.receipts] == ["executed"] * 6
    assert executed.ready.commitment.parent == world.one.commitment.message.parent
    assert executed.ready.commitment.height == 2
    assert {seat.follower.latest.root for seat in world.network.seats} == {world.network.follower.latest.root}


def test_audit_of_a_change_of_sequencer_shows_both_receipts(equivocated):
    """AUD-3: of each sequencer one, and none of its sequences is missing."""
    world = equivocated
    old = {receipt.message.tx_id: receipt for _, receipt in world.network.sequencer.uncommitted()}
    take_over(world)
    new = {receipt.message.tx_id: receipt for receipt in resubmitted(world)}
    world.run_height()
    world.restart()
    data = audit.export(world.network)
    report = audit.verify(data)
    assert (report.heights, report.executed_height, report.transactions) == (2, 2, 7)
    assert (report.pending, report.missing_receipts) == (0, 0)
    shown = [SignedReceipt.decode(r.body) for r in audit._records(data) if r.kind is Kind.RECEIPT]
    for receipts in (old, new):
        assert all(receipt in shown for receipt in receipts.values())
    assert len(shown) == 1 + 4 + 2 + 6


def test_audit_counts_what_neither_sequencer_committed_to(equivocated):
    world = equivocated
    take_over(world)
    (first, *_) = resubmitted(world)
    report = audit.verify(audit.export(world.network))
    assert (report.heights, report.pending, report.missing_receipts) == (1, 6, 0)
    assert first.message.sequence == 0


def test_audit_refuses_receipts_that_wait_in_another_order(equivocated):
    """AUD-1: by sequencer, in the order of their key sets, then by sequence."""
    world = equivocated
    take_over(world)
    resubmitted(world)
    records = list(audit._records(audit.export(world.network)))
    pairs = [at for at, r in enumerate(records) if r.kind is Kind.TRANSACTION and r.height == 2]
    last, first = pairs[-1], pairs[0]
    records[first : first + 2], records[last : last + 2] = records[last : last + 2], records[first : first + 2]
    data = audit.MAGIC + b"".join(audit._record(r.kind, r.height, r.body) for r in records)
    with pytest.raises(AuditFailed, match="AUD-1"):
        audit.verify(data)


def test_audit_refuses_two_receipts_of_the_new_sequencer_for_one_transaction(equivocated):
    world = equivocated
    take_over(world)
    receipt = resubmitted(world)[0].message
    again = replace(receipt, sequence=6)
    identity = world.home.identity(f"sequencers/{world.network.sequencer.address.hex()}", world.password)
    twice = SignedReceipt(message=again, signature=world.sign(identity, again))
    records = list(audit._records(audit.export(world.network)))
    transaction = next(
        EncryptedTransaction.decode(r.body)
        for r in records
        if r.kind is Kind.TRANSACTION and EncryptedTransaction.decode(r.body).tx_id == receipt.tx_id
    )
    framed = [audit._record(r.kind, r.height, r.body) for r in records[:-1]]
    framed += [
        audit._record(Kind.TRANSACTION, 2, transaction.encoded),
        audit._record(Kind.RECEIPT, 2, twice.encoded),
        audit._record(Kind.END, 2, u64(len(records) + 1)),
    ]
    with pytest.raises(AuditFailed, match=r"two receipts for transaction.*AUD-3"):
        audit.verify(audit.MAGIC + b"".join(framed))


def test_change_of_sequencer_is_the_same_for_whoever_restarts(equivocated):
    """The void commitments stay in everyone's records, and nobody takes them up again."""
    world = equivocated
    take_over(world)
    resubmitted(world)
    stored = {role: len(world.records(role)) for role in ("archive", "members/1", "members/4")}
    assert min(stored.values()) > 0
    world.restart()
    assert {seat.follower.chain.next_height for seat in world.network.seats} == {2}
    world.network.commit()
    world.restart()
    (executed,) = world.network.reveal()
    assert len(executed.receipts) == 6
    roots = {seat.follower.latest.root for seat in world.restart().seats}
    assert roots == {executed.state.root}


def test_void_commitment_above_a_checkpoint_stays_void(equivocated):
    world = equivocated
    follower, store = world.network.follower, world.network._archive
    perform([follower.checkpoint()], store)
    take_over(world)
    first, *successors = world.network.committees
    assert any(key.startswith(u64(2)) for key, _ in store.scan(PROPOSAL))
    restarted = Follower(first, successors=successors, records=store, kept=32)
    assert (restarted.chain.base, restarted.chain.next_height, restarted.latest.height) == (0, 2, 1)


def test_member_that_voted_for_a_void_commitment_votes_again_under_the_next_committee(equivocated):
    """VOT-10 is for a committee; no share was released, so that the guard of the key's height is free."""
    world = equivocated
    take_over(world)
    resubmitted(world)
    proposal = world.network.commit()
    votes = vote_by(world, proposal, {1, 2, 3, 4})
    assert {vote.message.commitment_root for vote in votes} == {proposal.commitment.message.root}
    certificate = world.network.vote(proposal)
    for seat in world.network.seats:
        assert perform(seat.member.release(certificate), seat.store)


def test_old_committee_signs_nothing_more_at_the_heights_of_the_next(equivocated):
    """KEY-10, whatever was half-way."""
    world = equivocated
    old = [seat.member for seat in world.network.seats]
    take_over(world)
    for member, proposal in zip(old, (world.one, world.one, world.two, world.two), strict=True):
        with pytest.raises(Rejected) as caught:
            member.vote(proposal, now_ms=world.clock())
        assert caught.value.rule == "KEY-10"


def test_sequencer_out_of_office_gives_no_receipts_and_makes_no_commitments(equivocated):
    """SEQ-6, SEQ-11; what it committed to at the other one's heights does not count any more."""
    world = equivocated
    take_over(world)
    for _ in range(2):
        before, _ = sequencers(world)
        with pytest.raises(Rejected) as caught:
            before.submit(world.transfer(world.people[8]).encoded, now_ms=world.clock())
        assert caught.value.rule == "SEQ-6"
        with pytest.raises(Rejected) as caught:
            before.commit(now_ms=world.clock())
        assert caught.value.rule == "SEQ-11"
        assert not before.in_office
        assert (before.height, before.batch(2)) == (1, None)
        assert before.place(world.one.transactions[0].tx_id) is None
        assert len(before.uncommitted()) == 6
        world.restart()


def test_sequencer_in_memory_forgets_what_became_void_as_one_that_restarts(equivocated):
    world = equivocated
    before = world.network.sequencer
    committee = take_over(world)
    before.adopt(committee.terms)
    assert (before.height, before.batch(2), before.in_office) == (1, None, False)
    assert before.resend() == sequencers(world)[0].resend()


def test_sequences_are_counted_for_each_sequencer(equivocated):
    """VOT-6, SEQ-2: the new one's begin at 0, and each of them once."""
    world = equivocated
    take_over(world)
    world.network.submit(world.transfer(world.people[1]).encoded)
    world.run_height()
    transaction = world.transfer(world.people[2])
    world.network.submit(transaction.encoded)
    world.__dict__["sequencer_identity"] = world.home.identity(
        f"sequencers/{world.network.sequencer.address.hex()}", world.password
    )
    again = world.forge(world.network.commit(), receipts=(world.receipt(transaction, 0),))
    with pytest.raises(Rejected) as caught:
        world.network.follower.propose(again)
    assert caught.value.rule == "VOT-6"


def test_receipt_of_the_sequencer_before_does_not_count_under_the_next(equivocated):
    """VOT-6, also for whoever checked it while it did."""
    world = equivocated
    transaction, receipt = world.network.sequencer.uncommitted()[-1]
    follower = world.network.follower
    follower.chain.prepare_receipt(receipt)
    committee = take_over(world)
    follower.adopt(committee)
    world.network.submit(transaction.encoded)
    world.__dict__["sequencer_identity"] = world.home.identity(
        f"sequencers/{world.network.sequencer.address.hex()}", world.password
    )
    forged = world.forge(world.network.commit(), receipts=(receipt,))
    with pytest.raises(Rejected) as caught:
        follower.propose(forged)
    assert caught.value.rule == "VOT-6"


# --- what a chain gives up for it, and what not ----------------------------------------------------------------------


def craft(world, start, parent, *, sequencer=OTHER, round=1, **changes):
    """A successor with the same members and key, signed by them whatever they think of it."""
    committee = world.network.committees[0]
    key_set = replace(
        successor_key_set(
            committee.key_set,
            public_material(committee.key_set),
            members=committee.key_set.members,
            start=(start, parent, round),
            setup_kind=1,
            setup_privacy=committee.key_set.setup_privacy,
            batch_limit=committee.key_set.batch_limit,
            sequencer=sequencer,
        ),
        **changes,
    )
    signed = sign_key_set(key_set, [world.sign(world.member_identity(i), key_set) for i in (1, 2, 3)])
    return committee.load_successor(signed)


def certify(world, proposal):
    vote = vote_for(proposal.commitment.message)
    signatures = tuple(world.sign(world.member_identity(index), vote) for index in (1, 2, 3))
    return OrderCertificate(vote=vote, signatures=signatures)


def test_successor_takes_over_the_sequencer_by_default(world):
    world.run_height()
    key_set = craft(world, 2, world.network.follower.chain.at(1).commitment.root, sequencer=None, round=0).key_set
    assert key_set.sequencer == world.network.sequencer.address


def test_certified_commitment_is_not_void_key_9(equivocated):
    world = equivocated
    follower = world.network.follower
    perform(follower.certify(certify(world, world.one)), world.network._archive)
    successor = craft(world, 2, world.one.commitment.message.parent)
    with pytest.raises(Rejected, match=r"height 2 was committed to and certified.*KEY-9"):
        follower.adopt(successor)
    assert follower.chain.at(2).commitment == world.one.commitment.message
    assert len(follower.chain.committees) == 1
    restarted = Follower(world.network.committees[0], records=world.home.store("archive"))
    with pytest.raises(Rejected, match="KEY-9"):
        restarted.adopt(successor)


def test_member_signs_no_successor_from_a_height_that_it_knows_certified_key_10(equivocated):
    world = equivocated
    seat = world.network.seats[0]
    perform(seat.follower.certify(certify(world, world.one)), seat.store)
    key_set = craft(world, 2, world.one.commitment.message.parent).key_set
    for member in (seat.member, world.restart().seats[0].member):
        with pytest.raises(Rejected, match=r"height 2 is certified.*KEY-10"):
            member.sign_successor(key_set)


def test_commitment_of_the_same_sequencer_is_not_void_key_9(equivocated):
    """It cannot sign another one for that height."""
    world = equivocated
    successor = craft(world, 2, world.one.commitment.message.parent, sequencer=None)
    with pytest.raises(Rejected, match=r"height 2 was committed to under.*KEY-9"):
        world.network.follower.adopt(successor)


def test_void_commitments_free_their_nonces_and_sequences(equivocated):
    world = equivocated
    chain = world.network.follower.chain
    senders = [t.header.sender for t in world.one.transactions]
    assert [chain._next_nonces[sender] for sender in senders] == [1] * 4
    world.network.follower.adopt(craft(world, 2, world.one.commitment.message.parent))
    assert [chain._next_nonces[sender] for sender in senders] == [0] * 4
    assert chain._sequences[world.sequencer_identity.address].ranges() == ((0, 0),)
    assert (chain.next_height, chain.at(2)) == (2, None)


def test_party_that_saw_another_commitment_below_the_start_forgets_it_and_follows_the_certified_one(equivocated):
    """The successor names which of the two was certified: the party takes that one, and then goes on."""
    world = equivocated
    follower = world.network.follower
    successor = craft(world, 3, world.two.commitment.message.root, round=2)
    follower.adopt(successor)
    assert follower.chain.next_height == 2
    follower.follow(world.two, certify(world, world.two))
    assert follower.chain.next_height == 3
    assert follower.committee is successor


def test_another_key_and_another_sequencer_begin_after_an_overlap(world):
    """SEQ-5: the one in office goes on to the end of its heights; the next one waits until they are executed."""
    world.run_height(world.transfer(world.people[0]))
    made = take_over(world, new_key=True, overlap=2)
    before, now = sequencers(world)
    assert (made.key_set.start_height, made.key_set.start_parent) == (4, ZERO_HASH)
    assert world.network.sequencer is before
    assert now.in_office
    with pytest.raises(Rejected) as caught:
        now.commit(now_ms=world.clock())
    assert caught.value.rule == "SEQ-5"
    world.network.submit(world.transfer(world.people[1]).encoded)
    world.network.commit()
    second = world.network.commit()
    assert world.network.sequencer is now
    with pytest.raises(Rejected) as caught:
        world.network.commit()
    assert caught.value.rule == "SEQ-5"
    world.network.reveal()
    third = world.network.commit()
    assert third.commitment.message.parent == second.commitment.message.root
    assert third.commitment.message.height == 4
    world.network.reveal()
    world.restart()
    assert audit.verify(audit.export(world.network)).executed_height == 4


def test_sequencer_without_its_records_signs_nothing_where_others_remember_one(world):
    """SEQ-3: a height is executed that its records do not have."""
    world.run_height(world.transfer(world.people[0]))
    store = world.home.path / "sequencer" / "records.sqlite"
    world.restart()
    store.unlink()
    world.home.create_store("sequencer")
    with pytest.raises(Rejected, match=r"height 1 is executed.*SEQ-3"):
        world.network.commit()


class Died(Exception):
    """The process ended."""


def test_change_of_sequencer_that_died_is_finished_by_the_next_one(equivocated, monkeypatch):
    """After the announcement, with the bytes that were announced and the identity that was made."""
    world = equivocated

    def die(*_):
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(type(world.network), "sign_successor", die)
        with pytest.raises(Died):
            take_over(world)
    world.restart()
    announced = world.network.announced(world.network.committees[0].committee_id)
    assert take_over(world).key_set == announced
    assert len(list((world.home.path / "sequencers").iterdir())) == 1
    resubmitted(world)
    assert len(world.run_height().receipts) == 6


def test_sequencer_in_office_is_the_one_whose_heights_come_first(world, monkeypatch):
    """One that returns later knows its heights already, while another one goes on with those before."""
    returning, present = SimpleNamespace(in_office=True, height=19), SimpleNamespace(in_office=True, height=12)
    gone = SimpleNamespace(in_office=False, height=4)
    monkeypatch.setattr(type(world.network), "sequencers", (returning, gone, present))
    assert world.network.sequencer is present


def test_sequencer_returns_to_office_with_its_sequences_and_heights(clear_world):
    """Heights 1, 2 to 3, 4: the second one takes over, and gives back."""
    world = clear_world
    world.run_height(world.transfer(world.people[0]))
    first = world.network.committees[0].terms
    others = [
        replace(
            first,
            key_set=replace(
                first.key_set, epoch=epoch, predecessor=bytes([epoch]) * 32, start_height=start, sequencer=sequencer
            ),
        )
        for epoch, start, sequencer in ((2, 2, OTHER), (3, 4, first.key_set.sequencer))
    ]

    def start(*successors):
        return Sequencer(
            terms=first,
            successors=successors,
            identity=world.sequencer_identity,
            verifier=world.network.committees[0],
            state=world.network.follower,
            records=world.network._sequencer_store,
            kept=1,
        )

    assert [(s.height, s.in_office) for s in (start(), start(others[0]), start(*others))] == [
        (1, True),
        (1, False),
        (3, True),
    ]
    returning = start(*others)
    assert returning.tip[0] == 1
    with pytest.raises(Rejected) as caught:
        returning.commit(now_ms=world.clock())
    assert caught.value.rule == "SEQ-5"
    *_, sent = returning.submit(world.transfer(world.people[1]).encoded, now_ms=world.clock())
    receipt = SignedReceipt.decode(sent.message).message
    assert (receipt.sequence, receipt.include_by_height) == (1, 3 + first.genesis.deadlines.include_heights)
