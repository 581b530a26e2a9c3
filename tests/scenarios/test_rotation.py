"""From committee to committee: what survives, what a crash leaves, who may still sign what, and what the audit sees.

KEY-8 to KEY-10, VOT-2, SEQ-4, SEQ-10, and the stated limit that kept old shares still open.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import count

import pytest

from encmempool import audit
from encmempool.audit import MAGIC, AuditFailed, Kind
from encmempool.committee import Ballot, Member
from encmempool.errors import Conflict, EnvironmentProblem, Malformed, Rejected
from encmempool.home import Home
from encmempool.keysets import public_material, sign_key_set, successor_key_set
from encmempool.network.local import LocalNetwork, check_share
from encmempool.network.rotation import Change, retire, rotate
from encmempool.network.view import LocalView
from encmempool.reveal import Follower
from encmempool.store import DatabaseStore, perform
from encmempool.transactions import encrypt_transaction
from encmempool.types import (
    ZERO_HASH,
    Erasure,
    KeySet,
    ShareRelease,
    SignedErasure,
    SignedKeySet,
    SignedShare,
    SignedVote,
)
from threshold.encoding import u64
from threshold.entropy import deterministic
from threshold.errors import NotEnoughShares
from threshold.keys import KeyShare
from threshold.schemes.base import Batch
from threshold.schemes.registry import load_scheme

_seeds = count()


@pytest.fixture(autouse=True)
def unsynced_files(monkeypatch):
    """As with the databases: these tests end processes, they do not cut the power."""
    monkeypatch.setattr("encmempool.home.os.fsync", lambda descriptor: None)


def hand_over(world, **change):
    return rotate(world.network, Change(**change), random=world.random)


def encrypt_for(world, committee, person, nonce=0, *, valid_until=100):
    return encrypt_transaction(
        world.payload(person, nonce),
        terms=committee.terms,
        scheme=committee.scheme,
        public_key=committee.public_key,
        identity=person,
        valid_until=valid_until,
        random=world.random,
    )


def submit(world, transaction):
    return world.network.submit(transaction.encoded).message


def codes(executed):
    return [receipt.code for receipt in executed.receipts]


def state_of(world, transaction):
    return LocalView(world.network).status(transaction.tx_id).state


def share_files(world, epoch):
    name = "key-share" if epoch == 1 else f"key-share-{epoch}"
    return sorted(path.parent.name for path in world.home.path.glob(f"members/*/{name}.json"))


def shares_are_good(world):
    committee = world.network.committees[-1]
    states = {check_share(world.home, committee, i, world.password) for i in range(1, committee.key_set.n + 1)}
    return states == {"good"}


def waiting(world):
    return [transaction for transaction, _ in world.network.sequencer.uncommitted()]


@pytest.fixture(scope="module")
def anybody(new_world, tmp_path_factory):
    """The people of all these worlds."""
    return new_world(tmp_path_factory.mktemp("anybody") / "home", "clear")


@pytest.fixture(scope="module")
def homes(new_world, anybody, tmp_path_factory):
    """Homes at a stage, each brought there once: one executed height, two transactions that wait, and what follows."""
    made = {}
    steps = {
        "refreshed": {},
        "moved": {"remove": frozenset({2}), "add": 1},
        "grown": {"add": 1},
        "overlapping": {"scheme": load_scheme("ibe"), "overlap": 2, "add": 1},
    }

    def make(scheme, stage):
        if (scheme, stage) not in made:
            path = tmp_path_factory.mktemp(f"{scheme}-{stage}") / "home"
            if stage == "started":
                world = new_world(path, scheme)
                until = 2 if scheme == "ibe" else 100
                world.run_height(world.transfer(world.people[0], valid_until=1 if scheme == "ibe" else 100))
                for person in world.people[1:3]:
                    world.network.submit(world.transfer(person, valid_until=until).encoded)
            else:
                shutil.copytree(make(scheme, "started"), path)
                world = renewed(anybody, path)
                hand_over(world, **steps[stage])
            made[scheme, stage] = path
        return made[scheme, stage]

    return make


def renewed(world, path):
    """The world of a home that is there, with randomness of its own: one stream twice would repeat identities."""
    home = Home(path)
    random = deterministic(b"rotation %d" % next(_seeds))
    return replace(world, home=home, password=home.generated_password(), clock=type(world.clock)(), random=random)


@pytest.fixture
def at(homes, anybody, tmp_path):
    """The world of a stage, on a copy of its home."""

    def make(stage, scheme="tdh2"):
        path = tmp_path / f"{scheme} {stage} {next(_seeds)}"
        shutil.copytree(homes(scheme, stage), path)
        return renewed(anybody, path)

    return make


# --- the same key, shared anew ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "change", "n", "t"),
    [
        ("tdh2", {}, 4, 3),
        ("tdh2", {"remove": frozenset({2})}, 3, 3),
        ("tdh2", {"add": 1, "threshold": 5}, 5, 5),
        ("tdh2", {"threshold": 2, "reduced_threshold": True}, 4, 2),
        ("ibe", {"remove": frozenset({1}), "add": 2, "threshold": 5}, 5, 5),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_key_shared_anew_keeps_its_name_and_opens_what_waits(at, scheme, change, n, t):
    world = at("started", scheme)
    before, held = world.network.committees[0], waiting(world)
    made = hand_over(world, **change)
    key_set = made.key_set
    assert (key_set.key_id, key_set.epoch, key_set.start_height) == (before.key_set.key_id, 2, 2)
    assert (key_set.n, key_set.t, key_set.predecessor) == (n, t, before.committee_id)
    world.restart()
    assert shares_are_good(world)
    assert [t.tx_id for t in waiting(world)] == [t.tx_id for t in held]
    executed = world.run_height()
    assert codes(executed) == ["executed"] * 2
    assert executed.ready.commitment.committee_id == made.committee_id
    assert len(executed.certificate.signatures) == t
    report = audit.verify(audit.export(world.network))
    assert (report.committee_id, report.members, report.threshold) == (made.committee_id, n, t)
    assert (report.heights, report.executed_height, report.reduced) == (2, 2, t < 2 * n // 3 + 1)


def test_key_is_handed_on_again_and_again_with_a_restart_after_every_step(at):
    world = at("moved")
    for epoch, change in ((3, {"remove": frozenset({1})}), (4, {"add": 1})):
        world.restart()
        world.network.commit()
        world.restart()
        world.network.reveal()
        world.restart()
        world.network.submit(world.transfer(world.people[epoch]).encoded)
        world.restart()
        assert hand_over(world, **change).key_set.epoch == epoch
        assert world.restart().committees[-1].key_set.epoch == epoch
        assert share_files(world, epoch - 1) == []
        assert len(share_files(world, epoch)) == world.network.committees[-1].key_set.n
    assert codes(world.run_height()) == ["executed"]
    assert len({c.key_set.key_id for c in world.network.committees}) == 1
    assert audit.verify(audit.export(world.restart())).heights == 4


def test_second_rotation_waits_for_a_height_of_the_first(at):
    world = at("refreshed")
    with pytest.raises(ValueError, match=r"no height of epoch 2 is committed yet, it starts at 2: run `sequencer comm"):
        hand_over(world)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"remove": frozenset({5})}, "there is no member 5 to remove: the committee has 4"),
        ({"threshold": 2}, "use at least 3, or say --reduced-threshold"),
        ({"threshold": 5}, "between 1 and the 4 members"),
        ({"remove": frozenset({1, 2, 3, 4})}, "between 1 and the 0 members"),
        ({"overlap": 3}, "belong to a new key: ask for one"),
        ({"rounds": 3}, "belong to a new key: ask for one"),
        ({"new_key": True, "rounds": 3}, "tdh2 opens any number of batches: leave the rounds away"),
        ({"new_key": True, "batch_limit": 9}, "the genesis allows batches of 8 at most"),
    ],
    ids=lambda value: None if isinstance(value, str) else ", ".join(value),
)
def test_impossible_change_is_refused_and_nothing_changes(at, change, message):
    world = at("started")
    before = {path: path.read_bytes() for path in world.home.path.rglob("*") if path.suffix in (".json", ".ssz")}
    with pytest.raises(ValueError, match=message):
        hand_over(world, **change)
    assert {
        path: path.read_bytes() for path in world.home.path.rglob("*") if path.suffix in (".json", ".ssz")
    } == before
    assert codes(world.run_height()) == ["executed"] * 2


@pytest.mark.parametrize("lost", ["all files", "damaged identity", "damaged share"])
def test_lost_member_is_replaced_by_the_others(at, lost):
    world = at("started")
    folder = world.home.path / "members" / "2"
    if lost == "all files":
        shutil.rmtree(folder)
    else:
        (folder / ("identity.json" if lost == "damaged identity" else "key-share.json")).write_text("{")
    made = hand_over(world, remove=frozenset({2}), add=1)
    assert made.key_set.n == 4
    assert codes(world.run_height()) == ["executed"] * 2
    assert len(world.network.seats) == 4
    assert len(world.network.erasures(of=made.key_set.predecessor)) == (4 if lost == "damaged share" else 3)


def test_damaged_identity_of_one_member_costs_that_member_only(at):
    world = at("grown")
    (world.home.path / "members" / "1" / "identity.json").write_text("{")
    world.restart()
    assert codes(world.run_height()) == ["executed"] * 2
    assert list(world.network.absent) == [1]


def test_rotation_needs_the_files_of_everyone_who_stays(at):
    world = at("started")
    shutil.rmtree(world.home.path / "members" / "2")
    with pytest.raises(EnvironmentProblem, match=r"identity\.json is missing"):
        hand_over(world)
    assert len(world.restart().committees) == 1


# --- who has left, and what is left of them --------------------------------------------------------------------------


def old_member(world, index, share=None):
    """A member of the first committee as it could still run, with all that was published."""
    follower = Follower(
        world.network.committees[0],
        successors=world.network.committees[1:],
        records=world.home.store("archive"),
    )
    role = f"members/{index}"
    return Member(
        index=index,
        chain=follower.chain,
        committee=world.network.committees[0],
        identity=world.home.identity(role, world.password),
        key_share=share or KeyShare(index, bytes(32)),
        records=world.home.store(role),
        random=world.random,
    )


def test_member_who_left_votes_for_nothing_more_vot_2(at):
    world = at("moved")
    proposal = world.network.commit()
    for index in (1, 2):
        with pytest.raises(Rejected) as caught:
            old_member(world, index).vote(proposal, now_ms=world.clock())
        assert caught.value.rule == "VOT-2"


def test_vote_and_share_of_a_member_who_left_do_not_count(at):
    world = at("moved")
    left, network = world.member_identity(2), world.network
    proposal = network.commit()
    certificate = network.vote(proposal)
    with pytest.raises(Rejected, match="CRT-1"):
        Ballot(network.committee).add(
            SignedVote(message=certificate.vote, signature=world.sign(left, certificate.vote))
        )
    network.release(certificate, members=[1])
    (share,) = network.follower.shares(2)
    forged = SignedShare(message=share.message, signature=world.sign(left, share.message))
    with pytest.raises(Rejected, match="REV-1"):
        network.follower.receive(ShareRelease(share=forged, certificate=certificate))


def test_commitment_under_the_old_committee_is_refused_after_the_start_vot_2(at):
    world = at("refreshed")
    honest = world.network.commit()
    forged = world.forge(honest, committee_id=world.network.committees[0].committee_id)
    for seat in world.network.seats:
        with pytest.raises(Rejected, match="VOT-2"):
            seat.member.vote(forged, now_ms=world.clock())


@pytest.mark.parametrize("scheme", ["tdh2", "ibe"])
def test_kept_old_shares_open_with_each_other_but_not_with_new_ones(at, scheme):
    """The stated limit: a refresh protects against t shares of mixed epochs, not against t of one, kept in a backup."""
    world = at("started", scheme)
    backup = {index: world.home.key_share(index, world.password) for index in (1, 2, 3)}
    hand_over(world)
    before, after = world.network.committees
    transaction = encrypt_for(world, after, world.people[5], valid_until=7)
    entry = after.verify_ciphertext(transaction)
    batch = Batch(key_id=after.key_set.key_id, height=7, round=2, entries=(entry,))
    fresh = {
        index: world.home.key_share(index, world.password, role=f"members/{index}", epoch=2) for index in (1, 2, 3)
    }

    def opened(committee, *key_shares):
        scheme = committee.scheme
        shares = [
            scheme.partial_decrypt(committee.public_key, share, batch, random=world.random) for share in key_shares
        ]
        precomputed = scheme.precompute(committee.public_key, batch)
        batch_key, _ = scheme.combine(committee.public_key, batch, shares, precomputed)
        return scheme.decrypt(committee.public_key, batch, batch_key, precomputed)

    (plaintext,) = opened(before, backup[1], backup[2], backup[3])
    assert world.payload(world.people[5]) in plaintext
    assert opened(after, fresh[1], fresh[2], fresh[3]) == (plaintext,)
    for committee, mixed in ((before, (backup[1], backup[2], fresh[3])), (after, (fresh[1], fresh[2], backup[3]))):
        with pytest.raises(NotEnoughShares):
            opened(committee, *mixed)


# --- erasure ---------------------------------------------------------------------------------------------------------


def test_old_shares_are_erased_and_each_member_says_so(at):
    world = at("moved")
    before = world.network.committees[0]
    statements = world.network.erasures(of=before.committee_id)
    signers = [before.signing_member(s.message, s.signature, rule="X-1") for s in statements]
    assert signers == [1, 2, 3, 4]
    assert share_files(world, 1) == []
    assert share_files(world, 2) == ["1", "3", "4", "5"]
    assert retire(world.network) == 0


def test_shares_of_a_key_that_still_counts_are_kept(at):
    world = at("overlapping")
    for _ in range(2):
        assert share_files(world, 1) == ["1", "2", "3", "4"]
        world.run_height()
        retire(world.network)
    assert share_files(world, 1) == []
    assert len(world.network.erasures(of=world.network.committees[0].committee_id)) == 4


# --- the audit over epochs -------------------------------------------------------------------------------------------


def unframe(data):
    assert data.startswith(MAGIC)
    return [(record.kind, record.height, record.body) for record in audit._records(data)]


def frame(records):
    """A file of these records, its checksums right, its end record counting them."""
    out = [MAGIC]
    for index, (kind, height, body) in enumerate(records):
        out.append(audit._record(kind, height, u64(index) if kind == Kind.END else body))
    return b"".join(out)


class History:
    """Two committees, and heights under both."""

    def __init__(self, world):
        world.run_height()
        self.world = world
        self.data = audit.export(world.network)
        self.records = unframe(self.data)

    def find(self, kind, nth=0):
        return [at for at, record in enumerate(self.records) if record[0] == kind][nth]

    def changed(self, kind, body, nth=0):
        records, at = list(self.records), self.find(kind, nth)
        records[at] = (*records[at][:2], body(records[at][2]) if callable(body) else body)
        return frame(records)

    def without(self, *positions):
        return frame([record for at, record in enumerate(self.records) if at not in positions])

    def moved(self, kind, nth, to):
        records = list(self.records)
        records.insert(to, records.pop(self.find(kind, nth)))
        return frame(records)

    def copied(self, kind, to):
        records = list(self.records)
        records.insert(to, records[self.find(kind)])
        return frame(records)

    def erasure(self, signer, committee_id=None):
        message = Erasure(committee_id=committee_id or self.world.network.committees[0].committee_id)
        return SignedErasure(message=message, signature=self.world.sign(signer, message)).encoded

    def key_set(self, signers=(1, 2, 3), **changes):
        committees = self.world.network.committees
        message = replace(committees[1].key_set, **changes)
        identities = [self.world.member_identity(i) if isinstance(i, int) else i for i in signers]
        return sign_key_set(message, [self.world.sign(identity, message) for identity in identities]).encoded


@pytest.fixture(scope="module")
def history(homes, anybody, tmp_path_factory):
    path = tmp_path_factory.mktemp("history") / "home"
    shutil.copytree(homes("tdh2", "moved"), path)
    return History(renewed(anybody, path))


def test_history_over_epochs_shows_key_sets_and_erasures_where_the_next_one_starts(history):
    kinds = [(kind, height) for kind, height, _ in history.records if kind in (Kind.KEY_SET, Kind.ERASURE)]
    assert kinds == [(Kind.KEY_SET, 1), (Kind.KEY_SET, 2), *[(Kind.ERASURE, 2)] * 4]
    assert frame(history.records) == history.data
    assert audit.verify(history.data).executed_height == 2


DAMAGE = {
    "erasure by a stranger": lambda h: h.changed(Kind.ERASURE, h.erasure(h.world.stranger)),
    "erasure by one who joined": lambda h: h.changed(Kind.ERASURE, h.erasure(h.world.member_identity(5))),
    "erasure of the committee that counts": lambda h: h.changed(
        Kind.ERASURE, h.erasure(h.world.member_identity(1), h.world.network.committees[1].committee_id)
    ),
    "erasure twice": lambda h: h.copied(Kind.ERASURE, h.find(Kind.ERASURE)),
    "erasures exchanged": lambda h: h.moved(Kind.ERASURE, 0, h.find(Kind.ERASURE, 1)),
    "erasure before its key set": lambda h: h.moved(Kind.ERASURE, 0, h.find(Kind.KEY_SET, 1)),
    "erasure after the height's commitment": lambda h: h.moved(Kind.ERASURE, 3, h.find(Kind.COMMITMENT, 1)),
    "erasure cut": lambda h: h.changed(Kind.ERASURE, lambda body: body[:-1]),
    "erasure longer": lambda h: h.changed(Kind.ERASURE, lambda body: body + b"\0"),
    "erasure empty": lambda h: h.changed(Kind.ERASURE, b""),
    "erasure of the first committee's nobody": lambda h: h.copied(Kind.ERASURE, 2),
    "second key set missing": lambda h: h.without(h.find(Kind.KEY_SET, 1)),
    "second key set and erasures missing": lambda h: h.without(
        h.find(Kind.KEY_SET, 1), *(h.find(Kind.ERASURE, nth) for nth in range(4))
    ),
    "second key set twice": lambda h: h.copied(Kind.KEY_SET, h.find(Kind.COMMITMENT, 1)),
    "second key set first": lambda h: h.moved(Kind.KEY_SET, 1, 1),
    "second key set a height early": lambda h: h.moved(Kind.KEY_SET, 1, 2),
    "second key set a height late": lambda h: h.moved(Kind.KEY_SET, 1, len(h.records) - 2),
    "second key set signed by its own members": lambda h: h.changed(Kind.KEY_SET, h.key_set((1, 3, 5)), 1),
    "second key set with too few signatures": lambda h: h.changed(Kind.KEY_SET, h.key_set((1, 2)), 1),
    "second key set of another round": lambda h: h.changed(Kind.KEY_SET, h.key_set(start_round=2), 1),
    "second key set from another commitment": lambda h: h.changed(
        Kind.KEY_SET, h.key_set(start_parent=b"\x01" * 32), 1
    ),
    "second key set of another height": lambda h: h.changed(Kind.KEY_SET, h.key_set(start_height=3), 1),
    "second key set with a stranger in it": lambda h: h.changed(
        Kind.KEY_SET,
        h.key_set(members=(h.world.stranger.address, *h.world.network.committees[1].key_set.members[1:])),
        1,
    ),
    "parameters of a key without any": lambda h: frame([*h.records[:2], (Kind.PARAMETERS, 1, b"x"), *h.records[2:]]),
    "empty parameters": lambda h: frame([*h.records[:2], (Kind.PARAMETERS, 1, b""), *h.records[2:]]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_to_key_sets_and_erasures_is_refused_though_its_checksums_are_right(history, name):
    """AUD-1, AUD-2."""
    damaged = DAMAGE[name](history)
    assert damaged != history.data
    with pytest.raises(AuditFailed):
        audit.verify(damaged)


def test_history_without_a_statement_of_erasure_still_verifies(history):
    """A member who is gone, or keeps its share, makes none: its absence is what can be seen."""
    audit.verify(history.without(history.find(Kind.ERASURE, 1)))


def test_history_during_the_overlap_shows_the_next_key_set_and_what_waits_for_it(at):
    world = at("overlapping")
    following = world.network.committees[1]
    early = encrypt_for(world, following, world.people[6], valid_until=following.key_set.start_height)
    submit(world, early)
    data = audit.export(world.network)
    report = audit.verify(data)
    assert (report.pending, report.heights, report.committee_id) == (3, 1, following.committee_id)
    records = unframe(data)
    early_set = next(r for r in records if r[0] == Kind.KEY_SET and r[1] == following.key_set.start_height)
    moved = [early_set if r is records[2] else r for r in records]
    with pytest.raises(AuditFailed):
        audit.verify(frame(moved))
    others = [r for r in records if r is not early_set]
    for to in (2, 3):
        with pytest.raises(AuditFailed):
            audit.verify(frame([*others[:to], early_set, *others[to:]]))
    for _ in range(3):
        world.run_height()
    assert audit.verify(audit.export(world.network)).outcomes == {"executed": 4}


def test_abstention_at_a_height_another_committee_took_over_is_no_part_of_the_history(at):
    world = at("started")
    seat = world.network.seats[3]
    perform(seat.member.abstain(3), seat.store)
    hand_over(world)
    for _ in range(2):
        world.run_height()
    audit.verify(audit.export(world.network))
    with pytest.raises(Rejected, match="VOT-2"):
        old_member(world, 1).abstain(4)


# --- crashes ---------------------------------------------------------------------------------------------------------


class Crashed(BaseException):
    """The process ended."""


def crash_at(monkeypatch, owner, name, *, nth=1, after=False, kind=None):
    """Dies before, or right after, the nth call. With `kind`, of those that write a record of that kind."""
    original, calls = getattr(owner, name), count(1)

    def dying(self, *arguments, **keywords):
        counts = kind is None or any(record.kind == kind for record in arguments[0])
        dies = counts and next(calls) == nth
        if dies and not after:
            raise Crashed
        result = original(self, *arguments, **keywords)
        if dies:
            raise Crashed
        return result

    monkeypatch.setattr(owner, name, dying)


CRASHES = {
    "before the identity of the one who joins": (Home, "write_identity", {}),
    "after three shares": (Home, "write_key_share", {"nth": 3, "after": True}),
    "before the announcement": (DatabaseStore, "put", {"kind": "announced-key-set"}),
    "after the announcement": (DatabaseStore, "put", {"kind": "announced-key-set", "after": True}),
    "before the first signature": (DatabaseStore, "put", {"kind": "successor"}),
    "after the first signature": (DatabaseStore, "put", {"kind": "successor", "after": True}),
    "after three signatures": (DatabaseStore, "put", {"kind": "successor", "nth": 3, "after": True}),
    "before the key set": (Home, "write_key_set", {}),
    "after the key set": (Home, "write_key_set", {"after": True}),
    "before the first erasure": (Home, "erase_key_share", {}),
    "between erasure and statement": (Home, "erase_key_share", {"nth": 2, "after": True}),
    "before the last statement": (DatabaseStore, "put", {"kind": "erasure", "nth": 4}),
}


@pytest.mark.parametrize(
    ("name", "restarted"),
    [
        *((name, True) for name in CRASHES),
        *((name, False) for name in ("before the first signature", "before the key set")),
    ],
)
def test_rotation_that_died_is_finished_by_the_next_one(at, monkeypatch, name, restarted):
    """A process that goes on after a fault must not believe what it did not write."""
    world, crash = at("started"), CRASHES[name]
    before = world.network.committees[0]
    with monkeypatch.context() as patch:
        crash_at(patch, crash[0], crash[1], **crash[2])
        with pytest.raises(Crashed):
            hand_over(world, remove=frozenset({2}), add=1)
    if restarted:
        world.restart()
    assert not list(world.home.path.rglob("*.partial"))
    announced = world.network.sequencer.announced(before.committee_id)
    if len(world.network.committees) == 1:
        if announced is not None:
            with pytest.raises(Rejected, match=r"height 2 is left .* run `encmempool committee rotate` \[SEQ-10\]"):
                world.network.commit()
        made = hand_over(world, remove=frozenset({2}), add=1)
        assert announced in (None, made.key_set)
    made = world.restart().committees[-1]
    assert (made.key_set.epoch, made.key_set.n, made.key_set.start_height) == (2, 4, 2)
    assert shares_are_good(world)
    assert codes(world.run_height()) == ["executed"] * 2
    retire(world.network)
    assert share_files(world, 1) == []
    assert len(world.network.erasures(of=before.committee_id)) == 4
    audit.verify(audit.export(world.network))
    for role in ("members/1", "members/2", "members/3", "members/4"):
        signed = [v for (kind, _), v in world.records(role).items() if kind == "successor"]
        assert [SignedKeySet.decode(value).message for value in signed] == [made.key_set]


def test_unfinished_rotation_is_finished_whatever_is_asked_next(at, monkeypatch):
    world = at("started")
    with monkeypatch.context() as patch:
        crash_at(patch, DatabaseStore, "put", kind="successor", nth=2, after=True)
        with pytest.raises(Crashed):
            hand_over(world, add=1)
    world.restart()
    assert hand_over(world, remove=frozenset({1})).key_set.n == 5
    world.run_height()
    assert hand_over(world, remove=frozenset({1})).key_set.n == 4


def test_rotation_to_another_key_that_died_goes_on_through_its_overlap(at, monkeypatch):
    world = at("started")
    with monkeypatch.context() as patch:
        crash_at(patch, DatabaseStore, "put", kind="successor", nth=2, after=True)
        with pytest.raises(Crashed):
            hand_over(world, new_key=True, overlap=1)
    world.restart()
    assert codes(world.run_height()) == ["executed"] * 2
    with pytest.raises(Rejected, match="SEQ-10"):
        world.network.commit()
    made = hand_over(world)
    assert (made.key_set.start_height, made.key_set.key_id != world.network.committees[0].key_set.key_id) == (3, True)
    executed = world.run_height(encrypt_for(world, made, world.people[4]))
    assert codes(executed) == ["executed"]


def test_announcement_is_one_for_ever_and_never_for_a_committed_height_seq_10(at):
    world = at("started")
    committee, sequencer = world.network.committees[0], world.network.sequencer
    one = craft(world)
    world.network.announce(one)
    world.network.announce(one)
    for attempt in (world.network, world.restart()):
        with pytest.raises(Rejected, match="SEQ-10"):
            attempt.announce(replace(one, start_height=9))
    assert world.network.sequencer.announced(committee.committee_id) == one
    with pytest.raises(Rejected, match="SEQ-10"):
        sequencer.announce(replace(one, start_height=1))


# --- KEY-10: what a member's signature binds it to -------------------------------------------------------------------


def craft(world, *, same_key=True, **changes) -> KeySet:
    """A successor nobody ran a ceremony for: the member's own rule does not look at keys."""
    committee = world.network.committees[0]
    last = world.network.follower.chain.at(world.network.sequencer.height)
    assert last is not None
    made = successor_key_set(
        committee.key_set,
        public_material(committee.key_set),
        members=committee.key_set.members,
        start=(last.commitment.height + 1, last.commitment.root, last.commitment.round),
        setup_kind=1,
        setup_privacy=3,
        batch_limit=8,
    )
    another = {"key_id": b"\x0f" * 32, "encryption_key": b"another", "start_parent": ZERO_HASH, "start_round": 0}
    return replace(made, **(({} if same_key else another) | changes))


def rule_of(call, *arguments, **keywords):
    with pytest.raises(Rejected) as caught:
        call(*arguments, **keywords)
    return caught.value.rule


def test_member_signs_one_successor_for_ever_key_10(at):
    world = at("started")
    seat = world.network.seats[0]
    signed = perform(seat.member.sign_successor(craft(world)), seat.store)
    assert perform(seat.member.sign_successor(craft(world)), seat.store) == signed
    other = craft(world, sequencer=b"\x09" * 20)
    assert rule_of(seat.member.sign_successor, other) == "KEY-10"
    again = world.restart().seats[0]
    assert rule_of(again.member.sign_successor, other) == "KEY-10"
    assert perform(again.member.sign_successor(craft(world)), again.store) == signed


def test_member_restored_from_a_copy_made_after_signing_signs_no_other_key_10(at, tmp_path):
    world = at("started")
    seat = world.network.seats[0]
    perform(seat.member.sign_successor(craft(world)), seat.store)
    world.restart()
    shutil.copytree(world.home.path / "members" / "1", tmp_path / "copy")
    shutil.rmtree(world.home.path / "members" / "1")
    shutil.copytree(tmp_path / "copy", world.home.path / "members" / "1")
    assert rule_of(world.network.seats[0].member.sign_successor, craft(world, same_key=False)) == "KEY-10"


def test_second_process_of_a_member_signs_no_other_successor_key_10(at):
    world = at("started")
    one, two = world.network.seats[0], world.load().seats[0]
    perform(one.member.sign_successor(craft(world)), one.store)
    with pytest.raises(Conflict):
        perform(two.member.sign_successor(craft(world, same_key=False)), two.store)


@pytest.mark.parametrize("restarted", [False, True])
def test_member_that_signed_acts_below_the_start_and_not_from_it_on_key_10(at, restarted):
    world = at("started")
    seat = world.network.seats[0]
    perform(seat.member.sign_successor(craft(world, same_key=False, start_height=3)), seat.store)
    if restarted:
        seat = world.restart().seats[0]
    assert codes(world.run_height()) == ["executed"] * 2
    world.network.submit(world.transfer(world.people[5]).encoded)
    certificate = world.network.vote(world.network.commit())
    assert certificate.vote.height == 3
    seat = world.network.seats[0]
    assert rule_of(seat.member.vote, world.network.sequencer.proposal(world.network.sequencer.batch(3)), now_ms=1) == (
        "KEY-10"
    )
    assert rule_of(seat.member.release, certificate) == "KEY-10"
    world.network.release(certificate)
    assert [share.message.member for share in world.network.follower.shares(3)] == [2, 3, 4]


def test_height_without_enough_members_who_did_not_sign_says_so(at):
    world = at("started")
    for seat in world.network.seats[:2]:
        perform(seat.member.sign_successor(craft(world)), seat.store)
    proposal = world.network.commit()
    assert rule_of(world.network.vote, proposal) == "KEY-10"


@pytest.mark.parametrize(
    ("changes", "same_key"),
    [
        ({"start_height": 1, "start_parent": bytes(31) + b"\1"}, True),
        ({"start_height": 1}, False),
        ({"start_parent": b"\x01" * 32}, True),
        ({"start_height": 3}, True),
        ({"start_round": 0}, True),
        ({"start_round": 2}, True),
        ({"predecessor": b"\x01" * 32}, True),
    ],
    ids=str,
)
def test_member_signs_nothing_that_would_open_what_it_has_opened_before_key_10(at, changes, same_key):
    world = at("started")
    seat = world.network.seats[0]
    before = world.records("members/1")
    assert rule_of(seat.member.sign_successor, craft(world, same_key=same_key, **changes)) == "KEY-10"
    assert world.records("members/1") == before


def test_member_that_released_above_the_start_does_not_sign_key_10(at):
    world = at("started")
    early = craft(world)
    certificate = world.network.vote(world.network.commit())
    seat = world.network.seats[0]
    perform(seat.member.release(certificate), seat.store)
    for restarted in (False, True):
        seat = world.restart().seats[0] if restarted else seat
        assert rule_of(seat.member.sign_successor, early) == "KEY-10"


def test_rotation_goes_on_when_one_member_refuses_to_sign(at):
    """Member 1 signed another key set, in another attempt that never came about."""
    world = at("started")
    seat = world.network.seats[0]
    perform(seat.member.sign_successor(craft(world, sequencer=b"\x09" * 20)), seat.store)
    world.restart()
    made = hand_over(world)
    assert len(made.signed.signatures) == 3
    assert codes(world.run_height()) == ["executed"] * 2


def test_rotation_stops_when_too_few_members_sign(at):
    world = at("started")
    for seat in world.network.seats[:2]:
        perform(seat.member.sign_successor(craft(world, sequencer=b"\x09" * 20)), seat.store)
    world.restart()
    with pytest.raises(Rejected, match="KEY-10"):
        hand_over(world)
    assert len(world.restart().committees) == 1


# --- KEY-9: what a chain adopts --------------------------------------------------------------------------------------


def followed(world):
    return Follower(world.network.committees[0], records=world.home.store("archive"))


def sign_by(world, key_set, members=(1, 2, 3)):
    return sign_key_set(key_set, [world.sign(world.member_identity(i), key_set) for i in members])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start_parent": b"\x01" * 32}, "another commitment"),
        ({"start_round": 2}, "another round"),
    ],
    ids=["parent", "round"],
)
def test_chain_adopts_no_key_set_from_elsewhere_key_9(at, changes, reason):
    world = at("started")
    follower, committee = followed(world), world.network.committees[0]
    following = committee.load_successor(sign_by(world, craft(world, **changes)))
    with pytest.raises(Rejected, match=rf"{reason}.*KEY-9"):
        follower.adopt(following)
    assert follower.chain.committees == (follower.chain.committees[0],)
    follower.adopt(committee.load_successor(sign_by(world, craft(world))))
    assert follower.committee.key_set.epoch == 2


def test_chain_adopts_no_key_set_for_heights_it_has_passed_key_9(at):
    world = at("started")
    late = world.network.committees[0].load_successor(sign_by(world, craft(world)))
    world.run_height()
    with pytest.raises(Rejected, match=r"height 2 was committed to.*KEY-9"):
        followed(world).adopt(late)


def test_party_that_learns_of_the_key_set_first_checks_it_when_it_gets_there(at):
    """A follower at height 0 adopts, then replays: parent and round are compared at the start."""
    world = at("started")
    committee = world.network.committees[0]
    first = world.network.sequencer.proposal(world.network.sequencer.batch(1))
    for changes, rule in (({}, None), ({"start_parent": b"\x01" * 32}, "VOT-2"), ({"start_round": 2}, "VOT-8")):
        following = committee.load_successor(sign_by(world, craft(world, **changes)))
        follower = Follower(committee)
        follower.adopt(following)
        follower.propose(first)
        reveal = world.network.follower.executed_at(1).reveal
        follower.replay(follower.chain.at(1), reveal)
        parent = changes.get("start_parent", first.commitment.message.root)
        proposal = world.forge(
            first,
            transactions=(),
            height=2,
            parent=first.commitment.message.root,
            committee_id=following.committee_id,
            round=following.key_set.start_round,
            executed_height=1,
            state_root=follower.latest.root,
        )
        if rule is None:
            follower.propose(proposal)
        else:
            assert parent
            assert rule_of(follower.propose, proposal) == rule


def test_key_that_another_replaced_does_not_come_back_key_9(at):
    """Its rounds and heights are given away: under the old name they would count from zero again."""
    world = at("overlapping")
    first, second = world.network.committees
    for _ in range(3):
        world.run_height()
    back = replace(
        first.key_set,
        predecessor=second.committee_id,
        epoch=3,
        start_height=5,
        start_parent=ZERO_HASH,
        start_round=0,
    )
    identities = [world.home.identity(world.home.member_role(second.key_set, i), world.password) for i in range(1, 6)]
    signed = sign_key_set(back, [world.sign(identity, back) for identity in identities])
    third = second.load_successor(signed)
    assert rule_of(world.network.follower.adopt, third) == "KEY-9"
    for seat in world.network.seats:
        assert rule_of(seat.member.sign_successor, back) == "KEY-9"


# --- another key, and the heights in which both are known ------------------------------------------------------------


def test_transactions_of_both_keys_are_taken_during_the_overlap_and_committed_in_their_time(at):
    """tdh2 to ibe: the old key until its end, the next from its start on, and what is left over ends with its key."""
    world = at("overlapping")
    old, new = world.network.committees
    people, start = world.people, new.key_set.start_height
    assert start == 4
    assert world.network.committee is old
    receipts = [submit(world, encrypt_for(world, old, people[3]))]
    early = encrypt_for(world, new, people[4], valid_until=start)
    receipts.append(submit(world, early))
    assert [receipt.include_by_height for receipt in receipts] == [3, 4]
    world.network.commit()
    left_over = encrypt_for(world, old, people[3], 1)
    assert submit(world, left_over).include_by_height == 3
    assert world.network.commit().transactions == ()
    assert state_of(world, left_over) == "key_ended"
    assert state_of(world, early) == "received"
    with pytest.raises(Rejected, match=r"encrypt again \[TXN-2\]"):
        submit(world, encrypt_for(world, old, people[6]))
    assert [codes(executed) for executed in world.network.reveal()] == [["executed"] * 3, []]
    executed = world.run_height()
    assert (executed.ready.commitment.height, executed.ready.commitment.key_id) == (4, new.key_set.key_id)
    assert (codes(executed), executed.ready.commitment.round) == (["executed"], 1)
    again = encrypt_for(world, new, people[3], 1, valid_until=5)
    assert codes(world.run_height(again)) == ["executed"]
    assert state_of(world, left_over) == "key_ended"
    for _ in range(2):
        world.run_height()
    report = audit.verify(audit.export(world.restart()))
    assert report.outcomes == {"executed": 6}


def test_scheme_goes_there_and_back_again_and_every_key_is_its_own(at):
    world = at("overlapping")
    for _ in range(3):
        world.run_height()
    retire(world.network)
    made = hand_over(world, scheme=load_scheme("tdh2"), overlap=0)
    assert (made.scheme.info.name, made.key_set.epoch, made.key_set.start_height) == ("tdh2", 3, 5)
    assert len({committee.key_set.key_id for committee in world.network.committees}) == 3
    assert codes(world.run_height(encrypt_for(world, made, world.people[7]))) == ["executed"]
    assert audit.verify(audit.export(world.restart())).heights == 5


def test_receipt_for_the_next_key_promises_a_height_that_key_can_reach_seq_4(at):
    """With the overlap that a rotation has by default, the key in use ends where receipts for it may promise."""
    world = at("started")
    include = world.network.committees[0].genesis.deadlines.include_heights
    made = hand_over(world, new_key=True)
    assert made.key_set.start_height == 2 + include
    old = submit(world, encrypt_for(world, world.network.committees[0], world.people[3]))
    new = submit(world, encrypt_for(world, made, world.people[4]))
    assert old.include_by_height == 1 + include
    assert made.key_set.start_height <= new.include_by_height == made.key_set.start_height - 1 + include
    short = encrypt_for(world, made, world.people[5], valid_until=1 + include)
    with pytest.raises(Rejected, match=r"its key starts at 18 .*TXN-8"):
        submit(world, short)


def test_heights_that_wait_across_a_keys_end_are_all_revealed(at):
    """The sequencer runs ahead of execution: members of both committees, and the one who joins, catch up."""
    world = at("overlapping")
    new = world.network.committees[1]
    submit(world, encrypt_for(world, new, world.people[4], valid_until=4))
    for _ in range(4):
        world.network.commit()
    world.restart()
    executed = world.network.reveal()
    assert [height.ready.commitment.height for height in executed] == [2, 3, 4, 5]
    assert [len(height.receipts) for height in executed] == [2, 0, 1, 0]
    assert world.network.reveal() == ()
    assert {seat.follower.latest.root for seat in world.network.seats} == {world.network.follower.latest.root}
    retire(world.network)
    assert share_files(world, 1) == []
    assert codes(world.run_height(encrypt_for(world, new, world.people[5], valid_until=6))) == ["executed"]


def test_member_who_was_away_over_a_rotation_takes_what_was_published(at, tmp_path):
    """Nobody can open the old committee's heights for it again: their shares are erased."""
    world = at("started")
    world.restart()
    folder = world.home.path / "members" / "4"
    shutil.copytree(folder, tmp_path / "old")
    world.run_height()
    hand_over(world)
    world.restart()
    (tmp_path / "old" / "records.sqlite").replace(folder / "records.sqlite")
    for journal in folder.glob("records.sqlite-*"):
        journal.unlink()
    world.restart()
    assert codes(world.run_height(world.transfer(world.people[5]))) == ["executed"]
    seat = world.network.seats[3]
    assert seat.follower.latest.root == world.network.follower.latest.root
    assert seat.follower.latest.height == 3


def test_archive_restored_from_an_old_copy_takes_what_the_members_have(at, tmp_path):
    world = at("started")
    world.restart()
    shutil.copytree(world.home.path / "archive", tmp_path / "archive")
    world.run_height()
    hand_over(world)
    root = world.network.follower.latest.root
    world.restart()
    shutil.rmtree(world.home.path / "archive")
    shutil.copytree(tmp_path / "archive", world.home.path / "archive")
    assert [done.ready.commitment.height for done in world.restart().reveal()] == [2]
    assert world.network.follower.latest.root == root
    assert codes(world.run_height(world.transfer(world.people[5]))) == ["executed"]


def test_network_is_loaded_with_every_key_set_checked_from_the_one_before(at):
    world = at("moved")
    path = world.home.path / "key-set-2.ssz"
    signed = SignedKeySet.decode(bytes.fromhex(path.read_text().strip().removeprefix("0x")))
    strangers = replace(signed, signatures=signed.signatures[:2])
    path.write_text("0x" + strangers.encoded.hex())
    with pytest.raises(Rejected, match="KEY-8"):
        LocalNetwork(world.home)
    path.write_text("no hex")
    with pytest.raises(Malformed, match=r"key-set-2\.ssz is not hex: restore it"):
        LocalNetwork(world.home)
