"""A made-up network, small and on any chain, to rehearse the contracts with: for their tests and for their gas.

Its objects are the protocol's and signed with real keys; what they speak of (ciphertexts, shares, states) is random
bytes from a seed, but for a `KeyedNetwork`. Nothing here belongs to a network in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

from encmempool.evidence import WrongShare
from encmempool.identity import Identity
from encmempool.keysets import Committee, default_threshold, first_key_set, sign_key_set
from encmempool.settlement.compile import Artifact, Log, load
from encmempool.settlement.deployment import Parameters, creations
from encmempool.settlement.leaves import Signature, leaves, posting, signature, signatures
from encmempool.ssz import SszObject
from encmempool.types import (
    ZERO_HASH,
    Abstain,
    Account,
    BatchList,
    Deadlines,
    DecryptionShare,
    EncryptedTransaction,
    Genesis,
    Header,
    KeySet,
    OrderCommitment,
    Receipt,
    SignedCommitment,
    SignedReceipt,
    SignedShare,
    State,
    UnsignedTransaction,
    Vote,
    signing_digest,
)
from threshold.keys import Limits
from threshold.schemes.base import Batch
from threshold.schemes.registry import load_scheme

RICH = 10**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a transaction or a call did: `result` are the bytes that it returned, where the chain tells."""

    gas: int
    result: bytes
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]
    """Each an address, topics and data."""


class Reverted(Exception):
    """The message is the contract's reason."""


class Chain(Protocol):
    """A chain that does what it is told at once, one block for each transaction or none."""

    def block(self) -> int: ...
    def advance(self, blocks: int) -> None: ...
    def fund(self, account: bytes, wei: int) -> None: ...
    def balance(self, account: bytes) -> int: ...
    def create(self, sender: bytes, code: bytes) -> Done:
        """`result` is the address."""
        ...

    def send(self, sender: bytes, to: bytes, data: bytes, wei: int) -> Done:
        """Raises Reverted."""
        ...

    def call(self, to: bytes, data: bytes) -> bytes:
        """Changes nothing. Raises Reverted."""
        ...


class Contract:
    """One contract where it stands."""

    def __init__(self, chain: Chain, artifact: Artifact, address: bytes) -> None:
        self.address = address
        self._chain = chain
        self._artifact = artifact

    def send(self, function: str, *arguments: Any, sender: bytes, wei: int = 0) -> Done:
        """Raises Reverted."""
        return self._chain.send(sender, self.address, self._artifact.call(function, *arguments), wei)

    def get(self, function: str, *arguments: Any) -> Any:
        """Raises Reverted."""
        data = self._chain.call(self.address, self._artifact.call(function, *arguments))
        return self._artifact.result(function, data)

    def logs(self, done: Done) -> list[Log]:
        return [self._artifact.log(topics, data) for address, topics, data in done.logs if address == self.address]


class Network:
    """A genesis, the keys of everybody in it, and the objects that they sign."""

    def __init__(self, *, n: int = 4, seed: int = 1, **genesis: Any) -> None:
        self._random = Random(seed)
        self.sequencer, self.user, *rest = (self.identity() for _ in range(n + 2))
        self.members = tuple(rest)
        fields: dict[str, Any] = {
            "chain_id": 7,
            "timestamp_ms": 1,
            "accounts": (),
            "tokens": (),
            "pools": (),
            "router": self.random_bytes(20),
            "weth": self.random_bytes(20),
            "base_fee": 10**9,
            "sequencer": self.sequencer.address,
            "members": tuple(member.address for member in self.members),
            "policy_id": 1,
            "policy_parameters": b"",
            "batch_limit": 64,
            "gas_limit": 30_000_000,
            "size_classes": (256, 512),
            "deadlines": Deadlines(
                include_heights=8,
                include_l1_blocks=20,
                reveal_l1_blocks=10,
                force_l1_blocks=20,
                l1_depth=2,
                l1_lag_blocks=8,
            ),
        }
        self.genesis = Genesis(**{**fields, **genesis})
        self.root = self.genesis.root
        self.first = self.key_set()

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def identity(self) -> Identity:
        return Identity(self.random_bytes(32))

    def sign(self, signer: Identity, message: SszObject) -> bytes:
        return signer.sign(signing_digest(message, self.root))

    def signed(self, signer: Identity, message: SszObject) -> tuple[tuple[bytes, ...], Signature]:
        """Leaves and signature, as the judge takes them."""
        return leaves(message), signature(self.sign(signer, message))

    def key_set(self, **changes: Any) -> KeySet:
        """The first one, but for what is said."""
        n = len(self.members)
        fields: dict[str, Any] = {
            "genesis_root": self.root,
            "predecessor": ZERO_HASH,
            "key_id": self.random_bytes(32),
            "epoch": 1,
            "scheme": 1,
            "setup_kind": 1,
            "setup_privacy": 2,
            "n": n,
            "t": 2 * n // 3 + 1,
            "reduced_threshold": 0,
            "members": self.genesis.members,
            "sequencer": self.genesis.sequencer,
            "policy_id": self.genesis.policy_id,
            "policy_parameters": self.genesis.policy_parameters,
            "encryption_key": self.random_bytes(48),
            "verification_keys": tuple(self.random_bytes(48) for _ in range(n)),
            "parameter_digest": self.random_bytes(32),
            "batch_limit": self.genesis.batch_limit,
            "rounds": 0,
            "start_height": 1,
            "start_parent": self.root,
            "start_round": 0,
            "valid_until": (1 << 64) - 1,
        }
        return KeySet(**{**fields, **changes})

    def successor(self, before: KeySet, **changes: Any) -> KeySet:
        """With another key, from the height 101 on, but for what is said."""
        kept = {
            "predecessor": before.root,
            "epoch": before.epoch + 1,
            "start_height": 101,
            "start_parent": ZERO_HASH,
            "start_round": 0,
        }
        return replace(
            before, **{**kept, "key_id": self.random_bytes(32), "encryption_key": self.random_bytes(48), **changes}
        )

    def all_sign(self, message: SszObject, signers: Sequence[Identity] | None = None) -> tuple[bytes, ...]:
        """As many members as are needed, or those given."""
        chosen = self.members[: self.first.t] if signers is None else signers
        return tuple(self.sign(signer, message) for signer in chosen)

    def commitment(self, parent: OrderCommitment | None = None, **changes: Any) -> OrderCommitment:
        fields: dict[str, Any] = {
            "height": parent.height + 1 if parent else 1,
            "parent": parent.root if parent else self.root,
            "committee_id": self.first.root,
            "key_id": self.first.key_id,
            "round": parent.round + 1 if parent else 1,
            "batch_root": self.random_bytes(32),
            "count": 2,
            "policy_id": 1,
            "l1_block": 1,
            "inbox_index": parent.inbox_index if parent else 0,
            "timestamp_ms": 5,
            "executed_height": parent.executed_height if parent else 0,
            "state_root": self.random_bytes(32),
        }
        return OrderCommitment(**{**fields, **changes})

    def chain(self, count: int) -> list[OrderCommitment]:
        """The first heights."""
        made: list[OrderCommitment] = []
        for _ in range(count):
            made.append(self.commitment(made[-1] if made else None))
        return made

    def empty(self, parent: OrderCommitment, **changes: Any) -> OrderCommitment:
        """What stands at a dropped height (DRP-4)."""
        above = {"height": parent.height + 1, "parent": parent.root, "batch_root": self.batch_root(()), "count": 0}
        return replace(parent, **{**above, **changes})

    def abstentions(self, height: int, members: Sequence[Identity] | None = None) -> tuple[Signature, ...]:
        """Of as many members of the first committee as drop a height, or of those given."""
        chosen = self.members[: 2 * (self.first.n - self.first.t) + 1] if members is None else members
        return signatures(self.all_sign(Abstain(committee_id=self.first.root, height=height), chosen))

    @staticmethod
    def vote(commitment: OrderCommitment) -> Vote:
        return Vote(
            committee_id=commitment.committee_id,
            height=commitment.height,
            round=commitment.round,
            commitment_root=commitment.root,
        )

    def posting(self, commitment: OrderCommitment, voters: Sequence[Identity] | None = None) -> Any:
        signed = SignedCommitment(message=commitment, signature=self.sign(self.sequencer, commitment))
        return posting(signed, self.all_sign(self.vote(commitment), voters))

    def certificate(self, commitment: OrderCommitment) -> tuple[Signature, ...]:
        return signatures(self.all_sign(self.vote(commitment)))

    def share(self, commitment: OrderCommitment, member: int, **changes: Any) -> DecryptionShare:
        """Of the member with this number; for tdh2, of the right size."""
        fields: dict[str, Any] = {
            "committee_id": commitment.committee_id,
            "height": commitment.height,
            "round": commitment.round,
            "commitment_root": commitment.root,
            "member": member,
            "data": self.random_bytes(48 * (commitment.count + 1)),
        }
        return DecryptionShare(**{**fields, **changes})

    def transaction(self, **changes: Any) -> EncryptedTransaction:
        fields: dict[str, Any] = {
            "version": 1,
            "key_id": self.first.key_id,
            "scheme": 1,
            "sender": self.user.address,
            "nonce": 3,
            "gas_limit": 42_000,
            "max_fee_per_gas": 2 * 10**9,
            "max_priority_fee_per_gas": 1,
            "target_height": 0,
            "valid_until": 50,
        }
        header = Header(**{**fields, **changes})
        return EncryptedTransaction(header=header, ciphertext=self.random_bytes(400), signature=self.random_bytes(65))

    def receipt(self, transaction: EncryptedTransaction, **changes: Any) -> SignedReceipt:
        fields: dict[str, Any] = {
            "tx_id": transaction.tx_id,
            "sequence": 0,
            "received_at_ms": 5,
            "include_by_height": 4,
            "include_by_l1_block": 30,
            "reveal_by_l1_block": 40,
        }
        message = Receipt(**{**fields, **changes})
        return SignedReceipt(message=message, signature=self.sign(self.sequencer, message))

    def state(self, accounts: Iterable[Account]) -> State:
        """With these accounts among others."""
        others = [Account(address=self.random_bytes(20), nonce=at, balance=10**18 + at) for at in range(5)]
        ordered = sorted([*others, *accounts], key=lambda account: account.address)
        return State(height=3, accounts=tuple(ordered), token_balances=(), pools=())

    @staticmethod
    def batch_root(tx_ids: Sequence[bytes]) -> bytes:
        return BatchList(tx_ids=tuple(tx_ids)).root


class KeyedNetwork(Network):
    """A network whose first key set holds a dealt key, so that its batches can be opened, and wrongly."""

    def __init__(self, scheme: str, *, rounds: int = 2, seed: int = 1, **genesis: Any) -> None:
        super().__init__(seed=seed, **genesis)
        self.scheme = load_scheme(scheme)
        limits = Limits(batch=self.genesis.batch_limit, rounds=rounds)
        n = len(self.members)
        self.material, self.shares = self.scheme.deal(
            n=n, t=default_threshold(n), limits=limits, random=self.random_bytes
        )
        key = self.scheme.load_public_key(self.material, key_id=self.material.key_id(self.root))
        self.first = first_key_set(
            self.genesis, self.material, setup_kind=1, setup_privacy=2, rounds=key.limits.rounds or 0
        )
        signed = sign_key_set(self.first, self.all_sign(self.first))
        self.committee = Committee.load(self.genesis, signed, self.material.parameters)

    def encrypted(self, plaintext_bytes: int = 256, *, height: int = 1) -> UnsignedTransaction:
        """With a ciphertext of random bytes."""
        addressed = height if self.scheme.info.addresses_height else 0
        header = replace(
            self.transaction().header,
            key_id=self.first.key_id,
            scheme=self.first.scheme,
            target_height=addressed,
            valid_until=addressed or 50,
        )
        ciphertext = self.scheme.encrypt(
            self.committee.public_key,
            self.random_bytes(plaintext_bytes),
            aad=header.root,
            height=addressed,
            random=self.random_bytes,
        )
        return UnsignedTransaction(header=header, ciphertext=ciphertext)

    def listing(self, transactions: Sequence[UnsignedTransaction], **changes: Any) -> OrderCommitment:
        """The commitment for a batch at height 1, but for what is said."""
        tx_ids = [transaction.tx_id for transaction in transactions]
        return self.commitment(**{"batch_root": self.batch_root(tx_ids), "count": len(tx_ids), **changes})

    def batch(self, commitment: OrderCommitment, transactions: Sequence[UnsignedTransaction]) -> Batch:
        return Batch(
            key_id=self.first.key_id,
            height=commitment.height,
            round=commitment.round,
            entries=self.committee.verify_ciphertexts(transactions),
        )

    def opened(self, batch: Batch, member: int) -> bytes:
        """The member's share of a batch."""
        key_share = self.shares[member - 1]
        made = self.scheme.partial_decrypt(self.committee.public_key, key_share, batch, random=self.random_bytes)
        return made.data

    def accused(
        self, commitment: OrderCommitment, transactions: Sequence[UnsignedTransaction], member: int, data: bytes
    ) -> WrongShare:
        """As evidence, whatever the share holds; signed by its member."""
        share = self.share(commitment, member, data=data)
        return WrongShare(
            share=SignedShare(message=share, signature=self.sign(self.members[member - 1], share)),
            commitment=SignedCommitment(message=commitment, signature=self.sign(self.sequencer, commitment)),
            transactions=tuple(transactions),
        )


class Rehearsal:
    """The contracts on a chain, deployed for a network: `registry`, `collateral` and so on."""

    def __init__(self, chain: Chain, network: Network, parameters: Parameters | None = None) -> None:
        self.chain = chain
        self.network = network
        self.parameters = Parameters() if parameters is None else parameters
        self.gas: dict[str, int] = {}
        self.deployer, self.anybody = network.random_bytes(20), network.random_bytes(20)
        for account in (self.deployer, self.anybody):
            chain.fund(account, RICH)
        artifacts = load()
        made = creations(artifacts, network.genesis, self.parameters, deployer=self.deployer, nonce=0)
        self._contracts: dict[str, Contract] = {}
        for name, (address, code) in made.items():
            done = chain.create(self.deployer, code)
            if done.result != address:
                raise AssertionError(f"{name} is at 0x{done.result.hex()}, not at 0x{address.hex()}")
            self._contracts[name] = Contract(chain, artifacts[name], address)
            self.gas[f"deploy {name}"] = done.gas

    def __getattr__(self, name: str) -> Contract:
        try:
            return self._contracts[name]
        except KeyError:
            raise AttributeError(name) from None

    def register(self, key_set: KeySet, signed: Sequence[bytes] | None = None) -> Done:
        chosen = self.network.all_sign(key_set) if signed is None else signed
        arguments = leaves(key_set), key_set.members, signatures(chosen)
        return self.registry.send("register", *arguments, sender=self.anybody)

    def post(self, *commitments: OrderCommitment) -> Done:
        return self.settlement.send("post", [self.network.posting(each) for each in commitments], sender=self.anybody)

    def drop(self, parent: OrderCommitment, abstained: Sequence[Signature] | None = None) -> Done:
        """The height above a commitment."""
        chosen = self.network.abstentions(parent.height + 1) if abstained is None else abstained
        arguments = leaves(parent), self.network.first.root, chosen
        return self.settlement.send("drop", *arguments, sender=self.anybody)

    def deposit(self, party: bytes, wei: int) -> Done:
        return self.collateral.send("deposit", party, sender=self.anybody, wei=wei)
