"""All roles of a network in one process, each with its own database, connected by calls instead of sockets.

This is the network behind the commands of one home directory, the demo and the benchmarks. The roles are the same
sans-IO objects that separate nodes run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from encmempool import genesis as development
from encmempool.audit import PublishedHeight
from encmempool.committee import ABSTENTION, ERASURE, Ballot, Member, abstentions_needed
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.forced import InboxView, NoInbox, known_entry
from encmempool.home import Home, Password, WrongPassword
from encmempool.identity import Identity
from encmempool.keysets import (
    DISTRIBUTED,
    TRUSTED_DEALER,
    Committee,
    first_key_set,
    public_material,
    sign_key_set,
    signatures_needed,
)
from encmempool.network.ceremony import check_committee, generate_keys, sign_by_members
from encmempool.ordering import Policy
from encmempool.reveal import Executed, Follower, Stage, no_stage
from encmempool.sequencer import DROP, Sequencer
from encmempool.store import Store, perform
from encmempool.types import (
    Allocation,
    Deadlines,
    DropCertificate,
    EncryptedTransaction,
    Genesis,
    InboxEntry,
    KeySet,
    OrderCertificate,
    PoolState,
    Proposal,
    ShareRelease,
    SignedAbstain,
    SignedErasure,
    SignedKeySet,
    SignedReceipt,
    SignedVote,
)
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import Random
from threshold.keys import Limits
from threshold.sansio import Send
from threshold.schemes.base import Scheme
from threshold.schemes.key_generation import DerivedSelfTest

ETHER = 10**18
DEFAULT_KEY_BATCH = 128
DEFAULT_ROUNDS = 64


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a new development network is to be like.

    funded            addresses with 10,000 ether and as many tokens' worth at genesis
    batch_limit       the largest batch; by default 4,096, or 128 where the key's size depends on it
    rounds            batches that the key opens, for schemes that limit them; by default 64
    trusted_dealer    one process makes the key and could open everything: for experiments
    """

    members: int
    threshold: int
    policy: Policy
    funded: tuple[bytes, ...]
    batch_limit: int | None = None
    rounds: int | None = None
    trusted_dealer: bool = False
    pools: tuple[PoolState, ...] = ()
    reduced_threshold: bool = False
    timestamp_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    deadlines: Deadlines = development.DEADLINES
    ether_each: int = 10_000 * ETHER
    tokens_each: int = 20_000_000 * ETHER


def limits_of(scheme: Scheme, *, batch_limit: int | None, rounds: int | None) -> Limits:
    """What a key of the scheme has to allow. ValueError for what the scheme does not have."""
    info = scheme.info
    if rounds is not None and not info.limits_rounds:
        raise ValueError(f"{info.name} opens any number of batches: leave the rounds away")
    return Limits(
        batch=(batch_limit or DEFAULT_KEY_BATCH) if info.limits_batch else None,
        rounds=(rounds or DEFAULT_ROUNDS) if info.limits_rounds else None,
    )


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
            batch_limit=plan.batch_limit or development.BATCH_LIMIT,
            gas_limit=development.BATCH_GAS_LIMIT,
            size_classes=development.SIZE_CLASSES,
            deadlines=plan.deadlines,
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
    limits = limits_of(scheme, batch_limit=plan.batch_limit, rounds=plan.rounds)
    if home.exists or home.has_roles:
        raise ValueError(f"there is a network in {home.path} already: choose another --home or remove it")
    if plan.policy is Policy.SHUFFLE and not scheme.info.hides:
        raise ValueError(f"the shuffle policy needs an encrypting scheme: with {scheme.info.name} the seed is known")
    sequencer = Identity(random(32))
    identities = [Identity(random(32)) for _ in range(plan.members)]
    plan = replace(plan, batch_limit=plan.batch_limit or limits.batch)
    genesis = development_genesis(
        plan, sequencer=sequencer.address, members=[identity.address for identity in identities]
    )
    n, t = plan.members, plan.threshold
    if plan.trusted_dealer:
        public, shares = scheme.deal(n=n, t=t, limits=limits, random=random)
    else:
        results = generate_keys(scheme, identities, t, genesis_root=genesis.root, limits=limits, random=random)
        public, shares = results[0].public, tuple(result.share for result in results)
    key_set = first_key_set(
        genesis,
        public,
        setup_kind=TRUSTED_DEALER if plan.trusted_dealer else DISTRIBUTED,
        setup_privacy=0 if plan.trusted_dealer else scheme.setup_privacy(n, t),
        rounds=limits.rounds or 0,
    )
    home.write_identity("sequencer", sequencer, password)
    for index, (identity, share) in enumerate(zip(identities, shares, strict=True), 1):
        role = f"members/{index}"
        home.write_identity(role, identity, password)
        home.write_key_share(role, share, public.verification_keys[index - 1], password)
    for role in ("archive", "sequencer", *(f"members/{index}" for index in range(1, plan.members + 1))):
        home.create_store(role)
    signed = sign_by_members(key_set, identities)
    home.write_network(genesis, signed, public.parameters)
    return Committee.load(genesis, signed, public.parameters, backend=backend)


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
        inbox: InboxView | None = None,
    ) -> None:
        self.home = home
        self._inbox = inbox or NoInbox()
        self.committees = load_committees(home, backend=backend)
        self._backend = backend
        self._open_password = password
        self._random = random
        self._clock_ms = clock_ms
        self.absent: dict[int, Exception] = {}
        self._seats: dict[int, tuple[Seat, ...]] = {}
        self._followers: dict[str, tuple[Store, Follower]] = {}
        self._sequencers: dict[bytes, tuple[Store, Sequencer]] = {}
        self._stage = stage
        self._archive = home.store("archive")

    @property
    def committee(self) -> Committee:
        """The one that governs the next height."""
        return self.committee_at(self.sequencer.height + 1)

    def committee_at(self, height: int) -> Committee:
        return self.follower.chain.committee_at(height)

    @cached_property
    def follower(self) -> Follower:
        """The sequencer's own, which gives it the executed state."""
        first, *successors = self.committees
        return Follower(
            first,
            successors=successors,
            records=self._archive,
            stage=self._stage,
            inbox=self._inbox,
            checkpoints=False,
        )

    @property
    def sequencer(self) -> Sequencer:
        """The one that makes the next commitment."""
        in_office = (sequencer for sequencer in self.sequencers if sequencer.in_office)
        return min(in_office, key=lambda sequencer: sequencer.height)

    @property
    def sequencers(self) -> tuple[Sequencer, ...]:
        """Everyone whom a key set names, in the order of these."""
        names = dict.fromkeys(committee.key_set.sequencer for committee in self.committees)
        return tuple(map(self.sequencer_named, names))

    def sequencer_named(self, address: bytes) -> Sequencer:
        """One whose files are here, whether a key set names it or not."""
        return self._sequencer_of(address)[1]

    def _sequencer_of(self, address: bytes) -> tuple[Store, Sequencer]:
        if address not in self._sequencers:
            role = sequencer_role(self.committees[0].genesis, address)
            store = self.home.store(role)
            self._sequencers[address] = (
                store,
                Sequencer(
                    terms=self.committees[0].terms,
                    successors=[committee.terms for committee in self.committees[1:]],
                    identity=_LazySigner(address, lambda: self.home.identity(role, self.password())),
                    verifier=_Verifier(self.committees),
                    state=self.follower,
                    records=store,
                    inbox=self._inbox,
                ),
            )
        return self._sequencers[address]

    @property
    def seats(self) -> tuple[Seat, ...]:
        """The members of the next height's committee that can be loaded; `absent` says why the others cannot."""
        return self.seats_of(self.committee)

    def seats_of(self, committee: Committee) -> tuple[Seat, ...]:
        """A committee's members that can be loaded. Any t of them open a batch."""
        epoch = committee.key_set.epoch
        if epoch not in self._seats:
            self._seats[epoch] = self._load_seats(committee)
        return self._seats[epoch]

    def _load_seats(self, committee: Committee) -> tuple[Seat, ...]:
        seats, self.absent = [], {}
        for index in range(1, committee.key_set.n + 1):
            try:
                seats.append(self._seat(committee, index))
            except (EnvironmentProblem, Malformed) as error:
                self.absent[index] = error
        if len(seats) < committee.key_set.t:
            first = next(iter(self.absent.values()))
            if isinstance(first, WrongPassword):
                raise first
            reasons = "; ".join(f"member {index}: {reason}" for index, reason in self.absent.items())
            raise EnvironmentProblem(f"{len(seats)} members of {committee.key_set.t} needed can be loaded. {reasons}")
        return tuple(seats)

    def adopt(self, signed: SignedKeySet) -> None:
        """Check a successor of the newest key set, write it, and go on under it from its start."""
        newest = self.committees[-1]
        parameters = self.home.parameters(signed.message)
        following = newest.load_successor(signed, parameters, backend=self._backend)
        following.scheme.verify_parameters(following.public_key)
        try:
            self.follower.adopt(following)
            self.home.write_key_set(signed)
            self.committees = (*self.committees, following)
        finally:
            self._forget()

    def announce(self, key_set: KeySet) -> None:
        """The sequencer keeps the heights from its start on free for a key set that members are about to sign, and so
        does the one that this key set names."""
        for address in dict.fromkeys((self.sequencer.address, key_set.sequencer)):
            store, sequencer = self._sequencer_of(address)
            replaced = address != key_set.sequencer and key_set.start_height <= sequencer.height
            if not replaced:
                self._perform(sequencer.announce(key_set), store)

    def announced(self, committee_id: bytes) -> KeySet | None:
        """The successor of a key set that members were asked to sign."""
        names = sorted(path.name for path in self.home.path.glob("sequencers/" + "[0-9a-f]" * 40))
        everyone = (self.committees[0].genesis.sequencer, *map(bytes.fromhex, names))
        found = (self.sequencer_named(address).announced(committee_id) for address in everyone)
        return next((key_set for key_set in found if key_set is not None), None)

    def sign_successor(self, key_set: KeySet) -> SignedKeySet:
        """The newest key set's members sign the next one. EnvironmentProblem if too few are here, Rejected if they
        refuse."""
        newest = self.committees[-1]
        signatures: list[bytes] = []
        refusals: list[Rejected] = []
        for seat in self.seats_of(newest):
            try:
                sends = self._perform(seat.member.sign_successor(key_set), seat.store)
            except Rejected as error:
                refusals.append(error)
                continue
            signatures += SignedKeySet.decode(_only(sends).message).signatures
        needed = signatures_needed(newest.key_set)
        if len(signatures) < needed and refusals:
            raise refusals[0]
        if len(signatures) < needed:
            raise EnvironmentProblem(
                f"{len(signatures)} members are here to sign the next key set, {needed} are needed: "
                "restore the others and run `encmempool committee rotate` again"
            )
        return sign_key_set(key_set, signatures)

    def submit(self, data: bytes) -> SignedReceipt:
        """The sequencer's receipt, durable. Raises Malformed or Rejected."""
        store, sequencer = self._sequencer_of(self.sequencer.address)
        sends = self._perform(sequencer.submit(data, now_ms=self._clock_ms()), store)
        return SignedReceipt.decode(_only(sends).message)

    def commit(self) -> Proposal:
        """The sequencer orders what it holds, blind, and signs."""
        store, sequencer = self._sequencer_of(self.sequencer.address)
        sends = self._perform(sequencer.commit(now_ms=self._clock_ms()), store)
        return Proposal.decode(_only(sends).message)

    def load(self) -> None:
        """Open every role's keys and records now instead of on first use."""
        _ = self.seats, self.sequencer

    def vote(self, proposal: Proposal, *, stage: Stage = no_stage) -> OrderCertificate:
        """Every member checks the commitment and votes; t votes are a certificate. Raises Rejected if too few did.

        `stage` brackets the work of the first member as "vote".
        """
        self._perform(self.follower.propose(proposal), self._archive)
        seats = self.seats_of(self.committee_at(proposal.commitment.message.height))
        certificate: OrderCertificate | None = None
        refusals: list[Rejected] = []
        for seat in seats:
            try:
                with stage("vote") if seat is seats[0] else nullcontext():
                    sends = self._perform(seat.member.vote(proposal, now_ms=self._clock_ms()), seat.store)
            except Rejected as error:
                refusals.append(error)
                continue
            vote = SignedVote.decode(_only(sends).message)
            for other in seats:
                certificate = other.ballot.add(vote) or certificate
        if certificate is None:
            raise refusals[0] if refusals else AssertionError("every member voted and no certificate was made")
        self._perform(self.follower.certify(certificate), self._archive)
        for seat in seats:
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
        seats = self.seats_of(self.committee_at(certificate.vote.height))
        for seat in seats:
            if members is not None and seat.member.index not in members:
                continue
            if seat.follower.chain.at(certificate.vote.height) is None:
                continue  # it refused this commitment
            try:
                with stage("share") if seat is seats[0] else nullcontext():
                    sends = self._perform(seat.member.release(certificate), seat.store)
            except Rejected:
                continue  # it abstained at this height
            for send in sends:
                self._publish(ShareRelease.decode(_sent(send).message))

    def abstain(self, height: int, *, members: Sequence[int] | None = None) -> bool:
        """Members bar their shares at a height; whether that drops it. Raises Rejected if one may not."""
        committee, signed = self.committee_at(height), {}
        for seat in self.seats_of(committee):
            if members is None or seat.member.index in members:
                (send,) = self._perform(seat.member.abstain(height), seat.store)
                signed[seat.member.index] = SignedAbstain.decode(_sent(send).message)
        if len(signed) < abstentions_needed(committee.key_set):
            return False
        message = next(iter(signed.values())).message
        certificate = DropCertificate(
            abstention=message, signatures=tuple(each.signature for _, each in sorted(signed.items()))
        )
        records = self.follower.drop(certificate)
        for store, sequencer in map(self._sequencer_of, [each.address for each in self.sequencers]):
            self._perform([record for record in records if record.kind == DROP], store)
            sequencer.drop(height)
        for store, follower in self._followers.values():
            self._perform(follower.drop(certificate), store)
        self._perform(records, self._archive)
        return True

    def execute(self) -> tuple[Executed, ...]:
        """Everyone combines what was published and runs it."""
        self.load()
        for store, follower in self._followers.values():
            records, _ = follower.advance()
            self._perform(records, store)
        records, executed = self.follower.advance()
        self._perform(records, self._archive)
        ahead = max((follower for _, follower in self._followers.values()), key=lambda f: f.latest.height)
        executed += self._catch_up(self.follower, self._archive, ahead)
        for store, follower in self._followers.values():
            self._catch_up(follower, store, self.follower)
        return executed

    def _catch_up(self, follower: Follower, store: Store, ahead: Follower) -> tuple[Executed, ...]:
        """Whoever was away, or joined, takes what was published: members of an earlier committee no longer act."""
        taken = []
        with suppress(Rejected):  # t members certified another commitment to it: only its owner can say what now
            while (done := ahead.executed_at(follower.latest.height + 1)) is not None:
                self._perform(follower.take(done), store)
                taken.append(done)
        return tuple(taken)

    def reveal(self) -> tuple[Executed, ...]:
        """Bring every commitment to its end: vote, release, combine, execute."""
        executed = list(self.execute())
        reached = min(follower.latest.height for follower in (self.follower, *(f for _, f in self._followers.values())))
        for height in range(reached + 1, self.sequencer.height + 1):
            certificate = self.vote(self.proposal(height))
            self.follower.precompute(height)
            self.release(certificate)
            executed += self.execute()
        return tuple(executed)

    def heights(self) -> Iterator[PublishedHeight]:
        """What is public of every committed height."""
        for height in range(self.follower.chain.first_height, self.sequencer.height + 1):
            executed = self.follower.executed_at(height)
            yield PublishedHeight(
                proposal=self.proposal(height),
                drop=executed.drop if executed else None,
                certificate=self.follower.certificate(height),
                shares=self.follower.shares(height),
                reveal=executed.reveal if executed else None,
            )

    def uncommitted(self) -> tuple[tuple[EncryptedTransaction, SignedReceipt], ...]:
        """What has a receipt and no place in a commitment, by sequencer and sequence."""
        return tuple(pair for sequencer in self.sequencers for pair in sequencer.uncommitted())

    def proposal(self, height: int) -> Proposal:
        """What the sequencer of a committed height sent to the members, or what stands in a dropped one's place."""
        executed = self.follower.executed_at(height)
        if executed is not None:
            return executed.ready.proposal
        sequencer = self.sequencer_named(self.committee_at(height).key_set.sequencer)
        batch = sequencer.batch(height)
        if batch is None:
            raise AssertionError(f"no commitment for height {height}")
        return sequencer.proposal(batch)

    def inbox_entry(self, index: int) -> InboxEntry:
        return known_entry(self._inbox, index)

    def abstentions(self) -> tuple[SignedAbstain, ...]:
        """Of the members whose database is here."""
        return tuple(SignedAbstain.decode(value) for _, value in self._member_records(ABSTENTION))

    def erasures(self, *, of: bytes) -> tuple[SignedErasure, ...]:
        """Statements of a committee's members that their shares are erased, in their order."""
        found = [SignedErasure.decode(value) for key, value in self._member_records(ERASURE) if key == of]
        committee = next((c for c in self.committees if c.committee_id == of), None)
        if committee is None:
            return ()
        by_member = {committee.signing_member(e.message, e.signature, rule="AUD-2"): e for e in found}
        return tuple(erasure for _, erasure in sorted(by_member.items()))

    def _member_records(self, kind: str) -> Iterator[tuple[bytes, bytes]]:
        """Records of one kind of all members whose database is here."""
        for role in self.home.member_roles():
            with suppress(EnvironmentProblem):
                yield from self.home.store(role).scan(kind)

    def _perform(self, effects: Sequence[object], store: Store) -> tuple[object, ...]:
        """A role whose effects failed believes what is not stored: drop all, the next use restores them."""
        try:
            return perform(effects, store)
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self.__dict__.pop("follower", None)
        self._seats.clear()
        self._followers.clear()
        self._sequencers.clear()

    @property
    def _sequencer_store(self) -> Store:
        return self._sequencer_of(self.sequencer.address)[0]

    def _seat(self, committee: Committee, index: int) -> Seat:
        key_set, password = committee.key_set, self.password()
        role = self.home.member_role(key_set, index)
        store, follower = self._follower_of(role)
        member = Member(
            index=index,
            chain=follower.chain,
            committee=committee,
            identity=self.home.identity(role, password),
            key_share=self.home.key_share(index, password, role=role, epoch=key_set.epoch),
            records=store,
            random=self._random,
        )
        return Seat(member=member, follower=follower, store=store, ballot=Ballot(committee))

    def _follower_of(self, role: str) -> tuple[Store, Follower]:
        """Whoever is a member of two committees follows the chain once."""
        if role not in self._followers:
            store = self.home.store(role)
            first, *successors = self.committees
            follower = Follower(first, successors=successors, records=store, inbox=self._inbox, checkpoints=False)
            self._followers[role] = store, follower
        return self._followers[role]

    def _publish(self, release: ShareRelease) -> None:
        self._perform(self.follower.receive(release), self._archive)
        for store, follower in self._followers.values():
            with suppress(Rejected):  # it could not follow this height
                self._perform(follower.receive(release), store)

    def password(self) -> Password:
        """Opens the roles' keystores. ValueError if none was handed over."""
        if self._open_password is None:
            raise ValueError("this network was loaded without a password: signing needs one")
        return self._open_password()


class _LazySigner:
    """Opens a keystore when the first signature is asked for: reading needs no password."""

    def __init__(self, address: bytes, load: Callable[[], Identity]) -> None:
        self.address = address
        self._load = load

    @cached_property
    def _identity(self) -> Identity:
        return self._load()

    def sign(self, digest: bytes) -> bytes:
        return self._identity.sign(digest)


def sequencer_role(genesis: Genesis, address: bytes) -> str:
    """Where a sequencer's files are: `sequencer` for the genesis' own."""
    return "sequencer" if address == genesis.sequencer else f"sequencers/{address.hex()}"


def _sent(effect: object) -> Send:
    if not isinstance(effect, Send):
        raise TypeError(f"a message was expected, not {type(effect).__name__}")
    return effect


def _only(effects: Sequence[object]) -> Send:
    (effect,) = effects
    return _sent(effect)


def load_committees(home: Home, *, backend: str = DEFAULT_BACKEND) -> tuple[Committee, ...]:
    """Every committee of the home's network, checked one from the other. Raises Malformed or Rejected."""
    genesis = home.genesis()
    first, *others = home.key_sets()
    committees = [Committee.load(genesis, first, home.parameters(first.message), backend=backend)]
    for signed in others:
        parameters = home.parameters(signed.message)
        committees.append(committees[-1].load_successor(signed, parameters, backend=backend))
    return tuple(committees)


def check_share(home: Home, committee: Committee, index: int, password: Password) -> str:
    """Have a member's share open the key's test ciphertext: "good" or "wrong", or "erased" where its member signed that
    it is. EnvironmentProblem if it is not here, Malformed if it cannot be read."""
    key_set, scheme = committee.key_set, committee.scheme
    role = home.member_role(key_set, index)
    try:
        share = home.key_share(index, password, role=role, epoch=key_set.epoch)
    except WrongPassword:
        raise
    except EnvironmentProblem:
        if home.store(role).get(ERASURE, committee.committee_id) is None:
            raise
        return "erased"
    test = DerivedSelfTest(scheme, network=committee.genesis.root, random=entropy.system)
    public = public_material(key_set, committee.parameters)
    try:
        test.verify(public, index, test.share(public, share))
    except (Malformed, Rejected):
        return "wrong"
    return "good"


class _Verifier:
    """The public check of a ciphertext by the scheme and key that its header names."""

    def __init__(self, committees: Sequence[Committee]) -> None:
        self._by_key = {committee.key_set.key_id: committee for committee in committees}

    def verify_ciphertext(self, transaction: EncryptedTransaction) -> object:
        return self._by_key[transaction.header.key_id].verify_ciphertext(transaction)


def fresh_home(path: Path) -> tuple[Home, Password]:
    """A home with a generated password."""
    home = Home(path)
    password = home.generated_password(create=True)
    if password is None:
        raise AssertionError("a generated password was just written")
    return home, password
