"""FPTX: batched threshold encryption with one share for a whole batch, for a limited number of batches.

"TrX: Encrypted Mempools in High Performance BFT Protocols", eprint 2025/2032, with ciphertexts in G2, made secure
against chosen ciphertexts as Canetti, Halevi and Katz do: each ciphertext has its own one-time signing key, and the
key's hash is its identity. Secure in the generic group model with random oracles.

The batch of round q is the polynomial f whose roots are its identities, with the digest D = [r_q f(tau)]_1. A member's
share is msk_j * (D + Hm), 48 bytes for any batch; Hm is a point that the key's name fixes. It opens the ciphertexts at
the roots of f and no other: what is pending stays closed and may come in any later round.

A MEMBER NEVER MAKES SHARES FOR TWO BATCHES IN ONE ROUND, of whatever height. From two batch keys of a round anybody
computes a third, at any identity: everything pending opens. Nothing here can see that; the member's own durable record
has to. Round 0 holds the self-test of key generation and nothing else, for the same reason. After the last round
the key opens nothing any more, and another one has to be made.

A share is bound to the round and to the set of ciphertexts, but not to their order, the height or the commitment: what
carries it has to name those.

Ciphertext, 400 bytes more than the plaintext: c0 (96) | c1 (96) | c2 (96) | one-time key (32) | sealed body |
signature (64). Share of a batch: one point (48).

Requirements:
FPT-1  c0, c1 and c2 are canonical points of G2, in the subgroup, not the identity
FPT-2  the signature holds under the ciphertext's one-time key, by the rules of threshold.onetime, for key, associated
       data, c0, c1, c2, the one-time key and the body
FPT-3  a batch has at least one entry and at most B
FPT-4  a batch's round is one of 1..Q, or 0 for the self-test derived from the key's name, unchanged
FPT-5  a share is one point of G1 as in FPT-1, from one of the members 1..n
FPT-6  a share is the member's: e(sigma_j, g2) = e(D + Hm, vk_j)
FPT-7  a batch key is the one point sigma with e(sigma, g2) = e(D + Hm, mpk), as any t valid shares give it
FPT-8  the encryption key and every verification key are points as in FPT-1, on one polynomial of degree t-1
The rows have rules of their own: threshold.setup.powers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

from threshold import entropy, onetime
from threshold.curve import G1, G1_BYTES, G2, G2_BYTES, GT, ORDER, SCALAR_BYTES, Backend, FixedBase, required
from threshold.encoding import Reader, enc
from threshold.entropy import Random
from threshold.errors import CiphertextRejected, Malformed, Rejected, ShareRejected, ThresholdError
from threshold.hashing import Tag, hash_to_scalar, tagged_hash
from threshold.keys import KeyGenerationParty, KeyShare, Limits, PublicMaterial, ResharingSeat, Seat
from threshold.schemes import one_point
from threshold.schemes.base import (
    Batch,
    BatchKey,
    Candidate,
    SchemeInfo,
    Share,
    Undecryptable,
    VerifiedCiphertext,
    open_body,
    verify_one,
)
from threshold.schemes.key_generation import (
    resharing_party,
    self_test_batch,
    shared_scalar_material,
    shared_scalar_party,
)
from threshold.setup import contributions, dealer, powers
from threshold.sharing import on_one_polynomial
from threshold.symmetric import TAG_BYTES, AuthenticationFailed, derive_key, seal, unseal

HEADER_BYTES = 3 * G2_BYTES + onetime.PUBLIC_KEY_BYTES
OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES + onetime.SIGNATURE_BYTES

_POINTS_AT = (0, G2_BYTES, 2 * G2_BYTES)
_KEPT_ROWS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FptxPublicKey:
    """A checked key with its rows at hand.

    point     mpk = [msk]_2
    label     Hm, which every share carries besides the digest
    header    B, Q and [tau]_2
    row       the points of a round's row, decoded when the round is first used; the last few are kept
    """

    key_id: bytes
    threshold: int
    point: G2
    verification_keys: tuple[G2, ...]
    label: G1
    header: powers.Header
    row: Callable[[int], tuple[G1, ...]] = field(repr=False)
    parameters: bytes = field(repr=False)

    @property
    def members(self) -> int:
        return len(self.verification_keys)

    @property
    def limits(self) -> Limits:
        return Limits(batch=self.header.batch, rounds=self.header.rounds)


_Parts = tuple[bytes, bytes, bytes, bytes]
"""c0, c1, c2 and the one-time key, as in the ciphertext."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ciphertext:
    identity: int
    c0: G2
    c1: G2
    c2: G2
    parts: _Parts
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Precomputed:
    """What a batch needs besides its key.

    signed     D + Hm, which the members' shares are multiples of
    openings   for each entry e(D, c0) * e(pi, c1), which is its mask up to e(sigma, c2)
    """

    signed: G1
    openings: tuple[GT, ...]


class Fptx:
    info = SchemeInfo(
        name="fptx",
        number=4,
        title="FPTX batched threshold encryption",
        setup="contributions to common reference rows by every member in turn, then distributed key generation",
        setup_privacy="t; the rows are safe if one contributor is honest",
        ciphertext_overhead_bytes=OVERHEAD_BYTES,
        share_bytes_per_transaction=0,
        share_bytes_per_batch=G1_BYTES,
        secret_bytes=SCALAR_BYTES,
        restrictions="one batch a round, of limited size; after the last round the key opens nothing more",
        opens="the batch",
        pending_privacy=True,
        hides=True,
        cca="generic group model, random oracle, one-time signatures",
        equivocation_opens="everything pending",
        needs_default_threshold=True,
        addresses_height=False,
        limits_batch=True,
        limits_rounds=True,
        opened_alone_by="body key",
        reshares=True,
    )

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._g1 = backend.g1
        self._g2 = backend.g2

    @cached_property
    def _times_generator(self) -> FixedBase[G2]:
        return self._g2.fixed_base(self._g2.generator)

    def key_generation(self, seat: Seat) -> KeyGenerationParty:
        return contributions.Party(seat, self._backend, partial(shared_scalar_party, self, self._g2))

    def resharing(self, seat: ResharingSeat) -> KeyGenerationParty:
        """The rows stay as they are: they belong to the key."""
        return resharing_party(self, self._backend.g2, seat)

    def deal(self, *, n: int, t: int, limits: Limits, random: Random) -> tuple[PublicMaterial, tuple[KeyShare, ...]]:
        if limits.batch is None or limits.rounds is None:
            raise ValueError("an fptx key is made for a largest batch and a last round: give both")
        parameters = powers.deal(self._backend, batch=limits.batch, rounds=limits.rounds, random=random)
        material = shared_scalar_material(self, t, parameters)
        return dealer.deal(n=n, t=t, group=self._g2, material=material, random=random)

    def setup_privacy(self, n: int, t: int) -> int:
        """Of the key. Nobody learns tau and the r_q, which open as much, if one contributor to the rows is honest."""
        return t

    def load_public_key(self, material: PublicMaterial, *, key_id: bytes) -> FptxPublicKey:
        """Of the parameters only the header: a row is decoded when its round is used."""
        group = self._g2
        if material.scheme != self.info.number:
            raise Rejected("FPT-8", "the key material is not an fptx key")
        header = powers.decode_header(self._backend, material.parameters)
        point = group.decode(material.encryption_key)
        verification_keys = tuple(map(group.decode, material.verification_keys))
        if not on_one_polynomial(group, (point, *verification_keys), material.threshold, Tag.KEY_POLYNOMIAL):
            raise Rejected("FPT-8", "the verification keys are not on one polynomial of degree t-1")
        return FptxPublicKey(
            key_id=key_id,
            threshold=material.threshold,
            point=point,
            verification_keys=verification_keys,
            label=self._g1.hash_to_curve(enc(key_id), Tag.FPTX_LABEL.value),
            header=header,
            row=lru_cache(maxsize=_KEPT_ROWS)(partial(powers.decode_row, self._backend, material.parameters)),
            parameters=material.parameters,
        )

    def verify_parameters(self, public_key: FptxPublicKey) -> None:
        """All rows: 0.06 ms for each of their (Q+1)(B+1) points."""
        powers.verify(self._backend, public_key.parameters)

    def encrypt(self, public_key: FptxPublicKey, plaintext: bytes, *, aad: bytes, height: int, random: Random) -> bytes:
        """Three fixed-base multiplications in G2 and two others, one pairing, one signature."""
        group, times_generator = self._g2, self._times_generator
        seed = random(onetime.SEED_BYTES)
        r0, r1 = entropy.scalar(random, ORDER), entropy.scalar(random, ORDER)
        one_time = onetime.public_key(seed)
        identity = _identity(public_key.key_id, one_time)
        blinding = group.multiply(public_key.point, r1)
        c0 = group.add(times_generator(r0), blinding)
        c1 = group.add(times_generator(r0 * identity), group.negate(group.multiply(public_key.header.tau, r0)))
        c2 = group.negate(times_generator(r1))
        parts = (group.encode(c0), group.encode(c1), group.encode(c2), one_time)
        mask = self._backend.gt_encode(self._backend.pairing(public_key.label, group.negate(blinding)))
        body = seal(_body_key(public_key, mask, parts, aad), plaintext, aad)
        return b"".join(parts) + body + onetime.sign(seed, _signed_message(public_key, aad, parts, body))

    def verify_ciphertext(
        self, public_key: FptxPublicKey, ciphertext: bytes, *, aad: bytes, height: int
    ) -> VerifiedCiphertext:
        """FPT-1 and FPT-2, which make the identity the sender's own. Not that the ciphertext opens: what was made for
        another identity gives garbage, the same for everybody. Three decodings in G2 and one signature."""
        return verify_one(self, public_key, ciphertext, aad=aad, height=height)

    def verify_ciphertexts(
        self, public_key: FptxPublicKey, candidates: Sequence[Candidate], *, random: Random
    ) -> tuple[VerifiedCiphertext | ThresholdError, ...]:
        encoded = [given.ciphertext[at : at + G2_BYTES] for given in candidates for at in _POINTS_AT]
        decoded = self._g2.decode_each(encoded)
        results: list[VerifiedCiphertext | ThresholdError] = []
        for at, given in enumerate(candidates):
            try:
                parsed = self._read(public_key, given, decoded[3 * at : 3 * at + 3])
            except ThresholdError as error:
                results.append(error)
            else:
                results.append(
                    VerifiedCiphertext(
                        key_id=public_key.key_id, ciphertext=given.ciphertext, aad=given.aad, parsed=parsed
                    )
                )
        return tuple(results)

    def precompute(self, public_key: FptxPublicKey, batch: Batch) -> Precomputed:
        """The digest, an opening for each entry, and two of three pairings for each. Of B entries: B multi-scalar
        multiplications of B terms, faster than a tree of remainders up to about a thousand. Raises Rejected: FPT-3 and
        FPT-4."""
        polynomial, digest = self._digest(public_key, batch)
        parsed: list[_Ciphertext] = [entry.parsed for entry in batch.entries]
        quotients = [_divided(polynomial, one.identity) for one in parsed]
        openings = self._g1.msm_each(public_key.row(batch.round), quotients)
        return Precomputed(
            signed=self._g1.add(digest, public_key.label),
            openings=self._backend.multi_pairings(
                [((digest, pi), (one.c0, one.c1)) for pi, one in zip(openings, parsed, strict=True)]
            ),
        )

    def partial_decrypt(self, public_key: FptxPublicKey, key_share: KeyShare, batch: Batch, *, random: Random) -> Share:
        """One multi-scalar multiplication of B+1 terms for the digest, which is always derived from the entries.

        To be called for one batch in a round, ever. Raises Rejected: FPT-3 and FPT-4."""
        secret = int.from_bytes(key_share.secret_bytes(), "big")
        point = self._g1.multiply(self._signed(public_key, batch), secret)
        return Share(member=key_share.member, data=self._g1.encode(point))

    def verify_share(self, public_key: FptxPublicKey, batch: Batch, share: Share) -> None:
        """The digest and two Miller loops. Rejected without a member where the batch is at fault: FPT-3 and FPT-4."""
        self._checked(public_key, self._signed(public_key, batch), share)

    def combine(
        self, public_key: FptxPublicKey, batch: Batch, shares: Sequence[Share], precomputed: Precomputed
    ) -> tuple[BatchKey, tuple[int, ...]]:
        """One pairing check if the first t shares are good, else one for each."""
        signed = precomputed.signed
        key, refused = one_point.combine(
            self._g1,
            shares,
            public_key.threshold,
            unchecked=partial(self._decoded, public_key),
            checked=partial(self._checked, public_key, signed),
            is_key=lambda key: self._is_product(key, signed, public_key.point),
            rule="FPT-7",
        )
        return BatchKey(value=self._g1.encode(key), proof=b""), refused

    def verify_batch_key(
        self, public_key: FptxPublicKey, batch: Batch, batch_key: BatchKey, precomputed: Precomputed
    ) -> None:
        """Two Miller loops."""
        if batch_key.proof:
            raise Rejected("FPT-7", "an fptx batch key has no proof besides")
        if not self._is_product(self._g1.decode(batch_key.value), precomputed.signed, public_key.point):
            raise Rejected("FPT-7", "the batch key is not the one of this batch")

    def decrypt(
        self, public_key: FptxPublicKey, batch: Batch, batch_key: BatchKey, precomputed: Precomputed
    ) -> tuple[bytes | Undecryptable, ...]:
        """One pairing for each entry, on all cores."""
        key = self._g1.decode(batch_key.value)
        rest = self._backend.multi_pairings([((key,), (entry.parsed.c2,)) for entry in batch.entries])
        masks = self._backend.gt_encode_each(self._backend.gt_multiply_each(precomputed.openings, rest))
        return tuple(self._open(public_key, entry, mask) for entry, mask in zip(batch.entries, masks, strict=True))

    def opening(
        self, public_key: FptxPublicKey, batch: Batch, batch_key: BatchKey, precomputed: Precomputed, at: int
    ) -> bytes:
        """One pairing."""
        parsed: _Ciphertext = batch.entries[at].parsed
        rest = self._backend.pairing(self._g1.decode(batch_key.value), parsed.c2)
        (product,) = self._backend.gt_multiply_each([precomputed.openings[at]], [rest])
        return _body_key(public_key, self._backend.gt_encode(product), parsed.parts, batch.entries[at].aad)

    def open_alone(
        self, encryption_key: bytes, key_id: bytes, ciphertext: bytes, *, aad: bytes, height: int, opening: bytes
    ) -> bytes | Undecryptable:
        return open_body(opening, ciphertext[HEADER_BYTES : -onetime.SIGNATURE_BYTES], aad)

    def _read(self, public_key: FptxPublicKey, given: Candidate, points: Sequence[G2 | Malformed]) -> _Ciphertext:
        """FPT-1 and FPT-2, of a ciphertext whose points were decoded."""
        ciphertext = given.ciphertext
        if len(ciphertext) < OVERHEAD_BYTES:
            raise Malformed(f"an fptx ciphertext has at least {OVERHEAD_BYTES} bytes, not {len(ciphertext)}")
        c0, c1, c2 = map(required, points)
        reader = Reader(ciphertext, "an fptx ciphertext")
        encoded = (reader.take(G2_BYTES), reader.take(G2_BYTES), reader.take(G2_BYTES))
        one_time = reader.take(onetime.PUBLIC_KEY_BYTES)
        body = reader.take(len(ciphertext) - HEADER_BYTES - onetime.SIGNATURE_BYTES)
        signature = reader.take(onetime.SIGNATURE_BYTES)
        parts = (*encoded, one_time)
        if not onetime.verify(one_time, _signed_message(public_key, given.aad, parts, body), signature):
            raise CiphertextRejected("FPT-2", "the ciphertext's signature does not hold for this key and data")
        return _Ciphertext(identity=_identity(public_key.key_id, one_time), c0=c0, c1=c1, c2=c2, parts=parts, body=body)

    def _signed(self, public_key: FptxPublicKey, batch: Batch) -> G1:
        """D + Hm."""
        return self._g1.add(self._digest(public_key, batch)[1], public_key.label)

    def _digest(self, public_key: FptxPublicKey, batch: Batch) -> tuple[list[int], G1]:
        """f and D, for a batch that may get a share."""
        batch.require_key(public_key)
        header = public_key.header
        if not 1 <= len(batch) <= header.batch:
            raise Rejected("FPT-3", f"a batch of this key has 1 to {header.batch} entries, not {len(batch)}")
        if batch.round > header.rounds:
            raise Rejected("FPT-4", f"rounds are exhausted: this key's last is {header.rounds}, not {batch.round}")
        if batch.round == 0 and batch.digest != self_test_batch(self, public_key).digest:
            raise Rejected("FPT-4", "round 0 is for the self-test of key generation alone")
        polynomial = _with_roots([entry.parsed.identity for entry in batch.entries])
        return polynomial, self._g1.msm(public_key.row(batch.round)[: len(polynomial)], polynomial)

    def _decoded(self, public_key: FptxPublicKey, share: Share) -> G1:
        return one_point.read_point(self._g1, public_key.members, share, rule="FPT-5")

    def _checked(self, public_key: FptxPublicKey, signed: G1, share: Share) -> G1:
        member, point = share.member, self._decoded(public_key, share)
        if not self._is_product(point, signed, public_key.verification_keys[member - 1]):
            raise ShareRejected("FPT-6", f"member {member}'s share is not one of this batch", member=member)
        return point

    def _is_product(self, point: G1, base: G1, key: G2) -> bool:
        """Whether point = x * base for the x with key = x * generator."""
        return self._backend.pairing_check((point, self._g1.negate(base)), (self._g2.generator, key))

    def _open(self, public_key: FptxPublicKey, entry: VerifiedCiphertext, mask: bytes) -> bytes | Undecryptable:
        parsed: _Ciphertext = entry.parsed
        try:
            return unseal(_body_key(public_key, mask, parsed.parts, entry.aad), parsed.body, entry.aad)
        except AuthenticationFailed as error:
            return Undecryptable(reason=str(error))


def _body_key(public_key: FptxPublicKey, mask: bytes, parts: _Parts, aad: bytes) -> bytes:
    return derive_key(Tag.FPTX_KEM, mask, public_key.key_id, *parts, aad)


def _identity(key_id: bytes, one_time: bytes) -> int:
    """The root that stands for a ciphertext in its batch's polynomial."""
    return hash_to_scalar(Tag.FPTX_IDENTITY, key_id, one_time, modulus=ORDER)


def _signed_message(public_key: FptxPublicKey, aad: bytes, parts: _Parts, body: bytes) -> bytes:
    return tagged_hash(Tag.FPTX_SIGNATURE, public_key.key_id, aad, *parts, body)


def _with_roots(roots: Sequence[int]) -> list[int]:
    """The monic polynomial with these roots: coefficients from the constant upward."""
    coefficients = [1]
    for root in roots:
        pairs = zip([0, *coefficients], [*coefficients, 0], strict=True)
        coefficients = [(shifted - root * same) % ORDER for shifted, same in pairs]
    return coefficients


def _divided(coefficients: Sequence[int], root: int) -> list[int]:
    """The polynomial divided by X - root, which divides it: synthetic division."""
    quotient = []
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * root + coefficient) % ORDER
        quotient.append(value)
    return quotient[-2::-1]


def make(backend: Backend) -> Fptx:
    return Fptx(backend)
