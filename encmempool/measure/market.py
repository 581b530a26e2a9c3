"""One market: a WETH/token pool and the swaps users want, drawn from real sizes and tolerances by seed.

The order of magnitude of every result depends on these draws; they are a simulation, so `random.Random` serves.
Nothing here is ever used to encrypt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log
from random import Random
from typing import Protocol

from encmempool.ethereum import gas_ladder, sign_transaction
from encmempool.execution import router
from encmempool.execution.ledger import REVERTED_SWAP_GAS, SWAP_GAS, ExecutionReceipt
from encmempool.execution.pools import Pool, Reverted, amount_out, settle
from encmempool.execution.router import Swap, SwapKind
from encmempool.genesis import BASE_FEE, DEVELOPMENT_CHAIN_ID, DEVELOPMENT_TOKEN, ROUTER, WETH
from encmempool.identity import Identity

TOKEN = DEVELOPMENT_TOKEN.address
ETHER = 10**18
DEPTH_WEI = 10_000 * ETHER
"""Ether side of the pool, as in the research's prototype (section 6.2)."""
GAS_PRICE_WEI = BASE_FEE
ATTACKER = -1
IDLE_CALL_GAS = 30_000
"""A contract that reads two reserves and stops; our estimate."""
NO_DEADLINE_S = 1 << 40

# 188 router swaps of 27 real mainnet blocks (research, section 4). The blocks were chosen for their MEV, so sizes and
# tolerances are those of attacked traffic, not of a random sample.
SIZE_QUANTILES = ((0.05, 7e-6), (0.25, 2.4e-4), (0.50, 1.8e-3), (0.75, 7.5e-3), (0.95, 4.0e-2), (0.99, 0.127))
"""(probability, input relative to the reserve it enters)."""
SLACK_QUANTILES_BPS = ((0.05, 0.9), (0.25, 49.8), (0.50, 54.1), (0.75, 286.0), (0.95, 2001.0))
"""(probability, distance between the expected output and the minimum accepted)."""
TOKENS_PER_ETHER = (500.0, 5000.0)
"""Range of the pool's price, drawn log-uniformly; results in basis points do not depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An exact-input swap between ether and the token.

    sender        index of the user, or ATTACKER
    buys          True: ether in, tokens out; False: tokens in, ether out
    amount_in     wei or token units
    minimum_out   below it the swap reverts
    pool          index of the pool
    tip_wei       priority fee per gas
    """

    sender: int
    buys: bool
    amount_in: int
    minimum_out: int
    pool: int = 0
    tip_wei: int = 0

    def swap(self, *, recipient: bytes, deadline: int, weth: bytes = WETH, token: bytes = TOKEN) -> Swap:
        """The router call this order is. `router.encode` it and send `swap.value` wei along."""
        return Swap(
            kind=SwapKind.EXACT_ETH_FOR_TOKENS if self.buys else SwapKind.EXACT_TOKENS_FOR_ETH,
            exact=self.amount_in,
            bound=self.minimum_out,
            path=(weth, token) if self.buys else (token, weth),
            recipient=recipient,
            deadline=deadline,
        )


def sign_order(order: Order, identity: Identity, *, nonce: int, token: bytes = TOKEN) -> bytes:
    """The raw signed transaction that places an order, at base fee and tip, without a deadline that matters."""
    swap = order.swap(recipient=identity.address, deadline=NO_DEADLINE_S, token=token)
    return sign_transaction(
        identity.secret_bytes(),
        chain_id=DEVELOPMENT_CHAIN_ID,
        nonce=nonce,
        to=ROUTER,
        value=swap.value,
        data=router.encode(swap),
        gas_limit=gas_ladder(SWAP_GAS),
        max_fee_per_gas=BASE_FEE + order.tip_wei,
        max_priority_fee_per_gas=order.tip_wei,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserves:
    """The pool's two sides, ether in wei."""

    ether: int
    token: int

    @classmethod
    def of(cls, pool: Pool, weth: bytes = WETH) -> Reserves:
        ether, token = pool.reserves(weth)
        return cls(ether=ether, token=token)

    def entering(self, order: Order) -> tuple[int, int]:
        """(reserve the order pays into, reserve it takes from)."""
        return (self.ether, self.token) if order.buys else (self.token, self.ether)

    def in_ether(self, tokens: int) -> int:
        """Wei that `tokens` are worth at the mid price, rounded down."""
        return tokens * self.ether // self.token

    def after(self, *, buys: bool, reserve_in: int, reserve_out: int) -> Reserves:
        """The pool once a trade of that direction has moved the two sides."""
        if buys:
            return Reserves(ether=reserve_in, token=reserve_out)
        return Reserves(ether=reserve_out, token=reserve_in)


class Decision(Protocol):
    """What a contract computes when its transaction's turn has come."""

    def __call__(self, pools: Sequence[Reserves], fills: Sequence[Fill], /) -> Order | None:
        """An order of the attacker, or None to stop without a trade.

        pools   as they stand at this place in the block
        fills   of the transactions before it in the block: their effects are on chain
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The attacker's transaction to a contract of its own, which decides at its place what to trade.

    It is committed like every other transaction; only the state that it meets is later than the commitment.
    """

    decide: Decision
    tip_wei: int = 0

    @property
    def sender(self) -> int:
        return ATTACKER


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What became of an order, from the fast path or from the ledger.

    order         of a call: what it decided, or an order of 0 if it stopped
    amount_out    0 if it reverted
    fee           wei of gas, charged either way
    """

    order: Order
    executed: bool
    amount_out: int
    fee: int


_NOTHING = Order(sender=ATTACKER, buys=True, amount_in=0, minimum_out=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Pools at the start of a block and the users' orders in arrival order, one per user.

    outside    price of each pool's token elsewhere, as (wei, token units); by default the pool's own
    values     each user's private gain from trading, as a share of the amount; 0 where none is given
    weth, token, pool    addresses and the ledger's pool, for a market of one pool
    """

    seed: int
    pools: tuple[Reserves, ...]
    orders: tuple[Order, ...]
    outside: tuple[tuple[int, int], ...] = ()
    values: tuple[float, ...] = ()
    weth: bytes = WETH
    token: bytes = TOKEN

    @property
    def reserves(self) -> Reserves:
        """Of the first pool."""
        return self.pools[0]

    @classmethod
    def draw(cls, seed: int, users: int, *, weth: bytes = WETH, token: bytes = TOKEN) -> Market:
        """The market of a seed: always the same one.

        Each user buys or sells with equal probability, with size and tolerance independent of each other. The minimum
        output is the quote at the start of the block less the tolerance, as a wallet would set it.
        """
        random = Random(seed)
        reserves = reserves_at(exp(random.uniform(*(log(end) for end in TOKENS_PER_ETHER))))
        orders = []
        for sender in range(users):
            buys = random.random() < 0.5
            size = quantile(SIZE_QUANTILES, random.random())
            slack_bps = quantile(SLACK_QUANTILES_BPS, random.random())
            orders.append(order_of(reserves, sender=sender, buys=buys, size=size, slack_bps=slack_bps))
        random.shuffle(orders)
        return cls(seed=seed, pools=(reserves,), orders=tuple(orders), weth=weth, token=token)

    @property
    def pool(self) -> Pool:
        """The pool as the ledger holds it."""
        sides = sorted(((self.weth, self.reserves.ether), (self.token, self.reserves.token)))
        (token0, reserve0), (token1, reserve1) = sides
        return Pool(token0=token0, token1=token1, reserve0=reserve0, reserve1=reserve1)


def quantile(points: Sequence[tuple[float, float]], probability: float) -> float:
    """Log-linear between the given quantiles; outside them the first or last value, so no tail is invented."""
    if probability <= points[0][0]:
        return points[0][1]
    for (p0, v0), (p1, v1) in pairwise(points):
        if probability <= p1:
            return exp(log(v0) + (log(v1) - log(v0)) * (probability - p0) / (p1 - p0))
    return points[-1][1]


def reserves_at(tokens_per_ether: float) -> Reserves:
    """A pool of the experiment's depth at a price."""
    return Reserves(ether=DEPTH_WEI, token=DEPTH_WEI * round(tokens_per_ether * 10**6) // 10**6)


def order_of(
    reserves: Reserves, *, sender: int, buys: bool, size: float, slack_bps: float, pool: int = 0, tip_wei: int = 0
) -> Order:
    """A user's order as a wallet makes it: the quote at the start of the block less a tolerance is the minimum.

    size        of the input, relative to the reserve it enters
    slack_bps   tolerance, hundredths of a percent of the quote
    """
    reserve_in, reserve_out = (reserves.ether, reserves.token) if buys else (reserves.token, reserves.ether)
    amount_in = reserve_in * round(size * 10**9) // 10**9
    minimum_out = amount_out(reserve_in, reserve_out, amount_in) * (10**6 - round(slack_bps * 100)) // 10**6
    return Order(sender=sender, buys=buys, amount_in=amount_in, minimum_out=minimum_out, pool=pool, tip_wei=tip_wei)


def play(
    pools: Sequence[Reserves], block: Sequence[Order | Call], *, gas_price_wei: int = GAS_PRICE_WEI
) -> tuple[Fill, ...]:
    """Run orders in the given order on integers alone; equals the ledger to the wei. About 1.5 µs per order.

    gas_price_wei    the base fee; each order adds its tip

    Senders are taken to hold what they sell.
    """
    now, fills = list(pools), list[Fill]()
    for item in block:
        order = item if isinstance(item, Order) else item.decide(now, fills)
        if order is None:
            fee = IDLE_CALL_GAS * (gas_price_wei + item.tip_wei)
            fills.append(Fill(order=_NOTHING, executed=False, amount_out=0, fee=fee))
            continue
        reserves, received = now[order.pool], 0
        reserve_in, reserve_out = reserves.entering(order)
        try:
            quote = amount_out(reserve_in, reserve_out, order.amount_in)
            if quote >= order.minimum_out:
                reserve_in, reserve_out = settle(reserve_in, reserve_out, order.amount_in, quote)
                now[order.pool] = reserves.after(buys=order.buys, reserve_in=reserve_in, reserve_out=reserve_out)
                received = quote
        except Reverted:
            pass
        gas = SWAP_GAS if received else REVERTED_SWAP_GAS
        fee = gas * (gas_price_wei + item.tip_wei)
        fills.append(Fill(order=order, executed=received > 0, amount_out=received, fee=fee))
    return tuple(fills)


def final_pools(pools: Sequence[Reserves], fills: Iterable[Fill]) -> tuple[Reserves, ...]:
    """The pools after a block."""
    now = list(pools)
    for fill in fills:
        if fill.executed:
            order, reserves = fill.order, now[fill.order.pool]
            reserve_in, reserve_out = reserves.entering(order)
            now[order.pool] = reserves.after(
                buys=order.buys, reserve_in=reserve_in + order.amount_in, reserve_out=reserve_out - fill.amount_out
            )
    return tuple(now)


def from_receipts(orders: Sequence[Order], receipts: Sequence[ExecutionReceipt]) -> tuple[Fill, ...]:
    """The same fills from the ledger's receipts, which must be of these orders in this order."""
    return tuple(
        Fill(order=order, executed=receipt.success, amount_out=receipt.amount_out, fee=receipt.fee)
        for order, receipt in zip(orders, receipts, strict=True)
    )
