"""`conformance`: the vectors of the specifications against an implementation."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.application import WRONG, Group, next_step, progress, settings
from cli.io import heading, print_json, print_rich, table

if TYPE_CHECKING:
    from encmempool.conformance.vectors import Json

_SHOWN_FAILURES = 20
_COUNTS = {"passed": "passed", "failed": "failed", "not supported": "unsupported"}


@click.group(cls=Group)
def conformance() -> None:
    """Test an implementation against the specifications.

    \b
    Example:
      encmempool conformance run
    """


@conformance.command()
@click.option("--implementation", "command", metavar="CMD", help="The program to test.  [default: this package]")
@click.option("--page", metavar="PAGE", help="Only the vectors of one page of the specifications.")
@click.option("--only", metavar="ID", help="Only one case, or the cases of one requirement.")
@click.option(
    "--time-limit",
    "time_limit_s",
    type=click.FloatRange(0, 3600, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="For each answer of CMD.",
)
@click.option(
    "--vectors",
    "directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Where the vectors are.  [default: the specifications']",
)
def run(command: str | None, page: str | None, only: str | None, time_limit_s: float, directory: Path | None) -> None:
    """Ask every vector and report per requirement: passed, failed, not supported.

    CMD reads one JSON request per line on standard input and answers each with one JSON line on standard output, in
    order; specs/README.md has an example session. A program that hangs, dies or prints something else fails that
    case and is started again for the next. Exit code 1 if any case failed.

    \b
    Example:
      encmempool conformance run --implementation "node adapter.js" --page tdh2
    """
    from encmempool.conformance import runner, vectors

    if math.isnan(time_limit_s):
        raise ValueError("--time-limit is no number of seconds")
    cases = vectors.load(directory or vectors.DIRECTORY, page=page, only=only)
    implementation: runner.Implementation
    if command is None:
        implementation = runner.ThisPackage(settings().backend)
    else:
        implementation = runner.OtherProgram(command, time_limit_s=time_limit_s)
    with progress("starting") as say:
        results = runner.run(cases, implementation, progress=say)
    report = runner.report(results, implementation)
    if not print_json("conformance", {name: value for name, value in report.items() if name != "schema"}):
        _print_tables(report)
    if report["failed"]:
        first = next(case["id"] for case in report["cases"] if case["result"] == "failed")
        options = {"--implementation": command, "--vectors": directory, "--only": first}
        given = " ".join(f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None)
        next_step(f"encmempool conformance run {given}", "one alone:")
        click.get_current_context().exit(WRONG)


def _print_tables(report: Json) -> None:
    from rich.padding import Padding
    from rich.text import Text

    failed = [case for case in report["cases"] if case["result"] == "failed"]
    listing = table("requirement", *_COUNTS, *(["first failed case"] if failed else []), right=_COUNTS)
    for rule, found in report["requirements"].items():
        first = next((case["id"] for case in failed if rule in case["requirements"]), "")
        style = "red" if found["failed"] else "" if found["passed"] else "dim"
        listing.add_row(rule, *(_count(found[name]) for name in _COUNTS.values()), first, style=style)
    name = report["implementation"] + (f", {report['backend']}" if report["backend"] else "")
    parts: list[Any] = [heading(name), "", listing, ""]
    for case in failed[:_SHOWN_FAILURES]:
        # Text, not markup: a program may answer anything
        parts.append(Text(f"{case['id']}: {', '.join(case['requirements'])}", style="red"))
        parts.append(Padding(Text(case["difference"], overflow="fold"), (0, 0, 0, 2)))
    if len(failed) > _SHOWN_FAILURES:
        parts.append(f"and {len(failed) - _SHOWN_FAILURES} more: --json has all")
    if failed:
        parts.append("")
    summary = f"{report['passed']} passed, {report['failed']} failed, {report['unsupported']} not supported"
    parts.append(Text(summary, style="bold red" if failed else "bold green" if report["passed"] else "bold"))
    print_rich(*parts)


def _count(count: int) -> str:
    return str(count) if count else ""
