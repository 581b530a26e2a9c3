"""The pages as programs: `import spec.<page>` runs the fenced Python of specs/<page>.md.

Importing this module is enough to make the package `spec` importable. Line numbers are kept: line 40 of the page is
line 40 of the module, so tracebacks, debuggers and coverage point into the text.

    python -m specs.build check  [PAGE…]     form, lint and types
    python -m specs.build format [PAGE…]     rewrite the blocks as ruff formats them
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FOREIGN = {"threshold", "encmempool", "cli"}
"""The production packages. A page that imported one would no longer be a second opinion."""

ID = re.compile(r"\b[A-Z]{3}-[1-9][0-9]*\b")
_ITEM = re.compile(r"^\* \*\*([A-Z]{3}-[1-9][0-9]*)\*\*(.*(?:\n  .*)*)", re.MULTILINE)
_LEVEL = re.compile(r"\b(MUST|SHOULD)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block. `line` is that of its first line of code in the page, counted from 1."""

    line: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A numbered requirement. `level` is MUST, SHOULD or withdrawn."""

    id: str
    level: str
    text: str
    line: int


class PageError(ImportError):
    """A page is missing or not in the form that README.md describes. The message starts with page:line."""


def path_of(page: str) -> Path:
    return HERE / f"{page}.md"


def pages() -> tuple[str, ...]:
    """The names of all pages that hold a program or requirements, in alphabetical order."""
    return tuple(sorted(path.stem for path in HERE.glob("*.md") if path.stem != "README"))


def load(page: str) -> ModuleType:
    return importlib.import_module(f"spec.{page}")


def blocks(page: str) -> tuple[Block, ...]:
    found: list[Block] = []
    start = 0
    lines = _text(page).splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if not start and line.rstrip() == "```python":
            start = number + 1
        elif start and line.rstrip() == "```":
            found.append(Block(line=start, code="".join(lines[start - 1 : number - 1])))
            start = 0
    if start:
        raise PageError(f"specs/{page}.md:{start - 1}: this python block is never closed")
    return tuple(found)


def code(page: str) -> str:
    """The page's program. Every line of it has the number it has in the page; prose is blank lines."""
    lines: list[str] = []
    for block in blocks(page):
        lines += ["\n"] * (block.line - 1 - len(lines))
        lines += block.code.splitlines(keepends=True)
    return "".join(lines)


def compiled(page: str) -> CodeType:
    """Raises PageError for an import of production code."""
    tree = ast.parse(code(page), filename=str(path_of(page)))
    for node in ast.walk(tree):
        for name in _imports(node):
            if name.split(".")[0] in FOREIGN:
                raise PageError(f"specs/{page}.md:{_line(node)}: a page must not import {name}, which it specifies")
    return compile(tree, str(path_of(page)), "exec", dont_inherit=True)


def requirements(page: str) -> dict[str, Requirement]:
    """The page's requirements by id. Raises PageError if one is stated twice, or is neither MUST nor SHOULD."""
    text = _text(page)
    found: dict[str, Requirement] = {}
    for match in _ITEM.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        where = f"specs/{page}.md:{line}: {match[1]}"
        sentence = " ".join(match[2].split())
        level = _LEVEL.search(sentence)
        withdrawn = "*withdrawn*" in sentence
        if match[1] in found:
            raise PageError(f"{where} is stated twice")
        if not level and not withdrawn:
            raise PageError(f"{where} says neither MUST nor SHOULD")
        found[match[1]] = Requirement(
            id=match[1], level="withdrawn" if withdrawn or not level else level[1], text=sentence, line=line
        )
    return found


def _text(page: str) -> str:
    try:
        return path_of(page).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PageError(f"specs/{page}.md: there is no such page; there are {', '.join(pages())}") from error


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


# --- import ----------------------------------------------------------------------------------------------------------


class _PageLoader(Loader):
    def __init__(self, page: str) -> None:
        self._page = page

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = f"The program of specs/{self._page}.md."
        exec(compiled(self._page), module.__dict__)  # the pages are this project's own source text


class _PageFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, page = fullname.partition(".")
        if package != "spec":
            return None
        if not page:
            return ModuleSpec("spec", None, is_package=True)
        if not path_of(page).is_file():
            return None
        return importlib.util.spec_from_file_location(fullname, path_of(page), loader=_PageLoader(page))


if not any(type(finder).__name__ == _PageFinder.__name__ for finder in sys.meta_path):
    sys.meta_path.insert(0, _PageFinder())


# --- check and format ------------------------------------------------------------------------------------------------


def check(names: Sequence[str] = ()) -> list[str]:
    """Everything wrong with these pages, or with all and the code beside them, each as `page:line: what`."""
    for page in names:
        _text(page)
    problems: dict[str, list[str]] = {page: [] for page in pages()}
    for page, found in problems.items():
        try:
            compiled(page)
            requirements(page)
        except PageError as error:
            found.append(str(error))
        except SyntaxError as error:
            found.append(f"specs/{page}.md:{error.lineno}: {error.msg}")
    sound = [page for page, found in problems.items() if not found]
    selected = tuple(names) or pages()
    for page in set(selected) & set(sound):
        for old, new in zip(blocks(page), formatted(page), strict=True):
            if old.code != new.code:
                problems[page].append(f"specs/{page}.md:{old.line}: not formatted; run `python -m specs.build format`")
    found = [line for page in selected for line in problems[page]]
    prefixes = tuple(f"specs/{page}.md:" for page in selected)
    others = () if names else ("specs/",)
    return found + [
        line for line in _lint_and_types(sound) if line.startswith(prefixes + others) or not line.startswith("specs/")
    ]


def formatted(page: str) -> tuple[Block, ...]:
    """The page's blocks, each as ruff formats it. Raises PageError for code that does not parse."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{block.line}.py") for block in blocks(page)]
        for file, block in zip(files, blocks(page), strict=True):
            file.write_text(block.code, encoding="utf-8")
        if files:
            result = _run("ruff", "format", "--quiet", *_RUFF, ".", cwd=folder)
            if result.returncode:
                raise PageError(f"specs/{page}.md:1: ruff cannot format this page: {result.stderr.strip()}")
        return tuple(
            Block(line=block.line, code=file.read_text(encoding="utf-8"))
            for file, block in zip(files, blocks(page), strict=True)
        )


def format_page(page: str) -> bool:
    """Rewrite the page's blocks in place; whether that changed anything."""
    old = _text(page)
    lines = old.splitlines(keepends=True)
    for before, after in reversed(tuple(zip(blocks(page), formatted(page), strict=True))):
        at = before.line - 1
        lines[at : at + before.code.count("\n")] = [after.code]
    new = "".join(lines)
    if new != old:
        path_of(page).write_text(new, encoding="utf-8")
    return new != old


_RUFF = ("--config", str(ROOT / "pyproject.toml"), "--no-cache")


def _lint_and_types(names: Sequence[str]) -> Iterator[str]:
    """ruff and mypy over these pages, written out as a package, and mypy over the modules that import them."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "spec")
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "py.typed").touch()
        for page in names:
            (package / f"{page}.py").write_text(_for_lint(page), encoding="utf-8")
        lint = _run("ruff", "check", "--quiet", "--output-format=concise", *_RUFF, "spec", cwd=folder)
        config = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache" / "specs"))
        modules = sorted(str(p.relative_to(ROOT)) for p in HERE.rglob("*.py"))
        # py_ecc and galois are untyped to mypy: what their functions return is what the page says it is.
        options = ("--no-error-summary", "--no-warn-return-any", "--explicit-package-bases")
        types = _run(
            "mypy", *config, *options, str(package), *modules, cwd=ROOT, MYPYPATH=f"{folder}{os.pathsep}{ROOT}"
        )
        for line in (lint.stdout + lint.stderr + types.stdout + types.stderr).splitlines():
            yield re.sub(r"^\S*\bspec/(\w+)\.py(?=:)", r"specs/\1.md", line)


def _for_lint(page: str) -> str:
    """The program with a statement in each gap, for ruff would have no blank lines after imports but one or two."""
    lines = code(page).splitlines(keepends=True)
    for block in blocks(page)[:-1]:
        lines[block.line + block.code.count("\n")] = "pass\n"
    return "".join(lines)


def _run(tool: str, *arguments: str, cwd: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m specs.build", description="Check or format the pages' code.")
    parser.add_argument("command", choices=["check", "format"])
    parser.add_argument("page", nargs="*", help="name of a page; all if none is given")
    given = parser.parse_args(arguments)
    names = given.page or pages()
    try:
        if given.command == "check":
            problems = check(given.page)
            print("\n".join(problems) or f"{len(names)} pages are in order")  # noqa: T201
            return 1 if problems else 0
        changed = [page for page in names if format_page(page)]
        print("\n".join(f"specs/{page}.md rewritten" for page in changed) or "nothing to format")  # noqa: T201
    except PageError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # as a script, this folder would come first and hide the package `coverage`
    sys.exit(main())
