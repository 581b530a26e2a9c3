"""The genuine Uniswap V2 contracts on a local EVM: a second engine for `market.play`, equal to it to the wei.

Every swap is a call of Router02, as a user's transaction would make it. What the EVM does not give is gas: pyrevm keeps
every account warm for ever, so fees are the integer model's. The only file that imports pyrevm.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from encmempool.errors import EnvironmentProblem
from encmempool.ethereum import keccak256
from encmempool.execution.ledger import REVERTED_SWAP_GAS, SWAP_GAS
from encmempool.execution.router import SwapKind
from encmempool.measure.contracts import Contracts, load
from encmempool.measure.market import (
    ATTACKER,
    ETHER,
    GAS_PRICE_WEI,
    IDLE_CALL_GAS,
    Call,
    Fill,
    Order,
    Reserves,
    final_pools,
)

FORK = "Shanghai"
"""As pyrevm spells it. It takes any other string, SHANGHAI too, for the latest fork and says nothing."""
AMOUNT_END = 2**248
"""Amounts below it are always in the trader's hands."""
_RESERVE_END = 2**112
_UINT256_END = 2**256
_TRADER = "0x" + "11" * 20
_TIME_S = 1_700_000_000
_ETHER_HELD, _WETH_HELD = 2**255, 2**200
_NO_TRADE = Order(sender=ATTACKER, buys=True, amount_in=0, minimum_out=0)
_REVERT = re.compile(r"Revert \{ gas_used: \d+, output: 0x([0-9a-f]*) \}")
_ERROR_STRING = bytes.fromhex("08c379a0")


class EngineMismatch(AssertionError):
    """The integer model and the EVM disagree: one of our engines is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What the EVM made of a block.

    reasons    of each fill: why it reverted, in the contracts' words; empty if it executed or stopped
    pools      after the block, from getReserves
    """

    fills: tuple[Fill, ...]
    reasons: tuple[str, ...]
    pools: tuple[Reserves, ...]


class EvmEngine:
    """Plays blocks on the contracts. About 50 µs per swap, and 50 µs per pool unless the last block had the same pools.

    Senders share one account that holds what they sell. Not thread-safe. Raises EnvironmentProblem where pyrevm is
    missing or the contracts are not fetched.
    """

    def __init__(self, contracts: Contracts | None = None) -> None:
        self._pyrevm = _import_pyrevm()
        self._contracts = load() if contracts is None else contracts
        self._world: _World | None = None

    def play(
        self, pools: Sequence[Reserves], block: Sequence[Order | Call], *, gas_price_wei: int = GAS_PRICE_WEI
    ) -> tuple[Fill, ...]:
        """The same fills as `market.play`. A call decides on reserves that the EVM holds at its place."""
        return self.run(pools, block, gas_price_wei=gas_price_wei).fills

    def run(
        self, pools: Sequence[Reserves], block: Sequence[Order | Call], *, gas_price_wei: int = GAS_PRICE_WEI
    ) -> Played:
        """Play and say why orders reverted and what the pools hold in the end.

        Raises ValueError for reserves or amounts that no contract could hold, and EngineMismatch if the final reserves
        are not the first ones and the trades.
        """
        starts = tuple(pools)
        world = self._world or _World(self._pyrevm, self._contracts)
        # After an exception the depth of pyrevm's journal is unknown: the world is kept only when all went well.
        self._world = None
        world.hold(starts)
        start = world.evm.snapshot()
        fills, reasons = list[Fill](), list[str]()
        for position, item in enumerate(block):
            order = item if isinstance(item, Order) else item.decide(world.reserves(), fills)
            price = gas_price_wei + item.tip_wei
            if order is None:
                fills.append(Fill(order=_NO_TRADE, executed=False, amount_out=0, fee=IDLE_CALL_GAS * price))
                reasons.append("")
                continue
            _check_amounts(order, position, len(starts))
            try:
                received, reason = world.swap(order), ""
            except _Refused as error:
                received, reason = 0, str(error)
            gas = SWAP_GAS if received else REVERTED_SWAP_GAS
            fills.append(Fill(order=order, executed=received > 0, amount_out=received, fee=gas * price))
            reasons.append(reason)
        after = tuple(world.reserves())
        world.evm.revert(start)
        self._world = world
        _compare_pools(final_pools(starts, fills), after)
        return Played(fills=tuple(fills), reasons=tuple(reasons), pools=after)

    def check(
        self,
        pools: Sequence[Reserves],
        block: Sequence[Order | Call],
        fills: Sequence[Fill],
        *,
        gas_price_wei: int = GAS_PRICE_WEI,
    ) -> None:
        """Raise EngineMismatch unless the EVM gives exactly these fills and the pools that follow from them.

        Decisions are made again: a call whose answer depends on more than its arguments may differ.
        """
        played = self.run(pools, block, gas_price_wei=gas_price_wei)
        if len(fills) != len(played.fills):
            raise EngineMismatch(f"{len(fills)} fills for a block of {len(played.fills)}")
        for position, (fill, found, reason) in enumerate(zip(fills, played.fills, played.reasons, strict=True)):
            if fill != found:
                because = f" ({reason})" if reason else ""
                raise EngineMismatch(f"position {position}: the model has {fill}, the EVM {found}{because}")
        _compare_pools(final_pools(pools, fills), played.pools)


def swaps_per_second(contracts: Contracts | None = None, *, samples: int = 20, swaps: int = 300) -> float:
    """Router swaps a second with calldata made beforehand, buys and sales in turn: the median of `samples` runs."""
    world = _World(_import_pyrevm(), load() if contracts is None else contracts)
    world.hold((Reserves(ether=10_000 * ETHER, token=30_000_000 * ETHER),))
    orders = (
        Order(sender=0, buys=True, amount_in=ETHER, minimum_out=0),
        Order(sender=0, buys=False, amount_in=2_990 * ETHER, minimum_out=0),
    )
    calls = tuple(world.call(order) for order in orders) * (swaps // 2)
    call_contract, router, times = world.evm.message_call, world.router, list[float]()
    for _ in range(samples + 1):
        start = world.evm.snapshot()
        started = time.perf_counter()
        for calldata, value in calls:
            call_contract(_TRADER, router, calldata, value)
        times.append(time.perf_counter() - started)
        world.evm.revert(start)
    return len(calls) / sorted(times[1:])[samples // 2]


class _Refused(Exception):
    """The router reverted; the message is its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """A pool's contracts, and the part of the router's calldata that every swap of a direction has in common."""

    token: str
    pair: str
    ether_first: bool
    buy_tail: bytes
    sell_tail: bytes


class _World:
    """WETH, factory and router, and one token and pair for each pool that was ever asked for.

    A block runs between a snapshot and its revert, which takes back journal and logs too: neither grows.
    """

    def __init__(self, pyrevm: Any, contracts: Contracts) -> None:
        self.evm = pyrevm.EVM(env=pyrevm.Env(block=pyrevm.BlockEnv(timestamp=_TIME_S)), spec_id=FORK)
        self.evm.set_balance(_TRADER, _ETHER_HELD)
        self._weth = self.evm.deploy(_TRADER, contracts.weth9)
        self._factory = self.evm.deploy(_TRADER, contracts.factory + _word(_TRADER))
        self.router = self.evm.deploy(_TRADER, contracts.router02 + _word(self._factory) + _word(self._weth))
        self._send(self._weth, "deposit()", value=_WETH_HELD)
        self._erc20 = contracts.erc20
        self._sides: list[_Side] = []
        self._held: tuple[Reserves, ...] = ()
        self._empty: Any = None

    def hold(self, pools: tuple[Reserves, ...]) -> None:
        """Give the pairs these reserves. Must be called outside of a block."""
        for index, pool in enumerate(pools):
            if not (0 <= pool.ether < _RESERVE_END and 0 <= pool.token < _RESERVE_END):
                raise ValueError(f"pool {index}: reserves must fit 112 bits")
        if pools == self._held:
            return
        if self._empty is not None:
            self.evm.revert(self._empty)
            self._empty = None
        while len(self._sides) < len(pools):
            self._sides.append(self._new_side())
        self._empty = self.evm.snapshot()
        for pool, side in zip(pools, self._sides, strict=False):
            self._send(self._weth, "transfer(address,uint256)", side.pair, pool.ether)
            self._send(side.token, "transfer(address,uint256)", side.pair, pool.token)
            self._send(side.pair, "sync()")
        self._held = pools

    def reserves(self) -> list[Reserves]:
        """Of every pool held, from its pair."""
        found = []
        for side in self._sides[: len(self._held)]:
            data = self.evm.message_call(_TRADER, side.pair, _GET_RESERVES)
            reserve0, reserve1 = int.from_bytes(data[:32], "big"), int.from_bytes(data[32:64], "big")
            ether, token = (reserve0, reserve1) if side.ether_first else (reserve1, reserve0)
            found.append(Reserves(ether=ether, token=token))
        return found

    def call(self, order: Order) -> tuple[bytes, int]:
        """(calldata, value) for the router."""
        side, minimum = self._sides[order.pool], order.minimum_out.to_bytes(32, "big")
        if order.buys:
            return _BUY + minimum + side.buy_tail, order.amount_in
        return _SELL + order.amount_in.to_bytes(32, "big") + minimum + side.sell_tail, 0

    def swap(self, order: Order) -> int:
        """The output, as the router returns it. Raises _Refused if it reverts; nothing has changed then."""
        calldata, value = self.call(order)
        try:
            data = self.evm.message_call(_TRADER, self.router, calldata, value)
        except RuntimeError as error:
            if (found := _REVERT.match(str(error))) is None:
                raise
            raise _Refused(_reason(bytes.fromhex(found[1]))) from None
        assert data[:96] == _AMOUNTS + order.amount_in.to_bytes(32, "big"), data.hex()
        return int.from_bytes(data[96:], "big")

    def _new_side(self) -> _Side:
        token = self.evm.deploy(_TRADER, self._erc20 + _word(_UINT256_END - 1))
        self._send(token, "approve(address,uint256)", self.router, _UINT256_END - 1)
        pair = "0x" + self._send(self._factory, "createPair(address,address)", self._weth, token)[-20:].hex()
        account_and_deadline = _word(_TRADER) + _word(_TIME_S) + _word(2)
        weth, sold = _word(self._weth), _word(token)
        return _Side(
            token=token,
            pair=pair,
            ether_first=weth < sold,
            # The path's offset is the size of the arguments before it.
            buy_tail=_word(4 * 32) + account_and_deadline + weth + sold,
            sell_tail=_word(5 * 32) + account_and_deadline + sold + weth,
        )

    def _send(self, contract: str, signature: str, *arguments: str | int, value: int = 0) -> bytes:
        calldata = _selector(signature) + b"".join(map(_word, arguments))
        return bytes(self.evm.message_call(_TRADER, contract, calldata, value))


def _selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


def _word(value: str | int) -> bytes:
    """An address or a number as an ABI argument."""
    number = int(value, 16) if isinstance(value, str) else value
    return number.to_bytes(32, "big")


_GET_RESERVES = _selector("getReserves()")
_BUY = SwapKind.EXACT_ETH_FOR_TOKENS.value
_SELL = SwapKind.EXACT_TOKENS_FOR_ETH.value
_AMOUNTS = _word(0x20) + _word(2)
"""How the router's uint256[] begins: offset and length. The input and the output follow."""


def _reason(output: bytes) -> str:
    """Of Error(string); anything else as hex."""
    if output[:4] != _ERROR_STRING:
        return f"0x{output.hex()}"
    size = int.from_bytes(output[36:68], "big")
    return output[68 : 68 + size].decode(errors="replace")


def _check_amounts(order: Order, position: int, pools: int) -> None:
    if not 0 <= order.pool < pools:
        raise ValueError(f"position {position}: pool {order.pool} of {pools}")
    if not (0 <= order.amount_in < AMOUNT_END and 0 <= order.minimum_out < _UINT256_END):
        raise ValueError(f"position {position}: the input must fit 248 bits and the minimum 256")


def _compare_pools(expected: Sequence[Reserves], found: Sequence[Reserves]) -> None:
    for index, (model, evm) in enumerate(zip(expected, found, strict=True)):
        if model != evm:
            raise EngineMismatch(f"pool {index} after the block: the model has {model}, the EVM {evm}")


def _import_pyrevm() -> Any:
    """The library, once it has shown that it runs the fork it was asked for."""
    try:
        import pyrevm
    except ImportError:
        if sys.version_info >= (3, 13):
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            raise EnvironmentProblem(
                f"pyrevm has no wheel for Python {version}: use Python 3.11 or 3.12 to run blocks on the EVM"
            ) from None
        raise EnvironmentProblem(
            "pyrevm, which runs blocks on the EVM, is not installed: run `pip install 'encmempool[measure]'`"
        ) from None
    if not _runs_fork(pyrevm):
        raise EnvironmentProblem(
            f"this pyrevm does not run the fork {FORK}: run `pip install --upgrade 'encmempool[measure]'`"
        )
    return pyrevm


def _runs_fork(pyrevm: Any) -> bool:
    """Shanghai has PUSH0 and not yet MCOPY. Each program creates an empty contract."""
    push0, mcopy = bytes.fromhex("5f5ff3"), bytes.fromhex("5f5f5f5e5f5ff3")
    return _deploys(pyrevm, push0) and not _deploys(pyrevm, mcopy)


def _deploys(pyrevm: Any, program: bytes) -> bool:
    try:
        pyrevm.EVM(spec_id=FORK).deploy(_TRADER, program)
    except RuntimeError as error:
        if "NotActivated" not in str(error):
            raise
        return False
    return True
