"""The experiment's report: what `measure run` wrote, put into words, tables and figures.

The report repeats the document's figures and decides nothing. A section whose data the document lacks is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from encmempool.documents import decode_json
from encmempool.errors import Malformed
from encmempool.report import (
    AMBER,
    BLUE,
    GREEN,
    PURPLE,
    RED,
    Axis,
    Bar,
    BarGroup,
    Block,
    Cell,
    Code,
    Column,
    Curves,
    Estimate,
    Facts,
    Highlight,
    Highlights,
    Intervals,
    Notice,
    Paragraph,
    Reference,
    Report,
    Row,
    RowGroup,
    Section,
    Series,
    Table,
    number,
    percent,
    spread,
)

SCHEMA = "encmempool.measure/1"
PLAINTEXT, ENCRYPTED, UNTOUCHED = "C1", "T1", "C0"
_GROUPS = {
    "control": ("Plaintext", RED),
    "encrypted": ("Encrypted", BLUE),
    "leak": ("Encrypted, with a leak", PURPLE),
    "residual": ("Not stopped by encryption", AMBER),
    "rival": ("A rival without encryption", GREEN),
}
_NONE = "–"
_LOG_BPS = Axis(label="bps of users' volume", note="logarithmic beyond ±1", scale="symlog")
_BPS = Axis(label="bps of users' volume")


# --- reading ---------------------------------------------------------------------------------------------------------

T = TypeVar("T")
_Kind: TypeAlias = Callable[[object, str], T]


def load(path: Path | str) -> dict[str, Any]:
    """The document in a file that `measure run` wrote. Raises Malformed, and OSError if it cannot be read."""
    return parse(Path(path).read_bytes(), str(path))


def parse(data: bytes, source: str) -> dict[str, Any]:
    """The document in bytes that came from `source`. Raises Malformed."""
    try:
        document = decode_json(data)
    except ValueError as error:
        whole = data.strip()
        cut = whole.startswith(b"{") and not whole.endswith(b"}")
        why = "it is cut off" if cut else "it is empty" if not whole else str(error)
        raise Malformed(f"{source} is not JSON: {why}; write it anew with `encmempool measure run`") from None
    _check_schema(document, source)
    checked: dict[str, Any] = document
    return checked


def _check_schema(document: object, source: str) -> None:
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        what = f"of schema {str(found)[:60]!r}" if found is not None else "without a schema"
        raise Malformed(f"{source} is JSON {what}: {SCHEMA!r} is expected, as `encmempool measure run` writes it")


class _Fields:
    """One object of the document. Whatever is read is checked; Malformed names what is missing or of another type."""

    def __init__(self, values: Mapping[str, object], path: str = "") -> None:
        self._values, self._path = values, path

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, name: str, kind: _Kind[T]) -> T:
        path = self._of(name)
        if name not in self._values:
            raise Malformed(f"this is not a measurement that `encmempool measure run` wrote: {path} is missing")
        return kind(self._values[name], path)

    def maybe(self, name: str, kind: _Kind[T]) -> T | None:
        """None where the field is missing or null."""
        value = self._values.get(name)
        return None if value is None else kind(value, self._of(name))

    def some(self, name: str, kind: _Kind[T]) -> tuple[T, ...]:
        """A list's items; none where the field is missing or null."""
        return self.maybe(name, _each(kind)) or ()

    def all(self, kind: _Kind[T]) -> dict[str, T]:
        """Every field, where names are data."""
        return {name: kind(value, self._of(name)) for name, value in self._values.items()}

    def _of(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def _wrong(path: str, expected: str) -> Malformed:
    return Malformed(f"this is not a measurement that `encmempool measure run` wrote: {path} is not {expected}")


def _text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "text")
    return value


def _flag(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, "true or false")
    return value


def _number(value: object, path: str) -> float:
    try:
        if not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(converted := float(value)):
            return converted
    except OverflowError:
        pass
    raise _wrong(path, "a finite number")


def _whole(value: object, path: str) -> int:
    found = _number(value, path)
    if found != int(found):
        raise _wrong(path, "a whole number")
    return int(found)


def _fields(value: object, path: str) -> _Fields:
    if not isinstance(value, dict):
        raise _wrong(path, "an object")
    return _Fields(value, path)


def _each(kind: _Kind[T]) -> _Kind[tuple[T, ...]]:
    def convert(value: object, path: str) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise _wrong(path, "a list")
        return tuple(kind(item, f"{path}[{index}]") for index, item in enumerate(value))

    return convert


def _estimate(value: object, path: str, mean: str = "mean") -> Estimate:
    fields = _fields(value, path)
    low, high = fields.get("low", _number), fields.get("high", _number)
    if low > high:
        raise _wrong(path, "an interval: its low end lies above its high end")
    return Estimate(mean=fields.get(mean, _number), low=low, high=high)


def _auc(value: object, path: str) -> Estimate:
    return _estimate(value, path, mean="auc")


def _scalar(value: object, path: str) -> str:
    """A name or a number, of a machine or a version."""
    return value if isinstance(value, str) else f"{_number(value, path):,g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameter:
    name: str
    value: float
    unit: str

    @classmethod
    def read(cls, value: object, path: str) -> _Parameter:
        fields = _fields(value, path)
        return cls(name=fields.get("name", _text), value=fields.get("value", _number), unit=fields.get("unit", _text))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strategy:
    name: str
    training_bps: float | None
    extracted: Estimate
    upper_bps: float | None
    victim_loss: Estimate | None
    failed_volume: Estimate | None
    success_rate: float | None

    @classmethod
    def read(cls, value: object, path: str) -> _Strategy:
        fields = _fields(value, path)
        return cls(
            name=fields.get("name", _text),
            training_bps=fields.maybe("training_bps", _number),
            extracted=fields.get("extracted_bps", _estimate),
            upper_bps=fields.maybe("upper_bps", _number),
            victim_loss=fields.maybe("victim_loss_bps", _estimate),
            failed_volume=fields.maybe("failed_volume", _estimate),
            success_rate=fields.maybe("success_rate", _number),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arm:
    id: str
    title: str
    group: str
    sees: str
    may: str
    order: str
    parameter: _Parameter | None
    strategy: str
    extracted: Estimate
    fields: _Fields
    strategies: tuple[_Strategy, ...]

    @classmethod
    def read(cls, id: str, value: object, path: str) -> _Arm:
        fields = _fields(value, path)
        group = fields.get("group", _text)
        if group not in _GROUPS:
            raise _wrong(f"{path}.group", f"one of {', '.join(_GROUPS)}")
        return cls(
            id=id,
            title=fields.get("title", _text),
            group=group,
            sees=fields.get("sees", _text),
            may=fields.get("may", _text),
            order=fields.get("order", _text),
            parameter=fields.maybe("parameter", _Parameter.read),
            strategy=fields.get("strategy", _text),
            extracted=fields.get("extracted_bps", _estimate),
            fields=fields,
            strategies=fields.some("strategies", _Strategy.read),
        )

    @property
    def name(self) -> str:
        return f"{self.id} · {self.title}"

    def estimate(self, name: str) -> Estimate | None:
        return self.fields.maybe(name, _estimate)

    def number(self, name: str) -> float | None:
        return self.fields.maybe(name, _number)

    @property
    def cell(self) -> Cell:
        return Cell(text=self.id, detail=self.title)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The document, read as far as every report needs it."""

    fields: _Fields
    arms: dict[str, _Arm]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> _Run:
        _check_schema(document, "this")
        fields = _Fields(document)
        found = fields.get("arms", _fields)
        arms = {id: _Arm.read(id, value, f"arms.{id}") for id, value in found.all(lambda value, _: value).items()}
        if not arms:
            raise _wrong("arms", "an object with at least one arm")
        return cls(fields=fields, arms=arms)

    def family(self, prefix: str) -> tuple[_Arm, ...]:
        """The arms of one kind that a parameter or a name tells apart."""
        return tuple(arm for arm in self.arms.values() if arm.id.startswith(f"{prefix}/"))

    def swept(self, prefix: str) -> tuple[tuple[float, _Arm], ...]:
        """Those with a parameter, by its value."""
        found = [(arm.parameter.value, arm) for arm in self.family(prefix) if arm.parameter is not None]
        return tuple(sorted(found, key=lambda each: each[0]))

    def grouped(self) -> Iterator[tuple[str, int, tuple[_Arm, ...]]]:
        for group, (title, tone) in _GROUPS.items():
            arms = tuple(arm for arm in self.arms.values() if arm.group == group)
            if arms:
                yield title, tone, arms

    @property
    def plaintext(self) -> _Arm | None:
        return self.arms.get(PLAINTEXT)

    def references(self) -> tuple[Reference, ...]:
        if self.plaintext is None:
            return ()
        mean = self.plaintext.extracted.mean
        return (Reference(value=mean, label=f"plaintext {_bps(mean)}"),)


# --- the report ------------------------------------------------------------------------------------------------------


def build(document: Mapping[str, Any]) -> Report:
    """The report of one run. Raises Malformed naming what is missing or of the wrong type."""
    run = _Run.read(document)
    sections = (
        _result(run),
        _extraction(run),
        _collusion(run),
        _epoch_keys(run),
        _metadata(run),
        _commit_reveal(run),
        _residual(run),
        _strategies(run),
        _ordering(run),
        _detector(run),
        _leak_score(run),
        _latency(run),
        _control(run),
        _verification(run),
        _methods(run),
        _again(run),
    )
    return Report(
        title="Does encrypting the mempool prevent front-running?",
        lead=_lead(run),
        sections=tuple(section for section in sections if section is not None and section.blocks),
    )


def _lead(run: _Run) -> str:
    plain = "" if run.plaintext is None else f"{_bps(run.plaintext.extracted.mean)} bps of users' volume"
    test = run.fields.maybe("equivalence", _fields)
    if test is None:
        encrypted = run.arms.get(ENCRYPTED)
        if not plain or encrypted is None:
            return "No verdict: this run lacks the arms that the test of equivalence compares."
        return (
            f"No verdict: this run holds no test of equivalence. In plaintext the sequencer extracts {plain}; of "
            f"ciphertexts in order of arrival, {_bps(encrypted.extracted.mean)} bps."
        )
    upper = f"{_bps(test.get('upper_bps', _number))} bps of users' volume"
    share = test.maybe("share_of_plaintext", _number)
    if share is not None:
        upper += f", {percent(share)} of what it takes in plaintext"
    family, confidence = test.get("family", _whole), f"at {percent(test.get('level', _number))} confidence"
    margin = f"The margin was {_bps(test.get('delta_bps', _number))} bps."
    control = f" In plaintext the same sequencer extracts {plain}." if plain else ""
    if test.get("passed", _flag):
        return (
            f"Yes, within the margin: {confidence} none of {_count(family, 'strategy', 'strategies')} played against "
            f"ciphertexts extracts more than {upper}. {margin}{control}"
        )
    return (
        f"Not shown: {confidence} {test.get('strategy', _text)}, the one with the highest bound of "
        f"{_count(family, 'strategy', 'strategies')} played against ciphertexts, may extract up to {upper}. "
        f"{margin}{control}"
    )


def _result(run: _Run) -> Section | None:
    items = []
    for id, tone, label in (
        (PLAINTEXT, RED, "of users' volume goes to a sequencer that reads"),
        (ENCRYPTED, BLUE, "goes to one that orders ciphertexts"),
    ):
        arm = run.arms.get(id)
        if arm is not None:
            items.append(Highlight(value=_bps(arm.extracted.mean), unit="bps", label=f"{label} ({id})", tone=tone))
    test = run.fields.maybe("equivalence", _fields)
    if test is not None:
        family = _count(test.get("family", _whole), "strategy", "strategies")
        label = f"upper bound over {family}, at {percent(test.get('level', _number))}"
        items.append(Highlight(value=f"≤ {_bps(test.get('upper_bps', _number))}", unit="bps", label=label))
    verified = run.fields.maybe("verification", _fields)
    if verified is not None:
        agreed, runs = verified.get("agreed", _whole), verified.get("runs", _whole)
        label = "runs through real ciphertexts agree with the model"
        items.append(Highlight(value=f"{agreed:,}", unit=f"of {runs:,}", label=label))
    notices = tuple(Notice(text=text) for text in run.fields.some("warnings", _text))
    highlights = (Highlights(items=tuple(items)),) if items else ()
    closing = Paragraph(
        text="A basis point (bps) is a hundredth of a percent of the value that users trade. What an arm extracts is "
        "net of gas, fees and deposits, and may be negative. Ranges are 95 % intervals unless said otherwise."
    )
    return Section(title="Result", blocks=(*highlights, *notices, closing))


def _extraction(run: _Run) -> Section:
    figure = Intervals(
        title="What the attacker extracts in each arm",
        caption="Each point is the strategy that did best on training blocks, played on fresh ones; the line is its "
        "95 % interval. Points on or left of zero: the attack does not pay.",
        description=_described((arm.name, arm.extracted) for arm in run.arms.values()),
        names="Arm",
        axis=_LOG_BPS,
        groups=tuple(
            BarGroup(title=title, tone=tone, bars=tuple(Bar(label=arm.name, estimate=arm.extracted) for arm in arms))
            for title, tone, arms in run.grouped()
        ),
    )
    columns = (
        Column(title="Arm", wraps=True),
        Column(title="Extracted, bps", align="right"),
        Column(title="Users lose, bps", align="right"),
        Column(title="Failed volume", align="right"),
        Column(title="Attempts that pay", align="right"),
        Column(title="Advantage", align="right"),
        Column(title="The attacker sees", wraps=True),
    )
    table = Table(
        title="The arms",
        columns=columns,
        groups=tuple(RowGroup(title=title, rows=tuple(map(_arm_row, arms))) for title, _, arms in run.grouped()),
    )
    note = Paragraph(
        text="Users lose what they receive less than in the same order without the attacker's transactions, over "
        "trades that ran in both; failed volume is what no longer ran, so the two belong together. Advantage is the "
        "share of plaintext extraction, above that of the best blind strategy, that the arm's information brings: 0 is "
        "worth nothing, 1 is worth as much as reading."
    )
    return Section(title="What each attacker takes", blocks=(figure, table, note))


def _arm_row(arm: _Arm) -> Row:
    return (
        arm.cell,
        spread(arm.extracted, _bps),
        _spread(arm.estimate("victim_loss_bps"), _bps),
        _spread(arm.estimate("failed_volume"), percent),
        _maybe(arm.number("success_rate") if arm.number("attempts_per_block") != 0 else None, percent),
        _spread(arm.estimate("advantage"), number),
        arm.sees,
    )


def _collusion(run: _Run) -> Section | None:
    swept = run.swept("T6")
    if not swept:
        return None
    members, threshold = run.fields.maybe("members", _whole), run.fields.maybe("threshold", _whole)
    of = "" if members is None else f" of {members}"
    opens = "" if threshold is None else f" {threshold} members open a batch."
    bars = tuple(Bar(label=f"{value:g}{of} members collude", estimate=arm.extracted) for value, arm in swept)
    figure = Intervals(
        title="Extraction by the number of members that collude with the sequencer",
        caption=f"The arms T6.{opens} With fewer the sequencer has ciphertexts; with as many it reads everything, and "
        "nobody can tell.",
        description=_described((bar.label, bar.estimate) for bar in bars),
        names="Members",
        axis=_LOG_BPS,
        groups=(BarGroup(title="", bars=bars, tone=PURPLE),),
        references=run.references(),
    )
    return Section(title="Collusion", blocks=(figure,))


def _epoch_keys(run: _Run) -> Section | None:
    swept = run.swept("T5")
    if not swept:
        return None
    measured = Series(name="measured", points=tuple((value, arm.extracted) for value, arm in swept), tone=PURPLE)
    series: tuple[Series, ...] = (measured,)
    if run.plaintext is not None:
        ends = sorted({0.0, swept[-1][0]})
        whole = run.plaintext.extracted.mean
        line = tuple((share, Estimate(mean=share * whole)) for share in ends)
        series = (measured, Series(name="in proportion to plaintext", points=line, dashed=True))
    figure = Curves(
        title="Extraction by the share of waiting transactions that is already readable",
        caption="The arms T5: keys that open a whole height also open what was addressed to it and left out, while it "
        "is still valid.",
        description=_described((f"{percent(value)} readable", arm.extracted) for value, arm in swept),
        x=Axis(label="share of waiting transactions that is readable", share=True, digits=0),
        y=_BPS,
        series=series,
    )
    return Section(title="Keys that open what was left out", blocks=(figure,))


def _metadata(run: _Run) -> Section | None:
    groups = []
    for prefix, title in (
        ("T7e", "Tips and gas limits"),
        ("T7f", "Length of the ciphertext"),
    ):
        arms = run.family(prefix)
        if arms:
            bars = tuple(Bar(label=arm.name, estimate=arm.extracted) for arm in arms)
            groups.append(BarGroup(title=title, bars=bars, tone=PURPLE))
    if not groups:
        return None
    figure = Intervals(
        title="What padding and the gas ladder are worth",
        caption="The attacker learned from revealed blocks what the public marks of an envelope went with, and bets on "
        "it. In each pair the protection is on once and off once.",
        description=_described((bar.label, bar.estimate) for group in groups for bar in group.bars),
        names="Arm",
        axis=_LOG_BPS,
        groups=tuple(groups),
    )
    return Section(title="Padding and the gas ladder", blocks=(figure,))


def _commit_reveal(run: _Run) -> Section | None:
    swept = run.swept("T4")
    if not swept:
        return None
    figure = Curves(
        title="Extraction by the deposit on an unopened commitment",
        caption="The arms T4: users open their own commitments, and so does the attacker, last and only those that "
        "pay. A deposit must make not opening dear.",
        description=_described((f"deposit {value:g} ETH", arm.extracted) for value, arm in swept),
        x=Axis(label="deposit per commitment, ETH"),
        y=_BPS,
        series=(Series(name="measured", points=tuple((x, arm.extracted) for x, arm in swept), tone=AMBER),),
        references=run.references(),
    )
    return Section(title="Commitments that users open themselves", blocks=(figure,))


def _residual(run: _Run) -> Section | None:
    listed = {
        fields.get("arm", _text): fields.get("extracted_bps", _estimate)
        for fields in run.fields.some("residuals", _fields)
    }
    groups = tuple(
        BarGroup(title=title, tone=tone, bars=bars)
        for title, tone, arms in run.grouped()
        if (bars := tuple(Bar(label=arm.name, estimate=listed[arm.id]) for arm in arms if arm.id in listed))
    )
    left = [(arm, found) for arm in run.arms.values() if (found := arm.estimate("backrun_bps")) is not None]
    if not groups and not left:
        return None
    blocks: list[Block] = [
        Paragraph(
            text="Encryption ends what reading is worth, and nothing else. Who orders can still trade blindly with "
            "price limits, and after the reveal against the prices that users moved; what leaks, and who breaks the "
            "agreement, comes on top."
        )
    ]
    if groups:
        blocks.append(
            Intervals(
                title="Where the attacker still gains",
                caption="The arms, apart from plaintext, whose interval lies above zero.",
                description=_described((bar.label, bar.estimate) for group in groups for bar in group.bars),
                names="Arm",
                axis=_LOG_BPS,
                groups=groups,
            )
        )
    if left:
        welfare = any(arm.estimate("welfare_bps") is not None for arm, _ in left)
        columns = [
            Column(title="Arm", wraps=True),
            Column(title="Left to arbitrage after the block, bps", align="right"),
            *([Column(title="Users' surplus, bps", align="right")] if welfare else []),
        ]
        rows = tuple(
            (arm.cell, spread(found, _bps), *([_spread(arm.estimate("welfare_bps"), _bps)] if welfare else []))
            for arm, found in left
        )
        blocks.append(Table(title="Arbitrage and surplus in every arm", columns=tuple(columns), rows=rows, folded=True))
    return Section(title="What is left to the attacker", blocks=tuple(blocks))


def _strategies(run: _Run) -> Section | None:
    families = [arm for arm in run.arms.values() if any(each.name != arm.strategy for each in arm.strategies)]
    if not families:
        return None
    blocks: list[Block] = [
        Paragraph(
            text="In each arm every strategy was played on training blocks and again on fresh ones. The choice was "
            "made in training alone, and all are reported: the bound of the verdict is over the family, not over "
            "the chosen one."
        )
    ]
    shown = next((arm for arm in families if arm.id == ENCRYPTED), None)
    if shown is not None:
        bars = tuple(Bar(label=each.name, estimate=each.extracted) for each in shown.strategies)
        blocks.append(
            Intervals(
                title=f"Strategies against ciphertexts in arm {shown.id}, {shown.title}",
                caption=f"On fresh blocks, with 95 % intervals. Training chose to play: {shown.strategy}.",
                description=_described((bar.label, bar.estimate) for bar in bars),
                names="Strategy",
                axis=_LOG_BPS,
                groups=(BarGroup(title="", bars=bars, tone=BLUE),),
            )
        )
    columns = (
        Column(title="Strategy", wraps=True),
        Column(title="Training, bps", align="right"),
        Column(title="Extracted, bps", align="right"),
        Column(title="Upper bound, bps", align="right"),
        Column(title="Users lose, bps", align="right"),
        Column(title="Failed volume", align="right"),
        Column(title="Attempts that pay", align="right"),
    )
    groups = tuple(
        RowGroup(title=arm.name, rows=tuple(_strategy_row(each, arm.strategy) for each in arm.strategies))
        for arm in families
    )
    blocks.append(Table(title="Every strategy in every arm", columns=columns, groups=groups, folded=True))
    return Section(title="Strategies tried", blocks=tuple(blocks))


def _strategy_row(each: _Strategy, chosen: str) -> Row:
    return (
        Cell(text=each.name, detail="chosen") if each.name == chosen else each.name,
        _maybe(each.training_bps, _bps),
        spread(each.extracted, _bps),
        _maybe(each.upper_bps, _bps),
        _spread(each.victim_loss, _bps),
        _spread(each.failed_volume, percent),
        _maybe(each.success_rate, percent),
    )


def _ordering(run: _Run) -> Section | None:
    tested = run.fields.maybe("ordering", _fields)
    if tested is None:
        return None
    rows = tuple(
        (
            run.arms[id].cell if id in run.arms else id,
            f"{found.get('blocks', _whole):,}",
            number(found.get("median", _number), 3),
            percent(found.get("share_below_5", _number)),
            _p_value(found.maybe("ks_p", _number)),
        )
        for id, found in tested.all(_fields).items()
    )
    if not rows:
        return None
    columns = (
        Column(title="Arm", wraps=True),
        Column(title="Blocks", align="right"),
        Column(title="Median p", align="right"),
        Column(title="p at most 0.05", align="right"),
        Column(title="Uniform? KS test, p", align="right"),
    )
    note = Paragraph(
        text="Each block's order is compared with random orders of the same block that keep every sender's own "
        "sequence: p is the rank of the attacker's profit among them. If the order carries no content, the median is "
        "near 0.5 and 5 % lie at or below 0.05."
    )
    return Section(
        title="Does the order carry content?",
        blocks=(note, Table(title="Permutation test of realised orders", columns=columns, rows=rows)),
    )


def _detector(run: _Run) -> Section | None:
    found = run.fields.maybe("detector", _fields)
    if found is None:
        return None
    pairs = tuple(
        (name, percent(value))
        for field, name in (("precision", "Detections that are sandwiches"), ("recall", "Sandwiches detected"))
        if (value := found.maybe(field, _number)) is not None
    )
    note = Paragraph(
        text="A detector that sees executed blocks only, as anyone on the chain does, scored against the truth that a "
        "simulation knows."
    )
    blocks: list[Block] = [note]
    if pairs:
        blocks.append(Facts(pairs=pairs))
    false = found.maybe("false_positives_per_1000_blocks", _fields)
    if false is not None and (counts := false.all(_number)):
        columns = (Column(title="Arm", wraps=True), Column(title="Per 1,000 blocks", align="right"))
        rows = tuple((run.arms[id].cell if id in run.arms else id, number(count, 1)) for id, count in counts.items())
        blocks.append(Table(title="False alarms, if any two senders may be one attacker", columns=columns, rows=rows))
    return Section(title="Sandwich detector", blocks=tuple(blocks)) if len(blocks) > 1 else None


def _leak_score(run: _Run) -> Section | None:
    found = run.fields.maybe("leak", _fields)
    if found is None:
        return None
    worlds = [
        (title, tone, {label: models.all(_auc) for label, models in scores.all(_fields).items()})
        for field, title, tone in (
            ("on", "Padded, gas limits on the ladder", BLUE),
            ("off", "Neither padded nor on the ladder", RED),
        )
        if (scores := found.maybe(field, _fields)) is not None
    ]
    scored = [(title, tone, labels) for title, tone, labels in worlds if any(labels.values())]
    if not scored:
        return None
    transactions = found.maybe("transactions", _whole)
    of = f" {transactions:,} transactions;" if transactions is not None else ""
    groups = tuple(
        BarGroup(
            title=title,
            tone=tone,
            bars=tuple(
                Bar(label=f"{label}, {model}", estimate=auc)
                for label, models in labels.items()
                for model, auc in models.items()
            ),
        )
        for title, tone, labels in scored
    )
    figure = Intervals(
        title="How much of a swap can be told from its envelope",
        caption=f"Area under the curve of each guess, half of the blocks for learning and half for measuring;{of} 0.5 "
        "tells nothing, 1 tells all. The intervals of one group hold together with 97.5 % confidence.",
        description=_described((f"{group.title}: {bar.label}", bar.estimate) for group in groups for bar in group.bars),
        names="Guess",
        axis=Axis(label="area under the curve", shown=(0.45, 1.0)),
        groups=groups,
        references=(Reference(value=0.5, label="tells nothing"),),
    )
    guesses = tuple(
        dict.fromkeys((label, model) for *_, labels in scored for label in labels for model in labels[label])
    )
    columns = (
        Column(title="Guess", wraps=True),
        *(Column(title=f"AUC: {title[0].lower()}{title[1:]}", align="right") for title, *_ in scored),
    )
    rows = tuple(
        (
            Cell(text=label, detail=model),
            *(_spread(labels.get(label, {}).get(model), lambda value: number(value, 3)) for *_, labels in scored),
        )
        for label, model in guesses
    )
    return Section(
        title="Leak score", blocks=(figure, Table(title="The same side by side", columns=columns, rows=rows))
    )


def _latency(run: _Run) -> Section | None:
    found = run.fields.maybe("latency", _fields)
    if found is None:
        return None
    delays = []
    for fields in found.some("delays", _fields):
        shares = fields.maybe("stale_share", _fields)
        by_tolerance = {} if shares is None else {_tolerance(name): v for name, v in shares.all(_number).items()}
        others = fields.maybe("move_bps", _number), fields.maybe("lvr_bps", _number)
        delays.append((fields.get("delay_s", _number), by_tolerance, others))
    delays.sort(key=lambda each: each[0])
    tolerances = sorted({tolerance for _, shares, _ in delays for tolerance in shares})
    blocks: list[Block] = []
    pairs = []
    measured = found.maybe("commit_to_reveal_ms", _fields)
    if measured is not None:
        median, p99 = measured.get("median", _number), measured.get("p99", _number)
        text = f"{number(median, 1)} ms in the median, {number(p99, 1)} ms at the 99th percentile"
        pairs.append(("Commitment to reveal", text))
    if (volatility := found.maybe("volatility_per_year", _number)) is not None:
        pairs.append(("Volatility assumed", f"{percent(volatility, 0)} a year"))
    if pairs:
        blocks.append(Facts(pairs=tuple(pairs)))
    if len(delays) > 1 and tolerances:
        seconds = [delay for delay, *_ in delays]
        wide = seconds[0] > 0 and seconds[-1] >= 20 * seconds[0]
        blocks.append(
            Curves(
                title="Quotes that go stale while a transaction waits",
                caption="Chance that the price alone leaves a user's tolerance before execution, by the delay that "
                "ordering adds. No attack is involved.",
                description="; ".join(
                    f"{tolerance:g} bps: "
                    + ", ".join(
                        f"{percent(shares[tolerance])} at {d:g} s" for d, shares, _ in delays if tolerance in shares
                    )
                    for tolerance in tolerances
                ),
                x=Axis(label="delay, seconds", scale="log", note="logarithmic", shown=())
                if wide
                else Axis(label="delay, seconds"),
                y=Axis(label="transactions that fail", share=True, digits=2),
                series=tuple(
                    Series(
                        name=f"tolerance {tolerance:g} bps",
                        tone=(RED, AMBER, BLUE, PURPLE, GREEN)[index % 5],
                        points=tuple(
                            (d, Estimate(mean=shares[tolerance])) for d, shares, _ in delays if tolerance in shares
                        ),
                    )
                    for index, tolerance in enumerate(tolerances)
                ),
            )
        )
    if delays:
        columns = (
            Column(title="Delay"),
            Column(title="Price moves, bps", align="right"),
            *(Column(title=f"Fail at {tolerance:g} bps", align="right") for tolerance in tolerances),
            Column(title="LVR, bps", align="right"),
        )
        rows = tuple(
            (
                f"{delay:g} s",
                _maybe(move, lambda value: number(value, 1)),
                *(_maybe(shares.get(tolerance), lambda share: percent(share, 2)) for tolerance in tolerances),
                _maybe(lvr, lambda value: number(value, 4)),
            )
            for delay, shares, (move, lvr) in delays
        )
        blocks.append(Table(title="The cost of waiting", columns=columns, rows=rows))
        note = (
            "Price moves are standard deviations. LVR, loss versus rebalancing, is what arbitrage takes from a pool's "
            "providers over the delay, of the pool's value."
        )
        blocks.append(Paragraph(text=note))
    return Section(title="What the delay costs", blocks=tuple(blocks)) if blocks else None


def _tolerance(name: str) -> float:
    try:
        return _number(float(name), "latency.delays.stale_share")
    except ValueError:
        raise _wrong("latency.delays.stale_share", "an object named by tolerances in bps") from None


def _control(run: _Run) -> Section | None:
    found = run.fields.maybe("control", _fields)
    if found is None:
        return None
    agrees = found.get("agrees", _flag)
    verdict = "agrees" if agrees else "does not agree"
    pairs = (
        ("Closed form", f"{_bps(found.get('closed_form_bps', _number))} bps"),
        ("Measured", _inline(found.get("measured_bps", _estimate), "bps")),
        ("Verdict", verdict),
    )
    note = Paragraph(
        text="The plaintext figure is what everything is compared with, so it is computed a second time, from the "
        "closed form of the best sandwich in real numbers and with none of the code that plays blocks."
    )
    warning = () if agrees else (Notice(text="The closed form does not agree: do not rely on this run's plaintext."),)
    return Section(title="The plaintext control, checked", blocks=(note, *warning, Facts(pairs=pairs)))


def _verification(run: _Run) -> Section | None:
    found = run.fields.maybe("verification", _fields)
    if found is None:
        return None
    runs, agreed = found.get("runs", _whole), found.get("agreed", _whole)
    scheme, backend = run.fields.maybe("scheme", _text), run.fields.maybe("backend", _text)
    members, threshold = run.fields.maybe("members", _whole), run.fields.maybe("threshold", _whole)
    pairs = [
        ("Blocks run in full", f"{found.get('blocks', _whole):,}"),
        ("Runs that agreed", f"{agreed:,} of {runs:,}"),
    ]
    if scheme is not None:
        how = f"{scheme} on {backend}" if backend is not None else scheme
        committee = f", {threshold} of {members} members" if members is not None and threshold is not None else ""
        pairs.append(("Ciphertexts", how + committee))
    for field, name in (
        ("full_path_blocks_per_second", "Speed in full"),
        ("simulated_blocks_per_second", "Speed of the model"),
    ):
        if (speed := found.maybe(field, _number)) is not None:
            pairs.append((name, f"{_figure(speed)} blocks a second"))
    engine = run.fields.maybe("engine", _text)
    if engine is not None:
        pairs.append(("Engine", _engine(engine)))
    blocks, swaps = found.maybe("engine_blocks", _whole), found.maybe("engine_swaps", _whole)
    if blocks:
        trades = f", {swaps:,} swaps" if swaps is not None else ""
        pairs.append(("Blocks compared on the EVM", f"{blocks:,}{trades}, equal to the wei"))
    note = Paragraph(
        text="Most blocks run on a fast model. A share of them also runs in full: encrypted, ordered as bytes, "
        "revealed by the committee, executed; the attacker decides on the bytes that were recorded, and order and "
        "fills must be those of the model."
    )
    warning = (
        (Notice(text=f"{runs - agreed:,} of {runs:,} full runs differ from the model."),) if agreed != runs else ()
    )
    return Section(title="Verification", blocks=(note, *warning, Facts(pairs=tuple(pairs))))


def _methods(run: _Run) -> Section:
    fields = run.fields
    pairs = []
    blocks, training = fields.maybe("blocks", _whole), fields.maybe("training_blocks", _whole)
    if blocks is not None:
        fresh = f" and {training:,} others for training" if training else ""
        pairs.append(("Blocks", f"{blocks:,}{fresh}; every arm meets the same users in the same order of arrival"))
    users, pools = fields.maybe("users", _whole), fields.maybe("pools", _whole)
    if users is not None and pools is not None:
        pairs.append(("Market", f"{_count(users, 'user', 'users')} a block, {_count(pools, 'pool', 'pools')}"))
    flow = fields.maybe("flow", _fields)
    if flow is not None:
        source, distinct = flow.get("source", _text), flow.maybe("distinct_blocks", _whole)
        what = "sizes and tolerances drawn from quantiles of real trades" if source == "quantiles" else source
        pairs.append(("Users' orders", what + (f", {distinct:,} distinct blocks" if distinct is not None else "")))
    pairs += [
        ("Statistics", "ratios of sums over blocks; BCa bootstrap that resamples blocks, paired over all arms"),
        ("Bound", "one-sided, Bonferroni over all strategies of all arms that claim to leak nothing"),
        ("p", "against the plaintext arm, adjusted by Holm's method"),
    ]
    columns = (
        Column(title="Arm", wraps=True),
        Column(title="Strategy played", wraps=True),
        Column(title="It may", wraps=True),
        Column(title="Order", wraps=True),
        Column(title="Bound, bps", align="right"),
        Column(title="p", align="right"),
        Column(title="Attempts a block", align="right"),
        Column(title="Its transactions a block", align="right"),
        Column(title="Gas it reverts", align="right"),
        Column(title="Copies refused", align="right"),
    )
    table = Table(
        title="How each arm is played",
        folded=True,
        columns=columns,
        groups=tuple(RowGroup(title=title, rows=tuple(map(_method_row, arms))) for title, _, arms in run.grouped()),
    )
    return Section(title="Methods", blocks=(Facts(pairs=tuple(pairs)), table))


def _method_row(arm: _Arm) -> Row:
    refused = arm.fields.maybe("refused_copies", _whole)
    return (
        arm.cell,
        arm.strategy,
        arm.may,
        arm.order,
        _maybe(arm.number("upper_bps"), _bps),
        _p_value(arm.number("p_value")),
        _maybe(arm.number("attempts_per_block"), number),
        _maybe(arm.number("attacker_transactions_per_block"), number),
        _maybe(arm.number("reverted_gas_share"), percent),
        _NONE if refused is None else f"{refused:,}",
    )


def _again(run: _Run) -> Section | None:
    fields = run.fields
    blocks: list[Block] = []
    command = fields.maybe("command", _text)
    if command is not None:
        blocks += [Paragraph(text="The same command gives the same economic figures."), Code(text=command)]
    pairs = []
    if (seed := fields.maybe("seed", _whole)) is not None:
        pairs.append(("Seed", f"{seed}"))
    if (elapsed := fields.maybe("elapsed_s", _number)) is not None:
        pairs.append(("Time taken", _duration(elapsed)))
    machine = fields.maybe("machine", _fields)
    if machine is not None:
        found = machine.all(_scalar)
        words = {"cores": "{} cores", "memory_gib": "{} GiB"}
        pairs.append(("Machine", ", ".join(words.get(name, "{}").format(value) for name, value in found.items())))
    versions = fields.maybe("versions", _fields)
    if versions is not None:
        pairs.append(("Versions", ", ".join(f"{name} {value}" for name, value in versions.all(_scalar).items())))
    if pairs:
        blocks.append(Facts(pairs=tuple(pairs)))
    return Section(title="To run it again", blocks=tuple(blocks)) if blocks else None


# --- words and numbers -----------------------------------------------------------------------------------------------


def _bps(value: float) -> str:
    return number(value, 2)


def _maybe(value: float | None, text: Callable[[float], str]) -> str:
    return _NONE if value is None else text(value)


def _spread(estimate: Estimate | None, text: Callable[[float], str]) -> str | Cell:
    return _NONE if estimate is None else spread(estimate, text)


def _inline(estimate: Estimate, unit: str) -> str:
    low, high = estimate.bounds
    return f"{_bps(estimate.mean)} {unit}, {_bps(low)} to {_bps(high)}"


def _p_value(value: float | None) -> str:
    return _NONE if value is None else "< 0.001" if value < 0.001 else number(value, 3)


def _figure(value: float) -> str:
    return number(value, 0 if abs(value) >= 100 else 1)


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _engine(engine: str) -> str:
    known = {
        "evm": "an EVM that runs the genuine contracts",
        "integer": "integer model of the genuine contracts",
    }
    return known.get(engine, engine)


def _described(points: Iterable[tuple[str, Estimate]]) -> str:
    """For someone who cannot see the figure."""
    return "; ".join(f"{name}: {_inline(estimate, 'bps')}" for name, estimate in points)
