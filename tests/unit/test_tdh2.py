"""TDH2's own rules, TDH-1 to TDH-6; what every scheme has to do is in test_schemes.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
from py_ecc.optimized_bls12_381 import field_modulus

from threshold import proofs, sharing
from threshold.curve import DEFAULT_BACKEND, G1_BYTES, ORDER, SCALAR_BYTES, Group, load_backend
from threshold.encoding import Reader, counted, u16
from threshold.entropy import deterministic, scalar
from threshold.errors import CiphertextRejected, Malformed, Rejected, ShareRejected
from threshold.hashing import Tag, challenge
from threshold.keys import KeyShare, PublicMaterial
from threshold.schemes import tdh2
from threshold.schemes.base import Batch, BatchKey, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.registry import load_scheme
from threshold.symmetric import seal

NETWORK = b"network under test"
AAD = b"sender, nonce and limits"


@dataclass(frozen=True, kw_only=True)
class Committee:
    """A scheme with a key and all its shares."""

    scheme: Any
    group: Group
    material: PublicMaterial
    public: Any
    shares: tuple[KeyShare, ...]

    @property
    def t(self) -> int:
        return self.material.threshold

    def encrypt(self, plaintext: bytes, seed: bytes = b"", aad: bytes = AAD) -> bytes:
        random = deterministic(b"encrypt" + seed + plaintext)
        return self.scheme.encrypt(self.public, plaintext, aad=aad, height=0, random=random)

    def verified(self, ciphertext: bytes, aad: bytes = AAD) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(self.public, ciphertext, aad=aad, height=0)

    def batch(self, *plaintexts: bytes, height: int = 7, round_: int = 0) -> Batch:
        entries = tuple(self.verified(self.encrypt(p, bytes([i]))) for i, p in enumerate(plaintexts))
        return Batch(key_id=self.public.key_id, height=height, round=round_, entries=entries)

    def share(self, member: int, batch: Batch, seed: bytes = b"") -> Share:
        random = deterministic(b"share" + seed + bytes([member]))
        return self.scheme.partial_decrypt(self.public, self.shares[member - 1], batch, random=random)

    def shared(self, batch: Batch) -> list[Share]:
        return [self.share(key_share.member, batch) for key_share in self.shares]

    def combine(self, batch: Batch, shares: list[Share]) -> tuple[BatchKey, tuple[int, ...]]:
        return self.scheme.combine(self.public, batch, shares, None)

    def verify_batch_key(self, batch: Batch, key: BatchKey) -> None:
        self.scheme.verify_batch_key(self.public, batch, key, None)

    def open(self, batch: Batch, key: BatchKey) -> tuple[bytes | Undecryptable, ...]:
        return self.scheme.decrypt(self.public, batch, key, None)


@cache
def committee(name: str, n: int, t: int, backend: str = DEFAULT_BACKEND, seed: bytes = b"key") -> Committee:
    scheme, group = load_scheme(name, backend), load_backend(backend).g1
    coefficients = sharing.random_polynomial(t, deterministic(seed))
    secrets = sharing.deal(coefficients, n)

    def image(secret: int) -> bytes:
        return group.encode(group.multiply(group.generator, secret))

    material = PublicMaterial(
        scheme=scheme.info.number,
        threshold=t,
        encryption_key=image(coefficients[0]),
        verification_keys=tuple(map(image, secrets.values())),
    )
    return Committee(
        scheme=scheme,
        group=group,
        material=material,
        public=scheme.load_public_key(material, key_id=material.key_id(NETWORK)),
        shares=tuple(KeyShare(j, secret.to_bytes(SCALAR_BYTES, "big")) for j, secret in secrets.items()),
    )


@pytest.fixture
def ours() -> Committee:
    """3 of 4 members of TDH2."""
    return committee("tdh2", 4, 3)


def broken(share: Share) -> Share:
    """Wrong for every scheme: one byte more where nothing may stand, or a changed response."""
    data = share.data[:-1] + bytes([share.data[-1] ^ 1]) if share.data else b"\0"
    return replace(share, data=data)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_batch_of_any_size_is_opened(ours, size):
    batch = ours.batch(*(b"x" * i for i in range(size)))
    key, _ = ours.combine(batch, ours.shared(batch))
    ours.verify_batch_key(batch, key)
    assert ours.open(batch, key) == tuple(b"x" * i for i in range(size))


def test_share_is_refused_when_made_for_another_height_round_or_order(ours):
    """The proof names the batch with all it lists."""
    batch = ours.batch(b"a", b"b")
    share = ours.share(1, batch)
    for other in (replace(batch, height=8), replace(batch, round=1), replace(batch, entries=batch.entries[::-1])):
        with pytest.raises(ShareRejected):
            ours.scheme.verify_share(ours.public, other, share)


def test_batch_key_is_refused_at_another_height_or_round(ours):
    batch = ours.batch(b"a")
    key = ours.combine(batch, ours.shared(batch))[0]
    for other in (replace(batch, height=8), replace(batch, round=3)):
        with pytest.raises(Rejected):
            ours.verify_batch_key(other, key)


def header(u: bytes, ubar: bytes, ciphertext: bytes) -> bytes:
    return u + ubar + ciphertext[2 * G1_BYTES :]


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


@pytest.mark.parametrize("at", [0, 1], ids=["u", "ubar"])
@pytest.mark.parametrize("fault", BAD_POINTS)
def test_ciphertext_is_malformed_when_a_point_is_bad(ours, fault, at):
    """TDH-1."""
    ciphertext = ours.encrypt(b"payload")
    points = [ciphertext[:G1_BYTES], ciphertext[G1_BYTES : 2 * G1_BYTES]]
    points[at] = BAD_POINTS[fault]
    with pytest.raises(Malformed):
        ours.verified(header(*points, ciphertext))


def test_ciphertext_is_malformed_when_the_response_is_not_reduced(ours):
    """The same residue in other bytes would be a second ciphertext with the same contents."""
    for attempt in range(200):
        ciphertext = ours.encrypt(b"payload", bytes([attempt]))
        at = tdh2.HEADER_BYTES - SCALAR_BYTES
        response = int.from_bytes(ciphertext[at : at + SCALAR_BYTES], "big")
        if response + ORDER < 1 << 256:
            break
    changed = ciphertext[:at] + (response + ORDER).to_bytes(SCALAR_BYTES, "big") + ciphertext[at + SCALAR_BYTES :]
    with pytest.raises(Malformed, match="scalar"):
        ours.verified(changed)


def test_ciphertext_is_refused_when_the_body_is_another_ones(ours):
    """TDH-2: a body under a foreign header."""
    first, second = ours.encrypt(b"payload"), ours.encrypt(b"palaver")
    for swapped in (
        first[: tdh2.HEADER_BYTES] + second[tdh2.HEADER_BYTES :],
        first[:G1_BYTES] + second[G1_BYTES:],
        first[: 2 * G1_BYTES] + second[2 * G1_BYTES :],
    ):
        with pytest.raises(CiphertextRejected) as caught:
            ours.verified(swapped)
        assert caught.value.rule == "TDH-2"


def test_ciphertext_is_refused_when_both_points_are_negated_or_scaled(ours):
    """ElGamal's malleability: a related ciphertext would open the original."""
    ciphertext, group = ours.encrypt(b"payload"), ours.group
    u, ubar = (group.decode(ciphertext[at : at + G1_BYTES]) for at in (0, G1_BYTES))
    for factor in (-1, 2):
        changed = header(*(group.encode(group.multiply(p, factor)) for p in (u, ubar)), ciphertext)
        with pytest.raises(CiphertextRejected):
            ours.verified(changed)


def forged(members: Committee, secret: int, exponents: tuple[int, int], body: bytes) -> bytes:
    """A ciphertext with u and ubar of these exponents, and the proof that an owner of `secret` can make."""
    group, key = members.group, members.public
    gbar = key.times_gbar(1)
    s = scalar(deterministic(b"forged"), ORDER)
    u, ubar = group.multiply(group.generator, exponents[0]), group.multiply(gbar, exponents[1])
    points = [group.encode(p) for p in (u, ubar, group.multiply(group.generator, s), group.multiply(gbar, s))]
    e = challenge(Tag.TDH2_ENCRYPT, key.key_id, key.point_bytes, AAD, *points, body)
    f = (s + secret * e) % ORDER
    return points[0] + points[1] + e.to_bytes(16, "big") + f.to_bytes(32, "big") + body


def test_ciphertext_is_refused_when_u_and_ubar_have_different_exponents(ours):
    body = seal(bytes(32), b"x", b"")
    ours.verified(forged(ours, 5, (5, 5), body))
    for exponents in ((5, 6), (6, 5)):
        with pytest.raises(CiphertextRejected):
            ours.verified(forged(ours, 5, exponents, body))


def test_entry_is_undecryptable_when_its_body_was_sealed_under_another_key(ours):
    """A valid proof says nothing about the body's key. The neighbours are opened all the same."""
    entry = ours.verified(forged(ours, 5, (5, 5), seal(bytes(32), b"never seen", AAD)))
    first, last = (ours.verified(ours.encrypt(p)) for p in (b"first", b"last"))
    batch = Batch(key_id=ours.public.key_id, height=7, round=0, entries=(first, entry, last))
    key, _ = ours.combine(batch, ours.shared(batch))
    ours.verify_batch_key(batch, key)
    opened = ours.open(batch, key)
    assert (opened[0], opened[2]) == (b"first", b"last")
    assert isinstance(opened[1], Undecryptable)
    assert opened[1].reason


def test_batch_opens_the_same_ciphertext_twice(ours):
    entry = ours.verified(ours.encrypt(b"again"))
    batch = Batch(key_id=ours.public.key_id, height=7, round=0, entries=(entry, entry))
    key, _ = ours.combine(batch, ours.shared(batch))
    ours.verify_batch_key(batch, key)
    assert ours.open(batch, key) == (b"again", b"again")


def test_share_is_refused_when_its_member_is_zero_and_a_real_member_proves_it(ours):
    """TDH-3. Index 0 is where the key itself lies; a list's index -1 would be the last member's verification key."""
    batch, secret = ours.batch(b"a"), int.from_bytes(ours.shares[-1].secret_bytes(), "big")
    images = tuple(ours.group.multiply(entry.parsed.u, secret) for entry in batch.entries)
    data = b"".join(map(ours.group.encode, images))
    statement = ours.scheme._statement(ours.public, batch, 0, images, data)
    proof = proofs.prove_equality(ours.group, statement, secret, deterministic(b"zero"))
    with pytest.raises(ShareRejected) as caught:
        ours.scheme.verify_share(ours.public, batch, Share(member=0, data=data + proof.encode()))
    assert (caught.value.rule, caught.value.member) == ("TDH-3", 0)


def test_combine_looks_at_no_second_share_of_an_accepted_member(ours):
    batch = ours.batch(b"a")
    first, second, third, _ = ours.shared(batch)
    _, refused = ours.combine(batch, [first, broken(first), second, third])
    assert refused == ()


@pytest.mark.parametrize("fault", BAD_POINTS)
def test_share_is_refused_when_a_point_is_bad(ours, fault):
    """TDH-3."""
    batch = ours.batch(b"a", b"b")
    share = ours.share(2, batch)
    for at in (0, G1_BYTES):
        data = share.data[:at] + BAD_POINTS[fault] + share.data[at + G1_BYTES :]
        with pytest.raises(ShareRejected) as caught:
            ours.scheme.verify_share(ours.public, batch, replace(share, data=data))
        assert (caught.value.rule, caught.value.member) == ("TDH-3", 2)


def test_share_is_refused_when_its_proof_is_not_reduced(ours):
    """TDH-3."""
    batch = ours.batch(b"a")
    share = ours.share(2, batch)
    with pytest.raises(ShareRejected) as caught:
        ours.scheme.verify_share(ours.public, batch, replace(share, data=share.data[:-32] + b"\xff" * 32))
    assert caught.value.rule == "TDH-3"


def test_share_is_refused_when_its_points_are_exchanged(ours):
    """TDH-4."""
    batch = ours.batch(b"a", b"b")
    share = ours.share(2, batch)
    data = share.data[G1_BYTES : 2 * G1_BYTES] + share.data[:G1_BYTES] + share.data[2 * G1_BYTES :]
    with pytest.raises(ShareRejected) as caught:
        ours.scheme.verify_share(ours.public, batch, replace(share, data=data))
    assert caught.value.rule == "TDH-4"


def cheating(members: Committee, member: int, batch: Batch, errors: tuple[int, ...]) -> Share:
    """A share whose points are off by errors[i] * generator, with the best proof its member can make."""
    group, secret = members.group, int.from_bytes(members.shares[member - 1].secret_bytes(), "big")
    images = tuple(
        group.add(group.multiply(entry.parsed.u, secret), group.multiply(group.generator, error))
        for entry, error in zip(batch.entries, errors, strict=True)
    )
    data = b"".join(map(group.encode, images))
    statement = members.scheme._statement(members.public, batch, member, images, data)
    proof = proofs.prove_equality(group, statement, secret, deterministic(b"cheat"))
    return Share(member=member, data=data + proof.encode())


@pytest.mark.parametrize("errors", [(1, 0), (0, 1), (1, -1), (3, 3)])
def test_share_is_refused_when_its_points_are_off_and_the_proof_is_made_for_them(ours, errors):
    """TDH-4, also when the errors cancel in a plain sum."""
    batch = ours.batch(b"a", b"b")
    ours.scheme.verify_share(ours.public, batch, cheating(ours, 2, batch, (0, 0)))
    with pytest.raises(ShareRejected) as caught:
        ours.scheme.verify_share(ours.public, batch, cheating(ours, 2, batch, errors))
    assert (caught.value.rule, caught.value.member) == ("TDH-4", 2)


def proof_of(*shares: Share) -> bytes:
    return counted([u16(share.member) + share.data for share in shares])


def test_batch_key_is_refused_when_its_shares_are_not_exactly_the_threshold_in_order(ours):
    """TDH-5."""
    batch = ours.batch(b"a")
    first, second, third, fourth = ours.shared(batch)
    key, _ = ours.combine(batch, [first, second, third])
    assert key.proof == proof_of(first, second, third)
    ours.verify_batch_key(batch, replace(key, proof=proof_of(first, third, fourth)))
    for shares in (
        (),
        (first, second),
        (first, second, third, fourth),
        (first, second, second),
        (second, first, third),
    ):
        with pytest.raises(Rejected) as caught:
            ours.verify_batch_key(batch, replace(key, proof=proof_of(*shares)))
        assert caught.value.rule == "TDH-5"


def test_batch_key_is_refused_when_its_value_is_not_what_the_shares_give(ours):
    """TDH-5."""
    batch = ours.batch(b"a", b"b")
    key, _ = ours.combine(batch, ours.shared(batch))
    half = len(key.value) // 2
    for value in (b"", key.value[:half], key.value[half:] + key.value[:half], key.value + b"\0"):
        with pytest.raises(Rejected) as caught:
            ours.verify_batch_key(batch, replace(key, value=value))
        assert caught.value.rule == "TDH-5"


@pytest.mark.parametrize("proof", [b"", b"\0\0\0\1", counted([b""] * 3), counted([b"\1", b"\0\2", b"\0\3"])])
def test_batch_key_is_refused_when_its_proof_is_too_short(ours, proof):
    batch = ours.batch(b"a")
    key, _ = ours.combine(batch, ours.shared(batch))
    with pytest.raises((Malformed, Rejected)):
        ours.verify_batch_key(batch, replace(key, proof=proof))


def test_batch_key_is_malformed_when_bytes_follow_its_proof(ours):
    batch = ours.batch(b"a")
    key, _ = ours.combine(batch, ours.shared(batch))
    with pytest.raises(Malformed):
        ours.verify_batch_key(batch, replace(key, proof=key.proof + b"\0"))


def test_batch_key_holds_a_wrong_share_to_its_member(ours):
    batch = ours.batch(b"a", b"b")
    shares = [ours.share(1, batch), ours.share(2, batch), cheating(ours, 3, batch, (1, -1))]
    key, _ = ours.combine(batch, ours.shared(batch))
    with pytest.raises(ShareRejected) as caught:
        ours.verify_batch_key(batch, replace(key, proof=proof_of(*shares)))
    assert caught.value.member == 3


@pytest.mark.parametrize("size", [0, 47, 49, 96])
def test_decrypt_is_malformed_when_the_key_has_another_size(ours, size):
    with pytest.raises(Malformed):
        ours.open(ours.batch(b"a"), BatchKey(value=bytes(size), proof=b""))


def test_decrypt_gives_nothing_when_the_key_is_another_batchs(ours):
    batch, other = ours.batch(b"a"), ours.batch(b"b")
    key, _ = ours.combine(other, ours.shared(other))
    (opened,) = ours.open(batch, key)
    assert isinstance(opened, Undecryptable)


def moved(members: Committee, at: int) -> PublicMaterial:
    """The key material with one point replaced by another good point: the encryption key, or a member's."""
    other = members.group.encode(members.group.multiply(members.group.generator, 12345))
    if at == 0:
        return replace(members.material, encryption_key=other)
    keys = list(members.material.verification_keys)
    keys[at - 1] = other
    return replace(members.material, verification_keys=tuple(keys))


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("t", [1, 3, 4])
def test_public_key_is_refused_when_a_point_is_off_the_polynomial(t, at):
    """TDH-6. With t of 4 equal to 4 every verification key lies on some polynomial, but not with the key."""
    members = committee("tdh2", 4, t)
    with pytest.raises(Rejected) as caught:
        members.scheme.load_public_key(moved(members, at), key_id=bytes(32))
    assert caught.value.rule == "TDH-6"


@pytest.mark.parametrize("threshold", [2, 1])
def test_public_key_is_refused_when_the_threshold_is_understated(ours, threshold):
    """TDH-6: the points of degree 2 are on no polynomial of lower degree."""
    with pytest.raises(Rejected) as caught:
        ours.scheme.load_public_key(replace(ours.material, threshold=threshold), key_id=bytes(32))
    assert caught.value.rule == "TDH-6"


def test_public_key_is_refused_when_members_are_exchanged(ours):
    first, second, *rest = ours.material.verification_keys
    with pytest.raises(Rejected):
        ours.scheme.load_public_key(replace(ours.material, verification_keys=(second, first, *rest)), key_id=bytes(32))


@pytest.mark.parametrize("fault", BAD_POINTS)
def test_public_key_is_malformed_when_a_point_is_bad(ours, fault):
    """TDH-6."""
    keys = ours.material.verification_keys
    for material in (
        replace(ours.material, encryption_key=BAD_POINTS[fault]),
        replace(ours.material, verification_keys=(*keys[:3], BAD_POINTS[fault])),
    ):
        with pytest.raises(Malformed):
            ours.scheme.load_public_key(material, key_id=bytes(32))


def test_public_key_is_refused_when_it_carries_parameters(ours):
    with pytest.raises(Rejected) as caught:
        ours.scheme.load_public_key(replace(ours.material, parameters=b"x"), key_id=bytes(32))
    assert caught.value.rule == "TDH-6"


def test_second_generator_depends_on_the_key_name(ours):
    other = ours.scheme.load_public_key(ours.material, key_id=bytes(32))
    assert not ours.group.equal(other.times_gbar(1), ours.public.times_gbar(1))


def test_share_carries_one_point_for_each_entry_and_one_proof(ours):
    batch = ours.batch(b"a", b"b", b"c")
    share = ours.share(2, batch)
    secret = int.from_bytes(ours.shares[1].secret_bytes(), "big")
    for at, entry in enumerate(batch.entries):
        expected = ours.group.encode(ours.group.multiply(entry.parsed.u, secret))
        assert share.data[at * G1_BYTES : (at + 1) * G1_BYTES] == expected
    reader = Reader(share.data[3 * G1_BYTES :], "a proof")
    proofs.EqualityProof.read(reader)
    reader.end()


# --- clear ------------------------------------------------------------------------------------------------------------


def test_clear_ciphertext_is_the_plaintext():
    members = committee("clear", 4, 3)
    assert members.encrypt(b"anyone can read this") == b"anyone can read this"
    assert not members.scheme.info.hides


def test_clear_batch_key_is_refused_when_it_is_not_empty():
    members = committee("clear", 4, 3)
    for key in (BatchKey(value=b"x", proof=b""), BatchKey(value=b"", proof=b"x")):
        with pytest.raises(Rejected):
            members.verify_batch_key(members.batch(b"a"), key)
