"""Dropped heights: the page voting against the production code, on random cases.

Both are asked the same and must answer the same: the output, or the kind and rule of the refusal. Inputs come from a
printed seed.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from encmempool.conformance import serve
from specs import build
from specs.generate import voting as inputs
from threshold.curve import DEFAULT_BACKEND

notation, voting_page = map(build.load, ("notation", "voting"))

SEED = 20_261_130
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


def agreed(operation: str, given: Json) -> str:
    """What both answer: the rule of a refusal, or nothing."""
    try:
        expected: Json = {"output": voting_page.OPERATIONS[operation](given)}
    except notation.Refused as error:
        expected = {"error": {"kind": error.kind, "rule": error.rule}}
    answer = serve.answer("voting", operation, given, backend=DEFAULT_BACKEND)
    answer.get("error", {}).pop("message", None)
    assert answer == expected, given
    return str(expected["error"]["rule"]) if "error" in expected else ""


def root(commitment: Json) -> bytes:
    found: bytes = notation.ssz_root(notation.ORDER_COMMITMENT, commitment)
    return found


def random_commitment(random: Random, height: int, **changes: Any) -> Json:
    made: Json = inputs.commitment(
        [inputs.transaction("alice")] if random.random() < 0.5 else [],
        height=height,
        round=random.randrange(1, 6),
        l1_block=random.randrange(100),
        inbox_index=random.randrange(9),
        executed_height=random.randrange(height),
        timestamp_ms=inputs.TIME_MS + random.randrange(10**6),
        **changes,
    )
    return made


def test_drops_are_taken_and_refused_alike_and_derive_the_same(random):
    seen: Counter[str] = Counter()
    for _ in range(150):
        height = random.randrange(1, 12)
        start = random.choice([1, 1, height])
        members = sorted(random.sample(range(1, 5), random.choice([2, 3, 3, 3, 4])))
        if random.random() < 0.1:
            random.shuffle(members)
        named = notation.to_hex(random.choice([bytes(32), inputs.GENESIS_ROOT]))
        key_set = {
            "committee_id": notation.to_hex(inputs.COMMITTEE_ID if random.random() < 0.95 else bytes(32)),
            "key_id": notation.to_hex(inputs.KEY_ID),
            "policy_id": str(random.randrange(1, 4)),
            "start_height": str(start),
            "start_parent": named,
            "start_round": str(random.randrange(5)),
            "valid_until": str(random.choice([100, 100, 100, height, height - 1])),
        }
        previous = None if height == 1 else random_commitment(random, height - 1)
        executed = random.randrange(max(height - 4, 0), height + (random.random() < 0.1))
        if previous is None:
            executed = 0
        given = {
            "members": [notation.to_hex(member) for member in inputs.ADDRESSES],
            "t": random.choice(["3", "3", "3", "4", "2"]),
            "network": {
                "genesis_root": notation.to_hex(inputs.GENESIS_ROOT),
                "timestamp_ms": str(inputs.TIME_MS),
            },
            "key_set": key_set,
            "certificate": inputs.ssz(notation.DROP_CERTIFICATE, inputs.dropping(members, height)),
            "previous": None if previous is None else inputs.ssz(notation.ORDER_COMMITMENT, previous),
            "settled": str(random.choice([height - 1, height - 1, height - 1, height, max(height - 2, 0)])),
            "executed": {"height": str(executed), "root": notation.to_hex(inputs.STATE_ROOT)},
        }
        seen[agreed("drop", given)] += 1
    assert seen.keys() >= {"", "DRP-1", "DRP-2", "DRP-3", "DRP-6"}, seen


def test_guards_answer_alike_whatever_a_member_has_signed(random):
    seen: Counter[str] = Counter()
    for _ in range(400):
        height = 7
        below = random_commitment(random, height - 1)
        own = random_commitment(random, height, parent=random.choice([root(below), bytes(32)]))
        other = random_commitment(random, height)
        given = inputs.common() | {
            "member": "2",
            "checked": inputs.ssz(notation.ORDER_COMMITMENT, own),
            "vote": None,
            "share": None,
            "abstention": None,
        }
        if random.random() < 0.5:
            given["vote"] = inputs.ssz(notation.SIGNED_VOTE, inputs.vote(own, "member 2"))
            given["voted"] = given["checked"]
        if random.random() < 0.4:
            settled = [random.choice([below, random_commitment(random, height - 1)])]
            if random.random() < 0.4:
                settled.append(random.choice([own, other]))
            given["settled"] = [inputs.ssz(notation.ORDER_COMMITMENT, one) for one in settled]
        holds_other = "settled" in given and given["settled"][-1] == inputs.ssz(notation.ORDER_COMMITMENT, other)
        if holds_other:  # a chain holds one commitment at a height
            given["checked"] = given["settled"][-1]
        now = other if holds_other else own
        signed_at = random.choice([None, None, 5, 6, 7, 8])
        if signed_at is not None:
            message = {"committee_id": now["committee_id"], "height": signed_at}
            signature = inputs.signed(notation.ABSTAIN, message, "member 2")
            name = "abstention" if signed_at == height else "other_abstention"
            given[name] = inputs.ssz(notation.SIGNED_ABSTAIN, {"message": message, "signature": signature})
        if random.random() < 0.2:
            shared = random_commitment(random, random.choice([height - 1, height + 1]))
            shared = shared | {"round": now["round"] + random.choice([0, 1])}
            message = voting_page.share_message(shared, 2, b"")
            signature = inputs.signed(notation.DECRYPTION_SHARE, message, "member 2")
            given["other_share"] = inputs.ssz(notation.SIGNED_SHARE, {"message": message, "signature": signature})
        if random.random() < 0.3:
            parent = random.choice([bytes(32), inputs.KEY_ID])
            successor = inputs.key_set(start_height=random.choice([7, 8, 9]), start_parent=parent)
            given["successor"] = inputs.ssz(notation.KEY_SET, successor)
        given |= {"executed": str(random.randrange(4, 7))} if random.random() < 0.5 else {}
        given |= {"start": str(random.choice([1, 6, 7]))} if random.random() < 0.5 else {}
        given |= {"valid_until": str(random.choice([6, 7]))} if random.random() < 0.1 else {}
        if random.random() < 0.5:
            given["action"] = {"abstain": str(height)}
            given.pop("executed", None)
            given.pop("valid_until", None) if random.random() < 0.5 else None
        else:
            given["action"] = {"release": inputs.ssz(notation.ORDER_CERTIFICATE, inputs.certificate(now))}
        seen[agreed("guard", given)] += 1
    assert seen.keys() >= {"", "SHR-2", "SHR-4", "SHR-5", "DRP-5", "DRP-6", "KEY-10"}, seen


def test_dropping_leaves_one_share_too_few_for_every_committee():
    """The count behind the page's proof, for every default committee and every larger threshold."""
    for n in range(1, 200):
        for t in range(2 * n // 3 + 1, n + 1):
            faulty, needed = n - t, voting_page.abstentions_needed(n, t)
            honest_abstainers = needed - faulty
            assert needed <= t
            assert n - honest_abstainers == t - 1
            assert (t - faulty) + honest_abstainers > n - faulty
