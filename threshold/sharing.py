"""Shamir's secret sharing and Feldman's commitments to it.

Member j of n holds f(j) for a polynomial f of degree t-1: t shares determine f(0), t-1 say nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import factorial

from threshold import entropy
from threshold.curve import Group
from threshold.curve.backend import ORDER, Point
from threshold.encoding import u16
from threshold.entropy import Random
from threshold.hashing import Tag, hash_to_scalar
from threshold.polynomial import evaluate, lagrange_at_zero, lagrange_integers


def check_parameters(n: int, t: int) -> None:
    """ValueError unless 1 <= t <= n <= 1024."""
    if not 1 <= t <= n <= 1024:
        raise ValueError(f"a committee needs 1 <= threshold <= members <= 1024, not {t} of {n}")


def random_polynomial(t: int, random: Random, *, secret: int | None = None, modulus: int = ORDER) -> tuple[int, ...]:
    """t coefficients, the constant one being `secret` if given."""
    first = entropy.scalar(random, modulus) if secret is None else secret % modulus
    return (first, *(entropy.scalar(random, modulus) for _ in range(t - 1)))


def deal(coefficients: Sequence[int], n: int, *, modulus: int = ORDER) -> dict[int, int]:
    """Shares f(1)..f(n) by member index."""
    return {j: evaluate(coefficients, j, modulus) for j in range(1, n + 1)}


def recover(shares: Mapping[int, int], *, modulus: int = ORDER) -> int:
    """f(0) from exactly the shares given; the caller chooses at least t of them."""
    indices = tuple(shares)
    return sum(w * shares[j] for w, j in zip(lagrange_at_zero(indices, modulus), indices, strict=True)) % modulus


def commit(group: Group[Point], coefficients: Sequence[int]) -> tuple[Point, ...]:
    """Feldman: every coefficient times the generator."""
    return tuple(group.multiply(group.generator, c) for c in coefficients)


def committed_share(group: Group[Point], commitment: Sequence[Point], index: int) -> Point:
    """The public image f(index) * generator, from the commitment alone."""
    return group.msm(commitment, [pow(index, k, ORDER) for k in range(len(commitment))])


def verify(group: Group[Point], commitment: Sequence[Point], index: int, share: int) -> bool:
    """Whether `share` is f(index) for the committed polynomial."""
    return group.equal(group.multiply(group.generator, share), committed_share(group, commitment, index))


def on_one_polynomial(group: Group[Point], points: Sequence[Point], t: int, tag: Tag) -> bool:
    """Whether points[0..n] are f(0)..f(n) times the generator for one polynomial f of degree below t.

    The SCRAPE test: the points are orthogonal to a codeword of the dual code, drawn by hashing the points under `tag`,
    up to an error of 2^-128. One multi-scalar multiplication of n+1 terms. Source: Cascudo and David, ACNS 2017.
    """
    n = len(points) - 1
    encoded = [group.encode(point) for point in points]
    mask = [hash_to_scalar(tag, u16(at), u16(t), *encoded, modulus=ORDER) for at in range(n + 1 - t)]
    weights = [
        evaluate(mask, x, ORDER) * pow((-1) ** (n - x) * factorial(x) * factorial(n - x), -1, ORDER)
        for x in range(n + 1)
    ]
    return group.equal(group.msm(points, weights), group.identity)


def recover_points(group: Group[Point], shares: Mapping[int, Sequence[Point]]) -> tuple[Point, ...]:
    """Interpolate at zero in the exponent, for many polynomials at once.

    shares    per member index, one point for each polynomial; all of one length
    """
    indices = tuple(shares)
    numerators, denominator = lagrange_integers(indices)
    terms = [group.multiply_each(shares[j], numerator) for j, numerator in zip(indices, numerators, strict=True)]
    totals = [group.sum(column) for column in zip(*terms, strict=True)]
    if denominator == 1:
        return tuple(totals)
    return group.multiply_each(totals, pow(denominator, -1, ORDER))
