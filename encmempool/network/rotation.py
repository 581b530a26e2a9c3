"""From one committee to the next: the same key shared anew, or another key with a window in which both are known.

The order of steps decides what a crash leaves behind. New shares are written first; then the key set is announced, and
the sequencer commits nothing from its start on without it; then members sign it, each behind its guard record; then it
is written, from which moment it counts; then old shares are erased. A rotation that stopped after the announcement is
finished by the next one, with the bytes that were announced.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from encmempool.committee import ERASURE
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.identity import Identity
from encmempool.keysets import DISTRIBUTED, Committee, default_threshold, successor_key_set
from encmempool.network.ceremony import check_committee, generate_keys, reshare_key
from encmempool.network.local import DEFAULT_KEY_BATCH, LocalNetwork, check_share, limits_of, sequencer_role
from encmempool.types import ZERO_HASH, Erasure, KeySet, SignedErasure, signing_digest
from threshold.entropy import Random
from threshold.keys import KeyMaterial, Limits
from threshold.sansio import Persist
from threshold.schemes.base import Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the next committee is to be like. Without any change the key is refreshed in place.

    remove                 indices of members who leave
    add                    how many join
    threshold              by default floor(2n/3) + 1 of the next n
    new_key                make another key instead of sharing the same anew; implied by another `scheme`
    overlap                heights for which the key in use goes on while the next is known; by default as many as a
                           receipt may take
    batch_limit, rounds    of another key
    new_sequencer          another sequencer takes over, above all that is certified: what the one before committed to
                           beyond that is void, and whoever it gave a receipt submits again
    """

    remove: frozenset[int] = frozenset()
    add: int = 0
    threshold: int | None = None
    reduced_threshold: bool = False
    scheme: Scheme | None = None
    new_key: bool = False
    overlap: int | None = None
    batch_limit: int | None = None
    rounds: int | None = None
    new_sequencer: bool = False


@dataclass(frozen=True, kw_only=True)
class _Next:
    """The members to come, by index from 1: where their files are, and who they are."""

    t: int
    roles: tuple[str, ...]
    identities: tuple[Identity, ...]
    joining: frozenset[str]

    @property
    def addresses(self) -> tuple[bytes, ...]:
        return tuple(identity.address for identity in self.identities)


def rotate(network: LocalNetwork, change: Change, *, random: Random) -> Committee:
    """Reveal what is committed and hand over; returns the next committee. One that was announced before is finished
    instead, whatever the change.

    ValueError for an impossible change, EnvironmentProblem if too few members are here, CeremonyFailed.
    """
    with suppress(Rejected) if change.new_sequencer else nullcontext():
        network.reveal()
    retire(network)
    before = network.committees[-1]
    announced = network.announced(before.committee_id)
    if announced is not None:
        return _finish(network, announced)
    scheme = change.scheme or before.scheme
    same_key = scheme.info == before.scheme.info and not change.new_key
    _check(network, before, change, scheme, same_key=same_key)
    limits = _limits(before, change, scheme)
    following = _next_members(network, before, change, scheme, random)
    results = (
        _reshare(network, before, following, random)
        if same_key
        else generate_keys(
            scheme,
            following.identities,
            following.t,
            genesis_root=before.genesis.root,
            limits=limits,
            epoch=before.key_set.epoch + 1,
            random=random,
        )
    )
    sequencer = Identity(random(32)) if change.new_sequencer else None
    key_set = (
        _same_key_set(network, before, change, following, results)
        if same_key
        else _new_key_set(network, before, change, scheme, following, results, limits)
    )
    if sequencer is not None:
        key_set = replace(key_set, sequencer=sequencer.address)
        _write_sequencer(network, sequencer)
    _write(network, key_set, following, results)
    network.announce(key_set)
    return _finish(network, key_set)


def retire(network: LocalNetwork) -> int:
    """Erase the shares of committees whose heights are all executed; each member signs a statement. Returns how many.

    It cannot reach copies, backups or what a disk still holds: t of those would open everything encrypted to the key.
    """
    erased, home = 0, network.home
    for committee, following in zip(network.committees, network.committees[1:], strict=False):
        if network.follower.latest.height < following.key_set.start_height - 1:
            continue
        statement = Erasure(committee_id=committee.committee_id)
        for index in range(1, committee.key_set.n + 1):
            with suppress(EnvironmentProblem, Malformed):
                role = home.member_role(committee.key_set, index)
                store = home.store(role)
                if store.get(ERASURE, committee.committee_id) is None:
                    identity = home.identity(role, network.password())
                    home.erase_key_share(role, committee.key_set.epoch)
                    signature = identity.sign(signing_digest(statement, committee.genesis.root))
                    signed = SignedErasure(message=statement, signature=signature)
                    store.put([Persist(kind=ERASURE, key=committee.committee_id, value=signed.encoded)])
                    erased += 1
    return erased


def _check(network: LocalNetwork, before: Committee, change: Change, scheme: Scheme, *, same_key: bool) -> None:
    key_set, head = before.key_set, _head(network, change)
    if change.new_sequencer and network.follower.latest.height < head:
        raise EnvironmentProblem(
            f"height {head} is certified and not open: bring its members' shares before another sequencer takes over"
        )
    if head < key_set.start_height:
        raise ValueError(
            f"no height of epoch {key_set.epoch} is committed yet, it starts at {key_set.start_height}: "
            "run `sequencer commit` and `committee reveal` up to there first"
        )
    strangers = [index for index in sorted(change.remove) if not 1 <= index <= key_set.n]
    if strangers:
        raise ValueError(f"there is no member {strangers[0]} to remove: the committee has {key_set.n}")
    if same_key and network.sequencer.rounds_left == 0:
        raise ValueError("all rounds of this key are used: ask for a new key")
    if same_key and not scheme.info.reshares:
        raise ValueError(f"a {scheme.info.name} key cannot be shared anew: ask for a new key")
    if same_key and (change.overlap, change.batch_limit, change.rounds) != (None, None, None):
        raise ValueError("overlap, batch limit and rounds belong to a new key: ask for one")
    if (change.batch_limit or 0) > before.genesis.batch_limit:
        raise ValueError(f"the genesis allows batches of {before.genesis.batch_limit} at most")


def _head(network: LocalNetwork, change: Change) -> int:
    """The height above which the next key set may start."""
    return network.follower.chain.certified if change.new_sequencer else network.sequencer.height


def _limits(before: Committee, change: Change, scheme: Scheme) -> Limits:
    batch_limit = change.batch_limit or min(DEFAULT_KEY_BATCH, before.genesis.batch_limit)
    return limits_of(scheme, batch_limit=batch_limit, rounds=change.rounds)


def _next_members(network: LocalNetwork, before: Committee, change: Change, scheme: Scheme, random: Random) -> _Next:
    home, key_set, password = network.home, before.key_set, network.password()
    staying = [home.member_role(key_set, i) for i in range(1, key_set.n + 1) if i not in change.remove]
    n = len(staying) + change.add
    t = default_threshold(n) if change.threshold is None else change.threshold
    check_committee(scheme, n, t, reduced_allowed=change.reduced_threshold)
    joining = home.next_member_roles(change.add)
    identities = (*(home.identity(role, password) for role in staying), *(Identity(random(32)) for _ in joining))
    return _Next(t=t, roles=(*staying, *joining), identities=identities, joining=frozenset(joining))


def _reshare(network: LocalNetwork, before: Committee, following: _Next, random: Random) -> tuple[KeyMaterial, ...]:
    """Everyone who holds a good share here deals it; any t of them are enough."""
    holders, password = {}, network.password()
    for index in range(1, before.key_set.n + 1):
        with suppress(EnvironmentProblem, Malformed):
            if check_share(network.home, before, index, password) != "good":
                continue
            role = network.home.member_role(before.key_set, index)
            share = network.home.key_share(index, password, role=role, epoch=before.key_set.epoch)
            holders[network.home.identity(role, password)] = share
    if len(holders) < before.key_set.t:
        raise EnvironmentProblem(f"{len(holders)} shares are here, {before.key_set.t} are needed to hand the key over")
    return reshare_key(before, holders, following.identities, following.t, random=random)


def _same_key_set(
    network: LocalNetwork, before: Committee, change: Change, following: _Next, results: Sequence[KeyMaterial]
) -> KeySet:
    head, old = _head(network, change), before.key_set
    last = network.follower.chain.at(head)
    if last is None:
        raise AssertionError("the last height was revealed and is not known")
    return successor_key_set(
        old,
        results[0].public,
        members=following.addresses,
        start=(head + 1, last.commitment.root, last.commitment.round),
        setup_kind=old.setup_kind,
        setup_privacy=min(old.setup_privacy, following.t),
        batch_limit=old.batch_limit,
        rounds=old.rounds,
    )


def _new_key_set(
    network: LocalNetwork,
    before: Committee,
    change: Change,
    scheme: Scheme,
    following: _Next,
    results: Sequence[KeyMaterial],
    limits: Limits,
) -> KeySet:
    genesis, public = before.genesis, results[0].public
    # A key that opens nothing any more needs no time to end in.
    usual = 0 if change.new_sequencer or network.sequencer.rounds_left == 0 else genesis.deadlines.include_heights
    overlap = usual if change.overlap is None else change.overlap
    return successor_key_set(
        before.key_set,
        public,
        members=following.addresses,
        start=(_head(network, change) + 1 + overlap, ZERO_HASH, 0),
        setup_kind=DISTRIBUTED,
        setup_privacy=scheme.setup_privacy(public.members, following.t),
        batch_limit=limits.batch or change.batch_limit or genesis.batch_limit,
        rounds=limits.rounds or 0,
    )


def _write_sequencer(network: LocalNetwork, sequencer: Identity) -> None:
    role = sequencer_role(network.committees[0].genesis, sequencer.address)
    network.home.write_identity(role, sequencer, network.password())
    network.home.create_store(role)


def _write(network: LocalNetwork, key_set: KeySet, following: _Next, results: Sequence[KeyMaterial]) -> None:
    """All that the next committee needs, except the key set itself, which makes it count."""
    home, password = network.home, network.password()
    home.write_parameters(key_set.parameter_digest, results[0].public.parameters)
    members = zip(following.roles, following.identities, results, key_set.verification_keys, strict=True)
    for role, identity, result, public in members:
        if role in following.joining:
            home.write_identity(role, identity, password)
            home.create_store(role)
        home.write_key_share(role, result.share, public, password, epoch=key_set.epoch)


def _finish(network: LocalNetwork, key_set: KeySet) -> Committee:
    network.adopt(network.sign_successor(key_set))
    retire(network)
    return network.committees[-1]
