"""The fast backend: our own extension `encmempool_native`, on blst and, where the processor has it, AVX512-IFMA.

It is a distribution of its own, built from threshold/native by `make native`. Values of GT stay before the hard part of
the final exponentiation, which is done when one is encoded or compared, for many at once.

Not constant-time. Lists cross the language border once a call, and long calls leave the interpreter lock free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, cast

import encmempool_native as native

from threshold.curve.backend import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    GT,
    GT_BYTES,
    ORDER,
    SCALAR_BYTES,
    FixedBase,
    Point,
    Toeplitz,
    require_same_length,
    required,
)
from threshold.curve.threads import threads
from threshold.errors import BackendUnavailable, Malformed

INTERFACE = 1
"""What this file expects of the extension."""

if getattr(native, "INTERFACE", None) != INTERFACE:
    raise BackendUnavailable(
        "the installed native backend does not fit this version: run `make native`, which builds it again"
    )


def _scalars(values: Sequence[int]) -> bytes:
    return b"".join([(value % ORDER).to_bytes(SCALAR_BYTES, "big") for value in values])


def _pieces(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple([data[at : at + size] for at in range(0, len(data), size)])


class _FixedBase(Generic[Point]):
    def __init__(self, table: Any) -> None:
        self._table = table

    def __call__(self, scalar: int) -> Point:
        return cast(Point, self._table.multiply(_scalars((scalar,)), 1)[0])

    def each(self, scalars: Sequence[int]) -> tuple[Point, ...]:
        return tuple(self._table.multiply(_scalars(scalars), threads()))


class _FixedPairing:
    """Powers of one finished value, which need no final exponentiation."""

    def __init__(self, value: GT) -> None:
        self._value = value

    def __call__(self, scalar: int) -> GT:
        return self.each((scalar,))[0]

    def each(self, scalars: Sequence[int]) -> tuple[GT, ...]:
        return tuple(native.gt_power([self._value] * len(scalars), _scalars(scalars), threads()))


class _Group(Generic[Point]):
    def __init__(self, name: str, size_bytes: int) -> None:
        def call(function: str) -> Callable[..., Any]:
            return cast(Callable[..., Any], getattr(native, f"{name.lower()}_{function}"))

        self.name = name
        self.size_bytes = size_bytes
        self.generator: Point = call("generator")()
        self.identity: Point = call("identity")()
        self._decode, self._encode = call("decode"), call("encode")
        self._add, self._negate, self._sum, self._equal = call("add"), call("negate"), call("sum"), call("equal")
        self._multiply_one, self._multiply = call("multiply_one"), call("multiply")
        self._msm, self._hash, self._transform = call("msm"), call("hash"), call("transform")
        self._fixed_base = getattr(native, f"{name}FixedBase")

    def decode(self, data: bytes) -> Point:
        return required(self.decode_each((data,))[0])

    def decode_each(self, encoded: Sequence[bytes]) -> tuple[Point | Malformed, ...]:
        fitting = [data for data in encoded if len(data) == self.size_bytes]
        points = iter(self._decode(b"".join(fitting), threads()))
        found = [next(points) if len(data) == self.size_bytes else None for data in encoded]
        return tuple([point or self._refusal(data) for point, data in zip(found, encoded, strict=True)])

    def _refusal(self, data: bytes) -> Malformed:
        if len(data) != self.size_bytes:
            return Malformed(f"a point of {self.name} has {self.size_bytes} bytes, not {len(data)}")
        if data == b"\xc0" + bytes(self.size_bytes - 1):
            return Malformed(f"the identity of {self.name} is not allowed here")
        return Malformed(f"not a point of {self.name}: off the curve, outside the subgroup or not canonical")

    def encode(self, point: Point) -> bytes:
        return cast(bytes, self._encode((point,)))

    def encode_each(self, points: Sequence[Point]) -> tuple[bytes, ...]:
        return _pieces(self._encode(points), self.size_bytes)

    def add(self, a: Point, b: Point) -> Point:
        return cast(Point, self._add(a, b))

    def negate(self, a: Point) -> Point:
        return cast(Point, self._negate(a))

    def sum(self, points: Sequence[Point]) -> Point:
        return cast(Point, self._sum(points))

    def equal(self, a: Point, b: Point) -> bool:
        return cast(bool, self._equal(a, b))

    def multiply(self, point: Point, scalar: int) -> Point:
        return cast(Point, self._multiply_one(point, _scalars((scalar,))))

    def multiply_each(self, points: Sequence[Point], scalar: int) -> tuple[Point, ...]:
        images = self._multiply(points, _scalars((abs(scalar),)) * len(points), threads())
        return tuple(images if scalar >= 0 else map(self._negate, images))

    def multiply_pairs(self, points: Sequence[Point], scalars: Sequence[int]) -> tuple[Point, ...]:
        require_same_length(points, scalars)
        return tuple(self._multiply(points, _scalars(scalars), threads()))

    def msm(self, points: Sequence[Point], scalars: Sequence[int]) -> Point:
        require_same_length(points, scalars)
        return self.msm_each(points, (scalars,))[0]

    def msm_each(self, points: Sequence[Point], rows: Sequence[Sequence[int]]) -> tuple[Point, ...]:
        return tuple(self._msm(points, [_scalars(row) for row in rows], threads()))

    def fixed_base(self, point: Point) -> FixedBase[Point]:
        return _FixedBase(self._fixed_base(point))

    def hash_to_curve(self, message: bytes, dst: bytes) -> Point:
        return self.hash_to_curve_each((message,), dst)[0]

    def hash_to_curve_each(self, messages: Sequence[bytes], dst: bytes) -> tuple[Point, ...]:
        return tuple(self._hash(messages, dst, threads()))

    def transform(self, points: Sequence[Point], *, inverse: bool = False) -> tuple[Point, ...]:
        """The sums over j of w^(jk) points[j] for every k, for the root of unity w that `fr_transform` takes."""
        return tuple(self._transform(points, inverse, threads()))


class _Toeplitz:
    def __init__(self, diagonals: Sequence[G2]) -> None:
        self._matrix = native.Toeplitz(diagonals, threads())
        self.size: int = self._matrix.size

    def multiply(self, vector: Sequence[G1]) -> tuple[GT, ...]:
        return tuple(self._matrix.multiply(vector, threads()))


class NativeBackend:
    name = "native"

    @property
    def engine(self) -> str:
        """Which instructions it uses on this processor."""
        return cast(str, native.engine())

    def __init__(self) -> None:
        self.g1: _Group[G1] = _Group("G1", G1_BYTES)
        self.g2: _Group[G2] = _Group("G2", G2_BYTES)

    def prepare(self, points: Sequence[G2]) -> tuple[G2, ...]:
        return tuple(native.g2_prepare(points, threads()))

    def toeplitz(self, diagonals: Sequence[G2]) -> Toeplitz:
        return _Toeplitz(diagonals)

    def pairing(self, p: G1, q: G2) -> GT:
        return self.multi_pairing((p,), (q,))

    def multi_pairing(self, ps: Sequence[G1], qs: Sequence[G2]) -> GT:
        return self.multi_pairings(((ps, qs),))[0]

    def multi_pairings(self, products: Sequence[tuple[Sequence[G1], Sequence[G2]]]) -> tuple[GT, ...]:
        return tuple(native.pairings(products, threads()))

    def pairing_check(self, ps: Sequence[G1], qs: Sequence[G2]) -> bool:
        return self.gt_equal(self.multi_pairing(ps, qs), self.gt_one())

    def fixed_pairing(self, p: G1, q: G2) -> FixedBase[GT]:
        return _FixedPairing(GT(native.gt_finish((self.pairing(p, q),), threads())[0]))

    def gt_one(self) -> GT:
        return GT(native.gt_one())

    def gt_multiply(self, a: GT, b: GT) -> GT:
        return self.gt_multiply_each((a,), (b,))[0]

    def gt_multiply_each(self, a: Sequence[GT], b: Sequence[GT]) -> tuple[GT, ...]:
        return tuple(native.gt_multiply(a, b, threads()))

    def gt_inverse(self, a: GT) -> GT:
        return GT(native.gt_invert(a))

    def gt_power(self, a: GT, scalar: int) -> GT:
        return self.gt_power_each((a,), (scalar,))[0]

    def gt_power_each(self, values: Sequence[GT], scalars: Sequence[int]) -> tuple[GT, ...]:
        require_same_length(values, scalars)
        return tuple(native.gt_power(values, _scalars(scalars), threads()))

    def gt_msm(self, values: Sequence[GT], scalars: Sequence[int]) -> GT:
        require_same_length(values, scalars)
        return GT(native.gt_msm(values, _scalars(scalars), threads()))

    def gt_equal(self, a: GT, b: GT) -> bool:
        return cast(bool, native.gt_equal(a, b))

    def gt_encode(self, a: GT) -> bytes:
        return cast(bytes, native.gt_encode((a,), threads()))

    def gt_encode_each(self, values: Sequence[GT]) -> tuple[bytes, ...]:
        return _pieces(native.gt_encode(values, threads()), GT_BYTES)

    def gt_transform(self, values: Sequence[GT], *, inverse: bool = False) -> tuple[GT, ...]:
        """As `transform` of a group, written multiplicatively."""
        return tuple(native.gt_transform(values, inverse, threads()))

    def fr_transform(self, values: Sequence[int], *, inverse: bool = False) -> tuple[int, ...]:
        """The sums over j of w^(jk) values[j] mod r for every k, for a root of unity w whose order is their number, a
        power of two; with `inverse`, of 1/w and divided by the order. ValueError for other numbers."""
        data = native.fr_transform(_scalars(values), inverse)
        return tuple([int.from_bytes(piece, "big") for piece in _pieces(data, SCALAR_BYTES)])


BACKEND = NativeBackend()
