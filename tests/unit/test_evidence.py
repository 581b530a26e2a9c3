"""Evidence: what convicts whom, and everything next to it that convicts nobody.

Real keys and signatures. Whatever is changed on the way must not turn against an honest party.

Holds EVD-1 to EVD-5, EVD-7 to EVD-11, EVD-16 and EVD-17 of specs/evidence.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import pytest

from encmempool.errors import Malformed, Rejected
from encmempool.evidence import (
    ConflictingCommitments,
    ConflictingReceipts,
    ConflictingShares,
    ConflictingSuccessors,
    ConflictingVotes,
    Evidence,
    EvidenceKind,
    Misbehaviour,
    ShareAfterSuccessor,
    ShareAndAbstention,
    WrongShare,
    examine,
)
from encmempool.exhibits import accounts_of, entry_of
from encmempool.faults import InvalidBatch, InvalidCommitment, InvalidEntry, RepeatedEntry
from encmempool.keysets import sign_key_set
from encmempool.ssz import SszObject
from encmempool.types import Abstain, BatchList, OrderCommitment, SignedShare
from threshold.entropy import deterministic

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HEIGHT = 7


def two_commitments(court: Any) -> ConflictingCommitments:
    return ConflictingCommitments(
        first=court.sign(court.sequencer, court.commitment()),
        second=court.sign(court.sequencer, court.commitment(timestamp_ms=1_700_000_000_001)),
    )


def two_receipts(court: Any) -> ConflictingReceipts:
    return ConflictingReceipts(
        first=court.sign(court.sequencer, court.receipt()),
        second=court.sign(court.sequencer, court.receipt(tx_id=court.transactions[1].tx_id)),
    )


def two_votes(court: Any, member: int = 1) -> ConflictingVotes:
    signer = court.members[member - 1]
    return ConflictingVotes(
        first=court.sign(signer, court.vote()), second=court.sign(signer, court.vote(commitment_root=b"\x04" * 32))
    )


def two_shares(court: Any, member: int = 1) -> ConflictingShares:
    signer = court.members[member - 1]
    return ConflictingShares(
        first=court.sign(signer, court.share(member)),
        second=court.sign(signer, court.share(member, commitment_root=b"\x04" * 32)),
    )


def two_shares_in_a_round(court: Any, **changes: Any) -> ConflictingShares:
    named = {"committee_id": court.limited.committee_id, "data": b""}
    later = {"height": HEIGHT + 1, "commitment_root": b"\x04" * 32} | changes
    return ConflictingShares(
        first=court.sign(court.members[0], court.share(**named)),
        second=court.sign(court.members[0], court.share(**named | later)),
    )


def share_and_abstention(court: Any, **changes: Any) -> ShareAndAbstention:
    abstention = Abstain(committee_id=court.committee.committee_id, height=HEIGHT)
    return ShareAndAbstention(
        share=court.sign(court.members[0], court.share(data=b"")),
        abstention=court.sign(court.members[0], replace(abstention, **changes)),
    )


def two_successors(court: Any, **changes: Any) -> ConflictingSuccessors:
    key_set = court.successor.key_set
    return ConflictingSuccessors(
        first=court.sign(court.members[0], key_set),
        second=court.sign(court.members[0], replace(key_set, **{"start_height": HEIGHT + 30} | changes)),
    )


def share_after_successor(court: Any, **changes: Any) -> ShareAfterSuccessor:
    start = court.successor.key_set.start_height
    return ShareAfterSuccessor(
        successor=court.sign(court.members[0], court.successor.key_set),
        share=court.sign(court.members[0], court.share(**{"height": start, "data": b""} | changes)),
    )


def invalid_commitment(court: Any) -> InvalidCommitment:
    parent = court.commitment(height=HEIGHT - 1, executed_height=HEIGHT - 2, timestamp_ms=1_700_000_000_001)
    commitment = court.commitment(parent=parent.root, round=4)
    return InvalidCommitment(commitment=court.sign(court.sequencer, commitment), parent=(parent,))


def invalid_entry(court: Any) -> InvalidEntry:
    state = court.state({court.transactions[0].header.sender: (0, 1)})
    commitment = court.commitment(state_root=state.root)
    return InvalidEntry(
        commitment=court.sign(court.sequencer, commitment),
        entries=(entry_of(court.unsigned, 0),),
        accounts=accounts_of(state, court.transactions[0].header.sender),
    )


def repeated_entry(court: Any) -> RepeatedEntry:
    parent = court.commitment(height=HEIGHT - 1)
    batch = BatchList(tx_ids=(court.unsigned[1].tx_id,))
    commitment = court.commitment(parent=parent.root, batch_root=batch.root, count=1, round=4)
    return RepeatedEntry(
        commitment=court.sign(court.sequencer, commitment),
        ancestors=(parent,),
        entry=entry_of(court.unsigned[1:], 0),
        earlier=entry_of(court.unsigned, 1),
    )


def invalid_batch(court: Any) -> InvalidBatch:
    return InvalidBatch(
        commitment=court.sign(court.sequencer, court.commitment()),
        parent=(),
        transactions=court.unsigned,
        receipts=tuple(
            court.sign(court.sequencer, court.receipt(tx_id=transaction.tx_id, sequence=9 - at))
            for at, transaction in enumerate(court.unsigned)
        ),
        accounts=(),
    )


GUILTY = {
    "commitments": two_commitments,
    "receipts": two_receipts,
    "votes": two_votes,
    "shares": two_shares,
    "wrong-share": lambda court: court.wrong_share(),
    "round": two_shares_in_a_round,
    "share-and-abstention": share_and_abstention,
    "successors": two_successors,
    "share-after-successor": share_after_successor,
    "commitment": invalid_commitment,
    "entry": invalid_entry,
    "repeated": repeated_entry,
    "batch": invalid_batch,
}
PAIRS = ("commitments", "receipts", "votes", "shares")
EXPECTED = {
    "commitments": (EvidenceKind.CONFLICTING_COMMITMENTS, "SEQ-3", "sequencer", HEIGHT),
    "receipts": (EvidenceKind.CONFLICTING_RECEIPTS, "SEQ-2", "sequencer", 5),
    "votes": (EvidenceKind.CONFLICTING_VOTES, "VOT-10", "member", HEIGHT),
    "shares": (EvidenceKind.CONFLICTING_SHARES, "SHR-2", "member", HEIGHT),
    "wrong-share": (EvidenceKind.WRONG_SHARE, "REV-2", "member", HEIGHT),
    "round": (EvidenceKind.CONFLICTING_SHARES, "SHR-2", "member", HEIGHT + 1),
    "share-and-abstention": (EvidenceKind.SHARE_AND_ABSTENTION, "SHR-2", "member", HEIGHT),
    "successors": (EvidenceKind.CONFLICTING_SUCCESSORS, "KEY-10", "member", HEIGHT + 20),
    "share-after-successor": (EvidenceKind.SHARE_AFTER_SUCCESSOR, "KEY-10", "member", HEIGHT + 20),
    "commitment": (EvidenceKind.INVALID_COMMITMENT, "VOT-9", "sequencer", HEIGHT),
    "entry": (EvidenceKind.INVALID_ENTRY, "VOT-5", "sequencer", HEIGHT),
    "repeated": (EvidenceKind.REPEATED_ENTRY, "VOT-4", "sequencer", HEIGHT),
    "batch": (EvidenceKind.INVALID_BATCH, "VOT-6", "sequencer", HEIGHT),
}
"""EVD-2 to EVD-5, EVD-7, EVD-8, EVD-16 and EVD-17."""


def turned(pair: Any) -> Any:
    return replace(pair, first=pair.second, second=pair.first)


@pytest.mark.parametrize("kind", GUILTY)
def test_misbehaviour_convicts_who_signed_it_evd_1(court, kind):
    """EVD-2, EVD-3, EVD-4, EVD-5, EVD-7, EVD-8, EVD-16, EVD-17."""
    finding = court.examine(GUILTY[kind](court))
    assert (finding.kind, finding.rule, finding.role, finding.height) == EXPECTED[kind]
    offender = court.sequencer if finding.role == "sequencer" else court.members[0]
    assert finding.offender == offender.address
    assert finding.member == (None if finding.role == "sequencer" else 1)


@pytest.mark.parametrize("kind", PAIRS)
def test_order_of_the_two_messages_does_not_matter(court, kind):
    shown = GUILTY[kind](court)
    assert court.examine(turned(shown)) == court.examine(shown)


@pytest.mark.parametrize("member", [2, 3, 4])
@pytest.mark.parametrize("make", [two_votes, two_shares])
def test_member_is_named_by_its_number(court, make, member):
    finding = court.examine(make(court, member))
    assert (finding.member, finding.offender) == (member, court.members[member - 1].address)


def test_wrong_share_of_the_control_scheme_convicts(make_committee, network, court, encrypt, alice):
    dealt = make_committee(network, "clear")
    other = replace(
        court,
        committee=dealt.committee,
        successor=dealt.committee,
        shares=dealt.shares,
        transactions=(encrypt(dealt.committee, alice),),
    )
    assert other.examine(other.wrong_share(other.share(2, data=b"\x01"))).member == 2
    assert other.refusal(other.wrong_share(other.share(2, data=b""))) == "EVD-7"


@pytest.mark.parametrize("data", [b"", b"\x00", bytes(144), b"\xff" * 288], ids=["none", "a-byte", "zeros", "ones"])
def test_share_that_is_no_share_at_all_convicts_evd_7(court, data):
    assert court.examine(court.wrong_share(court.share(3, data=data))).member == 3


def test_receipts_of_a_later_sequencer_convict_that_one_evd_3(court):
    signer = court.second_sequencer
    pair = ConflictingReceipts(
        first=court.sign(signer, court.receipt()), second=court.sign(signer, court.receipt(received_at_ms=9))
    )
    assert court.examine(pair).offender == signer.address


def test_commitments_are_judged_by_the_sequencer_of_their_committee_evd_2(court):
    later = {"committee_id": court.successor.committee_id}
    pairs = {
        signer: ConflictingCommitments(
            first=court.sign(signer, court.commitment(**later)),
            second=court.sign(signer, court.commitment(**later, timestamp_ms=9)),
        )
        for signer in (court.sequencer, court.second_sequencer)
    }
    assert court.examine(pairs[court.second_sequencer]).offender == court.second_sequencer.address
    assert court.refusal(pairs[court.sequencer]) == "EVD-2"


# --- what is changed on the way --------------------------------------------------------------------------------------


def changed(value: Any) -> Iterator[tuple[str, Any]]:
    """The value with any one thing in it changed, and where that is."""
    if isinstance(value, SszObject):
        for field in fields(value):
            for where, other in changed(getattr(value, field.name)):
                yield f"{field.name}.{where}", replace(value, **{field.name: other})
    elif isinstance(value, tuple):
        if value:
            yield "without-the-last", value[:-1]
            yield "twice-the-first", (value[0], *value)
        if value != value[::-1]:
            yield "turned", value[::-1]
        for at, item in enumerate(value):
            for where, other in changed(item):
                yield f"{at}.{where}", (*value[:at], other, *value[at + 1 :])
    elif isinstance(value, bytes):
        for at in {0, len(value) // 2, len(value) - 1} if value else ():
            yield f"byte-{at}", value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    else:
        yield "number", value ^ 1


@pytest.mark.parametrize("kind", GUILTY)
def test_changed_evidence_convicts_nobody(court, kind):
    shown = GUILTY[kind](court)
    assert court.examine(shown)
    tried = 0
    for where, other in encodable(shown):
        tried += 1
        assert court.refusal(other), where
    assert tried >= 14


def encodable(shown: Misbehaviour) -> Iterator[tuple[str, Misbehaviour]]:
    for where, other in changed(shown):
        with suppress(ValueError):
            _ = other.encoded
            yield where, other


def innocent(court: Any, kind: str) -> Misbehaviour:
    """What an honest party signs, as an accuser could put it together."""
    match kind:
        case "commitments":
            following = court.commitment(height=HEIGHT + 1, parent=court.commitment().root)
            signed = [court.sign(court.sequencer, message) for message in (court.commitment(), following)]
            return ConflictingCommitments(first=signed[0], second=signed[1])
        case "receipts":
            signed = [court.sign(court.sequencer, court.receipt(sequence=sequence)) for sequence in (5, 6)]
            return ConflictingReceipts(first=signed[0], second=signed[1])
        case "votes":
            signed = [court.sign(court.members[0], court.vote(height=height)) for height in (HEIGHT, HEIGHT + 1)]
            return ConflictingVotes(first=signed[0], second=signed[1])
        case "shares":
            messages = court.share(), court.share(height=HEIGHT + 1, commitment_root=b"\x04" * 32)
            signed = [court.sign(court.members[0], message) for message in messages]
            return ConflictingShares(first=signed[0], second=signed[1])
        case "round":
            return two_shares_in_a_round(court, round=4)
        case "share-and-abstention":
            return share_and_abstention(court, height=HEIGHT + 1)
        case "successors":
            return two_successors(court, predecessor=court.successor.committee_id)
        case "share-after-successor":
            return share_after_successor(court, height=court.successor.key_set.start_height - 1)
        case "commitment":
            parent = court.commitment(height=HEIGHT - 1, executed_height=HEIGHT - 2)
            commitment = court.commitment(parent=parent.root, round=4)
            return InvalidCommitment(commitment=court.sign(court.sequencer, commitment), parent=(parent,))
        case "entry":
            state = court.state({court.transactions[0].header.sender: (0, 10**18)})
            shown = invalid_entry(court)
            return replace(
                shown,
                commitment=court.sign(court.sequencer, court.commitment(state_root=state.root)),
                accounts=accounts_of(state, court.transactions[0].header.sender),
            )
        case "repeated":
            shown = repeated_entry(court)
            parent = court.commitment(
                height=HEIGHT - 1, batch_root=BatchList(tx_ids=(court.unsigned[0].tx_id,)).root, count=1
            )
            commitment = replace(shown.commitment.message, parent=parent.root)
            return replace(
                shown,
                commitment=court.sign(court.sequencer, commitment),
                ancestors=(parent,),
                earlier=entry_of(court.unsigned[:1], 0),
            )
        case "batch":
            shown = invalid_batch(court)
            receipts = [
                court.sign(court.sequencer, court.receipt(tx_id=transaction.tx_id, sequence=at))
                for at, transaction in enumerate(court.unsigned)
            ]
            return replace(shown, receipts=tuple(receipts))
    return court.wrong_share(court.share())


@pytest.mark.parametrize("kind", GUILTY)
def test_honest_messages_convict_nobody_whatever_is_changed(court, kind):
    shown = innocent(court, kind)
    assert court.refusal(shown) in ("EVD-2", "EVD-3", "EVD-4", "EVD-5", "EVD-7", "EVD-8", "EVD-16", "EVD-17")
    for where, other in encodable(shown):
        assert court.refusal(other), where


@pytest.mark.parametrize("kind", PAIRS)
def test_one_message_twice_convicts_nobody(court, kind):
    shown = GUILTY[kind](court)
    for message in (shown.first, shown.second):
        assert court.refusal(replace(shown, first=message, second=message)) in ("EVD-2", "EVD-3", "EVD-4", "EVD-5")


def second_form(signed: Any) -> Any:
    """The same signature as anybody can write it once more: -s, and the other parity."""
    r, s, v = signed.signature[:32], signed.signature[32:64], signed.signature[64]
    other = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    return replace(signed, signature=r + other + bytes([55 - v]))


@pytest.mark.parametrize("kind", PAIRS)
def test_second_form_of_a_signature_is_no_second_message_evd_10(court, kind):
    shown = GUILTY[kind](court)
    assert court.refusal(replace(shown, second=second_form(shown.first))) in ("EVD-2", "EVD-3", "EVD-4", "EVD-5")
    for part in ("first", "second"):
        assert court.refusal(replace(shown, **{part: second_form(getattr(shown, part))})) == "SIG-1"


@pytest.mark.parametrize("part", ["share", "commitment"])
def test_second_form_of_a_signature_in_a_wrong_share_is_refused_evd_10(court, part):
    shown = court.wrong_share()
    assert court.refusal(replace(shown, **{part: second_form(getattr(shown, part))})) == "SIG-1"


# --- other networks, committees, members -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PAIRS)
def test_messages_of_another_network_convict_nobody(court, kind):
    shown = GUILTY[kind](court)
    signer = court.sequencer if kind in ("commitments", "receipts") else court.members[0]
    elsewhere = [court.sign(signer, each.message, genesis_root=b"\x09" * 32) for each in (shown.first, shown.second)]
    for first, second in (elsewhere, (shown.first, elsewhere[1]), (elsewhere[0], shown.second)):
        assert court.refusal(replace(shown, first=first, second=second)) in ("EVD-2", "EVD-3", "EVD-11")


@pytest.mark.parametrize("kind", ["commitments", "votes"])
def test_messages_of_two_committees_convict_nobody(court, kind):
    """A member of both votes in each."""
    shown = GUILTY[kind](court)
    signer = court.sequencer if kind == "commitments" else court.members[0]
    second = court.sign(signer, replace(shown.second.message, committee_id=court.successor.committee_id))
    assert court.refusal(replace(shown, second=second)) in ("EVD-2", "EVD-4")


@pytest.mark.parametrize("make", [two_shares, two_shares_in_a_round, share_and_abstention])
def test_member_of_two_committees_with_one_key_shares_it_once_evd_5(court, make):
    """EVD-17. A key shared anew is the same key; what is under another key counts for itself."""
    shown = make(court)
    part = "abstention" if hasattr(shown, "abstention") else "second"
    committee = court.successor if make is not two_shares_in_a_round else court.limited

    def under(committee: Any) -> Misbehaviour:
        message = replace(getattr(shown, part).message, committee_id=committee.committee_id)
        return replace(shown, **{part: court.sign(court.members[0], message)})

    assert court.examine(under(committee)).rule == "SHR-2"
    other = replace(court.successor, signed=sign_key_set(replace(court.successor.key_set, key_id=b"\x07" * 32), []))
    with pytest.raises(Rejected) as caught:
        examine(Evidence.of(under(other)), (*court.committees, other))
    assert caught.value.rule in ("EVD-5", "EVD-17")


def test_shares_in_one_round_of_a_key_without_rounds_convict_nobody_evd_17(court):
    shown = two_shares_in_a_round(court)
    unlimited = [
        court.sign(court.members[0], replace(signed.message, committee_id=court.committee.committee_id))
        for signed in (shown.first, shown.second)
    ]
    assert court.refusal(ConflictingShares(first=unlimited[0], second=unlimited[1])) == "EVD-5"


@pytest.mark.parametrize("make", [two_successors, share_after_successor])
def test_successor_with_others_signatures_convicts_nobody_evd_16(court, make):
    """Whoever collects signatures could put them together in any way."""
    shown = make(court)
    for part in ("first", "second") if make is two_successors else ("successor",):
        signed = getattr(shown, part)
        others = court.sign(court.members[1], signed.message).signatures
        for signatures in ((), signed.signatures * 2, signed.signatures + others):
            assert court.refusal(replace(shown, **{part: replace(signed, signatures=signatures)})) == "EVD-16"
        assert court.refusal(replace(shown, **{part: replace(signed, signatures=others)})) == "EVD-16"


@pytest.mark.parametrize("kind", ["commitments", "votes", "shares", "wrong-share"])
def test_committee_that_the_network_does_not_have_is_refused_evd_1(court, kind):
    shown, committees = GUILTY[kind](court), (court.successor,)
    with pytest.raises(Rejected) as caught:
        examine(Evidence.of(shown), committees)
    assert caught.value.rule == "EVD-1"


@pytest.mark.parametrize(("make", "rule"), [(two_votes, "EVD-4"), (two_shares, "EVD-5")])
def test_messages_of_two_members_convict_neither(court, make, rule):
    shown = replace(make(court, 1), second=make(court, 2).second)
    assert court.refusal(shown) == rule


@pytest.mark.parametrize("kind", PAIRS)
def test_messages_that_a_stranger_signed_convict_nobody_evd_11(court, kind, alice):
    shown = GUILTY[kind](court)
    forged = [court.sign(alice, each.message) for each in (shown.first, shown.second)]
    for first, second in (forged, (shown.first, forged[1]), (forged[0], shown.second)):
        assert court.refusal(replace(shown, first=first, second=second)) in ("EVD-2", "EVD-3", "EVD-11")


def test_receipts_of_two_sequencers_with_one_sequence_convict_neither_evd_3(court):
    """Each counts for itself."""
    shown = ConflictingReceipts(
        first=court.sign(court.sequencer, court.receipt()),
        second=court.sign(court.second_sequencer, court.receipt(received_at_ms=9)),
    )
    assert court.refusal(shown) == "EVD-3"


def test_shares_that_differ_in_their_data_alone_do_not_convict_evd_5(court):
    """One of them may be right: the wrong one convicts by itself."""
    signer = court.members[0]
    shown = ConflictingShares(
        first=court.sign(signer, court.share()), second=court.sign(signer, court.share(data=b"other"))
    )
    assert court.refusal(shown) == "EVD-5"


# --- wrong shares ----------------------------------------------------------------------------------------------------


def test_right_share_convicts_nobody_evd_7(court):
    for member in (1, 2, 3, 4):
        assert court.refusal(court.wrong_share(court.share(member))) == "EVD-7"


def test_share_that_its_member_did_not_sign_convicts_nobody_evd_11(court, alice):
    """Anybody can change a raw share."""
    wrong = court.share(data=b"wrong")
    for signer in (alice, court.sequencer, court.members[1]):
        assert court.refusal(court.wrong_share(wrong, signer)) == "EVD-11"
    shown = court.wrong_share()
    unsigned = replace(shown, share=SignedShare(message=wrong, signature=bytes(65)))
    assert court.refusal(unsigned) == "SIG-1"
    exchanged = replace(shown, share=replace(court.wrong_share(court.share()).share, message=wrong))
    assert court.refusal(exchanged) == "EVD-11"


def test_share_signed_in_anothers_name_convicts_neither_evd_11(court):
    assert court.refusal(court.wrong_share(court.share(2), court.members[0])) == "EVD-11"
    for member in (0, 5, 2**16 - 1):
        named = replace(court.share(data=b""), member=member)
        assert court.refusal(court.wrong_share(named, court.members[0])) == "EVD-11"


def test_right_share_next_to_another_batch_convicts_nobody_evd_7(court, encrypt, alice):
    """Member 1 made it for the batch that its commitment names, and for no other."""
    shown = court.wrong_share(court.share())
    another = encrypt(court.committee, alice, random=deterministic(b"another"))
    batches = ((), shown.transactions[:1], shown.transactions[::-1], (another, shown.transactions[1]))
    for transactions in batches:
        assert court.refusal(replace(shown, transactions=transactions)) == "EVD-7"


def test_share_that_names_another_height_than_its_commitment_is_refused_evd_7(court):
    assert court.refusal(court.wrong_share(court.share(height=HEIGHT + 1, data=b"wrong"))) == "EVD-7"


def other_commitments(court: Any) -> Iterator[OrderCommitment]:
    yield court.commitment(timestamp_ms=9)
    yield court.commitment(height=HEIGHT + 1)
    yield court.commitment(round=9)
    yield court.commitment(batch_root=BatchList(tx_ids=(court.transactions[0].tx_id,)).root)


def test_right_share_next_to_another_commitment_convicts_nobody_evd_7(court):
    shown = court.wrong_share(court.share())
    for commitment in other_commitments(court):
        assert court.refusal(replace(shown, commitment=court.sign(court.sequencer, commitment))) == "EVD-7"


def test_commitment_that_the_sequencer_did_not_sign_shows_nothing_evd_7(court, alice):
    shown = court.wrong_share()
    for signer in (alice, court.members[0], court.second_sequencer):
        commitment = court.sign(signer, shown.commitment.message)
        assert court.refusal(replace(shown, commitment=commitment)) == "EVD-7"


@pytest.mark.parametrize(
    "changes",
    [{"key_id": b"\x01" * 32}, {"committee_id": b"\x01" * 32}, {"batch_root": BatchList(tx_ids=()).root, "count": 0}],
    ids=["another-key", "another-committee", "an-empty-batch"],
)
@pytest.mark.parametrize("recorded", [False, True])
def test_share_for_a_commitment_that_has_none_is_refused_evd_7(court, changes, recorded):
    """Sequencer and member sign what no honest party does. Whoever judges it must not stumble."""
    commitment = court.commitment(**changes)
    shown = WrongShare(
        share=court.sign(court.members[0], court.share(commitment_root=commitment.root)),
        commitment=court.sign(court.sequencer, commitment),
        transactions=() if "count" in changes else court.transactions,
    )
    assert court.refusal(shown, recorded=recorded) == "EVD-7"


def test_batch_with_a_ciphertext_that_is_none_is_refused(court, seal_envelope, alice):
    """Nobody makes a share for it, so that none can be right."""
    bad = seal_envelope(court.committee.terms, alice)
    batch_root = BatchList(tx_ids=(bad.tx_id,)).root
    commitment = court.commitment(batch_root=batch_root, count=1)
    shown = WrongShare(
        share=court.sign(court.members[0], court.share(commitment_root=commitment.root)),
        commitment=court.sign(court.sequencer, commitment),
        transactions=(bad,),
    )
    assert court.refusal(shown)


def test_own_record_is_read_again_without_the_check_of_its_batch_but_not_without_its_signatures(court, monkeypatch):
    shown = court.wrong_share()
    verdict = court.examine(shown)
    monkeypatch.setattr(type(court.committee.scheme), "verify_share", None)
    assert court.examine(shown, recorded=True) == verdict
    forged = court.wrong_share(shown.share.message, court.members[1])
    assert court.refusal(forged, recorded=True) == "EVD-11"


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 13, 14, 255])
def test_kind_that_nobody_knows_is_refused_evd_1(court, kind):
    assert court.refusal(Evidence(kind=kind, body=two_votes(court).encoded)) == "EVD-1"


@pytest.mark.parametrize("kind", GUILTY)
def test_body_under_another_kind_convicts_nobody(court, kind):
    evidence = Evidence.of(GUILTY[kind](court))
    for other in EvidenceKind:
        if other != evidence.kind:
            assert court.refusal(replace(evidence, kind=int(other)))


@pytest.mark.parametrize("kind", GUILTY)
def test_evidence_with_other_bytes_around_or_missing_convicts_nobody(court, kind):
    evidence = Evidence.of(GUILTY[kind](court))
    bodies = (b"", evidence.body[:-1], evidence.body[:100], evidence.body + b"\0", b"\0" + evidence.body)
    for body in bodies:
        assert court.refusal(replace(evidence, body=body))
    for data in (evidence.encoded + b"\0", evidence.encoded[:-1], b""):
        with pytest.raises((Malformed, Rejected)):
            examine(Evidence.decode(data), court.committees)


@pytest.mark.parametrize("kind", GUILTY)
def test_evidence_survives_its_encoding(court, kind):
    shown = GUILTY[kind](court)
    evidence = Evidence.of(shown)
    assert Evidence.decode(evidence.encoded).open() == shown
    assert EvidenceKind(evidence.kind).text == court.examine(shown).kind.text


def test_verdict_depends_on_evidence_and_key_sets_alone_evd_1(court):
    """Asked again, and of whoever has more key sets or has them in another order."""
    for make in GUILTY.values():
        evidence = Evidence.of(make(court))
        verdicts = {
            examine(evidence, committees) for committees in (court.committees, court.committees[::-1], court.committees)
        }
        assert len(verdicts) == 1


def test_same_misbehaviour_shown_twice_has_one_subject(court):
    votes = two_votes(court)
    again = replace(votes, second=court.sign(court.members[0], court.vote(round=9)))
    assert court.examine(votes).subject == court.examine(again).subject
    assert court.examine(votes).subject != court.examine(two_votes(court, 2)).subject
