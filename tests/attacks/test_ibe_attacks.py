"""Attacks on weakened copies of ibe, which they break, and on ours, which refuses; and what ibe does not promise.

Each weak copy differs from ours by one omission that has been seen in the wild. Whoever removes the check from ours
makes the second half of a test fail.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import pytest
from py_ecc.bls.point_compression import decompress_G2

from encmempool.transactions import unpad
from encmempool.types import SignedVote
from tests.attacks.conftest import Node, rule_of
from threshold.curve import G1, G2_BYTES, INSTALLED, load_backend
from threshold.encoding import enc, u64
from threshold.entropy import deterministic
from threshold.errors import Malformed, NotEnoughShares, Rejected, ShareRejected
from threshold.hashing import Tag
from threshold.keys import KeyShare, Limits
from threshold.schemes import ibe
from threshold.schemes.base import Batch, BatchKey, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.ibe import Ibe, _body_key
from threshold.sharing import recover_points
from threshold.symmetric import seal

VICTIM, ATTACKER = b"sender: victim", b"sender: attacker"
SECRET_ORDER = b"buy 40 ETH at market"
HEIGHT = 7
IDENTITY = b"\xc0" + bytes(G2_BYTES - 1)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A committee of 3 of 5 and its users. Every instance has the same key, whatever the scheme's weaknesses."""

    scheme: Any
    public: Any
    shares: tuple[KeyShare, ...]

    def encrypt(self, plaintext: bytes, aad: bytes, height: int = HEIGHT) -> bytes:
        return self.scheme.encrypt(self.public, plaintext, aad=aad, height=height, random=deterministic(aad))

    def verified(self, ciphertext: bytes, aad: bytes, height: int = HEIGHT) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(self.public, ciphertext, aad=aad, height=height)

    def entry(self, plaintext: bytes, aad: bytes = ATTACKER, height: int = HEIGHT) -> VerifiedCiphertext:
        return self.verified(self.encrypt(plaintext, aad, height), aad, height)

    def batch(self, *entries: VerifiedCiphertext, height: int = HEIGHT) -> Batch:
        return Batch(key_id=self.public.key_id, height=height, round=1, entries=entries)

    def share(self, member: int, batch: Batch) -> Share:
        return self.scheme.partial_decrypt(self.public, self.shares[member - 1], batch, random=deterministic(b""))

    def opened(self, batch: Batch) -> BatchKey:
        key, refused = self.scheme.combine(self.public, batch, [self.share(j, batch) for j in (1, 2, 3)], None)
        assert refused == ()
        self.scheme.verify_batch_key(self.public, batch, key, None)
        return key

    def read(self, entry: VerifiedCiphertext, key: BatchKey) -> bytes | Undecryptable:
        """What somebody with this batch key reads in an entry, whether it was in the batch or not."""
        return self.scheme.decrypt(self.public, self.batch(entry), key, None)[0]


def network(scheme: Ibe, name: bytes = b"network") -> Network:
    material, shares = scheme.deal(n=5, t=3, limits=Limits(), random=deterministic(b"key"))
    return Network(scheme=scheme, public=scheme.load_public_key(material, key_id=material.key_id(name)), shares=shares)


@pytest.fixture
def ours() -> Network:
    return network(Ibe(load_backend()))


# --- the identity as U ------------------------------------------------------------------------------------------------


def of_nothing(members: Network) -> bytes:
    """A ciphertext with U = 0: the shared value is one for every key and height."""
    one = members.scheme._backend.gt_encode(members.scheme._backend.gt_one())
    return IDENTITY + seal(
        _body_key(members.public.key_id, members.public.point_bytes, one, HEIGHT, IDENTITY, VICTIM),
        SECRET_ORDER,
        VICTIM,
    )


def test_identity_as_u_is_read_by_everybody_before_the_height_opens_when_it_is_accepted():
    """What a broken generator of random numbers makes, or a client that wants others to see."""
    backend = copy.copy(load_backend("reference"))
    backend.g2 = copy.copy(backend.g2)
    weak = network(Ibe(backend))
    backend.g2.decode = lambda data: decompress_G2((int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")))
    victim = weak.verified(of_nothing(weak), VICTIM)
    assert weak.scheme._open(weak.public, victim, backend.gt_encode(backend.gt_one())) == SECRET_ORDER


@pytest.mark.parametrize("backend", INSTALLED)
def test_identity_as_u_is_refused_by_ours(backend):
    """IBE-1."""
    members = network(Ibe(load_backend(backend)))
    with pytest.raises(Malformed, match="identity"):
        members.verified(of_nothing(members), VICTIM)


# --- shares checked together without weights --------------------------------------------------------------------------


def off(share: Share, error: int) -> Share:
    """The share plus error * generator."""
    group = load_backend().g1
    point = group.add(group.decode(share.data), group.multiply(group.generator, error))
    return replace(share, data=group.encode(point))


def cancelling(members: Network, batch: Batch) -> list[Share]:
    """Two wrong shares, then three good ones, which would be enough."""
    return [off(members.share(1, batch), 5), off(members.share(2, batch), -5)] + [
        members.share(j, batch) for j in (3, 4, 5)
    ]


def test_cancelling_errors_keep_a_height_closed_without_blame_when_shares_are_not_weighted(ours, monkeypatch):
    """Both wrong shares pass the check of the first three, and are kept though nothing they are part of is a key."""
    batch = ours.batch(ours.entry(SECRET_ORDER))
    monkeypatch.setattr(ibe, "weights", lambda _tag, count, *_: (1,) * count)
    with pytest.raises(NotEnoughShares) as caught:
        ours.scheme.combine(ours.public, batch, cancelling(ours, batch), None)
    assert caught.value.blamed == ()


def test_cancelling_errors_are_refused_and_named_by_ours(ours):
    """IBE-5."""
    entry = ours.entry(SECRET_ORDER)
    batch = ours.batch(entry)
    shares = cancelling(ours, batch)
    for wrong in shares[:2]:
        with pytest.raises(ShareRejected) as caught:
            ours.scheme.verify_share(ours.public, batch, wrong)
        assert (caught.value.rule, caught.value.member) == ("IBE-5", wrong.member)
    key, refused = ours.scheme.combine(ours.public, batch, shares, None)
    assert refused == (1, 2)
    assert ours.read(entry, key) == SECRET_ORDER


# --- one scalar for encryption and for votes --------------------------------------------------------------------------


def bls_votes(members: Network, tag: bytes) -> BatchKey:
    """What members 1 to 3 sign with their encryption scalars when they vote for a height, added up to a certificate."""
    group = load_backend().g1
    message = group.hash_to_curve(enc(members.public.key_id, u64(HEIGHT)), tag)
    votes: dict[int, tuple[G1, ...]] = {
        share.member: (group.multiply(message, int.from_bytes(share.secret_bytes(), "big")),)
        for share in members.shares[:3]
    }
    return BatchKey(value=group.encode(*recover_points(group, votes)), proof=b"")


def test_votes_open_a_height_when_members_sign_them_with_the_encryption_key(ours):
    """A BLS certificate for a height is the key of the height: it opens before anybody has released a share."""
    victim = ours.entry(SECRET_ORDER, VICTIM)
    certificate = bls_votes(ours, Tag.IBE_IDENTITY.value)
    ours.scheme.verify_batch_key(ours.public, ours.batch(victim), certificate, None)
    assert ours.read(victim, certificate) == SECRET_ORDER


def test_votes_of_ours_are_no_shares(dealt_world, ours):
    """IBE-4: another key and another curve. And IBE-6: under a tag of its own even a BLS vote would be no key."""
    world = dealt_world("ibe")
    transaction = world.transfer(world.people[0], valid_until=1)
    world.network.submit(transaction.encoded)
    vote: SignedVote = Node(world, 2).vote(world.network.commit())
    entry = world.committee.verify_ciphertext(transaction)
    batch = Batch(key_id=entry.key_id, height=1, round=1, entries=(entry,))
    for data in (vote.signature, vote.signature[:48], vote.message.root):
        share = Share(member=2, data=data)
        assert rule_of(world.committee.scheme.verify_share, world.committee.public_key, batch, share) == "IBE-4"
    victim = ours.entry(SECRET_ORDER, VICTIM)
    certificate = bls_votes(ours, b"encmempool-votes")
    assert rule_of(ours.scheme.verify_batch_key, ours.public, ours.batch(victim), certificate, None) == "IBE-6"
    assert isinstance(ours.read(victim, certificate), Undecryptable)


# --- one key in two networks ------------------------------------------------------------------------------------------


class WithoutNetwork(Ibe):
    """H of the height alone."""

    def __init__(self, backend: Any) -> None:
        super().__init__(backend)
        self._identity = lambda _key_id, height: backend.g1.hash_to_curve(u64(height), Tag.IBE_IDENTITY.value)


def test_height_opens_in_both_networks_when_identities_do_not_name_the_key():
    """A committee that serves two networks with one key: the attacker opens a height where that costs it nothing."""
    scheme = WithoutNetwork(load_backend())
    main, test = network(scheme, b"main network"), network(scheme, b"test network")
    victim = main.entry(SECRET_ORDER, VICTIM)
    key = test.opened(test.batch(test.entry(b"nothing")))
    assert main.read(victim, key) == SECRET_ORDER


def test_height_of_another_network_opens_nothing_in_ours():
    """IBE-6 for the key and IBE-5 for a share."""
    scheme = Ibe(load_backend())
    main, test = network(scheme, b"main network"), network(scheme, b"test network")
    victim, elsewhere = main.entry(SECRET_ORDER, VICTIM), test.batch(test.entry(b"nothing"))
    key, share = test.opened(elsewhere), test.share(1, elsewhere)
    assert isinstance(main.read(victim, key), Undecryptable)
    assert rule_of(main.scheme.verify_batch_key, main.public, main.batch(victim), key, None) == "IBE-6"
    assert rule_of(main.scheme.verify_share, main.public, main.batch(victim), share) == "IBE-5"


# --- what a height's key opens ----------------------------------------------------------------------------------------


class WithoutList(Ibe):
    """Releases its share when the height is reached, whatever the batch holds."""

    def _batch_identity(self, public_key: Any, batch: Batch) -> G1:
        return self._identity(public_key.key_id, batch.height)


def test_sequencer_opens_a_height_and_executes_nothing_when_empty_batches_get_shares():
    weak = network(WithoutList(load_backend()))
    victim = weak.entry(SECRET_ORDER, VICTIM)
    assert weak.read(victim, weak.opened(weak.batch())) == SECRET_ORDER


def test_sequencer_opens_a_height_with_a_batch_of_another_when_entries_are_not_compared():
    weak = network(WithoutList(load_backend()))
    victim = weak.entry(SECRET_ORDER, VICTIM)
    assert weak.read(victim, weak.opened(weak.batch(weak.entry(b"mine", height=1)))) == SECRET_ORDER


def test_empty_batch_and_batch_of_another_height_get_no_share_from_ours(ours):
    """IBE-3 and IBE-2."""
    assert rule_of(ours.share, 1, ours.batch()) == "IBE-3"
    assert rule_of(ours.share, 1, ours.batch(ours.entry(b"mine", height=1))) == "IBE-2"
    assert rule_of(ours.share, 1, ours.batch(ours.entry(b"mine"), ours.entry(b"mine", height=1))) == "IBE-2"


def test_stated_limit_transaction_left_out_of_its_height_opens_with_it_and_is_never_executed(dealt_world):
    """The sequencer keeps the victim's transaction to itself. VOT-5: no height may have what another one opens."""
    world = dealt_world("ibe")
    payload = world.payload(world.people[5])
    victim = world.encrypt(payload, world.people[5], valid_until=1)
    executed = world.run_height(world.transfer(world.people[0], valid_until=1))
    committee, entry = world.committee, world.committee.verify_ciphertext(victim)
    published = BatchKey.decode(executed.reveal.batch_key)
    batch = Batch(key_id=entry.key_id, height=1, round=1, entries=(entry,))
    (plaintext,) = committee.scheme.decrypt(committee.public_key, batch, published, None)
    assert unpad(plaintext, committee.genesis.size_classes) == payload
    world.network.submit(world.transfer(world.people[1], valid_until=2).encoded)
    node = Node(world, 1)
    node.take(1)
    early = world.transfer(world.people[6], valid_until=3)
    honest = world.network.commit()
    for elsewhere, reason in ((victim, "has expired"), (early, "is encrypted to height 3")):
        with pytest.raises(Rejected, match=reason) as caught:
            node.vote(world.forge(honest, transactions=(elsewhere,)))
        assert caught.value.rule == "VOT-5"


@pytest.mark.parametrize("scheme", ["tdh2", "simple-bte", "fptx"])
def test_transaction_left_out_stays_closed_in_the_other_schemes(dealt_world, scheme):
    """The contrast: pending privacy. TDH-4, SBT-6 and FPT-7."""
    world = dealt_world(scheme)
    committee = world.committee
    entry = committee.verify_ciphertext(world.transfer(world.people[5]))
    published = BatchKey.decode(world.run_height(world.transfer(world.people[0])).reveal.batch_key)
    batch = Batch(key_id=entry.key_id, height=1, round=1, entries=(entry,))
    precomputed = committee.precompute(batch)
    (opened,) = committee.scheme.decrypt(committee.public_key, batch, published, precomputed)
    assert isinstance(opened, Undecryptable)
    rule = rule_of(committee.scheme.verify_batch_key, committee.public_key, batch, published, precomputed)
    assert rule == {"tdh2": "TDH-4", "simple-bte": "SBT-6", "fptx": "FPT-7"}[scheme]
