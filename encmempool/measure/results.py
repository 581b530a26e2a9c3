"""From figures of blocks to the document of a run: choices, intervals, tests."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encmempool.bench.machine import machine, versions
from encmempool.measure.arms import Arm, Group
from encmempool.measure.flow import Flow
from encmempool.measure.formulas import YEAR_S, lvr_rate, stale_quote_failure
from encmempool.measure.laboratory import COLUMNS, Config, Tally
from encmempool.measure.ordering_test import summary
from encmempool.measure.statistics import (
    Bootstrap,
    Resampled,
    Statistic,
    advantage,
    bonferroni_level,
    difference,
    equivalence,
    holm,
    ratio,
)
from encmempool.measure.strategies import Nothing, Strategy
from threshold.schemes.registry import load_scheme

SCHEMA = "encmempool.measure/1"
LEVEL = 0.975
"""Of one-sided upper bounds; two-sided intervals have 95 %."""
MARGIN_BPS = 1.0
SHARE_OF_PLAINTEXT = 0.01
RESAMPLES = 2_000
FAMILY_RESAMPLES = 10_000
"""Bounds that hold together over a family lie far out in the tail."""
VOLATILITY = 0.8
"""A year; the price process of the latency table and of the outside price."""
DELAYS_S = (2.0, 12.0, 24.0, 60.0, 180.0)
TOLERANCES_BPS = (10, 50, 100)
_KEPT = ("volume", "extracted", "expected", "loss", "failed", "welfare", "backrun")
_AT = {name: place for place, name in enumerate(COLUMNS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Figures of shape (blocks, rows, columns), and what else the chunks tell."""

    figures: NDArray[np.float64]
    tallies: tuple[Tally, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """An arm with one of its strategies; `at` is its place on the second axis."""

    at: int
    arm: Arm
    strategy: Strategy
    training_bps: float
    training_error_bps: float

    @property
    def active(self) -> bool:
        return not isinstance(self.strategy, Nothing)

    @property
    def convincing(self) -> bool:
        """A gain in training that stands two standard errors above zero: a maximum over noise would not repeat."""
        return self.training_bps > 2 * self.training_error_bps


def document(
    config: Config,
    rows: Sequence[tuple[Arm, Strategy]],
    *,
    training: Part,
    evaluation: Part,
    flow: Flow,
    leak: dict[str, Any] | None,
    elapsed_s: float,
) -> dict[str, Any]:
    """The object that `measure run` writes. Cost: seconds at 16,000 blocks."""
    table = [
        _Row(
            at=at,
            arm=arm,
            strategy=strategy,
            training_bps=_bps(training.figures[:, at]),
            training_error_bps=_error_bps(training.figures[:, at]),
        )
        for at, (arm, strategy) in enumerate(rows)
    ]
    families: dict[str, list[_Row]] = {}
    for row in table:
        families.setdefault(row.arm.id, []).append(row)
    chosen = {id: _choose(family) for id, family in families.items()}
    blind = chosen["T1"] if "T1" in chosen else chosen["C0"]
    figures = _Figures(evaluation.figures, seed=config.seed)

    p_values = holm(
        {
            id: figures.resampled.p_value(difference(figures.extracted(chosen["C1"]), figures.extracted(row)))
            for id, row in chosen.items()
            if id != "C1"
        }
    )
    entries: dict[str, Any] = {}
    for id, family in families.items():
        entries[id] = _entry(figures, family, chosen[id], blind=blind, plain=chosen["C1"]) | {
            "p_value": p_values.get(id)
        }
    tallies = evaluation.tallies
    runs, full_s = sum(t.verified_runs for t in tallies), sum(t.full_s for t in tallies)
    plain_s = sum(t.plain_s for t in tallies)
    reveals = sorted(ms for tally in tallies for ms in tally.reveal_ms)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "seed": config.seed,
        "blocks": config.blocks,
        "training_blocks": config.training_blocks,
        "users": flow.users,
        "pools": flow.pools,
        "flow": {"source": flow.source, "distinct_blocks": flow.distinct_blocks},
        "scheme": config.scheme,
        "backend": config.backend,
        "members": config.members,
        "threshold": config.threshold,
        "engine": config.engine,
        "verify_fraction": config.verify_fraction,
        "arms": entries,
        "equivalence": _equivalence(figures, table, chosen["C1"]),
        "control": _control(figures, chosen["C1"]),
        "ordering": _ordering(tallies),
        "detector": _detector(evaluation, chosen),
        "leak": leak,
        "latency": _latency(reveals),
        "residuals": [
            {"arm": id, "extracted_bps": entry["extracted_bps"]}
            for id, entry in entries.items()
            if entry["extracted_bps"]["low"] > 0 and entry["group"] != Group.CONTROL.value
        ],
        "verification": {
            "blocks": sum(t.verified_blocks for t in tallies),
            "runs": runs,
            "agreed": runs,
            "full_path_blocks_per_second": runs / full_s if full_s else None,
            "engine_blocks": sum(t.engine_blocks for t in tallies),
            "engine_swaps": sum(t.engine_swaps for t in tallies),
            "simulated_blocks_per_second": config.blocks / plain_s if plain_s else None,
        },
        "warnings": _warnings(config, flow),
        "command": _command(config),
        "machine": machine(),
        "versions": versions(),
        "elapsed_s": round(elapsed_s, 1),
    }
    return result


class _Figures:
    """The evaluation's sums, resampled once for every statistic."""

    def __init__(self, figures: NDArray[np.float64], *, seed: int) -> None:
        self._seed = seed
        self._figures = figures
        self.blocks = len(figures)
        self._kept = figures[:, :, [_AT[name] for name in _KEPT]]
        bootstrap = Bootstrap(self.blocks, seed=seed, resamples=RESAMPLES)
        self.resampled: Resampled = bootstrap.resample(self._kept.reshape(self.blocks, -1))

    def _ratio(self, row: _Row, numerator: str, denominator: str, scale: float) -> Statistic:
        start = row.at * len(_KEPT)
        return ratio(start + _KEPT.index(numerator), start + _KEPT.index(denominator), scale=scale)

    def extracted(self, row: _Row) -> Statistic:
        return self._ratio(row, "extracted", "volume", 10_000)

    def interval(
        self, row: _Row, numerator: str, denominator: str = "volume", scale: float = 10_000
    ) -> dict[str, float]:
        return asdict(self.resampled.interval(self._ratio(row, numerator, denominator, scale)))

    def advantage(self, row: _Row, *, blind: _Row, plain: _Row) -> dict[str, float]:
        """0 learns nothing useful, 1 reads everything."""
        statistic = advantage(self.extracted(row), self.extracted(blind), self.extracted(plain))
        return asdict(self.resampled.interval(statistic))

    def upper_bps(self, row: _Row, family: int) -> float:
        return self.resampled.upper_bound(self.extracted(row), bonferroni_level(LEVEL, family))

    def family_upper_bps(self, rows: Sequence[_Row]) -> dict[str, float]:
        """Upper bounds that hold for all rows together."""
        places = [(row.at, _KEPT.index(name)) for row in rows for name in ("extracted", "volume")]
        data = np.stack([self._kept[:, at, column] for at, column in places], axis=1)
        resampled = Bootstrap(self.blocks, seed=self._seed, resamples=FAMILY_RESAMPLES).resample(data)
        level = bonferroni_level(LEVEL, len(rows))
        return {
            f"{row.arm.id} {row.strategy.name}": resampled.upper_bound(
                ratio(2 * place, 2 * place + 1, scale=10_000), level
            )
            for place, row in enumerate(rows)
        }

    def totals(self, row: _Row) -> dict[str, float]:
        """Sums of every column over all blocks."""
        totals = self._figures[:, row.at].sum(axis=0)
        return {name: float(totals[place]) for name, place in _AT.items()}


def _entry(figures: _Figures, family: Sequence[_Row], row: _Row, *, blind: _Row, plain: _Row) -> dict[str, Any]:
    arm, active = row.arm, [each for each in family if each.active]
    sums, blocks = figures.totals(row), figures.blocks
    return {
        "title": arm.title,
        "group": arm.group.value,
        "sees": arm.sees,
        "may": arm.may,
        "order": arm.order,
        "parameter": asdict(arm.parameter) if arm.parameter else None,
        "strategy": row.strategy.name,
        "extracted_bps": figures.interval(row, "extracted"),
        "victim_loss_bps": figures.interval(row, "loss", "expected"),
        "failed_volume": figures.interval(row, "failed", scale=1),
        "welfare_bps": figures.interval(row, "welfare"),
        "backrun_bps": figures.interval(row, "backrun"),
        "success_rate": sums["successes"] / sums["attempts"] if sums["attempts"] else 0.0,
        "advantage": figures.advantage(row, blind=blind, plain=plain),
        "upper_bps": figures.upper_bps(row, max(len(active), 1)),
        "attempts_per_block": sums["attempts"] / blocks,
        "attacker_transactions_per_block": sums["transactions"] / blocks,
        "reverted_gas_share": sums["reverted_gas"] / sums["gas"] if sums["gas"] else 0.0,
        "strategies": [_tried(figures, each, len(active)) for each in active],
    }


def _tried(figures: _Figures, row: _Row, family: int) -> dict[str, Any]:
    sums = figures.totals(row)
    return {
        "name": row.strategy.name,
        "training_bps": row.training_bps,
        "extracted_bps": figures.interval(row, "extracted"),
        "upper_bps": figures.upper_bps(row, family),
        "victim_loss_bps": figures.interval(row, "loss", "expected"),
        "failed_volume": figures.interval(row, "failed", scale=1),
        "success_rate": sums["successes"] / sums["attempts"] if sums["attempts"] else 0.0,
    }


def _choose(family: Sequence[_Row]) -> _Row:
    """The most profitable in training whose gain convinces; to abstain if none does and that is an option."""
    ranked = sorted(family, key=lambda row: -row.training_bps)
    idle = [row for row in ranked if not row.active]
    return next((row for row in ranked if row.active and row.convincing), idle[0] if idle else ranked[0])


def _equivalence(figures: _Figures, table: Sequence[_Row], plain: _Row) -> dict[str, Any] | None:
    """Over every strategy of every encrypted arm without a leak; None if none of them ran."""
    rows = [row for row in table if row.arm.claims and row.active]
    if not rows:
        return None
    uppers = figures.family_upper_bps(rows) | {"abstain": 0.0}
    plain_bps = figures.interval(plain, "extracted")["mean"]
    found = equivalence(uppers, plain_bps, margin_bps=MARGIN_BPS, share=SHARE_OF_PLAINTEXT)
    return {
        "upper_bps": found.upper_bps,
        "strategy": found.strategy,
        "delta_bps": min(MARGIN_BPS, SHARE_OF_PLAINTEXT * plain_bps),
        "share_of_plaintext": found.upper_bps / plain_bps if plain_bps else 0.0,
        "family": len(rows),
        "level": LEVEL,
        "passed": found.passes,
    }


def _control(figures: _Figures, plain: _Row) -> dict[str, Any]:
    sums = figures.totals(plain)
    closed = 10_000 * sums["closed_form"] / sums["volume"] if sums["volume"] else 0.0
    measured = figures.interval(plain, "extracted")
    return {
        "closed_form_bps": closed,
        "measured_bps": measured,
        "agrees": measured["low"] <= closed <= measured["high"],
    }


def _ordering(tallies: Sequence[Tally]) -> dict[str, Any]:
    p_values: dict[str, list[float]] = {}
    for tally in tallies:
        for arm, values in tally.p_values.items():
            p_values.setdefault(arm, []).extend(values)
    return {arm: asdict(summary(values)) for arm, values in sorted(p_values.items())}


def _detector(evaluation: Part, chosen: dict[str, _Row]) -> dict[str, Any]:
    def total(arm: str, column: str) -> float:
        return float(evaluation.figures[:, chosen[arm].at, _AT[column]].sum())

    found, right, true = (total("C1", name) for name in ("detected", "rightly_detected", "sandwiches"))
    return {
        "precision": right / found if found else None,
        "recall": right / true if true else None,
        "false_positives_per_1000_blocks": {"C0": 1_000 * total("C0", "detected") / len(evaluation.figures)},
    }


def _latency(reveals_ms: Sequence[float]) -> dict[str, Any]:
    """What waiting costs without any attack: quotes that go stale, and what arbitrage takes from the pool."""
    return {
        "volatility_per_year": VOLATILITY,
        "delays": [
            {
                "delay_s": delay,
                "move_bps": 10_000 * VOLATILITY * sqrt(delay / YEAR_S),
                "stale_share": {
                    str(bps): stale_quote_failure(bps / 10_000, delay, VOLATILITY) for bps in TOLERANCES_BPS
                },
                "lvr_bps": 10_000 * lvr_rate(VOLATILITY) * delay / YEAR_S,
            }
            for delay in DELAYS_S
        ],
        "commit_to_reveal_ms": {"median": float(np.median(reveals_ms)), "p99": float(np.quantile(reveals_ms, 0.99))}
        if reveals_ms
        else None,
    }


def _warnings(config: Config, flow: Flow) -> list[str]:
    said = []
    if flow.distinct_blocks is not None and config.blocks > flow.distinct_blocks:
        said.append(
            f"{flow.source} holds {flow.distinct_blocks} different blocks: repeating them makes intervals narrower, "
            "not better, and strategies are chosen on the blocks on which they are judged"
        )
    if not load_scheme(config.scheme, config.backend).info.hides:
        said.append(f"{config.scheme} hides nothing: this is the negative control of the encrypted arms")
    if not config.verify_fraction:
        said.append("no block was run in full through the ciphertext path")
    return said


def _command(config: Config) -> str:
    """What reruns it, with the options that are not the usual ones."""
    usual = Config(seed=0, blocks=0, training_blocks=0, arms=())
    words = [f"encmempool measure run --blocks {config.blocks} --training-blocks {config.training_blocks}"]
    words.append(f"--arms {shlex.quote(','.join(config.arms))} --seed {config.seed}")
    for name in ("users", "pools", "scheme", "backend", "members", "threshold", "engine", "verify_fraction"):
        value = getattr(config, name)
        if value != getattr(usual, name):
            words.append(f"--{name.replace('_', '-')} {value}")
    if config.flow is not None:
        words.append(f"--flow {shlex.quote(Path(config.flow).name)}")
    if config.reduced_threshold:
        words.append("--reduced-threshold")
    return " ".join(words)


def _bps(figures: NDArray[np.float64]) -> float:
    totals = figures.sum(axis=0)
    return float(10_000 * totals[_AT["extracted"]] / totals[_AT["volume"]]) if totals[_AT["volume"]] else 0.0


def _error_bps(figures: NDArray[np.float64]) -> float:
    """Standard error of a ratio of sums, by linearisation; blocks are independent."""
    extracted, volume = figures[:, _AT["extracted"]], figures[:, _AT["volume"]]
    total = float(volume.sum())
    if not total:
        return 0.0
    residuals = extracted - extracted.sum() / total * volume
    return float(10_000 * np.sqrt((residuals**2).sum()) / total)
