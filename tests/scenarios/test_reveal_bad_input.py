"""Dishonest members and dishonest clients at the reveal: shares are judged, positions get outcomes, batches go on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from encmempool import genesis as development
from encmempool.errors import Malformed, Rejected
from encmempool.reveal import Follower, NotEnoughShares, Outcome
from encmempool.store import perform
from encmempool.types import DecryptionShare, OrderCertificate, ShareRelease, SignedShare
from threshold.schemes import tdh2
from threshold.schemes.base import BatchKey

GAS_PRICE = 12 * 10**9  # base fee and priority fee


class Stage:
    """One certified height of two transfers, nothing released yet, and every member's true release."""

    def __init__(self, world, *transactions):
        self.world = world
        for transaction in transactions or (world.transfer(world.people[0]), world.transfer(world.people[1])):
            world.network.submit(transaction.encoded)
        self.proposal = world.network.commit()
        self.certificate = world.network.vote(self.proposal)
        self.follower = world.network.follower
        self.releases = {}
        for seat in world.network.seats:
            (send,) = perform(seat.member.release(self.certificate), seat.store)
            self.releases[seat.member.index] = ShareRelease.decode(send.message)

    def receive(self, release):
        perform(self.follower.receive(release), self.world.network._archive)

    def forge(self, of, *, signer=None, certificate=None, **changes):
        """A member's release with changed fields, signed anew by that member unless told otherwise."""
        message = replace(self.releases[of].share.message, **changes)
        signature = self.world.sign(signer or self.world.member_identity(of), message)
        return ShareRelease(
            share=SignedShare(message=message, signature=signature), certificate=certificate or self.certificate
        )

    def refused(self, release):
        before, shares = self.world.records("archive"), self.follower.shares(1)
        with pytest.raises((Malformed, Rejected)) as caught:
            self.receive(release)
        assert self.world.records("archive") == before
        assert self.follower.shares(1) == shares
        return caught.value.rule if isinstance(caught.value, Rejected) else "malformed"

    def finish(self, members=(1, 2, 3)):
        for member in members:
            self.receive(self.releases[member])
        records, executed = self.follower.advance()
        perform(records, self.world.network._archive)
        return executed


@pytest.fixture
def stage(world):
    return Stage(world)


# --- shares ----------------------------------------------------------------------------------------------------------


def _bad_shares():
    yield "a stranger", lambda s: s.forge(1, signer=s.world.stranger)
    yield "the sequencer", lambda s: s.forge(1, signer=s.world.sequencer_identity)
    yield "a member that is not there", lambda s: s.forge(1, member=5)
    yield "member zero", lambda s: s.forge(1, member=0)
    yield "another member's name", lambda s: s.forge(1, member=2)
    yield "another member's share as one's own", lambda s: s.forge(1, signer=s.world.member_identity(2))
    yield "another commitment", lambda s: s.forge(1, commitment_root=b"\x01" * 32)
    yield "another round", lambda s: s.forge(1, round=2)
    yield "another height", lambda s: s.forge(1, height=2)
    yield "height zero", lambda s: s.forge(1, height=0)
    yield "another committee", lambda s: s.forge(1, committee_id=b"\x01" * 32)
    yield (
        "data changed after signing",
        lambda s: replace(
            s.releases[1],
            share=replace(s.releases[1].share, message=replace(s.releases[1].share.message, data=b"\x01" * 144)),
        ),
    )
    yield "no signature", lambda s: replace(s.releases[1], share=replace(s.releases[1].share, signature=bytes(65)))
    yield "no certificate", lambda s: s.forge(1, certificate=OrderCertificate(vote=s.certificate.vote, signatures=()))
    yield (
        "too few votes",
        lambda s: s.forge(1, certificate=replace(s.certificate, signatures=s.certificate.signatures[:2])),
    )
    yield (
        "one vote three times",
        lambda s: s.forge(1, certificate=replace(s.certificate, signatures=s.certificate.signatures[:1] * 3)),
    )
    yield (
        "votes for another commitment",
        lambda s: s.forge(
            1, certificate=replace(s.certificate, vote=replace(s.certificate.vote, commitment_root=b"\x01" * 32))
        ),
    )


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in _bad_shares()])
def test_share_is_refused_and_the_batch_opens_without_it(stage, make):
    assert stage.refused(make(stage)) in ("REV-1", "CRT-3", "SIG-1")
    (executed,) = stage.finish()
    assert [r.code for r in executed.receipts] == ["executed"] * 2


def test_share_is_refused_if_the_member_sent_another_before(stage):
    stage.receive(stage.releases[1])
    different = stage.forge(1, data=bytes(len(stage.releases[1].share.message.data)))
    with pytest.raises(Rejected) as caught:
        stage.receive(different)
    assert (caught.value.rule, caught.value.member) == ("REV-1", 1)
    stage.receive(stage.releases[1])  # the first one once more is no fault
    assert stage.finish(members=(2, 3))


def test_share_of_another_height_does_not_open_this_one(world):
    """Its bytes are valid for their own batch; re-signed for the other they are wrong, and their member is named."""
    stage = Stage(world)
    stage.finish()
    world.network.execute()
    for seat in world.network.seats:  # bring the seats to the same height
        for release in stage.releases.values():
            perform(seat.follower.certify(release.certificate), seat.store)
            perform(seat.follower.receive(release), seat.store)
        records, _ = seat.follower.advance()
        perform(records, seat.store)
    later = Stage(world, world.transfer(world.people[0], 1), world.transfer(world.people[1], 1))
    replayed = later.forge(1, data=stage.releases[1].share.message.data)
    later.receive(replayed)
    (executed,) = later.finish(members=(2, 3, 4))
    assert [r.code for r in executed.receipts] == ["executed"] * 2
    assert later.follower.wrong_shares(2) == (1,)


def test_share_release_bytes_are_refused_if_damaged(stage):
    data = stage.releases[1].encoded
    for damaged in (b"", data[:-1], data[:50], b"\xff" * len(data)):
        with pytest.raises(Malformed):
            ShareRelease.decode(damaged)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_batch_stays_closed_with_fewer_than_threshold_shares(stage, count):
    assert stage.finish(members=tuple(range(1, count + 1))) == ()
    assert stage.follower.latest.height == 0
    assert stage.world.nonce(stage.world.people[0]) == 0


def _wrong_data(data):
    yield "a bit of a point", bytes([data[0] ^ 1]) + data[1:]
    yield "a bit of the proof", data[:-1] + bytes([data[-1] ^ 1])
    yield "points exchanged", data[48:96] + data[:48] + data[96:]
    yield "empty", b""
    yield "cut", data[:-1]
    yield "longer", data + b"\0"
    yield "zeros", bytes(len(data))


@pytest.mark.parametrize("at", range(7))
def test_batch_opens_despite_one_wrong_share_and_its_member_is_named(stage, at):
    name, data = list(_wrong_data(stage.releases[2].share.message.data))[at]
    stage.receive(stage.forge(2, data=data))
    (executed,) = stage.finish(members=(1, 3, 4))
    assert [r.success for r in executed.receipts] == [True, True], name
    assert stage.follower.wrong_shares(1) == (2,)
    assert stage.world.load().follower.wrong_shares(1) == (2,)


def test_batch_of_threshold_shares_with_a_wrong_one_waits_names_it_and_opens_with_the_next(stage):
    stage.receive(stage.forge(1, data=b"\x01" * 144))
    for member in (2, 3):
        stage.receive(stage.releases[member])
    with pytest.raises(NotEnoughShares) as caught:
        stage.follower.advance()
    assert caught.value.blamed == (1,)
    assert stage.follower.latest.height == 0
    (executed,) = stage.finish(members=(4,))
    assert [r.code for r in executed.receipts] == ["executed"] * 2


def test_height_executed_before_a_failing_one_is_stored(world):
    """A wrong share at height 2 must not cost the record of height 1, executed in the same step."""
    first = Stage(world)
    second = Stage(world, world.transfer(world.people[2]))
    for member in (1, 2, 3):
        first.receive(first.releases[member])
    second.receive(second.forge(1, data=b""))
    for member in (2, 3):
        second.receive(second.releases[member])
    with suppress(NotEnoughShares):
        records, _ = first.follower.advance()
        perform(records, world.network._archive)
    assert world.load().follower.latest.height == first.follower.latest.height


def test_threshold_shares_in_one_members_name_are_one_share(stage):
    stage.receive(stage.releases[1])
    for other in (2, 3):
        with pytest.raises(Rejected):
            stage.receive(stage.forge(1, data=stage.releases[other].share.message.data))
    assert stage.follower.advance() == ((), ())


def test_clear_scheme_share_with_data_is_named(clear_world):
    stage = Stage(clear_world)
    stage.receive(stage.forge(4, data=b"\x01"))
    (executed,) = stage.finish()
    assert executed.receipts[0].success
    assert stage.follower.wrong_shares(1) == (4,)


# --- what malicious clients put inside ------------------------------------------------------------------------------


def _plaintexts(world, person):
    """(outcome, plaintext, header changes): everything an encrypted transaction may turn out to be."""
    other = world.people[9]
    payload = world.payload(person)
    smallest = 256
    yield "bad_padding", b"\x00" + world.pad(payload)[1:], {}
    yield "bad_padding", b"\x02" + world.pad(payload)[1:], {}
    yield "bad_padding", bytes(smallest), {}
    yield "bad_padding", world.pad(payload, length=2**32 - 1), {}
    yield "bad_padding", world.pad(payload, length=smallest - 20), {}
    yield "bad_padding", world.pad(payload, length=len(payload) - 1), {}
    yield "bad_padding", world.pad(payload)[:-1] + b"\x01", {}
    yield "bad_padding", world.pad(payload, size=512), {}
    yield "bad_padding", world.pad(payload, size=65_536), {}
    yield "bad_payload", world.pad(b""), {}
    yield "bad_payload", world.pad(b"\xff" * 100), {}
    yield "bad_payload", world.pad(b"\x01" + payload[1:]), {}
    yield "bad_payload", world.pad(payload + b"\0"), {}
    yield "bad_payload", world.pad(payload[:-1]), {}
    yield "bad_payload", world.pad(b"\x02" + b"\xc0" * 200), {}
    yield "bad_payload", world.pad(b"\x02\xfb\xff\xff\xff\xff"), {}
    yield "header_mismatch", world.pad(world.payload(other)), {}
    yield "header_mismatch", world.pad(world.payload(person, 1)), {}
    yield "header_mismatch", world.pad(world.payload(person, chain_id=1)), {}
    yield "header_mismatch", world.pad(world.payload(person, max_fee_per_gas=31 * 10**9)), {}
    yield "header_mismatch", world.pad(world.payload(person, max_priority_fee_per_gas=10**9)), {}
    yield "header_mismatch", world.pad(world.payload(person, gas_limit=21_001)), {}
    yield "header_mismatch", world.pad(payload), {"max_priority_fee_per_gas": 3 * 10**9}
    yield "not_executable", world.pad(world.payload(person, value=20_000 * 10**18)), {}
    yield "executed", world.pad(world.payload(person, to=development.ROUTER)), {}  # reverts
    yield "executed", world.pad(world.payload(person, gas_limit=20_000)), {}  # out of gas


OUTCOMES = 26


@pytest.mark.parametrize("scheme", ["tdh2", "clear"])
@pytest.mark.parametrize("at", range(OUTCOMES))
def test_bad_content_gets_its_outcome_and_spares_the_rest_of_the_batch(make_world, scheme, at):
    """REV-3; fee and nonce as the outcome table says: whoever fills a place with rubbish pays for it."""
    world = make_world(scheme)
    mallory, alice, bob = world.people[:3]
    cases = list(_plaintexts(world, mallory))
    assert len(cases) == OUTCOMES
    outcome, plaintext, changes = cases[at]
    executed = world.run_height(world.transfer(alice), world.seal(mallory, plaintext, **changes), world.swap(bob))
    first, bad, last = executed.receipts
    assert bad.code == outcome
    assert not bad.success
    assert (first.success, last.success) == (True, True)
    price = 10 * 10**9 + changes.get("max_priority_fee_per_gas", 2 * 10**9)
    assert bad.gas_used == 21_000  # the gas limit for rubbish, the intrinsic gas for what cannot pay
    assert bad.fee == 21_000 * price
    assert world.balance(mallory) == 10_000 * 10**18 - bad.fee
    assert world.nonce(mallory) == 1
    assert executed.reveal.positions[1].outcome == Outcome[outcome.upper()]
    assert {s.follower.latest.root for s in world.network.seats} == {executed.state.root}
    assert world.restart().follower.latest.root == executed.state.root


def test_rubbish_pays_its_whole_gas_limit_and_unexecutable_only_the_intrinsic_gas(world):
    mallory, alice = world.people[:2]
    executed = world.run_height(
        world.seal(mallory, world.pad(b"rubbish"), gas_limit=168_000),
        world.seal(alice, world.pad(world.payload(alice, gas_limit=100_000, value=10**24)), gas_limit=168_000),
    )
    rubbish, unexecutable = executed.receipts
    assert (rubbish.code, rubbish.gas_used, rubbish.fee) == ("bad_payload", 168_000, 168_000 * GAS_PRICE)
    assert (unexecutable.code, unexecutable.fee) == ("not_executable", 21_000 * GAS_PRICE)


def test_ciphertext_whose_body_does_not_authenticate_is_undecryptable(world):
    """The proof covers the body, so only one who made the ciphertext can break its seal: with a wrong key."""
    mallory, alice, bob = world.people[:3]
    scheme, key = world.committee.scheme, world.committee.public_key
    header = world.header(mallory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tdh2, "derive_key", lambda *parts: bytes(32))
        ciphertext = scheme.encrypt(key, world.pad(b"x"), aad=header.root, height=0, random=world.random)
    bad = world.envelope(mallory, header, ciphertext)
    executed = world.run_height(world.transfer(alice), bad, world.transfer(bob))
    assert [r.code for r in executed.receipts] == ["executed", "undecryptable", "executed"]
    assert executed.receipts[1].fee == 21_000 * GAS_PRICE
    assert executed.reveal.positions[1].plaintext_root == bytes(32)
    assert world.nonce(mallory) == 1
    assert world.balance(mallory) == 10_000 * 10**18 - 21_000 * GAS_PRICE
    assert world.restart().follower.latest.root == executed.state.root


def test_revert_pays_its_gas_and_success_moves_the_value(world):
    alice, bob = world.people[:2]
    executed = world.run_height(world.swap(alice, minimum=10**30), world.transfer(bob, value=5, to=alice.address))
    revert, success = executed.receipts
    assert (revert.code, revert.success) == ("executed", False)
    assert "INSUFFICIENT_OUTPUT_AMOUNT" in revert.reason
    assert (success.code, success.success) == ("executed", True)
    assert world.balance(alice) == 10_000 * 10**18 - revert.fee + 5
    assert world.balance(bob) == 10_000 * 10**18 - success.fee - 5


def test_balance_spent_by_an_earlier_transaction_of_the_batch_makes_a_later_one_not_executable(world):
    alice = world.people[0]
    everything = world.balance(alice) - 2 * 21_000 * 30 * 10**9
    executed = world.run_height(world.transfer(alice, value=everything), world.transfer(alice, 1, value=everything))
    first, second = executed.receipts
    assert (first.success, second.code) == (True, "not_executable")
    assert second.fee == 21_000 * GAS_PRICE
    assert world.nonce(alice) == 2


def test_batch_of_nothing_but_rubbish_is_executed(world):
    executed = world.run_height(*(world.seal(person, bytes(256)) for person in world.people[:8]))
    assert {r.code for r in executed.receipts} == {"bad_padding"}
    assert all(world.nonce(person) == 1 for person in world.people[:8])


# --- reveals ---------------------------------------------------------------------------------------------------------


def _bad_reveals(reveal):
    key = BatchKey.decode(reveal.batch_key)
    first, second = reveal.positions
    yield "another commitment", replace(reveal, commitment_root=b"\x01" * 32)
    yield "no key", replace(reveal, batch_key=b"")
    yield "key cut", replace(reveal, batch_key=reveal.batch_key[:-1])
    yield "key longer", replace(reveal, batch_key=reveal.batch_key + b"\0")
    yield (
        "value changed",
        replace(reveal, batch_key=BatchKey(value=bytes([key.value[0] ^ 1]) + key.value[1:], proof=key.proof).encode()),
    )
    yield (
        "points exchanged",
        replace(reveal, batch_key=BatchKey(value=key.value[48:] + key.value[:48], proof=key.proof).encode()),
    )
    yield "no proof", replace(reveal, batch_key=BatchKey(value=key.value, proof=b"").encode())
    yield (
        "proof changed",
        replace(
            reveal, batch_key=BatchKey(value=key.value, proof=key.proof[:-1] + bytes([key.proof[-1] ^ 1])).encode()
        ),
    )
    yield "outcome changed", replace(reveal, positions=(replace(first, outcome=2), second))
    yield "outcome unknown", replace(reveal, positions=(replace(first, outcome=99), second))
    yield "plaintext root changed", replace(reveal, positions=(first, replace(second, plaintext_root=b"\x01" * 32)))
    yield "positions exchanged", replace(reveal, positions=(second, first))
    yield "position missing", replace(reveal, positions=(first,))
    yield "position added", replace(reveal, positions=(first, second, second))
    yield "no positions", replace(reveal, positions=())


@pytest.mark.parametrize("at", range(15))
def test_reveal_is_refused_if_tampered_with_and_leaves_the_follower_as_it_was(stage, at):
    """REV-4. The true reveal is taken right after."""
    (executed,) = stage.finish()
    name, bad = list(_bad_reveals(executed.reveal))[at]
    auditor = Follower(stage.world.committee)
    auditor.propose(stage.proposal)
    auditor.certify(stage.certificate)
    before = auditor.latest.root
    with pytest.raises((Malformed, Rejected)):
        auditor.replay(auditor.chain.at(1), bad)
    assert auditor.latest.height == 0, name
    assert auditor.latest.root == before
    assert auditor.executed == ()
    assert auditor.replay(auditor.chain.at(1), executed.reveal).state.root == executed.state.root


def test_share_objects_keep_to_their_encoding(stage):
    share = stage.releases[1].share.message
    assert DecryptionShare.decode(share.encoded) == share
    with pytest.raises(Malformed):
        DecryptionShare.decode(share.encoded[:40])
