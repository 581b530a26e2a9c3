"""Inputs for specs/resharing.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from spec import keygen
from spec.genesis import sign_digest
from spec.keygen import (
    COMPLAINT,
    COMPLAINT_ECHO,
    CONFIRM,
    DEALING,
    DEALING_ECHO,
    HELLO,
    HELLO_ECHO,
    Agreement,
    Complaint,
    Dealing,
    Message,
    complain,
    encode_complaints,
    encode_confirmation,
    encode_echo,
    encode_transcript,
    evaluate,
    open_box,
    tdh2_material,
)
from spec.notation import (
    G1_GENERATOR,
    GF,
    Json,
    Refused,
    Scalar,
    counted,
    draw_scalar,
    encode_g1,
    encode_scalar,
    multiply,
    to_hex,
    u16,
    u32,
)
from spec.resharing import HandedOn, PeerView, Resharing, deal, view_of, weights
from spec.tdh2 import Material, load_public_key, partial_decrypt, self_test_batch

from specs.generate.case import Case, labelled
from specs.generate.keygen import (
    Cheat,
    address,
    chosen_dealing,
    ephemeral,
    flipped_at,
    hello,
    hello_key,
    identity_key,
    instead,
    signed,
    silent,
    unchanged,
    with_box,
)

NETWORK = labelled("resharing/network")(32)


self_test = cache(self_test_batch)


@cache
def polynomial(t: int) -> tuple[Scalar, ...]:
    """Of the predecessors with this threshold."""
    random = labelled(f"resharing/predecessor/{t}")
    return tuple(draw_scalar(random) for _ in range(t))


@cache
def predecessor(n: int, t: int) -> Material:
    keys = [encode_g1(multiply(G1_GENERATOR, evaluate(polynomial(t), member))) for member in range(n + 1)]
    return Material(scheme=1, threshold=t, encryption_key=keys[0], verification_keys=tuple(keys[1:]), parameters=b"")


def resharing(label: str, old: tuple[int, int], n: int, t: int, holders: Mapping[int, int]) -> Resharing:
    name = labelled(f"resharing/{label}")(32)
    return Resharing(ceremony_id=name, n=n, t=t, predecessor=predecessor(*old), holders=holders)


MIXED = resharing("mixed", (3, 2), 3, 2, {1: 2, 3: 1, 4: 3})
"""Members 1 and 3 stay, 2 joins, 4 leaves."""
REFRESH = resharing("refresh", (4, 3), 4, 3, {1: 1, 2: 2, 3: 3, 4: 4})
GROW = resharing("grow", (3, 2), 4, 3, {1: 1, 2: 2, 3: 3})
SHRINK = resharing("shrink", (4, 3), 1, 1, {1: 4, 2: 1, 3: 2, 4: 3})


def share_of(of: Resharing, dealer: int) -> Scalar:
    return evaluate(polynomial(of.predecessor.threshold), of.holders[dealer])


DEALT: dict[tuple[bytes, int, tuple[int, ...]], bytes] = {}


def dealing(of: Resharing, dealer: int, heard: tuple[int, ...] = ()) -> bytes:
    """To all members, unless it is said to whom."""
    members = heard or tuple(range(1, of.n + 1))
    at = (of.ceremony_id, dealer, members)
    if at not in DEALT:
        random = labelled(f"resharing/dealing/{to_hex(of.ceremony_id)}/{dealer}")
        DEALT[at] = deal(of, dealer, share_of(of, dealer), {m: hello_key(m) for m in members}, random)
    return DEALT[at]


def another_constant(of: Resharing, dealer: int) -> bytes:
    """An honest dealing of one more than the share."""
    keys = {member: hello_key(member) for member in range(1, of.n + 1)}
    return deal(of, dealer, share_of(of, dealer) + GF(1), keys, labelled("resharing/another constant"))


def coefficients_of(of: Resharing, dealer: int) -> list[Scalar]:
    random = labelled(f"resharing/dealing/{to_hex(of.ceremony_id)}/{dealer}")
    return [share_of(of, dealer), *(draw_scalar(random) for _ in range(of.t - 1))]


def cancelling_dealing(of: Resharing, dealer: int, at: int) -> bytes:
    """Of the dealer's share, for t = 2: with the others' dealings it adds up to a polynomial that is 0 at `at`."""
    dealers = sorted(of.holders)
    factors = dict(zip(dealers, weights(of, dealers), strict=True))
    others = [factors[m] * evaluate(coefficients_of(of, m), at) for m in dealers if m != dealer]
    share = share_of(of, dealer)
    owed = -sum(others, GF(0)) / factors[dealer]
    return chosen_dealing(of, dealer, [share, (owed - share) / GF(at)])


def complaint(of: Resharing, member: int, dealer: int, data: bytes) -> Complaint:
    parsed = Dealing.decode(of, dealer, data)
    return complain(of, member, ephemeral(member), parsed, labelled(f"resharing/complaint/{member} on {dealer}"))


def started(of: Resharing) -> Json:
    return {
        "started": {
            "ceremony_id": to_hex(of.ceremony_id),
            "n": str(of.n),
            "t": str(of.t),
            "predecessor": to_hex(of.predecessor.encode()),
            "dealers": [{"peer": str(peer), "holder": str(of.holders[peer])} for peer in sorted(of.holders)],
        }
    }


def addresses(count: int) -> Json:
    return {"addresses": [to_hex(address(peer)) for peer in range(1, count + 1)]}


def cases() -> Iterator[Case]:
    yield from messages()
    yield from dealings()
    yield from complaints()
    yield from factors()
    yield from ceremonies()
    yield from transcripts()


# --- messages, dealings, complaints ----------------------------------------------------------------------------------


def messages() -> Iterator[Case]:
    wide = resharing("wide", (18, 1), 1, 1, {peer: peer for peer in range(1, 19)})
    longest = bytes(wide.limit - 72)
    for title, of, round_, sender, payload, refused in (
        ("a leaver's dealing", MIXED, DEALING, 4, dealing(MIXED, 4), False),
        ("a leaver's echo", MIXED, COMPLAINT_ECHO, 4, counted([]), False),
        ("a joiner's complaints", MIXED, COMPLAINT, 2, counted([]), False),
        ("a joiner's confirmation", MIXED, CONFIRM, 2, b"", False),
        ("a joiner deals", MIXED, DEALING, 2, dealing(MIXED, 4), True),
        ("a leaver complains", MIXED, COMPLAINT, 4, counted([]), True),
        ("a leaver confirms", MIXED, CONFIRM, 4, b"", True),
        ("as long as the longest honest message", wide, HELLO_ECHO, 2, longest, False),
        ("one byte longer", wide, HELLO_ECHO, 2, longest + b"\0", True),
    ):
        message = signed(of.among_peers, round_, sender, payload)
        yield Case(
            operation="receive",
            title=title,
            requirements=("RSH-3", "DKG-1"),
            input=started(of) | addresses(of.peers) | {"sender": str(sender), "message": to_hex(message.encode())},
            refused=refused,
        )


def dealings() -> Iterator[Case]:
    for title, of, dealer, heard in (
        ("a member who stays, to all", MIXED, 1, (1, 2, 3)),
        ("a leaver, to all", MIXED, 4, (1, 2, 3)),
        ("a leaver, to members 1 and 3", MIXED, 4, (1, 3)),
        ("to one member, with a threshold of one", SHRINK, 2, (1,)),
        ("to four members, with a threshold of three", REFRESH, 3, (1, 2, 3, 4)),
    ):
        random = labelled(f"resharing/dealing/{to_hex(of.ceremony_id)}/{dealer}")
        keys = {member: hello_key(member) for member in heard}
        deal(of, dealer, share_of(of, dealer), keys, random)
        listed = [{"member": str(member), "key": to_hex(encode_g1(key))} for member, key in keys.items()]
        yield Case(
            operation="deal",
            title=title,
            requirements=("RSH-5", "DKG-15", "DKG-21"),
            input=started(of)
            | {"dealer": str(dealer), "share": to_hex(encode_scalar(share_of(of, dealer)))}
            | {"keys": listed, "random": to_hex(random.drawn)},
            refused=False,
        )
    honest = dealing(MIXED, 4)
    others_share = deal(MIXED, 4, share_of(MIXED, 1), {m: hello_key(m) for m in (1, 2, 3)}, labelled("resharing/as 1"))
    negated = chosen_dealing(MIXED, 4, [-share_of(MIXED, 4), GF(5)])
    constant_2 = chosen_dealing(MIXED, 4, [share_of(MIXED, 4), GF(5)])
    too_long = chosen_dealing(MIXED, 4, [share_of(MIXED, 4), GF(5), GF(6)])
    elsewhere = chosen_dealing(replace(MIXED, ceremony_id=bytes(32)), 4, [share_of(MIXED, 4), GF(5)])
    key = keygen.deal(MIXED, 4, {m: hello_key(m) for m in (1, 2, 3)}, labelled("resharing/a fresh secret"))
    flipped = bytearray(honest)
    flipped[48 * 3 + 79] ^= 1
    for title, rule, data, refused in (
        ("the dealer's share", "RSH-1", honest, False),
        ("the dealer's share, other coefficients", "RSH-1", constant_2, False),
        ("one more than the share", "RSH-1", another_constant(MIXED, 4), True),
        ("the share negated", "RSH-1", negated, True),
        ("the share of another dealer", "RSH-1", others_share, True),
        ("a secret of its own, as in a key generation", "RSH-1", key, True),
        ("the proof for f(0) is one off", "DKG-6", bytes(flipped), True),
        ("proofs for another ceremony", "DKG-6", elsewhere, True),
        ("no box for member 2, who was heard", "DKG-7", with_box(MIXED, honest, 2, b""), True),
        ("a coefficient too many", "DKG-6", too_long, True),
        ("a box for the leaver too", "DKG-6", honest[:304] + counted([bytes(48)] * 4), True),
        ("a byte follows", "DKG-6", honest + b"\0", True),
    ):
        yield Case(
            operation="verify_dealing",
            title=title,
            requirements=(rule,),
            input=started(MIXED) | {"dealer": "4", "heard": ["1", "2", "3"], "dealing": to_hex(data)},
            refused=refused,
        )


def complaints() -> Iterator[Case]:
    honest = dealing(MIXED, 4)
    bad = with_box(MIXED, honest, 2, bytes(48))
    right = complaint(MIXED, 2, 4, bad)
    about = [replace(right, dealer=dealer) for dealer in (1, 2, 3)]
    for title, rule, data, listed, refused in (
        ("about a leaver", "RSH-10", bad, [right], False),
        ("three complaints, as many as dealers, one about a joiner", "RSH-10", bad, [*about[:2], right], False),
        ("four complaints, of three dealers", "RSH-10", bad, [*about, right], True),
        ("about peer 5 of 4", "RSH-10", bad, [right, replace(right, dealer=5)], True),
        ("the leaver's share is good", "DKG-9", honest, [right], True),
    ):
        yield Case(
            operation="judge",
            title=title,
            requirements=(rule,),
            input=started(MIXED)
            | {"dealer": "4", "dealing": to_hex(data), "member": "2"}
            | {"key": to_hex(encode_g1(hello_key(2))), "complaints": to_hex(encode_complaints(listed))},
            refused=refused,
        )


def factors() -> Iterator[Case]:
    for title, of, qualified in (
        ("two of three dealers", MIXED, (1, 4)),
        ("all three dealers, more than the threshold", MIXED, (1, 3, 4)),
        ("all four holders", REFRESH, (1, 2, 3, 4)),
        ("holder indices in another order than peers", SHRINK, (1, 2, 4)),
    ):
        yield Case(
            operation="weights",
            title=title,
            requirements=("RSH-7",),
            input=started(of) | {"qualified": list(map(str, qualified))},
            refused=False,
        )


# --- whole ceremonies ------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Play:
    """A resharing as one peer sees it. Cheats replace what a peer says in a round: any number of payloads."""

    of: Resharing
    index: int = 1
    cheats: Mapping[tuple[int, int], Cheat] = field(default_factory=dict)
    journal: list[Message] = field(default_factory=list)
    heard: dict[int, list[Message]] = field(default_factory=dict)
    agreement: HandedOn | None = None

    def run(self) -> Play:
        """Up to the end, or to where it fails."""
        of = self.of
        view = view_of(of, tuple(map(address, range(1, of.peers + 1))), self.index, ephemeral(self.index))
        try:
            self.speak(view, HELLO, lambda peer: hello(of.among_peers, peer))
            self.speak(view, HELLO_ECHO, lambda peer: self.echo(HELLO, peer))
            view.merge_echoes(HELLO)
            view.accept_hellos()
            heard = tuple(sorted(view.receivers))
            self.speak(view, DEALING, lambda peer: dealing(of, peer, heard))
            self.speak(view, DEALING_ECHO, lambda peer: self.echo(DEALING, peer))
            view.merge_echoes(DEALING)
            view.accept_dealings()
            self.speak(view, COMPLAINT, lambda peer: self.complaints(view, peer))
            self.speak(view, COMPLAINT_ECHO, lambda peer: self.echo(COMPLAINT, peer))
            view.merge_echoes(COMPLAINT)
            view.judge_complaints()
            agreement = self.agreement = view.hand_on()
            self.speak(view, CONFIRM, lambda peer: self.confirmation(view, agreement, peer))
        except Refused:
            pass
        return self

    def speak(self, view: PeerView, round_: int, payload: Callable[[int], bytes]) -> None:
        said = []
        for peer in self.of.speakers(round_):
            versions = self.cheats.get((round_, peer), unchanged)(payload(peer))
            said += [signed(self.of.among_peers, round_, peer, version) for version in versions]
        self.heard[round_] = said
        self.journal += said
        for message in said:
            view.keep(message)

    def echo(self, said: int, peer: int) -> bytes:
        return encode_echo(message for message in self.heard[said] if message.sender != peer)

    def complaints(self, view: PeerView, member: int) -> bytes:
        """Only what was cheated with can be bad."""
        made = []
        for dealer in sorted(view.dealings.keys() & {peer for round_, peer in self.cheats if round_ == DEALING}):
            if member in view.hellos and self.opened(view.dealings[dealer], member) is None:
                made.append(complaint(self.of, member, dealer, self.heard_dealing(dealer)))
        return encode_complaints(made)

    def heard_dealing(self, dealer: int) -> bytes:
        return next(message.payload for message in self.heard[DEALING] if message.sender == dealer)

    def opened(self, parsed: Dealing, member: int) -> Scalar | None:
        shared = multiply(parsed.ephemeral, ephemeral(member))
        try:
            return open_box(self.of, parsed, member, hello_key(member), shared)
        except Refused:
            return None

    def confirmation(self, view: PeerView, agreement: HandedOn, member: int) -> bytes:
        if member not in view.hellos:
            return b""
        material = tdh2_material(agreement)
        key = load_public_key(material.encode(), material.key_id(NETWORK))
        dealt = [evaluate(coefficients_of(self.of, dealer), member) for dealer in view.dealings]
        factors = weights(self.of, list(view.dealings))
        secret = sum((factor * share for factor, share in zip(factors, dealt, strict=True)), GF(0))
        random = labelled(f"resharing/self-test/{member}")
        made = partial_decrypt(key, self_test(key), member, secret, random)
        return encode_confirmation(agreement.digest, sign_digest(identity_key(member), agreement.digest), made)


def conclusion(
    title: str,
    rules: tuple[str, ...],
    of: Resharing = MIXED,
    cheats: Mapping[tuple[int, int], Cheat] | None = None,
    *,
    index: int = 1,
    refused: bool = False,
) -> Case:
    played = Play(of=of, index=index, cheats=cheats or {}).run()
    share = encode_scalar(share_of(of, index)) if index in of.holders else b""
    return Case(
        operation="conclude",
        title=title,
        requirements=rules,
        input=started(of)
        | addresses(of.peers)
        | {"network": to_hex(NETWORK), "index": str(index), "share": to_hex(share)}
        | {"secret": to_hex(encode_scalar(ephemeral(index)))}
        | {"messages": [to_hex(message.encode()) for message in played.journal]},
        refused=refused,
    )


def ceremonies() -> Iterator[Case]:
    rounds = range(HELLO, CONFIRM + 1)
    all_of = ("RSH-7", "RSH-8", "RSH-12")
    honest = dealing(MIXED, 4)
    bad = with_box(MIXED, honest, 1, bytes(48))
    false = complaint(MIXED, 2, 4, honest)
    four = [replace(false, dealer=dealer) for dealer in (1, 2, 3, 4)]
    out_of_turn = signed(MIXED.among_peers, DEALING, 2, honest).encode()
    both = with_box(MIXED, another_constant(MIXED, 4), 2, b"")
    yield conclusion("3 of 4, refreshed in place", all_of, REFRESH)
    yield conclusion("2 of 3 becomes 3 of 4", all_of, GROW)
    yield conclusion("3 of 4 becomes 1 of 1", all_of, SHRINK)
    yield conclusion("one joins and one leaves", all_of)
    yield conclusion("one joins and one leaves, as the joiner sees it", all_of, index=2)
    yield conclusion("one joins and one leaves, as the leaver sees it", (*all_of, "RSH-6"), index=4)
    for title, rules, cheats in (
        ("the leaver deals another secret", ("RSH-1",), {(DEALING, 4): instead(another_constant(MIXED, 4))}),
        ("another secret, and no box for member 2", ("RSH-1",), {(DEALING, 4): instead(both)}),
        ("the leaver's dealing has no box for member 2", ("DKG-7",), {
            (DEALING, 4): instead(with_box(MIXED, honest, 2, b""))
        }),
        ("a proof in the leaver's dealing is wrong", ("DKG-6",), {(DEALING, 4): flipped_at(48 * 3 + 79)}),
        ("the leaver's box for member 1 is bad", ("DKG-8", "RSH-10"), {(DEALING, 4): instead(bad)}),
        ("the joiner complains falsely about the leaver", ("DKG-9",), {
            (COMPLAINT, 2): instead(encode_complaints([false]))
        }),
        ("the joiner complains about more peers than deal", ("RSH-10",), {
            (COMPLAINT, 2): instead(encode_complaints(four))
        }),
        ("member 3 forwards a dealing of the joiner", ("RSH-3",), {(DEALING_ECHO, 3): instead(counted([out_of_turn]))}),
        ("the leaver is absent", ("RSH-3", "RSH-6", "RSH-7"), {(r, 4): silent for r in rounds}),
        ("the joiner is absent", ("RSH-3", "RSH-6"), {(r, 2): silent for r in rounds}),
    ):  # fmt: skip
        yield conclusion(title, rules, MIXED, cheats)
    failures: tuple[tuple[str, Resharing, Mapping[tuple[int, int], Cheat]], ...] = (
        ("two of three dealers deal nothing", MIXED, {(DEALING, 3): silent, (DEALING, 4): silent}),
        ("two of four deal nothing: fewer than the old threshold, more than the next", SHRINK, {
            (DEALING, 3): silent, (DEALING, 4): silent
        }),
        ("no member but this one says hello, a leaver does", MIXED, {(HELLO, 2): silent, (HELLO, 3): silent}),
        ("no member but this one confirms", MIXED, {(CONFIRM, 2): silent, (CONFIRM, 3): silent}),
        ("member 2's verification key is the identity", MIXED, {
            (DEALING, 4): instead(cancelling_dealing(MIXED, 4, 2))
        }),
    )  # fmt: skip
    for title, of, faults in failures:
        yield conclusion(title, ("RSH-6", "DKG-10"), of, faults, refused=True)
    yield conclusion(
        "too few deal, as the leaver sees it",
        ("RSH-6", "DKG-10"),
        MIXED,
        {(DEALING, 1): silent, (DEALING, 3): silent},
        index=4,
        refused=True,
    )


# --- transcripts -----------------------------------------------------------------------------------------------------


def transcripts() -> Iterator[Case]:
    agreement = Play(of=MIXED).run().agreement
    assert agreement is not None
    before = MIXED.predecessor

    def of(changed: Agreement, *signers: int) -> bytes:
        """Rightly signed, whatever it says."""
        digest = changed.digest
        return encode_transcript(changed, {m: sign_digest(identity_key(m), digest) for m in signers or (1, 2, 3)})

    fresh = keygen.Agreement(
        **{name: getattr(agreement, name) for name in keygen.Agreement.__dataclass_fields__}  # without the name
    )
    dealt = agreement.dealings
    higher = replace(before, threshold=3)
    refreshed = replace(before, verification_keys=agreement.verification_keys)
    key = encode_g1(multiply(G1_GENERATOR, 5))
    body = agreement.encode()
    fresh_digest_signed = encode_transcript(agreement, {m: sign_digest(identity_key(m), fresh.digest) for m in (1, 2)})
    stranger = agreement.encode() + u32(2) + of(agreement, 1)[-67:] + u16(2) + of(agreement, 3)[-65:]
    one = of(agreement, 1)[-67:]
    for title, rule, expected, t, data, refused in (
        ("three signatures", "RSH-2", before, 2, of(agreement), False),
        ("two signatures", "RSH-8", before, 2, of(agreement, 1, 3), False),
        ("as many dealers as the old threshold", "RSH-9", before, 2, of(replace(agreement, dealings=dealt[1:])), False),
        ("a predecessor with another threshold", "RSH-2", higher, 2, of(agreement), True),
        ("another committee with the same key", "RSH-2", refreshed, 2, of(agreement), True),
        ("another key, signed by all", "RSH-2", before, 2, of(replace(agreement, encryption_key=key)), True),
        ("one dealer fewer than the old threshold", "RSH-9", before, 2, of(
            replace(agreement, dealings=dealt[:1])
        ), True),
        ("a dealer above the predecessor's members", "RSH-9", before, 2, of(
            replace(agreement, dealings=(*dealt[:2], (4, dealt[2][1])))
        ), True),
        ("dealers in the order of peers", "RSH-9", before, 2, of(
            replace(agreement, dealings=(dealt[1], dealt[0], dealt[2]))
        ), True),
        ("two verification keys for three members", "RSH-9", before, 2, of(
            replace(agreement, verification_keys=agreement.verification_keys[:2])
        ), True),
        ("without the predecessor's name", "RSH-9", before, 2, of(agreement)[32:], True),
        ("cut within the predecessor's name", "RSH-9", before, 2, body[:31], True),
        ("signatures are not ascending", "RSH-9", before, 2, body + u32(2) + of(agreement, 2)[-67:] + one, True),
        ("a byte follows", "RSH-9", before, 2, of(agreement) + b"\0", True),
        ("one signature", "DKG-13", before, 2, of(agreement, 1), True),
        ("another threshold than expected", "DKG-13", before, 3, of(agreement), True),
        ("a signature under another's number", "DKG-13", before, 2, stranger, True),
        ("signed as a fresh key's agreement", "DKG-13", before, 2, fresh_digest_signed, True),
    ):  # fmt: skip
        yield Case(
            operation="verify_transcript",
            title=title,
            requirements=(rule, "RSH-8") if rule == "DKG-13" else (rule,),
            input=addresses(MIXED.n)
            | {"predecessor": to_hex(expected.encode()), "t": str(t), "transcript": to_hex(data)},
            refused=refused,
        )
