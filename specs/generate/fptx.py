"""Inputs for specs/fptx.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count, product

from spec.fptx import (
    ED_BASE,
    ED_FIELD,
    ED_ORDER,
    ED_ZERO,
    SIGN_BIT,
    Batch,
    Edwards,
    PublicKey,
    body_key,
    combine,
    contribute,
    digest,
    ed_add,
    ed_challenge,
    ed_decode,
    ed_encode,
    ed_multiply,
    ed_secret,
    encode_parameters,
    encrypt,
    identity,
    load_public_key,
    one_time_key,
    opening,
    partial_decrypt,
    row_bytes,
    self_test_batch,
    sign,
    signed,
    signed_message,
    start,
    step_challenge,
    step_context,
    verify_ciphertext,
    with_roots,
)
from spec.notation import (
    G1,
    G1_GENERATOR,
    G2_GENERATOR,
    GF,
    GREATER,
    Json,
    P,
    R,
    Scalar,
    Tag,
    add,
    decode_g1,
    decode_g2,
    draw_scalar,
    encode_g1,
    encode_g2,
    encode_gt,
    encode_scalar,
    multiply,
    negate,
    pairing,
    sized,
    tagged_hash,
    to_hex,
    u8,
    u16,
    u32,
)
from spec.payload import seal
from spec.tdh2 import Material, decode_batch_key, encode_batch_key

from specs.generate.case import Case, labelled
from specs.generate.ibe import G2_IDENTITY_BYTES, off, off_g2_curve, order_13, twisted
from specs.generate.tdh2 import AAD, IDENTITY_BYTES, beyond_p, has_small_x, listed, off_curve, with_keys

B, Q = 2, 2
HEADER = 104
CEREMONY = labelled("fptx/ceremony")(32)


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
def committee(n: int = 3, t: int = 2) -> Committee:
    random = labelled(f"fptx/key/{t} of {n}")
    network = random(32)
    coefficients = [draw_scalar(random) for _ in range(t)]
    secrets = tuple(
        sum((c * GF(j) ** k for k, c in enumerate(coefficients[1:], 1)), coefficients[0]) for j in range(1, n + 1)
    )
    material = Material(
        scheme=4,
        threshold=t,
        encryption_key=encode_g2(multiply(G2_GENERATOR, coefficients[0])),
        verification_keys=tuple(encode_g2(multiply(G2_GENERATOR, secret)) for secret in secrets),
        parameters=rows(),
    )
    return Committee(material=material, key_id=material.key_id(network), secrets=secrets)


def cases() -> Iterator[Case]:
    yield from parameters()
    yield from contributions()
    yield from messages()
    yield from conclusions()
    yield from key_material()
    yield from signatures()
    yield from ciphertexts()
    yield from ciphertext_faults()
    yield from batches()
    yield from batch_faults()
    yield from share_faults()
    yield from combinations()
    yield from batch_keys()
    yield from openings()
    for n, t in ((3, 2), (1, 1)):
        given = {"network": to_hex(labelled("fptx/network")(32)), "material": committee(n, t).named["material"]}
        title = f"a key of {t} of {n} members"
        yield Case(operation="self_test", title=title, requirements=("FPT-9", "FPT-20"), input=given, refused=False)


# --- parameters ------------------------------------------------------------------------------------------------------


def dealt(tau: Scalar, factors: Sequence[Scalar], batch: int = B) -> bytes:
    made = [[multiply(G1_GENERATOR, factor * tau**j) for j in range(batch + 1)] for factor in factors]
    return encode_parameters(multiply(G2_GENERATOR, tau), made)


@cache
def secrets_of_rows() -> tuple[Scalar, tuple[Scalar, ...]]:
    """tau and the factor of each row."""
    random = labelled("fptx/rows")
    return draw_scalar(random), tuple(draw_scalar(random) for _ in range(Q + 1))


@cache
def rows() -> bytes:
    return dealt(*secrets_of_rows())


def placed(data: bytes, round_: int, index: int, point: bytes) -> bytes:
    """The parameters with another point there."""
    at = HEADER + 48 * ((decode_batch(data) + 1) * round_ + index)
    return data[:at] + point + data[at + 48 :]


def decode_batch(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")


def point_at(data: bytes, round_: int, index: int) -> bytes:
    return row_bytes(data, round_)[index]


def with_tau(data: bytes, tau: bytes) -> bytes:
    return data[:8] + tau + data[HEADER:]


def moved(data: bytes, round_: int, index: int, error: int = 1) -> bytes:
    """The parameters with that many generators more at this place."""
    return placed(data, round_, index, off(point_at(data, round_, index), error))


def parameters() -> Iterator[Case]:
    right = rows()
    (tau, factors), size = secrets_of_rows(), len(rows())
    tau_bytes = right[8:HEADER]
    for title, data in (
        ("batches of 2 in 2 rounds", right),
        ("batches of 1 in 1 round", dealt(tau, factors[:2], batch=1)),
        ("three contributions", contributed((1, 2, 3))),
    ):
        yield Case(
            operation="verify_parameters",
            title=title,
            requirements=("PTX-1", "PTX-2", "PTX-11"),
            input={"parameters": to_hex(data)},
            refused=False,
        )
    one, last = point_at(right, 1, 1), point_at(right, 2, B)
    for title, rule, fault in (
        ("no bytes", "PTX-11", b""),
        ("the header alone", "PTX-11", right[:HEADER]),
        ("a byte follows", "PTX-11", right + b"\0"),
        ("the last byte is missing", "PTX-11", right[:-1]),
        ("a row is missing", "PTX-11", right[: size - 48 * (B + 1)]),
        ("batches of none", "PTX-11", u32(0) + u32(Q) + right[8 : HEADER + 48 * (Q + 1)]),
        ("no rounds", "PTX-11", u32(B) + u32(0) + right[8 : HEADER + 48 * (B + 1)]),
        ("2^32 - 1 rounds are announced", "PTX-11", right[:4] + b"\xff" * 4 + right[8:]),
        ("T is the identity", "PTX-11", with_tau(right, G2_IDENTITY_BYTES)),
        (
            "T has a part of order 13",
            "PTX-11",
            with_tau(right, encode_g2(add(decode_g2(tau_bytes), order_13()))),
        ),
        ("T is not on the curve", "PTX-11", with_tau(right, off_g2_curve())),
        ("a point is the identity", "PTX-11", placed(right, 0, 2, IDENTITY_BYTES)),
        ("a point has a part of order 3", "PTX-11", placed(right, 1, 1, twisted(one))),
        ("a point is not on the curve", "PTX-11", placed(right, 2, 0, off_curve())),
        ("a point is not compressed", "PTX-11", placed(right, 1, 1, bytes([one[0] & 0x7F]) + one[1:])),
        ("row 0 begins with another point", "PTX-1", moved(right, 0, 0)),
        ("another point within row 1", "PTX-1", moved(right, 1, 1)),
        ("the last point of row 2 is another", "PTX-1", moved(right, 2, B)),
        ("the last point of row 2 is its negative", "PTX-1", placed(right, 2, B, bytes([last[0] ^ 0x20]) + last[1:])),
        ("the last points of two rows have changed places", "PTX-1", exchanged(right)),
        ("errors in two rows cancel", "PTX-1", moved(moved(right, 1, B), 2, B, -1)),
        ("T is that of twice tau", "PTX-1", with_tau(right, encode_g2(multiply(decode_g2(tau_bytes), 2)))),
        ("the start: tau is 1", "PTX-2", start(B, Q)),
        ("tau is -1", "PTX-2", dealt(GF(R - 1), factors)),
        ("two rounds have one row", "PTX-2", dealt(tau, (factors[0], factors[1], factors[1]))),
        ("round 1 has the row of the self-test", "PTX-2", dealt(tau, (factors[0], factors[0], factors[1]))),
        (
            "a row is the one before, shifted by a power of tau",
            "PTX-2",
            dealt(tau, (factors[0], factors[1], factors[1] * tau)),
        ),
    ):
        yield Case(
            operation="verify_parameters",
            title=title,
            requirements=(rule,),
            input={"parameters": to_hex(fault)},
            refused=True,
        )


def exchanged(data: bytes) -> bytes:
    first, second = point_at(data, 1, B), point_at(data, 2, B)
    return placed(placed(data, 1, B, second), 2, B, first)


# --- contributions ---------------------------------------------------------------------------------------------------


@cache
def contribution(contributors: tuple[int, ...], batch: int = B) -> tuple[bytes, bytes]:
    """Parameters and proof of the last of these contributors."""
    random = labelled(f"fptx/contribution/{contributors}/{batch}")
    return contribute(contributed(contributors[:-1], batch), CEREMONY, contributors[-1], random)


def contributed(contributors: tuple[int, ...], batch: int = B) -> bytes:
    return contribution(contributors, batch)[0] if contributors else start(batch, Q)


def step(before: bytes, after: bytes, proof: bytes, contributor: int, ceremony_id: bytes = CEREMONY) -> Json:
    return {
        "before": to_hex(before),
        "after": to_hex(after),
        "proof": to_hex(proof),
        "ceremony_id": to_hex(ceremony_id),
        "contributor": str(contributor),
    }


def chosen_contribution(delta: Scalar, factors: Sequence[Scalar]) -> tuple[bytes, bytes]:
    """Member 1's contribution with these factors, which it proves like any other."""
    drawn = b"".join(map(encode_scalar, (delta, *factors))) + labelled("fptx/chosen contribution")(512)
    pieces = iter([drawn[at : at + 32] for at in range(0, len(drawn), 32)])
    return contribute(start(B, Q), CEREMONY, 1, lambda _: next(pieces))


def forged_step(before: bytes, after: bytes, proof: bytes, contributor: int) -> bytes:
    """The commitment for tau computed from a challenge and a response; then it is another that was challenged."""
    commitment, response = encode_g2(G2_GENERATOR), proof[96:128]
    context = step_context(CEREMONY, contributor, before)
    c = step_challenge(context, before[8:HEADER], after[8:HEADER], commitment)
    z = multiply(decode_g2(before[8:HEADER]), GF(int.from_bytes(response, "big")))
    fitting = add(z, negate(multiply(decode_g2(after[8:HEADER]), c)))
    return encode_g2(fitting) + proof[96:]


def contributions() -> Iterator[Case]:
    for batch, rounds in ((B, Q), (1, 1)):
        yield Case(
            operation="start",
            title=f"batches of {batch} in {rounds} rounds",
            requirements=("PTX-11", "PTX-14"),
            input={"batch": str(batch), "rounds": str(rounds)},
            refused=False,
        )
    for title, contributors in (("the first", (1,)), ("the second", (1, 2)), ("the third, without the second", (1, 3))):
        before = contributed(contributors[:-1])
        random = labelled(f"fptx/contribution/{contributors}/{B}")
        after, proof = contribute(before, CEREMONY, contributors[-1], random)
        yield Case(
            operation="contribute",
            title=title,
            requirements=("PTX-12", "PTX-13"),
            input={
                "before": to_hex(before),
                "ceremony_id": to_hex(CEREMONY),
                "contributor": str(contributors[-1]),
                "random": to_hex(random.drawn),
            },
            refused=False,
        )
        yield Case(
            operation="verify_contribution",
            title=title,
            requirements=("PTX-1", "PTX-2", "PTX-3", "PTX-4", "PTX-12"),
            input=step(before, after, proof, contributors[-1]),
            refused=False,
        )
    before, (after, proof) = contributed((1,)), contribution((1, 2))
    tau_z, row_z = 96 + 31, 128 + 48 + 31
    smaller, smaller_proof = contribution((1, 2), batch=1)
    unlike = moved(before, 1, 1)
    random = labelled("fptx/equal rows")
    delta, first, second = (draw_scalar(random) for _ in range(3))
    equal_rows = chosen_contribution(delta, (first, second, second))
    shifted = chosen_contribution(delta, (first, second, second * delta))
    unmoved = chosen_contribution(GF(1), (first, second, second + GF(1)))
    response = int.from_bytes(proof[96:128], "big")
    for title, rules, given in (
        ("another ceremony", ("PTX-3",), step(before, after, proof, 2, labelled("fptx/other ceremony")(32))),
        ("another contributor's number", ("PTX-3",), step(before, after, proof, 3)),
        ("other parameters before, whose first points are the same", ("PTX-3",), step(unlike, after, proof, 2)),
        ("the start as the parameters before", ("PTX-3",), step(start(B, Q), after, proof, 2)),
        ("the response for tau is one more", ("PTX-3",), step(before, after, plus_one(proof, tau_z), 2)),
        ("the response for row 0 is one more", ("PTX-3",), step(before, after, plus_one(proof, row_z), 2)),
        ("the response for the last row is one more", ("PTX-3",), step(before, after, plus_one(proof, -1), 2)),
        (
            "the proofs of two rows have changed places",
            ("PTX-3",),
            step(before, after, proof[:128] + proof[208:288] + proof[128:208] + proof[288:], 2),
        ),
        ("the proofs of another contribution", ("PTX-3",), step(before, after, contribution((1, 3))[1], 2)),
        (
            "the commitment for tau fits challenge and response, but is not in the challenge",
            ("PTX-3",),
            step(before, after, forged_step(before, after, proof, 2), 2),
        ),
        ("the commitment for tau is the identity", ("PTX-12",), step(before, after, G2_IDENTITY_BYTES + proof[96:], 2)),
        (
            "the response for tau is r more",
            ("PTX-12",),
            step(before, after, proof[:96] + (response + R).to_bytes(32, "big") + proof[128:], 2),
        ),
        (
            "the commitment for row 0 has a part of order 3",
            ("PTX-12",),
            step(before, after, proof[:128] + twisted(proof[128:176]) + proof[176:], 2),
        ),
        ("a byte follows the proofs", ("PTX-12",), step(before, after, proof + b"\0", 2)),
        ("the proof of the last row is missing", ("PTX-12",), step(before, after, proof[:-80], 2)),
        ("B is 1, and was 2", ("PTX-4",), step(before, smaller, smaller_proof, 2)),
        ("a byte follows the parameters", ("PTX-11",), step(before, after + b"\0", proof, 2)),
        ("a point is the identity", ("PTX-11",), step(before, placed(after, 2, B, IDENTITY_BYTES), proof, 2)),
        ("the last point of row 2 is another", ("PTX-1",), step(before, moved(after, 2, B), proof, 2)),
        ("T is not multiplied, and tau stays 1: proven", ("PTX-2",), step(start(B, Q), *unmoved, 1)),
        ("two rows that were equal keep so: proven", ("PTX-2",), step(start(B, Q), *equal_rows, 1)),
        ("a factor of a row is another one's times delta: proven", ("PTX-2",), step(start(B, Q), *shifted, 1)),
    ):  # fmt: skip
        yield Case(operation="verify_contribution", title=title, requirements=rules, input=given, refused=True)


def plus_one(data: bytes, at: int) -> bytes:
    """The response that ends there, one more: its last byte is below 255 in these proofs."""
    at %= len(data)
    assert data[at] < 255
    return data[:at] + bytes([data[at] + 1]) + data[at + 1 :]


def envelope(payload: bytes, number: int = 1, sender: int = 2) -> bytes:
    return u8(number) + u16(sender) + sized(payload) + labelled("fptx/a signature nobody looks at")(65)


def messages() -> Iterator[Case]:
    after, proof = contribution((1, 2))
    first = bytes(32) + contributed((1,)) + contribution((1,))[1]
    payload = labelled("fptx/name before")(32) + after + proof
    limits = {"ceremony_id": to_hex(CEREMONY), "batch": str(B), "rounds": str(Q)}
    for title, message in (
        ("the first contribution", envelope(first, sender=1)),
        ("a contribution on another one", envelope(payload)),
        ("the sender and the points are not looked at", envelope(bytes(len(payload)), sender=0)),
    ):
        yield Case(
            operation="read_contribution",
            title=title,
            requirements=("PTX-5", "PTX-8", "PTX-15"),
            input=limits | {"message": to_hex(message)},
            refused=False,
        )
    whole = envelope(payload)
    for title, rule, fault in (
        ("there is no round 0", "PTX-5", envelope(payload, number=0)),
        ("a message of the key ceremony", "PTX-5", envelope(payload, number=3)),
        ("a byte follows", "PTX-5", whole + b"\0"),
        ("the signature is one byte short", "PTX-5", whole[:-1]),
        ("the payload is announced longer than the message", "PTX-5", whole[:3] + u32(2**20) + whole[7:]),
        ("no bytes", "PTX-5", b""),
        ("the payload is one byte longer", "PTX-8", envelope(payload + b"\0")),
        ("the payload is one byte short", "PTX-8", envelope(payload[:-1])),
        ("the name before is missing", "PTX-8", envelope(payload[32:])),
    ):
        yield Case(
            operation="read_contribution",
            title=title,
            requirements=(rule,),
            input=limits | {"message": to_hex(fault)},
            refused=True,
        )
    for title, ceremony_id, data in (
        ("a ceremony and its parameters", CEREMONY, after),
        ("another ceremony", labelled("fptx/other ceremony")(32), after),
        ("other parameters", CEREMONY, rows()),
    ):
        yield Case(
            operation="key_ceremony_id",
            title=title,
            requirements=("PTX-15",),
            input={"ceremony_id": to_hex(ceremony_id), "parameters": to_hex(data)},
            refused=False,
        )


def said(sender: int, *before: int, payload: bytes | None = None) -> tuple[bytes, bytes]:
    """The message of a member that contributes after these, and its name."""
    if payload is None:
        base = said(before[-1], *before[:-1])[1] if before else bytes(32)
        payload = base + b"".join(contribution((*before, sender)))
    return envelope(payload, sender=sender), tagged_hash(Tag.POWERS_MESSAGE, CEREMONY, u8(1), u16(sender), payload)


def conclusions() -> Iterator[Case]:
    limits = {"ceremony_id": to_hex(CEREMONY), "n": "3", "t": "2", "batch": str(B), "rounds": str(Q)}
    (one, name_1), (two, name_2), (three, _) = said(1), said(2, 1), said(3, 1, 2)
    two_alone, three_on_one = said(2)[0], said(3, 1)[0]
    after, proof = contribution((1, 2))
    of_three, proof_of_three = contribution((1, 3))
    wrong_proof = said(2, payload=name_1 + after + plus_one(proof, -1))[0]
    wrong_point = said(2, payload=name_1 + moved(after, 2, B) + proof)[0]
    no_point = said(2, payload=name_1 + placed(after, 2, B, IDENTITY_BYTES) + proof)[0]
    short = said(2, payload=name_1 + after)[0]
    backwards = said(1, payload=name_2 + of_three + proof_of_three)[0]
    nowhere = said(2, payload=name_2 + after + proof)[0]
    other_two = said(2, payload=name_1 + b"".join(another_contribution()))[0]
    for title, rules, spoken in (
        ("all three, one after the other", (), (one, two, three)),
        ("the same, heard in another order, some twice", (), (three, one, one, two, three)),
        ("the second is missing", ("PTX-7",), (one, three_on_one)),
        ("two branches: the longer counts", (), (one, two_alone, three_on_one)),
        ("the second signs two: the branch that goes on counts", ("PTX-6",), (one, other_two, two, three)),
        ("two branches of equal length: the smaller name", (), (one, two, three_on_one)),
        ("the same in another order", (), (three_on_one, one, two)),
        ("the second signs two: who has signed one counts", ("PTX-6",), (one, two, other_two, three_on_one)),
        ("the same in another order", ("PTX-6",), (one, three_on_one, other_two, two)),
        ("the second proves nothing", ("PTX-3",), (one, wrong_proof, three_on_one)),
        ("the second has a wrong point", ("PTX-1",), (one, wrong_point, three_on_one)),
        ("the second has a point that is none", ("PTX-8",), (one, no_point, three_on_one)),
        ("the second has no proof", ("PTX-8",), (one, short, three_on_one)),
        ("the second builds on what nobody has heard", ("PTX-8",), (one, nowhere, three_on_one)),
        ("the first builds on the second as well", ("PTX-6", "PTX-7"), (one, two, backwards)),
    ):  # fmt: skip
        yield Case(
            operation="conclude",
            title=title,
            requirements=(*rules, "PTX-10", "PTX-15"),
            input=limits | {"messages": list(map(to_hex, spoken))},
            refused=False,
        )
    for title, few in (
        ("nobody contributes", ()),
        ("one of two that are needed", (one,)),
        ("two branches of one", (one, two_alone)),
        ("the second signs two and nobody builds on them", (one, two, other_two)),
        ("the second proves nothing", (one, wrong_proof)),
        ("the second builds on what is not valid", (two,)),
    ):
        yield Case(
            operation="conclude",
            title=title,
            requirements=("PTX-10",),
            input=limits | {"messages": list(map(to_hex, few))},
            refused=True,
        )


@cache
def another_contribution() -> tuple[bytes, bytes]:
    return contribute(contributed((1,)), CEREMONY, 2, labelled("fptx/another contribution"))


# --- keys and one-time signatures ------------------------------------------------------------------------------------


def key_material() -> Iterator[Case]:
    made = committee()
    material, keys = made.material, made.material.verification_keys
    bad_row = replace(material, parameters=placed(rows(), 2, 1, IDENTITY_BYTES))
    for title, given in (
        ("2 of 3 members", made.named),
        ("1 of 1 member", committee(1, 1).named),
        ("the identity is in a row: rows are looked at later", made.named | {"material": to_hex(bad_row.encode())}),
    ):  # fmt: skip
        yield Case(
            operation="load_public_key",
            title=title,
            requirements=("FPT-8", "FPT-9", "FPT-11"),
            input=given,
            refused=False,
        )
    other = encode_g2(add(made.key.verification_keys[2], G2_GENERATOR))
    for title, rules, wrong in (
        ("the scheme is 2", ("FPT-8",), replace(material, scheme=2)),
        ("the last verification key is off the polynomial", ("FPT-8",), with_keys(material, *keys[:2], other)),
        ("two verification keys have changed places", ("FPT-8",), with_keys(material, keys[1], keys[0], keys[2])),
        ("the encryption key is off the polynomial", ("FPT-8",), replace(material, encryption_key=other)),
        ("the threshold is 1, the polynomial of degree 1", ("FPT-8",), replace(material, threshold=1)),
        ("the encryption key is the identity", ("FPT-8",), replace(material, encryption_key=G2_IDENTITY_BYTES)),
        ("a verification key is the identity", ("FPT-8",), with_keys(material, *keys[:2], G2_IDENTITY_BYTES)),
        (
            "a verification key has a part of order 13",
            ("FPT-8",),
            with_keys(material, *keys[:2], encode_g2(add(made.key.verification_keys[2], order_13()))),
        ),
        ("a verification key is a point of G1", ("FPT-8",), with_keys(material, *keys[:2], encode_g1(G1_GENERATOR))),
        ("there are no parameters", ("FPT-8", "PTX-11"), replace(material, parameters=b"")),
        ("a byte follows the parameters", ("FPT-8", "PTX-11"), replace(material, parameters=rows() + b"\0")),
        (
            "T is the identity",
            ("FPT-8", "PTX-11"),
            replace(material, parameters=with_tau(rows(), G2_IDENTITY_BYTES)),
        ),
    ):
        yield faulty_key(title, rules, wrong.encode())
    yield faulty_key("a byte follows", ("FPT-9",), material.encode() + b"\0")
    yield faulty_key(
        "the threshold is above the number of members", ("FPT-9",), replace(material, threshold=4).encode()
    )
    for title, key_id, one_time in (
        ("a key", made.key_id, one_time_key(bytes(32))),
        ("another one-time key", made.key_id, one_time_key(bytes([1]) + bytes(31))),
        ("another key id", committee(1, 1).key_id, one_time_key(bytes(32))),
    ):
        yield Case(
            operation="identity",
            title=title,
            requirements=("FPT-12",),
            input={"key_id": to_hex(key_id), "one_time_key": to_hex(one_time)},
            refused=False,
        )


def faulty_key(title: str, rules: tuple[str, ...], material: bytes) -> Case:
    return Case(
        operation="load_public_key",
        title=title,
        requirements=rules,
        input=committee().named | {"material": to_hex(material)},
        refused=True,
    )


@cache
def order_8() -> Edwards:
    for y in count(2):
        point = ed_decode(y.to_bytes(32, "little"))
        if point is not None and ed_multiply(point, 4 * ED_ORDER) != ED_ZERO:
            return ed_multiply(point, ED_ORDER)
    raise AssertionError


Signer = Callable[[bytes], bytes]
"""From a message to a signature."""


@dataclass(frozen=True, kw_only=True)
class Signing:
    """A one-time key that is `[secret]B + torsion`, and a signature with R = `[nonce]B + shift`.

    residue    what k is modulo 8, or None for any: the nonce is counted up until it is so
    """

    secret: int = 12345
    torsion: Edwards = ED_ZERO
    shift: Edwards = ED_ZERO
    residue: int | None = None

    @property
    def key(self) -> bytes:
        return ed_encode(ed_add(ed_multiply(ED_BASE, self.secret), self.torsion))

    def sign(self, message: bytes) -> bytes:
        for nonce in count(67890):
            commitment = ed_encode(ed_add(ed_multiply(ED_BASE, nonce), self.shift))
            k = ed_challenge(commitment, self.key, message)
            if self.residue is None or k % 8 == self.residue:
                return commitment + ((nonce + k * self.secret) % ED_ORDER).to_bytes(32, "little")
        raise AssertionError


MIXED = Signing(torsion=order_8(), residue=0)
ONLY_WITH_COFACTOR = Signing(torsion=order_8(), residue=1)
SMALL_KEY = Signing(secret=0, torsion=order_8(), residue=0)
MIXED_COMMITMENT = Signing(shift=order_8())


def small_commitment(message: bytes, seed: bytes = bytes(32)) -> bytes:
    """R is the identity, and [S]B = R + [k]A holds."""
    secret, _ = ed_secret(seed)
    commitment = ed_encode(ED_ZERO)
    k = ed_challenge(commitment, one_time_key(seed), message)
    return commitment + (k * secret % ED_ORDER).to_bytes(32, "little")


def with_response(signature: bytes, more: int) -> bytes:
    response = int.from_bytes(signature[32:], "little") + more
    return signature[:32] + response.to_bytes(32, "little")


RFC_8032 = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
)


def signatures() -> Iterator[Case]:
    seed, message = labelled("fptx/one-time seed")(32), labelled("fptx/one-time message")(32)
    public, signature = one_time_key(seed), sign(seed, message)
    negative_base = ed_encode((ED_FIELD - ED_BASE[0], ED_BASE[1]))
    identity_key = Signing(secret=0)
    spelled = (ED_FIELD + 1).to_bytes(32, "little")
    signed_zero = (1 | SIGN_BIT).to_bytes(32, "little")
    on_the_curve = next(y for y in count(2) if ed_decode(y.to_bytes(32, "little")))
    off_the_curve = next(y for y in count(2) if not ed_decode(y.to_bytes(32, "little")))
    (rfc_1, text_1, signature_1), (rfc_2, text_2, signature_2) = (map(bytes.fromhex, one) for one in RFC_8032)
    for title, key, text, given in (
        ("RFC 8032, test 1", rfc_1, text_1, signature_1),
        ("RFC 8032, test 2", rfc_2, text_2, signature_2),
        ("honest", public, message, signature),
        ("S is L more", public, message, with_response(signature, ED_ORDER)),
        ("S is one more", public, message, with_response(signature, 1)),
        ("another message", public, message + b"\0", signature),
        ("the negative of the key", bytes([*public[:31], public[31] ^ 0x80]), message, signature),
        ("the base point as R", public, message, ed_encode(ED_BASE) + signature[32:]),
        ("the negative of the base point as R", public, message, negative_base + signature[32:]),
        ("A is the identity, and the equation holds", identity_key.key, message, identity_key.sign(message)),
        ("A has order 8, and the equation holds", SMALL_KEY.key, message, SMALL_KEY.sign(message)),
        ("R is the identity, and the equation holds", one_time_key(bytes(32)), message, small_commitment(message)),
        ("A is the identity with the sign bit", signed_zero, message, identity_key.sign(message)),
        ("A is the identity, spelled with y = p + 1", spelled, message, identity_key.sign(message)),
        ("y of A is p more", (ED_FIELD + on_the_curve).to_bytes(32, "little"), message, signature),
        ("y of R is p more", public, message, (ED_FIELD + on_the_curve).to_bytes(32, "little") + signature[32:]),
        ("A is not on the curve", off_the_curve.to_bytes(32, "little"), message, signature),
        ("R is not on the curve", public, message, off_the_curve.to_bytes(32, "little") + signature[32:]),
        ("A is outside the subgroup, and the equation holds", MIXED.key, message, MIXED.sign(message)),
        (
            "A is outside the subgroup, and only [8] of the equation holds",
            ONLY_WITH_COFACTOR.key,
            message,
            ONLY_WITH_COFACTOR.sign(message),
        ),
        (
            "R is outside the subgroup, and only [8] of the equation holds",
            MIXED_COMMITMENT.key,
            message,
            MIXED_COMMITMENT.sign(message),
        ),
    ):
        yield Case(
            operation="verify_signature",
            title=title,
            requirements=("FPT-16",),
            input={"one_time_key": to_hex(key), "message": to_hex(text), "signature": to_hex(given)},
            refused=False,
        )


# --- ciphertexts -----------------------------------------------------------------------------------------------------


@cache
def sealed(label: str, plaintext: bytes = b"a payload", aad: bytes = AAD) -> bytes:
    return encrypt(committee().key, plaintext, aad, labelled(f"fptx/ciphertext/{label}"))


def points_of(rho_0: Scalar, rho_1: Scalar, one_time: bytes) -> list[bytes]:
    """c0, c1 and c2 as an honest sender makes them."""
    key = committee().key
    at = add(multiply(G2_GENERATOR, identity(key.key_id, one_time)), negate(key.header.tau))
    c0 = add(multiply(G2_GENERATOR, rho_0), multiply(key.h, rho_1))
    return [encode_g2(point) for point in (c0, multiply(at, rho_0), multiply(G2_GENERATOR, -rho_1))]


def crafted(
    label: str,
    *,
    change: Callable[[list[bytes]], list[bytes]] = list,
    one_time: bytes | None = None,
    signer: Signer | None = None,
    plaintext: bytes = b"a payload",
) -> bytes:
    """A ciphertext that is honest for the bytes of its points as they stand, whatever they are, and signed so."""
    key, random = committee().key, labelled(f"fptx/crafted/{label}")
    seed, rho_0, rho_1 = random(32), draw_scalar(random), draw_scalar(random)
    public = one_time_key(seed) if one_time is None else one_time
    head = b"".join(change(points_of(rho_0, rho_1, public))) + public
    w = pairing((multiply(key.label, -rho_1), key.h))
    body = seal(body_key(key, w, head, AAD), plaintext, AAD)
    message = signed_message(key, AAD, head, body)
    return head + body + (sign(seed, message) if signer is None else signer(message))


def signed_with(signing: Signing) -> bytes:
    return crafted("signing", one_time=signing.key, signer=signing.sign)


def changed(at: int, change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda points: [change(point) if place == at else point for place, point in enumerate(points)]


def beyond_order(point: bytes) -> bytes:
    return encode_g2(add(decode_g2(point), order_13()))


def small_coordinate() -> tuple[str, int]:
    """A label and a place of a point whose first coordinate leaves room for p."""
    for number in count():
        label = f"respelled/{number}"
        random = labelled(f"fptx/crafted/{label}")
        seed, rho_0, rho_1 = random(32), draw_scalar(random), draw_scalar(random)
        for at, point in enumerate(points_of(rho_0, rho_1, one_time_key(seed))):
            if int.from_bytes(point[:48], "big") % GREATER + P < GREATER:
                return label, at
    raise AssertionError


def ciphertexts() -> Iterator[Case]:
    made = committee()
    for title, plaintext, aad, label in (
        ("a short plaintext", b"a payload", AAD, "short"),
        ("an empty plaintext and no associated data", b"", b"", "empty"),
        ("the first bytes drawn for a scalar are none", b"a payload", AAD, "redraw"),
    ):
        random = labelled(f"fptx/encrypt/{label}")
        ciphertext = encrypt(made.key, plaintext, aad, random)
        drawn = random.drawn
        if label == "redraw":
            drawn = drawn[:32] + b"\xff" * 32 + bytes(32) + drawn[32:]
        yield Case(
            operation="encrypt",
            title=title,
            requirements=("FPT-12", "FPT-13", "FPT-14", "FPT-15"),
            input=made.named | {"plaintext": to_hex(plaintext), "aad": to_hex(aad), "random": to_hex(drawn)},
            intermediate=ciphertext_steps(random.drawn, ciphertext, aad),
            refused=False,
        )
        yield passing(title, ciphertext, aad)
    honest, other = sealed("first"), sealed("second")
    seed = labelled("fptx/thief")(32)
    yield passing("outside the subgroup is the one-time key, and the equation holds", signed_with(MIXED))
    yield passing("a body of zeros: nobody can see that it opens to nothing", resigned(honest[:320] + bytes(16), seed))
    yield passing("the points and body of another, signed by a key of one's own: that is not seen", stolen(honest))
    yield passing("the points of three ciphertexts, signed", resigned(honest[:96] + other[96:-64], seed))
    yield Case(
        operation="encrypt",
        title="the key material is of another scheme",
        requirements=("FPT-8",),
        input={
            "material": to_hex(replace(made.material, scheme=3).encode()),
            "key_id": to_hex(made.key_id),
            "plaintext": "0x",
            "aad": "0x",
            "random": "0x",
        },
        refused=True,
    )


def passing(title: str, ciphertext: bytes, aad: bytes = AAD) -> Case:
    return Case(
        operation="verify_ciphertext",
        title=title,
        requirements=("FPT-1", "FPT-2", "FPT-9", "FPT-16"),
        input=committee().named | {"ciphertext": to_hex(ciphertext), "aad": to_hex(aad)},
        refused=False,
    )


def resigned(unsigned: bytes, seed: bytes) -> bytes:
    """These points and this body, under another one-time key."""
    head, body = unsigned[:288] + one_time_key(seed), unsigned[320:]
    return head + body + sign(seed, signed_message(committee().key, AAD, head, body))


@cache
def stolen(ciphertext: bytes) -> bytes:
    return resigned(ciphertext[:-64], labelled("fptx/thief")(32))


def ciphertext_steps(drawn: bytes, ciphertext: bytes, aad: bytes) -> Json:
    key = committee().key
    pieces = (GF(int.from_bytes(drawn[at : at + 32], "big") % 2**255 % R) for at in range(0, len(drawn), 32))
    *_, rho_0, rho_1 = pieces
    w = pairing((multiply(key.label, -rho_1), key.h))
    body = ciphertext[320:-64]
    return {
        "one_time_seed": to_hex(drawn[:32]),
        "rho_0": to_hex(encode_scalar(rho_0)),
        "rho_1": to_hex(encode_scalar(rho_1)),
        "id": str(identity(key.key_id, ciphertext[288:320])),
        "W": to_hex(encode_gt(w)),
        "body_key": to_hex(body_key(key, w, ciphertext[:320], aad)),
        "signed_message": to_hex(signed_message(key, aad, ciphertext[:320], body)),
    }


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def ciphertext_faults() -> Iterator[Case]:
    honest, second = sealed("first"), sealed("second")
    respelled, place = small_coordinate()
    for at in range(3):
        name = f"c{at}"
        identity_there = crafted("identity", change=changed(at, lambda _: G2_IDENTITY_BYTES))
        yield refused_ciphertext(f"{name} is the identity", ("FPT-1",), identity_there)
        outside = crafted("order 13", change=changed(at, beyond_order))
        yield refused_ciphertext(f"{name} has a part of order 13", ("FPT-1",), outside)
    for title, rules, fault in (
        (
            f"c{place} is written with p added to the coefficient of u",
            ("FPT-1",),
            crafted(respelled, change=changed(place, lambda point: beyond_p(point[:48]) + point[48:])),
        ),
        ("c1 is not on the curve", ("FPT-1",), crafted("curve", change=changed(1, lambda _: off_g2_curve()))),
        (
            "c2 is not compressed",
            ("FPT-1",),
            crafted("compressed", change=changed(2, lambda point: bytes([point[0] & 0x7F]) + point[1:])),
        ),
        ("399 bytes", ("FPT-10",), sealed("empty", b"")[:399]),
        ("no bytes", ("FPT-10",), b""),
        ("one bit of the body flipped", ("FPT-2", "FPT-13"), flipped(honest, 321)),
        ("one bit of the tag flipped", ("FPT-2", "FPT-13"), flipped(honest, -65)),
        ("the body is one byte longer", ("FPT-2", "FPT-13"), honest[:-64] + b"\0" + honest[-64:]),
        ("the body of another", ("FPT-2", "FPT-13"), honest[:320] + second[320:-64] + honest[-64:]),
        ("the negative of c0", ("FPT-2", "FPT-13"), bytes([honest[0] ^ 0x20]) + honest[1:]),
        ("c1 of another", ("FPT-2", "FPT-13"), honest[:96] + second[96:192] + honest[192:]),
        ("the negative of c2", ("FPT-2", "FPT-13"), honest[:192] + bytes([honest[192] ^ 0x20]) + honest[193:]),
        ("c0 and c1 have changed places", ("FPT-2", "FPT-13"), honest[96:192] + honest[:96] + honest[192:]),
        ("the one-time key of another", ("FPT-2",), honest[:288] + second[288:320] + honest[320:]),
        ("the signature of another", ("FPT-2",), honest[:-64] + second[-64:]),
        ("c0, c1 and c2 of another", ("FPT-2", "FPT-13"), second[:288] + honest[288:]),
        ("one bit of R flipped", ("FPT-2", "FPT-16"), flipped(honest, -40)),
        ("S is one more", ("FPT-2", "FPT-16"), honest[:-64] + with_response(honest[-64:], 1)),
        ("S is L more", ("FPT-2", "FPT-16"), honest[:-64] + with_response(honest[-64:], ED_ORDER)),
        ("the one-time key has order 8, and the equation holds", ("FPT-2", "FPT-16"), signed_with(SMALL_KEY)),
        ("the one-time key is the identity", ("FPT-2", "FPT-16"), signed_with(Signing(secret=0))),
        (
            "R is the identity, and the equation holds",
            ("FPT-2", "FPT-16"),
            crafted("small R", one_time=one_time_key(bytes(32)), signer=small_commitment),
        ),
        (
            "the one-time key is outside the subgroup, and only [8] of the equation holds",
            ("FPT-2", "FPT-16"),
            signed_with(ONLY_WITH_COFACTOR),
        ),
        (
            "R is outside the subgroup, and only [8] of the equation holds",
            ("FPT-2", "FPT-16"),
            signed_with(MIXED_COMMITMENT),
        ),
    ):  # fmt: skip
        yield refused_ciphertext(title, rules, fault)
    yield refused_ciphertext("other associated data", ("FPT-2", "FPT-13"), honest, aad=AAD + b"\0")
    yield Case(
        operation="verify_ciphertext",
        title="another name for the key",
        requirements=("FPT-2", "FPT-13"),
        input=committee().named
        | {"key_id": to_hex(committee(1, 1).key_id), "ciphertext": to_hex(honest), "aad": to_hex(AAD)},
        refused=True,
    )


def refused_ciphertext(title: str, rules: tuple[str, ...], ciphertext: bytes, aad: bytes = AAD) -> Case:
    return Case(
        operation="verify_ciphertext",
        title=title,
        requirements=rules,
        input=committee().named | {"ciphertext": to_hex(ciphertext), "aad": to_hex(aad)},
        refused=True,
    )


# --- batches ---------------------------------------------------------------------------------------------------------


def of(*ciphertexts: bytes, round_: int = 1, height: int = 7) -> Json:
    """The key, and a batch of these."""
    entries = [{"ciphertext": to_hex(ciphertext), "aad": to_hex(AAD)} for ciphertext in ciphertexts]
    return committee().named | {"batch": {"height": str(height), "round": str(round_), "entries": entries}}


def batch(*ciphertexts: bytes, round_: int = 1, height: int = 7) -> Batch:
    key = committee().key
    entries = tuple(verify_ciphertext(key, ciphertext, AAD) for ciphertext in ciphertexts)
    return Batch(key_id=key.key_id, height=height, round=round_, entries=entries)


@cache
def share(member: int, given: Batch) -> bytes:
    return partial_decrypt(committee().key, given, committee().secrets[member - 1])


def of_self_test(height: int = 0, *more: bytes) -> Json:
    (entry,) = self_test_batch(committee().key).entries
    listed_ = of(entry.data, *more, round_=0, height=height)
    listed_["batch"]["entries"][0]["aad"] = to_hex(entry.aad)
    return listed_


def secret(member: int) -> Json:
    return {"member": str(member), "secret": to_hex(encode_scalar(committee().secrets[member - 1]))}


def batches() -> Iterator[Case]:
    key = committee().key
    first, second = sealed("first"), sealed("second")
    pair, one = (first, second), (first,)
    for title, ciphertexts_, round_ in (
        ("one ciphertext", one, 1),
        ("as many as a batch may hold, in the last round", pair, Q),
        ("the same in another order: the same digest", (second, first), Q),
        ("one ciphertext twice: a double root", (first, first), 1),
    ):
        given, asked = batch(*ciphertexts_, round_=round_), of(*ciphertexts_, round_=round_)
        f = with_roots([entry.id for entry in given.entries])
        steps = {
            "f": [str(coefficient) for coefficient in f],
            "openings": [to_hex(encode_g1(opening(key, given, at))) for at in range(len(given.entries))],
            "signed": to_hex(encode_g1(signed(key, given))),
        }
        yield Case(
            operation="digest",
            title=title,
            requirements=("FPT-3", "FPT-4", "FPT-12", "FPT-17"),
            input=asked,
            intermediate=steps,
            refused=False,
        )
        yield Case(
            operation="openings",
            title=title,
            requirements=("FPT-14", "FPT-17"),
            input=asked,
            refused=False,
        )
        yield Case(
            operation="partial_decrypt",
            title=title,
            requirements=("FPT-6", "FPT-17"),
            input=asked | secret(1),
            refused=False,
        )
        yield Case(
            operation="verify_share",
            title=title,
            requirements=("FPT-5", "FPT-6"),
            input=asked | {"member": "1", "share": to_hex(share(1, given))},
            refused=False,
        )
    yield Case(
        operation="partial_decrypt",
        title="the self-test in round 0",
        requirements=("FPT-4", "FPT-20"),
        input=of_self_test() | secret(2),
        refused=False,
    )
    yield Case(
        operation="partial_decrypt",
        title="the second ciphertext fails its check: no share",
        requirements=("FPT-2",),
        input=of(first, flipped(second, 321)) | secret(1),
        refused=True,
    )


def batch_faults() -> Iterator[Case]:
    """The batch is at fault, what is said about it would be right in round 1."""
    first, second, third = sealed("first"), sealed("second"), sealed("third")
    given = batch(first, second)
    asked: dict[str, Json] = {
        "digest": {},
        "openings": {},
        "partial_decrypt": secret(1),
        "verify_share": {"member": "1", "share": to_hex(share(1, given))},
        "combine": listed((1, share(1, given)), (2, share(2, given))),
        "verify_batch_key": {"batch_key": to_hex(encode_batch_key(value(given), b""))},
        "decrypt": {"batch_key": to_hex(encode_batch_key(value(given), b""))},
    }
    for operation, fields in asked.items():
        for title, rule, faulty in (
            ("three ciphertexts, and B is 2", "FPT-3", of(first, second, third)),
            ("the batch is empty", "FPT-3", of()),
            ("the round is after the last", "FPT-4", of(first, second, round_=Q + 1)),
            ("round 0, and not the self-test", "FPT-4", of(first, second, round_=0, height=0)),
        ):
            yield Case(operation=operation, title=title, requirements=(rule,), input=faulty | fields, refused=True)
    for title, rule, faulty in (
        ("the round is the greatest there is", "FPT-4", of(first, round_=2**64 - 1)),
        ("the self-test in round 0, at height 1", "FPT-4", of_self_test(1)),
        ("the self-test in round 0, and another ciphertext", "FPT-4", of_self_test(0, first)),
    ):
        yield Case(
            operation="partial_decrypt", title=title, requirements=(rule,), input=faulty | secret(1), refused=True
        )
    material = committee().material
    bad_row = replace(material, parameters=placed(rows(), 2, 1, IDENTITY_BYTES))
    spoilt = {"material": to_hex(bad_row.encode())}
    yield Case(
        operation="digest",
        title="a point of the next round's row is the identity: that row is not looked at",
        requirements=("FPT-8", "FPT-17"),
        input=of(first, second) | spoilt,
        refused=False,
    )
    yield Case(
        operation="digest",
        title="a point of the round's row is the identity",
        requirements=("FPT-8", "PTX-11"),
        input=of(first, second, round_=2) | spoilt,
        refused=True,
    )


def share_faults() -> Iterator[Case]:
    key = committee().key
    first, second = sealed("first"), sealed("second")
    given, one = batch(first), share(1, batch(first))
    secret_1 = committee().secrets[0]
    for title, rule, member, data in (
        ("member 0", "FPT-5", 0, one),
        ("member 4 of 3", "FPT-5", 4, one),
        ("one byte too many", "FPT-5", 1, one + b"\0"),
        ("one byte too few", "FPT-5", 1, one[:-1]),
        ("no bytes", "FPT-5", 1, b""),
        ("a point of G2", "FPT-5", 1, encode_g2(G2_GENERATOR)),
        ("the identity", "FPT-5", 1, IDENTITY_BYTES),
        ("a part of order 3 that the pairing does not see", "FPT-5", 1, twisted(one)),
        ("not on the curve", "FPT-5", 1, off_curve()),
        ("not compressed", "FPT-5", 1, bytes([one[0] & 0x7F]) + one[1:]),
        ("the negative", "FPT-6", 1, bytes([one[0] ^ 0x20]) + one[1:]),
        ("the generator more", "FPT-6", 1, off(one, 1)),
        ("another member's share", "FPT-6", 2, one),
        ("a share for another round", "FPT-6", 1, share(1, batch(first, round_=2))),
        ("a share for another batch", "FPT-6", 1, share(1, batch(second))),
        ("a share for a batch that lists one more", "FPT-6", 1, share(1, batch(first, second))),
        ("a multiple of D alone", "FPT-6", 1, encode_g1(multiply(digest(key, given), secret_1))),
        ("a multiple of Hm alone", "FPT-6", 1, encode_g1(multiply(key.label, secret_1))),
        ("the batch key", "FPT-6", 1, value(given)),
    ):
        yield Case(
            operation="verify_share",
            title=title,
            requirements=(rule,),
            input=of(first) | {"member": str(member), "share": to_hex(data)},
            refused=True,
        )
    yield Case(
        operation="verify_share",
        title="x is written as x + p",
        requirements=("FPT-5",),
        input=respelled_share(),
        refused=True,
    )


def respelled_share() -> Json:
    """The right share of a member, the first whose x leaves room for p."""
    labels = ("first", "second", "third")
    for chosen in ((label,) for label in labels), ((a, b) for a, b in product(labels, labels)):
        for pick, member, round_ in product(chosen, (1, 2, 3), (1, 2)):
            ciphertexts_ = [sealed(label) for label in pick]
            data = share(member, batch(*ciphertexts_, round_=round_))
            if has_small_x(decode_g1(data)):
                return of(*ciphertexts_, round_=round_) | {"member": str(member), "share": to_hex(beyond_p(data))}
    raise AssertionError("no share has so small an x")


# --- combining and opening -------------------------------------------------------------------------------------------


@cache
def value(given: Batch) -> bytes:
    """[x](D + Hm)."""
    combined, _ = combine(committee().key, given, [(member, share(member, given)) for member in (1, 2)])
    return decode_batch_key(combined)[0]


def combinations() -> Iterator[Case]:
    first, second = sealed("first"), sealed("second")
    given = batch(first, second)
    s1, s2, s3 = ((member, share(member, given)) for member in (1, 2, 3))
    wrong_1, wrong_2 = (1, off(s1[1], 1)), (2, off(s2[1], 1))
    asked = of(first, second)
    other = of(second, first, height=8)
    for title, of_batch, chosen in (
        ("members 1 and 2", asked, (s1, s2)),
        ("members 3 and 1, for the same in another order and height: the same key", other, (s3, s1)),
        ("three shares: the first two are taken", asked, (s1, s2, s3)),
        ("a third that is wrong is not looked at", asked, (s1, s3, wrong_2)),
        ("a wrong share is set aside", asked, (s1, wrong_2, s3)),
        ("an undecodable share is set aside", asked, (s1, (2, s2[1] + b"\0"), s3)),
        ("a share of member 4 of 3 is set aside", asked, (s1, (4, s2[1]), s3)),
        ("a share of another batch is set aside", asked, ((1, share(1, batch(first))), s2, s3)),
        ("a member's share twice", asked, (s1, s1, s2)),
        ("a member's wrong share, then its right one", asked, (wrong_1, s1, s2)),
        ("a member's wrong share after its right one is passed over", asked, (s1, wrong_1, s2)),
    ):
        yield Case(
            operation="combine",
            title=title,
            requirements=("FPT-7", "FPT-18"),
            input=of_batch | listed(*chosen),
            refused=False,
        )
    too_few: tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...] = (
        ("no shares", ()),
        ("one share of two", (s1,)),
        ("two shares of one member", (s1, s1)),
        ("two shares, one of them wrong", (s1, wrong_2)),
        ("two shares, one under another member's number", (s1, (3, s2[1]))),
        ("errors that cancel in the sum of the shares", (wrong_1, (2, off(s2[1], -1)))),
    )
    for title, few in too_few:
        yield Case(
            operation="combine",
            title=title,
            requirements=("FPT-7", "FPT-18"),
            input=asked | listed(*few),
            refused=True,
        )


def of_nobody() -> Json:
    """A batch that lists the third ciphertext, and its key, computed from those of two other batches of the round."""
    key, third = committee().key, sealed("third")
    one, two = batch(sealed("first")), batch(sealed("second"))
    (first,), (second,) = one.entries, two.entries
    wanted = identity(key.key_id, third[288:320])
    a = (wanted - second.id) / (first.id - second.id)
    mixed: G1 = add(multiply(decode_g1(value(one)), a), multiply(decode_g1(value(two)), GF(1) - a))
    return of(third) | {"batch_key": to_hex(encode_batch_key(encode_g1(mixed), b""))}


def batch_keys() -> Iterator[Case]:
    key, first, second = committee().key, sealed("first"), sealed("second")
    given = batch(first, second)
    right = value(given)
    honest = encode_batch_key(right, b"")
    for title, asked in (
        ("the batch", of(first, second)),
        ("the same in another order and at another height", of(second, first, height=8)),
    ):
        yield Case(
            operation="verify_batch_key",
            title=title,
            requirements=("FPT-7", "FPT-9", "FPT-18"),
            input=asked | {"batch_key": to_hex(honest)},
            refused=False,
        )
    yield Case(
        operation="verify_batch_key",
        title="a batch that nobody made a share for: computed from the keys of two others of its round",
        requirements=("FPT-7",),
        input=of_nobody(),
        refused=False,
    )
    x = secret_key()
    for title, rule, fault in (
        ("the key of another batch", "FPT-7", encode_batch_key(value(batch(first)), b"")),
        ("the key of another round", "FPT-7", encode_batch_key(value(batch(first, second, round_=2)), b"")),
        ("a member's share", "FPT-7", encode_batch_key(share(1, given), b"")),
        ("the negative", "FPT-7", encode_batch_key(bytes([right[0] ^ 0x20]) + right[1:], b"")),
        ("a multiple of D alone", "FPT-7", encode_batch_key(encode_g1(multiply(digest(key, given), x)), b"")),
        ("a proof of one byte", "FPT-7", encode_batch_key(right, b"\0")),
        ("a part of order 3 that the pairing does not see", "FPT-7", encode_batch_key(twisted(right), b"")),
        ("the identity", "FPT-7", encode_batch_key(IDENTITY_BYTES, b"")),
        ("an empty value", "FPT-7", encode_batch_key(b"", b"")),
        ("a value of 49 bytes", "FPT-7", encode_batch_key(right + b"\0", b"")),
        ("a byte follows", "FPT-9", honest + b"\0"),
        ("truncated", "FPT-9", honest[:-1]),
        ("the value alone", "FPT-9", right),
    ):
        yield Case(
            operation="verify_batch_key",
            title=title,
            requirements=(rule,),
            input=of(first, second) | {"batch_key": to_hex(fault)},
            refused=True,
        )


def secret_key() -> Scalar:
    first, second, _ = committee().secrets
    return GF(2) * first - second


def openings() -> Iterator[Case]:
    first, second = sealed("first"), sealed("second")
    sealed_twice = crafted("twice"), crafted("twice", plaintext=b"another payload")
    rubbish = resigned(first[:320] + bytes(16), labelled("fptx/thief")(32))
    for title, ciphertexts_ in (
        ("two ciphertexts", (first, second)),
        ("one ciphertext twice", (first, first)),
        ("two ciphertexts under one one-time key", sealed_twice),
        ("the second is the first under a key of one's own", (first, stolen(first))),
        ("the second has a body of zeros", (first, rubbish)),
    ):
        key = encode_batch_key(value(batch(*ciphertexts_)), b"")
        yield opened(title, of(*ciphertexts_) | {"batch_key": to_hex(key)})
    for title, foreign in (
        ("the key of the same in another round", value(batch(first, second, round_=2))),
        ("the key of a batch that lists the first alone", value(batch(first))),
    ):
        yield opened(title, of(first, second) | {"batch_key": to_hex(encode_batch_key(foreign, b""))})
    yield opened("a batch that nobody made a share for: from the keys of two others of its round", of_nobody())
    for title, rule, fault in (
        ("an empty value", "FPT-7", encode_batch_key(b"", b"")),
        ("the value is the identity", "FPT-7", encode_batch_key(IDENTITY_BYTES, b"")),
        ("a byte follows the batch key", "FPT-9", encode_batch_key(value(batch(first)), b"") + b"\0"),
    ):
        yield Case(
            operation="decrypt",
            title=title,
            requirements=(rule,),
            input=of(first) | {"batch_key": to_hex(fault)},
            refused=True,
        )


def opened(title: str, given: Json) -> Case:
    return Case(operation="decrypt", title=title, requirements=("FPT-14", "FPT-19"), input=given, refused=False)
