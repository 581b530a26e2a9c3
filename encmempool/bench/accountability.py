"""How large evidence and proofs are, and how long checking takes: `encmempool bench accountability`.

A network in one process commits a batch, opens it, and commits once more, so that a state after the batch is named. Its
history is exported and audited, one transaction of it proven, and every kind of evidence is made with the keys of the
parties that it accuses.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from encmempool import audit, proof
from encmempool.bench.machine import machine, versions
from encmempool.bench.pipeline import encrypt
from encmempool.bench.sampling import sampled
from encmempool.evidence import (
    ConflictingCommitments,
    ConflictingReceipts,
    ConflictingShares,
    ConflictingSuccessors,
    ConflictingVotes,
    Evidence,
    Misbehaviour,
    ShareAfterSuccessor,
    ShareAndAbstention,
    WrongShare,
    examine,
)
from encmempool.exhibits import entry_of
from encmempool.faults import InvalidBatch, InvalidCommitment, InvalidEntry, RepeatedEntry
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.keysets import default_threshold
from encmempool.measure.market import Market, sign_order
from encmempool.network.local import LocalNetwork, Plan, create_network, fresh_home
from encmempool.ordering import Policy
from encmempool.prover import prove
from encmempool.ssz import SszObject
from encmempool.types import (
    MAX_BATCH,
    Abstain,
    BatchList,
    EncryptedTransaction,
    OrderCommitment,
    Proposal,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
    signing_digest,
)
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.schemes.registry import load_scheme

_HEIGHT = 1
_ROUNDS = 4


def run(
    *,
    schemes: Sequence[str],
    batches: Sequence[int],
    members: int = 4,
    seed: int = 1,
    backend: str = DEFAULT_BACKEND,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """The object behind `encmempool bench accountability --json`: a row for each scheme and batch size."""
    for batch in batches:
        if not 1 <= batch <= MAX_BATCH:
            raise ValueError(f"a batch holds 1 to {MAX_BATCH} transactions, not {batch}")
    rows = []
    for scheme in schemes:
        for batch in batches:
            progress(f"{scheme}, a batch of {batch}")
            rows.append(_row(scheme, batch, members, seed, backend))
    return {
        "members": members,
        "threshold": default_threshold(members),
        "seed": seed,
        "backend": backend,
        "rows": rows,
        "machine": machine(),
        "versions": versions(),
    }


def _row(scheme: str, batch: int, members: int, seed: int, backend: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="encmempool-bench-") as folder:
        home, password = fresh_home(Path(folder))
        network, transactions = _played(home, password, scheme, batch, members, seed, backend)
        history = audit.export(network)
        began = time.perf_counter()
        report = audit.verify(history, backend=backend)
        audit_s = time.perf_counter() - began
        shown = prove(network.follower, transactions[batch // 2].tx_id)
        root = network.committee.genesis.root
        checked = sampled(lambda: proof.verify(shown, genesis_root=root, backend=backend))
        return {
            "scheme": scheme,
            "batch": batch,
            "audit": {
                "bytes": len(history),
                "heights": report.heights,
                "transactions": report.transactions,
                "heights_per_second": _rounded(report.heights / audit_s),
                "transactions_per_second": _rounded(report.transactions / audit_s),
            },
            "proof": {"bytes": len(shown.file), "verify_ms": _rounded(checked.median * 1e3)},
            "evidence": {
                name: {"bytes": len(evidence.encoded), "verify_ms": _rounded(timing.median * 1e3)}
                for name, evidence, timing in _judged(_Accuser(home, password, network))
            },
        }


def _played(
    home: Home, password: Password, scheme: str, batch: int, members: int, seed: int, backend: str
) -> tuple[LocalNetwork, tuple[EncryptedTransaction, ...]]:
    """A network that has executed a batch, and a commitment above it."""
    loaded = load_scheme(scheme, backend)
    people = [Identity(entropy.system(32)) for _ in range(batch)]
    orders = Market.draw(seed, batch + 1).orders
    plan = Plan(
        members=members,
        threshold=default_threshold(members),
        policy=Policy.ARRIVAL,
        funded=tuple(person.address for person in people),
        batch_limit=batch,
        rounds=_ROUNDS if loaded.info.limits_rounds else None,
        trusted_dealer=True,  # nothing that is measured depends on how the key was made
    )
    committee = create_network(home, plan, loaded, password, random=entropy.system, backend=backend)
    network = LocalNetwork(home, password=lambda: password, backend=backend)

    def commit(sent: Sequence[tuple[Identity, bytes]], height: int) -> None:
        for person, payload in sent:
            network.submit(encrypt(committee, person, payload, height=height).encoded)
        network.commit()
        network.reveal()

    first = [(person, sign_order(order, person, nonce=0)) for person, order in zip(people, orders[:batch], strict=True)]
    commit(first, _HEIGHT)
    commit([(people[0], sign_order(orders[-1], people[0], nonce=1))], _HEIGHT + 1)
    return network, tuple(network.proposal(_HEIGHT).received)


def _judged(accuser: _Accuser) -> Iterator[tuple[str, Evidence, Any]]:
    committees = accuser.network.committees
    for misbehaviour in accuser.everything():
        evidence = Evidence.of(misbehaviour)
        finding = examine(evidence, committees)
        yield finding.kind.text, evidence, sampled(lambda shown=evidence: examine(shown, committees))  # type: ignore[misc]


class _Accuser:
    """Signs with the keys of those who are accused what they must not sign, at the height that was opened."""

    def __init__(self, home: Home, password: Password, network: LocalNetwork) -> None:
        self.network = network
        self._sequencer = home.identity("sequencer", password)
        self._member = home.identity("members/1", password)
        self._genesis_root = network.committee.genesis.root

    def _sign(self, signer: Identity, message: SszObject) -> bytes:
        return signer.sign(signing_digest(message, self._genesis_root))

    def _commitment(self, message: OrderCommitment) -> SignedCommitment:
        return SignedCommitment(message=message, signature=self._sign(self._sequencer, message))

    def everything(self) -> Iterator[Misbehaviour]:
        network, proposal = self.network, self.network.proposal(_HEIGHT)
        signed, commitment = proposal.commitment, proposal.commitment.message
        yield ConflictingCommitments(
            first=signed, second=self._commitment(replace(commitment, timestamp_ms=commitment.timestamp_ms + 1))
        )
        first, second = proposal.receipts[0], replace(proposal.receipts[0].message, tx_id=bytes(32))
        yield ConflictingReceipts(
            first=first, second=SignedReceipt(message=second, signature=self._sign(self._sequencer, second))
        )
        certificate = network.follower.certificate(_HEIGHT)
        if certificate is None:
            raise AssertionError("the height was executed")
        votes = (certificate.vote, replace(certificate.vote, commitment_root=bytes(32)))
        yield ConflictingVotes(
            **{
                place: SignedVote(message=vote, signature=self._sign(self._member, vote))
                for place, vote in zip(("first", "second"), votes, strict=True)
            }
        )
        yield from self._of_shares(proposal)
        yield from self._of_commitments(proposal)

    def _of_shares(self, proposal: Proposal) -> Iterator[Misbehaviour]:
        network, member = self.network, self._member
        share = next(share for share in network.follower.shares(_HEIGHT) if share.message.member == 1)
        other = replace(share.message, commitment_root=bytes(32))
        yield ConflictingShares(first=share, second=SignedShare(message=other, signature=self._sign(member, other)))
        transactions = tuple(transaction.unsigned for transaction in proposal.transactions)
        wrong = replace(share.message, data=share.message.data[:-1] + bytes([share.message.data[-1] ^ 1]))
        yield WrongShare(
            share=SignedShare(message=wrong, signature=self._sign(member, wrong)),
            commitment=proposal.commitment,
            transactions=transactions,
        )
        abstention = Abstain(committee_id=share.message.committee_id, height=_HEIGHT)
        yield ShareAndAbstention(
            share=share, abstention=SignedAbstain(message=abstention, signature=self._sign(member, abstention))
        )
        present = network.committee.key_set
        following = replace(present, predecessor=present.root, epoch=present.epoch + 1, start_height=_HEIGHT)
        successors = [
            SignedKeySet(message=key_set, signatures=(self._sign(member, key_set),))
            for key_set in (following, replace(following, start_height=_HEIGHT + 1))
        ]
        yield ConflictingSuccessors(first=successors[0], second=successors[1])
        yield ShareAfterSuccessor(successor=successors[0], share=share)

    def _of_commitments(self, proposal: Proposal) -> Iterator[Misbehaviour]:
        commitment, batch = proposal.commitment.message, proposal.transactions
        yield InvalidCommitment(commitment=self._commitment(replace(commitment, count=0)), parent=())
        yield InvalidEntry(
            commitment=self._commitment(replace(commitment, count=commitment.count + 1)),
            entries=(entry_of(batch, 0),),
            accounts=(),
        )
        twice = (*batch[:-1], batch[0]) if len(batch) > 1 else (*batch, *batch)
        repeated = replace(commitment, batch_root=_root(twice), count=len(twice))
        yield RepeatedEntry(
            commitment=self._commitment(repeated),
            ancestors=(),
            entry=entry_of(twice, len(twice) - 1),
            earlier=entry_of(twice, 0),
        )
        if len(batch) > 1:
            turned = batch[::-1]
            yield InvalidBatch(
                commitment=self._commitment(replace(commitment, batch_root=_root(turned))),
                parent=(),
                transactions=tuple(transaction.unsigned for transaction in turned),
                receipts=proposal.receipts[::-1],
                accounts=(),
            )


def _root(transactions: Sequence[EncryptedTransaction]) -> bytes:
    return BatchList(tx_ids=tuple(transaction.tx_id for transaction in transactions)).root


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
