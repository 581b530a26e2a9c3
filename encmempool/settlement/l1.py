"""The chain below (L1) by its JSON-RPC address, through web3: calls, logs, and transactions that are sent once.

Any EVM chain with the Prague rules will do; `encmempool.settlement.anvil` starts one here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from encmempool.errors import EnvironmentProblem
from encmempool.identity import Identity
from encmempool.settlement.compile import Artifact, Log

try:
    from requests.exceptions import HTTPError, RequestException
    from web3 import HTTPProvider, Web3
    from web3.exceptions import ContractLogicError, TimeExhausted, TransactionNotFound, Web3Exception, Web3RPCError
    from web3.providers.rpc.utils import ExceptionRetryConfiguration
except ImportError:
    raise EnvironmentProblem("the chain below is reached with web3: pip install 'encmempool[chain]'") from None

_TIMEOUT_S = 10.0
_MINED_S = 90.0
_RETRIES = 5
_FIRST_PAUSE_S = 0.2
_LOG_BLOCKS = 2_000
"""Chains answer for so many blocks at a time."""
_TIP = 10**9
MAX_TRANSACTION_GAS = 1 << 24
"""EIP-7825."""


class Reverted(Exception):
    """A contract refused. The message is its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """A transaction that is in a block."""

    hash: bytes
    block: int
    gas: int
    contract: bytes | None
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]
    """Each an address, topics and data."""


class L1:
    """Raises EnvironmentProblem from every call while the chain cannot be reached; nothing was sent then, or what was
    sent is found again by its nonce."""

    def __init__(self, url: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        logging.getLogger("web3").setLevel(logging.CRITICAL)
        self.url = url
        # A provider that limits requests gets the same ones again, later: also a transaction, which is signed once.
        again = ExceptionRetryConfiguration(errors=(HTTPError,), retries=_RETRIES, backoff_factor=_FIRST_PAUSE_S)
        provider = HTTPProvider(url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=again)
        self._web3 = Web3(provider)

    @property
    def chain_id(self) -> int:
        with self._reached():
            return int(self._web3.eth.chain_id)

    def block(self) -> int:
        """The newest block's number."""
        with self._reached():
            return int(self._web3.eth.block_number)

    def balance(self, address: bytes) -> int:
        with self._reached():
            return int(self._web3.eth.get_balance(_checksummed(address)))

    def has_code(self, address: bytes) -> bool:
        with self._reached():
            return bool(self._web3.eth.get_code(_checksummed(address)))

    def nonce(self, address: bytes) -> int:
        """Of the next transaction, after those that wait for a block."""
        with self._reached():
            return int(self._web3.eth.get_transaction_count(_checksummed(address), "pending"))

    def call(self, to: bytes, data: bytes, *, at: int | None = None) -> bytes:
        """Changes nothing; in the state after block `at`, by default the newest. Raises Reverted."""
        with self._reached():
            block: Any = "latest" if at is None else at
            return bytes(self._web3.eth.call({"to": _checksummed(to), "data": _hexed(data)}, block))

    def holds(self, mined: Mined) -> bool:
        """Whether a transaction is still in the block that it was mined in."""
        with self._reached():
            try:
                receipt = self._web3.eth.get_transaction_receipt(mined.hash)  # type: ignore[arg-type]
            except TransactionNotFound:
                return False
        return int(receipt["blockNumber"]) == mined.block

    def logs(self, address: bytes, *, first: int, last: int) -> Iterator[tuple[int, tuple[bytes, ...], bytes]]:
        """What a contract said in blocks first to last: block, topics and data, in their order."""
        for start in range(first, last + 1, _LOG_BLOCKS):
            query: Any = {
                "address": _checksummed(address),
                "fromBlock": start,
                "toBlock": min(start + _LOG_BLOCKS - 1, last),
            }
            with self._reached():
                found = self._web3.eth.get_logs(query)
            for entry in found:
                yield int(entry["blockNumber"]), tuple(map(bytes, entry["topics"])), bytes(entry["data"])

    def send(self, sender: Identity, to: bytes | None, data: bytes, *, wei: int = 0) -> Mined:
        """A transaction, and the wait for its block; `to` None creates a contract. Raises Reverted, before anything is
        paid where that shows in advance. While an earlier transaction of the sender waits, nothing is sent: it may be
        the same one."""
        request: Any = {"from": _checksummed(sender.address), "data": _hexed(data), "value": wei}
        if to is not None:
            request["to"] = _checksummed(to)
        nonce = self._next_nonce(sender.address)
        with self._reached():
            gas = min(self._web3.eth.estimate_gas(request) * 5 // 4, MAX_TRANSACTION_GAS)
            base_fee = int(self._web3.eth.get_block("latest").get("baseFeePerGas", 0))
            fields = request | {
                "chainId": self._web3.eth.chain_id,
                "nonce": nonce,
                "gas": gas,
                "maxFeePerGas": 2 * base_fee + _TIP,
                "maxPriorityFeePerGas": _TIP,
            }
            del fields["from"]
            signed = self._web3.eth.account.sign_transaction(fields, sender.secret_bytes())
            sent = self._web3.eth.send_raw_transaction(signed.raw_transaction)
            receipt = self._web3.eth.wait_for_transaction_receipt(sent, timeout=_MINED_S, poll_latency=0.1)
        if not receipt["status"]:
            raise Reverted("the transaction failed in its block")
        contract = receipt["contractAddress"]
        return Mined(
            hash=bytes(sent),
            block=int(receipt["blockNumber"]),
            gas=int(receipt["gasUsed"]),
            contract=bytes.fromhex(contract[2:]) if contract else None,
            logs=tuple(
                (bytes.fromhex(log["address"][2:]), tuple(map(bytes, log["topics"])), bytes(log["data"]))
                for log in receipt["logs"]
            ),
        )

    def _next_nonce(self, sender: bytes) -> int:
        """EnvironmentProblem while a transaction waits."""
        with self._reached():
            mined, sent = (
                self._web3.eth.get_transaction_count(_checksummed(sender), when) for when in ("latest", "pending")
            )
        if sent > mined:
            raise EnvironmentProblem(
                f"an earlier transaction of 0x{sender.hex()} waits for its block on the chain at {self.url}"
            )
        return int(sent)

    def request(self, method: str, *arguments: Any) -> Any:
        """A method of the chain's own, such as anvil's. EnvironmentProblem if it has none of this name."""
        with self._reached():
            return self._web3.manager.request_blocking(method, list(arguments))  # type: ignore[arg-type]

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except ContractLogicError as error:
            raise Reverted(_reason(error)) from error
        except TimeExhausted:
            raise EnvironmentProblem(
                f"a transaction waits for its block on the chain at {self.url} for more than {_MINED_S:g} s"
            ) from None
        except Web3RPCError as error:
            raise EnvironmentProblem(f"the chain at {self.url} refuses: {_reason(error)}") from error
        except HTTPError as error:
            status = "an error" if error.response is None else error.response.status_code
            raise EnvironmentProblem(
                f"the chain at {self.url} answers with HTTP {status}: wait, or use another address"
            ) from error
        except (RequestException, OSError, Web3Exception, ValueError) as error:
            raise EnvironmentProblem(
                f"the chain at {self.url} does not answer as one ({type(error).__name__}): is it running?"
            ) from error


class Deployed:
    """A contract where it stands."""

    def __init__(self, l1: L1, artifact: Artifact, address: bytes) -> None:
        self.address = address
        self._l1 = l1
        self._artifact = artifact

    def get(self, function: str, *arguments: Any, at: int | None = None) -> Any:
        """In the state after block `at`, by default the newest. Raises Reverted."""
        data = self._l1.call(self.address, self._artifact.call(function, *arguments), at=at)
        return self._artifact.result(function, data)

    def send(self, function: str, *arguments: Any, sender: Identity, wei: int = 0) -> Mined:
        """Raises Reverted."""
        return self._l1.send(sender, self.address, self._artifact.call(function, *arguments), wei=wei)

    def logs(self, name: str, *, first: int, last: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Of the event with this name: block and arguments."""
        for block, topics, data in self._l1.logs(self.address, first=first, last=last):
            log = self._artifact.log(topics, data)
            if log.name == name:
                yield block, log.arguments

    def logs_of(self, mined: Mined) -> list[Log]:
        return [self._artifact.log(topics, data) for address, topics, data in mined.logs if address == self.address]


def _checksummed(address: bytes) -> Any:
    return Web3.to_checksum_address(address)


def _hexed(data: bytes) -> Any:
    return "0x" + data.hex()


def _reason(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error)
    return str(text).removeprefix("execution reverted: ").strip() or type(error).__name__


__all__: Sequence[str] = ("L1", "Deployed", "Mined", "Reverted")
