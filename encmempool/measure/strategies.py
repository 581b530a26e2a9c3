"""What attackers do with what they know.

A strategy is handed Knowledge and the public pools and answers with placements: its own orders, or calls to contracts
of its own, and where it would put them. How the order really arises is the arm's business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import Protocol

from encmempool.errors import Malformed, Rejected
from encmempool.execution.pools import amount_out
from encmempool.genesis import SIZE_CLASSES
from encmempool.measure.attacker import BlindStrategy, Placement, greedy_sandwich
from encmempool.measure.calls import Arbitrage, Close, FrontRun, Momentum
from encmempool.measure.ciphertexts import read_order
from encmempool.measure.market import ATTACKER, Call, Order, Reserves
from encmempool.measure.sandwich import Victim, best_sandwich
from encmempool.transactions import unpad
from encmempool.types import EncryptedTransaction

Placements = tuple[Placement[Order | Call], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What leaked of one transaction: its pool and direction, and its input if that leaked too."""

    pool: int
    buys: bool
    amount_in: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """All that an attacker knows of a block besides the public pools. Lists are by order of arrival.

    view       the recorded bytes of each user's transaction; empty where orders are public
    orders     what it can read, None for what is closed
    hints      what leaked otherwise
    net        +1 if the users together buy in the first pool, -1 if they sell, 0 if that is not known
    outside    prices elsewhere, which are public
    """

    view: tuple[bytes, ...]
    orders: tuple[Order | None, ...]
    hints: tuple[Hint | None, ...]
    net: int = 0
    outside: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.orders)

    @property
    def readable(self) -> tuple[Order, ...]:
        """Every order, if every one can be read; else none."""
        orders = tuple(order for order in self.orders if order is not None)
        return orders if len(orders) == len(self.orders) else ()


class Strategy(Protocol):
    """A family's member. Equal knowledge and randomness give an equal plan."""

    @property
    def name(self) -> str: ...

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements: ...


@lru_cache(maxsize=1024)
def _decoded(envelope: bytes) -> EncryptedTransaction:
    """Many strategies look at one block."""
    return EncryptedTransaction.decode(envelope)


def _wide(placements: Sequence[Placement[Order]]) -> Placements:
    return tuple(Placement(before=p.before, order=p.order, attack=p.attack) for p in placements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Abstain."""

    name: str = "abstain"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """A strategy that is handed recorded bytes and nothing else."""

    strategy: BlindStrategy

    @property
    def name(self) -> str:
        return self.strategy.name

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        return _wide(self.strategy.plan(known.view, pools, random))


@dataclass(frozen=True, slots=True, kw_only=True)
class GreedySandwich:
    """Sandwich every readable order that pays, one after the other, by the closed form; nothing if one is closed."""

    name: str = "greedy sandwich"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        return _wide(greedy_sandwich(pools, known.readable))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBytes:
    """Look for the plaintext in the recorded bytes, and sandwich what it reads. Works where nothing is encrypted."""

    name: str = "read the bytes"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        orders = []
        for data in known.view:
            try:
                order = read_order(unpad(_decoded(data).ciphertext, SIZE_CLASSES))
            except (Malformed, Rejected):
                return ()
            if order is None:
                return ()
            orders.append(order)
        return _wide(greedy_sandwich(pools, orders))


@dataclass(frozen=True, slots=True, kw_only=True)
class SandwichWhatLeaked:
    """A contract around each order that can be read: it front-runs at the reserves it meets, and closes after it."""

    name: str = "sandwich what leaked"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        placements: list[Placement[Order | Call]] = []
        for index, order in enumerate(known.orders):
            if order is not None and _pays(pools, order):
                placements += _around(index, order)
        return tuple(placements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """The same against every order, as one of many in the queue: it is in front with a given probability."""

    wins: float

    @property
    def name(self) -> str:
        return f"race, wins {self.wins:g}"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        placements: list[Placement[Order | Call]] = []
        for index, order in enumerate(known.readable):
            won = random.random() < self.wins
            if _pays(pools, order):
                placements += _around(index, order, late=not won)
        return tuple(placements)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleSpam:
    """Against a random order: copies of a front-run and of its close, of which chance may put one on either side.

    One target a block, the one that pays most at the opening reserves; contracts stop where they would not work.
    """

    copies: int

    @property
    def name(self) -> str:
        return f"{self.copies} conditional cop{'ies' if self.copies > 1 else 'y'}"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        target = max(known.readable, key=lambda order: _profit(pools, order), default=None)
        if target is None or not _pays(pools, target):
            return ()
        front = Call(decide=FrontRun(victim=target, once=True))
        back = Call(decide=Close(pool=target.pool, after=target.sender))
        return tuple(Placement(before=0, order=each) for each in (front, back) for _ in range(self.copies))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeBracket:
    """Where tips order: outbid every tip in the envelopes' headers to buy first, and pay none to sell last."""

    size_ppm: int

    @property
    def name(self) -> str:
        return f"fee bracket {self.size_ppm / 10**6:g}"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        tips = [Public.of(data).tip_wei for data in known.view]
        first, last = _bracket(pools, self.size_ppm, buys=True)
        outbid = replace(first, tip_wei=max(tips, default=0) + 1)
        return Placement(before=0, order=outbid), Placement(before=len(known), order=last)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetBracket:
    """Bracket the whole block in the direction in which the users together trade."""

    size_ppm: int

    @property
    def name(self) -> str:
        return f"net bracket {self.size_ppm / 10**6:g}"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        if not known.net:
            return ()
        first, last = _bracket(pools, self.size_ppm, buys=known.net > 0)
        return Placement(before=0, order=first), Placement(before=len(known), order=last)


@dataclass(frozen=True, slots=True, kw_only=True)
class HintedBracket:
    """A small bracket around every transaction whose pool and direction leaked."""

    size_ppm: int

    @property
    def name(self) -> str:
        return f"bracket each {self.size_ppm / 10**6:g}"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        placements: list[Placement[Order | Call]] = []
        for index, hint in enumerate(known.hints):
            if hint is not None:
                first, _ = _bracket(pools, self.size_ppm, buys=hint.buys, pool=hint.pool)
                placements += _pair(index, first, hint.pool)
        return tuple(placements)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessedLimit:
    """Sandwich every transaction whose size leaked as if its tolerance were a usual one."""

    slack_bps: float

    @property
    def name(self) -> str:
        return f"guess a limit of {self.slack_bps:g} bps"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        placements: list[Placement[Order | Call]] = []
        for index, hint in enumerate(known.hints):
            if hint is None or hint.amount_in is None:
                continue
            order = _guessed(pools, hint, self.slack_bps)
            plan = best_sandwich(
                *pools[order.pool].entering(order), Victim(amount=order.amount_in, bound=order.minimum_out)
            )
            if plan is not None and _pays(pools, order):
                first = Order(sender=ATTACKER, buys=order.buys, amount_in=plan.front_in, minimum_out=0, pool=order.pool)
                placements += _pair(index, first, order.pool)
        return tuple(placements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Public:
    """What an envelope shows."""

    sender: bytes
    gas_limit: int
    tip_wei: int
    size_bytes: int

    @classmethod
    def of(cls, envelope: bytes) -> Public:
        decoded = _decoded(envelope)
        header = decoded.header
        return cls(
            sender=header.sender,
            gas_limit=header.gas_limit,
            tip_wei=header.max_priority_fee_per_gas,
            size_bytes=len(decoded.ciphertext),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What earlier transactions with the same public mark were like, once they were revealed.

    accuracy    share that traded in the more frequent direction
    amount_in   the median of those, relative to the reserve paid into
    """

    pool: int
    buys: bool
    accuracy: float
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Guess direction and size from a public mark of the envelope, by what such transactions turned out to be.

    mark        names the public value that is looked at
    lessons     by that value
    accuracy    the least with which it acts
    """

    mark: str
    lessons: Mapping[Hashable, Lesson]
    accuracy: float
    slack_bps: float = 50.0

    @property
    def name(self) -> str:
        return f"infer from {self.mark}, {100 * self.accuracy:g} % sure"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        hints: list[Hint | None] = []
        for data in known.view:
            lesson = self.lessons.get(MARKS[self.mark](Public.of(data)))
            if lesson is None or lesson.accuracy < self.accuracy or lesson.pool >= len(pools):
                hints.append(None)
                continue
            pool = pools[lesson.pool]
            amount = round(lesson.size * (pool.ether if lesson.buys else pool.token))
            hints.append(Hint(pool=lesson.pool, buys=lesson.buys, amount_in=amount))
        guessed = replace(known, hints=tuple(hints))
        return GuessedLimit(slack_bps=self.slack_bps).plan(guessed, pools, random)


def _tip_band(tip_wei: int) -> int:
    return min(tip_wei // 250_000_000, 12)


MARKS: dict[str, Callable[[Public], Hashable]] = {
    "the sender": lambda public: public.sender,
    "fee and gas": lambda public: (public.gas_limit, _tip_band(public.tip_wei)),
    "the ciphertext's size": lambda public: public.size_bytes,
}
"""Public values of an envelope that an attacker may learn from."""


def learn(mark: str, seen: Sequence[tuple[bytes, Order, float]]) -> dict[Hashable, Lesson]:
    """Lessons from envelopes, what they turned out to hold, and its size relative to the reserve it entered.

    A mark seen fewer than 8 times teaches nothing.
    """
    groups: dict[Hashable, list[tuple[int, bool, float]]] = {}
    for envelope, order, size in seen:
        groups.setdefault(MARKS[mark](Public.of(envelope)), []).append((order.pool, order.buys, size))
    lessons = {}
    for value, trades in groups.items():
        if len(trades) < 8:
            continue
        (pool, buys), count = Counter((pool, buys) for pool, buys, _ in trades).most_common(1)[0]
        sizes = sorted(size for its_pool, its_way, size in trades if (its_pool, its_way) == (pool, buys))
        lessons[value] = Lesson(pool=pool, buys=buys, accuracy=count / len(trades), size=sizes[len(sizes) // 2])
    return lessons


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowThePrice:
    """Contracts at several places that bet on the price going on as it went inside the block; closed at its end."""

    trigger_bps: int
    size_ppm: int

    @property
    def name(self) -> str:
        return f"follow moves of {self.trigger_bps} bps with {self.size_ppm / 10**6:g}"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        bet = Call(decide=Momentum(opening=pools[0], trigger_bps=self.trigger_bps, size_ppm=self.size_ppm))
        placements = [_put(place, bet) for place in range(2, len(known), 3)]
        return (*placements, Placement(before=len(known), order=Call(decide=Close())))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindBackRun:
    """A contract that trades every pool to the outside price and reads no order: at the end, or after every user."""

    everywhere: bool = False

    @property
    def name(self) -> str:
        return "arbitrage after every user" if self.everywhere else "arbitrage at the end"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        count = len(pools)
        places = range(1, len(known) + 1) if self.everywhere else (len(known),)
        return tuple(
            _put(place, Call(decide=Arbitrage(pool=pool, outside=price)), place * count + pool)
            for place in places
            for pool, price in enumerate(known.outside)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFirst:
    """Displacement: send the first readable order oneself, before it. Its sender then finds the claim taken."""

    name: str = "copy the claim"

    def plan(self, known: Knowledge, pools: Sequence[Reserves], random: Random) -> Placements:
        claim = known.orders[0] if known.orders else None
        return () if claim is None else (Placement(before=0, order=replace(claim, sender=ATTACKER)),)


def _put(before: int, order: Order | Call, attack: int = 0) -> Placement[Order | Call]:
    return Placement(before=before, order=order, attack=attack)


def _around(index: int, order: Order, *, late: bool = False) -> tuple[Placement[Order | Call], ...]:
    front = _put(index + late, Call(decide=FrontRun(victim=order)), index)
    back = _put(index + 1, Call(decide=Close(pool=order.pool)), attack=index)
    return front, back


def _pair(index: int, first: Order, pool: int) -> tuple[Placement[Order | Call], ...]:
    back = _put(index + 1, Call(decide=Close(pool=pool)), attack=index)
    return Placement(before=index, order=first, attack=index), back


def _bracket(pools: Sequence[Reserves], size_ppm: int, *, buys: bool, pool: int = 0) -> tuple[Order, Order]:
    """A trade of `size_ppm` of the reserve it enters, and the sale of what it would bring at these reserves."""
    reserves = pools[pool]
    sides = (reserves.ether, reserves.token) if buys else (reserves.token, reserves.ether)
    spent = sides[0] * size_ppm // 10**6
    bought = amount_out(*sides, spent)
    return (
        Order(sender=ATTACKER, buys=buys, amount_in=spent, minimum_out=0, pool=pool),
        Order(sender=ATTACKER, buys=not buys, amount_in=bought, minimum_out=0, pool=pool),
    )


def _guessed(pools: Sequence[Reserves], hint: Hint, slack_bps: float) -> Order:
    reserves = pools[hint.pool]
    sides = (reserves.ether, reserves.token) if hint.buys else (reserves.token, reserves.ether)
    amount = max(hint.amount_in or 0, 1)
    bound = amount_out(*sides, amount) * (10**6 - round(100 * slack_bps)) // 10**6
    return Order(sender=0, buys=hint.buys, amount_in=amount, minimum_out=bound, pool=hint.pool)


def _profit(pools: Sequence[Reserves], order: Order) -> int:
    """Wei at the opening price of the best sandwich at the opening reserves, before gas; 0 if none pays."""
    plan = best_sandwich(*pools[order.pool].entering(order), Victim(amount=order.amount_in, bound=order.minimum_out))
    if plan is None:
        return 0
    return plan.profit if order.buys else pools[order.pool].in_ether(plan.profit)


def _pays(pools: Sequence[Reserves], order: Order) -> bool:
    """Whether a sandwich could pay at all: its size exceeds the closed form's threshold (4)."""
    reserve_in, _ = pools[order.pool].entering(order)
    return order.amount_in > _WORTH_TRYING * reserve_in


_WORTH_TRYING = 0.0027
"""Just under the threshold of 0.30135 %, since reserves move inside a block."""
