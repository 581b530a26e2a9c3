"""The setup of simple-bte says the same and makes the same key in whatever order messages come and whenever a member
restarts; and whatever one member does to its bytes, no honest member holds a bad key."""

from __future__ import annotations

import hmac
import random as shuffling
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from hashlib import sha512

from hypothesis import given, settings, strategies as st

from threshold import sharing
from threshold.curve import ORDER, load_backend
from threshold.entropy import deterministic
from threshold.keys import CeremonyFailed, KeyMaterial, KeyShare, Limits, PublicMaterial, Seat
from threshold.sansio import Effect, Persist, Send
from threshold.setup import punctured
from threshold.setup.multiparty import Party, verify_transcript
from threshold.setup.multiparty_messages import Ceremony, Message

CEREMONY = bytes(32)
N, T, B, CHEAT = 3, 2, 2, 3
ROUND_SECONDS = 10.0
BACKEND = load_backend()
ROUNDS = Ceremony(backend=BACKEND, ceremony_id=CEREMONY, scheme=1, n=N, t=T, batch=B)

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


class Network:
    """Members 1..3, one of whom may crash before its `crash[1]`-th effect and come back with its records."""

    def __init__(
        self,
        *,
        order: shuffling.Random | None = None,
        copies: int = 1,
        crash: tuple[int, int] | None = None,
        corrupt: Corrupt | None = None,
    ) -> None:
        self.order, self.copies, self.crash, self.corrupt = order, copies, crash, corrupt
        self.now = 0.0
        self.queue: list[tuple[int, int, bytes]] = []
        self.effects: dict[int, list[Effect]] = {member: [] for member in range(1, N + 1)}
        self.parties = {member: self.party(member) for member in range(1, N + 1)}
        for member, party in self.parties.items():
            self.perform(member, party.start(now=self.now))
        self.settle()
        for _ in range(ROUNDS.confirm):
            if all(key(party) is not None or failed(party) for party in self.parties.values()):
                break
            self.now += ROUND_SECONDS
            for member, party in self.parties.items():
                self.perform(member, party.tick(now=self.now))
            self.settle()

    def party(self, member: int) -> Party:
        seat = Seat(
            index=member,
            n=N,
            t=T,
            network=bytes(32),
            ceremony_id=CEREMONY,
            signer=Identity(member),
            peers=Registry(),
            random=deterministic(bytes([member])),
            round_seconds=ROUND_SECONDS,
            limits=Limits(batch=B),
            resume=tuple(effect for effect in self.effects[member] if isinstance(effect, Persist)),
        )
        return Party(seat, BACKEND, 1, NoTrial())

    def perform(self, member: int, effects: tuple[Effect, ...]) -> bool:
        """Whether all were performed; otherwise the member has crashed and come back."""
        for effect in effects:
            if self.crash == (member, len(self.effects[member])):
                self.crash = None
                self.parties[member] = self.party(member)
                self.perform(member, self.parties[member].start(now=self.now))
                return False
            self.effects[member].append(effect)
            if isinstance(effect, Send):
                for recipient in self.parties.keys() - {member}:
                    said = [effect.message]
                    if member == CHEAT and self.corrupt is not None:
                        said = self.corrupt(recipient, Message.decode(ROUNDS, effect.message))
                    self.queue += [(member, recipient, data) for data in said] * self.copies
        return True

    def settle(self) -> None:
        while self.queue:
            at = self.order.randrange(len(self.queue)) if self.order is not None else 0
            sender, recipient, data = self.queue.pop(at)
            if not self.perform(recipient, self.parties[recipient].receive(sender, data, now=self.now)):
                self.queue.append((sender, recipient, data))

    def said(self, member: int) -> list[bytes]:
        """In order, each once."""
        return list(dict.fromkeys(e.message for e in self.effects[member] if isinstance(e, Send)))


def key(party: Party) -> KeyMaterial | None:
    try:
        return party.result
    except CeremonyFailed:
        return None


def failed(party: Party) -> bool:
    try:
        _ = party.result
    except CeremonyFailed:
        return True
    return False


@cache
def undisturbed() -> Network:
    return Network()


def assert_no_bad_key(network: Network) -> None:
    """Honest members have given up, or hold shares of one good key, and the same one."""
    honest = [member for member in network.parties if member != CHEAT]
    keys = {member: found for member in honest if (found := key(network.parties[member])) is not None}
    assert all(member in keys or failed(network.parties[member]) for member in honest)
    assert len({found.public for found in keys.values()}) <= 1
    for member, found in keys.items():
        agreement, _ = verify_transcript(found.transcript, peers=Registry(), t=T)
        assert agreement.parameter_digest == found.public.parameter_digest
        powers = punctured.decode(BACKEND, found.public.parameters, N)
        punctured.verify(BACKEND, powers, T)
        data = found.share.secret_bytes()
        for i in range(B):
            share = int.from_bytes(data[32 * i : 32 * i + 32], "big")
            image = BACKEND.g2.multiply(BACKEND.g2.generator, share)
            assert BACKEND.g2.equal(image, powers.verification_keys[member - 1][i])
    if len(keys) >= T:
        first, second = (
            sharing.recover(
                {m: int.from_bytes(k.share.secret_bytes()[32 * i : 32 * i + 32], "big") for m, k in keys.items()}
            )
            for i in range(B)
        )
        assert second == first * first % ORDER


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, N), st.integers(1, 24))
def test_setup_says_the_same_in_any_order_with_duplicates_and_a_restart(seed, copies, member, k):
    """A member's first effect is the record of its seed; without it, a second life draws another."""
    network = Network(order=shuffling.Random(seed), copies=copies, crash=(member, k))
    assert_no_bad_key(network)
    for each, party in network.parties.items():
        assert network.said(each) == undisturbed().said(each)
        expected, found = key(undisturbed().parties[each]), key(party)
        assert found is not None
        assert found.public == expected.public
        assert found.share.secret_bytes() == expected.share.secret_bytes()
        assert found.transcript == expected.transcript
        assert not found.blamed


def bent(data: bytes, at: float, mask: int, cut: bool, tail: bytes) -> bytes:
    """One byte changed, or everything from there on replaced."""
    position = int(at * len(data))
    if cut or not data:
        return data[:position] + tail
    return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :] + tail


damage = st.tuples(
    st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans(), st.just(b"") | st.binary(max_size=8)
)
damages = st.dictionaries(
    st.tuples(st.integers(1, ROUNDS.confirm), st.integers(1, N - 1)), damage, min_size=1, max_size=3
)
"""By round and recipient. Only some recipients get the damaged copy, so views may differ."""


@settings(max_examples=40, deadline=None)
@given(damages, st.booleans())
def test_setup_makes_no_bad_key_when_a_member_signs_damaged_payloads(where, both):
    def corrupt(recipient: int, message: Message) -> list[bytes]:
        hit = where.get((message.round, recipient))
        if hit is None:
            return [message.encode()]
        other = replace(message, payload=bent(message.payload, *hit))
        other = replace(other, signature=sign(CHEAT, other.digest(CEREMONY)))
        return [other.encode(), message.encode()] if both else [other.encode()]

    network = Network(corrupt=corrupt)
    assert_no_bad_key(network)
    for party in (network.parties[1], network.parties[2]):
        assert all(offender == CHEAT for offender, _ in party.blamed)


@settings(max_examples=25, deadline=None)
@given(damages)
def test_setup_makes_no_bad_key_when_a_channel_damages_bytes(where):
    def corrupt(recipient: int, message: Message) -> list[bytes]:
        hit = where.get((message.round, recipient))
        return [message.encode() if hit is None else bent(message.encode(), *hit)]

    network = Network(corrupt=corrupt)
    assert_no_bad_key(network)
    for party in (network.parties[1], network.parties[2]):
        assert all(offender == CHEAT for offender, _ in party.blamed)
