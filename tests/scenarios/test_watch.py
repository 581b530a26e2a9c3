"""Watching histories of whole networks: their figures, an attack that is planted, and sources that lie.

The attacker is a sequencer that reads: the scheme is `clear`, or the test encrypts in the order it wants.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from encmempool import audit, genesis as development
from encmempool.audit import AuditFailed
from encmempool.errors import EnvironmentProblem
from encmempool.evidence import ConflictingReceipts, Evidence, EvidenceKind, Finding
from encmempool.execution.pools import amount_out
from encmempool.execution.router import Swap, SwapKind, encode
from encmempool.network.observation import Metrics
from encmempool.network.remote import Progress
from encmempool.network.rotation import Change, rotate
from encmempool.network.wire import EvidenceList, HeightRecord
from encmempool.risk.looks import NodeLooks, look_at_history
from encmempool.risk.sources import NodeHistory, read_metrics
from encmempool.risk.watch import NEWEST, Distribution, Watch
from encmempool.store import perform

ETHER = 10**18
TOKEN = development.DEVELOPMENT_TOKEN.address


def watch_of(**options) -> Watch:
    options = {"error": 0.001, "attacked_share": 0.01, "orders": 99, "random": Random(1)} | options
    return Watch(**options)


def look(world, **options):
    """A report on the world's exported history."""
    return look_at_history(watch_of(**options), audit.export(world.network), clock_ms=world.clock)


def reserves(world):
    return world.network.follower.ledger.pool(development.WETH, TOKEN).reserves(development.WETH)


def sale(world, person, nonce, amount):
    """Tokens for ether."""
    call = Swap(
        kind=SwapKind.EXACT_TOKENS_FOR_ETH,
        exact=amount,
        bound=1,
        path=(TOKEN, development.WETH),
        recipient=person.address,
        deadline=2**40,
    )
    return world.transfer(person, nonce, to=development.ROUTER, value=0, data=encode(call), gas_limit=168_000)


def traded_height(world, *, attack: bool, random: Random):
    """Five users buy a little, one buys much; one account's purchase and sale stand around that one, or around any."""
    attacker, users = world.people[9], world.people[:6]
    ether, tokens = reserves(world)
    amounts = [ether // random.randrange(2_000, 4_000) for _ in users]
    victim = random.randrange(6)
    amounts[victim] = ether // 50
    around = victim if attack else random.randrange(6)
    bought, before = ether // 200, sum(amounts[:around])
    held = amount_out(ether + before, tokens - amount_out(ether, tokens, before), bought) if before else None
    nonce = world.nonce(attacker)
    front = world.swap(attacker, nonce, amount=bought)
    back = sale(world, attacker, nonce + 1, held or amount_out(ether, tokens, bought))
    block = [world.swap(user, world.nonce(user), amount=each) for user, each in zip(users, amounts, strict=True)]
    return world.run_height(*block[:around], front, block[around], back, *block[around + 1 :])


class Published:
    """A node that hands out what a world made, as far as `RemoteNetwork` is used; wrong where a test makes it so."""

    def __init__(self, world) -> None:
        network = world.network
        self.url = "http://node.example"
        self.genesis = network.committee.genesis
        self.committees = network.committees
        self.metrics = b""
        self.evidence = ()
        self.asked: list[int] = []
        self.changed = {}
        self.network = network

    @property
    def progress(self) -> Progress:
        network = self.network
        return Progress(
            head=network.sequencer.height,
            executed_height=network.follower.latest.height,
            epoch=len(network.committees),
        )

    def refresh(self) -> None:
        self.committees = self.network.committees

    def call(self, name, **path):
        match name:
            case "height":
                self.asked.append(path["height"])
                record = self._record(path["height"])
                if isinstance(record, Exception):
                    raise record
                return record
            case "evidence":
                return EvidenceList(evidence=self.evidence)
            case "metrics":
                if isinstance(self.metrics, Exception):
                    raise self.metrics
                return self.metrics
        raise AssertionError(name)

    def _record(self, height):
        if height in self.changed:
            return self.changed[height]
        published = list(self.network.heights())[height - 1]
        return HeightRecord(
            proposal=published.proposal,
            votes=(),
            certificate=(published.certificate,) if published.certificate else (),
            shares=published.shares,
            reveal=(published.reveal,) if published.reveal else (),
            drop=(published.drop,) if published.drop else (),
        )


@pytest.fixture(scope="module")
def traded(new_world, tmp_path_factory):
    """Two heights with transactions, an empty one between, a dropped one, and a transaction that waits."""
    world = new_world(tmp_path_factory.mktemp("traded") / "home")
    network = world.network
    world.run_height(world.swap(world.people[0]), world.swap(world.people[1]))
    world.clock.now_ms += 5_000
    world.run_height()
    world.run_height(world.transfer(world.people[2]))
    network.submit(world.transfer(world.people[3]).encoded)
    network.commit()
    assert network.abstain(4)
    network.execute()
    network.submit(world.transfer(world.people[4]).encoded)
    return world


# --- figures ---------------------------------------------------------------------------------------------------------


def test_report_counts_heights_and_what_is_missed(traded) -> None:
    heights = look(traded)["heights"]
    assert (heights["first"], heights["last"], heights["executed"]) == (1, 4, 4)
    assert (heights["empty"], heights["transactions"]) == (1, 3)
    assert heights["dropped"] == {"count": 1, "newest": [4]}
    assert heights["interval_ms"]["count"] == 2  # a dropped height has no time of its own
    assert heights["longest_interval"]["before_height"] == 2
    assert heights["longest_interval"]["interval_ms"] >= 5_000


def test_delays_are_differences_of_what_the_sequencer_signed(traded) -> None:
    inclusion = look(traded)["inclusion"]
    proposals = [p.proposal for p in traded.network.heights() if p.drop is None]
    signed = [
        proposal.commitment.message.timestamp_ms - receipt.message.received_at_ms
        for proposal in proposals
        for receipt in proposal.receipts
    ]
    assert inclusion["delay_ms"]["count"] == len(signed) == 3
    assert inclusion["delay_ms"]["max"] == max(signed)
    assert inclusion["commitments"] == {"count": 3, "p50": 1, "p90": 1, "p99": 1, "max": 1}
    assert (inclusion["dated_back"], inclusion["late"], inclusion["forced"]) == (0, 0, 0)
    assert inclusion["missing_receipts"] == 0


def test_members_are_counted_by_certificates_and_shares(traded) -> None:
    members = look(traded)["members"]
    assert [member["member"] for member in members] == [1, 2, 3, 4]
    assert {member["certified_heights"] for member in members} == {3}
    assert {member["opened_heights"] for member in members} == {2}
    assert sum(member["in_certificate"] for member in members) >= 3 * 3
    assert sum(member["shares"] for member in members) >= 2 * 3
    assert {member["wrong_shares"] for member in members} == {0}


def test_history_says_what_it_cannot_tell_wch_11(traded) -> None:
    """WCH-11"""
    report = look(traded)
    assert (report["metrics"], report["evidence"]) == (None, None)
    assert set(report["unknown"]) == {name for name, value in report.items() if value is None and name != "url"}
    assert all(report["unknown"].values())
    assert report["pending"] == 2  # one of them fell with its height


def test_node_and_its_exported_history_give_the_same_figures(traded) -> None:
    watch = watch_of()
    seen = NodeLooks(Published(traded), watch, clock_ms=traded.clock).look()
    exported = look(traded)
    same = ("heights", "inclusion", "members", "ordering", "sandwiches", "alarm", "facts", "network_root", "head")
    assert {name: seen[name] for name in same} == {name: exported[name] for name in same}
    assert not watch.alarmed


def test_heights_below_the_first_that_counts_are_verified_and_not_counted(traded) -> None:
    report = look(traded, start=3)
    assert (report["heights"]["first"], report["heights"]["executed"]) == (3, 2)
    assert report["verified_height"] == 4
    none = look(traded, start=99)
    assert (none["heights"]["first"], none["heights"]["executed"], none["inclusion"]["delay_ms"]) == (None, 0, None)


def test_history_without_a_height_has_a_report(world) -> None:
    report = look(world)
    assert (report["heights"]["executed"], report["ordering"]["policy"]) == (0, None)
    assert report["alarm"]["e_value"] == 1


# --- the order -------------------------------------------------------------------------------------------------------


def test_planted_sandwiches_raise_the_alarm_and_are_listed(clear_world) -> None:
    random = Random(43)
    for _ in range(8):
        traded_height(clear_world, attack=True, random=random)
    watch = watch_of(error=0.01)
    report = look_at_history(watch, audit.export(clear_world.network), clock_ms=clear_world.clock)
    assert watch.alarmed
    assert report["alarm"]["raised"]["statistic"] == "frequent_sandwiches"
    assert report["alarm"]["raised"]["height"] <= 7
    assert report["alarm"]["e_value"] >= report["alarm"]["limit"] == 100
    found = report["sandwiches"]["found"]
    assert found["count"] == 8
    first = [transaction for p in clear_world.network.heights() for transaction in p.proposal.transactions][:8]
    front = next(at for at, each in enumerate(first) if each.header.sender == clear_world.people[9].address)
    assert found["newest"][0] == {
        "height": 1,
        "front": f"0x{first[front].tx_id.hex()}",
        "victims": [f"0x{first[front + 1].tx_id.hex()}"],
        "back": f"0x{first[front + 2].tx_id.hex()}",
        "one_sender": True,
    }
    assert report["ordering"]["blocks"] == 8
    calibration = report["sandwiches"]["calibration"]
    assert 8 / 6 * 0.6 < calibration["expected"] < 8 / 6 * 1.4
    assert calibration["excess"]["mean"] == pytest.approx(8 - calibration["expected"])
    assert calibration["excess"]["low"] > 0


def test_same_trades_in_random_places_raise_none(clear_world) -> None:
    random = Random(47)
    for _ in range(8):
        traded_height(clear_world, attack=False, random=random)
    watch = watch_of(error=0.01)
    report = look_at_history(watch, audit.export(clear_world.network), clock_ms=clear_world.clock)
    assert not watch.alarmed
    assert report["ordering"]["blocks"] == report["sandwiches"]["blocks"] == 8
    assert report["alarm"]["raised"] is None


@pytest.mark.parametrize(
    ("policy", "words"), [("shuffle", "exact"), ("arrival", "comes when"), ("priority_fee", "tips")]
)
def test_report_says_what_its_error_rests_on(make_world, policy, words) -> None:
    world = make_world("tdh2", policy)
    world.run_height(world.transfer(world.people[0]))
    ordering = look(world)["ordering"]
    assert ordering["policy"] == policy
    assert words in ordering["rests_on"]


def test_shuffled_block_is_compared_in_the_order_in_which_it_ran(make_world) -> None:
    world = make_world("tdh2", "shuffle")
    executed = traded_height(world, attack=True, random=Random(3))
    assert sorted(executed.order) == list(range(8))
    assert executed.order != tuple(range(8))
    own = [entry.nonce for entry in executed.entries if entry.sender == world.people[9].address]
    assert own == [0, 1]
    assert look(world)["ordering"]["blocks"] == 1


@pytest.mark.parametrize(("policy", "blocks"), [("shuffle", 1), ("arrival", 0)])
def test_drawn_order_is_compared_with_any_other_with_exchanges_alone_wch_2(make_world, policy, blocks) -> None:
    """WCH-2: one user between the legs of another can stand elsewhere only if the order is drawn."""
    world = make_world("clear" if policy == "arrival" else "tdh2", policy)
    attacker, user = world.people[:2]
    back = sale(world, attacker, 1, 1_000 * ETHER)
    world.run_height(world.swap(attacker, 0, amount=ETHER), world.swap(user, amount=50 * ETHER), back)
    assert look(world)["ordering"]["blocks"] == blocks


# --- a node that is followed -----------------------------------------------------------------------------------------


def test_each_look_asks_for_new_heights_alone(world) -> None:
    node, watch = Published(world), watch_of()
    looks = NodeLooks(node, watch, clock_ms=world.clock)
    for number in range(3):
        world.run_height(world.transfer(world.people[number]))
        report = looks.look()
        assert (report["look"], report["verified_height"]) == (number + 1, number + 1)
    assert looks.look()["heights"]["executed"] == 3
    assert node.asked == [1, 2, 3]


def test_look_goes_on_where_the_node_broke_off(traded) -> None:
    node, watch = Published(traded), watch_of()
    looks = NodeLooks(node, watch, clock_ms=traded.clock)
    node.changed = {3: EnvironmentProblem("the node is away")}
    with pytest.raises(EnvironmentProblem, match="away"):
        looks.look()
    node.changed = {}
    report = looks.look()
    assert report["heights"]["executed"] == 4
    assert node.asked == [1, 2, 3, 3, 4]


def test_committee_that_hands_over_is_followed_and_members_keep_their_counts(world) -> None:
    node, watch = Published(world), watch_of()
    looks = NodeLooks(node, watch, clock_ms=world.clock)
    world.run_height(world.transfer(world.people[0]))
    looks.look()
    before = world.committee.key_set.members
    rotate(world.network, Change(remove=frozenset({2}), add=1), random=world.random)
    world.restart()
    node.network = world.network
    world.run_height(world.transfer(world.people[1]))
    report = looks.look()
    after = world.committee.key_set.members
    assert report["heights"]["executed"] == 2
    opened = {bytes.fromhex(member["address"][2:]): member["opened_heights"] for member in report["members"]}
    assert opened == dict.fromkeys({*before, *after}, 1) | dict.fromkeys(set(before) & set(after), 2)


def test_height_that_breaks_a_rule_names_it_and_its_place_wch_1(traded) -> None:
    """WCH-1"""
    node = Published(traded)
    record = node._record(3)
    wrong = {
        "reveal": replace(record, reveal=()),
        "certificate": replace(record, certificate=()),
        "height": node._record(2),
        "share": replace(record, shares=(replace(record.shares[0], signature=bytes(65)), *record.shares[1:])),
    }
    for name, changed in wrong.items():
        node.changed = {3: changed}
        watch = watch_of()
        with pytest.raises(AuditFailed) as caught:
            NodeLooks(node, watch, clock_ms=traded.clock).look()
        assert caught.value.height == 3
        assert name != "height" or "another height" in str(caught.value)
        assert watch.document()["heights"]["executed"] == 2


def test_history_that_does_not_verify_has_no_figures_wch_1(traded) -> None:
    """WCH-1"""
    data = bytearray(audit.export(traded.network))
    data[len(data) // 2] ^= 1
    watch = watch_of()
    with pytest.raises(AuditFailed):
        look_at_history(watch, bytes(data), clock_ms=traded.clock)
    assert watch.document()["heights"]["executed"] == 0


def test_memory_does_not_grow_with_the_history(clear_world) -> None:
    """Of what a watcher holds, beside the state: histograms, the newest of each list, and the newest heights."""
    node, watch = Published(clear_world), watch_of(orders=19)
    history = NodeHistory(node)
    random = Random(53)
    for _ in range(NEWEST + 1):
        traded_height(clear_world, attack=True, random=random)
    for _ in range(23):
        clear_world.run_height()
    for seen in history.advance(node.progress):
        watch.add(seen)
    assert len(history._follower.executed) <= 32
    assert history._follower.chain.base >= 8
    assert (watch.found.count, len(watch.found.items)) == (NEWEST + 1, NEWEST)


# --- facts -----------------------------------------------------------------------------------------------------------


def test_wrong_share_convicts_its_member_wch_13(world) -> None:
    """WCH-13, from a history and from a node alike."""
    world.run_height_with_a_wrong_share()
    watch = watch_of()
    report = look_at_history(watch, audit.export(world.network), clock_ms=world.clock)
    address = f"0x{world.committee.key_set.members[1].hex()}"
    fact = {"kind": "wrong_share", "rule": "REV-2", "role": "member", "offender": address, "member": 2, "height": 1}
    assert report["facts"] == {"count": 1, "newest": [fact]}
    assert [member["wrong_shares"] for member in report["members"]] == [0, 1, 0, 0]
    assert watch.alarmed
    assert report["alarm"]["raised"] is None
    assert NodeLooks(Published(world), watch_of(), clock_ms=world.clock).look()["facts"] == report["facts"]
    assert look(world, start=2)["facts"]["count"] == 0


def test_share_beside_an_abstention_convicts_its_member_wch_13(world) -> None:
    """WCH-13"""
    network = world.network
    network.submit(world.transfer(world.people[0]).encoded)
    certificate = network.vote(network.commit())
    seat = network.seats[3]
    release = seat.member._new_release(seat.follower.chain.at(1), certificate)
    perform(seat.member.abstain(1), seat.store)
    perform(network.follower.receive(release), network._archive)
    network.release(certificate, members=[1, 2, 3])
    network.execute()
    (fact,) = look(world)["facts"]["newest"]
    assert (fact["kind"], fact["rule"], fact["member"], fact["height"]) == ("share_and_abstention", "SHR-2", 4, 1)


def two_receipts(world) -> Evidence:
    made = [world.receipt(world.transfer(person), 5) for person in world.people[:2]]
    return Evidence.of(ConflictingReceipts(first=made[0], second=made[1]))


def test_evidence_of_a_node_is_judged_before_it_counts_wch_13(world) -> None:
    """WCH-13"""
    node, watch = Published(world), watch_of()
    piece = two_receipts(world)
    stranger = [world.receipt(world.transfer(person), 6, world.stranger) for person in world.people[:2]]
    made_up = Evidence.of(ConflictingReceipts(first=stranger[0], second=stranger[1]))
    node.evidence = (made_up, replace(piece, kind=99))
    looks = NodeLooks(node, watch, clock_ms=world.clock)
    assert (looks.look()["evidence"], watch.alarmed) == (0, False)
    node.evidence = (made_up, piece)
    for _ in range(2):
        report = looks.look()
        assert (report["evidence"], report["facts"]["count"]) == (1, 1)
    (fact,) = report["facts"]["newest"]
    assert (fact["kind"], fact["role"], fact["member"]) == (EvidenceKind.CONFLICTING_RECEIPTS.text, "sequencer", None)
    assert watch.alarmed


def test_evidence_from_below_the_first_height_does_not_count_but_for_receipts() -> None:
    """A sequence is no height."""
    watch = watch_of(start=5)
    finding = Finding(
        kind=EvidenceKind.CONFLICTING_VOTES, rule="VOT-10", role="member", offender=bytes(20), member=1, height=4
    )
    watch.add_finding(finding)
    assert not watch.alarmed
    watch.add_finding(replace(finding, height=5))
    watch.add_finding(replace(finding, height=6))
    assert watch.facts.count == 1
    watch.add_finding(replace(finding, kind=EvidenceKind.CONFLICTING_RECEIPTS, rule="SEQ-2", height=1))
    assert watch.facts.count == 2


# --- a node's word ---------------------------------------------------------------------------------------------------

METRICS = """\
# TYPE encmempool_stage_seconds histogram
encmempool_stage_seconds_bucket{le="0.1",stage="commitment_to_executed"} 3.0
encmempool_stage_seconds_bucket{le="0.25",stage="commitment_to_executed"} 9.0
encmempool_stage_seconds_bucket{le="+Inf",stage="commitment_to_executed"} 10.0
encmempool_stage_seconds_count{stage="commitment_to_executed"} 10.0
encmempool_stage_seconds_sum{stage="commitment_to_executed"} 4.5
# TYPE encmempool_shares_total counter
encmempool_shares_total{member="2",verdict="late"} 4.0
encmempool_shares_total{member="1",verdict="on_time"} 7.0
# TYPE encmempool_storage_failures_total counter
encmempool_storage_failures_total 1.0
"""


def test_metrics_are_read_as_nodes_write_them(world) -> None:
    node = Published(world)
    node.metrics = METRICS.encode()
    report = NodeLooks(node, watch_of(), clock_ms=world.clock).look()
    assert report["metrics"] == {
        "stages": {
            "commitment_to_executed": {"count": 10, "mean_s": 0.45, "p50_at_most_s": 0.25, "p99_at_most_s": None}
        },
        "shares": [
            {"member": 1, "on_time": 7, "late": 0, "wrong": 0},
            {"member": 2, "on_time": 0, "late": 4, "wrong": 0},
        ],
        "storage_failures": 1,
    }


def test_metrics_of_a_fresh_node_are_read() -> None:
    metrics = Metrics()
    assert read_metrics(metrics.text().decode()).stages == {}
    metrics.shares.labels("3", "wrong").inc()
    metrics.stages.labels("commitment_to_certified").observe(0.02)
    read = read_metrics(metrics.text().decode())
    assert read.shares == {3: {"on_time": 0, "late": 0, "wrong": 1}}
    assert read.stages["commitment_to_certified"].p50_at_most_s == 0.025


@pytest.mark.parametrize(
    "metrics",
    [
        b"\xff",
        METRICS.replace('member="2"', 'member="many"').encode(),
        METRICS.replace('member="2"', 'member="0"').encode(),
        METRICS.replace("4.0", "-4.0").encode(),
        METRICS.replace("4.0", "NaN").encode(),
        METRICS.replace('verdict="late"', 'verdict="odd"').encode(),
        METRICS.replace("} 4.5", "} Inf").encode(),
        b"encmempool_shares_total{",
        EnvironmentProblem("no metrics here"),
    ],
)
def test_metrics_that_make_no_sense_are_unknown_wch_11(world, metrics) -> None:
    """WCH-11: the rest of the report stands."""
    node = Published(world)
    node.metrics = metrics
    report = NodeLooks(node, watch_of(), clock_ms=world.clock).look()
    assert report["metrics"] is None
    assert "metrics" in report["unknown"]["metrics"]


# --- parts -----------------------------------------------------------------------------------------------------------


def test_distribution_is_exact_for_small_numbers_and_close_for_large_ones() -> None:
    exact, close, random = Distribution(), Distribution(), Random(59)
    small = sorted(random.randrange(256) for _ in range(999))
    large = sorted(random.randrange(10**9) for _ in range(999))
    for value in small:
        exact.add(value)
    for value in large:
        close.add(value)
    for share in (0.01, 0.5, 0.9, 0.99):
        rank = max(int(share * 999), 1) - 1
        assert exact.quantile(share) == small[rank]
        assert large[rank] * (1 - 1 / 128) < close.quantile(share) <= large[rank]
    assert close.greatest == large[-1]
    assert len(close._buckets) < 500
    assert Distribution().document() is None


@pytest.mark.parametrize("wrong", [{"error": 0}, {"error": 1}, {"attacked_share": 0}, {"orders": 18}])
def test_watch_refuses_what_makes_no_sense(wrong) -> None:
    with pytest.raises(ValueError, match="at least 19"):
        watch_of(**wrong)
