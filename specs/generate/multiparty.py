"""Inputs for specs/multiparty.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from spec.genesis import N, sign_digest
from spec.keygen import encode_confirmation, evaluate
from spec.multiparty import (
    DEAL,
    HELLO,
    Agreement,
    Attempt,
    Ceremony,
    Fault,
    Message,
    Seat,
    box_key,
    encode_transcript,
    end_round,
    make_boxes,
    make_hello,
    message_digest,
    own_secret,
    polynomials,
    possession_challenge,
    publish,
    self_test,
    shared_point,
)
from spec.notation import (
    G1,
    G1_GENERATOR,
    G2_GENERATOR,
    GF,
    Json,
    R,
    Scalar,
    add,
    decode_g1,
    decode_g2,
    draw_scalar,
    encode_g1,
    encode_g2,
    encode_scalar,
    multiply,
    to_hex,
    u8,
    u16,
    u32,
)
from spec.payload import seal
from spec.simple_bte import partial_decrypt
from spec.tdh2 import Material

from specs.generate.case import Case, labelled
from specs.generate.ibe import G2_IDENTITY_BYTES, order_13, twisted
from specs.generate.keygen import address, identity_key
from specs.generate.tdh2 import IDENTITY_BYTES, ORDER_3, off_curve

CEREMONY_ID = labelled("multiparty/ceremony")(32)
NETWORK = labelled("multiparty/network")(32)


def of(n: int, t: int, batch: int) -> Ceremony:
    return Ceremony(ceremony_id=CEREMONY_ID, n=n, t=t, batch=batch)


SMALL = of(3, 2, 2)
"""Rounds: hello, deal, 3 multiply, 4 reshare, 5 publish, 6 confirm."""
MULTIPLY, RESHARE, PUBLISH, CONFIRM = 3, 4, 5, 6


def seed(member: int) -> bytes:
    return labelled(f"multiparty/seed/{member}")(32)


def named(ceremony: Ceremony) -> Json:
    numbers = {"n": str(ceremony.n), "t": str(ceremony.t), "batch": str(ceremony.batch)}
    return {"ceremony_id": to_hex(ceremony.ceremony_id), **numbers}


def addresses(ceremony: Ceremony) -> Json:
    return {"addresses": [to_hex(address(member)) for member in ceremony.members]}


@cache
def key(ceremony: Ceremony, member: int) -> G1:
    return multiply(G1_GENERATOR, own_secret(ceremony, seed(member)))


@cache
def keys(ceremony: Ceremony) -> Mapping[int, G1]:
    return {member: key(ceremony, member) for member in ceremony.members}


@cache
def signed(ceremony: Ceremony, round_: int, sender: int, payload: bytes, signer: int = 0) -> Message:
    digest = message_digest(ceremony, round_, sender, payload)
    signature = sign_digest(identity_key(signer or sender), digest)
    return Message(round=round_, sender=sender, payload=payload, signature=signature)


@cache
def hello(ceremony: Ceremony, member: int) -> bytes:
    return make_hello(ceremony, member, seed(member))


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def cases() -> Iterator[Case]:
    yield from schedules()
    yield from messages()
    yield from rounds()
    yield from hellos()
    yield from dealings()
    yield from combinations()
    yield from box_faults()
    yield from publications()
    yield from assemblies()
    yield from assembly_faults()
    yield from agreements()
    yield from conclusions()
    yield from last_rounds()
    yield from transcripts()


# --- a whole run -----------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Run:
    """A ceremony in which everyone hears everything at once, up to its end or to where it fails.

    tampered    by round and member, the exponent of which the member takes another share, in that round only
    said        by round, what members said
    attempts    by member
    """

    ceremony: Ceremony
    tampered: Mapping[tuple[int, int], int] = field(default_factory=dict)
    said: dict[int, dict[int, bytes]] = field(default_factory=dict)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    before: dict[int, dict[int, Mapping[int, Scalar]]] = field(default_factory=dict)

    def run(self) -> Run:
        self.attempts = {member: Attempt(seat=seat(self.ceremony, member)) for member in self.ceremony.members}
        try:
            for number in range(HELLO, self.ceremony.confirm + 1):
                self.end_round(number - 1)
                self.before[number] = {member: dict(attempt.powers) for member, attempt in self.attempts.items()}
                self.tamper(number, 1)
                self.said[number] = {member: self.payload(member, number) for member in self.ceremony.members}
                for attempt in self.attempts.values():
                    attempt.round, attempt.log[number] = number, self.said[number]
            self.end_round(self.ceremony.confirm)
        except Fault:
            pass
        return self

    def end_round(self, number: int) -> None:
        for attempt in self.attempts.values():
            attempt.end_round()
        self.tamper(number, -1)

    def tamper(self, number: int, change: int) -> None:
        for (round_, member), power in self.tampered.items():
            if round_ == number:
                self.attempts[member].powers[power] += GF(change % R)

    def payload(self, member: int, number: int) -> bytes:
        ceremony, attempt = self.ceremony, self.attempts[member]
        if number == ceremony.confirm:
            return self.confirmation(member)
        if number == HELLO:
            return attempt.view + hello(ceremony, member)
        if number == ceremony.publish:
            return attempt.view + publish(ceremony, attempt.powers, attempt.secret)
        return attempt.view + make_boxes(ceremony, member, seed(member), number, attempt.keys, attempt.powers)

    def confirmation(self, member: int) -> bytes:
        attempt = self.attempts[member]
        assert attempt.agreed
        agreement, material = attempt.agreed
        opened, batch = self_test(material.encode(), NETWORK)
        share = partial_decrypt(opened, batch, b"".join(map(encode_scalar, attempt.secret)))
        return encode_confirmation(agreement.digest, sign_digest(identity_key(member), agreement.digest), share)


def seat(ceremony: Ceremony, member: int) -> Seat:
    return Seat(
        ceremony=ceremony,
        network=NETWORK,
        addresses=tuple(address(m) for m in ceremony.members),
        index=member,
        seed=seed(member),
    )


@cache
def honest(n: int = 3, t: int = 2, batch: int = 2) -> Run:
    return Run(ceremony=of(n, t, batch)).run()


# --- the schedule, messages and rounds -------------------------------------------------------------------------------


def schedules() -> Iterator[Case]:
    for n, t, batch in ((1, 1, 1), (2, 1, 2), (3, 2, 3), (4, 3, 4), (5, 4, 5), (7, 5, 8), (10, 7, 9), (4, 3, 33)):
        yield Case(
            operation="schedule",
            title=f"{t} of {n} members, batches of {batch}",
            requirements=("MPC-4", "MPC-15", "MPC-16"),
            input=named(of(n, t, batch)),
            refused=False,
        )


def messages() -> Iterator[Case]:
    made = signed(SMALL, DEAL, 2, honest().said[DEAL][2])
    data = made.encode()
    r, s, v = made.signature[:32], int.from_bytes(made.signature[32:64], "big"), made.signature[64]
    malleable = r + (N - s).to_bytes(32, "big") + bytes([55 - v])
    other = replace(SMALL, ceremony_id=labelled("multiparty/other ceremony")(32))

    def case(title: str, message: bytes, *, refused: bool, sender: int = 2) -> Case:
        return Case(
            operation="receive",
            title=title,
            requirements=("MPC-1", "MPC-14"),
            input=named(SMALL) | addresses(SMALL) | {"sender": str(sender), "message": to_hex(message)},
            refused=refused,
        )

    def said(round_: int, payload: bytes, signer: int = 2, where: Ceremony = SMALL) -> bytes:
        return signed(where, round_, 2, payload, signer).encode()

    yield case("boxes", data, refused=False)
    yield case("an empty payload: the sender gives up", said(DEAL, b""), refused=False)
    yield case("a payload that is too short: that is seen later", said(DEAL, made.payload[:-1]), refused=False)
    yield case("from the channel of another member", data, sender=3, refused=True)
    yield case(
        "in member 2's name, from the channel and with the signature of member 3",
        said(DEAL, made.payload, 3),
        sender=3,
        refused=True,
    )
    yield case("signed by another member", said(DEAL, made.payload, 3), refused=True)
    yield case("signed for another ceremony", said(DEAL, made.payload, where=other), refused=True)
    yield case("signed for another round", replace(made, round=MULTIPLY).encode(), refused=True)
    yield case(
        "one bit of the payload flipped", replace(made, payload=flipped(made.payload, 40)).encode(), refused=True
    )
    yield case("the signature with s in the upper half", data[:-65] + malleable, refused=True)
    yield case("round 0, rightly signed", said(0, b""), refused=True)
    yield case("round 7 of 6, rightly signed", said(7, b""), refused=True)
    yield case("a payload one byte longer than its round's", said(DEAL, made.payload + b"\0"), refused=True)
    yield case("a byte follows", data + b"\0", refused=True)
    yield case("the last byte is missing", data[:-1], refused=True)
    yield case("no bytes", b"", refused=True)


def rounds() -> Iterator[Case]:
    played = honest()

    def case(
        title: str, rule: str, number: int, payloads: Mapping[int, bytes], *, refused: bool, **changed: str
    ) -> Case:
        view = SMALL.first_view
        for ended in range(HELLO, number):
            _, view = end_round(SMALL, ended, view, played.said[ended])
        listed = [{"member": str(member), "payload": to_hex(payload)} for member, payload in payloads.items()]
        return Case(
            operation="end_round",
            title=title,
            requirements=(rule,),
            input=named(SMALL) | {"round": str(number), "view": to_hex(view), "payloads": listed} | changed,
            refused=refused,
        )

    for number, name in ((HELLO, "hello"), (DEAL, "deal"), (RESHARE, "reshare"), (PUBLISH, "publish")):
        yield case(f"{name}, all three", "MPC-15", number, played.said[number], refused=False)
    said = played.said[DEAL]
    yield case("given in another order", "MPC-15", DEAL, {m: said[m] for m in (3, 1, 2)}, refused=False)
    yield case(
        "the last byte of a box is another: that is seen later",
        "MPC-15",
        DEAL,
        said | {3: flipped(said[3], -1)},
        refused=False,
    )
    yield case("member 3 is silent", "MPC-3", DEAL, {m: said[m] for m in (1, 2)}, refused=True)
    yield case("nobody speaks", "MPC-3", DEAL, {}, refused=True)
    yield case("member 3 gives up", "MPC-3", DEAL, said | {3: b""}, refused=True)
    yield case("a byte too few", "MPC-4", DEAL, said | {3: said[3][:-1]}, refused=True)
    yield case("a byte too many", "MPC-4", DEAL, said | {3: said[3] + b"\0"}, refused=True)
    yield case("the view alone", "MPC-4", DEAL, said | {3: said[3][:32]}, refused=True)
    yield case("a payload of another round", "MPC-4", DEAL, said | {3: played.said[HELLO][3]}, refused=True)
    yield case("a box for the dealer itself besides", "MPC-4", DEAL, said | {3: said[3] + said[3][-48:]}, refused=True)
    yield case("another view", "MPC-6", DEAL, said | {3: flipped(said[3], 0)}, refused=True)
    yield case("the view of the round before", "MPC-6", DEAL, said | {3: SMALL.first_view + said[3][32:]}, refused=True)
    greetings = played.said[HELLO]
    for title, other in (
        ("a member was started with another threshold", replace(SMALL, t=3)),
        ("a member was started with another largest batch", replace(SMALL, batch=1)),
        ("a member was started with more members", replace(SMALL, n=4)),
        ("a member was started for another ceremony", replace(SMALL, ceremony_id=bytes(32))),
    ):
        changed = greetings | {3: other.first_view + hello(other, 3)}
        yield case(title, "MPC-6", HELLO, changed, refused=True)


def hellos() -> Iterator[Case]:
    for member in (1, 3):
        yield Case(
            operation="make_hello",
            title=f"member {member}",
            requirements=("MPC-13", "MPC-20"),
            input=named(SMALL) | {"member": str(member), "seed": to_hex(seed(member))},
            refused=False,
        )
    right = hello(SMALL, 2)
    z = int.from_bytes(right[-32:], "big")
    elsewhere = hello(replace(SMALL, ceremony_id=bytes(32)), 2)
    for title, rule, data, refused in (
        ("member 2", "MPC-5", right, False),
        ("member 3's hello", "MPC-5", hello(SMALL, 3), True),
        ("made for another ceremony", "MPC-5", elsewhere, True),
        ("another member's key", "MPC-5", hello(SMALL, 3)[:48] + right[48:], True),
        ("another member's commitment", "MPC-5", right[:48] + hello(SMALL, 3)[48:96] + right[96:], True),
        ("the response is one more", "MPC-5", right[:-32] + ((z + 1) % R).to_bytes(32, "big"), True),
        ("the response is r more", "MPC-4", right[:-32] + (z + R).to_bytes(32, "big"), True),
        ("the key is the identity, the proof honest", "MPC-4", identity_hello(), True),
        ("the commitment is the identity, the proof honest", "MPC-4", committed_to_nothing(), True),
        ("the key has a part of order 3 that the proof does not see", "MPC-4", twisted_hello(), True),
        ("the key is not on the curve", "MPC-4", off_curve() + right[48:], True),
        ("a byte follows", "MPC-4", right + b"\0", True),
        ("the last byte is missing", "MPC-4", right[:-1], True),
    ):
        yield Case(
            operation="verify_hello",
            title=title,
            requirements=(rule, "MPC-13") if rule == "MPC-5" else (rule,),
            input=named(SMALL) | {"member": "2", "hello": to_hex(data)},
            refused=refused,
        )


def identity_hello() -> bytes:
    a = draw_scalar(labelled("multiparty/nobody"))
    return IDENTITY_BYTES + encode_g1(multiply(G1_GENERATOR, a)) + encode_scalar(a)


def committed_to_nothing() -> bytes:
    """The secret of the proof is zero."""
    encoded = encode_g1(key(SMALL, 2))
    c = possession_challenge(SMALL, 2, encoded, IDENTITY_BYTES)
    return encoded + IDENTITY_BYTES + encode_scalar(c * own_secret(SMALL, seed(2)))


def twisted_hello() -> bytes:
    """The challenge is a multiple of 3, so the part of order 3 vanishes from the equation."""
    random = labelled("multiparty/twisted hello")
    point = encode_g1(add(key(SMALL, 2), ORDER_3))
    while True:
        a = draw_scalar(random)
        commitment = encode_g1(multiply(G1_GENERATOR, a))
        c = possession_challenge(SMALL, 2, point, commitment)
        if int(c) % 3 == 0:
            return point + commitment + encode_scalar(a + c * own_secret(SMALL, seed(2)))


# --- dealing and combining -------------------------------------------------------------------------------------------


def shares_of(powers: Mapping[int, Scalar]) -> list[Json]:
    return [{"power": str(power), "share": str(share)} for power, share in sorted(powers.items())]


def asked(ceremony: Ceremony, member: int, number: int, powers: Mapping[int, Scalar]) -> Json:
    return named(ceremony) | {
        "member": str(member),
        "seed": to_hex(seed(member)),
        "round": str(number),
        "keys": [to_hex(encode_g1(point)) for point in keys(ceremony).values()],
        "powers": shares_of(powers),
    }


@cache
def invented(member: int, largest: int) -> Mapping[int, Scalar]:
    """Shares of nothing: whoever deals does not care."""
    random = labelled(f"multiparty/invented/{member}")
    return {power: draw_scalar(random) for power in range(1, largest + 1)}


def dealings() -> Iterator[Case]:
    large, alone = of(4, 3, 3), of(1, 1, 2)
    for title, ceremony, member, number in (
        ("one random number", SMALL, 1, DEAL),
        ("a product", SMALL, 2, MULTIPLY),
        ("a product, then two shares", SMALL, 3, RESHARE),
        ("4 members, t' = 2: the first round of products", large, 4, 3),
        ("4 members: the second", large, 2, 4),
        ("4 members: two products of degree 1, three shares of degree 2", large, 1, 5),
        ("batches of one: nothing is multiplied", of(3, 3, 1), 2, 3),
        ("nobody else", alone, 1, DEAL),
    ):
        known = {} if number == DEAL else invented(member, 2 ** (number - 3))
        if number == ceremony.reshare:
            known = invented(member, ceremony.batch)
        yield Case(
            operation="make_boxes",
            title=title,
            requirements=("MPC-16", "MPC-17", "MPC-18", "MPC-20"),
            input=asked(ceremony, member, number, known),
            intermediate={
                "polynomials": [list(map(str, f)) for f in polynomials(ceremony, seed(member), number, known)]
            },
            refused=False,
        )


def combining(
    title: str, rules: tuple[str, ...], run: Run, member: int, number: int, bodies: Sequence[bytes], *, refused: bool
) -> Case:
    return Case(
        operation="combine",
        title=title,
        requirements=rules,
        input=asked(run.ceremony, member, number, run.before[number][member]) | {"bodies": list(map(to_hex, bodies))},
        refused=refused,
    )


def bodies_of(run: Run, number: int) -> list[bytes]:
    return [payload[32:] for payload in run.said[number].values()]


def combinations() -> Iterator[Case]:
    rules = ("MPC-7", "MPC-19")
    for number, name in ((DEAL, "a share of tau"), (MULTIPLY, "of its square"), (RESHARE, "of tau^4, and the secret")):
        for member in (1, 3):
            yield combining(
                f"member {member}: {name}", rules, honest(), member, number, bodies_of(honest(), number), refused=False
            )
    own = bodies_of(honest(), DEAL)
    own[0] = bytes(len(own[0]))
    yield combining("the member's own boxes are not looked at", rules, honest(), 1, DEAL, own, refused=False)
    single = honest(1, 1, 1)
    for number in (DEAL, 3):
        yield combining(
            f"nobody else, round {number}", rules, single, 1, number, bodies_of(single, number), refused=False
        )


def sealed_numbers(number: int, dealer: int, recipient: int, plaintext: bytes) -> bytes:
    own = encode_scalar(own_secret(SMALL, seed(dealer)))
    shared = shared_point(encode_g1(key(SMALL, recipient)), own)
    return seal(box_key(SMALL, number, dealer, recipient, keys(SMALL), shared), plaintext, b"")


def box_faults() -> Iterator[Case]:
    """For member 1, in member 3's boxes: those for members 1 and 2."""
    for number, name in ((DEAL, "deal"), (MULTIPLY, "multiply"), (RESHARE, "reshare")):
        bodies = bodies_of(honest(), number)
        wrong = [*bodies[:2], flipped(bodies[2], 0)]
        yield combining(f"{name}: one bit of a box flipped", ("MPC-7",), honest(), 1, number, wrong, refused=True)
    bodies, size = bodies_of(honest(), DEAL), 48
    mine, others = bodies[2][:size], bodies[2][size:]
    value = evaluate(polynomials(SMALL, seed(3), DEAL, {})[0], 1)
    elsewhere = replace(SMALL, ceremony_id=bytes(32))
    for title, boxes in (
        ("the boxes have changed places", others + mine),
        ("another dealer's box", bodies[1][:size] + others),
        ("the box of another round", bodies_of(honest(), MULTIPLY)[2][:size] + others),
        ("a box of zeros", bytes(size) + others),
        ("made for another ceremony", make_boxes(elsewhere, 3, seed(3), DEAL, keys(SMALL), {})),
        ("it holds r more", sealed_numbers(DEAL, 3, 1, (int(value) + R).to_bytes(32, "big")) + others),
        ("it holds r", sealed_numbers(DEAL, 3, 1, R.to_bytes(32, "big")) + others),
    ):
        yield combining(title, ("MPC-7", "MPC-18"), honest(), 1, DEAL, [*bodies[:2], boxes], refused=True)
    zero = [*bodies[:2], sealed_numbers(DEAL, 3, 1, bytes(32)) + others]
    yield combining("a box that holds zero is taken", ("MPC-7", "MPC-19"), honest(), 1, DEAL, zero, refused=False)


# --- publishing and assembling ---------------------------------------------------------------------------------------


def publications() -> Iterator[Case]:
    for ceremony in (of(1, 1, 1), SMALL, of(4, 3, 3)):
        powers = {i: share for i, share in invented(1, 2 * ceremony.batch).items() if i != ceremony.batch + 1}
        secret = list(invented(2, ceremony.batch).values())
        yield Case(
            operation="publish",
            title=f"batches of {ceremony.batch}",
            requirements=("MPC-21",),
            input=named(ceremony)
            | {"powers": shares_of(powers), "secret": to_hex(b"".join(map(encode_scalar, secret)))},
            refused=False,
        )


@cache
def image_1(number: int) -> bytes:
    return encode_g1(multiply(G1_GENERATOR, number))


@cache
def image_2(number: int) -> bytes:
    return encode_g2(multiply(G2_GENERATOR, number))


@dataclass(kw_only=True)
class Dealt:
    """What members would publish, from polynomials that one dealer knows. Both by exponent."""

    ceremony: Ceremony
    powers: dict[int, list[Scalar]]
    secrets: dict[int, list[Scalar]]

    @classmethod
    def make(cls, ceremony: Ceremony, tau: int = 0) -> Dealt:
        random = labelled(f"multiparty/dealt/{ceremony.t} of {ceremony.n}/{ceremony.batch}")
        secret = draw_scalar(random) if not tau else GF(tau % R)
        batch = ceremony.batch

        def fresh(power: int, size: int) -> list[Scalar]:
            return [secret**power, *(draw_scalar(random) for _ in range(size - 1))]

        shared = sorted({1, min(2, batch), *range(batch + 2, 2 * batch + 1)})
        return cls(
            ceremony=ceremony,
            powers={i: fresh(i, ceremony.low) for i in shared},
            secrets={i: fresh(i, ceremony.t) for i in range(1, batch + 1)},
        )

    def bodies(self) -> list[bytes]:
        batch = self.ceremony.batch
        made = []
        for member in self.ceremony.members:
            first = [image_1(int(evaluate(self.powers[i], member))) for i in range(1, min(2, batch) + 1)]
            own = [image_2(int(evaluate(f, member))) for f in self.secrets.values()]
            higher = [image_2(int(evaluate(self.powers[i], member))) for i in range(batch + 2, 2 * batch + 1)]
            made.append(b"".join([*first, *own, *higher]))
        return made


def assembling(
    title: str, rules: tuple[str, ...], ceremony: Ceremony, bodies: Sequence[bytes], *, refused: bool
) -> Case:
    return Case(
        operation="assemble",
        title=title,
        requirements=rules,
        input=named(ceremony) | {"bodies": list(map(to_hex, bodies))},
        refused=refused,
    )


def assemblies() -> Iterator[Case]:
    rules = ("MPC-4", "MPC-8", "MPC-9", "MPC-22")
    for ceremony in (of(1, 1, 1), of(2, 2, 1), SMALL, of(4, 3, 2)):
        title = f"{ceremony.t} of {ceremony.n} members, batches of {ceremony.batch}"
        yield assembling(title, rules, ceremony, Dealt.make(ceremony).bodies(), refused=False)


# Where a publication of SMALL has which point.
TAU, SQUARE, KEY_1, KEY_2, HIGHER, END = 0, 48, 96, 192, 288, 384


def with_point(bodies: Sequence[bytes], member: int, at: int, point: bytes) -> list[bytes]:
    changed = list(bodies)
    body = changed[member - 1]
    changed[member - 1] = body[:at] + point + body[at + len(point) :]
    return changed


def moved_1(point: bytes, by: int) -> bytes:
    return encode_g1(add(decode_g1(point), multiply(G1_GENERATOR, by % R)))


def moved_2(point: bytes, by: int) -> bytes:
    return encode_g2(add(decode_g2(point), multiply(G2_GENERATOR, by % R)))


def assembly_faults() -> Iterator[Case]:
    right = Dealt.make(SMALL).bodies()
    third = right[2]
    twisted_key = encode_g2(add(decode_g2(third[KEY_1:KEY_2]), order_13()))
    for title, bodies in (
        ("an image of tau is the identity", with_point(right, 3, TAU, IDENTITY_BYTES)),
        ("an image of tau has a part of order 3", with_point(right, 1, TAU, twisted(right[0][:48]))),
        ("an image of tau is not on the curve", with_point(right, 2, TAU, off_curve())),
        ("a verification key has a part of order 13", with_point(right, 3, KEY_1, twisted_key)),
        ("a verification key is the identity", with_point(right, 3, KEY_2, G2_IDENTITY_BYTES)),
        ("an image of tau^4 is not compressed", with_point(right, 3, HIGHER, bytes([third[HIGHER] & 0x7F]))),
        ("a byte is missing", [*right[:2], third[:-1]]),
        ("a byte follows", [*right[:2], third + b"\0"]),
    ):
        yield assembling(title, ("MPC-4",), SMALL, bodies, refused=True)
    off_tau = moved_1(third[TAU:SQUARE], 1)
    off_higher = moved_2(third[HIGHER:END], 1)
    both = with_point(with_point(right, 3, TAU, off_tau), 3, SQUARE, moved_1(third[SQUARE:KEY_1], -1))
    steep = Dealt.make(SMALL)
    steep.powers[1].append(GF(5))
    pair = of(2, 1, 1)
    uneven = Dealt.make(pair)
    uneven.powers[1].append(GF(5))
    for title, ceremony, bodies in (
        ("member 3's image of tau, which is not interpolated, is off", SMALL, with_point(right, 3, TAU, off_tau)),
        ("member 3's image of tau^4 is off", SMALL, with_point(right, 3, HIGHER, off_higher)),
        ("member 3's images of tau and tau^2 are off by errors that cancel", SMALL, both),
        ("member 1's image of tau^2 is off", SMALL, with_point(right, 1, SQUARE, moved_1(right[0][SQUARE:KEY_1], 1))),
        ("tau is shared with degree t'", SMALL, steep.bodies()),
        ("two members, t' = 1: their images differ", pair, uneven.bodies()),
    ):
        yield assembling(title, ("MPC-8",), ceremony, bodies, refused=True)
    for title, kind, power, value in (
        ("T1 holds another tau than h_1", "powers", 1, None),
        ("T2 is not the square", "powers", 2, None),
        ("tau^3, the hole, in the place of tau^4", "powers", 4, 3),
        ("h_2 does not follow h_1", "secrets", 2, None),
    ):
        made = Dealt.make(SMALL)
        table: dict[int, list[Scalar]] = getattr(made, kind)
        tau = made.secrets[1][0]
        table[power][0] = table[power][0] + GF(1) if value is None else tau**value
        yield assembling(title, ("MPC-9",), SMALL, made.bodies(), refused=True)
    swapped = third[:KEY_1] + third[KEY_2:HIGHER] + third[KEY_1:KEY_2] + third[HIGHER:]
    zero = Dealt.make(SMALL)
    for polynomial in (*zero.powers.values(), *zero.secrets.values()):
        polynomial[0] = GF(0)
    for title, bodies in (
        ("member 3's second verification key is off", with_point(right, 3, KEY_2, moved_2(third[KEY_2:HIGHER], 1))),
        ("member 3's verification keys have changed places", [*right[:2], swapped]),
        ("tau is 0", zero.bodies()),
    ):
        yield assembling(title, ("MPC-9",), SMALL, bodies, refused=True)


# --- agreements and whole ceremonies ---------------------------------------------------------------------------------


def agreed(run: Run) -> tuple[Agreement, Material]:
    made = run.attempts[1].agreed
    assert made
    return made


def agreements() -> Iterator[Case]:
    for run in (honest(), honest(2, 2, 1)):
        agreement, material = agreed(run)
        yield Case(
            operation="agreement",
            title=f"{run.ceremony.t} of {run.ceremony.n} members",
            requirements=("MPC-23",),
            input=named(run.ceremony) | {"view": to_hex(agreement.view), "material": to_hex(material.encode())},
            refused=False,
        )


def heard(run: Run, *, until: int | None = None) -> list[Message]:
    """What member 1 takes: in each round its own message first."""
    return [
        signed(run.ceremony, number, member, payload)
        for number, said in run.said.items()
        if until is None or number <= until
        for member, payload in said.items()
    ]


def conclusion(title: str, rules: tuple[str, ...], ceremony: Ceremony, journal: Sequence[Message]) -> Case:
    return Case(
        operation="conclude",
        title=title,
        requirements=rules,
        input=named(ceremony)
        | addresses(ceremony)
        | {"network": to_hex(NETWORK), "index": "1", "seed": to_hex(seed(1))}
        | {"messages": [to_hex(message.encode()) for message in journal]},
        refused=False,
    )


Change = Callable[[bytes], bytes | None]
"""What a member says in place of its honest payload; None for nothing."""


def cut(number: int, changes: Mapping[int, Change]) -> list[Message]:
    """Honest up to this round, in which members say something else."""
    before = heard(honest(), until=number - 1)
    last = []
    for member, payload in honest().said[number].items():
        changed = changes[member](payload) if member in changes else payload
        if changed is not None:
            last.append(signed(SMALL, number, member, changed))
    return before + last


def silent(payload: bytes) -> None:
    return None


def empty(payload: bytes) -> bytes:
    return b""


def at(position: int) -> Change:
    return lambda payload: flipped(payload, position)


def put(position: int, data: bytes) -> Change:
    return lambda payload: payload[:position] + data + payload[position + len(data) :]


def conclusions() -> Iterator[Case]:
    for run in (honest(), honest(2, 2, 1), honest(1, 1, 1)):
        ceremony = run.ceremony
        title = f"all honest, {ceremony.t} of {ceremony.n}, batches of {ceremony.batch}"
        yield conclusion(title, ("MPC-19", "MPC-22", "MPC-23", "MPC-25"), ceremony, heard(run))
    box = 32
    third = Dealt.make(SMALL).bodies()[2]
    failing: tuple[tuple[str, str, int, dict[int, Change]], ...] = (
        ("member 3 says no hello", "MPC-3", HELLO, {3: silent}),
        ("members 2 and 3 say no hello", "MPC-3", HELLO, {2: silent, 3: silent}),
        ("member 3 publishes nothing", "MPC-3", PUBLISH, {3: silent}),
        ("member 3 gives up in the multiply round", "MPC-3", MULTIPLY, {3: empty}),
        ("member 3's boxes are a byte short", "MPC-4", DEAL, {3: lambda payload: payload[:-1]}),
        ("member 3's key is the identity", "MPC-4", HELLO, {3: put(32, IDENTITY_BYTES)}),
        ("member 3's response is above r", "MPC-4", HELLO, {3: put(128, b"\xff" * 32)}),
        ("member 3 says member 2's hello", "MPC-5", HELLO, {3: lambda _: honest().said[HELLO][2]}),
        ("member 3's proof is one bit off", "MPC-5", HELLO, {3: at(-1)}),
        ("member 3 names another start", "MPC-6", HELLO, {3: at(0)}),
        ("member 3 names other hellos", "MPC-6", DEAL, {3: at(0)}),
        ("member 3 publishes under another view", "MPC-6", PUBLISH, {3: at(31)}),
        ("member 3's box for member 1 does not open, deal", "MPC-7", DEAL, {3: at(box)}),
        ("member 3's box for member 1 does not open, multiply", "MPC-7", MULTIPLY, {3: at(box)}),
        ("member 3's box for member 1 does not open, reshare", "MPC-7", RESHARE, {3: at(box)}),
        ("member 3's image of tau is the identity", "MPC-4", PUBLISH, {3: put(32, IDENTITY_BYTES)}),
        ("member 3's image of tau is another", "MPC-8", PUBLISH, {3: put(32, third[TAU:SQUARE])}),
        ("member 3's image of tau^4 is another", "MPC-8", PUBLISH, {3: put(32 + HIGHER, third[HIGHER:])}),
        ("member 3's first verification key is another", "MPC-9", PUBLISH, {3: put(32 + KEY_1, third[KEY_1:KEY_2])}),
    )  # fmt: skip
    for title, rule, number, changes in failing:
        yield conclusion(title, (rule,), SMALL, cut(number, changes))
    yield conclusion(
        "member 3's box for member 2 does not open, and member 2 gives up",
        ("MPC-3", "MPC-7"),
        SMALL,
        [*given_up()],
    )
    second = honest().said[DEAL][3]
    twice = [*heard(honest(), until=DEAL), signed(SMALL, DEAL, 3, flipped(second, -1))]
    yield conclusion("member 3 signs two deals", ("MPC-2",), SMALL, twice)
    early = signed(SMALL, MULTIPLY, 3, b"")
    ahead = heard(honest(), until=DEAL)
    yield conclusion(
        "member 3 signs two messages of a round that is yet to come",
        ("MPC-2",),
        SMALL,
        [*ahead, early, signed(SMALL, MULTIPLY, 3, honest().said[MULTIPLY][3])],
    )
    for title, tampered in (
        ("member 3 deals another product", {(MULTIPLY, 3): 1}),
        ("member 3 deals another share of tau^2 when it reshares", {(RESHARE, 3): 2}),
    ):
        run = Run(ceremony=SMALL, tampered=tampered).run()
        yield conclusion(title, ("MPC-9", "MPC-17"), SMALL, heard(run))


def given_up() -> Iterator[Message]:
    """The box is the last of member 3's boxes; member 1 sees nothing wrong with it, and names it in its view."""
    yield from heard(honest(), until=HELLO)
    said = honest().said[DEAL] | {3: flipped(honest().said[DEAL][3], -1)}
    for member, payload in said.items():
        yield signed(SMALL, DEAL, member, payload)
    view = SMALL.first_view
    _, view = end_round(SMALL, HELLO, view, honest().said[HELLO])
    _, view = end_round(SMALL, DEAL, view, said)
    for member in SMALL.members:
        payload = b"" if member == 2 else view + honest().said[MULTIPLY][member][32:]
        yield signed(SMALL, MULTIPLY, member, payload)


def last_rounds() -> Iterator[Case]:
    """Once the parameters have been checked, what one member says ends no attempt, unless it gives up."""
    agreement, _ = agreed(honest())
    stranger = sign_digest(identity_key(9), agreement.digest)
    share_at = 32 + 65 + 4
    own = honest().said[CONFIRM][2][share_at:]
    passing: tuple[tuple[str, str, dict[int, Change]], ...] = (
        ("member 3 does not confirm", "MPC-3", {3: silent}),
        ("member 3's confirmation is truncated", "MPC-4", {3: lambda payload: payload[:-1]}),
        ("a byte follows member 3's confirmation", "MPC-4", {3: lambda payload: payload + b"\0"}),
        ("member 3 confirms another agreement", "MPC-10", {3: at(0)}),
        ("member 3's confirmation is signed by another", "MPC-10", {3: put(32, stranger)}),
        ("member 3's share of the self-test is no point", "MPC-11", {3: at(share_at)}),
        ("member 3's share of the self-test is member 2's", "MPC-11", {3: put(share_at, own)}),
    )  # fmt: skip
    for title, rule, changes in passing:
        yield conclusion(title, (rule, "MPC-12"), SMALL, cut(CONFIRM, changes))
    failing: tuple[tuple[str, dict[int, Change]], ...] = (
        ("two of three do not confirm", {2: silent, 3: silent}),
        ("member 3 gives up at the end", {3: empty}),
        ("member 3 gives up at the end, and member 2 is silent", {2: silent, 3: empty}),
        ("two of three confirm another agreement", {2: at(0), 3: at(0)}),
        ("one is silent, another's share is wrong", {2: silent, 3: put(share_at, own)}),
    )
    for title, changes in failing:
        yield conclusion(title, ("MPC-12",), SMALL, cut(CONFIRM, changes))
    whole = heard(honest())
    late = signed(SMALL, HELLO, 3, flipped(honest().said[HELLO][3], -1))
    after = [*whole[: 2 * SMALL.n], late, *whole[2 * SMALL.n :]]
    yield conclusion("member 3 signs a second hello when that round is over", ("MPC-2",), SMALL, after)
    again = signed(SMALL, CONFIRM, 3, b"")
    yield conclusion("member 3 signs two last messages: the first counts", ("MPC-2",), SMALL, [*whole, again])
    yield conclusion("a message that comes twice is one", ("MPC-2",), SMALL, [*whole, whole[-1]])


# --- transcripts -----------------------------------------------------------------------------------------------------


def transcripts() -> Iterator[Case]:
    agreement, _ = agreed(honest())
    sign = {m: sign_digest(identity_key(m), agreement.digest) for m in SMALL.members}
    body = agreement.encode()
    one, two, three = (u16(member) + sign[member] for member in SMALL.members)

    def signed_by_all(changed: Agreement) -> bytes:
        """Rightly signed, whatever it says."""
        return encode_transcript(changed, {m: sign_digest(identity_key(m), changed.digest) for m in sign})

    fewer = replace(agreement, verification_keys=agreement.verification_keys[:2])
    stranger = u16(3) + sign_digest(identity_key(9), agreement.digest)
    high = N - int.from_bytes(sign[3][32:64], "big")
    malleable = u16(3) + sign[3][:32] + high.to_bytes(32, "big") + u8(55 - sign[3][64])
    for title, rule, t, data, refused in (
        ("three signatures", "MPC-12", 2, body + u32(3) + one + two + three, False),
        ("two signatures", "MPC-12", 2, body + u32(2) + one + three, False),
        ("of another scheme: compare it", "MPC-12", 2, signed_by_all(replace(agreement, scheme=7)), False),
        ("one signature", "MPC-12", 2, body + u32(1) + one, True),
        ("another threshold than expected", "MPC-12", 1, body + u32(2) + one + two, True),
        ("a signature of somebody else", "MPC-12", 2, body + u32(3) + one + two + stranger, True),
        ("a signature under another's number", "MPC-12", 2, body + u32(2) + one + u16(2) + three[2:], True),
        ("a signature with s in the upper half", "MPC-12", 2, body + u32(3) + one + two + malleable, True),
        ("one bit of the view flipped", "MPC-12", 2, flipped(body + u32(2) + one + two, 36 + 9), True),
        ("signatures are not ascending", "MPC-24", 2, body + u32(2) + two + one, True),
        ("one signature twice", "MPC-24", 2, body + u32(2) + one + one, True),
        ("a signature of member 4 of 3", "MPC-24", 2, body + u32(3) + one + two + u16(4) + three[2:], True),
        ("four signatures of three members", "MPC-24", 2, body + u32(4) + one + two + three + u16(4) + three[2:], True),
        ("a byte follows", "MPC-24", 2, body + u32(2) + one + two + b"\0", True),
        ("truncated", "MPC-24", 2, (body + u32(2) + one + two)[:-1], True),
        ("two verification keys for three members", "MPC-24", 2, signed_by_all(fewer), True),
        ("a threshold of four", "MPC-24", 4, signed_by_all(replace(agreement, t=4)), True),
        ("a threshold of none", "MPC-24", 0, signed_by_all(replace(agreement, t=0)), True),
        ("batches of none", "MPC-24", 2, signed_by_all(replace(agreement, batch=0)), True),
    ):  # fmt: skip
        yield Case(
            operation="verify_transcript",
            title=title,
            requirements=(rule, "MPC-23") if not refused else (rule,),
            input=addresses(SMALL) | {"t": str(t), "transcript": to_hex(data)},
            refused=refused,
        )
