"""The plaintext arm once more, in real numbers: an independent check of the figure that everything is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from encmempool.execution.ledger import SWAP_GAS
from encmempool.measure.market import GAS_PRICE_WEI, Order, Reserves
from encmempool.measure.sandwich import KEPT, profit


def closed_form_extraction(pools: Sequence[Reserves], orders: Sequence[Order]) -> float:
    """Wei that sandwiching every order in turn earns after gas, by formulas (2), (3) and (5) alone.

    Real numbers throughout: no rounding, no integer search, none of the code that plays blocks.
    """
    sides = [(float(pool.ether), float(pool.token)) for pool in pools]
    price = [ether / token for ether, token in sides]
    gas = 2.0 * SWAP_GAS * GAS_PRICE_WEI
    total = 0.0
    for order in orders:
        ether, token = sides[order.pool]
        x, y = (ether, token) if order.buys else (token, ether)
        v, m = float(order.amount_in), float(order.minimum_out)
        if _output(x, y, v) < m:
            continue
        front = min(_largest(x, y, v, m), _unconstrained(x, v))
        gained = profit(x, v, front) if front > 0 else 0.0
        if gained * (1.0 if order.buys else price[order.pool]) > gas:
            total += gained * (1.0 if order.buys else price[order.pool]) - gas
            bought = _output(x, y, front)
            x, y = x + front, y - bought
            received = _output(x, y, v)
            x, y = x + v, y - received
            returned = _output(y, x, bought)
            x, y = x - returned, y + bought
        else:
            received = _output(x, y, v)
            x, y = x + v, y - received
        sides[order.pool] = (x, y) if order.buys else (y, x)
    return total


def _output(x: float, y: float, paid: float) -> float:
    return KEPT * paid * y / (x + KEPT * paid)


def _largest(x: float, y: float, v: float, m: float) -> float:
    """Formula (2)."""
    if m <= 0:
        return float("inf")
    g = KEPT
    return (sqrt((g * g * v - (1 - g) * x) ** 2 + 4 * g * g * v * x * y / m) - (1 + g) * x - g * g * v) / (2 * g)


def _unconstrained(x: float, v: float) -> float:
    """Formula (5), with a in units of the pool."""
    g, r = KEPT, v / x
    c = g * g * (1 + r) * (1 + g * r) - 1
    if c <= 0:
        return 0.0
    a = (1 - g) * (g * g * r - g - 1)
    if a >= 0:
        return float("inf")
    b = 2 * (g * g * r + g * g - 1)
    return x * (-b - sqrt(b * b - 4 * a * c)) / (2 * a)
