"""Joint setup of simple-bte: members compute the powers of a tau that nobody knows, and check all of them. Sans-IO.

A number is shared on a polynomial of degree t'-1 with t' = floor((n+1)/2), so that 2t'-1 <= n members can multiply:
each deals the product of its two shares afresh, and everyone interpolates over the n dealers. The rounds are:

hello      each member's key for sealed boxes
deal       each deals a random number; tau is their combination
multiply   from tau^1..tau^m to tau^(2m), as often as it takes to reach tau^B
reshare    tau^(B+2)..tau^(2B) as tau^B * tau^k, and tau^1..tau^B dealt anew with independent polynomials of degree
           t-1: those shares are the key. tau^(B+1), which opens everything, is never shared or published
publish    the shares' images: in G2 of all powers, in G1 of the first two only. Everyone interpolates the parameters
           and checks them like a stranger would
confirm    signatures on what came out, and a trial decryption; the key counts once t members signed one transcript

What a result establishes, whoever cheated: the parameters obey SBT-20 to SBT-25, this member's share belongs to its
verification keys, which it made itself, and t members signed that they found the same.

What it establishes while fewer than t' members and fewer than t are dishonest: they do not know tau. For n = 4 that
is one member, for n = 7 three; with n <= 2 every member learns it. By dealing wrongly the dishonest can make other
combinations of powers appear in the images that the honest publish. But in an attempt that passes, every column of
images holds one value (MPC-8, SBT-24), and the 2B-1 values in G2 span just the 2B-1 powers that came out of them:
there is no room for another, such as tau^(B+1). This is our reasoning and no published theorem.

What it does not:

* Everyone is needed until the parameters are checked: any silence, malformed message or failed check ends the
  attempt. Its tau is discarded: whoever gives up says so, discloses nothing, and drops its shares.
* Wrong products, wrong shares and boxes that do not open are noticed, not traced. One member can so make every
  attempt fail without being blamed: leave out the suspected, or take the trusted dealer.
* tau is not uniform. Who publishes last has seen the powers, and can have another attempt by ending this one.
* Fewer than n signatures suffice, because the check covers all members: whoever is silent at the end holds shares
  that fit, and loses no more than its place. Who says that it gave up, because a publication was kept from it, ends
  the attempt for all: whoever kept it back could otherwise veto openings with one member less.
* Two transcripts could both reach t signatures only with 2t <= n + f, for f dishonest members. They then differ in
  verification keys of the dishonest alone, so neither is wrong, but they name different keys; compare transcripts if
  t is that small.
* No forward secrecy. The record "mpc-seed" opens every box sent to this member and repeats all that it drew. Erase
  the ceremony's records once the key share is stored or the attempt has failed: only then are the shares of degree
  t'-1 gone.

Rules, and what backs the blame, as in `threshold.setup.dkg`; "-" stands for none.

MPC-1   a message is canonical, of bounded size, and signed by the member its channel belongs to. One       local
        that is not is ignored, since it may be anyone's
MPC-2   a member signs one message per round                                                                signed
MPC-3   every member speaks in every round in time. An empty payload says that it gives up, without blame   local
MPC-4   a payload has the size of its round, and its points decode strictly                                 signed
MPC-5   a hello proves possession of its key, for this ceremony                                             signed
MPC-6   a payload names the parameters and all messages of the rounds before, as this member heard them     -
MPC-7   every box opens, to scalars                                                                         -
MPC-8   the images of each power lie on one polynomial of degree t'-1                                       -
MPC-9   the parameters obey the rules of `threshold.setup.punctured`                                        -
MPC-10  a confirmation's signature on the transcript it names is valid                                      signed
MPC-11  its share of the trial decryption is valid                                                          signed
MPC-12  a transcript carries valid signatures of at least t members, for the threshold expected             -
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from threshold import entropy, sharing
from threshold.curve import ORDER, SCALAR_BYTES, Backend
from threshold.encoding import Reader, u8, u16, u32, u64
from threshold.entropy import Random
from threshold.errors import Malformed, Rejected
from threshold.hashing import Tag, tagged_hash
from threshold.keys import CeremonyFailed, KeyMaterial, KeyShare, PublicMaterial, Seat, SelfTest
from threshold.polynomial import evaluate, lagrange_at_zero
from threshold.sansio import Effect, PeerVerifier, Persist, Send
from threshold.setup import punctured
from threshold.setup.dkg_messages import (
    Confirmation,
    decode_signatures,
    encode_signatures,
)
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
    message_digest,
    multiplication_threshold,
)
from threshold.symmetric import KEY_BYTES, AuthenticationFailed, derive_key, seal, unseal

SEED_RECORD = "mpc-seed"
"""SECRET: start time, and the seed of all that this member draws. Keep it as safe as a key share, and erase it."""

JOURNAL_RECORD = "mpc-journal"
"""Not secret while the seed is not known: signed messages, own and received, numbered from 0."""


class Party:
    """One member of the ceremony; implements `threshold.keys.KeyGenerationParty`.

    seat       `limits.batch` is B; `round_seconds` must exceed a message's delay and the difference of the members'
               starts and clocks. There are 5 + ceil(log2 B) rounds
    scheme     the number of simple-bte

    `now` is in seconds on a clock that survives restarts, such as Unix time. Call `start` once, then `receive` for
    every message and `tick` now and then. `receive` never raises for what a message contains.

    A restart sends the same bytes again: all that is random comes from one seed, which is a record before anything
    else happens, and each message is a record before it is sent or relied on. The channel has to deliver a
    message again unless all effects of its `receive` were performed. A record that was lost or is older voids this:
    abandon the attempt.

    ValueError for parameters out of range and for records that are incomplete or another ceremony's; Malformed for
    damaged ones.
    """

    def __init__(self, seat: Seat, backend: Backend, scheme: int, self_test: SelfTest) -> None:
        sharing.check_parameters(seat.n, seat.t)
        if not 1 <= seat.index <= seat.n or seat.round_seconds <= 0:
            raise ValueError(
                f"member {seat.index} of {seat.n}, {seat.round_seconds} seconds a round: neither may be out of range"
            )
        if seat.limits.batch is None or seat.limits.batch < 1:
            raise ValueError(f"the key needs a batch size of at least 1, not {seat.limits.batch}")
        self._ceremony = Ceremony(
            backend=backend,
            ceremony_id=seat.ceremony_id,
            scheme=scheme,
            n=seat.n,
            t=seat.t,
            batch=seat.limits.batch,
        )
        self._seat = seat
        self._self_test = self_test

        self._round = 0
        self._start_ms = 0
        self._records = 0
        self._seed = b""
        self._log: dict[int, dict[int, Message]] = {number: {} for number in range(HELLO, self._ceremony.confirm + 1)}
        self._view = self._ceremony.first_view
        self._hellos: dict[int, Hello] = {}
        self._powers: dict[int, int] = {}
        self._secrets: list[int] = []
        self._outcome: tuple[Agreement, PublicMaterial, KeyShare] | None = None
        self._blamed: dict[tuple[int, str], None] = {}
        self._failure: str | None = None
        self._result: KeyMaterial | None = None
        self._restore(sorted(seat.resume, key=lambda record: record.key))

    @property
    def result(self) -> KeyMaterial | None:
        """Set once t members have signed one transcript and all have spoken or the time is over.

        Raises CeremonyFailed if that can no longer happen."""
        if self._failure is not None:
            raise CeremonyFailed(self._failure, blamed=self.blamed)
        return self._result

    @property
    def blamed(self) -> tuple[tuple[int, str], ...]:
        """Members and the rule each broke, in the order found. The module's table says what backs a rule."""
        return tuple(self._blamed)

    def start(self, *, now: float) -> tuple[Effect, ...]:
        """Begin, or after a restart say everything again. Peers ignore what they have."""
        effects: list[Effect] = []
        if self._round == 0 and self._is_open:
            if not self._seed:
                self._start_ms, self._seed = int(now * 1000), self._seat.random(KEY_BYTES)
                record = u64(self._start_ms) + self._seed
                effects.append(Persist(kind=SEED_RECORD, key=self._ceremony.ceremony_id, value=record))
            effects += self._speak(HELLO)
        else:
            said = (self._log[number][self._seat.index] for number in range(HELLO, self._round + 1))
            effects += [Send(message=message.encode()) for message in said]
        return (*effects, *self._advance(now))

    def receive(self, sender: int, message: bytes, *, now: float) -> tuple[Effect, ...]:
        """Take a message from the channel of member `sender`. ValueError if that is not another member."""
        if not 1 <= sender <= self._ceremony.n or sender == self._seat.index:
            raise ValueError(f"no channel to member {sender}")
        effects = list(self._advance(now))
        if self._is_open:
            try:
                received = self._authenticated(sender, message)
            except (Malformed, Rejected):
                self._blame(sender, "MPC-1")
            else:
                if self._keep(received):
                    effects.append(self._journal(received))
                if self._failure is not None:
                    effects += self._speak(self._round + 1)
        return (*effects, *self._advance(now))

    def tick(self, *, now: float) -> tuple[Effect, ...]:
        """End the rounds whose time is over."""
        return self._advance(now)

    # --- messages in and out

    def _authenticated(self, sender: int, data: bytes) -> Message:
        message = Message.decode(self._ceremony, data)
        if message.sender != sender:
            raise Rejected("MPC-1", f"member {sender} sent a message of member {message.sender}", member=sender)
        if not self._seat.peers.verify(sender, message.digest(self._ceremony.ceremony_id), message.signature):
            raise Rejected("MPC-1", "the signature is not the sender's", member=sender)
        return message

    def _keep(self, message: Message) -> bool:
        """Store a first message. A second one that differs ends the attempt, unless its round is over."""
        held = self._log[message.round].setdefault(message.sender, message)
        if held.payload == message.payload:
            return held is message
        self._blame(message.sender, "MPC-2")
        if message.round < self._round or message.round == self._ceremony.confirm:
            return False
        self._fail(f"member {message.sender} signed two messages in round {message.round} [MPC-2]")
        return True

    def _journal(self, message: Message) -> Persist:
        key = self._ceremony.ceremony_id + u32(self._records)
        self._records += 1
        return Persist(kind=JOURNAL_RECORD, key=key, value=message.encode())

    def _speak(self, number: int) -> tuple[Effect, ...]:
        """Enter a round with the message that its predecessors call for."""
        payload, index = self._compose(number), self._seat.index
        digest = message_digest(self._ceremony.ceremony_id, number, index, payload)
        message = Message(round=number, sender=index, payload=payload, signature=self._seat.signer.sign(digest))
        self._enter(message)
        return self._journal(message), Send(message=message.encode())

    def _enter(self, own: Message) -> None:
        self._round = own.round
        self._log[own.round][self._seat.index] = own
        if own.round == self._ceremony.publish:
            self._powers.clear()

    def _compose(self, number: int) -> bytes:
        """The payload; empty once the attempt has failed."""
        ceremony = self._ceremony
        if self._failure is not None:
            return b""
        if number == HELLO:
            random = self._randomness(HELLO)
            secret = entropy.scalar(random, ORDER)
            return self._view + Hello.make(ceremony, self._seat.index, secret, random).encode(ceremony)
        if number < ceremony.publish:
            return self._view + b"".join(self._boxes(number))
        if number == ceremony.publish:
            return self._view + self._publication().encode(ceremony)
        return self._confirmation().encode()

    # --- the course of the rounds

    @property
    def _is_open(self) -> bool:
        return self._failure is None and self._result is None

    def _is_over(self, number: int, now: float) -> bool:
        deadline = self._start_ms / 1000 + number * self._seat.round_seconds
        return len(self._log[number]) == self._ceremony.n or now >= deadline

    def _advance(self, now: float) -> tuple[Effect, ...]:
        effects: list[Effect] = []
        while self._is_open and self._round > 0 and self._is_over(self._round, now):
            ended = self._round
            self._conclude(ended)
            if ended < self._ceremony.confirm:
                effects += self._speak(ended + 1)
        return tuple(effects)

    def _conclude(self, ended: int) -> None:
        """Draw the consequences of a round that has ended: a function of the log, so that a restart repeats it."""
        try:
            if ended == self._ceremony.confirm:
                self._tally()
                return
            bodies = self._bodies(ended)
            if ended == HELLO:
                self._accept_hellos(bodies)
            elif ended < self._ceremony.publish:
                self._combine(ended, bodies)
            else:
                self._agree(bodies)
        except Rejected as fault:
            if fault.member is not None:
                self._blame(fault.member, fault.rule)
            self._fail(str(fault))

    def _restore(self, records: Iterable[Persist]) -> None:
        """Run through an earlier life: the same messages in the same order, own ones as they were."""
        ceremony_id, seeded = self._ceremony.ceremony_id, False
        for record in records:
            if record.kind == SEED_RECORD and record.key == ceremony_id:
                reader = Reader(record.value, "the record of the seed")
                self._start_ms, self._seed, seeded = reader.u64(), reader.take(KEY_BYTES), True
                reader.end()
            elif record.kind == JOURNAL_RECORD and record.key == ceremony_id + u32(self._records) and seeded:
                self._records += 1
                self._replay(Message.decode(self._ceremony, record.value))
            else:
                raise ValueError(
                    f"record {record.kind} {record.key.hex()} is another ceremony's or follows a gap: "
                    "abandon this ceremony and start a new attempt"
                )

    def _replay(self, message: Message) -> None:
        if message.sender != self._seat.index:
            self._keep(message)
            return
        if self._round > 0 and self._is_open:
            self._conclude(self._round)
        self._enter(message)

    # --- what the rounds compute

    def _bodies(self, ended: int) -> dict[int, bytes]:
        """What members 1..n said, without their views, which are this member's. Brings the view up to date."""
        ceremony, said = self._ceremony, self._log[ended]
        silent = [member for member in range(1, ceremony.n + 1) if member not in said]
        for member in silent:
            self._blame(member, "MPC-3")
        if silent:
            raise Rejected("MPC-3", f"round {ended} ended without a word from members {silent}")
        bodies = {}
        for member in range(1, ceremony.n + 1):
            payload = said[member].payload
            if not payload:
                raise Rejected("MPC-3", f"member {member} gave up before round {ended}")
            if len(payload) != ceremony.payload_bytes(ended):
                raise Rejected("MPC-4", f"member {member}'s message in round {ended} has a wrong size", member=member)
            if payload[:VIEW_BYTES] != self._view:
                before = f"messages before round {ended}" if ended > HELLO else "parameters at the start"
                raise Rejected("MPC-6", f"member {member} names other {before}")
            bodies[member] = payload[VIEW_BYTES:]
        digests = (said[member].digest(ceremony.ceremony_id) for member in bodies)
        self._view = tagged_hash(Tag.MPC_TRANSCRIPT, b"view", self._view, *digests)
        return bodies

    def _accept_hellos(self, bodies: dict[int, bytes]) -> None:
        for member, body in bodies.items():
            try:
                hello = Hello.decode(self._ceremony, body)
            except Malformed as error:
                raise Rejected("MPC-4", f"member {member}'s hello: {error}", member=member) from error
            if not hello.is_proven(self._ceremony, member):
                raise Rejected("MPC-5", f"member {member} does not know its key's logarithm", member=member)
            self._hellos[member] = hello

    def _randomness(self, number: int) -> Random:
        """All that a round draws: a stream that only who knows the seed can tell from random bytes."""
        return entropy.deterministic(derive_key(Tag.MPC_RANDOMNESS, self._seed, self._ceremony.ceremony_id, u8(number)))

    def _polynomials(self, number: int) -> tuple[tuple[int, ...], ...]:
        """What this member deals in a round: a random number, or products of its shares, then shares anew."""
        ceremony, powers = self._ceremony, self._powers
        random, low = self._randomness(number), multiplication_threshold(ceremony.n)
        if number == DEAL:
            return (sharing.random_polynomial(low, random),)
        products = (powers[a] * powers[b] for a, b in ceremony.products(number))
        dealt = [sharing.random_polynomial(low, random, secret=product) for product in products]
        if number == ceremony.reshare:
            shares = (powers[i] for i in range(1, ceremony.batch + 1))
            dealt += (sharing.random_polynomial(ceremony.t, random, secret=share) for share in shares)
        return tuple(dealt)

    def _boxes(self, number: int) -> Iterator[bytes]:
        polynomials = self._polynomials(number)
        for recipient in self._ceremony.others(self._seat.index):
            numbers = (evaluate(f, recipient, ORDER).to_bytes(SCALAR_BYTES, "big") for f in polynomials)
            yield seal(self._box_key(number, self._seat.index, recipient), b"".join(numbers), b"")

    def _box_key(self, number: int, dealer: int, recipient: int) -> bytes:
        """From the Diffie-Hellman point of this member and the other one."""
        group, own = self._ceremony.backend.g1, self._seat.index
        other = dealer if recipient == own else recipient
        secret = entropy.scalar(self._randomness(HELLO), ORDER)
        keys = (group.encode(self._hellos[member].key) for member in (dealer, recipient))
        shared = group.encode(group.multiply(self._hellos[other].key, secret))
        return derive_key(
            Tag.MPC_SHARE_KEY, shared, self._ceremony.ceremony_id, u8(number), u16(dealer), u16(recipient), *keys
        )

    def _open(self, number: int, dealer: int, body: bytes) -> list[int]:
        """The numbers that a dealer sealed to this member."""
        ceremony, own = self._ceremony, self._seat.index
        size, place = ceremony.box_bytes(number), own - 1 - (dealer < own)
        box = body[place * size : (place + 1) * size]
        try:
            reader = Reader(unseal(self._box_key(number, dealer, own), box, b""), "a box")
            return [reader.scalar(ORDER) for _ in range(ceremony.numbers(number))]
        except (AuthenticationFailed, Malformed) as error:
            raise Rejected("MPC-7", f"member {dealer}'s box for member {own} in round {number}: {error}") from error

    def _combine(self, number: int, bodies: dict[int, bytes]) -> None:
        """This member's shares of what the round computed: everyone's numbers, interpolated at zero."""
        ceremony, own = self._ceremony, self._seat.index
        dealt = [
            [evaluate(f, own, ORDER) for f in self._polynomials(number)]
            if dealer == own
            else self._open(number, dealer, body)
            for dealer, body in bodies.items()
        ]
        factors = lagrange_at_zero(tuple(bodies), ORDER)
        shares = [
            sum(factor * value for factor, value in zip(factors, column, strict=True)) % ORDER
            for column in zip(*dealt, strict=True)
        ]
        if number == DEAL:
            self._powers[1] = shares[0]
            return
        products = ceremony.products(number)
        self._powers |= {a + b: share for (a, b), share in zip(products, shares, strict=False)}
        self._secrets = shares[len(products) :]

    def _publication(self) -> Publication:
        backend, batch = self._ceremony.backend, self._ceremony.batch
        image = punctured.images(backend.name)
        return Publication(
            first=tuple(backend.g1.multiply(backend.g1.generator, self._powers[i]) for i in (1, 2)[:batch]),
            verification_keys=tuple(map(image, self._secrets)),
            higher=tuple(image(self._powers[i]) for i in range(batch + 2, 2 * batch + 1)),
        )

    def _agree(self, bodies: dict[int, bytes]) -> None:
        ceremony = self._ceremony
        published = []
        for member, body in bodies.items():
            try:
                published.append(Publication.decode(ceremony, body))
            except Malformed as error:
                raise Rejected("MPC-4", f"member {member}'s images: {error}", member=member) from error
        try:
            powers = assemble(ceremony, published, self._view)
        except Rejected as fault:
            rule = "MPC-8" if fault.rule == "MPC-8" else "MPC-9"
            raise Rejected(rule, f"the parameters do not hold together: {fault}") from fault
        public = punctured.material(ceremony.scheme, ceremony.t, powers, ceremony.backend)
        agreement = Agreement(
            ceremony_id=ceremony.ceremony_id,
            scheme=ceremony.scheme,
            n=ceremony.n,
            t=ceremony.t,
            batch=ceremony.batch,
            view=self._view,
            encryption_key=public.encryption_key,
            parameter_digest=public.parameter_digest,
            verification_keys=public.verification_keys,
        )
        secret = b"".join(share.to_bytes(SCALAR_BYTES, "big") for share in self._secrets)
        self._outcome = agreement, public, KeyShare(self._seat.index, secret)

    def _confirmation(self) -> Confirmation:
        assert self._outcome is not None
        agreement, public, key_share = self._outcome
        digest = agreement.digest
        return Confirmation(
            agreement=digest,
            signature=self._seat.signer.sign(digest),
            self_test=self._self_test.share(public, key_share),
        )

    def _tally(self) -> None:
        """Count the confirmations of this member's transcript, its own among them."""
        assert self._outcome is not None
        agreement, public, key_share = self._outcome
        digest = agreement.digest
        signatures: dict[int, bytes] = {}
        gave_up: list[int] = []
        elsewhere = 0
        for member in range(1, agreement.n + 1):
            message = self._log[self._round].get(member)
            if message is None:
                self._blame(member, "MPC-3")
                continue
            if not message.payload:
                gave_up.append(member)
                continue
            try:
                confirmation = Confirmation.decode(message.payload)
            except Malformed:
                self._blame(member, "MPC-4")
                continue
            if confirmation.agreement != digest:
                elsewhere += 1
                continue
            if not self._seat.peers.verify(member, digest, confirmation.signature):
                self._blame(member, "MPC-10")
                continue
            try:
                self._self_test.verify(public, member, confirmation.self_test)
            except (Malformed, Rejected):
                self._blame(member, "MPC-11")
                continue
            signatures[member] = confirmation.signature
        if gave_up:
            self._fail(f"member {gave_up[0]} has no share: it did not get every publication, or they did not fit")
            return
        if len(signatures) < agreement.t:
            self._fail(
                f"{len(signatures)} members confirmed this transcript, {agreement.t} are needed; "
                f"{elsewhere} confirmed another one"
            )
            return
        self._result = KeyMaterial(
            public=public,
            share=key_share,
            transcript=agreement.encode() + encode_signatures(signatures),
            blamed=self.blamed,
        )
        self._forget()

    def _blame(self, member: int, rule: str) -> None:
        self._blamed[member, rule] = None

    def _fail(self, reason: str) -> None:
        self._failure = f"{reason}; start a new attempt"
        self._forget()

    def _forget(self) -> None:
        """What is not needed any more, in particular the shares of degree t'-1 and what would repeat them."""
        self._seed, self._outcome = b"", None
        self._powers.clear()
        self._secrets = []


def verify_transcript(data: bytes, *, peers: PeerVerifier, t: int) -> tuple[Agreement, tuple[int, ...]]:
    """What was agreed, and the members that signed it.

    Establishes that at least t members named by `peers` signed these values, each after it had checked the parameters.
    Not that the ceremony or the key is the one expected: compare `ceremony_id`, and `parameter_digest` with that of the
    public material. Not that t of the signers are honest.

    Raises Malformed, or Rejected(MPC-12): other threshold, fewer than t signatures, or one that is invalid.
    """
    reader = Reader(data, "a setup transcript")
    agreement = Agreement.read(reader)
    signatures = decode_signatures(reader, n=agreement.n)
    reader.end()
    if agreement.t != t:
        raise Rejected("MPC-12", f"the transcript is for a threshold of {agreement.t}, not {t}")
    if len(signatures) < t:
        raise Rejected("MPC-12", f"{len(signatures)} signatures on the transcript, {t} are needed")
    for member, signature in signatures.items():
        if not peers.verify(member, agreement.digest, signature):
            raise Rejected("MPC-12", f"member {member} did not sign this transcript", member=member)
    return agreement, tuple(signatures)
