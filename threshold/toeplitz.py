"""Products of one Toeplitz matrix in G2 with many vectors in G1: y_i = product over l of e(x_l, t_(l-i)).

The native backend does them by transforms. The way for the others is transposed Toom-Cook. A matrix of r x r blocks,
equal along diagonals, costs 2r-1 products of blocks instead of r^2: one for each point p of a fixed list. With the rows
of the matrix in reverse, so that the block at (i, l) is T_(i+l), and GT written additively,

    Y_i = sum over p of p^i * Y(p),    Y(p) = (sum over k of c_pk * T_k) * (sum over l of p^l * X_l),

where the sum over k of c_pk * z^k is the Lagrange polynomial of p. Source: the multiplication of the polynomials with
coefficients X_l and Z_i by Toom-Cook, transposed: the sum of X_l * Z_i * T_(i+l) is linear in each of the three
(Winograd, "Arithmetic complexity of computations", SIAM 1980).

All constants are small integers once the denominators of c are taken out of the matrix. No point is negative, so GT
sees multiplications alone. A transform would need powers or inverses, which cost these backends some hundreds of
multiplications each.

Milliseconds by size with arkworks on two cores, from processor times: only pairings run in parallel. `naive` is one
multi-pairing for each row, and grows fourfold from size to size.

    size          8    16    32    64   128   256    512
    prepare      10    23    58   130   300   650   1500
    multiply      8    19    51   120   340   840   2300
    naive        10    37   150   590  2200

Nothing here is secret, and nothing takes constant time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd, lcm, prod
from typing import TypeVar

from threshold.curve import G1, G2, GT, ORDER, Backend, Group, Toeplitz

_FRACTIONS = ((2, 1), (3, 1), (3, 2), (4, 1), (4, 3), (5, 1))
_POINTS = ((0, 1), (1, 0), (1, 1), *((a, b) for c, d in _FRACTIONS for a, b in ((c, d), (d, c))))
"""(a, b) is a/b, and (1, 0) infinity; r blocks use the first 2r-1."""

_Value = TypeVar("_Value")
_Add = Callable[[_Value, _Value], _Value]

_Sum = tuple[tuple[int, ...], ...]
"""A sum of small multiples of numbered terms: for each binary digit from the highest, which terms have it."""


def padded_size(size: int) -> int:
    """The least size, not below the one given, that `prepare` takes: a power of two or three times one."""
    power = 1 << (size - 1).bit_length()
    return power * 3 // 4 if size <= power * 3 // 4 else power


def _splits(size: int) -> tuple[int, ...]:
    """Into how many blocks to split, level by level, until at most 4 rows are left to be multiplied naively.

    Chosen by measurement. A wide split saves pairings, but its preparation and its multiplications in GT are costly:
    it pays at the top, where it is done once."""
    if size <= 4:
        return ()
    first = 6 if size % 3 == 0 else 8
    levels = ((size // first).bit_length() - 1) // 2
    return (first,) + (4,) * levels


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """The constants for r blocks.

    vector         for each point, over the r blocks of x
    result         for each of the r blocks of y, over the points
    matrix         for each point, over the 2r-1 blocks of the matrix and then their negatives; and times what
                   brings the point's denominator to the common one, over the sum and its negative
    denominator    the common one
    """

    vector: tuple[_Sum, ...]
    result: tuple[_Sum, ...]
    matrix: tuple[tuple[_Sum, _Sum], ...]
    denominator: int


@cache
def _split(r: int) -> _Split:
    points = _POINTS[: 2 * r - 1]
    lagrange = []
    for a, b in points:
        numerator, denominator = [1], 1
        for c, d in points:
            if (c, d) != (a, b):
                # times (d*z - c), in homogeneous form, which vanishes at c/d
                numerator = [d * low - c * high for low, high in zip([0, *numerator], [*numerator, 0], strict=True)]
                denominator *= d * a - c * b
        shared = gcd(denominator, *numerator) * (1 if denominator > 0 else -1)
        lagrange.append(([c // shared for c in numerator], denominator // shared))
    common = lcm(*(denominator for _, denominator in lagrange))
    powers = [[a**i * b ** (r - 1 - i) for i in range(r)] for a, b in points]
    return _Split(
        vector=tuple(map(_small_sum, powers)),
        result=tuple(map(_small_sum, zip(*powers, strict=True))),
        matrix=tuple((_signed_sum(c), _signed_sum([common // denominator])) for c, denominator in lagrange),
        denominator=common,
    )


def _small_sum(coefficients: Sequence[int]) -> _Sum:
    digits = range(max(coefficients).bit_length())
    return tuple(tuple(at for at, c in enumerate(coefficients) if c >> digit & 1) for digit in reversed(digits))


def _signed_sum(coefficients: Sequence[int]) -> _Sum:
    """With digits -1, 0 and 1 of which no two neighbours differ from 0; -1 takes the negative of a term, which follows
    all the terms."""
    digits: list[tuple[int, ...]] = []
    left = list(coefficients)
    while any(left):
        signs = [(2 - c % 4) if c % 2 else 0 for c in left]
        digits.append(tuple(at if sign > 0 else at + len(left) for at, sign in enumerate(signs) if sign))
        left = [(c - sign) // 2 for c, sign in zip(left, signs, strict=True)]
    return tuple(reversed(digits))


def _evaluate(add: _Add[_Value], chosen: _Sum, terms: Sequence[_Value]) -> _Value:
    total: _Value | None = None
    for digit in chosen:
        if total is not None:
            total = add(total, total)
        for at in digit:
            total = terms[at] if total is None else add(total, terms[at])
    assert total is not None
    return total


def prepare(backend: Backend, diagonals: Sequence[G2]) -> Toeplitz:
    """The matrix with `diagonals` t_(1-n)..t_(n-1), and t_(l-i) in row i and column l. Once for each matrix: costs 2n
    multiplications and many additions in G2, or what the backend's own way costs.

    ValueError unless n = padded_size(n)."""
    size = (len(diagonals) + 1) // 2
    if len(diagonals) != 2 * size - 1 or size != padded_size(size):
        raise ValueError(f"there is no way to multiply with a matrix of {len(diagonals)} diagonals")
    return backend.toeplitz(diagonals) or ToomCook.prepare(backend, diagonals)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToomCook:
    """A matrix for backends without transforms. A few hundred bytes for each pairing that a product will cost.

    leaves    for each product that is left to be done naively: the diagonals of its matrix, rows in reverse
    """

    backend: Backend
    size: int
    leaves: tuple[tuple[G2, ...], ...]

    @classmethod
    def prepare(cls, backend: Backend, diagonals: Sequence[G2]) -> ToomCook:
        size = (len(diagonals) + 1) // 2
        splits = _splits(size)
        denominator = prod(_split(r).denominator for r in splits)
        scaled = backend.g2.multiply_each(diagonals, pow(denominator, -1, ORDER)) if splits else diagonals
        leaves = tuple(_matrix_leaves(backend.g2, tuple(scaled), splits))
        return cls(backend=backend, size=size, leaves=leaves)

    def multiply(self, vector: Sequence[G1]) -> tuple[GT, ...]:
        """y_0..y_(m-1) for x_0..x_(m-1), the other entries of x being the identity. Costs as much for any m <= n.

        ValueError for a vector that is longer than the matrix."""
        if len(vector) > self.size:
            raise ValueError(f"{len(vector)} entries are too many for a matrix of size {self.size}")
        group, splits = self.backend.g1, _splits(self.size)
        padded = tuple(vector) + (group.identity,) * (self.size - len(vector))
        products = [
            (part, entries[row : row + len(part)])
            for part, entries in zip(_vector_leaves(group, padded, splits), self.leaves, strict=True)
            for row in range(len(part))
        ]
        leaves = iter(self.backend.multi_pairings(products))
        return _result(self.backend.gt_multiply, leaves, splits, self.size)[::-1][: len(vector)]


def _matrix_leaves(group: Group[G2], entries: tuple[G2, ...], splits: tuple[int, ...]) -> Iterator[tuple[G2, ...]]:
    if not splits:
        yield entries
        return
    size = (len(entries) + 1) // 2 // splits[0]
    blocks = [entries[at::size][: 2 * splits[0] - 1] for at in range(2 * size - 1)]
    columns = [column + tuple(map(group.negate, column)) for column in blocks]
    for chosen, factor in _split(splits[0]).matrix:
        sums = [_evaluate(group.add, chosen, column) for column in columns]
        block = tuple(_evaluate(group.add, factor, (value, group.negate(value))) for value in sums)
        yield from _matrix_leaves(group, block, splits[1:])


def _vector_leaves(group: Group[G1], vector: tuple[G1, ...], splits: tuple[int, ...]) -> Iterator[tuple[G1, ...]]:
    if not splits:
        yield vector
        return
    size = len(vector) // splits[0]
    columns = [vector[at::size] for at in range(size)]
    for chosen in _split(splits[0]).vector:
        block = tuple(_evaluate(group.add, chosen, column) for column in columns)
        yield from _vector_leaves(group, block, splits[1:])


def _result(add: _Add[GT], leaves: Iterator[GT], splits: tuple[int, ...], size: int) -> tuple[GT, ...]:
    if not splits:
        return tuple(next(leaves) for _ in range(size))
    split = _split(splits[0])
    parts = [_result(add, leaves, splits[1:], size // splits[0]) for _ in split.vector]
    columns = tuple(zip(*parts, strict=True))
    return tuple(_evaluate(add, chosen, column) for chosen in split.result for column in columns)
