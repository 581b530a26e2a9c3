"""What a commitment that was refused may show of its sequencer. Looks for it; `encmempool.evidence` judges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from encmempool.committee import Chain
from encmempool.envelope import reservation
from encmempool.exhibits import accounts_of, entry_of
from encmempool.faults import Fault, InvalidBatch, InvalidCommitment, InvalidEntry, RepeatedEntry, has_bad_header
from encmempool.keysets import Committee
from encmempool.mempool import MAX_UNEXECUTED, candidate
from encmempool.ordering import Policy, committed_order
from encmempool.types import BatchList, OrderCommitment, Proposal, State, Transaction, UnsignedTransaction
from threshold.schemes.base import VerifiedCiphertext


def accusations(proposal: Proposal, committee: Committee, chain: Chain, state: State | None) -> Iterator[Fault]:
    """The smallest first.

    committee    the one that the commitment names
    state        that of its executed height, or None if it has another one
    """
    signed, commitment = proposal.commitment, proposal.commitment.message
    ancestors = _ancestors(commitment, chain)
    transactions = tuple(transaction.unsigned for transaction in proposal.transactions)
    yield InvalidCommitment(commitment=signed, parent=())
    yield InvalidCommitment(commitment=signed, parent=ancestors[:1])
    if BatchList(tx_ids=tuple(t.tx_id for t in transactions)).root != commitment.batch_root:
        return  # anybody can put other transactions beside a commitment
    if transactions and commitment.count != len(transactions):
        yield InvalidEntry(commitment=signed, entries=(entry_of(transactions, 0),), accounts=())
    for later, earlier, depth in _repetitions(transactions, commitment, ancestors, chain):
        held = transactions if depth == 0 else _batch(chain, ancestors[depth - 1].height)
        yield RepeatedEntry(
            commitment=signed,
            ancestors=ancestors[:depth],
            entry=entry_of(transactions, later),
            earlier=entry_of(held, earlier),
        )
    for at in _inadmissible(transactions, commitment, committee):
        yield InvalidEntry(commitment=signed, entries=(entry_of(transactions, at),), accounts=())
    batch = InvalidBatch(commitment=signed, parent=ancestors[:1], transactions=transactions, receipts=(), accounts=())
    if state is not None:
        yield from _senders(batch, state)
    yield batch
    if _is_out_of_order(proposal, committee):
        yield replace(batch, receipts=proposal.receipts)


def _is_out_of_order(proposal: Proposal, committee: Committee) -> bool:
    if len(proposal.receipts) != len(proposal.transactions):
        return False
    candidates = tuple(
        candidate(transaction, sequence=signed.message.sequence, base_fee=committee.genesis.base_fee)
        for transaction, signed in zip(proposal.transactions, proposal.receipts, strict=True)
    )
    return committed_order(Policy(committee.key_set.policy_id), candidates) != candidates


def _ancestors(commitment: OrderCommitment, chain: Chain) -> tuple[OrderCommitment, ...]:
    """Those at hand, the parent first."""
    found: list[OrderCommitment] = []
    for height in range(commitment.height - 1, commitment.height - 1 - MAX_UNEXECUTED, -1):
        known = chain.commitment_at(height)
        if known is None or known.message.root != (found[-1] if found else commitment).parent:
            break
        found.append(known.message)
    return tuple(found)


def _batch(chain: Chain, height: int) -> tuple[Transaction, ...]:
    ready = chain.at(height)
    return ready.proposal.transactions if ready else ()


def _repetitions(
    transactions: Sequence[UnsignedTransaction],
    commitment: OrderCommitment,
    ancestors: Sequence[OrderCommitment],
    chain: Chain,
) -> Iterator[tuple[int, int, int]]:
    """An entry, one before it that it must not follow, and how many ancestors back that one is: 0 in the same batch."""
    places: dict[tuple[bytes, int], int] = {}
    senders: dict[bytes, int] = {}
    for at, header in enumerate(transaction.header for transaction in transactions):
        senders.setdefault(header.sender, at)
        earlier = places.setdefault((header.sender, header.nonce), at)
        if earlier != at:
            yield at, earlier, 0
    for depth, ancestor in enumerate(ancestors, 1):
        waits = ancestor.height > commitment.executed_height
        for at, header in enumerate(transaction.header for transaction in _batch(chain, ancestor.height)):
            later = senders.get(header.sender) if waits else places.get((header.sender, header.nonce))
            if later is not None:
                yield later, at, depth


def _inadmissible(
    transactions: Sequence[UnsignedTransaction], commitment: OrderCommitment, committee: Committee
) -> Iterator[int]:
    for at, transaction in enumerate(transactions):
        if has_bad_header(transaction, commitment, committee):
            yield at
            return
    for at, result in enumerate(committee.examine_ciphertexts(transactions)):
        if not isinstance(result, VerifiedCiphertext):
            yield at


def _senders(batch: InvalidBatch, state: State) -> Iterator[Fault]:
    """What a state says of those who cannot send what they are said to."""
    known = {account.address: (account.nonce, account.balance) for account in state.accounts}
    for sender in dict.fromkeys(transaction.header.sender for transaction in batch.transactions):
        nonce, balance = known.get(sender, (0, 0))
        own = [at for at, transaction in enumerate(batch.transactions) if transaction.header.sender == sender]
        headers = [batch.transactions[at].header for at in own]
        nonces = sorted(header.nonce for header in headers)
        if nonces[0] < nonce or sum(map(reservation, headers)) > balance:
            yield InvalidEntry(
                commitment=batch.commitment,
                entries=tuple(entry_of(batch.transactions, at) for at in own),
                accounts=accounts_of(state, sender),
            )
        elif nonces[0] > nonce or any(second > first + 1 for first, second in pairwise(nonces)):
            yield replace(batch, accounts=accounts_of(state, sender) if sender in known else ())
