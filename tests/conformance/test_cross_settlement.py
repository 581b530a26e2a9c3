"""The page settlement against the production code on random inputs. They come from a printed seed."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from encmempool.conformance import serve
from encmempool.settlement.deployment import Parameters
from specs import build
from specs.generate import settlement as inputs
from threshold.curve import DEFAULT_BACKEND

notation, page = map(build.load, ("notation", "settlement"))

SEED = 20_261_130
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


def agreed(operation: str, given: Json) -> Json:
    """What both answer: an output, or an error's kind and rule."""
    try:
        specs = {"output": page.OPERATIONS[operation](given)}
    except notation.Refused as error:
        specs = {"error": {"kind": error.kind, "rule": error.rule}}
    production = serve.answer("settlement", operation, given, backend=DEFAULT_BACKEND)
    if "error" in production:
        production = {"error": {name: production["error"][name] for name in ("kind", "rule")}}
    assert production == specs
    return specs


@pytest.mark.parametrize("count", [1, 2, 100, 4095, 4096])
def test_branch_of_a_random_position_is_the_same_and_is_taken_stl_5(random: Random, count: int) -> None:
    tx_ids = [notation.to_hex(random.randbytes(32)) for _ in range(count)]
    for position in {0, count - 1, random.randrange(count)}:
        made = agreed("batch_branch", {"tx_ids": tx_ids, "position": str(position)})["output"]
        asked = {"list": "batch", "leaf": tx_ids[position], "position": str(position)}
        taken = agreed("check_branch", {**asked, "branch": made["branch"], "root": made["root"]})
        assert taken["output"]["index"] == made["index"]


def test_changed_branch_is_refused_by_both_stl_5(random: Random) -> None:
    for _ in range(30):
        state = inputs.state(random.randrange(1, 40))
        position = random.randrange(len(state["accounts"]))
        account = state["accounts"][position]
        address = notation.to_hex(account["address"])
        made = agreed("account_branch", {"state": inputs.ssz(notation.STATE, state), "address": address})["output"]
        given = {
            "list": "accounts",
            "leaf": notation.to_hex(notation.ssz_root(notation.ACCOUNT, account)),
            "position": str(position),
            "branch": list(made["branch"]),
            "root": made["root"],
        }
        assert "output" in agreed("check_branch", given)
        at = random.randrange(len(given["branch"]))
        given["branch"][at] = notation.to_hex(random.randbytes(32))
        assert agreed("check_branch", given) == {"error": {"kind": "Rejected", "rule": "STL-5"}}


def test_random_parameters_are_taken_or_refused_by_both(random: Random) -> None:
    """STL-33 to STL-37: the defaults, with one or two of them at or near a bound."""
    usual = {name: getattr(Parameters(), name) for name in page.PARAMETERS}
    bounds = [0, 1, 300, 599, 600, 601, 7_200, 50_399, 50_400, 58_200, 58_201, 10**18, 8 * 10**18, 8 * 10**18 + 1]
    verdicts = set()
    for _ in range(400):
        changed = usual | {random.choice(list(usual)): random.choice(bounds) for _ in range(random.randrange(3))}
        blocks = {name: random.choice([64, 50_399, 50_400]) for name in ("include_l1_blocks", "reveal_l1_blocks")}
        deadlines = inputs.NETWORK["deadlines"] | (blocks if random.random() < 0.3 else {})
        answer = agreed(
            "check_parameters",
            {
                "parameters": {name: str(value) for name, value in changed.items()},
                "deadlines": inputs.ssz(notation.DEADLINES, deadlines),
            },
        )
        verdicts.add(tuple(answer))
    assert len(verdicts) == 2


def test_any_changed_byte_of_a_signature_is_judged_alike_sig_1(random: Random) -> None:
    (given, *_) = [case.input for case in inputs.recover_cases()]
    for _ in range(40):
        changed = bytearray(notation.from_hex(given["signature"]))
        at = random.choice([0, 31, 32, 63, 64, random.randrange(65)])
        changed[at] ^= 1 << random.randrange(8)
        agreed("recover", given | {"signature": notation.to_hex(bytes(changed))})
