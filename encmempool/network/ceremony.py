"""A key ceremony among parties in one process, each with its own identity and records."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import cast

from encmempool.errors import Rejected
from encmempool.identity import Identity, recover
from encmempool.keysets import Committee, default_threshold, public_material
from encmempool.types import KeySet, SignedKeySet, signing_digest
from threshold.encoding import u16, u64
from threshold.entropy import Random
from threshold.hashing import Tag, tagged_hash
from threshold.keys import UNLIMITED, KeyGenerationParty, KeyMaterial, KeyShare, Limits, ResharingSeat, Seat
from threshold.sansio import Effect, Send
from threshold.schemes.base import ResharingScheme, Scheme

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


def ceremony_id(
    genesis_root: bytes, scheme: Scheme, *, epoch: int, members: Sequence[bytes], t: int, attempt: int
) -> bytes:
    """Names the attempt, since the key does not exist yet. No attempt has a number that another had."""
    return tagged_hash(
        Tag.CEREMONY_ID, genesis_root, bytes([scheme.info.number]), u64(epoch), b"".join(members), u16(t), u64(attempt)
    )


def fresh_attempt(random: Random) -> int:
    """64 random bits: nobody has to remember how many attempts there were."""
    return int.from_bytes(random(8), "big")


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
    scheme: Scheme,
    identities: Sequence[Identity],
    t: int,
    *,
    genesis_root: bytes,
    random: Random,
    limits: Limits = UNLIMITED,
    epoch: int = 1,
) -> tuple[KeyMaterial, ...]:
    """Run the ceremony to its end: one result for each member. Raises CeremonyFailed."""
    members = [identity.address for identity in identities]
    attempt = fresh_attempt(random)
    name = ceremony_id(genesis_root, scheme, epoch=epoch, members=members, t=t, attempt=attempt)
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
                limits=limits,
            )
        )
        for index, identity in enumerate(identities, 1)
    ]
    run(parties)
    return _results(parties)


def reshare_key(
    before: Committee,
    holders: Mapping[Identity, KeyShare],
    members: Sequence[Identity],
    t: int,
    *,
    random: Random,
) -> tuple[KeyMaterial, ...]:
    """Hand a committee's key to `members`, of whom t shall open: one result for each. Raises CeremonyFailed.

    holders    those of the committee who take part, with their shares: at least its threshold
    """
    joined = {identity.address for identity in members}
    leaving = [identity for identity in holders if identity.address not in joined]
    peers = [*members, *leaving]
    addresses = [peer.address for peer in peers]
    shares = {identity.address: share for identity, share in holders.items()}
    dealers = {at: shares[address].member for at, address in enumerate(addresses, 1) if address in shares}
    key_set, scheme = before.key_set, cast(ResharingScheme, before.scheme)
    peers_named = b"".join(addresses)
    attempt = u64(fresh_attempt(random))
    name = tagged_hash(Tag.CEREMONY_ID, before.committee_id, peers_named, u16(len(members)), u16(t), attempt)
    parties = [
        scheme.resharing(
            ResharingSeat(
                index=index,
                n=len(members),
                t=t,
                dealers=dealers,
                public=public_material(key_set, before.parameters),
                share=shares.get(peer.address),
                network=before.genesis.root,
                ceremony_id=name,
                signer=peer,
                peers=Addresses(addresses),
                random=random,
                round_seconds=ROUND_SECONDS,
            )
        )
        for index, peer in enumerate(peers, 1)
    ]
    run(parties)
    return _results(parties[: len(members)])


def run(parties: Sequence[KeyGenerationParty]) -> None:
    """Hand messages between the parties, of which member i is at i-1, until none is left."""
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


def _results(parties: Sequence[KeyGenerationParty]) -> tuple[KeyMaterial, ...]:
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
