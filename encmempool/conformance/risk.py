"""The page `risk`, answered by this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import numpy as np

from encmempool.errors import Rejected
from encmempool.risk import bond, failures, incidents, losses, simulation

Json = dict[str, Any]


def _text(value: float) -> str:
    return f"{value:.6e}"


def _texts(value: object, *names: str) -> Json:
    return {name: _text(getattr(value, name)) for name in names}


def _floats(given: Json, *names: str) -> dict[str, float]:
    return {name: float(given[name]) for name in names}


@contextmanager
def _refusing(rule: str) -> Iterator[None]:
    """A caller's mistake is the rule's."""
    try:
        yield
    except ValueError as error:
        raise Rejected(rule, str(error)) from error


def _calibrate(given: Json) -> Json:
    found = incidents.read_rows(enumerate(given["rows"], 1), "the case")
    with _refusing("RSK-4"):
        calibration = incidents.calibrate(found, float(given["chain_years"]), "the case")
    return {
        "rates": {
            kind.value: {"events": str(rate.events), **_texts(rate, "per_year", "low", "high")}
            for kind, rate in calibration.rates.items()
        },
        **_texts(calibration.durations, "mu", "sigma"),
    }


def _poisson_interval(given: Json) -> Json:
    found = incidents.poisson_rate(int(given["events"]), float(given["years"]), level=float(given["level"]))
    return _texts(found, "per_year", "low", "high")


def _share_interval(given: Json) -> Json:
    found = incidents.share(int(given["events"]), int(given["of"]), level=float(given["level"]))
    return _texts(found, "share", "low", "high")


def _stalls(given: Json) -> Json:
    with _refusing("RSK-6"):
        found = failures.committee_stalls(
            int(given["members"]),
            int(given["threshold"]),
            **_floats(given, "outages_per_year", "mean_minutes", "common_cause"),
        )
    return _texts(found, "common_per_year", "quorum_per_year", "quorum_minutes", "quorum_unavailability")


def _collusion(given: Json) -> Json:
    with _refusing("RSK-7"):
        found = failures.collusion_probability(
            int(given["members"]), int(given["threshold"]), float(given["corruption"]), float(given["common"])
        )
    return {"probability": _text(found)}


def _put(given: Json) -> Json:
    terms = _floats(given, "collateral", "liquidation_cost", "volatility", "minutes")
    return {"bad_debt": _text(losses.put_value(**terms))}


def _cascade(given: Json) -> Json:
    loans = np.array(sorted(((float(p), float(a)) for p, a in given["loans"]), reverse=True)).reshape(-1, 2)
    depth = inf if given["depth"] is None else float(given["depth"])
    price, sold = losses.cascade(np.array([float(given["price"])]), depth, loans[:, 0], loans[:, 1])
    return {"price": _text(price[0]), "sold": _text(sold[0])}


def _arbitrage_loss(given: Json) -> Json:
    return {"loss": _text(float(losses.arbitrage_loss(np.log(np.array([float(given["price"])])))[0]))}


def _tail(given: Json) -> Json:
    ordered, level = np.sort(np.array(given["losses"], dtype=np.float64)), float(given["level"])
    with _refusing("RSK-14"):
        shortfall = simulation.expected_shortfall(ordered, level)
    return {
        "value_at_risk": _text(simulation.value_at_risk(ordered, level).mean),
        "expected_shortfall": _text(shortfall.mean),
    }


def _waterfall(given: Json) -> Json:
    loss, pinned = (np.array([float(given[name])]) for name in ("loss", "pinned"))
    paid = simulation.waterfall(loss, pinned, bonds_usd=float(given["bonds"]), insurance_usd=float(given["pool"]))
    return {name: _text(float(part[0])) for name, part in zip(("bonds", "insurance", "users"), paid, strict=True)}


def _bond(given: Json) -> Json:
    gain = bond.gain_quantile(float(given["mean_gain"]), float(given["sigma"]), float(given["chance"]))
    found = bond.requirement(
        gain,
        attacks=float(given["attacks"]),
        gain_per_attack_usd=float(given["gain_per_attack"]),
        payers=int(given["payers"]),
        **_floats(given, "slashed_share", "attribution", "margin"),
    )
    bonds = {"one_shot": found.one_shot_usd, "covert": found.covert_usd, "bond": found.usd}
    return {"gain": _text(gain), **{name: None if each is None else _text(each) for name, each in bonds.items()}}


def _detection_attacks(given: Json) -> Json:
    with _refusing("RSK-20"):
        found = bond.detection_attacks(float(given["usual"]), float(given["share"]), error=float(given["error"]))
    return {"attacks": _text(found)}


def _undeterred_loss(given: Json) -> Json:
    terms = _floats(given, "rate", "mean", "sigma", "loss_per_gain", "hold")
    return {"loss": _text(bond.undeterred_loss(float(given["bond"]), **terms))}


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "calibrate": _calibrate,
    "poisson_interval": _poisson_interval,
    "share_interval": _share_interval,
    "stalls": _stalls,
    "collusion": _collusion,
    "put": _put,
    "cascade": _cascade,
    "arbitrage_loss": _arbitrage_loss,
    "tail": _tail,
    "waterfall": _waterfall,
    "bond": _bond,
    "detection_attacks": _detection_attacks,
    "undeterred_loss": _undeterred_loss,
}
