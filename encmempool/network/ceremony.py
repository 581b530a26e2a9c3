"""A key ceremony among parties in one process, each with its own identity and records."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from encmempool.errors import Rejected
from encmempool.identity import Identity, recover
from encmempool.keysets import default_threshold
from encmempool.types import KeySet, SignedKeySet, signing_digest
from threshold.encoding import u16, u64
from threshold.entropy import Random
from threshold.hashing import Tag, tagged_hash
from threshold.keys import KeyGenerationParty, KeyMaterial, Seat
from threshold.sansio import Effect, Send
from threshold.schemes.base import Scheme

ROUND_SECONDS = 60.0


class Addresses:
    """threshold.sansio.PeerVerifier over the members' addresses."""

    def __init__(self, members: Sequence[bytes]) -> None:
        self._members = tuple(members)

    def verify(self, member: int, digest: bytes, signature: bytes) -> bool:
        try:
            return recover(digest, signature) == self._members[member - 1]
        except Rejected:
            return False


def ceremony_id(genesis_root: bytes, scheme: Scheme, *, epoch: int, members: Sequence[bytes], t: int) -> bytes:
    """Names the attempt, since the key does not exist yet."""
    return tagged_hash(
        Tag.CEREMONY_ID, genesis_root, bytes([scheme.info.number]), u64(epoch), b"".join(members), u16(t), u64(1)
    )


def check_committee(scheme: Scheme, n: int, t: int, *, reduced_allowed: bool) -> None:
    """ValueError for a threshold that is impossible, or too small without having been asked for."""
    if not 1 <= t <= n:
        raise ValueError(f"the threshold must lie between 1 and the {n} members, not {t}")
    default = default_threshold(n)
    if t >= default:
        return
    if scheme.info.needs_default_threshold:
        raise ValueError(f"{scheme.info.name} needs a threshold of at least {default} of {n}")
    if not reduced_allowed:
        raise ValueError(
            f"a threshold of {t} of {n} lets two conflicting orders both gather votes; use at least {default}, "
            "or say --reduced-threshold for an experiment"
        )


def generate_keys(
    scheme: Scheme, identities: Sequence[Identity], t: int, *, genesis_root: bytes, random: Random
) -> tuple[KeyMaterial, ...]:
    """Run the ceremony to its end: one result for each member. Raises CeremonyFailed."""
    members = [identity.address for identity in identities]
    name = ceremony_id(genesis_root, scheme, epoch=1, members=members, t=t)
    parties: list[KeyGenerationParty] = [
        scheme.key_generation(
            Seat(
                index=index,
                n=len(identities),
                t=t,
                network=genesis_root,
                ceremony_id=name,
                signer=identity,
                peers=Addresses(members),
                random=random,
                round_seconds=ROUND_SECONDS,
            )
        )
        for index, identity in enumerate(identities, 1)
    ]
    queue: deque[tuple[int, int, bytes]] = deque()

    def perform(sender: int, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                recipients = range(1, len(parties) + 1) if effect.recipient is None else [effect.recipient]
                queue.extend((sender, to, effect.message) for to in recipients if to != sender)

    for index, party in enumerate(parties, 1):
        perform(index, party.start(now=0.0))
    while queue:
        sender, to, message = queue.popleft()
        perform(to, parties[to - 1].receive(sender, message, now=0.0))
    results = []
    for index, party in enumerate(parties, 1):
        result = party.result
        if result is None:
            raise AssertionError(f"the ceremony stopped before member {index} had a result")
        results.append(result)
    return tuple(results)


def sign_by_members(key_set: KeySet, identities: Sequence[Identity]) -> SignedKeySet:
    """The key set with every member's signature."""
    digest = signing_digest(key_set, key_set.genesis_root)
    return SignedKeySet(message=key_set, signatures=tuple(identity.sign(digest) for identity in identities))
