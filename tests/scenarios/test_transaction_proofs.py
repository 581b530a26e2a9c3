"""Proofs of single transactions, out of real networks of every scheme, and all that must not verify as one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from encmempool import audit
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.network.rotation import Change, rotate
from encmempool.outcomes import Outcome
from encmempool.proof import REVEALED, AccountAfter, Certified, Proof, ProvenTransaction, _checked_after, verify
from encmempool.prover import followed, prove
from encmempool.types import EncryptedTransaction, SignedCommitment
from threshold.schemes import tdh2
from threshold.schemes.registry import SCHEMES

TARGET = 1
"""The height at which the transactions are committed, where a scheme wants to know it."""


@dataclass
class Proven:
    """A proof and what it is to show."""

    world: Any
    payload: bytes
    proof: Proof

    def verify(self, **changes: Any) -> ProvenTransaction:
        return self.of(replace(self.proof, **changes))

    def of(self, proof: Proof) -> ProvenTransaction:
        return verify(proof, genesis_root=self.world.committee.genesis.root)

    def refused(self, rule: str, **changes: Any) -> None:
        with pytest.raises(Rejected) as caught:
            self.verify(**changes)
        assert caught.value.rule == rule

    def signed_again(self, **changes: Any) -> Certified:
        """The commitment as a dishonest sequencer would change it; the members' votes stay."""
        message = replace(self.proof.ordered.commitment.message, **changes)
        signature = self.world.sign(self.world.sequencer_identity, message)
        return Certified(
            commitment=SignedCommitment(message=message, signature=signature),
            certificate=self.proof.ordered.certificate,
        )


def run(world: Any, **changes: Any) -> Proven:
    """Three transactions in height 1, of which the second is proven, and a height that names the state after it."""
    people = world.people[:3]
    made = [world.transfer(person, valid_until=TARGET, **changes) for person in people]
    payload = world.payload(people[1], **changes)
    world.run_height(*made)
    world.run_height()
    return Proven(world=world, payload=payload, proof=prove(world.network.follower, made[1].tx_id))


def proof_of_state(after: AccountAfter, transaction: EncryptedTransaction, given: Proven) -> None:
    """The check of the later state by itself: a commitment that holds another transaction would need votes."""
    commitment, (signed,) = given.proof.ordered.commitment.message, given.proof.key_sets
    _checked_after(after, transaction, commitment, [signed.message])


@pytest.fixture(scope="module")
def proven(new_world: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Proven]:
    made: dict[str, Proven] = {}

    def make(scheme: str) -> Proven:
        if scheme not in made:
            made[scheme] = run(new_world(tmp_path_factory.mktemp("proof") / "home", scheme))
        return made[scheme]

    return make


@pytest.mark.parametrize("scheme", SCHEMES)
def test_proof_shows_place_content_and_state(proven, scheme) -> None:
    given, network = proven(scheme), proven(scheme).world.network
    shown = given.of(Proof.of_file(given.proof.file))
    executed = network.follower.executed_at(TARGET)
    assert (shown.height, shown.position, shown.count) == (TARGET, 1, 3)
    assert shown.tx_id == executed.ready.proposal.transactions[1].tx_id
    assert shown.payload == given.payload
    assert shown.plaintext_root == executed.reveal.positions[1].plaintext_root
    assert shown.opened_by == network.committee.scheme.info.opened_alone_by
    assert shown.outcomes == (Outcome.EXECUTED,)
    assert shown.state is not None
    assert (shown.state.executed_height, shown.state.nonce) == (1, 1)
    assert shown.state.balance == given.world.balance(given.world.people[1])
    assert shown.success
    assert len(given.proof.file) < 6_200


@pytest.mark.parametrize("scheme", ["tdh2", "simple-bte"])
def test_value_that_is_gone_shows_success_whatever_was_opened(make_world, scheme) -> None:
    """PRF-10"""
    given = run(make_world(scheme), value=10**18)
    for opening in (given.proof.opening, b""):
        shown = given.verify(opening=opening)
        assert (shown.success, shown.outcomes) == (True, (Outcome.EXECUTED,))
    assert not given.verify(after=()).success


def test_reverted_transaction_shows_no_success(world) -> None:
    """PRF-10"""
    transaction = world.swap(world.people[0], minimum=2**200)
    executed = world.run_height(transaction)
    world.run_height()
    shown = verify(prove(world.network.follower, transaction.tx_id), genesis_root=world.committee.genesis.root)
    assert [receipt.success for receipt in executed.receipts] == [False]
    assert (shown.success, shown.outcomes) == (False, (Outcome.EXECUTED,))


def test_sender_who_seals_under_a_key_of_his_own_can_claim_a_payload_and_no_success(world) -> None:
    """PRF-10, and the limit that the page states: the committee finds no key that opens this."""
    person, own = world.people[0], bytes(32)
    header = world.header(person)
    plaintext = world.pad(world.payload(person, value=10**18))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tdh2, "derive_key", lambda *parts: own)
        ciphertext = world.committee.scheme.encrypt(
            world.committee.public_key, plaintext, aad=header.root, height=0, random=world.random
        )
    transaction = world.envelope(person, header, ciphertext)
    executed = world.run_height(transaction)
    world.run_height()
    assert [receipt.code for receipt in executed.receipts] == ["undecryptable"]
    proof, root = prove(world.network.follower, transaction.tx_id), world.committee.genesis.root
    assert proof.opening == b""
    assert verify(proof, genesis_root=root).outcomes == REVEALED
    claimed = verify(replace(proof, opening=own), genesis_root=root)
    assert (claimed.opened_by, claimed.success) == ("body key", False)


def test_without_a_later_state_only_what_sends_nothing_is_known_to_have_run(proven, world) -> None:
    """PRF-8"""
    assert proven("tdh2").verify(after=()).outcomes == (Outcome.EXECUTED, Outcome.NOT_EXECUTABLE)
    assert run(world, value=0).verify(after=()).outcomes == (Outcome.EXECUTED,)


def test_outcome_is_open_where_another_transaction_may_have_spent(world) -> None:
    """PRF-8"""
    person, other = world.people[:2]
    made = [world.transfer(person, nonce, value=1) for nonce in (0, 1)] + [world.transfer(other, value=10**22)]
    world.run_height(*made)
    world.run_height()
    shown = [verify(prove(world.network.follower, m.tx_id), genesis_root=world.committee.genesis.root) for m in made]
    assert [s.outcomes for s in shown] == [(Outcome.EXECUTED, Outcome.NOT_EXECUTABLE)] * 3


@pytest.mark.parametrize("scheme", ["tdh2", "ibe"])
def test_proof_before_a_state_is_named_shows_the_rest(make_world, scheme) -> None:
    world = make_world(scheme)
    transaction = world.transfer(world.people[0], valid_until=TARGET)
    world.run_height(transaction)
    shown = verify(prove(world.network.follower, transaction.tx_id), genesis_root=world.committee.genesis.root)
    assert shown.state is None
    assert Outcome.EXECUTED in shown.outcomes


@pytest.mark.parametrize(
    ("plaintext", "outcome"),
    [
        (lambda world: b"\x02" * 256, Outcome.BAD_PADDING),
        (lambda world: world.pad(b"rubbish"), Outcome.BAD_PAYLOAD),
        (lambda world: world.pad(world.payload(world.people[1])), Outcome.HEADER_MISMATCH),
    ],
)
def test_failures_that_show_in_the_plaintext_are_proven(world, plaintext, outcome) -> None:
    """PRF-8"""
    transaction = world.seal(world.people[0], plaintext(world))
    world.run_height(transaction)
    shown = verify(prove(world.network.follower, transaction.tx_id), genesis_root=world.committee.genesis.root)
    assert shown.outcomes == (outcome,)


def undecryptable(world: Any) -> Any:
    """A body whose last byte is changed; properly signed. Under ibe nothing else shows before the height is open."""
    scheme, key, person = world.committee.scheme, world.committee.public_key, world.people[0]
    header = world.header(person, target_height=TARGET, valid_until=TARGET)
    body = scheme.encrypt(key, world.pad(b"x"), aad=header.root, height=TARGET, random=world.random)
    return world.envelope(person, header, body[:-1] + bytes([body[-1] ^ 1]))


def test_key_of_a_height_proves_what_is_undecryptable(make_world) -> None:
    world = make_world("ibe")
    transaction = undecryptable(world)
    world.run_height(transaction)
    shown = verify(prove(world.network.follower, transaction.tx_id), genesis_root=world.committee.genesis.root)
    assert (shown.outcomes, shown.payload) == ((Outcome.UNDECRYPTABLE,), None)


@pytest.mark.parametrize("scheme", ["tdh2", "ibe", "simple-bte", "fptx"])
def test_without_an_opening_nothing_is_said_of_the_content(proven, scheme) -> None:
    """PRF-8"""
    shown = proven(scheme).verify(opening=b"", after=())
    assert (shown.opened_by, shown.payload, shown.outcomes) == (None, None, ())


def test_without_an_opening_every_outcome_is_possible(world) -> None:
    """PRF-8"""
    assert run(world, value=0).verify(opening=b"").outcomes == REVEALED


# --- one fault each ---------------------------------------------------------------------------------------------------


def test_proof_of_another_network_is_refused(proven) -> None:
    """PRF-1"""
    with pytest.raises(Rejected) as caught:
        verify(proven("tdh2").proof, genesis_root=b"\x01" * 32)
    assert caught.value.rule == "PRF-1"
    proven("tdh2").refused("PRF-1", genesis=replace(proven("tdh2").proof.genesis, chain_id=1))


def test_key_sets_have_to_descend_from_the_genesis(proven) -> None:
    """PRF-2"""
    given = proven("tdh2")
    (signed,) = given.proof.key_sets
    given.refused("PRF-2", key_sets=())
    given.refused("KEY-2", key_sets=(replace(signed, signatures=signed.signatures[:2]),))
    given.refused("KEY-2", key_sets=(replace(signed, message=replace(signed.message, valid_until=9)),))
    given.refused("KEY-8", key_sets=(signed, signed))


def test_commitment_has_to_be_the_sequencers_and_certified(proven) -> None:
    """PRF-3"""
    given = proven("tdh2")
    ordered = given.proof.ordered
    few = replace(ordered.certificate, signatures=ordered.certificate.signatures[:2])
    by_member = replace(
        ordered.commitment,
        signature=given.world.sign(given.world.member_identity(1), ordered.commitment.message),
    )
    given.refused("VOT-1", ordered=replace(ordered, commitment=by_member))
    given.refused("CRT-3", ordered=replace(ordered, certificate=few))
    given.refused("CRT-3", ordered=given.signed_again(timestamp_ms=1))
    given.refused("PRF-3", ordered=given.signed_again(committee_id=b"\x01" * 32))
    given.refused("PRF-3", ordered=given.signed_again(key_id=b"\x01" * 32))
    given.refused("PRF-3", ordered=given.signed_again(height=0))


def test_branch_has_to_lead_to_the_batch_root(proven) -> None:
    """PRF-4"""
    given = proven("tdh2")
    branch = given.proof.branch
    given.refused("PRF-4", position=2)
    given.refused("PRF-4", position=3)
    given.refused("PRF-4", position=1 + (1 << 13))
    given.refused("PRF-4", branch=branch[:-1])
    given.refused("PRF-4", branch=(*branch, bytes(32)))
    given.refused("PRF-4", branch=(bytes(32), *branch[1:]))
    given.refused("PRF-4", branch=(*branch[:-1], (4).to_bytes(32, "little")))


def test_transaction_and_receipt_have_to_be_what_was_admitted(proven) -> None:
    """PRF-5"""
    given = proven("tdh2")
    transaction, (receipt,) = given.proof.transaction, given.proof.receipts
    other = given.world.network.follower.executed_at(TARGET).ready.proposal.receipts[0]
    given.refused("TXN-7", transaction=replace(transaction, signature=receipt.signature))
    given.refused("SEQ-6", receipts=(replace(receipt, signature=transaction.signature),))
    given.refused("SEQ-7", receipts=(other,))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_opening_has_to_be_the_transactions_own(proven, scheme) -> None:
    """PRF-6"""
    given = proven(scheme)
    opening = given.proof.opening
    given.refused("PRF-6", opening=opening + b"\0")
    if scheme == "ibe":
        with pytest.raises((Malformed, Rejected)):
            given.verify(opening=opening[:-1] + bytes([opening[-1] ^ 1]))
        given.refused("IBE-6", opening=bytes([opening[0] ^ 0x20]) + opening[1:])
    elif scheme != "clear":
        given.refused("AED-3", opening=opening[:-1] + bytes([opening[-1] ^ 1]))
        given.refused("PRF-6", opening=opening[:-1])


def test_states_have_to_be_those_named_with_the_senders_account(proven) -> None:
    """PRF-7"""
    given = proven("tdh2")
    before, (after,) = given.proof.before, given.proof.after
    named, other = after.named_by, given.world.people[0].address

    for shown in (before, after.shown):

        def refused(shown=shown, **changes: Any) -> None:
            changed = replace(shown, **changes)
            given.refused(
                "PRF-7", **({"before": changed} if shown is before else {"after": (replace(after, shown=changed),)})
            )

        refused(account=replace(shown.account, balance=1))
        refused(account=replace(shown.account, nonce=shown.account.nonce + 1))
        refused(account=replace(shown.account, address=other))
        refused(index=shown.index ^ 1)
        refused(index=shown.index | 1 << 24)
        refused(branch=shown.branch[:-1])
        refused(branch=(*shown.branch[:-1], bytes(32)))
    given.refused("PRF-7", before=after.shown)
    given.refused("PRF-7", after=(replace(after, shown=before),))
    given.refused("PRF-7", after=(replace(after, named_by=given.proof.ordered),))
    by_other = replace(named.commitment, signature=given.proof.ordered.commitment.signature)
    given.refused("VOT-1", after=(replace(after, named_by=replace(named, commitment=by_other)),))
    few = replace(named.certificate, signatures=named.certificate.signatures[:2])
    given.refused("CRT-3", after=(replace(after, named_by=replace(named, certificate=few)),))


def test_state_in_which_the_nonce_is_not_used_is_refused(world) -> None:
    """PRF-7"""
    given = run(world)
    (after,) = given.proof.after
    used = replace(given.proof.transaction.header, nonce=1)
    transaction = world.envelope(world.people[1], used, given.proof.transaction.ciphertext)
    with pytest.raises(Rejected) as caught:
        proof_of_state(after, transaction, given)
    assert caught.value.rule == "PRF-7"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_changed_byte_verifies_as_something_else(proven, scheme) -> None:
    """PRF-1"""
    given_proof = proven(scheme)
    file, shown = given_proof.proof.file, given_proof.verify()

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, len(file) - 1), st.integers(1, 255))
    def changed(at: int, mask: int) -> None:
        damaged = file[:at] + bytes([file[at] ^ mask]) + file[at + 1 :]
        try:
            found = given_proof.of(Proof.of_file(damaged))
        except (Malformed, Rejected):
            return
        assert found == shown, at

    changed()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_part_of_another_proof_fits(proven, data) -> None:
    """Fields of a proof for the same network's other transactions: mixed in anyhow, they show no third thing."""
    given_proof = proven("tdh2")
    executed = given_proof.world.network.follower.executed_at(TARGET)
    ids = [transaction.tx_id for transaction in executed.ready.proposal.transactions]
    proofs = [prove(given_proof.world.network.follower, tx_id) for tx_id in ids[:2]]
    honest = [given_proof.of(proof) for proof in proofs]
    names = ("transaction", "receipts", "position", "branch", "opening", "before", "after")
    mixed = replace(proofs[0], **{name: getattr(data.draw(st.sampled_from(proofs)), name) for name in names})
    try:
        found = given_proof.of(mixed)
    except (Malformed, Rejected):
        return
    assert found in honest


def test_trailing_bytes_and_other_files_are_malformed(proven) -> None:
    """PRF-1"""
    for data in (b"", b"encmempool history 1\n", proven("clear").proof.file + b"\0", proven("clear").proof.file[:-1]):
        with pytest.raises(Malformed):
            Proof.of_file(data)


# --- where proofs come from -------------------------------------------------------------------------------------------


def test_history_file_and_published_history_give_the_same_proof(proven) -> None:
    given = proven("tdh2")
    tx_id = given.proof.transaction.tx_id
    history = audit.export(given.world.network)
    assert prove(audit.replayed(history), tx_id) == given.proof
    assert prove(followed(given.world.network, tx_id), tx_id) == given.proof


@pytest.mark.parametrize("change", [{}, {"new_key": True, "overlap": 1}, {"new_sequencer": True}])
def test_proofs_go_across_key_sets(world, change) -> None:
    """PRF-2: of a transaction before a committee hands over, and of one after."""
    early = world.transfer(world.people[0])
    world.run_height(early)
    rotate(world.network, Change(**change), random=world.random)
    while world.network.committee.key_set.epoch == 1:
        world.run_height()
    late = world.transfer(world.people[1])
    world.run_height(late)
    world.run_height()
    root = world.committee.genesis.root
    for transaction in (early, late):
        proof = prove(world.network.follower, transaction.tx_id)
        shown = verify(proof, genesis_root=root)
        assert (shown.outcomes, shown.state.nonce) == ((Outcome.EXECUTED,), 1)
    assert len(proof.key_sets) == 2
    with pytest.raises(Rejected) as caught:
        verify(replace(proof, key_sets=proof.key_sets[:1]), genesis_root=root)
    assert caught.value.rule == "PRF-3"


def test_what_no_commitment_holds_has_no_proof(world) -> None:
    tx_id = world.transfer(world.people[0]).tx_id
    with pytest.raises(EnvironmentProblem, match="no commitment up to height 0 holds"):
        prove(world.network.follower, tx_id)


def test_what_is_committed_alone_has_no_proof_yet(world) -> None:
    transaction = world.transfer(world.people[0])
    world.network.submit(transaction.encoded)
    world.network.commit()
    with pytest.raises(EnvironmentProblem, match="is committed at height 1 and not revealed yet"):
        prove(followed(world.network, transaction.tx_id), transaction.tx_id)


def test_light_client_loads_no_node_and_no_database() -> None:
    heavy = ("sqlalchemy", "starlette", "httpx", "uvicorn", "encmempool.store", "encmempool.network", "encmempool.home")
    code = f"import encmempool.proof, json, sys; print(json.dumps([n for n in {heavy} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
