"""simple-bte: its rules, its fast product against the formula, and what goes wrong without each check.

Keys come from the trusted dealer; one test makes a key by the ceremony. Rules SBT-20 and on are tested with the
parameters, in test_punctured.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha512
from itertools import combinations, permutations

import pytest
from py_ecc.optimized_bls12_381 import FQ, add, field_modulus, is_inf, multiply

from threshold import proofs
from threshold.curve import (
    DEFAULT_BACKEND,
    G1_BYTES,
    G2_BYTES,
    GT,
    INSTALLED,
    ORDER,
    SCALAR_BYTES,
    Backend,
    load_backend,
)
from threshold.encoding import u32
from threshold.entropy import deterministic, system
from threshold.errors import CiphertextRejected, Malformed, NotEnoughShares, Rejected, ShareRejected, ThresholdError
from threshold.keys import KeyMaterial, KeyShare, Limits, PublicMaterial, Seat
from threshold.sansio import Effect, Send
from threshold.schemes import simple_bte
from threshold.schemes.base import Batch, BatchKey, Candidate, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.registry import load_scheme, scheme_name
from threshold.schemes.simple_bte import HEADER_BYTES, OVERHEAD_BYTES, Precomputed, SimpleBte, SimpleBtePublicKey
from threshold.sharing import recover

NETWORK = b"network under test"
AAD = b"sender, nonce and limits"


@dataclass(frozen=True, kw_only=True)
class Committee:
    """A key with all its shares."""

    scheme: SimpleBte
    backend: Backend
    material: PublicMaterial
    public: SimpleBtePublicKey
    shares: tuple[KeyShare, ...]

    def encrypt(self, plaintext: bytes, seed: bytes = b"", aad: bytes = AAD) -> bytes:
        random = deterministic(b"encrypt" + seed + plaintext)
        return self.scheme.encrypt(self.public, plaintext, aad=aad, height=0, random=random)

    def verified(self, ciphertext: bytes, aad: bytes = AAD) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(self.public, ciphertext, aad=aad, height=0)

    def verify_all(self, ciphertexts: Sequence[bytes]) -> tuple[VerifiedCiphertext | ThresholdError, ...]:
        candidates = [Candidate(ciphertext=c, aad=AAD, height=0) for c in ciphertexts]
        return self.scheme.verify_ciphertexts(self.public, candidates, random=system)

    def batch_of(self, *entries: VerifiedCiphertext) -> Batch:
        return Batch(key_id=self.public.key_id, height=7, round=0, entries=entries)

    def batch(self, *plaintexts: bytes) -> Batch:
        return self.batch_of(*(self.verified(self.encrypt(p, bytes([i]))) for i, p in enumerate(plaintexts)))

    def precomputed(self, batch: Batch) -> Precomputed:
        return self.scheme.precompute(self.public, batch)

    def share(self, member: int, batch: Batch) -> Share:
        return self.scheme.partial_decrypt(self.public, self.shares[member - 1], batch, random=system)

    def shared(self, batch: Batch) -> list[Share]:
        return [self.share(key_share.member, batch) for key_share in self.shares]

    def verify_share(self, batch: Batch, share: Share) -> None:
        self.scheme.verify_share(self.public, batch, share)

    def combine(self, batch: Batch, shares: Sequence[Share]) -> tuple[BatchKey, tuple[int, ...]]:
        return self.scheme.combine(self.public, batch, shares, self.precomputed(batch))

    def verify_batch_key(self, batch: Batch, key: BatchKey) -> None:
        self.scheme.verify_batch_key(self.public, batch, key, self.precomputed(batch))

    def open(self, batch: Batch, key: BatchKey) -> tuple[bytes | Undecryptable, ...]:
        return self.scheme.decrypt(self.public, batch, key, self.precomputed(batch))

    def decrypted(self, batch: Batch) -> tuple[bytes | Undecryptable, ...]:
        return self.open(batch, self.combine(batch, self.shared(batch))[0])


@cache
def committee(n: int = 4, t: int = 3, b: int = 4, backend: str = DEFAULT_BACKEND, seed: bytes = b"key") -> Committee:
    chosen = load_backend(backend)
    scheme = simple_bte.make(chosen)
    material, shares = scheme.deal(n=n, t=t, limits=Limits(batch=b), random=deterministic(seed))
    public = scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    return Committee(scheme=scheme, backend=chosen, material=material, public=public, shares=shares)


@pytest.fixture
def ours() -> Committee:
    """3 of 4 members, four ciphertexts in a batch."""
    return committee()


def plaintexts(count: int) -> tuple[bytes, ...]:
    """The first is empty."""
    return tuple(b"payload %d " % i * i for i in range(count))


def secrets(members: Committee, member: int) -> list[int]:
    data = members.shares[member - 1].secret_bytes()
    return [int.from_bytes(data[at : at + SCALAR_BYTES], "big") for at in range(0, len(data), SCALAR_BYTES)]


def tau_of(members: Committee) -> int:
    """What nobody may know: from all shares."""
    return recover({share.member: secrets(members, share.member)[0] for share in members.shares})


# --- a batch's life ---------------------------------------------------------------------------------------------------


def lives(members: Committee, size: int) -> None:
    """A batch from encryption to opening, with every check on the way."""
    expected = plaintexts(size)
    batch = members.batch(*expected)
    shares = members.shared(batch)
    for share in shares:
        members.verify_share(batch, share)
        assert len(share.data) == members.scheme.info.share_bytes(size) == G1_BYTES
    key, refused = members.combine(batch, shares)
    assert refused == ()
    assert len(key.value) == G1_BYTES
    members.verify_batch_key(batch, key)
    assert members.open(batch, key) == expected
    assert BatchKey.decode(key.encode()) == key


@pytest.mark.parametrize(("n", "t"), [(1, 1), (3, 1), (4, 3), (5, 5), (7, 4)])
def test_batch_is_opened_when_everyone_is_honest(n, t):
    lives(committee(n, t), 3)


@pytest.mark.parametrize("b", [1, 2, 3, 4, 5, 9])
def test_batch_is_opened_when_it_is_as_long_as_it_may_be(b):
    lives(committee(2, 2, b), b)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_batch_is_opened_when_slots_are_empty(ours, size):
    lives(ours, size)


def test_backends_agree_on_every_byte_of_a_batchs_life():
    made = set()
    for backend in INSTALLED:
        members = committee(2, 2, 3, backend)
        batch = members.batch(b"one", b"")
        shares = members.shared(batch)
        members.verify_share(batch, shares[0])
        precomputed = members.precomputed(batch)
        key, refused = members.scheme.combine(members.public, batch, shares, precomputed)
        assert refused == ()
        opened = members.scheme.decrypt(members.public, batch, key, precomputed)
        made.add((members.material, batch.digest, *(share.data for share in shares), key.encode(), opened))
    assert len(made) == 1
    assert opened == (b"one", b"")


def test_registry_knows_the_scheme_by_name_and_number():
    assert isinstance(load_scheme("simple-bte"), SimpleBte)
    assert scheme_name(3) == "simple-bte"


@pytest.mark.parametrize("plaintext", [b"", b"\0", b"x" * 10_000])
def test_ciphertext_has_the_announced_overhead(ours, plaintext):
    ciphertext = ours.encrypt(plaintext)
    assert len(ciphertext) == len(plaintext) + 144
    assert ours.scheme.info.ciphertext_overhead_bytes == OVERHEAD_BYTES == 144
    assert ours.decrypted(ours.batch_of(ours.verified(ciphertext))) == (plaintext,)


def test_secret_grows_with_the_batch(ours):
    assert {len(share.secret_bytes()) for share in ours.shares} == {4 * ours.scheme.info.secret_bytes_per_slot}


def test_batch_opens_the_same_ciphertext_twice(ours):
    entry = ours.verified(ours.encrypt(b"again"))
    other = ours.verified(ours.encrypt(b"other"))
    assert ours.decrypted(ours.batch_of(entry, other, entry, entry)) == (b"again", b"other", b"again", b"again")


def test_ciphertext_opens_in_any_slot_of_any_batch(ours):
    entries = [ours.verified(ours.encrypt(p)) for p in (b"a", b"b", b"c")]
    for order in permutations(entries):
        plaintexts = ours.decrypted(ours.batch_of(*order))
        assert plaintexts == tuple(b"abc"[entries.index(e) : entries.index(e) + 1] for e in order)


def test_entry_is_undecryptable_when_its_body_was_sealed_under_another_key_and_spoils_no_other(ours):
    """A proof shows the exponent, not that the body opens."""
    stray = rebound(ours, b"stray", body=bytes(40))
    entries = [ours.verified(c) for c in (ours.encrypt(b"first"), stray, ours.encrypt(b"last"))]
    opened = ours.decrypted(ours.batch_of(*entries))
    assert (opened[0], opened[2]) == (b"first", b"last")
    assert isinstance(opened[1], Undecryptable)


def test_batch_key_opens_nothing_that_the_batch_does_not_list(ours):
    """Its masks for another ciphertext in the same slot are not the right ones."""
    batch = ours.batch(b"a", b"b")
    key, _ = ours.combine(batch, ours.shared(batch))
    pending = ours.verified(ours.encrypt(b"pending"))
    for other in (ours.batch_of(batch.entries[0], pending), ours.batch_of(*batch.entries, pending)):
        opened = ours.open(other, key)
        assert all(isinstance(o, Undecryptable) for o in opened)


# --- the fast product -------------------------------------------------------------------------------------------------


def naive_masks(members: Committee, batch: Batch, key: BatchKey) -> list[GT]:
    """e(pd, h_(B+1-i)) / X_i as in the paper, with X_i pairing by pairing."""
    backend, public = members.backend, members.public
    pd = backend.g1.decode(key.value)
    masks = []
    for i in range(1, len(batch) + 1):
        ps, qs = [pd], [public.powers([public.batch + 1 - i])[0]]
        for slot, entry in enumerate(batch.entries, start=1):
            if slot != i:
                ps.append(backend.g1.negate(entry.parsed.point))
                qs.append(public.powers([slot + public.batch + 1 - i])[0])
        masks.append(backend.multi_pairing(ps, qs))
    return masks


@pytest.mark.parametrize(
    ("b", "size"),
    [(4, 1), (4, 2), (4, 3), (4, 4), (5, 5), (7, 7), (13, 1), (13, 4), (13, 5), (13, 8), (13, 11), (13, 13)],
)
def test_fast_decryption_equals_the_naive_one(b, size):
    members = committee(1, 1, b)
    batch = members.batch(*plaintexts(size))
    key, _ = members.combine(batch, members.shared(batch))
    inverses = members.precomputed(batch).inverses
    pd = members.backend.g1.decode(key.value)
    fast = [
        members.backend.gt_multiply(members.backend.pairing(pd, members.public.powers([b - at])[0]), inverse)
        for at, inverse in enumerate(inverses)
    ]
    naive = naive_masks(members, batch, key)
    assert len(naive) == size
    assert list(map(members.backend.gt_encode, fast)) == list(map(members.backend.gt_encode, naive))


def test_precomputation_of_a_short_batch_costs_as_much_as_its_own_size():
    members = committee(1, 1, 13)
    assert members.public.matrix(3).size == 3


@pytest.mark.parametrize("size", [1, 9, 13])
def test_precomputed_check_is_the_one_of_the_paper(size):
    """SBT-6: the product over i of e(ct_i, h_i)."""
    members = committee(1, 1, 13)
    batch = members.batch(*plaintexts(size))
    points = [entry.parsed.point for entry in batch.entries]
    powers = [members.public.powers([i])[0] for i in range(1, size + 1)]
    assert members.backend.gt_equal(members.precomputed(batch).check, members.backend.multi_pairing(points, powers))


@pytest.mark.parametrize("i", [-1, 0, 5, 9])
def test_power_is_refused_when_there_is_none(ours, i):
    with pytest.raises(ValueError, match="power"):
        ours.public.powers([i])[0]


# --- SBT-1 and SBT-2: ciphertexts -------------------------------------------------------------------------------------


def rebound(members: Committee, seed: bytes, body: bytes) -> bytes:
    """A ciphertext with a right proof for any body."""
    group, random = members.backend.g1, deterministic(seed)
    secret = int.from_bytes(random(30), "big")
    point = group.multiply(group.generator, secret)
    statement = simple_bte._statement(members.public, point, body, AAD)
    proof = proofs.prove_knowledge(group, statement, secret, random)
    return group.encode(point) + proof.encode(group) + body


def small_x(on_curve: bool) -> bytes:
    """The first small x that is, or is not, a coordinate on the curve: its points lie outside the subgroup."""
    for x in range(1, 100):
        square = pow(x**3 + 4, (field_modulus - 1) // 2, field_modulus) == 1
        if square == on_curve:
            return b"\x80" + x.to_bytes(47, "big")
    raise AssertionError


BAD_POINTS = {
    "identity": b"\xc0" + bytes(47),
    "non-canonical identity": b"\xc0" + bytes(46) + b"\1",
    "order three": b"\x80" + bytes(47),
    "outside the subgroup": small_x(True),
    "off the curve": small_x(False),
    "uncompressed": b"\x17" + bytes(47),
}


@pytest.mark.parametrize("at", [0, 1], ids=["ct", "A"])
@pytest.mark.parametrize("fault", BAD_POINTS)
def test_ciphertext_is_malformed_when_a_point_is_bad(ours, fault, at):
    """SBT-1."""
    ciphertext = ours.encrypt(b"payload")
    changed = ciphertext[: at * G1_BYTES] + BAD_POINTS[fault] + ciphertext[(at + 1) * G1_BYTES :]
    with pytest.raises(Malformed):
        ours.verified(changed)


def order_eleven() -> tuple[FQ, FQ, FQ]:
    """A point of the curve with order 11, by cofactor: what a share on it would leak is the share modulo 11."""
    cofactor = 0x396C8C005555E1568C00AAAB0000AAAB
    assert cofactor % 121 == 0
    x = 0
    while True:
        x += 1
        square = (x**3 + 4) % field_modulus
        y = pow(square, (field_modulus + 1) // 4, field_modulus)
        if y * y % field_modulus == square:
            point = multiply((FQ(x), FQ(y), FQ(1)), ORDER * (cofactor // 121))
            while not is_inf(point) and not is_inf(multiply(point, 11)):
                point = multiply(point, 11)
            if not is_inf(point):
                return point


def test_ciphertext_is_malformed_when_a_point_of_order_eleven_is_added(ours):
    """SBT-1. The proof would pass after some ten attempts: it does not replace the check of the subgroup."""
    reference = load_backend("reference").g1
    ciphertext = ours.encrypt(b"payload")
    point = add(reference.decode(ciphertext[:G1_BYTES]), order_eleven())
    assert not is_inf(point)
    with pytest.raises(Malformed, match="subgroup"):
        ours.verified(reference.encode(point) + ciphertext[G1_BYTES:])


def test_ciphertext_is_malformed_when_the_response_is_not_reduced(ours):
    """SBT-1: the same residue in other bytes would be a second ciphertext with the same contents."""
    at = HEADER_BYTES - SCALAR_BYTES
    for attempt in range(200):
        ciphertext = ours.encrypt(b"payload", bytes([attempt]))
        response = int.from_bytes(ciphertext[at:HEADER_BYTES], "big")
        if response + ORDER < 1 << 256:
            break
    changed = ciphertext[:at] + (response + ORDER).to_bytes(SCALAR_BYTES, "big") + ciphertext[HEADER_BYTES:]
    with pytest.raises(Malformed, match="scalar"):
        ours.verified(changed)


@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES, OVERHEAD_BYTES - 1])
def test_ciphertext_is_malformed_when_too_short(ours, length):
    with pytest.raises(Malformed, match="144"):
        ours.verified(ours.encrypt(b"")[:length])


def assert_unproven(members: Committee, ciphertext: bytes, aad: bytes = AAD) -> None:
    with pytest.raises(CiphertextRejected) as caught:
        members.verified(ciphertext, aad)
    assert caught.value.rule == "SBT-2"


@pytest.mark.parametrize("at", [HEADER_BYTES - 1, HEADER_BYTES, -1])
def test_ciphertext_is_refused_when_its_response_or_body_is_changed(ours, at):
    """SBT-2."""
    ciphertext = bytearray(ours.encrypt(b"payload"))
    ciphertext[at] ^= 1
    assert_unproven(ours, bytes(ciphertext))


def test_ciphertext_is_refused_when_bytes_follow_or_are_missing(ours):
    """SBT-2."""
    ciphertext = ours.encrypt(b"payload")
    assert_unproven(ours, ciphertext + b"\0")
    assert_unproven(ours, ciphertext[:-1])


def test_ciphertext_is_refused_when_a_part_is_another_ones(ours):
    """SBT-2. The capsule under a foreign body would open the victim's body in the copier's batch."""
    victim, copier = ours.encrypt(b"payload"), ours.encrypt(b"palaver")
    assert_unproven(ours, victim[:HEADER_BYTES] + copier[HEADER_BYTES:])
    assert_unproven(ours, copier[:G1_BYTES] + victim[G1_BYTES:])
    assert_unproven(ours, victim[:G1_BYTES] + copier[G1_BYTES : 2 * G1_BYTES] + victim[2 * G1_BYTES :])


def test_ciphertext_is_refused_when_its_associated_data_is_another(ours):
    """SBT-2."""
    for aad in (b"", AAD + b"\0", AAD[:-1]):
        assert_unproven(ours, ours.encrypt(b"payload"), aad)


def test_ciphertext_is_refused_when_bytes_move_between_associated_data_and_body(ours):
    """SBT-2: the transcript says where one ends."""
    ciphertext = rebound(ours, b"moved", body=b"12345678" * 3)
    header, body = ciphertext[:HEADER_BYTES], ciphertext[HEADER_BYTES:]
    assert_unproven(ours, header + body[1:], AAD + body[:1])


def test_ciphertext_is_refused_when_made_for_another_key_or_network(ours):
    """SBT-2."""
    material = ours.material
    elsewhere = replace(ours, public=ours.scheme.load_public_key(material, key_id=material.key_id(b"elsewhere")))
    assert_unproven(elsewhere, ours.encrypt(b"payload"))
    assert_unproven(committee(seed=b"another"), ours.encrypt(b"payload"))


def test_ciphertext_is_refused_when_related_to_another(ours):
    """SBT-2. In an earlier batch ct + d * g1 would give away the victim's mask, up to e(T1, h_B)^d."""
    group, d = ours.backend.g1, 5
    victim = ours.encrypt(b"payload")
    point, body = group.decode(victim[:G1_BYTES]), victim[HEADER_BYTES:]
    proof = proofs.KnowledgeProof.decode(group, victim[G1_BYTES:HEADER_BYTES])
    shifted = group.add(point, group.multiply(group.generator, d))
    for related, factor, shift in ((shifted, 1, d), (group.negate(point), -1, 0), (group.add(point, point), 2, 0)):
        statement = simple_bte._statement(ours.public, point, body, AAD)
        c = statement.challenge(group, proof.commitment)
        response = (proof.response + c * shift) * factor % ORDER
        for z in (proof.response, response):
            changed = proofs.KnowledgeProof(commitment=proof.commitment, response=z)
            assert_unproven(ours, group.encode(related) + changed.encode(group) + body)


# --- many at once -----------------------------------------------------------------------------------------------------


@cache
def many() -> tuple[bytes, ...]:
    return tuple(committee().encrypt(b"payload %d" % i) for i in range(40))


def with_wrong_response(ciphertext: bytes, by: int) -> bytes:
    at = HEADER_BYTES - SCALAR_BYTES
    response = (int.from_bytes(ciphertext[at:HEADER_BYTES], "big") + by) % ORDER
    return ciphertext[:at] + response.to_bytes(SCALAR_BYTES, "big") + ciphertext[HEADER_BYTES:]


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 40])
def test_ciphertexts_are_verified_together_as_each_by_itself(ours, count):
    verified = ours.verify_all(many()[:count])
    assert [v.ciphertext_id for v in verified] == [ours.verified(c).ciphertext_id for c in many()[:count]]


def test_ciphertexts_are_checked_once_with_a_fresh_weight_for_each_when_all_hold(ours):
    drawn = []

    def random(size: int) -> bytes:
        drawn.append(system(size))
        return drawn[-1]

    candidates = [Candidate(ciphertext=c, aad=AAD, height=0) for c in many()]
    ours.scheme.verify_ciphertexts(ours.public, candidates, random=random)
    assert len(set(drawn)) == len(many()) == len(drawn)


@pytest.mark.parametrize("wrong", [(0,), (39,), (17, 18), (0, 20, 39), tuple(range(0, 40, 2)), tuple(range(40))])
def test_ciphertexts_that_are_wrong_are_found_and_no_other(ours, wrong):
    """SBT-2."""
    given = [with_wrong_response(c, 1) if at in wrong else c for at, c in enumerate(many())]
    found = ours.verify_all(given)
    assert tuple(at for at, v in enumerate(found) if isinstance(v, CiphertextRejected)) == wrong
    assert all(isinstance(v, VerifiedCiphertext) for at, v in enumerate(found) if at not in wrong)
    assert {v.rule for v in found if isinstance(v, CiphertextRejected)} == {"SBT-2"}


@pytest.mark.parametrize("count", [2, 40])
def test_ciphertexts_are_refused_when_their_errors_cancel(ours, count):
    """Without random weights the sum of both equations would hold."""
    given = list(many()[:count])
    given[0], given[-1] = with_wrong_response(given[0], 1), with_wrong_response(given[-1], -1)
    found = ours.verify_all(given)
    assert [at for at, v in enumerate(found) if isinstance(v, CiphertextRejected)] == [0, count - 1]


def test_ciphertexts_that_are_malformed_are_told_from_those_that_are_refused(ours):
    """SBT-1 and SBT-2."""
    good, refused = many()[0], with_wrong_response(many()[1], 1)
    malformed = BAD_POINTS["identity"] + good[G1_BYTES:]
    kinds = [type(v) for v in ours.verify_all([malformed, good, refused, b"", good])]
    assert kinds == [Malformed, VerifiedCiphertext, CiphertextRejected, Malformed, VerifiedCiphertext]


# --- SBT-3: batches ---------------------------------------------------------------------------------------------------


def test_batch_gets_no_share_when_empty_or_too_long(ours):
    """SBT-3."""
    entry = ours.verified(ours.encrypt(b"again"))
    share = ours.share(1, ours.batch_of(entry))
    for batch in (ours.batch_of(), ours.batch_of(*[entry] * 5)):
        for attempt in (
            lambda batch: ours.share(1, batch),
            lambda batch: ours.precomputed(batch),
            lambda batch: ours.verify_share(batch, share),
        ):
            with pytest.raises(Rejected) as caught:
                attempt(batch)
            assert caught.value.rule == "SBT-3"
            assert caught.value.member is None


def test_largest_batch_is_the_keys_limit(ours):
    assert ours.public.limits == Limits(batch=4)


def test_batch_of_another_key_is_the_callers_mistake(ours):
    batch = committee(seed=b"another").batch(b"a")
    with pytest.raises(ValueError, match="another key"):
        ours.share(1, batch)


# --- SBT-4 and SBT-5: shares ------------------------------------------------------------------------------------------


def assert_share_refused(members: Committee, batch: Batch, share: Share, rule: str) -> None:
    with pytest.raises(ShareRejected) as caught:
        members.verify_share(batch, share)
    assert (caught.value.rule, caught.value.member) == (rule, share.member)


@pytest.mark.parametrize("member", [0, 5, -1, 65536])
def test_share_is_refused_when_there_is_no_such_member(ours, member):
    """SBT-4."""
    batch = ours.batch(b"a")
    assert_share_refused(ours, batch, replace(ours.share(1, batch), member=member), "SBT-4")


@pytest.mark.parametrize("data", [b"", bytes(47), *BAD_POINTS.values()])
def test_share_is_refused_when_it_is_no_point(ours, data):
    """SBT-4."""
    assert_share_refused(ours, ours.batch(b"a"), Share(member=2, data=data), "SBT-4")


def test_share_is_refused_when_a_byte_follows(ours):
    """SBT-4."""
    batch = ours.batch(b"a")
    share = ours.share(1, batch)
    assert_share_refused(ours, batch, replace(share, data=share.data + b"\0"), "SBT-4")


def test_share_is_refused_when_it_is_another_members(ours):
    """SBT-5."""
    batch = ours.batch(b"a", b"b")
    assert_share_refused(ours, batch, replace(ours.share(1, batch), member=2), "SBT-5")


def test_share_is_refused_when_its_batch_is_another(ours):
    """SBT-5: other order, a part, one more, other contents."""
    batch = ours.batch(b"a", b"b", b"c")
    share = ours.share(1, batch)
    ours.verify_share(batch, share)
    first, second, third = batch.entries
    more = ours.verified(ours.encrypt(b"more"))
    for entries in ((second, first, third), (third, second, first), (first, second), (first, second, third, more)):
        assert_share_refused(ours, ours.batch_of(*entries), share, "SBT-5")
    assert_share_refused(ours, ours.batch_of(first, second, more), share, "SBT-5")


@pytest.mark.parametrize("length", [3 * SCALAR_BYTES, 4 * SCALAR_BYTES - 1, 4 * SCALAR_BYTES + 1])
def test_key_share_is_malformed_when_it_has_not_one_scalar_for_each_slot(ours, length):
    secret = (ours.shares[0].secret_bytes() + bytes(1))[:length]
    with pytest.raises(Malformed):
        ours.scheme.partial_decrypt(ours.public, KeyShare(1, secret), ours.batch(b"a"), random=system)


# --- SBT-6: batch keys ------------------------------------------------------------------------------------------------


def test_batch_key_is_the_same_whichever_shares_are_combined_in_which_order(ours):
    batch = ours.batch(*plaintexts(3))
    shares = ours.shared(batch)
    keys = [ours.combine(batch, chosen)[0] for chosen in combinations(shares, 3)]
    keys += [ours.combine(batch, order)[0] for order in permutations(shares[1:])]
    assert len({key.encode() for key in keys}) == 1


def wrong(members: Committee, share: Share) -> Share:
    """A point, but not the right one."""
    group = members.backend.g1
    return replace(share, data=group.encode(group.add(group.decode(share.data), group.generator)))


@pytest.mark.parametrize("bad", [(1,), (2,), (3,), (4,)])
def test_combine_names_the_member_when_its_share_is_wrong_and_others_suffice(ours, bad):
    """SBT-5. The last member's share is not needed, and so not looked at."""
    batch = ours.batch(b"a", b"b")
    shares = [wrong(ours, s) if s.member in bad else s for s in ours.shared(batch)]
    key, refused = ours.combine(batch, shares)
    assert refused == (bad if bad != (4,) else ())
    assert ours.open(batch, key) == (b"a", b"b")


def test_combine_names_a_member_whose_share_is_no_point(ours):
    """SBT-4."""
    batch = ours.batch(b"a")
    shares = ours.shared(batch)
    shares[0] = replace(shares[0], data=b"\0")
    key, refused = ours.combine(batch, shares)
    assert refused == (1,)
    assert ours.open(batch, key) == (b"a",)


def test_combine_accepts_wrong_shares_when_together_they_make_the_right_key(ours):
    """f(0) = 3 f(1) - 3 f(2) + f(3): two equal errors cancel. The key is checked, so nothing is lost."""
    batch = ours.batch(b"a")
    first, second, third, _ = ours.shared(batch)
    key, refused = ours.combine(batch, [wrong(ours, first), wrong(ours, second), third])
    assert refused == ()
    ours.verify_batch_key(batch, key)
    assert ours.open(batch, key) == (b"a",)


def test_combine_blames_the_member_when_its_wrong_share_is_needed(ours):
    """SBT-6."""
    batch = ours.batch(b"a")
    shares = ours.shared(batch)[:3]
    shares[1] = wrong(ours, shares[1])
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(batch, shares)
    assert caught.value.blamed == (2,)
    assert (caught.value.member, caught.value.rule) == (2, "SBT-6")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_combine_refuses_when_shares_are_too_few(ours, count):
    """SBT-6."""
    batch = ours.batch(b"a")
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(batch, ours.shared(batch)[:count])
    assert caught.value.blamed == ()
    assert caught.value.member is None


def test_combine_blames_a_wrong_share_even_when_shares_are_too_few(ours):
    batch = ours.batch(b"a")
    shares = ours.shared(batch)[:2]
    with pytest.raises(NotEnoughShares) as caught:
        ours.combine(batch, [shares[0], wrong(ours, shares[1])])
    assert caught.value.blamed == (2,)


def test_combine_refuses_when_one_share_is_repeated(ours):
    batch = ours.batch(b"a")
    shares = [ours.share(2, batch), ours.share(2, batch), ours.share(1, batch), ours.share(2, batch)]
    with pytest.raises(NotEnoughShares):
        ours.combine(batch, shares)


def test_combine_ignores_repetitions_when_others_suffice(ours):
    batch = ours.batch(b"a")
    shares = ours.shared(batch)
    key, refused = ours.combine(batch, [shares[1], shares[1], *shares[:3]])
    assert refused == ()
    assert ours.open(batch, key) == (b"a",)


def test_combine_takes_a_members_second_share_when_the_first_was_wrong(ours):
    batch = ours.batch(b"a")
    shares = ours.shared(batch)[:3]
    key, refused = ours.combine(batch, [wrong(ours, shares[0]), *shares])
    assert refused == (1,)
    assert ours.open(batch, key) == (b"a",)


def test_batch_key_is_refused_when_it_is_another_batchs(ours):
    """SBT-6."""
    batch = ours.batch(b"a", b"b")
    key, _ = ours.combine(batch, ours.shared(batch))
    first, second = batch.entries
    for entries in ((second, first), (first,), (first, second, first)):
        with pytest.raises(Rejected) as caught:
            ours.verify_batch_key(ours.batch_of(*entries), key)
        assert caught.value.rule == "SBT-6"


def test_batch_key_is_refused_when_a_proof_comes_with_it(ours):
    """SBT-6: one encoding of one key."""
    batch = ours.batch(b"a")
    key, _ = ours.combine(batch, ours.shared(batch))
    with pytest.raises(Rejected) as caught:
        ours.verify_batch_key(batch, replace(key, proof=b"\0"))
    assert caught.value.rule == "SBT-6"


@pytest.mark.parametrize("value", [b"", *BAD_POINTS.values()])
def test_batch_key_is_malformed_when_it_is_no_point(ours, value):
    batch = ours.batch(b"a")
    with pytest.raises(Malformed):
        ours.verify_batch_key(batch, BatchKey(value=value, proof=b""))
    with pytest.raises(Malformed):
        ours.open(batch, BatchKey(value=value, proof=b""))


# --- SBT-7: keys ------------------------------------------------------------------------------------------------------


def assert_key_refused(members: Committee, why: str, **changes: object) -> None:
    with pytest.raises(Rejected, match=why) as caught:
        members.scheme.load_public_key(replace(members.material, **changes), key_id=members.public.key_id)
    assert caught.value.rule == "SBT-7"


def test_key_is_refused_when_it_is_another_schemes(ours):
    """SBT-7."""
    assert_key_refused(ours, "not a simple-bte key", scheme=1)


def test_key_is_refused_when_its_parameters_have_the_wrong_size(ours):
    """SBT-7."""
    parameters = ours.material.parameters
    for changed in (
        parameters + b"\0",
        parameters[:-1],
        u32(0) + parameters[4:],
        u32(3) + parameters[4:],
        u32(2**32 - 1) + parameters[4:],
        parameters[:4] + bytes(G2_BYTES) + parameters[4:],
        parameters[: 4 + 2 * G1_BYTES] + bytes(G2_BYTES) + parameters[4 + 2 * G1_BYTES :],
        u32(0),
    ):
        assert_key_refused(ours, "not parameters", parameters=changed)
    assert_key_refused(ours, "not parameters", verification_keys=ours.material.verification_keys[:3])


def test_key_is_malformed_when_there_are_no_parameters(ours):
    with pytest.raises(Malformed):
        ours.scheme.load_public_key(replace(ours.material, parameters=b""), key_id=ours.public.key_id)


def test_key_is_refused_when_its_encryption_key_is_not_in_the_parameters(ours):
    """SBT-7."""
    own, other = ours.material.encryption_key, committee(seed=b"another").material.encryption_key
    for changed in (other, own[:G1_BYTES] + other[G1_BYTES:], other[:G1_BYTES] + own[G1_BYTES:]):
        assert_key_refused(ours, "encryption key", encryption_key=changed)


@pytest.mark.parametrize("point", BAD_POINTS.values())
def test_key_is_malformed_when_its_encryption_key_is_no_point(ours, point):
    material = ours.material
    changed = replace(
        material,
        encryption_key=point + material.encryption_key[G1_BYTES:],
        parameters=u32(4) + point + material.parameters[4 + G1_BYTES :],
    )
    with pytest.raises(Malformed):
        ours.scheme.load_public_key(changed, key_id=ours.public.key_id)


def test_key_is_malformed_when_its_encryption_key_has_another_length(ours):
    for changed in (ours.material.encryption_key + b"\0", ours.material.encryption_key[:-1], b""):
        with pytest.raises(Malformed):
            ours.scheme.load_public_key(replace(ours.material, encryption_key=changed), key_id=ours.public.key_id)


def test_key_is_refused_when_a_verification_key_is_not_in_the_parameters(ours):
    """SBT-7."""
    first, second, *others = ours.material.verification_keys
    assert_key_refused(ours, "member 1", verification_keys=(second, first, *others))


def with_points(members: Committee, points: dict[int, bytes]) -> Committee:
    """Parameters with other points of G2 in some places, and the same encryption key."""
    parameters = members.material.parameters
    start = 4 + 2 * G1_BYTES
    for at, point in points.items():
        parameters = parameters[: start + at * G2_BYTES] + point + parameters[start + (at + 1) * G2_BYTES :]
    material = replace(members.material, parameters=parameters)
    return replace(
        members,
        material=material,
        public=members.scheme.load_public_key(material, key_id=members.public.key_id),
    )


def test_points_of_the_parameters_are_decoded_when_used_and_no_sooner(ours):
    """A client needs none of them; whoever does gets no point unchecked."""
    b = ours.public.batch
    broken = with_points(ours, {0: bytes(G2_BYTES), 2 * b: b"\xc0" + bytes(G2_BYTES - 1)})
    batch = broken.batch(b"a", b"b")
    assert len(broken.shared(batch)) == 4
    with pytest.raises(Malformed):
        broken.precomputed(batch)
    with pytest.raises(Malformed):
        broken.verify_share(batch, broken.share(1, batch))
    broken.verify_share(batch, broken.share(2, batch))
    with pytest.raises(Malformed):
        broken.scheme.verify_parameters(broken.public)


def test_parameters_are_verified_when_honest_and_refused_when_two_powers_are_swapped(ours):
    ours.scheme.verify_parameters(ours.public)
    second, third = (ours.public.encoded_power(i) for i in (2, 3))
    swapped = with_points(ours, {1: third, 2: second})
    with pytest.raises(Rejected) as caught:
        swapped.scheme.verify_parameters(swapped.public)
    assert caught.value.rule == "SBT-22"


def test_combine_refuses_when_valid_shares_do_not_make_the_key_the_parameters_promise(ours):
    """SBT-6: verification keys of one key beside the powers of another, which verify_parameters would find."""
    second, third = (ours.public.encoded_power(i) for i in (2, 3))
    inconsistent = with_points(ours, {1: third, 2: second})
    batch = inconsistent.batch(b"a", b"b")
    shares = inconsistent.shared(batch)
    for share in shares:
        inconsistent.verify_share(batch, share)
    with pytest.raises(Rejected, match="parameters") as caught:
        inconsistent.combine(batch, shares)
    assert caught.value.rule == "SBT-6"


def test_key_holds_no_point_that_opens_everything(ours):
    """[tau^(B+1)]_2 would open every ciphertext: e(ct, h_(B+1)) is its mask."""
    b, backend = ours.public.batch, ours.backend
    hole = backend.g2.multiply(backend.g2.generator, pow(tau_of(ours), b + 1, ORDER))
    assert backend.g2.encode(hole) not in ours.material.encode()
    ciphertext = ours.encrypt(b"payload")
    mask = backend.gt_encode(backend.pairing(ours.verified(ciphertext).parsed.point, hole))
    assert ours.scheme._open(ours.public, ours.verified(ciphertext), mask) == b"payload"


def test_each_member_holds_shares_of_the_powers_of_one_secret(ours):
    powers = [recover({m: secrets(ours, m)[i] for m in (1, 3, 4)}) for i in range(4)]
    assert powers == [pow(powers[0], i, ORDER) for i in range(1, 5)]


def test_deal_is_refused_when_no_largest_batch_is_given(ours):
    for limits in (Limits(), Limits(batch=0)):
        with pytest.raises(ValueError):
            ours.scheme.deal(n=1, t=1, limits=limits, random=deterministic(b""))


# --- the ceremony -----------------------------------------------------------------------------------------------------


class Identity:
    def __init__(self, member: int) -> None:
        self.key = bytes([member]) * 32

    def sign(self, digest: bytes) -> bytes:
        return hmac.digest(self.key, digest, sha512) + b"\0"


class Registry:
    def verify(self, member: int, digest: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(Identity(member).sign(digest), signature)


def ceremony(scheme: SimpleBte, n: int, t: int, limits: Limits) -> list[KeyMaterial | None]:
    parties = {
        index: scheme.key_generation(
            Seat(
                index=index,
                n=n,
                t=t,
                network=NETWORK,
                ceremony_id=bytes(32),
                signer=Identity(index),
                peers=Registry(),
                random=deterministic(bytes([index])),
                round_seconds=10,
                limits=limits,
            )
        )
        for index in range(1, n + 1)
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
    return [party.result for party in parties.values()]


def test_ceremony_makes_a_key_that_opens(ours):
    keys = [key for key in ceremony(ours.scheme, 3, 2, Limits(batch=2)) if key is not None]
    assert len(keys) == 3
    assert len({key.public for key in keys}) == 1
    material = keys[0].public
    public = ours.scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    ours.scheme.verify_parameters(public)
    shares = tuple(key.share for key in keys)
    lives(replace(ours, material=material, public=public, shares=shares), 2)


def test_setup_privacy_is_half_the_members_and_never_more_than_the_threshold(ours):
    assert [ours.scheme.setup_privacy(n, t) for n, t in ((4, 3), (7, 5), (7, 2), (2, 2))] == [2, 4, 2, 1]
