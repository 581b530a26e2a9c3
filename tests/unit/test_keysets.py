"""KEY-1 to KEY-5: one fault each, signed by whoever has to sign, so that nothing else is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool.errors import Malformed, Rejected
from encmempool.identity import Identity
from encmempool.keysets import NO_END, TRUSTED_DEALER, Committee, default_threshold, first_key_set
from encmempool.types import Abstain, SignedKeySet, signing_digest
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


# --- the key itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 255])
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
