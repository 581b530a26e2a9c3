"""Whatever committees hand a key to each other, in whatever order messages come, and whatever one peer does to its
bytes: all others hold the same key, shared anew."""

from __future__ import annotations

import hmac
import random as shuffling
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import sha512

from hypothesis import given, settings, strategies as st

from threshold import sharing
from threshold.curve import load_backend
from threshold.entropy import deterministic
from threshold.keys import CeremonyFailed, KeyShare, PublicMaterial
from threshold.sansio import Effect, Send
from threshold.setup.dealer import deal
from threshold.setup.dkg_messages import Message
from threshold.setup.reshare import Party, verify_transcript

CEREMONY = bytes(32)
ROUND_SECONDS = 10.0
G1 = load_backend().g1

Corrupt = Callable[[int, Message], list[bytes]]
"""What a recipient gets in place of a message of the cheating peer."""


def sign(peer: int, digest: bytes) -> bytes:
    return hmac.digest(bytes([peer]), digest, sha512) + b"\0"


class Identity:
    def __init__(self, peer: int) -> None:
        self.peer = peer

    def sign(self, digest: bytes) -> bytes:
        return sign(self.peer, digest)


class Registry:
    def verify(self, member: int, digest: bytes, signature: bytes) -> bool:
        return signature == sign(member, digest)


class NoTrial:
    """The trial decryption is another test's subject."""

    def share(self, public: PublicMaterial, share: KeyShare) -> bytes:
        return b"fine"

    def verify(self, public: PublicMaterial, member: int, data: bytes) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class Transition:
    """From t of n to others.

    seats     peer -> old member, for those who stay and those who leave
    silent    as many of the old and of the next committee as may be absent
    """

    old: tuple[int, int]
    next: tuple[int, int]
    seats: dict[int, int]
    silent: frozenset[int] = frozenset()

    @property
    def peers(self) -> range:
        return range(1, max(self.next[0], *self.seats) + 1)

    @property
    def members(self) -> list[int]:
        return [peer for peer in self.peers if peer <= self.next[0] and peer not in self.silent]


@st.composite
def transitions(draw: st.DrawFn) -> Transition:
    n, next_n = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    old, following = (n, draw(st.integers(1, n))), (next_n, draw(st.integers(1, next_n)))
    order = draw(st.permutations(range(1, n + 1)))
    places = draw(st.permutations(range(1, next_n + 1)))
    staying = draw(st.integers(0, min(n, next_n)))
    seats = dict(zip(places[:staying], order[:staying], strict=True))
    seats |= dict(enumerate(order[staying:], start=next_n + 1))
    peers = range(1, max(next_n, *seats) + 1)
    silent: set[int] = set()
    for peer in draw(st.permutations(peers)):
        absent = silent | {peer}
        enough_deal = len(seats.keys() - absent) >= old[1]
        if enough_deal and len(set(range(1, next_n + 1)) - absent) >= following[1] and draw(st.booleans()):
            silent = absent
    return Transition(old=old, next=following, seats=seats, silent=frozenset(silent))


def dealt(n: int, t: int) -> tuple[PublicMaterial, dict[int, KeyShare]]:
    def material(key: bytes, keys: tuple[bytes, ...]) -> PublicMaterial:
        return PublicMaterial(scheme=1, threshold=t, encryption_key=key, verification_keys=keys)

    public, shares = deal(n=n, t=t, group=G1, material=material, random=deterministic(b"old"))
    return public, {share.member: share for share in shares}


def run(given: Transition, seed: int = 0, *, cheat: int = 0, corrupt: Corrupt | None = None) -> dict[int, Party]:
    public, shares = dealt(*given.old)
    parties = {
        index: Party(
            index=index,
            n=given.next[0],
            t=given.next[1],
            dealers=given.seats,
            public=public,
            share=shares[given.seats[index]] if index in given.seats else None,
            group=G1,
            ceremony_id=CEREMONY,
            signer=Identity(index),
            peers=Registry(),
            random=deterministic(bytes([index])),
            round_seconds=ROUND_SECONDS,
            self_test=NoTrial(),
        )
        for index in given.peers
        if index not in given.silent
    }
    queue: list[tuple[int, int, bytes]] = []
    order = shuffling.Random(seed)

    def perform(sender: int, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                for recipient in parties.keys() - {sender}:
                    copies = [effect.message]
                    if corrupt is not None and sender == cheat:
                        copies = corrupt(recipient, Message.decode(effect.message))
                    queue.extend((sender, recipient, copy) for copy in copies)

    for index, party in parties.items():
        perform(index, party.start(now=0.0))
    for passed in range(9):
        now = passed * ROUND_SECONDS
        for index, party in parties.items():
            perform(index, party.tick(now=now))
        while queue:
            sender, recipient, data = queue.pop(order.randrange(len(queue)))
            perform(recipient, parties[recipient].receive(sender, data, now=now))
    return parties


def assert_key_is_handed_on(given: Transition, parties: dict[int, Party], *, cheat: int = 0) -> None:
    public, shares = dealt(*given.old)
    secret = sharing.recover({member: scalar(share) for member, share in shares.items()})
    honest = {index: party for index, party in parties.items() if index != cheat}
    (announced,) = {party.announcement.public for party in honest.values()}
    assert announced.encryption_key == public.encryption_key
    results = {index: honest[index].result for index in given.members if index != cheat}
    for result in results.values():
        verify_transcript(result.transcript, peers=Registry(), t=given.next[1], predecessor=public)
    last = dict(list(results.items())[-given.next[1] :])
    assert sharing.recover({index: scalar(result.share) for index, result in last.items()}) == secret
    for party in honest.values():
        assert {peer for peer, _ in party.blamed} <= given.silent | {cheat}


def scalar(share: KeyShare) -> int:
    return int.from_bytes(share.secret_bytes(), "big")


@settings(max_examples=30, deadline=None)
@given(transitions(), st.integers(0, 2**32))
def test_resharing_completes_between_any_committees_in_any_order(given, seed):
    assert_key_is_handed_on(given, run(given, seed))


MIXED = Transition(old=(4, 3), next=(4, 3), seats={1: 1, 2: 2, 5: 3, 6: 4})
"""Two stay, two join, two leave."""

damage = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
damages = st.dictionaries(st.tuples(st.integers(1, 7), st.integers(1, 6)), damage, min_size=1, max_size=4)
"""By round and recipient. Only some recipients get the damaged copy, so views may differ."""


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([1, 4, 6]), damages, st.booleans())
def test_resharing_completes_when_a_peer_signs_damaged_payloads(cheat, where, both):
    """One who stays, one who joins, one who leaves."""

    def corrupt(recipient: int, message: Message) -> list[bytes]:
        at, mask = where.get((message.round, recipient), (0.0, 0))
        position = int(at * len(message.payload))
        payload = message.payload
        payload = payload[:position] + bytes([payload[position] ^ mask]) + payload[position + 1 :]
        other = replace(message, payload=payload)
        other = replace(other, signature=sign(cheat, other.digest(CEREMONY)))
        return [other.encode(), message.encode()] if both else [other.encode()]

    parties = run(MIXED, cheat=cheat, corrupt=corrupt)
    assert_key_is_handed_on(MIXED, parties, cheat=cheat)
    try:
        cheats = parties[cheat].announcement
    except CeremonyFailed:
        return
    honest = next(party for index, party in parties.items() if index != cheat)
    assert cheats is None or cheats.public == honest.announcement.public
