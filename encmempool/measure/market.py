"""One market: a WETH/token pool and the swaps users want, drawn from real sizes and tolerances by seed.

The order of magnitude of every result depends on these draws; they are a simulation, so `random.Random` serves.
Nothing here is ever used to encrypt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log
from random import Random

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
_NO_DEADLINE_S = 1 << 40

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
    """

    sender: int
    buys: bool
    amount_in: int
    minimum_out: int

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


def sign_order(order: Order, identity: Identity, *, nonce: int) -> bytes:
    """The raw signed transaction that places an order, at the base fee and without a deadline that matters."""
    swap = order.swap(recipient=identity.address, deadline=_NO_DEADLINE_S)
    return sign_transaction(
        identity.secret_bytes(),
        chain_id=DEVELOPMENT_CHAIN_ID,
        nonce=nonce,
        to=ROUTER,
        value=swap.value,
        data=router.encode(swap),
        gas_limit=gas_ladder(SWAP_GAS),
        max_fee_per_gas=BASE_FEE,
        max_priority_fee_per_gas=0,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What became of an order, from the fast path or from the ledger.

    amount_out    0 if it reverted
    fee           wei of gas, charged either way
    """

    order: Order
    executed: bool
    amount_out: int
    fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A pool at the start of a block and the users' orders in arrival order, one per user."""

    seed: int
    reserves: Reserves
    orders: tuple[Order, ...]
    weth: bytes = WETH
    token: bytes = TOKEN

    @classmethod
    def draw(cls, seed: int, users: int, *, weth: bytes = WETH, token: bytes = TOKEN) -> Market:
        """The market of a seed: always the same one.

        Each user buys or sells with equal probability, with size and tolerance independent of each other. The minimum
        output is the quote at the start of the block less the tolerance, as a wallet would set it.
        """
        random = Random(seed)
        price = exp(random.uniform(*(log(end) for end in TOKENS_PER_ETHER)))
        reserves = Reserves(ether=DEPTH_WEI, token=DEPTH_WEI * round(price * 10**6) // 10**6)
        orders = []
        for sender in range(users):
            buys = random.random() < 0.5
            size_ppb = round(quantile(SIZE_QUANTILES, random.random()) * 10**9)
            slack_ppm = round(quantile(SLACK_QUANTILES_BPS, random.random()) * 100)
            reserve_in, reserve_out = (reserves.ether, reserves.token) if buys else (reserves.token, reserves.ether)
            amount_in = reserve_in * size_ppb // 10**9
            quote = amount_out(reserve_in, reserve_out, amount_in)
            minimum_out = quote * (10**6 - slack_ppm) // 10**6
            orders.append(Order(sender=sender, buys=buys, amount_in=amount_in, minimum_out=minimum_out))
        random.shuffle(orders)
        return cls(seed=seed, reserves=reserves, orders=tuple(orders), weth=weth, token=token)

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


def play(reserves: Reserves, orders: Sequence[Order], *, gas_price_wei: int = GAS_PRICE_WEI) -> tuple[Fill, ...]:
    """Run orders in the given order on integers alone; equals the ledger to the wei. About 1 µs per order.

    Senders are taken to hold what they sell.
    """
    ether, token = reserves.ether, reserves.token
    fills = []
    for order in orders:
        reserve_in, reserve_out = (ether, token) if order.buys else (token, ether)
        executed, received = False, 0
        try:
            quote = amount_out(reserve_in, reserve_out, order.amount_in)
            if quote >= order.minimum_out:
                reserve_in, reserve_out = settle(reserve_in, reserve_out, order.amount_in, quote)
                ether, token = (reserve_in, reserve_out) if order.buys else (reserve_out, reserve_in)
                executed, received = True, quote
        except Reverted:
            pass
        gas = SWAP_GAS if executed else REVERTED_SWAP_GAS
        fills.append(Fill(order=order, executed=executed, amount_out=received, fee=gas * gas_price_wei))
    return tuple(fills)


def from_receipts(orders: Sequence[Order], receipts: Sequence[ExecutionReceipt]) -> tuple[Fill, ...]:
    """The same fills from the ledger's receipts, which must be of these orders in this order."""
    return tuple(
        Fill(order=order, executed=receipt.success, amount_out=receipt.amount_out, fee=receipt.fee)
        for order, receipt in zip(orders, receipts, strict=True)
    )
