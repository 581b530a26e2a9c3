"""`Client(home)`: what a user of the network does, as four calls.

client = Client("./.encmempool")
envelope = client.encrypt(raw_signed_transaction, identity)
receipt = client.submit(envelope)
client.status(envelope.tx_id)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from encmempool.envelope import check_receipt
from encmempool.errors import EnvironmentProblem
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.network.local import LocalNetwork
from encmempool.reveal import Executed, Outcome
from encmempool.transactions import encrypt_transaction
from encmempool.types import EncryptedTransaction, Header, SignedReceipt
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND

VALID_HEIGHTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a transaction stands.

    state        unknown, received, committed, or an outcome such as executed or undecryptable
    sequence     of the receipt
    height       of the commitment, and `position` in its batch
    success      of an executed transaction; `reason` of one that reverted
    fee          wei
    """

    tx_id: bytes
    state: str
    sequence: int | None = None
    height: int | None = None
    position: int | None = None
    success: bool | None = None
    reason: str = ""
    gas_used: int | None = None
    fee: int | None = None
    amount_in: int | None = None
    amount_out: int | None = None

    @property
    def final(self) -> bool:
        return self.state not in ("unknown", "received", "committed")


class Client:
    def __init__(
        self,
        home: str | Path,
        *,
        password: Callable[[], Password] | None = None,
        backend: str = DEFAULT_BACKEND,
    ) -> None:
        """`password` opens the network's own keystores where one process plays all roles; by default the home's."""
        self._home = Home(Path(home))
        self._password = password or self._generated_password
        self._backend = backend

    def account(self, name: str) -> Identity:
        """An account of the home, opened with the password."""
        return self._home.account(name, self._password())

    def next_nonce(self, address: bytes) -> int:
        """The nonce the network will take next from an account."""
        return self.network().sequencer.next_nonce(address)

    def encrypt(self, payload: bytes, identity: Identity, *, valid_until: int | None = None) -> EncryptedTransaction:
        """Encrypt a raw signed Ethereum transaction of the identity's account and sign the envelope.

        valid_until    last height for inclusion, and the only one where the scheme addresses a height; by default 100
                       heights from now, or the next. The key is the one in use at that height, so that one past the
                       end of the present key, once its successor is known, encrypts to the successor

        Raises Malformed or ValueError for a payload the network would refuse.
        """
        network = self.network()
        committee = network.committee if valid_until is None else network.committee_at(valid_until)
        if valid_until is None:
            wait = 1 if committee.terms.addresses_height else VALID_HEIGHTS
            valid_until = min(network.sequencer.height + wait, network.sequencer.key_end(committee.key_set.key_id))
        if valid_until <= network.sequencer.height:
            raise ValueError(
                f"height {valid_until} is committed already, and the key opens nothing later: wait for the next key set"
                if valid_until == network.sequencer.key_end(committee.key_set.key_id)
                else f"height {valid_until} is committed already: the next is {network.sequencer.height + 1}"
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
        with self._home.locked():
            network = self.network()
            receipt = network.submit(transaction.encoded)
        check_receipt(network.sequencer.terms_of(transaction.header.key_id), transaction, receipt)
        return receipt

    def status(self, tx_id: bytes) -> Status:
        return status_of(self.network(), tx_id)

    def wait(self, tx_id: bytes, *, timeout_s: float = 60.0, poll_s: float = 0.5) -> Status:
        """Until the outcome is final. EnvironmentProblem after the timeout, or at once for an unknown transaction."""
        end = time.monotonic() + timeout_s
        while True:
            status = self.status(tx_id)
            if status.final:
                return status
            if status.state == "unknown":
                raise EnvironmentProblem(f"the network has never received transaction 0x{tx_id.hex()}")
            if time.monotonic() >= end:
                raise EnvironmentProblem(
                    f"transaction 0x{tx_id.hex()} is still {status.state} after {timeout_s:g} s: "
                    "someone has to run `sequencer commit` and `committee reveal`"
                )
            time.sleep(poll_s)

    def network(self) -> LocalNetwork:
        """The network as it now stands on disk."""
        return LocalNetwork(self._home, password=self._password, backend=self._backend)

    def _generated_password(self) -> Password:
        self._home.genesis()
        password = self._home.generated_password()
        if password is None:
            raise EnvironmentProblem(f"{self._home.path} has no generated password: hand one over")
        return password


def status_of(network: LocalNetwork, tx_id: bytes) -> Status:
    """Look a transaction up in what the sequencer stored and its follower executed."""
    receipt = network.sequencer.receipt(tx_id)
    if receipt is None:
        return Status(tx_id=tx_id, state="unknown")
    sequence = receipt.message.sequence
    for height in range(network.sequencer.height, network.follower.chain.first_height - 1, -1):
        batch = network.sequencer.batch(height)
        if batch is not None and tx_id in batch.tx_ids:
            position = batch.tx_ids.index(tx_id)
            executed = network.follower.executed_at(height)
            if executed is None:
                return Status(tx_id=tx_id, state="committed", sequence=sequence, height=height, position=position)
            return _final(tx_id, sequence, executed, position)
    transaction = network.sequencer.transaction(tx_id)
    if transaction is None:
        raise AssertionError("a receipt without its transaction")
    outcome = _never_committed(network, transaction.header)
    return Status(tx_id=tx_id, state=outcome.text if outcome else "received", sequence=sequence)


def _never_committed(network: LocalNetwork, header: Header) -> Outcome | None:
    """What became of a transaction that no commitment took, or None while one still can."""
    head, key_end = network.sequencer.height, network.sequencer.key_end(header.key_id)
    if header.valid_until > min(head, key_end):
        return Outcome.KEY_ENDED if key_end <= head else None
    if header.target_height:
        executed = network.follower.executed_at(header.target_height)
        if executed is None:
            return None
        # The key that opens a height opens all that was encrypted to it, and it is out once a batch was revealed.
        return Outcome.NOT_COMMITTED_OPENED if executed.reveal else Outcome.EXPIRED
    return Outcome.EXPIRED


def _final(tx_id: bytes, sequence: int, executed: Executed, position: int) -> Status:
    receipt = executed.receipts[position]
    return Status(
        tx_id=tx_id,
        state=receipt.code,
        sequence=sequence,
        height=executed.ready.commitment.height,
        position=position,
        success=receipt.success,
        reason=receipt.reason,
        gas_used=receipt.gas_used,
        fee=receipt.fee,
        amount_in=receipt.amount_in,
        amount_out=receipt.amount_out,
    )
