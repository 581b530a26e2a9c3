"""Runs blocks: every arm with every strategy on the same users, on the fast path, and a sample of them in full."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from encmempool.errors import Malformed, Rejected
from encmempool.execution.ledger import SWAP_GAS
from encmempool.measure.arms import Arm, EncryptedShuffle, Exposure, Sequenced, select
from encmempool.measure.ciphertexts import Network, PathDisagrees, Realised, Setup, Stock
from encmempool.measure.control import closed_form_extraction
from encmempool.measure.detector import sandwiches
from encmempool.measure.evm import EvmEngine
from encmempool.measure.figures import gain, input_worth, measure, output_worth
from encmempool.measure.flow import Draw, Flow, QuantileFlow, replayed
from encmempool.measure.formulas import outside_arbitrage
from encmempool.measure.market import (
    ATTACKER,
    GAS_PRICE_WEI,
    Call,
    Fill,
    Market,
    Order,
    Reserves,
    final_pools,
    from_receipts,
    play,
)
from encmempool.measure.ordering_test import p_value
from encmempool.measure.strategies import Placements, Strategy
from encmempool.ordering import Policy
from threshold.schemes.registry import load_scheme

COLUMNS = (
    "volume",
    "extracted",
    "expected",
    "loss",
    "failed",
    "attempts",
    "successes",
    "transactions",
    "gas",
    "reverted_gas",
    "welfare",
    "backrun",
    "detected",
    "rightly_detected",
    "sandwiches",
    "closed_form",
)
"""Per block and strategy. Amounts in wei at the opening price, gas in wei of fees, the rest counts."""
EVALUATION, TRAINING, HISTORY = 0, 5_000_000, 8_000_000
"""Seeds of a run start at its own seed times 10,000,000; these are the first of each kind."""
MAX_BLOCKS = 1_000_000
_SEEDS_APART = 10_000_000
_HISTORY_BLOCKS = 400
ORDERING_BLOCKS = 400
ORDERING_ARMS = {"C1": "greedy sandwich", "T1": "blind spam 1", "T2": "blind spam 1"}
"""On which arms, and with which of their strategies, the order of blocks is tested."""
_DETECTED = frozenset(("C0", "C1", "T1", "T2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a run is. Two runs with equal configurations give equal figures, on any number of processes.

    arms               ids, kinds or "all"; the controls C0 and C1 always run
    flow               a CSV file, or None for the quantiles
    engine             "integer" or "evm"
    verify_fraction    share of blocks, at least, that are run in full through the ciphertext path
    """

    seed: int
    blocks: int
    training_blocks: int
    arms: tuple[str, ...]
    users: int = 12
    pools: int = 1
    flow: str | None = None
    scheme: str = "tdh2"
    backend: str = "arkworks"
    members: int = 4
    threshold: int = 3
    reduced_threshold: bool = False
    engine: str = "integer"
    verify_fraction: float = 0.02


@dataclass(slots=True)
class Tally:
    """What a part of a run did besides its figures."""

    verified_blocks: int = 0
    verified_runs: int = 0
    full_s: float = 0.0
    reveal_ms: list[float] = field(default_factory=list)
    engine_blocks: int = 0
    engine_swaps: int = 0
    plain_s: float = 0.0
    p_values: dict[str, list[float]] = field(default_factory=dict)


def make_flow(config: Config) -> Flow:
    """Raises Malformed for a bad file, ValueError for an impossible market."""
    if config.flow is not None:
        return replayed(Path(config.flow))
    return QuantileFlow(users=config.users, pools=config.pools)


class Laboratory:
    """One process's share of an experiment: arms, families and, where a block is run in full, committees."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.flow = make_flow(config)
        self.arms = select(("C0", "C1", *config.arms), members=config.members, threshold=config.threshold)
        self._networks: dict[tuple[Policy, tuple[Reserves, ...]], Network] = {}
        self.families = {arm.id: arm.family(self._history) for arm in self.arms}
        self._engine = EvmEngine() if config.engine == "evm" else None

    @property
    def rows(self) -> tuple[tuple[Arm, Strategy], ...]:
        """Every arm with every strategy of its family: the second axis of a run's figures."""
        return tuple((arm, strategy) for arm in self.arms for strategy in self.families[arm.id])

    def network(self, policy: Policy, pools: tuple[Reserves, ...]) -> Network:
        """The committee under a policy, with these pools at genesis; made when it is first needed."""
        if (policy, pools) not in self._networks:
            config = self.config
            setup = Setup(
                scheme=config.scheme,
                backend=config.backend,
                members=config.members,
                threshold=config.threshold,
                reduced_threshold=config.reduced_threshold,
                batch=self.flow.users * (3 + self.flow.pools) + 40,
            )
            self._networks[policy, pools] = Network(setup, policy, pools)
        return self._networks[policy, pools]

    @cached_property
    def _stock(self) -> Stock:
        market = self._draw(HISTORY - 1).market()
        return Stock(self.network(Policy.ARRIVAL, market.pools), market)

    @cached_property
    def _hides(self) -> bool:
        return load_scheme(self.config.scheme, self.config.backend).info.hides

    def _draw(self, index: int) -> Draw:
        return self.flow.draw(self.config.seed * _SEEDS_APART + index)

    def _history(self, arm: Arm) -> list[tuple[bytes, Order, float]]:
        seen: list[tuple[bytes, Order, float]] = []
        for index in range(HISTORY, HISTORY + _HISTORY_BLOCKS):
            market = arm.market(self._draw(index))
            sizes = [order.amount_in / market.pools[order.pool].entering(order)[0] for order in market.orders]
            seen += zip(self._view(arm, market), market.orders, sizes, strict=True)
        return seen

    def _view(self, arm: Arm, market: Market) -> tuple[bytes, ...]:
        if not self._hides:
            return self.network(Policy.ARRIVAL, market.pools).record(market)
        return self._stock.view(
            market, exact_gas=arm.exposure is Exposure.GAS, exact_size=arm.exposure is Exposure.SIZE
        )

    def run(self, first: int, count: int, *, training: bool = False) -> tuple[NDArray[np.float64], Tally]:
        """Figures of blocks `first` to `first + count`, shape (blocks, rows, columns). Training runs none in full."""
        tally = Tally()
        figures = np.zeros((count, len(self.rows), len(COLUMNS)))
        every = int(1 / self.config.verify_fraction) if self.config.verify_fraction else 0
        tested = max(1, self.config.blocks // ORDERING_BLOCKS)
        for at in range(count):
            index = first + at
            draw = self._draw(index + (TRAINING if training else EVALUATION))
            block = _Block(self, draw, tally)
            row = 0
            for arm in self.arms:
                family = self.families[arm.id]
                in_full = (1 + index // every) % len(family) if not training and every and index % every == 0 else None
                for place, strategy in enumerate(family):
                    played = block.play(arm, strategy)
                    figures[at, row] = played.columns
                    row += 1
                    if place == in_full and arm.policy is not None:
                        block.verify(arm, strategy, played.placements, played.sequenced)
                    if not training and index % tested == 0 and ORDERING_ARMS.get(arm.id) == strategy.name:
                        block.test_order(arm, played.sequenced)
            tally.verified_blocks += bool(block.runs)
            tally.verified_runs += block.runs
        return figures, tally

    def check_on_engine(self, market: Market, sequenced: Sequenced, fills: Sequence[Fill], tally: Tally) -> None:
        """Raise EngineMismatch unless the genuine contracts give the same fills."""
        if self._engine is not None:
            self._engine.check(market.pools, sequenced.block, fills)
            tally.engine_blocks += 1
            tally.engine_swaps += len(sequenced.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Played:
    placements: Placements
    sequenced: Sequenced
    columns: tuple[float, ...]


class _Block:
    """One draw, with what its arms share: markets, views and counterfactuals."""

    def __init__(self, lab: Laboratory, draw: Draw, tally: Tally) -> None:
        self._lab, self._draw, self._tally = lab, draw, tally
        self._markets: dict[object, Market] = {}
        self._views: dict[object, tuple[bytes, ...]] = {}
        self._recorded: dict[object, tuple[bytes, ...]] = {}
        self._known: dict[object, tuple[float, ...]] = {}
        self._alone: dict[tuple[Order, ...], tuple[Fill, ...]] = {}
        self.runs = 0

    def _world(self, arm: Arm) -> object:
        return "as drawn" if type(arm).market is Arm.market else arm.id

    def market(self, arm: Arm) -> Market:
        world = self._world(arm)
        if world not in self._markets:
            self._markets[world] = arm.market(self._draw)
        return self._markets[world]

    def _view(self, arm: Arm) -> tuple[bytes, ...]:
        if arm.policy is None:
            return ()
        key = self._world(arm), arm.exposure
        if key not in self._views:
            self._views[key] = self._lab._view(arm, self.market(arm))
        return self._views[key]

    def play(self, arm: Arm, strategy: Strategy) -> _Played:
        start = time.perf_counter()
        market = self.market(arm)
        known = arm.known(market, self._view(arm), self._random(arm, "known"))
        placements = strategy.plan(known, market.pools, self._random(strategy, "plan"))
        sequenced = arm.sequence(market.orders, placements, self._random(arm, f"order/{strategy.name}"))
        forfeited = arm.forfeited_wei(strategy, placements, len(market.orders))
        same = self._world(arm), sequenced, forfeited, arm.hedged, arm.id in _DETECTED and arm.id
        if same not in self._known:  # many strategies do nothing, and some arms are alike
            fills = play(market.pools, sequenced.block)
            self._known[same] = self._columns(arm, market, sequenced, fills, forfeited)
            if arm.id == "C1":
                self._tally.plain_s += time.perf_counter() - start
            self._lab.check_on_engine(market, sequenced, fills, self._tally)
        return _Played(placements=placements, sequenced=sequenced, columns=self._known[same])

    def _random(self, owner: Arm | Strategy, purpose: str) -> Random:
        """By name: what one arm or strategy draws does not depend on which others run."""
        name = owner.id if isinstance(owner, Arm) else owner.name
        return Random(f"{purpose}/{name}/{self._draw.seed}")

    def _columns(
        self, arm: Arm, market: Market, sequenced: Sequenced, fills: Sequence[Fill], forfeited_wei: int
    ) -> tuple[float, ...]:
        users = tuple(item for item in sequenced.block if isinstance(item, Order) and item.sender != ATTACKER)
        if users not in self._alone:
            self._alone[users] = play(market.pools, users)
        alone = self._alone[users]
        prices = market.outside if arm.hedged else ()
        sums = measure(market.pools, fills, alone, forfeited_wei=forfeited_wei, prices=prices)

        gains: dict[int, int] = {}
        closed: dict[int, list[int]] = {}
        gas = reverted = 0
        for place, (attack, fill) in enumerate(zip(sequenced.attacks, fills, strict=True)):
            if attack is not None:
                gains[attack] = gains.get(attack, 0) + gain(market.pools, fill, prices)
                gas += fill.fee
                reverted += 0 if fill.executed else fill.fee
                if fill.executed:
                    closed.setdefault(attack, []).append(place)
        attempts = len(gains) or 0
        successes = sum(worth > 0 for worth in gains.values())

        detected = rightly = truths = 0
        if arm.id in _DETECTED:
            true = {
                (places[0], places[-1])
                for attack, places in closed.items()
                if len(places) == 2 and places[1] - places[0] > 1 and gains[attack] > 0
            }
            found = sandwiches(market.pools, fills, by_sender=arm.id != "C0")
            detected, truths = len(found), len(true)
            rightly = sum((each.front, each.back) in true for each in found)
        return (
            sums.volume,
            sums.extracted,
            sums.expected,
            sums.loss,
            sums.failed,
            attempts,
            successes,
            sum(attack is not None for attack in sequenced.attacks),
            gas,
            reverted,
            _welfare(market, fills, alone),
            _backrun(market, fills),
            detected,
            rightly,
            truths,
            closed_form_extraction(market.pools, market.orders) if arm.id == "C1" else 0,
        )

    def verify(self, arm: Arm, strategy: Strategy, placements: Placements, sequenced: Sequenced) -> None:
        """Run the block through the real ciphertext path. Raises PathDisagrees if anything differs."""
        assert arm.policy is not None
        start = time.perf_counter()
        market = self.market(arm)
        network = self._lab.network(arm.policy, market.pools)
        key = self._world(arm), arm.policy
        if key not in self._recorded:
            self._recorded[key] = network.record(market)
        recorded = self._recorded[key]
        view = recorded
        if arm.exposure is not Exposure.SEALED:
            view = network.exposed(
                market, exact_gas=arm.exposure is Exposure.GAS, exact_size=arm.exposure is Exposure.SIZE
            )
        known = arm.known_in_full(network, market, view, self._random(arm, "known"))
        planned = strategy.plan(known, market.pools, self._random(strategy, "plan"))
        where = f"{arm.id}, {strategy.name}, seed {market.seed}"
        if planned != placements:
            raise PathDisagrees(f"{where}: on the recorded bytes the attacker decides otherwise than on stand-ins")
        arriving = Arm.sequence(arm, market.orders, placements, Random(0)).block
        try:
            realised = network.run(recorded, arriving, users=market.orders)
        except (Malformed, Rejected) as error:
            raise PathDisagrees(f"{where}: the network refuses what the model takes: {error}") from error
        _check_realised(where, arm, market, sequenced, realised)
        self._tally.full_s += time.perf_counter() - start
        self._tally.reveal_ms.append(realised.reveal_ms)
        self.runs += 1

    def test_order(self, arm: Arm, sequenced: Sequenced) -> None:
        """One p-value, if the attacker traded in this block."""
        orders = [item for item in sequenced.block if isinstance(item, Order)]
        if any(order.sender == ATTACKER for order in orders):
            random = self._random(arm, "permutations")
            value = p_value(self.market(arm).pools, orders, random=random)
            self._tally.p_values.setdefault(arm.id, []).append(value)


def _check_realised(where: str, arm: Arm, market: Market, sequenced: Sequenced, realised: Realised) -> None:
    if isinstance(arm, EncryptedShuffle):
        own = [item for item in sequenced.block if item.sender == ATTACKER]
        if sorted(map(repr, realised.block)) != sorted(map(repr, sequenced.block)):
            raise PathDisagrees(f"{where}: other transactions were executed than were sent")
        if [item for item in realised.block if item.sender == ATTACKER] != own:
            raise PathDisagrees(f"{where}: the attacker's transactions ran out of their nonces' order")
    elif realised.block != sequenced.block:
        raise PathDisagrees(f"{where}: another order was executed than was planned")
    # The ledger holds no contract of the attacker's: its calls find nothing there, and users trade as without them.
    ran = tuple(zip(realised.block, realised.receipts, strict=True))
    if any(receipt.success for item, receipt in ran if isinstance(item, Call)):
        raise PathDisagrees(f"{where}: a call of the attacker's contract moved the ledger")
    orders = tuple(item for item in realised.block if isinstance(item, Order))
    if from_receipts(orders, [receipt for item, receipt in ran if isinstance(item, Order)]) != play(
        market.pools, orders
    ):
        raise PathDisagrees(f"{where}: the ledger filled the decrypted orders otherwise than the model")


def _welfare(market: Market, fills: Sequence[Fill], alone: Sequence[Fill]) -> float:
    """Wei: the users' private gains from trades that ran, less what the attack took from them and their fees."""
    values = {order.sender: value for order, value in zip(market.orders, market.values, strict=True)}
    undisturbed = {fill.order.sender: fill for fill in alone}
    total = 0.0
    for fill in fills:
        if fill.order.sender == ATTACKER:
            continue
        total -= fill.fee
        if fill.executed:
            quoted = undisturbed[fill.order.sender]
            lost = output_worth(market.pools, quoted) - output_worth(market.pools, fill) if quoted.executed else 0
            total += values[fill.order.sender] * input_worth(market.pools, fill) - lost
    return total


def _backrun(market: Market, fills: Sequence[Fill]) -> int:
    """Wei that arbitrage to the outside price still earns when the block is over, after its gas."""
    total = 0
    for pool, price in zip(final_pools(market.pools, fills), market.outside, strict=True):
        found = outside_arbitrage(pool, price)
        if found is not None:
            total += max(0, found.profit - SWAP_GAS * GAS_PRICE_WEI)
    return total
