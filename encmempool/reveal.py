"""From shares to executed state: combine, decrypt, decide an outcome for every position, execute in order.

Anyone can do this from published messages. It is total: a transaction that cannot be opened or run gets an outcome,
never an exception, and never holds up its batch.

Requirements:
REV-1  shares count by (commitment root, member); each is signed by that member and comes with its certificate
REV-2  a wrong share is refused and its member named; any t valid ones open the batch
REV-3  every position gets exactly one outcome
REV-4  the reveal's outcomes and plaintext roots are what its batch key yields
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from encmempool.committee import PROPOSAL, Chain, Ready, check_certificate, proposal_record
from encmempool.errors import Malformed, Rejected
from encmempool.ethereum import EthereumTransaction
from encmempool.execution.ledger import Entry, ExecutionReceipt, Failure, Ledger
from encmempool.genesis import ledger_of
from encmempool.keysets import Committee
from encmempool.mempool import MAX_UNEXECUTED, StateAt, candidate
from encmempool.ordering import Policy, execution_order
from encmempool.state import StateTree
from encmempool.store import Records
from encmempool.transactions import check_payload, unpad
from encmempool.types import (
    MAX_BATCH_KEY_BYTES,
    ZERO_HASH,
    EncryptedTransaction,
    Opened,
    OrderCertificate,
    Proposal,
    Reveal,
    ShareRelease,
    SignedShare,
    plaintext_root,
)
from threshold.encoding import u16, u64
from threshold.errors import NotEnoughShares
from threshold.sansio import Persist
from threshold.schemes.base import BatchKey, Share, Undecryptable

CERTIFICATE = "certificate"
SHARE = "member-share"
REVEAL = "reveal"
KEPT_STATES = 2 * MAX_UNEXECUTED

Stage = Callable[[str], AbstractContextManager[object]]


def no_stage(name: str) -> AbstractContextManager[object]:
    """Measures nothing."""
    return nullcontext()


class Outcome(IntEnum):
    """What can become of a transaction; the numbers stand in reveals."""

    EXECUTED = 1
    UNDECRYPTABLE = 2
    BAD_PADDING = 3
    BAD_PAYLOAD = 4
    HEADER_MISMATCH = 5
    NOT_EXECUTABLE = 6
    EXPIRED = 7
    KEY_ENDED = 8
    NOT_COMMITTED = 9
    DROPPED = 10
    FORCED_INVALID = 11
    NOT_COMMITTED_OPENED = 12

    @property
    def text(self) -> str:
        return self.name.lower()


_OUTCOMES = {outcome.text: outcome for outcome in Outcome}


class Snapshot:
    """The ledger as a height left it; nobody changes it any more."""

    def __init__(self, height: int, ledger: Ledger) -> None:
        self.height = height
        self.ledger = ledger

    @cached_property
    def _tree(self) -> StateTree:
        return StateTree(self.ledger)

    @cached_property
    def root(self) -> bytes:
        return self._tree.root

    def execute(
        self, height: int, timestamp_ms: int, entries: Sequence[Entry]
    ) -> tuple[Snapshot, tuple[ExecutionReceipt, ...]]:
        """The next snapshot, and a receipt for each entry."""
        ledger = self.ledger.copy()
        receipts = ledger.execute(height, timestamp_ms, entries)
        following = Snapshot(height, ledger)
        following._tree = self._tree.after(ledger)
        return following, receipts

    def settle(self) -> None:
        """Keep the root alone: the next snapshot has a tree of its own."""
        _ = self.root
        del self._tree

    def nonce(self, address: bytes) -> int:
        return self.ledger.nonce(address)

    def balance(self, address: bytes) -> int:
        return self.ledger.balance(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEntry:
    """One position after decryption: its payload if there is one, and what the ledger is to make of it."""

    payload: bytes | None
    content: EthereumTransaction | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A height that is open and run. `receipts` are by position of the committed batch."""

    ready: Ready
    certificate: OrderCertificate | None
    reveal: Reveal | None
    opened: tuple[OpenedEntry, ...]
    receipts: tuple[ExecutionReceipt, ...]
    state: Snapshot


def open_entry(committee: Committee, transaction: EncryptedTransaction, opened: bytes | Undecryptable) -> OpenedEntry:
    """The outcome so far of one decrypted position."""
    if isinstance(opened, Undecryptable):
        return OpenedEntry(payload=None, content=Failure.UNDECRYPTABLE)
    try:
        payload = unpad(opened, committee.genesis.size_classes)
    except Rejected:
        return OpenedEntry(payload=None, content=Failure.BAD_PADDING)
    try:
        inner = check_payload(payload, transaction.header, committee.genesis.chain_id)
    except Malformed:
        return OpenedEntry(payload=payload, content=Failure.BAD_PAYLOAD)
    except Rejected:
        return OpenedEntry(payload=payload, content=Failure.HEADER_MISMATCH)
    return OpenedEntry(payload=payload, content=inner)


class Follower:
    """Follows published messages and holds the executed state. Gives sequencer and members their StateView."""

    def __init__(
        self,
        committee: Committee,
        *,
        successors: Sequence[Committee] = (),
        records: Records | None = None,
        stage: Stage = no_stage,
    ) -> None:
        """`committee` is the first. `stage` brackets the named parts of the work, for measuring."""
        self._stage = stage
        start = committee.key_set.start_height - 1
        self._states = {start: Snapshot(start, ledger_of(committee.genesis))}
        self._latest = start
        self.chain = Chain(committee, self, successors=successors)
        self._certificates: dict[int, OrderCertificate] = {}
        self._shares: dict[int, dict[int, SignedShare]] = {}
        self._executed: list[Executed] = []
        if records is not None:
            self._restore(records)

    @property
    def committee(self) -> Committee:
        """The one that governs the next height."""
        return self.chain.committee

    @property
    def latest(self) -> StateAt:
        return self._states[self._latest]

    def at(self, height: int) -> StateAt | None:
        return self._states.get(height)

    @property
    def ledger(self) -> Ledger:
        """A copy: the follower's own state changes by execution only."""
        return self._ledger.copy()

    @property
    def _ledger(self) -> Ledger:
        return self._states[self._latest].ledger

    @property
    def executed(self) -> tuple[Executed, ...]:
        return tuple(self._executed)

    def executed_at(self, height: int) -> Executed | None:
        """What became of a height, or None if it is not executed yet."""
        at = height - self.chain.first_height
        return self._executed[at] if 0 <= at < len(self._executed) else None

    def shares(self, height: int) -> tuple[SignedShare, ...]:
        """Those received for a height, by member."""
        return tuple(share for _, share in sorted(self._shares.get(height, {}).items()))

    def certificate(self, height: int) -> OrderCertificate | None:
        return self._certificates.get(height)

    def adopt(self, successor: Committee) -> None:
        """Take the next committee; `Chain.adopt` says when it is refused."""
        self.chain.adopt(successor)

    def propose(self, proposal: Proposal, *, now_ms: int | None = None) -> tuple[Persist, ...]:
        """Take a commitment after the checks a vote would make. A height already known is checked for equality."""
        commitment = proposal.commitment.message
        known = self.chain.at(commitment.height)
        if known is None:
            known = self.chain.extend(proposal, now_ms=now_ms)
        elif known.commitment != commitment:
            raise Rejected("VOT-10", f"two commitments for height {commitment.height}: the sequencer equivocates")
        return (proposal_record(known.proposal),)

    def follow(self, proposal: Proposal, certificate: OrderCertificate) -> tuple[Persist, ...]:
        """Take what t members certified, also in place of another commitment the sequencer showed this party.

        Raises Rejected CRT-4 if the other one is certified as well: then more members than assumed are dishonest.
        """
        commitment = proposal.commitment.message
        check_certificate(self.chain.committee_at(commitment.height), certificate, commitment)
        known = self.chain.at(commitment.height)
        if known is not None and known.commitment != commitment:
            if commitment.height in self._certificates:
                raise Rejected("CRT-4", f"two commitments are certified at height {commitment.height}")
            self.chain.retract(commitment.height)
        return (*self.propose(proposal), *self.certify(certificate))

    def certify(self, certificate: OrderCertificate) -> tuple[Persist, ...]:
        """Take a height's certificate. Nothing is left to do for the one that is held."""
        ready = self._known(certificate.vote.height)
        if self._certificates.get(ready.commitment.height) == certificate:
            return ()
        check_certificate(self.chain.committee_at(ready.commitment.height), certificate, ready.commitment)
        self._certificates.setdefault(certificate.vote.height, certificate)
        held = self._certificates[certificate.vote.height]
        return (Persist(kind=CERTIFICATE, key=u64(certificate.vote.height), value=held.encoded),)

    def receive(self, release: ShareRelease) -> tuple[Persist, ...]:
        """Take a member's signed share with its certificate (REV-1). The share itself is checked when combining."""
        message = release.share.message
        ready = self._known(message.height)
        if message.commitment_root != ready.commitment.root or message.round != ready.commitment.round:
            raise Rejected("REV-1", "the share is for another commitment")
        committee = self.chain.committee_at(message.height)
        if message.committee_id != committee.committee_id:
            raise Rejected("REV-1", "the share is from another committee")
        if not ready.batch.entries:
            raise Rejected("REV-1", "an empty height has no shares")
        signer = committee.signing_member(message, release.share.signature, rule="REV-1")
        if signer != message.member:
            raise Rejected("REV-1", f"member {signer} signed a share in the name of member {message.member}")
        records = self.certify(release.certificate)
        held = self._shares.setdefault(message.height, {}).setdefault(message.member, release.share)
        if held != release.share:
            raise Rejected("REV-1", f"member {signer} sent two different shares", member=signer)
        return (*records, Persist(kind=SHARE, key=u64(message.height) + u16(message.member), value=held.encoded))

    def precompute(self, height: int) -> None:
        """Do the work on a height's batch that needs no share, while its shares are on their way.

        Another thread may do it while this one goes on with other heights."""
        ready = self._known(height)
        if ready.batch.entries:
            with self._stage("precompute"):
                self.chain.committee_at(height).precompute(ready.batch)

    def advance(self) -> tuple[tuple[Persist, ...], tuple[Executed, ...]]:
        """Open and execute every height that can be. Wrong shares are left out and their members named.

        Raises NotEnoughShares if the next height has t shares but too few are right: its members are in `blamed`.
        """
        records: list[Persist] = []
        done: list[Executed] = []
        while (ready := self.chain.at(self._latest + 1)) is not None and self._can_open(ready):
            height = ready.commitment.height
            try:
                batch_key = self._combine(ready) if ready.batch.entries else None
            except NotEnoughShares:
                if done:
                    break  # what was executed is handed over first; the next call says what is wrong
                raise
            executed = self._run(ready, batch_key)
            with self._stage("store"):
                self._adopt(executed)
                if executed.reveal is not None:
                    records.append(_reveal_record(height, executed.reveal))
            done.append(executed)
        return tuple(records), tuple(done)

    def replay(self, ready: Ready, reveal: Reveal | None) -> Executed:
        """Execute a height from its reveal instead of shares, after checking the reveal in full (REV-4).

        An empty height has none. Raises Malformed or Rejected, and then nothing has changed.
        """
        if reveal is None:
            if ready.batch.entries:
                raise Rejected("REV-4", "only an empty height runs without a reveal")
            executed = self._run(ready, None)
        else:
            if reveal.commitment_root != ready.commitment.root:
                raise Rejected("REV-4", "the reveal is for another commitment")
            if not ready.batch.entries:
                raise Rejected("REV-4", "an empty height has no reveal")
            batch_key = BatchKey.decode(reveal.batch_key)
            self._verify(ready, batch_key)
            executed = self._run(ready, batch_key)
            if executed.reveal != reveal:
                raise Rejected("REV-4", "outcomes or plaintext roots are not what the batch key yields")
        self._adopt(executed)
        return executed

    def take(self, done: Executed) -> tuple[Persist, ...]:
        """The next height as another party executed it, checked in full: for who was away, or joined later."""
        commitment = done.ready.commitment
        if done.certificate is None:
            raise Rejected("REV-1", f"height {commitment.height} comes without its certificate")
        records = self.follow(done.ready.proposal, done.certificate)
        reveal = self.replay(self._known(commitment.height), done.reveal).reveal
        return records if reveal is None else (*records, _reveal_record(commitment.height, reveal))

    def wrong_shares(self, height: int) -> tuple[int, ...]:
        """Members whose published share of a height does not verify."""
        ready = self._known(height)
        committee, wrong = self.chain.committee_at(height), []
        for signed in self.shares(height):
            share = _share(signed)
            try:
                committee.scheme.verify_share(committee.public_key, ready.batch, share)
            except (Malformed, Rejected):
                wrong.append(share.member)
        return tuple(wrong)

    def _known(self, height: int) -> Ready:
        ready = self.chain.at(height)
        if ready is None:
            raise Rejected("REV-1", f"no checked commitment for height {height}")
        return ready

    def _combine(self, ready: Ready) -> BatchKey:
        shares = [_share(signed) for signed in self.shares(ready.commitment.height)]
        committee = self.chain.committee_at(ready.commitment.height)
        precomputed = committee.precompute(ready.batch)
        with self._stage("combine"):
            batch_key, _ = committee.scheme.combine(committee.public_key, ready.batch, shares, precomputed)
        return batch_key

    def _verify(self, ready: Ready, batch_key: BatchKey) -> None:
        committee = self.chain.committee_at(ready.commitment.height)
        precomputed = committee.precompute(ready.batch)
        committee.scheme.verify_batch_key(committee.public_key, ready.batch, batch_key, precomputed)

    def _can_open(self, ready: Ready) -> bool:
        height = ready.commitment.height
        shares = len(self._shares.get(height, {}))
        return height in self._certificates and (
            not ready.batch.entries or shares >= self.chain.committee_at(height).key_set.t
        )

    def _run(self, ready: Ready, batch_key: BatchKey | None) -> Executed:
        """The next height on a copy of the ledger: nothing changes here until it is adopted."""
        commitment, transactions = ready.commitment, ready.proposal.transactions
        if commitment.height != self._latest + 1:
            raise ValueError(f"height {commitment.height} cannot run after height {self._latest}")
        with self._stage("decrypt"):
            opened = self._open(ready, batch_key) if batch_key else ()
        with self._stage("execute"):
            order = self._order(ready, batch_key.value) if batch_key else ()
            entries = [_entry(transactions[at], opened[at]) for at in order]
            state, results = self._states[self._latest].execute(commitment.height, commitment.timestamp_ms, entries)
            by_position = dict(zip(order, results, strict=True))
            receipts = tuple(by_position[at] for at in range(len(transactions)))
            reveal = _reveal(ready, batch_key, opened, receipts) if batch_key else None
            _ = state.root
        return Executed(
            ready=ready,
            certificate=self._certificates.get(commitment.height),
            reveal=reveal,
            opened=opened,
            receipts=receipts,
            state=state,
        )

    def _adopt(self, executed: Executed) -> None:
        self._states[self._latest].settle()
        self._latest = executed.ready.commitment.height
        self._states[self._latest] = executed.state
        self._states.pop(self._latest - KEPT_STATES, None)
        self._executed.append(executed)

    def _open(self, ready: Ready, batch_key: BatchKey) -> tuple[OpenedEntry, ...]:
        committee = self.chain.committee_at(ready.commitment.height)
        precomputed = committee.precompute(ready.batch)
        plaintexts = committee.scheme.decrypt(committee.public_key, ready.batch, batch_key, precomputed)
        return tuple(
            open_entry(committee, transaction, plaintext)
            for transaction, plaintext in zip(ready.proposal.transactions, plaintexts, strict=True)
        )

    def _order(self, ready: Ready, batch_key_value: bytes) -> tuple[int, ...]:
        policy, transactions = Policy(ready.commitment.policy_id), ready.proposal.transactions
        if policy is not Policy.SHUFFLE:
            return tuple(range(len(transactions)))
        base_fee = self.chain.committee.genesis.base_fee
        batch = [candidate(transaction, sequence=0, base_fee=base_fee) for transaction in transactions]
        return execution_order(policy, batch, commitment_root=ready.commitment.root, batch_key_value=batch_key_value)

    def _restore(self, records: Records) -> None:
        reveals = {key: Reveal.decode(value) for key, value in records.scan(REVEAL)}
        certificates = {key: OrderCertificate.decode(value) for key, value in records.scan(CERTIFICATE)}
        for _, value in records.scan(SHARE):
            share = SignedShare.decode(value)
            self._shares.setdefault(share.message.height, {})[share.message.member] = share
        for key, value in records.scan(PROPOSAL):
            height, root = key[:8], key[8:]
            certificate = certificates.get(height)
            if certificate is not None and certificate.vote.commitment_root != root:
                continue  # shown to this party, but another one was certified
            try:
                ready = self.chain.extend(Proposal.decode(value))
            except Rejected:
                if certificate is not None:
                    raise
                continue  # built on what was not certified
            if certificate is not None:
                self._certificates[ready.commitment.height] = certificate
            # A height runs only after the one below: an empty one may wait for a reveal.
            while (waiting := self.chain.at(self._latest + 1)) is not None:
                at = u64(waiting.commitment.height)
                if at not in certificates or (waiting.batch.entries and at not in reveals):
                    break
                self.replay(waiting, reveals.get(at))


def _reveal_record(height: int, reveal: Reveal) -> Persist:
    return Persist(kind=REVEAL, key=u64(height), value=reveal.encoded)


def _share(signed: SignedShare) -> Share:
    return Share(member=signed.message.member, data=signed.message.data)


def _entry(transaction: EncryptedTransaction, opened: OpenedEntry) -> Entry:
    header = transaction.header
    return Entry(
        sender=header.sender,
        nonce=header.nonce,
        gas_limit=header.gas_limit,
        max_fee_per_gas=header.max_fee_per_gas,
        max_priority_fee_per_gas=header.max_priority_fee_per_gas,
        payload=opened.content,
    )


def _reveal(
    ready: Ready, batch_key: BatchKey, opened: Sequence[OpenedEntry], receipts: Sequence[ExecutionReceipt]
) -> Reveal:
    positions = tuple(
        Opened(
            outcome=_OUTCOMES[receipt.code],
            plaintext_root=ZERO_HASH if entry.payload is None else plaintext_root(entry.payload),
        )
        for entry, receipt in zip(opened, receipts, strict=True)
    )
    encoded = batch_key.encode()
    if len(encoded) > MAX_BATCH_KEY_BYTES:
        raise ValueError("the batch key is larger than a reveal may hold")
    return Reveal(commitment_root=ready.commitment.root, batch_key=encoded, positions=positions)


__all__ = ["Executed", "Follower", "NotEnoughShares", "OpenedEntry", "Outcome", "open_entry"]
