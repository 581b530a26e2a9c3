"""Write or check the conformance vectors.

python -m specs.generate [PAGE…]             write specs/vectors/<page>/<operation>.json
python -m specs.generate --check [PAGE…]     exit 1 and list the files that this would change
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]

from specs.build import HERE
from specs.generate.case import Slip, documents

VECTORS = HERE / "vectors"
SCHEMA_FILE = HERE / "schemas" / "vectors.json"


def generators() -> tuple[str, ...]:
    """The pages that have a generator here."""
    own = {"__init__", "__main__", "case"}
    return tuple(sorted(path.stem for path in (HERE / "generate").glob("*.py") if path.stem not in own))


def generate(page: str) -> dict[str, str]:
    """The page's vector files by their path below `vectors`. Raises Slip naming the case that is not in order."""
    cases = list(importlib.import_module(f"specs.generate.{page}").cases())
    made = documents(page, cases)
    for document in made.values():
        check_form(document)
    return {f"{page}/{operation}.json": text_of(document) for operation, document in made.items()}


def check_form(document: dict[str, Any]) -> None:
    """Raises Slip for the first thing in a vector file that its schema does not allow."""
    schema = json.loads(SCHEMA_FILE.read_text())
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
        where: list[str | int] = list(error.absolute_path)
        of = f"{document['page']}/{document['operation']}"
        if where[:1] == ["cases"] and len(where) > 1:
            of = document["cases"][where[1]]["id"]
            where = where[2:]
        raise Slip(f"{of}: {'.'.join(map(str, where)) or 'the whole'}: {error.message}")


def text_of(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def drifted(files: dict[str, str], chosen: Iterable[str], directory: Path = VECTORS) -> list[str]:
    """The files in the directory that differ from those given, are missing, or have no generator, with the reason."""
    found = []
    for name, text in sorted(files.items()):
        path = directory / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.read_text(encoding="utf-8") != text:
            found.append(f"{name} differs")
    here = {f"{page}/{path.name}" for page in chosen for path in (directory / page).glob("*.json")}
    return found + [f"{name} comes from no generator" for name in sorted(here - files.keys())]


def write(files: dict[str, str], chosen: Iterable[str], directory: Path = VECTORS) -> None:
    """Make the chosen pages' folders hold these files and no others."""
    for page in chosen:
        for path in (directory / page).glob("*.json"):
            if f"{page}/{path.name}" not in files:
                path.unlink()
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m specs.generate", description="Write the conformance vectors.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if this would change a file")
    parser.add_argument("page", nargs="*", help="name of a page; all if none is given")
    given = parser.parse_args(arguments)
    chosen = given.page or generators()
    if unknown := sorted(set(chosen) - set(generators())):
        print(f"no generator for {unknown[0]}: there are {', '.join(generators())}", file=sys.stderr)  # noqa: T201
        return 2
    files: dict[str, str] = {}
    try:
        with ProcessPoolExecutor() as pool:
            for made in pool.map(generate, chosen):
                files.update(made)
    except Slip as error:
        print(f"specs/generate: {error}", file=sys.stderr)  # noqa: T201
        return 1
    if given.check:
        found = drifted(files, chosen)
        for line in found:
            print(f"specs/vectors/{line}: run `make vectors` and look at what changed")  # noqa: T201
        return 1 if found else 0
    write(files, chosen)
    documents_made = [json.loads(text) for text in files.values()]
    made_cases = [case for document in documents_made for case in document["cases"]]
    negative = sum("error" in case for case in made_cases)
    print(f"{len(made_cases)} cases, {negative} of them negative, in {len(files)} files")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
