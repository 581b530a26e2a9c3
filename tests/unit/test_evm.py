"""The genuine contracts against the integer model, to the wei. Skipped where they or pyrevm cannot be had."""

import csv
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from encmempool.errors import EnvironmentProblem
from encmempool.execution.pools import Reverted, amount_out, settle
from encmempool.measure import evm
from encmempool.measure.attacker import arrange, greedy_sandwich
from encmempool.measure.contracts import Contracts, load
from encmempool.measure.evm import EngineMismatch, EvmEngine, swaps_per_second
from encmempool.measure.market import (
    ATTACKER,
    ETHER,
    Call,
    Fill,
    Market,
    Order,
    Reserves,
    final_pools,
    play,
    quantile,
)
from encmempool.measure.sandwich import Victim, largest_front_run

INSUFFICIENT = "UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT"
POOL = Reserves(ether=5_000 * ETHER, token=15_000_000 * ETHER)
FRACTIONS = ((0.0, 1e-9), (0.5, 1e-3), (1.0, 3.0))
LARGEST = 2**112 - 1


@pytest.fixture(scope="session")
def contracts(genuine: Path) -> Contracts:
    pytest.importorskip("pyrevm", reason="pyrevm is not installed: pip install 'encmempool[measure]'")
    return load(genuine)


@pytest.fixture(scope="session")
def engine(contracts: Contracts) -> EvmEngine:
    """One for all tests: what a block leaves behind would show in the next."""
    return EvmEngine(contracts)


def buy(amount_in: int, *, minimum_out: int = 0, pool: int = 0) -> Order:
    return Order(sender=0, buys=True, amount_in=amount_in, minimum_out=minimum_out, pool=pool)


# --- random blocks ---------------------------------------------------------------------------------------------------


def random_reserves(random: Random) -> Reserves:
    small = random.random() < 0.3

    def side() -> int:
        if random.random() < 0.05:
            return random.choice([0, 1, LARGEST - 1, LARGEST])
        if small:
            return random.randint(1, 5_000)
        return random.randint(1, 2 ** random.randint(10, 111))

    return Reserves(ether=side(), token=side())


def random_order(random: Random, pools: Sequence[Reserves]) -> Order:
    """Of any size and limit, sensible or not."""
    pool, buys = random.randrange(len(pools)), random.random() < 0.5
    draft = Order(sender=random.randrange(5), buys=buys, amount_in=0, minimum_out=0, pool=pool)
    reserve_in, reserve_out = pools[pool].entering(draft)
    amount_in = round(reserve_in * quantile(FRACTIONS, random.random()))
    if random.random() < 0.1:
        amount_in = random.choice([0, 1, LARGEST, evm.AMOUNT_END - 1])
    try:
        quote = amount_out(reserve_in, reserve_out, amount_in)
    except Reverted:
        quote = 0
    minimum_out = min(int(quote * random.choice([0.0, 0.5, 0.95, 0.995, 1.0, 1.001])), 2**256 - 1)
    return replace(draft, amount_in=amount_in, minimum_out=minimum_out, tip_wei=random.choice([0, 10**9]))


def random_call(random: Random, seen: list[tuple[tuple[Reserves, ...], tuple[Fill, ...]]]) -> Call:
    """A contract that keeps what it was shown, then trades a share of a reserve, sells what came before, or stops."""
    share, kind = random.randint(2, 10**6), random.randrange(3)

    def decide(pools: Sequence[Reserves], fills: Sequence[Fill], /) -> Order | None:
        seen.append((tuple(pools), tuple(fills)))
        if kind == 0:
            return None
        if kind == 1 and fills:
            last = fills[-1]
            return replace(last.order, buys=not last.order.buys, amount_in=last.amount_out, minimum_out=0)
        pool = share % len(pools)
        return Order(
            sender=ATTACKER, buys=share % 2 == 0, amount_in=pools[pool].ether // share, minimum_out=1, pool=pool
        )

    return Call(decide=decide, tip_wei=random.choice([0, 3 * 10**9]))


def reason_of(reserves: Reserves, order: Order) -> str:
    """Why the integer model refuses an order, or nothing."""
    reserve_in, reserve_out = reserves.entering(order)
    try:
        quote = amount_out(reserve_in, reserve_out, order.amount_in)
        if quote < order.minimum_out:
            return INSUFFICIENT
        settle(reserve_in, reserve_out, order.amount_in, quote)
    except Reverted as error:
        return str(error)
    return ""


def test_evm_equals_the_integer_model_on_random_blocks(engine: EvmEngine) -> None:
    """Several pools, all sizes up to the contracts' limits, reverts of every kind, calls that read the chain."""
    reasons: Counter[str] = Counter()
    executed = stopped = 0
    for seed in range(250):
        random = Random(f"blocks/{seed}")
        pools = [random_reserves(random) for _ in range(random.randint(1, 4))]
        seen: list[tuple[tuple[Reserves, ...], tuple[Fill, ...]]] = []
        block = [
            random_call(random, seen) if random.random() < 0.2 else random_order(random, pools)
            for _ in range(random.randint(0, 12))
        ]
        model = play(pools, block, gas_price_wei=7)
        shown = tuple(seen)
        seen.clear()
        played = engine.run(pools, block, gas_price_wei=7)
        assert played.fills == model, f"seed {seed}"
        assert played.pools == final_pools(pools, model), f"seed {seed}"
        assert tuple(seen) == shown, f"seed {seed}: the calls saw other chains"
        engine.check(pools, block, model, gas_price_wei=7)
        for position, (item, fill, reason) in enumerate(zip(block, played.fills, played.reasons, strict=True)):
            executed += fill.executed
            if isinstance(item, Call) and not fill.order.amount_in:
                stopped += 1
                continue
            before = final_pools(pools, model[:position])[fill.order.pool]
            assert reason == reason_of(before, fill.order), f"seed {seed}, position {position}"
        reasons.update(filter(None, played.reasons))
    assert executed > 300
    assert stopped > 20
    assert set(reasons) == {
        "ds-math-mul-overflow",
        "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT",
        "UniswapV2: OVERFLOW",
        "UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT",
        "UniswapV2Library: INSUFFICIENT_LIQUIDITY",
        INSUFFICIENT,
    }


@pytest.mark.parametrize("buys", [True, False])
def test_evm_equals_the_integer_model_at_the_ends_of_its_numbers(buys: bool, engine: EvmEngine) -> None:
    """A reserve's last unit of room, the last product that fits 256 bits, and one above each."""
    room, product = 10, (2**256 - 1) // 997 // LARGEST
    pool = POOL.after(buys=buys, reserve_in=LARGEST - room, reserve_out=LARGEST)
    expected = {
        room: "",
        room + 1: "UniswapV2: OVERFLOW",
        product: "UniswapV2: OVERFLOW",
        product + 1: "ds-math-mul-overflow",
    }
    for amount_in, reason in expected.items():
        order = replace(buy(amount_in), buys=buys)
        played = engine.run((pool,), [order])
        assert played.fills == play((pool,), [order])
        assert played.reasons == (reason,)
        assert reason_of(pool, order) == reason


def test_evm_equals_the_integer_model_where_a_division_comes_out_even(engine: EvmEngine) -> None:
    pool, order = Reserves(ether=997, token=2_000), buy(1_000, minimum_out=1_000)
    (fill,) = engine.play((pool,), [order])
    assert fill.amount_out == 1_000
    assert (fill,) == play((pool,), [order])


def test_evm_equals_the_integer_model_on_sandwiched_markets(engine: EvmEngine) -> None:
    attacks = 0
    for seed in range(40):
        market = Market.draw(seed, 12)
        placements = greedy_sandwich(market.pools, market.orders)
        block = arrange(market.orders, placements)
        attacks += len(placements)
        assert engine.play(market.pools, block) == play(market.pools, block), f"seed {seed}"
    assert attacks > 40


def test_a_block_leaves_nothing_behind(engine: EvmEngine) -> None:
    first = engine.run((POOL,), [buy(ETHER)])
    for pools in ((), (POOL, POOL), (Reserves(ether=0, token=0),), (POOL,)):
        assert engine.run(pools, []).pools == pools
    assert engine.run((POOL,), [buy(ETHER)]) == first


def test_the_journal_does_not_grow(contracts: Contracts) -> None:
    engine = EvmEngine(contracts)
    sizes = set()
    for ether in (1, 1, 2, 3, 4):
        engine.play((replace(POOL, ether=ether * ETHER),), [buy(ether)] * 5)
        assert engine._world is not None
        sizes.add((engine._world.evm.journal_len, engine._world.evm.journal_depth))
    assert len(sizes) == 1


# --- known answers ---------------------------------------------------------------------------------------------------


def test_victim_passes_at_the_largest_front_run_and_reverts_one_wei_above(engine: EvmEngine) -> None:
    for seed in range(60):
        random = Random(f"victims/{seed}")
        pool = Reserves(ether=random.randint(10**18, 10**23), token=random.randint(10**15, 10**27))
        victim = replace(buy(random.randint(pool.ether // 1000, pool.ether // 5)), buys=random.random() < 0.5)
        reserve_in, reserve_out = pool.entering(victim)
        quote = amount_out(reserve_in, reserve_out, victim.amount_in)
        victim = replace(victim, minimum_out=quote * (10_000 - random.randint(5, 300)) // 10_000)
        largest = largest_front_run(reserve_in, reserve_out, Victim(amount=victim.amount_in, bound=victim.minimum_out))
        assert largest, f"seed {seed}"
        front = replace(victim, sender=ATTACKER, amount_in=largest, minimum_out=0)
        at = engine.run((pool,), [front, victim])
        assert [fill.executed for fill in at.fills] == [True, True], f"seed {seed}"
        above = engine.run((pool,), [replace(front, amount_in=largest + 1), victim])
        assert [fill.executed for fill in above.fills] == [True, False], f"seed {seed}"
        assert above.reasons == ("", INSUFFICIENT), f"seed {seed}"


def test_worked_sandwich_is_reproduced_to_the_wei(engine: EvmEngine) -> None:
    """Research, section 3."""
    victim = buy(50 * ETHER)
    (alone,) = engine.play((POOL,), [victim])
    assert alone.amount_out == 148_073_705159559194827569
    victim = replace(victim, minimum_out=alone.amount_out * 995 // 1000)
    assert victim.minimum_out == 147_333_336633761398853431
    block = arrange([victim], greedy_sandwich((POOL,), [victim]))
    front, middle, back = engine.play((POOL,), block)
    assert front.order.amount_in == 12_628344735576374920
    assert middle.amount_out == 147_333_336633761398853480
    assert back.order.amount_in == front.amount_out
    assert back.amount_out - front.order.amount_in == 175_508_827_231_019_450


def test_real_mainnet_swaps_are_reproduced_to_the_wei(engine: EvmEngine, data: Path) -> None:
    """All 453 recorded swaps that took what getAmountOut gives, each one as a purchase and as a sale.

    At one unit more than it received, each reverts.
    """
    file = data / "real-v2-swaps" / "swaps.csv"
    if not file.is_file():
        pytest.skip(f"no real swaps at {file}")
    with file.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["getAmountOut_exact"] == "1"]
    assert len(rows) == 453
    for row in rows:
        reserve_in, reserve_out, received = (int(row[name]) for name in ("reserve_in", "reserve_out", "amount_out"))
        for buys in (True, False):
            pool = POOL.after(buys=buys, reserve_in=reserve_in, reserve_out=reserve_out)
            order = replace(buy(int(row["amount_in"]), minimum_out=received), buys=buys)
            greedy = replace(order, minimum_out=received + 1)
            played = engine.run((pool,), [greedy, order])
            assert [fill.amount_out for fill in played.fills] == [0, received], row["tx"]
            assert played.reasons == (INSUFFICIENT, ""), row["tx"]


def test_same_orders_in_another_pool_stay_apart(engine: EvmEngine) -> None:
    pools = (POOL, replace(POOL, token=POOL.token * 2), POOL)
    first, second, third = engine.play(pools, [buy(ETHER, pool=index) for index in range(3)])
    assert first.amount_out == third.amount_out
    assert second.amount_out == amount_out(POOL.ether, 2 * POOL.token, ETHER)


# --- differences are found -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda fill: replace(fill, amount_out=fill.amount_out + 1),
        lambda fill: replace(fill, amount_out=fill.amount_out - 1),
        lambda fill: replace(fill, fee=fill.fee + 1),
        lambda fill: replace(fill, executed=not fill.executed),
        lambda fill: replace(fill, order=replace(fill.order, sender=9)),
    ],
)
def test_check_names_the_place_and_both_values(change, engine: EvmEngine) -> None:
    block = [buy(ETHER), buy(2 * ETHER, minimum_out=2**200), buy(3 * ETHER)]
    fills = play((POOL,), block)
    for position in range(3):
        changed = [*fills]
        changed[position] = change(fills[position])
        with pytest.raises(EngineMismatch, match=f"^position {position}: ") as raised:
            engine.check((POOL,), block, changed)
        for value in (changed[position], fills[position]):
            assert str(value) in str(raised.value)
        assert (INSUFFICIENT in str(raised.value)) is (position == 1)
    engine.check((POOL,), block, fills)


def test_check_refuses_another_number_of_fills(engine: EvmEngine) -> None:
    with pytest.raises(EngineMismatch, match="1 fills for a block of 2"):
        engine.check((POOL,), [buy(1), buy(2)], play((POOL,), [buy(1)]))


def test_play_compares_the_final_pools(engine: EvmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(pools: Sequence[Reserves], fills: Sequence[Fill]) -> tuple[Reserves, ...]:
        *others, last = final_pools(pools, fills)
        return (*others, replace(last, ether=last.ether + 1))

    monkeypatch.setattr(evm, "final_pools", off_by_one)
    with pytest.raises(EngineMismatch, match=r"^pool 1 after the block: .*ether=\d+.*ether=\d+"):
        engine.play((POOL, POOL), [buy(ETHER)])


def test_play_raises_what_is_no_revert(contracts: Contracts) -> None:
    """A router whose code is the invalid opcode stops with all gas used."""
    creates_invalid = bytes.fromhex("60fe60005360016000f3")
    engine = EvmEngine(replace(contracts, router02=creates_invalid))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="Halt"):
            engine.play((POOL,), [buy(ETHER)])


def test_play_goes_on_after_a_contracts_own_mistake(engine: EvmEngine) -> None:
    def broken(pools: Sequence[Reserves], fills: Sequence[Fill], /) -> Order | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.play((POOL,), [buy(ETHER), Call(decide=broken)])
    block = [buy(ETHER), buy(ETHER)]
    assert engine.play((POOL,), block) == play((POOL,), block)


@pytest.mark.parametrize(
    ("pools", "order", "message"),
    [
        ((replace(POOL, ether=2**112),), buy(1), "pool 0: reserves must fit 112 bits"),
        ((POOL, replace(POOL, token=-1)), buy(1), "pool 1: reserves must fit 112 bits"),
        ((POOL,), buy(2**248), "position 0: the input must fit 248 bits"),
        ((POOL,), buy(-1), "position 0: the input must fit 248 bits"),
        ((POOL,), buy(1, minimum_out=2**256), "position 0: .* the minimum 256"),
        ((POOL,), buy(1, minimum_out=-1), "position 0: .* the minimum 256"),
        ((POOL,), buy(1, pool=1), "position 0: pool 1 of 1"),
        ((POOL,), buy(1, pool=-1), "position 0: pool -1 of 1"),
    ],
)
def test_play_refuses_what_no_contract_holds(
    pools: tuple[Reserves, ...], order: Order, message: str, engine: EvmEngine
) -> None:
    with pytest.raises(ValueError, match=message):
        engine.play(pools, [order])


# --- the environment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ((3, 12, 4, "final", 0), r"run `pip install 'encmempool\[measure\]'`"),
        ((3, 13, 0, "final", 0), r"no wheel for Python 3\.13: use Python 3\.11 or 3\.12"),
    ],
)
def test_engine_says_how_to_get_pyrevm(
    version: tuple[object, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = Contracts(weth9=b"", factory=b"", router02=b"", erc20=b"")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "pyrevm", None)
        patched.setattr(sys, "version_info", version)
        with pytest.raises(EnvironmentProblem, match=message):
            EvmEngine(none)


def test_engine_says_how_to_get_the_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyrevm")
    monkeypatch.setenv("ENCMEMPOOL_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="run `encmempool fetch uniswap`"):
        EvmEngine()


@pytest.mark.parametrize("fork", ["SHANGHAI", "nonsense", "Cancun", "London"])
def test_engine_notices_that_it_runs_another_fork(
    fork: str, contracts: Contracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyrevm takes an unknown name for its latest fork and says nothing."""
    monkeypatch.setattr(evm, "FORK", fork)
    with pytest.raises(EnvironmentProblem, match=f"does not run the fork {fork}"):
        EvmEngine(contracts)


# --- speed -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_speed_is_printed(engine: EvmEngine, contracts: Contracts, capsys: pytest.CaptureFixture[str]) -> None:
    """Asserts no time. Run with -m slow -s."""
    blocks = []
    for seed in range(500):
        market = Market.draw(seed, 15)
        blocks.append((market.pools, market.orders))
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        for pools, block in blocks:
            engine.play(pools, block)
        rates.append(len(blocks) / (time.perf_counter() - started))
    with capsys.disabled():
        print(f"\n{swaps_per_second(contracts):,.0f} swaps/s, {sorted(rates)[2]:,.0f} blocks/s of 15 orders")  # noqa: T201
