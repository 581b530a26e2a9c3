"""Whatever one channel or one member does to its bytes, the other members of 3 of 4 end with one key."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha512

from hypothesis import given, settings, strategies as st

from threshold.curve import load_backend
from threshold.entropy import deterministic
from threshold.keys import CeremonyFailed, KeyShare, PublicMaterial
from threshold.sansio import Effect, Send
from threshold.setup.dkg import Party, verify_transcript
from threshold.setup.dkg_messages import Message

CEREMONY = bytes(32)
N, T, CHEAT = 4, 3, 4
ROUND_SECONDS = 10.0
G1 = load_backend().g1

Corrupt = Callable[[int, Message], list[bytes]]
"""What a recipient gets in place of a message of the cheating member."""


def sign(member: int, digest: bytes) -> bytes:
    return hmac.digest(bytes([member]), digest, sha512) + b"\0"


class Identity:
    def __init__(self, member: int) -> None:
        self.member = member

    def sign(self, digest: bytes) -> bytes:
        return sign(self.member, digest)


class Registry:
    def verify(self, member: int, digest: bytes, signature: bytes) -> bool:
        return signature == sign(member, digest)


class NoTrial:
    """The trial decryption is another test's subject."""

    def share(self, public: PublicMaterial, share: KeyShare) -> bytes:
        return b"fine"

    def verify(self, public: PublicMaterial, member: int, data: bytes) -> None:
        return None


def material(key: bytes, keys: tuple[bytes, ...]) -> PublicMaterial:
    return PublicMaterial(scheme=1, threshold=T, encryption_key=key, verification_keys=keys)


def run(corrupt: Corrupt) -> dict[int, Party]:
    parties = {
        index: Party(
            index=index,
            n=N,
            t=T,
            group=G1,
            material=material,
            ceremony_id=CEREMONY,
            signer=Identity(index),
            peers=Registry(),
            random=deterministic(bytes([index])),
            round_seconds=ROUND_SECONDS,
            self_test=NoTrial(),
        )
        for index in range(1, N + 1)
    }
    queue: deque[tuple[int, int, bytes]] = deque()

    def perform(sender: int, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                for recipient in parties.keys() - {sender}:
                    if sender == CHEAT:
                        copies = corrupt(recipient, Message.decode(effect.message))
                        queue.extend((sender, recipient, copy) for copy in copies)
                    else:
                        queue.append((sender, recipient, effect.message))

    for index, party in parties.items():
        perform(index, party.start(now=0.0))
    for passed in range(9):
        now = passed * ROUND_SECONDS
        for index, party in parties.items():
            perform(index, party.tick(now=now))
        while queue:
            sender, recipient, data = queue.popleft()
            perform(recipient, parties[recipient].receive(sender, data, now=now))
    return parties


def assert_honest_members_share_one_key(parties: dict[int, Party]) -> None:
    results = [parties[index].result for index in range(1, N + 1) if index != CHEAT]
    assert all(result is not None for result in results)
    assert len({result.public for result in results}) == 1
    agreements = {verify_transcript(result.transcript, peers=Registry(), t=T)[0] for result in results}
    assert len(agreements) == 1
    for index in range(1, N + 1):
        assert all(member == CHEAT for member, _ in parties[index].blamed if index != CHEAT)
    try:
        cheats = parties[CHEAT].result
    except CeremonyFailed:
        return
    assert cheats is None or cheats.public == results[0].public


def bent(data: bytes, at: float, mask: int, cut: bool, tail: bytes) -> bytes:
    """One byte changed, or everything from there on replaced."""
    position = int(at * len(data))
    if cut or not data:
        return data[:position] + tail
    return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :] + tail


damage = st.tuples(
    st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans(), st.just(b"") | st.binary(max_size=8)
)
damages = st.dictionaries(st.tuples(st.integers(1, 7), st.integers(1, 3)), damage, min_size=1, max_size=4)
"""By round and recipient. Only some recipients get the damaged copy, so views may differ."""


@settings(max_examples=40, deadline=None)
@given(damages)
def test_ceremony_completes_when_a_channel_damages_bytes(where):
    def corrupt(recipient: int, message: Message) -> list[bytes]:
        hit = where.get((message.round, recipient))
        return [message.encode() if hit is None else bent(message.encode(), *hit)]

    assert_honest_members_share_one_key(run(corrupt))


@settings(max_examples=60, deadline=None)
@given(damages, st.booleans())
def test_ceremony_completes_when_a_member_signs_damaged_payloads(where, both):
    def corrupt(recipient: int, message: Message) -> list[bytes]:
        hit = where.get((message.round, recipient))
        if hit is None:
            return [message.encode()]
        other = replace(message, payload=bent(message.payload, *hit))
        other = replace(other, signature=sign(CHEAT, other.digest(CEREMONY)))
        return [other.encode(), message.encode()] if both else [other.encode()]

    assert_honest_members_share_one_key(run(corrupt))


@settings(max_examples=25, deadline=None)
@given(st.sets(st.tuples(st.integers(1, 7), st.integers(1, 3))))
def test_ceremony_completes_when_a_member_is_silent_to_some(where):
    def corrupt(recipient: int, message: Message) -> list[bytes]:
        return [] if (message.round, recipient) in where else [message.encode()]

    assert_honest_members_share_one_key(run(corrupt))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 7), st.binary(max_size=200)), max_size=8))
def test_party_never_raises_when_peers_send_noise(noise):
    parties = run(lambda _recipient, message: [*(bytes([number]) + data for number, data in noise), message.encode()])
    assert_honest_members_share_one_key(parties)
