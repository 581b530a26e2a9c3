"""Inputs for the vectors of measurement.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from spec.measurement import ATTACKER, Fill, Order, Victim, best_sandwich, play

from specs.generate.case import Case, Json, labelled

ETHER = 10**18
POOL = (10_000 * ETHER, 20_000_000 * ETHER)
GAS_PRICE = 10 * 10**9
SIZES = [["0.05", "0.000007"], ["0.25", "0.00024"], ["0.50", "0.0018"], ["0.75", "0.0075"], ["0.95", "0.04"]]


def order_json(order: Order) -> Json:
    return {
        "sender": str(order.sender),
        "buys": order.buys,
        "amount_in": str(order.amount_in),
        "minimum_out": str(order.minimum_out),
    }


def fill_json(fill: Fill) -> Json:
    return {
        "order": order_json(fill.order),
        "executed": fill.executed,
        "amount_out": str(fill.amount_out),
        "fee": str(fill.fee),
    }


def drawn_orders(label: str, count: int) -> list[Order]:
    """Users' orders of up to 1% of the pool, some with a limit that later orders break."""
    random = labelled(f"measurement/{label}")
    orders = []
    for sender in range(count):
        buys = random(1)[0] % 2 == 0
        x, y = POOL if buys else POOL[::-1]
        amount_in = x * (1 + int.from_bytes(random(2), "big")) // 6_553_600
        quote = amount_in * 997 * y // (x * 1000 + amount_in * 997)
        orders.append(Order(sender, buys, amount_in, quote * (10_000 - random(1)[0]) // 10_000))
    return orders


def measure_cases() -> Iterator[Case]:
    def case(
        title: str, rules: tuple[str, ...], block: Sequence[Fill], alone: Sequence[Fill], *, refused: bool = False
    ) -> Case:
        given = {
            "ether": str(POOL[0]),
            "token": str(POOL[1]),
            "fills": [fill_json(fill) for fill in block],
            "counterfactual": [fill_json(fill) for fill in alone],
        }
        return Case(operation="measure", title=title, requirements=rules, input=given, refused=refused)

    victim = Order(0, True, 100 * ETHER, 0)
    limited = replace(victim, minimum_out=197_300 * ETHER)
    front, back = Order(ATTACKER, True, 10 * ETHER, 0), Order(ATTACKER, False, 19_920 * ETHER, 0)
    failing = Order(ATTACKER, False, 100 * ETHER, 2**100)
    users = drawn_orders("users", 12)
    sums = ("MSR-1", "MSR-2", "MSR-3", "MSR-4", "MSR-6")

    def run(orders: Sequence[Order]) -> list[Fill]:
        return play(*POOL, orders, GAS_PRICE)

    yield case("a user is sandwiched", sums, run([front, victim, back]), run([victim]))
    yield case("a user fails because of the attacker", ("MSR-4", "MSR-3"), run([front, limited, back]), run([limited]))
    yield case("a user gains: the loss is negative", ("MSR-3",), run([back, victim]), run([victim]))
    yield case("the attacker's transaction fails and costs gas", ("MSR-2",), run([victim, failing]), run([victim]))
    hopeless = replace(victim, minimum_out=2**100)
    yield case("a user who fails without the attacker too", ("MSR-1", "MSR-4"), run([front, hopeless]), run([hopeless]))
    yield case("twelve users between an attacker's two trades", sums, run([front, *users, back]), run(users))
    yield case("twelve users and nobody else", sums, run(users), run(users))
    yield case("an empty block", ("MSR-6",), [], [])
    yield case("the attacker alone", ("MSR-2", "MSR-6"), run([front, back]), [])
    two = users[:2]
    yield case("the counterfactual lacks a user", ("MSR-5",), run([front, *two]), run(two[:1]), refused=True)
    yield case("the counterfactual has another order", ("MSR-5",), run(two), run([two[0], users[2]]), refused=True)
    yield case("the counterfactual has another sequence", ("MSR-5",), run(two), run(two[::-1]), refused=True)
    yield case("the counterfactual has a user more", ("MSR-5",), run(two), run(users[:3]), refused=True)


def play_cases() -> Iterator[Case]:
    def case(title: str, orders: Sequence[Order], pool: tuple[int, int] = POOL) -> Case:
        given = {
            "ether": str(pool[0]),
            "token": str(pool[1]),
            "orders": [order_json(order) for order in orders],
            "gas_price": str(GAS_PRICE),
        }
        return Case(operation="play", title=title, requirements=("MSR-11",), input=given, refused=False)

    yield case("sixteen drawn orders", drawn_orders("play", 16))
    exact = 100 * 997 * 1000 // (1000 * 1000 + 100 * 997)
    yield case("exactly the minimum output", [Order(0, True, 100, exact)], (1000, 1000))
    yield case("a unit above the quote", [Order(0, True, 100, exact + 1)], (1000, 1000))
    yield case("nothing in, and nothing out", [Order(0, True, 0, 0), Order(1, False, 1, 0)], (1000, 1000))
    yield case("beyond 112 bits", [Order(0, True, 100, 0), Order(1, False, 2**111, 0)], (2**112 - 100, 2**111))


def victim_json(victim: Victim) -> Json:
    return {"amount": str(victim.amount), "bound": str(victim.bound), "exact_output": victim.exact_output}


def sandwich_cases() -> Iterator[Case]:
    x, y = POOL
    sold = x // 100
    quote = sold * 997 * y // (x * 1000 + sold * 997)
    victims = (
        ("0.5% slack on 1% of the pool", Victim(sold, quote * 995 // 1000, False)),
        ("no slack at all", Victim(sold, quote, False)),
        ("no limit at all", Victim(sold, 0, False)),
        ("a limit that is not met without an attacker", Victim(sold, quote + 1, False)),
        ("below the size that pays", Victim(x * 30 // 10_000, 0, False)),
        ("just above the size that pays", Victim(x * 31 // 10_000, 0, False)),
        ("more than twice the pool", Victim(x * 21 // 10, 0, False)),
        ("an exact output with 1% slack", Victim(quote, sold * 101 // 100, True)),
        ("an exact output that costs more than allowed", Victim(quote, sold - 1, True)),
        ("an exact output of the whole reserve", Victim(y, 2**255, True)),
    )
    for title, victim in victims:
        given = {"reserve_in": str(x), "reserve_out": str(y), "victim": victim_json(victim)}
        for operation, rule in (("largest_front_run", "MSR-8"), ("best_sandwich", "MSR-10")):
            yield Case(operation=operation, title=title, requirements=(rule,), input=given, refused=False)
    small = Victim(20, 5, False)
    given = {"reserve_in": "1000", "reserve_out": "900", "victim": victim_json(small)}
    yield Case(operation="largest_front_run", title="a tiny pool", requirements=("MSR-8",), input=given, refused=False)
    assert best_sandwich(x, y, victims[0][1]) is not None
    for title, amount in (
        ("below the threshold", x * 30 // 10_000),
        ("r = 0.0031", x * 31 // 10_000),
        ("r = 0.01", sold),
        ("r = 0.05", x // 20),
        ("profit rises without end", x * 201 // 100),
    ):
        yield Case(
            operation="unconstrained_front_run",
            title=title,
            requirements=("MSR-9",),
            input={"reserve_in": str(x), "sold": str(amount)},
            refused=False,
        )


def quantile_cases() -> Iterator[Case]:
    for title, probability in (
        ("below the first point", "0.01"),
        ("at a point", "0.25"),
        ("between two points", "0.6"),
        ("above the last point", "0.999"),
    ):
        yield Case(
            operation="quantile",
            title=title,
            requirements=("MSR-12",),
            input={"points": SIZES, "probability": probability},
            refused=False,
        )


def cases() -> Iterator[Case]:
    yield from measure_cases()
    yield from play_cases()
    yield from sandwich_cases()
    yield from quantile_cases()
