"""The setup of simple-bte among members: honest runs, every way to cheat, restarts, and the bytes."""

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
from threshold.curve import ORDER, Backend, load_backend
from threshold.encoding import u16, u32
from threshold.entropy import deterministic
from threshold.errors import Malformed, Rejected
from threshold.keys import CeremonyFailed, KeyMaterial, KeyShare, Limits, PublicMaterial, Seat
from threshold.polynomial import lagrange_at
from threshold.sansio import Effect, Persist, Send
from threshold.setup import punctured
from threshold.setup.dkg_messages import Confirmation, encode_signatures
from threshold.setup.multiparty import JOURNAL_RECORD, SEED_RECORD, Party, verify_transcript
from threshold.setup.multiparty_messages import (
    DEAL,
    HELLO,
    VIEW_BYTES,
    Agreement,
    Ceremony,
    Hello,
    Message,
    Publication,
    assemble,
    multiplication_threshold,
)

CEREMONY = b"a ceremony id, never used before"
ROUND_SECONDS = 10.0
SCHEME = 7
BACKEND = load_backend()
G1, G2 = BACKEND.g1, BACKEND.g2


class Identity:
    """A stand-in for a secp256k1 key: deterministic, 65 bytes, and nobody else's."""

    def __init__(self, member: int) -> None:
        self.member = member

    def sign(self, digest: bytes) -> bytes:
        return hmac.digest(b"identity %d" % self.member, digest, sha512) + b"\0"


class Registry:
    def verify(self, member: int, digest: bytes, signature: bytes) -> bool:
        return signature == Identity(member).sign(digest)


class FittingSelfTest:
    """Stands in for a trial decryption: the image in G1 of the first share, checked against its verification key."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def share(self, public: PublicMaterial, share: KeyShare) -> bytes:
        group = self.backend.g1
        return group.encode(group.multiply(group.generator, secrets_of(share)[0]))

    def verify(self, public: PublicMaterial, member: int, data: bytes) -> None:
        backend = self.backend
        key = backend.g2.decode(public.verification_keys[member - 1])
        sides = (backend.g1.decode(data), backend.g1.negate(backend.g1.generator))
        if not backend.pairing_check(sides, (backend.g2.generator, key)):
            raise Rejected("TEST", "wrong share", member=member)


def secrets_of(share: KeyShare) -> list[int]:
    data = share.secret_bytes()
    return [int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32)]


Rewrite = Callable[["Network", int, Message], Iterable[bytes]]
"""What recipient gets instead of a cheating member's message: any number of others."""


class Network:
    """Runs a setup in memory. `cheats` rewrite what a member says, per recipient, after it has left its party;
    `parties` replace a member's party by one that computes otherwise."""

    def __init__(
        self,
        n: int,
        t: int,
        batch: int,
        *,
        backend: Backend = BACKEND,
        silent: Iterable[int] = (),
        cheats: dict[int, Rewrite] | None = None,
        kinds: dict[int, type[Party]] | None = None,
        repeat: int = 1,
        shuffle: int | None = None,
        crash: tuple[int, int] | None = None,
    ) -> None:
        self.n, self.t, self.batch, self.backend = n, t, batch, backend
        self.ceremony = Ceremony(backend=backend, ceremony_id=CEREMONY, scheme=SCHEME, n=n, t=t, batch=batch)
        self.silent = frozenset(silent)
        self.cheats = cheats or {}
        self.kinds = kinds or {}
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
            "network": bytes(32),
            "ceremony_id": CEREMONY,
            "signer": Identity(member),
            "peers": Registry(),
            "random": deterministic(b"member %d, life %d" % (member, self.lives[member])),
            "round_seconds": ROUND_SECONDS,
            "limits": Limits(batch=self.batch),
            "resume": tuple(self.records(member)),
        }
        seat = Seat(**(arguments | options))
        return self.kinds.get(member, Party)(seat, self.backend, SCHEME, FittingSelfTest(self.backend))

    def records(self, member: int) -> list[Persist]:
        return [effect for effect in self.effects[member] if isinstance(effect, Persist)]

    def sent(self, member: int) -> dict[int, list[Message]]:
        messages: dict[int, list[Message]] = {number: [] for number in range(HELLO, self.ceremony.confirm + 1)}
        for effect in self.effects[member]:
            if isinstance(effect, Send):
                message = Message.decode(self.ceremony, effect.message)
                messages[message.round].append(message)
        return messages

    def said(self, member: int, number: int) -> Message:
        return self.sent(member)[number][0]

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
            copies = [data] if cheat is None else cheat(self, recipient, Message.decode(self.ceremony, data))
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

    def failure(self, member: int) -> CeremonyFailed:
        with pytest.raises(CeremonyFailed, match="start a new attempt") as failure:
            _ = self.parties[member].result
        return failure.value

    def agreed(self, members: Iterable[int]) -> int:
        """All these members hold one good key. Returns its tau."""
        members = tuple(members)
        (agreement,) = {verify_transcript(self.key(m).transcript, peers=Registry(), t=self.t)[0] for m in members}
        (public,) = {self.key(member).public for member in members}
        assert agreement.parameter_digest == public.parameter_digest
        assert agreement.encryption_key == public.encryption_key
        assert agreement.verification_keys == public.verification_keys
        assert (public.scheme, public.threshold, public.members) == (SCHEME, self.t, self.n)
        g1, g2 = self.backend.g1, self.backend.g2
        powers = punctured.decode(self.backend, public.parameters, self.n)
        punctured.verify(self.backend, powers, self.t)
        secrets = {member: secrets_of(self.key(member).share) for member in members}
        tau = sharing.recover({member: secrets[member][0] for member in members[: self.t]})
        for i in range(1, self.batch + 1):
            for chosen in combinations(members, self.t):
                assert sharing.recover({m: secrets[m][i - 1] for m in chosen}) == pow(tau, i, ORDER)
            for member in members:
                image = g2.multiply(g2.generator, secrets[member][i - 1])
                assert g2.equal(image, powers.verification_keys[member - 1][i - 1])
        for i in punctured.exponents(self.batch):
            assert g2.equal(powers.power(i), g2.multiply(g2.generator, pow(tau, i, ORDER)))
        assert g1.equal(powers.t1, g1.multiply(g1.generator, tau))
        return tau

    def aborted(self, members: Iterable[int], *texts: str) -> None:
        """None of these members has a key, or anything left of one; each says one of `texts`, and at least one
        of them says the first."""
        failures = [str(self.failure(member)) for member in members]
        assert any(texts[0] in failure for failure in failures), failures
        assert all(any(text in failure for text in texts) for failure in failures), failures
        for member in members:
            assert_forgotten(self.parties[member])


def assert_forgotten(party: Party) -> None:
    assert (party._seed, party._powers, party._secrets, party._outcome) == (b"", {}, [], None)


def is_done(party: Party) -> bool:
    try:
        return party.result is not None
    except CeremonyFailed:
        return True


def signed(message: Message, payload: bytes, *, ceremony_id: bytes = CEREMONY) -> bytes:
    """The sender's own signature on another payload."""
    unsigned = replace(message, payload=payload)
    return replace(unsigned, signature=Identity(message.sender).sign(unsigned.digest(ceremony_id))).encode()


def resigned(message: Message, member: int = 4) -> bytes:
    """An envelope of any fields, with this member's signature."""
    return replace(message, signature=Identity(member).sign(message.digest(CEREMONY))).encode()


def rewriting(number: int, change: Callable[[Network, bytes], bytes], *, only: int | None = None) -> Rewrite:
    """A member that says something else in one round, to all or to one."""

    def rewrite(network: Network, recipient: int, message: Message) -> Iterable[bytes]:
        if message.round != number or only not in (None, recipient):
            return (message.encode(),)
        return (signed(message, change(network, message.payload)),)

    return rewrite


def publishing(change: Callable[[Publication], Publication]) -> Callable[[Network, bytes], bytes]:
    def rewrite(network: Network, payload: bytes) -> bytes:
        publication = Publication.decode(network.ceremony, payload[VIEW_BYTES:])
        return payload[:VIEW_BYTES] + change(publication).encode(network.ceremony)

    return rewrite


def dealing(number: int, change: Callable[[list[tuple[int, ...]]], list[tuple[int, ...]]]) -> type[Party]:
    """A party that deals other polynomials in one round."""

    class Cheat(Party):
        def _polynomials(self, current: int) -> tuple[tuple[int, ...], ...]:
            honest = super()._polynomials(current)
            return tuple(change(list(honest))) if current == number else honest

    return Cheat


def shifted(at: int) -> Callable[[list[tuple[int, ...]]], list[tuple[int, ...]]]:
    """Another secret than the honest one."""

    def change(polynomials: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        constant, *rest = polynomials[at]
        polynomials[at] = ((constant + 1) % ORDER, *rest)
        return polynomials

    return change


def steeper(at: int) -> Callable[[list[tuple[int, ...]]], list[tuple[int, ...]]]:
    """A degree higher by one."""

    def change(polynomials: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        polynomials[at] = (*polynomials[at], 5)
        return polynomials

    return change


# For 3 of 4 and B = 4: round 3 makes tau^2, round 4 tau^3 and tau^4, round 5 tau^6..tau^8 and the key's shares.
N, T, B = 4, 3, 4
MULTIPLY, RESHARE, PUBLISH, CONFIRM = 4, 5, 6, 7
HONEST = (1, 2, 3)
SILENCE = "without a word"
NO_SHARE = "has no share: it did not get every publication, or they did not fit"
GAVE_UP = "gave up"


# --- honest members


@pytest.mark.parametrize(
    ("n", "t", "batch"),
    [(1, 1, 1), (1, 1, 4), (2, 1, 2), (2, 2, 3), (3, 2, 4), (3, 3, 1), (4, 3, 8), (4, 2, 2), (5, 4, 3), (7, 5, 4)],
)
def test_setup_makes_one_key_when_all_are_honest(n, t, batch):
    network = Network(n, t, batch).run()
    network.agreed(network.parties)
    assert len({network.key(member).transcript for member in network.parties}) == 1
    assert not any(party.blamed for party in network.parties.values())
    assert network.now == 1_000_000.0, "nobody had to wait for a deadline"


@pytest.mark.slow
def test_setup_makes_one_key_for_a_batch_of_128():
    network = Network(4, 3, 128).run()
    network.agreed(network.parties)


def test_setup_makes_one_key_on_the_reference_backend():
    network = Network(1, 1, 1, backend=load_backend("reference")).run()
    network.agreed((1,))


def test_setup_makes_a_fresh_key_every_time():
    network = Network(2, 2, 2)
    network.parties = {member: network.party(member, random=deterministic(b"another %d" % member)) for member in (1, 2)}
    assert network.run().agreed((1, 2)) != Network(2, 2, 2).run().agreed((1, 2))


def test_recovery_fails_with_one_share_too_few():
    network = Network(4, 3, 2).run()
    tau = network.agreed((1, 2, 3, 4))
    shares = {member: secrets_of(network.key(member).share)[0] for member in (1, 2, 3, 4)}
    assert all(sharing.recover({m: shares[m] for m in pair}) != tau for pair in combinations(shares, 2))


def test_message_is_a_record_before_it_is_sent():
    network = Network(N, T, B).run()
    for effects in network.effects.values():
        assert effects[0].kind == SEED_RECORD
        written: set[bytes] = set()
        for effect in effects:
            if isinstance(effect, Send):
                assert effect.message in written
            elif effect.kind == JOURNAL_RECORD:
                written.add(effect.value)


def test_records_hold_no_secret_but_the_seed():
    network = Network(N, T, B).run()
    travelled = {e.message for effects in network.effects.values() for e in effects if isinstance(e, Send)}
    for member in network.parties:
        kinds = [record.kind for record in network.records(member)]
        assert kinds.count(SEED_RECORD) == 1
        assert all(r.value in travelled for r in network.records(member) if r.kind == JOURNAL_RECORD)


def test_shares_of_the_setup_are_dropped_when_the_key_is_there():
    """The degree t'-1 shares when their images are out; the seed, which would repeat them, with the result."""
    network = Network(N, T, B)
    network.start()
    network.settle()
    for member in HONEST:
        network.key(member)
        assert_forgotten(network.parties[member])
    waiting = Network(N, T, B, cheats={4: lambda _n, _r, m: () if m.round == PUBLISH else (m.encode(),)})
    waiting.start()
    waiting.settle()
    assert waiting.parties[1]._powers == {}
    assert len(waiting.parties[1]._secrets) == B


# --- what is computed, and what never is


@pytest.mark.parametrize("batch", range(1, 40))
def test_products_reach_every_power_once_and_never_the_hole(batch):
    ceremony = Ceremony(backend=BACKEND, ceremony_id=CEREMONY, scheme=SCHEME, n=4, t=3, batch=batch)
    known = [1]
    for number in range(DEAL, ceremony.publish):
        products = ceremony.products(number)
        assert all(a in known and b in known for a, b in products), "only what the rounds before made"
        known += [a + b for a, b in products]
    assert sorted(known) == list(punctured.exponents(batch))
    assert ceremony.confirm == 5 + (batch - 1).bit_length()


@pytest.mark.parametrize(("n", "t", "batch"), [(2, 2, 1), (3, 2, 2), (4, 3, 4), (5, 3, 5)])
def test_no_message_holds_the_power_that_opens_everything(n, t, batch):
    network = Network(n, t, batch).run()
    tau = network.agreed(network.parties)
    hole = G2.encode(G2.multiply(G2.generator, pow(tau, batch + 1, ORDER)))
    allowed = {G2.encode(G2.multiply(G2.generator, pow(tau, i, ORDER))) for i in punctured.exponents(batch)}
    published = []
    for member in network.parties:
        assert all(hole not in m.encode() for messages in network.sent(member).values() for m in messages)
        payload = network.said(member, network.ceremony.publish).payload
        published.append(Publication.decode(network.ceremony, payload[VIEW_BYTES:]))
    rows = dict(enumerate((p.verification_keys + p.higher for p in published), start=1))
    columns = [G2.encode(point) for point in sharing.recover_points(G2, rows)]
    assert len(columns) == 2 * batch - 1
    assert set(columns) == allowed, "what the images of a column stand for"


@pytest.mark.parametrize(("n", "low"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (7, 4), (10, 5)])
def test_setup_hides_from_one_less_than_half_the_members(n, low):
    assert multiplication_threshold(n) == low
    assert 2 * low - 1 <= n, "as many as it takes to multiply"


def test_numbers_are_dealt_on_polynomials_of_the_right_degree():
    """7 members, t = 6: what a dealer's boxes hold for the 6 others has degree 3 during the setup, and 5 in the key."""
    opened: dict[tuple[int, int], dict[int, list[int]]] = {}

    class Listening(Party):
        def _open(self, number: int, dealer: int, body: bytes) -> list[int]:
            numbers = super()._open(number, dealer, body)
            opened.setdefault((number, dealer), {})[self._seat.index] = numbers
            return numbers

    n, t, batch = 7, 6, 3
    network = Network(n, t, batch, kinds=dict.fromkeys(range(1, n + 1), Listening)).run()
    network.agreed(network.parties)
    ceremony = network.ceremony
    slopes = []
    for (number, _), rows in opened.items():
        for at in range(ceremony.numbers(number)):
            reshared = number == ceremony.reshare and at >= len(ceremony.products(number))
            values = {member: numbers[at] for member, numbers in rows.items()}
            assert degree(values) == (t - 1 if reshared else multiplication_threshold(n) - 1)
            first, second, *_ = values.values()
            slopes.append((first - second) % ORDER)
    assert len(set(slopes)) == len(slopes), "no randomness is used for two numbers"


def degree(values: dict[int, int]) -> int:
    """Of the polynomial of least degree through all the values."""
    for size in range(1, len(values)):
        chosen = tuple(values)[:size]
        fits = (
            sum(w * values[j] for w, j in zip(lagrange_at(x, chosen, ORDER), chosen, strict=True)) % ORDER == value
            for x, value in values.items()
        )
        if all(fits):
            return size - 1
    return len(values) - 1


def test_key_shares_of_two_powers_are_independent():
    network = Network(4, 3, 3).run()
    rows = [secrets_of(network.key(member).share) for member in (1, 2, 3, 4)]
    for a, b in combinations(range(3), 2):
        differences = {member: (row[a] - row[b]) % ORDER for member, row in enumerate(rows, start=1)}
        assert degree(differences) == 2


# --- members that compute otherwise


@pytest.mark.parametrize(
    ("cheat", "rule"),
    [
        (dealing(3, shifted(0)), "MPC-9"),
        (dealing(MULTIPLY, shifted(1)), "MPC-9"),
        (dealing(RESHARE, shifted(0)), "MPC-9"),
        (dealing(RESHARE, shifted(3)), "MPC-9"),
        (dealing(RESHARE, shifted(6)), "MPC-9"),
        (dealing(DEAL, steeper(0)), "MPC-8"),
        (dealing(MULTIPLY, steeper(1)), "MPC-9"),
        (dealing(RESHARE, steeper(1)), "MPC-8"),
        (dealing(RESHARE, steeper(5)), "MPC-9"),
    ],
    ids=[
        "first-product",
        "product",
        "higher-product",
        "reshared-tau",
        "reshared-last-power",
        "degree-of-tau",
        "degree-of-product",
        "degree-of-higher-product",
        "degree-of-key",
    ],
)
def test_setup_fails_without_blame_when_a_member_deals_wrong_numbers(cheat, rule):
    network = Network(N, T, B, kinds={4: cheat}).run()
    network.aborted(HONEST, rule)
    assert not any(network.failure(member).blamed for member in HONEST)


def test_failure_names_the_equation_that_does_not_hold():
    network = Network(N, T, B, kinds={4: dealing(RESHARE, shifted(0))}).run()
    assert "h_7 does not follow h_6 [SBT-22] [MPC-9]" in str(network.failure(1))


@pytest.mark.parametrize("number", [DEAL, MULTIPLY, RESHARE])
def test_setup_fails_when_one_member_is_dealt_other_numbers(number):
    """Shares off the polynomial, in the box for member 1 only."""

    class Cheat(Party):
        bent = False

        def _polynomials(self, current: int) -> tuple[tuple[int, ...], ...]:
            honest = super()._polynomials(current)
            return tuple(shifted(0)(list(honest))) if self.bent else honest

        def _boxes(self, current: int) -> Iterable[bytes]:
            honest = list(super()._boxes(current))
            if current != number:
                return honest
            self.bent = True
            bent = list(super()._boxes(current))
            self.bent = False
            return [bent[0], *honest[1:]]

    network = Network(N, T, B, kinds={4: Cheat}).run()
    network.aborted(HONEST, "MPC-8" if number != MULTIPLY else "MPC-9")


# --- members that say something else


def garbled(network: Network, payload: bytes) -> bytes:
    """The first box does not open."""
    at = VIEW_BYTES
    return payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]


@pytest.mark.parametrize("number", [DEAL, MULTIPLY, RESHARE])
def test_setup_fails_without_blame_when_a_box_does_not_open(number):
    network = Network(N, T, B, cheats={4: rewriting(number, garbled)}).run()
    network.aborted(HONEST, "member 4's box for member 1", f"member 1 {GAVE_UP}")
    assert "MPC-7" in str(network.failure(1))
    assert not any(network.failure(member).blamed for member in HONEST), "above all not of member 1"
    assert network.now == 1_000_000.0, "nobody waits for one that gave up"


def test_setup_fails_when_a_box_holds_no_scalar():
    class Cheat(Party):
        def _boxes(self, number: int) -> Iterable[bytes]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("threshold.setup.multiparty.evaluate", lambda *_: ORDER)
                return list(super()._boxes(number))

    network = Network(N, T, B, kinds={4: Cheat}).run()
    network.aborted(HONEST, "MPC-7")


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, first=(G1.generator, p.first[1])),
        lambda p: replace(p, first=(p.first[0], G1.generator)),
        lambda p: replace(p, higher=(G2.generator, *p.higher[1:])),
    ],
    ids=["tau", "square", "higher"],
)
def test_setup_fails_when_a_published_image_is_off_its_polynomial(change):
    network = Network(N, T, B, cheats={4: rewriting(PUBLISH, publishing(change))}).run()
    network.aborted(HONEST, "MPC-8")


@pytest.mark.parametrize("at", [0, B - 1])
def test_setup_fails_when_a_verification_key_is_wrong(at):
    def change(p: Publication) -> Publication:
        keys = list(p.verification_keys)
        keys[at] = G2.generator
        return replace(p, verification_keys=tuple(keys))

    network = Network(N, T, B, cheats={4: rewriting(PUBLISH, publishing(change))}).run()
    network.aborted(HONEST, "SBT-24")
    assert "MPC-9" in str(network.failure(1))


def test_published_images_off_their_polynomial_are_noticed_where_no_other_rule_would():
    """Member 4's image of a higher power is not interpolated, so the parameters are right in spite of it."""
    network = Network(N, T, B).run()
    ceremony = network.ceremony
    published = [
        Publication.decode(ceremony, network.said(member, PUBLISH).payload[VIEW_BYTES:]) for member in (1, 2, 3, 4)
    ]
    assemble(ceremony, published, b"view")
    published[3] = replace(published[3], higher=(*published[3].higher[:-1], G2.generator))
    with pytest.raises(Rejected, match="MPC-8"):
        assemble(ceremony, published, b"view")


@pytest.mark.parametrize(
    ("number", "size"), [(HELLO, 7), *((number, -1) for number in range(HELLO, CONFIRM)), (DEAL, 3)]
)
def test_member_is_blamed_when_its_payload_is_too_short(number, size):
    network = Network(N, T, B, cheats={4: rewriting(number, lambda _network, payload: payload[:size])}).run()
    network.aborted(HONEST, "MPC-4")
    assert all(network.failure(member).blamed == ((4, "MPC-4"),) for member in HONEST)


def test_member_is_blamed_when_an_image_is_the_identity():
    def change(_network: Network, payload: bytes) -> bytes:
        return payload[:-96] + b"\xc0" + bytes(95)

    network = Network(N, T, B, cheats={4: rewriting(PUBLISH, change)}).run()
    network.aborted(HONEST, "MPC-4")
    assert all(network.failure(member).blamed == ((4, "MPC-4"),) for member in HONEST)


def test_member_is_blamed_when_its_hello_is_no_point():
    def change(_network: Network, payload: bytes) -> bytes:
        return payload[:VIEW_BYTES] + b"\xc0" + bytes(47) + payload[VIEW_BYTES + 48 :]

    network = Network(N, T, B, cheats={4: rewriting(HELLO, change)}).run()
    network.aborted(HONEST, "MPC-4")
    assert all(network.failure(member).blamed == ((4, "MPC-4"),) for member in HONEST)


@pytest.mark.parametrize("source", ["stolen", "unknown"])
def test_member_is_blamed_when_its_hello_is_not_proven(source):
    def change(network: Network, payload: bytes) -> bytes:
        if source == "stolen":
            return network.said(1, HELLO).payload
        hello = Hello.decode(network.ceremony, payload[VIEW_BYTES:])
        key = G1.add(hello.key, G1.generator)
        return payload[:VIEW_BYTES] + replace(hello, key=key).encode(network.ceremony)

    network = Network(N, T, B, cheats={4: rewriting(HELLO, change)}).run()
    network.aborted(HONEST, "MPC-5")
    assert all(network.failure(member).blamed == ((4, "MPC-5"),) for member in HONEST)


# --- members that show different things to different members


def other_numbers(_network: Network, payload: bytes) -> bytes:
    return payload[:-1] + bytes([payload[-1] ^ 1])


@pytest.mark.parametrize("number", [DEAL, 3, MULTIPLY])
def test_setup_fails_when_a_member_shows_two_messages_to_two_members(number):
    """Member 3's box is changed in what member 1 sees: nobody is harmed by it, but views differ."""
    network = Network(N, T, B, cheats={4: rewriting(number, other_numbers, only=1)}).run()
    network.aborted(HONEST, "MPC-6", GAVE_UP)
    assert not any(network.failure(member).blamed for member in HONEST)


def test_setup_fails_for_all_when_published_images_differ():
    def change(publication: Publication) -> Publication:
        return replace(publication, higher=(G2.generator, *publication.higher[1:]))

    network = Network(N, T, B, cheats={4: rewriting(PUBLISH, publishing(change), only=1)}).run()
    network.aborted((1,), "MPC-8")
    network.aborted((2, 3, 4), NO_SHARE)


def test_setup_fails_for_all_when_a_publication_is_kept_from_one():
    """Else whoever kept it back could stop every opening later, together with one more."""

    def withheld(_network: Network, recipient: int, message: Message) -> Iterable[bytes]:
        return () if message.round == PUBLISH and recipient == 3 else (message.encode(),)

    network = Network(N, T, B, cheats={4: withheld}).run()
    network.aborted((1, 2, 4), NO_SHARE)
    network.aborted((3,), SILENCE)


def test_transcripts_differ_when_members_heard_different_messages():
    """The last box of the resharing is for member 3; member 1 sees another, and everything else is right."""
    network = Network(N, T, B, cheats={4: rewriting(RESHARE, other_numbers, only=1)}).run()
    network.aborted(HONEST, "MPC-6")


@pytest.mark.parametrize("number", range(HELLO, CONFIRM))
def test_member_is_blamed_when_it_signs_two_messages_in_a_round(number):
    def rewrite(_network: Network, _recipient: int, message: Message) -> Iterable[bytes]:
        if message.round != number:
            return (message.encode(),)
        return (message.encode(), signed(message, message.payload[:-1] + bytes([message.payload[-1] ^ 1])))

    network = Network(N, T, B, cheats={4: rewrite}, silent=(2,))
    network.parties[2] = network.party(2)
    network.cheats[2] = lambda _n, _r, m: () if m.round == number else (m.encode(),)
    network.run()
    network.aborted((1, 3), "MPC-2")
    assert all((4, "MPC-2") in network.failure(member).blamed for member in (1, 3))


def test_second_message_is_blamed_without_effect_when_its_round_is_over():
    """Else one member could make another give up after all had what they need."""
    network = Network(N, T, B)
    network.cheats[4] = lambda _n, _r, m: () if m.round == CONFIRM else (m.encode(),)
    network.start()
    network.settle()
    hello = network.said(4, HELLO)
    assert network.parties[1].receive(4, signed(hello, hello.payload[::-1]), now=network.now) == ()
    network.pass_round()
    for _ in range(CONFIRM):
        network.pass_round()
    network.agreed(HONEST)
    assert network.key(1).blamed == ((4, "MPC-2"), (4, "MPC-3"))


@pytest.mark.parametrize("change", [{"limits": Limits(batch=2)}, {"limits": Limits(batch=3)}, {"t": 4}])
def test_setup_fails_when_a_member_was_started_with_other_parameters(change):
    network = Network(N, T, B)
    network.parties[4] = network.party(4, **change)
    network.start()
    for member in HONEST:
        data = next(e.message for e in network.parties[4].start(now=network.now) if isinstance(e, Send))
        network.perform(member, network.parties[member].receive(4, data, now=network.now))
    for _ in range(CONFIRM):
        network.pass_round()
    network.aborted(HONEST, "member 4 names other parameters at the start [MPC-6]")


# --- silence


@pytest.mark.parametrize("number", range(HELLO, CONFIRM))
def test_member_is_blamed_when_it_is_silent(number):
    cheat: Rewrite = lambda _n, _r, message: () if message.round == number else (message.encode(),)  # noqa: E731
    network = Network(N, T, B, cheats={4: cheat}).run()
    network.aborted(HONEST, f"round {number} ended {SILENCE} from members [4] [MPC-3]")
    assert all(network.failure(member).blamed == ((4, "MPC-3"),) for member in HONEST)


def test_setup_fails_when_a_member_speaks_to_some_only():
    cheat: Rewrite = lambda _n, to, m: () if m.round == MULTIPLY and to == 1 else (m.encode(),)  # noqa: E731
    network = Network(N, T, B, cheats={4: cheat}).run()
    network.aborted(HONEST, SILENCE, GAVE_UP)


def test_round_lasts_until_its_deadline_when_a_member_is_silent():
    network = Network(N, T, B, silent=(4,))
    network.start()
    network.settle()
    network.now += ROUND_SECONDS - 0.001
    assert network.parties[1].tick(now=network.now) == ()
    assert network.parties[1].tick(now=network.now + 0.001) != ()
    network.aborted((1,), SILENCE)


def test_message_does_not_count_when_nobody_noticed_that_its_round_is_over():
    network = Network(N, T, B, silent=(4,))
    network.start()
    network.settle()
    late = next(e.message for e in network.party(4).start(now=network.now) if isinstance(e, Send))
    effects = network.parties[1].receive(4, late, now=network.now + ROUND_SECONDS)
    assert late not in [e.value for e in effects if isinstance(e, Persist)]
    network.aborted((1,), SILENCE)


def test_key_counts_without_the_confirmation_of_one_member():
    cheat: Rewrite = lambda _n, _r, message: () if message.round == CONFIRM else (message.encode(),)  # noqa: E731
    network = Network(N, T, B, cheats={4: cheat}).run()
    network.agreed(HONEST)
    assert verify_transcript(network.key(1).transcript, peers=Registry(), t=T)[1] == HONEST
    assert network.key(1).blamed == ((4, "MPC-3"),)


@pytest.mark.parametrize("said", ["nothing", "that it gives up"])
def test_setup_fails_when_fewer_than_threshold_confirm(said):
    def rewrite(_network: Network, _recipient: int, message: Message) -> Iterable[bytes]:
        if message.round != CONFIRM:
            return (message.encode(),)
        return () if said == "nothing" else (signed(message, b""),)

    network = Network(N, T, B, cheats={3: rewrite, 4: rewrite}).run()
    texts = {
        "nothing": "2 members confirmed this transcript, 3 are needed; 0 confirmed another one",
        "that it gives up": NO_SHARE,
    }
    network.aborted((1, 2), texts[said])
    blamed = {(3, "MPC-3"), (4, "MPC-3")} if said == "nothing" else set()
    assert set(network.failure(1).blamed) == blamed


# --- confirmations


def confirming(change: Callable[[Confirmation], Confirmation]) -> Callable[[Network, bytes], bytes]:
    return lambda _network, payload: change(Confirmation.decode(payload)).encode()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda c: replace(c, signature=bytes(65)), "MPC-10"),
        (lambda c: replace(c, self_test=G1.encode(G1.generator)), "MPC-11"),
        (lambda c: replace(c, self_test=b"nonsense"), "MPC-11"),
    ],
    ids=["signature", "share", "malformed-share"],
)
def test_confirmation_does_not_count_when_it_is_wrong(change, rule):
    network = Network(N, T, B, cheats={4: rewriting(CONFIRM, confirming(change))}).run()
    network.agreed(HONEST)
    assert all(network.key(member).blamed == ((4, rule),) for member in HONEST)
    assert verify_transcript(network.key(1).transcript, peers=Registry(), t=T)[1] == HONEST


def test_confirmation_does_not_count_when_it_is_malformed():
    network = Network(N, T, B, cheats={4: rewriting(CONFIRM, lambda _network, _payload: b"nonsense")}).run()
    assert all(network.key(member).blamed == ((4, "MPC-4"),) for member in HONEST)


def test_setup_fails_when_members_confirm_another_transcript():
    cheat = rewriting(CONFIRM, confirming(lambda c: replace(c, agreement=bytes(32))))
    network = Network(N, T, B, cheats={3: cheat, 4: cheat}).run()
    network.aborted((1, 2), "2 members confirmed this transcript, 3 are needed; 2 confirmed another one")


# --- channels


@pytest.mark.parametrize(
    "forge",
    [
        lambda message: replace(message, signature=Identity(2).sign(message.digest(CEREMONY))).encode(),
        lambda message: signed(message, message.payload, ceremony_id=b"another ceremony"),
        lambda message: message.encode() + b"\0",
        lambda message: message.encode()[:-1],
        lambda message: b"",
        lambda message: resigned(replace(message, round=0)),
        lambda message: resigned(replace(message, round=CONFIRM + 1)),
        lambda message: resigned(replace(message, sender=1)),
        lambda message: signed(message, bytes(1 << 17)),
    ],
    ids=["stranger", "ceremony", "trailing", "truncated", "empty", "round-0", "round-8", "sender", "oversized"],
)
def test_message_is_ignored_and_the_real_one_counts_when_forged(forge):
    network = Network(N, T, B, cheats={4: lambda _n, _r, message: (forge(message), message.encode())}).run()
    network.agreed(HONEST)
    assert all(network.key(member).blamed == ((4, "MPC-1"),) for member in HONEST)


def test_setup_fails_when_only_a_forged_message_comes():
    network = Network(N, T, B, cheats={4: lambda _n, _r, m: (signed(m, m.payload, ceremony_id=b"replayed"),)}).run()
    network.aborted(HONEST, SILENCE)
    assert set(network.failure(1).blamed) == {(4, "MPC-1"), (4, "MPC-3")}


def test_message_is_ignored_when_it_comes_through_another_members_channel():
    network = Network(N, T, B, cheats={4: lambda n, _r, m: (n.said(1, HELLO).encode(), m.encode())}).run()
    network.agreed(HONEST)
    assert all(network.key(member).blamed == ((4, "MPC-1"),) for member in HONEST)


def test_payloads_have_the_sizes_announced():
    for n, t, batch in ((1, 1, 1), (4, 3, 4), (5, 4, 3)):
        network = Network(n, t, batch).run()
        for number in range(HELLO, network.ceremony.confirm):
            size = network.ceremony.payload_bytes(number)
            assert all(len(network.said(member, number).payload) == size for member in network.parties)


@pytest.mark.parametrize("sender", [0, 1, 5])
def test_receive_is_refused_when_there_is_no_such_channel(sender):
    with pytest.raises(ValueError, match="no channel"):
        Network(N, T, B).parties[1].receive(sender, b"", now=0.0)


@pytest.mark.parametrize(
    "options",
    [{"index": 0}, {"index": 5}, {"t": 5}, {"round_seconds": 0.0}, {"limits": Limits()}, {"limits": Limits(batch=0)}],
)
def test_party_is_refused_when_parameters_are_out_of_range(options):
    with pytest.raises(ValueError):
        Network(N, T, B).party(1, **options)


# --- restarts


def test_restarted_member_repeats_its_bytes_after_every_effect():
    honest = Network(2, 2, 2).run()
    expected = [effect.message for effect in honest.effects[2] if isinstance(effect, Send)]
    for k in range(len(honest.effects[2])):
        network = Network(2, 2, 2, crash=(2, k)).run()
        assert network.lives[2] == 2
        said = dict.fromkeys(effect.message for effect in network.effects[2] if isinstance(effect, Send))
        keys = [(record.kind, record.key) for record in network.records(2)]
        assert len(set(keys)) == len(keys), f"a record overwritten after effect {k}"
        assert not network.parties[1].blamed, f"after effect {k}"
        if k > 0:
            assert list(said) == expected, f"after effect {k}"
            assert network.key(2).share.secret_bytes() == honest.key(2).share.secret_bytes()
        network.agreed((1, 2))


def test_restarted_member_has_its_result_again_from_its_records():
    network = Network(N, T, B).run()
    again = network.party(2, resume=tuple(reversed(network.records(2))))
    again.start(now=network.now + 100 * ROUND_SECONDS)
    assert again.result is not None
    assert again.result.transcript == network.key(2).transcript
    assert again.result.share.secret_bytes() == network.key(2).share.secret_bytes()


@pytest.mark.parametrize(
    "cheat",
    [
        lambda _n, _r, m: () if m.round == MULTIPLY else (m.encode(),),
        rewriting(DEAL, garbled),
        rewriting(PUBLISH, publishing(lambda p: replace(p, first=(G1.generator, p.first[1])))),
    ],
    ids=["silence", "box", "image"],
)
def test_restarted_member_has_given_up_again(cheat):
    network = Network(N, T, B, cheats={4: cheat}).run()
    again = network.party(1)
    effects = again.start(now=network.now)
    with pytest.raises(CeremonyFailed) as failure:
        _ = again.result
    assert str(failure.value) == str(network.failure(1))
    assert effects == tuple(effect for effect in network.effects[1] if isinstance(effect, Send))


def test_restarted_member_has_given_up_again_after_two_messages():
    network = Network(N, T, B, silent=(2,))
    network.cheats[4] = lambda _n, _r, m: (m.encode(), signed(m, m.payload[::-1]))
    network.parties[2] = network.party(2)
    network.start()
    network.queue = deque(item for item in network.queue if item[0] == 4)
    network.settle()
    network.aborted((1,), "MPC-2")
    assert network.said(1, DEAL).payload == b"", "the others need not wait"
    again = network.party(1)
    assert [e.message for e in again.start(now=network.now)] == [
        e.message for e in network.effects[1] if isinstance(e, Send)
    ]
    with pytest.raises(CeremonyFailed, match="MPC-2"):
        _ = again.result


def test_restart_is_refused_when_records_are_missing():
    network = Network(N, T, B).run()
    records = network.records(2)
    journal = [record for record in records if record.kind == JOURNAL_RECORD]
    for broken in (journal, [records[0], *journal[1:]], [replace(records[0], key=b"another"), *journal]):
        with pytest.raises(ValueError, match="follows a gap"):
            network.party(2, resume=tuple(broken))


# --- transcripts


@pytest.fixture(scope="module")
def transcript() -> bytes:
    return Network(4, 3, 2).run().key(1).transcript


def test_transcript_is_accepted_when_whole(transcript):
    agreement, members = verify_transcript(transcript, peers=Registry(), t=3)
    assert members == (1, 2, 3, 4)
    assert (agreement.ceremony_id, agreement.scheme, agreement.batch) == (CEREMONY, SCHEME, 2)
    assert (agreement.n, agreement.t) == (4, 3)


def test_transcript_is_refused_when_any_byte_differs(transcript):
    for at in range(len(transcript)):
        tampered = transcript[:at] + bytes([transcript[at] ^ 1]) + transcript[at + 1 :]
        with pytest.raises((Malformed, Rejected)):
            verify_transcript(tampered, peers=Registry(), t=3)


def test_transcript_is_refused_when_cut_or_continued(transcript):
    for at in range(len(transcript)):
        with pytest.raises(Malformed):
            verify_transcript(transcript[:at], peers=Registry(), t=3)
    with pytest.raises(Malformed):
        verify_transcript(transcript + b"\0", peers=Registry(), t=3)


def test_transcript_is_refused_when_signatures_are_too_few_or_repeated_mpc_12(transcript):
    body, signatures = transcript[: -4 - 4 * 67], [transcript[-67 * k :][:67] for k in (4, 3, 2, 1)]
    kept = body + u32(3) + b"".join(signatures[:3])
    assert verify_transcript(kept, peers=Registry(), t=3)[1] == (1, 2, 3)
    with pytest.raises(Rejected, match="MPC-12"):
        verify_transcript(body + u32(2) + b"".join(signatures[:2]), peers=Registry(), t=3)
    forged = [*signatures[:2], u16(3) + bytes(65)]
    with pytest.raises(Rejected, match="MPC-12"):
        verify_transcript(body + u32(3) + b"".join(forged), peers=Registry(), t=3)
    with pytest.raises(Malformed, match="ascending"):
        verify_transcript(body + u32(3) + signatures[0] * 3, peers=Registry(), t=3)


@pytest.mark.parametrize("t", [2, 4])
def test_transcript_is_refused_when_another_threshold_is_expected(transcript, t):
    with pytest.raises(Rejected, match="threshold"):
        verify_transcript(transcript, peers=Registry(), t=t)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: replace(a, t=0),
        lambda a: replace(a, n=3),
        lambda a: replace(a, batch=0),
        lambda a: replace(a, verification_keys=a.verification_keys[:3]),
    ],
    ids=["threshold", "members", "batch", "keys"],
)
def test_transcript_is_refused_when_everyone_signed_nonsense(transcript, change: Callable[[Agreement], Agreement]):
    agreement = change(verify_transcript(transcript, peers=Registry(), t=3)[0])
    signatures = {member: Identity(member).sign(agreement.digest) for member in (1, 2, 3)}
    with pytest.raises(Malformed):
        verify_transcript(agreement.encode() + encode_signatures(signatures), peers=Registry(), t=agreement.t)
