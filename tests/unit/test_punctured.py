"""Public parameters of simple-bte: what is encoded, what `verify` refuses, and what the TRUSTED dealer deals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest

from threshold import sharing
from threshold.curve import ORDER, Backend, load_backend
from threshold.encoding import u32
from threshold.entropy import deterministic
from threshold.errors import Malformed, Rejected
from threshold.setup import punctured
from threshold.setup.punctured import PuncturedPowers

BACKEND = load_backend()
G1, G2 = BACKEND.g1, BACKEND.g2
N, T, B = 4, 3, 4

OFF_SUBGROUP_G1 = bytes.fromhex("80" + "00" * 46 + "04")
"""x = 4: on the curve, outside the subgroup."""


def deal(
    n: int = N, t: int = T, batch: int = B, backend: Backend = BACKEND
) -> tuple[PuncturedPowers, tuple[tuple[int, ...], ...]]:
    return punctured.deal(backend, n=n, t=t, batch=batch, random=deterministic(b"%d %d %d" % (n, t, batch)))


@pytest.fixture(scope="module")
def dealt() -> tuple[PuncturedPowers, tuple[tuple[int, ...], ...]]:
    return deal()


@pytest.fixture(scope="module")
def powers(dealt) -> PuncturedPowers:
    return dealt[0]


@pytest.fixture(scope="module")
def tau(dealt) -> int:
    return sharing.recover({member: dealt[1][member - 1][0] for member in range(1, T + 1)})


def g2(scalar: int) -> object:
    return G2.multiply(G2.generator, scalar)


def with_power(powers: PuncturedPowers, i: int, point: object) -> PuncturedPowers:
    at = punctured.exponents(powers.batch).index(i)
    return replace(powers, h=(*powers.h[:at], point, *powers.h[at + 1 :]))


def with_key(powers: PuncturedPowers, member: int, i: int, point: object) -> PuncturedPowers:
    keys = [list(row) for row in powers.verification_keys]
    keys[member - 1][i - 1] = point
    return replace(powers, verification_keys=tuple(map(tuple, keys)))


def rejected(powers: PuncturedPowers, rule: str, text: str, *, t: int = T) -> None:
    with pytest.raises(Rejected, match=text) as fault:
        punctured.verify(BACKEND, powers, t)
    assert fault.value.rule == rule


# --- the dealer


@pytest.mark.parametrize(
    ("n", "t", "batch"), [(1, 1, 1), (1, 1, 2), (2, 2, 1), (3, 2, 3), (4, 3, 8), (4, 4, 2), (5, 1, 2), (7, 5, 5)]
)
def test_dealt_parameters_are_accepted_and_shares_recover_every_power(n, t, batch):
    powers, secrets = deal(n, t, batch)
    punctured.verify(BACKEND, powers, t)
    (tau,) = {sharing.recover({j: secrets[j - 1][0] for j in chosen}) for chosen in combinations(range(1, n + 1), t)}
    assert G1.equal(powers.t1, G1.multiply(G1.generator, tau))
    for i in range(1, batch + 1):
        for chosen in combinations(range(1, n + 1), t):
            assert sharing.recover({j: secrets[j - 1][i - 1] for j in chosen}) == pow(tau, i, ORDER)
        for j in range(1, n + 1):
            assert G2.equal(powers.verification_keys[j - 1][i - 1], g2(secrets[j - 1][i - 1]))
    for i in punctured.exponents(batch):
        assert G2.equal(powers.power(i), g2(pow(tau, i, ORDER)))


def test_dealt_parameters_are_accepted_on_the_reference_backend():
    backend = load_backend("reference")
    powers, _ = deal(1, 1, 2, backend)
    punctured.verify(backend, powers, 1)
    assert punctured.encode(backend, powers) == punctured.encode(BACKEND, deal(1, 1, 2)[0])


def test_dealt_powers_are_shared_independently():
    """Two powers on polynomials that differ in the constant only would tell every member a difference of powers."""
    _, secrets = deal(4, 3, 4)
    for a, b in combinations(range(4), 2):
        differences = [(row[a] - row[b]) % ORDER for row in secrets]
        assert len(set(differences)) == len(secrets)
        shares = dict(enumerate(differences, start=1))
        assert sharing.recover({j: shares[j] for j in (1, 2)}) != sharing.recover({j: shares[j] for j in (3, 4)})


def test_shares_recover_nothing_with_one_too_few(dealt, tau):
    assert all(sharing.recover({j: dealt[1][j - 1][0] for j in pair}) != tau for pair in combinations((1, 2, 3, 4), 2))


@pytest.mark.parametrize(("n", "t", "batch"), [(4, 5, 2), (4, 0, 2), (4, 3, 0)])
def test_dealer_refuses_when_parameters_are_out_of_range(n, t, batch):
    with pytest.raises(ValueError):
        punctured.deal(BACKEND, n=n, t=t, batch=batch, random=deterministic(b""))


# --- the hole


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_parameters_hold_every_power_but_the_hole(batch):
    powers, secrets = deal(3, 2, batch)
    tau = sharing.recover({1: secrets[0][0], 2: secrets[1][0]})
    assert punctured.exponents(batch) == tuple(i for i in range(1, 2 * batch + 1) if i != batch + 1)
    assert G2.encode(g2(pow(tau, batch + 1, ORDER))) not in punctured.encode(BACKEND, powers)


def test_first_group_holds_no_power_above_the_batch():
    """For B = 1 that is tau alone: its square is what the assumption does not allow."""
    assert deal(2, 2, 1)[0].t2 is None
    assert deal(2, 2, 2)[0].t2 is not None


@pytest.mark.parametrize("i", [-1, 0, B + 1, 2 * B + 1])
def test_power_is_refused_when_there_is_none(powers, i):
    with pytest.raises(ValueError, match="there is no power"):
        powers.power(i)


# --- the rules


def test_parameters_are_refused_when_t1_holds_another_secret_sbt_20(powers):
    rejected(replace(powers, t1=G1.generator), "SBT-20", "h_1")


def test_parameters_are_refused_when_t2_is_not_the_square_sbt_21(powers):
    rejected(replace(powers, t2=G1.generator), "SBT-21", "square")


@pytest.mark.parametrize("i", [2, 3, 4, 7, 8])
def test_parameters_are_refused_when_a_power_does_not_follow_sbt_22(powers, i):
    rejected(with_power(powers, i, g2(5)), "SBT-22", f"h_{i} does not follow h_{i - 1}")


def test_parameters_are_refused_when_the_upper_half_is_of_another_secret_sbt_23(powers):
    """Consecutive among themselves, but not the continuation of the lower half."""
    upper = G2.multiply_each(powers.h[B:], 5)
    rejected(replace(powers, h=(*powers.h[:B], *upper)), "SBT-23", "h_6 does not follow h_4")


def test_parameters_are_refused_when_errors_of_two_powers_cancel_sbt_22(powers, tau):
    """Errors that a sum without weights would not see: T1 * d = g1 * d + g1 * (tau - 1) d."""
    bent = with_power(powers, 7, G2.add(powers.power(7), G2.generator))
    bent = with_power(bent, 8, G2.add(powers.power(8), g2(tau - 1)))
    rejected(bent, "SBT-22", "h_7 does not follow h_6")


@pytest.mark.parametrize(("member", "i"), [(1, 1), (4, 3), (2, 4)])
def test_parameters_are_refused_when_a_verification_key_is_wrong_sbt_24(powers, member, i):
    rejected(with_key(powers, member, i, g2(5)), "SBT-24", f"for power {i} ")


def test_parameters_are_refused_when_two_members_keys_are_swapped_sbt_24(powers):
    first, second, *others = powers.verification_keys
    rejected(replace(powers, verification_keys=(second, first, *others)), "SBT-24", "for power 1 ")


def test_parameters_are_refused_when_keys_share_another_value_sbt_24(powers):
    """All on one polynomial of degree t-1, but its constant is not tau^2."""
    bent = powers
    for member in range(1, N + 1):
        key = powers.verification_keys[member - 1][1]
        bent = with_key(bent, member, 2, G2.add(key, G2.generator))
    rejected(bent, "SBT-24", "for power 2 ")


def test_parameters_are_refused_when_errors_of_two_keys_cancel_sbt_24(powers):
    bent = with_key(powers, 1, 2, G2.add(powers.verification_keys[0][1], G2.generator))
    bent = with_key(bent, 1, 3, G2.add(powers.verification_keys[0][2], G2.negate(G2.generator)))
    rejected(bent, "SBT-24", "for power 2 ")


def test_parameters_are_refused_when_the_threshold_is_lower_than_the_degree_sbt_24(powers):
    rejected(powers, "SBT-24", "threshold 2", t=2)


@pytest.mark.parametrize("t", [0, 5])
def test_parameters_are_refused_when_the_threshold_is_impossible_sbt_25(powers, t):
    rejected(powers, "SBT-25", "threshold", t=t)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, t1=G1.identity),
        lambda p: replace(p, t2=G1.identity),
        lambda p: with_power(p, 6, G2.identity),
        lambda p: with_key(p, 2, 3, G2.identity),
    ],
    ids=["t1", "t2", "power", "key"],
)
def test_parameters_are_refused_when_a_point_is_the_identity_sbt_25(powers, change):
    rejected(change(powers), "SBT-25", "identity")


def test_parameters_are_refused_when_the_secret_is_zero_sbt_25():
    """All equations hold."""
    zero = (G2.identity,) * 2
    powers = PuncturedPowers(
        batch=2, t1=G1.identity, t2=G1.identity, h=(G2.identity,) * 3, verification_keys=(zero, zero)
    )
    rejected(powers, "SBT-25", "identity", t=2)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, batch=0),
        lambda p: replace(p, h=p.h[:-1]),
        lambda p: replace(p, t2=None),
        lambda p: replace(p, verification_keys=(*p.verification_keys[:-1], p.verification_keys[-1][:-1])),
    ],
    ids=["batch", "powers", "square", "keys"],
)
def test_parameters_cannot_be_made_with_a_wrong_number_of_points(powers, change):
    with pytest.raises(ValueError):
        change(powers)


# --- bytes


@pytest.mark.parametrize(("n", "batch"), [(2, 1), (3, 2), (4, 4)])
def test_decoding_returns_what_was_encoded(n, batch):
    powers, _ = deal(n, 2, batch)
    data = punctured.encode(BACKEND, powers)
    assert len(data) == punctured.size_bytes(batch, n)
    decoded = punctured.decode(BACKEND, data, n)
    punctured.verify(BACKEND, decoded, 2)
    assert punctured.encode(BACKEND, decoded) == data
    assert decoded == powers


def at(i: int = 0, member: int = 0) -> int:
    """Where a power, or a member's key for power i, starts."""
    powers = 4 + 2 * 48
    if member:
        return powers + 96 * (2 * B - 1) + 96 * (B * (member - 1) + i - 1)
    return powers + 96 * punctured.exponents(B).index(i)


@pytest.mark.parametrize(
    ("offset", "name"),
    [
        (4, "T1"),
        (52, "T2"),
        (at(1), "h_1"),
        (at(4), "h_4"),
        (at(6), "h_6"),
        (at(8), "h_8"),
        (at(1, member=1), "member 1's verification key 1"),
        (at(3, member=2), "member 2's verification key 3"),
        (at(4, member=4), "member 4's verification key 4"),
    ],
)
@pytest.mark.parametrize("bad", ["identity", "not-a-point"])
def test_parameters_are_malformed_and_the_point_is_named(powers, offset, name, bad):
    data = punctured.encode(BACKEND, powers)
    size = 48 if offset < at(1) else 96
    point = b"\xc0" + bytes(size - 1) if bad == "identity" else b"\xff" * size
    with pytest.raises(Malformed, match=rf"^{name}: "):
        punctured.decode(BACKEND, data[:offset] + point + data[offset + size :], N)


def test_parameters_are_malformed_when_a_point_is_outside_the_subgroup(powers):
    data = punctured.encode(BACKEND, powers)
    with pytest.raises(Malformed, match=r"^T1: .*subgroup"):
        punctured.decode(BACKEND, data[:4] + OFF_SUBGROUP_G1 + data[52:], N)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: data + b"\0", "for a batch of 4"),
        (lambda data: data[:-1], "for a batch of 4"),
        (lambda data: b"", "truncated"),
        (lambda data: u32(0), "for a batch of 0"),
        (lambda data: u32(5) + data[4:], "for a batch of 5"),
        (lambda data: u32(2**32 - 1) + data[4:], "for a batch of 4294967295"),
    ],
    ids=["trailing", "truncated", "empty", "none", "other-batch", "huge"],
)
def test_parameters_are_malformed_when_the_size_is_wrong(powers, change: Callable[[bytes], bytes], text):
    with pytest.raises(Malformed, match=text):
        punctured.decode(BACKEND, change(punctured.encode(BACKEND, powers)), N)


@pytest.mark.parametrize("n", [3, 5])
def test_parameters_are_malformed_when_they_are_for_other_members(powers, n):
    with pytest.raises(Malformed, match=f"{n} members"):
        punctured.decode(BACKEND, punctured.encode(BACKEND, powers), n)


def test_material_is_the_pair_that_masks_are_made_from(powers):
    public = punctured.material(9, T, powers, BACKEND)
    assert (public.scheme, public.threshold, public.members) == (9, T, N)
    assert public.encryption_key == G1.encode(powers.t1) + G2.encode(powers.power(B))
    assert public.verification_keys == tuple(G2.encode(keys[0]) for keys in powers.verification_keys)
    assert public.parameters == punctured.encode(BACKEND, powers)


@pytest.mark.parametrize("order", [1, 2, 4, 8])
def test_parameters_are_refused_when_the_secret_has_a_small_order_sbt_26(order):
    """All equations hold, and the hole is one of the other powers or its negative: everything is open."""
    tau = pow(7, (ORDER - 1) // order, ORDER)
    batch = 4
    h = tuple(G2.multiply(G2.generator, pow(tau, i, ORDER)) for i in punctured.exponents(batch))
    t1, t2 = (G1.multiply(G1.generator, pow(tau, i, ORDER)) for i in (1, 2))
    powers = PuncturedPowers(batch=batch, t1=t1, t2=t2, h=h, verification_keys=(h[:batch],))
    rejected(powers, "SBT-26", "hole", t=1)
