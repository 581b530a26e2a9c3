# pragma version 0.4.3
# pragma evm-version prague
"""
@title Registry of a network's key sets
@notice Which committee is in office from which height on. All that it starts from is the network's genesis.
@dev KEY-3, KEY-7 and the key itself are not checked here: members check them before they sign.
"""
import signatures
import ssz

# `quorum` is t, or the default threshold where that is more: what a reduced threshold does not reduce.
struct Committee:
    sequencer: address
    epoch: uint256
    scheme: uint256
    n: uint256
    t: uint256
    quorum: uint256
    start_height: uint256
    end: uint256
    key_id: bytes32
    rounds: uint256
    start_round: uint256
    policy_id: uint256
    registered_at: uint256

event Registered:
    committee_id: indexed(bytes32)
    epoch: uint256
    start_height: uint256
    sequencer: address
    members: DynArray[address, ssz.COMMITTEE]

GENESIS_ROOT: public(immutable(bytes32))
DEADLINES_ROOT: public(immutable(bytes32))
_SEQUENCER: immutable(bytes32)
_MEMBERS: immutable(bytes32)
_POLICY_ID: immutable(bytes32)
_POLICY_PARAMETERS: immutable(bytes32)
_BATCH_LIMIT: immutable(bytes32)

newest: public(bytes32)
number: public(HashMap[bytes32, HashMap[address, uint256]])
is_sequencer: public(HashMap[address, bool])
_committees: HashMap[bytes32, Committee]
_used: HashMap[bytes32, bool]


@deploy
def __init__(genesis: bytes32[16]):
    """
    @notice A registry for one network
    @param genesis The roots of the fields of the `Genesis`
    """
    GENESIS_ROOT = ssz._root16(genesis)
    _SEQUENCER = genesis[8]
    _MEMBERS = genesis[9]
    _POLICY_ID = genesis[10]
    _POLICY_PARAMETERS = genesis[11]
    _BATCH_LIMIT = genesis[12]
    DEADLINES_ROOT = genesis[15]


@external
def register(
    key_set: bytes32[23],
    members: DynArray[address, ssz.COMMITTEE],
    signed: DynArray[signatures.Signature, ssz.COMMITTEE],
):
    """
    @notice Register the first key set, or the successor of the newest. Anybody may.
    @param key_set The roots of the fields of the `KeySet`
    @param members Its members, in order
    @param signed Signatures by members of the predecessor, of the first by its own, by ascending member
    """
    assert key_set[0] == GENESIS_ROOT, "KEY-1"
    n: uint256 = ssz._to_uint(key_set[7])
    t: uint256 = ssz._to_uint(key_set[8])
    usual: uint256 = 2 * n // 3 + 1
    scheme: uint256 = ssz._to_uint(key_set[4])
    assert n == len(members) and 1 <= t and t <= n, "KEY-4"
    assert key_set[10] == ssz._members_root(members), "KEY-4"
    assert ssz._to_uint(key_set[9]) == (1 if t < usual else 0), "KEY-4"
    assert not (t < usual and (scheme == 2 or scheme == 4)), "KEY-5"
    assert scheme <= 4, "KEY-12"

    committee_id: bytes32 = ssz._root23(key_set)
    for i: uint256 in range(n, bound=ssz.COMMITTEE):
        assert members[i] != empty(address) and self.number[committee_id][members[i]] == 0, "KEY-4"
        self.number[committee_id][members[i]] = i + 1

    committee: Committee = Committee(
        sequencer=ssz._to_address(key_set[11]),
        epoch=ssz._to_uint(key_set[3]),
        scheme=scheme,
        n=n,
        t=t,
        quorum=max(t, usual),
        start_height=ssz._to_uint(key_set[19]),
        end=ssz._to_uint(key_set[22]),
        key_id=key_set[2],
        rounds=ssz._to_uint(key_set[18]),
        start_round=ssz._to_uint(key_set[21]),
        policy_id=ssz._to_uint(key_set[12]),
        registered_at=block.number,
    )
    assert committee.start_height <= committee.end, "KEY-9"
    signers: bytes32 = self.newest
    assert key_set[1] == signers, "KEY-8"
    if signers == empty(bytes32):
        signers = committee_id
        self._check_first(key_set, committee)
        assert self._signers(committee_id, self._digest(committee_id), signed) >= committee.quorum, "KEY-2"
    else:
        before: Committee = self._committees[signers]
        self._check_successor(key_set, committee, before)
        assert self._signers(signers, self._digest(committee_id), signed) >= before.quorum, "KEY-8"
        self._committees[signers].end = min(before.end, committee.start_height - 1)

    self._used[key_set[2]] = True
    self._used[key_set[14]] = True
    self.is_sequencer[committee.sequencer] = True
    self._committees[committee_id] = committee
    self.newest = committee_id
    log Registered(
        committee_id=committee_id,
        epoch=committee.epoch,
        start_height=committee.start_height,
        sequencer=committee.sequencer,
        members=members,
    )


@external
@view
def committee(committee_id: bytes32) -> Committee:
    """
    @notice A registered committee. `end` is its last height, which a successor may have brought forward.
    @param committee_id The root of its `KeySet`
    """
    found: Committee = self._committees[committee_id]
    assert found.n != 0, "EVD-1"
    return found


@external
@view
def signers(
    committee_id: bytes32, digest: bytes32, signed: DynArray[signatures.Signature, ssz.COMMITTEE]
) -> uint256:
    """
    @notice How many members signed a digest. Reverts unless all are members, in ascending order.
    @param committee_id The committee
    @param digest What they signed
    @param signed Their signatures
    """
    return self._signers(committee_id, digest, signed)


@internal
@view
def _signers(
    committee_id: bytes32, digest: bytes32, signed: DynArray[signatures.Signature, ssz.COMMITTEE]
) -> uint256:
    last: uint256 = 0
    for signature: signatures.Signature in signed:
        number: uint256 = self.number[committee_id][signatures._recover(digest, signature)]
        assert number > last, "CRT-3"
        last = number
    return len(signed)


@internal
@view
def _digest(committee_id: bytes32) -> bytes32:
    return signatures._digest(committee_id, signatures.KEY_SET, GENESIS_ROOT)


@internal
@view
def _check_first(key_set: bytes32[23], committee: Committee):
    assert key_set[10] == _MEMBERS, "KEY-2"
    assert key_set[11] == _SEQUENCER, "KEY-6"
    assert key_set[12] == _POLICY_ID and key_set[13] == _POLICY_PARAMETERS, "KEY-6"
    assert key_set[17] == _BATCH_LIMIT and key_set[20] == GENESIS_ROOT, "KEY-6"
    assert committee.epoch == 1 and committee.start_height == 1 and committee.start_round == 0, "KEY-6"


@internal
@view
def _check_successor(key_set: bytes32[23], committee: Committee, before: Committee):
    assert committee.epoch == before.epoch + 1, "KEY-8"
    assert committee.start_height > before.start_height and committee.start_height <= before.end + 1, "KEY-9"
    if committee.key_id == before.key_id:
        assert key_set[20] != empty(bytes32) and committee.start_round >= before.start_round, "KEY-9"
    else:
        assert not self._used[key_set[2]] and not self._used[key_set[14]], "KEY-9"
        assert committee.start_round == 0, "KEY-9"
