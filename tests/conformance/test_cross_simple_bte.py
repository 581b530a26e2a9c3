"""The page simple_bte against the production code, on random inputs.

What one encrypts the other checks and opens, and what was spoilt at random is refused by both for the same reason.
Inputs come from a printed seed.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from py_ecc.bls.point_compression import decompress_G1

from encmempool.conformance import serve
from specs import build
from specs.generate import simple_bte as inputs
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import deterministic
from threshold.keys import Limits
from threshold.schemes.registry import load_scheme

notation, payload, page = map(build.load, ("notation", "payload", "simple_bte"))

SEED = 20_261_120
SIMPLE_BTE = load_scheme("simple-bte")
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


class Committee:
    """A key made by the production dealer, loaded by production and specs."""

    def __init__(self, random: Random, batch: int) -> None:
        self.n = random.randint(1, 3)
        self.t = random.randint(1, self.n)
        self.batch = batch
        self.network = random.randbytes(32)
        source, limits = deterministic(random.randbytes(32)), Limits(batch=batch)
        self.material, self.key_shares = SIMPLE_BTE.deal(n=self.n, t=self.t, limits=limits, random=source)
        self.key_id = self.material.key_id(self.network)
        self.key = SIMPLE_BTE.load_public_key(self.material, key_id=self.key_id)
        self.named = {"material": hexed(self.material.encode()), "key_id": hexed(self.key_id)}

    @property
    def specs_key(self) -> Any:
        return page.load_public_key(self.material.encode(), self.key_id)


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def agreed(operation: str, given: Json, of: str = "simple_bte") -> Json:
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


@pytest.mark.parametrize("largest", [1, 3])
def test_each_opens_what_the_other_encrypts(random: Random, largest: int) -> None:
    """SBT-5 to SBT-18, SBT-20 to SBT-25: members and users of both kinds, and keys of the production dealer."""
    made = Committee(random, largest)
    limits = {"threshold": str(made.t), "members": str(made.n), "batch": str(largest)}
    assert agreed("load_public_key", made.named) == {"output": limits}
    assert agreed("verify_parameters", made.named) == {"output": {}}
    given = {"network": hexed(made.network), "material": made.named["material"]}
    assert agreed("key_id", given, of="tdh2")["output"]["key_id"] == hexed(made.key_id)
    agreed("self_test", given)

    plaintexts, entries = [], []
    for index in range(random.randint(1, largest)):
        plaintext, aad = random.randbytes(random.randrange(300)), random.randbytes(random.randrange(40))
        source = deterministic(random.randbytes(32))
        if index % 2:
            ciphertext = SIMPLE_BTE.encrypt(made.key, plaintext, aad=aad, height=0, random=source)
        else:
            ciphertext = page.encrypt(made.specs_key, plaintext, aad, source)
        plaintexts.append({"plaintext": hexed(plaintext)})
        entries.append({"ciphertext": hexed(ciphertext), "aad": hexed(aad)})
        agreed("verify_ciphertext", made.named | entries[-1])
    batch = {"height": str(random.getrandbits(64)), "round": str(random.getrandbits(64)), "entries": entries}
    given = made.named | {"batch": batch}
    agreed("precompute", given)

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
    """SBT-1, SBT-2, SBT-4 to SBT-8"""
    made, given = inputs.committee(), inputs.labels_of("first", "second")
    batch_key = page.encode_batch_key(inputs.value("first", "second"), b"")
    for _ in range(2):
        broken = spoilt(random, inputs.sealed("first"))
        assert "error" in agreed("verify_ciphertext", made.named | inputs.entry(broken))
        share = {"member": "1", "share": hexed(spoilt(random, inputs.share(1, "first", "second")))}
        assert agreed("verify_share", given | share)["error"]["rule"] in ("SBT-4", "SBT-5")
        assert "error" in agreed("verify_batch_key", given | {"batch_key": hexed(spoilt(random, batch_key))})
        agreed("load_public_key", made.named | {"material": hexed(spoilt(random, made.material.encode()))})
    cut = inputs.sealed("first")[: random.randrange(144)]
    assert agreed("verify_ciphertext", made.named | inputs.entry(cut))["error"]["kind"] == "Malformed"


def test_both_collect_the_same_shares(random: Random) -> None:
    """SBT-13: with wrong, undecodable, foreign and repeated ones, in any order."""
    given = inputs.labels_of("first")
    verdicts = set()
    for _ in range(6):
        shares = []
        for _ in range(random.randint(3, 7)):
            member = random.randint(1, 4)
            right = inputs.share(member, "first")
            wrong = (inputs.off(right, random.getrandbits(128)), right[:-1], inputs.share(member % 4 + 1, "first"))
            shares.append((member, random.choice((right,) * 6 + wrong)))
        answer = agreed("combine", given | inputs.listed(*shares))
        verdicts.add(answer["error"]["rule"] if "error" in answer else len(answer["output"]["refused"]))
    assert {"SBT-6", 0, 1} <= verdicts


@pytest.mark.parametrize("residue", [0, 1])
def test_only_the_subgroup_check_refuses_a_part_of_order_eleven(monkeypatch: pytest.MonkeyPatch, residue: int) -> None:
    """SBT-1: the vectors' single fault is the one they name, for either sign of the challenge."""
    check, ciphertext = page.verify_ciphertext.__wrapped__, inputs.passing_twist(residue)
    with pytest.raises(notation.Refused):
        check(inputs.committee().key, ciphertext, inputs.AAD)
    without_subgroup_check(monkeypatch)
    if residue == 1:
        monkeypatch.setattr(page, "multiply", lambda p, s: notation.negate(notation.multiply(p, -int(s))))
    check(inputs.committee().key, ciphertext, inputs.AAD)


def test_only_the_subgroup_check_refuses_a_share_or_key_with_a_part_of_order_three(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SBT-4, SBT-6"""
    key, batch = inputs.committee().key, inputs.batch("first")
    share = inputs.twisted(inputs.share(1, "first"))
    batch_key = page.encode_batch_key(inputs.twisted(inputs.value("first")), b"")
    checks = (
        lambda: page.verify_share.__wrapped__(key, batch, 1, share),
        lambda: page.verify_batch_key(key, batch, batch_key),
    )
    for check in checks:
        with pytest.raises(notation.Refused):
            check()
        with monkeypatch.context() as patch:
            without_subgroup_check(patch)
            check()


def without_subgroup_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "decode_g1", lambda data: decompress_G1(int.from_bytes(data, "big")))


def test_anyone_reads_a_body_whose_point_is_the_identity() -> None:
    """SBT-1: what the vector would be if it passed."""
    ciphertext = inputs.proven(notation.GF(0), notation.GF(1), ct=inputs.IDENTITY_BYTES)
    secret = page.body_key(inputs.committee().key_id, notation.GT_ONE, ciphertext[:48], inputs.AAD)
    assert payload.unseal(secret, ciphertext[128:], inputs.AAD) == b"a payload"


@pytest.mark.slow
def test_wrong_parameters_of_the_vectors_break_one_rule_each() -> None:
    """SBT-20 to SBT-24"""
    for title, rule, given in inputs.wrong_parameters():
        key = page.load_public_key(*(bytes.fromhex(given[name][2:]) for name in ("material", "key_id")))
        assert {broken for broken, _ in page.broken(key)} == {rule}, title
