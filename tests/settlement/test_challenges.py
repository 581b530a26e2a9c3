"""Challenges on chain: what can be asked and when, what answers it, and who pays.

Holds EVD-6 and EVD-12 to EVD-15 for the contract, and STL-20 to STL-25 and STL-38.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from encmempool.settlement.compile import load
from encmempool.settlement.leaves import account_branch, batch_branch, leaves, promise, signature, signatures
from encmempool.settlement.rehearsal import RICH, Network, Rehearsal
from encmempool.ssz import merkleize
from encmempool.types import Abstain, Account, Deadlines
from specs import build
from threshold.schemes.registry import SCHEMES, load_scheme

page = build.load("settlement")
RECEIPT, ENTRY, REVEAL, EARLY_SHARE = 1, 2, 4, 8
BALANCE = 10**18


@dataclass
class Case:
    """A receipt for a transaction of the user, and an L1 to ask on."""

    world: Any
    transaction: Any
    receipt: Any
    challenger: bytes

    @property
    def network(self):
        return self.world.network

    @property
    def promise(self):
        return promise(self.receipt, self.transaction)

    @property
    def accused(self):
        return self.network.sequencer.address

    @property
    def deadline(self):
        return self.receipt.message.include_by_l1_block

    @property
    def root(self):
        return self.receipt.message.root

    def send(self, function, *arguments, wei=0):
        return self.world.challenges.send(function, *arguments, sender=self.challenger, wei=wei)

    def challenge(self, **changes):
        arguments = {"promise": self.promise, "signature": signature(self.receipt.signature), **changes}
        return self.send("challenge_receipt", *arguments.values(), wei=self.world.parameters.challenge_bond)

    def include(self, commitment, position=1, branch=None, **changes):
        tx_ids = self.batch
        arguments = {
            "promise": self.promise,
            "accused": self.accused,
            "commitment": leaves(commitment),
            "position": position,
            "branch": batch_branch(tx_ids, 1) if branch is None else branch,
            **changes,
        }
        return self.send("answer_inclusion", *arguments.values())

    def show_account(self, commitment, state, **changes):
        position, branch = account_branch(state, self.network.user.address)
        account = state.accounts[position]
        arguments = {
            "promise": self.promise,
            "accused": self.accused,
            "commitment": leaves(commitment),
            "position": position,
            "nonce": account.nonce,
            "balance": account.balance,
            "branch": branch,
            **changes,
        }
        return self.send("answer_account", *arguments.values())

    @property
    def batch(self):
        return (b"\1" * 32, self.transaction.tx_id, b"\3" * 32)

    def including(self, parent=None, **changes):
        return self.network.commitment(parent, batch_root=self.network.batch_root(self.batch), count=3, **changes)

    def state(self, nonce=3, balance=BALANCE):
        return self.network.state([Account(address=self.network.user.address, nonce=nonce, balance=balance)])

    def naming(self, state, parent=None):
        return self.network.commitment(parent, state_root=state.root)

    def to(self, block):
        self.world.chain.advance(block - self.world.chain.block())

    def conclude(self, subject=RECEIPT, root=None, accused=None):
        return self.send("conclude", subject, root or self.root, accused or self.accused)

    def claimable(self, who):
        return self.world.collateral.get("claimable", who)


@pytest.fixture
def case(world):
    network = world.network
    transaction = network.transaction()
    receipt = network.receipt(transaction, include_by_l1_block=world.chain.block() + 20)
    challenger = network.random_bytes(20)
    world.chain.fund(challenger, RICH)
    return Case(world, transaction, receipt, challenger)


def slashed(case, party=None):
    return case.world.parameters.sequencer_bond - case.world.collateral.get("bond", party or case.accused)


# --- receipts


def test_unanswered_receipt_slashes_the_sequencer_and_compensates_the_user_evd_12(case):
    p = case.world.parameters
    case.to(case.deadline + 1)
    case.challenge()
    case.world.chain.advance(p.answer_blocks + 1)
    case.conclude()
    assert slashed(case) == p.penalty
    assert case.claimable(case.network.user.address) == p.compensation
    assert case.claimable(case.challenger) == p.challenge_bond + (p.penalty - p.compensation) // 10
    assert case.world.collateral.get("open_challenges", case.accused) == 0
    assert case.world.settlement.get("open_challenges") == 0
    assert case.world.chain.balance(case.world.challenges.address) == 0


def test_receipt_cannot_be_challenged_before_or_long_after_its_block_evd_12(case, refused):
    case.to(case.deadline)
    with refused("EVD-12"):
        case.challenge()
    case.to(case.deadline + case.world.parameters.challenge_blocks + 1)
    with refused("EVD-12"):
        case.challenge()


def test_challenge_is_not_concluded_within_the_window(case, refused):
    case.to(case.deadline + 1)
    case.challenge()
    case.world.chain.advance(case.world.parameters.answer_blocks)
    with refused("window"):
        case.conclude()


def test_receipt_is_challenged_once_whatever_came_of_it(case, refused):
    case.to(case.deadline + 1)
    case.challenge()
    with refused("challenged already"):
        case.challenge()
    case.world.chain.advance(case.world.parameters.answer_blocks + 1)
    case.conclude()
    with refused("challenged already"):
        case.challenge()
    with refused("no challenge"):
        case.conclude()


@pytest.mark.parametrize("difference", [-1, 1])
def test_bond_of_a_challenge_is_exact(case, refused, difference):
    case.to(case.deadline + 1)
    bond = case.world.parameters.challenge_bond + difference
    with refused("bond"):
        case.send("challenge_receipt", case.promise, signature(case.receipt.signature), wei=bond)


def test_receipt_that_no_sequencer_signed_is_no_receipt(case, refused):
    case.to(case.deadline + 1)
    network = case.network
    for signer in (network.user, network.members[0]):
        with refused("SEQ-6"):
            case.challenge(signature=signature(network.sign(signer, case.receipt.message)))
    with refused("SEQ-6"):
        foreign = Network(seed=4)
        case.challenge(signature=signature(foreign.sign(network.sequencer, case.receipt.message)))


def test_receipt_for_another_transaction_is_refused_seq_7(case, refused):
    case.to(case.deadline + 1)
    with refused("SEQ-7"):
        case.challenge(promise=promise(case.receipt, case.network.transaction()))


def test_inclusion_in_time_answers_and_earns_the_bond(case, refused):
    commitment = case.including()
    case.world.post(commitment)
    case.to(case.deadline + 1)
    case.challenge()
    case.include(commitment)
    assert slashed(case) == 0
    assert case.claimable(case.accused) == case.world.parameters.challenge_bond
    case.world.chain.advance(case.world.parameters.answer_blocks + 1)
    with refused("no challenge"):
        case.conclude()
    with refused("no challenge"):
        case.include(commitment)


def test_inclusion_posted_after_the_challenge_but_in_time_answers_evd_15(case, refused):
    commitment = case.including()
    case.to(case.deadline + 1)
    case.challenge()
    case.to(case.deadline + case.world.parameters.posting_blocks)
    case.world.post(commitment)
    case.include(commitment)


def test_inclusion_posted_too_late_does_not_answer_evd_15(case, refused):
    commitment = case.including()
    case.to(case.deadline + 1)
    case.challenge()
    case.to(case.deadline + case.world.parameters.posting_blocks + 1)
    case.world.post(commitment)
    with refused("EVD-15"):
        case.include(commitment)


def test_inclusion_above_the_receipts_height_does_not_answer(case, refused):
    network = case.network
    chain = network.chain(3)
    chain.append(case.including(chain[-1]))
    chain.append(case.including(chain[-1]))
    case.world.post(*chain)
    case.to(case.deadline + 1)
    case.challenge()
    with refused("EVD-12"):
        case.include(chain[4])
    case.include(chain[3])


def test_answer_after_the_window_does_not_count(case, refused):
    commitment = case.including()
    case.world.post(commitment)
    case.to(case.deadline + 1)
    case.challenge()
    case.world.chain.advance(case.world.parameters.answer_blocks + 1)
    with refused("window"):
        case.include(commitment)


@pytest.mark.parametrize(
    "changes",
    [
        {"position": 0},
        {"position": 1 + 2**12},
        {"position": 2**13 + 1},
        {"branch": ()},
        {"branch": (bytes(32),) * 13},
        {"branch": (bytes(32),) * 14},
    ],
)
def test_wrong_branch_does_not_answer(case, refused, changes):
    commitment = case.including()
    case.world.post(commitment)
    case.to(case.deadline + 1)
    case.challenge()
    with refused("SSZ branch"):
        case.include(commitment, **changes)


def test_commitment_that_was_not_posted_does_not_answer(case, refused):
    case.world.post(case.network.commitment())
    case.to(case.deadline + 1)
    case.challenge()
    with refused("not posted"):
        case.include(case.including())


@pytest.mark.parametrize(
    ("nonce", "balance", "answers"),
    [
        (3, 42_000 * 2 * 10**9, False),
        (3, 42_000 * 2 * 10**9 - 1, True),
        (2, BALANCE, True),
        (4, BALANCE, True),
        (3, BALANCE, False),
        (3, 0, True),
    ],
)
def test_account_that_cannot_pay_or_has_another_nonce_answers_evd_12(case, refused, nonce, balance, answers):
    state = case.state(nonce, balance)
    chain = case.network.chain(3)
    chain.append(case.naming(state, chain[-1]))
    case.world.post(*chain)
    case.to(case.deadline + 1)
    case.challenge()
    if answers:
        case.show_account(chain[3], state)
        assert slashed(case) == 0
    else:
        with refused("EVD-12"):
            case.show_account(chain[3], state)


def test_account_in_an_early_state_does_not_answer(case, refused):
    """A sender's earlier transactions were not run there yet: it says nothing about the end."""
    state = case.state(nonce=2)
    chain = [case.naming(state)]
    for _ in range(4):
        chain.append(case.naming(state, chain[-1]))
    case.world.post(*chain)
    case.to(case.deadline + 1)
    case.challenge()
    with refused("EVD-12"):
        case.show_account(chain[2], state)
    with refused("EVD-15"):
        case.show_account(chain[4], state)
    case.show_account(chain[3], state)


def test_last_commitment_in_time_stands_for_one_that_came_too_late_or_not_at_all(case, refused):
    state = case.state(nonce=2)
    first, second = case.naming(state), case.naming(state, None)
    second = case.naming(state, first)
    third = case.naming(state, second)
    case.world.post(first, second)
    case.to(case.deadline + 1)
    case.challenge()
    case.to(case.deadline + case.world.parameters.posting_blocks + 1)
    case.world.post(third)
    with refused("EVD-12"):
        case.show_account(first, state)
    with refused("EVD-15"):
        case.show_account(third, state)
    case.show_account(second, state)


@pytest.mark.parametrize(
    "changes", [{"nonce": 2}, {"balance": 0}, {"position": 2**24}, {"branch": ()}, {"branch": (bytes(32),) * 27}]
)
def test_account_that_is_not_in_the_state_does_not_answer(case, refused, changes):
    state = case.state()
    chain = case.network.chain(3)
    chain.append(case.naming(state, chain[-1]))
    case.world.post(*chain)
    case.to(case.deadline + 1)
    case.challenge()
    with refused("SSZ branch"):
        case.show_account(chain[3], state, **changes)


def test_account_of_somebody_else_does_not_answer(case, refused):
    state = case.state()
    chain = case.network.chain(3)
    chain.append(case.naming(state, chain[-1]))
    case.world.post(*chain)
    case.to(case.deadline + 1)
    case.challenge()
    other = next(account for account in state.accounts if account.address != case.network.user.address)
    position, branch = account_branch(state, other.address)
    with refused("SSZ branch"):
        case.show_account(chain[3], state, position=position, nonce=other.nonce, balance=other.balance, branch=branch)


def test_inclusion_at_a_height_that_was_dropped_later_still_answers(case):
    (first,) = case.network.chain(1)
    commitment = case.including(first)
    case.world.post(first, commitment)
    case.world.drop(first)
    case.to(case.deadline + 1)
    case.challenge()
    case.include(commitment)
    assert slashed(case) == 0


def dropped(case, commitment, signer=None, position=1):
    signed = signature(case.network.sign(signer or case.network.sequencer, commitment))
    arguments = case.promise, case.accused, leaves(commitment), signed, position, batch_branch(case.batch, 1)
    return case.send("answer_dropped", *arguments)


def test_inclusion_that_members_dropped_before_it_was_certified_answers(case, refused):
    network = case.network
    (first,) = network.chain(1)
    commitment = case.including(first)
    case.world.post(first)
    case.to(case.deadline + 1)
    case.challenge()
    with refused("DRP-1"):
        dropped(case, commitment)
    case.world.drop(first)
    with refused("SEQ-11"):
        dropped(case, commitment, network.user)
    with refused("SSZ branch"):
        dropped(case, commitment, position=0)
    with refused("EVD-12"):
        dropped(case, replace(commitment, height=5))
    with refused("DRP-1"):
        dropped(case, replace(commitment, height=1))
    dropped(case, commitment)
    assert slashed(case) == 0


def test_height_that_was_dropped_too_late_does_not_answer_evd_15(case, refused):
    (first,) = case.network.chain(1)
    case.world.post(first)
    case.to(case.deadline + 1)
    case.challenge()
    case.to(case.deadline + case.world.parameters.posting_blocks + 1)
    case.world.drop(first)
    with refused("EVD-15"):
        dropped(case, case.including(first))


def succeed(case, own=None, successor=None):
    network = case.network
    arguments = case.promise, case.accused, own or network.first.root, successor
    return case.send("answer_succession", *arguments)


def test_receipt_that_a_successor_cut_short_is_answered_by_it(case, refused):
    network = case.network
    following = network.successor(network.first, start_height=3)
    case.to(case.deadline - 5)
    case.world.register(following)
    case.to(case.deadline + 1)
    case.challenge()
    with refused("SEQ-6"):
        succeed(case, following.root, following.root)
    with refused("SEQ-4"):
        succeed(case, network.first.root, network.first.root)
    succeed(case, network.first.root, following.root)
    assert slashed(case) == 0


@pytest.mark.parametrize(
    ("changes", "same_key", "blocks", "reason"),
    [
        ({"start_height": 5}, False, -5, "SEQ-4"),
        ({"start_height": 3}, True, -5, "SEQ-4"),
        ({"start_height": 3}, False, -21, "SEQ-4"),
        ({"start_height": 3}, False, 11, "EVD-15"),
    ],
)
def test_successor_that_cut_nothing_short_does_not_answer(case, refused, changes, same_key, blocks, reason):
    network = case.network
    case.receipt = network.receipt(case.transaction, include_by_l1_block=case.world.chain.block() + 30)
    if same_key:
        changes = {
            **changes,
            "key_id": network.first.key_id,
            "encryption_key": network.first.encryption_key,
            "start_parent": b"\1" * 32,
        }
    following = network.successor(network.first, **changes)
    if blocks < 0:
        case.to(case.deadline + blocks)
        case.world.register(following)
    case.to(case.deadline + 1)
    case.challenge()
    if blocks > 0:
        case.to(case.deadline + blocks)
        case.world.register(following)
    with refused(reason):
        succeed(case, successor=following.root)


def test_receipt_for_a_key_that_was_used_up_is_answered_by_its_last_round_seq_9(evm, refused):
    network = Network(seed=8)
    network.first = network.key_set(rounds=2)
    world = Rehearsal(evm, network)
    world.register(network.first)
    world.chain.fund(world.anybody, RICH)
    transaction = network.transaction()
    case = Case(world, transaction, network.receipt(transaction, include_by_l1_block=evm.block() + 20), world.anybody)
    chain = network.chain(2)
    world.post(*chain)
    case.to(case.deadline + 1)
    case.challenge()
    with refused("SEQ-9"):
        case.send("answer_used_up", case.promise, case.accused, leaves(chain[0]))
    case.send("answer_used_up", case.promise, case.accused, leaves(chain[1]))

    other = network.transaction(key_id=b"\1" * 32)
    soon = network.receipt(transaction, sequence=1, include_by_height=1, include_by_l1_block=evm.block() - 1)
    elsewhere = network.receipt(other, sequence=2, include_by_l1_block=evm.block() - 1)
    for receipt, of in ((soon, transaction), (elsewhere, other)):
        again = Case(world, of, receipt, world.anybody)
        again.challenge()
        with refused("SEQ-9"):
            again.send("answer_used_up", again.promise, again.accused, leaves(chain[1]))


def test_key_without_limit_is_never_used_up(case, refused):
    chain = case.network.chain(4)
    case.world.post(*chain)
    case.to(case.deadline + 1)
    case.challenge()
    with refused("SEQ-9"):
        case.send("answer_used_up", case.promise, case.accused, leaves(chain[3]))


def test_open_challenge_keeps_the_bond(case, refused):
    world = case.world
    world.chain.fund(case.accused, RICH)
    commitment = case.including()
    world.post(commitment)
    world.collateral.send("begin_unbonding", case.accused, sender=case.accused)
    case.to(case.deadline + 1)
    world.chain.advance(world.parameters.unbonding_blocks)
    case.receipt = case.network.receipt(case.transaction, include_by_l1_block=world.chain.block() - 1, sequence=9)
    case.challenge()
    with refused("challenged"):
        world.collateral.send("withdraw", case.accused, sender=case.accused)
    world.chain.advance(world.parameters.answer_blocks + 1)
    case.conclude()
    world.collateral.send("withdraw", case.accused, sender=case.accused)


def test_open_challenge_doubles_the_delay_to_finality_and_does_no_more(case, refused):
    world, p = case.world, case.world.parameters
    case.to(case.deadline + 1)
    world.post(case.including())
    world.chain.advance(p.finality_blocks - 1)
    case.challenge()
    world.chain.advance(1)
    with refused("challenged"):
        world.settlement.send("finalize", 1, sender=world.anybody)
    world.chain.advance(p.finality_blocks - 1)
    with refused("challenged"):
        world.settlement.send("finalize", 1, sender=world.anybody)
    world.chain.advance(1)
    world.settlement.send("finalize", 1, sender=world.anybody)


def test_closed_challenge_holds_nothing_up(case):
    world, p = case.world, case.world.parameters
    case.to(case.deadline + 1)
    world.post(case.including())
    case.challenge()
    world.chain.advance(p.answer_blocks + 1)
    case.conclude()
    world.chain.advance(p.finality_blocks)
    world.settlement.send("finalize", 1, sender=world.anybody)


# --- inbox entries


@pytest.fixture
def entry(case):
    """An entry that is overdue by one block, posted by the challenger's friend."""
    world = case.world
    data = case.transaction.encoded
    fee = world.parameters.entry_fee + world.parameters.byte_fee * len(data)
    for _ in range(2):
        world.inbox.send("post", data, sender=world.anybody, wei=fee)
    world.chain.advance(31)
    return case


def challenge_entry(case, index=0, committee_id=None):
    arguments = index, committee_id or case.network.first.root
    return case.send("challenge_entry", *arguments, wei=case.world.parameters.challenge_bond)


def index_root(index):
    return index.to_bytes(32, "big")


def test_entry_that_is_not_settled_slashes_the_sequencer_and_compensates_its_sender_evd_13(entry):
    p = entry.world.parameters
    challenge_entry(entry)
    entry.world.chain.advance(p.answer_blocks + 1)
    entry.conclude(ENTRY, index_root(0))
    assert slashed(entry) == p.penalty
    assert entry.claimable(entry.world.anybody) == p.compensation


def test_entry_is_challenged_again_while_it_is_not_settled(entry, refused):
    p = entry.world.parameters
    for times in (1, 2, 3):
        challenge_entry(entry)
        with refused("challenged already"):
            challenge_entry(entry)
        entry.world.chain.advance(p.answer_blocks + 1)
        entry.conclude(ENTRY, index_root(0))
        assert slashed(entry) == times * p.penalty


def test_entry_is_challenged_when_overdue_and_at_the_head_of_the_queue_only(case, refused):
    world = case.world
    with refused("FRC-5"):
        challenge_entry(case, 1)
    with refused("index"):
        challenge_entry(case)
    fee = world.parameters.entry_fee + 5 * world.parameters.byte_fee
    world.inbox.send("post", b"entry", sender=world.anybody, wei=fee)
    world.chain.advance(30)
    with refused("EVD-13"):
        challenge_entry(case)
    world.chain.advance(1)
    with refused("VOT-2"):
        following = case.network.successor(case.network.first)
        world.register(following)
        challenge_entry(case, committee_id=following.root)
    challenge_entry(case)
    with refused("challenged already"):
        challenge_entry(case)


def test_entry_is_answered_by_the_commitment_that_settles_it_evd_13(entry, refused):
    challenge_entry(entry)
    with refused("FRC-5"):
        entry.send("answer_entry", 0, entry.accused, entry.network.first.root)
    entry.world.post(entry.network.commitment(inbox_index=1))
    entry.send("answer_entry", 0, entry.accused, bytes(32))
    assert slashed(entry) == 0
    with refused("FRC-5"):
        challenge_entry(entry, 0)
    challenge_entry(entry, 1)


def test_sequencer_that_was_replaced_is_not_asked_for_entries_any_more(entry, refused):
    network = entry.network
    entry.world.post(network.commitment())
    challenge_entry(entry)
    following = network.successor(network.first, start_height=2, sequencer=network.user.address)
    entry.world.register(following)
    with refused("VOT-2"):
        entry.send("answer_entry", 0, entry.accused, network.first.root)
    entry.send("answer_entry", 0, entry.accused, following.root)
    assert slashed(entry) == 0


def test_network_that_reads_no_chain_below_has_no_overdue_entries(evm, refused):
    deadlines = Deadlines(
        include_heights=8, include_l1_blocks=20, reveal_l1_blocks=10, force_l1_blocks=0, l1_depth=0, l1_lag_blocks=0
    )
    network = Network(seed=2, deadlines=deadlines)
    world = Rehearsal(evm, network)
    world.register(network.first)
    p = world.parameters
    world.inbox.send("post", b"entry", sender=world.anybody, wei=p.entry_fee + 5 * p.byte_fee)
    evm.advance(1_000)
    with refused("FRC-5"):
        world.challenges.send("challenge_entry", 0, network.first.root, sender=world.anybody, wei=p.challenge_bond)


# --- reveals


@pytest.fixture
def overdue(case):
    """A commitment at height 1 that was not revealed in time."""
    case.commitment = case.network.commitment()
    case.world.post(case.commitment)
    case.world.chain.advance(11)
    return case


def ask(case, member, commitment=None):
    arguments = leaves(commitment or case.commitment), case.network.members[member - 1].address
    return case.send("challenge_reveal", *arguments, wei=case.world.parameters.challenge_bond)


def answer_share(case, number, share, signer=None):
    member = case.network.members[number - 1]
    signed = signature(case.network.sign(signer or member, share))
    return case.send("answer_share", leaves(case.commitment), member.address, share.data, signed)


def test_member_without_a_share_is_slashed_evd_14(overdue):
    p = overdue.world.parameters
    member = overdue.network.members[1].address
    ask(overdue, 2)
    overdue.world.chain.advance(p.answer_blocks + 1)
    overdue.conclude(REVEAL, overdue.commitment.root, member)
    assert overdue.world.collateral.get("bond", member) == p.member_bond - p.penalty
    assert overdue.claimable(overdue.challenger) == p.challenge_bond + p.penalty // 10


def of_scheme(case, scheme, count):
    """A network whose keys are of that scheme, and an overdue commitment to so many transactions."""
    network = Network(seed=6)
    network.first = network.key_set(scheme=scheme)
    world = Rehearsal(type(case.world.chain)(), network, case.world.parameters)
    world.register(network.first)
    world.chain.fund(case.challenger, RICH)
    made = Case(world, case.transaction, case.receipt, case.challenger)
    made.commitment = network.commitment(count=count)
    world.post(made.commitment)
    world.chain.advance(11)
    return made


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("count", [1, 2, 300])
def test_posted_share_of_every_scheme_answers_evd_14(case, refused, scheme, count):
    info = load_scheme(scheme).info
    case = of_scheme(case, info.number, count)
    ask(case, 3)
    size = info.share_bytes(count)
    share = case.network.share(case.commitment, 3, data=case.network.random_bytes(size))
    for wrong in {size + 1, max(size - 1, 1)} - {size}:
        with refused("REV-2"):
            answer_share(case, 3, replace(share, data=bytes(wrong)))
    answer_share(case, 3, share)
    assert case.claimable(case.network.members[2].address) == case.world.parameters.challenge_bond


@pytest.mark.parametrize("count", [1_364, 1_365, 4_096])
def test_share_that_is_too_large_to_be_posted_is_answered_by_its_root(case, refused, count):
    case = of_scheme(case, 1, count)
    network = case.network
    member = network.members[0]
    ask(case, 1)
    share = network.share(case.commitment, 1)
    padded = share.data + bytes(-len(share.data) % 32)
    tree = merkleize([padded[at : at + 32] for at in range(0, len(padded), 32)], 15)
    arguments = leaves(case.commitment), member.address, tree, signature(network.sign(member, share))
    if count == 1_364:
        with refused("REV-2"):
            case.send("answer_large_share", *arguments)
        answer_share(case, 1, share)
    else:
        case.send("answer_large_share", *arguments)


@pytest.mark.parametrize("scheme", ["ibe", "simple-bte", "fptx"])
def test_member_of_a_scheme_with_small_shares_cannot_answer_by_a_root(case, refused, scheme):
    case = of_scheme(case, load_scheme(scheme).info.number, 4_096)
    ask(case, 1)
    member = case.network.members[0]
    share = case.network.share(case.commitment, 1, data=bytes(70_000))
    arguments = leaves(case.commitment), member.address, bytes(32), signature(case.network.sign(member, share))
    with refused("REV-2"):
        case.send("answer_large_share", *arguments)


@pytest.mark.parametrize(
    "changes",
    [{"member": 2}, {"height": 2}, {"round": 2}, {"commitment_root": b"\1" * 32}, {"committee_id": b"\1" * 32}],
)
def test_share_for_something_else_does_not_answer(overdue, refused, changes):
    ask(overdue, 1)
    with refused("EVD-14"):
        answer_share(overdue, 1, replace(overdue.network.share(overdue.commitment, 1), **changes))


def test_share_of_another_member_does_not_answer(overdue, refused):
    ask(overdue, 1)
    with refused("EVD-14"):
        share = overdue.network.share(overdue.commitment, 1)
        answer_share(overdue, 1, share, overdue.network.members[1])


@pytest.mark.parametrize(("changes", "reason"), [({"count": 0}, "SHR-3"), ({"committee_id": None}, "not posted")])
def test_what_has_no_shares_is_not_asked_for(case, refused, changes, reason):
    commitment = case.network.commitment(**{name: value for name, value in changes.items() if value is not None})
    case.world.post(commitment)
    case.world.chain.advance(11)
    asked = commitment if changes.get("committee_id", b"") is not None else case.network.commitment()
    with refused(reason):
        ask(case, 1, asked)


def test_reveal_is_asked_for_when_overdue_and_of_members_only(case, refused):
    case.commitment = case.network.commitment()
    case.world.post(case.commitment)
    case.world.chain.advance(10)
    with refused("EVD-14"):
        ask(case, 1)
    case.world.chain.advance(1)
    with refused("SHR-1"):
        arguments = leaves(case.commitment), case.network.user.address
        case.send("challenge_reveal", *arguments, wei=case.world.parameters.challenge_bond)
    case.world.chain.advance(case.world.parameters.challenge_blocks)
    with refused("EVD-14"):
        ask(case, 1)


def test_executed_height_is_not_asked_for_and_answers(overdue, refused):
    network = overdue.network
    ask(overdue, 1)
    member = network.members[0].address
    with refused("EVD-14"):
        overdue.send("answer_executed", leaves(overdue.commitment), member)
    overdue.world.post(network.commitment(overdue.commitment, executed_height=1))
    with refused("revealed"):
        ask(overdue, 2)
    overdue.send("answer_executed", leaves(overdue.commitment), member)


def test_abstention_answers_since_it_bars_the_share(overdue, refused):
    network = overdue.network
    ask(overdue, 1)
    for height, signer in ((2, network.members[0]), (1, network.members[1])):
        abstention = Abstain(committee_id=network.first.root, height=height)
        arguments = leaves(overdue.commitment), network.members[0].address
        with refused("EVD-14"):
            overdue.send("answer_abstention", *arguments, signature(network.sign(signer, abstention)))
    signed = signature(network.sign(network.members[0], Abstain(committee_id=network.first.root, height=1)))
    overdue.send("answer_abstention", leaves(overdue.commitment), network.members[0].address, signed)


def test_height_that_a_successor_took_over_answers_key_10(overdue):
    network = overdue.network
    second = network.commitment(overdue.commitment)
    overdue.world.post(second)
    overdue.world.chain.advance(11)
    overdue.commitment = second
    ask(overdue, 1)
    overdue.world.register(network.successor(network.first, start_height=2))
    overdue.send("answer_executed", leaves(second), network.members[0].address)


def test_height_that_was_dropped_answers(overdue, refused):
    network = overdue.network
    second = network.commitment(overdue.commitment)
    overdue.world.post(second)
    overdue.world.chain.advance(11)
    first, overdue.commitment = overdue.commitment, second
    member = network.members[0].address
    ask(overdue, 1)
    with refused("EVD-14"):
        overdue.send("answer_executed", leaves(second), member)
    overdue.world.drop(first)
    overdue.send("answer_executed", leaves(second), member)
    overdue.world.chain.advance(11)
    with refused("SHR-3"):
        ask(overdue, 2, network.empty(first))


def test_stall_ends_when_its_height_is_dropped(overdue, refused):
    network, world = overdue.network, overdue.world
    second = network.commitment(overdue.commitment)
    world.post(second)
    world.chain.advance(11)
    first, overdue.commitment = overdue.commitment, second
    for number in (1, 2):
        ask(overdue, number)
    world.chain.advance(world.parameters.answer_blocks + 1)
    for number in (1, 2):
        overdue.conclude(REVEAL, second.root, network.members[number - 1].address)
    world.drop(first)
    overdue.send("resume", leaves(second))
    assert world.challenges.get("stalls", 0)[1] == world.chain.block()
    with refused("EVD-15"):
        overdue.send("resume", leaves(second))


def test_share_for_a_dropped_height_is_early_without_a_certificate(case):
    (first,) = case.network.chain(1)
    case.world.post(first)
    case.world.drop(first)
    early(case, case.network.share(case.network.empty(first), 1))


def test_height_that_a_successor_took_over_is_not_asked_for_key_10(overdue, refused):
    network = overdue.network
    second = network.commitment(overdue.commitment)
    overdue.world.post(second)
    overdue.world.register(network.successor(network.first, start_height=2))
    overdue.world.chain.advance(11)
    with refused("revealed"):
        ask(overdue, 1, second)
    ask(overdue, 1)


def test_windows_stand_still_while_the_committee_does_not_reveal_evd_15(overdue, refused):
    case, world, p = overdue, overdue.world, overdue.world.parameters
    case.to(case.deadline + 1)
    case.challenge()
    for number in (1, 2):
        ask(case, number)
    assert world.challenges.get("stalls", 0) == (world.chain.block(), 0)
    world.chain.advance(p.answer_blocks + 10)
    with refused("window"):
        case.conclude()
    for number in (1, 2):
        case.conclude(REVEAL, case.commitment.root, case.network.members[number - 1].address)
    with refused("window"):
        case.conclude()
    with refused("EVD-15"):
        case.send("resume", leaves(case.commitment))
    including = case.including(case.commitment, executed_height=1)
    world.post(including)
    case.send("resume", leaves(case.commitment))
    assert world.challenges.get("stalls", 0)[1] == world.chain.block()
    case.include(including)
    assert slashed(case) == 0


def test_stall_that_ends_leaves_the_rest_of_the_window(overdue, refused):
    case, world, p = overdue, overdue.world, overdue.world.parameters
    case.to(case.deadline + 1)
    case.challenge()
    world.chain.advance(5)
    for number in (1, 2):
        ask(case, number)
    world.chain.advance(15)
    answer_share(case, 1, case.network.share(case.commitment, 1))
    assert world.challenges.get("stalls", 0)[1] == world.chain.block()
    world.chain.advance(p.answer_blocks - 5)
    with refused("window"):
        case.conclude()
    world.chain.advance(1)
    case.conclude()


def test_few_silent_members_stop_no_window(overdue):
    case, world, p = overdue, overdue.world, overdue.world.parameters
    case.to(case.deadline + 1)
    case.challenge()
    ask(case, 1)
    assert world.challenges.get("stall_count") == 0
    world.chain.advance(p.answer_blocks + 1)
    case.conclude()


def test_later_stall_does_not_take_back_what_an_earlier_one_gave(overdue, refused):
    case, world, p = overdue, overdue.world, overdue.world.parameters
    second = case.network.commitment(case.commitment)
    world.post(second)
    world.chain.advance(11)
    case.receipt = case.network.receipt(case.transaction, include_by_l1_block=world.chain.block() - 1)
    case.challenge()
    world.chain.advance(p.answer_blocks)
    for commitment in (case.commitment, second):
        case.commitment = commitment
        ask(case, 1)
        ask(case, 2)
        world.chain.advance(7)
        answer_share(case, 1, case.network.share(commitment, 1))
        answer_share(case, 2, case.network.share(commitment, 2))
        with refused("window"):
            case.conclude()
    assert world.challenges.get("stall_count") == 2
    world.chain.advance(1)
    case.conclude()


def test_stall_extends_windows_to_a_limit(overdue, refused):
    case, world, p = overdue, overdue.world, overdue.world.parameters
    case.to(case.deadline + 1)
    case.challenge()
    for number in (1, 2):
        ask(case, number)
    world.chain.advance(p.answer_blocks + p.stall_blocks)
    with refused("window"):
        case.conclude()
    world.chain.advance(1)
    case.conclude()


@pytest.mark.parametrize("seed", range(4))
def test_windows_end_where_the_page_computes_it_stl_25(overdue, refused, seed):
    case, world, p, random = overdue, overdue.world, overdue.world.parameters, Random(seed)
    commitments = [case.commitment]
    for _ in range(3):
        commitments.append(case.network.commitment(commitments[-1]))
        world.post(commitments[-1])
    world.chain.advance(11)
    case.receipt = case.network.receipt(case.transaction, include_by_l1_block=world.chain.block() - 1)
    case.challenge()
    opened, ended = world.chain.block(), False

    def ends():
        stalls = [world.challenges.get("stalls", at) for at in range(world.challenges.get("stall_count"))]
        known = [page.Stall(began, end or None) for began, end in stalls]
        return page.extended(opened, opened + p.answer_blocks, known, p.stall_blocks, world.chain.block())

    def wait(blocks):
        for _ in range(blocks):
            if world.chain.block() > ends():
                return True
            with refused("window"):
                case.conclude()
            world.chain.advance(1)
        return world.chain.block() > ends()

    for commitment in commitments:
        case.commitment = commitment
        ended = ended or wait(random.randrange(1, 12))
        ask(case, 1)
        ask(case, 2)
        ended = ended or wait(random.choice([2, 9, p.stall_blocks + 5]))
        answer = random.random() < 0.7 and world.challenges.get("challenges", REVEAL, commitment.root, member(case, 1))
        if answer and world.chain.block() <= answer[2]:
            answer_share(case, 1, case.network.share(commitment, 1))
    assert ended or wait(p.answer_blocks + p.stall_blocks * len(commitments))
    case.conclude()


def member(case, number):
    return case.network.members[number - 1].address


@pytest.mark.parametrize("late", [False, True])
def test_commitment_is_posted_as_late_as_the_page_allows_stl_24(case, refused, late):
    world, p, deadlines = case.world, case.world.parameters, case.network.genesis.deadlines
    latest = page.latest_posting(case.deadline, deadlines.include_l1_blocks, p.posting_blocks, [], p.stall_blocks, 0)
    case.to(latest + late)
    including = case.including()
    world.post(including)
    assert page.may_be_asked(case.deadline, p.challenge_blocks, world.chain.block())
    case.challenge()
    if late:
        with refused("EVD-15"):
            case.include(including)
    else:
        case.include(including)


def test_old_stall_does_not_extend_a_window(overdue):
    case, world, p = overdue, overdue.world, overdue.world.parameters
    for number in (1, 2):
        ask(case, number)
    world.chain.advance(5)
    answer_share(case, 1, case.network.share(case.commitment, 1))
    case.to(case.deadline + 1)
    case.challenge()
    world.chain.advance(p.answer_blocks + 1)
    case.conclude()


# --- early shares


def early(case, share, number=1, signer=None):
    signed = signature(case.network.sign(signer or case.network.members[number - 1], share))
    return case.send("challenge_early_share", leaves(share), signed, wei=case.world.parameters.challenge_bond)


def test_share_without_a_certificate_takes_the_whole_bond_evd_6(case):
    network, p = case.network, case.world.parameters
    commitment = network.commitment()
    member = network.members[0].address
    early(case, network.share(commitment, 1))
    case.world.chain.advance(p.answer_blocks + 1)
    case.conclude(EARLY_SHARE, network.vote(commitment).root, member)
    assert case.world.collateral.get("bond", member) == 0


def test_certificate_answers_evd_6(case, refused):
    network = case.network
    commitment = network.commitment()
    member = network.members[0].address
    early(case, network.share(commitment, 1))
    vote = network.vote(commitment)
    with refused("CRT-3"):
        few = signatures(network.all_sign(vote, network.members[:2]))
        case.send("answer_certificate", leaves(vote), member, few)
    with refused("no challenge"):
        other = network.commitment()
        case.send("answer_certificate", leaves(network.vote(other)), member, network.certificate(other))
    case.send("answer_certificate", leaves(vote), member, network.certificate(commitment))
    assert case.claimable(member) == case.world.parameters.challenge_bond
    with refused("challenged already"):
        early(case, network.share(commitment, 1))


def test_share_of_a_posted_commitment_is_not_early(case, refused):
    commitment = case.network.commitment()
    case.world.post(commitment)
    with refused("certified"):
        early(case, case.network.share(commitment, 1))


def test_share_that_no_member_signed_is_no_share_evd_11(case, refused):
    with refused("EVD-11"):
        early(case, case.network.share(case.network.commitment(), 1), signer=case.network.user)


def test_nobody_is_slashed_for_silence_on_a_chain_that_is_halted(case):
    network, world, p = case.network, case.world, case.world.parameters
    (first,) = network.chain(1)
    world.post(first)
    case.to(case.deadline + 1)
    case.challenge()
    other = network.vote(replace(first, timestamp_ms=6))
    votes = signatures(network.all_sign(other))
    world.settlement.send("halt", leaves(first), leaves(other), votes, sender=world.anybody)
    world.chain.advance(p.answer_blocks + 1)
    case.conclude()
    assert slashed(case) == 0
    assert case.claimable(case.challenger) == p.challenge_bond


def test_challenge_that_was_not_made_cannot_be_concluded_or_answered(case, refused):
    with refused("no challenge"):
        case.conclude()
    commitment = case.including()
    case.world.post(commitment)
    with refused("no challenge"):
        case.include(commitment)


def test_deadlines_are_those_of_the_genesis(bare, refused):
    genesis = bare.network.genesis.deadlines
    challenges = bare.challenges
    assert challenges.get("INCLUDE_BLOCKS") == genesis.include_l1_blocks
    assert challenges.get("REVEAL_BLOCKS") == genesis.reveal_l1_blocks
    assert challenges.get("LAG_BLOCKS") == genesis.l1_depth + genesis.l1_lag_blocks
    artifact, others = load()["challenges"], (bytes(20),) * 3
    for answer_blocks, reveal_blocks, reason in ((20, 11, "GEN-1"), (10, 10, "windows")):
        spans = 1, 100, answer_blocks, 100, 10, (8, 20, reveal_blocks, 20, 2, 8)
        with refused(reason):
            bare.chain.create(bare.anybody, artifact.creation(bare.registry.address, *others, *spans))
