"""Offline evidence on chain: who is convicted, and everything next to it that convicts nobody.

Holds EVD-2 to EVD-5, EVD-10, EVD-11, EVD-16 and EVD-17 for the contract, and STL-16, STL-18 and STL-19.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool.settlement.rehearsal import Network, Rehearsal, Reverted
from encmempool.types import ZERO_HASH, Abstain

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
PAIRS = ("commitments", "receipts", "votes", "shares", "successors")
RULES = {"commitments": "EVD-2", "receipts": "EVD-3", "votes": "EVD-4", "shares": "EVD-5", "successors": "EVD-16"}


def pair(world, kind):
    """Two messages that convict, and who signs them."""
    network = world.network
    commitment = network.commitment()
    match kind:
        case "commitments":
            return network.sequencer, commitment, replace(commitment, timestamp_ms=6)
        case "receipts":
            return network.sequencer, *(network.receipt(network.transaction()).message for _ in range(2))
        case "votes":
            return network.members[2], network.vote(commitment), network.vote(replace(commitment, timestamp_ms=6))
        case "shares":
            other = replace(commitment, timestamp_ms=6)
            return network.members[2], network.share(commitment, 3), network.share(other, 3)
        case _:
            return network.members[2], *(network.successor(network.first) for _ in range(2))


def convict(world, kind, *arguments):
    world.judge.send(f"convict_{kind}", *arguments, sender=world.anybody)


def show(world, kind, signer, first, second):
    convict(world, kind, *world.network.signed(signer, first), *world.network.signed(signer, second))


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("swapped", [False, True])
def test_two_messages_take_the_whole_bond_of_who_signed_them(world, kind, swapped):
    signer, first, second = pair(world, kind)
    bond = world.collateral.get("bond", signer.address)
    show(world, kind, signer, *((second, first) if swapped else (first, second)))
    assert bond > 0
    assert world.collateral.get("bond", signer.address) == 0
    assert world.collateral.get("claimable", world.anybody) == bond // 10


@pytest.mark.parametrize("kind", PAIRS)
def test_evidence_convicts_once_even_after_a_new_bond(world, refused, kind):
    signer, first, second = pair(world, kind)
    show(world, kind, signer, first, second)
    world.deposit(signer.address, 1_000)
    for messages in ((first, second), (second, first)):
        with refused("convicted already"):
            show(world, kind, signer, *messages)
    assert world.collateral.get("bond", signer.address) == 1_000


@pytest.mark.parametrize("kind", PAIRS)
def test_one_message_twice_convicts_nobody(world, refused, kind):
    signer, first, _ = pair(world, kind)
    with refused(RULES[kind]):
        show(world, kind, signer, first, first)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("form", ["high_s", "other_v", "v_of_0"])
def test_second_form_of_a_signature_is_no_second_message_evd_10(world, refused, kind, form):
    signer, first, second = pair(world, kind)
    for messages in ((first, first), (first, second)):
        leaves, (r, s, v) = world.network.signed(signer, messages[1])
        other = {"high_s": (r, ORDER - s, 55 - v), "other_v": (r, s, 55 - v), "v_of_0": (r, s, v - 27)}[form]
        with pytest.raises(Reverted, match=r"^(SIG-1|EVD-.*)$"):
            convict(world, kind, *world.network.signed(signer, messages[0]), leaves, other)
    assert world.collateral.get("bond", signer.address) > 0


@pytest.mark.parametrize("kind", PAIRS)
def test_messages_of_another_network_convict_nobody(world, refused, kind):
    signer, first, second = pair(world, kind)
    foreign = Network(seed=5)
    with pytest.raises(Reverted, match=r"^EVD-.*$"):
        convict(world, kind, *foreign.signed(signer, first), *foreign.signed(signer, second))


@pytest.mark.parametrize("kind", PAIRS)
def test_messages_of_a_stranger_convict_nobody(world, kind):
    _, first, second = pair(world, kind)
    with pytest.raises(Reverted, match=r"^EVD-.*$"):
        show(world, kind, world.network.user, first, second)


@pytest.mark.parametrize("kind", PAIRS)
def test_messages_of_two_parties_convict_neither(world, kind):
    signer, first, second = pair(world, kind)
    network = world.network
    with pytest.raises(Reverted, match=r"^EVD-.*$"):
        convict(world, kind, *network.signed(signer, first), *network.signed(network.members[0], second))
    with pytest.raises(Reverted, match=r"^EVD-.*$"):
        convict(world, kind, *network.signed(network.members[0], first), *network.signed(signer, second))


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("which", [0, 1])
def test_changed_leaf_convicts_nobody(world, kind, which):
    signer, *messages = pair(world, kind)
    shown = [world.network.signed(signer, message) for message in messages]
    leaves, signature = shown[which]
    for position in range(len(leaves)):
        changed = (*leaves[:position], bytes([leaves[position][0] ^ 1]) + leaves[position][1:], *leaves[position + 1 :])
        with pytest.raises(Reverted, match=r"^EVD-.*$"):
            convict(
                world, kind, *(part for at in (0, 1) for part in (shown[at] if at != which else (changed, signature)))
            )


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("commitments", {"height": 2}),
        ("commitments", {"committee_id": b"\1" * 32}),
        ("receipts", {"sequence": 1}),
        ("votes", {"height": 2}),
        ("votes", {"committee_id": b"\1" * 32}),
        ("shares", {"height": 2}),
        ("successors", {"predecessor": b"\1" * 32}),
    ],
)
def test_messages_about_two_things_convict_nobody(world, refused, kind, changes):
    signer, first, second = pair(world, kind)
    with refused(RULES[kind]):
        show(world, kind, signer, first, replace(second, **changes))


@pytest.mark.parametrize("kind", ["commitments", "votes", "shares"])
def test_committee_that_is_not_registered_convicts_nobody(world, kind):
    signer, first, second = pair(world, kind)
    unknown = {"committee_id": b"\1" * 32}
    with pytest.raises(Reverted, match=r"^EVD-.*$"):
        show(world, kind, signer, replace(first, **unknown), replace(second, **unknown))


def test_two_first_key_sets_convict_nobody(world, refused):
    network = world.network
    with refused("EVD-11"):
        show(world, "successors", network.members[0], network.key_set(), network.key_set())
    assert network.first.predecessor == ZERO_HASH


def test_shares_that_differ_in_their_data_alone_convict_nobody_evd_5(world, refused):
    network = world.network
    commitment = network.commitment()
    with refused("EVD-5"):
        show(world, "shares", network.members[0], network.share(commitment, 1), network.share(commitment, 1))


def test_votes_that_differ_in_their_round_convict_as_off_chain(world):
    network = world.network
    vote = network.vote(network.commitment())
    show(world, "votes", network.members[0], vote, replace(vote, round=2))


def test_two_shares_in_one_round_convict_where_rounds_are_limited_evd_17(evm, refused):
    for rounds in (0, 8):
        network = Network(seed=3)
        network.first = network.key_set(rounds=rounds)
        world = Rehearsal(type(evm)(), network)
        world.register(network.first)
        first = network.commitment()
        second = network.commitment(first, round=1)
        shares = network.share(first, 1), network.share(second, 1)
        if rounds:
            show(world, "shares", network.members[0], *shares)
            with refused("convicted already"):
                show(world, "shares", network.members[0], *shares[::-1])
        else:
            with refused("EVD-5"):
                show(world, "shares", network.members[0], *shares)


def test_two_shares_of_one_key_and_height_convict_across_committees_evd_17(world, refused):
    network = world.network
    same = network.successor(
        network.first,
        key_id=network.first.key_id,
        encryption_key=network.first.encryption_key,
        start_parent=b"\1" * 32,
        start_round=1,
    )
    other = network.successor(same, start_height=201)
    world.register(same)
    world.register(other)
    commitment = network.commitment()
    share = network.share(commitment, 1)
    elsewhere = {"commitment_root": b"\2" * 32}
    with refused("EVD-5"):
        show(world, "shares", network.members[0], share, replace(share, committee_id=other.root, **elsewhere))
    show(world, "shares", network.members[0], share, replace(share, committee_id=same.root, **elsewhere))


def test_share_and_abstention_of_one_height_convict_evd_17(world, refused):
    network = world.network
    member = network.members[1]
    share = network.share(network.commitment(), 2)
    abstention = Abstain(committee_id=share.committee_id, height=share.height)
    kind = "share_and_abstention"
    for signer, message in ((network.members[0], abstention), (member, replace(abstention, height=2))):
        with refused("EVD-17"):
            convict(world, kind, *network.signed(member, share), *network.signed(signer, message))
    user = network.user
    with refused("EVD-11"):
        convict(world, kind, *network.signed(user, share), *network.signed(user, abstention))
    convict(world, kind, *network.signed(member, share), *network.signed(member, abstention))
    assert world.collateral.get("bond", member.address) == 0
    with refused("convicted already"):
        convict(world, kind, *network.signed(member, share), *network.signed(member, abstention))


def test_share_and_abstention_convict_across_committees_of_one_key_evd_17(world, refused):
    network = world.network
    same = network.successor(
        network.first,
        key_id=network.first.key_id,
        encryption_key=network.first.encryption_key,
        start_parent=b"\1" * 32,
        start_round=1,
    )
    other = network.successor(same, start_height=201)
    world.register(same)
    world.register(other)
    member, share = network.members[0], network.share(network.commitment(), 1)
    kind = "share_and_abstention"
    for committee, reason in ((other, "EVD-17"), (network.successor(other), "EVD-1")):
        abstention = Abstain(committee_id=committee.root, height=share.height)
        with refused(reason):
            convict(world, kind, *network.signed(member, share), *network.signed(member, abstention))
    abstention = Abstain(committee_id=same.root, height=share.height)
    convict(world, kind, *network.signed(member, share), *network.signed(member, abstention))
    assert world.collateral.get("bond", member.address) == 0


def test_share_above_the_start_of_a_successor_convicts_evd_16(world, refused):
    network = world.network
    member = network.members[1]
    successor = network.successor(network.first, start_height=5)
    share = network.share(network.commitment(), 2, height=5)
    kind = "successor_and_share"
    with refused("EVD-16"):
        convict(world, kind, *network.signed(member, successor), *network.signed(member, replace(share, height=4)))
    with refused("EVD-16"):
        convict(world, kind, *network.signed(network.members[0], successor), *network.signed(member, share))
    with refused("EVD-16"):
        other = replace(successor, predecessor=b"\1" * 32)
        convict(world, kind, *network.signed(member, other), *network.signed(member, share))
    convict(world, kind, *network.signed(member, successor), *network.signed(member, share))
    assert world.collateral.get("bond", member.address) == 0


@pytest.mark.parametrize("kind", ["commitments", "votes"])
def test_equivocation_begins_the_delay_anew_for_the_price_of_a_bond(world, refused, kind):
    network = world.network
    first, second = network.chain(2)
    world.post(first, second)
    world.chain.advance(world.parameters.finality_blocks - 1)
    signer = network.sequencer if kind == "commitments" else network.members[0]
    messages = [second, replace(second, timestamp_ms=6)]
    show(world, kind, signer, *(messages if kind == "commitments" else map(network.vote, messages)))
    world.chain.advance(1)
    world.settlement.send("finalize", 1, sender=world.anybody)
    with refused("delay"):
        world.settlement.send("finalize", 2, sender=world.anybody)
    world.chain.advance(world.parameters.finality_blocks - 1)
    world.settlement.send("finalize", 2, sender=world.anybody)


def test_equivocation_without_a_bond_delays_nothing(world):
    network = world.network
    chain = network.chain(2)
    world.post(*chain)
    show(world, "commitments", network.sequencer, chain[0], replace(chain[0], timestamp_ms=6))
    world.chain.advance(world.parameters.finality_blocks)
    world.deposit(network.sequencer.address, world.parameters.member_bond - 1)
    show(world, "commitments", network.sequencer, chain[1], replace(chain[1], timestamp_ms=6))
    world.settlement.send("finalize", 2, sender=world.anybody)


@pytest.mark.parametrize("kind", ["receipts", "shares", "successors"])
def test_other_faults_delay_nothing_stl_16(world, kind):
    (first,) = world.network.chain(1)
    world.post(first)
    show(world, kind, *pair(world, kind))
    world.chain.advance(world.parameters.finality_blocks)
    world.settlement.send("finalize", 1, sender=world.anybody)


def test_bond_that_is_being_withdrawn_is_lost_all_the_same(world):
    network = world.network
    member = network.members[0]
    world.chain.fund(member.address, 10**20)
    world.collateral.send("begin_unbonding", member.address, sender=member.address)
    world.chain.advance(world.parameters.unbonding_blocks)
    vote = network.vote(network.commitment())
    show(world, "votes", member, vote, replace(vote, commitment_root=b"\1" * 32))
    assert world.collateral.get("bond", member.address) == 0
