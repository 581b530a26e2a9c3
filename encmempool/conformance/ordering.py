"""What this package answers of the page ordering.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from encmempool import envelope, ordering
from encmempool.conformance.state import OneState, accounts_of
from encmempool.conformance.vectors import Json
from encmempool.envelope import Terms
from encmempool.errors import Malformed
from encmempool.forced import KnownInbox
from encmempool.identity import Identity, recover_signer
from encmempool.mempool import Mempool, Pending
from encmempool.ordering import Candidate, Policy
from encmempool.sequencer import ANNOUNCED, COMMITMENT, RECEIPT, TRANSACTION, CommittedBatch, Sequencer
from encmempool.store import MemoryStore
from encmempool.types import (
    BatchList,
    EncryptedTransaction,
    Genesis,
    InboxEntry,
    KeySet,
    OrderCommitment,
    Proposal,
    Receipt,
    SignedCommitment,
    SignedReceipt,
)
from threshold.encoding import u64
from threshold.sansio import Persist, Send


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


# --- orders ----------------------------------------------------------------------------------------------------------


def _policy(given: Json) -> Policy:
    try:
        return Policy(int(given["policy_id"]))
    except ValueError as error:
        raise Malformed(str(error)) from error


def _candidates(given: Json) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            tx_id=_bytes(c["tx_id"]),
            sender=_bytes(c["sender"]),
            nonce=int(c["nonce"]),
            sequence=int(c["sequence"]),
            priority_fee=int(c["priority_fee"]),
        )
        for c in given["candidates"]
    )


def committed_order(given: Json) -> Json:
    ordered = ordering.committed_order(_policy(given), _candidates(given))
    return {"tx_ids": [_hex(item.tx_id) for item in ordered]}


def permutation(given: Json) -> Json:
    made = ordering.permutation(_bytes(given["seed"]), int(given["size"]))
    return {"permutation": [str(position) for position in made]}


def execution_order(given: Json) -> Json:
    batch = _candidates(given)
    positions = ordering.execution_order(
        _policy(given),
        batch,
        commitment_root=_bytes(given["commitment_root"]),
        batch_key_value=_bytes(given["batch_key_value"]),
    )
    return {"tx_ids": [_hex(batch[at].tx_id) for at in positions]}


def batch_root(given: Json) -> Json:
    try:
        return {"batch_root": _hex(BatchList(tx_ids=tuple(map(_bytes, given["tx_ids"]))).root)}
    except ValueError as error:
        raise Malformed(str(error)) from error


# --- admission and selection -----------------------------------------------------------------------------------------


class _AnyCiphertext:
    """The public check of the scheme `clear`."""

    def verify_ciphertext(self, transaction: EncryptedTransaction) -> object:
        return transaction


def _terms(given: Json) -> Terms:
    genesis, key_set = Genesis.decode(_bytes(given["genesis"])), KeySet.decode(_bytes(given["key_set"]))
    addresses_height = given.get("addresses_height", False)
    return Terms(genesis=genesis, key_set=key_set, overhead_bytes=0, addresses_height=addresses_height)


def _successors(given: Json) -> list[Terms]:
    first = _terms(given)
    return [replace(first, key_set=KeySet.decode(_bytes(item))) for item in given.get("successors", [])]


def _state(given: Json) -> OneState:
    executed = int(given.get("executed_height", int(given["height"]) - 1))
    parent = OrderCommitment.decode(_bytes(given["parent"])) if "parent" in given else None
    return OneState(
        height=executed,
        commitment=parent if parent and parent.height == executed else None,
        root=_bytes(given.get("state_root", "0x")),
        accounts=accounts_of(given["accounts"]),
    )


def _transactions(given: Json, field: str) -> list[EncryptedTransaction]:
    return [EncryptedTransaction.decode(_bytes(item)) for item in given[field]]


def _mempool(given: Json) -> Mempool:
    mempool = Mempool(_terms(given), _AnyCiphertext(), _state(given))
    for terms in _successors(given):
        mempool.adopt(terms)
    for sequence, transaction in enumerate(_transactions(given, "live")):
        mempool.add(Pending(transaction=transaction, sequence=sequence))
    mempool.commit(_transactions(given, "in_flight"))
    return mempool


def admit(given: Json) -> Json:
    mempool, height = _mempool(given), int(given["height"])
    tx_ids, next_nonces = [], []
    for number, transaction in enumerate(_transactions(given, "transactions"), len(given["live"])):
        mempool.expire(height=height)
        mempool.check(transaction, height=height)
        mempool.add(Pending(transaction=transaction, sequence=number))
        tx_ids.append(_hex(transaction.tx_id))
        next_nonces.append(str(mempool.next_nonce(transaction.header.sender)))
    return {"tx_ids": tx_ids, "next_nonces": next_nonces}


def select(given: Json) -> Json:
    mempool, height = _mempool(given), int(given["height"])
    mempool.expire(height=height)
    policy = Policy(mempool.epochs.at(height).key_set.policy_id)
    chosen = mempool.select(height=height, policy=policy)
    return {"tx_ids": [_hex(pending.transaction.tx_id) for pending in chosen]}


# --- receipts and commitments ----------------------------------------------------------------------------------------


def _sequencer(given: Json) -> Sequencer:
    """Restored from records that hold the live transactions and, if given, the commitment before and the key set
    announced."""
    terms, store = _terms(given), MemoryStore()
    for sequence, transaction in enumerate(_transactions(given, "live")):
        receipt = Receipt(
            tx_id=transaction.tx_id,
            sequence=sequence,
            received_at_ms=0,
            include_by_height=0,
            include_by_l1_block=0,
            reveal_by_l1_block=0,
        )
        stored = SignedReceipt(message=receipt, signature=bytes(65)).encoded
        store.put([Persist(kind=TRANSACTION, key=transaction.tx_id, value=transaction.encoded)])
        store.put([Persist(kind=RECEIPT, key=u64(sequence), value=stored)])
    identity = Identity(_bytes(given["sequencer_key"]))
    if "parent" in given and terms.key_set.sequencer == identity.address:  # another one has it from its state
        parent = SignedCommitment(message=OrderCommitment.decode(_bytes(given["parent"])), signature=bytes(65))
        batch = CommittedBatch(commitment=parent, tx_ids=())
        store.put([Persist(kind=COMMITMENT, key=u64(parent.message.height), value=batch.encoded)])
    if "announced" in given:
        announced = KeySet.decode(_bytes(given["announced"]))
        store.put([Persist(kind=ANNOUNCED, key=announced.predecessor, value=announced.encoded)])
    return Sequencer(
        terms=terms,
        successors=_successors(given),
        identity=identity,
        verifier=_AnyCiphertext(),
        state=_state(given),
        records=store,
        inbox=inbox_of(given.get("inbox", []), head=int(given.get("l1_block", 0))),
    )


def inbox_of(entries: Sequence[str], *, head: int) -> KnownInbox:
    """Raises Rejected FRC-1 for entries that do not follow one another."""
    inbox = KnownInbox(head=head)
    for entry in [InboxEntry.decode(_bytes(entry)) for entry in entries]:
        inbox.add(entry)
    return inbox


def _sent(effects: tuple[Persist | Send, ...]) -> bytes:
    (sent,) = [effect.message for effect in effects if isinstance(effect, Send)]
    return sent


def make_receipt(given: Json) -> Json:
    effects = _sequencer(given).submit(_bytes(given["transaction"]), now_ms=int(given["now_ms"]))
    return {"receipt": _hex(_sent(effects))}


def check_receipt(given: Json) -> Json:
    terms, transaction = _terms(given), EncryptedTransaction.decode(_bytes(given["transaction"]))
    signed = SignedReceipt.decode(_bytes(given["receipt"]))
    envelope.check_receipt(terms, transaction, signed)
    return {"sequence": str(signed.message.sequence)}


def make_commitment(given: Json) -> Json:
    effects = _sequencer(given).commit(now_ms=int(given["now_ms"]))
    commitment = Proposal.decode(_sent(effects)).commitment
    return {"commitment": _hex(commitment.encoded), "root": _hex(commitment.message.root)}


def commitment_root(given: Json) -> Json:
    genesis = Genesis.decode(_bytes(given["genesis"]))
    signed = SignedCommitment.decode(_bytes(given["commitment"]))
    signer = recover_signer(signed.message, signed.signature, genesis.root)
    return {"root": _hex(signed.message.root), "signer": _hex(signer)}


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "committed_order": committed_order,
    "permutation": permutation,
    "execution_order": execution_order,
    "batch_root": batch_root,
    "admit": admit,
    "select": select,
    "make_receipt": make_receipt,
    "check_receipt": check_receipt,
    "make_commitment": make_commitment,
    "commitment_root": commitment_root,
}
