# pragma version 0.4.3
# pragma evm-version prague
"""
@title Judge of openings
@notice A decryption share that is not its member's for the batch it was signed for: the member loses all of its bond
        (EVD-7). What the contracts of decryption leave to their caller is checked here.
@dev Of a batch this contract first learns the entries, piece by piece, from anybody and for ever. A verdict is an answer
     of false from a contract of decryption that came to its end: one that fails, also for lack of gas, reverts all.
     A share of the wrong size is one without looking at its bytes.
"""
import decryption_batch
import decryption_fptx
import decryption_ibe
import decryption_simple_bte
import decryption_tdh2
import judge
import registry
import signatures
import ssz

_CLEAR: constant(uint256) = 0
_TDH2: constant(uint256) = 1
_IBE: constant(uint256) = 2
_SIMPLE_BTE: constant(uint256) = 3
_FPTX: constant(uint256) = 4

_POINT: constant(uint256) = 48
_ONE_TIME_KEY: constant(uint256) = 32
_ID: constant(uint256) = 40
_MAX_BATCH: constant(uint256) = decryption_batch.MAX_BATCH
_POINTS: constant(uint256) = _POINT * _MAX_BATCH
_IDS: constant(uint256) = _ID * _MAX_BATCH
_IN_SIMPLE_BTE: constant(uint256) = 256
_BATCH_DEPTH: constant(uint256) = 12
_FIRST_KEY: constant(uint256) = 2 * 1024

# A share, the commitment that it is for, and the key set of its committee; each as its leaves.
struct Accusation:
    share: bytes32[6]
    share_signature: signatures.Signature
    commitment: bytes32[13]
    commitment_signature: signatures.Signature
    key_set: bytes32[23]

# A member's verification key, its y, and the branch from there to the key set's list.
struct Key:
    encoded: Bytes[96]
    y: Bytes[96]
    branch: DynArray[bytes32, 32]

# The place of a piece in its batch's list: the first of its entries, how many the batch has, and what stands beside.
struct Place:
    first: uint256
    total: uint256
    branch: DynArray[bytes32, ssz.ROW_BRANCH]

event Shown:
    batch_root: indexed(bytes32)
    scheme: uint256
    first: uint256
    count: uint256

REGISTRY: public(immutable(registry.__interface__))
JUDGE: public(immutable(judge.__interface__))
DECRYPTION_TDH2: public(immutable(decryption_tdh2.__interface__))
DECRYPTION_IBE: public(immutable(decryption_ibe.__interface__))
DECRYPTION_SIMPLE_BTE: public(immutable(decryption_simple_bte.__interface__))
DECRYPTION_FPTX: public(immutable(decryption_fptx.__interface__))
_GENESIS_ROOT: immutable(bytes32)

_shown: HashMap[bytes32, bool]


@deploy
def __init__(
    registry_: address, judge_: address, tdh2: address, ibe: address, simple_bte: address, fptx: address
):
    """
    @notice A judge of openings for one network
    @param registry_ The key sets
    @param judge_ Who slashes
    @param tdh2 What checks decryption under tdh2
    @param ibe Under ibe
    @param simple_bte Under simple-bte
    @param fptx Under fptx
    """
    REGISTRY = registry.__interface__(registry_)
    JUDGE = judge.__interface__(judge_)
    DECRYPTION_TDH2 = decryption_tdh2.__interface__(tdh2)
    DECRYPTION_IBE = decryption_ibe.__interface__(ibe)
    DECRYPTION_SIMPLE_BTE = decryption_simple_bte.__interface__(simple_bte)
    DECRYPTION_FPTX = decryption_fptx.__interface__(fptx)
    _GENESIS_ROOT = staticcall registry.__interface__(registry_).GENESIS_ROOT()


# --- entries


@external
def show_tdh2(
    key_id: bytes32,
    batch_root: bytes32,
    place: Place,
    us: Bytes[_POINTS],
    ids: Bytes[_IDS],
    transactions: Bytes[decryption_batch.WITNESS],
):
    """
    @notice Show what a batch's entries are under tdh2, or some that stand in a row. Anybody may, once for each piece.
    @param key_id The key that they were encrypted to
    @param batch_root The root of the list of ids
    @param place Of the piece in the list
    @param us The first 48 bytes of each ciphertext
    @param ids The id of each ciphertext behind its length
    @param transactions What `transaction_ids` takes
    """
    found: DynArray[bytes32, _MAX_BATCH] = staticcall DECRYPTION_TDH2.transaction_ids(key_id, us, ids, transactions)
    self._show(_TDH2, key_id, batch_root, place, found, self._piece(us, ids))


@external
def show_simple_bte(
    batch_root: bytes32,
    place: Place,
    entries: Bytes[_POINT * _IN_SIMPLE_BTE],
    openings: Bytes[decryption_batch.WITNESS],
):
    """
    @notice The same under simple-bte
    @param batch_root The root of the list of ids
    @param place Of the piece in the list
    @param entries The first 48 bytes of each ciphertext
    @param openings What `transaction_ids` takes
    """
    found: DynArray[bytes32, _MAX_BATCH] = staticcall DECRYPTION_SIMPLE_BTE.transaction_ids(entries, openings)
    self._show(_SIMPLE_BTE, empty(bytes32), batch_root, place, found, self._piece(entries, b""))


@external
def show_fptx(
    batch_root: bytes32,
    place: Place,
    entries: Bytes[_ONE_TIME_KEY * _MAX_BATCH],
    openings: Bytes[decryption_batch.WITNESS],
):
    """
    @notice The same under fptx
    @param batch_root The root of the list of ids
    @param place Of the piece in the list
    @param entries The one-time key of each ciphertext
    @param openings What `transaction_ids` takes
    """
    found: DynArray[bytes32, _MAX_BATCH] = staticcall DECRYPTION_FPTX.transaction_ids(entries, openings)
    self._show(_FPTX, empty(bytes32), batch_root, place, found, self._piece(entries, b""))


# --- verdicts


@external
def convict_tdh2(
    accusation: Accusation,
    key: Key,
    pieces: DynArray[uint256, _MAX_BATCH],
    malformed: uint256,
    us: Bytes[_POINTS],
    us_y: Bytes[_POINTS],
    ids: Bytes[_IDS],
    share: Bytes[decryption_batch.MAX_SHARE],
    share_y: Bytes[decryption_batch.MAX_SHARE],
):
    """
    @notice EVD-7 under tdh2: a share with a point or a proof that is wrong
    @param accusation The share, its commitment and its key set
    @param key The member's
    @param pieces How many entries each piece has that was shown, in order
    @param malformed Which of the share's points is none; any other number for no point
    @param us As in `show_tdh2`, of the whole batch
    @param us_y Their y
    @param ids As in `show_tdh2`, of the whole batch
    @param share The bytes that the member signed
    @param share_y What the contract of decryption takes beside them
    """
    offender: address = self._offender(accusation, _TDH2, decryption_batch._share_root(share))
    key_id: bytes32 = accusation.key_set[2]
    self._check_key(accusation, key)
    self._check_shown(_TDH2, key_id, accusation.commitment[5], pieces, us, _POINT, ids, _ID)
    right: bool = staticcall DECRYPTION_TDH2.verify_share(
        key_id,
        convert(ssz._to_uint(accusation.commitment[0]), uint64),
        convert(ssz._to_uint(accusation.commitment[4]), uint64),
        self._member(accusation),
        slice(key.encoded, 0, 48),
        slice(key.y, 0, 48),
        malformed,
        us,
        us_y,
        ids,
        share,
        share_y,
    )
    self._convict(accusation, offender, right)


@external
def convict_ibe(accusation: Accusation, key: Key, share: Bytes[_POINT], y: Bytes[_POINT], malformed: bool):
    """
    @notice EVD-7 under ibe. What the batch lists is not looked at, only that there is something.
    @param accusation The share, its commitment and its key set
    @param key The member's
    @param share The bytes that the member signed
    @param y Of the share, or what shows that it is no point
    @param malformed Whether it is no point
    """
    offender: address = self._offender(accusation, _IBE, decryption_batch._share_root(share))
    self._check_key(accusation, key)
    right: bool = staticcall DECRYPTION_IBE.verify_share(
        accusation.key_set[2],
        convert(ssz._to_uint(accusation.commitment[0]), uint64),
        convert(ssz._to_uint(accusation.commitment[6]), uint32),
        key.encoded,
        key.y,
        share,
        y,
        malformed,
    )
    self._convict(accusation, offender, right)


@external
def convict_simple_bte(
    accusation: Accusation,
    pieces: DynArray[uint256, _MAX_BATCH],
    batch: uint32,
    share: Bytes[_POINT],
    malformed: bool,
    entries: Bytes[_POINT * _IN_SIMPLE_BTE],
    pairs: Bytes[384 * (_IN_SIMPLE_BTE + 1)],
    branch: DynArray[bytes32, ssz.ROW_BRANCH],
):
    """
    @notice EVD-7 under simple-bte. The member's keys are among the parameters.
    @param accusation The share, its commitment and its key set
    @param pieces How many entries each piece has that was shown, in order
    @param batch B of the key's parameters
    @param share The bytes that the member signed
    @param malformed Whether it is no point
    @param entries As in `show_simple_bte`, of the whole batch
    @param pairs What the contract of decryption takes
    @param branch What stands beside the member's keys in the tree over the parameters
    """
    offender: address = self._offender(accusation, _SIMPLE_BTE, decryption_batch._share_root(share))
    self._check_shown(_SIMPLE_BTE, empty(bytes32), accusation.commitment[5], pieces, entries, _POINT, b"", 0)
    right: bool = staticcall DECRYPTION_SIMPLE_BTE.verify_share(
        accusation.key_set[16],
        batch,
        convert(ssz._to_uint(accusation.key_set[7]), uint16),
        self._member(accusation),
        share,
        malformed,
        entries,
        pairs,
        branch,
    )
    self._convict(accusation, offender, right)


@external
def convict_fptx(
    accusation: Accusation,
    key: Key,
    pieces: DynArray[uint256, _MAX_BATCH],
    batch: uint32,
    rounds: uint32,
    share: Bytes[_POINT],
    y: Bytes[_POINT],
    malformed: bool,
    entries: Bytes[_ONE_TIME_KEY * _MAX_BATCH],
    terms: Bytes[160 * (_MAX_BATCH + 1)],
    branch: DynArray[bytes32, ssz.ROW_BRANCH],
):
    """
    @notice EVD-7 under fptx
    @param accusation The share, its commitment and its key set
    @param key The member's
    @param pieces How many entries each piece has that was shown, in order
    @param batch B of the key's parameters
    @param rounds Q of the key's parameters
    @param share The bytes that the member signed
    @param y Of the share, or what shows that it is no point
    @param malformed Whether it is no point
    @param entries As in `show_fptx`, of the whole batch
    @param terms What the contract of decryption takes
    @param branch What stands beside the round's points in the tree over the parameters
    """
    offender: address = self._offender(accusation, _FPTX, decryption_batch._share_root(share))
    self._check_key(accusation, key)
    self._check_shown(_FPTX, empty(bytes32), accusation.commitment[5], pieces, entries, _ONE_TIME_KEY, b"", 0)
    row: decryption_fptx.Row = decryption_fptx.Row(
        parameters=accusation.key_set[16],
        batch=batch,
        rounds=rounds,
        round=convert(ssz._to_uint(accusation.commitment[4]), uint64),
        branch=branch,
    )
    right: bool = staticcall DECRYPTION_FPTX.verify_share(
        accusation.key_set[2], row, key.encoded, key.y, share, y, malformed, entries, terms
    )
    self._convict(accusation, offender, right)


@external
def convict_size(accusation: Accusation, data: bytes32, size: uint256, batch: bytes32, count: uint256):
    """
    @notice EVD-7 for a share of another size than its scheme and batch ask for, whatever it holds
    @param accusation The share, its commitment and its key set
    @param data The root of the tree over the share's bytes, without their number
    @param size Of the share in bytes
    @param batch The root of the tree over the batch's ids, without their number
    @param count Of the ids
    """
    scheme: uint256 = ssz._to_uint(accusation.key_set[4])
    offender: address = self._offender(accusation, scheme, ssz._pair(data, ssz._from_uint(size)))
    assert accusation.commitment[5] == ssz._pair(batch, ssz._from_uint(count)), "the batch"
    assert count > 0, "EVD-7"
    right: uint256 = _POINT
    if scheme == _CLEAR:
        right = 0
    elif scheme == _TDH2:
        right = _POINT * (count + 1)
    self._convict(accusation, offender, size == right)


# --- what was signed


@internal
@view
def _offender(accusation: Accusation, scheme: uint256, data: bytes32) -> address:
    """
    @notice Who signed the share, once all is sure that EVD-7 asks for besides the entries and the key
    @param data The root of the share's bytes
    """
    committee_id: bytes32 = accusation.share[0]
    committee: registry.Committee = staticcall REGISTRY.committee(committee_id)
    assert ssz._root23(accusation.key_set) == committee_id and committee.scheme == scheme, "EVD-1"
    assert accusation.commitment[2] == committee_id and accusation.commitment[3] == committee.key_id, "EVD-7"
    commitment: bytes32 = ssz._root13(accusation.commitment)
    assert accusation.share[3] == commitment and accusation.share[1] == accusation.commitment[0], "EVD-7"
    assert accusation.share[5] == data, "the share"
    sequencer: address = self._signer(commitment, signatures.ORDER_COMMITMENT, accusation.commitment_signature)
    assert sequencer == committee.sequencer, "EVD-7"
    offender: address = self._signer(
        ssz._root6(accusation.share), signatures.DECRYPTION_SHARE, accusation.share_signature
    )
    number: uint256 = staticcall REGISTRY.number(committee_id, offender)
    assert number != 0 and number == ssz._to_uint(accusation.share[4]), "EVD-11"
    return offender


@internal
@view
def _signer(root: bytes32, tag: bytes4, signature: signatures.Signature) -> address:
    return signatures._recover(signatures._digest(root, tag, _GENESIS_ROOT), signature)


@internal
@pure
def _member(accusation: Accusation) -> uint16:
    return convert(ssz._to_uint(accusation.share[4]), uint16)


@internal
@pure
def _check_key(accusation: Accusation, key: Key):
    """
    @notice Check that a key is the accused member's
    """
    place: uint256 = _FIRST_KEY + ssz._to_uint(accusation.share[4]) - 1
    root: bytes32 = ssz._branch_root(decryption_batch._key_root(key.encoded), place, key.branch)
    assert root == accusation.key_set[15], "the key"


@internal
def _convict(accusation: Accusation, offender: address, right: bool):
    assert not right, "the share is right"
    extcall JUDGE.convict_wrong_share(offender, ssz._to_uint(accusation.share[1]), msg.sender)


# --- what a batch lists


@internal
@pure
def _piece(entries: Bytes[_POINTS], ids: Bytes[_IDS]) -> bytes32:
    return keccak256(concat(keccak256(entries), keccak256(ids)))


@internal
@pure
def _name(
    scheme: uint256, key_id: bytes32, batch_root: bytes32, total: uint256, first: uint256, piece: bytes32
) -> bytes32:
    return keccak256(abi_encode(scheme, key_id, batch_root, total, first, piece))


@internal
def _show(
    scheme: uint256,
    key_id: bytes32,
    batch_root: bytes32,
    place: Place,
    ids: DynArray[bytes32, _MAX_BATCH],
    piece: bytes32,
):
    root: bytes32 = ssz._row_root(ids, place.first, _BATCH_DEPTH, place.branch)
    assert ssz._pair(root, ssz._from_uint(place.total)) == batch_root, "the batch"
    name: bytes32 = self._name(scheme, key_id, batch_root, place.total, place.first, piece)
    assert not self._shown[name], "shown already"
    self._shown[name] = True
    log Shown(batch_root=batch_root, scheme=scheme, first=place.first, count=len(ids))


@internal
@view
def _check_shown(
    scheme: uint256,
    key_id: bytes32,
    batch_root: bytes32,
    pieces: DynArray[uint256, _MAX_BATCH],
    entries: Bytes[_POINTS],
    size: uint256,
    ids: Bytes[_IDS],
    id_size: uint256,
):
    """
    @notice Check that the pieces make up the batch and were shown
    """
    total: uint256 = len(entries) // size
    first: uint256 = 0
    for count: uint256 in pieces:
        of_ids: Bytes[_IDS] = b""
        if id_size > 0:
            of_ids = slice(ids, id_size * first, id_size * count)
        piece: bytes32 = self._piece(slice(entries, size * first, size * count), of_ids)
        assert self._shown[self._name(scheme, key_id, batch_root, total, first, piece)], "not shown"
        first += count
    assert 0 < total and first == total, "entries"
