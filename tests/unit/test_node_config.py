"""`node.toml`: what a right one means, and that every mistake in one is told in a line that names file and entry."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.network.config import (
    ClockSettings,
    LimitSettings,
    NodeConfig,
    Pace,
    StoreSettings,
    TlsSettings,
    read,
)

LEAST = """\
role = "member"
listen = "127.0.0.1:7101"
sequencer = "http://127.0.0.1:7100"
members = ["http://127.0.0.1:7101", "http://127.0.0.1:7102"]
"""
FULL = f"""\
role = "sequencer"
home = "data"
listen = "[::1]:7100"
url = "https://sequencer.example:7100/"
sequencer = "https://sequencer.example:7100"
members = ["https://one.example:7101/", "https://two.example"]
auditors = ["http://[2001:db8::1]:7109"]
operators = ["0x{"aB" * 20}"]
genesis_root = "0x{"cd" * 32}"
password_file = "/run/secrets/password"
backend = "reference"

[store]
url = "postgresql+psycopg://node:secret@db.example/node"
max_pages = 1000

[tls]
certificate = "tls/node.pem"
key = "tls/node.key"
authority = "/etc/authority.pem"
client_authority = "tls/clients.pem"

[limits]
requests_per_s = 50
burst = 100
connections = 64
exempt = ["10.0.0.2", "fe80::1%eth0"]

[clock]
offset_ms = -250

[commitments]
interval_ms = 100
heartbeat_ms = 1000
pipeline = 2
queue = 256
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "node.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def with_entry(entry, value):
    """The shortest configuration with one more entry, or another value of one, by its dotted name."""
    section, _, name = entry.rpartition(".")
    lines = [line for line in LEAST.splitlines() if not line.startswith(f"{entry} ")]
    more = [f"[{section}]", f"{name} = {value}"] if section else [f"{name} = {value}"]
    return "\n".join([*lines, *more]) if section else "\n".join([*more, *lines])


def mistake(path):
    """The one line that says what is wrong, without the file that it has to name."""
    with pytest.raises(Malformed) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert text.isprintable()
    assert len(text) < len(str(path)) + 400
    return text.removeprefix(str(path))


# --- right ones ------------------------------------------------------------------------------------------------------


def test_shortest_configuration_has_the_documented_defaults(write):
    path = write(LEAST)
    config = read(path)
    assert config.home == path.parent
    assert (config.host, config.port, config.own_url) == ("127.0.0.1", 7101, "http://127.0.0.1:7101")
    assert config.peers == ("http://127.0.0.1:7100", "http://127.0.0.1:7102")
    assert (config.store, config.tls, config.pace) == (StoreSettings(), None, Pace())
    assert (config.limits, config.clock, config.genesis_root) == (LimitSettings(), ClockSettings(), None)


def test_full_configuration_means_what_it_says(write):
    path = write(FULL)
    config = read(path)
    assert (config.role, config.home, config.backend) == ("sequencer", path.parent / "data", "reference")
    assert (config.host, config.port) == ("::1", 7100)
    assert config.password_file == Path("/run/secrets/password")
    assert config.store.url == "postgresql+psycopg://node:secret@db.example/node"
    assert config.store.max_pages == 1000
    assert config.tls == TlsSettings(
        certificate=path.parent / "tls/node.pem",
        key=path.parent / "tls/node.key",
        authority=Path("/etc/authority.pem"),
        client_authority=path.parent / "tls/clients.pem",
    )
    assert config.pace == Pace(interval_ms=100, heartbeat_ms=1000, pipeline=2, queue=256)
    exempt = ("10.0.0.2", "fe80::1%eth0")
    assert config.limits == LimitSettings(requests_per_s=50.0, burst=100, connections=64, exempt=exempt)
    assert config.clock.offset_ms == -250
    assert config.operators == ("0x" + "aB" * 20,)


def test_node_is_no_peer_of_itself_however_its_address_is_written(write):
    config = read(write(FULL))
    assert config.own_url == "https://sequencer.example:7100"
    assert config.peers == ("https://one.example:7101", "https://two.example", "http://[2001:db8::1]:7109")


def test_address_of_a_node_with_tls_is_https(write):
    tls = '[tls]\ncertificate = "a"\nkey = "b"\n'
    assert read(write(LEAST + tls)).own_url == "https://127.0.0.1:7101"


def test_password_of_a_database_is_not_shown(write):
    assert "node:secret" not in repr(read(write(FULL)))


# --- files that are none ---------------------------------------------------------------------------------------------


def test_file_that_is_not_there_or_no_file_is_told_in_one_line(tmp_path):
    for path in (tmp_path / "node.toml", tmp_path):
        with pytest.raises(EnvironmentProblem) as caught:
            read(path)
        assert str(caught.value).startswith(str(path))
        assert str(caught.value).isprintable()


NOT_TOML = {
    "utf-16": b"\xff\xfe",
    "mark": b"\xef\xbb\xbfrole = 1",
    "word": "role",
    "no-value": "role = ",
    "section": "[store",
    "entry-twice": "a = 1\na = 2",
    "section-twice": "[store]\n[store]",
    "long-number": f"a = {'1' * 5000}",
    "control": "a = \x01",
}


@pytest.mark.parametrize("text", NOT_TOML.values(), ids=NOT_TOML)
def test_file_that_is_not_toml_is_told_in_one_line(write, text):
    assert "is not TOML" in mistake(write(text))


def test_empty_file_lacks_its_first_entry(write):
    assert mistake(write("")) == ": role is missing"


# --- entries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["role", "listen", "sequencer", "members"])
def test_entry_that_is_missing_is_named(write, entry):
    lines = [line for line in LEAST.splitlines() if not line.startswith(f"{entry} ")]
    assert mistake(write("\n".join(lines))) == f": {entry} is missing"


@pytest.mark.parametrize("entry", ["certificate", "key"])
def test_entry_that_is_missing_in_a_section_is_named(write, entry):
    other = {"certificate": "key", "key": "certificate"}[entry]
    assert mistake(write(with_entry(f"tls.{other}", '"a.pem"'))) == f": tls.{entry} is missing"


KINDS = {
    "rolle": NodeConfig,
    "Role": NodeConfig,
    "pace": NodeConfig,
    "store.uri": StoreSettings,
    "tls.ca": TlsSettings,
    "limits.requests": LimitSettings,
    "clock.ms": ClockSettings,
    "commitments.every": Pace,
}


@pytest.mark.parametrize("entry", KINDS)
def test_entry_that_does_not_exist_is_named_with_those_that_do(write, entry):
    told = mistake(write(with_entry(entry, "1")))
    sections = {"store", "tls", "l1", "pace", "stall", "limits", "clock"}
    there_are = sorted({field.name for field in fields(KINDS[entry])} - sections)
    assert told == f": there is no entry {entry!r}; there are {', '.join(there_are)}"


@pytest.mark.parametrize("section", ["store", "tls", "limits", "clock", "commitments"])
@pytest.mark.parametrize("value", ["5", '"x"', "[]", "true"])
def test_section_that_is_a_value_is_named(write, section, value):
    assert mistake(write(with_entry(section, value))) == f": [{section}] is a section, not a value"


TEXTS = ["role", "listen", "url", "sequencer", "genesis_root", "backend", "store.url"]
PATHS = ["home", "password_file", "tls.certificate", "tls.key", "tls.authority", "tls.client_authority"]
LISTS = ["members", "auditors", "operators", "limits.exempt"]
COUNTS = [
    "store.max_pages",
    "limits.burst",
    "limits.connections",
    "commitments.interval_ms",
    "commitments.heartbeat_ms",
    "commitments.pipeline",
    "commitments.queue",
]


@pytest.mark.parametrize("entry", [*TEXTS, *PATHS])
@pytest.mark.parametrize("value", ["5", "true", "1.5", "[]", "{}", "1979-05-27"])
def test_entry_that_is_no_text_is_named(write, entry, value):
    what = "path" if entry in PATHS else "text"
    assert mistake(write(with_entry(entry, value))) == f": {entry} is a {what} in quotes"


@pytest.mark.parametrize("entry", LISTS)
@pytest.mark.parametrize("value", ["5", '"x"', "true", "[5]", '["http://h:1", 5]', '[["x"]]', "{}"])
def test_entry_that_is_no_list_of_texts_is_named(write, entry, value):
    assert mistake(write(with_entry(entry, value))) == f": {entry} is a list of strings"


@pytest.mark.parametrize("entry", [*COUNTS, "clock.offset_ms"])
@pytest.mark.parametrize("value", ['"5"', "true", "1.5", "[]", "nan", "1979-05-27"])
def test_entry_that_is_no_whole_number_is_named(write, entry, value):
    assert mistake(write(with_entry(entry, value))) == f": {entry} is a whole number"


@pytest.mark.parametrize("entry", COUNTS)
@pytest.mark.parametrize("value", ["0", "-1", str(2**31), str(10**400)], ids=["zero", "negative", "large", "huge"])
def test_count_out_of_its_range_is_named(write, entry, value):
    assert mistake(write(with_entry(entry, value))) == f": {entry} lies between 1 and {2**31 - 1}"


@pytest.mark.parametrize("value", ["0", "0.0", "-1", "nan", "inf", "-inf", str(2**31)])
def test_rate_out_of_its_range_is_named(write, value):
    told = mistake(write(with_entry("limits.requests_per_s", value)))
    assert told.startswith(": limits.requests_per_s is more than 0")


@pytest.mark.parametrize("value", ['"5"', "true", "[]"])
def test_rate_that_is_no_number_is_named(write, value):
    assert mistake(write(with_entry("limits.requests_per_s", value))) == ": limits.requests_per_s is a number"


@pytest.mark.parametrize("value", [10**12 + 1, -(10**12) - 1, 2**63 - 1])
def test_clock_that_is_off_by_ages_is_named(write, value):
    assert mistake(write(with_entry("clock.offset_ms", value))).startswith(": clock.offset_ms lies between")


@pytest.mark.parametrize("value", ["", "Member", "keyper", "member "])
def test_role_that_does_not_exist_is_named_with_those_that_do(write, value):
    assert mistake(write(with_entry("role", f'"{value}"'))).endswith("it is one of sequencer, member, auditor")


def test_backend_that_does_not_exist_is_named_with_those_that_do(write):
    assert ": backend is 'fast': it is one of native" in mistake(write(with_entry("backend", '"fast"')))


PLACES = ["", "7101", ":7101", "host", "host:", "host:x", "host:-1", "host:65536", "host: 1", "host:1 ", "a b:1"]
PLACES += ["[::1]", "[zz]:1", "[1:2]:1", "[]:1", "::1:7101", "user@host:1", "http://host:1", "host:1/x", "host:1\\n"]
PLACES += ["host:٣", f"host:{'1' * 5000}"]


@pytest.mark.parametrize("value", PLACES)
def test_place_to_listen_that_is_none_is_named(write, value):
    assert mistake(write(with_entry("listen", f'"{value}"'))).startswith(": listen is ")


ADDRESSES = ["", "host:1", "ftp://host:1", "http:host", "HTTP:/host", "http://", "http://:1", "http://a b:1"]
ADDRESSES += ["http://host:x", "http://host:0", "http://host:65536", "http://host:1\\n", "http://host:1//"]
ADDRESSES += ["http://host:1/path", "http://host:1?x", "http://host:1#x"]
ADDRESSES += ["http://[::1", "http://::1:1", "http://[zz]:1", "http://[1:2]:1"]


@pytest.mark.parametrize("entry", ["sequencer", "members", "auditors", "url"])
@pytest.mark.parametrize("value", ADDRESSES)
def test_address_that_is_none_is_named(write, entry, value):
    if entry == "url" and value == "":
        value = "/"  # an empty one stands for the default
    text = f'"{value}"' if entry in ("sequencer", "url") else f'["http://host:1", "{value}"]'
    assert mistake(write(with_entry(entry, text))).startswith(f": {entry}: ")


@pytest.mark.parametrize("entry", ["sequencer", "members", "auditors", "url"])
def test_password_in_an_address_is_refused_and_not_repeated(write, entry):
    text = '"http://node:secret@host:1"'
    told = mistake(write(with_entry(entry, text if entry in ("sequencer", "url") else f"[{text}]")))
    assert told == f": {entry}: an address of a node holds no user name and no password"


def test_members_that_are_none_are_told(write):
    assert mistake(write(with_entry("members", "[]"))).startswith(": members is empty")


@pytest.mark.parametrize("entry", ["members", "auditors"])
def test_address_that_is_listed_twice_is_told(write, entry):
    value = '["http://host:1", "http://other:1", "http://host:1/"]'
    assert mistake(write(with_entry(entry, value))) == f": {entry} lists an address twice"


HEX = ["", "0x", "ab" * 20, "0x" + "ab" * 19, "0x" + "ab" * 21, "0x" + "zz" * 20, "0x" + "a " * 20, "0X" + "ab" * 20]


@pytest.mark.parametrize("value", HEX)
def test_operator_that_is_no_address_is_named(write, value):
    assert mistake(write(with_entry("operators", f'["0x{"ab" * 20}", "{value}"]'))).startswith(": operators: ")


@pytest.mark.parametrize("value", ["", "0x", "ab" * 32, "0x" + "ab" * 31, "0x" + "zz" * 32, "0x" + "a " * 32])
def test_genesis_root_that_is_none_is_named(write, value):
    """An empty one as well: it would pin nothing."""
    assert mistake(write(with_entry("genesis_root", f'"{value}"'))).startswith(": genesis_root: ")


@pytest.mark.parametrize("value", ["host", "10.0.0", "10.0.0.0/8", "", "10.0.0.256"])
def test_exempt_caller_that_is_no_ip_address_is_named(write, value):
    assert mistake(write(with_entry("limits.exempt", f'["10.0.0.1", "{value}"]'))).startswith(": limits.exempt: ")


@pytest.mark.parametrize(
    "value", ["", "node.sqlite", "mysql://node:secret@host/db", "postgresql://node:secret@host/db"]
)
def test_database_that_is_none_is_named_without_its_password(write, value):
    told = mistake(write(with_entry("store.url", f'"{value}"')))
    assert told.startswith(": store.url is none of a database")
    assert "secret" not in told


@given(st.text(max_size=60), st.sampled_from(["role", "listen", "sequencer", "members", "home", "[tls]", "[limits]"]))
def test_any_text_is_a_configuration_or_one_line(tmp_path_factory, text, after):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    lines = LEAST.splitlines()
    at = next((at for at, line in enumerate(lines) if line.startswith(after)), len(lines))
    path.write_text("\n".join([*lines[:at], text, *lines[at:]]), encoding="utf-8", errors="replace")
    told = str(path)
    try:
        read(path)
    except Malformed as error:
        told = str(error)
    assert told.startswith(str(path))
    assert told.isprintable()
