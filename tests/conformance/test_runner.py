"""The runner against implementations that misbehave, and against vectors that are none."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from cli.main import main
from encmempool.conformance import program, runner, serve, vectors
from encmempool.conformance.runner import OtherProgram, ThisPackage, report, run
from encmempool.conformance.vectors import Case, load
from encmempool.errors import EnvironmentProblem
from threshold.curve import DEFAULT_BACKEND

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "specs" / "schemas" / "conformance-run.json").read_text())

ECHO = """
import json, os, sys, time
for number, line in enumerate(sys.stdin):
    request = json.loads(line)
    reply = {"id": request["id"], "output": {"text": request["input"]["text"]}}
    BODY
    print(json.dumps(reply), flush=True)
"""
"""Answers right unless BODY makes it misbehave. `number` counts the requests of one process."""


def case(number: int, **fields: Any) -> Case:
    given = {"input": {"text": f"0x{number:04x}"}, "output": {"text": f"0x{number:04x}"}, **fields}
    requirements = ("ABC-1",) if number % 2 else ("ABC-1", "ABC-10")
    return Case(
        id=f"toy/echo/{number}", page="toy", operation="echo", title="a toy", requirements=requirements, **given
    )


CASES = tuple(map(case, range(1, 4)))


@pytest.fixture
def command(tmp_path: Path) -> Callable[[str], str]:
    """A command that runs a Python program."""

    def made(source: str) -> str:
        file = tmp_path / "program.py"
        file.write_text(source)
        return shlex.join([sys.executable, str(file)])

    return made


@pytest.fixture
def misbehaving(command) -> Callable[..., list[tuple[str, str | None]]]:
    """Verdict and difference of each case when the echo program does `body` before it answers."""

    def made(body: str, *, cases: tuple[Case, ...] = CASES, time_limit_s: float = 20) -> list[tuple[str, str | None]]:
        implementation = OtherProgram(command(ECHO.replace("BODY", body)), time_limit_s=time_limit_s)
        results = run(cases, implementation)
        jsonschema.validate(report(results, implementation), SCHEMA)
        return [(result.verdict, result.difference) for result in results]

    return made


PASSED = ("passed", None)


# --- programs ---------------------------------------------------------------------------------------------------------


def test_right_answers_pass(misbehaving) -> None:
    assert misbehaving("pass") == [PASSED] * 3


def test_wrong_answer_is_shown_as_first_difference(misbehaving) -> None:
    body = 'if number == 1: reply["output"]["text"] = "0xff"'
    difference = "output.text: expected 0x0002, got 0xff"
    assert misbehaving(body) == [PASSED, ("failed", difference), PASSED]


def test_hanging_program_is_stopped_and_started_again(misbehaving) -> None:
    began = time.monotonic()
    found = misbehaving('if request["id"].endswith("/2"): time.sleep(600)', time_limit_s=2)
    assert found == [PASSED, ("failed", "no answer within 2 s"), PASSED]
    assert time.monotonic() - began < 30


def test_slow_program_within_the_limit_passes(misbehaving) -> None:
    assert misbehaving("time.sleep(0.05)") == [PASSED] * 3


def test_program_that_answers_letter_by_letter_is_timed_as_a_whole(misbehaving) -> None:
    body = 'while True: print("x", end="", flush=True); time.sleep(0.1)'
    assert misbehaving(body, cases=CASES[:1], time_limit_s=1) == [("failed", "no answer within 1 s")]


@pytest.mark.parametrize(
    ("body", "difference"),
    [
        ("sys.exit(3)", "exited with code 3 without an answer"),
        ("sys.exit(0)", "exited with code 0 without an answer"),
        ('raise KeyError("\\x1b[31mscalar")', "exited with code 1: KeyError: '\\x1b[31mscalar'"),
        ("os.kill(os.getpid(), 9)", "was ended by SIGKILL without an answer"),
        ('print("{", end="", flush=True); os._exit(1)', "exited with code 1 in the middle of a line without an answer"),
        ("os.close(1); time.sleep(600)", "closed its output without an answer"),
    ],
)
def test_program_that_dies_is_started_again(body, difference, misbehaving) -> None:
    found = misbehaving(f'if request["id"].endswith("/2"):\n        {body}')
    assert found == [PASSED, ("failed", difference), PASSED]


@pytest.mark.parametrize(
    ("printed", "difference"),
    [
        ('"hello"', "answered something that is not JSON: hello"),
        ('""', "answered something that is not JSON: an empty line"),
        ('"[" * 100000', "answered something that is not JSON: " + "[" * 80 + "…"),
        ("'[\"\\\\\"]' * 9 + '[' * 100000", 'answered something that is not JSON: ["\\"]["\\"]["\\"]'),
        ('("[" * 100000).encode("utf-16-le").decode()', "answered something that is not JSON: ["),
        ('"1" * 5000', "answered something that is not JSON: " + "1" * 80 + "…"),
        (
            '"\\x1b[2J\\u00e9"',
            "answered something that is not JSON: \N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}",
        ),
        ('"[]"', "the reply: expected an object, got []"),
        ('"null"', "the reply: expected an object, got null"),
        ('"{}"', "id: expected toy/echo/2, got nothing"),
    ],
)
def test_garbage_is_reported(printed, difference, misbehaving) -> None:
    pytest.importorskip("py_ecc.optimized_bls12_381")  # raises the recursion limit: deep JSON would crash us
    before, (verdict, found), after = misbehaving(
        f'if request["id"].endswith("/2"): print({printed}, flush=True); continue'
    )
    assert (before, verdict, after) == (PASSED, "failed", PASSED)
    assert found is not None
    assert found.startswith(difference)


def test_json_is_bounded_in_depth_only() -> None:
    flat = [["[" * 99, {"a": "{"}]] * 1000
    assert vectors.decode_json(json.dumps(flat).encode()) == flat
    assert vectors.decode_json(b"[" * 64 + b"]" * 64)
    for deep in (b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"0" + b"}" * 65, b'["]", ' * 65 + b"0" + b"]" * 65):
        with pytest.raises(ValueError, match="deep"):
            vectors.decode_json(deep)


def test_bytes_that_are_no_text_are_reported(misbehaving) -> None:
    body = 'if number == 0: sys.stdout.buffer.write(b"\\xff\\xfe\\n"); sys.stdout.buffer.flush(); continue'
    assert misbehaving(body, cases=CASES[:1]) == [
        ("failed", "answered something that is not JSON: " + "\N{REPLACEMENT CHARACTER}" * 2)
    ]


def test_answer_with_another_id_fails_and_the_next_is_asked_anew(misbehaving) -> None:
    found = misbehaving('if request["id"].endswith("/2"): reply["id"] = "toy/echo/9"')
    assert found == [PASSED, ("failed", 'id: expected toy/echo/2, got "toy/echo/9"'), PASSED]


def test_answers_out_of_order_fail(misbehaving) -> None:
    body = 'reply["id"] = request["id"][:-1] + str(int(request["id"][-1]) % 3 + 1)'
    assert [difference for _, difference in misbehaving(body)] == [
        'id: expected toy/echo/1, got "toy/echo/2"',
        'id: expected toy/echo/2, got "toy/echo/3"',
        'id: expected toy/echo/3, got "toy/echo/1"',
    ]


def test_answers_held_back_for_the_next_question_fail(misbehaving) -> None:
    body = "if number % 2 == 0: continue"
    assert misbehaving(body, time_limit_s=1) == [("failed", "no answer within 1 s")] * 3


def test_second_line_for_one_question_is_reported(misbehaving) -> None:
    """Both in one write, or else the second may come after the first was read."""
    body = 'if request["id"].endswith("/2"): os.write(1, b"debug\\n" + json.dumps(reply).encode() + b"\\n"); continue'
    found = misbehaving(body)
    assert found == [PASSED, ("failed", "answered with more than one line, first debug"), PASSED]


def test_huge_reply_is_cut_off(misbehaving, monkeypatch) -> None:
    monkeypatch.setattr(program, "REPLY_LIMIT_BYTES", 1 << 17)
    body = 'if request["id"].endswith("/2"):\n        while True: sys.stdout.write("x" * 65536)'
    assert misbehaving(body) == [PASSED, ("failed", "answered with more than 131,072 bytes"), PASSED]


def test_error_output_does_not_block_and_stays_out_of_ours(misbehaving, capfd) -> None:
    assert misbehaving('sys.stderr.write("noise\\n" * 100000); sys.stderr.flush()') == [PASSED] * 3
    assert capfd.readouterr() == ("", "")


def test_long_question_to_a_program_that_does_not_read_times_out(command) -> None:
    asked = case(1, input={"text": "0x" + "ab" * (1 << 20)})
    implementation = OtherProgram(command("import time; time.sleep(600)"), time_limit_s=1)
    assert run([asked], implementation)[0].difference == "no answer within 1 s"


def test_long_question_and_answer_pass(misbehaving) -> None:
    text = "0x" + "ab" * (1 << 20)
    assert misbehaving("pass", cases=(case(1, input={"text": text}, output={"text": text}),)) == [PASSED]


def test_program_that_never_answers_is_given_up(command) -> None:
    found = run([case(number) for number in range(1, 9)], OtherProgram(command("import sys; sys.exit('no')")))
    assert [result.difference for result in found] == ["exited with code 1: no"] * 5 + [
        "not asked: the program answered none of the first 5 cases"
    ] * 3


def test_children_of_a_hanging_program_are_stopped_too(tmp_path, command) -> None:
    beating = tmp_path / "beating"
    child = f"import time, pathlib\nwhile True: pathlib.Path({str(beating)!r}).touch(); time.sleep(0.02)"
    source = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    run(CASES[:1], OtherProgram(command(source), time_limit_s=2))
    beating.unlink()
    time.sleep(0.3)  # longer than several heartbeats: a child that lived would have made the file again
    assert not beating.exists()


def test_program_that_ignores_the_end_of_input_is_stopped(misbehaving, monkeypatch) -> None:
    monkeypatch.setattr(program, "_FAREWELL_S", 0.1)
    began = time.monotonic()
    body = "if number == 2: print(json.dumps(reply), flush=True); time.sleep(600)"
    assert misbehaving(body) == [PASSED] * 3
    assert time.monotonic() - began < 20


def test_missing_program_is_an_environment_problem() -> None:
    with pytest.raises(EnvironmentProblem, match="no program '/nowhere/adapter'"):
        OtherProgram("/nowhere/adapter --flag")


@pytest.mark.parametrize(("text", "says"), [("", "empty"), ("  ", "empty"), ("'open", "cannot be read")])
def test_command_that_is_none_is_refused(text, says) -> None:
    with pytest.raises(ValueError, match=says):
        OtherProgram(text)


def test_file_that_cannot_be_executed_is_an_environment_problem(tmp_path) -> None:
    file = tmp_path / "adapter"
    file.write_bytes(b"\x7fELF no program")
    file.chmod(0o700)
    with pytest.raises(EnvironmentProblem, match="cannot be started"):
        run(CASES, OtherProgram(str(file)))


# --- verdicts ---------------------------------------------------------------------------------------------------------


def refused(rule: str | None = "ABC-1") -> Case:
    return case(1, output=None, kind="Rejected" if rule else "Malformed", rule=rule)


@pytest.mark.parametrize(
    ("asked", "answer", "difference"),
    [
        (refused(), {"error": {"kind": "Rejected", "rule": "ABC-1"}}, None),
        (refused(), {"error": {"kind": "Rejected", "rule": "ABC-1", "message": "why"}}, None),
        (refused(), {"error": {"kind": "Rejected"}}, None),
        (refused(), {"error": {"kind": "Rejected", "rule": None}}, None),
        (refused(None), {"error": {"kind": "Malformed", "rule": None}}, None),
        (refused(), {"error": {"kind": "Rejected", "rule": "ABC-2"}}, "error Rejected ABC-1, got Rejected ABC-2"),
        (refused(), {"error": {"kind": "Malformed"}}, "expected the error Rejected ABC-1, got Malformed"),
        (refused(None), {"error": {"kind": "Rejected", "rule": "ABC-1"}}, "error Malformed, got Rejected ABC-1"),
        (refused(), {"error": "no"}, 'expected the error Rejected ABC-1, got "no"'),
        (refused(), {"error": {}}, "expected the error Rejected ABC-1, got null"),
        (refused(), {"output": {"a": "0x"}}, 'expected the error Rejected ABC-1, got the output {"a": "0x"}'),
        (case(1), {"error": {"kind": "KeyError", "message": "x"}}, 'an output, got the error KeyError ("x")'),
        (case(1), {}, "expected one of output, error and unsupported"),
        (case(1), {"output": {}, "error": {}}, "expected one of output, error and unsupported"),
        (case(1), {"unsupported": False}, "expected one of output, error and unsupported"),
        (case(1), {"output": "0x"}, "output: expected {"),
        (case(1), {"output": {}}, "output.text: expected 0x0001, got nothing"),
        (case(1), {"output": {"text": "0x0001", "\ud800": 1}}, "output.?: expected nothing"),
        (case(1), {"output": {"text": "\ud800"}}, 'output.text: expected 0x0001, got "\\ud800"'),
    ],
)
def test_reply_is_judged(asked, answer, difference) -> None:
    found = runner.judge(asked, {"id": asked.id, **answer})
    if difference is None:
        assert found is None
    else:
        assert difference in found


@pytest.mark.parametrize(
    ("expected", "got", "difference"),
    [
        ({"a": ["1", "2"]}, {"a": ["1", "3"]}, "output.a[1]: expected 2, got 3"),
        ({"a": ["1"]}, {"a": []}, "output.a: expected 1 items, got 0"),
        ({"a": "1"}, {"a": 1}, 'output.a: expected "1", got 1'),
        ({"a": True}, {"a": 1}, "output.a: expected true, got 1"),
        ({"a": True}, {"a": "true"}, 'output.a: expected true, got "true"'),
        ({"a": None}, {"a": False}, "output.a: expected null, got false"),
        ({"a": {"b": "0x"}}, {"a": {"b": "0x00"}}, "output.a.b: expected 0x, got 0x00"),
        ({"a": "1", "b": "2"}, {"b": "3"}, 'output.a: expected "1", got nothing'),
        ({"a": "tdh2"}, {"a": "clear text"}, 'output.a: expected tdh2, got "clear text"'),
        ({"a": "1"}, {"a": ""}, 'output.a: expected 1, got ""'),
        ({"a": "1"}, {"a": b"1"}, 'output.a: expected "1", got "b\'1\'"'),
    ],
)
def test_first_difference_has_a_path(expected, got, difference) -> None:
    assert runner.difference(expected, got, "output") == difference


def test_long_values_are_shown_where_they_differ() -> None:
    same = "0x" + "ab" * 100
    found = runner.difference({"a": same + "01" + "cd" * 100}, {"a": same + "02" + "cd" * 100}, "output")
    assert found is not None
    assert len(found) < 250
    assert "ab01cd" in found
    assert "ab02cd" in found
    assert "(201 bytes)" in found


def test_unsupported_cases_are_counted_apart(misbehaving) -> None:
    body = 'if number: reply = {"id": request["id"], "unsupported": True}'
    assert misbehaving(body) == [PASSED, ("unsupported", None), ("unsupported", None)]


def test_report_counts_by_requirement(command) -> None:
    body = 'if number == 1: reply = {"id": request["id"], "unsupported": True}\n    if number == 2: sys.exit()'
    implementation = OtherProgram(command(ECHO.replace("BODY", body)))
    document = report(run(CASES, implementation), implementation)
    assert (document["passed"], document["failed"], document["unsupported"]) == (1, 1, 1)
    assert document["requirements"] == {
        "ABC-1": {"passed": 1, "failed": 1, "unsupported": 1},
        "ABC-10": {"passed": 0, "failed": 0, "unsupported": 1},
    }
    assert [fields["result"] for fields in document["cases"]] == ["passed", "unsupported", "failed"]


# --- this package -----------------------------------------------------------------------------------------------------


def test_unknown_page_and_operation_are_unsupported() -> None:
    for page in ("nonsense", "", "../x", "os.path", "runner", "serve"):
        assert serve.answer(page, "echo", {}, backend=DEFAULT_BACKEND) == {"unsupported": True}


def test_own_bug_is_reported_as_a_failed_case(monkeypatch) -> None:
    def broken(_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(serve, "operations_of", lambda page, backend: {"echo": broken})
    found = run([case(1), refused()], ThisPackage())
    assert [result.difference for result in found] == [
        "expected an output, got the error KeyError (\"'ours'\")",
        "expected the error Rejected ABC-1, got KeyError (\"'ours'\")",
    ]


def test_served_lines_are_answered_whatever_they_hold() -> None:
    lines = [b"\n", b"{}\n", b"[]\n", b"\xff\n", b"[" * 100000, b'{"id": 1, "page": 2, "operation": 3, "input": 4}']
    lines.append(json.dumps(CASES[0].request).encode())
    answers = [json.loads(reply) for reply in serve.replies(lines)]
    assert [answer["id"] for answer in answers] == [None] * 6 + ["toy/echo/1"]
    assert answers[-1] == {"id": "toy/echo/1", "unsupported": True}


def test_package_serves_the_line_protocol(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = shlex.join([sys.executable, "-m", "encmempool.conformance.serve"])
    assert {result.verdict for result in run(CASES, OtherProgram(command))} == {"unsupported"}
    found = run(CASES[:1], OtherProgram(f"{command} abacus"))
    assert found[0].difference is not None
    assert found[0].difference.startswith("exited with code 2: error: unknown backend 'abacus'")


# --- vector files -----------------------------------------------------------------------------------------------------


def document(**fields: Any) -> dict[str, Any]:
    return {"schema": "encmempool.vectors/1", "page": "toy", "operation": "echo", "cases": [item()], **fields}


def item(**fields: Any) -> dict[str, Any]:
    made = {
        "id": "toy/echo/1",
        "title": "a toy",
        "requirements": ["ABC-1"],
        "input": {"text": "0x0001"},
        "output": {"text": "0x0001"},
        **fields,
    }
    return {name: value for name, value in made.items() if value is not ...}


def write(directory: Path, content: object, name: str = "toy/echo.json") -> Path:
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return directory


def test_vectors_are_read(tmp_path) -> None:
    negative = item(id="toy/echo/2", output=..., error={"kind": "Rejected", "rule": "ABC-2"}, intermediate={"a": "1"})
    write(tmp_path, document(cases=[item(), negative]))
    first, second = load(tmp_path)
    assert (first.output, first.kind, first.rule) == ({"text": "0x0001"}, None, None)
    assert (second.output, second.kind, second.rule) == (None, "Rejected", "ABC-2")
    assert first.request == {
        "id": "toy/echo/1", "page": "toy", "operation": "echo", "input": {"text": "0x0001"}
    }  # fmt: skip


def test_cases_are_chosen_by_page_id_and_requirement(tmp_path) -> None:
    second = item(id="toy/echo/2", requirements=["ABC-1", "ABC-10"])
    write(tmp_path, document(cases=[item(), second]))
    write(tmp_path, document(page="game", cases=[item(id="game/echo/1")]), "game/echo.json")
    assert [case.id for case in load(tmp_path)] == ["game/echo/1", "toy/echo/1", "toy/echo/2"]
    assert [case.id for case in load(tmp_path, page="toy")] == ["toy/echo/1", "toy/echo/2"]
    assert [case.id for case in load(tmp_path, only="toy/echo/2")] == ["toy/echo/2"]
    assert [case.id for case in load(tmp_path, only="ABC-10")] == ["toy/echo/2"]
    for chosen in ({"page": "nonsense"}, {"only": "ABC-2"}, {"only": "toy/echo/9"}, {"page": "game", "only": "ABC-10"}):
        with pytest.raises(ValueError, match=r"choose|no case"):
            load(tmp_path, **chosen)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"a": 1, "a": 2}', "a name twice"),
        ("[" * 100000, "not JSON"),
        ([], "the file: an object"),
        (document(schema="encmempool.vectors/2"), "schema: 'encmempool.vectors/1'"),
        (document(page="game"), "page: 'toy'"),
        (document(operation="other"), "operation: 'echo'"),
        (document(extra=1), "extra is not a field"),
        ({"schema": "encmempool.vectors/1"}, "cases is missing"),
        (document(cases=[]), "at least one case"),
        (document(cases=[1]), r"cases\[0\]: an object"),
        (document(cases=[item(id="toy/other/1")]), r"cases\[0\].id"),
        (document(cases=[item(id="toy/echo/")]), r"cases\[0\].id"),
        (document(cases=[item(id="toy/echo/first")]), r"cases\[0\].id"),
        (document(cases=[item(id=1)]), r"cases\[0\].id"),
        (document(cases=[item(), item()]), "exists already"),
        (document(cases=[item(title="")]), "title"),
        (document(cases=[item(title=...)]), "title is missing"),
        (document(cases=[item(requirements=["ABC-0"])]), "requirements"),
        (document(cases=[item(requirements="ABC-1")]), "requirements"),
        (document(cases=[item(requirements=[])]), "requirements"),
        (document(cases=[item(requirements=["ABC-1", "ABC-1"])]), "twice"),
        (document(cases=[item(input=[])]), "input: an object"),
        (document(cases=[item(output=...)]), "either output or error"),
        (document(cases=[item(error={"kind": "Malformed", "rule": None})]), "either output or error"),
        (document(cases=[item(output=..., error={"kind": "Wrong", "rule": None})]), "error.kind"),
        (document(cases=[item(output=..., error={"kind": "Rejected", "rule": None})]), "error.rule"),
        (document(cases=[item(output=..., error={"kind": "Malformed", "rule": "ABC-1"})]), "error.rule"),
        (document(cases=[item(output=..., error={"kind": "Malformed"})]), "rule is missing"),
        (document(cases=[item(input={"list": [{"a": 1}]})]), r"input.list\[0\].a: 1 is a JSON number"),
        (document(cases=[item(output={"a": 1.5})]), "output.a: 1.5 is a JSON number"),
        (document(cases=[item(input={"a": "0xAB"})]), "input.a: whole bytes in lower case"),
        (document(cases=[item(input={"a": "0xabc"})]), "input.a: whole bytes in lower case"),
    ],
)
def test_malformed_vector_file_is_an_environment_problem(content, says, tmp_path) -> None:
    with pytest.raises(EnvironmentProblem, match=says):
        load(write(tmp_path, content))


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({}, True),
        ({"requirements": []}, False),
        ({"requirements": ["ABC-1", "ABC-1"]}, False),
        ({"requirements": ["ABC-01"]}, False),
        ({"id": "toy/echo/01"}, False),
        ({"title": ""}, False),
        ({"input": {"a": [{"b": None}, True, "x", "-1", "0x00"]}}, True),
        ({"input": {"a": "0x0"}}, False),
        ({"input": {"a": "0x0A"}}, False),
        ({"input": {"a": 1}}, False),
        ({"output": ...}, False),
        ({"output": ..., "error": {"kind": "Rejected", "rule": "ABC-1"}}, True),
        ({"output": ..., "error": {"kind": "Rejected", "rule": None}}, False),
        ({"output": ..., "error": {"kind": "Malformed", "rule": None}}, True),
        ({"output": ..., "error": {"kind": "Malformed", "rule": None, "message": "x"}}, False),
        ({"intermediate": {"a": "1"}}, True),
        ({"comment": "x"}, False),
    ],
)
def test_check_of_vector_files_is_that_of_the_schema(fields, fits, tmp_path) -> None:
    made = document(cases=[item(**fields)])
    schema = json.loads((ROOT / "specs" / "schemas" / "vectors.json").read_text())
    assert jsonschema.Draft202012Validator(schema).is_valid(made) is fits
    if fits:
        assert len(load(write(tmp_path, made))) == 1
    else:
        with pytest.raises(EnvironmentProblem, match="is no vector file"):
            load(write(tmp_path, made))


def test_directory_without_vectors_is_an_environment_problem(tmp_path) -> None:
    with pytest.raises(EnvironmentProblem, match="no vectors in"):
        load(tmp_path)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def called(tmp_path) -> Callable[..., Any]:
    """`conformance run` on two cases of a toy page."""
    directory = write(tmp_path / "vectors", document(cases=[item(), item(id="toy/echo/2", requirements=["ABC-2"])]))

    def made(*arguments: str) -> Any:
        found = CliRunner().invoke(main, ["conformance", "run", "--vectors", str(directory), *arguments])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    return made


def test_command_passes_with_unsupported_cases(called) -> None:
    found = called()
    assert found.exit_code == 0
    assert "0 passed, 0 failed, 2 not supported" in found.stdout
    assert [line for line in found.stderr.splitlines() if not line.startswith("curve: ")] == []


def test_command_shows_failures_by_requirement(called, command) -> None:
    body = 'if number == 1: reply["output"]["text"] = "[bold]0xff"'
    found = called("--implementation", command(ECHO.replace("BODY", body)))
    assert found.exit_code == 1
    assert "1 passed, 1 failed, 0 not supported" in found.stdout
    assert "toy/echo/2" in found.stdout
    assert "[bold]0xff" in "".join(found.stdout.split())
    assert "--only toy/echo/2" in found.stderr


def test_command_prints_one_object(called, command) -> None:
    found = called("--implementation", command(ECHO.replace("BODY", "pass")), "--json")
    assert found.exit_code == 0
    made = json.loads(found.stdout)
    jsonschema.validate(made, SCHEMA)
    assert (made["passed"], made["backend"]) == (2, None)
    assert [fields["id"] for fields in made["cases"]] == ["toy/echo/1", "toy/echo/2"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--page", "nonsense"], 2, "no vectors of a page 'nonsense': choose toy"),
        (["--only", "ABC-9"], 2, "no case 'ABC-9'"),
        (["--implementation", "/nowhere/adapter"], 3, "no program '/nowhere/adapter'"),
        (["--implementation", ""], 2, "is empty"),
        (["--time-limit", "0"], 2, "--time-limit"),
        (["--time-limit", "nan"], 2, "--time-limit"),
        (["--time-limit", "inf"], 2, "--time-limit"),
        (["--vectors", "/nowhere"], 2, "--vectors"),
    ],
)
def test_command_explains_a_mistake_in_one_line(arguments, code, says, called) -> None:
    found = called(*arguments)
    assert found.exit_code == code
    assert found.stderr.startswith("error: ")
    assert found.stderr.count("\n") == 1
    assert says in found.stderr


def test_command_refuses_malformed_vectors(called, tmp_path) -> None:
    write(tmp_path / "vectors", "{", "toy/other.json")
    found = called("--json")
    assert found.exit_code == 3
    assert json.loads(found.stdout)["code"] == "environment"
    assert found.stderr.count("\n") == 1


def test_example_session_of_the_specifications_is_true() -> None:
    """What specs/README.md shows is what this package answers, apart from what it shows as not supported."""
    text = (ROOT / "specs" / "README.md").read_text()
    questions = [json.loads(line.split("→", 1)[1]) for line in text.splitlines() if line.startswith("    → ")]
    answers = [json.loads(line.split("←", 1)[1]) for line in text.splitlines() if line.startswith("    ← ")]
    assert len(questions) == len(answers) >= 4
    for question, shown in zip(questions, answers, strict=True):
        assert set(question) == {"id", "page", "operation", "input"}
        assert shown["id"] == question["id"]
        if shown.get("unsupported") is True:
            continue
        (line,) = serve.replies([json.dumps(question).encode()])
        answer = json.loads(line)
        assert answer.get("output") == shown.get("output")
        assert {**answer.get("error", {}), **shown.get("error", {})} == answer.get("error", {})


def test_default_directory_is_the_specifications() -> None:
    assert vectors.DIRECTORY == ROOT / "specs" / "vectors"
