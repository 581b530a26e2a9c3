"""What the attacker's own contracts decide at their place in a block, from what the chain shows there.

Each is a value: two of the same attack are equal, so that a plan made twice can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from encmempool.execution.ledger import SWAP_GAS
from encmempool.measure.figures import worth
from encmempool.measure.formulas import outside_arbitrage
from encmempool.measure.market import ATTACKER, GAS_PRICE_WEI, Fill, Order, Reserves
from encmempool.measure.sandwich import Victim, best_sandwich


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontRun:
    """The best front-run of a known order at the reserves it meets; stops if the order has run, or none pays its gas.

    once    stops also if the attacker has traded in this block already: one of many copies
    """

    victim: Order
    once: bool = False

    def __call__(self, pools: Sequence[Reserves], fills: Sequence[Fill], /) -> Order | None:
        victim = self.victim
        for fill in fills:
            if fill.order.sender == victim.sender or (self.once and fill.executed and fill.order.sender == ATTACKER):
                return None
        reserve_in, reserve_out = pools[victim.pool].entering(victim)
        plan = best_sandwich(reserve_in, reserve_out, Victim(amount=victim.amount_in, bound=victim.minimum_out))
        if plan is None:
            return None
        if worth(pools, victim, plan.profit, is_ether=victim.buys) <= 2 * SWAP_GAS * GAS_PRICE_WEI:
            return None
        return Order(
            sender=ATTACKER, buys=victim.buys, amount_in=plan.front_in, minimum_out=plan.front_out, pool=victim.pool
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Sell back what the attacker's last trade in a pool bought; stops if nothing is open.

    after    the user whose order has to have run first, if any
    """

    pool: int = 0
    after: int | None = None

    def __call__(self, pools: Sequence[Reserves], fills: Sequence[Fill], /) -> Order | None:
        opened: Fill | None = None
        ready = self.after is None
        for fill in fills:
            order = fill.order
            if order.sender == self.after:
                ready = True
            elif order.sender == ATTACKER and order.pool == self.pool and fill.executed:
                opened = fill if opened is None else None
        if opened is None or not ready:
            return None
        return Order(
            sender=ATTACKER,
            buys=not opened.order.buys,
            amount_in=opened.amount_out,
            minimum_out=0,
            pool=self.pool,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Momentum:
    """Follow the price: if it has moved by `trigger_bps` since the block opened, trade the same way, once a block.

    size_ppm    of the reserve paid into, in millionths
    """

    opening: Reserves
    trigger_bps: int
    size_ppm: int

    def __call__(self, pools: Sequence[Reserves], fills: Sequence[Fill], /) -> Order | None:
        if any(fill.order.sender == ATTACKER and fill.executed for fill in fills):
            return None
        now = pools[0]
        before, after = self.opening.ether * now.token, now.ether * self.opening.token
        if abs(after - before) * 10_000 < self.trigger_bps * before:
            return None
        buys = after > before
        amount_in = (now.ether if buys else now.token) * self.size_ppm // 10**6
        return Order(sender=ATTACKER, buys=buys, amount_in=amount_in, minimum_out=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arbitrage:
    """Trade a pool to an outside price, as far as that pays after fee and gas: a back-run that reads no order."""

    pool: int
    outside: tuple[int, int]

    def __call__(self, pools: Sequence[Reserves], fills: Sequence[Fill], /) -> Order | None:
        found = outside_arbitrage(pools[self.pool], self.outside)
        if found is None or found.profit <= SWAP_GAS * GAS_PRICE_WEI:
            return None
        return Order(
            sender=ATTACKER,
            buys=found.buys,
            amount_in=found.amount_in,
            minimum_out=found.amount_out,
            pool=self.pool,
        )
