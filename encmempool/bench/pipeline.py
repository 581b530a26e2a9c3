"""The critical path from commitment to reveal: what one node does that is a member and combines.

In the clock: the sequencer orders, signs and stores; the member decodes and checks the proposal, stores it and its
vote, checks the certificate, makes and stores its share; it takes the shares of t-1 others with their signatures,
verifies and combines all t, decrypts, checks payloads, executes, computes the state root and stores the reveal. Real
SSZ, real SQLite with synchronous writes. Outside the clock: admission, whose checks are cached by transaction id as
gossip makes them, and the other members' shares, which are made elsewhere.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from encmempool.bench.machine import machine, versions
from encmempool.bench.stages import Stages
from encmempool.committee import Member
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.keysets import Committee, default_threshold
from encmempool.measure.market import Market, sign_order
from encmempool.network.local import Plan, create_network, fresh_home
from encmempool.ordering import Policy
from encmempool.reveal import Follower
from encmempool.sequencer import Sequencer
from encmempool.store import perform
from encmempool.transactions import encrypt_transaction
from encmempool.types import (
    EncryptedTransaction,
    OrderCertificate,
    Proposal,
    ShareRelease,
    SignedReceipt,
    SignedVote,
)
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import Random
from threshold.sansio import Send
from threshold.schemes.registry import load_scheme

CRITICAL_PATH = ("commit", "vote", "precompute", "share", "receive", "combine", "decrypt", "execute", "store")
PER_TRANSACTION = ("encrypt", "admit")


def run(
    *,
    scheme: str = "tdh2",
    members: int = 4,
    threshold: int | None = None,
    batch: int = 256,
    seed: int = 1,
    backend: str = DEFAULT_BACKEND,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """One batch through the pipeline: the object behind `encmempool bench pipeline --json`."""
    t = default_threshold(members) if threshold is None else threshold
    if not 1 <= batch <= 4096:
        raise ValueError(f"a batch holds 1 to 4096 transactions, not {batch}")
    stages, info = Stages(), load_scheme(scheme, backend).info
    with tempfile.TemporaryDirectory(prefix="encmempool-bench-") as folder:
        home, password = fresh_home(Path(folder))
        market = Market.draw(seed, batch)
        people = [Identity(entropy.system(32)) for _ in market.orders]
        plan = Plan(
            members=members,
            threshold=t,
            policy=Policy.ARRIVAL,
            funded=tuple(person.address for person in people),
            reduced_threshold=t < default_threshold(members),
            batch_limit=batch if info.limits_batch else None,
            rounds=1 if info.limits_rounds else None,
        )
        progress(f"key generation by {members} members")
        with stages("keygen"):
            committee = create_network(
                home, plan, load_scheme(scheme, backend), password, random=entropy.system, backend=backend
            )
        node = _Node(home, committee, password, stages)
        progress(f"encrypting and admitting {batch} transactions")
        payloads = [sign_order(order, person, nonce=0) for person, order in zip(people, market.orders, strict=True)]
        _encrypt(committee, people[0], payloads[0])  # tables of the key are built once
        with stages("encrypt"):
            envelopes = [_encrypt(committee, person, raw) for person, raw in zip(people, payloads, strict=True)]
        node.admit(envelopes)
        progress("commitment to reveal")
        outcomes = node.open_batch()
        report_transactions = sum(outcomes.values())
    seconds = sum(stages.ms(name) for name in CRITICAL_PATH) / 1e3
    return {
        "schema": "encmempool.bench-pipeline/1",
        "scheme": scheme,
        "members": members,
        "threshold": t,
        "batch": batch,
        "seed": seed,
        "backend": backend,
        "stages_ms": {name: round(stages.ms(name), 3) for name in ("keygen", *PER_TRANSACTION, *CRITICAL_PATH)},
        "per_transaction_ms": {name: round(stages.ms(name) / batch, 4) for name in (*PER_TRANSACTION, *CRITICAL_PATH)},
        "commitment_to_reveal_ms": round(seconds * 1e3, 3),
        "transactions_per_second": round(report_transactions / seconds, 1),
        "outcomes": outcomes,
        "machine": machine(),
        "versions": versions(),
    }


class _Node:
    """The sequencer, one member that combines, and the other members out of the clock."""

    def __init__(self, home: Home, committee: Committee, password: Password, stages: Stages) -> None:
        self._stages = stages
        self._committee = committee
        self._store = home.store("members/1")
        self._follower = Follower(committee, stage=stages)
        self._sequencer_store = home.store("sequencer")
        self._sequencer = Sequencer(
            terms=committee.terms,
            identity=home.identity("sequencer", password),
            verifier=committee,
            state=self._follower,
            records=self._sequencer_store,
        )
        chains = [self._follower.chain, *(Follower(committee).chain for _ in range(committee.key_set.t - 1))]
        self._members = [
            Member(
                index=index,
                chain=chain,
                identity=home.identity(f"members/{index}", password),
                key_share=home.key_share(index, password),
                records=home.store(f"members/{index}"),
                random=entropy.system,
            )
            for index, chain in enumerate(chains, 1)
        ]

    def admit(self, envelopes: list[EncryptedTransaction]) -> None:
        for envelope in envelopes:
            with self._stages("admit"):
                effects = self._sequencer.submit(envelope.encoded, now_ms=time.time_ns() // 1_000_000)
            (send,) = perform(effects, self._sequencer_store)
            for member in self._members:
                member.chain.prepare(EncryptedTransaction.decode(envelope.encoded))
                member.chain.prepare_receipt(SignedReceipt.decode(_message(send)))

    def open_batch(self) -> dict[str, int]:
        now_ms = time.time_ns() // 1_000_000
        with self._stages("commit"):
            (send,) = perform(self._sequencer.commit(now_ms=now_ms), self._sequencer_store)
            message = _message(send)
        first, *others = self._members
        with self._stages("vote"):
            (send,) = perform(first.vote(Proposal.decode(message), now_ms=now_ms), self._store)
        votes = [SignedVote.decode(_message(send))]
        for other in others:
            *_, send = other.vote(Proposal.decode(message), now_ms=now_ms)
            votes.append(SignedVote.decode(_message(send)))
        certificate = OrderCertificate(vote=votes[0].message, signatures=tuple(vote.signature for vote in votes))
        self._follower.precompute(certificate.vote.height)
        with self._stages("share"):
            sent = perform(first.release(certificate), self._store)
        releases = [_message(send) for send in (*sent, *(other.release(certificate)[-1] for other in others))]
        with self._stages("receive"):
            for release in releases:
                perform(self._follower.receive(ShareRelease.decode(release)), self._store)
        records, executed = self._follower.advance()
        with self._stages("execute"):
            _ = executed[0].state.root
        with self._stages("store"):
            perform(records, self._store)
        outcomes: dict[str, int] = {}
        for receipt in executed[0].receipts:
            outcomes[receipt.code] = outcomes.get(receipt.code, 0) + 1
        return outcomes


def _encrypt(
    committee: Committee, person: Identity, payload: bytes, random: Random = entropy.system
) -> EncryptedTransaction:
    return encrypt_transaction(
        payload,
        terms=committee.terms,
        scheme=committee.scheme,
        public_key=committee.public_key,
        identity=person,
        valid_until=1 if committee.terms.addresses_height else 1_000,
        random=random,
    )


def _message(effect: object) -> bytes:
    if not isinstance(effect, Send):
        raise TypeError(f"a message was expected, not {type(effect).__name__}")
    return effect.message
