"""Commitments that break a rule, each by one fault, and what an accuser could make of honest ones.

Holds EVD-8 and EVD-9 of specs/evidence.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from encmempool.errors import Rejected
from encmempool.evidence import examine
from encmempool.exhibits import AccountEntry, account_under, accounts_of, entry_of
from encmempool.faults import EMPTY_BATCH, InvalidBatch, InvalidCommitment, InvalidEntry, RepeatedEntry
from encmempool.keysets import sign_key_set
from encmempool.mempool import MAX_UNEXECUTED
from encmempool.ordering import Policy
from encmempool.types import BatchList, OrderCommitment
from threshold.entropy import deterministic

HEIGHT = 7


def committed(court: Any, transactions: Sequence[Any], **changes: Any) -> OrderCommitment:
    """An honest commitment to transactions, with any field changed."""
    tx_ids = tuple(transaction.tx_id for transaction in transactions)
    return court.commitment(**{"batch_root": BatchList(tx_ids=tx_ids).root, "count": len(tx_ids)} | changes)


def by_itself(court: Any, **changes: Any) -> InvalidCommitment:
    return InvalidCommitment(commitment=court.sign(court.sequencer, court.commitment(**changes)), parent=())


ALONE = {
    "another key": ({"key_id": b"\x09" * 32}, "VOT-2"),
    "below the key set's start": ({"height": 0, "executed_height": 0}, "VOT-2"),
    "the first height from elsewhere": ({"height": 1, "round": 1, "executed_height": 0}, "VOT-2"),
    "transactions and no count": ({"count": 0}, "VOT-3"),
    "a count and no transactions": ({"batch_root": EMPTY_BATCH}, "VOT-3"),
    "another policy": ({"policy_id": 2}, "VOT-6"),
    "its own height executed": ({"executed_height": HEIGHT}, "VOT-7"),
    "too far ahead": ({"height": HEIGHT + MAX_UNEXECUTED}, "VOT-7"),
    "more than a batch holds": ({"count": 9}, "VOT-9"),
    "an inbox where there is none": ({"inbox_index": 1}, "VOT-9"),
    "before the genesis": ({"timestamp_ms": 1_699_999_999_999}, "VOT-9"),
}


@pytest.mark.parametrize("fault", ALONE)
def test_commitment_with_one_fault_convicts_evd_8(court, fault):
    changes, rule = ALONE[fault]
    finding = court.examine(by_itself(court, **changes))
    assert (finding.rule, finding.offender) == (rule, court.sequencer.address)


def test_honest_commitments_convict_nobody_evd_8(court):
    first = {"height": 1, "parent": court.committee.genesis.root, "round": 1, "executed_height": 0}
    late = {"height": HEIGHT - 1 + MAX_UNEXECUTED}
    empty = {"count": 0, "batch_root": EMPTY_BATCH}
    for changes in ({}, first, late, empty, {"count": 8}):
        assert court.refusal(by_itself(court, **changes)) == "EVD-8"


def under(court: Any, **changes: Any) -> Any:
    """A key set like the court's, as an object of its own."""
    key_set = replace(court.committee.key_set, epoch=7, **changes)
    return replace(court.committee, signed=sign_key_set(key_set, []))


@pytest.mark.parametrize(
    ("terms", "changes", "rule"),
    [
        ({"rounds": 8}, {"round": 9}, "VOT-8"),
        ({"rounds": 8}, {"round": 8}, None),
        ({"valid_until": HEIGHT - 1}, {}, "VOT-9"),
        ({"valid_until": HEIGHT}, {}, None),
        ({"start_height": HEIGHT, "start_parent": bytes(32), "start_round": 3}, {}, "VOT-8"),
        ({"start_height": HEIGHT, "start_parent": bytes(32), "start_round": 2}, {}, None),
        ({"start_height": HEIGHT, "start_parent": b"\x02" * 32, "start_round": 2}, {}, "VOT-2"),
        ({"start_height": HEIGHT, "start_parent": b"\x01" * 32, "start_round": 2}, {}, None),
    ],
)
def test_commitment_is_held_to_the_key_set_that_it_names_evd_8(court, terms, changes, rule):
    committee = under(court, **terms)
    shown = by_itself(court, committee_id=committee.committee_id, **changes)
    if rule is None:
        with pytest.raises(Rejected) as caught:
            examine(court.evidence(shown), (*court.committees, committee))
        assert caught.value.rule == "EVD-8"
    else:
        assert examine(court.evidence(shown), (*court.committees, committee)).rule == rule


def test_key_set_that_came_later_does_not_turn_against_a_sequencer_evd_8(court):
    """What its height belongs to in the end, the sequencer could not know."""
    start = court.successor.key_set.start_height
    for height in (start, start + 5):
        assert court.refusal(by_itself(court, height=height, executed_height=height - 1)) == "EVD-8"


def beside(court: Any, parent_changes: dict[str, Any], changes: dict[str, Any]) -> InvalidCommitment:
    parent = court.commitment(**{"height": HEIGHT - 1, "executed_height": HEIGHT - 2} | parent_changes)
    commitment = court.commitment(**{"parent": parent.root, "round": parent.round + 1} | changes)
    return InvalidCommitment(commitment=court.sign(court.sequencer, commitment), parent=(parent,))


@pytest.mark.parametrize(
    ("parent", "changes", "rule"),
    [
        ({"height": HEIGHT - 2}, {}, "VOT-2"),
        ({"executed_height": HEIGHT}, {}, "VOT-7"),
        ({}, {"round": 3}, "VOT-8"),
        ({}, {"round": 4, "count": 0, "batch_root": EMPTY_BATCH}, "VOT-8"),
        ({"l1_block": 1}, {}, "VOT-9"),
        ({"timestamp_ms": 1_700_000_000_001}, {}, "VOT-9"),
    ],
)
def test_commitment_that_does_not_follow_its_parent_convicts_evd_8(court, parent, changes, rule):
    assert court.examine(beside(court, parent, changes)).rule == rule
    assert court.refusal(beside(court, {}, {})) == "EVD-8"


def test_parent_that_the_commitment_does_not_name_shows_nothing_evd_9(court):
    shown = beside(court, {"l1_block": 1}, {})
    another = replace(shown.parent[0], l1_block=2)
    assert court.refusal(replace(shown, parent=(another,))) == "EVD-9"


# --- entries ---------------------------------------------------------------------------------------------------------


def entry(court: Any, transaction: Any, **changes: Any) -> InvalidEntry:
    batch = [transaction.unsigned, court.unsigned[1]]
    return InvalidEntry(
        commitment=court.sign(court.sequencer, committed(court, batch, **changes)),
        entries=(entry_of(batch, 0),),
        accounts=(),
    )


SEALED = {
    "TXN-1": {"version": 2},
    "TXN-2": {"key_id": b"\x09" * 32},
    "TXN-2 scheme": {"scheme": 0},
    "TXN-3": {"gas_limit": 21_001},
    "TXN-3 batch": {"gas_limit": 21_000 * 128},
    "TXN-4": {"max_fee_per_gas": 1},
    "TXN-4 priority": {"max_priority_fee_per_gas": 2**100},
    "TXN-5": {"target_height": 50},
    "TXN-6": {"ciphertext": bytes(300)},
    "TXN-8": {"valid_until": HEIGHT - 1},
    "TXN-9": {},
}


@pytest.mark.parametrize("fault", SEALED)
def test_entry_that_no_check_of_admission_passes_convicts_evd_8(court, fault, seal_envelope, alice):
    transaction = seal_envelope(court.committee.terms, alice, **SEALED[fault])
    finding = court.examine(entry(court, transaction))
    assert (finding.rule, finding.offender) == ("VOT-5", court.sequencer.address)


def test_entry_with_another_signature_convicts_nobody_evd_8(court):
    """TXN-7: the id leaves the sender's signature out, so anybody can put a wrong one beside an honest batch."""
    forged = replace(court.transactions[0], signature=bytes(65))
    assert entry(court, forged) == entry(court, court.transactions[0])
    assert court.refusal(entry(court, forged)) == "EVD-8"


def test_entry_of_a_batch_of_another_length_than_counted_convicts_evd_8(court):
    assert court.examine(entry(court, court.transactions[0], count=3)).rule == "VOT-3"
    shown = entry(court, court.transactions[0])
    assert court.refusal(shown) == "EVD-8"
    moved = replace(shown.entries[0], position=replace(shown.entries[0].position, index=1))
    assert court.refusal(replace(shown, entries=(moved,))) == "EVD-9"
    assert court.refusal(replace(shown, entries=())) == "EVD-8"


def test_entry_next_to_a_branch_of_another_form_shows_nothing_evd_9(court):
    shown = entry(court, court.transactions[0], count=3)
    position = shown.entries[0].position
    for changed in (
        replace(position, branch=position.branch[:-1]),
        replace(position, branch=()),
        replace(position, index=1 << 12),
        replace(position, branch=(*position.branch[:-1], b"\x03" + bytes(31))),
    ):
        assert court.refusal(replace(shown, entries=(replace(shown.entries[0], position=changed),))) == "EVD-9"


def next_to_account(
    court: Any, nonce: int, balance: int, *, at: Sequence[int] = (0,), senders: Any = None
) -> InvalidEntry:
    sender = court.unsigned[0].header.sender
    state = court.state({sender: (nonce, balance)})
    return InvalidEntry(
        commitment=court.sign(court.sequencer, committed(court, court.unsigned, state_root=state.root)),
        entries=tuple(entry_of(court.unsigned, index) for index in at),
        accounts=accounts_of(state, senders or sender),
    )


def test_entry_that_its_sender_cannot_send_convicts_evd_8(court):
    needed = 21_000 * 30 * 10**9
    for nonce, balance in ((1, needed), (0, needed - 1), (2**63, 2**90)):
        assert court.examine(next_to_account(court, nonce, balance)).rule == "VOT-5"
    assert court.refusal(next_to_account(court, 0, needed)) == "EVD-8"


def test_entries_of_a_sender_who_cannot_pay_for_all_convict_evd_8(court, encrypt, alice):
    needed = 21_000 * 30 * 10**9
    both = [court.unsigned[0], encrypt(court.committee, alice, nonce=1, random=deterministic(b"1")).unsigned]
    for balance, rule in ((2 * needed - 1, "VOT-5"), (2 * needed, None)):
        state = court.state({alice.address: (0, balance)})
        shown = InvalidEntry(
            commitment=court.sign(court.sequencer, committed(court, both, state_root=state.root)),
            entries=(entry_of(both, 0), entry_of(both, 1)),
            accounts=accounts_of(state, alice.address),
        )
        assert (court.examine(shown).rule if rule else court.refusal(shown)) == (rule or "EVD-8")
        assert court.refusal(replace(shown, entries=shown.entries[:1] * 2)) == "EVD-8"


def test_entry_of_a_sender_without_an_account_convicts_by_its_neighbours_evd_8(court):
    sender = court.unsigned[0].header.sender
    empty = court.state({})
    shown = InvalidEntry(
        commitment=court.sign(court.sequencer, committed(court, court.unsigned, state_root=empty.root)),
        entries=(entry_of(court.unsigned, 0),),
        accounts=accounts_of(empty, sender),
    )
    assert len(shown.accounts) == 2
    assert court.examine(shown).rule == "VOT-5"


def test_account_of_another_says_nothing_of_a_sender_evd_9(court):
    shown = next_to_account(court, 0, 1, senders=b"\xff" * 20)
    assert court.refusal(shown) == "EVD-9"
    assert court.refusal(next_to_account(court, 0, 1, at=(1,))) == "EVD-9"
    assert court.refusal(next_to_account(court, 0, 1, at=(0, 1))) == "EVD-8"


@pytest.mark.parametrize("absent", [b"\x00" * 19 + b"\x01", b"\x20" * 20, b"\xff" * 19 + b"\xfe"])
def test_absence_is_shown_by_neighbours_that_leave_no_room_evd_9(court, absent):
    there = {b"\x10" * 20: (5, 5), b"\x30" * 20: (6, 6), b"\x50" * 20: (7, 7)}
    state = court.state(there)
    shown = accounts_of(state, absent)
    assert account_under(state.root, absent, shown) == (0, 0)
    for fewer in (shown[:1], shown[1:], (), shown[::-1]):
        with pytest.raises(Rejected, match="EVD-9"):
            account_under(state.root, absent, fewer)


def test_absence_at_either_end_of_a_state_needs_one_neighbour_evd_9(court):
    made = court.state({b"\x10" * 20: (5, 5), b"\x30" * 20: (6, 6)})
    state = replace(made, accounts=made.accounts[1:3])
    for absent in (b"\x01" * 20, b"\x31" * 20):
        (shown,) = accounts_of(state, absent)
        assert account_under(state.root, absent, [shown]) == (0, 0)
        (other,) = accounts_of(state, b"\x10" * 20 if absent > b"\x10" * 20 else b"\x30" * 20)
        with pytest.raises(Rejected, match="EVD-9"):
            account_under(state.root, absent, [other])
    for there in state.accounts:
        assert account_under(state.root, there.address, accounts_of(state, there.address)) == (
            there.nonce,
            there.balance,
        )


def test_account_with_anything_changed_leads_to_no_state_evd_9(court):
    state = court.state({b"\x10" * 20: (5, 5)})
    (shown,) = accounts_of(state, b"\x10" * 20)
    changes: list[AccountEntry] = [
        replace(shown, account=replace(shown.account, balance=4)),
        replace(shown, index=0),
        replace(shown, index=1 << 24),
        replace(shown, branch=shown.branch[:-1]),
        replace(shown, branch=(*shown.branch[:24], b"\x02" + bytes(31), *shown.branch[25:])),
    ]
    for changed in changes:
        with pytest.raises(Rejected, match="EVD-9"):
            account_under(state.root, b"\x10" * 20, [changed])


# --- repetitions -----------------------------------------------------------------------------------------------------


def chain(court: Any, *batches: Sequence[Any], **changes: Any) -> list[OrderCommitment]:
    """Commitments to these batches, the newest first, up to HEIGHT."""
    made: list[OrderCommitment] = []
    for at, batch in enumerate(batches):
        height = HEIGHT - len(batches) + 1 + at
        parent = made[0].root if made else b"\x01" * 32
        usual = {"height": height, "parent": parent, "executed_height": HEIGHT - len(batches)}
        made.insert(0, committed(court, batch, **usual | (changes if at == len(batches) - 1 else {})))
    return made


def repeated(court: Any, *batches: Sequence[Any], places: tuple[int, int] = (0, 0), **changes: Any) -> RepeatedEntry:
    newest, *ancestors = chain(court, *batches, **changes)
    return RepeatedEntry(
        commitment=court.sign(court.sequencer, newest),
        ancestors=tuple(ancestors),
        entry=entry_of(batches[-1], places[0]),
        earlier=entry_of(batches[0], places[1]),
    )


def test_entry_that_an_ancestor_holds_convicts_evd_8(court, encrypt, alice):
    one, other = court.unsigned
    again = encrypt(court.committee, alice, random=deterministic(b"again")).unsigned
    later = encrypt(court.committee, alice, nonce=1, random=deterministic(b"later")).unsigned
    assert court.examine(repeated(court, [one], [other], [one])).rule == "VOT-4"
    assert court.examine(repeated(court, [one], [other], [again])).rule == "VOT-4"
    assert court.examine(repeated(court, [one], [other], [later])).rule == "VOT-4"
    executed = repeated(court, [one], [other], [later], executed_height=HEIGHT - 1)
    assert court.refusal(executed) == "EVD-8"
    assert court.refusal(repeated(court, [one], [], [other])) == "EVD-8"


def test_entry_twice_in_a_batch_convicts_evd_8(court, encrypt, alice):
    one, other = court.unsigned
    again = encrypt(court.committee, alice, random=deterministic(b"again")).unsigned
    later = encrypt(court.committee, alice, nonce=1, random=deterministic(b"later")).unsigned
    assert court.examine(repeated(court, [one, other, one], places=(0, 2))).rule == "VOT-4"
    assert court.examine(repeated(court, [one, again], places=(0, 1))).rule == "VOT-4"
    assert court.refusal(repeated(court, [one, later], places=(0, 1))) == "EVD-8"
    assert court.refusal(repeated(court, [one, other], places=(0, 0))) == "EVD-8"


def test_ancestor_that_is_none_shows_nothing_evd_9(court):
    one, other = court.unsigned
    shown = repeated(court, [one], [other], [one])
    assert court.refusal(replace(shown, ancestors=shown.ancestors[::-1])) == "EVD-9"
    assert court.refusal(replace(shown, ancestors=shown.ancestors[1:])) == "EVD-9"
    assert court.refusal(replace(shown, ancestors=())) == "EVD-8"  # the same entry twice


# --- batches ---------------------------------------------------------------------------------------------------------


def batch(court: Any, transactions: Sequence[Any], *, sequences: Sequence[int] = (), **changes: Any) -> InvalidBatch:
    receipts = [
        court.sign(court.sequencer, court.receipt(tx_id=transaction.tx_id, sequence=sequence))
        for transaction, sequence in zip(transactions, sequences, strict=False)
    ]
    return InvalidBatch(
        commitment=court.sign(court.sequencer, committed(court, transactions, **changes)),
        parent=(),
        transactions=tuple(transactions),
        receipts=tuple(receipts),
        accounts=(),
    )


def test_batch_that_breaks_a_rule_as_a_whole_convicts_evd_8(court, encrypt, seal_envelope, alice, bob):
    one, other = court.unsigned
    gap = encrypt(court.committee, alice, nonce=2, random=deterministic(b"gap")).unsigned
    heavy = [seal_envelope(court.committee.terms, who, gas_limit=21_000 * 64).unsigned for who in (alice, bob)]
    assert court.examine(batch(court, [one, other], count=3)).rule == "VOT-3"
    assert court.examine(batch(court, [one, gap])).rule == "VOT-5"
    assert court.examine(batch(court, heavy)).rule == "VOT-9"
    assert court.examine(batch(court, [one, other], sequences=(2, 1))).rule == "VOT-6"
    assert court.refusal(batch(court, [one, other], sequences=(1, 2))) == "EVD-8"
    assert court.refusal(batch(court, [one, other])) == "EVD-8"
    assert court.refusal(batch(court, [one, other], sequences=(2,))) == "EVD-8"


def test_batch_next_to_an_account_convicts_by_all_entries_of_its_sender_evd_8(court, encrypt, alice, bob):
    one, other = court.unsigned
    later = encrypt(court.committee, alice, nonce=1, random=deterministic(b"later")).unsigned
    needed = 21_000 * 30 * 10**9
    for account, rule in (((0, needed), None), ((1, needed), "VOT-5"), ((0, needed - 1), "VOT-5")):
        state = court.state({alice.address: account})
        shown = batch(court, [one, other], state_root=state.root)
        shown = replace(shown, accounts=accounts_of(state, alice.address))
        assert (court.examine(shown).rule if rule else court.refusal(shown)) == (rule or "EVD-8")
    state = court.state({alice.address: (0, needed)})
    ahead = replace(batch(court, [later], state_root=state.root), accounts=accounts_of(state, alice.address))
    assert court.examine(ahead).rule == "VOT-5"
    absent = replace(batch(court, [other], state_root=state.root), accounts=accounts_of(state, alice.address))
    assert court.refusal(absent) == "EVD-8"


def test_receipts_of_another_sequencer_order_nothing_evd_8(court):
    """Who takes over gives receipts of its own."""
    shown = batch(court, court.unsigned, sequences=(2, 1))
    others = tuple(court.sign(court.second_sequencer, signed.message) for signed in shown.receipts)
    assert court.refusal(replace(shown, receipts=others)) == "EVD-8"
    assert court.refusal(replace(shown, receipts=shown.receipts[::-1])) == "EVD-8"


@pytest.mark.parametrize("policy", [Policy.PRIORITY_FEE, Policy.SHUFFLE])
def test_order_that_needs_no_receipts_convicts_without_them_evd_8(court, policy):
    committee = under(court, policy_id=int(policy))
    ranked = sorted(court.unsigned, key=lambda transaction: transaction.tx_id)
    named = {"committee_id": committee.committee_id, "policy_id": int(policy)}
    committees = (*court.committees, committee)
    assert examine(court.evidence(batch(court, ranked[::-1], **named)), committees).rule == "VOT-6"
    with pytest.raises(Rejected, match="EVD-8"):
        examine(court.evidence(batch(court, ranked, **named)), committees)


def test_order_counts_only_where_no_entry_was_forced_evd_8(court):
    """Forced entries come before what the policy orders."""
    genesis = court.committee.genesis
    deadlines = replace(genesis.deadlines, force_l1_blocks=10)
    committee = replace(court.committee, genesis=replace(genesis, deadlines=deadlines))
    root = committee.terms.genesis_root
    for settled, rule in ((0, "VOT-6"), (1, None)):
        parent = court.commitment(height=HEIGHT - 1, inbox_index=4)
        made = batch(court, court.unsigned, sequences=(2, 1), parent=parent.root, inbox_index=4 + settled)
        shown = replace(
            made,
            commitment=court.sign(court.sequencer, made.commitment.message, genesis_root=root),
            parent=(parent,),
            receipts=tuple(court.sign(court.sequencer, s.message, genesis_root=root) for s in made.receipts),
        )
        if rule:
            assert examine(court.evidence(shown), [committee]).rule == rule
        for other in (shown, replace(shown, parent=())) if rule is None else (replace(shown, parent=()),):
            with pytest.raises(Rejected, match="EVD-8"):
                examine(court.evidence(other), [committee])


# --- who signed ------------------------------------------------------------------------------------------------------


def test_commitment_that_the_sequencer_did_not_sign_convicts_nobody_evd_8(court, alice):
    message = court.commitment(policy_id=2)
    for signer in (alice, court.members[0], court.second_sequencer):
        assert court.refusal(InvalidCommitment(commitment=court.sign(signer, message), parent=())) == "VOT-1"
    assert court.refusal(by_itself(court, policy_id=2, committee_id=b"\x09" * 32)) == "EVD-1"
