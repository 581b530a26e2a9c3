"""The ceremony for common reference rows, and the key after it, against faults of members and of the network.

Phase 2 is the real key generation over G2, with a proof in place of the trial decryption.
"""

from __future__ import annotations

import hmac
import random as shuffling
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha512

import pytest

from threshold.curve import G1_BYTES, load_backend
from threshold.encoding import Reader, u8, u16, u64
from threshold.entropy import deterministic
from threshold.errors import Malformed, Rejected
from threshold.hashing import Tag
from threshold.keys import CeremonyFailed, KeyGenerationParty, KeyMaterial, KeyShare, Limits, PublicMaterial, Seat
from threshold.proofs import KnowledgeProof, KnowledgeStatement, prove_knowledge, verify_knowledge
from threshold.sansio import Effect, Persist, Send
from threshold.setup import dkg, dkg_messages, powers
from threshold.setup.contributions import (
    EARLY_KEPT,
    JOURNAL_RECORD,
    START_RECORD,
    Contribution,
    Message,
    Party,
    Round,
    decode_echo,
    encode_echo,
    key_ceremony_id,
)

BACKEND = load_backend()
G2 = BACKEND.g2
LIMITS = Limits(batch=2, rounds=1)
CEREMONY = b"ceremony under test".ljust(32, b".")
ROUND_SECONDS = 10.0
BEGIN = 1_000_000.0
START = bytes(32)


class Identity:
    """HMAC in place of ECDSA: deterministic, and the test can sign for everyone."""

    def __init__(self, member: int) -> None:
        self.key = bytes([member]) * 32

    def sign(self, digest: bytes) -> bytes:
        return hmac.digest(self.key, digest, sha512) + b"\0"


class Registry:
    def verify(self, member: int, digest: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(Identity(member).sign(digest), signature)


class ProvingSelfTest:
    """Stands in for a trial decryption: a proof that the share fits its verification key."""

    def statement(self, public: PublicMaterial, member: int) -> KnowledgeStatement:
        point = G2.decode(public.verification_keys[member - 1])
        return KnowledgeStatement(public=point, tag=Tag.SELF_TEST, context=(public.encryption_key,))

    def share(self, public: PublicMaterial, share: KeyShare) -> bytes:
        secret = int.from_bytes(share.secret_bytes(), "big")
        statement = self.statement(public, share.member)
        return prove_knowledge(G2, statement, secret, deterministic(b"self-test")).encode(G2)

    def verify(self, public: PublicMaterial, member: int, data: bytes) -> None:
        if not verify_knowledge(G2, self.statement(public, member), KnowledgeProof.decode(G2, data)):
            raise Rejected("TEST", "wrong share", member=member)


def key_party(seat: Seat, parameters: bytes) -> KeyGenerationParty:
    def material(key: bytes, verification_keys: tuple[bytes, ...]) -> PublicMaterial:
        return PublicMaterial(
            scheme=1,
            threshold=seat.t,
            encryption_key=key,
            verification_keys=verification_keys,
            parameters=parameters,
        )

    return dkg.Party(
        index=seat.index,
        n=seat.n,
        t=seat.t,
        group=G2,
        material=material,
        ceremony_id=seat.ceremony_id,
        signer=seat.signer,
        peers=seat.peers,
        random=seat.random,
        round_seconds=seat.round_seconds,
        self_test=ProvingSelfTest(),
        resume=seat.resume,
    )


Rewrite = Callable[["Network", int, bytes], Iterable[bytes]]
"""What a recipient gets instead of a cheating member's message: any number of others."""


class Network:
    """Runs a ceremony in memory. `cheats` rewrite what a member says, per recipient, after it has left its party."""

    def __init__(
        self,
        n: int,
        t: int,
        *,
        silent: Iterable[int] = (),
        cheats: dict[int, Rewrite] | None = None,
        repeat: int = 1,
        shuffle: int | None = None,
        crash: tuple[int, int] | None = None,
    ) -> None:
        self.n, self.t = n, t
        self.silent = frozenset(silent)
        self.cheats = cheats or {}
        self.repeat = repeat
        self.order = shuffling.Random(shuffle) if shuffle is not None else None
        self.crash = crash
        self.now = BEGIN
        self.queue: deque[tuple[int, int, bytes]] = deque()
        self.effects: dict[int, list[Effect]] = {member: [] for member in range(1, n + 1)}
        self.lives = dict.fromkeys(range(1, n + 1), 0)
        self.parties = {member: self.party(member) for member in range(1, n + 1) if member not in self.silent}

    def seat(self, member: int) -> Seat:
        return Seat(
            index=member,
            n=self.n,
            t=self.t,
            network=bytes(32),
            ceremony_id=CEREMONY,
            signer=Identity(member),
            peers=Registry(),
            random=deterministic(b"member %d, life %d" % (member, self.lives[member])),
            round_seconds=ROUND_SECONDS,
            limits=LIMITS,
            resume=tuple(self.records(member)),
        )

    def party(self, member: int) -> Party:
        self.lives[member] += 1
        return Party(self.seat(member), BACKEND, key_party)

    def records(self, member: int) -> list[Persist]:
        return [effect for effect in self.effects[member] if isinstance(effect, Persist)]

    def sent(self, member: int) -> list[bytes]:
        return [effect.message for effect in self.effects[member] if isinstance(effect, Send)]

    def said(self, member: int, number: Round = Round.CONTRIBUTION) -> Message:
        """The message as the member's party made it."""
        return next(Message.decode(data) for data in self.sent(member) if data[0] == number and is_own(member, data))

    def contribution(self, member: int) -> Contribution:
        return decoded(self.said(member))

    def perform(self, member: int, effects: Iterable[Effect]) -> bool:
        """Whether all were performed; otherwise the member has crashed and come back."""
        for effect in effects:
            if self.crash == (member, len(self.effects[member])):
                self.crash = None
                self.parties[member] = self.party(member)
                self.perform(member, self.parties[member].start(now=self.now))
                return False
            self.effects[member].append(effect)
            if isinstance(effect, Send):
                self.transmit(member, effect.message)
        return True

    def transmit(self, sender: int, data: bytes) -> None:
        for recipient in self.parties:
            if recipient == sender:
                continue
            cheat = self.cheats.get(sender) if is_own(sender, data) else None
            copies = [data] if cheat is None else cheat(self, recipient, data)
            self.queue += [(sender, recipient, copy) for copy in copies for _ in range(self.repeat)]

    def settle(self) -> None:
        while self.queue:
            if self.order is not None:
                self.queue.rotate(self.order.randrange(len(self.queue)))
            sender, recipient, data = self.queue.popleft()
            if not self.perform(recipient, self.parties[recipient].receive(sender, data, now=self.now)):
                self.queue.appendleft((sender, recipient, data))

    def start(self) -> None:
        for member, party in self.parties.items():
            self.perform(member, party.start(now=self.now))

    def pass_round(self) -> None:
        self.settle()
        self.now += ROUND_SECONDS
        for member, party in self.parties.items():
            self.perform(member, party.tick(now=self.now))
        self.settle()

    def run(self) -> Network:
        self.start()
        self.settle()
        for _ in range(self.n + 1 + len(dkg_messages.Round)):
            if not all(map(is_done, self.parties.values())):
                self.pass_round()
        assert all(map(is_done, self.parties.values())), "the ceremony has no end"
        return self

    def key(self, member: int) -> KeyMaterial:
        material = self.parties[member].result
        assert material is not None
        return material

    def parameters(self, members: Iterable[int] | None = None) -> bytes:
        """All these members hold one key with one valid set of parameters, which its transcript is bound to."""
        materials = [self.key(member) for member in members or self.parties]
        (public,) = {material.public for material in materials}
        powers.verify(BACKEND, public.parameters)
        for material in materials:
            agreement, _ = dkg.verify_transcript(material.transcript, peers=Registry(), t=self.t)
            assert agreement.ceremony_id == key_ceremony_id(CEREMONY, public.parameters)
        return public.parameters

    def blamed(self, member: int) -> set[tuple[int, str]]:
        return set(self.parties[member].blamed)


def is_done(party: Party) -> bool:
    try:
        return party.result is not None
    except CeremonyFailed:
        return True


def is_own(member: int, data: bytes) -> bool:
    """Or it is another's contribution, which the member builds on and repeats."""
    return data[0] != Round.CONTRIBUTION or Message.decode(data).sender == member


def decoded(message: Message) -> Contribution:
    assert LIMITS.batch is not None
    assert LIMITS.rounds is not None
    return Contribution.decode(message.payload, batch=LIMITS.batch, rounds=LIMITS.rounds)


def signed(sender: int, number: Round, payload: bytes) -> Message:
    unsigned = Message(round=number, sender=sender, payload=payload, signature=b"")
    return replace(unsigned, signature=Identity(sender).sign(unsigned.digest(CEREMONY)))


def made(network: Network, sender: int, *, before: Message | None = None, seed: bytes = b"again", **options) -> Message:
    """A valid contribution by `sender` on another one, or on the start."""
    base = powers.start(BACKEND, batch=2, rounds=1) if before is None else decoded(before).parameters
    name = START if before is None else before.digest(CEREMONY)
    arguments = {"ceremony_id": CEREMONY, "contributor": sender, "random": deterministic(seed)} | options
    parameters, proof = powers.contribute(BACKEND, base, **arguments)
    payload = Contribution(before=name, parameters=parameters, proof=proof).encode()
    return signed(sender, Round.CONTRIBUTION, payload)


def saying(
    change: Callable[[Network, Message], Iterable[Message]],
    *,
    number: Round = Round.CONTRIBUTION,
    to: Iterable[int] = (1, 2, 3, 4),
) -> Rewrite:
    """A member that says other things in one round, to all or to some."""
    recipients = frozenset(to)

    def rewrite(network: Network, recipient: int, data: bytes) -> Iterable[bytes]:
        if data[0] != number or recipient not in recipients:
            return (data,)
        return [message.encode() for message in change(network, Message.decode(data))]

    return rewrite


def with_parameters(message: Message, change: Callable[[bytes], bytes]) -> Message:
    contribution = decoded(message)
    payload = replace(contribution, parameters=change(contribution.parameters)).encode()
    return signed(message.sender, Round.CONTRIBUTION, payload)


# --- honest members ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "t"), [(1, 1), (2, 2), (3, 2), (4, 3)])
def test_ceremony_makes_parameters_and_one_key_when_all_are_honest(n, t):
    network = Network(n, t).run()
    assert network.parameters() == network.contribution(n).parameters
    for member in range(2, n + 1):
        assert network.contribution(member).before == network.said(member - 1).digest(CEREMONY)
    assert not any(network.key(member).blamed for member in network.parties)
    assert network.now == BEGIN, "nobody had to wait for a deadline"


@pytest.mark.parametrize("seed", range(4))
def test_ceremony_completes_when_messages_arrive_twice_and_in_any_order(seed):
    network = Network(4, 3, shuffle=seed, repeat=2).run()
    assert network.parameters() == network.contribution(4).parameters
    assert not any(network.key(member).blamed for member in network.parties)


def test_contributions_wait_for_the_one_they_build_on():
    """Everything reaches member 4 in reverse."""
    network = Network(4, 3)
    late = network.parties.pop(4)
    network.start()
    network.settle()
    network.parties[4] = late
    network.perform(4, late.start(now=network.now))
    for sender in (3, 2, 1):
        for data in reversed(network.sent(sender)):
            network.perform(4, late.receive(sender, data, now=network.now))
    network.run()
    assert network.parameters() == network.contribution(4).parameters


def test_rounds_of_phase_two_have_common_deadlines_when_members_enter_it_at_different_times():
    """Member 3 keeps its echo from 2, which waits for the deadline. Members 1 and 3 wait for 2 in phase 2."""
    cheat = saying(lambda _network, _message: (), number=Round.ECHO, to=(2,))
    network = Network(3, 3, cheats={3: cheat}).run()
    network.parameters()
    assert not any(network.key(member).blamed for member in network.parties)


def test_message_is_a_record_before_it_is_sent():
    network = Network(3, 2).run()
    for effects in network.effects.values():
        assert effects[0] == Persist(kind=START_RECORD, key=CEREMONY, value=u64(int(BEGIN * 1000)))
        written: set[bytes] = set()
        for effect in effects:
            if isinstance(effect, Persist):
                written |= {effect.value[2:], u8(Round.KEYS) + effect.value}
            else:
                assert effect.message in written


def test_records_of_phase_one_hold_what_travelled_and_no_secret():
    network = Network(3, 2).run()
    travelled = {
        u16(member) + data for member, sent in ((m, network.sent(m)) for m in network.parties) for data in sent
    }
    for member in network.parties:
        journal = [record.value for record in network.records(member) if record.kind == JOURNAL_RECORD]
        assert journal
        assert travelled >= set(journal)


def test_parties_agree_on_the_key_when_the_scheme_uses_the_seat_it_is_handed():
    """The seat of phase 2 has another ceremony id, no records, and all else as it was."""
    seats = []

    def then(seat: Seat, parameters: bytes) -> KeyGenerationParty:
        seats.append((seat, parameters))
        return key_party(seat, parameters)

    given = Network(1, 1).seat(1)
    Party(given, BACKEND, then).start(now=BEGIN)
    ((seat, parameters),) = seats
    assert seat == replace(given, ceremony_id=key_ceremony_id(CEREMONY, parameters))


# --- absent and late members ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", [1, 2, 4])
def test_ceremony_completes_when_a_member_is_silent(silent):
    """PTX-7."""
    network = Network(4, 3, silent=(silent,)).run()
    others = [member for member in (1, 2, 3, 4) if member != silent]
    assert network.parameters() == network.contribution(others[-1]).parameters
    for member in others:
        assert network.blamed(member) == {(silent, "PTX-7")}
        assert set(network.key(member).blamed) == {(silent, "PTX-7"), (silent, "DKG-3")}


def test_turn_comes_when_the_time_of_the_member_before_is_over():
    network = Network(4, 3, silent=(2,))
    network.start()
    network.settle()
    assert network.sent(3) == []
    assert network.parties[3].tick(now=BEGIN + 2 * ROUND_SECONDS - 0.001) == ()
    network.perform(3, network.parties[3].tick(now=BEGIN + 2 * ROUND_SECONDS))
    assert network.contribution(3).before == network.said(1).digest(CEREMONY)


def test_ceremony_fails_when_too_few_contribute():
    """PTX-10: with fewer than t contributions all may be by dishonest members."""
    network = Network(4, 3, silent=(1, 2)).run()
    for member in (3, 4):
        with pytest.raises(CeremonyFailed, match=r"2 contributions count, 3 are needed \[PTX-10\]") as raised:
            _ = network.parties[member].result
        assert raised.value.blamed == ((1, "PTX-7"), (2, "PTX-7"))
        assert network.parties[member].receive(7 - member, b"", now=network.now) == ()


def test_member_builds_on_those_before_it_when_a_later_one_was_faster():
    """PTX-8: member 3 did not wait for 2. Building on it would be invalid."""
    network = Network(4, 3)
    network.perform(1, network.parties[1].start(now=BEGIN))
    first, third = network.said(1), made(network, 3, before=network.said(1))
    network.perform(2, network.parties[2].start(now=BEGIN))
    network.perform(2, network.parties[2].receive(3, third.encode(), now=BEGIN))
    network.perform(2, network.parties[2].receive(1, first.encode(), now=BEGIN))
    assert network.contribution(2).before == first.digest(CEREMONY)


def test_late_contribution_is_left_out_of_all_branches_that_do_not_know_it():
    """Member 2 speaks after its time: 3 did not wait, and both build on 1. Member 4 takes one of them."""
    network = Network(4, 3, cheats={2: lambda *_: ()})
    network.start()
    network.settle()
    network.now += 2 * ROUND_SECONDS
    network.perform(3, network.parties[3].tick(now=network.now))
    for recipient in (1, 3, 4):
        network.queue.append((2, recipient, network.said(2).encode()))
    del network.cheats[2]
    network.run()
    assert network.parameters() == network.contribution(4).parameters
    assert not network.blamed(1)


def test_contribution_does_not_count_when_it_comes_after_the_echo():
    network = Network(4, 3, silent=(4,))
    network.start()
    network.settle()
    network.now += 4 * ROUND_SECONDS
    network.perform(1, network.parties[1].tick(now=network.now))
    assert network.said(1, Round.ECHO)
    late = made(network, 4, before=network.said(3)).encode()
    assert network.parties[1].receive(4, late, now=network.now) == ()
    network.run()
    assert network.parameters() == network.contribution(3).parameters


def test_contribution_counts_for_all_when_shown_to_one_member_only():
    """The others learn it from the echo, and it makes the longest branch."""
    cheat = saying(lambda _network, _message: (), to=(1, 2))
    network = Network(4, 3, cheats={4: cheat}).run()
    assert network.parameters((1, 2, 3)) == network.contribution(4).parameters


def test_contribution_does_not_count_when_only_its_maker_forwards_it():
    """PTX-9: forwarding one's own would be speaking late."""

    def echo(network, message):
        yield signed(4, Round.ECHO, encode_echo([network.said(4)]))

    def rewrite(network, recipient, data):
        if data[0] == Round.CONTRIBUTION:
            return ()
        return saying(echo, number=Round.ECHO)(network, recipient, data)

    network = Network(4, 3, cheats={4: rewrite}).run()
    assert network.parameters((1, 2, 3)) == network.contribution(3).parameters
    assert all(network.blamed(member) == {(4, "PTX-7"), (4, "PTX-9")} for member in (1, 2, 3))


# --- contributions that do not count ----------------------------------------------------------------------------------

IDENTITY = bytes([0xC0]) + bytes(G1_BYTES - 1)
LAST = 48
"""Size of the last point, which no proof is about."""


def on_first(network: Network, sender: int, **options: object) -> Message:
    return made(network, sender, before=network.said(1), **options)


INVALID = {
    "repeated point": (
        "PTX-2",
        lambda network, m: with_parameters(m, lambda data: data[:-LAST] + data[-2 * LAST : -LAST]),
    ),
    "not multiplied consistently": (
        "PTX-1",
        lambda network, m: with_parameters(m, lambda d: d[:-LAST] + BACKEND.g1.encode(BACKEND.g1.generator)),
    ),
    "wrong proof": ("PTX-3", lambda network, m: on_first(network, 2, contributor=3)),
    "other ceremony": ("PTX-3", lambda network, m: on_first(network, 2, ceremony_id=b"another")),
    "replay of another's": (
        "PTX-3",
        lambda network, m: signed(
            2,
            Round.CONTRIBUTION,
            replace(network.contribution(1), before=network.said(1).digest(CEREMONY)).encode(),
        ),
    ),
    "identity": ("PTX-8", lambda network, m: with_parameters(m, lambda data: data[:-LAST] + IDENTITY)),
    "another curve": ("PTX-8", lambda network, m: with_parameters(m, lambda d: d[:104] + b"\x8f" * (len(d) - 104))),
    "other limits": (
        "PTX-8",
        lambda network, m: with_parameters(m, lambda d: d[:4] + (2).to_bytes(4, "big") + d[8:]),
    ),
    "too long": ("PTX-8", lambda network, m: signed(2, Round.CONTRIBUTION, m.payload + b"\0")),
    "too short": ("PTX-8", lambda network, m: signed(2, Round.CONTRIBUTION, m.payload[:-1])),
    "empty": ("PTX-8", lambda network, m: signed(2, Round.CONTRIBUTION, b"")),
    "unknown predecessor": (
        "PTX-8",
        lambda network, m: signed(2, Round.CONTRIBUTION, b"\x55" * 32 + m.payload[32:]),
    ),
}


@pytest.mark.parametrize("fault", INVALID)
def test_contribution_is_skipped_with_blame_when_invalid(fault):
    rule, change = INVALID[fault]
    network = Network(4, 3, cheats={2: saying(lambda network, message: [change(network, message)])}).run()
    assert network.parameters((1, 3, 4)) == network.contribution(4).parameters
    assert network.contribution(3).before == network.said(1).digest(CEREMONY)
    for member in (1, 3, 4):
        assert network.blamed(member) == {(2, rule)}
        assert (2, rule) in network.key(member).blamed


def test_contribution_is_skipped_when_it_builds_on_a_later_members():
    """PTX-8: or a member could contribute twice to one branch."""
    network = Network(4, 3, cheats={1: saying(lambda _network, _message: ())})
    network.start()
    network.settle()
    network.now += ROUND_SECONDS
    network.perform(2, network.parties[2].tick(now=network.now))
    late = made(network, 1, before=network.said(2))
    network.queue += [(1, recipient, late.encode()) for recipient in (2, 3, 4)]
    network.run()
    assert network.parameters((2, 3, 4)) == network.contribution(4).parameters
    assert all(network.blamed(member) == {(1, "PTX-8")} for member in (2, 3, 4))


def test_contribution_is_skipped_when_it_builds_on_an_invalid_one():
    """PTX-8."""
    invalid = signed(2, Round.CONTRIBUTION, START + bytes(LAST))

    def build(_network, message):
        payload = replace(decoded(message), before=invalid.digest(CEREMONY)).encode()
        return [signed(3, Round.CONTRIBUTION, payload)]

    network = Network(4, 2, cheats={2: saying(lambda *_: [invalid]), 3: saying(build)}).run()
    assert network.parameters((1, 4)) == network.contribution(4).parameters
    assert all(network.blamed(member) == {(2, "PTX-8"), (3, "PTX-8")} for member in (1, 4))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_ceremony_completes_when_the_last_contributor_is_invalid(n):
    cheat = saying(lambda network, message: [signed(n, Round.CONTRIBUTION, b"nonsense")])
    network = Network(n, n - 1, cheats={n: cheat}).run()
    honest = range(1, n)
    assert network.parameters(honest) == network.contribution(n - 1).parameters
    assert all(network.blamed(member) == {(n, "PTX-8")} for member in honest)


# --- members that sign two contributions ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cheater", [1, 2, 4])
def test_members_agree_when_one_shows_two_contributions_to_all(cheater, seed):
    """PTX-6. At most one counts, the same one for all. Nobody looks at one that comes after its echo."""

    def change(network, message):
        before = network.said(cheater - 1) if cheater > 1 else None
        return [message, made(network, cheater, before=before)]

    network = Network(4, 3, cheats={cheater: saying(change)}, shuffle=seed).run()
    honest = [member for member in (1, 2, 3, 4) if member != cheater]
    network.parameters(honest)
    assert len({(cheater, "PTX-6") in network.blamed(member) for member in honest}) == 1, "known to all or to none"


@pytest.mark.parametrize("others", [(1,), (3,), (4,), (3, 4)])
def test_members_agree_when_one_shows_different_contributions_to_different_members(others):
    """PTX-6. Whoever builds on one forwards it."""
    cheat = saying(lambda network, message: [made(network, 2, before=network.said(1))], to=others)
    network = Network(4, 3, cheats={2: cheat}).run()
    network.parameters((1, 3, 4))
    assert all((2, "PTX-6") in network.blamed(member) for member in (1, 3, 4))


@pytest.mark.parametrize(
    ("n", "t", "shown"), [(4, 3, ((2,), (3,), (4,))), (7, 5, ((2, 3, 4), (5, 6, 7))), (7, 5, ((5, 6, 7), (2, 3, 4)))]
)
def test_all_honest_members_count_when_the_first_shows_each_group_another_contribution(n, t, shown):
    """PTX-8: who builds on one shows it to all, and the next member builds on that."""

    def rewrite(network, recipient, data):
        if data[0] != Round.CONTRIBUTION:
            return (data,)
        (group,) = (at for at, members in enumerate(shown) if recipient in members)
        return (made(network, 1, seed=b"%d" % group).encode(),)

    network = Network(n, t, cheats={1: rewrite}).run()
    honest = range(2, n + 1)
    assert network.parameters(honest) == network.contribution(n).parameters
    for member in range(3, n + 1):
        assert network.contribution(member).before == network.said(member - 1).digest(CEREMONY)
    assert all(network.blamed(member) == {(1, "PTX-6")} for member in honest)


def test_turn_waits_for_what_a_contribution_builds_on():
    """PTX-8: 2 and 3 built on what 1 showed to them. Member 4 was shown another one, and what 3 repeats is late."""
    network = Network(4, 3)
    first, other = made(network, 1), made(network, 1, seed=b"other")
    second = made(network, 2, before=first)
    third = made(network, 3, before=second)
    party = network.parties[4]
    party.start(now=BEGIN)
    for sender, message in ((1, other), (2, second), (3, third)):
        network.perform(4, party.receive(sender, message.encode(), now=BEGIN))
    assert network.sent(4) == []
    network.perform(4, party.receive(3, first.encode(), now=BEGIN))
    assert network.contribution(4).before == third.digest(CEREMONY)
    assert [Message.decode(data) for data in network.sent(4)[:3]] == [first, second, third]


def test_repeated_contributions_are_kept_once_from_each_channel():
    """Of each member, since a branch has no more. Nobody can use up another one's place."""
    network = Network(4, 3)
    network.start()
    versions = [made(network, 3, seed=seed).encode() for seed in (b"a", b"b", b"c", b"d", b"e")]
    channels = (3, 3, 2, 2, 4)
    party = network.parties[1]
    kept = [bool(party.receive(channel, data, now=BEGIN)) for channel, data in zip(channels, versions, strict=True)]
    assert kept == [True, True, True, False, True]
    assert party.blamed == ((3, "PTX-6"),)


@pytest.mark.parametrize("seed", range(2))
def test_contributions_of_a_member_that_signs_two_do_not_count_when_nobody_builds_on_them(seed):
    """PTX-6, PTX-10. They would be the longest branch."""
    cheat = saying(lambda network, _: [made(network, 4, before=network.said(3), seed=b"two")], to=(1, 2))
    network = Network(4, 3, cheats={4: cheat}, shuffle=seed).run()
    assert network.parameters((1, 2, 3)) == network.contribution(3).parameters
    assert all(network.blamed(member) == {(4, "PTX-6")} for member in (1, 2, 3))


def test_contributions_are_not_checked_when_colluders_fill_echoes_with_them():
    """PTX-6, PTX-10: 6 and 7 forward 14 of each other's to 1, which has one of each. No branch ends with those."""
    drawn: list[int] = []
    source = deterministic(b"counted")

    def random(size: int) -> bytes:
        drawn.append(size)
        return source(size)

    network = Network(7, 5)
    party = Party(replace(network.seat(1), random=random), BACKEND, key_party)
    party.start(now=BEGIN)
    signed_by = {member: [made(network, member, seed=b"%d" % k) for k in range(14)] for member in (6, 7)}
    for member, versions in signed_by.items():
        party.receive(member, versions[0].encode(), now=BEGIN)
    before = len(drawn)
    for member, other in ((6, 7), (7, 6)):
        echo = signed(member, Round.ECHO, encode_echo(signed_by[other]))
        party.receive(member, echo.encode(), now=BEGIN)
    party.tick(now=BEGIN + 8 * ROUND_SECONDS)
    with pytest.raises(CeremonyFailed, match="1 contributions count, 5 are needed"):
        _ = party.result
    assert {(6, "PTX-6"), (7, "PTX-6")} <= set(party.blamed)
    assert len(drawn) == before, "each check draws weights"


def test_third_contribution_of_a_member_is_not_kept():
    network = Network(3, 2)
    network.start()
    versions = [made(network, 3, seed=seed).encode() for seed in (b"a", b"b", b"c")]
    kept = [bool(network.parties[1].receive(3, version, now=BEGIN)) for version in versions]
    assert kept == [True, True, False]


def test_members_agree_when_one_shows_more_contributions_than_are_kept():
    """Member 3 builds on a version that 1 and 4 have no room for. They take it from the echo."""
    versions = [b"a", b"b", b"c"]

    def rewrite(network, recipient, data):
        if data[0] != Round.CONTRIBUTION:
            return (data,)
        shown = versions[2:] if recipient == 3 else versions[:2]
        return [made(network, 2, before=network.said(1), seed=seed).encode() for seed in shown]

    network = Network(4, 3, cheats={2: rewrite}).run()
    network.parameters((1, 3, 4))


def test_members_part_and_no_key_is_made_when_several_show_contributions_to_some_only():
    """Member 4 shows its contribution to 3 alone, which forwards it to 1 alone: 1 and 2 end with other parameters."""

    def fourth(network, recipient, data):
        if data[0] == Round.CONTRIBUTION:
            return ()
        return (data,)

    def third(network, recipient, data):
        if data[0] == Round.ECHO and recipient == 1:
            return (signed(3, Round.ECHO, encode_echo([*heard(network, 3), network.said(4)])).encode(),)
        return (data,)

    network = Network(4, 3, cheats={4: fourth, 3: third}).run()
    for member in (1, 2):
        with pytest.raises(CeremonyFailed, match="only 2 members said hello") as raised:
            _ = network.parties[member].result
        assert ((4, "PTX-7") in raised.value.blamed) == (member == 2)
        assert (3, "DKG-1") in raised.value.blamed or member == 2


def heard(network: Network, member: int) -> list[Message]:
    reader = Reader(network.said(member, Round.ECHO).payload, "an echo")
    messages = [Message.decode(data) for data in reader.counted()]
    reader.end()
    return messages


def test_messages_of_phase_two_are_refused_when_they_are_for_other_parameters():
    """Members with other parameters cannot sign one transcript: they do not even hear each other."""
    network = Network(3, 2)
    elsewhere = replace(network.seat(1), ceremony_id=key_ceremony_id(CEREMONY, b"other parameters"))
    (hello,) = (
        effect.message
        for effect in key_party(elsewhere, b"other parameters").start(now=BEGIN)
        if isinstance(effect, Send)
    )
    network.start()
    network.perform(2, network.parties[2].receive(1, u8(Round.KEYS) + hello, now=BEGIN))
    network.run()
    network.parameters()
    assert set(network.key(2).blamed) == {(1, "DKG-1")}
    assert not network.key(3).blamed


# --- echoes -----------------------------------------------------------------------------------------------------------


FALSE_ECHOES = {
    "malformed": lambda network: b"nonsense",
    "unsigned": lambda network: encode_echo([replace(network.said(1), signature=bytes(65))]),
    "its own": lambda network: encode_echo([network.said(2)]),
    "an echo": lambda network: encode_echo([signed(1, Round.ECHO, b"")]),
    "no member": lambda network: encode_echo([signed(5, Round.CONTRIBUTION, b"")]),
    "too many": lambda network: encode_echo([signed(1, Round.CONTRIBUTION, b"")] * 9),
}


@pytest.mark.parametrize("fault", FALSE_ECHOES)
def test_echo_is_blamed_when_it_holds_what_does_not_belong_there(fault):
    """PTX-9."""
    change = FALSE_ECHOES[fault]
    cheat = saying(lambda network, _: [signed(2, Round.ECHO, change(network))], number=Round.ECHO)
    network = Network(4, 3, cheats={2: cheat}).run()
    assert network.parameters((1, 3, 4)) == network.contribution(4).parameters
    assert all(network.blamed(member) == {(2, "PTX-9")} for member in (1, 3, 4))


def test_echo_decodes_when_more_contributions_were_repeated_than_it_may_hold():
    """PTX-9: two of each member show that it signed two."""
    network = Network(5, 3)
    party = network.parties[1]
    network.perform(1, party.start(now=BEGIN))
    for sender in (2, 3, 4):
        for channel in (sender, *({2, 3, 4, 5} - {sender})):
            data = signed(sender, Round.CONTRIBUTION, bytes([channel])).encode()
            assert party.receive(channel, data, now=BEGIN)
    network.perform(1, party.tick(now=BEGIN + 5 * ROUND_SECONDS))
    echoed = decode_echo(network.said(1, Round.ECHO).payload, n=5)
    assert [message.sender for message in echoed] == [2, 2, 3, 3, 4, 4]


def test_first_echo_counts_when_a_member_signs_two():
    cheat = saying(lambda _, message: [message, signed(2, Round.ECHO, b"nonsense")], number=Round.ECHO)
    network = Network(4, 3, cheats={2: cheat}, silent=(4,)).run()
    assert network.parameters((1, 3)) == network.contribution(3).parameters
    assert network.blamed(1) == {(4, "PTX-7")}


def test_echo_leaves_no_record_when_it_comes_in_phase_two():
    """Or a restarted member would choose other parameters than before."""
    network = Network(4, 3, silent=(4,))
    network.start()
    network.settle()
    network.pass_round()
    while not any(data[0] == Round.KEYS for data in network.sent(1)):
        network.pass_round()
    late = signed(4, Round.ECHO, encode_echo([network.said(1)])).encode()
    assert network.parties[1].receive(4, late, now=network.now) == ()


# --- restarts ---------------------------------------------------------------------------------------------------------


def first_of_keys(network: Network, member: int) -> int:
    """Where in a member's effects phase 2 begins to speak."""
    effects = network.effects[member]
    return next(at for at, e in enumerate(effects) if isinstance(e, Send) and e.message[0] == Round.KEYS)


@pytest.mark.parametrize(("n", "member"), [(1, 1), (2, 1), (2, 2), pytest.param(3, 2, marks=pytest.mark.slow)])
def test_ceremony_completes_when_a_member_crashes_before_any_of_its_effects(n, member):
    """A message that may have been sent is sent again byte for byte, and none is made twice."""
    for at in range(first_of_keys(Network(n, n).run(), member) + 4):
        network = Network(n, n, crash=(member, at)).run()
        assert network.crash is None
        assert network.parameters() == network.contribution(n).parameters
        assert not any(network.key(m).blamed for m in network.parties), at
        sent = [data for data in network.sent(member) if data[0] != Round.KEYS and is_own(member, data)]
        assert len(set(sent)) == 2


def test_party_sends_the_same_bytes_when_restarted_at_any_time():
    network = Network(3, 2).run()
    effects = network.effects[2]
    for at in range(1, len(effects)):
        records = tuple(effect for effect in effects[:at] if isinstance(effect, Persist))
        party = Party(replace(network.seat(2), resume=records, random=deterministic(b"later")), BACKEND, key_party)
        again = [effect.message for effect in party.start(now=BEGIN) if isinstance(effect, Send)]
        before = [effect.message for effect in effects[:at] if isinstance(effect, Send)]
        assert again[: len(before)] == before


def test_restarted_party_keeps_blame_and_result():
    cheat = saying(lambda network, message: [signed(4, Round.CONTRIBUTION, b"nonsense")])
    network = Network(4, 3, cheats={4: cheat}).run()
    before = network.key(1)
    party = network.party(1)
    party.start(now=network.now)
    party.tick(now=network.now + 20 * ROUND_SECONDS)
    assert party.result is not None
    assert party.result.public == before.public
    assert (4, "PTX-8") in party.blamed


def test_early_messages_of_phase_two_survive_a_restart():
    """Member 2 waits for an echo while the others already speak in phase 2; it crashes, and nobody repeats."""
    network = Network(3, 2)
    held: list[tuple[int, int, bytes]] = []

    def hold(_network, recipient, data):
        if recipient == 2 and data[0] == Round.ECHO:
            held.append((3, 2, data))
            return ()
        return (data,)

    network.cheats = {3: hold}
    network.start()
    network.settle()
    early = [r for r in network.records(2) if r.kind == JOURNAL_RECORD and r.value[2] == Round.KEYS]
    assert {record.value[:2] for record in early} == {u16(1), u16(3)}
    network.parties[2] = network.party(2)
    network.perform(2, network.parties[2].start(now=network.now))
    network.queue += held
    network.settle()
    assert network.parameters() == network.contribution(3).parameters
    assert network.now == BEGIN


@pytest.mark.parametrize(
    "spoil",
    [
        lambda records: records[1:],
        lambda records: [r for r in records if r.value[2:3] != u8(Round.ECHO)],
        lambda records: [r for r in records if r.kind not in (START_RECORD, JOURNAL_RECORD)],
        lambda records: [r for r in records if r.kind != dkg.EPHEMERAL_RECORD],
        lambda records: [replace(records[0], key=b"another ceremony"), *records[1:]],
        lambda records: [*records, replace(records[1], key=b"another ceremony")],
    ],
    ids=["start", "gap", "no-phase-one", "no-ephemeral", "other-start", "other-journal"],
)
def test_party_is_refused_when_its_records_are_incomplete(spoil):
    network = Network(2, 2).run()
    records = tuple(spoil(network.records(1)))
    with pytest.raises(ValueError):
        Party(replace(network.seat(1), resume=records), BACKEND, key_party)


def test_party_is_refused_when_a_record_is_damaged():
    network = Network(2, 2).run()
    start, *others = network.records(1)
    with pytest.raises(Malformed):
        Party(replace(network.seat(1), resume=(replace(start, value=b"\0"), *others)), BACKEND, key_party)


# --- channels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forge",
    [
        lambda network, m: replace(m, signature=Identity(1).sign(m.digest(CEREMONY))).encode(),
        lambda network, m: replace(m, signature=Identity(2).sign(m.digest(b"another ceremony"))).encode(),
        lambda network, m: signed(1, Round.ECHO, b"").encode(),
        lambda network, m: signed(9, Round.CONTRIBUTION, m.payload).encode(),
        lambda network, m: m.encode() + b"\0",
        lambda network, m: m.encode()[:-1],
        lambda network, m: b"",
        lambda network, m: b"\x04" + m.encode()[1:],
        lambda network, m: b"\x00" + m.encode()[1:],
        lambda network, m: bytes([1]) * (1 << 20),
        lambda network, m: bytes([3]) * (1 << 20),
    ],
    ids=[
        "signer",
        "ceremony",
        "channel",
        "no-member",
        "trailing",
        "truncated",
        "empty",
        "round-4",
        "round-0",
        "oversized",
        "oversized-keys",
    ],
)
def test_message_is_refused_and_the_real_one_counts_when_forged(forge):
    """PTX-5."""

    def rewrite(network, _recipient, data):
        if data[0] != Round.CONTRIBUTION:
            return (data,)
        return (forge(network, Message.decode(data)), data)

    network = Network(3, 2, cheats={2: rewrite}).run()
    assert network.parameters((1, 3)) == network.contribution(3).parameters
    assert all(network.blamed(member) == {(2, "PTX-5")} for member in (1, 3))


def test_oversized_message_is_refused_before_its_signature_is_looked_at():
    """PTX-5."""
    party = Network(3, 2).parties[1]
    party.start(now=BEGIN)
    message = signed(2, Round.CONTRIBUTION, bytes(party.limit_bytes)).encode()
    assert party.receive(2, message, now=BEGIN) == ()
    assert party.blamed == ((2, "PTX-5"),)


def test_messages_of_phase_two_are_refused_when_more_come_early_than_can_be_made():
    """PTX-5."""
    party = Network(3, 2).parties[1]
    party.start(now=BEGIN)
    for number in range(EARLY_KEPT):
        message = u8(Round.KEYS) + u8(number)
        (record,) = party.receive(2, message, now=BEGIN)
        assert record.value == u16(2) + message
        assert party.receive(2, message, now=BEGIN) == ()
    assert not party.blamed
    assert party.receive(2, u8(Round.KEYS) + b"one more", now=BEGIN) == ()
    assert party.blamed == ((2, "PTX-5"),)
    assert len(party.receive(3, u8(Round.KEYS), now=BEGIN)) == 1


def test_no_honest_message_exceeds_the_limit():
    for n, t in ((1, 1), (4, 3)):
        network = Network(n, t).run()
        sizes = [len(data) for member in network.parties for data in network.sent(member) if data[0] != Round.KEYS]
        assert max(sizes) <= network.parties[1].limit_bytes


@pytest.mark.parametrize("sender", [0, 1, 5])
def test_receive_is_refused_when_there_is_no_such_channel(sender):
    with pytest.raises(ValueError, match="no channel"):
        Network(4, 3).parties[1].receive(sender, b"", now=BEGIN)


@pytest.mark.parametrize(
    "change",
    [
        {"index": 0},
        {"index": 5},
        {"t": 5},
        {"round_seconds": 0.0},
        {"limits": Limits()},
        {"limits": Limits(batch=2)},
        {"limits": Limits(rounds=2)},
        {"limits": Limits(batch=0, rounds=2)},
        {"limits": Limits(batch=1, rounds=349_524)},
    ],
)
def test_party_is_refused_when_its_seat_is_out_of_range(change):
    with pytest.raises(ValueError):
        Party(replace(Network(4, 3).seat(1), **change), BACKEND, key_party)


def test_party_is_refused_when_an_echo_could_exceed_its_length_field():
    """PTX-9: or honest members could not forward what they heard."""
    seat = replace(Network(1, 1).seat(1), n=1024, t=1024)
    Party(replace(seat, limits=Limits(batch=1, rounds=11_912)), BACKEND, key_party)
    with pytest.raises(ValueError, match="an echo of 1024 members' contributions can take"):
        Party(replace(seat, limits=Limits(batch=1, rounds=11_913)), BACKEND, key_party)


def test_party_says_nothing_before_it_is_started():
    network = Network(2, 2)
    network.perform(1, network.parties[1].start(now=BEGIN))
    (message,) = network.sent(1)
    (record,) = network.parties[2].receive(1, message, now=BEGIN)
    assert record.kind == JOURNAL_RECORD
    assert network.parties[2].tick(now=BEGIN) == ()
