"""Makes the proof of one transaction from a followed history. Who checks it needs `encmempool.proof` and no more."""

from __future__ import annotations

from collections.abc import Callable

from encmempool.audit import Published
from encmempool.branches import list_branch
from encmempool.committee import Ready
from encmempool.errors import EnvironmentProblem
from encmempool.execution.ledger import Failure, Ledger
from encmempool.forced import KnownInbox
from encmempool.genesis import ledger_of
from encmempool.keysets import NO_END
from encmempool.proof import AccountAfter, AccountBranch, Certified, Proof
from encmempool.reveal import Executed, Follower
from encmempool.state import StateTree
from encmempool.summaries import GenesisSummary
from encmempool.types import BATCH_DEPTH, Account, Proposal, SignedReceipt
from threshold.schemes.base import BatchKey


def prove(follower: Follower, tx_id: bytes) -> Proof:
    """The strongest proof that is possible by now: a state is shown once a certified commitment names one.

    follower    holds all heights from the transaction's on

    Raises EnvironmentProblem for a transaction that is not revealed, saying what to do. Cost: the work on the
    transaction's batch that needs no share, where it is not kept, and one hash for each account."""
    executed, position = _place(follower, tx_id)
    ready = executed.ready
    sender = ready.proposal.transactions[position].header.sender
    after = _after(follower, ready.commitment.height, sender)
    newest = after.named_by.commitment.message.height if after else ready.commitment.height
    key_sets = [c.signed for c in follower.chain.committees if c.key_set.start_height <= newest]
    return Proof(
        genesis=GenesisSummary.of(follower.committee.genesis),
        key_sets=tuple(key_sets),
        transaction=ready.proposal.transactions[position],
        receipts=_receipt(ready.proposal, position),
        ordered=_certified(follower, ready),
        position=position,
        branch=list_branch([t.tx_id for t in ready.proposal.transactions], position, BATCH_DEPTH),
        opening=_opening(follower, executed, position),
        before=_account(follower, ready.commitment.executed_height, sender),
        after=(after,) if after else (),
    )


def followed(history: Published, tx_id: bytes) -> Follower:
    """Who has checked a published history up to a commitment that names a state after the transaction, or to its end.

    Raises Malformed or Rejected for a history that breaks a rule."""
    found: list[int] = []

    def is_enough(proposal: Proposal) -> bool:
        commitment = proposal.commitment.message
        if any(transaction.tx_id == tx_id for transaction in proposal.transactions):
            found.append(commitment.height)
        return bool(found) and commitment.executed_height >= found[0]

    return _follow(history, is_enough)


def followed_to(history: Published, height: int) -> Follower:
    """The same up to a height."""
    return _follow(history, lambda proposal: proposal.commitment.message.height >= height)


def _follow(history: Published, is_enough: Callable[[Proposal], bool]) -> Follower:
    first, *successors = history.committees
    inbox = KnownInbox(head=NO_END)
    follower = Follower(first, successors=successors, inbox=inbox)
    for published in history.heights():
        commitment = published.proposal.commitment.message
        if published.drop is not None:
            follower.drop(published.drop)
            follower.take_reveal(commitment.height, None)
            continue
        while len(inbox.entries) < commitment.inbox_index:
            inbox.add(history.inbox_entry(len(inbox.entries)))
        if published.certificate is None:
            follower.propose(published.proposal)
            break
        follower.follow(published.proposal, published.certificate)
        if is_enough(published.proposal) or (published.reveal is None and commitment.count):
            break
        follower.take_reveal(commitment.height, published.reveal)
    return follower


def _place(follower: Follower, tx_id: bytes) -> tuple[Executed, int]:
    height = follower.chain.first_height
    while (ready := follower.chain.at(height)) is not None:
        ids = [transaction.tx_id for transaction in ready.proposal.transactions]
        if tx_id in ids:
            executed = follower.executed_at(height)
            if executed is None:
                raise EnvironmentProblem(
                    f"transaction 0x{tx_id.hex()} is committed at height {height} and not revealed yet: prove it once "
                    "that height is executed"
                )
            return executed, ids.index(tx_id)
        height += 1
    raise EnvironmentProblem(
        f"no commitment up to height {height - 1} holds transaction 0x{tx_id.hex()}: check the id, or take a newer "
        "history"
    )


def _receipt(proposal: Proposal, position: int) -> tuple[SignedReceipt, ...]:
    """None for a forced transaction."""
    received = position - len(proposal.forced)
    return () if received < 0 else (proposal.receipts[received],)


def _certified(follower: Follower, ready: Ready) -> Certified:
    certificate = follower.certificate(ready.commitment.height)
    if certificate is None:
        raise AssertionError("what is executed, or named as such, is certified")
    return Certified(commitment=ready.proposal.commitment, certificate=certificate)


def _opening(follower: Follower, executed: Executed, position: int) -> bytes:
    """Empty for what is undecryptable, but where the key of the height shows that it is."""
    if executed.reveal is None:
        raise AssertionError("a height with a transaction has a reveal")
    batch, committee = executed.ready.batch, follower.chain.committee_at(executed.ready.commitment.height)
    scheme = committee.scheme
    undecryptable = executed.opened[position].content is Failure.UNDECRYPTABLE
    if undecryptable and scheme.info.opened_alone_by == "body key":
        return b""
    batch_key = BatchKey.decode(executed.reveal.batch_key)
    return scheme.opening(committee.public_key, batch, batch_key, committee.precompute(batch), position)


def ledger_after(follower: Follower, height: int) -> Ledger:
    """That of a height which is held, or of the genesis below the first."""
    executed = follower.executed_at(height)
    return executed.state.ledger if executed else ledger_of(follower.committee.genesis)


def _account(follower: Follower, height: int, address: bytes) -> AccountBranch:
    ledger = ledger_after(follower, height)
    index, branch = StateTree(ledger).account_branch(address)
    account = Account(address=address, nonce=ledger.nonce(address), balance=ledger.balance(address))
    return AccountBranch(account=account, index=index, branch=branch)


def _after(follower: Follower, height: int, address: bytes) -> AccountAfter | None:
    """The account in the first state after a height that a certified commitment names."""
    at = height
    while (later := follower.chain.at(at := at + 1)) is not None and follower.certificate(at) is not None:
        if later.commitment.executed_height >= height:
            shown = _account(follower, later.commitment.executed_height, address)
            return AccountAfter(named_by=_certified(follower, later), shown=shown)
    return None
