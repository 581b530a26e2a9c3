"""The page `measurement`, answered by this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from encmempool.errors import Rejected
from encmempool.measure.figures import measure
from encmempool.measure.market import Fill, Order, Reserves, play, quantile
from encmempool.measure.sandwich import Victim, best_sandwich, largest_front_run, unconstrained_front_run

Json = dict[str, Any]


def _order(given: Json) -> Order:
    return Order(
        sender=int(given["sender"]),
        buys=given["buys"],
        amount_in=int(given["amount_in"]),
        minimum_out=int(given["minimum_out"]),
    )


def _fill(given: Json) -> Fill:
    return Fill(
        order=_order(given["order"]),
        executed=given["executed"],
        amount_out=int(given["amount_out"]),
        fee=int(given["fee"]),
    )


def _reserves(given: Json) -> Reserves:
    return Reserves(ether=int(given["ether"]), token=int(given["token"]))


def _sides(given: Json) -> tuple[int, int, Victim]:
    victim = given["victim"]
    return (
        int(given["reserve_in"]),
        int(given["reserve_out"]),
        Victim(amount=int(victim["amount"]), bound=int(victim["bound"]), exact_output=victim["exact_output"]),
    )


def _optional(value: int | None) -> str | None:
    return None if value is None else str(value)


def _measure(given: Json) -> Json:
    fills, alone = ([_fill(fill) for fill in given[name]] for name in ("fills", "counterfactual"))
    try:
        made = measure((_reserves(given),), fills, alone)
    except ValueError as error:
        raise Rejected("MSR-5", str(error)) from error
    return {
        **{name: str(getattr(made, name)) for name in ("volume", "extracted", "expected", "loss", "failed")},
        **{name: f"{getattr(made, name):.6f}" for name in ("extracted_bps", "victim_loss_bps", "failed_volume")},
    }


def _play(given: Json) -> Json:
    fills = play(
        (_reserves(given),), [_order(order) for order in given["orders"]], gas_price_wei=int(given["gas_price"])
    )
    return {
        "fills": [
            {"executed": fill.executed, "amount_out": str(fill.amount_out), "fee": str(fill.fee)} for fill in fills
        ]
    }


def _largest_front_run(given: Json) -> Json:
    return {"front_in": _optional(largest_front_run(*_sides(given)))}


def _unconstrained_front_run(given: Json) -> Json:
    return {"front_in": _optional(unconstrained_front_run(int(given["reserve_in"]), int(given["sold"])))}


def _best_sandwich(given: Json) -> Json:
    plan = best_sandwich(*_sides(given))
    if plan is None:
        return {"plan": None}
    names = ("front_in", "front_out", "victim_in", "victim_out", "back_out", "profit")
    reserve_in, reserve_out = plan.after
    return {
        "plan": {
            **{name: str(getattr(plan, name)) for name in names},
            "reserve_in": str(reserve_in),
            "reserve_out": str(reserve_out),
        }
    }


def _quantile(given: Json) -> Json:
    points = [(float(probability), float(value)) for probability, value in given["points"]]
    return {"value": f"{quantile(points, float(given['probability'])):.9e}"}


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "measure": _measure,
    "play": _play,
    "largest_front_run": _largest_front_run,
    "unconstrained_front_run": _unconstrained_front_run,
    "best_sandwich": _best_sandwich,
    "quantile": _quantile,
}
