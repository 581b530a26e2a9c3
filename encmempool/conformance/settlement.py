"""Answers to the operations of specs/settlement.md: what the package hands to the contracts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from encmempool.conformance.values import Json, bytes_list, from_hex, object_type, to_hex
from encmempool.errors import Malformed
from encmempool.identity import recover
from encmempool.settlement.deployment import Parameters
from encmempool.settlement.leaves import (
    ACCOUNTS_INDEX,
    BATCH_INDEX,
    Signature,
    account_branch,
    batch_branch,
    check_branch,
    exit_address,
    leaves,
    posting,
    promise,
    signature,
)
from encmempool.ssz import merkleize
from encmempool.types import (
    BatchList,
    Deadlines,
    EncryptedTransaction,
    OrderCertificate,
    Receipt,
    SignedCommitment,
    SignedReceipt,
    State,
    signing_digest,
)
from threshold.errors import Rejected
from threshold.pieces import row_branch

_FIRST = {"batch": BATCH_INDEX, "accounts": ACCOUNTS_INDEX}


def _leaves(given: Json) -> Json:
    message = object_type(given["type"]).decode(from_hex(given["encoded"]))
    return {"leaves": _hexed(leaves(message)), "root": to_hex(message.root)}


def _recover(given: Json) -> Json:
    encoded = from_hex(given["signature"])
    message = object_type(given["type"]).decode(from_hex(given["encoded"]))
    digest = signing_digest(message, from_hex(given["genesis_root"]))
    signer = recover(digest, encoded)
    return {"digest": to_hex(digest), **_parts(signature(encoded)), "signer": to_hex(signer)}


def _posting(given: Json) -> Json:
    commitment = SignedCommitment.decode(from_hex(given["commitment"]))
    certificate = OrderCertificate.decode(from_hex(given["certificate"]))
    made, sequencer, votes = posting(commitment, certificate.signatures)
    return {"leaves": _hexed(made), "signature": _parts(sequencer), "votes": [_parts(vote) for vote in votes]}


def _promise(given: Json) -> Json:
    receipt = SignedReceipt(message=Receipt.decode(from_hex(given["receipt"])), signature=bytes(65))
    transaction = EncryptedTransaction.decode(from_hex(given["transaction"]))
    of_receipt, header, ciphertext_root = promise(receipt, transaction)
    return {"receipt": _hexed(of_receipt), "header": _hexed(header), "ciphertext_root": to_hex(ciphertext_root)}


def _batch_branch(given: Json) -> Json:
    tx_ids, position = bytes_list(given["tx_ids"]), int(given["position"])
    branch, root = batch_branch(tx_ids, position), BatchList(tx_ids=tx_ids).root
    return _branch(BATCH_INDEX, tx_ids[position], position, branch, root)


def _account_branch(given: Json) -> Json:
    state = State.decode(from_hex(given["state"]))
    try:
        position, branch = account_branch(state, from_hex(given["address"]))
    except KeyError as error:
        raise Rejected("STL-5", f"the state has no account {error}") from error
    made = _branch(ACCOUNTS_INDEX, state.accounts[position].root, position, branch, state.root)
    return {"position": str(position), **made}


def _branch(first: int, leaf: bytes, position: int, branch: Sequence[bytes], root: bytes) -> Json:
    return {
        "branch": _hexed(branch),
        "index": str(check_branch(first, leaf, position, branch, root)),
        "root": to_hex(root),
    }


def _row_branch(given: Json) -> Json:
    nodes = bytes_list(given["leaves"])
    first, count, levels = (int(given[name]) for name in ("first", "count", "levels"))
    try:
        branch = row_branch(b"".join(nodes), first, count, levels)
    except ValueError as error:
        raise Rejected("STL-46", str(error)) from error
    return {"branch": _hexed(branch), "root": to_hex(merkleize(nodes, levels))}


def _check_branch(given: Json) -> Json:
    leaf, root = from_hex(given["leaf"]), from_hex(given["root"])
    branch, position = bytes_list(given["branch"]), int(given["position"])
    return {"index": str(check_branch(_FIRST[given["list"]], leaf, position, branch, root))}


def _exit_address(given: Json) -> Json:
    return {"address": to_hex(exit_address(from_hex(given["user"])))}


def _check_parameters(given: Json) -> Json:
    deadlines = Deadlines.decode(from_hex(given["deadlines"]))
    try:
        Parameters(**{name: int(value) for name, value in given["parameters"].items()}).check_deadlines(deadlines)
    except ValueError as error:
        raise Malformed(str(error)) from error
    return {"parameters": given["parameters"]}


def _hexed(items: Sequence[bytes]) -> list[str]:
    return [to_hex(item) for item in items]


def _parts(made: Signature) -> Json:
    return {name: str(part) for name, part in zip("rsv", made, strict=True)}


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "leaves": _leaves,
    "recover": _recover,
    "posting": _posting,
    "promise": _promise,
    "batch_branch": _batch_branch,
    "account_branch": _account_branch,
    "row_branch": _row_branch,
    "check_branch": _check_branch,
    "exit_address": _exit_address,
    "check_parameters": _check_parameters,
}
