"""The pages genesis, transactions and ordering against the production code, on random inputs.

Both are asked the same through the operations of the conformance suite and must answer the same: the output, or the
kind and rule of the refusal. Inputs come from a printed seed.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from eth_hash.auto import keccak

from encmempool import genesis as genesis_file, keysets
from encmempool.conformance import ordering as answers, serve
from encmempool.errors import Rejected
from encmempool.identity import Identity
from encmempool.sequencer import Sequencer
from encmempool.store import MemoryStore
from encmempool.transactions import encrypt_transaction
from encmempool.types import Deadlines, EncryptedTransaction
from specs import build
from specs.generate import genesis as world, transactions as envelopes
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.entropy import deterministic
from threshold.keys import PublicMaterial
from threshold.sansio import Persist, Send
from threshold.schemes.registry import SCHEMES, load_scheme
from threshold.setup.dealer import deal

genesis_page, transactions_page, ordering_page = map(build.load, ("genesis", "transactions", "ordering"))
notation = build.load("notation")

SEED = 20_261_120
Json = dict[str, Any]


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Another stream for each test; the seed is printed where a test fails."""
    seed = f"{SEED} {request.node.name}"
    print(f"seed: {seed!r}")  # noqa: T201
    return Random(seed)


def by_specs(page: str, operation: str, fields: Json) -> Json:
    try:
        return {"output": build.load(page).OPERATIONS[operation](fields)}
    except notation.Refused as error:
        return {"error": {"kind": error.kind, "rule": error.rule}}


def agreed(page: str, operation: str, **fields: Any) -> Json:
    """What both answer. Bytes are written as hex and integers as decimals first."""
    given = {name: written(value) for name, value in fields.items()}
    specs = by_specs(page, operation, given)
    production = serve.answer(page, operation, given, backend=DEFAULT_BACKEND)
    if "error" in production:
        production["error"].pop("message")
    assert production == specs, (page, operation, given)
    return specs


def written(value: Any) -> Any:
    if isinstance(value, bool | str | dict):
        return value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [written(item) for item in value] if isinstance(value, list) else str(value)


def integer(random: Random, size_bytes: int) -> int:
    """Of any length up to that, so that small ones are as likely as large ones."""
    return random.getrandbits(random.randint(0, 8 * size_bytes))


def mutated(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, 2)):
        changed[random.randrange(len(data))] = random.randrange(256)
    return bytes(changed[: random.choice([len(data), len(data), len(data), random.randrange(len(data))])])


def encoded(kind: Any, value: Any) -> bytes:
    data = notation.ssz_encode(kind, value)
    assert isinstance(data, bytes)
    return data


# --- hashes, signatures, addresses -----------------------------------------------------------------------------------


def test_keccak_agrees_on_every_length_around_its_block(random):
    for size in [*range(0, 8), *range(130, 145), *range(268, 276), 1000]:
        data = random.randbytes(size)
        assert genesis_page.keccak256(data) == keccak(data), size


def test_signatures_are_the_same_and_recover_to_the_same_address(random):
    for _ in range(20):
        digest = random.randbytes(32)
        made = agreed("genesis", "sign", key=random.randbytes(32), digest=digest)["output"]
        recovered = agreed("genesis", "recover", digest=digest, signature=bytes.fromhex(made["signature"][2:]))
        assert recovered == {"output": {"address": made["address"]}}


def test_corrupted_signatures_are_refused_or_recover_alike(random):
    refused = 0
    for _ in range(120):
        digest = random.randbytes(32)
        signature = mutated(random, Identity(random.randbytes(32)).sign(digest))
        refused += "error" in agreed("genesis", "recover", digest=digest, signature=signature)
    assert 20 < refused < 110


def test_signatures_at_the_borders_of_the_order_are_refused_alike(random):
    order = genesis_page.N
    edges = [0, 1, order // 2, order // 2 + 1, order - 1, order, genesis_page.FIELD, 2**256 - 1]
    for r in edges:
        for s in edges:
            signature = r.to_bytes(32) + s.to_bytes(32) + bytes([random.choice([27, 28])])
            agreed("genesis", "recover", digest=random.randbytes(32), signature=signature)


def test_addresses_are_the_same_for_keys_on_and_off_the_curve(random):
    for _ in range(30):
        point = genesis_page.curve_multiply(genesis_page.BASE, random.randrange(1, genesis_page.N))
        key = point[0].to_bytes(32) + point[1].to_bytes(32)
        assert "output" in agreed("genesis", "address", public_key=key)
        agreed("genesis", "address", public_key=mutated(random, key))


# --- genesis and key sets --------------------------------------------------------------------------------------------


def random_genesis(random: Random) -> Json:
    tokens = [
        {"address": random.randbytes(20), "symbol": random.randbytes(random.randint(0, 32)), "decimals": 18}
        for _ in range(random.randint(0, 3))
    ]
    accounts = [
        {
            "address": random.randbytes(20),
            "balance": integer(random, 30),
            "tokens": [integer(random, 30) for _ in tokens],
        }
        for _ in range(random.randint(0, 4))
    ]
    pairs = [sorted([random.randbytes(20), random.randbytes(20)]) for _ in range(random.randint(0, 3))]
    pools = [
        {"token0": a, "token1": b, "reserve0": integer(random, 14), "reserve1": integer(random, 14)} for a, b in pairs
    ]
    names = Deadlines.__dataclass_fields__
    return world.genesis(
        chain_id=integer(random, 8),
        timestamp_ms=integer(random, 8),
        accounts=accounts,
        tokens=tokens,
        pools=pools,
        base_fee=integer(random, 32),
        members=[random.randbytes(20) for _ in range(random.randint(1, 7))],
        policy_id=random.randint(1, 3),
        policy_parameters=random.randbytes(random.randint(0, 40)),
        batch_limit=random.randint(1, 4096),
        gas_limit=integer(random, 8),
        size_classes=sorted(random.sample(range(65537), random.randint(1, 9))),
        deadlines={name: integer(random, 8) for name in names},
    )


def test_genesis_roots_are_equal_and_corrupted_bytes_refused_alike(random):
    refused = 0
    for _ in range(40):
        data = encoded(notation.GENESIS, random_genesis(random))
        assert "output" in agreed("genesis", "genesis_root", genesis=data)
        for _ in range(5):
            refused += "error" in agreed("genesis", "genesis_root", genesis=mutated(random, data))
    assert refused > 20


def test_genesis_files_read_alike(random, tmp_path):
    """What production writes, the specification reads; both refuse contents that are not those of the root."""
    for number in range(20):
        text = json.dumps(world._document(random_genesis(random)))
        read = agreed("genesis", "read_genesis", text=text)["output"]
        genesis = genesis_file.Genesis.decode(bytes.fromhex(read["genesis"][2:]))
        genesis_file.write(genesis, tmp_path / f"{number}.json")
        assert agreed("genesis", "read_genesis", text=(tmp_path / f"{number}.json").read_text())["output"] == read
        changed = json.loads(text) | {"batch_limit": random.randint(1, 4096), "chain_id": integer(random, 9)}
        agreed("genesis", "read_genesis", text=json.dumps(changed))


def test_ceremony_ids_are_equal(random):
    for _ in range(20):
        members = [random.randbytes(20) for _ in range(random.randint(1, 5))]
        fields = {"scheme": random.randint(0, 1), "epoch": integer(random, 8), "t": random.randint(1, 5), "attempt": 1}
        agreed("genesis", "ceremony_id", genesis_root=random.randbytes(32), members=members, **fields)


def test_default_thresholds_are_equal():
    for n in range(1, 200):
        agreed("genesis", "default_threshold", n=n)


KEY_SET_CHANGES = {
    "nothing": lambda random, of: {},
    "the network": lambda random, of: {"genesis_root": random.randbytes(32)},
    "the threshold": lambda random, of: {"t": random.randint(0, 6), "reduced_threshold": random.randint(0, 1)},
    "the count": lambda random, of: {"n": random.randint(0, 6)},
    "the members": lambda random, of: {"members": random.sample(of["members"], len(of["members"]))},
    "a scheme": lambda random, of: {"scheme": random.randint(5, 255)},
    "a name": lambda random, of: {"key_id": random.randbytes(32)},
    "a digest": lambda random, of: {"parameter_digest": random.randbytes(32)},
    "the start": lambda random, of: {"start_height": integer(random, 8), "start_round": integer(random, 8)},
    "the policy": lambda random, of: {"policy_id": random.randint(1, 2)},
    "the limit": lambda random, of: {"batch_limit": random.randint(7, 9)},
    "free fields": lambda random, of: {"rounds": integer(random, 4), "valid_until": integer(random, 8)},
}


@pytest.mark.parametrize("change", KEY_SET_CHANGES)
def test_key_sets_are_accepted_and_refused_alike(random, change):
    for _ in range(4):
        of = world.genesis(policy_id=random.randint(1, 2))
        message = world.key_set(of, **KEY_SET_CHANGES[change](random, of))
        signers = [name for name in world.MEMBERS if random.random() < 0.8]
        data = encoded(notation.SIGNED_KEY_SET, world.signed(of, message, signers))
        genesis = encoded(notation.GENESIS, of)
        agreed("genesis", "check_key_set", genesis=genesis, signed_key_set=data)
        agreed("genesis", "check_key_set", genesis=genesis, signed_key_set=data[: random.randrange(len(data))])


def test_properties_of_the_schemes_are_those_of_the_table():
    """KEY-4, KEY-5, KEY-7, TXN-5: the page's rows and the schemes themselves."""
    infos = [load_scheme(name).info for name in SCHEMES]
    assert {
        info.number: genesis_page.Scheme(
            name=info.name,
            hides=info.hides,
            needs_default_threshold=info.needs_default_threshold,
            addresses_height=info.addresses_height,
            limits_batches=info.limits_batch,
            limits_rounds=info.limits_rounds,
            shares_anew=info.reshares,
        )
        for info in infos
    } == genesis_page.SCHEMES
    text = build.path_of("genesis").read_text()
    for scheme in genesis_page.SCHEMES.values():
        marks = ["yes" if value else "no" for value in list(vars(scheme).values())[1:]]
        assert f"| `{scheme.name}` | {' | '.join(marks)} |" in text
    overheads = "".join(f"{info.ciphertext_overhead_bytes} for `{info.name}` " for info in infos)
    assert overheads.strip().replace(" 1", ", 1").replace(" 4", ", 4") in build.path_of("transactions").read_text()


SUCCESSOR_CHANGES = {
    "nothing": lambda random, before: {},
    "the same key": lambda random, before: {"same_key": True, "start_round": random.randrange(9)},
    "the network": lambda random, before: {"genesis_root": random.randbytes(32)},
    "the epoch": lambda random, before: {"epoch": random.randrange(4)},
    "the start": lambda random, before: {"start_height": random.randrange(14), "same_key": random.random() < 0.5},
    "the parent": lambda random, before: {"start_parent": random.choice([bytes(32), random.randbytes(32)])},
    "the round": lambda random, before: {"start_round": random.randrange(3)},
    "the members": lambda random, before: {"members": random.sample(before["members"], len(before["members"]))},
    "the threshold": lambda random, before: {"t": random.randint(0, 5), "reduced_threshold": random.randint(0, 1)},
    "a scheme": lambda random, before: {"scheme": random.randint(5, 255)},
    "a name": lambda random, before: {"key_id": random.randbytes(32)},
    "a digest": lambda random, before: {"parameter_digest": random.randbytes(32)},
    "rounds": lambda random, before: {"rounds": random.randrange(2)},
    "free fields": lambda random, before: {"valid_until": integer(random, 8), "batch_limit": integer(random, 4)},
}


@pytest.mark.parametrize("change", SUCCESSOR_CHANGES)
def test_successors_are_accepted_and_refused_alike(random, change):
    """KEY-7 to KEY-9, after key sets of any threshold that end or do not."""
    of = world.genesis()
    for _ in range(4):
        before = world.key_set(of, t=random.choice([2, 3, 4]), valid_until=random.choice([9, 2**64 - 1]))
        message = world.successor(before, **SUCCESSOR_CHANGES[change](random, before))
        signers = [name for name in world.MEMBERS if random.random() < 0.9]
        agreed(
            "genesis",
            "check_successor",
            genesis=encoded(notation.GENESIS, of),
            predecessor=encoded(notation.KEY_SET, before),
            signed_key_set=encoded(notation.SIGNED_KEY_SET, world.signed(of, message, signers)),
        )


def test_limits_of_keys_hold_alike(random):
    """KEY-7."""
    of = world.genesis()
    refused = 0
    for _ in range(60):
        near = [None, 7, 8, 9]
        message = world.key_set(of, batch_limit=random.randint(7, 9), rounds=random.choice([0, 7, 8]))
        limits = {name: written(n) if (n := random.choice(near)) else None for name in ("batch", "rounds")}
        key_set = encoded(notation.KEY_SET, message)
        refused += "error" in agreed("genesis", "check_limits", key_set=key_set, limits=limits)
    assert 10 < refused < 55


def test_erasures_are_signed_alike(random):
    """SIG-7."""
    for _ in range(5):
        agreed("genesis", "erasure_digest", genesis_root=random.randbytes(32), committee_id=random.randbytes(32))


# --- transactions ----------------------------------------------------------------------------------------------------


def random_header(random: Random, **changes: Any) -> Json:
    return {
        "version": random.randrange(256),
        "key_id": random.randbytes(32),
        "scheme": random.randrange(256),
        "sender": random.randbytes(20),
        "nonce": integer(random, 8),
        "gas_limit": integer(random, 8),
        "max_fee_per_gas": integer(random, 32),
        "max_priority_fee_per_gas": integer(random, 32),
        "target_height": integer(random, 8),
        "valid_until": integer(random, 8),
    } | changes


def test_hashes_and_ids_of_transactions_are_equal(random):
    for _ in range(25):
        of = encoded(notation.GENESIS, random_genesis(random))
        header = encoded(notation.HEADER, random_header(random))
        ciphertext = random.randbytes(random.choice([0, 1, 31, 32, 33, 64, 1000]))
        agreed("transactions", "domain_separator", genesis=of)
        agreed("transactions", "signing_hash", genesis=of, header=header, ciphertext=ciphertext)
        key = random.randbytes(32)
        made = agreed("transactions", "make_envelope", genesis=of, key=key, header=header, ciphertext=ciphertext)
        data = bytes.fromhex(made["output"]["transaction"][2:])
        assert agreed("transactions", "tx_id", transaction=data)["output"]["tx_id"] == made["output"]["tx_id"]
        agreed("transactions", "tx_id", transaction=mutated(random, data))


ENVELOPE_CHANGES = {
    "nothing": lambda random: {},
    "version": lambda random: {"version": random.randrange(4)},
    "gas": lambda random: {"gas_limit": random.choice([0, 21_000 << random.randrange(50), integer(random, 8)])},
    "fees": lambda random: {
        "max_fee_per_gas": random.randrange(20 * 10**9),
        "max_priority_fee_per_gas": random.randrange(20 * 10**9),
    },
    "largest fees": lambda random: {"max_fee_per_gas": 2**256 - 1, "max_priority_fee_per_gas": 2**256 - 1},
    "target": lambda random: {"target_height": random.choice([0, 1, 50])},
    "size": lambda random: {"ciphertext": bytes(random.choice([63, 64, 65, 256, 1024, 1025]))},
    "validity": lambda random: {"valid_until": random.randrange(110)},
}


@pytest.mark.parametrize("change", ENVELOPE_CHANGES)
def test_envelopes_are_accepted_and_refused_alike(random, change):
    """TXN-1 to TXN-8."""
    of = world.genesis()
    keys = encoded(notation.KEY_SET, world.key_set(of, valid_until=100))
    for _ in range(12):
        made = envelopes.envelope(of, **ENVELOPE_CHANGES[change](random))
        data = encoded(notation.ENCRYPTED_TRANSACTION, made)
        for transaction in (data, mutated(random, data)):
            agreed(
                "transactions",
                "check",
                genesis=encoded(notation.GENESIS, of),
                key_set=keys,
                overhead_bytes=0,
                addresses_height=random.random() < 0.2,
                transaction=transaction,
                height=random.randrange(60),
            )


def test_payloads_decode_alike(random):
    for _ in range(40):
        max_fee = integer(random, 32)
        raw = envelopes.payload(
            random.choice(["alice", "bob"]),
            chain_id=integer(random, 8),
            nonce=integer(random, 8),
            max_fee_per_gas=max_fee,
            max_priority_fee_per_gas=random.randint(0, max_fee),
            gas_limit=integer(random, 8),
            to=random.randbytes(20),
            value=integer(random, 32),
            data=random.randbytes(random.choice([0, 1, 1, 2, 54, 55, 56, 57, 255, 256, 700])),
        )
        agreed("transactions", "decode_payload", payload=raw)


def test_corrupted_payloads_are_refused_or_decode_alike(random):
    refused = accepted = 0
    for _ in range(250):
        good = random.choice(PAYLOADS)
        raw = mutated(random, good)
        answer = agreed("transactions", "decode_payload", payload=raw)
        refused += "error" in answer
        accepted += "output" in answer and raw != good
    assert refused > 40
    assert accepted > 20


PAYLOADS = [envelopes.payload(data=bytes(range(size))) for size in (0, 1, 55, 60, 200)]


def test_payloads_built_from_wrong_items_are_refused_alike(random):
    pieces = [
        b"\x80",
        b"\x00",
        b"\x01",
        b"\xc0",
        b"\xc1\x80",
        b"\x81\x05",
        b"\x81\x80",
        b"\x82\x00\x01",
        b"\xb8\x01\x05",
    ]
    pieces += [
        b"\x94" + bytes(20),
        b"\x95" + bytes(21),
        b"\xa0" + b"\xff" * 32,
        b"\xa1" + b"\x01" * 33,
        b"\xbf",
        b"\xff",
    ]
    for _ in range(200):
        items = envelopes.items()
        for _ in range(random.randint(1, 2)):
            items[random.randrange(12)] = random.choice(pieces)
        agreed("transactions", "decode_payload", payload=b"\x02" + transactions_page.rlp_list(items))


def test_payloads_fit_their_header_alike(random):
    """PAY-2."""
    fitting = 0
    for _ in range(60):
        fields = {name: envelopes.FIELDS[name] for name in ("nonce", "max_fee_per_gas", "max_priority_fee_per_gas")}
        inside = {**fields, "gas_limit": 21_000, "chain_id": 31337}
        name = random.choice(list(inside))
        inside[name] += random.choice([0, 1, -1])
        header = random_header(random, **fields, sender=world.address("alice"), gas_limit=21_000)
        raw = envelopes.payload(random.choice(["alice", "alice", "bob"]), **inside)
        answer = agreed(
            "transactions", "check_payload", payload=raw, header=encoded(notation.HEADER, header), chain_id=31337
        )
        fitting += "output" in answer
    assert 10 < fitting < 50


def test_gas_ladders_are_equal(random):
    for gas in [*(21_000 << k for k in range(40)), *((21_000 << k) + 1 for k in range(40)), integer(random, 7)]:
        agreed("transactions", "gas_ladder", gas=gas)


def test_ciphertext_is_refused_under_another_header():
    """TXN-9, TXN-10: the associated data that production uses is the header's root of the specification."""

    def material(key, verification_keys):
        return PublicMaterial(scheme=1, threshold=3, encryption_key=key, verification_keys=verification_keys)

    of = world.genesis()
    genesis = genesis_file.Genesis.decode(encoded(notation.GENESIS, of))
    public, _ = deal(n=4, t=3, group=load_backend().g1, material=material, random=deterministic(b"key"))
    key_set = keysets.first_key_set(genesis, public, setup_kind=2, setup_privacy=0)
    scheme = load_scheme("tdh2")
    terms = keysets.Terms(genesis=genesis, key_set=key_set, overhead_bytes=160, addresses_height=False)
    public_key = scheme.load_public_key(public, key_id=key_set.key_id)
    made = encrypt_transaction(
        envelopes.payload(),
        terms=terms,
        scheme=scheme,
        public_key=public_key,
        identity=Identity(world.secret("alice")),
        valid_until=50,
        random=deterministic(b"encrypt"),
    )
    transaction = notation.ssz_decode(notation.ENCRYPTED_TRANSACTION, made.encoded)
    keys = notation.ssz_decode(notation.KEY_SET, key_set.encoded)
    transactions_page.check(of, keys, 160, False, transaction, 5)
    assert made.header.gas_limit == transactions_page.gas_ladder(envelopes.FIELDS["gas_limit"])  # TXN-14
    aad = transactions_page.associated_data(transaction["header"])
    scheme.verify_ciphertext(public_key, made.ciphertext, aad=aad, height=0)
    other = transactions_page.associated_data(transaction["header"] | {"nonce": 8})
    with pytest.raises(Rejected):
        scheme.verify_ciphertext(public_key, made.ciphertext, aad=other, height=0)


# --- ordering --------------------------------------------------------------------------------------------------------


def random_candidates(random: Random) -> list[Json]:
    """Distinct ids; each sender's nonces without a gap; few fees and sequences, so that there are ties."""
    senders = [random.randbytes(20) for _ in range(random.randint(1, 4))]
    nonces = {sender: random.randrange(5) for sender in senders}
    made = []
    for _ in range(random.randint(0, 14)):
        sender = random.choice(senders)
        fields = {"tx_id": random.randbytes(32), "sender": sender, "nonce": nonces[sender]}
        fields |= {"sequence": random.randrange(6), "priority_fee": random.randrange(4)}
        made.append({name: written(value) for name, value in fields.items()})
        nonces[sender] += 1
    return random.sample(made, len(made))


@pytest.mark.parametrize("policy", [0, 1, 2, 3, 4])
def test_orders_are_equal(random, policy):
    for _ in range(40):
        candidates = random_candidates(random)
        agreed("ordering", "committed_order", policy_id=policy, candidates=candidates)
        root, value = random.randbytes(32), random.randbytes(random.choice([0, 48, 96]))
        given = {"policy_id": policy, "candidates": candidates, "commitment_root": root, "batch_key_value": value}
        agreed("ordering", "execution_order", **given)


def test_permutations_are_equal(random):
    for size in [*range(30), 100, 500]:
        agreed("ordering", "permutation", seed=random.randbytes(32), size=size)


def test_batch_roots_are_equal(random):
    for count in [*range(20), 100, 129]:
        agreed("ordering", "batch_root", tx_ids=[random.randbytes(32) for _ in range(count)])


def random_envelope(random: Random, of: Json, **changes: Any) -> Json:
    fields = {
        "nonce": random.choice([0, 0, 0, 1, 1, 2, 3]),
        "max_priority_fee_per_gas": random.randrange(4) * 10**9,
        "gas_limit": 21_000 << random.choice([0, 0, 1, 2]),
        "valid_until": random.choice([4, 5, 6, 50, 50, 50]),
    } | changes
    return envelopes.envelope(of, random.choice(["alice", "bob", "carol"]), **fields)


def random_pool(random: Random, of: Json, *, live: int = 0, in_flight: int = 0, **key_set: Any) -> Json:
    """No (sender, nonce) twice among live ones and those in flight, as in every pool that came about by admission."""
    reserved = 21_000 * 30 * 10**9
    flying = [random_envelope(random, of, valid_until=60) for _ in range(in_flight)]
    gone = {(made["header"]["sender"], made["header"]["nonce"]) for made in flying}
    held: dict[tuple[bytes, int], Json] = {}
    for _ in range(live):
        made = random_envelope(random, of)
        name = made["header"]["sender"], made["header"]["nonce"]
        if name not in gone:
            held.setdefault(name, made)
    accounts = [
        {"address": written(world.address(name)), "nonce": str(random.choice([0, 0, 1])), "balance": str(balance)}
        for name in ("alice", "bob", "carol")
        for balance in [random.choice([reserved - 1, reserved, 3 * reserved, 10**18])]
    ]
    return {
        "genesis": encoded(notation.GENESIS, of),
        "key_set": encoded(notation.KEY_SET, world.key_set(of, **key_set)),
        "accounts": accounts,
        "live": [encoded(notation.ENCRYPTED_TRANSACTION, made) for made in held.values()],
        "in_flight": [encoded(notation.ENCRYPTED_TRANSACTION, made) for made in flying],
        "height": 5,
    }


def test_admissions_end_alike(random):
    """MEM-1 to MEM-4, MEM-6, MEM-7: one transaction each time, so that no earlier refusal hides it."""
    of = world.genesis(gas_limit=21_000 * 2)
    rules = set()
    for _ in range(90):
        pool = random_pool(random, of, live=random.randrange(5), in_flight=random.choice([0, 0, 1]))
        new = encoded(notation.ENCRYPTED_TRANSACTION, random_envelope(random, of))
        again = random.choice(pool["live"]) if pool["live"] and random.random() < 0.1 else new
        answer = agreed("ordering", "admit", transactions=[again], **pool)
        rules.add(answer["error"]["rule"] if "error" in answer else None)
    assert rules == {None, "MEM-1", "MEM-2", "MEM-3", "TXN-3", "TXN-8"}


def random_succession(random: Random, of: Json, first: Json) -> list[Json]:
    """Up to two key sets after `first`, around height 5, with the same key or others."""
    made: list[Json] = []
    for start in sorted(random.sample(range(3, 9), random.choice([0, 1, 1, 2]))):
        before = made[-1] if made else first
        fields = {"start_height": start, "policy_id": of["policy_id"], "batch_limit": random.choice([2, 8])}
        made.append(world.successor(before, same_key=random.random() < 0.3, **fields))
    return made


def random_epochs(random: Random, of: Json, *, live: int, **key_set: Any) -> tuple[Json, Json]:
    """A pool of transactions for any of the key sets known, and one more that asks for admission."""
    first = world.key_set(of, **key_set)
    later = random_succession(random, of, first)
    keys = [one["key_id"] for one in (first, *later)]
    addresses_height = random.random() < 0.3

    def transaction() -> Json:
        until = random.choice([4, 5, 5, 6, 7, 50])
        target = random.choice([until, until, until, 0]) if addresses_height else 0
        return random_envelope(random, of, key_id=random.choice(keys), valid_until=until, target_height=target)

    held: dict[tuple[bytes, int], Json] = {}
    for _ in range(live):
        made = transaction()
        held.setdefault((made["header"]["sender"], made["header"]["nonce"]), made)
    pool = random_pool(random, of, **key_set) | {
        "live": [encoded(notation.ENCRYPTED_TRANSACTION, made) for made in held.values()],
        "successors": [encoded(notation.KEY_SET, one) for one in later],
        "addresses_height": addresses_height,
    }
    return pool, transaction()


def test_admissions_over_several_key_sets_end_alike(random):
    """MEM-6, MEM-7, TXN-2, TXN-8."""
    of = world.genesis()
    rules = set()
    for _ in range(100):
        pool, new = random_epochs(random, of, live=random.randrange(3))
        answer = agreed("ordering", "admit", transactions=[encoded(notation.ENCRYPTED_TRANSACTION, new)], **pool)
        rules.add(answer["error"]["rule"] if "error" in answer else None)
    assert rules >= {None, "MEM-2", "TXN-2", "TXN-8"}


@pytest.mark.parametrize(
    "policy", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_batches_of_several_key_sets_are_chosen_alike(random, policy):
    """ORD-13, MEM-7: of the height's key, and for the height where one is addressed."""
    of = world.genesis(policy_id=policy)
    chosen = set()
    for _ in range(30):
        pool, _ = random_epochs(random, of, live=random.randrange(4, 14))
        chosen.add(len(agreed("ordering", "select", **pool)["output"]["tx_ids"]))
    assert len(chosen) > 2


def test_receipts_and_commitments_above_a_parent_are_the_same_bytes(random):
    """SEQ-4, SEQ-9, SEQ-10, SEQ-13: rounds that run out, key sets that follow or are announced."""
    of = world.genesis()
    rules = set()
    for _ in range(80):
        keys = {"start_height": 4, "rounds": random.choice([0, 0, 2, 3])}
        pool, new = random_epochs(random, of, live=random.randrange(4), **keys)
        first, *later = (notation.ssz_decode(notation.KEY_SET, one) for one in (pool["key_set"], *pool["successors"]))
        if any(one["start_height"] < 5 or one["key_id"] == first["key_id"] for one in later):
            continue  # the parent is the first key set's, and in a round from which no key goes on
        before = {
            "height": 4,
            "parent": random.randbytes(32),
            "committee_id": notation.ssz_root(notation.KEY_SET, first),
            "key_id": first["key_id"],
            "round": random.randint(1, first["rounds"] or 3),
            "batch_root": ordering_page.batch_root([]),
            "count": 0,
            "policy_id": 1,
            "l1_block": 0,
            "inbox_index": 0,
            "timestamp_ms": random.choice([of["timestamp_ms"], integer(random, 6)]),
            "executed_height": 3,
            "state_root": bytes(32),
        }
        given = pool | {"parent": encoded(notation.ORDER_COMMITMENT, before), "now_ms": integer(random, 6)}
        given |= {"l1_block": integer(random, 4), "sequencer_key": world.secret("sequencer")}
        transaction = encoded(notation.ENCRYPTED_TRANSACTION, new)
        answer = agreed("ordering", "make_receipt", transaction=transaction, **given)
        rules.add(answer.get("error", {}).get("rule"))
        if random.random() < 0.3:
            announced = world.successor(first, start_height=random.choice([5, 6]))
            given["announced"] = encoded(notation.KEY_SET, announced)
        answer = agreed("ordering", "make_commitment", executed_height=4, state_root=bytes(32), **given)
        rules.add(answer.get("error", {}).get("rule"))
    assert rules >= {None, "SEQ-9", "SEQ-10"}


@pytest.mark.parametrize(
    "policy", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_batches_are_chosen_alike(random, policy):
    """MEM-5, ORD-13, ORD-14."""
    of = world.genesis(policy_id=policy, batch_limit=3, gas_limit=21_000 * 6)
    chosen = set()
    for _ in range(40):
        pool = random_pool(random, of, live=random.randrange(12), in_flight=random.choice([0, 0, 1]))
        chosen.add(len(agreed("ordering", "select", **pool)["output"]["tx_ids"]))
    assert chosen == {0, 1, 2, 3}


def test_receipts_and_commitments_are_the_same_bytes(random):
    of = world.genesis()
    for _ in range(30):
        keys = {
            "start_height": 5,
            "start_round": integer(random, 4),
            "valid_until": random.choice([5, 6, 60, 2**64 - 1]),
        }
        pool = random_pool(random, of, live=random.randrange(6), **keys)
        given = pool | {"now_ms": integer(random, 6), "l1_block": integer(random, 4)}
        given["sequencer_key"] = world.secret("sequencer")
        transaction = encoded(notation.ENCRYPTED_TRANSACTION, random_envelope(random, of))
        made = agreed("ordering", "make_receipt", transaction=transaction, **given)
        if "output" in made:
            receipt = bytes.fromhex(made["output"]["receipt"][2:])
            shown = {"genesis": pool["genesis"], "key_set": pool["key_set"], "transaction": transaction}
            assert "output" in agreed("ordering", "check_receipt", receipt=receipt, **shown)
            agreed("ordering", "check_receipt", receipt=mutated(random, receipt), **shown)
        executed = random.randrange(5)
        made = agreed("ordering", "make_commitment", executed_height=executed, state_root=random.randbytes(32), **given)
        if "output" in made:
            commitment = bytes.fromhex(made["output"]["commitment"][2:])
            signer = agreed("ordering", "commitment_root", genesis=pool["genesis"], commitment=commitment)
            assert signer["output"]["signer"] == written(of["sequencer"])
            agreed("ordering", "commitment_root", genesis=pool["genesis"], commitment=mutated(random, commitment))


def test_transaction_of_a_key_without_rounds_that_has_ended_expires_txn_8():
    """TXN-8 and not SEQ-9, which speaks of rounds: the key set's last height is 4, the next is 5."""
    of = world.genesis()
    pool = random_pool(Random(1), of, start_height=5, valid_until=4)
    pool["accounts"] = [{"address": written(world.address("alice")), "nonce": "0", "balance": str(10**18)}]
    given = pool | {"now_ms": 0, "l1_block": 0, "sequencer_key": world.secret("sequencer")}
    transaction = encoded(notation.ENCRYPTED_TRANSACTION, envelopes.envelope(of))
    assert agreed("ordering", "make_receipt", transaction=transaction, **given)["error"]["rule"] == "TXN-8"


def test_receipt_is_stored_before_it_leaves():
    """SEQ-1: the effects of an admission, in the order in which they are performed."""
    of = world.genesis()
    pool = random_pool(Random(1), of)
    pool["accounts"] = [{"address": written(world.address("alice")), "nonce": "0", "balance": str(10**18)}]
    given = {name: written(value) for name, value in pool.items()}
    sequencer = Sequencer(
        terms=answers._terms(given),
        identity=Identity(world.secret("sequencer")),
        verifier=answers._AnyCiphertext(),
        state=answers._state(given),
        records=MemoryStore(),
    )
    data = encoded(notation.ENCRYPTED_TRANSACTION, envelopes.envelope(of))
    stored, receipt, _, sent = sequencer.submit(data, now_ms=0)
    assert isinstance(stored, Persist)
    assert stored.value == EncryptedTransaction.decode(data).encoded
    assert isinstance(receipt, Persist)
    assert isinstance(sent, Send)
    assert receipt.value == sent.message
