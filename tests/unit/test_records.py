"""Records of benchmarks: what is written is read again, and a line that is none is named."""

from __future__ import annotations

import json
import subprocess

import pytest

from encmempool.bench import records
from encmempool.bench.records import Case, Record, RecordFile, Setting, latest, of_pipeline, parse, read, record_name
from encmempool.bench.sampling import Timing
from encmempool.errors import Malformed

SETTING = Setting(
    backend="arkworks", threads=2, seed=1, commit="0" * 40, host={"processor": "abacus", "versions": {"python": "3"}}
)


def record(name: str = "g1::msm/N=8", *values: float, **params: int | str) -> Record:
    timing = Timing(values=values or (0.25, 0.5, 0.125, 1 / 3))
    return Record.of(name, params or {"N": 8}, timing, SETTING)


def line(**changes: object) -> bytes:
    """A record as it is written, with other fields; None leaves one away."""
    fields = {**record().document(), **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


# --- records ---------------------------------------------------------------------------------------------------------


def test_name_shows_group_step_and_what_is_named() -> None:
    params = {"B": 512, "n": 4, "t": 3}
    case = Case(group="simple-bte", step="share", params=params, named=("B", "n"), prepare=lambda: lambda: None)
    assert case.name == "simple_bte::share/B=512,n=4"
    assert record_name("g1", "add", {}) == "g1::add"


def test_record_has_the_fields_of_the_format() -> None:
    document = record().document()
    assert list(document) == [
        *("schema", "name", "unit", "median", "q1", "q3", "min", "samples", "params"),
        *("backend", "threads", "seed", "commit", "host", "values"),
    ]
    assert (document["schema"], document["unit"], document["samples"]) == ("encmempool.bench/1", "s", 4)
    assert (document["min"], document["median"]) == (0.125, 0.291667)
    assert document["values"] == (0.25, 0.5, 0.125, 0.333333)


def test_setting_is_that_of_the_process() -> None:
    found = Setting.of("reference", 7)
    assert (found.backend, found.seed) == ("reference", 7)
    assert {"processor", "cores", "memory_gib", "system", "versions"} == found.host.keys()
    assert {"python", "encmempool"} <= found.host["versions"].keys()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository that holds the module; `git(…)` runs there."""

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    module = tmp_path / "encmempool" / "bench" / "records.py"
    module.parent.mkdir(parents=True)
    module.write_text("# a module\n")
    monkeypatch.setattr(records, "__file__", str(module))
    records.commit.cache_clear()
    yield git
    records.commit.cache_clear()


def test_commit_is_named_and_whether_files_differ_from_it(checkout, tmp_path) -> None:
    checkout("init", "-q")
    checkout("add", ".")
    checkout("commit", "-q", "-m", "first")
    checkout("tag", "-a", "-m", "a version", "v1")
    head = checkout("rev-parse", "HEAD")
    assert records.commit() == head
    records.commit.cache_clear()
    (tmp_path / "encmempool" / "bench" / "records.py").write_text("# changed\n")
    assert records.commit() == f"{head}-dirty"


def test_version_stands_for_the_commit_outside_of_a_checkout(checkout, tmp_path) -> None:
    assert records.commit() == records.version("encmempool")
    records.commit.cache_clear()
    (tmp_path / ".git").mkdir()  # what git takes for no repository
    assert records.commit() == records.version("encmempool")


def test_pipeline_gives_a_record_for_each_stage() -> None:
    result = {
        "scheme": "simple-bte",
        "members": 4,
        "threshold": 3,
        "batch": 2,
        "transactions": 10,
        "stages_ms": {"commit": 5.0, "precompute": 0.0, "combine": 20.0},
        "commitment_to_reveal_ms": 25.0,
        "transactions_per_second_overlapped": 500.0,
    }
    found = {each.name: each for each in of_pipeline(result, SETTING)}
    suffix = "/scheme=simple-bte,B=2,n=4,transactions=10"
    assert {name: each.median for name, each in found.items()} == {
        f"pipeline::commit{suffix}": 0.005,
        f"pipeline::combine{suffix}": 0.02,
        f"pipeline::commitment_to_reveal{suffix}": 0.025,
        f"pipeline::overlapped{suffix}": 0.02,
    }
    assert found[f"pipeline::commit{suffix}"].samples == 1
    assert found[f"pipeline::commit{suffix}"].params["t"] == 3
    single = of_pipeline({**result, "transactions": 2, "transactions_per_second_overlapped": None}, SETTING)
    assert [each.name for each in single][-1] == "pipeline::commitment_to_reveal/scheme=simple-bte,B=2,n=4"


# --- files -----------------------------------------------------------------------------------------------------------


def test_file_is_added_to_and_read_again(tmp_path) -> None:
    path, first, second = tmp_path / "results.jsonl", record("g1::a"), record("g1::b", 1.0)
    RecordFile(path).add(first)
    RecordFile(path).add(second)
    assert read(path) == (first, second)
    assert path.read_bytes().count(b"\n") == 2


def test_last_line_without_an_end_is_not_glued_to_the_next(tmp_path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(line())
    file = RecordFile(path)
    file.add(record("g1::b"))
    file.add(record("g1::c"))
    assert [each.name for each in read(path)] == ["g1::msm/N=8", "g1::b", "g1::c"]
    assert path.read_bytes().count(b"\n") == 3


def test_values_may_be_missing() -> None:
    (found,) = parse(line(values=None), "x")
    assert found.values == ()
    assert "values" not in found.document()


@pytest.mark.parametrize("held", [b"# Results\n", b'{"schema": "encmempool.demo/1"}\n', line()[:-9]])
def test_file_of_something_else_is_refused_before_the_work_and_kept(held, tmp_path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(held)
    with pytest.raises(Malformed, match=r"results\.jsonl, line 1: "):
        RecordFile(path)
    assert path.read_bytes() == held


def test_file_that_cannot_be_written_is_refused_before_the_work(tmp_path) -> None:
    with pytest.raises(OSError, match="No such file"):
        RecordFile(tmp_path / "missing" / "results.jsonl")
    with pytest.raises(OSError, match="directory"):
        RecordFile(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_file_appears_with_its_first_record(tmp_path) -> None:
    RecordFile(tmp_path / "results.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_blank_lines_are_passed_over() -> None:
    assert len(parse(b"\n" + line() + b"\r\n  \n" + line() + b"\n", "x")) == 2


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"hello", "no JSON (Expecting value, column 1)"),
        (line()[:-9], "cut off"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100, "nested"),
        (b"[]", "without a schema"),
        (b"17", "without a schema"),
        (line(schema="encmempool.demo/1"), "schema 'encmempool.demo/1'"),
        (line(schema="encmempool.bench/2"), "'encmempool.bench/1' is expected"),
        (line(median=None), "lacks 'median'"),
        (line(mean=1), "has no 'mean'"),
        (line(name=""), "'name' is not text"),
        (line(median="fast"), "'median' is not a number"),
        (line(median=True), "'median' is not a number"),
        (line(min=0), "'min' is not a number above 0"),
        (line(q1=float("nan")), "'q1' is not a number"),
        (line(q3=float("inf")), "'q3' is not a number"),
        (line(q3=10**400), "'q3' is not a number"),
        (line(q1=2), "do not ascend"),
        (line(samples=0), "'samples' is not a whole number from 1 up"),
        (line(samples=2.0), "'samples'"),
        (line(threads=0), "'threads'"),
        (line(seed=-1), "'seed'"),
        (line(seed=True), "'seed'"),
        (line(params={"N": 1.5}), "'params'"),
        (line(params={"N": True}), "'params'"),
        (line(params=[]), "'params'"),
        (line(host="abacus"), "'host'"),
        (line(commit=7), "'commit'"),
        (line(values=[1]), "'values'"),
        (line(values=[1, 2, 3, "4"]), "'values'"),
        (line(values=7), "'values'"),
    ],
)
def test_broken_line_is_named(broken: bytes, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(line() + b"\n" + broken, "results.jsonl")
    assert str(caught.value).startswith("results.jsonl, line 2: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


def test_latest_of_equal_records_counts() -> None:
    old, new, other = record("g1::a", 1.0), record("g1::a", 2.0), record("g1::a", 3.0, N=9)
    kept, superseded = latest([old, other, new])
    assert list(kept.values()) == [new, other]
    assert superseded == 1


def test_seed_may_be_zero() -> None:
    assert parse(line(seed=0), "x")[0].seed == 0
