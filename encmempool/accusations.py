"""What a commitment that was refused may show of its sequencer. Looks for it; `encmempool.evidence` judges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from encmempool.committee import Chain
from encmempool.envelope import reservation
from encmempool.exhibits import accounts_of, entry_of
from encmempool.faults import Fault, InvalidBatch, InvalidCommitment, InvalidEntry, RepeatedEntry, has_bad_header
from encmempool.keysets import Committee
from encmempool.mempool import MAX_UNEXECUTED
from encmempool.types import OrderCommitment, Proposal, State, Transaction, UnsignedTransaction
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
    if transactions and commitment.count != len(transactions):
        yield InvalidEntry(commitment=signed, entries=(entry_of(transactions, 0),), accounts=())
    for later, earlier, depth in _repetitions(transactions, ancestors, chain):
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
    yield InvalidBatch(
        commitment=signed, parent=ancestors[:1], transactions=transactions, receipts=proposal.receipts, accounts=()
    )


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
    transactions: Sequence[UnsignedTransaction], ancestors: Sequence[OrderCommitment], chain: Chain
) -> Iterator[tuple[int, int, int]]:
    """Entries whose sender stands at an earlier place too, with that place and how many ancestors back it is.

    Of one batch only the same nonce counts; of ancestors the judge knows what does."""
    places: dict[tuple[bytes, int], int] = {}
    for at, header in enumerate(transaction.header for transaction in transactions):
        earlier = places.setdefault((header.sender, header.nonce), at)
        if earlier != at:
            yield at, earlier, 0
    own = {transaction.header.sender: at for at, transaction in enumerate(transactions)}
    for depth, ancestor in enumerate(ancestors, 1):
        for at, transaction in enumerate(_batch(chain, ancestor.height)):
            if transaction.header.sender in own:
                yield own[transaction.header.sender], at, depth


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
            shown = accounts_of(state, sender)
            accounts = shown if sender in known else ()
            yield InvalidBatch(
                commitment=batch.commitment,
                parent=batch.parent,
                transactions=batch.transactions,
                receipts=(),
                accounts=accounts,
            )
