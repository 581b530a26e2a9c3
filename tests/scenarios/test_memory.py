"""A sequencer, a member and a follower that run for long hold as much as those that just started.

The figures count what Python allocates. What is stored goes to real files.
"""

from __future__ import annotations

import gc
import hashlib
import tracemalloc
from itertools import count

import pytest

from encmempool import genesis as development
from encmempool.committee import Ballot, Member
from encmempool.ethereum import sign_transaction
from encmempool.identity import Identity
from encmempool.keysets import DISTRIBUTED, Committee, first_key_set
from encmempool.network.ceremony import generate_keys, sign_by_members
from encmempool.network.local import Plan, development_genesis
from encmempool.ordering import Policy
from encmempool.reveal import CHECKPOINT, Follower
from encmempool.sequencer import SEQUENCER_CHECKPOINT, Sequencer
from encmempool.store import DatabaseStore, perform
from encmempool.transactions import encrypt_transaction
from encmempool.types import EncryptedTransaction, Proposal, ShareRelease, SignedReceipt, SignedVote
from threshold.encoding import u64
from threshold.entropy import deterministic
from threshold.schemes.registry import load_scheme

START_MS = 1_700_000_000_000
MAX_FEE, PRIORITY_FEE = 30 * 10**9, 2 * 10**9
EVERY = 8
MEMBERS = (1, 2, 3)


def identity(name):
    return Identity(hashlib.sha256(f"encmempool memory {name}".encode()).digest())


class Nodes:
    """A sequencer with its follower, and three members with theirs."""

    def __init__(self, folder, scheme_name, *, senders, kept):
        scheme, random = load_scheme(scheme_name), deterministic(b"memory")
        self.kept = kept
        self.people = [identity(f"person {at}") for at in range(senders)]
        self.signer, members = identity("sequencer"), [identity(f"member {at}") for at in range(4)]
        plan = Plan(
            members=4,
            threshold=3,
            policy=Policy.ARRIVAL,
            funded=tuple(person.address for person in self.people),
            timestamp_ms=START_MS,
        )
        genesis = development_genesis(plan, sequencer=self.signer.address, members=[m.address for m in members])
        results = generate_keys(scheme, members, 3, genesis_root=genesis.root, random=random)
        key_set = first_key_set(genesis, results[0].public, setup_kind=DISTRIBUTED, setup_privacy=0)
        self.committee = Committee.load(genesis, sign_by_members(key_set, members))
        self.identities, self.shares = members, [result.share for result in results]
        self.random, self.now_ms = random, START_MS
        self.stores = {role: DatabaseStore.sqlite(folder / f"{role}.sqlite") for role in ("sequencer", *MEMBERS)}
        self.start()

    def start(self):
        self.followers = {
            role: Follower(self.committee, records=store, kept=self.kept) for role, store in self.stores.items()
        }
        self.sequencer = Sequencer(
            terms=self.committee.terms,
            identity=self.signer,
            verifier=self.committee,
            state=self.followers["sequencer"],
            records=self.stores["sequencer"],
            kept=1,
        )
        self.members = {
            index: Member(
                index=index,
                chain=self.followers[index].chain,
                identity=self.identities[index - 1],
                key_share=self.shares[index - 1],
                records=self.stores[index],
                random=self.random,
            )
            for index in MEMBERS
        }
        self.ballot = Ballot(self.committee)

    def encrypt(self, person, nonce, valid_until):
        payload = sign_transaction(
            person.secret_bytes(),
            chain_id=development.DEVELOPMENT_CHAIN_ID,
            nonce=nonce,
            to=b"\x55" * 20,
            value=1,
            data=b"",
            gas_limit=21_000,
            max_fee_per_gas=MAX_FEE,
            max_priority_fee_per_gas=PRIORITY_FEE,
        )
        return encrypt_transaction(
            payload,
            terms=self.committee.terms,
            scheme=self.committee.scheme,
            public_key=self.committee.public_key,
            identity=person,
            valid_until=valid_until,
            random=self.random,
        )

    def submit(self, transaction):
        (sent,) = perform(self.sequencer.submit(transaction.encoded, now_ms=self.now_ms), self.stores["sequencer"])
        for member in self.members.values():
            member.chain.prepare(EncryptedTransaction.decode(transaction.encoded))
            member.chain.prepare_receipt(SignedReceipt.decode(sent.message))

    def commit(self):
        self.now_ms += 1000
        (sent,) = perform(self.sequencer.commit(now_ms=self.now_ms), self.stores["sequencer"])
        return sent.message

    def height(self, *, left_out=0):
        """A transaction of each sender, committed, opened and executed by all. Others come while theirs is in flight,
        and expire: their height stays empty."""
        for person in self.people:
            self.send(person, valid_for=50)
        committed = [self.commit()]
        if left_out:
            for person in self.people[:left_out]:
                self.send(person, valid_for=1)
            committed.append(self.commit())
        for data in committed:
            self.open(data)

    def send(self, person, *, valid_for):
        nonce = self.sequencer.next_nonce(person.address)
        self.submit(self.encrypt(person, nonce, self.sequencer.height + valid_for))

    def open(self, data):
        certificate = None
        for index, member in self.members.items():
            proposal = member.chain.decode(data)
            *_, vote = perform(member.vote(proposal, now_ms=self.now_ms), self.stores[index])
            certificate = self.ballot.add(SignedVote.decode(vote.message)) or certificate
        perform(self.followers["sequencer"].propose(Proposal.decode(data)), self.stores["sequencer"])
        for role, follower in self.followers.items():
            perform(follower.certify(certificate), self.stores[role])
        for index, member in self.members.items():
            for released in perform(member.release(certificate), self.stores[index]):
                for role, follower in self.followers.items():
                    perform(follower.receive(ShareRelease.decode(released.message)), self.stores[role])
        for role, follower in self.followers.items():
            records, _ = follower.advance()
            perform(records, self.stores[role])
        reached = self.followers["sequencer"].latest.height
        if reached % EVERY == 0:
            for role, follower in self.followers.items():
                perform([follower.checkpoint()], self.stores[role])
                self.stores[role].erase(CHECKPOINT, below=u64(reached - EVERY))
            record = self.sequencer.checkpoint()
            perform([record], self.stores["sequencer"])
            self.stores["sequencer"].erase(SEQUENCER_CHECKPOINT, below=record.key)


def allocated():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def growth(nodes, *, settled, heights, left_out=0):
    """Bytes for each transaction between two heights at which the same amount is kept."""
    transactions = (heights - settled) * (len(nodes.people) + left_out)
    tracemalloc.start()
    try:
        before = 0
        for at in count(1):
            nodes.height(left_out=left_out)
            if at == settled:
                before = allocated()
            if at == heights:
                return (allocated() - before) / transactions
    finally:
        tracemalloc.stop()
    raise AssertionError


def test_memory_does_not_grow_with_what_was_executed(tmp_path, monkeypatch):
    """Windows of four heights, which are full after the first few."""
    for module in ("reveal", "committee", "sequencer"):
        monkeypatch.setattr(f"encmempool.{module}.MAX_UNEXECUTED", 4)
    nodes = Nodes(tmp_path, "clear", senders=8, kept=4)
    assert growth(nodes, settled=16, heights=48) < 60


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["clear", "tdh2"])
def test_memory_does_not_grow_over_20_000_transactions(tmp_path, scheme):
    """Nonces stay below 257 all the while: Python allocates nothing for those."""
    nodes = Nodes(tmp_path, scheme, senders=128, kept=64)
    assert growth(nodes, settled=80, heights=160) < 30
    assert nodes.sequencer.height * 128 > 20_000
