"""The page forced, and what ordering and reveal say of it, against the production code on random inputs.

Both are asked the same and must answer the same: the output, or the kind and rule of the refusal. Inputs come from a
printed seed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from encmempool import audit, genesis as development
from encmempool.conformance import forced as answers, serve
from encmempool.errors import Malformed
from encmempool.ethereum import sign_transaction
from encmempool.forced import KnownInbox
from encmempool.identity import Identity
from encmempool.network.local import LocalNetwork, Plan, create_network, fresh_home
from encmempool.ordering import Policy
from encmempool.transactions import encrypt_transaction
from encmempool.types import MAX_ENTRY_BYTES, InboxEntry
from specs import build
from specs.generate import forced as inputs, genesis as world, ordering as pools, reveal as histories
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import deterministic
from threshold.schemes.registry import load_scheme

notation, forced_page, ordering_page, reveal_page = map(build.load, ("notation", "forced", "ordering", "reveal"))

SEED = 20_261_130
GWEI, ETHER = 10**9, 10**18
WINDOW = inputs.WINDOW
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


def agreed(page: str, operation: str, given: Json) -> Json:
    """What both answer; messages apart."""
    try:
        specs: Json = {"output": build.load(page).OPERATIONS[operation](given)}
    except notation.Refused as error:
        specs = {"error": {"kind": error.kind, "rule": error.rule}}
    production = serve.answer(page, operation, given, backend=DEFAULT_BACKEND)
    production.get("error", {}).pop("message", None)
    assert production == specs, json.dumps(given)[:4000]
    return specs


def test_every_operation_is_answered_by_production() -> None:
    assert set(answers.OPERATIONS) == set(forced_page.OPERATIONS)


# --- the inbox -------------------------------------------------------------------------------------------------------

NAMES = ("alice", "bob", "carol", "dave", "nobody")
FAULTS: list[Json] = [
    {"nonce": 7},
    {"gas_limit": 21_001},
    {"gas_limit": 21_000 * 64},
    {"gas_limit": 21_000 * 32},
    {"gas_limit": 21_000 * 16},
    {"max_fee_per_gas": GWEI},
    {"max_priority_fee_per_gas": 31 * GWEI},
    {"max_fee_per_gas": 50_000 * GWEI},
    {"valid_until": inputs.HEIGHT - 1},
    {"valid_until": inputs.HEIGHT, "target_height": inputs.HEIGHT},
    {"target_height": 9},
    {"version": 0},
    {"scheme": 1},
    {"key_id": bytes(32)},
    {"ciphertext": bytes(63)},
]


class Posting:
    """Transactions as they are posted: most of them one after the other of their senders', some with a fault."""

    def __init__(self, random: Random, of: Json) -> None:
        self.random, self.of = random, of
        self.nonces = dict.fromkeys(NAMES, 0)
        self.made: list[Json] = []

    def transaction(self) -> Json:
        random, sender = self.random, self.random.choice(NAMES)
        nonce = self.nonces[sender] if random.random() < 0.9 else random.randrange(3)
        changes = random.choice(FAULTS) if random.random() < 0.2 else {}
        made = inputs.tx(sender, **{"of": self.of, "nonce": nonce} | changes)
        self.nonces[sender] = nonce + (not changes)
        if random.random() < 0.05:
            made |= {"signature": random.choice([bytes(65), inputs.tx("alice", 9)["signature"]])}
        self.made.append(made)
        return made

    def entries(self, count: int) -> list[Json]:
        found: list[Json] = []
        block = self.random.randrange(70, 90)
        for _ in range(count):
            made = self.random.choice(self.made) if self.made and self.random.random() < 0.1 else self.transaction()
            data = notation.ssz_encode(notation.ENCRYPTED_TRANSACTION, made)
            if self.random.random() < 0.1:
                data = self.random.choice([b"", data[: self.random.randrange(len(data))], b"\xff" + data, data + b"\0"])
            block += self.random.choice([0, 0, 0, 1, 5])
            found += inputs.posted(data, block=block, first=len(found))
        return found


def random_network(random: Random) -> Json:
    window = random.choice([WINDOW] * 6 + [0, 1, 2**64 - 1])
    return inputs.network(
        batch_limit=random.choice([1, 2, 3, 8, 8, 40]),
        gas_limit=random.choice([21_000 * 64, 21_000 * 4 + 1]),
        deadlines=inputs.DEADLINES | {"force_l1_blocks": window, "l1_lag_blocks": random.randrange(6)},
    )


def people(random: Random) -> list[Json]:
    return inputs.accounts(
        bob=(random.choice([0, 0, 1]), ETHER),
        carol=(0, random.choice([ETHER, inputs.RESERVED, inputs.RESERVED - 1, 2 * inputs.RESERVED])),
    )


def test_random_walks_settle_alike(random: Random) -> None:
    """FRC-3, FRC-4, FRC-6, FRC-7, FRC-9."""
    rules, counts = set(), set()
    for _ in range(40):
        of = random_network(random)
        entries = Posting(random, of).entries(random.choice([0, 3, 6, 12, 12]))
        given: Json = {
            "genesis": world.hexed(notation.GENESIS, of),
            "key_set": world.hexed(notation.KEY_SET, world.key_set(of)),
            "inbox": inputs.shown(entries),
            "start": str(random.choice([0, 0, 0, 0, 0, 1, 20])),
            "height": str(random.choice([*[inputs.HEIGHT] * 4, 50, 51])),
            "l1_block": str(random.choice([0, 95, 100, 120, 120, 2**64 - 1])),
            "accounts": people(random),
            "in_flight": ["0x" + world.address(name).hex() for name in NAMES if random.random() < 0.08],
            "used_up": random.random() < 0.15,
            "addresses_height": random.random() < 0.1,
        }
        settled = agreed("forced", "settle", given)["output"]
        counts.add(len(settled["tx_ids"]))
        rules |= {passed["rule"] for passed in settled["passed"]}
    assert len(counts) > 2
    assert rules >= {"FRC-1", "FRC-4", "SEQ-9", "VOT-5"}
    assert len(rules) > 6


def test_random_inboxes_are_read_alike(random: Random) -> None:
    """FRC-1."""
    refused = 0
    for _ in range(40):
        entries = Posting(random, inputs.USUAL).entries(random.randrange(1, 5))
        if random.random() < 0.6:
            at = random.randrange(len(entries))
            entries[at] |= {random.choice(["index", "l1_block"]): random.choice([0, 1, 2, 85, 2**64 - 1])}
        shown = inputs.shown(entries)
        if shown and random.random() < 0.3:
            shown[-1] = shown[-1][: 2 * random.randrange(1, len(shown[-1]) // 2)]
        refused += "error" in agreed("forced", "read_inbox", {"inbox": shown})
    assert 5 < refused < 38


def test_entry_holds_as_many_bytes_as_the_limit_and_no_more_frc_1() -> None:
    data = bytes(MAX_ENTRY_BYTES)
    encoded = InboxEntry(index=0, l1_block=1, data=data).encoded
    assert notation.ssz_decode(notation.INBOX_ENTRY, encoded)["data"] == data
    for decode in (InboxEntry.decode, lambda longer: notation.ssz_decode(notation.INBOX_ENTRY, longer)):
        with pytest.raises((Malformed, notation.Refused)):
            decode(encoded + b"\0")


def test_views_are_judged_alike(random: Random) -> None:
    """FRC-2."""
    refused = 0
    for _ in range(100):
        of = random_network(random)
        head, l1_block = random.choice([(100, random.randrange(90, 104)), (0, 2**64 - 1), (2**64 - 1, 0)])
        given = {"genesis": world.hexed(notation.GENESIS, of), "head": str(head), "l1_block": str(l1_block)}
        refused += "error" in agreed("forced", "check_view", given | {"votes": random.random() < 0.7})
    assert 20 < refused < 90


# --- commitments -----------------------------------------------------------------------------------------------------


def test_random_commitments_are_judged_alike(random: Random) -> None:
    """FRC-3, FRC-5: what the walk settles, with and without a fault."""
    rules: dict[str | None, int] = {}
    for _ in range(30):
        of = inputs.network(batch_limit=random.choice([2, 8]))
        posting = Posting(random, of)
        entries, start = posting.entries(random.choice([2, 4, 8])), random.choice([0, 0, 1])
        accounts = people(random)
        keys = world.key_set(of, rounds=random.choice([0, 0, 0, 4]))
        turn = forced_page.Turn(
            genesis=of,
            key_set=keys,
            height=inputs.HEIGHT,
            l1_block=100,
            accounts=forced_page._accounts({"accounts": accounts}),
            used_up=keys["rounds"] > 0,
        )
        settled = forced_page.settle(entries, start, turn)
        batch = [*settled.transactions, *(posting.transaction() for _ in range(random.randrange(2)))]
        index, fault = settled.index, random.choice(["none", "none", "out", "turn", "double", "index", "sign"])
        if fault == "out" and batch:
            del batch[random.randrange(len(batch))]
        if fault == "turn":
            random.shuffle(batch)
        if fault == "double" and batch:
            batch.insert(0, random.choice(batch))
        if fault == "index":
            index = max(index + random.choice([-1, 1, 300]), 0)
        if fault == "sign" and batch:
            batch[0] = batch[0] | {"signature": bytes(65)}
        parent = inputs.parent(inbox_index=start)
        given: Json = {
            "genesis": world.hexed(notation.GENESIS, of),
            "key_set": world.hexed(notation.KEY_SET, keys),
            "inbox": inputs.shown(entries),
            "parent": world.hexed(notation.ORDER_COMMITMENT, parent),
            "commitment": world.hexed(
                notation.ORDER_COMMITMENT, inputs.commitment(batch, of=of, inbox_index=index, round=parent["round"])
            ),
            "transactions": [world.hexed(notation.ENCRYPTED_TRANSACTION, one) for one in batch],
            "accounts": accounts,
            "in_flight": [],
        }
        rule = agreed("forced", "check_forced", given).get("error", {}).get("rule")
        rules[rule] = rules.get(rule, 0) + 1
        if fault == "none":
            assert rule is None
    assert rules.keys() == {None, "FRC-3", "FRC-5"}


@pytest.mark.parametrize("policy", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_sequencers_make_the_same_commitments_over_an_inbox(random: Random, policy: int) -> None:
    """SEQ-14, ORD-13, ORD-14, FRC-3."""
    indices, refused = set(), set()
    for _ in range(25):
        of = inputs.network(policy_id=policy, batch_limit=random.choice([2, 4, 8]), gas_limit=21_000 * 12)
        posting = Posting(random, of)
        entries = posting.entries(random.choice([0, 3, 6]))
        live = [inputs.tx(name, nonce, of=of) for name in NAMES[:4] for nonce in range(random.randrange(3))]
        random.shuffle(live)
        keys = world.key_set(of, start_height=inputs.HEIGHT, rounds=random.choice([0, 0, 0, 1]))
        given = pools._pool(of, live=live, keys=keys) | {
            "accounts": people(random),
            "inbox": inputs.shown(entries),
            "executed_height": str(inputs.HEIGHT - 1),
            "state_root": "0x" + bytes(32).hex(),
            "now_ms": "1700000002000",
            "l1_block": str(random.choice([85, 95, 110, 130])),
            "sequencer_key": "0x" + world.secret("sequencer").hex(),
        }
        if random.random() < 0.5:
            before = world.key_set(of, start_height=inputs.HEIGHT - 1, rounds=keys["rounds"])
            parent = inputs.commitment((), of=of, height=inputs.HEIGHT - 1, round=0, inbox_index=0)
            parent |= {"l1_block": 100, "executed_height": inputs.HEIGHT - 2, "timestamp_ms": 0}
            parent |= {"committee_id": notation.ssz_root(notation.KEY_SET, before), "key_id": before["key_id"]}
            parent["inbox_index"] = random.randrange(3)
            given |= {
                "key_set": world.hexed(notation.KEY_SET, before),
                "parent": world.hexed(notation.ORDER_COMMITMENT, parent),
            }
        made = agreed("ordering", "make_commitment", given)
        if "error" in made:
            refused.add(made["error"]["rule"])
            continue
        data = bytes.fromhex(made["output"]["commitment"][2:])
        indices.add(notation.ssz_decode(notation.SIGNED_COMMITMENT, data)["message"]["inbox_index"])
    assert len(indices) > 3
    assert refused == {"SEQ-14"}


# --- whole histories -------------------------------------------------------------------------------------------------


def test_random_histories_are_audited_alike(random: Random) -> None:
    """AUD-1 to AUD-4, FRC-1, FRC-3, FRC-5: as they were written, and with records left out, repeated or exchanged."""
    rules: set[str | None] = set()
    for _ in range(4):
        history, nonces, settled = histories.Written(), {"alice": 0, "bob": 0}, 0
        for _ in range(random.randrange(1, 4)):
            height: Json = {"shown": [], "forced": [], "received": []}
            for sender in nonces:
                kind = random.choice(["forced", "received", "nothing", "rubbish"])
                made = histories.transfer(sender, nonces[sender])
                if kind in ("forced", "rubbish"):
                    data = made if kind == "forced" else b"rubbish"
                    height["shown"] += inputs.posted(data, first=settled)
                    settled += 1
                if kind in ("forced", "received"):
                    height[kind].append(made)
                    nonces[sender] += 1
            history.committed(**height)
        assert "output" in agreed("reveal", "audit", {"data": "0x" + history.data.hex()})
        records = list(history.records)
        for _ in range(5):
            at, other = (random.randrange(1, len(records)) for _ in range(2))
            changed = list(records)
            match random.choice(["out", "twice", "exchanged"]):
                case "out":
                    del changed[at]
                case "twice":
                    changed.insert(at, records[at])
                case _:
                    changed[at], changed[other] = records[other], records[at]
            history.records = changed
            answer = agreed("reveal", "audit", {"data": "0x" + history.data.hex()})
            rules.add(answer.get("error", {}).get("rule"))
    assert rules >= {"AUD-1"}
    assert len(rules) > 3


def test_pages_audit_the_history_of_a_network_with_an_inbox(tmp_path: Path) -> None:
    """AUD-1, AUD-2, FRC-3 to FRC-6: a real sequencer and real members, the pages' code alone."""
    home, password = fresh_home(tmp_path / "home")
    who = [Identity(bytes([at]) * 32) for at in (1, 2, 3)]
    deadlines = replace(development.DEADLINES, force_l1_blocks=WINDOW, l1_depth=2, l1_lag_blocks=4)
    plan = Plan(
        members=4,
        threshold=3,
        policy=Policy.PRIORITY_FEE,
        funded=tuple(person.address for person in who),
        timestamp_ms=1_700_000_000_000,
        deadlines=deadlines,
    )
    randomness, inbox = deterministic(b"cross forced"), KnownInbox(head=1)
    create_network(home, plan, load_scheme("clear"), password, random=randomness)
    network = LocalNetwork(
        home, password=lambda: password, clock_ms=lambda: 1_700_000_001_000, random=randomness, inbox=inbox
    )

    def encrypted(person: Identity, nonce: int) -> bytes:
        committee = network.committee
        payload = sign_transaction(
            person.secret_bytes(),
            chain_id=committee.genesis.chain_id,
            nonce=nonce,
            to=b"\x55" * 20,
            value=1,
            data=b"",
            gas_limit=21_000,
            max_fee_per_gas=30 * GWEI,
            max_priority_fee_per_gas=GWEI,
        )
        made = encrypt_transaction(
            payload,
            terms=committee.terms,
            scheme=committee.scheme,
            public_key=committee.public_key,
            identity=person,
            valid_until=50,
            random=randomness,
        )
        return made.encoded

    def post(data: bytes) -> None:
        inbox.add(InboxEntry(index=len(inbox.entries), l1_block=inbox.head, data=data))

    post(b"rubbish")
    post(encrypted(who[0], 0))
    inbox.head += WINDOW
    post(encrypted(who[2], 0))
    network.submit(encrypted(who[1], 0))
    network.commit()
    network.commit()
    network.reveal()
    inbox.head += WINDOW
    network.commit()
    network.reveal()
    data = audit.export(network)
    report = audit.verify(data)
    history = reveal_page.audit(data)
    assert history.states[3][0] == network.follower.latest.root
    assert (report.transactions, len(history.inbox), report.outcomes) == (3, 3, {"executed": 3})
