"""A node's business on a real chain that stops, refuses, is slow, and forgets its last blocks."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("web3")

from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.evidence import ConflictingCommitments, Evidence
from encmempool.network.devnet_l1 import deployer_of, wait_for
from encmempool.network.nodes.l1_link import L1Link
from encmempool.npm import cache_directory
from encmempool.settlement import anvil
from encmempool.settlement.anvil import VERSION
from encmempool.settlement.deployment import Parameters
from encmempool.settlement.keeper import Keeper
from encmempool.settlement.l1 import L1
from encmempool.settlement.rehearsal import Network
from encmempool.settlement.site import Contracts, Site, connect, deploy
from encmempool.types import OrderCertificate, Proposal, SignedCommitment, SignedKeySet

pytestmark = pytest.mark.slow
DEPTH = 2
PARAMETERS = Parameters(
    unbonding_blocks=500,
    finality_blocks=50,
    challenge_blocks=200,
    answer_blocks=20,
    posting_blocks=10,
    stall_blocks=100,
)
GAS_MONEY = 10**19


@pytest.fixture(scope="module")
def binary():
    found = cache_directory() / f"anvil-{VERSION}"
    if not found.exists():
        pytest.skip("anvil is not in the cache: run `encmempool fetch anvil`")
    return found


class Chain:
    """Anvil as a process, with a block for each transaction."""

    def __init__(self, binary) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = anvil.command(binary, self.port)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"
        self.l1 = L1(self.url, timeout_s=5.0)
        wait_for(self.l1)

    def mine(self, blocks: int) -> None:
        self.l1.request("anvil_mine", hex(blocks))

    def forget(self, blocks: int) -> None:
        """Put empty blocks in the place of the last ones."""
        self.l1.request("anvil_reorg", blocks, [])


@pytest.fixture
def chain(binary) -> Iterator[Chain]:
    made = Chain(binary)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def contracts(chain, network) -> Contracts:
    deployer = deployer_of(None)
    made = deploy(chain.l1, deployer, network.genesis, PARAMETERS)
    made.collateral.send("deposit", network.sequencer.address, sender=deployer, wei=made.site.parameters.sequencer_bond)
    for member in network.members:
        made.collateral.send("deposit", member.address, sender=deployer, wei=made.site.parameters.member_bond)
    for party in (network.sequencer, network.user, *network.members):
        chain.l1.send(deployer, party.address, b"", wei=GAS_MONEY)
    return made


class Held:
    """What a node would have stored of a made-up chain of commitments."""

    def __init__(self, network: Network, heights: int) -> None:
        self.commitments = network.chain(heights)
        self._network = network

    def proposal(self, height: int) -> Proposal | None:
        if not 0 < height <= len(self.commitments):
            return None
        message = self.commitments[height - 1]
        signed = SignedCommitment(message=message, signature=self._network.sign(self._network.sequencer, message))
        return Proposal(commitment=signed, transactions=(), receipts=())

    def certificate(self, height: int) -> OrderCertificate | None:
        if not 0 < height <= len(self.commitments):
            return None
        vote = self._network.vote(self.commitments[height - 1])
        return OrderCertificate(vote=vote, signatures=self._network.all_sign(vote))

    def drop(self, height: int) -> None:
        return None


def keeper_of(contracts: Contracts, network: Network, held: Held, *, evidence=(), identity=None) -> Keeper:
    signed = SignedKeySet(message=network.first, signatures=network.all_sign(network.first))
    committee = SimpleNamespace(committee_id=network.first.root, key_set=network.first, signed=signed)
    return Keeper(
        contracts,
        identity or network.sequencer,
        held,  # type: ignore[arg-type]
        committees=lambda: [committee],  # type: ignore[list-item]
        evidence=lambda: evidence,
        posts=True,
        depth=DEPTH,
    )


def names(steps) -> list[str]:
    return [step.name for step in steps]


def test_what_a_reorganisation_took_back_is_done_again_and_once(chain, contracts, network):
    held = Held(network, 3)
    other = network.commitment(held.commitments[1], timestamp_ms=9)
    second = SignedCommitment(message=other, signature=network.sign(network.sequencer, other))
    caught = Evidence.of(ConflictingCommitments(first=held.proposal(3).commitment, second=second))
    keeper = keeper_of(contracts, network, held, evidence=[caught])
    assert names(keeper.step(3)) == ["registered", "settled", "convicted"]
    assert keeper.step(3) == []
    chain.forget(DEPTH)
    assert contracts.settlement.get("height") == 0
    assert contracts.collateral.get("bond", network.sequencer.address) > 0
    assert names(keeper.step(3)) == ["settled", "convicted"]
    assert contracts.settlement.get("height") == 3
    assert contracts.collateral.get("bond", network.sequencer.address) == 0
    chain.forget(DEPTH + 1)
    assert names(keeper.step(3)) == ["settled", "convicted"]
    chain.mine(DEPTH + 1)
    assert keeper.step(3) == []


def test_inbox_is_read_at_its_depth_only(chain, contracts, network):
    keeper = keeper_of(contracts, network, Held(network, 0))

    def post(data: bytes) -> None:
        fee = contracts.site.parameters.entry_fee + contracts.site.parameters.byte_fee * len(data)
        contracts.inbox.send("post", data, sender=network.user, wei=fee)

    post(b"first")
    block = chain.l1.block()
    assert keeper.inbox(0, 0) == (block - DEPTH, ())
    chain.forget(1)
    post(b"instead")
    chain.mine(DEPTH)
    head, entries = keeper.inbox(0, 0)
    assert [(entry.index, entry.data) for entry in entries] == [(0, b"instead")]
    assert keeper.inbox(1, head) == (head, ())


def test_answer_that_a_reorganisation_took_back_is_given_again(chain, contracts, network):
    held, member = Held(network, 2), network.members[0]
    keeper_of(contracts, network, held).step(1)
    keeper = keeper_of(contracts, network, held, identity=member)
    bond = contracts.site.parameters.challenge_bond
    share = network.signed(member, network.share(held.commitments[1], 1))
    contracts.challenges.send("challenge_early_share", *share, sender=network.user, wei=bond)
    chain.mine(DEPTH)
    assert names(keeper.step(1)) == ["answered"]
    assert keeper.step(1) == []
    chain.forget(1)
    assert contracts.collateral.get("claimable", member.address) == 0
    assert names(keeper.step(1)) == ["answered"]
    assert contracts.collateral.get("claimable", member.address) == bond
    chain.mine(DEPTH)
    assert keeper.step(1) == []


def test_chain_that_stops_is_said_in_one_line_and_nothing_is_sent_twice(chain, contracts, network):
    keeper = keeper_of(contracts, network, Held(network, 2))
    keeper._contracts.l1._web3.provider._request_kwargs["timeout"] = 1.0
    chain.process.send_signal(signal.SIGSTOP)
    with pytest.raises(EnvironmentProblem, match="does not answer as one") as problem:
        keeper.step(2)
    assert "\n" not in str(problem.value)
    chain.process.send_signal(signal.SIGCONT)
    assert names(keeper.step(2)) == ["registered", "settled"]
    posted = list(contracts.settlement.logs("Posted", first=0, last=chain.l1.block()))
    assert [found["height"] for _, found in posted] == [1, 2]
    chain.process.kill()
    chain.process.wait()
    with pytest.raises(EnvironmentProblem, match="is it running"):
        keeper.step(2)


def test_transaction_that_waits_is_not_sent_again(chain, contracts, network, monkeypatch):
    keeper = keeper_of(contracts, network, Held(network, 2))
    keeper.step(0)
    monkeypatch.setattr("encmempool.settlement.l1._MINED_S", 1.0)
    chain.l1.request("evm_setAutomine", False)
    with pytest.raises(EnvironmentProblem, match="waits for its block"):
        keeper.step(2)
    with pytest.raises(EnvironmentProblem, match="an earlier transaction of "):
        keeper.step(2)
    chain.mine(1)
    chain.l1.request("evm_setAutomine", True)
    assert keeper.step(2) == []
    assert contracts.settlement.get("height") == 2
    assert chain.l1.nonce(network.sequencer.address) == 2


@contextmanager
def limited(url: str, *, every: int) -> Iterator[str]:
    """A provider that refuses each so many-th request: 429."""
    count = 0
    lock = threading.Lock()

    class Provider(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal count
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                count += 1
                refuse = count % every == 0
            if refuse:
                self.send_response(429)
                self.end_headers()
                return
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=5) as answer:
                data = answer.read()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_provider_that_limits_requests_gets_them_later_and_once(chain, contracts, network):
    with limited(chain.url, every=3) as url:
        keeper = keeper_of(Contracts(L1(url, timeout_s=5.0), contracts.site), network, Held(network, 12))
        assert names(keeper.step(12)) == ["registered", "settled"]
        assert names(keeper.step(12)) == ["settled"]
    posted = [found["height"] for _, found in contracts.settlement.logs("Posted", first=0, last=chain.l1.block())]
    assert posted == list(range(1, 13))


def test_provider_that_refuses_everything_is_said_to(chain, contracts, network, monkeypatch):
    monkeypatch.setattr("encmempool.settlement.l1._FIRST_PAUSE_S", 0.01)
    with limited(chain.url, every=1) as url:
        keeper = keeper_of(Contracts(L1(url, timeout_s=5.0), contracts.site), network, Held(network, 1))
        with pytest.raises(EnvironmentProblem, match="HTTP 429: wait, or use another address"):
            keeper.step(1)


def test_contracts_that_stand_already_are_not_deployed_over(chain, contracts, network, monkeypatch):
    deployer = deployer_of(None)
    first = chain.l1.nonce(deployer.address) - len(network.members) - 3
    monkeypatch.setattr(L1, "nonce", lambda *_: first - 6)
    with pytest.raises(EnvironmentProblem, match="already: deploy from another account"):
        deploy(chain.l1, deployer, network.genesis, PARAMETERS)


def test_site_of_another_network_chain_or_address_is_refused(chain, contracts, network, tmp_path):
    contracts.site.write(tmp_path / "l1.json")
    site = Site.read(tmp_path / "l1.json")
    assert connect(chain.l1, site, network.genesis).registry.get("GENESIS_ROOT") == network.root
    with pytest.raises(Malformed, match="not of this one"):
        connect(chain.l1, site, Network(seed=2).genesis)
    chain.l1.request("anvil_setCode", "0x" + site.addresses["judge"].hex(), "0x")
    with pytest.raises(EnvironmentProblem, match="no judge contract"):
        connect(chain.l1, site, network.genesis)


def test_key_set_that_names_who_is_not_bonded_is_not_signed(chain, contracts, network):
    """NET-31, for who is short of the bond and for who unbonds."""
    keeper = keeper_of(contracts, network, Held(network, 0))
    link = L1Link(SimpleNamespace(url=chain.url, contracts=None, poll_ms=1000), network.sequencer, role="member")  # type: ignore[arg-type]
    try:
        with pytest.raises(EnvironmentProblem, match="not found yet"):
            asyncio.run(link.require_bonds(network.first))
        link._keeper = keeper
        asyncio.run(link.require_bonds(network.first))
        stranger = network.identity()
        following = network.successor(network.first, members=(stranger.address, *network.first.members[1:]))
        with pytest.raises(Rejected, match=stranger.address.hex()) as refused:
            asyncio.run(link.require_bonds(following))
        assert refused.value.rule == "NET-31"
        leaving = network.members[1]
        contracts.collateral.send("begin_unbonding", leaving.address, sender=leaving)
        assert keeper.unbonded(network.first) == (leaving.address,)
    finally:
        link.close()
