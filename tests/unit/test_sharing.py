"""Shamir's sharing and Feldman's commitments."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest

from threshold import sharing
from threshold.curve import INSTALLED, ORDER, Group, load_backend
from threshold.entropy import deterministic
from threshold.polynomial import lagrange_at


@pytest.fixture(params=INSTALLED)
def group(request: pytest.FixtureRequest) -> Group:
    return load_backend(request.param).g1


def polynomial(t: int, secret: int | None = None) -> tuple[int, ...]:
    return sharing.random_polynomial(t, deterministic(b"sharing"), secret=secret)


@pytest.mark.parametrize(("n", "t"), [(1, 1), (4, 3), (1024, 1), (1024, 1024)])
def test_parameters_are_accepted_when_in_range(n, t):
    sharing.check_parameters(n, t)


@pytest.mark.parametrize(("n", "t"), [(0, 0), (3, 0), (3, 4), (1025, 3), (3, -1)])
def test_parameters_are_refused_when_out_of_range(n, t):
    with pytest.raises(ValueError, match="committee"):
        sharing.check_parameters(n, t)


def test_random_polynomial_has_the_secret_and_t_coefficients():
    assert len(polynomial(4)) == 4
    assert polynomial(4, secret=9)[0] == 9
    assert polynomial(4, secret=ORDER + 9)[0] == 9
    assert all(0 < c < ORDER for c in polynomial(4))


@pytest.mark.parametrize(("n", "t"), [(1, 1), (3, 1), (5, 3), (6, 6)])
def test_recover_gives_the_secret_from_any_threshold_of_shares(n, t):
    shares = sharing.deal(polynomial(t, secret=1234), n)
    assert list(shares) == list(range(1, n + 1))
    for chosen in combinations(shares, t):
        assert sharing.recover({j: shares[j] for j in chosen}) == 1234
    assert sharing.recover(shares) == 1234


def test_recover_does_not_depend_on_the_order_of_shares():
    shares = sharing.deal(polynomial(3, secret=77), 3)
    for order in permutations(shares):
        assert sharing.recover({j: shares[j] for j in order}) == 77


def test_recover_misses_the_secret_when_a_share_is_missing():
    shares = sharing.deal(polynomial(4, secret=1234), 6)
    for chosen in combinations(shares, 3):
        assert sharing.recover({j: shares[j] for j in chosen}) != 1234


@pytest.mark.parametrize("guess", [0, 1, 999])
def test_shares_below_the_threshold_fit_every_secret(guess):
    """For any secret there is a polynomial through the same t-1 shares."""
    shares = sharing.deal(polynomial(3, secret=1234), 5)
    weights = lagrange_at(2, (0, 1, 4), ORDER)
    second = sum(w * y for w, y in zip(weights, (guess, shares[1], shares[4]), strict=True)) % ORDER
    assert sharing.recover({1: shares[1], 2: second, 4: shares[4]}) == guess


def test_committed_share_is_the_image_of_the_share(group):
    coefficients = polynomial(3)
    commitment = sharing.commit(group, coefficients)
    for j, share in sharing.deal(coefficients, 4).items():
        expected = group.multiply(group.generator, share)
        assert group.equal(sharing.committed_share(group, commitment, j), expected)
    assert group.equal(sharing.committed_share(group, commitment, 0), group.multiply(group.generator, coefficients[0]))


def test_verify_accepts_the_share_of_its_member_only(group):
    coefficients = polynomial(3)
    commitment = sharing.commit(group, coefficients)
    shares = sharing.deal(coefficients, 3)
    assert sharing.verify(group, commitment, 2, shares[2])
    assert not sharing.verify(group, commitment, 2, shares[3])
    assert not sharing.verify(group, commitment, 3, shares[2])
    assert not sharing.verify(group, commitment, 2, shares[2] + 1)
    assert not sharing.verify(group, commitment[::-1], 2, shares[2])
    assert not sharing.verify(group, commitment[:-1], 2, shares[2])


def test_recover_points_gives_each_polynomials_value_at_zero(group):
    first = sharing.random_polynomial(3, deterministic(b"first"))
    second = sharing.random_polynomial(3, deterministic(b"second"))
    dealt = [sharing.deal(p, 6) for p in (first, second)]
    expected = [group.encode(group.multiply(group.generator, p[0])) for p in (first, second)]
    # (1, 2, 3) has denominator 1, the others do not; the last one is not sorted.
    for chosen in ((1, 2, 3), (2, 4, 5), (6, 1, 4)):
        shares = {j: tuple(group.multiply(group.generator, d[j]) for d in dealt) for j in chosen}
        assert [group.encode(point) for point in sharing.recover_points(group, shares)] == expected


def test_recover_points_of_no_polynomials_is_empty(group):
    assert sharing.recover_points(group, {1: (), 3: ()}) == ()


def test_recover_points_refuses_when_lengths_differ(group):
    with pytest.raises(ValueError):
        sharing.recover_points(group, {1: (group.generator,), 2: ()})


def test_recover_points_bears_committees_of_hundreds():
    """The integer coefficients exceed the group order by far and are reduced."""
    group = load_backend().g1
    coefficients = polynomial(200)
    shares = sharing.deal(coefficients, 400)
    chosen = list(shares)[1::2]
    assert sharing.recover({j: shares[j] for j in chosen}) == coefficients[0]
    points = {j: (group.multiply(group.generator, shares[j]),) for j in chosen}
    (total,) = sharing.recover_points(group, points)
    assert group.equal(total, group.multiply(group.generator, coefficients[0]))
