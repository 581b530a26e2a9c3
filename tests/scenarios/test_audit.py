"""The history file: it verifies, it is the same twice, and no damage or forgery in it goes unseen.

Forgeries here repair the checksums and the count of the end record, so that only the protocol's rules can object.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest

from encmempool import audit
from encmempool.audit import MAGIC, AuditFailed, Kind
from encmempool.keysets import TRUSTED_DEALER, Committee, first_key_set
from encmempool.network.ceremony import generate_keys, sign_by_members
from encmempool.store import perform
from encmempool.types import (
    EncryptedTransaction,
    Genesis,
    Reveal,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
)
from threshold.encoding import u8, u32, u64
from threshold.entropy import deterministic
from threshold.keys import KeyMaterial

SEED = 20260
OF_OTHER_HISTORIES = (Kind.PARAMETERS, Kind.ERASURE)
"""Of keys with parameters, and of keys that were shared anew: see test_rotation.py and test_schemes.py."""


class History:
    """Three revealed heights (one empty, one with an abstention), one certified, one only committed, two pending."""

    def __init__(self, world):
        self.world = world
        network, people = world.network, world.people
        world.run_height(world.transfer(people[0]), world.transfer(people[1]), world.transfer(people[0], 1))
        world.run_height()
        network.submit(world.swap(people[2]).encoded)
        network.submit(world.seal(people[3], world.pad(b"no transaction")).encoded)
        certificate = network.vote(network.commit())
        network.release(certificate, members=[1, 2, 3])
        seat = network.seats[3]
        perform(seat.member.abstain(3), seat.store)
        network.execute()
        network.submit(world.transfer(people[4]).encoded)
        network.release(network.vote(network.commit()), members=[2])
        network.submit(world.transfer(people[5]).encoded)
        network.commit()
        network.submit(world.transfer(people[6]).encoded)
        network.submit(world.transfer(people[7]).encoded)
        for index, height in ((2, 8), (1, 7), (3, 7)):
            seat = network.seats[index - 1]
            perform(seat.member.abstain(height), seat.store)
        self.data = audit.export(network)
        self.records = unframe(self.data)

    def find(self, kind, height, nth=0):
        """Position of a record."""
        return [at for at, (k, h, _) in enumerate(self.records) if (k, h) == (kind, height)][nth]

    def changed(self, at, body):
        records = list(self.records)
        records[at] = (*records[at][:2], body)
        return frame(records)

    def without(self, *positions):
        return frame([record for at, record in enumerate(self.records) if at not in positions])

    def resigned(self, kind, height, signed_type, signer, /, nth=0, **changes):
        """A record's message changed and signed anew by whoever has the right to."""
        at = self.find(kind, height, nth)
        message = replace(signed_type.decode(self.records[at][2]).message, **changes)
        return self.changed(at, signed_type(message=message, signature=self.world.sign(signer, message)).encoded)


def unframe(data):
    assert data.startswith(MAGIC)
    records, at = [], len(MAGIC)
    while at < len(data):
        size = int.from_bytes(data[at + 9 : at + 13], "big")
        records.append((data[at], int.from_bytes(data[at + 1 : at + 9], "big"), data[at + 13 : at + 13 + size]))
        at += 13 + size + 32
    return records


def record_bytes(kind, height, body):
    framed = u8(kind) + u64(height) + u32(len(body)) + body
    return framed + hashlib.sha256(framed).digest()


def frame(records):
    """A file of these records, its checksums right, its end record counting them."""
    out = [MAGIC]
    for at, (kind, height, body) in enumerate(records):
        out.append(record_bytes(kind, height, u64(at) if kind == Kind.END else body))
    return b"".join(out)


@pytest.fixture(scope="module")
def history(new_world, tmp_path_factory):
    """tdh2."""
    return History(new_world(tmp_path_factory.mktemp("history") / "home"))


@pytest.fixture(scope="module")
def small(new_world, tmp_path_factory):
    """A clear history of one revealed height, an empty one and a pending transaction."""
    world = new_world(tmp_path_factory.mktemp("small") / "home", "clear")
    world.run_height(world.transfer(world.people[0]))
    world.run_height()
    world.network.submit(world.transfer(world.people[1]).encoded)
    return audit.export(world.network)


def failure(data):
    with pytest.raises(AuditFailed) as caught:
        audit.verify(data)
    assert caught.value.record
    assert str(caught.value).startswith(f"height {caught.value.height}, {caught.value.record}: ")
    return caught.value


# --- what is true ----------------------------------------------------------------------------------------------------


def test_history_verifies_with_what_it_says(history):
    report = audit.verify(history.data)
    network = history.world.network
    assert report.genesis_root == network.committee.genesis.root
    assert (report.heights, report.executed_height) == (5, 3)
    assert (report.transactions, report.pending) == (7, 2)
    assert report.outcomes == {"bad_payload": 1, "executed": 4}
    assert report.state_root == network.follower.latest.root
    assert report.records == len(history.records)
    assert report.wrong_shares == ()


def test_history_is_the_same_bytes_twice_and_after_a_restart(history):
    assert audit.export(history.world.network) == history.data
    assert audit.export(history.world.load()) == history.data


def test_history_framed_anew_is_the_same_bytes(history):
    assert frame(history.records) == history.data


@pytest.mark.parametrize("policy", ["priority_fee", "shuffle"])
def test_history_of_other_policies_verifies(make_world, policy):
    world = make_world("tdh2", policy)
    executed = world.run_height(*(world.transfer(person) for person in world.people[:5]))
    assert audit.verify(audit.export(world.network)).state_root == executed.state.root


def test_history_before_the_first_height_verifies(world):
    report = audit.verify(audit.export(world.network))
    assert (report.heights, report.executed_height, report.pending) == (0, 0, 0)
    world.network.submit(world.transfer(world.people[0]).encoded)
    assert audit.verify(audit.export(world.network)).pending == 1


def test_history_with_a_wrong_share_verifies_and_names_the_member(world):
    world.run_height_with_a_wrong_share()
    assert audit.verify(audit.export(world.network)).wrong_shares == ((1, 2),)


# --- damage ----------------------------------------------------------------------------------------------------------


def test_damage_is_seen_at_200_random_places(small):
    draw = random.Random(SEED)
    for _ in range(200):
        at, bit = draw.randrange(len(small)), draw.randrange(8)
        damaged = bytearray(small)
        damaged[at] ^= 1 << bit
        failure(bytes(damaged))


def test_damage_is_seen_at_60_random_places_of_an_encrypted_history(history):
    draw = random.Random(SEED + 1)
    for _ in range(60):
        at, bit = draw.randrange(len(history.data)), draw.randrange(8)
        damaged = bytearray(history.data)
        damaged[at] ^= 1 << bit
        failure(bytes(damaged))


def test_damage_is_seen_in_every_frame_header_byte(small):
    starts, at = [], len(MAGIC)
    while at < len(small):
        starts.append(at)
        at += 13 + int.from_bytes(small[at + 9 : at + 13], "big") + 32
    assert len(starts) > 10
    for start in (*starts[:3], starts[len(starts) // 2], starts[-1]):
        for offset in range(13):
            for value in (1, 0x80):
                damaged = bytearray(small)
                damaged[start + offset] ^= value
                failure(bytes(damaged))


def test_damage_in_the_first_line_is_seen(small):
    for at in range(len(MAGIC)):
        damaged = bytearray(small)
        damaged[at] ^= 1
        assert failure(bytes(damaged)).record == "header"
    assert failure(b"").record == "header"


@pytest.mark.slow
def test_damage_is_seen_at_every_byte_of_a_small_history(small):
    for at in range(len(small)):
        damaged = bytearray(small)
        damaged[at] ^= 1 << (at % 8)
        failure(bytes(damaged))


def test_truncation_is_seen_at_every_record_and_in_between(small):
    at = len(MAGIC)
    while at < len(small):
        failure(small[:at])
        failure(small[: at + 5])
        size = int.from_bytes(small[at + 9 : at + 13], "big")
        failure(small[: at + 13 + size])
        at += 13 + size + 32
        if at < len(small):
            failure(small[: at - 1])
    failure(small[:-1])


def test_trailing_bytes_are_seen(small):
    for extra in (b"\0", b"\n", small, record_bytes(Kind.END, 3, u64(0))):
        failure(small + extra)


def test_failure_names_height_and_record(history):
    at = history.find(Kind.SHARE, 3)
    start = len(MAGIC) + sum(13 + len(body) + 32 for _, _, body in history.records[:at])
    damaged = bytearray(history.data)
    damaged[start + 20] ^= 1
    error = failure(bytes(damaged))
    assert (error.height, error.record) == (3, f"record {at + 1}")
    error = failure(history.resigned(Kind.SHARE, 3, SignedShare, history.world.stranger))
    assert (error.height, error.record) == (3, f"record {at + 1} (share 1)")


# --- forgeries -------------------------------------------------------------------------------------------------------


def _swap(history, kind, height, width=1):
    records = list(history.records)
    one, two = history.find(kind, height, 0), history.find(kind, height, 1)
    first, second = records[one : one + width], records[two : two + width]
    records[one : one + width], records[two : two + width] = second, first
    return frame(records)


def _genesis(history, **changes):
    return replace(Genesis.decode(history.records[0][2]), **changes)


def _richer(history):
    genesis = Genesis.decode(history.records[0][2])
    account = replace(genesis.accounts[0], balance=genesis.accounts[0].balance + 1)
    return history.changed(0, replace(genesis, accounts=(account, *genesis.accounts[1:])).encoded)


def _genesis_key_signature(history, signature):
    signed = SignedKeySet.decode(history.records[1][2])
    return history.changed(1, replace(signed, signatures=(signature, *signed.signatures[1:])).encoded)


def _stranger_signs_key_set(history):
    message = SignedKeySet.decode(history.records[1][2]).message
    return _genesis_key_signature(history, history.world.sign(history.world.stranger, message))


def _two_signatures_only(history):
    signed = SignedKeySet.decode(history.records[1][2])
    return history.changed(1, replace(signed, signatures=signed.signatures[:2]).encoded)


def _altered_outcome(history):
    at = history.find(Kind.REVEAL, 3)
    reveal = Reveal.decode(history.records[at][2])
    positions = (replace(reveal.positions[0], outcome=6), *reveal.positions[1:])
    return history.changed(at, replace(reveal, positions=positions).encoded)


def _altered_plaintext(history):
    at = history.find(Kind.REVEAL, 1)
    reveal = Reveal.decode(history.records[at][2])
    positions = (replace(reveal.positions[0], plaintext_root=b"\x01" * 32), *reveal.positions[1:])
    return history.changed(at, replace(reveal, positions=positions).encoded)


def _exchanged_reveals(history):
    one, three = history.find(Kind.REVEAL, 1), history.find(Kind.REVEAL, 3)
    records = list(history.records)
    records[one], records[three] = (
        (Kind.REVEAL, 1, records[three][2]),
        (Kind.REVEAL, 3, records[one][2]),
    )
    return frame(records)


def _envelope_signature(history, height):
    at = history.find(Kind.TRANSACTION, height)
    transaction = EncryptedTransaction.decode(history.records[at][2])
    return history.changed(at, replace(transaction, signature=bytes(64) + b"\x1b").encoded)


def _moved(history, kind, height, nth, to):
    records = list(history.records)
    record = records.pop(history.find(kind, height, nth))
    records.insert(to if to >= 0 else len(records) + to, record)
    return frame(records)


def _copied(history, kind, height, to):
    records = list(history.records)
    record = records[history.find(kind, height)]
    records.insert(to if to >= 0 else len(records) + to, record)
    return frame(records)


def _sequencer(history):
    return history.world.sequencer_identity


FORGERIES = {
    "transactions exchanged": lambda h: _swap(h, Kind.TRANSACTION, 1, width=2),
    "transactions exchanged without their receipts": lambda h: _swap(h, Kind.TRANSACTION, 1),
    "receipts exchanged": lambda h: _swap(h, Kind.RECEIPT, 1),
    "transaction and receipt removed": lambda h: h.without(
        h.find(Kind.TRANSACTION, 1), h.find(Kind.TRANSACTION, 1) + 1
    ),
    "transaction of another height": lambda h: h.changed(
        h.find(Kind.TRANSACTION, 1), h.records[h.find(Kind.TRANSACTION, 3)][2]
    ),
    "receipt removed": lambda h: h.without(h.find(Kind.RECEIPT, 1)),
    "committed envelope without its signature": lambda h: _envelope_signature(h, 1),
    "unrevealed envelope without its signature": lambda h: _envelope_signature(h, 5),
    "pending envelope without its signature": lambda h: _envelope_signature(h, 6),
    "receipt sequence changed": lambda h: h.resigned(Kind.RECEIPT, 1, SignedReceipt, h.world.stranger, sequence=9),
    "receipt sequence given twice by the sequencer": lambda h: h.resigned(
        Kind.RECEIPT, 6, SignedReceipt, _sequencer(h), sequence=0
    ),
    "receipt for another transaction": lambda h: h.resigned(
        Kind.RECEIPT, 6, SignedReceipt, _sequencer(h), tx_id=b"\x01" * 32
    ),
    "pending pairs exchanged": lambda h: _swap(h, Kind.TRANSACTION, 6, width=2),
    "vote removed": lambda h: h.without(h.find(Kind.VOTE, 1)),
    "all votes removed": lambda h: h.without(*(h.find(Kind.VOTE, 3, nth) for nth in range(3))),
    "vote twice": lambda h: _copied(h, Kind.VOTE, 1, h.find(Kind.VOTE, 1)),
    "votes exchanged": lambda h: _swap(h, Kind.VOTE, 1),
    "vote by a stranger": lambda h: h.resigned(Kind.VOTE, 1, SignedVote, h.world.stranger),
    "vote for another commitment": lambda h: h.resigned(
        Kind.VOTE, 1, SignedVote, h.world.member_identity(1), commitment_root=b"\x01" * 32
    ),
    "share removed below the threshold": lambda h: h.without(h.find(Kind.SHARE, 3)),
    "all shares removed": lambda h: h.without(*(h.find(Kind.SHARE, 1, nth) for nth in range(4))),
    "shares exchanged": lambda h: _swap(h, Kind.SHARE, 1),
    "share twice": lambda h: _copied(h, Kind.SHARE, 1, h.find(Kind.SHARE, 1)),
    "share by a stranger": lambda h: h.resigned(Kind.SHARE, 1, SignedShare, h.world.stranger),
    "share in another's name": lambda h: h.resigned(Kind.SHARE, 1, SignedShare, h.world.member_identity(1), member=2),
    "share of a height without votes": lambda h: _copied(h, Kind.SHARE, 4, h.find(Kind.COMMITMENT, 5) + 1),
    "reveal removed in the middle": lambda h: h.without(h.find(Kind.REVEAL, 1)),
    "reveals exchanged": _exchanged_reveals,
    "reveal twice": lambda h: _copied(h, Kind.REVEAL, 1, h.find(Kind.REVEAL, 1)),
    "outcome altered": _altered_outcome,
    "plaintext root altered": _altered_plaintext,
    "commitment by a stranger": lambda h: h.resigned(Kind.COMMITMENT, 5, SignedCommitment, h.world.stranger),
    "commitment removed": lambda h: h.without(h.find(Kind.COMMITMENT, 2)),
    "state root altered and signed by the sequencer": lambda h: h.resigned(
        Kind.COMMITMENT, 5, SignedCommitment, _sequencer(h), state_root=b"\x01" * 32
    ),
    "executed height altered and signed by the sequencer": lambda h: h.resigned(
        Kind.COMMITMENT, 5, SignedCommitment, _sequencer(h), executed_height=2
    ),
    "voted commitment altered and signed by the sequencer": lambda h: h.resigned(
        Kind.COMMITMENT, 4, SignedCommitment, _sequencer(h), l1_block=3
    ),
    "parent altered and signed by the sequencer": lambda h: h.resigned(
        Kind.COMMITMENT, 5, SignedCommitment, _sequencer(h), parent=b"\x01" * 32
    ),
    "balance in the genesis changed": _richer,
    "chain id in the genesis changed": lambda h: h.changed(0, _genesis(h, chain_id=1).encoded),
    "key set signed by a stranger": _stranger_signs_key_set,
    "key set with too few signatures": _two_signatures_only,
    "genesis twice": lambda h: _copied(h, Kind.GENESIS, 0, 1),
    "key set before genesis": lambda h: frame([h.records[1], h.records[0], *h.records[2:]]),
    "no key set": lambda h: h.without(1),
    "end in the middle": lambda h: _copied(h, Kind.END, 6, 10),
    "no end": lambda h: h.without(len(h.records) - 1),
    "a record after the end": lambda h: frame([*h.records, h.records[-2]]),
    "a second end": lambda h: frame([*h.records, h.records[-1]]),
    "end counting others": lambda h: (
        h.data[: -len(record_bytes(Kind.END, 6, u64(0)))] + record_bytes(Kind.END, 6, u64(3))
    ),
    "a record of unknown kind": lambda h: frame([*h.records[:5], (77, 1, b"x"), *h.records[5:]]),
    "a record of kind 0": lambda h: frame([*h.records[:5], (0, 1, b""), *h.records[5:]]),
    "a forced entry out of nowhere": lambda h: frame([*h.records[:2], (Kind.FORCED, 1, b"x"), *h.records[2:]]),
    "height numbers shifted": lambda h: frame([*h.records[:2], *((k, n + 1, b) for k, n, b in h.records[2:])]),
    "two heights exchanged": lambda h: frame(
        [
            *h.records[:2],
            *(r for r in h.records if r[1] == 2 and r[0] != Kind.KEY_SET),
            *(r for r in h.records if r[1] == 1 and r[0] != Kind.KEY_SET),
            *(r for r in h.records if r[1] > 2),
        ]
    ),
    "abstention by a stranger": lambda h: h.resigned(Kind.ABSTENTION, 3, SignedAbstain, h.world.stranger),
    "abstention for another height": lambda h: h.resigned(
        Kind.ABSTENTION, 3, SignedAbstain, h.world.member_identity(4), height=4
    ),
    "abstention twice": lambda h: _copied(h, Kind.ABSTENTION, 3, h.find(Kind.ABSTENTION, 3)),
    "abstention of an old height among the last": lambda h: _moved(h, Kind.ABSTENTION, 3, 0, -1),
    "abstention repeated among the last": lambda h: _copied(h, Kind.ABSTENTION, 3, -1),
    "abstentions of later heights out of order": lambda h: _moved(h, Kind.ABSTENTION, 8, 0, h.find(Kind.ABSTENTION, 7)),
    "abstentions of one later height exchanged": lambda h: _swap(h, Kind.ABSTENTION, 7),
}


def test_removed_pending_pair_shows_as_a_missing_receipt(history):
    at = history.find(Kind.TRANSACTION, 6)
    assert audit.verify(history.data).missing_receipts == 0
    assert audit.verify(history.without(at, at + 1)).missing_receipts == 1


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery_is_refused_though_its_checksums_are_right(history, name):
    """AUD-1 to AUD-4."""
    forged = FORGERIES[name](history)
    assert forged != history.data
    failure(forged)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.FORCED, Kind.END, *OF_OTHER_HISTORIES)])
def test_body_of_every_kind_is_refused_if_cut_longer_or_empty(history, kind):
    at = next(at for at, record in enumerate(history.records) if record[0] == kind)
    body = history.records[at][2]
    for damaged in (b"", body[:-1], body[: len(body) // 2], body + b"\0"):
        failure(history.changed(at, damaged))


@pytest.mark.parametrize("field", ["members", "sequencer", "policy_id", "batch_limit", "start_height", "epoch"])
def test_key_set_that_is_not_the_genesis_first_one_is_refused(history, field):
    """KEY-1, KEY-2: the genesis names the network's first members; anybody else's key set is not this network's."""
    world = history.world
    key_set = world.committee.key_set
    strangers = world.people[:4]
    changes = {
        "sequencer": world.stranger.address,
        "policy_id": 2,
        "batch_limit": key_set.batch_limit + 1,
        "start_height": 2,
        "epoch": 9,
    }
    signers = tuple(world.member_identity(index) for index in range(1, 5))
    if field == "members":
        results: tuple[KeyMaterial, ...] = generate_keys(
            world.committee.scheme, strangers, 3, genesis_root=world.committee.genesis.root, random=deterministic(b"x")
        )
        own = first_key_set(world.committee.genesis, results[0].public, setup_kind=TRUSTED_DEALER, setup_privacy=0)
        forged = replace(own, members=tuple(s.address for s in strangers), sequencer=world.stranger.address)
        signers = strangers
    else:
        forged = replace(key_set, **{field: changes[field]})
    signed = sign_by_members(forged, signers)
    with pytest.raises(Exception, match="KEY-"):
        Committee.load(world.committee.genesis, signed)
    failure(frame([history.records[0], (Kind.KEY_SET, 1, signed.encoded), (Kind.END, 1, b"")]))


def test_sequencers_second_history_with_its_own_key_needs_the_members(history):
    """The real sequencer re-signs an emptied height; the votes are for the other commitment."""
    world = history.world
    at = history.find(Kind.COMMITMENT, 2)
    message = replace(SignedCommitment.decode(history.records[at][2]).message, timestamp_ms=world.clock() + 10)
    forged = SignedCommitment(message=message, signature=world.sign(world.sequencer_identity, message))
    assert failure(history.changed(at, forged.encoded)).height == 2
