"""One contract for every backend, and their agreement. The reference backend is slow, so its cases are few."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from py_ecc.bls.point_compression import compress_G1, compress_G2, modular_squareroot_in_FQ2
from py_ecc.optimized_bls12_381 import FQ, FQ2, add, b, b2, field_modulus, is_inf, is_on_curve, multiply

from threshold.curve import BACKENDS, DEFAULT_BACKEND, GT_BYTES, INSTALLED, ORDER, Backend, Group, load_backend
from threshold.errors import Malformed

G1_COFACTOR = 0x396C8C005555E1568C00AAAB0000AAAB
DST = b"test-BLS12381_XMD:SHA-256_SSWU_RO_"
SCALARS = (0, 1, 2, ORDER - 1, ORDER, ORDER + 1, -1, -5, 1 << 300)

# e(g1, g2) as blst, arkworks, kilic and noble have it: w^0..w^5, each c0 then c1.
GOLDEN_PAIRING = bytes.fromhex(
    "1250ebd871fc0a92a7b2d83168d0d727272d441befa15c503dd8e90ce98db3e7b6d194f60839c508a84305aaca1789b6"
    "089a1c5b46e5110b86750ec6a532348868a84045483c92b7af5af689452eafabf1a8943e50439f1d59882a98eaa0170f"
    "19f26337d205fb469cd6bd15c3d5a04dc88784fbb3d0b2dbdea54d43b2b73f2cbb12d58386a8703e0f948226e47ee89d"
    "06fba23eb7c5af0d9f80940ca771b6ffd5857baaf222eb95a7d2809d61bfe02e1bfd1b68ff02f0b8102ae1c2d5d5ab1a"
    "1368bb445c7c2d209703f239689ce34c0378a68e72a6b3b216da0e22a5031b54ddff57309396b38c881c4c849ec23e87"
    "193502b86edb8857c273fa075a50512937e0794e1e65a7617c90d8bd66065b1fffe51d7a579973b1315021ec3c19934f"
    "11b8b424cd48bf38fcef68083b0b0ec5c81a93b330ee1a677d0d15ff7b984e8978ef48881e32fac91b93b47333e2ba57"
    "03350f55a7aefcd3c31b4fcb6ce5771cc6a0e9786ab5973320c806ad360829107ba810c5a09ffdd9be2291a0c25a99a2"
    "01b2f522473d171391125ba84dc4007cfbf2f8da752f7c74185203fcca589ac719c34dffbbaad8431dad1c1fb597aaa5"
    "018107154f25a764bd3c79937a45b84546da634b8f6be14a8061e55cceba478b23f7dacaa35c8ca78beae9624045b4b6"
    "04c581234d086a9902249b64728ffd21a189e87935a954051c7cdba7b3872629a4fafc05066245cb9108f0242d0fe3ef"
    "0f41e58663bf08cf068672cbd01a7ec73baca4d72ca93544deff686bfd6df543d48eaa24afe47e1efde449383b676631"
)


def drawn(*labels: object) -> int:
    """A reproducible scalar of full size."""
    return int.from_bytes(sha256(repr(labels).encode()).digest(), "big") % ORDER


@pytest.fixture(params=INSTALLED)
def backend(request: pytest.FixtureRequest) -> Backend:
    return load_backend(request.param)


@pytest.fixture(params=[(name, group) for name in INSTALLED for group in ("g1", "g2")], ids="-".join)
def group(request: pytest.FixtureRequest) -> Group:
    name, which = request.param
    return getattr(load_backend(name), which)


def times(group: Group, scalar: int) -> Any:
    return group.multiply(group.generator, scalar)


# --- bad points, computed with py_ecc on raw coordinates --------------------------------------------------------------


def g1_bytes(point: Any) -> bytes:
    return int(compress_G1(point)).to_bytes(48, "big")


def g2_bytes(point: Any) -> bytes:
    return b"".join(int(half).to_bytes(48, "big") for half in compress_G2(point))


def g1_on_curve() -> Any:
    for x in count(1):
        square = (x**3 + b.n) % field_modulus
        y = pow(square, (field_modulus + 1) // 4, field_modulus)
        if y * y % field_modulus == square:
            return FQ(x), FQ(y), FQ(1)


def g2_on_curve() -> Any:
    for x in count(1):
        y = modular_squareroot_in_FQ2(FQ2([x, 0]) ** 3 + b2)
        if y is not None:
            return FQ2([x, 0]), y, FQ2.one()


def g1_torsion(prime: int) -> Any:
    """A point of order 3 or 11: the cofactor of G1 is 3 * 11^2 * ..., and (0, 2) has order 3."""
    if prime == 3:
        return FQ(0), FQ(2), FQ(1)
    point = multiply(g1_on_curve(), G1_COFACTOR * ORDER // 121)
    while not is_inf(multiply(point, prime)):
        point = multiply(point, prime)
    return point


def off_curve(group: Group) -> bytes:
    for x in count(1):
        if group.size_bytes == 48:
            square = (x**3 + b.n) % field_modulus
            bad = pow(square, (field_modulus - 1) // 2, field_modulus) == field_modulus - 1
        else:
            bad = modular_squareroot_in_FQ2(FQ2([x, 0]) ** 3 + b2) is None
        if bad:
            return bytes([0x80]) + x.to_bytes(group.size_bytes - 1, "big")
    raise AssertionError


def outside_subgroup(group: Group) -> bytes:
    return g1_bytes(g1_on_curve()) if group.size_bytes == 48 else g2_bytes(g2_on_curve())


def aliased(group: Group, half: int) -> bytes:
    """A point of the subgroup with one coordinate written as x + p: the same point to a reader that reduces."""
    for k in range(1, 200):
        data = group.encode(times(group, k))
        at = 48 * half
        flags = data[at] & 0xE0
        x = int.from_bytes(data[at : at + 48], "big") & ((1 << 381) - 1)
        if x + field_modulus < 1 << 381:
            raised = bytearray((x + field_modulus).to_bytes(48, "big"))
            raised[0] |= flags
            return data[:at] + bytes(raised) + data[at + 48 :]
    raise AssertionError("no small coordinate among the first multiples")


def changed_first(data: bytes, mask: int) -> bytes:
    return bytes([data[0] ^ mask]) + data[1:]


def infinity(group: Group, first: int, *tail: int) -> bytes:
    return bytes([first]) + bytes(group.size_bytes - 1 - len(tail)) + bytes(tail)


def test_bad_points_are_what_their_names_say():
    outside = g1_on_curve()
    assert is_on_curve(outside, b)
    assert not is_inf(multiply(outside, ORDER))
    assert is_on_curve(g2_on_curve(), b2)
    assert not is_inf(multiply(g2_on_curve(), ORDER))
    for prime in (3, 11):
        torsion = g1_torsion(prime)
        assert is_on_curve(torsion, b)
        assert is_inf(multiply(torsion, prime))
        assert not is_inf(torsion)


BAD_ENCODINGS = {
    "empty": lambda group: b"",
    "one byte short": lambda group: group.encode(group.generator)[:-1],
    "one byte long": lambda group: group.encode(group.generator) + b"\0",
    "no compression flag": lambda group: changed_first(group.encode(group.generator), 0x80),
    "infinity flag on a point": lambda group: changed_first(group.encode(group.generator), 0x40),
    "identity": lambda group: infinity(group, 0xC0),
    "identity with a last byte": lambda group: infinity(group, 0xC0, 1),
    "identity with the sign flag": lambda group: infinity(group, 0xE0),
    "identity with a second byte": lambda group: bytes([0xC0, 1]) + bytes(group.size_bytes - 2),
    "identity with x in the first byte": lambda group: infinity(group, 0xC1),
    "identity without compression flag": lambda group: infinity(group, 0x40),
    "x of zero": lambda group: infinity(group, 0x80),
    "all ones": lambda group: b"\xff" * group.size_bytes,
    "off the curve": off_curve,
    "outside the subgroup": outside_subgroup,
    "x equal to p": lambda group: changed_first(field_modulus.to_bytes(group.size_bytes, "big"), 0x80),
    "x raised by p": lambda group: aliased(group, 0),
}


@pytest.mark.parametrize("fault", BAD_ENCODINGS)
def test_decode_refuses_when_the_encoding_has_a_fault(group, fault):
    data = BAD_ENCODINGS[fault](group)
    with pytest.raises(Malformed):
        group.decode(data)


@pytest.mark.parametrize("name", INSTALLED)
def test_decode_refuses_when_the_real_half_of_a_g2_coordinate_is_not_reduced(name):
    group = load_backend(name).g2
    with pytest.raises(Malformed):
        group.decode(aliased(group, 1))


@pytest.mark.parametrize("flag", [0x80, 0x40, 0x20])
@pytest.mark.parametrize("name", INSTALLED)
def test_decode_refuses_when_the_real_half_of_a_g2_coordinate_carries_a_flag(name, flag):
    group = load_backend(name).g2
    data = bytearray(group.encode(group.generator))
    data[48] |= flag
    with pytest.raises(Malformed):
        group.decode(bytes(data))


@pytest.mark.parametrize("prime", [3, 11])
@pytest.mark.parametrize("name", INSTALLED)
def test_decode_refuses_when_a_point_has_a_small_order_component(name, prime):
    group = load_backend(name).g1
    torsion = g1_torsion(prime)
    with pytest.raises(Malformed):
        group.decode(g1_bytes(torsion))
    with pytest.raises(Malformed):
        group.decode(g1_bytes(add(multiply(load_backend("reference").g1.generator, 5), torsion)))


def test_decode_names_the_fault_when_the_identity_is_not_canonical(group):
    for fault, word in (("identity", "identity"), ("identity with a last byte", "canonical")):
        with pytest.raises(Malformed, match=word):
            group.decode(BAD_ENCODINGS[fault](group))


# --- groups -----------------------------------------------------------------------------------------------------------


def test_decode_inverts_encode(group):
    for k in (1, 2, ORDER - 1, drawn("decode")):
        point = times(group, k)
        data = group.encode(point)
        assert len(data) == group.size_bytes
        assert group.equal(group.decode(data), point)
        assert group.encode(group.decode(data)) == data


def test_decode_gives_the_negative_when_the_sign_flag_is_flipped(group):
    flipped = changed_first(group.encode(group.generator), 0x20)
    assert group.equal(group.decode(flipped), group.negate(group.generator))


def test_generator_has_the_group_order(group):
    assert not group.equal(group.generator, group.identity)
    almost = group.multiply(group.generator, ORDER - 1)
    assert group.equal(group.add(almost, group.generator), group.identity)


def test_addition_obeys_the_group_laws(group):
    p, q, s = (times(group, drawn("laws", i)) for i in range(3))
    assert group.equal(group.add(p, q), group.add(q, p))
    assert group.equal(group.add(group.add(p, q), s), group.add(p, group.add(q, s)))
    assert group.equal(group.add(p, group.identity), p)
    assert group.equal(group.add(group.identity, p), p)
    assert group.equal(group.add(p, group.negate(p)), group.identity)
    assert group.equal(group.add(p, p), group.multiply(p, 2))
    assert group.equal(group.negate(group.identity), group.identity)


def test_equal_tells_points_apart(group):
    p = times(group, 5)
    assert not group.equal(p, group.negate(p))
    assert not group.equal(p, group.identity)
    assert not group.equal(group.identity, p)


@pytest.mark.parametrize("scalar", [0, 1, 2, 4, 5, ORDER - 1])
def test_multiples_of_the_identity_equal_the_identity_only(group, scalar):
    point = group.multiply(group.identity, scalar)
    assert group.equal(point, group.identity)
    assert not group.equal(point, group.generator)
    assert not group.equal(group.generator, point)


@pytest.mark.parametrize("scalar", SCALARS)
def test_multiply_reduces_the_scalar(group, scalar):
    expected = group.identity
    for bit in f"{scalar % ORDER:b}":
        expected = group.add(expected, expected)
        if bit == "1":
            expected = group.add(expected, group.generator)
    assert group.equal(times(group, scalar), expected)


def test_multiply_distributes(group):
    a, c = drawn("a"), drawn("c")
    assert group.equal(group.add(times(group, a), times(group, c)), times(group, a + c))
    assert group.equal(group.multiply(times(group, a), c), times(group, a * c))


def test_multiply_each_equals_multiply(group):
    points = [times(group, k) for k in (1, 7, 11)] + [group.identity]
    scalar = drawn("each")
    images = group.multiply_each(points, scalar)
    assert len(images) == 4
    assert all(group.equal(i, group.multiply(p, scalar)) for i, p in zip(images, points, strict=True))
    assert group.multiply_each([], 5) == ()


@pytest.mark.parametrize("scalar", [0, 1, 255, 256, 1 << 248, ORDER - 1, ORDER, -1, drawn("fixed")])
def test_fixed_base_equals_multiply(group, scalar, fixed_bases):
    key = (id(group), group.name)
    if key not in fixed_bases:
        point = times(group, 9)
        fixed_bases[key] = (point, group.fixed_base(point))
    point, product = fixed_bases[key]
    assert group.equal(product(scalar), group.multiply(point, scalar))


@pytest.fixture(scope="module")
def fixed_bases() -> dict[tuple[int, str], tuple[Any, Any]]:
    """Tables cost milliseconds: one for each group."""
    return {}


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5])
def test_msm_equals_the_sum_of_products(group, size):
    points = [times(group, k + 2) for k in range(size)]
    scalars = [drawn("msm", k) - (ORDER if k % 2 else 0) for k in range(size)]
    expected = group.identity
    for point, scalar in zip(points, scalars, strict=True):
        expected = group.add(expected, group.multiply(point, scalar))
    assert group.equal(group.msm(points, scalars), expected)


def test_msm_bears_zeros_repetitions_and_the_identity(group):
    p = times(group, 3)
    total = group.msm([p, p, group.identity, p, group.negate(p)], [0, 5, 9, ORDER, 5])
    assert group.equal(total, group.identity)
    assert group.equal(group.msm([p, p, p, group.identity], [1, 1, 1, 1]), times(group, 9))


@pytest.mark.parametrize(("points", "scalars"), [(1, 0), (0, 1), (3, 2), (4, 5)])
def test_msm_refuses_when_lengths_differ(group, points, scalars):
    with pytest.raises(ValueError):
        group.msm([group.generator] * points, [1] * scalars)


def test_sum_adds_all(group):
    assert group.equal(group.sum([]), group.identity)
    assert group.equal(group.sum([times(group, k) for k in (1, 2, 3)]), times(group, 6))


def test_hash_to_curve_depends_on_message_and_tag(group):
    points = [group.hash_to_curve(m, d) for m, d in ((b"a", DST), (b"b", DST), (b"a", DST + b"x"))]
    encoded = {group.encode(point) for point in points}
    assert len(encoded) == 3
    for data in encoded:
        group.decode(data)


# --- many at once -----------------------------------------------------------------------------------------------------

COUNTS = (0, 1, 2, 9)


def several(group: Group, count: int) -> list[Any]:
    """Points with the identity among them."""
    return [times(group, k * k) for k in range(1, count)] + [group.identity] * (count > 0)


@pytest.mark.parametrize("count", COUNTS)
def test_decode_each_gives_each_point_or_its_fault(group, count):
    good = [group.encode(times(group, k + 1)) for k in range(count)]
    points = group.decode_each(good)
    assert group.encode_each(points) == tuple(good)
    faults = [BAD_ENCODINGS[fault](group) for fault in [*BAD_ENCODINGS, "identity"][: 2 * count]]
    mixed = group.decode_each([data for pair in zip(faults, good + good, strict=True) for data in pair])
    for data, fault in zip(faults, mixed[::2], strict=True):
        with pytest.raises(Malformed) as alone:
            group.decode(data)
        assert str(fault) == str(alone.value)
    assert group.encode_each(mixed[1::2]) == tuple(good + good)


@pytest.mark.parametrize("count", COUNTS)
def test_multiply_pairs_equals_multiply(group, count):
    points, scalars = several(group, count), [drawn("pairs", k) >> 30 * k for k in range(count)]
    expected = [group.multiply(p, k) for p, k in zip(points, scalars, strict=True)]
    assert group.encode_each(group.multiply_pairs(points, scalars)) == group.encode_each(expected)


@pytest.mark.parametrize("count", COUNTS)
def test_msm_each_equals_msm(group, count):
    points = several(group, count)
    rows = [[drawn("row", row, k) for k in range(row % (count + 1))] for row in range(3)] + [[-1] * count]
    expected = [group.msm(points[: len(row)], row) for row in rows]
    assert group.encode_each(group.msm_each(points, rows)) == group.encode_each(expected)


@pytest.mark.parametrize("count", COUNTS)
def test_fixed_base_and_hash_to_curve_of_each_equal_those_of_one(group, count, fixed_bases):
    point, product = fixed_bases.setdefault(
        (id(group), group.name), (times(group, 9), group.fixed_base(times(group, 9)))
    )
    scalars = [drawn("base", k) for k in range(count)]
    assert group.encode_each(product.each(scalars)) == tuple(group.encode(group.multiply(point, k)) for k in scalars)
    messages = [bytes([k]) * k for k in range(count)]
    expected = tuple(group.encode(group.hash_to_curve(message, DST)) for message in messages)
    assert group.encode_each(group.hash_to_curve_each(messages, DST)) == expected


def test_calls_on_pairs_of_lists_refuse_unequal_lengths(backend):
    p, one = backend.g1.generator, backend.gt_one()
    for call in (
        lambda: backend.g1.multiply_pairs([p, p], [1]),
        lambda: backend.g2.multiply_pairs([], [1]),
        lambda: backend.gt_multiply_each([one], []),
        lambda: backend.gt_power_each([one], [1, 2]),
        lambda: backend.gt_msm([one], []),
    ):
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize("count", COUNTS)
def test_gt_calls_on_many_equal_those_on_one(backend, count):
    e = backend.pairing(backend.g1.generator, backend.g2.generator)
    encode, one = backend.gt_encode, backend.gt_one()
    backend.gt_encode(e)
    values = [backend.multi_pairing([times(backend.g1, k + 2)], [backend.g2.generator]) for k in range(count)]
    scalars = [drawn("gt", k) >> 40 * k for k in range(count)]
    powers = backend.gt_power_each(values, scalars)
    # Products of values that were encoded before and of such that were not.
    products = backend.gt_multiply_each(values, [e if k % 2 else one for k in range(count)])
    assert backend.gt_encode_each(products) == tuple(encode(backend.gt_power(e, k + 2 + k % 2)) for k in range(count))
    assert backend.gt_encode_each(powers) == tuple(
        encode(backend.gt_power(e, (k + 2) * scalar)) for k, scalar in enumerate(scalars)
    )
    total = sum((k + 2) * scalar for k, scalar in enumerate(scalars))
    assert backend.gt_equal(backend.gt_msm(values, scalars), backend.gt_power(e, total))


@pytest.mark.parametrize("lengths", [(), (1,), (0, 1), (2, 0, 3), (1,) * 9, (20,), (3, 9, 1, 1, 2, 0)])
def test_multi_pairings_equal_multi_pairing(backend, lengths):
    if backend.name == "reference" and sum(lengths) > 6:
        pytest.skip("the reference backend takes half a second for each pairing")
    g1, g2 = backend.g1, backend.g2
    pairs = [
        (g1.identity if k % 7 == 6 else times(g1, k + 2), g2.identity if k % 8 == 7 else times(g2, 3 * k + 1))
        for k in range(20)
    ]
    e = backend.pairing(g1.generator, g2.generator)
    products = [tuple(zip(*pairs[:length], strict=True)) or ((), ()) for length in lengths]
    expected = [sum((k + 2) * (3 * k + 1) for k in range(length) if k % 7 != 6 and k % 8 != 7) for length in lengths]
    prepared = [(ps, backend.prepare(qs)) for ps, qs in products]
    for given in (products, prepared, [pair[at % 2] for at, pair in enumerate(zip(products, prepared, strict=True))]):
        values = backend.multi_pairings(given)
        assert backend.gt_encode_each(values) == tuple(backend.gt_encode(backend.gt_power(e, k)) for k in expected)


# --- pairing ----------------------------------------------------------------------------------------------------------


def test_pairing_of_the_generators_has_the_shared_value(backend):
    assert backend.gt_encode(backend.pairing(backend.g1.generator, backend.g2.generator)) == GOLDEN_PAIRING


def test_pairing_is_bilinear(backend):
    a, c = drawn("left"), drawn("right")
    p, q = backend.g1.generator, backend.g2.generator
    left = backend.pairing(backend.g1.multiply(p, a), backend.g2.multiply(q, c))
    assert backend.gt_equal(left, backend.pairing(backend.g1.multiply(p, a * c), q))
    assert backend.gt_equal(left, backend.gt_power(backend.pairing(p, q), a * c))
    assert not backend.gt_equal(left, backend.gt_one())


def test_pairing_is_one_when_a_side_is_the_identity(backend):
    assert backend.gt_equal(backend.pairing(backend.g1.identity, backend.g2.generator), backend.gt_one())
    assert backend.gt_equal(backend.pairing(backend.g1.generator, backend.g2.identity), backend.gt_one())


def test_multi_pairing_is_the_product(backend):
    ps = [times(backend.g1, k) for k in (2, 3)]
    qs = [times(backend.g2, k) for k in (5, 7)]
    expected = backend.gt_power(backend.pairing(backend.g1.generator, backend.g2.generator), 2 * 5 + 3 * 7)
    assert backend.gt_equal(backend.multi_pairing(ps, qs), expected)


def test_multi_pairing_is_one_when_empty(backend):
    assert backend.gt_equal(backend.multi_pairing([], []), backend.gt_one())
    assert backend.pairing_check([], [])


def test_multi_pairing_refuses_when_lengths_differ(backend):
    with pytest.raises(ValueError):
        backend.multi_pairing([backend.g1.generator], [])
    with pytest.raises(ValueError):
        backend.pairing_check([], [backend.g2.generator])


def test_pairing_check_decides(backend):
    ps = [times(backend.g1, 6), backend.g1.negate(times(backend.g1, 2))]
    assert backend.pairing_check(ps, [backend.g2.generator, times(backend.g2, 3)])
    assert not backend.pairing_check(ps, [backend.g2.generator, times(backend.g2, 4)])


def test_gt_is_a_group_of_the_order(backend):
    e = backend.pairing(backend.g1.generator, backend.g2.generator)
    one = backend.gt_one()
    assert backend.gt_equal(backend.gt_multiply(e, one), e)
    assert backend.gt_equal(backend.gt_multiply(e, backend.gt_inverse(e)), one)
    assert backend.gt_equal(backend.gt_multiply(backend.gt_power(e, ORDER - 1), e), one)
    assert backend.gt_equal(backend.gt_inverse(one), one)


@pytest.mark.parametrize("scalar", [0, 1, 2, 15, 16, 17, 256, ORDER - 1, ORDER, ORDER + 1, -1])
def test_gt_power_equals_the_pairing_of_the_multiple(backend, scalar):
    e = backend.pairing(backend.g1.generator, backend.g2.generator)
    expected = backend.pairing(times(backend.g1, scalar), backend.g2.generator)
    assert backend.gt_equal(backend.gt_power(e, scalar), expected)


def test_gt_encode_of_one_is_the_unit_coordinate(backend):
    assert backend.gt_encode(backend.gt_one()) == bytes(47) + b"\1" + bytes(GT_BYTES - 48)


# --- agreement --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["g1", "g2"])
@pytest.mark.parametrize("seed", range(3))
def test_backends_agree_on_points(which, seed):
    k, m = drawn("agree", seed), drawn("other", seed)
    message = seed.to_bytes(1, "big") * seed
    values = set()
    for name in INSTALLED:
        group = getattr(load_backend(name), which)
        data = group.encode(group.msm([group.generator, times(group, 5), times(group, 6)], [k, m, -k]))
        values.add(
            (
                group.encode(times(group, k)),
                data,
                group.encode(group.negate(group.decode(data))),
                group.encode(group.hash_to_curve(message, DST)),
                group.encode(group.identity),
                group.encode(group.fixed_base(group.generator)(k)),
            )
        )
    assert len(values) == 1


def test_backends_agree_on_pairings():
    values = set()
    for name in INSTALLED:
        backend = load_backend(name)
        p, q = times(backend.g1, drawn("p")), times(backend.g2, drawn("q"))
        value = backend.multi_pairing([p, backend.g1.generator], [q, times(backend.g2, 3)])
        values.add(
            (
                backend.gt_encode(value),
                backend.gt_encode(backend.gt_power(value, drawn("e"))),
                backend.gt_encode(backend.gt_inverse(value)),
                backend.gt_encode(backend.gt_multiply(value, value)),
            )
        )
    assert len(values) == 1


def test_load_backend_refuses_when_the_name_is_unknown():
    with pytest.raises(ValueError, match="native or arkworks or reference"):
        load_backend("blst")


def test_load_backend_gives_one_instance():
    assert load_backend() is load_backend(DEFAULT_BACKEND)
    assert tuple(load_backend(name).name for name in INSTALLED) == INSTALLED
    assert set(INSTALLED) <= set(BACKENDS)
