"""Attacks on weakened copies of simple-bte, which they break, and on ours, which refuses.

Each weak copy differs from ours by one omission that has been seen in the wild. Whoever removes the check from ours
makes the second half of a test fail.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from py_ecc.bls.point_compression import decompress_G1
from py_ecc.optimized_bls12_381 import FQ, Z1, add, b, field_modulus, is_inf, multiply

from encmempool.identity import Identity
from encmempool.network.ceremony import generate_keys
from threshold import proofs, sharing
from threshold.curve import G1, G1_BYTES, G2, G2_BYTES, GT, INSTALLED, ORDER, SCALAR_BYTES, load_backend
from threshold.entropy import Random, deterministic, system
from threshold.errors import CiphertextRejected, Malformed, NotEnoughShares, Rejected, ShareRejected
from threshold.hashing import Tag, hash_to_scalar
from threshold.keys import KeyMaterial, KeyShare, Limits, PublicMaterial
from threshold.schemes import simple_bte
from threshold.schemes.base import Batch, BatchKey, Candidate, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.simple_bte import HEADER_BYTES, SimpleBte
from threshold.setup import punctured

N, T, B = 4, 3, 4
NETWORK = b"network"
VICTIM, ATTACKER = b"sender: victim", b"sender: attacker"
SECRET_ORDER = b"buy 40 ETH at market"
G1_COFACTOR = 0x396C8C005555E1568C00AAAB0000AAAB
IDENTITY = b"\xc0" + bytes(G1_BYTES - 1)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A committee and its users. Every instance has the same key, whatever the scheme's weaknesses."""

    scheme: Any
    material: PublicMaterial
    public: Any
    shares: tuple[KeyShare, ...]

    def encrypt(self, plaintext: bytes, aad: bytes) -> bytes:
        return self.scheme.encrypt(self.public, plaintext, aad=aad, height=0, random=deterministic(aad + plaintext))

    def verified(self, ciphertext: bytes, aad: bytes) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(self.public, ciphertext, aad=aad, height=0)

    def batch(self, *entries: VerifiedCiphertext) -> Batch:
        return Batch(key_id=self.public.key_id, height=1, round=0, entries=entries)

    def share(self, member: int, batch: Batch) -> Share:
        return self.scheme.partial_decrypt(self.public, self.shares[member - 1], batch, random=system)

    def opened(self, batch: Batch) -> BatchKey:
        shares = [self.share(member, batch) for member in range(1, self.public.threshold + 1)]
        precomputed = self.scheme.precompute(self.public, batch)
        key, refused = self.scheme.combine(self.public, batch, shares, precomputed)
        assert refused == ()
        self.scheme.verify_batch_key(self.public, batch, key, precomputed)
        return key

    def read(self, batch: Batch, key: BatchKey) -> tuple[bytes | Undecryptable, ...]:
        """What somebody with this batch key reads in these entries, whether it was made for them or not."""
        return self.scheme.decrypt(self.public, batch, key, self.scheme.precompute(self.public, batch))


def network(scheme: SimpleBte, n: int = N, t: int = T, batch: int = B) -> Network:
    material, shares = scheme.deal(n=n, t=t, limits=Limits(batch=batch), random=deterministic(b"key"))
    public = scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    return Network(scheme=scheme, material=material, public=public, shares=shares)


@pytest.fixture
def ours() -> Network:
    """3 of 4 members, four ciphertexts in a batch."""
    return network(SimpleBte(load_backend()))


def test_honest_batch_opens_only_what_it_lists(ours):
    """The attacks below would mean nothing if any batch key read any entry."""
    victim = ours.verified(ours.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    other = ours.verified(ours.encrypt(b"mine", ATTACKER), ATTACKER)
    assert ours.read(ours.batch(victim), ours.opened(ours.batch(victim))) == (SECRET_ORDER,)
    assert isinstance(ours.read(ours.batch(victim), ours.opened(ours.batch(other)))[0], Undecryptable)


# --- related ciphertexts ----------------------------------------------------------------------------------------------


@pytest.fixture
def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weak copy takes every point."""
    monkeypatch.setattr(simple_bte, "verify_knowledge", lambda *_: True)


class WithReencryption(SimpleBte):
    """Fujisaki and Okamoto's transform in place of a proof: k is a hash of what is encrypted, and who decrypts
    encrypts again."""

    def encrypt(self, public_key: Any, plaintext: bytes, *, aad: bytes, height: int, random: Random) -> bytes:
        seeded = random(16) + plaintext
        again = deterministic(_exponent(public_key, seeded, aad))
        return super().encrypt(public_key, seeded, aad=aad, height=height, random=again)

    def _open(self, public_key: Any, entry: VerifiedCiphertext, mask: bytes) -> bytes | Undecryptable:
        seeded = super()._open(public_key, entry, mask)
        if isinstance(seeded, Undecryptable):
            return seeded
        again = deterministic(_exponent(public_key, seeded, entry.aad))
        same = super().encrypt(public_key, seeded, aad=entry.aad, height=0, random=again)
        return seeded[16:] if same == entry.ciphertext else Undecryptable(reason="not what its contents encrypt to")


def _exponent(public_key: Any, seeded: bytes, aad: bytes) -> bytes:
    return hash_to_scalar(Tag.SBTE_KEM, public_key.key_id, seeded, aad, modulus=ORDER).to_bytes(SCALAR_BYTES, "big")


SHIFT = 5


def related(members: Network, victim: bytes, response: int = 1) -> bytes:
    """ct + d * g1 with any body, and with the victim's commitment under a response of one's own."""
    group = members.public.backend.g1
    shifted = group.add(group.decode(victim[:G1_BYTES]), group.multiply(group.generator, SHIFT))
    return (
        group.encode(shifted)
        + victim[G1_BYTES : 2 * G1_BYTES]
        + response.to_bytes(SCALAR_BYTES, "big")
        + bytes(len(victim) - HEADER_BYTES)
    )


def mask_of_first(members: Network, batch: Batch, key: BatchKey) -> GT:
    """As everybody computes it from the batch key."""
    backend = members.public.backend
    pairing = backend.pairing(backend.g1.decode(key.value), members.public.powers([members.public.batch])[0])
    return backend.gt_multiply(pairing, members.scheme.precompute(members.public, batch).inverses[0])


def shifted_back(members: Network, mask: GT) -> GT:
    """Without d times the public e(T1, h_B), it is the victim's."""
    backend, public = members.public.backend, members.public
    return backend.gt_multiply(mask, backend.gt_power(backend.pairing(public.t1, public.top), -SHIFT % ORDER))


@pytest.mark.usefixtures("unproven")
@pytest.mark.parametrize("weakness", [SimpleBte, WithReencryption])
def test_related_ciphertext_opens_the_victim_in_an_earlier_batch_when_nothing_is_proven(weakness):
    """Encrypting again finds the fraud, but after the batch key has been published."""
    weak = network(weakness(load_backend()))
    victim = weak.verified(weak.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    assert weak.read(weak.batch(victim), weak.opened(weak.batch(victim))) == (SECRET_ORDER,)
    earlier = weak.batch(weak.verified(related(weak, victim.ciphertext), ATTACKER))
    key = weak.opened(earlier)
    assert isinstance(weak.read(earlier, key)[0], Undecryptable)
    mask = shifted_back(weak, mask_of_first(weak, earlier, key))
    assert weak.scheme._open(weak.public, victim, weak.public.backend.gt_encode(mask)) == SECRET_ORDER


def test_related_ciphertext_is_refused_by_ours(ours):
    """SBT-2, also with the response z + c * d that would fit the victim's own challenge c."""
    ciphertext = ours.encrypt(SECRET_ORDER, VICTIM)
    group = ours.public.backend.g1
    proof = proofs.KnowledgeProof.decode(group, ciphertext[G1_BYTES:HEADER_BYTES])
    statement = simple_bte._statement(
        ours.public, group.decode(ciphertext[:G1_BYTES]), ciphertext[HEADER_BYTES:], VICTIM
    )
    c = statement.challenge(group, proof.commitment)
    for response in (1, proof.response, (proof.response + c * SHIFT) % ORDER):
        for aad in (VICTIM, ATTACKER):
            with pytest.raises(CiphertextRejected) as caught:
                ours.verified(related(ours, ciphertext, response), aad)
            assert caught.value.rule == "SBT-2"


# --- what the proof covers --------------------------------------------------------------------------------------------


def without(part: str) -> Any:
    """A statement whose context leaves out the body or the associated data."""
    real = simple_bte._statement

    def statement(public_key: Any, point: G1, body: bytes, aad: bytes) -> proofs.KnowledgeStatement[G1]:
        return real(public_key, point, b"" if part == "body" else body, b"" if part == "aad" else aad)

    return statement


def copied(ciphertext: bytes, part: str) -> tuple[bytes, bytes]:
    """The victim's point and proof under another body, or all of it under another sender."""
    if part == "body":
        return ciphertext[:HEADER_BYTES] + bytes(len(ciphertext) - HEADER_BYTES), VICTIM
    return ciphertext, ATTACKER


@pytest.mark.parametrize("part", ["body", "aad"])
def test_copied_proof_opens_the_victim_in_an_earlier_batch_when_it_does_not_cover_everything(part, monkeypatch):
    """The copy has another ciphertext id, so it looks new."""
    monkeypatch.setattr(simple_bte, "_statement", without(part))
    weak = network(SimpleBte(load_backend()))
    victim = weak.verified(weak.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    ciphertext, aad = copied(victim.ciphertext, part)
    copy_ = weak.verified(ciphertext, aad)
    assert copy_.ciphertext_id != victim.ciphertext_id
    key = weak.opened(weak.batch(copy_))
    assert isinstance(weak.read(weak.batch(copy_), key)[0], Undecryptable)
    assert weak.read(weak.batch(victim), key) == (SECRET_ORDER,)


@pytest.mark.parametrize("part", ["body", "aad"])
def test_copied_proof_is_refused_by_ours(ours, part):
    """SBT-2."""
    with pytest.raises(CiphertextRejected) as caught:
        ours.verified(*copied(ours.encrypt(SECRET_ORDER, VICTIM), part))
    assert caught.value.rule == "SBT-2"


# --- proofs checked together without weights --------------------------------------------------------------------------


def two_that_cancel(members: Network, victim: bytes) -> tuple[bytes, bytes]:
    """A point related to the victim's, and one's own whose commitment takes back what is missing in the first proof."""
    group, public = members.public.backend.g1, members.public
    head, body = related(members, victim), bytes(len(victim) - HEADER_BYTES)
    foreign, own = group.decode(head[:G1_BYTES]), group.multiply(group.generator, 7)

    def challenge(point: G1, commitment: G1) -> int:
        return simple_bte._statement(public, point, body, ATTACKER).challenge(group, commitment)

    first = group.multiply(group.generator, 2)
    c = challenge(foreign, first)
    second = group.add(group.multiply(group.generator, 3), group.negate(group.multiply(foreign, c)))
    response = (3 + 7 * challenge(own, second)) % ORDER
    return tuple(
        group.encode(point) + proofs.KnowledgeProof(commitment=a, response=z).encode(group) + body
        for point, a, z in ((foreign, first, 2), (own, second, response))
    )


def unweighted(size: int) -> bytes:
    return (1).to_bytes(size, "big")


def verified_together(members: Network, ciphertexts: Sequence[bytes], random: Random) -> tuple[Any, ...]:
    candidates = [Candidate(ciphertext=ciphertext, aad=ATTACKER, height=0) for ciphertext in ciphertexts]
    return members.scheme.verify_ciphertexts(members.public, candidates, random=random)


def test_two_wrong_proofs_pass_together_and_open_the_victim_when_they_are_not_weighted(ours):
    """The weak copy is ours, with weights that are no random numbers."""
    victim = ours.verified(ours.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    entries = verified_together(ours, two_that_cancel(ours, victim.ciphertext), unweighted)
    earlier = ours.batch(*entries)
    mask = shifted_back(ours, mask_of_first(ours, earlier, ours.opened(earlier)))
    assert ours.scheme._open(ours.public, victim, ours.public.backend.gt_encode(mask)) == SECRET_ORDER


def test_two_wrong_proofs_are_both_refused_by_ours(ours):
    """SBT-2."""
    results = verified_together(ours, two_that_cancel(ours, ours.encrypt(SECRET_ORDER, VICTIM)), system)
    assert [result.rule for result in results] == ["SBT-2", "SBT-2"]


# --- the hole ---------------------------------------------------------------------------------------------------------


def secrets(share: KeyShare) -> list[int]:
    data = share.secret_bytes()
    return [int.from_bytes(data[at : at + SCALAR_BYTES], "big") for at in range(0, len(data), SCALAR_BYTES)]


def tau_of(members: Network) -> int:
    """What nobody may know: from all shares."""
    return sharing.recover({share.member: secrets(share)[0] for share in members.shares})


def hole(members: Network, tau: int) -> G2:
    group = members.public.backend.g2
    return group.multiply(group.generator, pow(tau, members.public.batch + 1, ORDER))


def test_everything_opens_for_anybody_when_the_power_in_the_hole_is_published(ours):
    """e(ct, h_(B+1)) is the mask: no member and no batch is needed."""
    published = hole(ours, tau_of(ours))
    victim = ours.verified(ours.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    mask = ours.public.backend.pairing(victim.parsed.point, published)
    assert ours.scheme._open(ours.public, victim, ours.public.backend.gt_encode(mask)) == SECRET_ORDER


def test_parameters_that_hold_the_power_in_the_hole_are_refused_by_ours(ours):
    """SBT-7 beside the others; SBT-20 or SBT-22 in the place of any other."""
    backend, parameters = ours.public.backend, ours.material.parameters
    encoded = backend.g2.encode(hole(ours, tau_of(ours)))
    start = len(parameters) - G2_BYTES * (2 * B - 1 + N * B)
    after_h_b = start + G2_BYTES * B
    more = parameters[:after_h_b] + encoded + parameters[after_h_b:]
    with pytest.raises(Rejected, match="bytes are not parameters") as caught:
        ours.scheme.load_public_key(replace(ours.material, parameters=more), key_id=ours.public.key_id)
    assert caught.value.rule == "SBT-7"
    rules = []
    for place in range(start, start + G2_BYTES * (2 * B - 1), G2_BYTES):
        powers = punctured.decode(backend, parameters[:place] + encoded + parameters[place + G2_BYTES :], N)
        with pytest.raises(Rejected) as caught:
            punctured.verify(backend, powers, T)
        rules.append(caught.value.rule)
    assert rules == ["SBT-20"] + ["SBT-22"] * (2 * B - 2)


# --- sharings that are not independent --------------------------------------------------------------------------------


def guessed_tau(share: KeyShare) -> int:
    """From the differences of one server's shares: (tau^3 - tau^2) / (tau^2 - tau)."""
    first, second, third, *_ = secrets(share)
    return (third - second) * pow(second - first, -1, ORDER) % ORDER


def opens_alone(members: Network, share: KeyShare) -> bool:
    """Whether one member, with what it holds and nothing else, reads what was never in a batch."""
    victim = members.verified(members.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    mask = members.public.backend.pairing(victim.parsed.point, hole(members, guessed_tau(share)))
    return members.scheme._open(members.public, victim, members.public.backend.gt_encode(mask)) == SECRET_ORDER


def test_one_member_opens_everything_alone_when_two_powers_are_shared_with_the_same_randomness(monkeypatch):
    """The verification keys are on polynomials of the right degree: no check of the parameters sees anything."""
    real = sharing.random_polynomial

    def repeated(t: int, random: Random, *, secret: int | None = None, modulus: int = ORDER) -> tuple[int, ...]:
        return real(t, deterministic(b"the same each time"), secret=secret, modulus=modulus)

    monkeypatch.setattr(sharing, "random_polynomial", repeated)
    weak = network(SimpleBte(load_backend()))
    weak.scheme.verify_parameters(weak.public)
    assert all(opens_alone(weak, share) for share in weak.shares)


def ceremonial() -> Network:
    """2 of 3 members, by their own computation."""
    scheme = SimpleBte(load_backend())
    results: tuple[KeyMaterial, ...] = generate_keys(
        scheme,
        [Identity(bytes([member]) * 32) for member in (1, 2, 3)],
        2,
        genesis_root=NETWORK,
        limits=Limits(batch=3),
        random=deterministic(b"ceremony"),
    )
    material = results[0].public
    public = scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    return Network(scheme=scheme, material=material, public=public, shares=tuple(result.share for result in results))


@pytest.mark.parametrize("made", ["dealt", "ceremonial"])
def test_one_member_opens_nothing_alone_in_ours(ours, made):
    """Nothing that is published could show a rule broken here: the dealer's and the ceremony's randomness has to be
    fresh for every power."""
    members = ours if made == "dealt" else ceremonial()
    for share in members.shares:
        assert guessed_tau(share) != tau_of(members)
        assert not opens_alone(members, share)


# --- no subgroup check ------------------------------------------------------------------------------------------------


def order_eleven() -> Any:
    """The cofactor of G1 is 3 * 11^2 * 10177^2 * 859267^2 * 52437899^2: every factor leaks a share modulo itself."""
    for x in range(1, 100):
        square = (x**3 + b.n) % field_modulus
        y = pow(square, (field_modulus + 1) // 4, field_modulus)
        point = multiply((FQ(x), FQ(y), FQ(1)), G1_COFACTOR * ORDER // 121)
        if y * y % field_modulus == square and not is_inf(point):
            break
    return point if is_inf(multiply(point, 11)) else multiply(point, 11)


class Poisoned:
    """A ciphertext whose point has a component of order 11, with a proof that holds all the same: it does whenever 11
    divides the challenge."""

    def __init__(self, public: Any) -> None:
        group, k, body = load_backend("reference").g1, 5, bytes(16)
        self.small = order_eleven()
        point = add(group.multiply(group.generator, k), self.small)
        statement = simple_bte._statement(public, point, body, ATTACKER)
        commitment, self.tries, c = group.identity, 0, 1
        while c % 11:
            self.tries += 1
            commitment = group.add(commitment, group.generator)
            c = statement.challenge(group, commitment)
        proof = proofs.KnowledgeProof(commitment=commitment, response=(self.tries + c * k) % ORDER)
        self.ciphertext = group.encode(point) + proof.encode(group) + body


def loose(backend: Any) -> Any:
    """The reference backend, with curve arithmetic that asks for no subgroup and takes the identity."""
    weak, group = copy.copy(backend), copy.copy(backend.g1)
    group.decode = lambda data: decompress_G1(int.from_bytes(data, "big"))
    weak.g1 = group
    return weak


def test_small_order_component_leaks_the_members_share_when_the_subgroup_is_not_checked():
    """r * pd_j is s_j times the point of order 11: nothing else of the answer is left."""
    weak = network(SimpleBte(loose(load_backend("reference"))), n=2, t=2, batch=1)
    poisoned, encode = Poisoned(weak.public), weak.public.backend.g1.encode
    assert poisoned.tries < 100
    batch = weak.batch(weak.verified(poisoned.ciphertext, ATTACKER))
    for share in weak.shares:
        answer = decompress_G1(int.from_bytes(weak.share(share.member, batch).data, "big"))
        rest = encode(multiply(answer, ORDER))
        (residue,) = (k for k in range(11) if encode(multiply(poisoned.small, k * ORDER)) == rest)
        assert residue == secrets(share)[0] % 11


@pytest.mark.parametrize("backend", INSTALLED)
def test_small_order_component_is_refused_by_ours(backend):
    """SBT-1."""
    members = network(SimpleBte(load_backend(backend)), n=2, t=2, batch=1)
    with pytest.raises(Malformed, match="subgroup"):
        members.verified(Poisoned(members.public).ciphertext, ATTACKER)


# --- the identity -----------------------------------------------------------------------------------------------------


def of_nothing(public: Any, text: bytes, scheme: SimpleBte) -> bytes:
    """A ciphertext with k = 0: its mask is one, and its proof holds."""
    group = load_backend("reference").g1
    key = simple_bte._body_key(public, public.backend.gt_encode(public.backend.gt_one()), IDENTITY, VICTIM)
    body = simple_bte.seal(key, text, VICTIM)
    statement = simple_bte._statement(public, Z1, body, VICTIM)
    proof = proofs.prove_knowledge(group, statement, 0, deterministic(b"identity"))
    return IDENTITY + proof.encode(group) + body


def test_identity_is_read_by_everybody_before_any_batch_when_it_is_accepted():
    """What a broken generator of random numbers makes, or a client that wants others to see."""
    weak = network(SimpleBte(loose(load_backend("reference"))), n=1, t=1, batch=1)
    victim = weak.verified(of_nothing(weak.public, SECRET_ORDER, weak.scheme), VICTIM)
    one = weak.public.backend.gt_encode(weak.public.backend.gt_one())
    assert weak.scheme._open(weak.public, victim, one) == SECRET_ORDER


@pytest.mark.parametrize("backend", INSTALLED)
def test_identity_is_refused_by_ours(backend):
    """SBT-1."""
    reference = network(SimpleBte(load_backend("reference")), n=1, t=1, batch=1)
    ciphertext = of_nothing(reference.public, SECRET_ORDER, reference.scheme)
    members = network(SimpleBte(load_backend(backend)), n=1, t=1, batch=1)
    with pytest.raises(Malformed, match="G1"):
        members.verified(ciphertext, VICTIM)


# --- neighbours and orders --------------------------------------------------------------------------------------------


def opposite(members: Network, victim: bytes) -> bytes:
    """The victim's point negated, which cancels it in a sum."""
    group = members.public.backend.g1
    return group.encode(group.negate(group.decode(victim[:G1_BYTES]))) + victim[G1_BYTES:]


@pytest.mark.usefixtures("unproven")
def test_rogue_neighbours_do_not_disturb_a_slot_even_when_nothing_is_proven():
    """Points that cancel, repeat or are related to the victim's: X takes each neighbour's part out again."""
    weak = network(SimpleBte(load_backend()))
    ciphertext = weak.encrypt(SECRET_ORDER, VICTIM)
    victim = weak.verified(ciphertext, VICTIM)
    rogues = [
        weak.verified(data, ATTACKER)
        for data in (opposite(weak, ciphertext), related(weak, ciphertext), ciphertext[:HEADER_BYTES] + bytes(16))
    ]
    for slot in range(B):
        batch = weak.batch(*rogues[:slot], victim, *rogues[slot:])
        assert weak.read(batch, weak.opened(batch))[slot] == SECRET_ORDER


def test_rogue_neighbour_is_refused_by_ours(ours):
    """SBT-2: none gets so far as to be one."""
    with pytest.raises(CiphertextRejected) as caught:
        ours.verified(opposite(ours, ours.encrypt(SECRET_ORDER, VICTIM)), VICTIM)
    assert caught.value.rule == "SBT-2"


class WithoutKeyCheck(SimpleBte):
    """Combines whatever it is sent."""

    def _is_key(self, key: G1, precomputed: Any) -> bool:
        return True


def orders(members: Network) -> tuple[Batch, Batch]:
    """One batch in two orders."""
    first = members.verified(members.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    second = members.verified(members.encrypt(b"mine", ATTACKER), ATTACKER)
    return members.batch(first, second), members.batch(second, first)


def test_shares_for_another_order_destroy_a_batch_without_blame_when_they_are_not_checked():
    weak = network(WithoutKeyCheck(load_backend()))
    batch, other = orders(weak)
    shares = [weak.share(1, batch), weak.share(2, batch), weak.share(3, other)]
    precomputed = weak.scheme.precompute(weak.public, batch)
    key, refused = weak.scheme.combine(weak.public, batch, shares, precomputed)
    assert refused == ()
    weak.scheme.verify_batch_key(weak.public, batch, key, precomputed)
    assert [type(entry) for entry in weak.read(batch, key)] == [Undecryptable, Undecryptable]


def test_shares_for_another_order_are_refused_and_named_by_ours(ours):
    """SBT-5 and SBT-6. The fourth member's share takes the place of the refused one."""
    batch, other = orders(ours)
    stray = ours.share(3, other)
    with pytest.raises(ShareRejected) as caught:
        ours.scheme.verify_share(ours.public, batch, stray)
    assert (caught.value.rule, caught.value.member) == ("SBT-5", 3)
    shares = [ours.share(1, batch), ours.share(2, batch), stray]
    precomputed = ours.scheme.precompute(ours.public, batch)
    with pytest.raises(NotEnoughShares) as too_few:
        ours.scheme.combine(ours.public, batch, shares, precomputed)
    assert (too_few.value.rule, too_few.value.blamed) == ("SBT-6", (3,))
    key, refused = ours.scheme.combine(ours.public, batch, [*shares, ours.share(4, batch)], precomputed)
    assert refused == (3,)
    assert ours.read(batch, key) == (SECRET_ORDER, b"mine")
    with pytest.raises(Rejected) as wrong:
        ours.scheme.verify_batch_key(ours.public, batch, ours.opened(other), precomputed)
    assert wrong.value.rule == "SBT-6"
