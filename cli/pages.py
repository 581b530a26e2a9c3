"""Reports as files, one page of HTML or markdown, and the extra that makes them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.io import print_json

if TYPE_CHECKING:
    from encmempool.report import Report

FORMAT = click.option(
    "--format", "form", type=click.Choice(("html", "markdown")), help="[default: by the output's ending, else html]"
)


def require_measure(what: str, *modules: str) -> None:
    """EnvironmentProblem unless the extra `measure` is installed, which has these. `what` begins the message."""
    from encmempool.errors import EnvironmentProblem

    if any(find_spec(name) is None for name in modules):
        raise EnvironmentProblem(
            f"{what} the extra `measure`: run `make measure` in the clone, or pip install 'encmempool[measure]'"
        )


def write_page(command: str, made: Report, output: Path | None, form: str | None, *, name: str) -> None:
    """Write a report and print where, in the form that is asked for. `name` is the file's without an ending."""
    from encmempool.report import html, markdown

    if form is None:
        form = "markdown" if output is not None and output.suffix in (".md", ".markdown") else "html"
    target = output or Path(f"{name}.md" if form == "markdown" else f"{name}.html")
    data = (markdown if form == "markdown" else html)(made).encode()
    target.write_bytes(data)
    if not print_json(command, {"output": str(target), "format": form, "size_bytes": len(data)}):
        click.echo(str(target))
