"""Inputs for the vectors of risk.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from specs.generate.case import Case, Json

OUTAGES = (
    ("2021-09-14", "a", "halt", "45"),
    ("2022-01-09", "a", "halt", "420"),
    ("2023-04-01", "b", "halt", "240"),
    ("2023-04-26", "c", "delay", "120"),
    ("2023-06-07", "a", "withheld", "115"),
    ("2024-06-02", "d", "pause", "90"),
    ("2025-07-18", "e", "halt", "13"),
    ("2025-09-02T02:23", "e", "halt", "133"),
)


def case(operation: str, title: str, rules: tuple[str, ...], given: Json, *, refused: bool = False) -> Case:
    return Case(operation=operation, title=title, requirements=rules, input=given, refused=refused)


def rows(*listed: tuple[str, str, str, str]) -> list[Json]:
    return [dict(zip(("date", "chain", "kind", "minutes"), row, strict=True)) for row in listed]


def calibrate_cases() -> Iterator[Case]:
    def made(title: str, listed: Sequence[tuple[str, str, str, str]], *rules: str, refused: bool = False) -> Case:
        return case("calibrate", title, rules, {"rows": rows(*listed), "chain_years": "9.5"}, refused=refused)

    yield made("every kind, and a halt too short to count", OUTAGES, "RSK-1", "RSK-3", "RSK-4", "RSK-5")
    touching = (("2025-09-02T04:36", "e", "halt", "45"), *OUTAGES)
    yield made("one incident begins when another ends", touching, "RSK-2")
    abroad = (("2025-09-02T05:36+01:00", "e", "halt", "45"), *OUTAGES)
    yield made("the same with an offset from UTC", abroad, "RSK-2")
    inside = (("2025-09-02T04:35", "e", "halt", "45"), *OUTAGES)
    yield made("one begins a minute before", inside, "RSK-2", refused=True)
    again = (("2021-09-14", "a", "delay", "60"), *OUTAGES)
    yield made("two on one day without a time", again, "RSK-2", refused=True)
    for title, row in (
        ("a date that no calendar has", ("2023-02-30", "f", "halt", "45")),
        ("no date", ("soon", "f", "halt", "45")),
        ("no chain", ("2023-02-01", "", "halt", "45")),
        ("an unknown kind", ("2023-02-01", "f", "nap", "45")),
        ("no minutes", ("2023-02-01", "f", "halt", "")),
        ("no time at all", ("2023-02-01", "f", "halt", "0")),
        ("time that runs back", ("2023-02-01", "f", "halt", "-5")),
        ("more than a year", ("2023-02-01", "f", "halt", "525601")),
    ):
        yield made(title, (row, *OUTAGES), "RSK-2", refused=True)
    yield made("no incident", (), "RSK-2", refused=True)
    yield made("two stops", OUTAGES[:2], "RSK-4", refused=True)
    same = [(f"2023-02-0{day}", "f", "halt", "45") for day in (1, 2, 3)]
    yield made("stops that are all equal", same, "RSK-4", refused=True)


def interval_cases() -> Iterator[Case]:
    for title, events, years, level in (
        ("the reported stops", 13, "23.05", "0.95"),
        ("one event", 1, "23.05", "0.95"),
        ("none", 0, "23.05", "0.95"),
        ("many, at another level", 120, "7", "0.9"),
    ):
        yield case("poisson_interval", title, ("RSK-3",), {"events": str(events), "years": years, "level": level})
    for title, events, of in (
        ("seven of ten", 7, 10),
        ("none of ten", 0, 10),
        ("all of ten", 10, 10),
        ("one of one", 1, 1),
    ):
        yield case("share_interval", title, ("RSK-3",), {"events": str(events), "of": str(of), "level": "0.95"})


def committee_cases() -> Iterator[Case]:
    def stalls(title: str, n: int, t: int, beta: str, minutes: str = "179.26", *, refused: bool = False) -> Case:
        given = {"members": str(n), "threshold": str(t), "outages_per_year": "6", "mean_minutes": minutes}
        return case("stalls", title, ("RSK-6",), given | {"common_cause": beta}, refused=refused)

    yield stalls("five of seven", 7, 5, "0.1")
    yield stalls("one of one: every outage", 1, 1, "0")
    yield stalls("all of four", 4, 4, "0.1")
    yield stalls("one of four", 4, 1, "0", "40000")
    yield stalls("nothing but common causes", 7, 5, "1")
    yield stalls("a threshold above n", 7, 8, "0.1", refused=True)
    yield stalls("a threshold of none", 7, 0, "0.1", refused=True)

    def collusion(title: str, n: int, t: int, p: str, q: str = "0", *, refused: bool = False) -> Case:
        given = {"members": str(n), "threshold": str(t), "corruption": p, "common": q}
        return case("collusion", title, ("RSK-7",), given, refused=refused)

    for p in ("0.1", "0.2", "0.33"):
        yield collusion(f"five of seven at {p}", 7, 5, p)
    yield collusion("fourteen of twenty", 20, 14, "0.2")
    yield collusion("67 of a hundred", 100, 67, "0.1")
    yield collusion("the same with one fate in twenty", 100, 67, "0.1", "0.05")
    yield collusion("a threshold above n", 4, 5, "0.1", refused=True)


def loss_cases() -> Iterator[Case]:
    for title, c, cost, volatility, minutes in (
        ("the notes' loan, six hours", "1.10", "0.05", "0.8", "360"),
        ("three days", "1.5", "0.05", "0.8", "4320"),
        ("under water from the start", "1.0", "0.05", "0.8", "360"),
        ("no time", "1.0", "0.05", "0.8", "0"),
        ("no movement", "1.2", "0.05", "0", "360"),
    ):
        given = {"collateral": c, "liquidation_cost": cost, "volatility": volatility, "minutes": minutes}
        yield case("put", title, ("RSK-8",), given)
    loans = [["0.97", "0.05"], ["0.93", "0.1"], ["0.90", "0.1"], ["0.85", "0.15"], ["0.80", "0.1"]]
    for title, price, depth in (
        ("without end of depth", "0.92", None),
        ("a deep market", "0.92", "100"),
        ("feedback that ends", "0.92", "5"),
        ("feedback that takes all", "0.92", "1"),
        ("exactly at a loan's price", "0.93", None),
        ("nobody to sell", "0.98", "1"),
    ):
        yield case("cascade", title, ("RSK-9",), {"price": price, "depth": depth, "loans": loans})
    yield case("cascade", "no loans", ("RSK-9",), {"price": "0.5", "depth": "1", "loans": []})
    for title, price in (("a fall", "0.81"), ("a rise", "1.21"), ("nothing moved", "1")):
        yield case("arbitrage_loss", title, ("RSK-11",), {"price": price})


def figure_cases() -> Iterator[Case]:
    hundred = [str((37 * k) % 101) for k in range(1, 101)]
    yield case("tail", "a hundred years at 95 %", ("RSK-14",), {"losses": hundred, "level": "0.95"})
    yield case("tail", "a hundred years at 99 %", ("RSK-14",), {"losses": hundred, "level": "0.99"})
    yield case("tail", "a level between two ranks", ("RSK-14",), {"losses": hundred[:30], "level": "0.95"})
    yield case("tail", "most years lose nothing", ("RSK-14",), {"losses": ["0"] * 19 + ["7"], "level": "0.9"})
    yield case("tail", "no year beyond", ("RSK-14",), {"losses": hundred[:10], "level": "0.99"}, refused=True)
    for title, loss, pinned, bonds, pool in (
        ("the bond reaches", "10", "10", "12", "5"),
        ("the bond is exhausted", "30", "25", "12", "5"),
        ("nothing can be pinned", "30", "0", "12", "5"),
        ("insurance reaches", "14", "14", "12", "5"),
        ("no loss", "0", "0", "12", "5"),
    ):
        yield case("waterfall", title, ("RSK-15",), {"loss": loss, "pinned": pinned, "bonds": bonds, "pool": pool})


def bond_cases() -> Iterator[Case]:
    usual: dict[str, Any] = {
        "mean_gain": "115000",
        "sigma": "1.71",
        "chance": "0.01",
        "attacks": "8.44",
        "gain_per_attack": "10.65",
        "payers": "5",
        "slashed_share": "1",
        "attribution": "0.45",
        "margin": "0.1",
    }
    yield case("bond", "five payers", ("RSK-19",), usual)
    yield case(
        "bond", "one payer, half a chance to be named", ("RSK-19",), usual | {"payers": "1", "attribution": "0.5"}
    )
    yield case("bond", "covert abuse yields more", ("RSK-19",), usual | {"attacks": "90000", "gain_per_attack": "500"})
    yield case("bond", "nobody is ever named", ("RSK-19", "RSK-22"), usual | {"attribution": "0"})

    def detection(title: str, usual_rate: str, share: str, *, refused: bool = False) -> Case:
        given = {"usual": usual_rate, "share": share, "error": "0.000001"}
        return case("detection_attacks", title, ("RSK-20",), given, refused=refused)

    yield detection("rare patterns", "0.0001", "0.01")
    yield detection("more", "0.001", "0.01")
    yield detection("as in a real day", "0.003", "0.01")
    yield detection("a thousandth of the blocks", "0.003", "0.001")
    yield detection("no usual rate", "0", "0.01", refused=True)
    yield detection("no attack", "0.001", "0", refused=True)
    terms = {"rate": "0.02", "mean": "115000", "sigma": "1.71", "loss_per_gain": "1.56", "hold": "2.045"}
    for title, each_bond in (("no bond", "0"), ("a small one", "20000"), ("a large one", "1000000")):
        yield case("undeterred_loss", title, ("RSK-21",), {"bond": each_bond, **terms})


def cases() -> Iterator[Case]:
    yield from calibrate_cases()
    yield from interval_cases()
    yield from committee_cases()
    yield from loss_cases()
    yield from figure_cases()
    yield from bond_cases()
