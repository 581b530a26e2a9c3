"""The default backend: py_arkworks_bls12381, arkworks' BLS12-381 as a wheel.

Its traps, each covered by the contract suite: on GT `+ - neg` are field operations and the group law is `*`; GT has no
power, no inverse and no decoder; decoding accepts non-canonical infinity. Only its pairings and multi-scalar
multiplication release the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any, TypeVar, cast

import py_arkworks_bls12381 as ark

from threshold.curve.backend import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    GT,
    ORDER,
    FixedBase,
    OneByOneBackend,
    OneByOneFixedBase,
    OneByOneGroup,
    Point,
    require_same_length,
)
from threshold.curve.threads import threads
from threshold.errors import Malformed

_WINDOW_BITS = 8
_THREADS_FROM = 64
_SPREAD_FROM = 8
_SMALL = 1 << 64
_MSM_FROM = 3
"""Below this many terms separate multiplications are faster than the wheel's bucket method."""


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def _scalar(value: int) -> Any:
    return ark.Scalar.from_be_bytes((value % ORDER).to_bytes(32, "big"))


def _spread(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> tuple[_Result, ...]:
    """What `work` makes of each item, on all threads: of use where the wheel releases the interpreter lock."""
    if len(items) < _SPREAD_FROM or threads() == 1:
        return tuple(map(work, items))
    size = -(-len(items) // threads())
    parts = [items[at : at + size] for at in range(0, len(items), size)]
    with ThreadPoolExecutor(threads()) as pool:
        return tuple(result for part in pool.map(lambda part: list(map(work, part)), parts) for result in part)


class _Group(OneByOneGroup[Point]):
    def __init__(self, name: str, kind: Any, size_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self._kind = kind
        self.generator: Point = kind()
        self.identity: Point = kind.identity()

    def decode(self, data: bytes) -> Point:
        if len(data) != self.size_bytes:
            raise Malformed(f"a point of {self.name} has {self.size_bytes} bytes, not {len(data)}")
        try:
            point = self._kind.from_compressed_bytes(data)
        except ValueError as error:
            raise Malformed(
                f"not a point of {self.name}: off the curve, outside the subgroup or not canonical"
            ) from error
        if bytes(point.to_compressed_bytes()) != data:
            raise Malformed(f"non-canonical encoding of a point of {self.name}")
        if point == self.identity:
            raise Malformed(f"the identity of {self.name} is not allowed here")
        return cast(Point, point)

    def encode(self, point: Point) -> bytes:
        return bytes(cast(Any, point).to_compressed_bytes())

    def add(self, a: Any, b: Any) -> Point:
        return cast(Point, a + b)

    def negate(self, a: Any) -> Point:
        return cast(Point, -a)

    def equal(self, a: Point, b: Point) -> bool:
        return bool(a == b)

    def multiply(self, point: Any, scalar: int) -> Point:
        return cast(Point, point * _scalar(scalar))

    def multiply_each(self, points: Sequence[Any], scalar: int) -> tuple[Point, ...]:
        if len(points) < _THREADS_FROM or threads() == 1 or abs(scalar) < _SMALL:
            return super().multiply_each(points, scalar)
        k = _scalar(scalar)
        # A product of one term by the bucket method is slower than `*`, but releases the interpreter lock.
        return _spread(lambda point: cast(Point, self._kind.multiexp_unchecked([point], [k])), points)

    def msm(self, points: Sequence[Any], scalars: Sequence[int]) -> Point:
        require_same_length(points, scalars)
        if len(points) < _MSM_FROM:
            return self.sum([self.multiply(p, k) for p, k in zip(points, scalars, strict=True)])
        return cast(Point, self._kind.multiexp_unchecked(list(points), [_scalar(k) for k in scalars]))

    def msm_each(self, points: Sequence[Any], rows: Sequence[Sequence[int]]) -> tuple[Point, ...]:
        return _spread(lambda row: self.msm(points[: len(row)], row), rows)

    def fixed_base(self, point: Any) -> FixedBase[Point]:
        """Windows of 8 bits: 32 additions a product. 17 µs instead of 105 in G1; the table takes 5 ms to build."""
        rows: list[list[Any]] = []
        for _ in range(256 // _WINDOW_BITS):
            row = [self.identity, point]
            for _ in range(2, 1 << _WINDOW_BITS):
                row.append(row[-1] + point)
            rows.append(row)
            point = row[-1] + point

        def multiply(scalar: int) -> Point:
            total: Any = self.identity
            for row, digit in zip(rows, (scalar % ORDER).to_bytes(32, "little"), strict=True):
                if digit:
                    total = total + row[digit]
            return cast(Point, total)

        return OneByOneFixedBase(multiply)

    def hash_to_curve(self, message: bytes, dst: bytes) -> Point:
        return cast(Point, self._kind.hash_to_curve(message, dst))


class ArkworksBackend(OneByOneBackend):
    name = "arkworks"

    def __init__(self) -> None:
        self.g1: _Group[G1] = _Group("G1", ark.G1Point, G1_BYTES)
        self.g2: _Group[G2] = _Group("G2", ark.G2Point, G2_BYTES)

    def pairing(self, p: Any, q: Any) -> GT:
        return GT(ark.GT.pairing(p, q))

    def multi_pairing(self, ps: Sequence[Any], qs: Sequence[Any]) -> GT:
        require_same_length(ps, qs)
        if len(ps) < _THREADS_FROM:
            return GT(ark.GT.multi_pairing(list(ps), list(qs))) if ps else self.gt_one()
        size = -(-len(ps) // _SPREAD_FROM)
        parts = [(ps[at : at + size], qs[at : at + size]) for at in range(0, len(ps), size)]
        return reduce(self.gt_multiply, self.multi_pairings(parts))

    def multi_pairings(self, products: Sequence[tuple[Sequence[G1], Sequence[G2]]]) -> tuple[GT, ...]:
        return _spread(lambda product: self.multi_pairing(*product), products)

    def gt_one(self) -> GT:
        return GT(ark.GT.one())

    def gt_multiply(self, a: Any, b: Any) -> GT:
        return GT(a * b)

    def gt_inverse(self, a: GT) -> GT:
        return self.gt_power(a, ORDER - 1)

    def gt_power(self, a: Any, scalar: int) -> GT:
        """Square and multiply by windows of 4 bits: the wheel offers nothing better."""
        exponent = scalar % ORDER
        table = [ark.GT.one(), a]
        for _ in range(2, 16):
            table.append(table[-1] * a)
        result = ark.GT.one()
        for digit in f"{exponent:x}":
            for _ in range(4):
                result = result * result
            result = result * table[int(digit, 16)]
        return GT(result)

    def gt_equal(self, a: GT, b: GT) -> bool:
        return bool(a == b)

    def gt_encode(self, a: GT) -> bytes:
        # The wheel prints 12 little-endian coordinates in tower order: half j, then power i of v, then c0 and c1.
        raw = bytes.fromhex(str(a))
        coordinates = [raw[at : at + 48][::-1] for at in range(0, 576, 48)]
        return b"".join(coordinates[6 * j + 2 * i + c] for i in range(3) for j in range(2) for c in range(2))


BACKEND = ArkworksBackend()
