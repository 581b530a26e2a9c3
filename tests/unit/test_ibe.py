"""IBE's own rules. Everything addressed to a height opens with its key, listed or not: that is tested as a property."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha512
from itertools import combinations, count, permutations
from typing import Any

import pytest
from py_ecc.bls.point_compression import modular_squareroot_in_FQ2
from py_ecc.optimized_bls12_381 import FQ2, b2, field_modulus

from threshold import sharing
from threshold.curve import DEFAULT_BACKEND, G1, G1_BYTES, G2_BYTES, INSTALLED, ORDER, load_backend
from threshold.encoding import enc, u64
from threshold.entropy import deterministic, scalar
from threshold.errors import Malformed, NotEnoughShares, Rejected, ShareRejected
from threshold.hashing import Tag
from threshold.keys import KeyShare, Limits, PublicMaterial, Seat
from threshold.sansio import Effect, Send
from threshold.schemes import ibe
from threshold.schemes.base import Batch, BatchKey, Candidate, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.ibe import _body_key
from threshold.schemes.registry import load_scheme, scheme_name
from threshold.symmetric import derive_key, seal, unseal

NETWORK = b"network under test"
AAD = b"sender, nonce and limits"
HEIGHT = 7


@dataclass(frozen=True, kw_only=True)
class Committee:
    """A key with all its shares."""

    scheme: Any
    material: PublicMaterial
    public: Any
    shares: tuple[KeyShare, ...]

    def encrypt(self, plaintext: bytes, height: int = HEIGHT, aad: bytes = AAD) -> bytes:
        random = deterministic(b"encrypt" + plaintext)
        return self.scheme.encrypt(self.public, plaintext, aad=aad, height=height, random=random)

    def verified(self, ciphertext: bytes, height: int = HEIGHT, aad: bytes = AAD) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(self.public, ciphertext, aad=aad, height=height)

    def batch(self, *plaintexts: bytes, height: int = HEIGHT) -> Batch:
        return self.listing(*(self.verified(self.encrypt(p, height), height) for p in plaintexts), height=height)

    def listing(self, *entries: VerifiedCiphertext, height: int = HEIGHT) -> Batch:
        return Batch(key_id=self.public.key_id, height=height, round=1, entries=entries)

    def share(self, member: int, batch: Batch) -> Share:
        share = self.shares[member - 1]
        return self.scheme.partial_decrypt(self.public, share, batch, random=deterministic(b"unused"))

    def shared(self, batch: Batch) -> list[Share]:
        return [self.share(share.member, batch) for share in self.shares]

    def combine(self, batch: Batch, shares: list[Share]) -> tuple[BatchKey, tuple[int, ...]]:
        return self.scheme.combine(self.public, batch, shares, self.scheme.precompute(self.public, batch))

    def key(self, batch: Batch) -> BatchKey:
        return self.combine(batch, self.shared(batch))[0]

    def open(self, batch: Batch, key: BatchKey) -> tuple[bytes | Undecryptable, ...]:
        return self.scheme.decrypt(self.public, batch, key, None)


@cache
def committee(n: int = 4, t: int = 3, backend: str = DEFAULT_BACKEND, seed: bytes = b"key") -> Committee:
    scheme = load_scheme("ibe", backend)
    material, shares = scheme.deal(n=n, t=t, limits=Limits(), random=deterministic(seed))
    public = scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    return Committee(scheme=scheme, material=material, public=public, shares=shares)


@pytest.fixture
def ours() -> Committee:
    """3 of 4."""
    return committee()


def off(share: Share, error: int) -> Share:
    """The share plus error * generator: a good point, but a wrong one."""
    group = load_backend().g1
    point = group.add(group.decode(share.data), group.multiply(group.generator, error))
    return replace(share, data=group.encode(point))


def refusal(call: Callable[..., object], *arguments: object, **options: object) -> tuple[str, int | None]:
    """The rule broken and the member to blame."""
    with pytest.raises(Rejected) as caught:
        call(*arguments, **options)
    assert isinstance(caught.value, ShareRejected) == (caught.value.member is not None)
    return caught.value.rule, caught.value.member


# --- a height's life --------------------------------------------------------------------------------------------------


def lives(members: Committee, *plaintexts: bytes) -> tuple[bytes, ...]:
    """Every byte made on the way of a batch from encryption to opening, with every check."""
    batch = members.batch(*plaintexts)
    shares = members.shared(batch)
    for share in shares:
        members.scheme.verify_share(members.public, batch, share)
    key, refused = members.combine(batch, shares)
    assert refused == ()
    members.scheme.verify_batch_key(members.public, batch, key, None)
    assert members.open(batch, key) == plaintexts
    return (
        members.material.encode(),
        *(entry.ciphertext for entry in batch.entries),
        *(share.data for share in shares),
        key.encode(),
    )


@pytest.mark.parametrize(("n", "t"), [(1, 1), (3, 1), (4, 3), (5, 5), (7, 5)])
def test_height_is_opened_when_everyone_is_honest(n, t):
    lives(committee(n, t), b"", b"first", b"second" * 100)


def test_backends_agree_on_every_byte():
    assert len({lives(committee(2, 2, backend), b"payload") for backend in INSTALLED}) == 1


def test_ciphertext_opens_with_the_secret_itself_on_the_other_backend(ours):
    """U = rho g2, so e(H, U)^x is the shared value: another formula and another library than the scheme's."""
    ciphertext, reference = ours.encrypt(b"payload"), load_backend("reference")
    secret = sharing.recover({k.member: int.from_bytes(k.secret_bytes(), "big") for k in ours.shares[:3]})
    identity = reference.g1.hash_to_curve(enc(ours.public.key_id, u64(HEIGHT)), Tag.IBE_IDENTITY.value)
    u = ciphertext[:G2_BYTES]
    shared = reference.gt_power(reference.pairing(identity, reference.g2.decode(u)), secret)
    context = (ours.public.key_id, u64(HEIGHT), u, ours.material.encryption_key, AAD)
    key = derive_key(Tag.IBE_KEM, reference.gt_encode(shared), *context)
    assert unseal(key, ciphertext[G2_BYTES:], AAD) == b"payload"


def test_batch_key_is_the_same_whichever_shares_are_combined():
    members = committee(5, 3)
    batch = members.batch(b"a")
    shares = members.shared(batch)
    assert len({members.combine(batch, list(chosen))[0].encode() for chosen in combinations(shares, 3)}) == 1
    assert len({members.combine(batch, list(order))[0].encode() for order in permutations(shares[1:4])}) == 1


def test_ceremony_makes_a_key_that_opens():
    """With its self-test, which is what height 0 is for."""

    class Identity:
        def __init__(self, member: int) -> None:
            self.key = bytes([member]) * 32

        def sign(self, digest: bytes) -> bytes:
            return hmac.digest(self.key, digest, sha512) + b"\0"

    class Registry:
        def verify(self, member: int, digest: bytes, signature: bytes) -> bool:
            return hmac.compare_digest(Identity(member).sign(digest), signature)

    scheme = load_scheme("ibe")
    parties = {
        index: scheme.key_generation(
            Seat(
                index=index,
                n=3,
                t=2,
                network=NETWORK,
                ceremony_id=bytes(32),
                signer=Identity(index),
                peers=Registry(),
                random=deterministic(bytes([index])),
                round_seconds=10,
            )
        )
        for index in (1, 2, 3)
    }
    messages: deque[tuple[int, int, bytes]] = deque()

    def perform(sender: int, effects: tuple[Effect, ...]) -> None:
        sent = [effect.message for effect in effects if isinstance(effect, Send)]
        messages.extend((sender, to, data) for data in sent for to in parties if to != sender)

    for index, party in parties.items():
        perform(index, party.start(now=0))
    while messages:
        sender, to, data = messages.popleft()
        perform(to, parties[to].receive(sender, data, now=0))
    keys = [party.result for party in parties.values()]
    material = keys[0].public
    public = scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    lives(
        Committee(scheme=scheme, material=material, public=public, shares=tuple(key.share for key in keys)), b"payload"
    )


# --- what a height's key opens ----------------------------------------------------------------------------------------


def test_everything_addressed_to_a_height_opens_when_left_out_of_its_batch(ours):
    """What SchemeInfo says, and what users have to know: no pending privacy once the height has its key."""
    key = ours.key(ours.batch(b"included"))
    left_out = ours.verified(ours.encrypt(b"left out"))
    assert ours.open(ours.listing(left_out), key) == (b"left out",)


def test_scheme_info_says_that_what_is_left_out_opens_too():
    info = load_scheme("ibe").info
    assert info.addresses_height
    assert info.needs_default_threshold
    assert not info.pending_privacy
    for text in (info.opens, info.equivocation_opens):
        assert "included or not" in text


def test_ciphertext_stays_closed_with_the_key_of_another_height(ours):
    later = ours.batch(b"later", height=HEIGHT + 1)
    key = ours.key(ours.batch(b"a"))
    assert isinstance(ours.open(later, key)[0], Undecryptable)
    assert ours.open(later, ours.key(later)) == (b"later",)


def test_share_is_the_same_when_the_batch_of_its_height_differs(ours):
    """Why a member must release at most one share a height, and only for a certified batch."""
    first, second = ours.batch(b"a"), ours.batch(b"b", b"c")
    assert ours.share(1, first) == ours.share(1, second)


def test_identity_depends_on_the_height_and_the_key_name(ours):
    other = ours.scheme.load_public_key(ours.material, key_id=bytes(32))
    foreign = Committee(scheme=ours.scheme, material=ours.material, public=other, shares=ours.shares)
    batches = [(ours, ours.batch(b"a")), (ours, ours.batch(b"a", height=HEIGHT + 1)), (foreign, foreign.batch(b"a"))]
    assert len({members.key(batch).value for members, batch in batches}) == 3


# --- ciphertexts ------------------------------------------------------------------------------------------------------


def small_x(on_curve: bool) -> bytes:
    """A small x coordinate. On the curve, its points lie outside the subgroup."""
    for x in count(1):
        if (modular_squareroot_in_FQ2(FQ2([x, 0]) ** 3 + b2) is not None) == on_curve:
            return b"\x80" + x.to_bytes(G2_BYTES - 1, "big")
    raise AssertionError


def aliased() -> bytes:
    """A good point, one coordinate written as x + p."""
    group = load_backend().g2
    data = group.encode(group.generator)
    return data[:48] + (int.from_bytes(data[48:], "big") + field_modulus).to_bytes(48, "big")


BAD_G2 = {
    "identity": b"\xc0" + bytes(G2_BYTES - 1),
    "non-canonical identity": b"\xc0" + bytes(G2_BYTES - 2) + b"\1",
    "unreduced": aliased(),
    "outside the subgroup": small_x(True),
    "off the curve": small_x(False),
    "uncompressed": b"\x17" + bytes(G2_BYTES - 1),
}
BAD_G1 = {
    "identity": b"\xc0" + bytes(G1_BYTES - 1),
    "non-canonical identity": b"\xc0" + bytes(G1_BYTES - 2) + b"\1",
    "outside the subgroup": b"\x80" + bytes(G1_BYTES - 1),
    "uncompressed": b"\x17" + bytes(G1_BYTES - 1),
    "empty": b"",
    "short": b"\xc0" + bytes(G1_BYTES - 2),
    "a point of G2": load_backend().g2.encode(load_backend().g2.generator),
}


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("fault", BAD_G2)
def test_ciphertext_is_malformed_when_u_is_bad(fault, backend):
    """IBE-1. With U the identity anybody knows the key before the height's."""
    scheme = load_scheme("ibe", backend)
    ours = committee()
    ciphertext = BAD_G2[fault] + ours.encrypt(b"payload")[G2_BYTES:]
    with pytest.raises(Malformed):
        scheme.verify_ciphertext(ours.public, ciphertext, aad=AAD, height=HEIGHT)


def test_ciphertext_has_the_announced_overhead(ours):
    assert ibe.OVERHEAD_BYTES == ours.scheme.info.ciphertext_overhead_bytes == 112
    for plaintext in (b"", b"x" * 1000):
        assert len(ours.encrypt(plaintext)) == len(plaintext) + 112


@pytest.mark.parametrize("size", [0, 95, 96, 111])
def test_ciphertext_is_malformed_when_shorter_than_its_parts(ours, size):
    with pytest.raises(Malformed, match="112"):
        ours.verified(ours.encrypt(b"")[:size])


def test_ciphertexts_are_verified_each_for_itself(ours):
    good, bad = ours.encrypt(b"payload"), BAD_G2["identity"] + bytes(16)
    candidates = [Candidate(ciphertext=data, aad=AAD, height=HEIGHT) for data in (good, bad, good)]
    first, second, third = ours.scheme.verify_ciphertexts(ours.public, candidates, random=deterministic(b""))
    assert isinstance(second, Malformed)
    assert first.ciphertext_id == third.ciphertext_id == ours.verified(good).ciphertext_id


def neighbour(members: Committee, entry: VerifiedCiphertext, height: int = HEIGHT) -> bytes | Undecryptable:
    """What an entry opens to, in a batch whose other entry opens all the same."""
    batch = members.listing(members.verified(members.encrypt(b"neighbour", height), height), entry, height=height)
    honest, opened = members.open(batch, members.key(batch))
    assert honest == b"neighbour"
    return opened


@pytest.mark.parametrize("aad", [b"", AAD + b"\0", AAD[:-1]])
def test_entry_is_undecryptable_when_the_associated_data_differ(ours, aad):
    """A copy under another sender's header passes the public check and opens to nothing."""
    assert isinstance(neighbour(ours, ours.verified(ours.encrypt(b"payload"), aad=aad)), Undecryptable)


def test_entry_is_undecryptable_when_moved_to_another_height(ours):
    moved = ours.verified(ours.encrypt(b"payload", HEIGHT), HEIGHT + 1)
    assert isinstance(neighbour(ours, moved, HEIGHT + 1), Undecryptable)


def test_entry_is_undecryptable_when_made_for_another_key_name_or_key(ours):
    renamed = ours.scheme.load_public_key(ours.material, key_id=bytes(32))
    for public in (renamed, committee(seed=b"other key").public):
        ciphertext = ours.scheme.encrypt(public, b"payload", aad=AAD, height=HEIGHT, random=deterministic(b"r"))
        assert isinstance(neighbour(ours, ours.verified(ciphertext)), Undecryptable)


def test_entry_is_undecryptable_when_changed_cut_or_followed(ours):
    ciphertext = ours.encrypt(b"payload")
    u = load_backend().g2.encode(load_backend().g2.generator)
    flipped = bytes([ciphertext[0] ^ 0x20]) + ciphertext[1:]
    for changed in (
        u + ciphertext[G2_BYTES:],
        flipped,
        ciphertext[:-1],
        ciphertext + b"\0",
        ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]),
        ciphertext[:G2_BYTES] + bytes([ciphertext[G2_BYTES] ^ 1]) + ciphertext[G2_BYTES + 1 :],
        ciphertext[:G2_BYTES] + seal(bytes(32), b"payload", AAD),
    ):
        opened = neighbour(ours, ours.verified(changed))
        assert isinstance(opened, Undecryptable)
        assert opened.reason


@pytest.mark.parametrize("part", ["key_id", "height", "u", "key", "aad"])
def test_body_key_depends_on_everything_it_is_derived_from(ours, part):
    usual = {"height": HEIGHT, "u": b"u", "aad": AAD}

    def body_key(public: Any = ours.public, **changes: Any) -> bytes:
        return _body_key(public.key_id, public.point_bytes, b"shared", **(usual | changes))

    changed = {
        "key_id": {"public": replace(ours.public, key_id=bytes(32))},
        "height": {"height": HEIGHT + 1},
        "u": {"u": b"v"},
        "key": {"public": replace(ours.public, point_bytes=b"other")},
        "aad": {"aad": b"other"},
    }[part]
    assert body_key(**changed) != body_key()


# --- batches that get no share ----------------------------------------------------------------------------------------


def uses(members: Committee, usual: Batch) -> dict[str, Callable[[Batch], object]]:
    """Everything that makes or accepts a height's key, with the shares and the key of `usual`."""
    scheme, public = members.scheme, members.public
    shares, key = members.shared(usual), members.key(usual)
    return {
        "precompute": lambda batch: scheme.precompute(public, batch),
        "partial_decrypt": lambda batch: members.share(1, batch),
        "verify_share": lambda batch: scheme.verify_share(public, batch, shares[0]),
        "combine": lambda batch: scheme.combine(public, batch, shares, None),
        "verify_batch_key": lambda batch: scheme.verify_batch_key(public, batch, key, None),
    }


USES = ("precompute", "partial_decrypt", "verify_share", "combine", "verify_batch_key")


@pytest.mark.parametrize("use", USES)
def test_batch_is_refused_when_an_entry_addresses_another_height(ours, use):
    """IBE-2. No member is to blame for it."""
    usual = ours.batch(b"a", b"b")
    call = uses(ours, usual)[use]
    call(usual)
    stranger = ours.verified(ours.encrypt(b"later", HEIGHT + 1), HEIGHT + 1)
    for batch in (
        replace(usual, height=HEIGHT + 1),
        ours.listing(*usual.entries, stranger),
        ours.listing(stranger, *usual.entries),
    ):
        assert refusal(call, batch) == ("IBE-2", None)


@pytest.mark.parametrize("use", USES)
def test_batch_is_refused_when_empty(ours, use):
    """IBE-3: the key of a skipped height is never released, so what was addressed to it stays closed."""
    assert refusal(uses(ours, ours.batch(b"a"))[use], ours.listing()) == ("IBE-3", None)


# --- shares -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", BAD_G1)
def test_share_is_refused_when_it_is_not_one_good_point(ours, fault):
    """IBE-4."""
    share = Share(member=2, data=BAD_G1[fault])
    assert refusal(ours.scheme.verify_share, ours.public, ours.batch(b"a"), share) == ("IBE-4", 2)


@pytest.mark.parametrize("member", [0, 5, -1, 65536])
def test_share_is_refused_when_there_is_no_such_member(ours, member):
    """IBE-4. A list's index -1 would be the last member's verification key."""
    batch = ours.batch(b"a")
    share = replace(ours.share(4, batch), member=member)
    assert refusal(ours.scheme.verify_share, ours.public, batch, share) == ("IBE-4", member)


def test_share_is_refused_when_it_is_wrong(ours):
    """IBE-5: another point, another height's, another member's."""
    batch = ours.batch(b"a")
    share = ours.share(2, batch)
    for wrong in (
        off(share, 1),
        ours.share(2, ours.batch(b"a", height=HEIGHT + 1)),
        replace(ours.share(1, batch), member=2),
    ):
        assert refusal(ours.scheme.verify_share, ours.public, batch, wrong) == ("IBE-5", 2)


def test_shares_open_nothing_when_they_are_another_heights(ours):
    """IBE-5, IBE-6."""
    others = ours.shared(ours.batch(b"a", height=HEIGHT + 1))
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(ours.batch(b"a"), others)
    assert (caught.value.rule, caught.value.blamed) == ("IBE-6", (1, 2, 3, 4))


@pytest.mark.parametrize("wrong", [*combinations(range(1, 6), 1), (1, 2), (2, 5), (4, 5)])
def test_combine_names_the_wrong_shares_when_they_were_among_those_tried(wrong):
    members = committee(5, 3)
    batch = members.batch(b"payload")
    shares = [off(share, 9**share.member) if share.member in wrong else share for share in members.shared(batch)]
    key, refused = members.combine(batch, shares)
    tried = max(sorted({1, 2, 3, 4, 5} - set(wrong))[:3])
    assert refused == tuple(member for member in wrong if member < tried)
    assert members.open(batch, key) == (b"payload",)


def test_combine_names_the_member_when_its_share_is_undecodable(ours):
    batch = ours.batch(b"payload")
    first, *others = ours.shared(batch)
    key, refused = ours.combine(batch, [replace(first, data=first.data + b"\0"), *others])
    assert refused == (1,)
    assert ours.open(batch, key) == (b"payload",)


@pytest.mark.parametrize(("given", "wrong"), [((1, 2, 3), (2,)), ((1, 2), (2,)), ((4,), (4,)), ((1, 2, 3, 4), (1, 4))])
def test_combine_blames_the_wrong_shares_when_the_others_are_too_few(ours, given, wrong):
    """IBE-6, also when there are too few to try at all."""
    batch = ours.batch(b"a")
    shares = [off(share, 9) if share.member in wrong else share for share in ours.shared(batch)]
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(batch, [shares[member - 1] for member in given])
    assert (caught.value.rule, caught.value.blamed) == ("IBE-6", wrong)
    assert f"{len(given) - len(wrong)} valid shares of 3" in str(caught.value)


def test_combine_refuses_when_shares_are_too_few_or_repeated(ours):
    """IBE-6."""
    batch = ours.batch(b"a")
    first, second, *_ = ours.shared(batch)
    for given in ([], [first], [first, second, first, second, first]):
        with pytest.raises(NotEnoughShares) as caught:
            ours.combine(batch, given)
        assert (caught.value.rule, caught.value.blamed) == ("IBE-6", ())


def test_combine_ignores_repetitions_when_others_suffice(ours):
    batch = ours.batch(b"a")
    first, second, third, fourth = ours.shared(batch)
    key, refused = ours.combine(batch, [second, second, off(second, 1), first, third, fourth])
    assert refused == ()
    assert ours.open(batch, key) == (b"a",)


def test_combine_takes_a_members_good_share_when_it_follows_a_wrong_one(ours):
    batch = ours.batch(b"a")
    first, second, third, _ = ours.shared(batch)
    key, refused = ours.combine(batch, [off(first, 1), second, third, first])
    assert refused == (1,)
    assert ours.open(batch, key) == (b"a",)


def test_combine_makes_the_right_key_when_wrong_shares_cancel_in_it(ours):
    """At zero the shares 1, 2, 3 count 3, -3, 1. The key is checked, so nothing is lost but the blame."""
    batch = ours.batch(b"a")
    first, second, third, _ = ours.shared(batch)
    key, refused = ours.combine(batch, [off(first, 1), off(second, 1), third])
    assert (key, refused) == (ours.key(batch), ())


def passes_with(members: Committee, batch: Batch, shares: list[Share], factors: tuple[int, ...]) -> bool:
    """A batch check of shares with factors known before the shares."""
    backend = load_backend()
    identity: G1 = backend.g1.hash_to_curve(enc(batch.key_id, u64(batch.height)), Tag.IBE_IDENTITY.value)
    points = [backend.g1.decode(share.data) for share in shares]
    keys = [members.public.verification_keys[share.member - 1] for share in shares]
    sums = backend.g1.msm(points, factors), backend.g2.msm(keys, factors)
    return backend.pairing_check((sums[0], backend.g1.negate(identity)), (backend.g2.generator, sums[1]))


def test_batch_check_refuses_when_errors_cancel_in_the_plain_sum(ours):
    """IBE-5."""
    batch = ours.batch(b"a")
    first, second, third, fourth = ours.shared(batch)
    cheats = [off(first, 5), off(second, -5), third]
    assert passes_with(ours, batch, cheats, (1, 1, 1))
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(batch, [*cheats, fourth])
    assert caught.value.blamed == (1, 2)


def test_batch_check_refuses_when_errors_cancel_for_the_weights_of_the_good_shares(ours, monkeypatch):
    """IBE-5: members who know the weights of the good shares beforehand. The weights depend on what is sent."""
    batch = ours.batch(b"a")
    shares = ours.shared(batch)[:2]
    drawn: list[tuple[int, ...]] = []
    real = ibe.weights

    def recorded(*arguments: Any) -> tuple[int, ...]:
        drawn.append(real(*arguments))
        return drawn[-1]

    monkeypatch.setattr(ibe, "weights", recorded)
    with pytest.raises(NotEnoughShares):
        ours.combine(batch, shares)
    factors = (1, *drawn[0])
    cheats = [off(shares[0], factors[1]), off(shares[1], -1)]
    assert passes_with(ours, batch, cheats, factors)
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(batch, cheats)
    assert caught.value.blamed == (1, 2)


# --- batch keys -------------------------------------------------------------------------------------------------------


def test_batch_key_is_the_secret_times_the_heights_point(ours):
    """IBE-6: 48 bytes, no proof, as the share."""
    batch = ours.batch(b"a")
    key, group = ours.key(batch), load_backend().g1
    secret = sharing.recover({k.member: int.from_bytes(k.secret_bytes(), "big") for k in ours.shares})
    identity = group.hash_to_curve(enc(ours.public.key_id, u64(HEIGHT)), Tag.IBE_IDENTITY.value)
    assert key == BatchKey(value=group.encode(group.multiply(identity, secret)), proof=b"")
    assert BatchKey.decode(key.encode()) == key
    assert len(ours.share(1, batch).data) == ours.scheme.info.share_bytes(len(batch)) == 48


def test_batch_key_is_refused_when_it_is_another_heights_or_keys_or_has_a_proof(ours):
    """IBE-6."""
    batch = ours.batch(b"a")
    key, other = ours.key(batch), committee(seed=b"other key")
    for wrong in (
        ours.key(ours.batch(b"a", height=HEIGHT + 1)),
        other.key(other.batch(b"a")),
        BatchKey(value=ours.share(1, batch).data, proof=b""),
        replace(key, proof=b"\0"),
    ):
        assert refusal(ours.scheme.verify_batch_key, ours.public, batch, wrong, None) == ("IBE-6", None)


@pytest.mark.parametrize("fault", BAD_G1)
def test_batch_key_is_malformed_when_its_point_is_bad(ours, fault):
    """IBE-6."""
    batch, key = ours.batch(b"a"), BatchKey(value=BAD_G1[fault], proof=b"")
    with pytest.raises(Malformed):
        ours.scheme.verify_batch_key(ours.public, batch, key, None)
    with pytest.raises(Malformed):
        ours.open(batch, key)


# --- key material -----------------------------------------------------------------------------------------------------


def moved(members: Committee, at: int) -> PublicMaterial:
    """The key material with one point replaced by another good point: the encryption key, or a member's."""
    group = load_backend().g2
    points = [members.material.encryption_key, *members.material.verification_keys]
    points[at] = group.encode(group.multiply(group.generator, scalar(deterministic(b"moved"), ORDER)))
    return replace(members.material, encryption_key=points[0], verification_keys=tuple(points[1:]))


def test_public_key_says_what_the_material_says(ours):
    assert (ours.public.threshold, ours.public.members, ours.public.limits) == (3, 4, Limits())
    assert ours.scheme.setup_privacy(4, 3) == 3
    assert scheme_name(2) == "ibe"


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("t", [1, 3, 4])
def test_public_key_is_refused_when_a_point_is_off_the_polynomial(t, at):
    """IBE-7."""
    members = committee(4, t)
    assert refusal(members.scheme.load_public_key, moved(members, at), key_id=bytes(32)) == ("IBE-7", None)


def test_public_key_is_refused_when_it_is_not_an_ibe_key(ours):
    """IBE-7: another scheme's number, parameters, or a threshold understated."""
    for material in (
        replace(ours.material, scheme=1),
        replace(ours.material, parameters=b"x"),
        replace(ours.material, threshold=2),
    ):
        assert refusal(ours.scheme.load_public_key, material, key_id=bytes(32)) == ("IBE-7", None)


@pytest.mark.parametrize("fault", BAD_G2)
def test_public_key_is_malformed_when_a_point_is_bad(ours, fault):
    """IBE-7."""
    keys = ours.material.verification_keys
    for material in (
        replace(ours.material, encryption_key=BAD_G2[fault]),
        replace(ours.material, verification_keys=(*keys[:3], BAD_G2[fault])),
    ):
        with pytest.raises(Malformed):
            ours.scheme.load_public_key(material, key_id=bytes(32))
