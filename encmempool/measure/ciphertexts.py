"""The real ciphertext path of an experiment's block, and what an attacker sees of it.

In full: users sign and encrypt, a sequencer with a real SQLite database records the envelopes, the attacker is handed
those bytes and places its own encrypted transactions, the sequencer commits, members vote and release shares, and the
order is decrypted and executed. Every block starts anew from the same genesis, so one committee serves a whole run.

For large runs `Stock.view` stands in for the recorded bytes: true headers around ciphertexts that were recorded for
other transactions. What a strategy decides on the stand-in has to equal what it decides on the record.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random as Simulation

import rlp

from encmempool import genesis as development
from encmempool.committee import Ballot, Member
from encmempool.envelope import VERSION, Terms
from encmempool.errors import Malformed, Rejected
from encmempool.ethereum import (
    TRANSFER_GAS,
    decode_signed,
    gas_ladder,
    intrinsic_gas,
    keccak256,
    sign_transaction,
)
from encmempool.execution import router
from encmempool.execution.ledger import SWAP_GAS, ExecutionReceipt
from encmempool.identity import Identity
from encmempool.keysets import DISTRIBUTED, Committee, first_key_set
from encmempool.measure.flow import MAX_POOLS, PEOPLE
from encmempool.measure.market import ATTACKER, NO_DEADLINE_S, TOKEN, Call, Market, Order, Reserves, sign_order
from encmempool.mempool import MAX_PENDING_PER_SENDER, candidate
from encmempool.network.ceremony import check_committee, generate_keys, sign_by_members
from encmempool.network.local import limits_of
from encmempool.ordering import Policy, execution_order
from encmempool.reveal import Executed, Follower
from encmempool.sequencer import TRANSACTION, Sequencer
from encmempool.store import DatabaseStore, MemoryStore, perform
from encmempool.transactions import encrypt_transaction, pad, unpad
from encmempool.types import (
    Allocation,
    EncryptedTransaction,
    Genesis,
    Header,
    OrderCertificate,
    PoolState,
    Proposal,
    ShareRelease,
    SignedVote,
    Token,
)
from threshold import entropy
from threshold.errors import NotEnoughShares
from threshold.keys import KeyShare
from threshold.sansio import Send
from threshold.schemes.base import Batch, BatchKey, Undecryptable
from threshold.schemes.registry import load_scheme

CONTRACT = bytes.fromhex("c0" * 20)
"""Where the attacker's own contract lives."""
_ATTACKER_ACCOUNTS = 32
"""The first is ATTACKER, the others are below it."""
_TIMESTAMP_MS = 1_700_000_000_000
_FUNDS_WEI = 2**111
_FUNDS_TOKENS = 2**111
_LATE = 1_000


class PathDisagrees(AssertionError):
    """A block that ran in full did not become what the model said: the run's figures cannot be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Which committee, and how large its batches may be."""

    scheme: str = "tdh2"
    backend: str = "arkworks"
    members: int = 4
    threshold: int = 3
    reduced_threshold: bool = False
    batch: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """A block as it was decrypted and executed.

    block       what ran, in the order in which it ran, read from the decrypted payloads
    receipts    the ledger's, in the same order
    reveal_ms   from the signed commitment to the executed block, in one process
    """

    block: tuple[Order | Call, ...]
    receipts: tuple[ExecutionReceipt, ...]
    reveal_ms: float


@cache
def person(sender: int) -> Identity:
    """The account of a simulated user, or the attacker's. What it signs is encrypted with real randomness."""
    return Identity(hashlib.sha256(f"encmempool experiment person {sender}".encode()).digest())


@cache
def token_address(pool: int) -> bytes:
    """The token that a pool trades against ether."""
    return TOKEN if pool == 0 else hashlib.sha256(f"encmempool experiment token {pool}".encode()).digest()[:20]


@cache
def _people() -> dict[bytes, int]:
    return {person(index).address: index for index in range(-_ATTACKER_ACCOUNTS, PEOPLE)}


def _index_of(address: bytes) -> int:
    return _people()[address]


def sign(item: Order | Call, *, nonce: int, account: int | None = None) -> bytes:
    """The raw signed transaction of an order or of a call to the attacker's contract, from its sender's account."""
    identity = person(item.sender if account is None else account)
    if isinstance(item, Order):
        return sign_order(item, identity, nonce=nonce, token=token_address(item.pool))
    return sign_transaction(
        identity.secret_bytes(),
        chain_id=development.DEVELOPMENT_CHAIN_ID,
        nonce=nonce,
        to=CONTRACT,
        value=0,
        data=hashlib.sha256(repr(item.decide).encode()).digest(),
        gas_limit=gas_ladder(SWAP_GAS),
        max_fee_per_gas=development.BASE_FEE + item.tip_wei,
        max_priority_fee_per_gas=item.tip_wei,
    )


def read_order(payload: bytes) -> Order | None:
    """The order that a signed transaction places, or None if it places none. Raises Malformed."""
    call = decode_signed(payload)
    if call.to != development.ROUTER:
        return None
    swap = router.decode(call.data, call.value)
    buys = swap.kind is router.SwapKind.EXACT_ETH_FOR_TOKENS
    token = swap.path[1] if buys else swap.path[0]
    pool = next(index for index in range(len(development_tokens())) if token_address(index) == token)
    return Order(
        sender=max(_index_of(call.sender), ATTACKER),
        buys=buys,
        amount_in=swap.exact,
        minimum_out=swap.bound,
        pool=pool,
        tip_wei=call.max_priority_fee_per_gas,
    )


@cache
def development_tokens() -> tuple[Token, ...]:
    """One for each pool that a market can have."""
    return tuple(Token(address=token_address(at), symbol=f"TK{at}".encode(), decimals=18) for at in range(MAX_POOLS))


class Network:
    """A committee with its keys in memory, under one order policy."""

    def __init__(self, setup: Setup, policy: Policy, pools: Sequence[Reserves]) -> None:
        """Runs the key ceremony: a tenth of a second with tdh2, seconds with batched ones. `pools` are at genesis."""
        scheme = load_scheme(setup.scheme, setup.backend)
        check_committee(scheme, setup.members, setup.threshold, reduced_allowed=setup.reduced_threshold)
        info = scheme.info
        limits = limits_of(
            scheme, batch_limit=setup.batch if info.limits_batch else None, rounds=4 if info.limits_rounds else None
        )
        self.policy = policy
        self._sequencer = Identity(entropy.system(32))
        self._identities = [Identity(entropy.system(32)) for _ in range(setup.members)]
        genesis = self._genesis(pools, limits.batch)
        keys = generate_keys(
            scheme, self._identities, setup.threshold, genesis_root=genesis.root, limits=limits, random=entropy.system
        )
        self._shares = [key.share for key in keys]
        key_set = first_key_set(
            genesis,
            keys[0].public,
            setup_kind=DISTRIBUTED,
            setup_privacy=scheme.setup_privacy(setup.members, setup.threshold),
            rounds=limits.rounds or 0,
        )
        signed = sign_by_members(key_set, self._identities)
        self.committee = Committee.load(genesis, signed, keys[0].public.parameters, backend=setup.backend)

    def _genesis(self, at_start: Sequence[Reserves], batch_limit: int | None) -> Genesis:
        tokens = development_tokens()[: len(at_start)]
        pools = []
        for token, reserves in zip(tokens, at_start, strict=True):
            (token0, reserve0), (token1, reserve1) = sorted(
                ((development.WETH, reserves.ether), (token.address, reserves.token))
            )
            pools.append(PoolState(token0=token0, token1=token1, reserve0=reserve0, reserve1=reserve1))
        addresses = sorted(person(index).address for index in range(-_ATTACKER_ACCOUNTS, PEOPLE))
        return development.check(
            Genesis(
                chain_id=development.DEVELOPMENT_CHAIN_ID,
                timestamp_ms=_TIMESTAMP_MS,
                accounts=tuple(
                    Allocation(address=address, balance=_FUNDS_WEI, tokens=(_FUNDS_TOKENS,) * len(at_start))
                    for address in addresses
                ),
                tokens=tokens,
                pools=tuple(sorted(pools, key=lambda pool: (pool.token0, pool.token1))),
                router=development.ROUTER,
                weth=development.WETH,
                base_fee=development.BASE_FEE,
                sequencer=self._sequencer.address,
                members=tuple(identity.address for identity in self._identities),
                policy_id=self.policy,
                policy_parameters=b"",
                batch_limit=batch_limit or development.BATCH_LIMIT,
                gas_limit=development.BATCH_GAS_LIMIT,
                size_classes=development.SIZE_CLASSES,
                deadlines=development.DEADLINES,
            )
        )

    def encrypt(self, item: Order | Call, *, nonce: int = 0, account: int | None = None) -> EncryptedTransaction:
        """As its sender's client does, with fresh randomness."""
        return encrypt_transaction(
            sign(item, nonce=nonce, account=account),
            terms=self.committee.terms,
            scheme=self.committee.scheme,
            public_key=self.committee.public_key,
            identity=person(item.sender if account is None else account),
            valid_until=self._valid_until,
            random=entropy.system,
        )

    @property
    def _valid_until(self) -> int:
        return 1 if self.committee.terms.addresses_height else _LATE

    def record(self, market: Market) -> tuple[bytes, ...]:
        """What a sequencer's database holds once the users' envelopes have arrived, in their order of arrival."""
        with self._running() as sequencer:
            for order in market.orders:
                sequencer.submit(self.encrypt(order).encoded)
            stored = set(sequencer.recorded())
            arrived = sequencer.arrivals()
        if stored != set(arrived):
            raise PathDisagrees("the sequencer's database holds other bytes than arrived")
        return arrived

    def exposed(self, market: Market, *, exact_gas: bool = False, exact_size: bool = False) -> tuple[bytes, ...]:
        """Really encrypted envelopes that show more than this network lets them: it would refuse them.

        exact_gas     the wallet's estimate instead of a rung of the ladder
        exact_size    the payload without padding
        """
        committee, terms = self.committee, self.committee.terms
        envelopes = []
        for order in market.orders:
            payload = sign(order, nonce=0)
            header = shown_header(terms, order, valid_until=self._valid_until, exact_gas=exact_gas)
            plaintext = payload if exact_size else pad(payload, terms.genesis.size_classes, random=entropy.system)
            ciphertext = committee.scheme.encrypt(
                committee.public_key, plaintext, aad=header.root, height=header.target_height, random=entropy.system
            )
            signature = person(order.sender).sign(terms.signing_hash(header, ciphertext))
            envelopes.append(EncryptedTransaction(header=header, ciphertext=ciphertext, signature=signature).encoded)
        return tuple(envelopes)

    def run(self, view: Sequence[bytes], block: Sequence[Order | Call], *, users: Sequence[Order]) -> Realised:
        """Commit, vote, release, decrypt and execute: the users' recorded envelopes and the attacker's own.

        view     the recorded envelopes of `users`, in the same order
        block    the users' orders and the attacker's, in the order in which the sequencer takes them
        """
        envelopes = dict(zip(users, view, strict=True))
        sent: Counter[int] = Counter()
        nonces: Counter[int] = Counter()
        items: dict[tuple[int, int], Order | Call] = {}
        with self._running() as sequencer:
            for item in block:
                account = item.sender
                if account == ATTACKER:  # a sender may have so many waiting, and no more
                    account -= sent[ATTACKER] // MAX_PENDING_PER_SENDER
                sent[item.sender] += 1
                nonce = nonces[account]
                nonces[account] += 1
                items[account, nonce] = item
                known = envelopes.get(item) if isinstance(item, Order) else None
                sequencer.submit(self.encrypt(item, nonce=nonce, account=account).encoded if known is None else known)
            executed, reveal_ms = sequencer.reveal()
        ran = []
        for at in _executed_order(executed, self.policy, self.committee):
            payload = executed.opened[at].payload
            if payload is None:
                raise PathDisagrees(f"position {at} did not decrypt")
            inner = decode_signed(payload)
            item = items[_index_of(inner.sender), inner.nonce]
            if isinstance(item, Order) and read_order(payload) != item:
                raise PathDisagrees(f"position {at} decrypted to another order than was encrypted")
            ran.append((item, executed.receipts[at]))
        return Realised(
            block=tuple(item for item, _ in ran), receipts=tuple(receipt for _, receipt in ran), reveal_ms=reveal_ms
        )

    def collude(self, view: Sequence[bytes], members: int) -> tuple[Order, ...] | None:
        """What `members` of the committee read of recorded envelopes with their shares, before any commitment.

        None if their shares do not open them.
        """
        if not view:
            return ()
        committee, scheme = self.committee, self.committee.scheme
        envelopes = [EncryptedTransaction.decode(data) for data in view]
        entries = tuple(committee.verify_ciphertext(envelope) for envelope in envelopes)
        batch = Batch(key_id=committee.key_set.key_id, height=1, round=1, entries=entries)
        prepared = scheme.precompute(committee.public_key, batch)
        shares = [
            scheme.partial_decrypt(committee.public_key, share, batch, random=entropy.system)
            for share in self._shares[:members]
        ]
        try:
            batch_key, _ = scheme.combine(committee.public_key, batch, shares, prepared)
        except NotEnoughShares:
            return None
        opened = scheme.decrypt(committee.public_key, batch, batch_key, prepared)
        return tuple(self._order_in(plaintext) for plaintext in opened)

    def _order_in(self, plaintext: bytes | Undecryptable) -> Order:
        if isinstance(plaintext, Undecryptable):
            raise PathDisagrees(f"a user's ciphertext did not open: {plaintext.reason}")
        order = read_order(unpad(plaintext, self.committee.genesis.size_classes))
        if order is None:
            raise PathDisagrees("a user's ciphertext held no order")
        return order

    def copies_executed(self, view: Sequence[bytes]) -> int:
        """Copy every recorded envelope as an attacker would, verbatim and under a header of its own, and run the block.

        Returns how many copies were executed in the attacker's name. Most schemes let none be admitted; with ibe they
        are, and fail when they are revealed.
        """
        attacker, terms = person(ATTACKER), self.committee.terms
        nonce = 0
        with self._running() as sequencer:
            for data in view:
                sequencer.submit(data)
            for data in view:
                original = EncryptedTransaction.decode(data)
                header = replace(original.header, sender=attacker.address, nonce=nonce)
                signature = attacker.sign(terms.signing_hash(header, original.ciphertext))
                own = EncryptedTransaction(header=header, ciphertext=original.ciphertext, signature=signature)
                with suppress(Malformed, Rejected):
                    sequencer.submit(data)
                    raise PathDisagrees("an envelope was admitted twice")
                with suppress(Malformed, Rejected):
                    sequencer.submit(own.encoded)
                    nonce += 1
            executed, _ = sequencer.reveal()
        entries = zip(executed.ready.proposal.transactions, executed.receipts, strict=True)
        return sum(receipt.success for envelope, receipt in entries if envelope.header.sender == attacker.address)

    def _running(self) -> _Roles:
        return _Roles(self.committee, self._sequencer, self._identities, self._shares)


class _Roles:
    """Sequencer, members and a follower at genesis. The sequencer's database is a file; leaving removes it."""

    def __init__(
        self, committee: Committee, sequencer: Identity, identities: Sequence[Identity], shares: Sequence[KeyShare]
    ) -> None:
        self._committee, self._identities, self._shares = committee, identities, shares
        self._folder = tempfile.TemporaryDirectory(prefix="encmempool-measure-")
        self._store = DatabaseStore.sqlite(Path(self._folder.name) / "sequencer.sqlite")
        self._follower = Follower(committee)
        self._sequencer = Sequencer(
            terms=committee.terms,
            identity=sequencer,
            verifier=committee,
            state=self._follower,
            records=self._store,
        )
        self._arrived: list[bytes] = []

    def __enter__(self) -> _Roles:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
        self._folder.cleanup()

    def submit(self, data: bytes) -> None:
        """Raises Malformed or Rejected."""
        perform(self._sequencer.submit(data, now_ms=_TIMESTAMP_MS), self._store)
        self._arrived.append(data)

    def arrivals(self) -> tuple[bytes, ...]:
        return tuple(self._arrived)

    def recorded(self) -> tuple[bytes, ...]:
        """Read back from the database."""
        return tuple(value for _, value in self._store.scan(TRANSACTION))

    def reveal(self) -> tuple[Executed, float]:
        """One height from commitment to execution, by t members, and its milliseconds."""
        committee, t = self._committee, self._committee.key_set.t
        (sent,) = perform(self._sequencer.commit(now_ms=_TIMESTAMP_MS), self._store)
        start = time.perf_counter()
        proposal = Proposal.decode(_message(sent))
        members, ballot, certificate = [], Ballot(committee), None
        for index in range(1, t + 1):
            follower = Follower(committee)
            member = Member(
                index=index,
                chain=follower.chain,
                identity=self._identities[index - 1],
                key_share=self._shares[index - 1],
                records=MemoryStore(),
                random=entropy.system,
            )
            *_, vote = member.vote(proposal, now_ms=_TIMESTAMP_MS)
            certificate = ballot.add(SignedVote.decode(_message(vote))) or certificate
            members.append(member)
        if not isinstance(certificate, OrderCertificate):
            raise PathDisagrees("t members voted and no certificate was made")
        self._follower.propose(proposal)
        self._follower.certify(certificate)
        for member in members:
            *_, release = member.release(certificate)
            self._follower.receive(ShareRelease.decode(_message(release)))
        _, executed = self._follower.advance()
        return executed[0], 1e3 * (time.perf_counter() - start)


class Stock:
    """Recorded ciphertexts of other people's transactions, to stand in for those of a block that is not run in full."""

    def __init__(self, network: Network, market: Market) -> None:
        """`market` is one of other seeds; its envelopes are recorded for real."""
        recorded = [EncryptedTransaction.decode(data) for data in network.record(market)]
        self._terms = network.committee.terms
        self._bodies = [envelope.ciphertext for envelope in recorded]
        self._signatures = [envelope.signature for envelope in recorded]
        self._valid_until = recorded[0].header.valid_until

    def view(self, market: Market, *, exact_gas: bool = False, exact_size: bool = False) -> tuple[bytes, ...]:
        """True headers and sizes around recorded ciphertexts. The options are those of `Network.exposed`."""
        random, terms = Simulation(f"stand-ins/{market.seed}"), self._terms
        envelopes = []
        for order in market.orders:
            header = shown_header(terms, order, valid_until=self._valid_until, exact_gas=exact_gas)
            body = random.choice(self._bodies)
            if exact_size:
                length = _signed_size(order) + terms.overhead_bytes
                body = (body * (1 + length // len(body)))[:length]
            envelope = EncryptedTransaction(header=header, ciphertext=body, signature=random.choice(self._signatures))
            envelopes.append(envelope.encoded)
        return tuple(envelopes)


def shown_header(terms: Terms, order: Order, *, valid_until: int, exact_gas: bool) -> Header:
    """What an order's envelope shows."""
    return Header(
        version=VERSION,
        key_id=terms.key_set.key_id,
        scheme=terms.key_set.scheme,
        sender=person(order.sender).address,
        nonce=0,
        gas_limit=wallet_gas(order) if exact_gas else gas_ladder(SWAP_GAS),
        max_fee_per_gas=development.BASE_FEE + order.tip_wei,
        max_priority_fee_per_gas=order.tip_wei,
        target_height=valid_until if terms.addresses_height else 0,
        valid_until=valid_until,
    )


def _signed_size(order: Order) -> int:
    """`len(sign(order, nonce=0))` without the wallet's checks, which take ten times as long."""
    swap = order.swap(recipient=person(order.sender).address, deadline=NO_DEADLINE_S, token=token_address(order.pool))
    fields = [
        development.DEVELOPMENT_CHAIN_ID,
        0,
        order.tip_wei,
        development.BASE_FEE + order.tip_wei,
        gas_ladder(SWAP_GAS),
        development.ROUTER,
        swap.value,
        router.encode(swap),
        [],
    ]
    signature = person(order.sender).sign(keccak256(b"\x02" + rlp.encode(fields)))
    r, s, parity = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64] - 27
    return 1 + len(rlp.encode([*fields, parity, r, s]))


def wallet_gas(order: Order) -> int:
    """A wallet's own estimate: the swap's gas with its token's transfer cost, and the bytes of its calldata."""
    swap = order.swap(recipient=person(order.sender).address, deadline=NO_DEADLINE_S, token=token_address(order.pool))
    return SWAP_GAS - TRANSFER_GAS + 3_000 * order.pool + intrinsic_gas(router.encode(swap))


def _executed_order(executed: Executed, policy: Policy, committee: Committee) -> tuple[int, ...]:
    if executed.reveal is None:
        raise PathDisagrees("the height was not revealed")
    batch = [
        candidate(transaction, sequence=0, base_fee=committee.genesis.base_fee)
        for transaction in executed.ready.proposal.transactions
    ]
    value = BatchKey.decode(executed.reveal.batch_key).value
    root = executed.ready.commitment.root
    return execution_order(policy, batch, commitment_root=root, batch_key_value=value)


def _message(effect: object) -> bytes:
    if not isinstance(effect, Send):
        raise TypeError(f"a message was expected, not {type(effect).__name__}")
    return effect.message
