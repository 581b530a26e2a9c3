"""Polynomials over a prime field: evaluation and Lagrange interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd


def evaluate(coefficients: Sequence[int], x: int, modulus: int) -> int:
    """Horner; coefficients from the constant upward."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % modulus
    return value


def lagrange_at(x: int, indices: Sequence[int], modulus: int) -> tuple[int, ...]:
    """lambda_j with f(x) = sum of lambda_j f(j), for distinct indices. ValueError if one is repeated."""
    if len(set(indices)) != len(indices):
        raise ValueError("interpolation needs distinct indices")
    result = []
    for j in indices:
        numerator = denominator = 1
        for m in indices:
            if m != j:
                numerator = numerator * (x - m) % modulus
                denominator = denominator * (j - m) % modulus
        result.append(numerator * pow(denominator, -1, modulus) % modulus)
    return tuple(result)


def lagrange_at_zero(indices: Sequence[int], modulus: int) -> tuple[int, ...]:
    """lambda_j with f(0) = sum of lambda_j f(j), for distinct positive indices. ValueError otherwise."""
    if not indices or min(indices) <= 0:
        raise ValueError("interpolation needs distinct positive indices")
    return lagrange_at(0, indices, modulus)


def lagrange_integers(indices: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """The same coefficients as small integers over one positive denominator: lambda_j = numerators[j] / denominator.

    For the indices 1..3 these are (3, -3, 1) and 1. Small integers make interpolation of points several times
    cheaper than full-size scalars.
    """
    if not indices or len(set(indices)) != len(indices) or any(index <= 0 for index in indices):
        raise ValueError("interpolation needs distinct positive indices")
    fractions = []
    for j in indices:
        numerator = denominator = 1
        for m in indices:
            if m != j:
                numerator *= m
                denominator *= m - j
        if denominator < 0:
            numerator, denominator = -numerator, -denominator
        shared = gcd(numerator, denominator)
        fractions.append((numerator // shared, denominator // shared))
    common = 1
    for _, denominator in fractions:
        common = common * denominator // gcd(common, denominator)
    return tuple(numerator * (common // denominator) for numerator, denominator in fractions), common
