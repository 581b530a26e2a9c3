"""What a page's generator yields, and the randomness it uses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import count

from spec.notation import Json, Refused

from specs import build

__all__ = ["SCHEMA", "Case", "Json", "Labelled", "Slip", "answered", "documents", "labelled"]

SCHEMA = "encmempool.vectors/1"


class Slip(ValueError):
    """A generator's case is not what its author meant, or not in the form of a vector. Names the case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input of an operation. What it must give, the page's code says.

    title            what is particular about this input; of a negative case, its one fault
    requirements     those that decide the answer
    refused          whether a refusal is expected: a slip of the generator then stops it instead of becoming a vector
    """

    operation: str
    title: str
    requirements: tuple[str, ...]
    input: Json
    intermediate: Json = field(default_factory=dict)
    refused: bool | None = None


class Labelled:
    """A reproducible stream of bytes; called like any random source. What it has handed out is in `drawn`."""

    def __init__(self, label: str) -> None:
        self._label = label.encode()
        self._counter = count()
        self._rest = b""
        self.drawn = b""

    def __call__(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._rest += hashlib.sha256(self._label + next(self._counter).to_bytes(8, "big")).digest()
        piece, self._rest = self._rest[:size], self._rest[size:]
        self.drawn += piece
        return piece


def labelled(label: str) -> Labelled:
    """SHA-256 of the label and an 8-byte counter, from 0, one block after the other."""
    return Labelled(label)


def answered(page: str, case: Case, number: int) -> Json:
    """The case as it stands in a vector file. Raises Slip where the page contradicts the case."""
    case_id = f"{page}/{case.operation}/{number}"
    answer: Json
    rule = None
    try:
        answer = {"output": build.load(page).OPERATIONS[case.operation](case.input)}
    except Refused as error:
        rule = error.rule
        answer = {"error": {"kind": error.kind, "rule": rule}}
    if case.refused is not None and case.refused != ("error" in answer):
        raise Slip(f"{case_id}, {case.title!r}: the page answers {answer}")
    if rule and rule not in case.requirements:
        raise Slip(f"{case_id}, {case.title!r}: refused by {rule}, which the case does not name")
    made = {"id": case_id, "title": case.title, "requirements": list(case.requirements), "input": case.input, **answer}
    return {**made, "intermediate": case.intermediate} if case.intermediate else made


def documents(page: str, cases: list[Case]) -> dict[str, Json]:
    """One vector file's content for each operation, cases in the order given and numbered from 1."""
    made: dict[str, Json] = {}
    for case in cases:
        document = made.setdefault(
            case.operation, {"schema": SCHEMA, "page": page, "operation": case.operation, "cases": []}
        )
        document["cases"].append(answered(page, case, len(document["cases"]) + 1))
    return made
