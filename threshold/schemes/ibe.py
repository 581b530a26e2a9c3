"""IBE: Boneh and Franklin's identity-based encryption with a target height as the identity and a threshold key.

Boneh and Franklin, "Identity-based encryption from the Weil pairing", SIAM J. Computing 2003, as a KEM, with the key in
G2 and identities H(height) in G1. The batch key is x * H(height): 48 bytes from each member for a whole height.

EVERYTHING ADDRESSED TO A HEIGHT OPENS WITH ITS KEY, INCLUDED OR NOT. The batch's list decides nothing about what can be
read: a transaction left out of its height is as public as one that was executed, and it never opens at another height.
Hence no key is released for a height whose batch is empty. Height 0 belongs to the self-test of the key ceremony, which
releases its key to the members: nothing else may be addressed to it.

A ciphertext's public check covers the encoding of U and no more. One that does not open is undecryptable, and its
sender pays. No proof is needed: nothing is ever released for one ciphertext, but one identity key, once, for all
ciphertexts of a height, so that an attacker's own ciphertexts teach nothing that the released keys do not. Under
bilinear Diffie-Hellman, in the random-oracle model, whatever is addressed to a height whose key was not released stays
closed; after the release nothing is left to protect.

Ciphertext, 112 bytes more than the plaintext: U (96) | sealed body. Share of a batch: one point (48).

Requirements:
IBE-1  U is a canonical point of G2, in the subgroup, not the identity
IBE-2  every entry of a batch is addressed to the batch's height
IBE-3  a batch that gets a share has an entry: the key of a skipped height is never released
IBE-4  a share comes from a member 1..n and is one point of G1, as in IBE-1
IBE-5  a share is its member's secret times H(height)
IBE-6  a batch key is x * H(height), a point as in IBE-4 and nothing besides; t valid shares make it
IBE-7  the encryption key and every verification key are points as in IBE-1, on one polynomial of degree t-1
IBE-8 to IBE-16, on derivations, are on the page specs/ibe.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from threshold import entropy
from threshold.curve import G1, G1_BYTES, G2, G2_BYTES, ORDER, SCALAR_BYTES, Backend, FixedBase
from threshold.encoding import enc, u16, u64
from threshold.entropy import Random
from threshold.errors import Malformed, Rejected, ShareRejected, ThresholdError
from threshold.hashing import Tag, weights
from threshold.keys import UNLIMITED, KeyGenerationParty, KeyShare, Limits, PublicMaterial, ResharingSeat, Seat
from threshold.schemes import one_point
from threshold.schemes.base import (
    Batch,
    BatchKey,
    Candidate,
    SchemeInfo,
    Share,
    Undecryptable,
    VerifiedCiphertext,
    verify_one,
)
from threshold.schemes.key_generation import resharing_party, shared_scalar_material, shared_scalar_party
from threshold.setup import dealer
from threshold.sharing import on_one_polynomial, recover_points
from threshold.symmetric import TAG_BYTES, AuthenticationFailed, derive_key, seal, unseal

OVERHEAD_BYTES = G2_BYTES + TAG_BYTES
_KEPT_IDENTITIES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class IbePublicKey:
    key_id: bytes
    threshold: int
    point: G2
    point_bytes: bytes
    verification_keys: tuple[G2, ...]

    @property
    def members(self) -> int:
        return len(self.verification_keys)

    @property
    def limits(self) -> Limits:
        return UNLIMITED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ciphertext:
    height: int
    u: G2
    u_bytes: bytes
    body: bytes


_Points = dict[int, G1]
"""What members sent, by member."""


class Ibe:
    info = SchemeInfo(
        name="ibe",
        number=2,
        title="Boneh-Franklin threshold IBE per height",
        setup="distributed key generation",
        setup_privacy="t",
        ciphertext_overhead_bytes=OVERHEAD_BYTES,
        share_bytes_per_transaction=0,
        share_bytes_per_batch=G1_BYTES,
        secret_bytes=SCALAR_BYTES,
        restrictions="opens at its target height only; left out there, it is public and not executed",
        opens="everything addressed to the height, included or not",
        pending_privacy=False,
        hides=True,
        cca="bilinear Diffie-Hellman, random oracle",
        equivocation_opens="everything addressed to the height, included or not",
        needs_default_threshold=True,
        addresses_height=True,
        limits_batch=False,
        limits_rounds=False,
        opened_alone_by="height key",
        reshares=True,
    )

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._g1 = backend.g1
        self._g2 = backend.g2

        def identity(key_id: bytes, height: int) -> G1:
            """H(height): the point whose product with the secret opens the height."""
            return backend.g1.hash_to_curve(enc(key_id, u64(height)), Tag.IBE_IDENTITY.value)

        self._identity = lru_cache(maxsize=_KEPT_IDENTITIES)(identity)

    @cached_property
    def _times_generator(self) -> FixedBase[G2]:
        """Building it costs what it saves in about a hundred encryptions."""
        return self._g2.fixed_base(self._g2.generator)

    def key_generation(self, seat: Seat) -> KeyGenerationParty:
        return shared_scalar_party(self, self._g2, seat)

    def resharing(self, seat: ResharingSeat) -> KeyGenerationParty:
        return resharing_party(self, self._backend.g2, seat)

    def deal(self, *, n: int, t: int, limits: Limits, random: Random) -> tuple[PublicMaterial, tuple[KeyShare, ...]]:
        return dealer.deal(n=n, t=t, group=self._g2, material=shared_scalar_material(self, t), random=random)

    def setup_privacy(self, n: int, t: int) -> int:
        return t

    def load_public_key(self, material: PublicMaterial, *, key_id: bytes) -> IbePublicKey:
        group = self._g2
        if material.scheme != self.info.number or material.parameters:
            raise Rejected("IBE-7", "the key material is not an ibe key")
        point = group.decode(material.encryption_key)
        verification_keys = tuple(map(group.decode, material.verification_keys))
        if not on_one_polynomial(group, (point, *verification_keys), material.threshold, Tag.KEY_POLYNOMIAL):
            raise Rejected("IBE-7", "the verification keys are not on one polynomial of degree t-1")
        return IbePublicKey(
            key_id=key_id,
            threshold=material.threshold,
            point=point,
            point_bytes=material.encryption_key,
            verification_keys=verification_keys,
        )

    def verify_parameters(self, public_key: IbePublicKey) -> None:
        """There are none."""

    def encrypt(self, public_key: IbePublicKey, plaintext: bytes, *, aad: bytes, height: int, random: Random) -> bytes:
        """One fixed-base multiplication in G2, one in G1, one pairing; one hash to G1 for each height."""
        rho = entropy.scalar(random, ORDER)
        u = self._g2.encode(self._times_generator(rho))
        identity = self._identity(public_key.key_id, height)
        shared = self._backend.gt_encode(self._backend.pairing(self._g1.multiply(identity, rho), public_key.point))
        return u + seal(_body_key(public_key.key_id, public_key.point_bytes, shared, height, u, aad), plaintext, aad)

    def verify_ciphertext(
        self, public_key: IbePublicKey, ciphertext: bytes, *, aad: bytes, height: int
    ) -> VerifiedCiphertext:
        """IBE-1, which is all that can be checked: not that it opens, nor for which height, key or associated data it
        was made. `height` is what it is addressed to. One decoding in G2."""
        return verify_one(self, public_key, ciphertext, aad=aad, height=height)

    def verify_ciphertexts(
        self, public_key: IbePublicKey, candidates: Sequence[Candidate], *, random: Random
    ) -> tuple[VerifiedCiphertext | ThresholdError, ...]:
        encoded = [given.ciphertext[:G2_BYTES] for given in candidates]
        results: list[VerifiedCiphertext | ThresholdError] = []
        for given, u_bytes, u in zip(candidates, encoded, self._g2.decode_each(encoded), strict=True):
            size = len(given.ciphertext)
            if size < OVERHEAD_BYTES:
                results.append(Malformed(f"an ibe ciphertext has at least {OVERHEAD_BYTES} bytes, not {size}"))
            elif isinstance(u, Malformed):
                results.append(u)
            else:
                parsed = _Ciphertext(height=given.height, u=u, u_bytes=u_bytes, body=given.ciphertext[G2_BYTES:])
                results.append(
                    VerifiedCiphertext(
                        key_id=public_key.key_id, ciphertext=given.ciphertext, aad=given.aad, parsed=parsed
                    )
                )
        return tuple(results)

    def precompute(self, public_key: IbePublicKey, batch: Batch) -> None:
        """The height's point, which is kept. Raises Rejected: IBE-2 and IBE-3."""
        self._batch_identity(public_key, batch)

    def partial_decrypt(self, public_key: IbePublicKey, key_share: KeyShare, batch: Batch, *, random: Random) -> Share:
        """One multiplication for the whole height. Raises Rejected: IBE-2 and IBE-3.

        The share is the same for every batch of the height, so a member must never make one before the height's batch
        is certified."""
        identity = self._batch_identity(public_key, batch)
        secret = int.from_bytes(key_share.secret_bytes(), "big")
        return Share(member=key_share.member, data=self._g1.encode(self._g1.multiply(identity, secret)))

    def verify_share(self, public_key: IbePublicKey, batch: Batch, share: Share) -> None:
        """Two Miller loops. Rejected without a member where the batch is at fault: IBE-2 and IBE-3."""
        identity = self._batch_identity(public_key, batch)
        point = self._decoded(public_key, share)
        if not self._all_hold(public_key, identity, {share.member: point}):
            raise ShareRejected(
                "IBE-5", f"member {share.member}'s share is not one for this height", member=share.member
            )

    def combine(
        self, public_key: IbePublicKey, batch: Batch, shares: Sequence[Share], precomputed: None
    ) -> tuple[BatchKey, tuple[int, ...]]:
        """One pairing check when the first t shares are good. Else the wrong ones among them are found by halving, and
        the good ones are kept while others take the places of the wrong."""
        identity = self._batch_identity(public_key, batch)
        valid: _Points = {}
        unchecked: _Points = {}
        refused: dict[int, None] = {}

        def check() -> None:
            good = self._valid(public_key, identity, unchecked)
            valid.update(good)
            refused.update({member: None for member in unchecked if member not in good})
            unchecked.clear()

        for share in shares:
            if share.member in valid or share.member in unchecked:
                continue
            try:
                unchecked[share.member] = self._decoded(public_key, share)
            except ShareRejected:
                refused[share.member] = None
                continue
            if len(valid) + len(unchecked) < public_key.threshold:
                continue
            key = self._combined(valid | unchecked)
            if self._is_product(key, identity, public_key.point):
                return BatchKey(value=self._g1.encode(key), proof=b""), tuple(refused)
            check()
        check()
        raise one_point.not_enough("IBE-6", len(valid), public_key.threshold, tuple(refused))

    def verify_batch_key(self, public_key: IbePublicKey, batch: Batch, batch_key: BatchKey, precomputed: None) -> None:
        """Two Miller loops."""
        identity = self._batch_identity(public_key, batch)
        if batch_key.proof:
            raise Rejected("IBE-6", "an ibe batch key has no proof besides")
        if not self._is_product(self._g1.decode(batch_key.value), identity, public_key.point):
            raise Rejected("IBE-6", f"the batch key is not the one of height {batch.height}")

    def decrypt(
        self, public_key: IbePublicKey, batch: Batch, batch_key: BatchKey, precomputed: None
    ) -> tuple[bytes | Undecryptable, ...]:
        """One pairing for each entry, on all cores."""
        key = self._g1.decode(batch_key.value)
        pairings = self._backend.multi_pairings([((key,), (entry.parsed.u,)) for entry in batch.entries])
        shared = self._backend.gt_encode_each(pairings)
        return tuple(self._open(public_key, entry, secret) for entry, secret in zip(batch.entries, shared, strict=True))

    def opening(self, public_key: IbePublicKey, batch: Batch, batch_key: BatchKey, precomputed: None, at: int) -> bytes:
        return batch_key.value

    def open_alone(
        self, encryption_key: bytes, key_id: bytes, ciphertext: bytes, *, aad: bytes, height: int, opening: bytes
    ) -> bytes | Undecryptable:
        """Two Miller loops and a pairing."""
        key, identity = self._g1.decode(opening), self._identity(key_id, height)
        if not self._is_product(key, identity, self._g2.decode(encryption_key)):
            raise Rejected("IBE-6", f"the key is not the one of height {height}")
        u_bytes, body = ciphertext[:G2_BYTES], ciphertext[G2_BYTES:]
        shared = self._backend.gt_encode(self._backend.pairing(key, self._g2.decode(u_bytes)))
        return _unsealed(_body_key(key_id, encryption_key, shared, height, u_bytes, aad), body, aad)

    def _batch_identity(self, public_key: IbePublicKey, batch: Batch) -> G1:
        """H(height) for a batch whose height may get its key."""
        batch.require_key(public_key)
        if not batch.entries:
            raise Rejected("IBE-3", f"the batch of height {batch.height} is empty: its key is never released")
        for entry in batch.entries:
            if entry.parsed.height != batch.height:
                raise Rejected(
                    "IBE-2", f"a ciphertext for height {entry.parsed.height} is in the batch of height {batch.height}"
                )
        return self._identity(public_key.key_id, batch.height)

    def _decoded(self, public_key: IbePublicKey, share: Share) -> G1:
        return one_point.read_point(self._g1, public_key.members, share, rule="IBE-4")

    def _valid(self, public_key: IbePublicKey, identity: G1, points: _Points) -> _Points:
        """Those that are good. One check if all are; k wrong ones of m cost about 2k log2(m)."""
        if not points or self._all_hold(public_key, identity, points):
            return points
        if len(points) == 1:
            return {}
        members, half = list(points), len(points) // 2
        return self._valid(public_key, identity, {m: points[m] for m in members[:half]}) | self._valid(
            public_key, identity, {m: points[m] for m in members[half:]}
        )

    def _all_hold(self, public_key: IbePublicKey, identity: G1, points: _Points) -> bool:
        """IBE-5 for every member at once, up to an error of 2^-128."""
        # Without weights that depend on every share, wrong ones could be chosen whose errors cancel.
        sent = b"".join(u16(member) + self._g1.encode(point) for member, point in points.items())
        factors = (1, *weights(Tag.IBE_WEIGHT, len(points) - 1, public_key.key_id, self._g1.encode(identity), sent))
        keys = [public_key.verification_keys[member - 1] for member in points]
        return self._is_product(self._g1.msm(tuple(points.values()), factors), identity, self._g2.msm(keys, factors))

    def _is_product(self, point: G1, identity: G1, key: G2) -> bool:
        """Whether point = x * identity for the x with key = x * generator."""
        return self._backend.pairing_check((point, self._g1.negate(identity)), (self._g2.generator, key))

    def _combined(self, points: _Points) -> G1:
        (key,) = recover_points(self._g1, {member: (point,) for member, point in points.items()})
        return key

    def _open(self, public_key: IbePublicKey, entry: VerifiedCiphertext, shared: bytes) -> bytes | Undecryptable:
        parsed: _Ciphertext = entry.parsed
        key = _body_key(public_key.key_id, public_key.point_bytes, shared, parsed.height, parsed.u_bytes, entry.aad)
        return _unsealed(key, parsed.body, entry.aad)


def _body_key(key_id: bytes, point: bytes, shared: bytes, height: int, u: bytes, aad: bytes) -> bytes:
    return derive_key(Tag.IBE_KEM, shared, key_id, u64(height), u, point, aad)


def _unsealed(key: bytes, body: bytes, aad: bytes) -> bytes | Undecryptable:
    try:
        return unseal(key, body, aad)
    except AuthenticationFailed as error:
        return Undecryptable(reason=str(error))


def make(backend: Backend) -> Ibe:
    return Ibe(backend)
