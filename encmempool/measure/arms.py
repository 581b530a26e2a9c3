"""The arms of the experiment: what the attacker sees, what it may do, how the order arises.

Every arm meets the same users with the same limits in the same order of arrival, unless a trait of theirs is what the
arm changes. C are controls in plaintext, T treatments with encryption (T4 opens by the users themselves), D a rival
without cryptography. Source: research, measurement, section 6.1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from random import Random

from encmempool.execution.ledger import REVERTED_SWAP_GAS
from encmempool.measure.attacker import BLIND_STRATEGIES, Abstain, BlindBracket, BlindSpam, Placement
from encmempool.measure.ciphertexts import Network, PathDisagrees
from encmempool.measure.flow import FEE_BAND, MEAN_TIP_WEI, PRICES, Draw, QuantileFlow, Trader
from encmempool.measure.formulas import outside_arbitrage
from encmempool.measure.market import (
    ETHER,
    GAS_PRICE_WEI,
    SIZE_QUANTILES,
    Call,
    Market,
    Order,
    Reserves,
    play,
    quantile,
)
from encmempool.measure.sandwich import Victim, best_sandwich, profitability_threshold
from encmempool.measure.strategies import (
    Blind,
    BlindBackRun,
    CopyFirst,
    FeeBracket,
    FollowThePrice,
    GreedySandwich,
    GuessedLimit,
    Hint,
    HintedBracket,
    Inference,
    Knowledge,
    NetBracket,
    Nothing,
    Placements,
    Race,
    ReadBytes,
    SandwichWhatLeaked,
    ShuffleSpam,
    Strategy,
    learn,
)
from encmempool.ordering import Policy

History = Callable[["Arm"], Sequence[tuple[bytes, Order, float]]]
"""Envelopes of an arm's earlier blocks, what they turned out to hold, and its size relative to the pool."""

BLIND: tuple[Strategy, ...] = (
    Nothing(),
    *(Blind(strategy=each) for each in BLIND_STRATEGIES if not isinstance(each, Abstain)),
    ReadBytes(),
)
SCATTERED: tuple[Strategy, ...] = (
    Nothing(),
    *(Blind(strategy=BlindBracket(size_ppm=size)) for size in (100, 1_000)),
    *(Blind(strategy=BlindSpam(pairs=pairs)) for pairs in (1, 5, 20)),
)


class Group(Enum):
    CONTROL = "control"
    ENCRYPTED = "encrypted"
    LEAK = "leak"
    RESIDUAL = "residual"
    RIVAL = "rival"


class Exposure(Enum):
    """What envelopes show besides what they must."""

    SEALED = "padded, gas on the ladder"
    GAS = "padded, exact gas"
    SIZE = "unpadded, gas on the ladder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What distinguishes arms of one kind: a property of the world, not the attacker's choice."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequenced:
    """A block in the order in which it runs; for each place the number of the attack it belongs to, or None."""

    block: tuple[Order | Call, ...]
    attacks: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A plaintext or encrypted mempool and an attacker in it.

    strategies    the attacker's choices; one is chosen on training blocks
    policy        how the committed order arises; None where nothing is threshold-encrypted
    hedged        the attacker trades what it is left with elsewhere, at the outside price
    claims        no information beyond the public one helps here: part of the equivalence test
    """

    id: str
    title: str
    group: Group
    sees: str
    may: str
    order: str
    strategies: tuple[Strategy, ...]
    parameter: Parameter | None = None
    policy: Policy | None = None
    hedged: bool = False
    claims: bool = False
    exposure: Exposure = Exposure.SEALED

    def family(self, history: History) -> tuple[Strategy, ...]:
        """The strategies, after whatever had to be learned from earlier blocks."""
        return self.strategies

    def market(self, draw: Draw) -> Market:
        return draw.market()

    def known(self, market: Market, view: tuple[bytes, ...], random: Random) -> Knowledge:
        """What the attacker has on the fast path. By default: bytes."""
        closed = (None,) * len(market.orders)
        return Knowledge(view=view, orders=closed, hints=closed, outside=market.outside)

    def known_in_full(self, network: Network, market: Market, view: tuple[bytes, ...], random: Random) -> Knowledge:
        """The same, with everything that takes key material really done."""
        return self.known(market, view, random)

    def sequence(self, orders: Sequence[Order], placements: Placements, random: Random) -> Sequenced:
        """By default in order of arrival, which is the sequencer's to choose."""
        slots: list[list[Placement[Order | Call]]] = [[] for _ in range(len(orders) + 1)]
        for placement in placements:
            slots[placement.before].append(placement)
        block: list[Order | Call] = []
        attacks: list[int | None] = []
        for index in range(len(orders) + 1):
            block += [placement.order for placement in slots[index]]
            attacks += [placement.attack for placement in slots[index]]
            if index < len(orders):
                block.append(orders[index])
                attacks.append(None)
        return Sequenced(block=tuple(block), attacks=tuple(attacks))

    def forfeited_wei(self, strategy: Strategy, placements: Placements, users: int) -> int:
        """Deposits that the attacker loses in a block."""
        return 0


class Readable(Arm):
    """Plaintext: every order is public before the order is fixed."""

    def known(self, market: Market, view: tuple[bytes, ...], random: Random) -> Knowledge:
        return replace(super().known(market, (), random), orders=market.orders)


class Permuted(Readable):
    """Plaintext, run in a uniformly random order; the attacker's copies come from as many addresses."""

    def sequence(self, orders: Sequence[Order], placements: Placements, random: Random) -> Sequenced:
        arrived = super().sequence(orders, placements, random)
        places = random.sample(range(len(arrived.block)), len(arrived.block))
        return _at(arrived, places)


class EncryptedShuffle(Arm):
    """Encrypted, then permuted by a seed that the reveal makes; each sender's own order is kept by its nonces."""

    def sequence(self, orders: Sequence[Order], placements: Placements, random: Random) -> Sequenced:
        arrived = super().sequence(orders, placements, random)
        places = random.sample(range(len(arrived.block)), len(arrived.block))
        own = iter(sorted(place for place in places if arrived.attacks[place] is not None))
        return _at(arrived, [place if arrived.attacks[place] is None else next(own) for place in places])


class EncryptedByFee(Arm):
    """Encrypted, highest tip first."""

    def sequence(self, orders: Sequence[Order], placements: Placements, random: Random) -> Sequenced:
        arrived = super().sequence(orders, placements, random)
        places = sorted(range(len(arrived.block)), key=lambda place: -arrived.block[place].tip_wei)
        return _at(arrived, places)


@dataclass(frozen=True, kw_only=True)
class CommitReveal(Readable):
    """Users open their own hash commitments; so does the attacker, last, with a deposit on each of its own.

    It commits to a call of its contract before and after every user, opens those that pay with the parameters it then
    chooses, and forfeits the deposits of the others.
    """

    deposit_wei: int

    def forfeited_wei(self, strategy: Strategy, placements: Placements, users: int) -> int:
        return 0 if isinstance(strategy, Nothing) else self.deposit_wei * (2 * users - len(placements))


@dataclass(frozen=True, kw_only=True)
class EpochLeak(Arm):
    """A share of what waits was left out of an earlier height, whose epoch key has opened it, and is still valid."""

    share: float

    def known(self, market: Market, view: tuple[bytes, ...], random: Random) -> Knowledge:
        orders = tuple(order if random.random() < self.share else None for order in market.orders)
        return replace(super().known(market, view, random), orders=orders)

    def known_in_full(self, network: Network, market: Market, view: tuple[bytes, ...], random: Random) -> Knowledge:
        """The committee's key of the earlier height opens what was left out of it."""
        leaked = [random.random() < self.share for _ in market.orders]
        left_out = [data for data, leaks in zip(view, leaked, strict=True) if leaks]
        opened = iter(network.collude(left_out, network.committee.key_set.t) or ())
        orders = tuple(next(opened) if leaks else None for leaks in leaked)
        return replace(super().known(market, view, random), orders=orders)


@dataclass(frozen=True, kw_only=True)
class Collusion(Arm):
    """The sequencer holds the key shares of some members."""

    members: int
    threshold: int

    def known(self, market: Market, view: tuple[bytes, ...], random: Random) -> Knowledge:
        closed = super().known(market, view, random)
        return replace(closed, orders=market.orders) if self.members >= self.threshold else closed

    def known_in_full(self, network: Network, market: Market, view: tuple[bytes, ...], random: Random) -> Knowledge:
        closed = super().known(market, view, random)
        read = network.collude(view, self.members)
        return closed if read is None else replace(closed, orders=read)


@dataclass(frozen=True, kw_only=True)
class OracleLeak(Arm):
    """Something told the attacker a property of each transaction, or of all together; who told is left open."""

    tells: Callable[[Market], tuple[tuple[Hint | None, ...], int]]

    def known(self, market: Market, view: tuple[bytes, ...], random: Random) -> Knowledge:
        hints, net = self.tells(market)
        return replace(super().known(market, view, random), hints=hints, net=net)


@dataclass(frozen=True, kw_only=True)
class PublicMark(Arm):
    """The attacker has learned from revealed history what transactions with a public mark are like."""

    mark: str
    changes: Callable[[Draw], Draw]

    def family(self, history: History) -> tuple[Strategy, ...]:
        lessons = learn(self.mark, history(self))
        infer = (Inference(mark=self.mark, lessons=lessons, accuracy=least) for least in (0.55, 0.7, 0.85))
        return (Nothing(), *infer)

    def market(self, draw: Draw) -> Market:
        return self.changes(draw).market()


@dataclass(frozen=True, kw_only=True)
class Persistent(Arm):
    """Directions within a block follow each other: each is the one before with probability (1 + persistence) / 2."""

    persistence: float

    def market(self, draw: Draw) -> Market:
        random = Random(f"persistence/{draw.seed}")
        traders: list[Trader] = []
        for trader in draw.traders:
            again = random.random() < (1 + self.persistence) / 2
            buys = traders[-1].buys is again if traders else trader.buys
            traders.append(replace(trader, buys=buys))
        return replace(draw, traders=tuple(traders)).market()


class Claim(Arm):
    """The first user found a mispriced pool: only the first to trade it to the outside price gets the difference.

    Copies of ciphertexts are refused on admission, or come to nothing when they are revealed.
    """

    def market(self, draw: Draw) -> Market:
        return _with_claim(draw)

    def known_in_full(self, network: Network, market: Market, view: tuple[bytes, ...], random: Random) -> Knowledge:
        executed = network.copies_executed(view)
        if executed:
            raise PathDisagrees(f"{executed} copied ciphertexts were executed")
        return self.known(market, view, random)


class ReadableClaim(Readable):
    """The same claim in plaintext."""

    def market(self, draw: Draw) -> Market:
        return _with_claim(draw)


class AdaptiveSlippage(Readable):
    """Plaintext, with limits set against sandwiches instead of encryption.

    After Heimbach and Wattenhofer, "Eliminating Sandwich Attacks with the Help of Game Theory" (2022): each user takes
    the widest tolerance at which the best sandwich does not pay its gas, or its own if losing that to a sandwich is
    cheaper than the failures the narrow one brings.
    """

    def market(self, draw: Draw) -> Market:
        market = draw.market()
        moves = _adverse_moves(min(len(draw.pools), len(PRICES)))
        orders = tuple(_adapted(order, market.pools[order.pool], moves) for order in market.orders)
        return replace(market, orders=orders)


def _at(arrived: Sequenced, places: Sequence[int]) -> Sequenced:
    return Sequenced(
        block=tuple(arrived.block[place] for place in places), attacks=tuple(arrived.attacks[place] for place in places)
    )


# --- leaks -----------------------------------------------------------------------------------------------------------


def _net(market: Market) -> tuple[tuple[Hint | None, ...], int]:
    total = 0
    for order in market.orders:
        if order.pool == 0:
            total += order.amount_in if order.buys else -market.pools[0].in_ether(order.amount_in)
    return (None,) * len(market.orders), (total > 0) - (total < 0)


def _directions(market: Market) -> tuple[tuple[Hint | None, ...], int]:
    net = sum(1 if order.buys else -1 for order in market.orders if order.pool == 0)
    hints = tuple(Hint(pool=order.pool, buys=order.buys) for order in market.orders)
    return hints, (net > 0) - (net < 0)


def _sizes(market: Market) -> tuple[tuple[Hint | None, ...], int]:
    hints = tuple(Hint(pool=order.pool, buys=order.buys, amount_in=order.amount_in) for order in market.orders)
    return hints, _net(market)[1]


HABIT = 0.8
"""How often a person with habits repeats its usual trade; an assumption."""
FOLLOWS = 0.8
"""How often a tip has the rank of the trade's size; an assumption."""


@cache
def _habit(sender: int) -> tuple[bool, float]:
    random = Random(f"habit/{sender}")
    return random.random() < 0.5, random.random()


def _habitual(draw: Draw) -> Draw:
    """Most trades are their sender's usual one. Over all people, directions and sizes are distributed as before."""
    random = Random(f"habits/{draw.seed}")
    traders = []
    for trader in draw.traders:
        buys, usual = _habit(trader.sender)
        rank = (usual + random.uniform(-0.05, 0.05)) % 1.0
        if random.random() < HABIT:
            trader = replace(trader, buys=buys, rank=rank, size=quantile(SIZE_QUANTILES, rank))
        traders.append(trader)
    return replace(draw, traders=tuple(traders))


def _tips_follow_size(draw: Draw) -> Draw:
    random = Random(f"tips/{draw.seed}")
    traders = []
    for trader in draw.traders:
        rank = trader.rank if random.random() < FOLLOWS else random.random()
        tip_wei = round(8 * MEAN_TIP_WEI * rank**3) + 1
        traders.append(replace(trader, tip_wei=tip_wei))
    return replace(draw, traders=tuple(traders))


def _unchanged(draw: Draw) -> Draw:
    return draw


# --- markets that arms change ----------------------------------------------------------------------------------------

_CLAIM_GAP = 0.01


def _with_claim(draw: Draw) -> Market:
    """The outside price lies 1 % off, beyond the fee, and the first order takes exactly what that is worth."""
    market = draw.market()
    pool = market.pools[0]
    wei, units = market.outside[0]
    up = wei * pool.token > pool.ether * units
    outside = (round(pool.ether * (1 + _CLAIM_GAP + FEE_BAND if up else 1 - _CLAIM_GAP - FEE_BAND)), pool.token)
    found = outside_arbitrage(pool, outside)
    if found is None:
        raise AssertionError("a pool one percent off pays its arbitrage")
    first = replace(
        market.orders[0],
        pool=0,
        buys=found.buys,
        amount_in=found.amount_in,
        minimum_out=found.amount_out,
    )
    return replace(market, orders=(first, *market.orders[1:]), outside=(outside, *market.outside[1:]))


_MOVES_BLOCKS = 300
_FIRST_MOVES_SEED = 9_000_000
"""No run has blocks of these seeds."""


@cache
def _adverse_moves(pools: int) -> tuple[float, ...]:
    """By how much less than quoted, as a share, users receive in unattacked blocks without limits; ascending."""
    flow = QuantileFlow(pools=pools)
    moves = []
    for seed in range(_FIRST_MOVES_SEED, _FIRST_MOVES_SEED + _MOVES_BLOCKS):
        market = flow.draw(seed).market()
        free = tuple(replace(order, minimum_out=0) for order in market.orders)
        for order, fill in zip(free, play(market.pools, free), strict=True):
            quote = play(market.pools, (order,))[0].amount_out
            moves.append(1 - fill.amount_out / quote)
    return tuple(sorted(moves))


def _adapted(order: Order, pool: Reserves, moves: Sequence[float]) -> Order:
    reserve_in, reserve_out = pool.entering(order)
    if order.amount_in <= profitability_threshold() * reserve_in:
        return order  # no sandwich of it pays at any tolerance
    (quoted,) = play((pool,), (replace(order, minimum_out=0, pool=0),))
    quote = quoted.amount_out
    gas = 2 * 87_700 * GAS_PRICE_WEI

    def gain(tolerance_ppm: int) -> int:
        victim = Victim(amount=order.amount_in, bound=quote * (10**6 - tolerance_ppm) // 10**6)
        plan = best_sandwich(reserve_in, reserve_out, victim)
        if plan is None:
            return 0
        return plan.profit if order.buys else pool.in_ether(plan.profit)

    low, high = 0, 200_000
    while high - low > 50:
        middle = (low + high) // 2
        low, high = (middle, high) if gain(middle) <= gas else (low, middle)
    own = 1 - order.minimum_out / quote
    size = order.amount_in if order.buys else pool.in_ether(order.amount_in)
    fails = 1 - bisect_right(moves, low / 10**6) / len(moves)
    retry = REVERTED_SWAP_GAS * GAS_PRICE_WEI + size * 5e-4
    if own * size < fails * retry:
        return order
    return replace(order, minimum_out=quote * (10**6 - low) // 10**6)


# --- the list --------------------------------------------------------------------------------------------------------

_BYTES = "recorded bytes"
_EVERYTHING = "every order"
_ANYWHERE = "insert its own anywhere"


def _plain(id: str, title: str, *, kind: type[Arm] = Readable, group: Group = Group.CONTROL, **more: object) -> Arm:
    texts = {"sees": _EVERYTHING, "may": _ANYWHERE, "order": "the attacker's choice"}
    return kind(id=id, title=title, group=group, **{**texts, **more})  # type: ignore[arg-type]


def _sealed(id: str, title: str, *, kind: type[Arm] = Arm, group: Group = Group.ENCRYPTED, **more: object) -> Arm:
    texts = {"sees": _BYTES, "may": _ANYWHERE, "order": "arrival, the sequencer's choice", "policy": Policy.ARRIVAL}
    return kind(id=id, title=title, group=group, **{**texts, **more})  # type: ignore[arg-type]


def arms(*, members: int = 4, threshold: int = 3) -> tuple[Arm, ...]:
    """Every arm, for a committee of that size."""
    return tuple(_controls()) + tuple(_treatments(members, threshold)) + tuple(_leaks()) + tuple(_residuals())


def _controls() -> Iterator[Arm]:
    yield _plain("C0", "no attacker", sees="nothing", may="nothing", order="arrival", strategies=(Nothing(),))
    yield _plain("C1", "plaintext, greedy sequencer", strategies=(GreedySandwich(),))
    yield _plain(
        "C2",
        "plaintext, race for the next place",
        may="race every order, half of the time in front",
        order="arrival",
        strategies=(Race(wins=0.5),),
    )
    yield _plain(
        "C3",
        "plaintext, random order",
        kind=Permuted,
        may="spam conditional copies",
        order="uniformly random",
        strategies=(Nothing(), *(ShuffleSpam(copies=copies) for copies in (1, 5, 10, 50))),
    )


def _treatments(members: int, threshold: int) -> Iterator[Arm]:
    yield _sealed("T1", "encrypted, order of arrival", strategies=BLIND, claims=True)
    yield _sealed(
        "T2",
        "encrypted, random order",
        kind=EncryptedShuffle,
        may="add its own",
        order="shuffle, seeded by the reveal",
        policy=Policy.SHUFFLE,
        strategies=SCATTERED,
        claims=True,
    )
    yield _sealed(
        "T3",
        "encrypted, highest tip first",
        kind=EncryptedByFee,
        may="outbid the first, underbid the last",
        order="priority fee",
        policy=Policy.PRIORITY_FEE,
        strategies=(Nothing(), *(FeeBracket(size_ppm=size) for size in (100, 1_000, 3_000, 10_000))),
        claims=True,
    )
    for ether in (0.0, 0.01, 0.1, 0.5):
        yield _plain(
            f"T4/D={ether:g}",
            f"users open their commitments, deposit {ether:g} ETH",
            kind=CommitReveal,
            group=Group.RESIDUAL,
            sees="every opening before its own",
            may="commit around everyone, and not open",
            order="commitment",
            parameter=Parameter(name="D", value=ether, unit="ETH"),
            deposit_wei=round(ether * ETHER),
            strategies=(Nothing(), GreedySandwich(name="open what pays")),
        )
    for share in (0.01, 0.05, 0.25, 0.5):
        yield _sealed(
            f"T5/q={share:g}",
            f"epoch keys, {100 * share:g} % of what waits already open",
            kind=EpochLeak,
            group=Group.LEAK,
            sees=f"{100 * share:g} % of the orders, bytes of the others",
            parameter=Parameter(name="q", value=share, unit="share"),
            share=share,
            strategies=(Nothing(), SandwichWhatLeaked()),
        )
    for colluding in (threshold - 1, threshold):
        reads = colluding >= threshold
        yield _sealed(
            f"T6/t'={colluding}",
            f"{colluding} of {members} members collude, {threshold} open",
            kind=Collusion,
            group=Group.LEAK if reads else Group.ENCRYPTED,
            sees=f"{_BYTES} and {colluding} key share{'s' * (colluding != 1)}",
            parameter=Parameter(name="t'", value=float(colluding), unit="members"),
            members=colluding,
            threshold=threshold,
            strategies=(GreedySandwich(),) if reads else BLIND,
            claims=not reads,
        )


def _leaks() -> Iterator[Arm]:
    nets = tuple(NetBracket(size_ppm=size) for size in (1_000, 3_000, 10_000))
    yield _sealed(
        "T7a",
        "leak: net direction of the block",
        kind=OracleLeak,
        group=Group.LEAK,
        sees="whether the block buys or sells",
        tells=_net,
        strategies=(Nothing(), *nets),
    )
    yield _sealed(
        "T7b",
        "leak: pool and direction of each",
        kind=OracleLeak,
        group=Group.LEAK,
        sees="pool and direction of each",
        tells=_directions,
        strategies=(Nothing(), *nets, *(HintedBracket(size_ppm=size) for size in (100, 1_000))),
    )
    yield _sealed(
        "T7c",
        "leak: pool, direction and size of each",
        kind=OracleLeak,
        group=Group.LEAK,
        sees="pool, direction and size of each",
        tells=_sizes,
        strategies=(Nothing(), *nets, *(GuessedLimit(slack_bps=slack) for slack in (10, 50, 100, 300))),
    )
    yield _sealed(
        "T7d",
        "leak: senders with known habits",
        kind=PublicMark,
        group=Group.LEAK,
        sees=f"{_BYTES}; what each sender did before",
        mark="the sender",
        changes=_habitual,
        strategies=(),
    )
    gas = ("fee and gas", "such tips and gas limits", _tips_follow_size)
    size = ("the ciphertext's size", "such lengths", _unchanged)
    for name, what, exposure, (mark, meant, changes) in (
        ("T7e/ladder", "tips follow size; gas on the ladder", Exposure.SEALED, gas),
        ("T7e/open", "tips follow size; exact gas limits", Exposure.GAS, gas),
        ("T7f/padded", "padded ciphertexts", Exposure.SEALED, size),
        ("T7f/open", "ciphertexts as long as their payload", Exposure.SIZE, size),
    ):
        yield _sealed(
            name,
            f"leak: {what}",
            kind=PublicMark,
            group=Group.LEAK,
            sees=f"{_BYTES}; what {meant} meant before",
            mark=mark,
            changes=changes,
            exposure=exposure,
            strategies=(),
        )


def _residuals() -> Iterator[Arm]:
    follows = tuple(FollowThePrice(trigger_bps=at, size_ppm=size) for at in (30, 100) for size in (1_000, 3_000))
    for persistence in (0.0, 0.9):
        yield _sealed(
            f"T8/p={persistence:g}",
            f"contracts that read the chain inside the block, persistence {persistence:g}",
            kind=Persistent,
            sees=f"{_BYTES}; each contract the state at its place",
            may="place contracts anywhere",
            parameter=Parameter(name="p", value=persistence, unit="correlation"),
            persistence=persistence,
            strategies=(Nothing(), *follows),
            claims=persistence == 0,
        )
    yield _sealed(
        "T9", "encrypted claim, copied ciphertext", kind=Claim, strategies=(CopyFirst(),), hedged=True, claims=True
    )
    yield _plain(
        "T9/plaintext", "the same claim in plaintext", kind=ReadableClaim, strategies=(CopyFirst(),), hedged=True
    )
    yield _sealed(
        "T10",
        "blind back-run by a contract",
        group=Group.RESIDUAL,
        sees=f"{_BYTES}; its contract the state at its place",
        may="place contracts anywhere",
        strategies=(Nothing(), BlindBackRun(), BlindBackRun(everywhere=True)),
        hedged=True,
    )
    yield _plain(
        "D1", "plaintext, limits set against sandwiches", kind=AdaptiveSlippage, group=Group.RIVAL,
        strategies=(GreedySandwich(),),
    )  # fmt: skip


def select(names: Sequence[str], *, members: int, threshold: int) -> tuple[Arm, ...]:
    """Arms by id, by kind ("T5" means all of T5) or "all", in the list's order. ValueError for an unknown one."""
    everything = arms(members=members, threshold=threshold)
    wanted: set[str] = set()
    for name in names:
        found = {arm.id for arm in everything if name in ("all", arm.id, arm.id.partition("/")[0])}
        if not found:
            kinds = dict.fromkeys(arm.id.partition("/")[0] for arm in everything)
            raise ValueError(f"there is no arm {name!r}: choose from {', '.join(kinds)} or all (see `measure arms`)")
        wanted |= found
    return tuple(arm for arm in everything if arm.id in wanted)
