"""Joint key generation of Pedersen's kind, with Feldman's commitments, over one source group. Sans-IO.

Every member deals a random secret; the key is the sum of the secrets that were dealt well. No one ever holds it.
Three times everyone speaks (hello, dealing, complaints) and everyone forwards what it heard; then members sign the
transcript, and the key counts once t of them have signed one transcript and passed a trial decryption.

`CeremonyParty` runs these rounds for whatever a `Ceremony` says is dealt; `Party` generates a key with them, and
`threshold.setup.reshare.Party` hands one on. What follows is about generating.

What a result establishes, if fewer than t members are dishonest: no fewer than t members together know the key or
can open with it; this member's share fits its verification key; and at least t members saw the same dealings,
none of them with a justified complaint, and the same keys.

What it does not:

* The key is not uniform. Who speaks last in the dealing round has seen the others' commitments and can choose its own
  contribution, or spoil it, to bias the key (Gennaro, Jarecki, Krawczyk, Rabin, J. Cryptology 2007). It can only add
  a multiple of the generator it knows, because of the proof of possession. Harmless for ElGamal and BLS (Gurkan et
  al., eprint 2021/005, "key-expressable" and "rekeyable"); that this carries over to the schemes here, whose keys
  are one such point used the same way, is our reasoning and no published theorem. Never draw public randomness from
  the key.
* Rounds are synchronous: round k ends when all have spoken, at the latest k * round_seconds after the start. If an
  honest member's messages come later than that, the attempt ends with fewer contributions or aborts. With one
  dishonest member, speaking and forwarding is Byzantine broadcast (Dolev and Strong 1983, two rounds); several who
  collude can show a message to some only, at the last moment. Members then derive different transcripts. That makes an
  attempt fail, or leaves out the members who saw otherwise, who get CeremonyFailed; it never makes a wrong key.
  Two transcripts could both reach t signatures only with 2t <= n + f; compare transcripts if t is that small.
* No forward secrecy. The record "dkg-secret" opens every share sent to this member, from traffic anyone may have
  recorded; so does the ephemeral key in a live Party. Erase both when the key share is stored. Polynomials are not
  kept at all: the dealer seals a share to itself, like to all others.
* A member that says no hello in time is dealt no share and gets CeremonyFailed, although a verification key
  for it exists. With fewer than n members heard, fewer than n can ever open.

Rules. "Signed": shown to anyone by signed bytes. "Local": what this member observed, and as good as its
channels, its clock and the assumption of synchrony.

DKG-1   a message is canonical, of bounded size, signed by the member its channel belongs to, and      local
        of a round in which that member has something to say
DKG-2   a member signs one message per round; who signs two in an echoed round is out as dealer         signed
DKG-3   a member says hello, deals, sends its complaints and confirms, each in time                     local
DKG-4   a hello is a point other than the identity with a proof of possession for this ceremony         signed
DKG-5   an echo holds messages of the round before, signed by members other than the one who forwards   signed
DKG-6   a dealing has t points, an ephemeral point, and proofs of possession for both secrets           signed
DKG-7   a dealing has a box for exactly the members that said hello. Otherwise it is out, without       local
        blame: who heard whom cannot be shown
DKG-8   every box opens to a scalar on the committed polynomial, else a complaint puts the dealer out   signed
DKG-9   a complaint proves its Diffie-Hellman point, and the share it discloses is bad. One that is     signed
        false has no effect but blame: the complainer's own dealing stays, since dropping it would
        only give the complainer another way to bias the key
DKG-10  at least t dealers qualify; neither the sum nor a verification key is the identity              -
DKG-11  a confirmation's signature on the transcript it names is valid                                  signed
DKG-12  its share of the trial decryption is valid                                                      signed
DKG-13  a transcript carries valid signatures of at least t members, for the threshold expected         -
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from threshold import entropy, sharing
from threshold.curve import ORDER, SCALAR_BYTES, Group
from threshold.curve.backend import Point
from threshold.encoding import Reader, u32, u64
from threshold.entropy import Random
from threshold.errors import Malformed, Rejected
from threshold.keys import CeremonyFailed, KeyMaterial, KeyShare, PublicMaterial, SelfTest
from threshold.proofs import verify_knowledge, verify_knowledge_batch
from threshold.sansio import Effect, PeerVerifier, Persist, Send, Signer
from threshold.setup.dkg_messages import (
    VERSIONS_KEPT,
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
    decode_signatures,
    encode_complaints,
    encode_echo,
    encode_signatures,
    message_digest,
)

MaterialBuilder = Callable[[bytes, tuple[bytes, ...]], PublicMaterial]
"""A scheme's way to make its public material from an encryption key and verification keys 1..n."""

EPHEMERAL_RECORD = "dkg-secret"
"""SECRET: start time and ephemeral key. Keep it as safe as a key share; erase it when the ceremony is over."""

JOURNAL_RECORD = "dkg-journal"
"""Not secret: signed messages, own and received, numbered from 0 in the order in which they took effect."""

_Claimant = TypeVar("_Claimant", Hello[Any], Dealing[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a ceremony came to, for all to see; the transcript as in `threshold.keys.KeyMaterial`."""

    public: PublicMaterial
    transcript: bytes


class CeremonyParty(Generic[Point]):
    """One peer of a ceremony; implements `threshold.keys.KeyGenerationParty`.

    ceremony         who deals, who receives, and what it comes to; its id was never used before: it separates
                     attempts, also those that failed
    index            1..peers
    secret           what this peer deals, or None for a random secret
    round_seconds    longest duration of each of the seven rounds; it must exceed a message's delay and the
                     difference of the peers' starts and clocks
    resume           this peer's Persist effects of an earlier run, any order, or empty

    `now` is in seconds on a clock that survives restarts, such as Unix time. Call `start` once, then
    `receive` for every message and `tick` now and then. `receive` never raises for what a message contains.

    A restart sends the same bytes again, and makes nothing twice that was ever sent: each own message is a record
    before it is sent, and so is all it depends on. The channel has to deliver a message again unless all
    effects of its `receive` were performed. Records restored from an older copy, or lost, void this: such a member
    may deal twice and be put out for it, so abandon the attempt.

    ValueError for parameters outside 1 <= t <= n <= 1024 and for records that are incomplete or another ceremony's;
    Malformed for damaged ones.
    """

    def __init__(
        self,
        *,
        ceremony: Ceremony[Point],
        index: int,
        secret: int | None,
        material: MaterialBuilder,
        signer: Signer,
        peers: PeerVerifier,
        random: Random,
        round_seconds: float,
        self_test: SelfTest,
        resume: Iterable[Persist],
    ) -> None:
        sharing.check_parameters(ceremony.n, ceremony.t)
        if not 1 <= index <= ceremony.peers or round_seconds <= 0:
            raise ValueError(
                f"peer {index} of {ceremony.peers}, {round_seconds} seconds a round: neither may be out of range"
            )
        self._ceremony = ceremony
        self._group = ceremony.group
        self._index = index
        self._secret = secret
        self._material = material
        self._signer = signer
        self._peers = peers
        self._random = random
        self._round_seconds = round_seconds
        self._self_test = self_test

        self._round: Round | None = None
        self._start_ms = 0
        self._ephemeral = 0
        self._records = 0
        self._log: dict[Round, dict[int, tuple[Message, ...]]] = {number: {} for number in Round}
        self._hellos: dict[int, Hello[Point]] = {}
        self._dealings: dict[int, Dealing[Point]] = {}
        self._shares: dict[int, int] = {}
        self._outcome: tuple[Agreement, PublicMaterial] | None = None
        self._blamed: dict[tuple[int, str], None] = {}
        self._failure: str | None = None
        self._announcement: Announcement | None = None
        self._result: KeyMaterial | None = None
        self._restore(sorted(resume, key=lambda record: record.key))

    @property
    def announcement(self) -> Announcement | None:
        """Set once t members have signed one transcript and all have spoken or the time is over.

        Raises CeremonyFailed if that can no longer happen."""
        self._raise_failure()
        return self._announcement

    @property
    def result(self) -> KeyMaterial | None:
        """The announcement with this peer's share, set with it. None for ever for a peer that is to hold none."""
        self._raise_failure()
        return self._result

    @property
    def blamed(self) -> tuple[tuple[int, str], ...]:
        """Peers and the rule each broke, in the order found. The module's table says what backs a rule."""
        return tuple(self._blamed)

    def start(self, *, now: float) -> tuple[Effect, ...]:
        """Begin, or after a restart say everything again. Peers ignore what they have."""
        effects: list[Effect] = []
        if not self._ephemeral:
            self._start_ms = int(now * 1000)
            self._ephemeral = entropy.scalar(self._random, ORDER)
            secret = u64(self._start_ms) + self._ephemeral.to_bytes(SCALAR_BYTES, "big")
            effects.append(Persist(kind=EPHEMERAL_RECORD, key=self._ceremony.ceremony_id, value=secret))
        if self._round is None:
            effects += self._speak(Round.HELLO)
        else:
            said = (self._log[number].get(self._index, ()) for number in Round if number <= self._round)
            effects += [Send(message=message.encode()) for versions in said for message in versions]
        return (*effects, *self._advance(now))

    def receive(self, sender: int, message: bytes, *, now: float) -> tuple[Effect, ...]:
        """Take a message from the channel of peer `sender`. ValueError if that is not another peer."""
        if not 1 <= sender <= self._ceremony.peers or sender == self._index:
            raise ValueError(f"no channel to member {sender}")
        effects = list(self._advance(now))
        if self._is_open:
            try:
                received = self._authenticated(sender, message)
            except (Malformed, Rejected):
                self._blame(sender, "DKG-1")
            else:
                if self._keep(received):
                    effects.append(self._journal(received))
        return (*effects, *self._advance(now))

    def tick(self, *, now: float) -> tuple[Effect, ...]:
        """End the rounds whose time is over."""
        return self._advance(now)

    # --- messages in and out

    def _authenticated(self, sender: int, data: bytes) -> Message:
        if len(data) > self._ceremony.limit_bytes:
            raise Malformed(f"a message of {len(data)} bytes, more than {self._ceremony.limit_bytes}")
        message = Message.decode(data)
        if message.sender != sender:
            raise Rejected("DKG-1", f"member {sender} sent a message of member {message.sender}", member=sender)
        if sender not in self._ceremony.speakers(message.round):
            raise Rejected("DKG-1", f"member {sender} has nothing to say in this round", member=sender)
        if not self._is_signed(message):
            raise Rejected("DKG-1", "the signature is not the sender's", member=sender)
        return message

    def _is_signed(self, message: Message) -> bool:
        digest = message.digest(self._ceremony.ceremony_id)
        return self._peers.verify(message.sender, digest, message.signature)

    def _keep(self, message: Message, *, forwarded: bool = False) -> bool:
        """Store what is new and in time: a first message for a round, or a second one that differs.

        What comes directly after its round cannot be shown to the others any more, so it does not count.
        """
        held = self._log[message.round].get(message.sender, ())
        if any(message.payload == version.payload for version in held):
            return False
        if held:
            self._blame(message.sender, "DKG-2")
        late = self._round is not None and message.round < self._round and not forwarded
        if late or len(held) == VERSIONS_KEPT:
            return False
        self._log[message.round][message.sender] = (*held, message)
        return True

    def _journal(self, message: Message) -> Persist:
        key = self._ceremony.ceremony_id + u32(self._records)
        self._records += 1
        return Persist(kind=JOURNAL_RECORD, key=key, value=message.encode())

    def _speak(self, number: Round) -> tuple[Effect, ...]:
        """Enter a round, with the message that its predecessors call for unless this peer has nothing to say."""
        if self._index not in self._ceremony.speakers(number):
            self._round = number
            return ()
        payload = self._compose(number)
        digest = message_digest(self._ceremony.ceremony_id, number, self._index, payload)
        message = Message(round=number, sender=self._index, payload=payload, signature=self._signer.sign(digest))
        self._enter(message)
        return self._journal(message), Send(message=message.encode())

    def _enter(self, own: Message) -> None:
        self._round = own.round
        self._log[own.round][self._index] = (own,)

    def _compose(self, number: Round) -> bytes:
        match number:
            case Round.HELLO:
                return Hello.make(self._ceremony, self._index, self._ephemeral, self._random).encode(self._group)
            case Round.DEALING:
                keys = {member: self._hellos[member].key for member in self._receivers}
                dealing = Dealing.make(self._ceremony, self._index, keys, self._random, secret=self._secret)
                return dealing.encode(self._group)
            case Round.COMPLAINT:
                return encode_complaints(self._group, tuple(self._complaints()))
            case Round.CONFIRM:
                return self._confirmation().encode()
            case Round.HELLO_ECHO | Round.DEALING_ECHO | Round.COMPLAINT_ECHO:
                heard = self._log[Round(number - 1)]
                others = (heard[member] for member in sorted(heard) if member != self._index)
                return encode_echo([message for versions in others for message in versions])

    # --- the course of the rounds

    @property
    def _is_open(self) -> bool:
        return self._failure is None and self._announcement is None

    @property
    def _is_member(self) -> bool:
        return self._index <= self._ceremony.n

    @property
    def _receivers(self) -> frozenset[int]:
        """The members that are dealt a share, since they said hello."""
        return frozenset(peer for peer in self._hellos if peer <= self._ceremony.n)

    def _is_over(self, number: Round, now: float) -> bool:
        deadline = self._start_ms / 1000 + number * self._round_seconds
        return len(self._log[number]) == len(self._ceremony.speakers(number)) or now >= deadline

    def _advance(self, now: float) -> tuple[Effect, ...]:
        effects: list[Effect] = []
        while self._is_open and self._round is not None and self._is_over(self._round, now):
            ended = self._round
            try:
                self._conclude(ended)
            except CeremonyFailed as failure:
                self._failure = str(failure)
            else:
                if ended < Round.CONFIRM:
                    effects += self._speak(Round(ended + 1))
        return tuple(effects)

    def _conclude(self, ended: Round) -> None:
        """Draw the consequences of a round that has ended. A function of the log, apart from who is blamed when.

        Raises CeremonyFailed."""
        if ended in (Round.HELLO_ECHO, Round.DEALING_ECHO, Round.COMPLAINT_ECHO):
            said = Round(ended - 1)
            self._merge(said, ended)
            self._blame_silence(said)
        match ended:
            case Round.HELLO_ECHO:
                self._accept_hellos()
            case Round.DEALING_ECHO:
                self._accept_dealings()
            case Round.COMPLAINT_ECHO:
                self._judge_complaints()
                self._agree()
            case Round.CONFIRM:
                self._blame_silence(ended)
                self._tally()

    def _restore(self, records: Iterable[Persist]) -> None:
        """Run through an earlier life: the same messages in the same order, own ones as they were."""
        for record in records:
            ceremony_id = self._ceremony.ceremony_id
            if record.kind == EPHEMERAL_RECORD and record.key == ceremony_id:
                reader = Reader(record.value, "the record of the ephemeral key")
                self._start_ms, self._ephemeral = reader.u64(), reader.scalar(ORDER)
                reader.end()
            elif record.kind == JOURNAL_RECORD and record.key == ceremony_id + u32(self._records):
                self._records += 1
                self._replay(Message.decode(record.value))
            else:
                raise ValueError(f"record {record.kind} {record.key.hex()} is another ceremony's or follows a gap")
        if self._round is not None and not self._ephemeral:
            raise ValueError(
                f"the record {EPHEMERAL_RECORD!r} is missing: abandon this ceremony and start a new attempt"
            )

    def _replay(self, message: Message) -> None:
        if message.sender != self._index:
            self._keep(message)
            return
        if not self._ephemeral:
            raise ValueError(
                f"the record {EPHEMERAL_RECORD!r} is missing: abandon this ceremony and start a new attempt"
            )
        # Only rounds that all speak in conclude anything, so none is missed where this peer was silent.
        if self._round is not None:
            self._conclude(self._round)
        self._enter(message)

    # --- what the rounds establish

    def _merge(self, said: Round, echo: Round) -> None:
        """Add what others forwarded. Nobody's echo of its own message counts: that would be speaking late."""
        for echoer, versions in sorted(self._log[echo].items()):
            if echoer == self._index:
                continue
            try:
                for message in decode_echo(versions[0].payload, n=self._ceremony.peers):
                    self._check_forwarded(message, said, echoer)
                    self._keep(message, forwarded=True)
            except (Malformed, Rejected):
                self._blame(echoer, "DKG-5")

    def _check_forwarded(self, message: Message, said: Round, echoer: int) -> None:
        speakers = self._ceremony.speakers(said)
        if message.round != said or message.sender == echoer or message.sender not in speakers:
            raise Rejected("DKG-5", f"member {echoer} forwards what does not belong in its echo", member=echoer)
        if message not in self._log[said].get(message.sender, ()) and not self._is_signed(message):
            raise Rejected("DKG-5", f"member {echoer} forwards a message without its signature", member=echoer)

    def _unique(self, number: Round) -> Iterator[tuple[int, bytes]]:
        """The payloads of members that signed exactly one message, in ascending order."""
        for member, versions in sorted(self._log[number].items()):
            if len(versions) == 1:
                yield member, versions[0].payload

    def _accept_hellos(self) -> None:
        hellos = {}
        for member, payload in self._unique(Round.HELLO):
            try:
                hellos[member] = Hello.decode(self._ceremony, member, payload)
            except Malformed:
                self._blame(member, "DKG-4")
        self._hellos = self._proven(hellos, "DKG-4")
        if self._index not in self._hellos:
            raise self._failed("this member's hello does not count: someone else signed one with its identity key")
        heard = len(self._receivers)
        if heard < self._ceremony.t:
            raise self._failed(f"only {heard} members said hello, {self._ceremony.t} are needed")

    def _accept_dealings(self) -> None:
        """Keep the dealings that are valid for all to see, and open this member's share of each."""
        dealings = {}
        receivers = self._receivers
        for dealer, payload in self._unique(Round.DEALING):
            if dealer not in self._hellos:
                continue
            try:
                dealing = Dealing.decode(self._ceremony, dealer, payload)
                self._ceremony.check_constant(dealer, dealing.commitment[0])
            except Malformed:
                self._blame(dealer, "DKG-6")
                continue
            except Rejected as fault:
                self._blame(dealer, fault.rule)
                continue
            if dealing.addressed == receivers:
                dealings[dealer] = dealing
        self._dealings = self._proven(dealings, "DKG-6")
        self._need_dealers(len(self._dealings))
        if self._is_member:
            self._open_boxes()

    def _open_boxes(self) -> None:
        own = self._hellos[self._index].key
        for dealer, dealing in self._dealings.items():
            shared = self._group.multiply(dealing.ephemeral, self._ephemeral)
            try:
                self._shares[dealer] = dealing.open(self._ceremony, self._index, own, shared)
            except Rejected as fault:
                self._blame(dealer, fault.rule)

    def _complaints(self) -> Iterator[Complaint[Point]]:
        for dealer, dealing in self._dealings.items():
            if dealer not in self._shares:
                yield Complaint.make(self._ceremony, self._index, self._ephemeral, dealing, self._random)

    def _judge_complaints(self) -> None:
        """Remove the dealers justly complained about, and those who signed two lists of complaints.

        A complaint about a dealing that does not count anyway is not looked at.
        """
        out: set[int] = set()
        for member, versions in sorted(self._log[Round.COMPLAINT].items()):
            if len(versions) > 1:
                out.add(member)
            if member not in self._hellos:
                continue
            for version in versions:
                try:
                    out |= self._justified(member, version.payload)
                except Malformed:
                    self._blame(member, "DKG-9")
        self._dealings = {dealer: dealing for dealer, dealing in self._dealings.items() if dealer not in out}

    def _justified(self, member: int, payload: bytes) -> set[int]:
        dealers = set()
        for complaint in decode_complaints(self._ceremony, payload):
            dealing = self._dealings.get(complaint.dealer)
            if dealing is None:
                continue
            try:
                complaint.judge(self._ceremony, member, self._hellos[member].key, dealing)
            except Rejected as fault:
                self._blame(member, fault.rule)
            else:
                self._blame(complaint.dealer, "DKG-8")
                dealers.add(complaint.dealer)
        return dealers

    def _agree(self) -> None:
        """Add up the qualified dealings: the key and everyone's verification key."""
        ceremony, group = self._ceremony, self._group
        self._need_dealers(len(self._dealings))
        weights = ceremony.weights(tuple(self._dealings))
        commitments = (dealing.commitment for dealing in self._dealings.values())
        summed = tuple(group.msm(column, weights) for column in zip(*commitments, strict=True))
        keys = [summed[0], *(sharing.committed_share(group, summed, member) for member in range(1, ceremony.n + 1))]
        if any(group.equal(key, group.identity) for key in keys):
            raise self._failed("the dealings add up to the identity [DKG-10]")
        encryption_key, *verification_keys = map(group.encode, keys)
        dealt = self._log[Round.DEALING]
        agreement = ceremony.agreement(
            {dealer: dealt[dealer][0].digest(ceremony.ceremony_id) for dealer in self._dealings},
            encryption_key,
            tuple(verification_keys),
        )
        self._outcome = agreement, self._material(encryption_key, tuple(verification_keys))

    def _key_share(self) -> KeyShare:
        """This member's share of the sum."""
        dealers = tuple(self._dealings)
        weights = self._ceremony.weights(dealers)
        secret = sum(w * self._shares[dealer] for w, dealer in zip(weights, dealers, strict=True)) % ORDER
        return KeyShare(self._index, secret.to_bytes(SCALAR_BYTES, "big"))

    def _confirmation(self) -> Confirmation:
        assert self._outcome is not None
        agreement, public = self._outcome
        digest = agreement.digest
        return Confirmation(
            agreement=digest,
            signature=self._signer.sign(digest),
            self_test=self._self_test.share(public, self._key_share()),
        )

    def _tally(self) -> None:
        """Count the confirmations of this peer's transcript, its own among them."""
        assert self._outcome is not None
        agreement, public = self._outcome
        digest = agreement.digest
        signatures: dict[int, bytes] = {}
        elsewhere = 0
        for member, versions in sorted(self._log[Round.CONFIRM].items()):
            try:
                confirmation = Confirmation.decode(versions[0].payload)
                if confirmation.agreement != digest:
                    elsewhere += 1
                    continue
                if not self._peers.verify(member, digest, confirmation.signature):
                    raise Rejected("DKG-11", "the transcript's signature is invalid", member=member)
            except (Malformed, Rejected):
                self._blame(member, "DKG-11")
                continue
            try:
                self._self_test.verify(public, member, confirmation.self_test)
            except (Malformed, Rejected):
                self._blame(member, "DKG-12")
                continue
            signatures[member] = confirmation.signature
        if len(signatures) < self._ceremony.t:
            raise self._failed(
                f"{len(signatures)} members confirmed this transcript, {self._ceremony.t} are needed; "
                f"{elsewhere} confirmed another one"
            )
        transcript = agreement.encode() + encode_signatures(signatures)
        self._announcement = Announcement(public=public, transcript=transcript)
        if self._is_member:
            self._result = KeyMaterial(
                public=public, share=self._key_share(), transcript=transcript, blamed=self.blamed
            )

    # --- blame

    def _proven(self, objects: Mapping[int, _Claimant], rule: str) -> dict[int, _Claimant]:
        """Those whose proofs of possession hold: checked together, and one by one only if that fails."""
        claims = {member: claimant.claims(self._ceremony) for member, claimant in objects.items()}
        statements, proofs = [], []
        for pairs in claims.values():
            for statement, proof in pairs:
                statements.append(statement)
                proofs.append(proof)
        if verify_knowledge_batch(self._group, statements, proofs, self._random):
            return dict(objects)
        proven = {}
        for member, claimant in objects.items():
            if all(verify_knowledge(self._group, statement, proof) for statement, proof in claims[member]):
                proven[member] = claimant
            else:
                self._blame(member, rule)
        return proven

    def _need_dealers(self, count: int) -> None:
        needed = self._ceremony.dealings_needed
        if count < needed:
            raise self._failed(f"only {count} dealings are valid, {needed} are needed [DKG-10]")

    def _blame(self, member: int, rule: str) -> None:
        self._blamed[member, rule] = None

    def _blame_silence(self, number: Round) -> None:
        for peer in self._ceremony.speakers(number):
            if peer not in self._log[number]:
                self._blame(peer, "DKG-3")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise CeremonyFailed(self._failure, blamed=self.blamed)

    def _failed(self, reason: str) -> CeremonyFailed:
        return CeremonyFailed(f"{reason}; start a new attempt", blamed=self.blamed)


class Party(CeremonyParty[Point]):
    """One member of a key generation. The arguments are those of `CeremonyParty`, with index 1..n."""

    def __init__(
        self,
        *,
        index: int,
        n: int,
        t: int,
        group: Group[Point],
        material: MaterialBuilder,
        ceremony_id: bytes,
        signer: Signer,
        peers: PeerVerifier,
        random: Random,
        round_seconds: float,
        self_test: SelfTest,
        resume: Iterable[Persist] = (),
    ) -> None:
        super().__init__(
            ceremony=Ceremony(ceremony_id=ceremony_id, n=n, t=t, group=group),
            index=index,
            secret=None,
            material=material,
            signer=signer,
            peers=peers,
            random=random,
            round_seconds=round_seconds,
            self_test=self_test,
            resume=resume,
        )


def verify_transcript(data: bytes, *, peers: PeerVerifier, t: int) -> tuple[Agreement, tuple[int, ...]]:
    """What was agreed, and the members that signed it.

    Establishes that at least t members named by `peers` signed these values, each after a ceremony in which it
    found them to hold. Not that the ceremony is the one expected: compare `ceremony_id`. Not that t of the
    signers are honest.

    Raises Malformed, or Rejected(DKG-13): other threshold, fewer than t signatures, or one that is invalid.
    """
    reader = Reader(data, "a ceremony transcript")
    agreement = Agreement.read(reader)
    agreement.check_dealers(n=agreement.n, t=agreement.t)
    return agreement, verify_signatures(reader, agreement, peers=peers, t=t)


def verify_signatures(reader: Reader, agreement: Agreement, *, peers: PeerVerifier, t: int) -> tuple[int, ...]:
    """The members that signed an agreement, from the end of its transcript. Raises as `verify_transcript`."""
    signatures = decode_signatures(reader, n=agreement.n)
    reader.end()
    if agreement.t != t:
        raise Rejected("DKG-13", f"the transcript is for a threshold of {agreement.t}, not {t}")
    if len(signatures) < t:
        raise Rejected("DKG-13", f"{len(signatures)} signatures on the transcript, {t} are needed")
    for member, signature in signatures.items():
        if not peers.verify(member, agreement.digest, signature):
            raise Rejected("DKG-13", f"member {member} did not sign this transcript", member=member)
    return tuple(signatures)
