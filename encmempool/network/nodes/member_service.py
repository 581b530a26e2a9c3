"""A committee member as a process: votes and shares like every node's messages, and key ceremonies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from encmempool.committee import check_votes
from encmempool.errors import Conflict, EnvironmentProblem, Malformed, Rejected, StorageError
from encmempool.network.ceremonies import CeremonyDesk, CeremonyState, Outgoing
from encmempool.network.config import NodeConfig
from encmempool.network.nodes.member import MemberCore
from encmempool.network.nodes.service import Handler, Service
from encmempool.network.observation import Log
from encmempool.network.peer import Peer, PeerProblem, Refused
from encmempool.network.server import Call, Problem
from encmempool.network.wire import Gossip
from encmempool.types import SignedKeySet

_TICK_S = 0.2
_RETRY_S = 1.0


class MemberService(Service):
    core: MemberCore

    def __init__(self, config: NodeConfig, core: MemberCore, desk: CeremonyDesk, *, log: Log, address: bytes) -> None:
        super().__init__(config, core, log=log, address=address)
        self._desk = desk
        self._ceremony_peers: dict[str, Peer] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def work(self) -> list[Coroutine[Any, Any, None]]:
        expiring = [self._expire()] if self.config.stall.policy == "expire" else []
        return [*super().work(), self._return(), self._attend(), *expiring]

    def close(self) -> None:
        self._thread.submit(self._desk.close).result()
        super().close()

    def handlers(self) -> dict[str, Handler]:
        return {
            **super().handlers(),
            "gossip": self._gossip,
            "pending": self._pending,
            "open_ceremony": self._open_ceremony,
            "ceremony": self._ceremony,
            "ceremony_message": self._ceremony_message,
            "sign_successor": self._sign_successor,
        }

    def description(self) -> dict[str, Any]:
        return {**super().description(), "member": self.core.index}

    async def _return(self) -> None:
        if not self.core.has_network:
            return
        if self.core.is_restored:
            await self._find_floor()

    async def _expire(self) -> None:
        """Give up heights that do not get anywhere."""
        while True:
            await asyncio.sleep(_RETRY_S)
            if self.core.has_network:
                with suppress(StorageError, Conflict):
                    await self.act(self.core.abstain_stalled, self.config.stall.after_s * 1_000)

    async def _find_floor(self) -> None:
        """After a restore: ask until t members have shown how far they are, by certificates."""
        committee = self.core.follower.chain.committee
        heads: dict[str, int] = {}
        while len(heads) < min(committee.key_set.t, committee.key_set.n - 1):
            for url in self.config.members:
                if url in self.links and url not in heads:
                    with suppress(PeerProblem, Refused, Malformed, Rejected, KeyError, TypeError, ValueError):
                        heads[url] = await self._certified_head(self.links[url].peer)
            await asyncio.sleep(_TICK_S)
        while self.core.is_restored:
            with suppress(StorageError, Conflict):
                await self.act(self.core.set_floor, list(heads.values()))
                break
            await asyncio.sleep(_RETRY_S)

    async def _certified_head(self, peer: Peer) -> int:
        """The height that a member has executed, with the certificate that shows it is no invention."""
        height = int((await peer.call("node"))["executed_height"])
        if height == 0:
            return 0
        certificate = await peer.call("certificate", path={"height": height})
        for committee in self.core.committees:
            if committee.committee_id == certificate.vote.committee_id and certificate.vote.height == height:
                check_votes(committee, certificate)
                return height
        raise Rejected("NET-5", "the certificate is of a committee that this member does not know")

    async def _gossip(self, call: Call) -> None:
        self._require_network()
        await self.act(self.core.take_gossip, call.body)

    async def _pending(self, call: Call) -> Gossip:
        self._require_network()
        return await self.act(self.core.pending)

    # --- key ceremonies

    async def _attend(self) -> None:
        """End rounds in time, send again what was not taken, and begin once the key is there."""
        while True:
            try:
                self._send(await self.act(self._tick))
            except (EnvironmentProblem, Conflict) as error:  # such as a full disk: the step comes again
                self.log.write("ceremony", level="error", reason=str(error))
                await asyncio.sleep(_RETRY_S)
            await asyncio.sleep(_TICK_S)

    def _tick(self) -> Sequence[Outgoing]:
        due = self._desk.tick(now=time.time())
        if not self.core.has_network:
            self.core.load()
        return due

    def _send(self, due: Sequence[Outgoing]) -> None:
        for outgoing in due:
            task = asyncio.create_task(self._deliver(outgoing))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _deliver(self, outgoing: Outgoing) -> None:
        peer = self._ceremony_peers.get(outgoing.url)
        if peer is None:
            peer = self._ceremony_peers[outgoing.url] = Peer(outgoing.url, tls=self._peer_tls, timeout_s=15.0)
        try:
            await peer.call("ceremony_message", body=outgoing.message)
        except (Refused, PeerProblem) as error:
            # Whoever has not opened the plan yet refuses; the message comes again until it has.
            self.log.write("undelivered", level="debug", peer=outgoing.peer, reason=str(error))
            return
        await self.act(self._desk.delivered, outgoing)

    async def _open_ceremony(self, call: Call) -> None:
        plan = call.body.plan
        self.log.write("ceremony", ceremony_id=plan.ceremony_id, epoch=plan.epoch, attempt=plan.attempt)
        self._send(await self.act(lambda: self._desk.open(call.body, now=time.time())))

    async def _ceremony(self, call: Call) -> CeremonyState:
        state = await self.act(self._desk.state, call.path["ceremony_id"])
        if state is None:
            raise Problem(404, "not_found", "this member never opened that ceremony")
        return state

    async def _ceremony_message(self, call: Call) -> None:
        self._send(await self.act(lambda: self._desk.receive(call.body, now=time.time())))

    async def _sign_successor(self, call: Call) -> SignedKeySet:
        self._require_network()
        self._check_order(call.body)
        if self.below is not None:
            await self.below.require_bonds(call.body.order.key_set)
        return await self.act(self._signed_successor, call.body.order.key_set)

    def _signed_successor(self, key_set: Any) -> SignedKeySet:
        self._desk.check_successor(key_set)
        return self.core.sign_successor(key_set)

    async def leave(self) -> None:
        await super().leave()
        for task in self._sending:
            task.cancel()
        for peer in self._ceremony_peers.values():
            await peer.close()
