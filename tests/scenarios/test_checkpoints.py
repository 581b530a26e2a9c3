"""A party that starts from a checkpoint says and does what one does that replays everything, and holds less.

What is compared: the next bytes of each role. What is broken: the checkpoint, and what is stored above it.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import replace

import pytest

from encmempool.checkpoint import Checkpoint, SequenceRange, SequencesOf
from encmempool.committee import Member
from encmempool.errors import Rejected, StorageError
from encmempool.network.rotation import Change, rotate
from encmempool.reveal import CHECKPOINT, PROPOSAL, Follower
from encmempool.sequencer import RECEIPT, SEQUENCER_CHECKPOINT, Sequencer, SequencerCheckpoint
from encmempool.store import MemoryStore, perform
from encmempool.types import Proposal, ShareRelease, SignedReceipt
from tests.attacks.conftest import dealt_world  # noqa: F401
from threshold.encoding import u64
from threshold.entropy import deterministic
from threshold.sansio import Persist

LAST = {"clear": 100, "tdh2": 100, "ibe": None, "simple-bte": 100, "fptx": 100}
"""How long transactions are valid; those of `ibe` for the next height."""


def transfer(world, person, nonce=0, **changes):
    valid_until = LAST[world.committee.scheme.info.name] or world.network.sequencer.height + 1
    return world.transfer(world.people[person], nonce, valid_until=valid_until, **changes)


def open_height(world, *people):
    """With a transaction of each."""
    for person in people:
        nonce = world.network.sequencer.next_nonce(world.people[person].address)
        world.network.submit(transfer(world, person, nonce).encoded)
    world.network.commit()
    world.network.reveal()


def from_records(world, role, **options):
    first, *successors = world.network.committees
    return Follower(first, successors=successors, records=world.home.store(role), **options)


def both(world, role):
    """The same follower from all its records and from its newest checkpoint."""
    whole, short = from_records(world, role, checkpoints=False), from_records(world, role, kept=32)
    assert short.chain.base >= whole.chain.base
    return whole, short


def write_checkpoint(world, role):
    follower = from_records(world, role)
    perform([follower.checkpoint()], world.home.store(role))
    return Checkpoint.opened(world.home.store(role).last(CHECKPOINT)[1])


def member_of(world, follower):
    committee = follower.committee
    return Member(
        index=1,
        chain=follower.chain,
        committee=committee,
        identity=world.home.identity("members/1", world.password),
        key_share=world.home.key_share(1, world.password, role="members/1", epoch=committee.key_set.epoch),
        records=world.home.store("members/1"),
        random=deterministic(b"the same for both"),
    )


def says(follower):
    """What its own party and others may learn from a follower."""
    chain, latest = follower.chain, follower.latest
    heights = range(chain.base + 1, chain.next_height)
    return {
        "latest": (latest.height, latest.root, latest.commitment, follower.ledger.burned),
        "chain": (chain.next_height, chain.certified, [chain.at(h).commitment.root for h in heights]),
        "opened": [(h, follower.certificate(h), follower.shares(h)) for h in heights],
        "sequences": {address: numbers.ranges() for address, numbers in chain._sequences.items()},
        "nonces": {sender: nonce for sender, nonce in chain._next_nonces.items() if nonce},
        "executed": [(e.reveal, e.receipts, e.state.root) for e in map(follower.executed_at, heights) if e],
    }


def agree(whole, short):
    """The one that replayed everything is asked about the heights that the other one holds."""
    whole.chain.forget(short.chain.base)
    assert says(short) == says(whole)


# --- the same next bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["clear", "tdh2", "ibe", "simple-bte", "fptx"])
def test_member_signs_the_same_bytes_from_its_checkpoint_as_from_everything(dealt_world, scheme):  # noqa: F811
    world = dealt_world(scheme)
    for people in ((0, 1), (), (2, 0)):
        open_height(world, *people)
    checkpoint = write_checkpoint(world, "members/1")
    assert (checkpoint.height, len(checkpoint.commitment)) == (2, 1)
    world.restart()
    world.network.submit(transfer(world, 3).encoded)
    fourth = world.network.commit()
    whole, short = both(world, "members/1")
    agree(whole, short)
    members = [member_of(world, follower) for follower in (whole, short)]
    votes = [member.vote(fourth, now_ms=world.clock()) for member in members]
    assert votes[0] == votes[1]
    certificate = world.network.vote(fourth)
    shares = [member.release(certificate) for member in members]
    assert shares[0] == shares[1]
    world.network.release(certificate)
    world.network.execute()
    world.restart()
    whole, short = both(world, "members/1")
    assert short.latest.height == 4
    agree(whole, short)
    resent = [member_of(world, follower).resend() for follower in (whole, short)]
    assert resent[0] == resent[1]
    assert len(resent[0]) == 2


def test_checkpoint_lies_below_what_the_newest_commitment_says_of_execution(world):
    """Five heights ran ahead: the next may name the same state as the last of them."""
    open_height(world, 0)
    proposals = []
    for person in (1, 2, 3):
        world.network.submit(transfer(world, person).encoded)
        proposals.append(world.network.commit())
    world.network.reveal()
    checkpoint = write_checkpoint(world, "archive")
    assert checkpoint.height == 1
    stored = world.home.store("archive").last(CHECKPOINT)
    assert stored is not None
    assert stored[0] == u64(4)
    whole, short = both(world, "archive")
    agree(whole, short)
    state = short.at(1)
    assert state is not None
    late = world.forge(
        proposals[-1],
        transactions=(),
        height=5,
        parent=proposals[-1].commitment.message.root,
        executed_height=1,
        state_root=state.root,
    )
    for follower in (whole, short):
        follower.propose(late)


def test_followers_go_on_alike_above_heights_that_are_not_open(world):
    """One certified, one proposed only."""
    open_height(world, 0)
    for person in (1, 2):
        world.network.submit(transfer(world, person).encoded)
        world.network.commit()
    network = world.network
    certificate = network.vote(network.proposal(2))
    perform(network.follower.propose(network.proposal(3)), network._archive)
    write_checkpoint(world, "archive")
    network.release(certificate, members=(1, 2))
    whole, short = both(world, "archive")
    assert (short.chain.next_height, short.latest.height, len(short.shares(2))) == (4, 1, 2)
    agree(whole, short)
    for send in network.seats[2].member.release(certificate)[-1:]:
        release = ShareRelease.decode(send.message)
        effects = [(follower.receive(release), follower.advance()[0]) for follower in (whole, short)]
        assert effects[0] == effects[1]
    agree(whole, short)
    assert short.latest.height == 2


def test_checkpoint_before_the_first_height_is_the_genesis(world):
    checkpoint = write_checkpoint(world, "archive")
    assert (checkpoint.height, checkpoint.commitment, checkpoint.sequences) == (0, (), ())
    whole, short = both(world, "archive")
    agree(whole, short)
    open_height(world, 0)
    agree(*both(world, "archive"))


@pytest.mark.parametrize("change", [{}, {"new_key": True, "overlap": 0}, {"new_sequencer": True}], ids=str)
def test_checkpoint_works_across_committees(world, change):
    """Below, at and above the start of the next key set; each newer checkpoint replaces the one before."""
    open_height(world, 0)
    write_checkpoint(world, "members/1")
    rotate(world.network, Change(**change), random=world.random)
    agree(*both(world, "members/1"))
    for at, people in enumerate(((1,), (0, 2), ())):
        open_height(world, *people)
        world.restart()
        agree(*both(world, "members/1"))
        write_checkpoint(world, "members/1")
        world.home.store("members/1").erase(CHECKPOINT, below=u64(at + 1))
        whole, short = both(world, "members/1")
        agree(whole, short)
        signed = [member_of(world, follower).resend() for follower in (whole, short)]
        assert signed[0] == signed[1]


# --- what is past ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    """Windows of two heights, to reach their end."""
    for module in ("reveal", "committee", "sequencer"):
        monkeypatch.setattr(f"encmempool.{module}.MAX_UNEXECUTED", 2)
    monkeypatch.setattr("encmempool.reveal.KEPT_STATES", 1)


def followed(world, heights, *, kept):
    """A follower that keeps little, and its store, in which all is."""
    store = MemoryStore()
    follower = Follower(world.committee, records=store, kept=kept)
    for height in range(1, heights + 1):
        perform(follower.take(world.network.follower.executed_at(height)), store)
    return follower, store


@pytest.mark.usefixtures("small")
def test_follower_holds_the_newest_executed_heights_and_no_others(clear_world):
    world = clear_world
    for person in range(5):
        open_height(world, person)
    follower, store = followed(world, 5, kept=2)
    assert [done.ready.commitment.height for done in follower.executed] == [4, 5]
    assert (follower.chain.base, follower.chain.next_height) == (3, 6)
    for past in (1, 2, 3):
        assert follower.executed_at(past) is None
        assert follower.chain.at(past) is None
        assert follower.certificate(past) is None
        assert follower.shares(past) == ()
        assert follower.at(past) is None
    assert follower.at(4) is not None
    for held in (follower._certificates, follower._shares, follower._executed, follower._states):
        assert set(held) <= {4, 5}
    assert store.get(PROPOSAL, u64(1) + world.network.proposal(1).commitment.message.root) is not None


@pytest.mark.usefixtures("small")
def test_heights_that_are_not_executed_are_never_dropped(clear_world):
    world = clear_world
    for person in range(3):
        open_height(world, person)
    follower, store = followed(world, 3, kept=2)
    for person in (3, 4):
        world.network.submit(transfer(world, person).encoded)
        perform(follower.propose(world.network.commit()), store)
    assert [h for h in range(1, 9) if follower.chain.at(h)] == [2, 3, 4, 5]


def test_fewer_heights_than_the_next_one_needs_cannot_be_kept(world):
    with pytest.raises(ValueError, match="newest 32 heights are needed"):
        Follower(world.committee, kept=31)


@pytest.mark.usefixtures("small")
def test_messages_about_a_past_height_are_refused_by_rule(clear_world):
    world = clear_world
    for person in range(4):
        open_height(world, person)
    follower, _ = followed(world, 4, kept=2)
    done = world.network.follower.executed_at(1)
    share = world.network.follower.shares(1)[0]
    refused = [
        (follower.propose, (done.ready.proposal,), "VOT-2"),
        (follower.follow, (done.ready.proposal, done.certificate), "VOT-2"),
        (follower.certify, (done.certificate,), "REV-1"),
        (follower.receive, (ShareRelease(share=share, certificate=done.certificate),), "REV-1"),
        (follower.take, (done,), "VOT-2"),
        (follower.take_reveal, (1, done.reveal), "REV-1"),
    ]
    for call, arguments, rule in refused:
        with pytest.raises(Rejected) as caught:
            call(*arguments)
        assert caught.value.rule == rule


@pytest.mark.usefixtures("small")
def test_committed_nonce_and_sequence_are_remembered_of_heights_that_are_past(clear_world):
    """VOT-4, VOT-6."""
    world = clear_world
    for person in range(4):
        open_height(world, person)
    follower, store = followed(world, 4, kept=2)
    perform([follower.checkpoint()], store)
    restarted = Follower(world.committee, records=store, kept=2)
    first, last = world.network.proposal(1), world.network.proposal(4)
    state = follower.latest
    base = {
        "height": 5,
        "parent": last.commitment.message.root,
        "round": 5,
        "executed_height": 4,
        "state_root": state.root,
    }
    again = world.forge(last, transactions=first.transactions, receipts=first.receipts, **base)
    fresh = (transfer(world, 5),)
    used = world.forge(last, transactions=fresh, receipts=(world.receipt(fresh[0], 0),), **base)
    for party in (follower, restarted):
        for proposal, rule in ((again, "VOT-4"), (used, "VOT-6")):
            with pytest.raises(Rejected) as caught:
                party.propose(proposal)
            assert caught.value.rule == rule


@pytest.mark.usefixtures("small")
def test_member_signs_nothing_anew_for_a_past_height(clear_world):
    """VOT-13, by VOT-10 and SHR-2: its records have what it signed there, and it looks no further."""
    world = clear_world
    for person in range(4):
        open_height(world, person)
    store = world.home.store("members/1")
    perform([from_records(world, "members/1").checkpoint()], store)
    done = world.network.follower.executed_at(1)
    replayed = from_records(world, "members/1", kept=2, checkpoints=False)
    for follower in (replayed, from_records(world, "members/1", kept=2)):
        member = member_of(world, follower)
        asked = [
            (lambda m=member: m.vote(done.ready.proposal, now_ms=world.clock()), "VOT-10"),
            (lambda m=member: m.release(done.certificate), "SHR-2"),
            (lambda m=member: m.abstain(1), "SHR-2"),
        ]
        for ask, rule in asked:
            with pytest.raises(Rejected, match="past") as caught:
                ask()
            assert caught.value.rule == rule
        assert (set(member._votes), set(member._shares)) <= ({3, 4}, {3, 4})


@pytest.mark.usefixtures("small")
def test_member_in_memory_forgets_with_its_chain(clear_world):
    world = clear_world
    store = MemoryStore()
    follower = Follower(world.committee, records=store, kept=2)
    member = member_of(world, follower)
    for person in range(5):
        world.network.submit(transfer(world, person).encoded)
        proposal = world.network.commit()
        perform(member.vote(proposal, now_ms=world.clock()), store)
        certificate = world.network.vote(proposal)
        perform(follower.certify(certificate), store)
        perform(member.release(certificate), store)
        world.network.release(certificate)
        world.network.execute()
        perform(follower.take(world.network.follower.executed_at(person + 1)), store)
    assert set(member._votes) == set(member._shares) == {3, 4, 5}


def test_reveal_of_a_height_that_is_not_certified_is_refused(clear_world):
    world = clear_world
    open_height(world, 0)
    done = world.network.follower.executed_at(1)
    follower = Follower(world.committee)
    follower.propose(done.ready.proposal)
    with pytest.raises(Rejected, match=r"not certified.*REV-1"):
        follower.take_reveal(1, done.reveal)
    follower.certify(done.certificate)
    records, executed = follower.take_reveal(1, done.reveal)
    assert executed.state.root == done.state.root
    assert [record.value for record in records] == [done.reveal.encoded]


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(clear_world):
    """A store with a checkpoint at height 3, of which any copy can be damaged."""
    for person in range(3):
        open_height(clear_world, person)
    write_checkpoint(clear_world, "archive")
    whole = from_records(clear_world, "archive", checkpoints=False)

    def make(change):
        store = MemoryStore()
        records = clear_world.records("archive")
        records[CHECKPOINT, u64(3)] = change(records[CHECKPOINT, u64(3)])
        store._records.update(records)
        return store

    make.world, make.whole = clear_world, whole
    return make


def flipped(at):
    def change(data):
        changed = bytearray(data)
        changed[at] ^= 1
        return bytes(changed)

    return change


def resealed(**changes):
    """Changed by somebody who knows the format."""
    return lambda data: replace(Checkpoint.opened(data), **changes).sealed().encoded


DAMAGES = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "checksum": flipped(0),
    "first byte": flipped(32),
    "middle": flipped(300),
    "last byte": flipped(-1),
    "height": resealed(height=1),
    "root": resealed(state_root=bytes(32)),
    "no commitment": resealed(commitment=()),
    "signature": lambda data: resealed(
        commitment=(replace(Checkpoint.opened(data).commitment[0], signature=bytes(64) + b"\x1b"),)
    )(data),
    "sequences": resealed(sequences=(SequencesOf(sequencer=bytes(20), ranges=(SequenceRange(first=2, last=1),)),)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_an_error_that_says_what_to_do(stored, damage):
    store, committee = stored(DAMAGES[damage]), stored.world.committee
    with pytest.raises(StorageError, match=r"checkpoint of height 3 is damaged.*newest backup, or start without"):
        Follower(committee, records=store)
    assert says(Follower(committee, records=store, checkpoints=False)) == says(stored.whole)
    store.erase(CHECKPOINT)
    assert says(Follower(committee, records=store)) == says(stored.whole)


def richer(data):
    """By one wei, and otherwise right."""
    checkpoint = Checkpoint.opened(data)
    first, *others = checkpoint.state.accounts
    state = replace(checkpoint.state, accounts=(replace(first, balance=first.balance + 1), *others))
    return replace(checkpoint, state=state, state_root=state.root).sealed().encoded


def test_checkpoint_before_the_first_height_cannot_change_the_genesis(clear_world):
    record = from_records(clear_world, "archive").checkpoint()
    store = MemoryStore()
    store.put([replace(record, value=richer(record.value))])
    with pytest.raises(StorageError, match="another genesis"):
        Follower(clear_world.committee, records=store)


def test_checkpoint_of_a_state_that_nobody_certified_does_not_fit_what_follows(stored):
    """Whoever can write it can give it a checksum; the commitments above name another state."""

    with pytest.raises(StorageError, match=r"stored above the checkpoint of height 3 is damaged.*VOT-7"):
        Follower(stored.world.committee, records=stored(richer))


def test_checkpoint_of_another_network_is_refused(stored, make_world):
    other = make_world("tdh2")
    open_height(other, 0)
    with pytest.raises(StorageError, match="checkpoint of height 3 is damaged"):
        Follower(other.committee, records=stored(lambda data: data))


def test_checkpoint_is_written_once_for_a_height_with_the_same_bytes(clear_world):
    world = clear_world
    open_height(world, 0)
    store = world.home.store("archive")
    for _ in range(3):
        perform([from_records(world, "archive").checkpoint()], store)
    assert len(list(store.scan(CHECKPOINT))) == 1
    open_height(world, 1)
    write_checkpoint(world, "archive")
    assert len(list(store.scan(CHECKPOINT))) == 2


# --- the sequencer ---------------------------------------------------------------------------------------------------


class Sequencers:
    """A sequencer that keeps little and writes checkpoints, beside one that remembers all, on equal stores."""

    def __init__(self, world):
        self.world = world
        self.store = MemoryStore()
        self.state = world.network.follower
        self.bounded = self.start(kept=1)

    def start(self, **options):
        return Sequencer(
            terms=self.world.committee.terms,
            identity=self.world.sequencer_identity,
            verifier=self.world.committee,
            state=self.world.network.follower,
            records=self.store,
            **options,
        )

    def submit(self, person, nonce=0, **changes):
        transaction = self.world.transfer(self.world.people[person], nonce, **changes)
        (send,) = perform(self.bounded.submit(transaction.encoded, now_ms=self.world.clock()), self.store)
        return transaction, SignedReceipt.decode(send.message)

    def open(self):
        """Commit, and have the network execute it."""
        (send,) = perform(self.bounded.commit(now_ms=self.world.clock()), self.store)
        self.open_proposal(Proposal.decode(send.message))

    def leave_out(self, person):
        """A transaction that expires, since its sender has another one in flight."""
        self.submit(person)
        (send,) = perform(self.bounded.commit(now_ms=self.world.clock()), self.store)
        left_out = self.submit(person, 1, valid_until=self.bounded.height + 1)
        (empty,) = perform(self.bounded.commit(now_ms=self.world.clock()), self.store)
        for sent in (send, empty):
            self.open_proposal(Proposal.decode(sent.message))
        return left_out

    def open_proposal(self, proposal):
        network = self.world.network
        network.release(network.vote(proposal))
        network.execute()

    def checkpoint(self):
        perform([self.bounded.checkpoint()], self.store)

    def agree(self):
        """Restarts with and without checkpoint, in their next bytes; the bounded one goes on."""
        whole, replayed, self.bounded = self.start(), self.start(kept=1, checkpoints=False), self.start(kept=1)
        now_ms = self.world.clock()
        said = []
        for sequencer in (whole, replayed, self.bounded):
            live, nonces = sequencer.live(), [sequencer.next_nonce(p.address) for p in self.world.people]
            said.append(
                (sequencer.height, sequencer.pending, live, nonces, sequencer.uncommitted(), sequencer.resend())
            )
        assert said[0] == said[1] == said[2]
        for height in range(0, whole.height + 2):
            assert whole.batch(height) == self.bounded.batch(height)
        probes = [self.start(), self.start(kept=1, checkpoints=False), self.start(kept=1)]
        sent = self.world.seal(self.world.people[9], b"\1" * 256).encoded
        assert len({tuple(map(str, probe.submit(sent, now_ms=now_ms))) for probe in probes}) == 1
        assert len({tuple(map(str, probe.commit(now_ms=now_ms))) for probe in probes}) == 1


@pytest.fixture
def sequencers(clear_world):
    return Sequencers(clear_world)


def test_sequencer_commits_and_receives_the_same_from_its_checkpoint(sequencers):
    """Expired, replaced, committed, executed and live transactions; checkpoints at every point between."""
    story = sequencers
    story.submit(0)
    story.submit(1, valid_until=1)
    story.checkpoint()
    story.open()
    story.agree()
    story.leave_out(2)
    story.submit(3)
    story.checkpoint()
    story.open()
    story.agree()
    story.submit(2, 1)  # in the place of the one that was left out
    story.checkpoint()
    story.agree()
    story.open()
    story.submit(0, 1)
    story.agree()
    story.checkpoint()
    story.submit(0, 2)
    story.open()
    story.agree()
    story.agree()


def test_sequencer_checkpoint_above_unexecuted_heights(sequencers):
    story = sequencers
    story.submit(0)
    story.open()
    transactions = [story.submit(person)[0] for person in (1, 2)]
    (send,) = perform(story.bounded.commit(now_ms=story.world.clock()), story.store)
    story.submit(1, 1)
    story.checkpoint()
    perform(story.bounded.commit(now_ms=story.world.clock()), story.store)
    story.agree()
    assert (story.bounded.height, story.bounded.pending) == (3, 1)
    story.open_proposal(Proposal.decode(send.message))
    story.agree()
    assert [story.bounded.place(t.tx_id) for t in transactions] == [2, 2]


def test_sequencer_keeps_in_memory_what_waits_and_reads_the_rest(sequencers):
    story = sequencers
    sent = [story.submit(0)]
    story.open()
    for person in (1, 2, 3):
        sent.append(story.submit(person))
        story.open()
    sent.append(story.leave_out(4))
    story.open()
    sequencer = story.bounded
    assert sequencer.pending == 0
    assert set(sequencer._transactions) == set(sequencer._receipts) == set(sequencer._places) == set()
    assert set(sequencer._batches) == {7}
    for at, (transaction, receipt) in enumerate(sent):
        assert sequencer.receipt(transaction.tx_id) == receipt
        assert sequencer.transaction(transaction.tx_id) == transaction
        assert sequencer.place(transaction.tx_id) == (at + 1 if at < 4 else None)
    assert sequencer.proposal(sequencer.batch(1)).transactions == (sent[0][0],)
    assert [t for t, _ in sequencer.uncommitted()] == [sent[-1][0]]
    assert sequencer.place(bytes(32)) is None
    assert sequencer.receipt(bytes(32)) is None


def test_sequencer_restores_no_transaction_that_another_took_the_place_of(sequencers):
    story = sequencers
    replaced, _ = story.leave_out(0)
    live, _ = story.submit(0, 1)
    for checkpoints in (True, False):
        restored = story.start(kept=0, checkpoints=checkpoints)
        assert [transaction for transaction, _ in restored.live()] == [live]
        assert set(restored._transactions) == set(restored._receipts) == {live.tx_id}
        assert restored.receipt(replaced.tx_id) is not None


def test_transaction_received_long_ago_is_not_received_again_mem_1(sequencers):
    story = sequencers
    transaction, _ = story.leave_out(0)
    story.open()
    story.checkpoint()
    for sequencer in (story.bounded, story.start(kept=1)):
        assert transaction.tx_id not in sequencer._receipts
        with pytest.raises(Rejected) as caught:
            sequencer.submit(transaction.encoded, now_ms=story.world.clock())
        assert caught.value.rule == "MEM-1"


def test_group_of_submissions_is_stored_in_one_put(sequencers):
    """Nonces that follow one another, and the same one twice."""
    story, effects = sequencers, []
    transactions = [story.world.transfer(story.world.people[0], nonce) for nonce in (0, 1, 2)]
    for transaction in transactions:
        *records, _ = story.bounded.submit(transaction.encoded, now_ms=story.world.clock())
        effects += records
        with pytest.raises(Rejected, match="MEM-1"):
            story.bounded.submit(transaction.encoded, now_ms=story.world.clock())
    assert story.store.last(RECEIPT) is None
    assert story.start().pending == 0
    story.store.put(effects)
    story.agree()
    assert [receipt.message.sequence for _, receipt in story.bounded.live()] == [0, 1, 2]


def test_restart_from_a_checkpoint_reads_only_what_came_after(sequencers):
    """However many receipts there are below."""
    story = sequencers
    for person in range(6):
        story.submit(person)
        story.open()
    story.submit(6)
    story.checkpoint()
    story.submit(7)
    read = []

    class Counted(MemoryStore):
        def __init__(self, records):
            super().__init__()
            self._records = records

        def scan(self, kind, *, start=b"", limit=None):
            for key, value in super().scan(kind, start=start, limit=limit):
                read.append((kind, key))
                yield key, value

    story.store = Counted(story.store._records)
    story.bounded = story.start(kept=1)
    assert [key for kind, key in read if kind == RECEIPT] == [u64(6), u64(7)]
    assert len(read) <= 4
    assert story.bounded.pending == 2


def test_damaged_sequencer_checkpoint_is_an_error_that_says_what_to_do(sequencers):
    story = sequencers
    story.submit(0)
    story.store.put([Persist(kind=SEQUENCER_CHECKPOINT, key=u64(1), value=b"\0")])
    with pytest.raises(StorageError, match="start without checkpoints"):
        story.start(kept=1)
    assert story.start(kept=1, checkpoints=False).pending == 1
    assert story.start().pending == 1


def test_sequencer_checkpoints_are_numbered_on(sequencers):
    story = sequencers
    for number in (1, 2):
        story.checkpoint()
        story.bounded = story.start(kept=1)
        key, value = story.store.last(SEQUENCER_CHECKPOINT)
        assert key == u64(number)
        assert SequencerCheckpoint.decode(value).executed_height == 0
    story.store.erase(SEQUENCER_CHECKPOINT, below=u64(2))
    assert len(list(story.store.scan(SEQUENCER_CHECKPOINT))) == 1


def test_used_up_key_stays_used_up_below_a_checkpoint(dealt_world):  # noqa: F811
    """SEQ-9, MEM-7: what it was too late for expires, whoever restarts."""
    world = dealt_world("fptx")
    story = Sequencers(world)
    for person in range(3):
        story.submit(person)
        story.open()
    story.checkpoint()
    story.open()
    story.checkpoint()
    late = world.transfer(world.people[4])
    for sequencer in (story.start(), story.start(kept=1, checkpoints=False), story.start(kept=1)):
        assert (sequencer.rounds_left, sequencer.key_end(world.committee.key_set.key_id)) == (0, 3)
        with pytest.raises(Rejected) as caught:
            sequencer.submit(late.encoded, now_ms=world.clock())
        assert caught.value.rule == "SEQ-9"


# --- several threads -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
def test_another_thread_finds_the_state_of_the_height_it_is_told(clear_world):
    """Though all but the newest are dropped at once, whenever the interpreter changes threads."""
    world = clear_world
    for person in range(6):
        open_height(world, person)
    done = [world.network.follower.executed_at(height) for height in range(1, 7)]
    interval, seen, stop = sys.getswitchinterval(), [], threading.Event()

    def look(follower):
        before = 0
        while not stop.is_set():
            latest = follower.latest
            state = follower.at(latest.height)
            newer = follower.latest.height > latest.height
            seen.append(latest.height >= before and (state is latest or (state is None and newer)))
            before = latest.height
            _ = latest.root, latest.nonce(world.people[0].address), follower.at(1)

    sys.setswitchinterval(1e-6)
    try:
        for _ in range(4):
            follower = Follower(world.committee, kept=2)
            reader = threading.Thread(target=look, args=(follower,))
            reader.start()
            for height in done:
                follower.take(height)
            stop.set()
            reader.join()
            stop.clear()
    finally:
        sys.setswitchinterval(interval)
    assert len(seen) > 50
    assert all(seen)


def test_state_is_there_before_its_height_is_told(clear_world):
    world = clear_world
    open_height(world, 0)
    follower, told = Follower(world.committee), []

    class Watched(dict):
        def __setitem__(self, height, state):
            told.append((height, follower.latest.height))
            super().__setitem__(height, state)

    follower._states = Watched(follower._states)
    follower.take(world.network.follower.executed_at(1))
    assert told == [(1, 0)]


class Restless:
    """A state that moves on whenever somebody looks."""

    def __init__(self, states):
        self._states = list(states)

    @property
    def latest(self):
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    def at(self, height):
        return next((state for state in self._states if state.height == height), None)


def test_commitment_names_one_state_while_another_thread_executes(sequencers):
    """The state that a batch was chosen in: here the second one has what its sender pays with."""
    story, world = sequencers, sequencers.world
    rich = world.transfer(world.people[0], to=world.poor.address, value=10**18)
    perform(story.bounded.submit(rich.encoded, now_ms=world.clock()), story.store)
    story.open()
    paid = world.transfer(world.poor)
    perform(story.bounded.submit(paid.encoded, now_ms=world.clock()), story.store)
    before, after = story.state.at(0), story.state.at(1)
    named = set()
    for looks in range(1, 20):
        restless = Sequencer(
            terms=world.committee.terms,
            identity=world.sequencer_identity,
            verifier=world.committee,
            state=Restless([before] * looks + [after]),
            records=story.store,
        )
        *_, sent = restless.commit(now_ms=world.clock())
        message = Proposal.decode(sent.message).commitment.message
        assert message.state_root == (before, after)[message.executed_height].root
        assert message.count == message.executed_height
        named.add(message.executed_height)
    assert named == {0, 1}
