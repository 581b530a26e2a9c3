"""One honest member against everyone else: no two different batches get its share in one round, or in one height.

The sequencer and the three other members belong to the adversary. It certifies whatever it likes, hands the key to
committees of its choice, starts them where it likes, and makes the member fall dead before any write. What the member
publishes is collected over all its lives (SHR-2, KEY-10).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from encmempool.committee import Chain, Member, vote_for
from encmempool.errors import Conflict, Malformed, Rejected
from encmempool.ethereum import sign_transaction
from encmempool.identity import Identity
from encmempool.keysets import (
    TRUSTED_DEALER,
    Committee,
    first_key_set,
    sign_key_set,
    successor_key_set,
)
from encmempool.network.local import Plan, development_genesis
from encmempool.ordering import Policy
from encmempool.reveal import CERTIFICATE, Follower
from encmempool.store import MemoryStore, perform
from encmempool.transactions import encrypt_transaction
from encmempool.types import (
    ZERO_HASH,
    BatchList,
    OrderCertificate,
    OrderCommitment,
    Proposal,
    Receipt,
    ShareRelease,
    SignedCommitment,
    SignedReceipt,
    signing_digest,
)
from threshold.entropy import deterministic
from threshold.keys import Limits
from threshold.sansio import Persist
from threshold.schemes.registry import load_scheme

PHASES = (Phase.explicit, Phase.generate, Phase.target, Phase.shrink)
VICTIM = 1
KEYS, ROUNDS, PEOPLE = 2, 3, 12
START_MS = 1_700_000_000_000


def named_identity(name: str) -> Identity:
    return Identity(hashlib.sha256(f"encmempool rounds {name}".encode()).digest())


SEQUENCER = named_identity("sequencer")
MEMBERS = tuple(named_identity(f"member {index}") for index in range(1, 5))
SENDERS = tuple(named_identity(f"person {at}") for at in range(PEOPLE))


@cache
def genesis():
    funded = tuple(sender.address for sender in SENDERS)
    plan = Plan(members=4, threshold=3, policy=Policy.ARRIVAL, funded=funded, batch_limit=2, timestamp_ms=START_MS)
    return development_genesis(plan, sequencer=SEQUENCER.address, members=[m.address for m in MEMBERS])


@cache
def dealt(scheme, number):
    """A key of the scheme with the shares of four members."""
    loaded = load_scheme(scheme)
    limits = Limits(batch=2, rounds=ROUNDS) if loaded.info.limits_rounds else Limits()
    return loaded.deal(n=4, t=3, limits=limits, random=deterministic(b"key %d" % number))


def sign(identity, message):
    return identity.sign(signing_digest(message, genesis().root))


def signed_key_set(key_set, signers=MEMBERS):
    return sign_key_set(key_set, [sign(signer, key_set) for signer in signers])


@cache
def first_committee(scheme):
    public, _ = dealt(scheme, 0)
    rounds = ROUNDS if load_scheme(scheme).info.limits_rounds else 0
    key_set = first_key_set(genesis(), public, setup_kind=TRUSTED_DEALER, setup_privacy=0, rounds=rounds)
    return Committee.load(genesis(), signed_key_set(key_set), public.parameters)


@cache
def transaction(scheme, number, person):
    """A person's first transaction to a key: a sender is committed once, since nothing is executed here."""
    public, _ = dealt(scheme, number)
    committee = first_committee(scheme)
    key_id = public.key_id(genesis().root)
    loaded = committee.scheme
    terms = replace(committee.terms, key_set=replace(committee.key_set, key_id=key_id))
    payload = sign_transaction(
        SENDERS[person].secret_bytes(),
        chain_id=genesis().chain_id,
        nonce=0,
        to=b"\x77" * 20,
        value=1,
        data=b"",
        gas_limit=21_000,
        max_fee_per_gas=30 * 10**9,
        max_priority_fee_per_gas=10**9,
    )
    return encrypt_transaction(
        payload,
        terms=terms,
        scheme=loaded,
        public_key=loaded.load_public_key(public, key_id=key_id),
        identity=SENDERS[person],
        valid_until=1000,
        random=deterministic(b"%d %d" % (number, person)),
    )


@cache
def receipt(tx_id, person):
    message = Receipt(
        tx_id=tx_id,
        sequence=person,
        received_at_ms=START_MS,
        include_by_height=16,
        include_by_l1_block=64,
        reveal_by_l1_block=128,
    )
    return SignedReceipt(message=message, signature=sign(SEQUENCER, message))


class Dead(Exception):
    """The member's process ended."""


@pytest.fixture(autouse=True, scope="module")
def everything_is_executed():
    """The guards of rounds are looked at alone: nothing is kept back because a height below is not executed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Chain, "executed_height", property(lambda self: self.next_height - 1))
        yield


class Story:
    """The member with its store, and what the adversary knows: the proposals it made, by height."""

    def __init__(self, scheme):
        self.scheme = scheme
        self.store = MemoryStore()
        self.committees = [first_committee(scheme)]
        self.numbers = [0]
        self.proposals: dict[int, list[Proposal]] = {}
        self.published: dict[tuple[bytes, str, int], set[bytes]] = {}
        self.signed: dict[bytes, set[bytes]] = {}
        self.shares = 0
        self.clock = START_MS
        self.restart()

    def restart(self):
        first, *others = self.committees
        self.follower = Follower(first, successors=others, records=self.store)
        self.members = [self.member(at) for at in range(len(self.committees))]

    def member(self, at):
        _, shares = dealt(self.scheme, self.numbers[at])
        return Member(
            index=VICTIM,
            chain=self.follower.chain,
            committee=self.committees[at],
            identity=MEMBERS[VICTIM - 1],
            key_share=shares[VICTIM - 1],
            records=self.store,
            random=deterministic(b"victim"),
        )

    def perform(self, effects, crash):
        """With `crash`, the member dies before that many records are written; what leaves is what is noted."""
        records = [effect for effect in effects if isinstance(effect, Persist)]
        if crash is not None and crash <= len(records):
            self.store.put(records[:crash])
            raise Dead
        return perform(effects, self.store)

    def attempt(self, action, *arguments):
        try:
            action(*arguments)
        except (Rejected, Malformed):
            pass
        except (Conflict, Dead):
            self.restart()

    # what the adversary does

    def propose(self, height_shift, people, round_shift, at):
        """A commitment for a height near the victim's next one, under one of the committees."""
        committee, number = self.committees[at % len(self.committees)], self.numbers[at % len(self.committees)]
        height = max(1, self.follower.chain.next_height + height_shift)
        before = self.follower.chain.at(height - 1)
        key_set = committee.key_set
        starts = height == key_set.start_height or before is None
        round_before = key_set.start_round if starts else before.commitment.round
        transactions = tuple(transaction(self.scheme, number, person) for person in sorted(people))
        state = self.follower.latest
        self.clock += 1
        message = OrderCommitment(
            height=height,
            parent=before.commitment.root if before else key_set.start_parent,
            committee_id=committee.committee_id,
            key_id=key_set.key_id,
            round=max(0, round_before + bool(transactions) + round_shift),
            batch_root=BatchList(tx_ids=tuple(t.tx_id for t in transactions)).root,
            count=len(transactions),
            policy_id=key_set.policy_id,
            l1_block=0,
            inbox_index=0,
            timestamp_ms=self.clock,
            executed_height=state.height,
            state_root=state.root,
        )
        proposal = Proposal(
            commitment=SignedCommitment(message=message, signature=sign(SEQUENCER, message)),
            transactions=transactions,
            receipts=tuple(receipt(t.tx_id, p) for t, p in zip(transactions, sorted(people), strict=True)),
        )
        self.proposals.setdefault(height, []).append(proposal)

    def pick(self, height_shift, which):
        height = max(1, self.follower.chain.next_height + height_shift)
        known = self.proposals.get(height, [])
        return known[which % len(known)] if known else None

    def vote(self, height_shift, which, at, crash):
        proposal = self.pick(height_shift, which)
        if proposal is not None:
            member = self.members[at % len(self.members)]
            self.perform(member.vote(proposal, now_ms=self.clock), crash)

    def follow_and_release(self, height_shift, which, at, crash):
        """Everyone else certifies it; the victim takes that in place of what it saw, and is asked for its share."""
        proposal = self.pick(height_shift, which)
        if proposal is None:
            return
        vote = vote_for(proposal.commitment.message)
        certificate = OrderCertificate(vote=vote, signatures=tuple(sign(m, vote) for m in MEMBERS[1:]))
        # Its follower forgets what was certified before: only the member's own guards are left.
        self.follower._certificates.pop(vote.height, None)
        self.follower.chain.certified = vote.height - 1
        effects = self.follower.follow(proposal, certificate)
        self.perform([effect for effect in effects if effect.kind != CERTIFICATE], None)
        for send in self.perform(self.members[at % len(self.members)].release(certificate), crash):
            self.note(ShareRelease.decode(send.message))

    def decide(self, height_shift, people, at, crash):
        """A sound commitment in place of what the victim has at that height, pushed through to the share."""
        self.propose(height_shift, people, 0, at)
        self.follow_and_release(height_shift, -1, at, crash)

    def abstain(self, height_shift, at, crash):
        height = max(1, self.follower.chain.next_height + height_shift)
        self.perform(self.members[at % len(self.members)].abstain(height), crash)

    def rotate(self, same_key, start_shift, round_shift, asks_victim, completes, crash):
        """A successor that three others sign, wherever it starts. The victim may be asked, and may refuse."""
        newest, height = self.committees[-1], max(1, self.follower.chain.next_height + start_shift)
        number = self.numbers[-1] if same_key else (self.numbers[-1] + 1) % KEYS
        public, _ = dealt(self.scheme, number)
        before = self.follower.chain.at(height - 1)
        parent, round = (before.commitment.root, before.commitment.round) if before else (ZERO_HASH, 0)
        key_set = successor_key_set(
            newest.key_set,
            public,
            members=[member.address for member in MEMBERS],
            start=(height, parent if same_key else ZERO_HASH, max(0, round + round_shift) if same_key else 0),
            setup_kind=TRUSTED_DEALER,
            setup_privacy=0,
            batch_limit=2,
            rounds=newest.key_set.rounds,
        )
        if asks_victim:
            for send in self.perform(self.members[-1].sign_successor(key_set), crash):
                self.signed.setdefault(newest.committee_id, set()).add(send.message)
        if not completes:
            return
        following = newest.load_successor(signed_key_set(key_set, MEMBERS[1:]), public.parameters)
        self.follower.adopt(following)
        self.committees.append(following)
        self.numbers.append(number)
        self.restart()

    # what must hold

    def note(self, release):
        message = release.share.message
        key_id = next(c for c in self.committees if c.committee_id == message.committee_id).key_set.key_id
        self.shares += 1
        self.published.setdefault((key_id, "height", message.height), set()).add(message.commitment_root)
        self.published.setdefault((key_id, "round", message.round), set()).add(message.commitment_root)

    def check(self):
        limited = self.committees[0].terms.rounds_limited
        for (_, what, number), roots in self.published.items():
            if what == "height" or limited:
                assert len(roots) == 1, f"shares of {len(roots)} batches in {what} {number}"
            if what == "round" and limited:
                assert number <= ROUNDS
        assert all(len(successors) == 1 for successors in self.signed.values())


NEAR = st.sampled_from([0, 0, 0, -1, -1, -2, 1])
WHICH, AT = st.integers(0, 2), st.sampled_from([-1, -1, -1, 0, 1])
CRASH = st.sampled_from([None, None, None, 0, 1, 2, 3])
BATCH = st.sets(st.integers(0, PEOPLE - 1), min_size=0, max_size=2)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("propose"), NEAR, BATCH, st.sampled_from([0, 0, 0, -1, 1]), AT),
        st.tuples(st.just("propose"), st.just(0), BATCH, st.just(0), st.just(-1)),
        st.tuples(st.just("vote"), NEAR, WHICH, AT, CRASH),
        st.tuples(st.just("follow_and_release"), st.sampled_from([0, 0, -1, -1]), WHICH, AT, CRASH),
        st.tuples(st.just("follow_and_release"), st.sampled_from([0, -1]), WHICH, st.just(-1), st.none()),
        st.tuples(st.just("abstain"), NEAR, AT, CRASH),
        st.tuples(
            st.just("rotate"),
            st.booleans(),
            st.sampled_from([0, 0, -1, -2, 1]),
            st.sampled_from([0, 0, -1, 1]),
            st.booleans(),
            st.booleans(),
            CRASH,
        ),
        st.tuples(st.just("decide"), st.sampled_from([0, 0, -1, -2, -3]), BATCH, st.just(-1), CRASH),
        st.tuples(st.just("decide"), st.just(0), BATCH, st.just(-1), st.none()),
        st.tuples(st.just("decide"), st.sampled_from([-1, -2]), BATCH, st.just(-1), st.none()),
        st.just(("restart",)),
    ),
    min_size=12,
    max_size=40,
)


def play(scheme, actions):
    story = Story(scheme)
    for name, *arguments in actions:
        story.attempt(getattr(story, name), *arguments)
        story.check()
    return story


@settings(max_examples=60, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(actions=ACTIONS)
def test_member_never_shares_two_batches_of_one_round_or_height_whatever_the_others_do(actions):
    """SHR-2, KEY-10."""
    play("fptx", actions)


@settings(max_examples=40, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(actions=ACTIONS)
def test_member_never_shares_two_batches_of_one_height_whatever_the_others_do(actions):
    """SHR-2, KEY-10. With keys that do not count rounds."""
    play("tdh2", actions)


def test_story_without_harm_releases_in_every_round_under_every_committee():
    """The story itself works: what it checks is not vacuous."""
    actions = []
    for at in range(3):
        actions += [("propose", 0, {at}, 0, -1), ("vote", 0, 0, -1, None), ("follow_and_release", -1, 0, -1, None)]
        actions += [("rotate", True, 0, 0, True, True, None)]
    actions += [("rotate", False, 1, 0, False, True, None), ("propose", 0, set(), 0, -2), ("vote", 0, 0, -2, None)]
    actions += [("propose", 0, {5}, 0, -1), ("vote", 0, 0, -1, None), ("follow_and_release", -1, 0, -1, None)]
    story = play("fptx", actions)
    assert (story.shares, len(story.committees), len(story.signed)) == (4, 5, 3)
    assert sorted(number for (_, what, number) in story.published if what == "round") == [1, 1, 2, 3]


def test_story_that_replaces_an_empty_height_is_stopped_by_the_round_guard():
    """Round 1 was given to height 2; no batch of height 1 gets it afterwards, though height 1 had no share."""
    story = Story("fptx")
    story.decide(0, set(), -1, None)
    story.decide(0, {1}, -1, None)
    with pytest.raises(Conflict, match="share-in-round"):
        story.decide(-2, {2}, -1, None)
    story.check()
    assert story.shares == 1
