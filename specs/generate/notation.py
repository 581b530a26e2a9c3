"""Inputs for specs/notation.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from py_ecc.optimized_bls12_381 import FQ2, G1 as G1_AFFINE
from spec.notation import (
    COMPRESSED,
    G1_GENERATOR,
    G2_GENERATOR,
    GREATER,
    IDENTITY,
    OBJECT_TAGS,
    OBJECTS,
    STATE,
    TAGS,
    ByteList,
    Bytes,
    Container,
    Json,
    ListOf,
    P,
    R,
    Tag,
    Type,
    Uint,
    Value,
    counted,
    encode_g1,
    encode_g2,
    fixed_size,
    multiply,
    negate,
    square_root,
    ssz_encode,
    to_hex,
    to_json,
    u32,
)

from specs.generate.case import Case, Labelled, labelled

LISTS: tuple[tuple[str, list[bytes]], ...] = (
    ("no item", []),
    ("one empty item", [b""]),
    ("an item and an empty one", [b"a", b""]),
    ("two items whose joined bytes are those of the next case", [b"ab", b"c"]),
    ("two items whose joined bytes are those of the case before", [b"a", b"bc"]),
    ("an item longer than 255 bytes", [b"\xff" * 300]),
)


def cases() -> Iterator[Case]:
    yield from hashes()
    yield from lists()
    yield from scalars()
    yield from points("decode_g1", "ENC-12", g1_points(), g1_faults())
    yield from points("decode_g2", "ENC-13", g2_points(), g2_faults())
    yield from hashes_to_g1()
    yield from pairings()
    yield from objects()
    yield from object_faults()
    yield from digests()


# --- bytes and hashes ------------------------------------------------------------------------------------------------


def hashes() -> Iterator[Case]:
    for title, items in LISTS:
        given: Json = {"items": [to_hex(item) for item in items]}
        tagged: Json = {"tag": to_hex(Tag.KEY_ID), **given}
        yield Case(operation="enc", title=title, requirements=("ENC-1",), input=given)
        yield Case(operation="tagged_hash", title=title, requirements=("ENC-4", "ENC-5"), input=tagged)
        yield Case(operation="hash_to_scalar", title=title, requirements=("ENC-4", "ENC-7"), input=tagged)
        yield Case(operation="challenge", title=title, requirements=("ENC-4", "ENC-8"), input=tagged)
    for name, tag in TAGS.items():
        given = {"tag": to_hex(tag), "items": [to_hex(b"item")]}
        yield Case(operation="tagged_hash", title=f"the tag {name}", requirements=("ENC-4", "ENC-5"), input=given)
    for count in (0, 1, 2, 5):
        given = {"tag": to_hex(Tag.TDH2_WEIGHT), "count": str(count), "items": [to_hex(b"item")]}
        yield Case(operation="weights", title=f"{count} weights", requirements=("ENC-4", "ENC-9"), input=given)
    for message, dst, size in (
        (b"", b"QUUX-V01-CS02-with-expander-SHA256-128", 32),
        (b"abc", b"QUUX-V01-CS02-with-expander-SHA256-128", 128),
        (b"abc", b"d" * 255, 33),
        (b"m" * 65, b"d", 1),
        (b"m", b"d", 8160),
    ):
        yield Case(
            operation="expand_message",
            title=f"{len(message)} bytes to {size}, DST of {len(dst)}",
            requirements=("ENC-6",),
            input={"message": to_hex(message), "dst": to_hex(dst), "size": str(size)},
        )


def lists() -> Iterator[Case]:
    for title, items in LISTS:
        yield Case(
            operation="decode_counted",
            title=title,
            requirements=("ENC-2",),
            input={"encoded": to_hex(counted(items))},
            refused=False,
        )
    honest = counted([b"one", b"two"])
    for title, encoded in (
        ("no bytes at all", b""),
        ("the last byte is missing", honest[:-1]),
        ("a trailing byte", honest + b"\0"),
        ("one item more announced than there is", u32(3) + honest[4:]),
        ("one item less announced than there is", u32(1) + honest[4:]),
        ("a length little-endian", u32(1) + (3).to_bytes(4, "little") + b"one"),
    ):
        yield Case(
            operation="decode_counted",
            title=title,
            requirements=("ENC-2", "ENC-3"),
            input={"encoded": to_hex(encoded)},
            refused=True,
        )


# --- scalars and points ----------------------------------------------------------------------------------------------


def scalars() -> Iterator[Case]:
    def drawn(*numbers: int) -> Json:
        return {"random": to_hex(b"".join(number.to_bytes(32, "big") for number in numbers))}

    for title, given in (
        ("32 labelled bytes", {"random": to_hex(labelled("notation/draw_scalar/1")(64))}),
        ("the smallest", drawn(1)),
        ("the greatest", drawn(R - 1)),
        ("zero is drawn again", drawn(0, 7)),
        ("r is drawn again", drawn(R, 7)),
        ("the top bit is cleared", drawn((1 << 255) + 5)),
        ("all bits set is drawn again, twice", drawn((1 << 256) - 1, (1 << 255) - 1, 9)),
    ):
        yield Case(operation="draw_scalar", title=title, requirements=("ENC-11",), input=given)
    for title, encoded, refused in (
        ("zero", bytes(32), False),
        ("r - 1", (R - 1).to_bytes(32, "big"), False),
        ("r", R.to_bytes(32, "big"), True),
        ("2^256 - 1", b"\xff" * 32, True),
        ("31 bytes", bytes(31), True),
        ("33 bytes", bytes(33), True),
    ):
        yield Case(
            operation="decode_scalar",
            title=title,
            requirements=("ENC-10",) if len(encoded) == 32 else ("ENC-3", "ENC-10"),
            input={"encoded": to_hex(encoded)},
            refused=refused,
        )


Titled = tuple[str, bytes]
Fault = tuple[str, str, bytes]


def points(operation: str, rule: str, good: Sequence[Titled], bad: Sequence[Fault]) -> Iterator[Case]:
    for title, encoded in good:
        yield Case(
            operation=operation,
            title=title,
            requirements=(rule,),
            input={"encoded": to_hex(encoded)},
            refused=False,
        )
    for title, broken, encoded in bad:
        yield Case(
            operation=operation,
            title=title,
            requirements=(broken,),
            input={"encoded": to_hex(encoded)},
            refused=True,
        )


def g1_points() -> list[Titled]:
    return [
        ("the generator", encode_g1(G1_GENERATOR)),
        ("the generator's negative", encode_g1(negate(G1_GENERATOR))),
        ("some point", encode_g1(multiply(G1_GENERATOR, 123456789))),
        ("another point", encode_g1(multiply(G1_GENERATOR, R - 987654321))),
    ]


def g2_points() -> list[Titled]:
    return [
        ("the generator", encode_g2(G2_GENERATOR)),
        ("the generator's negative", encode_g2(negate(G2_GENERATOR))),
        ("some point", encode_g2(multiply(G2_GENERATOR, 123456789))),
        ("another point", encode_g2(multiply(G2_GENERATOR, R - 987654321))),
    ]


def g1_faults() -> list[Fault]:
    honest = encode_g1(G1_GENERATOR)
    x = int.from_bytes(honest, "big") & (GREATER - 1)
    small = next(x for x in range(P) if on_g1_curve(x))
    return [
        ("47 bytes", "ENC-12", honest[:-1]),
        ("49 bytes", "ENC-12", honest + b"\0"),
        ("96 bytes, the point uncompressed", "ENC-12", x.to_bytes(48, "big") + G1_AFFINE[1].n.to_bytes(48, "big")),
        ("the top bit is clear", "ENC-12", first_bits(honest, clear=COMPRESSED)),
        ("x is written as x + p", "ENC-12", first_bits((small + P).to_bytes(48, "big"), put=COMPRESSED)),
        ("x is p", "ENC-12", first_bits(P.to_bytes(48, "big"), put=COMPRESSED)),
        (
            "x belongs to no point",
            "ENC-12",
            (COMPRESSED | next(x for x in range(P) if not on_g1_curve(x))).to_bytes(48, "big"),
        ),
        ("the identity", "ENC-14", (COMPRESSED | IDENTITY).to_bytes(48, "big")),
        ("the identity with the third bit set", "ENC-14", (COMPRESSED | IDENTITY | GREATER).to_bytes(48, "big")),
        ("the identity's bit on another point", "ENC-14", first_bits(honest, put=IDENTITY)),
        ("on the curve, outside the subgroup", "ENC-15", (COMPRESSED | small).to_bytes(48, "big")),
        ("a point of order 3", "ENC-15", COMPRESSED.to_bytes(48, "big")),
    ]


def g2_faults() -> list[Fault]:
    honest = encode_g2(G2_GENERATOR)
    small = next(x for x in range(1, P) if on_g2_curve(x, 0))
    u = next(u for u in range(1, P) if on_g2_curve(0, u))
    none = next(x for x in range(P) if not on_g2_curve(x, 0))
    top, zero = COMPRESSED.to_bytes(48, "big"), bytes(48)
    return [
        ("95 bytes", "ENC-13", honest[:-1]),
        ("97 bytes", "ENC-13", honest + b"\0"),
        ("48 bytes: a point of G1", "ENC-13", encode_g1(G1_GENERATOR)),
        ("the top bit is clear", "ENC-13", first_bits(honest, clear=COMPRESSED)),
        ("the constant coefficient is written plus p", "ENC-13", top + (small + P).to_bytes(48, "big")),
        (
            "the coefficient of u is written plus p",
            "ENC-13",
            first_bits((u + P).to_bytes(48, "big"), put=COMPRESSED) + zero,
        ),
        ("a bit above the second coefficient", "ENC-13", honest[:48] + first_bits(honest[48:], put=COMPRESSED)),
        ("the coefficients exchanged", "ENC-13", exchanged(honest)),
        ("x belongs to no point", "ENC-13", top + none.to_bytes(48, "big")),
        ("the identity", "ENC-14", (COMPRESSED | IDENTITY).to_bytes(48, "big") + zero),
        ("the identity with the third bit set", "ENC-14", (COMPRESSED | IDENTITY | GREATER).to_bytes(48, "big") + zero),
        ("the identity's bit on another point", "ENC-14", first_bits(honest, put=IDENTITY)),
        ("on the curve, outside the subgroup", "ENC-15", top + small.to_bytes(48, "big")),
    ]


def first_bits(data: bytes, *, put: int = 0, clear: int = 0) -> bytes:
    return (int.from_bytes(data[:48], "big") & ~clear | put).to_bytes(48, "big") + data[48:]


def exchanged(data: bytes) -> bytes:
    """The two coefficients in the wrong order, the flags where they belong."""
    first = int.from_bytes(data[:48], "big")
    flags = first & (COMPRESSED | GREATER)
    return (flags | int.from_bytes(data[48:], "big")).to_bytes(48, "big") + (first ^ flags).to_bytes(48, "big")


def on_g1_curve(x: int) -> bool:
    return pow(x**3 + 4, (P - 1) // 2, P) == 1


def on_g2_curve(x_1: int, x_u: int) -> bool:
    square = FQ2([x_1, x_u]) ** 3 + FQ2([4, 4])
    y = square_root(square)
    return bool(y * y == square)


def hashes_to_g1() -> Iterator[Case]:
    for title, message in (("no bytes", b""), ("some bytes", b"encmempool"), ("200 bytes", bytes(200))):
        yield Case(
            operation="hash_to_g1",
            title=title,
            requirements=("ENC-4", "ENC-16"),
            input={"tag": to_hex(Tag.TDH2_GENERATOR), "message": to_hex(message)},
        )


def pairings() -> Iterator[Case]:
    for title, a, b in (
        ("the generators", 1, 1),
        ("some points", 123456789, R - 987654321),
        ("two and three times the generators", 2, 3),
        ("three and two times the generators: the same value", 3, 2),
        ("a negative: the inverse of the generators' value", R - 1, 1),
    ):
        yield Case(
            operation="pairing",
            title=title,
            requirements=("ENC-17", "ENC-18"),
            input={
                "g1": to_hex(encode_g1(multiply(G1_GENERATOR, a))),
                "g2": to_hex(encode_g2(multiply(G2_GENERATOR, b))),
            },
            refused=False,
        )
    good = {"g1": g1_points()[0][1], "g2": g2_points()[0][1]}
    for name, (title, rule, encoded) in (("g1", g1_faults()[-1]), ("g2", g2_faults()[-1])):
        yield Case(
            operation="pairing",
            title=f"{name}: {title}",
            requirements=(rule,),
            input={field: to_hex(point) for field, point in (good | {name: encoded}).items()},
            refused=True,
        )


# --- objects ---------------------------------------------------------------------------------------------------------


def some(kind: Type, random: Labelled, length: int) -> Value:
    """A value with labelled contents, whose lists have `length` elements, or as many as they may have."""
    match kind:
        case Uint(size):
            return int.from_bytes(random(size), "big")
        case Bytes(size):
            return random(size)
        case ByteList(limit):
            return random(min(limit, 13 * length))
        case ListOf(element, limit):
            return [some(element, random, length) for _ in range(min(limit, length))]
        case Container(_, fields):
            return {name: some(field, random, length) for name, field in fields.items()}


def object_case(operation: str, kind: Container, length: int) -> Case:
    value = some(kind, labelled(f"notation/{kind.name}/{length}"), length)
    content = {"encoded": to_hex(ssz_encode(kind, value))}
    if operation == "ssz_encode":
        content = {"value": to_json(kind, value)}
    title = kind.name if fixed_size(kind) is not None else f"{kind.name}, lists of {length}"
    return Case(
        operation=operation,
        title=title,
        requirements=("SSZ-1", "SSZ-6"),
        input={"type": kind.name, **content},
        refused=False,
    )


def objects() -> Iterator[Case]:
    for kind in OBJECTS.values():
        lengths = (0, 3) if fixed_size(kind) is None else (1,)
        for length in lengths:
            yield object_case("ssz_decode", kind, length)
        yield object_case("ssz_encode", kind, lengths[-1])
    yield from boundaries()


def boundaries() -> Iterator[Case]:
    """Lists just below, at and above a whole number of chunks."""
    for name, field, lengths in (
        ("Token", "symbol", (1, 31, 32)),
        ("UnsignedTransaction", "ciphertext", (32, 33, 64)),
        ("Genesis", "size_classes", (1, 8, 9, 32)),
        ("BatchList", "tx_ids", (1, 2, 5)),
    ):
        kind = OBJECTS[name]
        for length in lengths:
            random = labelled(f"notation/{name}/{field}/{length}")
            value = some(kind, random, 0)
            element = kind.fields[field]
            value[field] = (
                [some(element.element, random, 1) for _ in range(length)]
                if isinstance(element, ListOf)
                else random(length)
            )
            yield Case(
                operation="ssz_decode",
                title=f"{name} with {length} in {field}",
                requirements=("SSZ-1", "SSZ-4", "SSZ-6"),
                input={"type": name, "encoded": to_hex(ssz_encode(kind, value))},
                refused=False,
            )


def object_faults() -> Iterator[Case]:
    for kind in OBJECTS.values():
        value = some(kind, labelled(f"notation/{kind.name}/faults"), 2)
        encoded = ssz_encode(kind, value)
        if fixed_size(kind) is not None:
            yield broken(kind, "a byte is missing", "SSZ-2", encoded[:-1])
            yield broken(kind, "a trailing byte", "SSZ-2", encoded + b"\0")
        else:
            fixed = fixed_part(kind)
            first = first_offset(kind)
            yield broken(kind, "it ends within the fixed part", "SSZ-2", encoded[: fixed - 1])
            yield broken(kind, "the first offset leaves a gap", "SSZ-3", moved(gap(encoded, fixed), kind, 1))
            yield broken(kind, "the first offset points into the fixed part", "SSZ-3", shifted(encoded, first, -1))
    yield from offset_faults()
    yield from list_faults()


def broken(kind: Container, fault: str, rule: str, encoded: bytes) -> Case:
    return Case(
        operation="ssz_decode",
        title=f"{kind.name}: {fault}",
        requirements=(rule,),
        input={"type": kind.name, "encoded": to_hex(encoded)},
        refused=True,
    )


def fixed_part(kind: Container) -> int:
    return sum(fixed_size(field) or 4 for field in kind.fields.values())


def offsets(kind: Container) -> list[int]:
    """Where in the fixed part the offsets stand."""
    found, at = [], 0
    for field in kind.fields.values():
        if fixed_size(field) is None:
            found.append(at)
        at += fixed_size(field) or 4
    return found


def first_offset(kind: Container) -> int:
    return offsets(kind)[0]


def shifted(encoded: bytes, at: int, by: int) -> bytes:
    offset = int.from_bytes(encoded[at : at + 4], "little") + by
    return encoded[:at] + offset.to_bytes(4, "little") + encoded[at + 4 :]


def gap(encoded: bytes, at: int) -> bytes:
    return encoded[:at] + b"\0" + encoded[at:]


def moved(encoded: bytes, kind: Container, by: int) -> bytes:
    """Every offset of the container raised: consistent with one another, but not with the fixed part."""
    for at in offsets(kind):
        encoded = shifted(encoded, at, by)
    return encoded


def offset_faults() -> Iterator[Case]:
    keys = OBJECTS["KeySet"]
    encoded = ssz_encode(keys, some(keys, labelled("notation/KeySet/offsets"), 2))
    at = offsets(keys)
    behind = int.from_bytes(encoded[at[0] : at[0] + 4], "little")
    early = encoded[: at[1]] + (behind - 1).to_bytes(4, "little") + encoded[at[1] + 4 :]
    late = encoded[: at[-1]] + (len(encoded) + 1).to_bytes(4, "little") + encoded[at[-1] + 4 :]
    yield broken(keys, "an offset is below the one before it", "SSZ-3", early)
    yield broken(keys, "an offset points beyond the end", "SSZ-3", late)

    proposal = OBJECTS["Proposal"]
    value = some(proposal, labelled("notation/Proposal/offsets"), 2)
    honest = ssz_encode(proposal, value)
    start = int.from_bytes(honest[offsets(proposal)[0] :][:4], "little")
    for fault, first in (("zero", 0), ("no multiple of 4", 9), ("beyond the end", 4 * len(honest))):
        wrong = honest[:start] + first.to_bytes(4, "little") + honest[start + 4 :]
        yield broken(proposal, f"the first offset of a list is {fault}", "SSZ-3", wrong)
    second = honest[: start + 4] + (4).to_bytes(4, "little") + honest[start + 8 :]
    yield broken(proposal, "an offset in a list is below the one before it", "SSZ-3", second)
    far = honest[: start + 4] + len(honest).to_bytes(4, "little") + honest[start + 8 :]
    yield broken(proposal, "an offset in a list points beyond the end", "SSZ-3", far)

    without = ssz_encode(keys, some(keys, labelled("notation/KeySet/unaligned"), 0))
    overlapping = (6).to_bytes(4, "little") + (10).to_bytes(4, "little") + bytes(4)
    yield broken(keys, "the first offset of its last list is 6, within the second", "SSZ-3", without + overlapping)


def list_faults() -> Iterator[Case]:
    for name, field, limit in (
        ("Token", "symbol", 32),
        ("Genesis", "policy_parameters", 256),
        ("Genesis", "size_classes", 32),
        ("Allocation", "tokens", 256),
        ("KeySet", "encryption_key", 1024),
        ("KeySet", "members", 1024),
    ):
        kind = OBJECTS[name]
        value = some(kind, labelled(f"notation/{name}/{field}/limit"), 0)
        element = kind.fields[field]
        zero = some(element.element, labelled("zero"), 0) if isinstance(element, ListOf) else None
        value[field] = [zero] * (limit + 1) if isinstance(element, ListOf) else bytes(limit + 1)
        yield broken(kind, f"{limit + 1} in {field}, where {limit} may be", "SSZ-4", ssz_encode(kind, value))
    for name in ("BatchList", "Allocation", "OrderCertificate", "Reveal", "SignedKeySet"):
        kind = OBJECTS[name]
        encoded = ssz_encode(kind, some(kind, labelled(f"notation/{name}/multiple"), 2))
        yield broken(kind, "a trailing byte in its last list", "SSZ-5", encoded + b"\0")


def digests() -> Iterator[Case]:
    for name in OBJECT_TAGS:
        kind = OBJECTS[name]
        random = labelled(f"notation/signing_digest/{name}")
        yield Case(
            operation="signing_digest",
            title=name,
            requirements=("SSZ-7",),
            input={
                "type": name,
                "value": to_json(kind, some(kind, random, 2)),
                "genesis_root": to_hex(random(32)),
            },
        )
    for length in (0, 1, 3, 5):
        state = some(STATE, labelled(f"notation/state_root/{length}"), length)
        state["accounts"].sort(key=lambda account: account["address"])
        state["token_balances"].sort(key=lambda balance: (balance["token"], balance["owner"]))
        state["pools"] = sorted(map(possible, state["pools"]), key=lambda pool: pool["token0"] + pool["token1"])
        yield Case(
            operation="state_root",
            title=f"lists of {length}",
            requirements=("SSZ-6", "SSZ-8"),
            input={"state": to_json(STATE, state)},
        )


def possible(pool: Value) -> Value:
    """A pool like this that a ledger can hold: tokens ascending, reserves below 2^112."""
    token0, token1 = sorted((pool["token0"], pool["token1"]))
    reserves = {name: pool[name] % (1 << 112) for name in ("reserve0", "reserve1")}
    return {"token0": token0, "token1": token1, **reserves}
