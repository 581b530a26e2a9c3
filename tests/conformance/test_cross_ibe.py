"""The page ibe, and the pairing of the page notation, against the production code on random inputs.

What one encrypts the other checks and opens, and what was spoilt at random is refused by both for the same reason.
Inputs come from a printed seed.
"""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Any

import pytest
from py_ecc.bls.point_compression import decompress_G1

from encmempool.conformance import serve
from specs import build
from specs.generate import ibe as inputs
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import deterministic
from threshold.keys import Limits
from threshold.schemes.registry import load_scheme

notation, payload, page = map(build.load, ("notation", "payload", "ibe"))

SEED = 20_261_120
IBE = load_scheme("ibe")
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
        self.n = random.randint(1, 4)
        self.t = random.randint(1, self.n)
        self.network = random.randbytes(32)
        source = deterministic(random.randbytes(32))
        self.material, self.key_shares = IBE.deal(n=self.n, t=self.t, limits=Limits(), random=source)
        self.key_id = self.material.key_id(self.network)
        self.key = IBE.load_public_key(self.material, key_id=self.key_id)
        self.named = {"material": hexed(self.material.encode()), "key_id": hexed(self.key_id)}

    @property
    def specs_key(self) -> Any:
        return page.load_public_key(self.material.encode(), self.key_id)


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def agreed(operation: str, given: Json, of: str = "ibe") -> Json:
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


def without_subgroup_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "decode_g1", lambda data: decompress_G1(int.from_bytes(data, "big")))


def test_pairing_agrees_on_random_points_and_with_other_libraries(random: Random) -> None:
    """ENC-17, ENC-18. The digest is that of e(g1, g2) as blst prints it."""

    def asked(a: int, b: int) -> str:
        g1 = notation.encode_g1(notation.multiply(notation.G1_GENERATOR, a))
        g2 = notation.encode_g2(notation.multiply(notation.G2_GENERATOR, b))
        value: str = agreed("pairing", {"g1": hexed(g1), "g2": hexed(g2)}, of="notation")["output"]["value"]
        return value

    golden = "4bb3f049849e856bd6879346f3978c28b031a407701c01ebb19d74a35c645520"
    assert sha256(bytes.fromhex(asked(1, 1)[2:])).hexdigest() == golden
    a, b = random.randrange(1, notation.R), random.randrange(1, notation.R)
    assert asked(a, b) == asked(a * b % notation.R, 1)


@pytest.mark.parametrize("run", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_each_opens_what_the_other_encrypts(random: Random, run: int) -> None:
    """IBE-5, IBE-6, IBE-8, IBE-10 to IBE-12, IBE-14, IBE-15: members and users of both kinds."""
    made, height = Committee(random), random.getrandbits(64)
    assert agreed("load_public_key", made.named)["output"]["members"] == str(made.n)
    agreed("identity", {"key_id": hexed(made.key_id), "height": str(height)})
    plaintexts, entries = [], []
    for index in range(3):
        plaintext, aad = random.randbytes(random.randrange(300)), random.randbytes(random.randrange(40))
        source = deterministic(random.randbytes(32))
        if index % 2 == run % 2:
            ciphertext = IBE.encrypt(made.key, plaintext, aad=aad, height=height, random=source)
        else:
            ciphertext = page.encrypt(made.specs_key, plaintext, aad, height, source)
        plaintexts.append({"plaintext": hexed(plaintext)})
        entries.append({"ciphertext": hexed(ciphertext), "aad": hexed(aad), "height": str(height)})
        agreed("verify_ciphertext", made.named | entries[-1])

    *listed, left_out = entries
    round_ = {"height": str(height), "round": str(random.getrandbits(64))}
    given = made.named | {"batch": round_ | {"entries": listed}}
    shares = []
    for key_share in made.key_shares:
        asked = given | {"member": str(key_share.member), "secret": hexed(key_share.secret_bytes())}
        shares.append({"member": str(key_share.member), **agreed("partial_decrypt", asked)["output"]})
        assert agreed("verify_share", given | shares[-1]) == {"output": {}}
    random.shuffle(shares)
    combined = agreed("combine", given | {"shares": shares})["output"]
    assert combined["refused"] == []
    for opened in (listed, [left_out]):
        given = made.named | {"batch": round_ | {"entries": opened}, "batch_key": combined["batch_key"]}
        assert agreed("verify_batch_key", given) == {"output": {}}
        assert agreed("decrypt", given)["output"]["plaintexts"] == [plaintexts[entries.index(e)] for e in opened]


def test_self_test_and_key_id_are_equal(random: Random) -> None:
    """IBE-12, IBE-16"""
    made = Committee(random)
    given = {"network": hexed(made.network), "material": made.named["material"]}
    assert agreed("key_id", given, of="tdh2")["output"]["key_id"] == hexed(made.key_id)
    agreed("self_test", given)


def test_both_refuse_what_was_spoilt_for_the_same_reason(random: Random) -> None:
    """IBE-1, IBE-4, IBE-5, IBE-6, IBE-7, IBE-9: and what passes the public check is undecryptable to both, IBE-15."""
    made = inputs.committee()
    given = inputs.batch("first")
    ciphertext = inputs.sealed("first")
    batch_key = page.encode_batch_key(inputs.value(), b"")
    for _ in range(4):
        broken = spoilt(random, ciphertext[:96]) + ciphertext[96:]
        assert agreed("verify_ciphertext", made.named | inputs.entry(broken))["error"]["kind"] == "Malformed"
        share = {"member": "1", "share": hexed(spoilt(random, inputs.share(1)))}
        assert agreed("verify_share", given | share)["error"]["rule"] in ("IBE-4", "IBE-5")
        assert "error" in agreed("verify_batch_key", given | {"batch_key": hexed(spoilt(random, batch_key))})
        material = hexed(spoilt(random, made.material.encode()))
        agreed("load_public_key", made.named | {"material": material})
    cut = ciphertext[: random.randrange(112)]
    assert agreed("verify_ciphertext", made.named | inputs.entry(cut))["error"]["kind"] == "Malformed"
    body = ciphertext[:96] + spoilt(random, ciphertext[96:])
    opened = inputs.of(inputs.entry(body)) | {"batch_key": hexed(batch_key)}
    assert agreed("decrypt", opened)["output"]["plaintexts"] == [{"undecryptable": True}]


def test_both_refuse_batches_whose_height_may_not_get_its_key(random: Random) -> None:
    """IBE-2, IBE-3: at random places and heights."""
    secret = notation.encode_scalar(inputs.committee().secrets[0])
    asked = {"member": "1", "secret": hexed(secret)}
    assert agreed("partial_decrypt", inputs.of() | asked)["error"]["rule"] == "IBE-3"
    entries = [inputs.entry(inputs.sealed("first")) for _ in range(3)]
    entries[random.randrange(3)]["height"] = str(random.getrandbits(64))
    assert agreed("partial_decrypt", inputs.of(*entries) | asked)["error"]["rule"] == "IBE-2"


def test_both_collect_the_same_shares(random: Random) -> None:
    """IBE-13: with wrong, undecodable, foreign and repeated ones, in any order."""
    given = inputs.batch("first")
    verdicts = set()
    for _ in range(5):
        shares = []
        for _ in range(random.randint(3, 9)):
            member = random.randint(1, 4)
            right = inputs.share(member)
            # Errors are drawn anew for each share, so that they do not cancel.
            wrong = (inputs.off(right, random.getrandbits(128)), right[:-1], inputs.share(member % 4 + 1))
            shares.append((member, random.choice((right,) * 6 + wrong)))
        answer = agreed("combine", given | inputs.listed(*shares))
        verdicts.add("refused" if "error" in answer else bool(answer["output"]["refused"]))
    assert verdicts >= {"refused", True}, "another seed: these shares show too little"


def test_only_the_subgroup_check_refuses_a_part_of_order_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """IBE-4, IBE-6: the vectors' single fault is the one they name."""
    key, batch = inputs.committee().key, inputs.any_batch()
    share = inputs.twisted(inputs.share(1))
    batch_key = page.encode_batch_key(inputs.twisted(inputs.value()), b"")
    for call in (lambda: page.verify_share(key, batch, 1, share), lambda: page.verify_batch_key(key, batch, batch_key)):
        with pytest.raises(notation.Refused):
            call()
        with monkeypatch.context() as patch:
            without_subgroup_check(patch)
            call()


def test_anyone_reads_a_body_whose_point_is_the_identity() -> None:
    """IBE-1: what the vector would be if it passed."""
    (fault,) = (c for c in inputs.ciphertext_faults() if c.title.startswith("U is the identity"))
    ciphertext, key = bytes.fromhex(fault.input["ciphertext"][2:]), inputs.committee().key
    secret = page.body_key(key, notation.GT_ONE, inputs.HEIGHT, ciphertext[:96], inputs.AAD)
    assert payload.unseal(secret, ciphertext[96:], inputs.AAD) == b"a payload"
