"""What the benchmarks found, as pages with tables and plots, and how their tables are laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from encmempool.bench import schemes
from encmempool.bench.compare import Row as Compared
from encmempool.bench.records import SECONDS, Record, Setting
from encmempool.bench.scaling import NOTHING_S, STEPS, Law, Variable
from encmempool.report import (
    Axis,
    Bar,
    BarGroup,
    Cell,
    Code,
    Column,
    Curves,
    Estimate,
    Facts,
    Figure,
    Intervals,
    Paragraph,
    Reference,
    Report,
    Row,
    RowGroup,
    Section,
    Series,
    Table,
    number,
    significant,
)

NONE = "–"
_CURVE_GROUPS = {"g1": "G1", "g2": "G2", "gt": "GT"}
_TIME_MS = Axis(label="ms", scale="log", figures=3, shown=())
_TIME_US = Axis(label="µs", scale="log", figures=3, shown=())
_RATIO = Axis(label="ratio of times", scale="log", figures=3, shown=(1.0,))
_HOST = {"processor": "Processor", "cores": "Cores", "memory_gib": "Memory, GiB", "system": "System"}
WIDEST = 6
"""Columns of times that stand side by side."""
OVER: Mapping[Variable, str] = {"B": "batch size", "n": "members", "payload_bytes": "payload, bytes"}


# --- records side by side --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Records by row and column, both in the order they were first met."""

    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Record]]


def curve_sheet(records: Iterable[Record]) -> Sheet:
    """Operations of the curve by group."""
    found = [record for record in records if _group(record) in _CURVE_GROUPS]
    return _sheet(found, row=lambda record: record.name.partition("::")[2], column=lambda record: _group(record))


def scheme_sheets(records: Iterable[Record]) -> dict[str, Sheet]:
    """Steps by batch, for every scheme; those that other committees were measured for once more with each of them."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if _group(record) not in _CURVE_GROUPS:
            found.setdefault(_group(record), []).append(record)
    several = len({record.params["n"] for each in found.values() for record in each}) > 1

    def row(record: Record) -> str:
        step = _step(record)
        return f"{step}, n={record.params['n']}" if several and step in schemes.OF_COMMITTEE else step

    return {
        scheme: _sheet(each, row=row, column=lambda record: f"B={record.params['B']}") for scheme, each in found.items()
    }


def side_by_side(sheets: Mapping[str, Sheet]) -> tuple[Mapping[str, Sheet], ...]:
    """Those that one table shows: all if there is room, else each by itself."""
    if sum(len(sheet.columns) for sheet in sheets.values()) <= WIDEST:
        return (sheets,) if sheets else ()
    return tuple({scheme: sheet} for scheme, sheet in sheets.items())


def joined(sheets: Mapping[str, Sheet]) -> Sheet:
    """One sheet whose columns are named by scheme, too."""
    rows: dict[str, dict[str, Record]] = {}
    for scheme, sheet in sheets.items():
        for step, row in sheet.rows.items():
            rows.setdefault(step, {}).update({f"{scheme} {column}": record for column, record in row.items()})
    columns = tuple(f"{scheme} {column}" for scheme, sheet in sheets.items() for column in sheet.columns)
    return Sheet(columns=columns, rows=rows)


def _sheet(records: Iterable[Record], *, row: Callable[[Record], str], column: Callable[[Record], str]) -> Sheet:
    rows: dict[str, dict[str, Record]] = {}
    columns: dict[str, None] = {}
    for record in records:
        rows.setdefault(row(record), {})[column(record)] = record
        columns[column(record)] = None
    return Sheet(columns=tuple(columns), rows=rows)


def opening_ms(sheet: Sheet, column: str) -> tuple[float, float] | None:
    """After the shares, and in all with what is prepared before, for the first committee; None unless measured."""
    medians_ms: dict[str, float] = {}
    for row in sheet.rows.values():
        if column in row:
            medians_ms.setdefault(_step(row[column]), 1e3 * row[column].median)
    if not {*schemes.AFTER_SHARES, "precompute"} <= medians_ms.keys():
        return None
    after = sum(medians_ms[step] for step in schemes.AFTER_SHARES)
    return after, after + medians_ms["precompute"]


def step_title(step: str) -> str:
    return f"{step} (one)" if step in schemes.PER_CIPHERTEXT else step


def step_ms(record: Record) -> float:
    """The median in ms; of one ciphertext where the table says so."""
    parts = int(record.params["B"]) if _step(record) == "verify" else 1
    return 1e3 * record.median / parts


def _group(record: Record) -> str:
    return record.name.partition("::")[0]


def _step(record: Record) -> str:
    return record.name.partition("::")[2].partition("/")[0]


# --- pages -----------------------------------------------------------------------------------------------------------


def micro(records: Sequence[Record], command: str) -> Report:
    """ValueError without records."""
    sections = []
    curve = [record for record in records if _group(record) in _CURVE_GROUPS]
    if curve:
        sheet = curve_sheet(curve)
        columns = tuple(_CURVE_GROUPS[name] for name in sheet.columns)
        table = _table("Operations of the curve, µs", "operation", sheet, columns, _microseconds)
        drawn = _intervals(
            "How long an operation of the curve takes",
            "operation",
            _TIME_US,
            1e6,
            {title: [each for each in curve if _group(each) == name] for name, title in _CURVE_GROUPS.items()},
            lambda record: record.name.partition("::")[2],
        )
        sections.append(Section(title="The curve", blocks=(table, *drawn)))
    sheets = scheme_sheets(records)
    if sheets:
        joint = map(joined, side_by_side(sheets))
        tables = [_table("Steps, ms", "step", sheet, sheet.columns, _milliseconds) for sheet in joint]
        drawn = _intervals(
            "How long a step takes, in the last column of its scheme",
            "step",
            _TIME_MS,
            1e3,
            {f"{scheme} {sheet.columns[-1]}": _last(sheet) for scheme, sheet in sheets.items()},
            lambda record: record.name.partition("::")[2],
        )
        sections.append(Section(title="The schemes", blocks=(*tables, *drawn)))
    return Report(
        title="How long each operation takes",
        lead=f"{len(records)} benchmarks, medians with quartiles of up to 20 samples after a run to warm up. "
        f"{_on(records[0])}",
        sections=(*sections, _methods(records, command)),
    )


def _last(sheet: Sheet) -> list[Record]:
    """What its last column holds and takes time."""
    found = (row.get(sheet.columns[-1]) for row in sheet.rows.values())
    return [record for record in found if record is not None and record.median > NOTHING_S]


def scaling(laws: Sequence[Law], command: str) -> Report:
    """ValueError without laws."""
    sections = []
    for over in dict.fromkeys(law.over for law in laws):
        mine = [law for law in laws if law.over == over]
        figures = [figure for step in STEPS[over] if (figure := _growth(over, step, mine)) is not None]
        sections.append(Section(title=f"Over {OVER[over]}", blocks=(_laws_table(mine), *figures)))
    records = [record for law in laws for record in law.records]
    return Report(
        title="How cost grows",
        lead="Times are fitted by a power of the size: exponent 1 is cost in proportion, 0 is cost that the size does "
        f"not change. {_on(records[0])}",
        sections=(*sections, _methods(records, command)),
    )


def comparison(rows: Sequence[Compared], *, first: str, second: str, setting: Setting | None, command: str) -> Report:
    """ValueError without rows.

    setting    of the run in which both took turns; None if they were measured apart
    """
    ratios = [row.ratio for row in rows]
    how = (
        "Both ran in turns in one process, so that what disturbed the machine disturbed both."
        if setting
        else "The two were measured in runs of their own: intervals know the noise within each run only, and not "
        "whether the machine was slower during one of them."
    )
    groups: dict[str, list[Compared]] = {}
    for row in rows:
        groups.setdefault(row.name.partition("::")[0], []).append(row)
    drawn = tuple(
        BarGroup(
            title=title,
            tone=tone,
            bars=tuple(
                Bar(
                    label=row.name.partition("::")[2],
                    estimate=Estimate(mean=row.ratio, low=row.low, high=row.high),
                )
                for row in each
            ),
        )
        for tone, (title, each) in enumerate(groups.items())
    )
    figure = Intervals(
        title=f"How many times as long {second} takes as {first}",
        caption="Right of 1 the second is slower. Intervals are of 95 %.",
        description=f"Ratios of the times of {second} to those of {first}, from {significant(min(ratios))} to "
        f"{significant(max(ratios))}.",
        names="benchmark",
        axis=_RATIO,
        groups=drawn,
        references=(Reference(value=1.0, label="the same"),),
    )
    table = Table(
        title="Times and ratios",
        columns=(
            Column(title="benchmark"),
            Column(title=f"{first}, ms", align="right"),
            Column(title=f"{second}, ms", align="right"),
            Column(title="ratio", align="right"),
            Column(title="samples", align="right"),
        ),
        groups=tuple(RowGroup(title=title, rows=tuple(map(_compared, each))) for title, each in groups.items()),
    )
    return Report(
        title=f"{first} against {second}",
        lead=f"{second} takes {significant(min(ratios))} to {significant(max(ratios))} times as long as {first}, "
        f"{significant(median(ratios))} in the middle of {len(rows)} benchmarks. {how}",
        sections=(
            Section(title="Ratios", blocks=(figure, table)),
            Section(title="Again", blocks=(Code(text=command), *([_facts(setting)] if setting else []))),
        ),
    )


def _compared(row: Compared) -> Row:
    scale = 1e3 if row.unit == SECONDS else 1
    ratio = significant(row.ratio)
    interval = (
        f"{significant(row.low)} to {significant(row.high)}" if row.low is not None and row.high is not None else ""
    )
    return (
        row.name.partition("::")[2],
        significant(scale * row.first),
        significant(scale * row.second),
        Cell(text=ratio, detail=interval) if interval else ratio,
        f"{row.samples}",
    )


def _growth(over: Variable, step: str, laws: Sequence[Law]) -> Figure | None:
    """One step, a curve for each scheme in which it does anything."""
    tones = {scheme: tone for tone, scheme in enumerate(dict.fromkeys(law.scheme for law in laws))}
    shown = [law for law in laws if law.step == step and law.power is not None]
    if not shown:
        return None
    exponents = ", ".join(f"{law.scheme} {number(law.power.exponent)}" for law in shown if law.power)
    return Curves(
        title=f"{step}: time over {OVER[over]}",
        caption=f"Medians with quartiles, both axes logarithmic. Exponents: {exponents}.",
        description=f"Time of {step} over {OVER[over]} for {', '.join(law.scheme for law in shown)}.",
        x=Axis(label=OVER[over], scale="log", shown=()),
        y=_TIME_MS,
        series=tuple(
            Series(
                name=law.scheme,
                points=tuple((size, _estimate(record, 1e3)) for size, record in law.points),
                tone=tones[law.scheme],
            )
            for law in shown
        ),
    )


def _laws_table(laws: Sequence[Law]) -> Table:
    sizes = sorted({size for law in laws for size, _ in law.points})
    groups = {scheme: [law for law in laws if law.scheme == scheme] for scheme in dict.fromkeys(x.scheme for x in laws)}

    def row(law: Law) -> Row:
        times = dict(law.points)
        cells = (law_ms(times[size]) if size in times else NONE for size in sizes)
        power = law.power
        if power is None:
            return (law.step, *cells, NONE, NONE)
        exponent = Cell(text=number(power.exponent), detail=f"{number(power.low)} to {number(power.high)}")
        return (law.step, *cells, exponent, f"× {number(power.deviation)}")

    return Table(
        title="Medians in ms, and the fitted exponent with its 95 % interval",
        columns=(
            Column(title="step"),
            *(Column(title=f"{size:,}", align="right") for size in sizes),
            Column(title="exponent", align="right"),
            Column(title="off the line", align="right"),
        ),
        groups=tuple(RowGroup(title=scheme, rows=tuple(map(row, each))) for scheme, each in groups.items()),
    )


def law_ms(record: Record) -> str:
    """The median in ms, or that it is nothing."""
    if record.median <= NOTHING_S:
        return f"< {1e3 * NOTHING_S:g}"
    return significant(1e3 * record.median)


def _intervals(
    title: str,
    names: str,
    axis: Axis,
    scale: float,
    groups: Mapping[str, Sequence[Record]],
    label: Callable[[Record], str],
) -> tuple[Intervals, ...]:
    """A figure of the groups that hold anything; none if none does."""
    drawn = tuple(
        BarGroup(
            title=name,
            tone=tone,
            bars=tuple(Bar(label=label(record), estimate=_estimate(record, scale)) for record in each),
        )
        for tone, (name, each) in enumerate(groups.items())
        if each
    )
    if not drawn:
        return ()
    caption = "Medians with quartiles; the axis is logarithmic."
    described = f"{title}: medians with quartiles, as in the table."
    return (Intervals(title=title, caption=caption, description=described, names=names, axis=axis, groups=drawn),)


def _estimate(record: Record, scale: float) -> Estimate:
    return Estimate(mean=scale * record.median, low=scale * record.q1, high=scale * record.q3)


def _table(title: str, first: str, sheet: Sheet, columns: Sequence[str], cell: Callable[[Record], str | Cell]) -> Table:
    return Table(
        title=title,
        columns=(Column(title=first), *(Column(title=column, align="right") for column in columns)),
        rows=tuple(
            (name, *(cell(row[column]) if column in row else NONE for column in sheet.columns))
            for name, row in sheet.rows.items()
        ),
    )


def _microseconds(record: Record) -> Cell:
    return _spread(record, 1e6)


def _milliseconds(record: Record) -> Cell:
    return _spread(record, 1e3)


def _spread(record: Record, scale: float) -> Cell:
    low, high = significant(scale * record.q1), significant(scale * record.q3)
    return Cell(text=significant(scale * record.median), detail=f"{low} to {high}")


def _on(record: Record) -> str:
    threads = f"{record.threads} thread{'s' * (record.threads > 1)}"
    return f"Measured with {record.backend} on {threads} of {record.host.get('processor', 'an unknown machine')}."


def _methods(records: Sequence[Record], command: str) -> Section:
    text = "Inputs are drawn from the seed, so the same command does the same work; keys come from a trusted dealer."
    used = ("Backend", f"{records[0].backend}, threads: {records[0].threads}")
    facts = _facts(records[0], used)
    return Section(title="Again", blocks=(Paragraph(text=text), Code(text=command), facts))


def _facts(setting: Setting | Record, *first: tuple[str, str]) -> Facts:
    host: dict[str, Any] = dict(setting.host)
    versions = host.pop("versions", {})
    return Facts(
        pairs=(
            *first,
            ("Seed", f"{setting.seed}"),
            ("Commit", setting.commit),
            *((_HOST.get(name, name), f"{value}") for name, value in host.items()),
            *((name, f"{value}") for name, value in versions.items()),
        )
    )
