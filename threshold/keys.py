"""Key material as it is stored, announced and agreed on: values without any scheme's mathematics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, Protocol

from threshold import pieces
from threshold.encoding import Reader, counted, sized, u8, u16, u64
from threshold.entropy import Random
from threshold.errors import Malformed
from threshold.hashing import Tag, tagged_hash
from threshold.sansio import Effect, PeerVerifier, Persist, Signer

MAX_MEMBERS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicMaterial:
    """A public key as it is stored and announced, before any scheme has looked at it.

    encryption_key       the scheme's own encoding
    verification_keys    one for each member 1..n
    parameters           public parameters of batched schemes, else empty
    """

    scheme: int
    threshold: int
    encryption_key: bytes
    verification_keys: tuple[bytes, ...]
    parameters: bytes = b""

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.members <= MAX_MEMBERS:
            raise ValueError(f"threshold {self.threshold} of {self.members} members")

    @property
    def members(self) -> int:
        return len(self.verification_keys)

    @property
    def parameter_digest(self) -> bytes:
        return parameter_digest(self.parameters)

    def key_id(self, network: bytes) -> bytes:
        """32 bytes naming the key in a network. Verification keys are left out: they change with the members."""
        return key_name(network, self.scheme, self.encryption_key, self.parameter_digest)

    def encode(self) -> bytes:
        return b"".join(
            (
                u8(self.scheme),
                u16(self.threshold),
                sized(self.encryption_key),
                counted(self.verification_keys),
                sized(self.parameters),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> PublicMaterial:
        reader = Reader(data, "public key material")
        scheme, threshold = reader.u8(), reader.u16()
        encryption_key, verification_keys, parameters = reader.sized(), reader.counted(MAX_MEMBERS), reader.sized()
        reader.end()
        try:
            return cls(
                scheme=scheme,
                threshold=threshold,
                encryption_key=encryption_key,
                verification_keys=verification_keys,
                parameters=parameters,
            )
        except ValueError as error:
            raise Malformed(f"public key material: {error}") from error


def parameter_digest(parameters: bytes) -> bytes:
    """32 bytes naming a key's public parameters. Points are hashed as a tree, so that a few can be shown by them."""
    if len(parameters) < pieces.PIECE_BYTES:
        return tagged_hash(Tag.KEY_ID, b"parameters", parameters)
    size = pieces.head_bytes(len(parameters))
    count = len(parameters) // pieces.PIECE_BYTES
    return tagged_hash(Tag.KEY_ID, b"parameters", parameters[:size], u64(count), pieces.root(parameters))


def key_name(network: bytes, scheme: int, encryption_key: bytes, digest: bytes) -> bytes:
    """key_id, for who has the digest of the parameters and not these."""
    return tagged_hash(Tag.KEY_ID, network, u8(scheme), encryption_key, digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a key allows; None where it sets no limit.

    batch     ciphertexts in one batch
    rounds    the last round of a scheme that opens one batch a round; rounds are numbered from 1
    """

    batch: int | None = None
    rounds: int | None = None


UNLIMITED = Limits()


class KeyShare:
    """One member's secret. Without repr, equality or pickling; `secret_bytes` is for the keystore only."""

    __slots__ = ("__secret", "member")

    def __init__(self, member: int, secret: bytes) -> None:
        self.member = member
        self.__secret = secret

    def secret_bytes(self) -> bytes:
        return self.__secret

    def __repr__(self) -> str:
        return f"<key share of member {self.member}>"

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key share is not pickled: store it in a keystore")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMaterial:
    """Outcome of a ceremony for one member.

    transcript    canonical bytes of what was agreed, with the signatures of at least t members
    blamed        members shown to have misbehaved, with the rule they broke
    """

    public: PublicMaterial
    share: KeyShare
    transcript: bytes
    blamed: tuple[tuple[int, str], ...] = ()


class CeremonyFailed(Exception):
    """A key ceremony cannot end with a key; the message says why and who is to blame. Start a new attempt."""

    def __init__(self, message: str, *, blamed: tuple[tuple[int, str], ...] = ()) -> None:
        super().__init__(message)
        self.blamed = blamed


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One member's place in a key ceremony, and all that is handed to it.

    index            of n members, from 1; t of them open
    network          the genesis root, which the key's name depends on
    ceremony_id      never used before
    round_seconds    the longest a round waits for a member
    limits           what the key has to allow, for schemes that limit batches or rounds
    resume           this member's records of an earlier run, or empty
    """

    index: int
    n: int
    t: int
    network: bytes
    ceremony_id: bytes
    signer: Signer
    peers: PeerVerifier
    random: Random
    round_seconds: float
    limits: Limits = UNLIMITED
    resume: tuple[Persist, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResharingSeat:
    """One peer's place in the ceremony that hands a key to the next committee.

    index            among the peers: members 1..n of the next committee, in its order, then those who leave
    n, t             of the next committee
    dealers          peer index -> that peer's member index in the committee that holds the key
    public           the key, with the verification keys of those who hold it
    share            this peer's share of it, or None for one who joins
    ceremony_id      never used before
    """

    index: int
    n: int
    t: int
    dealers: Mapping[int, int]
    public: PublicMaterial
    share: KeyShare | None
    network: bytes
    ceremony_id: bytes
    signer: Signer
    peers: PeerVerifier
    random: Random
    round_seconds: float
    resume: tuple[Persist, ...] = ()


class KeyGenerationParty(Protocol):
    """One member of a key ceremony, sans-IO. Rounds end when everyone has spoken or their time is over."""

    def start(self, *, now: float) -> tuple[Effect, ...]: ...
    def receive(self, sender: int, message: bytes, *, now: float) -> tuple[Effect, ...]: ...
    def tick(self, *, now: float) -> tuple[Effect, ...]: ...

    @property
    def result(self) -> KeyMaterial | None:
        """Set once t members have signed one transcript. Raises CeremonyFailed if that can no longer happen."""


class SelfTest(Protocol):
    """A trial decryption with a fresh key before it is announced.

    Its ciphertext is derived from the key's name alone, so every ceremony of a key repeats the identical batch and
    nothing else can ever be opened by it.
    """

    def share(self, public: PublicMaterial, share: KeyShare) -> bytes:
        """This member's decryption share of the test batch."""

    def verify(self, public: PublicMaterial, member: int, data: bytes) -> None:
        """Raises Malformed or Rejected naming the member."""
