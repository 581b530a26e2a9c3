"""What each operation of a curve backend costs, on points and scalars drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property, partial
from operator import call
from typing import Any, Generic

from encmempool.bench.records import Case
from encmempool.bench.sampling import Work
from threshold import entropy
from threshold.curve import G1, G2, GT, ORDER, Group, load_backend, set_threads, threads
from threshold.curve.backend import Point

_DST = b"ENCMEMPOOL-BENCH"
_ROWS = 8
_SCALAR = ORDER // 3


@contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """Backends use so many threads inside; None changes nothing."""
    before = threads()
    set_threads(before if count is None else count)
    try:
        yield
    finally:
        set_threads(before)


def single_cases(backend: str, *, seed: int) -> tuple[Case, ...]:
    """Operations on one element or two."""
    it = load_backend(backend)
    g1, g2 = _Points(it.g1, "g1", 1, seed), _Points(it.g2, "g2", 1, seed)

    def case(step: str, operation: Callable[..., object], values: int) -> Case:
        return _case("gt", step, operation, lambda: (it.pairing(g1.points[0], g2.points[0]),) * values)

    return (
        *_on_one(g1),
        *_on_one(g2),
        # A backend may put off the final exponentiation until a value is encoded: pairings are timed with that.
        _case("gt", "pairing", lambda p, q: it.gt_encode(it.pairing(p, q)), lambda: (g1.points[0], g2.points[0])),
        _case("gt", "fixed_pairing", call, lambda: (it.fixed_pairing(g1.points[0], g2.points[0]), _SCALAR)),
        case("multiply", it.gt_multiply, 2),
        case("power", lambda value: it.gt_power(value, _SCALAR), 1),
        case("inverse", it.gt_inverse, 1),
        case("encode", it.gt_encode, 1),
    )


def sized_cases(backend: str, *, size: int, seed: int) -> tuple[Case, ...]:
    """Operations on `size` elements."""
    it = load_backend(backend)
    g1, g2 = _Points(it.g1, "g1", size, seed), _Points(it.g2, "g2", size, seed)

    def pairs(points: Sequence[G2]) -> tuple[Any, ...]:
        return ([((p,), (q,)) for p, q in zip(g1.points, points, strict=True)],)

    @cache
    def values() -> tuple[GT, ...]:
        return it.multi_pairings(*pairs(g2.points))

    def encoded_pairings(products: Sequence[tuple[Sequence[G1], Sequence[G2]]]) -> tuple[bytes, ...]:
        return it.gt_encode_each(it.multi_pairings(products))

    def case(step: str, operation: Callable[..., object], inputs: Callable[[], tuple[object, ...]]) -> Case:
        return _case("gt", step, operation, inputs, size)

    return (
        *_on_many(g1),
        *_on_many(g2),
        case("multi_pairing", lambda ps, qs: it.gt_encode(it.multi_pairing(ps, qs)), lambda: (g1.points, g2.points)),
        case("multi_pairings", encoded_pairings, lambda: pairs(g2.points)),
        case("multi_pairings_prepared", encoded_pairings, lambda: pairs(it.prepare(g2.points))),
        case("multiply_each", it.gt_multiply_each, lambda: (values(), values())),
        case("power_each", it.gt_power_each, lambda: (values(), g1.scalars)),
        case("msm", it.gt_msm, lambda: (values(), g1.scalars)),
        case("encode_each", it.gt_encode_each, lambda: (values(),)),
    )


class _Points(Generic[Point]):
    """Points and scalars of one group, drawn when first needed."""

    def __init__(self, group: Group[Point], label: str, size: int, seed: int) -> None:
        self.group, self.label, self.size = group, label, size
        self._random = entropy.deterministic(f"encmempool bench {seed} {label}".encode())

    @cached_property
    def points(self) -> tuple[Point, ...]:
        return self.group.fixed_base(self.group.generator).each(self.scalars)

    @cached_property
    def scalars(self) -> tuple[int, ...]:
        return tuple(entropy.scalar(self._random, ORDER) for _ in range(self.size))


def _on_one(drawn: _Points[Point]) -> tuple[Case, ...]:
    group, case = drawn.group, partial(_case, drawn.label)
    return (
        case("decode", group.decode, lambda: (group.encode(drawn.points[0]),)),
        case("encode", group.encode, lambda: (drawn.points[0],)),
        case("add", group.add, lambda: (drawn.points[0], group.generator)),
        case("multiply", group.multiply, lambda: (drawn.points[0], _SCALAR)),
        case("fixed_base", group.fixed_base, lambda: (drawn.points[0],)),
        case("fixed_base_multiply", call, lambda: (group.fixed_base(drawn.points[0]), _SCALAR)),
        case("hash_to_curve", group.hash_to_curve, lambda: (bytes(32), _DST)),
    )


def _on_many(drawn: _Points[Point]) -> tuple[Case, ...]:
    group, size, case = drawn.group, drawn.size, partial(_case, drawn.label)

    def rows() -> tuple[object, ...]:
        scalars = drawn.scalars
        return drawn.points, [scalars[at:] + scalars[:at] for at in range(min(_ROWS, size))]

    def messages() -> tuple[object, ...]:
        return [number.to_bytes(32, "big") for number in range(size)], _DST

    return (
        case("decode_each", group.decode_each, lambda: (group.encode_each(drawn.points),), size),
        case("encode_each", group.encode_each, lambda: (drawn.points,), size),
        case("sum", group.sum, lambda: (drawn.points,), size),
        case("multiply_each", group.multiply_each, lambda: (drawn.points, _SCALAR), size),
        case("multiply_pairs", group.multiply_pairs, lambda: (drawn.points, drawn.scalars), size),
        case(
            "fixed_base_each", lambda base: base.each(drawn.scalars), lambda: (group.fixed_base(group.generator),), size
        ),
        case("msm", group.msm, lambda: (drawn.points, drawn.scalars), size),
        case(f"msm_each_{_ROWS}", group.msm_each, rows, size),
        case("hash_to_curve_each", group.hash_to_curve_each, messages, size),
    )


def _case(
    group: str,
    step: str,
    operation: Callable[..., object],
    inputs: Callable[[], tuple[object, ...]],
    size: int | None = None,
) -> Case:
    def prepare() -> Work:
        return partial(operation, *inputs())

    params = {} if size is None else {"N": size}
    return Case(group=group, step=step, params=params, named=tuple(params), prepare=prepare)
