"""Seam 2: the interface of a threshold encryption scheme for mempools.

The batch is the unit in which a committee works: a scheme with one share per transaction loops over it, an epoch
scheme ignores its list, a batched scheme compresses it, and the caller need not know which it holds. Everything that
travels is bytes; points live only inside a scheme and in the values it made itself.

Life of a ciphertext: encrypt, verify_ciphertext (by every party that will rely on it), a Batch in committed order,
partial_decrypt by t members, combine, decrypt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from threshold import entropy
from threshold.encoding import Reader, sized, u64
from threshold.entropy import Random
from threshold.errors import Malformed, Rejected, ThresholdError
from threshold.hashing import Tag, tagged_hash
from threshold.keys import KeyGenerationParty, KeyShare, Limits, PublicMaterial, ResharingSeat, Seat
from threshold.symmetric import KEY_BYTES, AuthenticationFailed, unseal

MAX_BATCH_KEY_BYTES = 1 << 28

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeInfo:
    """What a user compares. Sizes in bytes; `n`, `t` and `B` are members, threshold and batch size."""

    name: str
    number: int
    """Identifies the scheme in headers and key sets."""
    title: str
    setup: str
    setup_privacy: str
    """How many members must collude to learn the key during the setup."""
    ciphertext_overhead_bytes: int
    share_bytes_per_transaction: int
    share_bytes_per_batch: int
    secret_bytes: int
    secret_bytes_per_slot: int = 0
    """What a member's secret grows by with every ciphertext that a batch may hold."""
    restrictions: str
    opens: str
    """What a batch key opens."""
    pending_privacy: bool
    """Whether a ciphertext that was not committed stays closed."""
    hides: bool
    """Whether contents are hidden at all before the reveal."""
    cca: str
    equivocation_opens: str
    needs_default_threshold: bool
    """Two batches signed for one height open more than what they list, so t must exceed 2n/3."""
    addresses_height: bool
    limits_batch: bool
    """The key fixes the largest batch."""
    limits_rounds: bool
    """The key opens so many batches and no more, and never two in one round."""
    reshares: bool
    """The key can be handed to other members; else another committee makes another key."""
    opened_alone_by: Literal["nothing", "height key", "body key"]
    """What `opening` returns. Nothing: the ciphertext is the plaintext. The key of the height: checked against the
    encryption key. The key of the sealed body: nothing ties it to the encryption key but the sender's good will."""

    def share_bytes(self, batch_size: int) -> int:
        return self.share_bytes_per_batch + batch_size * self.share_bytes_per_transaction


class PublicKey(Protocol):
    """Checked key material, loaded by its scheme: every point decoded once. Made by `Scheme.load_public_key` only."""

    @property
    def key_id(self) -> bytes:
        """Bound into every encryption and share transcript."""

    @property
    def threshold(self) -> int: ...
    @property
    def members(self) -> int: ...
    @property
    def limits(self) -> Limits:
        """The largest batch and the last round, where the scheme has such."""


def ciphertext_id(key_id: bytes, aad: bytes, ciphertext: bytes) -> bytes:
    """Names a ciphertext under its key and associated data: 32 bytes."""
    return tagged_hash(Tag.CIPHERTEXT_ID, key_id, aad, ciphertext)


def batch_digest(key_id: bytes, height: int, round: int, ciphertext_ids: Sequence[bytes]) -> bytes:
    """Names a batch with all it lists, in order: 32 bytes."""
    return tagged_hash(Tag.BATCH_DIGEST, key_id, u64(height), u64(round), *ciphertext_ids)


class VerifiedCiphertext:
    """A ciphertext whose public check has passed. Constructed in `Scheme.verify_ciphertext` and
    nowhere else, so that no share can be made for an unchecked one.

    ciphertext_id    32 bytes over key, associated data and ciphertext
    parsed           the scheme's decoded form
    """

    __slots__ = ("aad", "ciphertext", "ciphertext_id", "key_id", "parsed")

    def __init__(self, *, key_id: bytes, ciphertext: bytes, aad: bytes, parsed: Any) -> None:
        self.key_id = key_id
        self.ciphertext = ciphertext
        self.aad = aad
        self.parsed = parsed
        self.ciphertext_id = ciphertext_id(key_id, aad, ciphertext)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a committee opens together, in committed order."""

    key_id: bytes
    height: int
    round: int
    entries: tuple[VerifiedCiphertext, ...]
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        if any(entry.key_id != self.key_id for entry in self.entries):
            raise ValueError("a batch holds a ciphertext that was checked for another key")
        ids = [entry.ciphertext_id for entry in self.entries]
        digest = batch_digest(self.key_id, self.height, self.round, ids)
        object.__setattr__(self, "digest", digest)

    def __len__(self) -> int:
        return len(self.entries)

    def require_key(self, public_key: PublicKey) -> None:
        """ValueError if the batch is one of another key: its entries were checked for that one."""
        if self.key_id != public_key.key_id:
            raise ValueError("the batch is one of another key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One member's message for one batch. `member` comes from the authenticated sender, never from the data."""

    member: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchKey:
    """What opens a batch.

    value    canonical: the same whichever shares were combined, so it can seed a permutation
    proof    what an auditor needs besides; depends on the shares
    """

    value: bytes
    proof: bytes

    def encode(self) -> bytes:
        return sized(self.value) + sized(self.proof)

    @classmethod
    def decode(cls, data: bytes) -> BatchKey:
        reader = Reader(data, "a batch key")
        key = cls(value=reader.sized(MAX_BATCH_KEY_BYTES), proof=reader.sized(MAX_BATCH_KEY_BYTES))
        reader.end()
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecryptable:
    """An entry that cannot be opened although it passed the public check."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What claims to be a ciphertext, with its associated data and the height it addresses, else 0."""

    ciphertext: bytes
    aad: bytes
    height: int


class Scheme(Protocol):
    info: SchemeInfo

    def key_generation(self, seat: Seat) -> KeyGenerationParty:
        """A party of the ceremony that makes a key of this scheme."""

    def deal(self, *, n: int, t: int, limits: Limits, random: Random) -> tuple[PublicMaterial, tuple[KeyShare, ...]]:
        """A key from a TRUSTED dealer, who could open everything: for tests, vectors and experiments."""

    def setup_privacy(self, n: int, t: int) -> int:
        """How many members must collude to learn the key while a ceremony makes it; 0 if it hides nothing."""

    def load_public_key(self, material: PublicMaterial, *, key_id: bytes) -> PublicKey:
        """Decode and check all that encrypting and opening one batch rests on. The caller has compared the digest of
        the parameters. Raises Malformed or Rejected naming the part that is wrong."""

    def verify_parameters(self, public_key: Any) -> None:
        """Check every public parameter, as members do before they sign a key set, and auditors. Raises Rejected."""

    def encrypt(self, public_key: Any, plaintext: bytes, *, aad: bytes, height: int, random: Random) -> bytes:
        """`height` matters to schemes that address one; others take 0."""

    def verify_ciphertext(self, public_key: Any, ciphertext: bytes, *, aad: bytes, height: int) -> VerifiedCiphertext:
        """The public check. Raises Malformed or CiphertextRejected."""

    def verify_ciphertexts(
        self, public_key: Any, candidates: Sequence[Candidate], *, random: Random
    ) -> tuple[VerifiedCiphertext | ThresholdError, ...]:
        """The same for many, cheaper where the scheme can: for each what was verified, or what is wrong with it."""

    def precompute(self, public_key: Any, batch: Batch) -> Any:
        """All work on a batch that needs no share. Raises Rejected if no share can be made for this batch."""

    def partial_decrypt(self, public_key: Any, key_share: KeyShare, batch: Batch, *, random: Random) -> Share:
        """Raises Rejected if the key does not allow this batch: too long, another height, no such round."""

    def verify_share(self, public_key: Any, batch: Batch, share: Share) -> None:
        """Raises ShareRejected naming the member."""

    def combine(
        self, public_key: Any, batch: Batch, shares: Sequence[Share], precomputed: Any
    ) -> tuple[BatchKey, tuple[int, ...]]:
        """The batch key from any t valid shares, and the members whose shares were refused on the way.

        Raises NotEnoughShares."""

    def verify_batch_key(self, public_key: Any, batch: Batch, batch_key: BatchKey, precomputed: Any) -> None:
        """What an auditor calls. Raises Malformed or Rejected."""

    def decrypt(
        self, public_key: Any, batch: Batch, batch_key: BatchKey, precomputed: Any
    ) -> tuple[bytes | Undecryptable, ...]:
        """One plaintext or reason per entry, from a combined or verified batch key."""

    def opening(self, public_key: Any, batch: Batch, batch_key: BatchKey, precomputed: Any, at: int) -> bytes:
        """What opens one entry for who has neither the batch nor the parameters: at most 48 bytes.

        `SchemeInfo.opened_alone_by` says what that is, and so what it shows."""

    def open_alone(
        self, encryption_key: bytes, key_id: bytes, ciphertext: bytes, *, aad: bytes, height: int, opening: bytes
    ) -> bytes | Undecryptable:
        """The plaintext of one ciphertext. Raises Malformed or Rejected for an opening that is not its own.

        Only the key of a height can show that a ciphertext is undecryptable; the key of a body that does not open it
        is refused, since it might be any key."""


class ResharingScheme(Scheme, Protocol):
    """A scheme whose key is one shared scalar, which one committee can hand to the next."""

    def resharing(self, seat: ResharingSeat) -> KeyGenerationParty:
        """A party of the ceremony that shares the same key anew among the same or other members."""


def verify_one(scheme: Scheme, public_key: Any, ciphertext: bytes, *, aad: bytes, height: int) -> VerifiedCiphertext:
    """`verify_ciphertext` by way of `verify_ciphertexts`."""
    candidate = Candidate(ciphertext=ciphertext, aad=aad, height=height)
    (verified,) = scheme.verify_ciphertexts(public_key, [candidate], random=entropy.system)
    if isinstance(verified, ThresholdError):
        raise verified
    return verified


def each_or_error(make: Callable[..., _Made], *columns: Sequence[Any]) -> list[_Made | ThresholdError]:
    """What is made of each row, or what is wrong with it. ValueError for columns of unequal lengths."""
    made: list[_Made | ThresholdError] = []
    for row in zip(*columns, strict=True):
        try:
            made.append(make(*row))
        except ThresholdError as error:
            made.append(error)
    return made


def verify_each(
    scheme: Scheme, public_key: Any, candidates: Sequence[Candidate]
) -> tuple[VerifiedCiphertext | ThresholdError, ...]:
    """`verify_ciphertexts` one by one."""

    def verify(given: Candidate) -> VerifiedCiphertext:
        return scheme.verify_ciphertext(public_key, given.ciphertext, aad=given.aad, height=given.height)

    return tuple(each_or_error(verify, candidates))


def open_body(key: bytes, body: bytes, aad: bytes) -> bytes:
    """`open_alone` by the key of a sealed body. Raises Malformed, or Rejected AED-3."""
    if len(key) != KEY_BYTES:
        raise Malformed(f"the key of a sealed body has {KEY_BYTES} bytes, not {len(key)}")
    try:
        return unseal(key, body, aad)
    except AuthenticationFailed as error:
        raise Rejected("AED-3", "the key does not open the ciphertext's body") from error
