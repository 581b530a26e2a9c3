"""The protocol's objects as SSZ containers, and what is signed of them. Design and sizes: specs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from encmempool.execution.ledger import LedgerState
from encmempool.execution.pools import Pool
from encmempool.ssz import (
    U8,
    U16,
    U32,
    U64,
    U256,
    Address,
    ByteList,
    Hash,
    Limit,
    Signature,
    SszObject,
    chunk,
    hash_pair,
    list_root,
    merkleize,
    uint_chunk,
)

MAX_SIZE_CLASS = 1 << 16
MAX_CIPHERTEXT_BYTES = MAX_SIZE_CLASS + 1024
MAX_BATCH = 1 << 12
MAX_MEMBERS = 1 << 10
MAX_SHARE_BYTES = 1 << 20
MAX_KEY_BYTES = 1 << 10
MAX_BATCH_KEY_BYTES = 1 << 28
MAX_ENTRY_BYTES = 1 << 17
MAX_TOKENS = 1 << 8
STATE_DEPTH = 24
POOL_DEPTH = 10

ZERO_HASH = bytes(32)


# --- the network -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Allocation(SszObject):
    """An account funded at genesis: wei, and units of every token in the genesis' order."""

    address: Address
    balance: U256
    tokens: Annotated[tuple[U256, ...], Limit(MAX_TOKENS)]


@dataclass(frozen=True, kw_only=True)
class Token(SszObject):
    address: Address
    symbol: Annotated[bytes, ByteList(32)]
    decimals: U8


@dataclass(frozen=True, kw_only=True)
class PoolState(SszObject):
    """A constant-product pool; token0 < token1."""

    token0: Address
    token1: Address
    reserve0: U256
    reserve1: U256


@dataclass(frozen=True, kw_only=True)
class Deadlines(SszObject):
    """Spans a receipt promises, and those of forced inclusion. Heights count commitments; blocks are those of the chain
    below (L1).

    force_l1_blocks     after how many blocks an inbox entry is overdue; 0 where no chain below is read
    l1_depth            under how many blocks a block of L1 is taken as final
    l1_lag_blocks       how many blocks a commitment may lag behind that
    """

    include_heights: U64
    include_l1_blocks: U64
    reveal_l1_blocks: U64
    force_l1_blocks: U64
    l1_depth: U64
    l1_lag_blocks: U64


@dataclass(frozen=True, kw_only=True)
class Genesis(SszObject):
    """The network's birth certificate; its root names the network."""

    chain_id: U64
    timestamp_ms: U64
    accounts: Annotated[tuple[Allocation, ...], Limit(1 << 16)]
    tokens: Annotated[tuple[Token, ...], Limit(MAX_TOKENS)]
    pools: Annotated[tuple[PoolState, ...], Limit(1 << 10)]
    router: Address
    weth: Address
    base_fee: U256
    sequencer: Address
    members: Annotated[tuple[Address, ...], Limit(MAX_MEMBERS)]
    policy_id: U8
    policy_parameters: Annotated[bytes, ByteList(256)]
    batch_limit: U32
    gas_limit: U64
    size_classes: Annotated[tuple[U32, ...], Limit(32)]
    deadlines: Deadlines


@dataclass(frozen=True, kw_only=True)
class KeySet(SszObject):
    """A committee and its key; the root is the committee_id."""

    genesis_root: Hash
    predecessor: Hash
    key_id: Hash
    epoch: U64
    scheme: U8
    setup_kind: U8
    setup_privacy: U16
    n: U16
    t: U16
    reduced_threshold: U8
    members: Annotated[tuple[Address, ...], Limit(MAX_MEMBERS)]
    sequencer: Address
    policy_id: U8
    policy_parameters: Annotated[bytes, ByteList(256)]
    encryption_key: Annotated[bytes, ByteList(MAX_KEY_BYTES)]
    verification_keys: Annotated[tuple[Annotated[bytes, ByteList(MAX_KEY_BYTES)], ...], Limit(MAX_MEMBERS)]
    parameter_digest: Hash
    batch_limit: U32
    rounds: U32
    start_height: U64
    start_parent: Hash
    start_round: U64
    valid_until: U64


@dataclass(frozen=True, kw_only=True)
class SignedKeySet(SszObject):
    message: KeySet
    signatures: Annotated[tuple[Signature, ...], Limit(MAX_MEMBERS)]


@dataclass(frozen=True, kw_only=True)
class Erasure(SszObject):
    """A member's statement that it erased its share under a committee whose key was shared anew."""

    committee_id: Hash


@dataclass(frozen=True, kw_only=True)
class SignedErasure(SszObject):
    message: Erasure
    signature: Signature


# --- transactions and receipts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Header(SszObject):
    """The public part of a transaction. Its root is the associated data of the ciphertext."""

    version: U8
    key_id: Hash
    scheme: U8
    sender: Address
    nonce: U64
    gas_limit: U64
    max_fee_per_gas: U256
    max_priority_fee_per_gas: U256
    target_height: U64
    valid_until: U64


@dataclass(frozen=True, kw_only=True)
class UnsignedTransaction(SszObject):
    header: Header
    ciphertext: Annotated[bytes, ByteList(MAX_CIPHERTEXT_BYTES)]


@dataclass(frozen=True, kw_only=True)
class EncryptedTransaction(SszObject):
    header: Header
    ciphertext: Annotated[bytes, ByteList(MAX_CIPHERTEXT_BYTES)]
    signature: Signature

    @cached_property
    def tx_id(self) -> bytes:
        """Root of the UnsignedTransaction."""
        return hash_pair(self.header.root, self.codec().field_root(self, "ciphertext"))


@dataclass(frozen=True, kw_only=True)
class Receipt(SszObject):
    """The sequencer's promise, given only once the transaction is durable."""

    tx_id: Hash
    sequence: U64
    received_at_ms: U64
    include_by_height: U64
    include_by_l1_block: U64
    reveal_by_l1_block: U64


@dataclass(frozen=True, kw_only=True)
class SignedReceipt(SszObject):
    message: Receipt
    signature: Signature


# --- ordering --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class OrderCommitment(SszObject):
    height: U64
    parent: Hash
    committee_id: Hash
    key_id: Hash
    round: U64
    batch_root: Hash
    count: U32
    policy_id: U8
    l1_block: U64
    inbox_index: U64
    timestamp_ms: U64
    executed_height: U64
    state_root: Hash


@dataclass(frozen=True, kw_only=True)
class SignedCommitment(SszObject):
    message: OrderCommitment
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class BatchList(SszObject):
    """The ordered transaction ids of a height; its root is the commitment's batch_root."""

    tx_ids: Annotated[tuple[Hash, ...], Limit(MAX_BATCH)]


@dataclass(frozen=True, kw_only=True)
class Proposal(SszObject):
    """What the sequencer sends to members: the commitment with everything needed to check it.

    receipts    of all transactions but the first ones, which are forced and have none
    """

    commitment: SignedCommitment
    transactions: Annotated[tuple[EncryptedTransaction, ...], Limit(MAX_BATCH)]
    receipts: Annotated[tuple[SignedReceipt, ...], Limit(MAX_BATCH)]

    @property
    def forced(self) -> tuple[EncryptedTransaction, ...]:
        return self.transactions[: max(len(self.transactions) - len(self.receipts), 0)]

    @property
    def received(self) -> tuple[EncryptedTransaction, ...]:
        """Those that have a receipt, each at its receipt's place."""
        return self.transactions[len(self.forced) :]


@dataclass(frozen=True, kw_only=True)
class InboxEntry(SszObject):
    """What was posted to the inbox on the chain below, by its number, and in which block."""

    index: U64
    l1_block: U64
    data: Annotated[bytes, ByteList(MAX_ENTRY_BYTES)]


# --- votes, shares, reveals ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Vote(SszObject):
    committee_id: Hash
    height: U64
    round: U64
    commitment_root: Hash


@dataclass(frozen=True, kw_only=True)
class SignedVote(SszObject):
    message: Vote
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class OrderCertificate(SszObject):
    """At least t members' signatures on one vote, by ascending member."""

    vote: Vote
    signatures: Annotated[tuple[Signature, ...], Limit(MAX_MEMBERS)]


@dataclass(frozen=True, kw_only=True)
class DecryptionShare(SszObject):
    committee_id: Hash
    height: U64
    round: U64
    commitment_root: Hash
    member: U16
    data: Annotated[bytes, ByteList(MAX_SHARE_BYTES)]


@dataclass(frozen=True, kw_only=True)
class SignedShare(SszObject):
    message: DecryptionShare
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class ShareRelease(SszObject):
    """A signed share travels with the certificate that permits it."""

    share: SignedShare
    certificate: OrderCertificate


@dataclass(frozen=True, kw_only=True)
class Abstain(SszObject):
    committee_id: Hash
    height: U64


@dataclass(frozen=True, kw_only=True)
class SignedAbstain(SszObject):
    message: Abstain
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class DropCertificate(SszObject):
    """Abstentions of so many members that a height can never be opened, by ascending member."""

    abstention: Abstain
    signatures: Annotated[tuple[Signature, ...], Limit(MAX_MEMBERS)]


@dataclass(frozen=True, kw_only=True)
class Opened(SszObject):
    """What became of one position of a batch; plaintext_root is zero if nothing was opened."""

    outcome: U8
    plaintext_root: Hash


@dataclass(frozen=True, kw_only=True)
class Reveal(SszObject):
    commitment_root: Hash
    batch_key: Annotated[bytes, ByteList(MAX_BATCH_KEY_BYTES)]
    positions: Annotated[tuple[Opened, ...], Limit(MAX_BATCH)]


_PAYLOAD = ByteList(MAX_SIZE_CLASS)


@dataclass(frozen=True, kw_only=True)
class Plaintext(SszObject):
    payload: Annotated[bytes, _PAYLOAD]


def plaintext_root(payload: bytes) -> bytes:
    """The root of the `Plaintext` with this payload, which is its only field."""
    return _PAYLOAD.root(payload)


# --- state -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Account(SszObject):
    address: Address
    nonce: U64
    balance: U256


@dataclass(frozen=True, kw_only=True)
class TokenBalance(SszObject):
    token: Address
    owner: Address
    amount: U256


@dataclass(frozen=True, kw_only=True)
class State(SszObject):
    """What execution depends on, every list in the ledger's ascending order."""

    height: U64
    accounts: Annotated[tuple[Account, ...], Limit(1 << STATE_DEPTH)]
    token_balances: Annotated[tuple[TokenBalance, ...], Limit(1 << STATE_DEPTH)]
    pools: Annotated[tuple[PoolState, ...], Limit(1 << POOL_DEPTH)]


def state_root(state: LedgerState) -> bytes:
    """The root of the `State` a ledger is in, from all its parts. `encmempool.state` keeps it from height to height.

    Hashes straight from the leaves, without the objects. A test holds the two equal.
    """
    accounts = [account_root(a.address, a.nonce, a.balance) for a in state.accounts]
    tokens = [token_balance_root(b.token, b.owner, b.amount) for b in state.token_balances]
    pools = [pool_root(pool) for pool in state.pools]
    return combined_root(
        state.height,
        list_root(merkleize(accounts, STATE_DEPTH), len(accounts)),
        list_root(merkleize(tokens, STATE_DEPTH), len(tokens)),
        list_root(merkleize(pools, POOL_DEPTH), len(pools)),
    )


def account_root(address: bytes, nonce: int, balance: int) -> bytes:
    """The root of an `Account`."""
    return hash_pair(hash_pair(chunk(address), uint_chunk(nonce)), hash_pair(uint_chunk(balance), ZERO_HASH))


def token_balance_root(token: bytes, owner: bytes, amount: int) -> bytes:
    return hash_pair(hash_pair(chunk(token), chunk(owner)), hash_pair(uint_chunk(amount), ZERO_HASH))


def pool_root(pool: Pool) -> bytes:
    return hash_pair(
        hash_pair(chunk(pool.token0), chunk(pool.token1)),
        hash_pair(uint_chunk(pool.reserve0), uint_chunk(pool.reserve1)),
    )


def combined_root(height: int, accounts: bytes, token_balances: bytes, pools: bytes) -> bytes:
    """The root of a `State` from those of its fields."""
    return hash_pair(hash_pair(uint_chunk(height), accounts), hash_pair(token_balances, pools))


# --- signatures ------------------------------------------------------------------------------------------------------


def signing_digest(message: SszObject, genesis_root: bytes) -> bytes:
    """sha256(root | 4-byte object tag | first 28 bytes of the genesis root): a contract can compute it."""
    return hashlib.sha256(message.root + _OBJECT_TAGS[type(message).__name__] + genesis_root[:28]).digest()


_OBJECT_TAGS = {
    "Receipt": b"RCPT",
    "OrderCommitment": b"ORDR",
    "Vote": b"VOTE",
    "DecryptionShare": b"SHAR",
    "Abstain": b"ABST",
    "KeySet": b"KEYS",
    "Erasure": b"ERAS",
    "CeremonyPlan": b"PLAN",
    "CeremonyMessage": b"CRMY",
    "SuccessorOrder": b"SUCC",
}
"""By the name of the container: those of key ceremonies are defined where these are held."""
