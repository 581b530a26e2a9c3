"""What every policy owes to every set of candidates."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from encmempool.ordering import Candidate, Policy, committed_order, execution_order, permutation

SENDERS = tuple(bytes([n]) * 20 for n in range(1, 5))


@st.composite
def batches(draw: st.DrawFn) -> list[Candidate]:
    """Candidates with distinct ids and (sender, nonce), equal sequences and fees among them."""
    slots = draw(st.lists(st.tuples(st.sampled_from(SENDERS), st.integers(0, 20)), unique=True, max_size=16))
    ids = draw(st.lists(st.binary(min_size=32, max_size=32), unique=True, min_size=len(slots), max_size=len(slots)))
    return [
        Candidate(
            tx_id=tx_id,
            sender=sender,
            nonce=nonce,
            sequence=draw(st.integers(0, 5)),
            priority_fee=draw(st.integers(0, 3)),
        )
        for tx_id, (sender, nonce) in zip(ids, slots, strict=True)
    ]


def key(policy: Policy, item: Candidate) -> int:
    return item.sequence if policy is Policy.ARRIVAL else -item.priority_fee


def nonces(batch, sender: bytes) -> list[int]:
    return [item.nonce for item in batch if item.sender == sender]


@pytest.mark.parametrize("policy", [Policy.ARRIVAL, Policy.PRIORITY_FEE])
@settings(max_examples=100, deadline=None)
@given(batch=batches())
def test_committed_order_moves_senders_own_nonces_only(policy, batch):
    ranked = sorted(batch, key=lambda item: (key(policy, item), item.tx_id))
    ordered = committed_order(policy, batch)
    assert sorted(ordered, key=lambda item: item.tx_id) == sorted(batch, key=lambda item: item.tx_id)
    assert [item.sender for item in ordered] == [item.sender for item in ranked]
    assert all(nonces(ordered, sender) == sorted(nonces(ordered, sender)) for sender in SENDERS)


@pytest.mark.parametrize("policy", Policy)
@settings(max_examples=100, deadline=None)
@given(batch=batches(), data=st.data())
def test_committed_order_is_a_function_of_the_set(policy, batch, data):
    ordered = committed_order(policy, batch)
    assert committed_order(policy, data.draw(st.permutations(batch))) == ordered
    assert committed_order(policy, ordered) == ordered


@pytest.mark.parametrize("policy", Policy)
@settings(max_examples=100, deadline=None)
@given(batch=batches(), root=st.binary(min_size=32, max_size=32), value=st.binary(max_size=96))
def test_execution_order_is_a_permutation_with_ascending_nonces(policy, batch, root, value):
    committed = committed_order(policy, batch)
    order = execution_order(policy, committed, commitment_root=root, batch_key_value=value)
    assert sorted(order) == list(range(len(batch)))
    ran = [committed[at] for at in order]
    assert all(nonces(ran, sender) == sorted(nonces(ran, sender)) for sender in SENDERS)
    if policy is not Policy.SHUFFLE:
        assert order == tuple(range(len(batch)))


@settings(max_examples=100, deadline=None)
@given(seed=st.binary(max_size=40), size=st.integers(0, 200))
def test_permutation_is_a_permutation(seed, size):
    made = permutation(seed, size)
    assert sorted(made) == list(range(size))
    assert made == permutation(seed, size)
