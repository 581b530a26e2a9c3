"""One look after the other at a network, each a report of all that was seen up to then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from encmempool.errors import EnvironmentProblem
from encmempool.network.remote import RemoteNetwork
from encmempool.risk.sources import NodeHistory, NodeMetrics, node_metrics, of_history
from encmempool.risk.watch import Watch
from threshold.curve import DEFAULT_BACKEND

Json = dict[str, Any]
Clock = Callable[[], int]
"""Milliseconds since 1970."""


def look_at_history(watch: Watch, data: bytes, *, clock_ms: Clock, backend: str = DEFAULT_BACKEND) -> Json:
    """The report on an exported history. Raises AuditFailed, naming height and record, if it does not verify."""
    history = of_history(data, backend=backend)
    for seen in history.heights:
        watch.add(seen)
    report = history.report
    return {
        "source": "history",
        "url": None,
        "look": 1,
        "at_ms": clock_ms(),
        "network_root": f"0x{report.genesis_root.hex()}",
        "head": history.head,
        "verified_height": report.executed_height,
        "pending": report.pending,
        **watch.document(),
        "evidence": None,
        "metrics": None,
        "unknown": {
            "evidence": "a history holds what its own records show, which is among the facts, and no other evidence",
            "metrics": "a history holds no counters of nodes",
        },
    }


class NodeLooks:
    """Looks at the network behind a node; each goes on where the one before ended."""

    def __init__(self, network: RemoteNetwork, watch: Watch, *, clock_ms: Clock) -> None:
        self._network, self._watch, self._clock_ms = network, watch, clock_ms
        self._history = NodeHistory(network)
        self._looks = 0

    def look(self, progress: Callable[[str], None] = lambda _: None) -> Json:
        """Follow the node to the end of what it has executed, and report.

        Raises AuditFailed for a height that breaks a rule, EnvironmentProblem where the node cannot be asked: the next
        look goes on with what is missing.
        """
        network, watch = self._network, self._watch
        now = network.progress
        for seen in self._history.advance(now):
            watch.add(seen)
            progress(f"height {seen.height} of {now.executed_height}")
        findings = self._history.evidence()
        for finding in findings:
            watch.add_finding(finding)
        metrics, reason = self._metrics()
        self._looks += 1
        return {
            "source": "node",
            "url": network.url,
            "look": self._looks,
            "at_ms": self._clock_ms(),
            "network_root": f"0x{network.genesis.root.hex()}",
            "head": now.head,
            "verified_height": self._history.executed_height,
            "pending": None,
            **watch.document(),
            "evidence": len(findings),
            "metrics": None if metrics is None else _document(metrics),
            "unknown": {"pending": "a node does not show all that waits: an exported history does"} | reason,
        }

    def _metrics(self) -> tuple[NodeMetrics | None, dict[str, str]]:
        try:
            return node_metrics(self._network), {}
        except EnvironmentProblem as error:
            return None, {"metrics": str(error)}


def _document(metrics: NodeMetrics) -> Json:
    return {
        "stages": {
            name: {
                "count": stage.count,
                "mean_s": round(stage.mean_s, 6),
                "p50_at_most_s": stage.p50_at_most_s,
                "p99_at_most_s": stage.p99_at_most_s,
            }
            for name, stage in metrics.stages.items()
        },
        "shares": [{"member": member, **verdicts} for member, verdicts in metrics.shares.items()],
        "storage_failures": metrics.storage_failures,
    }
