"""The vectors that the specifications made: found, read and checked against their form.

A checkout has them in `specs/vectors`; a wheel carries the same folder beside the packages. The form is that of
`specs/schemas/vectors.json`, written out here because an installation has no JSON Schema validator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encmempool.documents import decode_json
from encmempool.errors import EnvironmentProblem

Json = dict[str, Any]

SCHEMA = "encmempool.vectors/1"
DIRECTORY = Path(__file__).resolve().parents[2] / "specs" / "vectors"
KINDS = ("Malformed", "Rejected")

_RULE = re.compile(r"[A-Z]{3}-[1-9][0-9]*")
_HEX = re.compile(r"0x([0-9a-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question and its answer: `output`, or the error's `kind` and `rule`."""

    id: str
    page: str
    operation: str
    title: str
    requirements: tuple[str, ...]
    input: Json
    output: Json | None = None
    kind: str | None = None
    rule: str | None = None

    @property
    def request(self) -> Json:
        return {"id": self.id, "page": self.page, "operation": self.operation, "input": self.input}


class _Wrong(Exception):
    """Where in a file something else was expected."""


def load(directory: Path = DIRECTORY, *, page: str | None = None, only: str | None = None) -> tuple[Case, ...]:
    """All cases, sorted by page and operation; every file is checked, whatever is chosen.

    page    those of one page
    only    the case of that id, or those that cite that requirement

    Raises ValueError for a page or id that no vector has, EnvironmentProblem for missing or malformed files.
    """
    paths = sorted(directory.glob("*/*.json"))
    if not paths:
        raise EnvironmentProblem(f"there are no vectors in {directory}: `make vectors` writes them")
    cases: dict[str, Case] = {}
    for path in paths:
        for case in _read(path):
            if case.id in cases:
                raise EnvironmentProblem(f"{path} is no vector file: case {case.id} exists already")
            cases[case.id] = case
    pages = sorted({case.page for case in cases.values()})
    if page is not None and page not in pages:
        raise ValueError(f"no vectors of a page {page!r}: choose {', '.join(pages)}")
    chosen = tuple(case for case in cases.values() if page in (None, case.page))
    if only is None:
        return chosen
    found = tuple(case for case in chosen if only == case.id or only in case.requirements)
    if not found:
        raise ValueError(f"no case {only!r} and none that cites a requirement of that id: --json lists all ids")
    return found


def _read(path: Path) -> Iterator[Case]:
    try:
        document = decode_json(path.read_bytes(), object_pairs_hook=_object)
        yield from _cases(document, path)
    except ValueError as error:
        raise EnvironmentProblem(f"{path} is no vector file: it is not JSON: {error}") from None
    except _Wrong as error:
        raise EnvironmentProblem(f"{path} is no vector file: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> Json:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Wrong("an object has a name twice")
    return made


def _cases(document: Any, path: Path) -> Iterator[Case]:
    fields = _fields(document, "the file", {"schema", "page", "operation", "cases"}, set())
    for name, expected in (("schema", SCHEMA), ("page", path.parent.name), ("operation", path.stem)):
        if fields[name] != expected:
            raise _Wrong(f"{name}: {expected!r} was expected")
    if not isinstance(fields["cases"], list) or not fields["cases"]:
        raise _Wrong("cases: a list with at least one case was expected")
    for position, item in enumerate(fields["cases"]):
        yield _case(item, f"cases[{position}]", fields["page"], fields["operation"])


def _case(item: Any, where: str, page: str, operation: str) -> Case:
    fields = _fields(item, where, {"id", "title", "requirements", "input"}, {"output", "error", "intermediate"})
    case_id, title, requirements = fields["id"], fields["title"], fields["requirements"]
    prefix = f"{page}/{operation}/"
    if not isinstance(case_id, str) or not re.fullmatch(re.escape(prefix) + "[1-9][0-9]*", case_id):
        raise _Wrong(f"{where}.id: {prefix!r} and a number was expected")
    if not isinstance(title, str) or not title:
        raise _Wrong(f"{where}.title: a text was expected")
    if not isinstance(requirements, list) or not requirements or not all(map(is_rule, requirements)):
        raise _Wrong(f"{where}.requirements: a list of ids such as 'TDH-2' was expected")
    if len(set(requirements)) < len(requirements):
        raise _Wrong(f"{where}.requirements: an id stands there twice")
    if ("output" in fields) == ("error" in fields):
        raise _Wrong(f"{where}: either output or error was expected")
    for name in {"input", "output", "intermediate"} & fields.keys():
        if not isinstance(fields[name], dict):
            raise _Wrong(f"{where}.{name}: an object was expected")
        _check_value(fields[name], f"{where}.{name}")
    kind = rule = None
    if "error" in fields:
        error = _fields(fields["error"], f"{where}.error", {"kind", "rule"}, set())
        kind, rule = error["kind"], error["rule"]
        if kind not in KINDS:
            raise _Wrong(f"{where}.error.kind: {' or '.join(KINDS)} was expected")
        if not (is_rule(rule) if kind == "Rejected" else rule is None):
            raise _Wrong(f"{where}.error.rule: an id for Rejected and null for Malformed was expected")
    return Case(
        id=case_id,
        page=page,
        operation=operation,
        title=title,
        requirements=tuple(requirements),
        input=fields["input"],
        output=fields.get("output"),
        kind=kind,
        rule=rule,
    )


def _fields(value: Any, where: str, needed: set[str], allowed: set[str]) -> Json:
    if not isinstance(value, dict):
        raise _Wrong(f"{where}: an object was expected")
    if missing := sorted(needed - value.keys()):
        raise _Wrong(f"{where}: {missing[0]} is missing")
    if unknown := sorted(value.keys() - needed - allowed):
        raise _Wrong(f"{where}: {unknown[0]} is not a field of it")
    return value


def is_rule(value: Any) -> bool:
    """Whether it is the id of a requirement, such as TDH-2."""
    return isinstance(value, str) and _RULE.fullmatch(value) is not None


def _check_value(value: Any, where: str) -> None:
    """Texts, booleans, null, and lists and objects of them; numbers are texts, bytes are whole and in lower case."""
    if isinstance(value, dict):
        for name, part in value.items():
            _check_value(part, f"{where}.{name}")
    elif isinstance(value, list):
        for position, part in enumerate(value):
            _check_value(part, f"{where}[{position}]")
    elif isinstance(value, str):
        if value.startswith("0x") and not _HEX.fullmatch(value):
            raise _Wrong(f"{where}: whole bytes in lower case were expected after 0x")
    elif value is not None and not isinstance(value, bool):
        raise _Wrong(f"{where}: {value} is a JSON number, a decimal string was expected")
