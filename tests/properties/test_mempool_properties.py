"""A mempool under random submissions, commitments, executions and expiries, against a model kept beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from encmempool import genesis as genesis_file
from encmempool.envelope import Terms, reservation
from encmempool.errors import Rejected
from encmempool.identity import Identity
from encmempool.mempool import Mempool, Pending, candidate
from encmempool.ordering import Policy, ascending_nonces, committed_order
from encmempool.types import EncryptedTransaction, Genesis, Header, KeySet

GWEI = 10**9
GAS = 21_000
UNIT = GAS * 10 * GWEI
"""The smallest reservation there is, in wei."""
PEOPLE = tuple(Identity(hashlib.sha256(b"mempool person %d" % n).digest()) for n in range(3))

GENESIS = Genesis(
    chain_id=31337,
    timestamp_ms=0,
    accounts=(),
    tokens=(),
    pools=(),
    router=genesis_file.ROUTER,
    weth=genesis_file.WETH,
    base_fee=10 * GWEI,
    sequencer=bytes(20),
    members=(bytes(20),),
    policy_id=1,
    policy_parameters=b"",
    batch_limit=2,
    gas_limit=8 * GAS,
    size_classes=(256,),
    deadlines=genesis_file.DEADLINES,
)
KEY_SET = KeySet(
    genesis_root=GENESIS.root,
    predecessor=bytes(32),
    key_id=b"\x01" * 32,
    epoch=1,
    scheme=0,
    setup_kind=2,
    setup_privacy=0,
    n=1,
    t=1,
    reduced_threshold=0,
    members=GENESIS.members,
    sequencer=bytes(20),
    policy_id=1,
    policy_parameters=b"",
    encryption_key=b"",
    verification_keys=(b"",),
    parameter_digest=bytes(32),
    batch_limit=2,
    rounds=0,
    start_height=1,
    start_parent=GENESIS.root,
    start_round=0,
    valid_until=2**64 - 1,
)
TERMS = Terms(genesis=GENESIS, key_set=KEY_SET, overhead_bytes=0, addresses_height=False)


class AnyCiphertext:
    def verify_ciphertext(self, transaction: EncryptedTransaction) -> None:
        """The envelope is what this test is about."""


@dataclass
class Accounts:
    """The executed state, set by the model."""

    balances: dict[bytes, int] = field(default_factory=dict)
    nonces: dict[bytes, int] = field(default_factory=dict)
    height: int = 0
    root: bytes = bytes(32)

    @property
    def latest(self) -> Accounts:
        return self

    def at(self, height: int) -> Accounts | None:
        return self if height == self.height else None

    def nonce(self, address: bytes) -> int:
        return self.nonces.get(address, 0)

    def balance(self, address: bytes) -> int:
        return self.balances.get(address, 0)


def envelope(person: Identity, **fields: int) -> EncryptedTransaction:
    header = Header(version=1, key_id=KEY_SET.key_id, scheme=0, sender=person.address, target_height=0, **fields)
    ciphertext = bytes(256)
    signature = person.sign(TERMS.signing_hash(header, ciphertext))
    return EncryptedTransaction(header=header, ciphertext=ciphertext, signature=signature)


people = st.sampled_from(PEOPLE)
funds = st.sampled_from((40, 40, 60, 10, 3, 1, 0)).map(lambda units: units * UNIT)
submission = st.tuples(
    people,
    st.sampled_from((0, 0, 0, 0, 0, 1, -1)),  # away from the next nonce
    st.sampled_from((0, 0, 0, 1, 2, 3)),  # rung of gas
    st.integers(10, 15),  # max fee, gwei
    st.integers(0, 3),  # priority fee, gwei
    st.sampled_from((0, 1, 4, 50, 50)),  # heights it stays valid
)


class MempoolMachine(RuleBasedStateMachine):
    policy = Policy.ARRIVAL

    @initialize(balances=st.tuples(funds, funds, funds))
    def begin(self, balances):
        self.accounts = Accounts(balances={p.address: b for p, b in zip(PEOPLE, balances, strict=True)})
        self.mempool = Mempool(TERMS, AnyCiphertext(), self.accounts)
        self.height = 1
        self.sequence = 0
        self.live: dict[tuple[bytes, int], EncryptedTransaction] = {}
        self.sequences: dict[bytes, int] = {}
        self.received: set[bytes] = set()
        self.committed: set[bytes] = set()
        self.in_flight: list[tuple[EncryptedTransaction, ...]] = []

    def flying(self, sender: bytes) -> list[int]:
        return [t.header.nonce for batch in self.in_flight for t in batch if t.header.sender == sender]

    def own(self, sender: bytes) -> list[EncryptedTransaction]:
        return [t for (owner, _), t in sorted(self.live.items()) if owner == sender]

    def next_nonce(self, sender: bytes) -> int:
        nonce = max([self.accounts.nonce(sender), *(n + 1 for n in self.flying(sender))])
        while (sender, nonce) in self.live:
            nonce += 1
        return nonce

    @rule(submissions=st.lists(submission, min_size=1, max_size=8))
    def submit(self, submissions):
        for one in submissions:
            self.submit_one(*one)

    def submit_one(self, person, skip, rungs, fee, tip, lasts):
        sender = person.address
        transaction = envelope(
            person,
            nonce=max(0, self.next_nonce(sender) + skip),
            gas_limit=GAS << rungs,
            max_fee_per_gas=fee * GWEI,
            max_priority_fee_per_gas=tip * GWEI,
            valid_until=self.height + lasts,
        )
        reserved = sum(reservation(t.header) for t in (*self.own(sender), transaction))
        if transaction.tx_id in self.received:
            expected = "MEM-1"
        elif transaction.header.nonce != self.next_nonce(sender):
            expected = "MEM-2"
        elif reserved > self.accounts.balance(sender):
            expected = "MEM-3"
        else:
            expected = ""
        if expected:
            with pytest.raises(Rejected) as caught:
                self.mempool.check(transaction, height=self.height)
            assert caught.value.rule == expected
            return
        self.mempool.check(transaction, height=self.height)
        self.mempool.add(Pending(transaction=transaction, sequence=self.sequence))
        self.sequences[transaction.tx_id] = self.sequence
        self.sequence += 1
        self.received.add(transaction.tx_id)
        self.live[sender, transaction.header.nonce] = transaction

    def ready(self, sender: bytes) -> bool:
        """Whether the sender's next transaction could be the only one of a batch."""
        first = self.live.get((sender, self.accounts.nonce(sender)))
        return (
            first is not None
            and not self.flying(sender)
            and reservation(first.header) <= self.accounts.balance(sender)
            and first.header.valid_until >= self.height
        )

    def selection(self, policy: Policy) -> list[bytes]:
        """What a batch holds, from the definition: rank all that is ready, then take while there is room."""
        ready: dict[bytes, EncryptedTransaction] = {}
        for person in PEOPLE:
            nonce, left = self.accounts.nonce(person.address), self.accounts.balance(person.address)
            while not self.flying(person.address) and (person.address, nonce) in self.live:
                transaction = self.live[person.address, nonce]
                left -= reservation(transaction.header)
                if left < 0 or transaction.header.valid_until < self.height:
                    break
                ready[transaction.tx_id] = transaction
                nonce += 1
        candidates = [
            candidate(transaction, sequence=self.sequences[tx_id], base_fee=GENESIS.base_fee)
            for tx_id, transaction in ready.items()
        ]
        chosen, closed, gas = [], set(), 0
        for item in ascending_nonces(committed_order(policy, candidates)):
            if len(chosen) == GENESIS.batch_limit:
                break
            needed = ready[item.tx_id].header.gas_limit
            if item.sender in closed or gas + needed > GENESIS.gas_limit:
                closed.add(item.sender)
                continue
            gas += needed
            chosen.append(item)
        return [item.tx_id for item in committed_order(policy, chosen)]

    @rule(policy=st.sampled_from(Policy))
    def look(self, policy):
        """A later key set may have another policy."""
        chosen = self.mempool.select(height=self.height, policy=policy)
        assert [pending.transaction.tx_id for pending in chosen] == self.selection(policy)

    @rule()
    def commit(self):
        chosen = self.mempool.select(height=self.height, policy=self.policy)
        assert chosen == self.mempool.select(height=self.height, policy=self.policy)
        assert [pending.transaction.tx_id for pending in chosen] == self.selection(self.policy)
        batch = tuple(pending.transaction for pending in chosen)
        candidates = [pending.candidate(GENESIS.base_fee) for pending in chosen]
        assert [c.tx_id for c in committed_order(self.policy, candidates)] == [t.tx_id for t in batch]
        assert len(batch) <= GENESIS.batch_limit
        assert sum(t.header.gas_limit for t in batch) <= GENESIS.gas_limit
        assert bool(batch) == any(self.ready(person.address) for person in PEOPLE)
        for transaction in batch:
            header = transaction.header
            assert self.live[header.sender, header.nonce] == transaction
            assert transaction.tx_id not in self.committed
            assert header.valid_until >= self.height
            assert not self.flying(header.sender)
        for person in PEOPLE:
            own = sorted(t.header.nonce for t in batch if t.header.sender == person.address)
            start = self.accounts.nonce(person.address)
            assert own == list(range(start, start + len(own)))
            reserved = sum(reservation(t.header) for t in batch if t.header.sender == person.address)
            assert reserved <= self.accounts.balance(person.address)
        self.mempool.commit(batch)
        for transaction in batch:
            del self.live[transaction.header.sender, transaction.header.nonce]
            self.committed.add(transaction.tx_id)
        self.in_flight.append(batch)
        self.height += 1

    @precondition(lambda self: self.in_flight)
    @rule(spent=st.integers(0, 100))
    def execute(self, spent):
        batch = self.in_flight.pop(0)
        for transaction in batch:
            sender = transaction.header.sender
            self.accounts.nonces[sender] = self.accounts.nonce(sender) + 1
            self.accounts.balances[sender] -= reservation(transaction.header) * spent // 100
        self.accounts.height += 1
        self.mempool.executed(t.header.sender for t in batch)

    @rule()
    def expire(self):
        gone = {slot: t for slot, t in self.live.items() if t.header.valid_until < self.height}
        assert set(self.mempool.expire(height=self.height)) == set(gone.values())
        for slot in gone:
            del self.live[slot]

    @rule(person=people, amount=funds)
    def move_ether(self, person, amount):
        """Whatever else happens on the chain: an account gains or loses, but never what a running batch reserved."""
        if not self.flying(person.address):
            self.accounts.balances[person.address] = amount

    @invariant()
    def size_and_nonces_are_right(self):
        if not hasattr(self, "mempool"):
            return
        assert len(self.mempool) == len(self.live)
        for person in PEOPLE:
            assert self.mempool.next_nonce(person.address) == self.next_nonce(person.address)


class PriorityFeeMachine(MempoolMachine):
    policy = Policy.PRIORITY_FEE


class ShuffleMachine(MempoolMachine):
    policy = Policy.SHUFFLE


LIMITS = settings(max_examples=50, stateful_step_count=30, deadline=None)

TestMempoolByArrival = MempoolMachine.TestCase
TestMempoolByPriorityFee = PriorityFeeMachine.TestCase
TestMempoolByShuffle = ShuffleMachine.TestCase
TestMempoolByArrival.settings = TestMempoolByPriorityFee.settings = TestMempoolByShuffle.settings = LIMITS
