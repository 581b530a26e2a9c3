"""The nodes' logic without sockets: every core in a home and database of its own, connected by a post office of bytes.

Letters are lost, doubled and reordered, disks fail, processes end, parties lie. What the honest execute stays the same.

Holds NET-1 to NET-6 of specs/nodes.md.
"""

from __future__ import annotations

import asyncio
import random as seeded
import shutil
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import StringIO
from types import SimpleNamespace

import pytest

from encmempool import audit
from encmempool.committee import SHARE, VOTE, vote_for
from encmempool.errors import EnvironmentProblem, Malformed, Rejected, StorageError
from encmempool.evidence import ConflictingVotes, Evidence, WrongShare, examine
from encmempool.home import Home
from encmempool.identity import Identity
from encmempool.keysets import public_material, successor_key_set
from encmempool.mempool import MAX_UNEXECUTED
from encmempool.network.config import NodeConfig, Pace
from encmempool.network.local import load_committees
from encmempool.network.nodes import core as core_module, member as member_module, member_service
from encmempool.network.nodes.auditor import AuditorCore
from encmempool.network.nodes.core import KEPT_HEIGHTS, REACH, Core
from encmempool.network.nodes.launch import mark_restored, opened
from encmempool.network.nodes.member import MemberCore
from encmempool.network.nodes.sequencer import SequencerCore
from encmempool.network.observation import Log
from encmempool.network.peer import PeerProblem
from encmempool.network.wire import Gossip, HeightRecord, SignedOrder, SuccessorOrder
from encmempool.reveal import SHARE as SHARES
from encmempool.types import (
    Abstain,
    BatchList,
    DecryptionShare,
    DropCertificate,
    Erasure,
    OrderCertificate,
    Proposal,
    Reveal,
    ShareRelease,
    SignedAbstain,
    SignedCommitment,
    SignedErasure,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
)
from threshold.curve import DEFAULT_BACKEND
from threshold.encoding import u16, u64
from threshold.keys import KeyShare, parameter_digest
from threshold.sansio import Persist
from threshold.schemes.base import Batch

MEMBERS = (1, 2, 3, 4)
NAMES = ("sequencer", *(f"member-{index}" for index in MEMBERS), "auditor")
ENTRANCES = {
    "propose": "take_proposal",
    "submit_vote": "take_vote",
    "submit_share": "take_share",
    "submit_evidence": "take_evidence",
    "submit_erasure": "take_erasure",
    "submit_abstention": "take_abstention",
    "gossip": "take_gossip",
}
"""What a node does with a message, by the endpoint that takes it."""


class FailingStore:
    """A real store, one of whose writes fails: before anything is written, or after all of it is."""

    def __init__(self, store):
        self._store = store
        self.writes = 0
        self.fail_at = None
        self.written = False

    def put(self, records):
        self.writes += bool(records)
        if records and self.writes == self.fail_at:
            if self.written:
                self._store.put(records)
            raise StorageError("the disk is full")
        self._store.put(records)

    def __getattr__(self, name):
        return getattr(self._store, name)


@dataclass(frozen=True)
class Letter:
    recipient: str
    endpoint: str
    kind: type
    data: bytes


class Node:
    """What a node's process does on its core's thread."""

    def __init__(self, net, name):
        self.net, self.name = net, name
        self.role = name.partition("-")[0]
        self.home = Home(net.folder / name)
        self.password = self.home.generated_password()
        self.up = True
        self.received = 0
        self.restart_after = None
        self.refused = []
        self.happened = []
        self.open()

    def open(self):
        identity = self.home.identity(self.role, self.password)
        self.store = FailingStore(self.home.store(self.role))
        common = {"backend": DEFAULT_BACKEND, "clock_ms": self.net.clock}
        self.order = None
        match self.role:
            case "member":
                self.core = MemberCore(
                    self.home, self.store, identity, self.password, random=self.net.world.random, **common
                )
            case "auditor":
                self.core = AuditorCore(self.home, self.store, role="auditor", **common)
            case _:
                self.core = Core(self.home, self.store, role="sequencer", **common)
                self.order = SequencerCore(
                    self.store,
                    identity,
                    committees=lambda: self.core.committees,
                    state=self.core.state,
                    inbox=self.core.inbox,
                    clock_ms=self.net.clock,
                )

    def close(self):
        self.store.close()

    def restart(self):
        """Nothing stays but the home."""
        self.close()
        self.open()
        self.resend()

    def resend(self):
        """A sequencer hands out what is not executed, after a restart or a write that failed. Whether there is any."""
        proposals = self.order.unexecuted() if self.order else []
        for proposal in proposals:
            self.net.propose(proposal)
        return bool(proposals)

    def act(self, call, *arguments):
        """Do something and tell what comes out of it. StorageError as it comes."""
        try:
            out = call(*arguments)
        except (Malformed, Rejected) as error:
            self.refused.append(getattr(error, "rule", "malformed"))
            return
        if self.received == self.restart_after:
            self.restart_after = None
            self.restart()  # before it told anybody
            return
        self.publish(out)

    def publish(self, out):
        self.happened += out.happenings
        for happening in out.happenings:
            if happening.name == "dropped" and self.order is not None:
                self.order.drop(happening.fields["height"])
        for endpoint, message in out.messages:
            self.net.post(self.name, endpoint, message)

    def take(self, endpoint, message):
        if hasattr(self.core, ENTRANCES[endpoint]):
            self.received += 1
            self.act(getattr(self.core, ENTRANCES[endpoint]), message)

    def look_around(self):
        """Say again what may have been missed, and take from the others what this node lacks."""
        with suppress(StorageError):
            self.act(self.core.nudge)
            self.fetch()

    def fetch(self):
        for other in self.net.up():
            while other is not self:
                before = self.core.executed_height
                record = other.record(before + 1)
                if record is None:
                    break
                self.act(self.core.take_height, record)
                if self.core.executed_height == before:
                    break

    def record(self, height):
        votes = self.core.votes(height) if height > self.core.executed_height else ()
        record = self.core.history.record(height, votes)
        return None if record is None else HeightRecord.decode(record.encoded)

    def told(self, name):
        return [happening.fields for happening in self.happened if happening.name == name]

    @property
    def height(self):
        return self.core.executed_height

    @property
    def evidence(self):
        return {(finding.kind.text, finding.offender, finding.height) for finding in self.core.findings}


class Net:
    """A sequencer, four members and an auditor. `signed` has all bytes that each said of a kind for a height."""

    def __init__(self, world, folder):
        self.world, self.folder, self.clock = world, folder, world.clock
        self.letters = deque()
        self.signed = {}
        for name in NAMES:
            role = name.partition("-")[0]
            (folder / name).mkdir(parents=True)
            for file in ("genesis.json", "key-set.ssz", "password"):
                shutil.copy(world.home.path / file, folder / name)
            source = {"sequencer": "sequencer", "auditor": "archive"}.get(role, name.replace("member-", "members/"))
            shutil.copytree(world.home.path / source, folder / name / role)
            if role == "auditor":
                home = Home(folder / name)
                home.write_identity(role, Identity(b"\x0a" * 32), home.generated_password())
        self.nodes = {name: Node(self, name) for name in NAMES}

    def __getitem__(self, name):
        return self.nodes[name]

    @property
    def sequencer(self):
        return self.nodes["sequencer"]

    @property
    def members(self):
        return [self.nodes[f"member-{index}"] for index in MEMBERS]

    def up(self):
        return [node for node in self.nodes.values() if node.up]

    def post(self, sender, endpoint, message):
        signed = {"submit_vote": lambda m: m.message, "submit_share": lambda m: m.share.message}.get(endpoint)
        if signed is not None:
            self.signed.setdefault((sender, endpoint, signed(message).height), set()).add(message.encoded)
        for name in self.nodes:
            if name != sender:
                self.letters.append(Letter(name, endpoint, type(message), message.encoded))

    def deliver(self, letter):
        """Once more if the node could not store it: links do so."""
        node = self.nodes[letter.recipient]
        for _ in range(2 * node.up):
            with suppress(StorageError):
                node.take(letter.endpoint, letter.kind.decode(letter.data))
                break

    def deliver_all(self, *, chance=None, loss=0.0, doubled=0.0):
        """In their order; or, with a `chance`, in any, some not at all and some twice."""
        while self.letters:
            if chance is not None:
                self.letters.rotate(-chance.randrange(len(self.letters)))
            letter = self.letters.popleft()
            if chance is not None and chance.random() < loss:
                continue
            if chance is not None and chance.random() < doubled:
                self.letters.append(letter)
            self.deliver(letter)

    def settle(self, height=None):
        """Letters and looking around until all who are up have executed the sequencer's height, or the one given."""
        height = self.sequencer.order.sequencer.height if height is None else height
        for _ in range(12):
            self.deliver_all()
            if all(node.height == height for node in self.up()):
                return
            for node in self.up():
                node.look_around()
        raise AssertionError({node.name: (node.height, node.core.head, node.refused) for node in self.up()})

    def submit(self, *transactions):
        """Receipts from the sequencer, and the gossip that follows."""
        answers = self.sequencer.order.submit([transaction.encoded for transaction in transactions])
        for _, answer in answers:
            assert isinstance(answer, SignedReceipt), answer
        gossip = Gossip(transactions=transactions, receipts=tuple(answer for _, answer in answers))
        self.post("sequencer", "gossip", gossip)

    def commit(self, *transactions):
        if transactions:
            self.submit(*transactions)
        proposal = self.sequencer.order.commit()
        self.propose(proposal)
        return proposal

    def propose(self, proposal):
        self.post("sequencer", "propose", proposal)
        with suppress(StorageError):  # it is taken from the others then
            self.sequencer.act(self.sequencer.core.take_proposal, proposal)

    def run(self, *transactions):
        """One height to its end."""
        proposal = self.commit(*transactions)
        self.settle()
        return proposal

    def require_agreement(self):
        """Everybody who is up executed the same, and nobody signed two things."""
        ends = {(node.height, node.core.follower.latest.root) for node in self.up()}
        assert len(ends) == 1, ends
        for height in range(1, ends.pop()[0] + 1):
            assert len({node.core.history.outcomes(height).encoded for node in self.up()}) == 1
        self.require_one_signature()

    def require_one_signature(self):
        """For each height one vote and one share of a member, and what is stored is what was said."""
        for index, node in zip(MEMBERS, self.members, strict=True):
            kinds = ((VOTE, SignedVote, "submit_vote"), (SHARE, ShareRelease, "submit_share"))
            for stored, kind, endpoint in kinds:
                for _, value in node.store.scan(stored):
                    signed = kind.decode(value)
                    height = (signed.message if kind is SignedVote else signed.share.message).height
                    assert self.signed.pop((node.name, endpoint, height), {value}) == {value}, (index, endpoint, height)
        assert self.signed == {}

    def close(self):
        for node in self.nodes.values():
            node.close()


@pytest.fixture(autouse=True, scope="module")
def committees_decoded_once():
    """Nodes of one process share what they made of a public key, which nobody changes."""
    decoded = {}

    def load(home, *, backend):
        key_sets = tuple(signed.encoded for signed in home.key_sets())
        if key_sets not in decoded:
            decoded[key_sets] = load_committees(home, backend=backend)
        return decoded[key_sets]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core_module, "load_committees", load)
        yield


@pytest.fixture
def make_net(make_world, tmp_path):
    made = []

    def make(scheme="tdh2"):
        net = Net(make_world(scheme), tmp_path / f"net-{len(made)}")
        made.append(net)
        return net

    yield make
    for net in made:
        net.close()


@pytest.fixture
def net(make_net):
    """tdh2, 3 of 4."""
    return make_net()


@pytest.fixture
def clear_net(make_net):
    """No encryption, 3 of 4."""
    return make_net("clear")


def transfers(net, *nonces, people=2):
    senders = net.world.people[:people]
    return tuple(net.world.transfer(who, nonce, valid_until=10**6) for who in senders for nonce in nonces or (0,))


def refusal(call, *arguments):
    with pytest.raises((Malformed, Rejected)) as caught:
        call(*arguments)
    return getattr(caught.value, "rule", "malformed")


# --- what parties sign, honest or not: the test holds all keys -------------------------------------------------------


def vote_of(net, index, commitment, *, signer=None, **changes):
    vote = replace(vote_for(commitment), **changes)
    signer = signer or net.world.member_identity(index)
    return SignedVote(message=vote, signature=net.world.sign(signer, vote))


def certificate_of(net, commitment, members=(1, 2, 3), **changes):
    votes = [vote_of(net, index, commitment, **changes) for index in members]
    return OrderCertificate(vote=votes[0].message, signatures=tuple(vote.signature for vote in votes))


def data_of(net, index, proposal, *, secret=None):
    """A member's share of a proposal's batch; with another `secret` a wrong one."""
    committee, commitment = net.world.committee, proposal.commitment.message
    key_share = net.world.home.key_share(index, net.world.password)
    if secret is not None:
        key_share = KeyShare(index, secret.to_bytes(len(key_share.secret_bytes()), "big"))
    batch = Batch(
        key_id=commitment.key_id,
        height=commitment.height,
        round=commitment.round,
        entries=committee.verify_ciphertexts(proposal.transactions),
    )
    scheme = committee.scheme
    return scheme.partial_decrypt(committee.public_key, key_share, batch, random=net.world.random).data


def release_of(net, index, proposal, *, secret=None, signer=None, certificate=None, **changes):
    commitment = proposal.commitment.message
    message = DecryptionShare(
        committee_id=commitment.committee_id,
        height=commitment.height,
        round=commitment.round,
        commitment_root=commitment.root,
        member=index,
        data=changes.pop("data", None) or data_of(net, index, proposal, secret=secret),
    )
    message = replace(message, **changes)
    signer = signer or net.world.member_identity(index)
    share = SignedShare(message=message, signature=net.world.sign(signer, message))
    return ShareRelease(share=share, certificate=certificate or certificate_of(net, commitment))


def empty_after(net, proposal, **changes):
    """An empty commitment on top of another, signed by the sequencer."""
    commitment = proposal.commitment.message
    message = replace(
        commitment,
        height=commitment.height + 1,
        parent=commitment.root,
        batch_root=BatchList(tx_ids=()).root,
        count=0,
        timestamp_ms=net.clock(),
    )
    message = replace(message, **changes)
    signature = net.world.sign(net.world.sequencer_identity, message)
    return Proposal(commitment=SignedCommitment(message=message, signature=signature), transactions=(), receipts=())


WRONG_SECRET = 7


# --- the course of things --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["tdh2", "clear"])
def test_transaction_is_executed_by_every_node(make_net, scheme):
    net = make_net(scheme)
    (transaction,) = transfers(net, people=1)
    net.commit(transaction)
    net.deliver_all()
    net.require_agreement()
    for node in net.nodes.values():
        assert node.height == 1
        assert node.core.history.executed_at(transaction.tx_id) == 1
        assert [fields["height"] for fields in node.told("executed")] == [1]
        assert node.refused == []
        assert len(node.core.history.shares(1)) >= 3


def test_every_member_votes_and_releases_its_share(net):
    net.commit(*transfers(net))
    net.deliver_all()
    said = {(f"member-{index}", endpoint, 1) for index in MEMBERS for endpoint in ("submit_vote", "submit_share")}
    assert set(net.signed) == said


def test_late_share_is_kept_and_counted_as_late(net):
    net["member-4"].up = False
    proposal = net.run(*transfers(net))
    net["member-1"].act(net["member-1"].core.take_share, release_of(net, 4, proposal))
    assert net["member-1"].told("share")[-1] == {"height": 1, "member": 4, "late": 1}
    assert [share.message.member for share in net["member-1"].core.history.shares(1)] == [1, 2, 3, 4]


def test_certificate_that_comes_with_a_share_makes_a_member_release_its_own(net):
    """It heard no vote."""
    member, proposal = net["member-1"].core, net.commit(*transfers(net))
    member.take_proposal(proposal)
    out = member.take_share(release_of(net, 2, proposal))
    assert [endpoint for endpoint, _ in out.messages] == ["submit_share"]
    assert [happening.name for happening in out.happenings] == ["certified", "share"]


def test_votes_that_come_before_their_commitment_certify_it(net):
    """The auditor has no vote of its own to count them by."""
    auditor, proposal = net["auditor"].core, net.commit(*transfers(net))
    for index in MEMBERS:
        auditor.take_vote(vote_of(net, index, proposal.commitment.message))
    assert auditor.follower.certificate(1) is None
    auditor.take_proposal(proposal)
    assert auditor.follower.certificate(1) is not None


@pytest.mark.parametrize(("scheme", "seed"), [*(("clear", seed) for seed in range(8)), ("tdh2", 1), ("tdh2", 2)])
def test_nodes_execute_the_same_when_letters_are_lost_doubled_and_reordered(make_net, scheme, seed):
    net, chance = make_net(scheme), seeded.Random(seed)
    for nonce in range(3):
        net.commit(*transfers(net, nonce))
        net.deliver_all(chance=chance, loss=chance.choice((0.0, 0.3, 0.8)), doubled=0.2)
        if chance.random() < 0.5:
            net.settle()
        elif chance.random() < 0.5:
            net.commit()
    net.settle()
    net.require_agreement()
    assert {node.core.findings for node in net.up()} == {()}


def test_node_that_was_away_takes_what_it_missed_from_others_net_3(net):
    away = net["member-4"]
    away.up = False
    net.run(*transfers(net))
    net.run()
    net.run(*transfers(net, 1))
    away.up = True
    for height in (1, 2, 3):
        assert away.height == height - 1
        away.act(away.core.take_height, net["auditor"].record(height))
    net.require_agreement()
    assert away.refused == []


def test_node_that_was_away_for_longer_than_others_remember_catches_up_net_3(clear_net):
    """From their databases; and it starts again from its own checkpoint."""
    net = clear_net
    away = net["auditor"]
    away.up = False
    net.run(*transfers(net))
    for _ in range(KEPT_HEIGHTS + 4):
        net.commit()
        net.deliver_all()
    assert net.sequencer.core.follower.chain.at(1) is None
    away.up = True
    away.look_around()
    net.require_agreement()
    away.restart()
    assert away.core.follower.chain.base > 0
    net.run(*transfers(net, 1))
    net.require_agreement()


def test_node_without_a_key_set_takes_the_network_from_others(net):
    net.run(*transfers(net))
    late = net["auditor"]
    late.close()
    shutil.rmtree(late.home.path / "auditor")
    (late.home.path / "key-set.ssz").unlink()
    late.home.write_identity("auditor", Identity(b"\x0a" * 32), late.password)
    late.home.create_store("auditor")
    late.open()
    assert not late.core.has_network
    assert refusal(late.core.take_proposal, net.commit()) == "NET-3"
    key_sets = [committee.signed for committee in net.sequencer.core.committees]
    late.act(late.core.take_network, net.world.committee.genesis, key_sets)
    net.settle()
    net.require_agreement()


def test_network_is_not_taken_from_key_sets_that_its_members_did_not_sign(net):
    late = net["auditor"]
    late.close()
    (late.home.path / "key-set.ssz").unlink()
    late.open()
    signed = net.sequencer.core.committees[0].signed
    short = replace(signed, signatures=signed.signatures[:2])
    assert refusal(late.core.take_network, net.world.committee.genesis, [short]) == "KEY-2"
    assert not late.core.has_network
    assert not late.home.has_key_set


# --- disks that fail, processes that end -----------------------------------------------------------------------------


def course(net):
    """Two heights, the second empty. The client and the sequencer try again what failed."""
    for transactions in (transfers(net), ()):
        for _ in range(2 * bool(transactions)):
            with suppress(StorageError):
                net.submit(*transactions)
                break
        try:
            net.propose(net.sequencer.order.commit())
        except StorageError:
            if not net.sequencer.resend():
                net.propose(net.sequencer.order.commit())
        net.deliver_all()
    net.settle()


@pytest.fixture
def nets(make_world, tmp_path):
    """As many as a test wants, one after the other."""

    def make():
        world, at = make_world("clear"), 0
        while True:
            at += 1
            net = Net(world, tmp_path / f"nets-{at}")
            yield net
            net.close()

    return make()


@pytest.mark.parametrize("written", [False, True], ids=["nothing-written", "written"])
@pytest.mark.parametrize("name", ["member-1", "auditor", "sequencer"])
def test_node_goes_on_with_the_same_bytes_when_any_one_write_failed(nets, name, written):
    net = next(nets)
    course(net)
    writes = net[name].store.writes
    for at in range(1, writes + 1):
        net = next(nets)
        net[name].store.fail_at, net[name].store.written = at, written
        course(net)
        net.require_agreement()
        assert net.sequencer.height == 2
    assert writes >= 6


@pytest.mark.parametrize("name", ["member-1", "auditor", "sequencer"])
def test_node_goes_on_from_its_records_when_it_ends_after_any_one_message(nets, name):
    net = next(nets)
    course(net)
    received = net[name].received
    for at in range(1, received + 1):
        net = next(nets)
        net[name].restart_after = at
        course(net)
        assert net[name].restart_after is None
        net.require_agreement()
        assert net.sequencer.height == 2
    assert received >= 12


def test_members_that_all_ended_certify_with_one_of_them_gone(net):
    """Nobody remembers the others' votes: each has to count its own again."""
    proposal = net.commit(*transfers(net))
    for member in net.members:
        member.core.take_proposal(proposal)
    net.letters.clear()
    net["member-4"].up = False
    for member in net.members[:3]:
        member.restart()
        member.look_around()
    net.settle()
    net.require_agreement()


def test_sequencer_commits_nothing_that_rests_on_less_than_its_last_commitment(clear_net):
    """Its database took the commitment, and not what its follower had executed: members would refuse the next one for
    ever (VOT-7), and there is no other for that height."""
    net = clear_net
    net.run(*transfers(net))
    net.commit()
    net.letters.clear()
    order, core = net.sequencer.order, net.sequencer.core
    assert order.sequencer.batch(2).commitment.message.executed_height == 1
    order.sequencer._state._source = order._state = SimpleNamespace(latest=core.follower._states[0], at=core.state.at)
    assert order.turn(True, 4) is None
    assert refusal(order.commit) == "VOT-7"
    order.sequencer._state._source = order._state = core.state
    for proposal in order.unexecuted():
        net.propose(proposal)
    net.settle()
    assert order.turn(True, 4).commitment.message.height == 3


def test_state_for_the_sequencer_restores_nothing_on_its_thread(clear_net):
    net = clear_net
    core = net.sequencer.core
    net.run()
    core._stale, before = True, core._follower
    assert core.state.latest.height == core.state.at(1).height == 1
    assert core._follower is before


def test_sequencer_keeps_its_newest_checkpoint_alone(clear_net):
    net = clear_net
    for _ in range(70):
        net.commit()
        net.deliver_all()
    assert len(list(net.sequencer.store.scan("sequencer-checkpoint"))) == 1
    net.sequencer.restart()
    net.run(*transfers(net))
    net.require_agreement()


# --- misbehaviour ----------------------------------------------------------------------------------------------------


def equivocation(net):
    """Two commitments for height 1 under two of the sequencer's signatures."""
    first = net.sequencer.order.commit()
    commitment = replace(first.commitment.message, timestamp_ms=net.clock())
    signed = SignedCommitment(message=commitment, signature=net.world.sign(net.world.sequencer_identity, commitment))
    return first, replace(first, commitment=signed)


def test_equivocation_halts_the_network_with_evidence_at_everyone_net_2(net):
    first, second = equivocation(net)
    for at, node in enumerate(net.up()):
        node.act(node.core.take_proposal, (first, second)[at % 2])
    net.deliver_all()
    for node in net.up():
        node.look_around()
    net.deliver_all()
    sequencer = net.world.sequencer_identity.address
    for node in net.up():
        assert node.height == 0
        assert node.core.follower.certificate(1) is None
        assert node.evidence == {("conflicting_commitments", sequencer, 1)}
        assert [fields["kind"] for fields in node.told("evidence")] == ["conflicting_commitments"]
        node.restart()
        assert node.evidence == {("conflicting_commitments", sequencer, 1)}
        assert [examine(piece, node.core.committees).rule for piece in node.core.evidence] == ["SEQ-3"]
    net.require_one_signature()


@pytest.mark.parametrize("heights_later", [0, 1, KEPT_HEIGHTS + 2])
def test_second_commitment_for_an_executed_height_is_evidence_net_2(clear_net, heights_later):
    net = clear_net
    first, second = equivocation(net)
    net.propose(first)
    net.settle()
    for _ in range(heights_later):
        net.commit()
        net.deliver_all()
    net["member-1"].act(net["member-1"].core.take_proposal, second)
    net.deliver_all()
    for node in net.up():
        assert node.evidence == {("conflicting_commitments", net.world.sequencer_identity.address, 1)}
        assert node.height == 1 + heights_later
    net["member-1"].act(net["member-1"].core.take_proposal, first)
    assert net["member-1"].refused == []


def test_second_commitment_for_a_height_that_cannot_be_checked_yet_is_evidence_net_2(net):
    first = net.sequencer.order.commit()
    early = [empty_after(net, first), empty_after(net, first)]
    for proposal in early:
        net["auditor"].act(net["auditor"].core.take_proposal, proposal)
    assert net["auditor"].evidence == {("conflicting_commitments", net.world.sequencer_identity.address, 2)}


def test_two_votes_of_a_member_are_evidence_whenever_the_second_comes_net_2(net):
    first, second = equivocation(net)
    net["member-4"].up = False
    votes = [vote_of(net, 4, proposal.commitment.message) for proposal in (second, first)]
    expected = {("conflicting_votes", net.world.member_identity(4).address, 1)}
    net["member-1"].act(net["member-1"].core.take_vote, votes[0])
    net["member-1"].act(net["member-1"].core.take_vote, votes[1])
    assert net["member-1"].evidence == expected
    net.letters.clear()
    net["member-2"].act(net["member-2"].core.take_vote, votes[1])
    net.propose(first)
    net.settle()
    assert net["member-2"].evidence == set()
    net["member-2"].act(net["member-2"].core.take_vote, votes[0])
    assert net["member-2"].evidence == expected
    net.deliver_all()
    for node in net.up():
        assert node.evidence == expected


@pytest.mark.parametrize("restarted", [False, True])
def test_vote_is_compared_with_the_certificate_that_its_member_signed_net_2(net, restarted):
    """Who voted for both may have told this node one vote, and those who made the certificate the other."""
    first, second = equivocation(net)
    core = net["auditor"].core
    stray = vote_of(net, 3, second.commitment.message)
    if not restarted:
        core.take_vote(stray)
    core.take_proposal(first)
    core.take_share(
        ShareRelease(share=release_of_nothing(net, first), certificate=certificate_of(net, first.commitment.message))
    )
    if restarted:
        net["auditor"].restart()
        net["auditor"].core.take_vote(stray)
    assert net["auditor"].evidence == {("conflicting_votes", net.world.member_identity(3).address, 1)}


def release_of_nothing(net, proposal):
    """A share for a commitment next to the one shown: nothing of it counts but its certificate."""
    commitment = proposal.commitment.message
    message = DecryptionShare(
        committee_id=commitment.committee_id,
        height=commitment.height,
        round=0,
        commitment_root=b"\x01" * 32,
        member=2,
        data=b"",
    )
    return SignedShare(message=message, signature=net.world.sign(net.world.member_identity(2), message))


def test_members_who_certified_two_commitments_are_all_shown_net_2(net):
    """CRT-4: more are dishonest than assumed."""
    first, second = equivocation(net)
    node = net["auditor"]
    node.core.take_proposal(first)
    node.core.take_height(record_of(first, certificate=certificate_of(net, first.commitment.message, (1, 2, 3))))
    assert node.height == 1
    other = certificate_of(net, second.commitment.message, (2, 3, 4))
    node.core.take_share(ShareRelease(share=release_of_nothing(net, second), certificate=other))
    assert node.evidence == set()  # the height is executed, and the share says nothing of it
    node.restart()
    for index in (2, 3, 4):
        node.core.take_vote(vote_of(net, index, second.commitment.message))
    both = {net.world.member_identity(index).address for index in (2, 3)}
    assert {offender for _, offender, _ in node.evidence} == both


def test_second_certificate_before_the_height_is_open_shows_its_members_net_2(net):
    first, second = equivocation_with(net, *transfers(net))
    node = net["auditor"]
    node.core.take_height(record_of(first, certificate=certificate_of(net, first.commitment.message, (1, 2, 3))))
    node.core.take_height(record_of(second, certificate=certificate_of(net, second.commitment.message, (2, 3, 4))))
    both = {net.world.member_identity(index).address for index in (2, 3)}
    assert {offender for _, offender, _ in node.evidence} == both
    assert node.core.follower.chain.at(1).proposal == first


def equivocation_with(net, *transactions):
    net.submit(*transactions)
    return equivocation(net)


def record_of(proposal, *, certificate=None, shares=(), reveal=None, votes=()):
    return HeightRecord(
        proposal=proposal,
        votes=votes,
        certificate=(certificate,) if certificate else (),
        shares=shares,
        reveal=(reveal,) if reveal else (),
        drop=(),
    )


def test_two_shares_of_a_member_for_two_commitments_are_evidence_net_2(net):
    first, second = equivocation_with(net, *transfers(net))
    net.propose(first)
    net["member-4"].up = False
    net.settle()
    node = net["member-1"]
    node.core.take_share(release_of(net, 4, first))
    before = node.core.evidence
    node.act(node.core.take_share, release_of(net, 4, second))
    assert before == ()
    net.deliver_all()
    for other in net.up():
        assert other.evidence == {("conflicting_shares", net.world.member_identity(4).address, 1)}


def test_second_share_is_evidence_whatever_certificate_comes_with_it_net_2(net):
    first, second = equivocation_with(net, *transfers(net))
    core = net["auditor"].core
    core.take_height(record_of(first, certificate=certificate_of(net, first.commitment.message)))
    core.take_share(release_of(net, 4, first))
    none = OrderCertificate(vote=vote_for(second.commitment.message), signatures=())
    out = core.take_share(release_of(net, 4, second, certificate=none))
    assert [endpoint for endpoint, _ in out.messages] == ["submit_evidence"]


def test_evidence_in_a_certificate_is_told_with_the_share_that_is_taken_net_2(net):
    """Not found with one that is refused: nobody would be told of it."""
    first, second = equivocation_with(net, *transfers(net))
    core = net["auditor"].core
    core.take_vote(vote_of(net, 3, second.commitment.message))
    core.take_proposal(first)
    assert refusal(core.take_share, release_of(net, 1, first, signer=net.world.stranger)) == "REV-1"
    assert core.evidence == ()
    out = core.take_share(release_of(net, 1, first))
    assert [endpoint for endpoint, _ in out.messages] == ["submit_evidence"]
    assert core.follower.certificate(1) is not None


def test_strangers_vote_for_a_certified_height_hides_no_evidence_net_2(net):
    first, second = equivocation(net)
    core = net["auditor"].core
    core.take_height(record_of(first, certificate=certificate_of(net, first.commitment.message)))
    net["auditor"].restart()
    core = net["auditor"].core
    assert refusal(core.take_vote, vote_of(net, 1, second.commitment.message, signer=net.world.stranger)) == "CRT-1"
    out = core.take_vote(vote_of(net, 2, second.commitment.message))
    assert [endpoint for endpoint, _ in out.messages] == ["submit_evidence"]


def test_record_of_an_executed_height_shows_another_commitment_net_2(clear_net):
    net = clear_net
    first, second = equivocation(net)
    net.propose(first)
    net.settle()
    core = net["auditor"].core
    assert [endpoint for endpoint, _ in core.take_height(record_of(second)).messages] == ["submit_evidence"]


def test_share_that_another_signed_for_another_commitment_accuses_nobody(net):
    first, second = equivocation_with(net, *transfers(net))
    net.propose(first)
    net.settle()
    forged = release_of(net, 2, second, signer=net.world.stranger)
    assert refusal(net["member-1"].core.take_share, forged) == "EVD-11"
    assert net["member-1"].evidence == set()


def give_wrong_share(net, index):
    """A member whose key share is another one, as it finds when it starts."""
    node = net[f"member-{index}"]
    key_set = net.world.committee.key_set
    wrong = KeyShare(index, WRONG_SECRET.to_bytes(32, "big"))
    node.home.write_key_share("member", wrong, key_set.verification_keys[index - 1], node.password)
    node.restart()


def test_height_opens_in_spite_of_a_wrong_share_and_everybody_shows_it(net):
    give_wrong_share(net, 1)
    net.run(*transfers(net))
    net.require_agreement()
    for node in net.up():
        assert node.evidence == {("wrong_share", net.world.member_identity(1).address, 1)}
        assert [piece.kind for piece in node.core.evidence] == [5]


def test_height_waits_for_another_share_when_a_wrong_one_makes_too_few(net):
    give_wrong_share(net, 1)
    net["member-4"].up = False
    net.commit(*transfers(net))
    net.deliver_all()
    assert {node.height for node in net.up()} == {0}
    for node in net.up():
        assert node.evidence == {("wrong_share", net.world.member_identity(1).address, 1)}
    net["member-4"].up = True
    net.settle()
    net.require_agreement()


def test_late_wrong_share_is_found_by_the_auditor_and_told_to_all(net):
    net["member-4"].up = False
    proposal = net.run(*transfers(net))
    late = release_of(net, 4, proposal, secret=WRONG_SECRET)
    for node in net.up():
        node.act(node.core.take_share, late)
    assert net["member-1"].evidence == set()
    net.deliver_all()
    for node in net.up():
        assert node.evidence == {("wrong_share", net.world.member_identity(4).address, 1)}


def test_auditor_checks_a_late_share_once(net, monkeypatch):
    net["member-4"].up = False
    proposal = net.run(*transfers(net))
    late, auditor = release_of(net, 4, proposal), net["auditor"].core
    auditor.take_share(late)
    monkeypatch.setattr(auditor.follower, "wrong_shares", None)
    auditor.take_share(late)


def test_auditor_takes_no_notice_of_a_share_for_a_height_that_it_does_not_hold_any_more(clear_net):
    net = clear_net
    proposal = net.run(*transfers(net))
    for _ in range(KEPT_HEIGHTS + 1):
        net.commit()
        net.deliver_all()
    late = release_of(net, 4, proposal, data=b"wrong")
    assert net["auditor"].core.take_share(late).happenings == []


# --- strangers, other names, other heights ---------------------------------------------------------------------------


@pytest.fixture
def open_net(net):
    """Height 1 committed and certified at everybody, its shares withheld. `net.proposal` is that of height 1."""
    net.proposal = net.commit(*transfers(net))
    withheld = []
    while net.letters:
        letter = net.letters.popleft()
        if letter.endpoint == "submit_share":
            withheld.append(letter)
        else:
            net.deliver(letter)
    net.withheld = withheld
    net.before = [dict(node.store.scan(kind)) for node in net.up() for kind in ("member-share", "vote", "evidence")]
    return net


def require_nothing_happened(net):
    """Nobody stored or said anything, and the height opens as if nothing had been."""
    kinds = ("member-share", "vote", "evidence")
    assert [dict(node.store.scan(kind)) for node in net.up() for kind in kinds] == net.before
    assert not net.letters
    net.letters.extend(net.withheld)
    net.settle()
    net.require_agreement()


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda net: vote_of(net, 1, net.proposal.commitment.message, signer=net.world.stranger), "CRT-1"),
        (lambda net: vote_of(net, 1, net.proposal.commitment.message, committee_id=bytes(32)), "CRT-1"),
        (lambda net: replace(vote_of(net, 1, net.proposal.commitment.message), signature=bytes(65)), "SIG-1"),
    ],
    ids=["stranger", "other-committee", "unsigned"],
)
def test_vote_that_is_none_is_refused(open_net, make, rule):
    net = open_net
    for node in net.up():
        assert refusal(node.core.take_vote, make(net)) == rule
    require_nothing_happened(net)


def test_vote_changed_on_the_way_is_nobodys(open_net):
    """It names no member: whoever signed is who voted."""
    net = open_net
    vote = vote_of(net, 1, net.proposal.commitment.message)
    changed = replace(vote, message=replace(vote.message, round=9))
    for node in net.up():
        assert refusal(node.core.take_vote, changed) == "CRT-1"
    require_nothing_happened(net)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"signer": "stranger"}, "REV-1"),
        ({"signer": "member-3"}, "REV-1"),
        ({"member": 3}, "REV-1"),
        ({"round": 7}, "REV-1"),
        ({"committee_id": bytes(32)}, "REV-1"),
    ],
    ids=["stranger", "signed-by-another-member", "in-another-members-name", "other-round", "other-committee"],
)
def test_share_that_is_not_its_members_is_refused(open_net, changes, rule):
    net = open_net
    if "signer" in changes:
        signers = {"stranger": net.world.stranger, "member-3": net.world.member_identity(3)}
        changes = {"signer": signers[changes["signer"]]}
    forged = release_of(net, 4, net.proposal, **changes)
    for node in net.up():
        assert refusal(node.core.take_share, forged) == rule
    require_nothing_happened(net)


def test_replayed_messages_change_nothing(net):
    proposal = net.commit(*transfers(net))
    kept = []
    while net.letters:
        kept.append(net.letters[0])
        net.deliver(net.letters.popleft())
    net.run(*transfers(net, 1))
    before = {node.name: (len(node.happened), node.height) for node in net.up()}
    for letter in kept:
        net.deliver(letter)
    assert not net.letters
    assert {node.name: (len(node.happened), node.height) for node in net.up()} == before
    assert all(node.refused == [] for node in net.up())
    assert net["auditor"].core.take_height(net["member-1"].record(1)).happenings == []
    assert proposal.commitment.message.height == 1


def far(net, above):
    """Everything that can be said of a height, that many above the next one."""
    at = net["member-1"].core.follower.chain.next_height + above
    message = replace(net.proposal.commitment.message, height=at)
    proposal = empty_after(net, net.proposal, height=at)
    yield "take_proposal", proposal
    yield "take_vote", vote_of(net, 1, message)
    share = release_of(net, 1, net.proposal, height=at).share
    yield "take_share", ShareRelease(share=share, certificate=certificate_of(net, message))
    yield "take_height", record_of(proposal, certificate=certificate_of(net, message))


def test_messages_for_heights_far_above_are_refused_net_1(open_net):
    net = open_net
    for node in net.up():
        for entrance, message in far(net, 129):
            assert refusal(getattr(node.core, entrance), message) == "NET-1"
        assert node.core.head == 1
    require_nothing_happened(net)


def test_messages_for_heights_within_reach_are_heard_net_1(open_net):
    for entrance, message in far(open_net, 128):
        getattr(open_net["auditor"].core, entrance)(message)


def test_certificate_for_a_height_far_above_is_refused_with_the_share_that_carries_it_net_1(open_net):
    """The share's own height is near."""
    net = open_net
    message = replace(net.proposal.commitment.message, height=2**63)
    for carrier in (release_of_nothing(net, net.proposal), release_of(net, 4, net.proposal).share):
        release = ShareRelease(share=carrier, certificate=certificate_of(net, message))
        core = net["auditor"].core
        assert refusal(core.take_share, release) in ("NET-1", "REV-1")
        assert core.head == 1
        assert core._wanted == {}


def test_head_is_not_raised_by_what_too_few_have_signed(open_net):
    """Whoever believed it would ask for ever, and report that it is not ready."""
    net = open_net
    core = net["auditor"].core
    message = replace(net.proposal.commitment.message, height=90)
    core.take_vote(vote_of(net, 1, message))
    assert core.head == 2  # a next one there is
    certificates = [
        certificate_of(net, message, members=(1, 2)),
        replace(certificate_of(net, message), signatures=(bytes(65),) * 3),
        certificate_of(net, message, committee_id=bytes(32)),
    ]
    for certificate in certificates:
        release = ShareRelease(share=release_of_nothing(net, net.proposal), certificate=certificate)
        assert refusal(core.take_share, release) in ("CRT-1", "CRT-3", "SIG-1")
    assert core.head == 2
    assert core._wanted == {}


@pytest.mark.parametrize("change", ["receipts", "one-receipt", "transactions", "signature", "sender"])
def test_proposal_with_anything_forged_gets_no_vote_and_the_genuine_one_does(net, change):
    net.submit(*transfers(net))
    genuine = net.sequencer.order.commit()
    stranger = net.world.stranger
    first, second = genuine.transactions
    forged = {
        "receipts": lambda: net.world.forge(
            genuine, receipts=tuple(net.world.receipt(t, at, stranger) for at, t in enumerate(genuine.transactions))
        ),
        "one-receipt": lambda: replace(genuine, receipts=genuine.receipts[:1] * 2),
        "transactions": lambda: replace(genuine, transactions=(second, first)),
        "signature": lambda: net.world.forge(genuine, signer=stranger),
        "sender": lambda: replace(genuine, transactions=(replace(first, signature=second.signature), second)),
    }[change]()
    for node in net.up():
        if node is not net.sequencer:
            assert refusal(node.core.take_proposal, forged) in ("VOT-6", "VOT-3", "VOT-1", "TXN-7")
    assert not net.signed
    net.letters.clear()
    net.propose(genuine)
    net.settle()
    net.require_agreement()


@pytest.mark.parametrize("change", ["transactions", "receipts", "sender"])
def test_batch_put_beside_a_commitment_by_another_does_not_keep_the_genuine_one_out(net, change):
    """It comes before it can be checked."""
    net.run(*transfers(net))
    first = net.commit()
    net.letters.clear()
    net.submit(*transfers(net, 1))
    second = net.sequencer.order.commit()
    late = net["member-4"].core
    forged = {
        "transactions": lambda: replace(second, transactions=second.transactions[::-1]),
        "receipts": lambda: replace(second, receipts=second.receipts[:1]),
        "sender": lambda: replace(
            second,
            transactions=tuple(replace(t, signature=bytes(65)) for t in second.transactions),
        ),
    }[change]()
    with suppress(Rejected):
        late.take_proposal(forged)
    for proposal in (second, first):
        net.propose(proposal)
    net.settle()
    net.require_agreement()


# --- gossip ----------------------------------------------------------------------------------------------------------


def gossip_of(net, *transactions, start=0, signer=None):
    receipts = tuple(net.world.receipt(t, start + at, signer) for at, t in enumerate(transactions))
    return Gossip(transactions=transactions, receipts=receipts)


def test_invalid_ciphertext_in_gossip_does_not_harm_the_rest(net):
    good, other = transfers(net)
    person = net.world.people[5]
    template = net.world.transfer(person)
    bad = net.world.envelope(person, template.header, bytes(len(template.ciphertext)))
    member = net["member-1"].core
    member.take_gossip(gossip_of(net, good, bad, other))
    assert {t.tx_id for t in member.pending().transactions} == {good.tx_id, other.tx_id}
    net.run(good, other)
    net.require_agreement()
    assert member.pending().transactions == ()


def test_gossip_that_pairs_transactions_with_receipts_of_others_is_malformed(net):
    """With one receipt of its own anybody could have a member keep anything."""
    first, second = transfers(net)
    gossip = gossip_of(net, first, second)
    member = net["member-1"].core
    for receipts in (gossip.receipts[::-1], gossip.receipts[:1]):
        assert refusal(member.take_gossip, replace(gossip, receipts=receipts)) == "malformed"
    assert member.pending().transactions == ()


def test_gossip_with_receipts_that_the_sequencer_did_not_sign_is_refused(net):
    member = net["member-1"].core
    assert refusal(member.take_gossip, gossip_of(net, *transfers(net), signer=net.world.stranger)) == "VOT-6"
    assert member.pending().transactions == ()


def test_gossip_of_what_is_executed_is_not_kept_again(net):
    done, waiting = transfers(net)
    net.run(done)
    member = net["member-1"].core
    member.take_gossip(gossip_of(net, done, waiting))
    assert [t.tx_id for t in member.pending().transactions] == [waiting.tx_id]


def test_member_gives_a_new_sequencer_what_waits_and_not_what_expired(net):
    short, long = net.world.transfer(net.world.people[0], valid_until=1), net.world.transfer(net.world.people[1])
    member = net["member-1"].core
    member.take_gossip(gossip_of(net, short, long))
    assert len(member.pending().transactions) == 2
    net.run()
    assert [t.tx_id for t in member.pending().transactions] == [long.tx_id]


# --- what another node hands over ------------------------------------------------------------------------------------


@pytest.fixture
def late_net(net):
    """Height 1 executed by all but member 4, and the record of it."""
    net["member-4"].up = False
    net.proposal = net.run(*transfers(net))
    net["member-4"].up = True
    net.record = net["member-1"].record(1)
    return net


def hostile_records(net):
    """What somebody made of the record of height 1."""
    record, (reveal,) = net.record, net.record.reveal
    positions = (replace(reveal.positions[0], outcome=2), *reveal.positions[1:])
    other = net.world.forge(net.proposal, timestamp_ms=net.clock())
    certificate = certificate_of(net, other.commitment.message)
    wrong = [release_of(net, i, net.proposal, secret=WRONG_SECRET, signer=net.world.stranger).share for i in MEMBERS]
    yield "other-outcomes", replace(record, reveal=(replace(reveal, positions=positions),))
    yield "other-batch-key", replace(record, reveal=(replace(reveal, batch_key=reveal.batch_key[::-1]),))
    yield "reveal-of-another", replace(record, reveal=(replace(reveal, commitment_root=bytes(32)),))
    yield "no-reveal", replace(record, reveal=())
    yield "too-few-shares", replace(record, shares=record.shares[:2])
    yield "no-shares", replace(record, shares=())
    yield "one-share-often", replace(record, shares=record.shares[:1] * 4)
    yield "shares-by-a-stranger", replace(record, shares=tuple(wrong))
    yield "other-certificate", replace(record, certificate=(certificate,))
    yield "too-few-votes", replace(record, certificate=(certificate_of(net, net.proposal.commitment.message, (1, 2)),))
    yield "no-certificate", replace(record, certificate=())
    yield "other-transactions", replace(record, proposal=replace(record.proposal, transactions=transfers(net, 7)))
    yield "no-transactions", replace(record, proposal=replace(record.proposal, transactions=(), receipts=()))
    yield "signed-by-a-stranger", replace(record, proposal=net.world.forge(net.proposal, signer=net.world.stranger))
    reveals = (Reveal(commitment_root=net.proposal.commitment.message.root, batch_key=b"", positions=()),)
    yield "empty-reveal", replace(record, reveal=reveals)


@pytest.mark.parametrize("case", range(15))
def test_hostile_record_of_a_height_harms_nobody_and_a_genuine_one_still_helps_net_3(late_net, case):
    net, late = late_net, late_net["member-4"]
    name, record = list(hostile_records(net))[case]
    late.act(late.core.take_height, HeightRecord.decode(record.encoded))
    by_shares = ("other-outcomes", "other-batch-key", "reveal-of-another", "no-reveal", "empty-reveal")
    assert (late.height == 1) == (name in (*by_shares, "too-few-shares"))  # with its own they are enough
    late.act(late.core.take_height, net.record)
    net.require_agreement()
    late.restart()
    net.require_agreement()


def test_height_record_ahead_of_the_next_one_gets_a_vote_that_is_sent(net):
    """It brings a commitment whose turn it is, above heights that wait for their reveal."""
    first = net.commit(*transfers(net))
    net["member-1"].core.take_proposal(first)
    second = net.commit()
    net.letters.clear()
    out = net["member-1"].core.take_height(record_of(second))
    assert [(endpoint, message.message.height) for endpoint, message in out.messages] == [("submit_vote", 2)]


def test_record_with_a_wrong_reveal_still_brings_its_certificate_and_shares(late_net):
    net, late = late_net, late_net["member-4"].core
    wrong = replace(net.record, reveal=(replace(net.record.reveal[0], positions=()),), shares=net.record.shares[:2])
    out = late.take_height(wrong)
    assert [endpoint for endpoint, _ in out.messages] == ["submit_share"]
    assert late.executed_height == 1


# --- what only one party has to sign to be shown ---------------------------------------------------------------------


INVALID = {
    "invalid_commitment": lambda net, honest: net.world.forge(honest, policy_id=2),
    "beside its parent": lambda net, honest: net.world.forge(honest, timestamp_ms=honest.commitment.message.height),
    "another count": lambda net, honest: net.world.forge(honest, count=3),
    "twice": lambda net, honest: net.world.forge(honest, transactions=honest.transactions[:1] * 2, round=2),
    "a committed one": lambda net, honest: net.world.forge(honest, transactions=net.world.first.transactions, round=2),
    "nobody pays": lambda net, honest: net.world.forge(
        honest, transactions=(*honest.transactions, net.world.transfer(net.world.poor)), round=2
    ),
    "a nonce is skipped": lambda net, honest: net.world.forge(
        honest, transactions=(*honest.transactions, net.world.transfer(net.world.people[5], 3)), round=2
    ),
    "no ciphertext": lambda net, honest: net.world.forge(
        honest,
        transactions=(
            net.world.envelope(net.world.people[5], net.world.header(net.world.people[5]), bytes(400)),
            *honest.transactions,
        ),
        round=2,
    ),
    "another order": lambda net, honest: net.world.forge(
        honest, transactions=honest.transactions[::-1], receipts=honest.receipts[::-1]
    ),
}


@pytest.mark.parametrize("fault", INVALID)
def test_invalid_commitment_gets_no_vote_and_everybody_shows_its_sequencer_evd_8(net, fault):
    net.world.first = net.run(net.world.transfer(net.world.people[0], valid_until=10**6))
    net.submit(*(net.world.transfer(who, valid_until=10**6) for who in net.world.people[1:3]))
    honest = net.sequencer.order.commit()
    said = set(net.signed)
    net.letters.clear()
    node = net["member-1"]
    node.act(node.core.take_proposal, INVALID[fault](net, honest))
    assert node.told("refused")
    net.deliver_all()
    assert set(net.signed) == said
    shown = {(kind, offender, height) for each in net.up() for kind, offender, height in each.evidence}
    assert len(shown) == 1
    ((kind, offender, height),) = shown
    assert (offender, height) == (net.world.sequencer_identity.address, 2)
    assert kind.startswith(("invalid_", "repeated_"))
    for each in net.up():
        assert each.evidence == shown
        (piece,) = each.core.evidence
        assert examine(piece, each.core.committees).rule.startswith("VOT-")


def test_honest_commitment_that_a_node_cannot_check_shows_nobody_evd_8(net):
    """What it lacks, or another put beside it, is not the sequencer's fault."""
    net.submit(*transfers(net))
    honest = net.sequencer.order.commit()
    first, second = honest.transactions
    for node in net.up():
        for changed in (
            replace(honest, transactions=(first,), receipts=honest.receipts[:1]),
            replace(honest, transactions=(second, first)),
            replace(honest, receipts=honest.receipts[::-1]),
            replace(honest, transactions=(replace(first, signature=bytes(65)), second)),
        ):
            assert refusal(node.core.take_proposal, changed)
        assert node.core.evidence == ()


def abstention_of(net, index, height, *, signer=None):
    message = Abstain(committee_id=net.world.committee.committee_id, height=height)
    return SignedAbstain(message=message, signature=net.world.sign(signer or net.world.member_identity(index), message))


@pytest.mark.parametrize("first", ["share", "abstention"])
def test_share_beside_an_abstention_is_evidence_whichever_comes_first_evd_17(net, first):
    expected = {("share_and_abstention", net.world.member_identity(4).address, 1)}
    core, abstention = net["auditor"].core, abstention_of(net, 4, 1)
    net["member-4"].up = False
    proposal = net.run(*transfers(net))
    calls = [(core.take_share, release_of(net, 4, proposal)), (core.take_abstention, abstention)]
    for call, message in calls if first == "share" else calls[::-1]:
        assert net["auditor"].evidence == set()
        net["auditor"].act(call, message)
    assert net["auditor"].evidence == expected
    net["member-4"].up = True
    net.deliver_all()
    assert all(node.evidence == expected for node in net.up())
    net["auditor"].restart()
    assert net["auditor"].evidence == expected


def test_abstention_alone_is_told_on_once_and_a_strangers_not_at_all(net):
    core = net["auditor"].core
    assert [endpoint for endpoint, _ in core.take_abstention(abstention_of(net, 2, 1)).messages] == [
        "submit_abstention"
    ]
    assert core.take_abstention(abstention_of(net, 2, 1)).messages == []
    assert refusal(core.take_abstention, abstention_of(net, 2, 1, signer=net.world.stranger)) == "DRP-1"
    assert refusal(core.take_abstention, abstention_of(net, 2, 10**6)) == "NET-1"
    assert core.evidence == ()


def signed_successor(net, members, key_set):
    signatures = tuple(net.world.sign(net.world.member_identity(index), key_set) for index in members)
    return SignedKeySet(message=key_set, signatures=signatures)


def test_members_who_signed_two_successors_are_shown_evd_16(clear_net):
    net = clear_net
    net.run()
    core = net["auditor"].core
    known = signed_successor(net, (1, 2, 3), successor_of(net, 4, start_parent=bytes(32), key_id=bytes(32)))
    core.committees = (*core.committees, replace(core.committees[0], signed=known))
    rival = signed_successor(net, (2, 3, 4), replace(known.message, start_height=5))
    net["auditor"].publish(core.take_rival(rival))
    both = {net.world.member_identity(index).address for index in (2, 3)}
    assert {(kind, offender) for kind, offender, _ in net["auditor"].evidence} == {
        ("conflicting_successors", offender) for offender in both
    }
    assert core.take_rival(known).messages == []
    net.deliver_all()
    assert all({offender for _, offender, _ in node.evidence} == both for node in net.up())


def test_share_from_the_start_of_a_successor_on_shows_who_signed_both_evd_16(clear_net):
    net = clear_net
    net.submit(*transfers(net))
    proposal = net.sequencer.order.commit()
    core = net["auditor"].core
    known = signed_successor(net, (1, 2, 3), successor_of(net, 2, start_parent=bytes(32), key_id=bytes(32)))
    core.committees = (*core.committees, replace(core.committees[0], signed=known))
    for index, expected in ((4, False), (3, True)):
        release = release_of(net, index, proposal, height=2)
        with suppress(Rejected):
            net["auditor"].act(core.take_share, release)
        shown = ("share_after_successor", net.world.member_identity(index).address, 2)
        assert (shown in net["auditor"].evidence) == expected


def test_two_shares_in_a_round_are_evidence_where_rounds_are_limited_evd_17(clear_net):
    """The chain that was followed gave the round once: the other share is for a commitment that nobody saw."""
    net = clear_net
    net["member-4"].up = False
    proposal = net.run(*transfers(net))
    core = net["auditor"].core
    limited = replace(core.committees[0].signed, message=replace(core.committees[0].key_set, rounds=8))
    committee = replace(core.committees[0], signed=limited)
    core.committees = (committee,)
    named = {"committee_id": committee.committee_id}
    first = release_of(net, 4, proposal, **named).share
    core.store.put([Persist(kind=SHARES, key=u64(1) + u16(4), value=first.encoded)])
    second = release_of(net, 4, proposal, height=2, commitment_root=b"\x01" * 32, **named)
    with suppress(Rejected):
        net["auditor"].act(core.take_share, second)
    assert net["auditor"].evidence == {("conflicting_shares", net.world.member_identity(4).address, 2)}


# --- evidence that is none -------------------------------------------------------------------------------------------


def test_evidence_that_shows_nothing_is_refused_and_not_told_on(net):
    proposal = net.run(*transfers(net))
    vote = vote_of(net, 1, proposal.commitment.message)
    junk = [
        Evidence(kind=99, body=b""),
        Evidence(kind=1, body=b""),
        Evidence(kind=5, body=bytes(5000)),
        Evidence.of(ConflictingVotes(first=vote, second=vote)),
        Evidence.of(
            WrongShare(
                share=release_of(net, 1, proposal).share,
                commitment=proposal.commitment,
                transactions=tuple(transaction.unsigned for transaction in proposal.transactions),
            )
        ),
    ]
    for node in net.up():
        for piece in junk:
            assert refusal(node.core.take_evidence, piece) in ("malformed", "EVD-1", "EVD-4", "EVD-7")
        assert node.core.evidence == ()
        assert node.happened[-1].name != "evidence"
    assert not net.letters


def test_evidence_is_told_on_once(net):
    first, second = equivocation(net)
    votes = ConflictingVotes(
        first=vote_of(net, 2, first.commitment.message), second=vote_of(net, 2, second.commitment.message)
    )
    core = net["auditor"].core
    assert [endpoint for endpoint, _ in core.take_evidence(Evidence.of(votes)).messages] == ["submit_evidence"]
    turned = ConflictingVotes(first=votes.second, second=votes.first)
    for again in (votes, turned):
        assert core.take_evidence(Evidence.of(again)).messages == []
    assert len(core.evidence) == 1


def test_evidence_of_a_wrong_share_is_not_checked_anew_at_every_start(net, monkeypatch):
    give_wrong_share(net, 1)
    net.run(*transfers(net))
    scheme = type(net.world.committee.scheme)
    monkeypatch.setattr(scheme, "verify_share", None)
    net["auditor"].restart()
    assert net["auditor"].evidence == {("wrong_share", net.world.member_identity(1).address, 1)}


def test_erasure_is_told_on_once_and_a_strangers_not_at_all(net):
    world = net.world
    statement = Erasure(committee_id=world.committee.committee_id)
    signed = SignedErasure(message=statement, signature=world.sign(world.member_identity(2), statement))
    core = net["auditor"].core
    assert [endpoint for endpoint, _ in core.take_erasure(signed).messages] == ["submit_erasure"]
    assert core.take_erasure(signed).messages == []
    forged = replace(signed, signature=world.sign(world.stranger, statement))
    assert refusal(core.take_erasure, forged) == "AUD-2"
    other = Erasure(committee_id=bytes(32))
    other = SignedErasure(message=other, signature=world.sign(world.member_identity(2), other))
    assert refusal(core.take_erasure, other) == "AUD-2"
    assert core.history.erasures() == (signed,)


# --- members act on what they checked, and on nothing that they may have forgotten -----------------------------------


def test_member_neither_votes_nor_releases_for_what_it_has_not_checked_net_4(net):
    """Not even with a certificate of all the others."""
    proposal = net.commit(*transfers(net))
    net.letters.clear()
    member = net["member-4"].core
    for message in (vote_of(net, index, proposal.commitment.message) for index in (1, 2, 3)):
        assert member.take_vote(message).messages == []
    assert member.take_share(release_of(net, 1, proposal)).messages == []
    assert member.nudge().messages == []
    kinds = [endpoint for endpoint, _ in member.take_proposal(proposal).messages]
    assert sorted(kinds) == ["submit_share", "submit_vote"]


def test_member_releases_nothing_on_the_word_of_a_record_that_it_refuses_net_4(late_net):
    net, late = late_net, late_net["member-4"]
    forged = net.world.forge(net.proposal, executed_height=0, state_root=b"\x01" * 32)
    record = record_of(forged, certificate=certificate_of(net, forged.commitment.message))
    late.act(late.core.take_height, record)
    assert late.refused == ["VOT-7"]
    late.look_around()
    assert {height for name, _, height in net.signed if name == "member-4"} <= {1}
    net.settle()
    net.require_agreement()


def mark(node):
    (node.home.path / "member" / "restored").touch()


def test_restored_member_is_silent_up_to_its_floor_and_acts_above_it_net_5(clear_net):
    net = clear_net
    restored = net["member-4"]
    net.run(*transfers(net))
    said = {at for at in net.signed if at[0] == "member-4"}
    restored.close()
    shutil.copy(net.world.home.path / "members/4/records.sqlite", restored.home.path / "member/records.sqlite")
    for file in restored.home.path.glob("member/records.sqlite-*"):
        file.unlink()
    mark(restored)
    restored.open()
    assert restored.core.is_restored
    net.settle()
    net.run(*transfers(net, 1))
    assert {at for at in net.signed if at[0] == "member-4"} == said
    restored.publish(restored.core.set_floor([2, 1, 2]))
    assert not restored.core.is_restored
    floor = 2 + 2 * MAX_UNEXECUTED
    assert restored.told("floor") == [{"height": floor}]
    for height in range(3, floor):
        net.commit()
        net.deliver_all()
        restored.core.nudge()
        assert restored.height == height
    restored.restart()
    net.run(*transfers(net, 2))
    assert restored.height == floor
    assert {at for at in net.signed if at[0] == "member-4"} == said
    net.run(*transfers(net, 3))
    new = {at for at in net.signed if at[0] == "member-4"} - said
    assert new == {("member-4", "submit_vote", floor + 1), ("member-4", "submit_share", floor + 1)}


def test_floor_counts_from_what_the_member_itself_has_executed_net_5(clear_net):
    net = clear_net
    for _ in range(3):
        net.run()
    mark(net["member-4"])
    net["member-4"].restart()
    assert net["member-4"].core.set_floor([0, 1, 0]).happenings[0].fields == {"height": 3 + 2 * MAX_UNEXECUTED}


def test_restored_member_keeps_silent_if_it_cannot_store_its_floor_net_5(clear_net):
    net = clear_net
    mark(net["member-4"])
    net["member-4"].restart()
    core, store = net["member-4"].core, net["member-4"].store
    store.fail_at = store.writes + 1
    with pytest.raises(StorageError):
        core.set_floor([0, 0, 0])
    assert core.is_restored
    core.set_floor([0, 0, 0])
    assert not core.is_restored


def successor_of(net, start_height, **changes):
    """The next key set as an operator could wish for it: the same key and members."""
    committee, tip = net.world.committee, net.sequencer.order.sequencer.tip
    key_set = successor_key_set(
        committee.key_set,
        public_material(committee.key_set),
        members=committee.key_set.members,
        start=(start_height, tip[1], tip[2]),
        setup_kind=committee.key_set.setup_kind,
        setup_privacy=committee.key_set.setup_privacy,
        batch_limit=committee.key_set.batch_limit,
    )
    return replace(key_set, **changes)


def test_restored_member_signs_no_successor_that_starts_where_it_may_have_acted_net_5(clear_net):
    net = clear_net
    net.run()
    core = net["member-4"].core
    key_set = successor_of(net, 2)
    mark(net["member-4"])
    assert refusal(core.sign_successor, key_set) == "NET-5"
    core.set_floor([1, 1, 1])
    assert refusal(core.sign_successor, key_set) == "NET-5"
    assert net["member-3"].core.sign_successor(key_set).message == key_set


@contextmanager
def service_on(node, **entries):
    """A node's service on its home, without a socket. The node comes back afterwards."""
    node.close()
    urls = {"sequencer": "http://127.0.0.1:1", "members": ("http://127.0.0.1:2",)}
    config = NodeConfig(**{"role": node.role, "listen": "127.0.0.1:0", "home": node.home.path, **urls, **entries})
    with opened(config, log=Log(node=node.name, stream=StringIO())) as service:
        try:
            yield service
        finally:
            service.close()
            node.open()


async def until(condition, work):
    """Let some work of a service go on until the condition holds."""
    task = asyncio.create_task(work)
    async with asyncio.timeout(5):
        while not condition():
            assert not task.done()
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def order_of(net, operator, key_set):
    order = SuccessorOrder(key_set=key_set, overlap=0)
    return SignedOrder(order=order, signature=net.world.sign(operator, order))


def test_member_signs_a_successor_only_on_its_operators_order_and_from_its_own_ceremony_net_6(net):
    net.run()
    operator, stranger = net.world.people[0], net.world.stranger
    key_set = successor_of(net, 2)
    order = order_of(net, operator, key_set)
    with service_on(net["member-1"], operators=(f"0x{operator.address.hex()}",)) as service:

        def ask(body):
            return asyncio.run(service.handlers()["sign_successor"](SimpleNamespace(body=body)))

        assert refusal(ask, order_of(net, stranger, key_set)) == "NET-21"
        assert refusal(ask, replace(order, order=SuccessorOrder(key_set=key_set, overlap=1))) == "NET-21"
        assert refusal(ask, order) == "NET-30"
    assert net["member-1"].store.get("successor", net.world.committee.committee_id) is None


def test_only_a_member_is_marked_as_restored_and_only_where_it_is(net, tmp_path):
    def config(role, home):
        return NodeConfig(role=role, listen="127.0.0.1:0", home=home, sequencer="http://h:1", members=("http://h:2",))

    mark_restored(config("member", net["member-1"].home.path))
    assert net["member-1"].core.is_restored
    with pytest.raises(ValueError, match="only a member"):
        mark_restored(config("auditor", net["auditor"].home.path))
    with pytest.raises(EnvironmentProblem, match="no member"):
        mark_restored(config("member", tmp_path / "empty"))


# --- memory ----------------------------------------------------------------------------------------------------------


def test_hostile_sequencer_fills_no_memory_with_commitments_for_later(net, monkeypatch):
    first = net.sequencer.order.commit()
    core = net["auditor"].core
    for height in range(2, 400):
        with suppress(Rejected):
            core.take_proposal(empty_after(net, first, height=height))
    assert len(core._early) == REACH
    assert core.head == 1 + REACH
    size = len(empty_after(net, first).encoded)
    monkeypatch.setattr(core_module, "MAX_EARLY_BYTES", 10 * size)
    core.take_proposal(empty_after(net, first, height=2, timestamp_ms=first.commitment.message.timestamp_ms + 9))
    core._early.clear()
    for height in range(130, 1, -1):
        with suppress(Rejected):
            core.take_proposal(empty_after(net, first, height=height))
    assert sorted(core._early) == list(range(2, 12))


def test_hostile_member_fills_no_memory_with_votes(clear_net):
    net = clear_net
    commitment = net.sequencer.order.commit().commitment.message
    core = net["auditor"].core
    for height in range(400):
        with suppress(Rejected):
            core.take_vote(vote_of(net, 1, replace(commitment, height=height)))
    (ballot,) = core._ballots.values()
    assert sum(map(len, ballot._votes.values())) <= 2 * MAX_UNEXECUTED
    assert core.head == 1


def test_hostile_committee_fills_no_memory_with_certificates(clear_net):
    """Even t members can certify no more than the heights within reach."""
    net = clear_net
    first = net.sequencer.order.commit()
    core = net["auditor"].core
    for height in (*range(2, 400), 2**63):
        certificate = certificate_of(net, replace(first.commitment.message, height=height))
        with suppress(Rejected):
            core.take_share(ShareRelease(share=release_of_nothing(net, first), certificate=certificate))
    assert len(core._wanted) == REACH
    net.propose(first)
    net.settle()
    assert min(core._wanted) == 2


def test_waiting_transactions_fill_no_more_memory_than_allowed(net, monkeypatch):
    transactions = transfers(net, people=6)
    size = len(transactions[0].encoded)
    monkeypatch.setattr(member_module, "MAX_HELD_BYTES", 3 * size)
    member = net["member-1"].core
    for transaction in transactions:
        member.take_gossip(gossip_of(net, transaction))
        member.take_gossip(gossip_of(net, transaction, start=50))
    assert len(member._held) == 3
    assert member._held_bytes == 3 * size
    net.run(*transactions[:3])
    assert (member._held, member._held_bytes) == ({}, 0)
    monkeypatch.setattr(member_module, "MAX_PENDING", 2)
    for transaction in transactions[3:]:
        member.take_gossip(gossip_of(net, transaction))
    assert len(member._held) == 2


def test_one_offender_cannot_crowd_out_evidence_about_another_net_2(clear_net, monkeypatch):
    net = clear_net
    monkeypatch.setattr(core_module, "MAX_EVIDENCE_OF_ONE", 4)
    commitment = net.sequencer.order.commit().commitment.message
    core = net["auditor"].core

    def two_votes(index, height):
        votes = [vote_of(net, index, replace(commitment, height=height, round=round)) for round in (0, 1)]
        return Evidence.of(ConflictingVotes(first=votes[0], second=votes[1]))

    for height in range(1, 10):
        core.take_evidence(two_votes(1, height))
    assert len(core.evidence) == 4
    core.take_evidence(two_votes(2, 1))
    assert len(core.evidence) == 5
    monkeypatch.setattr(core_module, "MAX_EVIDENCE", 5)
    core.take_evidence(two_votes(3, 1))
    assert len(core.findings) == len(core.evidence) == 5


def test_memory_stays_the_same_however_many_heights_there_are(clear_net):
    net = clear_net
    sizes = []
    for at in range(3):
        for _ in range(KEPT_HEIGHTS + 6):
            net.commit()
            net.deliver_all()
        net.run(*transfers(net, at))
        core = net["member-1"].core
        chain, (ballot,) = core.follower.chain, core._ballots.values()
        sizes.append(
            (
                len(chain._heights),
                len(core.follower._states),
                len(core.follower._certificates),
                len(ballot._votes),
                len(core._early) + len(core._wanted) + len(core._held),
                len(list(core.store.scan("checkpoint"))),
            )
        )
    assert sizes[0][0] == KEPT_HEIGHTS
    assert sizes[1] == sizes[2]
    assert sizes[2][-1] <= 2


# --- what the processes do around their cores ------------------------------------------------------------------------


def test_parameters_that_are_not_those_of_the_key_set_are_not_kept(net):
    """They would stand in the way of the right ones for ever."""
    signed = net.world.committee.signed
    signed = replace(signed, message=replace(signed.message, epoch=2, parameter_digest=parameter_digest(b"right")))

    def source(data):
        async def call(name, **options):
            return data

        return SimpleNamespace(url="http://node", call=call)

    with service_on(net["auditor"]) as service:
        assert refusal(asyncio.run, service.take_key_set(source(b"right"), signed)) == "KEY-8"
        assert not service.core.home.has_parameters(signed.message)  # nobody is asked for what strangers name
        with suppress(PeerProblem):
            asyncio.run(service._fetch_parameters(source(b"wrong"), signed))
        assert not service.core.home.has_parameters(signed.message)
        asyncio.run(service._fetch_parameters(source(b"right"), signed))
        assert service.core.home.parameters(signed.message) == b"right"


def test_commitment_that_was_stored_when_its_write_failed_is_handed_out_all_the_same(clear_net, monkeypatch):
    """The sequencer makes no other for that height, and nobody could follow without it."""
    told = []
    with service_on(clear_net.sequencer, pace=Pace(interval_ms=1, heartbeat_ms=1)) as service:
        service.sequencer._store = store = FailingStore(service.sequencer._store)
        store.fail_at, store.written = 1, True
        monkeypatch.setattr(service, "publish", lambda out: told.extend(out.messages))
        service.looked_around.set()
        asyncio.run(until(lambda: len(told) >= 2, service._commit()))
    heights = [message.commitment.message.height for endpoint, message in told if endpoint == "propose"]
    assert heights[:2] == [1, 2]


def test_sequencer_goes_on_when_its_follower_cannot_store_a_commitment(clear_net, monkeypatch):
    told = []
    with service_on(clear_net.sequencer, pace=Pace(interval_ms=1, heartbeat_ms=1)) as service:
        service.core.store = store = FailingStore(service.core.store)
        store.fail_at = 1
        monkeypatch.setattr(service, "publish", lambda out: told.extend(out.messages))
        service.looked_around.set()
        asyncio.run(until(lambda: len(told) >= 3, service._commit()))
    heights = [message.commitment.message.height for endpoint, message in told if endpoint == "propose"]
    assert heights[:3] == [1, 2, 3]


@pytest.mark.parametrize("problem", [StorageError("the disk is full"), EnvironmentProblem("the disk is full")])
def test_member_attends_to_its_ceremonies_again_after_a_full_disk(net, monkeypatch, problem):
    monkeypatch.setattr(member_service, "_RETRY_S", 0.001)
    monkeypatch.setattr(member_service, "_TICK_S", 0.001)
    calls = []

    def tick(*, now):
        calls.append(now)
        if len(calls) == 1:
            raise problem
        return ()

    with service_on(net["member-1"]) as service:
        monkeypatch.setattr(service._desk, "tick", tick)
        asyncio.run(until(lambda: len(calls) >= 3, service._attend()))


def test_restored_member_finds_its_floor_again_after_a_full_disk_net_5(net, monkeypatch):
    monkeypatch.setattr(member_service, "_RETRY_S", 0.001)
    mark(net["member-1"])

    async def certified_head(peer):
        return 3

    with service_on(net["member-1"], members=tuple(f"http://127.0.0.1:{port}" for port in (2, 3, 4))) as service:
        service.core.store = store = FailingStore(service.core.store)
        store.fail_at = 1
        monkeypatch.setattr(service, "_certified_head", certified_head)
        asyncio.run(service._find_floor())
        assert service.core._floor == 3 + 2 * MAX_UNEXECUTED
        assert not service.core.is_restored
        assert store.writes == 2


# --- heights that are given up


def one(net, person, nonce=0):
    """A transfer of one person's."""
    return (net.world.transfer(net.world.people[person], nonce, valid_until=10**6),)


def abstain_all(net, after_ms=1_000):
    """Members see their clocks go on and nothing else."""
    for node in net.members:
        if node.up:
            node.act(node.core.abstain_stalled, after_ms)
    net.clock.now_ms += after_ms
    for node in net.members:
        if node.up:
            node.act(node.core.abstain_stalled, after_ms)


def stall(net, *transactions):
    """A commitment that nobody but the sequencer gets to see in full: its members cannot vote."""
    proposal = net.commit(*transactions)
    net.letters = deque(letter for letter in net.letters if letter.endpoint != "propose")
    net.deliver_all()
    for node in net.members:
        node.core.head = max(node.core.head, proposal.commitment.message.height)
    return proposal


def test_height_without_a_certificate_is_dropped_and_the_network_goes_on_drp_1(net):
    net.run(*one(net, 0))
    lost = stall(net, *one(net, 0, 1))
    abstain_all(net)
    net.settle(2)
    assert all(node.told("dropped") == [{"height": 2}] for node in net.up())
    net.run()
    net.require_agreement()
    sender = lost.transactions[0].header.sender
    assert net.sequencer.core.follower.latest.nonce(sender) == 1
    status = net.sequencer.order.status(lost.transactions[0].tx_id, net.sequencer.core.history)
    assert (status.state, status.height) == ("dropped", 2)
    again = one(net, 0, 1)
    net.run(*again)
    assert net.sequencer.core.follower.latest.nonce(sender) == 2


def test_height_that_waits_less_than_the_stall_is_not_given_up(net):
    stall(net, *one(net, 0))
    for node in net.members:
        node.act(node.core.abstain_stalled, 10**9)
        node.act(node.core.abstain_stalled, 10**9)
    assert not any(node.told("abstained") for node in net.up())


def test_two_abstentions_of_four_drop_nothing_and_two_votes_certify_nothing(net):
    proposal = net.commit(*one(net, 0))
    kept = [letter for letter in net.letters if letter.recipient in ("member-1", "member-2", "sequencer")]
    net.letters = deque(kept)
    net.deliver_all()
    for node in net.members[2:]:
        node.core.head = 1
        node.act(node.core.abstain_stalled, 0)
    net.deliver_all()
    assert not any(node.told("dropped") or node.height for node in net.up())
    for node in net.members[:1]:
        node.act(node.core.abstain_stalled, 0)
    net.settle(1)
    assert net["auditor"].core.history.reveal(1) is None
    assert proposal.transactions[0].header.nonce == 0
    net.require_agreement()


def test_dropped_batch_can_never_be_opened_afterwards_shr_2(net):
    """The certificate comes later: three of four members abstained, and none of them makes a share."""
    lost = stall(net, *one(net, 0))
    abstain_all(net)
    net.settle(1)
    late = certificate_of(net, lost.commitment.message)
    for node in net.members:
        member = node.core.member_of(node.core.follower.committee)
        assert refusal(lambda role=member: role.vote(lost, now_ms=net.clock())) == "VOT-10"
        assert refusal(member.release, late) in ("SHR-2", "CRT-3")
    for node in net.up():
        node.act(node.core.take_share, release_of(net, 4, lost, certificate=late))
        node.act(node.core.take_height, record_of(lost, certificate=late))
        assert (node.height, node.core.history.reveal(1)) == (1, None)
    net.require_one_signature()


def test_member_that_abstained_releases_nothing_that_is_built_on_that_height_shr_4(net):
    first, second = net.commit(*one(net, 0)), net.commit(*one(net, 1))
    member = net["member-1"].core
    member.take_proposal(first)
    member.take_proposal(second)
    role = member.member_of(member.follower.committee)
    member._perform(role.abstain(1))
    for proposal in (first, second):
        member.take_vote(vote_of(net, 2, proposal.commitment.message))
        member.take_vote(vote_of(net, 3, proposal.commitment.message))
    for proposal, rule in ((first, "SHR-2"), (second, "SHR-4")):
        assert refusal(role.release, certificate_of(net, proposal.commitment.message)) == rule


def test_member_that_released_above_does_not_abstain_below_shr_4(net):
    first, second = net.commit(*one(net, 0)), net.commit(*one(net, 1))
    member = net["member-1"].core
    member.take_proposal(first)
    member.take_proposal(second)
    role = member.member_of(member.follower.committee)
    member._perform(role.release(certificate_of(net, second.commitment.message)))
    assert refusal(role.abstain, 1) == "SHR-4"


def test_heights_built_on_a_dropped_one_are_dropped_as_well_and_their_senders_are_free(net):
    lost = [stall(net, *one(net, person)) for person in range(3)]
    abstain_all(net)
    net.settle(3)
    net.run(*one(net, 5))
    net.require_agreement()
    state = net.sequencer.core.follower.latest
    assert [state.nonce(proposal.transactions[0].header.sender) for proposal in lost] == [0, 0, 0]
    assert net.sequencer.order.sequencer.next_nonce(lost[0].transactions[0].header.sender) == 0


def test_restarts_find_dropped_heights_as_they_were(net):
    net.run(*one(net, 0))
    stall(net, *one(net, 0, 1))
    abstain_all(net)
    net.settle(2)
    roots = [node.core.follower.latest.root for node in net.up()]
    for node in net.up():
        node.restart()
    assert [node.core.follower.latest.root for node in net.up()] == roots
    net.run(*one(net, 2))
    net.require_agreement()


def test_node_that_was_away_takes_a_dropped_height_from_others_net_3(net):
    """NET-7: abstentions were passed on among the others, and the certificate they make stands in the record."""
    net["auditor"].up = False
    stall(net, *one(net, 0))
    abstain_all(net)
    net.settle(1)
    net.run(*one(net, 1))
    net["auditor"].up = True
    net["auditor"].core.head = 2
    net.settle()
    net.require_agreement()


def test_abstention_of_a_stranger_or_another_committee_counts_for_nothing_drp_1(net):
    committee = net["auditor"].core.follower.committee
    message = Abstain(committee_id=committee.committee_id, height=1)
    stranger = SignedAbstain(message=message, signature=net.world.sign(net.world.stranger, message))
    assert refusal(net["auditor"].core.take_abstention, stranger) == "DRP-1"
    other = Abstain(committee_id=b"\1" * 32, height=1)
    signed = SignedAbstain(message=other, signature=net.world.sign(net.world.member_identity(1), other))
    assert refusal(net["auditor"].core.take_abstention, signed) == "DRP-1"


def test_commitment_that_comes_after_its_height_was_dropped_is_no_evidence(net):
    lost = stall(net, *one(net, 0))
    abstain_all(net)
    net.settle(1)
    for node in net.up():
        node.act(node.core.take_proposal, lost)
    assert all(node.evidence == set() for node in net.up())


def test_history_with_a_dropped_height_is_verified_from_outside(world):
    network = world.network
    world.run_height(world.encrypt(world.payload(world.people[0]), world.people[0]))
    network.submit(world.encrypt(world.payload(world.people[1]), world.people[1]).encoded)
    network.commit()
    assert network.abstain(2)
    network.execute()
    world.run_height(world.encrypt(world.payload(world.people[2]), world.people[2]))
    history = audit.export(world.restart())
    report = audit.verify(history)
    assert (report.heights, report.executed_height, report.dropped, report.transactions) == (3, 3, (2,), 2)
    assert report.pending == 1


def only_proposals(net):
    """Everybody gets to see what is committed, and hears nothing that others say of it."""
    net.letters = deque(letter for letter in net.letters if letter.endpoint == "propose")
    for letter in tuple(net.letters):
        net.deliver(letter)
    net.letters.clear()


def abstentions(net, height, members=(1, 2, 3)):
    message = Abstain(committee_id=net.world.committee.committee_id, height=height)
    return [
        SignedAbstain(message=message, signature=net.world.sign(net.world.member_identity(index), message))
        for index in members
    ]


def drop_of(net, height, members=(1, 2, 3)):
    signed = abstentions(net, height, members)
    return DropCertificate(abstention=signed[0].message, signatures=tuple(one.signature for one in signed))


@pytest.mark.parametrize("restarted", [False, True])
def test_empty_batch_that_members_voted_for_is_not_given_up_shr_5(net, restarted):
    """Else its certificate and the abstentions could both be complete: some execute it, others what DRP-4 derives."""
    net.commit()
    only_proposals(net)
    if restarted:
        for node in net.members:
            node.restart()
        net.letters.clear()
    abstain_all(net)
    assert not any(node.told("abstained") for node in net.up())
    net.settle(1)
    net.require_agreement()


@pytest.mark.parametrize("restarted", [False, True])
def test_empty_batch_built_on_a_dropped_height_is_given_up_as_well_shr_5(net, restarted):
    net.commit(*one(net, 0))
    net.commit()
    only_proposals(net)
    abstain_all(net)
    if restarted:
        net.letters.clear()
        for node in net.members:
            for signed in abstentions(net, 1):
                node.act(node.core.take_abstention, signed)
            node.restart()
            node.core.head = 2
        net.letters.clear()
    else:
        net.deliver_all()
    assert all(node.core.follower.chain.certified == 1 for node in net.members)
    abstain_all(net)
    net.settle(2)
    net.run(*one(net, 1))
    net.require_agreement()


def test_certificate_and_drop_of_an_empty_batch_need_one_member_too_many_shr_5(net):
    """Whoever of four votes for it never abstains, restarted or not: three votes leave one abstention."""
    proposal = net.commit()
    only_proposals(net)
    for node in net.members:
        role = node.core.member_of(node.core.follower.committee)
        assert role.vote(proposal, now_ms=net.clock())
        assert refusal(role.abstain, 1) == "SHR-5"


def test_height_dropped_below_dropped_ones_derives_them_anew_drp_3(net):
    proposals = [net.commit(*one(net, person)) for person in range(3)]
    net.letters.clear()
    node = net["auditor"]
    follower = node.core.follower
    for proposal in proposals:
        node.core._perform(follower.propose(proposal))
    for proposal in proposals[:2]:
        node.core._perform(follower.certify(certificate_of(net, proposal.commitment.message)))
    for height in (3, 1, 2):
        node.core._perform(follower.drop(drop_of(net, height)))
    chain = [follower.chain.at(height).commitment for height in (1, 2, 3)]
    assert [below.root for below in chain[:2]] == [above.parent for above in chain[1:]]
    assert follower.chain.next_height == 4
    follower.advance()
    assert (follower.latest.height, follower.latest.commitment) == (3, chain[2])
    node.restart()
    assert node.core.follower.latest.root == follower.latest.root
    assert node.core.follower.latest.commitment == chain[2]


def test_uncertified_commitment_in_place_of_a_dropped_height_is_not_settled_drp_3(net):
    """A height stays dropped, and is open until what is below it is settled."""
    proposals = [net.commit(*one(net, person)) for person in range(3)]
    net.letters.clear()
    follower = net["auditor"].core.follower
    for proposal in proposals:
        follower.propose(proposal)
    for proposal in proposals[:2]:
        follower.certify(certificate_of(net, proposal.commitment.message))
    follower.drop(drop_of(net, 3))
    follower.drop(drop_of(net, 1))
    assert follower.chain.next_height == 2
    assert not follower._is_settled(3)
    assert refusal(follower.drop, drop_of(net, 3)) == "DRP-3"
    follower.drop(drop_of(net, 2))
    assert follower._is_settled(3)


def test_restart_after_a_drop_above_a_height_whose_own_certificate_never_came(net):
    """A certificate for what is built on it stood for it, and is void since."""
    first, second = net.commit(*one(net, 0)), net.commit(*one(net, 1))
    net.letters.clear()
    node = net["auditor"]
    follower = node.core.follower
    for proposal in (first, second):
        node.core._perform(follower.propose(proposal))
    node.core._perform(follower.certify(certificate_of(net, second.commitment.message)))
    node.core._perform(follower.drop(drop_of(net, 2)))
    node.restart()
    chain = node.core.follower.chain
    assert (chain.next_height, chain.at(2).commitment) == (3, follower.chain.at(2).commitment)


@pytest.mark.parametrize("restarted", [False, True])
def test_sequencer_builds_nothing_on_what_is_void_seq_15(net, restarted):
    """SEQ-15: the last commitment is not dropped yet, but built on one that is."""
    lost = [stall(net, *one(net, person)) for person in range(2)]
    for node in net.up():
        for signed in abstentions(net, 1):
            node.act(node.core.take_abstention, signed)
    net.letters.clear()
    if restarted:
        net.sequencer.restart()
        net.letters.clear()
    assert refusal(net.sequencer.order.commit) == "SEQ-5"
    statuses = [net.sequencer.order.status(p.transactions[0].tx_id, net.sequencer.core.history) for p in lost]
    assert [(status.state, status.height) for status in statuses] == [("dropped", 1), ("dropped", 2)]
    abstain_all(net)
    net.settle(2)
    assert net.run(*one(net, 2)).commitment.message.height == 3
    net.require_agreement()


def test_height_above_the_end_of_the_key_is_not_given_up_drp_6(net):
    core = net["member-1"].core
    role = core.member_of(core.follower.committee)
    end = role.committee.key_set.valid_until
    assert refusal(role.abstain, end + 1) == "DRP-6"
