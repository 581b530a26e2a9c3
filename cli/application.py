"""What every command shares: global options in any position, one line per error, exit codes.

Exit codes: 0 done · 1 the thing checked or submitted is wrong · 2 usage · 3 environment · 130 interrupted ·
141 the reader of the output went away.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from cli import interruption
from threshold.curve import BACKENDS, DEFAULT_BACKEND, INSTALLED, loaded_backends

if TYPE_CHECKING:
    from rich.console import Console

PROGRAM = "encmempool"
DONE, WRONG, USAGE, ENVIRONMENT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, interruption.EXIT_CODE, 141
_WIDTH = 100
_EXIT_CODES = "Exit codes: 0 done, 1 the thing checked or submitted is wrong, 2 usage, 3 environment, 130 interrupted."
# A command that a message of the library names, with or without the program's name.
_NAMED_COMMAND = re.compile(
    rf"`(?:{PROGRAM} )?((?:committee|sequencer|key|audit|fetch|node|devnet) [^`]+|encrypt|submit|demo)`"
)
_NOT_HEX = re.compile(r"non-hexadecimal number found in fromhex\(\) arg at position (\d+)")


@dataclass
class Settings:
    """The global options of one call."""

    home: Path = Path(".encmempool")
    node: str | None = None
    genesis_root: str | None = None
    backend: str = DEFAULT_BACKEND
    json: bool = False
    quiet: bool = False


def settings() -> Settings:
    """Those of the command that is running."""
    return _settings(click.get_current_context())


def _settings(context: click.Context) -> Settings:
    found = context.find_root().ensure_object(Settings)
    return found


class _GlobalOption(click.Option):
    """Given before or after the subcommand; the last one wins."""

    def __init__(self, *declarations: str, name: str, **attributes: Any) -> None:
        def store(context: click.Context, _: click.Parameter, value: Any) -> None:
            if value is not None and value is not False:
                setattr(_settings(context), name, value)

        super().__init__([*declarations, name], expose_value=False, callback=store, **attributes)


def _global_options(*, root: bool) -> list[click.Parameter]:
    """The environment counts at the root only: elsewhere it would overrule an explicit option before the subcommand."""
    return [
        _GlobalOption(
            "--home",
            name="home",
            type=click.Path(path_type=Path),
            metavar="DIR",
            envvar="ENCMEMPOOL_HOME" if root else None,
            help="Where the network, its keys and databases live.  [ENCMEMPOOL_HOME; default: ./.encmempool]",
        ),
        _GlobalOption(
            "--node",
            name="node",
            metavar="URL",
            envvar="ENCMEMPOOL_NODE" if root else None,
            help="Use the network behind a node's address instead of the home's.  [ENCMEMPOOL_NODE]",
        ),
        _GlobalOption(
            "--genesis-root",
            name="genesis_root",
            metavar="HASH",
            help="Names the network behind --node, needed once: then it is pinned in the home. Or that of a proof.",
        ),
        _GlobalOption(
            "--backend",
            name="backend",
            type=click.Choice(BACKENDS),
            envvar="ENCMEMPOOL_BACKEND" if root else None,
            help=f"Curve arithmetic.  [ENCMEMPOOL_BACKEND; default: {DEFAULT_BACKEND}]",
        ),
        _GlobalOption("--json", name="json", is_flag=True, help="Print one JSON object instead."),
        _GlobalOption("-q", "--quiet", name="quiet", is_flag=True, help="No progress, summaries and hints on stderr."),
    ]


class _Documented(click.Command):
    """A command whose help lists its own options apart from the global ones."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.context_settings = {
            "help_option_names": ["-h", "--help"],
            "max_content_width": _WIDTH,
            **self.context_settings,
        }
        self.params = [*self.params, *_global_options(root=isinstance(self, Application))]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                (shared if isinstance(parameter, _GlobalOption) or parameter.name == "help" else own).append(record)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        for title, records in (("Options", own), ("Global options, in any position", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Command(_Documented):
    """A leaf of the tree."""


class MissingCommand(click.UsageError):
    """A group was named and none of its commands."""

    def __init__(self, context: click.Context) -> None:
        super().__init__("Missing command.", context)


class Group(_Documented, click.Group):
    """Lists its commands in the order they were added."""

    command_class = Command

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        # click would run the help through its one-line errors; see `invoke`.
        super().__init__(*arguments, **{**attributes, "invoke_without_command": True})

    def invoke(self, ctx: click.Context) -> Any:
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            raise MissingCommand(ctx)
        return result

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text(_EXIT_CODES)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


Group.group_class = Group


class Application(Group):
    """The root. Every exception becomes one line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None
        except OSError as error:
            raise _Broken(error) from error

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        arguments = list(sys.argv[1:] if args is None else args)
        options = Settings()
        extra = {**extra, "prog_name": PROGRAM, "standalone_mode": False, "obj": options}
        try:
            with _unexpected():
                code = super().main(arguments, **extra)
                sys.stdout.flush()
                _say_backend(options)
        except (click.Abort, KeyboardInterrupt):
            # After the terminal's own ^C
            click.echo("\n" * _is_terminal(sys.stderr) + interruption.LINE, err=True)
            code = INTERRUPTED
        except _Broken as error:
            code = _explain(error.cause, options, arguments)
        except Exception as error:  # noqa: BLE001 - the border: _explain re-raises what is nobody's mistake but ours
            code = _explain(error, options, arguments)
        sys.exit(code if isinstance(code, int) else DONE)


def _say_backend(options: Settings) -> None:
    """Which curve arithmetic a command used, if it used any. Silent with -q."""
    if options.quiet or not loaded_backends():
        return
    backend = loaded_backends()[0]
    engine = getattr(backend, "engine", None)
    text = f"curve: {backend.name}" + (f" ({engine})" if engine else "")
    if "native" not in INSTALLED and options.backend == DEFAULT_BACKEND:
        text += "; the native backend is not installed: `make native` builds it and is several times faster"
    click.echo(style(text, dim=True), err=True)


class _Broken(Exception):
    """An OSError on its way past click, which has an exit code of its own for some."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@contextmanager
def _unexpected() -> Iterator[None]:
    """A library's warnings are for developers."""
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")
    yield


@dataclass(frozen=True)
class _Problem:
    exit_code: int
    code: str
    message: str
    rule: str | None = None
    details: tuple[tuple[str, Any], ...] = ()


def _explain(error: Exception, options: Settings, arguments: Sequence[str]) -> int:
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        _abandon_stdout()
        return BROKEN_PIPE
    problem = _problem(error)
    if problem is None:
        raise error
    json_wanted = options.json or "--json" in arguments
    if isinstance(error, MissingCommand) and error.ctx is not None and not json_wanted:
        click.echo(error.ctx.get_help(), err=True)
        return problem.exit_code
    message = _NOT_HEX.sub(lambda found: f"not hex at digit {int(found[1]) + 1}", " ".join(problem.message.split()))
    if not isinstance(error, click.UsageError):
        message = _NAMED_COMMAND.sub(lambda found: f"`{_typed(f'{PROGRAM} {found[1]}', options.home)}`", message)
    click.echo(f"{style('error:', fg='red', bold=True)} {message}", err=True)
    if json_wanted:
        document = {
            "schema": f"{PROGRAM}.error/1",
            "code": problem.code,
            "message": message,
            "rule": problem.rule,
            **dict(problem.details),
        }
        try:
            click.echo(json.dumps(document))
            sys.stdout.flush()
        except OSError:
            _abandon_stdout()
    elif isinstance(error, OSError):
        _abandon_stdout()
    return problem.exit_code


def _abandon_stdout() -> None:
    """What is still buffered can no longer be written: keep the interpreter from trying at its end."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
    except (OSError, ValueError):
        pass


def _problem(error: Exception) -> _Problem | None:
    """Exit code, machine-readable code and message of an error. None for what can only be our own."""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else PROGRAM
        message = error.format_message().rstrip(".")
        return _Problem(USAGE, "usage", f"{message} (see `{command} --help`)")
    if isinstance(error, click.ClickException):
        return _Problem(ENVIRONMENT, "environment", error.format_message())
    from encmempool.errors import Conflict, EnvironmentProblem, StorageError
    from threshold.errors import BackendUnavailable, NotEnoughShares, Rejected, ThresholdError
    from threshold.keys import CeremonyFailed

    if isinstance(error, NotEnoughShares):
        details = (("blamed", list(error.blamed)),)
        return _Problem(WRONG, "not_enough_shares", str(error), error.rule, details)
    if isinstance(error, Rejected):
        return _Problem(WRONG, "rejected", str(error), error.rule, (("member", error.member),))
    if isinstance(error, ThresholdError):
        return _Problem(WRONG, "malformed", str(error))
    if isinstance(error, BackendUnavailable):
        return _Problem(ENVIRONMENT, "environment", str(error))
    if isinstance(error, CeremonyFailed):
        return _Problem(WRONG, "ceremony_failed", str(error))
    if isinstance(error, Conflict):
        return _Problem(WRONG, "conflict", f"{error}: nothing was written")
    if isinstance(error, StorageError):
        return _Problem(ENVIRONMENT, "storage", str(error))
    if isinstance(error, EnvironmentProblem) and type(error).__name__ == "WrongPassword":
        return _Problem(ENVIRONMENT, "wrong_password", f"{error}: check --password-file")
    if isinstance(error, EnvironmentProblem):
        return _Problem(ENVIRONMENT, "environment", str(error))
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _Problem(ENVIRONMENT, "environment", f"{where}{error.strerror or error}")
    if type(error).__name__ == "AuditFailed":
        from encmempool.audit import AuditFailed

        if isinstance(error, AuditFailed):
            return _Problem(
                WRONG, "audit_failed", str(error), None, (("height", error.height), ("record", error.record))
            )
    if isinstance(error, ValueError):
        return _Problem(USAGE, "usage", str(error))
    if type(error).__name__ in ("PathDisagrees", "EngineMismatch"):  # of a module that needs an extra
        return _Problem(WRONG, "disagrees", f"{error}: the run has no figures")
    return None


# --- what goes to stderr ---------------------------------------------------------------------------------------------


def style(text: str, **how: Any) -> str:
    """Styled if stderr is a terminal that wants it."""
    return click.style(text, **how) if _is_terminal(sys.stderr) and not os.environ.get("NO_COLOR") else text


def note(text: str) -> None:
    """What was done, for a person. Silent with -q."""
    if not settings().quiet:
        click.echo(text, err=True)


def next_step(command: str, why: str = "next:") -> None:
    """The command to type next, as this shell finds it and with the --home it needs. Silent with -q."""
    note(f"{style(why, dim=True)} {style(_typed(command, settings().home), bold=True)}")


def _typed(command: str, home: Path) -> str:
    elsewhere = home != Path(os.environ.get("ENCMEMPOOL_HOME", Settings().home))
    option = f" --home {shlex.quote(str(home))}" if elsewhere else ""
    return command.replace(PROGRAM, f"{_program()}{option}", 1)


def _program() -> str:
    """`encmempool` where it is on the path; otherwise where it was started from, as after `make demo`."""
    started = Path(sys.argv[0])
    if started.name != PROGRAM or shutil.which(PROGRAM):
        return PROGRAM
    return shlex.quote(os.path.relpath(started))


def warning(text: str) -> None:
    """Said even with -q."""
    click.echo(f"{style('warning:', fg='yellow', bold=True)} {text}", err=True)


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal; elsewhere nothing. Yields a function that changes its text."""
    if settings().quiet or not _is_terminal(sys.stderr):
        yield lambda _: None
        return
    with console(stderr=True).status(text) as status:
        yield status.update


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """On a terminal, a bar with the time that is left; elsewhere nothing. Yields a function of what is done, of how
    much, and a text."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console(stderr=True)
    if settings().quiet or not screen.is_terminal:
        yield lambda done, total, text: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(unit)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


def console(**options: Any) -> Console:
    """Rich's. With NO_COLOR it neither colors nor dims nor emboldens."""
    from rich.console import Console

    return Console(color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False, **options)


def _is_terminal(stream: Any) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())
