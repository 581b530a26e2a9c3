# pragma version 0.4.3
# pragma evm-version prague
"""
@title Settlement: the chain of certified commitments
@notice Every height's commitment with its certificate, posted by anybody. A state root that a commitment names is
        signed by t members with it (VOT-7), here never fewer than the default threshold, and becomes final after a
        delay. Execution is not proven: t members who lie agree on any state.
"""
import signatures
import ssz
import registry

struct Posting:
    commitment: bytes32[13]
    sequencer: signatures.Signature
    votes: DynArray[signatures.Signature, ssz.COMMITTEE]

event Posted:
    height: indexed(uint256)
    commitment_root: bytes32

event Dropped:
    height: indexed(uint256)
    commitment_root: bytes32

event Forgotten:
    height: indexed(uint256)

event Finalized:
    height: indexed(uint256)

event Held:
    height: indexed(uint256)

event Halted:
    height: indexed(uint256)

REGISTRY: public(immutable(registry.__interface__))
JUDGE: public(immutable(address))
CHALLENGES: public(immutable(address))
FINALITY_BLOCKS: public(immutable(uint256))
_GENESIS_ROOT: immutable(bytes32)
_BATCH: constant(uint256) = 8
_BATCH_DEPTH: constant(uint256) = 12
# Heights that one call takes back at most.
_TAKEN_BACK: constant(uint256) = 256

height: public(uint256)
final_height: public(uint256)
inbox_index: public(uint256)
executed_height: public(uint256)
halted_from: public(uint256)
held_from: public(uint256)
held_at: public(uint256)
open_challenges: public(uint256)
roots: public(HashMap[uint256, bytes32])
posted_at: public(HashMap[bytes32, uint256])
dropped: public(HashMap[bytes32, bool])


@deploy
def __init__(registry_: address, judge: address, challenges: address, finality_blocks: uint256):
    """
    @notice A chain that begins at the registry's genesis
    @param registry_ The key sets
    @param judge Holds finality back after an equivocation
    @param challenges Holds finality back while a challenge is open
    @param finality_blocks From posting to finality
    """
    REGISTRY = registry.__interface__(registry_)
    JUDGE = judge
    CHALLENGES = challenges
    FINALITY_BLOCKS = finality_blocks
    _GENESIS_ROOT = staticcall registry.__interface__(registry_).GENESIS_ROOT()
    self.roots[0] = _GENESIS_ROOT
    self.halted_from = max_value(uint256)
    self.held_from = max_value(uint256)


@external
def post(postings: DynArray[Posting, _BATCH]):
    """
    @notice Post the commitments of the next heights, all or none
    @param postings Each the leaves of an `OrderCommitment`, its sequencer's signature, and its certificate's signatures
    """
    height: uint256 = self.height
    parent: bytes32 = self.roots[height]
    inbox_index: uint256 = self.inbox_index
    executed_height: uint256 = self.executed_height
    for posting: Posting in postings:
        height += 1
        leaves: bytes32[13] = posting.commitment
        assert height < self.halted_from, "halted"
        assert ssz._to_uint(leaves[0]) == height and leaves[1] == parent, "VOT-2"
        root: bytes32 = ssz._root13(leaves)
        committee: registry.Committee = staticcall REGISTRY.committee(leaves[2])
        assert committee.start_height <= height and height <= committee.end, "VOT-2"
        assert self._signer(root, signatures.ORDER_COMMITMENT, posting.sequencer) == committee.sequencer, "VOT-1"
        vote: bytes32 = ssz._root4([leaves[2], leaves[0], leaves[4], root])
        assert self._voters(leaves[2], vote, posting.votes) >= committee.quorum, "CRT-3"
        settled: uint256 = ssz._to_uint(leaves[9])
        assert settled >= inbox_index, "FRC-3"
        inbox_index = settled
        executed: uint256 = ssz._to_uint(leaves[11])
        assert executed >= executed_height and executed < height, "VOT-7"
        executed_height = executed
        self.roots[height] = root
        self.posted_at[root] = block.number
        parent = root
        log Posted(height=height, commitment_root=root)
    self.height = height
    self.inbox_index = inbox_index
    self.executed_height = executed_height


@external
def drop(
    parent: bytes32[13], committee_id: bytes32, abstained: DynArray[signatures.Signature, ssz.COMMITTEE]
):
    """
    @notice Put the empty commitment of DRP-4 in place of a height at which so many members abstained that nobody can
            open it (DRP-1), whether something was posted there or not. What stands above goes. Not for the first
            height.
    @param parent The leaves of the commitment below
    @param committee_id The committee of the height
    @param abstained Its members' signatures on the `Abstain`, by ascending member
    """
    height: uint256 = ssz._to_uint(parent[0]) + 1
    below: bytes32 = ssz._root13(parent)
    assert below == self.roots[height - 1], "not posted"
    assert height <= self.height + 1 and height < self.halted_from, "height"
    assert self.executed_height < height, "DRP-2"
    assert not self.dropped[self.roots[height]], "dropped already"
    committee: registry.Committee = staticcall REGISTRY.committee(committee_id)
    assert committee.start_height <= height and height <= committee.end, "VOT-2"
    abstention: bytes32 = ssz._pair(committee_id, ssz._from_uint(height))
    digest: bytes32 = signatures._digest(abstention, signatures.ABSTAIN, _GENESIS_ROOT)
    needed: uint256 = 2 * (committee.n - committee.t) + 1
    assert staticcall REGISTRY.signers(committee_id, digest, abstained) >= needed, "DRP-1"

    root: bytes32 = ssz._root13(
        [
            ssz._from_uint(height),
            below,
            committee_id,
            committee.key_id,
            parent[4] if height > committee.start_height else ssz._from_uint(committee.start_round),
            ssz._list_root(empty(bytes32[16]), 0, _BATCH_DEPTH, 0),
            empty(bytes32),
            ssz._from_uint(committee.policy_id),
            parent[8],
            parent[9],
            parent[10],
            parent[11],
            parent[12],
        ]
    )
    self._take_back(height, ssz._to_uint(parent[9]), ssz._to_uint(parent[11]))
    self.height = height
    self.roots[height] = root
    self.posted_at[root] = block.number
    self.dropped[root] = True
    log Dropped(height=height, commitment_root=root)


@external
def forget(voided: bytes32[13], parent: bytes32[13]):
    """
    @notice Take back what was posted of a committee from a height on that a successor has taken over (VOT-14): votes
            are not taken back, and one that comes late may certify what became void before the successor is
            registered here
    @param voided The leaves of the commitment posted at the first such height
    @param parent Those of the commitment below; nothing where that is the genesis
    """
    height: uint256 = ssz._to_uint(voided[0])
    assert height > 0 and ssz._root13(voided) == self.roots[height], "not posted"
    committee: registry.Committee = staticcall REGISTRY.committee(voided[2])
    assert committee.end < height, "VOT-14"
    if height > 1:
        assert ssz._root13(parent) == self.roots[height - 1], "not posted"
        self._take_back(height, ssz._to_uint(parent[9]), ssz._to_uint(parent[11]))
    else:
        self._take_back(height, 0, 0)
    log Forgotten(height=height)


@external
def finalize(height: uint256):
    """
    @notice Make all up to a posted height final: the delay has passed, also since the last equivocation at or below it,
            and no second certificate is known there. Open challenges can double the delay but do no more: none of them
            puts a state in doubt, and an accomplice without a bond could keep one open for ever.
    @param height Above the last final one
    """
    assert self.final_height < height and height <= self.height, "height"
    assert height < self.halted_from, "halted"
    since: uint256 = self.posted_at[self.roots[height]]
    if height >= self.held_from:
        since = max(since, self.held_at)
    assert block.number >= since + FINALITY_BLOCKS, "delay"
    assert self.open_challenges == 0 or block.number >= since + 2 * FINALITY_BLOCKS, "challenged"
    self.final_height = height
    log Finalized(height=height)


@external
def halt(posted: bytes32[13], vote: bytes32[4], votes: DynArray[signatures.Signature, ssz.COMMITTEE]):
    """
    @notice Show that the same committee certified something else at a posted height: nothing becomes final from there
            on, nor is anything posted. More members than assumed are dishonest then, and each is convicted by EVD-4.
    @param posted The leaves of the commitment posted
    @param vote Those of the `Vote` for the other one
    @param votes The certificate's signatures
    """
    height: uint256 = ssz._to_uint(posted[0])
    root: bytes32 = self.roots[height]
    assert height > 0 and height < self.halted_from, "height"
    assert root == ssz._root13(posted) and not self.dropped[root], "not posted"
    assert vote[0] == posted[2] and vote[1] == posted[0] and vote[3] != root, "CRT-4"
    committee: registry.Committee = staticcall REGISTRY.committee(vote[0])
    assert self._voters(vote[0], ssz._root4(vote), votes) >= committee.quorum, "CRT-3"
    self.halted_from = height
    log Halted(height=height)


@external
def hold(height: uint256):
    """
    @notice Let the delay begin anew from a height on
    @param height Where somebody equivocated
    """
    assert msg.sender == JUDGE, "judges only"
    if block.number < self.held_at + FINALITY_BLOCKS:
        self.held_from = min(self.held_from, height)
    else:
        self.held_from = height
    self.held_at = block.number
    log Held(height=height)


@external
def open_challenge():
    """
    @notice Nothing becomes final from now on
    """
    assert msg.sender == CHALLENGES, "judges only"
    self.open_challenges += 1


@external
def close_challenge():
    """
    @notice One challenge fewer is open
    """
    assert msg.sender == CHALLENGES, "judges only"
    self.open_challenges -= 1


@internal
def _take_back(height: uint256, inbox_index: uint256, executed_height: uint256):
    """
    @notice Leave the heights below this one, whose last commitment names these two
    """
    assert self.final_height < height, "final"
    top: uint256 = self.height
    for at: uint256 in range(height, top + 1, bound=_TAKEN_BACK):
        self.roots[at] = empty(bytes32)
    self.height = height - 1
    self.inbox_index = inbox_index
    self.executed_height = executed_height


@internal
@view
def _signer(root: bytes32, tag: bytes4, signature: signatures.Signature) -> address:
    return signatures._recover(signatures._digest(root, tag, _GENESIS_ROOT), signature)


@internal
@view
def _voters(
    committee_id: bytes32, vote: bytes32, votes: DynArray[signatures.Signature, ssz.COMMITTEE]
) -> uint256:
    digest: bytes32 = signatures._digest(vote, signatures.VOTE, _GENESIS_ROOT)
    return staticcall REGISTRY.signers(committee_id, digest, votes)
