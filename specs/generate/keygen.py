"""Inputs for specs/keygen.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from spec.genesis import N, address_of_key, sign_digest
from spec.keygen import (
    COMPLAINT,
    COMPLAINT_ECHO,
    CONFIRM,
    DEALING,
    DEALING_ECHO,
    HELLO,
    HELLO_ECHO,
    Agreement,
    Ceremony,
    Complaint,
    Dealing,
    Message,
    Seat,
    View,
    box_key,
    complain,
    deal,
    dealing_contexts,
    encode_complaints,
    encode_confirmation,
    encode_echo,
    encode_transcript,
    evaluate,
    hello_context,
    make_hello,
    message_digest,
    open_box,
    possession_challenge,
    prove_possession,
    tdh2_material,
)
from spec.notation import (
    G1,
    G1_GENERATOR,
    GF,
    Json,
    R,
    Refused,
    Scalar,
    add,
    counted,
    draw_scalar,
    encode_g1,
    encode_scalar,
    multiply,
    to_hex,
    u8,
    u16,
    u32,
)
from spec.payload import seal
from spec.tdh2 import load_public_key, partial_decrypt, self_test_batch

from specs.generate.case import Case, labelled
from specs.generate.tdh2 import IDENTITY_BYTES, ORDER_3

CEREMONY_ID = labelled("keygen/ceremony")(32)
NETWORK = labelled("keygen/network")(32)
SMALL = Ceremony(ceremony_id=CEREMONY_ID, n=3, t=2)
LARGE = Ceremony(ceremony_id=CEREMONY_ID, n=4, t=3)


@cache
def identity_key(member: int) -> bytes:
    return labelled(f"keygen/identity/{member}")(32)


@cache
def address(member: int) -> bytes:
    return address_of_key(identity_key(member))


@cache
def ephemeral(member: int) -> Scalar:
    return draw_scalar(labelled(f"keygen/ephemeral/{member}"))


@cache
def hello_key(member: int) -> G1:
    return multiply(G1_GENERATOR, ephemeral(member))


@cache
def hello(ceremony: Ceremony, member: int) -> bytes:
    return make_hello(ceremony, member, ephemeral(member), labelled(f"keygen/hello/{member}"))


def dealing_label(ceremony: Ceremony, dealer: int, heard: Sequence[int]) -> str:
    return f"keygen/dealing/{ceremony.t} of {ceremony.n}/{dealer} to {','.join(map(str, heard))}"


@cache
def dealing(ceremony: Ceremony, dealer: int, heard: tuple[int, ...]) -> bytes:
    random = labelled(dealing_label(ceremony, dealer, heard))
    return deal(ceremony, dealer, {member: hello_key(member) for member in heard}, random)


@cache
def signed(ceremony: Ceremony, round_: int, sender: int, payload: bytes, signer: int = 0) -> Message:
    digest = message_digest(ceremony, round_, sender, payload)
    signature = sign_digest(identity_key(signer or sender), digest)
    return Message(round=round_, sender=sender, payload=payload, signature=signature)


def everyone(ceremony: Ceremony) -> tuple[int, ...]:
    return tuple(range(1, ceremony.n + 1))


def named(ceremony: Ceremony) -> Json:
    return {"ceremony_id": to_hex(ceremony.ceremony_id), "n": str(ceremony.n), "t": str(ceremony.t)}


def addresses(ceremony: Ceremony) -> Json:
    return {"addresses": [to_hex(address(member)) for member in everyone(ceremony)]}


def cases() -> Iterator[Case]:
    yield from messages()
    yield from hellos()
    yield from dealings()
    yield from boxes()
    yield from complaints()
    yield from ceremonies()
    yield from transcripts()


# --- messages and hellos ---------------------------------------------------------------------------------------------


def messages() -> Iterator[Case]:
    ceremony = SMALL
    honest = signed(ceremony, HELLO, 2, hello(ceremony, 2))
    data = honest.encode()
    r, s, v = honest.signature[:32], int.from_bytes(honest.signature[32:64], "big"), honest.signature[64]
    malleable = r + (N - s).to_bytes(32, "big") + bytes([55 - v])
    tiny = Ceremony(ceremony_id=CEREMONY_ID, n=2, t=1)
    long = bytes(tiny.limit - 72)

    def case(title: str, message: bytes, *, refused: bool, sender: int = 2, where: Ceremony = ceremony) -> Case:
        return Case(
            operation="receive",
            title=title,
            requirements=("DKG-1", "DKG-14"),
            input=named(where) | addresses(where) | {"sender": str(sender), "message": to_hex(message)},
            refused=refused,
        )

    yield case("a hello", data, refused=False)
    yield case("an empty payload", signed(ceremony, COMPLAINT, 2, b"").encode(), refused=False)
    yield case("from the channel of another member", data, sender=3, refused=True)
    yield case("signed by another member", signed(ceremony, HELLO, 2, honest.payload, 3).encode(), refused=True)
    other = Ceremony(ceremony_id=labelled("keygen/other ceremony")(32), n=3, t=2)
    yield case("signed for another ceremony", signed(other, HELLO, 2, honest.payload).encode(), refused=True)
    yield case("signed for another round", replace(honest, round=DEALING).encode(), refused=True)
    flipped = bytes([honest.payload[0] ^ 1]) + honest.payload[1:]
    yield case("one bit of the payload flipped", replace(honest, payload=flipped).encode(), refused=True)
    yield case("the signature with s in the upper half", data[:-65] + malleable, refused=True)
    yield case("round 0, rightly signed", signed(ceremony, 0, 2, honest.payload).encode(), refused=True)
    yield case("round 8, rightly signed", signed(ceremony, 8, 2, honest.payload).encode(), refused=True)
    yield case("a byte follows", data + b"\0", refused=True)
    yield case("the last byte is missing", data[:-1], refused=True)
    yield case("no bytes", b"", refused=True)
    yield case(
        "one byte longer than any honest message",
        signed(tiny, CONFIRM, 1, long + b"\0").encode(),
        sender=1,
        where=tiny,
        refused=True,
    )


def hellos() -> Iterator[Case]:
    ceremony = SMALL
    random = labelled("keygen/hello/2")
    make_hello(ceremony, 2, ephemeral(2), random)
    honest = hello(ceremony, 2)
    yield Case(
        operation="make_hello",
        title="member 2",
        requirements=("DKG-4", "DKG-21"),
        input=named(ceremony)
        | {"member": "2", "secret": to_hex(encode_scalar(ephemeral(2))), "random": to_hex(random.drawn)},
        refused=False,
    )
    z = int.from_bytes(honest[-32:], "big")
    elsewhere = make_hello(replace(ceremony, ceremony_id=bytes(32)), 2, ephemeral(2), labelled("keygen/elsewhere"))
    nobody = prove_possession(hello_context(ceremony, 2), GF(0), labelled("keygen/nobody"))
    for title, data, refused in (
        ("member 2", honest, False),
        ("member 3's hello", hello(ceremony, 3), True),
        ("made for another ceremony", elsewhere, True),
        ("the response is one more", honest[:-32] + ((z + 1) % R).to_bytes(32, "big"), True),
        ("the response is r more", honest[:-32] + (z + R).to_bytes(32, "big"), True),
        ("another member's key", encode_g1(hello_key(3)) + honest[48:], True),
        ("the identity, the proof honest", IDENTITY_BYTES + nobody, True),
        ("the key has a part of order 3 that the proof does not see", twisted_hello(ceremony, 2), True),
        ("a byte follows", honest + b"\0", True),
        ("the last byte is missing", honest[:-1], True),
    ):
        yield Case(
            operation="verify_hello",
            title=title,
            requirements=("DKG-4", "DKG-21"),
            input=named(ceremony) | {"member": "2", "hello": to_hex(data)},
            refused=refused,
        )


def twisted_hello(ceremony: Ceremony, member: int) -> bytes:
    """The challenge is a multiple of 3, so the part of order 3 vanishes from the equation."""
    random = labelled("keygen/twisted hello")
    key = add(hello_key(member), ORDER_3)
    while True:
        a = draw_scalar(random)
        commitment = multiply(G1_GENERATOR, a)
        c = possession_challenge(hello_context(ceremony, member), key, commitment)
        if int(c) % 3 == 0:
            return encode_g1(key) + encode_g1(commitment) + encode_scalar(a + c * ephemeral(member))


# --- dealings --------------------------------------------------------------------------------------------------------


def with_box(ceremony: Ceremony, data: bytes, member: int, box: bytes) -> bytes:
    parsed = Dealing.decode(ceremony, 1, data)
    kept = list(parsed.boxes)
    kept[member - 1] = box
    return data[: 48 * (ceremony.t + 1) + 160] + counted(kept)


def dealt_share(ceremony: Ceremony, dealer: int, heard: tuple[int, ...], member: int, change: int) -> bytes:
    """A dealing whose box for `member` holds its share and `change` more, not reduced."""
    random = labelled(dealing_label(ceremony, dealer, heard))
    coefficients = [draw_scalar(random) for _ in range(ceremony.t)]
    rho = draw_scalar(random)
    point = multiply(G1_GENERATOR, rho)
    key = box_key(ceremony, dealer, member, hello_key(member), point, multiply(hello_key(member), rho))
    value = int(evaluate(coefficients, member)) + change
    return with_box(ceremony, dealing(ceremony, dealer, heard), member, seal(key, value.to_bytes(32, "big"), b""))


def coefficients_of(ceremony: Ceremony, dealer: int) -> list[Scalar]:
    """The polynomial of the dealer's dealing to everyone."""
    random = labelled(dealing_label(ceremony, dealer, everyone(ceremony)))
    return [draw_scalar(random) for _ in range(ceremony.t)]


def chosen_dealing(ceremony: Ceremony, dealer: int, coefficients: Sequence[Scalar]) -> bytes:
    """An honest dealing of a polynomial that is not random."""
    random = labelled("keygen/chosen dealing")
    rho = draw_scalar(random)
    commitment = [multiply(G1_GENERATOR, coefficient) for coefficient in coefficients]
    point = multiply(G1_GENERATOR, rho)
    constant, own = dealing_contexts(ceremony, dealer, commitment, point)
    kept = []
    for member in everyone(ceremony):
        key = box_key(ceremony, dealer, member, hello_key(member), point, multiply(hello_key(member), rho))
        kept.append(seal(key, encode_scalar(evaluate(coefficients, member)), b""))
    return (
        b"".join(map(encode_g1, [*commitment, point]))
        + prove_possession(constant, coefficients[0], random)
        + prove_possession(own, rho, random)
        + counted(kept)
    )


def cancelling_dealing(ceremony: Ceremony, dealer: int, at: int) -> bytes:
    """With the others' dealings it adds up to a polynomial that is 0 at `at`."""
    others = [coefficients_of(ceremony, m) for m in everyone(ceremony) if m != dealer]
    rest = coefficients_of(ceremony, dealer)[1:]
    owed = sum((evaluate(other, at) for other in others), evaluate([GF(0), *rest], at))
    return chosen_dealing(ceremony, dealer, [-owed, *rest])


def dealings() -> Iterator[Case]:
    ceremony, members = SMALL, everyone(SMALL)
    for heard in (members, (1, 3)):
        random = labelled(dealing_label(ceremony, 1, heard))
        deal(ceremony, 1, {member: hello_key(member) for member in heard}, random)
        keys = [{"member": str(member), "key": to_hex(encode_g1(hello_key(member)))} for member in heard]
        yield Case(
            operation="deal",
            title=f"to members {', '.join(map(str, heard))}",
            requirements=("DKG-6", "DKG-7", "DKG-15", "DKG-21"),
            input=named(ceremony) | {"dealer": "1", "keys": keys, "random": to_hex(random.drawn)},
            refused=False,
        )
    honest = dealing(ceremony, 1, members)
    start = 48 * (ceremony.t + 1)
    kept = Dealing.decode(ceremony, 1, honest).boxes
    points, proofs = honest[:start], honest[start : start + 160]
    reused = dealing(ceremony, 2, members)
    reused_point = honest[: start - 48] + reused[start - 48 : start] + honest[start:]
    extra = encode_g1(G1_GENERATOR)
    without_secret = chosen_dealing(ceremony, 1, [GF(0), *coefficients_of(ceremony, 1)[1:]])

    def plus_1(at: int) -> bytes:
        z = int.from_bytes(honest[at : at + 32], "big")
        return honest[:at] + ((z + 1) % R).to_bytes(32, "big") + honest[at + 32 :]

    for title, rule, data, refused in (
        ("to all three members", "DKG-6", honest, False),
        ("a box that opens to nothing: not seen yet", "DKG-6", with_box(ceremony, honest, 2, bytes(48)), False),
        ("the proof for f(0) is one off", "DKG-6", plus_1(start + 48), True),
        ("the proof for rho is one off", "DKG-6", plus_1(start + 128), True),
        ("R of another dealer", "DKG-6", reused_point, True),
        ("the proofs have changed places", "DKG-6", points + proofs[80:] + proofs[:80] + counted(kept), True),
        ("another dealer's dealing", "DKG-6", reused, True),
        ("C_1 is another", "DKG-6", honest[:48] + extra + honest[96:], True),
        (
            "C_0 is the identity, the proofs honest",
            "DKG-6",
            without_secret,
            True,
        ),
        ("C_1 is the identity", "DKG-6", honest[:48] + IDENTITY_BYTES + honest[96:], True),
        ("a coefficient too many", "DKG-6", extra + honest, True),
        ("a box too few", "DKG-6", points + proofs + counted(kept[:2]), True),
        ("an empty box too many", "DKG-6", points + proofs + counted([*kept, b""]), True),
        ("a box of 47 bytes", "DKG-6", points + proofs + counted([*kept[:2], kept[2][:47]]), True),
        ("a byte follows", "DKG-6", honest + b"\0", True),
        ("no box for member 2, who was heard", "DKG-7", with_box(ceremony, honest, 2, b""), True),
    ):
        yield Case(
            operation="verify_dealing",
            title=title,
            requirements=(rule,),
            input=named(ceremony) | {"dealer": "1", "heard": ["1", "2", "3"], "dealing": to_hex(data)},
            refused=refused,
        )
    for title, data, refused in (
        ("member 2 was not heard", dealing(ceremony, 1, (1, 3)), False),
        ("a box for member 2, who was not heard", honest, True),
    ):
        yield Case(
            operation="verify_dealing",
            title=title,
            requirements=("DKG-7",),
            input=named(ceremony) | {"dealer": "1", "heard": ["1", "3"], "dealing": to_hex(data)},
            refused=refused,
        )


def boxes() -> Iterator[Case]:
    ceremony, members = SMALL, everyone(SMALL)
    honest = dealing(ceremony, 1, members)
    kept = Dealing.decode(ceremony, 1, honest).boxes
    flipped = kept[1][:-1] + bytes([kept[1][-1] ^ 1])
    for title, data, refused in (
        ("a good share", honest, False),
        ("one bit of the box flipped", with_box(ceremony, honest, 2, flipped), True),
        ("another member's box", with_box(ceremony, honest, 2, kept[2]), True),
        ("a share off the polynomial", dealt_share(ceremony, 1, members, 2, 1), True),
        ("the share and r", dealt_share(ceremony, 1, members, 2, R), True),
    ):
        yield Case(
            operation="open_box",
            title=title,
            requirements=("DKG-8", "DKG-15"),
            input=named(ceremony)
            | {"dealer": "1", "dealing": to_hex(data)}
            | {"member": "2", "secret": to_hex(encode_scalar(ephemeral(2)))},
            refused=refused,
        )


# --- complaints ------------------------------------------------------------------------------------------------------


def complaint(ceremony: Ceremony, member: int, data: bytes, dealer: int = 1) -> Complaint:
    parsed = Dealing.decode(ceremony, dealer, data)
    return complain(ceremony, member, ephemeral(member), parsed, labelled(f"keygen/complaint/{member} on {dealer}"))


def complaints() -> Iterator[Case]:
    ceremony, members = SMALL, everyone(SMALL)
    honest = dealing(ceremony, 1, members)
    bad = with_box(ceremony, honest, 2, bytes(48))
    off = dealt_share(ceremony, 1, members, 2, 1)
    random = labelled("keygen/complaint/2 on 1")
    complain(ceremony, 2, ephemeral(2), Dealing.decode(ceremony, 1, bad), random)
    yield Case(
        operation="complain",
        title="member 2 about dealer 1",
        requirements=("DKG-9", "DKG-16"),
        input=named(ceremony)
        | {"dealer": "1", "dealing": to_hex(bad), "member": "2"}
        | {"secret": to_hex(encode_scalar(ephemeral(2))), "random": to_hex(random.drawn)},
        refused=False,
    )
    right = complaint(ceremony, 2, bad)
    about_3 = replace(right, dealer=3)
    others_point = complaint(ceremony, 3, bad)
    wrong = replace(right, shared=multiply(G1_GENERATOR, 5))
    one_off = replace(right, response=right.response + GF(1))
    elsewhere = replace(complaint(ceremony, 2, dealing(ceremony, 3, members), 3), dealer=1)
    identity = u16(1) + IDENTITY_BYTES + right.encode()[50:]
    late = right.encode()[:-32] + (int(right.response) + R).to_bytes(32, "big")
    for title, rule, data, payload, refused in (
        ("a box that does not open", "DKG-9", bad, encode_complaints([right]), False),
        ("a share off the polynomial", "DKG-9", off, encode_complaints([right]), False),
        ("a second complaint in the list", "DKG-17", bad, encode_complaints([right, about_3]), False),
        ("the share is good", "DKG-9", honest, encode_complaints([right]), True),
        ("the response is one more", "DKG-9", bad, encode_complaints([one_off]), True),
        ("a point that opens nothing either", "DKG-9", bad, encode_complaints([wrong]), True),
        ("the complaint of member 3", "DKG-9", bad, encode_complaints([others_point]), True),
        ("made about another dealing", "DKG-9", bad, encode_complaints([elsewhere]), True),
        ("not ascending", "DKG-17", bad, encode_complaints([about_3, right]), True),
        ("one dealer twice", "DKG-17", bad, encode_complaints([right, right]), True),
        ("about dealer 4 of 3", "DKG-17", bad, encode_complaints([right, replace(right, dealer=4)]), True),
        ("about dealer 0", "DKG-17", bad, encode_complaints([replace(right, dealer=0), right]), True),
        ("the point is the identity", "DKG-17", bad, counted([identity]), True),
        ("the response is r more", "DKG-17", bad, counted([late]), True),
        ("a complaint is one byte longer", "DKG-17", bad, counted([right.encode() + b"\0"]), True),
        ("a byte follows", "DKG-17", bad, encode_complaints([right]) + b"\0", True),
    ):  # fmt: skip
        yield Case(
            operation="judge",
            title=title,
            requirements=(rule, "DKG-16") if rule == "DKG-9" else (rule,),
            input=named(ceremony)
            | {"dealer": "1", "dealing": to_hex(data), "member": "2"}
            | {"key": to_hex(encode_g1(hello_key(2))), "complaints": to_hex(payload)},
            refused=refused,
        )


# --- whole ceremonies ------------------------------------------------------------------------------------------------

Cheat = Callable[[bytes], list[bytes]]


@dataclass(kw_only=True)
class Play:
    """A ceremony as member 1 sees it. Cheats replace what a member says in a round: any number of payloads.

    unheard    messages by round and sender that reach member 1 in echoes only
    """

    ceremony: Ceremony
    cheats: dict[tuple[int, int], Cheat] = field(default_factory=dict)
    unheard: frozenset[tuple[int, int]] = frozenset()
    journal: list[Message] = field(default_factory=list)
    heard: dict[int, list[Message]] = field(default_factory=dict)
    agreement: Agreement | None = None

    def run(self) -> Play:
        """Up to the end, or to where it fails."""
        ceremony = self.ceremony
        seat = Seat(
            ceremony=ceremony,
            addresses=tuple(address(member) for member in everyone(ceremony)),
            index=1,
            secret=ephemeral(1),
        )
        view = View(seat=seat)
        try:
            self.speak(view, HELLO, lambda member: hello(ceremony, member))
            self.speak(view, HELLO_ECHO, lambda member: self.echo(HELLO, member))
            view.merge_echoes(HELLO)
            view.accept_hellos()
            heard = tuple(view.hellos)
            self.speak(view, DEALING, lambda member: dealing(ceremony, member, heard))
            self.speak(view, DEALING_ECHO, lambda member: self.echo(DEALING, member))
            view.merge_echoes(DEALING)
            view.accept_dealings()
            self.speak(view, COMPLAINT, lambda member: self.complaints(view, member))
            self.speak(view, COMPLAINT_ECHO, lambda member: self.echo(COMPLAINT, member))
            view.merge_echoes(COMPLAINT)
            view.judge_complaints()
            agreement, _ = view.agree()
            self.agreement = agreement
            self.speak(view, CONFIRM, lambda member: self.confirmation(view, agreement, member))
        except Refused:
            pass
        return self

    def speak(self, view: View, round_: int, payload: Callable[[int], bytes]) -> None:
        said = []
        for member in everyone(self.ceremony):
            cheat = self.cheats.get((round_, member), unchanged)
            said += [signed(self.ceremony, round_, member, version) for version in cheat(payload(member))]
        self.heard[round_] = said
        direct = [message for message in said if (round_, message.sender) not in self.unheard]
        self.journal += direct
        for message in direct:
            view.keep(message)

    def echo(self, said: int, member: int) -> bytes:
        """Member 1 has not heard what reaches it in echoes only; the others have."""
        others = [message for message in self.heard[said] if message.sender != member]
        return encode_echo(m for m in others if member != 1 or (said, m.sender) not in self.unheard)

    def complaints(self, view: View, member: int) -> bytes:
        made = []
        for dealer, parsed in sorted(view.dealings.items()):
            if member in view.hellos and self.opened(parsed, member) is None:
                random = labelled(f"keygen/ceremony complaint/{member} on {dealer}")
                made.append(complain(self.ceremony, member, ephemeral(member), parsed, random))
        return encode_complaints(made)

    def opened(self, parsed: Dealing, member: int) -> Scalar | None:
        shared = multiply(parsed.ephemeral, ephemeral(member))
        try:
            return open_box(self.ceremony, parsed, member, hello_key(member), shared)
        except Refused:
            return None

    def confirmation(self, view: View, agreement: Agreement, member: int) -> bytes:
        if member not in view.hellos:
            return b""
        material = tdh2_material(agreement)
        key = load_public_key(material.encode(), material.key_id(NETWORK))
        opened = [self.opened(parsed, member) for parsed in view.dealings.values()]
        secret = sum((share for share in opened if share is not None), GF(0))
        random = labelled(f"keygen/self-test/{member}")
        share = partial_decrypt(key, self_test_batch(key), member, secret, random)
        return encode_confirmation(agreement.digest, sign_digest(identity_key(member), agreement.digest), share)


def unchanged(payload: bytes) -> list[bytes]:
    return [payload]


def silent(payload: bytes) -> list[bytes]:
    return []


def instead(payload: bytes) -> Cheat:
    return lambda honest: [payload]


def also(payload: bytes) -> Cheat:
    return lambda honest: [honest, payload]


def flipped_at(at: int) -> Cheat:
    def flip(honest: bytes) -> list[bytes]:
        changed = bytearray(honest)
        changed[at] ^= 1
        return [bytes(changed)]

    return flip


def ceremonies() -> Iterator[Case]:
    small, members = SMALL, everyone(SMALL)
    honest = dealing(small, 3, members)
    second_hello = make_hello(small, 3, ephemeral(9), labelled("keygen/second hello"))
    twice = make_hello(small, 1, ephemeral(9), labelled("keygen/hello in another's name"))
    second_dealing = deal(small, 3, {m: hello_key(m) for m in members}, labelled("keygen/second dealing"))
    false = encode_complaints([complaint(small, 3, dealing(small, 2, members), 2)])
    own = signed(small, HELLO, 3, hello(small, 3)).encode()
    unsigned = signed(small, HELLO, 2, second_hello, 3).encode()
    elsewhere = signed(small, DEALING, 2, dealing(small, 2, members)).encode()
    in_my_name = signed(small, HELLO, 1, twice).encode()
    proof = 48 * 3 + 48 + 31
    bad_for_1 = with_box(small, honest, 1, bytes(48))
    bad_for_2 = dealt_share(small, 3, members, 2, 1)
    rounds = range(HELLO, CONFIRM + 1)
    cheats: tuple[tuple[str, tuple[str, ...], dict[tuple[int, int], Cheat]], ...] = (
        ("all honest", ("DKG-19", "DKG-20", "DKG-18"), {}),
        ("member 3 says nothing at all", ("DKG-3", "DKG-7"), {(r, 3): silent for r in rounds}),
        ("member 3 deals nothing", ("DKG-3",), {(DEALING, 3): silent}),
        ("member 3 neither sends complaints nor confirms", ("DKG-3",), {(r, 3): silent for r in (COMPLAINT, CONFIRM)}),
        ("member 3 says two hellos", ("DKG-2",), {(HELLO, 3): also(second_hello)}),
        ("member 3 deals twice", ("DKG-2",), {(DEALING, 3): also(second_dealing)}),
        ("member 3 sends two lists of complaints, one false", ("DKG-2", "DKG-9"), {(COMPLAINT, 3): also(false)}),
        ("member 3's hello proves nothing", ("DKG-4",), {(HELLO, 3): flipped_at(127)}),
        ("member 3 forwards its own hello", ("DKG-5",), {(HELLO_ECHO, 3): instead(counted([own]))}),
        ("member 3 forwards a forged hello of member 2", ("DKG-5",), {(HELLO_ECHO, 3): instead(counted([unsigned]))}),
        ("member 3 forwards a message of another round", ("DKG-5",), {(HELLO_ECHO, 3): instead(counted([elsewhere]))}),
        ("member 3's echo has a trailing byte", ("DKG-5",), {(HELLO_ECHO, 3): also_longer}),
        ("a proof in member 3's dealing is wrong", ("DKG-6",), {(DEALING, 3): flipped_at(proof)}),
        ("member 3 has no box for member 2", ("DKG-7",), {(DEALING, 3): instead(with_box(small, honest, 2, b""))}),
        ("member 3's box for member 1 is bad", ("DKG-8",), {(DEALING, 3): instead(bad_for_1)}),
        ("member 3's box for member 2 is bad", ("DKG-8",), {(DEALING, 3): instead(bad_for_2)}),
        ("member 3 complains falsely about member 2", ("DKG-9",), {(COMPLAINT, 3): instead(false)}),
        ("member 3's complaints do not decode", ("DKG-9", "DKG-17"), {(COMPLAINT, 3): instead(b"\0")}),
        ("member 3's signature on the agreement is wrong", ("DKG-11",), {(CONFIRM, 3): flipped_at(70)}),
        ("member 3's confirmation is truncated", ("DKG-11",), {(CONFIRM, 3): lambda honest: [honest[:-1]]}),
        ("member 3 confirms another agreement", ("DKG-11",), {(CONFIRM, 3): flipped_at(0)}),
        ("member 3's share of the self-test is wrong", ("DKG-12",), {(CONFIRM, 3): flipped_at(-1)}),
    )  # fmt: skip
    yield conclusion(LARGE, "all honest, 3 of 4", ("DKG-19", "DKG-20"), {}, refused=False)
    for title, rules, cheat in cheats:
        yield conclusion(small, title, rules, cheat, refused=False)
    yield conclusion(
        small,
        "member 3's hello is heard through member 2 only",
        ("DKG-3", "DKG-5"),
        {},
        unheard=frozenset({(HELLO, 3)}),
        refused=False,
    )
    failures: tuple[tuple[str, dict[tuple[int, int], Cheat]], ...] = (
        ("two of three say no hello", {(HELLO, 2): silent, (HELLO, 3): silent}),
        ("two of three deal nothing", {(DEALING, 2): silent, (DEALING, 3): silent}),
        ("two of three boxes for member 1 are bad", {
            (DEALING, m): instead(with_box(small, dealing(small, m, members), 1, bytes(48))) for m in (2, 3)
        }),
        ("the dealings add up to the identity", {(DEALING, 3): instead(cancelling_dealing(small, 3, 0))}),
        ("member 2's verification key is the identity", {(DEALING, 3): instead(cancelling_dealing(small, 3, 2))}),
        ("two of three do not confirm", {(CONFIRM, 2): silent, (CONFIRM, 3): silent}),
        ("a second hello in member 1's own name", {(HELLO_ECHO, 3): instead(counted([in_my_name]))}),
    )  # fmt: skip
    for title, cheat in failures:
        yield conclusion(small, title, ("DKG-10",), cheat, refused=True)


def also_longer(honest: bytes) -> list[bytes]:
    return [honest + b"\0"]


def conclusion(
    ceremony: Ceremony,
    title: str,
    rules: tuple[str, ...],
    cheats: dict[tuple[int, int], Cheat],
    *,
    refused: bool,
    unheard: frozenset[tuple[int, int]] = frozenset(),
) -> Case:
    played = Play(ceremony=ceremony, cheats=cheats, unheard=unheard).run()
    return Case(
        operation="conclude",
        title=title,
        requirements=rules,
        input=named(ceremony)
        | addresses(ceremony)
        | {"network": to_hex(NETWORK), "index": "1", "secret": to_hex(encode_scalar(ephemeral(1)))}
        | {"messages": [to_hex(message.encode()) for message in played.journal]},
        refused=refused,
    )


# --- transcripts -----------------------------------------------------------------------------------------------------


def transcripts() -> Iterator[Case]:
    ceremony = SMALL
    agreement = Play(ceremony=ceremony).run().agreement
    assert agreement is not None
    sign = {m: sign_digest(identity_key(m), agreement.digest) for m in everyone(ceremony)}
    body = agreement.encode()
    one, two, three = (u16(member) + sign[member] for member in everyone(ceremony))

    def of(changed: Agreement) -> bytes:
        """Rightly signed by all, whatever it says."""
        return encode_transcript(changed, {m: sign_digest(identity_key(m), changed.digest) for m in sign})

    dealt = agreement.dealings
    unsorted = replace(agreement, dealings=(dealt[1], dealt[0]))
    single = replace(agreement, dealings=dealt[:1])
    short = replace(agreement, dealings=(dealt[0], (dealt[1][0], dealt[1][1][:-1])))
    fewer = replace(agreement, verification_keys=agreement.verification_keys[:2])
    stranger = u16(3) + sign_digest(identity_key(9), agreement.digest)
    high = N - int.from_bytes(sign[3][32:64], "big")
    malleable = u16(3) + sign[3][:32] + high.to_bytes(32, "big") + u8(55 - sign[3][64])
    for title, rule, t, data, refused in (
        ("three signatures", "DKG-13", 2, body + u32(3) + one + two + three, False),
        ("two signatures", "DKG-13", 2, body + u32(2) + one + three, False),
        ("one signature", "DKG-13", 2, body + u32(1) + one, True),
        ("another threshold than expected", "DKG-13", 1, body + u32(2) + one + two, True),
        ("a signature of somebody else", "DKG-13", 2, body + u32(3) + one + two + stranger, True),
        ("a signature under another's number", "DKG-13", 2, body + u32(2) + one + u16(2) + three[2:], True),
        ("a signature with s in the upper half", "DKG-13", 2, body + u32(3) + one + two + malleable, True),
        ("signatures are not ascending", "DKG-22", 2, body + u32(2) + two + one, True),
        ("one signature twice", "DKG-22", 2, body + u32(2) + one + one, True),
        ("a signature of member 4 of 3", "DKG-22", 2, body + u32(3) + one + two + u16(4) + three[2:], True),
        ("four signatures of three members", "DKG-22", 2, body + u32(4) + one + two + three + u16(4) + three[2:], True),
        ("a byte follows", "DKG-22", 2, body + u32(2) + one + two + b"\0", True),
        ("truncated", "DKG-22", 2, (body + u32(2) + one + two)[:-1], True),
        ("dealers are not ascending", "DKG-22", 2, of(unsorted), True),
        ("one dealing for a threshold of two", "DKG-22", 2, of(single), True),
        ("a dealing named by 31 bytes", "DKG-22", 2, of(short), True),
        ("two verification keys for three members", "DKG-22", 2, of(fewer), True),
    ):  # fmt: skip
        yield Case(
            operation="verify_transcript",
            title=title,
            requirements=(rule, "DKG-18") if not refused else (rule,),
            input=addresses(ceremony) | {"t": str(t), "transcript": to_hex(data)},
            refused=refused,
        )
