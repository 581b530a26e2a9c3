"""EIP-1559 transactions: sign, decode strictly, recover the sender. Also gas that depends on bytes alone.

The payload a client encrypts is one raw signed transaction of type 2. Decoding accepts exactly one encoding per
transaction, so two different payloads never mean the same thing. Sources: EIP-1559, EIP-2718, EIP-2 (low s),
EIP-2681 (nonce limit), EIP-2028 (calldata gas).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from coincurve import PublicKey
from eth_account import Account
from eth_hash.auto import keccak
from rlp.codec import consume_length_prefix, length_prefix
from rlp.exceptions import DecodingError

from encmempool.errors import Malformed

TRANSFER_GAS = 21_000
_ZERO_BYTE_GAS = 4
_NONZERO_BYTE_GAS = 16

_TYPE = b"\x02"
_FIELDS = (
    "chain_id",
    "nonce",
    "max_priority_fee_per_gas",
    "max_fee_per_gas",
    "gas_limit",
    "to",
    "value",
    "data",
    "access_list",
    "y_parity",
    "r",
    "s",
)
_INTEGERS = ((0, 8), (1, 8), (2, 32), (3, 32), (4, 8), (6, 32), (9, 1), (10, 32), (11, 32))
"""Position and most bytes of the fields that are numbers."""
_SIGNED_FIELDS = 9
_SHORT_STRING = 0x80
_LONG_STRING = 0xB8
_LIST_OFFSET = 0xC0
_ACCESS_LIST = _FIELDS.index("access_list")
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True, slots=True, kw_only=True)
class EthereumTransaction:
    """A decoded call. Fees and value in wei; `to` and `sender` 20 bytes; `raw` as it was signed."""

    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas_limit: int
    to: bytes
    value: int
    data: bytes
    sender: bytes
    raw: bytes

    @property
    def hash(self) -> bytes:
        """keccak256 of the raw bytes."""
        return keccak(self.raw)


def keccak256(data: bytes) -> bytes:
    """Ethereum's hash, 32 bytes."""
    return keccak(data)


def decode_signed(raw: bytes) -> EthereumTransaction:
    """Decode one raw signed transaction and recover who signed it. Cost: one recovery, two hashes.

    raw    0x02 followed by the RLP list of twelve fields, nothing after it

    Establishes that `sender` signed exactly these fields. Does not look at any state: nonce, balance and chain
    are the caller's to compare. Contract creation and access lists are refused: the ledger runs neither.

    Raises Malformed with the field at fault.
    """
    fields, signed_end, body_start = _split(raw)
    chain_id, nonce, priority_fee, max_fee, gas_limit, value, y_parity, r, s = _integers(fields)
    to = fields[5]
    if not to:
        raise Malformed("transaction creates a contract; set `to` to a 20-byte address")
    if len(to) != 20:
        raise Malformed(f"to: {len(to)} bytes, expected 20")
    if nonce == 2**64 - 1:
        raise Malformed("nonce: at its limit of 2**64 - 1")
    if priority_fee > max_fee:
        raise Malformed("max_priority_fee_per_gas exceeds max_fee_per_gas")
    if y_parity > 1:
        raise Malformed(f"y_parity: {y_parity}, expected 0 or 1")
    if not 0 < r < _CURVE_ORDER:
        raise Malformed("r: outside 1..order-1")
    if not 0 < s <= _CURVE_ORDER // 2:
        raise Malformed("s: zero or in the upper half of the curve order")

    body = raw[body_start:signed_end]
    digest = keccak(_TYPE + length_prefix(len(body), _LIST_OFFSET) + body)
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))
    try:
        public_key = recover_public_key(digest, signature)
    except ValueError as error:
        raise Malformed("signature: no public key can be recovered") from error

    return EthereumTransaction(
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=priority_fee,
        max_fee_per_gas=max_fee,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=fields[7],
        sender=address_of(public_key),
        raw=raw,
    )


def sign_transaction(
    private_key: bytes,
    *,
    chain_id: int,
    nonce: int,
    to: bytes,
    value: int,
    data: bytes,
    gas_limit: int,
    max_fee_per_gas: int,
    max_priority_fee_per_gas: int,
) -> bytes:
    """The raw bytes of a signed type-2 transaction.

    private_key    32 bytes
    to             20 bytes

    Deterministic (RFC 6979). Raises ValueError or TypeError for values no transaction can carry.
    """
    if len(to) != 20:
        raise ValueError(f"to: {len(to)} bytes, expected 20")
    fields = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "to": to,
        "value": value,
        "data": data,
        "gas": gas_limit,
        "maxFeePerGas": max_fee_per_gas,
        "maxPriorityFeePerGas": max_priority_fee_per_gas,
    }
    return bytes(Account.sign_transaction(fields, private_key).raw_transaction)


def intrinsic_gas(data: bytes) -> int:
    """Gas charged before a call runs: 21,000, and 16 per nonzero and 4 per zero byte of calldata (EIP-2028)."""
    zeros = data.count(0)
    return TRANSFER_GAS + _ZERO_BYTE_GAS * zeros + _NONZERO_BYTE_GAS * (len(data) - zeros)


def gas_ladder(gas: int) -> int:
    """The smallest 21,000 * 2**k that is at least `gas`. Public limits are rungs: an exact one betrays the call."""
    rung = TRANSFER_GAS
    while rung < gas:
        rung *= 2
    return rung


def on_ladder(gas: int) -> bool:
    """Whether `gas` is a rung."""
    return gas_ladder(gas) == gas


def _split(raw: bytes) -> tuple[list[bytes], int, int]:
    """The twelve fields as bytes, where the ninth ends, and where the first starts.

    Reads one flat level: rlp.decode would recurse into whatever nesting a party sends.
    """
    if raw[:1] != _TYPE:
        raise Malformed("not an EIP-1559 transaction: first byte must be 0x02")
    fields: list[bytes] = []
    signed_end = 0
    try:
        _, kind, length, position = consume_length_prefix(raw, 1)
        if kind is not list or position + length != len(raw):
            raise Malformed("transaction must be one RLP list that ends with the bytes")
        body_start: int = position
        while position < len(raw):
            first = raw[position]
            if first < _SHORT_STRING:
                kind, length, start = bytes, 1, position
            elif first != _SHORT_STRING + 1 and first < _LONG_STRING:
                kind, length, start = bytes, first - _SHORT_STRING, position + 1
            elif first == _LIST_OFFSET:
                kind, length, start = list, 0, position + 1
            else:  # a long form, or a string of one byte: it may have needed no prefix
                _, kind, length, start = consume_length_prefix(raw, position)
            position = start + length
            if kind is list and (len(fields) != _ACCESS_LIST or length):
                raise Malformed(f"field {len(fields)}: a non-empty access list or a list out of place is refused")
            if kind is not list and len(fields) == _ACCESS_LIST:
                raise Malformed("access_list: not a list")
            fields.append(raw[start:position])
            if len(fields) == _SIGNED_FIELDS:
                signed_end = position
    except (DecodingError, IndexError) as error:
        raise Malformed(f"transaction is not canonical RLP: {error}") from error
    if position != len(raw) or len(fields) != len(_FIELDS):
        raise Malformed(f"transaction has {len(fields)} whole fields, expected {len(_FIELDS)}")
    return fields, signed_end, body_start


def _integers(fields: list[bytes]) -> list[int]:
    """Those of the fields that are numbers."""
    numbers = []
    for index, size in _INTEGERS:
        encoded = fields[index]
        if len(encoded) > size:
            raise Malformed(f"{_FIELDS[index]}: {len(encoded)} bytes, at most {size}")
        if encoded and not encoded[0]:
            raise Malformed(f"{_FIELDS[index]}: leading zero byte")
        numbers.append(int.from_bytes(encoded, "big"))
    return numbers


def recover_public_key(digest: bytes, signature: bytes) -> bytes:
    """Whose signature, r | s | parity, this is: 65 bytes. ValueError if it is nobody's. 40 µs."""
    return bytes(PublicKey.from_signature_and_message(signature, digest, hasher=None).format(compressed=False))


@lru_cache(maxsize=1 << 14)
def address_of(public_key: bytes) -> bytes:
    """Of an uncompressed public key of 65 bytes. Remembered: whoever signs an envelope signs what is in it too."""
    return bytes(keccak(public_key[1:])[12:])
