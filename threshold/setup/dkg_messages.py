"""What the peers of a key ceremony say to each other: bytes, their checks, and what anyone can judge from them.

Every message is an envelope: round (1 byte), sender (2), payload (4-byte length first), signature (65). A payload is
decoded under the sender's number, which is never part of it. Rule ids are those of `threshold.setup.dkg`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Generic

from threshold import entropy, sharing
from threshold.curve import ORDER, SCALAR_BYTES, Group
from threshold.curve.backend import Point
from threshold.encoding import Reader, counted, sized, u8, u16, u32
from threshold.entropy import Random
from threshold.errors import Malformed, Rejected
from threshold.hashing import CHALLENGE_BYTES, Tag, tagged_hash
from threshold.keys import MAX_MEMBERS
from threshold.proofs import (
    EqualityProof,
    EqualityStatement,
    KnowledgeProof,
    KnowledgeStatement,
    prove_equality,
    prove_knowledge,
    verify_equality,
)
from threshold.symmetric import TAG_BYTES, AuthenticationFailed, derive_key, seal, unseal

SIGNATURE_BYTES = 65
ENVELOPE_BYTES = 1 + 2 + 4 + SIGNATURE_BYTES
SEALED_BYTES = SCALAR_BYTES + TAG_BYTES
SELF_TEST_LIMIT_BYTES = 1 << 16
VERSIONS_KEPT = 2
"""Two different messages of one member in one round are evidence; a third adds nothing."""


class Round(IntEnum):
    """Three times everyone speaks and everyone forwards what it heard; then members sign what came of it."""

    HELLO = 1
    HELLO_ECHO = 2
    DEALING = 3
    DEALING_ECHO = 4
    COMPLAINT = 5
    COMPLAINT_ECHO = 6
    CONFIRM = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony(Generic[Point]):
    """What all peers are started with: who speaks when, and what the dealings come to.

    Proofs and signatures made in one ceremony say nothing in another.

    This one is a key generation: each of n members deals a secret of its own, and the key is their sum.
    `threshold.setup.reshare.Resharing` says where handing on a key differs.

    n, t    of the committee that is to hold the key; its members are peers 1..n
    """

    ceremony_id: bytes
    n: int
    t: int
    group: Group[Point]

    @property
    def peers(self) -> int:
        """Peers 1..n are members of the committee that is to hold the key; others only deal."""
        return self.n

    @property
    def dealers(self) -> Collection[int]:
        return range(1, self.n + 1)

    @property
    def dealings_needed(self) -> int:
        return self.t

    def speakers(self, number: Round) -> Collection[int]:
        """The peers that have something to say in a round."""
        match number:
            case Round.DEALING:
                return self.dealers
            case Round.COMPLAINT | Round.CONFIRM:
                return range(1, self.n + 1)
            case Round.HELLO | Round.HELLO_ECHO | Round.DEALING_ECHO | Round.COMPLAINT_ECHO:
                return range(1, self.peers + 1)

    def check_constant(self, dealer: int, constant: Point) -> None:
        """Whether a dealer may deal the secret behind this point: here, any. Raises Rejected naming the dealer."""

    def weights(self, dealers: Sequence[int]) -> Sequence[int]:
        """What each of the qualified dealings is multiplied by in the sum."""
        return (1,) * len(dealers)

    def agreement(
        self, dealt: Mapping[int, bytes], encryption_key: bytes, verification_keys: tuple[bytes, ...]
    ) -> Agreement:
        """What members sign. `dealt` has the digest of each qualified dealing by its dealer."""
        return Agreement(
            ceremony_id=self.ceremony_id,
            n=self.n,
            t=self.t,
            dealings=tuple(sorted(dealt.items())),
            encryption_key=encryption_key,
            verification_keys=verification_keys,
        )

    @property
    def limit_bytes(self) -> int:
        """No honest message is longer. The longest are echoes, O(peers * (t + n)), or a confirmation."""
        point = self.group.size_bytes
        dealing = (self.t + 3) * point + 2 * SCALAR_BYTES + 4 + self.n * (4 + SEALED_BYTES)
        complaints = 4 + self.peers * (4 + 2 + point + CHALLENGE_BYTES + SCALAR_BYTES)
        echo = 4 + VERSIONS_KEPT * self.peers * (4 + ENVELOPE_BYTES + max(dealing, complaints))
        return ENVELOPE_BYTES + max(echo, 32 + SIGNATURE_BYTES + 4 + SELF_TEST_LIMIT_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A signed envelope. Decoding establishes nothing about the signature or the payload."""

    round: Round
    sender: int
    payload: bytes
    signature: bytes

    def encode(self) -> bytes:
        return u8(self.round) + u16(self.sender) + sized(self.payload) + self.signature

    @classmethod
    def decode(cls, data: bytes) -> Message:
        reader = Reader(data, "a ceremony message")
        number = reader.u8()
        if not Round.HELLO <= number <= Round.CONFIRM:
            raise Malformed(f"a ceremony has no round {number}")
        message = cls(
            round=Round(number),
            sender=reader.u16(),
            payload=reader.sized(),
            signature=reader.take(SIGNATURE_BYTES),
        )
        reader.end()
        return message

    def digest(self, ceremony_id: bytes) -> bytes:
        """The 32 bytes the sender signs. Also the name of a dealing in the transcript."""
        return message_digest(ceremony_id, self.round, self.sender, self.payload)


def message_digest(ceremony_id: bytes, round_: Round, sender: int, payload: bytes) -> bytes:
    return tagged_hash(Tag.DKG_MESSAGE, ceremony_id, u8(round_), u16(sender), payload)


def encode_echo(messages: Sequence[Message]) -> bytes:
    return counted([message.encode() for message in messages])


def decode_echo(data: bytes, *, n: int) -> tuple[Message, ...]:
    reader = Reader(data, "an echo")
    messages = tuple(Message.decode(item) for item in reader.counted(VERSIONS_KEPT * n))
    reader.end()
    return messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Generic[Point]):
    """A member's Diffie-Hellman key E = e * generator for this ceremony, with proof that it knows e.

    Without the proof a member could answer with a multiple of someone else's key and turn that member's complaints
    into an oracle. Size: 2 points + 32 bytes.
    """

    member: int
    key: Point
    proof: KnowledgeProof[Point]

    @classmethod
    def make(cls, ceremony: Ceremony[Point], member: int, secret: int, random: Random) -> Hello[Point]:
        key = ceremony.group.multiply(ceremony.group.generator, secret)
        proof = prove_knowledge(ceremony.group, _hello_statement(ceremony, member, key), secret, random)
        return cls(member=member, key=key, proof=proof)

    def claims(self, ceremony: Ceremony[Point]) -> tuple[tuple[KnowledgeStatement[Point], KnowledgeProof[Point]], ...]:
        return ((_hello_statement(ceremony, self.member, self.key), self.proof),)

    def encode(self, group: Group[Point]) -> bytes:
        return group.encode(self.key) + self.proof.encode(group)

    @classmethod
    def decode(cls, ceremony: Ceremony[Point], member: int, data: bytes) -> Hello[Point]:
        """Raises Malformed. The proof is not verified."""
        group = ceremony.group
        reader = Reader(data, "a hello")
        key = group.decode(reader.take(group.size_bytes))
        proof = KnowledgeProof.decode(group, reader.take(group.size_bytes + SCALAR_BYTES))
        reader.end()
        return cls(member=member, key=key, proof=proof)


def _hello_statement(ceremony: Ceremony[Point], member: int, key: Point) -> KnowledgeStatement[Point]:
    return KnowledgeStatement(public=key, tag=Tag.DKG_POSSESSION, context=(ceremony.ceremony_id, b"hello", u16(member)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealing(Generic[Point]):
    """A polynomial f of degree t-1, committed to (Feldman), with a sealed share for every member that said hello.

    ephemeral          R = rho * generator, one for the whole dealing; member j's key comes from rho * E_j
    constant_proof     knowledge of f(0): no dealer can cancel another's contribution
    ephemeral_proof    knowledge of rho: nobody can reuse another dealer's R, and so have an honest member's
                       complaint disclose the key of the other dealer's share
    sealed             n entries of 48 bytes, or empty for a member that was not heard

    Size: t+3 points + 68 + 52 bytes a member.
    """

    dealer: int
    commitment: tuple[Point, ...]
    ephemeral: Point
    constant_proof: KnowledgeProof[Point]
    ephemeral_proof: KnowledgeProof[Point]
    sealed: tuple[bytes, ...]

    @classmethod
    def make(
        cls,
        ceremony: Ceremony[Point],
        dealer: int,
        keys: Mapping[int, Point],
        random: Random,
        *,
        secret: int | None = None,
    ) -> Dealing[Point]:
        """A fresh dealing of `secret`, or of a random one, to the owners of `keys`.

        The polynomial and rho are forgotten on return."""
        group = ceremony.group
        coefficients = sharing.random_polynomial(ceremony.t, random, secret=secret)
        shares = sharing.deal(coefficients, ceremony.n)
        commitment = sharing.commit(group, coefficients)
        rho = entropy.scalar(random, ORDER)
        ephemeral = group.multiply(group.generator, rho)
        sealed = []
        for member in range(1, ceremony.n + 1):
            if member not in keys:
                sealed.append(b"")
                continue
            shared = group.multiply(keys[member], rho)
            key = _share_key(ceremony, dealer, member, keys[member], ephemeral, shared)
            sealed.append(seal(key, shares[member].to_bytes(SCALAR_BYTES, "big"), b""))
        constant, scalar = _dealing_statements(ceremony, dealer, commitment, ephemeral)
        return cls(
            dealer=dealer,
            commitment=commitment,
            ephemeral=ephemeral,
            constant_proof=prove_knowledge(group, constant, coefficients[0], random),
            ephemeral_proof=prove_knowledge(group, scalar, rho, random),
            sealed=tuple(sealed),
        )

    @property
    def addressed(self) -> frozenset[int]:
        return frozenset(member for member, box in enumerate(self.sealed, start=1) if box)

    def claims(self, ceremony: Ceremony[Point]) -> tuple[tuple[KnowledgeStatement[Point], KnowledgeProof[Point]], ...]:
        statements = _dealing_statements(ceremony, self.dealer, self.commitment, self.ephemeral)
        return tuple(zip(statements, (self.constant_proof, self.ephemeral_proof), strict=True))

    def open(self, ceremony: Ceremony[Point], member: int, key: Point, shared: Point) -> int:
        """f(member), from the Diffie-Hellman point `shared` = rho * key, whose correctness is the caller's concern.

        Raises Rejected(DKG-8, dealer): the box does not open, is not a scalar, or lies off the polynomial.
        """
        box_key = _share_key(ceremony, self.dealer, member, key, self.ephemeral, shared)
        try:
            value = Reader(unseal(box_key, self.sealed[member - 1], b""), "a dealt share").scalar(ORDER)
        except (AuthenticationFailed, Malformed) as error:
            raise Rejected("DKG-8", f"no share for member {member} comes out", member=self.dealer) from error
        if not sharing.verify(ceremony.group, self.commitment, member, value):
            raise Rejected("DKG-8", f"member {member}'s share is off the committed polynomial", member=self.dealer)
        return value

    def encode(self, group: Group[Point]) -> bytes:
        return b"".join(
            (
                *map(group.encode, (*self.commitment, self.ephemeral)),
                self.constant_proof.encode(group),
                self.ephemeral_proof.encode(group),
                counted(self.sealed),
            )
        )

    @classmethod
    def decode(cls, ceremony: Ceremony[Point], dealer: int, data: bytes) -> Dealing[Point]:
        """Raises Malformed. Neither the proofs nor the shares are verified."""
        group = ceremony.group
        reader = Reader(data, "a dealing")
        points = [group.decode(reader.take(group.size_bytes)) for _ in range(ceremony.t + 1)]
        proofs = [KnowledgeProof.decode(group, reader.take(group.size_bytes + SCALAR_BYTES)) for _ in range(2)]
        sealed = reader.counted(ceremony.n)
        reader.end()
        if len(sealed) != ceremony.n or any(len(box) not in (0, SEALED_BYTES) for box in sealed):
            raise Malformed(f"a dealing has {ceremony.n} boxes of {SEALED_BYTES} bytes, or empty ones")
        return cls(
            dealer=dealer,
            commitment=tuple(points[:-1]),
            ephemeral=points[-1],
            constant_proof=proofs[0],
            ephemeral_proof=proofs[1],
            sealed=sealed,
        )


def _dealing_statements(
    ceremony: Ceremony[Point], dealer: int, commitment: Sequence[Point], ephemeral: Point
) -> tuple[KnowledgeStatement[Point], KnowledgeStatement[Point]]:
    points = b"".join(map(ceremony.group.encode, (*commitment, ephemeral)))
    constant, scalar = (
        KnowledgeStatement(
            public=public,
            tag=Tag.DKG_POSSESSION,
            context=(ceremony.ceremony_id, subject, u16(dealer), points),
        )
        for public, subject in ((commitment[0], b"constant"), (ephemeral, b"ephemeral"))
    )
    return constant, scalar


def _share_key(
    ceremony: Ceremony[Point], dealer: int, member: int, key: Point, ephemeral: Point, shared: Point
) -> bytes:
    encode = ceremony.group.encode
    return derive_key(
        Tag.DKG_SHARE_KEY,
        encode(shared),
        ceremony.ceremony_id,
        u16(dealer),
        u16(member),
        encode(key),
        encode(ephemeral),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint(Generic[Point]):
    """ "This dealer's share for me is bad": the Diffie-Hellman point e * R that opens it, with proof that it is right.

    Gives the complainer's share of this one dealing to everyone. Size: 1 point + 50 bytes.
    """

    dealer: int
    shared: Point
    proof: EqualityProof

    @classmethod
    def make(
        cls, ceremony: Ceremony[Point], member: int, secret: int, dealing: Dealing[Point], random: Random
    ) -> Complaint[Point]:
        group = ceremony.group
        shared = group.multiply(dealing.ephemeral, secret)
        key = group.multiply(group.generator, secret)
        statement = _complaint_statement(ceremony, member, key, dealing, shared)
        proof = prove_equality(group, statement, secret, random)
        return cls(dealer=dealing.dealer, shared=shared, proof=proof)

    def judge(self, ceremony: Ceremony[Point], member: int, key: Point, dealing: Dealing[Point]) -> None:
        """Anyone can: from the complainer's hello and the dealing. Returning means that the dealer is at fault.

        Raises Rejected(DKG-9, complainer) for a false complaint.
        """
        statement = _complaint_statement(ceremony, member, key, dealing, self.shared)
        if not verify_equality(ceremony.group, statement, self.proof):
            raise Rejected("DKG-9", f"the complaint about dealer {self.dealer} proves nothing", member=member)
        try:
            dealing.open(ceremony, member, key, self.shared)
        except Rejected:
            return
        raise Rejected("DKG-9", f"the share of dealer {self.dealer} complained about is good", member=member)


def _complaint_statement(
    ceremony: Ceremony[Point], member: int, key: Point, dealing: Dealing[Point], shared: Point
) -> EqualityStatement[Point]:
    return EqualityStatement(
        public=key,
        bases=(dealing.ephemeral,),
        images=(shared,),
        encoded=b"".join(map(ceremony.group.encode, (key, dealing.ephemeral, shared))),
        tag=Tag.DKG_COMPLAINT,
        weight_tag=Tag.DKG_COMPLAINT,
        context=(ceremony.ceremony_id, u16(member), u16(dealing.dealer)),
    )


def encode_complaints(group: Group[Point], complaints: Sequence[Complaint[Point]]) -> bytes:
    return counted([u16(c.dealer) + group.encode(c.shared) + c.proof.encode() for c in complaints])


def decode_complaints(ceremony: Ceremony[Point], data: bytes) -> tuple[Complaint[Point], ...]:
    """Raises Malformed; dealers must ascend. Nothing is judged."""
    group = ceremony.group
    reader = Reader(data, "a list of complaints")
    complaints = []
    for item in reader.counted(len(ceremony.dealers)):
        inner = Reader(item, "a complaint")
        dealer = inner.u16()
        shared = group.decode(inner.take(group.size_bytes))
        complaints.append(Complaint(dealer=dealer, shared=shared, proof=EqualityProof.read(inner)))
        inner.end()
    reader.end()
    if not _ascending([complaint.dealer for complaint in complaints], ceremony.peers):
        raise Malformed("complaints must name dealers in ascending order")
    return tuple(complaints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A member's signature on the transcript, and its share of the trial decryption. 101 bytes and that share."""

    agreement: bytes
    signature: bytes
    self_test: bytes

    def encode(self) -> bytes:
        return self.agreement + self.signature + sized(self.self_test)

    @classmethod
    def decode(cls, data: bytes) -> Confirmation:
        reader = Reader(data, "a confirmation")
        confirmation = cls(
            agreement=reader.take(32),
            signature=reader.take(SIGNATURE_BYTES),
            self_test=reader.sized(SELF_TEST_LIMIT_BYTES),
        )
        reader.end()
        return confirmation


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What a ceremony agreed on.

    dealings             qualified dealers in ascending order, each with the 32-byte digest of its dealing
    encryption_key       one point of the ceremony's group, encoded
    verification_keys    one for each member 1..n
    predecessor          32 bytes naming the key and the committee it was handed on by, or empty for a fresh key;
                         the dealers are members of that committee
    """

    ceremony_id: bytes
    n: int
    t: int
    dealings: tuple[tuple[int, bytes], ...]
    encryption_key: bytes
    verification_keys: tuple[bytes, ...]
    predecessor: bytes = b""

    @property
    def digest(self) -> bytes:
        """The 32 bytes that members sign."""
        return tagged_hash(Tag.RESHARE_TRANSCRIPT if self.predecessor else Tag.DKG_TRANSCRIPT, self.encode())

    def encode(self) -> bytes:
        return b"".join(
            (
                self.predecessor,
                sized(self.ceremony_id),
                u16(self.n),
                u16(self.t),
                counted([u16(dealer) + digest for dealer, digest in self.dealings]),
                sized(self.encryption_key),
                counted(self.verification_keys),
            )
        )

    @classmethod
    def read(cls, reader: Reader, *, predecessor: bytes = b"") -> Agreement:
        """What follows the predecessor. Raises Malformed.

        Not looked at: whether the keys are points, since no group is known here, and `check_dealers`."""
        ceremony_id, n, t = reader.sized(), reader.u16(), reader.u16()
        items = reader.counted(MAX_MEMBERS)
        if any(len(item) != 2 + 32 for item in items):
            raise Malformed("a qualified dealing is named by 2 + 32 bytes")
        agreement = cls(
            ceremony_id=ceremony_id,
            n=n,
            t=t,
            dealings=tuple((int.from_bytes(item[:2], "big"), item[2:]) for item in items),
            encryption_key=reader.sized(),
            verification_keys=reader.counted(n),
            predecessor=predecessor,
        )
        if not 1 <= t <= n or len(agreement.verification_keys) != n:
            raise Malformed(f"{len(agreement.verification_keys)} verification keys for {t} of {n} members")
        return agreement

    def check_dealers(self, *, n: int, t: int) -> None:
        """Raises Malformed unless at least t of n members dealt."""
        if not (t <= len(self.dealings) and _ascending([dealer for dealer, _ in self.dealings], n)):
            raise Malformed(f"the dealers must be at least {t} members in ascending order")


def encode_signatures(signatures: Mapping[int, bytes]) -> bytes:
    """A 4-byte count, then 2 + 65 bytes for each member in ascending order."""
    return u32(len(signatures)) + b"".join(u16(member) + signatures[member] for member in sorted(signatures))


def decode_signatures(reader: Reader, *, n: int) -> dict[int, bytes]:
    count = reader.u32()
    if count > n:
        raise Malformed(f"{count} signatures of {n} members")
    pairs = [(reader.u16(), reader.take(SIGNATURE_BYTES)) for _ in range(count)]
    if not _ascending([member for member, _ in pairs], n):
        raise Malformed("signatures must name members in ascending order")
    return dict(pairs)


def _ascending(members: Sequence[int], n: int) -> bool:
    return all(1 <= member <= n for member in members) and all(a < b for a, b in pairwise(members))
