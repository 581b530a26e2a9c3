"""A network reached through one of its nodes, which is not trusted for anything that can be checked.

The genesis root is pinned: given once by the user, kept in the home. From it every key set is checked, each by the
signatures of the committee before; a receipt counts once the sequencer's signature over the right transaction does.
What a node says of balances, nonces and statuses is its word, and worth as much.

Requirements:
CLI-1  the genesis is the pinned one, whoever sends it
CLI-2  a key set is used only if it descends from the genesis by the signatures its predecessors owe it
CLI-3  a node that knows fewer key sets than this client has seen is refused: it would have us encrypt to an old key
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encmempool import genesis as genesis_file
from encmempool.documents import decode_json
from encmempool.envelope import Epochs, check_receipt
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.home import Home
from encmempool.keysets import Committee
from encmempool.network.peer import BlockingPeer, PeerProblem, PeerTls, Refused
from encmempool.network.view import Account
from encmempool.reveal import Outcome
from encmempool.status import WAITING, Status
from encmempool.types import EncryptedTransaction, Genesis, PoolState, SignedReceipt
from threshold.curve import DEFAULT_BACKEND
from threshold.keys import parameter_digest

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_STATUS_NUMBERS = ("sequence", "height", "position", "gas_used", "fee", "amount_in", "amount_out")
_STATES = frozenset((*WAITING, *(outcome.text for outcome in Outcome)))
_LONGEST_REASON = 256
_LOOKAHEAD_HEIGHTS = 4
"""A ciphertext that names its height must reach the sequencer before that height is committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a node says that it is: newest committed and executed height, and the epoch of its newest key set."""

    head: int
    executed_height: int
    epoch: int | None


class Pins:
    """Which genesis each node's network has: `networks/` in a home, one folder for each root."""

    def __init__(self, home: Home) -> None:
        self._folder = home.path / "networks"

    def root_of(self, url: str) -> bytes | None:
        return self._read().get(url.rstrip("/"))

    def pin(self, url: str, root: bytes) -> None:
        """ValueError if another root is pinned for the address."""
        url = url.rstrip("/")
        known = self._read()
        if known.setdefault(url, root) != root:
            raise ValueError(
                f"{url} is pinned to the network 0x{known[url].hex()}: remove its line from {self._path} if the node "
                "now belongs to another one"
            )
        self._write(known)

    def forget(self, url: str) -> None:
        """The pin of an address, and all that is kept of its network if no other address belongs to it."""
        known = self._read()
        root = known.pop(url.rstrip("/"), None)
        if root is None:
            return
        self._write(known)
        if root not in known.values():
            shutil.rmtree(self.folder(root).path, ignore_errors=True)
        if not known:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, known: dict[str, bytes]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({at: f"0x{root.hex()}" for at, root in known.items()}, indent=2) + "\n")

    def folder(self, root: bytes) -> Home:
        """Where a network's public files are kept."""
        return Home(self._folder / root.hex()[:16])

    @property
    def _path(self) -> Path:
        return self._folder / "pins.json"

    def _read(self) -> dict[str, bytes]:
        if not self._path.exists():
            return {}
        try:
            document = decode_json(self._path.read_bytes())
            pins = {url: bytes.fromhex(root.removeprefix("0x")) for url, root in document.items()}
            if any(len(root) != 32 for root in pins.values()):
                raise ValueError("a root has 32 bytes")
            return pins
        except (ValueError, AttributeError) as error:
            raise Malformed(f"{self._path} is damaged: {error}; correct it, or remove it and pin again") from error


class RemoteNetwork:
    """The network behind a node's address, as far as clients need it. Calls block."""

    def __init__(
        self,
        url: str,
        home: Home,
        *,
        genesis_root: bytes | None = None,
        backend: str = DEFAULT_BACKEND,
        tls: PeerTls | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """`genesis_root` pins the network the first time; EnvironmentProblem if neither it nor a pin is there."""
        self.url = url.rstrip("/")
        self._backend = backend
        pins = Pins(home)
        root = genesis_root or pins.root_of(self.url)
        if root is None:
            raise EnvironmentProblem(
                f"no genesis root is pinned for {self.url}: name it once with --genesis-root, as its members publish it"
            )
        self._peer = BlockingPeer(self.url, tls=tls, timeout_s=timeout_s)
        self._cache = pins.folder(root)
        try:
            self.genesis = self._load_genesis(root)
            self._adopt(self._load_committees())
            pins.pin(self.url, root)
        except BaseException:
            self.close()
            raise

    # --- what is checked

    def _load_genesis(self, root: bytes) -> Genesis:
        if self._cache.exists:
            kept = self._cache.genesis()
            if kept.root != root:
                raise Rejected("CLI-1", f"{self._cache.path} is not the network that is pinned: remove that folder")
            return kept
        genesis: Genesis = self.call("genesis")
        if genesis.root != root:
            raise Rejected(
                "CLI-1", f"{self.url} belongs to another network: its genesis root is 0x{genesis.root.hex()}"
            )
        genesis_file.check(genesis)
        self._cache.write_genesis(genesis)
        return genesis

    def _load_committees(self) -> tuple[Committee, ...]:
        found = self.call("key_sets").key_sets
        if not found:
            raise EnvironmentProblem(f"{self.url} has no key set yet: its members have to make the key first")
        committees: list[Committee] = []
        for signed in found:
            parameters = self._parameters(signed)
            committees.append(
                committees[-1].load_successor(signed, parameters, backend=self._backend)
                if committees
                else Committee.load(self.genesis, signed, parameters, backend=self._backend)
            )
        known = self._cache.key_sets() if self._cache.has_key_set else ()
        if [committee.signed.message for committee in committees[: len(known)]] != [old.message for old in known]:
            raise Rejected("CLI-3", f"{self.url} does not know the newest key set that this client has seen")
        for committee in committees[len(known) :]:
            self._cache.write_key_set(committee.signed)
        return tuple(committees)

    def _parameters(self, signed: Any) -> bytes:
        key_set = signed.message
        if not self._cache.has_parameters(key_set):
            data = self.call("parameters", digest=key_set.parameter_digest)
            if parameter_digest(data) != key_set.parameter_digest:
                raise PeerProblem(f"{self.url} sends other parameters than those of its key set")
            self._cache.write_parameters(key_set.parameter_digest, data)
        return self._cache.parameters(key_set)

    @property
    def committee(self) -> Committee:
        """The one that governs the next height."""
        return self.committee_at(self.head + 1)

    @property
    def sequencers(self) -> frozenset[bytes]:
        return frozenset(committee.key_set.sequencer for committee in self.committees)

    def committee_at(self, height: int) -> Committee:
        return next((c for c in reversed(self.committees) if c.key_set.start_height <= height), self.committees[0])

    def key_end(self, key_id: bytes) -> int:
        return self._epochs.key_end(key_id)

    def submit(self, transaction: EncryptedTransaction) -> SignedReceipt:
        """The sequencer's receipt, checked. Raises Malformed or Rejected."""
        receipt: SignedReceipt = self._peer_call("submit_transaction", body=transaction)
        terms = self._epochs.of_key(transaction.header.key_id, height=0)
        check_receipt(terms, transaction, receipt)
        return receipt

    def committee_of(self, key_id: bytes) -> Committee:
        """The newest that has a key. Rejected TXN-2 if none has."""
        for committee in reversed(self.committees):
            if committee.key_set.key_id == key_id:
                return committee
        raise Rejected("TXN-2", "encrypted to a key that this network does not have")

    def refresh(self) -> None:
        """Take key sets that came since."""
        self._adopt(self._load_committees())

    def _adopt(self, committees: tuple[Committee, ...]) -> None:
        self.committees = committees
        self._epochs = Epochs(committees[0].terms)
        for committee in committees[1:]:
            self._epochs.adopt(committee.terms)

    # --- what is believed

    @property
    def progress(self) -> Progress:
        document = self.call("node")
        with self._sense("its heights"):
            epoch = document["epoch"]
            if not (epoch is None or (isinstance(epoch, int) and epoch >= 0)):
                raise ValueError("no epoch")
            return Progress(
                head=_number(document["head"], bits=63),
                executed_height=_number(document["executed_height"], bits=63),
                epoch=epoch,
            )

    @property
    def head(self) -> int:
        """The newest committed height that the node knows."""
        document = self.call("node")
        with self._sense("its head"):
            return _number(document["head"], bits=63)

    @property
    def lookahead(self) -> int:
        """Heights ahead for a ciphertext that names its height."""
        return _LOOKAHEAD_HEIGHTS

    def account(self, address: bytes) -> Account:
        document = self.call("account", address=address)
        with self._sense("an account"):
            return Account(
                next_nonce=_number(document["next_nonce"], bits=63),
                balance=_number(document["balance"], bits=256),
                tokens={_address(token): _number(amount, bits=256) for token, amount in document["tokens"].items()},
            )

    def pools(self) -> tuple[PoolState, ...]:
        document = self.call("pools")
        with self._sense("pools"):
            return tuple(
                PoolState(
                    token0=_address(pool["token0"]),
                    token1=_address(pool["token1"]),
                    reserve0=_number(pool["reserve0"], bits=256),
                    reserve1=_number(pool["reserve1"], bits=256),
                )
                for pool in document["pools"]
            )

    def status(self, tx_id: bytes) -> Status:
        document = self.call("transaction_status", tx_id=tx_id)
        with self._sense("a transaction"):
            for name in _STATUS_NUMBERS:
                if document[name] is not None:
                    _number(document[name], bits=256)
            status = Status.of_document(document, tx_id)
            if status.state not in _STATES or len(status.reason) > _LONGEST_REASON or not status.reason.isprintable():
                raise ValueError("no state, or no reason")
            return status

    @contextmanager
    def _sense(self, what: str) -> Iterator[None]:
        """A stranger's words are not repeated: they may be long, or meant for the terminal."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, Malformed) as error:
            raise PeerProblem(f"{self.url} answers nonsense about {what}") from error

    def call(self, name: str, **path: object) -> Any:
        return self._peer_call(name, path=path)

    def _peer_call(self, name: str, **options: Any) -> Any:
        try:
            return self._peer.call(name, **options)
        except Refused as refused:
            raise _problem(self.url, refused) from refused

    def close(self) -> None:
        self._peer.close()


def _address(text: Any) -> bytes:
    """As nodes write them. Raises ValueError."""
    if not isinstance(text, str) or _ADDRESS.fullmatch(text) is None:
        raise ValueError("no address")
    return bytes.fromhex(text[2:])


def _number(text: Any, *, bits: int) -> int:
    """As nodes write integers, in decimal digits. Raises ValueError."""
    if not isinstance(text, str) or _DECIMAL.fullmatch(text) is None or (number := int(text)) >> bits:
        raise ValueError("no number")
    return number


def _problem(url: str, refused: Refused) -> Exception:
    """A node's refusal as our own errors."""
    if refused.rule:
        message = refused.message.removesuffix(f" [{refused.rule}]")
        return Rejected(refused.rule, message)
    if refused.code == "malformed":
        return Malformed(refused.message)
    return EnvironmentProblem(f"{url}: {refused.message}")
