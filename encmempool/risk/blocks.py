"""An executed block, and the same block in other orders: what each would have done, by the ledger itself.

Only what every observer has is used: the opened transactions, the state before them, and the ledger's rules. So every
order is run exactly, with limits, deadlines, balances and gas, and none is a model of another.

Requirements:
WCH-2  reorderings: all that keep each sender's own in sequence where the order is drawn; else those in which senders
       with equally many transactions change places
WCH-4  the statistic of an order: what the best of those who swap in both directions of a pool gained
WCH-5  sandwiches are found by equal amounts, whoever sent the legs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from encmempool.errors import Malformed
from encmempool.execution.ledger import Entry, ExecutionReceipt, Failure, Ledger
from encmempool.execution.pools import Pool, amount_in, amount_out
from encmempool.execution.router import Swap, SwapKind, decode as decode_call
from encmempool.measure.detector import Sandwich, sandwiches
from encmempool.measure.market import Fill, Order, Reserves
from encmempool.measure.reorderings import can_exchange, exchanges, reorderings

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A transaction of a block, opened; `swap` if it is a call of the router that decodes."""

    tx_id: bytes
    entry: Entry
    swap: Swap | None

    @property
    def sender(self) -> bytes:
        return self.entry.sender

    @classmethod
    def of(cls, tx_id: bytes, entry: Entry, router: bytes) -> Placed:
        return cls(tx_id=tx_id, entry=entry, swap=_swap(entry, router))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A sandwich, by transaction."""

    front: Placed
    victims: tuple[Placed, ...]
    back: Placed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What an order did.

    profit    wei, of the best trader; 0 if there is none
    """

    sandwiches: tuple[Found, ...]
    profit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Transactions in the order in which they ran, on the state before them.

    before    the ledger below `height`; it is not changed
    drawn     whether the policy draws the order after the commitment
    fixed     how many of the first keep their place in every order: forced ones, unless the order is drawn
    """

    height: int
    timestamp_ms: int
    before: Ledger
    placed: tuple[Placed, ...]
    drawn: bool = False
    fixed: int = 0
    _pools: dict[Pair, Pool] = field(init=False)
    _indices: dict[Pair, int] = field(init=False)
    _reserves: tuple[Reserves, ...] = field(init=False)
    _senders: dict[bytes, int] = field(init=False)
    _traders: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        swaps = [each.swap for each in self.placed if each.swap is not None]
        pools = {pair: pool for pair in _pairs(swaps) if (pool := _pool(self.before, pair)) is not None}
        made: dict[str, object] = {
            "_pools": pools,
            "_indices": {pair: index for index, pair in enumerate(pools)},
            "_reserves": tuple(Reserves(ether=pool.reserve0, token=pool.reserve1) for pool in pools.values()),
            "_senders": {sender: index for index, sender in enumerate(dict.fromkeys(p.sender for p in self.placed))},
            "_traders": self._find_traders(),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def may_hold_sandwich(self) -> bool:
        """Whether orders can differ in sandwiches: three swaps of one pool, not all in one direction (WCH-12)."""
        hops: dict[Pair, list[bool]] = {}
        for each in self.placed:
            for pair, forward in _hops(each.swap):
                hops.setdefault(pair, []).append(forward)
        return self._has_others and any(len(all_) > 2 and any(all_) and not all(all_) for all_ in hops.values())

    @property
    def has_traders(self) -> bool:
        """Whether orders can differ in what a trader gains (WCH-12)."""
        return self._has_others and bool(self._traders)

    @property
    def _has_others(self) -> bool:
        free = self.placed[self.fixed :]
        return len({each.sender for each in free}) > 1 if self.drawn else can_exchange(free)

    def reordered(self, *, random: Random, count: int) -> Iterator[list[Placed]]:
        """Orders that are as likely as the real one if it is blind (WCH-2)."""
        first, free = self.placed[: self.fixed], self.placed[self.fixed :]
        for order in (reorderings if self.drawn else exchanges)(free, random=random, count=count):
            yield [*first, *order]

    def run(self, order: Sequence[Placed]) -> Ran:
        """Run the block's transactions in some order. About 50 µs a transaction."""
        receipts = self.before.copy().execute(self.height, self.timestamp_ms, [each.entry for each in order])
        fills: list[Fill] = []
        source: list[Placed] = []
        pools = dict(self._pools)
        for placed, receipt in zip(order, receipts, strict=True):
            if placed.swap is not None and receipt.success:
                made = self._fills(pools, placed, receipt)
                fills += made
                source += [placed] * len(made)
        return Ran(
            sandwiches=tuple(_named(found, source) for found in sandwiches(self._reserves, fills, by_sender=False)),
            profit=self._best_profit(order, receipts),
        )

    def _fills(self, pools: dict[Pair, Pool], placed: Placed, receipt: ExecutionReceipt) -> list[Fill]:
        """One for each pool on a swap's way, in which `pools` moves on. Token 0 of a pair stands for ether."""
        assert placed.swap is not None
        fills = []
        amounts = _amounts(pools, placed.swap, receipt)
        for (token_in, token_out), (paid, taken) in zip(pairwise(placed.swap.path), pairwise(amounts), strict=True):
            pair = _pair(token_in, token_out)
            order = Order(
                sender=self._senders[placed.sender],
                buys=token_in == pair[0],
                amount_in=paid,
                minimum_out=0,
                pool=self._indices[pair],
            )
            fills.append(Fill(order=order, executed=True, amount_out=taken, fee=0))
            pools[pair] = pools[pair].swap(token_in, paid, taken)
        return fills

    def _best_profit(self, order: Sequence[Placed], receipts: Sequence[ExecutionReceipt]) -> int:
        """At the prices before the block, without gas."""
        flows = {trader: dict[bytes, int]() for trader in self._traders}
        for placed, receipt in zip(order, receipts, strict=True):
            if placed.swap is not None and receipt.success and placed.sender in flows:
                flow, path = flows[placed.sender], placed.swap.path
                flow[path[0]] = flow.get(path[0], 0) - receipt.amount_in
                flow[path[-1]] = flow.get(path[-1], 0) + receipt.amount_out
        worth = (sum(self._worth(token, amount) for token, amount in flow.items()) for flow in flows.values())
        return max(worth, default=0)

    def _worth(self, token: bytes, amount: int) -> int:
        """Wei, rounded down."""
        price = _price(self.before, token)
        assert price is not None
        wei, units = price
        return amount * wei // units

    def _find_traders(self) -> frozenset[bytes]:
        """Those whose swaps cross one pool in both directions, all between tokens that have a price in ether."""
        directions: dict[bytes, set[tuple[Pair, bool]]] = {}
        priced: dict[bytes, bool] = {}
        for each in self.placed:
            if each.swap is None or len(each.swap.path) < 2:
                continue
            ends = (each.swap.path[0], each.swap.path[-1])
            known = all(_price(self.before, token) is not None for token in ends)
            priced[each.sender] = priced.get(each.sender, True) and known
            directions.setdefault(each.sender, set()).update(_hops(each.swap))
        return frozenset(
            sender
            for sender, hops in directions.items()
            if priced[sender] and any((pair, not forward) in hops for pair, forward in hops)
        )


def _swap(entry: Entry, router: bytes) -> Swap | None:
    payload = entry.payload
    if isinstance(payload, Failure) or payload.to != router or not payload.data:
        return None
    try:
        return decode_call(payload.data, payload.value)
    except Malformed:
        return None


def _pair(token_a: bytes, token_b: bytes) -> Pair:
    return (token_a, token_b) if token_a < token_b else (token_b, token_a)


def _hops(swap: Swap | None) -> Iterator[tuple[Pair, bool]]:
    """Each pair on the way, and whether its first token is sold."""
    for token_in, token_out in pairwise(swap.path if swap else ()):
        pair = _pair(token_in, token_out)
        yield pair, token_in == pair[0]


def _pairs(swaps: Sequence[Swap]) -> dict[Pair, None]:
    return dict.fromkeys(pair for swap in swaps for pair, _ in _hops(swap))


def _pool(ledger: Ledger, pair: Pair) -> Pool | None:
    try:
        return ledger.pool(*pair)
    except KeyError:
        return None


def _price(ledger: Ledger, token: bytes) -> tuple[int, int] | None:
    """Wei and units of equal worth, by the token's pool with ether's."""
    if token == ledger.weth:
        return 1, 1
    pool = _pool(ledger, _pair(token, ledger.weth))
    if pool is None or not (pool.reserve0 and pool.reserve1):
        return None
    return pool.reserves(ledger.weth)


def _amounts(pools: dict[Pair, Pool], swap: Swap, receipt: ExecutionReceipt) -> list[int]:
    """Along a path that the ledger has run, at the reserves before the call, as it computed them."""
    steps = [(pools[_pair(*step)], step) for step in pairwise(swap.path)]
    if swap.kind is SwapKind.TOKENS_FOR_EXACT_TOKENS:
        amounts = [receipt.amount_out]
        for pool, (token_in, _) in reversed(steps):
            amounts.insert(0, amount_in(*pool.reserves(token_in), amounts[0]))
        return amounts
    amounts = [receipt.amount_in]
    for pool, (token_in, _) in steps:
        amounts.append(amount_out(*pool.reserves(token_in), amounts[-1]))
    return amounts


def _named(found: Sandwich, source: Sequence[Placed]) -> Found:
    return Found(
        front=source[found.front],
        victims=tuple(dict.fromkeys(source[index] for index in found.victims)),
        back=source[found.back],
    )
