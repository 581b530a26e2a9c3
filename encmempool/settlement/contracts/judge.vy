# pragma version 0.4.3
# pragma evm-version prague
"""
@title Judge of offline evidence
@notice Two signed messages that no honest party signs both of: the signer loses all of its bond. Messages come as their
        leaves. Anybody may report, at any time while there is a bond; a subject convicts once. Wrong shares are judged by
        `openings`, which has them convicted here.
@dev A reporter can be overtaken by whoever sees the report on its way. Nodes hand evidence to everybody anyway, and the
     offender pays all the same.
"""
import signatures
import ssz
import collateral
import registry
import settlement

flag Fault:
    COMMITMENTS
    VOTES
    SHARES
    RECEIPTS
    SHARE_AND_ABSTENTION
    SUCCESSORS
    SUCCESSOR_AND_SHARE
    WRONG_SHARE

event Convicted:
    offender: indexed(address)
    fault: Fault
    height: uint256
    reporter: address

REGISTRY: public(immutable(registry.__interface__))
COLLATERAL: public(immutable(collateral.__interface__))
SETTLEMENT: public(immutable(settlement.__interface__))
OPENINGS: public(immutable(address))
HOLDING_BOND: public(immutable(uint256))
_GENESIS_ROOT: immutable(bytes32)

_convicted: HashMap[Fault, HashMap[address, HashMap[uint256, bool]]]


@deploy
def __init__(
    registry_: address, collateral_: address, settlement_: address, openings: address, holding_bond: uint256
):
    """
    @notice A judge for one network
    @param registry_ The key sets
    @param collateral_ The bonds
    @param settlement_ Whose finality an equivocation holds back
    @param openings Who judges wrong shares
    @param holding_bond The bond that has to be lost for that, so that each delay has its price
    """
    REGISTRY = registry.__interface__(registry_)
    COLLATERAL = collateral.__interface__(collateral_)
    SETTLEMENT = settlement.__interface__(settlement_)
    OPENINGS = openings
    HOLDING_BOND = holding_bond
    _GENESIS_ROOT = staticcall registry.__interface__(registry_).GENESIS_ROOT()


@external
def convict_commitments(
    first: bytes32[13],
    first_signature: signatures.Signature,
    second: bytes32[13],
    second_signature: signatures.Signature,
):
    """
    @notice EVD-2: two commitments of one committee and height
    @param first An `OrderCommitment`
    @param first_signature Its sequencer's
    @param second Another one
    @param second_signature The same sequencer's
    """
    assert first[2] == second[2] and first[0] == second[0], "EVD-2"
    first_root: bytes32 = ssz._root13(first)
    second_root: bytes32 = ssz._root13(second)
    assert first_root != second_root, "EVD-2"
    committee: registry.Committee = staticcall REGISTRY.committee(first[2])
    offender: address = self._signer(first_root, signatures.ORDER_COMMITMENT, first_signature)
    assert offender == committee.sequencer, "EVD-2"
    assert offender == self._signer(second_root, signatures.ORDER_COMMITMENT, second_signature), "EVD-2"
    self._convict(Fault.COMMITMENTS, offender, ssz._to_uint(first[0]), True, msg.sender)


@external
def convict_receipts(
    first: bytes32[6],
    first_signature: signatures.Signature,
    second: bytes32[6],
    second_signature: signatures.Signature,
):
    """
    @notice EVD-3: two receipts of one sequence
    @param first A `Receipt`
    @param first_signature A sequencer's
    @param second Another one
    @param second_signature The same sequencer's
    """
    assert first[1] == second[1], "EVD-3"
    first_root: bytes32 = ssz._root6(first)
    second_root: bytes32 = ssz._root6(second)
    assert first_root != second_root, "EVD-3"
    offender: address = self._signer(first_root, signatures.RECEIPT, first_signature)
    assert offender == self._signer(second_root, signatures.RECEIPT, second_signature), "EVD-3"
    assert staticcall REGISTRY.is_sequencer(offender), "EVD-3"
    self._convict(Fault.RECEIPTS, offender, ssz._to_uint(first[1]), False, msg.sender)


@external
def convict_votes(
    first: bytes32[4],
    first_signature: signatures.Signature,
    second: bytes32[4],
    second_signature: signatures.Signature,
):
    """
    @notice EVD-4: two votes of one member, committee and height
    @param first A `Vote`
    @param first_signature A member's
    @param second Another one
    @param second_signature The same member's
    """
    assert first[0] == second[0] and first[1] == second[1], "EVD-4"
    first_root: bytes32 = ssz._root4(first)
    second_root: bytes32 = ssz._root4(second)
    assert first_root != second_root, "EVD-4"
    offender: address = self._signer(first_root, signatures.VOTE, first_signature)
    assert offender == self._signer(second_root, signatures.VOTE, second_signature), "EVD-4"
    self._check_member(first[0], offender)
    self._convict(Fault.VOTES, offender, ssz._to_uint(first[1]), True, msg.sender)


@external
def convict_shares(
    first: bytes32[6],
    first_signature: signatures.Signature,
    second: bytes32[6],
    second_signature: signatures.Signature,
):
    """
    @notice EVD-5, EVD-17: two shares of one member and key for different commitments, at one height, or in one round of
            a key whose rounds are limited
    @param first A `DecryptionShare`, its data as root
    @param first_signature A member's
    @param second Another one
    @param second_signature The same member's
    """
    assert first[3] != second[3], "EVD-5"
    if first[0] != second[0] or first[1] != second[1]:
        one: registry.Committee = staticcall REGISTRY.committee(first[0])
        other: registry.Committee = staticcall REGISTRY.committee(second[0])
        assert one.key_id == other.key_id, "EVD-5"
        assert first[1] == second[1] or (one.rounds != 0 and first[2] == second[2]), "EVD-5"
    offender: address = self._signer(ssz._root6(first), signatures.DECRYPTION_SHARE, first_signature)
    assert offender == self._signer(ssz._root6(second), signatures.DECRYPTION_SHARE, second_signature), "EVD-5"
    self._check_member(first[0], offender)
    self._check_member(second[0], offender)
    self._convict(Fault.SHARES, offender, min(ssz._to_uint(first[1]), ssz._to_uint(second[1])), False, msg.sender)


@external
def convict_share_and_abstention(
    share: bytes32[6],
    share_signature: signatures.Signature,
    abstention: bytes32[2],
    abstention_signature: signatures.Signature,
):
    """
    @notice EVD-17: a share, and an abstention of the same member, key and height
    @param share A `DecryptionShare`, its data as root
    @param share_signature A member's
    @param abstention An `Abstain`
    @param abstention_signature The same member's
    """
    assert share[1] == abstention[1], "EVD-17"
    if share[0] != abstention[0]:
        one: registry.Committee = staticcall REGISTRY.committee(share[0])
        other: registry.Committee = staticcall REGISTRY.committee(abstention[0])
        assert one.key_id == other.key_id, "EVD-17"
    offender: address = self._signer(ssz._root6(share), signatures.DECRYPTION_SHARE, share_signature)
    root: bytes32 = ssz._pair(abstention[0], abstention[1])
    assert offender == self._signer(root, signatures.ABSTAIN, abstention_signature), "EVD-17"
    self._check_member(share[0], offender)
    self._check_member(abstention[0], offender)
    self._convict(Fault.SHARE_AND_ABSTENTION, offender, ssz._to_uint(share[1]), False, msg.sender)


@external
def convict_successors(
    first: bytes32[23],
    first_signature: signatures.Signature,
    second: bytes32[23],
    second_signature: signatures.Signature,
):
    """
    @notice EVD-16: two successors of one key set
    @param first A `KeySet`
    @param first_signature A member's, of the predecessor
    @param second Another one
    @param second_signature The same member's
    """
    assert first[1] == second[1], "EVD-16"
    first_root: bytes32 = ssz._root23(first)
    second_root: bytes32 = ssz._root23(second)
    assert first_root != second_root, "EVD-16"
    offender: address = self._signer(first_root, signatures.KEY_SET, first_signature)
    assert offender == self._signer(second_root, signatures.KEY_SET, second_signature), "EVD-16"
    self._check_member(first[1], offender)
    committee: registry.Committee = staticcall REGISTRY.committee(first[1])
    self._convict(Fault.SUCCESSORS, offender, committee.epoch, False, msg.sender)


@external
def convict_successor_and_share(
    successor: bytes32[23],
    successor_signature: signatures.Signature,
    share: bytes32[6],
    share_signature: signatures.Signature,
):
    """
    @notice EVD-16: a successor, and a share under its predecessor at the successor's start or above
    @param successor A `KeySet`
    @param successor_signature A member's, of the predecessor
    @param share A `DecryptionShare`, its data as root
    @param share_signature The same member's
    """
    height: uint256 = ssz._to_uint(share[1])
    assert successor[1] == share[0] and height >= ssz._to_uint(successor[19]), "EVD-16"
    offender: address = self._signer(ssz._root23(successor), signatures.KEY_SET, successor_signature)
    assert offender == self._signer(ssz._root6(share), signatures.DECRYPTION_SHARE, share_signature), "EVD-16"
    self._check_member(share[0], offender)
    self._convict(Fault.SUCCESSOR_AND_SHARE, offender, height, False, msg.sender)


@external
def convict_wrong_share(offender: address, height: uint256, reporter: address):
    """
    @notice EVD-7: a share that is not its member's for its batch, as `openings` has found
    @param offender The member
    @param height The share's
    @param reporter Who gets the reward
    """
    assert msg.sender == OPENINGS, "openings only"
    self._convict(Fault.WRONG_SHARE, offender, height, False, reporter)


@external
@view
def convicted(fault: Fault, offender: address, height: uint256) -> bool:
    """
    @notice Whether somebody was convicted already
    @param fault Of what
    @param offender Who
    @param height Where; the sequence for receipts, the predecessor's epoch for successors
    """
    return self._convicted[fault][offender][height]


@internal
@view
def _signer(root: bytes32, tag: bytes4, signature: signatures.Signature) -> address:
    return signatures._recover(signatures._digest(root, tag, _GENESIS_ROOT), signature)


@internal
@view
def _check_member(committee_id: bytes32, member: address):
    assert staticcall REGISTRY.number(committee_id, member) != 0, "EVD-11"


@internal
def _convict(fault: Fault, offender: address, height: uint256, equivocation: bool, reporter: address):
    assert not self._convicted[fault][offender][height], "convicted already"
    self._convicted[fault][offender][height] = True
    taken: uint256 = extcall COLLATERAL.slash(offender, True, reporter, empty(address))
    if equivocation and taken >= HOLDING_BOND:
        extcall SETTLEMENT.hold(height)
    log Convicted(offender=offender, fault=fault, height=height, reporter=reporter)
