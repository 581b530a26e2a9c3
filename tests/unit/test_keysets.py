"""KEY-1 to KEY-9: one fault each, signed by whoever has to sign, so that nothing else is wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from encmempool.errors import Malformed, Rejected
from encmempool.identity import Identity
from encmempool.keysets import (
    DISTRIBUTED,
    NO_END,
    TRUSTED_DEALER,
    Committee,
    default_threshold,
    first_key_set,
    public_material,
    signatures_needed,
    successor_key_set,
)
from encmempool.types import ZERO_HASH, Abstain, SignedKeySet, signing_digest
from threshold.entropy import deterministic
from threshold.keys import Limits
from threshold.schemes.base import Batch
from threshold.schemes.registry import load_scheme


@pytest.fixture(scope="module")
def key_set(dealt):
    """tdh2, 3 of 4, the usual one."""
    return dealt.committee.key_set


@pytest.fixture
def load(network, members, signed_by):
    """Committee.load of a key set signed by all members, or by the signers given."""

    def make(key_set, signers=members, genesis=network):
        return Committee.load(genesis, signed_by(key_set, network, signers))

    return make


def rule_of(call, *arguments, **keywords) -> str:
    with pytest.raises(Rejected) as caught:
        call(*arguments, **keywords)
    return caught.value.rule


@pytest.mark.parametrize(("n", "t"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (10, 7), (100, 67)])
def test_default_threshold_is_above_two_thirds(n, t):
    assert default_threshold(n) == t


@pytest.mark.parametrize("n", range(1, 50))
def test_default_threshold_leaves_no_two_quorums_without_an_honest_member(n):
    t = default_threshold(n)
    faulty = n - t
    assert 2 * t > n + faulty
    assert t <= n


# --- what is accepted ------------------------------------------------------------------------------------------------


def test_first_key_set_states_what_the_genesis_fixes(network, key_set):
    assert key_set.genesis_root == network.root
    assert (key_set.n, key_set.t, key_set.reduced_threshold) == (4, 3, 0)
    assert (key_set.members, key_set.sequencer) == (network.members, network.sequencer)
    assert (key_set.policy_id, key_set.batch_limit) == (network.policy_id, network.batch_limit)
    assert (key_set.epoch, key_set.predecessor, key_set.start_height) == (1, bytes(32), 1)
    assert (key_set.start_parent, key_set.valid_until) == (network.root, NO_END)


def test_load_accepts_all_members_signatures(load, key_set, network):
    committee = load(key_set)
    assert committee.committee_id == key_set.root
    assert committee.terms.genesis_root == network.root
    assert committee.terms.overhead_bytes == committee.scheme.info.ciphertext_overhead_bytes


@pytest.mark.parametrize("absent", range(4))
def test_load_accepts_any_t_members_signatures(load, key_set, members, absent):
    signers = members[:absent] + members[absent + 1 :]
    assert load(key_set, signers).key_set == key_set


@pytest.mark.parametrize("scheme", ["tdh2", "clear"])
def test_load_accepts_a_reduced_threshold_that_is_stated(network, members, deal_key, load, scheme):
    public, _ = deal_key(scheme, n=4, t=2)
    key_set = first_key_set(network, public, setup_kind=TRUSTED_DEALER, setup_privacy=0)
    assert (key_set.t, key_set.reduced_threshold) == (2, 1)
    assert load(key_set, members[:3]).public_key.threshold == 2


def test_key_set_is_refused_when_only_as_many_signed_as_it_says_suffice(network, members, deal_key, load):
    """KEY-2. One member could otherwise say that one is enough."""
    public, _ = deal_key("tdh2", n=4, t=2)
    key_set = first_key_set(network, public, setup_kind=TRUSTED_DEALER, setup_privacy=0)
    with pytest.raises(Rejected) as caught:
        load(key_set, members[:2])
    assert caught.value.rule == "KEY-2"


def test_key_set_is_refused_when_it_claims_a_predecessor(network, members, deal_key, load):
    """KEY-2. Without the predecessor's signatures anybody could succeed it."""
    public, _ = deal_key("tdh2", n=4, t=3)
    first = first_key_set(network, public, setup_kind=TRUSTED_DEALER, setup_privacy=0)
    with pytest.raises(Rejected) as caught:
        load(replace(first, predecessor=b"\1" * 32), members)
    assert caught.value.rule == "KEY-2"


def test_committee_of_one_loads(make_genesis, members, deal_key, signed_by):
    genesis = make_genesis(members=(members[0].address,))
    public, _ = deal_key("tdh2", n=1, t=1)
    key_set = first_key_set(genesis, public, setup_kind=TRUSTED_DEALER, setup_privacy=0)
    assert Committee.load(genesis, signed_by(key_set, genesis, members[:1])).key_set.t == 1


# --- KEY-1 -----------------------------------------------------------------------------------------------------------


def test_load_rejects_another_networks_key_set_key_1(load, make_genesis, key_set):
    assert rule_of(load, key_set, genesis=make_genesis(timestamp_ms=1)) == "KEY-1"


def test_load_rejects_a_key_set_that_names_another_genesis_key_1(load, key_set):
    assert rule_of(load, replace(key_set, genesis_root=bytes(32))) == "KEY-1"


# --- KEY-2 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2])
def test_load_rejects_fewer_than_t_signatures_key_2(load, key_set, members, count):
    assert rule_of(load, key_set, members[:count]) == "KEY-2"


@pytest.mark.parametrize("order", [(0, 2, 1), (3, 2, 1, 0)])
def test_load_rejects_signatures_out_of_the_members_order_key_2(load, key_set, members, order):
    assert rule_of(load, key_set, tuple(members[at] for at in order)) == "KEY-2"


def test_load_rejects_one_members_signature_counted_twice_key_2(load, key_set, members):
    assert rule_of(load, key_set, (members[0], members[1], members[1])) == "KEY-2"


def test_load_rejects_a_repeated_signature_beside_enough_key_2(load, key_set, members):
    """One key set has one set of signatures: no padding."""
    assert rule_of(load, key_set, (*members, members[0])) == "KEY-2"


@pytest.mark.parametrize("enough", [False, True], ids=["instead of a member", "beside enough members"])
def test_load_rejects_a_strangers_signature_key_2(load, key_set, members, alice, enough):
    signers = (*members, alice) if enough else (*members[:2], alice)
    assert rule_of(load, key_set, signers) == "KEY-2"


def test_load_rejects_signatures_of_another_key_set_key_2(network, key_set, signed_by, members):
    other = signed_by(replace(key_set, epoch=2), network, members)
    assert rule_of(Committee.load, network, SignedKeySet(message=key_set, signatures=other.signatures)) == "KEY-2"


def test_load_rejects_what_is_no_signature(network, key_set):
    signed = SignedKeySet(message=key_set, signatures=(bytes(65),) * 3)
    assert rule_of(Committee.load, network, signed) == "SIG-1"


def test_load_rejects_a_first_key_set_of_members_the_genesis_does_not_name_key_2(load, key_set):
    """At genesis its own members sign: else anyone could make a committee of four fresh keys."""
    usurpers = tuple(Identity(bytes([index]) * 32) for index in range(1, 5))
    usurped = replace(key_set, members=tuple(usurper.address for usurper in usurpers))
    assert rule_of(load, usurped, usurpers) == "KEY-2"


@pytest.mark.parametrize(
    "changes",
    [
        {"sequencer": b"\x66" * 20},
        {"policy_id": 3},
        {"batch_limit": 9},
        {"start_height": 7},
        {"start_parent": bytes(32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_load_rejects_a_first_key_set_that_contradicts_the_genesis(load, key_set, changes):
    """The genesis fixes the first sequencer key, order policy and batch limit, and where the chain begins."""
    with pytest.raises(Rejected):
        load(replace(key_set, **changes))


# --- KEY-3 -----------------------------------------------------------------------------------------------------------


def test_load_rejects_a_key_id_of_another_key_key_3(load, key_set):
    assert rule_of(load, replace(key_set, key_id=bytes(32))) == "KEY-3"


def test_load_rejects_an_encryption_key_under_another_name_key_3(load, key_set, deal_key):
    other, _ = deal_key("tdh2", n=4, t=3, seed=b"other")
    changed = replace(key_set, encryption_key=other.encryption_key, verification_keys=other.verification_keys)
    assert rule_of(load, changed) == "KEY-3"


def test_load_rejects_a_key_id_of_another_network_key_3(load, key_set, deal_key, make_genesis):
    public, _ = deal_key("tdh2", n=4, t=3)
    assert public.key_id(key_set.genesis_root) == key_set.key_id
    assert rule_of(load, replace(key_set, key_id=public.key_id(make_genesis(timestamp_ms=1).root))) == "KEY-3"


def test_load_rejects_a_key_id_made_for_another_scheme_key_3(load, key_set, deal_key):
    public, _ = deal_key("clear", n=4, t=3)
    assert rule_of(load, replace(key_set, key_id=public.key_id(key_set.genesis_root))) == "KEY-3"


def test_load_rejects_another_parameter_digest_key_3(load, key_set):
    assert rule_of(load, replace(key_set, parameter_digest=bytes(32))) == "KEY-3"


# --- KEY-4 -----------------------------------------------------------------------------------------------------------


KEY_4_FAULTS = {
    "t zero": lambda key_set: {"t": 0, "reduced_threshold": 1},
    "t above n": lambda key_set: {"t": 5},
    "n above the lists": lambda key_set: {"n": 5, "t": 4},
    "n below the lists": lambda key_set: {"n": 3},
    "a member missing": lambda key_set: {"members": key_set.members[:3]},
    "a member twice": lambda key_set: {"members": (*key_set.members[:3], key_set.members[0])},
    "a verification key missing": lambda key_set: {"verification_keys": key_set.verification_keys[:3]},
    "a verification key too many": lambda key_set: {"verification_keys": (*key_set.verification_keys, b"")},
    "reduced without saying so": lambda key_set: {"t": 2},
    "said to be reduced and is not": lambda key_set: {"reduced_threshold": 1},
    "a flag that is none": lambda key_set: {"t": 2, "reduced_threshold": 2},
}


@pytest.mark.parametrize("fault", KEY_4_FAULTS)
def test_load_rejects_numbers_and_lists_that_do_not_agree_key_4(load, key_set, fault):
    assert rule_of(load, replace(key_set, **KEY_4_FAULTS[fault](key_set))) == "KEY-4"


# --- KEY-5 -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def needs_default_threshold(monkeypatch):
    """tdh2 as if two signed batches opened more than they list, as fptx and ibe do."""
    kind = type(load_scheme("tdh2"))
    monkeypatch.setattr(kind, "info", replace(kind.info, needs_default_threshold=True))


def test_load_rejects_a_reduced_threshold_where_equivocation_opens_more_key_5(
    network, deal_key, load, needs_default_threshold
):
    public, _ = deal_key("tdh2", n=4, t=2)
    key_set = first_key_set(network, public, setup_kind=TRUSTED_DEALER, setup_privacy=0)
    assert rule_of(load, key_set) == "KEY-5"


def test_load_accepts_the_default_threshold_where_it_is_needed(load, key_set, needs_default_threshold):
    assert load(key_set).key_set.t == 3


# --- KEY-6 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"start_round": 1}, {"epoch": 2}], ids=lambda changes: next(iter(changes)))
def test_load_rejects_a_first_key_set_that_starts_elsewhere_key_6(load, key_set, changes):
    assert rule_of(load, replace(key_set, **changes)) == "KEY-6"


# --- KEY-7 -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited(make_genesis, signed_by, members):
    """Loads a first key set of a scheme whose key allows batches of 2, and 2 rounds where it counts them."""
    made = {}

    def make(scheme, *, batch_limit=2, rounds=0):
        genesis, loaded = make_genesis(batch_limit=batch_limit), load_scheme(scheme)
        if scheme not in made:
            limits = Limits(batch=2, rounds=2 if loaded.info.limits_rounds else None)
            made[scheme], _ = loaded.deal(n=4, t=3, limits=limits, random=deterministic(b"limits"))
        public = made[scheme]
        key_set = first_key_set(genesis, public, setup_kind=TRUSTED_DEALER, setup_privacy=0, rounds=rounds)
        return Committee.load(genesis, signed_by(key_set, genesis, members), public.parameters)

    return make


@pytest.mark.parametrize(("scheme", "rounds"), [("fptx", 2), ("simple-bte", 0)])
@pytest.mark.parametrize("batch_limit", [1, 2, 3])
def test_load_rejects_batches_larger_than_the_key_opens_key_7(limited, scheme, rounds, batch_limit):
    if batch_limit <= 2:
        assert limited(scheme, batch_limit=batch_limit, rounds=rounds).key_set.batch_limit == batch_limit
    else:
        assert rule_of(limited, scheme, batch_limit=batch_limit, rounds=rounds) == "KEY-7"


@pytest.mark.parametrize(("scheme", "rounds"), [("fptx", 0), ("fptx", 1), ("fptx", 3), ("simple-bte", 1)])
def test_load_rejects_other_rounds_than_the_key_has_key_7(limited, scheme, rounds):
    assert rule_of(limited, scheme, rounds=rounds) == "KEY-7"


def test_load_rejects_rounds_of_a_key_that_sets_no_limit_key_7(load, key_set):
    assert rule_of(load, replace(key_set, rounds=1)) == "KEY-7"


def test_load_rejects_parameters_of_another_key_key_3(limited, make_genesis, signed_by, members):
    loaded = limited("simple-bte")
    for parameters in (b"", loaded.parameters[:-1], loaded.parameters + b"\0"):
        assert rule_of(Committee.load, loaded.genesis, loaded.signed, parameters) == "KEY-3"


# --- successors: KEY-8 and KEY-9 -------------------------------------------------------------------------------------


START = (5, b"\x05" * 32, 3)


@pytest.fixture(scope="module")
def successor(committee, members):
    """The key set after the usual one, with any field changed: the same key, unless `public` is another's."""

    def make(public=None, *, start=START, **changes):
        made = successor_key_set(
            committee.key_set,
            public or public_material(committee.key_set),
            members=[member.address for member in members],
            start=start,
            setup_kind=DISTRIBUTED,
            setup_privacy=3,
            batch_limit=8,
        )
        return replace(made, **changes)

    return make


@pytest.fixture
def succeed(committee, network, members, signed_by):
    """load_successor of a key set signed by all members before, or by the signers given."""
    return lambda key_set, signers=members: committee.load_successor(signed_by(key_set, network, signers))


@pytest.fixture(scope="module")
def other_key(deal_key):
    public, _ = deal_key("tdh2", n=4, t=3, seed=b"another")
    return public


def test_successor_with_the_same_key_loads(committee, succeed, successor):
    following = succeed(successor())
    assert (following.key_set.key_id, following.key_set.epoch) == (committee.key_set.key_id, 2)
    assert following.key_set.predecessor == committee.committee_id
    assert following.committee_id != committee.committee_id


@pytest.mark.parametrize("parent", [ZERO_HASH, b"\x05" * 32], ids=["open", "named"])
def test_successor_with_another_key_loads(succeed, successor, other_key, parent):
    following = succeed(successor(other_key, start=(30, parent, 0)))
    assert (following.key_set.start_height, following.key_set.start_parent) == (30, parent)


def test_successor_may_be_a_committee_of_others(committee, network, deal_key, alice, bob, signed_by, succeed, members):
    public, _ = deal_key("tdh2", n=2, t=2, seed=b"others")
    key_set = successor_key_set(
        committee.key_set,
        public,
        members=[alice.address, bob.address],
        start=(9, ZERO_HASH, 0),
        setup_kind=DISTRIBUTED,
        setup_privacy=2,
        batch_limit=8,
    )
    following = succeed(key_set)
    assert following.member_index(bob.address) == 2
    third = replace(key_set, predecessor=following.committee_id, epoch=3, start_height=12, start_parent=b"\x0b" * 32)
    assert rule_of(following.load_successor, signed_by(third, network, members)) == "KEY-8"
    assert following.load_successor(signed_by(third, network, (alice, bob))).key_set.epoch == 3


@pytest.mark.parametrize("absent", range(4))
def test_successor_loads_with_any_t_signatures_key_8(succeed, successor, members, absent):
    assert succeed(successor(), members[:absent] + members[absent + 1 :]).key_set.epoch == 2


@pytest.mark.parametrize(
    "signers",
    [(), (0, 1), (0, 1, 1), (0, 2, 1), (0, 1, "stranger"), (0, 1, 2, "stranger"), (0, 1, 2, 2)],
    ids=str,
)
def test_successor_is_refused_with_other_signatures_than_the_members_key_8(succeed, successor, members, alice, signers):
    chosen = tuple(alice if at == "stranger" else members[at] for at in signers)
    assert rule_of(succeed, successor(), chosen) == "KEY-8"


def test_successor_of_a_reduced_committee_needs_the_default_threshold_key_8(network, members, deal_key, signed_by):
    public, _ = deal_key("tdh2", n=4, t=2)
    first = first_key_set(network, public, setup_kind=TRUSTED_DEALER, setup_privacy=0)
    committee = Committee.load(network, signed_by(first, network, members))
    assert signatures_needed(first) == 3
    following = successor_key_set(
        first,
        public,
        members=first.members,
        start=START,
        setup_kind=TRUSTED_DEALER,
        setup_privacy=0,
        batch_limit=8,
    )
    assert rule_of(committee.load_successor, signed_by(following, network, members[:2])) == "KEY-8"
    assert committee.load_successor(signed_by(following, network, members[:3])).key_set.epoch == 2


@pytest.mark.parametrize(
    "changes",
    [{"predecessor": b"\x01" * 32}, {"predecessor": ZERO_HASH}, {"epoch": 1}, {"epoch": 3}],
    ids=str,
)
def test_successor_is_refused_with_another_predecessor_or_epoch_key_8(succeed, successor, changes):
    assert rule_of(succeed, successor(**changes)) == "KEY-8"


@pytest.mark.parametrize("height", [0, 1])
def test_successor_is_refused_where_it_starts_no_later_than_its_predecessor_key_9(
    succeed, successor, other_key, height
):
    assert rule_of(succeed, successor(start_height=height)) == "KEY-9"
    assert rule_of(succeed, successor(other_key, start=(height, ZERO_HASH, 0))) == "KEY-9"


def test_successor_is_refused_where_it_leaves_a_gap_after_the_keys_end_key_9(network, key_set, signed_by, members):
    """The first key set cannot end; a later one may."""
    ending = replace(key_set, valid_until=4)
    committee = Committee(
        genesis=network,
        signed=signed_by(ending, network, members),
        scheme=load_scheme("tdh2"),
        public_key=None,
    )
    for height, accepted in ((5, True), (6, False)):
        following = replace(ending, predecessor=ending.root, epoch=2, start_height=height, start_parent=b"\x05" * 32)
        signed = signed_by(following, network, members)
        if accepted:
            assert committee.load_successor(signed).key_set.start_height == 5
        else:
            assert rule_of(committee.load_successor, signed) == "KEY-9"


def test_successor_is_refused_without_the_commitment_it_starts_from_key_9(succeed, successor):
    assert rule_of(succeed, successor(start_parent=ZERO_HASH)) == "KEY-9"


def test_successor_is_refused_with_rounds_that_go_back_key_9(committee, network, signed_by, members, successor):
    second = committee.load_successor(signed_by(successor(), network, members))
    third = replace(second.key_set, predecessor=second.committee_id, epoch=3, start_height=8)
    for round, accepted in ((2, False), (3, True), (4, True)):
        signed = signed_by(replace(third, start_round=round), network, members)
        if accepted:
            assert second.load_successor(signed).key_set.start_round == round
        else:
            assert rule_of(second.load_successor, signed) == "KEY-9"


def test_successor_with_another_key_is_refused_where_rounds_do_not_count_from_zero_key_9(succeed, successor, other_key):
    assert rule_of(succeed, successor(other_key, start=(5, ZERO_HASH, 1))) == "KEY-9"


def test_successor_is_refused_with_an_earlier_key_under_another_name_key_9(committee, succeed, successor):
    """Its shares would open batches of two keys: rounds would be used twice."""
    renamed = replace(public_material(committee.key_set), scheme=load_scheme("clear").info.number)
    key_set = successor(renamed, start=(30, ZERO_HASH, 0))
    assert key_set.encryption_key == committee.key_set.encryption_key
    assert key_set.key_id != committee.key_set.key_id
    assert rule_of(succeed, key_set) == "KEY-9"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"genesis_root": bytes(32)}, "KEY-1"),
        ({"key_id": bytes(32), "start_round": 0}, "KEY-3"),
        ({"parameter_digest": bytes(32)}, "KEY-3"),
        ({"t": 2}, "KEY-4"),
        ({"rounds": 1}, "KEY-7"),
    ],
    ids=["KEY-1", "KEY-3 key", "KEY-3 parameters", "KEY-4", "KEY-7"],
)
def test_successor_is_checked_as_the_first_key_set_is(succeed, successor, changes, rule):
    assert rule_of(succeed, successor(**changes)) == rule


def test_successor_shown_without_its_predecessor_is_refused_key_2(load, successor):
    assert rule_of(load, successor()) == "KEY-2"


# --- many ciphertexts at once, and work kept -------------------------------------------------------------------------


def test_verify_ciphertexts_is_verify_ciphertext_of_each(committee, encrypt, alice, bob):
    transactions = [encrypt(committee, alice), encrypt(committee, bob, random=deterministic(b"2"))]
    together = committee.verify_ciphertexts(transactions)
    assert [v.ciphertext_id for v in together] == [committee.verify_ciphertext(t).ciphertext_id for t in transactions]
    assert committee.verify_ciphertexts([]) == ()


def test_verify_ciphertexts_raises_what_the_first_bad_one_breaks(committee, encrypt, alice):
    good = encrypt(committee, alice)
    other = replace(good, header=replace(good.header, nonce=1))
    with pytest.raises(Rejected) as one:
        committee.verify_ciphertext(other)
    with pytest.raises(Rejected) as many:
        committee.verify_ciphertexts([good, other])
    assert str(many.value) == str(one.value)


def test_precompute_keeps_the_newest_batches(committee, encrypt, alice, monkeypatch):
    fresh = replace(committee)
    calls = []
    monkeypatch.setattr(type(fresh.scheme), "precompute", lambda self, key, batch: calls.append(batch.height))
    entry = fresh.verify_ciphertext(encrypt(fresh, alice))
    batches = [Batch(key_id=fresh.key_set.key_id, height=height, round=1, entries=(entry,)) for height in range(5)]
    for batch in (*batches, batches[4], batches[1], batches[0]):
        fresh.precompute(batch)
    assert calls == [0, 1, 2, 3, 4, 0]


def test_precompute_of_one_batch_does_not_wait_for_that_of_another(committee, encrypt, alice, monkeypatch):
    """Threads prepare batches side by side, and those that are prepared are at hand meanwhile."""
    fresh, meeting = replace(committee), Barrier(3, timeout=30)
    entry = fresh.verify_ciphertext(encrypt(fresh, alice))
    batches = [Batch(key_id=fresh.key_set.key_id, height=height, round=1, entries=(entry,)) for height in range(3)]
    monkeypatch.setattr(type(fresh.scheme), "precompute", lambda self, key, batch: batch.height)
    fresh.precompute(batches[2])
    monkeypatch.setattr(type(fresh.scheme), "precompute", lambda self, key, batch: (meeting.wait(), batch.height)[1])
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(fresh.precompute, batches[:2])
        assert fresh.precompute(batches[2]) == 2
        meeting.wait()
        assert list(made) == [0, 1]


# --- the key itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [200, 255])
def test_load_refuses_an_unknown_scheme(load, key_set, number):
    with pytest.raises(Malformed, match=f"unknown scheme number {number}"):
        load(replace(key_set, scheme=number))


def test_load_rejects_verification_keys_of_another_polynomial(load, key_set, deal_key):
    other, _ = deal_key("tdh2", n=4, t=3, seed=b"other")
    assert rule_of(load, replace(key_set, verification_keys=other.verification_keys)) == "TDH-6"


def test_load_refuses_a_verification_key_that_is_no_point(load, key_set):
    with pytest.raises(Malformed):
        load(replace(key_set, verification_keys=(bytes(48), *key_set.verification_keys[1:])))


# --- membership ------------------------------------------------------------------------------------------------------


def test_member_index_counts_from_one(committee, members, alice):
    assert [committee.member_index(member.address) for member in members] == [1, 2, 3, 4]
    assert committee.member_index(alice.address) is None


def test_signing_member_names_the_signer(committee, members, network):
    message = Abstain(committee_id=committee.committee_id, height=3)
    signature = members[2].sign(signing_digest(message, network.root))
    assert committee.signing_member(message, signature, rule="X-1") == 3


def test_signing_member_rejects_a_stranger_with_its_rule(committee, alice, network):
    message = Abstain(committee_id=committee.committee_id, height=3)
    signature = alice.sign(signing_digest(message, network.root))
    assert rule_of(committee.signing_member, message, signature, rule="X-1") == "X-1"
