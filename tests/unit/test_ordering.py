"""Order policies: ranking, ties, a sender's own nonces, and the shuffle."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from itertools import permutations

import pytest

from encmempool.ordering import POLICY_NAMES, Candidate, Policy, committed_order, execution_order, permutation

ALICE, BOB, CAROL = b"\xa1" * 20, b"\xb0" * 20, b"\xc0" * 20
ROOT, VALUE = b"\x01" * 32, b"\x02" * 48


def candidate(tx: int, sender: bytes = ALICE, nonce: int = 0, *, sequence: int = 0, fee: int = 0) -> Candidate:
    return Candidate(tx_id=bytes([tx]) * 32, sender=sender, nonce=nonce, sequence=sequence, priority_fee=fee)


def ids(batch) -> list[int]:
    return [item.tx_id[0] for item in batch]


def in_execution_order(batch, *, root: bytes = ROOT, value: bytes = VALUE, policy: Policy = Policy.SHUFFLE):
    order = execution_order(policy, batch, commitment_root=root, batch_key_value=value)
    return [batch[at] for at in order]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "policy"), [("arrival", 1), ("priority_fee", 2), ("shuffle", 3), ("SHUFFLE", 3)])
def test_policy_is_found_by_name(name, policy):
    assert Policy.named(name) == policy


def test_policy_names_are_listed():
    assert POLICY_NAMES == ("arrival", "priority_fee", "shuffle")


@pytest.mark.parametrize("name", ["", "fifo", "named", "1"])
def test_policy_raises_and_lists_the_choices_when_the_name_is_unknown(name):
    with pytest.raises(ValueError, match="choose one of arrival, priority_fee, shuffle"):
        Policy.named(name)


# --- committed order -------------------------------------------------------------------------------------------------


def test_arrival_orders_by_receipt_sequence():
    batch = [candidate(1, ALICE, sequence=9), candidate(2, BOB, sequence=3), candidate(3, CAROL, sequence=5, fee=99)]
    assert ids(committed_order(Policy.ARRIVAL, batch)) == [2, 3, 1]


def test_priority_fee_orders_by_descending_fee():
    batch = [candidate(1, ALICE, fee=1), candidate(2, BOB, fee=3, sequence=9), candidate(3, CAROL, fee=2)]
    assert ids(committed_order(Policy.PRIORITY_FEE, batch)) == [2, 3, 1]


def test_shuffle_commits_to_ascending_ids_even_against_nonces():
    batch = [candidate(3, ALICE, 0, fee=9), candidate(1, ALICE, 1, sequence=9), candidate(2, BOB)]
    assert ids(committed_order(Policy.SHUFFLE, batch)) == [1, 2, 3]


@pytest.mark.parametrize("policy", Policy)
def test_ties_go_by_transaction_id(policy):
    batch = [candidate(tx, bytes([tx]) * 20) for tx in (5, 2, 9, 1)]
    assert ids(committed_order(policy, batch)) == [1, 2, 5, 9]


@pytest.mark.parametrize("policy", [Policy.ARRIVAL, Policy.PRIORITY_FEE])
def test_a_senders_nonces_ascend_on_the_positions_it_has(policy):
    """Alice has positions 0, 2 and 3 by rank; her nonces there would be 2, 0, 1."""
    batch = [
        candidate(1, ALICE, 2, sequence=1, fee=9),
        candidate(2, BOB, 5, sequence=2, fee=8),
        candidate(3, ALICE, 0, sequence=3, fee=7),
        candidate(4, ALICE, 1, sequence=4, fee=6),
    ]
    ordered = committed_order(policy, batch)
    assert ids(ordered) == [3, 2, 4, 1]
    assert [item.nonce for item in ordered if item.sender == ALICE] == [0, 1, 2]


@pytest.mark.parametrize("policy", Policy)
def test_order_does_not_depend_on_the_order_given(policy):
    batch = [
        candidate(4, ALICE, 1, sequence=1, fee=5),
        candidate(3, ALICE, 0, sequence=2, fee=6),
        candidate(2, BOB, 0, sequence=3, fee=6),
        candidate(1, CAROL, 0, sequence=4, fee=1),
    ]
    assert len({committed_order(policy, given) for given in permutations(batch)}) == 1


@pytest.mark.parametrize("policy", Policy)
def test_order_of_nothing_is_nothing(policy):
    assert committed_order(policy, []) == ()
    assert execution_order(policy, (), commitment_root=ROOT, batch_key_value=VALUE) == ()


# --- execution order -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Policy.ARRIVAL, Policy.PRIORITY_FEE])
def test_execution_follows_the_commitment_when_not_shuffled(policy):
    batch = [candidate(tx, bytes([tx]) * 20) for tx in (3, 1, 2)]
    assert execution_order(policy, batch, commitment_root=ROOT, batch_key_value=VALUE) == (0, 1, 2)


def test_shuffle_runs_every_position_once():
    batch = committed_order(Policy.SHUFFLE, [candidate(tx, bytes([tx]) * 20) for tx in range(50)])
    order = execution_order(Policy.SHUFFLE, batch, commitment_root=ROOT, batch_key_value=VALUE)
    assert sorted(order) == list(range(50))
    assert order != tuple(range(50))


@pytest.mark.parametrize(
    "changes", [{"root": b"\x03" * 32}, {"value": b"\x03" * 48}, {"root": VALUE[:32], "value": ROOT}], ids=str
)
def test_shuffle_differs_when_commitment_or_batch_key_do(changes):
    batch = [candidate(tx, bytes([tx]) * 20) for tx in range(20)]
    assert ids(in_execution_order(batch)) == ids(in_execution_order(batch))
    assert ids(in_execution_order(batch)) != ids(in_execution_order(batch, **changes))


def test_shuffle_runs_each_senders_nonces_in_order():
    batch = committed_order(
        Policy.SHUFFLE,
        [candidate(200 - 7 * n, ALICE, n) for n in range(10)] + [candidate(11 * n + 1, BOB, n) for n in range(10)],
    )
    for value in range(20):
        ran = in_execution_order(batch, value=bytes([value]) * 48)
        for sender in (ALICE, BOB):
            assert [item.nonce for item in ran if item.sender == sender] == list(range(10))


def test_shuffle_leaves_each_sender_the_positions_the_permutation_gave_it():
    """Ordering nonces moves a sender's own transactions only: what bystanders get is the plain permutation."""
    alone = [candidate(tx, bytes([tx]) * 20) for tx in range(12)]
    shared = [candidate(tx, ALICE if tx % 3 == 0 else bytes([tx]) * 20, 20 - tx) for tx in range(12)]
    for value in range(20):
        plain = ids(in_execution_order(alone, value=bytes([value]) * 48))
        ran = ids(in_execution_order(shared, value=bytes([value]) * 48))
        assert [tx if tx % 3 else None for tx in ran] == [tx if tx % 3 else None for tx in plain]


# --- permutation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1])
def test_permutation_of_at_most_one_is_the_identity(size):
    assert permutation(b"seed", size) == tuple(range(size))


def test_permutation_is_fixed_for_ever():
    """A change would fork the network; recomputed here from the definition in its docstring."""
    items = list(range(5))
    for counter, last in enumerate((4, 3, 2, 1)):  # no draw is refused: that has probability below 2^-61
        draw = int.from_bytes(sha256(b"seed" + counter.to_bytes(8, "big")).digest()[:8], "big")
        items[last], items[draw % (last + 1)] = items[draw % (last + 1)], items[last]
    assert permutation(b"seed", 5) == tuple(items)


def test_permutation_draws_again_when_a_draw_would_be_biased(monkeypatch):
    """The largest 64-bit draw is refused for size 3: 2^64 is 1 modulo 3. Then 2, then 0."""

    class Digest:
        def __init__(self, value: int) -> None:
            self._value = value

        def digest(self) -> bytes:
            return self._value.to_bytes(8, "big") + bytes(24)

    draws = {0: 2**64 - 1, 1: 2, 2: 0}
    monkeypatch.setattr(
        "encmempool.ordering.hashlib.sha256", lambda data: Digest(draws[int.from_bytes(data[-8:], "big")])
    )
    assert permutation(b"seed", 3) == (1, 0, 2)


def test_permutation_is_roughly_uniform_over_four():
    """Chi-square over all 24 orders; 23 degrees of freedom, 0.999 quantile 49.7. Seeds are fixed: it never flakes."""
    rounds = 4800
    seen = Counter(permutation(b"uniform" + n.to_bytes(4, "big"), 4) for n in range(rounds))
    assert len(seen) == 24
    expected = rounds / 24
    assert sum((count - expected) ** 2 / expected for count in seen.values()) < 49.7


def test_permutation_differs_when_the_seed_does():
    assert len({permutation(bytes([n]), 12) for n in range(100)}) == 100
