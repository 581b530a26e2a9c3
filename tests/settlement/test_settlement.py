"""Commitments on chain: what is posted, what becomes final, and what holds it up.

Holds STL-11 to STL-17.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool.settlement.leaves import leaves, posting, signatures
from encmempool.settlement.rehearsal import Network, Rehearsal
from encmempool.types import Abstain, SignedCommitment


def finalize(world, height):
    world.settlement.send("finalize", height, sender=world.anybody)


def halt(world, posted, other, voters=None):
    votes = signatures(world.network.all_sign(world.network.vote(other), voters))
    world.settlement.send("halt", leaves(posted), leaves(world.network.vote(other)), votes, sender=world.anybody)


def test_commitments_are_posted_in_batches(world):
    chain = world.network.chain(5)
    done = world.post(*chain[:3])
    assert [log.arguments for log in world.settlement.logs(done)] == [
        {"height": each.height, "commitment_root": each.root} for each in chain[:3]
    ]
    world.chain.advance(7)
    world.post(*chain[3:])
    assert world.settlement.get("height") == 5
    assert [world.settlement.get("roots", height) for height in range(6)] == [
        world.network.root,
        *(each.root for each in chain),
    ]
    posted_at = [world.settlement.get("posted_at", each.root) for each in chain]
    assert posted_at[2] + 7 == posted_at[3] == world.chain.block()


def test_genesis_is_height_zero(bare):
    assert bare.settlement.get("roots", 0) == bare.network.root
    assert bare.settlement.get("height") == bare.settlement.get("final_height") == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"height": 3}, "VOT-2"),
        ({"height": 1}, "VOT-2"),
        ({"parent": b"\1" * 32}, "VOT-2"),
        ({"committee_id": b"\1" * 32}, "EVD-1"),
        ({"inbox_index": 4}, "FRC-3"),
        ({"executed_height": 0}, "VOT-7"),
        ({"executed_height": 3}, "VOT-7"),
    ],
)
def test_commitment_with_one_fault_is_refused(world, refused, changes, reason):
    network = world.network
    first = network.commitment(inbox_index=5, executed_height=0)
    second = network.commitment(first, executed_height=1)
    world.post(first, second)
    base = network.commitment(second)
    good = {"height": 3, "parent": second.root}
    assert (base.height, base.parent) == tuple(good.values())
    changes = {name: value + 1 if (name, value) == ("height", 3) else value for name, value in changes.items()}
    with refused(reason):
        world.post(replace(base, **changes))
    world.post(base)


def test_all_of_a_batch_is_posted_or_none(world, refused):
    chain = world.network.chain(3)
    with refused("VOT-2"):
        world.post(chain[0], chain[2])
    assert world.settlement.get("height") == 0
    with refused("VOT-2"):
        world.post(chain[0], chain[0])


def test_height_is_posted_once(world, refused):
    (first,) = world.network.chain(1)
    world.post(first)
    with refused("VOT-2"):
        world.post(first)


@pytest.mark.parametrize(
    ("voters", "reason"), [((0, 1), "CRT-3"), ((0, 2, 1), "CRT-3"), ((0, 1, 1), "CRT-3"), ((), "CRT-3")]
)
def test_commitment_without_its_certificate_is_refused(world, refused, voters, reason):
    network = world.network
    commitment = network.commitment()
    made = network.posting(commitment, [network.members[at] for at in voters])
    with refused(reason):
        world.settlement.send("post", [made], sender=world.anybody)


def test_any_t_members_certify(world):
    network = world.network
    made = network.posting(network.commitment(), network.members[1:])
    world.settlement.send("post", [made], sender=world.anybody)


def test_reduced_threshold_posts_nothing_with_fewer_votes_than_the_default(evm, refused):
    network = Network(seed=11)
    network.first = network.key_set(t=1, reduced_threshold=1)
    world = Rehearsal(evm, network)
    world.register(network.first, network.all_sign(network.first, network.members[:3]))
    commitment = network.commitment()
    for voters in (1, 2):
        with refused("CRT-3"):
            made = network.posting(commitment, network.members[:voters])
            world.settlement.send("post", [made], sender=world.anybody)
    world.settlement.send("post", [network.posting(commitment, network.members[:3])], sender=world.anybody)


def test_votes_for_something_else_certify_nothing(world, refused):
    network = world.network
    commitment, other = network.commitment(), network.commitment()
    signed = SignedCommitment(message=commitment, signature=network.sign(network.sequencer, commitment))
    with refused("CRT-3"):
        made = posting(signed, network.all_sign(network.vote(other)))
        world.settlement.send("post", [made], sender=world.anybody)


def test_commitment_of_another_sequencer_is_refused_vot_1(world, refused):
    network = world.network
    commitment = network.commitment()
    signed = SignedCommitment(message=commitment, signature=network.sign(network.user, commitment))
    with refused("VOT-1"):
        made = posting(signed, network.all_sign(network.vote(commitment)))
        world.settlement.send("post", [made], sender=world.anybody)


def test_signatures_of_another_network_are_refused(world, refused):
    foreign = Network(seed=2)
    foreign.sequencer, foreign.members, foreign.first = (
        world.network.sequencer,
        world.network.members,
        world.network.first,
    )
    commitment = world.network.commitment()
    with refused("VOT-1"):
        world.settlement.send("post", [foreign.posting(commitment)], sender=world.anybody)


def test_committee_acts_at_its_own_heights_only_vot_2(world, refused):
    network = world.network
    chain = network.chain(4)
    world.post(*chain[:2])
    following = network.successor(network.first, start_height=4)
    world.register(following)
    early = replace(chain[2], committee_id=following.root)
    with refused("VOT-2"):
        world.post(early)
    world.post(chain[2])
    late = chain[3]
    with refused("VOT-2"):
        world.post(late)
    world.post(replace(late, committee_id=following.root))


def test_number_above_64_bits_is_refused_ssz_1(world, refused):
    (commitment, sequencer, votes) = world.network.posting(world.network.commitment())
    wide = commitment[0][:8] + b"\1" + commitment[0][9:]
    with refused("SSZ-1"):
        world.settlement.send("post", [((wide, *commitment[1:]), sequencer, votes)], sender=world.anybody)


def test_height_is_final_when_the_delay_has_passed(world, refused):
    world.post(*world.network.chain(2))
    world.chain.advance(world.parameters.finality_blocks - 1)
    with refused("delay"):
        finalize(world, 2)
    world.chain.advance(1)
    finalize(world, 2)
    assert world.settlement.get("final_height") == 2
    for height in (0, 1, 2, 3):
        with refused("height"):
            finalize(world, height)


def test_younger_height_waits_for_its_own_delay(world, refused):
    first, second = world.network.chain(2)
    world.post(first)
    world.chain.advance(world.parameters.finality_blocks)
    world.post(second)
    with refused("delay"):
        finalize(world, 2)
    finalize(world, 1)


def test_second_certificate_of_the_committee_halts_from_there_on_crt_4(world, refused):
    network = world.network
    chain = network.chain(4)
    world.post(*chain[:3])
    other = replace(chain[1], state_root=b"\1" * 32)
    with refused("CRT-3"):
        halt(world, chain[1], other, network.members[:2])
    halt(world, chain[1], other)
    assert world.settlement.get("halted_from") == 2
    world.chain.advance(world.parameters.finality_blocks)
    with refused("halted"):
        finalize(world, 2)
    finalize(world, 1)
    with refused("halted"):
        world.post(chain[3])
    with refused("height"):
        halt(world, chain[2], replace(chain[2], state_root=b"\1" * 32))
    halt(world, chain[0], replace(chain[0], state_root=b"\1" * 32))
    assert world.settlement.get("halted_from") == 1


def test_what_is_no_second_certificate_halts_nothing(world, refused):
    network = world.network
    chain = network.chain(2)
    world.post(*chain)
    with refused("CRT-4"):
        halt(world, chain[1], chain[1])
    with refused("CRT-4"):
        halt(world, chain[1], chain[0])
    with refused("not posted"):
        halt(world, replace(chain[1], count=9), chain[1])
    with refused("not posted"):
        halt(world, network.commitment(chain[1]), network.commitment(chain[1]))


def test_late_certificate_of_a_committee_that_was_replaced_halts_nothing(world, refused):
    """Votes are not taken back: a commitment that became void may still be certified later."""
    network = world.network
    chain = network.chain(2)
    world.post(chain[0])
    following = network.successor(network.first, start_height=2)
    world.register(following)
    second = replace(chain[1], committee_id=following.root)
    world.post(second)
    with refused("CRT-4"):
        halt(world, second, chain[1])


def test_dropped_height_is_replaced_by_the_empty_commitment_of_drp_4(world, refused):
    network = world.network
    chain = network.chain(5)
    first = replace(chain[0], inbox_index=2)
    second = network.commitment(first, inbox_index=4, executed_height=1)
    third, fourth = network.commitment(second), None
    fourth = network.commitment(third, executed_height=2)
    world.post(first, second, third, fourth)
    with refused("DRP-2"):
        world.drop(first)
    done = world.drop(second)
    empty = network.empty(second)
    (log,) = world.settlement.logs(done)
    assert (log.name, log.arguments) == ("Dropped", {"height": 3, "commitment_root": empty.root})
    assert world.settlement.get("dropped", empty.root)
    assert world.settlement.get("height") == 3
    assert world.settlement.get("roots", 3) == empty.root
    assert world.settlement.get("roots", 4) == bytes(32)
    assert world.settlement.get("inbox_index") == 4
    assert world.settlement.get("executed_height") == 1
    with refused("VOT-2"):
        world.post(fourth)
    world.post(network.commitment(empty, round=empty.round + 1))


def test_height_that_was_never_posted_is_dropped_too(world):
    network = world.network
    (first,) = network.chain(1)
    world.post(first)
    world.drop(first)
    world.drop(network.empty(first))
    assert world.settlement.get("height") == 3


def test_height_is_dropped_once(world, refused):
    """Anybody could take back what came above, again and again."""
    network = world.network
    (first,) = network.chain(1)
    world.post(first)
    world.drop(first)
    world.post(network.commitment(network.empty(first)))
    with refused("dropped already"):
        world.drop(first)


def test_first_round_of_a_key_set_stands_at_its_dropped_start(world):
    network = world.network
    (first,) = network.chain(1)
    world.post(first)
    following = network.successor(network.first, start_height=2)
    world.register(following)
    abstained = signatures(network.all_sign(Abstain(committee_id=following.root, height=2)))
    world.settlement.send("drop", leaves(first), following.root, abstained, sender=world.anybody)
    ids = {"committee_id": following.root, "key_id": following.key_id}
    assert world.settlement.get("roots", 2) == network.empty(first, **ids, round=0).root


@pytest.mark.parametrize(
    ("members", "height", "reason"),
    [((0, 1), 2, "DRP-1"), ((0, 1, 2), 3, "CRT-3"), ((0, 2, 1), 2, "CRT-3"), ((), 2, "DRP-1")],
)
def test_height_without_enough_abstentions_is_not_dropped_drp_1(world, refused, members, height, reason):
    network = world.network
    (first,) = network.chain(1)
    world.post(first)
    with refused(reason):
        world.drop(first, network.abstentions(height, [network.members[at] for at in members]))


def test_height_that_cannot_be_dropped_stays(world, refused):
    network = world.network
    chain = network.chain(3)
    world.post(*chain[:2])
    with refused("not posted"):
        world.drop(chain[2])
    with refused("not posted"):
        world.drop(replace(chain[1], count=9))
    world.register(network.successor(network.first, start_height=3))
    with refused("VOT-2"):
        world.drop(chain[1])
    world.chain.advance(world.parameters.finality_blocks)
    finalize(world, 2)
    with refused("final"):
        world.drop(chain[0])


def test_first_height_is_not_dropped_stl_13(world, refused):
    """There is no commitment below it."""
    below, abstained = (bytes(32),) * 13, world.network.abstentions(1)
    with refused("not posted"):
        world.settlement.send("drop", below, world.network.first.root, abstained, sender=world.anybody)


def test_hold_is_renewed_from_the_lower_height_on_stl_12(world, refused):
    network, p = world.network, world.parameters
    chain = network.chain(3)
    world.post(*chain)

    def equivocate(member, commitment):
        vote, signer = network.vote(commitment), network.members[member]
        for each in (vote, replace(vote, commitment_root=b"\1" * 32)):
            yield from network.signed(signer, each)

    world.judge.send("convict_votes", *equivocate(0, chain[1]), sender=world.anybody)
    world.chain.advance(p.finality_blocks - 1)
    world.judge.send("convict_votes", *equivocate(1, chain[2]), sender=world.anybody)
    world.chain.advance(p.finality_blocks - 1)
    finalize(world, 1)
    with refused("delay"):
        finalize(world, 2)
    world.chain.advance(1)
    finalize(world, 3)


def test_certificate_of_what_was_dropped_halts_nothing(world, refused):
    network = world.network
    chain = network.chain(2)
    world.post(*chain)
    world.drop(chain[0])
    with refused("not posted"):
        halt(world, network.empty(chain[0]), chain[1])


def test_halted_height_is_not_dropped(world, refused):
    network = world.network
    chain = network.chain(2)
    world.post(*chain)
    halt(world, chain[1], replace(chain[1], state_root=b"\1" * 32))
    with refused("height"):
        world.drop(chain[0])


def forget(world, voided, parent=None):
    below = (bytes(32),) * 13 if parent is None else leaves(parent)
    world.settlement.send("forget", leaves(voided), below, sender=world.anybody)


def test_what_became_void_and_was_certified_late_is_taken_back_vot_14(world, refused):
    network = world.network
    chain = network.chain(4)
    chain[1] = network.commitment(chain[0], inbox_index=3, executed_height=1)
    chain[2:] = [network.commitment(chain[1], inbox_index=5, executed_height=1)]
    world.post(*chain)
    with refused("VOT-14"):
        forget(world, chain[2], chain[1])
    following = network.successor(network.first, start_height=3)
    world.register(following)
    with refused("VOT-14"):
        forget(world, chain[1], chain[0])
    for voided, parent in ((chain[2], chain[0]), (replace(chain[2], count=9), chain[1])):
        with refused("not posted"):
            forget(world, voided, parent)
    forget(world, chain[2], chain[1])
    assert world.settlement.get("height") == 2
    assert world.settlement.get("roots", 3) == bytes(32)
    assert world.settlement.get("inbox_index") == 3
    world.post(replace(chain[2], committee_id=following.root))


def test_all_from_the_first_height_on_can_become_void(evm):
    network = Network(seed=12)
    world = Rehearsal(evm, network)
    world.register(network.first)
    chain = network.chain(2)
    world.post(*chain)
    following = network.successor(network.first, start_height=2)
    world.register(following)
    forget(world, chain[1], chain[0])
    assert world.settlement.get("height") == 1


def test_final_height_is_not_taken_back(world, refused):
    network = world.network
    chain = network.chain(2)
    world.post(*chain)
    world.chain.advance(world.parameters.finality_blocks)
    finalize(world, 2)
    world.register(network.successor(network.first, start_height=2))
    with refused("final"):
        forget(world, chain[1], chain[0])


@pytest.mark.parametrize("function", ["hold", "open_challenge", "close_challenge"])
def test_only_the_judges_hold_finality_back(world, refused, function):
    with refused("judges only"):
        world.settlement.send(function, *([1] if function == "hold" else []), sender=world.anybody)
