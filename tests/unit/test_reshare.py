"""A key goes to the next committee: whoever joins, leaves, is absent or cheats, it stays the same key."""

from __future__ import annotations

import hmac
import random as shuffling
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha512
from itertools import combinations
from typing import Any

import pytest

from threshold import sharing
from threshold.curve import DEFAULT_BACKEND, ORDER, Group, load_backend
from threshold.entropy import deterministic
from threshold.errors import Malformed, NotEnoughShares, Rejected, ShareRejected
from threshold.hashing import Tag, tagged_hash
from threshold.keys import CeremonyFailed, KeyMaterial, KeyShare, Limits, PublicMaterial, ResharingSeat
from threshold.sansio import Effect, Persist, Send
from threshold.schemes.base import Batch, BatchKey
from threshold.schemes.key_generation import resharing_party
from threshold.schemes.registry import load_scheme
from threshold.setup import dkg
from threshold.setup.dkg_messages import (
    Agreement,
    Complaint,
    Confirmation,
    Dealing,
    Hello,
    Message,
    Round,
    decode_complaints,
    encode_complaints,
    encode_echo,
    encode_signatures,
)
from threshold.setup.reshare import Party, Resharing, verify_transcript

ROUND_SECONDS = 10.0
START = 1_000_000.0
CEREMONY = b"ceremony under test".ljust(32, b".")
NETWORK = b"network under test"
HEIGHT = 7


class Identity:
    """HMAC in place of ECDSA: deterministic, and the test can sign for everyone."""

    def __init__(self, peer: int) -> None:
        self.key = bytes([peer]) * 32

    def sign(self, digest: bytes) -> bytes:
        return hmac.digest(self.key, digest, sha512) + b"\0"


class Registry:
    def verify(self, member: int, digest: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(Identity(member).sign(digest), signature)


@dataclass(frozen=True, kw_only=True)
class Committee:
    """Those who hold a key in one epoch, with all their shares."""

    scheme: Any
    group: Group
    public: PublicMaterial
    shares: dict[int, KeyShare]

    @property
    def key(self) -> Any:
        return self.scheme.load_public_key(self.public, key_id=self.public.key_id(NETWORK))

    def scalar(self, member: int) -> int:
        return int.from_bytes(self.shares[member].secret_bytes(), "big")

    def encrypt(self, plaintext: bytes) -> bytes:
        return self.scheme.encrypt(self.key, plaintext, aad=b"", height=HEIGHT, random=deterministic(plaintext))

    def batch(self, ciphertext: bytes) -> Batch:
        entry = self.scheme.verify_ciphertext(self.key, ciphertext, aad=b"", height=HEIGHT)
        return Batch(key_id=self.key.key_id, height=HEIGHT, round=0, entries=(entry,))

    def decryption_share(self, member: int, batch: Batch) -> Any:
        return self.scheme.partial_decrypt(self.key, self.shares[member], batch, random=deterministic(b"share"))

    def combine(self, batch: Batch, shares: Iterable[Any]) -> tuple[BatchKey, tuple[int, ...]]:
        return self.scheme.combine(self.key, batch, list(shares), None)

    def open(self, ciphertext: bytes, members: Iterable[int]) -> Any:
        """What these members make of a ciphertext."""
        batch = self.batch(ciphertext)
        batch_key, refused = self.combine(batch, (self.decryption_share(member, batch) for member in members))
        assert not refused
        return self.scheme.decrypt(self.key, batch, batch_key, None)[0]


@cache
def committee(n: int, t: int, name: str = "tdh2", backend: str = DEFAULT_BACKEND) -> Committee:
    scheme = load_scheme(name, backend)
    group = getattr(load_backend(backend), "g2" if name == "ibe" else "g1")
    public, shares = scheme.deal(n=n, t=t, limits=Limits(), random=deterministic(b"first epoch"))
    return Committee(scheme=scheme, group=group, public=public, shares={share.member: share for share in shares})


Rewrite = Callable[["Network", int, Message], Iterable[bytes]]
"""What recipient gets instead of a cheating peer's message: any number of others."""


class Network:
    """Runs a resharing in memory. `cheats` rewrite what a peer says, per recipient, after it has left its party.

    staying    member of the next committee -> its index in the old one; all other old members leave, in order
    without    old members who lost their share: they do not deal, and sit in the ceremony only if they stay
    """

    def __init__(
        self,
        old: Committee,
        n: int,
        t: int,
        *,
        staying: Mapping[int, int],
        without: Iterable[int] = (),
        silent: Iterable[int] = (),
        cheats: Mapping[int, Rewrite] | None = None,
        shuffle: int | None = None,
        crash: tuple[int, int] | None = None,
    ) -> None:
        self.old, self.n, self.t = old, n, t
        leaving = sorted(old.shares.keys() - set(staying.values()) - set(without))
        seats = {**staying, **dict(enumerate(leaving, start=n + 1))}
        self.holders = {peer: member for peer, member in seats.items() if member not in without}
        self.ceremony = Resharing(
            ceremony_id=CEREMONY, n=n, t=t, group=old.group, holders=self.holders, predecessor=old.public
        )
        self.cheats = cheats or {}
        self.order = shuffling.Random(shuffle) if shuffle is not None else None
        self.crash = crash
        self.now = START
        self.queue: deque[tuple[int, int, bytes]] = deque()
        everyone = range(1, self.ceremony.peers + 1)
        self.effects: dict[int, list[Effect]] = {peer: [] for peer in everyone}
        self.lives = dict.fromkeys(everyone, 0)
        self.parties = {peer: self.party(peer) for peer in everyone if peer not in silent}

    def seat(self, peer: int, **changes: object) -> ResharingSeat:
        seat = ResharingSeat(
            index=peer,
            n=self.n,
            t=self.t,
            dealers=self.holders,
            public=self.old.public,
            share=self.old.shares[self.holders[peer]] if peer in self.holders else None,
            network=NETWORK,
            ceremony_id=CEREMONY,
            signer=Identity(peer),
            peers=Registry(),
            random=deterministic(b"peer %d, life %d" % (peer, self.lives[peer])),
            round_seconds=ROUND_SECONDS,
            resume=tuple(self.records(peer)),
        )
        return replace(seat, **changes)

    def party(self, peer: int, **changes: object) -> Party:
        self.lives[peer] += 1
        return resharing_party(self.old.scheme, self.old.group, self.seat(peer, **changes))

    def records(self, peer: int) -> list[Persist]:
        return [effect for effect in self.effects[peer] if isinstance(effect, Persist)]

    def sent(self, peer: int) -> dict[Round, list[Message]]:
        messages: dict[Round, list[Message]] = {number: [] for number in Round}
        for effect in self.effects[peer]:
            if isinstance(effect, Send):
                message = Message.decode(effect.message)
                messages[message.round].append(message)
        return messages

    def said(self, peer: int, number: Round) -> Message:
        return self.sent(peer)[number][0]

    def ephemeral(self, peer: int) -> int:
        (record,) = (record for record in self.records(peer) if record.kind == dkg.EPHEMERAL_RECORD)
        return int.from_bytes(record.value[8:], "big")

    def deal(self, peer: int, secret: int) -> Dealing:
        """Another dealing of this peer, to all members."""
        keys = {
            member: Hello.decode(self.ceremony, member, self.said(member, Round.HELLO).payload).key
            for member in self.parties
            if member <= self.n
        }
        return Dealing.make(self.ceremony, peer, keys, deterministic(b"another dealing"), secret=secret)

    def perform(self, peer: int, effects: Iterable[Effect]) -> bool:
        """Whether all were performed; otherwise the peer has crashed and come back."""
        for effect in effects:
            if self.crash == (peer, len(self.effects[peer])):
                self.crash = None
                self.parties[peer] = self.party(peer)
                self.perform(peer, self.parties[peer].start(now=self.now))
                return False
            self.effects[peer].append(effect)
            if isinstance(effect, Send):
                self.transmit(peer, effect.message)
        return True

    def transmit(self, sender: int, data: bytes) -> None:
        for recipient in self.parties.keys() - {sender}:
            cheat = self.cheats.get(sender)
            copies = [data] if cheat is None else cheat(self, recipient, Message.decode(data))
            self.queue += [(sender, recipient, copy) for copy in copies]

    def settle(self) -> None:
        while self.queue:
            if self.order is not None:
                self.queue.rotate(self.order.randrange(len(self.queue)))
            sender, recipient, data = self.queue.popleft()
            if not self.perform(recipient, self.parties[recipient].receive(sender, data, now=self.now)):
                self.queue.appendleft((sender, recipient, data))

    def run(self) -> Network:
        for peer, party in self.parties.items():
            self.perform(peer, party.start(now=self.now))
        self.settle()
        while not all(map(is_done, self.parties.values())):
            self.now += ROUND_SECONDS
            for peer, party in self.parties.items():
                self.perform(peer, party.tick(now=self.now))
            self.settle()
        return self

    def result(self, member: int) -> KeyMaterial:
        material = self.parties[member].result
        assert material is not None
        return material

    def next(self, members: Iterable[int] | None = None) -> Committee:
        """These members, else all that took part, hold the old key, shared properly; all peers know it."""
        members = tuple(members or (peer for peer in self.parties if peer <= self.n))
        results = {member: self.result(member) for member in members}
        (public,) = {result.public for result in results.values()}
        assert public == replace(self.old.public, threshold=self.t, verification_keys=public.verification_keys)
        assert public.members == self.n
        after = replace(self.old, public=public, shares={m: results[m].share for m in members})
        group = self.old.group
        for member in members:
            image = group.encode(group.multiply(group.generator, after.scalar(member)))
            assert image == public.verification_keys[member - 1]
        assert after.key.key_id == self.old.key.key_id
        for peer in self.parties.keys() - set(range(1, self.n + 1)):
            announcement = self.parties[peer].announcement
            assert announcement is not None
            assert announcement.public == public
            assert self.parties[peer].result is None
        return after

    def dealers(self, members: Iterable[int] | None = None) -> tuple[int, ...]:
        """Old members whose dealings count, as these members say, else all that took part."""
        (agreement,) = {
            verify_transcript(self.result(member).transcript, peers=Registry(), t=self.t, predecessor=self.old.public)[
                0
            ]
            for member in members or (peer for peer in self.parties if peer <= self.n)
        }
        return tuple(dealer for dealer, _ in agreement.dealings)

    def blamed(self, peer: int) -> set[tuple[int, str]]:
        return set(self.parties[peer].blamed)


def is_done(party: Party) -> bool:
    try:
        return party.announcement is not None
    except CeremonyFailed:
        return True


SAME = {1: 1, 2: 2, 3: 3, 4: 4}


def refresh(**options: Any) -> Network:
    return Network(committee(4, 3), 4, 3, staying=SAME, **options)


def signed(message: Message, payload: bytes) -> bytes:
    """The sender's own signature on another payload."""
    unsigned = replace(message, payload=payload)
    return replace(unsigned, signature=Identity(message.sender).sign(unsigned.digest(CEREMONY))).encode()


def rewriting(number: Round, change: Callable[[Network, Message], bytes], *, only: int | None = None) -> Rewrite:
    """A peer that says something else in one round, to all or to one."""

    def rewrite(network: Network, recipient: int, message: Message) -> Iterable[bytes]:
        if message.round != number or only not in (None, recipient):
            return (message.encode(),)
        return (signed(message, change(network, message)),)

    return rewrite


def wrong_box(network: Network, message: Message) -> bytes:
    """Member 1 gets a box that does not open."""
    dealing = Dealing.decode(network.ceremony, message.sender, message.payload)
    return replace(dealing, sealed=(bytes(48), *dealing.sealed[1:])).encode(network.old.group)


# --- honest peers


TRANSITIONS = [
    pytest.param((4, 3), (4, 3), SAME, id="refresh"),
    pytest.param((4, 3), (7, 5), {1: 1, 2: 2, 5: 3, 7: 4}, id="grow"),
    pytest.param((7, 5), (4, 3), {1: 7, 3: 2}, id="shrink"),
    pytest.param((4, 3), (3, 2), {}, id="disjoint"),
    pytest.param((4, 3), (4, 2), {1: 2, 2: 3, 3: 4, 4: 1}, id="reorder"),
    pytest.param((1, 1), (1, 1), {1: 1}, id="one"),
    pytest.param((1, 1), (3, 2), {2: 1}, id="from-one"),
    pytest.param((3, 2), (1, 1), {}, id="to-one"),
]


@pytest.mark.parametrize(("before", "after", "staying"), TRANSITIONS)
def test_resharing_keeps_the_key_when_all_are_honest(before, after, staying):
    network = Network(committee(*before), *after, staying=staying).run()
    holders = network.next()
    assert network.dealers() == tuple(range(1, before[0] + 1))
    assert not any(party.blamed for party in network.parties.values())
    assert network.now == START, "nobody had to wait for a deadline"
    secret = sharing.recover({m: network.old.scalar(m) for m in range(1, before[1] + 1)})
    for members in combinations(holders.shares, after[1]):
        assert sharing.recover({member: holders.scalar(member) for member in members}) == secret
    sizes = [len(e.message) for effects in network.effects.values() for e in effects if isinstance(e, Send)]
    assert max(sizes) <= network.ceremony.limit_bytes


def test_resharing_keeps_a_key_of_g2():
    """The other group, and a scheme whose test batch is a height."""
    old = committee(3, 2, "ibe")
    ciphertext = old.encrypt(b"before")
    after = Network(old, 4, 3, staying={2: 3}).run().next()
    assert after.open(ciphertext, (1, 2, 4)) == b"before"


def test_resharing_keeps_a_key_on_the_reference_backend():
    old = committee(1, 1, "tdh2", "reference")
    Network(old, 1, 1, staying={}).run().next()


def test_tdh2_reshares_its_keys():
    network = refresh()
    assert isinstance(load_scheme("tdh2").resharing(network.seat(1)), Party)


def test_refresh_changes_every_share():
    network = refresh().run()
    assert all(network.next().scalar(member) != network.old.scalar(member) for member in SAME)


def test_key_is_kept_over_several_epochs():
    """A ciphertext of the first epoch opens in the third, by members none of whom was there."""
    first = committee(3, 2)
    ciphertext = first.encrypt(b"old ciphertext")
    second = Network(first, 4, 3, staying={1: 3}).run().next()
    third = Network(second, 3, 2, staying={}).run().next()
    assert third.open(ciphertext, (1, 3)) == b"old ciphertext"


@pytest.mark.parametrize("seed", range(3))
def test_resharing_completes_when_messages_arrive_in_any_order(seed):
    network = Network(committee(4, 3), 3, 2, staying={1: 4}, shuffle=seed).run()
    network.next()
    assert network.dealers() == (1, 2, 3, 4)
    assert not any(party.blamed for party in network.parties.values())


def test_member_that_lost_its_share_gets_another():
    network = refresh(without=(2,)).run()
    after = network.next()
    assert network.dealers() == (1, 3, 4)
    assert after.open(network.old.encrypt(b"text"), (2, 3, 4)) == b"text"


# --- shares of two epochs


@pytest.fixture(scope="module")
def refreshed() -> tuple[Committee, Committee, bytes]:
    """A committee before and after a refresh, and a ciphertext from before."""
    network = refresh().run()
    return network.old, network.next(), network.old.encrypt(b"encrypted before")


@pytest.mark.parametrize("members", list(combinations(SAME, 3)))
def test_ciphertext_opens_with_any_threshold_of_new_shares_when_it_is_old(refreshed, members):
    _, after, ciphertext = refreshed
    assert after.open(ciphertext, members) == b"encrypted before"


def test_shares_of_two_epochs_do_not_combine_to_the_key(refreshed):
    """Neither in full, nor when t-1 of either epoch are pooled."""
    before, after, _ = refreshed
    secret = sharing.recover({member: before.scalar(member) for member in (1, 2, 3)})
    for old in (1, 2):
        for old_members in combinations(SAME, old):
            for new_members in combinations(SAME.keys() - set(old_members), 3 - old):
                mixed = {m: before.scalar(m) for m in old_members} | {m: after.scalar(m) for m in new_members}
                assert sharing.recover(mixed) != secret
    pooled = {1: before.scalar(1), 2: before.scalar(2), 3: after.scalar(3), 4: after.scalar(4)}
    assert sharing.recover(pooled) != secret


def test_old_decryption_shares_are_refused_with_blame_under_the_new_verification_keys(refreshed):
    before, after, ciphertext = refreshed
    batch = after.batch(ciphertext)
    old = [before.decryption_share(member, batch) for member in (1, 2)]
    new = [after.decryption_share(member, batch) for member in (3, 4)]
    with pytest.raises(NotEnoughShares) as failure:
        after.combine(batch, [*old, *new])
    assert failure.value.blamed == (1, 2)
    with pytest.raises(ShareRejected):
        after.scheme.verify_share(after.key, batch, old[0])
    batch_key, refused = after.combine(batch, [*old, *new, after.decryption_share(1, batch)])
    assert refused == (1, 2)
    assert after.scheme.decrypt(after.key, batch, batch_key, None) == (b"encrypted before",)


def test_stated_limit_threshold_of_unerased_old_shares_still_opens(refreshed):
    """Also what is encrypted after the refresh: the key is the same. Only erasure ends an epoch."""
    before, after, _ = refreshed
    assert before.open(after.encrypt(b"encrypted after"), (1, 2, 4)) == b"encrypted after"


def test_fewer_than_threshold_of_both_epochs_do_not_open(refreshed):
    """t-1 old and t-1 new shares, whichever key set they are presented under."""
    before, after, ciphertext = refreshed
    batch = after.batch(ciphertext)
    pooled = [epoch.decryption_share(m, batch) for epoch, m in ((before, 1), (before, 2), (after, 3), (after, 4))]
    for epoch, refused in ((after, (1, 2)), (before, (3, 4))):
        with pytest.raises(NotEnoughShares) as failure:
            epoch.combine(batch, pooled)
        assert failure.value.blamed == refused


# --- absent peers


def test_resharing_completes_when_old_members_are_absent_down_to_their_threshold():
    network = Network(committee(4, 3), 4, 3, staying={1: 1}, silent=(6,)).run()
    network.next()
    assert network.dealers() == (1, 2, 4)
    assert network.blamed(1) == {(6, "DKG-3")}


def test_resharing_fails_when_fewer_than_the_old_threshold_deal():
    """DKG-10, by the threshold of the old committee."""
    network = Network(committee(4, 3), 2, 1, staying={1: 1}, silent=(4, 5)).run()
    for party in network.parties.values():
        with pytest.raises(CeremonyFailed, match=r"2 dealings are valid, 3 are needed \[DKG-10\].*new attempt") as fail:
            _ = party.result
        with pytest.raises(CeremonyFailed):
            _ = party.announcement
        assert {(4, "DKG-3"), (5, "DKG-3")} <= set(fail.value.blamed)


def test_resharing_fails_when_too_few_of_the_next_committee_say_hello():
    """Those who leave do not count."""
    network = Network(committee(4, 3), 3, 2, staying={}, silent=(2, 3)).run()
    with pytest.raises(CeremonyFailed, match="only 1 members said hello, 2 are needed"):
        _ = network.parties[4].announcement


def test_resharing_fails_when_too_few_of_the_next_committee_confirm():
    def mute(_network, _recipient, message):
        return () if message.round == Round.CONFIRM else (message.encode(),)

    network = Network(committee(4, 3), 3, 2, staying={}, cheats={2: mute, 3: mute}).run()
    for peer in (1, 4):
        with pytest.raises(CeremonyFailed, match="1 members confirmed this transcript, 2 are needed"):
            _ = network.parties[peer].announcement


def test_resharing_completes_when_a_joiner_is_silent():
    """It has a verification key, but no share: as if it were absent in the new epoch."""
    network = Network(committee(3, 2), 4, 3, staying={1: 1, 2: 2, 3: 3}, silent=(4,)).run()
    after = network.next()
    assert network.dealers() == (1, 2, 3)
    assert network.blamed(1) == {(4, "DKG-3")}
    assert after.open(network.old.encrypt(b"text"), (1, 2, 3)) == b"text"


# --- peers that cheat


@pytest.mark.parametrize("secret", [lambda share: share + 1, lambda share: ORDER - share, lambda _: 5])
def test_dealer_is_out_when_it_deals_another_secret_than_its_share(secret):
    """RSH-1: nobody can change the key."""

    def change(network, _message):
        return network.deal(4, secret(network.old.scalar(4))).encode(network.old.group)

    network = refresh(cheats={4: rewriting(Round.DEALING, change)}).run()
    network.next((1, 2, 3))
    assert all(network.blamed(member) == {(4, "RSH-1")} for member in (1, 2, 3))
    assert network.dealers((1, 2, 3)) == (1, 2, 3)


def test_dealer_is_out_when_one_share_is_wrong():
    """DKG-8: the victim complains, all judge, also one who leaves, and the victim still gets its share."""
    network = Network(committee(4, 3), 3, 2, staying={}, cheats={7: rewriting(Round.DEALING, wrong_box)}).run()
    network.next()
    assert network.dealers() == (1, 2, 3)
    assert all(network.blamed(peer) == {(7, "DKG-8")} for peer in (1, 2, 3, 4, 5, 6))


def test_dealer_is_out_when_it_deals_differently_to_two_members():
    """DKG-2"""

    def change(network, _message):
        return network.deal(4, network.old.scalar(4)).encode(network.old.group)

    network = refresh(cheats={4: rewriting(Round.DEALING, change, only=2)}).run()
    network.next((1, 2, 3))
    assert all(network.blamed(member) == {(4, "DKG-2")} for member in (1, 2, 3))
    assert network.dealers((1, 2, 3)) == (1, 2, 3)


def test_complainer_is_blamed_and_dealer_stays_when_a_complaint_is_false():
    """DKG-9"""

    def change(network, _message):
        dealing = Dealing.decode(network.ceremony, 1, network.said(1, Round.DEALING).payload)
        complaint = Complaint.make(network.ceremony, 4, network.ephemeral(4), dealing, deterministic(b"false"))
        return encode_complaints(network.old.group, (complaint,))

    network = refresh(cheats={4: rewriting(Round.COMPLAINT, change)}).run()
    network.next((1, 2, 3))
    assert network.dealers((1, 2, 3)) == (1, 2, 3, 4)
    assert all(network.blamed(member) == {(4, "DKG-9")} for member in (1, 2, 3))


def test_complaint_may_name_a_dealer_that_leaves():
    network = Network(committee(4, 3), 3, 2, staying={}, cheats={7: rewriting(Round.DEALING, wrong_box)}).run()
    (complaint,) = decode_complaints(network.ceremony, network.said(1, Round.COMPLAINT).payload)
    assert complaint.dealer == 7


def test_confirmation_does_not_count_when_the_trial_decryption_fails():
    """DKG-12"""

    def change(network, message):
        confirmation = Confirmation.decode(message.payload)
        other = Confirmation.decode(network.said(1, Round.CONFIRM).payload)
        return replace(confirmation, self_test=other.self_test).encode()

    network = refresh(cheats={4: rewriting(Round.CONFIRM, change)}).run()
    network.next((1, 2, 3))
    assert all(network.blamed(member) == {(4, "DKG-12")} for member in (1, 2, 3))
    assert verify_of(network)[1] == (1, 2, 3)


@pytest.mark.parametrize(
    ("peer", "number"),
    [(2, Round.DEALING), (5, Round.COMPLAINT), (5, Round.CONFIRM)],
    ids=["joiner-deals", "leaver-complains", "leaver-confirms"],
)
def test_message_is_refused_when_its_author_has_nothing_to_say(peer, number):
    """DKG-1, and DKG-5 for those who forward it."""

    def rewrite(network, _recipient, message):
        if message.round != Round.HELLO:
            return (message.encode(),)
        return (message.encode(), signed(replace(message, round=number), b"out of turn"))

    def forward(_network, message):
        meddling = replace(message, sender=peer, round=number)
        return encode_echo([Message.decode(signed(meddling, b"out of turn"))])

    echo = {Round.DEALING: Round.DEALING_ECHO, Round.COMPLAINT: Round.COMPLAINT_ECHO}
    cheats = {peer: rewrite} | ({3: rewriting(echo[number], forward)} if number in echo else {})
    network = Network(committee(4, 3), 3, 2, staying={1: 1, 3: 2}, cheats=cheats).run()
    network.next()
    assert network.dealers() == (1, 2, 3, 4)
    assert (peer, "DKG-1") in network.blamed(1)
    assert ((3, "DKG-5") in network.blamed(1)) == (number in echo)
    assert network.now == START


def test_echo_of_all_that_many_leavers_deal_is_within_the_limit():
    """Two versions each, which is what an honest member may have to forward."""
    old = committee(300, 300)
    network = Network(old, 1, 1, staying={}, silent=range(2, 302))
    for effect in network.parties[1].start(now=START):
        network.effects[1].append(effect)
    dealing = network.deal(2, old.scalar(1)).encode(old.group)
    dealt = [Message(round=Round.DEALING, sender=2, payload=dealing, signature=bytes(65))] * 2 * 300
    echo = Message(round=Round.DEALING_ECHO, sender=1, payload=encode_echo(dealt), signature=bytes(65))
    assert len(echo.encode()) <= network.ceremony.limit_bytes


# --- restarts


@pytest.mark.parametrize(
    ("peer", "silent"),
    [(1, ()), (2, ()), (3, ()), (2, (3,)), (3, (2,))],
    ids=["stays", "joins", "leaves", "joins-while-one-is-silent", "leaves-while-one-is-silent"],
)
def test_restarted_peer_repeats_its_bytes_after_every_effect(peer, silent):
    """Also one that has nothing to say in some rounds, and so no record that they began."""

    def run(crash=None):
        return Network(committee(2, 1), 2, 1, staying={1: 1}, silent=silent, crash=crash).run()

    for k in range(len(run().effects[peer])):
        network = run((peer, k))
        assert network.lives[peer] == 2
        for messages in network.sent(peer).values():
            assert len({message.encode() for message in messages}) <= 1, f"two messages after effect {k}"
        network.next()
        assert network.dealers() == ((1,) if 3 in silent else (1, 2)), f"after effect {k}"
        assert not any((peer, "DKG-2") in party.blamed for party in network.parties.values())


def test_restarted_peer_has_its_outcome_again_from_its_records():
    network = Network(committee(3, 2), 2, 2, staying={1: 1}).run()
    for peer in network.parties:
        again = network.party(peer)
        again.start(now=network.now + 100 * ROUND_SECONDS)
        assert again.announcement == network.parties[peer].announcement
    assert again.result is None, "peer 4 left"


# --- parameters


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"index": 0}, "deals if, and only if"),
        ({"index": 5, "share": None}, "out of range"),
        ({"t": 5}, "threshold"),
        ({"round_seconds": 0.0}, "out of range"),
        ({"share": None}, "deals if, and only if"),
        ({"dealers": {2: 2, 3: 3, 4: 4}}, "deals if, and only if"),
        ({"dealers": {1: 2, 2: 1, 3: 3, 4: 4}}, "deals if, and only if"),
        ({"dealers": {1: 1, 2: 2}}, "at least 3 distinct members"),
        ({"dealers": {1: 1, 2: 2, 3: 2, 4: 3}}, "at least 3 distinct members"),
        ({"dealers": {1: 1, 2: 2, 3: 3, 4: 5}}, "at least 3 distinct members"),
        ({"dealers": {1: 1, 2: 2, 3: 3, 6: 4}}, "those who leave"),
        ({"dealers": {1: 1, 2: 2, 3: 3, 0: 4}}, "those who leave"),
    ],
)
def test_party_is_refused_when_its_place_makes_no_sense(changes, reason):
    with pytest.raises(ValueError, match=reason):
        refresh().party(1, **changes)


def test_party_is_refused_when_its_share_is_of_another_epoch(refreshed):
    """Restored from an old backup, it would deal what does not count and be blamed."""
    before, after, _ = refreshed
    network = Network(after, 4, 3, staying=SAME)
    for share in (before.shares[1], KeyShare(1, b"\xff" * 32)):
        with pytest.raises(ValueError, match="share of member 1"):
            network.party(1, share=share)


def test_party_is_refused_when_the_old_verification_keys_are_not_of_the_key(refreshed):
    """Else which key comes out would depend on who deals."""
    before, after, _ = refreshed
    for mixed in (
        replace(
            before.public, verification_keys=(*before.public.verification_keys[:3], after.public.verification_keys[3])
        ),
        replace(before.public, encryption_key=before.public.verification_keys[0]),
    ):
        with pytest.raises(ValueError, match="do not belong to its key"):
            refresh().party(1, public=mixed)


# --- transcripts


def verify_of(network: Network) -> tuple[Agreement, tuple[int, ...]]:
    transcript = network.result(1).transcript
    return verify_transcript(transcript, peers=Registry(), t=network.t, predecessor=network.old.public)


@pytest.fixture(scope="module")
def handed_on() -> Network:
    return Network(committee(4, 3), 3, 2, staying={1: 4}).run()


def test_transcript_is_accepted_when_whole(handed_on):
    agreement, members = verify_of(handed_on)
    assert members == (1, 2, 3)
    assert (agreement.ceremony_id, agreement.n, agreement.t) == (CEREMONY, 3, 2)
    assert agreement.encryption_key == handed_on.old.public.encryption_key
    assert agreement.verification_keys == handed_on.result(1).public.verification_keys
    assert len({network_party.announcement for network_party in handed_on.parties.values()}) == 1


def test_transcript_is_refused_when_any_byte_differs(handed_on):
    transcript = handed_on.result(1).transcript
    for at in range(len(transcript)):
        tampered = transcript[:at] + bytes([transcript[at] ^ 1]) + transcript[at + 1 :]
        with pytest.raises((Malformed, Rejected)):
            verify_transcript(tampered, peers=Registry(), t=2, predecessor=handed_on.old.public)


def test_transcript_is_refused_when_cut_or_continued(handed_on):
    transcript = handed_on.result(1).transcript
    for data in (transcript[:31], transcript[:-1], transcript + b"\0"):
        with pytest.raises(Malformed):
            verify_transcript(data, peers=Registry(), t=2, predecessor=handed_on.old.public)


def test_transcript_is_refused_when_another_committee_is_named_as_predecessor(handed_on):
    """RSH-2"""
    other = replace(handed_on.old.public, threshold=2)
    with pytest.raises(Rejected, match="RSH-2"):
        verify_transcript(handed_on.result(1).transcript, peers=Registry(), t=2, predecessor=other)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda a: replace(a, encryption_key=a.verification_keys[0]), "RSH-2"),
        (lambda a: replace(a, dealings=a.dealings[:2]), "at least 3 members"),
        (lambda a: replace(a, dealings=(*a.dealings, (5, bytes(32)))), "at least 3 members"),
    ],
    ids=["key", "too-few", "no-such-dealer"],
)
def test_transcript_is_refused_when_everyone_signed_nonsense(handed_on, change, error):
    """RSH-2"""
    agreement = change(verify_of(handed_on)[0])
    signatures = {member: Identity(member).sign(agreement.digest) for member in (1, 2, 3)}
    transcript = agreement.encode() + encode_signatures(signatures)
    with pytest.raises((Malformed, Rejected), match=error):
        verify_transcript(transcript, peers=Registry(), t=2, predecessor=handed_on.old.public)


def test_transcript_is_refused_when_signatures_are_too_few_or_for_another_threshold(handed_on):
    """DKG-13, for the next committee"""
    agreement, _ = verify_of(handed_on)
    one = agreement.encode() + encode_signatures({2: Identity(2).sign(agreement.digest)})
    for transcript, t in ((one, 2), (handed_on.result(1).transcript, 3)):
        with pytest.raises(Rejected, match="DKG-13"):
            verify_transcript(transcript, peers=Registry(), t=t, predecessor=handed_on.old.public)


def test_signatures_do_not_pass_between_a_resharing_and_a_key_generation(handed_on):
    """Else those who sign that they were handed a key would vouch for a fresh one."""
    agreement, _ = verify_of(handed_on)
    assert agreement.digest == tagged_hash(Tag.RESHARE_TRANSCRIPT, agreement.encode())
    fresh = replace(agreement, predecessor=b"", dealings=agreement.dealings[:2])
    signatures = {member: Identity(member).sign(agreement.digest) for member in (1, 2)}
    with pytest.raises(Rejected, match="DKG-13"):
        dkg.verify_transcript(fresh.encode() + encode_signatures(signatures), peers=Registry(), t=2)
    with pytest.raises((Malformed, Rejected)):
        dkg.verify_transcript(handed_on.result(1).transcript, peers=Registry(), t=2)
