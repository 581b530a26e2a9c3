"""Proofs about discrete logarithms, non-interactive by Fiat-Shamir.

* Knowledge of a logarithm (Schnorr), as (commitment, response): many verify with one multi-scalar multiplication.
* Equality of logarithms (Chaum-Pedersen), as (challenge, response): 48 bytes; one proof serves any number of pairs.

Sound in the random-oracle model. The caller puts everything the statement depends on into `context`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic

from threshold import entropy
from threshold.curve import ORDER, SCALAR_BYTES, Group
from threshold.curve.backend import Point
from threshold.encoding import Reader
from threshold.entropy import Random
from threshold.hashing import CHALLENGE_BYTES, Tag, challenge, weights

WEIGHT_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeProof(Generic[Point]):
    """Schnorr's proof in its batchable form: A = a*base and z = a + c*secret."""

    commitment: Point
    response: int

    def encode(self, group: Group[Point]) -> bytes:
        return group.encode(self.commitment) + self.response.to_bytes(SCALAR_BYTES, "big")

    @classmethod
    def decode(cls, group: Group[Point], data: bytes) -> KnowledgeProof[Point]:
        reader = Reader(data, "a proof of knowledge")
        commitment = group.decode(reader.take(group.size_bytes))
        proof = cls(commitment=commitment, response=reader.scalar(ORDER))
        reader.end()
        return proof


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeStatement(Generic[Point]):
    """ "I know x with public = x * base", bound to a tag and a context.

    base    None for the generator. Another one is bound too: as the last item of the context
    """

    public: Point
    tag: Tag
    context: tuple[bytes, ...]
    base: Point | None = None

    def challenge(self, group: Group[Point], commitment: Point) -> int:
        return self.challenge_of(*group.encode_each(self.points(commitment)))

    def points(self, commitment: Point) -> tuple[Point, ...]:
        """What the challenge is over besides the context, in order."""
        return (self.public, commitment) if self.base is None else (self.base, self.public, commitment)

    def challenge_of(self, *encoded: bytes) -> int:
        return challenge(self.tag, *self.context, *encoded)

    def multiply(self, group: Group[Point], scalar: int) -> Point:
        """That multiple of the base."""
        return group.multiply(group.generator if self.base is None else self.base, scalar)


def prove_knowledge(
    group: Group[Point], statement: KnowledgeStatement[Point], secret: int, random: Random
) -> KnowledgeProof[Point]:
    a = entropy.scalar(random, ORDER)
    commitment = statement.multiply(group, a)
    c = statement.challenge(group, commitment)
    return KnowledgeProof(commitment=commitment, response=(a + c * secret) % ORDER)


def verify_knowledge(group: Group[Point], statement: KnowledgeStatement[Point], proof: KnowledgeProof[Point]) -> bool:
    c = statement.challenge(group, proof.commitment)
    left = statement.multiply(group, proof.response)
    return group.equal(left, group.add(proof.commitment, group.multiply(statement.public, c)))


def verify_knowledge_batch(
    group: Group[Point],
    statements: Sequence[KnowledgeStatement[Point]],
    proofs: Sequence[KnowledgeProof[Point]],
    random: Random,
) -> bool:
    """Whether all proofs hold, up to an error of 2^-128. One multi-scalar multiplication of 2k+1 terms, and one more
    for every base other than the generator.

    The weights are fresh per call: fixed ones would let errors be chosen that cancel.
    """
    if len(statements) != len(proofs):
        raise ValueError(f"{len(statements)} statements but {len(proofs)} proofs")
    points: list[Point] = []
    scalars: list[int] = []
    total = 0
    involved = [s.points(proof.commitment) for s, proof in zip(statements, proofs, strict=True)]
    encoded = iter(group.encode_each([point for points_of_one in involved for point in points_of_one]))
    for statement, proof, points_of_one in zip(statements, proofs, involved, strict=True):
        weight = int.from_bytes(random(WEIGHT_BYTES), "big")
        c = statement.challenge_of(*islice(encoded, len(points_of_one)))
        points += (proof.commitment, statement.public)
        scalars += (-weight, -weight * c)
        if statement.base is None:
            total += weight * proof.response
        else:
            points.append(statement.base)
            scalars.append(weight * proof.response)
    combined = group.msm([*points, group.generator], [*scalars, total])
    return group.equal(combined, group.identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualityProof:
    """Chaum and Pedersen's proof in its short form: 48 bytes."""

    challenge: int
    response: int

    def encode(self) -> bytes:
        return self.challenge.to_bytes(CHALLENGE_BYTES, "big") + self.response.to_bytes(SCALAR_BYTES, "big")

    @classmethod
    def read(cls, reader: Reader) -> EqualityProof:
        return cls(challenge=reader.uint(CHALLENGE_BYTES), response=reader.scalar(ORDER))


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualityStatement(Generic[Point]):
    """ "One x satisfies public = x * generator and images[i] = x * bases[i] for every i".

    More than one pair is folded with 128-bit weights derived from all of them, so that errors cannot cancel.

    encoded    the canonical bytes of public, bases and images, which a caller usually has at hand
    """

    public: Point
    bases: tuple[Point, ...]
    images: tuple[Point, ...]
    encoded: bytes
    tag: Tag
    weight_tag: Tag
    context: tuple[bytes, ...]

    def fold(self, group: Group[Point], points: tuple[Point, ...]) -> Point:
        """One point that stands for `points`, which are the bases or the images."""
        if len(self.bases) != len(self.images):
            raise ValueError(f"{len(self.bases)} bases but {len(self.images)} images")
        if len(points) == 1:
            return points[0]
        return group.msm(points, weights(self.weight_tag, len(points), *self.context, self.encoded))


def prove_equality(
    group: Group[Point], statement: EqualityStatement[Point], secret: int, random: Random
) -> EqualityProof:
    base = statement.fold(group, statement.bases)
    s = entropy.scalar(random, ORDER)
    commitments = group.encode_each(group.multiply_each((group.generator, base), s))
    c = challenge(statement.tag, *statement.context, statement.encoded, *commitments)
    return EqualityProof(challenge=c, response=(s + c * secret) % ORDER)


def verify_equality(group: Group[Point], statement: EqualityStatement[Point], proof: EqualityProof) -> bool:
    base, image = statement.fold(group, statement.bases), statement.fold(group, statement.images)
    z, c = proof.response, proof.challenge
    first = group.msm((group.generator, statement.public), (z, -c))
    second = group.msm((base, image), (z, -c))
    return c == challenge(
        statement.tag, *statement.context, statement.encoded, group.encode(first), group.encode(second)
    )
