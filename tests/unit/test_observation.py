"""What a node says about itself: enough to operate it, nothing that it may not tell. It never ends because of it."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from prometheus_client.parser import text_string_to_metric_families

from encmempool.network.observation import Log, Metrics, Redacted


def written(*, event="share", **values):
    """The line of one event, as its reader has it."""
    stream = io.StringIO()
    Log(node="member-1", stream=stream, clock_ms=lambda: 1_700_000_000_000).write(event, **values)
    (line,) = stream.getvalue().splitlines()
    return json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_line_is_one_json_object_with_time_level_node_and_event():
    assert written(height=7, member=2, late=0) == {
        "time_ms": 1_700_000_000_000,
        "level": "info",
        "node": "member-1",
        "event": "share",
        "height": 7,
        "member": 2,
        "late": 0,
    }
    assert written(event="failed", level="error", reason=None) == {
        "time_ms": 1_700_000_000_000,
        "level": "error",
        "node": "member-1",
        "event": "failed",
        "reason": None,
    }


@pytest.mark.parametrize("text", ['"}\n{"event": "forged', "\u2028", "\x1b[2J", "\ud800", "\0"])
def test_text_cannot_end_its_line(text):
    assert written(reason=text)["reason"] == text


def test_hash_is_shown_whole_and_one_byte_more_is_not():
    assert written(root=bytes(range(32)))["root"] == f"0x{bytes(range(32)).hex()}"
    assert written(root=b"")["root"] == "0x"
    shown = written(root=bytes(range(33)))["root"]
    assert shown == f"<33 bytes, sha256 {hashlib.sha256(bytes(range(33))).hexdigest()[:16]}>"


def test_redacted_value_shows_its_size_and_a_digest_alone():
    secret = b"a key of a member"
    digest = hashlib.sha256(secret).hexdigest()[:16]
    hidden = Redacted(secret)
    for shown in (str(hidden), repr(hidden), f"{hidden}", written(key=hidden)["key"]):
        assert shown == f"<17 bytes, sha256 {digest}>"
    assert secret not in repr(vars(hidden)).encode()


def test_hash_in_a_text_is_shown_and_longer_hex_is_not():
    shown = f"transaction 0x{'ab' * 32} is committed twice"
    assert written(reason=shown)["reason"] == shown
    for digits in ("ab" * 33, "AB" * 100, "7" * 65):
        for text in (digits, f"0x{digits}", f"no object: 0x{digits}, and more"):
            line = written(reason=text)["reason"]
            assert digits not in line
            assert re.search(rf"<{len(digits)} bytes, sha256 [0-9a-f]{{16}}>", line)


def test_long_text_is_cut():
    shown = written(reason="x" * 5_000)["reason"]
    assert shown == "x" * 300 + "…"


@pytest.mark.parametrize("number", [2**256, -(2**256), 1 << 20_000], ids=["257-bits", "negative", "20000-bits"])
def test_number_longer_than_a_hash_is_not_shown(number):
    assert re.fullmatch(r"<\d+ bytes, sha256 [0-9a-f]{16}>", written(key=number)["key"])
    assert written(amount=2**256 - 1)["amount"] == 2**256 - 1


def test_number_that_json_does_not_have_is_a_text():
    for number, text in ((float("nan"), "nan"), (float("inf"), "inf"), (float("-inf"), "-inf")):
        assert written(seconds=number)["seconds"] == text


@given(st.binary(min_size=33, max_size=400))
def test_no_33_bytes_in_a_row_get_into_a_line(data):
    """However they are handed over."""
    digits = data.hex()
    forms = {"raw": data, "hidden": Redacted(data), "hex": digits, "upper": digits.upper(), "prefixed": f"0x{digits}"}
    number = int.from_bytes(b"\1" + data, "big")
    line = json.dumps(written(number=number, told=f"got 0x{digits}.", **forms)).lower()
    for at in range(len(data) - 32):
        assert data[at : at + 33].hex() not in line
    assert str(number) not in line


# --- streams that take nothing ---------------------------------------------------------------------------------------


class FullDisk(io.StringIO):
    """Has room for so many characters."""

    room = 0

    def write(self, text):
        if len(text) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(text)


def test_log_survives_a_full_disk_and_goes_on_when_there_is_room():
    stream = FullDisk()
    log = Log(node="auditor", stream=stream)
    log.write("lost")
    stream.room = 10_000
    log.write("kept")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "kept"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_log_survives_a_real_full_device():
    stream = open("/dev/full", "w")  # noqa: SIM115
    Log(node="auditor", stream=stream).write("lost", reason="x" * 100_000)
    with pytest.raises(OSError, match="No space"):
        stream.close()


def test_log_survives_a_stream_that_is_closed():
    stream = io.StringIO()
    stream.close()
    Log(node="auditor", stream=stream).write("lost")


def test_log_survives_a_pipe_that_nobody_reads():
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    Log(node="auditor", stream=stream).write("lost")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_log_survives_a_process_without_a_standard_error(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    Log(node="auditor").write("lost")


def test_log_goes_to_the_standard_error_that_there_is_now(capsys):
    Log(node="auditor").write("kept")
    assert json.loads(capsys.readouterr().err)["event"] == "kept"


# --- metrics ---------------------------------------------------------------------------------------------------------

NAMES = {
    "encmempool_request_seconds": "histogram",
    "encmempool_stage_seconds": "histogram",
    "encmempool_shares": "counter",
    "encmempool_transactions": "counter",
    "encmempool_evidence": "counter",
    "encmempool_messages": "counter",
    "encmempool_height": "gauge",
    "encmempool_waiting": "gauge",
    "encmempool_rounds_left": "gauge",
    "encmempool_storage_failures": "counter",
}


def families(metrics):
    return {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}


def value(metrics, name, **labels):
    (found,) = [s for f in families(metrics).values() for s in f.samples if s.name == name and s.labels == labels]
    return found.value


def test_metrics_are_what_prometheus_reads():
    metrics = Metrics()
    found = families(metrics)
    types = {name: family.type for name, family in found.items() if not name.endswith("_created")}
    assert types == NAMES
    assert all(family.documentation for name, family in found.items() if name in NAMES)


def test_metrics_count_what_they_are_told():
    metrics = Metrics()
    metrics.requests.labels("submit_vote", "204").observe(0.02)
    metrics.requests.labels("submit_vote", "204").observe(2)
    metrics.shares.labels("3", "late").inc()
    metrics.transactions.labels("MEM-4").inc(2)
    metrics.height.labels("executed").set(12)
    metrics.rounds_left.set(60)
    labels = {"endpoint": "submit_vote", "status": "204"}
    assert value(metrics, "encmempool_request_seconds_count", **labels) == 2
    assert value(metrics, "encmempool_request_seconds_bucket", le="0.025", **labels) == 1
    assert value(metrics, "encmempool_shares_total", member="3", verdict="late") == 1
    assert value(metrics, "encmempool_transactions_total", verdict="MEM-4") == 2
    assert value(metrics, "encmempool_height", kind="executed") == 12
    assert value(metrics, "encmempool_rounds_left") == 60
    assert value(metrics, "encmempool_storage_failures_total") == 0


@pytest.mark.parametrize("label", ['"', "\\", "\n", 'a"} 1\nforged 1', "é", "\u2028"])
def test_label_cannot_end_its_line(label):
    metrics = Metrics()
    metrics.transactions.labels(label).inc()
    assert value(metrics, "encmempool_transactions_total", verdict=label) == 1


def test_metrics_of_two_nodes_in_one_process_are_their_own():
    one, other = Metrics(), Metrics()
    one.storage_failures.inc()
    assert value(other, "encmempool_storage_failures_total") == 0
