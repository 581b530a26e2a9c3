"""Commitments that no honest sequencer signs, with what shows it, and the rule that each breaks.

Everything shown hangs on what the sequencer has signed: parents by their roots, transactions and accounts by branches.
What a commitment does not bind can show nothing: a sender's signature (TXN-7), anybody's clock, when a key will end,
the state's root itself. The verdict rests on the key set that the commitment names and on the genesis alone: under
which key set its height came to be in the end, its sequencer could not know.

Requirements:
EVD-8  a commitment that breaks VOT-2 to VOT-9, by itself or by what is shown with it, convicts the sequencer
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from encmempool.envelope import reservation
from encmempool.errors import Malformed, Rejected
from encmempool.exhibits import AccountEntry, Entry, account_under, check_entry
from encmempool.identity import require_signer
from encmempool.keysets import Committee
from encmempool.mempool import MAX_UNEXECUTED, candidate
from encmempool.ordering import Policy, committed_order
from encmempool.ssz import Limit, SszObject
from encmempool.types import (
    MAX_BATCH,
    ZERO_HASH,
    BatchList,
    Header,
    OrderCommitment,
    SignedCommitment,
    SignedReceipt,
    UnsignedTransaction,
)

EMPTY_BATCH = BatchList(tx_ids=()).root
Checks = Iterable[tuple[bool, str]]
"""Whether a rule is broken, and which."""


@dataclass(frozen=True, kw_only=True)
class InvalidCommitment(SszObject):
    """By itself, or next to its parent."""

    commitment: SignedCommitment
    parent: Annotated[tuple[OrderCommitment, ...], Limit(1)]


@dataclass(frozen=True, kw_only=True)
class InvalidEntry(SszObject):
    """An entry that cannot be committed; or entries of one sender next to his account in the state that is named."""

    commitment: SignedCommitment
    entries: Annotated[tuple[Entry, ...], Limit(MAX_BATCH)]
    accounts: Annotated[tuple[AccountEntry, ...], Limit(2)]


@dataclass(frozen=True, kw_only=True)
class RepeatedEntry(SszObject):
    """An entry and an earlier one, of the batch of the last ancestor shown; without ancestors, of the same batch.

    ancestors    each is the parent of the one before, the first that of the commitment
    """

    commitment: SignedCommitment
    ancestors: Annotated[tuple[OrderCommitment, ...], Limit(MAX_UNEXECUTED)]
    entry: Entry
    earlier: Entry


@dataclass(frozen=True, kw_only=True)
class InvalidBatch(SszObject):
    """A whole batch: its number, gas, nonces or order.

    parent      where entries can be forced: an order counts only if none was settled here
    receipts    those of all transactions, if the order goes by them
    accounts    of one sender
    """

    commitment: SignedCommitment
    parent: Annotated[tuple[OrderCommitment, ...], Limit(1)]
    transactions: Annotated[tuple[UnsignedTransaction, ...], Limit(MAX_BATCH)]
    receipts: Annotated[tuple[SignedReceipt, ...], Limit(MAX_BATCH)]
    accounts: Annotated[tuple[AccountEntry, ...], Limit(1)]


Fault = InvalidCommitment | InvalidEntry | RepeatedEntry | InvalidBatch


def broken_rule(shown: Fault, committee: Committee, *, recorded: bool = False) -> str:
    """The first rule that is shown to be broken. Raises Malformed, or Rejected EVD-8 or EVD-9 if there is none.

    committee    the one that the commitment names
    recorded     judged before: ciphertexts are not looked at again
    """
    committee.check_sequencer(shown.commitment)
    match shown:
        case InvalidCommitment():
            rule = _commitment_rule(shown, committee)
        case InvalidEntry():
            rule = _entry_rule(shown, committee, recorded=recorded)
        case RepeatedEntry():
            rule = _repetition_rule(shown)
        case InvalidBatch():
            rule = _batch_rule(shown, committee)
    if rule is None:
        raise Rejected("EVD-8", "what is shown breaks no rule")
    return rule


def _first(checks: Checks) -> str | None:
    return next((rule for broken, rule in checks if broken), None)


def _commitment_rule(shown: InvalidCommitment, committee: Committee) -> str | None:
    commitment = shown.commitment.message
    _check_links(commitment, shown.parent)
    beside = [check for parent in shown.parent for check in _next_to(commitment, parent, committee)]
    return _first([*_by_itself(commitment, committee), *beside])


def _by_itself(commitment: OrderCommitment, committee: Committee) -> Checks:
    key_set, genesis = committee.key_set, committee.genesis
    starts = commitment.height == key_set.start_height
    return (
        (commitment.key_id != key_set.key_id, "VOT-2"),
        (commitment.height < key_set.start_height, "VOT-2"),
        (starts and key_set.start_parent not in (ZERO_HASH, commitment.parent), "VOT-2"),
        ((commitment.count == 0) != (commitment.batch_root == EMPTY_BATCH), "VOT-3"),
        (commitment.policy_id != key_set.policy_id, "VOT-6"),
        (commitment.executed_height >= commitment.height, "VOT-7"),
        (commitment.height - commitment.executed_height > MAX_UNEXECUTED, "VOT-7"),
        (starts and commitment.round != key_set.start_round + bool(commitment.count), "VOT-8"),
        (0 < key_set.rounds < commitment.round and commitment.count > 0, "VOT-8"),
        (commitment.height > key_set.valid_until, "VOT-9"),
        (commitment.count > key_set.batch_limit, "VOT-9"),
        (commitment.inbox_index > 0 and genesis.deadlines.force_l1_blocks == 0, "VOT-9"),
        (commitment.timestamp_ms < genesis.timestamp_ms, "VOT-9"),
    )


def _next_to(commitment: OrderCommitment, parent: OrderCommitment, committee: Committee) -> Checks:
    starts = commitment.height == committee.key_set.start_height
    return (
        (commitment.height != parent.height + 1, "VOT-2"),
        (commitment.executed_height < parent.executed_height, "VOT-7"),
        (not starts and commitment.round != parent.round + bool(commitment.count), "VOT-8"),
        (commitment.l1_block < parent.l1_block, "VOT-9"),
        (commitment.inbox_index < parent.inbox_index, "VOT-9"),
        (commitment.timestamp_ms < parent.timestamp_ms, "VOT-9"),
    )


def _check_links(commitment: OrderCommitment, ancestors: Sequence[OrderCommitment]) -> None:
    for ancestor in ancestors:
        if ancestor.root != commitment.parent:
            raise Rejected("EVD-9", "an ancestor shown is not the parent of the commitment above it")
        commitment = ancestor


def _entry_rule(shown: InvalidEntry, committee: Committee, *, recorded: bool) -> str | None:
    commitment = shown.commitment.message
    if not shown.entries:
        raise Rejected("EVD-8", "no entry is shown")
    for entry in shown.entries:
        check_entry(entry, commitment)
    position = shown.entries[0].position
    if position.length != commitment.count or position.index >= commitment.count:
        return "VOT-3"
    if shown.accounts:
        return _sender_rule(shown, committee)
    if len(shown.entries) > 1:
        raise Rejected("EVD-8", "one entry is shown at a time, unless it is with its sender's account")
    return "VOT-5" if recorded or is_inadmissible(shown.entries[0].transaction, commitment, committee) else None


def is_inadmissible(transaction: UnsignedTransaction, commitment: OrderCommitment, committee: Committee) -> bool:
    """Whether TXN-1 to TXN-6, TXN-9 or the height forbid it, whoever signed it."""
    if has_bad_header(transaction, commitment, committee):
        return True
    try:
        committee.verify_ciphertext(transaction)
    except (Malformed, Rejected):
        return True
    return False


def has_bad_header(transaction: UnsignedTransaction, commitment: OrderCommitment, committee: Committee) -> bool:
    try:
        committee.terms.check_unsigned(transaction, height=commitment.height)
    except Rejected:
        return True
    return committee.terms.addresses_height and transaction.header.target_height != commitment.height


def _sender_rule(shown: InvalidEntry, committee: Committee) -> str | None:
    commitment = shown.commitment.message
    headers = [entry.transaction.header for entry in shown.entries]
    places = {entry.position.index for entry in shown.entries}
    if len({header.sender for header in headers}) > 1 or len(places) < len(shown.entries):
        raise Rejected("EVD-8", "entries of one sender are shown with the account, each once")
    nonce, balance = account_under(commitment.state_root, headers[0].sender, shown.accounts)
    return _first(
        (
            (any(not nonce <= header.nonce < nonce + commitment.count for header in headers), "VOT-5"),
            (sum(map(reservation, headers)) > balance, "VOT-5"),
        )
    )


def _repetition_rule(shown: RepeatedEntry) -> str | None:
    commitment = shown.commitment.message
    _check_links(commitment, shown.ancestors)
    holder = shown.ancestors[-1] if shown.ancestors else commitment
    check_entry(shown.entry, commitment)
    check_entry(shown.earlier, holder)
    if not shown.ancestors and shown.entry.position.index == shown.earlier.position.index:
        raise Rejected("EVD-8", "one entry is shown twice")
    own, other = shown.entry.transaction.header, shown.earlier.transaction.header
    unexecuted = bool(shown.ancestors) and holder.height > commitment.executed_height
    return _first(
        (
            (shown.entry.transaction.tx_id == shown.earlier.transaction.tx_id, "VOT-4"),
            ((own.sender, own.nonce) == (other.sender, other.nonce), "VOT-4"),
            (unexecuted and own.sender == other.sender, "VOT-4"),
        )
    )


def _batch_rule(shown: InvalidBatch, committee: Committee) -> str | None:
    commitment, transactions = shown.commitment.message, shown.transactions
    _check_links(commitment, shown.parent)
    if BatchList(tx_ids=tuple(t.tx_id for t in transactions)).root != commitment.batch_root:
        raise Rejected("EVD-9", "the transactions are not those of the commitment")
    headers = [transaction.header for transaction in transactions]
    nonces = _nonces_by_sender(headers)
    checks: list[tuple[bool, str]] = [
        (commitment.count != len(transactions), "VOT-3"),
        (any(len(set(own)) < max(own) - min(own) + 1 for own in nonces.values()), "VOT-5"),
        (sum(header.gas_limit for header in headers) > committee.genesis.gas_limit, "VOT-9"),
    ]
    for account in shown.accounts:
        sender = account.account.address
        if sender not in nonces:
            raise Rejected("EVD-8", "the account of somebody who sent nothing is shown")
        nonce, balance = account_under(commitment.state_root, sender, shown.accounts)
        reserved = sum(reservation(header) for header in headers if header.sender == sender)
        checks.append((min(nonces[sender]) != nonce or reserved > balance, "VOT-5"))
    checks.append((_is_out_of_order(shown, committee), "VOT-6"))
    return _first(checks)


def _nonces_by_sender(headers: Sequence[Header]) -> dict[bytes, list[int]]:
    nonces: dict[bytes, list[int]] = {}
    for header in headers:
        nonces.setdefault(header.sender, []).append(header.nonce)
    return nonces


def _is_out_of_order(shown: InvalidBatch, committee: Committee) -> bool:
    """Whether the policy orders the batch otherwise. False where that is not shown: forced entries come before what
    it orders, and arrival goes by receipts."""
    commitment, genesis = shown.commitment.message, committee.genesis
    try:
        policy = Policy(committee.key_set.policy_id)
    except ValueError as error:
        raise Malformed(str(error)) from error
    sequences = _sequences(shown, committee)
    if genesis.deadlines.force_l1_blocks and [p.inbox_index for p in shown.parent] != [commitment.inbox_index]:
        return False
    if not sequences:
        if policy is Policy.ARRIVAL:
            return False
        sequences = (0,) * len(shown.transactions)
    candidates = tuple(
        candidate(transaction, sequence=sequence, base_fee=genesis.base_fee)
        for transaction, sequence in zip(shown.transactions, sequences, strict=True)
    )
    return committed_order(policy, candidates) != candidates


def _sequences(shown: InvalidBatch, committee: Committee) -> tuple[int, ...]:
    """Of the receipts shown: none, or the sequencer's own for every transaction. Raises Rejected EVD-8."""
    if not shown.receipts:
        return ()
    if [signed.message.tx_id for signed in shown.receipts] != [t.tx_id for t in shown.transactions]:
        raise Rejected("EVD-8", "the receipts are not those of the transactions")
    for signed in shown.receipts:
        require_signer(
            committee.key_set.sequencer,
            signed.message,
            signed.signature,
            committee.terms.genesis_root,
            rule="EVD-8",
            who="the sequencer",
        )
    return tuple(signed.message.sequence for signed in shown.receipts)
