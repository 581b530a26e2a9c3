"""What callers get: token buckets, budgets, and who counts as one caller."""

from __future__ import annotations

import pytest

from encmempool.network.limits import Budget, Limits, RateLimiter, network_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limiter(clock: Clock, **limits: int) -> RateLimiter:
    return RateLimiter(Limits(**{"requests_per_s": 10, "burst": 5, **limits}), clock=clock)


def test_bucket_gives_the_burst_and_then_the_seconds_to_wait(clock):
    rates = limiter(clock)
    assert [rates.wait_s("a", 1) for _ in range(5)] == [0.0] * 5
    assert rates.wait_s("a", 1) == pytest.approx(0.1)
    assert rates.wait_s("a", 3) == pytest.approx(0.3)


def test_bucket_fills_at_the_rate_and_no_further_than_the_burst(clock):
    rates = limiter(clock)
    for _ in range(5):
        rates.wait_s("a", 1)
    clock.now += 0.2
    assert [rates.wait_s("a", 1) == 0 for _ in range(3)] == [True, True, False]
    clock.now += 3600
    assert [rates.wait_s("a", 1) == 0 for _ in range(6)] == [True] * 5 + [False]


def test_refused_request_costs_nothing(clock):
    rates = limiter(clock)
    for _ in range(100):
        rates.wait_s("a", 1)
    clock.now += 0.1
    assert rates.wait_s("a", 1) == 0.0


def test_weight_beyond_the_burst_needs_a_full_bucket(clock):
    rates = limiter(clock)
    assert rates.wait_s("a", 1000) == 0.0
    assert rates.wait_s("a", 1000) == pytest.approx(0.5)


def test_charge_may_leave_a_debt_of_one_burst(clock):
    rates = limiter(clock)
    rates.charge("a", 7)
    assert rates.wait_s("a", 1) == pytest.approx(0.3)
    rates.charge("a", 1000)
    assert rates.wait_s("a", 1) == pytest.approx(0.6)


@pytest.mark.parametrize("limits", [{"requests_per_s": 0}, {"burst": 0}])
def test_rate_of_nothing_is_refused(limits):
    with pytest.raises(ValueError, match="above zero"):
        Limits(**limits)


def test_addresses_do_not_share_a_bucket(clock):
    rates = limiter(clock)
    for _ in range(6):
        rates.wait_s("a", 1)
    assert rates.wait_s("b", 1) == 0.0


def test_buckets_stay_bounded_and_the_longest_silent_is_forgotten(clock):
    rates = limiter(clock, addresses=3)
    for address in "abc":
        rates.wait_s(address, 5)
    assert rates.wait_s("a", 1) > 0  # now b is the longest silent
    rates.wait_s("d", 1)
    assert len(rates) == 3
    assert rates.wait_s("a", 1) > 0
    assert rates.wait_s("b", 1) == 0.0


def test_budget_is_bounded_in_total_and_for_each():
    budget = Budget(10, 6)
    assert budget.take("a", 6)
    assert not budget.take("a", 1)
    assert budget.take("b", 4)
    assert not budget.take("c", 1)
    budget.give_back("a", 2)
    assert budget.take("c", 2)
    assert budget.taken == 10


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a:name", "a:name"),
    ],
)
def test_caller_is_an_ipv4_address_or_the_network_of_an_ipv6_host(address, network):
    assert network_of(address) == network
