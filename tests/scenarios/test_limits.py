"""Keys with limits: ibe opens a height, fptx so many batches, simple-bte and fptx batches up to a size.

KEY-7, SEQ-4, SEQ-9, VOT-5, VOT-8, VOT-9, SHR-2, and the files that such keys need: long shares and parameters.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import count

import pytest

from encmempool import audit, genesis as development
from encmempool.audit import AuditFailed, Kind
from encmempool.client import Client
from encmempool.committee import ROUND_GUARD
from encmempool.errors import Conflict, EnvironmentProblem, Malformed, Rejected
from encmempool.home import Home, Password, WrongPassword
from encmempool.network.local import LocalNetwork, Plan, check_share, create_network, fresh_home
from encmempool.network.rotation import Change, rotate
from encmempool.network.view import LocalView
from encmempool.ordering import Policy
from encmempool.store import perform
from encmempool.transactions import encrypt_transaction
from encmempool.types import BatchList
from threshold.encoding import u64
from threshold.entropy import deterministic
from threshold.keys import KeyShare
from threshold.sansio import Persist
from threshold.schemes.base import Batch, BatchKey
from threshold.schemes.registry import load_scheme

LIMIT, ROUNDS = 4, 2
ALL_GAS = 21_000 * 64
_seeds = count()


@pytest.fixture(autouse=True)
def unsynced_files(monkeypatch):
    """As with the databases: these tests end processes, they do not cut the power."""
    monkeypatch.setattr("encmempool.home.os.fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def anybody(new_world, tmp_path_factory):
    """The people of all these worlds."""
    return new_world(tmp_path_factory.mktemp("anybody") / "home", "clear")


@pytest.fixture(scope="module")
def homes(anybody, tmp_path_factory):
    """A home of a scheme after its key ceremony: batches of 4 and, where they are counted, 2 rounds."""
    made = {}

    def make(scheme):
        if scheme not in made:
            home, password = fresh_home(tmp_path_factory.mktemp(scheme) / "home")
            loaded = load_scheme(scheme)
            plan = Plan(
                members=4,
                threshold=3,
                policy=Policy.ARRIVAL,
                funded=tuple(person.address for person in anybody.people),
                batch_limit=LIMIT,
                rounds=ROUNDS if loaded.info.limits_rounds else None,
                timestamp_ms=1_700_000_000_000,
            )
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(development, "BATCH_GAS_LIMIT", ALL_GAS)
                create_network(home, plan, loaded, password, random=deterministic(scheme.encode()))
            made[scheme] = home.path
        return made[scheme]

    return make


@pytest.fixture
def world_of(homes, anybody, tmp_path):
    """A world of its own of a scheme."""

    def make(scheme):
        home = Home(tmp_path / f"{scheme} {next(_seeds)}")
        shutil.copytree(homes(scheme), home.path)
        random = deterministic(b"limits %d" % next(_seeds))
        return replace(
            anybody, home=home, password=home.generated_password(), clock=type(anybody.clock)(), random=random
        )

    return make


def hand_over(world, **change):
    return rotate(world.network, Change(**change), random=world.random)


def submit(world, transaction):
    return world.network.submit(transaction.encoded).message


def codes(executed):
    return [receipt.code for receipt in executed.receipts]


def state_of(world, transaction):
    return LocalView(world.network).status(transaction.tx_id).state


def rule_of(call, *arguments, **keywords):
    with pytest.raises(Rejected) as caught:
        call(*arguments, **keywords)
    return caught.value.rule


def refusals(world, proposal):
    return {rule_of(seat.member.vote, proposal, now_ms=world.clock()) for seat in world.network.seats}


# --- ibe: transactions of a height -----------------------------------------------------------------------------------


def test_height_takes_only_what_is_encrypted_to_it_and_receipts_promise_just_that_seq_4(world_of):
    world = world_of("ibe")
    people = world.people
    transactions = [world.transfer(people[at], valid_until=height) for at, height in enumerate((2, 1, 2, 3))]
    assert [submit(world, t).include_by_height for t in transactions] == [2, 1, 2, 3]
    taken = [[t.tx_id for t in world.network.commit().transactions] for _ in range(4)]
    first, second, third, fourth = (t.tx_id for t in transactions)
    assert taken == [[second], [first, third], [fourth], []]
    assert [codes(executed) for executed in world.network.reveal()] == [
        ["executed"],
        ["executed"] * 2,
        ["executed"],
        [],
    ]
    assert audit.verify(audit.export(world.restart())).outcomes == {"executed": 4}


@pytest.mark.parametrize("target", [2, 99])
def test_transaction_of_another_height_gets_no_vote_vot_5(world_of, target):
    world = world_of("ibe")
    other = world.transfer(world.people[0], valid_until=target)
    submit(world, other)
    assert refusals(world, world.forge(world.network.commit(), transactions=(other,), round=1)) == {"VOT-5"}


def test_transaction_left_out_of_its_height_is_opened_with_it(world_of):
    """Its content is public once the height's key is: it must not be sent again."""
    world = world_of("ibe")
    alice, bob = world.people[:2]
    taken, left_out = world.transfer(alice, valid_until=1, gas_limit=ALL_GAS), world.transfer(bob, valid_until=1)
    submit(world, taken)
    submit(world, left_out)
    assert world.network.commit().transactions == (taken,)
    assert state_of(world, left_out) == "received", "whether it is opened is not known before the reveal"
    (executed,) = world.network.reveal()
    assert state_of(world, left_out) == "not_committed_opened"
    world.restart()
    assert state_of(world, left_out) == "not_committed_opened"
    committee = world.network.committee
    batch = Batch(key_id=committee.key_set.key_id, height=1, round=1, entries=(committee.verify_ciphertext(left_out),))
    key = BatchKey.decode(executed.reveal.batch_key)
    (opened,) = committee.scheme.decrypt(committee.public_key, batch, key, committee.precompute(batch))
    assert world.payload(bob) in opened
    assert codes(world.run_height(world.transfer(bob, valid_until=2))) == ["executed"]


def test_transaction_left_out_of_an_empty_height_stays_closed_and_expires(world_of):
    """Nonce 1 is for height 1 and nonce 0 for height 2: height 1 stays empty, so no key of it is ever released."""
    world = world_of("ibe")
    alice = world.people[0]
    first, second = world.transfer(alice, valid_until=2), world.transfer(alice, 1, valid_until=1)
    submit(world, first)
    submit(world, second)
    assert world.network.commit().transactions == ()
    assert state_of(world, second) == "received"
    world.network.release(world.network.vote(world.network.sequencer.proposal(world.network.sequencer.batch(1))))
    assert world.network.follower.shares(1) == ()
    world.network.execute()
    assert state_of(world, second) == "expired"
    assert codes(world.run_height()) == ["executed"]
    assert state_of(world, second) == "expired"


def test_transaction_for_a_height_that_another_key_opens_is_refused_or_ends_with_its_key_txn_8(world_of):
    world = world_of("ibe")
    world.run_height()
    before = world.transfer(world.people[0], valid_until=4)
    submit(world, before)
    old, encrypt = world.network.committee, world.transfer
    late = [encrypt(world.people[at], valid_until=height) for at, height in ((1, 2), (2, 3))]
    made = hand_over(world, new_key=True, overlap=1)
    assert made.key_set.start_height == 3
    assert submit(world, late[0]).include_by_height == 2
    with pytest.raises(Rejected, match=r"encrypted to height 3, but its key ends at 2: encrypt again \[TXN-8\]"):
        submit(world, late[1])
    assert world.network.committee is not made
    assert codes(world.run_height()) == ["executed"]
    assert state_of(world, before) == "key_ended"
    for height in (3, 4):
        assert codes(world.run_height(world.transfer(world.people[height], valid_until=height))) == ["executed"]
    assert state_of(world, before) == "key_ended", "height 4 was opened, with a key that does not open this"
    assert old.key_set.key_id != world.network.committee.key_set.key_id


def test_client_encrypts_to_the_next_height(world_of):
    world = world_of("ibe")
    client = Client(world.home.path)
    for height in (1, 2):
        envelope = client.encrypt(world.payload(world.people[height]), world.people[height])
        assert (envelope.header.target_height, envelope.header.valid_until) == (height, height)
        assert client.submit(envelope).message.include_by_height == height
        world.restart()
        world.network.commit()
        world.network.reveal()
        assert client.status(envelope.tx_id).state == "executed"


# --- fptx: rounds ----------------------------------------------------------------------------------------------------


def test_rounds_are_counted_by_batches_that_are_not_empty(world_of):
    world = world_of("fptx")
    left = [world.network.sequencer.rounds_left]
    for transactions in ((), (world.transfer(world.people[0]),), (), (world.transfer(world.people[1]),)):
        executed = world.run_height(*transactions)
        left.append(world.network.sequencer.rounds_left)
        assert executed.ready.commitment.round == ROUNDS - left[-1]
    assert left == [2, 2, 1, 1, 0]
    assert world.restart().sequencer.rounds_left == 0
    assert audit.verify(audit.export(world.network)).outcomes == {"executed": 2}


def test_used_up_key_ends_what_waits_takes_nothing_more_and_commits_empty_batches_seq_9(world_of):
    world = world_of("fptx")
    people = world.people
    transactions = [world.transfer(person) for person in people[:9]]
    for transaction in transactions:
        submit(world, transaction)
    assert [len(world.run_height().receipts) for _ in range(2)] == [LIMIT, LIMIT]
    waiting = transactions[8]
    refused = world.transfer(people[9])
    for _ in range(2):
        assert state_of(world, waiting) == "key_ended"
        with pytest.raises(
            Rejected, match=r"all 2 rounds of this key are used: run `encmempool committee rotate --new-key` .*SEQ"
        ):
            submit(world, refused)
        assert world.network.commit().transactions == ()
        world.network.reveal()
        world.restart()
    assert world.network.sequencer.pending == 0
    made = hand_over(world, new_key=True, overlap=0, batch_limit=LIMIT, rounds=ROUNDS)
    assert (world.network.sequencer.rounds_left, made.key_set.start_round) == (ROUNDS, 0)
    executed = world.run_height(world.transfer(people[8]))
    assert (codes(executed), executed.ready.commitment.round) == (["executed"], 1)
    assert state_of(world, waiting) == "key_ended"
    assert audit.verify(audit.export(world.network)).outcomes == {"executed": 9}


def test_used_up_key_frees_the_nonce_for_the_next_one_during_the_overlap(world_of):
    world = world_of("fptx")
    people = world.people
    for person in people[:9]:
        submit(world, world.transfer(person))
    for _ in range(2):
        world.run_height()
    made = hand_over(world, new_key=True, overlap=2, batch_limit=LIMIT, rounds=ROUNDS)
    world.network.commit()
    world.network.reveal()
    assert world.network.sequencer.next_nonce(people[8].address) == 0
    submit(world, encrypt_for(world, made, people[8]))
    for _ in range(2):
        executed = world.run_height()
    assert (executed.ready.commitment.height, codes(executed)) == (5, ["executed"])


def encrypt_for(world, committee, person):
    return encrypt_transaction(
        world.payload(person),
        terms=committee.terms,
        scheme=committee.scheme,
        public_key=committee.public_key,
        identity=person,
        valid_until=100,
        random=world.random,
    )


def test_commitment_for_a_round_that_the_key_lacks_gets_no_vote_vot_8(world_of):
    world = world_of("fptx")
    people = world.people
    more = world.transfer(people[2])
    for person in people[:2]:
        world.run_height(world.transfer(person))
    honest = world.network.commit()
    forged = world.forge(honest, transactions=(more,), round=3)
    assert refusals(world, forged) == {"VOT-8"}
    for round in (1, 2):
        assert refusals(world, world.forge(honest, transactions=(more,), round=round)) == {"VOT-8"}


def test_key_shared_anew_goes_on_counting_its_rounds(world_of):
    world = world_of("fptx")
    world.run_height(world.transfer(world.people[0]))
    made = hand_over(world, add=1)
    assert (made.key_set.rounds, made.key_set.start_round) == (ROUNDS, 1)
    assert world.network.sequencer.rounds_left == 1
    executed = world.run_height(world.transfer(world.people[1]))
    assert (codes(executed), executed.ready.commitment.round) == (["executed"], 2)
    assert world.network.sequencer.rounds_left == 0
    audit.verify(audit.export(world.restart()))


def test_share_in_a_round_that_another_batch_had_is_never_written_shr_2(world_of):
    """Whatever the member's memory says, the store refuses, and then nothing leaves."""
    world = world_of("fptx")
    submit(world, world.transfer(world.people[0]))
    certificate = world.network.vote(world.network.commit())
    seat = world.network.seats[0]
    key_id = world.network.committee.key_set.key_id
    seat.store.put([Persist(kind=ROUND_GUARD, key=key_id + u64(1), value=b"share" + b"\x01" * 32)])
    before = world.records("members/1")
    with pytest.raises(Conflict):
        perform(seat.member.release(certificate), seat.store)
    assert world.records("members/1") == before


def test_member_restored_from_an_older_copy_is_held_by_the_guards_in_it_shr_2(world_of, tmp_path):
    """Round 1 is in the copy: no other batch of that round, in whatever height, gets a share."""
    world = world_of("fptx")
    world.run_height(world.transfer(world.people[0]))
    folder = world.home.path / "members" / "1"
    world.restart()
    shutil.copytree(folder, tmp_path / "copy")
    world.run_height(world.transfer(world.people[1]))
    world.restart()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    network = world.restart()
    stored = world.records("members/1")
    key_id = network.committee.key_set.key_id
    assert {key for kind, key in stored if kind == ROUND_GUARD} == {key_id + u64(1)}
    network.load()
    store = network.seats[0].store
    with pytest.raises(Conflict):
        store.put([Persist(kind=ROUND_GUARD, key=key_id + u64(1), value=b"share" + b"\x01" * 32)])
    network.reveal()
    assert network.seats[0].follower.latest.height == 2


# --- batch limits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["fptx", "simple-bte"])
def test_batch_larger_than_the_key_opens_is_refused_at_every_level_key_7(world_of, scheme):
    world = world_of(scheme)
    transactions = tuple(world.transfer(person) for person in world.people[: LIMIT + 1])
    for transaction in transactions:
        submit(world, transaction)
    honest = world.network.commit()
    assert honest.transactions == transactions[:LIMIT]
    assert refusals(world, world.forge(honest, transactions=transactions)) == {"VOT-9"}
    committee = world.network.committee
    entries = committee.verify_ciphertexts(transactions)
    batch = Batch(key_id=committee.key_set.key_id, height=1, round=1, entries=entries)
    share = world.home.key_share(1, world.password)
    with pytest.raises(Rejected):
        committee.scheme.partial_decrypt(committee.public_key, share, batch, random=world.random)
    with pytest.raises(Rejected):
        committee.scheme.precompute(committee.public_key, batch)
    assert BatchList(tx_ids=tuple(t.tx_id for t in transactions[:LIMIT])).root == honest.commitment.message.batch_root
    assert [codes(executed) for executed in world.network.reveal()] == [["executed"] * LIMIT]


@pytest.mark.parametrize(
    ("scheme", "change", "message"),
    [
        ("simple-bte", {}, "a simple-bte key cannot be shared anew: ask for a new key"),
        ("simple-bte", {"new_key": True, "batch_limit": 5}, "the genesis allows batches of 4 at most"),
        ("simple-bte", {"new_key": True, "rounds": 5}, "leave the rounds away"),
        ("fptx", {"threshold": 2, "reduced_threshold": True}, "fptx needs a threshold of at least 3 of 4"),
    ],
)
def test_change_that_the_scheme_does_not_allow_is_refused(world_of, scheme, change, message):
    world = world_of(scheme)
    world.run_height()
    with pytest.raises(ValueError, match=message):
        hand_over(world, **change)


def test_next_key_opens_as_much_as_the_genesis_allows_unless_told_otherwise(world_of):
    world = world_of("clear")
    world.run_height()
    assert hand_over(world, scheme=load_scheme("simple-bte"), overlap=0).key_set.batch_limit == LIMIT


# --- long key shares -------------------------------------------------------------------------------------------------


def sealed(world, index=1):
    return world.home.path / "members" / str(index) / "key-share.sealed"


def test_long_key_share_is_kept_in_a_sealed_file(world_of):
    world = world_of("simple-bte")
    share = world.home.key_share(1, world.password)
    secret = share.secret_bytes()
    assert len(secret) > 32
    assert secret not in sealed(world).read_bytes()
    assert len(sealed(world).read_bytes()) == len(secret) + 16
    assert sealed(world).stat().st_mode & 0o077 == 0
    public = world.network.committee.key_set.verification_keys[0]
    world.home.write_key_share("members/1", share, public, world.password, epoch=7)
    again = world.home.key_share(1, world.password, epoch=7)
    assert again.secret_bytes() == secret
    one, two = (world.home.path / "members" / "1" / name for name in ("key-share.sealed", "key-share-7.sealed"))
    assert one.read_bytes() != two.read_bytes(), "a sealing key is used once"
    world.home.erase_key_share("members/1", 7)
    assert not two.exists()


def test_short_share_is_read_though_a_sealed_one_was_there_before(world_of):
    """A rotation to a scheme with long shares failed, and one with short shares took its place."""
    world = world_of("simple-bte")
    public = world.network.committee.key_set.verification_keys[0]
    world.home.write_key_share("members/1", KeyShare(1, b"\x05" * 32), public, world.password)
    assert world.home.key_share(1, world.password).secret_bytes() == b"\x05" * 32


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def exchange(world):
    one, two = sealed(world, 1).read_bytes(), sealed(world, 2).read_bytes()
    sealed(world, 1).write_bytes(two)
    sealed(world, 2).write_bytes(one)


SEALED_FAULTS = {
    "a bit": (lambda world: damage(sealed(world)), Malformed, r"key-share\.sealed is damaged"),
    "cut": (lambda world: sealed(world).write_bytes(sealed(world).read_bytes()[:-1]), Malformed, "is damaged"),
    "empty": (lambda world: sealed(world).write_bytes(b""), Malformed, "is damaged"),
    "another member's": (exchange, Malformed, "or belongs to another keystore: restore it"),
    "missing": (lambda world: sealed(world).unlink(), EnvironmentProblem, r"key-share\.sealed is missing: restore it"),
}


@pytest.mark.parametrize("name", SEALED_FAULTS)
def test_fault_of_a_sealed_share_is_named_and_the_others_go_on(world_of, name):
    world = world_of("simple-bte")
    fault, kind, message = SEALED_FAULTS[name]
    fault(world)
    with pytest.raises(kind, match=message):
        world.home.key_share(1, world.password)
    if name != "another member's":
        assert codes(world.run_height(world.transfer(world.people[0]))) == ["executed"]
        assert list(world.network.absent) == [1]


def test_wrong_password_of_a_sealed_share_is_named(world_of):
    world = world_of("simple-bte")
    with pytest.raises(WrongPassword, match="wrong password for member 1's key share"):
        world.home.key_share(1, Password(b"wrong", generated=True))


@pytest.mark.parametrize("scheme", ["ibe", "fptx"])
def test_exchanged_share_files_are_wrong_shares(world_of, scheme):
    world = world_of(scheme)
    one, two = (world.home.path / "members" / name / "key-share.json" for name in "12")
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    states = [check_share(world.home, world.network.committee, index, world.password) for index in (1, 2, 3, 4)]
    assert states == ["wrong", "wrong", "good", "good"]


# --- parameters ------------------------------------------------------------------------------------------------------


def parameters_file(world):
    (path,) = (world.home.path / "parameters").iterdir()
    return path


@pytest.mark.parametrize("scheme", ["fptx", "simple-bte"])
def test_damaged_or_missing_parameters_are_named(world_of, homes, scheme):
    world = world_of(scheme)
    path = parameters_file(world)
    LocalNetwork(world.home)
    other = {"fptx": "simple-bte", "simple-bte": "fptx"}[scheme]
    (others,) = (homes(other) / "parameters").iterdir()
    whole = path.read_bytes()
    for data in (b"", whole[:-1], whole + b"\0", others.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(Malformed, match=rf"{path.name} is damaged: .*copy it from another home"):
            LocalNetwork(world.home)
    path.unlink()
    with pytest.raises(EnvironmentProblem, match=rf"{path.name} is missing: copy it from another home, it is public"):
        LocalNetwork(world.home)
    path.write_bytes(whole)
    LocalNetwork(world.home)


# --- the audit of parameters -----------------------------------------------------------------------------------------


class History:
    """simple-bte, then tdh2, which has no parameters, then simple-bte with others."""

    def __init__(self, world):
        world.run_height(world.transfer(world.people[0]))
        for scheme in ("tdh2", "simple-bte"):
            hand_over(world, scheme=load_scheme(scheme), overlap=0)
            world.run_height(world.transfer(world.people[0], world.nonce(world.people[0])))
        self.data = audit.export(world.network)
        self.records = [(record.kind, record.height, record.body) for record in audit._records(self.data)]

    def find(self, kind, nth=0):
        return [at for at, record in enumerate(self.records) if record[0] == kind][nth]

    def changed(self, body, nth=0):
        records, at = list(self.records), self.find(Kind.PARAMETERS, nth)
        records[at] = (*records[at][:2], body(records[at][2]))
        return frame(records)

    def exchanged(self):
        one, two = (self.records[self.find(Kind.PARAMETERS, nth)][2] for nth in (0, 1))
        return self.changed(lambda _: two), self.changed(lambda _: one, 1)

    def inserted(self, to, record):
        return frame([*self.records[:to], record, *self.records[to:]])


def frame(records):
    """A file of these records, its checksums right, its end record counting them."""
    out = [audit.MAGIC]
    for index, (kind, height, body) in enumerate(records):
        out.append(audit._record(kind, height, u64(index) if kind == Kind.END else body))
    return b"".join(out)


@pytest.fixture(scope="module")
def history(homes, anybody, tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("history") / "home")
    shutil.copytree(homes("simple-bte"), home.path)
    return History(replace(anybody, home=home, password=home.generated_password(), random=deterministic(b"history")))


def test_history_shows_parameters_with_the_key_sets_that_have_some(history):
    kinds = [(kind, height) for kind, height, _ in history.records if kind in (Kind.KEY_SET, Kind.PARAMETERS)]
    assert kinds == [
        (Kind.KEY_SET, 1),
        (Kind.PARAMETERS, 1),
        (Kind.KEY_SET, 2),
        (Kind.KEY_SET, 3),
        (Kind.PARAMETERS, 3),
    ]
    assert frame(history.records) == history.data
    report = audit.verify(history.data)
    assert (report.heights, report.outcomes) == (3, {"executed": 3})


def _flipped(body):
    return body[:100] + bytes([body[100] ^ 1]) + body[101:]


DAMAGE = {
    "a bit": lambda h: h.changed(_flipped),
    "cut": lambda h: h.changed(lambda body: body[:-1]),
    "longer": lambda h: h.changed(lambda body: body + b"\0"),
    "empty": lambda h: h.changed(lambda body: b""),
    "of the other key": lambda h: h.exchanged()[0],
    "of the key before": lambda h: h.exchanged()[1],
    "missing": lambda h: frame([r for at, r in enumerate(h.records) if at != h.find(Kind.PARAMETERS)]),
    "missing for the last key": lambda h: frame(
        [r for at, r in enumerate(h.records) if at != h.find(Kind.PARAMETERS, 1)]
    ),
    "twice": lambda h: h.inserted(h.find(Kind.PARAMETERS), h.records[h.find(Kind.PARAMETERS)]),
    "before the key set": lambda h: h.inserted(1, h.records[h.find(Kind.PARAMETERS)]),
    "for a key without any": lambda h: h.inserted(h.find(Kind.KEY_SET, 1) + 1, (Kind.PARAMETERS, 2, b"x")),
    "empty for a key without any": lambda h: h.inserted(h.find(Kind.KEY_SET, 1) + 1, (Kind.PARAMETERS, 2, b"")),
    "of another height": lambda h: h.inserted(h.find(Kind.PARAMETERS) + 1, (Kind.PARAMETERS, 2, b"x")),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_parameters_are_refused_though_their_checksums_are_right(history, name):
    """AUD-1."""
    with pytest.raises(AuditFailed):
        audit.verify(DAMAGE[name](history))


def test_key_shared_anew_shows_its_parameters_once(world_of):
    world = world_of("fptx")
    world.run_height(world.transfer(world.people[0]))
    hand_over(world)
    world.run_height()
    data = audit.export(world.network)
    records = [(record.kind, record.height, record.body) for record in audit._records(data)]
    (at,) = [at for at, (kind, _, _) in enumerate(records) if kind == Kind.PARAMETERS]
    audit.verify(data)
    second = next(at for at, (kind, height, _) in enumerate(records) if (kind, height) == (Kind.KEY_SET, 2))
    records.insert(second + 1, (Kind.PARAMETERS, 2, records[at][2]))
    with pytest.raises(AuditFailed, match="shown again"):
        audit.verify(frame(records))
