"""Evidence: what convicts whom, and everything next to it that convicts nobody.

Real keys and signatures. Whatever is changed on the way must not turn against an honest party.

Holds EVD-1 to EVD-5, EVD-7, EVD-10 and EVD-11 of specs/evidence.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from encmempool.errors import Malformed, Rejected
from encmempool.evidence import (
    ConflictingCommitments,
    ConflictingReceipts,
    ConflictingShares,
    ConflictingVotes,
    Evidence,
    EvidenceKind,
    Finding,
    Misbehaviour,
    WrongShare,
    examine,
)
from encmempool.identity import Identity
from encmempool.keysets import Committee, public_material, successor_key_set
from encmempool.ssz import SszObject
from encmempool.types import (
    BatchList,
    DecryptionShare,
    OrderCommitment,
    Receipt,
    SignedCommitment,
    SignedReceipt,
    SignedShare,
    SignedVote,
    Vote,
    signing_digest,
)
from threshold.entropy import deterministic
from threshold.schemes.base import Batch

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HEIGHT = 7
SIGNED = {
    OrderCommitment: SignedCommitment,
    Receipt: SignedReceipt,
    Vote: SignedVote,
    DecryptionShare: SignedShare,
}


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
    def committees(self) -> tuple[Committee, ...]:
        return self.committee, self.successor

    def examine(self, shown: Misbehaviour | Evidence, **options: Any) -> Finding:
        """As it arrives: from bytes."""
        evidence = shown if isinstance(shown, Evidence) else Evidence.of(shown)
        return examine(Evidence.decode(evidence.encoded), self.committees, **options)

    def refusal(self, shown: Misbehaviour | Evidence, **options: Any) -> str:
        with pytest.raises((Malformed, Rejected)) as caught:
            self.examine(shown, **options)
        return getattr(caught.value, "rule", "malformed")

    def sign(self, signer: Identity, message: Any, *, genesis_root: bytes | None = None) -> Any:
        root = self.committee.genesis.root if genesis_root is None else genesis_root
        return SIGNED[type(message)](message=message, signature=signer.sign(signing_digest(message, root)))

    def commitment(self, **changes: Any) -> OrderCommitment:
        tx_ids = tuple(transaction.tx_id for transaction in self.transactions)
        key_set = self.committee.key_set
        usual = OrderCommitment(
            height=HEIGHT,
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
            executed_height=HEIGHT - 1,
            state_root=b"\x02" * 32,
        )
        return replace(usual, **changes)

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
            transactions=self.transactions,
        )


@pytest.fixture(scope="module")
def court(dealt, sequencer, alice, bob, encrypt, signed_by) -> Court:
    committee = dealt.committee
    second = Identity(b"\x05" * 32)
    key_set = successor_key_set(
        committee.key_set,
        public_material(committee.key_set),
        members=committee.key_set.members,
        start=(HEIGHT + 20, b"\x03" * 32, 4),
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


def two_commitments(court: Court) -> ConflictingCommitments:
    return ConflictingCommitments(
        first=court.sign(court.sequencer, court.commitment()),
        second=court.sign(court.sequencer, court.commitment(timestamp_ms=1_700_000_000_001)),
    )


def two_receipts(court: Court) -> ConflictingReceipts:
    return ConflictingReceipts(
        first=court.sign(court.sequencer, court.receipt()),
        second=court.sign(court.sequencer, court.receipt(tx_id=court.transactions[1].tx_id)),
    )


def two_votes(court: Court, member: int = 1) -> ConflictingVotes:
    signer = court.members[member - 1]
    return ConflictingVotes(
        first=court.sign(signer, court.vote()), second=court.sign(signer, court.vote(commitment_root=b"\x04" * 32))
    )


def two_shares(court: Court, member: int = 1) -> ConflictingShares:
    signer = court.members[member - 1]
    return ConflictingShares(
        first=court.sign(signer, court.share(member)),
        second=court.sign(signer, court.share(member, commitment_root=b"\x04" * 32)),
    )


GUILTY = {
    "commitments": two_commitments,
    "receipts": two_receipts,
    "votes": two_votes,
    "shares": two_shares,
    "wrong-share": lambda court: court.wrong_share(),
}
PAIRS = ("commitments", "receipts", "votes", "shares")
EXPECTED = {
    "commitments": (EvidenceKind.COMMITMENTS, "SEQ-3", "sequencer", HEIGHT),
    "receipts": (EvidenceKind.RECEIPTS, "SEQ-2", "sequencer", 5),
    "votes": (EvidenceKind.VOTES, "VOT-10", "member", HEIGHT),
    "shares": (EvidenceKind.SHARES, "SHR-2", "member", HEIGHT),
    "wrong-share": (EvidenceKind.WRONG_SHARE, "REV-2", "member", HEIGHT),
}
"""EVD-2, EVD-3, EVD-4, EVD-5 and EVD-7."""


def turned(pair: Any) -> Any:
    return replace(pair, first=pair.second, second=pair.first)


@pytest.mark.parametrize("kind", GUILTY)
def test_misbehaviour_convicts_who_signed_it_evd_1(court, kind):
    """EVD-2, EVD-3, EVD-4, EVD-5, EVD-7."""
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
        yield "without-the-last", value[:-1]
        yield "turned", value[::-1]
        yield "twice-the-first", (value[0], *value)
        for at, item in enumerate(value):
            for where, other in changed(item):
                yield f"{at}.{where}", (*value[:at], other, *value[at + 1 :])
    elif isinstance(value, bytes):
        for at in {0, len(value) // 2, len(value) - 1}:
            yield f"byte-{at}", value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    else:
        yield "number", value ^ 1


@pytest.mark.parametrize("kind", GUILTY)
def test_changed_evidence_convicts_nobody(court, kind):
    """But for the senders' signatures, which neither the batch's root nor a share depends on: these are looked at in no
    judgement, and its verdict stays the same."""
    shown = GUILTY[kind](court)
    verdict, tried = court.examine(shown), 0
    for where, other in changed(shown):
        if kind == "wrong-share" and ".signature." in where and where.startswith("transactions."):
            assert court.examine(other) == verdict
            continue
        tried += 1
        assert court.refusal(other), where
    assert tried >= 18


def innocent(court: Court, kind: str) -> Misbehaviour:
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
    return court.wrong_share(court.share())


@pytest.mark.parametrize("kind", GUILTY)
def test_honest_messages_convict_nobody_whatever_is_changed(court, kind):
    shown = innocent(court, kind)
    assert court.refusal(shown) in ("EVD-2", "EVD-3", "EVD-4", "EVD-5", "EVD-7")
    for where, other in changed(shown):
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


@pytest.mark.parametrize("kind", ["commitments", "votes", "shares"])
def test_messages_of_two_committees_convict_nobody(court, kind):
    """A member of both votes in each."""
    shown = GUILTY[kind](court)
    signer = court.sequencer if kind == "commitments" else court.members[0]
    second = court.sign(signer, replace(shown.second.message, committee_id=court.successor.committee_id))
    assert court.refusal(replace(shown, second=second)) in ("EVD-2", "EVD-4", "EVD-5")


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


def other_commitments(court: Court) -> Iterator[OrderCommitment]:
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


@pytest.mark.parametrize("kind", [0, 6, 7, 255])
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
            examine(evidence, committees)
            for committees in (court.committees, court.committees[::-1], (court.committee,), court.committees)
        }
        assert len(verdicts) == 1


def test_same_misbehaviour_shown_twice_has_one_subject(court):
    votes = two_votes(court)
    again = replace(votes, second=court.sign(court.members[0], court.vote(round=9)))
    assert court.examine(votes).subject == court.examine(again).subject
    assert court.examine(votes).subject != court.examine(two_votes(court, 2)).subject
