"""Where users come from: drawn from real quantiles, or replayed from a file of real swaps.

A flow draws traders, not orders: what a person wants does not depend on the pool, and an experiment may change one
trait (a direction, a tip, a tolerance) and leave the others as they are.
"""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp
from pathlib import Path
from random import Random
from typing import Protocol

from encmempool.errors import Malformed
from encmempool.execution.pools import Reverted, amount_out
from encmempool.genesis import WETH
from encmempool.measure.market import (
    ETHER,
    SIZE_QUANTILES,
    SLACK_QUANTILES_BPS,
    Market,
    Reserves,
    order_of,
    quantile,
    reserves_at,
)

PEOPLE = 256
"""Accounts that exist; the users of a block are drawn from them without repetition."""
MAX_POOLS = 32
"""Tokens that exist; a block of a file keeps its first pools up to this many."""
PRICES = (3_000.0, 1_250.0, 700.0, 4_100.0, 2_200.0, 900.0, 1_700.0, 3_600.0)
"""Tokens for an ether in each pool. Figures in basis points do not depend on them."""
MEAN_TIP_WEI = 10**9
"""Tips are exponential; an assumption: they only matter where tips order."""
MAX_VALUE = 0.02
"""A user's private gain from its trade is uniform up to this share of the amount (research, section 6.3)."""
FEE_BAND = 0.003
VOLATILITY_PER_BLOCK = 4.9e-4
"""80 % a year over 12 seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trader:
    """What one user wants.

    sender       index of the account
    size         input relative to the reserve it enters
    rank         of the size among all users, 0 to 1
    slack_bps    tolerance
    value        private gain from trading, as a share of the amount
    """

    sender: int
    pool: int
    buys: bool
    size: float
    rank: float
    slack_bps: float
    tip_wei: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One block's traders in order of arrival, the pools, and each token's price elsewhere as (wei, token units)."""

    seed: int
    pools: tuple[Reserves, ...]
    outside: tuple[tuple[int, int], ...]
    traders: tuple[Trader, ...]

    def market(self) -> Market:
        """The traders' orders, as their wallets make them."""
        orders = tuple(
            order_of(
                self.pools[trader.pool],
                sender=trader.sender,
                buys=trader.buys,
                size=trader.size,
                slack_bps=trader.slack_bps,
                pool=trader.pool,
                tip_wei=trader.tip_wei,
            )
            for trader in self.traders
        )
        values = tuple(trader.value for trader in self.traders)
        return Market(seed=self.seed, pools=self.pools, orders=orders, outside=self.outside, values=values)


class Flow(Protocol):
    """A source of blocks: the same draw for the same seed, on every machine."""

    @property
    def source(self) -> str: ...

    @property
    def users(self) -> int:
        """The most users a block may have."""
        ...

    @property
    def pools(self) -> int:
        """The most pools a block may have."""
        ...

    @property
    def distinct_blocks(self) -> int | None:
        """How many different blocks there are, or None without end."""
        ...

    def draw(self, seed: int) -> Draw: ...


@cache
def standard_pools(count: int) -> tuple[Reserves, ...]:
    """The experiment's pools, the same at the start of every block."""
    return tuple(reserves_at(price) for price in PRICES[:count])


def outside_prices(pools: Sequence[Reserves], random: Random) -> tuple[tuple[int, int], ...]:
    """Where the rest of the world trades when the block opens.

    The last block's arbitrage left the pool within its fee of the outside price, and that price moved on. Inside the
    band the gap is uniform in the stationary state (Milionis, Moallemi and Roughgarden, "Automated Market Making and
    Arbitrage Profits in the Presence of Fees", 2023).
    """
    prices = []
    for pool in pools:
        gap = random.uniform(-FEE_BAND, FEE_BAND) + random.gauss(0.0, VOLATILITY_PER_BLOCK)
        prices.append((round(pool.ether * exp(gap)), pool.token))
    return tuple(prices)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileFlow:
    """Users whose sizes and tolerances have the quantiles of real swaps; direction and pool are fair coins.

    Sizes and tolerances are independent of each other. ValueError for an impossible number of users or pools.
    """

    users: int = 12
    pools: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.users <= PEOPLE:
            raise ValueError(f"a block has 1 to {PEOPLE} users, not {self.users}")
        if not 1 <= self.pools <= len(PRICES):
            raise ValueError(f"drawn users trade in 1 to {len(PRICES)} pools, not {self.pools}")

    @property
    def source(self) -> str:
        return "quantiles"

    @property
    def distinct_blocks(self) -> int | None:
        return None

    def draw(self, seed: int) -> Draw:
        random = Random(seed)
        pools = standard_pools(self.pools)
        outside = outside_prices(pools, random)
        traders = []
        for sender in random.sample(range(PEOPLE), self.users):
            rank = random.random()
            traders.append(
                Trader(
                    sender=sender,
                    pool=random.randrange(self.pools),
                    buys=random.random() < 0.5,
                    size=quantile(SIZE_QUANTILES, rank),
                    rank=rank,
                    slack_bps=quantile(SLACK_QUANTILES_BPS, random.random()),
                    tip_wei=round(random.expovariate(1.0) * MEAN_TIP_WEI),
                    value=random.uniform(0.0, MAX_VALUE),
                )
            )
        return Draw(seed=seed, pools=pools, outside=outside, traders=tuple(traders))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Swap:
    """A row of a file: a swap with a limit, relative to its pool as it found it."""

    pair: str
    reserves: Reserves
    buys: bool
    size: float
    slack_bps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedFlow:
    """Blocks of a CSV file one after the other; after the last comes the first.

    Pools are the file's own, the deepest first, as the block's first swap in each found them. Each swap keeps its place
    in the block, its direction, its size relative to the reserve it entered, and its tolerance at the reserves it met.
    Swaps that are left out, such as bots', do not move the pools. Tips and private values are drawn: a file has none.
    """

    source: str
    blocks: tuple[tuple[_Swap, ...], ...]
    sizes: tuple[float, ...]

    @property
    def users(self) -> int:
        return max(map(len, self.blocks))

    @property
    def pools(self) -> int:
        return max(len({swap.pair for swap in swaps}) for swaps in self.blocks)

    @property
    def distinct_blocks(self) -> int | None:
        return len(self.blocks)

    def draw(self, seed: int) -> Draw:
        random = Random(seed)
        swaps = self.blocks[seed % len(self.blocks)]
        first = {swap.pair: swap.reserves for swap in reversed(swaps)}
        ranked = sorted(first, key=lambda pair: (-first[pair].ether, pair))
        pools = tuple(first[pair] for pair in ranked)
        outside = outside_prices(pools, random)
        traders = []
        for sender, swap in zip(random.sample(range(PEOPLE), len(swaps)), swaps, strict=True):
            traders.append(
                Trader(
                    sender=sender,
                    pool=ranked.index(swap.pair),
                    buys=swap.buys,
                    size=swap.size,
                    rank=(bisect_left(self.sizes, swap.size) + random.random()) / len(self.sizes),
                    slack_bps=swap.slack_bps,
                    tip_wei=round(random.expovariate(1.0) * MEAN_TIP_WEI),
                    value=random.uniform(0.0, MAX_VALUE),
                )
            )
        return Draw(seed=seed, pools=pools, outside=outside, traders=tuple(traders))


_COLUMNS = ("block", "pair", "token_in", "token_out", "reserve_in", "reserve_out", "amount_in", "amount_out")
_LIMITS = ("bound_min_out", "bound_max_in")
_WETH = "0x" + WETH.hex()
_DUST = 1e-6
_SHALLOWEST, _DEEPEST, _DEEPEST_WEI = 10**6, 2**109, 10**6 * ETHER
"""Units. Of a shallower pool the strategies' sizes would round to nothing; in a deeper one a block of trades could
exceed the 2^112 that a pair holds, or the ether that an account has here."""


def replayed(path: Path) -> ReplayedFlow:
    """Read a file in the schema of `real-v2-swaps/swaps.csv`: swaps against ether with a user's limit count.

    A row is left out if neither token is WETH, if it has no limit, if its pool or limit would have refused it, or if it
    is dust, below a millionth of the reserve it enters, or if its pool holds less than a million units of a token,
    more than 2^109, or more than a million ether. A block's swaps beyond the accounts or pools there are, too.
    So is a hop of a longer route, where the file has `hops`: its limit counts the token at the route's other end.
    Raises Malformed naming the row and what is wrong with it, or if no row is left.
    """
    blocks: dict[str, list[_Swap]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for block, swap in _rows(path, file):
                blocks.setdefault(block, []).append(swap)
    except UnicodeDecodeError as error:
        raise Malformed(f"{path} is not a CSV file in UTF-8") from error
    except csv.Error as error:
        raise Malformed(f"{path} is not a CSV file: {error}") from error
    kept = tuple(_within_limits(swaps) for swaps in blocks.values())
    if not kept:
        raise Malformed(f"{path} holds no swap against WETH with a limit (bound_min_out or bound_max_in)")
    sizes = sorted(swap.size for swaps in kept for swap in swaps)
    return ReplayedFlow(source=path.name, blocks=kept, sizes=tuple(sizes))


def _within_limits(swaps: Sequence[_Swap]) -> tuple[_Swap, ...]:
    pairs = list(dict.fromkeys(swap.pair for swap in swaps))[:MAX_POOLS]
    return tuple(swap for swap in swaps if swap.pair in pairs)[:PEOPLE]


def _rows(path: Path, lines: Iterator[str]) -> Iterator[tuple[str, _Swap]]:
    reader = csv.DictReader(lines)
    missing = [name for name in (*_COLUMNS, *_LIMITS) if name not in (reader.fieldnames or ())]
    if missing:
        raise Malformed(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        swap = _swap(row, where)
        if swap is not None:
            yield row["block"], swap


def _swap(row: Mapping[str, str], where: str) -> _Swap | None:
    for name in (*_COLUMNS, *_LIMITS):
        if row[name] is None:
            raise Malformed(f"{where}: the row ends before {name}")
    given = {name: _amount(row, name, where) for name in _COLUMNS[4:]}
    limits = {name: _amount(row, name, where) if row[name] else None for name in _LIMITS}
    reserve_in, reserve_out = given["reserve_in"], given["reserve_out"]
    amount_in, minimum, maximum = given["amount_in"], limits["bound_min_out"], limits["bound_max_in"]
    buys = row["token_in"].lower() == _WETH
    if not (buys or row["token_out"].lower() == _WETH) or (minimum is None and maximum is None):
        return None
    if row.get("hops") and _amount(row, "hops", where) != 1:
        return None
    try:
        quote = amount_out(reserve_in, reserve_out, amount_in)
    except Reverted:
        return None
    accepted, expected = (minimum, quote) if minimum is not None else (amount_in, maximum)
    if accepted is None or not expected or accepted > expected:
        return None
    slack = 1 - accepted / expected
    reserves = Reserves(ether=reserve_in if buys else reserve_out, token=reserve_out if buys else reserve_in)
    if not (_SHALLOWEST <= reserves.ether <= _DEEPEST_WEI and _SHALLOWEST <= reserves.token <= _DEEPEST):
        return None
    if not _DUST <= amount_in / reserve_in < 1:
        return None
    return _Swap(pair=row["pair"], reserves=reserves, buys=buys, size=amount_in / reserve_in, slack_bps=10_000 * slack)


def _amount(row: Mapping[str, str], name: str, where: str) -> int:
    text = row[name]
    try:
        value = int(text)
    except ValueError:
        raise Malformed(f"{where}: {name} is {text[:80]!r}, a whole number is expected") from None
    if value < 0:
        raise Malformed(f"{where}: {name} is negative: {value}")
    if value >= 2**256:
        raise Malformed(f"{where}: {name} is more than a token can count, 2^256 or above")
    return value
