"""The page `proofs` against the production code, on proofs that networks of every scheme make, whole and damaged."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from encmempool.conformance import serve
from encmempool.ethereum import sign_transaction
from encmempool.identity import Identity
from encmempool.network.local import LocalNetwork, Plan, create_network, fresh_home
from encmempool.ordering import Policy
from encmempool.prover import prove
from encmempool.transactions import encrypt_transaction
from specs import build
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import deterministic
from threshold.schemes.registry import SCHEMES, load_scheme

Json = dict[str, Any]
GWEI = 10**9
SEED = 20_261_130
DAMAGED = 40


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def agreed(given: Json) -> Json:
    """What both answer; messages apart."""
    page, refused = build.load("proofs"), build.load("notation").Refused
    try:
        specs: Json = {"output": page.OPERATIONS["verify"](given)}
    except refused as error:
        specs = {"error": {"kind": error.kind, "rule": error.rule}}
    production = serve.answer("proofs", "verify", given, backend=DEFAULT_BACKEND)
    production.get("error", {}).pop("message", None)
    assert production == specs
    return specs


def proof_of(scheme: str, path: Path) -> Json:
    """Of the second of two transactions, in a network of its own, with a state after it."""
    random, people = deterministic(scheme.encode()), [Identity(bytes([at]) * 32) for at in (1, 2)]
    home, password = fresh_home(path)
    plan = Plan(
        members=4,
        threshold=3,
        policy=Policy.ARRIVAL,
        funded=tuple(person.address for person in people),
        batch_limit=4,
        rounds=3 if scheme == "fptx" else None,
        trusted_dealer=True,
        timestamp_ms=1,
    )
    committee = create_network(home, plan, load_scheme(scheme), password, random=random)
    network = LocalNetwork(home, password=lambda: password, random=random)
    for person in people:
        payload = sign_transaction(
            person.secret_bytes(),
            chain_id=committee.genesis.chain_id,
            nonce=0,
            to=b"\x77" * 20,
            value=5,
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
            valid_until=1,
            random=random,
        )
        network.submit(made.encoded)
    for _ in range(2):
        network.commit()
        network.reveal()
    proof = prove(network.follower, made.tx_id).file
    return {"proof": hexed(proof), "genesis_root": hexed(committee.genesis.root)}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_page_and_code_agree_on_real_proofs_and_damaged_ones(scheme, tmp_path) -> None:
    given = proof_of(scheme, tmp_path / "home")
    shown = agreed(given)["output"]
    assert (shown["height"], shown["position"], shown["outcomes"]) == ("1", "1", ["executed"])
    assert shown["state"]["nonce"] == "1"
    random, data = Random(f"{SEED} {scheme}"), bytes.fromhex(given["proof"][2:])
    for _ in range(4 if scheme == "ibe" else DAMAGED):  # the page's pairings take a second
        at = random.randrange(len(data))
        damaged = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        assert "error" in agreed(given | {"proof": hexed(damaged)}), at
