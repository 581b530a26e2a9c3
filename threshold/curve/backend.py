"""Seam 1: what a backend of the pairing group BLS12-381 offers.

Points are opaque values of one backend and immutable; scalars are integers, reduced by the backend. Calls take whole
batches where a batch is what the schemes have, so that an accelerator can cross the language border once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NewType, Protocol, TypeVar

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

FixedBase = Callable[[int], Point]
"""Multiplies one point, chosen before, by a scalar."""


class Group(Protocol, Generic[Point]):
    """One of the two source groups, written additively."""

    name: str
    size_bytes: int
    generator: Point
    identity: Point

    def decode(self, data: bytes) -> Point:
        """Strict: compressed ZCash form, canonical, on the curve, in the subgroup, not the identity.

        Raises Malformed."""

    def encode(self, point: Point) -> bytes: ...
    def add(self, a: Point, b: Point) -> Point: ...
    def negate(self, a: Point) -> Point: ...
    def sum(self, points: Sequence[Point]) -> Point: ...
    def equal(self, a: Point, b: Point) -> bool: ...
    def multiply(self, point: Point, scalar: int) -> Point: ...

    def multiply_each(self, points: Sequence[Point], scalar: int) -> tuple[Point, ...]:
        """The same scalar times every point."""

    def msm(self, points: Sequence[Point], scalars: Sequence[int]) -> Point:
        """The sum of scalars[i] * points[i]; the identity for empty input. ValueError for unequal lengths."""

    def msm_each(self, points: Sequence[Point], rows: Sequence[Sequence[int]]) -> tuple[Point, ...]:
        """One sum for each row of scalars, over the same points; a row may be shorter than `points`."""

    def fixed_base(self, point: Point) -> FixedBase[Point]:
        """Prepare a point that will be multiplied often. Costs some milliseconds and about a megabyte."""

    def hash_to_curve(self, message: bytes, dst: bytes) -> Point:
        """RFC 9380, suite BLS12381G1_XMD:SHA-256_SSWU_RO_ or its G2 counterpart, with this tag."""


class Backend(Protocol):
    """The pairing e: G1 x G2 -> GT, with GT written multiplicatively.

    GT values are those of blst, arkworks, kilic and noble: the optimal ate pairing raised to 3(p^12-1)/r.
    """

    name: str
    g1: Group[G1]
    g2: Group[G2]

    def pairing(self, p: G1, q: G2) -> GT: ...

    def multi_pairing(self, ps: Sequence[G1], qs: Sequence[G2]) -> GT:
        """The product of e(ps[i], qs[i]), with one final exponentiation."""

    def multi_pairings(self, products: Sequence[tuple[Sequence[G1], Sequence[G2]]]) -> tuple[GT, ...]:
        """Several such products."""

    def pairing_check(self, ps: Sequence[G1], qs: Sequence[G2]) -> bool:
        """Whether that product is one."""

    def gt_one(self) -> GT: ...
    def gt_multiply(self, a: GT, b: GT) -> GT: ...
    def gt_inverse(self, a: GT) -> GT: ...
    def gt_power(self, a: GT, scalar: int) -> GT: ...
    def gt_equal(self, a: GT, b: GT) -> bool: ...

    def gt_encode(self, a: GT) -> bytes:
        """576 bytes in blst order: coefficients of w^0..w^5 over Fp2, each c0 then c1, 48 bytes big-endian."""
