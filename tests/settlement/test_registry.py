"""The registry of key sets on chain: KEY-1, KEY-2, KEY-4 to KEY-6, KEY-8, KEY-9, KEY-11, KEY-12.

Holds STL-4 and STL-6, and STL-8 to STL-10.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from encmempool.settlement.leaves import leaves, signatures
from encmempool.settlement.rehearsal import Network, Rehearsal
from encmempool.types import ZERO_HASH
from specs import build

notation, page = map(build.load, ("notation", "settlement"))
COMMITTEE = (
    *("sequencer", "epoch", "scheme", "n", "t", "quorum", "start_height", "end", "key_id", "rounds", "start_round"),
    *("policy_id", "registered_at"),
)


def committee(world, committee_id):
    return dict(zip(COMMITTEE, world.registry.get("committee", committee_id), strict=True))


@pytest.mark.parametrize("n", [1, 2, 4, 7, 33])
def test_genesis_and_committee_have_the_roots_of_ssz_key_11(evm, n):
    network = Network(n=n)
    world = Rehearsal(evm, network)
    world.register(network.first)
    assert world.registry.get("GENESIS_ROOT") == network.genesis.root
    assert world.registry.get("newest") == network.first.root
    numbers = [world.registry.get("number", network.first.root, member) for member in network.first.members]
    assert numbers == list(range(1, n + 1))


def test_committee_is_told_with_what_the_other_contracts_need(bare):
    network = bare.network
    done = bare.register(network.first)
    found = committee(bare, network.first.root)
    assert found.pop("registered_at") == bare.chain.block()
    assert found == {
        "sequencer": network.sequencer.address,
        "epoch": 1,
        "scheme": 1,
        "n": 4,
        "t": 3,
        "quorum": 3,
        "start_height": 1,
        "end": 2**64 - 1,
        "key_id": network.first.key_id,
        "rounds": 0,
        "start_round": 0,
        "policy_id": 1,
    }
    assert bare.registry.get("is_sequencer", network.sequencer.address)
    (log,) = bare.registry.logs(done)
    assert log.arguments["members"] == network.first.members


def test_committee_that_is_not_registered_is_refused(bare, refused):
    with refused("EVD-1"):
        bare.registry.get("committee", bare.network.first.root)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"genesis_root": bytes(32)}, "KEY-1"),
        ({"predecessor": b"\1" * 32}, "KEY-8"),
        ({"n": 5}, "KEY-4"),
        ({"t": 0, "reduced_threshold": 1}, "KEY-4"),
        ({"t": 5}, "KEY-4"),
        ({"t": 2}, "KEY-4"),
        ({"reduced_threshold": 1}, "KEY-4"),
        ({"t": 2, "reduced_threshold": 1, "scheme": 2}, "KEY-5"),
        ({"t": 2, "reduced_threshold": 1, "scheme": 4}, "KEY-5"),
        ({"scheme": 5}, "KEY-12"),
        ({"sequencer": b"\1" * 20}, "KEY-6"),
        ({"policy_id": 2}, "KEY-6"),
        ({"policy_parameters": b"x"}, "KEY-6"),
        ({"batch_limit": 63}, "KEY-6"),
        ({"epoch": 2}, "KEY-6"),
        ({"start_height": 2}, "KEY-6"),
        ({"start_parent": bytes(32)}, "KEY-6"),
        ({"start_round": 1}, "KEY-6"),
        ({"valid_until": 0}, "KEY-9"),
    ],
)
def test_first_key_set_with_one_fault_is_refused(bare, refused, changes, rule):
    key_set = replace(bare.network.first, **changes)
    with refused(rule):
        bare.register(key_set)


def test_first_key_set_of_other_members_is_refused_key_2(bare, refused):
    network = bare.network
    others = tuple(network.identity() for _ in network.members)
    key_set = replace(network.first, members=tuple(other.address for other in others))
    with refused("KEY-2"):
        bare.register(key_set, network.all_sign(key_set, others))
    swapped = replace(network.first, members=network.first.members[::-1])
    with refused("KEY-2"):
        bare.register(swapped, network.all_sign(swapped, network.members[::-1]))


def test_member_twice_is_refused_key_4(bare, refused):
    first = bare.network.first
    with refused("KEY-4"):
        bare.register(replace(first, members=(first.members[0], *first.members[:3])))


def test_member_without_an_address_is_refused_key_4(bare, refused):
    first = bare.network.first
    with refused("KEY-4"):
        bare.register(replace(first, members=(*first.members[:3], bytes(20))))


def test_members_that_are_not_those_of_the_root_are_refused_key_4(bare, refused):
    first = bare.network.first
    signed = signatures(bare.network.all_sign(first))
    with refused("KEY-4"):
        bare.registry.send("register", leaves(first), first.members[::-1], signed, sender=bare.anybody)


@pytest.mark.parametrize(
    ("signers", "reason"), [((0, 1), "KEY-2"), ((0, 2, 1), "CRT-3"), ((0, 0, 1), "CRT-3"), ((), "KEY-2")]
)
def test_signatures_that_are_too_few_or_out_of_order_are_refused_key_2(bare, refused, signers, reason):
    chosen = [bare.network.members[at] for at in signers]
    with refused(reason):
        bare.register(bare.network.first, bare.network.all_sign(bare.network.first, chosen))


def test_reduced_threshold_does_not_reduce_the_signatures_needed_key_2(bare, refused):
    network = bare.network
    key_set = replace(network.first, t=1, reduced_threshold=1)
    with refused("KEY-2"):
        bare.register(key_set, network.all_sign(key_set, network.members[:2]))
    bare.register(key_set, network.all_sign(key_set, network.members[:3]))


def test_signature_of_a_stranger_or_on_something_else_is_refused(bare, refused):
    network = bare.network
    stranger = network.identity()
    with refused("CRT-3"):
        bare.register(network.first, network.all_sign(network.first, [*network.members[:2], stranger]))
    with refused("CRT-3"):
        bare.register(network.first, network.all_sign(network.key_set(), network.members[:3]))


def test_first_key_set_is_registered_once(world, refused):
    with refused("KEY-4"):
        world.register(world.network.first)
    with refused("KEY-8"):
        world.register(world.network.key_set())


def test_successor_follows_and_ends_its_predecessor(world):
    network = world.network
    following = network.successor(network.first)
    world.register(following)
    assert world.registry.get("newest") == following.root
    assert committee(world, network.first.root)["end"] == 100
    assert committee(world, following.root)["start_height"] == 101


def test_successor_may_have_other_members_and_is_signed_by_the_old_ones(world, refused):
    network = world.network
    others = tuple(network.identity() for _ in range(3))
    following = network.successor(network.first, n=3, t=3, members=tuple(each.address for each in others))
    with refused("CRT-3"):
        world.register(following, network.all_sign(following, others))
    world.register(following)
    third = network.successor(following, start_height=200)
    with refused("CRT-3"):
        world.register(third)
    world.register(third, network.all_sign(third, others))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"epoch": 3}, "KEY-8"),
        ({"predecessor": b"\1" * 32}, "KEY-8"),
        ({"start_height": 1}, "KEY-9"),
        ({"start_round": 1}, "KEY-9"),
        ({"genesis_root": bytes(32)}, "KEY-1"),
    ],
)
def test_successor_with_one_fault_is_refused(world, refused, changes, rule):
    with refused(rule):
        world.register(world.network.successor(world.network.first, **changes))


def test_successor_starts_at_most_one_above_the_end_of_its_predecessor_key_9(bare, refused):
    network = bare.network
    first = network.key_set(valid_until=50)
    bare.register(first)
    with refused("KEY-9"):
        bare.register(network.successor(first, start_height=52, valid_until=90))
    bare.register(network.successor(first, start_height=51, valid_until=90))


def test_successor_with_the_same_key_names_where_it_starts_key_9(world, refused):
    network = world.network
    same = {"key_id": network.first.key_id, "encryption_key": network.first.encryption_key}
    with refused("KEY-9"):
        world.register(network.successor(network.first, **same, start_parent=ZERO_HASH))
    following = network.successor(network.first, **same, start_parent=b"\1" * 32, start_round=9)
    world.register(following)
    with refused("KEY-9"):
        world.register(network.successor(following, **same, start_height=200, start_parent=b"\1" * 32, start_round=8))


@pytest.mark.parametrize("name", ["key_id", "encryption_key"])
def test_key_that_another_has_replaced_does_not_come_back_key_9(world, refused, name):
    network = world.network
    following = network.successor(network.first)
    world.register(following)
    with refused("KEY-9"):
        world.register(network.successor(following, start_height=200, **{name: getattr(network.first, name)}))


def test_successor_needs_the_signatures_of_its_predecessor_key_8(world, refused):
    network = world.network
    following = network.successor(network.first)
    with refused("KEY-8"):
        world.register(following, network.all_sign(following, network.members[:2]))


def test_only_the_newest_key_set_is_followed_key_10(world, refused):
    network = world.network
    world.register(network.successor(network.first))
    with refused("KEY-8"):
        world.register(network.successor(network.first))


def test_key_set_of_another_network_is_refused_even_with_its_signatures(world, bare, refused):
    foreign = Network(seed=9)
    foreign.members = world.network.members
    key_set = replace(world.network.successor(world.network.first))
    with refused("CRT-3"):
        world.register(key_set, foreign.all_sign(key_set, world.network.members[:3]))


@pytest.mark.parametrize("seed", range(30))
def test_signers_are_counted_as_on_the_page_stl_6(world, refused, seed):
    network, random = world.network, Random(seed)
    digest = random.randbytes(32)
    parties = [*network.members, network.user]
    chosen = random.choices(parties, k=random.randrange(5)) if seed % 2 else random.sample(parties[:4], k=3)
    if seed % 3:
        chosen.sort(key=parties.index)
    signed = [party.sign(digest) for party in chosen]
    arguments = network.first.root, digest, list(signatures(signed))
    try:
        expected = page.count_signers(network.first.members, digest, signed)
    except notation.Refused as error:
        with refused(error.rule):
            world.registry.get("signers", *arguments)
    else:
        assert world.registry.get("signers", *arguments) == expected
    quorum = world.registry.get("committee", network.first.root)[5]
    assert quorum == page.quorum(network.first.n, network.first.t)


def test_signers_reverts_for_the_second_form_of_a_signature_sig_1(world, refused):
    network = world.network
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    digest = bytes(32)
    ((r, s, v),) = signatures([network.members[0].sign(digest)])
    assert world.registry.get("signers", network.first.root, digest, [(r, s, v)]) == 1
    for other in ((r, order - s, 55 - v), (r, s, v - 27), (0, s, v), (r, 0, v), (r, s, 29)):
        with refused("SIG-1"):
            world.registry.get("signers", network.first.root, digest, [other])
