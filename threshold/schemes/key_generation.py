"""Ceremonies of the schemes whose key is one shared scalar, with a self-test before their result is announced.

In the self-test every member derives the same ciphertext from the key's name and opens it. Nobody can substitute a
ciphertext of their own, since none is received, and a repeated ceremony repeats the identical batch, so its shares
give away nothing new. A resharing keeps the key's name, and so repeats it too.
"""

from __future__ import annotations

from functools import lru_cache

from threshold import entropy
from threshold.curve import Group
from threshold.curve.backend import Point
from threshold.entropy import Random
from threshold.hashing import Tag, tagged_hash
from threshold.keys import KeyGenerationParty, KeyShare, PublicMaterial, ResharingSeat, Seat
from threshold.schemes.base import Batch, PublicKey, Scheme, Share
from threshold.setup import dkg, reshare

_PLAINTEXT = b"encmempool self-test"


def shared_scalar_material(scheme: Scheme, t: int, parameters: bytes = b"") -> dkg.MaterialBuilder:
    """How an encryption key and verification keys become the scheme's public material."""

    def material(key: bytes, verification_keys: tuple[bytes, ...]) -> PublicMaterial:
        return PublicMaterial(
            scheme=scheme.info.number,
            threshold=t,
            encryption_key=key,
            verification_keys=verification_keys,
            parameters=parameters,
        )

    return material


def shared_scalar_party(scheme: Scheme, group: Group[Point], seat: Seat, parameters: bytes = b"") -> KeyGenerationParty:
    """A party of the distributed key generation of x, with the public key x * generator of `group`."""
    return dkg.Party(
        index=seat.index,
        n=seat.n,
        t=seat.t,
        group=group,
        material=shared_scalar_material(scheme, seat.t, parameters),
        ceremony_id=seat.ceremony_id,
        signer=seat.signer,
        peers=seat.peers,
        random=seat.random,
        round_seconds=seat.round_seconds,
        self_test=DerivedSelfTest(scheme, network=seat.network, random=seat.random),
        resume=seat.resume,
    )


def resharing_party(scheme: Scheme, group: Group[Point], seat: ResharingSeat) -> reshare.Party[Point]:
    """A party of the ceremony that hands x to the next committee. Scheme, key and parameters stay as they are.

    One who leaves waits for `announcement`; its `result` stays None."""
    return reshare.Party(
        index=seat.index,
        n=seat.n,
        t=seat.t,
        dealers=seat.dealers,
        public=seat.public,
        share=seat.share,
        group=group,
        ceremony_id=seat.ceremony_id,
        signer=seat.signer,
        peers=seat.peers,
        random=seat.random,
        round_seconds=seat.round_seconds,
        self_test=DerivedSelfTest(scheme, network=seat.network, random=seat.random),
        resume=seat.resume,
    )


def self_test_batch(scheme: Scheme, public_key: PublicKey) -> Batch:
    """The batch of height and round 0 that everyone derives from the key's name."""
    seed = tagged_hash(Tag.SELF_TEST, public_key.key_id)
    ciphertext = scheme.encrypt(public_key, _PLAINTEXT, aad=seed, height=0, random=entropy.deterministic(seed))
    entry = scheme.verify_ciphertext(public_key, ciphertext, aad=seed, height=0)
    return Batch(key_id=public_key.key_id, height=0, round=0, entries=(entry,))


class DerivedSelfTest:
    """Implements threshold.keys.SelfTest for any scheme."""

    def __init__(self, scheme: Scheme, *, network: bytes, random: Random) -> None:
        self._scheme = scheme
        self._network = network
        self._random = random
        self._batch = lru_cache(maxsize=1)(self._derive)

    def share(self, public: PublicMaterial, share: KeyShare) -> bytes:
        key, batch = self._batch(public)
        return self._scheme.partial_decrypt(key, share, batch, random=self._random).data

    def verify(self, public: PublicMaterial, member: int, data: bytes) -> None:
        key, batch = self._batch(public)
        self._scheme.verify_share(key, batch, Share(member=member, data=data))

    def _derive(self, public: PublicMaterial) -> tuple[object, Batch]:
        key = self._scheme.load_public_key(public, key_id=public.key_id(self._network))
        return key, self_test_batch(self._scheme, key)
