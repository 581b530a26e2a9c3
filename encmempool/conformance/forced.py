"""The page `forced`, answered by this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from encmempool import forced
from encmempool.committee import Chain
from encmempool.conformance.ordering import inbox_of
from encmempool.conformance.state import OneState, accounts_of
from encmempool.conformance.values import bytes_list, from_hex, to_hex
from encmempool.conformance.voting import chain_of, committee_of, ready, transaction_of, unsigned
from encmempool.errors import Malformed
from encmempool.forced import InboxView, KnownInbox
from encmempool.keysets import NO_END, Committee
from encmempool.types import (
    EncryptedTransaction,
    Genesis,
    InboxEntry,
    KeySet,
    OrderCommitment,
    Proposal,
)

Json = dict[str, Any]


def _committee(given: Json, **changes: Any) -> Committee:
    genesis, key_set = Genesis.decode(from_hex(given["genesis"])), KeySet.decode(from_hex(given["key_set"]))
    fields = {name: getattr(genesis, name) for name in Genesis.__dataclass_fields__}
    fields |= {name: getattr(key_set, name) for name in KeySet.__dataclass_fields__ if name != "genesis_root"}
    made = committee_of(genesis.root, **fields | changes)
    addresses_height = given.get("addresses_height", False)
    made.__dict__["terms"] = replace(made.terms, addresses_height=addresses_height)
    return made


def _read_inbox(given: Json) -> Json:
    inbox = inbox_of(given["inbox"], head=NO_END)
    return {"tx_ids": [_tx_id(entry) for entry in inbox.entries]}


def _tx_id(entry: InboxEntry) -> str | None:
    try:
        return to_hex(EncryptedTransaction.decode(entry.data).tx_id)
    except Malformed:
        return None


def _settle(given: Json) -> Json:
    committee, height = _committee(given), int(given["height"])
    settlement = forced.settle(
        inbox_of(given["inbox"], head=int(given["l1_block"])),
        committee.terms,
        start=int(given["start"]),
        l1_block=int(given["l1_block"]),
        height=height,
        state=OneState(height=height - 1, root=b"", accounts=accounts_of(given["accounts"])),
        verify=committee.verify_ciphertext,
        is_in_flight=bytes_list(given["in_flight"]).__contains__,
        exhausted=given.get("used_up", False),
    )
    return {
        "tx_ids": [to_hex(transaction.tx_id) for transaction in settlement.transactions],
        "passed": [{"index": str(passed.index), "rule": passed.rule} for passed in settlement.passed],
        "inbox_index": str(settlement.index),
    }


def _check_view(given: Json) -> Json:
    genesis = Genesis.decode(from_hex(given["genesis"]))
    fields = {name: getattr(genesis, name) for name in Genesis.__dataclass_fields__}
    inbox = KnownInbox(head=int(given["head"]))
    chain = Chain(committee_of(genesis.root, t=1, **fields), OneState(height=0, root=b""), inbox=inbox)
    chain._check_view(_commitment(int(given["l1_block"])), 0 if given["votes"] else None)
    return {"l1_block": given["l1_block"]}


def _commitment(l1_block: int) -> OrderCommitment:
    nothing = bytes(32)
    return OrderCommitment(
        height=1,
        parent=nothing,
        committee_id=nothing,
        key_id=nothing,
        round=0,
        batch_root=nothing,
        count=0,
        policy_id=1,
        l1_block=l1_block,
        inbox_index=0,
        timestamp_ms=0,
        executed_height=0,
        state_root=nothing,
    )


def _check_forced(given: Json) -> Json:
    commitment = OrderCommitment.decode(from_hex(given["commitment"]))
    transactions = tuple(EncryptedTransaction.decode(data) for data in bytes_list(given["transactions"]))
    state = OneState(
        height=commitment.executed_height,
        root=commitment.state_root,
        accounts=accounts_of(given["accounts"]),
    )
    chain = _chain(given, commitment, state, inbox_of(given["inbox"], head=NO_END))
    proposal = Proposal(commitment=unsigned(commitment), transactions=transactions, receipts=())
    return {"forced": str(len(chain._check_forced(proposal).transactions))}


def _chain(given: Json, commitment: OrderCommitment, state: OneState, inbox: InboxView) -> Chain:
    """The parent is of the key set before where its own has not begun; it holds what is in flight."""
    committee = _committee(given)
    if given["parent"] is None:
        return chain_of(committee, state, inbox=inbox)
    parent = OrderCommitment.decode(from_hex(given["parent"]))
    in_flight = tuple(transaction_of(sender, commitment) for sender in bytes_list(given["in_flight"]))
    first = _committee(given, start_height=parent.height)
    return chain_of(first, state, [ready(first, parent, in_flight)], successors=[committee], inbox=inbox)


def _outcome(given: Json) -> Json:
    entry = InboxEntry(index=0, l1_block=0, data=from_hex(given["data"]))
    invalid = forced.is_invalid(entry, bytes_list(given["committed"]).__contains__)
    return {"outcome": "forced_invalid" if invalid else None}


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "read_inbox": _read_inbox,
    "settle": _settle,
    "check_view": _check_view,
    "check_forced": _check_forced,
    "outcome": _outcome,
}
