"""JSON from outside, with bounded nesting."""

from __future__ import annotations

import json
import re
from typing import Any

_MAX_DEPTH = 64
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def decode_json(data: bytes, **options: Any) -> Any:
    """JSON in UTF-8 from anyone. Raises ValueError.

    Nesting is bounded first: py_ecc raises the recursion limit so far that json would exhaust the stack and crash.
    """
    text = data.decode()
    if text.count("[") + text.count("{") > _MAX_DEPTH:
        depth = 0
        for match in _STRING_OR_BRACKET.finditer(text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
            if depth > _MAX_DEPTH:
                raise ValueError(f"nested more than {_MAX_DEPTH} levels deep")
    return json.loads(text, **options)
