"""What became of one transaction, shown in a few kilobytes to somebody who knows the network's genesis root alone.

Everything here runs without a node, a database and a key's parameters, which may have megabytes: it fits a light
client. It rests on the genesis root, on hashes, and on t members of each committee: that of those who signed fewer
than t are dishonest. What `verify` establishes:

* t members fixed the transaction at its position of its height's batch, and the sequencer received it;
* with a later state, that the height was executed, and the sender's nonce and balance after it, as t members computed
  them;
* with an opening, the payload. What that rests on depends on the scheme. `clear`: nothing is closed. `ibe`: the key of
  the height is checked against the committee's own, whatever it yields. `tdh2`, `simple-bte`, `fptx`: a key of the
  sealed body. What it opens is authentic and signed by the sender, and an honest one's ciphertext has no other; but
  nothing short of the whole batch ties it to the committee's key. A sender may have sealed the body under one that the
  committee does not find: then the network has the transaction as undecryptable;
* with both states, that it ran and succeeded, if the sender made no other transaction between them and has less by more
  than it may be charged: only value that it sent explains that. Then the payload shown is the one that ran.

Not established: else, whether it succeeded or reverted, nor what a swap gave. Who is to be paid by a transaction looks
at his own account in a certified state.

Requirements:
PRF-1  the proof is the canonical encoding of a Proof of the network whose genesis root is known
PRF-2  its key sets descend from that genesis
PRF-3  a commitment is its key set's, signed by the sequencer, and certified by t members
PRF-4  the branch leads from the transaction's id, at its position, to the batch root
PRF-5  the transaction, and its receipt if one is shown, pass the checks of admission
PRF-6  the opening has the form that the scheme asks for, and opens the transaction
PRF-7  the states shown are that which the transaction's commitment names, and one after its height, named by another
       commitment as in PRF-3; both hold the sender's account, the later one with the transaction's nonce used
PRF-8  of the outcomes, those are named that what was shown leaves possible
PRF-10 the transaction succeeded where only the value that it sent explains the sender's balance
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from encmempool.branches import fold
from encmempool.certificates import check_certificate
from encmempool.envelope import Terms, check_receipt, reservation
from encmempool.errors import Malformed, Rejected
from encmempool.execution.ledger import Failure
from encmempool.identity import require_signer
from encmempool.keysets import check_chain
from encmempool.outcomes import OpenedEntry, Outcome, open_entry
from encmempool.ssz import U32, ByteList, Hash, Limit, SszObject, uint_chunk
from encmempool.state import ACCOUNT_BRANCH, account_place
from encmempool.summaries import GenesisSummary
from encmempool.types import (
    BATCH_DEPTH,
    STATE_DEPTH,
    ZERO_HASH,
    Account,
    EncryptedTransaction,
    Header,
    KeySet,
    OrderCertificate,
    OrderCommitment,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    plaintext_root,
)
from threshold.curve import DEFAULT_BACKEND
from threshold.schemes.base import Scheme
from threshold.schemes.registry import load_scheme, scheme_name

MAGIC = b"encmempool proof 1\n"
MAX_PROOF_KEY_SETS = 1 << 10
MAX_BRANCH_NODES = 1 << 5
MAX_OPENING_BYTES = 1 << 6
OPENING_BYTES = {"nothing": (0,), "height key": (0, 48), "body key": (0, 32)}
REVEALED = tuple(outcome for outcome in Outcome if outcome <= Outcome.NOT_EXECUTABLE)
"""What a transaction of an executed height became one of."""


@dataclass(frozen=True, kw_only=True)
class Certified(SszObject):
    """A commitment with the votes of t members for it."""

    commitment: SignedCommitment
    certificate: OrderCertificate


@dataclass(frozen=True, kw_only=True)
class AccountBranch(SszObject):
    """An account and its way to a state root; `index` is its place in the state's list."""

    account: Account
    index: U32
    branch: Annotated[tuple[Hash, ...], Limit(MAX_BRANCH_NODES)]


@dataclass(frozen=True, kw_only=True)
class AccountAfter(SszObject):
    """An account in the state that a certified commitment names."""

    named_by: Certified
    shown: AccountBranch


@dataclass(frozen=True, kw_only=True)
class Proof(SszObject):
    """
    key_sets    all up to the newest height that the proof speaks of
    receipts    the transaction's; none for one that was forced in
    ordered     the commitment that lists the transaction
    branch      from its id to the batch root
    opening     as `Scheme.opening` makes it; empty where nothing is closed, or where none is shown
    before      the sender's account in the state that `ordered` names
    after       the same after the transaction's height, if a commitment names that state already
    """

    genesis: GenesisSummary
    key_sets: Annotated[tuple[SignedKeySet, ...], Limit(MAX_PROOF_KEY_SETS)]
    transaction: EncryptedTransaction
    receipts: Annotated[tuple[SignedReceipt, ...], Limit(1)]
    ordered: Certified
    position: U32
    branch: Annotated[tuple[Hash, ...], Limit(MAX_BRANCH_NODES)]
    opening: Annotated[bytes, ByteList(MAX_OPENING_BYTES)]
    before: AccountBranch
    after: Annotated[tuple[AccountAfter, ...], Limit(1)]

    @property
    def file(self) -> bytes:
        return MAGIC + self.encoded

    @classmethod
    def of_file(cls, data: bytes) -> Proof:
        """Raises Malformed."""
        if not data.startswith(MAGIC):
            raise Malformed("the file does not start as a proof of version 1")
        return cls.decode(data[len(MAGIC) :])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenState:
    """The sender's account after executed_height, as the commitment of `height` says."""

    height: int
    executed_height: int
    state_root: bytes
    nonce: int
    balance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenTransaction:
    """What a proof shows.

    position     in the committed batch, from 0, of `count`
    sequence     of the sequencer's receipt, or None if none is shown: a forced transaction has none
    opened_by    what shows the payload: nothing, height key or body key; None if nothing does
    payload      the raw signed transaction, or None where nothing was opened
    outcomes     those that are possible by what was shown; none if not even the height's execution was
    success      whether it is shown that the transaction succeeded; if not, it may have reverted
    """

    genesis_root: bytes
    tx_id: bytes
    sender: bytes
    nonce: int
    scheme: str
    members: int
    threshold: int
    height: int
    timestamp_ms: int
    commitment_root: bytes
    position: int
    count: int
    sequence: int | None
    opened_by: str | None
    payload: bytes | None
    plaintext_root: bytes
    outcomes: tuple[Outcome, ...]
    success: bool
    state: ProvenState | None


def verify(proof: Proof, *, genesis_root: bytes, backend: str = DEFAULT_BACKEND) -> ProvenTransaction:
    """Raises Malformed or Rejected. Cost: t signatures and one more for each key set and commitment, and under `ibe`
    three pairings."""
    if proof.genesis.root != genesis_root:
        raise Rejected("PRF-1", f"the proof is of another network: its genesis root is 0x{proof.genesis.root.hex()}")
    if not proof.key_sets:
        raise Rejected("PRF-2", "a proof shows the key sets of its network")
    check_chain(proof.genesis, proof.key_sets, backend=backend)
    key_sets = [signed.message for signed in proof.key_sets]
    commitment, transaction = proof.ordered.commitment.message, proof.transaction
    key_set = _check_certified(proof.ordered, key_sets)
    scheme = load_scheme(scheme_name(key_set.scheme), backend)
    _check_place(transaction.tx_id, proof.position, proof.branch, commitment)
    _check_admission(proof, _terms(proof.genesis, key_set, scheme))
    opened = _opened(proof, key_set, scheme)
    before = _checked_account(proof.before, transaction, commitment.state_root)
    state = _checked_after(proof.after[0], transaction, commitment, key_sets) if proof.after else None
    success = state is not None and _sent(transaction.header, before, state, proof.genesis.base_fee)
    payload = opened.payload if opened else None
    return ProvenTransaction(
        genesis_root=genesis_root,
        tx_id=transaction.tx_id,
        sender=transaction.header.sender,
        nonce=transaction.header.nonce,
        scheme=scheme.info.name,
        members=key_set.n,
        threshold=key_set.t,
        height=commitment.height,
        timestamp_ms=commitment.timestamp_ms,
        commitment_root=commitment.root,
        position=proof.position,
        count=commitment.count,
        sequence=proof.receipts[0].message.sequence if proof.receipts else None,
        opened_by=scheme.info.opened_alone_by if opened else None,
        payload=payload,
        plaintext_root=ZERO_HASH if payload is None else plaintext_root(payload),
        outcomes=(Outcome.EXECUTED,) if success else _outcomes(transaction.header, opened, before, state),
        success=success,
        state=state,
    )


def _check_certified(certified: Certified, key_sets: Sequence[KeySet]) -> KeySet:
    """PRF-3; the key set of the commitment's height."""
    signed, commitment = certified.commitment, certified.commitment.message
    key_set = next((k for k in reversed(key_sets) if k.start_height <= commitment.height), key_sets[0])
    if not key_set.start_height <= commitment.height <= key_set.valid_until:
        raise Rejected("PRF-3", f"height {commitment.height} is none of the key sets'")
    if (commitment.committee_id, commitment.key_id) != (key_set.root, key_set.key_id):
        raise Rejected("PRF-3", f"height {commitment.height} has another committee or key than the commitment names")
    require_signer(
        key_set.sequencer, commitment, signed.signature, key_set.genesis_root, rule="VOT-1", who="the sequencer"
    )
    check_certificate(key_set, certified.certificate, commitment)
    return key_set


def _check_place(tx_id: bytes, position: int, branch: Sequence[bytes], commitment: OrderCommitment) -> None:
    if not position < commitment.count or len(branch) != BATCH_DEPTH + 1 or branch[-1] != uint_chunk(commitment.count):
        raise Rejected("PRF-4", "the branch is not one of a batch of that many transactions")
    if fold(tx_id, position, branch) != commitment.batch_root:
        raise Rejected("PRF-4", "the branch does not lead from the transaction to the batch root")


def _check_admission(proof: Proof, terms: Terms) -> None:
    height, header = proof.ordered.commitment.message.height, proof.transaction.header
    terms.check(proof.transaction, height=height)
    if terms.addresses_height and header.target_height != height:
        raise Rejected("PRF-5", f"the transaction is addressed to height {header.target_height}")
    for receipt in proof.receipts:
        check_receipt(terms, proof.transaction, receipt)


def _terms(genesis: GenesisSummary, key_set: KeySet, scheme: Scheme) -> Terms:
    return Terms(
        genesis=genesis,
        key_set=key_set,
        overhead_bytes=scheme.info.ciphertext_overhead_bytes,
        addresses_height=scheme.info.addresses_height,
    )


def _opened(proof: Proof, key_set: KeySet, scheme: Scheme) -> OpenedEntry | None:
    """PRF-6; None where nothing is shown."""
    transaction, by = proof.transaction, scheme.info.opened_alone_by
    if len(proof.opening) not in OPENING_BYTES[by]:
        raise Rejected("PRF-6", f"an opening of {len(proof.opening)} bytes is none of the scheme {scheme.info.name}")
    if by != "nothing" and not proof.opening:
        return None
    opened = scheme.open_alone(
        key_set.encryption_key,
        key_set.key_id,
        transaction.ciphertext,
        aad=transaction.header.root,
        height=transaction.header.target_height,
        opening=proof.opening,
    )
    return open_entry(proof.genesis, transaction.header, opened)


def _checked_account(shown: AccountBranch, transaction: EncryptedTransaction, state_root: bytes) -> Account:
    """PRF-7, of one state."""
    account = shown.account
    if account.address != transaction.header.sender:
        raise Rejected("PRF-7", "the account is not the sender's")
    if len(shown.branch) != ACCOUNT_BRANCH or shown.index >= 1 << STATE_DEPTH:
        raise Rejected("PRF-7", "the branch is not one of a state's account")
    if fold(account.root, account_place(shown.index), shown.branch) != state_root:
        raise Rejected("PRF-7", "the branch does not lead from the account to the state root")
    return account


def _checked_after(
    after: AccountAfter, transaction: EncryptedTransaction, commitment: OrderCommitment, key_sets: Sequence[KeySet]
) -> ProvenState:
    """PRF-7, of the later state."""
    later = after.named_by.commitment.message
    _check_certified(after.named_by, key_sets)
    if not commitment.height <= later.executed_height < later.height:
        raise Rejected("PRF-7", f"the state shown is that of height {later.executed_height}")
    account = _checked_account(after.shown, transaction, later.state_root)
    if account.nonce <= transaction.header.nonce:
        raise Rejected("PRF-7", "the sender has not used the transaction's nonce in the state shown")
    return ProvenState(
        height=later.height,
        executed_height=later.executed_height,
        state_root=later.state_root,
        nonce=account.nonce,
        balance=account.balance,
    )


def _alone(header: Header, before: Account, after: ProvenState | None) -> bool:
    """Whether the transaction is the sender's only one between two states. Others only add to an account."""
    return after is not None and before.nonce == header.nonce == after.nonce - 1


def _sent(header: Header, before: Account, after: ProvenState, base_fee: int) -> bool:
    """PRF-10: the sender has less by more than the transaction may be charged."""
    price = min(header.max_fee_per_gas, base_fee + header.max_priority_fee_per_gas)
    return _alone(header, before, after) and before.balance - after.balance > header.gas_limit * price


def _outcomes(
    header: Header, opened: OpenedEntry | None, before: Account, after: ProvenState | None
) -> tuple[Outcome, ...]:
    """PRF-8."""
    if opened is None:
        return REVEALED if after else ()
    if isinstance(opened.content, Failure):
        return (Outcome[opened.content.name],)
    # The members who voted checked nonce, fee and reservation: a transaction fails to run only if it sends more than
    # there is.
    covered = _alone(header, before, after) and opened.content.value <= before.balance - reservation(header)
    return (Outcome.EXECUTED,) if covered or not opened.content.value else (Outcome.EXECUTED, Outcome.NOT_EXECUTABLE)
