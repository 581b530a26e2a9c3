"""Runs vectors against an implementation and says per requirement what passed, failed, or is not supported.

Whatever an implementation does is a result: it hangs, dies, prints something else, and the next case is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from encmempool import __version__
from encmempool.conformance import serve
from encmempool.conformance.program import NoAnswer, Program, shown
from encmempool.conformance.vectors import Case, Json, is_rule
from encmempool.documents import decode_json
from threshold.curve import DEFAULT_BACKEND, load_backend

SCHEMA = "encmempool.conformance/1"
TIME_LIMIT_S = 10.0
HOPELESS_AFTER = 5
"""A program that has never answered is not started more often than this."""

Verdict = Literal["passed", "failed", "unsupported"]
VERDICTS: tuple[Verdict, ...] = ("passed", "failed", "unsupported")


class Implementation(Protocol):
    name: str
    backend: str | None

    def reply(self, case: Case) -> Any:
        """What it answers to the case's request, decoded. Raises NoAnswer."""

    def close(self) -> None:
        """No further case comes."""


class ThisPackage:
    """In this process, with no time limit."""

    def __init__(self, backend: str = DEFAULT_BACKEND) -> None:
        load_backend(backend)
        self.name = f"encmempool {__version__}"
        self.backend: str | None = backend
        self._backend = backend

    def reply(self, case: Case) -> Any:
        return {"id": case.id, **serve.answer(case.page, case.operation, case.input, backend=self._backend)}

    def close(self) -> None:
        """Nothing is open."""


class OtherProgram:
    """Any program, over the line protocol. Errors as Program's."""

    def __init__(self, command: str, *, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._program = Program(command, time_limit_s=time_limit_s)
        self._answered = False
        self._in_vain = 0
        self.name = command
        self.backend: str | None = None

    def reply(self, case: Case) -> Any:
        if self._in_vain >= HOPELESS_AFTER and not self._answered:
            raise NoAnswer(f"not asked: the program answered none of the first {HOPELESS_AFTER} cases")
        self._in_vain += 1
        line = self._program.ask(json.dumps(case.request, separators=(",", ":")).encode())
        try:
            reply = decode_json(line)
        except ValueError:
            self._program.stop()
            raise NoAnswer(f"answered something that is not JSON: {shown(line) or 'an empty line'}") from None
        if isinstance(reply, dict) and reply.get("id") == case.id:
            self._answered = True
        else:
            self._program.stop()  # its answers no longer belong to our questions
        return reply

    def close(self) -> None:
        self._program.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`difference` says of a failed case what was expected and what came."""

    case: Case
    verdict: Verdict
    difference: str | None = None


def run(
    cases: Sequence[Case], implementation: Implementation, *, progress: Callable[[str], None] = lambda _: None
) -> tuple[Result, ...]:
    """Asks every case and closes the implementation."""
    results = []
    try:
        for position, case in enumerate(cases, 1):
            progress(f"{position} of {len(cases)}: {case.id}")
            results.append(_asked(case, implementation))
    finally:
        implementation.close()
    return tuple(results)


def report(results: Sequence[Result], implementation: Implementation) -> Json:
    """The object that `conformance run --json` prints."""
    requirements: dict[str, dict[Verdict, int]] = {}
    for result in results:
        for rule in result.case.requirements:
            requirements.setdefault(rule, dict.fromkeys(VERDICTS, 0))[result.verdict] += 1
    return {
        "schema": SCHEMA,
        "implementation": implementation.name,
        "backend": implementation.backend,
        **{verdict: sum(result.verdict == verdict for result in results) for verdict in VERDICTS},
        "cases": [_reported(result) for result in results],
        "requirements": {rule: requirements[rule] for rule in sorted(requirements, key=_by_number)},
    }


def _reported(result: Result) -> Json:
    case = result.case
    fields: Json = {
        "id": case.id,
        "page": case.page,
        "operation": case.operation,
        "requirements": list(case.requirements),
        "result": result.verdict,
    }
    return fields if result.difference is None else {**fields, "difference": result.difference}


def _by_number(rule: str) -> tuple[str, int]:
    prefix, _, number = rule.partition("-")
    return prefix, int(number)


def _asked(case: Case, implementation: Implementation) -> Result:
    try:
        reply = implementation.reply(case)
    except NoAnswer as error:
        return Result(case=case, verdict="failed", difference=str(error))
    if isinstance(reply, dict) and reply.get("id") == case.id and reply.get("unsupported") is True:
        return Result(case=case, verdict="unsupported")
    found = judge(case, reply)
    return Result(case=case, verdict="failed" if found else "passed", difference=found)


def judge(case: Case, reply: Any) -> str | None:
    """The first difference between a reply and what the case expects; None if there is none."""
    if not isinstance(reply, dict):
        return f"the reply: expected an object, got {_short(reply)}"
    if reply.get("id") != case.id:
        return f"id: expected {case.id}, got {_short(reply['id']) if 'id' in reply else 'nothing'}"
    if ("output" in reply) == ("error" in reply):
        return "the reply: expected one of output, error and unsupported"
    if case.output is not None:
        if "error" in reply:
            return f"expected an output, got the error {_error(reply['error'])}"
        return difference(case.output, reply["output"], "output")
    wanted = f"{case.kind} {case.rule}" if case.rule else case.kind
    if "output" in reply:
        return f"expected the error {wanted}, got the output {_short(reply['output'])}"
    error = reply["error"]
    if not isinstance(error, dict) or error.get("kind") != case.kind or error.get("rule") not in (None, case.rule):
        return f"expected the error {wanted}, got {_error(error)}"
    return None


def difference(expected: Any, got: Any, path: str) -> str | None:
    """Where two JSON values first differ, in the expected one's order."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name, value in expected.items():
            if name not in got:
                return f"{path}.{name}: expected {_short(value)}, got nothing"
            if found := difference(value, got[name], f"{path}.{name}"):
                return found
        unknown = sorted(got.keys() - expected.keys())
        return f"{path}.{shown(unknown[0].encode(errors='replace'))}: expected nothing" if unknown else None
    if isinstance(expected, list) and isinstance(got, list):
        for position, (value, other) in enumerate(zip(expected, got, strict=False)):
            if found := difference(value, other, f"{path}[{position}]"):
                return found
        if len(expected) != len(got):
            return f"{path}: expected {len(expected)} items, got {len(got)}"
        return None
    if type(expected) is type(got) and expected == got:
        return None
    return f"{path}: expected {_short(expected, got)}, got {_short(got, expected)}"


def _error(error: Any) -> str:
    if not isinstance(error, dict):
        return _short(error)
    kind, rule, message = (error.get(name) for name in ("kind", "rule", "message"))
    text = _short(kind, "")
    if rule is not None:
        text += f" {rule if isinstance(rule, str) and is_rule(rule) else _short(rule)}"
    return f"{text} ({_short(message)})" if message else text


def _short(value: Any, other: Any = None) -> str:
    """A value in at most a line; of long texts the part where they differ from `other`."""
    plain = isinstance(value, str) and value.isalnum() and value.isascii()
    bytewise = plain and value.startswith("0x")
    if not (bytewise or (plain and isinstance(other, str))):
        value, plain = json.dumps(value, default=repr), False
    if len(value) <= 80:
        return str(value)
    start = 0
    if plain and isinstance(other, str):
        pairs = zip(value, other, strict=False)
        same = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(value), len(other)))
        start = max(0, same - same % 2 - 32)
    size = f"{len(value) // 2 - 1} bytes" if bytewise else f"{len(value)} characters"
    end = start + 72
    return f"{'…' if start else ''}{value[start:end]}{'…' if end < len(value) else ''} ({size})"
