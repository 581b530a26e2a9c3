"""SSZ: our serialiser against remerkleable's containers written out by hand, strict decoding, roots and digests.

The property tests hold every object equal to containers derived from its annotations; the ones here pin the field
order, the sizes and the limits themselves.
"""

import hashlib
from dataclasses import replace

import pytest
from remerkleable.basic import uint8, uint16, uint32, uint64, uint256
from remerkleable.byte_arrays import ByteList, ByteVector
from remerkleable.complex import Container, List

from encmempool import types
from encmempool.errors import Malformed
from encmempool.execution.ledger import AccountState, LedgerState, TokenBalance
from encmempool.execution.pools import Pool

ROOT = bytes(range(32))
OTHER_ROOT = bytes(range(32, 64))
ADDRESS = bytes(range(20))
SIGNATURE = bytes(range(65))


class HeaderOracle(Container):
    version: uint8
    key_id: ByteVector[32]
    scheme: uint8
    sender: ByteVector[20]
    nonce: uint64
    gas_limit: uint64
    max_fee_per_gas: uint256
    max_priority_fee_per_gas: uint256
    target_height: uint64
    valid_until: uint64


class UnsignedTransactionOracle(Container):
    header: HeaderOracle
    ciphertext: ByteList[(1 << 16) + 1024]


class EncryptedTransactionOracle(Container):
    header: HeaderOracle
    ciphertext: ByteList[(1 << 16) + 1024]
    signature: ByteVector[65]


class VoteOracle(Container):
    committee_id: ByteVector[32]
    height: uint64
    round: uint64
    commitment_root: ByteVector[32]


class OrderCertificateOracle(Container):
    vote: VoteOracle
    signatures: List[ByteVector[65], 1024]


class KeySetOracle(Container):
    genesis_root: ByteVector[32]
    predecessor: ByteVector[32]
    key_id: ByteVector[32]
    epoch: uint64
    scheme: uint8
    setup_kind: uint8
    setup_privacy: uint16
    n: uint16
    t: uint16
    reduced_threshold: uint8
    members: List[ByteVector[20], 1024]
    sequencer: ByteVector[20]
    policy_id: uint8
    policy_parameters: ByteList[256]
    encryption_key: ByteList[1024]
    verification_keys: List[ByteList[1024], 1024]
    parameter_digest: ByteVector[32]
    batch_limit: uint32
    rounds: uint32
    start_height: uint64
    start_parent: ByteVector[32]
    start_round: uint64
    valid_until: uint64


class BatchListOracle(Container):
    tx_ids: List[ByteVector[32], 4096]


HEADER = {
    "version": 1,
    "key_id": ROOT,
    "scheme": 1,
    "sender": ADDRESS,
    "nonce": 2**64 - 1,
    "gas_limit": 21_000,
    "max_fee_per_gas": 2**256 - 1,
    "max_priority_fee_per_gas": 2 * 10**9,
    "target_height": 0,
    "valid_until": 77,
}
KEY_SET = {
    "genesis_root": ROOT,
    "predecessor": bytes(32),
    "key_id": OTHER_ROOT,
    "epoch": 1,
    "scheme": 1,
    "setup_kind": 2,
    "setup_privacy": 300,
    "n": 3,
    "t": 3,
    "reduced_threshold": 0,
    "members": (ADDRESS, b"\x01" * 20, b"\x02" * 20),
    "sequencer": b"\x03" * 20,
    "policy_id": 3,
    "policy_parameters": b"parameters",
    "encryption_key": b"\x04" * 48,
    "verification_keys": (b"\x05" * 48, b"", b"\x06" * 33),
    "parameter_digest": OTHER_ROOT,
    "batch_limit": 4096,
    "rounds": 7,
    "start_height": 1,
    "start_parent": ROOT,
    "start_round": 0,
    "valid_until": 2**64 - 1,
}
VOTE = {"committee_id": ROOT, "height": 9, "round": 8, "commitment_root": OTHER_ROOT}

header = types.Header(**HEADER)
transaction = types.EncryptedTransaction(header=header, ciphertext=b"\x09" * 416, signature=SIGNATURE)
key_set = types.KeySet(**KEY_SET)
certificate = types.OrderCertificate(vote=types.Vote(**VOTE), signatures=(SIGNATURE, SIGNATURE[::-1]))
batch_list = types.BatchList(tx_ids=(ROOT, OTHER_ROOT, ROOT))

PAIRS = {
    "header": (header, HeaderOracle(**HEADER)),
    "unsigned transaction": (
        types.UnsignedTransaction(header=header, ciphertext=b"\x09" * 416),
        UnsignedTransactionOracle(header=HeaderOracle(**HEADER), ciphertext=b"\x09" * 416),
    ),
    "encrypted transaction": (
        transaction,
        EncryptedTransactionOracle(header=HeaderOracle(**HEADER), ciphertext=b"\x09" * 416, signature=SIGNATURE),
    ),
    "encrypted transaction without a byte": (
        replace(transaction, ciphertext=b""),
        EncryptedTransactionOracle(header=HeaderOracle(**HEADER), ciphertext=b"", signature=SIGNATURE),
    ),
    "order certificate": (
        certificate,
        OrderCertificateOracle(vote=VoteOracle(**VOTE), signatures=[SIGNATURE, SIGNATURE[::-1]]),
    ),
    "key set": (key_set, KeySetOracle(**KEY_SET)),
    "batch list": (batch_list, BatchListOracle(tx_ids=[ROOT, OTHER_ROOT, ROOT])),
    "empty batch list": (types.BatchList(tx_ids=()), BatchListOracle()),
    "full batch list": (types.BatchList(tx_ids=(ROOT,) * 4096), BatchListOracle(tx_ids=[ROOT] * 4096)),
}


@pytest.fixture(params=PAIRS)
def both(request):
    return PAIRS[request.param]


# --- agreement with remerkleable -------------------------------------------------------------------------------------


def test_encoding_equals_remerkleables(both):
    ours, oracle = both
    assert ours.encoded == oracle.encode_bytes()


def test_root_equals_remerkleables(both):
    ours, oracle = both
    assert ours.root == bytes(oracle.hash_tree_root())


def test_decoding_returns_the_object_encoded(both):
    ours, oracle = both
    assert type(ours).decode(oracle.encode_bytes()) == ours


def test_decoding_keeps_the_root(both):
    ours, _ = both
    assert type(ours).decode(ours.encoded).root == ours.root


# --- strict decoding -------------------------------------------------------------------------------------------------

OBJECTS = {
    "fixed size": header,
    "one variable field": transaction,
    "list of fixed elements": certificate,
    "list of variable elements": key_set,
    "list alone": batch_list,
}


@pytest.fixture(params=OBJECTS)
def value(request):
    return OBJECTS[request.param]


def test_truncation_is_refused_or_another_object(value):
    """SSZ does not state lengths: cut at the end of a list's element, the bytes encode a shorter list."""
    for size in range(len(value.encoded)):
        try:
            shorter = type(value).decode(value.encoded[:size])
        except Malformed:
            continue
        assert shorter != value
        assert replace(shorter).encoded == value.encoded[:size]


@pytest.mark.parametrize("value", [header, certificate, batch_list], ids=lambda value: type(value).__name__)
def test_decoding_is_refused_when_the_last_byte_is_missing(value):
    with pytest.raises(Malformed):
        type(value).decode(value.encoded[:-1])


def test_decoding_is_refused_when_the_fixed_part_is_cut():
    with pytest.raises(Malformed, match="at least"):
        types.EncryptedTransaction.decode(transaction.encoded[: len(header.encoded) + 4 + 64])


def test_decoding_is_refused_when_a_byte_trails_a_fixed_size():
    with pytest.raises(Malformed, match="Header has"):
        types.Header.decode(header.encoded + b"\0")


def test_decoding_is_refused_when_a_byte_trails_a_list_of_fixed_elements():
    with pytest.raises(Malformed, match="65-byte elements"):
        types.OrderCertificate.decode(certificate.encoded + b"\0")


def test_decoding_is_refused_when_empty(value):
    with pytest.raises(Malformed):
        type(value).decode(b"")


def with_offset(encoded: bytes, at: int, offset: int) -> bytes:
    return encoded[:at] + offset.to_bytes(4, "little") + encoded[at + 4 :]


@pytest.mark.parametrize("change", [-1, 1, -4, 4])
def test_decoding_is_refused_when_the_first_offset_of_a_container_is_wrong(change):
    at = len(header.encoded)
    right = int.from_bytes(transaction.encoded[at : at + 4], "little")
    with pytest.raises(Malformed, match="first offset"):
        types.EncryptedTransaction.decode(with_offset(transaction.encoded, at, right + change))


def key_set_offsets() -> dict[str, int]:
    """Where each offset of the encoded key set lies."""
    at, found = 0, {}
    for name, field in KeySetOracle.fields().items():
        if field.is_fixed_byte_length():
            at += field.type_byte_length()
        else:
            found[name] = at
            at += 4
    return found


def test_decoding_is_refused_when_offsets_descend():
    where = key_set_offsets()
    before = int.from_bytes(key_set.encoded[where["policy_parameters"] :][:4], "little")
    with pytest.raises(Malformed, match="not in order"):
        types.KeySet.decode(with_offset(key_set.encoded, where["encryption_key"], before - 1))


def test_decoding_is_refused_when_an_offset_points_beyond_the_end():
    where = key_set_offsets()
    with pytest.raises(Malformed, match="beyond the end"):
        types.KeySet.decode(with_offset(key_set.encoded, where["verification_keys"], len(key_set.encoded) + 1))


@pytest.mark.parametrize("first", [0, 2, 13, 16, 2**32 - 4])
def test_decoding_is_refused_when_the_first_offset_of_a_list_is_wrong(first):
    """Three elements, so 12 is right."""
    start = int.from_bytes(key_set.encoded[key_set_offsets()["verification_keys"] :][:4], "little")
    with pytest.raises(Malformed):
        types.KeySet.decode(with_offset(key_set.encoded, start, first))


def test_decoding_is_refused_when_offsets_of_a_list_descend():
    where = key_set_offsets()
    start = int.from_bytes(key_set.encoded[where["verification_keys"] :][:4], "little")
    with pytest.raises(Malformed, match="not in order"):
        types.KeySet.decode(with_offset(key_set.encoded, start + 4, 11))


class LooseBatchList(Container):
    tx_ids: List[ByteVector[32], 1 << 20]


class LoosePlaintext(Container):
    payload: ByteList[1 << 20]


class LooseCertificate(Container):
    vote: VoteOracle
    signatures: List[ByteVector[65], 1 << 20]


OVER_LIMIT = {
    "byte list": (types.Plaintext, LoosePlaintext(payload=bytes((1 << 16) + 1))),
    "list of fixed elements": (types.BatchList, LooseBatchList(tx_ids=[ROOT] * 4097)),
    "list beside a fixed field": (
        types.OrderCertificate,
        LooseCertificate(vote=VoteOracle(**VOTE), signatures=[SIGNATURE] * 1025),
    ),
}


@pytest.mark.parametrize("case", OVER_LIMIT)
def test_decoding_is_refused_when_a_list_exceeds_its_limit(case):
    kind, oracle = OVER_LIMIT[case]
    with pytest.raises(Malformed, match="exceeds its limit"):
        kind.decode(oracle.encode_bytes())


def test_decoding_is_refused_when_a_list_of_variable_elements_exceeds_its_limit():
    class LooseKeySet(KeySetOracle):
        verification_keys: List[ByteList[1024], 1 << 20]

    too_many = LooseKeySet(**{**KEY_SET, "verification_keys": [b""] * 1025})
    with pytest.raises(Malformed, match="1025 elements exceeds its limit of 1024"):
        types.KeySet.decode(too_many.encode_bytes())


def test_decoding_is_refused_when_an_element_exceeds_its_limit():
    class LooseKeySet(KeySetOracle):
        verification_keys: List[ByteList[1 << 20], 1024]

    too_long = LooseKeySet(**{**KEY_SET, "verification_keys": [bytes(1025)]})
    with pytest.raises(Malformed, match="1025 bytes exceeds its limit of 1024"):
        types.KeySet.decode(too_long.encode_bytes())


def test_decoding_is_refused_when_a_packed_list_is_cut_inside_an_integer():
    encoded = types.Allocation(address=ADDRESS, balance=1, tokens=(2, 3)).encoded
    with pytest.raises(Malformed, match="32-byte elements"):
        types.Allocation.decode(encoded[:-1])


# --- decoding with objects at hand -----------------------------------------------------------------------------------


def proposal_of(*transactions: types.EncryptedTransaction) -> types.Proposal:
    commitment = types.SignedCommitment(message=SIGNED[types.OrderCommitment], signature=SIGNATURE)
    receipt = types.SignedReceipt(message=SIGNED[types.Receipt], signature=SIGNATURE)
    return types.Proposal(commitment=commitment, transactions=transactions, receipts=(receipt,) * len(transactions))


def test_decoding_refers_to_the_objects_at_hand_and_decodes_the_others():
    other = replace(transaction, ciphertext=b"\x07" * 416)
    proposal = proposal_of(transaction, other)
    receipt = types.SignedReceipt.decode(proposal.receipts[0].encoded)
    known = {item.encoded: item for item in (transaction, receipt)}
    decoded = types.Proposal.decode(proposal.encoded, known)
    assert decoded == proposal
    assert (decoded.encoded, decoded.root) == (proposal.encoded, proposal.root)
    assert decoded.transactions[0] is transaction
    assert decoded.transactions[1] is not other
    assert all(item is receipt for item in decoded.receipts)


def test_decoding_takes_no_object_of_another_kind():
    proposal = proposal_of(transaction)
    decoded = types.Proposal.decode(proposal.encoded, {transaction.encoded: header})
    assert decoded.transactions == (transaction,)


def test_decoding_is_as_strict_with_objects_at_hand():
    proposal = proposal_of(transaction, transaction)
    known = {transaction.encoded: transaction}
    for at in range(0, len(proposal.encoded), 7):
        changed = proposal.encoded[:at] + bytes([proposal.encoded[at] ^ 1]) + proposal.encoded[at + 1 :]
        try:
            expected = types.Proposal.decode(changed)
        except Malformed:
            with pytest.raises(Malformed):
                types.Proposal.decode(changed, known)
        else:
            assert types.Proposal.decode(changed, known) == expected


# --- encoding what no encoding exists for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 256),
        ("version", -1),
        ("nonce", 2**64),
        ("nonce", -1),
        ("max_fee_per_gas", 2**256),
        ("max_fee_per_gas", -1),
    ],
)
def test_encoding_raises_when_an_integer_does_not_fit(field, value):
    broken = replace(header, **{field: value})
    with pytest.raises(OverflowError):
        _ = broken.encoded
    with pytest.raises(OverflowError):
        _ = broken.root


@pytest.mark.parametrize("size", [0, 19, 21, 32])
def test_encoding_raises_when_a_byte_vector_has_another_length(size):
    broken = replace(header, sender=bytes(size))
    with pytest.raises(ValueError, match="20 bytes wanted"):
        _ = broken.encoded
    with pytest.raises(ValueError, match="20 bytes wanted"):
        _ = broken.root


@pytest.mark.parametrize(
    "broken",
    [
        types.BatchList(tx_ids=(ROOT,) * 4097),
        types.Plaintext(payload=bytes((1 << 16) + 1)),
        replace(key_set, verification_keys=(b"",) * 1025),
        replace(key_set, verification_keys=(bytes(1025),)),
        types.Allocation(address=ADDRESS, balance=0, tokens=(0,) * 257),
    ],
    ids=["list", "byte list", "list of variable elements", "element", "packed list"],
)
def test_encoding_raises_when_a_limit_is_exceeded(broken):
    with pytest.raises(ValueError, match="at most"):
        _ = broken.encoded
    with pytest.raises(ValueError, match="at most"):
        _ = broken.root


# --- what is built on roots ------------------------------------------------------------------------------------------


def test_tx_id_equals_the_root_of_the_unsigned_transaction():
    unsigned = types.UnsignedTransaction(header=header, ciphertext=transaction.ciphertext)
    assert transaction.tx_id == unsigned.root
    assert transaction.tx_id != transaction.root


def test_tx_id_stays_when_only_the_signature_differs():
    assert replace(transaction, signature=bytes(65)).tx_id == transaction.tx_id


def test_tx_id_differs_when_header_or_ciphertext_do():
    others = [replace(transaction, header=replace(header, nonce=1)), replace(transaction, ciphertext=b"\x08" * 416)]
    assert len({transaction.tx_id, *(other.tx_id for other in others)}) == 3


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64, 65, 370, 1 << 16])
def test_plaintext_root_equals_the_objects(size):
    payload = bytes(at % 251 for at in range(size))
    assert types.plaintext_root(payload) == types.Plaintext(payload=payload).root


STATE = LedgerState(
    height=12,
    accounts=(
        AccountState(address=b"\x01" * 20, nonce=3, balance=2**256 - 1),
        AccountState(address=b"\x02" * 20, nonce=0, balance=5),
        AccountState(address=b"\x03" * 20, nonce=2**64 - 1, balance=0),
    ),
    token_balances=(TokenBalance(token=b"\x04" * 20, owner=b"\x01" * 20, amount=7),),
    pools=(Pool(token0=b"\x04" * 20, token1=b"\x05" * 20, reserve0=10, reserve1=2**112 - 1),),
)


def state_object(state: LedgerState) -> types.State:
    return types.State(
        height=state.height,
        accounts=tuple(types.Account(address=a.address, nonce=a.nonce, balance=a.balance) for a in state.accounts),
        token_balances=tuple(
            types.TokenBalance(token=b.token, owner=b.owner, amount=b.amount) for b in state.token_balances
        ),
        pools=tuple(
            types.PoolState(token0=p.token0, token1=p.token1, reserve0=p.reserve0, reserve1=p.reserve1)
            for p in state.pools
        ),
    )


@pytest.mark.parametrize(
    "state", [STATE, LedgerState(height=0, accounts=(), token_balances=(), pools=())], ids=["some", "empty"]
)
def test_state_root_equals_the_state_objects(state):
    assert types.state_root(state) == state_object(state).root


def test_state_root_differs_when_any_part_does():
    changed = [
        replace(STATE, height=13),
        replace(STATE, accounts=STATE.accounts[:2]),
        replace(STATE, accounts=(replace(STATE.accounts[0], nonce=4), *STATE.accounts[1:])),
        replace(STATE, token_balances=()),
        replace(STATE, pools=(replace(STATE.pools[0], reserve0=11),)),
    ]
    assert len({types.state_root(STATE), *map(types.state_root, changed)}) == 6


SIGNED = {
    types.Receipt: types.Receipt(
        tx_id=ROOT,
        sequence=1,
        received_at_ms=2,
        include_by_height=3,
        include_by_l1_block=4,
        reveal_by_l1_block=5,
    ),
    types.OrderCommitment: types.OrderCommitment(
        height=1,
        parent=ROOT,
        committee_id=ROOT,
        key_id=ROOT,
        round=1,
        batch_root=ROOT,
        count=1,
        policy_id=1,
        l1_block=0,
        inbox_index=0,
        timestamp_ms=1,
        executed_height=0,
        state_root=ROOT,
    ),
    types.Vote: certificate.vote,
    types.DecryptionShare: types.DecryptionShare(
        committee_id=ROOT, height=1, round=1, commitment_root=ROOT, member=1, data=b"share"
    ),
    types.Abstain: types.Abstain(committee_id=ROOT, height=1),
    types.KeySet: key_set,
}
TAGS = {
    types.Receipt: b"RCPT",
    types.OrderCommitment: b"ORDR",
    types.Vote: b"VOTE",
    types.DecryptionShare: b"SHAR",
    types.Abstain: b"ABST",
    types.KeySet: b"KEYS",
}


@pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.__name__)
def test_signing_digest_is_sha256_of_root_tag_and_network(kind):
    message = SIGNED[kind]
    expected = hashlib.sha256(message.root + TAGS[kind] + OTHER_ROOT[:28]).digest()
    assert types.signing_digest(message, OTHER_ROOT) == expected


def test_signing_digest_differs_when_only_the_type_does(monkeypatch):
    """Two objects of different types with one root must not share a signature."""
    for message in SIGNED.values():
        monkeypatch.setitem(message.__dict__, "root", ROOT)
    assert len({types.signing_digest(message, OTHER_ROOT) for message in SIGNED.values()}) == len(SIGNED)


@pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.__name__)
def test_signing_digest_differs_when_the_network_does(kind):
    assert types.signing_digest(SIGNED[kind], ROOT) != types.signing_digest(SIGNED[kind], OTHER_ROOT)


def test_json_shows_fields_as_integers_hex_and_lists():
    assert types.Allocation(address=ADDRESS, balance=5, tokens=(1, 2)).to_json() == {
        "address": "0x" + ADDRESS.hex(),
        "balance": 5,
        "tokens": [1, 2],
    }
    assert certificate.to_json()["vote"]["height"] == 9
