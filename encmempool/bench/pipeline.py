"""The critical path from commitment to reveal: what one node does that is a member and combines.

In the clock: the sequencer orders, signs and stores; the member decodes and checks the proposal, stores it and its
vote, checks the certificate, makes and stores its share; it takes the shares of t-1 others with their signatures,
verifies and combines all t, decrypts, checks payloads, executes, computes the state root and stores the reveal. Real
SSZ, real SQLite with synchronous writes. Outside the clock: admission, whose checks are cached by transaction id as
gossip makes them; the other members' votes and shares, which are made elsewhere; and `tables`, a batch opened ahead so
that what is computed once for a key and the size of a batch is there.

Several batches run one after another on one network, whose mempool holds all of them from the start. They then run
once more, overlapped: on a second thread the next batch is prepared while one is opened. What counts there is the time
on the wall from the first commitment to the last reveal, and it stops only while the other members' part is made, when
nothing else runs.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encmempool.bench.cryptography import CRYPTOGRAPHY, DATABASE, Timers
from encmempool.bench.machine import machine, versions
from encmempool.bench.stages import Stages
from encmempool.committee import Chain, Member
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.keysets import Committee, default_threshold
from encmempool.measure.market import Market, sign_order
from encmempool.network.local import Plan, create_network, fresh_home
from encmempool.ordering import Policy
from encmempool.reveal import Follower, Stage, no_stage
from encmempool.sequencer import Sequencer
from encmempool.store import DatabaseStore, perform
from encmempool.transactions import encrypt_transaction
from encmempool.types import EncryptedTransaction, OrderCertificate, ShareRelease, SignedReceipt, SignedVote
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import Random
from threshold.sansio import Effect, Send
from threshold.schemes.base import Batch, VerifiedCiphertext
from threshold.schemes.registry import load_scheme

CRITICAL_PATH = ("commit", "vote", "precompute", "share", "receive", "combine", "decrypt", "execute", "store")
PER_TRANSACTION = ("encrypt", "admit")
ONCE = ("keygen", "tables")
MAX_BATCH = 4096
MAX_TRANSACTIONS = 1 << 16
"""As many accounts as a genesis funds: every transaction has a sender of its own."""


def run(
    *,
    scheme: str = "tdh2",
    members: int = 4,
    threshold: int | None = None,
    batch: int = 256,
    transactions: int | None = None,
    seed: int = 1,
    backend: str = DEFAULT_BACKEND,
    profile: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Batches through the pipeline: the object behind `encmempool bench pipeline --json`.

    transactions    in all; by default one batch. The last one may be smaller
    profile         tell cryptography from the rest, with timers that cost 0.3 µs a call, and do not run overlapped.
                    The shares mean something on one thread only
    """
    t = default_threshold(members) if threshold is None else threshold
    total = batch if transactions is None else transactions
    if not 1 <= batch <= MAX_BATCH:
        raise ValueError(f"a batch holds 1 to {MAX_BATCH} transactions, not {batch}")
    if not 1 <= total <= MAX_TRANSACTIONS:
        raise ValueError(f"1 to {MAX_TRANSACTIONS} transactions can be measured, not {total}")
    sizes = [min(batch, total - at) for at in range(0, total, batch)]
    stages, timers, info = Stages(), Timers(), load_scheme(scheme, backend).info
    with tempfile.TemporaryDirectory(prefix="encmempool-bench-") as folder:
        home, password = fresh_home(Path(folder))
        market = Market.draw(seed, total)
        people = [Identity(entropy.system(32)) for _ in market.orders]
        plan = Plan(
            members=members,
            threshold=t,
            policy=Policy.ARRIVAL,
            funded=tuple(person.address for person in people),
            reduced_threshold=t < default_threshold(members),
            batch_limit=batch,
            rounds=len(sizes) if info.limits_rounds else None,
        )
        progress(f"key generation by {members} members")
        with stages("keygen"):
            committee = create_network(
                home, plan, load_scheme(scheme, backend), password, random=entropy.system, backend=backend
            )
        if profile:
            committee = timers.committee(committee, backend)
        progress(f"encrypting {total} transactions")
        payloads = [sign_order(order, person, nonce=0) for person, order in zip(people, market.orders, strict=True)]
        encrypt(committee, people[0], payloads[0], height=1)  # tables of the key are built once
        with stages("encrypt"):
            envelopes = [
                encrypt(committee, person, raw, height=1 + at // batch)
                for at, (person, raw) in enumerate(zip(people, payloads, strict=True))
            ]
        progress("admitting them")
        node = _Node(home, committee, password, timers.within(stages) if profile else stages)
        verified = node.admit(envelopes)
        progress("commitment to reveal")
        with stages("tables"):
            node.open_ahead(verified, sizes)
        with timers.installed() if profile else nullcontext(), _settled():
            for _ in sizes:
                node.open_batch()
        outcomes, overlapped_s = node.outcomes, None
        del node, verified
        if len(sizes) > 1 and not profile:
            progress("once more, overlapped")
            # A committee of its own: the first one remembers what was prepared.
            again = _Node(home, replace(committee), password, no_stage, folder="overlapped")
            again.admit(envelopes)
            with _settled():
                overlapped_s = again.open_overlapped(len(sizes))
            if again.outcomes != outcomes:
                raise AssertionError("overlapped, the batches came to another end")
    seconds = sum(stages.ms(name) for name in CRITICAL_PATH) / 1e3
    return {
        "schema": "encmempool.bench-pipeline/1",
        "scheme": scheme,
        "members": members,
        "threshold": t,
        "batch": batch,
        "transactions": total,
        "seed": seed,
        "backend": backend,
        "stages_ms": {name: round(stages.ms(name), 3) for name in (*ONCE, *PER_TRANSACTION, *CRITICAL_PATH)},
        "per_transaction_ms": {name: round(stages.ms(name) / total, 4) for name in (*PER_TRANSACTION, *CRITICAL_PATH)},
        "commitment_to_reveal_ms": round(seconds * 1e3, 3),
        "transactions_per_second": round(total / seconds, 1),
        **({"transactions_per_second_overlapped": round(total / overlapped_s, 1)} if overlapped_s else {}),
        **(_shares(stages, timers) if profile else {}),
        "outcomes": dict(outcomes),
        "machine": machine(),
        "versions": versions(),
    }


def _shares(stages: Stages, timers: Timers) -> dict[str, Any]:
    """What of the critical path is cryptography, by kind, and what the rest is, by stage without the database."""

    def spent(*kinds: str, stages: Sequence[str] = CRITICAL_PATH) -> float:
        return sum(timers.ms(stage, kind) for stage in stages for kind in kinds)

    kinds = {kind: round(spent(kind), 3) for kind in CRYPTOGRAPHY}
    rest = {stage: stages.ms(stage) - spent(*CRYPTOGRAPHY, DATABASE, stages=[stage]) for stage in CRITICAL_PATH}
    return {
        "crypto_share": round(spent(*CRYPTOGRAPHY) / sum(stages.ms(stage) for stage in CRITICAL_PATH), 4),
        "crypto_ms": kinds,
        "rest_ms": {name: round(ms, 3) for name, ms in {DATABASE: spent(DATABASE), **rest}.items()},
    }


@contextmanager
def _settled() -> Iterator[None]:
    """Keep the collector of cyclic garbage off what was made before: the load and the other members are in there."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Certified:
    """A height with what the other members send for it: votes and shares."""

    certificate: OrderCertificate
    releases: Sequence[bytes]


class _Node:
    """The sequencer, one member that combines, and the other members out of the clock.

    folder    of the home, for the databases of this run
    """

    def __init__(
        self, home: Home, committee: Committee, password: Password, stages: Stage, *, folder: str = "pipeline"
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self._stages = stages
        self._committee = committee

        def store(role: str) -> DatabaseStore:
            return DatabaseStore.sqlite(home.path / folder / f"{role}.sqlite")

        self._store = store("member")
        self._follower = Follower(committee, stage=stages)
        _ = self._follower.latest.root  # the state's tree, as a node has it that is running
        self._sequencer_store = store("sequencer")
        self._sequencer = Sequencer(
            terms=committee.terms,
            identity=home.identity("sequencer", password),
            verifier=committee,
            state=self._follower,
            records=self._sequencer_store,
        )
        others = (Chain(committee, self._follower) for _ in range(committee.key_set.t - 1))
        chains = dict(enumerate((self._follower.chain, *others), 1))
        self._key_shares = [home.key_share(index, password) for index in chains]
        self._members = [
            Member(
                index=index,
                chain=chain,
                identity=home.identity(f"members/{index}", password),
                key_share=key_share,
                records=self._store,
                random=entropy.system,
            )
            for (index, chain), key_share in zip(chains.items(), self._key_shares, strict=True)
        ]

    def admit(self, envelopes: Sequence[EncryptedTransaction]) -> list[VerifiedCiphertext]:
        verified = []
        for envelope in envelopes:
            with self._stages("admit"):
                effects = self._sequencer.submit(envelope.encoded, now_ms=_now_ms())
            (send,) = perform(effects, self._sequencer_store)
            for member in self._members:
                known = member.chain.prepare(EncryptedTransaction.decode(envelope.encoded))
                member.chain.prepare_receipt(SignedReceipt.decode(_message(send)))
            verified.append(known)
        return verified

    def open_ahead(self, verified: Sequence[VerifiedCiphertext], sizes: Sequence[int]) -> None:
        """Open a batch of each size by the scheme alone, which then has its tables."""
        scheme, key = self._committee.scheme, self._committee.public_key
        for size in sorted(set(sizes)):
            batch = Batch(key_id=key.key_id, height=1, round=1, entries=tuple(verified[:size]))
            prepared = scheme.precompute(key, batch)
            shares = [scheme.partial_decrypt(key, own, batch, random=entropy.system) for own in self._key_shares]
            batch_key, _ = scheme.combine(key, batch, shares, prepared)
            scheme.decrypt(key, batch, batch_key, prepared)

    def open_batch(self) -> None:
        """One batch, one step after another."""
        proposal, vote = self._order()
        certified = self._certify(proposal, vote)
        self._follower.precompute(certified.certificate.vote.height)
        own = self._release(certified)
        self._reveal((*own, *certified.releases))

    def open_overlapped(self, batches: int) -> float:
        """Seconds on the wall for `batches`, the next one being prepared while one is opened.

        A height is committed and voted for when the one two below it is revealed."""
        clock = Stages()
        with ThreadPoolExecutor(1) as beside:
            with clock("wall"):
                ordered = self._order()
            waiting: list[bytes] = []
            for height in range(1, batches + 1):
                certified = self._certify(*ordered)
                with clock("wall"):
                    prepared = beside.submit(self._follower.precompute, height)
                    releases = [*self._release(certified), *certified.releases]
                    if waiting:
                        self._reveal(waiting)
                    if height < batches:
                        ordered = self._order()
                    prepared.result()
                waiting = releases
            with clock("wall"):
                self._reveal(waiting)
        return clock.ms("wall") / 1e3

    def _order(self) -> tuple[bytes, bytes]:
        """The next height's proposal and this member's vote."""
        now_ms = _now_ms()
        with self._stages("commit"):
            (send,) = perform(self._sequencer.commit(now_ms=now_ms), self._sequencer_store)
            proposal = _message(send)
        with self._stages("vote"):
            (send,) = perform(self._vote(self._members[0], proposal, now_ms), self._store)
        return proposal, _message(send)

    def _vote(self, member: Member, proposal: bytes, now_ms: int) -> Sequence[Effect]:
        return member.vote(member.chain.decode(proposal), now_ms=now_ms)

    def _certify(self, proposal: bytes, vote: bytes) -> _Certified:
        """The other members' part of a height."""
        others, votes = self._members[1:], [SignedVote.decode(vote)]
        for other in others:
            *_, send = self._vote(other, proposal, _now_ms())
            votes.append(SignedVote.decode(_message(send)))
        certificate = OrderCertificate(vote=votes[0].message, signatures=tuple(vote.signature for vote in votes))
        releases = [_message(other.release(certificate)[-1]) for other in others]
        return _Certified(certificate=certificate, releases=releases)

    def _release(self, certified: _Certified) -> list[bytes]:
        with self._stages("share"):
            return [_message(send) for send in perform(self._members[0].release(certified.certificate), self._store)]

    def _reveal(self, releases: Sequence[bytes]) -> None:
        with self._stages("receive"):
            records = [item for release in releases for item in self._follower.receive(ShareRelease.decode(release))]
            perform(records, self._store)
        revealed, (executed,) = self._follower.advance()
        with self._stages("store"):
            perform(revealed, self._store)
        self.outcomes.update(receipt.code for receipt in executed.receipts)


def encrypt(
    committee: Committee, person: Identity, payload: bytes, *, height: int, random: Random = entropy.system
) -> EncryptedTransaction:
    """`height` counts where the scheme addresses one; else it may be any of the first thousand."""
    return encrypt_transaction(
        payload,
        terms=committee.terms,
        scheme=committee.scheme,
        public_key=committee.public_key,
        identity=person,
        valid_until=height if committee.terms.addresses_height else 1_000,
        random=random,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _message(effect: object) -> bytes:
    if not isinstance(effect, Send):
        raise TypeError(f"a message was expected, not {type(effect).__name__}")
    return effect.message
