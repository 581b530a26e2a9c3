"""`measure`: the experiment that says whether front-running is prevented, and by how much."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from cli.application import WRONG, Group, next_step, note, progress_bar, settings, warning
from cli.committee import MAX_MEMBERS
from cli.io import facts, heading, print_json, print_rich, table
from cli.pages import FORMAT, require_measure, write_page
from threshold.schemes.registry import SCHEMES

_EXTRA = ("numpy", "scipy", "sklearn", "matplotlib", "jinja2")
_ENGINES = ("auto", "integer", "evm")
_TRAINING_BLOCKS = 2_000


@click.group(cls=Group)
def measure() -> None:
    """Measure that front-running is prevented.

    The same users trade in plaintext and encrypted mempools, under attackers who see what each mempool shows.

    \b
    Examples:
      encmempool measure arms
      encmempool measure run --blocks 2000 --arms all --seed 1 -o run.json
      encmempool measure report run.json -o report.html
    """


@measure.command()
@click.option("--blocks", type=click.IntRange(1), default=2_000, show_default=True, help="Blocks to evaluate.")
@click.option(
    "--training-blocks",
    type=click.IntRange(1),
    help="Blocks to choose strategies on.  [default: half as many, up to 2,000]",
)
@click.option("--arms", "names", default="all", show_default=True, help="Ids or kinds, by commas: T1,T5,T7c. Or all.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Chooses every market.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("run.json"), show_default=True)
@click.option("--users", type=click.IntRange(1), default=12, show_default=True, help="Users in a block.")
@click.option("--pools", type=click.IntRange(1), default=1, show_default=True, help="Pools they trade in.")
@click.option("--flow", type=click.Path(path_type=Path), help="Replay swaps of a CSV file instead of drawing users.")
@click.option("--scheme", type=click.Choice(SCHEMES), default="tdh2", show_default=True, help="See `schemes`.")
@click.option("--members", type=click.IntRange(2, MAX_MEMBERS), default=4, show_default=True, help="Committee size.")
@click.option("--threshold", type=int, help="Members needed to open a batch.  [default: floor(2n/3) + 1]")
@click.option("--reduced-threshold", is_flag=True, help="Allow a threshold below the default, for experiments.")
@click.option(
    "--engine",
    type=click.Choice(_ENGINES),
    default="auto",
    show_default=True,
    help="evm runs every block on the genuine Uniswap contracts as well; auto does if they were fetched.",
)
@click.option(
    "--verify-fraction",
    type=click.FloatRange(0, 1),
    default=0.02,
    show_default=True,
    help="Share of blocks run in full through the real ciphertext path.",
)
@click.option(
    "--leak-transactions",
    type=click.IntRange(0),
    default=4_000,
    show_default=True,
    help="Encrypted for the leak score; 0 leaves it away.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one for each core]")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask cluster instead, tcp://host:port.")
@click.option("--resume", is_flag=True, help="Go on with the finished part of an interrupted run.")
def run(names: str, training_blocks: int | None, **options: Any) -> None:
    """Play every arm on the same markets and write the figures.

    Strategies are chosen on training blocks and judged on others. A run that was interrupted leaves its finished part
    in OUTPUT.parts, and --resume goes on from there.

    \b
    Examples:
      encmempool measure run --blocks 2000 --arms all --seed 1
      encmempool measure run --arms T1,T6 --scheme simple-bte --members 7 -o collusion.json
      encmempool measure run --flow swaps.csv --blocks 200 --json
    """
    require_measure("the experiment needs", *_EXTRA)
    from encmempool.bench.machine import machine
    from encmempool.keysets import default_threshold
    from encmempool.measure import experiment
    from encmempool.measure.arms import select
    from encmempool.measure.laboratory import Config
    from encmempool.network.ceremony import check_committee
    from encmempool.ordering import Policy
    from threshold.schemes.registry import load_scheme

    members, threshold = options["members"], options["threshold"]
    needed = default_threshold(members) if threshold is None else threshold
    scheme = load_scheme(options["scheme"], settings().backend)
    check_committee(scheme, members, needed, reduced_allowed=options["reduced_threshold"])
    if needed < default_threshold(members):
        warning(f"reduced threshold {needed} of {members}: two conflicting orders can both gather votes")
    wanted = tuple(name.strip() for name in names.split(",") if name.strip())
    if not scheme.info.hides:
        arms = select(wanted, members=members, threshold=needed)
        wanted = tuple(arm.id for arm in arms if arm.policy is not Policy.SHUFFLE)
    if not wanted:
        raise click.UsageError(f"--arms {names!r} leaves no arm to run with {scheme.info.name}")
    if options["flow"] and (options["users"], options["pools"]) != (12, 1):
        raise click.UsageError("--users and --pools are of drawn users: --flow brings its own")
    blocks = options["blocks"]
    config = Config(
        seed=options["seed"],
        blocks=blocks,
        training_blocks=training_blocks or min(max(blocks // 2, experiment.MIN_BLOCKS), _TRAINING_BLOCKS),
        arms=wanted,
        users=options["users"],
        pools=options["pools"],
        flow=str(options["flow"].resolve()) if options["flow"] else None,
        scheme=options["scheme"],
        backend=settings().backend,
        members=members,
        threshold=needed,
        reduced_threshold=needed < default_threshold(members),
        engine=_engine(options["engine"]),
        verify_fraction=options["verify_fraction"] if scheme.info.hides else 1.0,
    )
    with progress_bar("blocks") as progress:
        result = experiment.run(
            config,
            options["output"],
            resume=options["resume"],
            workers=options["workers"] or int(machine()["cores"]),
            scheduler=options["scheduler"],
            leak_transactions=options["leak_transactions"],
            progress=progress,
        )
    for text in result["warnings"]:
        warning(text)
    if not print_json("measure", {name: value for name, value in result.items() if name != "schema"}):
        _print_result(result)
    note(f"written to {options['output']}")
    next_step(f"encmempool measure report {shlex.quote(str(options['output']))} -o report.html")
    failed = not result["control"]["agrees"] or (
        scheme.info.hides and result["equivalence"] is not None and not result["equivalence"]["passed"]
    )
    if failed:
        click.get_current_context().exit(WRONG)


@measure.command()
@click.argument("file", metavar="RUN.json", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[default: report.html or report.md]")
@FORMAT
def report(file: Path, output: Path | None, form: str | None) -> None:
    """Write a page with tables, plots and methods from a run.

    The page is one file, needs no network to look at, and says how to run the experiment again.

    \b
    Examples:
      encmempool measure report run.json -o report.html
      encmempool measure report run.json --format markdown -o report.md
    """
    require_measure("the experiment needs", *_EXTRA)
    from encmempool.measure import report as page

    write_page("measure-report", page.build(page.load(file)), output, form, name="report")


@measure.command(name="arms")
@click.option("--members", type=click.IntRange(2, MAX_MEMBERS), default=4, show_default=True, help="Committee size.")
def list_arms(members: int) -> None:
    """List the arms: what the attacker sees, what it may do, how the order arises.

    \b
    Example:
      encmempool measure arms --json
    """
    from encmempool.keysets import default_threshold
    from encmempool.measure.arms import arms

    listed = [
        {
            "id": arm.id,
            "title": arm.title,
            "group": arm.group.value,
            "sees": arm.sees,
            "may": arm.may,
            "order": arm.order,
            "parameter": None
            if arm.parameter is None
            else {"name": arm.parameter.name, "value": arm.parameter.value, "unit": arm.parameter.unit},
            "claims": arm.claims,
        }
        for arm in arms(members=members, threshold=default_threshold(members))
    ]
    if print_json("measure-arms", {"arms": listed}):
        return
    listing = table(
        "arm", "what it is", "the attacker sees", "and may", wrap=("what it is", "the attacker sees", "and may")
    )
    for arm in listed:
        listing.add_row(*(str(arm[name]) for name in ("id", "title", "sees", "may")))
    print_rich(listing)
    next_step("encmempool measure run --arms C1,T1")


def _print_result(result: dict[str, Any]) -> None:
    listing = table(
        "arm",
        "",
        "extracted, bps",
        "users lose",
        "failed",
        "strategy",
        right=("extracted, bps", "users lose", "failed"),
    )
    for id, arm in result["arms"].items():
        listing.add_row(
            id,
            arm["title"],
            _interval(arm["extracted_bps"]),
            f"{_number(arm['victim_loss_bps']['mean'])}",
            f"{100 * arm['failed_volume']['mean']:.1f} %",
            arm["strategy"],
        )
    found = result["equivalence"]
    shown: list[tuple[str, Any]] = []
    if found is not None:
        verdict = "[bold green]prevented[/]" if found["passed"] else "[bold red]not shown to be prevented[/]"
        shown.append(
            (
                "information",
                f"{verdict}: none of {found['family']} blind strategies extracts more than "
                f"{_number(found['upper_bps'])} bps (upper {100 * found['level']:g} % bound; {found['strategy']}), "
                f"{found['delta_bps']:g} bps allowed",
            )
        )
    control = result["control"]
    agrees = "[green]agrees with[/]" if control["agrees"] else "[red]differs from[/]"
    shown.append(
        (
            "plaintext",
            f"{_interval(control['measured_bps'])} bps {agrees} the closed forms' "
            f"{_number(control['closed_form_bps'])}",
        )
    )
    checked = result["verification"]
    shown.append(("ciphertexts", f"{checked['runs']:,} blocks ran in full through {result['scheme']}, and agree"))
    if result["engine"] == "evm":
        shown.append(("contracts", f"{checked['engine_blocks']:,} blocks agree with the genuine Uniswap V2 to the wei"))
    gains = ", ".join(f"{each['arm']} {_number(each['extracted_bps']['mean'])}" for each in result["residuals"])
    shown.append(("attackers still gain", f"{gains} bps" if gains else "in no arm"))
    title = heading(
        f"{result['blocks']:,} blocks of {result['users']} users, {result['scheme']}, seed {result['seed']}; "
        "95 % intervals"
    )
    print_rich(title, "", listing, "", facts(shown))


def _interval(found: dict[str, float]) -> str:
    return f"{_number(found['mean'])} [{_number(found['low'])}, {_number(found['high'])}]".replace("[", "\\[", 1)


def _number(value: float) -> str:
    digits = 1 if abs(value) >= 10 else 2
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _engine(wanted: str) -> str:
    """auto is evm where it can be; what keeps it from that is said once."""
    from encmempool.errors import EnvironmentProblem

    if wanted == "integer":
        return wanted
    try:
        from encmempool.measure.evm import EvmEngine

        EvmEngine()
    except EnvironmentProblem as error:
        if wanted == "evm":
            raise
        note(f"integer engine alone: {error}")
        return "integer"
    return "evm"
