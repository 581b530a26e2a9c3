"""Simple BTE: batched threshold encryption with one share for a whole batch, for any number of batches.

Policharla, eprint 2026/760, section 4; the same scheme is BTX, eprint 2026/754. Secure against chosen ciphertexts
under the q-DBPDH assumption, with random oracles and against algebraic adversaries: the proof of knowledge in a
ciphertext is plain Fiat-Shamir.

The key is made of powers h_i = [tau^i]_2 with a hole at B+1, and a mask is e([tau]_1, h_B)^k, which is
e(g1, g2)^(k tau^(B+1)). Any ciphertext may stand in any slot of any batch. What no batch lists stays closed, whatever
else is opened: two batches signed for one height open only what they list. The price is a secret of B scalars for each
member, m+1 Miller loops to check a share, and a key that only a multiparty computation or a trusted dealer can make.

Let ct_1..ct_m be the points of a batch, m <= B. From pd = sum over l of tau^l * ct_l, which t shares give,

    mask_i = e(pd, h_(B+1-i)) / X_i,    X_i = product over l != i of e(ct_l, h_(B+1+l-i)).

X needs no share. It is a Toeplitz matrix, which the key fixes, times the vector of the ciphertexts.

Ciphertext, 144 bytes more than the plaintext: ct (48) | A (48) | z (32) | sealed body. Share of a batch: 48 bytes.
A share is bound to the points ct and their order, but not to the height or the commitment: what carries it has to name
those.

Requirements:
SBT-1  ct and A are canonical points of G1, in the subgroup, not the identity; z is below the group order
SBT-2  z * g1 = A + c * ct for the challenge c over key, associated data, body, ct and A
SBT-3  a batch has at least one entry and at most B
SBT-4  a share is one point of G1 as in SBT-1, from one of the members 1..n
SBT-5  a share is the member's: e(pd_j, g2) = product over i of e(ct_i, v_j^i)
SBT-6  a batch key is the one point pd with e(pd, g2) = product over i of e(ct_i, h_i), as any t valid shares give it
SBT-7  the parameters have the size that B and n ask for, and hold the encryption key and the verification keys
The parameters have rules of their own: threshold.setup.punctured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial

from threshold import entropy
from threshold.curve import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    GT,
    ORDER,
    SCALAR_BYTES,
    Backend,
    FixedBase,
    Toeplitz,
    decode_all,
    required,
)
from threshold.encoding import Reader
from threshold.entropy import Random
from threshold.errors import CiphertextRejected, Malformed, Rejected, ShareRejected, ThresholdError
from threshold.hashing import Tag
from threshold.keys import KeyGenerationParty, KeyShare, Limits, PublicMaterial, Seat
from threshold.proofs import (
    KnowledgeProof,
    KnowledgeStatement,
    prove_knowledge,
    verify_knowledge,
    verify_knowledge_batch,
)
from threshold.schemes import one_point
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
from threshold.schemes.key_generation import DerivedSelfTest
from threshold.setup import multiparty, multiparty_messages, punctured
from threshold.symmetric import TAG_BYTES, AuthenticationFailed, derive_key, seal, unseal
from threshold.toeplitz import padded_size, prepare

HEADER_BYTES = 2 * G1_BYTES + SCALAR_BYTES
OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES

_HALVED_FROM = 16
"""Fewer proofs than this are checked one by one when they do not hold together."""


@dataclass(frozen=True, kw_only=True)
class SimpleBtePublicKey:
    """The points in G2 besides h_B are decoded when first asked for, 0.1 ms each, and kept: a client needs none, and
    a batch only what its size asks for. Malformed then, if one does not decode.

    batch         B
    t1, top       [tau]_1 and h_B: all that encrypting rests on
    parameters    as `threshold.setup.punctured` encodes them
    """

    key_id: bytes
    threshold: int
    members: int
    batch: int
    t1: G1
    top: G2
    encryption_key: bytes
    parameters: bytes
    backend: Backend
    _points: dict[bytes, G2] = field(default_factory=dict, init=False, repr=False, compare=False)
    _prepared: dict[int, G2] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def limits(self) -> Limits:
        return Limits(batch=self.batch)

    @property
    def encoded_t1(self) -> bytes:
        return self.parameters[4 : 4 + G1_BYTES]

    @cached_property
    def mask(self) -> FixedBase[GT]:
        """e([tau]_1, h_B) to the power of k."""
        return self.backend.fixed_pairing(self.t1, self.top)

    def powers(self, indices: Sequence[int]) -> tuple[G2, ...]:
        """h_i for each. ValueError for an i that is not in 1..2B or is B+1."""
        for i in indices:
            if not 1 <= i <= 2 * self.batch or i == self.batch + 1:
                raise ValueError(f"there is no power {i} in parameters for a batch of {self.batch}")
        return self._decoded([self.encoded_power(i) for i in indices])

    def paired_powers(self, indices: Sequence[int]) -> tuple[G2, ...]:
        """The same, ready to be paired in batch after batch."""
        missing = [i for i in indices if i not in self._prepared]
        self._prepared.update(zip(missing, self.backend.prepare(self.powers(missing)), strict=True))
        return tuple(self._prepared[i] for i in indices)

    def verification_keys(self, member: int, count: int) -> tuple[G2, ...]:
        """[s_j^i]_2 of member j, for i from 1 to `count`."""
        return self._decoded([self.encoded_verification_key(member, i) for i in range(1, count + 1)])

    def encoded_power(self, i: int) -> bytes:
        return self._encoded(i - 1 if i <= self.batch else i - 2)

    def encoded_verification_key(self, member: int, i: int) -> bytes:
        return self._encoded(2 * self.batch - 1 + (member - 1) * self.batch + i - 1)

    def _encoded(self, number: int) -> bytes:
        """One of the points in G2, which end the parameters: 2B-1 powers, then B for each member."""
        start = len(self.parameters) - G2_BYTES * (2 * self.batch - 1 + self.members * self.batch - number)
        return self.parameters[start : start + G2_BYTES]

    def _decoded(self, encoded: Sequence[bytes]) -> tuple[G2, ...]:
        missing = [data for data in dict.fromkeys(encoded) if data not in self._points]
        self._points.update(zip(missing, decode_all(self.backend.g2, missing), strict=True))
        return tuple(self._points[data] for data in encoded)

    @cached_property
    def matrix(self) -> Callable[[int], Toeplitz]:
        """For a size that `threshold.toeplitz` takes, the matrix whose products are 1 / X_i. Takes a second or two for
        the longest batches, once."""

        def make(size: int) -> Toeplitz:
            g2, hole = self.backend.g2, self.batch + 1
            indices = range(hole + 1 - size, hole + size)
            inside = [i for i in indices if 0 < i <= 2 * self.batch and i != hole]
            powers = dict(zip(inside, self.powers(inside), strict=True))
            return prepare(self.backend, [g2.negate(powers[i]) if i in powers else g2.identity for i in indices])

        return cache(make)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ciphertext:
    point: G1
    point_bytes: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Precomputed:
    """
    check       product over i of e(ct_i, h_i), which e(pd, g2) must equal
    inverses    1 / X_i for each entry
    """

    check: GT
    inverses: tuple[GT, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a ciphertext says, before its proof was looked at."""

    candidate: Candidate
    parsed: _Ciphertext
    statement: KnowledgeStatement[G1]
    proof: KnowledgeProof[G1]


class SimpleBte:
    info = SchemeInfo(
        name="simple-bte",
        number=3,
        title="Simple BTE batched threshold encryption",
        setup="multiparty computation",
        setup_privacy="min(t, floor((n+1)/2))",
        ciphertext_overhead_bytes=OVERHEAD_BYTES,
        share_bytes_per_transaction=0,
        share_bytes_per_batch=G1_BYTES,
        secret_bytes=0,
        secret_bytes_per_slot=SCALAR_BYTES,
        restrictions="the size of a batch is limited",
        opens="the batch",
        pending_privacy=True,
        hides=True,
        cca="q-DBPDH, random oracle, algebraic group model",
        equivocation_opens="only what either batch lists",
        needs_default_threshold=False,
        addresses_height=False,
        limits_batch=True,
        limits_rounds=False,
        opened_alone_by="body key",
        reshares=False,
    )

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._g1 = backend.g1
        self._g2 = backend.g2

    @cached_property
    def _times_generator(self) -> FixedBase[G1]:
        return self._g1.fixed_base(self._g1.generator)

    def key_generation(self, seat: Seat) -> KeyGenerationParty:
        self_test = DerivedSelfTest(self, network=seat.network, random=seat.random)
        return multiparty.Party(seat, self._backend, self.info.number, self_test)

    def deal(self, *, n: int, t: int, limits: Limits, random: Random) -> tuple[PublicMaterial, tuple[KeyShare, ...]]:
        """Costs (n+2)B fixed-base multiplications in G2."""
        if limits.batch is None:
            raise ValueError("a simple-bte key is made for a largest batch: give one")
        powers, secrets = punctured.deal(self._backend, n=n, t=t, batch=limits.batch, random=random)
        shares = tuple(
            KeyShare(member, b"".join(s.to_bytes(SCALAR_BYTES, "big") for s in scalars))
            for member, scalars in enumerate(secrets, start=1)
        )
        return punctured.material(self.info.number, t, powers, self._backend), shares

    def setup_privacy(self, n: int, t: int) -> int:
        return min(t, multiparty_messages.multiplication_threshold(n))

    def load_public_key(self, material: PublicMaterial, *, key_id: bytes) -> SimpleBtePublicKey:
        """SBT-7 on the bytes; of the points only the encryption key's are decoded."""
        if material.scheme != self.info.number:
            raise Rejected("SBT-7", "the key material is not a simple-bte key")
        batch, n = Reader(material.parameters, "the parameters").u32(), material.members
        if batch < 1 or len(material.parameters) != punctured.size_bytes(batch, n):
            raise Rejected(
                "SBT-7", f"{len(material.parameters)} bytes are not parameters for a batch of {batch} and {n} members"
            )
        public_key = SimpleBtePublicKey(
            key_id=key_id,
            threshold=material.threshold,
            members=n,
            batch=batch,
            t1=self._g1.decode(material.encryption_key[:G1_BYTES]),
            top=self._g2.decode(material.encryption_key[G1_BYTES:]),
            encryption_key=material.encryption_key,
            parameters=material.parameters,
            backend=self._backend,
        )
        if material.encryption_key != public_key.encoded_t1 + public_key.encoded_power(batch):
            raise Rejected("SBT-7", "the encryption key is not the one in the parameters")
        for member, given in enumerate(material.verification_keys, start=1):
            if given != public_key.encoded_verification_key(member, 1):
                raise Rejected(
                    "SBT-7", f"member {member}'s verification key is not the one in the parameters", member=member
                )
        return public_key

    def verify_parameters(self, public_key: SimpleBtePublicKey) -> None:
        """SBT-20 to SBT-25. Decodes all (n+2)B points."""
        powers = punctured.decode(self._backend, public_key.parameters, public_key.members)
        punctured.verify(self._backend, powers, public_key.threshold)

    def encrypt(
        self, public_key: SimpleBtePublicKey, plaintext: bytes, *, aad: bytes, height: int, random: Random
    ) -> bytes:
        """One power of a fixed pairing, a fixed-base multiplication in G1 and another one."""
        k = entropy.scalar(random, ORDER)
        point = self._times_generator(k)
        point_bytes = self._g1.encode(point)
        mask = self._backend.gt_encode(public_key.mask(k))
        body = seal(_body_key(public_key, mask, point_bytes, aad), plaintext, aad)
        proof = prove_knowledge(self._g1, _statement(public_key, point, body, aad), k, random)
        return point_bytes + proof.encode(self._g1) + body

    def verify_ciphertext(
        self, public_key: SimpleBtePublicKey, ciphertext: bytes, *, aad: bytes, height: int
    ) -> VerifiedCiphertext:
        """Three multiplications."""
        return verify_one(self, public_key, ciphertext, aad=aad, height=height)

    def verify_ciphertexts(
        self, public_key: SimpleBtePublicKey, candidates: Sequence[Candidate], *, random: Random
    ) -> tuple[VerifiedCiphertext | ThresholdError, ...]:
        """One multi-scalar multiplication of 2k+1 terms if all k are good; the wrong ones are found by halving."""
        read = self._read_each(public_key, candidates)
        claims = {at: claim for at, claim in enumerate(read) if isinstance(claim, _Claim)}
        unproven = set(self._unproven(claims, random))
        results: list[VerifiedCiphertext | ThresholdError] = []
        for at, claim in enumerate(read):
            if isinstance(claim, ThresholdError):
                results.append(claim)
            elif at in unproven:
                results.append(_not_proven())
            else:
                given, key_id = claim.candidate, public_key.key_id
                results.append(
                    VerifiedCiphertext(key_id=key_id, ciphertext=given.ciphertext, aad=given.aad, parsed=claim.parsed)
                )
        return tuple(results)

    def precompute(self, public_key: SimpleBtePublicKey, batch: Batch) -> Precomputed:
        """All but one pairing for each entry. Raises Rejected: SBT-3.

        The first batch of a size class, see `threshold.toeplitz.padded_size`, prepares the matrix besides."""
        points = self._points(public_key, batch)
        matrix = public_key.matrix(padded_size(len(points)))
        powers = public_key.paired_powers(range(1, len(points) + 1))
        return Precomputed(
            check=self._backend.multi_pairing(points, powers),
            inverses=matrix.multiply(points),
        )

    def partial_decrypt(
        self, public_key: SimpleBtePublicKey, key_share: KeyShare, batch: Batch, *, random: Random
    ) -> Share:
        """One multi-scalar multiplication. Raises Rejected: SBT-3."""
        points = self._points(public_key, batch)
        reader = Reader(key_share.secret_bytes(), "a key share")
        scalars = [reader.scalar(ORDER) for _ in range(public_key.batch)]
        reader.end()
        image = self._g1.msm(points, scalars[: len(points)])
        return Share(member=key_share.member, data=self._g1.encode(image))

    def verify_share(self, public_key: SimpleBtePublicKey, batch: Batch, share: Share) -> None:
        """m+1 Miller loops. Rejected without a member where the batch is at fault: SBT-3."""
        self._checked_share(public_key, self._points(public_key, batch), share)

    def combine(
        self, public_key: SimpleBtePublicKey, batch: Batch, shares: Sequence[Share], precomputed: Precomputed
    ) -> tuple[BatchKey, tuple[int, ...]]:
        """One pairing when the first t shares are good; else each share is checked by itself until t are."""
        points = self._points(public_key, batch)
        key, refused = one_point.combine(
            self._g1,
            shares,
            public_key.threshold,
            unchecked=partial(self._read_share, public_key),
            checked=partial(self._checked_share, public_key, points),
            is_key=lambda key: self._is_key(key, precomputed),
            rule="SBT-6",
        )
        return BatchKey(value=self._g1.encode(key), proof=b""), refused

    def verify_batch_key(
        self, public_key: SimpleBtePublicKey, batch: Batch, batch_key: BatchKey, precomputed: Precomputed
    ) -> None:
        """One pairing."""
        if batch_key.proof:
            raise Rejected("SBT-6", "a simple-bte batch key has no proof besides")
        if not self._is_key(self._g1.decode(batch_key.value), precomputed):
            raise Rejected("SBT-6", "the batch key is not the one of this batch")

    def decrypt(
        self, public_key: SimpleBtePublicKey, batch: Batch, batch_key: BatchKey, precomputed: Precomputed
    ) -> tuple[bytes | Undecryptable, ...]:
        """One pairing for each entry, on all cores."""
        key = self._g1.decode(batch_key.value)
        powers = public_key.paired_powers([public_key.batch - at for at in range(len(batch))])
        pairings = self._backend.multi_pairings([((key,), (power,)) for power in powers])
        masks = self._backend.gt_encode_each(self._backend.gt_multiply_each(pairings, precomputed.inverses))
        return tuple(self._open(public_key, entry, mask) for entry, mask in zip(batch.entries, masks, strict=True))

    def opening(
        self, public_key: SimpleBtePublicKey, batch: Batch, batch_key: BatchKey, precomputed: Precomputed, at: int
    ) -> bytes:
        """One pairing."""
        (power,), entry = public_key.paired_powers([public_key.batch - at]), batch.entries[at]
        pairing = self._backend.multi_pairing((self._g1.decode(batch_key.value),), (power,))
        (product,) = self._backend.gt_multiply_each([pairing], [precomputed.inverses[at]])
        return _body_key(public_key, self._backend.gt_encode(product), entry.parsed.point_bytes, entry.aad)

    def open_alone(
        self, encryption_key: bytes, key_id: bytes, ciphertext: bytes, *, aad: bytes, height: int, opening: bytes
    ) -> bytes | Undecryptable:
        return open_body(opening, ciphertext[HEADER_BYTES:], aad)

    def _points(self, public_key: SimpleBtePublicKey, batch: Batch) -> tuple[G1, ...]:
        """SBT-3."""
        batch.require_key(public_key)
        if not 1 <= len(batch) <= public_key.batch:
            raise Rejected("SBT-3", f"a batch of this key has 1 to {public_key.batch} entries, not {len(batch)}")
        return tuple(entry.parsed.point for entry in batch.entries)

    def _read_each(
        self, public_key: SimpleBtePublicKey, candidates: Sequence[Candidate]
    ) -> list[_Claim | ThresholdError]:
        """SBT-1."""
        headers = [given.ciphertext[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0") for given in candidates]
        points = self._g1.decode_each([header[:G1_BYTES] for header in headers])
        commitments = self._g1.decode_each([header[G1_BYTES : 2 * G1_BYTES] for header in headers])

        def claim(given: Candidate, header: bytes, point: G1 | Malformed, commitment: G1 | Malformed) -> _Claim:
            size = len(given.ciphertext)
            if size < OVERHEAD_BYTES:
                raise Malformed(f"a simple-bte ciphertext has at least {OVERHEAD_BYTES} bytes, not {size}")
            point, commitment = required(point), required(commitment)
            body = given.ciphertext[HEADER_BYTES:]
            response = Reader(header[2 * G1_BYTES :], "a proof of knowledge").scalar(ORDER)
            return _Claim(
                candidate=given,
                parsed=_Ciphertext(point=point, point_bytes=header[:G1_BYTES], body=body),
                statement=_statement(public_key, point, body, given.aad),
                proof=KnowledgeProof(commitment=commitment, response=response),
            )

        return each_or_error(claim, candidates, headers, points, commitments)

    def _unproven(self, claims: dict[int, _Claim], random: Random) -> list[int]:
        """The keys of the claims that break SBT-2."""
        statements, proofs = [c.statement for c in claims.values()], [c.proof for c in claims.values()]
        if len(claims) > 1 and verify_knowledge_batch(self._g1, statements, proofs, random):
            return []
        if len(claims) < _HALVED_FROM:
            return [at for at, c in claims.items() if not verify_knowledge(self._g1, c.statement, c.proof)]
        keys, half = list(claims), len(claims) // 2
        first, second = ({at: claims[at] for at in part} for part in (keys[:half], keys[half:]))
        return self._unproven(first, random) + self._unproven(second, random)

    def _read_share(self, public_key: SimpleBtePublicKey, share: Share) -> G1:
        return one_point.read_point(self._g1, public_key.members, share, rule="SBT-4")

    def _checked_share(self, public_key: SimpleBtePublicKey, points: tuple[G1, ...], share: Share) -> G1:
        """SBT-4 and SBT-5."""
        sent = self._read_share(public_key, share)
        keys = public_key.verification_keys(share.member, len(points))
        product = self._backend.multi_pairing(points, keys)
        if not self._backend.gt_equal(self._backend.pairing(sent, self._g2.generator), product):
            raise ShareRejected(
                "SBT-5", f"member {share.member}'s share is not one for this batch", member=share.member
            )
        return sent

    def _is_key(self, key: G1, precomputed: Precomputed) -> bool:
        """SBT-6."""
        return self._backend.gt_equal(self._backend.pairing(key, self._g2.generator), precomputed.check)

    def _open(self, public_key: SimpleBtePublicKey, entry: VerifiedCiphertext, mask: bytes) -> bytes | Undecryptable:
        parsed: _Ciphertext = entry.parsed
        key = _body_key(public_key, mask, parsed.point_bytes, entry.aad)
        try:
            return unseal(key, parsed.body, entry.aad)
        except AuthenticationFailed as error:
            return Undecryptable(reason=str(error))


def _body_key(public_key: SimpleBtePublicKey, mask: bytes, point: bytes, aad: bytes) -> bytes:
    return derive_key(Tag.SBTE_KEM, mask, public_key.key_id, point, aad)


def _statement(public_key: SimpleBtePublicKey, point: G1, body: bytes, aad: bytes) -> KnowledgeStatement[G1]:
    """ "I know k with point = k * g1", and meant it for this key, body and associated data."""
    return KnowledgeStatement(
        public=point,
        tag=Tag.SBTE_POSSESSION,
        context=(public_key.key_id, public_key.encryption_key, aad, body),
    )


def _not_proven() -> CiphertextRejected:
    return CiphertextRejected("SBT-2", "the ciphertext's proof does not hold for this key and associated data")


def make(backend: Backend) -> SimpleBte:
    return SimpleBte(backend)
