"""The public side of an encrypted transaction: what anyone can check without opening anything.

The envelope is signed as EIP-712 typed data, so that wallets can sign it.

Requirements:
TXN-1  version is 1
TXN-2  key_id and scheme are those of the current key set
TXN-3  gas_limit is 21,000 * 2^k and at most the batch's gas limit
TXN-4  max_fee_per_gas is at least the base fee, and the priority fee at most max_fee_per_gas
TXN-5  target_height is valid_until for schemes that address a height, otherwise 0
TXN-6  the ciphertext has the length of a size class plus the scheme's overhead
TXN-7  the sender signed the envelope
TXN-8  the transaction has not expired, expires no later than its key, and can be committed while the key is in use
TXN-9  the ciphertext passes the scheme's public check for this header
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from eth_hash.auto import keccak

from encmempool.errors import Rejected
from encmempool.ethereum import on_ladder
from encmempool.identity import recover, require_signer
from encmempool.summaries import GenesisSummary
from encmempool.types import EncryptedTransaction, Genesis, Header, KeySet, SignedReceipt, Transaction

VERSION = 1

TYPED_DATA = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "salt", "type": "bytes32"},
    ],
    "EncryptedTransaction": [
        {"name": "version", "type": "uint8"},
        {"name": "keyId", "type": "bytes32"},
        {"name": "scheme", "type": "uint8"},
        {"name": "sender", "type": "address"},
        {"name": "nonce", "type": "uint64"},
        {"name": "gasLimit", "type": "uint64"},
        {"name": "maxFeePerGas", "type": "uint256"},
        {"name": "maxPriorityFeePerGas", "type": "uint256"},
        {"name": "targetHeight", "type": "uint64"},
        {"name": "validUntil", "type": "uint64"},
        {"name": "ciphertext", "type": "bytes"},
    ],
}


def _type_hash(name: str) -> bytes:
    signature = f"{name}({','.join(f['type'] + ' ' + f['name'] for f in TYPED_DATA[name])})"
    return bytes(keccak(signature.encode()))


_DOMAIN_TYPE = _type_hash("EIP712Domain")
_TRANSACTION_TYPE = _type_hash("EncryptedTransaction")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Under which conditions the network takes transactions: its genesis and current key set.

    overhead_bytes       what the scheme adds to a plaintext
    addresses_height     whether the scheme encrypts to a height
    """

    genesis: Genesis | GenesisSummary
    key_set: KeySet
    overhead_bytes: int
    addresses_height: bool

    @property
    def rounds_limited(self) -> bool:
        """Whether the key opens one batch in each of so many rounds, and no more."""
        return self.key_set.rounds > 0

    @cached_property
    def genesis_root(self) -> bytes:
        return self.genesis.root

    @cached_property
    def ciphertext_sizes(self) -> frozenset[int]:
        return frozenset(size + self.overhead_bytes for size in self.genesis.size_classes)

    @cached_property
    def domain_separator(self) -> bytes:
        return bytes(
            keccak(
                _DOMAIN_TYPE + keccak(b"encmempool") + keccak(b"1") + _word(self.genesis.chain_id) + self.genesis_root
            )
        )

    def signing_hash(self, header: Header, ciphertext: bytes) -> bytes:
        """The EIP-712 digest the sender signs."""
        struct = keccak(
            _TRANSACTION_TYPE
            + _word(header.version)
            + header.key_id
            + _word(header.scheme)
            + header.sender.rjust(32, b"\0")
            + _word(header.nonce)
            + _word(header.gas_limit)
            + _word(header.max_fee_per_gas)
            + _word(header.max_priority_fee_per_gas)
            + _word(header.target_height)
            + _word(header.valid_until)
            + keccak(ciphertext)
        )
        return bytes(keccak(b"\x19\x01" + self.domain_separator + struct))

    def typed_data(self, header: Header, ciphertext: bytes) -> dict[str, object]:
        """The same as a wallet takes it: the argument of eth_signTypedData_v4."""
        return {
            "types": TYPED_DATA,
            "primaryType": "EncryptedTransaction",
            "domain": {
                "name": "encmempool",
                "version": "1",
                "chainId": self.genesis.chain_id,
                "salt": "0x" + self.genesis_root.hex(),
            },
            "message": {
                "version": header.version,
                "keyId": "0x" + header.key_id.hex(),
                "scheme": header.scheme,
                "sender": "0x" + header.sender.hex(),
                "nonce": header.nonce,
                "gasLimit": header.gas_limit,
                "maxFeePerGas": header.max_fee_per_gas,
                "maxPriorityFeePerGas": header.max_priority_fee_per_gas,
                "targetHeight": header.target_height,
                "validUntil": header.valid_until,
                "ciphertext": "0x" + ciphertext.hex(),
            },
        }

    def check(self, transaction: EncryptedTransaction, *, height: int) -> None:
        """TXN-1 to TXN-8 for inclusion at `height` or later. Raises Rejected. Cost: one signature recovery."""
        header = transaction.header
        self.check_unsigned(transaction, height=height)
        if header.valid_until > self.key_set.valid_until:
            raise Rejected(
                "TXN-8",
                f"valid until height {header.valid_until}, but its key ends at {self.key_set.valid_until}",
            )
        digest = self.signing_hash(header, transaction.ciphertext)
        if recover(digest, transaction.signature) != header.sender:
            raise Rejected("TXN-7", f"the envelope is not signed by its sender 0x{header.sender.hex()}")

    def check_unsigned(self, transaction: Transaction, *, height: int) -> None:
        """Of these all that the transaction's id and the key it names decide for ever: not TXN-7, and not when that
        key ends. Raises Rejected."""
        header = transaction.header
        if header.version != VERSION:
            raise Rejected("TXN-1", f"envelope version {header.version} is unknown; this network takes {VERSION}")
        if header.key_id != self.key_set.key_id:
            raise Rejected(
                "TXN-2",
                f"encrypted to key {header.key_id.hex()[:16]}…, but the current key is "
                f"{self.key_set.key_id.hex()[:16]}…: encrypt again",
            )
        if header.scheme != self.key_set.scheme:
            raise Rejected("TXN-2", f"scheme {header.scheme} is not the key's scheme {self.key_set.scheme}")
        if not on_ladder(header.gas_limit):
            raise Rejected("TXN-3", f"gas limit {header.gas_limit} is not on the ladder 21,000 * 2^k")
        if header.gas_limit > self.genesis.gas_limit:
            raise Rejected("TXN-3", f"gas limit {header.gas_limit} exceeds the batch's {self.genesis.gas_limit}")
        if header.max_fee_per_gas < self.genesis.base_fee:
            raise Rejected(
                "TXN-4", f"max fee {header.max_fee_per_gas} wei is below the base fee {self.genesis.base_fee} wei"
            )
        if header.max_priority_fee_per_gas > header.max_fee_per_gas:
            raise Rejected("TXN-4", "the priority fee exceeds the max fee")
        if header.target_height != (header.valid_until if self.addresses_height else 0):
            raise Rejected("TXN-5", f"target height {header.target_height} does not fit the scheme")
        if len(transaction.ciphertext) not in self.ciphertext_sizes:
            raise Rejected(
                "TXN-6",
                f"a ciphertext of {len(transaction.ciphertext)} bytes fits no size class; allowed are "
                f"{', '.join(map(str, sorted(self.ciphertext_sizes)))}",
            )
        if header.valid_until < height:
            raise Rejected("TXN-8", f"expired: valid until height {header.valid_until}, the next is {height}")


class Epochs:
    """The terms of a network's key sets, one after another."""

    def __init__(self, first: Terms) -> None:
        self._terms = [first]
        self._used_up: dict[bytes, int] = {}

    def adopt(self, terms: Terms) -> None:
        self._terms.append(terms)

    def __iter__(self) -> Iterator[Terms]:
        return iter(self._terms)

    @property
    def genesis(self) -> Genesis | GenesisSummary:
        return self._terms[0].genesis

    @property
    def first_height(self) -> int:
        return self._terms[0].key_set.start_height

    def at(self, height: int) -> Terms:
        """Those that govern a height."""
        return next((t for t in reversed(self._terms) if t.key_set.start_height <= height), self._terms[0])

    def of_key(self, key_id: bytes, *, height: int) -> Terms:
        """Those under which a ciphertext of this key can be committed at `height` or later, once their start is
        reached; for any other key those of `height`, which refuse it."""
        known = [t for t in self._terms if t.key_set.key_id == key_id and self.key_end(key_id) >= height]
        return known[-1] if known else self.at(height)

    def of_sequencer(self, sequencer: bytes, key_id: bytes) -> Terms | None:
        """The newest under which a sequencer receives ciphertexts of a key, or None if it never does."""
        own = (t for t in reversed(self._terms) if (t.key_set.sequencer, t.key_set.key_id) == (sequencer, key_id))
        return next(own, None)

    def check(self, transaction: EncryptedTransaction, *, height: int) -> None:
        """TXN-1 to TXN-8 for inclusion at `height` or later, under the terms of its key. Raises Rejected."""
        header = transaction.header
        terms = self.of_key(header.key_id, height=height)
        terms.check(transaction, height=height)
        start, end = self.key_start(header.key_id), self.key_end(header.key_id)
        if header.valid_until < start:
            raise Rejected("TXN-8", f"valid until height {header.valid_until}, but its key starts at {start}")
        if header.target_height > end:
            raise Rejected(
                "TXN-8", f"encrypted to height {header.target_height}, but its key ends at {end}: encrypt again"
            )

    def key_start(self, key_id: bytes) -> int:
        """The first height at which a key is in use, or 0 for one that never was."""
        return next((t.key_set.start_height for t in self._terms if t.key_set.key_id == key_id), 0)

    def key_end(self, key_id: bytes) -> int:
        """The last height at which a key is in use, or 0 for one that never was."""
        end = 0
        for at, terms in enumerate(self._terms):
            if terms.key_set.key_id == key_id:
                following = self._terms[at + 1 : at + 2]
                end = following[0].key_set.start_height - 1 if following else terms.key_set.valid_until
        return min(end, self._used_up.get(key_id, end))

    def use_up(self, key_id: bytes, *, height: int) -> None:
        """The key's last round was given to a height: it ends there."""
        self._used_up.setdefault(key_id, height)


def check_receipt(terms: Terms, transaction: EncryptedTransaction, signed: SignedReceipt) -> None:
    """What a client checks before it relies on a receipt. Raises Rejected SEQ-4, SEQ-6, SEQ-7 or SEQ-8."""
    receipt, key_set = signed.message, terms.key_set
    require_signer(key_set.sequencer, receipt, signed.signature, terms.genesis_root, rule="SEQ-6", who="the sequencer")
    if receipt.tx_id != transaction.tx_id:
        raise Rejected("SEQ-7", "the receipt is for another transaction")
    last = min(transaction.header.valid_until, key_set.valid_until)
    if receipt.include_by_height > last or (terms.addresses_height and receipt.include_by_height != last):
        raise Rejected("SEQ-4", "the receipt promises a height at which the transaction cannot be committed")
    if receipt.reveal_by_l1_block != receipt.include_by_l1_block + terms.genesis.deadlines.reveal_l1_blocks:
        raise Rejected("SEQ-8", "the receipt's deadlines are not the genesis'")


def reservation(header: Header) -> int:
    """Wei a sender must hold for the transaction: escrowed before its batch runs."""
    return header.gas_limit * header.max_fee_per_gas


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
