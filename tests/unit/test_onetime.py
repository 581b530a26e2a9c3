"""Strict Ed25519, against RFC 8032's examples, public vectors and a slow verifier written from the RFC's formulas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha512
from itertools import count
from pathlib import Path

import pytest
from Crypto.Signature import eddsa

from threshold import onetime
from threshold.entropy import deterministic

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int]
"""Projective (X, Y, Z) of the curve -x^2 + y^2 = 1 + d x^2 y^2."""

SEED = bytes(range(32))
MESSAGE = b"message"


def add(a: Point, b: Point) -> Point:
    """The complete addition of twisted Edwards curves: no special cases."""
    (x1, y1, z1), (x2, y2, z2) = a, b
    z, x, y = z1 * z2 % P, x1 * x2 % P, y1 * y2 % P
    square, product = z * z % P, D * x * y % P
    low, high = square - product, square + product
    cross = (x1 + y1) * (x2 + y2) - x - y
    return z * low * cross % P, z * high * (y + x) % P, low * high % P


def times(scalar: int, point: Point) -> Point:
    total = (0, 1, 1)
    for bit in f"{scalar:b}":
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def same(a: Point, b: Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def recovered(y: int, sign: int) -> Point | None:
    """RFC 8032, section 5.1.3, for y already reduced; the sign of x = 0 is ignored."""
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x + u) % P == 0:
        x = x * ROOT_OF_MINUS_ONE % P
    if (v * x * x - u) % P:
        return None
    return (x if x % 2 == sign else -x % P), y, 1


def encoded(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decoded(data: bytes) -> Point | None:
    """Only what `encoded` makes."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    point = recovered(y, sign) if y < P else None
    return point if point is not None and encoded(point) == data else None


BASE = recovered(4 * pow(5, -1, P) % P, 0)
assert BASE is not None


def challenge(commitment: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(commitment + public + message).digest(), "little") % L


def slowly_verified(public: bytes, message: bytes, signature: bytes) -> bool:
    """The rules as the module states them, each in its own line, with arithmetic of our own."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = decoded(public), decoded(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    if same(times(8, a), (0, 1, 1)) or same(times(8, r), (0, 1, 1)):
        return False
    return same(times(s, BASE), add(r, times(challenge(signature[:32], public, message), a)))


def accepted_by_library(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        eddsa.new(eddsa.import_public_key(public), "rfc8032").verify(message, signature)
    except ValueError:
        return False
    return True


def torsion() -> Point:
    """A point of order 8."""
    for y in count(2):
        point = recovered(y, 0)
        if point is not None and not same(times(4 * L, point), (0, 1, 1)):
            return times(L, point)
    raise AssertionError


TORSION = torsion()
SMALL_ORDER = tuple(times(k, TORSION) for k in range(8))
SECRET, NONCE = 0x1234567890ABCDEF << 150, 0xFEDCBA0987654321 << 140
PUBLIC, COMMITMENT = times(SECRET, BASE), times(NONCE, BASE)


def forged(
    *, public: bytes, commitment: bytes, secret: int, nonce: int, residue: int | None = None
) -> tuple[bytes, bytes, bytes]:
    """Key, message and a signature whose S is nonce + k secret, with k = residue (mod 8) if that is given."""
    for attempt in count():
        message = b"attempt %d" % attempt
        k = challenge(commitment, public, message)
        if residue is None or k % 8 == residue:
            return public, message, commitment + ((nonce + k * secret) % L).to_bytes(32, "little")
    raise AssertionError


def honest(seed: bytes = SEED, message: bytes = MESSAGE) -> tuple[bytes, bytes, bytes]:
    return onetime.public_key(seed), message, onetime.sign(seed, message)


def with_response(response: int) -> tuple[bytes, bytes, bytes]:
    public, message, signature = honest()
    return public, message, signature[:32] + response.to_bytes(32, "little")


def number(data: bytes) -> int:
    return int.from_bytes(data, "little")


SIGN = 1 << 255
IDENTITY = encoded((0, 1, 1))
ON_THE_CURVE = next(y for y in count(2) if recovered(y, 0) is not None)
OFF_THE_CURVE = next(y for y in count(2) if recovered(y, 0) is None)
NON_CANONICAL = {
    "identity with the sign bit": 1 | SIGN,
    "order 2 with the sign bit": (P - 1) | SIGN,
    "identity as p+1": P + 1,
    "identity as p+1 with the sign bit": (P + 1) | SIGN,
    "order 4 as p": P,
    "order 4 as p with the sign bit": P | SIGN,
    "point of large order with y not reduced": P + ON_THE_CURVE,
}
assert P + ON_THE_CURVE < SIGN

FAULTS = {
    "S + L": with_response(number(honest()[2][32:]) + L),
    "S = 2^256 - 1": with_response(2**256 - 1),
    "another S": with_response(number(honest()[2][32:]) ^ 1),
    "S = L, which is 0, under a key of small order": (encoded(TORSION), MESSAGE, IDENTITY + L.to_bytes(32, "little")),
    **{
        f"A of small order {k}": forged(
            public=encoded(point), commitment=encoded(COMMITMENT), secret=0, nonce=NONCE, residue=0
        )
        for k, point in enumerate(SMALL_ORDER)
    },
    **{
        # [S]B = R + [k](A + T) for R = [-k]T, with k = 1 (mod 8)
        f"R of small order {k}": forged(
            public=encoded(add(PUBLIC, point)), commitment=encoded(times(7, point)), secret=SECRET, nonce=0, residue=1
        )
        for k, point in enumerate(SMALL_ORDER)
    },
    **{
        f"A is the {name}": forged(
            public=y.to_bytes(32, "little"), commitment=encoded(COMMITMENT), secret=0, nonce=NONCE, residue=0
        )
        for name, y in NON_CANONICAL.items()
    },
    **{
        f"R is the {name}": forged(
            public=encoded(PUBLIC), commitment=y.to_bytes(32, "little"), secret=SECRET, nonce=0, residue=0
        )
        for name, y in NON_CANONICAL.items()
    },
    "A off the curve": (OFF_THE_CURVE.to_bytes(32, "little"), *honest()[1:]),
    "R off the curve": (*honest()[:2], OFF_THE_CURVE.to_bytes(32, "little") + honest()[2][32:]),
    **{
        # [S]B - [k](A + T) = [-k]T, which the library's arithmetic takes for no point if its order is 2 or 4
        f"S that leaves a point of small order {k}": forged(
            public=encoded(add(PUBLIC, TORSION)), commitment=encoded(COMMITMENT), secret=SECRET, nonce=0, residue=k
        )
        for k in range(8)
    },
    "A of mixed order, where only [8] of the equation holds": forged(
        public=encoded(add(PUBLIC, TORSION)), commitment=encoded(COMMITMENT), secret=SECRET, nonce=NONCE, residue=1
    ),
    "R of mixed order, where only [8] of the equation holds": forged(
        public=encoded(PUBLIC), commitment=encoded(add(COMMITMENT, TORSION)), secret=SECRET, nonce=NONCE
    ),
}
MIXED_ORDER = {
    "A": forged(
        public=encoded(add(PUBLIC, TORSION)), commitment=encoded(COMMITMENT), secret=SECRET, nonce=NONCE, residue=0
    ),
    "A and R": forged(
        public=encoded(add(PUBLIC, TORSION)),
        commitment=encoded(add(COMMITMENT, times(7, TORSION))),
        secret=SECRET,
        nonce=NONCE,
        residue=1,
    ),
}
RFC_8032 = {
    "test 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    "test 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    "test 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
}


@pytest.mark.parametrize("name", RFC_8032)
def test_signature_equals_the_example_of_rfc_8032(name):
    seed, public, message, signature = map(bytes.fromhex, RFC_8032[name])
    assert onetime.public_key(seed) == public
    assert onetime.sign(seed, message) == signature
    assert onetime.verify(public, message, signature)
    assert slowly_verified(public, message, signature)


def test_signature_is_accepted_when_honest():
    random = deterministic(b"honest")
    for size in range(20):
        public, message, signature = honest(random(32), random(size))
        assert (len(public), len(signature)) == (onetime.PUBLIC_KEY_BYTES, onetime.SIGNATURE_BYTES)
        assert onetime.verify(public, message, signature)
        assert slowly_verified(public, message, signature)


def test_signature_is_refused_when_any_byte_of_it_or_of_the_key_or_message_is_changed():
    public, message, signature = honest()
    changed = [(flipped, message, signature) for flipped in flips(public)]
    changed += [(public, flipped, signature) for flipped in flips(message)]
    changed += [(public, message, flipped) for flipped in flips(signature)]
    assert not any(onetime.verify(*case) for case in changed)


def flips(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]


def test_signature_is_refused_when_it_or_the_key_has_another_length():
    public, message, signature = honest()
    for wrong in (public[:-1], public + b"\0", public + b"\1", b""):
        assert not onetime.verify(wrong, message, signature)
    for wrong in (signature[:-1], signature + b"\0", b""):
        assert not onetime.verify(public, message, wrong)


@pytest.mark.parametrize("fault", FAULTS)
def test_signature_is_refused_when_it_breaks_a_rule(fault):
    """FPT-2."""
    assert not slowly_verified(*FAULTS[fault])
    assert not onetime.verify(*FAULTS[fault])


@pytest.mark.parametrize("part", MIXED_ORDER)
def test_signature_is_accepted_when_a_point_has_mixed_order_and_the_equation_holds(part):
    """As other strict verifiers do: what is refused is a small order, not every point outside the subgroup."""
    assert slowly_verified(*MIXED_ORDER[part])
    assert onetime.verify(*MIXED_ORDER[part])


def test_verifier_of_the_library_is_too_lenient_to_be_used():
    lenient = {fault for fault, case in FAULTS.items() if accepted_by_library(*case)}
    assert {
        "S = L, which is 0, under a key of small order",
        "A of small order 0",
        "A of small order 1",
        "R of small order 0",
        "A is the identity with the sign bit",
        "A of mixed order, where only [8] of the equation holds",
        "R of mixed order, where only [8] of the equation holds",
    } <= lenient


def test_points_of_small_order_are_the_eight_that_exist():
    assert {number(encoded(point)) & (SIGN - 1) for point in SMALL_ORDER} == onetime._SMALL_ORDER_Y
    assert len({encoded(point) for point in SMALL_ORDER}) == 8


def test_verdicts_agree_with_the_vectors_of_wycheproof(vectors: Path):
    path = vectors / "wycheproof" / "ed25519_test.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there: it is testvectors_v1/ed25519_test.json of C2SP/wycheproof")
    for group in json.loads(path.read_text())["testGroups"]:
        for test in group["tests"]:
            case = tuple(map(bytes.fromhex, (group["publicKey"]["pk"], test["msg"], test["sig"])))
            verdict = onetime.verify(*case)
            assert verdict == slowly_verified(*case), test["tcId"]
            if test["result"] != "acceptable":
                assert verdict == (test["result"] == "valid"), (test["tcId"], test["comment"])
