"""Closed forms of the sandwich: the worked example to the wei, and brute force on small pools."""

from random import Random

import pytest

from encmempool.execution.pools import amount_out, settle
from encmempool.measure.sandwich import (
    Plan,
    Victim,
    best_sandwich,
    largest_front_run,
    profit,
    profitability_threshold,
    round_trip_loss,
    run,
    trade,
    unconstrained_front_run,
)

ETHER = 10**18
POOL = 5_000 * ETHER, 15_000_000 * ETHER
QUOTE = 148_073_705_159_559_194_827_569
VICTIM = Victim(amount=50 * ETHER, bound=QUOTE * 995 // 1000)


def best(x: int, y: int, victim: Victim) -> Plan:
    plan = best_sandwich(x, y, victim)
    assert plan is not None
    return plan


def test_worked_example_matches_the_genuine_contracts_to_the_wei() -> None:
    assert amount_out(*POOL, VICTIM.amount) == QUOTE
    plan = best(*POOL, VICTIM)
    assert plan.front_in == 12_628_344_735_576_374_920
    assert plan.profit == 175_508_827_231_019_450
    assert plan.victim_out == 147_333_336_633_761_398_853_480


def test_largest_front_run_of_the_worked_example_is_refused_one_wei_higher() -> None:
    front_in = largest_front_run(*POOL, VICTIM)
    assert front_in == 12_628_344_735_576_374_920
    assert run(*POOL, VICTIM, front_in) is not None
    assert run(*POOL, VICTIM, front_in + 1) is None


def test_profitability_threshold_has_the_published_values() -> None:
    assert profitability_threshold() * 100 == pytest.approx(0.30135474, abs=5e-9)
    assert profitability_threshold(kept=0.9975) * 100 == pytest.approx(0.2509, abs=5e-5)
    assert profitability_threshold(kept=0.9995) * 100 == pytest.approx(0.05004, abs=5e-6)


@pytest.mark.parametrize(("sold", "pays"), [(30_135 * ETHER, False), (30_136 * ETHER, True)])
def test_unconstrained_front_run_is_zero_below_the_threshold(sold: int, pays: bool) -> None:
    front_in = unconstrained_front_run(10**7 * ETHER, sold)
    assert front_in is not None
    assert (front_in > 0) is pays


@pytest.mark.parametrize(("ratio", "optimum"), [(0.0031, 0.0287), (0.005, 0.661), (0.01, 2.330), (0.05, 15.99)])
def test_unconstrained_front_run_has_the_published_optima(ratio: float, optimum: float) -> None:
    front_in = unconstrained_front_run(1000 * ETHER, int(ratio * 1000 * ETHER))
    assert front_in is not None
    assert front_in / (1000 * ETHER) == pytest.approx(optimum, rel=2e-3)


def test_unconstrained_front_run_has_no_end_for_a_victim_twice_the_pool() -> None:
    assert unconstrained_front_run(1000, 2009) is not None
    assert unconstrained_front_run(1000, 2010) is None


def test_profit_without_fee_is_the_anchor() -> None:
    x, v, s = 1000.0, 30.0, 0.01
    minimum = (1 - s) * v / (x + v)
    low, high = 0.0, x
    for _ in range(200):
        a = (low + high) / 2
        low, high = (a, high) if v * x / ((x + a) * (x + a + v)) >= minimum else (low, a)
    assert profit(x, v, low, kept=1.0) == pytest.approx(v * s * (x + v) / (x + s * v), rel=1e-12)


def test_round_trip_loss_equals_the_integer_pool() -> None:
    x, y, spent = 10_000 * ETHER, 30_000_000 * ETHER, 10 * ETHER
    bought = amount_out(x, y, spent)
    x, y = settle(x, y, spent, bought)
    loss = spent - amount_out(y, x, bought)
    assert loss == pytest.approx(59_850_508_056_330_000, abs=10_000)
    assert loss == pytest.approx(round_trip_loss(10_000 * ETHER, spent), rel=1e-12)


def test_largest_front_run_matches_brute_force_on_small_pools() -> None:
    seed = 17
    random = Random(seed)
    for _ in range(400):
        x, y = random.randint(20, 400), random.randint(20, 400)
        exact_output = random.random() < 0.5
        if exact_output:
            victim = Victim(amount=random.randint(1, y // 2), bound=random.randint(1, 2 * x), exact_output=True)
        else:
            sold = random.randint(1, x)
            victim = Victim(amount=sold, bound=random.randint(0, amount_out(x, y, sold) + 1))
        passing = [a for a in range(3000) if trade(x + a, y - (amount_out(x, y, a) if a else 0), victim)]
        found = largest_front_run(x, y, victim)
        assert passing == list(range(len(passing))), f"seed {seed}"
        if len(passing) < 3000:
            assert found == (passing[-1] if passing else None), f"seed {seed}: {x} {y} {victim}"
        else:
            assert found is not None
            assert found >= 2999, f"seed {seed}: {x} {y} {victim}"


def test_best_sandwich_is_not_beaten_by_a_grid() -> None:
    seed = 23
    random = Random(seed)
    found = 0
    for _ in range(400):
        x, y = int(10 ** random.uniform(18, 23)), int(10 ** random.uniform(18, 27))
        if random.random() < 0.5:
            sold = int(x * 10 ** random.uniform(-3, 0.5))
            minimum = int(amount_out(x, y, sold) * (1 - random.uniform(0.001, 0.6)))
            victim = Victim(amount=sold, bound=minimum)
        else:
            wanted = int(y * 10 ** random.uniform(-4, -0.3))
            paid = trade(x, y, Victim(amount=wanted, bound=2**200, exact_output=True))
            assert paid is not None
            victim = Victim(amount=wanted, bound=int(paid[0] * random.uniform(1.001, 3)), exact_output=True)
        limit = largest_front_run(x, y, victim)
        assert limit is not None
        plans = (run(x, y, victim, limit * step // 60) for step in range(1, 61))
        grid = max((plan.profit for plan in plans if plan is not None), default=0)
        plan = best_sandwich(x, y, victim)
        found += plan is not None
        assert (plan.profit if plan else 0) >= grid - 10, f"seed {seed}: {x} {y} {victim}"
    assert 100 < found < 400


def test_best_sandwich_finds_none_for_a_victim_below_the_threshold() -> None:
    sold = 5_000 * ETHER * 30 // 10_000
    victim = Victim(amount=sold, bound=amount_out(*POOL, sold) * 99 // 100)
    assert largest_front_run(*POOL, victim) is not None
    assert best_sandwich(*POOL, victim) is None


def test_best_sandwich_finds_none_for_a_victim_that_fails_alone() -> None:
    assert best_sandwich(*POOL, Victim(amount=50 * ETHER, bound=QUOTE + 1)) is None


def test_largest_front_run_stays_within_the_pair_for_a_victim_without_limit() -> None:
    victim = Victim(amount=ETHER, bound=0)
    limit = largest_front_run(*POOL, victim)
    assert limit is not None
    assert run(*POOL, victim, limit) is not None
    assert run(*POOL, victim, limit + 1) is None


def test_largest_front_run_is_exact_where_one_token_unit_is_worth_much_of_the_other() -> None:
    x, y = 10_000 * ETHER, 30_000
    victim = Victim(amount=100 * ETHER, bound=280)
    limit = largest_front_run(x, y, victim)
    assert limit is not None
    assert run(x, y, victim, limit) is not None
    assert run(x, y, victim, limit + 1) is None
