"""`bench`: how fast the parts are."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.application import Group, next_step, note, progress, settings, warning
from cli.bench_accountability import accountability
from cli.bench_peers import peers
from cli.committee import MAX_MEMBERS
from cli.io import facts, heading, print_json, print_rich, table
from threshold.curve import threads
from threshold.schemes.registry import ENCRYPTED_SCHEMES, SCHEMES

if TYPE_CHECKING:
    from encmempool.bench.compare import Row
    from encmempool.bench.micro import Grid
    from encmempool.bench.records import Record, RecordFile, Setting
    from encmempool.bench.report import Sheet
    from encmempool.bench.scaling import Law
    from encmempool.report import Report

_CLOCK = (
    "vote finds the checks of admission done, as gossip leaves them; commitment to reveal is from commit to store, "
    "without encrypt and admit"
)
_EXTRA = ("matplotlib", "jinja2")
_MARKDOWN = (".md", ".markdown")
_BATCH = 128
_SWEPT_BATCHES, _SWEPT_MEMBERS = (8, 16, 32, 64, 128), (4, 8, 16, 32, 64)
_SWEPT_PAYLOADS = (256, 1_024, 4_096, 16_384, 65_536)
_FULL_BATCHES, _FULL_MEMBERS = (*_SWEPT_BATCHES, 512, 2_048), (*_SWEPT_MEMBERS, 128)
_FIXED_BATCH, _FIXED_MEMBERS = 32, 4
_MAX_BATCH, _MAX_PAYLOAD = 4_096, 1 << 20

SCHEMES_OPTION = click.option(
    "--scheme", "names", type=click.Choice(SCHEMES), multiple=True, help="Which schemes.  [default: all that hide]"
)
SEED_OPTION = click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Chooses the inputs.")
THREADS_OPTION = click.option(
    "--threads", "thread_count", type=click.IntRange(1, 1024), help="That a backend may use.  [default: all cores]"
)
OUTPUT_OPTION = click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE.jsonl", help="Add every record to this file."
)
REPORT_OPTION = click.option(
    "--report", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with plots, .html or .md."
)


def _sizes(name: str, most: int, about: str) -> Callable[[Any], Any]:
    return click.option(f"--{name}", f"{name}_sizes", type=click.IntRange(1, most), multiple=True, help=about)


@click.group(cls=Group)
def bench() -> None:
    """Measure speed.

    Times are medians with quartiles; ratios come from runs in turns, with 95 % intervals. See benchmarks/README.md.

    \b
    Examples:
      encmempool bench pipeline --batch 256
      encmempool bench micro --scheme simple-bte -o results.jsonl
      encmempool bench compare --threads 1,2
    """


@bench.command()
@click.option(
    "--scheme", type=click.Choice(SCHEMES), default="tdh2", show_default=True, help="See `encmempool schemes`."
)
@click.option("--members", type=click.IntRange(1, MAX_MEMBERS), default=4, show_default=True, help="Committee size.")
@click.option("--threshold", type=int, help="Members needed to open a batch.  [default: floor(2n/3) + 1]")
@click.option("--batch", type=click.IntRange(1, 4096), default=256, show_default=True, help="Transactions in a batch.")
@click.option(
    "--transactions", type=click.IntRange(1, 1 << 16), help="In all, batch after batch.  [default: one batch]"
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Chooses the transactions.")
@click.option(
    "--profile", is_flag=True, help="Tell cryptography from the rest, on one thread unless --threads says else."
)
@click.option("--reduced-threshold", is_flag=True, help="Allow a threshold below the default, for experiments.")
@THREADS_OPTION
@OUTPUT_OPTION
def pipeline(
    scheme: str,
    members: int,
    threshold: int | None,
    batch: int,
    transactions: int | None,
    seed: int,
    profile: bool,
    reduced_threshold: bool,
    thread_count: int | None,
    output: Path | None,
) -> None:
    """Time batches on their way from encryption to execution.

    Several batches run one after another, and once more with each prepared while the one before is opened.

    \b
    Examples:
      encmempool bench pipeline --scheme tdh2 --members 4 --batch 256 --json
      encmempool bench pipeline --scheme simple-bte --batch 512 --transactions 10240
      encmempool bench pipeline --scheme simple-bte --batch 512 --profile
    """
    from encmempool.bench import pipeline as job
    from encmempool.bench.curve import on_threads
    from encmempool.bench.records import Setting, of_pipeline
    from encmempool.keysets import default_threshold
    from encmempool.network.ceremony import check_committee
    from threshold.schemes.registry import load_scheme

    needed = default_threshold(members) if threshold is None else threshold
    check_committee(load_scheme(scheme, settings().backend), members, needed, reduced_allowed=reduced_threshold)
    if needed < default_threshold(members):
        warning(f"reduced threshold {needed} of {members}: two conflicting orders can both gather votes")
    threads_used = 1 if profile and thread_count is None else thread_count
    with _records_to(output) as keep, on_threads(threads_used), progress("starting") as say:
        result = job.run(
            scheme=scheme,
            members=members,
            threshold=needed,
            batch=batch,
            transactions=transactions,
            seed=seed,
            backend=settings().backend,
            profile=profile,
            progress=say,
        )
        for record in of_pipeline(result, Setting.of(settings().backend, seed)):
            keep(record)
    if print_json("bench-pipeline", {name: value for name, value in result.items() if name != "schema"}):
        return
    listing = table("stage", "ms", "µs per transaction", right=("ms", "µs per transaction"))
    each = result["per_transaction_ms"]
    for name, value in result["stages_ms"].items():
        listing.add_row(name, f"{value:,.1f}", f"{1000 * each[name]:,.0f}" if name in each else "")
    title = heading(
        f"{result['scheme']}, {result['members']} members, batches of {result['batch']}, {result['backend']}"
    )
    lines = [f"[bold]{result['transactions_per_second']:,.0f}[/] transactions a second, commitment to reveal"]
    if "transactions_per_second_overlapped" in result:
        overlapped = result["transactions_per_second_overlapped"]
        lines.append(f"[bold]{overlapped:,.0f}[/] with each batch prepared while the one before is opened")
    if profile:
        lines.append(
            f"[bold]{result['crypto_share']:.1%}[/] of the time is cryptography; the rest, µs per transaction:"
        )
        rest = {part: 1e3 * ms / result["transactions"] for part, ms in result["rest_ms"].items()}
        lines.append(", ".join(f"{part} {each_us:,.1f}" for part, each_us in rest.items()))
    print_rich(title, "", listing, "", *lines, f"[dim]{_CLOCK}[/]")
    next_step("encmempool bench pipeline --batch 1024")


@bench.command()
@click.option("--rate", type=click.FloatRange(0.1, 10_000), default=150.0, show_default=True, help="Offered a second.")
@click.option("--seconds", type=click.FloatRange(1, 86_400), default=30.0, show_default=True, help="How long.")
@click.option(
    "--scheme", type=click.Choice(SCHEMES), default="tdh2", show_default=True, help="See `encmempool schemes`."
)
@click.option("--members", type=click.IntRange(1, 64), default=4, show_default=True, help="Committee size n.")
@click.option(
    "--batch", type=click.IntRange(1, _MAX_BATCH), help="About so many a commitment.  [default: one each 200 ms]"
)
@click.option("--store", metavar="URL", help="A PostgreSQL server's URL: every node gets a database there.")
@SEED_OPTION
def load(
    rate: float, seconds: float, scheme: str, members: int, batch: int | None, store: str | None, seed: int
) -> None:
    """Receipts and reveals under load, by a network of separate processes.

    Everything is encrypted beforehand and sent by a generator in a process of its own at a fixed rate, on the loopback
    interface. Every receipt that counts is durable.

    \b
    Examples:
      encmempool bench load --rate 150 --seconds 30
      encmempool bench load --rate 150 --batch 64 --json
    """
    from encmempool.bench import load as job

    with progress("starting a network") as say:
        result = job.run(
            rate=rate,
            seconds=seconds,
            scheme=scheme,
            members=members,
            batch=batch,
            store=store,
            seed=seed,
            backend=settings().backend,
            progress=say,
        )
    if print_json("bench-load", {name: value for name, value in result.items() if name != "schema"}):
        return
    heights, receipt = result["heights"], result["receipt_ms"]
    reveal = heights["commitment_to_reveal_ms"]
    refused = ", ".join(f"{count:,} {what}" for what, count in result["refused"].items()) or "none"
    most = max((figures["most"] for figures in result["memory_mib"].values()), default=None)
    print_rich(
        facts(
            [
                ("offered", f"{result['offered']:,} in {result['sending_s']:g} s, {rate:g} a second"),
                ("receipts", f"{result['receipted']:,}, {result['receipts_per_second']:g} a second"),
                ("receipt", f"p50 {receipt['p50']} ms, p99 {receipt['p99']} ms"),
                ("reveal", f"p50 {reveal['p50']} ms, p99 {reveal['p99']} ms after the commitment"),
                (
                    "batches",
                    f"{heights['filled']:,}, median {heights['batch_median']}, at most {heights['batch_most']}",
                ),
                ("refused", refused),
                ("lost", f"{result['receipted_lost']}"),
                ("memory", "unknown" if most is None else f"at most {most:g} MiB in a node"),
            ]
        )
    )


@bench.command()
@SCHEMES_OPTION
@_sizes("batch", _MAX_BATCH, f"Batch sizes, and elements of operations on many.  [default: {_BATCH}]")
@_sizes("members", MAX_MEMBERS, f"Committee sizes.  [default: {_FIXED_MEMBERS}]")
@click.option("--full", is_flag=True, help="The whole grid: 32 to 2,048 by 4 to 128 members. Takes hours.")
@click.option("--only", metavar="GLOB", multiple=True, help="Only benchmarks with such names, like 'g1::*'.")
@click.option("--ceremony", is_flag=True, help="Time the key ceremony of all members in one process as well.")
@SEED_OPTION
@THREADS_OPTION
@OUTPUT_OPTION
@REPORT_OPTION
def micro(
    names: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    members_sizes: tuple[int, ...],
    full: bool,
    only: tuple[str, ...],
    ceremony: bool,
    seed: int,
    thread_count: int | None,
    output: Path | None,
    page: Path | None,
) -> None:
    """Time every operation of the curve and every step of the schemes.

    Naming schemes leaves the curve away. Steps whose cost depends on the committee are measured for each of its sizes,
    the others for the first.

    \b
    Examples:
      encmempool bench micro --scheme simple-bte --batch 128 --batch 512
      encmempool bench micro --only 'g1::*' --batch 512 --threads 1 --json
      encmempool bench micro --full -o results.jsonl --report results.html
    """
    from encmempool.bench import micro as job, report, schemes
    from encmempool.bench.curve import on_threads
    from encmempool.bench.records import Setting

    grid = _grid(names, batch_sizes, members_sizes, only, full=full, ceremony=ceremony)
    backend = settings().backend
    with _page(page) as write, _records_to(output) as keep, on_threads(thread_count), progress("starting") as say:
        setting = Setting.of(backend, seed)
        found = job.paced(job.groups(grid, backend=backend, seed=seed), note)
        records = job.measure(found, setting, progress=say, keep=keep)
        write(lambda: report.micro(records, _command("micro", grid, seed, thread_count)))
    fields = {
        "records": [record.document() for record in records],
        "peak_memory_mib": round(schemes.peak_memory_mib(), 1),
    }
    if print_json("bench-micro", fields, version=2):
        return
    print_rich(heading(_machine(records[0])), "")
    sheet = report.curve_sheet(records)
    if sheet.rows:
        columns = [name.upper() for name in sheet.columns]
        listing = table("µs, medians", *columns, right=columns)
        for name, row in sheet.rows.items():
            listing.add_row(name, *(_shown(1e6 * row[at].median) if at in row else "" for at in sheet.columns))
        print_rich(listing, "")
    for sheets in report.side_by_side(report.scheme_sheets(records)):
        _print_steps(report.joined(sheets))
    print_rich(f"[dim]peak memory {fields['peak_memory_mib']:,.0f} MiB; opening is precompute, combine and decrypt[/]")
    next_step("encmempool schemes --measure")


@bench.command()
@SCHEMES_OPTION
@click.option(
    "--over",
    type=click.Choice(("batch", "members", "payload")),
    multiple=True,
    help="What grows, while the others stay.  [default: each in turn]",
)
@_sizes("batch", _MAX_BATCH, f"Batch sizes.  [default: {', '.join(map(str, _SWEPT_BATCHES))}]")
@_sizes("members", MAX_MEMBERS, f"Committee sizes.  [default: {', '.join(map(str, _SWEPT_MEMBERS))}]")
@_sizes("payload", _MAX_PAYLOAD, f"Bytes of a payload.  [default: {', '.join(map(str, _SWEPT_PAYLOADS))}]")
@click.option("--full", is_flag=True, help="Batches to 2,048 and committees to 128. Takes an hour.")
@SEED_OPTION
@THREADS_OPTION
@OUTPUT_OPTION
@REPORT_OPTION
def scaling(
    names: tuple[str, ...],
    over: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    members_sizes: tuple[int, ...],
    payload_sizes: tuple[int, ...],
    full: bool,
    seed: int,
    thread_count: int | None,
    output: Path | None,
    page: Path | None,
) -> None:
    """Fit powers to how cost grows with batch, committee and payload.

    Exponent 1 is cost in proportion to the size. While one grows, a batch has 32 ciphertexts of 512 bytes and the
    committee 4 members.

    \b
    Examples:
      encmempool bench scaling --over batch --scheme simple-bte --batch 32 --batch 128 --batch 512
      encmempool bench scaling --report scaling.html
    """
    from encmempool.bench import report
    from encmempool.bench.curve import on_threads
    from encmempool.bench.records import Setting
    from encmempool.bench.scaling import Sweep, Variable, measure

    chosen: dict[str, tuple[Variable, tuple[int, ...]]] = {
        "batch": ("B", batch_sizes or (_FULL_BATCHES if full else _SWEPT_BATCHES)),
        "members": ("n", members_sizes or (_FULL_MEMBERS if full else _SWEPT_MEMBERS)),
        "payload": ("payload_bytes", payload_sizes or _SWEPT_PAYLOADS),
    }
    sweeps = [
        Sweep(over=chosen[name][0], sizes=chosen[name][1], batch=_FIXED_BATCH, members=_FIXED_MEMBERS)
        for name in over or chosen
    ]
    schemes = names or ENCRYPTED_SCHEMES
    found: list[Law] = []
    with _page(page) as write, _records_to(output) as keep, on_threads(thread_count), progress("starting") as say:
        setting = Setting.of(settings().backend, seed)
        for sweep in sweeps:
            found += measure(sweep, schemes, setting, progress=say, keep=keep)
        words = [*_repeated("scheme", names), *_repeated("over", over)]
        for name in over or chosen:
            words += _repeated(name, chosen[name][1])
        command = _words("scaling", *words, *_common(seed, thread_count))
        write(lambda: report.scaling(found, command))
    fields = {
        "laws": [_law(law) for law in found],
        "records": [record.document() for law in found for record in law.records],
    }
    if print_json("bench-scaling", fields):
        return
    print_rich(heading(_machine(found[0].records[0])), "")
    for sweep in sweeps:
        _print_laws(report.OVER[sweep.over], [law for law in found if law.over == sweep.over])
    print_rich("[dim]ms, medians; exponents with 95 % intervals; a step without one does nothing in its scheme[/]")
    next_step("encmempool bench scaling --report scaling.html")


bench.add_command(peers)
bench.add_command(accountability)


@bench.command()
@click.argument("files", nargs=-1, metavar="[A.jsonl B.jsonl]", type=click.Path(path_type=Path))
@click.option("--backends", metavar="A,B", help="Two backends, interleaved in one run.")
@click.option("--threads", "thread_counts", metavar="A,B", help="Two numbers of threads, interleaved; or one for both.")
@SCHEMES_OPTION
@_sizes("batch", _MAX_BATCH, f"Batch sizes, and elements of operations on many.  [default: {_BATCH}]")
@_sizes("members", MAX_MEMBERS, f"Committee sizes.  [default: {_FIXED_MEMBERS}]")
@click.option("--only", metavar="GLOB", multiple=True, help="Only benchmarks with such names, like 'g1::*'.")
@SEED_OPTION
@REPORT_OPTION
def compare(
    files: tuple[Path, ...],
    backends: str | None,
    thread_counts: str | None,
    names: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    members_sizes: tuple[int, ...],
    only: tuple[str, ...],
    seed: int,
    page: Path | None,
) -> None:
    """Print ratios with 95 % intervals: how many times as long B takes as A.

    Two backends or numbers of threads take turns in one run, and what disturbs the machine disturbs both. Two files
    were measured at different times: their intervals know the noise within each file only.

    \b
    Examples:
      encmempool bench compare --threads 1,2 --scheme simple-bte
      encmempool bench compare --backends arkworks,reference --only 'g1::m*' --batch 4
      encmempool bench compare before.jsonl after.jsonl --report comparison.html
    """
    from encmempool.bench import report

    interleaved = not files
    if interleaved and backends is None and thread_counts is None:
        raise click.UsageError("name two files, or --backends A,B, or --threads A,B")
    if files and (backends or thread_counts or names or batch_sizes or members_sizes):
        raise click.UsageError("files were measured already: of a run's options only --only goes with them")
    if files and len(files) != 2:
        raise click.UsageError(f"two files are compared, not {len(files)}")
    with _page(page) as write:
        if interleaved:
            grid = _grid(names, batch_sizes, members_sizes, only)
            setting, rows, sides, fields = _interleaved(grid, backends, thread_counts, seed)
            words = ["--backends", backends] if backends else ["--backend", settings().backend]
            words += ["--threads", thread_counts] if thread_counts else []
            command = _words("compare", *words, *_of_grid(grid), "--seed", seed)
        else:
            setting, (rows, sides, fields) = None, _of_files(files[0], files[1], only)
            command = _words("compare", *files, *_repeated("only", only))
        first, second = sides
        write(lambda: report.comparison(rows, first=first, second=second, setting=setting, command=command))
    listed = [
        {
            "name": row.name,
            "params": dict(row.params),
            "unit": row.unit,
            "first": row.first,
            "second": row.second,
            "ratio": row.ratio,
            "ratio_low": row.low,
            "ratio_high": row.high,
            "samples": row.samples,
        }
        for row in rows
    ]
    if print_json("bench-compare", {"interleaved": interleaved, **fields, "rows": listed}):
        return
    _print_rows(rows, first, second)
    next_step("encmempool bench compare --threads 1,2" if files else "encmempool bench micro -o results.jsonl")


def _interleaved(
    grid: Grid, backends: str | None, thread_counts: str | None, seed: int
) -> tuple[Setting, tuple[Row, ...], tuple[str, str], dict[str, Any]]:
    """The setting, rows, the names of both sides, and what the JSON says besides."""
    from encmempool.bench.compare import Variant, side_by_side
    from encmempool.bench.records import Setting
    from threshold.curve import load_backend

    named = _pair("--backends", backends) or (settings().backend,) * 2
    counts = _pair("--threads", thread_counts) or (str(threads()),) * 2
    if not all(count.isascii() and count.isdigit() and 1 <= int(count) <= 1024 for count in counts):
        raise ValueError(f"--threads {thread_counts!r}: numbers from 1 to 1024 are expected")
    first, second = (
        Variant(backend=load_backend(name).name, threads=int(count)) for name, count in zip(named, counts, strict=True)
    )
    if first == second:
        raise ValueError(f"both sides are {first.label}: name two backends or two numbers of threads")
    with progress("starting") as say:
        rows = side_by_side(first, second, grid, seed=seed, progress=say, announce=note)
    setting = Setting.of(first.backend, seed)
    fields = {
        "first": {"backend": first.backend, "threads": first.threads},
        "second": {"backend": second.backend, "threads": second.threads},
        "seed": seed,
        "commit": setting.commit,
        "host": setting.host,
    }
    return setting, rows, (first.label, second.label), fields


def _of_files(
    first: Path, second: Path, only: tuple[str, ...]
) -> tuple[tuple[Row, ...], tuple[str, str], dict[str, Any]]:
    from dataclasses import asdict

    from encmempool.bench import compare as job
    from encmempool.bench.records import read

    found = job.files(read(first), read(second), only)
    if found.superseded:
        warning(f"{found.superseded} records have a later one of the same name and params in their file: that counts")
    for each in found.differences:
        note(f"{each.field}: {' / '.join(each.first)} against {' / '.join(each.second)}")
    for path, names in ((first, found.only_first), (second, found.only_second)):
        if names:
            note(f"only in {path}: {len(names)}, such as {names[0]}")
    fields = {
        "first": {"file": str(first)},
        "second": {"file": str(second)},
        "only_first": found.only_first,
        "only_second": found.only_second,
        "superseded": found.superseded,
        "differences": [asdict(each) for each in found.differences],
    }
    return found.rows, (str(first), str(second)), fields


def _pair(option: str, text: str | None) -> tuple[str, str] | None:
    """Of `A,B`, or `A` for both sides."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not 1 <= len(words) <= 2 or not all(words):
        raise ValueError(f"{option} {text!r}: A,B is expected")
    return words[0], words[-1]


# --- options ---------------------------------------------------------------------------------------------------------


def _grid(
    names: tuple[str, ...],
    batches: tuple[int, ...],
    members: tuple[int, ...],
    only: tuple[str, ...],
    *,
    full: bool = False,
    ceremony: bool = False,
) -> Grid:
    from encmempool.bench.micro import FULL_BATCHES, FULL_MEMBERS, Grid

    return Grid(
        schemes=names or ENCRYPTED_SCHEMES,
        batches=batches or (FULL_BATCHES if full else (_BATCH,)),
        members=members or (FULL_MEMBERS if full else (_FIXED_MEMBERS,)),
        only=only,
        curve=not names,
        ceremony=ceremony,
    )


def _command(name: str, grid: Grid, seed: int, thread_count: int | None) -> str:
    """What to type for the same again."""
    ceremony = ["--ceremony"] if grid.ceremony else []
    return _words(name, *_of_grid(grid), *ceremony, *_common(seed, thread_count))


def _of_grid(grid: Grid) -> list[Any]:
    return [
        *(() if grid.curve else _repeated("scheme", grid.schemes)),
        *_repeated("batch", grid.batches),
        *_repeated("members", grid.members),
        *_repeated("only", grid.only),
    ]


def _common(seed: int, thread_count: int | None) -> list[Any]:
    threads_used = ["--threads", thread_count] if thread_count else []
    return ["--seed", seed, *threads_used, "--backend", settings().backend]


def _repeated(option: str, values: tuple[Any, ...]) -> list[Any]:
    return [word for value in values for word in (f"--{option}", value)]


def _words(name: str, *words: Any) -> str:
    return shlex.join(["encmempool", "bench", name, *map(str, words)])


# --- output ----------------------------------------------------------------------------------------------------------


@contextmanager
def _records_to(output: Path | None) -> Iterator[Callable[[Record], None]]:
    """Takes records as they come. A file that cannot take any is refused before the work."""
    from encmempool.bench.records import RecordFile

    if output is None:
        yield lambda record: None
        return
    file: RecordFile = RecordFile(output)
    yield file.add
    note(f"records were added to {output}")


@contextmanager
def _page(path: Path | None) -> Iterator[Callable[[Callable[[], Report]], None]]:
    """Takes what builds the report. What it needs is checked before the work."""
    from encmempool.errors import EnvironmentProblem
    from encmempool.report import html, markdown

    if path is None:
        yield lambda build: None
        return
    as_markdown = path.suffix in _MARKDOWN
    if not as_markdown and any(find_spec(name) is None for name in _EXTRA):
        raise EnvironmentProblem(
            "pages with plots need the extra `measure`: run `make measure` in the clone, or "
            f"pip install 'encmempool[measure]'; a page without plots needs nothing: --report {path.with_suffix('.md')}"
        )
    if path.is_dir() or not path.parent.is_dir():
        raise EnvironmentProblem(f"{path} is no file that can be written: choose another --report")

    def write(build: Callable[[], Report]) -> None:
        path.write_text((markdown if as_markdown else html)(build()))

    yield write
    note(f"the page is {path}")


def _machine(record: Record) -> str:
    used = f"{record.threads} thread" + "s" * (record.threads > 1)
    return f"{record.backend}, {used}, {record.host['processor']}"


def _shown(value: float) -> str:
    from encmempool.report import significant

    return significant(value)


def _print_steps(sheet: Sheet) -> None:
    from encmempool.bench.report import opening_ms, step_ms, step_title

    listing = table("ms, medians", *sheet.columns, right=sheet.columns)
    for step, row in sheet.rows.items():
        listing.add_row(step_title(step), *(_shown(step_ms(row[at])) if at in row else "" for at in sheet.columns))
    openings = [opening_ms(sheet, column) for column in sheet.columns]
    if any(openings):
        listing.add_section()
        for at, text in enumerate(("after the shares", "opening in all")):
            listing.add_row(text, *("" if opening is None else _shown(opening[at]) for opening in openings))
    print_rich(listing, "")


def _law(law: Law) -> dict[str, Any]:
    power = law.power
    return {
        "name": law.name,
        "over": law.over,
        "sizes": [size for size, _ in law.points],
        "medians_s": [record.median for record in law.records],
        "exponent": power and power.exponent,
        "exponent_low": power and power.low,
        "exponent_high": power and power.high,
        "coefficient_s": power and power.coefficient,
        "deviation": power and power.deviation,
    }


def _print_laws(over: str, found: list[Law]) -> None:
    from encmempool.bench.report import law_ms

    sizes = sorted({size for law in found for size, _ in law.points})
    numbers = [*(f"{size:,}" for size in sizes), "exponent", "95 %"]
    listing = table(f"over {over}", *numbers, right=numbers)
    for law in found:
        power = law.power
        fitted = ("", "") if power is None else (f"{power.exponent:.2f}", f"{power.low:.2f} to {power.high:.2f}")
        listing.add_row(law.name, *(law_ms(record) for record in law.records), *fitted)
    print_rich(listing, "")


def _print_rows(rows: tuple[Row, ...], first: str, second: str) -> None:
    from rich.text import Text

    from encmempool.bench.records import SECONDS

    numbers = ("A", "B", "B / A", "95 %")
    listing = table("ms, medians", *numbers, right=numbers)
    for row in rows:
        scale = 1e3 if row.unit == SECONDS else 1
        interval = "" if row.low is None or row.high is None else f"{_shown(row.low)} to {_shown(row.high)}"
        listing.add_row(
            Text(row.name),
            _shown(scale * row.first),
            _shown(scale * row.second),
            Text(_shown(row.ratio), style="bold"),
            interval,
        )
    print_rich(heading(f"A: {first}; B: {second}"), "", listing, "", "[dim]above 1, A is faster[/]")
