"""`Client(home_or_url)`: what a user of the network does, as four calls.

client = Client("./.encmempool")                        # a network in a home of this machine
client = Client("https://node.example", genesis_root=root)       # a network of nodes
envelope = client.encrypt(raw_signed_transaction, identity)
receipt = client.submit(envelope)
client.status(envelope.tx_id)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from encmempool.errors import EnvironmentProblem
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.network.local import LocalNetwork
from encmempool.network.peer import PeerTls
from encmempool.network.remote import RemoteNetwork
from encmempool.network.view import LocalView, NetworkView
from encmempool.status import Status
from encmempool.transactions import encrypt_transaction
from encmempool.types import EncryptedTransaction, SignedReceipt
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND

DEFAULT_HOME = Path(".encmempool")
VALID_HEIGHTS = 100


class Client:
    def __init__(
        self,
        network: str | Path,
        *,
        home: str | Path | None = None,
        genesis_root: bytes | None = None,
        password: Callable[[], Password] | None = None,
        backend: str = DEFAULT_BACKEND,
        tls: PeerTls | None = None,
    ) -> None:
        """
        network         a home, or a node's address such as http://127.0.0.1:7100
        home            where accounts and what is known of remote networks are kept; by default the home itself, or
                        ./.encmempool
        genesis_root    names the network behind an address; needed once, then it is pinned in the home
        password        opens keystores; by default the home's generated one
        tls             authorities and certificate for https
        """
        text = str(network)
        self._url = text if text.startswith(("http://", "https://")) else None
        self._home = Home(Path(home or (DEFAULT_HOME if self._url else network)))
        self._genesis_root = genesis_root
        self._password = password or self._generated_password
        self._backend = backend
        self._tls = tls

    def account(self, name: str) -> Identity:
        """An account of the home, opened with the password."""
        return self._home.account(name, self._password())

    def next_nonce(self, address: bytes) -> int:
        """The nonce the network will take next from an account."""
        return self.view().account(address).next_nonce

    def encrypt(self, payload: bytes, identity: Identity, *, valid_until: int | None = None) -> EncryptedTransaction:
        """Encrypt a raw signed Ethereum transaction of the identity's account and sign the envelope.

        valid_until    last height for inclusion, and the only one where the scheme addresses a height; by default 100
                       heights from now, or the next ones. The key is the one in use at that height, so that one past
                       the end of the present key, once its successor is known, encrypts to the successor

        Raises Malformed or ValueError for a payload the network would refuse.
        """
        view = self.view()
        head = view.head
        committee = view.committee if valid_until is None else view.committee_at(valid_until)
        if valid_until is None:
            wait = view.lookahead if committee.terms.addresses_height else VALID_HEIGHTS
            valid_until = min(head + wait, view.key_end(committee.key_set.key_id))
        if valid_until <= head:
            raise ValueError(
                f"height {valid_until} is committed already, and the key opens nothing later: wait for the next key set"
                if valid_until == view.key_end(committee.key_set.key_id)
                else f"height {valid_until} is committed already: the next is {head + 1}"
            )
        return encrypt_transaction(
            payload,
            terms=committee.terms,
            scheme=committee.scheme,
            public_key=committee.public_key,
            identity=identity,
            valid_until=valid_until,
            random=entropy.system,
        )

    def submit(self, transaction: EncryptedTransaction | bytes) -> SignedReceipt:
        """The sequencer's signed receipt, checked. Raises Malformed or Rejected with the rule broken."""
        if not isinstance(transaction, EncryptedTransaction):
            transaction = EncryptedTransaction.decode(transaction)
        return self.view().submit(transaction)

    def status(self, tx_id: bytes) -> Status:
        return self.view().status(tx_id)

    def wait(self, tx_id: bytes, *, timeout_s: float = 60.0, poll_s: float = 0.5) -> Status:
        """Until the outcome is final. EnvironmentProblem after the timeout, or at once for an unknown transaction,
        unless it may have been posted to an inbox on the chain below and is not deep enough there."""
        end = time.monotonic() + timeout_s
        poll_s = poll_s if self._url is None else min(poll_s, 0.1)
        while True:
            status = self.status(tx_id)
            if status.final:
                return status
            if status.state == "unknown" and not self.has_inbox:
                raise EnvironmentProblem(f"the network has never received transaction 0x{tx_id.hex()}")
            if time.monotonic() >= end:
                waits_for = (
                    "someone has to run `sequencer commit` and `committee reveal`"
                    if self._url is None
                    else "ask its nodes which height they wait for: GET /v1/ready"
                )
                raise EnvironmentProblem(
                    f"transaction 0x{tx_id.hex()} is still {status.state} after {timeout_s:g} s: {waits_for}"
                )
            time.sleep(poll_s)

    @property
    def has_inbox(self) -> bool:
        """Whether a transaction that no node knows may stand in an inbox on the chain below, not deep enough yet."""
        return self.view().genesis.deadlines.force_l1_blocks > 0

    def view(self) -> NetworkView:
        """The network as it now stands."""
        return self._remote if self._url is not None else LocalView(self.network())

    def close(self) -> None:
        """End the connections to a node. A client of a home has none."""
        if "_remote" in self.__dict__:
            self._remote.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def network(self) -> LocalNetwork:
        """The home's network with all its roles. ValueError for a network of nodes."""
        if self._url is not None:
            raise ValueError("the roles of a network of nodes are elsewhere: ask its nodes")
        return LocalNetwork(self._home, password=self._password, backend=self._backend)

    @cached_property
    def _remote(self) -> RemoteNetwork:
        if self._url is None:
            raise AssertionError("only a network behind an address is remote")
        return RemoteNetwork(
            self._url, self._home, genesis_root=self._genesis_root, backend=self._backend, tls=self._tls
        )

    def _generated_password(self) -> Password:
        if self._url is None:
            self._home.genesis()
        password = self._home.generated_password()
        if password is None:
            raise EnvironmentProblem(f"{self._home.path} has no generated password: hand one over")
        return password


__all__ = ["Client", "Status"]
