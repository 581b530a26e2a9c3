"""Traders: accounts that send encrypted swaps to a network of nodes, and what became of every one.

A submission that is not answered is sent again, byte for byte: a sequencer that had it answers with the same receipt.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from encmempool.envelope import check_receipt
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.ethereum import gas_ladder, sign_transaction
from encmempool.execution import router
from encmempool.execution.ledger import SWAP_GAS
from encmempool.home import Home
from encmempool.identity import Identity
from encmempool.network.devnet import Devnet
from encmempool.network.peer import Peer, PeerProblem, Refused
from encmempool.network.remote import RemoteNetwork
from encmempool.status import WAITING, Status
from encmempool.transactions import encrypt_transaction
from encmempool.types import EncryptedTransaction, SignedReceipt
from threshold import entropy

VALID_HEIGHTS = 100
_GWEI = 10**9
_ETHER = 10**18
_RETRY_S = 0.2
_STATUS_AT_ONCE = 8
_STALE_KEY = ("TXN-2", "TXN-8", "SEQ-9")
_STALE_NONCE = ("MEM-1", "MEM-2")


@dataclass(slots=True)
class Trade:
    """One swap from its encryption on; times are of the monotonic clock, in seconds."""

    transaction: EncryptedTransaction
    payload: bytes
    sent: float
    receipt: SignedReceipt | None = None
    receipted: float | None = None
    status: Status | None = None

    @property
    def state(self) -> str:
        return self.status.state if self.status else "unknown"


@dataclass(slots=True)
class Trades:
    """All that was sent."""

    seconds: float = 0.0
    made: list[Trade] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    unreachable: int = 0

    @property
    def receipted(self) -> list[Trade]:
        return [trade for trade in self.made if trade.receipt is not None]

    @property
    def outcomes(self) -> dict[str, int]:
        return dict(sorted(Counter(trade.state for trade in self.receipted).items()))

    @property
    def lost(self) -> int:
        """With a receipt, and neither executed nor ended in any other way."""
        return sum(trade.state in WAITING for trade in self.receipted)

    def receipt_ms(self, share: float) -> float | None:
        return quantile_ms([t.receipted - t.sent for t in self.receipted if t.receipted is not None], share)

    def document(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds, 3),
            "sent": len(self.made),
            "receipted": len(self.receipted),
            "refused": dict(self.refused),
            "unreachable": self.unreachable,
            "outcomes": self.outcomes,
            "lost": self.lost,
            "receipts_per_second": round(len(self.receipted) / self.seconds, 2) if self.seconds else None,
            "receipt_ms": {"p50": self.receipt_ms(0.5), "p99": self.receipt_ms(0.99)},
        }

    def lines(self) -> list[tuple[str, str]]:
        outcomes = ", ".join(f"{count:,} {state}" for state, count in self.outcomes.items()) or "none"
        refused = ", ".join(f"{count:,} {rule}" for rule, count in self.refused.items())
        p50, p99 = self.receipt_ms(0.5), self.receipt_ms(0.99)
        return [
            ("sent", f"{len(self.made):,} swaps in {self.seconds:.1f} s"),
            ("receipts", f"{len(self.receipted):,}" + (f", p50 {p50:g} ms, p99 {p99:g} ms" if p50 is not None else "")),
            *([("refused", refused)] if refused else []),
            ("outcomes", outcomes),
        ]


def quantile_ms(seconds: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile, in milliseconds."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1e3, 1)


class Trader:
    """One account after the other sends a swap, whichever is free."""

    def __init__(self, network: RemoteNetwork, accounts: Sequence[Identity], *, seed: int) -> None:
        self._network = network
        self._accounts = list(accounts)
        self._draw = random.Random(seed)  # of amounts alone: nothing secret is drawn from it
        self._nonces: dict[bytes, int] = {}
        self._moved = threading.Event()
        self.url = network.url
        self.trades = Trades()

    def redirect(self, network: RemoteNetwork) -> None:
        """Another sequencer is in office: what has a receipt of the one before is submitted to it first, since a new
        transaction with the same nonce would put an end to it."""
        self._network = network
        self.url = network.url
        self._moved.set()

    async def run(self, *, seconds: float, rate: float, stop: asyncio.Event | None = None) -> None:
        """Send at most `rate` swaps a second, as fast as accounts become free."""
        free: asyncio.Queue[Identity] = asyncio.Queue()
        for account in self._accounts:
            free.put_nowait(account)
        began = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        number = 0
        while (now := time.monotonic()) < began + seconds and not (stop and stop.is_set()):
            due = began + number / rate
            if due > now:
                await asyncio.sleep(min(due - now, began + seconds - now))
                continue
            if self._moved.is_set():
                self._moved.clear()
                await self._submit_again()
            number += 1
            account = await free.get()
            task = asyncio.create_task(self._trade(account, free))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks, timeout=30.0)
        for task in tasks:
            task.cancel()
        self.trades.seconds += time.monotonic() - began

    async def _trade(self, account: Identity, free: asyncio.Queue[Identity]) -> None:
        try:
            trade = await asyncio.to_thread(self._make, account)
            if trade is not None:
                self.trades.made.append(trade)
                await self._submit(trade, account)
        finally:
            free.put_nowait(account)

    def _make(self, account: Identity) -> Trade | None:
        network = self._network
        try:
            nonce = self._nonces.get(account.address)
            if nonce is None:
                nonce = network.account(account.address).next_nonce
            head = network.head
            committee = network.committee_at(head + 1)
            payload = self._swap(network, account, nonce)
            wait = network.lookahead if committee.terms.addresses_height else VALID_HEIGHTS
            transaction = encrypt_transaction(
                payload,
                terms=committee.terms,
                scheme=committee.scheme,
                public_key=committee.public_key,
                identity=account,
                valid_until=min(head + wait, network.key_end(committee.key_set.key_id)),
                random=entropy.system,
            )
        except (EnvironmentProblem, Rejected):
            self.trades.unreachable += 1
            time.sleep(_RETRY_S)
            return None
        self._nonces[account.address] = nonce + 1
        return Trade(transaction=transaction, payload=payload, sent=time.monotonic())

    def _swap(self, network: RemoteNetwork, account: Identity, nonce: int) -> bytes:
        """A thousandth to a tenth of an ether for tokens, or back."""
        genesis = network.genesis
        token = genesis.tokens[0].address
        sells_ether = self._draw.random() < 0.5
        amount = self._draw.randrange(_ETHER // 1000, _ETHER // 10)
        swap = router.Swap(
            kind=router.SwapKind.EXACT_ETH_FOR_TOKENS if sells_ether else router.SwapKind.EXACT_TOKENS_FOR_ETH,
            exact=amount if sells_ether else amount * 3_000,
            bound=0,
            path=(genesis.weth, token) if sells_ether else (token, genesis.weth),
            recipient=account.address,
            deadline=int(time.time()) + 3_600,
        )
        return sign_transaction(
            account.secret_bytes(),
            chain_id=genesis.chain_id,
            nonce=nonce,
            to=genesis.router,
            value=swap.value,
            data=router.encode(swap),
            gas_limit=gas_ladder(SWAP_GAS + 40_000),
            max_fee_per_gas=2 * genesis.base_fee,
            max_priority_fee_per_gas=self._draw.randrange(1, 3) * _GWEI,
        )

    async def _submit(self, trade: Trade, account: Identity) -> None:
        """Until there is an answer, or the transaction has no time left."""
        end = time.monotonic() + 20.0
        peer = Peer(self.url, timeout_s=10.0)
        try:
            while time.monotonic() < end:
                try:
                    receipt: SignedReceipt = await peer.call("submit_transaction", body=trade.transaction)
                    committee = self._network.committee_of(trade.transaction.header.key_id)
                    check_receipt(committee.terms, trade.transaction, receipt)
                except PeerProblem:
                    self.trades.unreachable += 1
                    await asyncio.sleep(_RETRY_S)
                    if peer.url != self.url:
                        await peer.close()
                        peer = Peer(self.url, timeout_s=10.0)
                except Refused as refused:
                    self.trades.refused[refused.rule or refused.code] += 1
                    if refused.status in (429, 503):
                        await asyncio.sleep(min(refused.retry_after_s or _RETRY_S, 2.0))
                        continue
                    self._nonces.pop(account.address, None)
                    if refused.rule in _STALE_KEY:
                        await asyncio.to_thread(self._refresh)
                    return
                else:
                    trade.receipt, trade.receipted = receipt, time.monotonic()
                    return
            self._nonces.pop(account.address, None)
        finally:
            await peer.close()

    async def _submit_again(self) -> None:
        await self.settle(timeout_s=0.0)
        waiting = [trade for trade in self.trades.receipted if trade.state in WAITING]
        peer = Peer(self.url, timeout_s=10.0)
        try:
            for trade in sorted(waiting, key=lambda trade: trade.transaction.header.nonce):
                try:
                    await peer.call("submit_transaction", body=trade.transaction)
                except (PeerProblem, Refused) as problem:
                    self.trades.refused[getattr(problem, "rule", None) or "unreachable"] += 1
        finally:
            await peer.close()
        self._nonces.clear()

    def _refresh(self) -> None:
        try:
            self._network.refresh()
        except (EnvironmentProblem, Malformed, Rejected):
            return

    async def settle(self, *, timeout_s: float, url: str | None = None) -> None:
        """Ask what became of every receipted swap, until all are final or the time is over."""
        end = time.monotonic() + timeout_s
        peer = Peer(url or self.url, timeout_s=10.0)
        try:
            while True:
                waiting = [t for t in self.trades.receipted if t.status is None or not t.status.final]
                for at in range(0, len(waiting), _STATUS_AT_ONCE):
                    await asyncio.gather(*(self._status(peer, t) for t in waiting[at : at + _STATUS_AT_ONCE]))
                if not waiting or time.monotonic() >= end:
                    return
                await asyncio.sleep(_RETRY_S)
        finally:
            await peer.close()

    async def _status(self, peer: Peer, trade: Trade) -> None:
        tx_id = trade.transaction.tx_id
        try:
            document = await peer.call("transaction_status", path={"tx_id": tx_id})
            trade.status = Status.of_document(document, tx_id)
        except (PeerProblem, Refused, Malformed):
            return


def trade(
    devnet: Devnet,
    home: Home,
    *,
    seconds: float,
    rate: float,
    seed: int,
    backend: str,
    progress: Callable[[str], None] = lambda text: None,
) -> Trades:
    """Trade from the home's development accounts, and wait for the outcomes."""
    password = home.generated_password()
    if password is None:
        raise EnvironmentProblem(f"{home.path} has lost its password")
    accounts = [home.account(name, password) for name in home.account_names() if name.startswith("dev-")]
    network = RemoteNetwork(devnet.sequencer.url, home, backend=backend)
    trader = Trader(network, accounts, seed=seed)

    async def run() -> None:
        await trader.run(seconds=seconds, rate=rate)
        progress("waiting for the outcomes")
        await trader.settle(timeout_s=30.0)

    try:
        asyncio.run(run())
    finally:
        network.close()
    return trader.trades
