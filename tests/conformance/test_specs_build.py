"""The machinery of the specifications: pages as modules, their checks, the vectors' drift, and coverage."""

import importlib
import json
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from specs import build, coverage
from specs.generate import __main__ as generate
from specs.generate.case import Case, Slip, answered, labelled

PAGE = """# A page

## Requirements

* **ABC-1** The sum MUST be right, also where the sentence
  takes a second line.
* **ABC-2** It SHOULD be quick.
* **ABC-3** *withdrawn*

## Procedure

```python
from __future__ import annotations

from spec.notation import malformed
```

Some prose.

```python
def quotient(a: int, b: int) -> int:
    return a // b


def refuse() -> None:
    raise malformed("no")
```
"""
LINE_OF_QUOTIENT = PAGE.splitlines().index("    return a // b") + 1

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Adds the page `sample` to a folder that has only `notation` beside it."""
    shutil.copy(build.path_of("notation"), tmp_path)
    monkeypatch.setattr(build, "HERE", tmp_path)
    monkeypatch.delitem(sys.modules, "spec.sample", raising=False)

    def writing(text: str) -> str:
        (tmp_path / "sample.md").write_text(text)
        return "sample"

    return writing


# --- pages as modules ------------------------------------------------------------------------------------------------


def test_page_is_a_module_that_imports_other_pages(write: Write) -> None:
    module = build.load(write(PAGE))
    assert module.__name__ == "spec.sample"
    assert module.quotient(7, 2) == 3


def test_traceback_points_into_the_page(write: Write) -> None:
    module = build.load(write(PAGE))
    try:
        module.quotient(1, 0)
    except ZeroDivisionError as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
    assert frame.filename == str(build.path_of("sample"))
    assert frame.lineno == LINE_OF_QUOTIENT
    assert frame.line == "return a // b"


def test_code_keeps_the_lines_of_the_page(write: Write) -> None:
    code = build.code(write(PAGE)).splitlines()
    page = PAGE.splitlines()
    assert all(line in ("", page[number]) for number, line in enumerate(code))
    assert code[LINE_OF_QUOTIENT - 1] == "    return a // b"


@pytest.mark.parametrize("name", sorted(build.FOREIGN))
@pytest.mark.parametrize("form", ["import {}.errors", "from {} import errors"])
def test_import_of_production_code_is_refused(write: Write, name: str, form: str) -> None:
    page = write(PAGE.replace("    return a // b", f"    {form.format(name)}\n    return 0"))
    with pytest.raises(build.PageError, match=rf"specs/sample\.md:{LINE_OF_QUOTIENT}: .*{name}"):
        build.load(page)


def test_page_that_does_not_exist_is_no_module() -> None:
    with pytest.raises(ModuleNotFoundError):
        build.load("nothing")


def test_open_block_is_refused(write: Write) -> None:
    with pytest.raises(build.PageError, match="never closed"):
        build.code(write(PAGE.removesuffix("```\n")))


# --- requirements ----------------------------------------------------------------------------------------------------


def test_requirements_are_read_with_level_and_line(write: Write) -> None:
    found = build.requirements(write(PAGE))
    assert {id: item.level for id, item in found.items()} == {"ABC-1": "MUST", "ABC-2": "SHOULD", "ABC-3": "withdrawn"}
    assert found["ABC-1"].text == "The sum MUST be right, also where the sentence takes a second line."
    assert PAGE.splitlines()[found["ABC-2"].line - 1].startswith("* **ABC-2**")


@pytest.mark.parametrize(
    ("item", "message"),
    [("* **ABC-1** It MUST be.\n", "stated twice"), ("* **ABC-4** It may be.\n", "neither MUST nor SHOULD")],
)
def test_requirements_out_of_form_are_refused(write: Write, item: str, message: str) -> None:
    with pytest.raises(build.PageError, match=message):
        build.requirements(write(PAGE.replace("* **ABC-2**", item + "* **ABC-2**")))


# --- check and format ------------------------------------------------------------------------------------------------


def own_problems(write: Write, text: str) -> list[str]:
    return build.check([write(text)])


def test_check_accepts_a_page_in_order(write: Write) -> None:
    assert own_problems(write, PAGE) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return a // b", "return a//b", "not formatted"),
        ("return a // b", "return a // c", "F821"),
        ("return a // b", "return str(a // b)", "return-value"),
        ("return a // b", "return a //", "invalid syntax"),
        ("return a // b", "return a // encmempool", "F821"),
        ("(a: int, b: int)", "(a, b: int)", "no-untyped-def"),
    ],
)
def test_check_names_the_line_of_a_fault(write: Write, old: str, new: str, message: str) -> None:
    problems = own_problems(write, PAGE.replace(old, new))
    wanted = LINE_OF_QUOTIENT - ("(a" in old or message == "not formatted")
    assert any(line.startswith(f"specs/sample.md:{wanted}:") and message in line for line in problems), problems


def test_format_rewrites_blocks_and_leaves_prose(write: Write) -> None:
    page = write(PAGE.replace("return a // b", "return (a//b)").replace("Some prose.", "Some   prose."))
    assert build.format_page(page)
    assert build.path_of(page).read_text() == PAGE.replace("Some prose.", "Some   prose.")
    assert not build.format_page(page)


def test_command_names_an_unknown_page() -> None:
    done = subprocess.run(
        [sys.executable, "specs/build.py", "check", "nothing"], cwd=build.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no such page" in done.stderr
    assert "Traceback" not in done.stderr


# --- vectors ---------------------------------------------------------------------------------------------------------

FILES = {"sample/add.json": "{}\n"}


def test_labelled_randomness_repeats_and_differs_by_label() -> None:
    first = labelled("notation/enc/1")
    assert first(3) + first(70) == labelled("notation/enc/1")(73)
    assert first.drawn == labelled("notation/enc/1")(73)
    assert labelled("notation/enc/2")(32) != labelled("notation/enc/1")(32)


def test_drift_is_none_after_writing(tmp_path: Path) -> None:
    generate.write(FILES, ["sample"], tmp_path)
    assert generate.drifted(FILES, ["sample"], tmp_path) == []


@pytest.mark.parametrize("change", ["differs", "missing", "comes from no generator"])
def test_drift_is_found(tmp_path: Path, change: str) -> None:
    generate.write(FILES, ["sample"], tmp_path)
    path = tmp_path / "sample" / "add.json"
    match change:
        case "differs":
            path.write_text("{ }\n")
        case "missing":
            path.unlink()
        case _:
            (tmp_path / "sample" / "gone.json").write_text("{}\n")
    found = generate.drifted(FILES, ["sample"], tmp_path)
    assert len(found) == 1
    assert change in found[0]


def test_writing_removes_files_without_a_generator(tmp_path: Path) -> None:
    generate.write({"sample/gone.json": "{}"}, ["sample"], tmp_path)
    generate.write(FILES, ["sample"], tmp_path)
    assert [path.name for path in (tmp_path / "sample").iterdir()] == ["add.json"]


def test_case_that_the_page_judges_otherwise_is_no_vector() -> None:
    """A generator's slip stops it."""
    case = {"operation": "decode_scalar", "title": "zero", "requirements": ("ENC-10",), "input": {"encoded": "0x00"}}
    assert answered("notation", Case(**case), 1)["error"] == {"kind": "Malformed", "rule": None}
    with pytest.raises(Slip, match="the page answers"):
        answered("notation", Case(**case, refused=False), 1)


def test_case_that_does_not_name_the_rule_it_breaks_is_no_vector() -> None:
    given = {"plaintext": "0x", "size_classes": ["256"]}
    with pytest.raises(Slip, match="PAD-1, which the case does not name"):
        answered("payload", Case(operation="unpad", title="empty", requirements=("PAD-2",), input=given), 1)


def vector_file() -> dict[str, Any]:
    case = {"id": "a/b/1", "title": "t", "requirements": ["ABC-1"], "input": {"n": "1"}, "output": {}}
    return {"schema": "encmempool.vectors/1", "page": "a", "operation": "b", "cases": [case]}


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(generate.SCHEMA_FILE.read_text())
    return loaded


def test_schema_accepts_a_vector_file() -> None:
    jsonschema.validate(vector_file(), schema())


@pytest.mark.parametrize(
    "fault",
    [
        {"input": {"n": 1}},
        {"input": {"n": "0xAB"}},
        {"input": {"n": "0xabc"}},
        {"error": {"kind": "Malformed", "rule": None}},
        {"output": None},
        {"requirements": []},
        {"requirements": ["ABC-01"]},
        {"title": ""},
        {"note": "x"},
    ],
)
def test_schema_refuses_a_fault(fault: dict[str, Any]) -> None:
    document = vector_file()
    document["cases"][0] |= fault
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema())


@pytest.mark.parametrize(
    ("error", "good"),
    [
        ({"kind": "Malformed", "rule": None}, True),
        ({"kind": "Rejected", "rule": "ABC-1"}, True),
        ({"kind": "Rejected", "rule": None}, False),
        ({"kind": "Malformed", "rule": "ABC-1"}, False),
        ({"kind": "ValueError", "rule": None}, False),
        ({"kind": "Malformed"}, False),
    ],
)
def test_schema_knows_the_two_kinds_of_error(error: dict[str, Any], good: bool) -> None:
    document = vector_file()
    del document["cases"][0]["output"]
    document["cases"][0]["error"] = error
    assert jsonschema.Draft202012Validator(schema()).is_valid(document) is good


def test_generation_names_the_case_that_is_out_of_form(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(operation="enc", title="", requirements=("ENC-1",), input={"items": []})
    monkeypatch.setattr(importlib.import_module("specs.generate.notation"), "cases", lambda: [case])
    with pytest.raises(Slip, match=r"notation/enc/1: title: '' should be non-empty"):
        generate.generate("notation")


# --- coverage --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose one page states ABC-1 (MUST) and ABC-2 (SHOULD), and whose test cites ABC-1."""
    write(PAGE)
    (tmp_path / "notation.md").unlink()
    monkeypatch.setattr(coverage, "OTHERS", {"EIP"})
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text('"""ABC-1, in the manner of EIP-712."""\n')
    (tmp_path / "encmempool").mkdir()
    return tmp_path


def test_coverage_is_complete_with_a_test_for_each_must(tree: Path) -> None:
    found = coverage.coverage(tree)
    assert found.problems() == []
    assert "ABC-1        MUST" in coverage.table(found, ["sample"])


def test_coverage_counts_a_vector_as_well(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "tests" / "test_a.py").unlink()
    monkeypatch.setattr(coverage, "HERE", tree / "specs")
    (tree / "specs" / "vectors" / "sample").mkdir(parents=True)
    (tree / "specs" / "vectors" / "sample" / "b.json").write_text(json.dumps(vector_file()))
    assert coverage.coverage(tree).problems() == []


def test_coverage_reports_a_must_that_nothing_holds(tree: Path) -> None:
    (tree / "tests" / "test_a.py").unlink()
    (problem,) = coverage.coverage(tree).problems()
    assert problem.endswith("ABC-1 has neither a vector nor a test")


@pytest.mark.parametrize("folder", ["tests", "encmempool"])
def test_coverage_reports_a_citation_of_nothing(tree: Path, folder: str) -> None:
    (tree / folder / "other.py").write_text('"""Fine."""\n"""ABC-7"""\n')
    (problem,) = coverage.coverage(tree).problems()
    assert problem.endswith("other.py:2: ABC-7 is stated by no page")


def test_citations_of_a_range_count_each_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "OTHERS", {"EIP"})
    found = coverage.cited_in("ABC-2 to ABC-4, TOY-1 to 2, EIP-1 to EIP-3")
    assert found == {"ABC-2", "ABC-3", "ABC-4", "TOY-1", "TOY-2"}
