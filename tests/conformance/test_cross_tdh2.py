"""The pages tdh2, clear and keygen against the production code, on random inputs.

What one encrypts the other checks and opens, shares and ceremony messages of one are accepted by the other, and what
was spoilt at random is refused by both for the same reason. Inputs come from a printed seed.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from py_ecc.bls.point_compression import decompress_G1

from encmempool.conformance import serve
from encmempool.identity import Identity
from encmempool.network.ceremony import Addresses
from specs import build
from specs.generate import keygen as ceremonies, tdh2 as inputs
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.entropy import deterministic
from threshold.keys import KeyShare, PublicMaterial, Seat
from threshold.sansio import Effect, Persist, Send
from threshold.schemes.base import Batch, Scheme, Share
from threshold.schemes.registry import load_scheme
from threshold.setup.dealer import deal
from threshold.setup.dkg import EPHEMERAL_RECORD, JOURNAL_RECORD
from threshold.setup.dkg_messages import Message as ProductionMessage, Round

notation, page, ceremony_page = map(build.load, ("notation", "tdh2", "keygen"))

SEED = 20_261_120
TDH2 = load_scheme("tdh2")
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


def runs(count: int) -> list[Any]:
    """The first in every test run, the others in the long one."""
    return [0, *(pytest.param(run, marks=pytest.mark.slow) for run in range(1, count))]


class Committee:
    """A key made by the production dealer, loaded by production and specs."""

    def __init__(self, random: Random, scheme: Scheme = TDH2) -> None:
        self.scheme = scheme
        self.n = random.randint(1, 5)
        self.t = random.randint(1, self.n)
        self.network = random.randbytes(32)
        self.material, self.key_shares = deal(
            n=self.n,
            t=self.t,
            group=load_backend().g1,
            material=lambda key, keys: PublicMaterial(
                scheme=scheme.info.number, threshold=self.t, encryption_key=key, verification_keys=keys
            ),
            random=deterministic(random.randbytes(32)),
        )
        self.key_id = self.material.key_id(self.network)
        self.key = scheme.load_public_key(self.material, key_id=self.key_id)
        self.named = {"material": hexed(self.material.encode()), "key_id": hexed(self.key_id)}

    @property
    def specs_key(self) -> Any:
        return page.load_public_key(self.material.encode(), self.key_id)


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def agreed(of: str, operation: str, given: Json) -> Json:
    """What both answer."""
    try:
        specs = {"output": build.load(of).OPERATIONS[operation](given)}
    except notation.Refused as error:
        specs = {"error": {"kind": error.kind, "rule": error.rule}}
    production = serve.answer(of, operation, given, backend=DEFAULT_BACKEND)
    if "error" in production:
        production = {"error": {name: production["error"][name] for name in ("kind", "rule")}}
    assert production == specs
    return specs


def spoilt(random: Random, data: bytes) -> bytes:
    """One random bit flipped."""
    at, bit = random.randrange(len(data)), random.randrange(8)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


# --- ciphertexts, shares, batch keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize("run", runs(3))
def test_key_ids_and_keys_are_equal(random: Random, run: int) -> None:
    """TDH-6, TDH-7, TDH-8, TDH-9, TDH-20"""
    made = Committee(random)
    given = {"network": hexed(made.network), "material": made.named["material"]}
    assert agreed("tdh2", "key_id", given)["output"]["key_id"] == hexed(made.key_id)
    agreed("tdh2", "self_test", given)
    agreed("tdh2", "second_generator", {"key_id": hexed(made.key_id)})
    assert agreed("tdh2", "load_public_key", made.named)["output"]["members"] == str(made.n)


@pytest.mark.parametrize("run", runs(4))
def test_each_opens_what_the_other_encrypts(random: Random, run: int) -> None:
    """TDH-2, TDH-4, TDH-5, TDH-11..16, TDH-19: members and users of both kinds in one batch."""
    made = Committee(random)
    plaintexts, entries = [], []
    for index in range(random.randint(1, 3)):
        plaintext, aad = random.randbytes(random.randrange(300)), random.randbytes(random.randrange(40))
        source = deterministic(random.randbytes(32))
        if index % 2 == run % 2:
            ciphertext = TDH2.encrypt(made.key, plaintext, aad=aad, height=0, random=source)
        else:
            ciphertext = page.encrypt(made.specs_key, plaintext, aad, source)
        plaintexts.append({"plaintext": hexed(plaintext)})
        entries.append({"ciphertext": hexed(ciphertext), "aad": hexed(aad)})
        agreed("tdh2", "verify_ciphertext", made.named | entries[-1])
    batch = {"height": str(random.getrandbits(64)), "round": str(random.getrandbits(64)), "entries": entries}
    given = made.named | {"batch": batch}
    agreed("tdh2", "batch_digest", given)

    shares = []
    for key_share in made.key_shares:
        asked = given | {"member": str(key_share.member), "secret": hexed(key_share.secret_bytes())}
        answer = agreed("tdh2", "partial_decrypt", asked | {"random": hexed(random.randbytes(128))})
        shares.append({"member": str(key_share.member), "share": answer["output"]["share"]})
        assert agreed("tdh2", "verify_share", given | shares[-1]) == {"output": {}}
    random.shuffle(shares)
    combined = agreed("tdh2", "combine", given | {"shares": shares})["output"]
    assert combined["refused"] == []
    opened = given | {"batch_key": combined["batch_key"]}
    assert agreed("tdh2", "verify_batch_key", opened) == {"output": {}}
    assert agreed("tdh2", "decrypt", opened)["output"]["plaintexts"] == plaintexts


@pytest.mark.parametrize("run", runs(3))
def test_both_refuse_what_was_spoilt_for_the_same_reason(random: Random, run: int) -> None:
    """TDH-1, TDH-3, TDH-4, TDH-5, TDH-7, TDH-10, TDH-15"""
    made = Committee(random)
    aad = random.randbytes(32)
    ciphertext = TDH2.encrypt(made.key, b"payload", aad=aad, height=0, random=deterministic(random.randbytes(32)))
    checked = TDH2.verify_ciphertext(made.key, ciphertext, aad=aad, height=0)
    batch = Batch(key_id=made.key_id, height=1, round=1, entries=(checked,))
    source = deterministic(random.randbytes(32))
    shares = [TDH2.partial_decrypt(made.key, share, batch, random=source) for share in made.key_shares]
    batch_key, _ = TDH2.combine(made.key, batch, shares, None)
    entry = {"ciphertext": hexed(ciphertext), "aad": hexed(aad)}
    given = made.named | {"batch": {"height": "1", "round": "1", "entries": [entry]}}
    for _ in range(6):
        broken = {"ciphertext": hexed(spoilt(random, ciphertext)), "aad": hexed(aad)}
        assert "error" in agreed("tdh2", "verify_ciphertext", made.named | broken)
        share = {"member": "1", "share": hexed(spoilt(random, shares[0].data))}
        assert "error" in agreed("tdh2", "verify_share", given | share)
        assert "error" in agreed(
            "tdh2", "verify_batch_key", given | {"batch_key": hexed(spoilt(random, batch_key.encode()))}
        )
        material = hexed(spoilt(random, made.material.encode()))
        agreed("tdh2", "load_public_key", made.named | {"material": material})


def test_a_mixed_committee_sets_aside_the_same_shares(random: Random) -> None:
    """TDH-19"""
    made = inputs.committee()
    labels = ("first", "second")
    batch = inputs.of(inputs.batch(*labels))
    for _ in range(4):
        members = random.sample((1, 2, 3, 4), 4)
        wrong = members[random.randrange(4)]
        shares = [(m, inputs.share(m, *labels)) for m in members]
        spoilt_shares = [(m, spoilt(random, data) if m == wrong else data) for m, data in shares]
        answer = agreed("tdh2", "combine", batch | inputs.listed(*spoilt_shares))
        assert set(answer["output"]["refused"]) <= {str(wrong)}
    assert made.key.threshold == 3


@pytest.mark.parametrize("twist", [{"twist_u": inputs.ORDER_3}, {"twist_ubar": inputs.ORDER_3}])
def test_only_the_subgroup_check_refuses_a_part_of_order_three(
    monkeypatch: pytest.MonkeyPatch, twist: dict[str, Any]
) -> None:
    """TDH-1: the vector's single fault is the one it names."""
    key, ciphertext = inputs.committee().key, inputs.passing_twist(**twist)
    with pytest.raises(notation.Refused):
        page.verify_ciphertext(key, ciphertext, inputs.AAD)
    monkeypatch.setattr(page, "decode_g1", lambda data: decompress_G1(int.from_bytes(data, "big")))
    page.verify_ciphertext(key, ciphertext, inputs.AAD)


def test_only_the_subgroup_check_refuses_a_share_with_a_part_of_order_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """TDH-3"""
    key, batch, share = inputs.committee().key, inputs.batch("first"), inputs.twisted_share()
    with pytest.raises(notation.Refused):
        page.verify_share(key, batch, 1, share)
    monkeypatch.setattr(page, "decode_g1", lambda data: decompress_G1(int.from_bytes(data, "big")))
    page.verify_share(key, batch, 1, share)


def test_equal_weights_would_let_cancelling_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """TDH-14"""
    monkeypatch.setattr(page, "share_weights", lambda batch, *_: [notation.GF(1)] * len(batch.entries))
    monkeypatch.setattr(inputs, "share_weights", page.share_weights)
    key, batch = inputs.committee().key, inputs.batch("first", "second")
    page.verify_share(key, batch, 1, inputs.cancelling_share())
    monkeypatch.undo()
    with pytest.raises(notation.Refused, match="proof"):
        page.verify_share(key, batch, 1, inputs.cancelling_share())


# --- clear -----------------------------------------------------------------------------------------------------------


def test_clear_is_the_same_in_both(random: Random) -> None:
    """CLR-1..6"""
    scheme = load_scheme("clear")
    made = Committee(random, scheme)
    plaintext, aad = random.randbytes(50), random.randbytes(32)
    entry = {"ciphertext": hexed(plaintext), "aad": hexed(aad)}
    encrypted = agreed("clear", "encrypt", made.named | {"plaintext": hexed(plaintext), "aad": hexed(aad)})
    assert encrypted["output"]["ciphertext"] == entry["ciphertext"]
    agreed("clear", "verify_ciphertext", made.named | entry)
    given = made.named | {"batch": {"height": "5", "round": "2", "entries": [entry]}}
    shares = [{"member": str(random.randrange(made.n + 2)), "share": "0x"} for _ in range(made.n + 2)]
    agreed("clear", "combine", given | {"shares": shares})
    agreed("clear", "decrypt", given | {"batch_key": "0x0000000000000000"})


# --- key ceremonies --------------------------------------------------------------------------------------------------


def party(index: int, ceremony: Any, network: bytes, random: Any, resume: tuple[Persist, ...] = ()) -> Any:
    members = [ceremonies.address(member) for member in ceremonies.everyone(ceremony)]
    return TDH2.key_generation(
        Seat(
            index=index,
            n=ceremony.n,
            t=ceremony.t,
            network=network,
            ceremony_id=ceremony.ceremony_id,
            signer=Identity(ceremonies.identity_key(index)),
            peers=Addresses(members),
            random=random,
            round_seconds=10.0,
            resume=resume,
        )
    )


def test_the_specs_conclude_what_production_members_concluded(random: Random) -> None:
    """DKG-1..22, and DKG-23: a member that restarts sends the bytes it sent before."""
    n = random.randint(2, 3)
    ceremony = ceremony_page.Ceremony(ceremony_id=random.randbytes(32), n=n, t=random.randint(1, n))
    network = random.randbytes(32)
    sources = {m: deterministic(random.randbytes(32)) for m in range(1, n + 1)}
    parties = {m: party(m, ceremony, network, sources[m]) for m in range(1, n + 1)}
    effects: dict[int, list[Effect]] = {m: list(parties[m].start(now=0.0)) for m in parties}
    delivered = dict.fromkeys(parties, 0)
    while any(delivered[m] < len(effects[m]) for m in parties):
        for sender in parties:
            for effect in effects[sender][delivered[sender] :]:
                delivered[sender] += 1
                if isinstance(effect, Send):
                    for m in parties.keys() - {sender}:
                        effects[m] += parties[m].receive(sender, effect.message, now=0.0)
    addresses = [ceremonies.address(m) for m in parties]
    for member, live in parties.items():
        records = [effect for effect in effects[member] if isinstance(effect, Persist)]
        (secret,) = (r.value[8:] for r in records if r.kind == EPHEMERAL_RECORD)
        messages = [r.value for r in records if r.kind == JOURNAL_RECORD]
        given = ceremonies.named(ceremony) | ceremonies.addresses(ceremony)
        given |= {"network": hexed(network), "index": str(member), "secret": hexed(secret)}
        answer = agreed("keygen", "conclude", given | {"messages": [hexed(m) for m in messages]})["output"]
        assert answer["share"] == hexed(live.result.share.secret_bytes())
        assert answer["material"] == hexed(live.result.public.encode())
        assert answer["transcript"] == hexed(live.result.transcript)
        assert answer["blamed"] == []
        page_view = ceremony_page.verify_transcript(live.result.transcript, addresses, ceremony.t)
        assert page_view[1] == list(parties)

        again = party(member, ceremony, network, deterministic(b"other randomness"), resume=tuple(records))
        sent = [effect.message for effect in effects[member] if isinstance(effect, Send)]
        assert [effect.message for effect in again.start(now=0.0) if isinstance(effect, Send)] == sent


@pytest.mark.parametrize("cheat", ["nobody", "bad box", "bad proof", "false complaint"])
def test_a_production_member_sits_with_members_made_by_the_specs(random: Random, cheat: str) -> None:
    """DKG-4..9: their messages are accepted, or judged, as the specs say."""
    ceremony = ceremonies.SMALL
    source, first = deterministic(random.randbytes(32)), [ceremonies.encode_scalar(ceremonies.ephemeral(1))]
    live = party(1, ceremony, ceremonies.NETWORK, lambda size: first.pop() if first else source(size))
    sent: dict[int, bytes] = {}
    play = ceremonies.Play(ceremony=ceremony)
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
            if message.sender != 1:
                take(live.receive(message.sender, message.encode(), now=0.0))
        return [sent[number]] if number in sent else []

    take(live.start(now=0.0))
    play.cheats = {(number, 1): lambda _, number=number: speak(number) for number in Round}
    honest = ceremonies.dealing(ceremony, 3, (1, 2, 3))
    false = ceremonies.complaint(ceremony, 3, ceremonies.dealing(ceremony, 2, (1, 2, 3)), 2)
    rule = {
        "nobody": None,
        "bad box": ((Round.DEALING, 3), ceremonies.with_box(ceremony, honest, 1, random.randbytes(48)), "DKG-8"),
        "bad proof": ((Round.DEALING, 3), honest[:200] + spoilt(random, honest[200:224]) + honest[224:], "DKG-6"),
        "false complaint": ((Round.COMPLAINT, 3), ceremony_page.encode_complaints([false]), "DKG-9"),
    }[cheat]
    if rule:
        play.cheats[rule[0]] = ceremonies.instead(rule[1])
    play.run()
    speak(0)
    assert live.blamed == (((3, rule[2]),) if rule else ())
    seat = ceremony_page.Seat(
        ceremony=ceremony,
        addresses=tuple(map(ceremonies.address, (1, 2, 3))),
        index=1,
        secret=ceremonies.ephemeral(1),
    )
    outcome = ceremony_page.conclude(seat, ceremonies.NETWORK, play.journal)
    assert live.result is not None
    assert outcome.transcript == live.result.transcript
    assert outcome.material.encode() == live.result.public.encode()
    assert ceremonies.encode_scalar(outcome.secret) == live.result.share.secret_bytes()


def test_a_key_made_by_specs_members_opens_in_production(random: Random) -> None:
    """DKG-19, TDH-4: the shares of a ceremony fit its key."""
    del random
    given = next(case for case in ceremonies.ceremonies() if case.title == "all honest, 3 of 4").input
    answer = agreed("keygen", "conclude", given)["output"]
    material = PublicMaterial.decode(bytes.fromhex(answer["material"][2:]))
    key_id = material.key_id(ceremonies.NETWORK)
    key = TDH2.load_public_key(material, key_id=key_id)
    ciphertext = TDH2.encrypt(key, b"payload", aad=b"", height=0, random=deterministic(b"encrypt"))
    entry = TDH2.verify_ciphertext(key, ciphertext, aad=b"", height=0)
    batch = Batch(key_id=key_id, height=1, round=1, entries=(entry,))
    share = KeyShare(1, bytes.fromhex(answer["share"][2:]))
    made = TDH2.partial_decrypt(key, share, batch, random=deterministic(b"share"))
    TDH2.verify_share(key, batch, Share(member=1, data=made.data))
