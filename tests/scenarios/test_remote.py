"""A network behind one node's address, when that node is hostile: a stub on a real socket answers whatever it likes.

Holds CLI-1 to CLI-3 of specs/nodes.md.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from concurrent.futures import Future
from dataclasses import replace

import pytest
from click.testing import CliRunner

from cli.main import main
from encmempool.client import Client
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.home import Home
from encmempool.keysets import public_material, sign_key_set, successor_key_set
from encmempool.network.endpoints import ENDPOINTS, Raw
from encmempool.network.peer import BlockingPeer, PeerProblem
from encmempool.network.remote import Pins, RemoteNetwork
from encmempool.network.server import Application, Limits, Listener, Problem, serve
from encmempool.network.wire import KeySetList
from encmempool.types import ZERO_HASH, signing_digest
from threshold.keys import parameter_digest

HOST = "127.0.0.1"
SSZ = "application/octet-stream"
TX_ID = bytes(31) + b"\x01"
ADDRESS, TOKEN = b"\x11" * 20, b"\x22" * 20


class Node:
    """Answers each endpoint with what stands in `answers`: a value, an exception, or a call."""

    def __init__(self, endpoints=ENDPOINTS):
        self.answers = {}
        self.asked = []
        self._endpoints = endpoints
        self._started = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def _handler(self, name):
        async def answer(call):
            self.asked.append(name)
            answer = self.answers.get(name)
            if callable(answer):
                answer = answer(call)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return answer

    async def _run(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        handlers = {endpoint.name: self._handler(endpoint.name) for endpoint in self._endpoints}
        limits = Limits(exempt=frozenset({HOST}))
        application = Application(handlers, endpoints=self._endpoints, limits=limits)
        await serve(application, Listener(), started=self._started.set_result, stop=self._stop)

    def __enter__(self):
        self._thread.start()
        self.url = f"http://{HOST}:{self._started.result(5)}"
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)


def garbled(*names):
    """The interface, but for these endpoints, whose answers are any bytes."""
    return tuple(replace(e, response=Raw(SSZ)) if e.name in names else e for e in ENDPOINTS)


@pytest.fixture(scope="module")
def network(new_world, tmp_path_factory):
    """A world whose keys the test holds; its committee, and the next one's signed key set."""
    world = new_world(tmp_path_factory.mktemp("remote") / "home")
    world.successor = signed_successor(world)
    return world


def signed_successor(world, *, members=(1, 2, 3), **changes):
    committee = world.committee
    key_set = successor_key_set(
        committee.key_set,
        public_material(committee.key_set),
        members=committee.key_set.members,
        start=(5, b"\x01" * 32, 2),
        setup_kind=committee.key_set.setup_kind,
        setup_privacy=committee.key_set.setup_privacy,
        batch_limit=committee.key_set.batch_limit,
    )
    return signed(world, replace(key_set, **changes), members)


def signed(world, key_set, members):
    digest = signing_digest(key_set, world.committee.genesis.root)
    signers = [world.stranger if index == "stranger" else world.member_identity(index) for index in members]
    return sign_key_set(key_set, [signer.sign(digest) for signer in signers])


def honest_answers(network):
    genesis = network.committee.genesis
    return {
        "genesis": genesis,
        "key_sets": KeySetList(key_sets=(network.committee.signed,)),
        "parameters": b"",
        "node": {"head": "7"},
        "account": {
            "next_nonce": "3",
            "balance": str(10**18),
            "tokens": {f"0x{TOKEN.hex()}": "5"},
        },
        "pools": {
            "pools": [
                {"token0": f"0x{ADDRESS.hex()}", "token1": f"0x{TOKEN.hex()}", "reserve0": "1", "reserve1": "2"},
            ]
        },
        "transaction_status": {
            "state": "executed",
            "sequence": "1",
            "height": "2",
            "position": "0",
            "success": True,
            "reason": "",
            "gas_used": "21000",
            "fee": "9",
            "amount_in": "0",
            "amount_out": "0",
        },
    }


@pytest.fixture
def node(network):
    """Hostile only where a test makes it so."""
    with Node() as running:
        running.answers = honest_answers(network)
        yield running


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "client")


@pytest.fixture(autouse=True)
def peers(monkeypatch):
    """Those that were made. A command leaves its connections to the end of its process; here they are closed."""
    made = []

    class Recorded(BlockingPeer):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr("encmempool.network.remote.BlockingPeer", Recorded)
    yield made
    for peer in made:
        peer.close()


@pytest.fixture
def connect(node, home, network):
    """The network behind the node, pinned by its true root."""

    def connect(**options):
        options.setdefault("genesis_root", network.committee.genesis.root)
        return RemoteNetwork(node.url, home, **options)

    return connect


def kept(home):
    """Everything that is in the client's home."""
    return sorted(str(path.relative_to(home.path)) for path in home.path.rglob("*") if path.is_file())


def refusal(call, *arguments, **options):
    with pytest.raises((Malformed, Rejected)) as caught:
        call(*arguments, **options)
    require_one_line(caught.value)
    return getattr(caught.value, "rule", "malformed")


def require_one_line(error):
    assert str(error).isprintable()
    assert len(str(error)) < 400


# --- an honest node --------------------------------------------------------------------------------------------------


def test_network_of_an_honest_node_is_used_and_pinned(node, home, connect, network):
    remote = connect()
    assert remote.genesis == network.committee.genesis
    assert remote.committees[0].key_set == network.committee.key_set
    assert remote.head == 7
    assert remote.committee.committee_id == network.committee.committee_id
    account = remote.account(ADDRESS)
    assert (account.next_nonce, account.balance, account.tokens) == (3, 10**18, {TOKEN: 5})
    assert [(pool.token0, pool.reserve1) for pool in remote.pools()] == [(ADDRESS, 2)]
    assert remote.status(TX_ID).state == "executed"
    assert Pins(home).root_of(node.url) == network.committee.genesis.root
    assert connect(genesis_root=None).genesis == remote.genesis


def test_receipt_is_believed_for_the_sequencers_signature_alone(node, connect, network):
    transaction = network.transfer(network.people[0])
    remote = connect()
    node.answers["submit_transaction"] = network.receipt(transaction, 4)
    assert remote.submit(transaction).message.sequence == 4
    node.answers["submit_transaction"] = network.receipt(transaction, 4, network.stranger)
    assert refusal(remote.submit, transaction) == "SEQ-6"
    node.answers["submit_transaction"] = network.receipt(network.transfer(network.people[1]), 4)
    assert refusal(remote.submit, transaction) == "SEQ-7"


# --- the genesis -----------------------------------------------------------------------------------------------------


def test_network_that_nobody_pinned_is_not_believed_to_be_any_cli_1(node, home):
    with pytest.raises(EnvironmentProblem, match="--genesis-root"):
        RemoteNetwork(node.url, home)
    assert node.asked == []


def test_genesis_that_is_not_the_pinned_one_is_refused_cli_1(node, home, connect, network, peers):
    node.answers["genesis"] = replace(network.committee.genesis, timestamp_ms=1)
    assert refusal(connect) == "CLI-1"
    assert [peer._client.is_closed for peer in peers] == [True]
    assert kept(home) == []
    node.answers["genesis"] = network.committee.genesis
    connect()


def test_node_that_changed_its_network_is_refused_by_the_pin_cli_1(node, connect, home, network):
    connect()
    other = replace(network.committee.genesis, timestamp_ms=1)
    node.answers["genesis"] = other
    assert connect(genesis_root=None).genesis == network.committee.genesis
    shutil.rmtree(home.path / "networks" / network.committee.genesis.root.hex()[:16])
    assert refusal(connect, genesis_root=None) == "CLI-1"


def test_address_that_is_pinned_to_one_network_is_not_pinned_to_another_cli_1(node, connect, home, network):
    Pins(home).pin(node.url, b"\x07" * 32)
    with pytest.raises(ValueError, match="pinned to the network 0x0707"):
        connect()
    assert refusal(connect, genesis_root=None) == "CLI-1"


def test_genesis_that_was_exchanged_in_the_home_is_refused_cli_1(node, connect, home, network):
    """Another network may have a root that begins alike."""
    connect()
    folder = home.path / "networks" / network.committee.genesis.root.hex()[:16]
    (folder / "genesis.json").unlink()
    Home(folder).write_genesis(replace(network.committee.genesis, timestamp_ms=1))
    assert refusal(connect) == "CLI-1"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"http://x": 5}', '{"http://x": "0xzz"}', '{"http://x": "0x0102"}', "[" * 10_000]
)
def test_damaged_pins_are_told_in_one_line(node, home, connect, text):
    connect()
    (home.path / "networks" / "pins.json").write_text(text)
    assert refusal(connect, genesis_root=None) == "malformed"


# --- key sets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ((), "KEY-2"),
        ((1, 2), "KEY-2"),
        ((1, 2, "stranger"), "KEY-2"),
        ((1, 2, 2), "KEY-2"),
        ((2, 1, 3), "KEY-2"),
        (("stranger",) * 3, "KEY-2"),
    ],
    ids=["nobody", "too-few", "a-stranger", "one-twice", "out-of-order", "strangers"],
)
@pytest.mark.parametrize("successor", [False, True], ids=["first", "successor"])
def test_key_set_without_its_signatures_is_not_used_cli_2(node, home, connect, network, members, rule, successor):
    first = network.committee.signed
    forged = signed(network, (network.successor if successor else first).message, members)
    node.answers["key_sets"] = KeySetList(key_sets=(first, forged) if successor else (forged,))
    assert refusal(connect) == ("KEY-8" if successor else rule)
    assert not [name for name in kept(home) if "key-set" in name or "pins" in name]


def wrong_key_sets(network):
    first, following = network.committee.signed, network.successor
    yield "the-successor-first", (following, first), "KEY-2"
    yield "the-successor-alone", (following,), "KEY-2"
    yield "the-first-twice", (first, first), "KEY-8"
    yield "one-left-out", (first, signed_successor(network, epoch=3)), "KEY-8"
    yield "of-another-predecessor", (first, signed_successor(network, predecessor=b"\x01" * 32)), "KEY-8"
    yield "of-another-network", (first, signed_successor(network, genesis_root=b"\x01" * 32)), "KEY-1"
    yield "another-threshold", (first, signed_successor(network, t=1)), "KEY-4"
    yield "from-the-past", (first, signed_successor(network, start_height=1)), "KEY-9"
    yield "another-key", (first, signed_successor(network, key_id=b"\x01" * 32, start_round=0)), "KEY-3"
    yield "the-key-under-no-name", (first, signed_successor(network, start_parent=ZERO_HASH)), "KEY-9"


@pytest.mark.parametrize("case", range(10))
def test_key_set_that_does_not_descend_from_the_genesis_is_not_used_cli_2(node, home, connect, network, case):
    _, key_sets, rule = list(wrong_key_sets(network))[case]
    node.answers["key_sets"] = KeySetList(key_sets=key_sets)
    assert refusal(connect) == rule
    assert not [name for name in kept(home) if "key-set" in name or "pins" in name]


def test_successor_that_its_predecessor_signed_is_used_cli_2(node, home, connect, network):
    remote = connect()
    node.answers["key_sets"] = KeySetList(key_sets=(network.committee.signed, network.successor))
    remote.refresh()
    assert [committee.key_set.epoch for committee in remote.committees] == [1, 2]
    assert remote.committee.key_set.epoch == 2
    assert remote.committee_at(4).key_set.epoch == 1


def test_receipts_are_those_of_the_newest_key_sets_sequencer(node, connect, network):
    following = signed_successor(network, sequencer=network.stranger.address)
    node.answers["key_sets"] = KeySetList(key_sets=(network.committee.signed, following))
    remote, transaction = connect(), network.transfer(network.people[0])
    assert remote.sequencers == {network.sequencer_identity.address, network.stranger.address}
    node.answers["submit_transaction"] = network.receipt(transaction, 4)
    assert refusal(remote.submit, transaction) == "SEQ-6"
    node.answers["submit_transaction"] = network.receipt(transaction, 4, network.stranger)
    assert remote.submit(transaction).message.sequence == 4


def test_node_that_does_not_know_the_newest_key_set_is_refused_cli_3(node, connect, network):
    node.answers["key_sets"] = KeySetList(key_sets=(network.committee.signed, network.successor))
    remote = connect()
    node.answers["key_sets"] = KeySetList(key_sets=(network.committee.signed,))
    assert refusal(remote.refresh) == "CLI-3"
    assert len(remote.committees) == 2
    assert refusal(connect) == "CLI-3"
    node.answers["key_sets"] = KeySetList(key_sets=(network.committee.signed, network.successor))
    connect()


def test_node_that_knows_another_successor_is_refused_cli_3(node, connect, network):
    """Well signed: the predecessor's members signed two."""
    node.answers["key_sets"] = KeySetList(key_sets=(network.committee.signed, network.successor))
    connect()
    other = signed_successor(network, start_height=6)
    node.answers["key_sets"] = KeySetList(key_sets=(network.committee.signed, other))
    assert refusal(connect) == "CLI-3"


def test_forgetful_node_is_refused_at_another_address_of_the_same_network_cli_3(node, connect, home, network):
    node.answers["key_sets"] = KeySetList(key_sets=(network.committee.signed, network.successor))
    connect()
    with Node() as other:
        other.answers = honest_answers(network)
        assert refusal(RemoteNetwork, other.url, home, genesis_root=network.committee.genesis.root) == "CLI-3"
        assert Pins(home).root_of(other.url) is None


def test_network_without_a_key_set_is_not_ready(node, connect):
    node.answers["key_sets"] = KeySetList(key_sets=())
    with pytest.raises(EnvironmentProblem, match="no key set yet"):
        connect()


def test_wrong_parameters_are_not_kept_in_the_place_of_the_right_ones(node, home, connect, network):
    digest = parameter_digest(b"right")
    node.answers["key_sets"] = KeySetList(
        key_sets=(network.committee.signed, signed_successor(network, parameter_digest=digest))
    )
    node.answers["parameters"] = b"wrong"
    with pytest.raises(PeerProblem, match="other parameters"):
        connect()
    assert not [name for name in kept(home) if "parameters" in name]
    node.answers["parameters"] = b"right"
    assert refusal(connect) == "KEY-3"  # tdh2 has none, and it got as far as that


# --- answers that make no sense --------------------------------------------------------------------------------------

ANY = [None, 5, -1, 1.5, True, [], {}, "", "x", "-1", "+1", "01", " 1", "1_0", "١", "0x1", "1" * 5000, str(2**256)]
"""What stands where a number should."""
LINES = ["\x1b[2J", "two\nlines", "x" * 5000, "\u202e"]
"""What a terminal should not be sent."""


def nonsense():
    """The endpoint asked, and what its answer has in the place of something right."""
    yield from (("node", {"head": value}) for value in [*ANY, str(2**63)])
    yield "node", {}
    for field in ("next_nonce", "balance"):
        yield from (("account", {field: value}) for value in ANY)
    tokens = [None, [], "x", {"0x22": "1"}, {"x": "1"}, {TOKEN.hex(): "1"}]
    yield from (("account", {"tokens": value}) for value in tokens)
    yield from (("account", {"tokens": {f"0x{TOKEN.hex()}": value}}) for value in ANY)
    yield from (("pools", {"pools": value}) for value in [None, 5, "x", [5], ["x"], [{}], [None]])
    pool = {"token0": f"0x{ADDRESS.hex()}", "token1": f"0x{TOKEN.hex()}", "reserve0": "1", "reserve1": "2"}
    yield from (("pools", {"pools": [pool | {"reserve0": value}]}) for value in ANY)
    addresses = [None, 5, "x", "0x", "0x11", ADDRESS.hex()]
    yield from (("pools", {"pools": [pool | {"token0": value}]}) for value in addresses)
    for field in ("sequence", "height", "position", "gas_used", "fee", "amount_in", "amount_out"):
        yield from (("transaction_status", {field: value}) for value in ANY if value is not None)
    yield from (("transaction_status", {"state": value}) for value in [None, 5, "x", [], "EXECUTED", *LINES])
    yield from (("transaction_status", {"reason": value}) for value in [None, 5, [], *LINES])
    yield from (("transaction_status", {"success": value}) for value in [5, "x", []])
    yield "transaction_status", {"state": None}


CALLS = {
    "node": lambda remote: remote.head,
    "account": lambda remote: remote.account(ADDRESS),
    "pools": lambda remote: remote.pools(),
    "transaction_status": lambda remote: remote.status(TX_ID),
}


def test_answers_that_make_no_sense_are_told_in_one_line(node, connect, network):
    remote, tried = connect(), 0
    for endpoint, wrong in nonsense():
        honest = honest_answers(network)[endpoint]
        missing = {name: value for name, value in honest.items() if name not in wrong}
        for document in (honest | wrong, missing):
            node.answers[endpoint] = document if wrong else {}
            with pytest.raises(PeerProblem, match="answers nonsense about") as caught:
                CALLS[endpoint](remote)
            require_one_line(caught.value)
            assert node.url in str(caught.value)
            tried += 1
    assert tried > 300


@pytest.mark.parametrize("name", ["genesis", "key_sets"])
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 1000, bytes(100_000)], ids=["none", "a-byte", "ones", "zeros"])
def test_bytes_that_are_no_object_are_told_in_one_line(network, home, name, data):
    with Node(garbled("genesis", "key_sets")) as node:
        honest = honest_answers(network)
        node.answers = {"genesis": honest["genesis"].encoded, "key_sets": honest["key_sets"].encoded, name: data}
        with pytest.raises(PeerProblem, match="does not answer as a node does") as caught:
            RemoteNetwork(node.url, home, genesis_root=network.committee.genesis.root)
        require_one_line(caught.value)


def test_genesis_that_no_ledger_can_start_from_is_malformed_even_if_it_is_pinned(node, home, network):
    impossible = replace(network.committee.genesis, accounts=network.committee.genesis.accounts[:1] * 2)
    node.answers["genesis"] = impossible
    assert refusal(RemoteNetwork, node.url, home, genesis_root=impossible.root) == "malformed"
    assert kept(home) == []


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem(422, "rejected", "the nonce is 7", rule="MEM-4"), (Rejected, "the nonce is 7")),
        (Problem(400, "malformed", "no envelope"), (Malformed, "no envelope")),
        (Problem(429, "rate_limited", "slowly", retry_after_s=1), (EnvironmentProblem, "slowly")),
        (Problem(503, "not_ready", "no key set", retry_after_s=1), (EnvironmentProblem, "no key set")),
        (ZeroDivisionError(), (EnvironmentProblem, "a mistake of this node")),
        (Problem(422, "rejected", "\x1b[31m" + "x" * 5000, rule="MEM-4"), (Rejected, r"\?\[31mx")),
    ],
    ids=["rule", "malformed", "too-many", "not-ready", "internal", "words-for-the-terminal"],
)
def test_refusal_of_a_node_is_an_error_of_ours(node, connect, network, problem, expected):
    remote = connect()
    node.answers["submit_transaction"] = problem
    kind, words = expected
    with pytest.raises(kind, match=words) as caught:
        remote.submit(network.transfer(network.people[0]))
    assert str(caught.value).isprintable()
    if isinstance(problem, Problem) and problem.rule:
        assert caught.value.rule == problem.rule


def test_node_that_is_not_there_is_told_in_one_line(home, network):
    with pytest.raises(PeerProblem, match="cannot be reached"):
        RemoteNetwork("http://127.0.0.1:9", home, genesis_root=network.committee.genesis.root)
    assert kept(home) == []


def test_node_that_is_silent_is_given_up(node, home, network):
    started = threading.Event()

    def wait(call):
        started.set()
        threading.Event().wait(0.5)
        return network.committee.genesis

    node.answers["genesis"] = wait
    with pytest.raises(PeerProblem, match=r"within 0\.2 s"):
        RemoteNetwork(node.url, home, genesis_root=network.committee.genesis.root, timeout_s=0.2)
    assert started.is_set()


# --- as a user meets it ----------------------------------------------------------------------------------------------


def command(home, node, network, *arguments):
    root = f"0x{network.committee.genesis.root.hex()}"
    options = ["--home", str(home.path), "--node", node.url, "--genesis-root", root]
    return CliRunner().invoke(main, [*arguments[:1], *options, *arguments[1:]])


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ({"transaction_status": {"state": "\x1b[2J"}}, 3, "nonsense about a transaction"),
        ({"genesis": ZeroDivisionError()}, 3, "mistake of this node"),
        ({"key_sets": KeySetList(key_sets=())}, 3, "no key set yet"),
        ({"genesis": "another"}, 1, "CLI-1"),
        ({"key_sets": "unsigned"}, 1, "KEY-2"),
    ],
    ids=["status", "genesis-that-fails", "no-key-set", "genesis", "key-set"],
)
def test_command_ends_with_one_line_whatever_the_node_answers(node, home, network, answers, code, words):
    others = {
        "another": replace(network.committee.genesis, timestamp_ms=1),
        "unsigned": KeySetList(key_sets=(replace(network.committee.signed, signatures=()),)),
    }
    for name, answer in answers.items():
        node.answers[name] = others[answer] if isinstance(answer, str) else answer
    outcome = command(home, node, network, "status", TX_ID.hex())
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith("curve: ")]
    assert (outcome.exit_code, len(lines)) == (code, 1), outcome.output
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert lines[0].isprintable()


def test_client_encrypts_to_no_key_of_a_node_that_it_does_not_believe(node, home, network):
    node.answers["key_sets"] = KeySetList(key_sets=(replace(network.committee.signed, signatures=()),))
    client = Client(node.url, home=home.path, genesis_root=network.committee.genesis.root)
    payload = network.payload(network.people[0])
    assert refusal(client.encrypt, payload, network.people[0]) == "KEY-2"
    node.answers = honest_answers(network)
    envelope = client.encrypt(payload, network.people[0])
    assert envelope.header.key_id == network.committee.key_set.key_id
    assert envelope.header.valid_until == 107
    assert json.dumps(kept(home)).count("key-set") == 1
