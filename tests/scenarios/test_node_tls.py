"""A node behind TLS and mutual TLS, as its node.toml configures it. Certificates are trustme's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from encmempool.network.config import read
from encmempool.network.nodes.launch import opened, prepare
from encmempool.network.peer import BlockingPeer, PeerProblem, PeerTls, Refused
from encmempool.types import SignedVote, Vote


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    for name, issuer in (("node", authority), ("stranger", trustme.CA())):
        issued = issuer.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        for at, certificate in enumerate(issued.cert_chain_pems):
            certificate.write_to_path(folder / f"{name}.pem", append=at > 0)
    return folder


@pytest.fixture(scope="module")
def url(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A member that waits for its network."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "node.toml").write_text(
        'role = "member"\nlisten = "127.0.0.1:0"\nsequencer = "https://127.0.0.1:1"\nmembers = ["https://127.0.0.1:2"]\n'
        f'[tls]\ncertificate = "{files}/node.pem"\nkey = "{files}/node.key"\n'
        f'authority = "{files}/authority.pem"\nclient_authority = "{files}/authority.pem"\n'
    )
    config = read(folder / "node.toml")
    prepare(config)
    ports: list[int] = []
    ready, loops = threading.Event(), []

    def serve() -> None:
        async def run() -> None:
            with opened(config) as service:
                loops.append((asyncio.get_running_loop(), service.stop))
                await service.run(lambda port: (ports.append(port), ready.set()))

        asyncio.run(run())

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(30)
    yield f"https://127.0.0.1:{ports[0]}"
    loop, stop = loops[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    assert not thread.is_alive()


VOTE = SignedVote(
    message=Vote(committee_id=bytes(32), height=1, round=0, commitment_root=bytes(32)), signature=bytes(65)
)


def ask(url: str, files: Path, name: str, *, authority: bool = True, certificate: str | None = None, body=None):
    tls = PeerTls(
        authority=files / "authority.pem" if authority else None,
        certificate=files / f"{certificate}.pem" if certificate else None,
        key=files / f"{certificate}.key" if certificate else None,
    )
    peer = BlockingPeer(url, tls=tls, timeout_s=10.0)
    try:
        return peer.call(name, body=body)
    finally:
        peer.close()


def test_client_that_trusts_the_authority_is_served(url, files) -> None:
    assert ask(url, files, "node")["role"] == "member"


def test_client_that_does_not_trust_it_gets_one_clear_line(url, files) -> None:
    with pytest.raises(PeerProblem, match=r"certificate") as raised:
        ask(url, files, "node", authority=False)
    assert "\n" not in str(raised.value)


def test_vote_without_a_certificate_is_forbidden(url, files) -> None:
    with pytest.raises(Refused) as raised:
        ask(url, files, "submit_vote", body=VOTE)
    assert raised.value.status == 403


def test_vote_with_the_certificate_of_a_node_reaches_the_member(url, files) -> None:
    with pytest.raises(Refused) as raised:
        ask(url, files, "submit_vote", certificate="node", body=VOTE)
    assert (raised.value.status, raised.value.code) == (503, "not_ready")


def test_certificate_of_another_authority_is_refused(url, files) -> None:
    with pytest.raises(PeerProblem):
        ask(url, files, "node", certificate="stranger")


def test_plain_http_is_not_answered(url, files) -> None:
    with pytest.raises(PeerProblem):
        ask(url.replace("https", "http"), files, "node")
