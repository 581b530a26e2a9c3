"""The page shutter against Shutter's published vectors, and against the production code on random inputs.

Inputs come from a printed seed.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from encmempool.conformance import serve
from specs import build
from specs.generate import shutter as inputs
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.schemes import shutter

notation, page = map(build.load, ("notation", "shutter"))

SEED = 20_261_120
CURVE = load_backend()
PUBLISHED_CASES = 2
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


@pytest.fixture
def published(vectors: Path) -> list[Json]:
    return [
        {"type": case["type"], "description": case["description"], **case["test_data"]}
        for case in json.loads((vectors / "shutter" / "shlib_v0.1.19_testdata.json").read_text())
    ]


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def agreed(operation: str, given: Json) -> Json:
    """What both answer: an output, or an error's kind and rule."""
    try:
        specs = {"output": page.OPERATIONS[operation](given)}
    except notation.Refused as error:
        specs = {"error": {"kind": error.kind, "rule": error.rule}}
    production = serve.answer("shutter", operation, given, backend=DEFAULT_BACKEND)
    if "error" in production:
        production = {"error": {name: production["error"][name] for name in ("kind", "rule")}}
    assert production == specs
    return specs


def test_page_encrypts_as_published(published: list[Json]) -> None:
    """SHU-10 to SHU-12."""
    cases = [case for case in published if case["type"] == "encryption"]
    for case in cases[-PUBLISHED_CASES:]:
        given = {"eon_key": case["eon_public_key"], "preimage": case["epoch_id"], "sigma": case["sigma"]}
        asked = given | {"plaintext": case["message"]}
        assert agreed("encrypt", asked) == {"output": {"message": case["expected"]}}


def test_page_opens_as_published_and_refuses_the_tampered_message(published: list[Json]) -> None:
    """SHU-3: of the tampered one the last byte is a possible count."""
    cases = [case for case in published if case["type"] == "decryption"]
    for case in cases[-PUBLISHED_CASES:]:
        answer = agreed("decrypt", {"key": case["epoch_secret_key"], "message": case["cipher"], "lax": True})
        if "illegal modification" in case["description"]:
            assert answer["error"]["rule"] == "SHU-3"
        else:
            assert answer["output"]["plaintext"] == case["expected"]


def test_page_verifies_keys_as_published(published: list[Json]) -> None:
    """SHU-5"""
    for case in (case for case in published if case["type"] == "verification"):
        given = {"eon_key": case["eon_public_key"], "preimage": case["epoch_id"], "key": case["epoch_secret_key"]}
        assert ("output" in agreed("verify_key", given)) == case["expected"]


def test_each_opens_what_the_other_encrypts(random: Random) -> None:
    """SHU-9 to SHU-12, SHU-15, SHU-16: a committee of random size."""
    keypers = random.randint(1, 4)
    t = random.randint(1, keypers)
    gammas, secrets = [], [0] * keypers
    for _ in range(t):
        coefficients = [random.randrange(1, notation.R) for _ in range(t)]
        gammas.append(hexed(inputs.gammas_of(coefficients)))
        for keyper in range(keypers):
            secrets[keyper] += sum(c * (keyper + 1) ** k for k, c in enumerate(coefficients))
    asked = {"keypers": str(keypers), "threshold": str(t), "gammas": gammas}
    eon_key = agreed("eon_public_key", asked)["output"]["eon_key"]
    preimage = random.randbytes(random.randrange(100))
    chosen = random.sample(range(keypers), t)
    shares = []
    for keyper in chosen:
        secret = shutter.encode_scalar(secrets[keyper] % notation.R)
        made = agreed("key_share", {"secret": hexed(secret), "preimage": hexed(preimage)})["output"]["share"]
        shares.append({"keyper": str(keyper), "share": made})
    key = agreed("combine", {"threshold": str(t), "shares": shares})["output"]["key"]
    for _ in range(2):
        plaintext = random.randbytes(random.randrange(300))
        given = {"eon_key": eon_key, "preimage": hexed(preimage), "sigma": hexed(random.randbytes(32))}
        message = agreed("encrypt", given | {"plaintext": hexed(plaintext)})["output"]["message"]
        opened = agreed("decrypt", {"key": key, "message": message, "lax": False})
        assert opened == {"output": {"plaintext": hexed(plaintext)}}


def test_both_judge_spoilt_messages_alike(random: Random) -> None:
    """SHU-1 to SHU-4: one random bit flipped in each part, for both kinds of reader."""
    honest = inputs.message()
    parts = ((0, 1), (1, 97), (97, 129), (129, 129 + len(inputs.PLAINTEXT)), (129 + len(inputs.PLAINTEXT), 161))
    rules = set()
    for start, end in parts:
        spoilt = inputs.flipped(honest, random.randrange(start, end), 1 << random.randrange(8))
        for lax in (False, True):
            answer = agreed("decrypt", {"key": hexed(inputs.key()), "message": hexed(spoilt), "lax": lax})
            rules.add(answer.get("error", {}).get("rule"))
    assert "SHU-3" in rules
