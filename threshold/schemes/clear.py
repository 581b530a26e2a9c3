"""No encryption at all: the ciphertext is the plaintext. The control against which the other schemes are measured.

It runs the same key ceremony and the same messages, so that a pipeline with `clear` costs what everything except the
cryptography of opening costs. Nothing is hidden from anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from threshold.curve import SCALAR_BYTES, Backend
from threshold.entropy import Random
from threshold.errors import Malformed, NotEnoughShares, Rejected, ShareRejected, ThresholdError
from threshold.keys import UNLIMITED, KeyGenerationParty, KeyShare, Limits, PublicMaterial, Seat
from threshold.schemes.base import (
    Batch,
    BatchKey,
    Candidate,
    SchemeInfo,
    Share,
    Undecryptable,
    VerifiedCiphertext,
    verify_each,
)
from threshold.schemes.key_generation import shared_scalar_material, shared_scalar_party
from threshold.setup import dealer


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearPublicKey:
    key_id: bytes
    threshold: int
    members: int
    limits: Limits = UNLIMITED


class Clear:
    info = SchemeInfo(
        name="clear",
        number=0,
        title="no encryption (control)",
        setup="distributed key generation, unused",
        setup_privacy="none",
        ciphertext_overhead_bytes=0,
        share_bytes_per_transaction=0,
        share_bytes_per_batch=0,
        secret_bytes=SCALAR_BYTES,
        restrictions="none",
        opens="nothing is closed",
        pending_privacy=False,
        hides=False,
        cca="none",
        equivocation_opens="everything is open",
        needs_default_threshold=False,
        addresses_height=False,
        limits_batch=False,
        limits_rounds=False,
        opened_alone_by="nothing",
        reshares=False,
    )

    def __init__(self, backend: Backend) -> None:
        self._group = backend.g1

    def key_generation(self, seat: Seat) -> KeyGenerationParty:
        return shared_scalar_party(self, self._group, seat)

    def deal(self, *, n: int, t: int, limits: Limits, random: Random) -> tuple[PublicMaterial, tuple[KeyShare, ...]]:
        return dealer.deal(n=n, t=t, group=self._group, material=shared_scalar_material(self, t), random=random)

    def setup_privacy(self, n: int, t: int) -> int:
        return 0

    def load_public_key(self, material: PublicMaterial, *, key_id: bytes) -> ClearPublicKey:
        if material.scheme != self.info.number:
            raise Rejected("CLR-1", "the key material is not for the clear scheme")
        return ClearPublicKey(key_id=key_id, threshold=material.threshold, members=material.members)

    def verify_parameters(self, public_key: ClearPublicKey) -> None:
        """There are none."""

    def encrypt(
        self, public_key: ClearPublicKey, plaintext: bytes, *, aad: bytes, height: int, random: Random
    ) -> bytes:
        return plaintext

    def verify_ciphertext(
        self, public_key: ClearPublicKey, ciphertext: bytes, *, aad: bytes, height: int
    ) -> VerifiedCiphertext:
        return VerifiedCiphertext(key_id=public_key.key_id, ciphertext=ciphertext, aad=aad, parsed=None)

    def verify_ciphertexts(
        self, public_key: ClearPublicKey, candidates: Sequence[Candidate], *, random: Random
    ) -> tuple[VerifiedCiphertext | ThresholdError, ...]:
        return verify_each(self, public_key, candidates)

    def precompute(self, public_key: ClearPublicKey, batch: Batch) -> None:
        """Nothing to prepare."""

    def partial_decrypt(
        self, public_key: ClearPublicKey, key_share: KeyShare, batch: Batch, *, random: Random
    ) -> Share:
        return Share(member=key_share.member, data=b"")

    def verify_share(self, public_key: ClearPublicKey, batch: Batch, share: Share) -> None:
        if not 1 <= share.member <= public_key.members or share.data:
            raise ShareRejected("CLR-2", f"member {share.member}'s share is not empty", member=share.member)

    def combine(
        self, public_key: ClearPublicKey, batch: Batch, shares: Sequence[Share], precomputed: None
    ) -> tuple[BatchKey, tuple[int, ...]]:
        refused = []
        valid = set()
        for share in shares:
            try:
                self.verify_share(public_key, batch, share)
                valid.add(share.member)
            except ShareRejected:
                refused.append(share.member)
        if len(valid) < public_key.threshold:
            message = f"{len(valid)} valid shares of {public_key.threshold} needed"
            raise NotEnoughShares("CLR-2", message, blamed=tuple(refused))
        return BatchKey(value=b"", proof=b""), tuple(refused)

    def verify_batch_key(
        self, public_key: ClearPublicKey, batch: Batch, batch_key: BatchKey, precomputed: None
    ) -> None:
        if batch_key.value or batch_key.proof:
            raise Rejected("CLR-2", "the batch key is not empty")

    def decrypt(
        self, public_key: ClearPublicKey, batch: Batch, batch_key: BatchKey, precomputed: None
    ) -> tuple[bytes | Undecryptable, ...]:
        return tuple(entry.ciphertext for entry in batch.entries)

    def opening(
        self, public_key: ClearPublicKey, batch: Batch, batch_key: BatchKey, precomputed: None, at: int
    ) -> bytes:
        return b""

    def open_alone(
        self, encryption_key: bytes, key_id: bytes, ciphertext: bytes, *, aad: bytes, height: int, opening: bytes
    ) -> bytes | Undecryptable:
        if opening:
            raise Malformed("what is not closed has no opening")
        return ciphertext


def make(backend: Backend) -> Clear:
    return Clear(backend)
