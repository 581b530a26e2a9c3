"""TDH2: threshold ElGamal with a publicly checkable ciphertext, over G1.

Shoup and Gennaro, "Securing threshold cryptosystems against chosen ciphertext attack", J. Cryptology 2002, with the
body, the associated data and the key's name inside the ciphertext's transcript. Secure against chosen ciphertexts
under DDH in G1 in the random-oracle model. One secret scalar per member, no restriction on what is opened when; the
price is 48 bytes and one multiplication per transaction and member.

Ciphertext, 160 bytes more than the plaintext: u (48) | ubar (48) | challenge (16) | response (32) | sealed body.
Share of a batch of B: B points (48 each) | one equality proof (48).

Requirements:
TDH-1  u and ubar are canonical points of G1, in the subgroup, not the identity
TDH-2  the challenge equals the transcript's over key, associated data, u, ubar, w, wbar and body
TDH-3  a share has one point for each entry of the batch and one proof
TDH-4  the proof shows one exponent behind the member's verification key and every point
TDH-5  a batch key comes from exactly t valid shares of distinct members and equals what they combine to
TDH-6  the encryption key and every verification key are points as in TDH-1, on one polynomial of degree t-1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from threshold import entropy, proofs
from threshold.curve import G1, G1_BYTES, ORDER, SCALAR_BYTES, Backend, FixedBase, Group, decode_all, required
from threshold.encoding import Reader, counted, enc, u16
from threshold.entropy import Random
from threshold.errors import CiphertextRejected, Malformed, NotEnoughShares, Rejected, ShareRejected, ThresholdError
from threshold.hashing import CHALLENGE_BYTES, Tag, challenge
from threshold.keys import UNLIMITED, KeyGenerationParty, KeyShare, Limits, PublicMaterial, ResharingSeat, Seat
from threshold.schemes.base import (
    Batch,
    BatchKey,
    Candidate,
    SchemeInfo,
    Share,
    Undecryptable,
    VerifiedCiphertext,
    each_or_error,
    open_body,
    verify_one,
)
from threshold.schemes.key_generation import resharing_party, shared_scalar_material, shared_scalar_party
from threshold.setup import dealer, reshare
from threshold.sharing import on_one_polynomial, recover_points
from threshold.symmetric import TAG_BYTES, AuthenticationFailed, derive_key, seal, unseal

PROOF_BYTES = CHALLENGE_BYTES + SCALAR_BYTES
HEADER_BYTES = 2 * G1_BYTES + PROOF_BYTES
OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES


@dataclass(frozen=True, kw_only=True)
class Tdh2PublicKey:
    key_id: bytes
    threshold: int
    point: G1
    verification_keys: tuple[G1, ...]
    group: Group[G1]
    limits: Limits = UNLIMITED

    @property
    def members(self) -> int:
        return len(self.verification_keys)

    @cached_property
    def point_bytes(self) -> bytes:
        return self.group.encode(self.point)

    @cached_property
    def times_point(self) -> FixedBase[G1]:
        return self.group.fixed_base(self.point)

    @cached_property
    def times_gbar(self) -> FixedBase[G1]:
        """The second generator, whose logarithm nobody knows."""
        return self.group.fixed_base(self.group.hash_to_curve(enc(self.key_id), Tag.TDH2_GENERATOR.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ciphertext:
    u: G1
    u_bytes: bytes
    ubar_bytes: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a ciphertext says, before its challenge was computed anew."""

    candidate: Candidate
    parsed: _Ciphertext
    ubar: G1
    e: int
    f: int

    def holds(self, public_key: Tdh2PublicKey, w: bytes, wbar: bytes) -> bool:
        """TDH-2."""
        u, ubar, body = self.parsed.u_bytes, self.parsed.ubar_bytes, self.parsed.body
        return self.e == _encryption_challenge(public_key, self.candidate.aad, u, ubar, w, wbar, body)


_Accepted = dict[int, tuple[Share, tuple[G1, ...]]]
"""Checked shares by member, with their points."""


class Tdh2:
    info = SchemeInfo(
        name="tdh2",
        number=1,
        title="TDH2 threshold ElGamal",
        setup="distributed key generation",
        setup_privacy="t",
        ciphertext_overhead_bytes=OVERHEAD_BYTES,
        share_bytes_per_transaction=G1_BYTES,
        share_bytes_per_batch=PROOF_BYTES,
        secret_bytes=SCALAR_BYTES,
        restrictions="none",
        opens="the batch",
        pending_privacy=True,
        hides=True,
        cca="DDH in G1, random oracle",
        equivocation_opens="only what either batch lists",
        needs_default_threshold=False,
        addresses_height=False,
        limits_batch=False,
        limits_rounds=False,
        opened_alone_by="body key",
        reshares=True,
    )

    def __init__(self, backend: Backend) -> None:
        self._group = backend.g1

    @cached_property
    def _times_generator(self) -> FixedBase[G1]:
        return self._group.fixed_base(self._group.generator)

    def key_generation(self, seat: Seat) -> KeyGenerationParty:
        return shared_scalar_party(self, self._group, seat)

    def resharing(self, seat: ResharingSeat) -> reshare.Party[G1]:
        return resharing_party(self, self._group, seat)

    def deal(self, *, n: int, t: int, limits: Limits, random: Random) -> tuple[PublicMaterial, tuple[KeyShare, ...]]:
        return dealer.deal(n=n, t=t, group=self._group, material=shared_scalar_material(self, t), random=random)

    def setup_privacy(self, n: int, t: int) -> int:
        return t

    def load_public_key(self, material: PublicMaterial, *, key_id: bytes) -> Tdh2PublicKey:
        group = self._group
        if material.scheme != self.info.number or material.parameters:
            raise Rejected("TDH-6", "the key material is not a tdh2 key")
        point = group.decode(material.encryption_key)
        verification_keys = tuple(map(group.decode, material.verification_keys))
        if not on_one_polynomial(group, (point, *verification_keys), material.threshold, Tag.KEY_POLYNOMIAL):
            raise Rejected("TDH-6", "the verification keys are not on one polynomial of degree t-1")
        return Tdh2PublicKey(
            key_id=key_id,
            threshold=material.threshold,
            point=point,
            verification_keys=verification_keys,
            group=group,
        )

    def verify_parameters(self, public_key: Tdh2PublicKey) -> None:
        """There are none."""

    def encrypt(self, public_key: Tdh2PublicKey, plaintext: bytes, *, aad: bytes, height: int, random: Random) -> bytes:
        """Five fixed-base multiplications."""
        encode = self._group.encode
        r, s = entropy.scalar(random, ORDER), entropy.scalar(random, ORDER)
        u, ubar = encode(self._times_generator(r)), encode(public_key.times_gbar(r))
        w, wbar = encode(self._times_generator(s)), encode(public_key.times_gbar(s))
        key = _body_key(public_key, encode(public_key.times_point(r)), u, ubar, aad)
        body = seal(key, plaintext, aad)
        e = _encryption_challenge(public_key, aad, u, ubar, w, wbar, body)
        f = (s + r * e) % ORDER
        return u + ubar + e.to_bytes(CHALLENGE_BYTES, "big") + f.to_bytes(SCALAR_BYTES, "big") + body

    def verify_ciphertext(
        self, public_key: Tdh2PublicKey, ciphertext: bytes, *, aad: bytes, height: int
    ) -> VerifiedCiphertext:
        """Two fixed-base and two 128-bit multiplications."""
        return verify_one(self, public_key, ciphertext, aad=aad, height=height)

    def verify_ciphertexts(
        self, public_key: Tdh2PublicKey, candidates: Sequence[Candidate], *, random: Random
    ) -> tuple[VerifiedCiphertext | ThresholdError, ...]:
        """As much for each: the challenge is over points that only multiplications give."""
        group = self._group
        read = self._read_each(candidates)
        claims = [claim for claim in read if isinstance(claim, _Claim)]
        responses, challenges = [claim.f for claim in claims], [claim.e for claim in claims]
        shares = group.multiply_pairs(
            [claim.parsed.u for claim in claims] + [claim.ubar for claim in claims], challenges * 2
        )
        bases = self._times_generator.each(responses) + public_key.times_gbar.each(responses)
        encoded = group.encode_each(list(map(group.add, bases, map(group.negate, shares))))
        commitments = iter(zip(encoded[: len(claims)], encoded[len(claims) :], strict=True))
        results: list[VerifiedCiphertext | ThresholdError] = []
        for claim in read:
            if isinstance(claim, ThresholdError):
                results.append(claim)
            elif claim.holds(public_key, *next(commitments)):
                given, key_id = claim.candidate, public_key.key_id
                results.append(
                    VerifiedCiphertext(key_id=key_id, ciphertext=given.ciphertext, aad=given.aad, parsed=claim.parsed)
                )
            else:
                results.append(
                    CiphertextRejected("TDH-2", "the ciphertext's proof does not hold for this key and associated data")
                )
        return tuple(results)

    def precompute(self, public_key: Tdh2PublicKey, batch: Batch) -> None:
        """Nothing can be done before the shares."""

    def partial_decrypt(self, public_key: Tdh2PublicKey, key_share: KeyShare, batch: Batch, *, random: Random) -> Share:
        """One multiplication for each entry, and two multi-scalar multiplications with 128-bit weights."""
        batch.require_key(public_key)
        secret = int.from_bytes(key_share.secret_bytes(), "big")
        images = self._group.multiply_each([entry.parsed.u for entry in batch.entries], secret)
        data = b"".join(self._group.encode_each(images))
        statement = self._statement(public_key, batch, key_share.member, images, data)
        return Share(
            member=key_share.member,
            data=data + proofs.prove_equality(self._group, statement, secret, random).encode(),
        )

    def verify_share(self, public_key: Tdh2PublicKey, batch: Batch, share: Share) -> None:
        self._checked_points(public_key, batch, share)

    def combine(
        self, public_key: Tdh2PublicKey, batch: Batch, shares: Sequence[Share], precomputed: None
    ) -> tuple[BatchKey, tuple[int, ...]]:
        accepted: _Accepted = {}
        refused: dict[int, None] = {}
        for share in shares:
            if share.member in accepted:
                continue
            try:
                accepted[share.member] = (share, self._checked_points(public_key, batch, share))
            except ShareRejected:
                refused[share.member] = None
            if len(accepted) == public_key.threshold:
                break
        else:
            raise NotEnoughShares(
                "TDH-5",
                f"{len(accepted)} valid shares of {public_key.threshold} needed"
                + (f"; refused those of members {sorted(refused)}" if refused else ""),
                blamed=tuple(refused),
            )
        proof = counted([u16(member) + share.data for member, (share, _) in sorted(accepted.items())])
        return BatchKey(value=self._combined(accepted), proof=proof), tuple(refused)

    def verify_batch_key(self, public_key: Tdh2PublicKey, batch: Batch, batch_key: BatchKey, precomputed: None) -> None:
        reader = Reader(batch_key.proof, "the proof of a tdh2 batch key")
        pieces = reader.counted()
        reader.end()
        shares = [Share(member=int.from_bytes(piece[:2], "big"), data=piece[2:]) for piece in pieces]
        members = [share.member for share in shares]
        if len(members) != public_key.threshold or members != sorted(set(members)):
            raise Rejected("TDH-5", f"a batch key needs exactly {public_key.threshold} distinct shares in order")
        accepted = {share.member: (share, self._checked_points(public_key, batch, share)) for share in shares}
        if self._combined(accepted) != batch_key.value:
            raise Rejected("TDH-5", "the batch key is not what its shares combine to")

    def decrypt(
        self, public_key: Tdh2PublicKey, batch: Batch, batch_key: BatchKey, precomputed: None
    ) -> tuple[bytes | Undecryptable, ...]:
        return tuple(
            _open(self.opening(public_key, batch, batch_key, precomputed, at), entry)
            for at, entry in enumerate(batch.entries)
        )

    def opening(
        self, public_key: Tdh2PublicKey, batch: Batch, batch_key: BatchKey, precomputed: None, at: int
    ) -> bytes:
        if len(batch_key.value) != len(batch) * G1_BYTES:
            raise Malformed("the batch key does not have one point for each entry")
        entry, shared = batch.entries[at], batch_key.value[at * G1_BYTES : (at + 1) * G1_BYTES]
        return _body_key(public_key, shared, entry.parsed.u_bytes, entry.parsed.ubar_bytes, entry.aad)

    def open_alone(
        self, encryption_key: bytes, key_id: bytes, ciphertext: bytes, *, aad: bytes, height: int, opening: bytes
    ) -> bytes | Undecryptable:
        return open_body(opening, ciphertext[HEADER_BYTES:], aad)

    def _read_each(self, candidates: Sequence[Candidate]) -> list[_Claim | ThresholdError]:
        """TDH-1."""
        group = self._group
        headers = [given.ciphertext[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0") for given in candidates]
        us = group.decode_each([header[:G1_BYTES] for header in headers])
        ubars = group.decode_each([header[G1_BYTES : 2 * G1_BYTES] for header in headers])

        def claim(given: Candidate, header: bytes, u: G1 | Malformed, ubar: G1 | Malformed) -> _Claim:
            size = len(given.ciphertext)
            if size < OVERHEAD_BYTES:
                raise Malformed(f"a tdh2 ciphertext has at least {OVERHEAD_BYTES} bytes, not {size}")
            reader = Reader(header[2 * G1_BYTES :], "a tdh2 ciphertext")
            e, f = reader.uint(CHALLENGE_BYTES), reader.scalar(ORDER)
            parsed = _Ciphertext(
                u=required(u),
                u_bytes=header[:G1_BYTES],
                ubar_bytes=header[G1_BYTES : 2 * G1_BYTES],
                body=given.ciphertext[HEADER_BYTES:],
            )
            return _Claim(candidate=given, parsed=parsed, ubar=required(ubar), e=e, f=f)

        return each_or_error(claim, candidates, headers, us, ubars)

    def _combined(self, accepted: _Accepted) -> bytes:
        points = {member: points for member, (_, points) in accepted.items()}
        return b"".join(self._group.encode_each(recover_points(self._group, points)))

    def _checked_points(self, public_key: Tdh2PublicKey, batch: Batch, share: Share) -> tuple[G1, ...]:
        """The share's points, once its proof holds."""
        member, size = share.member, len(batch) * G1_BYTES
        if not 1 <= member <= public_key.members:
            raise ShareRejected("TDH-3", f"there is no member {member}", member=member)
        if len(share.data) != size + PROOF_BYTES:
            raise ShareRejected(
                "TDH-3",
                f"member {member}'s share has {len(share.data)} bytes, not {size + PROOF_BYTES}",
                member=member,
            )
        data = share.data[:size]
        try:
            points = decode_all(self._group, [data[at : at + G1_BYTES] for at in range(0, size, G1_BYTES)])
            proof = proofs.EqualityProof.read(Reader(share.data[size:], "a share's proof"))
        except Malformed as error:
            raise ShareRejected("TDH-3", f"member {member}'s share: {error}", member=member) from error
        statement = self._statement(public_key, batch, member, points, data)
        if not proofs.verify_equality(self._group, statement, proof):
            raise ShareRejected("TDH-4", f"the proof of member {member}'s share does not hold", member=member)
        return points

    def _statement(
        self, public_key: Tdh2PublicKey, batch: Batch, member: int, images: tuple[G1, ...], image_bytes: bytes
    ) -> proofs.EqualityStatement[G1]:
        public = public_key.verification_keys[member - 1]
        return proofs.EqualityStatement(
            public=public,
            bases=tuple(entry.parsed.u for entry in batch.entries),
            images=images,
            encoded=self._group.encode(public) + b"".join(e.parsed.u_bytes for e in batch.entries) + image_bytes,
            tag=Tag.TDH2_SHARE,
            weight_tag=Tag.TDH2_WEIGHT,
            context=(public_key.key_id, batch.digest, u16(member)),
        )


def _body_key(public_key: Tdh2PublicKey, shared: bytes, u: bytes, ubar: bytes, aad: bytes) -> bytes:
    return derive_key(Tag.TDH2_KEM, shared, public_key.key_id, u, ubar, aad)


def _encryption_challenge(
    public_key: Tdh2PublicKey, aad: bytes, u: bytes, ubar: bytes, w: bytes, wbar: bytes, body: bytes
) -> int:
    return challenge(Tag.TDH2_ENCRYPT, public_key.key_id, public_key.point_bytes, aad, u, ubar, w, wbar, body)


def _open(key: bytes, entry: VerifiedCiphertext) -> bytes | Undecryptable:
    try:
        return unseal(key, entry.parsed.body, entry.aad)
    except AuthenticationFailed as error:
        return Undecryptable(reason=str(error))


def make(backend: Backend) -> Tdh2:
    return Tdh2(backend)
