"""Forced inclusion: who is ignored posts to the inbox, and no commitment that leaves the entry out is voted for."""

from dataclasses import replace

import pytest

from encmempool import audit
from encmempool.errors import Rejected
from encmempool.forced import MAX_SETTLED, KnownInbox, StoredInbox
from encmempool.genesis import DEADLINES
from encmempool.network.local import LocalNetwork
from encmempool.network.rotation import Change, rotate
from encmempool.proof import Proof, verify
from encmempool.prover import followed, followed_to, prove
from encmempool.reveal import Follower
from encmempool.store import MemoryStore
from encmempool.types import InboxEntry, Proposal

WINDOW, LAG = 10, 4
FORCED = replace(DEADLINES, force_l1_blocks=WINDOW, l1_depth=2, l1_lag_blocks=LAG)


class Chain:
    """What the parties see of L1: one inbox for all."""

    def __init__(self):
        self.inbox = KnownInbox(head=1)

    def post(self, *data):
        """Each in the newest block."""
        for each in data:
            encoded = each if isinstance(each, bytes) else each.encoded
            self.inbox.add(InboxEntry(index=len(self.inbox.entries), l1_block=self.inbox.head, data=encoded))

    def pass_blocks(self, count):
        self.inbox.head += count


@pytest.fixture
def chain():
    return Chain()


@pytest.fixture
def world(make_world, chain):
    made = make_world(deadlines=FORCED)

    def load():
        return LocalNetwork(
            made.home, password=lambda: made.password, clock_ms=made.clock, random=made.random, inbox=chain.inbox
        )

    made.load = load
    return made


def transfer(world, person=0, nonce=0, **changes):
    who = world.people[person]
    return world.encrypt(world.payload(who, nonce, **changes), who)


def committed_ids(proposal):
    return [transaction.tx_id for transaction in proposal.transactions]


def test_overdue_entry_comes_first_and_is_executed_without_a_receipt_frc_4(world, chain):
    ignored, usual = transfer(world), transfer(world, 1)
    chain.post(ignored)
    chain.pass_blocks(WINDOW)
    world.network.submit(usual.encoded)
    proposal = world.network.commit()
    assert committed_ids(proposal) == [ignored.tx_id, usual.tx_id]
    assert proposal.forced == (ignored,)
    assert proposal.commitment.message.inbox_index == 1
    (executed,) = world.network.reveal()
    assert [receipt.code for receipt in executed.receipts] == ["executed", "executed"]
    assert world.nonce(world.people[0]) == 1


def test_entry_waits_for_its_window_counted_in_blocks_of_the_commitments_view_frc_9(world, chain):
    chain.post(transfer(world))
    chain.pass_blocks(WINDOW - 1)
    assert world.network.commit().commitment.message.count == 0
    world.network.reveal()
    chain.pass_blocks(1)
    assert world.network.commit().commitment.message.count == 1


def test_member_refuses_a_commitment_that_leaves_an_overdue_entry_out_frc_5(world, chain):
    chain.post(transfer(world))
    chain.pass_blocks(WINDOW)
    honest = world.network.commit()
    for forged in (
        world.forge(honest, transactions=(), inbox_index=0, round=0),
        world.forge(honest, transactions=(), inbox_index=1, round=0),
        world.forge(honest, transactions=(transfer(world, 1),)),
    ):
        for seat in world.network.seats:
            with pytest.raises(Rejected, match="FRC-5"):
                seat.member.vote(forged, now_ms=world.clock())


def test_member_refuses_an_inbox_index_that_the_walk_does_not_reach_frc_3(world, chain):
    chain.post(transfer(world), transfer(world, 1))
    chain.pass_blocks(WINDOW)
    honest = world.network.commit()
    seat = world.network.seats[0]
    for index in (1, 3):
        with pytest.raises(Rejected, match="FRC-3"):
            seat.member.vote(world.forge(honest, inbox_index=index), now_ms=world.clock())
    assert seat.member.vote(honest, now_ms=world.clock())


def test_member_refuses_an_order_that_is_not_the_inboxes_frc_5(world, chain):
    entries = (transfer(world), transfer(world, 1))
    chain.post(*entries)
    chain.pass_blocks(WINDOW)
    honest = world.network.commit()
    turned = world.forge(honest, transactions=entries[::-1], receipts=())
    with pytest.raises(Rejected, match="FRC-5"):
        world.network.seats[0].member.vote(turned, now_ms=world.clock())


def test_transaction_without_a_receipt_is_no_forced_one_vot_6(world, chain):
    world.network.submit(transfer(world).encoded)
    honest = world.network.commit()
    with pytest.raises(Rejected, match="VOT-6"):
        world.network.seats[0].member.vote(world.forge(honest, receipts=()), now_ms=world.clock())


def test_member_waits_for_a_block_it_has_not_seen_and_refuses_one_far_behind_frc_2(world, chain):
    chain.pass_blocks(20)
    honest = world.network.commit()
    seat = world.network.seats[0]
    chain.inbox.head -= 1
    with pytest.raises(Rejected, match="FRC-2"):
        seat.member.vote(honest, now_ms=world.clock())
    chain.inbox.head += LAG + 2
    with pytest.raises(Rejected, match="FRC-2"):
        seat.member.vote(honest, now_ms=world.clock())
    chain.inbox.head -= 1
    assert seat.member.vote(honest, now_ms=world.clock())


def test_follower_that_has_read_less_of_the_chain_below_does_not_judge_yet_frc_2(world, chain):
    """Its inbox lacks the entry: what is settled there is no fault of the commitment."""
    chain.post(transfer(world))
    chain.pass_blocks(WINDOW)
    certified = world.network.commit()
    behind = KnownInbox(head=certified.commitment.message.l1_block - 1)
    follower = Follower(world.network.committee, inbox=behind)
    with pytest.raises(Rejected, match="FRC-2"):
        follower.propose(certified)
    behind.add(chain.inbox.entries[0])
    behind.head += 1
    follower.propose(certified)


def test_sequencer_names_the_block_up_to_which_it_has_walked_seq_14(world, chain, monkeypatch):
    """Another thread reads on while it commits."""

    class Advancing(KnownInbox):
        reads = 0

        @property
        def head(self):
            self.reads += 1
            return self._head + self.reads * WINDOW

        @head.setter
        def head(self, value):
            self._head = value

    inbox = Advancing(head=0)
    inbox.add(InboxEntry(index=0, l1_block=WINDOW, data=transfer(world).encoded))
    monkeypatch.setattr(world.network.sequencer, "_inbox", inbox)
    chain.inbox.add(inbox.entries[0])
    chain.pass_blocks(4 * WINDOW)
    *_, sent = world.network.sequencer.commit(now_ms=world.clock())
    proposal = Proposal.decode(sent.message)
    overdue = proposal.commitment.message.l1_block >= 2 * WINDOW
    assert (len(proposal.forced), proposal.commitment.message.inbox_index) == (int(overdue), int(overdue))
    assert inbox.reads == 1


def test_sequencer_keeps_to_its_parents_block_and_stops_where_it_could_miss_an_entry_seq_14(world, chain):
    chain.pass_blocks(3 * WINDOW)
    world.run_height()
    block = chain.inbox.head
    chain.inbox.head = block - WINDOW - 1
    with pytest.raises(Rejected, match="SEQ-14"):
        world.network.sequencer.commit(now_ms=world.clock())
    chain.inbox.head += 1
    *_, sent = world.network.sequencer.commit(now_ms=world.clock())
    assert Proposal.decode(sent.message).commitment.message.l1_block == block


def test_height_seen_more_than_the_lag_too_late_is_lost_until_another_sequencer_takes_over_frc_2(world, chain):
    """Nothing of it was certified, so the successor's commitment stands in its place, and settles the same entry."""
    world.run_height()
    entry = transfer(world)
    chain.post(entry)
    chain.pass_blocks(WINDOW)
    lost = world.network.commit()
    chain.pass_blocks(LAG + 1)
    with pytest.raises(Rejected, match="FRC-2"):
        world.network.reveal()
    with pytest.raises(Rejected, match="FRC-2"):
        world.restart().reveal()
    rotate(world.network, Change(new_sequencer=True), random=world.random)
    proposal = world.network.commit()
    assert (proposal.commitment.message.height, proposal.forced) == (lost.commitment.message.height, (entry,))
    (executed,) = world.network.reveal()
    assert [receipt.code for receipt in executed.receipts] == ["executed"]
    assert audit.verify(audit.export(world.network)).transactions == 1


def test_vote_given_in_time_is_sent_again_whatever_the_head_is_now_frc_2(world, chain):
    chain.pass_blocks(20)
    honest = world.network.commit()
    seat = world.network.seats[0]
    *_, sent = seat.member.vote(honest, now_ms=world.clock())
    chain.pass_blocks(LAG + 1)
    assert seat.member.vote(honest, now_ms=world.clock())[-1] == sent


def test_inadmissible_entries_are_passed_over_and_hold_up_nobody_frc_6(world, chain):
    good = transfer(world)
    poor = world.envelope(world.poor, world.header(world.poor, 0), good.ciphertext)
    ahead = transfer(world, 1, nonce=1)
    grafted = world.envelope(world.people[2], world.header(world.people[2], 0), good.ciphertext)
    heavy = transfer(world, 3, gas_limit=21_000 * 64)
    chain.post(b"", b"\xff" * 400, good.encoded + b"\0", poor, ahead, grafted, heavy, good)
    chain.pass_blocks(WINDOW)
    proposal = world.network.commit()
    assert committed_ids(proposal) == [good.tx_id]
    assert proposal.commitment.message.inbox_index == 8
    (executed,) = world.network.reveal()
    rules = [passed.rule for passed in executed.ready.passed]
    assert rules == ["FRC-1", "FRC-1", "TXN-6", "VOT-5", "VOT-5", "TDH-2", "FRC-4"]


def test_entry_that_was_committed_meanwhile_is_passed_over_frc_7(world, chain):
    twice = transfer(world)
    chain.post(twice)
    world.run_height(twice)
    chain.pass_blocks(WINDOW)
    proposal = world.network.commit()
    assert (committed_ids(proposal), proposal.commitment.message.inbox_index) == ([], 1)


def test_entry_of_a_sender_in_flight_is_passed_over_frc_6(world, chain):
    chain.post(transfer(world, nonce=1))
    chain.pass_blocks(WINDOW - 1)
    world.network.submit(transfer(world).encoded)
    world.network.commit()
    chain.pass_blocks(1)
    proposal = world.network.commit()
    assert (committed_ids(proposal), proposal.commitment.message.inbox_index) == ([], 1)
    _, second = world.network.reveal()
    assert [passed.rule for passed in second.ready.passed] == ["MEM-5"]


def test_live_transaction_is_taken_from_the_inbox_once_and_its_receipt_is_kept(world, chain):
    both = transfer(world)
    world.network.submit(both.encoded)
    chain.post(both)
    chain.pass_blocks(WINDOW)
    proposal = world.network.commit()
    assert proposal.forced == (both,)
    world.network.reveal()
    assert world.network.sequencer.pending == 0
    assert world.network.sequencer.place(both.tx_id) == 1
    assert world.network.commit().commitment.message.count == 0


def test_receipt_of_a_forced_transaction_stands_at_the_end_of_the_history_aud_3(world, chain):
    both = transfer(world)
    world.network.submit(both.encoded)
    world.network.submit(transfer(world, 1).encoded)
    chain.post(both)
    chain.pass_blocks(WINDOW)
    world.network.commit()
    world.network.reveal()
    for network in (world.network, world.restart()):
        report = audit.verify(audit.export(network))
        assert (report.transactions, report.pending, report.missing_receipts) == (2, 0, 0)


def test_inbox_fills_half_of_the_batch_and_the_rest_waits_its_turn_frc_4(world, chain):
    entries = [transfer(world, at) for at in range(6)]
    chain.post(*entries)
    chain.pass_blocks(WINDOW)
    for person in range(6, 10):
        world.network.submit(transfer(world, person).encoded)
    first = world.network.commit()
    assert len(first.forced) == 4
    assert len(first.transactions) == 8
    world.network.reveal()
    second = world.network.commit()
    assert committed_ids(second) == [entry.tx_id for entry in entries[4:]]
    assert second.commitment.message.inbox_index == 6


def test_flood_of_rubbish_is_settled_so_many_entries_at_a_time_frc_4(world, chain):
    ignored = transfer(world)
    chain.post(*[b"rubbish"] * (MAX_SETTLED + 5), ignored)
    chain.pass_blocks(WINDOW)
    first = world.network.commit()
    assert first.commitment.message.inbox_index == MAX_SETTLED
    world.network.reveal()
    assert committed_ids(world.network.commit()) == [ignored.tx_id]


def test_restarted_network_sends_the_same_proposal_and_executes_forced_transactions(world, chain):
    chain.post(transfer(world))
    chain.pass_blocks(WINDOW)
    world.network.submit(transfer(world, 1).encoded)
    proposal = world.network.commit()
    network = world.restart()
    batch = network.sequencer.batch(1)
    assert network.sequencer.proposal(batch) == proposal
    (executed,) = network.reveal()
    assert executed.ready.proposal == proposal
    root = network.follower.latest.root
    assert world.restart().follower.latest.root == root


def test_audit_replays_the_inbox_and_refuses_a_history_without_an_entry_frc_3(world, chain):
    chain.post(b"rubbish", transfer(world))
    chain.pass_blocks(WINDOW)
    world.network.submit(transfer(world, 1).encoded)
    world.network.commit()
    world.network.reveal()
    history = audit.export(world.network)
    report = audit.verify(history)
    assert (report.transactions, report.outcomes) == (2, {"executed": 2})
    chain.inbox.entries[0] = replace(chain.inbox.entries[0], l1_block=chain.inbox.head)
    with pytest.raises(audit.AuditFailed, match="FRC-"):
        audit.verify(audit.export(world.network))


def test_stored_inbox_is_the_same_after_a_restart():
    store = MemoryStore()
    inbox = StoredInbox(store)
    entries = tuple(InboxEntry(index=at, l1_block=3 + at, data=bytes([at])) for at in range(3))
    store.put(inbox.records_of(entries))
    inbox.advance(7, entries)
    assert [inbox.entry(at) for at in range(4)] == [*entries, None]
    again = StoredInbox(store)
    assert (again.count, again.head) == (3, 5)
    assert again.entry(2) == entries[2]
    with pytest.raises(ValueError, match="does not follow"):
        again.records_of(entries)


def test_forced_transaction_is_proven_without_a_receipt(world, chain):
    ignored, usual = transfer(world), transfer(world, 1)
    chain.post(ignored)
    chain.pass_blocks(WINDOW)
    world.network.submit(usual.encoded)
    world.network.commit()
    world.network.reveal()
    world.network.commit()
    world.network.reveal()
    root = world.committee.genesis.root
    for sent, sequence in ((ignored, None), (usual, 0)):
        made = prove(followed(world.network, sent.tx_id), sent.tx_id)
        assert made == prove(world.network.follower, sent.tx_id)
        shown = verify(Proof.of_file(made.file), genesis_root=root)
        assert (shown.tx_id, shown.sequence, shown.success) == (sent.tx_id, sequence, True)
    history = audit.export(world.network)
    assert prove(audit.replayed(history), ignored.tx_id).receipts == ()


def test_history_is_followed_to_a_height_over_a_dropped_one(world, chain):
    sent = transfer(world)
    world.network.submit(sent.encoded)
    world.network.commit()
    assert world.network.abstain(1)
    world.network.execute()
    world.network.commit()
    world.network.reveal()
    follower = followed_to(world.network, 2)
    assert follower.executed_at(1).drop is not None
    assert follower.latest.root == world.network.follower.executed_at(1).state.root
    assert follower.chain.at(2).commitment == world.network.follower.chain.at(2).commitment


def begin(world):
    """A first height, after which keys may change."""
    world.network.commit()
    world.network.reveal()


def test_key_does_not_end_while_an_overdue_entry_waits_for_it_frc_8(world, chain):
    begin(world)
    entry = transfer(world)
    chain.post(b"rubbish", entry)
    chain.pass_blocks(WINDOW)
    with pytest.raises(Rejected, match="FRC-8"):
        rotate(world.network, Change(new_key=True, overlap=1), random=world.random)
    world.restart()
    world.network.commit()
    world.network.reveal()
    assert world.nonce(world.people[0]) == 1
    rotate(world.network, Change(new_key=True, overlap=1), random=world.random)
    assert len(world.network.committees) == 2


def test_key_ends_with_a_sequencer_that_stopped_whatever_waits_frc_8(world, chain):
    begin(world)
    chain.post(transfer(world))
    chain.pass_blocks(WINDOW)
    rotate(world.network, Change(new_key=True, overlap=1, new_sequencer=True), random=world.random)
    assert len(world.network.committees) == 2


def test_key_that_is_shared_anew_ends_for_nobody_frc_8(world, chain):
    begin(world)
    entry = transfer(world)
    chain.post(entry)
    chain.pass_blocks(WINDOW)
    rotate(world.network, Change(), random=world.random)
    assert committed_ids(world.network.commit()) == [entry.tx_id]
