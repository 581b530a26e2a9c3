"""The page fptx against the production code, on random inputs.

What one encrypts the other checks and opens, what one contributes to the rows the other builds on, and what was spoilt
at random is refused by both for the same reason. Inputs come from a printed seed.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from py_ecc.bls.point_compression import decompress_G1

from encmempool.conformance import serve
from specs import build
from specs.generate import fptx as inputs
from threshold import onetime
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.entropy import deterministic
from threshold.keys import Limits
from threshold.schemes.registry import load_scheme
from threshold.setup import powers

notation, page = map(build.load, ("notation", "fptx"))

SEED = 20_261_120
FPTX = load_scheme("fptx")
CURVE = load_backend()
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


class Committee:
    """A key made by the production dealer, loaded by production and specs."""

    def __init__(self, random: Random) -> None:
        self.limits = Limits(batch=random.randint(2, 3), rounds=random.randint(1, 2))
        self.n = random.randint(1, 3)
        self.t = random.randint(1, self.n)
        self.network = random.randbytes(32)
        source = deterministic(random.randbytes(32))
        self.material, self.key_shares = FPTX.deal(n=self.n, t=self.t, limits=self.limits, random=source)
        self.key_id = self.material.key_id(self.network)
        self.key = FPTX.load_public_key(self.material, key_id=self.key_id)
        self.named = {"material": hexed(self.material.encode()), "key_id": hexed(self.key_id)}

    @property
    def specs_key(self) -> Any:
        return page.load_public_key(self.material.encode(), self.key_id)


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def agreed(operation: str, given: Json) -> Json:
    """What both answer."""
    try:
        specs = {"output": page.OPERATIONS[operation](given)}
    except notation.Refused as error:
        specs = {"error": {"kind": error.kind, "rule": error.rule}}
    production = serve.answer("fptx", operation, given, backend=DEFAULT_BACKEND)
    if "error" in production:
        production = {"error": {name: production["error"][name] for name in ("kind", "rule")}}
    assert production == specs
    return specs


def spoilt(random: Random, data: bytes) -> bytes:
    """One random bit flipped."""
    at, bit = random.randrange(len(data)), random.randrange(8)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def without_subgroup_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "decode_g1", lambda data: decompress_G1(int.from_bytes(data, "big")))


# --- the scheme ------------------------------------------------------------------------------------------------------


def test_each_opens_what_the_other_encrypts(random: Random) -> None:
    """FPT-3 to FPT-20: members and users of both kinds in one batch."""
    made = Committee(random)
    loaded = agreed("load_public_key", made.named)["output"]
    assert (loaded["batch"], loaded["rounds"]) == (str(made.limits.batch), str(made.limits.rounds))
    assert "output" in agreed("self_test", {"network": hexed(made.network), "material": made.named["material"]})
    plaintexts, entries = [], []
    for index in range(2):
        plaintext, aad = random.randbytes(random.randrange(300)), random.randbytes(random.randrange(40))
        source = deterministic(random.randbytes(32))
        if index:
            ciphertext = FPTX.encrypt(made.key, plaintext, aad=aad, height=0, random=source)
        else:
            ciphertext = page.encrypt(made.specs_key, plaintext, aad, source)
        plaintexts.append({"plaintext": hexed(plaintext)})
        entries.append({"ciphertext": hexed(ciphertext), "aad": hexed(aad)})
        agreed("verify_ciphertext", made.named | entries[-1])
    batch = {"height": str(random.getrandbits(64)), "round": str(made.limits.rounds), "entries": entries}
    given = made.named | {"batch": batch}
    agreed("openings", given)
    shares = []
    for key_share in made.key_shares:
        asked = given | {"member": str(key_share.member), "secret": hexed(key_share.secret_bytes())}
        shares.append({"member": str(key_share.member), **agreed("partial_decrypt", asked)["output"]})
        assert agreed("verify_share", given | shares[-1]) == {"output": {}}
    random.shuffle(shares)
    combined = agreed("combine", given | {"shares": shares})["output"]
    assert combined["refused"] == []
    opened = given | {"batch_key": combined["batch_key"]}
    assert agreed("verify_batch_key", opened) == {"output": {}}
    assert agreed("decrypt", opened)["output"]["plaintexts"] == plaintexts


def test_both_refuse_what_was_spoilt_for_the_same_reason(random: Random) -> None:
    """FPT-1, FPT-2, FPT-5, FPT-6, FPT-7, FPT-8, FPT-9, FPT-10"""
    first = inputs.sealed("first")
    given, batch = inputs.of(first), inputs.batch(first)
    share, batch_key = inputs.share(1, batch), inputs.encode_batch_key(inputs.value(batch), b"")
    named, material = inputs.committee().named, inputs.committee().material.encode()
    for _ in range(3):
        broken = {"ciphertext": hexed(spoilt(random, first)), "aad": hexed(inputs.AAD)}
        assert "error" in agreed("verify_ciphertext", named | broken)
        assert "error" in agreed("verify_share", given | {"member": "1", "share": hexed(spoilt(random, share))})
        assert "error" in agreed("verify_batch_key", given | {"batch_key": hexed(spoilt(random, batch_key))})
        agreed("load_public_key", named | {"material": hexed(spoilt(random, material))})


def test_openings_are_quotients_that_anyone_can_check() -> None:
    """FPT-17: e(pi, T - [id]g2) = e(D, g2), and so f is divided without a remainder."""
    key, batch = inputs.committee().key, inputs.batch(inputs.sealed("first"), inputs.sealed("second"))
    for at, entry in enumerate(batch.entries):
        divisor = notation.add(key.header.tau, notation.multiply(notation.G2_GENERATOR, -entry.id))
        assert page.is_product(page.digest(key, batch), page.opening(key, batch, at), divisor)


def test_only_the_subgroup_check_refuses_a_share_with_a_part_of_order_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """FPT-5: the vector's single fault is the one it names."""
    key, batch = inputs.committee().key, inputs.batch(inputs.sealed("first"))
    share = inputs.twisted(inputs.share(1, batch))
    with pytest.raises(notation.Refused):
        page.verify_share(key, batch, 1, share)
    without_subgroup_check(monkeypatch)
    page.verify_share(key, batch, 1, share)


# --- one-time signatures ---------------------------------------------------------------------------------------------


def test_one_time_signatures_are_equal_and_judged_alike(random: Random) -> None:
    """FPT-16"""
    for _ in range(5):
        seed, message = random.randbytes(32), random.randbytes(random.randrange(64))
        public, signature = page.one_time_key(seed), page.sign(seed, message)
        assert (public, signature) == (onetime.public_key(seed), onetime.sign(seed, message))
        assert page.is_signature(public, message, signature)
        assert onetime.verify(public, message, signature)
        for case in ((spoilt(random, public), message, signature), (public, message, spoilt(random, signature))):
            assert page.is_signature(*case) is onetime.verify(*case) is False


@pytest.mark.parametrize("residue", range(8))
def test_signatures_of_every_kind_of_point_are_judged_alike(random: Random, residue: int) -> None:
    """FPT-16: keys and commitments with every part of small order, with every k modulo 8."""
    for index in range(0, 8, 2):
        torsion = page.ed_multiply(inputs.order_8(), index + residue % 2)
        shift = page.ed_multiply(inputs.order_8(), random.randrange(8))
        for secret in (0, 12345):
            signing = inputs.Signing(secret=secret, torsion=torsion, shift=shift, residue=residue)
            message = random.randbytes(8)
            case = (signing.key, message, signing.sign(message))
            assert page.is_signature(*case) == onetime.verify(*case)


def test_only_the_rule_on_small_orders_refuses_such_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """FPT-16: the vectors' single fault is the one they name."""
    key = inputs.committee().key
    faulty = inputs.signed_with(inputs.SMALL_KEY)
    with pytest.raises(notation.Refused):
        page.verify_ciphertext(key, faulty, inputs.AAD)
    monkeypatch.setattr(page, "has_small_order", lambda point: False)
    page.verify_ciphertext(key, faulty, inputs.AAD)


# --- parameters ------------------------------------------------------------------------------------------------------


def test_contributors_of_both_kinds_build_on_one_another(random: Random) -> None:
    """PTX-1 to PTX-4, PTX-10 to PTX-15"""
    ceremony_id, (batch, rounds) = random.randbytes(32), (random.randint(1, 3), random.randint(1, 2))
    data, name, messages = page.start(batch, rounds), bytes(32), []
    assert data == powers.start(CURVE, batch=batch, rounds=rounds)
    for member in (1, 2):
        source = deterministic(random.randbytes(32))
        if member == 1:
            after, proof = powers.contribute(CURVE, data, ceremony_id=ceremony_id, contributor=member, random=source)
        else:
            after, proof = page.contribute(data, ceremony_id, member, source)
        given = {"before": hexed(data), "after": hexed(after), "proof": hexed(proof)}
        given |= {"ceremony_id": hexed(ceremony_id), "contributor": str(member)}
        assert agreed("verify_contribution", given) == {"output": {}}
        agreed("verify_contribution", given | {"proof": hexed(spoilt(random, proof))})
        agreed("verify_contribution", given | {"after": hexed(spoilt(random, after))})
        messages.append(inputs.envelope(name + after + proof, sender=member))
        limits = {"ceremony_id": hexed(ceremony_id), "batch": str(batch), "rounds": str(rounds)}
        read = agreed("read_contribution", limits | {"message": hexed(messages[-1])})["output"]
        data, name = after, bytes.fromhex(read["name"][2:])
    concluded = agreed("conclude", limits | {"n": "2", "t": "2", "messages": list(map(hexed, messages))})["output"]
    assert concluded["parameters"] == hexed(data)
    assert concluded["blamed"] == []


def test_equal_weights_would_let_errors_in_two_rows_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    """PTX-1"""
    cancelling = inputs.moved(inputs.moved(inputs.rows(), 1, inputs.B), 2, inputs.B, -1)
    with pytest.raises(notation.Refused) as refused:
        page.verify_parameters(cancelling)
    assert refused.value.rule == "PTX-1"
    monkeypatch.setattr(page, "weights", lambda tag, count, *items: [notation.GF(1)] * count)
    page.verify_parameters(cancelling)
