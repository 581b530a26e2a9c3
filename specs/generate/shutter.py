"""Inputs for specs/shutter.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from spec.notation import (
    G2_GENERATOR,
    GF,
    GREATER,
    P,
    R,
    Scalar,
    add,
    decode_g1,
    decode_g2,
    draw_scalar,
    encode_g1,
    encode_g2,
    encode_gt,
    multiply,
    negate,
    pairing,
    to_hex,
)
from spec.shutter import (
    combine,
    encode_scalar,
    encrypt,
    eon_public_key,
    first_part,
    gnosis_preimage,
    h1,
    h2,
    h3,
    key_share,
    masked,
    xor,
)

from specs.generate.case import Case, Json, labelled
from specs.generate.ibe import G2_IDENTITY_BYTES, off, off_g2_curve, order_13, twisted
from specs.generate.tdh2 import IDENTITY_BYTES, beyond_p, has_small_x, off_curve

KEYPERS, THRESHOLD = 4, 3
PREFIX, SENDER = labelled("shutter/prefix")(32), labelled("shutter/sender")(20)
PREIMAGE = gnosis_preimage(PREFIX, SENDER)
OTHER_PREIMAGE = gnosis_preimage(labelled("shutter/other prefix")(32), SENDER)
SIGMA = labelled("shutter/sigma")(32)
PLAINTEXT = b"a transaction"


@cache
def polynomials() -> tuple[tuple[Scalar, ...], ...]:
    """Of three dealers."""
    random = labelled("shutter/dealers")
    return tuple(tuple(draw_scalar(random) for _ in range(THRESHOLD)) for _ in range(3))


def evaluated(x: int) -> Scalar:
    """The dealers' sum at x: the eon secret, and keyper i's secret at i + 1."""
    return sum((c * GF(x) ** k for dealt in polynomials() for k, c in enumerate(dealt)), GF(0))


def gammas_of(coefficients: Sequence[Scalar]) -> bytes:
    return b"".join(encode_g2(multiply(G2_GENERATOR, c)) for c in coefficients)


@cache
def gammas() -> tuple[bytes, ...]:
    return tuple(map(gammas_of, polynomials()))


@cache
def public() -> tuple[bytes, list[bytes]]:
    key, shares = eon_public_key(gammas(), KEYPERS, THRESHOLD)
    return key, shares


@cache
def key(preimage: bytes = PREIMAGE) -> bytes:
    return combine([(keyper, share(keyper, preimage)) for keyper in range(THRESHOLD)], THRESHOLD)


@cache
def share(keyper: int, preimage: bytes = PREIMAGE) -> bytes:
    return key_share(evaluated(keyper + 1), preimage)


@cache
def message(plaintext: bytes = PLAINTEXT, sigma: bytes = SIGMA, preimage: bytes = PREIMAGE) -> bytes:
    return encrypt(decode_g2(public()[0]), preimage, plaintext, sigma)


def cases() -> Iterator[Case]:
    yield from identities()
    yield from encryptions()
    yield from decryptions()
    yield from unreadable()
    yield from unopened()
    yield from paddings()
    yield from keys()
    yield from shares()
    yield from combinations()
    yield from committees()
    yield from scalars()


# --- identities ------------------------------------------------------------------------------------------------------


def identities() -> Iterator[Case]:
    parts = {"prefix": to_hex(PREFIX), "sender": to_hex(SENDER)}
    yield Case(
        operation="gnosis_preimage",
        title="on Gnosis Chain",
        requirements=("SHU-14",),
        input=parts,
        refused=False,
    )
    for title, trigger in (("a time trigger", b""), ("an event trigger", labelled("shutter/trigger")(200))):
        yield Case(
            operation="service_preimage",
            title=title,
            requirements=("SHU-14",),
            input=parts | {"trigger": to_hex(trigger)},
            refused=False,
        )
    for title, preimage in (
        ("52 bytes, as on Gnosis Chain", PREIMAGE),
        ("32 bytes, as at the Shutter API", PREFIX),
        ("no bytes", b""),
        ("as many bytes as Keccak-256 takes in one block", bytes(136)),
    ):
        yield Case(
            operation="identity",
            title=title,
            requirements=("SHU-10",),
            input={"preimage": to_hex(preimage)},
            refused=False,
        )


# --- messages --------------------------------------------------------------------------------------------------------


LENGTHS = (
    ("an empty plaintext: one block of padding", b""),
    ("a short plaintext", PLAINTEXT),
    ("31 bytes: one byte of padding", labelled("shutter/31")(31)),
    ("32 bytes: a block of padding", labelled("shutter/32")(32)),
    ("33 bytes", labelled("shutter/33")(33)),
    ("8192 bytes: the counter of blocks grows to two bytes", bytes(8192)),
)


def encryptions() -> Iterator[Case]:
    given = {"eon_key": to_hex(public()[0]), "preimage": to_hex(PREIMAGE), "sigma": to_hex(SIGMA)}
    rules = ("SHU-10", "SHU-11", "SHU-12", "SHU-13")
    for title, plaintext in LENGTHS:
        yield Case(
            operation="encrypt",
            title=title,
            requirements=rules,
            input=given | {"plaintext": to_hex(plaintext)},
            intermediate=steps(plaintext),
            refused=False,
        )
    for title, preimage, sigma in (
        ("to another identity", OTHER_PREIMAGE, SIGMA),
        ("with sigma zero", PREIMAGE, bytes(32)),
    ):
        yield Case(
            operation="encrypt",
            title=title,
            requirements=rules,
            input=given | {"plaintext": to_hex(PLAINTEXT), "preimage": to_hex(preimage), "sigma": to_hex(sigma)},
            refused=False,
        )
    for title, wrong in bad_g2(public()[0]):
        yield Case(
            operation="encrypt",
            title=f"the eon key {title}",
            requirements=("SHU-2",),
            input=given | {"plaintext": to_hex(PLAINTEXT), "eon_key": to_hex(wrong)},
            refused=True,
        )


def steps(plaintext: bytes) -> Json:
    rho = h3(SIGMA + plaintext)
    shared = pairing((decode_g1(key()), decode_g2(message(plaintext)[1:97])))
    return {
        "identity": to_hex(encode_g1(h1(PREIMAGE))),
        "rho": str(rho),
        "pairing": to_hex(encode_gt(shared)),
        "h2": to_hex(h2(shared)),
    }


def bad_g2(right: bytes) -> tuple[tuple[str, bytes], ...]:
    return (
        ("is the identity", G2_IDENTITY_BYTES),
        ("is the identity, with a byte that is not zero", G2_IDENTITY_BYTES[:-1] + b"\1"),
        ("has a part of order 13", encode_g2(add(decode_g2(right), order_13()))),
        ("is not on the curve", off_g2_curve()),
        ("is not compressed", bytes([right[0] & 0x7F]) + right[1:]),
        ("has a coefficient that is not below p", b"\x9f" + b"\xff" * 47 + right[48:]),
        ("is a byte short", right[:-1]),
        ("is a byte long", right + b"\0"),
    )


def bad_g1(right: bytes) -> tuple[tuple[str, bytes], ...]:
    return (
        ("is the identity", IDENTITY_BYTES),
        ("has a part of order 3 that the pairing does not see", twisted(right)),
        ("is not on the curve", off_curve()),
        ("is not compressed", bytes([right[0] & 0x7F]) + right[1:]),
        ("is a byte short", right[:-1]),
        ("is a byte long", right + b"\0"),
    )


def opening(
    title: str,
    rules: tuple[str, ...],
    data: bytes,
    *,
    refused: bool,
    lax: bool = False,
    key_bytes: bytes | None = None,
) -> Case:
    return Case(
        operation="decrypt",
        title=f"{title}, to a lax reader" if lax else title,
        requirements=rules,
        input={"key": to_hex(key_bytes or key()), "message": to_hex(data), "lax": lax},
        refused=refused,
    )


def decryptions() -> Iterator[Case]:
    for title, plaintext in LENGTHS:
        yield opening(title, ("SHU-3", "SHU-4", "SHU-11", "SHU-12"), message(plaintext), refused=False)
    yield opening("a short plaintext", ("SHU-3",), message(), lax=True, refused=False)


def unreadable() -> Iterator[Case]:
    """Whatever the reader."""
    honest = message()
    for title, data in (
        ("no bytes", b""),
        ("the version alone", b"\3"),
        ("version 2", b"\2" + honest[1:]),
        ("version 4", b"\4" + honest[1:]),
        ("without its version, as in older formats", honest[1:]),
        ("version and C1 alone: a block less than the head", honest[:97]),
        ("128 bytes", honest[:128]),
        ("the last byte is missing", honest[:-1]),
        ("a byte follows", honest + b"\0"),
    ):
        yield opening(title, ("SHU-1",), data, lax=True, refused=True)
    for title, c1 in bad_g2(honest[1:97]):
        if len(c1) == 96:
            yield opening(f"C1 {title}", ("SHU-2",), b"\3" + c1 + honest[97:], lax=True, refused=True)
    mask = h2(pairing((multiply(decode_g1(key()), 0), G2_GENERATOR)))
    known = b"\3" + G2_IDENTITY_BYTES + xor(SIGMA, mask) + honest[129:]
    yield opening("C1 is the identity, sigma masked with what anyone knows", ("SHU-2",), known, refused=True)
    number = 0
    while int.from_bytes(first_part(small := bytes([number]) * 32, PLAINTEXT)[:48], "big") % GREATER + P >= GREATER:
        number += 1
    data = message(PLAINTEXT, small)
    yield opening(
        "C1 with p added to a coefficient", ("SHU-2",), b"\3" + beyond_p(data[1:49]) + data[49:], refused=True
    )
    for title, wrong in bad_g1(key()):
        yield opening(f"the key {title}", ("SHU-2",), honest, key_bytes=wrong, refused=True)


def flipped(data: bytes, at: int, bit: int = 1) -> bytes:
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def with_possible_count() -> bytes:
    """C2 changed so that the unmasked blocks end in a possible count: the check of C1 alone is left."""
    honest = message()
    for number in range(1, 256):
        changed = xor(SIGMA, bytes(31) + bytes([number]))
        if 1 <= masked(changed, honest[129:])[-1] <= 32:
            return honest[:97] + xor(honest[97:129], xor(SIGMA, changed)) + honest[129:]
    raise AssertionError("one in eight changes has such a count")


def crafted(blocks: bytes, plaintext: bytes) -> bytes:
    """A message with these blocks, and C1 for that plaintext."""
    c1 = first_part(SIGMA, plaintext)
    shared = pairing((decode_g1(key()), decode_g2(c1)))
    return b"\3" + c1 + xor(SIGMA, h2(shared)) + masked(SIGMA, blocks)


def unopened() -> Iterator[Case]:
    honest, other = message(), message(b"B transaction")
    for title, data in (
        ("one bit of C2 flipped", flipped(honest, 97)),
        ("C2 changed, the count possible all the same", with_possible_count()),
        ("one bit of the plaintext flipped", flipped(honest, 129)),
        ("one bit of the count flipped", flipped(honest, -1)),
        ("C1 is one generator more", b"\3" + encode_g2(add(decode_g2(honest[1:97]), G2_GENERATOR)) + honest[97:]),
        ("C1 is the negative", flipped(honest, 1, 0x20)),
        ("C1 of another message with the same sigma", honest[:1] + other[1:97] + honest[97:]),
        ("the blocks of another message with the same sigma", honest[:129] + other[129:]),
        ("the two blocks have changed places", (two := message(LENGTHS[3][1]))[:129] + two[161:] + two[129:161]),
        ("its blocks are missing", honest[:129]),
        ("a block follows", honest + bytes(32)),
        ("encrypted to another identity", message(preimage=OTHER_PREIMAGE)),
    ):
        yield opening(title, ("SHU-3",), data, lax=True, refused=True)
    yield opening("with the key of another identity", ("SHU-3",), honest, key_bytes=key(OTHER_PREIMAGE), refused=True)
    yield opening("with a key share", ("SHU-3",), honest, key_bytes=share(0), refused=True)
    for count, left, taken in (
        (0, 64, "the whole"),
        (0, 63, "all but the last byte"),
        (0, 0, "nothing"),
        (33, 31, "what it leaves"),
        (255, 0, "nothing"),
    ):
        blocks = bytes(63) + bytes([count])
        title = f"a count of {count}, C1 made for {taken}"
        yield opening(title, ("SHU-3",), crafted(blocks, blocks[:left]), lax=True, refused=True)


def paddings() -> Iterator[Case]:
    """What a lax reader takes and another does not."""
    size = len(PLAINTEXT)
    empty = message(b"")
    for title, data in (
        ("the first byte of the padding is another", flipped(message(), 129 + size)),
        ("the last byte but one is another", flipped(message(), -2)),
        ("the padding is zeros before the count", crafted(PLAINTEXT + bytes(18) + bytes([19]), PLAINTEXT)),
        ("an empty plaintext without a block", empty[:129]),
        ("a full block of padding, its first byte another", flipped(empty, 129)),
    ):
        yield opening(title, ("SHU-4",), data, refused=True)
        yield opening(title, ("SHU-3", "SHU-4"), data, lax=True, refused=False)


# --- keys ------------------------------------------------------------------------------------------------------------


def keys() -> Iterator[Case]:
    right = key()
    given = {"eon_key": to_hex(public()[0]), "preimage": to_hex(PREIMAGE)}

    def case(title: str, rule: str, fields: Json, *, refused: bool) -> Case:
        return Case(operation="verify_key", title=title, requirements=(rule,), input=given | fields, refused=refused)

    yield case("the key of the identity", "SHU-5", {"key": to_hex(right)}, refused=False)
    for title, fields in (
        ("the key of another identity", {"key": to_hex(key(OTHER_PREIMAGE))}),
        ("under a keyper's public share", {"key": to_hex(right), "eon_key": to_hex(public()[1][0])}),
        ("a key share", {"key": to_hex(share(0))}),
        ("the negative", {"key": to_hex(flipped(right, 0, 0x20))}),
        ("the identity's own point", {"key": to_hex(encode_g1(h1(PREIMAGE)))}),
    ):
        yield case(title, "SHU-5", fields, refused=True)
    for title, wrong in bad_g1(right):
        yield case(f"the key {title}", "SHU-2", {"key": to_hex(wrong)}, refused=True)
    for title, wrong in bad_g2(public()[0]):
        yield case(f"the eon key {title}", "SHU-2", {"key": to_hex(right), "eon_key": to_hex(wrong)}, refused=True)
    both = {"key": to_hex(IDENTITY_BYTES), "eon_key": to_hex(G2_IDENTITY_BYTES)}
    yield case("key and eon key are the identity: the equation holds", "SHU-2", both, refused=True)


def shares() -> Iterator[Case]:
    for title, keyper, preimage in (
        ("the first keyper", 0, PREIMAGE),
        ("the last keyper", KEYPERS - 1, PREIMAGE),
        ("another identity", 0, OTHER_PREIMAGE),
    ):
        secret = encode_scalar(int(evaluated(keyper + 1)))
        yield Case(
            operation="key_share",
            title=title,
            requirements=("SHU-9", "SHU-15"),
            input={"secret": to_hex(secret), "preimage": to_hex(preimage)},
            refused=False,
        )
    short = {"secret": "0x0102", "preimage": to_hex(PREIMAGE)}
    yield Case(
        operation="key_share",
        title="a secret of two bytes",
        requirements=("SHU-9", "SHU-15"),
        input=short,
        refused=False,
    )
    for title, faulty in (("r", R.to_bytes(32, "big")), ("with a leading zero", b"\0" + bytes([1, 2]))):
        yield Case(
            operation="key_share",
            title=f"the secret is {title}",
            requirements=("SHU-9",),
            input=short | {"secret": to_hex(faulty)},
            refused=True,
        )

    def case(title: str, rule: str, keyper: int, data: bytes, *, refused: bool, public_share: bytes = b"") -> Case:
        return Case(
            operation="verify_key_share",
            title=title,
            requirements=(rule,),
            input={"public_share": to_hex(public_share or public()[1][keyper]), "preimage": to_hex(PREIMAGE)}
            | {"keyper": str(keyper), "share": to_hex(data)},
            refused=refused,
        )

    yield case("the first keyper", "SHU-6", 0, share(0), refused=False)
    yield case("the last keyper", "SHU-6", KEYPERS - 1, share(KEYPERS - 1), refused=False)
    for title, data in (
        ("another keyper's", share(1)),
        ("of another identity", share(0, OTHER_PREIMAGE)),
        ("the negative", flipped(share(0), 0, 0x20)),
        ("one generator more", off(share(0), 1)),
        ("the key", key()),
    ):
        yield case(title, "SHU-6", 0, data, refused=True)
    for title, wrong in bad_g1(share(0)):
        yield case(f"the share {title}", "SHU-2", 0, wrong, refused=True)
    for title, wrong in bad_g2(public()[1][0]):
        yield case(f"the public share {title}", "SHU-2", 0, share(0), public_share=wrong, refused=True)
    number = 0
    while not has_small_x(decode_g1(key_share(evaluated(1), preimage := PREFIX + bytes([number])))):
        number += 1
    respelled = beyond_p(key_share(evaluated(1), preimage))
    made = case("x is written as x + p", "SHU-2", 0, respelled, refused=True)
    made.input["preimage"] = to_hex(preimage)
    yield made


def combinations() -> Iterator[Case]:
    s0, s1, s2, s3 = ((keyper, share(keyper)) for keyper in range(KEYPERS))

    def case(title: str, rule: str, chosen: Sequence[tuple[int, bytes]], *, refused: bool, t: int = THRESHOLD) -> Case:
        listed = [{"keyper": str(keyper), "share": to_hex(data)} for keyper, data in chosen]
        return Case(
            operation="combine",
            title=title,
            requirements=(rule,),
            input={"threshold": str(t), "shares": listed},
            refused=refused,
        )

    for title, chosen in (
        ("keypers 0, 1, 2", (s0, s1, s2)),
        ("keypers 3, 0, 2: the same key", (s3, s0, s2)),
        ("a wrong share is not seen: another key", (s0, (1, share(2)), s3)),
    ):
        yield case(title, "SHU-15", chosen, refused=False)
    yield case("a threshold of one", "SHU-15", [s3], t=1, refused=False)
    for title, few in (
        ("no shares", ()),
        ("two shares of three", (s0, s1)),
        ("four shares, for three", (s0, s1, s2, s3)),
        ("one share twice", (s0, s1, s1)),
        ("a keyper twice, with shares that differ", (s0, s1, (1, s2[1]))),
        ("three keypers, one of them twice", (s0, s1, s2, s2)),
    ):
        yield case(title, "SHU-7", few, refused=True)
    for title, wrong in bad_g1(s2[1]):
        yield case(f"keyper 2's share {title}", "SHU-2", (s0, s1, (2, wrong)), refused=True)


def committees() -> Iterator[Case]:
    def case(
        title: str,
        rules: tuple[str, ...],
        dealt: Sequence[bytes],
        *,
        refused: bool,
        n: int = KEYPERS,
        t: int = THRESHOLD,
    ) -> Case:
        return Case(
            operation="eon_public_key",
            title=title,
            requirements=rules,
            input={"keypers": str(n), "threshold": str(t), "gammas": list(map(to_hex, dealt))},
            refused=refused,
        )

    first, second, third = gammas()
    made = ("SHU-8", "SHU-16")
    yield case("three dealers", made, gammas(), refused=False)
    yield case("four dealers, one of them twice: it counts twice", made, (*gammas(), first), refused=False)
    yield case("one dealer to one keyper", made, (first[:96],), n=1, t=1, refused=False)
    for title, fault in (
        ("two dealers, for three", (first, second)),
        ("no dealers", ()),
        ("a dealer with a point too few", (first, second, third[:-96])),
        ("a dealer with a point too many", (first, second, third + third[:96])),
        ("a dealer's points, then a byte", (first, second, third + b"\0")),
        ("a dealer with a count of its points before them", (first, second, (3).to_bytes(4, "big") + third)),
        ("the eon key is the identity", (first, second, third, cancelling(0))),
        ("keyper 1's public share is the identity", (first, second, third, cancelling(2))),
        ("two dealers and their negatives", (first, third, negated(first), negated(third))),
    ):
        yield case(title, ("SHU-8",), fault, refused=True)
    for title, wrong in bad_g2(second[96:192]):
        if len(wrong) == 96:
            dealt = (first, second[:96] + wrong + second[192:], third)
            yield case(f"the second dealer's second point {title}", ("SHU-2",), dealt, refused=True)


def negated(dealt: bytes) -> bytes:
    return b"".join(encode_g2(negate(decode_g2(dealt[at : at + 96]))) for at in range(0, len(dealt), 96))


def cancelling(x: int) -> bytes:
    """A dealer's gammas with which all dealers' sum is zero at x and nowhere else that counts."""
    rest = [draw_scalar(labelled(f"shutter/cancelling/{k}")) for k in range(1, THRESHOLD)]
    owed = evaluated(x) + sum((c * GF(x) ** k for k, c in enumerate(rest, 1)), GF(0))
    return gammas_of([-owed, *rest])


# --- scalars ---------------------------------------------------------------------------------------------------------


def scalars() -> Iterator[Case]:
    for title, value in (
        ("zero: no bytes", 0),
        ("one", 1),
        ("the last of one byte", 255),
        ("the first of two bytes", 256),
        ("r - 1", R - 1),
        ("31 bytes", (1 << 248) - 1),
    ):
        encoded = encode_scalar(value)
        yield Case(
            operation="encode_scalar",
            title=title,
            requirements=("SHU-9",),
            input={"value": str(value)},
            refused=False,
        )
        yield Case(
            operation="decode_scalar",
            title=title,
            requirements=("SHU-9",),
            input={"encoded": to_hex(encoded)},
            refused=False,
        )
    for title, data in (
        ("a zero byte", b"\0"),
        ("one, with a leading zero", b"\0\1"),
        ("32 bytes that begin with zero", bytes([0]) + bytes([1]) * 31),
        ("r", R.to_bytes(32, "big")),
        ("33 bytes", b"\1" + bytes(32)),
    ):
        yield Case(
            operation="decode_scalar",
            title=title,
            requirements=("SHU-9",),
            input={"encoded": to_hex(data)},
            refused=True,
        )
