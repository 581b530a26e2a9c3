"""Inputs for specs/ibe.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from py_ecc import optimized_bls12_381 as curve
from py_ecc.bls.constants import G2_COFACTOR
from py_ecc.optimized_bls12_381 import FQ2
from spec.ibe import (
    Batch,
    Ciphertext,
    PublicKey,
    body_key,
    combine,
    encrypt,
    identity,
    load_public_key,
    partial_decrypt,
    verify_ciphertext,
)
from spec.notation import (
    COMPRESSED,
    G1,
    G1_GENERATOR,
    G2,
    G2_GENERATOR,
    GF,
    GREATER,
    GT_ONE,
    IDENTITY,
    Json,
    P,
    R,
    Scalar,
    add,
    counted,
    decode_g1,
    draw_scalar,
    encode_g1,
    encode_g2,
    encode_gt,
    encode_scalar,
    multiply,
    pairing,
    square_root,
    to_hex,
)
from spec.payload import seal
from spec.tdh2 import Material, decode_batch_key, encode_batch_key

from specs.generate.case import Case, labelled
from specs.generate.tdh2 import (
    AAD,
    IDENTITY_BYTES,
    ORDER_3,
    beyond_p,
    has_small_x,
    listed,
    off_curve,
    with_keys,
)

HEIGHT = 7
G2_IDENTITY_BYTES = (COMPRESSED | IDENTITY).to_bytes(48, "big") + bytes(48)


@dataclass(frozen=True, kw_only=True)
class Committee:
    """A key whose secrets the generator knows."""

    material: Material
    key_id: bytes
    secrets: tuple[Scalar, ...]

    @property
    def key(self) -> PublicKey:
        return load_public_key(self.material.encode(), self.key_id)

    @property
    def named(self) -> Json:
        return {"material": to_hex(self.material.encode()), "key_id": to_hex(self.key_id)}


@cache
def committee(n: int = 4, t: int = 3, *, label: str = "ibe/key") -> Committee:
    random = labelled(f"{label}/{t} of {n}")
    network = random(32)
    coefficients = [draw_scalar(random) for _ in range(t)]
    secrets = tuple(
        sum((c * GF(j) ** k for k, c in enumerate(coefficients[1:], 1)), coefficients[0]) for j in range(1, n + 1)
    )
    material = Material(
        scheme=2,
        threshold=t,
        encryption_key=encode_g2(multiply(G2_GENERATOR, coefficients[0])),
        verification_keys=tuple(encode_g2(multiply(G2_GENERATOR, secret)) for secret in secrets),
        parameters=b"",
    )
    return Committee(material=material, key_id=material.key_id(network), secrets=secrets)


def cases() -> Iterator[Case]:
    yield from key_material()
    yield from heights()
    yield from ciphertexts()
    yield from ciphertext_faults()
    yield from shares()
    yield from share_faults()
    yield from combinations()
    yield from batch_keys()
    yield from batch_faults()
    yield from openings()
    for n, t in ((4, 3), (1, 1)):
        given = {"network": to_hex(labelled("ibe/network")(32)), "material": committee(n, t).named["material"]}
        title = f"a key of {t} of {n} members"
        yield Case(operation="self_test", title=title, requirements=("IBE-12", "IBE-16"), input=given, refused=False)


# --- keys and heights ------------------------------------------------------------------------------------------------


def key_material() -> Iterator[Case]:
    made = committee()
    material, keys = made.material, made.material.verification_keys
    for loaded in (made, committee(1, 1)):
        yield Case(
            operation="load_public_key",
            title=f"{loaded.key.threshold} of {len(loaded.secrets)} members",
            requirements=("IBE-7", "IBE-12"),
            input=loaded.named,
            refused=False,
        )
    other = encode_g2(add(made.key.verification_keys[3], G2_GENERATOR))
    for title, wrong in (
        ("the scheme is 1", replace(material, scheme=1)),
        ("there are parameters", replace(material, parameters=b"\0")),
        ("the last verification key is off the polynomial", with_keys(material, *keys[:3], other)),
        ("two verification keys have changed places", with_keys(material, keys[1], keys[0], *keys[2:])),
        ("the encryption key is off the polynomial", replace(material, encryption_key=other)),
        ("the threshold is 2, the polynomial of degree 2", replace(material, threshold=2)),
        ("the encryption key is the identity", replace(material, encryption_key=G2_IDENTITY_BYTES)),
        ("a verification key is the identity", with_keys(material, *keys[:3], G2_IDENTITY_BYTES)),
        (
            "the encryption key has a part of order 13",
            replace(material, encryption_key=encode_g2(add(made.key.h, order_13()))),
        ),
        (
            "a verification key has a part of order 13",
            with_keys(material, *keys[:3], encode_g2(add(made.key.verification_keys[3], order_13()))),
        ),
        ("a verification key is a point of G1", with_keys(material, *keys[:3], encode_g1(G1_GENERATOR))),
        ("a verification key of 95 bytes", with_keys(material, *keys[:3], keys[3][:95])),
    ):
        yield faulty_key(title, "IBE-7", wrong.encode())
    yield faulty_key("a byte follows", "IBE-12", material.encode() + b"\0")
    yield faulty_key("the threshold is above the number of members", "IBE-12", replace(material, threshold=5).encode())


def faulty_key(title: str, rule: str, material: bytes) -> Case:
    return Case(
        operation="load_public_key",
        title=title,
        requirements=(rule,),
        input=committee().named | {"material": to_hex(material)},
        refused=True,
    )


@cache
def order_13() -> G2:
    """A point of G2's curve outside the subgroup: thirteen times it is the identity."""
    x = FQ2([0, 0])
    while True:
        x += FQ2.one()
        y = square_root(x**3 + FQ2([4, 4]))
        if y * y == x**3 + FQ2([4, 4]):
            # multiply() of the page reduces its factor modulo r, this one does not
            point: G2 = curve.multiply((x, y, FQ2.one()), R * G2_COFACTOR // 13**2)
            if not curve.is_inf(point):
                return point


def heights() -> Iterator[Case]:
    one, other = committee(), committee(1, 1)
    for title, key_id, height in (
        ("a height", one.key_id, HEIGHT),
        ("the next one", one.key_id, HEIGHT + 1),
        ("the height of the self-test", one.key_id, 0),
        ("the greatest", one.key_id, 2**64 - 1),
        ("another key's", other.key_id, HEIGHT),
    ):
        yield Case(
            operation="identity",
            title=title,
            requirements=("IBE-8",),
            input={"key_id": to_hex(key_id), "height": str(height)},
            refused=False,
        )


# --- ciphertexts -----------------------------------------------------------------------------------------------------


@cache
def sealed(label: str, *, height: int = HEIGHT, plaintext: bytes = b"a payload", aad: bytes = AAD) -> bytes:
    return encrypt(committee().key, plaintext, aad, height, labelled(f"ibe/ciphertext/{label}/{height}"))


def crafted(rho: Scalar, *, u: bytes) -> bytes:
    """A ciphertext that is right for the bytes of u as they stand, whatever they are."""
    key = committee().key
    w = pairing((multiply(identity(key.key_id, HEIGHT), rho), key.h))
    return u + seal(body_key(key, w, HEIGHT, u, AAD), b"a payload", AAD)


def ciphertexts() -> Iterator[Case]:
    made = committee()
    for title, plaintext, aad, height, label in (
        ("a short plaintext", b"a payload", AAD, HEIGHT, "short"),
        ("an empty plaintext and no associated data", b"", b"", HEIGHT, "empty"),
        ("a plaintext of 256 bytes, the greatest height", labelled("ibe/plaintext")(256), AAD, 2**64 - 1, "256"),
        ("the first bytes drawn are no scalar", b"a payload", AAD, HEIGHT, "redraw"),
    ):
        random = labelled(f"ibe/encrypt/{label}")
        prefix = b"\xff" * 32 + bytes(32) if label == "redraw" else b""
        ciphertext = encrypt(made.key, plaintext, aad, height, random)
        addressed = made.named | {"aad": to_hex(aad), "height": str(height)}
        yield Case(
            operation="encrypt",
            title=title,
            requirements=("IBE-8", "IBE-10", "IBE-11"),
            input=addressed | {"plaintext": to_hex(plaintext), "random": to_hex(prefix + random.drawn)},
            intermediate=ciphertext_steps(label, ciphertext, aad, height),
            refused=False,
        )
        yield Case(
            operation="verify_ciphertext",
            title=title,
            requirements=("IBE-1", "IBE-9", "IBE-12"),
            input=addressed | {"ciphertext": to_hex(ciphertext)},
            refused=False,
        )
    honest = sealed("first")
    for title, unopenable in (
        ("a body of zeros: nobody can see that it opens to nothing", honest[:96] + bytes(16)),
        ("made for another height than it is addressed to: that is not seen", sealed("first", height=HEIGHT + 1)),
    ):
        yield Case(
            operation="verify_ciphertext",
            title=title,
            requirements=("IBE-9", "IBE-12"),
            input=made.named | entry(unopenable),
            refused=False,
        )
    yield Case(
        operation="encrypt",
        title="the key material is of another scheme",
        requirements=("IBE-7",),
        input={
            "material": to_hex(replace(made.material, scheme=1).encode()),
            "key_id": to_hex(made.key_id),
            "plaintext": "0x",
            "aad": "0x",
            "height": str(HEIGHT),
            "random": "0x",
        },
        refused=True,
    )


def ciphertext_steps(label: str, ciphertext: bytes, aad: bytes, height: int) -> Json:
    key, rho = committee().key, draw_scalar(labelled(f"ibe/encrypt/{label}"))
    point = identity(key.key_id, height)
    w = pairing((multiply(point, rho), key.h))
    return {
        "rho": to_hex(encode_scalar(rho)),
        "identity": to_hex(encode_g1(point)),
        "W": to_hex(encode_gt(w)),
        "body_key": to_hex(body_key(key, w, height, ciphertext[:96], aad)),
    }


def ciphertext_faults() -> Iterator[Case]:
    made, honest = committee(), sealed("first")
    key, random = made.key, labelled("ibe/faults")
    identity_body = seal(body_key(key, GT_ONE, HEIGHT, G2_IDENTITY_BYTES, AAD), b"a payload", AAD)
    rho = draw_scalar(random)
    twisted = crafted(rho, u=encode_g2(add(multiply(G2_GENERATOR, rho), order_13())))
    while int.from_bytes(encode_g2(multiply(G2_GENERATOR, rho))[:48], "big") % GREATER + P >= GREATER:
        rho = draw_scalar(random)
    u = encode_g2(multiply(G2_GENERATOR, rho))
    for title, rule, fault in (
        ("U is the identity, the body sealed with W = 1", "IBE-1", G2_IDENTITY_BYTES + identity_body),
        ("U has a part of order 13", "IBE-1", twisted),
        ("U is written with p added to the coefficient of u", "IBE-1", crafted(rho, u=beyond_p(u[:48]) + u[48:])),
        ("U is not on the curve", "IBE-1", off_g2_curve() + honest[96:]),
        ("U is not compressed", "IBE-1", bytes([honest[0] & 0x7F]) + honest[1:]),
        ("a point of G1 in place of U", "IBE-1", encode_g1(G1_GENERATOR) + honest[48:]),
        ("111 bytes", "IBE-9", sealed("empty", plaintext=b"")[:111]),
        ("U alone", "IBE-9", honest[:96]),
        ("no bytes", "IBE-9", b""),
    ):
        yield Case(
            operation="verify_ciphertext",
            title=title,
            requirements=(rule,),
            input=made.named | entry(fault),
            refused=True,
        )


def off_g2_curve() -> bytes:
    x = 0
    while square_root(FQ2([x**3 + 4, 4])) ** 2 == FQ2([x**3 + 4, 4]):
        x += 1
    return COMPRESSED.to_bytes(48, "big") + x.to_bytes(48, "big")


# --- batches and shares ----------------------------------------------------------------------------------------------


def entry(ciphertext: bytes, *, height: int = HEIGHT, aad: bytes = AAD) -> Json:
    return {"ciphertext": to_hex(ciphertext), "aad": to_hex(aad), "height": str(height)}


def of(*entries: Json, height: int = HEIGHT, round_: int = 3) -> Json:
    """The key, and a batch of these entries."""
    return committee().named | {"batch": {"height": str(height), "round": str(round_), "entries": list(entries)}}


def batch(*labels: str) -> Json:
    return of(*(entry(sealed(label)) for label in labels))


@cache
def any_batch(height: int = HEIGHT) -> Batch:
    """All batches of a height have the same shares."""
    ciphertext: Ciphertext = verify_ciphertext(sealed("first", height=height), AAD, height)
    return Batch(key_id=committee().key_id, height=height, round=3, entries=(ciphertext,))


@cache
def share(member: int, *, height: int = HEIGHT) -> bytes:
    return partial_decrypt(any_batch(height), committee().secrets[member - 1])


def shares() -> Iterator[Case]:
    two = entry(sealed("second")), entry(sealed("third"))
    for title, member, given in (
        ("a batch of one", 1, batch("first")),
        ("a batch of two in another round: the same share", 1, of(*two, round_=9)),
        ("the last member, one ciphertext twice", 4, batch("first", "first")),
    ):
        yield Case(
            operation="partial_decrypt",
            title=title,
            requirements=("IBE-5", "IBE-8", "IBE-14"),
            input=given | {"member": str(member), "secret": to_hex(encode_scalar(committee().secrets[member - 1]))},
            intermediate={"identity": to_hex(encode_g1(identity(committee().key_id, HEIGHT)))},
            refused=False,
        )
        yield Case(
            operation="verify_share",
            title=title,
            requirements=("IBE-4", "IBE-5"),
            input=given | {"member": str(member), "share": to_hex(share(member))},
            refused=False,
        )


def share_faults() -> Iterator[Case]:
    given, one = batch("first"), share(1)
    for title, rule, member, data in (
        ("member 0", "IBE-4", 0, one),
        ("member 5 of 4", "IBE-4", 5, one),
        ("one byte too many", "IBE-4", 1, one + b"\0"),
        ("one byte too few", "IBE-4", 1, one[:-1]),
        ("no bytes", "IBE-4", 1, b""),
        ("a point of G2", "IBE-4", 1, encode_g2(G2_GENERATOR)),
        ("the identity", "IBE-4", 1, IDENTITY_BYTES),
        ("a part of order 3 that the pairing does not see", "IBE-4", 1, twisted(one)),
        ("not on the curve", "IBE-4", 1, off_curve()),
        ("not compressed", "IBE-4", 1, bytes([one[0] & 0x7F]) + one[1:]),
        ("the negative", "IBE-5", 1, bytes([one[0] ^ 0x20]) + one[1:]),
        ("the generator more", "IBE-5", 1, off(one, 1)),
        ("another member's share", "IBE-5", 2, one),
        ("a share for another height", "IBE-5", 1, share(1, height=HEIGHT + 1)),
        ("H(height) itself", "IBE-5", 1, encode_g1(identity(committee().key_id, HEIGHT))),
        ("the batch key", "IBE-5", 1, value()),
    ):
        yield Case(
            operation="verify_share",
            title=title,
            requirements=(rule,),
            input=given | {"member": str(member), "share": to_hex(data)},
            refused=True,
        )
    yield Case(
        operation="verify_share",
        title="x is written as x + p",
        requirements=("IBE-4",),
        input=respelled_share(),
        refused=True,
    )


def off(data: bytes, error: int) -> bytes:
    """That many generators more."""
    return encode_g1(add(decode_g1(data), multiply(G1_GENERATOR, error)))


def twisted(data: bytes) -> bytes:
    point: G1 = add(decode_g1(data), ORDER_3)
    return encode_g1(point)


def respelled_share() -> Json:
    """The right share of member 1, at the first height where its x leaves room for p."""
    height = HEIGHT
    while not has_small_x(decode_g1(share(1, height=height))):
        height += 1
    wrong = to_hex(beyond_p(share(1, height=height)))
    return of(entry(sealed("first", height=height), height=height), height=height) | {"member": "1", "share": wrong}


# --- combining and opening -------------------------------------------------------------------------------------------


@cache
def value(height: int = HEIGHT) -> bytes:
    """[x]H(height)."""
    combined, _ = combine(committee().key, any_batch(height), [(m, share(m, height=height)) for m in (1, 2, 3)])
    return decode_batch_key(combined)[0]


def combinations() -> Iterator[Case]:
    s1, s2, s3, s4 = ((member, share(member)) for member in (1, 2, 3, 4))
    wrong_1, wrong_2 = (1, off(s1[1], 1)), (2, off(s2[1], 1))
    given, other = batch("first", "second"), of(entry(sealed("third")), round_=9)
    for title, asked, chosen in (
        ("members 1, 2, 3", given, (s1, s2, s3)),
        ("members 4, 1, 3 for another batch of the height: the same key", other, (s4, s1, s3)),
        ("four shares: the first three are taken", given, (s1, s2, s3, s4)),
        ("a fourth that is wrong is not looked at", given, (s1, s3, s4, wrong_2)),
        ("a wrong share is set aside", given, (s1, wrong_2, s3, s4)),
        ("an undecodable share is set aside", given, (s1, (2, s2[1] + b"\0"), s3, s4)),
        ("a share of member 5 of 4 is set aside", given, (s1, (5, s2[1]), s3, s4)),
        ("a member's share twice", given, (s1, s1, s2, s3)),
        ("a member's wrong share is set aside, then its right one taken", given, (wrong_1, s2, s3, s1)),
        ("a member's wrong share after its right one is passed over", given, (s1, wrong_1, s2, s3)),
    ):
        yield Case(
            operation="combine",
            title=title,
            requirements=("IBE-6", "IBE-13", "IBE-14"),
            input=asked | listed(*chosen),
            refused=False,
        )
    opposite = (2, off(s2[1], -1))
    too_few: tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...] = (
        ("no shares", ()),
        ("two shares of three", (s1, s2)),
        ("three shares of two members", (s1, s2, s2)),
        ("three shares, one of them wrong", (s1, wrong_2, s3)),
        ("three shares, one under another member's number", (s1, s2, (4, s3[1]))),
        ("errors that cancel in the sum of the shares", (wrong_1, opposite, s3, s4)),
        ("while a member's wrong share is collected, its right one is passed over", (wrong_1, s1, s2, s3)),
    )
    for title, few in too_few:
        yield Case(
            operation="combine",
            title=title,
            requirements=("IBE-6", "IBE-13"),
            input=given | listed(*few),
            refused=True,
        )


def batch_keys() -> Iterator[Case]:
    right = value()
    honest = encode_batch_key(right, b"")
    for title, given in (
        ("for a batch of one", batch("first")),
        ("for another batch of the height", of(entry(sealed("second")), entry(sealed("third")), round_=9)),
    ):
        yield Case(
            operation="verify_batch_key",
            title=title,
            requirements=("IBE-6", "IBE-12", "IBE-14"),
            input=given | {"batch_key": to_hex(honest)},
            refused=False,
        )
    for title, rule, fault in (
        ("the key of another height", "IBE-6", encode_batch_key(value(HEIGHT + 1), b"")),
        ("a member's share", "IBE-6", encode_batch_key(share(1), b"")),
        ("the negative", "IBE-6", encode_batch_key(bytes([right[0] ^ 0x20]) + right[1:], b"")),
        ("a proof of one byte", "IBE-6", encode_batch_key(right, b"\0")),
        ("a proof that is an empty list", "IBE-6", encode_batch_key(right, counted([]))),
        ("a part of order 3 that the pairing does not see", "IBE-6", encode_batch_key(twisted(right), b"")),
        ("the identity", "IBE-6", encode_batch_key(IDENTITY_BYTES, b"")),
        ("an empty value", "IBE-6", encode_batch_key(b"", b"")),
        ("a value of 49 bytes", "IBE-6", encode_batch_key(right + b"\0", b"")),
        ("a byte follows", "IBE-12", honest + b"\0"),
        ("truncated", "IBE-12", honest[:-1]),
        ("the value alone", "IBE-12", right),
    ):
        yield Case(
            operation="verify_batch_key",
            title=title,
            requirements=(rule,),
            input=batch("first") | {"batch_key": to_hex(fault)},
            refused=True,
        )


def batch_faults() -> Iterator[Case]:
    """The batch is at fault, what is said about it right."""
    stranger = entry(sealed("later", height=HEIGHT + 1), height=HEIGHT + 1)
    first = entry(sealed("first"))
    asked: dict[str, Json] = {
        "partial_decrypt": {"member": "1", "secret": to_hex(encode_scalar(committee().secrets[0]))},
        "verify_share": {"member": "1", "share": to_hex(share(1))},
        "combine": listed(*((member, share(member)) for member in (1, 2, 3))),
        "verify_batch_key": {"batch_key": to_hex(encode_batch_key(value(), b""))},
    }
    for operation, fields in asked.items():
        for title, rule, entries in (
            ("the second entry is addressed to the next height", "IBE-2", [first, stranger]),
            ("the only entry is addressed to the next height", "IBE-2", [stranger]),
            ("the batch is empty", "IBE-3", []),
        ):
            yield Case(
                operation=operation, title=title, requirements=(rule,), input=of(*entries) | fields, refused=True
            )


def openings() -> Iterator[Case]:
    first = entry(sealed("first"))
    key = {"batch_key": to_hex(encode_batch_key(value(), b""))}
    honest = sealed("second")
    for title, second in (
        ("two ciphertexts", honest),
        ("the second was in no batch when the key was made: it opens all the same", sealed("left out")),
        ("one bit of the second's body flipped", honest[:100] + bytes([honest[100] ^ 1]) + honest[101:]),
        ("the second's body is one byte longer", honest + b"\0"),
        ("the second has the negative of its U", bytes([honest[0] ^ 0x20]) + honest[1:]),
        ("the second has the body of a third", honest[:96] + sealed("third")[96:]),
        ("the second was made for the next height", sealed("second", height=HEIGHT + 1)),
        ("the second was made for another name of the key", sealed_for_another_name()),
    ):
        yield opening(title, of(first, entry(second)) | key)
    yield opening("the second has other associated data", of(first, entry(honest, aad=AAD + b"\0")) | key)
    yield opening("the first comes twice", of(first, first) | key)
    yield opening("the key is another height's", of(first) | {"batch_key": to_hex(encode_batch_key(value(8), b""))})
    for title, rule, fault in (
        ("an empty value", "IBE-6", encode_batch_key(b"", b"")),
        ("the value is the identity", "IBE-6", encode_batch_key(IDENTITY_BYTES, b"")),
        ("a byte follows the batch key", "IBE-12", encode_batch_key(value(), b"") + b"\0"),
    ):
        yield Case(
            operation="decrypt",
            title=title,
            requirements=(rule,),
            input=of(first) | {"batch_key": to_hex(fault)},
            refused=True,
        )


def sealed_for_another_name() -> bytes:
    renamed = load_public_key(committee().material.encode(), committee(1, 1).key_id)
    return encrypt(renamed, b"a payload", AAD, HEIGHT, labelled("ibe/another name"))


def opening(title: str, given: Json) -> Case:
    return Case(operation="decrypt", title=title, requirements=("IBE-10", "IBE-15"), input=given, refused=False)
