"""Which requirement is held by what: the vectors, tests and production code that cite each id.

    python -m specs.coverage [--check] [PAGE…]

A vector counts where a case names the requirement; a test or production file where its text does. With --check, only
what is wrong is printed, and the exit code is 1 if a MUST has neither vector nor test (and is not marked as planned),
or an id is cited that no page states.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from specs.build import HERE, ID, ROOT, PageError, Requirement, pages, requirements

TESTS = ("tests",)
CODE = ("encmempool", "threshold", "cli")
OTHERS = {"EIP", "ERC", "GPL", "RFC", "SHA", "UTF"} | {"ABC", "TOY"}
"""Prefixes that are not of a page: other people's documents, and the ids that tests make up."""
PLANNED = "*(planned)*"
"""Marks a requirement of what this version does not implement yet."""
_RANGE = re.compile(r"\b([A-Z]{3})-([1-9][0-9]*) to (?:\1-)?([1-9][0-9]*)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Citations:
    """How often an id is cited, by id; and one place of each, for messages."""

    count: Counter[str]
    where: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    stated: dict[str, Requirement]
    page: dict[str, str]
    vectors: Citations
    tests: Citations
    code: Citations

    def problems(self) -> list[str]:
        found = [
            f"specs/{self.page[id]}.md:{requirement.line}: {id} has neither a vector nor a test"
            for id, requirement in self.stated.items()
            if requirement.level == "MUST"
            and PLANNED not in requirement.text
            and not self.vectors.count[id] + self.tests.count[id]
        ]
        for citations in (self.vectors, self.tests, self.code):
            unknown = sorted(citations.count.keys() - self.stated.keys(), key=by_number)
            found += [f"{citations.where[id]}: {id} is stated by no page" for id in unknown]
        return found


def by_number(id: str) -> tuple[str, int]:
    prefix, number = id.split("-")
    return prefix, int(number)


def cited_in(text: str) -> set[str]:
    """The ids in a text, with those that `VOT-1 to VOT-4` leaves out."""
    found = set(ID.findall(text))
    for prefix, first, last in _RANGE.findall(text):
        found |= {f"{prefix}-{number}" for number in range(int(first), int(last) + 1)}
    return {id for id in found if id[:3] not in OTHERS}


def cited_by_files(paths: Iterable[Path]) -> Citations:
    """The number of files that cite each id."""
    count: Counter[str] = Counter()
    where: dict[str, str] = {}
    for path in sorted(paths):
        text = path.read_text(encoding="utf-8")
        for id in cited_in(text):
            count[id] += 1
            line = text.count("\n", 0, max(text.find(id), 0)) + 1
            where.setdefault(id, f"{_shown(path)}:{line}")
    return Citations(count=count, where=where)


def cited_by_vectors(paths: Iterable[Path]) -> Citations:
    """The number of cases that cite each id."""
    count: Counter[str] = Counter()
    where: dict[str, str] = {}
    for path in sorted(paths):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            for id in case["requirements"]:
                count[id] += 1
                where.setdefault(id, f"{_shown(path)}: case {case['id']}")
    return Citations(count=count, where=where)


def coverage(root: Path = ROOT) -> Coverage:
    """Of the pages here, and of the vectors, tests and code below `root`. Raises PageError."""
    stated: dict[str, Requirement] = {}
    page_of: dict[str, str] = {}
    for page in pages():
        for id, requirement in requirements(page).items():
            if id in stated:
                raise PageError(f"specs/{page}.md:{requirement.line}: {id} is stated by {page_of[id]} too")
            stated[id] = requirement
            page_of[id] = page
    return Coverage(
        stated=stated,
        page=page_of,
        vectors=cited_by_vectors((root / HERE.name / "vectors").glob("*/*.json")),
        tests=cited_by_files(path for folder in TESTS for path in (root / folder).rglob("*.py")),
        code=cited_by_files(path for folder in CODE for path in (root / folder).rglob("*.py")),
    )


def table(found: Coverage, chosen: Sequence[str]) -> str:
    lines = [f"{'requirement':12} {'level':9} {'vectors':>7} {'tests':>5} {'code':>5}"]
    for page in chosen:
        lines += ["", page]
        for id in sorted((id for id in found.stated if found.page[id] == page), key=by_number):
            numbers = (found.vectors.count[id], found.tests.count[id], found.code.count[id])
            vectors, tests, code = (number or "" for number in numbers)
            lines.append(f"{id:12} {_level(found.stated[id]):9} {vectors:>7} {tests:>5} {code:>5}")
    return "\n".join(lines)


def _level(requirement: Requirement) -> str:
    return "planned" if PLANNED in requirement.text else requirement.level


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m specs.coverage", description="What holds each requirement.")
    parser.add_argument("--check", action="store_true", help="print only what is wrong; exit 1 if anything is")
    parser.add_argument("page", nargs="*", help="name of a page; all if none is given")
    given = parser.parse_args(arguments)
    try:
        found = coverage()
    except PageError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    problems = found.problems()
    if not given.check:
        print(table(found, given.page or pages()))  # noqa: T201
        print(f"\n{len(found.stated)} requirements, {len(problems)} problems")  # noqa: T201
        return 0
    print("\n".join(problems) or f"{len(found.stated)} requirements, all held")  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
