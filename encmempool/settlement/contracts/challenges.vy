# pragma version 0.4.3
# pragma evm-version prague
"""
@title Challenges: absences, asked for and answered
@notice Who challenges puts down a bond. Answered within the window, it goes to the accused; unanswered, the accused
        is slashed, and it goes back. Every subject is challenged once, an inbox entry until it is settled. Anybody
        may answer for anybody.
"""
import signatures
import ssz
import collateral
import inbox
import registry
import settlement

flag Subject:
    RECEIPT
    ENTRY
    REVEAL
    EARLY_SHARE

struct Challenge:
    challenger: address
    harmed: address
    deadline: uint256

# A `Receipt` and the transaction it is for.
struct Promise:
    receipt: bytes32[6]
    header: bytes32[10]
    ciphertext_root: bytes32

struct Stall:
    began: uint256
    ended: uint256

event Challenged:
    subject: indexed(Subject)
    root: indexed(bytes32)
    accused: indexed(address)
    deadline: uint256

event Answered:
    subject: indexed(Subject)
    root: indexed(bytes32)
    accused: indexed(address)

event Unanswered:
    subject: indexed(Subject)
    root: indexed(bytes32)
    accused: indexed(address)

REGISTRY: public(immutable(registry.__interface__))
COLLATERAL: public(immutable(collateral.__interface__))
SETTLEMENT: public(immutable(settlement.__interface__))
INBOX: public(immutable(inbox.__interface__))
BOND: public(immutable(uint256))
CHALLENGE_BLOCKS: public(immutable(uint256))
ANSWER_BLOCKS: public(immutable(uint256))
STALL_BLOCKS: public(immutable(uint256))
POSTING_BLOCKS: public(immutable(uint256))
INCLUDE_BLOCKS: public(immutable(uint256))
REVEAL_BLOCKS: public(immutable(uint256))
FORCE_BLOCKS: public(immutable(uint256))
LAG_BLOCKS: public(immutable(uint256))
_GENESIS_ROOT: immutable(bytes32)

# A share whose data is longer is answered by its root: it could not be posted.
SHARE_BYTES: constant(uint256) = 2**16
_STALLS: constant(uint256) = 16
_POINT_BYTES: constant(uint256) = 48
_PROOF_BYTES: constant(uint256) = 48
_SHARE_DEPTH: constant(uint256) = 15
_BATCH: constant(uint256) = 2 << 12
_STATE_ACCOUNTS: constant(uint256) = 10 << 24

challenges: public(HashMap[Subject, HashMap[bytes32, HashMap[address, Challenge]]])
silent: public(HashMap[bytes32, uint256])
stalls: public(HashMap[uint256, Stall])
stall_count: public(uint256)
_stalling: uint256


@deploy
def __init__(
    registry_: address,
    collateral_: address,
    settlement_: address,
    inbox_: address,
    bond: uint256,
    challenge_blocks: uint256,
    answer_blocks: uint256,
    stall_blocks: uint256,
    posting_blocks: uint256,
    deadlines: uint256[6],
):
    """
    @notice Challenges on one network
    @param registry_ The key sets
    @param collateral_ The bonds
    @param settlement_ The commitments that answers rest on
    @param inbox_ The entries that have to be settled
    @param bond What a challenger puts down
    @param challenge_blocks After the deadline of a receipt or a reveal, until which it can be challenged
    @param answer_blocks Within which an answer counts
    @param stall_blocks By which a stall extends windows at most
    @param posting_blocks After a receipt's deadline, until which its commitment has to be posted
    @param deadlines Those of the genesis
    """
    assert answer_blocks > posting_blocks, "windows"
    leaves: bytes32[6] = empty(bytes32[6])
    for i: uint256 in range(6):
        leaves[i] = ssz._from_uint(deadlines[i])
    assert staticcall registry.__interface__(registry_).DEADLINES_ROOT() == ssz._root6(leaves), "GEN-1"
    REGISTRY = registry.__interface__(registry_)
    COLLATERAL = collateral.__interface__(collateral_)
    SETTLEMENT = settlement.__interface__(settlement_)
    INBOX = inbox.__interface__(inbox_)
    BOND = bond
    CHALLENGE_BLOCKS = challenge_blocks
    ANSWER_BLOCKS = answer_blocks
    STALL_BLOCKS = stall_blocks
    POSTING_BLOCKS = posting_blocks
    INCLUDE_BLOCKS = deadlines[1]
    REVEAL_BLOCKS = deadlines[2]
    FORCE_BLOCKS = deadlines[3]
    LAG_BLOCKS = deadlines[4] + deadlines[5]
    _GENESIS_ROOT = staticcall registry.__interface__(registry_).GENESIS_ROOT()


# --- a receipt not honoured


@external
@payable
def challenge_receipt(promise: Promise, signature: signatures.Signature):
    """
    @notice EVD-12: ask where a transaction with a receipt was included, from the receipt's block on
    @param promise The `Receipt`, the `Header`, and the root of the ciphertext
    @param signature The sequencer's, on the receipt
    """
    root: bytes32 = self._check_promise(promise)
    accused: address = self._signer(root, signatures.RECEIPT, signature)
    assert staticcall REGISTRY.is_sequencer(accused), "SEQ-6"
    self._check_time(ssz._to_uint(promise.receipt[4]), "EVD-12")
    self._open(Subject.RECEIPT, root, accused, ssz._to_address(promise.header[3]))


@external
def answer_inclusion(
    promise: Promise,
    accused: address,
    commitment: bytes32[13],
    position: uint256,
    branch: DynArray[bytes32, 32],
):
    """
    @notice It was included in time, in a commitment posted in time
    @param promise What was challenged
    @param accused Who gave the receipt
    @param commitment The `OrderCommitment`
    @param position In its batch
    @param branch From the transaction id to the batch's root
    """
    root: bytes32 = self._check_promise(promise)
    self._check_included(promise.receipt, commitment, position, branch)
    self._check_in_time(promise.receipt, ssz._root13(commitment))
    self._answer(Subject.RECEIPT, root, accused)


@external
def answer_dropped(
    promise: Promise,
    accused: address,
    commitment: bytes32[13],
    signature: signatures.Signature,
    position: uint256,
    branch: DynArray[bytes32, 32],
):
    """
    @notice The accused included it in time, at a height that members dropped, in time, before it was certified
    @param promise What was challenged
    @param accused Who gave the receipt
    @param commitment The `OrderCommitment`
    @param signature The accused's, on the commitment
    @param position In its batch
    @param branch From the transaction id to the batch's root
    """
    root: bytes32 = self._check_promise(promise)
    self._check_included(promise.receipt, commitment, position, branch)
    assert self._signer(ssz._root13(commitment), signatures.ORDER_COMMITMENT, signature) == accused, "SEQ-11"
    empty_one: bytes32 = staticcall SETTLEMENT.roots(ssz._to_uint(commitment[0]))
    assert staticcall SETTLEMENT.dropped(empty_one), "DRP-1"
    self._check_in_time(promise.receipt, empty_one)
    self._answer(Subject.RECEIPT, root, accused)


@external
def answer_account(
    promise: Promise,
    accused: address,
    commitment: bytes32[13],
    position: uint256,
    nonce: uint256,
    balance: uint256,
    branch: DynArray[bytes32, 32],
):
    """
    @notice It was not admissible in the end: in the state that the last commitment in time names, the sender has
            another nonce, or less than the reservation
    @param promise What was challenged
    @param accused Who gave the receipt
    @param commitment The `OrderCommitment` at the receipt's height, or the last one below it that was posted in time
    @param position Of the sender among the state's accounts
    @param nonce Of the sender
    @param balance Of the sender
    @param branch From the account to the state's root
    """
    root: bytes32 = self._check_promise(promise)
    height: uint256 = self._check_posted(commitment)
    limit: uint256 = self._latest_posting(promise.receipt)
    last: uint256 = ssz._to_uint(promise.receipt[3])
    assert height <= last and self._posted_at(height) <= limit, "EVD-15"
    if height < last:
        following: uint256 = self._posted_at(height + 1)
        assert following == 0 or following > limit, "EVD-12"
    account: bytes32 = ssz._account_root(ssz._to_address(promise.header[3]), nonce, balance)
    assert position < 2**24, "SSZ branch"
    assert ssz._branch_root(account, _STATE_ACCOUNTS + position, branch) == commitment[12], "SSZ branch"
    if nonce == ssz._to_uint(promise.header[4]):
        reservation: uint256 = ssz._to_uint(promise.header[5]) * ssz._to_uint256(promise.header[6])
        assert balance < reservation, "EVD-12"
    self._answer(Subject.RECEIPT, root, accused)


@external
def answer_succession(promise: Promise, accused: address, own: bytes32, successor: bytes32):
    """
    @notice Its key or its sequencer was replaced at or below the receipt's height, and the successor was registered
            after the receipt was given, in time
    @param promise What was challenged
    @param accused Who gave the receipt
    @param own The committee whose key the transaction is encrypted to, with the accused as sequencer
    @param successor A later committee, with another key or sequencer
    """
    root: bytes32 = self._check_promise(promise)
    before: registry.Committee = staticcall REGISTRY.committee(own)
    after: registry.Committee = staticcall REGISTRY.committee(successor)
    assert before.key_id == promise.header[1] and before.sequencer == accused, "SEQ-6"
    assert after.epoch > before.epoch and after.start_height <= ssz._to_uint(promise.receipt[3]), "SEQ-4"
    assert after.key_id != before.key_id or after.sequencer != accused, "SEQ-4"
    assert after.registered_at >= self._received_at(promise.receipt), "SEQ-4"
    assert after.registered_at <= self._latest_posting(promise.receipt), "EVD-15"
    self._answer(Subject.RECEIPT, root, accused)


@external
def answer_used_up(promise: Promise, accused: address, commitment: bytes32[13]):
    """
    @notice The last round of its key was given to a height at or below the receipt's
    @param promise What was challenged
    @param accused Who gave the receipt
    @param commitment The `OrderCommitment` with that round, posted in time
    """
    root: bytes32 = self._check_promise(promise)
    height: uint256 = self._check_posted(commitment)
    committee: registry.Committee = staticcall REGISTRY.committee(commitment[2])
    assert height <= ssz._to_uint(promise.receipt[3]), "SEQ-9"
    self._check_in_time(promise.receipt, ssz._root13(commitment))
    assert committee.key_id == promise.header[1] and committee.rounds != 0, "SEQ-9"
    assert ssz._to_uint(commitment[4]) >= committee.rounds, "SEQ-9"
    self._answer(Subject.RECEIPT, root, accused)


# --- an inbox entry skipped


@external
@payable
def challenge_entry(index: uint256, committee_id: bytes32):
    """
    @notice EVD-13: ask for the first entry of the inbox that is not settled, once it is overdue. Those behind it may
            have to wait for room.
    @param index Of the entry
    @param committee_id The committee in office at the next height, whose sequencer is accused
    """
    assert staticcall SETTLEMENT.inbox_index() == index, "FRC-5"
    entry: inbox.Entry = staticcall INBOX.entry(index)
    assert FORCE_BLOCKS != 0, "FRC-5"
    assert block.number > convert(entry.posted_at, uint256) + FORCE_BLOCKS + LAG_BLOCKS, "EVD-13"
    committee: registry.Committee = self._in_office(committee_id)
    self._open(Subject.ENTRY, convert(index, bytes32), committee.sequencer, entry.sender)


@external
def answer_entry(index: uint256, accused: address, committee_id: bytes32):
    """
    @notice It is settled, or another sequencer is in office now
    @param index Of the entry
    @param accused The sequencer
    @param committee_id The committee in office at the next height; does not matter if the entry is settled
    """
    if staticcall SETTLEMENT.inbox_index() <= index:
        committee: registry.Committee = self._in_office(committee_id)
        assert committee.sequencer != accused, "FRC-5"
    self._answer(Subject.ENTRY, convert(index, bytes32), accused)


# --- a reveal overdue


@external
@payable
def challenge_reveal(commitment: bytes32[13], member: address):
    """
    @notice EVD-14: ask a member for its share of a posted commitment, once the reveal is overdue
    @param commitment The `OrderCommitment`
    @param member Of its committee
    """
    height: uint256 = self._check_posted(commitment)
    committee: registry.Committee = staticcall REGISTRY.committee(commitment[2])
    assert staticcall REGISTRY.number(commitment[2], member) != 0, "SHR-1"
    assert ssz._to_uint(commitment[6]) != 0, "SHR-3"
    self._check_time(self._posted_at(height) + REVEAL_BLOCKS, "EVD-14")
    assert staticcall SETTLEMENT.executed_height() < height and height <= committee.end, "revealed"
    root: bytes32 = staticcall SETTLEMENT.roots(height)
    self._open(Subject.REVEAL, root, member, empty(address))
    self.silent[root] += 1
    if self.silent[root] == committee.n - committee.t + 1:
        if self._stalling == 0:
            self.stalls[self.stall_count] = Stall(began=block.number, ended=0)
            self.stall_count += 1
        self._stalling += 1


@external
def answer_share(
    commitment: bytes32[13], member: address, data: Bytes[SHARE_BYTES], signature: signatures.Signature
):
    """
    @notice Here is the share. Whether it is right is not checked here but for its size (EVD-7).
    @param commitment The `OrderCommitment`
    @param member Whose share
    @param data The share's bytes
    @param signature The member's, on the `DecryptionShare`
    """
    assert len(data) == self._share_bytes(commitment), "REV-2"
    line: bytes32[16] = empty(bytes32[16])
    padded: Bytes[SHARE_BYTES + 32] = concat(data, empty(bytes32))
    count: uint256 = (len(data) + 31) // 32
    for i: uint256 in range(count, bound=SHARE_BYTES // 32):
        line = ssz._put(line, i, extract32(padded, 32 * i))
    data_root: bytes32 = ssz._list_root(line, count, _SHARE_DEPTH, len(data))
    self._answer_with_share(commitment, member, data_root, signature)


@external
def answer_large_share(
    commitment: bytes32[13],
    member: address,
    tree: bytes32,
    signature: signatures.Signature,
):
    """
    @notice The same for a share that is too large to be posted: only its root. A member that has not made it is
            convicted by its own signature, off chain (EVD-7).
    @param commitment The `OrderCommitment`
    @param member Whose share
    @param tree The root of the share's bytes, before their number is mixed in
    @param signature The member's, on the `DecryptionShare`
    """
    size: uint256 = self._share_bytes(commitment)
    assert size > SHARE_BYTES, "REV-2"
    self._answer_with_share(commitment, member, ssz._pair(tree, ssz._from_uint(size)), signature)


@external
def answer_abstention(commitment: bytes32[13], member: address, signature: signatures.Signature):
    """
    @notice The member abstained at this height, which bars it from making a share
    @param commitment The `OrderCommitment`
    @param member Who abstained
    @param signature Its, on the `Abstain`
    """
    abstention: bytes32 = ssz._pair(commitment[2], commitment[0])
    assert self._signer(abstention, signatures.ABSTAIN, signature) == member, "EVD-14"
    self._answer_reveal(commitment, member)


@external
def answer_executed(commitment: bytes32[13], member: address):
    """
    @notice It was revealed, since a commitment above names the state after it; or it does not stand any more, dropped
            or void; or it was left to a successor, whose signers release nothing from its start on (KEY-10)
    @param commitment The `OrderCommitment`
    @param member Who was asked
    """
    height: uint256 = ssz._to_uint(commitment[0])
    if self._is_unrevealed(commitment):
        committee: registry.Committee = staticcall REGISTRY.committee(commitment[2])
        assert committee.end < height, "EVD-14"
    self._answer_reveal(commitment, member)


@external
def resume(commitment: bytes32[13]):
    """
    @notice Let windows run again: a commitment whose members were silent was revealed after all, or dropped
    @param commitment The `OrderCommitment`
    """
    root: bytes32 = ssz._root13(commitment)
    assert not self._is_unrevealed(commitment), "EVD-15"
    committee: registry.Committee = staticcall REGISTRY.committee(commitment[2])
    assert self.silent[root] > committee.n - committee.t, "EVD-15"
    self.silent[root] = 0
    self._end_stall()


# --- a share released early


@external
@payable
def challenge_early_share(share: bytes32[6], signature: signatures.Signature):
    """
    @notice EVD-6: ask for the certificate that permitted a share
    @param share The `DecryptionShare`, its data as root
    @param signature The member's
    """
    accused: address = self._signer(ssz._root6(share), signatures.DECRYPTION_SHARE, signature)
    assert staticcall REGISTRY.number(share[0], accused) != 0, "EVD-11"
    posted: bytes32 = staticcall SETTLEMENT.roots(ssz._to_uint(share[1]))
    assert posted != share[3] or staticcall SETTLEMENT.dropped(posted), "certified"
    vote: bytes32 = ssz._root4([share[0], share[1], share[2], share[3]])
    self._open(Subject.EARLY_SHARE, vote, accused, empty(address))


@external
def answer_certificate(
    vote: bytes32[4], accused: address, votes: DynArray[signatures.Signature, ssz.COMMITTEE]
):
    """
    @notice Here is the certificate
    @param vote The `Vote` that the share's certificate is for
    @param accused The member
    @param votes The certificate's signatures
    """
    root: bytes32 = ssz._root4(vote)
    committee: registry.Committee = staticcall REGISTRY.committee(vote[0])
    digest: bytes32 = signatures._digest(root, signatures.VOTE, _GENESIS_ROOT)
    assert staticcall REGISTRY.signers(vote[0], digest, votes) >= committee.t, "CRT-3"
    self._answer(Subject.EARLY_SHARE, root, accused)


# --- all of them


@external
def conclude(subject: Subject, root: bytes32, accused: address):
    """
    @notice The window has passed: slash the accused, unless nothing can be posted any more and that was asked for
    @param subject What was challenged
    @param root Its root: of the receipt, the commitment or the vote; the index of an entry
    @param accused Who did not answer
    """
    challenge: Challenge = self.challenges[subject][root][accused]
    assert challenge.challenger != empty(address), "no challenge"
    assert block.number > self._deadline(subject, challenge.deadline), "window"
    self._close(subject, root, accused, challenge.challenger)
    whole: bool = subject == Subject.EARLY_SHARE
    if whole or staticcall SETTLEMENT.halted_from() == max_value(uint256):
        extcall COLLATERAL.slash(accused, whole, challenge.challenger, challenge.harmed)
    log Unanswered(subject=subject, root=root, accused=accused)


@internal
@view
def _signer(root: bytes32, tag: bytes4, signature: signatures.Signature) -> address:
    return signatures._recover(signatures._digest(root, tag, _GENESIS_ROOT), signature)


@internal
@pure
def _check_promise(promise: Promise) -> bytes32:
    tx_id: bytes32 = ssz._pair(ssz._root10(promise.header), promise.ciphertext_root)
    assert promise.receipt[0] == tx_id, "SEQ-7"
    return ssz._root6(promise.receipt)


@internal
@view
def _check_posted(commitment: bytes32[13]) -> uint256:
    height: uint256 = ssz._to_uint(commitment[0])
    assert ssz._root13(commitment) == staticcall SETTLEMENT.roots(height), "not posted"
    return height


@internal
@view
def _is_unrevealed(commitment: bytes32[13]) -> bool:
    height: uint256 = ssz._to_uint(commitment[0])
    if staticcall SETTLEMENT.roots(height) != ssz._root13(commitment):
        return False
    return staticcall SETTLEMENT.executed_height() < height


@internal
@view
def _posted_at(height: uint256) -> uint256:
    return staticcall SETTLEMENT.posted_at(staticcall SETTLEMENT.roots(height))


@internal
@view
def _check_in_time(receipt: bytes32[6], commitment: bytes32):
    posted_at: uint256 = staticcall SETTLEMENT.posted_at(commitment)
    assert posted_at != 0, "not posted"
    assert posted_at <= self._latest_posting(receipt), "EVD-15"


@internal
@pure
def _check_included(
    receipt: bytes32[6], commitment: bytes32[13], position: uint256, branch: DynArray[bytes32, 32]
):
    assert ssz._to_uint(commitment[0]) <= ssz._to_uint(receipt[3]), "EVD-12"
    assert position < 2**12, "SSZ branch"
    assert ssz._branch_root(receipt[0], _BATCH + position, branch) == commitment[5], "SSZ branch"


@internal
@view
def _in_office(committee_id: bytes32) -> registry.Committee:
    committee: registry.Committee = staticcall REGISTRY.committee(committee_id)
    height: uint256 = staticcall SETTLEMENT.height() + 1
    assert committee.start_height <= height and height <= committee.end, "VOT-2"
    return committee


@internal
@view
def _check_time(deadline: uint256, rule: String[6]):
    assert block.number > deadline and block.number <= deadline + CHALLENGE_BLOCKS, rule


@internal
@view
def _received_at(receipt: bytes32[6]) -> uint256:
    deadline: uint256 = ssz._to_uint(receipt[4])
    return deadline - min(deadline, INCLUDE_BLOCKS)


@internal
@view
def _latest_posting(receipt: bytes32[6]) -> uint256:
    return self._extended(self._received_at(receipt), ssz._to_uint(receipt[4]) + POSTING_BLOCKS)


@internal
@view
def _deadline(subject: Subject, deadline: uint256) -> uint256:
    if subject == Subject.RECEIPT or subject == Subject.ENTRY:
        return self._extended(deadline - ANSWER_BLOCKS, deadline)
    return deadline


@internal
@view
def _extended(since: uint256, until: uint256) -> uint256:
    """
    @notice EVD-15: the end of a span, later by what of it fell into the last stalls. A stall is the time in which more
            than n - t members were asked for shares of one commitment and have not answered, up to a limit.
    """
    end: uint256 = until
    oldest: uint256 = self.stall_count - min(self.stall_count, _STALLS)
    for i: uint256 in range(oldest, self.stall_count, bound=_STALLS):
        stall: Stall = self.stalls[i]
        ended: uint256 = block.number if stall.ended == 0 else stall.ended
        ended = min(ended, stall.began + STALL_BLOCKS)
        start: uint256 = max(since, stall.began)
        if start < ended and stall.began <= end:
            end += ended - start
    return end


@internal
def _end_stall():
    self._stalling -= 1
    if self._stalling == 0:
        self.stalls[self.stall_count - 1].ended = block.number


@internal
@view
def _share_bytes(commitment: bytes32[13]) -> uint256:
    """
    @notice The size of a share of this batch: none for clear, one point, or for tdh2 one for each transaction and a
            proof
    """
    committee: registry.Committee = staticcall REGISTRY.committee(commitment[2])
    if committee.scheme == 0:
        return 0
    if committee.scheme == 1:
        return _POINT_BYTES * ssz._to_uint(commitment[6]) + _PROOF_BYTES
    return _POINT_BYTES


@internal
def _answer_with_share(
    commitment: bytes32[13], member: address, data_root: bytes32, signature: signatures.Signature
):
    number: uint256 = staticcall REGISTRY.number(commitment[2], member)
    share: bytes32 = ssz._root6(
        [
            commitment[2],
            commitment[0],
            commitment[4],
            ssz._root13(commitment),
            ssz._from_uint(number),
            data_root,
        ]
    )
    assert self._signer(share, signatures.DECRYPTION_SHARE, signature) == member, "EVD-14"
    self._answer_reveal(commitment, member)


@internal
def _answer_reveal(commitment: bytes32[13], member: address):
    root: bytes32 = ssz._root13(commitment)
    self._answer(Subject.REVEAL, root, member)
    if self.silent[root] > 0:
        committee: registry.Committee = staticcall REGISTRY.committee(commitment[2])
        if self.silent[root] == committee.n - committee.t + 1:
            self._end_stall()
        self.silent[root] -= 1


@internal
@payable
def _open(subject: Subject, root: bytes32, accused: address, harmed: address):
    assert msg.value == BOND, "bond"
    before: Challenge = self.challenges[subject][root][accused]
    if subject == Subject.ENTRY:
        assert before.challenger == empty(address), "challenged already"
    else:
        assert before.deadline == 0, "challenged already"
    deadline: uint256 = block.number + ANSWER_BLOCKS
    self.challenges[subject][root][accused] = Challenge(challenger=msg.sender, harmed=harmed, deadline=deadline)
    extcall COLLATERAL.lock(accused)
    extcall SETTLEMENT.open_challenge()
    log Challenged(subject=subject, root=root, accused=accused, deadline=deadline)


@internal
def _answer(subject: Subject, root: bytes32, accused: address):
    challenge: Challenge = self.challenges[subject][root][accused]
    assert challenge.challenger != empty(address), "no challenge"
    assert block.number <= self._deadline(subject, challenge.deadline), "window"
    self._close(subject, root, accused, accused)
    log Answered(subject=subject, root=root, accused=accused)


@internal
def _close(subject: Subject, root: bytes32, accused: address, beneficiary: address):
    self.challenges[subject][root][accused].challenger = empty(address)
    extcall COLLATERAL.unlock(accused)
    extcall COLLATERAL.credit(beneficiary, value=BOND)
    extcall SETTLEMENT.close_challenge()
