"""How ordering fails, how often, and for how long; and the chances that depend on a committee's size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import comb, exp

from encmempool.risk.assumptions import MINUTES_YEAR, Parameters


class Failure(StrEnum):
    HALT = "halt"
    PAUSE = "pause"
    WITHHELD = "withheld"
    DELAY = "delay"
    STALL = "stall"
    QUORUM = "quorum"
    MALICIOUS = "malicious"


TITLES = {
    Failure.HALT: "the sequencer halts",
    Failure.PAUSE: "the operator stops it on purpose",
    Failure.WITHHELD: "data are not posted",
    Failure.DELAY: "everything is late",
    Failure.STALL: "all members are down for one cause",
    Failure.QUORUM: "fewer than t members are up, each for itself",
    Failure.MALICIOUS: "orders against its users",
}
FROZEN = (Failure.HALT, Failure.PAUSE, Failure.STALL, Failure.QUORUM)
"""Nothing executes meanwhile, liquidations included."""


def binomial_at_least(count: int, chance: float, least: int) -> float:
    """P(Bin(count, chance) >= least)."""
    return float(sum(comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(max(least, 0), count + 1)))


def collusion_probability(members: int, threshold: int, corruption: float, common: float) -> float:
    """That at least t of n members can be bought: with probability `common` all share one fate, else each its own."""
    _check_committee(members, threshold)
    return common * corruption + (1 - common) * binomial_at_least(members, corruption, threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalls:
    """How often fewer than t of n members are up, and for how long.

    common_per_year         all at once, for as long as one outage
    quorum_per_year         n - t + 1 outages that happen to overlap, for quorum_minutes in the mean
    quorum_unavailability   share of time of the latter: P(Bin(n, up) < t)
    """

    common_per_year: float
    quorum_per_year: float
    quorum_minutes: float
    quorum_unavailability: float


def committee_stalls(
    members: int, threshold: int, *, outages_per_year: float, mean_minutes: float, common_cause: float
) -> Stalls:
    """Stalls of a committee whose members fail alike and are repaired independently.

    common_cause    share of a member's outages that stops all members (the beta-factor model)

    Members fail at rate l while up and are repaired after r in the mean, so each is up with probability u = 1/(1 + lr);
    a stall begins whenever one of exactly t members that are up fails: C(n,t) u^t (1-u)^(n-t) t l times a year, and
    its mean length is the unavailability over that rate, whatever the law of repairs.
    ValueError for a threshold above n.
    """
    _check_committee(members, threshold)
    alone = (1 - common_cause) * outages_per_year
    up = 1 / (1 + alone * mean_minutes / MINUTES_YEAR)
    unavailability = binomial_at_least(members, 1 - up, members - threshold + 1)
    exactly = comb(members, threshold) * up**threshold * (1 - up) ** (members - threshold)
    entered = exactly * threshold * alone
    return Stalls(
        common_per_year=common_cause * outages_per_year,
        quorum_per_year=entered,
        quorum_minutes=unavailability / entered * MINUTES_YEAR if entered else 0.0,
        quorum_unavailability=unavailability,
    )


def _check_committee(members: int, threshold: int) -> None:
    if not 1 <= threshold <= members:
        raise ValueError(f"threshold lies between 1 and the {members} members, not {threshold}")


def mean_minutes(parameters: Parameters) -> float:
    """Of a halt."""
    return exp(parameters.log_minutes + parameters.log_minutes_sigma**2 / 2)


def stalls(parameters: Parameters) -> Stalls:
    return committee_stalls(
        parameters.members,
        parameters.threshold,
        outages_per_year=parameters.member_outages_per_year,
        mean_minutes=mean_minutes(parameters),
        common_cause=parameters.common_cause,
    )


def collusion(parameters: Parameters) -> float:
    return collusion_probability(
        parameters.members, parameters.threshold, parameters.corruption, parameters.collusion_common
    )
