"""Blocks in other orders: run by the ledger, drawn uniformly, and compared by what they hold alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from encmempool.conformance.watch import all_exchanges, all_orders, block_of
from encmempool.execution.ledger import Failure, Ledger
from encmempool.execution.pools import Pool, amount_out
from encmempool.execution.router import Swap, SwapKind, encode
from encmempool.genesis import DEVELOPMENT_CHAIN_ID, ROUTER, WETH
from encmempool.measure.attacker import arrange, greedy_sandwich
from encmempool.measure.detector import sandwiches
from encmempool.measure.figures import input_worth, output_worth
from encmempool.measure.market import ATTACKER, Market, Order, Reserves, play
from encmempool.measure.reorderings import Rank
from encmempool.risk.blocks import Block, Placed, _amounts
from encmempool.risk.sequential import Alarm, Calibration, Martingale, count_evidence, rank_evidence

ETHER = 10**18
X, Y = 10_000 * ETHER, 20_000_000 * ETHER
FRONT = Order(sender=7, buys=True, amount_in=20 * ETHER, minimum_out=0)
BACK = Order(sender=7, buys=False, amount_in=amount_out(X, Y, 20 * ETHER), minimum_out=0)
VICTIM = Order(sender=1, buys=True, amount_in=100 * ETHER, minimum_out=0)


def block(*orders: Order) -> Block:
    return block_of(X, Y, orders)


def gains(of: Block) -> Counter[int]:
    return Counter(of.run(order).profit for order in all_orders(of.placed))


# --- what an order did -----------------------------------------------------------------------------------------------


def test_run_finds_a_sandwich_and_names_its_transactions_wch_5() -> None:
    """WCH-5"""
    made = block(FRONT, VICTIM, BACK)
    (found,) = made.run(made.placed).sandwiches
    assert (found.front, found.victims, found.back) == (made.placed[0], (made.placed[1],), made.placed[2])


def test_run_finds_a_sandwich_of_two_senders_wch_5() -> None:
    """WCH-5"""
    made = block(FRONT, VICTIM, replace(BACK, sender=8))
    assert len(made.run(made.placed).sandwiches) == 1
    assert made.run([made.placed[1], made.placed[0], made.placed[2]]).sandwiches == ()


def test_run_agrees_with_the_integer_model_in_any_order() -> None:
    """The ledger and the experiment's model are the same market."""
    random = Random(29)
    for seed in range(20):
        market = Market.draw(seed, 8)
        orders = [FRONT, BACK, *(replace(order, sender=order.sender + 20) for order in market.orders)]
        pool = Reserves(ether=X, token=Y)
        made = block_of(X, Y, orders)
        order = next(made.reordered(random=random, count=1))
        fills = play((pool,), [orders[int.from_bytes(placed.tx_id, "big")] for placed in order], gas_price_wei=0)
        ran = made.run(order)
        own = [fill for fill in fills if fill.executed and fill.order.sender == FRONT.sender]
        assert ran.profit == pytest.approx(
            sum(output_worth((pool,), fill) - input_worth((pool,), fill) for fill in own), abs=len(own)
        )
        assert len(ran.sandwiches) == len(sandwiches((pool,), fills, by_sender=False))


def test_run_does_not_change_the_state_below() -> None:
    made = block(FRONT, VICTIM, BACK)
    assert made.run(made.placed) == made.run(made.placed)
    assert made.before.height == 0


def test_profit_is_that_of_the_best_trader_wch_4() -> None:
    """WCH-4: who trades in one direction only is none, whatever its gain."""
    seller = Order(sender=3, buys=False, amount_in=BACK.amount_in, minimum_out=0)
    alone = block(VICTIM, seller)
    assert not alone.has_traders
    assert alone.run(alone.placed).profit == 0
    poor = [replace(FRONT, sender=9), replace(BACK, sender=9)]
    best, both = block(FRONT, VICTIM, BACK), block(FRONT, VICTIM, BACK, *poor)
    assert both.run(both.placed).profit == best.run(best.placed).profit > 0


def test_profit_is_greatest_where_the_victim_stands_between() -> None:
    made = block(FRONT, VICTIM, BACK)
    profits = {
        tuple(order.index(placed) for placed in made.placed): made.run(order).profit
        for order in all_orders(made.placed)
    }
    assert max(profits, key=profits.__getitem__) == (0, 1, 2)
    assert len(profits) == 3


def test_routes_of_several_pools_count_in_each() -> None:
    """A sandwich in the second pool of a victim's route, whose front-run asks for an exact output."""
    first, second, way = b"\x11" * 20, b"\x22" * 20, Random(1).randbytes
    pools = [
        Pool(token0=first, token1=second, reserve0=X, reserve1=X),
        Pool(token0=first, token1=WETH, reserve0=X, reserve1=X),
    ]
    senders = [bytes([at]) * 20 for at in (5, 6)]
    ledger = Ledger(
        chain_id=DEVELOPMENT_CHAIN_ID,
        accounts=dict.fromkeys(senders, 1 << 100),
        token_balances={(token, sender): 1 << 100 for token in (first, second) for sender in senders},
        pools=pools,
        router=ROUTER,
        weth=WETH,
        base_fee=0,
        fee_recipient=bytes(20),
    )
    bought = 20 * ETHER
    swaps = [
        (
            5,
            0,
            Swap(
                kind=SwapKind.TOKENS_FOR_EXACT_TOKENS,
                exact=bought,
                bound=X,
                path=(first, second),
                recipient=senders[0],
                deadline=1,
            ),
        ),
        (
            6,
            0,
            Swap(
                kind=SwapKind.EXACT_ETH_FOR_TOKENS,
                exact=200 * ETHER,
                bound=0,
                path=(WETH, first, second),
                recipient=senders[1],
                deadline=1,
            ),
        ),
        (
            5,
            1,
            Swap(
                kind=SwapKind.EXACT_TOKENS_FOR_TOKENS,
                exact=bought,
                bound=0,
                path=(second, first),
                recipient=senders[0],
                deadline=1,
            ),
        ),
    ]
    template = block(FRONT).placed[0].entry
    assert not isinstance(template.payload, Failure)
    placed = []
    for sender, nonce, swap in swaps:
        address = bytes([sender]) * 20
        payload = replace(
            template.payload, sender=address, nonce=nonce, value=swap.value, data=encode(swap), gas_limit=336_000
        )
        entry = replace(template, sender=address, nonce=nonce, payload=payload, gas_limit=336_000)
        placed.append(Placed.of(way(32), entry, ROUTER))
    made = Block(height=1, timestamp_ms=0, before=ledger, placed=tuple(placed), drawn=True)
    assert made.may_hold_sandwich
    (found,) = made.run(made.placed).sandwiches
    assert (found.front, found.victims, found.back) == (placed[0], (placed[1],), placed[2])
    # `second` has no pool with ether: what its traders gain has no price.
    assert not made.has_traders


@pytest.mark.parametrize("kind", [SwapKind.TOKENS_FOR_EXACT_TOKENS, SwapKind.EXACT_TOKENS_FOR_TOKENS])
def test_amounts_along_a_route_are_the_ledgers_to_the_unit(kind) -> None:
    """An exact output is computed backwards, with other roundings than an exact input."""
    first, second, third = (bytes([at]) * 20 for at in (1, 2, 3))
    pools = {
        (first, second): Pool(token0=first, token1=second, reserve0=10**6, reserve1=3 * 10**9 + 7),
        (second, third): Pool(token0=second, token1=third, reserve0=2 * 10**9 + 1, reserve1=10**5),
    }
    template = block(FRONT)
    sender, entry = template.placed[0].sender, template.placed[0].entry
    assert not isinstance(entry.payload, Failure)
    exact = 1_234 if kind is SwapKind.TOKENS_FOR_EXACT_TOKENS else 54_321
    bound = 10**6 if kind is SwapKind.TOKENS_FOR_EXACT_TOKENS else 0
    swap = Swap(kind=kind, exact=exact, bound=bound, path=(first, second, third), recipient=sender, deadline=1)
    ledger = Ledger(
        chain_id=DEVELOPMENT_CHAIN_ID,
        accounts={},
        token_balances={(first, sender): 10**6},
        pools=pools.values(),
        router=ROUTER,
        weth=WETH,
        base_fee=0,
        fee_recipient=bytes(20),
    )
    payload = replace(entry.payload, value=0, data=encode(swap), gas_limit=336_000)
    (receipt,) = ledger.execute(1, 0, [replace(entry, payload=payload, gas_limit=336_000)])
    assert receipt.success
    paid, between, taken = _amounts(pools, swap, receipt)
    assert pools[first, second].swap(first, paid, between) == ledger.pool(first, second)
    assert pools[second, third].swap(second, between, taken) == ledger.pool(second, third)


# --- other orders ----------------------------------------------------------------------------------------------------


def test_reorderings_are_uniform_and_keep_each_senders_sequence_wch_2() -> None:
    """WCH-2"""
    seed = 31
    made = block(FRONT, BACK, VICTIM, replace(VICTIM, sender=2))
    drawn = Counter(
        tuple(made.placed.index(placed) for placed in order)
        for order in made.reordered(random=Random(seed), count=12_000)
    )
    assert set(drawn) == {tuple(made.placed.index(each) for each in order) for order in all_orders(made.placed)}
    assert len(drawn) == 12
    assert all(abs(count - 1_000) < 150 for count in drawn.values()), f"seed {seed}"


def test_exchanges_are_uniform_and_keep_the_pattern_of_places_wch_2() -> None:
    """WCH-2, where the order is not drawn: the trader's places stay, and users with one transaction change theirs."""
    seed = 33
    users = [replace(VICTIM, sender=at) for at in (1, 2, 3)]
    made = replace(block(users[0], FRONT, users[1], BACK, users[2]), drawn=False)
    drawn = Counter(
        tuple(made.placed.index(placed) for placed in order)
        for order in made.reordered(random=Random(seed), count=6_000)
    )
    assert set(drawn) == {tuple(made.placed.index(each) for each in order) for order in all_exchanges(made.placed)}
    assert len(drawn) == 6
    assert all((order[1], order[3]) == (1, 3) for order in drawn)
    assert all(abs(count - 1_000) < 150 for count in drawn.values()), f"seed {seed}"


def test_traders_change_places_with_their_equals_wch_2() -> None:
    """WCH-2: each goes on in its own sequence, at the other's places."""
    made = replace(block(FRONT, replace(VICTIM, sender=8), BACK, replace(VICTIM, sender=8)), drawn=False)
    orders = {tuple(made.placed.index(each) for each in order) for order in all_exchanges(made.placed)}
    assert orders == {(0, 1, 2, 3), (1, 0, 3, 2)}
    assert {
        tuple(made.placed.index(p) for p in order) for order in made.reordered(random=Random(1), count=40)
    } == orders


def test_traffic_at_even_intervals_raises_no_alarm() -> None:
    """Accounts that send one after the other, over and over, as a load generator does: a pattern, and blind."""
    seed, error = 39, 0.05
    random, alarms = Random(seed), 0
    for _ in range(12):
        alarm = Alarm(error=error, statistics={"ordering": Martingale()})
        for height in range(1, 9):
            made = replace(block(*round_robin(random)), drawn=False)
            if made.has_traders:
                gained = [made.run(order).profit for order in made.reordered(random=random, count=19)]
                rank = Rank.among(made.run(made.placed).profit, gained)
                alarm.add(height, {"ordering": rank_evidence(rank)})
        alarms += alarm.raised is not None
    assert alarms <= 3, f"seed {seed}"


def round_robin(random: Random) -> list[Order]:
    return [
        Order(
            sender=at % 7,
            buys=buys,
            amount_in=random.randrange(1, 100) * (ETHER if buys else 2_000 * ETHER),
            minimum_out=0,
        )
        for at in range(12)
        for buys in [random.random() < 0.5]
    ]


def test_forced_transactions_keep_their_places_wch_2() -> None:
    """WCH-2"""
    made = replace(block(VICTIM, FRONT, replace(VICTIM, sender=2), replace(VICTIM, sender=3)), fixed=2, drawn=False)
    for order in made.reordered(random=Random(1), count=50):
        assert tuple(order[:2]) == made.placed[:2]
    assert len({tuple(order) for order in made.reordered(random=Random(1), count=50)}) == 2


def test_p_values_are_uniform_where_the_order_is_drawn_wch_3() -> None:
    """WCH-3, on blocks with two traders and ties."""
    kstest = pytest.importorskip("scipy.stats").kstest
    seed = 37
    random, drawn = Random(seed), []
    traders = [FRONT, BACK, replace(BACK, sender=8), replace(FRONT, sender=8, amount_in=5 * ETHER)]
    for _ in range(200):
        users = [replace(VICTIM, sender=at, amount_in=random.randrange(1, 90) * ETHER) for at in range(3)]
        made = block(*traders, *users)
        real, *others = made.reordered(random=random, count=10)
        rank = Rank.among(made.run(real).profit, [made.run(order).profit for order in others])
        drawn.append(rank.p_value(random))
    assert kstest(drawn, "uniform").pvalue > 0.01, f"seed {seed}"


# --- what is compared ------------------------------------------------------------------------------------------------


USER, SELLER = replace(VICTIM, sender=2), replace(BACK, sender=8)


@pytest.mark.parametrize(
    ("drawn", "orders", "sandwich", "traders"),
    [
        (True, (FRONT, VICTIM, BACK), True, True),
        (True, (VICTIM, BACK, FRONT), True, True),
        (True, (FRONT, VICTIM, SELLER), True, False),
        (True, (FRONT, VICTIM, USER), False, False),
        (True, (VICTIM, SELLER), False, False),
        (True, (FRONT, BACK), False, False),
        (True, (), False, False),
        (False, (FRONT, VICTIM, BACK), False, False),
        (False, (FRONT, VICTIM, BACK, USER), True, True),
        (False, (FRONT, VICTIM, SELLER), True, False),
        (False, (FRONT, VICTIM, VICTIM, BACK), True, True),
        (False, (FRONT, BACK, VICTIM, VICTIM, VICTIM), False, False),
    ],
)
def test_content_and_counts_alone_say_whether_a_block_is_compared_wch_12(drawn, orders, sandwich, traders) -> None:
    """WCH-12"""
    made = replace(block(*orders), drawn=drawn)
    assert (made.may_hold_sandwich, made.has_traders) == (sandwich, traders)
    for order in all_orders(made.placed):
        same = replace(made, placed=tuple(order))
        assert (same.may_hold_sandwich, same.has_traders) == (sandwich, traders)


def test_what_cannot_hold_a_sandwich_has_none_in_any_order() -> None:
    made = block(FRONT, VICTIM, replace(VICTIM, sender=2))
    assert all(made.run(order).sandwiches == () for order in all_orders(made.placed))
    assert gains(made) == {0: 6}


def test_transactions_that_are_no_swaps_stand_in_a_block_and_do_nothing() -> None:
    made = block(FRONT, VICTIM, BACK)
    entry = made.placed[1].entry
    assert not isinstance(entry.payload, Failure)
    closed = replace(entry, sender=b"\x01" * 20, payload=Failure.UNDECRYPTABLE)
    other = replace(entry, sender=b"\x02" * 20, payload=replace(entry.payload, data=b"\x01"))
    plain = replace(entry, sender=b"\x03" * 20, payload=replace(entry.payload, data=b"", to=b"\x04" * 20, value=1))
    more = tuple(Placed.of(bytes([at]) * 32, each, ROUTER) for at, each in enumerate((closed, other, plain), 50))
    assert all(placed.swap is None for placed in more)
    mixed = replace(made, placed=(*made.placed, *more))
    assert len(mixed.run(mixed.placed).sandwiches) == 1


# --- together --------------------------------------------------------------------------------------------------------


def alarmed(share: float, *, blocks: int, seed: int) -> int | None:
    """The block of the alarm where a sequencer that reads sandwiches users of the experiment in a share of blocks."""
    random, calibration = Random(seed), Calibration()
    alarm = Alarm(error=0.001, statistics={name: Martingale() for name in ("sandwiches", "ordering")})
    for height in range(1, blocks + 1):
        market = Market.draw(100_000 * seed + height, 12)
        orders = list(market.orders)
        if random.random() < share and (placements := greedy_sandwich(market.pools, market.orders)):
            placed = arrange(market.orders, placements)
            orders = [replace(order, sender=99) if order.sender == ATTACKER else order for order in placed]
        made = replace(block_of(market.reserves.ether, market.reserves.token, orders), drawn=False)
        if not made.may_hold_sandwich:
            continue
        real, *others = [made.run(o) for o in (made.placed, *made.reordered(random=random, count=49))]
        counts = [len(other.sandwiches) for other in others]
        calibration.add(len(real.sandwiches), counts)
        evidence = {"sandwiches": count_evidence(len(real.sandwiches), counts, calibration.tilt(1.0))}
        if made.has_traders:
            evidence["ordering"] = rank_evidence(Rank.among(real.profit, [other.profit for other in others]))
        alarm.add(height, evidence)
        if alarm.raised is not None:
            return height
    return None


def test_sequencer_that_reads_every_block_is_noticed_at_once() -> None:
    assert all((alarmed(1.0, blocks=6, seed=seed) or 99) <= 5 for seed in (1, 2))


@pytest.mark.slow
def test_sequencer_that_reads_some_blocks_is_noticed_and_one_that_does_not_is_not() -> None:
    found = [alarmed(0.1, blocks=200, seed=seed) for seed in (1, 2, 3)]
    assert all(height is not None for height in found), found
    assert [alarmed(0.0, blocks=150, seed=seed) for seed in (1, 2, 3)] == [None] * 3
