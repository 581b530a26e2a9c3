"""The key ceremony against a network that loses, delays, repeats and rewrites, and members that cheat."""

from __future__ import annotations

import hmac
import random as shuffling
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha512
from itertools import combinations

import pytest

from threshold import sharing
from threshold.curve import ORDER, Group, load_backend
from threshold.encoding import counted, u32
from threshold.entropy import deterministic
from threshold.errors import Malformed, Rejected
from threshold.hashing import Tag
from threshold.keys import CeremonyFailed, KeyMaterial, KeyShare, PublicMaterial
from threshold.proofs import EqualityProof, KnowledgeProof, KnowledgeStatement, prove_knowledge, verify_knowledge
from threshold.sansio import Effect, Persist, Send
from threshold.setup.dkg import EPHEMERAL_RECORD, JOURNAL_RECORD, Party, verify_transcript
from threshold.setup.dkg_messages import (
    Agreement,
    Ceremony,
    Complaint,
    Confirmation,
    Dealing,
    Hello,
    Message,
    Round,
    decode_complaints,
    decode_echo,
    encode_complaints,
    encode_echo,
    encode_signatures,
)

ROUND_SECONDS = 10.0
CEREMONY = b"ceremony under test".ljust(32, b".")
G1 = load_backend().g1


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

    def __init__(self, group: Group) -> None:
        self.group = group

    def statement(self, public: PublicMaterial, member: int) -> KnowledgeStatement:
        point = self.group.decode(public.verification_keys[member - 1])
        return KnowledgeStatement(public=point, tag=Tag.SELF_TEST, context=(public.encryption_key,))

    def share(self, public: PublicMaterial, share: KeyShare) -> bytes:
        secret = int.from_bytes(share.secret_bytes(), "big")
        statement = self.statement(public, share.member)
        return prove_knowledge(self.group, statement, secret, deterministic(b"self-test")).encode(self.group)

    def verify(self, public: PublicMaterial, member: int, data: bytes) -> None:
        proof = KnowledgeProof.decode(self.group, data)
        if not verify_knowledge(self.group, self.statement(public, member), proof):
            raise Rejected("TEST", "wrong share", member=member)


Rewrite = Callable[["Network", int, Message], Iterable[bytes]]
"""What recipient gets instead of a cheating member's message: any number of others."""


class Network:
    """Runs a ceremony in memory. `cheats` rewrite what a member says, per recipient, after it has left its party."""

    def __init__(
        self,
        n: int,
        t: int,
        *,
        group: Group = G1,
        silent: Iterable[int] = (),
        cheats: dict[int, Rewrite] | None = None,
        repeat: int = 1,
        shuffle: int | None = None,
        crash: tuple[int, int] | None = None,
    ) -> None:
        self.n, self.t, self.group = n, t, group
        self.ceremony = Ceremony(ceremony_id=CEREMONY, n=n, t=t, group=group)
        self.silent = frozenset(silent)
        self.cheats = cheats or {}
        self.repeat = repeat
        self.order = shuffling.Random(shuffle) if shuffle is not None else None
        self.crash = crash
        self.now = 1_000_000.0
        self.queue: deque[tuple[int, int, bytes]] = deque()
        self.effects: dict[int, list[Effect]] = {member: [] for member in range(1, n + 1)}
        self.lives = dict.fromkeys(range(1, n + 1), 0)
        self.parties = {member: self.party(member) for member in range(1, n + 1) if member not in self.silent}

    def party(self, member: int, **options: object) -> Party:
        self.lives[member] += 1
        arguments = {
            "index": member,
            "n": self.n,
            "t": self.t,
            "group": self.group,
            "material": lambda key, keys: PublicMaterial(
                scheme=1, threshold=self.t, encryption_key=key, verification_keys=keys
            ),
            "ceremony_id": CEREMONY,
            "signer": Identity(member),
            "peers": Registry(),
            "random": deterministic(b"member %d, life %d" % (member, self.lives[member])),
            "round_seconds": ROUND_SECONDS,
            "self_test": ProvingSelfTest(self.group),
            "resume": self.records(member),
        }
        return Party(**(arguments | options))

    def records(self, member: int) -> list[Persist]:
        return [effect for effect in self.effects[member] if isinstance(effect, Persist)]

    def said(self, member: int, number: Round) -> Message:
        """The message as the member's party made it."""
        return self.sent(member)[number][0]

    def sent(self, member: int) -> dict[Round, list[Message]]:
        messages: dict[Round, list[Message]] = {number: [] for number in Round}
        for effect in self.effects[member]:
            if isinstance(effect, Send):
                message = Message.decode(effect.message)
                messages[message.round].append(message)
        return messages

    def ephemeral(self, member: int) -> int:
        (record,) = (record for record in self.records(member) if record.kind == EPHEMERAL_RECORD)
        return int.from_bytes(record.value[8:], "big")

    def hello_keys(self) -> dict[int, object]:
        return {
            member: Hello.decode(self.ceremony, member, self.said(member, Round.HELLO).payload).key
            for member in self.parties
        }

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
            cheat = self.cheats.get(sender)
            copies = [data] if cheat is None else cheat(self, recipient, Message.decode(data))
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
        while not all(map(is_done, self.parties.values())):
            self.pass_round()
        return self

    def key(self, member: int) -> KeyMaterial:
        material = self.parties[member].result
        assert material is not None
        return material

    def agreed(self, members: Iterable[int]) -> Agreement:
        """All these members hold one key, shared properly."""
        members = tuple(members)
        agreements = {verify_transcript(self.key(m).transcript, peers=Registry(), t=self.t)[0] for m in members}
        (agreement,) = agreements
        secrets = {m: int.from_bytes(self.key(m).share.secret_bytes(), "big") for m in members}
        for member, secret in secrets.items():
            public = self.key(member).public
            image = self.group.encode(self.group.multiply(self.group.generator, secret))
            assert image == public.verification_keys[member - 1]
            assert public.encryption_key == agreement.encryption_key
            assert public.verification_keys == agreement.verification_keys
        for chosen in combinations(members, self.t):
            secret = sharing.recover({member: secrets[member] for member in chosen})
            image = self.group.encode(self.group.multiply(self.group.generator, secret))
            assert image == agreement.encryption_key
        return agreement

    def dealers(self, members: Iterable[int]) -> tuple[int, ...]:
        return tuple(dealer for dealer, _ in self.agreed(members).dealings)


def is_done(party: Party) -> bool:
    try:
        return party.result is not None
    except CeremonyFailed:
        return True


def signed(message: Message, payload: bytes) -> bytes:
    """The sender's own signature on another payload."""
    unsigned = replace(message, payload=payload)
    return replace(unsigned, signature=Identity(message.sender).sign(unsigned.digest(CEREMONY))).encode()


def rewriting(number: Round, change: Callable[[Network, Message], bytes], *, only: int | None = None) -> Rewrite:
    """A member that says something else in one round, to all or to one."""

    def rewrite(network: Network, recipient: int, message: Message) -> Iterable[bytes]:
        if message.round != number or only not in (None, recipient):
            return (message.encode(),)
        return (signed(message, change(network, message)),)

    return rewrite


def withholding(number: Round, *, reaches: Iterable[int] = ()) -> Rewrite:
    allowed = frozenset(reaches)

    def rewrite(_network: Network, recipient: int, message: Message) -> Iterable[bytes]:
        return () if message.round == number and recipient not in allowed else (message.encode(),)

    return rewrite


def dealing_with(change: Callable[[Network, Dealing], Dealing]) -> Callable[[Network, Message], bytes]:
    def rewrite(network: Network, message: Message) -> bytes:
        dealing = Dealing.decode(network.ceremony, message.sender, message.payload)
        return change(network, dealing).encode(network.group)

    return rewrite


def blamed_by(network: Network, member: int) -> set[tuple[int, str]]:
    return set(network.parties[member].blamed)


# --- honest members


@pytest.mark.parametrize(("n", "t"), [(1, 1), (4, 3), (7, 5)])
@pytest.mark.parametrize("group", ["g1", "g2"])
def test_ceremony_makes_one_key_when_all_are_honest(n, t, group):
    network = Network(n, t, group=getattr(load_backend(), group)).run()
    assert network.dealers(network.parties) == tuple(range(1, n + 1))
    assert len({network.key(member).transcript for member in network.parties}) == 1
    assert not any(party.blamed for party in network.parties.values())
    assert network.now == 1_000_000.0, "nobody had to wait for a deadline"


def test_ceremony_makes_one_key_on_the_reference_backend():
    network = Network(2, 2, group=load_backend("reference").g1).run()
    assert network.dealers((1, 2)) == (1, 2)


def test_recovery_fails_with_one_share_too_few():
    network = Network(4, 3).run()
    shares = {m: int.from_bytes(network.key(m).share.secret_bytes(), "big") for m in (1, 2, 3, 4)}
    for chosen in combinations(shares, 2):
        secret = sharing.recover({member: shares[member] for member in chosen})
        assert G1.encode(G1.multiply(G1.generator, secret)) != network.key(1).public.encryption_key


@pytest.mark.parametrize("seed", range(5))
def test_ceremony_completes_when_messages_arrive_in_any_order(seed):
    network = Network(4, 3, shuffle=seed, repeat=2).run()
    assert network.dealers((1, 2, 3, 4)) == (1, 2, 3, 4)
    assert not any(party.blamed for party in network.parties.values())


def test_message_is_a_record_before_it_is_sent():
    network = Network(4, 3).run()
    for effects in network.effects.values():
        assert effects[0].kind == EPHEMERAL_RECORD
        written: set[bytes] = set()
        for effect in effects:
            if isinstance(effect, Send):
                assert effect.message in written
            elif effect.kind == JOURNAL_RECORD:
                written.add(effect.value)


def test_records_hold_no_secret_but_the_ephemeral_key():
    """The journal is what travelled anyway, so only one record has to be kept like a key."""
    network = Network(4, 3).run()
    travelled = {
        effect.message for effects in network.effects.values() for effect in effects if isinstance(effect, Send)
    }
    for member in network.parties:
        kinds = [record.kind for record in network.records(member)]
        assert kinds.count(EPHEMERAL_RECORD) == 1
        assert all(r.value in travelled for r in network.records(member) if r.kind == JOURNAL_RECORD)


@pytest.mark.parametrize("secret", [None, 5], ids=["fresh", "given"])
def test_dealing_draws_every_coefficient_afresh(secret):
    """RSH-5: coefficients that are known, equal, or those of another dealing give the secret to fewer than t."""
    ceremony = Ceremony(ceremony_id=CEREMONY, n=5, t=5, group=G1)
    random = deterministic(b"several dealings")
    commitments = [Dealing.make(ceremony, 1, {}, random, secret=secret).commitment for _ in range(3)]
    drawn = [G1.encode(point) for commitment in commitments for point in commitment[0 if secret is None else 1 :]]
    assert len(set(drawn)) == len(drawn) == 3 * (5 if secret is None else 4)
    assert secret is None or {G1.encode(c[0]) for c in commitments} == {G1.encode(G1.multiply(G1.generator, secret))}


# --- absent and late members


def test_ceremony_completes_when_a_member_is_silent():
    network = Network(4, 3, silent=(4,)).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert blamed_by(network, 1) == {(4, "DKG-3")}
    assert len(network.key(1).public.verification_keys) == 4


def test_round_lasts_until_its_deadline_when_a_member_is_silent():
    network = Network(4, 3, silent=(4,))
    network.start()
    network.settle()
    network.now += ROUND_SECONDS - 0.001
    assert network.parties[1].tick(now=network.now) == ()
    assert network.parties[1].tick(now=network.now + 0.001) != ()


def test_deadlines_stay_common_when_a_member_speaks_to_some_only():
    """Members that leave a round early wait in the next for those who could not."""
    network = Network(4, 3, cheats={4: withholding(Round.HELLO, reaches=(1,))}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3, 4)


def test_ceremony_fails_for_a_member_that_starts_late():
    network = Network(4, 3)
    late = network.parties.pop(4)
    network.start()
    for _ in range(8):
        network.pass_round()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    network.parties[4] = late
    network.perform(4, late.start(now=network.now))
    for sender in (1, 2, 3):
        for messages in network.sent(sender).values():
            network.perform(4, late.receive(sender, messages[0].encode(), now=network.now))
    for _ in range(8):
        network.pass_round()
    with pytest.raises(CeremonyFailed, match="start a new attempt"):
        _ = late.result
    assert network.dealers((1, 2, 3)) == (1, 2, 3)


def test_member_keeps_its_share_when_its_dealing_is_late():
    network = Network(4, 3, cheats={4: withholding(Round.DEALING)}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert (4, "DKG-3") in blamed_by(network, 1)


def test_dealing_does_not_count_when_it_comes_after_its_round():
    """It could no longer be shown to the others, so it would split the views."""
    network = Network(4, 3, cheats={4: withholding(Round.DEALING)})
    network.start()
    network.settle()
    network.now += 3 * ROUND_SECONDS
    for member in (1, 2, 3, 4):
        network.perform(member, network.parties[member].tick(now=network.now))
    late = network.said(4, Round.DEALING).encode()
    assert network.parties[1].receive(4, late, now=network.now) == ()
    network.settle()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)


def test_dealing_does_not_count_when_nobody_noticed_that_its_round_is_over():
    network = Network(4, 3, cheats={4: withholding(Round.DEALING)})
    network.start()
    network.settle()
    late = network.said(4, Round.DEALING).encode()
    effects = network.parties[1].receive(4, late, now=network.now + 3 * ROUND_SECONDS)
    assert [Message.decode(e.message).round for e in effects if isinstance(e, Send)] == [Round.DEALING_ECHO]
    assert late not in [e.value for e in effects if isinstance(e, Persist)]


def test_dealing_and_complaint_do_not_count_when_their_author_said_no_hello():
    def rewrite(network, _recipient, message):
        if message.round != Round.HELLO:
            return ()
        keys = {member: key for member, key in network.hello_keys().items() if member != 4}
        dealing = Dealing.make(network.ceremony, 4, keys, deterministic(b"uninvited"))
        complaint = Complaint(dealer=1, shared=G1.generator, proof=EqualityProof(challenge=1, response=1))
        return (
            signed(replace(message, round=Round.DEALING), dealing.encode(G1)),
            signed(replace(message, round=Round.COMPLAINT), encode_complaints(G1, (complaint,))),
        )

    network = Network(4, 3, cheats={4: rewrite}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert all(blamed_by(network, member) == {(4, "DKG-3")} for member in (1, 2, 3))


def test_dealing_counts_for_all_when_one_honest_member_heard_it():
    network = Network(4, 3, cheats={4: withholding(Round.DEALING, reaches=(2,))}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3, 4)


def test_dealing_does_not_count_when_only_its_dealer_forwards_it():
    """Otherwise one member could show its dealing to one other in the last moment, and split the views."""

    def rewrite(network, recipient, message):
        if message.round == Round.DEALING:
            return ()
        if message.round == Round.DEALING_ECHO and recipient == 1:
            others = decode_echo(message.payload, n=4)
            return (signed(message, encode_echo([*others, network.said(4, Round.DEALING)])),)
        return (message.encode(),)

    network = Network(4, 3, cheats={4: rewrite}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert (4, "DKG-5") in blamed_by(network, 1)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (Round.HELLO, "2 members said hello"),
        (Round.DEALING, "2 dealings are valid"),
        (Round.CONFIRM, "2 members confirmed"),
    ],
)
def test_ceremony_fails_when_fewer_than_threshold_speak(number, reason):
    network = Network(4, 3, cheats={3: withholding(number), 4: withholding(number)}).run()
    for member in (1, 2):
        with pytest.raises(CeremonyFailed, match=f"{reason}.* 3 are needed.*start a new attempt") as failure:
            _ = network.parties[member].result
        assert {(3, "DKG-3"), (4, "DKG-3")} <= set(failure.value.blamed)


def test_ceremony_fails_when_colluders_split_the_views():
    """Two colluders show a dealing to one member at the last moment: no key, rather than two."""

    def accomplice(network, recipient, message):
        if message.round == Round.DEALING_ECHO and recipient == 1:
            others = decode_echo(message.payload, n=7)
            return (signed(message, encode_echo([*others, network.said(7, Round.DEALING)])),)
        return () if message.round == Round.CONFIRM else (message.encode(),)

    network = Network(7, 5, cheats={7: withholding(Round.DEALING), 6: accomplice}).run()
    assert (6, "DKG-3") in blamed_by(network, 2)
    for member, verdict in ((1, "2 members.*4 confirmed another"), (2, "4 members.*2 confirmed another")):
        with pytest.raises(CeremonyFailed, match=verdict):
            _ = network.parties[member].result


# --- dealers that cheat


@pytest.mark.parametrize("wrong", [lambda share: share + 1, lambda share: share + ORDER, None])
def test_dealer_is_out_when_one_share_is_wrong(wrong):
    """Off the polynomial, not canonical, or not openable: the victim complains, all judge, the rest finish."""

    def change(network, dealing):
        if wrong is None:
            return replace(dealing, sealed=(bytes(48), *dealing.sealed[1:]))
        honest = sharing.deal
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sharing, "deal", lambda f, n: {**honest(f, n), 1: wrong(honest(f, n)[1])})
            return Dealing.make(network.ceremony, 4, network.hello_keys(), deterministic(b"wrong"))

    network = Network(4, 3, cheats={4: rewriting(Round.DEALING, dealing_with(change))}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    for member in (1, 2, 3):
        assert (4, "DKG-8") in blamed_by(network, member)
        assert all(offender == 4 for offender, _ in blamed_by(network, member))


def test_dealer_is_out_when_it_deals_differently_to_two_members():
    def change(network, _dealing):
        return Dealing.make(network.ceremony, 4, network.hello_keys(), deterministic(b"second"))

    network = Network(4, 3, cheats={4: rewriting(Round.DEALING, dealing_with(change), only=2)}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert all(blamed_by(network, member) == {(4, "DKG-2")} for member in (1, 2, 3))


def test_dealer_is_out_when_it_sends_a_second_dealing_in_time():
    def rewrite(network, recipient, message):
        if message.round != Round.DEALING or recipient != 2:
            return (message.encode(),)
        second = Dealing.make(network.ceremony, 4, network.hello_keys(), deterministic(b"second"))
        return (message.encode(), signed(message, second.encode(G1)))

    network = Network(4, 3, silent=(3,), cheats={4: rewrite})
    network.start()
    for _ in range(8):
        network.pass_round()
    assert (4, "DKG-2") in blamed_by(network, 1)
    with pytest.raises(CeremonyFailed, match="only 2 dealings"):
        _ = network.parties[1].result


@pytest.mark.parametrize("proof", ["constant_proof", "ephemeral_proof"])
def test_dealer_is_out_when_a_possession_is_not_proven(proof):
    def change(_network, dealing):
        bad = getattr(dealing, proof)
        return replace(dealing, **{proof: replace(bad, response=(bad.response + 1) % ORDER)})

    network = Network(4, 3, cheats={4: rewriting(Round.DEALING, dealing_with(change))}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert all((4, "DKG-6") in blamed_by(network, member) for member in (1, 2, 3))


def test_dealer_is_out_when_it_reuses_anothers_ephemeral_point():
    """A bad box under dealer 1's R would make the victim's complaint open the victim's share of dealing 1."""

    def change(network, dealing):
        other = Dealing.decode(network.ceremony, 1, network.said(1, Round.DEALING).payload)
        return replace(dealing, ephemeral=other.ephemeral, ephemeral_proof=other.ephemeral_proof)

    network = Network(4, 3, cheats={4: rewriting(Round.DEALING, dealing_with(change))}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert all((4, "DKG-6") in blamed_by(network, member) for member in (1, 2, 3))
    assert all(network.said(member, Round.COMPLAINT).payload == u32(0) for member in (1, 2, 3)), "nothing disclosed"


def test_dealer_is_out_when_it_copies_anothers_dealing():
    """Else it could, for instance, double another's contribution without knowing it."""
    cheat = rewriting(Round.DEALING, lambda network, _: network.said(1, Round.DEALING).payload)
    network = Network(4, 3, cheats={4: cheat}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert all((4, "DKG-6") in blamed_by(network, member) for member in (1, 2, 3))


@pytest.mark.parametrize(
    "change",
    [
        lambda dealing: replace(dealing, commitment=(*dealing.commitment, G1.generator)),
        lambda dealing: replace(dealing, sealed=dealing.sealed[:-1]),
        lambda dealing: replace(dealing, sealed=(dealing.sealed[0] + b"\0", *dealing.sealed[1:])),
        lambda dealing: replace(dealing, commitment=(G1.identity, *dealing.commitment[1:])),
    ],
    ids=["degree", "boxes", "box-size", "identity"],
)
def test_dealer_is_out_when_its_dealing_is_malformed(change):
    cheat = rewriting(Round.DEALING, dealing_with(lambda _, dealing: change(dealing)))
    network = Network(4, 3, cheats={4: cheat}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert all((4, "DKG-6") in blamed_by(network, member) for member in (1, 2, 3))


def test_dealer_is_out_when_it_leaves_a_member_without_a_box():
    def change(_network, dealing):
        return replace(dealing, sealed=(b"", *dealing.sealed[1:]))

    def remade(network, _dealing):
        keys = {member: key for member, key in network.hello_keys().items() if member != 1}
        return Dealing.make(network.ceremony, 4, keys, deterministic(b"without 1"))

    for cheat in (change, remade):
        network = Network(4, 3, cheats={4: rewriting(Round.DEALING, dealing_with(cheat))}).run()
        assert network.dealers((1, 2, 3)) == (1, 2, 3)
        assert (4, "DKG-8") not in blamed_by(network, 2), "who heard whom cannot be shown"


def test_ceremony_fails_when_the_dealings_cancel(monkeypatch):
    secrets = iter((5, ORDER - 5))
    monkeypatch.setattr(sharing, "random_polynomial", lambda t, random, *, secret: (next(secrets),))
    network = Network(2, 1).run()
    for party in network.parties.values():
        with pytest.raises(CeremonyFailed, match="identity"):
            _ = party.result


# --- members that cheat otherwise


@pytest.mark.parametrize("proven", [True, False], ids=["good-share", "no-proof"])
def test_complainer_is_blamed_and_dealer_stays_when_a_complaint_is_false(proven):
    def change(network, _message):
        dealing = Dealing.decode(network.ceremony, 1, network.said(1, Round.DEALING).payload)
        secret = network.ephemeral(4)
        complaint = Complaint.make(network.ceremony, 4, secret, dealing, deterministic(b"false"))
        if not proven:
            complaint = replace(complaint, shared=G1.multiply(dealing.ephemeral, secret + 1))
        return encode_complaints(G1, (complaint,))

    network = Network(4, 3, cheats={4: rewriting(Round.COMPLAINT, change)}).run()
    assert 1 in network.dealers((1, 2, 3))
    assert all((4, "DKG-9") in blamed_by(network, member) for member in (1, 2, 3))


def test_dealing_of_a_false_complainer_still_counts():
    def change(network, _message):
        dealing = Dealing.decode(network.ceremony, 1, network.said(1, Round.DEALING).payload)
        complaint = Complaint.make(network.ceremony, 4, network.ephemeral(4), dealing, deterministic(b"false"))
        return encode_complaints(G1, (complaint,))

    network = Network(4, 3, cheats={4: rewriting(Round.COMPLAINT, change)}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3, 4)


def test_complaint_has_no_effect_when_another_member_copies_it():
    """The proof is bound to the complainer."""

    def wrong_box(_network, dealing):
        return replace(dealing, sealed=(bytes(48), *dealing.sealed[1:]))

    def copy(network, _message):
        dealing = Dealing.decode(network.ceremony, 4, wrong_box_bytes(network))
        complaint = Complaint.make(network.ceremony, 1, network.ephemeral(1), dealing, deterministic(b"copied"))
        return encode_complaints(G1, (complaint,))

    def wrong_box_bytes(network):
        return dealing_with(wrong_box)(network, network.said(4, Round.DEALING))

    cheats = {4: rewriting(Round.DEALING, dealing_with(wrong_box)), 5: rewriting(Round.COMPLAINT, copy)}
    network = Network(5, 3, cheats=cheats).run()
    assert {(4, "DKG-8"), (5, "DKG-9")} <= blamed_by(network, 1)
    assert network.dealers((1, 2, 3)) == (1, 2, 3, 5)


def test_complaints_are_ignored_when_malformed():
    network = Network(4, 3, cheats={4: rewriting(Round.COMPLAINT, lambda *_: b"nonsense")}).run()
    assert 1 in network.dealers((1, 2, 3))
    assert all((4, "DKG-9") in blamed_by(network, member) for member in (1, 2, 3))


def test_dealer_is_out_when_it_signs_two_lists_of_complaints():
    cheat = rewriting(Round.COMPLAINT, lambda *_: b"nonsense", only=2)
    network = Network(4, 3, cheats={4: cheat}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert all((4, "DKG-2") in blamed_by(network, member) for member in (1, 2, 3))


def test_member_is_out_when_it_says_two_hellos():
    def change(network, _message):
        return Hello.make(network.ceremony, 4, 77, deterministic(b"second hello")).encode(G1)

    network = Network(4, 3, cheats={4: rewriting(Round.HELLO, change, only=2)}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert all((4, "DKG-2") in blamed_by(network, member) for member in (1, 2, 3))
    with pytest.raises(CeremonyFailed, match="someone else signed one with its identity key"):
        _ = network.parties[4].result


@pytest.mark.parametrize("source", ["stolen", "identity"])
def test_member_is_out_when_its_hello_is_not_proven(source):
    def change(network, message):
        if source == "stolen":
            return network.said(1, Round.HELLO).payload
        return bytes([0xC0]) + bytes(47) + message.payload[48:]

    network = Network(4, 3, cheats={4: rewriting(Round.HELLO, change)}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3)
    assert all((4, "DKG-4") in blamed_by(network, member) for member in (1, 2, 3))


def test_echo_is_blamed_when_it_holds_a_forgery():
    """A member cannot disqualify another by forwarding a second message that the other never signed."""

    def change(network, _message):
        original = network.said(1, Round.DEALING)
        return encode_echo([replace(original, payload=original.payload[::-1])])

    network = Network(4, 3, cheats={4: rewriting(Round.DEALING_ECHO, change)}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3, 4)
    assert all(blamed_by(network, member) == {(4, "DKG-5")} for member in (1, 2, 3))


def test_echo_is_blamed_when_it_holds_messages_of_another_round():
    cheat = rewriting(Round.DEALING_ECHO, lambda network, _: encode_echo([network.said(1, Round.HELLO)]))
    network = Network(4, 3, cheats={4: cheat}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3, 4)
    assert all(blamed_by(network, member) == {(4, "DKG-5")} for member in (1, 2, 3))


def test_confirmation_does_not_count_when_the_trial_decryption_fails():
    def change(_network, message):
        confirmation = Confirmation.decode(message.payload)
        share = KeyShare(4, (5).to_bytes(32, "big"))
        public = PublicMaterial(
            scheme=1, threshold=1, encryption_key=b"", verification_keys=(G1.encode(G1.generator),) * 4
        )
        return replace(confirmation, self_test=ProvingSelfTest(G1).share(public, share)).encode()

    network = Network(4, 3, cheats={4: rewriting(Round.CONFIRM, change)}).run()
    network.agreed((1, 2, 3))
    assert all(blamed_by(network, member) == {(4, "DKG-12")} for member in (1, 2, 3))
    assert verify_transcript(network.key(1).transcript, peers=Registry(), t=3)[1] == (1, 2, 3)


def test_confirmation_does_not_count_when_the_transcript_is_not_signed():
    def change(_network, message):
        return replace(Confirmation.decode(message.payload), signature=bytes(65)).encode()

    network = Network(4, 3, cheats={4: rewriting(Round.CONFIRM, change)}).run()
    assert all(blamed_by(network, member) == {(4, "DKG-11")} for member in (1, 2, 3))
    assert verify_transcript(network.key(1).transcript, peers=Registry(), t=3)[1] == (1, 2, 3)


# --- channels


@pytest.mark.parametrize(
    "forge",
    [
        lambda message: replace(message, signature=Identity(2).sign(message.digest(CEREMONY))).encode(),
        lambda message: replace(message, signature=Identity(4).sign(message.digest(b"another ceremony"))).encode(),
        lambda message: message.encode() + b"\0",
        lambda message: message.encode()[:-1],
        lambda message: b"",
        lambda message: bytes(1 << 20),
        lambda message: b"\x08" + message.encode()[1:],
    ],
    ids=["signer", "ceremony", "trailing", "truncated", "empty", "oversized", "round"],
)
def test_message_is_refused_and_the_real_one_counts_when_forged(forge):
    network = Network(4, 3, cheats={4: lambda _n, _r, message: (forge(message), message.encode())}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3, 4)
    assert all(blamed_by(network, member) == {(4, "DKG-1")} for member in (1, 2, 3))


def test_message_is_refused_when_it_comes_through_another_members_channel():
    def rewrite(network, _recipient, message):
        return (network.said(1, Round.HELLO).encode(), message.encode())

    network = Network(4, 3, cheats={4: rewrite}).run()
    assert network.dealers((1, 2, 3)) == (1, 2, 3, 4)
    assert all(blamed_by(network, member) == {(4, "DKG-1")} for member in (1, 2, 3))


def test_oversized_message_is_refused_before_its_signature_is_looked_at():
    network = Network(4, 3)
    hello = Message(round=Round.HELLO, sender=2, payload=bytes(network.ceremony.limit_bytes), signature=bytes(65))
    assert network.parties[1].receive(2, signed(hello, hello.payload), now=0.0) == ()
    assert blamed_by(network, 1) == {(2, "DKG-1")}


def test_no_honest_message_exceeds_the_limit():
    for n, t in ((1, 1), (4, 3), (7, 5)):
        network = Network(n, t).run()
        sizes = {len(e.message) for effects in network.effects.values() for e in effects if isinstance(e, Send)}
        assert max(sizes) <= network.ceremony.limit_bytes


@pytest.mark.parametrize("sender", [0, 1, 5])
def test_receive_is_refused_when_there_is_no_such_channel(sender):
    with pytest.raises(ValueError, match="no channel"):
        Network(4, 3).parties[1].receive(sender, b"", now=0.0)


@pytest.mark.parametrize("options", [{"index": 0}, {"index": 5}, {"t": 5}, {"round_seconds": 0.0}])
def test_party_is_refused_when_parameters_are_out_of_range(options):
    with pytest.raises(ValueError):
        Network(4, 3).party(1, **options)


@pytest.fixture(scope="module")
def finished() -> Network:
    wrong = rewriting(Round.DEALING, dealing_with(lambda _, d: replace(d, sealed=(bytes(48), *d.sealed[1:]))))
    return Network(4, 3, cheats={4: wrong}).run()


@pytest.mark.parametrize(
    ("number", "decode"),
    [
        (Round.HELLO, lambda ceremony, data: Hello.decode(ceremony, 1, data)),
        (Round.HELLO_ECHO, lambda ceremony, data: decode_echo(data, n=4)),
        (Round.DEALING, lambda ceremony, data: Dealing.decode(ceremony, 1, data)),
        (Round.COMPLAINT, decode_complaints),
        (Round.CONFIRM, lambda _ceremony, data: Confirmation.decode(data)),
    ],
)
def test_payload_is_refused_when_cut_or_continued(finished, number, decode):
    payload = finished.said(1, number).payload
    decode(finished.ceremony, payload)
    with pytest.raises(Malformed):
        decode(finished.ceremony, payload + b"\0")
    for size in range(0, len(payload), 7):
        with pytest.raises(Malformed):
            decode(finished.ceremony, payload[:size])


def test_complaints_are_refused_when_continued_inside_or_out_of_order(finished):
    payload = finished.said(1, Round.COMPLAINT).payload
    item = payload[8:]
    assert decode_complaints(finished.ceremony, counted([item])) == decode_complaints(finished.ceremony, payload)
    for items in ([item + b"\0"], [item, item], [b"\0\0" + item[2:]]):
        with pytest.raises(Malformed):
            decode_complaints(finished.ceremony, counted(items))


@pytest.mark.parametrize("change", [{"member": 2}, {"dealer": 3}])
def test_complaint_proves_nothing_when_moved_to_another_member(finished, change):
    """Anyone judges from signed bytes alone; the proof holds for one complainer and one dealer."""
    (complaint,) = decode_complaints(finished.ceremony, finished.said(1, Round.COMPLAINT).payload)
    heard = decode_echo(finished.said(1, Round.DEALING_ECHO).payload, n=4)
    (dealing,) = (Dealing.decode(finished.ceremony, 4, m.payload) for m in heard if m.sender == 4)
    key = finished.hello_keys()[1]
    complaint.judge(finished.ceremony, 1, key, dealing)
    dealing = replace(dealing, dealer=change.get("dealer", 4))
    with pytest.raises(Rejected, match="proves nothing"):
        complaint.judge(finished.ceremony, change.get("member", 1), key, dealing)


# --- restarts


@pytest.mark.parametrize("silent", [(), (4,)], ids=["all", "one-silent"])
def test_restarted_member_repeats_its_bytes_after_every_effect(silent):
    count = len(Network(4, 3, silent=silent).run().effects[2])
    for k in range(count):
        network = Network(4, 3, silent=silent, crash=(2, k)).run()
        assert network.lives[2] == 2
        for messages in network.sent(2).values():
            assert len({message.encode() for message in messages}) <= 1, f"two messages after effect {k}"
        members = [member for member in (1, 2, 3, 4) if member not in silent]
        assert network.dealers(members) == tuple(members), f"after effect {k}"
        assert (2, "DKG-2") not in blamed_by(network, 1)
        keys = [(record.kind, record.key) for record in network.records(2)]
        assert len(set(keys)) == len(keys), f"a record overwritten after effect {k}"


def test_restarted_member_has_its_result_again_from_its_records():
    network = Network(4, 3).run()
    again = network.party(2, resume=reversed(network.records(2)))
    again.start(now=network.now + 100 * ROUND_SECONDS)
    assert again.result is not None
    assert again.result.transcript == network.key(2).transcript
    assert again.result.share.secret_bytes() == network.key(2).share.secret_bytes()


def test_restart_is_refused_when_records_are_missing():
    network = Network(4, 3).run()
    records = network.records(2)
    journal = [record for record in records if record.kind == JOURNAL_RECORD]
    for broken in (journal, [records[0], *journal[1:]], [replace(records[0], key=b"another"), *journal]):
        with pytest.raises(ValueError, match=r"missing|gap"):
            network.party(2, resume=broken)


# --- transcripts


def test_transcript_is_accepted_when_whole():
    network = Network(4, 3).run()
    agreement, members = verify_transcript(network.key(1).transcript, peers=Registry(), t=3)
    assert members == (1, 2, 3, 4)
    assert (agreement.ceremony_id, agreement.n, agreement.t) == (CEREMONY, 4, 3)
    assert agreement.encryption_key == network.key(1).public.encryption_key


def test_transcript_is_refused_when_any_byte_differs():
    transcript = Network(4, 3).run().key(1).transcript
    for at in range(len(transcript)):
        tampered = transcript[:at] + bytes([transcript[at] ^ 1]) + transcript[at + 1 :]
        with pytest.raises((Malformed, Rejected)):
            verify_transcript(tampered, peers=Registry(), t=3)


def test_transcript_is_refused_when_cut_or_continued():
    transcript = Network(4, 3).run().key(1).transcript
    for at in range(len(transcript)):
        with pytest.raises(Malformed):
            verify_transcript(transcript[:at], peers=Registry(), t=3)
    with pytest.raises(Malformed):
        verify_transcript(transcript + b"\0", peers=Registry(), t=3)


def test_transcript_is_refused_when_signatures_are_too_few_or_repeated():
    transcript = Network(4, 3).run().key(1).transcript
    body, signatures = transcript[: -4 - 4 * 67], [transcript[-67 * k :][:67] for k in (4, 3, 2, 1)]
    kept = body + u32(3) + b"".join(signatures[:3])
    assert verify_transcript(kept, peers=Registry(), t=3)[1] == (1, 2, 3)
    with pytest.raises(Rejected, match="DKG-13"):
        verify_transcript(body + u32(2) + b"".join(signatures[:2]), peers=Registry(), t=3)
    with pytest.raises(Malformed, match="ascending"):
        verify_transcript(body + u32(3) + signatures[0] * 3, peers=Registry(), t=3)


@pytest.mark.parametrize("t", [2, 4])
def test_transcript_is_refused_when_another_threshold_is_expected(t):
    transcript = Network(4, 3).run().key(1).transcript
    with pytest.raises(Rejected, match="threshold"):
        verify_transcript(transcript, peers=Registry(), t=t)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: replace(a, t=0),
        lambda a: replace(a, verification_keys=a.verification_keys[:3]),
        lambda a: replace(a, dealings=a.dealings[:2]),
        lambda a: replace(a, dealings=a.dealings[::-1]),
        lambda a: replace(a, dealings=((0, bytes(32)), *a.dealings[1:])),
        lambda a: replace(a, dealings=((1, bytes(31)), *a.dealings[1:])),
    ],
    ids=["threshold", "keys", "dealers", "order", "index", "digest"],
)
def test_transcript_is_refused_when_everyone_signed_nonsense(finished, change):
    agreement = change(verify_transcript(finished.key(1).transcript, peers=Registry(), t=3)[0])
    signatures = {member: Identity(member).sign(agreement.digest) for member in (1, 2, 3)}
    with pytest.raises(Malformed):
        verify_transcript(agreement.encode() + encode_signatures(signatures), peers=Registry(), t=agreement.t)
