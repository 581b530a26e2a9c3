"""The optimal sandwich of one trade in one constant-product pool, by closed form and exact in integers.

Written for a victim who sells token X for token Y; a pool is (reserve of X, reserve of Y). The attacker sells
`front_in` of X before the victim and sells back the Y it received after it, so its profit is in X.
Notation of the formulas: x, y reserves; v the victim's input; m its minimum output; a the front-run;
g = 997/1000; r = v / x. Source of every formula: the project's research notes (measurement, section 2), derived
there from UniswapV2Library and checked against brute force; the tests here repeat that.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, sqrt

from encmempool.execution.pools import Reverted, amount_in, amount_out, settle

KEPT = 0.997
"""g: the share of an input left after the 0.3% fee."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A trade with a limit.

    exact_output False: sells exactly `amount`, refuses to receive less than `bound`
    exact_output True: buys exactly `amount`, refuses to pay more than `bound`
    """

    amount: int
    bound: int
    exact_output: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A sandwich run in integers: the attacker sells front_in, sells back front_out, keeps `profit` units of X.

    after    reserves (X, Y) when all three trades are done
    """

    front_in: int
    front_out: int
    victim_in: int
    victim_out: int
    back_out: int
    after: tuple[int, int]

    @property
    def profit(self) -> int:
        """back_out - front_in, before gas; may be negative."""
        return self.back_out - self.front_in


def trade(reserve_in: int, reserve_out: int, victim: Victim) -> tuple[int, int] | None:
    """(paid, received) if the victim's trade passes at these reserves, or None if it reverts."""
    try:
        if victim.exact_output:
            paid, received = amount_in(reserve_in, reserve_out, victim.amount), victim.amount
            acceptable = paid <= victim.bound
        else:
            paid, received = victim.amount, amount_out(reserve_in, reserve_out, victim.amount)
            acceptable = received >= victim.bound
        settle(reserve_in, reserve_out, paid, received)
    except Reverted:
        return None
    return (paid, received) if acceptable else None


def largest_front_run(reserve_in: int, reserve_out: int, victim: Victim) -> int | None:
    """a_max, formula (2): the largest front-run after which the victim still passes. None if it fails unattacked.

    a_max = (sqrt((g^2 v - (1-g) x)^2 + 4 g^2 v x y / m) - (1+g) x - g^2 v) / (2 g); for an exact-output victim v is
    its largest payment and m its wanted output. The estimate is one integer square root; rounding inside
    the pool is then absorbed by galloping from it, which is exact since the victim's terms are monotone in a.
    """
    if trade(reserve_in, reserve_out, victim) is None:
        return None

    def passes(front_in: int) -> bool:
        front_out = amount_out(reserve_in, reserve_out, front_in) if front_in else 0
        return trade(reserve_in + front_in, reserve_out - front_out, victim) is not None

    v, m = (victim.bound, victim.amount) if victim.exact_output else (victim.amount, max(victim.bound, 1))
    x = reserve_in
    square = (994_009 * v - 3_000 * x) ** 2 + 4 * 994_009 * 10**6 * v * x * reserve_out // m
    estimate = max(0, (isqrt(square) - 1_997_000 * x - 994_009 * v) // 1_994_000)
    estimate = min(estimate, 2**112)  # no reserve holds more

    low, high, step = estimate, estimate + 1, 1
    while not passes(low):
        high, low, step = low, max(0, low - step), 2 * step
    while passes(high):
        low, high, step = high, high + step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


def unconstrained_front_run(reserve_in: int, sold: int) -> int | None:
    """Formula (5): the front-run of largest profit against an exact-input victim without a limit, rounded down.

    The positive root of (1-g)(g^2 r - g - 1) a^2 + 2 (g^2 r + g^2 - 1) a + g^2 (1+r)(1+g r) - 1 = 0 in units of x.
    0 if r is at most the threshold (4): no front-run pays. None if r >= (1+g)/g^2: profit rises without end.
    """
    x, v = reserve_in, sold
    c = x * (994_009 * (x + v) * (1000 * x + 997 * v) - 10**9 * x * x)
    if c <= 0:
        return 0
    a = 3 * (994_009 * v - 1_997_000 * x)
    if a >= 0:
        return None
    b = 2000 * (994_009 * v - 5_991 * x) * x
    return (b + isqrt(b * b - 4 * a * c)) // (-2 * a)


def run(reserve_in: int, reserve_out: int, victim: Victim, front_in: int) -> Plan | None:
    """Front-run, victim, back-run in integers. None if any of the three reverts."""
    try:
        front_out = amount_out(reserve_in, reserve_out, front_in)
        x, y = settle(reserve_in, reserve_out, front_in, front_out)
        passed = trade(x, y, victim)
        if passed is None:
            return None
        x, y = settle(x, y, *passed)
        back_out = amount_out(y, x, front_out)
        y, x = settle(y, x, front_out, back_out)
    except Reverted:
        return None
    return Plan(
        front_in=front_in,
        front_out=front_out,
        victim_in=passed[0],
        victim_out=passed[1],
        back_out=back_out,
        after=(x, y),
    )


def best_sandwich(reserve_in: int, reserve_out: int, victim: Victim) -> Plan | None:
    """The sandwich of largest profit before gas, or None if none pays.

    Exact-input victim: a* = min(a_max, a_unc), since profit rises up to a_unc. Exact-output victim: a_max, since its
    payment grows with a faster than the fee does: profit first falls, then rises up to the limit.
    """
    unconstrained = None if victim.exact_output else unconstrained_front_run(reserve_in, victim.amount)
    if unconstrained == 0:
        return None
    front_in = largest_front_run(reserve_in, reserve_out, victim)
    if not front_in:
        return None
    if unconstrained is not None:
        front_in = min(front_in, unconstrained)
    plan = run(reserve_in, reserve_out, victim, front_in)
    return plan if plan is not None and plan.profit > 0 else None


def profit(reserve_in: float, sold: float, front_in: float, *, kept: float = KEPT) -> float:
    """Formula (3): the attacker's profit against an exact-input victim, in X, real numbers (y cancels)."""
    x, v, a, g = reserve_in, sold, front_in, kept
    return g * g * a * (x + a + v) * (x + a + g * v) / (x * (x + a) + g * g * a * (x + a + g * v)) - a


def profitability_threshold(*, kept: float = KEPT) -> float:
    """Formula (4): r_min, the victim's size relative to the pool from which a sandwich pays before gas.

    The root of (1+r)(1+g r) = g^-2: 0.30135474% at the 0.3% fee.
    """
    g = kept
    return (-(1 + g) + sqrt((1 + g) ** 2 + 4 * g * (g**-2 - 1))) / (2 * g)


def round_trip_loss(reserve_in: float, front_in: float, *, kept: float = KEPT) -> float:
    """Formula (8): what buying with `front_in` and selling all of it costs when nobody trades between, in X."""
    x, a, g2 = reserve_in, front_in, kept * kept
    return a * x * (1 - g2) / (x + g2 * a)
