"""What theory predicts of attacks, arbitrage, delay and detection: closed forms besides the sandwich itself.

Notation: x, y a pool's reserves; v a user's input and r = v / x; s its tolerance; g the share of an input left
after the fee (`kept`); m_r = (1+r)(1+g r), the factor by which a trade of size r moves the price.
Numbers in brackets are those of the project's research notes (measurement, section 2), the source of every formula
unless another is named; the tests check each against brute force, integers or simulation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import acosh, erfc, exp, factorial, isqrt, log, sqrt

from encmempool.execution.pools import amount_out
from encmempool.measure.market import Reserves
from encmempool.measure.sandwich import KEPT

YEAR_S = 31_557_600
"""Seconds of a Julian year."""
_PRECISION = 2**128


def fee_free_profit(reserve_in: float, sold: float, tolerance: float) -> float:
    """(6) What the largest sandwich of an exact-input victim earns in a pool without fee: v s (x+v) / (x + s v).

    tolerance    s: the victim's minimum is (1-s) times its quote
    """
    x, v, s = reserve_in, sold, tolerance
    return v * s * (x + v) / (x + s * v)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPoolTrade:
    """Buy tokens in one pool and sell all of them in another. Amounts in wei and token units."""

    amount_in: int
    tokens: int
    amount_out: int

    @property
    def profit(self) -> int:
        """Wei, before gas."""
        return self.amount_out - self.amount_in


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideTrade:
    """Trade against a pool what an outside market buys or sells at its price, in any amount.

    buys         True: ether in, tokens out; False: tokens in, ether out
    amount_in    wei or token units
    profit       wei at the outside price, rounded down, before gas
    """

    buys: bool
    amount_in: int
    amount_out: int
    profit: int


def two_pool_optimum(
    bought: tuple[float, float], sold: tuple[float, float], *, kept: float = KEPT
) -> tuple[float, float]:
    """(7) (input, profit) of the best trade that buys Y in one pool and sells it in another, in X, real numbers.

    bought, sold    reserves (X, Y) of the pool bought from and of the pool sold to

    With E_in = x1 y2 / (y2 + g y1) and E_out = g y1 x2 / (y2 + g y1), the pair acts as one pool: the input is
    (sqrt(g E_in E_out) - E_in) / g and the profit (sqrt(E_out) - sqrt(E_in / g))^2. (0, 0) unless g^2 y1 x2 > x1 y2.
    """
    (x1, y1), (x2, y2), g = bought, sold, kept
    if g * g * y1 * x2 <= x1 * y2:
        return 0.0, 0.0
    entering, leaving = x1 * y2 / (y2 + g * y1), g * y1 * x2 / (y2 + g * y1)
    return (sqrt(g * entering * leaving) - entering) / g, (sqrt(leaving) - sqrt(entering / g)) ** 2


def two_pool_trade(bought: Reserves, sold: Reserves) -> TwoPoolTrade | None:
    """(7) in integers: the best purchase from one pool and sale to another, or None if none profits. About 7 µs.

    The optimum is a number of tokens, (997 y1 S2 - 1000 y2 S1) / (997 (S1 + S2)) with S = sqrt(x y); the integers on
    both sides of it are tried at the least input that buys them. Cost is convex and revenue concave in that number,
    so only the pools' two roundings are left: no other trade earns 2 wei more.
    """
    root1 = isqrt(bought.ether * bought.token * _PRECISION**2)
    root2 = isqrt(sold.ether * sold.token * _PRECISION**2)
    optimum = (997 * bought.token * root2 - 1000 * sold.token * root1) // (997 * (root1 + root2))
    trades = []
    for wanted in _both_sides(optimum, bought.token):
        paid = _least_input(bought.ether, bought.token, wanted)
        tokens = amount_out(bought.ether, bought.token, paid)
        earned = amount_out(sold.token, sold.ether, tokens)
        trades.append(TwoPoolTrade(amount_in=paid, tokens=tokens, amount_out=earned))
    best = max(trades, key=lambda trade: trade.profit, default=None)
    return best if best is not None and best.profit > 0 else None


def outside_arbitrage(reserves: Reserves, outside: tuple[int, int]) -> OutsideTrade | None:
    """(7) The best trade that brings a pool towards an outside price, or None if none profits. About 6 µs.

    outside    the token's price elsewhere as (wei, token units) of equal worth, both positive

    With P the outside price, buying takes out y - sqrt(x y / (g P)) tokens, selling puts in (sqrt(g x y / P) - y) / g.
    The integers on both sides of that are tried, at the least wei in or the most wei out. The gain is concave in the
    number of tokens, so only the rounding of wei is left: no other trade earns 2 wei more.
    """
    wei, units = outside
    if wei <= 0 or units <= 0:
        raise ValueError("an outside price is two positive amounts of equal worth")
    x, y = reserves.ether, reserves.token
    trades = []
    for wanted in _both_sides(y - 1 - isqrt(1000 * x * y * units // (997 * wei)), y):
        paid = _least_input(x, y, wanted)
        taken = amount_out(x, y, paid)
        profit = (taken * wei - paid * units) // units
        trades.append(OutsideTrade(buys=True, amount_in=paid, amount_out=taken, profit=profit))
    for paid in _both_sides((isqrt(997_000 * x * y * units // wei) - 1000 * y) // 997, 2**112):
        taken = amount_out(y, x, paid)
        profit = (taken * units - paid * wei) // units
        trades.append(OutsideTrade(buys=False, amount_in=paid, amount_out=taken, profit=profit))
    best = max(trades, key=lambda trade: trade.profit, default=None)
    return best if best is not None and best.profit > 0 else None


def _both_sides(amount: int, end: int) -> Iterable[int]:
    """An amount and the next one, as far as they are positive and below what the pool holds or can hold."""
    return (each for each in (amount, amount + 1) if 0 < each < end)


def _least_input(reserve_in: int, reserve_out: int, wanted: int) -> int:
    """The smallest input that the pool pays `wanted` or more for; the router's own quote may be one unit more."""
    return -(-1000 * reserve_in * wanted // (997 * (reserve_out - wanted)))


def price_move(size: float, *, kept: float = KEPT) -> float:
    """m_r = (1+r)(1+g r): how many times dearer a trade of relative size r makes what it buys."""
    return (1 + size) * (1 + kept * size)


def blind_margin(size: float, *, kept: float = KEPT) -> float:
    """(9) Expected gain per unit staked of a small bracket around one user whose direction is a coin toss.

    g^2 (m_r + 1/m_r) / 2 - 1. Positive without fees, by Jensen's inequality: ignorance alone is no protection.
    """
    move = price_move(size, kept=kept)
    return kept * kept * (move + 1 / move) / 2 - 1


def blind_threshold(*, kept: float = KEPT) -> float:
    """(9) r_blind: the user's size relative to the pool from which even a blind bracket pays before gas.

    m_r = exp(arccosh(g^-2)): 5.6486% at the 0.3% fee, against 0.3014% with plaintext.
    """
    g = kept
    move = exp(acosh(g**-2))
    return (sqrt((1 + g) ** 2 + 4 * g * (move - 1)) - (1 + g)) / (2 * g)


def required_accuracy(size: float, *, kept: float = KEPT) -> float:
    """(10) q*: how often a guess of the user's direction must be right for a small bracket to pay before gas.

    (g^-2 - 1/m_r) / (m_r - 1/m_r): 87.6% at r = 0.4%, 64.7% at 1%, 53.6% at 3%. Above 1 below the threshold (4), at
    most 1/2 from r_blind on.
    """
    move = price_move(size, kept=kept)
    return (kept**-2 - 1 / move) / (move - 1 / move)


def spam_success(copies: int) -> float:
    """(11) Chance that one of n conditional front-runs precedes the victim and one of n back-runs follows it.

    1 - 2/(n+1) + n!^2 / (2n+1)!, all 2n+1 in uniform order: 1/6, .367, .667, .818, .961 for n = 1, 2, 5, 10, 50.
    Conditional: contracts that see the chain and stop unless their turn has come, so only the first of each trades.
    """
    n = copies
    return 1 - 2 / (n + 1) + factorial(n) ** 2 / factorial(2 * n + 1)


def stale_quote_failure(tolerance: float, delay_s: float, volatility: float) -> float:
    """(12) Chance that the price alone leaves the tolerance during a delay: Phi(-s / (sigma sqrt d)).

    volatility    of the price per square root of a year, 0.8 for 80%

    At 0.8 and 180 s a deviation is 19.1 bps: 0.44% fail at s = 50 bps, 30% at 10 bps.
    """
    deviation = volatility * sqrt(delay_s / YEAR_S)
    if deviation == 0:
        return 0.0 if tolerance > 0 else 0.5
    return erfc(tolerance / deviation / sqrt(2)) / 2


def lvr_rate(volatility: float) -> float:
    """Loss versus rebalancing of a constant-product pool: sigma^2 / 8 of its value per year.

    Source: Milionis, Moallemi, Roughgarden, Zhang, "Automated market making and loss-versus-rebalancing" (2022).
    It is what arbitrage takes from a pool without fee whose price is always brought back: an upper estimate with one.
    """
    return volatility**2 / 8


def expected_detection_blocks(usual: float, attacked: float, *, error: float) -> float:
    """(13) Blocks until a sequential test notices that Poisson counts per block have a higher rate than usual.

    usual       l0: patterns per block without attack
    attacked    l1 > l0
    error       chance of an alarm without attack

    Wald's ln(1/error) / KL with KL = l1 ln(l1/l0) - (l1 - l0). The evidence overshoots its limit by part of a pattern's
    weight ln(l1/l0), so the true mean is larger: by 15% where a pattern weighs a third of the limit.
    """
    if not 0 < usual < attacked:
        raise ValueError("the rate under attack must exceed the usual one, which must be positive")
    return log(1 / error) / (attacked * log(attacked / usual) - (attacked - usual))
