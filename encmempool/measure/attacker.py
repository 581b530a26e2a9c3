"""The sequencer as attacker: what it does with plaintext, what it can do without, and what users lose.

Two views, two types. `greedy_sandwich` is handed the users' orders. A BlindStrategy is handed `view`, the bytes the
sequencer has recorded for each user transaction, the public pool and its own randomness: no order, no size, no
direction. Both answer with placements, since the order of the block is the sequencer's to choose; both pay gas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from typing import Generic, Protocol, TypeVar

from encmempool.execution.ledger import SWAP_GAS
from encmempool.execution.pools import amount_out
from encmempool.measure.figures import Measurement, measure, worth
from encmempool.measure.market import ATTACKER, GAS_PRICE_WEI, Call, Market, Order, Reserves, play
from encmempool.measure.sandwich import Plan, Victim, best_sandwich, trade

Move = TypeVar("Move", bound=Order | Call)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement(Generic[Move]):
    """Put `order` just before the user transaction with index `before` (0-based; their number: after the last).

    Placements with the same index keep the order in which they are listed. Those of one attack have its number.
    """

    before: int
    order: Move
    attack: int = 0


def arrange(orders: Sequence[Order], placements: Sequence[Placement[Move]]) -> tuple[Order | Move, ...]:
    """The block: users' orders in their order with the attacker's put in. ValueError for an index out of range."""
    slots: list[list[Move]] = [[] for _ in range(len(orders) + 1)]
    for placement in placements:
        if not 0 <= placement.before <= len(orders):
            raise ValueError(f"placement before {placement.before}, with {len(orders)} user transactions")
        slots[placement.before].append(placement.order)
    block: list[Order | Move] = []
    for index, order in enumerate(orders):
        block += slots[index]
        block.append(order)
    return (*block, *slots[-1])


def greedy_sandwich(
    pools: Sequence[Reserves], victims: Sequence[Order], *, gas_price_wei: int = GAS_PRICE_WEI
) -> tuple[Placement[Order], ...]:
    """Plaintext control: sandwich every order, in arrival order, where the best sandwich pays for its two swaps' gas.

    The attacker needs ether and tokens in hand: against a seller it sells tokens first. Profit in tokens counts at
    the mid price of `pools`. Greedy per victim, so a lower bound of what plaintext gives away.
    """
    gas_cost = 2 * SWAP_GAS * gas_price_wei
    now = list(pools)
    placements: list[Placement[Order]] = []
    for index, order in enumerate(victims):
        reserve_in, reserve_out = now[order.pool].entering(order)
        victim = Victim(amount=order.amount_in, bound=order.minimum_out)
        plan = best_sandwich(reserve_in, reserve_out, victim)
        if plan is not None and worth(pools, order, plan.profit, is_ether=order.buys) > gas_cost:
            front, back = legs(order, plan)
            placements += [
                Placement(before=index, order=front, attack=index),
                Placement(before=index + 1, order=back, attack=index),
            ]
            reserve_in, reserve_out = plan.after
        elif (passed := trade(reserve_in, reserve_out, victim)) is not None:
            reserve_in, reserve_out = reserve_in + passed[0], reserve_out - passed[1]
        else:
            continue
        now[order.pool] = now[order.pool].after(buys=order.buys, reserve_in=reserve_in, reserve_out=reserve_out)
    return tuple(placements)


def legs(victim: Order, plan: Plan) -> tuple[Order, Order]:
    """The two orders of a sandwich. The front-run reverts where it does not meet the price it was planned for."""
    front = Order(
        sender=ATTACKER, buys=victim.buys, amount_in=plan.front_in, minimum_out=plan.front_out, pool=victim.pool
    )
    back = Order(sender=ATTACKER, buys=not victim.buys, amount_in=plan.front_out, minimum_out=0, pool=victim.pool)
    return front, back


class BlindStrategy(Protocol):
    """A sequencer that holds ciphertexts only."""

    @property
    def name(self) -> str: ...

    def plan(self, view: Sequence[bytes], pools: Sequence[Reserves], random: Random) -> tuple[Placement[Order], ...]:
        """Choose orders and places.

        view     the recorded bytes of each user transaction, in arrival order: all there is to know about them
        pools    before the block, which are public
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstain:
    """Do nothing."""

    name: str = "abstain"

    def plan(self, view: Sequence[bytes], pools: Sequence[Reserves], random: Random) -> tuple[Placement[Order], ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindBracket:
    """Buy at the first position, sell exactly what that bought at the last: the whole block is the victim.

    size_ppm    ether spent, in millionths of the pool's ether
    """

    size_ppm: int

    @property
    def name(self) -> str:
        return f"blind bracket {self.size_ppm / 10**6:g}"

    def plan(self, view: Sequence[bytes], pools: Sequence[Reserves], random: Random) -> tuple[Placement[Order], ...]:
        buy, sell = _round_trip(pools[0], self.size_ppm)
        return Placement(before=0, order=buy), Placement(before=len(view), order=sell)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindSpam:
    """Scatter `pairs` buy-and-sell pairs: each pair's two places among the users are uniform, the buy at the earlier.

    size_ppm    ether spent by each buy, in millionths of the pool's ether; each sale is of what that buys at the
                start of the block, so the attacker may end a little long or short, valued at that mid price
    """

    pairs: int
    size_ppm: int = 100

    @property
    def name(self) -> str:
        return f"blind spam {self.pairs}"

    def plan(self, view: Sequence[bytes], pools: Sequence[Reserves], random: Random) -> tuple[Placement[Order], ...]:
        buy, sell = _round_trip(pools[0], self.size_ppm)
        placements = []
        for pair in range(self.pairs):
            early, late = sorted(random.sample(range(len(view) + 2), 2))
            placements += [
                Placement(before=early, order=buy, attack=pair),
                Placement(before=late - 1, order=sell, attack=pair),
            ]
        return tuple(placements)


BLIND_STRATEGIES: tuple[BlindStrategy, ...] = (
    Abstain(),
    *(BlindBracket(size_ppm=size_ppm) for size_ppm in (100, 1_000, 3_000, 10_000)),
    *(BlindSpam(pairs=pairs) for pairs in (1, 5, 20)),
)
"""The family of the experiment (research, section 6.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A strategy, its sums over the training markets, and the standard error of its extraction in bps of volume."""

    strategy: BlindStrategy
    measurement: Measurement
    standard_error_bps: float

    @property
    def convincing(self) -> bool:
        """Whether the gain stands two standard errors above zero. A maximum over noise would not repeat itself."""
        return self.measurement.extracted_bps > 2 * self.standard_error_bps


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """All strategies, most profitable first."""

    ranked: tuple[Trained, ...]

    @property
    def best(self) -> Trained:
        """The most profitable whose gain convinces; to abstain if none does. ValueError without that option."""
        for trained in self.ranked:
            if trained.convincing or isinstance(trained.strategy, Abstain):
                return trained
        raise ValueError("no strategy gains convincingly and none abstains")

    @property
    def best_active(self) -> Trained:
        """The most profitable that trades. ValueError if the family has none."""
        for trained in self.ranked:
            if not isinstance(trained.strategy, Abstain):
                return trained
        raise ValueError("every strategy abstains")


def choose(
    strategies: Sequence[BlindStrategy],
    training_seeds: Iterable[int],
    users: int,
    *,
    gas_price_wei: int = GAS_PRICE_WEI,
) -> Choice:
    """Rank strategies by profit net of gas on training markets. Evaluate the choice on other seeds: it is a winner.

    The view is uniform bytes here, which is what a secure ciphertext looks like, made without the orders.
    Equal profits keep the order of `strategies`. About 55 µs per market and strategy at 12 users.
    """
    blocks: list[list[Measurement]] = [[] for _ in strategies]
    for seed in training_seeds:
        market = Market.draw(seed, users)
        alone = play(market.pools, market.orders, gas_price_wei=gas_price_wei)
        noise = Random(f"view/{seed}")
        view = tuple(noise.randbytes(32) for _ in market.orders)
        for strategy, measured in zip(strategies, blocks, strict=True):
            placements = strategy.plan(view, market.pools, Random(f"{strategy.name}/{seed}"))
            block = arrange(market.orders, placements)
            fills = play(market.pools, block, gas_price_wei=gas_price_wei)
            measured.append(measure(market.pools, fills, alone))
    trained = (
        Trained(
            strategy=strategy,
            measurement=sum(measured, Measurement()),
            standard_error_bps=_standard_error_bps(measured),
        )
        for strategy, measured in zip(strategies, blocks, strict=True)
    )
    return Choice(ranked=tuple(sorted(trained, key=lambda each: -each.measurement.extracted_bps)))


def _standard_error_bps(blocks: Sequence[Measurement]) -> float:
    """Of a ratio of sums, by linearisation; blocks are independent."""
    volume = sum(block.volume for block in blocks)
    if not volume:
        return 0.0
    ratio = sum(block.extracted for block in blocks) / volume
    return 10_000 * sqrt(sum((block.extracted - ratio * block.volume) ** 2 for block in blocks)) / volume


def _round_trip(reserves: Reserves, size_ppm: int) -> tuple[Order, Order]:
    """A purchase of `size_ppm` of the pool's ether and the sale of what it would bring now. No minimum outputs."""
    spent = reserves.ether * size_ppm // 10**6
    bought = amount_out(reserves.ether, reserves.token, spent)
    return (
        Order(sender=ATTACKER, buys=True, amount_in=spent, minimum_out=0),
        Order(sender=ATTACKER, buys=False, amount_in=bought, minimum_out=0),
    )
