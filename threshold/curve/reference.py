"""The readable backend: py_ecc's optimized module. Hundreds of times slower; the second opinion in every test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, cast

from py_ecc.bls.hash_to_curve import hash_to_G1, hash_to_G2
from py_ecc.bls.point_compression import compress_G1, compress_G2, decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import (
    FQ12,
    G1 as G1_GENERATOR,
    G2 as G2_GENERATOR,
    Z1,
    Z2,
    add,
    eq,
    final_exponentiate,
    is_inf,
    multiply,
    neg,
    pairing,
)

from threshold.curve.backend import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    GT,
    ORDER,
    OneByOneBackend,
    OneByOneGroup,
    Point,
    require_same_length,
)
from threshold.errors import Malformed


class _Group(OneByOneGroup[Point]):
    def __init__(
        self,
        name: str,
        size_bytes: int,
        generator: Any,
        identity: Any,
        codec: tuple[Callable[[bytes], Any], Callable[[Any], bytes]],
        hash_function: Callable[..., Any],
    ) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.generator: Point = generator
        self.identity: Point = identity
        self._decompress, self._compress = codec
        self._hash = hash_function

    def decode(self, data: bytes) -> Point:
        if len(data) != self.size_bytes:
            raise Malformed(f"a point of {self.name} has {self.size_bytes} bytes, not {len(data)}")
        try:
            point = self._decompress(data)
        except ValueError as error:
            raise Malformed(f"not a point of {self.name}: off the curve or not canonical") from error
        if is_inf(point):
            raise Malformed(f"the identity of {self.name} is not allowed here")
        if not is_inf(multiply(point, ORDER)):
            raise Malformed(f"not a point of {self.name}: outside the subgroup")
        if self._compress(point) != data:
            raise Malformed(f"non-canonical encoding of a point of {self.name}")
        return cast(Point, point)

    def encode(self, point: Any) -> bytes:
        return self._compress(point)

    def add(self, a: Any, b: Any) -> Point:
        return cast(Point, add(a, b))

    def negate(self, a: Any) -> Point:
        return cast(Point, neg(a))

    def equal(self, a: Any, b: Any) -> bool:
        # py_ecc doubles the identity into (0, 0, 0), which its eq finds equal to every point.
        return bool(is_inf(a) == is_inf(b) and (is_inf(a) or eq(a, b)))

    def multiply(self, point: Any, scalar: int) -> Point:
        return cast(Point, multiply(point, scalar % ORDER))

    def hash_to_curve(self, message: bytes, dst: bytes) -> Point:
        return cast(Point, self._hash(message, dst, sha256))


class ReferenceBackend(OneByOneBackend):
    name = "reference"

    def __init__(self) -> None:
        self.g1: _Group[G1] = _Group("G1", G1_BYTES, G1_GENERATOR, Z1, (_decompress_g1, _compress_g1), hash_to_G1)
        self.g2: _Group[G2] = _Group("G2", G2_BYTES, G2_GENERATOR, Z2, (_decompress_g2, _compress_g2), hash_to_G2)

    def multi_pairing(self, ps: Sequence[Any], qs: Sequence[Any]) -> GT:
        require_same_length(ps, qs)
        product: Any = FQ12.one()
        for p, q in zip(ps, qs, strict=True):
            product = product * pairing(q, p, final_exponentiate=False)
        # py_ecc's reduced pairing is the shared value to the power -1/3: see gt_encode's golden test.
        return GT((final_exponentiate(product) ** 3).inv())

    def gt_one(self) -> GT:
        return GT(FQ12.one())

    def gt_multiply(self, a: Any, b: Any) -> GT:
        return GT(a * b)

    def gt_inverse(self, a: Any) -> GT:
        return GT(a.inv())

    def gt_power(self, a: Any, scalar: int) -> GT:
        return GT(a ** (scalar % ORDER))

    def gt_equal(self, a: GT, b: GT) -> bool:
        return bool(a == b)

    def gt_encode(self, a: Any) -> bytes:
        # py_ecc writes Fp12 as Fp[w]/(w^12 - 2w^6 + 2), where u = w^6 - 1.
        modulus = a.field_modulus
        c = [int(x) for x in a.coeffs]
        return b"".join(
            ((c[i] + c[i + 6]) % modulus).to_bytes(48, "big") + (c[i + 6] % modulus).to_bytes(48, "big")
            for i in range(6)
        )


def _decompress_g1(data: bytes) -> Any:
    return decompress_G1(int.from_bytes(data, "big"))


def _compress_g1(point: Any) -> bytes:
    return int(compress_G1(point)).to_bytes(48, "big")


def _decompress_g2(data: bytes) -> Any:
    return decompress_G2((int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")))


def _compress_g2(point: Any) -> bytes:
    high, low = compress_G2(point)
    return int(high).to_bytes(48, "big") + int(low).to_bytes(48, "big")


BACKEND = ReferenceBackend()
