"""Inputs for the vectors of watch.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spec.measurement import Order

from specs.generate.case import Case, labelled
from specs.generate.measurement import ETHER, POOL, drawn_orders, order_json

ATTACKER, OTHER = 7, 8


def case(operation: str, title: str, rules: tuple[str, ...], *, refused: bool = False, **given: object) -> Case:
    return Case(operation=operation, title=title, requirements=rules, input=given, refused=refused)


def ordering_cases() -> Iterator[Case]:
    victim = Order(0, True, 100 * ETHER, 0)
    front, back = Order(ATTACKER, True, 10 * ETHER, 0), Order(ATTACKER, False, 19_920 * ETHER, 0)
    limited = Order(0, True, 100 * ETHER, 197_300 * ETHER)
    users = drawn_orders("watch", 4)
    both = [Order(OTHER, False, 5_000 * ETHER, 0), Order(OTHER, True, 3 * ETHER, 0)]
    others = [Order(sender, sender % 2 == 0, (5 if sender % 2 == 0 else 9_000) * ETHER, 0) for sender in (1, 2, 3)]
    twice = [Order(OTHER, True, 2 * ETHER, 0), Order(OTHER, True, 2 * ETHER, 0)]
    blocks: tuple[tuple[str, bool, tuple[str, ...], Sequence[Order]], ...] = (
        ("drawn: a victim between two legs, the best of three orders", True, ("WCH-3", "WCH-4"), [front, victim, back]),
        ("drawn: both legs before the victim", True, ("WCH-3", "WCH-4"), [front, back, victim]),
        ("drawn: a victim that reverts where it comes second", True, ("WCH-4",), [front, limited, back]),
        ("drawn: four users between the legs", True, ("WCH-2", "WCH-3", "WCH-4"), [front, *users, back]),
        ("drawn: two traders", True, ("WCH-2", "WCH-4"), [front, both[0], victim, both[1], back]),
        ("drawn: nobody trades in both directions, all tie", True, ("WCH-3", "WCH-4"), users[:3]),
        ("drawn: one sender alone has one order", True, ("WCH-2", "WCH-3"), [front, back]),
        ("an empty block", False, ("WCH-3",), []),
        (
            "legs around one of four users",
            False,
            ("WCH-2", "WCH-3", "WCH-4"),
            [others[0], front, victim, back, *others[1:]],
        ),
        (
            "legs around another of them",
            False,
            ("WCH-2", "WCH-3", "WCH-4"),
            [victim, front, others[0], back, *others[1:]],
        ),
        ("a bracket around all: the users alone change places", False, ("WCH-2", "WCH-3"), [front, *others, back]),
        (
            "two traders change places, and two users",
            False,
            ("WCH-2", "WCH-4"),
            [front, both[0], victim, both[1], back, others[0]],
        ),
        ("a trader and another who sends twice", False, ("WCH-2", "WCH-4"), [front, *twice, back, victim]),
    )
    for title, drawn, rules, block in blocks:
        orders = [order_json(order) for order in block]
        yield case("ordering_test", title, rules, ether=str(POOL[0]), token=str(POOL[1]), drawn=drawn, orders=orders)


def rank_cases() -> Iterator[Case]:
    for title, observed, others in (
        ("greatest of twenty", 99, list(range(19))),
        ("least of twenty", -1, list(range(19))),
        ("in the middle", 9, list(range(19))),
        ("all are equal: no evidence", 3, [3] * 19),
        ("greatest with two equals", 5, [5, 5, *range(-12, 5)]),
        ("one other, which is less", 1, [0]),
        ("negative figures", -5, [-9, -7, -5, -3]),
    ):
        texts = [str(other) for other in others]
        yield case("rank_evidence", title, ("WCH-3", "WCH-8"), observed=str(observed), others=texts)


def drawn_counts(label: str, blocks: int, others: int, *, rarity: int) -> list[list[int]]:
    """Mostly none; one pattern in so many orders."""
    random = labelled(f"watch/{label}")
    return [[int(int.from_bytes(random(2), "big") % rarity == 0) for _ in range(others + 1)] for _ in range(blocks)]


def sandwich_cases() -> Iterator[Case]:
    rules = ("WCH-5", "WCH-6", "WCH-7")

    def blocks(counts: Sequence[Sequence[int]]) -> list[dict[str, object]]:
        return [{"observed": str(first), "others": [str(other) for other in rest]} for first, *rest in counts]

    quiet = [[0] * 20] * 3
    drawn = drawn_counts("sandwiches", 12, 39, rarity=15)
    attacked = [[1, *rest] if at % 3 == 2 else [first, *rest] for at, (first, *rest) in enumerate(drawn)]
    for title, share, counts in (
        ("nothing anywhere: no evidence", "0.01", quiet),
        ("one sandwich where no reordering has one", "0.01", [*quiet, [1] + [0] * 19]),
        ("one sandwich that a third of the orders show", "0.01", [[1, *[1, 0, 0] * 9]]),
        ("twelve drawn blocks", "0.01", drawn),
        ("every third of them attacked", "0.25", attacked),
        ("two sandwiches in one block", "0.5", [[2, 0, 1, 0, 0, 0, 1, 2, 0, 0]]),
    ):
        yield case("sandwich_evidence", title, rules, share=share, blocks=blocks(counts))
    yield case("sandwich_evidence", "no reordering", ("WCH-6",), refused=True, share="0.01", blocks=blocks([[1]]))


def interval_cases() -> Iterator[Case]:
    for count in (0, 1, 2, 10, 137):
        yield case("poisson_interval", f"{count} patterns", ("WCH-6",), count=str(count))


def alarm_cases() -> Iterator[Case]:
    rules = ("WCH-9", "WCH-10")
    steady, none = ["1.2"] * 8, [None] * 8
    for title, error, statistics in (
        ("one statistic, strong evidence from the start", "0.01", [steady]),
        ("the same beside one that saw nothing", "0.01", [steady, none]),
        ("an attack from the fifth height on", "0.05", [["-0.1"] * 4 + ["2.5"] * 4, ["0"] * 8]),
        ("an alarm stands, whatever comes", "0.1", [["4", "4", "-9", "-9"]]),
        ("heights that were not compared add nothing", "0.05", [["1.5", None, None, "1.5", None, "2"]]),
        ("evidence against every order", "0.001", [["-0.5"] * 6]),
    ):
        yield case("alarm", title, rules, error=error, statistics=statistics)


def cases() -> Iterator[Case]:
    yield from ordering_cases()
    yield from rank_cases()
    yield from sandwich_cases()
    yield from interval_cases()
    yield from alarm_cases()
