"""A role that dies between any two of its effects and comes back from its store sends the same bytes, or none.

The adapter here performs effects one by one against the real store and can be told after how many to fall dead.
"""

from __future__ import annotations

import shutil

import pytest

from encmempool.committee import Ballot, Member
from encmempool.errors import Conflict, Malformed, Rejected
from encmempool.reveal import Follower
from encmempool.sequencer import Sequencer
from encmempool.store import MemoryStore, perform
from encmempool.types import (
    EncryptedTransaction,
    Proposal,
    ShareRelease,
    SignedReceipt,
    SignedVote,
)
from threshold.sansio import Persist

MEMBERS = (1, 2, 3, 4)


class Crashed(Exception):
    """The process of the victim ended."""


class Cluster:
    """All roles by hand. The victim has a real database and dies once, before its effect number `crash_before`."""

    def __init__(self, world, transactions, *, victim, crash_before=None):
        self.world = world
        self.committee = world.committee
        self.transactions = transactions
        self.victim = victim
        self.crash_before = crash_before
        self.effects = 0
        self.left: dict[tuple[str, str, object], set[bytes]] = {}
        roles = ("sequencer", "archive", *(f"members/{index}" for index in MEMBERS))
        self.stores = {role: world.home.store(role) if role == victim else MemoryStore() for role in roles}
        self.followers: dict[str, Follower] = {}
        self.members: dict[int, Member] = {}
        for role in ("archive", "sequencer", *(f"members/{index}" for index in MEMBERS)):
            self.build(role)

    def build(self, role):
        store = self.stores[role]
        if role == "sequencer":
            self.sequencer = Sequencer(
                terms=self.committee.terms,
                identity=self.world.sequencer_identity,
                verifier=self.committee,
                state=self.followers["archive"],
                records=store,
            )
            return
        follower = self.followers[role] = Follower(self.committee, records=store)
        if role == "archive":
            if hasattr(self, "sequencer"):
                self.build("sequencer")  # one process
            return
        index = int(role.rpartition("/")[2])
        self.members[index] = Member(
            index=index,
            chain=follower.chain,
            identity=self.world.member_identity(index),
            key_share=self.world.home.key_share(index, self.world.password),
            records=store,
            random=self.world.random,
        )

    def restart(self):
        """From the store alone; a restarted role first sends again what it sent last."""
        self.build(self.victim)
        if self.victim == "sequencer":
            self.act("sequencer", self.sequencer.resend())
        elif self.victim != "archive":
            self.act(self.victim, self.members[int(self.victim.rpartition("/")[2])].resend())

    def act(self, role, effects):
        messages = []
        for effect in effects:
            if role == self.victim:
                if self.effects == self.crash_before:
                    self.crash_before = None
                    raise Crashed
                self.effects += 1
            if isinstance(effect, Persist):
                self.stores[role].put([effect])
            else:
                self.note(role, effect.message)
                messages.append(effect.message)
        return messages

    def note(self, role, message):
        """What left, by what may exist once only."""
        if role == "sequencer":
            try:
                receipt = SignedReceipt.decode(message).message
            except Malformed:
                commitment = Proposal.decode(message).commitment
                self.left.setdefault((role, "commitment", commitment.message.height), set()).add(commitment.encoded)
                return
            self.left.setdefault((role, "receipt", receipt.sequence), set()).add(message)
            self.left.setdefault((role, "receipt of", receipt.tx_id), set()).add(message)
        elif len(message) == 145:
            vote = SignedVote.decode(message)
            self.left.setdefault((role, "vote", vote.message.height), set()).add(message)
        else:
            share = ShareRelease.decode(message).share
            self.left.setdefault((role, "share", share.message.height), set()).add(share.encoded)

    def step(self, function, *arguments):
        """What the outside asks of a role, asked again if the role died over it."""
        try:
            return function(*arguments)
        except Crashed:
            self.restart()
            return function(*arguments)

    # what the outside asks

    def submit(self, transaction):
        known = self.sequencer.receipt(transaction.tx_id)
        if known is not None:
            self.note("sequencer", known.encoded)
            return
        self.act("sequencer", self.sequencer.submit(transaction.encoded, now_ms=self.world.clock()))

    def commit(self, height):
        if self.sequencer.height >= height:
            (message,) = self.act("sequencer", self.sequencer.resend())
        else:
            (message,) = self.act("sequencer", self.sequencer.commit(now_ms=self.world.clock()))
        return Proposal.decode(message)

    def follow(self, role, proposal):
        self.act(role, self.followers[role].propose(proposal))

    def vote(self, index, proposal):
        (message,) = self.act(f"members/{index}", self.members[index].vote(proposal, now_ms=self.world.clock()))
        return SignedVote.decode(message)

    def certify(self, role, certificate):
        self.act(role, self.followers[role].certify(certificate))

    def release(self, index, certificate):
        messages = self.act(f"members/{index}", self.members[index].release(certificate))
        return [ShareRelease.decode(message) for message in messages]

    def receive(self, role, release):
        self.act(role, self.followers[role].receive(release))

    def advance(self, role):
        records, _ = self.followers[role].advance()
        self.act(role, records)

    # the story

    def order(self, height):
        proposal = self.step(self.commit, height)
        self.step(self.follow, "archive", proposal)
        ballot = Ballot(self.committee)
        certificate = None
        for index in MEMBERS:
            certificate = ballot.add(self.step(self.vote, index, proposal)) or certificate
        return certificate

    def open(self, certificate):
        for role in self.followers:
            self.step(self.certify, role, certificate)
        for index in MEMBERS[:3]:
            for release in self.step(self.release, index, certificate):
                for role in self.followers:
                    self.step(self.receive, role, release)

    def run(self):
        """Two heights pending together, then a third; returns the roots all roles end with."""
        a, b, c, d = self.transactions
        self.step(self.submit, a)
        self.step(self.submit, b)
        first = self.order(1)
        self.step(self.submit, c)
        second = self.order(2)
        self.open(first)
        self.open(second)
        for role in self.followers:
            self.step(self.advance, role)
        self.step(self.submit, d)
        self.open(self.order(3))
        for role in self.followers:
            self.step(self.advance, role)
        executed = {
            transaction.tx_id
            for height in self.followers["archive"].executed
            for transaction in height.ready.proposal.transactions
        }
        assert executed == {transaction.tx_id for transaction in self.transactions}
        return {follower.latest.root for follower in self.followers.values()}


def transactions_of(world):
    alice, bob, carol = world.people[:3]
    return world.transfer(alice), world.swap(bob), world.transfer(carol), world.transfer(alice, 1)


@pytest.mark.parametrize(
    ("scheme", "victim"),
    [("clear", "sequencer"), ("tdh2", "members/1"), ("tdh2", "members/4"), ("clear", "archive")],
)
def test_role_that_dies_before_any_of_its_effects_comes_back_without_a_second_signature(make_world, scheme, victim):
    world = make_world(scheme)
    transactions = transactions_of(world)
    reference = Cluster(world, transactions, victim=victim)
    expected = reference.run()
    assert len(expected) == 1
    assert reference.effects > 10
    for crash_before in range(reference.effects):
        for old in (world.home.path / victim).glob("records.sqlite*"):
            old.unlink()
        world.home.create_store(victim)
        cluster = Cluster(world, transactions, victim=victim, crash_before=crash_before)
        assert cluster.run() == expected, f"crashed before effect {crash_before}"
        assert cluster.crash_before is None
        for what, messages in cluster.left.items():
            assert len(messages) == 1, f"{what} twice, after a crash before effect {crash_before}"
        assert {key for kind, what, key in cluster.left if what == "receipt of"} == {t.tx_id for t in transactions}


def test_member_restarted_between_vote_and_share_releases_and_repeats_both(world):
    world.network.submit(world.transfer(world.people[0]).encoded)
    certificate = world.network.vote(world.network.commit())
    stored = world.records("members/1")
    seat = world.restart().seats[0]
    (vote,) = seat.member.resend()
    assert vote.message in stored.values()
    (share,) = perform(seat.member.release(certificate), seat.store)
    seat = world.restart().seats[0]
    assert [send.message for send in seat.member.resend()] == [vote.message, share.message]
    assert perform(seat.member.release(certificate), seat.store) == (share,)


def test_sequencer_restarted_sends_its_newest_proposal_byte_for_byte(world):
    assert world.network.sequencer.resend() == ()
    world.network.submit(world.transfer(world.people[0]).encoded)
    proposal = world.network.commit()
    (send,) = world.restart().sequencer.resend()
    assert send.message == proposal.encoded


def test_sequencer_restarted_keeps_receipts_nonces_and_sequence(world):
    alice, bob = world.people[:2]
    first = world.network.submit(world.transfer(alice).encoded)
    network = world.restart()
    assert network.sequencer.receipt(first.message.tx_id) == first
    assert network.sequencer.next_nonce(alice.address) == 1
    assert network.submit(world.transfer(alice, 1).encoded).message.sequence == 1
    network.commit()
    network = world.restart()
    assert network.sequencer.pending == 0
    assert network.sequencer.next_nonce(alice.address) == 2
    assert network.submit(world.transfer(bob).encoded).message.sequence == 2
    assert [t.header.sender for t in network.commit().transactions] == [bob.address]


def test_network_restarted_after_every_step_ends_in_the_same_state(make_world):
    def run(world, restart):
        for at in range(3):
            world.network.submit(world.transfer(world.people[0], at).encoded)
            restart()
            proposal = world.network.commit()
            restart()
            certificate = world.network.vote(proposal)
            restart()
            for member in (4, 2, 1):
                world.network.release(certificate, members=[member])
                restart()
            world.network.execute()
            restart()
        return world.network.follower.latest.root

    steady, shaken = make_world(), make_world()
    assert run(steady, lambda: None) == run(shaken, shaken.restart)


def _old_copy(world):
    old = world.home.path / "members-1-before"
    world.restart()
    shutil.copytree(world.home.path / "members" / "1", old)

    def restore():
        shutil.rmtree(world.home.path / "members" / "1")
        shutil.copytree(old, world.home.path / "members" / "1")
        return world.restart()

    return restore


def test_member_restored_from_an_old_copy_votes_the_same_but_its_second_share_is_refused(world):
    """The limit of a backup: the guard forgets. Votes are deterministic, a share's proof is not; receivers object."""
    world.run_height(world.transfer(world.people[0]))
    restore = _old_copy(world)
    world.network.submit(world.transfer(world.people[1]).encoded)
    proposal = world.network.commit()
    certificate = world.network.vote(proposal)
    world.network.release(certificate)
    (vote, _) = world.network.seats[0].member.resend()
    network = restore()
    seat = network.seats[0]
    assert perform(seat.member.vote(proposal, now_ms=world.clock()), seat.store) == (vote,)
    (again,) = perform(seat.member.release(certificate), seat.store)
    with pytest.raises(Rejected) as caught:
        network.follower.receive(ShareRelease.decode(again.message))
    assert (caught.value.rule, caught.value.member) == ("REV-1", 1)
    (executed,) = network.execute()
    assert executed.receipts[0].success


def test_member_restored_from_an_old_copy_can_be_made_to_vote_twice_but_not_to_certify(world):
    """The limit of a backup, with an equivocating sequencer: other members hold, and the ballot names the member."""
    restore = _old_copy(world)
    world.network.submit(world.transfer(world.people[1]).encoded)
    proposal = world.network.commit()
    certificate = world.network.vote(proposal)
    other = world.forge(proposal, timestamp_ms=proposal.commitment.message.timestamp_ms + 1)
    network = restore()
    seat = network.seats[0]
    (second,) = perform(seat.member.vote(other, now_ms=world.clock()), seat.store)
    for honest in network.seats[1:]:
        with pytest.raises(Rejected, match="VOT-10"):
            honest.member.vote(other, now_ms=world.clock())
    ballot = Ballot(world.committee)
    ballot.add(SignedVote(message=certificate.vote, signature=certificate.signatures[0]))
    with pytest.raises(Rejected) as caught:
        ballot.add(SignedVote.decode(second.message))
    assert (caught.value.rule, caught.value.member) == ("CRT-2", 1)


class Doubled:
    """Two processes of one member on one database, as nobody should run them."""

    def __init__(self, world):
        self.world = world
        world.network.submit(world.transfer(world.people[0]).encoded)
        world.network.submit(world.transfer(world.people[1]).encoded)
        self.one = world.network.seats[0]
        self.two = world.load().seats[0]
        self.honest = world.network.commit()
        self.other = world.forge(self.honest, transactions=self.honest.transactions[:1])

    def vote(self, seat, proposal):
        return perform(seat.member.vote(proposal, now_ms=self.world.clock()), seat.store)


@pytest.fixture
def doubled(world):
    return Doubled(world)


def test_second_process_of_a_member_gets_a_conflict_and_sends_nothing(doubled):
    assert doubled.vote(doubled.one, doubled.honest)
    before = doubled.world.records("members/1")
    with pytest.raises(Conflict):
        doubled.vote(doubled.two, doubled.other)
    assert doubled.world.records("members/1") == before


def test_second_process_of_a_member_sends_nothing_when_asked_again(doubled):
    assert doubled.vote(doubled.one, doubled.honest)
    for _ in range(3):
        with pytest.raises((Conflict, Rejected)):
            doubled.vote(doubled.two, doubled.other)


def test_second_process_of_a_member_sends_no_second_share(doubled):
    certificate = doubled.world.network.vote(doubled.honest)
    doubled.vote(doubled.two, doubled.honest)
    assert perform(doubled.one.member.release(certificate), doubled.one.store)
    for _ in range(2):
        with pytest.raises(Conflict):
            perform(doubled.two.member.release(certificate), doubled.two.store)


def test_second_process_of_a_member_does_not_abstain_where_the_first_released(doubled):
    """SHR-2 is the store's rule as well: one of the two signatures may exist."""
    certificate = doubled.world.network.vote(doubled.honest)
    assert perform(doubled.one.member.release(certificate), doubled.one.store)
    with pytest.raises((Conflict, Rejected)):
        perform(doubled.two.member.abstain(1), doubled.two.store)


def test_stored_bytes_are_what_the_sequencer_received(world):
    genuine = world.transfer(world.people[0])
    world.network.submit(genuine.encoded)
    stored = world.records("sequencer")["transaction", genuine.tx_id]
    assert EncryptedTransaction.decode(stored) == genuine
