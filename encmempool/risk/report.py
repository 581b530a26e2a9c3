"""The page of a run, for those who decide: what `risk run` wrote, in words, tables and figures. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from encmempool.measure.statistics import Interval
from encmempool.report import (
    BLUE,
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
    Section,
    Series,
    Table,
    number,
    percent,
    significant,
)
from encmempool.risk.assumptions import Assumption
from encmempool.risk.failures import TITLES, Failure
from encmempool.risk.results import BreakEven, DesignResult, Run

_NONE = "–"
_MOST_SWINGS = 12
_COMPONENTS = {
    "bad_debt": "loans frozen",
    "cascade": "cascade after the thaw",
    "arbitrage": "pools gone stale",
    "stale": "orders gone stale",
    "ordering": "order turned against users",
}


def build(run: Run) -> Report:
    sections = (
        _result(run),
        _designs(run),
        _losses(run),
        _failures(run),
        _frozen(run),
        _bonds(run),
        *(_sensitivity(each) for each in _shown(run)),
        _contagion(run),
        _assumptions(run),
        _limits(run),
        _again(run),
    )
    return Report(
        title="What does sequencer risk cost?",
        lead=_lead(run),
        sections=tuple(section for section in sections if section is not None),
    )


def _shown(run: Run) -> tuple[DesignResult, ...]:
    """The designs whose assumptions were moved."""
    return tuple(each for each in run.designs if each.swings) or run.designs[:1]


def _cheapest(run: Run) -> DesignResult:
    return min(run.designs, key=lambda each: each.cost_usd_year)


def _lead(run: Run) -> str:
    stops = run.calibration.stops
    first = _shown(run)[0]
    text = (
        f"Ordering stops {number(stops.per_year)} times a year ({number(stops.low)} to {number(stops.high)} by what "
        f"was reported), for {number(run.calibration.durations.median_minutes, 0)} minutes in the median. With the "
        f"sizes assumed here {first.name} costs users {_usd(first.figures.expected.mean)} in a mean year and "
        f"{_usd(first.figures.shortfall_99.mean)} in the mean of the worst years in a hundred."
    )
    if len(run.designs) > 1:
        best = _cheapest(run)
        text += f" Bonds and nodes included, {best.name} is the cheapest design, at {_usd(best.cost_usd_year)} a year."
    even = next((each for each in run.break_even if each.malicious_per_year is not None), None)
    if even is not None:
        rate = next(each for each in run.assumptions if each.name == "malicious_per_year")
        text += f" Encrypting {_from(even, rate)}."
    return text


def _result(run: Run) -> Section:
    items = []
    for each, tone in zip(_shown(run), (RED, BLUE), strict=False):
        items.append(
            Highlight(
                value=_usd(each.figures.expected.mean), unit="a year", label=f"expected loss, {_title(each)}", tone=tone
            )
        )
    first = _shown(run)[-1]
    items.append(
        Highlight(
            value=_usd(first.figures.shortfall_99.mean),
            unit="",
            label=f"mean of the worst 1 % of years, {_title(first)}",
        )
    )
    items.append(
        Highlight(
            value=_maybe(first.bond_member_usd if first.members else first.bond_sequencer_usd, _usd),
            unit="",
            label="bond of each member" if first.members else "bond of the sequencer",
        )
    )
    closing = Paragraph(
        text="US dollars a year for one rollup. Ranges are 95 % intervals of the drawing alone, for "
        f"{run.years:,} years: how well the assumptions are known is another matter, and the sensitivities show it."
    )
    notices = tuple(Notice(text=f"{text[0].upper()}{text[1:]}.") for text in run.warnings)
    return Section(title="Result", blocks=(Highlights(items=tuple(items)), *notices, closing))


def _designs(run: Run) -> Section:
    columns = _columns(
        "Design", "Down, minutes", "Expected loss", "VaR 95 %", "VaR 99 %", "ES 99 %", "Bonds and nodes", "Cost"
    )
    rows = tuple(
        (
            _title(each),
            number(each.figures.stopped_minutes, 0),
            _cell(each.figures.expected),
            _cell(each.figures.var_95),
            _cell(each.figures.var_99),
            _cell(each.figures.shortfall_99),
            _usd((each.capital_usd_year or 0.0) + each.nodes_usd_year),
            _usd(each.cost_usd_year),
        )
        for each in run.designs
    )
    bars = {
        encrypted: tuple(
            Bar(label=_title(each), estimate=_estimate(each.figures.expected))
            for each in run.designs
            if each.encrypted is encrypted
        )
        for encrypted in (False, True)
    }
    rate = next(each for each in run.assumptions if each.name == "malicious_per_year")
    figure = Intervals(
        title="Expected loss a year by design",
        caption="All designs meet the same failures, durations and prices, so differences are due to the designs.",
        description=_described((each.name, each.figures.expected.mean) for each in run.designs),
        names="Design",
        axis=Axis(label="USD a year", figures=2),
        groups=tuple(
            BarGroup(title=title, bars=bars[encrypted], tone=tone)
            for encrypted, title, tone in ((False, "Order that can be read", RED), (True, "Encrypted", BLUE))
            if bars[encrypted]
        ),
    )
    pays = tuple(
        (f"Encrypting {_spaced(each.readable)}", "never pays" if each.malicious_per_year is None else _from(each, rate))
        for each in run.break_even
    )
    note = Paragraph(
        text="VaR is the loss that a year exceeds with the chance that is left; ES the mean of those years. Cost is "
        "expected loss, the return forgone on bonds, and nodes. Where no bond suffices, none is counted."
    )
    blocks: list[Block] = [Table(title="Risk and cost by design", columns=columns, rows=rows), note, figure]
    if pays:
        blocks += [
            Paragraph(
                text="Encryption costs a committee's nodes and the return on its bonds, and saves what readable order "
                "is worth to whoever abuses it. Which weighs more depends on how often that happens, and nobody "
                "knows: no case is on record, which leaves anything up to the interval's end."
            ),
            Facts(pairs=pays),
        ]
    return Section(title="Designs compared", blocks=tuple(blocks))


def _from(each: BreakEven, rate: Assumption) -> str:
    assert each.malicious_per_year is not None
    upper = "" if rate.high is None else f", up to {number(rate.high)} not excluded"
    return f"pays from {number(each.malicious_per_year, 3)} abuses a year on; {number(rate.value, 3)} assumed{upper}"


def _losses(run: Run) -> Section:
    columns = _columns("Design", *(title.capitalize() for title in _COMPONENTS.values()))
    rows = tuple((_title(each), *(_usd(each.figures.components[name]) for name in _COMPONENTS)) for each in run.designs)
    waterfall = Table(
        title="Who pays for order turned against users",
        columns=_columns("Design", "Bonds pay", "Insurance pays", "Users bear", "Years that exhaust the bonds"),
        rows=tuple(
            (
                _title(each),
                _usd(each.figures.bond_paid),
                _usd(each.figures.insurance_paid),
                _usd(each.figures.uninsured),
                percent(each.figures.bond_exhausted, 3),
            )
            for each in run.designs
        ),
    )
    notes = Paragraph(
        text="Bad debt is what frozen loans no longer cover when prices come back, without feedback; the cascade is "
        "what selling collateral into a market of finite depth adds. Bonds pay for abuse that is noticed and pinned "
        "on its authors, first; then an insurance pool; users bear the rest. Whoever holds stolen keys minds no bond, "
        "so nothing here is deterred: deterrence is the bonds' own section."
    )
    return Section(
        title="Where losses come from",
        blocks=(Table(title="Expected loss a year by cause", columns=columns, rows=rows), waterfall, notes),
    )


def _failures(run: Run) -> Section:
    found = run.calibration
    columns = (
        Column(title="Failure", wraps=True),
        Column(title="Incidents", align="right"),
        Column(title="A year", align="right"),
        Column(title="Mean minutes", align="right"),
        Column(title="Basis", wraps=True),
    )
    rows = tuple(
        (
            Cell(text=each.name, detail=each.title),
            _NONE if each.events is None else f"{each.events}",
            significant(each.per_year)
            if each.low is None or each.high is None
            else Cell(text=significant(each.per_year), detail=f"{significant(each.low)} to {significant(each.high)}"),
            number(each.mean_minutes, 0),
            each.basis,
        )
        for each in run.failures
    )
    durations, d = found.durations, run.derived
    quiet = next(iter(run.designs)).figures.quiet_years
    pairs = (
        ("Halts and pauses", f"{found.stops.events} of {number(found.least_minutes, 0)} minutes or more"),
        ("Watched", f"{number(found.chain_years)} chain-years"),
        (
            "Rate",
            f"{number(found.stops.per_year)} a chain-year, exact Poisson interval {number(found.stops.low)} to "
            f"{number(found.stops.high)}",
        ),
        (
            "Duration",
            f"lognormal, median {number(durations.median_minutes, 0)} minutes, "
            f"mean {number(durations.mean_minutes, 0)}; mu {number(durations.mu, 3)}, sigma "
            f"{number(durations.sigma, 3)}",
        ),
        (
            "Fit",
            f"Kolmogorov-Smirnov p = {number(durations.ks_p, 2)} as often quoted; "
            f"{number(durations.lilliefors_p, 2)} with both parameters fitted",
        ),
        ("Shared cause", f"{found.shared.events} of {found.shared.of} halts whose cause was told, by our reading"),
        (f"Years without a stop, {_title(run.designs[0])}", percent(quiet)),
        ("t members can be bought", percent(d.collusion, 3)),
        ("Fewer than t up, each for itself", f"{d.stall_quorum_unavailability:.1e} of the time"),
    )
    return Section(
        title="How ordering fails",
        blocks=(Facts(pairs=pairs), Table(title="Failures as they were drawn", columns=columns, rows=rows)),
    )


def _frozen(run: Run) -> Section:
    d = run.derived
    book = Table(
        title="Bad debt after six hours without liquidations, by what the price does besides",
        columns=(
            Column(title="Jump of the price's logarithm"),
            Column(title="Bad debt, bps of all debt", align="right"),
        ),
        rows=tuple((number(each.log_jump, 1), significant(each.bad_debt_bps)) for each in d.book),
    )
    finite = [(each.depth, each.price) for each in d.cascade if each.depth is not None]
    figure = Curves(
        title="Where a fall by a tenth ends, by the depth of the market",
        caption="Liquidations sell, the price falls, and more loans are to be liquidated, until nobody is left. "
        "Depth is in units of all collateral.",
        description=_described((f"depth {depth:g}", price) for depth, price in sorted(finite)),
        x=Axis(label="depth, units of all collateral", scale="log", note="logarithmic", shown=()),
        y=Axis(label="final price, relative to before", digits=3),
        series=(
            Series(name="after a fall by a tenth", points=tuple((x, Estimate(mean=y)) for x, y in sorted(finite))),
        ),
    )
    note = Paragraph(
        text=f"Above a depth of {number(d.critical_depth)} no fall sets off sales that feed on themselves; below it "
        "some fall does. What matters most is whether outages and crashes come together, which no data tell: that is "
        "the assumption jump_probability."
    )
    return Section(title="When liquidations are frozen", blocks=(book, figure, note))


def _bonds(run: Run) -> Section:
    columns = _columns("Design", "Sequencer", "Each member", "All, return forgone a year", "Bond at least cost")
    rows: tuple[Row, ...] = tuple(
        (
            _title(each),
            _maybe(each.bond_sequencer_usd, _usd),
            (_NONE if not each.members else _maybe(each.bond_member_usd, _usd)),
            _maybe(each.capital_usd_year, _usd),
            _usd(each.optimum.bond_usd) if each.optimum.bond_usd else "none",
        )
        for each in run.designs
    )
    blocks: list[Block] = [
        Table(title="Bonds with which corruption does not pay", columns=columns, rows=rows),
        Paragraph(
            text="A sequencer that can read gains alone, and its bond covers that. One that cannot read gains what "
            "blind strategies may yield at most, or sells censorship; reading takes t members, who lose t bonds, with "
            "or without the sequencer. Each bond is the larger of two: for one abuse until it is stopped, sized for "
            "all but the rarest gains, and for covert abuse of a few blocks until a sequential detector notices, after "
            f"{number(run.derived.detection_attacks, 1)} attacks in the mean."
        ),
        Notice(
            text="A share released early under its member's own signature is evidence. Members who pool unsigned "
            "shares in silence leave none: then no bond deters, and the cover is insurance, traceable schemes, or "
            "whoever talks."
        ),
    ]
    if any(not each.optimum.bond_usd for each in run.designs):
        blocks.append(
            Paragraph(
                text="At least cost means: the return forgone on bonds and the abuse that they do not deter, together. "
                "Where it says none, abuse by operators is so rare at the assumed rate that capital costs more than it "
                "saves; a bond then is a matter of trust rather than of expectation."
            )
        )
    return Section(title="Bonds", blocks=tuple(blocks))


def _sensitivity(each: DesignResult) -> Section | None:
    if not each.swings:
        return None
    swings = each.swings[:_MOST_SWINGS]
    expected, worst = each.figures.expected.mean, each.figures.shortfall_99.mean
    bars = []
    for swing in swings:
        low, high = min(0.0, *swing.expected), max(0.0, *swing.expected)
        furthest = max(low, high, key=abs)
        bars.append(
            Bar(
                label=f"{swing.name}, {significant(swing.low, 2)} to {significant(swing.high, 2)}",
                estimate=Estimate(mean=expected + furthest, low=expected + low, high=expected + high),
            )
        )
    figure = Intervals(
        title=f"What each assumption is worth: {_title(each)}",
        caption="Expected loss with one assumption moved over its interval and all others kept, on the same years. The "
        "point is the end that changes it most, the dashed line the run's own figure.",
        description=_described((bar.label, bar.estimate.mean) for bar in bars),
        names="Assumption",
        axis=Axis(label="expected loss, USD a year", figures=2),
        groups=(BarGroup(title="", bars=tuple(bars), tone=PURPLE),),
        references=(Reference(value=expected, label=f"as assumed {_usd(expected)}"),),
    )
    table = Table(
        title="The same for the worst 1 % of years",
        folded=True,
        columns=_columns("Assumption", "From", "To", "Expected loss", "ES 99 %"),
        rows=tuple(
            (
                swing.name,
                significant(swing.low, 2),
                significant(swing.high, 2),
                f"{_usd(expected + swing.expected[0])} to {_usd(expected + swing.expected[1])}",
                f"{_usd(worst + swing.shortfall_99[0])} to {_usd(worst + swing.shortfall_99[1])}",
            )
            for swing in each.swings
        ),
    )
    return Section(title=f"Sensitivities: {_title(each)}", blocks=(figure, table))


def _contagion(run: Run) -> Section | None:
    found = {each.name: each for each in run.designs}
    pairs = [
        (each, found[each.name.replace("shared", "centralised", 1)])
        for each in run.designs
        if each.sequencing == "shared" and each.name.replace("shared", "centralised", 1) in found
    ]
    if not pairs:
        return None
    rollups = next(each.value for each in run.assumptions if each.name == "rollups")
    rows = tuple(
        (
            shared.name.removeprefix("shared").lstrip("+").replace("+", ", ") or "plaintext",
            _usd(own.figures.together_es_99),
            _usd(shared.figures.together_es_99),
            number(shared.figures.together_es_99 / own.figures.together_es_99, 2),
        )
        for shared, own in pairs
    )
    table = Table(
        title=f"ES 99 % of {rollups:g} rollups together",
        columns=(
            Column(title="Design"),
            Column(title="Each its own sequencer", align="right"),
            Column(title="One for all", align="right"),
            Column(title="Times", align="right"),
        ),
        rows=rows,
    )
    note = Paragraph(
        text="A failure of a shared sequencer hits all its rollups at once, and after it their loans are liquidated "
        "into the same market. Bad years that hit all at once do not even out, and the cascade is deeper."
    )
    return Section(title="One sequencer for many rollups", blocks=(note, table))


def _assumptions(run: Run) -> Section:
    columns = (
        Column(title="Assumption"),
        Column(title="Value", align="right"),
        Column(title="Interval", align="right"),
        Column(title="Source", wraps=True),
    )
    rows = tuple(
        (
            each.name,
            f"{each.value:,.0f}" if each.value == int(each.value) else significant(each.value),
            _NONE
            if each.low is None or each.high is None
            else f"{significant(each.low, 2)} to {significant(each.high, 2)}",
            each.source,
        )
        for each in run.assumptions
    )
    e = run.extraction
    order = Facts(
        pairs=(
            (
                "Order that can be read",
                f"{number(e.plaintext_bps)} bps of volume, {number(e.plaintext_low)} to {number(e.plaintext_high)}",
            ),
            ("Order that cannot", f"at most {number(e.encrypted_bps)} bps"),
            ("Users lose", f"{number(e.loss_per_gain)} dollars for each that is taken"),
            ("From", e.source),
        )
    )
    return Section(
        title="Assumptions",
        blocks=(
            Paragraph(
                text="What ordering power is worth comes from the experiment; `risk run --measure` takes another."
            ),
            order,
            Table(title="Everything the figures rest on", columns=columns, rows=rows, folded=True),
        ),
    )


def _limits(run: Run) -> Section:
    texts = (
        "Reported outages only, and none shorter than half an hour: rates are lower bounds, and losses with them.",
        "All failures that stop execution share one law of durations, since only halts are frequent enough to fit one.",
        "What is rolled back after a failure is not priced. Nor is what merchants and bridges lose besides trading.",
        "What others than the sequencer take from a readable mempool is no failure of it and not counted. Encryption "
        "saves users that too, so its worth is understated here.",
        "No bond is counted as deterring anybody, and no operator as tempted more by readable order than by encrypted.",
        "Bad debt is taken at the final price of a cascade. Prices that recover make that an upper estimate.",
        "A detector's mean time to notice is Wald's approximation, some percent below the simulated one.",
        f"Failures are these: {'; '.join(TITLES[failure] for failure in Failure)}. What is not listed is not counted.",
    )
    return Section(title="Limits", blocks=tuple(Paragraph(text=text) for text in texts))


def _again(run: Run) -> Section:
    pairs = (
        ("Seed", f"{run.seed}"),
        ("Time taken", f"{run.elapsed_s:.0f} s"),
        ("Machine", ", ".join(f"{name} {value}" for name, value in run.machine.items())),
        ("Versions", ", ".join(f"{name} {value}" for name, value in run.versions.items())),
    )
    return Section(
        title="To run it again",
        blocks=(
            Paragraph(text="The same command gives the same figures. specs/risk.md defines each of them."),
            Code(text=run.command),
            Facts(pairs=pairs),
        ),
    )


# --- words and numbers -----------------------------------------------------------------------------------------------


def _columns(first: str, *numbers: str) -> tuple[Column, ...]:
    return Column(title=first, wraps=True), *(Column(title=title, align="right") for title in numbers)


def _title(design: DesignResult) -> str:
    return _spaced(design.name)


def _spaced(name: str) -> str:
    """So that it can break on a phone."""
    return name.replace("+", ", ")


def _usd(value: float) -> str:
    """Dollars in three figures, in thousands or millions where that is shorter."""
    for size, word in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * size:
            return f"${significant(value / size)}{word}"
    return f"${number(value, 0)}"


def _estimate(interval: Interval) -> Estimate:
    return Estimate(mean=interval.mean, low=interval.low, high=interval.high)


def _cell(interval: Interval) -> str | Cell:
    low, mean, high = map(_usd, (interval.low, interval.mean, interval.high))
    return mean if low == mean == high else Cell(text=mean, detail=f"{low} to {high}")


def _maybe(value: float | None, text: Callable[[float], str]) -> str:
    return "none suffices" if value is None else text(value)


def _described(points: Iterable[tuple[str, float]]) -> str:
    return "; ".join(f"{name}: {significant(value)}" for name, value in points)
