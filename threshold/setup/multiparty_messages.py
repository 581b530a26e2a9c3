"""What the members of simple-bte's joint setup say to each other: bytes, and the checks that anyone can make of them.

Every message is an envelope: round (1 byte), sender (2), payload (4-byte length first), signature (65). Rule ids are
those of `threshold.setup.multiparty`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from threshold import sharing
from threshold.curve import G1, G1_BYTES, G2, G2_BYTES, SCALAR_BYTES, Backend
from threshold.encoding import Reader, counted, sized, u8, u16, u32
from threshold.entropy import Random
from threshold.errors import Malformed, Rejected
from threshold.hashing import Tag, tagged_hash
from threshold.proofs import KnowledgeProof, KnowledgeStatement, prove_knowledge, verify_knowledge
from threshold.setup import punctured
from threshold.setup.dkg_messages import (
    SELF_TEST_LIMIT_BYTES,
    SIGNATURE_BYTES,
)
from threshold.setup.punctured import PuncturedPowers
from threshold.symmetric import TAG_BYTES

VIEW_BYTES = 32
HELLO, DEAL, FIRST_MULTIPLICATION = 1, 2, 3


def multiplication_threshold(n: int) -> int:
    """t': how many of n members learn tau if they collude during the setup."""
    return (n + 1) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """What all members are started with, and what follows from it. Rounds are numbered from 1."""

    backend: Backend
    ceremony_id: bytes
    scheme: int
    n: int
    t: int
    batch: int

    @property
    def reshare(self) -> int:
        return FIRST_MULTIPLICATION + (self.batch - 1).bit_length()

    @property
    def publish(self) -> int:
        return self.reshare + 1

    @property
    def confirm(self) -> int:
        return self.publish + 1

    def products(self, number: int) -> tuple[tuple[int, int], ...]:
        """Pairs a, b for which tau^a * tau^b is computed in this round."""
        if number == self.reshare:
            return tuple((self.batch, k) for k in range(2, self.batch + 1))
        if not FIRST_MULTIPLICATION <= number < self.reshare:
            return ()
        known = 1 << (number - FIRST_MULTIPLICATION)
        return tuple((known, k) for k in range(1, min(known, self.batch - known) + 1))

    def numbers(self, number: int) -> int:
        """How many numbers a member deals in this round."""
        return (number == DEAL) + len(self.products(number)) + (self.batch if number == self.reshare else 0)

    def box_bytes(self, number: int) -> int:
        return self.numbers(number) * SCALAR_BYTES + TAG_BYTES

    def payload_bytes(self, number: int) -> int:
        """The exact size in every round but the last, where it is the largest allowed."""
        if number == HELLO:
            return VIEW_BYTES + 2 * G1_BYTES + SCALAR_BYTES
        if number < self.publish:
            return VIEW_BYTES + (self.n - 1) * self.box_bytes(number)
        if number == self.publish:
            return VIEW_BYTES + min(2, self.batch) * G1_BYTES + (2 * self.batch - 1) * G2_BYTES
        return 32 + SIGNATURE_BYTES + 4 + SELF_TEST_LIMIT_BYTES

    @property
    def first_view(self) -> bytes:
        return tagged_hash(
            Tag.MPC_TRANSCRIPT, b"start", self.ceremony_id, u8(self.scheme), u16(self.n), u16(self.t), u32(self.batch)
        )

    def others(self, member: int) -> Iterator[int]:
        """Recipients of a member's boxes, in the boxes' order."""
        return (other for other in range(1, self.n + 1) if other != member)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A signed envelope: round (1 byte), sender (2), payload (4-byte length first), signature (65). Decoding
    establishes nothing about the signature or the payload, but that it is not longer than any honest one.

    A payload is empty, or starts with the sender's view, a hash of all messages of the rounds before; in the last
    round it is a `Confirmation`.
    """

    round: int
    sender: int
    payload: bytes
    signature: bytes

    def encode(self) -> bytes:
        return u8(self.round) + u16(self.sender) + sized(self.payload) + self.signature

    @classmethod
    def decode(cls, ceremony: Ceremony, data: bytes) -> Message:
        reader = Reader(data, "a ceremony message")
        number = reader.u8()
        if not HELLO <= number <= ceremony.confirm:
            raise Malformed(f"the ceremony has no round {number}")
        message = cls(
            round=number,
            sender=reader.u16(),
            payload=reader.sized(ceremony.payload_bytes(number)),
            signature=reader.take(SIGNATURE_BYTES),
        )
        reader.end()
        return message

    def digest(self, ceremony_id: bytes) -> bytes:
        """The 32 bytes the sender signs."""
        return message_digest(ceremony_id, self.round, self.sender, self.payload)


def message_digest(ceremony_id: bytes, number: int, sender: int, payload: bytes) -> bytes:
    return tagged_hash(Tag.MPC_MESSAGE, ceremony_id, u8(number), u16(sender), payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A member's Diffie-Hellman key E = e * g1 for this ceremony, with proof that it knows e."""

    key: G1
    proof: KnowledgeProof[G1]

    @classmethod
    def make(cls, ceremony: Ceremony, member: int, secret: int, random: Random) -> Hello:
        group = ceremony.backend.g1
        key = group.multiply(group.generator, secret)
        return cls(key=key, proof=prove_knowledge(group, _possession(ceremony, member, key), secret, random))

    def is_proven(self, ceremony: Ceremony, member: int) -> bool:
        return verify_knowledge(ceremony.backend.g1, _possession(ceremony, member, self.key), self.proof)

    def encode(self, ceremony: Ceremony) -> bytes:
        return ceremony.backend.g1.encode(self.key) + self.proof.encode(ceremony.backend.g1)

    @classmethod
    def decode(cls, ceremony: Ceremony, body: bytes) -> Hello:
        """Raises Malformed. The proof is not verified."""
        group = ceremony.backend.g1
        return cls(key=group.decode(body[:G1_BYTES]), proof=KnowledgeProof.decode(group, body[G1_BYTES:]))


def _possession(ceremony: Ceremony, member: int, key: G1) -> KnowledgeStatement[G1]:
    return KnowledgeStatement(public=key, tag=Tag.MPC_POSSESSION, context=(ceremony.ceremony_id, u16(member)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The images of one member's shares.

    first                [share of tau]_1 and, unless B = 1, of tau^2
    verification_keys    [s^i]_2 for i = 1..B: shares of degree t-1
    higher               [share of tau^i]_2 for i = B+2..2B: shares of degree t'-1
    """

    first: tuple[G1, ...]
    verification_keys: tuple[G2, ...]
    higher: tuple[G2, ...]

    def encode(self, ceremony: Ceremony) -> bytes:
        backend = ceremony.backend
        in_g2 = (*self.verification_keys, *self.higher)
        return b"".join((*map(backend.g1.encode, self.first), *map(backend.g2.encode, in_g2)))

    @classmethod
    def decode(cls, ceremony: Ceremony, body: bytes) -> Publication:
        """Raises Malformed."""
        backend, batch = ceremony.backend, ceremony.batch
        reader = Reader(body, "published images")
        first = tuple(backend.g1.decode(reader.take(G1_BYTES)) for _ in range(min(2, batch)))
        in_g2 = tuple(backend.g2.decode(reader.take(G2_BYTES)) for _ in range(2 * batch - 1))
        reader.end()
        return cls(first=first, verification_keys=in_g2[:batch], higher=in_g2[batch:])


def assemble(ceremony: Ceremony, published: Sequence[Publication], view: bytes) -> PuncturedPowers:
    """The parameters from what members 1..n published, checked as anyone can. `view` names the publications.

    Raises Rejected: MPC-8, or the rule of `threshold.setup.punctured` that they break.
    """
    backend, low = ceremony.backend, multiplication_threshold(ceremony.n)
    rows = dict(enumerate(published, start=1))
    first = sharing.recover_points(backend.g1, {j: rows[j].first for j in range(1, low + 1)})
    higher = sharing.recover_points(backend.g2, {j: rows[j].higher for j in range(1, low + 1)})
    lower = sharing.recover_points(backend.g2, {j: rows[j].verification_keys for j in range(1, ceremony.t + 1)})
    in_g1 = tuple(zip(first, *(row.first for row in published), strict=True))
    in_g2 = tuple(zip(higher, *(row.higher for row in published), strict=True))
    if not (
        punctured.on_polynomials(backend.g1, in_g1, low, view)
        and punctured.on_polynomials(backend.g2, in_g2, low, view)
    ):
        raise Rejected("MPC-8", f"published images lie on no polynomial of degree {low - 1}")
    powers = PuncturedPowers(
        batch=ceremony.batch,
        t1=first[0],
        t2=first[1] if ceremony.batch > 1 else None,
        h=(*lower, *higher),
        verification_keys=tuple(row.verification_keys for row in published),
    )
    punctured.verify(backend, powers, ceremony.t)
    return powers


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What a ceremony agreed on.

    view                 names every message from the hellos to the publications
    parameter_digest     of the key's parameters: `PublicMaterial.parameter_digest`
    verification_keys    the first of each member 1..n, as in the public material; the digest covers all
    """

    ceremony_id: bytes
    scheme: int
    n: int
    t: int
    batch: int
    view: bytes
    encryption_key: bytes
    parameter_digest: bytes
    verification_keys: tuple[bytes, ...]

    @property
    def digest(self) -> bytes:
        """The 32 bytes that members sign."""
        return tagged_hash(Tag.MPC_TRANSCRIPT, b"agreement", self.encode())

    def encode(self) -> bytes:
        return b"".join(
            (
                sized(self.ceremony_id),
                u8(self.scheme),
                u16(self.n),
                u16(self.t),
                u32(self.batch),
                self.view,
                sized(self.encryption_key),
                self.parameter_digest,
                counted(self.verification_keys),
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> Agreement:
        """Raises Malformed. Whether the keys are points is not looked at."""
        agreement = cls(
            ceremony_id=reader.sized(),
            scheme=reader.u8(),
            n=reader.u16(),
            t=reader.u16(),
            batch=reader.u32(),
            view=reader.take(VIEW_BYTES),
            encryption_key=reader.sized(),
            parameter_digest=reader.take(32),
            verification_keys=reader.counted(),
        )
        if not 1 <= agreement.t <= agreement.n == len(agreement.verification_keys) or agreement.batch < 1:
            raise Malformed(
                f"{len(agreement.verification_keys)} verification keys for {agreement.t} of {agreement.n} members"
            )
        return agreement
