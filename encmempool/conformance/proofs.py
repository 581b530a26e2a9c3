"""The page `proofs`, answered by this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from encmempool.branches import fold, list_branch
from encmempool.checkpoint import ledger_state_of
from encmempool.conformance.values import Json, bytes_list, from_hex, to_hex
from encmempool.execution.ledger import Ledger
from encmempool.proof import Proof, ProvenState, verify
from encmempool.state import StateTree, account_place
from encmempool.summaries import GenesisSummary
from encmempool.types import Genesis, State, account_root
from threshold.curve import DEFAULT_BACKEND
from threshold.errors import Malformed


def operations(backend: str = DEFAULT_BACKEND) -> dict[str, Callable[[Json], Json]]:
    def answer_verify(given: Json) -> Json:
        proof = Proof.of_file(from_hex(given["proof"]))
        shown = verify(proof, genesis_root=from_hex(given["genesis_root"]), backend=backend)
        return {
            "tx_id": to_hex(shown.tx_id),
            "height": str(shown.height),
            "commitment_root": to_hex(shown.commitment_root),
            "position": str(shown.position),
            "count": str(shown.count),
            "sequence": None if shown.sequence is None else str(shown.sequence),
            "opened_by": shown.opened_by,
            "payload": None if shown.payload is None else to_hex(shown.payload),
            "plaintext_root": to_hex(shown.plaintext_root),
            "outcomes": [outcome.text for outcome in shown.outcomes],
            "success": shown.success,
            "state": None if shown.state is None else _state(shown.state),
        }

    return {
        "verify": answer_verify,
        "summary": _summary,
        "list_branch": _list_branch,
        "fold": _fold,
        "account_branch": _account_branch,
    }


def _state(state: ProvenState) -> Json:
    return {field.name: _plain(getattr(state, field.name)) for field in fields(state)}


def _plain(value: Any) -> str:
    return to_hex(value) if isinstance(value, bytes) else str(value)


def _summary(given: Json) -> Json:
    made = GenesisSummary.of(Genesis.decode(from_hex(given["genesis"])))
    return {"summary": to_hex(made.encoded), "root": to_hex(made.root)}


def _list_branch(given: Json) -> Json:
    leaves, index = bytes_list(given["leaves"]), int(given["index"])
    try:
        branch = list_branch(leaves, index, int(given["depth"]))
    except ValueError as error:
        raise Malformed(str(error)) from error
    return {"branch": [to_hex(node) for node in branch], "root": to_hex(fold(leaves[index], index, branch))}


def _fold(given: Json) -> Json:
    return {"root": to_hex(fold(from_hex(given["leaf"]), int(given["index"]), bytes_list(given["branch"])))}


def _account_branch(given: Json) -> Json:
    state, address = State.decode(from_hex(given["state"])), from_hex(given["address"])
    empty = Ledger(
        chain_id=1,
        accounts={},
        token_balances={},
        pools=(),
        router=bytes(20),
        weth=bytes(20),
        base_fee=0,
        fee_recipient=bytes(20),
    )
    try:
        index, branch = StateTree(empty.in_state(ledger_state_of(state), burned=0)).account_branch(address)
    except ValueError as error:
        raise Malformed(str(error)) from error
    account = state.accounts[index]
    root = fold(account_root(account.address, account.nonce, account.balance), account_place(index), branch)
    return {"index": str(index), "branch": [to_hex(node) for node in branch], "root": to_hex(root)}
