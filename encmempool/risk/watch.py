"""Running figures of a real network, of what an honest observer can know, and an alarm of a stated error.

Delays are differences of what the sequencer signed: the time in a receipt, the time in a commitment. Both are its own
clock's, and nothing shows when a transaction really came. Heights, votes, shares and orders are recomputed. A figure
that a source cannot tell is None, and `unknown` says why (WCH-11).

Memory does not grow with the history: distributions are histograms, lists hold the newest.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log
from random import Random
from typing import Any, TypeAlias

from encmempool.evidence import EvidenceKind, Finding
from encmempool.intervals import IntervalSet
from encmempool.measure.reorderings import Rank
from encmempool.mempool import MAX_UNEXECUTED
from encmempool.ordering import Policy
from encmempool.risk.blocks import Block, Found, Placed
from encmempool.risk.sequential import Alarm, Calibration, Martingale, count_evidence, poisson_interval, rank_evidence
from encmempool.risk.sources import Seen
from encmempool.types import OrderCommitment, SignedReceipt

Json: TypeAlias = dict[str, Any]

RARE, FREQUENT, ORDERING = "rare_sandwiches", "frequent_sandwiches", "ordering"
"""What evidence is taken from: sandwiches of an attack on a share of blocks, of one on every block, traders' gains."""
NEWEST = 16
"""How many of the newest of a kind are listed."""
_REMEMBERED = 1 << 12
"""Commitments whose times are kept, to count those that a transaction waited for."""
_SMALL_P = 0.05
_EXACT_BITS = 8
_RESTS_ON = {
    Policy.SHUFFLE: "exact: the order is drawn after the commitment",
    Policy.ARRIVAL: "holds if it says nothing of contents who of those that send equally often comes when",
    Policy.PRIORITY_FEE: "holds if it says nothing of contents who of those that send equally often tips how much",
}


class Distribution:
    """Of whole numbers from 0 on, in bounded memory: exact below 256, above rounded down by less than 1 in 128."""

    def __init__(self) -> None:
        self.count = 0
        self.greatest = 0
        self._buckets: dict[int, int] = {}

    def add(self, value: int) -> None:
        shift = max(value.bit_length() - _EXACT_BITS, 0)
        bucket = value >> shift << shift
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.greatest = max(self.greatest, value)

    def quantile(self, share: float) -> int:
        """By nearest rank. ValueError of nothing."""
        rank = max(int(share * self.count), 1) if share < 1 else self.count
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return bucket
        raise ValueError("there is no quantile of nothing")

    def document(self) -> Json | None:
        if not self.count:
            return None
        quantiles = {name: self.quantile(share) for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}
        return {"count": self.count, **quantiles, "max": self.greatest}


class Newest:
    """How many there were, and the newest of them."""

    def __init__(self) -> None:
        self.count = 0
        self.items: deque[Any] = deque(maxlen=NEWEST)

    def add(self, item: Any) -> None:
        self.count += 1
        self.items.append(item)

    def document(self) -> Json:
        return {"count": self.count, "newest": list(self.items)}


@dataclass(slots=True)
class _Member:
    """index in the newest committee that it was seen in; counts of heights."""

    index: int
    certified: int = 0
    in_certificate: int = 0
    opened: int = 0
    shares: int = 0
    wrong: int = 0


@dataclass(slots=True)
class Times:
    """What the sequencer's signed times say. Milliseconds of its clock, and commitments."""

    inclusion_ms: Distribution = field(default_factory=Distribution)
    inclusion_commitments: Distribution = field(default_factory=Distribution)
    opening_ms: Distribution = field(default_factory=Distribution)
    interval_ms: Distribution = field(default_factory=Distribution)
    longest_ms: int = 0
    longest_before: int | None = None
    dated_back: int = 0
    late: int = 0
    forced: int = 0
    _committed_ms: deque[int] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _unnamed: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=2 * MAX_UNEXECUTED))
    _sequences: dict[bytes, IntervalSet] = field(default_factory=dict)

    def add(self, commitment: OrderCommitment, receipts: Sequence[SignedReceipt], *, forced: int, by: bytes) -> None:
        """One that was not dropped; `by` is the sequencer."""
        now = commitment.timestamp_ms
        if self._committed_ms:
            interval = now - self._committed_ms[-1]
            self.interval_ms.add(interval)
            if interval > self.longest_ms:
                self.longest_ms, self.longest_before = interval, commitment.height
        self._committed_ms.append(now)
        while self._unnamed and self._unnamed[0][0] <= commitment.executed_height:
            self.opening_ms.add(now - self._unnamed.popleft()[1])
        if commitment.count:
            self._unnamed.append((commitment.height, now))
        self.forced += forced
        sequences = self._sequences.setdefault(by, IntervalSet())
        for receipt in (signed.message for signed in receipts):
            sequences.add(receipt.sequence)
            self.late += commitment.height > receipt.include_by_height
            self.dated_back += receipt.received_at_ms > now
            self.inclusion_ms.add(max(now - receipt.received_at_ms, 0))
            waited = len(self._committed_ms) - bisect_right(self._committed_ms, receipt.received_at_ms)
            self.inclusion_commitments.add(max(waited, 1))

    @property
    def missing_receipts(self) -> int:
        """Sequences below a sequencer's highest that no commitment showed."""
        return sum(sequences.missing for sequences in self._sequences.values())


class Watch:
    """All figures of one network. Heights come in their order; those below `start` count for nothing."""

    def __init__(self, *, error: float, attacked_share: float, orders: int, random: Random, start: int = 0) -> None:
        """
        error             chance of an alarm at any time while orders are blind
        attacked_share    of compared blocks: the attack that the sandwich statistic is tuned to, not the least it finds
        orders            reorderings of each block
        random            draws them; whoever orders must not be able to foresee it
        start             the first height that counts

        ValueError for values out of range.
        """
        if not 0 < error < 1 or not 0 < attacked_share <= 1 or orders < 19:
            raise ValueError("error and share lie between 0 and 1, and there are at least 19 reorderings")
        self._share, self._orders, self._random, self._start = attacked_share, orders, random, start
        self.alarm = Alarm(error=error, statistics={name: Martingale() for name in (RARE, FREQUENT, ORDERING)})
        self.calibration = Calibration()
        self.times = Times()
        self.heights = self.empty = self.transactions = 0
        self.dropped = Newest()
        self.found = Newest()
        self.facts = Newest()
        self._convicted: set[tuple[EvidenceKind, bytes]] = set()
        self._first: int | None = None
        self._last: int | None = None
        self._policy: Policy | None = None
        self._members: dict[bytes, _Member] = {}
        self._compared = self._small = 0

    @property
    def alarmed(self) -> bool:
        return self.alarm.raised is not None or self.facts.count > 0

    # --- what is counted

    def add(self, seen: Seen) -> None:
        """The next executed height. Cost: its reorderings, 50 µs for each transaction in each."""
        if seen.height < self._start:
            return
        commitment = seen.executed.ready.commitment
        self._first = seen.height if self._first is None else self._first
        self._last = seen.height
        self.heights += 1
        self.transactions += commitment.count
        if seen.executed.drop is not None:
            self.dropped.add(seen.height)
            return
        self._policy = Policy(commitment.policy_id)
        self.empty += not commitment.count
        proposal = seen.executed.ready.proposal
        self.times.add(commitment, proposal.receipts, forced=len(proposal.forced), by=seen.committee.key_set.sequencer)
        self._count_members(seen)
        if commitment.count:
            self._compare(_block(seen))

    def add_finding(self, finding: Finding) -> None:
        """What evidence shows, from the first height that counts on; receipts have sequences, and always count."""
        if finding.height >= self._start or finding.kind is EvidenceKind.CONFLICTING_RECEIPTS:
            self._convict(finding)

    def _convict(self, finding: Finding) -> None:
        """Once for each party and kind: the first."""
        named = finding.kind, finding.offender
        if named not in self._convicted:
            self._convicted.add(named)
            self.facts.add(
                {
                    "kind": finding.kind.text,
                    "rule": finding.rule,
                    "role": finding.role,
                    "offender": f"0x{finding.offender.hex()}",
                    "member": finding.member,
                    "height": finding.height,
                }
            )

    def _count_members(self, seen: Seen) -> None:
        certificate, key_set = seen.executed.certificate, seen.committee.key_set
        voters = (
            {seen.committee.signing_member(certificate.vote, each, rule="CRT-1") for each in certificate.signatures}
            if certificate
            else set()
        )
        opened = seen.executed.reveal is not None
        for index, address in enumerate(key_set.members, 1):
            member = self._members.setdefault(address, _Member(index))
            member.index = index
            member.certified += certificate is not None
            member.in_certificate += index in voters
            member.opened += opened
            member.shares += opened and index in seen.shares
            member.wrong += index in seen.wrong
            if index in seen.wrong:
                self._convict(_of_member(EvidenceKind.WRONG_SHARE, "REV-2", address, index, seen.height))
            if index in seen.conflicts:
                self._convict(_of_member(EvidenceKind.SHARE_AND_ABSTENTION, "SHR-2", address, index, seen.height))

    def _compare(self, block: Block) -> None:
        """With its own reorderings, where they can differ in what is looked at (WCH-12)."""
        if not (block.may_hold_sandwich or block.has_traders):
            return
        real = block.run(block.placed)
        others = [block.run(order) for order in block.reordered(random=self._random, count=self._orders)]
        evidence = {}
        if block.may_hold_sandwich:
            counts = [len(other.sandwiches) for other in others]
            self.calibration.add(len(real.sandwiches), counts)
            for name, share in ((RARE, self._share), (FREQUENT, 1.0)):
                evidence[name] = count_evidence(len(real.sandwiches), counts, self.calibration.tilt(share))
        if block.has_traders:
            rank = Rank.among(real.profit, [other.profit for other in others])
            evidence[ORDERING] = rank_evidence(rank)
            self._compared += 1
            self._small += rank.p_value(self._random) <= _SMALL_P
        for sandwich in real.sandwiches:
            self.found.add(_sandwich(block.height, sandwich))
        self.alarm.add(block.height, evidence)

    # --- what is told

    def document(self) -> Json:
        """The figures that come from heights."""
        times = self.times
        return {
            "heights": {
                "first": self._first,
                "last": self._last,
                "executed": self.heights,
                "empty": self.empty,
                "dropped": self.dropped.document(),
                "transactions": self.transactions,
                "interval_ms": times.interval_ms.document(),
                "longest_interval": None
                if times.longest_before is None
                else {"interval_ms": times.longest_ms, "before_height": times.longest_before},
            },
            "inclusion": {
                "delay_ms": times.inclusion_ms.document(),
                "commitments": times.inclusion_commitments.document(),
                "opening_ms": times.opening_ms.document(),
                "dated_back": times.dated_back,
                "late": times.late,
                "forced": times.forced,
                "missing_receipts": times.missing_receipts,
            },
            "members": [
                {
                    "member": member.index,
                    "address": f"0x{address.hex()}",
                    "certified_heights": member.certified,
                    "in_certificate": member.in_certificate,
                    "opened_heights": member.opened,
                    "shares": member.shares,
                    "wrong_shares": member.wrong,
                }
                for address, member in sorted(self._members.items(), key=lambda each: each[1].index)
            ],
            "ordering": {
                "policy": None if self._policy is None else self._policy.name.lower(),
                "rests_on": None if self._policy is None else _RESTS_ON[self._policy],
                "reorderings": self._orders,
                "blocks": self._compared,
                "p_below_5": self._small,
            },
            "sandwiches": self._sandwiches(),
            "alarm": self._alarm(),
            "facts": self.facts.document(),
        }

    def _sandwiches(self) -> Json:
        calibration, figures = self.calibration, None
        if (rate := calibration.rate) is not None:
            low, high = calibration.interval()
            least, most = poisson_interval(calibration.found)
            figures = {
                "false_positives_per_1000_blocks": _interval(1000 * rate, 1000 * low, 1000 * high),
                "expected": round(calibration.expected, 6),
                "excess": _interval(
                    calibration.found - calibration.expected,
                    least - calibration.expected,
                    most - calibration.expected,
                ),
            }
        return {
            "blocks": calibration.blocks,
            "found": self.found.document(),
            "calibration": figures,
        }

    def _alarm(self) -> Json:
        rate, raised = self.calibration.rate, self.alarm.raised
        return {
            "error": self.alarm.error,
            "e_value": _exp(self.alarm.value),
            "statistics": {name: _exp(each.value) for name, each in self.alarm.statistics.items()},
            "limit": 1 / self.alarm.error,
            "raised": None if raised is None else {"height": raised.height, "statistic": raised.statistic},
            "attacked_share": self._share,
            "expected_blocks": round(self.alarm.expected_blocks(RARE, rate, rate + self._share), 1) if rate else None,
        }


def _of_member(kind: EvidenceKind, rule: str, address: bytes, index: int, height: int) -> Finding:
    return Finding(kind=kind, rule=rule, role="member", offender=address, member=index, height=height)


def _block(seen: Seen) -> Block:
    executed = seen.executed
    commitment, transactions = executed.ready.commitment, executed.ready.proposal.transactions
    router, drawn = seen.committee.genesis.router, Policy(commitment.policy_id) is Policy.SHUFFLE
    ids = [transactions[at].tx_id for at in executed.order]
    return Block(
        height=commitment.height,
        timestamp_ms=commitment.timestamp_ms,
        before=seen.before,
        placed=tuple(Placed.of(tx_id, entry, router) for tx_id, entry in zip(ids, executed.entries, strict=True)),
        drawn=drawn,
        fixed=0 if drawn else len(executed.ready.proposal.forced),
    )


def _sandwich(height: int, found: Found) -> Json:
    return {
        "height": height,
        "front": f"0x{found.front.tx_id.hex()}",
        "victims": [f"0x{victim.tx_id.hex()}" for victim in found.victims],
        "back": f"0x{found.back.tx_id.hex()}",
        "one_sender": found.front.sender == found.back.sender,
    }


def _interval(mean: float, low: float, high: float) -> Json:
    return {"mean": round(mean, 6), "low": round(low, 6), "high": round(high, 6)}


def _exp(value: float) -> float:
    """Six digits, and never more than a number holds."""
    return float(f"{exp(min(value, _GREATEST)):.6g}")


_GREATEST = log(1e300)
