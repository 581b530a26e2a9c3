"""The online detector: finds every sandwich that the plaintext attacker makes, and names nothing else."""

from dataclasses import replace

import pytest

from encmempool.execution.pools import amount_out
from encmempool.measure.attacker import arrange, greedy_sandwich
from encmempool.measure.detector import Sandwich, sandwiches
from encmempool.measure.market import ATTACKER, Market, Order, Reserves, play
from encmempool.measure.sandwich import profitability_threshold

ETHER = 10**18
POOL = Reserves(ether=10_000 * ETHER, token=30_000_000 * ETHER)
ELSEWHERE = Reserves(ether=10_000 * ETHER, token=20_000_000 * ETHER)
FRONT = Order(sender=ATTACKER, buys=True, amount_in=20 * ETHER, minimum_out=0)
VICTIM = Order(sender=0, buys=True, amount_in=100 * ETHER, minimum_out=0)
BACK = Order(sender=ATTACKER, buys=False, amount_in=amount_out(POOL.ether, POOL.token, 20 * ETHER), minimum_out=0)
FOUND = (Sandwich(front=0, victims=(1,), back=2),)


def found(*block: Order, by_sender: bool = True) -> tuple[Sandwich, ...]:
    pools = POOL, ELSEWHERE
    return sandwiches(pools, play(pools, block), by_sender=by_sender)


@pytest.mark.parametrize("by_sender", [True, False])
def test_sandwiches_finds_a_sandwich_of_a_buyer_and_of_a_seller(by_sender: bool) -> None:
    assert found(FRONT, VICTIM, BACK, by_sender=by_sender) == FOUND
    front = replace(FRONT, buys=False, amount_in=60_000 * ETHER)
    victim = replace(VICTIM, buys=False, amount_in=300_000 * ETHER)
    back = replace(BACK, buys=True, amount_in=amount_out(POOL.token, POOL.ether, 60_000 * ETHER))
    assert found(front, victim, back, by_sender=by_sender) == FOUND


def test_sandwiches_joins_two_addresses_by_amount_alone() -> None:
    other = replace(BACK, sender=-2)
    assert found(FRONT, VICTIM, other) == ()
    assert found(FRONT, VICTIM, other, by_sender=False) == FOUND


def test_sandwiches_adds_up_victims_and_names_no_others() -> None:
    """Three users of 0.15% of the pool each: none alone is worth a sandwich, all together are."""
    users = [replace(VICTIM, sender=sender, amount_in=15 * ETHER) for sender in range(3)]
    seller = replace(VICTIM, sender=3, buys=False, amount_in=ETHER)
    away = replace(VICTIM, sender=4, pool=1)
    reverted = replace(VICTIM, sender=5, minimum_out=POOL.token)
    front, back = replace(FRONT, amount_in=ETHER), replace(BACK, amount_in=amount_out(POOL.ether, POOL.token, ETHER))
    block = front, users[0], seller, users[1], away, reverted, users[2], back
    assert found(*block) == (Sandwich(front=0, victims=(1, 3, 6), back=7),)


@pytest.mark.parametrize(
    "block",
    [
        (FRONT, BACK),
        (FRONT, VICTIM, replace(BACK, buys=True)),
        (FRONT, replace(VICTIM, buys=False, amount_in=10**5 * ETHER), BACK),
        (FRONT, replace(VICTIM, pool=1), BACK),
        (FRONT, VICTIM, replace(BACK, pool=1)),
        (FRONT, replace(VICTIM, sender=ATTACKER), BACK),
        (FRONT, replace(VICTIM, minimum_out=POOL.token), BACK),
        (FRONT, VICTIM, replace(BACK, amount_in=BACK.amount_in * 98 // 100)),
        (FRONT, VICTIM, replace(BACK, amount_in=BACK.amount_in * 102 // 100)),
        (FRONT, VICTIM, replace(BACK, minimum_out=POOL.ether)),
        (FRONT, replace(VICTIM, amount_in=20 * ETHER), BACK),
    ],
    ids=[
        "nobody between",
        "back in the same direction",
        "user in the other direction",
        "user in another pool",
        "back in another pool",
        "attacker between",
        "victim reverted",
        "back too small",
        "back too large",
        "back reverted",
        "victim too small",
    ],
)
@pytest.mark.parametrize("by_sender", [True, False])
def test_sandwiches_finds_none_without(block: tuple[Order, ...], by_sender: bool) -> None:
    assert found(*block, by_sender=by_sender) == ()


def test_sandwiches_wants_a_profit_on_what_both_legs_share() -> None:
    """A large front-run around a user just above the threshold loses to its own fee, a small one gains."""
    victim = replace(VICTIM, amount_in=31 * ETHER)
    for spent, expected in ((5_000 * ETHER, ()), (ETHER, FOUND)):
        back = replace(BACK, amount_in=amount_out(POOL.ether, POOL.token, spent))
        assert found(replace(FRONT, amount_in=spent), victim, back) == expected


@pytest.mark.parametrize(("margin", "expected"), [(-4e-5, ()), (4e-5, FOUND)])
def test_sandwiches_wants_victims_above_the_threshold(margin: float, expected: tuple[Sandwich, ...]) -> None:
    """To sell 0.8% less than was bought fetches a better price: a gain in proportion that no user paid for."""
    victim = replace(VICTIM, amount_in=int(POOL.ether * (profitability_threshold() + margin)))
    spent = 500 * ETHER
    bought = amount_out(POOL.ether, POOL.token, spent)
    block = replace(FRONT, amount_in=spent), victim, replace(BACK, amount_in=bought * 992 // 1000)
    fills = play((POOL,), block)
    assert fills[2].amount_out * bought > spent * block[2].amount_in
    assert found(*block) == expected


def test_sandwiches_measures_victims_by_the_reserve_that_the_front_met() -> None:
    """A trade before the front-run doubles the reserve, and the same user is too small."""
    victim = replace(VICTIM, amount_in=50 * ETHER)
    doubling = replace(VICTIM, sender=7, amount_in=10_000 * ETHER)
    shares = []
    for before in ((), (doubling,)):
        fills = play((POOL,), [*before, FRONT])
        back = replace(BACK, amount_in=fills[-1].amount_out * 992 // 1000)
        shares.append(len(found(*before, FRONT, victim, back)))
    assert shares == [1, 0]


def test_sandwiches_uses_each_swap_as_one_leg() -> None:
    second = replace(BACK, minimum_out=0)
    assert found(FRONT, VICTIM, BACK, second) == FOUND
    assert found(FRONT, FRONT, VICTIM, BACK, by_sender=False) == (Sandwich(front=0, victims=(2,), back=3),)


def test_sandwiches_finds_what_the_plaintext_attacker_does_and_nothing_in_blocks_without_it() -> None:
    planned = caught = clean = 0
    for seed in range(300):
        market = Market.draw(seed, 12)
        placements = greedy_sandwich(market.pools, market.orders)
        block = arrange(market.orders, placements)
        fills = play(market.pools, block)
        planned += len(placements) // 2
        for sandwich in sandwiches(market.pools, fills, by_sender=True):
            assert fills[sandwich.front].order.sender == fills[sandwich.back].order.sender == ATTACKER
            caught += 1
        clean += len(sandwiches(market.pools, play(market.pools, market.orders), by_sender=True))
    assert clean == 0
    assert caught == planned > 100
