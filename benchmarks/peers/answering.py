"""The line protocol of `encmempool bench peers` for Python programs; README.md describes it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

MOST_RUNS = 1000

Work = Callable[[], object]
Prepare = Callable[[dict[str, int], dict[str, bytes]], Work]
"""From a request's parameters and inputs to what is timed, one transaction a call."""


def serve(jobs: Mapping[str, Prepare]) -> None:
    """Answers requests until the input ends. A job is prepared once and kept for the later requests."""
    prepared: dict[str, Work] = {}
    for line in sys.stdin:
        print(json.dumps(_reply(json.loads(line), jobs, prepared)), flush=True)  # noqa: T201


def _reply(request: dict[str, Any], jobs: Mapping[str, Prepare], prepared: dict[str, Work]) -> dict[str, Any]:
    job, params = request["job"], request["params"]
    if job not in jobs:
        return {"job": job, "unsupported": True}
    key = json.dumps([job, params], sort_keys=True)
    if key not in prepared:
        inputs = {name: bytes.fromhex(value[2:]) for name, value in request["inputs"].items()}
        prepared[key] = jobs[job](params, inputs)
    return {"job": job, "seconds": _timed(prepared[key], request["budget_s"])}


def _timed(work: Work, budget_s: float) -> list[float]:
    seconds: list[float] = []
    started = time.perf_counter()
    while not seconds or (len(seconds) < MOST_RUNS and time.perf_counter() - started < budget_s):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds
