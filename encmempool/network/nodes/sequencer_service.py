"""The sequencer as a process: receipts in groups, commitments at a pace, and gossip to the members."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from encmempool.errors import Conflict, Malformed, Rejected, StorageError
from encmempool.network.config import NodeConfig
from encmempool.network.nodes.core import Core, Outbox
from encmempool.network.nodes.sequencer import Answer, SequencerCore
from encmempool.network.nodes.service import Handler, Service
from encmempool.network.observation import Log
from encmempool.network.peer import PeerProblem, Refused
from encmempool.network.server import Call, Problem
from encmempool.network.wire import Gossip, Submission, SubmissionList
from encmempool.status import Status
from encmempool.types import EncryptedTransaction, KeySet, SignedKeySet, SignedReceipt

_GROUP = 64
"""Submissions that one write makes durable."""
_GOSSIP_PAUSE_S = 0.08
_INHERIT_PAUSE_S = 1.0

Submitted = tuple[bytes, "asyncio.Future[Answer]"]


class SequencerService(Service):
    def __init__(self, config: NodeConfig, core: Core, sequencer: SequencerCore, *, log: Log, address: bytes) -> None:
        super().__init__(config, core, log=log, address=address)
        self.sequencer = sequencer
        self._order_thread = ThreadPoolExecutor(1, thread_name_prefix="sequencer")
        self._queue: asyncio.Queue[Submitted] = asyncio.Queue(config.pace.queue)
        self._heir: asyncio.Task[None] | None = None
        self._fresh: list[tuple[EncryptedTransaction, SignedReceipt]] = []
        self._member_links = [self.links[url] for url in config.members if url in self.links]

    def work(self) -> list[Coroutine[Any, Any, None]]:
        return [*super().work(), self._admit(), self._commit(), self._gossip()]

    async def leave(self) -> None:
        if self._heir is not None:
            self._heir.cancel()
        await super().leave()

    def close(self) -> None:
        self._order_thread.shutdown(wait=True)
        super().close()

    async def order(self, call: Any, *arguments: Any) -> Any:
        """Do something on the sequencer's thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._order_thread, call, *arguments)
        except (StorageError, Conflict) as error:
            self._storage_failed(error)
            raise

    # --- admission

    async def submit(self, data: bytes) -> SignedReceipt:
        """A receipt for one envelope, once it is durable. Raises Malformed, Rejected or Problem 429 or 503."""
        self._require_network()
        self._require_chain_below()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((data, answer))
        except asyncio.QueueFull:
            self.metrics.transactions.labels("overloaded").inc()
            raise Problem(429, "overloaded", "more arrives than can be admitted: try again", retry_after_s=1) from None
        found = await answer
        if isinstance(found, SignedReceipt):
            return found
        raise found

    def _require_chain_below(self) -> None:
        if self.sequencer.is_out_of_date:
            raise Problem(503, "not_ready", "the chain below was not read lately: try again", retry_after_s=1)

    async def _ready(self, call: Call) -> dict[str, Any]:
        described = await super()._ready(call)
        if self.below is not None and self.below.has_contracts:
            self._require_chain_below()
        return described

    async def _admit(self) -> None:
        while True:
            group = [await self._queue.get()]
            while len(group) < _GROUP and not self._queue.empty():
                group.append(self._queue.get_nowait())
            await self._admit_group(group)

    async def _admit_group(self, group: list[Submitted]) -> None:
        try:
            answers = await self.order(self.sequencer.submit, [data for data, _ in group])
        except (StorageError, Conflict) as error:
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        self._storage_error = None
        for (_, future), (transaction, answer) in zip(group, answers, strict=True):
            if isinstance(answer, SignedReceipt) and transaction is not None:
                self._fresh.append((transaction, answer))
            self.metrics.transactions.labels(_verdict(answer)).inc()
            if not future.done():
                future.set_result(answer)

    async def _gossip(self) -> None:
        """Members check ciphertexts while they wait for their commitment."""
        while True:
            await asyncio.sleep(_GOSSIP_PAUSE_S)
            if self._fresh:
                fresh, self._fresh = self._fresh, []
                gossip = Gossip(transactions=tuple(t for t, _ in fresh), receipts=tuple(r for _, r in fresh))
                for link in self._member_links:
                    link.tell("gossip", gossip)

    # --- commitments

    async def _commit(self) -> None:
        """One commitment each interval while something waits, and an empty one now and then."""
        pace = self.config.pace
        last = time.monotonic()
        resent = False
        while True:
            await asyncio.sleep(pace.interval_ms / 1e3)
            if not self.core.has_network or not self.looked_around.is_set():
                continue
            if not resent:
                with suppress(StorageError, Conflict):
                    await self._resend()
                    resent = True
            due = time.monotonic() - last >= pace.heartbeat_ms / 1e3
            try:
                proposal = await self.order(self.sequencer.turn, due, pace.pipeline)
            except Rejected as error:
                self.log.write("uncommitted", level="warning", rule=error.rule, reason=str(error))
                await asyncio.sleep(pace.heartbeat_ms / 1e3)
                continue
            except (StorageError, Conflict):
                resent = False  # what was committed may be stored, and nobody was told
                continue
            if proposal is not None:
                last = time.monotonic()
                await self._hand_out(proposal)

    async def _resend(self) -> None:
        """What was committed and not executed before a restart, byte for byte."""
        for proposal in await self.order(self.sequencer.unexecuted):
            await self._hand_out(proposal)

    async def _hand_out(self, proposal: Any) -> None:
        out = Outbox()
        out.tell("propose", proposal)
        self.publish(out)
        with suppress(Malformed, Rejected, StorageError, Conflict):
            await self.act(self.core.take_proposal, proposal)

    async def act(self, call: Any, *arguments: Any) -> Any:
        result = await super().act(call, *arguments)
        if isinstance(result, Outbox):
            for happening in result.happenings:
                if happening.name == "dropped":
                    await self.order(self.sequencer.drop, happening.fields["height"])
        return result

    # --- key sets

    async def take_key_set(self, source: Any, signed: SignedKeySet) -> None:
        before = len(self.core.committees)
        await super().take_key_set(source, signed)
        for committee in self.core.committees[before:]:
            await self.order(self.sequencer.adopt, committee)
            key_set, previous = committee.key_set, self.core.committees[committee.key_set.epoch - 2].key_set
            if key_set.sequencer == self.address != previous.sequencer:
                self._heir = asyncio.create_task(self._inherit())

    async def _inherit(self) -> None:
        """Take over what others still hold receipts of the sequencer before for, and give receipts of one's own: from
        each of them once, however long one is away."""
        waiting = dict(self.links)
        while waiting and not self.stop.is_set():
            if self.sequencer.is_out_of_date:  # it may give no receipt, and asks each only once
                await asyncio.sleep(_INHERIT_PAUSE_S)
                continue
            for url, link in tuple(waiting.items()):
                try:
                    gossip: Gossip = await link.peer.call("pending")
                except Refused:  # it keeps none
                    waiting.pop(url)
                except PeerProblem:
                    continue
                else:
                    waiting.pop(url)
                    await self._take_over(gossip.transactions)
            await asyncio.sleep(_INHERIT_PAUSE_S)

    async def _take_over(self, transactions: Sequence[EncryptedTransaction]) -> None:
        taken = 0
        for transaction in sorted(transactions, key=lambda transaction: transaction.header.nonce):
            with suppress(Problem, Malformed, Rejected, StorageError, Conflict):
                await self.submit(transaction.encoded)
                taken += 1
        self.log.write("inherited", transactions=taken, of=len(transactions))

    # --- answers

    def handlers(self) -> dict[str, Handler]:
        return {
            **super().handlers(),
            "submit_transaction": self._submit_transaction,
            "submit_transactions": self._submit_transactions,
            "envelope": self._envelope,
            "receipt": self._receipt,
            "pending": self._pending,
            "announce_successor": self._announce_successor,
            "announced": self._announced,
        }

    async def _metrics(self, call: Call) -> bytes:
        self.metrics.waiting.labels("queue").set(self._queue.qsize())
        if self.core.has_network:
            pending, rounds_left = await self.order(self.sequencer.load)
            self.metrics.waiting.labels("mempool").set(pending)
            if rounds_left is not None:
                self.metrics.rounds_left.set(rounds_left)
        return await super()._metrics(call)

    async def _submit_transaction(self, call: Call) -> SignedReceipt:
        return await self.submit(call.body.encoded)

    async def _submit_transactions(self, call: Call) -> SubmissionList:
        transactions = call.body.transactions
        answers = await asyncio.gather(*(self.submit(t.encoded) for t in transactions), return_exceptions=True)
        return SubmissionList(submissions=tuple(_submission(answer) for answer in answers))

    async def _envelope(self, call: Call) -> EncryptedTransaction:
        found = await asyncio.to_thread(self.core.history.transaction, call.path["tx_id"])
        if found is None:
            raise Problem(404, "not_found", "this node never received that transaction")
        return found

    async def _receipt(self, call: Call) -> SignedReceipt:
        found = await asyncio.to_thread(self.core.history.receipt, call.path["tx_id"])
        if found is None:
            raise Problem(404, "not_found", "this node never received that transaction")
        return found

    async def _announce_successor(self, call: Call) -> KeySet:
        self._require_network()
        self._check_order(call.body)
        order = call.body.order
        key_set: KeySet = await self.order(self.sequencer.announce, order.key_set, order.overlap)
        self.log.write("announced", epoch=key_set.epoch, height=key_set.start_height)
        return key_set

    async def _announced(self, call: Call) -> KeySet:
        self._require_network()
        found: KeySet | None = await self.order(self.sequencer.announced, call.path["committee_id"])
        if found is None:
            raise Problem(404, "not_found", "no successor of that key set is announced")
        return found

    async def _pending(self, call: Call) -> Gossip:
        self._require_network()
        found: Gossip = await self.order(self.sequencer.gossip)
        return found

    async def status(self, tx_id: bytes) -> Status:
        found = await super().status(tx_id)
        receipt = await asyncio.to_thread(self.core.history.receipt, tx_id)
        sequence = receipt.message.sequence if receipt else None
        if found.state != "unknown":
            return replace(found, sequence=sequence)
        if receipt is None:
            return found
        status: Status = await self.order(self.sequencer.status, tx_id, self.core.history)
        return status

    async def _account(self, call: Call) -> dict[str, Any]:
        document = await super()._account(call)
        document["next_nonce"] = str(await self.order(self.sequencer.next_nonce, call.path["address"]))
        return document


def _verdict(answer: Answer) -> str:
    if isinstance(answer, SignedReceipt):
        return "receipted"
    return answer.rule if isinstance(answer, Rejected) else "malformed"


def _submission(answer: SignedReceipt | BaseException) -> Submission:
    if isinstance(answer, SignedReceipt):
        return Submission(receipt=(answer,), status=200, code=b"", message=b"", rule=b"")
    match answer:
        case Problem():
            status, code, rule = answer.status, answer.code, ""
        case Rejected():
            status, code, rule = 422, "rejected", answer.rule
        case Malformed():
            status, code, rule = 400, "malformed", ""
        case StorageError():
            status, code, rule = 503, "storage", ""
        case _:
            raise answer
    message = str(answer).encode()[:512]
    return Submission(receipt=(), status=status, code=code.encode(), message=message, rule=rule.encode())
