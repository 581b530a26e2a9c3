"""Random stories of a whole network without encryption: what must hold whatever is submitted and whoever restarts."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from encmempool import genesis as development
from encmempool.committee import Ballot, Member
from encmempool.envelope import reservation
from encmempool.errors import Malformed, Rejected
from encmempool.ethereum import sign_transaction
from encmempool.execution import router
from encmempool.execution.router import Swap, SwapKind
from encmempool.identity import Identity
from encmempool.keysets import DISTRIBUTED, Committee, first_key_set
from encmempool.network.ceremony import generate_keys, sign_by_members
from encmempool.network.local import Plan, development_genesis
from encmempool.ordering import Policy
from encmempool.reveal import Follower, Outcome
from encmempool.sequencer import Sequencer
from encmempool.store import MemoryStore, perform
from encmempool.types import EncryptedTransaction, Header, Proposal, ShareRelease, SignedReceipt, SignedVote
from threshold.entropy import deterministic
from threshold.schemes.registry import load_scheme

START_MS = 1_700_000_000_000
MEMBERS = (1, 2, 3, 4)
ETHER_EACH = 10**17  # small enough that people run out
MAX_FEE, PRIORITY_FEE = 30 * 10**9, 2 * 10**9
BATCH_LIMIT, BATCH_GAS_LIMIT = 4, 21_000 * 16
MOST_PENDING = 4
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # explaining takes longer than finding


def identity(name):
    return Identity(hashlib.sha256(f"encmempool property {name}".encode()).digest())


PEOPLE = tuple(identity(f"person {at}") for at in range(4))
SEQUENCER = identity("sequencer")
IDENTITIES = tuple(identity(f"member {index}") for index in MEMBERS)


@cache
def made(policy):
    """The committee and its key shares."""
    scheme = load_scheme("clear")
    plan = Plan(
        members=4,
        threshold=3,
        policy=policy,
        funded=tuple(person.address for person in PEOPLE),
        timestamp_ms=START_MS,
        ether_each=ETHER_EACH,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(development, "BATCH_LIMIT", BATCH_LIMIT)
        patch.setattr(development, "BATCH_GAS_LIMIT", BATCH_GAS_LIMIT)
        genesis = development_genesis(plan, sequencer=SEQUENCER.address, members=[i.address for i in IDENTITIES])
    results = generate_keys(scheme, IDENTITIES, 3, genesis_root=genesis.root, random=deterministic(b"property"))
    key_set = first_key_set(genesis, results[0].public, setup_kind=DISTRIBUTED, setup_privacy=0)
    return Committee.load(genesis, sign_by_members(key_set, IDENTITIES)), tuple(result.share for result in results)


class Story:
    """All roles on memory stores, and an account of everything promised."""

    def __init__(self, policy):
        self.committee, self.shares = made(policy)
        self.now_ms = START_MS
        self.random = deterministic(b"story")
        self.stores = {role: MemoryStore() for role in ("sequencer", "archive", *MEMBERS)}
        self.followers = {}
        self.members = {}
        self.receipts = {}
        self.committed = []
        self.certificates = {}
        for role in ("archive", "sequencer", *MEMBERS):
            self.restart(role)
        self.ether = self.all_ether(self.followers["archive"])

    def clock(self):
        self.now_ms += 1
        return self.now_ms

    def restart(self, role):
        store = self.stores[role]
        if role != "sequencer":
            self.followers[role] = Follower(self.committee, records=store)
        if role in ("sequencer", "archive"):
            self.sequencer = Sequencer(
                terms=self.committee.terms,
                identity=SEQUENCER,
                verifier=self.committee,
                state=self.followers["archive"],
                records=self.stores["sequencer"],
            )
        else:
            self.members[role] = Member(
                index=role,
                chain=self.followers[role].chain,
                identity=IDENTITIES[role - 1],
                key_share=self.shares[role - 1],
                records=store,
                random=self.random,
            )

    # what happens

    def submit(self, data):
        """Refused without a trace, or promised."""
        before = dict(self.stores["sequencer"]._records)
        try:
            effects = self.sequencer.submit(data, now_ms=self.clock())
        except (Malformed, Rejected):
            assert self.stores["sequencer"]._records == before
            return
        (send,) = perform(effects, self.stores["sequencer"])
        receipt = SignedReceipt.decode(send.message).message
        assert receipt.sequence == len(self.receipts)
        self.receipts[receipt.tx_id] = receipt

    def commit(self):
        if self.sequencer.height - self.followers["archive"].latest.height >= MOST_PENDING:
            return
        (send,) = perform(self.sequencer.commit(now_ms=self.clock()), self.stores["sequencer"])
        proposal = Proposal.decode(send.message)
        self.explain_what_was_left_out(proposal)
        self.committed.append(proposal)

    def vote(self):
        """The lowest height without votes, by members who have run what they can: a restarted archive has."""
        self.advance()
        height = len(self.certificates) + 1
        if height > len(self.committed):
            return
        proposal = self.committed[height - 1]
        perform(self.followers["archive"].propose(proposal), self.stores["archive"])
        ballot, certificate = Ballot(self.committee), None
        for index in MEMBERS:
            sends = perform(self.members[index].vote(proposal, now_ms=self.clock()), self.stores[index])
            certificate = ballot.add(SignedVote.decode(sends[0].message)) or certificate
        self.certificates[height] = certificate
        for role, follower in self.followers.items():
            perform(follower.certify(certificate), self.stores[role])

    def reveal(self, members):
        """Some members release at the lowest height somebody has not executed, if it has votes; what can run, runs."""
        height = self.lowest() + 1
        for index in members if height in self.certificates else ():
            for send in perform(self.members[index].release(self.certificates[height]), self.stores[index]):
                release = ShareRelease.decode(send.message)
                for role, follower in self.followers.items():
                    perform(follower.receive(release), self.stores[role])
        self.advance()

    def lowest(self):
        return min(follower.latest.height for follower in self.followers.values())

    def advance(self):
        for role, follower in self.followers.items():
            records, _ = follower.advance()
            perform(records, self.stores[role])

    def finish(self):
        while len(self.certificates) < len(self.committed):
            self.vote()
        while self.lowest() < len(self.committed):
            self.reveal(MEMBERS)

    # what must hold

    def explain_what_was_left_out(self, proposal):
        """Every promise is in this batch, in an earlier one, or waits for a reason its sender can check."""
        state = self.followers["archive"].latest
        height = proposal.commitment.message.height
        inside = {t.tx_id for t in proposal.transactions}
        done = {t.tx_id for earlier in self.committed for t in earlier.transactions}
        in_flight = {
            t.header.sender
            for earlier in self.committed
            if earlier.commitment.message.height > state.height
            for t in earlier.transactions
        }
        gas = sum(t.header.gas_limit for t in proposal.transactions)
        waiting = [
            self.sequencer.transaction(tx_id) for tx_id in self.receipts if tx_id not in inside and tx_id not in done
        ]
        for transaction in waiting:
            header = transaction.header
            own = [t.header for t in proposal.transactions if t.header.sender == header.sender]
            reserved = sum(map(reservation, own)) + reservation(header)
            reasons = {
                "expired": header.valid_until < height,
                "sender in flight": header.sender in in_flight,
                "an earlier nonce is missing": header.nonce != state.nonce(header.sender) + len(own),
                "cannot pay": reserved > state.balance(header.sender),
                "batch full": len(proposal.transactions) == BATCH_LIMIT or gas + header.gas_limit > BATCH_GAS_LIMIT,
            }
            assert any(reasons.values()), f"nonce {header.nonce} was left out of height {height} for no reason"
        for tx_id in inside:
            assert height <= self.sequencer.transaction(tx_id).header.valid_until

    def check(self):
        transactions = [t for proposal in self.committed for t in proposal.transactions]
        places = Counter((t.header.sender, t.header.nonce) for t in transactions)
        assert all(count == 1 for count in places.values())
        assert len({t.tx_id for t in transactions}) == len(transactions)
        assert {t.tx_id for t in transactions} <= set(self.receipts)
        for sender in {t.header.sender for t in transactions}:
            own = [t.header.nonce for t in transactions if t.header.sender == sender]
            assert own == list(range(len(own)))
        for follower in self.followers.values():
            assert self.all_ether(follower) == self.ether
            for executed in follower.executed:
                assert len(executed.receipts) == executed.ready.commitment.count
                for receipt in executed.receipts:
                    assert Outcome[receipt.code.upper()] <= Outcome.NOT_EXECUTABLE
                    assert receipt.success <= (receipt.code == "executed")
        assert len({follower.at(self.lowest()).root for follower in self.followers.values()}) == 1

    @staticmethod
    def all_ether(follower):
        """What accounts hold, what stands behind WETH, and what base fees burned."""
        ledger = follower.ledger
        state = ledger.snapshot()
        wrapped = sum(
            reserve
            for pool in state.pools
            for token, reserve in ((pool.token0, pool.reserve0), (pool.token1, pool.reserve1))
            if token == ledger.weth
        )
        return sum(account.balance for account in state.accounts) + wrapped + ledger.burned


# --- what people send ------------------------------------------------------------------------------------------------


def envelope(story, person, plaintext, nonce, gas_limit, max_fee, valid_until, signer=None):
    terms = story.committee.terms
    header = Header(
        version=1,
        key_id=terms.key_set.key_id,
        scheme=terms.key_set.scheme,
        sender=person.address,
        nonce=nonce,
        gas_limit=gas_limit,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=min(PRIORITY_FEE, max_fee),
        target_height=0,
        valid_until=valid_until,
    )
    signature = (signer or person).sign(terms.signing_hash(header, plaintext))
    return EncryptedTransaction(header=header, ciphertext=plaintext, signature=signature)


def plaintext_of(story, payload):
    padded = b"\x01" + story.random(16) + len(payload).to_bytes(4, "big") + payload
    return padded.ljust(next(size for size in development.SIZE_CLASSES if size >= len(padded)), b"\0")


def payload_of(person, nonce, kind, amount):
    fields = {"to": PEOPLE[amount % 4].address, "value": amount, "data": b"", "gas_limit": 21_000}
    if kind == "swap":
        swap = Swap(
            kind=SwapKind.EXACT_ETH_FOR_TOKENS,
            exact=amount,
            bound=amount % 3 * 10**18,
            path=(development.WETH, development.DEVELOPMENT_TOKEN.address),
            recipient=person.address,
            deadline=2**40,
        )
        fields = {"to": development.ROUTER, "value": amount, "data": router.encode(swap), "gas_limit": 168_000}
    return sign_transaction(
        person.secret_bytes(),
        chain_id=development.DEVELOPMENT_CHAIN_ID,
        nonce=nonce,
        max_fee_per_gas=MAX_FEE,
        max_priority_fee_per_gas=PRIORITY_FEE,
        **fields,
    )


def send(story, who, kind, amount, nonce_shift, lifetime):
    person = PEOPLE[who]
    nonce = max(0, story.sequencer.next_nonce(person.address) + nonce_shift)
    valid_until = story.sequencer.height + lifetime
    gas_limit = 168_000 if kind == "swap" else 21_000
    max_fee, signer = MAX_FEE, None
    if kind == "rubbish":
        plaintext = hashlib.shake_256(amount.to_bytes(16, "big")).digest(256)
    elif kind == "padded rubbish":
        plaintext = plaintext_of(story, hashlib.shake_256(amount.to_bytes(16, "big")).digest(amount % 200))
    elif kind == "mismatch":
        plaintext = plaintext_of(story, payload_of(PEOPLE[who - 1], nonce, "transfer", amount))
    else:
        plaintext = plaintext_of(story, payload_of(person, nonce, kind, amount))
    if kind == "forged":
        signer = PEOPLE[who - 1]
    if kind == "dear":
        max_fee = 10**14
    data = envelope(story, person, plaintext, nonce, gas_limit, max_fee, valid_until, signer).encoded
    story.submit(data[:-1] if kind == "cut" else data)


SENDS = st.tuples(
    st.just("send"),
    st.integers(0, 3),
    st.sampled_from(
        ["transfer"] * 4 + ["swap"] * 2 + ["rubbish", "padded rubbish", "mismatch", "forged", "dear", "cut"]
    ),
    st.integers(0, 6 * 10**16),
    st.sampled_from([0] * 6 + [-1, 1]),
    st.sampled_from([100, 100, 3, 1, 0]),
)
ACTIONS = st.lists(
    st.one_of(
        SENDS,
        SENDS,
        st.just(("commit",)),
        st.just(("vote",)),
        st.tuples(st.just("reveal"), st.sets(st.sampled_from(MEMBERS))),
        st.just(("reveal", frozenset(MEMBERS))),
        st.tuples(st.just("restart"), st.sampled_from(("sequencer", "archive", *MEMBERS))),
    ),
    min_size=8,
    max_size=60,
)


@pytest.mark.parametrize("policy", [Policy.ARRIVAL, Policy.PRIORITY_FEE], ids=lambda policy: policy.name.lower())
@settings(max_examples=120, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(actions=ACTIONS)
def test_network_keeps_its_promises_in_any_story(policy, actions):
    story = Story(policy)
    for action, *arguments in actions:
        if action == "send":
            send(story, *arguments)
        else:
            getattr(story, action)(*arguments)
        story.check()
    story.finish()
    story.check()
    assert {follower.latest.height for follower in story.followers.values()} == {len(story.committed)}
    before = {role: follower.latest.root for role, follower in story.followers.items()}
    for role in ("archive", "sequencer", *MEMBERS):
        story.restart(role)
    assert {role: follower.latest.root for role, follower in story.followers.items()} == before
    story.check()


def test_story_without_any_harm_executes_everything():
    """The story itself works: what it checks is not vacuous."""
    story = Story(Policy.ARRIVAL)
    for who in range(4):
        for kind in ("transfer", "swap", "rubbish"):
            send(story, who, kind, 1000 + who, 0, 100)
    for _ in range(12):
        story.commit()
        story.vote()
        story.reveal(MEMBERS)
        story.check()
    executed = [receipt.code for height in story.followers["archive"].executed for receipt in height.receipts]
    assert len(story.receipts) == 12
    assert Counter(executed) == {"executed": 8, "bad_padding": 4}
