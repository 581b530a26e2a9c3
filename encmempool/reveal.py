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

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

from encmempool.checkpoint import Checkpoint, SequencesOf, ledger_state_of, numbers_in, ranges_of, state_of
from encmempool.committee import PROPOSAL, Chain, Ready, check_certificate, proposal_record
from encmempool.errors import Malformed, Rejected, StorageError
from encmempool.execution.ledger import Entry, ExecutionReceipt, Ledger
from encmempool.forced import InboxView
from encmempool.genesis import ledger_of
from encmempool.keysets import Committee
from encmempool.mempool import MAX_UNEXECUTED, StateAt, candidate
from encmempool.ordering import Policy, execution_order
from encmempool.outcomes import OpenedEntry, Outcome, open_entry
from encmempool.sequencer import DROP
from encmempool.state import StateTree
from encmempool.store import Records
from encmempool.types import (
    MAX_BATCH_KEY_BYTES,
    ZERO_HASH,
    DropCertificate,
    EncryptedTransaction,
    Opened,
    OrderCertificate,
    OrderCommitment,
    Proposal,
    Reveal,
    ShareRelease,
    SignedShare,
    State,
    plaintext_root,
)
from threshold.encoding import u16, u64
from threshold.errors import NotEnoughShares
from threshold.sansio import Persist
from threshold.schemes.base import BatchKey, Share

CERTIFICATE = "certificate"
SHARE = "member-share"
REVEAL = "reveal"
CHECKPOINT = "checkpoint"
KEPT_STATES = 8
"""How many of the newest are kept in any case, besides those that a commitment may still name."""

Stage = Callable[[str], AbstractContextManager[object]]


def no_stage(name: str) -> AbstractContextManager[object]:
    """Measures nothing."""
    return nullcontext()


_OUTCOMES = {outcome.text: outcome for outcome in Outcome}


class Snapshot:
    """The ledger as a height left it; nobody changes it any more."""

    def __init__(self, height: int, ledger: Ledger, commitment: OrderCommitment | None = None) -> None:
        """`commitment` is the one that was executed."""
        self.height = height
        self.ledger = ledger
        self.commitment = commitment

    @cached_property
    def _tree(self) -> StateTree:
        return StateTree(self.ledger)

    @cached_property
    def root(self) -> bytes:
        return self._tree.root

    def execute(
        self, height: int, timestamp_ms: int, entries: Sequence[Entry], commitment: OrderCommitment | None = None
    ) -> tuple[Snapshot, tuple[ExecutionReceipt, ...]]:
        """The next snapshot, and a receipt for each entry."""
        ledger = self.ledger.copy()
        receipts = ledger.execute(height, timestamp_ms, entries)
        following = Snapshot(height, ledger, commitment)
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
class Executed:
    """A height that is open and run.

    receipts    by position of the committed batch
    order       these positions in the order in which they ran
    """

    ready: Ready
    certificate: OrderCertificate | None
    drop: DropCertificate | None
    reveal: Reveal | None
    opened: tuple[OpenedEntry, ...]
    receipts: tuple[ExecutionReceipt, ...]
    order: tuple[int, ...]
    state: Snapshot

    @property
    def entries(self) -> tuple[Entry, ...]:
        """In the order in which they ran."""
        transactions = self.ready.proposal.transactions
        return tuple(_entry(transactions[at], self.opened[at]) for at in self.order)


class Follower:
    """Follows published messages and holds the executed state. Gives sequencer and members their StateView.

    One thread owns it; others may read `latest` and `at`."""

    def __init__(
        self,
        committee: Committee,
        *,
        successors: Sequence[Committee] = (),
        records: Records | None = None,
        stage: Stage = no_stage,
        inbox: InboxView | None = None,
        kept: int | None = None,
        checkpoints: bool = True,
    ) -> None:
        """`committee` is the first. `stage` brackets the named parts of the work, for measuring.

        kept           how many executed heights to hold in memory, at least MAX_UNEXECUTED; by default all of them
        checkpoints    whether to start from the newest one in the records, if there is one

        Raises StorageError if the checkpoint, or what is stored above it, is damaged.
        """
        if kept is not None and kept < MAX_UNEXECUTED:
            raise ValueError(f"the newest {MAX_UNEXECUTED} heights are needed to check the next one")
        self._stage = stage
        self._kept = kept
        start = committee.key_set.start_height - 1
        self._latest = Snapshot(start, ledger_of(committee.genesis))
        self._states = {start: self._latest}
        self.chain = Chain(committee, self, successors=successors, inbox=inbox)
        self._certificates: dict[int, OrderCertificate] = {}
        self._drops: dict[int, DropCertificate] = {}
        self._dropped_above: dict[int, DropCertificate] = {}
        """Of heights whose own turn comes when the ones below, dropped after them, are settled again."""
        self._shares: dict[int, dict[int, SignedShare]] = {}
        self._executed: dict[int, Executed] = {}
        self._refused: dict[int, tuple[int, ...]] = {}
        if records is not None:
            self._restore(records, checkpoints=checkpoints)

    @property
    def committee(self) -> Committee:
        """The one that governs the next height."""
        return self.chain.committee

    @property
    def latest(self) -> StateAt:
        return self._latest

    def at(self, height: int) -> StateAt | None:
        """None for a height that is not executed yet, and for one that no commitment can name any more."""
        return self._states.get(height)

    def state_at(self, height: int) -> State | None:
        """The whole state after a height, as far as `at` knows one."""
        snapshot = self._states.get(height)
        return None if snapshot is None else state_of(snapshot.ledger.snapshot())

    @property
    def ledger(self) -> Ledger:
        """A copy: the follower's own state changes by execution only."""
        return self._latest.ledger.copy()

    @property
    def ledger_view(self) -> Ledger:
        """The state itself, to read from: it stays as it is."""
        return self._latest.ledger

    @property
    def executed(self) -> tuple[Executed, ...]:
        """Those held, in their order."""
        return tuple(self._executed.values())

    def executed_at(self, height: int) -> Executed | None:
        """What became of a height, or None if it is not executed yet, or not held any more."""
        return self._executed.get(height)

    def refused(self, height: int) -> tuple[int, ...]:
        """Members whose shares were refused when the height was opened; there may be more who sent wrong ones."""
        return self._refused.get(height, ())

    def shares(self, height: int) -> tuple[SignedShare, ...]:
        """Those received for a height, by member."""
        return tuple(share for _, share in sorted(self._shares.get(height, {}).items()))

    def certificate(self, height: int) -> OrderCertificate | None:
        return self._certificates.get(height)

    def adopt(self, successor: Committee) -> None:
        """Take the next committee; `Chain.adopt` says when it is refused, and what is forgotten for it."""
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
            if commitment.height <= self.chain.certified:  # a certificate for what was built on it stands for it
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
        self.chain.certify(certificate.vote.height)
        held = self._certificates[certificate.vote.height]
        return (Persist(kind=CERTIFICATE, key=u64(certificate.vote.height), value=held.encoded),)

    def drop(self, certificate: DropCertificate) -> tuple[Persist, ...]:
        """Take enough abstentions at a height: it runs empty, and what was built on it is void. Raises Rejected as
        `Chain.drop` does; for one that is held already, nothing is left to do."""
        height = certificate.abstention.height
        if height in self._drops:
            return ()
        ready = self.chain.drop(certificate)
        for held in (self._certificates, self._shares):
            for void in [at for at in held if at >= height]:
                del held[void]
        # What stands in the place of those above was derived from what is void now. They stay dropped.
        above = sorted(at for at in self._drops if at > height)
        self._dropped_above |= {at: self._drops.pop(at) for at in above}
        certificate = self._drops[height] = self._dropped_above.pop(height, certificate)
        records = [proposal_record(ready.proposal), Persist(kind=DROP, key=u64(height), value=certificate.encoded)]
        if height + 1 in self._dropped_above:
            records += self.drop(self._dropped_above[height + 1])
        return tuple(records)

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
        while (ready := self.chain.at(self._latest.height + 1)) is not None and self._can_open(ready):
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
        if done.drop is not None:
            records = self.drop(done.drop)
        elif done.certificate is None:
            raise Rejected("REV-1", f"height {commitment.height} comes without its certificate")
        else:
            records = self.follow(done.ready.proposal, done.certificate)
        return (*records, *self.take_reveal(commitment.height, done.reveal)[0])

    def take_reveal(self, height: int, reveal: Reveal | None) -> tuple[tuple[Persist, ...], Executed]:
        """The next height, which is certified, from another party's reveal, checked in full; None where it is empty.

        Raises Malformed or Rejected, and then nothing has changed."""
        ready = self._known(height)
        if not self._is_settled(height):
            raise Rejected("REV-1", f"height {height} is not certified")
        executed = self.replay(ready, reveal)
        return () if reveal is None else (_reveal_record(height, reveal),), executed

    def checkpoint(self) -> Persist:
        """A record from which the next start goes on, under the newest executed height; older ones may then be erased.

        It is taken below that height: at the one whose state the newest commitment names, since the next may name the
        same. What is above is read from the other records.
        """
        newest = self._latest.commitment
        base = self._latest.height if newest is None else max(newest.executed_height, self.chain.base)
        state, commitment = self._states[base], self.chain.commitment_at(base)
        sequences = self.chain.sequences_up_to(base)
        checkpoint = Checkpoint(
            checksum=ZERO_HASH,
            height=base,
            state_root=state.root,
            burned=state.ledger.burned,
            commitment=() if commitment is None else (commitment,),
            state=state_of(state.ledger.snapshot()),
            sequences=tuple(
                SequencesOf(sequencer=sequencer, ranges=ranges)
                for sequencer in sorted(sequences)
                if (ranges := ranges_of(sequences[sequencer]))
            ),
        )
        return Persist(kind=CHECKPOINT, key=u64(self._latest.height), value=checkpoint.sealed().encoded)

    def wrong_shares(self, height: int, *, only: int | None = None) -> tuple[int, ...]:
        """Members whose published share of a height does not verify; of one member if that is all one asks for."""
        ready = self._known(height)
        committee, wrong = self.chain.committee_at(height), []
        for signed in self.shares(height):
            if only not in (None, signed.message.member):
                continue
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
            batch_key, refused = committee.scheme.combine(committee.public_key, ready.batch, shares, precomputed)
        if refused:
            self._refused[ready.commitment.height] = refused
        return batch_key

    def _verify(self, ready: Ready, batch_key: BatchKey) -> None:
        committee = self.chain.committee_at(ready.commitment.height)
        precomputed = committee.precompute(ready.batch)
        committee.scheme.verify_batch_key(committee.public_key, ready.batch, batch_key, precomputed)

    def _can_open(self, ready: Ready) -> bool:
        height = ready.commitment.height
        shares = len(self._shares.get(height, {}))
        return self._is_settled(height) and (
            not ready.batch.entries or shares >= self.chain.committee_at(height).key_set.t
        )

    def _is_settled(self, height: int) -> bool:
        return height in self._certificates or height in self._drops

    def _run(self, ready: Ready, batch_key: BatchKey | None) -> Executed:
        """The next height on a copy of the ledger: nothing changes here until it is adopted."""
        commitment, transactions = ready.commitment, ready.proposal.transactions
        if commitment.height != self._latest.height + 1:
            raise ValueError(f"height {commitment.height} cannot run after height {self._latest.height}")
        with self._stage("decrypt"):
            opened = self._open(ready, batch_key) if batch_key else ()
        with self._stage("execute"):
            order = self._order(ready, batch_key.value) if batch_key else ()
            entries = [_entry(transactions[at], opened[at]) for at in order]
            state, results = self._latest.execute(commitment.height, commitment.timestamp_ms, entries, commitment)
            by_position = dict(zip(order, results, strict=True))
            receipts = tuple(by_position[at] for at in range(len(transactions)))
            reveal = _reveal(ready, batch_key, opened, receipts) if batch_key else None
            _ = state.root
        return Executed(
            ready=ready,
            certificate=self._certificates.get(commitment.height),
            drop=self._drops.get(commitment.height),
            reveal=reveal,
            opened=opened,
            receipts=receipts,
            order=order,
            state=state,
        )

    def _adopt(self, executed: Executed) -> None:
        height, before = executed.state.height, self._latest
        self._executed[height] = executed
        self._states[height] = executed.state
        self._latest = executed.state  # whoever asks for its height finds it already
        before.settle()
        named = min(executed.ready.commitment.executed_height, height - KEPT_STATES + 1)
        for old in [at for at in self._states if at < named]:
            del self._states[old]
        if self._kept is not None:
            self._forget(height - self._kept)

    def _forget(self, height: int) -> None:
        """Leave a height, and those below, to the records."""
        self.chain.forget(height)
        for held in (
            self._executed,
            self._certificates,
            self._drops,
            self._dropped_above,
            self._shares,
            self._refused,
        ):
            for old in [at for at in held if at <= height]:
                del held[old]

    def _open(self, ready: Ready, batch_key: BatchKey) -> tuple[OpenedEntry, ...]:
        committee = self.chain.committee_at(ready.commitment.height)
        precomputed = committee.precompute(ready.batch)
        plaintexts = committee.scheme.decrypt(committee.public_key, ready.batch, batch_key, precomputed)
        return tuple(
            open_entry(committee.genesis, transaction.header, plaintext)
            for transaction, plaintext in zip(ready.proposal.transactions, plaintexts, strict=True)
        )

    def _order(self, ready: Ready, batch_key_value: bytes) -> tuple[int, ...]:
        policy, transactions = Policy(ready.commitment.policy_id), ready.proposal.transactions
        if policy is not Policy.SHUFFLE:
            return tuple(range(len(transactions)))
        base_fee = self.chain.committee.genesis.base_fee
        batch = [candidate(transaction, sequence=0, base_fee=base_fee) for transaction in transactions]
        return execution_order(policy, batch, commitment_root=ready.commitment.root, batch_key_value=batch_key_value)

    def _restore(self, records: Records, *, checkpoints: bool) -> None:
        newest = records.last(CHECKPOINT) if checkpoints else None
        if newest is None:
            self._replay_stored(records)
            return
        height = int.from_bytes(newest[0], "big")
        with _damaged(f"the checkpoint of height {height}"):
            self._resume(Checkpoint.opened(newest[1]))
        with _damaged(f"what is stored above the checkpoint of height {height}"):
            self._replay_stored(records)

    def _resume(self, checkpoint: Checkpoint) -> None:
        """Start above an executed height. Raises Malformed or Rejected."""
        state, commitments = ledger_state_of(checkpoint.state), checkpoint.commitment
        commitment = commitments[0].message if commitments else None
        snapshot = Snapshot(state.height, self._latest.ledger.in_state(state, burned=checkpoint.burned), commitment)
        below = self._latest.height if commitment is None else commitment.height
        if not state.height == checkpoint.height == below:
            raise Malformed("its state and its commitment are of different heights")
        if snapshot.root != checkpoint.state_root:
            raise Malformed("its state has another root than it states")
        if commitment is None and snapshot.root != self._latest.root:
            raise Malformed("it starts from another genesis")
        self.chain.resume(
            state.height,
            commitments[0] if commitments else None,
            next_nonces={account.address: account.nonce for account in state.accounts if account.nonce},
            sequences={of.sequencer: numbers_in(of.ranges) for of in checkpoint.sequences},
        )
        self._latest, self._states = snapshot, {state.height: snapshot}

    def _is_void(self, height: int) -> bool:
        """Whether what was certified at a height may be built on a dropped one."""
        return any(height - MAX_UNEXECUTED <= dropped < height for dropped in self._drops)

    def _replay_stored(self, records: Records) -> None:
        for key, value in records.scan(PROPOSAL, start=u64(self.chain.base + 1)):
            at, root = key[:8], key[8:]
            height = int.from_bytes(at, "big")
            stored = records.get(CERTIFICATE, at)
            certificate = None if stored is None else OrderCertificate.decode(stored)
            dropped = records.get(DROP, at)
            if dropped is not None:
                certificate = None
                if self.chain.next_height == height:
                    self.chain.certify(height - 1)  # it was, or what was built on it, when this one was dropped
                self.drop(DropCertificate.decode(dropped))
            elif certificate is not None and certificate.vote.commitment_root != root:
                continue  # shown to this party, but another one was certified
            else:
                try:
                    self.chain.extend(Proposal.decode(value), recorded=True)
                except Rejected:
                    if certificate is not None and not self._is_void(height):
                        raise
                    continue  # built on what was not certified, or dropped
            if certificate is not None:
                self._certificates[height] = certificate
                self.chain.certify(height)
                self._shares[height] = {share.message.member: share for share in _stored_shares(records, at)}
            # A height runs only after the one below: an empty one may wait for a reveal.
            while (waiting := self.chain.at(self._latest.height + 1)) is not None:
                following = waiting.commitment.height
                revealed = records.get(REVEAL, u64(following))
                if not self._is_settled(following) or (waiting.batch.entries and revealed is None):
                    break
                self.replay(waiting, None if revealed is None else Reveal.decode(revealed))


@contextmanager
def _damaged(what: str) -> Iterator[None]:
    try:
        yield
    except (Malformed, Rejected) as error:
        raise StorageError(
            f"{what} is damaged ({error}): restore the database from its newest backup, or start without checkpoints, "
            "which replays the whole history"
        ) from error


def _stored_shares(records: Records, height: bytes) -> Iterator[SignedShare]:
    for key, value in records.scan(SHARE, start=height):
        if not key.startswith(height):
            return
        yield SignedShare.decode(value)


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
