"""The market, the two execution paths that must agree, and the attackers' bookkeeping."""

from collections.abc import Sequence
from random import Random
from statistics import median

import pytest

from encmempool.ethereum import decode_signed, gas_ladder, sign_transaction
from encmempool.execution.ledger import SWAP_GAS, Entry, Ledger
from encmempool.execution.pools import amount_out
from encmempool.execution.router import encode
from encmempool.measure.attacker import (
    BLIND_STRATEGIES,
    Abstain,
    BlindBracket,
    BlindSpam,
    BlindStrategy,
    Placement,
    arrange,
    choose,
    greedy_sandwich,
)
from encmempool.measure.figures import Measurement, measure
from encmempool.measure.market import (
    ATTACKER,
    ETHER,
    GAS_PRICE_WEI,
    SIZE_QUANTILES,
    SLACK_QUANTILES_BPS,
    TOKEN,
    WETH,
    Fill,
    Market,
    Order,
    Reserves,
    from_receipts,
    play,
    quantile,
)
from encmempool.measure.sandwich import round_trip_loss

ROUTER = b"\x7a" * 20
CHAIN_ID = 1337
PRIORITY_FEE = 10**9
RESERVES = Reserves(ether=10_000 * ETHER, token=30_000_000 * ETHER)


def buy(amount_in: int, *, sender: int = 0, minimum_out: int = 0) -> Order:
    return Order(sender=sender, buys=True, amount_in=amount_in, minimum_out=minimum_out)


def key_of(sender: int) -> bytes:
    return (sender + 2).to_bytes(32, "big")


def on_ledger(market: Market, block: Sequence[Order]) -> tuple[Fill, ...]:
    """Sign, decode and execute a block as the network would, one key per sender."""
    nonces: dict[int, int] = {}
    entries = []
    for order in block:
        nonce = nonces.get(order.sender, 0)
        nonces[order.sender] = nonce + 1
        swap = order.swap(recipient=address_of(order.sender), deadline=2_000_000_000)
        raw = sign_transaction(
            key_of(order.sender),
            chain_id=CHAIN_ID,
            nonce=nonce,
            to=ROUTER,
            value=swap.value,
            data=encode(swap),
            gas_limit=gas_ladder(SWAP_GAS),
            max_fee_per_gas=2 * GAS_PRICE_WEI,
            max_priority_fee_per_gas=PRIORITY_FEE,
        )
        payload = decode_signed(raw)
        entries.append(
            Entry(
                sender=payload.sender,
                nonce=nonce,
                gas_limit=payload.gas_limit,
                max_fee_per_gas=payload.max_fee_per_gas,
                max_priority_fee_per_gas=payload.max_priority_fee_per_gas,
                payload=payload,
            )
        )
    senders = {address_of(order.sender) for order in block}
    ledger = Ledger(
        chain_id=CHAIN_ID,
        accounts=dict.fromkeys(senders, 10**6 * ETHER),
        token_balances={(TOKEN, sender): 10**12 * ETHER for sender in senders},
        pools=[market.pool],
        router=ROUTER,
        weth=WETH,
        base_fee=GAS_PRICE_WEI - PRIORITY_FEE,
        fee_recipient=b"\xfe" * 20,
    )
    return from_receipts(block, ledger.execute(1, 0, entries))


def address_of(sender: int) -> bytes:
    raw = sign_transaction(
        key_of(sender),
        chain_id=1,
        nonce=0,
        to=ROUTER,
        value=0,
        data=b"",
        gas_limit=21_000,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
    )
    return decode_signed(raw).sender


@pytest.mark.parametrize("strategy", [None, Abstain(), BlindBracket(size_ppm=10_000), BlindSpam(pairs=3)])
def test_fast_path_equals_the_ledger_to_the_wei(strategy: BlindStrategy | None) -> None:
    reverted = 0
    for seed in range(3):
        market = Market.draw(seed, 12)
        if strategy is None:
            placements = greedy_sandwich(market.pools, market.orders)
        else:
            placements = strategy.plan([b""] * 12, market.pools, Random(seed))
        block = arrange(market.orders, placements)
        fast = play(market.pools, block)
        assert fast == on_ledger(market, block), f"seed {seed}"
        reverted += sum(not fill.executed for fill in fast)
    assert reverted


def test_draw_is_the_same_for_the_same_seed_only() -> None:
    assert Market.draw(5, 12) == Market.draw(5, 12)
    assert Market.draw(5, 12).orders != Market.draw(6, 12).orders


def test_draw_gives_each_user_one_order_in_a_mixed_arrival_order() -> None:
    senders = [[order.sender for order in Market.draw(seed, 12).orders] for seed in range(5)]
    assert all(sorted(each) == list(range(12)) for each in senders)
    assert senders[0] != senders[1]


def test_draw_reproduces_the_real_quantiles() -> None:
    sizes, slacks, buys = [], [], 0
    for seed in range(200):
        market = Market.draw(seed, 20)
        for order in market.orders:
            reserve_in, reserve_out = market.reserves.entering(order)
            sizes.append(order.amount_in / reserve_in)
            quote = amount_out(reserve_in, reserve_out, order.amount_in)
            slacks.append(10_000 * (1 - order.minimum_out / quote))
            buys += order.buys
    for points, sample in ((SIZE_QUANTILES[1:], sizes), (SLACK_QUANTILES_BPS[1:4], slacks)):
        ordered = sorted(sample)
        for probability, value in points:
            share = sum(each <= value * 1.0001 for each in ordered) / len(ordered)
            assert share == pytest.approx(probability, abs=0.03)
    assert median(slacks) == pytest.approx(54.1, rel=0.02)
    assert buys / len(sizes) == pytest.approx(0.5, abs=0.03)
    assert max(sizes) == pytest.approx(0.127)


def test_quantile_is_log_linear_and_clamped() -> None:
    points = ((0.25, 1.0), (0.75, 100.0))
    assert quantile(points, 0.5) == pytest.approx(10)
    assert (quantile(points, 0.0), quantile(points, 1.0)) == (1.0, 100.0)


def test_play_reverts_an_order_one_unit_above_its_quote() -> None:
    quote = amount_out(RESERVES.ether, RESERVES.token, ETHER)
    passing, failing = buy(ETHER, minimum_out=quote), buy(ETHER, minimum_out=quote + 1)
    assert [fill.executed for fill in play((RESERVES,), [failing, passing])] == [False, True]


def test_arrange_keeps_users_in_order_and_placements_as_listed() -> None:
    users = [buy(1, sender=sender) for sender in range(3)]
    a, b, c = (buy(amount, sender=ATTACKER) for amount in (10, 20, 30))
    block = arrange(users, [Placement(before=3, order=c), Placement(before=1, order=a), Placement(before=1, order=b)])
    assert block == (users[0], a, b, users[1], users[2], c)


@pytest.mark.parametrize("before", [-1, 2])
def test_arrange_refuses_a_place_outside_the_block(before: int) -> None:
    with pytest.raises(ValueError, match="placement"):
        arrange([buy(1)], [Placement(before=before, order=buy(1))])


def test_greedy_sandwich_extracts_the_worked_example_net_of_gas() -> None:
    reserves = Reserves(ether=5_000 * ETHER, token=15_000_000 * ETHER)
    quote = amount_out(reserves.ether, reserves.token, 50 * ETHER)
    orders = [buy(50 * ETHER, minimum_out=quote * 995 // 1000)]
    block = arrange(orders, greedy_sandwich((reserves,), orders))
    assert [order.sender for order in block] == [ATTACKER, 0, ATTACKER]
    result = measure((reserves,), play((reserves,), block), play((reserves,), orders))
    assert result.extracted == 175_508_827_231_019_450 - 2 * SWAP_GAS * GAS_PRICE_WEI
    assert result.volume == 50 * ETHER
    assert result.victim_loss_bps == pytest.approx(50.0, abs=1e-3)
    assert result.failed_volume == 0


def test_greedy_sandwich_leaves_users_alone_when_gas_costs_more_than_it_brings() -> None:
    market = Market.draw(1, 12)
    assert greedy_sandwich(market.pools, market.orders)
    assert greedy_sandwich(market.pools, market.orders, gas_price_wei=10**18) == ()


def test_greedy_sandwich_never_loses_and_every_leg_executes() -> None:
    for seed in range(60):
        market = Market.draw(seed, 12)
        block = arrange(market.orders, greedy_sandwich(market.pools, market.orders))
        fills = play(market.pools, block)
        assert all(fill.executed for fill in fills if fill.order.sender == ATTACKER), f"seed {seed}"
        assert measure(market.pools, fills, play(market.pools, market.orders)).extracted >= 0


def test_blind_bracket_in_an_empty_block_loses_the_closed_form_and_gas() -> None:
    placements = BlindBracket(size_ppm=1_000).plan([], (RESERVES,), Random(0))
    result = measure((RESERVES,), play((RESERVES,), arrange([], placements)), [])
    loss = -result.extracted - 2 * SWAP_GAS * GAS_PRICE_WEI
    assert loss == pytest.approx(round_trip_loss(RESERVES.ether, 10 * ETHER), rel=1e-12)


def test_blind_bracket_encloses_the_block_and_ends_flat() -> None:
    first, last = BlindBracket(size_ppm=3_000).plan([b"x"] * 4, (RESERVES,), Random(0))
    assert (first.before, last.before) == (0, 4)
    assert first.order.amount_in == 30 * ETHER
    assert play((RESERVES,), [first.order])[0].amount_out == last.order.amount_in


def test_blind_spam_buys_before_it_sells_in_every_pair() -> None:
    placements = BlindSpam(pairs=20).plan([b"x"] * 12, (RESERVES,), Random(1))
    pairs = list(zip(placements[::2], placements[1::2], strict=True))
    assert len(pairs) == 20
    assert all(early.order.buys and not late.order.buys and early.before <= late.before for early, late in pairs)
    assert len({early.before for early, _ in pairs}) > 3


@pytest.mark.parametrize("strategy", BLIND_STRATEGIES, ids=lambda strategy: strategy.name)
def test_blind_strategy_plan_is_the_same_for_the_same_view_and_randomness(strategy: BlindStrategy) -> None:
    view = [bytes([index]) * 32 for index in range(12)]
    plans = {strategy.plan(view, (RESERVES,), Random(9)) for _ in range(2)}
    assert len(plans) == 1


def test_measure_counts_failed_volume_and_leaves_it_out_of_the_loss() -> None:
    quote = amount_out(RESERVES.ether, RESERVES.token, ETHER)
    users = [buy(ETHER, sender=0, minimum_out=quote), buy(3 * ETHER, sender=1)]
    block = [buy(100 * ETHER, sender=ATTACKER), *users]
    result = measure((RESERVES,), play((RESERVES,), block), play((RESERVES,), users))
    assert result.failed_volume == 0.25
    assert result.volume == 4 * ETHER
    assert 0 < result.victim_loss_bps < 250


def test_measure_ignores_users_that_fail_without_the_attacker_too() -> None:
    users = [buy(ETHER, sender=0, minimum_out=10**40), buy(ETHER, sender=1)]
    fills = play((RESERVES,), users)
    result = measure((RESERVES,), fills, fills)
    assert (result.volume, result.failed, result.loss, result.extracted) == (ETHER, 0, 0, 0)


def test_measure_charges_failed_attacker_transactions() -> None:
    failing = buy(ETHER, sender=ATTACKER, minimum_out=10**40)
    assert measure((RESERVES,), play((RESERVES,), [failing]), []).extracted == -35_000 * GAS_PRICE_WEI


def test_measure_refuses_a_counterfactual_of_other_orders() -> None:
    one, two = play((RESERVES,), [buy(1 * ETHER)]), play((RESERVES,), [buy(2 * ETHER)])
    with pytest.raises(ValueError, match="other orders"):
        measure((RESERVES,), one, two)


def test_measurements_add_as_ratios_of_sums() -> None:
    total = Measurement(volume=100, extracted=10) + Measurement(volume=300, extracted=-2)
    assert total.extracted_bps == 200
    assert Measurement().extracted_bps == Measurement().victim_loss_bps == Measurement().failed_volume == 0


def test_choose_ranks_by_profit_and_is_reproducible() -> None:
    choice = choose(BLIND_STRATEGIES, range(30), 12)
    results = [trained.measurement.extracted_bps for trained in choice.ranked]
    assert results == sorted(results, reverse=True)
    assert {trained.strategy for trained in choice.ranked} == set(BLIND_STRATEGIES)
    assert choice == choose(BLIND_STRATEGIES, range(30), 12)
    assert choice.best_active.strategy != Abstain()


def test_choose_prefers_to_abstain_when_gas_is_dear() -> None:
    choice = choose(BLIND_STRATEGIES, range(10), 12, gas_price_wei=10**14)
    assert choice.best.strategy == Abstain()
    assert choice.best.measurement.extracted == 0
    assert choice.best_active.measurement.extracted < 0


def test_choose_gives_strategies_bytes_that_say_nothing_about_orders() -> None:
    seen: list[tuple[bytes, ...]] = []

    class Recorder:
        name = "recorder"

        def plan(self, view: Sequence[bytes], pools: Sequence[Reserves], random: Random) -> tuple[Placement, ...]:
            seen.append(tuple(view))
            return ()

    choose([Recorder()], range(3), 7)
    assert [len(view) for view in seen] == [7, 7, 7]
    assert all(len(record) == 32 for view in seen for record in view)
    assert len({record for view in seen for record in view}) == 21


def test_plaintext_extracts_far_more_than_any_blind_strategy() -> None:
    blind = choose(BLIND_STRATEGIES, range(1_000, 1_100), 12).best.measurement.extracted_bps
    plain = Measurement()
    for seed in range(1_000, 1_100):
        market = Market.draw(seed, 12)
        block = arrange(market.orders, greedy_sandwich(market.pools, market.orders))
        plain += measure(market.pools, play(market.pools, block), play(market.pools, market.orders))
    assert plain.extracted_bps > 20
    assert plain.extracted_bps > 10 * blind
