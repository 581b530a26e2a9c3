"""Inputs for specs/tdh2.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from py_ecc.optimized_bls12_381 import FQ
from spec.notation import (
    G1,
    G1_GENERATOR,
    GF,
    GREATER,
    Json,
    P,
    R,
    Random,
    Scalar,
    add,
    counted,
    draw_scalar,
    encode_g1,
    encode_scalar,
    multiply,
    sized,
    to_hex,
    total,
    u8,
    u16,
    u32,
)
from spec.payload import seal
from spec.tdh2 import (
    Batch,
    Material,
    PublicKey,
    body_key,
    combination,
    combine,
    decode_batch_key,
    encode_batch_key,
    encode_challenge,
    encrypt,
    encryption_challenge,
    load_public_key,
    partial_decrypt,
    share_challenge,
    share_statement,
    share_weights,
    verify_ciphertext,
)

from specs.generate.case import Case, labelled

IDENTITY_BYTES = bytes([0xC0]) + bytes(47)
ORDER_3: G1 = (FQ(0), FQ(2), FQ(1))
"""A point of the curve outside the subgroup: three times it is the identity."""
ORDER_3_BYTES = encode_g1(ORDER_3)
AAD = b"root of a header".ljust(32, b".")


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
def committee(n: int = 4, t: int = 3, *, scheme: int = 1, label: str = "tdh2/key") -> Committee:
    random = labelled(f"{label}/{t} of {n}")
    network = random(32)
    coefficients = [draw_scalar(random) for _ in range(t)]
    secrets = tuple(
        sum((c * GF(j) ** k for k, c in enumerate(coefficients[1:], 1)), coefficients[0]) for j in range(1, n + 1)
    )
    material = Material(
        scheme=scheme,
        threshold=t,
        encryption_key=encode_g1(multiply(G1_GENERATOR, coefficients[0])),
        verification_keys=tuple(encode_g1(multiply(G1_GENERATOR, secret)) for secret in secrets),
        parameters=b"",
    )
    return Committee(material=material, key_id=material.key_id(network), secrets=secrets)


def cases() -> Iterator[Case]:
    yield from key_material()
    yield from ciphertexts()
    yield from ciphertext_faults()
    yield from batches()
    yield from shares()
    yield from share_faults()
    yield from combinations()
    yield from batch_key_faults()
    yield from openings()
    for n, t in ((4, 3), (1, 1)):
        given = {"network": to_hex(labelled("tdh2/network")(32)), "material": committee(n, t).named["material"]}
        title = f"a key of {t} of {n} members"
        yield Case(operation="self_test", title=title, requirements=("TDH-8", "TDH-20"), input=given, refused=False)


# --- keys ------------------------------------------------------------------------------------------------------------


def key_material() -> Iterator[Case]:
    made = committee()
    material, data = made.material, made.material.encode()
    network = labelled("tdh2/network")(32)
    for title, given in (
        ("a key of 3 of 4 members", material),
        ("the same key after a change of members", committee_changed()),
        ("a key with parameters, of another scheme", replace(material, scheme=2, parameters=b"parameters")),
        ("parameters of 47 bytes, which are no piece", replace(material, scheme=3, parameters=bytes(range(47)))),
        ("parameters of one piece without a head", replace(material, scheme=3, parameters=bytes(range(48)))),
        ("parameters of three pieces and a head", replace(material, scheme=3, parameters=bytes(range(148)))),
    ):
        yield Case(
            operation="key_id",
            title=title,
            requirements=("TDH-8",),
            input={"network": to_hex(network), "material": to_hex(given.encode())},
            refused=False,
        )
    for title, fault in (
        ("a byte follows", data + b"\0"),
        ("the last byte is missing", data[:-1]),
        ("the threshold is 0", data[:1] + u16(0) + data[3:]),
        ("the threshold is above the number of members", data[:1] + u16(5) + data[3:]),
        ("no verification keys", replace(material, verification_keys=()).encode()),
        ("1025 members", replace(material, verification_keys=(b"",) * 1025).encode()),
    ):
        yield Case(
            operation="key_id",
            title=title,
            requirements=("TDH-7",),
            input={"network": to_hex(network), "material": to_hex(fault)},
            refused=True,
        )
    for loaded in (made, committee(1, 1), committee(5, 2)):
        yield Case(
            operation="load_public_key",
            title=f"{loaded.key.threshold} of {len(loaded.secrets)} members",
            requirements=("TDH-6",),
            input=loaded.named,
            intermediate={"gbar": to_hex(encode_g1(loaded.key.gbar))},
            refused=False,
        )
    off_by_one = encode_g1(add(made.key.verification_keys[3], G1_GENERATOR))
    keys = material.verification_keys
    for title, rule, wrong in (
        ("the scheme is 2", "TDH-6", replace(material, scheme=2)),
        ("there are parameters", "TDH-6", replace(material, parameters=b"\0")),
        ("the last verification key is off the polynomial", "TDH-6", with_keys(material, *keys[:3], off_by_one)),
        ("two verification keys have changed places", "TDH-6", with_keys(material, keys[1], keys[0], *keys[2:])),
        ("the encryption key is off the polynomial", "TDH-6", replace(material, encryption_key=off_by_one)),
        ("the threshold is 2, the polynomial of degree 2", "TDH-6", replace(material, threshold=2)),
        ("the encryption key is the identity", "TDH-6", replace(material, encryption_key=IDENTITY_BYTES)),
        ("a verification key is the identity", "TDH-6", with_keys(material, *keys[:3], IDENTITY_BYTES)),
        (
            "a verification key is outside the subgroup",
            "TDH-6",
            with_keys(material, *keys[:3], encode_g1(add(made.key.verification_keys[3], ORDER_3))),
        ),
        ("a verification key of 47 bytes", "TDH-6", with_keys(material, *keys[:3], keys[3][:47])),
    ):
        yield Case(
            operation="load_public_key",
            title=title,
            requirements=(rule,),
            input=made.named | {"material": to_hex(wrong.encode())},
            refused=True,
        )
    for label in ("one key id", "another key id"):
        key_id = to_hex(labelled(f"tdh2/gbar/{label}")(32))
        yield Case(operation="second_generator", title=label, requirements=("TDH-9",), input={"key_id": key_id})


def with_keys(material: Material, *keys: bytes) -> Material:
    return replace(material, verification_keys=keys)


def committee_changed() -> Material:
    """Other verification keys and threshold; what is under the key id stays."""
    return replace(committee().material, threshold=1, verification_keys=committee(5, 2).material.verification_keys)


# --- ciphertexts -----------------------------------------------------------------------------------------------------


@cache
def sealed(label: str, plaintext: bytes = b"a payload", aad: bytes = AAD) -> bytes:
    return encrypt(committee().key, plaintext, aad, labelled(f"tdh2/ciphertext/{label}"))


def crafted(
    rho: Scalar, s: Scalar, *, twist_u: G1 | None = None, twist_ubar: G1 | None = None, respelled: bool = False
) -> bytes:
    """A ciphertext whose proof is honest for the bytes of u and ubar as they stand, whatever they are."""
    key = committee().key
    u_point, ubar_point = multiply(G1_GENERATOR, rho), multiply(key.gbar, rho)
    u = encode_g1(u_point if twist_u is None else add(u_point, twist_u))
    ubar = encode_g1(ubar_point if twist_ubar is None else add(ubar_point, twist_ubar))
    if respelled:
        u = beyond_p(u)
    w, wbar = encode_g1(multiply(G1_GENERATOR, s)), encode_g1(multiply(key.gbar, s))
    secret = body_key(key.key_id, encode_g1(multiply(key.h, rho)), u, ubar, AAD)
    body = seal(secret, b"a payload", AAD)
    e = encryption_challenge(key, AAD, u, ubar, w, wbar, body)
    return u + ubar + encode_challenge(e) + encode_scalar(s + rho * e) + body


def beyond_p(point: bytes) -> bytes:
    """The same point with p added to its x: there is room for it in 381 bits."""
    return (int.from_bytes(point, "big") + P).to_bytes(48, "big")


def has_small_x(point: G1) -> bool:
    return int.from_bytes(encode_g1(point), "big") % GREATER + P < GREATER


def passing_twist(twist_u: G1 | None = None, twist_ubar: G1 | None = None, residue: int = 0) -> bytes:
    """The challenge, or r minus it, is a multiple of 3: w and wbar lose the part of order 3, and the proof holds."""
    random = labelled("tdh2/twist/" + ("u" if twist_u else "ubar"))
    rho = draw_scalar(random)
    while True:
        ciphertext = crafted(rho, draw_scalar(random), twist_u=twist_u, twist_ubar=twist_ubar)
        if int.from_bytes(ciphertext[96:112], "big") % 3 == residue:
            return ciphertext


def respelled() -> bytes:
    random = labelled("tdh2/respelled")
    while not has_small_x(multiply(G1_GENERATOR, rho := draw_scalar(random))):
        pass
    return crafted(rho, draw_scalar(random), respelled=True)


def ciphertexts() -> Iterator[Case]:
    made = committee()
    for title, plaintext, aad, label in (
        ("a short plaintext", b"a payload", AAD, "short"),
        ("an empty plaintext and no associated data", b"", b"", "empty"),
        ("a plaintext of 256 bytes", labelled("tdh2/plaintext")(256), AAD, "256"),
        ("the first bytes drawn are no scalar", b"a payload", AAD, "redraw"),
    ):
        random = labelled(f"tdh2/encrypt/{label}")
        prefix = b"\xff" * 32 + bytes(32) if label == "redraw" else b""
        ciphertext = encrypt(made.key, plaintext, aad, random)
        yield Case(
            operation="encrypt",
            title=title,
            requirements=("TDH-2", "TDH-11", "TDH-17"),
            input=made.named
            | {"plaintext": to_hex(plaintext), "aad": to_hex(aad), "random": to_hex(prefix + random.drawn)},
            intermediate=ciphertext_steps(made.key, ciphertext, aad, random.drawn),
            refused=False,
        )
        yield Case(
            operation="verify_ciphertext",
            title=title,
            requirements=("TDH-1", "TDH-2", "TDH-12"),
            input=made.named | {"ciphertext": to_hex(ciphertext), "aad": to_hex(aad)},
            refused=False,
        )
    yield Case(
        operation="encrypt",
        title="the key material is of another scheme",
        requirements=("TDH-6",),
        input={
            "material": to_hex(replace(made.material, scheme=0).encode()),
            "key_id": to_hex(made.key_id),
            "plaintext": "0x",
            "aad": "0x",
            "random": "0x",
        },
        refused=True,
    )


def ciphertext_steps(key: PublicKey, ciphertext: bytes, aad: bytes, drawn: bytes) -> Json:
    random = iter_scalars(drawn)
    rho, s = random
    z = encode_g1(multiply(key.h, rho))
    return {
        "rho": to_hex(encode_scalar(rho)),
        "s": to_hex(encode_scalar(s)),
        "gbar": to_hex(encode_g1(key.gbar)),
        "w": to_hex(encode_g1(multiply(G1_GENERATOR, s))),
        "wbar": to_hex(encode_g1(multiply(key.gbar, s))),
        "Z": to_hex(z),
        "body_key": to_hex(body_key(key.key_id, z, ciphertext[:48], ciphertext[48:96], aad)),
    }


def iter_scalars(drawn: bytes) -> list[Scalar]:
    values = [int.from_bytes(drawn[at : at + 32], "big") % 2**255 for at in range(0, len(drawn), 32)]
    return [GF(value) for value in values if 0 < value < R]


def ciphertext_faults() -> Iterator[Case]:
    made, other = committee(), committee(5, 2)
    honest = sealed("honest")
    e = int.from_bytes(honest[96:112], "big")
    f = int.from_bytes(honest[112:144], "big")
    identity = crafted(GF(0), draw_scalar(labelled("tdh2/identity")))
    second = sealed("second")
    for title, rule, fault in (
        ("u is the identity, ubar too, the proof honest", "TDH-1", identity),
        ("u has a part of order 3 that the proof does not see", "TDH-1", passing_twist(twist_u=ORDER_3)),
        ("the same, multiplied by r minus the challenge", "TDH-1", passing_twist(twist_u=ORDER_3, residue=1)),
        ("ubar has a part of order 3 that the proof does not see", "TDH-1", passing_twist(twist_ubar=ORDER_3)),
        ("u is spelled with x + p, the proof honest", "TDH-1", respelled()),
        ("u is not on the curve", "TDH-1", off_curve() + honest[48:]),
        ("u is not compressed", "TDH-1", bytes([honest[0] & 0x7F]) + honest[1:]),
        ("the response is r more", "TDH-10", honest[:112] + (f + R).to_bytes(32, "big") + honest[144:]),
        ("159 bytes", "TDH-10", sealed("empty", b"")[:159]),
        ("no bytes", "TDH-10", b""),
        ("one bit of the body flipped", "TDH-2", honest[:150] + bytes([honest[150] ^ 1]) + honest[151:]),
        ("one bit of the tag flipped", "TDH-2", honest[:-1] + bytes([honest[-1] ^ 1])),
        ("the body is one byte longer", "TDH-2", honest + b"\0"),
        ("the body of another ciphertext", "TDH-2", honest[:144] + second[144:]),
        ("ubar of another ciphertext", "TDH-2", honest[:48] + second[48:96] + honest[96:]),
        ("the negative of u", "TDH-2", bytes([honest[0] ^ 0x20]) + honest[1:]),
        ("the challenge is one more", "TDH-2", honest[:96] + ((e + 1) % 2**128).to_bytes(16, "big") + honest[112:]),
        ("the response is one more", "TDH-2", honest[:112] + ((f + 1) % R).to_bytes(32, "big") + honest[144:]),
        ("the logarithms of u and ubar differ", "TDH-2", unequal_logarithms()),
    ):
        yield Case(
            operation="verify_ciphertext",
            title=title,
            requirements=(rule,),
            input=made.named | {"ciphertext": to_hex(fault), "aad": to_hex(AAD)},
            refused=True,
        )
    yield Case(
        operation="verify_ciphertext",
        title="other associated data",
        requirements=("TDH-2",),
        input=made.named | {"ciphertext": to_hex(honest), "aad": to_hex(AAD[:-1])},
        refused=True,
    )
    yield Case(
        operation="verify_ciphertext",
        title="another name for the key",
        requirements=("TDH-2", "TDH-9"),
        input=made.named | {"key_id": to_hex(other.key_id), "ciphertext": to_hex(honest), "aad": to_hex(AAD)},
        refused=True,
    )
    yield Case(
        operation="verify_ciphertext",
        title="another key under the same name",
        requirements=("TDH-2",),
        input=other.named | {"key_id": to_hex(made.key_id), "ciphertext": to_hex(honest), "aad": to_hex(AAD)},
        refused=True,
    )


def unequal_logarithms() -> bytes:
    """A Schnorr proof for u alone: ubar belongs to another rho."""
    key, random = committee().key, labelled("tdh2/unequal")
    rho, other, s = (draw_scalar(random) for _ in range(3))
    u, ubar = encode_g1(multiply(G1_GENERATOR, rho)), encode_g1(multiply(key.gbar, other))
    body = seal(body_key(key.key_id, encode_g1(multiply(key.h, rho)), u, ubar, AAD), b"a payload", AAD)
    w, wbar = encode_g1(multiply(G1_GENERATOR, s)), encode_g1(multiply(key.gbar, s))
    e = encryption_challenge(key, AAD, u, ubar, w, wbar, body)
    return u + ubar + encode_challenge(e) + encode_scalar(s + rho * e) + body


def off_curve() -> bytes:
    x = 0
    while pow(x**3 + 4, (P - 1) // 2, P) == 1 or (x**3 + 4) % P == 0:
        x += 1
    return (1 << 383 | x).to_bytes(48, "big")


# --- batches and shares ----------------------------------------------------------------------------------------------

ENTRIES = ("first", "second", "third")


def batch_json(ciphertexts: Sequence[bytes], height: int = 7, round_: int = 3) -> Json:
    entries = [{"ciphertext": to_hex(ciphertext), "aad": to_hex(AAD)} for ciphertext in ciphertexts]
    return {"height": str(height), "round": str(round_), "entries": entries}


@cache
def batch(*labels: str, height: int = 7, round_: int = 3) -> Batch:
    key = committee().key
    entries = tuple(verify_ciphertext(key, sealed(label), AAD) for label in labels)
    return Batch(key_id=key.key_id, height=height, round=round_, entries=entries)


def of(given: Batch) -> Json:
    ciphertexts = [entry.data for entry in given.entries]
    return committee().named | {"batch": batch_json(ciphertexts, given.height, given.round)}


@cache
def share(member: int, *labels: str) -> bytes:
    random = labelled(f"tdh2/share/{member}/{'+'.join(labels)}")
    return partial_decrypt(committee().key, batch(*labels), member, committee().secrets[member - 1], random)


def batches() -> Iterator[Case]:
    for title, given in (
        ("three ciphertexts", batch_json([sealed(label) for label in ENTRIES])),
        ("the same in another order", batch_json([sealed(label) for label in reversed(ENTRIES)])),
        ("another height", batch_json([sealed(label) for label in ENTRIES], height=8)),
        ("another round", batch_json([sealed(label) for label in ENTRIES], round_=4)),
        ("one ciphertext, greatest height and round", batch_json([sealed("first")], 2**64 - 1, 2**64 - 1)),
        ("no ciphertext", batch_json([])),
    ):
        yield Case(
            operation="batch_digest",
            title=title,
            requirements=("TDH-12", "TDH-13"),
            input={"key_id": to_hex(committee().key_id), "batch": given},
            refused=False,
        )


def shares() -> Iterator[Case]:
    made = committee()
    for title, member, labels in (
        ("a batch of one", 1, ENTRIES[:1]),
        ("a batch of three", 4, ENTRIES),
        ("one ciphertext twice", 2, ("first", "first")),
        ("an empty batch", 3, ()),
    ):
        random = labelled(f"tdh2/share/{member}/{'+'.join(labels)}")
        data = share(member, *labels)
        partial_decrypt(made.key, batch(*labels), member, made.secrets[member - 1], random)
        statement = share_statement(made.key, batch(*labels), member, data[:-48])
        factors = share_weights(batch(*labels), member, statement)
        yield Case(
            operation="partial_decrypt",
            title=title,
            requirements=("TDH-4", "TDH-14", "TDH-17", "TDH-18"),
            input=of(batch(*labels))
            | {
                "member": str(member),
                "secret": to_hex(encode_scalar(made.secrets[member - 1])),
                "random": to_hex(random.drawn),
            },
            intermediate={"digest": to_hex(batch(*labels).digest), "weights": [str(int(w)) for w in factors]},
            refused=False,
        )
        yield Case(
            operation="verify_share",
            title=title,
            requirements=("TDH-3", "TDH-4", "TDH-14"),
            input=of(batch(*labels)) | {"member": str(member), "share": to_hex(data)},
            refused=False,
        )
    honest, bad = sealed("first"), sealed("second")
    yield Case(
        operation="partial_decrypt",
        title="the second ciphertext fails its check: no share",
        requirements=("TDH-2", "TDH-18"),
        input=made.named
        | {
            "batch": batch_json([honest, bad[:-1] + bytes([bad[-1] ^ 1])]),
            "member": "1",
            "secret": to_hex(encode_scalar(made.secrets[0])),
            "random": to_hex(labelled("tdh2/no share")(64)),
        },
        refused=True,
    )


def forged_share(member: int, labels: tuple[str, ...], points: Sequence[G1], secret: Scalar, random: Random) -> bytes:
    """A share with the given points and the proof that an honest member would make for `secret`."""
    key, given = committee().key, batch(*labels)
    data = b"".join(map(encode_g1, points))
    statement = share_statement(key, given, member, data)
    base = combination([entry.u for entry in given.entries], share_weights(given, member, statement))
    s = draw_scalar(random)
    c = share_challenge(given, member, statement, multiply(G1_GENERATOR, s), multiply(base, s))
    return data + encode_challenge(c) + encode_scalar(s + c * secret)


def twisted_share(residue: int = 0) -> bytes:
    """A point has a part of order 3, and the challenge, or r minus it, is a multiple of 3: the proof holds."""
    secret, random = committee().secrets[0], labelled("tdh2/twisted share")
    (entry,) = batch("first").entries
    points = [add(multiply(entry.u, secret), ORDER_3)]
    while True:
        data = forged_share(1, ("first",), points, secret, random)
        if int.from_bytes(data[48:64], "big") % 3 == residue:
            return data


def cancelling_share() -> bytes:
    """Errors in two points that add up to nothing: equal weights would let them pass."""
    secret = committee().secrets[0]
    first, second = (multiply(entry.u, secret) for entry in batch("first", "second").entries)
    points = [add(first, G1_GENERATOR), add(second, multiply(G1_GENERATOR, -1))]
    return forged_share(1, ("first", "second"), points, secret, labelled("tdh2/cancelling share"))


def wrong_secret_share() -> bytes:
    secret = committee().secrets[1]
    points = [multiply(entry.u, secret) for entry in batch("first").entries]
    return forged_share(1, ("first",), points, secret, labelled("tdh2/wrong secret"))


def share_faults() -> Iterator[Case]:
    one, two = share(1, "first"), share(1, "first", "second")
    z = int.from_bytes(one[-32:], "big")
    c_plus_1 = ((int.from_bytes(one[48:64], "big") + 1) % 2**128).to_bytes(16, "big")
    for title, rule, labels, member, data in (
        ("member 0", "TDH-3", ("first",), 0, one),
        ("member 5 of 4", "TDH-3", ("first",), 5, one),
        ("one byte too many", "TDH-3", ("first",), 1, one + b"\0"),
        ("a point too few", "TDH-3", ("first", "second"), 1, two[48:]),
        ("no bytes", "TDH-3", ("first",), 1, b""),
        ("a point is the identity", "TDH-3", ("first",), 1, IDENTITY_BYTES + one[48:]),
        ("a point has a part of order 3 that the proof does not see", "TDH-3", ("first",), 1, twisted_share()),
        ("the same, multiplied by r minus the challenge", "TDH-3", ("first",), 1, twisted_share(1)),
        ("a point is not on the curve", "TDH-3", ("first",), 1, off_curve() + one[48:]),
        ("the response is r more", "TDH-3", ("first",), 1, one[:-32] + (z + R).to_bytes(32, "big")),
        ("the response is one more", "TDH-4", ("first",), 1, one[:-32] + ((z + 1) % R).to_bytes(32, "big")),
        ("the challenge is one more", "TDH-4", ("first",), 1, one[:48] + c_plus_1 + one[64:]),
        ("another member's share", "TDH-4", ("first",), 2, one),
        ("a share for another batch", "TDH-4", ("second",), 1, one),
        ("the points have changed places", "TDH-4", ("first", "second"), 1, two[48:96] + two[:48] + two[96:]),
        ("the negative of a point", "TDH-4", ("first",), 1, bytes([one[0] ^ 0x20]) + one[1:]),
        ("errors in two points cancel", "TDH-4", ("first", "second"), 1, cancelling_share()),
        ("made with another member's secret, the proof too", "TDH-4", ("first",), 1, wrong_secret_share()),
    ):  # fmt: skip
        yield Case(
            operation="verify_share",
            title=title,
            requirements=(rule,),
            input=of(batch(*labels)) | {"member": str(member), "share": to_hex(data)},
            refused=True,
        )
    for title, given in (
        ("a share for another height", batch("first", height=8)),
        ("a share for another round", batch("first", round_=4)),
    ):
        yield Case(
            operation="verify_share",
            title=title,
            requirements=("TDH-4", "TDH-13"),
            input=of(given) | {"member": "1", "share": to_hex(one)},
            refused=True,
        )


# --- combining and opening -------------------------------------------------------------------------------------------


def listed(*shares: tuple[int, bytes]) -> Json:
    return {"shares": [{"member": str(member), "share": to_hex(data)} for member, data in shares]}


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def combinations() -> Iterator[Case]:
    labels = ("first", "second")
    s1, s2, s3, s4 = ((member, share(member, *labels)) for member in (1, 2, 3, 4))
    given = of(batch(*labels))
    for title, chosen in (
        ("members 1, 2, 3", (s1, s2, s3)),
        ("members 4, 1, 3, out of order: the same value", (s4, s1, s3)),
        ("four shares: the first three are taken", (s1, s2, s3, s4)),
        ("a wrong share is set aside", (s1, (2, flipped(s2[1])), s3, s4)),
        ("a member's share twice", (s1, s1, s2, s3)),
        ("a member's wrong share, then its right one", ((1, flipped(s1[1])), s1, s2, s3)),
    ):
        yield Case(
            operation="combine",
            title=title,
            requirements=("TDH-5", "TDH-19"),
            input=given | listed(*chosen),
            refused=False,
        )
    too_few: tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...] = (
        ("two shares of three", (s1, s2)),
        ("three shares of two members", (s1, s2, s2)),
        ("three shares, one of them wrong", (s1, s2, (3, flipped(s3[1])))),
        ("three shares, one under another member's number", (s1, s2, (4, s3[1]))),
    )
    for title, few in too_few:
        yield Case(
            operation="combine",
            title=title,
            requirements=("TDH-5", "TDH-19"),
            input=given | listed(*few),
            refused=True,
        )


@cache
def combined(*labels: str) -> bytes:
    shares_ = [(member, share(member, *labels)) for member in (1, 2, 3)]
    return combine(committee().key, batch(*labels), shares_)[0]


def batch_key_faults() -> Iterator[Case]:
    labels = ("first", "second")
    honest = combined(*labels)
    value, proof = decode_batch_key(honest)
    given = of(batch(*labels))
    s1, s2, s3, s4 = (u16(member) + share(member, *labels) for member in (1, 2, 3, 4))
    other_value = total([G1_GENERATOR, G1_GENERATOR])
    for title, rules, batch_key in (
        ("of members 1, 2, 3", ("TDH-5", "TDH-15"), honest),
        ("of members 1, 3, 4: the same value", ("TDH-5", "TDH-19"), encode_batch_key(value, counted([s1, s3, s4]))),
    ):
        yield Case(
            operation="verify_batch_key",
            title=title,
            requirements=rules,
            input=given | {"batch_key": to_hex(batch_key)},
            refused=False,
        )
    for title, rule, fault in (
        ("the value's first point is another", "TDH-5", encode_batch_key(encode_g1(other_value) + value[48:], proof)),
        ("the value's points have changed places", "TDH-5", encode_batch_key(value[48:] + value[:48], proof)),
        ("the value is one point short", "TDH-5", encode_batch_key(value[:48], proof)),
        ("two shares of three", "TDH-5", encode_batch_key(value, counted([s1, s2]))),
        ("four shares for a threshold of three", "TDH-5", encode_batch_key(value, counted([s1, s2, s3, s4]))),
        ("the shares are not ascending", "TDH-5", encode_batch_key(value, counted([s2, s1, s3]))),
        ("a share twice", "TDH-5", encode_batch_key(value, counted([s1, s2, s2]))),
        ("no shares", "TDH-5", encode_batch_key(value, counted([]))),
        ("a share's proof does not hold", "TDH-4", encode_batch_key(value, counted([s1, s2, flipped(s3)]))),
        ("a share is one byte short", "TDH-3", encode_batch_key(value, counted([s1, s2, s3[:-1]]))),
        ("a share of member 5 of 4", "TDH-3", encode_batch_key(value, counted([s1, s2, u16(5) + s3[2:]]))),
        ("a byte follows", "TDH-15", honest + b"\0"),
        ("a byte follows within the proof", "TDH-15", encode_batch_key(value, proof + b"\0")),
        ("truncated", "TDH-15", honest[:-1]),
        ("the proof announces four shares and holds three", "TDH-15", encode_batch_key(value, u32(4) + proof[4:])),
        ("there is no proof", "TDH-15", encode_batch_key(value, b"")),
    ):
        yield Case(
            operation="verify_batch_key",
            title=title,
            requirements=(rule,),
            input=given | {"batch_key": to_hex(fault)},
            refused=True,
        )


def openings() -> Iterator[Case]:
    made = committee()
    labels = ("first", "second")
    value, _ = decode_batch_key(combined(*labels))
    unopenable = sealed_with_other_key()
    wrong = encode_g1(total([G1_GENERATOR, G1_GENERATOR]))
    for title, given, points in (
        ("two ciphertexts", [sealed(label) for label in labels], value),
        ("no ciphertext", [], b""),
        ("the first was sealed with another key", [unopenable, sealed("second")], opened(unopenable) + value[48:]),
        ("the second point is another", [sealed(label) for label in labels], value[:48] + wrong),
    ):
        yield Case(
            operation="decrypt",
            title=title,
            requirements=("TDH-11", "TDH-16"),
            input=made.named | {"batch": batch_json(given), "batch_key": to_hex(encode_batch_key(points, counted([])))},
            refused=False,
        )
    for title, points in (("one point for two ciphertexts", value[:48]), ("a point cut off", value[:-1])):
        yield Case(
            operation="decrypt",
            title=title,
            requirements=("TDH-16",),
            input=of(batch(*labels)) | {"batch_key": to_hex(encode_batch_key(points, b""))},
            refused=True,
        )
    yield Case(
        operation="decrypt",
        title="a byte follows the batch key",
        requirements=("TDH-15",),
        input=of(batch(*labels)) | {"batch_key": to_hex(sized(value) + sized(b"") + u8(0))},
        refused=True,
    )


def sealed_with_other_key() -> bytes:
    """Passes every public check, and nobody can open it."""
    key, random = committee().key, labelled("tdh2/unopenable")
    rho, s = draw_scalar(random), draw_scalar(random)
    u, ubar = encode_g1(multiply(G1_GENERATOR, rho)), encode_g1(multiply(key.gbar, rho))
    body = seal(random(32), b"a payload", AAD)
    w, wbar = encode_g1(multiply(G1_GENERATOR, s)), encode_g1(multiply(key.gbar, s))
    e = encryption_challenge(key, AAD, u, ubar, w, wbar, body)
    return u + ubar + encode_challenge(e) + encode_scalar(s + rho * e) + body


def opened(ciphertext: bytes) -> bytes:
    """[x]u, from the secrets of members 1, 2, 3."""
    key, secrets = committee().key, committee().secrets
    entry = verify_ciphertext(key, ciphertext, AAD)
    given = Batch(key_id=key.key_id, height=7, round=3, entries=(entry,))
    random = labelled("tdh2/opened")
    shares_ = [(m, partial_decrypt(key, given, m, secrets[m - 1], random)) for m in (1, 2, 3)]
    return decode_batch_key(combine(key, given, shares_)[0])[0]
