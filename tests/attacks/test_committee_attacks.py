"""Attacks on weakened committees, which they break, and on ours, which refuses; and the limits that are stated.

For keys with rounds the same attacks open everything pending: `test_fptx_attacks.py` has those. Which sets of shares
of two epochs make a key, none but t of one, is enumerated in `tests/unit/test_reshare.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations, product
from typing import Any

import pytest

from encmempool.committee import Ballot
from encmempool.errors import Conflict, EnvironmentProblem
from encmempool.keysets import Committee, default_threshold, public_material
from encmempool.network import rotation
from encmempool.network.ceremony import check_committee
from encmempool.network.rotation import Change, rotate
from encmempool.ordering import Candidate, Policy, execution_order
from encmempool.reveal import Follower
from encmempool.store import MemoryStore
from encmempool.types import ShareRelease, SignedVote
from tests.attacks.conftest import Node, Overwriting, certified, equivocating, rule_of, voted
from tests.scenarios.conftest import World
from threshold.entropy import deterministic
from threshold.errors import NotEnoughShares
from threshold.keys import KeyMaterial, KeyShare, Limits
from threshold.schemes.base import Batch, BatchKey, Share, Undecryptable
from threshold.schemes.registry import load_scheme

SECRET_ORDER = b"buy 40 ETH at market"

# --- shares of two epochs ---------------------------------------------------------------------------------------------


def held(world: World, epoch: int) -> dict[int, KeyShare]:
    return {index: world.home.key_share(index, world.password, epoch=epoch) for index in (1, 2, 3, 4)}


class Refreshed:
    """A network whose key was shared anew among the same members, and what thieves made of copies of their shares.

    old, new    a decryption share of one later batch by each member's share of either epoch
    """

    def __init__(self, world: World) -> None:
        world.run_height(world.transfer(world.people[0], valid_until=1))
        self.before, stolen = world.committee, held(world, 1)
        self.after = rotate(world.network, Change(), random=world.random)
        scheme, public = self.after.scheme, self.after.public_key
        ciphertext = scheme.encrypt(public, SECRET_ORDER, aad=b"", height=9, random=deterministic(b"after"))
        entry = scheme.verify_ciphertext(public, ciphertext, aad=b"", height=9)
        self.batch = Batch(key_id=public.key_id, height=9, round=2, entries=(entry,))
        self.old, self.new = (
            {member: self._share(committee, key_share) for member, key_share in key_shares.items()}
            for committee, key_shares in ((self.before, stolen), (self.after, held(world, 2)))
        )

    def _share(self, committee: Committee, key_share: KeyShare) -> Share:
        random = deterministic(b"share")
        return committee.scheme.partial_decrypt(committee.public_key, key_share, self.batch, random=random)

    def opened(self, committee: Committee, shares: Sequence[Share]) -> bytes | Undecryptable:
        scheme, public, precomputed = committee.scheme, committee.public_key, committee.precompute(self.batch)
        key, _ = scheme.combine(public, self.batch, shares, precomputed)
        return scheme.decrypt(public, self.batch, key, precomputed)[0]


def handing_on(network: Any, before: Committee, following: Any, random: Any) -> tuple[KeyMaterial, ...]:
    """A refresh that gives every member the share it had."""
    public = public_material(before.key_set, before.parameters)
    home = network.home
    shares = [home.key_share(index, network.password(), epoch=before.key_set.epoch) for index in (1, 2, 3, 4)]
    return tuple(KeyMaterial(public=public, share=share, transcript=b"") for share in shares)


def test_shares_stolen_in_two_epochs_open_together_when_a_refresh_changes_nothing(dealt_world, monkeypatch):
    """Two members' shares before and another one's after: never t in one epoch."""
    monkeypatch.setattr(rotation, "_reshare", handing_on)
    weak = Refreshed(dealt_world("tdh2"))
    assert weak.opened(weak.after, (weak.old[1], weak.old[2], weak.new[3])) == SECRET_ORDER


@pytest.mark.parametrize(("scheme", "rule"), [("tdh2", "TDH-4"), ("ibe", "IBE-5"), ("fptx", "FPT-6")])
def test_shares_stolen_in_two_epochs_open_nothing_in_ours(dealt_world, scheme, rule):
    """Neither the new committee's key takes the old shares, nor the old one's the new: t-1 of each are refused."""
    ours = Refreshed(dealt_world(scheme))
    assert ours.opened(ours.after, (ours.new[2], ours.new[3], ours.new[4])) == SECRET_ORDER
    stolen = (ours.old[1], ours.old[2], ours.new[3], ours.new[4])
    for committee, refused in ((ours.after, (1, 2)), (ours.before, (3, 4))):
        with pytest.raises(NotEnoughShares) as caught:
            ours.opened(committee, stolen)
        assert caught.value.blamed == refused
        for member in refused:
            share = stolen[member - 1]
            assert rule_of(committee.scheme.verify_share, committee.public_key, ours.batch, share) == rule


def test_stated_limit_threshold_of_copied_old_shares_opens_what_is_encrypted_after_a_refresh(dealt_world):
    """The key is the same. Members erase their files and sign that they did; copies are out of anybody's reach."""
    world = dealt_world("tdh2")
    ours = Refreshed(world)
    with pytest.raises(EnvironmentProblem):
        held(world, 1)
    assert len(world.network.erasures(of=ours.before.committee_id)) == 4
    assert ours.opened(ours.before, (ours.old[1], ours.old[2], ours.old[4])) == SECRET_ORDER


# --- members that forget ----------------------------------------------------------------------------------------------


def signed_twice(world: World, store: MemoryStore) -> tuple[ShareRelease, ShareRelease]:
    """Two processes of one member, restored from one database, are shown one commitment each."""
    first, second = equivocating(world)
    nodes = Node(world, 4, store), Node(world, 4, store)
    for node, proposal in zip(nodes, (first, second), strict=True):
        node.vote(proposal)
    one, two = (node.release(certified(world, each)) for node, each in zip(nodes, (first, second), strict=True))
    return one, two


def test_member_releases_two_shares_at_one_height_when_its_store_overwrites(dealt_world):
    one, two = (release.share.message for release in signed_twice(dealt_world("tdh2"), Overwriting()))
    assert one.height == two.height
    assert one.commitment_root != two.commitment_root


@pytest.mark.parametrize("step", ["vote", "share"])
def test_member_signs_once_when_its_memory_is_older_than_its_store_in_ours(dealt_world, step):
    """VOT-10 and SHR-2, by the store, before anything leaves. In memory, the same rules refuse by name."""
    world = dealt_world("tdh2")
    first, second = equivocating(world)
    node = Node(world, 4)
    stale = node.restarted()
    node.vote(first)
    if step == "vote":
        with pytest.raises(Conflict, match="a different vote"):
            stale.vote(second)
        assert rule_of(node.vote, second) == rule_of(node.restarted().vote, second) == "VOT-10"
        return
    node.release(certified(world, first))
    stale.follow(second, certified(world, second))
    with pytest.raises(Conflict, match="a different share-or-abstention"):
        stale.release(certified(world, second))
    node.follow(second, certified(world, second))
    assert rule_of(node.release, certified(world, second)) == "SHR-2"


def test_stated_limit_member_without_its_database_votes_again_and_is_named(dealt_world):
    """CRT-2: what such a member signs is evidence against it. The others hold, so no second certificate is made."""
    world = dealt_world("tdh2")
    first, second = equivocating(world)
    nodes = [Node(world, index) for index in (1, 2, 3, 4)]
    assert voted(nodes, first) is not None
    lost = Node(world, 1)
    again = lost.vote(second)
    ballot = Ballot(world.committee)
    ballot.add(nodes[0].vote(first))
    assert rule_of(ballot.add, again) == "CRT-2"
    assert [rule_of(node.vote, second) for node in nodes[1:]] == ["VOT-10"] * 3


def test_stated_limit_threshold_of_members_without_databases_certifies_twice(dealt_world):
    """CRT-4 by whoever sees both: from then on only people can say what counts."""
    world = dealt_world("tdh2")
    proposals = equivocating(world)
    certificates = [voted([Node(world, index) for index in (1, 2, 3)], proposal) for proposal in proposals]
    assert None not in certificates
    follower = Follower(world.committee)
    follower.follow(proposals[0], certificates[0])
    assert rule_of(follower.follow, proposals[1], certificates[1]) == "CRT-4"


# --- a sequencer that signs twice -------------------------------------------------------------------------------------


def certifiable(n: int, t: int, f: int) -> bool:
    """Whether both of two commitments can have t votes, if f members vote for both and the others for one."""
    return any(f + honest >= t and f + (n - f - honest) >= t for honest in range(n - f + 1))


def test_two_certificates_need_twice_the_threshold_to_be_at_most_members_and_dishonest_ones():
    for n in range(1, 40):
        for t, f in product(range(1, n + 1), range(n + 1)):
            assert certifiable(n, t, f) == (2 * t <= n + f)
        t = default_threshold(n)
        assert not certifiable(n, t, n - t)
        assert certifiable(n, t, 2 * t - n)


def both_certified(world: World) -> list[bool]:
    """For every way to show two commitments to three honest members: whether both are certified with the votes of
    the fourth, who is dishonest."""
    proposals = equivocating(world)
    dishonest = [Node(world, 4).vote(proposal) for proposal in proposals]
    votes = {(at, index): Node(world, index).vote(proposals[at]) for at in (0, 1) for index in (1, 2, 3)}
    results = []
    for shown in product((0, 1), repeat=3):
        made = []
        for at in (0, 1):
            given: list[SignedVote] = [votes[at, i] for i, which in enumerate(shown, 1) if which == at]
            ballot = Ballot(world.committee)
            made.append(any(ballot.add(vote) for vote in (*given, dishonest[at])))
        results.append(all(made))
    return results


def test_equivocating_sequencer_gets_two_certificates_when_the_threshold_is_two_of_four(dealt_world):
    """A threshold for experiments: its key set says so."""
    world = dealt_world("tdh2", threshold=2)
    assert world.committee.key_set.reduced_threshold
    assert any(both_certified(world))


def test_equivocating_sequencer_gets_one_certificate_at_most_in_ours(dealt_world):
    """VOT-10 by each honest member: it has voted for what it was shown first."""
    world = dealt_world("tdh2")
    assert not any(both_certified(world))
    first, second = equivocating(dealt_world("tdh2"))
    node = Node(world, 1)
    node.vote(first)
    assert rule_of(node.vote, second) == "VOT-10"


@pytest.mark.parametrize("scheme", ["ibe", "fptx"])
def test_reduced_threshold_is_refused_where_two_certificates_open_more_than_they_list(scheme):
    """KEY-5, before a key is made."""
    with pytest.raises(ValueError, match="needs a threshold of at least 3 of 4"):
        check_committee(load_scheme(scheme), 4, 2, reduced_allowed=True)


# --- a seed that the combiner chooses ---------------------------------------------------------------------------------


def combined_in_all_ways(scheme_name: str) -> tuple[int, list[tuple[bytes, BatchKey]]]:
    """The length of a batch; and for three of four shares, in every order, what was combined and what came out."""
    scheme, limits = load_scheme(scheme_name), Limits(batch=8, rounds=1)
    if scheme_name in ("tdh2", "ibe"):
        limits = Limits()
    material, key_shares = scheme.deal(n=4, t=3, limits=limits, random=deterministic(b"key"))
    public = scheme.load_public_key(material, key_id=material.key_id(b"network"))
    entries = []
    for at in range(6):
        aad = b"sender %d" % at
        ciphertext = scheme.encrypt(public, SECRET_ORDER, aad=aad, height=1, random=deterministic(aad))
        entries.append(scheme.verify_ciphertext(public, ciphertext, aad=aad, height=1))
    batch = Batch(key_id=public.key_id, height=1, round=1, entries=tuple(entries))
    precomputed = scheme.precompute(public, batch)
    shares = [scheme.partial_decrypt(public, each, batch, random=deterministic(b"share")) for each in key_shares]
    results = []
    for chosen in combinations(shares, 3):
        for order in permutations(chosen):
            key, _ = scheme.combine(public, batch, order, precomputed)
            results.append((b"".join(share.data for share in order), key))
    return len(batch), results


def executed(size: int, value: bytes) -> tuple[int, ...]:
    batch = [
        Candidate(tx_id=bytes([at]) * 32, sender=bytes([at]) * 20, nonce=0, sequence=0, priority_fee=0)
        for at in range(size)
    ]
    return execution_order(Policy.SHUFFLE, batch, commitment_root=bytes(32), batch_key_value=value)


SCHEMES = ("tdh2", "ibe", "simple-bte", "fptx")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_combiner_chooses_among_orders_when_the_seed_depends_on_the_shares_it_took(scheme):
    """24 ways to choose and arrange three shares, and about as many orders of six: first for the combiner's own, or
    last."""
    size, results = combined_in_all_ways(scheme)
    orders = {executed(size, shares) for shares, _ in results}
    assert len(orders) > 12
    assert {0, size - 1} <= {order.index(0) for order in orders}


def test_combiner_chooses_among_orders_when_the_seed_covers_the_proof_too():
    """tdh2's batch key carries the shares it was made of, for auditors."""
    size, results = combined_in_all_ways("tdh2")
    assert len({executed(size, key.encode()) for _, key in results}) > 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_combiner_has_one_order_whichever_shares_it_takes_in_ours(scheme):
    """ORD-8: the seed is the batch key's value, of which there is one."""
    size, results = combined_in_all_ways(scheme)
    assert len({executed(size, key.value) for _, key in results}) == 1


def test_followers_execute_one_order_whichever_members_released_in_ours(dealt_world):
    """ORD-8, with everything around it: two homes that are alike, different members who answer, and swaps, whose prices
    depend on their order."""
    outcomes = set()
    for members in ((1, 2, 3), (4, 2, 3)):
        world = dealt_world("tdh2", "shuffle")
        for person in world.people[:6]:
            world.network.submit(world.swap(person).encoded)
        certificate = world.network.vote(world.network.commit())
        world.network.release(certificate, members=members)
        (done,) = world.network.execute()
        outcomes.add((done.ready.commitment.root, done.state.root))
    assert len(outcomes) == 1
