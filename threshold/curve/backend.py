"""Seam 1: what a backend of the pairing group BLS12-381 offers.

Points are opaque values of one backend and immutable; scalars are integers, reduced by the backend. Calls take whole
batches where a batch is what the schemes have, so that an accelerator can cross the language border once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Generic, NewType, Protocol, TypeVar

from threshold.errors import Malformed

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""r, the prime order of G1, G2 and GT."""

SCALAR_BYTES = 32
G1_BYTES = 48
G2_BYTES = 96
GT_BYTES = 576

G1 = NewType("G1", object)
G2 = NewType("G2", object)
GT = NewType("GT", object)
Point = TypeVar("Point")
PointOut = TypeVar("PointOut", covariant=True)


class FixedBase(Protocol, Generic[PointOut]):
    """Multiplies one point, chosen before, by scalars."""

    def __call__(self, scalar: int) -> PointOut: ...

    def each(self, scalars: Sequence[int]) -> tuple[PointOut, ...]:
        """One product for each scalar."""


class Group(Protocol, Generic[Point]):
    """One of the two source groups, written additively."""

    name: str
    size_bytes: int
    generator: Point
    identity: Point

    def decode(self, data: bytes) -> Point:
        """Strict: compressed ZCash form, canonical, on the curve, in the subgroup, not the identity.

        Raises Malformed."""

    def decode_each(self, encoded: Sequence[bytes]) -> tuple[Point | Malformed, ...]:
        """For each the point, or what is wrong with it."""

    def encode(self, point: Point) -> bytes: ...
    def encode_each(self, points: Sequence[Point]) -> tuple[bytes, ...]: ...
    def add(self, a: Point, b: Point) -> Point: ...
    def negate(self, a: Point) -> Point: ...
    def sum(self, points: Sequence[Point]) -> Point: ...
    def equal(self, a: Point, b: Point) -> bool: ...
    def multiply(self, point: Point, scalar: int) -> Point: ...

    def multiply_each(self, points: Sequence[Point], scalar: int) -> tuple[Point, ...]:
        """The same scalar times every point. Cheap for small ones of either sign."""

    def multiply_pairs(self, points: Sequence[Point], scalars: Sequence[int]) -> tuple[Point, ...]:
        """Each point times its own scalar. ValueError for unequal lengths."""

    def msm(self, points: Sequence[Point], scalars: Sequence[int]) -> Point:
        """The sum of scalars[i] * points[i]; the identity for empty input. ValueError for unequal lengths."""

    def msm_each(self, points: Sequence[Point], rows: Sequence[Sequence[int]]) -> tuple[Point, ...]:
        """One sum for each row of scalars, over the same points; a row may be shorter than `points`."""

    def fixed_base(self, point: Point) -> FixedBase[Point]:
        """Prepare a point that will be multiplied often. Costs some milliseconds and about a megabyte."""

    def hash_to_curve(self, message: bytes, dst: bytes) -> Point:
        """RFC 9380, suite BLS12381G1_XMD:SHA-256_SSWU_RO_ or its G2 counterpart, with this tag."""

    def hash_to_curve_each(self, messages: Sequence[bytes], dst: bytes) -> tuple[Point, ...]: ...


class Toeplitz(Protocol):
    """One Toeplitz matrix in G2, whose products with vectors in G1 a backend has a way of its own to compute."""

    @property
    def size(self) -> int:
        """Rows, and columns."""

    def multiply(self, vector: Sequence[G1]) -> tuple[GT, ...]:
        """As `threshold.toeplitz.ToomCook.multiply`."""


class Backend(Protocol):
    """The pairing e: G1 x G2 -> GT, with GT written multiplicatively.

    GT values are those of blst, arkworks, kilic and noble: the optimal ate pairing raised to 3(p^12-1)/r.
    """

    name: str
    g1: Group[G1]
    g2: Group[G2]

    def __hash__(self) -> int:
        return id(self)

    def prepare(self, points: Sequence[G2]) -> tuple[G2, ...]:
        """The same points, ready to be paired often. Costs up to 0.2 ms and 20 kB for each."""

    def toeplitz(self, diagonals: Sequence[G2]) -> Toeplitz | None:
        """For the entries t_(1-n)..t_(n-1). None if the backend has no better way than `threshold.toeplitz`."""

    def pairing(self, p: G1, q: G2) -> GT: ...

    def multi_pairing(self, ps: Sequence[G1], qs: Sequence[G2]) -> GT:
        """The product of e(ps[i], qs[i]), with one final exponentiation."""

    def multi_pairings(self, products: Sequence[tuple[Sequence[G1], Sequence[G2]]]) -> tuple[GT, ...]:
        """Several such products."""

    def pairing_check(self, ps: Sequence[G1], qs: Sequence[G2]) -> bool:
        """Whether that product is one."""

    def fixed_pairing(self, p: G1, q: G2) -> FixedBase[GT]:
        """Prepare e(p, q), whose powers will be asked for often."""

    def gt_one(self) -> GT: ...
    def gt_multiply(self, a: GT, b: GT) -> GT: ...
    def gt_multiply_each(self, a: Sequence[GT], b: Sequence[GT]) -> tuple[GT, ...]: ...
    def gt_inverse(self, a: GT) -> GT: ...
    def gt_power(self, a: GT, scalar: int) -> GT: ...
    def gt_power_each(self, values: Sequence[GT], scalars: Sequence[int]) -> tuple[GT, ...]: ...

    def gt_msm(self, values: Sequence[GT], scalars: Sequence[int]) -> GT:
        """The product of the powers."""

    def gt_equal(self, a: GT, b: GT) -> bool: ...

    def gt_encode(self, a: GT) -> bytes:
        """576 bytes in blst order: coefficients of w^0..w^5 over Fp2, each c0 then c1, 48 bytes big-endian."""

    def gt_encode_each(self, values: Sequence[GT]) -> tuple[bytes, ...]: ...


class OneByOneFixedBase(Generic[Point]):
    """A fixed base from a function that multiplies it."""

    def __init__(self, multiply: Callable[[int], Point]) -> None:
        self._multiply = multiply

    def __call__(self, scalar: int) -> Point:
        return self._multiply(scalar)

    def each(self, scalars: Sequence[int]) -> tuple[Point, ...]:
        return tuple(map(self._multiply, scalars))


class OneByOneGroup(Group[Point]):
    """The calls on many points, for a library that takes one at a time."""

    def decode_each(self, encoded: Sequence[bytes]) -> tuple[Point | Malformed, ...]:
        def attempt(data: bytes) -> Point | Malformed:
            try:
                return self.decode(data)
            except Malformed as error:
                return error

        return tuple(map(attempt, encoded))

    def encode_each(self, points: Sequence[Point]) -> tuple[bytes, ...]:
        return tuple(map(self.encode, points))

    def sum(self, points: Sequence[Point]) -> Point:
        return reduce(self.add, points, self.identity)

    def multiply_each(self, points: Sequence[Point], scalar: int) -> tuple[Point, ...]:
        images = [self.multiply(point, abs(scalar)) for point in points]
        return tuple(images if scalar >= 0 else map(self.negate, images))

    def multiply_pairs(self, points: Sequence[Point], scalars: Sequence[int]) -> tuple[Point, ...]:
        require_same_length(points, scalars)
        return tuple(map(self.multiply, points, scalars))

    def msm(self, points: Sequence[Point], scalars: Sequence[int]) -> Point:
        return self.sum(self.multiply_pairs(points, scalars))

    def msm_each(self, points: Sequence[Point], rows: Sequence[Sequence[int]]) -> tuple[Point, ...]:
        return tuple(self.msm(points[: len(row)], row) for row in rows)

    def fixed_base(self, point: Point) -> FixedBase[Point]:
        return OneByOneFixedBase(lambda scalar: self.multiply(point, scalar))

    def hash_to_curve_each(self, messages: Sequence[bytes], dst: bytes) -> tuple[Point, ...]:
        return tuple(self.hash_to_curve(message, dst) for message in messages)


class OneByOneBackend(Backend):
    """The calls on many values, for a library that takes one at a time."""

    def prepare(self, points: Sequence[G2]) -> tuple[G2, ...]:
        return tuple(points)

    def toeplitz(self, diagonals: Sequence[G2]) -> Toeplitz | None:
        return None

    def pairing(self, p: G1, q: G2) -> GT:
        return self.multi_pairing([p], [q])

    def fixed_pairing(self, p: G1, q: G2) -> FixedBase[GT]:
        times_p = self.g1.fixed_base(p)
        return OneByOneFixedBase(lambda scalar: self.pairing(times_p(scalar), q))

    def multi_pairings(self, products: Sequence[tuple[Sequence[G1], Sequence[G2]]]) -> tuple[GT, ...]:
        return tuple(self.multi_pairing(ps, qs) for ps, qs in products)

    def pairing_check(self, ps: Sequence[G1], qs: Sequence[G2]) -> bool:
        return self.gt_equal(self.multi_pairing(ps, qs), self.gt_one())

    def gt_multiply_each(self, a: Sequence[GT], b: Sequence[GT]) -> tuple[GT, ...]:
        require_same_length(a, b)
        return tuple(map(self.gt_multiply, a, b))

    def gt_power_each(self, values: Sequence[GT], scalars: Sequence[int]) -> tuple[GT, ...]:
        require_same_length(values, scalars)
        return tuple(map(self.gt_power, values, scalars))

    def gt_msm(self, values: Sequence[GT], scalars: Sequence[int]) -> GT:
        return reduce(self.gt_multiply, self.gt_power_each(values, scalars), self.gt_one())

    def gt_encode_each(self, values: Sequence[GT]) -> tuple[bytes, ...]:
        return tuple(map(self.gt_encode, values))


def required(point: Point | Malformed) -> Point:
    """A point that `decode_each` found good. Raises what it found otherwise."""
    if isinstance(point, Malformed):
        raise point
    return point


def decode_all(group: Group[Point], encoded: Sequence[bytes]) -> tuple[Point, ...]:
    """`decode_each` of points that must all be good. Raises Malformed for the first that is not."""
    return tuple(map(required, group.decode_each(encoded)))


def require_same_length(a: Sequence[object], b: Sequence[object]) -> None:
    """ValueError otherwise."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values but {len(b)} to go with them")
