"""This package as a program of the line protocol: `python -m encmempool.conformance.serve [BACKEND]`.

One JSON request per line on standard input, one JSON reply per line on standard output, until the input ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from encmempool.conformance.vectors import Json
from encmempool.documents import decode_json
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.errors import Rejected, ThresholdError

Operations = Mapping[str, Callable[[Json], Json]]


@cache
def operations_of(page: str, backend: str) -> Operations:
    """What the production code answers of a page; nothing for a page it has not."""
    module = _module(page)
    made: Operations = (
        module.operations(backend) if hasattr(module, "operations") else getattr(module, "OPERATIONS", {})
    )
    return made


def depends_on_backend(page: str) -> bool:
    """Whether the curve's arithmetic has a part in a page's answers."""
    return hasattr(_module(page), "operations")


@cache
def _module(page: str) -> Any:
    name = f"{__package__}.{page}"
    return import_module(name) if page.isidentifier() and find_spec(name) else None


def answer(page: str, operation: str, fields: Json, *, backend: str) -> Json:
    """A reply without its id. An error that no party's input may cause has a kind no vector expects."""
    answering = operations_of(page, backend).get(operation)
    if answering is None:
        return {"unsupported": True}
    try:
        return {"output": answering(fields)}
    except Rejected as error:
        return {"error": {"kind": "Rejected", "rule": error.rule, "message": str(error)}}
    except ThresholdError as error:
        return {"error": {"kind": "Malformed", "rule": None, "message": str(error)}}
    except Exception as error:  # noqa: BLE001 - the border: a bug is reported as one, and the next case is asked
        return {"error": {"kind": type(error).__name__, "rule": None, "message": str(error)}}


def replies(lines: Iterable[bytes], *, backend: str = DEFAULT_BACKEND) -> Iterator[str]:
    """One line for each line."""
    for line in lines:
        try:
            request = decode_json(line)
            case, page, operation, fields = (request[name] for name in ("id", "page", "operation", "input"))
            if not (isinstance(page, str) and isinstance(operation, str) and isinstance(fields, dict)):
                raise TypeError("page and operation are texts, input is an object")
        except (ValueError, TypeError, KeyError) as error:
            reply = {"id": None, "error": {"kind": "Malformed", "rule": None, "message": f"no request: {error}"}}
        else:
            reply = {"id": case, **answer(page, operation, fields, backend=backend)}
        yield json.dumps(reply, default=repr) + "\n"


def main(arguments: list[str]) -> int:
    backend = arguments[0] if arguments else DEFAULT_BACKEND
    try:
        load_backend(backend)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for reply in replies(sys.stdin.buffer, backend=backend):
        sys.stdout.write(reply)
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
