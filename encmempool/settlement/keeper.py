"""A node's business on the chain below: read the inbox, hand in what is certified, report who misbehaved, and answer
what it is asked.

Whatever a step does may have been done before, by this node or another: it looks first, and a contract's refusal of
what is there already is no failure. One thread owns a keeper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, Protocol

from encmempool.evidence import (
    ConflictingCommitments,
    ConflictingReceipts,
    ConflictingShares,
    ConflictingSuccessors,
    ConflictingVotes,
    Evidence,
    Misbehaviour,
    ShareAfterSuccessor,
    ShareAndAbstention,
    WrongShare,
    named,
)
from encmempool.identity import Identity
from encmempool.keysets import Committee
from encmempool.settlement.l1 import Mined, Reverted
from encmempool.settlement.leaves import Posting, batch_branch, leaves, posting, promise, signature, signatures
from encmempool.settlement.openings import conviction
from encmempool.settlement.site import Contracts
from encmempool.types import (
    DropCertificate,
    EncryptedTransaction,
    InboxEntry,
    KeySet,
    OrderCertificate,
    Proposal,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
)

Signed = SignedCommitment | SignedReceipt | SignedVote | SignedShare | SignedAbstain | SignedKeySet

POSTED_AT_ONCE = 8
SPARE_HEIGHTS = 16
"""So far may posting fall behind before those help whose task it is not."""


Question = tuple[int, bytes, int]
"""Subject and root of a challenge, and the last block for its answer."""


class Subject(IntEnum):
    """What a challenge is about, as the contract's flag has it."""

    RECEIPT = 1
    ENTRY = 2
    REVEAL = 4
    EARLY_SHARE = 8


WRONG_SHARE = 128
"""Among the judge's faults."""


class Known(Protocol):
    """What a node has stored."""

    def proposal(self, height: int) -> Proposal | None: ...
    def certificate(self, height: int) -> OrderCertificate | None: ...
    def drop(self, height: int) -> DropCertificate | None: ...
    def shares(self, height: int) -> tuple[SignedShare, ...]: ...
    def abstentions(self) -> tuple[SignedAbstain, ...]: ...
    def executed_at(self, tx_id: bytes) -> int | None: ...
    def receipts(self) -> Iterator[SignedReceipt]: ...
    def transaction(self, tx_id: bytes) -> EncryptedTransaction | None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done on L1, for the log."""

    name: str
    fields: Mapping[str, int | str | bytes]


class Keeper:
    def __init__(
        self,
        contracts: Contracts,
        identity: Identity,
        known: Known,
        *,
        committees: Callable[[], Sequence[Committee]],
        evidence: Callable[[], Sequence[Evidence]],
        posts: bool,
        depth: int,
    ) -> None:
        """
        posts    whether it is this node's task to post commitments
        depth    so many blocks of the chain may be replaced: what was done in them is looked at again
        """
        self._contracts = contracts
        self._identity = identity
        self._known = known
        self._committees = committees
        self._evidence = evidence
        self._posts = posts
        self._depth = depth
        self._registered = 0
        self._reported: set[bytes] = set()
        self._heard_up_to = contracts.site.deployed_at
        self._heard: set[Question] = set()
        self._asked: list[Question] = []
        self._recent: list[tuple[Mined, Callable[[], None]]] = []
        self._receipts: dict[bytes, SignedReceipt] = {}

    def inbox(self, count: int, after: int) -> tuple[int, tuple[InboxEntry, ...]]:
        """The newest block that is deep enough, and the entries up to it from index `count` on.

        after    the block up to which entries were read
        """
        head = max(self._contracts.l1.block() - self._depth, 0)
        first = max(after, self._contracts.site.deployed_at) + 1
        entries = []
        for block, posted in self._contracts.inbox.logs("Posted", first=first, last=head) if head >= first else ():
            if posted["index"] >= count:
                entries.append(InboxEntry(index=posted["index"], l1_block=block, data=posted["entry"]))
        return head, tuple(entries)

    def step(self, executed_height: int) -> list[Step]:
        """All that is due. Raises EnvironmentProblem while the chain cannot be reached."""
        head = self._contracts.l1.block()
        self._look_again(head)
        return [*self._register(head), *self._post(executed_height), *self._report(), *self._answer(head)]

    def _look_again(self, head: int) -> None:
        """Whatever stood in a block that was replaced is to be done once more."""
        for mined, undo in tuple(self._recent):
            if not self._contracts.l1.holds(mined):
                undo()
                self._recent.remove((mined, undo))
            elif mined.block <= head - self._depth:
                self._recent.remove((mined, undo))

    def unbonded(self, key_set: KeySet) -> tuple[bytes, ...]:
        """The sequencer and members of a key set whose bonds are short or on their way out."""
        collateral, parameters = self._contracts.collateral, self._contracts.site.parameters
        needed = dict.fromkeys(key_set.members, parameters.member_bond) | {key_set.sequencer: parameters.sequencer_bond}
        return tuple(party for party, least in needed.items() if not collateral.get("is_bonded", party, least))

    # --- key sets and commitments

    def _register(self, head: int) -> Iterator[Step]:
        registry, settled = self._contracts.registry, head - self._depth
        for committee in self._committees()[self._registered :]:
            if self._is_registered(committee, at=settled):
                self._registered += 1
            elif not self._is_registered(committee):
                signed = committee.signed
                try:
                    registry.send(
                        "register",
                        leaves(signed.message),
                        list(signed.message.members),
                        list(signatures(signed.signatures)),
                        sender=self._identity,
                    )
                except Reverted:
                    return  # another one was faster, or the one before is not there yet
                yield Step("registered", {"epoch": committee.key_set.epoch})

    def _is_registered(self, committee: Committee, *, at: int | None = None) -> bool:
        """In the newest block, or in an earlier one, at which the contract may not have been there yet."""
        if at is not None and at <= self._contracts.site.deployed_at:
            return False
        try:
            self._contracts.registry.get("committee", committee.committee_id, at=at)
        except Reverted:
            return False
        return True

    def _post(self, executed_height: int) -> Iterator[Step]:
        settlement = self._contracts.settlement
        posted = settlement.get("height")
        agreed = self._agreed(posted)
        behind = executed_height - agreed
        if behind <= 0 or not (self._posts or behind > SPARE_HEIGHTS):
            return
        with suppress(Reverted):  # another one was faster
            dropped = self._known.drop(agreed + 1)
            below = self._known.proposal(agreed)
            if dropped is not None and below is not None:
                arguments = (leaves(below.commitment.message), dropped.abstention.committee_id)
                settlement.send("drop", *arguments, list(signatures(dropped.signatures)), sender=self._identity)
                yield Step("settled", {"height": agreed + 1, "dropped": 1})
            elif postings := self._postings(agreed + 1, executed_height) if agreed == posted else []:
                mined = settlement.send("post", postings, sender=self._identity)
                yield Step("settled", {"height": agreed + len(postings), "gas": mined.gas})

    def _agreed(self, height: int) -> int:
        """The highest posted height that is as known here: one that was posted may have been dropped since."""
        while height > 0:
            proposal = self._known.proposal(height)
            if proposal is None or self._contracts.settlement.get("roots", height) == proposal.commitment.message.root:
                break
            height -= 1
        return height

    def _postings(self, first: int, last: int) -> list[Posting]:
        postings: list[Posting] = []
        for height in range(first, min(first + POSTED_AT_ONCE - 1, last) + 1):
            proposal, certificate = self._known.proposal(height), self._known.certificate(height)
            if proposal is None or certificate is None or self._known.drop(height) is not None:
                break
            postings.append(posting(proposal.commitment, certificate.signatures))
        return postings

    # --- evidence

    def _report(self) -> Iterator[Step]:
        for evidence in self._evidence():
            if evidence.root in self._reported:
                continue
            try:
                mined = self._convict(evidence.open())
            except Reverted as error:
                yield Step("not_convicted", {"evidence": evidence.root, "reason": str(error)})
            else:
                if mined is not None:
                    self._recent.append((mined, partial(self._reported.discard, evidence.root)))
                    yield Step("convicted", {"evidence": evidence.root, "gas": mined.gas})
            self._reported.add(evidence.root)

    def _convict(self, shown: Misbehaviour) -> Mined | None:
        """None for what only an auditor judges."""
        if isinstance(shown, WrongShare):
            return self._convict_wrong_share(shown)
        call = _conviction(shown)
        if call is None:
            return None
        function, arguments = call
        return self._contracts.judge.send(function, *arguments, sender=self._identity)

    def _convict_wrong_share(self, shown: WrongShare) -> Mined | None:
        share = shown.share.message
        committee = named(share.committee_id, self._committees())
        offender = committee.key_set.members[share.member - 1]
        if self._contracts.judge.get("convicted", WRONG_SHARE, offender, share.height):
            raise Reverted("convicted already")
        try:
            made = conviction(committee, shown)
        except ValueError:
            return None  # a batch longer than the contracts take
        openings = self._contracts.openings
        for call in made.shown:
            with suppress(Reverted):  # somebody else has shown it
                openings.send(call.function, *call.arguments, sender=self._identity)
        return openings.send(made.verdict.function, *made.verdict.arguments, sender=self._identity)

    # --- challenges

    def _answer(self, head: int) -> Iterator[Step]:
        challenges = self._contracts.challenges
        self._hear(head)
        for question in tuple(self._asked):
            subject, root, deadline = question
            call = self._reply(subject, root)
            if call is not None:
                function, arguments = call
                try:
                    mined = challenges.send(function, *arguments, sender=self._identity)
                except Reverted as error:
                    yield Step("unanswered", {"subject": subject, "root": root, "reason": str(error)})
                    if head <= deadline:
                        continue
                else:
                    self._recent.append((mined, partial(self._asked.append, question)))
                    yield Step("answered", {"subject": subject, "root": root})
            if call is not None or head > deadline:
                self._asked.remove(question)

    def _hear(self, block: int) -> None:
        """Who asks this party for what, up to a block, and once more in those that may have been replaced."""
        first = max(self._heard_up_to - self._depth, self._contracts.site.deployed_at) + 1
        if block < first:
            return
        for _, asked in self._contracts.challenges.logs("Challenged", first=first, last=block):
            question = (int(asked["subject"]), asked["root"], int(asked["deadline"]))
            if asked["accused"] == self._identity.address and question not in self._heard:
                self._heard.add(question)
                self._asked.append(question)
        self._heard_up_to = max(self._heard_up_to, block)

    def _reply(self, subject: int, root: bytes) -> tuple[str, tuple[Any, ...]] | None:
        """What answers a challenge, or None if nothing known here does."""
        match subject:
            case Subject.RECEIPT:
                return self._inclusion(root)
            case Subject.ENTRY:
                index = int.from_bytes(root, "big")
                if self._contracts.settlement.get("inbox_index") > index:
                    return "answer_entry", (index, self._identity.address, self._committees()[-1].committee_id)
            case Subject.REVEAL:
                return self._share(root)
            case Subject.EARLY_SHARE:
                return self._certificate(root)
        return None

    def _inclusion(self, root: bytes) -> tuple[str, tuple[Any, ...]] | None:
        receipt = self._receipt(root)
        height = None if receipt is None else self._known.executed_at(receipt.message.tx_id)
        proposal = None if height is None else self._known.proposal(height)
        if receipt is None or proposal is None or height > receipt.message.include_by_height:  # type: ignore[operator]
            return None
        tx_ids = [transaction.tx_id for transaction in proposal.transactions]
        position = tx_ids.index(receipt.message.tx_id)
        made = promise(receipt, proposal.transactions[position])
        commitment = leaves(proposal.commitment.message)
        branch = list(batch_branch(tx_ids, position))
        return "answer_inclusion", (made, self._identity.address, commitment, position, branch)

    def _receipt(self, root: bytes) -> SignedReceipt | None:
        if root not in self._receipts:
            self._receipts = {signed.message.root: signed for signed in self._known.receipts()}
        return self._receipts.get(root)

    def _share(self, root: bytes) -> tuple[str, tuple[Any, ...]] | None:
        settlement = self._contracts.settlement
        for height in range(settlement.get("height"), settlement.get("executed_height"), -1):
            proposal = self._known.proposal(height)
            if proposal is None or proposal.commitment.message.root != root:
                continue
            commitment, member = leaves(proposal.commitment.message), self._identity.address
            for signed in self._known.shares(height):
                if self._is_own(signed, height):
                    made = signature(signed.signature)
                    return "answer_share", (commitment, member, signed.message.data, made)
            for abstention in self._known.abstentions():
                if abstention.message.height == height and self._signed(abstention):
                    return "answer_abstention", (commitment, member, signature(abstention.signature))
        return None

    def _is_own(self, signed: SignedShare, height: int) -> bool:
        return (
            signed.message.height == height
            and self._committee(height).key_set.members[signed.message.member - 1] == self._identity.address
        )

    def _signed(self, abstention: SignedAbstain) -> bool:
        committee = self._committee(abstention.message.height)
        number = committee.signing_member(abstention.message, abstention.signature, rule="AUD-2")
        return committee.key_set.members[number - 1] == self._identity.address

    def _committee(self, height: int) -> Committee:
        committees = self._committees()
        return next((c for c in reversed(committees) if c.key_set.start_height <= height), committees[0])

    def _certificate(self, root: bytes) -> tuple[str, tuple[Any, ...]] | None:
        for height in range(self._contracts.settlement.get("height") + SPARE_HEIGHTS, 0, -1):
            certificate = self._known.certificate(height)
            if certificate is not None and certificate.vote.root == root:
                votes = list(signatures(certificate.signatures))
                return "answer_certificate", (leaves(certificate.vote), self._identity.address, votes)
        return None


def _conviction(shown: Misbehaviour) -> tuple[str, tuple[Any, ...]] | None:
    """The judge's function for a misbehaviour, or None for a kind that only an auditor judges."""
    match shown:
        case ConflictingCommitments():
            return "convict_commitments", _both(shown.first, shown.second)
        case ConflictingReceipts():
            return "convict_receipts", _both(shown.first, shown.second)
        case ConflictingVotes():
            return "convict_votes", _both(shown.first, shown.second)
        case ConflictingShares():
            return "convict_shares", _both(shown.first, shown.second)
        case ShareAndAbstention():
            return "convict_share_and_abstention", _both(shown.share, shown.abstention)
        case ConflictingSuccessors():
            return "convict_successors", _both(shown.first, shown.second)
        case ShareAfterSuccessor():
            return "convict_successor_and_share", _both(shown.successor, shown.share)
        case _:
            return None


def _both(*messages: Signed) -> tuple[Any, ...]:
    """Leaves and signature of each. A successor is shown with one signature (EVD-16)."""
    return tuple(
        part
        for signed in messages
        for part in (
            leaves(signed.message),
            signature(signed.signatures[0] if isinstance(signed, SignedKeySet) else signed.signature),
        )
    )
