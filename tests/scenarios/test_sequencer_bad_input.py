"""What the sequencer refuses: with the rule broken, without a trace, and without harm to the next submission."""

from __future__ import annotations

from dataclasses import replace

import pytest

from encmempool.client import Client
from encmempool.errors import Malformed, Rejected, StorageError
from encmempool.types import EncryptedTransaction, SignedReceipt
from threshold.encoding import u64

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def refused(world, data, *, alice_nonce=1):
    """Submit bytes that must be refused; returns the error. Nothing may change but the error."""
    before = world.records("sequencer")
    pending, sequence = world.network.sequencer.pending, _next_sequence(world)
    with pytest.raises((Malformed, Rejected)) as caught:
        world.network.submit(data)
    assert world.records("sequencer") == before
    assert world.network.sequencer.pending == pending
    receipt = world.network.submit(world.transfer(world.people[0], alice_nonce).encoded)
    assert receipt.message.sequence == sequence
    return caught.value


def rule(error):
    return error.rule if isinstance(error, Rejected) else "malformed"


def _next_sequence(world):
    return sum(kind == "receipt" for kind, _ in world.records("sequencer"))


@pytest.fixture
def ready(world):
    """Alice has one receipt already, so sequences could be seen to jump."""
    world.network.submit(world.transfer(world.people[0]).encoded)
    return world


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"\0", id="one byte"),
        pytest.param(lambda data: b"\xff" * 500, id="all ones"),
        pytest.param(lambda data: data[:100], id="cut in the header"),
        pytest.param(lambda data: data[:-1], id="cut at the end"),
        pytest.param(lambda data: data + b"\0", id="one byte more"),
        pytest.param(lambda data: data + data, id="twice"),
        pytest.param(lambda data: data[1:], id="first byte missing"),
        pytest.param(lambda data: b"0x" + data.hex().encode(), id="as hex"),
    ],
)
def test_submission_is_refused_if_the_bytes_are_not_an_envelope(ready, broken):
    error = refused(ready, broken(ready.transfer(ready.people[1]).encoded))
    assert rule(error) in ("malformed", "TXN-6", "TXN-1")


def test_submission_is_refused_if_an_offset_is_not_canonical(ready):
    """A gap between the fixed part and the ciphertext would give one envelope two encodings."""
    transaction = ready.transfer(ready.people[1])
    data = transaction.encoded
    at = data.index(len(data[: -len(transaction.ciphertext)]).to_bytes(4, "little"))
    offset = int.from_bytes(data[at : at + 4], "little")
    moved = data[:at] + (offset + 1).to_bytes(4, "little") + data[at + 4 : offset] + b"\0" + data[offset:]
    assert rule(refused(ready, moved)) == "malformed"


def test_submission_is_refused_if_the_envelope_is_larger_than_any_ciphertext(ready):
    huge = b"\0" * (1 << 17)
    header = ready.header(ready.people[1])
    data = replace(ready.envelope(ready.people[1], header, b""), ciphertext=b"").encoded + huge
    assert rule(refused(ready, data)) == "malformed"


HEADERS = [
    ("TXN-1", {"version": 0}),
    ("TXN-1", {"version": 2}),
    ("TXN-2", {"key_id": b"\x01" * 32}),
    ("TXN-2", {"scheme": 0}),
    ("TXN-2", {"scheme": 250}),
    ("TXN-3", {"gas_limit": 0}),
    ("TXN-3", {"gas_limit": 20_999}),
    ("TXN-3", {"gas_limit": 21_001}),
    ("TXN-3", {"gas_limit": 63_000}),
    ("TXN-3", {"gas_limit": 21_000 << 7}),
    ("TXN-4", {"max_fee_per_gas": 10**10 - 1, "max_priority_fee_per_gas": 0}),
    ("TXN-4", {"max_priority_fee_per_gas": 30 * 10**9 + 1}),
    ("TXN-5", {"target_height": 100}),
    ("TXN-5", {"target_height": 1}),
    ("TXN-8", {"valid_until": 0}),
    ("MEM-2", {"nonce": 1}),
    ("MEM-2", {"nonce": 2**64 - 1}),
    ("MEM-3", {"max_fee_per_gas": 2**256 - 1}),
    ("MEM-3", {"max_fee_per_gas": 10**18}),
]


@pytest.mark.parametrize(("expected", "changes"), HEADERS, ids=[f"{r} {c}" for r, c in HEADERS])
def test_submission_is_refused_for_a_wrong_header_field(ready, expected, changes):
    """Signed and encrypted for exactly this header: the field itself is the one fault."""
    person = ready.people[1]
    error = refused(ready, ready.seal(person, ready.pad(ready.payload(person)), **changes).encoded)
    assert rule(error) == expected


def test_submission_is_refused_once_its_last_height_is_committed(ready):
    ready.run_height()
    late = ready.transfer(ready.people[1], valid_until=1)
    assert rule(refused(ready, late.encoded)) == "TXN-8"


def test_submission_is_refused_if_somebody_else_signed_the_envelope(ready):
    bob, mallory = ready.people[1:3]
    genuine = ready.transfer(bob)
    forged = ready.envelope(mallory, genuine.header, genuine.ciphertext)
    assert rule(refused(ready, forged.encoded)) == "TXN-7"


@pytest.mark.parametrize("byte", [0, 31, 32, 63])
def test_submission_is_refused_if_a_byte_of_the_signature_changed(ready, byte):
    genuine = ready.transfer(ready.people[1])
    signature = bytearray(genuine.signature)
    signature[byte] ^= 1
    assert rule(refused(ready, replace(genuine, signature=bytes(signature)).encoded)) in ("TXN-7", "SIG-1")


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_submission_is_refused_if_the_recovery_byte_is_not_canonical(ready, v):
    genuine = ready.transfer(ready.people[1])
    forged = replace(genuine, signature=genuine.signature[:64] + bytes([v]))
    assert rule(refused(ready, forged.encoded)) == "SIG-1"


def test_submission_is_refused_if_the_signature_is_the_high_s_twin(ready):
    genuine = ready.transfer(ready.people[1])
    s = CURVE_ORDER - int.from_bytes(genuine.signature[32:64], "big")
    twin = genuine.signature[:32] + s.to_bytes(32, "big") + bytes([55 - genuine.signature[64]])
    assert rule(refused(ready, replace(genuine, signature=twin).encoded)) == "SIG-1"


def test_submission_is_refused_for_any_changed_byte_of_the_ciphertext(world):
    """Re-signed by the sender, so only the scheme's public check can object: TXN-9."""
    bob = world.people[1]
    genuine = world.transfer(bob)
    size = len(genuine.ciphertext)
    positions = sorted({*range(0, 144, 5), 96, 111, 112, 143, *range(144, size, 29), size - 1})
    for at in positions:
        changed = bytearray(genuine.ciphertext)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises((Malformed, Rejected)) as caught:
            world.network.submit(world.envelope(bob, genuine.header, bytes(changed)).encoded)
        assert rule(caught.value) in ("malformed", "TDH-1", "TDH-2"), at
    assert world.records("sequencer") == {}
    assert world.network.submit(genuine.encoded).message.sequence == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": 1},
        {"max_fee_per_gas": 31 * 10**9},
        {"max_priority_fee_per_gas": 10**9},
        {"gas_limit": 42_000},
        {"valid_until": 99},
    ],
    ids=str,
)
def test_submission_is_refused_if_a_ciphertext_is_reused_under_another_header(world, changes):
    """The header is the associated data: T-05, T-07, T-31."""
    bob = world.people[1]
    if "nonce" in changes:
        world.network.submit(world.transfer(bob).encoded)
    genuine = world.transfer(bob)
    before = world.records("sequencer")
    copied = world.envelope(bob, replace(genuine.header, **changes), genuine.ciphertext)
    with pytest.raises(Rejected) as caught:
        world.network.submit(copied.encoded)
    assert caught.value.rule == "TDH-2"
    assert world.records("sequencer") == before


def test_submission_is_refused_if_a_ciphertext_is_copied_by_another_sender(ready):
    bob, mallory = ready.people[1:3]
    genuine = ready.transfer(bob)
    copied = ready.envelope(mallory, replace(genuine.header, sender=mallory.address), genuine.ciphertext)
    assert rule(refused(ready, copied.encoded)) == "TDH-2"
    assert ready.network.submit(genuine.encoded).message.tx_id == genuine.tx_id


def test_submission_is_refused_if_it_is_a_duplicate_and_keeps_its_receipt(ready):
    genuine = ready.transfer(ready.people[1])
    receipt = ready.network.submit(genuine.encoded)
    assert rule(refused(ready, genuine.encoded)) == "MEM-1"
    assert ready.network.sequencer.receipt(genuine.tx_id) == receipt
    assert ready.restart().sequencer.receipt(genuine.tx_id) == receipt
    assert rule(refused(ready, genuine.encoded, alice_nonce=2)) == "MEM-1"


def test_submission_is_refused_if_it_is_a_duplicate_of_a_committed_or_executed_one(world):
    genuine = world.transfer(world.people[1])
    world.network.submit(genuine.encoded)
    world.network.commit()
    with pytest.raises(Rejected, match="MEM-1"):
        world.network.submit(genuine.encoded)
    world.network.reveal()
    with pytest.raises(Rejected, match="MEM-1"):
        world.network.submit(genuine.encoded)
    with pytest.raises(Rejected, match="MEM-1"):
        world.restart().submit(genuine.encoded)


def test_submission_is_refused_if_another_transaction_holds_the_nonce(ready):
    first = ready.transfer(ready.people[1])
    ready.network.submit(first.encoded)
    assert rule(refused(ready, ready.transfer(ready.people[1], value=2).encoded)) == "MEM-2"


def test_submission_is_refused_if_the_nonce_was_executed(world):
    world.run_height(world.transfer(world.people[1]))
    with pytest.raises(Rejected, match="MEM-2"):
        world.network.submit(world.transfer(world.people[1], value=2).encoded)
    assert world.network.submit(world.transfer(world.people[1], 1).encoded).message.sequence == 1


def test_submission_is_refused_if_the_sender_has_no_ether(ready):
    assert rule(refused(ready, ready.transfer(ready.poor).encoded)) == "MEM-3"


def test_submission_is_refused_if_all_reservations_together_exceed_the_balance(world):
    bob = world.people[1]
    half = world.balance(bob) // 2 // 21_000
    world.network.submit(world.transfer(bob, max_fee_per_gas=half).encoded)
    world.network.submit(world.transfer(bob, 1, max_fee_per_gas=half - 10**9).encoded)
    before = world.records("sequencer")
    with pytest.raises(Rejected, match="MEM-3"):
        world.network.submit(world.transfer(bob, 2).encoded)
    assert world.records("sequencer") == before


def test_submission_is_refused_if_the_ciphertext_fits_no_size_class(ready):
    person = ready.people[1]
    for size in (1, 255, 257, 300, 511):
        sealed = ready.seal(person, b"\x01".ljust(size, b"\0"))
        with pytest.raises(Rejected, match="TXN-6"):
            ready.network.submit(sealed.encoded)
    assert rule(refused(ready, ready.seal(person, b"\x01" * 200).encoded)) == "TXN-6"


def test_submission_is_refused_beyond_what_one_sender_may_have_waiting(clear_world):
    for nonce in range(64):
        clear_world.network.submit(clear_world.transfer(clear_world.people[1], nonce).encoded)
    with pytest.raises(Rejected, match="MEM-4"):
        clear_world.network.submit(clear_world.transfer(clear_world.people[1], 64).encoded)
    receipt = clear_world.network.submit(clear_world.transfer(clear_world.people[0]).encoded)
    assert receipt.message.sequence == 64


@pytest.mark.parametrize("data", [b"", b"\xff" * 300], ids=["empty", "noise"])
def test_client_passes_the_sequencers_refusal_on(ready, data):
    before = ready.records("sequencer")
    with pytest.raises(Malformed):
        Client(ready.home.path).submit(data)
    assert ready.records("sequencer") == before


def test_submissions_leave_no_gap_among_many_refusals(world):
    """SEQ-2, with a refusal of another kind before each valid one."""
    bob = world.people[1]
    bad = [
        b"noise",
        world.transfer(bob, 7).encoded,
        world.transfer(world.poor).encoded,
        world.envelope(world.stranger, world.header(bob), bytes(416)).encoded,
        world.seal(bob, bytes(256), gas_limit=1).encoded,
    ]
    sequences = []
    for nonce, data in enumerate(bad):
        with pytest.raises((Malformed, Rejected)):
            world.network.submit(data)
        sequences.append(world.network.submit(world.transfer(bob, nonce).encoded).message.sequence)
    assert sequences == [0, 1, 2, 3, 4]
    executed = world.run_height()
    assert len(executed.receipts) == 5
    stored = [
        SignedReceipt.decode(v) for (kind, _), v in sorted(world.records("sequencer").items()) if kind == "receipt"
    ]
    assert [signed.message.sequence for signed in stored] == sequences


def test_submission_after_a_failed_write_leaves_no_gap(world, monkeypatch):
    """SEQ-1 and SEQ-2: what could not be stored was not received, and the next one takes its sequence."""
    alice, bob = world.people[:2]
    world.network.submit(world.transfer(alice).encoded)
    lost = world.transfer(bob)
    with monkeypatch.context() as patch:

        def fail(records):
            raise StorageError("the database is locked by another process")

        patch.setattr(world.network._sequencer_store, "put", fail)
        with pytest.raises(StorageError):
            world.network.submit(lost.encoded)
    assert world.network.sequencer.receipt(lost.tx_id) is None
    assert world.network.submit(world.transfer(alice, 1).encoded).message.sequence == 1


def test_commitment_after_a_failed_write_builds_on_what_is_stored(world, monkeypatch):
    """SEQ-3: a commitment that was never durable is not the parent of another."""
    world.network.submit(world.transfer(world.people[0]).encoded)
    with monkeypatch.context() as patch:

        def fail(records):
            raise StorageError("the database is locked by another process")

        patch.setattr(world.network._sequencer_store, "put", fail)
        with pytest.raises(StorageError):
            world.network.commit()
    proposal = world.network.commit()
    assert proposal.commitment.message.height == 1
    assert ("commitment", u64(1)) in world.records("sequencer")
    world.restart().reveal()
    assert world.network.follower.latest.height == 1


def test_resubmission_with_a_second_valid_signature_is_no_other_transaction(world):
    """The transaction id leaves the signature out; the stored bytes are those that came first."""
    genuine = world.transfer(world.people[1])
    receipt = world.network.submit(genuine.encoded)
    broken = replace(genuine, signature=bytes(65))
    assert broken.tx_id == genuine.tx_id
    with pytest.raises(Rejected):
        world.network.submit(broken.encoded)
    assert world.network.sequencer.transaction(genuine.tx_id) == genuine
    assert world.network.sequencer.receipt(genuine.tx_id) == receipt


def test_mempool_counts_right_after_a_restart_with_a_reused_nonce(world):
    """A nonce is free again once its transaction expired; both have receipts."""
    alice = world.people[0]
    world.network.submit(world.transfer(alice).encoded)
    world.network.commit()
    world.network.submit(world.transfer(alice, 1, valid_until=2).encoded)  # waits for height 1, and expires
    world.network.commit()
    world.network.commit()
    second = world.transfer(alice, 1, value=2)
    world.network.submit(second.encoded)
    assert world.network.sequencer.pending == 1
    assert world.restart().sequencer.pending == 1
    world.network.reveal()
    executed = world.run_height()
    assert [t.tx_id for t in executed.ready.proposal.transactions] == [second.tx_id]
    assert world.network.sequencer.pending == 0


def test_envelope_survives_its_own_encoding(world):
    genuine = world.transfer(world.people[1])
    assert EncryptedTransaction.decode(genuine.encoded) == genuine
    assert EncryptedTransaction.decode(genuine.encoded).tx_id == genuine.tx_id
