"""Accountability under an adversarial scheduler: real roles in any order, some of them dishonest with their real keys.

When a story ends, everything that anybody signed is put together in every way that the kinds of evidence allow, as an
accuser would. Nobody honest is convicted, every misbehaviour is, and no byte of evidence can be changed.

Holds EVD-1 to EVD-5, EVD-7 to EVD-9, EVD-16 and EVD-17 of specs/evidence.md.
"""

from __future__ import annotations

import hashlib
import random as seeded
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from encmempool import genesis as development
from encmempool.accusations import accusations
from encmempool.committee import Ballot, Member, vote_for
from encmempool.errors import Conflict, Malformed, Rejected
from encmempool.ethereum import sign_transaction
from encmempool.evidence import (
    ConflictingCommitments,
    ConflictingReceipts,
    ConflictingShares,
    ConflictingSuccessors,
    ConflictingVotes,
    Evidence,
    Finding,
    Misbehaviour,
    ShareAfterSuccessor,
    ShareAndAbstention,
    WrongShare,
    examine,
)
from encmempool.exhibits import accounts_of, entry_of
from encmempool.faults import InvalidBatch, InvalidCommitment, InvalidEntry, RepeatedEntry
from encmempool.identity import Identity
from encmempool.keysets import TRUSTED_DEALER, Committee, first_key_set, sign_key_set
from encmempool.network.local import Plan, development_genesis
from encmempool.ordering import Policy
from encmempool.reveal import Follower
from encmempool.sequencer import Sequencer
from encmempool.store import MemoryStore, perform
from encmempool.transactions import encrypt_transaction
from encmempool.types import (
    ZERO_HASH,
    Abstain,
    BatchList,
    DecryptionShare,
    KeySet,
    OrderCommitment,
    Proposal,
    Receipt,
    ShareRelease,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
    Vote,
    signing_digest,
)
from threshold.entropy import deterministic
from threshold.keys import Limits
from threshold.schemes.registry import load_scheme

START_MS = 1_700_000_000_000
MEMBERS = (1, 2, 3, 4)
LIAR = 4
MOST_HEIGHTS = 5
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
SIGNED = {
    OrderCommitment: SignedCommitment,
    Receipt: SignedReceipt,
    DecryptionShare: SignedShare,
    Abstain: SignedAbstain,
    Vote: SignedVote,
}


def identity(name: str) -> Identity:
    return Identity(hashlib.sha256(f"encmempool accountability {name}".encode()).digest())


PEOPLE = tuple(identity(f"person {at}") for at in range(3))
SEQUENCER = identity("sequencer")
IDENTITIES = tuple(identity(f"member {index}") for index in MEMBERS)

LIAR_IDENTITY = IDENTITIES[LIAR - 1]
NONSENSE: tuple[dict[str, Any], ...] = (
    {"policy_id": 3},
    {"key_id": ZERO_HASH},
    {"timestamp_ms": START_MS - 1},
    {"executed_height": 99},
    {"count": 5},
)


@cache
def dealt() -> tuple[Committee, tuple[Any, ...]]:
    scheme = load_scheme("clear")
    plan = Plan(
        members=4,
        threshold=3,
        policy=Policy.ARRIVAL,
        funded=tuple(person.address for person in PEOPLE),
        timestamp_ms=START_MS,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(development, "BATCH_LIMIT", 4)
        genesis = development_genesis(plan, sequencer=SEQUENCER.address, members=[i.address for i in IDENTITIES])
    public, shares = scheme.deal(n=4, t=3, limits=Limits(), random=deterministic(b"accountability"))
    key_set = first_key_set(genesis, public, setup_kind=TRUSTED_DEALER, setup_privacy=0)
    digest = signing_digest(key_set, genesis.root)
    signed = sign_key_set(key_set, [member.sign(digest) for member in IDENTITIES])
    return Committee.load(genesis, signed), tuple(shares)


class Accountability(RuleBasedStateMachine):
    """Everything signed is public. `guilty` has the kind and address of what dishonest parties did."""

    def __init__(self) -> None:
        super().__init__()
        self.committee, self.shares = dealt()
        self.now_ms = START_MS
        self.stores = {role: MemoryStore() for role in ("sequencer", "archive", *MEMBERS)}
        self.followers: dict[Any, Follower] = {}
        self.members: dict[int, Member] = {}
        for role in ("archive", *MEMBERS):
            self.restart_role(role)
        self.proposals: list[Proposal] = []
        self.signed: dict[type, list[Any]] = {}
        self.certificates: dict[bytes, Any] = {}
        self.ballot = Ballot(self.committee)
        self.nonces = dict.fromkeys(PEOPLE, 0)
        self.guilty: set[tuple[str, bytes]] = set()

    @initialize(dishonest=st.sampled_from([("sequencer", "member"), ("member",), ("sequencer",), ()]))
    def choose(self, dishonest: tuple[str, ...]) -> None:
        addresses = {"sequencer": SEQUENCER.address, "member": LIAR_IDENTITY.address}
        self.dishonest = {addresses[who] for who in dishonest}
        self.whole_height(PEOPLE[:2])
        self.submit(PEOPLE[2])
        self.commit()

    @property
    def lying_sequencer(self) -> bool:
        return SEQUENCER.address in self.dishonest

    @property
    def lying_member(self) -> bool:
        return LIAR_IDENTITY.address in self.dishonest

    # --- what honest parties do

    def restart_role(self, role: Any) -> None:
        store = self.stores[role]
        self.followers[role] = follower = Follower(self.committee, records=store)
        if role == "archive":
            self.sequencer = Sequencer(
                terms=self.committee.terms,
                identity=SEQUENCER,
                verifier=self.committee,
                state=follower,
                records=self.stores["sequencer"],
            )
        else:
            self.members[role] = Member(
                index=role,
                chain=follower.chain,
                identity=IDENTITIES[role - 1],
                key_share=self.shares[role - 1],
                records=store,
                random=deterministic(b"member"),
            )

    @rule(role=st.sampled_from(["archive", *MEMBERS]))
    def restart(self, role: Any) -> None:
        self.restart_role(role)

    @precondition(lambda self: self.sequencer.height < MOST_HEIGHTS)
    @rule(senders=st.lists(st.sampled_from(PEOPLE), max_size=2))
    def whole_height(self, senders: Sequence[Identity]) -> None:
        """What happens most of the time."""
        for who in senders:
            self.submit(who)
        self.commit()
        self.all_vote(len(self.proposals) - 1)
        self.all_release_and_execute()

    @rule(who=st.sampled_from(PEOPLE))
    def submit(self, who: Identity) -> None:
        payload = sign_transaction(
            who.secret_bytes(),
            chain_id=self.committee.genesis.chain_id,
            nonce=self.nonces[who],
            to=b"\x77" * 20,
            value=1,
            data=b"",
            gas_limit=21_000,
            max_fee_per_gas=30 * 10**9,
            max_priority_fee_per_gas=10**9,
        )
        envelope = encrypt_transaction(
            payload,
            terms=self.committee.terms,
            scheme=self.committee.scheme,
            public_key=self.committee.public_key,
            identity=who,
            valid_until=100,
            random=deterministic(payload),
        )
        (send,) = perform(self.sequencer.submit(envelope.encoded, now_ms=self.tick()), self.stores["sequencer"])
        self.nonces[who] += 1
        self.publish(SignedReceipt.decode(send.message))

    def tick(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def publish(self, signed: Any) -> None:
        self.signed.setdefault(type(signed), []).append(signed)

    @precondition(lambda self: self.sequencer.height < MOST_HEIGHTS)
    @rule()
    def commit(self) -> None:
        with suppress(Rejected):
            (send,) = perform(self.sequencer.commit(now_ms=self.tick()), self.stores["sequencer"])
            self.propose(Proposal.decode(send.message))

    def propose(self, proposal: Proposal) -> None:
        self.proposals.append(proposal)
        self.publish(proposal.commitment)
        with suppress(Malformed, Rejected):
            perform(self.followers["archive"].propose(proposal), self.stores["archive"])

    @precondition(lambda self: self.proposals)
    @rule(role=st.sampled_from(MEMBERS), which=st.integers(0, 99))
    def vote(self, role: int, which: int) -> None:
        proposal = self.proposals[which % len(self.proposals)]
        with suppress(Malformed, Rejected, Conflict):
            for send in perform(self.members[role].vote(proposal, now_ms=self.now_ms), self.stores[role]):
                self.count(SignedVote.decode(send.message))

    @precondition(lambda self: self.proposals)
    @rule(which=st.integers(0, 99))
    def all_vote(self, which: int) -> None:
        for role in MEMBERS:
            self.vote(role, which)

    def count(self, vote: SignedVote) -> None:
        self.publish(vote)
        with suppress(Rejected):
            certificate = self.ballot.add(vote)
            if certificate is not None:
                self.certificates[vote.message.commitment_root] = certificate

    @precondition(lambda self: self.certificates)
    @rule(role=st.sampled_from(MEMBERS), which=st.integers(0, 99))
    def release(self, role: int, which: int) -> None:
        certificate = list(self.certificates.values())[which % len(self.certificates)]
        with suppress(Malformed, Rejected, Conflict):
            for send in perform(self.members[role].release(certificate), self.stores[role]):
                release = ShareRelease.decode(send.message)
                self.publish(release.share)
                self.hand_on(release)

    def hand_on(self, release: ShareRelease) -> None:
        for role, follower in self.followers.items():
            with suppress(Malformed, Rejected):
                perform(follower.receive(release), self.stores[role])

    @rule()
    def all_release_and_execute(self) -> None:
        for role, which in product(MEMBERS, range(len(self.certificates))):
            self.release(role, which)
        for role, follower in self.followers.items():
            for certificate in self.certificates.values():
                with suppress(Malformed, Rejected):
                    perform(follower.certify(certificate), self.stores[role])
            with suppress(Rejected):
                records, _ = follower.advance()
                perform(records, self.stores[role])

    @rule(role=st.sampled_from(MEMBERS), height=st.integers(1, MOST_HEIGHTS))
    def abstain(self, role: int, height: int) -> None:
        with suppress(Rejected, Conflict):
            for send in perform(self.members[role].abstain(height), self.stores[role]):
                self.publish(SignedAbstain.decode(send.message))

    @rule(role=st.sampled_from(MEMBERS), start=st.integers(2, MOST_HEIGHTS), other=st.booleans())
    def sign_successor(self, role: int, start: int, other: bool) -> None:
        with suppress(Rejected, Conflict):
            effects = self.members[role].sign_successor(self.successor(start, other))
            for send in perform(effects, self.stores[role]):
                self.publish(SignedKeySet.decode(send.message))

    def successor(self, start: int, other: bool) -> Any:
        return replace(
            self.committee.key_set,
            predecessor=self.committee.committee_id,
            epoch=2,
            key_id=b"\x02" * 32,
            encryption_key=b"other" if other else b"one",
            start_height=start,
            start_parent=ZERO_HASH,
        )

    # --- what dishonest ones do

    def sign(self, signer: Identity, message: Any) -> Any:
        signature = signer.sign(signing_digest(message, self.committee.genesis.root))
        if isinstance(message, KeySet):
            return sign_key_set(message, [signature])
        return SIGNED[type(message)](message=message, signature=signature)

    @precondition(lambda self: self.lying_sequencer)
    @rule(deed=st.sampled_from(["equivocate", "promise", "nonsense", "entries"]), data=st.data())
    def cheat(self, deed: str, data: Any) -> None:
        """One rule for all deeds, so that each story has its share of them."""
        match deed:
            case "equivocate":
                self.equivocate(data.draw(st.sampled_from(self.proposals)))
            case "promise":
                self.promise_twice()
            case "nonsense":
                self.commit_to_nonsense(data.draw(st.sampled_from(NONSENSE)))
            case "entries":
                self.commit_to_bad_entries(data.draw(st.sampled_from(["key_id", "gas_limit", "valid_until", "twice"])))

    def equivocate(self, proposal: Proposal) -> None:
        message = replace(proposal.commitment.message, timestamp_ms=self.tick())
        self.propose(replace(proposal, commitment=self.sign(SEQUENCER, message)))
        self.guilty.add(("conflicting_commitments", SEQUENCER.address))

    def promise_twice(self) -> None:
        message = replace(self.signed[SignedReceipt][-1].message, received_at_ms=self.tick())
        self.publish(self.sign(SEQUENCER, message))
        self.guilty.add(("conflicting_receipts", SEQUENCER.address))

    def commit_to_nonsense(self, changes: dict[str, Any]) -> None:
        honest = self.proposals[-1]
        message = replace(honest.commitment.message, **changes)
        self.propose(replace(honest, commitment=self.sign(SEQUENCER, message)))
        self.guilty.add(("invalid_commitment", SEQUENCER.address))

    def commit_to_bad_entries(self, fault: str) -> None:
        honest = next(p for p in self.proposals if p.transactions)
        first, broken = honest.transactions[0], {"key_id": ZERO_HASH, "gas_limit": 1, "valid_until": 0}
        header = replace(first.header, **({fault: broken[fault]} if fault in broken else {}))
        batch = (replace(first, header=header), *honest.transactions[1:]) + ((first,) if fault == "twice" else ())
        root = BatchList(tx_ids=tuple(t.tx_id for t in batch)).root
        message = replace(honest.commitment.message, batch_root=root, count=len(batch))
        self.propose(replace(honest, transactions=batch, commitment=self.sign(SEQUENCER, message)))
        kind = "repeated_entry" if fault == "twice" else "invalid_entry"
        self.guilty.add((kind, SEQUENCER.address))

    @precondition(lambda self: self.lying_member)
    @rule(deed=st.sampled_from(["vote", "share", "wrong share", "abstain", "succeed"]), data=st.data())
    def lie(self, deed: str, data: Any) -> None:
        proposal = data.draw(st.sampled_from(self.proposals))
        match deed:
            case "vote":
                self.vote_for_two(vote_for(proposal.commitment.message))
            case "share":
                self.share_for_two(vote_for(proposal.commitment.message))
            case "wrong share":
                self.share_wrongly(next(p for p in self.proposals if p.transactions))
            case "abstain":
                self.abstain_after_a_share(vote_for(proposal.commitment.message))
            case "succeed":
                self.sign_two_successors(data.draw(st.integers(2, MOST_HEIGHTS)))

    def vote_for_two(self, vote: Vote) -> None:
        """One of them for what nobody has seen."""
        for root in (vote.commitment_root, ZERO_HASH):
            message = replace(vote, commitment_root=root)
            self.count(self.sign(LIAR_IDENTITY, message))
        self.guilty.add(("conflicting_votes", LIAR_IDENTITY.address))

    def share_for_two(self, vote: Vote) -> None:
        for root in (vote.commitment_root, ZERO_HASH):
            self.share(replace(vote, commitment_root=root))
        self.guilty.add(("conflicting_shares", LIAR_IDENTITY.address))

    def share_wrongly(self, proposal: Proposal) -> None:
        release = self.share(vote_for(proposal.commitment.message), data=b"wrong")
        certificate = self.certificates.get(proposal.commitment.message.root)
        if certificate is not None:
            self.hand_on(ShareRelease(share=release, certificate=certificate))
        self.guilty.add(("wrong_share", LIAR_IDENTITY.address))

    def abstain_after_a_share(self, vote: Vote) -> None:
        self.share(vote)
        self.publish(self.sign(LIAR_IDENTITY, Abstain(committee_id=vote.committee_id, height=vote.height)))
        self.guilty.add(("share_and_abstention", LIAR_IDENTITY.address))

    def sign_two_successors(self, start: int) -> None:
        for other in (False, True):
            self.publish(self.sign(LIAR_IDENTITY, self.successor(start, other)))
        self.guilty.add(("conflicting_successors", LIAR_IDENTITY.address))
        self.share(replace(vote_for(self.proposals[0].commitment.message), height=start))
        self.guilty.add(("share_after_successor", LIAR_IDENTITY.address))

    def share(self, vote: Vote, data: bytes = b"") -> SignedShare:
        message = DecryptionShare(
            committee_id=vote.committee_id,
            height=vote.height,
            round=vote.round,
            commitment_root=vote.commitment_root,
            member=LIAR,
            data=data,
        )
        signed: SignedShare = self.sign(LIAR_IDENTITY, message)
        self.publish(signed)
        return signed

    # --- what an accuser makes of it

    def teardown(self) -> None:
        found: dict[tuple[str, bytes], tuple[Evidence, Finding]] = {}
        for shown in self.every_accusation():
            evidence = Evidence.of(shown)
            with suppress(Malformed, Rejected):
                finding = examine(evidence, [self.committee])
                assert finding.offender in self.dishonest, finding
                found.setdefault((finding.kind.text, finding.offender), (evidence, finding))
        assert self.guilty <= found.keys(), self.guilty - found.keys()
        for evidence, finding in found.values():
            self.tamper(evidence, finding)

    def tamper(self, evidence: Evidence, finding: Finding) -> None:
        data = evidence.encoded
        assert examine(Evidence.decode(data), [self.committee]) == finding
        chance = seeded.Random(data)
        for _ in range(12):
            at = chance.randrange(len(data))
            changed = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
            with pytest.raises((Malformed, Rejected)):
                examine(Evidence.decode(changed), [self.committee])

    def every_accusation(self) -> Iterator[Misbehaviour]:
        yield from self.pairs()
        yield from self.invalid()

    def pairs(self) -> Iterator[Misbehaviour]:
        kinds = (
            (SignedCommitment, ConflictingCommitments),
            (SignedReceipt, ConflictingReceipts),
            (SignedVote, ConflictingVotes),
            (SignedShare, ConflictingShares),
            (SignedKeySet, ConflictingSuccessors),
        )
        for signed, kind in kinds:
            distinct = {one.encoded: one for one in self.signed.get(signed, [])}.values()
            for first, second in combinations(distinct, 2):
                yield kind(first=first, second=second)
        for share in self.signed.get(SignedShare, []):
            for abstention in self.signed.get(SignedAbstain, []):
                yield ShareAndAbstention(share=share, abstention=abstention)
            for successor in self.signed.get(SignedKeySet, []):
                yield ShareAfterSuccessor(successor=successor, share=share)
            for proposal in self.proposals:
                transactions = tuple(t.unsigned for t in proposal.transactions)
                yield WrongShare(share=share, commitment=proposal.commitment, transactions=transactions)

    def invalid(self) -> Iterator[Misbehaviour]:
        """What a node would look for, and every part of one proposal beside every other's commitment."""
        follower = self.followers["archive"]
        for proposal in self.proposals:
            state = follower.state_at(proposal.commitment.message.executed_height)
            yield from accusations(proposal, self.committee, follower.chain, state)
        for one, other in product(self.proposals, self.proposals):
            signed, message = one.commitment, other.commitment.message
            transactions = tuple(t.unsigned for t in other.transactions)
            yield InvalidCommitment(commitment=signed, parent=(message,))
            for receipts in ((), other.receipts, other.receipts[::-1]):
                yield InvalidBatch(
                    commitment=signed, parent=(), transactions=transactions, receipts=receipts, accounts=()
                )
            for at in range(len(transactions)):
                entry = entry_of(transactions, at)
                yield InvalidEntry(commitment=signed, entries=(entry,), accounts=())
                if (state := follower.state_at(message.executed_height)) is not None:
                    shown = accounts_of(state, transactions[at].header.sender)
                    yield InvalidEntry(commitment=signed, entries=(entry,), accounts=shown)
                for earlier in (entry_of(transactions, before) for before in range(len(transactions))):
                    yield RepeatedEntry(commitment=signed, ancestors=(), entry=entry, earlier=earlier)
                    yield RepeatedEntry(commitment=signed, ancestors=(message,), entry=entry, earlier=earlier)


Accountability.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
TestAccountability = Accountability.TestCase
