"""`risk`: how often ordering fails, what it costs, and the collateral that makes abuse irrational."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.application import Group, next_step, note, progress_bar, warning
from cli.io import facts, heading, print_json, print_rich, table
from cli.pages import FORMAT, require_measure, write_page
from cli.risk_watch import watch

if TYPE_CHECKING:
    from encmempool.risk.assumptions import Extraction, Inputs
    from encmempool.risk.bond import Bonds, BondSwing
    from encmempool.risk.incidents import Calibration
    from encmempool.risk.results import DesignResult, Run

_EXTRA = ("numpy", "scipy", "matplotlib", "jinja2")
_SHOWN = 8
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(cls=Group)
def risk() -> None:
    """Price sequencer risk (outages, withheld data, malicious order), and watch a network for it.

    Rates come from reported outages, what ordering power is worth from the experiment; everything else is an
    assumption that is printed and can be changed.

    \b
    Examples:
      encmempool risk run
      encmempool risk report risk.json -o risk.html
      encmempool risk bond --members 7 --threshold 5
      encmempool risk watch history.bin
    """


def _assumptions(command: Command) -> Command:
    """The options that change what figures rest on."""
    for option in reversed(
        (
            click.option("--members", type=int, help="Committee size.  [default: 7]"),
            click.option("--threshold", type=int, help="Members that open a batch.  [default: floor(2n/3) + 1]"),
            click.option("--volume", "volume_usd_day", type=float, help="USD traded a day.  [default: 100e6]"),
            click.option("--loans", "loans_usd", type=float, help="USD of debt in the loan book.  [default: 200e6]"),
            click.option("--pools", "pools_usd", type=float, help="USD in pools.  [default: 100e6]"),
            click.option("--attribution", type=float, help="Chance that a fault is pinned on them.  [default: 0.5]"),
            click.option(
                "--measure", type=click.Path(path_type=Path), help="Result of `measure run`: what order pays."
            ),
            click.option(
                "--incidents", type=click.Path(path_type=Path), help="CSV of outages: date,chain,kind,minutes."
            ),
            click.option("--chain-years", type=float, help="How long those chains were watched, summed."),
            click.option(
                "--set",
                "changes",
                metavar="NAME=VALUE",
                multiple=True,
                help="Any other assumption, as --json names it.",
            ),
        )
    ):
        command = option(command)
    return command


@risk.command()
@click.option("--years", type=int, default=200_000, show_default=True, help="Years to draw.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Chooses them.")
@click.option("--design", default="all", show_default=True, help="One by name, as rotating+encrypted+forced. Or all.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("risk.json"), show_default=True)
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one for each core]")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask cluster instead, tcp://host:port.")
@_assumptions
def run(
    years: int, seed: int, design: str, output: Path, workers: int | None, scheduler: str | None, **options: Any
) -> None:
    """Draw years of failures and abuse, and compare designs.

    All designs meet the same failures, durations and prices. The record holds every figure with its interval, what
    each assumption is worth, and the assumptions themselves.

    \b
    Examples:
      encmempool risk run
      encmempool risk run --measure run.json --years 1000000
      encmempool risk run --incidents ours.csv --chain-years 3.5 --volume 40e6 --set depth=4
    """
    require_measure("risk needs", *_EXTRA)
    from encmempool.bench.machine import machine
    from encmempool.errors import EnvironmentProblem
    from encmempool.risk import results
    from encmempool.risk.designs import select

    calibration, extraction, inputs = _inputs(**options)
    if not output.parent.is_dir() or output.is_dir():
        raise EnvironmentProblem(f"{output} cannot be written: choose another --output")
    with progress_bar("years") as progress:
        made = results.run(
            inputs,
            calibration,
            extraction,
            select(design),
            years=years,
            seed=seed,
            command=_command(years, seed, design, options),
            workers=workers or int(machine()["cores"]),
            scheduler=scheduler,
            progress=lambda done, total: progress(done, total, "years"),
        )
    document = made.document()
    output.write_bytes(results.encode(made))
    for text in made.warnings:
        warning(text)
    if not print_json("risk-run", document):
        _print_run(made)
    note(f"written to {output}")
    next_step(f"encmempool risk report {shlex.quote(str(output))} -o risk.html")


@risk.command()
@click.argument("file", metavar="RISK.json", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[default: risk.html or risk.md]")
@FORMAT
def report(file: Path, output: Path | None, form: str | None) -> None:
    """Write a page for a risk committee from a run.

    The page is one file, needs no network to look at, and says how to run it again.

    \b
    Examples:
      encmempool risk report risk.json -o risk.html
      encmempool risk report risk.json --format markdown -o risk.md
    """
    require_measure("risk needs", *_EXTRA)
    from encmempool.risk import report as page, results

    write_page("risk-report", page.build(results.load(file)), output, form, name="risk")


@risk.command()
@click.option(
    "--design", default="centralised+encrypted+forced", show_default=True, help="Whose bonds; `risk run` lists designs."
)
@_assumptions
def bond(design: str, **options: Any) -> None:
    """Size the bonds with which corruption does not pay.

    One abuse until it is stopped, and covert abuse until a detector notices; a bond is lost only if the fault is pinned
    on its owner. t members that pool shares in silence leave nothing to pin: see what --attribution 0 says.

    \b
    Examples:
      encmempool risk bond --members 7 --threshold 5
      encmempool risk bond --members 20 --threshold 14 --attribution 1 --volume 1e9
      encmempool risk bond --measure run.json --json
    """
    require_measure("risk needs", *_EXTRA)
    from encmempool.risk import bond as sizing
    from encmempool.risk.designs import select

    _, extraction, inputs = _inputs(**options)
    chosen = select(design)
    if len(chosen) > 1:
        raise click.UsageError("--design names one design here")
    p = inputs.parameters
    needed, swings, best = (
        sizing.required(chosen[0], p),
        sizing.sensitivities(chosen[0], inputs),
        sizing.optimum(chosen[0], p),
    )
    fields = {
        "design": chosen[0].name,
        "bond_per_member": None if needed.member is None else needed.member.usd,
        "bond_sequencer": needed.sequencer.usd,
        "total_usd": needed.total_usd(chosen[0], p),
        "insurance_needed_usd": sizing.insurance_needed(needed, p),
        "optimum": {
            "bond_usd": best.bond_usd,
            "capital_usd_year": best.capital_usd_year,
            "expected_loss_usd_year": best.expected_loss_usd_year,
        },
        "assumptions": [_plain(each) for each in sizing.used(inputs)],
        "sensitivities": [_plain(each) for each in swings],
    }
    if not print_json("risk-bond", fields):
        _print_bond(chosen[0].name, needed, swings, fields, inputs, extraction)


# --- what the options say --------------------------------------------------------------------------------------------


def _inputs(
    *, measure: Path | None, incidents: Path | None, chain_years: float | None, changes: tuple[str, ...], **given: Any
) -> tuple[Calibration, Extraction, Inputs]:
    from encmempool.keysets import default_threshold
    from encmempool.risk.assumptions import REPLAYED, Inputs, read_extraction
    from encmempool.risk.incidents import calibrate, read_csv, reported

    if (incidents is None) != (chain_years is None):
        raise click.UsageError("--incidents and --chain-years belong together: how long were these chains watched?")
    if incidents is not None and chain_years is not None:
        if not 0 < chain_years < float("inf"):
            raise click.UsageError(f"--chain-years must be above 0, not {chain_years:g}")
        found = read_csv(incidents)
        calibration = calibrate(found, chain_years, f"{incidents.name}: {len(found)} incidents")
    else:
        calibration = reported()
    extraction = REPLAYED if measure is None else read_extraction(measure)
    wanted = {name: value for name, value in given.items() if value is not None}
    if "members" in wanted and "threshold" not in wanted:
        wanted["threshold"] = default_threshold(wanted["members"])
    wanted |= dict(map(_change, changes))
    return calibration, extraction, Inputs.of(calibration, extraction, **wanted)


def _change(text: str) -> tuple[str, float]:
    from dataclasses import fields

    from encmempool.risk.assumptions import Parameters

    name, _, value = text.partition("=")
    known = {each.name: each.type for each in fields(Parameters)}
    if name not in known:
        raise click.UsageError(f"--set {text!r}: no assumption {name!r}; `encmempool risk run --json` lists them")
    try:
        return name, int(value) if known[name] == "int" else float(value)
    except ValueError:
        what = "a whole number" if known[name] == "int" else "a number"
        raise click.UsageError(f"--set {text!r}: {name} takes {what}, not {value!r}") from None


_OPTIONS = {"volume_usd_day": "volume", "loans_usd": "loans", "pools_usd": "pools", "changes": "set"}


def _command(years: int, seed: int, design: str, options: dict[str, Any]) -> str:
    """What reruns it; files by their names alone."""
    words = [f"encmempool risk run --years {years} --seed {seed} --design {design}"]
    for name, value in options.items():
        option = f"--{_OPTIONS.get(name, name).replace('_', '-')}"
        for each in value if isinstance(value, tuple) else () if value is None else (value,):
            shown = each.name if isinstance(each, Path) else f"{each:g}" if isinstance(each, float) else str(each)
            words.append(f"{option} {shlex.quote(shown)}")
    return " ".join(words)


def _plain(value: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(value)


# --- what is printed -------------------------------------------------------------------------------------------------


def _print_run(made: Run) -> None:
    columns = ("design", "down, min", "expected loss", "of it, order", "ES 99 %", "bonds", "bonds and nodes", "cost")
    listing = table(*columns, right=columns[1:])
    for each in made.designs:
        found = each.figures
        listing.add_row(
            each.name,
            f"{found.stopped_minutes:.0f}",
            usd(found.expected.mean),
            usd(found.components["ordering"]),
            usd(found.shortfall_99.mean),
            _bonds_of(each),
            usd((each.capital_usd_year or 0.0) + each.nodes_usd_year),
            usd(each.cost_usd_year),
        )
    even = next((each for each in made.break_even if each.malicious_per_year is not None), None)
    title = heading(f"{made.years:,} years, seed {made.seed}; USD a year for one rollup")
    calibration = made.calibration
    stops, p = calibration.stops, {each.name: each for each in made.assumptions}
    shown = [
        (
            "outages",
            f"{stops.events} halts and pauses in {calibration.chain_years:g} chain-years: {stops.per_year:.2f} a year "
            rf"\[{stops.low:.2f}, {stops.high:.2f}], {calibration.durations.median_minutes:.0f} min in the median",
        ),
        (
            "at stake",
            f"{usd(p['volume_usd_day'].value)} traded a day, {usd(p['loans_usd'].value)} lent, "
            f"{usd(p['pools_usd'].value)} in pools",
        ),
        (
            "order",
            f"{made.extraction.plaintext_bps:.1f} bps of volume if it can be read, at most "
            f"{made.extraction.encrypted_bps:.2f} if not; {made.extraction.source}",
        ),
    ]
    if even is not None:
        shown.append(
            (
                "encrypting",
                f"{even.readable} pays from {even.malicious_per_year:.3f} abuses a year on; "
                f"{p['malicious_per_year'].value:.3f} assumed",
            )
        )
    print_rich(title, "", listing, "", facts(shown))


def _bonds_of(each: DesignResult) -> str:
    sequencer = _usd_or_none(each.bond_sequencer_usd)
    return sequencer if not each.members else f"{sequencer} + {each.members} × {_usd_or_none(each.bond_member_usd)}"


def _print_bond(
    design: str,
    needed: Bonds,
    swings: tuple[BondSwing, ...],
    fields: dict[str, Any],
    inputs: Inputs,
    extraction: Extraction,
) -> None:
    p = inputs.parameters
    chance = p.noticed * p.attribution
    shown: list[tuple[str, Any]] = []
    if needed.member is not None:
        shown.append(
            (
                "each member",
                f"{_usd_or_none(needed.member.usd)}, {p.threshold} of {p.members} of whom can read everything together",
            )
        )
    shown.append(("sequencer", f"{_usd_or_none(needed.sequencer.usd)}, for what it gains alone"))
    shown.append(
        (
            "at stake",
            f"{_usd_or_none(fields['insurance_needed_usd'])} of users' loss, exceeded 1 time in {1 / p.tail:.0f}",
        )
    )
    shown.append(
        (
            "assumed",
            f"{extraction.plaintext_bps:.1f} bps of {usd(p.volume_usd_day)} a day for {p.reaction_hours:g} h; noticed "
            f"and pinned on its authors with chance {chance:.2f}; margin {p.margin:.0%}",
        )
    )
    if needed.member is not None:
        shown.append(
            (
                "silent pooling",
                "members who pool unsigned shares leave no evidence: attribution is then 0, no bond deters, and only "
                "insurance remains",
            )
        )
    best = fields["optimum"]
    worth = "no bond costs less than it saves" if not best["bond_usd"] else f"{usd(best['bond_usd'])} each"
    shown.append(("least cost", f"{worth}, if abuse is as rare as {p.malicious_per_year:.3f} a year and operator"))
    listing = table(
        "what moves them", "from", "to", "each member", "sequencer", right=("from", "to", "each member", "sequencer")
    )
    for swing in swings[:_SHOWN]:
        listing.add_row(
            swing.name,
            f"{swing.low:g}",
            f"{swing.high:g}",
            "–" if needed.member is None else _range(swing.member_usd),
            _range(swing.sequencer_usd),
        )
    print_rich(heading(f"Bonds of {design}"), "", facts(shown), "", listing)


def _range(ends: tuple[float | None, float | None]) -> str:
    return f"{_usd_or_none(ends[0])} … {_usd_or_none(ends[1])}"


def _usd_or_none(value: float | None) -> str:
    return "none suffices" if value is None else usd(value)


def usd(value: float) -> str:
    """Three figures: $1.23M."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            scaled = value / size
            return f"${scaled:.{max(0, 2 - len(str(int(abs(scaled)))) + 1)}f}{letter}"
    return f"${value:.0f}"


risk.add_command(watch)
