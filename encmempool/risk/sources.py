"""Where a watcher's heights come from: a node that is followed, or an exported history. Neither is trusted.

Every signature, order, share, batch key, outcome and state root of a height is recomputed before it counts, by the
same parts of the protocol as in an audit (WCH-1). What a node says of itself beside that, its metrics, is its word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from encmempool.audit import AuditReport, failing_at, inspected
from encmempool.errors import Malformed, Rejected
from encmempool.evidence import Evidence, Finding, examine
from encmempool.execution.ledger import Ledger
from encmempool.genesis import ledger_of
from encmempool.keysets import NO_END, Committee
from encmempool.mempool import MAX_UNEXECUTED
from encmempool.network.peer import PeerProblem
from encmempool.network.remote import Progress, RemoteNetwork
from encmempool.network.wire import MAX_EVIDENCE, HeightRecord
from encmempool.reveal import Executed, Follower
from encmempool.types import InboxEntry, ShareRelease
from threshold.curve import DEFAULT_BACKEND

_MOST_MEMBERS = 1 << 10
_STAGES = ("commitment_to_certified", "commitment_to_executed")
_VERDICTS = ("on_time", "late", "wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An executed height, checked.

    committee    the one that governs it
    before       the ledger below it
    shares       members whose share is published
    wrong        those of them whose share does not verify
    conflicts    members that signed both a share and an abstention
    """

    executed: Executed
    committee: Committee
    before: Ledger
    shares: tuple[int, ...]
    wrong: tuple[int, ...]
    conflicts: tuple[int, ...] = ()

    @property
    def height(self) -> int:
        return self.executed.ready.commitment.height


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedHistory:
    """A verified file. `head` is the newest committed height, `heights` are those executed."""

    report: AuditReport
    head: int
    heights: tuple[Seen, ...]


def of_history(data: bytes, *, backend: str = DEFAULT_BACKEND) -> CheckedHistory:
    """The executed heights of an exported history, verified as `audit verify` does. Raises AuditFailed."""
    report, follower = inspected(data, backend=backend)
    before = ledger_of(follower.chain.committees[0].genesis)
    seen = []
    for executed in follower.executed:
        height = executed.ready.commitment.height
        seen.append(
            Seen(
                executed=executed,
                committee=follower.chain.committee_at(height),
                before=before,
                shares=_sharing(follower, height),
                wrong=tuple(member for at, member in report.wrong_shares if at == height),
                conflicts=tuple(member for at, member in report.conflicts if at == height),
            )
        )
        before = executed.state.ledger
    return CheckedHistory(report=report, head=follower.chain.next_height - 1, heights=tuple(seen))


def _sharing(follower: Follower, height: int) -> tuple[int, ...]:
    return tuple(share.message.member for share in follower.shares(height))


class NodeHistory:
    """The history of the network behind a node, from its first height on, taken further with each call.

    It holds the newest MAX_UNEXECUTED heights and the state, however long it goes on.
    """

    def __init__(self, network: RemoteNetwork) -> None:
        first, *successors = network.committees
        self._network = network
        self._inbox = _Inbox()
        self._follower = Follower(first, successors=successors, inbox=self._inbox, kept=MAX_UNEXECUTED)
        self._judged: dict[bytes, Finding | None] = {}

    @property
    def executed_height(self) -> int:
        """The newest that was followed."""
        return self._follower.latest.height

    def advance(self, progress: Progress) -> Iterator[Seen]:
        """The heights that the node has executed since, one at a time.

        Raises AuditFailed for one that breaks a rule, EnvironmentProblem where the node cannot be asked; what was
        handed out before stands, and the next call goes on above it.
        """
        if progress.epoch != len(self._network.committees):
            self._network.refresh()
        for successor in self._network.committees[len(self._follower.chain.committees) :]:
            with failing_at(self.executed_height + 1, "key set"):
                self._follower.adopt(successor)
        while self.executed_height < progress.executed_height:
            yield self._take(self.executed_height + 1)

    def _take(self, height: int) -> Seen:
        record: HeightRecord = self._network.call("height", height=height)
        proposal = record.proposal
        with failing_at(height, "what the node hands out"):
            if proposal.commitment.message.height != height:
                raise Rejected("AUD-1", "it is of another height")
            before = self._follower.ledger_view
            if record.drop:
                self._follower.drop(record.drop[0])
            elif not record.certificate:
                raise Rejected("REV-1", "it comes without its certificate")
            else:
                for index in range(self._inbox.count, proposal.commitment.message.inbox_index):
                    self._inbox.add(self._network.call("inbox_entry", index=index))
                self._follower.follow(proposal, record.certificate[0])
                for share in record.shares:
                    self._follower.receive(ShareRelease(share=share, certificate=record.certificate[0]))
            _, executed = self._follower.take_reveal(height, record.reveal[0] if record.reveal else None)
            self._inbox.forget()
            return Seen(
                executed=executed,
                committee=self._follower.chain.committee_at(height),
                before=before,
                shares=_sharing(self._follower, height),
                wrong=self._follower.wrong_shares(height),
            )

    def evidence(self) -> tuple[Finding, ...]:
        """All that the node can show and that convicts, each judged once."""
        held: dict[bytes, Finding | None] = {}
        for piece in self._network.call("evidence").evidence[:MAX_EVIDENCE]:
            held[piece.root] = self._judged[piece.root] if piece.root in self._judged else self._judge(piece)
        self._judged = held
        return tuple(finding for finding in held.values() if finding is not None)

    def _judge(self, piece: Evidence) -> Finding | None:
        with suppress(Malformed, Rejected):
            return examine(piece, self._network.committees)
        return None


class _Inbox:
    """Entries that a height settles, as the node tells them; those before are past."""

    head = NO_END

    def __init__(self) -> None:
        self.count = 0
        self._l1_block = 0
        self._entries: dict[int, InboxEntry] = {}

    def add(self, entry: InboxEntry) -> None:
        """The next one. Raises Rejected FRC-1 if it is not."""
        if entry.index != self.count or entry.l1_block < self._l1_block:
            raise Rejected("FRC-1", f"inbox entry {entry.index} is not the next one")
        self._entries[entry.index] = entry
        self._l1_block = entry.l1_block
        self.count += 1

    def entry(self, index: int) -> InboxEntry | None:
        return self._entries.get(index)

    def forget(self) -> None:
        self._entries.clear()


# --- what a node says of itself --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A node's histogram of times in seconds, since it was started. Quantiles are the ends of their buckets."""

    count: int
    mean_s: float
    p50_at_most_s: float | None
    p99_at_most_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMetrics:
    """What a node counted since it was started. Nothing proves it.

    shares    by member's index in the committee of the time: how many came on time, late, or wrong
    """

    stages: dict[str, Stage]
    shares: dict[int, dict[str, int]]
    storage_failures: int


def node_metrics(network: RemoteNetwork) -> NodeMetrics:
    """PeerProblem for what is no metrics of a node, EnvironmentProblem where it cannot be asked."""
    text: bytes = network.call("metrics")
    try:
        return read_metrics(text.decode())
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise PeerProblem(f"{network.url} answers nonsense about its metrics") from error


def read_metrics(text: str) -> NodeMetrics:
    """From Prometheus' text format. Raises ValueError, and whatever the parser stumbles over."""
    buckets: dict[str, list[tuple[float, float]]] = {}
    sums: dict[str, float] = {}
    shares: dict[int, dict[str, int]] = {}
    failures = 0
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            match name:
                case "encmempool_stage_seconds_bucket" if labels["stage"] in _STAGES:
                    buckets.setdefault(labels["stage"], []).append((float(labels["le"]), _count(value)))
                case "encmempool_stage_seconds_sum" if labels["stage"] in _STAGES:
                    sums[labels["stage"]] = value
                case "encmempool_shares_total":
                    member, verdict = int(labels["member"]), labels["verdict"]
                    if not 1 <= member <= _MOST_MEMBERS or verdict not in _VERDICTS:
                        raise ValueError("no member, or no verdict")
                    shares.setdefault(member, dict.fromkeys(_VERDICTS, 0))[verdict] = _count(value)
                case "encmempool_storage_failures_total":
                    failures = _count(value)
    stages = {name: made for name in _STAGES if (made := _stage(sorted(buckets.get(name, ())), sums.get(name, 0.0)))}
    return NodeMetrics(stages=stages, shares=dict(sorted(shares.items())), storage_failures=failures)


def _count(value: float) -> int:
    if not (math.isfinite(value) and value >= 0 and value == int(value)):
        raise ValueError("no count")
    return int(value)


def _stage(buckets: Sequence[tuple[float, float]], total_s: float) -> Stage | None:
    """None before anything was counted."""
    if not buckets or not buckets[-1][1]:
        return None
    if not math.isfinite(total_s) or total_s < 0:
        raise ValueError("no sum of times")
    count = int(buckets[-1][1])

    def end(share: float) -> float | None:
        found = next(limit for limit, below in buckets if below >= share * count)
        return found if math.isfinite(found) else None

    return Stage(count=count, mean_s=total_s / count, p50_at_most_s=end(0.5), p99_at_most_s=end(0.99))
