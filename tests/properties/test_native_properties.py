"""The native backend, with every engine of this processor, against arkworks and py_ecc.

Points of small order: E(Fp) has such of 3 and 11, and none of order 2, since its number of points is odd; so is that of
the twist, whose least are of order 13.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import cache
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from py_ecc.bls.point_compression import compress_G1, compress_G2, modular_squareroot_in_FQ2
from py_ecc.optimized_bls12_381 import FQ, FQ2, add, b, b2, field_modulus, is_inf, multiply

from threshold.curve import INSTALLED, ORDER, Group, load_backend, set_threads, threads
from threshold.errors import Malformed

native = pytest.importorskip("encmempool_native", reason="the native backend is not installed")

G1_COFACTOR = 0x396C8C005555E1568C00AAAB0000AAAB
G2_COFACTOR = int(
    "5d543a95414e7f1091d50792876a202cd91de4547085abaa68a205b2e5a7ddfa628f1cb4d9e82ef21537e293a6691ae1616ec6e786f0c70cf1c3"
    "8e31c7238e5",
    16,
)
FAST = ("native", "arkworks")
EDGES = (0, 1, 2, 3, 15, 16, 1 << 64, (1 << 127) - 1, 1 << 127, 1 << 128, 1 << 254, ORDER - 2, ORDER - 1, ORDER, -1)

scalars = st.sampled_from(EDGES) | st.integers(0, ORDER - 1) | st.integers(0, 1 << 128)
groups = st.sampled_from(["g1", "g2"])


@pytest.fixture(autouse=True, params=native.engines())
def _engine(request: pytest.FixtureRequest) -> Iterator[None]:
    before = native.engine()
    native.use_engine(request.param)
    yield
    native.use_engine(before)


def both(which: str) -> tuple[Group[Any], Group[Any]]:
    ours, theirs = (getattr(load_backend(name), which) for name in FAST)
    return ours, theirs


def points(group: Group[Any], multiples: list[int]) -> list[Any]:
    return [group.multiply(group.generator, k) for k in multiples]


@cache
def small_order_point(which: str, prime: int) -> Any:
    """Of that order exactly, from the first x on the curve that has such a component."""
    cofactor = G1_COFACTOR if which == "g1" else G2_COFACTOR
    while cofactor % prime == 0:
        cofactor //= prime
    for x in count(1):
        point = on_curve(which, x)
        if point is None:
            continue
        point = multiply(point, cofactor * ORDER)
        while not is_inf(point):
            if is_inf(multiply(point, prime)):
                return point
            point = multiply(point, prime)
    raise AssertionError


def on_curve(which: str, x: int) -> Any:
    if which == "g1":
        square = (FQ(x) ** 3 + b).n
        root = pow(square, (field_modulus + 1) // 4, field_modulus)
        return (FQ(x), FQ(root), FQ(1)) if root * root % field_modulus == square else None
    base = FQ2([x, 1])
    root = modular_squareroot_in_FQ2(base**3 + b2)
    return None if root is None else (base, root, FQ2([1, 0]))


def compressed(which: str, point: Any) -> bytes:
    if which == "g1":
        return int(compress_G1(point)).to_bytes(48, "big")
    return b"".join(int(half).to_bytes(48, "big") for half in compress_G2(point))


@cache
def small_order(which: str, prime: int) -> bytes:
    return compressed(which, small_order_point(which, prime))


@cache
def tainted(which: str, prime: int) -> bytes:
    """A point of the subgroup plus one of small order."""
    generator = getattr(load_backend("reference"), which).generator
    return compressed(which, add(multiply(generator, 5), small_order_point(which, prime)))


def encodings(which: str) -> st.SearchStrategy[bytes]:
    """Good ones, such with flipped bits, coordinates from p on, small orders, noise."""
    group = getattr(load_backend("arkworks"), which)
    size = group.size_bytes
    good = st.integers(1, 1 << 40).map(lambda k: group.encode(group.multiply(group.generator, k)))
    primes = (3, 11) if which == "g1" else (13, 23)
    flipped = st.tuples(good, st.integers(0, 8 * size - 1)).map(
        lambda pair: (int.from_bytes(pair[0], "big") ^ 1 << pair[1]).to_bytes(size, "big")
    )
    near = st.tuples(st.integers(-3, 3), st.sampled_from([0x80, 0xA0, 0xC0, 0xE0, 0])).map(
        lambda pair: raised(field_modulus + pair[0], pair[1], size)
    )
    zeros = st.sampled_from([0x80, 0xA0, 0xC0, 0xE0, 0x40, 0]).map(lambda flags: bytes([flags]) + bytes(size - 1))
    orders = st.sampled_from([make(which, prime) for make in (small_order, tainted) for prime in primes])
    return good | flipped | near | zeros | orders | st.binary(min_size=size, max_size=size) | st.binary(max_size=100)


def raised(x: int, flags: int, size: int) -> bytes:
    data = bytearray(x.to_bytes(48, "big") + bytes(size - 48))
    data[0] |= flags
    return bytes(data)


@settings(deadline=None)
@given(st.data(), groups, st.integers(1, 3))
def test_the_same_encodings_are_points(data: st.DataObject, which: str, count: int) -> None:
    ours, theirs = both(which)
    given_ = data.draw(st.lists(encodings(which), max_size=20))
    set_threads(count)
    mine, others = ours.decode_each(given_), theirs.decode_each(given_)
    assert [isinstance(point, Malformed) for point in mine] == [isinstance(point, Malformed) for point in others]
    good = [(point, data) for point, data in zip(mine, given_, strict=True) if not isinstance(point, Malformed)]
    assert ours.encode_each([point for point, _ in good]) == tuple(data for _, data in good)


@settings(deadline=None, max_examples=20)
@given(groups, st.data())
def test_py_ecc_finds_the_same_encodings_to_be_points(which: str, data: st.DataObject) -> None:
    ours, slow = both(which)[0], getattr(load_backend("reference"), which)
    encoded = data.draw(encodings(which))
    (mine,), (theirs,) = ours.decode_each([encoded]), slow.decode_each([encoded])
    assert isinstance(mine, Malformed) == isinstance(theirs, Malformed)


@settings(deadline=None)
@given(groups, st.lists(st.tuples(scalars, scalars), max_size=40))
def test_multiples_and_sums_are_the_same(which: str, pairs: list[tuple[int, int]]) -> None:
    multiples, factors = [k for k, _ in pairs], [k for _, k in pairs]
    results = []
    for group in both(which):
        at = points(group, multiples)
        results.append(
            (
                group.encode_each(group.multiply_pairs(at, factors)),
                group.encode(group.msm(at, factors)),
                group.encode(group.sum(at)),
                group.encode_each(group.multiply_each(at, factors[0] if factors else 1)),
                group.encode_each(group.msm_each(at, [factors[:k] for k in (0, 1, len(factors))])) if pairs else (),
            )
        )
    assert results[0] == results[1]


@settings(deadline=None, max_examples=15)
@given(groups, st.lists(st.tuples(scalars, scalars), min_size=1, max_size=3))
def test_sums_are_those_of_py_ecc(which: str, pairs: list[tuple[int, int]]) -> None:
    values = set()
    for group in (both(which)[0], getattr(load_backend("reference"), which)):
        values.add(group.encode(group.msm(points(group, [k for k, _ in pairs]), [k for _, k in pairs])))
    assert len(values) == 1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.tuples(scalars, scalars), max_size=12), max_size=12), st.data())
def test_products_of_pairings_and_powers_are_the_same(products: list[list[tuple[int, int]]], data: Any) -> None:
    exponents = [data.draw(scalars) for _ in products]
    results = []
    for name in FAST:
        backend = load_backend(name)
        values = backend.multi_pairings(
            [
                (points(backend.g1, [p for p, _ in product]), points(backend.g2, [q for _, q in product]))
                for product in products
            ]
        )
        results.append(
            (
                backend.gt_encode_each(values),
                backend.gt_encode_each(backend.gt_power_each(values, exponents)),
                backend.gt_encode_each(backend.gt_multiply_each(values, values[::-1])),
                backend.gt_encode(backend.gt_msm(values, exponents)),
            )
        )
    assert results[0] == results[1]


@pytest.mark.parametrize("lengths", [(40, 1, 0, 33, 2, 2), (70,), (33, 34, 35, 36, 37), (1,) * 20])
def test_products_of_unlike_lengths_are_the_same(lengths: tuple[int, ...]) -> None:
    results = []
    for name in FAST:
        backend = load_backend(name)
        ps, qs = (points(group, [k * k for k in range(70)]) for group in (backend.g1, backend.g2))
        results.append(
            backend.gt_encode_each(backend.multi_pairings([(ps[:n], qs[-n:] if n else ()) for n in lengths]))
        )
    assert results[0] == results[1]


@pytest.mark.parametrize("count", [1, 2, 9, 40])
@pytest.mark.parametrize("size", [3, 40, 200])
def test_sums_are_the_same_on_any_number_of_threads(count: int, size: int) -> None:
    set_threads(count)
    values = set()
    for group in both("g1"):
        at = points(group, [3 * k + 1 for k in range(size)])
        values.add(group.encode(group.msm(at, [pow(7, k, ORDER) for k in range(size)])))
    assert len(values) == 1


@pytest.mark.parametrize("edge", EDGES)
def test_pairing_is_that_of_py_ecc(edge: int) -> None:
    values = set()
    for name in ("native", "reference"):
        backend = load_backend(name)
        value = backend.pairing(backend.g1.multiply(backend.g1.generator, edge), backend.g2.generator)
        values.add((backend.gt_encode(value), backend.gt_encode(backend.gt_power(value, 5))))
    assert len(values) == 1


@settings(deadline=None, max_examples=30)
@given(groups, st.lists(st.binary(max_size=200), max_size=10), st.binary(min_size=1, max_size=255))
def test_hashes_to_the_curve_are_the_same(which: str, messages: list[bytes], dst: bytes) -> None:
    ours, theirs = both(which)
    assert ours.encode_each(ours.hash_to_curve_each(messages, dst)) == theirs.encode_each(
        theirs.hash_to_curve_each(messages, dst)
    )


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 5), st.data(), st.booleans())
def test_transforms_are_sums_over_a_root_of_unity(log: int, data: st.DataObject, inverse: bool) -> None:
    size = 1 << log
    backend: Any = load_backend("native")
    values = [data.draw(scalars) % ORDER for _ in range(size)]
    (root,) = backend.fr_transform([0, 1, *[0] * (size - 2)])[1:2] if size > 1 else (1,)
    assert pow(root, size, ORDER) == 1
    assert size == 1 or pow(root, size // 2, ORDER) == ORDER - 1
    w, scale = (pow(root, -1, ORDER), pow(size, -1, ORDER)) if inverse else (root, 1)
    wanted = [sum(v * pow(w, j * k, ORDER) for j, v in enumerate(values)) * scale % ORDER for k in range(size)]
    assert list(backend.fr_transform(values, inverse=inverse)) == wanted
    for group in (backend.g1, backend.g2):
        images = group.transform(points(group, values), inverse=inverse)
        assert group.encode_each(images) == group.encode_each(points(group, wanted))
    e = backend.pairing(backend.g1.generator, backend.g2.generator)
    in_gt = backend.gt_transform(backend.gt_power_each([e] * size, values), inverse=inverse)
    assert backend.gt_encode_each(in_gt) == backend.gt_encode_each(backend.gt_power_each([e] * size, wanted))


@pytest.mark.parametrize("size", [0, 3, 6])
def test_transforms_of_other_lengths_are_refused(size: int) -> None:
    backend: Any = load_backend("native")
    for call in (
        lambda: backend.fr_transform([1] * size),
        lambda: backend.g1.transform([backend.g1.generator] * size),
        lambda: backend.g2.transform([backend.g2.generator] * size),
        lambda: backend.gt_transform([backend.gt_one()] * size),
    ):
        with pytest.raises(ValueError, match="power of two"):
            call()


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = threads()
    yield
    set_threads(before)


def test_native_is_installed_where_it_is_tested() -> None:
    assert "native" in INSTALLED


# --- buffers and lengths ----------------------------------------------------------------------------------------------

OBJECTS = st.sampled_from(
    [native.g1_generator(), native.g2_generator(), native.gt_one(), native.g1_identity(), None, 7, b"", "text"]
)
ARGUMENTS = (
    st.lists(OBJECTS, max_size=5)
    | st.binary(max_size=200)
    | st.integers(0, 6).map(lambda n: bytes(32 * n))
    | st.integers(0, 3).map(lambda n: b"\xff" * 32 * n)
    | st.integers(-1, 5)
    | st.booleans()
    | st.lists(st.binary(max_size=64), max_size=4)
    | st.lists(st.tuples(st.lists(OBJECTS, max_size=3), st.lists(OBJECTS, max_size=3)), max_size=3)
    | OBJECTS
)
CALLS = sorted(
    name
    for name in dir(native)
    if callable(getattr(native, name)) and not name.startswith("_") and name != "use_engine"
)


@settings(deadline=None, max_examples=100)
@pytest.mark.parametrize("name", CALLS)
@given(st.lists(ARGUMENTS, max_size=4))
def test_arguments_of_any_kind_give_a_result_or_a_python_error(name: str, arguments: list[Any]) -> None:
    try:
        result = getattr(native, name)(*arguments)
        if name in ("G1FixedBase", "G2FixedBase", "Toeplitz"):
            result.multiply(arguments[0], 1)
    except (TypeError, ValueError, OverflowError):
        pass


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("g1_decode", (bytes(47), 1)),
        ("g2_decode", (bytes(97), 1)),
        ("g1_multiply", ([native.g1_generator()], bytes(31), 1)),
        ("g1_multiply", ([native.g1_generator()], bytes(64), 1)),
        ("g1_multiply_one", (native.g1_generator(), b"\xff" * 32)),
        ("g1_msm", ([native.g1_generator()], [bytes(64)], 1)),
        ("g2_msm", ([], [bytes(32)], 1)),
        ("g1_msm", ([native.g1_generator()], [bytes(33)], 1)),
        ("gt_power", ([native.gt_one()], b"", 1)),
        ("gt_multiply", ([native.gt_one()], [], 1)),
        ("pairings", ([([native.g1_generator()], [])], 1)),
        ("Toeplitz", ([], 1)),
        ("Toeplitz", ([native.g2_generator()] * 2, 1)),
        ("g1_decode", (bytes(48), 0)),
        ("g1_decode", (bytes(48), 1 << 20)),
        ("fr_transform", (bytes(96), False)),
        ("use_engine", ("abacus",)),
    ],
)
def test_wrong_lengths_and_values_are_value_errors(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError):
        getattr(native, name)(*arguments)


class Liar(list):
    def __len__(self) -> int:
        return 1 << 62


def test_lists_that_lie_about_their_length_are_taken_by_their_items() -> None:
    twice = (2).to_bytes(32, "big") * 3
    (first, *_) = native.g1_multiply(Liar([native.g1_generator()] * 3), twice, 1)
    assert first == native.g1_add(native.g1_generator(), native.g1_generator())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child_of_a_process_with_threads_can_go_on() -> None:
    arguments = ([native.g1_generator()] * 9, bytes(32 * 9))
    native.g1_multiply(*arguments, 2)
    child = os.fork()
    if child == 0:
        native.g1_multiply(*arguments, 2)
        native.g1_multiply(*arguments, 1)
        os._exit(0)
    for _ in range(200):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise AssertionError("the child waits for threads that it does not have")
    assert status == 0


def test_values_compare_by_what_they_are() -> None:
    one, g1, g2 = native.gt_one(), native.g1_generator(), native.g2_generator()
    (e, f) = native.pairings([([g1], [g2]), ([g1, g1], [g2, g2])], 1)
    (finished,) = native.gt_finish([e], 1)
    assert one == native.gt_one()
    assert e == finished == native.gt_multiply([f], [native.gt_invert(e)], 1)[0]
    assert e != f
    assert finished != one
    assert (g1 == g1, g1 == native.g1_identity(), g2 == g2, g2 == native.g2_identity()) == (True, False, True, False)


def test_vector_longer_than_the_matrix_is_a_value_error() -> None:
    matrix = native.Toeplitz([native.g2_generator()] * 3, 1)
    with pytest.raises(ValueError, match="too many"):
        matrix.multiply([native.g1_generator()] * 3, 1)
