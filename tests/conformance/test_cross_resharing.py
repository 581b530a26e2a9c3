"""The page resharing against the production code, on random inputs.

Peers of one kind conclude what peers of the other do, and sit in one ceremony with them; what was spoilt at random is
refused by both for the same reason. Inputs come from a printed seed.

What a member keeps of its old shares is no message, so RSH-13 is held where members have files:
`test_old_shares_are_erased_and_each_member_says_so` in tests/scenarios/test_rotation.py.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from random import Random
from typing import Any

import pytest

from encmempool.conformance import serve
from encmempool.identity import Identity
from encmempool.network.ceremony import Addresses
from specs import build
from specs.generate import keygen as ceremonies, resharing as inputs
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import deterministic
from threshold.keys import KeyShare, Limits, PublicMaterial, ResharingSeat
from threshold.sansio import Effect, Persist, Send
from threshold.schemes.registry import load_scheme
from threshold.setup.dkg import EPHEMERAL_RECORD, JOURNAL_RECORD
from threshold.setup.dkg_messages import Message as ProductionMessage, Round

notation, tdh2, page = map(build.load, ("notation", "tdh2", "resharing"))

SEED = 20_261_120
TDH2 = load_scheme("tdh2")
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def agreed(operation: str, given: Json) -> Json:
    """What both answer."""
    try:
        specs = {"output": page.OPERATIONS[operation](given)}
    except notation.Refused as error:
        specs = {"error": {"kind": error.kind, "rule": error.rule}}
    production = serve.answer("resharing", operation, given, backend=DEFAULT_BACKEND)
    if "error" in production:
        production = {"error": {name: production["error"][name] for name in ("kind", "rule")}}
    assert production == specs
    return specs


def spoilt(random: Random, data: bytes) -> bytes:
    """One random bit flipped."""
    at, bit = random.randrange(len(data)), random.randrange(8)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def production_seat(resharing: Any, index: int, share: KeyShare | None, source: Any) -> ResharingSeat:
    return ResharingSeat(
        index=index,
        n=resharing.n,
        t=resharing.t,
        dealers=resharing.holders,
        public=PublicMaterial.decode(resharing.predecessor.encode()),
        share=share,
        network=inputs.NETWORK,
        ceremony_id=resharing.ceremony_id,
        signer=Identity(ceremonies.identity_key(index)),
        peers=Addresses([ceremonies.address(peer) for peer in range(1, resharing.peers + 1)]),
        random=source,
        round_seconds=10.0,
    )


@pytest.mark.parametrize("run", range(2))
def test_the_specs_conclude_what_production_peers_concluded(random: Random, run: int) -> None:
    """RSH-3 to RSH-8, RSH-12: whoever stays, joins and leaves, and whichever way the numbers change."""
    del run
    before_n, n = random.randint(2, 3), random.randint(1, 3)
    t = random.randint(1, n)
    source = deterministic(random.randbytes(32))
    public, dealt = TDH2.deal(n=before_n, t=random.randint(1, before_n), limits=Limits(), random=source)
    old = random.sample(range(1, before_n + 1), before_n)
    staying = random.sample(range(1, n + 1), random.randint(0, min(n, before_n)))
    seats = [*staying, *range(n + 1, n + 1 + before_n - len(staying))]
    resharing = page.Resharing(
        ceremony_id=random.randbytes(32),
        n=n,
        t=t,
        predecessor=tdh2.Material.decode(public.encode()),
        holders=dict(zip(seats, old, strict=True)),
    )
    shares = {peer: dealt[holder - 1] for peer, holder in resharing.holders.items()}
    everyone = range(1, resharing.peers + 1)
    parties = {
        peer: TDH2.resharing(production_seat(resharing, peer, shares.get(peer), deterministic(random.randbytes(32))))
        for peer in everyone
    }
    effects: dict[int, list[Effect]] = {peer: list(parties[peer].start(now=0.0)) for peer in everyone}
    delivered = dict.fromkeys(everyone, 0)
    while any(delivered[peer] < len(effects[peer]) for peer in everyone):
        for sender in everyone:
            for effect in effects[sender][delivered[sender] :]:
                delivered[sender] += 1
                if isinstance(effect, Send):
                    for peer in set(everyone) - {sender}:
                        effects[peer] += parties[peer].receive(sender, effect.message, now=0.0)
    held = {}
    for peer, live in parties.items():
        records = [effect for effect in effects[peer] if isinstance(effect, Persist)]
        (secret,) = (r.value[8:] for r in records if r.kind == EPHEMERAL_RECORD)
        given = inputs.started(resharing) | inputs.addresses(resharing.peers)
        given |= {"network": hexed(inputs.NETWORK), "index": str(peer), "secret": hexed(secret)}
        given |= {"share": hexed(shares[peer].secret_bytes() if peer in shares else b"")}
        given |= {"messages": [hexed(r.value) for r in records if r.kind == JOURNAL_RECORD]}
        answer = agreed("conclude", given)["output"]
        assert answer["transcript"] == hexed(live.announcement.transcript)
        assert answer["material"] == hexed(live.announcement.public.encode())
        assert answer["blamed"] == []
        assert answer["share"] == hexed(live.result.share.secret_bytes() if live.result else b"")
        held |= {peer: live.result.share} if live.result else {}
    assert sorted(held) == list(range(1, n + 1))
    transcript = parties[1].announcement.transcript
    given = {"predecessor": hexed(public.encode()), "t": str(t), "transcript": hexed(transcript)}
    answer = agreed("verify_transcript", given | inputs.addresses(n))["output"]
    assert answer["dealers"] == [str(holder) for holder in sorted(old)]
    for _ in range(10):
        broken = given | {"transcript": hexed(spoilt(random, transcript))} | inputs.addresses(n)
        assert "error" in agreed("verify_transcript", broken)


@pytest.mark.parametrize("cheat", ["nobody", "another secret", "bad box", "false complaint"])
def test_a_production_joiner_sits_with_peers_made_by_the_specs(random: Random, cheat: str) -> None:
    """RSH-1, RSH-10, DKG-8, DKG-9: their messages are accepted, or judged, as the specs say."""
    of, joiner = inputs.MIXED, 2
    source, first = deterministic(random.randbytes(32)), [notation.encode_scalar(ceremonies.ephemeral(joiner))]
    live = TDH2.resharing(production_seat(of, joiner, None, lambda size: first.pop() if first else source(size)))
    sent: dict[int, bytes] = {}
    play = inputs.Play(of=of, index=joiner)
    fed = 0

    def take(effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                message = ProductionMessage.decode(effect.message)
                sent[message.round] = message.payload

    def speak(number: int) -> list[bytes]:
        nonlocal fed
        for message in play.journal[fed:]:
            fed += 1
            if message.sender != joiner:
                take(live.receive(message.sender, message.encode(), now=0.0))
        return [sent[number]] if number in sent else []

    take(live.start(now=0.0))
    honest = inputs.dealing(of, 4)
    false = page.keygen.encode_complaints([inputs.complaint(of, 3, 4, honest)])
    chosen = {
        "nobody": None,
        "another secret": ((Round.DEALING, 4), inputs.another_constant(of, 4), (4, "RSH-1")),
        "bad box": ((Round.DEALING, 4), inputs.with_box(of, honest, joiner, random.randbytes(48)), (4, "DKG-8")),
        "false complaint": ((Round.COMPLAINT, 3), false, (3, "DKG-9")),
    }[cheat]
    play.cheats = {(number, joiner): lambda _, number=number: speak(number) for number in Round}
    if chosen:
        play.cheats[chosen[0]] = ceremonies.instead(chosen[1])
    play.run()
    speak(0)
    assert live.blamed == ((chosen[2],) if chosen else ())
    addresses = tuple(ceremonies.address(peer) for peer in range(1, of.peers + 1))
    view = page.view_of(of, addresses, joiner, ceremonies.ephemeral(joiner))
    outcome = page.conclude(view, inputs.NETWORK, play.journal)
    assert live.result is not None
    assert outcome.transcript == live.result.transcript
    assert outcome.material.encode() == live.result.public.encode()
    assert notation.encode_scalar(outcome.secret) == live.result.share.secret_bytes()


@pytest.mark.parametrize(
    "fault", ["another epoch's share", "one holder twice", "too few dealers", "a leaver without share"]
)
def test_production_refuses_a_seat_that_the_page_excludes(fault: str) -> None:
    """RSH-4, RSH-11"""
    of = inputs.MIXED
    secret = int(inputs.share_of(of, 1)) + (fault == "another epoch's share")
    share = KeyShare(of.holders[1], secret.to_bytes(32, "big"))
    holders = {
        "another epoch's share": of.holders,
        "one holder twice": {1: 2, 3: 1, 4: 1},
        "too few dealers": {1: 2},
        "a leaver without share": {1: 2, 3: 1, 5: 3},
    }[fault]
    seat = replace(production_seat(of, 1, share, deterministic(b"")), dealers=holders)
    with pytest.raises(ValueError, match=r"another epoch|distinct members|who leave"):
        TDH2.resharing(seat)


def test_shares_of_two_epochs_do_not_mix_and_old_ones_still_open(random: Random) -> None:
    """RSH-7, and the stated limit that RSH-13 is for: by the page's own arithmetic."""
    of = inputs.REFRESH
    old = {peer: inputs.share_of(of, peer) for peer in of.holders}
    polynomials = [inputs.coefficients_of(of, dealer) for dealer in old]
    factors = page.weights(of, list(old))
    fresh = {
        member: sum(
            (w * page.keygen.evaluate(f, member) for w, f in zip(factors, polynomials, strict=True)), notation.GF(0)
        )
        for member in old
    }

    def recovered(shares: Json) -> Any:
        weighted = zip(tdh2.lagrange(0, list(shares)), shares.values(), strict=True)
        return sum((w * share for w, share in weighted), notation.GF(0))

    key = inputs.polynomial(of.predecessor.threshold)[0]
    for chosen in combinations(old, 3):
        assert recovered({m: old[m] for m in chosen}) == recovered({m: fresh[m] for m in chosen}) == key
        kept = random.choice(chosen)
        assert recovered({m: old[m] if m == kept else fresh[m] for m in chosen}) != key
        assert recovered({m: fresh[m] if m == kept else old[m] for m in chosen}) != key
