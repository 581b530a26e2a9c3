"""Evaluation and interpolation over a prime field."""

from __future__ import annotations

from itertools import combinations
from math import gcd

import pytest

from threshold.curve import ORDER
from threshold.polynomial import evaluate, lagrange_at, lagrange_at_zero, lagrange_integers

COEFFICIENTS = (5, 0, 7, ORDER - 3)


def value(x: int) -> int:
    return (5 + 7 * x**2 - 3 * x**3) % ORDER


@pytest.mark.parametrize("x", [0, 1, 2, 1000, ORDER - 1])
def test_evaluate_equals_the_written_polynomial(x):
    assert evaluate(COEFFICIENTS, x, ORDER) == value(x)


def test_evaluate_of_no_coefficients_is_zero():
    assert evaluate((), 3, ORDER) == 0


@pytest.mark.parametrize("at", [0, 1, 6, 99])
@pytest.mark.parametrize("indices", [(1, 2, 3, 4), (9, 2, 40, 7), (1, 2, 3, 4, 5, 6)])
def test_lagrange_at_interpolates(at, indices):
    weights = lagrange_at(at, indices, ORDER)
    assert sum(w * value(j) for w, j in zip(weights, indices, strict=True)) % ORDER == value(at)


def test_lagrange_at_a_given_index_selects_it():
    assert lagrange_at(2, (1, 2, 5), ORDER) == (0, 1, 0)


def test_lagrange_at_zero_agrees_with_lagrange_at():
    for indices in combinations(range(1, 8), 4):
        assert lagrange_at_zero(indices, ORDER) == lagrange_at(0, indices, ORDER)


def test_lagrange_integers_of_the_first_three_are_small():
    assert lagrange_integers((1, 2, 3)) == ((3, -3, 1), 1)


def test_lagrange_integers_may_need_a_denominator():
    assert lagrange_integers((1, 3)) == ((3, -1), 2)


def test_lagrange_integers_of_one_index_are_one():
    assert lagrange_integers((7,)) == ((1,), 1)


def test_lagrange_integers_follow_the_order_of_the_indices():
    numerators, denominator = lagrange_integers((2, 5, 9))
    assert lagrange_integers((9, 2, 5)) == ((numerators[2], numerators[0], numerators[1]), denominator)


def test_lagrange_integers_are_in_lowest_terms_with_a_positive_denominator():
    for indices in combinations(range(1, 10), 5):
        numerators, denominator = lagrange_integers(indices)
        assert denominator > 0
        assert gcd(*numerators, denominator) == 1
        assert sum(numerators) == denominator


@pytest.mark.parametrize("indices", [(1, 1), (0, 1), (2, -1), (1, 2, 3, 2)])
def test_lagrange_refuses_when_indices_repeat_or_are_not_positive(indices):
    with pytest.raises(ValueError):
        lagrange_integers(indices)
    with pytest.raises(ValueError):
        lagrange_at_zero(indices, ORDER)
