"""What one dishonest party or one failing disk must not do to everybody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool import audit, genesis as genesis_file
from encmempool.certificates import vote_for
from encmempool.committee import Ballot
from encmempool.errors import EnvironmentProblem, Malformed, Rejected, StorageError
from encmempool.mempool import MAX_UNEXECUTED
from encmempool.network.local import Plan, create_network
from encmempool.ordering import Policy
from encmempool.reveal import Follower
from encmempool.store import MemoryStore, perform
from encmempool.types import (
    BatchList,
    DecryptionShare,
    Proposal,
    ShareRelease,
    SignedCommitment,
    SignedShare,
    SignedVote,
)
from threshold import entropy


def stray_chain(world, certified):
    """Two commitments the sequencer shows to one member only, the second on top of the first."""
    first = world.forge(certified, timestamp_ms=world.clock())
    message = replace(
        first.commitment.message,
        height=2,
        parent=first.commitment.message.root,
        count=0,
        batch_root=BatchList(tx_ids=()).root,
    )
    signed = SignedCommitment(message=message, signature=world.sign(world.sequencer_identity, message))
    return first, Proposal(commitment=signed, transactions=(), receipts=())


def test_member_shown_other_commitments_follows_what_was_certified_and_restarts(world):
    network = world.network
    network.submit(world.transfer(world.people[0]).encoded)
    certified = network.commit()
    victim = network.seats[3]
    for proposal in stray_chain(world, certified):
        perform(victim.member.vote(proposal, now_ms=world.clock()), victim.store)
    network.reveal()
    assert [seat.follower.latest.height for seat in network.seats] == [1, 1, 1, 1]
    assert [seat.follower.latest.height for seat in world.restart().seats] == [1, 1, 1, 1]
    with pytest.raises(Rejected) as caught:
        world.network.seats[3].member.vote(certified, now_ms=world.clock())
    assert caught.value.rule == "VOT-10"


def test_second_certificate_for_a_height_is_refused(world):
    """CRT-4. Made here with the keys of all members."""
    network = world.network
    network.submit(world.transfer(world.people[0]).encoded)
    certified = network.commit()
    other, _ = stray_chain(world, certified)
    certificate = network.vote(certified)
    ballot, second = Ballot(world.committee), None
    vote = vote_for(other.commitment.message)
    for index in (1, 2, 3):
        second = ballot.add(SignedVote(message=vote, signature=world.sign(world.member_identity(index), vote)))
    follower = network.seats[0].follower
    with pytest.raises(Rejected) as caught:
        follower.follow(other, second)
    assert caught.value.rule == "CRT-4"
    follower.follow(certified, certificate)


def test_share_signed_by_nobody_leaves_nothing_behind(world):
    """Its certificate is good; taken into memory alone, a restart would know less than before."""
    network = world.network
    store, follower = MemoryStore(), Follower(world.committee)
    proposal = network.commit()
    perform(follower.propose(proposal), store)
    certificate = network.vote(proposal)
    message = DecryptionShare(
        committee_id=world.committee.committee_id,
        height=1,
        round=certificate.vote.round,
        commitment_root=certificate.vote.commitment_root,
        member=1,
        data=b"",
    )
    share = SignedShare(message=message, signature=bytes(64) + b"\x1b")
    with pytest.raises(Rejected):
        follower.receive(ShareRelease(certificate=certificate, share=share))
    assert follower.certificate(1) is None


def test_network_recovers_in_place_when_one_write_failed(world, monkeypatch):
    network = world.network
    network.submit(world.transfer(world.people[0]).encoded)
    network.commit()
    put, failures = network._archive.put, iter([True])

    def flaky(records):
        if records and next(failures, False):
            raise StorageError("the database is locked by another process")
        put(records)

    monkeypatch.setattr(network._archive, "put", flaky)
    with pytest.raises(StorageError):
        network.reveal()
    network.reveal()
    assert network.follower.latest.height == 1
    assert world.restart().follower.latest.height == 1


@pytest.mark.parametrize("role", ["sequencer", "archive"])
def test_missing_database_is_not_taken_for_an_empty_one(world, role):
    """A sequencer or follower that forgot would sign or serve another history."""
    world.run_height(world.transfer(world.people[0]))
    (world.home.path / role / "records.sqlite").unlink()
    with pytest.raises(EnvironmentProblem, match="missing"):
        _ = world.load().sequencer


def test_batch_opens_without_a_member_whose_key_share_is_gone(world):
    (world.home.path / "members/2/key-share.json").unlink()
    network = world.restart()
    network.submit(world.transfer(world.people[0]).encoded)
    network.commit()
    (executed,) = network.reveal()
    assert executed.receipts[0].code == "executed"
    assert set(network.absent) == {2}
    assert audit.verify(audit.export(network)).outcomes == {"executed": 1}


def test_too_few_members_are_named_with_their_reasons(world):
    for member in (1, 2):
        (world.home.path / f"members/{member}/key-share.json").unlink()
    with pytest.raises(EnvironmentProblem, match=r"2 members of 3 needed.*member 1:.*member 2:"):
        _ = world.restart().seats


def test_new_network_is_refused_where_roles_of_another_one_are(world):
    scheme = world.committee.scheme
    world.home.genesis_path.unlink()
    plan = Plan(members=4, threshold=3, policy=Policy.ARRIVAL, funded=())
    with pytest.raises(ValueError, match="already"):
        create_network(world.home, plan, scheme, world.password, random=entropy.system)


def test_ballot_keeps_a_bounded_number_of_votes_of_a_member(world):
    proposal = world.network.commit()
    vote, identity = vote_for(proposal.commitment.message), world.member_identity(1)
    ballot = Ballot(world.committee)
    for height in range(1, 4 * MAX_UNEXECUTED):
        message = replace(vote, height=height)
        ballot.add(SignedVote(message=message, signature=world.sign(identity, message)))
    assert sum(1 for votes in ballot._votes.values() if votes) == 2 * MAX_UNEXECUTED


def test_receipt_sequence_is_not_used_at_two_heights(world):
    """VOT-6."""
    network = world.network
    network.submit(world.transfer(world.people[0]).encoded)
    first = network.commit()
    network.release(network.vote(first))
    network.execute()
    transaction = world.transfer(world.people[1])
    network.submit(transaction.encoded)
    again = world.forge(network.commit(), receipts=(world.receipt(transaction, 0),))
    with pytest.raises(Rejected) as caught:
        network.vote(again)
    assert caught.value.rule == "VOT-6"


def test_genesis_file_that_nests_without_end_is_malformed(tmp_path):
    path = tmp_path / "genesis.json"
    path.write_text("[" * 100_000)
    with pytest.raises(Malformed):
        genesis_file.read(path)
