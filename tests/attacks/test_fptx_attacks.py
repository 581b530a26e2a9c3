"""Attacks on weakened copies of fptx and of the members that use it, which they break, and on ours, which refuses.

`tests/unit/test_fptx.py` executes three more, where the scheme alone is at fault or at rest: two digests in one round
open everything pending, mixing the keys of two rounds opens nothing, and an identity copied without the signature's
check opens the victim in an earlier batch. That nobody makes two digests in one round is not in the scheme's power:
the second half of this file is about the members that have to see to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from Crypto.Signature import eddsa

from encmempool.committee import Chain
from encmempool.errors import Conflict
from encmempool.keysets import Committee, public_material, sign_key_set, successor_key_set
from encmempool.store import perform
from encmempool.transactions import unpad
from encmempool.types import KeySet, Proposal, ShareRelease, SignedKeySet
from tests.attacks.conftest import Node, Overwriting, certified, committed, equivocating, rule_of, voted
from tests.scenarios.conftest import World
from threshold import onetime
from threshold.curve import G1, ORDER, load_backend
from threshold.encoding import enc
from threshold.entropy import deterministic
from threshold.errors import NotEnoughShares, Rejected, ShareRejected
from threshold.hashing import Tag
from threshold.keys import KeyShare, Limits, PublicMaterial
from threshold.polynomial import evaluate
from threshold.schemes import fptx
from threshold.schemes.base import Batch, BatchKey, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.fptx import Fptx
from threshold.schemes.key_generation import self_test_batch

NETWORK = b"network"
VICTIM, ATTACKER = b"sender: victim", b"sender: attacker"
SECRET_ORDER = b"buy 40 ETH at market"
SIGNED = -onetime.SIGNATURE_BYTES


@dataclass(frozen=True, kw_only=True)
class Network:
    """A committee of 3 of 4 and its users. Every instance has the same key, whatever the scheme's weaknesses."""

    scheme: Any
    material: PublicMaterial
    public: Any
    shares: tuple[KeyShare, ...]

    def encrypt(self, plaintext: bytes, aad: bytes) -> bytes:
        return self.scheme.encrypt(self.public, plaintext, aad=aad, height=0, random=deterministic(aad + plaintext))

    def verified(self, ciphertext: bytes, aad: bytes) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(self.public, ciphertext, aad=aad, height=0)

    def entry(self, plaintext: bytes, aad: bytes = ATTACKER) -> VerifiedCiphertext:
        return self.verified(self.encrypt(plaintext, aad), aad)

    def batch(self, *entries: VerifiedCiphertext, round_: int = 1, height: int = 1) -> Batch:
        return Batch(key_id=self.public.key_id, height=height, round=round_, entries=entries)

    def share(self, member: int, batch: Batch) -> Share:
        return self.scheme.partial_decrypt(self.public, self.shares[member - 1], batch, random=deterministic(b""))

    def opened(self, batch: Batch) -> BatchKey:
        shares = [self.share(member, batch) for member in (1, 2, 3)]
        precomputed = self.scheme.precompute(self.public, batch)
        key, refused = self.scheme.combine(self.public, batch, shares, precomputed)
        assert refused == ()
        self.scheme.verify_batch_key(self.public, batch, key, precomputed)
        return key

    def read(self, batch: Batch, key: BatchKey) -> tuple[bytes | Undecryptable, ...]:
        return self.scheme.decrypt(self.public, batch, key, self.scheme.precompute(self.public, batch))


def network(scheme: Fptx) -> Network:
    material, shares = scheme.deal(n=4, t=3, limits=Limits(batch=2, rounds=2), random=deterministic(b"key"))
    public = scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    return Network(scheme=scheme, material=material, public=public, shares=shares)


@pytest.fixture
def ours() -> Network:
    """3 of 4 members, two rounds with two ciphertexts each."""
    return network(Fptx(load_backend()))


def polynomial_of(batch: Batch) -> list[int]:
    return fptx._with_roots([entry.parsed.identity for entry in batch.entries])


def mixed(
    scheme: Fptx, public: Any, victim: VerifiedCiphertext, parts: Sequence[tuple[Batch, BatchKey, int]]
) -> bytes | Undecryptable:
    """Open what is in no batch, with the sum of batch keys times factors, and of the digests and openings likewise.

    Works if the factors add up to one and, in every round, the polynomials times factors vanish at the victim's
    identity. The openings are those of f - f(id), which X - id divides."""
    backend, identity = load_backend(), victim.parsed.identity
    digest = opening = key = backend.g1.identity
    for batch, batch_key, factor in parts:
        polynomial, row = polynomial_of(batch), public.row(batch.round)
        quotient = fptx._divided(polynomial, identity)
        digest = backend.g1.add(digest, backend.g1.msm(row[: len(polynomial)], [factor * c for c in polynomial]))
        opening = backend.g1.add(opening, backend.g1.msm(row[: len(quotient)], [factor * c for c in quotient]))
        key = backend.g1.add(key, backend.g1.multiply(backend.g1.decode(batch_key.value), factor % ORDER))
    parsed = victim.parsed
    mask = backend.multi_pairing((digest, opening, key), (parsed.c0, parsed.c1, parsed.c2))
    return scheme._open(public, victim, backend.gt_encode(mask))


def two_of_a_round(
    scheme: Fptx, public: Any, victim: VerifiedCiphertext, first: tuple[Batch, BatchKey], second: tuple[Batch, BatchKey]
) -> bytes | Undecryptable:
    """a f1 + (1-a) f2 vanishes at the victim's identity for one a."""
    f1, f2 = (evaluate(polynomial_of(batch), victim.parsed.identity, ORDER) for batch, _ in (first, second))
    a = f2 * pow(f2 - f1, -1, ORDER) % ORDER
    return mixed(scheme, public, victim, [(*first, a), (*second, 1 - a)])


# --- a digest that nobody derived -------------------------------------------------------------------------------------


class TrustingProposer(Fptx):
    """Its members sign the digest that comes with a batch."""

    handed: dict[bytes, G1]

    def _digest(self, public_key: Any, batch: Batch) -> tuple[list[int], G1]:
        polynomial, digest = super()._digest(public_key, batch)
        return polynomial, self.handed.get(batch.digest, digest)


def hiding(members: Network, listed: VerifiedCiphertext, hidden: VerifiedCiphertext) -> G1:
    """The digest of two, for a list of one."""
    return load_backend().g1.msm(members.public.row(1), polynomial_of(members.batch(listed, hidden)))


def test_hidden_root_opens_the_victim_when_members_sign_a_digest_they_were_handed():
    """The list shows the proposer's own transaction only, and everybody accepts the shares and the batch key."""
    scheme = TrustingProposer(load_backend())
    scheme.handed = {}
    weak = network(scheme)
    victim, own = weak.entry(SECRET_ORDER, VICTIM), weak.entry(b"mine")
    batch = weak.batch(own)
    scheme.handed[batch.digest] = hiding(weak, own, victim)
    key = weak.opened(batch)
    assert weak.read(weak.batch(own, victim), key) == (b"mine", SECRET_ORDER)


def test_hidden_root_opens_nothing_in_ours(ours):
    """FPT-6 for such a share, FPT-7 for such a key, if dishonest members made them. Honest ones derive the digest."""
    victim, own = ours.entry(SECRET_ORDER, VICTIM), ours.entry(b"mine")
    batch = ours.batch(own)
    assert isinstance(ours.read(ours.batch(own, victim), ours.opened(batch))[1], Undecryptable)
    both = ours.batch(own, victim)
    with pytest.raises(ShareRejected) as caught:
        ours.scheme.verify_share(ours.public, batch, ours.share(2, both))
    assert (caught.value.rule, caught.value.member) == ("FPT-6", 2)
    with pytest.raises(Rejected) as refused:
        ours.scheme.verify_batch_key(ours.public, batch, ours.opened(both), ours.scheme.precompute(ours.public, batch))
    assert refused.value.rule == "FPT-7"


# --- labels -----------------------------------------------------------------------------------------------------------


def labelled(members: Network, label: bytes) -> Network:
    """The same key and rows with another point Hm, as an extension to labels would have it."""
    point = load_backend().g1.hash_to_curve(enc(members.public.key_id, label), Tag.FPTX_LABEL.value)
    return replace(members, public=replace(members.public, label=point))


def test_any_ciphertext_opens_when_the_rows_serve_two_labels(ours):
    """Two rounds under each of two labels, every round used once under each: four keys for four unknowns."""
    weak = labelled(ours, b"epoch 1"), labelled(ours, b"epoch 2")
    victim = weak[0].entry(SECRET_ORDER, VICTIM)
    signed: dict[tuple[int, int], tuple[Batch, BatchKey]] = {}
    for epoch, members in enumerate(weak):
        for round_ in (1, 2):
            batch = members.batch(members.entry(b"epoch %d, round %d" % (epoch, round_)), round_=round_)
            signed[epoch, round_] = batch, members.opened(batch)
    values = {at: evaluate(polynomial_of(batch), victim.parsed.identity, ORDER) for at, (batch, _) in signed.items()}
    ratios = [values[0, round_] * pow(values[1, round_], -1, ORDER) % ORDER for round_ in (1, 2)]
    scale = pow(ratios[1] - ratios[0], -1, ORDER)
    first = ratios[1] * scale % ORDER, -ratios[0] * scale % ORDER
    factors = {(0, 1): first[0], (0, 2): first[1], (1, 1): -first[0] * ratios[0], (1, 2): -first[1] * ratios[1]}
    parts = [(*signed[at], factor % ORDER) for at, factor in factors.items()]
    assert mixed(weak[0].scheme, weak[0].public, victim, parts) == SECRET_ORDER
    for two in (parts[:2], parts[2:], parts[::2], parts[1::2]):
        assert isinstance(mixed(weak[0].scheme, weak[0].public, victim, two), Undecryptable)


def test_second_label_for_a_key_is_refused_by_ours(dealt_world):
    """KEY-3, whoever signs. The label is a function of key_id, which is one of the network, the key and the rows."""
    world = dealt_world("fptx")
    committee = world.committee
    other = replace(committee.key_set, key_id=bytes(32))
    signed = sign_key_set(other, [world.sign(world.member_identity(index), other) for index in (1, 2, 3)])
    assert rule_of(Committee.load, committee.genesis, signed, committee.parameters) == "KEY-3"


# --- round 0 ----------------------------------------------------------------------------------------------------------


class WithOrdinaryRoundZero(Fptx):
    """Round 0 is a round like any other."""

    def _digest(self, public_key: Any, batch: Batch) -> tuple[list[int], G1]:
        polynomial = polynomial_of(batch)
        return polynomial, self._g1.msm(public_key.row(batch.round)[: len(polynomial)], polynomial)


def test_everything_opens_when_round_zero_is_used_after_the_self_test():
    """The self-test's shares are in every member's confirmation: its batch key is there from the first day."""
    weak = network(WithOrdinaryRoundZero(load_backend()))
    victim = weak.entry(SECRET_ORDER, VICTIM)
    test, batch = self_test_batch(weak.scheme, weak.public), weak.batch(weak.entry(b"mine"), round_=0)
    keys = [(each, weak.opened(each)) for each in (test, batch)]
    assert two_of_a_round(weak.scheme, weak.public, victim, *keys) == SECRET_ORDER


def test_round_zero_is_refused_by_ours(ours, dealt_world):
    """FPT-4 by the scheme, VOT-8 by a member that is asked to vote."""
    batch = ours.batch(ours.entry(b"mine"), round_=0)
    assert rule_of(ours.share, 1, batch) == rule_of(ours.scheme.precompute, ours.public, batch) == "FPT-4"
    world = dealt_world("fptx")
    assert rule_of(Node(world, 1).vote, world.forge(committed(world, 0), round=0)) == "VOT-8"


# --- one signature for many messages ----------------------------------------------------------------------------------

KEY_OF_ORDER_ONE = (1).to_bytes(32, "little")
FOR_EVERY_MESSAGE = b"\x58" + b"\x66" * 31 + (1).to_bytes(32, "little")
"""R = B and S = 1: under the key of order one, S * B = R + k * A for every k."""


def library_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        eddsa.new(eddsa.import_public_key(public), "rfc8032").verify(message, signature)
    except ValueError:
        return False
    return True


def under_small_order(members: Network) -> bytes:
    """The victim's ciphertext, made by a client whose one-time key has order one."""
    seed = deterministic(b"victim")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onetime, "public_key", lambda _: KEY_OF_ORDER_ONE)
        patch.setattr(onetime, "sign", lambda *_: FOR_EVERY_MESSAGE)
        return members.scheme.encrypt(members.public, SECRET_ORDER, aad=VICTIM, height=0, random=seed)


def test_identity_is_everybodys_when_a_lax_verifier_takes_keys_of_small_order(ours, monkeypatch):
    """The weak copy verifies as the library does. The attacker signs its own ciphertext with the victim's signature."""
    ciphertext = under_small_order(ours)
    monkeypatch.setattr(onetime, "verify", library_verifies)
    victim = ours.verified(ciphertext, VICTIM)
    own = ours.verified(ciphertext[: fptx.HEADER_BYTES] + bytes(16) + ciphertext[SIGNED:], ATTACKER)
    assert own.ciphertext_id != victim.ciphertext_id
    key = ours.opened(ours.batch(own))
    assert ours.read(ours.batch(victim), key) == (SECRET_ORDER,)


def test_key_of_small_order_is_refused_by_ours(ours):
    """FPT-2, for whoever sends it. `tests/unit/test_onetime.py` has the other seven points."""
    ciphertext = under_small_order(ours)
    copied = ciphertext[: fptx.HEADER_BYTES] + bytes(16) + ciphertext[SIGNED:]
    assert rule_of(ours.verified, ciphertext, VICTIM) == rule_of(ours.verified, copied, ATTACKER) == "FPT-2"


# --- the members' part: no two batches in one round -------------------------------------------------------------------


def opened_by(node: Node, releases: Iterable[ShareRelease]) -> tuple[Batch, BatchKey]:
    """What anybody makes of published shares."""
    committee = node.member.committee
    signed = [release.share.message for release in releases]
    ready = node.follower.chain.at(signed[0].height)
    assert ready is not None
    shares = [Share(member=share.member, data=share.data) for share in signed]
    key, _ = committee.scheme.combine(committee.public_key, ready.batch, shares, committee.precompute(ready.batch))
    return ready.batch, key


def pending(world: World) -> tuple[VerifiedCiphertext, bytes]:
    """A transaction that the sequencer has never seen, and its payload."""
    payload = world.payload(world.people[5])
    return world.committee.verify_ciphertext(world.encrypt(payload, world.people[5])), payload


def read_by_mixing(world: World, victim: VerifiedCiphertext, *keys: tuple[Batch, BatchKey]) -> bytes | Undecryptable:
    committee = world.committee
    plaintext = two_of_a_round(committee.scheme, committee.public_key, victim, *keys)
    if isinstance(plaintext, Undecryptable):
        return plaintext
    return unpad(plaintext, committee.genesis.size_classes)


def opened_for(nodes: Sequence[Node], proposal: Proposal) -> tuple[Batch, BatchKey]:
    """The batch and its key, from members who vote and release as they are asked."""
    certificate = voted(nodes, proposal)
    assert certificate is not None
    return opened_by(nodes[0], [node.release(certificate) for node in nodes])


def test_everything_pending_opens_when_members_forget_what_they_signed(dealt_world):
    """Stated limit: t members whose databases are gone, and a sequencer that signs two commitments for a height."""
    world = dealt_world("fptx")
    victim, payload = pending(world)
    keys = [opened_for([Node(world, index) for index in (1, 2, 3)], proposal) for proposal in equivocating(world)]
    assert read_by_mixing(world, victim, *keys) == payload


def test_second_commitment_of_a_round_gets_neither_vote_nor_share_from_ours(dealt_world):
    """VOT-10, CRT-3 and SHR-2: asked at once, after a restart, and after the other members certified it."""
    world = dealt_world("fptx")
    first, second = equivocating(world)
    node, others = Node(world, 4), certified(world, second)
    node.vote(first)
    released = node.release(certified(world, first))
    for asked in (node, node.restarted()):
        assert rule_of(asked.vote, second) == "VOT-10"
        assert rule_of(asked.release, others) == "CRT-3"
    node.follow(second, others)
    for asked in (node, node.restarted()):
        assert rule_of(asked.release, others) == "SHR-2"
        assert [send.message for send in asked.member.resend()[1:]] == [released.encoded]


def test_second_share_of_a_round_is_refused_by_the_store_when_memory_is_older(dealt_world):
    """SHR-2, by the record that is written before a share leaves: two processes of one member."""
    world = dealt_world("fptx")
    first, second = equivocating(world)
    node = Node(world, 4)
    stale = node.restarted()
    node.vote(first)
    node.release(certified(world, first))
    with pytest.raises(Conflict, match="a different vote"):
        stale.vote(second)
    with pytest.raises(Conflict, match="a different share-or-abstention"):
        stale.release(certified(world, second))


def same_round_at_two_heights(world: World) -> tuple[Proposal, Proposal]:
    """The first is open, the second was signed by the sequencer. No commitment contradicts another."""
    first = committed(world, 0)
    world.network.reveal()
    return first, world.forge(committed(world, 1), round=1)


def test_everything_pending_opens_when_rounds_are_neither_checked_nor_guarded(dealt_world, monkeypatch):
    """The weak members do not compare rounds, as VOT-8 asks, and their stores forget."""
    world = dealt_world("fptx")
    victim, payload = pending(world)
    proposals = same_round_at_two_heights(world)
    nodes = [Node(world, index, Overwriting()) for index in (1, 2, 3)]
    keys = [opened_for(nodes, proposals[0])]
    for node in nodes:
        node.take(1)
    monkeypatch.setattr(Chain, "_check_commitment", lambda *_, **__: None)
    keys.append(opened_for(nodes, proposals[1]))
    assert read_by_mixing(world, victim, *keys) == payload


def test_second_batch_of_a_round_at_another_height_is_refused_by_ours(dealt_world, monkeypatch):
    """VOT-8; and behind it SHR-2, by the record of the round, when the check of rounds is taken away."""
    world = dealt_world("fptx")
    first, second = same_round_at_two_heights(world)
    node = Node(world, 4)
    node.vote(first)
    node.release(certified(world, first))
    node.take(1)
    assert rule_of(node.vote, second) == "VOT-8"
    monkeypatch.setattr(Chain, "_check_commitment", lambda *_, **__: None)
    node.vote(second)
    with pytest.raises(Conflict, match="a different share-in-round"):
        node.release(certified(world, second))


# --- a member restored from an older copy -----------------------------------------------------------------------------


def test_second_batch_of_a_round_gets_too_few_votes_and_shares_when_one_member_was_restored(dealt_world):
    """VOT-10 by the others, and FPT-7. The restored member itself signs again: its older database cannot know."""
    world = dealt_world("fptx")
    first, second = equivocating(world)
    nodes = [Node(world, index) for index in (1, 2, 3, 4)]
    old = nodes[0].backup()
    opened_for(nodes, first)
    restored = Node(world, 1, old)
    assert voted([restored], second) is None
    for node in nodes[1:]:
        assert rule_of(node.vote, second) == "VOT-10"
    release = restored.release(certified(world, second))
    with pytest.raises(NotEnoughShares) as caught:
        opened_by(restored, [release])
    assert caught.value.rule == "FPT-7"


def test_stated_limit_one_restored_and_one_dishonest_member_of_four_open_everything_pending(dealt_world):
    """A restored member counts as a dishonest one: 2t > n + f holds for f = 1 and not for f = 2. The sequencer shows
    one commitment to member 3 and another one to member 4, who are honest."""
    world = dealt_world("fptx")
    victim, payload = pending(world)
    first, second = equivocating(world)
    dishonest = [Node(world, 1), Node(world, 1)]
    restored = Node(world, 2)
    old = restored.backup()
    keys = [
        opened_for([dishonest[0], restored, Node(world, 3)], first),
        opened_for([dishonest[1], Node(world, 2, old), Node(world, 4)], second),
    ]
    assert read_by_mixing(world, victim, *keys) == payload


# --- another committee for the same key -------------------------------------------------------------------------------


def going_back(world: World, start: tuple[int, bytes, int]) -> KeySet:
    """The same key for the same members, from `start`: height, parent root and round."""
    before = world.committee.key_set
    return successor_key_set(
        before,
        public_material(before, world.committee.parameters),
        members=before.members,
        start=start,
        setup_kind=before.setup_kind,
        setup_privacy=before.setup_privacy,
        batch_limit=before.batch_limit,
        rounds=before.rounds,
    )


def two_heights(world: World) -> tuple[Proposal, Proposal]:
    """Both open: rounds 1 and 2."""
    first = committed(world, 0)
    world.network.reveal()
    second = committed(world, 1)
    world.network.reveal()
    return first, second


def load_successor(world: World, key_set: KeySet, signatures: Sequence[bytes]) -> Committee:
    return world.committee.load_successor(sign_key_set(key_set, signatures), world.committee.parameters)


def in_second_round(world: World, second: Proposal, committee: Committee) -> Proposal:
    """Another batch for height and round 2, under the committee that starts there."""
    transactions = (world.transfer(world.people[3]),)
    return world.forge(second, transactions=transactions, committee_id=committee.committee_id)


def test_everything_pending_opens_when_forgetful_members_hand_the_key_to_a_committee_that_starts_earlier(dealt_world):
    """The next committee is honest, but its members never saw what the last one opened in that round."""
    world = dealt_world("fptx")
    victim, payload = pending(world)
    first, second = two_heights(world)

    def nodes(*committees: Committee) -> list[Node]:
        made = [Node(world, index, committees=committees) for index in (1, 2, 3)]
        for node in made:
            node.take(1)
        return made

    keys = [opened_for(nodes(world.committee), second)]
    key_set = going_back(world, (2, first.commitment.message.root, 1))
    signatures = []
    for forgetful in nodes(world.committee):
        (send,) = perform(forgetful.member.sign_successor(key_set), forgetful.store)
        signatures += SignedKeySet.decode(send.message).signatures
    successor = load_successor(world, key_set, signatures)
    keys.append(opened_for(nodes(world.committee, successor), in_second_round(world, second, successor)))
    assert [batch.round for batch, _ in keys] == [2, 2]
    assert read_by_mixing(world, victim, *keys) == payload


def test_successor_that_goes_back_is_not_signed_by_ours(dealt_world):
    """KEY-10: neither from a height that is open, nor from an earlier round, nor from elsewhere."""
    world = dealt_world("fptx")
    first, second = (proposal.commitment.message.root for proposal in two_heights(world))
    for seat in world.restart().seats:
        for start, reason in (
            ((2, first, 1), "released a share at height 2"),
            ((3, second, 1), "another round"),
            ((3, second, 0), "another round"),
            ((3, first, 2), "does not know"),
        ):
            with pytest.raises(Rejected, match=reason) as caught:
                seat.member.sign_successor(going_back(world, start))
            assert caught.value.rule == "KEY-10"


def test_staying_member_releases_nothing_in_a_used_round_for_a_successor_that_goes_back(dealt_world):
    """VOT-10 and SHR-2, by its own records, which hold for every committee: the others signed without it."""
    world = dealt_world("fptx")
    first, second = two_heights(world)
    node = Node(world, 4)
    node.take(1)
    node.vote(second)
    node.release(certified(world, second))
    key_set = going_back(world, (2, first.commitment.message.root, 1))
    signatures = [world.sign(world.member_identity(index), key_set) for index in (1, 2, 3)]
    successor = load_successor(world, key_set, signatures)
    moved = Node(world, 4, node.store, committees=(world.committee, successor))
    other = in_second_round(world, second, successor)
    assert rule_of(moved.vote, other) == "VOT-10"
    certificate = certified(world, other, successor)
    moved.follow(other, certificate)
    assert rule_of(moved.release, certificate) == "SHR-2"
