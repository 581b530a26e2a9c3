"""The operator's side of key ceremonies between separate nodes: say who makes which key, watch, and hand over.

An operator decides nothing that members do not check: they take its plan only if their configuration lists it, make
the key among themselves, and sign a key set only if it is what they made. Every step may be repeated.

From one committee to the next: plan, ceremony, then the sequencer names the start and leaves the heights from there on
free, then members of the committee sign, then everyone is told. A handover that stopped after the announcement is
finished by the next one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.genesis import Nodes
from encmempool.home import Home
from encmempool.keysets import Committee, default_threshold, sign_key_set, signatures_needed
from encmempool.network.ceremonies import (
    CeremonyPeer,
    CeremonyPlan,
    CeremonyResult,
    CeremonyState,
    Kind,
    Phase,
    check_plan,
    key_set_of_successor,
    sign_plan,
)
from encmempool.network.ceremony import check_committee, fresh_attempt
from encmempool.network.local import Plan, development_genesis, limits_of
from encmempool.network.peer import BlockingPeer, PeerProblem, PeerTls, Refused
from encmempool.network.wire import SignedOrder, SuccessorOrder
from encmempool.ssz import SszObject
from encmempool.types import ZERO_HASH, Genesis, KeySet, SignedKeySet, signing_digest
from threshold import entropy
from threshold.keys import CeremonyFailed, parameter_digest
from threshold.sansio import Signer
from threshold.schemes.base import Scheme

ROUND_MS = 20_000
ATTEMPTS = 3
_POLL_S = 0.1
_OPEN_WITHIN_MS = 60_000
_PATIENCE_S = 60.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One node as its operators know it."""

    url: str
    address: bytes
    role: str


class Sites:
    """The nodes of a network, by their addresses. Close it."""

    def __init__(
        self,
        sequencer: str,
        members: Sequence[str],
        others: Sequence[str] = (),
        *,
        tls: PeerTls | None = None,
        timeout_s: float = 20.0,
    ) -> None:
        self._peers = {
            url: BlockingPeer(url, tls=tls, timeout_s=timeout_s)
            for url in dict.fromkeys((sequencer, *members, *others))
        }
        self.sequencer = sequencer
        self.members = tuple(members)
        self.others = tuple(others)

    def __enter__(self) -> Sites:
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self._peers.values():
            peer.close()

    @property
    def everyone(self) -> tuple[str, ...]:
        return tuple(self._peers)

    def peer(self, url: str) -> BlockingPeer:
        return self._peers[url]

    def site(self, url: str, role: str) -> Site:
        """Who answers there. EnvironmentProblem if nobody does, or somebody else."""
        document = _answered(self._peers[url], "node")
        try:
            found, address = document["role"], bytes.fromhex(document["address"].removeprefix("0x"))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise PeerProblem(f"{url} does not say who it is") from None
        if found != role:
            raise EnvironmentProblem(f"{url} is a {found}, not a {role}: check the addresses")
        return Site(url=url, address=address, role=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What an operator has brought about. `absent` says why members took no part, `blamed` who misbehaved."""

    committee: Committee
    absent: dict[str, str]
    blamed: tuple[tuple[int, str], ...]
    attempts: int


def create(
    sites: Sites,
    plan: Plan,
    scheme: Scheme,
    operator: Signer,
    home: Home,
    *,
    round_ms: int = ROUND_MS,
    progress: Progress = lambda text: None,
) -> Made:
    """Make the first key of a new network among its members; what everyone may know is written into `home`.

    ValueError for an impossible plan, CeremonyFailed if no attempt ends with a key.
    """
    check_committee(scheme, plan.members, plan.threshold, reduced_allowed=plan.reduced_threshold)
    if len(sites.members) != plan.members:
        raise ValueError(f"{plan.members} members are planned and {len(sites.members)} addresses given")
    if home.exists:
        raise ValueError(f"there is a network in {home.path} already: choose another --home, or remove it")
    limits = limits_of(scheme, batch_limit=plan.batch_limit, rounds=plan.rounds)
    members = [sites.site(url, "member") for url in sites.members]
    sequencer = sites.site(sites.sequencer, "sequencer")
    plan = replace(plan, batch_limit=plan.batch_limit or limits.batch)
    genesis = development_genesis(plan, sequencer=sequencer.address, members=[member.address for member in members])
    ceremony = _plan(
        genesis,
        scheme,
        kind=Kind.GENERATE,
        before=None,
        peers=[CeremonyPeer(address=member.address, url=member.url.encode(), holder=0) for member in members],
        n=plan.members,
        t=plan.threshold,
        batch_limit=genesis.batch_limit,
        rounds=limits.rounds or 0,
        sequencer=sequencer.address,
        round_ms=round_ms,
    )
    done = _perform(
        sites, ceremony, operator, needed=max(plan.threshold, default_threshold(plan.members)), progress=progress
    )
    progress("the members sign the first key set")
    for url in (sites.sequencer, *sites.others):
        _told(sites.peer(url), "open_ceremony", sign_plan(done.plan, operator))
    signed, parameters = _first_key_set(sites, done)
    committee = Committee.load(genesis, signed, parameters)
    home.path.mkdir(parents=True, exist_ok=True)
    nodes = Nodes(sequencer=sites.sequencer, members=sites.members, others=sites.others)
    home.write_network(genesis, signed, parameters, nodes=nodes)
    progress("everyone takes it over")
    wait_ready(sites, [sites.sequencer, *done.finished])
    return Made(committee=committee, absent=done.absent, blamed=done.blamed, attempts=done.attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What the next committee is to be like. Without any change the key is shared anew among the same members.

    members      addresses (URLs) of the next committee in order; by default the present ones
    sequencer    another sequencer's URL, after the present one proved dishonest
    """

    members: tuple[str, ...] = ()
    sequencer: str | None = None
    threshold: int | None = None
    reduced_threshold: bool = False
    scheme: Scheme | None = None
    new_key: bool = False
    overlap: int | None = None
    batch_limit: int | None = None
    rounds: int | None = None


def rotate(
    sites: Sites,
    committees: Sequence[Committee],
    handover: Handover,
    operator: Signer,
    *,
    round_ms: int = ROUND_MS,
    progress: Progress = lambda text: None,
) -> Made:
    """Hand over from the newest of `committees` to the next. `sites` holds its members, in its order."""
    before = committees[-1]
    scheme = handover.scheme or before.scheme
    same_key = scheme.info == before.scheme.info and not handover.new_key
    if same_key and not scheme.info.reshares:
        raise ValueError(f"a {scheme.info.name} key cannot be shared anew: ask for a new key")
    urls = handover.members or sites.members
    next_sequencer = handover.sequencer or sites.sequencer
    key_set = _announced(sites, next_sequencer, before)
    absent: dict[str, str] = {}
    blamed: tuple[tuple[int, str], ...] = ()
    attempts = 0
    if key_set is None:
        plan, absent_at_first = _handover_plan(sites, before, handover, scheme, urls, same_key, round_ms)
        done = _perform(sites, plan, operator, needed=plan.t, progress=progress)
        progress("the sequencer names the start")
        public = done.result.public(_parameters(sites, done))
        wanted = key_set_of_successor(done.plan, public, before.key_set, start=(0, ZERO_HASH, 0))
        overlap = before.genesis.deadlines.include_heights if handover.overlap is None else handover.overlap
        made: KeySet = _answered(
            sites.peer(next_sequencer),
            "announce_successor",
            body=_order(wanted, 0 if same_key else overlap, operator, before.genesis),
        )
        key_set = made
        absent, blamed, attempts = {**absent_at_first, **done.absent}, done.blamed, done.attempts
    progress("the committee signs its successor")
    signed = _collect_signatures(sites, before, key_set, operator)
    progress("everyone takes it over")
    reasons = [reason for url in sites.everyone if (reason := _told(sites.peer(url), "announce_key_set", signed))]
    if len(reasons) == len(sites.everyone):
        raise EnvironmentProblem(f"nobody took the new key set: {reasons[0]}")
    parameters = _parameters_of(sites, key_set)
    following = before.load_successor(signed, parameters)
    return Made(committee=following, absent=absent, blamed=blamed, attempts=attempts)


def erasures(sites: Sites, committee: Committee) -> int:
    """Members of a committee that are known to have erased their shares of it."""
    found: set[int] = set()
    for url in sites.everyone:
        try:
            statements = sites.peer(url).call("erasures").erasures
        except (PeerProblem, Refused):
            continue
        for signed in statements:
            if signed.message.committee_id == committee.committee_id:
                with suppress(Rejected):
                    found.add(committee.signing_member(signed.message, signed.signature, rule="AUD-2"))
    return len(found)


# --- ceremonies ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    plan: CeremonyPlan
    result: CeremonyResult
    finished: tuple[str, ...]
    absent: dict[str, str]
    blamed: tuple[tuple[int, str], ...]
    attempts: int


def _plan(
    genesis: Genesis,
    scheme: Scheme,
    *,
    kind: Kind,
    before: KeySet | None,
    peers: Sequence[CeremonyPeer],
    n: int,
    t: int,
    batch_limit: int,
    rounds: int,
    sequencer: bytes,
    round_ms: int,
) -> CeremonyPlan:
    plan = CeremonyPlan(
        genesis=genesis,
        epoch=1 if before is None else before.epoch + 1,
        kind=kind,
        scheme=scheme.info.number,
        n=n,
        t=t,
        reduced_threshold=int(t < default_threshold(n)),
        batch_limit=batch_limit,
        rounds=rounds,
        sequencer=sequencer,
        attempt=fresh_attempt(entropy.system),
        predecessor=ZERO_HASH if before is None else before.root,
        peers=tuple(peers),
        round_ms=round_ms,
        open_by_ms=_now_ms() + _OPEN_WITHIN_MS,
    )
    check_plan(plan, before)
    return plan


def _handover_plan(
    sites: Sites,
    before: Committee,
    handover: Handover,
    scheme: Scheme,
    urls: Sequence[str],
    same_key: bool,
    round_ms: int,
) -> tuple[CeremonyPlan, dict[str, str]]:
    key_set = before.key_set
    addresses = {url: sites.site(url, "member").address for url in urls}
    n = len(urls)
    t = default_threshold(n) if handover.threshold is None else handover.threshold
    check_committee(scheme, n, t, reduced_allowed=handover.reduced_threshold)
    absent: dict[str, str] = {}
    peers = [
        CeremonyPeer(address=address, url=url.encode(), holder=int(same_key and address in key_set.members))
        for url, address in addresses.items()
    ]
    if same_key:
        for url in sites.members:
            if url in addresses:
                continue
            try:
                leaver = sites.site(url, "member")
            except EnvironmentProblem as error:
                absent[url] = str(error)
                continue
            if leaver.address in key_set.members:
                peers.append(CeremonyPeer(address=leaver.address, url=url.encode(), holder=1))
        batch_limit, rounds = key_set.batch_limit, key_set.rounds
    else:
        limits = limits_of(
            scheme,
            batch_limit=handover.batch_limit or min(before.genesis.batch_limit, key_set.batch_limit),
            rounds=handover.rounds,
        )
        batch_limit = limits.batch or handover.batch_limit or before.genesis.batch_limit
        rounds = limits.rounds or 0
    plan = _plan(
        before.genesis,
        scheme,
        kind=Kind.RESHARE if same_key else Kind.GENERATE,
        before=key_set,
        peers=peers,
        n=n,
        t=t,
        batch_limit=batch_limit,
        rounds=rounds,
        sequencer=sites.site(handover.sequencer, "sequencer").address if handover.sequencer else key_set.sequencer,
        round_ms=round_ms,
    )
    return plan, absent


def _perform(sites: Sites, plan: CeremonyPlan, operator: Signer, *, needed: int, progress: Progress) -> _Done:
    """Attempts until one ends with a key that `needed` members have. CeremonyFailed with the last reason."""
    blamed: dict[tuple[int, str], None] = {}
    reason = "nobody took part"
    for attempt in range(1, ATTEMPTS + 1):
        progress(f"key ceremony{f', attempt {attempt}' if attempt > 1 else ''}: {plan.n} members, {plan.t} open")
        plan = replace(plan, attempt=fresh_attempt(entropy.system), open_by_ms=_now_ms() + _OPEN_WITHIN_MS)
        signed = sign_plan(plan, operator)
        absent: dict[str, str] = {}
        urls = [peer.url.decode() for peer in plan.peers]
        for url in urls:
            try:
                _answered(sites.peer(url), "open_ceremony", body=signed)
            except (EnvironmentProblem, Malformed, Rejected) as error:
                absent[url] = str(error)
        if len(urls) - len(absent) < needed:
            first = next(iter(absent.values()))
            raise EnvironmentProblem(f"{len(urls) - len(absent)} members are there, {needed} are needed: {first}")
        states = _watch(sites, plan, [url for url in urls if url not in absent], needed)
        for state in states.values():
            blamed |= {(blame.member, blame.rule.decode()): None for blame in state.blamed}
        done = {url: state for url, state in states.items() if state.phase == Phase.DONE}
        results = Counter(state.result[0] for state in done.values())
        if results and results.most_common(1)[0][1] >= needed:
            result = results.most_common(1)[0][0]
            finished = tuple(url for url, state in done.items() if state.result[0] == result)
            absent |= {url: "it has no share of the key" for url in urls if url not in finished and url not in absent}
            return _Done(
                plan=plan, result=result, finished=finished, absent=absent, blamed=tuple(blamed), attempts=attempt
            )
        failures = [state.failure.decode(errors="replace") for state in states.values() if state.failure]
        reason = failures[0] if failures else "it did not end in time"
    raise CeremonyFailed(f"no key after {ATTEMPTS} attempts: {reason}", blamed=tuple(blamed))


def _watch(sites: Sites, plan: CeremonyPlan, urls: Sequence[str], needed: int) -> dict[str, CeremonyState]:
    """The members' last states, once all that answer have ended, or enough have and the others had their time."""
    longest_s = (plan.n + 16) * plan.round_ms / 1e3
    end = time.monotonic() + longest_s
    enough_since: float | None = None
    states: dict[str, CeremonyState] = {}
    while time.monotonic() < end:
        for url in urls:
            if (known := states.get(url)) is None or known.phase == Phase.RUNNING:
                try:
                    states[url] = sites.peer(url).call("ceremony", path={"ceremony_id": plan.ceremony_id})
                except (PeerProblem, Refused):
                    continue
        ended = [state for state in states.values() if state.phase != Phase.RUNNING]
        if len(ended) == len(urls):
            break
        if sum(state.phase == Phase.DONE for state in ended) >= needed:
            enough_since = enough_since or time.monotonic()
            if time.monotonic() - enough_since > plan.round_ms / 1e3:
                break
        time.sleep(_POLL_S)
    return states


# --- key sets --------------------------------------------------------------------------------------------------------


def _first_key_set(sites: Sites, done: _Done) -> tuple[SignedKeySet, bytes]:
    """As soon as one member has collected enough signatures."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        for url in done.finished:
            try:
                signed = sites.peer(url).call("key_set", path={"epoch": 1})
            except (PeerProblem, Refused):
                continue
            return signed, _parameters(sites, done)
        time.sleep(_POLL_S)
    raise EnvironmentProblem("the members made a key and too few signed the first key set: start with a new genesis")


def _announced(sites: Sites, sequencer: str, before: Committee) -> KeySet | None:
    """The successor that the sequencer keeps heights free for already."""
    try:
        found: KeySet = sites.peer(sequencer).call("announced", path={"committee_id": before.committee_id})
    except (PeerProblem, Refused):
        return None
    return found


def _collect_signatures(sites: Sites, before: Committee, key_set: KeySet, operator: Signer) -> SignedKeySet:
    """By the predecessor's members, in their order. They have to have followed the chain up to the start."""
    needed = signatures_needed(before.key_set)
    order = _order(key_set, 0, operator, before.genesis)
    signatures: dict[int, bytes] = {}
    reason = "nobody answered"
    end = time.monotonic() + _PATIENCE_S
    while len(signatures) < needed:
        for url in sites.members:
            try:
                signed: SignedKeySet = _answered(sites.peer(url), "sign_successor", body=order)
                for signature in signed.signatures:
                    index = before.signing_member(key_set, signature, rule="KEY-8")
                    signatures[index] = signature
            except (EnvironmentProblem, Malformed, Rejected) as error:
                reason = f"{url}: {error}"
        if len(signatures) < needed and time.monotonic() > end:
            raise EnvironmentProblem(
                f"{len(signatures)} members signed the next key set, {needed} are needed ({reason}): "
                "run `encmempool committee rotate` again once they are back"
            )
        if len(signatures) < needed:
            time.sleep(_POLL_S)
    ordered = [signature for _, signature in sorted(signatures.items())]
    return sign_key_set(key_set, ordered)


def _order(key_set: KeySet, overlap: int, operator: Signer, genesis: Genesis) -> SignedOrder:
    order = SuccessorOrder(key_set=key_set, overlap=overlap)
    return SignedOrder(order=order, signature=operator.sign(signing_digest(order, genesis.root)))


def _parameters(sites: Sites, done: _Done) -> bytes:
    return _fetched(sites, done.finished, done.result.parameter_digest)


def _parameters_of(sites: Sites, key_set: KeySet) -> bytes:
    return _fetched(sites, sites.members, key_set.parameter_digest)


def _fetched(sites: Sites, urls: Sequence[str], digest: bytes) -> bytes:
    if digest == parameter_digest(b""):
        return b""
    for url in urls:
        try:
            data: bytes = sites.peer(url).call("parameters", path={"digest": digest})
        except (PeerProblem, Refused):
            continue
        if parameter_digest(data) == digest:
            return data
    raise EnvironmentProblem("no member hands out the parameters of the new key")


def wait_ready(sites: Sites, urls: Sequence[str], *, timeout_s: float = _PATIENCE_S) -> None:
    """Until these nodes can do their part. EnvironmentProblem naming one that cannot."""
    end = time.monotonic() + timeout_s
    for url in urls:
        while True:
            try:
                sites.peer(url).call("ready")
                break
            except (PeerProblem, Refused) as error:
                if time.monotonic() > end:
                    raise EnvironmentProblem(f"{url} is not ready after {timeout_s:g} s: {error}") from error
            time.sleep(_POLL_S)


def _answered(peer: BlockingPeer, name: str, **options: Any) -> Any:
    """A call whose refusal is ours: Rejected with its rule, or EnvironmentProblem."""
    try:
        return peer.call(name, **options)
    except Refused as refused:
        if refused.rule:
            raise Rejected(refused.rule, refused.message.removesuffix(f" [{refused.rule}]")) from refused
        raise EnvironmentProblem(refused.message) from refused


def _told(peer: BlockingPeer, name: str, message: SszObject) -> str:
    """Empty if the node took it, else why not."""
    try:
        peer.call(name, body=message)
    except (PeerProblem, Refused) as error:
        return f"{peer.url}: {error}"
    return ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
