"""The report writer, and the experiment's report made with it."""

from __future__ import annotations

import builtins
import copy
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from math import erfc, sqrt
from pathlib import Path
from typing import Any

import pytest

from encmempool import report as writer
from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.measure.report import build, load
from encmempool.report import (
    Axis,
    Bar,
    BarGroup,
    Code,
    Column,
    Curves,
    Estimate,
    Facts,
    Figure,
    Highlight,
    Highlights,
    Intervals,
    Notice,
    Paragraph,
    Report,
    Section,
    Series,
    Table,
    html,
    markdown,
    number,
    significant,
)

HOSTILE = (
    "<script>alert(1)</script> & \"quotes\" 'n' $x^{2$ | `code` **bold** [a](http://evil.example) \x1b[31m\u202e\ud800"
)


# --- a document as `measure run` writes it ---------------------------------------------------------------------------


def interval(mean: float, half: float | None = None) -> dict[str, float]:
    reach = abs(mean) * 0.08 if half is None else half
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


def strategy(name: str, mean: float, loss: float, failed: float, success: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "training_bps": round(mean * 1.03, 4),
        "extracted_bps": interval(mean),
        "upper_bps": mean + abs(mean) * 0.1,
        "victim_loss_bps": interval(loss),
        "failed_volume": interval(failed),
        "success_rate": success,
    }


BLIND = [
    strategy("abstain", 0.0, 0.0, 0.0, None),
    strategy("blind bracket 0.0001", -0.23, 0.02, 0.003, 0.29),
    strategy("blind bracket 0.001", -2.27, 0.8, 0.032, 0.24),
    strategy("blind bracket 0.003", -11.7, 4.3, 0.112, 0.15),
    strategy("blind bracket 0.01", -73.9, -18.6, 0.235, 0.07),
    strategy("blind spam 1", -2.5, 0.1, 0.009, 0.15),
    strategy("blind spam 5", -11.7, 0.3, 0.018, 0.06),
    strategy("blind spam 20", -44.1, 0.2, 0.033, 0.02),
    strategy("read the bytes", 0.0, 0.0, 0.0, None),
]


def arm(
    title: str,
    group: str,
    mean: float,
    *,
    loss: float | None = None,
    failed: float = 0.0,
    success: float | None = 1.0,
    played: str = "greedy sandwich",
    sees: str = "recorded bytes",
    parameter: tuple[str, float, str] | None = None,
    strategies: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    plain = 97.1
    return {
        "title": title,
        "group": group,
        "sees": sees,
        "may": "insert its own anywhere",
        "order": "arrival, the sequencer's choice",
        "parameter": parameter and dict(zip(("name", "value", "unit"), parameter, strict=True)),
        "strategy": played,
        "extracted_bps": interval(mean),
        "victim_loss_bps": interval(mean * 1.26 if loss is None else loss),
        "failed_volume": interval(failed),
        "welfare_bps": interval(61.0 - mean * 1.2, 3.0),
        "backrun_bps": interval(158.8 - mean / 25, 6.0),
        "success_rate": success,
        "advantage": interval(mean / plain),
        "upper_bps": mean + abs(mean) * 0.1 if group == "encrypted" else None,
        "p_value": None if group == "control" else 0.0004,
        "attempts_per_block": 0.0 if mean == 0 else 1.21,
        "attacker_transactions_per_block": 0.0 if mean == 0 else 2.42,
        "reverted_gas_share": 0.0,
        "refused_copies": 40 if title.startswith("a claim") else 0,
        "strategies": strategies or [strategy(played, mean, mean * 1.26, failed, success)],
    }


def stale(delay_s: float) -> dict[str, Any]:
    deviation = 0.8 * sqrt(delay_s / 31_557_600)
    shares = {f"{bps}": erfc(bps / 1e4 / deviation / sqrt(2)) / 2 for bps in (10, 50, 100)}
    lvr = 0.8**2 / 8 * delay_s / 31_557_600 * 1e4
    return {"delay_s": delay_s, "move_bps": 1e4 * deviation, "stale_share": shares, "lvr_bps": lvr}


def auc(value: float) -> dict[str, float]:
    return {"auc": value, "low": max(0.0, value - 0.024), "high": min(1.0, value + 0.024)}


def sample_document() -> dict[str, Any]:
    """Figures near those of research, measurement, section 6.2."""
    every, idle = "every order", {"played": "abstain", "success": None}
    leaked = [strategy("nothing", 0.0, 0.0, 0.0, None), strategy("sandwich what leaked", 29.1, 35.0, 0.0, 1.0)]
    nets = [
        strategy("nothing", 0.0, 0.0, 0.0, None),
        strategy("net bracket 0.001", 3.1, 5.0, 0.05, 0.44),
        strategy("net bracket 0.003", 8.2, 16.9, 0.166, 0.41),
        strategy("net bracket 0.01", -31.0, 22.0, 0.29, 0.2),
    ]
    arms = {
        "C0": arm("no attacker", "control", 0.0, sees="nothing", **idle),
        "C1": arm("plaintext, greedy sequencer", "control", 97.1, sees=every, failed=0.0007),
        "C2": arm("plaintext, race for the next place", "control", 38.7, sees=every, success=0.49, failed=0.001),
        "C3": arm("plaintext, random order", "control", 29.4, sees=every, success=0.96, failed=0.11, played="spam 50"),
        "T1": arm("encrypted, order of arrival", "encrypted", 0.0, strategies=BLIND, **idle),
        "T2": arm("encrypted, random order", "encrypted", 0.0, strategies=BLIND[:3] + BLIND[5:8], **idle),
        "T3": arm("encrypted, highest tip first", "encrypted", 0.0, **idle),
        **{
            f"T4/D={ether:g}": arm(
                f"users open their commitments, deposit {ether:g} ETH",
                "residual",
                mean,
                sees="hashes, then every opening before its own",
                parameter=("D", ether, "ETH"),
                played="open what pays",
            )
            for ether, mean in ((0.0, 97.1), (0.01, 89.4), (0.1, 19.5), (0.5, 0.0))
        },
        **{
            f"T5/q={share:g}": arm(
                f"epoch keys, {100 * share:g} % of what waits already open",
                "leak",
                mean,
                sees=f"{100 * share:g} % of the orders, bytes of the others",
                parameter=("q", share, "share"),
                strategies=leaked,
                played="sandwich what leaked",
            )
            for share, mean in ((0.01, 1.1), (0.05, 6.6), (0.25, 29.1), (0.5, 51.3))
        },
        "T6/t'=2": arm(
            "2 of 4 members collude, 3 open",
            "encrypted",
            0.0,
            parameter=("t'", 2.0, "members"),
            strategies=BLIND,
            **idle,
        ),
        "T6/t'=3": arm("3 of 4 members collude, 3 open", "leak", 97.1, parameter=("t'", 3.0, "members")),
        "T7a": arm("leak: net direction of the block", "leak", 8.2, strategies=nets, played="net bracket 0.003"),
        "T7b": arm("leak: pool and direction of each", "leak", 0.0, sees="pool and direction of each", **idle),
        "T7c": arm("leak: pool, direction and size of each", "leak", 55.0, failed=0.052, played="guess 50 bps"),
        "T7d": arm("leak: senders with known habits", "leak", 12.4, played="the sender 0.7", success=0.6),
        "T7e/ladder": arm("leak: tips follow size; gas on the ladder", "leak", 0.31, played="fee and gas 0.7"),
        "T7e/open": arm("leak: tips follow size; exact gas limits", "leak", 4.8, played="fee and gas 0.7"),
        "T7f/padded": arm("leak: padded ciphertexts", "leak", 0.0, **idle),
        "T7f/open": arm("leak: ciphertexts as long as their payload", "leak", 21.7, played="the ciphertext's size 0.7"),
        **{
            f"T8/p={value:g}": arm(
                f"contracts that read the chain inside the block, persistence {value:g}",
                "residual",
                mean,
                parameter=("p", value, "correlation"),
                success=0.08,
                played="follow 30 bps",
            )
            for value, mean in ((0.0, -7.0), (0.9, -4.4))
        },
        "T9": arm("a claim that only the first gets, encrypted", "encrypted", 0.0, **idle),
        "T9/plaintext": arm(
            "a claim that only the first gets, in plaintext", "control", 14.2, sees=every, played="copy"
        ),
        "T10": arm("blind back-runs with price limits", "residual", 41.6, loss=0.4, played="back-run", success=0.62),
        "D1": arm("plaintext, limits set against sandwiches", "rival", 0.42, sees=every, failed=0.021),
    }
    return {
        "schema": "encmempool.measure/1",
        "seed": 1,
        "blocks": 2000,
        "training_blocks": 1000,
        "users": 12,
        "pools": 1,
        "flow": {"source": "quantiles", "distinct_blocks": None},
        "scheme": "tdh2",
        "backend": "arkworks",
        "members": 4,
        "threshold": 3,
        "engine": "integer",
        "verify_fraction": 0.02,
        "arms": arms,
        "equivalence": {
            "upper_bps": 0.0,
            "strategy": "T1 abstain",
            "delta_bps": 1.0,
            "share_of_plaintext": 0.0,
            "family": 14,
            "level": 0.975,
            "passed": True,
        },
        "control": {"closed_form_bps": 97.6, "measured_bps": interval(97.1), "agrees": True},
        "ordering": {
            "C1": {"blocks": 400, "median": 0.025, "share_below_5": 0.75, "ks_p": 0.0},
            "T1": {"blocks": 400, "median": 0.498, "share_below_5": 0.049, "ks_p": 0.66},
            "T2": {"blocks": 400, "median": 0.507, "share_below_5": 0.058, "ks_p": 0.61},
        },
        "detector": {
            "precision": 0.98,
            "recall": 0.9,
            "false_positives_per_1000_blocks": {"C0": 0.0, "T1": 12.0},
        },
        "leak": {
            "transactions": 4000,
            "models": ["logistic regression", "gradient boosting"],
            "on": {
                "pool": {"logistic regression": auc(0.503), "gradient boosting": auc(0.494)},
                "direction": {"logistic regression": auc(0.512), "gradient boosting": auc(0.499)},
                "size": {"logistic regression": auc(0.489), "gradient boosting": auc(0.507)},
            },
            "off": {
                "pool": {"logistic regression": auc(0.998), "gradient boosting": auc(1.0)},
                "direction": {"logistic regression": auc(0.971), "gradient boosting": auc(0.993)},
                "size": {"logistic regression": auc(0.71), "gradient boosting": auc(0.824)},
            },
        },
        "latency": {
            "delays": [stale(delay) for delay in (0.25, 1.0, 12.0, 60.0, 180.0)],
            "commit_to_reveal_ms": {"median": 40.0, "p99": 60.0},
            "volatility_per_year": 0.8,
        },
        "verification": {
            "blocks": 40,
            "runs": 520,
            "agreed": 520,
            "full_path_blocks_per_second": 14.2,
            "engine_blocks": 0,
            "engine_swaps": 0,
            "simulated_blocks_per_second": 2500.0,
        },
        "residuals": [
            {"arm": "T10", "extracted_bps": interval(41.6)},
            {"arm": "T8/p=0.9", "extracted_bps": interval(-4.4)},
        ],
        "warnings": ["T10 was chosen on 1,000 training blocks only: its interval is wide."],
        "command": "encmempool measure run --blocks 2000 --arms all --seed 1",
        "machine": {"processor": "AMD EPYC", "cores": 2, "memory_gib": 23.5, "system": "Linux x86_64"},
        "versions": {"python": "3.11.7", "encmempool": "0.1.0", "numpy": "2.4.6", "coincurve": "21.0.0"},
        "elapsed_s": 103.0,
    }


def few_arms() -> dict[str, Any]:
    """What `--arms C1,T1` leaves."""
    document = sample_document()
    for name in (
        "equivalence",
        "control",
        "ordering",
        "detector",
        "leak",
        "latency",
        "verification",
        "residuals",
        "warnings",
    ):
        del document[name]
    document["arms"] = {id: document["arms"][id] for id in ("C1", "T1")}
    return document


@pytest.fixture(scope="module")
def page() -> str:
    return html(build(sample_document()))


# --- what is in HTML -------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def titles(report: Report) -> list[str]:
    return [section.title for section in report.sections]


def one(*blocks: Any) -> Report:
    return Report(title="Title", lead="Lead.", sections=(Section(title="Section", blocks=blocks),))


def points(label: str = "row", mean: float = 2.0, *, text: str = "text") -> Intervals:
    return Intervals(
        title=text,
        caption=text,
        description=text,
        names=text,
        axis=Axis(label=text, scale="symlog"),
        groups=(BarGroup(title=text, bars=(Bar(label=label, estimate=Estimate(mean=mean, low=-1.0, high=50.0)),)),),
    )


def curve(text: str = "text") -> Curves:
    series = tuple(
        Series(name=f"{text}{index}", points=((0.0, Estimate(mean=1.0)), (2.0, Estimate(mean=index, low=0, high=9))))
        for index in range(2)
    )
    axis = Axis(label=text)
    return Curves(title=text, caption=text, description=text, x=axis, y=axis, series=series)


def hostile_report() -> Report:
    blocks = (
        Paragraph(text=HOSTILE),
        Notice(text=HOSTILE),
        Code(text=HOSTILE),
        Facts(pairs=((HOSTILE, HOSTILE),)),
        Highlights(items=(Highlight(value=HOSTILE, unit=HOSTILE, label=HOSTILE, tone=1),)),
        Table(title=HOSTILE, columns=(Column(title=HOSTILE),), rows=((HOSTILE,),)),
        points(HOSTILE, text=HOSTILE),
        curve(HOSTILE),
    )
    return Report(title=HOSTILE, lead=HOSTILE, sections=(Section(title=HOSTILE, blocks=blocks),))


def test_html_keeps_hostile_text_as_text() -> None:
    source = html(hostile_report())
    page = Page(source)
    assert not {"script", "a"} & {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text.count("<script>alert(1)</script>") >= 10
    assert "\x1b" not in source
    assert "\u202e" not in source
    source.encode()


def test_html_writes_dollars_in_figures_as_they_are() -> None:
    assert "costs $1 or $2" in Page(html(one(points("costs $1 or $2")))).text


def test_html_keeps_numbers_with_their_units_but_commands_as_typed() -> None:
    source = html(one(Paragraph(text="97.5 % and 1 bps"), Code(text="run 5 % 'a' < b")))
    assert "97.5\u00a0% and 1\u00a0bps" in source
    assert "run 5 % &#39;a&#39; &lt; b" in source


def test_html_loads_nothing_and_runs_nothing(page: str) -> None:
    parsed = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "image", "foreignobject"} & {
        tag for tag, _ in parsed.elements
    }
    for _, attributes in parsed.elements:
        assert not {"src", "srcset", "xlink:href", "action", "data", "poster"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"url\s*\(|@import|https?:", page)
    assert "default-src 'none'" in page


def test_html_takes_every_colour_and_font_of_figures_from_the_page(page: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert drawings
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb\(|font-family|<style", drawings)


def test_html_names_no_two_elements_alike_and_refers_to_none_that_is_missing(page: str) -> None:
    parsed = Page(page)
    ids = parsed.ids()
    assert len(ids) == len(set(ids))
    references = [
        value.removeprefix("#")
        for _, attributes in parsed.elements
        for name, value in attributes.items()
        if name in ("href", "aria-labelledby", "aria-describedby")
    ]
    assert set(references) <= set(ids)


def test_html_describes_every_figure_in_words(page: str) -> None:
    drawings = [attributes for tag, attributes in Page(page).elements if tag == "svg"]
    assert drawings
    assert all(each["role"] == "img" and each["aria-describedby"] for each in drawings)
    assert page.count("<desc ") == len(drawings)


def test_html_and_markdown_are_the_same_for_the_same_report(page: str) -> None:
    again = build(copy.deepcopy(sample_document()))
    assert html(again) == page
    assert markdown(again) == markdown(build(sample_document()))


def test_html_ignores_matplotlib_settings_of_the_user(page: str) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 30.0, "svg.fonttype": "path", "axes.linewidth": 7.0}):
        assert html(build(sample_document())) == page
        assert matplotlib.rcParams["font.size"] == 30.0


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_html_says_what_to_install_without(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return real(name, *rest)

    writer._template.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'encmempool\[measure\]'"):
        html(one(points()))


def test_markdown_needs_nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *_: Any) -> Any:
        raise ImportError(name)

    report = build(sample_document())
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert markdown(report).startswith("# ")


# --- markdown --------------------------------------------------------------------------------------------------------


def test_markdown_gives_figures_as_tables() -> None:
    figure = points("a row", 12.0, text="bps")
    text = markdown(one(figure))
    assert "| bps | bps |\n| --- | ---: |\n| **bps** |  |\n| a row | 12.00 (−1.00 to 50.00) |\n" in text
    assert "<svg" not in text


def test_markdown_gives_curves_as_a_row_for_each_x() -> None:
    text = markdown(one(curve("y")))
    assert "| y | y0, y | y1, y |" in text
    assert "| 2 | 0.00 (0.00 to 9.00) | 1.00 (0.00 to 9.00) |" in text


def test_markdown_keeps_hostile_text_as_text() -> None:
    text = markdown(hostile_report())
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)[\[\]]", outside)
    assert "http://" not in outside
    assert "\x1b" not in text
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", rows[0])) for row in rows[:3])
    text.encode()


@pytest.mark.parametrize("line", ["# no heading", "- no list", "1. no list", "+ no list", "---", "=== ", ": no list"])
def test_markdown_paragraphs_do_not_become_something_else(line: str) -> None:
    written = markdown(one(Paragraph(text=line))).splitlines()[-1]
    assert re.match(r"\\|\d+\\", written)


def test_markdown_does_not_read_entities() -> None:
    assert markdown(one(Paragraph(text="&lt;b&#62; R & D"))).endswith("\n&#38;lt;b&#38;#62; R & D\n")


def test_markdown_fence_is_longer_than_any_inside() -> None:
    assert "\n````\na\n```\nb\n````\n" in markdown(one(Code(text="a\n```\nb")))


# --- values ----------------------------------------------------------------------------------------------------------


def test_table_refuses_a_row_of_another_length() -> None:
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table(title="t", columns=(Column(title="a"),), rows=(("1", "2"),))


@pytest.mark.parametrize("values", [(float("nan"), None, None), (1.0, 3.0, 2.0), (1.0, 0.0, float("inf"))])
def test_estimate_refuses_what_cannot_be_drawn(values: tuple[float, float | None, float | None]) -> None:
    mean, low, high = values
    with pytest.raises(ValueError, match="is not a number with its interval"):
        Estimate(mean=mean, low=low, high=high)


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert number(-1234.567) == "−1,234.57"
    assert number(-0.001) == "0.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.000123456, "0.000123"), (1.005, "1.00"), (-12.34, "−12.3"), (999.6, "1,000"), (123_456, "123,456")],
)
def test_significant_figures_are_written_without_powers_of_ten(value: float, text: str) -> None:
    assert significant(value) == text
    assert Axis(label="s", figures=3).text(value) == text


@pytest.mark.parametrize(
    ("means", "ticks"),
    [((0.6, 1.0, 1.4, 1.8, 2.2, 3.0), {"0.5", "1", "2"}), ((0.01, 0.1, 1.0, 2.0, 3.0, 100.0), {"0.01", "1", "100"})],
)
def test_log_axis_of_less_than_two_decades_has_more_ticks(means: tuple[float, ...], ticks: set[str]) -> None:
    figure = Curves(
        title="t",
        caption="c",
        description="d",
        x=Axis(label="x"),
        y=Axis(label="y", scale="log", shown=()),
        series=(Series(name="s", points=tuple((x, Estimate(mean=mean)) for x, mean in enumerate(means))),),
    )
    assert ticks <= set(re.findall(r"<text[^>]*>([\d.]+)</text>", html(one(figure))))


@pytest.mark.parametrize("scale", ["linear", "log", "symlog"])
@pytest.mark.parametrize("means", [(1.0,), (0.001, 5e6), (3.0, 3.0)])
def test_figures_are_drawn_on_every_scale(scale: Any, means: tuple[float, ...]) -> None:
    shown = () if scale == "log" else (0.0,)
    axis = Axis(label="x", scale=scale, shown=shown)
    bars = tuple(Bar(label="b", estimate=Estimate(mean=mean)) for mean in means)
    rows = tuple((mean, Estimate(mean=mean)) for mean in dict.fromkeys(means))
    texts = {"title": "t", "caption": "c", "description": "d"}
    drawn: tuple[Figure, ...] = (
        Intervals(**texts, names="n", axis=axis, groups=(BarGroup(title="", bars=bars),)),
        Curves(**texts, x=axis, y=axis, series=(Series(name="s", points=rows),)),
    )
    coordinates = re.findall(r'(?: x| y)="([^"]+)"', html(one(*drawn)))
    assert coordinates
    assert all(-20 <= float(each) <= 3000 for each in coordinates)


# --- the experiment --------------------------------------------------------------------------------------------------


def test_measurement_leads_with_the_verdict() -> None:
    assert build(sample_document()).lead.startswith(
        "Yes, within the margin: at 97.5 % confidence none of 14 strategies"
    )
    document = sample_document()
    document["equivalence"] |= {"passed": False, "upper_bps": 3.21, "strategy": "T2 blind spam 1"}
    lead = build(document).lead
    assert lead.startswith("Not shown")
    assert "T2 blind spam 1" in lead
    assert "3.21 bps" in lead


def test_measurement_shows_every_arm_with_what_it_sees() -> None:
    document = sample_document()
    text = markdown(build(document))
    assert all(f"| {id} ({arm['title']}) |" in text for id, arm in document["arms"].items())
    assert "5 % of the orders, bytes of the others" in text


def test_measurement_of_few_arms_leaves_out_what_it_lacks() -> None:
    report = build(few_arms())
    assert titles(report) == [
        "Result",
        "What each attacker takes",
        "What is left to the attacker",
        "Strategies tried",
        "Methods",
        "To run it again",
    ]
    assert report.lead.startswith("No verdict")
    assert "97.10 bps" in report.lead
    html(report)


@pytest.mark.parametrize(
    ("field", "section"),
    [
        ("ordering", "Does the order carry content?"),
        ("detector", "Sandwich detector"),
        ("leak", "Leak score"),
        ("latency", "What the delay costs"),
        ("control", "The plaintext control, checked"),
        ("verification", "Verification"),
    ],
)
@pytest.mark.parametrize("absent", ["missing", "null"])
def test_measurement_leaves_out_a_section_without_data(field: str, section: str, absent: str) -> None:
    document = sample_document()
    assert section in titles(build(document))
    if absent == "null":
        document[field] = None
    else:
        del document[field]
    assert section not in titles(build(document))


@pytest.mark.parametrize(
    ("prefix", "section"),
    [
        ("T4", "Commitments that users open themselves"),
        ("T5", "Keys that open what was left out"),
        ("T6", "Collusion"),
        ("T7", "Padding and the gas ladder"),
    ],
)
def test_measurement_leaves_out_a_section_without_its_arms(prefix: str, section: str) -> None:
    document = sample_document()
    assert section in titles(build(document))
    document["arms"] = {id: arm for id, arm in document["arms"].items() if not id.startswith(prefix)}
    assert section not in titles(build(document))


def test_measurement_warns_where_checks_failed() -> None:
    document = sample_document()
    document["control"]["agrees"] = False
    document["verification"]["agreed"] = 519
    document["warnings"] = ["only one core"]
    text = markdown(build(document))
    assert text.count("> **Note:**") == 3
    assert "1 of 520 full runs differ" in text


def test_measurement_repeats_command_seed_and_machine() -> None:
    text = markdown(build(sample_document()))
    assert "```\nencmempool measure run --blocks 2000 --arms all --seed 1\n```" in text
    assert "- **Seed**: 1\n" in text
    assert "AMD EPYC, 2 cores, 23.5 GiB" in text


def test_measurement_keeps_hostile_names_as_text() -> None:
    document = sample_document()
    document["command"] = document["arms"]["T1"]["title"] = HOSTILE
    document["arms"][HOSTILE] = document["arms"]["D1"]
    document["versions"][HOSTILE] = HOSTILE
    page = Page(html(build(document)))
    assert "script" not in {tag for tag, _ in page.elements}
    assert "<script" not in re.sub(r"^```.*?^```$", "", markdown(build(document)), flags=re.DOTALL | re.MULTILINE)


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(document: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for name in way:
            document = document[name]
        document[last] = value

    return apply


def drop(path: str) -> Callable[[dict[str, Any]], None]:
    def apply(document: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for name in way:
            document = document[name]
        del document[last]

    return apply


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (drop("schema"), "without a schema"),
        (change("schema", "encmempool.demo/1"), r"of schema 'encmempool\.demo/1'.*'encmempool\.measure/1' is expected"),
        (drop("arms"), "arms is missing"),
        (change("arms", {}), "arms is not an object with at least one arm"),
        (change("arms", [1]), "arms is not an object"),
        (drop("arms.C1.extracted_bps"), r"arms\.C1\.extracted_bps is missing"),
        (drop("arms.C1.extracted_bps.low"), r"arms\.C1\.extracted_bps\.low is missing"),
        (change("arms.C1.extracted_bps.mean", "97"), r"arms\.C1\.extracted_bps\.mean is not a finite number"),
        (change("arms.C1.extracted_bps.mean", True), r"arms\.C1\.extracted_bps\.mean is not a finite number"),
        (change("arms.C1.extracted_bps.high", float("inf")), r"high is not a finite number"),
        (change("arms.C1.extracted_bps.high", 10**400), r"high is not a finite number"),
        (change("arms.C1.extracted_bps.high", -1.0), r"arms\.C1\.extracted_bps is not an interval"),
        (change("arms.T1.group", "other"), r"arms\.T1\.group is not one of control, encrypted"),
        (change("arms.T1.strategies", {}), r"arms\.T1\.strategies is not a list"),
        (change("seed", 1.5), "seed is not a whole number"),
        (change("command", 7), "command is not text"),
        (drop("equivalence.delta_bps"), r"equivalence\.delta_bps is missing"),
        (change("equivalence.passed", 1), r"equivalence\.passed is not true or false"),
        (change("latency.delays", [{"delay_s": 1.0, "stale_share": {"wide": 0.1}}]), "named by tolerances"),
    ],
)
def test_measurement_is_malformed(fault: Callable[[dict[str, Any]], None], message: str) -> None:
    document = sample_document()
    fault(document)
    with pytest.raises(Malformed, match=message):
        build(document)


def test_load_reads_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(sample_document()))
    assert load(file) == sample_document()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON: it is empty"),
        (json.dumps(sample_document()).encode()[:5000], "is not JSON: it is cut off"),
        (b"0x1234", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is JSON without a schema"),
        (b'{"schema": "encmempool.demo/1"}', r"is JSON of schema 'encmempool\.demo/1'"),
    ],
)
def test_load_refuses_what_is_no_measurement(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(content)
    with pytest.raises(Malformed, match=rf"run\.json {message}") as caught:
        load(file)
    assert "\n" not in str(caught.value)
