"""The page `reveal`, answered by this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from encmempool import audit
from encmempool.conformance.voting import any_batch, committee_of, from_hex, ready, to_hex
from encmempool.errors import Malformed, Rejected
from encmempool.ethereum import EthereumTransaction
from encmempool.execution import pools, router
from encmempool.execution.ledger import Entry, ExecutionReceipt, Failure, Ledger, LedgerState
from encmempool.execution.pools import Pool, Reverted
from encmempool.execution.router import SwapKind
from encmempool.keysets import Committee
from encmempool.reveal import Follower, OpenedEntry, Outcome, _reveal, open_entry
from encmempool.status import never_committed
from encmempool.types import (
    EncryptedTransaction,
    Genesis,
    Header,
    OrderCommitment,
    Plaintext,
    Reveal,
    ShareRelease,
    SignedShare,
    state_root,
)
from threshold.schemes.base import BatchKey, Undecryptable

Json = dict[str, Any]

_NO_SIGNATURE = bytes(65)
_FUNCTIONS = {
    SwapKind.EXACT_TOKENS_FOR_TOKENS: "swapExactTokensForTokens",
    SwapKind.EXACT_ETH_FOR_TOKENS: "swapExactETHForTokens",
    SwapKind.EXACT_TOKENS_FOR_ETH: "swapExactTokensForETH",
    SwapKind.TOKENS_FOR_EXACT_TOKENS: "swapTokensForExactTokens",
}
_DETAILED_REASONS = {"no such router call: ": "no such router call", "nonce ": "nonce"}
"""Reasons to which the ledger adds a detail, and their texts on the page."""


def _amount(formula: Callable[[int, int, int], int]) -> Callable[[Json], Json]:
    def answer(given: Json) -> Json:
        try:
            amount = formula(int(given["reserve_in"]), int(given["reserve_out"]), int(given["amount"]))
        except Reverted as error:
            return {"amount": "0", "reason": str(error)}
        return {"amount": str(amount), "reason": ""}

    return answer


def _settle(given: Json) -> Json:
    before = int(given["reserve_in"]), int(given["reserve_out"])
    try:
        after, reason = pools.settle(*before, int(given["paid"]), int(given["taken"])), ""
    except Reverted as error:
        after, reason = before, str(error)
    return {"reserve_in": str(after[0]), "reserve_out": str(after[1]), "reason": reason}


def _decode_call(given: Json) -> Json:
    swap = router.decode(from_hex(given["data"]), int(given["value"]))
    return {
        "function": _FUNCTIONS[swap.kind],
        "exact": str(swap.exact),
        "bound": str(swap.bound),
        "path": [to_hex(token) for token in swap.path],
        "recipient": to_hex(swap.recipient),
        "deadline": str(swap.deadline),
    }


def _content(given: Json) -> EthereumTransaction | Failure:
    if "failure" in given:
        return Failure(given["failure"])
    return EthereumTransaction(
        chain_id=0,
        nonce=0,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=0,
        gas_limit=int(given["gas_limit"]),
        to=from_hex(given["to"]),
        value=int(given["value"]),
        data=from_hex(given["data"]),
        sender=bytes(20),
        raw=b"",
    )


def _entry(given: Json) -> Entry:
    return Entry(
        sender=from_hex(given["sender"]),
        nonce=int(given["nonce"]),
        gas_limit=int(given["gas_limit"]),
        max_fee_per_gas=int(given["max_fee_per_gas"]),
        max_priority_fee_per_gas=int(given["max_priority_fee_per_gas"]),
        payload=_content(given["content"]),
    )


def _ledger(given: Json) -> Ledger:
    ledger = Ledger(
        chain_id=0,
        accounts={from_hex(account["address"]): int(account["balance"]) for account in given["accounts"]},
        token_balances={
            (from_hex(b["token"]), from_hex(b["owner"])): int(b["amount"]) for b in given["token_balances"]
        },
        pools=[
            Pool(
                token0=from_hex(pool["token0"]),
                token1=from_hex(pool["token1"]),
                reserve0=int(pool["reserve0"]),
                reserve1=int(pool["reserve1"]),
            )
            for pool in given["pools"]
        ],
        router=from_hex(given["router"]),
        weth=from_hex(given["weth"]),
        base_fee=int(given["base_fee"]),
        fee_recipient=from_hex(given["fee_recipient"]),
    )
    ledger._height = int(given["height"])
    ledger._nonces.update({from_hex(a["address"]): int(a["nonce"]) for a in given["accounts"]})
    return ledger


def _receipt(receipt: ExecutionReceipt) -> Json:
    reason = next((text for start, text in _DETAILED_REASONS.items() if receipt.reason.startswith(start)), None)
    return {
        "code": receipt.code,
        "success": receipt.success,
        "reason": receipt.reason if reason is None else reason,
        "gas_used": str(receipt.gas_used),
        "fee": str(receipt.fee),
        "amount_in": str(receipt.amount_in),
        "amount_out": str(receipt.amount_out),
    }


def _state(state: LedgerState) -> Json:
    return {
        "height": str(state.height),
        "accounts": [
            {"address": to_hex(a.address), "nonce": str(a.nonce), "balance": str(a.balance)} for a in state.accounts
        ],
        "token_balances": [
            {"token": to_hex(b.token), "owner": to_hex(b.owner), "amount": str(b.amount)} for b in state.token_balances
        ],
        "pools": [
            {
                "token0": to_hex(pool.token0),
                "token1": to_hex(pool.token1),
                "reserve0": str(pool.reserve0),
                "reserve1": str(pool.reserve1),
            }
            for pool in state.pools
        ],
    }


def _execute(given: Json) -> Json:
    ledger = _ledger(given["state"])
    receipts = ledger.execute(
        int(given["height"]), int(given["timestamp_ms"]), [_entry(entry) for entry in given["entries"]]
    )
    state = ledger.snapshot()
    return {
        "receipts": [_receipt(receipt) for receipt in receipts],
        "burned": str(ledger.burned),
        "state": _state(state),
        "state_root": to_hex(state_root(state)),
    }


def _open_outcome(given: Json) -> Json:
    header = Header.decode(from_hex(given["header"]))
    committee = committee_of(
        bytes(32),
        members=(),
        t=1,
        chain_id=int(given["chain_id"]),
        size_classes=tuple(int(size) for size in given["size_classes"]),
    )
    plaintext = Undecryptable(reason="") if given["plaintext"] is None else from_hex(given["plaintext"])
    transaction = EncryptedTransaction(header=header, ciphertext=b"", signature=_NO_SIGNATURE)
    opened = open_entry(committee.genesis, transaction.header, plaintext)
    failure = opened.content if isinstance(opened.content, Failure) else None
    root = bytes(32) if opened.payload is None else Plaintext(payload=opened.payload).root
    return {
        "outcome": None if failure is None else failure.value,
        "number": "0" if failure is None else str(int(Outcome[failure.name])),
        "payload": None if opened.payload is None else to_hex(opened.payload),
        "plaintext_root": to_hex(root),
    }


def _plaintext_root(given: Json) -> Json:
    return {"root": to_hex(Plaintext(payload=from_hex(given["payload"])).root)}


def _commitment(height: int) -> OrderCommitment:
    return OrderCommitment(
        height=height,
        parent=bytes(32),
        committee_id=bytes(32),
        key_id=bytes(32),
        round=0,
        batch_root=bytes(32),
        count=0,
        policy_id=1,
        l1_block=0,
        inbox_index=0,
        timestamp_ms=0,
        executed_height=0,
        state_root=bytes(32),
    )


def _make_reveal(given: Json) -> Json:
    positions = given["positions"]
    commitment = _commitment(1)
    commitment.__dict__["root"] = from_hex(given["commitment_root"])
    opened = [
        OpenedEntry(
            payload=None if position["payload"] is None else from_hex(position["payload"]),
            content=Failure.UNDECRYPTABLE,
        )
        for position in positions
    ]
    receipts = [
        ExecutionReceipt(
            position=at,
            code=position["outcome"],
            success=False,
            reason="",
            gas_used=0,
            fee=0,
            amount_in=0,
            amount_out=0,
        )
        for at, position in enumerate(positions)
    ]
    committee = committee_of(bytes(32), members=(), t=1)
    batch_key = BatchKey(value=from_hex(given["value"]), proof=from_hex(given["proof"]))
    made = _reveal(ready(committee, commitment), batch_key, opened, receipts)
    return {"reveal": to_hex(made.encoded), "root": to_hex(made.root)}


def _follower(
    committee: Committee, commitment: OrderCommitment, transactions: tuple[EncryptedTransaction, ...]
) -> Follower:
    follower = Follower(committee)
    follower.chain._append(ready(committee, commitment, transactions))
    return follower


def _replay(given: Json) -> Json:
    genesis = Genesis.decode(from_hex(given["genesis"]))
    commitment = OrderCommitment.decode(from_hex(given["commitment"]))
    transactions = tuple(EncryptedTransaction.decode(from_hex(one)) for one in given["transactions"])
    reveal = None if given["reveal"] is None else Reveal.decode(from_hex(given["reveal"]))
    fields = {name: getattr(genesis, name) for name in Genesis.__dataclass_fields__ if name != "members"}
    committee = committee_of(
        genesis.root, members=genesis.members, t=1, key_id=commitment.key_id, start_height=commitment.height, **fields
    )
    follower = _follower(committee, commitment, transactions)
    executed = follower.replay(follower.chain._heights[commitment.height], reveal)
    return {"receipts": [_receipt(one) for one in executed.receipts], "state_root": to_hex(executed.state.root)}


def _never_committed(given: Json) -> Json:
    """`revealed` is all that is asked of the height that a header addresses."""
    outcome = never_committed(
        Header.decode(from_hex(given["header"])),
        head=int(given["head"]),
        key_end=int(given["key_end"]),
        opened=lambda height: given["revealed"],
    )
    return {"outcome": outcome}


def _take_share(given: Json) -> Json:
    commitment = OrderCommitment.decode(from_hex(given["commitment"]))
    committee = committee_of(
        from_hex(given["genesis_root"]),
        members=[from_hex(member) for member in given["members"]],
        t=int(given["t"]),
        committee_id=from_hex(given["committee_id"]),
        key_id=commitment.key_id,
        start_height=commitment.height,
    )
    follower = _follower(committee, commitment, any_batch(commitment))
    held = follower._shares.setdefault(commitment.height, {})
    for encoded in given["held"]:
        share = SignedShare.decode(from_hex(encoded))
        held[share.message.member] = share
    release = ShareRelease.decode(from_hex(given["release"]))
    known = release.share.message.member in held
    follower.receive(release)
    return {"member": str(release.share.message.member), "new": not known}


def _audit(given: Json) -> Json:
    try:
        report = audit.verify(from_hex(given["data"]))
    except audit.AuditFailed as error:
        if isinstance(error.__cause__, Rejected):
            raise error.__cause__ from error
        raise Malformed(str(error)) from error
    return {
        "heights": str(report.heights),
        "transactions": str(report.transactions),
        "waiting": str(report.pending),
        "dropped": [str(height) for height in report.dropped],
        "executed_height": str(report.executed_height),
        "state_root": to_hex(report.state_root),
    }


def _audit_records(given: Json) -> Json:
    try:
        records = list(audit._records(from_hex(given["data"])))
    except audit.AuditFailed as error:
        raise Malformed(str(error)) from error
    return {
        "records": [
            {"kind": record.kind.name.lower(), "height": str(record.height), "body": to_hex(record.body)}
            for record in records
        ]
    }


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "amount_out": _amount(pools.amount_out),
    "amount_in": _amount(pools.amount_in),
    "settle": _settle,
    "decode_call": _decode_call,
    "execute": _execute,
    "open_outcome": _open_outcome,
    "plaintext_root": _plaintext_root,
    "make_reveal": _make_reveal,
    "replay": _replay,
    "never_committed": _never_committed,
    "take_share": _take_share,
    "audit": _audit,
    "audit_records": _audit_records,
}
