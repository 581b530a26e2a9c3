"""Key ceremonies between members who have nothing in common but a post that loses, repeats and reorders.

Every member has a home of its own on the disk, and a desk that may die at any moment; time is the test's. NET-21 to
NET-30, GEN-13.
"""

from __future__ import annotations

import random as chance
import shutil
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from encmempool import home
from encmempool.errors import EnvironmentProblem, Malformed, Rejected, StorageError
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.keysets import Committee, default_threshold, public_material, sign_key_set
from encmempool.network import ceremonies
from encmempool.network.ceremonies import (
    CeremonyDesk,
    CeremonyMessage,
    CeremonyPeer,
    CeremonyPlan,
    CeremonyState,
    Kind,
    Outgoing,
    Phase,
    Purpose,
    SignedCeremonyMessage,
    SignedPlan,
    check_plan,
    key_set_of_first,
    key_set_of_successor,
    sign_plan,
)
from encmempool.network.local import Plan, development_genesis
from encmempool.ordering import Policy
from encmempool.store import DatabaseStore
from encmempool.types import ZERO_HASH, signing_digest
from threshold.entropy import deterministic, system
from threshold.keys import KeyShare
from threshold.schemes.key_generation import DerivedSelfTest, self_test_batch
from threshold.schemes.registry import ENCRYPTED_SCHEMES, load_scheme
from threshold.setup.dkg import EPHEMERAL_RECORD
from threshold.setup.dkg_messages import Confirmation, Message, Round

START = 1_700_000_000.0
ROUND_MS = 10_000
ROUND_S = ROUND_MS / 1000
BATCH = 2
ROUNDS = 2
START_2 = (5, b"\x05" * 32, 3)
SMALL = {"simple-bte": BATCH, "fptx": BATCH}


def person(name: str) -> Identity:
    return Identity(deterministic(name.encode())(32))


OPERATOR = person("operator")
SEQUENCER = person("sequencer")


def make_genesis(members: Iterable[Identity], *, scheme: str = "tdh2", policy: Policy = Policy.ARRIVAL):
    plan = Plan(
        members=0,
        threshold=0,
        policy=policy,
        funded=(),
        batch_limit=SMALL.get(scheme),
        timestamp_ms=int(START) * 1000,
    )
    return development_genesis(plan, sequencer=SEQUENCER.address, members=[member.address for member in members])


def first_plan(members, scheme="tdh2", t=3, *, attempt=1, policy=Policy.ARRIVAL, **changes) -> CeremonyPlan:
    info, genesis = load_scheme(scheme).info, make_genesis(members, scheme=scheme, policy=policy)
    plan = CeremonyPlan(
        genesis=genesis,
        epoch=1,
        kind=Kind.GENERATE,
        scheme=info.number,
        n=len(members),
        t=t,
        reduced_threshold=int(t < default_threshold(len(members))),
        batch_limit=genesis.batch_limit,
        rounds=ROUNDS if info.limits_rounds else 0,
        sequencer=genesis.sequencer,
        attempt=attempt,
        predecessor=ZERO_HASH,
        peers=tuple(CeremonyPeer(address=m.address, url=b"http://peer", holder=0) for m in members),
        round_ms=ROUND_MS,
        open_by_ms=int(START + ROUND_S) * 1000,
    )
    return replace(plan, **changes)


def next_plan(network: Network, members, leavers=(), *, lost=(), attempt=1, **changes) -> CeremonyPlan:
    """The same key for other members."""
    before = network.key_set
    holders = {address for address in before.members if address not in {m.address for m in lost}}
    plan = CeremonyPlan(
        genesis=network.desks[0].home.genesis(),
        epoch=before.epoch + 1,
        kind=Kind.RESHARE,
        scheme=before.scheme,
        n=len(members),
        t=default_threshold(len(members)),
        reduced_threshold=0,
        batch_limit=before.batch_limit,
        rounds=before.rounds,
        sequencer=before.sequencer,
        attempt=attempt,
        predecessor=before.root,
        peers=tuple(
            CeremonyPeer(address=m.address, url=b"http://peer", holder=int(m.address in holders))
            for m in (*members, *leavers)
        ),
        round_ms=ROUND_MS,
        open_by_ms=int(network.now + ROUND_S) * 1000,
    )
    return replace(plan, **changes)


class Died(Exception):
    """The member's process ended."""


class Deaths:
    """Lets a member die when it is about to write for the k-th time, and counts what it writes.

    A record of the journal counts alone, although several are one transaction: a party has to bear that too.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.member: Member | None = None
        self.acting: Member | None = None
        self.at: set[int] = set()
        self.count = 0
        put, remove = DatabaseStore.put, ceremonies._remove_database
        durably, genesis = home._write_durably, home.genesis_file.write

        def counting_put(store, records):
            if records and records[0].kind == "sealed":
                for record in records:
                    self.write()
                    put(store, [record])
            else:
                self.write()
                put(store, records)

        def counting(action, *arguments):
            self.write()
            return action(*arguments)

        monkeypatch.setattr(DatabaseStore, "put", counting_put)
        monkeypatch.setattr(home, "_write_durably", partial(counting, durably))
        monkeypatch.setattr(home.genesis_file, "write", partial(counting, genesis))
        monkeypatch.setattr(ceremonies, "_remove_database", partial(counting, remove))

    def write(self) -> None:
        if self.member is None or self.acting is not self.member:
            return
        if self.count in self.at:
            self.at.discard(self.count)
            raise Died
        self.count += 1


class Member:
    """Home, identity and desk, which is gone while the member is away."""

    def __init__(self, network: Network, identity: Identity) -> None:
        self.network = network
        self.identity = identity
        self.lives = 0
        self.home = Home(network.path / identity.address.hex())
        self.password = Password(b"0" * 64, generated=True)
        self.desk: CeremonyDesk | None = None
        self.log: list[CeremonyState] = []
        self.restart()

    def restart(self) -> None:
        self.stop()
        self.lives += 1
        self.desk = CeremonyDesk(
            self.home,
            self.identity,
            self.password,
            operators=[OPERATOR.address],
            random=deterministic(self.identity.address + bytes([self.lives % 256, self.lives // 256])),
        )

    def stop(self) -> None:
        if self.desk is not None:
            self.desk.close()
            self.desk = None

    def state(self, plan: CeremonyPlan) -> CeremonyState:
        assert self.desk is not None
        state = self.desk.state(plan.ceremony_id)
        assert state is not None
        return state

    @property
    def journals(self) -> list[str]:
        return [p.name for p in self.home.path.glob("member/ceremonies/*") if not p.name.startswith("desk")]


Rewrite = Callable[[Outgoing], Iterable[Outgoing]]
"""What a liar's post takes in place of what its desk sends."""


class Network:
    """Members by index from 0, and the post between them.

    lose, repeat    how often a letter, or the answer to one, is lost, and how often it comes twice
    """

    def __init__(self, path, identities, *, seed=0, lose=0.0, repeat=0.0, reorder=False, deaths=None) -> None:
        self.path = path
        self.now = START
        self.chance = chance.Random(seed)
        self.lose, self.repeat, self.reorder = lose, repeat, reorder
        self.deaths: Deaths | None = deaths
        self.letters: deque[tuple[Member, Outgoing]] = deque()
        self.liars: dict[bytes, Rewrite] = {}
        self.refusals: list[Rejected] = []
        self.desks = [Member(self, identity) for identity in identities]

    def add(self, identity: Identity) -> Member:
        self.desks.append(Member(self, identity))
        return self.desks[-1]

    @property
    def key_set(self):
        return self.desks[0].home.key_sets()[-1].message

    def by_address(self, plan: CeremonyPlan, index: int) -> Member:
        address = plan.peers[index - 1].address
        return next(member for member in self.desks if member.identity.address == address)

    def act(self, member: Member, action: Callable[[CeremonyDesk], Iterable[Outgoing]]) -> bool:
        """Whether it came to the end; a member that dies is back at once."""
        if member.desk is None:
            return False
        if self.deaths is not None:
            self.deaths.acting = member
        try:
            sent = action(member.desk)
        except Died:
            while True:
                try:
                    member.restart()
                    return False
                except Died:
                    continue
        rewrite = self.liars.get(member.identity.address)
        for outgoing in sent:
            for letter in (outgoing,) if rewrite is None else rewrite(outgoing):
                self.letters.append((member, letter))
        return True

    def open(self, plan: CeremonyPlan, members: Iterable[Member] | None = None) -> None:
        signed = SignedPlan.decode(sign_plan(plan, OPERATOR).encoded)
        for member in self.desks if members is None else members:
            while member.desk is not None and not self.act(member, lambda desk: desk.open(signed, now=self.now)):
                pass

    def settle(self) -> None:
        while self.letters:
            if self.reorder:
                self.letters.rotate(self.chance.randrange(len(self.letters)))
            sender, outgoing = self.letters.popleft()
            if self.chance.random() < self.repeat:
                self.letters.append((sender, outgoing))
            if self.chance.random() < self.lose:
                continue
            self.deliver(sender, outgoing)

    def deliver(self, sender: Member, outgoing: Outgoing) -> None:
        message = SignedCeremonyMessage.decode(outgoing.message.encoded)
        plan = self.plan_of(message)
        recipient = self.by_address(plan, outgoing.peer)
        try:
            taken = self.act(recipient, lambda desk: desk.receive(message, now=self.now))
        except Rejected as error:
            self.refusals.append(error)
            return
        if taken and sender.desk is not None and self.chance.random() >= self.lose:
            sender.desk.delivered(outgoing)

    def plan_of(self, message: SignedCeremonyMessage) -> CeremonyPlan:
        for member in self.desks:
            if member.desk is not None and (known := member.desk._ceremonies.get(message.message.ceremony_id)):
                return known.plan
        raise AssertionError("a message of no ceremony")

    def pass_time(self, seconds: float = 1.0) -> None:
        self.now += seconds
        for member in self.desks:
            self.act(member, lambda desk: desk.tick(now=self.now))
        self.settle()

    def run(self, plan: CeremonyPlan, *, rounds: float = 40) -> Network:
        """Until it has ended everywhere, and the first key set is wherever its key is."""
        self.settle()
        end = self.now + rounds * ROUND_S
        while not all(self.is_over(member, plan) for member in self.desks):
            assert self.now < end, [member.desk.state(plan.ceremony_id) for member in self.desks if member.desk]
            self.pass_time()
        return self

    def is_over(self, member: Member, plan: CeremonyPlan) -> bool:
        if member.desk is None or (state := member.desk.state(plan.ceremony_id)) is None:
            return True
        if state.phase == Phase.DONE and plan.epoch == 1:
            return member.home.has_key_set
        return state.phase != Phase.RUNNING

    def elapsed_rounds(self) -> float:
        return (self.now - START) / ROUND_S


@pytest.fixture(autouse=True)
def unsynced_files(monkeypatch):
    """As with the databases: these tests end processes, they do not cut the power."""
    monkeypatch.setattr("encmempool.home.os.fsync", lambda descriptor: None)


@pytest.fixture
def members() -> list[Identity]:
    return [person(f"member {at}") for at in range(1, 5)]


@pytest.fixture
def network(tmp_path, members) -> Iterator[Network]:
    network = Network(tmp_path, members)
    yield network
    for member in network.desks:
        member.stop()


@pytest.fixture
def running(network, members) -> CeremonyPlan:
    """A plan of 3 of 4 that everyone has opened, with all letters still on their way."""
    plan = first_plan(members)
    network.open(plan)
    return plan


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Homes of a network of 3 of 4 that made its first key, by scheme; copied by whoever changes them."""
    made = {}

    def make(scheme, path):
        if scheme not in made:
            folder = tmp_path_factory.mktemp(scheme)
            identities = [person(f"member {at}") for at in range(1, 5)]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("encmempool.home.os.fsync", lambda descriptor: None)
                first = Network(folder, identities)
                plan = first_plan(identities, scheme)
                first.open(plan)
                first.run(plan)
            for member in first.desks:
                member.stop()
            made[scheme] = folder
        shutil.copytree(made[scheme], path)
        return Network(path, [person(f"member {at}") for at in range(1, 5)])

    return make


@pytest.fixture
def second(started, tmp_path) -> Iterator[Network]:
    network = started("tdh2", tmp_path / "second")
    yield network
    for member in network.desks:
        member.stop()


def phases(network: Network, plan: CeremonyPlan) -> list[Phase]:
    return [Phase(member.state(plan).phase) for member in network.desks if member.desk is not None]


def blamed(member: Member, plan: CeremonyPlan) -> set[tuple[int, str]]:
    return {(blame.member, blame.rule.decode()) for blame in member.state(plan).blamed}


def assert_one_network(members: Iterable[Member]) -> Committee:
    """These homes hold one network, each its own good share, and nothing of the ceremony that made it."""
    committees = {}
    for member in members:
        home = member.home
        (signed,) = home.key_sets()
        if signed.message not in committees:
            committee = Committee.load(home.genesis(), signed, home.parameters(signed.message))
            committee.scheme.verify_parameters(committee.public_key)
            committees[signed.message] = (
                committee,
                DerivedSelfTest(committee.scheme, network=committee.genesis.root, random=system),
            )
        assert len(signed.signatures) >= 3
        assert_good_share(member, *committees[signed.message])
        assert member.journals == []
    ((committee, _),) = committees.values()
    return committee


def assert_good_share(member: Member, committee: Committee, test: DerivedSelfTest) -> None:
    index = committee.member_index(member.identity.address)
    share = member.home.key_share(index, member.password, role="member", epoch=committee.key_set.epoch)
    public = public_material(committee.key_set, committee.parameters)
    test.verify(public, index, test.share(public, share))


# --- a ceremony that nobody disturbs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["clear", *ENCRYPTED_SCHEMES])
def test_ceremony_brings_one_network_into_every_home(network, members, scheme):
    plan = first_plan(members, scheme)
    network.open(plan)
    network.run(plan)
    committee = assert_one_network(network.desks)
    assert committee.key_set.setup_privacy == committee.scheme.setup_privacy(4, 3)
    assert phases(network, plan) == [Phase.DONE] * 4
    assert network.now == START, "nobody had to wait for a deadline"
    assert network.refusals == []


def test_any_three_members_open_with_what_the_ceremony_made(network, running):
    network.run(running)
    committee = assert_one_network(network.desks)
    scheme, key = committee.scheme, committee.public_key
    batch = self_test_batch(scheme, key)
    shares = [
        scheme.partial_decrypt(key, member.desk.result(running.ceremony_id).share, batch, random=system)
        for member in network.desks
    ]
    precomputed = scheme.precompute(key, batch)
    for chosen in combinations(shares, 3):
        batch_key, refused = scheme.combine(key, batch, chosen, precomputed)
        assert scheme.decrypt(key, batch, batch_key, precomputed) == (b"encmempool self-test",)
        assert refused == ()


def test_state_tells_what_was_made_and_survives_a_restart(network, running):
    network.run(running)
    member = network.desks[0]
    state, material = member.state(running), member.desk.result(running.ceremony_id)
    assert CeremonyState.decode(state.encoded) == state
    assert state.result[0].public(b"") == material.public == member.desk.pending(1).public
    assert (state.signatures, state.failure, state.blamed, state.round) == (4, b"", (), Round.CONFIRM)
    assert state.signature == (member.identity.sign(signing_digest(network.key_set, running.genesis.root)),)
    member.restart()
    assert member.state(running) == state
    assert member.desk.result(running.ceremony_id).transcript == material.transcript


def test_single_member_makes_a_key_of_its_own_as_soon_as_it_opens_the_plan(tmp_path):
    network = Network(tmp_path, [person("alone")])
    plan = first_plan([person("alone")], t=1)
    network.open(plan)
    assert network.key_set.members == plan.members


def test_opening_again_changes_nothing(network, running):
    network.run(running)
    before = {path: path.read_bytes() for path in network.desks[0].home.path.rglob("*.json")}
    network.open(running)
    network.open(running)
    assert network.letters == deque()
    assert {path: path.read_bytes() for path in network.desks[0].home.path.rglob("*.json")} == before


# --- members that restart --------------------------------------------------------------------------------------------

EFFECTS = 39
"""What member 1 writes in a ceremony of four: a test below says whether that is still so."""


@pytest.fixture
def deaths(monkeypatch) -> Deaths:
    return Deaths(monkeypatch)


def run_with_deaths(tmp_path, deaths, scheme, at, *, reorder=False) -> Network:
    identities = [person(f"member {at}") for at in range(1, 5)]
    network = Network(tmp_path, identities, deaths=deaths, reorder=reorder)
    deaths.member, deaths.at = network.desks[0], set(at)
    plan = first_plan(identities, scheme)
    network.open(plan)
    network.run(plan)
    assert phases(network, plan) == [Phase.DONE] * 4
    assert not any(blamed(member, plan) for member in network.desks)
    assert_one_network(network.desks)
    return network


@pytest.mark.parametrize("k", [pytest.param(k, marks=[pytest.mark.slow] * (k % 3 > 0)) for k in range(EFFECTS)])
def test_member_that_dies_before_any_effect_takes_part_to_the_end(tmp_path, deaths, k):
    network = run_with_deaths(tmp_path, deaths, "tdh2", {k})
    assert network.desks[0].lives == 2


def test_member_writes_as_often_as_the_test_above_lets_it_die(tmp_path, deaths):
    run_with_deaths(tmp_path, deaths, "tdh2", set())
    assert deaths.count == EFFECTS


@pytest.mark.parametrize("scheme", ["tdh2", "simple-bte", "fptx"])
def test_member_that_dies_before_every_effect_takes_part_to_the_end(tmp_path, deaths, scheme):
    network = run_with_deaths(tmp_path, deaths, scheme, range(200), reorder=True)
    assert network.desks[0].lives > 25


# --- a post that loses, repeats and reorders -------------------------------------------------------------------------


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1 << 32),
    lose=st.sampled_from([0.0, 0.1, 0.3]),
    repeat=st.sampled_from([0.0, 0.2]),
    restarts=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60)), max_size=4),
)
def test_ceremony_ends_with_one_network_whatever_the_post_does(tmp_path_factory, seed, lose, repeat, restarts):
    """Members restart as well, after so many letters were delivered."""
    identities = [person(f"member {at}") for at in range(1, 5)]
    network = Network(tmp_path_factory.mktemp("post"), identities, seed=seed, lose=lose, repeat=repeat, reorder=True)
    due, deliver, count = sorted(restarts, key=lambda at: at[1]), network.deliver, 0

    def restarting(sender, outgoing):
        nonlocal count
        count += 1
        while due and due[0][1] <= count:
            network.desks[due.pop(0)[0]].restart()
        deliver(sender, outgoing)

    network.deliver = restarting
    plan = first_plan(identities, "clear", round_ms=10 * ROUND_MS, open_by_ms=int(START + ROUND_S) * 1000)
    network.open(plan)
    network.run(plan, rounds=70)
    assert phases(network, plan) == [Phase.DONE] * 4
    assert not any(blamed(member, plan) for member in network.desks)
    assert len({member.home.key_sets()[0].message for member in network.desks}) == 1
    assert all(rejected.rule == "NET-27" for rejected in network.refusals)
    for member in network.desks:
        member.stop()


def test_message_comes_again_after_growing_pauses_until_it_is_delivered(network, members):
    plan, alone = first_plan(members), network.desks[0]
    network.open(plan, [alone])
    network.letters.clear()
    times: list[float] = []
    for tenths in range(1, 400):
        sent = alone.desk.tick(now=START + tenths / 100)
        times += [tenths / 100 for outgoing in sent if outgoing.peer == 2]
        if len(times) == 2:
            for outgoing in sent:
                alone.desk.delivered(outgoing)
    assert times == [pytest.approx(1.0, abs=0.02), pytest.approx(3.0, abs=0.02)]


def test_message_to_a_peer_that_stays_away_comes_again_at_most_four_times_a_minute(network, running):
    hold_back(network, Purpose.FIRST_KEY_SET, to=[4])
    network.settle()
    times, member = [], network.desks[0]
    for second in range(3600):
        times += [second for outgoing in member.desk.tick(now=START + second) if outgoing.peer == 4]
    pauses = {after - before for before, after in pairwise(times[8:])}
    assert pauses == {15}


def test_outbox_is_made_again_after_a_restart(network, members):
    plan, alone = first_plan(members), network.desks[0]
    network.open(plan, [alone])
    before = {(outgoing.peer, outgoing.message) for _, outgoing in network.letters}
    alone.restart()
    assert {(outgoing.peer, outgoing.message) for outgoing in alone.desk.tick(now=START + 0.1)} == before


def test_peer_that_speaks_again_is_sent_what_it_missed_without_a_long_pause(network, members):
    plan, first = first_plan(members), network.desks[0]
    network.open(plan, [first])
    network.letters.clear()
    for second in range(1, 8):
        first.desk.tick(now=START + second)
    network.now = START + 7.5
    network.open(plan, [network.desks[1]])
    network.letters = deque(letter for letter in network.letters if letter[1].peer == 1)
    network.settle()
    assert 2 in {outgoing.peer for outgoing in first.desk.tick(now=START + 8.6)}


def test_member_that_missed_the_end_gets_it_from_one_that_restarted_after_it(network, running, members):
    """All have spoken, and the last words to member 4 are lost; member 1 has long forgotten the ceremony's secrets."""
    last, let_go = network.desks[3], hold_back_last_words(network)
    network.settle()
    assert phases(network, running) == [Phase.DONE] * 3 + [Phase.RUNNING]
    let_go()
    for member in network.desks[:3]:
        member.restart()
        assert member.journals == []
    network.run(running)
    assert last.home.has_key_set
    assert_one_network(network.desks)


# --- members that are silent or late ---------------------------------------------------------------------------------


def test_silent_member_costs_one_round_and_is_blamed(network, members):
    plan = first_plan(members)
    network.open(plan, network.desks[:3])
    network.run(plan)
    assert_one_network(network.desks[:3])
    assert all(blamed(member, plan) == {(4, "DKG-3")} for member in network.desks[:3])
    assert network.elapsed_rounds() <= 7.1


def test_member_that_falls_silent_in_the_middle_is_left_out_and_blamed(network, running, members):
    silent = network.desks[3]
    while network.letters and silent.state(running).round < Round.DEALING:
        network.deliver(*network.letters.popleft())
    silent.stop()
    network.run(running)
    assert_one_network(network.desks[:3])
    assert all((4, "DKG-3") in blamed(member, running) for member in network.desks[:3])


def test_ceremony_fails_with_two_of_three_needed_and_a_fresh_attempt_succeeds(network, members):
    first = first_plan(members)
    network.open(first, network.desks[:2])
    network.run(first)
    assert phases_of(network.desks[:2], first) == [Phase.FAILED] * 2
    assert b"2 members said hello, 3 are needed" in network.desks[0].state(first).failure
    assert all(member.journals == [] for member in network.desks[:2])
    again = first_plan(members, attempt=2, open_by_ms=int(network.now + ROUND_S) * 1000)
    network.open(again)
    network.run(again)
    assert_one_network(network.desks)


def test_late_member_ends_without_a_share_and_the_others_with_a_network(network, members):
    plan = first_plan(members, open_by_ms=int(START + 5 * ROUND_S) * 1000)
    network.open(plan, network.desks[:3])
    network.settle()
    while network.elapsed_rounds() < 3:
        network.pass_time()
    network.open(plan, network.desks[3:])
    network.run(plan)
    assert phases(network, plan) == [Phase.DONE] * 3 + [Phase.FAILED]
    assert_one_network(network.desks[:3])
    assert not list(network.desks[3].home.path.rglob("key-share*"))


def test_member_that_sleeps_through_the_whole_ceremony_fails_when_it_wakes(network, running):
    sleeper = network.desks[3]
    sleeper.stop()
    network.run(running)
    sleeper.restart()
    network.now += 100 * ROUND_S
    network.pass_time()
    assert sleeper.state(running).phase == Phase.FAILED
    assert sleeper.journals == []
    assert_one_network(network.desks[:3])


@pytest.mark.parametrize("scheme", ["simple-bte"])
def test_setup_that_needs_everyone_fails_without_one_and_succeeds_with_all(network, members, scheme):
    first = first_plan(members, scheme)
    network.open(first, network.desks[:3])
    network.run(first)
    assert phases_of(network.desks[:3], first) == [Phase.FAILED] * 3
    assert all((4, "MPC-3") in blamed(member, first) for member in network.desks[:3])
    again = first_plan(members, scheme, attempt=2, open_by_ms=int(network.now + ROUND_S) * 1000)
    network.open(again)
    network.run(again)
    assert_one_network(network.desks)


def test_fptx_goes_on_without_a_silent_contributor(network, members):
    plan = first_plan(members, "fptx")
    network.open(plan, [network.desks[0], *network.desks[2:]])
    network.run(plan)
    honest = [network.desks[0], *network.desks[2:]]
    assert_one_network(honest)
    assert all({(2, "PTX-7"), (2, "DKG-3")} <= blamed(member, plan) for member in honest)


def phases_of(members: Iterable[Member], plan: CeremonyPlan) -> list[Phase]:
    return [Phase(member.state(plan).phase) for member in members]


# --- members that lie ------------------------------------------------------------------------------------------------


def lying(identity: Identity, number: int, change: Callable[[bytes, int], Iterable[bytes]]) -> Rewrite:
    """Says something else in one round, properly signed: `change` gets the payload and the recipient."""

    def rewrite(outgoing: Outgoing) -> Iterator[Outgoing]:
        letter = outgoing.message.message
        if letter.purpose != Purpose.PARTY or letter.data[0] != number:
            yield outgoing
            return
        message = Message.decode(letter.data)
        for payload in change(message.payload, outgoing.peer):
            other = replace(message, payload=payload)
            other = replace(other, signature=identity.sign(other.digest(letter.ceremony_id)))
            yield replace(outgoing, message=enveloped(identity, replace(letter, data=other.encode())))

    return rewrite


def enveloped(identity: Identity, message: CeremonyMessage) -> SignedCeremonyMessage:
    signature = identity.sign(signing_digest(message, make_genesis(MEMBERS).root))
    return SignedCeremonyMessage(message=message, signature=signature)


MEMBERS = [person(f"member {at}") for at in range(1, 5)]
LIES = {
    "a dealing that is none": (Round.DEALING, lambda payload, to: [payload[:-1]], "DKG-6"),
    "a share that does not fit": (Round.DEALING, lambda payload, to: [payload[:-1] + b"\0"], "DKG-8"),
    "two dealings, to different members": (
        Round.DEALING,
        lambda payload, to: [payload if to < 3 else payload[:-1] + b"\0"],
        "DKG-2",
    ),
    "two dealings, to everyone": (Round.DEALING, lambda payload, to: [payload, payload[:-1] + b"\0"], "DKG-2"),
    "an echo of nothing": (Round.HELLO_ECHO, lambda payload, to: [b"x"], "DKG-5"),
    "a complaint without reason": (Round.COMPLAINT, lambda payload, to: [b"\0\0\0\1" + payload], "DKG-9"),
}


@pytest.mark.parametrize("lie", LIES)
def test_liar_is_blamed_by_all_and_the_others_make_the_key(network, running, lie):
    number, change, rule = LIES[lie]
    liar = network.desks[0] if rule == "DKG-8" else network.desks[3]
    network.liars[liar.identity.address] = lying(liar.identity, number, change)
    honest = [member for member in network.desks if member is not liar]
    index = network.desks.index(liar) + 1
    network.run(running)
    assert_one_network(honest)
    assert all((index, rule) in blamed(member, running) for member in honest)


def test_key_is_announced_only_after_the_trial_decryption_of_enough_members(network, running):
    """Two of four hold shares that do not open the test: three would have to confirm."""

    def spoiled(payload: bytes, _: int) -> Iterator[bytes]:
        confirmation = Confirmation.decode(payload)
        yield replace(confirmation, self_test=bent(confirmation.self_test)).encode()

    for liar in network.desks[2:]:
        network.liars[liar.identity.address] = lying(liar.identity, Round.CONFIRM, spoiled)
    network.settle()
    for member in network.desks[:2]:
        state = member.state(running)
        assert (state.phase, state.signature, state.result) == (Phase.FAILED, (), ())
        assert b"2 members confirmed this transcript, 3 are needed" in state.failure
        assert {(3, "DKG-12"), (4, "DKG-12")} <= blamed(member, running)
        assert not member.home.has_key_set
        assert not list(member.home.path.rglob("key-share*"))


def bent(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_one_wrong_trial_decryption_is_blamed_and_does_not_stop_the_others(network, running):
    liar = network.desks[3]

    def spoiled(payload: bytes, _: int) -> Iterator[bytes]:
        confirmation = Confirmation.decode(payload)
        yield replace(confirmation, self_test=bent(confirmation.self_test)).encode()

    network.liars[liar.identity.address] = lying(liar.identity, Round.CONFIRM, spoiled)
    network.run(running)
    assert_one_network(network.desks[:3])
    assert all((4, "DKG-12") in blamed(member, running) for member in network.desks[:3])


# --- plans that are refused ------------------------------------------------------------------------------------------

PLAN = first_plan(MEMBERS)
OTHER_GENESIS = replace(PLAN.genesis, timestamp_ms=1)


def peers_of(identities, **changes):
    return tuple(CeremonyPeer(address=i.address, **{"url": b"http://peer", "holder": 0} | changes) for i in identities)


STRANGERS = [*MEMBERS[1:], person("stranger")]
IMPOSSIBLE = {
    "of epoch 2": ({"epoch": 2}, "NET-23"),
    "with a predecessor": ({"predecessor": bytes([1]) * 32}, "NET-23"),
    "of no kind": ({"kind": 3}, "NET-24"),
    "of an unknown scheme": ({"scheme": 99}, "NET-24"),
    "with a threshold of none": ({"t": 0, "reduced_threshold": 1}, "NET-24"),
    "with a threshold above all": ({"t": 5}, "NET-24"),
    "with a small threshold that it does not admit": ({"t": 2}, "NET-24"),
    "with a usual threshold said to be small": ({"reduced_threshold": 1}, "NET-24"),
    "with a small threshold for a scheme that must not have it": (
        {"scheme": 2, "t": 2, "reduced_threshold": 1},
        "NET-24",
    ),
    "with rounds for a scheme without": ({"rounds": 5}, "NET-24"),
    "without rounds for a scheme that has them": ({"scheme": 4}, "NET-24"),
    "with another batch limit than the genesis": ({"batch_limit": 7}, "NET-24"),
    "with no batch limit": ({"batch_limit": 0}, "NET-24"),
    "with another sequencer than the genesis": ({"sequencer": OPERATOR.address}, "NET-24"),
    "with other members than the genesis": ({"peers": peers_of([MEMBERS[0], *STRANGERS[1:]])}, "NET-24"),
    "with the members in another order": ({"peers": PLAN.peers[::-1]}, "NET-24"),
    "with a member twice": ({"peers": (*PLAN.peers[:3], PLAN.peers[0])}, "NET-24"),
    "with fewer peers than members": ({"peers": PLAN.peers[:3]}, "NET-24"),
    "with more peers than members": ({"peers": (*PLAN.peers, *peers_of([person("fifth")]))}, "NET-24"),
    "with a holder of a key that is not": ({"peers": peers_of(MEMBERS, holder=1)}, "NET-24"),
    "with a peer without a URL": ({"peers": peers_of(MEMBERS, url=b"")}, "NET-24"),
    "with rounds of no length": ({"round_ms": 0}, "NET-24"),
    "with rounds of a day": ({"round_ms": 86_400_000}, "NET-24"),
    "that hands on a key that is not": ({"kind": 2}, "NET-24"),
    "that shuffles in clear": ({"scheme": 0, "genesis": replace(PLAN.genesis, policy_id=Policy.SHUFFLE)}, "NET-24"),
    "with a genesis that names other members": (
        {"genesis": replace(PLAN.genesis, members=tuple(m.address for m in STRANGERS)), "peers": peers_of(STRANGERS)},
        "NET-25",
    ),
    "that is too old": ({"open_by_ms": int(START) * 1000 - 1}, "NET-25"),
    "with fptx parameters that no message could hold": (
        {
            "scheme": 4,
            "rounds": 1 << 30,
        },
        "NET-24",
    ),
}


@pytest.fixture(scope="module")
def idle(tmp_path_factory) -> Iterator[Member]:
    """A member without a network, for what is refused."""
    network = Network(tmp_path_factory.mktemp("idle"), MEMBERS[:1])
    yield network.desks[0]
    network.desks[0].stop()


@pytest.fixture
def desk(idle) -> CeremonyDesk:
    return idle.desk


@pytest.mark.parametrize("plan", IMPOSSIBLE)
def test_plan_is_refused(idle, desk, plan):
    changes, rule = IMPOSSIBLE[plan]
    with pytest.raises(Rejected) as refused:
        desk.open(sign_plan(replace(PLAN, **changes), OPERATOR), now=START)
    assert refused.value.rule == rule
    assert desk.running is None
    assert idle.journals == []


@pytest.mark.parametrize("plan", [name for name, (_, rule) in IMPOSSIBLE.items() if rule != "NET-25"][:-1])
def test_operator_is_told_what_is_wrong_before_it_signs(plan):
    changes, rule = IMPOSSIBLE[plan]
    with pytest.raises(Rejected) as refused:
        check_plan(replace(PLAN, **changes), None)
    assert refused.value.rule == rule


def test_plan_is_refused_from_another_operator(desk):
    with pytest.raises(Rejected, match="NET-21"):
        desk.open(sign_plan(PLAN, SEQUENCER), now=START)


def test_plan_is_refused_if_the_operator_signed_another(desk):
    signed = replace(sign_plan(PLAN, OPERATOR), plan=replace(PLAN, attempt=9))
    with pytest.raises(Rejected, match="NET-21"):
        desk.open(signed, now=START)


def test_plan_is_refused_with_a_genesis_that_no_ledger_starts_from(desk):
    plan = replace(PLAN, genesis=replace(PLAN.genesis, size_classes=(512, 256)))
    with pytest.raises(Malformed, match="size_classes"):
        desk.open(sign_plan(plan, OPERATOR), now=START)


def test_plan_is_refused_for_another_network_than_the_home_has(network):
    network.desks[0].home.write_genesis(OTHER_GENESIS)
    with pytest.raises(Rejected, match="NET-22"):
        network.desks[0].desk.open(sign_plan(PLAN, OPERATOR), now=START)


def test_plan_is_refused_while_another_one_runs(network, running, members):
    with pytest.raises(Rejected, match="NET-26"):
        network.desks[0].desk.open(sign_plan(first_plan(members, attempt=2), OPERATOR), now=START)
    network.run(running)
    assert_one_network(network.desks)


def test_attempt_number_is_used_once(network, members):
    plan = first_plan(members)
    network.open(plan, network.desks[:1])
    network.run(plan)
    assert network.desks[0].state(plan).phase == Phase.FAILED
    again = replace(plan, round_ms=ROUND_MS + 1, open_by_ms=int(network.now) * 1000 + 1000)
    assert again.ceremony_id == plan.ceremony_id
    with pytest.raises(Rejected, match="NET-26"):
        network.desks[0].desk.open(sign_plan(again, OPERATOR), now=network.now)


def test_first_epoch_is_refused_once_the_network_is_here(network, running, members):
    network.run(running)
    with pytest.raises(Rejected, match="NET-23"):
        network.desks[0].desk.open(sign_plan(first_plan(members, attempt=2), OPERATOR), now=START)


# --- messages that are refused ---------------------------------------------------------------------------------------


@pytest.fixture
def hello(network, running) -> CeremonyMessage:
    """What member 2 says first, still on its way."""
    letters = (outgoing for sender, outgoing in network.letters if sender is network.desks[1])
    return next(letters).message.message


def forged(hello, network, **changes) -> SignedCeremonyMessage:
    signer = changes.pop("signer", network.desks[1].identity)
    return enveloped(signer, replace(hello, **changes))


FORGERIES = {
    "of a stranger": (lambda network: {"signer": person("stranger")}, "NET-28"),
    "of another member in its name": (lambda network: {"signer": network.desks[2].identity}, "NET-28"),
    "as another member's": (lambda network: {"sender": 3}, "NET-28"),
    "as the recipient's own": (lambda network: {"sender": 1, "signer": network.desks[0].identity}, "NET-28"),
    "of peer 0": (lambda network: {"sender": 0}, "NET-28"),
    "of a peer that is not": (lambda network: {"sender": 5}, "NET-28"),
    "for another member": (lambda network: {"recipient": 3}, "NET-28"),
    "about nothing": (lambda network: {"purpose": 7}, "NET-28"),
    "of another ceremony": (lambda network: {"ceremony_id": bytes(32)}, "NET-27"),
    "that is no signature of a key set": (lambda network: {"purpose": Purpose.FIRST_KEY_SET}, "NET-29"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_message_is_refused_before_the_party_sees_it(network, running, hello, monkeypatch, forgery):
    changes, rule = FORGERIES[forgery]
    member = network.desks[0]
    party = member.desk._run.party
    monkeypatch.setattr(party, "receive", lambda *_, **__: pytest.fail("the party was shown it"))
    with pytest.raises(Rejected) as refused:
        member.desk.receive(forged(hello, network, **changes(network)), now=START)
    assert refused.value.rule == rule
    assert blamed(member, running) == set()


def test_message_is_refused_with_another_networks_signature(network, running, hello):
    signature = network.desks[1].identity.sign(signing_digest(hello, OTHER_GENESIS.root))
    with pytest.raises(Rejected, match="NET-28"):
        network.desks[0].desk.receive(SignedCeremonyMessage(message=hello, signature=signature), now=START)


def test_message_that_was_refused_since_the_plan_comes_later_is_taken_when_it_comes_again(network, members):
    plan = first_plan(members)
    network.open(plan, network.desks[:1])
    network.settle()
    assert {rejected.rule for rejected in network.refusals} == {"NET-27"}
    network.open(plan, network.desks[1:])
    network.run(plan)
    assert_one_network(network.desks)
    assert not any(blamed(member, plan) for member in network.desks)


def test_message_after_the_end_is_harmless(network, running, hello):
    network.run(running)
    state = network.desks[0].state(running)
    assert network.desks[0].desk.receive(forged(hello, network), now=network.now) == ()
    assert network.desks[0].state(running) == state


# --- the first key set -----------------------------------------------------------------------------------------------


def hold_back(network: Network, purpose: Purpose, to: Iterable[int] = (1, 2, 3, 4)) -> Callable[[], None]:
    """Letters of one purpose to these peers stay away until the returned function is called."""
    deliver, to = network.deliver, set(to)

    def holding(sender, outgoing):
        if outgoing.message.message.purpose != purpose or outgoing.peer not in to:
            deliver(sender, outgoing)

    network.deliver = holding

    def let_go() -> None:
        network.deliver = deliver

    return let_go


def test_first_key_set_waits_for_the_signatures_of_enough_members(network, running):
    let_go = hold_back(network, Purpose.FIRST_KEY_SET)
    network.settle()
    assert phases(network, running) == [Phase.DONE] * 4
    assert [member.state(running).signatures for member in network.desks] == [1] * 4
    assert not any(member.home.has_key_set for member in network.desks)
    for member in network.desks:
        member.restart()
    let_go()
    network.run(running)
    assert_one_network(network.desks)


def test_first_key_set_needs_more_signatures_than_a_reduced_threshold(network, members):
    plan = first_plan(members, t=2)
    let_go = hold_back(network, Purpose.FIRST_KEY_SET, to=[1])
    network.open(plan)
    network.settle()
    first = network.desks[0]
    (letter,) = (letter for letter in network.desks[1].desk.tick(now=START + 2) if letter.peer == 1)
    first.desk.receive(letter.message, now=START + 2)
    assert (first.state(plan).signatures, first.home.has_key_set) == (2, False)
    let_go()
    network.run(plan)
    assert_one_network(network.desks)


def test_signature_of_another_first_key_set_is_refused(network, running):
    let_go = hold_back(network, Purpose.FIRST_KEY_SET)
    network.settle()
    first, liar = network.desks[:2]
    other = replace(key_set_of_first(running, first.desk.pending(1).public), sequencer=liar.identity.address)
    message = CeremonyMessage(
        ceremony_id=running.ceremony_id,
        sender=2,
        recipient=0,
        purpose=Purpose.FIRST_KEY_SET,
        data=liar.identity.sign(signing_digest(other, running.genesis.root)),
    )
    with pytest.raises(Rejected, match="NET-29"):
        first.desk.receive(enveloped(liar.identity, message), now=START)
    let_go()
    network.run(running)
    assert_one_network(network.desks)


def test_signature_of_a_first_key_set_is_refused_in_a_later_ceremony(second, members):
    plan = next_plan(second, members)
    second.open(plan, second.desks[:1])
    message = CeremonyMessage(
        ceremony_id=plan.ceremony_id, sender=2, recipient=0, purpose=Purpose.FIRST_KEY_SET, data=bytes(65)
    )
    with pytest.raises(Rejected, match="NET-29"):
        second.desks[0].desk.receive(enveloped(members[1], message), now=START)


def test_signature_that_came_before_the_key_and_fits_another_one_does_not_count(network, running):
    liar = network.desks[1]
    message = CeremonyMessage(
        ceremony_id=running.ceremony_id,
        sender=2,
        recipient=0,
        purpose=Purpose.FIRST_KEY_SET,
        data=liar.identity.sign(bytes(32)),
    )
    network.desks[0].desk.receive(enveloped(liar.identity, message), now=START)
    network.settle()
    assert network.desks[0].state(running).signatures == 3
    assert_one_network(network.desks)
    network.desks[0].restart()
    assert network.desks[0].state(running).signatures == 3


def test_network_is_completed_where_its_files_could_not_be_written_at_first(network, running, monkeypatch):
    """All signatures had come and were acknowledged, so nobody says them again."""
    last, write = network.desks[3], Home.write_network

    def full(home, *arguments):
        if home is last.home:
            raise OSError(28, "No space left on device")
        write(home, *arguments)

    let_go = hold_back(network, Purpose.FIRST_KEY_SET, to=[4])
    network.settle()
    assert last.state(running).signature
    with monkeypatch.context() as patch:
        patch.setattr(Home, "write_network", full)
        for member in network.desks[:3]:
            for outgoing in [o for o in member.desk.tick(now=START + 2) if o.peer == 4]:
                with suppress(EnvironmentProblem):
                    last.desk.receive(outgoing.message, now=START + 2)
                member.desk.delivered(outgoing)
        with pytest.raises(EnvironmentProblem, match="No space left"):
            last.desk.tick(now=START + 2)
    let_go()
    last.restart()
    network.pass_time()
    assert_one_network(network.desks)


def test_genesis_is_written_at_the_start_where_the_process_ended_before(network, running):
    network.run(running)
    network.desks[0].home.genesis_path.unlink()
    network.desks[0].restart()
    network.pass_time()
    assert_one_network(network.desks)


def test_signature_is_not_sent_any_more_once_another_epoch_began(second, members):
    member = second.desks[0]
    member.restart()
    assert {outgoing.peer for outgoing in member.desk.tick(now=START)} == {2, 3, 4}
    plan = next_plan(second, members)
    second.open(plan)
    second.run(plan)
    key_set = successor(second, member, plan)
    signatures = [identity.sign(signing_digest(key_set, key_set.genesis_root)) for identity in members]
    member.home.write_key_set(sign_key_set(key_set, signatures))
    member.restart()
    sent = {outgoing.message.message.ceremony_id for outgoing in member.desk.tick(now=START)}
    assert sent == {plan.ceremony_id}


def test_second_signature_of_a_member_is_refused(network, running):
    hold_back(network, Purpose.FIRST_KEY_SET)
    message = CeremonyMessage(
        ceremony_id=running.ceremony_id, sender=2, recipient=0, purpose=Purpose.FIRST_KEY_SET, data=bytes(65)
    )
    liar, first = network.desks[1].identity, network.desks[0]
    first.desk.receive(enveloped(liar, message), now=START)
    with pytest.raises(Rejected, match="NET-29"):
        first.desk.receive(enveloped(liar, replace(message, data=b"1" * 65)), now=START)


def test_member_signs_one_first_key_set_of_a_genesis(network, running, members):
    """Else two networks of one name could both have signatures enough."""
    hold_back(network, Purpose.FIRST_KEY_SET)
    network.settle()
    again = first_plan(members, attempt=2)
    for member in network.desks:
        with pytest.raises(Rejected, match="NET-26"):
            member.desk.open(sign_plan(again, OPERATOR), now=START)
        member.restart()
        with pytest.raises(Rejected, match="NET-26"):
            member.desk.open(sign_plan(again, OPERATOR), now=START)


def test_another_genesis_starts_anew_where_the_first_one_stayed_without_signatures(network, running, members):
    let_go = hold_back(network, Purpose.FIRST_KEY_SET)
    network.settle()
    again = first_plan(members, attempt=2, genesis=replace(running.genesis, timestamp_ms=5))
    network.open(again)
    let_go()
    network.pass_time()
    network.run(again)
    assert all(member.state(running).signatures == 4 for member in network.desks)
    assert_one_network(network.desks)
    assert network.key_set.genesis_root == again.genesis.root


def test_first_genesis_stands_where_the_second_one_failed(network, running, members):
    let_go = hold_back(network, Purpose.FIRST_KEY_SET)
    network.settle()
    again = first_plan(members, attempt=2, genesis=replace(running.genesis, timestamp_ms=5))
    network.open(again, network.desks[:2])
    let_go()
    network.pass_time(3.0)
    assert [member.home.has_key_set for member in network.desks] == [False, False, True, True]
    network.run(again)
    assert phases_of(network.desks[:2], again) == [Phase.FAILED] * 2
    assert_one_network(network.desks)
    assert network.key_set.genesis_root == running.genesis.root


# --- what is on the disk ---------------------------------------------------------------------------------------------


def journal_of(member: Member, plan: CeremonyPlan):
    return member.home.path / "member" / "ceremonies" / f"{plan.ceremony_id.hex()}.sqlite"


def test_journal_tells_nothing_to_who_has_it_without_the_identity(network, members, monkeypatch):
    secrets, sealed = [], CeremonyDesk._sealed

    def noting(desk, ceremony, record):
        if record.kind == EPHEMERAL_RECORD:
            secrets.append(record.value)
        return sealed(desk, ceremony, record)

    monkeypatch.setattr(CeremonyDesk, "_sealed", noting)
    plan, member = first_plan(members), network.desks[0]
    network.open(plan, [member])
    ((secret,), files) = secrets, list(journal_of(member, plan).parent.glob("*"))
    assert len(secret) == 40
    assert len(files) >= 2
    for path in files:
        assert secret[8:] not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_value_is_never_sealed_twice_under_one_key(network, running):
    desk = network.desks[0].desk
    ceremony = desk._run.ceremony
    record = ceremonies.Persist(kind=EPHEMERAL_RECORD, key=b"key", value=b"value")
    first, second = desk._sealed(ceremony, record), desk._sealed(ceremony, record)
    assert first.value[:32] != second.value[:32]
    assert first.value[32:] != second.value[32:]


def test_ceremony_ends_where_the_journal_is_of_another_identity(network, running, members):
    first, second = network.desks[:2]
    first.stop()
    second.stop()
    shutil.copy(journal_of(first, running), journal_of(second, running))
    second.restart()
    network.act(second, lambda desk: desk.tick(now=START))
    assert second.state(running).phase == Phase.FAILED
    assert b"after a restart" in second.state(running).failure
    assert second.journals == []


def test_ceremony_ends_where_the_journal_is_gone(network, running):
    """It may have spoken, and must not speak again."""
    member = network.desks[0]
    member.stop()
    for path in journal_of(member, running).parent.glob(f"{running.ceremony_id.hex()}*"):
        path.unlink()
    member.restart()
    assert member.state(running).phase == Phase.FAILED
    assert b"journal of the ceremony is gone" in member.state(running).failure
    assert list(member.desk.tick(now=START)) == []


def test_journal_of_a_ceremony_that_is_over_is_removed_at_the_next_start(network, running):
    member = network.desks[0]
    folder = journal_of(member, running).parent
    shutil.copytree(folder, network.path / "copy")
    network.run(running)
    member.stop()
    for name in (network.path / "copy").glob(f"{running.ceremony_id.hex()}*"):
        shutil.copy(name, folder)
    assert len(member.journals) == 3
    member.restart()
    assert member.journals == []
    assert_one_network(network.desks)


def test_desk_stays_usable_when_the_disk_refuses_a_write(network, running, monkeypatch):
    put, refused = DatabaseStore.put, []

    def full(store, records):
        if network.chance.random() < 0.2:
            refused.append(records)
            raise StorageError("the disk is full")
        put(store, records)

    monkeypatch.setattr(DatabaseStore, "put", full)
    act = network.act

    def bearing(member, action):
        try:
            return act(member, action)
        except StorageError:
            return False

    network.act = bearing
    network.run(running)
    assert len(refused) > 10
    monkeypatch.undo()
    assert not any(blamed(member, running) for member in network.desks)
    assert_one_network(network.desks)


def test_plan_whose_journal_cannot_be_written_was_not_opened(network, members, monkeypatch):
    plan, member, put = first_plan(members), network.desks[0], DatabaseStore.put
    failing = {"ceremony-plan": 2}

    def full(store, records):
        kind = records[0].kind
        if failing.get(kind, 0):
            failing[kind] -= 1
            if not failing[kind]:
                raise StorageError("the disk is full")
        put(store, records)

    monkeypatch.setattr(DatabaseStore, "put", full)
    with pytest.raises(StorageError):
        member.desk.open(sign_plan(plan, OPERATOR), now=START)
    assert member.desk.state(plan.ceremony_id) is None
    assert member.journals == []
    network.open(plan)
    network.run(plan)
    assert_one_network(network.desks)


# --- later epochs ----------------------------------------------------------------------------------------------------


def join(network: Network, name: str) -> Member:
    """A member to come, which has taken the network's files from another one."""
    member, source = network.add(person(name)), network.desks[0].home
    (signed,) = source.key_sets()
    member.home.write_network(source.genesis(), signed, source.parameters(signed.message))
    return member


def successor(network: Network, member: Member, plan: CeremonyPlan, **changes):
    public = member.desk.pending(2).public
    return replace(key_set_of_successor(plan, public, network.key_set, start=START_2), **changes)


def adopted(network: Network, members: Iterable[Member], key_set) -> Committee:
    """The members of the first epoch sign, and the next committee is checked like anywhere else."""
    before = network.key_set
    signatures = [
        member.identity.sign(signing_digest(key_set, key_set.genesis_root))
        for member in network.desks
        if member.identity.address in before.members
    ]
    home = network.desks[0].home
    first = Committee.load(home.genesis(), home.key_sets()[0], home.parameters(before))
    following = first.load_successor(sign_key_set(key_set, signatures), home.parameters(key_set))
    test = DerivedSelfTest(following.scheme, network=following.genesis.root, random=system)
    for member in members:
        assert_good_share(member, following, test)
        assert member.journals == []
    return following


def test_key_is_handed_on_to_a_committee_with_one_who_joins_and_without_one_who_leaves(second, members):
    joining, (leaving, *staying) = join(second, "joining"), second.desks[:4]
    plan = next_plan(second, [*members[1:], joining.identity], [members[0]])
    second.open(plan)
    second.run(plan)
    assert phases(second, plan) == [Phase.DONE] * 5
    key_set = successor(second, leaving, plan)
    for member in second.desks:
        member.restart()
        assert member.desk.pending(2).public == leaving.desk.pending(2).public
        member.desk.check_successor(key_set)
    following = adopted(second, [*staying, joining], key_set)
    assert following.key_set.key_id == second.key_set.key_id
    assert leaving.desk.pending(2).index is None
    assert leaving.desk.result(plan.ceremony_id) is None
    assert not (leaving.home.path / "member" / "key-share-2.json").exists()
    assert second.now == START


def test_member_that_lost_its_share_gets_one_from_the_others(second, members):
    lost = second.desks[2]
    lost.home.erase_key_share("member", 1)
    with pytest.raises(EnvironmentProblem):
        lost.desk.open(sign_plan(next_plan(second, members), OPERATOR), now=second.now)
    plan = next_plan(second, members, lost=[members[2]], attempt=2)
    second.open(plan)
    second.run(plan)
    adopted(second, second.desks, successor(second, lost, plan))


def test_member_does_not_deal_a_share_that_is_not_that_of_the_key(second, members):
    member = second.desks[0]
    member.home.write_key_share("member", KeyShare(1, bytes(31) + b"\1"), b"", member.password, epoch=1)
    with pytest.raises(EnvironmentProblem, match="does not fit"):
        member.desk.open(sign_plan(next_plan(second, members), OPERATOR), now=second.now)
    assert member.journals == []


@pytest.mark.parametrize("who", [0, 1, 4])
def test_peer_of_a_handover_that_dies_again_and_again_takes_part_to_the_end(second, members, deaths, who):
    """One who leaves, one who stays, one who joins."""
    joining = join(second, "joining")
    second.deaths, deaths.member, deaths.at = deaths, second.desks[who], set(range(who, 100, 3))
    plan = next_plan(second, [*members[1:], joining.identity], [members[0]])
    second.open(plan)
    second.run(plan)
    assert phases(second, plan) == [Phase.DONE] * 5
    assert not any(blamed(member, plan) for member in second.desks)
    assert deaths.member.lives > 8
    adopted(second, second.desks[1:], successor(second, joining, plan))


def test_another_key_of_another_scheme_is_made_for_the_next_epoch(second, members):
    scheme = load_scheme("ibe")
    plan = next_plan(second, members, kind=Kind.GENERATE, scheme=scheme.info.number, peers=peers_of(members))
    second.open(plan)
    second.run(plan)
    key_set = successor(second, second.desks[0], plan, start_parent=ZERO_HASH, start_round=0)
    second.desks[0].desk.check_successor(key_set)
    following = adopted(second, second.desks, key_set)
    assert following.scheme.info.name == "ibe"
    assert following.key_set.setup_privacy == scheme.setup_privacy(4, 3)
    assert second.desks[0].state(plan).signature == ()


HANDOVERS = {
    "by too few holders": ({"lost": MEMBERS[:2]}, {}, "NET-24"),
    "under another scheme": ({}, {"scheme": 2}, "NET-24"),
    "with another batch limit": ({}, {"batch_limit": 5}, "NET-24"),
    "with rounds": ({}, {"rounds": 5}, "NET-24"),
    "to one member twice": ({}, {"peers": peers_of([*MEMBERS[:3], MEMBERS[0]], holder=1)}, "NET-24"),
    "and another key with batches above the genesis' limit": (
        {},
        {"kind": 1, "batch_limit": 4097, "peers": PLAN.peers},
        "NET-24",
    ),
    "and another key with empty batches": ({}, {"kind": 1, "batch_limit": 0, "peers": PLAN.peers}, "NET-24"),
    "to more members than there are peers": ({}, {"n": 5, "t": 4}, "NET-24"),
    "by one who never held a share": ({}, {"peers": peers_of([*MEMBERS, person("stranger")], holder=1)}, "NET-24"),
    "with one who leaves and does not deal": ({"leavers": [person("stranger")]}, {}, "NET-24"),
    "of the epoch before": ({}, {"epoch": 1}, "NET-23"),
    "of the epoch after": ({}, {"epoch": 3}, "NET-23"),
    "from another predecessor": ({}, {"predecessor": bytes([7]) * 32}, "NET-23"),
}


@pytest.fixture(scope="module")
def unchanged(started, tmp_path_factory) -> Iterator[Network]:
    """A network of epoch 1 for what is refused."""
    network = started("tdh2", tmp_path_factory.mktemp("unchanged") / "homes")
    yield network
    for member in network.desks:
        member.stop()


@pytest.mark.parametrize("handover", HANDOVERS)
def test_handover_is_refused(unchanged, handover):
    arguments, changes, rule = HANDOVERS[handover]
    plan = next_plan(unchanged, MEMBERS, **arguments, **changes)
    with pytest.raises(Rejected) as refused:
        unchanged.desks[0].desk.open(sign_plan(plan, OPERATOR), now=unchanged.now)
    assert refused.value.rule == rule


def test_handover_is_refused_of_a_key_that_cannot_be_shared_anew(unchanged):
    before = replace(unchanged.key_set, scheme=load_scheme("clear").info.number)
    plan = next_plan(unchanged, MEMBERS, scheme=before.scheme, predecessor=before.root)
    with pytest.raises(Rejected, match="NET-24"):
        check_plan(plan, before)


@pytest.fixture(scope="module")
def prepared(started, tmp_path_factory) -> Iterator[tuple[Network, CeremonyPlan]]:
    """A network whose key is shared anew, with no key set announced."""
    network = started("tdh2", tmp_path_factory.mktemp("prepared") / "homes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("encmempool.home.os.fsync", lambda descriptor: None)
        plan = next_plan(network, MEMBERS, sequencer=OPERATOR.address)
        network.open(plan)
        network.run(plan)
    yield network, plan
    for member in network.desks:
        member.stop()


WRONG_SUCCESSORS = {
    "members": lambda k: k.members[::-1],
    "t": lambda k: 4,
    "n": lambda k: 3,
    "reduced_threshold": lambda k: 1,
    "key_id": lambda k: bytes(32),
    "encryption_key": lambda k: k.verification_keys[0],
    "verification_keys": lambda k: k.verification_keys[::-1],
    "parameter_digest": lambda k: bytes(32),
    "batch_limit": lambda k: k.batch_limit - 1,
    "rounds": lambda k: 1,
    "setup_kind": lambda k: 2,
    "setup_privacy": lambda k: 4,
    "scheme": lambda k: 2,
    "sequencer": lambda k: SEQUENCER.address,
    "policy_id": lambda k: Policy.SHUFFLE,
    "policy_parameters": lambda k: b"1",
    "valid_until": lambda k: 100,
    "predecessor": lambda k: bytes(32),
    "genesis_root": lambda k: bytes(32),
}


@pytest.mark.parametrize("field", WRONG_SUCCESSORS)
def test_successor_is_refused_with_another(prepared, field):
    network, plan = prepared
    key_set = successor(network, network.desks[0], plan)
    with pytest.raises(Rejected, match="NET-30"):
        network.desks[0].desk.check_successor(replace(key_set, **{field: WRONG_SUCCESSORS[field](key_set)}))


def test_successor_is_refused_of_an_epoch_without_a_ceremony(prepared):
    network, plan = prepared
    with pytest.raises(Rejected, match="NET-30"):
        network.desks[0].desk.check_successor(successor(network, network.desks[0], plan, epoch=3))


def test_successor_may_start_anywhere(prepared):
    network, plan = prepared
    for start in (START_2, (9, b"\x09" * 32, 4)):
        key_set = successor(network, network.desks[1], plan)
        height, parent, number = start
        network.desks[1].desk.check_successor(
            replace(key_set, start_height=height, start_parent=parent, start_round=number)
        )


def test_no_ceremony_replaces_the_share_of_a_key_set_that_is_being_signed(second, members):
    first = next_plan(second, members)
    second.open(first)
    second.run(first)
    again = next_plan(second, members, attempt=2)
    second.desks[0].desk.check_successor(successor(second, second.desks[0], first))
    for _ in range(2):
        with pytest.raises(Rejected, match="NET-26"):
            second.desks[0].desk.open(sign_plan(again, OPERATOR), now=second.now)
        second.desks[0].restart()


def test_newest_attempt_of_an_epoch_counts(second, members):
    first, again = next_plan(second, members), next_plan(second, members, attempt=2)
    second.open(first)
    second.run(first)
    earlier = successor(second, second.desks[0], first)
    second.open(again)
    with pytest.raises(Rejected, match="NET-30"):
        second.desks[0].desk.check_successor(earlier)
    second.run(again)
    with pytest.raises(Rejected, match="NET-30"):
        second.desks[0].desk.check_successor(earlier)
    key_set = successor(second, second.desks[0], again)
    second.desks[0].desk.check_successor(key_set)
    adopted(second, second.desks, key_set)


def test_attempt_that_failed_leaves_the_one_before_in_its_place(second, members):
    first, again = next_plan(second, members), next_plan(second, members, attempt=2)
    second.open(first)
    second.run(first)
    second.open(again, second.desks[:1])
    second.run(again)
    assert second.desks[0].state(again).phase == Phase.FAILED
    key_set = successor(second, second.desks[0], first)
    second.desks[0].desk.check_successor(key_set)
    adopted(second, second.desks, key_set)


def test_ceremony_leaves_the_share_of_an_epoch_that_began_meanwhile(second, members):
    first = next_plan(second, members)
    second.open(first)
    second.run(first)
    key_set = successor(second, second.desks[0], first)
    again = next_plan(second, members, attempt=2)
    second.open(again)
    signatures = [m.sign(signing_digest(key_set, key_set.genesis_root)) for m in members]
    before = second.key_set
    second.desks[0].home.write_key_set(sign_key_set(key_set, signatures))
    second.run(again)
    assert phases(second, again) == [Phase.FAILED, *[Phase.DONE] * 3]
    assert b"NET-23" in second.desks[0].state(again).failure
    home = second.desks[0].home
    following = Committee.load(home.genesis(), home.key_sets()[0]).load_successor(home.key_sets()[1])
    assert before.epoch == 1
    assert_good_share(
        second.desks[0], following, DerivedSelfTest(following.scheme, network=following.genesis.root, random=system)
    )


@pytest.mark.parametrize("restarts", [False, True])
def test_member_keeps_its_share_when_the_others_key_set_reaches_it_first(network, running, restarts):
    """Its node took the network from theirs before its own ceremony had ended."""
    last = network.desks[3]
    let_go = hold_back_last_words(network)
    network.settle()
    source = network.desks[0].home
    (signed,) = source.key_sets()
    last.home.write_network(source.genesis(), signed, b"")
    if restarts:
        last.restart()
    let_go()
    network.run(running)
    assert phases(network, running) == [Phase.DONE] * 4
    assert_one_network(network.desks)


@pytest.mark.parametrize("restarts", [False, True])
def test_member_keeps_its_share_when_the_successor_reaches_it_first(second, members, restarts):
    plan = next_plan(second, members)
    second.open(plan)
    let_go = hold_back_last_words(second)
    second.settle()
    key_set, last = successor(second, second.desks[0], plan), second.desks[3]
    signatures = [member.sign(signing_digest(key_set, key_set.genesis_root)) for member in members]
    last.home.write_key_set(sign_key_set(key_set, signatures))
    if restarts:
        last.restart()
    let_go()
    second.run(plan)
    assert phases(second, plan) == [Phase.DONE] * 4
    assert last.state(plan).result == second.desks[0].state(plan).result
    adopted(second, second.desks, key_set)


def hold_back_last_words(network: Network) -> Callable[[], None]:
    """What ends the ceremony stays away from member 4."""
    deliver = network.deliver

    def cut(sender, outgoing):
        message = outgoing.message.message
        ends = message.purpose == Purpose.FIRST_KEY_SET or message.data[0] == Round.CONFIRM
        if not (outgoing.peer == 4 and ends):
            deliver(sender, outgoing)

    def let_go() -> None:
        network.deliver = deliver

    network.deliver = cut
    return let_go


def test_plan_of_a_scheme_that_nobody_has_has_no_name(members):
    plan = replace(first_plan(members), scheme=40)
    with pytest.raises(Rejected, match=r"unknown scheme number 40.*NET-24"):
        _ = plan.ceremony_id
