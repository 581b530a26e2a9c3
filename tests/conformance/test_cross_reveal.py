"""The pages voting, reveal and measurement against the production code, on random inputs and on a whole history.

Both are asked the same and must answer the same: the output, or the kind and rule of the refusal. Inputs come from a
printed seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from encmempool import audit, genesis as development
from encmempool.committee import check_certificate, vote_for
from encmempool.conformance import reveal as answers, serve, voting as committees
from encmempool.errors import Rejected
from encmempool.ethereum import sign_transaction
from encmempool.execution import router
from encmempool.execution.router import Swap, SwapKind
from encmempool.identity import Identity
from encmempool.measure import demo
from encmempool.measure.attacker import Placement
from encmempool.measure.figures import Measurement
from encmempool.measure.market import Market, Reserves
from encmempool.network.local import LocalNetwork, Plan, create_network, fresh_home
from encmempool.network.rotation import Change, retire, rotate
from encmempool.ordering import Policy
from encmempool.reveal import Follower
from encmempool.transactions import encrypt_transaction
from encmempool.types import (
    BatchList,
    OrderCertificate,
    OrderCommitment,
    Proposal,
    SignedCommitment,
    SignedReceipt,
    State,
    signing_digest,
)
from specs import build
from specs.generate import reveal as inputs, voting as votes
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.entropy import deterministic
from threshold.errors import NotEnoughShares
from threshold.keys import PublicMaterial
from threshold.sansio import Persist, Send
from threshold.schemes.base import Batch, Share
from threshold.schemes.registry import load_scheme
from threshold.setup.dealer import deal

notation, genesis_page, ordering_page, voting_page, reveal_page, measurement_page = map(
    build.load, ("notation", "genesis", "ordering", "voting", "reveal", "measurement")
)

SEED = 20_261_120
GWEI, ETHER = 10**9, 10**18
START_MS = 1_700_000_000_000
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


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


# --- amounts, calldata, outcomes -------------------------------------------------------------------------------------


def magnitude(random: Random, bits: int = 118) -> int:
    return random.getrandbits(random.randint(0, bits))


def test_amounts_and_settlement_agree_on_random_reserves(random: Random) -> None:
    for _ in range(1500):
        x, y, amount = magnitude(random, 112), magnitude(random, 112), magnitude(random, 150)
        for operation in ("amount_out", "amount_in"):
            given = {"reserve_in": str(x), "reserve_out": str(y), "amount": str(amount)}
            agreed("reveal", operation, given)
        taken = amount * y // (x + amount + 1) if random.random() < 0.8 else amount
        given = {"reserve_in": str(x), "reserve_out": str(y), "paid": str(amount), "taken": str(taken)}
        agreed("reveal", "settle", given)


def random_call(random: Random) -> tuple[bytes, int]:
    """A swap and the ether it carries: mostly right, sometimes broken at one place."""
    tokens = (inputs.TOKEN, inputs.OTHER, inputs.WETH, b"\x66" * 20)
    path = tuple(random.choice(tokens) for _ in range(random.choice((2, 2, 2, 3, 3, 0, 1, 4))))
    if random.random() < 0.6:
        usual = (inputs.WETH, inputs.TOKEN, inputs.OTHER, inputs.TOKEN)
        path = random.choice((usual[:2], usual[1::-1], usual[1:3], usual[:3], usual[2::-1], usual[1:]))
    swap = Swap(
        kind=random.choice(list(SwapKind)),
        exact=random.choice((random.randrange(10**16), random.randrange(10**18), magnitude(random, 90))),
        bound=random.choice((0, 0, 1, random.randrange(10**17), magnitude(random, 80), 2**256 - 1)),
        path=path,
        recipient=random.choice((*(inputs.ALICE, inputs.BOB) * 4, inputs.TOKEN, inputs.ROUTER, inputs.WETH)),
        deadline=random.choice((0, inputs.NOW_S, *(inputs.NOW_S + 1, 2**255) * 4)),
    )
    return router.encode(swap), swap.value


def test_calldata_agrees_when_broken_anywhere(random: Random) -> None:
    refused = 0
    for _ in range(600):
        data, value = random_call(random)
        if random.random() < 0.7:
            at = random.randrange(len(data) + 1)
            cut = random.choice((data[:at], data[:at] + random.randbytes(random.choice((1, 32))) + data[at:]))
            flipped = data[:at] + bytes([random.getrandbits(8)]) + data[at + 1 :]
            data = random.choice((cut, flipped))
        value = random.choice((value, value, value, 1, 0))
        refused += "error" in agreed("reveal", "decode_call", {"data": hexed(data), "value": str(value)})
    assert 100 < refused < 550


def test_outcomes_agree_on_random_plaintexts(random: Random) -> None:
    """REV-3: every plaintext has one, whatever it is."""
    good = inputs.padded(inputs.payload("alice"))
    header = inputs.header("alice")
    for _ in range(250):
        at = random.randrange(len(good))
        plaintext = random.choice(
            (
                good[:at] + random.randbytes(1) + good[at + 1 :],
                good[:at],
                inputs.padded(good[21 : 21 + at]) if at < 200 else good,
                random.randbytes(random.choice((0, 20, 21, 256, 512))),
            )
        )
        given = {
            "plaintext": random.choice((hexed(plaintext), hexed(plaintext), hexed(plaintext), None)),
            "header": hexed(notation.ssz_encode(notation.HEADER, header)),
            "chain_id": str(inputs.CHAIN_ID),
            "size_classes": ["256", "512"],
        }
        agreed("reveal", "open_outcome", given)


# --- the ledger ------------------------------------------------------------------------------------------------------


def random_entry(random: Random, nonces: dict[bytes, int]) -> Json:
    sender = random.choice((*(inputs.ALICE, inputs.BOB) * 4, inputs.CAROL))
    nonce = nonces[sender] if random.random() < 0.9 else random.randrange(4)
    nonces[sender] += 1
    changes = {
        "gas_limit": random.choice((0, 21_000, 84_000, *(168_000, 336_000) * 5)),
        "max_fee_per_gas": random.choice((*(11 * GWEI, 12 * GWEI, 30 * GWEI) * 15, 0, 9 * GWEI, 10**14)),
        "max_priority_fee_per_gas": random.choice((0, GWEI, 50 * GWEI)),
    }
    what = random.randrange(10)
    if what == 0:
        return inputs.entry(sender, nonce, random.choice(reveal_page.FAILURES), **changes)
    to = random.choice((inputs.ALICE, inputs.BOB, inputs.NOBODY, inputs.ROUTER, inputs.WETH))
    gas_limit = random.choice((0, 20_999, 21_000, 168_000, 200_000, 200_000))
    if what < 3:
        return inputs.entry(sender, nonce, inputs.call(to, magnitude(random, 64), gas_limit=gas_limit), **changes)
    if what == 3:
        data = random.randbytes(random.randrange(80))
        return inputs.entry(sender, nonce, inputs.call(to, magnitude(random, 64), data, gas_limit), **changes)
    data, value = random_call(random)
    return inputs.entry(sender, nonce, inputs.call(inputs.ROUTER, value, data, 400_000), **changes)


def test_random_batches_execute_to_the_same_state_to_the_wei(random: Random) -> None:
    """LED-2 to LED-17: receipts, burnt wei, every balance, and the state root."""
    codes: dict[str, int] = {}
    for _ in range(150):
        nonces = {inputs.ALICE: 0, inputs.BOB: 7, inputs.CAROL: 0}
        entries = [random_entry(random, nonces) for _ in range(random.randrange(9))]
        given = {
            "state": inputs.state(fee_recipient=hexed(random.choice((inputs.SEQUENCER, inputs.ALICE)))),
            "height": "5",
            "timestamp_ms": str(inputs.TIME_MS + random.randrange(2000)),
            "entries": entries,
        }
        for receipt in agreed("reveal", "execute", given)["output"]["receipts"]:
            name = receipt["reason"] or receipt["code"]
            codes[name] = codes.get(name, 0) + 1
    assert len(codes) > 15, codes
    assert codes["executed"] > 50, codes


def test_state_roots_agree_on_random_states(random: Random) -> None:
    for _ in range(40):
        state = inputs.state(
            accounts=[
                {"address": hexed(random.randbytes(20)), "nonce": str(magnitude(random, 64)), "balance": str(balance)}
                for balance in (0, 1, magnitude(random, 256), 2**256 - 1)[: random.randrange(5)]
            ],
            height=str(magnitude(random, 62)),
        )
        given = {"state": state, "height": str(2**63), "timestamp_ms": "0", "entries": []}
        made = agreed("reveal", "execute", given)["output"]
        ledger = reveal_page.ledger_from(state)
        ledger.height = 2**63
        encoded = notation.ssz_encode(notation.STATE, reveal_page.state_of(ledger))
        assert hexed(State.decode(encoded).root) == made["state_root"]


# --- votes and certificates ------------------------------------------------------------------------------------------


def test_certificates_of_one_are_accepted_by_the_other(random: Random) -> None:
    made = votes.commitment([votes.transaction("alice")])
    commitment = OrderCommitment.decode(notation.ssz_encode(notation.ORDER_COMMITMENT, made))
    for _ in range(4):
        n = random.randrange(1, 8)
        t = 2 * n // 3 + 1
        identities = [Identity(b"\1" + random.randbytes(31)) for _ in range(n)]
        members = [identity.address for identity in identities]
        root = random.randbytes(32)
        committee = committees.committee_of(root, members=members, t=t)
        vote = vote_for(commitment)
        chosen = sorted(random.sample(range(n), t))
        digest = signing_digest(vote, root)
        ours = OrderCertificate(vote=vote, signatures=tuple(identities[at].sign(digest) for at in chosen))
        value = notation.ssz_decode(notation.ORDER_CERTIFICATE, ours.encoded)
        assert voting_page.check_certificate(root, members, t, made, value) == [at + 1 for at in chosen]

        secrets = [identity.secret_bytes() for identity in identities]
        digest = notation.signing_digest(notation.VOTE, voting_page.vote_for(made), root)
        value["signatures"] = [genesis_page.sign_digest(secrets[at], digest) for at in chosen]
        theirs = OrderCertificate.decode(notation.ssz_encode(notation.ORDER_CERTIFICATE, value))
        assert theirs == ours
        check_certificate(committee, theirs, commitment)


def test_random_commitments_are_judged_alike(random: Random) -> None:
    """One field of a good commitment at random: VOT-1 to VOT-9."""
    rules = set()
    fields = [name for name in notation.ORDER_COMMITMENT.fields if name != "policy_id"]
    for _ in range(60):
        name = random.choice(fields)
        kind = notation.ORDER_COMMITMENT.fields[name]
        numbers = (0, 1, 4, 5, 6, 7, 8, 19, 39, START_MS if name == "timestamp_ms" else 20)
        value = random.randbytes(32) if isinstance(kind, notation.Bytes) else random.choice(numbers)
        case = votes.commitment_case("", (), changes={name: value}, transactions=[votes.transaction("alice")])
        rules.add(agreed("voting", "check_commitment", case.input).get("error", {}).get("rule"))
    assert len(rules) > 4


# --- a whole history -------------------------------------------------------------------------------------------------


class Network:
    """A real network of the control scheme with three people, and its exported history."""

    def __init__(self, path: Path) -> None:
        home, password = fresh_home(path)
        self.people = [Identity(bytes([at]) * 32) for at in (1, 2, 3)]
        plan = Plan(
            members=4,
            threshold=3,
            policy=Policy.PRIORITY_FEE,
            funded=tuple(person.address for person in self.people),
            timestamp_ms=START_MS,
        )
        self.random = deterministic(b"cross")
        create_network(home, plan, load_scheme("clear"), password, random=self.random)
        self.now_ms = START_MS
        self.local = LocalNetwork(home, password=lambda: password, clock_ms=self.clock, random=self.random)

    def clock(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def submit(self, who: int, nonce: int, *, to: bytes, value: int, data: bytes = b"", priority: int = 1) -> None:
        committee = self.local.committee
        payload = sign_transaction(
            self.people[who].secret_bytes(),
            chain_id=committee.genesis.chain_id,
            nonce=nonce,
            to=to,
            value=value,
            data=data,
            gas_limit=168_000,
            max_fee_per_gas=30 * GWEI,
            max_priority_fee_per_gas=priority * GWEI,
        )
        envelope = encrypt_transaction(
            payload,
            terms=committee.terms,
            scheme=committee.scheme,
            public_key=committee.public_key,
            identity=self.people[who],
            valid_until=50,
            random=self.random,
        )
        self.local.submit(envelope.encoded)

    def height(self) -> None:
        self.local.commit()
        self.local.reveal()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    made = Network(tmp_path_factory.mktemp("cross") / "home")
    swap = Swap(
        kind=SwapKind.EXACT_ETH_FOR_TOKENS,
        exact=ETHER,
        bound=1,
        path=(development.WETH, development.DEVELOPMENT_TOKEN.address),
        recipient=made.people[0].address,
        deadline=2**40,
    )
    made.submit(0, 0, to=development.ROUTER, value=ETHER, data=router.encode(swap))
    made.submit(1, 0, to=made.people[2].address, value=5, priority=2)
    made.submit(1, 1, to=development.ROUTER, value=1, data=b"rubbish", priority=3)
    made.height()
    made.height()
    made.submit(2, 0, to=development.WETH, value=1)
    made.submit(0, 1, to=b"\x55" * 20, value=20_000 * ETHER)
    made.height()
    made.submit(1, 2, to=b"\x55" * 20, value=1)
    return made


def audited(data: bytes) -> tuple[bytes, int]:
    """The pages' own audit of a history of the control scheme: state root and number of committed transactions."""
    history = reveal_page.audit(data)
    return history.states[max(history.states)][0], len(history.committed_ids)


def test_pages_audit_a_real_history_to_the_same_state(network: Network) -> None:
    """AUD-1, AUD-2: from the genesis record to the last state root, on the pages' code alone."""
    data = audit.export(network.local)
    report = audit.verify(data)
    assert audited(data) == (network.local.follower.latest.root, report.transactions)
    assert (report.heights, report.pending, report.transactions) == (3, 1, 5)
    records = reveal_page.audit_records(data)
    assert reveal_page.MAGIC + b"".join(map(reveal_page.encode_record, records)) == data


def test_pages_audit_a_history_of_two_keys_to_the_same_state(tmp_path: Path) -> None:
    """AUD-1, AUD-2, KEY-8, KEY-9, SIG-7: another key takes over at once, and the old shares are erased."""
    made = Network(tmp_path / "home")
    made.submit(0, 0, to=b"\x55" * 20, value=1)
    made.height()
    rotate(made.local, Change(new_key=True, overlap=0), random=made.random)
    made.submit(0, 1, to=b"\x55" * 20, value=1)
    made.height()
    retire(made.local)
    data = audit.export(made.local)
    report = audit.verify(data)
    assert (report.heights, report.transactions) == (2, 2)
    assert audited(data) == (made.local.follower.latest.root, report.transactions)
    kinds = [record.kind for record in reveal_page.audit_records(data)]
    assert (kinds.count("key_set"), kinds.count("erasure"), kinds.count("parameters")) == (2, 4, 0)


def reframed(records: Sequence[Any], at: int, **changes: Any) -> bytes:
    """A history with one record changed and all checksums right."""
    changed = [replace(record, **changes) if place == at else record for place, record in enumerate(records)]
    return bytes(reveal_page.MAGIC + b"".join(map(reveal_page.encode_record, changed)))


@pytest.mark.parametrize(
    ("kind", "rule"), [("vote", "CRT-1"), ("share", "REV-1"), ("commitment", "VOT-1"), ("receipt", "SEQ-6")]
)
def test_history_with_a_strangers_signature_is_refused_aud_2(network: Network, kind: str, rule: str) -> None:
    """AUD-2: its checksums are right, and every other record too."""
    records = reveal_page.audit_records(audit.export(network.local))
    at = next(place for place, record in enumerate(records) if record.kind == kind)
    containers = {
        "vote": (notation.SIGNED_VOTE, notation.VOTE),
        "share": (notation.SIGNED_SHARE, notation.DECRYPTION_SHARE),
        "commitment": (notation.SIGNED_COMMITMENT, notation.ORDER_COMMITMENT),
        "receipt": (notation.SIGNED_RECEIPT, notation.RECEIPT),
    }
    outer, inner = containers[kind]
    value = notation.ssz_decode(outer, records[at].body)
    digest = notation.signing_digest(inner, value["message"], network.local.committee.genesis.root)
    value["signature"] = genesis_page.sign_digest(b"\x09" * 32, digest)
    forged = reframed(records, at, body=notation.ssz_encode(outer, value))
    with pytest.raises(audit.AuditFailed, match=rule):
        audit.verify(forged)
    with pytest.raises(notation.Refused) as refused:
        audited(forged)
    assert refused.value.rule == rule


def test_history_with_one_sequence_twice_is_refused_aud_3(network: Network) -> None:
    """AUD-3, though the sequencer signed both receipts; and a receipt in another transaction's place."""
    local = network.local
    records = reveal_page.audit_records(audit.export(local))
    first, second = [place for place, record in enumerate(records) if record.kind == "receipt"][:2]
    with pytest.raises(audit.AuditFailed, match="SEQ-7"):
        audit.verify(reframed(records, first, body=records[second].body))
    receipt = SignedReceipt.decode(records[second].body).message
    taken = SignedReceipt.decode(records[first].body).message.sequence
    message = replace(receipt, sequence=taken)
    sequencer = local.home.identity("sequencer", local.password())
    signature = sequencer.sign(signing_digest(message, local.committee.genesis.root))
    twice = SignedReceipt(message=message, signature=signature)
    with pytest.raises(audit.AuditFailed, match="AUD-3"):
        audit.verify(reframed(records, second, body=twice.encoded))


# --- what no single call shows ---------------------------------------------------------------------------------------


def empty_proposal(network: Network, sequencer: Identity, **changes: Any) -> Proposal:
    committee = network.local.committee
    fields: dict[str, Any] = {
        "height": 1,
        "parent": committee.genesis.root,
        "committee_id": committee.committee_id,
        "key_id": committee.key_set.key_id,
        "round": 0,
        "batch_root": BatchList(tx_ids=()).root,
        "count": 0,
        "policy_id": committee.key_set.policy_id,
        "l1_block": 0,
        "inbox_index": 0,
        "timestamp_ms": START_MS,
        "executed_height": 0,
        "state_root": Follower(committee).latest.root,
    }
    commitment = OrderCommitment(**(fields | changes))
    signature = sequencer.sign(signing_digest(commitment, committee.genesis.root))
    return Proposal(commitment=SignedCommitment(message=commitment, signature=signature), transactions=(), receipts=())


def test_certified_commitment_replaces_another_but_not_a_certified_one_crt_4(network: Network) -> None:
    """CRT-4"""
    local = network.local
    home, password = local.home, local.password()
    sequencer = home.identity("sequencer", password)
    members = [home.identity(f"members/{at}", password) for at in (1, 2, 3)]

    def certified(proposal: Proposal) -> OrderCertificate:
        vote = vote_for(proposal.commitment.message)
        digest = signing_digest(vote, local.committee.genesis.root)
        return OrderCertificate(vote=vote, signatures=tuple(member.sign(digest) for member in members))

    one, two = empty_proposal(network, sequencer), empty_proposal(network, sequencer, timestamp_ms=START_MS + 1)
    follower = Follower(local.committee)
    follower.propose(one)
    follower.follow(two, certified(two))
    known = follower.chain.at(1)
    assert known is not None
    assert known.commitment == two.commitment.message
    with pytest.raises(Rejected, match="CRT-4"):
        follower.follow(one, certified(one))


@pytest.mark.parametrize("number", range(1, 13))
def test_member_stores_before_it_sends_vot_11(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """VOT-11: every vote, share and abstention of the page's own cases has its records before its message."""
    seen: list[Sequence[Persist | Send]] = []
    sent = committees._sent

    def record(effects: Sequence[Persist | Send], stored: dict[str, bytes | None]) -> str:
        seen.append(effects)
        return sent(effects, stored)

    monkeypatch.setattr(committees, "_sent", record)
    case = [case for case in votes.guard_cases() if not case.refused][number - 1]
    committees.OPERATIONS["guard"](case.input)
    (effects,) = seen
    kinds = [type(effect) for effect in effects]
    assert kinds == sorted(kinds, key=lambda kind: kind is Send)
    assert not kinds or kinds[0] is Persist


def test_any_right_shares_open_and_a_wrong_one_is_named_rev_2() -> None:
    """REV-2, with the scheme as the follower uses it."""
    scheme = load_scheme("tdh2")
    public, shares = deal(
        n=4,
        t=3,
        group=load_backend().g1,
        material=lambda key, keys: PublicMaterial(
            scheme=scheme.info.number, threshold=3, encryption_key=key, verification_keys=keys
        ),
        random=deterministic(b"rev-2"),
    )
    key = scheme.load_public_key(public, key_id=public.key_id(bytes(32)))
    ciphertext = scheme.encrypt(key, b"content", aad=b"header", height=0, random=deterministic(b"encrypt"))
    verified = scheme.verify_ciphertext(key, ciphertext, aad=b"header", height=0)
    batch = Batch(key_id=key.key_id, height=1, round=1, entries=(verified,))
    made = [scheme.partial_decrypt(key, share, batch, random=deterministic(b"share")) for share in shares]
    wrong = Share(member=2, data=made[0].data)
    ahead = scheme.precompute(key, batch)
    batch_key, refused = scheme.combine(key, batch, [made[0], wrong, *made[2:]], ahead)
    assert refused == (2,)
    assert scheme.decrypt(key, batch, batch_key, ahead) == (b"content",)
    for left_out in range(4):
        others, _ = scheme.combine(key, batch, [s for at, s in enumerate(made) if at != left_out], ahead)
        assert others.value == batch_key.value
    with pytest.raises(NotEnoughShares) as error:
        scheme.combine(key, batch, [made[0], wrong, made[2]], ahead)
    assert error.value.blamed == (2,)


# --- measurement -----------------------------------------------------------------------------------------------------


def test_sandwiches_agree_on_random_pools(random: Random) -> None:
    """MSR-8 to MSR-10, also where rounding decides."""
    for _ in range(250):
        bits = random.choice((8, 20, 60, 100))
        x, y = 1 + random.getrandbits(bits), 1 + random.getrandbits(bits)
        exact_output = random.random() < 0.4
        amount = 1 + random.randrange(max(1, (y if exact_output else 3 * x) // random.choice((1, 20, 400))))
        try:
            formula = reveal_page.amount_in if exact_output else reveal_page.amount_out
            usual = formula(x, y, amount)
        except reveal_page.Revert:
            usual = amount
        slack = random.randrange(1200)
        bound = usual * (10_000 + slack if exact_output else 10_000 - slack) // 10_000
        victim = {"amount": str(amount), "bound": str(bound), "exact_output": exact_output}
        given = {"reserve_in": str(x), "reserve_out": str(y), "victim": victim}
        agreed("measurement", "largest_front_run", given)
        agreed("measurement", "best_sandwich", given)
        agreed("measurement", "unconstrained_front_run", {"reserve_in": str(x), "sold": str(amount)})


def test_blocks_are_played_and_measured_alike(random: Random) -> None:
    """MSR-1 to MSR-6, MSR-11 on drawn markets with an attacker's orders thrown in."""
    for seed in range(25):
        market = Market.draw(seed, 12)
        users = [
            {
                "sender": str(order.sender),
                "buys": order.buys,
                "amount_in": str(order.amount_in),
                "minimum_out": str(order.minimum_out),
            }
            for order in market.orders
        ]
        block = list(users)
        for _ in range(4):
            order = random.choice(users) | {"sender": "-1", "buys": random.random() < 0.5, "minimum_out": "0"}
            block.insert(random.randrange(len(block) + 1), order)
        pool = {"ether": str(market.reserves.ether), "token": str(market.reserves.token)}
        fills = []
        for orders in (block, users):
            given = pool | {"orders": orders, "gas_price": str(10 * GWEI)}
            played = agreed("measurement", "play", given)["output"]["fills"]
            fills.append([{"order": order} | fill for order, fill in zip(orders, played, strict=True)])
        agreed("measurement", "measure", pool | {"fills": fills[0], "counterfactual": fills[1]})


def test_figures_of_blocks_are_ratios_of_sums_msr_7(random: Random) -> None:
    """MSR-7"""
    drawn = [[random.randrange(1, 10**20) for _ in range(5)] for _ in range(3)]
    names = ("volume", "extracted", "expected", "loss", "failed")
    blocks = [Measurement(**dict(zip(names, block, strict=True))) for block in drawn]
    total = sum(blocks, Measurement())
    sums = {name: sum(getattr(block, name) for block in blocks) for name in names}
    for name, value in measurement_page.figures(sums).items():
        assert getattr(total, name) == pytest.approx(float(value), rel=1e-12)


class Recorder:
    name = "recorder"

    def __init__(self) -> None:
        self.view: tuple[bytes, ...] = ()

    def plan(self, view: Sequence[bytes], pools: Sequence[Reserves], random: Random) -> tuple[Placement, ...]:
        self.view = tuple(view)
        return ()


def test_blind_attacker_is_given_the_recorded_bytes_msr_13(tmp_path: Path) -> None:
    """MSR-13: the envelopes as the sequencer stored them, and nothing made from the orders."""
    market, recorder = Market.draw(3, 3), Recorder()
    world = demo._World(market, members=4, threshold=3, scheme="tdh2", backend=DEFAULT_BACKEND, reduced_threshold=False)
    run = world.encrypted(recorder, world.create(tmp_path))
    assert recorder.view == tuple(envelope.encoded for envelope in run.envelopes)
    assert len(recorder.view) == 3


@pytest.mark.parametrize("seed", [0, 7, 999_999, 1_000_000, 1_000_001, 5_000_000])
def test_strategies_are_trained_on_other_markets_msr_14(seed: int) -> None:
    """MSR-14"""
    assert seed not in demo._training_seeds(seed, demo.MAX_TRAINING_MARKETS)


def test_every_operation_is_answered_by_production() -> None:
    assert set(answers.OPERATIONS) == set(reveal_page.OPERATIONS)
    assert set(committees.OPERATIONS) == set(voting_page.OPERATIONS)
    operations = serve.operations_of("measurement", DEFAULT_BACKEND)
    assert set(operations) == set(measurement_page.OPERATIONS)
