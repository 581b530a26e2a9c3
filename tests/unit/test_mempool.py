"""MEM-1 to MEM-5, and what `select` may hand to a commitment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool import mempool as module
from encmempool.envelope import reservation
from encmempool.errors import Malformed, Rejected
from encmempool.mempool import Mempool, Pending
from encmempool.ordering import Policy, committed_order

GWEI = 10**9
ETHER = 10**18
RESERVED = 21_000 * 30 * GWEI
"""What one usual envelope reserves, in wei."""
HEIGHT = 5


class Pool:
    """A mempool with its fake state, and the sequence numbers a sequencer would give."""

    def __init__(self, committee, state, seal, *, batch_limit=None, **genesis_changes) -> None:
        """The batch limit is the key set's: a later committee may have a lower one than the genesis."""
        key_set = replace(committee.key_set, batch_limit=batch_limit or committee.key_set.batch_limit)
        genesis = replace(committee.genesis, **genesis_changes)
        self.terms = replace(committee.terms, genesis=genesis, key_set=key_set)
        self.state = state
        self.mempool = Mempool(self.terms, committee, state)
        self.sequence = 0
        self._seal = seal

    def envelope(self, identity, nonce=0, **changes):
        return self._seal(self.terms, identity, nonce=nonce, **changes)

    def check(self, transaction, *, height=HEIGHT):
        self.mempool.check(transaction, height=height)

    def admit(self, identity, nonce=0, **changes):
        transaction = self.envelope(identity, nonce, **changes)
        self.check(transaction)
        self.mempool.add(Pending(transaction=transaction, sequence=self.sequence))
        self.sequence += 1
        return transaction

    def select(self, *, policy=Policy.ARRIVAL, height=HEIGHT):
        return [pending.transaction for pending in self.mempool.select(height=height, policy=policy)]

    def low_and_high(self, identity, nonce_of_low, nonce_of_high, **changes):
        """Two envelopes of which the first has the smaller id, admitted in the order of their nonces."""
        for byte in range(256):
            size = min(self.terms.ciphertext_sizes)
            low = self.envelope(identity, nonce_of_low, ciphertext=bytes([byte]) * size, **changes)
            high = self.envelope(identity, nonce_of_high, **changes)
            if low.tx_id < high.tx_id:
                for transaction in sorted((low, high), key=lambda t: t.header.nonce):
                    self.check(transaction)
                    self.mempool.add(Pending(transaction=transaction, sequence=self.sequence))
                    self.sequence += 1
                return low, high
        raise AssertionError("256 ids were all above one other")


@pytest.fixture
def make_pool(clear_committee, make_state, seal_envelope, alice, bob):
    """A pool of the control scheme, so that ciphertexts are any bytes; Alice and Bob hold an ether each."""

    def make(**genesis_changes):
        state = make_state({alice.address: ETHER, bob.address: ETHER})
        return Pool(clear_committee, state, seal_envelope, **genesis_changes)

    return make


@pytest.fixture
def pool(make_pool):
    return make_pool()


def rejected(call, *arguments, **keywords) -> str:
    with pytest.raises(Rejected) as caught:
        call(*arguments, **keywords)
    return caught.value.rule


# --- admission -------------------------------------------------------------------------------------------------------


def test_check_accepts_a_senders_next_transaction(pool, alice):
    pool.admit(alice, 0)
    pool.admit(alice, 1)
    assert len(pool.mempool) == 2


def test_check_changes_nothing(pool, alice):
    transaction = pool.envelope(alice)
    for _ in range(2):
        pool.check(transaction)
    assert (len(pool.mempool), pool.mempool.next_nonce(alice.address)) == (0, 0)


def test_check_rejects_a_transaction_received_before_mem_1(pool, alice):
    assert rejected(pool.check, pool.admit(alice)) == "MEM-1"


def test_check_rejects_a_second_signature_of_one_transaction_mem_1(pool, alice):
    """The id leaves the signature out."""
    transaction = pool.admit(alice)
    assert rejected(pool.check, replace(transaction, signature=bytes(65))) == "MEM-1"


def test_check_rejects_a_committed_transaction_mem_1(pool, alice):
    transaction = pool.admit(alice)
    pool.mempool.commit([transaction])
    assert rejected(pool.check, transaction) == "MEM-1"


def test_check_rejects_a_committed_transaction_it_never_held_mem_1(pool, alice):
    transaction = pool.envelope(alice)
    pool.mempool.commit([transaction])
    assert rejected(pool.check, transaction) == "MEM-1"


def test_check_rejects_an_expired_transaction_mem_1(pool, alice):
    """It was received once; encrypted again it has another id."""
    transaction = pool.admit(alice, valid_until=HEIGHT)
    pool.mempool.expire(height=HEIGHT + 1)
    assert rejected(pool.check, transaction) == "MEM-1"


@pytest.mark.parametrize("nonce", [0, 1, 3, 2**64 - 1], ids=["used", "live", "gap", "largest"])
def test_check_rejects_another_nonce_than_the_next_mem_2(pool, alice, nonce):
    pool.state.nonces[alice.address] = 1
    pool.admit(alice, 1)
    other = pool.envelope(alice, nonce, max_priority_fee_per_gas=3 * GWEI)
    assert rejected(pool.check, other) == "MEM-2"


def test_check_rejects_a_nonce_in_flight_mem_2(pool, alice):
    pool.mempool.commit([pool.admit(alice, 0)])
    assert rejected(pool.check, pool.envelope(alice, 0, max_priority_fee_per_gas=0)) == "MEM-2"
    pool.admit(alice, 1)


def test_check_accepts_reservations_up_to_the_balance_mem_3(pool, alice):
    pool.state.balances[alice.address] = 2 * RESERVED
    pool.admit(alice, 0)
    pool.admit(alice, 1)
    assert rejected(pool.check, pool.envelope(alice, 2)) == "MEM-3"


@pytest.mark.parametrize("missing", [1, RESERVED])
def test_check_rejects_a_reservation_above_the_balance_mem_3(pool, alice, missing):
    pool.state.balances[alice.address] = RESERVED - missing
    assert rejected(pool.check, pool.envelope(alice)) == "MEM-3"


def test_check_counts_every_senders_reservations_alone_mem_3(pool, alice, bob):
    for identity in (alice, bob):
        pool.state.balances[identity.address] = RESERVED
    pool.admit(alice)
    pool.admit(bob)


def test_check_rejects_anything_when_the_pool_is_full_mem_4(pool, alice, bob, monkeypatch):
    monkeypatch.setattr(module, "MAX_PENDING", 2)
    pool.admit(alice, 0)
    pool.admit(alice, 1)
    assert rejected(pool.check, pool.envelope(bob)) == "MEM-4"


def test_check_rejects_more_than_a_senders_share_mem_4(pool, alice, bob):
    for nonce in range(module.MAX_PENDING_PER_SENDER):
        pool.admit(alice, nonce)
    assert rejected(pool.check, pool.envelope(alice, module.MAX_PENDING_PER_SENDER)) == "MEM-4"
    pool.admit(bob)


def test_check_applies_the_envelopes_requirements_for_the_height(pool, alice):
    assert rejected(pool.check, pool.envelope(alice, version=2)) == "TXN-1"
    assert rejected(pool.check, pool.envelope(alice, valid_until=HEIGHT), height=HEIGHT + 1) == "TXN-8"


def test_check_applies_the_schemes_public_check(committee, make_state, seal_envelope, encrypt, alice):
    pool = Pool(committee, make_state({alice.address: ETHER}), seal_envelope)
    pool.check(encrypt(committee, alice))
    with pytest.raises((Malformed, Rejected)) as caught:
        pool.check(pool.envelope(alice))
    assert isinstance(caught.value, Malformed)


# --- next nonce and expiry -------------------------------------------------------------------------------------------


def test_next_nonce_counts_executed_committed_and_live_ones(pool, alice, bob):
    pool.state.nonces[alice.address] = 7
    assert pool.mempool.next_nonce(alice.address) == 7
    pool.mempool.commit([pool.admit(alice, 7)])
    assert pool.mempool.next_nonce(alice.address) == 8
    pool.admit(alice, 8)
    assert pool.mempool.next_nonce(alice.address) == 9
    assert pool.mempool.next_nonce(bob.address) == 0


def test_expire_frees_the_nonce(pool, alice):
    expired = pool.admit(alice, 0, valid_until=HEIGHT)
    assert pool.mempool.expire(height=HEIGHT) == ()
    assert pool.mempool.expire(height=HEIGHT + 1) == (expired,)
    assert (len(pool.mempool), pool.mempool.next_nonce(alice.address)) == (0, 0)
    pool.admit(alice, 0)


def test_expire_frees_the_reservation(pool, alice):
    pool.state.balances[alice.address] = RESERVED
    pool.admit(alice, 0, valid_until=HEIGHT)
    pool.mempool.expire(height=HEIGHT + 1)
    pool.admit(alice, 0)


def test_expire_leaves_later_nonces_waiting_behind_the_gap(pool, alice):
    pool.admit(alice, 0, valid_until=HEIGHT)
    later = pool.admit(alice, 1)
    pool.mempool.expire(height=HEIGHT + 1)
    assert pool.mempool.next_nonce(alice.address) == 0
    assert pool.select(height=HEIGHT + 1) == []
    again = pool.admit(alice, 0)
    assert pool.mempool.next_nonce(alice.address) == 2
    assert pool.select(height=HEIGHT + 1) == [again, later]


def test_expire_drops_nonces_that_were_executed_otherwise(pool, alice):
    overtaken, kept = pool.admit(alice, 0), pool.admit(alice, 1)
    pool.state.nonces[alice.address] = 1
    assert pool.mempool.expire(height=HEIGHT) == (overtaken,)
    assert pool.select() == [kept]
    pool.state.nonces[alice.address] = 2
    pool.mempool.executed([alice.address])
    assert pool.mempool.expire(height=HEIGHT + 1) == (kept,)


def test_size_counts_a_nonce_once_when_its_expired_transaction_is_restored_too(pool, alice):
    """A restarted sequencer adds all it ever receipted: an expired transaction, then the one with its nonce."""
    expired, again = pool.envelope(alice, 0, valid_until=HEIGHT), pool.envelope(alice, 0)
    for sequence, transaction in enumerate((expired, again)):
        pool.mempool.add(Pending(transaction=transaction, sequence=sequence))
    assert len(pool.mempool) == 1
    pool.mempool.commit([again])
    assert len(pool.mempool) == 0


# --- selection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", Policy)
def test_select_lists_what_is_ready_in_the_policys_order(pool, alice, bob, policy):
    transactions = [
        pool.admit(alice, 0, max_priority_fee_per_gas=GWEI),
        pool.admit(bob, 0, max_priority_fee_per_gas=2 * GWEI),
        pool.admit(alice, 1, max_priority_fee_per_gas=3 * GWEI),
    ]
    candidates = [
        module.candidate(transaction, sequence=sequence, base_fee=10 * GWEI)
        for sequence, transaction in enumerate(transactions)
    ]
    expected = [item.tx_id for item in committed_order(policy, candidates)]
    assert [transaction.tx_id for transaction in pool.select(policy=policy)] == expected


def test_select_ranks_anew_for_another_policy(make_pool, alice, bob):
    """As when a later key set has one; and what comes afterwards is ranked by the new one."""
    pool = make_pool(batch_limit=1)
    low = pool.admit(alice, 0, max_priority_fee_per_gas=GWEI)
    high = pool.admit(bob, 0, max_priority_fee_per_gas=2 * GWEI)
    assert pool.select(policy=Policy.ARRIVAL) == [low]
    assert pool.select(policy=Policy.PRIORITY_FEE) == [high]
    pool.mempool.commit([high])
    highest = pool.admit(alice, 1, max_priority_fee_per_gas=9 * GWEI)
    pool.mempool.commit([low])
    pool.state.nonces[alice.address] = 1
    pool.mempool.executed([alice.address])
    assert pool.select(policy=Policy.PRIORITY_FEE) == [highest]
    assert pool.select(policy=Policy.ARRIVAL) == [highest]


def test_select_and_expire_find_what_waits_while_many_others_come_and_go(make_pool, alice, bob):
    """What is kept of transactions that are gone is dropped on the way."""
    pool = make_pool(batch_limit=1)
    waiting = pool.admit(bob, 0, valid_until=HEIGHT + 50)
    for nonce in range(40):
        pool.mempool.commit([pool.admit(alice, nonce)])
        pool.state.nonces[alice.address] = nonce + 1
        pool.mempool.executed([alice.address])
        assert pool.mempool.expire(height=HEIGHT + nonce) == ()
        assert pool.select(height=HEIGHT + nonce) == [waiting]
    assert pool.mempool.expire(height=HEIGHT + 51) == (waiting,)


def test_select_changes_nothing(pool, alice):
    pool.admit(alice)
    assert pool.select() == pool.select()
    assert len(pool.mempool) == 1


def test_candidate_pays_what_is_left_above_the_base_fee(pool, alice):
    transaction = pool.envelope(alice, max_fee_per_gas=11 * GWEI, max_priority_fee_per_gas=2 * GWEI)
    assert module.candidate(transaction, sequence=0, base_fee=10 * GWEI).priority_fee == GWEI
    assert module.candidate(transaction, sequence=0, base_fee=GWEI).priority_fee == 2 * GWEI


def test_select_leaves_a_sender_in_flight_mem_5(pool, alice, bob):
    pool.mempool.commit([pool.admit(alice, 0)])
    waiting, free = pool.admit(alice, 1), pool.admit(bob, 0)
    assert pool.select() == [free]
    pool.state.nonces[alice.address] = 1
    pool.mempool.executed([alice.address])
    assert pool.select() == [waiting, free]


def test_select_leaves_a_sender_in_flight_when_only_an_earlier_batch_ran_mem_5(pool, alice):
    """As after a restart: every commitment is replayed, and only the first one's batch has been executed."""
    first, second = pool.admit(alice, 0), pool.admit(alice, 1)
    pool.mempool.commit([first])
    pool.mempool.commit([second])
    pool.state.nonces[alice.address] = 1
    pool.mempool.executed([alice.address])
    again = pool.envelope(alice, 1, max_priority_fee_per_gas=0)
    assert rejected(pool.check, again) == "MEM-2"
    pool.mempool.add(Pending(transaction=again, sequence=pool.sequence))
    assert pool.select() == []


def test_select_leaves_a_committed_transaction(pool, alice):
    pool.mempool.commit([pool.admit(alice)])
    pool.mempool.executed([alice.address])
    assert pool.select() == []
    assert len(pool.mempool) == 0


def test_select_leaves_what_the_balance_no_longer_covers(pool, alice):
    covered = pool.admit(alice, 0)
    pool.admit(alice, 1)
    pool.state.balances[alice.address] = 2 * RESERVED - 1
    assert pool.select() == [covered]
    pool.state.balances[alice.address] = RESERVED - 1
    assert pool.select() == []


def test_select_looks_at_the_state_that_is_named_and_at_no_newer_one(pool, alice, make_state):
    """Another thread executes meanwhile: what only the newer state covers would convict the sequencer (VOT-5)."""
    first = pool.admit(alice, 0)
    pool.admit(alice, 1)
    named = make_state({alice.address: 2 * RESERVED - 1})
    chosen = pool.mempool.select(height=HEIGHT, policy=Policy.ARRIVAL, state=named)
    assert [pending.transaction for pending in chosen] == [first]


def test_select_leaves_what_comes_after_an_expired_nonce(pool, alice):
    first = pool.admit(alice, 0)
    pool.admit(alice, 1, valid_until=HEIGHT)
    pool.admit(alice, 2)
    assert pool.select(height=HEIGHT + 1) == [first]


@pytest.mark.parametrize("policy", Policy)
def test_select_stops_at_the_batch_limit(make_pool, alice, policy):
    pool = make_pool(batch_limit=3)
    for nonce in range(5):
        pool.admit(alice, nonce)
    nonces = sorted(transaction.header.nonce for transaction in pool.select(policy=policy))
    assert nonces == list(range(len(nonces)))
    assert len(nonces) <= 3


@pytest.mark.parametrize("policy", [Policy.ARRIVAL, Policy.PRIORITY_FEE])
def test_select_fills_the_batch_when_one_sender_could(make_pool, alice, policy):
    pool = make_pool(batch_limit=3)
    for nonce in range(5):
        pool.admit(alice, nonce, max_priority_fee_per_gas=nonce * GWEI)
    assert [t.header.nonce for t in pool.select(policy=policy)] == [0, 1, 2]


def test_select_fills_the_batch_when_a_shuffle_ranks_a_later_nonce_first(make_pool, alice):
    """Whoever gives later nonces the smaller ids must not empty the batch: those would stall the network."""
    pool = make_pool(batch_limit=1)
    _, first = pool.low_and_high(alice, 1, 0)
    assert pool.select(policy=Policy.SHUFFLE) == [first]


def test_select_skips_what_exceeds_the_gas_limit_and_goes_on_with_others(make_pool, alice, bob):
    pool = make_pool(gas_limit=21_000 * 4)
    first = pool.admit(alice, 0, gas_limit=42_000)
    pool.admit(alice, 1, gas_limit=84_000)
    pool.admit(alice, 2)
    other = pool.admit(bob, 0, gas_limit=42_000)
    assert pool.select() == [first, other]


def test_select_never_lets_a_later_nonce_overtake_one_without_room(make_pool, alice, bob):
    pool = make_pool(gas_limit=21_000 * 2)
    small = pool.admit(bob, 0)
    pool.admit(alice, 0, gas_limit=42_000)
    pool.admit(alice, 1)
    assert pool.select() == [small]


def test_select_keeps_nonces_unbroken_under_a_shuffle_and_the_gas_limit(make_pool, alice, bob):
    """Alice's later nonce ranks first and would fit alone; her earlier one needs the whole batch."""
    pool = make_pool(gas_limit=21_000 * 2)
    for byte in range(64):
        early = pool.envelope(alice, 0, gas_limit=42_000, ciphertext=bytes([byte]) * 256)
        late = pool.envelope(alice, 1)
        if late.tx_id < early.tx_id:
            break
    for sequence, transaction in enumerate((early, late)):
        pool.check(transaction)
        pool.mempool.add(Pending(transaction=transaction, sequence=sequence))
    assert late.tx_id < early.tx_id
    assert late not in pool.select(policy=Policy.SHUFFLE)


def test_reservation_used_here_is_that_of_a_usual_envelope(pool, alice):
    assert reservation(pool.envelope(alice).header) == RESERVED


# --- key sets, one after another -------------------------------------------------------------------------------------


NEW_KEY = b"\x02" * 32


@pytest.fixture
def next_terms(pool):
    """Terms of another key, from height 7 on."""
    return replace(pool.terms, key_set=replace(pool.terms.key_set, key_id=NEW_KEY, start_height=7))


def test_select_takes_the_heights_key_only(pool, alice, bob, next_terms):
    old = pool.admit(alice)
    pool.mempool.adopt(next_terms)
    new = pool.admit(bob, key_id=NEW_KEY)
    assert pool.select(height=6) == [old]
    assert pool.select(height=7) == [new]


def test_select_keeps_a_later_nonce_of_the_next_key_behind_one_of_the_key_before(pool, alice, next_terms):
    old = pool.admit(alice, 0)
    pool.mempool.adopt(next_terms)
    pool.admit(alice, 1, key_id=NEW_KEY)
    assert pool.select(height=6) == [old]
    assert pool.select(height=7) == []


def test_expire_drops_what_its_key_no_longer_covers(pool, alice, next_terms):
    old = pool.admit(alice, valid_until=50)
    pool.mempool.adopt(next_terms)
    assert pool.mempool.expire(height=6) == ()
    assert pool.mempool.expire(height=7) == (old,)
    assert pool.mempool.next_nonce(alice.address) == 0


def test_expire_drops_what_waits_for_a_key_without_rounds(pool, alice):
    waiting = pool.admit(alice, valid_until=50)
    pool.mempool.use_up(pool.terms.key_set.key_id, height=HEIGHT)
    assert pool.mempool.expire(height=HEIGHT) == ()
    assert pool.mempool.expire(height=HEIGHT + 1) == (waiting,)


def test_waiting_transactions_survive_a_key_shared_anew(pool, alice):
    waiting = pool.admit(alice, valid_until=50)
    pool.mempool.adopt(replace(pool.terms, key_set=replace(pool.terms.key_set, epoch=2, start_height=7)))
    assert pool.mempool.expire(height=20) == ()
    assert pool.select(height=20) == [waiting]


def test_select_takes_what_is_encrypted_to_the_height_only(make_pool, alice, bob):
    pool = make_pool()
    pool.terms = replace(pool.terms, addresses_height=True)
    pool.mempool = Mempool(pool.terms, pool.mempool._verifier, pool.state)
    first = pool.admit(alice, valid_until=6, target_height=6)
    second = pool.admit(bob, valid_until=7, target_height=7)
    assert [pool.select(height=height) for height in (5, 6, 7, 8)] == [[], [first], [second], []]


# --- what is not live any more ---------------------------------------------------------------------------------------


def test_pool_holds_nothing_of_what_expired_though_no_batch_is_chosen(pool, alice):
    """As while the key's rounds are used up."""
    for height in range(HEIGHT, HEIGHT + 400):
        transaction = pool.envelope(alice, valid_until=height, ciphertext=bytes([height % 256]) * 256)
        pool.check(transaction, height=height)
        pool.mempool.add(Pending(transaction=transaction, sequence=height))
        assert pool.mempool.expire(height=height + 1) == (transaction,)
    mempool = pool.mempool
    assert len(mempool._ranked) <= 2 * module.MAX_PENDING_PER_SENDER
    held = (mempool._live, mempool._by_sender, mempool._candidates, mempool._in_flight, mempool._last_heights)
    assert not any(held)


def test_pool_asks_whoever_remembers_what_was_received_mem_1(pool, alice):
    received = set()
    pool.mempool = Mempool(pool.terms, pool.mempool._verifier, pool.state, received=received.__contains__)
    transaction = pool.admit(alice)
    pool.check(pool.envelope(alice, 1))
    received.add(transaction.tx_id)
    assert rejected(pool.check, transaction) == "MEM-1"
    assert not pool.mempool._known


def test_void_commitment_frees_its_senders_and_brings_nothing_back(pool, alice, bob):
    first, second = pool.admit(alice), pool.admit(bob)
    pool.mempool.commit([first, second])
    pool.mempool.retract([first])
    assert pool.mempool.next_nonce(alice.address) == 0
    assert rejected(pool.check, first) == "MEM-1"
    again = pool.admit(alice, max_priority_fee_per_gas=0)
    assert pool.select() == [again]


@pytest.mark.parametrize("height", [HEIGHT, HEIGHT + 1])
def test_pool_says_whether_a_batch_would_have_anything_in_it(pool, alice, height):
    assert not pool.mempool.has_ready(height=height)
    transaction = pool.admit(alice, valid_until=HEIGHT)
    assert pool.mempool.has_ready(height=height) == (height == HEIGHT)
    pool.mempool.commit([transaction])
    assert not pool.mempool.has_ready(height=height)


def test_added_transaction_takes_the_place_of_an_expired_one(pool, alice):
    first = pool.admit(alice, valid_until=HEIGHT)
    second = pool.envelope(alice, max_priority_fee_per_gas=0)
    assert pool.mempool.add(Pending(transaction=second, sequence=7)) == first
    assert [pending.transaction for pending in pool.mempool.live] == [second]
