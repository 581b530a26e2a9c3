# pragma version 0.4.3
# pragma evm-version prague
"""
@title Decryption under tdh2
@notice Whether a member's share, or a batch key, is the one of a batch: rules TDH-3 to TDH-5 and TDH-14
@dev The proof in a share is over the ids of the ciphertexts, and so over their bytes: `transaction_ids` reads them all.
"""
import bls
import decryption_batch
import ssz

MAX_BATCH: constant(uint256) = decryption_batch.MAX_BATCH
_POINT: constant(uint256) = 48
_ID: constant(uint256) = 40
_PROOF: constant(uint256) = 48
_POINTS: constant(uint256) = _POINT * MAX_BATCH
_SENT: constant(uint256) = decryption_batch.MAX_SHARE
_CHUNKS: constant(uint256) = 2080
_MEMBERS: constant(uint256) = _POINT * ssz.COMMITTEE
_SHARE_DST: constant(Bytes[25]) = b"encmempool-tdh2-v1-share\x18"
_ORDER: constant(uint256) = bls.ORDER


struct Statement:
    key_id: bytes32
    digest: bytes32
    member: uint16
    key: Bytes[_POINT]
    key_y: Bytes[_POINT]


@external
@view
def verify_share(
    key_id: bytes32,
    height: uint64,
    round: uint64,
    member: uint16,
    verification_key: Bytes[_POINT],
    verification_key_y: Bytes[_POINT],
    malformed: uint256,
    us: Bytes[_POINTS],
    us_y: Bytes[_POINTS],
    ids: Bytes[_ID * MAX_BATCH],
    share: Bytes[_SENT],
    share_y: Bytes[_SENT],
) -> bool:
    """
    @notice Whether a share is its member's. The caller has authenticated all but `malformed` and what ends in `_y`.
    @param key_id The key's name
    @param height The batch's
    @param round The batch's
    @param member Who signed the share
    @param verification_key The member's
    @param verification_key_y Its y
    @param malformed Which of the share's points, from 0, shall be shown to be none; any other number for no point
    @param us The first 48 bytes of each ciphertext
    @param us_y Their y
    @param ids The id of each ciphertext behind its length in 8 bytes, as the batch's digest hashes them
    @param share What the member signed
    @param share_y The y of its points; if one is none, the 48 bytes that show it
    """
    count: uint256 = len(us) // _POINT
    assert len(us) == _POINT * count and len(ids) == _ID * count, "entries"
    if len(share) != _POINT * count + _PROOF:
        return False
    if malformed < count:
        assert bls._is_none(slice(share, _POINT * malformed, 48), slice(share_y, 0, 48)), "a point"
        return False
    statement: Statement = Statement(
        key_id=key_id,
        digest=self._digest(key_id, height, round, ids),
        member=member,
        key=verification_key,
        key_y=verification_key_y,
    )
    return self._holds(statement, us, us_y, share, share_y)


@external
@view
def verify_batch_key(
    key_id: bytes32,
    height: uint64,
    round: uint64,
    threshold: uint16,
    verification_keys: Bytes[_MEMBERS],
    verification_keys_y: Bytes[_MEMBERS],
    malformed: uint256,
    us: Bytes[_POINTS],
    us_y: Bytes[_POINTS],
    ids: Bytes[_ID * MAX_BATCH],
    batch_key: Bytes[_SENT],
    batch_key_y: Bytes[_SENT],
) -> bool:
    """
    @notice Whether a batch key is the batch's, with the proofs of exactly t shares. The other arguments are as in `verify_share`.
    @dev The sums over all entries are compared, with weights hashed from the batch key: a wrong value passes with
         probability 2^-128.
    @param threshold t
    @param verification_keys Of all members
    @param verification_keys_y Of all members, though only those that the proof names are looked at
    @param malformed Which point, from 0 over the value's and then each share's, shall be shown to be none
    @param batch_key As a reveal holds it
    @param batch_key_y The y of the value's points and then of each share's; if one is none, the 48 bytes that show it
    """
    t: uint256 = convert(threshold, uint256)
    count: uint256 = len(us) // _POINT
    size: uint256 = _POINT * count
    item: uint256 = 6 + size + _PROOF
    assert len(us) == size and len(ids) == _ID * count, "entries"
    if len(batch_key) != 12 + size + t * item:
        return False
    if (
        convert(slice(batch_key, 0, 4), uint256) != size
        or convert(slice(batch_key, 4 + size, 4), uint256) != 4 + t * item
        or convert(slice(batch_key, 8 + size, 4), uint256) != t
    ):
        return False
    if malformed < count * (t + 1):
        at: uint256 = 4 + _POINT * malformed
        if malformed >= count:
            at = 18 + size + (malformed // count - 1) * item + _POINT * (malformed % count)
        assert bls._is_none(slice(batch_key, at, 48), slice(batch_key_y, 0, 48)), "a point"
        return False

    members: DynArray[uint256, ssz.COMMITTEE] = []
    statement: Statement = empty(Statement)
    statement.key_id = key_id
    statement.digest = self._digest(key_id, height, round, ids)
    last: uint256 = 0
    for j: uint256 in range(t, bound=ssz.COMMITTEE):
        start: uint256 = 12 + size + j * item
        member: uint256 = convert(slice(batch_key, start + 4, 2), uint256)
        if convert(slice(batch_key, start, 4), uint256) != item - 4:
            return False
        if member <= last or _POINT * member > len(verification_keys):
            return False
        last = member
        members.append(member)
        statement.member = convert(member, uint16)
        statement.key = slice(verification_keys, _POINT * (member - 1), 48)
        statement.key_y = slice(verification_keys_y, _POINT * (member - 1), 48)
        share: Bytes[_SENT] = slice(batch_key, start + 6, size + _PROOF)
        if not self._holds(statement, us, us_y, share, slice(batch_key_y, size * (j + 1), size)):
            return False

    factors: DynArray[uint256, ssz.COMMITTEE] = self._lagrange(members)
    seed: bytes32 = sha256(concat(statement.digest, sha256(batch_key)))
    terms: DynArray[bls.Term, bls.MAX_TERMS] = []
    total: bls.G1 = empty(bls.G1)
    for i: uint256 in range(count, bound=MAX_BATCH):
        weight: uint256 = self._weight(seed, i)
        for j: uint256 in range(t + 1, bound=ssz.COMMITTEE + 1):
            at: uint256 = 4 + _POINT * i
            scalar: uint256 = _ORDER - weight
            if j > 0:
                at = 18 + size + (j - 1) * item + _POINT * i
                scalar = uint256_mulmod(weight, factors[j - 1], _ORDER)
            y: uint256 = size * j + _POINT * i
            terms.append(bls.Term(point=bls._read(slice(batch_key, at, 48), slice(batch_key_y, y, 48)), scalar=scalar))
            if len(terms) == bls.MAX_TERMS:
                total = bls._add(total, bls._msm(terms))
                terms = []
    if len(terms) > 0:
        total = bls._add(total, bls._msm(terms))
    return bls._is_identity(total)


@external
@pure
def transaction_ids(
    key_id: bytes32,
    us: Bytes[_POINTS],
    ids: Bytes[_ID * MAX_BATCH],
    transactions: Bytes[decryption_batch.WITNESS],
) -> DynArray[bytes32, MAX_BATCH]:
    """
    @notice The ids of the transactions with these ciphertexts, of which the other arguments are parts. A batch whose
            ciphertexts do not fit is read in pieces.
    @param key_id The key's name
    @param us As in `verify_share`
    @param ids As in `verify_share`
    @param transactions For each the root of its header (32 bytes), the length of its ciphertext (4) and the ciphertext;
           in the end 32 zeros
    """
    found: DynArray[bytes32, MAX_BATCH] = []
    zeros: bytes32[decryption_batch.DEPTH] = decryption_batch._zeros()
    count: uint256 = len(us) // _POINT
    assert len(us) == _POINT * count and len(ids) == _ID * count, "entries"
    line: bytes32[decryption_batch.DEPTH] = empty(bytes32[decryption_batch.DEPTH])
    at: uint256 = 0
    for i: uint256 in range(count, bound=MAX_BATCH):
        header_root: bytes32 = extract32(transactions, at)
        length: uint256 = convert(slice(transactions, at + 32, 4), uint256)
        assert length >= _POINT, "length"
        at += 36
        assert slice(us, _POINT * i, 48) == slice(transactions, at, 48), "u"
        ciphertext_id: bytes32 = sha256(
            concat(
                x"0000000000000004",
                x"000000000000001b",
                b"encmempool-ciphertext-v1-id",
                x"0000000000000020",
                key_id,
                x"0000000000000020",
                header_root,
                convert(convert(length, uint64), bytes8),
                slice(transactions, at, length),
            )
        )
        assert slice(ids, _ID * i, 40) == concat(x"0000000000000020", ciphertext_id), "id"

        chunks: uint256 = (length + 31) // 32
        padding: uint256 = max_value(uint256) >> (8 * ((length - 1) % 32 + 1))
        node: bytes32 = empty(bytes32)
        for k: uint256 in range(chunks, bound=_CHUNKS):
            node = extract32(transactions, at + 32 * k)
            if k + 1 == chunks:
                node = convert(convert(node, uint256) & ~padding, bytes32)
            height: uint256 = 0
            for _: uint256 in range(decryption_batch.DEPTH):
                if (k >> height) & 1 == 0:
                    break
                node = sha256(concat(line[height], node))
                height += 1
            line[height] = node
        node = empty(bytes32)
        for height: uint256 in range(decryption_batch.DEPTH):
            if (chunks >> height) & 1 == 1:
                node = sha256(concat(line[height], node))
            else:
                node = sha256(concat(node, zeros[height]))
        found.append(decryption_batch._id(header_root, node, length))
        at += length
    return found


@external
@pure
def share_root(share: Bytes[_SENT]) -> bytes32:
    """
    @notice The root of a share's bytes, which is a leaf of the `DecryptionShare` that the member signed
    @param share The bytes
    """
    return decryption_batch._share_root(share)


@external
@pure
def key_root(key: Bytes[_POINT]) -> bytes32:
    """
    @notice The root of a key's bytes, which is a leaf of the `KeySet`: the encryption key, or one of its list
    @param key The bytes
    """
    return decryption_batch._key_root(key)


@internal
@pure
def _digest(key_id: bytes32, height: uint64, round: uint64, ids: Bytes[_ID * MAX_BATCH]) -> bytes32:
    """
    @notice Of a batch: TDH-13
    """
    return sha256(
        concat(
            convert(convert(4 + len(ids) // _ID, uint64), bytes8),
            x"000000000000001a",
            b"encmempool-batch-v1-digest",
            x"0000000000000020",
            key_id,
            x"0000000000000008",
            convert(height, bytes8),
            x"0000000000000008",
            convert(round, bytes8),
            ids,
        )
    )


@internal
@pure
def _weight(seed: bytes32, i: uint256) -> uint256:
    return convert(sha256(concat(seed, convert(convert(i, uint64), bytes8))), uint256) >> 128


@internal
@view
def _lagrange(members: DynArray[uint256, ssz.COMMITTEE]) -> DynArray[uint256, ssz.COMMITTEE]:
    """
    @notice The factors with which the values of a polynomial at `members` add up to its value at 0
    """
    factors: DynArray[uint256, ssz.COMMITTEE] = []
    for j: uint256 in members:
        above: uint256 = 1
        below: uint256 = 1
        for m: uint256 in members:
            if m != j:
                above = uint256_mulmod(above, m, _ORDER)
                below = uint256_mulmod(below, _ORDER + m - j, _ORDER)
        factors.append(uint256_mulmod(above, bls._inverse(below), _ORDER))
    return factors


@internal
@view
def _holds(
    statement: Statement, us: Bytes[_POINTS], us_y: Bytes[_POINTS], share: Bytes[_SENT], share_y: Bytes[_SENT]
) -> bool:
    """
    @notice Whether a share's proof holds: one exponent is behind the member's key and all points
    """
    size: uint256 = len(us)
    count: uint256 = size // _POINT
    challenge: uint256 = convert(slice(share, size, 16), uint256)
    response: uint256 = convert(slice(share, size + 16, 32), uint256)
    if response >= _ORDER:
        return False

    context: Bytes[90] = concat(
        x"0000000000000020",
        statement.key_id,
        x"0000000000000020",
        statement.digest,
        x"0000000000000002",
        convert(statement.member, bytes2),
    )
    length: bytes8 = convert(convert(_POINT + 2 * size, uint64), bytes8)
    seed: bytes32 = sha256(
        concat(
            x"0000000000000005",
            x"0000000000000019",
            b"encmempool-tdh2-v1-weight",
            context,
            length,
            statement.key,
            us,
            slice(share, 0, size),
        )
    )
    base: bls.G1 = empty(bls.G1)
    image: bls.G1 = empty(bls.G1)
    if count > 0:
        bases: DynArray[bls.Term, bls.MAX_TERMS] = []
        images: DynArray[bls.Term, bls.MAX_TERMS] = []
        for i: uint256 in range(count, bound=MAX_BATCH):
            at: uint256 = _POINT * i
            weight: uint256 = self._weight(seed, i) if count > 1 else 1
            bases.append(bls.Term(point=bls._read(slice(us, at, 48), slice(us_y, at, 48)), scalar=weight))
            images.append(bls.Term(point=bls._read(slice(share, at, 48), slice(share_y, at, 48)), scalar=weight))
            if len(bases) == bls.MAX_TERMS or i + 1 == count:
                base = bls._add(base, bls._msm(bases))
                image = bls._add(image, bls._msm(images))
                bases = []
                images = []

    minus: uint256 = _ORDER - challenge
    key: bls.G1 = bls._read(statement.key, statement.key_y)
    first: bls.G1 = bls._msm(
        [bls.Term(point=bls._generator(), scalar=response), bls.Term(point=key, scalar=minus)]
    )
    second: bls.G1 = bls._msm([bls.Term(point=base, scalar=response), bls.Term(point=image, scalar=minus)])
    zeros: Bytes[64] = abi_encode(empty(uint256[2]))
    expansion: bytes32 = sha256(
        concat(
            zeros,
            x"0000000000000006",
            context,
            length,
            statement.key,
            us,
            slice(share, 0, size),
            x"0000000000000030",
            bls._encoded(first),
            x"0000000000000030",
            bls._encoded(second),
            x"001000",
            _SHARE_DST,
        )
    )
    return convert(bls._expanded(expansion, _SHARE_DST)[0], uint256) >> 128 == challenge
