"""One writer of reports, for every command that has one: self-contained HTML and markdown from the same values.

A report is text, facts, tables and figures in sections. Text is plain: nothing in it is markup, whoever wrote it.
The HTML needs no script and no network, follows the reader's light or dark setting and fits a phone; each figure is
drawn twice, for wide and for narrow screens, and carries its numbers as a table. In markdown that table stands alone.
The same report gives the same bytes.
"""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from xml.etree import ElementTree

from encmempool.errors import EnvironmentProblem

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

BLUE, RED, GREEN, PURPLE, AMBER = range(5)
"""The palette's colours, as `tone` names them."""
_MISSING = "–"
_BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


# --- values ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the reader must not miss."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What is typed or printed, line breaks kept."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Names and values, one a line."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Highlight:
    """A number worth large type. `tone` is its colour's index in the palette; None is the text's."""

    value: str
    unit: str
    label: str
    tone: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Highlights:
    """A few numbers that say it all."""

    items: tuple[Highlight, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell with a quieter second line, such as a number and its interval."""

    text: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`wraps` for sentences; other cells stay on one line."""

    title: str
    align: Literal["left", "right"] = "left"
    wraps: bool = False


Row: TypeAlias = tuple[str | Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """Rows under a title of their own."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The first column names its rows. ValueError unless every row has a cell for every column.

    folded    HTML shows it when asked to: for long tables that few need
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = ()
    groups: tuple[RowGroup, ...] = ()
    folded: bool = False

    def __post_init__(self) -> None:
        for row in (*self.rows, *(row for group in self.groups for row in group.rows)):
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title!r}: {len(row)} cells for {len(self.columns)} columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and, if it has one, its interval. ValueError unless finite and ordered.

    The mean may lie outside: bias-corrected intervals of skewed data do that.
    """

    mean: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not all(map(math.isfinite, (self.mean, low, high))) or low > high:
            raise ValueError(f"{self.mean} [{self.low}, {self.high}] is not a number with its interval")

    @property
    def bounds(self) -> tuple[float, float]:
        """The mean itself where there is no interval."""
        return (
            self.mean if self.low is None else self.low,
            self.mean if self.high is None else self.high,
        )

    @property
    def has_interval(self) -> bool:
        return self.low is not None and self.high is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """How a quantity is scaled and written.

    note      said of the axis where it is drawn
    scale     "symlog" is linear between -1 and 1 and logarithmic beyond, for data of both signs
    share     0 to 1, written in percent
    digits    after the decimal point
    figures   significant ones instead, for quantities of very different size
    shown     values the axis reaches whatever the data
    """

    label: str
    note: str = ""
    scale: Literal["linear", "log", "symlog"] = "linear"
    share: bool = False
    digits: int = 2
    figures: int | None = None
    shown: tuple[float, ...] = (0.0,)

    def text(self, value: float) -> str:
        if self.figures is not None:
            return significant(value, self.figures)
        return percent(value, self.digits) if self.share else number(value, self.digits)

    def tick(self, value: float) -> str:
        """As few digits as tell it apart."""
        scaled = 100 * value if self.share else value
        text = number(scaled, next((digits for digits in range(6) if _is_round(scaled, digits)), 6))
        return f"{text} %" if self.share else text

    @property
    def drawn_label(self) -> str:
        return f"{self.label}, {self.note}" if self.note else self.label

    def cell(self, estimate: Estimate) -> str | Cell:
        return spread(estimate, self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A value to compare with, drawn as a line across the figure."""

    value: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row of `Intervals`."""

    label: str
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class BarGroup:
    """Rows of one colour: `tone` is its index in the palette."""

    title: str
    bars: tuple[Bar, ...]
    tone: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """A figure of points with their intervals, one a row.

    title          the question
    caption        what to see in it
    description    the same for someone who cannot
    names          heading of the rows' labels, in the table of numbers
    """

    title: str
    caption: str
    description: str
    names: str
    axis: Axis
    groups: tuple[BarGroup, ...]
    references: tuple[Reference, ...] = ()

    def __post_init__(self) -> None:
        if not all(group.bars for group in self.groups) or not self.groups:
            raise ValueError(f"{self.title!r}: a figure without data")

    def numbers(self) -> Table:
        columns = (Column(title=self.names), Column(title=self.axis.label, align="right"))
        groups = tuple(
            RowGroup(
                title=group.title,
                rows=tuple((bar.label, self.axis.cell(bar.estimate)) for bar in group.bars),
            )
            for group in self.groups
        )
        if len(groups) == 1 and not groups[0].title:
            return Table(title=self.title, columns=columns, rows=groups[0].rows)
        return Table(title=self.title, columns=columns, groups=groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one curve by ascending x. Dashed is for what was not measured."""

    name: str
    points: tuple[tuple[float, Estimate], ...]
    tone: int = 0
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """A figure of quantities over another. Fields as in `Intervals`."""

    title: str
    caption: str
    description: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    references: tuple[Reference, ...] = ()

    def __post_init__(self) -> None:
        if not all(series.points for series in self.series) or not self.series:
            raise ValueError(f"{self.title!r}: a figure without data")

    def numbers(self) -> Table:
        """A row for each x."""
        found = [dict(series.points) for series in self.series]
        return Table(
            title=self.title,
            columns=(
                Column(title=self.x.label),
                *(Column(title=f"{series.name}, {self.y.label}", align="right") for series in self.series),
            ),
            rows=tuple(
                (self.x.tick(x), *(self.y.cell(points[x]) if x in points else _MISSING for points in found))
                for x in sorted({x for points in found for x in points})
            ),
        )


Figure: TypeAlias = Intervals | Curves
Block: TypeAlias = Paragraph | Notice | Code | Facts | Highlights | Table | Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`lead` is the answer, in a sentence or two."""

    title: str
    lead: str
    sections: tuple[Section, ...]


# --- numbers ---------------------------------------------------------------------------------------------------------


def number(value: float, digits: int = 2) -> str:
    """With thousands separated, a true minus sign and no negative zero."""
    text = f"{value:,.{digits}f}"
    if text.startswith("-"):
        return text[1:] if not text.strip("-0.,") else f"−{text[1:]}"
    return text


def significant(value: float, figures: int = 3) -> str:
    """With so many significant figures, or all before the decimal point: never in powers of ten."""
    if value == 0:
        return "0"
    return number(value, max(0, figures - 1 - math.floor(math.log10(abs(value)))))


def percent(share: float, digits: int = 1) -> str:
    """A share of a whole, 0 to 1, in percent."""
    return f"{number(100 * share, digits)} %"


def spread(estimate: Estimate, text: Callable[[float], str]) -> str | Cell:
    """The number, and its interval below it unless it is written like the number."""
    low, high = estimate.bounds
    if text(low) == text(estimate.mean) == text(high):
        return text(estimate.mean)
    return Cell(text=text(estimate.mean), detail=f"{text(low).removesuffix(' %')} to {text(high)}")


def _is_round(value: float, digits: int) -> bool:
    return math.isclose(round(value, digits), value, rel_tol=1e-9, abs_tol=1e-12)


# --- markdown --------------------------------------------------------------------------------------------------------

_MARKUP = re.compile(r"[\\`*_\[\]<>|~$]|&(?=[#A-Za-z])|@|://|(?<=www)\.")
_OPENING = re.compile(r"(#|=|\+|-|:)|\d+(?=[.)])")


def markdown(report: Report) -> str:
    """In GitHub's dialect. Figures are given as their numbers; needs nothing installed."""
    lines = [f"# {_escaped(report.title)}", _line(report.lead)]
    for section in report.sections:
        lines.append(f"## {_escaped(section.title)}")
        lines += [_markdown_block(block) for block in section.blocks]
    return "\n\n".join(lines) + "\n"


def _markdown_block(block: Block) -> str:
    match block:
        case Paragraph(text=text):
            return _line(text)
        case Notice(text=text):
            return f"> **Note:** {_escaped(text)}"
        case Code(text=text):
            return _markdown_code(text)
        case Facts(pairs=pairs):
            return "\n".join(f"- **{_escaped(name)}**: {_escaped(value)}" for name, value in pairs)
        case Highlights(items=items):
            return "\n".join(
                f"- **{_escaped(' '.join(filter(None, (item.value, item.unit))))}** {_escaped(item.label)}"
                for item in items
            )
        case Table():
            return f"**{_escaped(block.title)}**\n\n{_markdown_table(block)}"
        case Intervals() | Curves():
            table = _markdown_table(block.numbers())
            return f"**{_escaped(block.title)}**\n\n{_line(block.caption)}\n\n{table}"


def _markdown_table(table: Table) -> str:
    blank = [""] * (len(table.columns) - 1)
    rows = [[column.title for column in table.columns]]
    lines = [_escaped_row(rows[0]), _row("---:" if column.align == "right" else "---" for column in table.columns)]
    lines += map(_escaped_row, table.rows)
    for group in table.groups:
        lines.append(_row([f"**{_escaped(group.title)}**" if group.title else "", *blank]))
        lines += map(_escaped_row, group.rows)
    return "\n".join(lines)


def _escaped_row(cells: Sequence[str | Cell]) -> str:
    return _row(_escaped(f"{cell.text} ({cell.detail})" if isinstance(cell, Cell) else cell) for cell in cells)


def _row(cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_code(text: str) -> str:
    """A fence longer than any run of backquotes inside."""
    text = _plain(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def _escaped(text: str) -> str:
    """On one line, with nothing in it that markdown would read as more than text."""
    return _MARKUP.sub(_as_text, " ".join(_plain(text).split()))


def _as_text(found: re.Match[str]) -> str:
    match found[0]:
        case "<":
            return "&lt;"
        case "&" | "@" as mark:
            return f"&#{ord(mark)};"
        case "://":
            return "&#58;//"
        case mark:
            return f"\\{mark}"


def _line(text: str) -> str:
    """Escaped, and no heading, list or rule either."""
    escaped = _escaped(text)
    opening = _OPENING.match(escaped)
    if opening is None:
        return escaped
    at = 0 if opening[1] else opening.end()
    return f"{escaped[:at]}\\{escaped[at:]}"


def _plain(text: str) -> str:
    """Without characters that no text has or that reverse its direction; they show as replaced."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if (unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t") or character in _BIDI_CONTROLS
        else character
        for character in text
    )


# --- HTML ------------------------------------------------------------------------------------------------------------

_WIDE_PX, _NARROW_PX = 736, 340
_NUMBER_UNIT = re.compile(r"(?<=\d) (?=%|bps\b)")
_EXTRA = "install the extra: pip install 'encmempool[measure]'"


def html(report: Report) -> str:
    """One file that needs no other. Raises EnvironmentProblem without jinja2 or, for figures, matplotlib."""
    template = _template()
    drawn = iter(range(1, 1 + sum(len(section.blocks) for section in report.sections)))
    sections = [
        {
            "id": f"section-{index}",
            "title": section.title,
            "blocks": [_html_block(block, drawn) for block in section.blocks],
        }
        for index, section in enumerate(report.sections, 1)
    ]
    return template.render(report=report, sections=sections)


_KINDS: dict[type[Block], str] = {
    Paragraph: "paragraph",
    Notice: "notice",
    Code: "code",
    Facts: "facts",
    Highlights: "highlights",
    Table: "table",
    Intervals: "figure",
    Curves: "figure",
}


def _html_block(block: Block, drawn: Iterator[int]) -> dict[str, Any]:
    from markupsafe import escape

    described: dict[str, Any] = {"kind": _KINDS[type(block)], "it": block}
    if isinstance(block, Code):
        described["code"] = escape(_plain(block.text))  # to be copied: not typeset
    if isinstance(block, Intervals | Curves):
        name = f"figure-{next(drawn)}"
        described |= {
            "id": name,
            "numbers": block.numbers(),
            "wide": _svg(block, f"{name}-wide", labelled_by=name, narrow=False),
            "narrow": _svg(block, f"{name}-narrow", labelled_by=name, narrow=True),
        }
    return described


@cache
def _template() -> Template:
    try:
        import jinja2
    except ImportError:
        raise EnvironmentProblem(f"HTML reports need jinja2: {_EXTRA}") from None

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_typeset,
    )
    source = resources.files("encmempool").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)


def _typeset(value: object) -> object:
    """Text for a page: a number stays with its unit. What is ready for the page stays as it is."""
    return _NUMBER_UNIT.sub("\N{NO-BREAK SPACE}", _plain(value)) if type(value) is str else value


# --- figures ---------------------------------------------------------------------------------------------------------

# Colours only matplotlib sees; the drawing refers to the page's variables instead.
_INK, _QUIET, _RULE, _PAPER = "#0000f0", "#0000f1", "#0000f2", "#0000f3"
_TONES = ("#0000a0", "#0000a1", "#0000a2", "#0000a3", "#0000a4")
_MARKERS = ("o", "s", "^", "D", "v")
_VARIABLES = {
    _INK: "var(--ink)",
    _QUIET: "var(--quiet)",
    _RULE: "var(--rule)",
    _PAPER: "var(--paper)",
    **{tone: f"var(--tone-{index})" for index, tone in enumerate(_TONES)},
}
_NORMAL, _SMALL = 12.5, 11.5
_CHARACTER_PX = 6.5  # at the normal size, a little more than most fonts need
_LINE_PX, _BAR_PX = 16, 22
_DASHES = (4, 3)
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "encmempool",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": ["DejaVu Sans"],
    "font.size": _NORMAL,
    "text.color": _INK,
    "axes.labelcolor": _QUIET,
    "axes.edgecolor": _RULE,
    "axes.facecolor": "none",
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _QUIET,
    "ytick.labelcolor": _QUIET,
    "legend.labelcolor": _INK,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_POINTS_PER_INCH = 72  # so that matplotlib's points are the page's pixels
_SYMLOG = {"linthresh": 1.0, "linscale": 0.8}


def _svg(figure: Figure, prefix: str, *, labelled_by: str, narrow: bool) -> Markup:
    """The drawing as an element to stand in a page: no size, no fonts, no colours and no names but its own."""
    with _matplotlib():
        match figure:
            case Intervals():
                canvas = _draw_intervals(figure, narrow=narrow)
            case Curves():
                canvas = _draw_curves(figure, narrow=narrow)
        written = BytesIO()
        canvas.figure.savefig(written, format="svg", transparent=True, metadata=_NO_METADATA)
    return _inlined(written.getvalue(), prefix, labelled_by=labelled_by, description=_plain(figure.description))


@contextmanager
def _matplotlib() -> Iterator[None]:
    try:
        import matplotlib
    except ImportError:
        raise EnvironmentProblem(f"figures need matplotlib: {_EXTRA}") from None

    # Its own settings may come from a file of the user's.
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glyphs its font lacks; the page's fonts draw them
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class _Canvas:
    """A figure measured in pixels from its upper left corner."""

    figure: Any
    width: float
    height: float

    @classmethod
    def make(cls, width: float, height: float) -> _Canvas:
        from matplotlib.figure import Figure as Drawing

        size = (width / _POINTS_PER_INCH, height / _POINTS_PER_INCH)
        return cls(figure=Drawing(figsize=size, dpi=_POINTS_PER_INCH), width=width, height=height)

    def axes(self, *, left: float, right: float, top: float, bottom: float) -> Any:
        w, h = self.width, self.height
        axes = self.figure.add_axes((left / w, 1 - bottom / h, (right - left) / w, (bottom - top) / h))
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.tick_params(labelsize=_SMALL)
        return axes

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        side: Literal["left", "right", "center"] = "left",
        color: str = _INK,
        weight: Literal["normal", "bold"] = "normal",
        size: float = _NORMAL,
    ) -> None:
        """The baseline lies a third of the size below y: no font has to be asked."""
        self.figure.text(
            x / self.width,
            1 - (y + 0.35 * size) / self.height,
            _plain(text),
            ha=side,
            va="baseline",
            color=color,
            weight=weight,
            fontsize=size,
        )

    def rule(self, x: tuple[float, float], y: float, **how: Any) -> None:
        from matplotlib.lines import Line2D

        xs, ys = [each / self.width for each in x], [1 - y / self.height] * 2
        self.figure.add_artist(Line2D(xs, ys, **how))


def _draw_intervals(figure: Intervals, *, narrow: bool) -> _Canvas:
    """A row a bar: label, interval and number side by side, or on a narrow screen the interval below the two."""
    width = _NARROW_PX if narrow else _WIDE_PX
    margin = 8.0 if narrow else 0.0
    bars = [bar for group in figure.groups for bar in group.bars]
    values = [figure.axis.text(bar.estimate.mean) for bar in bars]
    value_px = 7.5 * max(map(len, values)) + 12
    room = int((width - 2 * margin - value_px) / _CHARACTER_PX) if narrow else 46
    labels = [_wrapped(bar.label, room) for bar in bars]
    longest = max(len(line) for label in labels for line in label)
    left = margin if narrow else _CHARACTER_PX * longest + 16
    right = width - margin if narrow else width - value_px
    heights = [_LINE_PX * len(label) + (_BAR_PX if narrow else 8) for label in labels]
    titled, bottom, top = 34.0, 46, 22 if figure.references else 2
    tall = sum(heights) + sum(titled for group in figure.groups if group.title) + 6
    canvas = _Canvas.make(width, top + tall + bottom)
    axes = canvas.axes(left=left, right=right, top=top, bottom=top + tall)
    axes.set_ylim(tall, 0)
    axes.set_yticks([])
    drawn = [value for bar in bars for value in (bar.estimate.mean, *bar.estimate.bounds)]
    _scale(axes, "x", figure.axis, [*drawn, *(each.value for each in figure.references)], most=4 if narrow else 6)
    _describe_x(canvas, figure.axis, left, right)
    if figure.axis.scale == "symlog" or min(drawn) <= 0 <= max(drawn):
        axes.axvline(0, color=_QUIET, linewidth=0.8, zorder=1)
    for reference in figure.references:
        axes.axvline(reference.value, color=_INK, linewidth=1, dashes=_DASHES, zorder=2)
        across = axes.transData.transform((reference.value, 0))[0]
        _write_near(canvas, across, 8, reference.label)
    y, rows = float(top), iter(zip(labels, values, heights, strict=True))
    for group in figure.groups:
        if group.title:
            canvas.write(margin, y + titled - 12, group.title, weight="bold")
            y += titled
        for bar in group.bars:
            label, value, height = next(rows)
            first = y + (height - _LINE_PX * (len(label) - 1)) / 2 if not narrow else y + _LINE_PX / 2 + 2
            for line, text in enumerate(label):
                canvas.write(margin, first + _LINE_PX * line, text)
            canvas.write(width - margin, first if narrow else y + height / 2, value, side="right")
            bar_y = y + height - _BAR_PX / 2 if narrow else y + height / 2
            _draw_estimate(axes, bar.estimate, bar_y - top, color=_tone(group.tone))
            y += height
    return canvas


def _draw_estimate(axes: Any, estimate: Estimate, y: float, *, color: str) -> None:
    if estimate.has_interval:
        axes.plot(estimate.bounds, (y, y), color=color, linewidth=2.4, solid_capstyle="round", zorder=3)
    axes.plot((estimate.mean,), (y,), linestyle="none", zorder=4, **_marker("o", color, size=7, edge=0))


def _wrapped(text: str, room: int) -> list[str]:
    """Two lines at most."""
    lines = textwrap.wrap(_plain(text), room, max_lines=2, placeholder=" …")
    return lines or [""]


def _draw_curves(figure: Curves, *, narrow: bool) -> _Canvas:
    """The key and the name of the vertical axis lie above: nothing is turned and nothing covers the data."""
    width, tall = (_NARROW_PX, 220.0) if narrow else (_WIDE_PX, 280.0)
    keys = _rows_of_keys(figure.series, width)
    top, bottom = 22.0 * len(keys) + 34, 46
    heights = [value for series in figure.series for _, each in series.points for value in (each.mean, *each.bounds)]
    heights += [each.value for each in figure.references]
    left = 12.0 + 7 * max(len(figure.y.text(value).partition(".")[0]) + 2 for value in heights)
    canvas = _Canvas.make(width, top + tall + bottom)
    axes = canvas.axes(left=left, right=width - 16, top=top, bottom=top + tall)
    _scale(axes, "y", figure.y, heights, most=5)
    _scale(axes, "x", figure.x, [x for series in figure.series for x, _ in series.points], most=4 if narrow else 7)
    canvas.write(0, top - 16, figure.y.drawn_label, color=_QUIET, size=_SMALL)
    _describe_x(canvas, figure.x, left, width - 16)
    for index, series in enumerate(figure.series):
        color = _QUIET if series.dashed else _tone(series.tone)
        xs, means = [x for x, _ in series.points], [each.mean for _, each in series.points]
        if any(each.has_interval for _, each in series.points):
            lows, highs = zip(*(each.bounds for _, each in series.points), strict=True)
            axes.fill_between(xs, lows, highs, color=color, alpha=0.18, linewidth=0, zorder=2)
        dashes = {"dashes": _DASHES} if series.dashed else {}
        axes.plot(xs, means, color=color, linewidth=1.2 if series.dashed else 2, zorder=3, **dashes)
        if not series.dashed:
            axes.plot(xs, means, linestyle="none", zorder=4, **_marker(_MARKERS[index % len(_MARKERS)], color))
    for reference in figure.references:
        axes.axhline(reference.value, color=_INK, linewidth=1, dashes=_DASHES, zorder=2)
        high = top + tall - axes.transData.transform((0, reference.value))[1] + bottom
        _write_reference(canvas, figure, reference, y=high - 9, left=left, right=width - 16)
    _draw_keys(canvas, keys)
    return canvas


def _rows_of_keys(series: Sequence[Series], width: float) -> list[list[tuple[float, int, Series]]]:
    """Where each name goes: as many a row as fit. None for a single curve, which the title names."""
    if len(series) < 2:
        return []
    rows: list[list[tuple[float, int, Series]]] = [[]]
    x = 0.0
    for index, each in enumerate(series):
        wide = 34 + _CHARACTER_PX * len(each.name) + 18
        if rows[-1] and x + wide > width:
            rows.append([])
            x = 0.0
        rows[-1].append((x, index, each))
        x += wide
    return rows


def _draw_keys(canvas: _Canvas, rows: Sequence[Sequence[tuple[float, int, Series]]]) -> None:
    for line, row in enumerate(rows):
        y = 10.0 + 22 * line
        for x, index, series in row:
            color = _QUIET if series.dashed else _tone(series.tone)
            if series.dashed:
                canvas.rule((x + 1, x + 25), y, color=color, linewidth=1.2, dashes=_DASHES)
            else:
                canvas.rule((x + 1, x + 25), y, color=color, linewidth=2)
                canvas.rule((x + 13, x + 13), y, linestyle="none", **_marker(_MARKERS[index % len(_MARKERS)], color))
            canvas.write(x + 34, y, _shortened(series.name, 46))


def _write_reference(
    canvas: _Canvas, figure: Curves, reference: Reference, *, y: float, left: float, right: float
) -> None:
    """At the end where the curves are further away."""
    gaps = [
        min(abs(series.points[end][1].mean - reference.value) for series in figure.series if not series.dashed)
        for end in (0, -1)
    ]
    if gaps[0] >= gaps[1]:
        canvas.write(left + 6, y, reference.label, size=_SMALL)
    else:
        canvas.write(right, y, reference.label, side="right", size=_SMALL)


def _write_near(canvas: _Canvas, x: float, y: float, text: str) -> None:
    """Centred on x as far as the figure's edges allow."""
    half = _CHARACTER_PX * len(text) / 2
    if x - half < 0:
        canvas.write(0, y, text, size=_SMALL)
    elif x + half > canvas.width:
        canvas.write(canvas.width, y, text, size=_SMALL, side="right")
    else:
        canvas.write(x, y, text, size=_SMALL, side="center")


def _describe_x(canvas: _Canvas, axis: Axis, left: float, right: float) -> None:
    half = _CHARACTER_PX * len(axis.drawn_label) / 2
    middle = min(max((left + right) / 2, half), canvas.width - half)
    canvas.write(middle, canvas.height - 10, axis.drawn_label, side="center", color=_QUIET, size=_SMALL)


def _scale(axes: Any, which: Literal["x", "y"], axis: Axis, values: Sequence[float], *, most: int) -> None:
    """Limits around the values, about `most` ticks, quiet lines across at each."""
    from matplotlib.ticker import FixedLocator, FuncFormatter

    within = (*values, *axis.shown)
    low, high = min(within), max(within)
    if axis.scale == "log" and low <= 0:
        raise ValueError(f"{axis.label!r} is logarithmic and reaches {low:g}")
    line = axes.xaxis if which == "x" else axes.yaxis
    match axis.scale:
        case "symlog":
            getattr(axes, f"set_{which}scale")("symlog", **_SYMLOG)
            limits = (_beyond(low, -1), _beyond(high, 1))
            ticks = _decades(*limits)
        case "log":
            getattr(axes, f"set_{which}scale")("log")
            limits = (low / 1.3, high * 1.3)
            ticks = sorted(set(values)) if len(set(values)) <= most else _powers(*limits)
        case "linear":
            room = 0.05 * (high - low or 1)
            limits = (low if which == "y" and low == 0 else low - room, high + room)
            ticks = _round_steps(low, high, most)
    getattr(axes, f"set_{which}lim")(limits)
    line.set_major_locator(FixedLocator(ticks))
    line.set_minor_locator(FixedLocator(()))
    line.set_major_formatter(FuncFormatter(lambda value, _: axis.tick(value)))
    axes.tick_params(axis=which, length=0, pad=6)
    axes.grid(axis=which, color=_RULE, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    if low < 0 < high and which == "y":
        axes.axhline(0, color=_QUIET, linewidth=0.8, zorder=1)


def _beyond(value: float, sign: Literal[-1, 1]) -> float:
    """A limit that leaves room past a value on a symlog axis."""
    reach = max(sign * value, 0.0)
    return sign * (1.5 * reach if reach > 1 else reach + 0.4)


def _decades(low: float, high: float) -> list[float]:
    """0, ±1, ±10 … within the limits; every other power where there are many."""
    ticks = [0.0]
    for sign, limit in ((-1, -low), (1, high)):
        power = 0
        while 10**power <= limit:
            ticks.append(float(sign * 10**power))
            power += 1
    if len(ticks) > 9:
        ticks = [tick for tick in ticks if not tick or round(math.log10(abs(tick))) % 2 == 0]
    return sorted(ticks)


def _powers(low: float, high: float) -> list[float]:
    """Of ten, within the limits; with twice and five times them where that is less than two decades."""
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)]
    steps = (1, 2, 5) if high < 100 * low else (1,)
    return [step * power for power in powers for step in steps if low <= step * power <= high]


def _round_steps(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    from matplotlib.ticker import MaxNLocator

    inside = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    slack = 1e-9 * (high - low or 1)
    return [float(tick) for tick in inside if low - slack <= tick <= high + 0.05 * (high - low) + slack]


def _marker(shape: str, color: str, *, size: float = 8, edge: float = 1.4) -> dict[str, Any]:
    return {
        "marker": shape,
        "markersize": size,
        "markerfacecolor": color,
        "markeredgecolor": _PAPER,
        "markeredgewidth": edge,
    }


def _tone(index: int) -> str:
    return _TONES[index % len(_TONES)]


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


# --- from matplotlib's file to an element of a page ------------------------------------------------------------------

_UNWANTED_STYLES = ("font", "font-family", "font-size")
_FONT_SIZE = re.compile(r"(?<![\w.])([\d.]+)px")
_FRACTION = re.compile(r"-?\d+\.\d+")
_KEPT = ("d", "x", "y", "width", "height", "viewBox")


def _inlined(file: bytes, prefix: str, *, labelled_by: str, description: str) -> Markup:
    """A page's colours, fonts and names instead of the file's own; no clipping, for nothing is drawn outside."""
    from markupsafe import Markup

    root = ElementTree.fromstring(file.partition(b"<svg")[1] + file.partition(b"<svg")[2])
    names: dict[str, str] = {}
    for element in root.iter():
        target = element.get("{http://www.w3.org/1999/xlink}href")
        if target is not None:
            names.setdefault(target[1:], f"{prefix}-{len(names) + 1}")
    described = ElementTree.Element("desc", {"id": f"{prefix}-description"})
    described.text = description
    shown = [child for child in root if not any(each.tag.endswith(("}style", "}clipPath")) for each in child)]
    drawing = ElementTree.Element(
        "svg",
        {
            "viewBox": root.attrib["viewBox"],
            "role": "img",
            "aria-labelledby": f"{labelled_by}-title",
            "aria-describedby": f"{prefix}-description",
        },
    )
    drawing.append(described)
    drawing.extend(_cleaned(child, names) for child in shown)
    return Markup(ElementTree.tostring(drawing, encoding="unicode"))


def _cleaned(element: ElementTree.Element, names: dict[str, str]) -> ElementTree.Element:
    attributes: dict[str, str] = {}
    for name, value in element.attrib.items():
        match name.rpartition("}")[2]:
            case "id" if value in names:
                attributes["id"] = names[value]
            case "href":
                attributes["href"] = f"#{names[value[1:]]}"
            case "style":
                attributes["style"] = _restyled(value)
            case kept if kept in _KEPT:
                attributes[kept] = _rounded(value)
            case "transform" if not value.startswith("rotate(-0 "):
                attributes["transform"] = _rounded(value)
    copy = ElementTree.Element(element.tag.rpartition("}")[2], attributes)
    if element.text and element.text.strip():
        copy.text = element.text
    copy.extend(_cleaned(child, names) for child in element)
    return copy


def _restyled(style: str) -> str:
    """The page's variables for colours, its fonts in the figure's size."""
    kept = []
    for declaration in style.split("; "):
        name, _, value = declaration.partition(": ")
        if name in _UNWANTED_STYLES:
            size = _FONT_SIZE.search(value)
            if size is not None:
                kept.append(f"font-size: {size[1]}px")
        else:
            kept.append(f"{name}: {_VARIABLES.get(value, value)}")
    return "; ".join(kept)


def _rounded(text: str) -> str:
    """A hundredth of a pixel is enough; line breaks of path data become spaces."""
    return _FRACTION.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), " ".join(text.split()))
