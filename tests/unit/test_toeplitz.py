"""Fast products of a Toeplitz matrix against the definition."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from threshold import toeplitz
from threshold.curve import G1, G2, GT, INSTALLED, ORDER, Backend, load_backend
from threshold.entropy import deterministic, scalar
from threshold.toeplitz import ToomCook, padded_size, prepare

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""Without a split, with each first split, with and without a second level, each with every number of rows left."""

ours = load_backend()


def scalars(seed: bytes, count: int) -> list[int]:
    random = deterministic(seed)
    return [scalar(random, ORDER) for _ in range(count)]


def points(backend: Backend, of: Sequence[int], group: str) -> list[G1 | G2]:
    chosen = getattr(backend, group)
    return [chosen.multiply(chosen.generator, k) for k in of]


def product(backend: Backend, diagonals: Sequence[int], vector: Sequence[int]) -> tuple[GT, ...]:
    matrix = prepare(backend, points(backend, diagonals, "g2"))
    return matrix.multiply(points(backend, vector, "g1"))


def expected(backend: Backend, diagonals: Sequence[int], vector: Sequence[int]) -> list[GT]:
    size = (len(diagonals) + 1) // 2
    sums = [
        sum(x * diagonals[column - row + size - 1] for column, x in enumerate(vector)) % ORDER
        for row in range(len(vector))
    ]
    return [backend.pairing(point, backend.g2.generator) for point in points(backend, sums, "g1")]


def assert_right(backend: Backend, diagonals: Sequence[int], vector: Sequence[int]) -> None:
    made, wanted = product(backend, diagonals, vector), expected(backend, diagonals, vector)
    assert len(made) == len(wanted)
    assert all(map(backend.gt_equal, made, wanted))


@pytest.mark.parametrize("size", SIZES)
def test_product_equals_the_definition(size):
    assert_right(ours, scalars(b"matrix", 2 * size - 1), scalars(b"vector", size))


@pytest.mark.slow
@pytest.mark.parametrize("size", [96, 128])
def test_product_equals_the_definition_on_three_levels(size):
    assert_right(ours, scalars(b"matrix", 2 * size - 1), scalars(b"vector", size))


@pytest.mark.parametrize("name", INSTALLED)
def test_product_equals_the_definition_on_every_backend(name):
    assert_right(load_backend(name), scalars(b"matrix", 5), scalars(b"vector", 3))


@pytest.mark.slow
def test_product_equals_the_definition_on_the_reference_backend_with_a_split():
    assert_right(load_backend("reference"), scalars(b"matrix", 11), scalars(b"vector", 6))


@pytest.mark.parametrize("length", range(1, 9))
def test_product_has_as_many_entries_as_the_vector_when_it_is_shorter(length):
    assert_right(ours, scalars(b"matrix", 15), scalars(b"vector", length))


def test_product_of_no_entries_is_empty():
    assert product(ours, scalars(b"matrix", 15), []) == ()


@pytest.mark.parametrize("size", [3, 8])
def test_product_is_right_when_entries_repeat_or_are_the_identity(size):
    assert_right(ours, [5] * size + [0] * (size - 1), [7] * (size - 2) + [0, ORDER - 7])
    assert_right(ours, [0] * (2 * size - 1), [1] * size)


def test_matrix_serves_any_number_of_vectors():
    diagonals = scalars(b"matrix", 15)
    matrix = prepare(ours, points(ours, diagonals, "g2"))
    for seed in (b"one", b"other"):
        vector = scalars(seed, 8)
        made = matrix.multiply(points(ours, vector, "g1"))
        assert all(map(ours.gt_equal, made, expected(ours, diagonals, vector)))


def test_fewer_pairings_are_computed_than_the_matrix_has_entries():
    """What all this is for."""
    matrix = ToomCook.prepare(ours, points(ours, range(1, 96), "g2"))
    rows = [(len(leaf) + 1) // 2 for leaf in matrix.leaves]
    assert sum(row * row for row in rows) == 11 * 7 * 2 * 2
    assert matrix.size == 48


def test_padded_size_is_the_least_power_of_two_or_three_times_one():
    allowed = sorted({2**k for k in range(12)} | {3 * 2**k for k in range(10)})
    for size in range(1, 1500):
        assert padded_size(size) == min(a for a in allowed if a >= size)


@pytest.mark.parametrize("count", [0, 2, 9, 13, 14, 19])
def test_matrix_is_refused_when_its_size_has_no_plan(count):
    with pytest.raises(ValueError, match="diagonals"):
        prepare(ours, [ours.g2.generator] * count)


def test_vector_is_refused_when_longer_than_the_matrix():
    matrix = prepare(ours, points(ours, [1, 2, 3], "g2"))
    with pytest.raises(ValueError, match="too many"):
        matrix.multiply(points(ours, [1, 2, 3], "g1"))


@pytest.mark.parametrize("r", range(2, 9))
def test_split_multiplies_polynomials_by_their_values(r):
    """The constants on integers: evaluate two polynomials, multiply, interpolate."""
    split = toeplitz._split(r)
    first, second = list(range(3, 3 + r)), [(-1) ** i * (7 * i + 1) for i in range(r)]

    def value(chosen, terms):
        return toeplitz._evaluate(lambda a, b: a + b, chosen, terms)

    interpolated = [0] * (2 * r - 1)
    for chosen, (lagrange, factor) in zip(split.vector, split.matrix, strict=True):
        at_point = value(chosen, first) * value(chosen, second)
        for k in range(2 * r - 1):
            unit = [int(k == j) for j in range(2 * r - 1)]
            coefficient = value(lagrange, unit + [-u for u in unit])
            interpolated[k] += at_point * value(factor, [coefficient, -coefficient])
    exact = [sum(first[i] * second[k - i] for i in range(r) if 0 <= k - i < r) for k in range(2 * r - 1)]
    assert interpolated == [split.denominator * c for c in exact]
