"""The ceremony that makes fptx's common reference rows, and then the key. Sans-IO.

Phase 1: members multiply factors of their own into the parameters (`threshold.setup.powers`), in the order of their
index, each once the members before it have spoken or their time is over. A contribution names the one it builds on, so
contributions form a tree; its maker repeats the branch below it. Then everyone forwards what it heard. The longest
branch of valid contributions counts whose last member signed no other; of several, the one whose last contribution has
the smallest name.

Phase 2: the key generation that the caller brings, in a ceremony whose id depends on the parameters. Members with
other parameters refuse each other's messages and never sign one transcript.

What a result establishes, if fewer than t members are dishonest: at least t members multiplied the parameters, so that
an honest one did and nobody knows tau or the factor of a row; the parameters pass `powers.verify`; and at least t
members ended with them.

What it does not:

* Which contributions count. With one dishonest member, speaking and forwarding is Byzantine broadcast as in
  `threshold.setup.dkg`, and all honest members derive the same parameters. Several who collude can show a contribution
  to some only. Members then part; those with fewer than t on their side get CeremonyFailed.
* That an honest member's own contribution counts: one that comes late may be on a branch that is left, and dishonest
  members can make another that is as long.

If messages come in time, n-t dishonest members cannot leave an honest one without t contributions, whatever they sign
and to whom they show it: all know the whole branch of every honest member, which repeats what it builds on, and later
ones build on one at least as long. So the last one's branch has as many contributions as there are honest members.

A member that signs two contributions is blamed, but neither is struck out: honest members may have built on one, and
striking theirs out as well would let it end the ceremony. Only, neither can be the last of a branch that counts. So one
branch for each member is all that is checked: with f dishonest members at most n (f+1) contributions, however many they
sign.

Rules. PTX-1 to PTX-4 are those of `threshold.setup.powers`, and signed. "Signed" and "local" as in
`threshold.setup.dkg`:

PTX-5   a message is canonical, of bounded size, signed by its sender, and comes from that member's     local
        channel unless it is a contribution
PTX-6   a member signs one contribution                                                                 signed
PTX-7   a member contributes in time                                                                    local
PTX-8   a contribution decodes, all its points included, and builds on valid parameters by members      signed; local
        with smaller indices, which its maker repeats                                                   if not shown
PTX-9   an echo holds contributions, signed by members other than the one who forwards                  signed
PTX-10  a branch of at least t contributions, the last one the only one of its maker                    -
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from threshold import sharing
from threshold.curve import Backend
from threshold.encoding import Reader, counted, sized, u8, u16, u32, u64
from threshold.errors import Malformed, Rejected
from threshold.hashing import Tag, tagged_hash
from threshold.keys import CeremonyFailed, KeyGenerationParty, KeyMaterial, Seat
from threshold.sansio import Effect, Persist, Send
from threshold.setup import powers
from threshold.setup.dkg_messages import ENVELOPE_BYTES, SIGNATURE_BYTES, VERSIONS_KEPT

START_RECORD = "powers-start"
"""Not secret: when this member started, in milliseconds."""

JOURNAL_RECORD = "powers-journal"
"""Not secret: sender and message, own and received, numbered from 0 in the order in which they took effect."""

EARLY_KEPT = 4
"""Messages of phase 2 kept for each member that is ahead. Clocks that differ by less than a round make it two."""

_START = bytes(32)
"""What the first contribution names as the one it builds on."""


class Round(IntEnum):
    """The first byte of every message."""

    CONTRIBUTION = 1
    ECHO = 2
    KEYS = 3
    """A message of phase 2 follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A signed envelope of phase 1. Decoding establishes nothing about the signature or the payload."""

    round: Round
    sender: int
    payload: bytes
    signature: bytes

    def encode(self) -> bytes:
        return u8(self.round) + u16(self.sender) + sized(self.payload) + self.signature

    @classmethod
    def decode(cls, data: bytes) -> Message:
        reader = Reader(data, "a message about powers")
        number = reader.u8()
        if number not in (Round.CONTRIBUTION, Round.ECHO):
            raise Malformed(f"contributing has no round {number}")
        message = cls(
            round=Round(number),
            sender=reader.u16(),
            payload=reader.sized(len(data)),
            signature=reader.take(SIGNATURE_BYTES),
        )
        reader.end()
        return message

    def digest(self, ceremony_id: bytes) -> bytes:
        """The 32 bytes the sender signs. Also the name of a contribution."""
        return message_digest(ceremony_id, self.round, self.sender, self.payload)


def message_digest(ceremony_id: bytes, round_: Round, sender: int, payload: bytes) -> bytes:
    return tagged_hash(Tag.POWERS_MESSAGE, ceremony_id, u8(round_), u16(sender), payload)


def key_ceremony_id(ceremony_id: bytes, parameters: bytes) -> bytes:
    """The id of phase 2, which its transcript names."""
    return tagged_hash(Tag.POWERS_MESSAGE, ceremony_id, parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """Parameters multiplied by one member.

    before        32 bytes: the name of the contribution it builds on, zero for the start
    parameters    after the multiplication
    proof         for the factors
    """

    before: bytes
    parameters: bytes
    proof: bytes

    def encode(self) -> bytes:
        return self.before + self.parameters + self.proof

    @classmethod
    def decode(cls, data: bytes, *, batch: int, rounds: int) -> Contribution:
        """Raises Malformed unless all parts have the size that follows from B and Q. Looks at no point."""
        reader = Reader(data, "a contribution")
        contribution = cls(
            before=reader.take(32),
            parameters=reader.take(powers.size_bytes(batch=batch, rounds=rounds)),
            proof=reader.take(powers.proof_bytes(rounds=rounds)),
        )
        reader.end()
        return contribution


def encode_echo(messages: Sequence[Message]) -> bytes:
    return counted([message.encode() for message in messages])


def decode_echo(data: bytes, *, n: int) -> tuple[Message, ...]:
    reader = Reader(data, "an echo")
    messages = tuple(Message.decode(item) for item in reader.counted(VERSIONS_KEPT * n))
    reader.end()
    return messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Valid contributions, each on the one before.

    name          of the last contribution
    messages      the contributions, their senders in ascending order
    parameters    what came of it
    """

    name: bytes
    messages: tuple[Message, ...]
    parameters: bytes

    @property
    def last_member(self) -> int:
        """Zero if nobody has contributed."""
        return self.messages[-1].sender if self.messages else 0


class Party:
    """One member of the ceremony; implements `threshold.keys.KeyGenerationParty`.

    `seat.limits` must name both B and Q. `then` makes the party of phase 2 from its seat and the parameters: it has to
    use that seat, whose ceremony id depends on the parameters, and whose records are phase 2's.

    Lasts at most n+1 rounds and those of phase 2, and has no pause if all speak at once. A member's turn is a product
    for each point, 0.2 ms; everyone checks every contribution, 0.08 ms a point. A turn repeats up to n contributions of
    48 (B+1)(Q+1) bytes, an echo up to 2 n.

    Calls, restarts and records as in `threshold.setup.dkg`. The factors are no record: what was not sent before a crash
    is drawn again, and what was persisted is sent as it is.

    ValueError for a seat out of range, parameters too large to be sent, and records that are incomplete or another
    ceremony's; Malformed for damaged ones.
    """

    def __init__(self, seat: Seat, backend: Backend, then: Callable[[Seat, bytes], KeyGenerationParty]) -> None:
        sharing.check_parameters(seat.n, seat.t)
        if not 1 <= seat.index <= seat.n or seat.round_seconds <= 0:
            raise ValueError(f"member {seat.index} of {seat.n}, {seat.round_seconds} seconds a round: out of range")
        if seat.limits.batch is None or seat.limits.rounds is None:
            raise ValueError("the largest batch and the number of rounds must both be chosen before the ceremony")
        self._seat = seat
        self._backend = backend
        self._then = then
        self._batch, self._rounds = seat.limits.batch, seat.limits.rounds
        if self.limit_bytes >= 1 << 32:
            raise ValueError(
                f"an echo of {seat.n} members' contributions can take {self.limit_bytes} bytes, and a length has 4: "
                "choose smaller batches or fewer rounds"
            )

        self._start_ms: int | None = None
        self._records = 0
        self._heard: dict[bytes, Message] = {}
        self._names: dict[int, list[bytes]] = {}
        self._repeated: set[tuple[int, int]] = set()
        self._echoes: dict[int, Message] = {}
        parameters = powers.start(backend, batch=self._batch, rounds=self._rounds)
        self._branches: dict[bytes, Branch | None] = {_START: Branch(name=_START, messages=(), parameters=parameters)}
        self._early: list[tuple[int, bytes]] = []
        self._blamed: dict[tuple[int, str], None] = {}
        self._failure: str | None = None
        self._keys: KeyGenerationParty | None = None
        self._restore(seat.resume)

    @property
    def result(self) -> KeyMaterial | None:
        """Phase 2's. Raises CeremonyFailed if fewer than t contributions count, or when phase 2 does."""
        if self._failure is not None:
            raise CeremonyFailed(self._failure, blamed=self.blamed)
        if self._keys is None:
            return None
        try:
            material = self._keys.result
        except CeremonyFailed as failure:
            raise CeremonyFailed(str(failure), blamed=(*self.blamed, *failure.blamed)) from failure
        return material and replace(material, blamed=(*self.blamed, *material.blamed))

    @property
    def blamed(self) -> tuple[tuple[int, str], ...]:
        """Members and the rule each broke in phase 1, in the order found."""
        return tuple(self._blamed)

    def start(self, *, now: float) -> tuple[Effect, ...]:
        """Begin, or after a restart say everything again. Peers ignore what they have."""
        effects: list[Effect] = []
        if self._start_ms is None:
            self._start_ms = int(now * 1000)
            effects.append(Persist(kind=START_RECORD, key=self._seat.ceremony_id, value=u64(self._start_ms)))
        index = self._seat.index
        for name in self._names.get(index, ()):
            effects += self._contributed(name)
        if self._has_echoed:
            effects.append(Send(message=self._echoes[index].encode()))
        if self._keys is not None:
            effects += self._open(self._keys, now)
        return (*effects, *self._advance(now))

    def receive(self, sender: int, message: bytes, *, now: float) -> tuple[Effect, ...]:
        """Take a message from the channel of member `sender`. ValueError if that is not another member."""
        if not 1 <= sender <= self._seat.n or sender == self._seat.index:
            raise ValueError(f"no channel to member {sender}")
        effects = list(self._advance(now))
        if self._failure is None:
            try:
                effects += self._take(sender, message, now)
            except (Malformed, Rejected):
                self._blame(sender, "PTX-5")
        return (*effects, *self._advance(now))

    def tick(self, *, now: float) -> tuple[Effect, ...]:
        """Take the turns and end the rounds whose time has come."""
        return self._advance(now)

    # --- messages in and out

    def _take(self, sender: int, data: bytes, now: float) -> tuple[Effect, ...]:
        if data[:1] == u8(Round.KEYS):
            if self._keys is not None:
                return _wrapped(self._keys.receive(sender, data[1:], now=now))
            return (self._journal(sender, data),) if self._keep_early(sender, data) else ()
        if self._keys is not None:
            return ()
        message = self._authenticated(sender, data)
        return (self._journal(sender, data),) if self._keep(sender, message) else ()

    def _authenticated(self, channel: int, data: bytes) -> Message:
        if len(data) > self.limit_bytes:
            raise Malformed(f"a message of {len(data)} bytes, more than {self.limit_bytes}")
        message = Message.decode(data)
        if message.round is Round.ECHO and message.sender != channel:
            raise Rejected("PTX-5", f"an echo of member {message.sender}", member=channel)
        if not self._is_signed(message):
            raise Rejected("PTX-5", "the message is not signed by its sender", member=channel)
        return message

    @property
    def limit_bytes(self) -> int:
        """No honest message of phase 1 is longer, nor one of the first two rounds of `threshold.setup.dkg`."""
        size = 32 + powers.size_bytes(batch=self._batch, rounds=self._rounds) + powers.proof_bytes(rounds=self._rounds)
        return ENVELOPE_BYTES + 4 + VERSIONS_KEPT * self._seat.n * (4 + ENVELOPE_BYTES + size)

    def _is_signed(self, message: Message) -> bool:
        if not 1 <= message.sender <= self._seat.n:
            return False
        digest = message.digest(self._seat.ceremony_id)
        return self._seat.peers.verify(message.sender, digest, message.signature)

    def _keep(self, channel: int, message: Message) -> bool:
        """Store what came in time: an echo, a contribution and a second one that differs, and what others repeat.

        What comes after this member's echo cannot be shown to the others any more.
        """
        sender = message.sender
        if message.round is Round.ECHO:
            return self._echoes.setdefault(sender, message) is message
        if self._has_echoed:
            return False
        if sender == channel:
            return len(self._names.get(sender, ())) < VERSIONS_KEPT and self._add(message)
        # A branch has one contribution of a member. No other channel's messages use up its place.
        if (channel, sender) in self._repeated:
            return False
        self._repeated.add((channel, sender))
        return self._add(message)

    def _add(self, message: Message) -> bool:
        """Store a contribution. There is no limit here: whoever forwards one may have built on it."""
        name = message.digest(self._seat.ceremony_id)
        if name in self._heard:
            return False
        self._heard[name] = message
        names = self._names.setdefault(message.sender, [])
        names.append(name)
        if len(names) > 1:
            self._blame(message.sender, "PTX-6")
        for only in self._only_ones():
            self._judge(only)
        return True

    def _keep_early(self, sender: int, data: bytes) -> bool:
        """Store a message of phase 2, unread, until that begins here as well."""
        if (sender, data) in self._early:
            return False
        if len(data) > self.limit_bytes or sum(sender == member for member, _ in self._early) == EARLY_KEPT:
            raise Malformed(f"more messages of phase 2 than member {sender} can have made before phase 2")
        self._early.append((sender, data))
        return True

    def _journal(self, sender: int, data: bytes) -> Persist:
        key = self._seat.ceremony_id + u32(self._records)
        self._records += 1
        return Persist(kind=JOURNAL_RECORD, key=key, value=u16(sender) + data)

    def _speak(self, number: Round, payload: bytes) -> tuple[Effect, ...]:
        index = self._seat.index
        digest = message_digest(self._seat.ceremony_id, number, index, payload)
        message = Message(round=number, sender=index, payload=payload, signature=self._seat.signer.sign(digest))
        self._keep(index, message)
        data = message.encode()
        sent = self._contributed(digest) if number is Round.CONTRIBUTION else (Send(message=data),)
        return self._journal(index, data), *sent

    def _contributed(self, name: bytes) -> tuple[Effect, ...]:
        """This member's contribution, after those it builds on: others may have been shown different ones."""
        branch = self._branches[name]
        assert branch is not None
        return tuple(Send(message=message.encode()) for message in branch.messages)

    # --- the course of the ceremony

    def _deadline(self, turn: int) -> float:
        """When the time of member `turn` is over; n+1 is the echo's."""
        assert self._start_ms is not None
        return self._start_ms / 1000 + turn * self._seat.round_seconds

    @property
    def _has_echoed(self) -> bool:
        return self._seat.index in self._echoes

    def _have_spoken(self, members: Iterable[int], now: float) -> bool:
        """Whether each of them has contributed, well or not, and shown what it builds on, or missed its time."""
        return all(self._has_contributed(member) or now >= self._deadline(member) for member in members)

    def _has_contributed(self, member: int) -> bool:
        names = self._names.get(member, [])
        return len(names) > 1 or any(name in self._branches for name in names)

    def _advance(self, now: float) -> tuple[Effect, ...]:
        if self._start_ms is None or self._failure is not None:
            return ()
        if self._keys is not None:
            return _wrapped(self._keys.tick(now=now))
        index, n = self._seat.index, self._seat.n
        effects: list[Effect] = []
        if index not in self._names and self._have_spoken(range(1, index), now):
            effects += self._speak(Round.CONTRIBUTION, self._contribution())
        if not self._has_echoed and self._have_spoken(range(1, n + 1), now):
            effects += self._speak(Round.ECHO, self._echo())
        if self._has_echoed and (len(self._echoes) == n or now >= self._deadline(n + 1)):
            self._keys = self._conclude()
            if self._keys is not None:
                effects += self._open(self._keys, now)
        return tuple(effects)

    def _contribution(self) -> bytes:
        index = self._seat.index
        base = self._best(below=index)
        parameters, proof = powers.contribute(
            self._backend,
            base.parameters,
            ceremony_id=self._seat.ceremony_id,
            contributor=index,
            random=self._seat.random,
        )
        return Contribution(before=base.name, parameters=parameters, proof=proof).encode()

    def _echo(self) -> bytes:
        others = (names for member, names in sorted(self._names.items()) if member != self._seat.index)
        return encode_echo([self._heard[name] for names in others for name in names[:VERSIONS_KEPT]])

    def _conclude(self, records: tuple[Persist, ...] = ()) -> KeyGenerationParty | None:
        """Choose the parameters once all have forwarded what they heard, and make the party of phase 2.

        A function of the log, apart from who is blamed when. None if the ceremony has failed.
        """
        self._merge()
        for member in range(1, self._seat.n + 1):
            if member not in self._names:
                self._blame(member, "PTX-7")
        for name in self._only_ones():
            if name not in self._branches:
                self._blame(self._heard[name].sender, "PTX-8")
        best = self._best(below=self._seat.n + 1)
        if len(best.messages) < self._seat.t:
            self._failure = (
                f"{len(best.messages)} contributions count, {self._seat.t} are needed [PTX-10]; start a new attempt"
            )
            return None
        key_seat = replace(
            self._seat, ceremony_id=key_ceremony_id(self._seat.ceremony_id, best.parameters), resume=records
        )
        return self._then(key_seat, best.parameters)

    def _open(self, keys: KeyGenerationParty, now: float) -> tuple[Effect, ...]:
        """Start phase 2, or say everything in it again, and deliver what came early."""
        # Its rounds are counted from the latest end of this phase, which all have in common, not from each one's own.
        effects = list(keys.start(now=self._deadline(self._seat.n + 1)))
        for sender, data in self._early:
            effects += keys.receive(sender, data[1:], now=now)
        return _wrapped(effects)

    def _restore(self, records: Sequence[Persist]) -> None:
        """Run through an earlier life: the same messages in the same order, own ones as they were."""
        ceremony_id = self._seat.ceremony_id
        of_keys = []
        for record in sorted(records, key=lambda record: record.key):
            if record.kind == START_RECORD and record.key == ceremony_id:
                reader = Reader(record.value, "the record of the start")
                self._start_ms = reader.u64()
                reader.end()
            elif record.kind == JOURNAL_RECORD and record.key == ceremony_id + u32(self._records):
                self._records += 1
                self._replay(record.value)
            elif record.kind in (START_RECORD, JOURNAL_RECORD):
                raise ValueError(f"record {record.kind} {record.key.hex()} is another ceremony's or follows a gap")
            else:
                of_keys.append(record)
        if (self._records and self._start_ms is None) or (of_keys and not self._has_echoed):
            raise ValueError("records of this ceremony's first phase are missing: abandon it and start a new attempt")
        if of_keys:
            self._keys = self._conclude(tuple(of_keys))

    def _replay(self, record: bytes) -> None:
        sender, data = int.from_bytes(record[:2], "big"), record[2:]
        if data[:1] == u8(Round.KEYS):
            self._early.append((sender, data))
        else:
            self._keep(sender, Message.decode(data))

    # --- which contributions count

    def _merge(self) -> None:
        """Add what others forwarded. Nobody's echo of its own contribution counts: that would be speaking late."""
        for echoer, echo in sorted(self._echoes.items()):
            if echoer == self._seat.index:
                continue
            try:
                for message in decode_echo(echo.payload, n=self._seat.n):
                    self._check_forwarded(message, echoer)
                    self._add(message)
            except (Malformed, Rejected):
                self._blame(echoer, "PTX-9")

    def _check_forwarded(self, message: Message, echoer: int) -> None:
        if message.round is not Round.CONTRIBUTION or message.sender in (0, echoer) or message.sender > self._seat.n:
            raise Rejected("PTX-9", f"member {echoer} forwards what does not belong in its echo", member=echoer)
        if message not in self._heard.values() and not self._is_signed(message):
            raise Rejected("PTX-9", f"member {echoer} forwards a contribution without its signature", member=echoer)

    def _only_ones(self) -> list[bytes]:
        """The contributions of members that signed no other, as far as is known."""
        return [names[0] for names in self._names.values() if len(names) == 1]

    def _judge(self, name: bytes) -> None:
        """Find the branch that ends with this contribution, if all of it is here."""
        unjudged = []
        while name not in self._branches:
            if name not in self._heard:
                return
            unjudged.append(name)
            name = self._heard[name].payload[:32]
        for name in reversed(unjudged):
            self._branches[name] = self._branch(name)

    def _branch(self, name: bytes) -> Branch | None:
        """None if the contribution is not valid."""
        message = self._heard[name]
        member = message.sender
        try:
            made = Contribution.decode(message.payload, batch=self._batch, rounds=self._rounds)
            base = self._branches[made.before]
            if base is None or base.last_member >= member:
                raise Rejected("PTX-8", "it builds on what is not valid or on a later member's", member=member)
            powers.verify_contribution(
                self._backend,
                base.parameters,
                made.parameters,
                made.proof,
                ceremony_id=self._seat.ceremony_id,
                contributor=member,
                random=self._seat.random,
            )
        except Malformed:
            self._blame(member, "PTX-8")
            return None
        except Rejected as fault:
            self._blame(member, fault.rule)
            return None
        return Branch(name=name, messages=(*base.messages, message), parameters=made.parameters)

    def _best(self, *, below: int) -> Branch:
        """Of the branches that may count and end before this member: the longest, then the one with the smallest name.

        With one dishonest member all honest ones agree who signed two, though not on which: if they know different ones
        of a member, their echoes show two to all. And all know what a branch holds whose last member signed one: an
        honest one repeated it to all, and below a dishonest one's own there is nothing but honest ones'.
        """
        branches = [self._branches.get(name) for name in (_START, *self._only_ones())]
        allowed = [branch for branch in branches if branch is not None and branch.last_member < below]
        return min(allowed, key=lambda branch: (-len(branch.messages), branch.name))

    def _blame(self, member: int, rule: str) -> None:
        self._blamed[member, rule] = None


def _wrapped(effects: Iterable[Effect]) -> tuple[Effect, ...]:
    """Phase 2's effects, with the first byte of its messages."""
    return tuple(
        replace(effect, message=u8(Round.KEYS) + effect.message) if isinstance(effect, Send) else effect
        for effect in effects
    )
