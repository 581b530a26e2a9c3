"""Builders for the unit tests: a small development network, its people, its key and its transactions.

Everything is deterministic, so a failure repeats. Fixtures that make things return functions.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from encmempool import genesis as genesis_file
from encmempool.envelope import Terms
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.ethereum import sign_transaction
from encmempool.evidence import Evidence, Finding, Misbehaviour, WrongShare, examine
from encmempool.identity import Identity
from encmempool.keysets import (
    TRUSTED_DEALER,
    Committee,
    default_threshold,
    first_key_set,
    public_material,
    sign_key_set,
    successor_key_set,
)
from encmempool.measure.contracts import PACKAGES, cache_directory, fetch
from encmempool.transactions import encrypt_transaction
from encmempool.types import (
    Abstain,
    Account,
    Allocation,
    BatchList,
    DecryptionShare,
    EncryptedTransaction,
    Genesis,
    Header,
    KeySet,
    OrderCommitment,
    PoolState,
    Receipt,
    SignedAbstain,
    SignedCommitment,
    SignedReceipt,
    SignedShare,
    SignedVote,
    State,
    UnsignedTransaction,
    Vote,
    signing_digest,
)
from threshold.curve import load_backend
from threshold.entropy import Random, deterministic
from threshold.keys import KeyShare, PublicMaterial
from threshold.schemes.base import Batch
from threshold.schemes.registry import load_scheme
from threshold.setup.dealer import deal

GWEI = 10**9
ETHER = 10**18
MAX_FEE = 30 * GWEI
PRIORITY_FEE = 2 * GWEI
VALID_UNTIL = 50
MEMBERS = 4
RECIPIENT = b"\x77" * 20


def named_identity(name: str) -> Identity:
    return Identity(hashlib.sha256(f"encmempool test identity {name}".encode()).digest())


@pytest.fixture(scope="session")
def alice() -> Identity:
    return named_identity("alice")


@pytest.fixture(scope="session")
def bob() -> Identity:
    return named_identity("bob")


@pytest.fixture(scope="session")
def sequencer() -> Identity:
    return named_identity("sequencer")


@pytest.fixture(scope="session")
def members() -> tuple[Identity, ...]:
    """Members 1..4."""
    return tuple(named_identity(f"member {index}") for index in range(1, MEMBERS + 1))


@pytest.fixture(scope="session")
def make_genesis(
    alice: Identity, bob: Identity, sequencer: Identity, members: tuple[Identity, ...]
) -> Callable[..., Genesis]:
    """A development genesis, with any field changed."""
    token = genesis_file.DEVELOPMENT_TOKEN
    usual = Genesis(
        chain_id=genesis_file.DEVELOPMENT_CHAIN_ID,
        timestamp_ms=1_700_000_000_000,
        accounts=tuple(
            Allocation(address=person.address, balance=100 * ETHER, tokens=(1000 * ETHER,)) for person in (alice, bob)
        ),
        tokens=(token,),
        pools=(PoolState(token0=token.address, token1=genesis_file.WETH, reserve0=2**90, reserve1=500 * ETHER),),
        router=genesis_file.ROUTER,
        weth=genesis_file.WETH,
        base_fee=genesis_file.BASE_FEE,
        sequencer=sequencer.address,
        members=tuple(member.address for member in members),
        policy_id=1,
        policy_parameters=b"",
        batch_limit=8,
        gas_limit=21_000 * 64,
        size_classes=genesis_file.SIZE_CLASSES,
        deadlines=genesis_file.DEADLINES,
    )

    def make(**changes: Any) -> Genesis:
        return replace(usual, **changes)

    return make


@pytest.fixture(scope="session")
def network(make_genesis: Callable[..., Genesis]) -> Genesis:
    return make_genesis()


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """A committee with the secrets a TRUSTED dealer gave its members."""

    committee: Committee
    shares: tuple[KeyShare, ...]
    identities: tuple[Identity, ...]


@pytest.fixture(scope="session")
def deal_key() -> Callable[..., tuple[PublicMaterial, tuple[KeyShare, ...]]]:
    """Public material and shares of one key of a scheme."""

    def make(scheme: str, *, n: int, t: int, seed: bytes = b"key") -> tuple[PublicMaterial, tuple[KeyShare, ...]]:
        number = load_scheme(scheme).info.number

        def material(key: bytes, verification_keys: tuple[bytes, ...]) -> PublicMaterial:
            return PublicMaterial(scheme=number, threshold=t, encryption_key=key, verification_keys=verification_keys)

        return deal(n=n, t=t, group=load_backend().g1, material=material, random=deterministic(seed))

    return make


@pytest.fixture(scope="session")
def signed_by() -> Callable[..., Any]:
    """A key set signed for a network by the identities given."""

    def make(key_set: KeySet, genesis: Genesis, signers: tuple[Identity, ...]) -> Any:
        digest = signing_digest(key_set, genesis.root)
        return sign_key_set(key_set, [signer.sign(digest) for signer in signers])

    return make


@pytest.fixture(scope="session")
def make_committee(deal_key: Any, signed_by: Any, members: tuple[Identity, ...]) -> Callable[..., Dealt]:
    """A checked committee of the genesis' own members, its key dealt."""

    def make(genesis: Genesis, scheme: str = "tdh2") -> Dealt:
        n = len(genesis.members)
        public, shares = deal_key(scheme, n=n, t=default_threshold(n))
        key_set = first_key_set(genesis, public, setup_kind=TRUSTED_DEALER, setup_privacy=0)
        committee = Committee.load(genesis, signed_by(key_set, genesis, members))
        return Dealt(committee=committee, shares=shares, identities=members)

    return make


@pytest.fixture(scope="session")
def dealt(make_committee: Callable[..., Dealt], network: Genesis) -> Dealt:
    """tdh2, 3 of 4."""
    return make_committee(network)


@pytest.fixture(scope="session")
def committee(dealt: Dealt) -> Committee:
    """tdh2, 3 of 4."""
    return dealt.committee


@pytest.fixture(scope="session")
def clear_committee(make_committee: Callable[..., Dealt], network: Genesis) -> Committee:
    """The control scheme, 3 of 4."""
    return make_committee(network, "clear").committee


@pytest.fixture(scope="session")
def payload() -> Callable[..., bytes]:
    """A raw signed transfer of the identity, with any field changed."""

    def make(identity: Identity, **changes: Any) -> bytes:
        fields: dict[str, Any] = {
            "chain_id": genesis_file.DEVELOPMENT_CHAIN_ID,
            "nonce": 0,
            "to": RECIPIENT,
            "value": 1,
            "data": b"",
            "gas_limit": 21_000,
            "max_fee_per_gas": MAX_FEE,
            "max_priority_fee_per_gas": PRIORITY_FEE,
        }
        return sign_transaction(identity.secret_bytes(), **(fields | changes))

    return make


@pytest.fixture(scope="session")
def encrypt(payload: Callable[..., bytes]) -> Callable[..., EncryptedTransaction]:
    """A genuine encrypted transaction to a committee; further arguments are the payload's fields."""

    def make(
        committee: Committee,
        identity: Identity,
        *,
        valid_until: int = VALID_UNTIL,
        random: Random | None = None,
        **fields: Any,
    ) -> EncryptedTransaction:
        return encrypt_transaction(
            payload(identity, **fields),
            terms=committee.terms,
            scheme=committee.scheme,
            public_key=committee.public_key,
            identity=identity,
            valid_until=valid_until,
            random=random or deterministic(b"encrypt"),
        )

    return make


@pytest.fixture(scope="session")
def seal_envelope() -> Callable[..., EncryptedTransaction]:
    """A signed envelope around any bytes, every header field the caller's to break."""

    def make(
        terms: Terms,
        identity: Identity,
        *,
        ciphertext: bytes | None = None,
        **changes: Any,
    ) -> EncryptedTransaction:
        fields: dict[str, Any] = {
            "version": 1,
            "key_id": terms.key_set.key_id,
            "scheme": terms.key_set.scheme,
            "sender": identity.address,
            "nonce": 0,
            "gas_limit": 21_000,
            "max_fee_per_gas": MAX_FEE,
            "max_priority_fee_per_gas": PRIORITY_FEE,
            "target_height": 0,
            "valid_until": VALID_UNTIL,
        }
        header = Header(**(fields | changes))
        if ciphertext is None:
            ciphertext = bytes(min(terms.ciphertext_sizes))
        signature = identity.sign(terms.signing_hash(header, ciphertext))
        return EncryptedTransaction(header=header, ciphertext=ciphertext, signature=signature)

    return make


@dataclass
class FakeState:
    """A StateView whose accounts a test sets. It is its own StateAt."""

    balances: dict[bytes, int] = field(default_factory=dict)
    nonces: dict[bytes, int] = field(default_factory=dict)
    height: int = 0
    root: bytes = bytes(32)

    @property
    def latest(self) -> FakeState:
        return self

    def at(self, height: int) -> FakeState | None:
        return self if height == self.height else None

    def nonce(self, address: bytes) -> int:
        return self.nonces.get(address, 0)

    def balance(self, address: bytes) -> int:
        return self.balances.get(address, 0)


@pytest.fixture
def make_state() -> Callable[..., FakeState]:
    def make(balances: Mapping[bytes, int] | None = None, nonces: Mapping[bytes, int] | None = None) -> FakeState:
        return FakeState(balances=dict(balances or {}), nonces=dict(nonces or {}))

    return make


@pytest.fixture(scope="session")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the genuine tarballs: the cache, or fetched for this session."""
    if all((cache_directory() / package.file).exists() for package in PACKAGES):
        return cache_directory()
    if shutil.which("npm") is None:
        pytest.skip("the Uniswap contracts are not fetched and npm is not on the PATH")
    directory = tmp_path_factory.mktemp("uniswap")
    try:
        fetch(directory)
    except EnvironmentProblem as error:
        if "npm pack" not in str(error):
            raise
        pytest.skip(f"the Uniswap contracts are not fetched: {error}")
    return directory


# --- a court ---------------------------------------------------------------------------------------------------------

COURT_HEIGHT = 7
SIGNED: dict[type, Any] = {
    OrderCommitment: SignedCommitment,
    Receipt: SignedReceipt,
    Vote: SignedVote,
    DecryptionShare: SignedShare,
    Abstain: SignedAbstain,
}


def _sign(message: Any, signer: Identity, genesis_root: bytes) -> Any:
    signature = signer.sign(signing_digest(message, genesis_root))
    if isinstance(message, KeySet):
        return sign_key_set(message, [signature])
    return SIGNED[type(message)](message=message, signature=signature)


@dataclass(frozen=True)
class Court:
    """A committee with its keys, and a batch that its sequencer committed to."""

    committee: Committee
    successor: Committee
    shares: tuple[Any, ...]
    members: tuple[Identity, ...]
    sequencer: Identity
    second_sequencer: Identity
    transactions: tuple[Any, ...]

    @property
    def unsigned(self) -> tuple[UnsignedTransaction, ...]:
        return tuple(transaction.unsigned for transaction in self.transactions)

    @property
    def committees(self) -> tuple[Committee, ...]:
        return self.committee, self.successor, self.limited

    def examine(self, shown: Misbehaviour | Evidence, **options: Any) -> Finding:
        return examine(self.evidence(shown), self.committees, **options)

    def evidence(self, shown: Misbehaviour | Evidence) -> Evidence:
        """As it arrives: from bytes."""
        return Evidence.decode((shown if isinstance(shown, Evidence) else Evidence.of(shown)).encoded)

    def refusal(self, shown: Misbehaviour | Evidence, **options: Any) -> str:
        with pytest.raises((Malformed, Rejected)) as caught:
            self.examine(shown, **options)
        return getattr(caught.value, "rule", "malformed")

    @property
    def limited(self) -> Committee:
        """The same members with a key that opens eight rounds, and no court of its own to check it."""
        key_set = replace(self.committee.key_set, rounds=8, epoch=9)
        return replace(self.committee, signed=sign_key_set(key_set, []))

    def sign(self, signer: Identity, message: Any, *, genesis_root: bytes | None = None) -> Any:
        root = self.committee.genesis.root if genesis_root is None else genesis_root
        return _sign(message, signer, root)

    def commitment(self, **changes: Any) -> OrderCommitment:
        tx_ids = tuple(transaction.tx_id for transaction in self.transactions)
        key_set = self.committee.key_set
        usual = OrderCommitment(
            height=COURT_HEIGHT,
            parent=b"\x01" * 32,
            committee_id=self.committee.committee_id,
            key_id=key_set.key_id,
            round=3,
            batch_root=BatchList(tx_ids=tx_ids).root,
            count=len(tx_ids),
            policy_id=key_set.policy_id,
            l1_block=0,
            inbox_index=0,
            timestamp_ms=1_700_000_000_000,
            executed_height=COURT_HEIGHT - 1,
            state_root=b"\x02" * 32,
        )
        return replace(usual, **changes)

    def state(self, accounts: Mapping[bytes, tuple[int, int]]) -> State:
        """Nonces and balances by address, between two strangers' accounts."""
        listed = {b"\x00" * 20: (1, 1), **accounts, b"\xff" * 20: (2, 2)}
        made = [Account(address=who, nonce=nonce, balance=balance) for who, (nonce, balance) in sorted(listed.items())]
        return State(height=COURT_HEIGHT - 1, accounts=tuple(made), token_balances=(), pools=())

    def receipt(self, **changes: Any) -> Receipt:
        usual = Receipt(
            tx_id=self.transactions[0].tx_id,
            sequence=5,
            received_at_ms=1_700_000_000_000,
            include_by_height=20,
            include_by_l1_block=64,
            reveal_by_l1_block=128,
        )
        return replace(usual, **changes)

    def vote(self, **changes: Any) -> Vote:
        commitment = self.commitment()
        usual = Vote(
            committee_id=commitment.committee_id,
            height=commitment.height,
            round=commitment.round,
            commitment_root=commitment.root,
        )
        return replace(usual, **changes)

    def share(self, member: int = 1, **changes: Any) -> DecryptionShare:
        """A right one, unless it is changed."""
        commitment = self.commitment()
        usual = DecryptionShare(
            committee_id=commitment.committee_id,
            height=commitment.height,
            round=commitment.round,
            commitment_root=commitment.root,
            member=member,
            data=self.data(member),
        )
        return replace(usual, **changes)

    def data(self, member: int, transactions: tuple[Any, ...] | None = None) -> bytes:
        commitment, scheme = self.commitment(), self.committee.scheme
        batch = Batch(
            key_id=commitment.key_id,
            height=commitment.height,
            round=commitment.round,
            entries=self.committee.verify_ciphertexts(transactions or self.transactions),
        )
        random = deterministic(b"share %d" % member)
        key_share = self.shares[member - 1]
        return scheme.partial_decrypt(self.committee.public_key, key_share, batch, random=random).data

    def wrong_share(self, message: DecryptionShare | None = None, signer: Identity | None = None) -> WrongShare:
        """Member 1's share of its transactions in another order."""
        message = message or self.share(data=self.data(1, self.transactions[::-1]))
        return WrongShare(
            share=self.sign(signer or self.members[message.member - 1], message),
            commitment=self.sign(self.sequencer, self.commitment()),
            transactions=self.unsigned,
        )


@pytest.fixture(scope="module")
def court(dealt, sequencer, alice, bob, encrypt, signed_by) -> Court:
    committee = dealt.committee
    second = Identity(b"\x05" * 32)
    key_set = successor_key_set(
        committee.key_set,
        public_material(committee.key_set),
        members=committee.key_set.members,
        start=(COURT_HEIGHT + 20, b"\x03" * 32, 4),
        setup_kind=committee.key_set.setup_kind,
        setup_privacy=0,
        batch_limit=8,
        sequencer=second.address,
    )
    return Court(
        committee=committee,
        successor=committee.load_successor(signed_by(key_set, committee.genesis, dealt.identities)),
        shares=dealt.shares,
        members=dealt.identities,
        sequencer=sequencer,
        second_sequencer=second,
        transactions=tuple(
            encrypt(committee, person, random=deterministic(b"%d" % at)) for at, person in enumerate((alice, bob))
        ),
    )
