"""How cost grows: powers of the batch, of the committee and of the payload, fitted to measured times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Literal, TypeAlias

from encmempool.bench import schemes
from encmempool.bench.micro import Say
from encmempool.bench.records import Case, Record, Setting, record_name
from encmempool.bench.sampling import interleaved

Variable: TypeAlias = Literal["B", "n", "payload_bytes"]

STEPS: dict[Variable, tuple[str, ...]] = {
    "B": ("verify", "precompute", "share", "verify_share", "combine", "decrypt"),
    "n": ("share", "verify_share", "combine"),
    "payload_bytes": ("encrypt", "verify", "decrypt"),
}
FEWEST_SIZES = 3
NOTHING_S = 5e-6
"""A step that takes no longer at its largest size does nothing in that scheme."""
# 97.5 % quantiles of Student's t for 1, 2 … degrees of freedom
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_NORMAL = 1.960


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Sizes of one variable, while the others keep theirs. ValueError for fewer than three sizes."""

    over: Variable
    sizes: tuple[int, ...]
    batch: int
    members: int
    payload_bytes: int = schemes.PLAINTEXT_BYTES

    def __post_init__(self) -> None:
        if len(set(self.sizes)) < FEWEST_SIZES:
            raise ValueError(f"a fit over {self.over} needs at least {FEWEST_SIZES} different sizes")

    def cases(self, names: Sequence[str], *, backend: str, seed: int) -> Iterator[tuple[Case, ...]]:
        """Each step of each scheme at every size, by ascending size."""
        for name in names:
            at_sizes = [self._at(size, name, backend, seed) for size in sorted(set(self.sizes))]
            for steps in zip(*at_sizes, strict=True):
                if steps[0].step in STEPS[self.over]:
                    yield steps

    def _at(self, size: int, name: str, backend: str, seed: int) -> tuple[Case, ...]:
        chosen = {"B": self.batch, "n": self.members, "payload_bytes": self.payload_bytes, self.over: size}
        return schemes.cases(
            name,
            batch=chosen["B"],
            members=chosen["n"],
            payload_bytes=chosen["payload_bytes"],
            backend=backend,
            seed=seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """time = coefficient * size ** exponent, by least squares of the logarithms.

    low, high    of the exponent: 95 %, Student's t of the regression's residuals. A curve that is no straight line
                 widens it as noise does; fixed costs at small sizes make such a curve.
    deviation    the largest factor by which a time lies off the line, from 1 up
    """

    exponent: float
    low: float
    high: float
    coefficient: float
    deviation: float

    def at(self, size: float) -> float:
        return float(self.coefficient * size**self.exponent)


def fit(points: Sequence[tuple[float, float]]) -> Power:
    """Of (size, time). ValueError for fewer than three sizes or what has no logarithm."""
    if len({size for size, _ in points}) < FEWEST_SIZES:
        raise ValueError(f"a fit needs at least {FEWEST_SIZES} different sizes")
    xs, ys = [log(size) for size, _ in points], [log(time) for _, time in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    exponent = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread
    residuals = [y - y_mean - exponent * (x - x_mean) for x, y in zip(xs, ys, strict=True)]
    freedom = len(xs) - 2
    error = sqrt(sum(residual**2 for residual in residuals) / freedom / spread)
    margin = error * (_T[freedom - 1] if freedom <= len(_T) else _NORMAL)
    return Power(
        exponent=exponent,
        low=exponent - margin,
        high=exponent + margin,
        coefficient=exp(y_mean - exponent * x_mean),
        deviation=exp(max(map(abs, residuals))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """How one step of one scheme grows: its records by ascending size, and the power where the step does anything."""

    scheme: str
    step: str
    over: Variable
    records: tuple[Record, ...]
    power: Power | None

    @property
    def name(self) -> str:
        return record_name(self.scheme, self.step, {})

    @property
    def points(self) -> tuple[tuple[int, Record], ...]:
        return tuple((int(record.params[self.over]), record) for record in self.records)


def measure(
    sweep: Sweep,
    names: Sequence[str],
    setting: Setting,
    *,
    progress: Say = lambda text: None,
    keep: Callable[[Record], None] = lambda record: None,
) -> tuple[Law, ...]:
    """A law for each step of each scheme. Its sizes take turns, so that a machine that slows down bends no curve.

    `keep` gets each record as soon as there is one."""
    laws = []
    for cases in sweep.cases(names, backend=setting.backend, seed=setting.seed):
        group, step = cases[0].group, cases[0].step
        progress(f"{group}: {step} over {sweep.over}")
        timings = interleaved(*(case.prepare() for case in cases))
        records = tuple(
            Record.of(case.name, case.params, timing, setting) for case, timing in zip(cases, timings, strict=True)
        )
        for record in records:
            keep(record)
        laws.append(Law(scheme=group, step=step, over=sweep.over, records=records, power=_power(sweep.over, records)))
    return tuple(laws)


def _power(over: Variable, records: Sequence[Record]) -> Power | None:
    if max(record.median for record in records) <= NOTHING_S:
        return None
    return fit([(int(record.params[over]), record.median) for record in records])
