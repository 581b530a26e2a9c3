"""FPTX's own rules, and what happens to pending ciphertexts if a member breaks the one that nobody else can check."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha512
from itertools import combinations, count, pairwise, permutations
from typing import Any

import pytest
from py_ecc.bls.point_compression import modular_squareroot_in_FQ2
from py_ecc.optimized_bls12_381 import FQ2, b2, field_modulus

from threshold import onetime, sharing
from threshold.curve import DEFAULT_BACKEND, G1, G1_BYTES, G2_BYTES, INSTALLED, ORDER, Backend, load_backend
from threshold.encoding import enc
from threshold.entropy import deterministic
from threshold.errors import CiphertextRejected, Malformed, NotEnoughShares, Rejected
from threshold.hashing import Tag, hash_to_scalar, tagged_hash
from threshold.keys import KeyShare, Limits, PublicMaterial, Seat
from threshold.polynomial import evaluate
from threshold.sansio import Effect, Send
from threshold.schemes import fptx
from threshold.schemes.base import Batch, BatchKey, Candidate, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.key_generation import DerivedSelfTest
from threshold.schemes.registry import load_scheme, scheme_name
from threshold.setup import powers
from threshold.symmetric import derive_key, seal, unseal

NETWORK = b"network under test"
AAD = b"sender, nonce and limits"
BATCH, ROUNDS = 4, 2
SIGNED = -onetime.SIGNATURE_BYTES
"""Where the signature begins."""


@dataclass(frozen=True, kw_only=True)
class Committee:
    """A key with all its shares."""

    scheme: Any
    backend: Backend
    material: PublicMaterial
    public: Any
    shares: tuple[KeyShare, ...]

    def encrypt(self, plaintext: bytes, aad: bytes = AAD, seed: bytes = b"") -> bytes:
        random = deterministic(b"encrypt" + seed + plaintext)
        return self.scheme.encrypt(self.public, plaintext, aad=aad, height=0, random=random)

    def verified(self, ciphertext: bytes, aad: bytes = AAD) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(self.public, ciphertext, aad=aad, height=0)

    def batch(self, *plaintexts: bytes, round_: int = 1) -> Batch:
        return self.listing(*(self.verified(self.encrypt(p)) for p in plaintexts), round_=round_)

    def listing(self, *entries: VerifiedCiphertext, round_: int = 1, height: int = 7) -> Batch:
        return Batch(key_id=self.public.key_id, height=height, round=round_, entries=entries)

    def precompute(self, batch: Batch) -> fptx.Precomputed:
        return self.scheme.precompute(self.public, batch)

    def share(self, member: int, batch: Batch) -> Share:
        share = self.shares[member - 1]
        return self.scheme.partial_decrypt(self.public, share, batch, random=deterministic(b"unused"))

    def shared(self, batch: Batch) -> list[Share]:
        return [self.share(share.member, batch) for share in self.shares]

    def combine(self, batch: Batch, shares: list[Share]) -> tuple[BatchKey, tuple[int, ...]]:
        return self.scheme.combine(self.public, batch, shares, self.precompute(batch))

    def key(self, batch: Batch) -> BatchKey:
        return self.combine(batch, self.shared(batch))[0]

    def verify_share(self, batch: Batch, share: Share) -> None:
        self.scheme.verify_share(self.public, batch, share)

    def verify_batch_key(self, batch: Batch, key: BatchKey) -> None:
        self.scheme.verify_batch_key(self.public, batch, key, self.precompute(batch))

    def open(self, batch: Batch, key: BatchKey) -> tuple[bytes | Undecryptable, ...]:
        return self.scheme.decrypt(self.public, batch, key, self.precompute(batch))

    def self_test(self) -> Batch:
        test = DerivedSelfTest(self.scheme, network=NETWORK, random=deterministic(b"unused"))
        return test._batch(self.material)[1]


@cache
def committee(
    n: int = 4,
    t: int = 3,
    batch: int = BATCH,
    rounds: int = ROUNDS,
    backend: str = DEFAULT_BACKEND,
    seed: bytes = b"key",
) -> Committee:
    scheme = load_scheme("fptx", backend)
    limits = Limits(batch=batch, rounds=rounds)
    material, shares = scheme.deal(n=n, t=t, limits=limits, random=deterministic(seed))
    public = scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    return Committee(scheme=scheme, backend=load_backend(backend), material=material, public=public, shares=shares)


@pytest.fixture
def ours() -> Committee:
    """3 of 4 members; 2 rounds of batches of at most 4."""
    return committee()


def refusal(call: Callable[..., object], *arguments: object) -> tuple[str, int | None]:
    """The rule broken and the member blamed."""
    with pytest.raises(Rejected) as caught:
        call(*arguments)
    return caught.value.rule, caught.value.member


def off(share: Share, error: int = 1) -> Share:
    """A good point that is wrong by error * generator."""
    group = load_backend().g1
    point = group.add(group.decode(share.data), group.multiply(group.generator, error))
    return replace(share, data=group.encode(point))


def lives(members: Committee, *plaintexts: bytes, round_: int = 1) -> None:
    batch = members.batch(*plaintexts, round_=round_)
    shares = members.shared(batch)
    for share in shares:
        members.verify_share(batch, share)
        assert len(share.data) == members.scheme.info.share_bytes(len(batch)) == G1_BYTES
    key, refused = members.combine(batch, shares)
    assert refused == ()
    members.verify_batch_key(batch, key)
    assert members.open(batch, key) == plaintexts


@pytest.mark.parametrize(("n", "t"), [(1, 1), (3, 1), (4, 3), (5, 5)])
def test_batches_of_every_size_are_opened_in_every_round_when_everyone_is_honest(n, t):
    members = committee(n, t)
    plaintexts = (b"", b"payload", b"x" * 1000, b"last")
    for round_ in range(1, ROUNDS + 1):
        for size in range(1, BATCH + 1):
            lives(members, *plaintexts[:size], round_=round_)


def test_batch_is_opened_when_the_key_allows_one_ciphertext_in_one_round():
    lives(committee(batch=1, rounds=1), b"payload")


def test_batch_is_opened_when_it_is_large_enough_for_all_cores():
    lives(committee(batch=20, rounds=1), *(b"payload %d" % i for i in range(19)))


def test_backends_agree_on_every_byte():
    made = set()
    for backend in INSTALLED:
        members = committee(3, 2, batch=2, rounds=1, backend=backend)
        batch = members.batch(b"one", b"")
        shares = [members.share(3, batch), members.share(1, batch)]
        precomputed = members.precompute(batch)
        key, _ = members.scheme.combine(members.public, batch, shares, precomputed)
        members.scheme.verify_batch_key(members.public, batch, key, precomputed)
        assert members.scheme.decrypt(members.public, batch, key, precomputed) == (b"one", b"")
        made.add((members.material, batch.entries[0].ciphertext, shares[0].data, shares[1].data, key.encode()))
    assert len(made) == 1


def test_ciphertext_opens_with_the_secret_itself_on_the_other_backend(ours):
    """mask = e(msk Hm, c2), by the equations alone."""
    backend = load_backend("reference")
    secret = sharing.recover({s.member: int.from_bytes(s.secret_bytes(), "big") for s in ours.shares[:3]})
    ciphertext = ours.encrypt(b"payload")
    c0, c1, c2 = (ciphertext[at : at + G2_BYTES] for at in range(0, 3 * G2_BYTES, G2_BYTES))
    one_time = ciphertext[3 * G2_BYTES : 3 * G2_BYTES + 32]
    label = backend.g1.hash_to_curve(
        enc(ours.public.key_id), b"encmempool-fptx-v1-label-BLS12381G1_XMD:SHA-256_SSWU_RO_"
    )
    mask = backend.pairing(backend.g1.multiply(label, secret), backend.g2.decode(c2))
    key = derive_key(Tag.FPTX_KEM, backend.gt_encode(mask), ours.public.key_id, c0, c1, c2, one_time, AAD)
    body = ciphertext[3 * G2_BYTES + 32 : SIGNED]
    assert unseal(key, body, AAD) == b"payload"
    signed = tagged_hash(Tag.FPTX_SIGNATURE, ours.public.key_id, AAD, c0, c1, c2, one_time, body)
    assert onetime.verify(one_time, signed, ciphertext[SIGNED:])


def test_opening_is_the_one_of_the_polynomial_commitment(ours):
    """e(pi, [tau]_2 - id g2) = e(D, g2), as anyone could check an opening."""
    g1, g2 = ours.backend.g1, ours.backend.g2
    batch = ours.batch(b"a", b"b", b"c", round_=2)
    polynomial, digest = ours.scheme._digest(ours.public, batch)
    for entry in batch.entries:
        identity = entry.parsed.identity
        assert evaluate(polynomial, identity, ORDER) == 0
        opening = g1.msm(ours.public.row(2)[:3], fptx._divided(polynomial, identity))
        shifted = g2.add(ours.public.header.tau, g2.multiply(g2.generator, -identity % ORDER))
        assert ours.backend.pairing_check((opening, g1.negate(digest)), (shifted, g2.generator))


def test_polynomial_has_the_roots_it_is_made_of_and_is_divided_by_them():
    roots = [3, 5, 5, ORDER - 1]
    polynomial = fptx._with_roots(roots)
    assert polynomial[-1] == 1
    assert len(polynomial) == 5
    for root in roots:
        quotient = fptx._divided(polynomial, root)
        for x in (0, 7, 12345):
            product = evaluate(quotient, x, ORDER) * (x - root) % ORDER
            assert product == evaluate(polynomial, x, ORDER) == (x - 3) * (x - 5) ** 2 * (x + 1) % ORDER


def test_batch_key_is_the_same_whichever_shares_are_combined_in_which_order():
    members = committee(5, 3)
    batch = members.batch(b"a", b"b")
    shares = members.shared(batch)
    assert len({members.combine(batch, list(chosen))[0].encode() for chosen in combinations(shares, 3)}) == 1
    assert len({members.combine(batch, list(order))[0].encode() for order in permutations(shares[1:4])}) == 1


def ceremony(limits: Limits) -> Committee:
    """A key of 2 of 3 members, made by themselves."""

    class Identity:
        def __init__(self, member: int) -> None:
            self.key = bytes([member]) * 32

        def sign(self, digest: bytes) -> bytes:
            return hmac.digest(self.key, digest, sha512) + b"\0"

    class Registry:
        def verify(self, member: int, digest: bytes, signature: bytes) -> bool:
            return hmac.compare_digest(Identity(member).sign(digest), signature)

    scheme = load_scheme("fptx")
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
                limits=limits,
            )
        )
        for index in (1, 2, 3)
    }
    messages: deque[tuple[int, int, bytes]] = deque()

    def perform(sender: int, effects: tuple[Effect, ...]) -> None:
        sent = [effect for effect in effects if isinstance(effect, Send)]
        messages.extend((sender, to, e.message) for e in sent for to in parties if to != sender)

    for index, party in parties.items():
        perform(index, party.start(now=0))
    while messages:
        sender, to, data = messages.popleft()
        perform(to, parties[to].receive(sender, data, now=0))
    keys = [party.result for party in parties.values()]
    material = keys[0].public
    public = scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    return Committee(
        scheme=scheme,
        backend=load_backend(),
        material=material,
        public=public,
        shares=tuple(key.share for key in keys),
    )


def test_ceremony_makes_rows_and_a_key_that_opens():
    """With its self-test, which is what round 0 is for."""
    members = ceremony(Limits(batch=2, rounds=1))
    members.scheme.verify_parameters(members.public)
    assert members.public.limits == Limits(batch=2, rounds=1)
    lives(members, b"one", b"two")


def test_deal_is_refused_when_a_limit_is_missing(ours):
    for limits in (Limits(), Limits(batch=1), Limits(rounds=1), Limits(batch=0, rounds=1), Limits(batch=1, rounds=0)):
        with pytest.raises(ValueError):
            ours.scheme.deal(n=1, t=1, limits=limits, random=deterministic(b""))


def test_scheme_says_what_it_is(ours):
    info = ours.scheme.info
    assert scheme_name(4) == "fptx" == info.name
    assert info.limits_batch
    assert info.limits_rounds
    assert info.needs_default_threshold
    assert "everything pending" in info.equivocation_opens
    assert ours.scheme.setup_privacy(4, 3) == 3


# --- what a batch key opens -------------------------------------------------------------------------------------------


def opened_with(
    members: Committee, entry: VerifiedCiphertext, *, digest: G1, opening: G1, key: G1
) -> bytes | Undecryptable:
    """What anybody makes of a ciphertext with a digest, an opening and a batch key."""
    parsed = entry.parsed
    mask = members.backend.multi_pairing((digest, opening, key), (parsed.c0, parsed.c1, parsed.c2))
    return members.scheme._open(members.public, entry, members.backend.gt_encode(mask))


def mixed(members: Committee, victim: VerifiedCiphertext, *batches: Batch) -> bytes | Undecryptable:
    """Open a ciphertext that is in neither of two batches, with nothing but the batches and their keys.

    a f1 + (1-a) f2 vanishes at the victim's identity for one a; digests, openings and keys are mixed alike."""
    group, identity = members.backend.g1, victim.parsed.identity
    polynomials = [members.scheme._digest(members.public, batch)[0] for batch in batches]
    keys = [group.decode(members.key(batch).value) for batch in batches]
    first, second = (evaluate(polynomial, identity, ORDER) for polynomial in polynomials)
    a = second * pow(second - first, -1, ORDER) % ORDER
    mix = (a, (1 - a) % ORDER)
    digests, openings = [], []
    for batch, polynomial, factor in zip(batches, polynomials, mix, strict=True):
        row = members.public.row(batch.round)
        digests.append(group.msm(row[: len(polynomial)], [factor * c for c in polynomial]))
        # (f - f(id)) / (X - id): the remainders of both halves cancel in the mix
        quotient = fptx._divided(polynomial, identity)
        openings.append(group.msm(row[: len(quotient)], [factor * c for c in quotient]))
    return opened_with(
        members, victim, digest=group.sum(digests), opening=group.sum(openings), key=group.msm(keys, mix)
    )


@pytest.mark.parametrize("sizes", [(2, 2), (1, 3)])
def test_everything_pending_opens_when_two_batches_are_signed_in_one_round(ours, sizes):
    """Why a member makes no second share in a round, whatever the height: the victim is in neither batch."""
    victim = ours.verified(ours.encrypt(b"pending and nobody's business"))
    entries = [ours.verified(ours.encrypt(b"listed %d" % i)) for i in range(sum(sizes))]
    first = ours.listing(*entries[: sizes[0]], round_=1, height=7)
    second = ours.listing(*entries[sizes[0] :], round_=1, height=8)
    assert mixed(ours, victim, first, second) == b"pending and nobody's business"


def test_what_is_pending_stays_closed_when_two_batches_are_signed_in_two_rounds(ours):
    victim = ours.verified(ours.encrypt(b"pending"))
    first, second = ours.batch(b"a", b"b", round_=1), ours.batch(b"c", b"d", round_=2)
    assert isinstance(mixed(ours, victim, first, second), Undecryptable)


def test_what_is_pending_stays_closed_until_its_own_round(ours):
    victim = ours.verified(ours.encrypt(b"pending"))
    first = ours.batch(b"a", b"b", round_=1)
    posing = ours.listing(first.entries[0], victim, round_=1)
    assert isinstance(ours.open(posing, ours.key(first))[1], Undecryptable)
    later = ours.listing(victim, round_=2)
    assert ours.open(later, ours.key(later)) == (b"pending",)


def test_shares_open_nothing_when_they_are_another_rounds(ours):
    """FPT-6."""
    batch, same_list = ours.batch(b"a", b"b", round_=1), ours.batch(b"a", b"b", round_=2)
    shares = ours.shared(batch)
    for share in shares:
        assert refusal(ours.verify_share, same_list, share) == ("FPT-6", share.member)
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(same_list, shares)
    assert caught.value.blamed == (1, 2, 3, 4)
    assert all(isinstance(opened, Undecryptable) for opened in ours.open(same_list, ours.key(batch)))


def test_victim_opens_in_an_earlier_batch_when_nobody_checks_the_signature(ours, monkeypatch):
    """Why an identity has to be its sender's own: the attacker lists a copy under the victim's one-time key."""
    victim = ours.verified(ours.encrypt(b"buy 40 ETH", aad=b"victim"), b"victim")
    copy = victim.ciphertext[: fptx.HEADER_BYTES] + bytes(16) + bytes(64)
    assert refusal(ours.verified, copy, b"attacker")[0] == "FPT-2"
    with monkeypatch.context() as weakened:
        weakened.setattr(onetime, "verify", lambda *_: True)
        entry = ours.verified(copy, b"attacker")
    batch = ours.listing(entry)
    key = ours.key(batch)
    assert isinstance(ours.open(batch, key)[0], Undecryptable)
    assert ours.open(ours.listing(victim), key) == (b"buy 40 ETH",)


def test_share_is_the_same_when_order_or_height_of_a_batch_differ(ours):
    """A share is bound to the round and the set of ciphertexts: what carries it names the rest."""
    batch = ours.batch(b"a", b"b", b"c")
    for same in (ours.listing(*batch.entries[::-1]), replace(batch, height=8)):
        assert ours.share(1, same) == ours.share(1, batch)


def test_batch_opens_the_same_ciphertext_twice(ours):
    entry, other = (ours.verified(ours.encrypt(p)) for p in (b"again", b"once"))
    batch = ours.listing(entry, other, entry)
    assert ours.open(batch, ours.key(batch)) == (b"again", b"once", b"again")


def test_batch_opens_two_ciphertexts_when_their_sender_used_one_key_for_both(ours):
    def repeated(first: bytes) -> Callable[[int], bytes]:
        rest = deterministic(first)
        seeds = iter([bytes(32)])
        return lambda size: next(seeds, None) or rest(size)

    made = [
        ours.scheme.encrypt(ours.public, text, aad=AAD, height=0, random=repeated(text)) for text in (b"one", b"two")
    ]
    batch = ours.listing(*map(ours.verified, made))
    assert batch.entries[0].parsed.identity == batch.entries[1].parsed.identity
    assert ours.open(batch, ours.key(batch)) == (b"one", b"two")


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
    "long": b"\xc0" + bytes(G1_BYTES),
    "a point of G2": load_backend().g2.encode(load_backend().g2.generator),
}


def resigned(members: Committee, header: bytes, body: bytes, seed: bytes = b"s" * 32, aad: bytes = AAD) -> bytes:
    """c0, c1, c2 and a body under a fresh one-time key that signs for them."""
    parts = (*(header[at : at + G2_BYTES] for at in range(0, 3 * G2_BYTES, G2_BYTES)), onetime.public_key(seed))
    signed = tagged_hash(Tag.FPTX_SIGNATURE, members.public.key_id, aad, *parts, body)
    return b"".join(parts) + body + onetime.sign(seed, signed)


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("fault", BAD_G2)
def test_ciphertext_is_malformed_when_a_point_is_bad(ours, fault, at):
    """FPT-1, however well signed, and on both backends."""
    ciphertext = ours.encrypt(b"payload")
    points = [ciphertext[i * G2_BYTES : (i + 1) * G2_BYTES] for i in range(3)]
    points[at] = BAD_G2[fault]
    bad = resigned(ours, b"".join(points), ciphertext[fptx.HEADER_BYTES : SIGNED])
    for backend in INSTALLED:
        with pytest.raises(Malformed, match="G2"):
            load_scheme("fptx", backend).verify_ciphertext(ours.public, bad, aad=AAD, height=0)


def test_ciphertext_has_the_announced_overhead(ours):
    assert fptx.OVERHEAD_BYTES == ours.scheme.info.ciphertext_overhead_bytes == 400
    for plaintext in (b"", b"x" * 1000):
        assert len(ours.encrypt(plaintext)) == len(plaintext) + 400


@pytest.mark.parametrize("size", [0, 287, 320, 399])
def test_ciphertext_is_malformed_when_shorter_than_its_parts(ours, size):
    with pytest.raises(Malformed, match="400"):
        ours.verified(ours.encrypt(b"")[:size])


def test_ciphertext_is_refused_when_any_byte_is_changed(ours):
    """FPT-2, unless a point is bad already."""
    ciphertext = ours.encrypt(b"payload")
    for at in range(len(ciphertext)):
        changed = ciphertext[:at] + bytes([ciphertext[at] ^ 1]) + ciphertext[at + 1 :]
        with pytest.raises((Malformed, CiphertextRejected)):
            ours.verified(changed)


def test_ciphertext_is_refused_when_cut_or_followed(ours):
    """FPT-2."""
    ciphertext = ours.encrypt(b"payload")
    for changed in (ciphertext + b"\0", ciphertext[:-1], ciphertext[:SIGNED] + b"\0" + ciphertext[SIGNED:]):
        assert refusal(ours.verified, changed)[0] == "FPT-2"


@pytest.mark.parametrize("aad", [b"", AAD + b"\0", AAD[:-1]])
def test_ciphertext_is_refused_when_the_associated_data_differ(ours, aad):
    """FPT-2."""
    assert refusal(ours.verified, ours.encrypt(b"payload"), aad) == ("FPT-2", None)


def test_ciphertext_is_refused_when_a_part_is_another_ones(ours):
    """FPT-2: parts of two good ciphertexts of one length."""
    first, second = ours.encrypt(b"payload"), ours.encrypt(b"palaver")
    borders = [0, G2_BYTES, 2 * G2_BYTES, 3 * G2_BYTES, fptx.HEADER_BYTES, len(first) + SIGNED, len(first)]
    for start, end in pairwise(borders):
        assert refusal(ours.verified, first[:start] + second[start:end] + first[end:])[0] == "FPT-2"


def test_ciphertext_is_refused_when_another_key_signed_for_the_one_time_key(ours):
    """FPT-2: whoever copies an identity cannot sign for it."""
    victim = ours.encrypt(b"payload")
    header, body = victim[: fptx.HEADER_BYTES], victim[fptx.HEADER_BYTES : SIGNED]
    own = resigned(ours, header, body)
    ours.verified(own)
    assert refusal(ours.verified, header + body + own[SIGNED:])[0] == "FPT-2"


def test_ciphertext_is_refused_when_its_one_time_key_has_small_order(ours):
    """FPT-2: with the identity as A, R = B and S = 1 hold for every message."""
    ciphertext = ours.encrypt(b"payload")
    base, one = b"\x58" + b"\x66" * 31, (1).to_bytes(32, "little")
    signature = base + one
    changed = ciphertext[: 3 * G2_BYTES] + one + ciphertext[fptx.HEADER_BYTES : SIGNED] + signature
    assert refusal(ours.verified, changed)[0] == "FPT-2"


def test_ciphertext_is_refused_when_the_key_has_another_name(ours):
    """FPT-2."""
    other = ours.scheme.load_public_key(ours.material, key_id=bytes(32))
    with pytest.raises(CiphertextRejected):
        ours.scheme.verify_ciphertext(other, ours.encrypt(b"payload"), aad=AAD, height=0)


def test_ciphertexts_are_verified_each_for_itself(ours):
    good, bad = ours.encrypt(b"payload"), ours.encrypt(b"payload", aad=b"other")
    candidates = [Candidate(ciphertext=data, aad=AAD, height=0) for data in (good, bad, good)]
    first, second, third = ours.scheme.verify_ciphertexts(ours.public, candidates, random=deterministic(b""))
    assert isinstance(second, CiphertextRejected)
    assert first.ciphertext_id == third.ciphertext_id == ours.verified(good).ciphertext_id


def test_identity_depends_on_the_one_time_key_and_the_key_name(ours):
    one_time = onetime.public_key(bytes(32))
    identity = hash_to_scalar(Tag.FPTX_IDENTITY, ours.public.key_id, one_time, modulus=ORDER)
    assert fptx._identity(ours.public.key_id, one_time) == identity
    assert len({identity, fptx._identity(bytes(32), one_time), fptx._identity(ours.public.key_id, bytes(32))}) == 3


def test_label_depends_on_the_key_name(ours):
    other = ours.scheme.load_public_key(ours.material, key_id=bytes(32))
    assert not ours.backend.g1.equal(other.label, ours.public.label)


@pytest.mark.parametrize("part", ["points of another identity", "body under another key"])
def test_entry_is_undecryptable_when_it_was_signed_but_not_made_well(ours, part):
    """The public check says nothing about that. The neighbours are opened all the same."""
    good = ours.encrypt(b"good")
    header, body = good[: fptx.HEADER_BYTES], good[fptx.HEADER_BYTES : SIGNED]
    if part == "body under another key":
        body = seal(bytes(32), b"good", AAD)
    entries = [ours.verified(c) for c in (ours.encrypt(b"first"), resigned(ours, header, body), ours.encrypt(b"last"))]
    batch = ours.listing(*entries)
    first, bad, last = ours.open(batch, ours.key(batch))
    assert (first, last) == (b"first", b"last")
    assert isinstance(bad, Undecryptable)


@pytest.mark.parametrize("part", range(6))
def test_body_key_depends_on_everything_it_is_derived_from(ours, part):
    usual = [ours.public, b"mask", (b"c0", b"c1", b"c2", b"vk"), AAD]
    changed = [*usual]
    if part < 4:
        changed[2] = tuple(b"other" if at == part else p for at, p in enumerate(usual[2]))
    elif part == 4:
        changed[3] = b"other"
    else:
        changed[0] = replace(ours.public, key_id=bytes(32))
    assert fptx._body_key(*usual) != fptx._body_key(*changed)


# --- batches ----------------------------------------------------------------------------------------------------------


def uses(members: Committee) -> dict[str, Callable[[Batch], object]]:
    """All that a batch must be good for."""
    share = members.share(2, members.batch(b"usual"))
    return {
        "precompute": members.precompute,
        "partial_decrypt": lambda batch: members.share(1, batch),
        "verify_share": lambda batch: members.verify_share(batch, share),
    }


USES = ("precompute", "partial_decrypt", "verify_share")


@pytest.mark.parametrize("use", USES)
def test_batch_is_refused_when_empty_or_larger_than_the_key_allows(ours, use):
    """FPT-3."""
    for size in (0, BATCH + 1):
        batch = ours.batch(*(b"%d" % i for i in range(size)))
        assert refusal(uses(ours)[use], batch) == ("FPT-3", None)


@pytest.mark.parametrize("use", USES)
def test_batch_is_refused_when_the_rounds_are_exhausted(ours, use):
    """FPT-4."""
    for round_ in (ROUNDS + 1, ROUNDS + 1000):
        with pytest.raises(Rejected, match="exhausted") as caught:
            uses(ours)[use](ours.batch(b"late", round_=round_))
        assert caught.value.rule == "FPT-4"


def test_self_test_is_accepted_in_round_zero(ours):
    batch = ours.self_test()
    assert batch.round == 0
    assert ours.open(batch, ours.key(batch)) == (b"encmempool self-test",)


@pytest.mark.parametrize("use", USES)
def test_batch_is_refused_when_it_is_in_round_zero_and_not_the_self_test(ours, use):
    """FPT-4. A second batch in round 0 would be the first half of opening everything."""
    genuine = ours.self_test()
    seed = genuine.entries[0].aad
    entry = ours.verified(ours.encrypt(b"other"))
    under_its_name = ours.verified(ours.encrypt(b"encmempool self-test", aad=seed), seed)
    randomness = deterministic(seed)
    other_text = ours.scheme.encrypt(ours.public, b"other text", aad=seed, height=0, random=randomness)
    for batch in (
        ours.listing(entry, round_=0, height=0),
        ours.listing(under_its_name, round_=0, height=0),
        ours.listing(ours.verified(other_text, seed), round_=0, height=0),
        ours.listing(*genuine.entries, round_=0, height=1),
        ours.listing(*genuine.entries, *genuine.entries, round_=0, height=0),
        ours.listing(*genuine.entries, entry, round_=0, height=0),
    ):
        assert refusal(uses(ours)[use], batch) == ("FPT-4", None)


# --- shares -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", BAD_G1)
def test_share_is_refused_when_it_is_not_one_good_point(ours, fault):
    """FPT-5."""
    share = Share(member=2, data=BAD_G1[fault])
    assert refusal(ours.verify_share, ours.batch(b"a"), share) == ("FPT-5", 2)


@pytest.mark.parametrize("member", [0, 5, -1, 65536])
def test_share_is_refused_when_there_is_no_such_member(ours, member):
    """FPT-5. A list's index -1 would be the last member's verification key."""
    batch = ours.batch(b"a")
    share = replace(ours.share(4, batch), member=member)
    assert refusal(ours.verify_share, batch, share) == ("FPT-5", member)


def test_share_is_refused_when_it_is_wrong_or_another_members_or_batchs(ours):
    """FPT-6."""
    batch, other = ours.batch(b"a", b"b"), ours.batch(b"a", b"c")
    share = ours.share(2, batch)
    for wrong in (off(share), replace(ours.share(1, batch), member=2), ours.share(2, other)):
        assert refusal(ours.verify_share, batch, wrong) == ("FPT-6", 2)


def test_share_is_refused_when_a_listed_ciphertext_is_missing_or_added(ours):
    """FPT-6."""
    batch = ours.batch(b"a", b"b", b"c")
    share = ours.share(3, ours.listing(*batch.entries[:2]))
    assert refusal(ours.verify_share, batch, share) == ("FPT-6", 3)
    repeated = ours.listing(*batch.entries[:2], batch.entries[0])
    assert refusal(ours.verify_share, repeated, share) == ("FPT-6", 3)


def test_share_is_the_secret_times_the_digest_and_the_label(ours):
    batch = ours.batch(b"a", b"b")
    g1, row = ours.backend.g1, ours.public.row(1)
    x, y = (entry.parsed.identity for entry in batch.entries)
    digest = g1.sum([g1.multiply(row[0], x * y), g1.negate(g1.multiply(row[1], x + y)), row[2]])
    secret = int.from_bytes(ours.shares[1].secret_bytes(), "big")
    expected = g1.multiply(g1.add(digest, ours.public.label), secret)
    assert ours.share(2, batch).data == g1.encode(expected)


@pytest.mark.parametrize("wrong", [(1,), (2,), (1, 2), (2, 3), (5,)])
def test_combine_names_the_wrong_shares_when_they_were_among_those_tried(wrong):
    members = committee(5, 3)
    batch = members.batch(b"a", b"b")
    shares = [off(share, share.member) if share.member in wrong else share for share in members.shared(batch)]
    key, refused = members.combine(batch, shares)
    assert refused == tuple(member for member in wrong if member < 5)
    assert members.open(batch, key) == (b"a", b"b")


def test_combine_names_the_member_when_its_share_is_undecodable(ours):
    batch = ours.batch(b"a")
    shares = ours.shared(batch)
    shares[1] = replace(shares[1], data=b"\0")
    key, refused = ours.combine(batch, shares)
    assert refused == (2,)
    assert ours.open(batch, key) == (b"a",)


@pytest.mark.parametrize(("given", "wrong"), [((1, 2, 3), (2,)), ((1, 2), (2,)), ((4,), (4,)), ((1, 2, 3, 4), (1, 4))])
def test_combine_blames_the_wrong_shares_when_the_others_are_too_few(ours, given, wrong):
    """FPT-7."""
    batch = ours.batch(b"a")
    shares = [ours.share(member, batch) for member in given]
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(batch, [off(share) if share.member in wrong else share for share in shares])
    assert (caught.value.rule, caught.value.blamed) == ("FPT-7", wrong)


def test_combine_blames_undecodable_shares_too_when_the_others_are_too_few(ours):
    batch = ours.batch(b"a")
    first, second, third, _ = ours.shared(batch)
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(batch, [replace(first, data=b""), off(second), third])
    assert caught.value.blamed == (1, 2)


def test_combine_refuses_when_shares_are_too_few_or_repeated(ours):
    batch = ours.batch(b"a")
    first, second, *_ = ours.shared(batch)
    for shares in ([], [first], [first, second], [first, second, first, second]):
        with pytest.raises(NotEnoughShares) as caught:
            ours.combine(batch, shares)
        assert caught.value.blamed == ()


def test_combine_takes_a_members_good_share_when_it_follows_a_wrong_one(ours):
    batch = ours.batch(b"a")
    first, second, third, _ = ours.shared(batch)
    key, refused = ours.combine(batch, [off(first), first, second, third])
    assert refused == (1,)
    ours.verify_batch_key(batch, key)


def test_combine_makes_the_right_key_when_wrong_shares_cancel_in_it(ours):
    """The key is checked, and it is the only one: who sent what does not matter then. 3, -3 and 1 are the weights."""
    batch = ours.batch(b"a")
    first, second, third, _ = ours.shared(batch)
    key, refused = ours.combine(batch, [off(first), off(second), third])
    assert refused == ()
    assert key == ours.key(batch)


# --- batch keys -------------------------------------------------------------------------------------------------------


def test_batch_key_is_refused_when_it_is_another_ones_or_has_a_proof(ours):
    """FPT-7."""
    batch = ours.batch(b"a", b"b")
    key = ours.key(batch)
    assert key.proof == b""
    ours.verify_batch_key(batch, key)
    for wrong in (
        replace(key, proof=b"\0"),
        ours.key(ours.batch(b"a")),
        ours.key(ours.batch(b"a", b"b", round_=2)),
        BatchKey(value=ours.share(1, batch).data, proof=b""),
    ):
        assert refusal(ours.verify_batch_key, batch, wrong) == ("FPT-7", None)


@pytest.mark.parametrize("fault", BAD_G1)
def test_batch_key_is_malformed_when_its_point_is_bad(ours, fault):
    batch, key = ours.batch(b"a"), BatchKey(value=BAD_G1[fault], proof=b"")
    for use in (ours.verify_batch_key, ours.open):
        with pytest.raises(Malformed):
            use(batch, key)


# --- public keys ------------------------------------------------------------------------------------------------------


def moved(members: Committee, at: int) -> PublicMaterial:
    """The key material with one point replaced by another good point: the encryption key, or a member's."""
    other = members.backend.g2.encode(members.backend.g2.multiply(members.backend.g2.generator, 12345))
    if at == 0:
        return replace(members.material, encryption_key=other)
    keys = list(members.material.verification_keys)
    keys[at - 1] = other
    return replace(members.material, verification_keys=tuple(keys))


def load(material: PublicMaterial) -> Any:
    return load_scheme("fptx").load_public_key(material, key_id=bytes(32))


def test_public_key_says_what_the_material_says(ours):
    assert (ours.public.threshold, ours.public.members) == (3, 4)
    assert ours.public.limits == Limits(batch=BATCH, rounds=ROUNDS)
    assert ours.public.key_id == ours.material.key_id(NETWORK)
    assert len(repr(ours.public)) < len(ours.material.parameters)


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("t", [1, 3, 4])
def test_public_key_is_refused_when_a_point_is_off_the_polynomial(t, at):
    """FPT-8."""
    assert refusal(load, moved(committee(4, t), at))[0] == "FPT-8"


def test_public_key_is_refused_when_it_is_not_an_fptx_key(ours):
    """FPT-8."""
    assert refusal(load, replace(ours.material, scheme=1))[0] == "FPT-8"


@pytest.mark.parametrize("fault", BAD_G2)
def test_public_key_is_malformed_when_a_point_is_bad(ours, fault):
    """FPT-8."""
    keys, parameters = ours.material.verification_keys, ours.material.parameters
    for material in (
        replace(ours.material, encryption_key=BAD_G2[fault]),
        replace(ours.material, verification_keys=(*keys[:3], BAD_G2[fault])),
        replace(ours.material, parameters=parameters[:8] + BAD_G2[fault] + parameters[8 + G2_BYTES :]),
    ):
        with pytest.raises(Malformed):
            load(material)


def test_public_key_is_malformed_when_rows_are_missing_or_followed(ours):
    parameters = ours.material.parameters
    for changed in (b"", parameters[:-1], parameters + b"\0", parameters[: powers.HEADER_BYTES]):
        with pytest.raises(Malformed):
            load(replace(ours.material, parameters=changed))


def test_row_is_decoded_when_its_round_is_used_and_not_before(ours):
    """A damaged round harms no other; checking the parameters finds it."""
    at = powers.HEADER_BYTES + 2 * (BATCH + 1) * G1_BYTES
    parameters = ours.material.parameters[:at] + BAD_G1["identity"] + ours.material.parameters[at + G1_BYTES :]
    damaged = replace(
        ours, public=ours.scheme.load_public_key(replace(ours.material, parameters=parameters), key_id=b"")
    )
    lives(damaged, b"payload", round_=1)
    for use in (damaged.precompute, lambda batch: damaged.share(1, batch)):
        with pytest.raises(Malformed, match="round 2"):
            use(damaged.batch(b"payload", round_=2))
    with pytest.raises(Malformed, match="round 2"):
        damaged.scheme.verify_parameters(damaged.public)


def test_parameters_are_refused_when_a_row_holds_other_points(ours):
    at, size = powers.HEADER_BYTES, G1_BYTES
    first, second = (ours.material.parameters[at + i * size : at + (i + 1) * size] for i in range(2))
    parameters = ours.material.parameters[:at] + second + first + ours.material.parameters[at + 2 * size :]
    ours.scheme.verify_parameters(ours.public)
    with pytest.raises(Rejected):
        ours.scheme.verify_parameters(load(replace(ours.material, parameters=parameters)))


def test_rows_are_kept_for_the_last_few_rounds_only():
    members = committee(1, 1, batch=1, rounds=8)
    for round_ in range(1, 9):
        for _ in range(2):
            members.share(1, members.batch(b"a", round_=round_))
    assert members.public.row.cache_info().currsize == fptx._KEPT_ROWS
    assert members.public.row.cache_info().misses == 8
