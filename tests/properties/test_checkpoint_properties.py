"""Random stories of a network whose roles keep little and start from checkpoints: at every start, one that remembers
everything is asked the same, and everybody else goes on as if nothing had been forgotten."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from encmempool.committee import Member
from encmempool.errors import Rejected
from encmempool.intervals import IntervalSet
from encmempool.ordering import Policy
from encmempool.reveal import CHECKPOINT, Follower
from encmempool.sequencer import SEQUENCER_CHECKPOINT, Sequencer
from encmempool.store import perform
from tests.properties.test_protocol_properties import IDENTITIES, MEMBERS, PEOPLE, PHASES, SENDS, SEQUENCER, Story, send
from threshold.entropy import deterministic

KEPT = 5
"""Heights that commitments may run ahead, and that followers keep: just more than the story lets wait."""


class BoundedStory(Story):
    def __init__(self, policy):
        self.compared = 0
        super().__init__(policy)

    def checkpoint(self, role):
        store = self.stores[role]
        if role == "sequencer":
            kind, record = SEQUENCER_CHECKPOINT, self.sequencer.checkpoint()
        else:
            kind, record = CHECKPOINT, self.followers[role].checkpoint()
        perform([record], store)
        newest = [key for key, _ in store.scan(kind)][-2:]
        store.erase(kind, below=newest[0])

    def restart(self, role):
        if role != "sequencer":
            whole, short = (self.follower_of(role, **options) for options in ({"checkpoints": False}, {"kept": KEPT}))
            self.compare_followers(whole, short)
            self.followers[role] = short
        if role in ("sequencer", "archive"):
            self.compare_sequencers()
            self.sequencer = self.start_sequencer(kept=1)
        else:
            self.compare_members(role)
            self.members[role] = self.member_of(role, self.followers[role])
        self.compared += 1

    def follower_of(self, role, **options):
        return Follower(self.committee, records=self.stores[role], **options)

    def member_of(self, role, follower):
        return Member(
            index=role,
            chain=follower.chain,
            identity=IDENTITIES[role - 1],
            key_share=self.shares[role - 1],
            records=self.stores[role],
            random=deterministic(b"the same"),
        )

    def start_sequencer(self, **options):
        return Sequencer(
            terms=self.committee.terms,
            identity=SEQUENCER,
            verifier=self.committee,
            state=self.followers["archive"],
            records=self.stores["sequencer"],
            **options,
        )

    def compare_followers(self, whole, short):
        base = short.chain.base
        assert base >= whole.chain.base
        whole.chain.forget(base)
        assert self.said_by(whole, base) == self.said_by(short, base)
        assert len(short.executed) <= KEPT
        assert set(short._states) >= {
            commitment.executed_height
            for commitment in [short.latest.commitment]
            if commitment and commitment.executed_height >= base
        }

    @staticmethod
    def said_by(follower, base):
        chain, latest = follower.chain, follower.latest
        heights = range(base + 1, chain.next_height)
        return (
            (latest.height, latest.root, latest.commitment, follower.ledger.burned),
            (chain.next_height, chain.certified, chain.commitment_at(base)),
            [(chain.at(h).proposal, follower.certificate(h), follower.shares(h)) for h in heights],
            {address: ranges for address, s in chain._sequences.items() if (ranges := s.ranges())},
            {sender: nonce for sender, nonce in chain._next_nonces.items() if nonce},
        )

    def compare_members(self, role):
        """What a member does with the next commitment and certificate that there are."""
        said = []
        for options in ({"checkpoints": False}, {"kept": KEPT}):
            follower = self.follower_of(role, **options)
            member = self.member_of(role, follower)
            answers = []
            for height in range(follower.latest.height + 1, len(self.committed) + 1):
                answers.append(attempted(member.vote, self.committed[height - 1], now_ms=self.now_ms))
                if height in self.certificates and follower.chain.at(height) is not None:
                    answers.append(attempted(member.release, self.certificates[height]))
            said.append(answers)
        assert said[0] == said[1]

    def compare_sequencers(self):
        said = []
        for options in ({}, {"kept": 0, "checkpoints": False}, {"kept": 1}):
            sequencer = self.start_sequencer(**options)
            said.append(
                (
                    (sequencer.height, sequencer.pending, sequencer.tip, sequencer.has_ready),
                    [sequencer.next_nonce(person.address) for person in PEOPLE],
                    (sequencer.live(), sequencer.uncommitted(), sequencer.resend()),
                    [sequencer.batch(height) for height in range(sequencer.height + 2)],
                    [(sequencer.receipt(t), sequencer.place(t), sequencer.transaction(t)) for t in self.receipts],
                    attempted(sequencer.commit, now_ms=self.now_ms),
                )
            )
            if options.get("kept") == 0:
                held = {t.tx_id for t, _ in said[-1][2][0]} | {t for b in sequencer._unexecuted for t in b.tx_ids}
                assert set(sequencer._transactions) <= held
        assert said[0] == said[1] == said[2]

    def check_roots(self):
        states = [follower.at(self.lowest()) for follower in self.followers.values()]
        assert len({state.root for state in states if state is not None}) == 1


def attempted(call, *arguments, **keywords):
    try:
        return call(*arguments, **keywords)
    except Rejected as error:
        return error.rule


ACTIONS = st.lists(
    st.one_of(
        SENDS,
        SENDS,
        st.just(("commit",)),
        st.just(("commit",)),
        st.just(("vote",)),
        st.just(("reveal", frozenset(MEMBERS))),
        st.tuples(st.just("reveal"), st.sets(st.sampled_from(MEMBERS))),
        st.tuples(st.just("checkpoint"), st.sampled_from(("sequencer", "archive", 1, 2))),
        st.tuples(st.just("restart"), st.sampled_from(("sequencer", "archive", 1, 2))),
    ),
    min_size=8,
    max_size=60,
)


def play(policy, actions):
    with pytest.MonkeyPatch.context() as patch:
        for module in ("reveal", "committee", "sequencer"):
            patch.setattr(f"encmempool.{module}.MAX_UNEXECUTED", KEPT)
        patch.setattr("encmempool.reveal.KEPT_STATES", 1)
        story = BoundedStory(policy)
        for action, *arguments in actions:
            if action == "send":
                send(story, *arguments)
            else:
                getattr(story, action)(*arguments)
            story.check_roots()
        for role in ("archive", "sequencer", *MEMBERS):
            story.restart(role)
        story.finish()
        for role in ("archive", "sequencer", *MEMBERS):
            story.checkpoint(role)
            story.restart(role)
        story.check_roots()
        assert {follower.latest.height for follower in story.followers.values()} == {len(story.committed)}
        return story


@pytest.mark.parametrize("policy", [Policy.ARRIVAL], ids=lambda policy: policy.name.lower())
@settings(max_examples=60, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(actions=ACTIONS)
def test_role_that_starts_from_a_checkpoint_goes_on_as_one_that_forgot_nothing(policy, actions):
    play(policy, actions)


def test_story_without_chance_leaves_much_behind():
    """The property is not vacuous: heights are past, commitments run ahead, and checkpoints lie in between."""
    actions = []
    for at in range(12):
        actions += [("send", at % 4, "transfer", 1, 0, 100), ("send", (at + 1) % 4, "transfer", 1, 0, 2)]
        actions += [("commit",)] * (1 + at % 2)
        actions += [("vote",), ("vote",), ("reveal", frozenset(MEMBERS)), ("reveal", frozenset(MEMBERS))]
        if at % 3 == 2:
            actions += [("checkpoint", role) for role in ("archive", 1, "sequencer")]
        actions += [("restart", ("archive", 1, "sequencer")[at % 3])]
    story = play(Policy.ARRIVAL, actions)
    archive = story.followers["archive"]
    assert archive.chain.base >= len(story.committed) - KEPT - 1 > 8
    assert len(story.receipts) > 20
    assert story.compared > 15


# --- the sets of sequences -------------------------------------------------------------------------------------------

NUMBERS = st.one_of(st.integers(0, 40), st.integers(2**64 - 5, 2**64 - 1), st.just(2**63))


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), NUMBERS), max_size=60))
def test_interval_set_is_a_set(steps):
    numbers, usual = IntervalSet(), set()
    for adds, number in steps:
        (numbers.add if adds else numbers.discard)(number)
        (usual.add if adds else usual.discard)(number)
        assert (number in numbers) == (number in usual)
    assert {n for n in (*range(42), *range(2**64 - 6, 2**64), 2**63) if n in numbers} == usual
    ranges = numbers.ranges()
    assert IntervalSet(ranges).ranges() == numbers.copy().ranges() == ranges
    assert sum(last + 1 - first for first, last in ranges) == len(usual)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(ranges))


def test_interval_set_of_a_hostile_sequence_costs_two_numbers():
    numbers = IntervalSet()
    for number in (0, 2**63, 2**64 - 1):
        numbers.add(number)
    assert numbers.ranges() == ((0, 0), (2**63, 2**63), (2**64 - 1, 2**64 - 1))
