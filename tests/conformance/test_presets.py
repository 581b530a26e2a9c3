"""specs/presets.toml against the production code, and against the programs and tables of the pages."""

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from enum import Enum
from types import ModuleType
from typing import Any

import pytest

import encmempool
import threshold
from encmempool import genesis, keysets, types
from encmempool.ordering import Policy
from encmempool.reveal import Outcome
from encmempool.settlement.deployment import Parameters
from specs import build
from threshold.hashing import Tag
from threshold.schemes.registry import SCHEMES, load_scheme

PRESETS = tomllib.loads((build.HERE / "presets.toml").read_text())
CONSTANTS = {
    name: int(value, 16) if isinstance(value, str) else value
    for section in PRESETS.values()
    for name, value in section.items()
    if name.isupper()
}
ROW = re.compile(r"^\| *`([A-Z][A-Z0-9_]+)` *\| *([^|]*?) *(?:\||$)", re.MULTILINE)


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def constants_of(module: ModuleType) -> dict[str, Any]:
    """The module's constants that are presets, by their names without a leading underscore."""
    return {
        f"{module.__name__}.{name}": (CONSTANTS[name.lstrip("_")], plain(value))
        for name, value in vars(module).items()
        if name.lstrip("_") in CONSTANTS
    }


def production_modules() -> Iterator[ModuleType]:
    for package in (threshold, encmempool):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def table_rows(text: str) -> list[tuple[str, int]]:
    """The rows that begin with a preset's name, with the integer beside it: 4096, 4,096 or 2^12."""
    found = []
    for name, cell in ROW.findall(text):
        if name in CONSTANTS and (number := re.match(r"([0-9][0-9,_]*)(?:\^([0-9]+))?", cell)):
            base = int(re.sub("[,_]", "", number[1]))
            found.append((name, base ** int(number[2]) if number[2] else base))
    return found


def test_production_constants_equal_the_presets() -> None:
    found: dict[str, Any] = {}
    for module in production_modules():
        found |= constants_of(module)
    assert {name for name, (preset, value) in found.items() if preset != value} == set()
    stated = {name.rpartition(".")[2].lstrip("_") for name in found}
    assert set(CONSTANTS) == stated, "a preset that no production module has"


@pytest.mark.parametrize("page", build.pages())
def test_page_constants_and_tables_equal_the_presets(page: str) -> None:
    found = constants_of(build.load(page))
    assert {name for name, (preset, value) in found.items() if preset != value} == set()
    rows = table_rows(build.path_of(page).read_text())
    assert [row for row in rows if row[1] != CONSTANTS[row[0]]] == []


def test_limits_are_those_of_the_notation_page() -> None:
    notation = build.load("notation")
    assert {name: getattr(notation, name) for name in PRESETS["limits"]} == PRESETS["limits"]


def test_table_rows_are_read_in_every_spelling() -> None:
    text = "| `MAX_BATCH` | 4,096 | objects |\n| `MAX_TOKENS` | 2^8 |\n| `MAX_BATCH` | 17 |\n| `max` | 3 |\n"
    assert table_rows(text) == [("MAX_BATCH", 4096), ("MAX_TOKENS", 256), ("MAX_BATCH", 17)]


def test_deadlines_equal_the_presets() -> None:
    assert genesis.DEADLINES.to_json() == PRESETS["deadlines"]


def test_settlement_parameters_equal_the_presets_in_page_and_code() -> None:
    presets = {name: int(value) for name, value in PRESETS["settlement"].items()}
    assert asdict(Parameters()) == presets
    assert presets == build.load("settlement").PARAMETERS


def test_scheme_numbers_equal_the_presets() -> None:
    assert {name: load_scheme(name).info.number for name in SCHEMES} == PRESETS["schemes"]


@pytest.mark.parametrize(("numbered", "section"), [(Policy, "policies"), (Outcome, "outcomes")])
def test_numbered_names_equal_the_presets(numbered: type[Enum], section: str) -> None:
    assert {item.name.lower(): item.value for item in numbered} == PRESETS[section]


def test_setup_kinds_equal_the_presets() -> None:
    assert {name: getattr(keysets, name.upper()) for name in PRESETS["setup_kinds"]} == PRESETS["setup_kinds"]


def test_object_tags_equal_the_presets_in_page_and_code() -> None:
    presets, ceremonies = (
        {name: tag.encode() for name, tag in PRESETS[section].items()}
        for section in ("object_tags", "ceremony_object_tags")
    )
    assert presets | ceremonies == types._OBJECT_TAGS
    assert len(set(types._OBJECT_TAGS.values())) == len(types._OBJECT_TAGS)
    assert presets == build.load("notation").OBJECT_TAGS
    pages = "".join(build.path_of(page).read_text() for page in ("ceremonies", "nodes"))
    assert {
        name for name, tag in ceremonies.items() if f"`{tag.decode()}`" not in pages or f"`{name}`" not in pages
    } == set()


def test_domain_tags_of_the_page_are_those_of_the_code() -> None:
    """ENC-4: one list of tags, and no tag twice."""
    tags = {tag.name: tag.value for tag in Tag}
    assert tags == build.load("notation").TAGS
    assert len(set(tags.values())) == len(tags)


def test_objects_of_the_page_are_those_of_the_code() -> None:
    """SSZ-1: every protocol object stands in the table, with the same fields in the same order."""
    containers = build.load("notation").OBJECTS
    classes = {
        name: list(kind.__dataclass_fields__)
        for name, kind in vars(types).items()
        if isinstance(kind, type) and issubclass(kind, types.SszObject) and kind is not types.SszObject
    }
    assert {name: list(container.fields) for name, container in containers.items()} == classes
