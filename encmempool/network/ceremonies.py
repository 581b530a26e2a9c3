"""Key ceremonies between members on separate machines: what they say to each other, and each one's desk. No sockets.

An operator signs a plan and hands it to everyone it names; from there on members need nobody but each other. A desk
runs the scheme's own party, writes what it must not forget before anything leaves, signs what it sends, and sends again
until the other has it. What comes out is this member's share in its home, and the public part for all to see.

The first key set follows from genesis and key, so every member derives it, signs it and collects the others'
signatures until the network is in its home. A member signs one of a genesis: if that one stays without enough
signatures, the network starts from a new genesis. A later key set needs a start, which comes from outside; the desk
says whether the rest of it is what its ceremony made.

What a member's disk holds of a running ceremony is sealed with a key from its identity and removed at the end. That
protects a copied file; whoever has the identity as well reads it. Nothing protects against an old copy put back: such a
member may say two things in one round and be put out for it, so abandon the attempt.

A member that comes too late for its parts of a ceremony, or loses its journal, ends without a share. The others go on
if they are enough; it gets one when the key is shared anew.

Requirements:
NET-21  a plan is signed by an operator that this member's configuration lists
NET-22  a plan names the network in this home, if there is one, and a genesis that a ledger can start from
NET-23  a plan is for the epoch after the newest key set here and names that as predecessor; the first names none
NET-24  a plan can be carried out: scheme, threshold, limits, peers and their order fit each other, genesis and
        predecessor
NET-25  a plan names this member, and is opened in time
NET-26  one ceremony at a time, no id twice, and none for an epoch once this member has signed, or is about to sign,
        that epoch's key set
NET-27  a message belongs to a ceremony that this member has opened
NET-28  a message is signed by the peer that it names as its sender, and is for this member or for all
NET-29  a member signs one key set in a ceremony, the first one, and it is the one that follows from what all made
NET-30  a successor is signed only if it is what the newest ceremony for its epoch made, of those that did not fail,
        under the plan's sequencer
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Protocol, cast

from encmempool.errors import Conflict, EnvironmentProblem, Rejected, StorageError
from encmempool.genesis import check as check_genesis
from encmempool.home import Home, Password
from encmempool.identity import Identity, recover_signer
from encmempool.keysets import (
    DISTRIBUTED,
    Committee,
    default_threshold,
    first_key_set,
    public_material,
    sign_key_set,
    signatures_needed,
    successor_key_set,
)
from encmempool.network.ceremony import Addresses, ceremony_id, check_committee
from encmempool.ordering import Policy
from encmempool.ssz import U8, U16, U32, U64, Address, ByteList, Hash, Limit, Signature, SszObject
from encmempool.store import DatabaseStore
from encmempool.types import MAX_KEY_BYTES, MAX_MEMBERS, ZERO_HASH, Genesis, KeySet, signing_digest
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.encoding import u16, u32, u64
from threshold.entropy import Random
from threshold.errors import ThresholdError
from threshold.hashing import Tag, tagged_hash
from threshold.keys import (
    CeremonyFailed,
    KeyGenerationParty,
    KeyMaterial,
    KeyShare,
    Limits,
    PublicMaterial,
    ResharingSeat,
    Seat,
    parameter_digest,
)
from threshold.sansio import Effect, Persist, Send, Signer
from threshold.schemes.base import ResharingScheme, Scheme
from threshold.schemes.registry import load_scheme, scheme_name
from threshold.setup import contributions
from threshold.setup.dkg import CeremonyParty
from threshold.symmetric import KEY_BYTES, derive_key, seal, unseal

ROLE = "member"
MAX_URL_BYTES = 256
MAX_MESSAGE_BYTES = 1 << 28
MAX_TRANSCRIPT_BYTES = 1 << 20
MAX_ROUND_MS = 3_600_000
MAX_PEERS = 2 * MAX_MEMBERS
MAX_BLAMED = 1 << 12
MAX_FAILURE_BYTES = 1 << 10

RETRY_S = 1.0
LONGEST_RETRY_S = 15.0


# --- what travels ----------------------------------------------------------------------------------------------------


class Kind(IntEnum):
    """What a ceremony is for."""

    GENERATE = 1
    RESHARE = 2


class Purpose(IntEnum):
    """What a message is about."""

    PARTY = 1
    """The scheme's own ceremony."""
    FIRST_KEY_SET = 2
    """The sender's signature of the first key set."""


class Phase(IntEnum):
    RUNNING = 1
    DONE = 2
    FAILED = 3


@dataclass(frozen=True, kw_only=True)
class CeremonyPeer(SszObject):
    """`holder` is 1 for one who deals its share of the key that is handed on."""

    address: Address
    url: Annotated[bytes, ByteList(MAX_URL_BYTES)]
    holder: U8


def _scheme(number: int, backend: str = DEFAULT_BACKEND) -> Scheme:
    """That of a plan, which may come from anybody. Rejected under NET-24 for a number that none has."""
    try:
        return load_scheme(scheme_name(number), backend)
    except ValueError as error:
        raise Rejected("NET-24", f"the plan names an {error}") from error


@dataclass(frozen=True, kw_only=True)
class CeremonyPlan(SszObject):
    """What an operator asks members to do.

    n, t           of the next committee
    batch_limit    of the next key set, and what the key allows where its size depends on it
    rounds         that the key opens, 0 where that is not limited
    sequencer      of the next key set
    attempt        a number that no attempt had before
    peers          members 1..n of the next committee, then those who leave and deal
    round_ms       the longest a round waits for a member
    open_by_ms     a plan that comes later is refused: nobody can begin an old one again
    """

    genesis: Genesis
    epoch: U64
    kind: U8
    scheme: U8
    n: U16
    t: U16
    reduced_threshold: U8
    batch_limit: U32
    rounds: U32
    sequencer: Address
    attempt: U64
    predecessor: Hash
    peers: Annotated[tuple[CeremonyPeer, ...], Limit(MAX_PEERS)]
    round_ms: U32
    open_by_ms: U64

    @property
    def members(self) -> tuple[bytes, ...]:
        return tuple(peer.address for peer in self.peers[: self.n])

    @property
    def ceremony_id(self) -> bytes:
        """GEN-13, or what a resharing has in place of it. Rejected under NET-24 for an unknown scheme."""
        if self.kind == Kind.RESHARE:
            addresses = b"".join(peer.address for peer in self.peers)
            return tagged_hash(
                Tag.CEREMONY_ID, self.predecessor, addresses, u16(self.n), u16(self.t), u64(self.attempt)
            )
        scheme = _scheme(self.scheme)
        return ceremony_id(
            self.genesis.root, scheme, epoch=self.epoch, members=self.members, t=self.t, attempt=self.attempt
        )


@dataclass(frozen=True, kw_only=True)
class SignedPlan(SszObject):
    plan: CeremonyPlan
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class CeremonyMessage(SszObject):
    """`sender` and `recipient` are peers, counted from 1; recipient 0 is all of them."""

    ceremony_id: Hash
    sender: U16
    recipient: U16
    purpose: U8
    data: Annotated[bytes, ByteList(MAX_MESSAGE_BYTES)]


@dataclass(frozen=True, kw_only=True)
class SignedCeremonyMessage(SszObject):
    message: CeremonyMessage
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class CeremonyBlame(SszObject):
    member: U16
    rule: Annotated[bytes, ByteList(16)]


@dataclass(frozen=True, kw_only=True)
class CeremonyResult(SszObject):
    """The public part of what a ceremony made, the same for all. The parameters are named by their digest."""

    scheme: U8
    t: U16
    encryption_key: Annotated[bytes, ByteList(MAX_KEY_BYTES)]
    verification_keys: Annotated[tuple[Annotated[bytes, ByteList(MAX_KEY_BYTES)], ...], Limit(MAX_MEMBERS)]
    parameter_digest: Hash
    setup_kind: U8
    setup_privacy: U16

    def public(self, parameters: bytes) -> PublicMaterial:
        """ValueError for other parameters."""
        if parameter_digest(parameters) != self.parameter_digest:
            raise ValueError("the parameters are not those of the ceremony's key")
        return PublicMaterial(
            scheme=self.scheme,
            threshold=self.t,
            encryption_key=self.encryption_key,
            verification_keys=self.verification_keys,
            parameters=parameters,
        )


@dataclass(frozen=True, kw_only=True)
class CeremonyState(SszObject):
    """How far one member is.

    round         of the scheme's ceremony that this member spoke in last
    blamed        as far as this member saw it
    result        once it is done
    signature     this member's, of the first key set
    signatures    of the first key set, by different members, that this member has
    transcript    once it is done: what was agreed, with those signatures of members that this one saw, at least t
    """

    ceremony_id: Hash
    epoch: U64
    phase: U8
    round: U16
    blamed: Annotated[tuple[CeremonyBlame, ...], Limit(MAX_BLAMED)]
    failure: Annotated[bytes, ByteList(MAX_FAILURE_BYTES)]
    result: Annotated[tuple[CeremonyResult, ...], Limit(1)]
    signature: Annotated[tuple[Signature, ...], Limit(1)]
    signatures: U16
    transcript: Annotated[bytes, ByteList(MAX_TRANSCRIPT_BYTES)]


# --- plans -----------------------------------------------------------------------------------------------------------


def sign_plan(plan: CeremonyPlan, operator: Signer) -> SignedPlan:
    return SignedPlan(plan=plan, signature=operator.sign(signing_digest(plan, plan.genesis.root)))


def check_plan(plan: CeremonyPlan, before: KeySet | None, *, backend: str = DEFAULT_BACKEND) -> Scheme:
    """NET-22 to NET-24, as far as the network's newest key set tells: None before the first. Malformed or Rejected."""
    check_genesis(plan.genesis)
    epoch, predecessor = (0, ZERO_HASH) if before is None else (before.epoch, before.root)
    if before is not None and before.genesis_root != plan.genesis.root:
        raise Rejected("NET-22", "the plan is for another network")
    if plan.epoch != epoch + 1 or plan.predecessor != predecessor:
        raise Rejected(
            "NET-23",
            f"the plan is for epoch {plan.epoch}; the newest key set here is that of epoch {epoch}, or another",
        )
    try:
        scheme = _scheme(plan.scheme, backend)
        _check_numbers(plan, before, scheme)
        check_committee(scheme, plan.n, plan.t, reduced_allowed=bool(plan.reduced_threshold))
    except ValueError as error:
        raise Rejected("NET-24", str(error)) from error
    return scheme


def _check_numbers(plan: CeremonyPlan, before: KeySet | None, scheme: Scheme) -> None:
    """ValueError for what does not fit together."""
    info, addresses = scheme.info, [peer.address for peer in plan.peers]
    if plan.kind not in set(Kind):
        raise ValueError(f"there is no kind {plan.kind} of ceremony")
    if not 1 <= plan.n <= min(len(addresses), MAX_MEMBERS) or len(set(addresses)) != len(addresses):
        raise ValueError(f"{len(addresses)} peers, each once, for {plan.n} members")
    if not all(peer.url and peer.url.isascii() for peer in plan.peers):
        raise ValueError("every peer has a URL, in ASCII")
    if not 1 <= plan.round_ms <= MAX_ROUND_MS:
        raise ValueError(f"a round lasts between 1 and {MAX_ROUND_MS} ms")
    if plan.reduced_threshold != int(plan.t < default_threshold(plan.n)):
        raise ValueError("the plan has to say whether its threshold is below the default")
    if bool(plan.rounds) != info.limits_rounds:
        raise ValueError(f"a {info.name} key {'needs' if info.limits_rounds else 'has no'} number of rounds")
    if not 1 <= plan.batch_limit <= plan.genesis.batch_limit:
        raise ValueError(f"the batch limit lies between 1 and the genesis' {plan.genesis.batch_limit}")
    if (before or plan.genesis).policy_id == Policy.SHUFFLE and not info.hides:
        raise ValueError(f"the shuffle policy needs an encrypting scheme: with {info.name} the seed is known")
    if plan.kind == Kind.RESHARE:
        _check_handover(plan, before, scheme)
    elif len(addresses) != plan.n or any(peer.holder for peer in plan.peers):
        raise ValueError("only members take part in making a key, and nobody holds one yet")
    if before is None:
        fixed = (plan.genesis.members, plan.genesis.sequencer, plan.genesis.batch_limit)
        if (plan.members, plan.sequencer, plan.batch_limit) != fixed:
            raise ValueError("the first committee has the members, sequencer and batch limit of the genesis")


def _check_handover(plan: CeremonyPlan, before: KeySet | None, scheme: Scheme) -> None:
    if before is None or not scheme.info.reshares:
        raise ValueError("there is no key that could be handed on")
    if (plan.scheme, plan.batch_limit, plan.rounds) != (before.scheme, before.batch_limit, before.rounds):
        raise ValueError("a key that is handed on keeps its scheme, batch limit and rounds")
    if any(peer.holder > 1 or (peer.holder and peer.address not in before.members) for peer in plan.peers):
        raise ValueError("who deals a share is a member of the predecessor")
    if not all(peer.holder for peer in plan.peers[plan.n :]):
        raise ValueError("who leaves takes part only to deal")
    if sum(peer.holder for peer in plan.peers) < before.t:
        raise ValueError(f"{before.t} holders at least have to deal")


def key_set_of_first(plan: CeremonyPlan, public: PublicMaterial) -> KeySet:
    """The key set of epoch 1 that every member derives from plan and key."""
    privacy = _scheme(plan.scheme).setup_privacy(plan.n, plan.t)
    return first_key_set(plan.genesis, public, setup_kind=DISTRIBUTED, setup_privacy=privacy, rounds=plan.rounds)


def key_set_of_successor(
    plan: CeremonyPlan, public: PublicMaterial, before: KeySet, *, start: tuple[int, bytes, int]
) -> KeySet:
    """The key set after `before`, all of it but its start being the plan's and the ceremony's. `start`: KEY-9."""
    setup_kind, setup_privacy = _setup(plan, before)
    key_set = successor_key_set(
        before,
        public,
        members=plan.members,
        start=start,
        setup_kind=setup_kind,
        setup_privacy=setup_privacy,
        batch_limit=plan.batch_limit,
        rounds=plan.rounds,
    )
    return replace(key_set, sequencer=plan.sequencer)


def _setup(plan: CeremonyPlan, before: KeySet | None) -> tuple[int, int]:
    """Setup kind and privacy of the next key set."""
    if plan.kind == Kind.RESHARE and before is not None:
        return before.setup_kind, min(before.setup_privacy, plan.t)
    return DISTRIBUTED, _scheme(plan.scheme).setup_privacy(plan.n, plan.t)


# --- the desk --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message for one peer, counted from 1. It comes again until `CeremonyDesk.delivered` is told of it."""

    peer: int
    url: str
    message: SignedCeremonyMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What a ceremony made for an epoch; this member's share is in the home, unless it only left.

    index    this member's in the next committee, or None for one who leaves
    """

    plan: CeremonyPlan
    ceremony_id: bytes
    public: PublicMaterial
    index: int | None


class _Party(KeyGenerationParty, Protocol):
    @property
    def blamed(self) -> tuple[tuple[int, str], ...]: ...


@dataclass(kw_only=True)
class _Entry:
    outgoing: Outgoing
    due: float = 0.0
    pause: float = RETRY_S


class _Outbox:
    """What peers have not acknowledged. Each entry is due at once, and again after growing pauses."""

    def __init__(self) -> None:
        self._entries: dict[tuple[bytes, int, bytes], _Entry] = {}

    def add(self, outgoing: Outgoing) -> None:
        self._entries.setdefault(_name(outgoing), _Entry(outgoing=outgoing))

    def remove(self, outgoing: Outgoing) -> None:
        self._entries.pop(_name(outgoing), None)

    def take_due(self, now: float) -> tuple[Outgoing, ...]:
        due = [entry for entry in self._entries.values() if entry.due <= now]
        for entry in due:
            entry.due = now + entry.pause
            entry.pause = min(2 * entry.pause, LONGEST_RETRY_S)
        return tuple(entry.outgoing for entry in due)

    def hasten(self, name: bytes, peer: int, now: float) -> None:
        """A peer that was heard is there again."""
        for (ceremony, to, _), entry in self._entries.items():
            if (ceremony, to) == (name, peer):
                entry.due, entry.pause = min(entry.due, now + RETRY_S), RETRY_S

    def drop_party_messages(self, name: bytes) -> None:
        for at, entry in list(self._entries.items()):
            if at[0] == name and entry.outgoing.message.message.purpose == Purpose.PARTY:
                del self._entries[at]


def _name(outgoing: Outgoing) -> tuple[bytes, int, bytes]:
    message = outgoing.message.message
    return message.ceremony_id, outgoing.peer, message.root


@dataclass(kw_only=True)
class _Ceremony:
    """One that this member has opened. `closed` is its last state, None while it runs."""

    plan: CeremonyPlan
    name: bytes
    index: int
    closed: CeremonyState | None = None
    signatures: dict[int, bytes] = field(default_factory=dict)

    @property
    def expires(self) -> float:
        """When nobody waits for a message any more: no scheme has more rounds."""
        return self.plan.open_by_ms / 1000 + (self.plan.n + 32) * self.plan.round_ms / 1000

    @property
    def result(self) -> CeremonyResult | None:
        return self.closed.result[0] if self.closed is not None and self.closed.result else None


@dataclass(kw_only=True)
class _Run:
    """The live part of a ceremony. Without a party it is made from the journal when it is next needed."""

    ceremony: _Ceremony
    journal: DatabaseStore
    party: _Party | None = None
    last: SignedCeremonyMessage | None = None
    round: int = 0


_SEALED = "sealed"
_PLAN = "ceremony-plan"
_STATE = "ceremony-state"
_PARTING = "ceremony-parting"
_SIGNATURE = "ceremony-signature"
_SETTLED = "ceremony-settled"


class CeremonyDesk:
    """A member's part in key ceremonies. One thread owns it; it touches nothing but the home.

    identity     this member's, which is among the plans' peers
    operators    addresses whose plans are followed

    `now` is in seconds on a clock that survives restarts, such as Unix time. Every call returns what has to be sent;
    call `tick` a few times a second. A call that returned is durable, so its message may be acknowledged. After one
    that raised EnvironmentProblem or StorageError the desk stays usable, and the message has to come again.

    An unfinished ceremony in the home goes on with the first call that is given the time.
    """

    def __init__(
        self,
        home: Home,
        identity: Identity,
        password: Password,
        *,
        operators: Collection[bytes],
        backend: str = DEFAULT_BACKEND,
        random: Random = entropy.system,
    ) -> None:
        self._home = home
        self._identity = identity
        self._password = password
        self._operators = frozenset(operators)
        self._backend = backend
        self._random = random
        self._folder = home.path / ROLE / "ceremonies"
        self._store = _private_database(self._folder / "desk.sqlite")
        self._ceremonies: dict[bytes, _Ceremony] = {}
        self._settled: dict[int, bytes] = {}
        self._outbox = _Outbox()
        self._run: _Run | None = None
        self._load()

    def close(self) -> None:
        self._drop_run()
        self._store.close()

    # --- what operators and the node ask

    @property
    def running(self) -> bytes | None:
        """The id of the ceremony that has not ended yet."""
        return None if self._run is None else self._run.ceremony.name

    def state(self, ceremony_id: bytes) -> CeremonyState | None:
        """None if this member never opened it."""
        ceremony = self._ceremonies.get(ceremony_id)
        if ceremony is None:
            return None
        if ceremony.closed is not None:
            return replace(ceremony.closed, signatures=len(ceremony.signatures) if ceremony.closed.signature else 0)
        run = self._run
        assert run is not None, "an open ceremony has a run"
        return _state(ceremony, Phase.RUNNING, round=run.round, blamed=run.party.blamed if run.party else ())

    def pending(self, epoch: int) -> Pending | None:
        """What the newest ceremony for an epoch made, of those that did not fail. None while it runs.

        EnvironmentProblem if the parameters are missing."""
        ceremony = self._newest(epoch)
        if ceremony is None or ceremony.result is None:
            return None
        index = ceremony.index if ceremony.index <= ceremony.plan.n else None
        public = self._public(ceremony.result)
        return Pending(plan=ceremony.plan, ceremony_id=ceremony.name, public=public, index=index)

    def result(self, ceremony_id: bytes) -> KeyMaterial | None:
        """What a ceremony gave this member: with its share from the home. None before the end, and for leavers."""
        ceremony = self._ceremonies.get(ceremony_id)
        if ceremony is None or ceremony.result is None or ceremony.index > ceremony.plan.n:
            return None
        assert ceremony.closed is not None
        return KeyMaterial(
            public=self._public(ceremony.result),
            share=self._home.key_share(ceremony.index, self._password, role=ROLE, epoch=ceremony.plan.epoch),
            transcript=ceremony.closed.transcript,
            blamed=tuple((blame.member, blame.rule.decode()) for blame in ceremony.closed.blamed),
        )

    def check_successor(self, key_set: KeySet) -> None:
        """Before this member signs a successor: NET-30. Its start is for the chain to judge (KEY-9, KEY-10).

        From then on no other ceremony is opened for that epoch, so that nothing replaces the share. Raises Rejected.
        """
        before = self._newest_key_set()
        if before == key_set:
            return
        ceremony = self._newest(key_set.epoch)
        pending = self.pending(key_set.epoch)
        if before is None or ceremony is None or pending is None:
            raise Rejected("NET-30", f"no ceremony here has made a key for epoch {key_set.epoch}")
        start = key_set.start_height, key_set.start_parent, key_set.start_round
        expected = key_set_of_successor(pending.plan, pending.public, before, start=start)
        for entry in fields(key_set):
            if getattr(key_set, entry.name) != getattr(expected, entry.name):
                raise Rejected("NET-30", f"the successor's {entry.name} is not what the ceremony and its plan made")
        self._store.put([Persist(kind=_SETTLED, key=u64(key_set.epoch), value=ceremony.name)])
        self._settled[key_set.epoch] = ceremony.name

    # --- the course of a ceremony

    def open(self, signed: SignedPlan, *, now: float) -> Sequence[Outgoing]:
        """Take part in what an operator planned. Harmless if that runs already, or has ended.

        Raises Malformed or Rejected; EnvironmentProblem if the share to be dealt is not here or not the right one.
        """
        plan = signed.plan
        self._check_operator(signed)
        try:
            known = self._ceremonies.get(plan.ceremony_id)
        except ValueError as error:
            raise Rejected("NET-24", str(error)) from error
        if known is not None and known.plan == plan:
            return self._outbox.take_due(now)
        if self._home.exists and self._home.genesis().root != plan.genesis.root:
            raise Rejected("NET-22", "the plan is for another network than the one in this home")
        check_plan(plan, self._newest_key_set(), backend=self._backend)
        self._check_free(plan)
        ceremony = self._own_part(plan)
        if now * 1000 > plan.open_by_ms:
            raise Rejected("NET-25", "the plan had to be opened earlier: sign a new one")
        self._new_party(ceremony, ())  # all that could still be wrong with it is, before anything is written
        self._begin(ceremony, signed)
        return self._go_on(now)

    def receive(self, signed: SignedCeremonyMessage, *, now: float) -> Sequence[Outgoing]:
        """Take a peer's message. Raises Rejected: what a party would not even look at."""
        message = signed.message
        ceremony = self._ceremonies.get(message.ceremony_id)
        if ceremony is None:
            raise Rejected("NET-27", "no ceremony of that name is open here")
        self._check_sender(ceremony, signed)
        self._outbox.hasten(ceremony.name, message.sender, now)
        if message.purpose == Purpose.FIRST_KEY_SET:
            self._take_signature(ceremony, message)
        elif message.purpose != Purpose.PARTY:
            raise Rejected("NET-28", f"there is no message of purpose {message.purpose}")
        elif self._run is not None and self._run.ceremony is ceremony:
            return self._go_on(now, lambda party: party.receive(message.sender, message.data, now=now))
        return self._outbox.take_due(now)

    def tick(self, *, now: float) -> Sequence[Outgoing]:
        """End rounds whose time is over; hand out again what was not acknowledged."""
        for ceremony in self._ceremonies.values():
            if ceremony.closed is not None and now >= ceremony.expires:
                self._outbox.drop_party_messages(ceremony.name)
        return self._go_on(now, lambda party: party.tick(now=now))

    def delivered(self, outgoing: Outgoing) -> None:
        """The peer has answered that it took this message."""
        self._outbox.remove(outgoing)

    # --- what is refused

    def _check_operator(self, signed: SignedPlan) -> None:
        plan = signed.plan
        if recover_signer(plan, signed.signature, plan.genesis.root) not in self._operators:
            raise Rejected("NET-21", "the plan is not signed by an operator that this member follows")

    def _check_free(self, plan: CeremonyPlan) -> None:
        if plan.ceremony_id in self._ceremonies:
            raise Rejected("NET-26", "another plan had this attempt's number: choose a fresh one")
        if self._run is not None:
            raise Rejected("NET-26", f"ceremony 0x{self._run.ceremony.name.hex()} is running here")
        if plan.epoch in self._settled:
            raise Rejected("NET-26", f"a key set of epoch {plan.epoch} is being signed")
        for other in self._ceremonies.values():
            if plan.epoch == 1 and other.result is not None and other.plan.genesis.root == plan.genesis.root:
                raise Rejected(
                    "NET-26",
                    "this member has signed the first key set of this genesis: finish it, or make a new genesis",
                )

    def _own_part(self, plan: CeremonyPlan) -> _Ceremony:
        for index, peer in enumerate(plan.peers, 1):
            if peer.address == self._identity.address:
                return _Ceremony(plan=plan, name=plan.ceremony_id, index=index)
        raise Rejected("NET-25", f"the plan does not name this member, 0x{self._identity.address.hex()}")

    def _check_sender(self, ceremony: _Ceremony, signed: SignedCeremonyMessage) -> None:
        message, peers = signed.message, ceremony.plan.peers
        if not 1 <= message.sender <= len(peers) or message.sender == ceremony.index:
            raise Rejected("NET-28", f"peer {message.sender} has nothing to say to peer {ceremony.index}")
        if message.recipient not in (0, ceremony.index):
            raise Rejected("NET-28", f"the message is for peer {message.recipient}, this is {ceremony.index}")
        signer = recover_signer(message, signed.signature, ceremony.plan.genesis.root)
        if signer != peers[message.sender - 1].address:
            raise Rejected("NET-28", f"the message is not signed by peer {message.sender}, whom it names as sender")

    # --- running

    def _begin(self, ceremony: _Ceremony, signed: SignedPlan) -> None:
        """The plan goes into the journal first: what the desk knows without a journal, it has lost."""
        for other in self._ceremonies.values():
            self._outbox.drop_party_messages(other.name)
        path = self._journal_path(ceremony.name)
        journal = _private_database(path)
        try:
            journal.put([Persist(kind=_PLAN, key=ceremony.name, value=signed.encoded)])
            self._note_plan(ceremony, signed)
        except EnvironmentProblem:
            journal.close()
            _remove_database(path)
            raise
        self._run = _Run(ceremony=ceremony, journal=journal)

    def _note_plan(self, ceremony: _Ceremony, signed: SignedPlan) -> None:
        key = u32(len(self._ceremonies)) + ceremony.name
        self._store.put([Persist(kind=_PLAN, key=key, value=signed.encoded)])
        self._ceremonies[ceremony.name] = ceremony

    def _go_on(self, now: float, act: Callable[[_Party], tuple[Effect, ...]] | None = None) -> Sequence[Outgoing]:
        run = self._run
        if run is not None:
            try:
                self._advance(run, now, act)
            except BaseException:
                run.party = None  # it believes what is not stored
                raise
        self._complete_network()
        return self._outbox.take_due(now)

    def _advance(self, run: _Run, now: float, act: Callable[[_Party], tuple[Effect, ...]] | None) -> None:
        party = run.party
        if party is None:
            try:
                party = self._new_party(run.ceremony, tuple(self._unsealed(run)))
            except StorageError:
                raise
            except (ValueError, ThresholdError, EnvironmentProblem) as error:
                self._fail(run, f"the ceremony cannot go on after a restart: {error}", ())
                return
            self._perform(run, party, party.start(now=now))
            run.party = party
        if act is not None:
            self._perform(run, party, act(party))
        self._conclude(run, party)

    def _perform(self, run: _Run, party: _Party, effects: Iterable[Effect]) -> None:
        """All records at once, then the messages."""
        effects = tuple(effects)
        records = [effect for effect in effects if isinstance(effect, Persist)]
        if records:
            run.journal.put([self._sealed(run.ceremony, record) for record in records])
        for effect in effects:
            if isinstance(effect, Send):
                run.last = self._send(run.ceremony, Purpose.PARTY, effect.message, recipient=effect.recipient or 0)
                run.round = max(run.round, _round_of(party, effect.message))

    def _send(self, ceremony: _Ceremony, purpose: Purpose, data: bytes, *, recipient: int = 0) -> SignedCeremonyMessage:
        message = CeremonyMessage(
            ceremony_id=ceremony.name, sender=ceremony.index, recipient=recipient, purpose=int(purpose), data=data
        )
        signature = self._identity.sign(signing_digest(message, ceremony.plan.genesis.root))
        signed = SignedCeremonyMessage(message=message, signature=signature)
        self._post(ceremony, signed)
        return signed

    def _post(self, ceremony: _Ceremony, signed: SignedCeremonyMessage) -> None:
        for index, peer in enumerate(ceremony.plan.peers, 1):
            if index != ceremony.index and signed.message.recipient in (0, index):
                self._outbox.add(Outgoing(peer=index, url=peer.url.decode("ascii"), message=signed))

    def _new_party(self, ceremony: _Ceremony, records: tuple[Persist, ...]) -> _Party:
        plan = ceremony.plan
        scheme = _scheme(plan.scheme, self._backend)
        peers = Addresses([peer.address for peer in plan.peers])
        if plan.kind == Kind.RESHARE:
            return self._resharing_party(ceremony, cast(ResharingScheme, scheme), peers, records)
        info = scheme.info
        seat = Seat(
            index=ceremony.index,
            n=plan.n,
            t=plan.t,
            network=plan.genesis.root,
            ceremony_id=ceremony.name,
            signer=self._identity,
            peers=peers,
            random=self._random,
            round_seconds=plan.round_ms / 1000,
            limits=Limits(
                batch=plan.batch_limit if info.limits_batch else None,
                rounds=plan.rounds if info.limits_rounds else None,
            ),
            resume=records,
        )
        try:
            return cast(_Party, scheme.key_generation(seat))
        except ValueError as error:
            if records:
                raise
            raise Rejected("NET-24", str(error)) from error

    def _resharing_party(
        self, ceremony: _Ceremony, scheme: ResharingScheme, peers: Addresses, records: tuple[Persist, ...]
    ) -> _Party:
        plan, before = ceremony.plan, self._predecessor(ceremony.plan)
        if before is None:
            raise Rejected("NET-23", "the key set that the plan names as predecessor is not here")
        dealers = {at: before.members.index(peer.address) + 1 for at, peer in enumerate(plan.peers, 1) if peer.holder}
        share: KeyShare | None = None
        if ceremony.index in dealers:
            share = self._home.key_share(dealers[ceremony.index], self._password, role=ROLE, epoch=before.epoch)
        seat = ResharingSeat(
            index=ceremony.index,
            n=plan.n,
            t=plan.t,
            dealers=dealers,
            public=public_material(before, self._home.parameters(before)),
            share=share,
            network=plan.genesis.root,
            ceremony_id=ceremony.name,
            signer=self._identity,
            peers=peers,
            random=self._random,
            round_seconds=plan.round_ms / 1000,
            resume=records,
        )
        try:
            return cast(_Party, scheme.resharing(seat))
        except ValueError as error:
            raise EnvironmentProblem(f"this member cannot deal its share of epoch {before.epoch}: {error}") from error

    # --- how it ends

    def _conclude(self, run: _Run, party: _Party) -> None:
        try:
            made = _made(party)
        except CeremonyFailed as failure:
            self._fail(run, str(failure), failure.blamed)
            return
        if made is None:
            return
        public, share, transcript, blamed = made
        try:
            self._keep(run.ceremony.plan, public, share)
        except ThresholdError as error:
            self._fail(run, str(error), blamed)
            return
        ceremony = run.ceremony
        setup_kind, setup_privacy = _setup(ceremony.plan, self._predecessor(ceremony.plan))
        result = CeremonyResult(
            scheme=public.scheme,
            t=public.threshold,
            encryption_key=public.encryption_key,
            verification_keys=public.verification_keys,
            parameter_digest=public.parameter_digest,
            setup_kind=setup_kind,
            setup_privacy=setup_privacy,
        )
        signature: tuple[bytes, ...] = ()
        if ceremony.plan.epoch == 1:
            key_set = key_set_of_first(ceremony.plan, public)
            signature = (self._identity.sign(signing_digest(key_set, key_set.genesis_root)),)
        state = _state(
            ceremony,
            Phase.DONE,
            round=run.round,
            blamed=blamed,
            result=(result,),
            signature=signature,
            transcript=transcript,
        )
        self._close_run(run, state)
        if signature:
            self._judge_signatures(ceremony, public)

    def _keep(self, plan: CeremonyPlan, public: PublicMaterial, share: KeyShare | None) -> None:
        """Write what the next committee's member needs. Raises Rejected if it must not."""
        begun = next((key_set for key_set in self._key_sets() if key_set.epoch == plan.epoch), None)
        if begun is not None and begun.verification_keys != public.verification_keys:
            raise Rejected("NET-23", f"epoch {plan.epoch} got its key from another ceremony meanwhile")
        if plan.kind == Kind.GENERATE and public.parameters:
            scheme = _scheme(plan.scheme, self._backend)
            scheme.verify_parameters(scheme.load_public_key(public, key_id=public.key_id(plan.genesis.root)))
        with self._writing():
            self._home.write_parameters(public.parameter_digest, public.parameters)
            if share is not None:
                key = public.verification_keys[share.member - 1]
                self._home.write_key_share(ROLE, share, key, self._password, epoch=plan.epoch)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EnvironmentProblem(f"cannot write into {self._home.path}: {error.strerror}") from error

    def _fail(self, run: _Run, reason: str, blamed: Iterable[tuple[int, str]]) -> None:
        failure = reason.encode()[:MAX_FAILURE_BYTES]
        self._close_run(run, _state(run.ceremony, Phase.FAILED, round=run.round, blamed=blamed, failure=failure))

    def _close_run(self, run: _Run, state: CeremonyState) -> None:
        """The end is a record before the journal goes, and with it what this member said last: some may still wait."""
        ceremony = run.ceremony
        records = [Persist(kind=_STATE, key=ceremony.name, value=state.encoded)]
        if run.last is not None:
            records.append(Persist(kind=_PARTING, key=ceremony.name, value=run.last.encoded))
        if state.signature:
            key = ceremony.name + u16(ceremony.index)
            records.append(Persist(kind=_SIGNATURE, key=key, value=state.signature[0]))
        self._store.put(records)
        ceremony.closed = state
        if state.signature:
            ceremony.signatures[ceremony.index] = state.signature[0]
            self._send(ceremony, Purpose.FIRST_KEY_SET, state.signature[0])
        self._drop_run()
        _remove_database(self._journal_path(ceremony.name))

    def _drop_run(self) -> None:
        if self._run is not None:
            self._run.journal.close()
            self._run = None

    # --- the first key set

    def _take_signature(self, ceremony: _Ceremony, message: CeremonyMessage) -> None:
        """One that comes before the key is kept as it is: the sender may not be there to repeat it."""
        if ceremony.plan.epoch != 1 or len(message.data) != 65:
            raise Rejected("NET-29", "the message is no signature of a first key set")
        if ceremony.closed is not None and ceremony.result is None:
            return
        public = self._public(ceremony.result) if ceremony.result is not None else None
        if public is not None and not self._signed_first(ceremony, public, message.sender, message.data):
            raise Rejected("NET-29", f"peer {message.sender} signed another first key set", member=message.sender)
        key = ceremony.name + u16(message.sender)
        try:
            self._store.put([Persist(kind=_SIGNATURE, key=key, value=message.data)])
        except Conflict:
            raise Rejected("NET-29", f"peer {message.sender} signed twice", member=message.sender) from None
        ceremony.signatures[message.sender] = message.data
        self._complete_network()

    def _signed_first(self, ceremony: _Ceremony, public: PublicMaterial, member: int, signature: bytes) -> bool:
        key_set = key_set_of_first(ceremony.plan, public)
        try:
            return recover_signer(key_set, signature, key_set.genesis_root) == key_set.members[member - 1]
        except Rejected:
            return False

    def _judge_signatures(self, ceremony: _Ceremony, public: PublicMaterial) -> None:
        """Forget those that came early and turn out to be of another key set."""
        for member, signature in list(ceremony.signatures.items()):
            if not self._signed_first(ceremony, public, member, signature):
                del ceremony.signatures[member]

    def _complete_network(self) -> None:
        """As soon as there are signatures enough. The share in the home is that of the newest key."""
        ceremony = self._newest(1)
        if ceremony is None or ceremony.result is None or (self._home.has_key_set and self._home.exists):
            return
        plan = ceremony.plan
        if len(ceremony.signatures) < plan.t:
            return
        public = self._public(ceremony.result)
        key_set = key_set_of_first(plan, public)
        if len(ceremony.signatures) < signatures_needed(key_set):
            return
        signed = sign_key_set(key_set, [signature for _, signature in sorted(ceremony.signatures.items())])
        Committee.load(plan.genesis, signed, public.parameters, backend=self._backend)
        with self._writing():
            self._home.write_network(plan.genesis, signed, public.parameters)

    # --- what is stored

    def _load(self) -> None:
        """Take up what an earlier process left, whatever it was about to write."""
        for _, value in self._store.scan(_PLAN):
            plan = SignedPlan.decode(value).plan
            self._ceremonies[plan.ceremony_id] = self._own_part(plan)
        for name, value in self._store.scan(_STATE):
            self._ceremonies[name].closed = CeremonyState.decode(value)
        for key, value in self._store.scan(_SIGNATURE):
            self._ceremonies[key[:32]].signatures[int.from_bytes(key[32:], "big")] = value
        for key, value in self._store.scan(_SETTLED):
            self._settled[int.from_bytes(key, "big")] = value
        for path in sorted(self._folder.glob("*.sqlite")):
            if path.name != "desk.sqlite":
                self._load_journal(path)
        begun = self._newest_key_set()
        for ceremony in self._ceremonies.values():
            if ceremony.closed is None and ceremony.name != self.running:
                failure = b"this member's journal of the ceremony is gone: start a new attempt"
                ceremony.closed = _state(ceremony, Phase.FAILED, failure=failure)
                self._store.put([Persist(kind=_STATE, key=ceremony.name, value=ceremony.closed.encoded)])
            elif begun is None or begun.epoch <= ceremony.plan.epoch:
                self._load_end(ceremony)

    def _load_journal(self, path: Path) -> None:
        journal = DatabaseStore.sqlite(path)
        plan = next((SignedPlan.decode(value) for _, value in journal.scan(_PLAN)), None)
        ceremony = None if plan is None else self._ceremonies.get(plan.plan.ceremony_id)
        if plan is None or (ceremony is not None and ceremony.closed is not None):
            journal.close()
            _remove_database(path)
            return
        if ceremony is None:
            ceremony = self._own_part(plan.plan)
            self._note_plan(ceremony, plan)
        self._run = _Run(ceremony=ceremony, journal=journal)

    def _load_end(self, ceremony: _Ceremony) -> None:
        """Say once more what some may have missed."""
        parting = self._store.get(_PARTING, ceremony.name)
        if parting is not None:
            self._post(ceremony, SignedCeremonyMessage.decode(parting))
        if ceremony.closed is not None and ceremony.closed.signature and ceremony.result is not None:
            self._judge_signatures(ceremony, self._public(ceremony.result))
            self._send(ceremony, Purpose.FIRST_KEY_SET, ceremony.closed.signature[0])

    def _journal_path(self, name: bytes) -> Path:
        return self._folder / f"{name.hex()}.sqlite"

    def _sealed(self, ceremony: _Ceremony, record: Persist) -> Persist:
        """A party's record for the journal. The salt, since a crash may leave half of another value on the disk."""
        name, salt = record.kind.encode() + b"\0" + record.key, self._random(KEY_BYTES)
        value = salt + seal(self._record_key(ceremony, name, salt), record.value, b"")
        return Persist(kind=_SEALED, key=name, value=value)

    def _unsealed(self, run: _Run) -> Iterator[Persist]:
        """Raises AuthenticationFailed for a record that another identity sealed, or that is damaged."""
        for name, value in run.journal.scan(_SEALED):
            kind, _, key = name.partition(b"\0")
            salt, sealed = value[:KEY_BYTES], value[KEY_BYTES:]
            opened = unseal(self._record_key(run.ceremony, name, salt), sealed, b"")
            yield Persist(kind=kind.decode(), key=key, value=opened)

    def _record_key(self, ceremony: _Ceremony, name: bytes, salt: bytes) -> bytes:
        secret = self._identity.secret_bytes()
        return derive_key(Tag.CEREMONY_ID, secret, b"journal", ceremony.name, name, salt)

    def _newest(self, epoch: int) -> _Ceremony | None:
        """The one that was opened last for an epoch, and did not fail."""
        standing = [c for c in self._ceremonies.values() if c.plan.epoch == epoch and (c.closed is None or c.result)]
        return standing[-1] if standing else None

    def _key_sets(self) -> tuple[KeySet, ...]:
        """Those in the home, where the node puts them: others may be faster than this member's own ceremony."""
        return tuple(signed.message for signed in self._home.key_sets()) if self._home.has_key_set else ()

    def _newest_key_set(self) -> KeySet | None:
        return next(iter(self._key_sets()[::-1]), None)

    def _predecessor(self, plan: CeremonyPlan) -> KeySet | None:
        return next((key_set for key_set in self._key_sets() if key_set.root == plan.predecessor), None)

    def _public(self, result: CeremonyResult) -> PublicMaterial:
        parameters = b""
        if result.parameter_digest != parameter_digest(b""):
            parameters = self._home.known_parameters(result.parameter_digest) or b""
        try:
            return result.public(parameters)
        except ValueError:
            name = result.parameter_digest.hex()
            raise EnvironmentProblem(
                f"the parameters {name} of a ceremony's key are missing or damaged: copy them from another home"
            ) from None


def _state(
    ceremony: _Ceremony,
    phase: Phase,
    *,
    round: int = 0,
    blamed: Iterable[tuple[int, str]] = (),
    failure: bytes = b"",
    result: tuple[CeremonyResult, ...] = (),
    signature: tuple[bytes, ...] = (),
    transcript: bytes = b"",
) -> CeremonyState:
    return CeremonyState(
        ceremony_id=ceremony.name,
        epoch=ceremony.plan.epoch,
        phase=int(phase),
        round=round,
        blamed=tuple(CeremonyBlame(member=member, rule=rule.encode()) for member, rule in blamed)[:MAX_BLAMED],
        failure=failure,
        result=result,
        signature=signature,
        signatures=0,
        transcript=transcript,
    )


def _made(party: _Party) -> tuple[PublicMaterial, KeyShare | None, bytes, tuple[tuple[int, str], ...]] | None:
    """Key, share, transcript and blame once it is over; no share for one who leaves. Raises CeremonyFailed."""
    result = party.result
    if result is not None:
        return result.public, result.share, result.transcript, result.blamed
    announcement = party.announcement if isinstance(party, CeremonyParty) else None
    return None if announcement is None else (announcement.public, None, announcement.transcript, party.blamed)


def _round_of(party: _Party, message: bytes) -> int:
    """Every party's messages begin with their round; fptx wraps those of its second phase."""
    number = message[0]
    if isinstance(party, contributions.Party) and number == contributions.Round.KEYS:
        return number - 1 + message[1]
    return number


def _private_database(path: Path) -> DatabaseStore:
    """Mode 0600 from the start; SQLite gives the files beside it the same."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return DatabaseStore.sqlite(path)


def _remove_database(path: Path) -> None:
    """The main file last: as long as it is there, the rest is found."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
