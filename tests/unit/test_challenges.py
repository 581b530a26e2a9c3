"""Questions about what nobody can show, and what answers them. Each kind's cases are the vectors'; here is the rest.

Holds EVD-6 and EVD-12 to EVD-14 of specs/evidence.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from encmempool.challenges import (
    Abstained,
    CertificateQuestion,
    Certified,
    ForcedQuestion,
    HandedOver,
    Inadmissible,
    Included,
    InclusionQuestion,
    Opening,
    Released,
    RevealQuestion,
    Settled,
    due,
    freed,
)
from encmempool.committee import vote_for
from encmempool.errors import Malformed, Rejected
from encmempool.exhibits import accounts_of, position_of
from encmempool.types import Abstain, OrderCertificate, Reveal, ShareRelease, UnsignedTransaction
from threshold.schemes.base import Batch, Share

HEIGHT = 7


def certificate(court: Any, commitment: Any, members: tuple[int, ...] = (1, 2, 3)) -> OrderCertificate:
    signed = [court.sign(court.members[index - 1], vote_for(commitment)) for index in members]
    return OrderCertificate(vote=signed[0].message, signatures=tuple(vote.signature for vote in signed))


def promise(court: Any, **changes: Any) -> InclusionQuestion:
    return InclusionQuestion(receipt=court.sign(court.sequencer, court.receipt(**{"include_by_height": 10} | changes)))


def overdue(court: Any) -> RevealQuestion:
    commitment = court.commitment()
    return RevealQuestion(
        receipt=court.sign(court.sequencer, court.receipt()),
        position=position_of([t.tx_id for t in court.transactions], 0),
        commitment=court.sign(court.sequencer, commitment),
        certificate=certificate(court, commitment),
    )


def rule_of(call: Any, *arguments: Any) -> str:
    with pytest.raises((Malformed, Rejected)) as caught:
        call(*arguments)
    return getattr(caught.value, "rule", "malformed")


def test_receipt_is_answered_by_a_place_or_by_the_state_at_its_last_height_evd_12(court):
    question, alice = promise(court), court.transactions[0].header
    asked = due(question, court.committees)
    assert (asked.rule, asked.parties, asked.l1_block) == ("SEQ-4", (court.sequencer.address,), 64)
    tx_ids = [t.tx_id for t in court.transactions]
    place = Included(commitment=court.sign(court.sequencer, court.commitment()), position=position_of(tx_ids, 0))
    assert freed(question, place, court.committees) == asked.parties
    assert rule_of(freed, question, replace(place, position=position_of(tx_ids, 1)), court.committees) == "EVD-9"
    root = UnsignedTransaction.codec().field_root(court.unsigned[0], "ciphertext")
    needed = alice.gas_limit * alice.max_fee_per_gas
    for height, account, answers in (
        (10, (1, needed), True),
        (10, (0, needed - 1), True),
        (10, (0, needed), False),
        (9, (1, needed), False),
    ):
        state = court.state({alice.sender: account})
        commitment = court.commitment(height=height, executed_height=height - 1, state_root=state.root)
        answer = Inadmissible(
            commitment=court.sign(court.sequencer, commitment),
            header=alice,
            ciphertext_root=root,
            accounts=accounts_of(state, alice.sender),
        )
        if answers:
            assert freed(question, answer, court.committees) == asked.parties
        else:
            assert rule_of(freed, question, answer, court.committees) == "EVD-12"


def test_receipt_of_a_sequencer_that_was_replaced_asks_nobody_evd_12(court):
    start = court.successor.key_set.start_height
    committees = (court.committee, court.successor)
    assert due(promise(court, include_by_height=start - 1), committees).parties == (court.sequencer.address,)
    assert rule_of(due, promise(court, include_by_height=start), committees) == "EVD-12"


def test_open_inbox_entry_is_answered_by_a_commitment_that_settles_it_evd_13(court):
    genesis = court.committee.genesis
    deadlines = replace(genesis.deadlines, force_l1_blocks=10, l1_depth=2, l1_lag_blocks=5)
    committee = replace(court.committee, genesis=replace(genesis, deadlines=deadlines))
    root = committee.terms.genesis_root

    def signed(**changes: Any) -> Any:
        return court.sign(court.sequencer, court.commitment(inbox_index=3, **changes), genesis_root=root)

    question = ForcedQuestion(commitment=signed(), l1_block=100)
    asked = due(question, [committee])
    assert (asked.rule, asked.parties, asked.l1_block) == ("FRC-5", (court.sequencer.address,), 117)
    later = court.sign(court.sequencer, court.commitment(height=8, inbox_index=4), genesis_root=root)
    assert freed(question, Settled(commitment=later), [committee]) == asked.parties
    assert rule_of(freed, question, Settled(commitment=signed(height=8)), [committee]) == "EVD-13"
    none = ForcedQuestion(commitment=court.sign(court.sequencer, court.commitment()), l1_block=100)
    assert rule_of(due, none, court.committees) == "EVD-13"


def test_batch_is_opened_by_its_reveal_for_everybody_evd_14(court):
    question, committee = overdue(court), court.committee
    asked = due(question, court.committees)
    assert (asked.rule, asked.l1_block) == ("REV-2", 128)
    assert asked.parties == tuple(member.address for member in court.members[:3])
    commitment = court.commitment()
    batch = Batch(
        key_id=commitment.key_id,
        height=commitment.height,
        round=commitment.round,
        entries=committee.verify_ciphertexts(court.transactions),
    )
    shares = [Share(member=index, data=court.data(index)) for index in (1, 2, 3)]
    batch_key, _ = committee.scheme.combine(committee.public_key, batch, shares, committee.precompute(batch))
    reveal = Reveal(commitment_root=commitment.root, batch_key=batch_key.encode(), positions=())
    opening = Opening(reveal=reveal, transactions=court.unsigned)
    assert freed(question, opening, court.committees) == asked.parties
    other = replace(batch_key, value=bytes(len(batch_key.value))).encode()
    for wrong in (
        replace(opening, reveal=replace(reveal, commitment_root=bytes(32))),
        replace(opening, reveal=replace(reveal, batch_key=other)),
        replace(opening, reveal=replace(reveal, batch_key=b"")),
        replace(opening, transactions=court.unsigned[::-1]),
    ):
        assert rule_of(freed, question, wrong, court.committees)


def test_member_frees_itself_by_its_share_its_abstention_or_its_successor_evd_14(court):
    question, first, height = overdue(court), court.members[0], court.commitment().height
    abstention = court.sign(first, Abstain(committee_id=court.committee.committee_id, height=height))
    successor = replace(court.successor.key_set, start_height=height)
    for answer in (
        Released(share=court.sign(first, court.share())),
        Abstained(abstention=abstention),
        HandedOver(successor=court.sign(first, successor)),
    ):
        assert freed(question, answer, court.committees) == (first.address,)
    for answer, rule in (
        (Released(share=court.sign(first, court.share(round=9))), "EVD-14"),
        (Released(share=court.sign(court.members[3], court.share(4))), "EVD-14"),
        (Abstained(abstention=court.sign(first, replace(abstention.message, height=height + 1))), "EVD-14"),
        (HandedOver(successor=court.sign(first, court.successor.key_set)), "EVD-14"),
        (Certified(certificate=question.certificate), "EVD-1"),
    ):
        assert rule_of(freed, question, answer, court.committees) == rule


def test_share_asks_for_its_certificate_and_convicts_by_no_other_evd_6(court):
    """A member signs its share alone: what stands beside it in a release is nobody's word."""
    commitment = court.commitment()
    share = court.sign(court.members[0], court.share(data=b""))
    question = CertificateQuestion(share=share)
    assert due(question, court.committees).parties == (court.members[0].address,)
    good = certificate(court, commitment)
    assert freed(question, Certified(certificate=good), court.committees) == (court.members[0].address,)
    forged = (
        replace(good, signatures=good.signatures[:2]),
        replace(good, signatures=good.signatures[::-1]),
        replace(good, signatures=()),
        certificate(court, court.commitment(timestamp_ms=9)),
    )
    for other in forged:
        assert rule_of(freed, question, Certified(certificate=other), court.committees) in ("CRT-3", "EVD-6")
        release = ShareRelease(share=share, certificate=other)
        assert release.share == share  # an accuser could make it of an honest member's message
    assert rule_of(due, CertificateQuestion(share=replace(share, signature=bytes(65))), court.committees) == "SIG-1"
