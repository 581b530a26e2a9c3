"""The client's side of a transaction: pad, encrypt, sign; and the way back, from plaintext to payload.

Plaintext = version | 16 random bytes | payload length (4) | payload | zeros up to a size class. The random bytes keep
guesses from being tested against any value derived from the plaintext; the size class keeps the length from
betraying the call.

Requirements:
PAD-1  version is 1
PAD-2  the length names a payload that fits
PAD-3  every byte after the payload is zero
PAD-4  the plaintext is padded to the smallest size class that holds it
PAY-1  the payload is one signed EIP-1559 transaction
PAY-2  its signer, chain id, nonce and fees equal the header's, and its gas is at most the header's
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from encmempool.envelope import VERSION, Terms
from encmempool.errors import Rejected
from encmempool.ethereum import EthereumTransaction, decode_signed, gas_ladder
from encmempool.identity import Identity
from encmempool.types import EncryptedTransaction, Header
from threshold.entropy import Random
from threshold.schemes.base import Scheme

_VERSION = b"\x01"
_BLINDING_BYTES = 16
_LENGTH_BYTES = 4
_PREFIX_BYTES = 1 + _BLINDING_BYTES + _LENGTH_BYTES


def pad(payload: bytes, size_classes: Sequence[int], *, random: Random) -> bytes:
    """ValueError if no size class holds the payload."""
    needed = _PREFIX_BYTES + len(payload)
    fitting = [size for size in size_classes if size >= needed]
    if not fitting:
        largest = max(size_classes) - _PREFIX_BYTES
        raise ValueError(f"the payload has {len(payload)} bytes; this network takes at most {largest}")
    prefix = _VERSION + random(_BLINDING_BYTES) + len(payload).to_bytes(_LENGTH_BYTES, "big")
    return (prefix + payload).ljust(min(fitting), b"\0")


def unpad(plaintext: bytes, size_classes: Sequence[int]) -> bytes:
    """The payload. Raises Rejected PAD-1 to PAD-4; strict, so one payload has one padding up to its blinding.

    size_classes    ascending, as the genesis lists them
    """
    if len(plaintext) < _PREFIX_BYTES or plaintext[:1] != _VERSION:
        raise Rejected("PAD-1", "the plaintext does not start with version 1")
    length = int.from_bytes(plaintext[1 + _BLINDING_BYTES : _PREFIX_BYTES], "big")
    end = _PREFIX_BYTES + length
    if end > len(plaintext):
        raise Rejected("PAD-2", f"the plaintext announces {length} payload bytes and holds fewer")
    if plaintext.count(0, end) != len(plaintext) - end:
        raise Rejected("PAD-3", "the padding is not zero")
    if len(plaintext) != next((size for size in size_classes if size >= end), 0):
        raise Rejected("PAD-4", "the plaintext is not padded to the smallest size class that holds it")
    return plaintext[_PREFIX_BYTES:end]


def check_payload(payload: bytes, header: Header, chain_id: int) -> EthereumTransaction:
    """The transaction inside. Raises Malformed (PAY-1) or Rejected PAY-2, naming the field that disagrees."""
    transaction = decode_signed(payload)
    pairs = (
        ("signer", transaction.sender, header.sender),
        ("chain id", transaction.chain_id, chain_id),
        ("nonce", transaction.nonce, header.nonce),
        ("max fee", transaction.max_fee_per_gas, header.max_fee_per_gas),
        ("priority fee", transaction.max_priority_fee_per_gas, header.max_priority_fee_per_gas),
    )
    for name, inside, outside in pairs:
        if inside != outside:
            raise Rejected("PAY-2", f"the payload's {name} is not the header's")
    if transaction.gas_limit > header.gas_limit:
        raise Rejected("PAY-2", "the payload's gas limit exceeds the header's")
    return transaction


def encrypt_transaction(
    payload: bytes,
    *,
    terms: Terms,
    scheme: Scheme,
    public_key: Any,
    identity: Identity,
    valid_until: int,
    random: Random,
) -> EncryptedTransaction:
    """Encrypt one raw signed transaction and sign the envelope.

    payload        as eth-account and wallets make it
    identity       the key of the transaction's sender
    valid_until    last height at which it may be committed

    Raises Malformed or ValueError for a payload this network would refuse, before anything is encrypted.
    """
    inner = decode_signed(payload)
    if inner.sender != identity.address:
        raise ValueError(
            f"the transaction is signed by 0x{inner.sender.hex()}, but the key given is 0x{identity.address.hex()}'s"
        )
    if inner.chain_id != terms.genesis.chain_id:
        raise ValueError(
            f"the transaction is for chain {inner.chain_id}; this network is chain {terms.genesis.chain_id}"
        )
    gas_limit = gas_ladder(inner.gas_limit)
    if gas_limit > terms.genesis.gas_limit:
        raise ValueError(
            f"the gas limit {inner.gas_limit} needs the rung {gas_limit}; a batch has {terms.genesis.gas_limit}"
        )
    if inner.max_fee_per_gas < terms.genesis.base_fee:
        raise ValueError(
            f"the max fee of {inner.max_fee_per_gas} wei is below the network's base fee of {terms.genesis.base_fee}"
        )
    header = Header(
        version=VERSION,
        key_id=terms.key_set.key_id,
        scheme=terms.key_set.scheme,
        sender=inner.sender,
        nonce=inner.nonce,
        gas_limit=gas_limit,
        max_fee_per_gas=inner.max_fee_per_gas,
        max_priority_fee_per_gas=inner.max_priority_fee_per_gas,
        target_height=valid_until if terms.addresses_height else 0,
        valid_until=valid_until,
    )
    plaintext = pad(payload, terms.genesis.size_classes, random=random)
    ciphertext = scheme.encrypt(public_key, plaintext, aad=header.root, height=header.target_height, random=random)
    signature = identity.sign(terms.signing_hash(header, ciphertext))
    return EncryptedTransaction(header=header, ciphertext=ciphertext, signature=signature)
