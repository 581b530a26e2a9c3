"""Key generation of the schemes whose key is one shared scalar, with a self-test before the key is announced.

In the self-test every member derives the same ciphertext from the key's name and opens it. Nobody can substitute a
ciphertext of their own, since none is received, and a repeated ceremony repeats the identical batch, so its shares
give away nothing new.
"""

from __future__ import annotations

from threshold import entropy
from threshold.curve import Group
from threshold.curve.backend import Point
from threshold.entropy import Random
from threshold.hashing import Tag, tagged_hash
from threshold.keys import KeyGenerationParty, KeyShare, PublicMaterial, Seat
from threshold.schemes.base import Batch, Scheme, Share
from threshold.setup import dkg

_PLAINTEXT = b"encmempool self-test"


def shared_scalar_party(scheme: Scheme, group: Group[Point], seat: Seat) -> KeyGenerationParty:
    """A party of the distributed key generation of x, with the public key x * generator of `group`."""

    def material(key: bytes, verification_keys: tuple[bytes, ...]) -> PublicMaterial:
        return PublicMaterial(
            scheme=scheme.info.number, threshold=seat.t, encryption_key=key, verification_keys=verification_keys
        )

    return dkg.Party(
        index=seat.index,
        n=seat.n,
        t=seat.t,
        group=group,
        material=material,
        ceremony_id=seat.ceremony_id,
        signer=seat.signer,
        peers=seat.peers,
        random=seat.random,
        round_seconds=seat.round_seconds,
        self_test=DerivedSelfTest(scheme, network=seat.network, random=seat.random),
        resume=seat.resume,
    )


class DerivedSelfTest:
    """Implements threshold.keys.SelfTest for any scheme."""

    def __init__(self, scheme: Scheme, *, network: bytes, random: Random) -> None:
        self._scheme = scheme
        self._network = network
        self._random = random

    def share(self, public: PublicMaterial, share: KeyShare) -> bytes:
        key, batch = self._batch(public)
        return self._scheme.partial_decrypt(key, share, batch, random=self._random).data

    def verify(self, public: PublicMaterial, member: int, data: bytes) -> None:
        key, batch = self._batch(public)
        self._scheme.verify_share(key, batch, Share(member=member, data=data))

    def _batch(self, public: PublicMaterial) -> tuple[object, Batch]:
        key_id = public.key_id(self._network)
        key = self._scheme.load_public_key(public, key_id=key_id)
        seed = tagged_hash(Tag.SELF_TEST, key_id)
        ciphertext = self._scheme.encrypt(key, _PLAINTEXT, aad=seed, height=0, random=entropy.deterministic(seed))
        entry = self._scheme.verify_ciphertext(key, ciphertext, aad=seed, height=0)
        return key, Batch(key_id=key_id, height=0, round=0, entries=(entry,))
