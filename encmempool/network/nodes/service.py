"""One node as a process: HTTP on one side, its core on a thread of its own on the other.

The loop takes requests, and hands them to the thread one by one; what comes out goes to the other nodes, to whoever
listens to events, and to log and metrics. Besides, a node asks around for what it lacks.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from typing import Any, TypeVar

from encmempool import genesis as genesis_file
from encmempool.errors import Conflict, EnvironmentProblem, Malformed, Rejected, StorageError
from encmempool.forced import known_entry
from encmempool.identity import recover_signer
from encmempool.network.config import NodeConfig
from encmempool.network.endpoints import ENDPOINTS
from encmempool.network.links import Link
from encmempool.network.nodes.core import Core, Happening, Outbox
from encmempool.network.nodes.l1_link import L1Link
from encmempool.network.observation import Log, Metrics
from encmempool.network.peer import Peer, PeerProblem, PeerTls, Refused
from encmempool.network.server import Application, Call, Event, EventFeed, Events, Limits, Listener, Problem, serve
from encmempool.network.wire import (
    AbstentionList,
    ErasureList,
    EvidenceList,
    HeightRecord,
    KeySetList,
    ShareList,
    SignedOrder,
    VoteList,
)
from encmempool.reveal import Outcome
from encmempool.sequencer import CommittedBatch
from encmempool.ssz import SszObject
from encmempool.status import Status
from encmempool.types import (
    Genesis,
    InboxEntry,
    OrderCertificate,
    Proposal,
    Reveal,
    SignedCommitment,
    SignedKeySet,
)
from threshold.keys import parameter_digest

_LOOK_AROUND_S = 1.0
_STALLED_S = 0.3
_RECENT_HEIGHTS = 64
_VERSION = version("encmempool")

Result = TypeVar("Result")
Handler = Callable[[Call], Awaitable[Any]]


class Service:
    """What every role serves and does. `run` ends when `stop` is set."""

    def __init__(self, config: NodeConfig, core: Core, *, log: Log, address: bytes) -> None:
        self.config = config
        self.core = core
        self.log = log
        self.address = address
        self.metrics = Metrics()
        self.stop = asyncio.Event()
        self.port = config.port
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="role")
        self._progress = asyncio.Event()
        self.looked_around = asyncio.Event()
        """Set once others were asked for what this node lacks, or did not answer."""
        self._feed = EventFeed()
        self._event_number = 0
        self._committed_at: dict[int, float] = {}
        self._storage_error: str | None = None
        tls = config.tls
        self._peer_tls = (
            PeerTls(authority=tls.authority, certificate=tls.certificate, key=tls.key) if tls is not None else None
        )
        self.below: L1Link | None = None
        """To the chain below, where one is configured."""
        self.links = {url: Link(Peer(url, tls=self._peer_tls), fate=self._fate) for url in config.peers}

    # --- running

    def application(self) -> Application:
        """The HTTP side, by itself."""
        limits = self.config.limits
        return Application(
            self.handlers(),
            endpoints=ENDPOINTS,
            limits=Limits(
                requests_per_s=limits.requests_per_s,
                burst=limits.burst,
                connections=limits.connections,
                exempt=frozenset(limits.exempt),
            ),
            observe=self._observe,
            log=self._failed,
            title=f"encmempool {self.core.role}",
        )

    async def run(self, started: Callable[[int], None] = lambda port: None) -> None:
        """Serve until `stop` is set, then finish what is under way. EnvironmentProblem if the port is taken."""
        tls = self.config.tls
        listener = Listener(
            host=self.config.host,
            port=self.config.port,
            certificate=tls.certificate if tls else None,
            key=tls.key if tls else None,
            peer_authorities=tls.client_authority if tls else None,
        )

        def ready(port: int) -> None:
            self.port = port
            self.log.write("started", role=self.core.role, port=port, address=self.address)
            started(port)

        tasks = [asyncio.create_task(self._guarded(work)) for work in self.work()]
        gc.collect()
        gc.freeze()  # what was loaded stays: the collector need not look at it again and again
        try:
            await serve(self.application(), listener, started=ready, stop=self.stop)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.leave()
            await asyncio.to_thread(self.close)
            self.log.write("stopped")

    async def leave(self) -> None:
        """Close the connections to others."""
        for link in self.links.values():
            await link.peer.close()

    def close(self) -> None:
        """After the last request: finish the thread's work, close the database."""
        if self.below is not None:
            self.below.close()
        self._thread.shutdown(wait=True)
        self.core.store.close()

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on besides requests."""
        below = [self.below.run(self)] if self.below is not None else []
        return [*(link.run() for link in self.links.values()), self._look_around(), *below]

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """A background task that fails takes the node down: half a node would look alive."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.log.write("failed", level="error", kind=type(error).__name__, reason=str(error))
            self.stop.set()
            raise

    async def act(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Do something on the core's thread, and tell what comes out of it."""
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(self._thread, call, *arguments)
        except (StorageError, Conflict) as error:
            self._storage_failed(error)
            raise
        self._storage_error = None
        if isinstance(result, Outbox):
            self.publish(result)
        return result

    def publish(self, out: Outbox) -> None:
        for endpoint, message in out.messages:
            for link in self.links.values():
                link.tell(endpoint, message)
        for happening in out.happenings:
            self._happened(happening)
        if out.happenings:
            self._progress.set()

    def _storage_failed(self, error: Exception) -> None:
        self.metrics.storage_failures.inc()
        self._storage_error = str(error)
        self.log.write("storage", level="error", reason=str(error))

    # --- asking around

    async def _look_around(self) -> None:
        """Ask others for the next height while it is known, or said, to exist and does not come by itself."""
        claimed = 0
        looked = nudged = 0.0
        while True:
            self._progress.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._progress.wait(), _STALLED_S)
                continue  # things move
            if not self.core.has_network:
                await self.find_network()
                continue
            if time.monotonic() - looked > _LOOK_AROUND_S:
                looked = time.monotonic()
                claimed = max(claimed, await self._heads())
                await self._find_key_sets()
            following = self.core.executed_height + 1
            if following <= max(self.core.head, claimed):
                if time.monotonic() - nudged > _LOOK_AROUND_S:
                    nudged = time.monotonic()
                    with suppress(StorageError, Conflict):
                        await self.act(self.core.nudge)
                await self._fetch(following)
            self.looked_around.set()

    async def _heads(self) -> int:
        """The highest height that a node says it knows. Nobody relies on it."""
        heads = [0]
        for link in self._others():
            with suppress(Refused, PeerProblem, KeyError, TypeError, ValueError):
                document = await link.peer.call("node")
                heads.append(min(int(document["head"]), self.core.executed_height + _RECENT_HEIGHTS))
                break
        return max(heads)

    async def _fetch(self, height: int) -> None:
        """Take heights from others, one after the other, until nobody has more."""
        for link in self._others():
            while not self.stop.is_set():
                before = self.core.executed_height
                try:
                    record = await link.peer.call("height", path={"height": height})
                except (Refused, PeerProblem):
                    break
                if not isinstance(record, HeightRecord):
                    break
                try:
                    await self.act(self.core.take_height, record)
                except (Malformed, Rejected) as error:
                    self.log.write("refused", level="warning", height=height, reason=str(error), peer=link.peer.url)
                    break
                except (StorageError, Conflict):
                    return
                if self.core.executed_height == before:
                    break
                height = self.core.executed_height + 1

    async def find_network(self) -> None:
        """Take the network's first key set from others, once the genesis is known."""
        if not self.core.home.exists:
            return
        genesis = self.core.home.genesis()
        for link in self._others():
            with suppress(Refused, PeerProblem, Malformed, Rejected, EnvironmentProblem):
                found: KeySetList = await link.peer.call("key_sets")
                for signed in found.key_sets:
                    await self._fetch_parameters(link.peer, signed)
                await self.act(self.core.take_network, genesis, found.key_sets)
                self.log.write("network", genesis_root=genesis.root, epochs=len(found.key_sets))
                return

    async def _find_key_sets(self) -> None:
        for link in self._others():
            with suppress(Refused, PeerProblem, Malformed, Rejected, EnvironmentProblem):
                newest = len(self.core.committees)
                signed: SignedKeySet = await link.peer.call("key_set", path={"epoch": newest + 1})
                await self.take_key_set(link.peer, signed)
                return

    async def take_key_set(self, source: Peer | None, signed: SignedKeySet) -> None:
        """A successor, with its parameters from where it came."""
        await self.act(self.core.take_rival, signed)
        if not await self.act(self.core.wants_key_set, signed):
            return
        for peer in [source] if source else [link.peer for link in self._others()]:
            try:
                await self._fetch_parameters(peer, signed)
                break
            except (Refused, PeerProblem) as error:
                self.log.write("refused", level="warning", reason=str(error), peer=peer.url)
        await self.act(self.core.take_key_set, signed)

    async def _fetch_parameters(self, peer: Peer, signed: SignedKeySet) -> None:
        key_set = signed.message
        if self.core.home.has_parameters(key_set):
            return
        data = await peer.call("parameters", path={"digest": key_set.parameter_digest})
        if parameter_digest(data) != key_set.parameter_digest:
            raise PeerProblem(f"{peer.url} sends other parameters than those of the key set")
        try:
            await asyncio.to_thread(self.core.home.write_parameters, key_set.parameter_digest, data)
        except OSError as error:
            raise StorageError(f"parameters cannot be kept in {self.core.home.path}: {error.strerror}") from error

    def _others(self) -> list[Link]:
        links = [link for link in self.links.values() if link.reachable] or list(self.links.values())
        random.shuffle(links)
        return links

    # --- what is told

    def _happened(self, happening: Happening) -> None:
        values = dict(happening.fields)
        name, height = happening.name, values.get("height")
        self.log.write(name, **values)  # type: ignore[arg-type]
        if name == "committed" and isinstance(height, int):
            self._committed_at[height] = time.monotonic()
            for old in [h for h in self._committed_at if h < height - _RECENT_HEIGHTS]:
                del self._committed_at[old]
        if name in ("certified", "executed") and isinstance(height, int) and height in self._committed_at:
            self.metrics.stages.labels(f"commitment_to_{name}").observe(time.monotonic() - self._committed_at[height])
        if name == "share":
            verdict = "late" if values["late"] else "on_time"
            self.metrics.shares.labels(str(values["member"]), verdict).inc()
        if name == "evidence":
            self.metrics.evidence.labels(str(values["kind"])).inc()
            if values["kind"] == "wrong_share":
                self.metrics.shares.labels(str(values["member"]), "wrong").inc()
        if name in ("committed", "certified", "executed", "dropped", "posted", "evidence", "key_set"):
            self._event_number += 1
            document = {key: _text(value) for key, value in values.items()}
            self._feed.publish(Event(name, document, self._event_number))

    def _observe(self, endpoint: str, status: int, seconds: float) -> None:
        self.metrics.requests.labels(endpoint, str(status)).observe(seconds)

    def _failed(self, event: str, /, *, error: BaseException | None = None, **fields: object) -> None:
        """A mistake of ours: its kind and place in the log, never in an answer."""
        trace = error.__traceback__ if error else None
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
        named = {name: value if isinstance(value, int) else str(value) for name, value in fields.items()}
        self.log.write(event, level="error", kind=type(error).__name__, where=where, **named)

    def _fate(self, fate: str, endpoint: str, reason: str) -> None:
        self.metrics.messages.labels(fate).inc()
        if fate != "sent":
            self.log.write(fate, level="debug", endpoint=endpoint, reason=reason)

    # --- answers

    def handlers(self) -> dict[str, Handler]:
        return {
            "node": self._node,
            "health": self._health,
            "ready": self._ready,
            "metrics": self._metrics,
            "genesis": self._genesis,
            "key_sets": self._key_sets,
            "key_set": self._key_set,
            "announce_key_set": self._announce_key_set,
            "parameters": self._parameters,
            "transaction_status": self._transaction_status,
            "account": self._account,
            "pools": self._pools,
            "commitment": self._commitment,
            "batch": self._batch,
            "height": self._height,
            "propose": self._propose,
            "votes": self._votes,
            "submit_vote": self._submit_vote,
            "certificate": self._certificate,
            "shares": self._shares,
            "submit_share": self._submit_share,
            "reveal": self._reveal,
            "outcomes": self._outcomes,
            "evidence": self._evidence,
            "submit_evidence": self._submit_evidence,
            "submit_abstention": self._submit_abstention,
            "erasures": self._erasures,
            "submit_erasure": self._submit_erasure,
            "abstentions": self._abstentions,
            "inbox_entry": self._inbox_entry,
            "open_ceremony": self._open_ceremony,
            "events": self._events,
        }

    def _require_network(self) -> None:
        if not self.core.has_network:
            raise Problem(503, "not_ready", "this node waits for the network's first key set", retry_after_s=1)

    def description(self) -> dict[str, Any]:
        core = self.core
        root = core.genesis_root
        return {
            "role": core.role,
            "version": _VERSION,
            "genesis_root": f"0x{root.hex()}" if root else None,
            "address": f"0x{self.address.hex()}",
            "member": None,
            "epoch": len(core.committees) or None,
            "head": str(core.head),
            "executed_height": str(core.executed_height),
        }

    async def _node(self, call: Call) -> dict[str, Any]:
        return self.description()

    async def _health(self, call: Call) -> dict[str, Any]:
        return {"status": "alive"}

    async def _ready(self, call: Call) -> dict[str, Any]:
        self._require_network()
        if self._storage_error is not None:
            raise Problem(503, "storage", self._storage_error, retry_after_s=1)
        behind = self.core.head - self.core.executed_height
        if behind > _RECENT_HEIGHTS:
            raise Problem(503, "not_ready", f"{behind} heights behind", retry_after_s=1)
        return {"status": "ready"}

    async def _metrics(self, call: Call) -> bytes:
        self.metrics.height.labels("known").set(self.core.head)
        self.metrics.height.labels("executed").set(self.core.executed_height)
        return self.metrics.text()

    async def _genesis(self, call: Call) -> Genesis:
        if not self.core.home.exists:
            self._require_network()
        return self.core.home.genesis()

    async def _key_sets(self, call: Call) -> KeySetList:
        self._require_network()
        return KeySetList(key_sets=tuple(committee.signed for committee in self.core.committees))

    async def _key_set(self, call: Call) -> SignedKeySet:
        epoch = int(call.path["epoch"])
        if not 1 <= epoch <= len(self.core.committees):
            raise Problem(404, "not_found", f"there is no key set of epoch {epoch} yet")
        return self.core.committees[epoch - 1].signed

    async def _announce_key_set(self, call: Call) -> None:
        self._require_network()
        await self.take_key_set(None, call.body)

    async def _parameters(self, call: Call) -> bytes:
        for committee in self.core.committees:
            if committee.key_set.parameter_digest == call.path["digest"] and committee.parameters:
                return committee.parameters
        pending = self.pending_parameters(call.path["digest"])
        if pending is None:
            raise Problem(404, "not_found", "no key of this network has these parameters")
        return pending

    def pending_parameters(self, digest: bytes) -> bytes | None:
        """Of a key that a ceremony made and no key set announced yet."""
        return self.core.home.known_parameters(digest)

    async def _transaction_status(self, call: Call) -> dict[str, Any]:
        return (await self.status(call.path["tx_id"])).document()

    async def status(self, tx_id: bytes) -> Status:
        """Where a transaction stands, by what this node has executed."""
        history = self.core.history
        height = await asyncio.to_thread(history.executed_at, tx_id)
        outcomes = None if height is None else await asyncio.to_thread(history.outcomes, height)
        if outcomes is None:
            return await asyncio.to_thread(self._status_in_inbox, tx_id)
        position, outcome = next((at, o) for at, o in enumerate(outcomes.outcomes) if o.tx_id == tx_id)
        return Status(
            tx_id=tx_id,
            state=Outcome(outcome.code).text,
            height=height,
            position=position,
            success=bool(outcome.success),
            reason=outcome.reason.decode(),
            gas_used=outcome.gas_used,
            fee=outcome.fee,
            amount_in=outcome.amount_in,
            amount_out=outcome.amount_out,
        )

    def _status_in_inbox(self, tx_id: bytes) -> Status:
        """Of a transaction that was not executed: what became of its entry, if it has one."""
        history = self.core.history
        index = history.posted(tx_id)
        if index is None:
            return Status(tx_id=tx_id, state="unknown")
        passed = history.passed(index)
        if passed is None:
            return Status(tx_id=tx_id, state="posted")
        height, rule = passed
        return Status(tx_id=tx_id, state=Outcome.FORCED_INVALID.text, height=height, reason=rule)

    async def _account(self, call: Call) -> dict[str, Any]:
        self._require_network()
        return await self.act(self._account_document, call.path["address"])

    def _account_document(self, address: bytes) -> dict[str, Any]:
        follower = self.core.follower
        state, genesis = follower.latest, follower.committee.genesis
        ledger = follower.ledger_view
        return {
            "address": f"0x{address.hex()}",
            "height": str(state.height),
            "nonce": str(state.nonce(address)),
            "next_nonce": str(self.next_nonce(address)),
            "balance": str(state.balance(address)),
            "tokens": {
                f"0x{token.address.hex()}": str(ledger.token_balance(token.address, address))
                for token in genesis.tokens
            },
        }

    def next_nonce(self, address: bytes) -> int:
        return self.core.follower.latest.nonce(address)

    async def _pools(self, call: Call) -> dict[str, Any]:
        self._require_network()
        return await self.act(self._pools_document)

    def _pools_document(self) -> dict[str, Any]:
        follower = self.core.follower
        return {
            "height": str(follower.latest.height),
            "pools": [
                {
                    "token0": f"0x{pool.token0.hex()}",
                    "token1": f"0x{pool.token1.hex()}",
                    "reserve0": str(pool.reserve0),
                    "reserve1": str(pool.reserve1),
                }
                for pool in follower.ledger_view.snapshot().pools
            ],
        }

    async def _found_proposal(self, block: Any) -> Proposal:
        """By height, by root, or the newest."""
        self._require_network()
        history, head = self.core.history, self.core.head
        if isinstance(block, bytes):
            recent = range(head, max(head - _RECENT_HEIGHTS, 0), -1)
            proposal = await asyncio.to_thread(lambda: history.proposal_of_root(block, heights=recent))
        else:
            height = head if block == "head" else int(block)
            proposal = await asyncio.to_thread(history.proposal, height)
        if proposal is None:
            raise Problem(404, "not_found", "this node knows no such commitment")
        return proposal

    async def _commitment(self, call: Call) -> SignedCommitment:
        return (await self._found_proposal(call.path["block"])).commitment

    async def _batch(self, call: Call) -> CommittedBatch:
        proposal = await self._found_proposal(call.path["block"])
        tx_ids = tuple(transaction.tx_id for transaction in proposal.transactions)
        return CommittedBatch(commitment=proposal.commitment, tx_ids=tx_ids)

    def _at(self, height: Any) -> int:
        self._require_network()
        return self.core.head if height == "head" else int(height)

    async def _height(self, call: Call) -> HeightRecord:
        height = self._at(call.path["height"])
        votes = self.core.votes(height) if height > self.core.executed_height else ()
        return _found(await asyncio.to_thread(self.core.history.record, height, votes), height)

    async def _propose(self, call: Call) -> None:
        self._require_network()
        await self.act(self.core.take_proposal, call.body)

    async def _votes(self, call: Call) -> VoteList:
        return VoteList(votes=self.core.votes(self._at(call.query.get("height", "head"))))

    async def _submit_vote(self, call: Call) -> None:
        self._require_network()
        await self.act(self.core.take_vote, call.body)

    async def _certificate(self, call: Call) -> OrderCertificate:
        height = self._at(call.path["height"])
        return _found(await asyncio.to_thread(self.core.history.certificate, height), height)

    async def _shares(self, call: Call) -> ShareList:
        height = self._at(call.query.get("height", "head"))
        return ShareList(shares=await asyncio.to_thread(self.core.history.shares, height))

    async def _submit_share(self, call: Call) -> None:
        self._require_network()
        await self.act(self.core.take_share, call.body)

    async def _reveal(self, call: Call) -> Reveal:
        height = self._at(call.path["height"])
        return _found(await asyncio.to_thread(self.core.history.reveal, height), height)

    async def _outcomes(self, call: Call) -> SszObject:
        height = self._at(call.path["height"])
        return _found(await asyncio.to_thread(self.core.history.outcomes, height), height)

    async def _evidence(self, call: Call) -> EvidenceList:
        return EvidenceList(evidence=await asyncio.to_thread(lambda: self.core.evidence))

    async def _submit_evidence(self, call: Call) -> None:
        self._require_network()
        await self.act(self.core.take_evidence, call.body)

    async def _erasures(self, call: Call) -> ErasureList:
        return ErasureList(erasures=await asyncio.to_thread(self.core.history.erasures))

    async def _submit_erasure(self, call: Call) -> None:
        self._require_network()
        await self.act(self.core.take_erasure, call.body)

    async def _abstentions(self, call: Call) -> AbstentionList:
        return AbstentionList(abstentions=await asyncio.to_thread(self.core.history.abstentions))

    async def _submit_abstention(self, call: Call) -> None:
        self._require_network()
        await self.act(self.core.take_abstention, call.body)

    async def _inbox_entry(self, call: Call) -> InboxEntry:
        try:
            return await asyncio.to_thread(known_entry, self.core.inbox, int(call.path["index"]))
        except Rejected as error:
            raise Problem(404, "not_found", str(error)) from error

    async def _open_ceremony(self, call: Call) -> None:
        """Whoever is no member learns the genesis from an operator's plan, and then waits for the key."""
        plan = call.body.plan
        self._check_operator(plan, call.body.signature, plan.genesis)
        if plan.epoch == 1:
            try:
                await self.act(self.core.home.write_genesis, genesis_file.check(plan.genesis))
            except ValueError as error:
                raise Rejected("NET-22", str(error)) from error

    def _check_operator(self, message: SszObject, signature: bytes, genesis: Genesis) -> None:
        signer = recover_signer(message, signature, genesis.root)
        if f"0x{signer.hex()}" not in [operator.lower() for operator in self.config.operators]:
            raise Rejected("NET-21", "it is not signed by an operator that this node follows")

    def _check_order(self, signed: SignedOrder) -> None:
        self._check_operator(signed.order, signed.signature, self.core.home.genesis())

    async def _events(self, call: Call) -> Events:
        return Events(self._feed.subscribe())


def _found(value: Result | None, height: int) -> Result:
    if value is None:
        raise Problem(404, "not_found", f"this node has nothing of that kind for height {height}")
    return value


def _text(value: int | str | bytes) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
