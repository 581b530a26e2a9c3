"""Input and output: objects as hex or binary, tables, JSON, passwords."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.application import PROGRAM, console, settings, warning

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

    from encmempool.client import Client
    from encmempool.home import Home, Password
    from encmempool.identity import Identity
    from encmempool.network.local import LocalNetwork
    from encmempool.network.peer import PeerTls
    from encmempool.network.remote import RemoteNetwork
    from encmempool.network.view import NetworkView
    from encmempool.types import KeySet

STDIN = "-"
NEXT_SUBMIT = "encmempool submit envelope.hex > receipt.hex"
NEXT_COMMIT = "encmempool sequencer commit > commitment.hex"
_ANY_WIDTH = 10_000
_OBJECT_FIELDS = ("transaction", "envelope", "receipt", "commitment", "key_set", "ciphertext", "message")
FILE = click.argument("file", metavar="FILE|-")
PASSWORD_FILE = click.option(
    "--password-file",
    metavar="FILE|-",
    help="First line opens the keystores.  [default: the home's generated password, else a prompt]",
)


# --- objects ---------------------------------------------------------------------------------------------------------


def source(file: str) -> str:
    """What messages call it."""
    return "standard input" if file == STDIN else file


def read_bytes(file: str) -> bytes:
    """A file's bytes, or standard input's for `-`."""
    if file != STDIN:
        return Path(file).read_bytes()
    if sys.stdin.isatty():
        click.echo("reading from the terminal: end with Ctrl-D", err=True)
    return sys.stdin.buffer.read()


def read_object(file: str, what: str) -> bytes:
    """One object: 0x-hex with or without the 0x and surrounding whitespace, or binary. Raises Malformed."""
    from encmempool.errors import Malformed

    data = read_bytes(file)
    name = source(file)
    text = data.strip()
    if not text:
        raise Malformed(f"{name} is empty: {what} was expected, as 0x-hex or binary")
    if not all(32 <= byte < 127 or byte in b"\r\n\t" for byte in text):
        return data
    if text.startswith(b"{"):
        raise Malformed(f"{name} is --json output: run the command without --json, or take its {_field_of(text)}")
    digits = text.removeprefix(b"0x").removeprefix(b"0X")
    for at, byte in enumerate(digits):
        if byte not in b"0123456789abcdefABCDEF":
            raise Malformed(f"{name} is not {what}: {chr(byte)!r} at digit {at + 1} is not hex")
    if len(digits) % 2:
        raise Malformed(f"{name} is not {what}: it has an odd number of hex digits, {len(digits)}")
    return bytes.fromhex(digits.decode())


def _field_of(text: bytes) -> str:
    """Where one of our JSON documents holds its object."""
    try:
        fields = json.loads(text)
    except ValueError:
        fields = {}
    for name in _OBJECT_FIELDS:
        if name in fields:
            return f"`{name}` field"
    return "field with the object's hex"


def hex_bytes(text: str, what: str, *, size: int | None = None) -> bytes:
    """An argument that is hex. ValueError naming it."""
    digits = text.removeprefix("0x")
    try:
        data = bytes.fromhex(digits) if digits.isalnum() or not digits else None
    except ValueError:
        data = None
    if data is None or (size is not None and len(data) != size):
        wanted = f"0x and {2 * size} hex digits" if size is not None else "0x and hex digits"
        raise ValueError(f"{text!r} is not {what}: {wanted} are expected")
    return data


def unhexed(data: bytes) -> bytes:
    """Hex is decoded, anything else is left for the reader to judge."""
    try:
        return bytes.fromhex(data.strip().removeprefix(b"0x").decode("ascii"))
    except ValueError:
        return data


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def short(data: bytes) -> str:
    """Enough of a hash to recognise it."""
    return f"0x{data[:3].hex()}…{data[-2:].hex()}"


# --- output ----------------------------------------------------------------------------------------------------------


def print_object(data: bytes, command: str, fields: Mapping[str, Any]) -> None:
    """One line of hex; with --json the fields."""
    if not print_json(command, fields):
        click.echo(hexed(data))


def print_json(command: str, fields: Mapping[str, Any], *, version: int = 1) -> bool:
    """Whether --json was asked for and the object is printed: one line, or indented on a terminal."""
    if not settings().json:
        return False
    document = {"schema": f"{PROGRAM}.{command}/{version}", **fields}
    click.echo(json.dumps(document, indent=2 if sys.stdout.isatty() else None))
    return True


def print_rich(*parts: Any) -> None:
    screen = console()
    if screen.is_terminal:
        _print(screen, parts)
        return
    with screen.capture() as captured:
        _print(screen, parts)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _print(screen: Console, parts: Iterable[Any]) -> None:
    """What must not be broken may be wider than the screen."""
    width = screen.width
    for part in parts:
        screen.width = max(width, _unbroken_width(screen, part))
        screen.print(part, crop=False)
    screen.width = width


def _unbroken_width(screen: Console, part: Any) -> int:
    """Columns a table needs to break neither a word nor a cell that may not wrap."""
    from rich.measure import Measurement
    from rich.table import Table

    if not isinstance(part, Table):
        return 0
    wide = screen.options.update(width=_ANY_WIDTH)
    needed = Measurement.get(screen, wide, part).minimum
    for column in part.columns:
        if column.no_wrap:
            cells = [Measurement.get(screen, wide, cell) for cell in (column.header, *column.cells)]
            needed += max(cell.maximum for cell in cells) - max(cell.minimum for cell in cells)
    return needed


def heading(text: str, style: str = "bold") -> Text:
    """A line above a table: a table's own title would break at the table's width."""
    from rich.text import Text

    return Text(text, style=style)


def table(*columns: str, right: Iterable[str] = (), wrap: Iterable[str] = ()) -> Table:
    """An empty table; columns in `right` hold numbers, those in `wrap` may break lines."""
    from rich import box
    from rich.table import Table

    made = Table(
        header_style="dim",
        border_style="dim",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        breaks = column in wrap
        made.add_column(column, justify="right" if column in right else "left", no_wrap=not breaks, overflow="fold")
    return made


class Packed:
    """Items in a row, as many as fit on a line, never broken inside."""

    def __init__(self, items: Sequence[str], *, between: str = " · ") -> None:
        self._items, self._between = items, between

    def lines(self, width: int) -> list[str]:
        lines: list[str] = []
        for item in self._items:
            longer = f"{lines[-1]}{self._between}{item}" if lines else ""
            if longer and len(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(item)
        return lines


class _Facts:
    """Names and values, one a line. Values wrap between words; a word too long for the line runs over its end."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        self._pairs = pairs

    def __rich_console__(self, screen: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        margin = max((len(name) for name, _ in self._pairs), default=0) + 2
        width = max(options.max_width - margin, 1)
        for name, value in self._pairs:
            if isinstance(value, Packed):
                lines = [Text(line) for line in value.lines(width)]
            else:
                lines = _wrapped(Text.from_markup(str(value)), width)
            for at, line in enumerate(lines):
                label = Text("" if at else name, style="dim", no_wrap=True, overflow="ignore")
                label.pad_right(margin - len(label))
                line.rstrip()
                yield label.append_text(line)


def _wrapped(text: Text, width: int) -> list[Text]:
    """Lines of whole words. Rich's own wrapping would fold or crop a word that is too long."""
    breaks, start = [], 0
    for word in re.finditer(r"\S+", text.plain):
        if word.start() > start and word.end() - start > width:
            breaks.append(start := word.start())
    return list(text.divide(breaks))


def facts(pairs: Iterable[tuple[str, Any]]) -> _Facts:
    """Names and values, one a line."""
    return _Facts(tuple(pairs))


# --- networks and passwords ------------------------------------------------------------------------------------------


def open_home() -> Home:
    from encmempool.home import Home

    return Home(settings().home)


def open_network(home: Home, *, password_file: str | None = None) -> LocalNetwork:
    """The network of the home, after a warning where its key set deserves one."""
    from encmempool.network.local import LocalNetwork

    refuse_remote(home)
    network = LocalNetwork(home, password=network_password(home, password_file), backend=settings().backend)
    warn_of(network.committee.key_set, hides=network.committee.scheme.info.hides)
    return network


def open_client(home: Home, password_file: str | None = None) -> Client:
    """Of the network behind --node, or of the home."""
    from encmempool.client import Client

    client = Client(
        settings().node or home.path,
        home=home.path,
        genesis_root=genesis_root(),
        password=network_password(home, password_file),
        backend=settings().backend,
        tls=peer_tls(),
    )
    click.get_current_context().call_on_close(client.close)
    return client


def open_view(home: Home) -> NetworkView:
    """The network as clients see it, after a warning where its key set deserves one."""
    view = open_client(home).view()
    warn_of(view.committee.key_set, hides=view.committee.scheme.info.hides)
    return view


def open_remote(home: Home) -> RemoteNetwork:
    """The network behind --node. ValueError without one."""
    from encmempool.network.remote import RemoteNetwork

    url = settings().node
    if url is None:
        raise ValueError("name a node with --node")
    network = RemoteNetwork(url, home, genesis_root=genesis_root(), backend=settings().backend, tls=peer_tls())
    click.get_current_context().call_on_close(network.close)
    return network


def genesis_root() -> bytes | None:
    """The --genesis-root that was given."""
    text = settings().genesis_root
    return None if text is None else hex_bytes(text, "a genesis root", size=32)


def peer_tls() -> PeerTls | None:
    """Authority and certificate for https, from the environment: SSL files are the same for every command."""
    from encmempool.network.peer import PeerTls

    authority, certificate, key = (
        os.environ.get(f"ENCMEMPOOL_TLS_{name}") for name in ("AUTHORITY", "CERTIFICATE", "KEY")
    )
    if not (authority or certificate):
        return None
    return PeerTls(
        authority=Path(authority) if authority else None,
        certificate=Path(certificate) if certificate else None,
        key=Path(key) if key else None,
    )


def warn_of_network(home: Home) -> None:
    """As `open_network` does, for commands whose Client opens the network itself."""
    from threshold.schemes.registry import load_scheme, scheme_name

    if settings().node is not None:
        return
    refuse_remote(home)
    home.genesis()
    key_set = home.key_sets()[-1].message
    warn_of(key_set, hides=load_scheme(scheme_name(key_set.scheme), settings().backend).info.hides)


def refuse_remote(home: Home) -> None:
    """A home whose network is run by separate nodes has no roles of its own."""
    from encmempool.errors import EnvironmentProblem

    nodes = home.nodes()
    if nodes is not None:
        raise EnvironmentProblem(f"the network of {home.path} is run by separate nodes: add --node {nodes.sequencer}")


def warn_of(key_set: KeySet, *, hides: bool) -> None:
    if key_set.reduced_threshold:
        warning(
            f"reduced threshold {key_set.t} of {key_set.n}: two conflicting orders can both gather votes; "
            "for experiments only"
        )
    if not hides:
        warning("this network's scheme hides nothing: everyone can read what is submitted")


def network_password(home: Home, password_file: str | None) -> Callable[[], Password]:
    """Opens the network's own keystores; asked for when the first signature is."""

    def password() -> Password:
        return read_password_file(password_file) or home.generated_password() or _prompted("the network's keystores")

    return password


def open_account(home: Home, name: str, password_file: str | None) -> Identity:
    """The key of an account: --password-file, else the home's generated password, else a prompt."""
    from encmempool.errors import EnvironmentProblem
    from encmempool.home import WrongPassword

    what = f"account {name!r}"
    home.account_address(name)  # an unknown name is said before a password is asked for
    given = read_password_file(password_file)
    if given is not None:
        return home.account(name, given)
    generated = home.generated_password()
    if generated is None:
        return home.account(name, _prompted(what))
    try:
        return home.account(name, generated)
    except WrongPassword:
        if sys.stdin.isatty():
            return home.account(name, _prompted(what))
        raise EnvironmentProblem(
            f"the home's generated password does not open {what}: pass yours with --password-file FILE"
        ) from None


def generated_password(home: Home) -> Password:
    """The home's own, made if it has none and no keystore yet."""
    from encmempool.errors import EnvironmentProblem

    try:
        made = home.generated_password(create=True)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(f"{error}, or choose a password with --password-file FILE") from None
    assert made is not None
    return made


def read_password_file(file: str | None) -> Password | None:
    """None if no file was named."""
    from encmempool.errors import EnvironmentProblem
    from encmempool.home import Password, read_password

    if file is None:
        return None
    if file != STDIN:
        try:
            return Password(read_password(Path(file)), generated=False)
        except UnicodeDecodeError:
            raise EnvironmentProblem(f"the password file {file} is not text in UTF-8") from None
    line = sys.stdin.buffer.readline().rstrip(b"\r\n")
    if not line:
        raise EnvironmentProblem("standard input holds no password: its first line is empty")
    return Password(line, generated=False)


def refuse_two_readers(*files: str | None) -> None:
    """Standard input can be read once."""
    if sum(file == STDIN for file in files) > 1:
        raise click.UsageError("only one of FILE and --password-file can be `-`", click.get_current_context())


def _prompted(what: str) -> Password:
    from encmempool.errors import EnvironmentProblem
    from encmempool.home import Password

    if not sys.stdin.isatty():
        raise EnvironmentProblem(f"no password for {what}: pass --password-file FILE")
    text = click.prompt(f"Password for {what}", hide_input=True, err=True)
    return Password(text.encode(), generated=False)
