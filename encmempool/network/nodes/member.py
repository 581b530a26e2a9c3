"""A committee member's part: vote for what it has checked, release its share on a certificate, hand its key over.

Requirements:
NET-4  a member acts on what its own chain has checked, never on another's word
NET-5  a member restored from a backup acts only above every height that it may have signed before
NET-6  a member signs a successor only if it is what its own key ceremony made, on an operator's order
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from encmempool.committee import ERASURE, Member
from encmempool.errors import EnvironmentProblem, Malformed, Rejected
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.keysets import Committee
from encmempool.mempool import MAX_PENDING, MAX_UNEXECUTED
from encmempool.network.nodes.core import CHECKPOINT_EVERY, Core, Outbox
from encmempool.network.wire import Gossip
from encmempool.reveal import Executed
from encmempool.store import Store
from encmempool.types import (
    MAX_BATCH,
    EncryptedTransaction,
    Erasure,
    KeySet,
    OrderCertificate,
    Proposal,
    ShareRelease,
    SignedAbstain,
    SignedErasure,
    SignedKeySet,
    SignedReceipt,
    SignedVote,
    signing_digest,
)
from threshold.encoding import u64
from threshold.entropy import Random
from threshold.sansio import Persist, Send

ROLE = "member"
RESTORED = "restored"
"""A file in the home of a member that was put back from a backup."""
FLOOR = "floor"
_FLOOR_MARGIN = 2 * MAX_UNEXECUTED
"""No sequencer commits so far ahead of what is executed: above that, nothing can have been signed."""
MAX_HELD_BYTES = 1 << 26
"""Of transactions kept for a new sequencer. More than that clients submit again."""


class MemberCore(Core):
    def __init__(
        self,
        home: Home,
        store: Store,
        identity: Identity,
        password: Password,
        *,
        backend: str,
        clock_ms: Callable[[], int],
        random: Random,
    ) -> None:
        self.identity = identity
        self._password = password
        self._random = random
        self._members: dict[bytes, Member | None] = {}
        self._held: dict[bytes, tuple[EncryptedTransaction, SignedReceipt]] = {}
        self._held_bytes = 0
        self._stalled: tuple[int, int] | None = None
        self._marker = home.path / ROLE / RESTORED
        self._floor = max((int.from_bytes(key, "big") for key, _ in store.scan(FLOOR)), default=0)
        super().__init__(home, store, role=ROLE, backend=backend, clock_ms=clock_ms)

    @property
    def is_restored(self) -> bool:
        """Whether it follows in silence until it knows how far the network is."""
        return self._marker.exists()

    def set_floor(self, heads: Sequence[int]) -> Outbox:
        """What certified heights others showed, enough of them that one is honest: act only far above them."""
        out = Outbox()
        floor = max((*heads, self.executed_height)) + _FLOOR_MARGIN
        self._perform([Persist(kind=FLOOR, key=u64(floor), value=b"")])
        self._floor = max(self._floor, floor)
        self._marker.unlink(missing_ok=True)
        out.note("floor", height=self._floor)
        return out

    def _may_act(self, height: int) -> bool:
        return not self.is_restored and height > self._floor

    def _restore(self, committees: tuple[Committee, ...]) -> None:
        super()._restore(committees)
        self._members.clear()

    def member_of(self, committee: Committee) -> Member | None:
        """This node's seat in a committee, or None if it has none, or its share is gone."""
        name = committee.committee_id
        if name not in self._members:
            self._members[name] = self._seat(committee)
        return self._members[name]

    @property
    def index(self) -> int | None:
        """In the committee of the next height."""
        return self._follower.chain.committee.member_index(self.identity.address) if self.committees else None

    def take_gossip(self, gossip: Gossip) -> Outbox:
        """Check transactions ahead of their commitment. What fails is left out: a commitment with it gets no vote."""
        out = Outbox()
        if [t.tx_id for t in gossip.transactions] != [signed.message.tx_id for signed in gossip.receipts]:
            raise Malformed("every transaction of a gossip comes with its receipt")
        chain = self.follower.chain
        for signed in gossip.receipts:
            chain.prepare_receipt(signed)
        passed = {transaction.encoded for transaction in chain.prepare_all(gossip.transactions)}
        for transaction, receipt in zip(gossip.transactions, gossip.receipts, strict=True):
            if transaction.encoded in passed and self._is_open(transaction):
                self._hold(transaction, receipt)
        return out

    def _is_open(self, transaction: EncryptedTransaction) -> bool:
        """Whether it can still be committed: old gossip can be sent again by anybody."""
        header, chain = transaction.header, self.follower.chain
        return header.valid_until >= chain.next_height and header.nonce >= self.follower.latest.nonce(header.sender)

    def _hold(self, transaction: EncryptedTransaction, receipt: SignedReceipt) -> None:
        size = len(transaction.encoded)
        self._let_go(transaction.tx_id)
        if len(self._held) < MAX_PENDING and self._held_bytes + size <= MAX_HELD_BYTES:
            self._held[transaction.tx_id] = transaction, receipt
            self._held_bytes += size

    def _let_go(self, tx_id: bytes) -> None:
        if tx_id in self._held:
            transaction, _ = self._held.pop(tx_id)
            self._held_bytes -= len(transaction.encoded)

    def pending(self) -> Gossip:
        """Receipted transactions that this member was shown and that are not executed: for a new sequencer."""
        open_ones = [(t, receipt) for t, receipt in self._held.values() if self._is_open(t)][:MAX_BATCH]
        return Gossip(transactions=tuple(t for t, _ in open_ones), receipts=tuple(r for _, r in open_ones))

    def nudge(self) -> Outbox:
        """After a restart, a failed write or a lost message: say again what this member has to say about every height
        that is not executed, byte for byte where it said it before."""
        out = Outbox()
        heights = range(self.executed_height + 1, self.follower.chain.next_height) if self.committees else ()
        for height in heights:
            ready = self.follower.chain.at(height)
            if ready is None:
                continue
            certificate = self.follower.certificate(height)
            if certificate is not None:
                self._release(certificate, out)
            else:
                with suppress(Rejected):
                    self._propose(ready.proposal, out)
        following = super().nudge()
        out.messages += following.messages
        out.happenings += following.happenings
        return out

    def abstain_stalled(self, after_ms: int) -> Outbox:
        """Abstain at the heights that were committed to and gather no certificate, once the first of them has waited
        for so long."""
        out = self._begin()
        chain, now_ms = self.follower.chain, self.clock_ms()
        first = chain.certified + 1
        if self._stalled is None or self._stalled[0] != first or self.head < first:
            self._stalled = (first, now_ms)
        if now_ms - self._stalled[1] < after_ms:
            return out
        for height in range(first, self.head + 1):
            member = self.member_of(chain.committee_at(height))
            if member is None or not self._may_act(height):
                continue
            with suppress(Rejected):  # it has released a share there or above
                (send,) = self._perform(member.abstain(height))
                heard = self.take_abstention(SignedAbstain.decode(_sent(send).message))
                out.messages += heard.messages
                out.happenings += heard.happenings
        return out

    def sign_successor(self, key_set: KeySet) -> SignedKeySet:
        """The next key set with this member's signature. Raises Rejected KEY-10, or NET-5 where it may have forgotten
        what it signed."""
        if not self._may_act(key_set.start_height):
            raise Rejected("NET-5", "this member was restored from a backup: let others sign, or choose a later start")
        member = self.member_of(self.committees[-1])
        if member is None:
            raise Rejected("KEY-10", "this node has no share of the key in use")
        (send,) = self._perform(member.sign_successor(key_set))
        return SignedKeySet.decode(_sent(send).message)

    def retire(self) -> Outbox:
        """Erase the shares of committees whose heights are all executed, and say so."""
        out = Outbox()
        for committee, following in zip(self.committees, self.committees[1:], strict=False):
            if self.executed_height < following.key_set.start_height - 1:
                continue
            if committee.member_index(self.identity.address) is None:
                continue
            if self.store.get(ERASURE, committee.committee_id) is None:
                self.home.erase_key_share(ROLE, committee.key_set.epoch)
                self._members[committee.committee_id] = None
                statement = Erasure(committee_id=committee.committee_id)
                signature = self.identity.sign(signing_digest(statement, committee.genesis.root))
                signed = SignedErasure(message=statement, signature=signature)
                self._perform([Persist(kind=ERASURE, key=committee.committee_id, value=signed.encoded)])
                heard = self.take_erasure(signed)
                out.messages += heard.messages
                out.happenings += heard.happenings
        return out

    def _seat(self, committee: Committee) -> Member | None:
        index = committee.member_index(self.identity.address)
        if index is None:
            return None
        with suppress(EnvironmentProblem):
            return Member(
                index=index,
                chain=self._follower.chain,
                committee=committee,
                identity=self.identity,
                key_share=self.home.key_share(index, self._password, role=ROLE, epoch=committee.key_set.epoch),
                records=self.store,
                random=self._random,
            )
        return None

    def _propose(self, proposal: Proposal, out: Outbox) -> None:
        height = proposal.commitment.message.height
        member = self.member_of(self.follower.chain.committee_at(height))
        if member is None or not self._may_act(height):
            super()._propose(proposal, out)
            return
        known = self.follower.chain.at(height)
        sends = self._perform(member.vote(proposal, now_ms=self.clock_ms()))
        if known is None:
            self._note_commitment(proposal, out)
        for send in sends:
            vote = SignedVote.decode(_sent(send).message)
            out.tell("submit_vote", vote)
            counted = self.take_vote(vote)
            out.messages += counted.messages
            out.happenings += counted.happenings

    def _after_certificate(self, certificate: OrderCertificate, out: Outbox) -> None:
        super()._after_certificate(certificate, out)
        if certificate.vote.height > self.executed_height:
            self._release(certificate, out)
            self.follower.precompute(certificate.vote.height)

    def _release(self, certificate: OrderCertificate, out: Outbox) -> None:
        """This member's share for a certified height: to everyone, itself first."""
        height = certificate.vote.height
        member = self.member_of(self.follower.chain.committee_at(height))
        if member is None or not self._may_act(height):
            return
        with suppress(Rejected):  # it abstained, or signed the successor
            for send in self._perform(member.release(certificate)):
                release = ShareRelease.decode(_sent(send).message)
                out.tell("submit_share", release)
                self._perform(self.follower.receive(release))

    def _after_execution(self, done: Executed, out: Outbox) -> None:
        super()._after_execution(done, out)
        for transaction in done.ready.proposal.transactions:
            self._let_go(transaction.tx_id)
        if done.ready.commitment.height % CHECKPOINT_EVERY == 0:
            for tx_id in [tx_id for tx_id, (transaction, _) in self._held.items() if not self._is_open(transaction)]:
                self._let_go(tx_id)
        height = done.ready.commitment.height
        if self.follower.chain.committee_at(height) is not self.follower.chain.committee_at(height + 1):
            for waiting in range(height + 1, self.follower.chain.next_height):  # for this height (SHR-4)
                certificate = self.follower.certificate(waiting)
                if certificate is not None:
                    self._release(certificate, out)
        retired = self.retire()
        out.messages += retired.messages
        out.happenings += retired.happenings


def _sent(effect: object) -> Send:
    if not isinstance(effect, Send):
        raise TypeError(f"a message was expected, not {type(effect).__name__}")
    return effect
