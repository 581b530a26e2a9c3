"""A real sequencer and a real member on real sockets, under made-up, mutated, replayed and oversized requests.

Whatever comes, the answer is in the document, no answer is a mistake of the node's, and afterwards it does its part.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies as st

from encmempool import ssz
from encmempool.identity import Identity
from encmempool.network.config import read
from encmempool.network.endpoints import ENDPOINTS, SSZ, Endpoint
from encmempool.network.local import LocalNetwork, Plan, create_network, fresh_home
from encmempool.network.nodes.launch import opened
from encmempool.network.nodes.service import Service
from encmempool.network.peer import BlockingPeer, Refused
from encmempool.network.wire import Gossip
from encmempool.ordering import Policy
from encmempool.ssz import SszObject
from encmempool.transactions import encrypt_transaction
from encmempool.types import Proposal, SignedVote
from threshold import entropy
from threshold.schemes.registry import load_scheme

POSTS = [endpoint for endpoint in ENDPOINTS if endpoint.request is not None]
QUIET = {"events"}
"""Streams have no end that could be waited for."""


@dataclass
class Running:
    """A node in a thread of this process."""

    service: Service
    url: str

    def ask(self, name: str, **options: Any) -> Any:
        peer = BlockingPeer(self.url, timeout_s=20.0)
        try:
            return peer.call(name, **options)
        finally:
            peer.close()

    def refusal(self, name: str, **options: Any) -> Refused:
        with pytest.raises(Refused) as raised:
            self.ask(name, **options)
        return raised.value


@dataclass
class Net:
    network: LocalNetwork
    people: list[Identity]
    sequencer: Running
    member: Running


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """Two nodes of a network of four: what the others would say, the tests make from the home that has all roles."""
    folder = tmp_path_factory.mktemp("nodes")
    home, password = fresh_home(folder / "all")
    people = [Identity(entropy.system(32)) for _ in range(4)]
    plan = Plan(members=4, threshold=3, policy=Policy.ARRIVAL, funded=tuple(person.address for person in people))
    create_network(home, plan, load_scheme("tdh2"), password, random=entropy.system)
    with ExitStack() as stack:
        running = {}
        for role, source in (("sequencer", "sequencer"), ("member", "members/1")):
            path = folder / role
            path.mkdir()
            for name in ("genesis.json", "key-set.ssz", "password"):
                shutil.copy(home.path / name, path / name)
            shutil.copytree(home.path / source, path / role)
            (path / "node.toml").write_text(
                f'role = "{role}"\nlisten = "127.0.0.1:0"\nsequencer = "http://127.0.0.1:9"\n'
                'members = ["http://127.0.0.1:9"]\n'
                '[limits]\nexempt = ["127.0.0.1"]\n[commitments]\nheartbeat_ms = 600000\n'
            )
            running[role] = stack.enter_context(_running(path / "node.toml"))
        network = LocalNetwork(home, password=lambda: password)
        yield Net(network, people, running["sequencer"], running["member"])


class _running:
    def __init__(self, config: Path) -> None:
        self._config = config
        self._ready = threading.Event()

    def __enter__(self) -> Running:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)
        return Running(self._service, f"http://127.0.0.1:{self._port}")

    async def _serve(self) -> None:
        with opened(read(self._config)) as service:
            self._service, self._loop = service, asyncio.get_running_loop()

            def started(port: int) -> None:
                self._port = port
                self._ready.set()

            await service.run(started)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._service.stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()


def sample(hint: Any) -> Any:
    """A value of an SSZ type, with one element in each list."""
    if isinstance(hint, type):
        hints = get_type_hints(hint, include_extras=True)
        return hint(**{field.name: sample(hints[field.name]) for field in fields(hint)})
    python_type, mark = get_args(hint)
    match mark:
        case ssz.Limit():
            return (sample(get_args(python_type)[0]),)
        case ssz.Uint():
            return 1
        case ssz.ByteVector():
            return bytes(mark.size)
    return b"\1"


def healthy(node: Running) -> None:
    """It answers, no request was a mistake of its own, and its thread does work."""
    assert node.ask("health") == {"status": "alive"}
    assert node.ask("account", path={"address": bytes(20)})["nonce"] == "0"
    text = node.ask("metrics").decode()
    assert 'status="500"' not in text


@pytest.mark.parametrize("role", ["sequencer", "member"])
def test_requests_made_from_the_document_get_documented_answers(net, role) -> None:
    node: Running = getattr(net, role)
    schema = schemathesis.openapi.from_url(f"{node.url}/v1/openapi.json")
    for endpoint in ENDPOINTS:
        if endpoint.name not in node.service.handlers() or endpoint.name in QUIET:
            continue
        operation = schema[endpoint.path][endpoint.method]

        @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def call(case: schemathesis.Case) -> None:
            case.call_and_validate(excluded_checks=[schemathesis.checks.positive_data_acceptance])

        call()
    healthy(node)


@pytest.mark.parametrize("endpoint", POSTS, ids=lambda endpoint: endpoint.name)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_mutated_ssz_is_never_a_mistake_of_the_node(net, endpoint: Endpoint, data) -> None:
    body: bytes = sample(endpoint.request).encoded
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(body)))
        body = body[:at] + data.draw(st.binary(max_size=4)) + body[at + data.draw(st.integers(0, 4)) :]
    for node in (net.sequencer, net.member):
        status = raw_post(node.url, endpoint.path, body)
        assert status in (200, 204, 400, 404, 405, 409, 413, 422, 429, 503), (endpoint.name, body.hex())


def raw_post(url: str, path: str, body: bytes) -> int:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nhost: node\r\ncontent-type: {SSZ}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n".encode()
            + body
        )
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert b"Traceback" not in answer
    return int(answer.split(b" ", 2)[1])


def envelope(net: Net, at: int, nonce: int = 0, *, valid_until: int = 50):
    person, committee = net.people[at], net.network.committee
    from encmempool.ethereum import sign_transaction

    raw = sign_transaction(
        person.secret_bytes(),
        chain_id=committee.genesis.chain_id,
        nonce=nonce,
        to=bytes(20),
        value=1,
        data=b"",
        gas_limit=21_000,
        max_fee_per_gas=2 * committee.genesis.base_fee,
        max_priority_fee_per_gas=1,
    )
    return encrypt_transaction(
        raw,
        terms=committee.terms,
        scheme=committee.scheme,
        public_key=committee.public_key,
        identity=person,
        valid_until=valid_until,
        random=entropy.system,
    )


def test_replayed_submission_gets_the_same_receipt(net) -> None:
    made = envelope(net, 0)
    first = net.sequencer.ask("submit_transaction", body=made)
    assert net.sequencer.ask("submit_transaction", body=made) == first


def test_tampered_submissions_are_refused_by_rule_alone_and_in_a_batch(net) -> None:
    from encmempool.network.wire import TransactionBatch

    good = envelope(net, 1)
    bad = replace(envelope(net, 2), ciphertext=bytes(len(good.ciphertext)))
    stolen = replace(good, header=replace(good.header, sender=net.people[3].address))
    assert net.sequencer.refusal("submit_transaction", body=stolen).rule == "TXN-7"
    answers = net.sequencer.ask("submit_transactions", body=TransactionBatch(transactions=(bad, good, stolen)))
    assert [answer.status for answer in answers.submissions] == [422, 200, 422]
    assert [answer.rule for answer in answers.submissions] == [b"TXN-7", b"", b"TXN-7"]
    healthy(net.sequencer)


def test_member_refuses_votes_of_strangers_and_of_far_heights_net_1(net) -> None:
    stranger = Identity(entropy.system(32))
    genesis_root = net.network.committee.genesis.root
    vote = sample(SignedVote).message
    vote = replace(vote, committee_id=net.network.committee.committee_id, height=1)
    from encmempool.types import signing_digest

    signed = SignedVote(message=vote, signature=stranger.sign(signing_digest(vote, genesis_root)))
    assert net.member.refusal("submit_vote", body=signed).rule == "CRT-1"
    far = replace(vote, height=1 << 60)
    signed = SignedVote(message=far, signature=stranger.sign(signing_digest(far, genesis_root)))
    assert net.member.refusal("submit_vote", body=signed).rule == "NET-1"
    healthy(net.member)


def test_member_refuses_a_proposal_signed_by_another(net) -> None:
    network = net.network
    proposal = Proposal.decode(network.commit().encoded)
    forged = replace(proposal, commitment=replace(proposal.commitment, signature=net.people[0].sign(bytes(32))))
    assert net.member.refusal("propose", body=forged).rule == "VOT-1"
    net.member.ask("propose", body=proposal)
    votes = net.member.ask("votes", query={"height": 1}).votes
    assert len(votes) == 1
    net.member.ask("propose", body=proposal)
    assert net.member.ask("votes", query={"height": 1}).votes == votes


def test_gossip_without_receipts_is_refused(net) -> None:
    made = envelope(net, 3)
    assert net.member.refusal("gossip", body=Gossip(transactions=(made,), receipts=())).status == 400
    healthy(net.member)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/heights/99999999999999999999",
        "/v1/heights/-1",
        "/v1/heights/../genesis",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "/v1/heights/1%00",
        "//v1/node",
        "/v1/batches/0x" + "zz" * 32,
        "/v1/transactions/0x12",
        "/v1/parameters/../../password",
        "/v1/" + "a" * 9000,
    ],
)
def test_path_tricks_get_a_plain_refusal(net, path) -> None:
    host, _, port = net.member.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.split(b" ", 2)[1] in (b"400", b"404", b"414", b"431")
    assert b"root:" not in answer


def test_unknown_heights_are_not_found(net) -> None:
    for name in ("height", "certificate", "reveal", "outcomes"):
        assert net.member.refusal(name, path={"height": 5_000}).status == 404


def test_orders_of_strangers_are_refused(net) -> None:
    from encmempool.network.ceremonies import SignedPlan
    from encmempool.network.wire import SignedOrder, SuccessorOrder

    order = SuccessorOrder(key_set=net.network.committee.key_set, overlap=0)
    signed = SignedOrder(order=order, signature=net.people[0].sign(bytes(32)))
    assert net.sequencer.refusal("announce_successor", body=signed).rule == "NET-21"
    assert net.member.refusal("sign_successor", body=signed).rule == "NET-21"
    assert net.member.refusal("open_ceremony", body=sample(SignedPlan)).status in (400, 422)


def test_sample_of_every_request_is_an_ssz_object() -> None:
    assert all(issubclass(endpoint.request, SszObject) for endpoint in POSTS if endpoint.request)
