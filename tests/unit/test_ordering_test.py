"""The permutation test: exactly uniform where order is random, small where order was chosen by content."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from scipy.stats import chisquare, kstest

from encmempool.execution.pools import amount_out
from encmempool.measure.attacker import arrange, greedy_sandwich
from encmempool.measure.market import ATTACKER, Market, Order
from encmempool.measure.ordering_test import p_value, summary
from encmempool.measure.reorderings import reorderings

ETHER = 10**18


def round_trip(market: Market) -> list[Order]:
    """A purchase and a sale of some 0.2% of the pool."""
    tokens = market.reserves.token * 2 // 1000
    return [
        Order(sender=ATTACKER, buys=True, amount_in=20 * ETHER, minimum_out=0),
        Order(sender=ATTACKER, buys=False, amount_in=tokens, minimum_out=0),
    ]


def test_p_values_are_uniform_where_every_order_is_equally_likely() -> None:
    seed = 41
    random = Random(seed)
    values = []
    for market_seed in range(2000):
        market = Market.draw(market_seed, 5)
        block = next(reorderings([*round_trip(market), *market.orders], random=random, count=1))
        values.append(p_value(market.pools, block, random=random, permutations=4))
    found = summary(values)
    assert found.blocks == 2000
    assert found.ks_p > 0.01, f"seed {seed}: {found}"
    assert 0.03 < found.share_below_5 < 0.07, f"seed {seed}: {found}"


def test_p_values_are_small_where_plaintext_chose_the_order() -> None:
    seed = 43
    random = Random(seed)
    values = []
    for market_seed in range(60):
        market = Market.draw(market_seed, 12)
        if placements := greedy_sandwich(market.pools, market.orders):
            block = arrange(market.orders, placements)
            values.append(p_value(market.pools, block, random=random, permutations=99))
    found = summary(values)
    assert found.median < 0.05, f"seed {seed}: {found}"
    assert found.share_below_5 > 0.5, f"seed {seed}: {found}"
    assert found.ks_p < 1e-6, f"seed {seed}: {found}"


def test_p_value_of_a_block_without_attacker_is_uniform_by_its_ties() -> None:
    seed = 47
    random = Random(seed)
    market = Market.draw(1, 3)
    values = [p_value(market.pools, market.orders, random=random, permutations=3) for _ in range(500)]
    assert kstest(values, "uniform").pvalue > 0.01, f"seed {seed}"


def test_p_value_of_the_best_order_is_below_that_of_the_worst() -> None:
    """Three orders are possible: a third of the random ones tie with the best."""
    market = Market.draw(1, 0)
    buy, sell = round_trip(market)
    user = Order(sender=0, buys=True, amount_in=500 * ETHER, minimum_out=0)
    best = [p_value(market.pools, [buy, user, sell], random=Random(seed)) for seed in range(30)]
    other = [p_value(market.pools, [buy, sell, user], random=Random(seed)) for seed in range(30)]
    assert 0 < max(best) < 1 / 3 + 0.1
    assert min(other) > 1 / 3 - 0.1


def test_p_value_counts_a_reverted_order_for_nothing() -> None:
    """After the user the purchase reverts, which saves the fee: the better of the two orders."""
    market = Market.draw(1, 0)
    buy, _ = round_trip(market)
    quote = amount_out(market.reserves.ether, market.reserves.token, buy.amount_in)
    user = Order(sender=0, buys=True, amount_in=500 * ETHER, minimum_out=0)
    block = [user, replace(buy, minimum_out=quote)]
    assert max(p_value(market.pools, block, random=Random(seed)) for seed in range(30)) < 1 / 2 + 0.15


def test_reorderings_are_uniform_and_keep_each_senders_sequence() -> None:
    """Twelve orders of A1 A2 U V are equally likely; in half of them the attacker's two are adjacent."""
    market = Market.draw(1, 2)
    first, second = round_trip(market)
    block = [market.orders[0], first, market.orders[1], second]
    seed = 53
    counts = Counter(tuple(order) for order in reorderings(block, random=Random(seed), count=12_000))
    assert len(counts) == 12
    assert all(order.index(first) < order.index(second) for order in counts)
    assert chisquare(list(counts.values())).pvalue > 0.001, f"seed {seed}"
    adjacent = sum(count for order, count in counts.items() if order.index(second) - order.index(first) == 1)
    assert adjacent == pytest.approx(6_000, abs=250), f"seed {seed}"


def test_summary_describes_the_values() -> None:
    found = summary([0.05, 0.2, 0.6, 0.9])
    assert (found.blocks, found.median, found.share_below_5) == (4, 0.4, 0.25)
    assert found.ks_p > 0.5


def test_summary_refuses_no_blocks() -> None:
    with pytest.raises(ValueError, match="no block"):
        summary([])
