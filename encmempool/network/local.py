"""All roles of a network in one process, each with its own database, connected by calls instead of sockets.

This is the network behind the commands of one home directory, the demo and the benchmarks. The roles are the same
sans-IO objects that separate nodes run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from encmempool import genesis as development
from encmempool.committee import ABSTENTION, Ballot, Member
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.home import Home, Password, WrongPassword
from encmempool.identity import Identity
from encmempool.keysets import DISTRIBUTED, Committee, first_key_set
from encmempool.network.ceremony import check_committee, generate_keys, sign_by_members
from encmempool.ordering import Policy
from encmempool.reveal import Executed, Follower, Stage, no_stage
from encmempool.sequencer import Sequencer
from encmempool.store import Store, perform
from encmempool.types import (
    Allocation,
    Genesis,
    OrderCertificate,
    PoolState,
    Proposal,
    ShareRelease,
    SignedAbstain,
    SignedReceipt,
    SignedVote,
)
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import Random
from threshold.sansio import Send
from threshold.schemes.base import Scheme

ETHER = 10**18


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a new development network is to be like.

    funded    addresses with 10,000 ether and as many tokens' worth at genesis
    """

    members: int
    threshold: int
    policy: Policy
    funded: tuple[bytes, ...]
    pools: tuple[PoolState, ...] = ()
    reduced_threshold: bool = False
    timestamp_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    ether_each: int = 10_000 * ETHER
    tokens_each: int = 20_000_000 * ETHER


def development_pool() -> PoolState:
    """5,000 WETH against 15 million TKN."""
    sides = sorted(((development.WETH, 5_000 * ETHER), (development.DEVELOPMENT_TOKEN.address, 15_000_000 * ETHER)))
    (token0, reserve0), (token1, reserve1) = sides
    return PoolState(token0=token0, token1=token1, reserve0=reserve0, reserve1=reserve1)


def development_genesis(plan: Plan, *, sequencer: bytes, members: Sequence[bytes]) -> Genesis:
    return development.check(
        Genesis(
            chain_id=development.DEVELOPMENT_CHAIN_ID,
            timestamp_ms=plan.timestamp_ms,
            accounts=tuple(
                Allocation(address=address, balance=plan.ether_each, tokens=(plan.tokens_each,))
                for address in sorted(set(plan.funded))
            ),
            tokens=(development.DEVELOPMENT_TOKEN,),
            pools=plan.pools or (development_pool(),),
            router=development.ROUTER,
            weth=development.WETH,
            base_fee=development.BASE_FEE,
            sequencer=sequencer,
            members=tuple(members),
            policy_id=plan.policy,
            policy_parameters=b"",
            batch_limit=development.BATCH_LIMIT,
            gas_limit=development.BATCH_GAS_LIMIT,
            size_classes=development.SIZE_CLASSES,
            deadlines=development.DEADLINES,
        )
    )


def create_network(
    home: Home,
    plan: Plan,
    scheme: Scheme,
    password: Password,
    *,
    random: Random,
    backend: str = DEFAULT_BACKEND,
) -> Committee:
    """Run the key ceremony and write a new network into a home. ValueError for an impossible plan."""
    check_committee(scheme, plan.members, plan.threshold, reduced_allowed=plan.reduced_threshold)
    if home.exists or home.has_roles:
        raise ValueError(f"there is a network in {home.path} already: choose another --home or remove it")
    if plan.policy is Policy.SHUFFLE and not scheme.info.hides:
        raise ValueError(f"the shuffle policy needs an encrypting scheme: with {scheme.info.name} the seed is known")
    sequencer = Identity(random(32))
    identities = [Identity(random(32)) for _ in range(plan.members)]
    genesis = development_genesis(
        plan, sequencer=sequencer.address, members=[identity.address for identity in identities]
    )
    results = generate_keys(scheme, identities, plan.threshold, genesis_root=genesis.root, random=random)
    key_set = first_key_set(
        genesis, results[0].public, setup_kind=DISTRIBUTED, setup_privacy=plan.threshold if scheme.info.hides else 0
    )
    home.write_identity("sequencer", sequencer, password)
    for index, (identity, result) in enumerate(zip(identities, results, strict=True), 1):
        role = f"members/{index}"
        home.write_identity(role, identity, password)
        home.write_key_share(role, result.share, result.public.verification_keys[index - 1], password)
    for role in ("archive", "sequencer", *(f"members/{index}" for index in range(1, plan.members + 1))):
        home.create_store(role)
    signed = sign_by_members(key_set, identities)
    home.write_network(genesis, signed)
    return Committee.load(genesis, signed, backend=backend)


@dataclass
class Seat:
    """One member with what is its own: database, followed state, ballot."""

    member: Member
    follower: Follower
    store: Store
    ballot: Ballot


class LocalNetwork:
    """Loads a home and runs its roles. Members are loaded when first needed: their keys cost a key derivation each."""

    def __init__(
        self,
        home: Home,
        *,
        password: Callable[[], Password] | None = None,
        backend: str = DEFAULT_BACKEND,
        random: Random = entropy.system,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        stage: Stage = no_stage,
    ) -> None:
        self.home = home
        self.committee = Committee.load(home.genesis(), home.key_set(), backend=backend)
        self._password = password
        self._random = random
        self._clock_ms = clock_ms
        self.absent: dict[int, Exception] = {}
        self._stage = stage
        self._archive = home.store("archive")

    @cached_property
    def follower(self) -> Follower:
        """The sequencer's own, which gives it the executed state."""
        return Follower(self.committee, records=self._archive, stage=self._stage)

    @cached_property
    def sequencer(self) -> Sequencer:
        return Sequencer(
            terms=self.committee.terms,
            committee_id=self.committee.committee_id,
            identity=_LazySigner(lambda: self.home.identity("sequencer", self._require_password())),
            verifier=self.committee,
            state=self.follower,
            records=self._sequencer_store,
        )

    @cached_property
    def seats(self) -> tuple[Seat, ...]:
        """The members that can be loaded; `absent` says why the others cannot. Any t of them open a batch."""
        seats, self.absent = [], {}
        for index in range(1, self.committee.key_set.n + 1):
            try:
                seats.append(self._seat(index))
            except (EnvironmentProblem, Malformed) as error:
                self.absent[index] = error
        if len(seats) < self.committee.key_set.t:
            first = next(iter(self.absent.values()))
            if isinstance(first, WrongPassword):
                raise first
            reasons = "; ".join(f"member {index}: {reason}" for index, reason in self.absent.items())
            raise EnvironmentProblem(
                f"{len(seats)} members of {self.committee.key_set.t} needed can be loaded. {reasons}"
            )
        return tuple(seats)

    def submit(self, data: bytes) -> SignedReceipt:
        """The sequencer's receipt, durable. Raises Malformed or Rejected."""
        sends = self._perform(self.sequencer.submit(data, now_ms=self._clock_ms()), self._sequencer_store)
        return SignedReceipt.decode(_only(sends).message)

    def commit(self) -> Proposal:
        """The sequencer orders what it holds, blind, and signs."""
        sends = self._perform(self.sequencer.commit(now_ms=self._clock_ms()), self._sequencer_store)
        return Proposal.decode(_only(sends).message)

    def load(self) -> None:
        """Open every role's keys and records now instead of on first use."""
        _ = self.seats, self.sequencer

    def vote(self, proposal: Proposal, *, stage: Stage = no_stage) -> OrderCertificate:
        """Every member checks the commitment and votes; t votes are a certificate. Raises Rejected if too few did.

        `stage` brackets the work of the first member as "vote".
        """
        self._perform(self.follower.propose(proposal), self._archive)
        certificate: OrderCertificate | None = None
        refusals: list[Rejected] = []
        for seat in self.seats:
            try:
                with stage("vote") if seat is self.seats[0] else nullcontext():
                    sends = self._perform(seat.member.vote(proposal, now_ms=self._clock_ms()), seat.store)
            except Rejected as error:
                refusals.append(error)
                continue
            vote = SignedVote.decode(_only(sends).message)
            for other in self.seats:
                certificate = other.ballot.add(vote) or certificate
        if certificate is None:
            raise refusals[0] if refusals else AssertionError("every member voted and no certificate was made")
        self._perform(self.follower.certify(certificate), self._archive)
        for seat in self.seats:
            # Whoever abstained or refused still follows what t members agreed on, if it can.
            with suppress(Rejected):
                self._perform(seat.follower.follow(proposal, certificate), seat.store)
        return certificate

    def release(
        self, certificate: OrderCertificate, *, members: Sequence[int] | None = None, stage: Stage = no_stage
    ) -> None:
        """Members release their shares for a certified commitment, to everyone at once.

        `stage` brackets the work of the first member as "share".
        """
        for seat in self.seats:
            if members is not None and seat.member.index not in members:
                continue
            if seat.follower.chain.at(certificate.vote.height) is None:
                continue  # it refused this commitment
            try:
                with stage("share") if seat is self.seats[0] else nullcontext():
                    sends = self._perform(seat.member.release(certificate), seat.store)
            except Rejected:
                continue  # it abstained at this height
            for send in sends:
                self._publish(ShareRelease.decode(_sent(send).message))

    def execute(self) -> tuple[Executed, ...]:
        """Everyone combines what was published and runs it."""
        for seat in self.seats:
            records, _ = seat.follower.advance()
            self._perform(records, seat.store)
        records, executed = self.follower.advance()
        self._perform(records, self._archive)
        return executed

    def reveal(self) -> tuple[Executed, ...]:
        """Bring every commitment to its end: vote, release, combine, execute."""
        executed = list(self.execute())
        reached = min(follower.latest.height for follower in (self.follower, *(s.follower for s in self.seats)))
        for height in range(reached + 1, self.sequencer.height + 1):
            batch = self.sequencer.batch(height)
            if batch is None:
                raise AssertionError(f"no commitment for height {height}")
            self.release(self.vote(self.sequencer.proposal(batch)))
            executed += self.execute()
        return tuple(executed)

    def abstentions(self) -> tuple[SignedAbstain, ...]:
        """Of the members whose database is here."""
        found = []
        for index in range(1, self.committee.key_set.n + 1):
            with suppress(EnvironmentProblem):
                found += [
                    SignedAbstain.decode(value) for _, value in self.home.store(f"members/{index}").scan(ABSTENTION)
                ]
        return tuple(found)

    def _perform(self, effects: Sequence[object], store: Store) -> tuple[object, ...]:
        """A role whose effects failed believes what is not stored: drop all, the next use restores them."""
        try:
            return perform(effects, store)
        except BaseException:
            for role in ("sequencer", "seats", "follower"):
                self.__dict__.pop(role, None)
            raise

    @cached_property
    def _sequencer_store(self) -> Store:
        return self.home.store("sequencer")

    def _seat(self, index: int) -> Seat:
        role, password = f"members/{index}", self._require_password()
        store = self.home.store(role)
        follower = Follower(self.committee, records=store)
        member = Member(
            index=index,
            chain=follower.chain,
            identity=self.home.identity(role, password),
            key_share=self.home.key_share(index, password),
            records=store,
            random=self._random,
        )
        return Seat(member=member, follower=follower, store=store, ballot=Ballot(self.committee))

    def _publish(self, release: ShareRelease) -> None:
        self._perform(self.follower.receive(release), self._archive)
        for seat in self.seats:
            with suppress(Rejected):  # it could not follow this height
                self._perform(seat.follower.receive(release), seat.store)

    def _require_password(self) -> Password:
        if self._password is None:
            raise ValueError("this network was loaded without a password: signing needs one")
        return self._password()


class _LazySigner:
    """Opens a keystore when the first signature is asked for: reading needs no password."""

    def __init__(self, load: Callable[[], Identity]) -> None:
        self._load = load

    @cached_property
    def _identity(self) -> Identity:
        return self._load()

    def sign(self, digest: bytes) -> bytes:
        return self._identity.sign(digest)


def _sent(effect: object) -> Send:
    if not isinstance(effect, Send):
        raise TypeError(f"a message was expected, not {type(effect).__name__}")
    return effect


def _only(effects: Sequence[object]) -> Send:
    (effect,) = effects
    return _sent(effect)


def fresh_home(path: Path) -> tuple[Home, Password]:
    """A home with a generated password."""
    home = Home(path)
    password = home.generated_password(create=True)
    if password is None:
        raise AssertionError("a generated password was just written")
    return home, password
