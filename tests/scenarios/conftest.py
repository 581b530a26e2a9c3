"""Whole networks for the scenario tests: a real key ceremony once per scheme and policy, then a copy of its home each.

A `World` is one such copy with the people who live there. It plays honest clients, and dishonest ones who sign and
encrypt properly what no honest client would.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from encmempool import genesis as development
from encmempool.ethereum import sign_transaction
from encmempool.execution import router
from encmempool.execution.router import Swap, SwapKind
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.network.local import LocalNetwork, Plan, create_network, fresh_home
from encmempool.ordering import Policy
from encmempool.ssz import SszObject
from encmempool.store import perform
from encmempool.transactions import encrypt_transaction
from encmempool.types import (
    BatchList,
    Deadlines,
    EncryptedTransaction,
    Header,
    Proposal,
    Receipt,
    SignedCommitment,
    SignedReceipt,
    SignedShare,
    signing_digest,
)
from threshold.entropy import Random, deterministic
from threshold.schemes.registry import load_scheme

GWEI = 10**9
ETHER = 10**18
START_MS = 1_700_000_000_000
MEMBERS, THRESHOLD = 4, 3
PEOPLE = 10
BATCH_LIMIT = 8
BATCH_GAS_LIMIT = 21_000 * 64
MAX_FEE = 30 * GWEI
PRIORITY_FEE = 2 * GWEI
RECIPIENT = b"\x77" * 20


def named_identity(name: str) -> Identity:
    return Identity(hashlib.sha256(f"encmempool scenario {name}".encode()).digest())


@dataclass
class Clock:
    """Never shows one time twice, so that nothing signed twice could be equal by accident."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


@dataclass
class World:
    """A home with its network, and people with 10,000 ether each; `poor` has nothing."""

    home: Home
    password: Password
    clock: Clock = field(default_factory=Clock)
    random: Random = field(default_factory=lambda: deterministic(b"scenario"))
    people: tuple[Identity, ...] = tuple(named_identity(f"person {at}") for at in range(PEOPLE))
    poor: Identity = field(default_factory=lambda: named_identity("poor"))
    stranger: Identity = field(default_factory=lambda: named_identity("stranger"))

    @cached_property
    def network(self) -> LocalNetwork:
        return self.load()

    def load(self) -> LocalNetwork:
        """The network as another process would find it."""
        return LocalNetwork(self.home, password=lambda: self.password, clock_ms=self.clock, random=self.random)

    def restart(self) -> LocalNetwork:
        """End the process, start it again."""
        self.__dict__.pop("network", None)
        return self.network

    @property
    def committee(self) -> Any:
        return self.network.committee

    def balance(self, person: Identity) -> int:
        return self.network.follower.latest.balance(person.address)

    def nonce(self, person: Identity) -> int:
        return self.network.follower.latest.nonce(person.address)

    def records(self, role: str) -> dict[tuple[str, bytes], bytes]:
        """Everything a role has stored, read past all of our own code."""
        path = self.home.path / role / "records.sqlite"
        if not path.exists():
            return {}
        connection = sqlite3.connect(path)
        try:
            return {(kind, key): value for kind, key, value in connection.execute("select * from records")}
        finally:
            connection.close()

    # what honest clients make

    def payload(self, person: Identity, nonce: int = 0, **changes: Any) -> bytes:
        fields: dict[str, Any] = {
            "chain_id": development.DEVELOPMENT_CHAIN_ID,
            "nonce": nonce,
            "to": RECIPIENT,
            "value": 1,
            "data": b"",
            "gas_limit": 21_000,
            "max_fee_per_gas": MAX_FEE,
            "max_priority_fee_per_gas": PRIORITY_FEE,
        }
        return sign_transaction(person.secret_bytes(), **(fields | changes))

    def encrypt(self, payload: bytes, person: Identity, *, valid_until: int = 100) -> EncryptedTransaction:
        return encrypt_transaction(
            payload,
            terms=self.committee.terms,
            scheme=self.committee.scheme,
            public_key=self.committee.public_key,
            identity=person,
            valid_until=valid_until,
            random=self.random,
        )

    def transfer(
        self, person: Identity, nonce: int = 0, *, valid_until: int = 100, **changes: Any
    ) -> EncryptedTransaction:
        return self.encrypt(self.payload(person, nonce, **changes), person, valid_until=valid_until)

    def swap(
        self, person: Identity, nonce: int = 0, *, amount: int = ETHER, minimum: int = 1, **changes: Any
    ) -> EncryptedTransaction:
        """Ether for tokens."""
        call = Swap(
            kind=SwapKind.EXACT_ETH_FOR_TOKENS,
            exact=amount,
            bound=minimum,
            path=(development.WETH, development.DEVELOPMENT_TOKEN.address),
            recipient=person.address,
            deadline=2**40,
        )
        fields: dict[str, Any] = {
            "to": development.ROUTER,
            "value": call.value,
            "data": router.encode(call),
            "gas_limit": 168_000,
        }
        return self.transfer(person, nonce, **(fields | changes))

    # what dishonest ones make

    def header(self, person: Identity, nonce: int = 0, **changes: Any) -> Header:
        key_set = self.committee.key_set
        fields: dict[str, Any] = {
            "version": 1,
            "key_id": key_set.key_id,
            "scheme": key_set.scheme,
            "sender": person.address,
            "nonce": nonce,
            "gas_limit": 21_000,
            "max_fee_per_gas": MAX_FEE,
            "max_priority_fee_per_gas": PRIORITY_FEE,
            "target_height": 0,
            "valid_until": 100,
        }
        return Header(**(fields | changes))

    def envelope(self, signer: Identity, header: Header, ciphertext: bytes) -> EncryptedTransaction:
        """A properly signed envelope around anything."""
        signature = signer.sign(self.committee.terms.signing_hash(header, ciphertext))
        return EncryptedTransaction(header=header, ciphertext=ciphertext, signature=signature)

    def seal(self, person: Identity, plaintext: bytes, nonce: int = 0, **changes: Any) -> EncryptedTransaction:
        """Any plaintext, encrypted and signed as it should be."""
        header = self.header(person, nonce, **changes)
        ciphertext = self.committee.scheme.encrypt(
            self.committee.public_key, plaintext, aad=header.root, height=0, random=self.random
        )
        return self.envelope(person, header, ciphertext)

    def pad(self, payload: bytes, *, version: int = 1, length: int | None = None, size: int | None = None) -> bytes:
        """A plaintext, right unless told otherwise."""
        announced = len(payload) if length is None else length
        prefix = bytes([version]) + self.random(16) + announced.to_bytes(4, "big")
        needed = len(prefix) + len(payload)
        size = size or min(s for s in self.committee.genesis.size_classes if s >= needed)
        return (prefix + payload).ljust(size, b"\0")

    # what dishonest sequencers and members make: the test holds their keys

    @cached_property
    def sequencer_identity(self) -> Identity:
        return self.home.identity("sequencer", self.password)

    def member_identity(self, index: int) -> Identity:
        return self.home.identity(f"members/{index}", self.password)

    def sign(self, signer: Identity, message: SszObject) -> bytes:
        return signer.sign(signing_digest(message, self.committee.genesis.root))

    def receipt(
        self, transaction: EncryptedTransaction, sequence: int, signer: Identity | None = None
    ) -> SignedReceipt:
        message = Receipt(
            tx_id=transaction.tx_id,
            sequence=sequence,
            received_at_ms=self.clock(),
            include_by_height=16,
            include_by_l1_block=64,
            reveal_by_l1_block=128,
        )
        return SignedReceipt(message=message, signature=self.sign(signer or self.sequencer_identity, message))

    def forge(
        self,
        honest: Proposal,
        *,
        transactions: tuple[EncryptedTransaction, ...] | None = None,
        receipts: tuple[SignedReceipt, ...] | None = None,
        signer: Identity | None = None,
        **changes: Any,
    ) -> Proposal:
        """A proposal changed in some way, and signed anew. New transactions bring their own root, count, receipts."""
        if transactions is not None:
            tx_ids = tuple(transaction.tx_id for transaction in transactions)
            changes = {"batch_root": BatchList(tx_ids=tx_ids).root, "count": len(tx_ids)} | changes
            if receipts is None:
                receipts = tuple(self.receipt(transaction, 500 + at) for at, transaction in enumerate(transactions))
        message = replace(honest.commitment.message, **changes)
        return Proposal(
            commitment=SignedCommitment(
                message=message, signature=self.sign(signer or self.sequencer_identity, message)
            ),
            transactions=honest.transactions if transactions is None else transactions,
            receipts=honest.receipts if receipts is None else receipts,
        )

    def run_height_with_a_wrong_share(self) -> None:
        """The first height. Member 2 publishes a share that does not verify; the others open it."""
        network = self.network
        network.submit(self.transfer(self.people[0]).encoded)
        certificate = network.vote(network.commit())
        seat = network.seats[1]
        release = seat.member._new_release(seat.follower.chain.at(1), certificate)
        message = replace(release.share.message, data=bytes(len(release.share.message.data)))
        share = SignedShare(message=message, signature=self.sign(self.member_identity(2), message))
        perform(network.follower.receive(replace(release, share=share)), network._archive)
        network.release(certificate, members=[1, 3, 4])
        perform(network.follower.advance()[0], network._archive)

    def run_height(self, *transactions: EncryptedTransaction) -> Any:
        """Submit, commit, and bring to the end. Returns what was executed."""
        for transaction in transactions:
            self.network.submit(transaction.encoded)
        self.network.commit()
        (executed,) = self.network.reveal()
        return executed


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str, Deadlines], Path]]:
    """A home after its key ceremony, by scheme, policy and deadlines. Batches are small, so that their limits can be
    met."""
    made: dict[tuple[str, str, Deadlines], Path] = {}

    def make(scheme: str, policy: str, deadlines: Deadlines) -> Path:
        if (scheme, policy, deadlines) in made:
            return made[scheme, policy, deadlines]
        home, password = fresh_home(tmp_path_factory.mktemp(f"{scheme}-{policy}") / "home")
        plan = Plan(
            members=MEMBERS,
            threshold=THRESHOLD,
            policy=Policy.named(policy),
            funded=tuple(person.address for person in World.people),
            timestamp_ms=START_MS,
            deadlines=deadlines,
        )
        random = deterministic(f"{scheme} {policy}".encode())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(development, "BATCH_LIMIT", BATCH_LIMIT)
            patch.setattr(development, "BATCH_GAS_LIMIT", BATCH_GAS_LIMIT)
            create_network(home, plan, load_scheme(scheme), password, random=random)
        return made.setdefault((scheme, policy, deadlines), home.path)

    return make


@pytest.fixture(scope="session")
def new_world(template: Callable[[str, str, Deadlines], Path]) -> Callable[..., World]:
    """A copy of a template's home at a path."""

    def make(
        path: Path, scheme: str = "tdh2", policy: str = "arrival", deadlines: Deadlines = development.DEADLINES
    ) -> World:
        shutil.copytree(template(scheme, policy, deadlines), path)
        home = Home(path)
        password = home.generated_password()
        assert password is not None
        return World(home=home, password=password)

    return make


@pytest.fixture
def make_world(new_world: Callable[..., World], tmp_path: Path) -> Callable[..., World]:
    """Another world with its own home each time."""
    count = 0

    def make(scheme: str = "tdh2", policy: str = "arrival", deadlines: Deadlines = development.DEADLINES) -> World:
        nonlocal count
        count += 1
        return new_world(tmp_path / f"home-{count}", scheme, policy, deadlines)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """tdh2, 3 of 4, arrival."""
    return make_world()


@pytest.fixture
def clear_world(make_world: Callable[..., World]) -> World:
    """No encryption, 3 of 4, arrival."""
    return make_world("clear")


@pytest.fixture(autouse=True)
def unsynced() -> Iterator[None]:
    """Real databases, without waiting for the disk: these tests end processes, they do not cut the power."""

    def configure(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Pool, "checkout", configure)
    yield
    event.remove(Pool, "checkout", configure)
