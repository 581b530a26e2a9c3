"""The timers that tell cryptography from the rest of the pipeline."""

from __future__ import annotations

import pytest

from encmempool.bench import cryptography
from encmempool.bench.cryptography import Timers
from encmempool.reveal import no_stage


@pytest.fixture
def clock(monkeypatch):
    """A clock that a call moves on by the milliseconds it is given."""
    now_ns = 0

    class Clock:
        @staticmethod
        def perf_counter_ns() -> int:
            return now_ns

    def spend(ms: float) -> float:
        nonlocal now_ns
        now_ns += round(ms * 1e6)
        return ms

    monkeypatch.setattr(cryptography, "time", Clock)
    return spend


def test_timers_count_calls_by_stage_and_kind(clock):
    timers = Timers()
    pairing, sealing = timers.around("group", clock), timers.around("aead", clock)
    stage = timers.within(no_stage)
    pairing(100)  # in no stage
    with stage("vote"):
        assert pairing(3) == 3
        sealing(1)
        clock(50)
    for _ in range(2):
        with stage("decrypt"):
            sealing(2)
    assert [timers.ms("vote", kind) for kind in ("group", "aead", "signatures")] == [3, 1, 0]
    assert [timers.ms("decrypt", kind) for kind in ("group", "aead")] == [0, 4]
    assert timers.ms("store", "group") == 0


def test_timers_count_nested_calls_once(clock):
    timers = Timers()
    inner = timers.around("aead", clock)
    outer = timers.around("group", lambda ms: clock(1) + inner(ms))
    with timers.within(no_stage)("share"):
        assert outer(2) == 3
    assert (timers.ms("share", "group"), timers.ms("share", "aead")) == (3, 0)


def test_timers_count_calls_that_raise(clock):
    timers = Timers()

    def fail() -> None:
        clock(5)
        raise ValueError("as it happens")

    with timers.within(no_stage)("share"):
        with pytest.raises(ValueError, match="as it happens"):
            timers.around("group", fail)()
        timers.around("group", clock)(1)
    assert timers.ms("share", "group") == 6


class Helper:
    def __init__(self, spend):
        self._spend = spend

    def __call__(self, ms):
        return self._spend(ms)

    def each(self, items):
        return [self._spend(ms) for ms in items]


class Group:
    name, generator = "G1", object()

    def __init__(self, spend):
        self.msm = spend
        self._spend = spend

    def fixed_base(self, point):
        return Helper(self._spend)


class Backend:
    def __init__(self, spend):
        self.g1, self.g2 = Group(spend), Group(spend)
        self.pairing = spend

    def toeplitz(self, diagonals):
        return None


def test_timed_backend_counts_its_groups_and_what_they_prepare(clock):
    timers = Timers()
    backend = cryptography._TimedBackend(Backend(clock), timers)
    with timers.within(no_stage)("precompute"):
        assert backend.pairing(1) == 1
        backend.g1.msm(2)
        backend.g2.fixed_base(None)(4)
        assert backend.g2.fixed_base(None).each([8, 16]) == [8, 16]
        assert backend.toeplitz([]) is None
    assert timers.ms("precompute", "group") == 31
    assert (backend.g1.name, backend.g1.generator) == ("G1", Group.generator)
    assert backend.g1 is backend.g1
