# pragma version 0.4.3
# pragma evm-version prague
"""
@title BLS12-381 on the precompiles of EIP-2537
@notice Points of this project are compressed, 48 or 96 bytes; the precompiles take coordinates, 64 bytes each. Calldata
        carries the y of every point, and what is made of it is compared with the compressed bytes.
@dev No verdict rests on a precompile that fails: it reverts, be it for a wrong input, for gas, or because the chain
     lacks it. That a point is none is shown by `_is_no_point`, from calls that succeed.
     `hi` holds the first 16 bytes of a field element or of a compressed point, `lo` the other 32.
"""

MODEXP: constant(address) = 0x0000000000000000000000000000000000000005
G1_ADD: constant(address) = 0x000000000000000000000000000000000000000b
G1_MSM: constant(address) = 0x000000000000000000000000000000000000000C
PAIRING_CHECK: constant(address) = 0x000000000000000000000000000000000000000F
MAP_FP_TO_G1: constant(address) = 0x0000000000000000000000000000000000000010

# r, the order of the groups.
ORDER: constant(uint256) = 52435875175126190479447740508185965837690552500527637822603658699938581184513
P_HI: constant(uint256) = 34565483545414906068789196026815425751
P_LO: constant(uint256) = 45442060874369865957053122457065728162598490762543039060009208264153100167851
# (p - 1) / 2: a y above it is the larger of the two.
HALF_HI: constant(uint256) = 17282741772707453034394598013407712875
HALF_LO: constant(uint256) = 80617075055843030690312053732876818007934237714091801549733396136033114903893

COMPRESSED: constant(uint256) = 1 << 127
INFINITY: constant(uint256) = 1 << 126
LARGER: constant(uint256) = 1 << 125
X_MASK: constant(uint256) = LARGER - 1

# Of one sum. Beyond it a term gets no cheaper.
MAX_TERMS: constant(uint256) = 128


struct G1:
    x_hi: uint256
    x_lo: uint256
    y_hi: uint256
    y_lo: uint256


struct G2:
    x0_hi: uint256
    x0_lo: uint256
    x1_hi: uint256
    x1_lo: uint256
    y0_hi: uint256
    y0_lo: uint256
    y1_hi: uint256
    y1_lo: uint256


struct Pair:
    g1: G1
    g2: G2


struct Term:
    point: G1
    scalar: uint256


# --- points


@internal
@pure
def _is_larger(y_hi: uint256, y_lo: uint256) -> bool:
    return y_hi > HALF_HI or (y_hi == HALF_HI and y_lo > HALF_LO)


@internal
@pure
def _flags(y_hi: uint256, y_lo: uint256) -> uint256:
    """
    @notice The first three bits of a compressed point with this y, in their place in `hi`
    @dev Refuses 0, which no point has: the precompiles read x = y = 0 as the identity.
    """
    assert (y_hi | y_lo) != 0, "y"
    if self._is_larger(y_hi, y_lo):
        return COMPRESSED | LARGER
    return COMPRESSED


@internal
@pure
def _g1(hi: uint256, lo: uint256, y_hi: uint256, y_lo: uint256) -> G1:
    """
    @notice The point with these compressed bytes, given its y
    @dev The precompiles for sums and pairings check that it is on the curve and in the subgroup
    """
    assert hi & ~X_MASK == self._flags(y_hi, y_lo), "y"
    return G1(x_hi=hi & X_MASK, x_lo=lo, y_hi=y_hi, y_lo=y_lo)


@internal
@pure
def _require(point: G1, hi: uint256, lo: uint256):
    """
    @notice Check that a point, which a precompile is going to check, has these compressed bytes
    """
    assert hi == point.x_hi | self._flags(point.y_hi, point.y_lo) and lo == point.x_lo, "another point"


@internal
@pure
def _piece(hi: uint256, lo: uint256) -> bytes32:
    """
    @notice The hash of 48 bytes
    """
    return sha256(slice(abi_encode(hi << 128 | lo >> 128, lo << 128), 0, 48))


@internal
@pure
def _piece_of(point: G1) -> bytes32:
    """
    @notice The hash of a point's compressed bytes
    """
    return self._piece(point.x_hi | self._flags(point.y_hi, point.y_lo), point.x_lo)


@internal
@pure
def _pieces_of(point: G2) -> (bytes32, bytes32):
    """
    @notice The hashes of both halves of a point's compressed bytes
    """
    return (
        self._piece(point.x1_hi | self._flags_g2(point), point.x1_lo),
        self._piece(point.x0_hi, point.x0_lo),
    )


@internal
@pure
def _encoded(point: G1) -> Bytes[48]:
    """
    @notice The compressed bytes of a point that a precompile has returned
    """
    hi: uint256 = COMPRESSED | INFINITY
    if not self._is_identity(point):
        hi = point.x_hi | self._flags(point.y_hi, point.y_lo)
    return slice(abi_encode(hi << 128 | point.x_lo >> 128, point.x_lo << 128), 0, 48)


@internal
@pure
def _is_identity(point: G1) -> bool:
    return (point.x_hi | point.x_lo | point.y_hi | point.y_lo) == 0


@internal
@pure
def _read(encoded: Bytes[48], y: Bytes[48]) -> G1:
    """
    @notice `_g1` of bytes
    """
    assert len(encoded) == 48 and len(y) == 48, "y"
    return self._g1(self._high(encoded, 0), self._low(encoded, 0), self._high(y, 0), self._low(y, 0))


@internal
@pure
def _g2(encoded: Bytes[96], y: Bytes[96]) -> G2:
    """
    @notice The point with these compressed bytes, given its y. In both the imaginary part comes first.
    """
    assert len(encoded) == 96 and len(y) == 96, "y"
    hi: uint256 = self._high(encoded, 0)
    point: G2 = G2(
        x0_hi=self._high(encoded, 48),
        x0_lo=self._low(encoded, 48),
        x1_hi=hi & X_MASK,
        x1_lo=self._low(encoded, 0),
        y0_hi=self._high(y, 48),
        y0_lo=self._low(y, 48),
        y1_hi=self._high(y, 0),
        y1_lo=self._low(y, 0),
    )
    assert hi & ~X_MASK == self._flags_g2(point), "y"
    return point


@internal
@pure
def _flags_g2(point: G2) -> uint256:
    """
    @notice As `_flags`. The imaginary part of y decides unless it is zero.
    """
    if (point.y1_hi | point.y1_lo) == 0:
        return self._flags(point.y0_hi, point.y0_lo)
    return self._flags(point.y1_hi, point.y1_lo)


@internal
@pure
def _high(pair: Bytes[96], at: uint256) -> uint256:
    return convert(extract32(pair, at), uint256) >> 128


@internal
@pure
def _low(pair: Bytes[96], at: uint256) -> uint256:
    return convert(extract32(pair, at + 16), uint256)


@internal
@view
def _is_no_point(hi: uint256, lo: uint256, root_hi: uint256, root_lo: uint256) -> bool:
    """
    @notice Whether 48 bytes are not the encoding of a point of G1 other than the identity. Reverts if the root is none.
    @dev As p = 3 mod 4, x^3 + 4 has a square root or its negative has, but not both, and x^3 + 4 = 0 has no solution
    @param root_hi Of such a root; of any value if the bytes have no x below p
    """
    if hi & COMPRESSED == 0 or hi & INFINITY != 0:
        return True
    x_hi: uint256 = hi & X_MASK
    if not self._below_p(x_hi, lo):
        return True
    cube_hi: uint256 = 0
    cube_lo: uint256 = 0
    cube_hi, cube_lo = self._power(x_hi, lo, 3)
    square_hi: uint256 = 0
    square_lo: uint256 = 0
    square_hi, square_lo = self._power(root_hi, root_lo, 2)
    cube_hi, cube_lo = self._sum_mod_p(cube_hi, cube_lo, 0, 4)
    if cube_hi == square_hi and cube_lo == square_lo:
        return not self._in_subgroup(G1(x_hi=x_hi, x_lo=lo, y_hi=root_hi, y_lo=root_lo))
    cube_hi, cube_lo = self._sum_mod_p(cube_hi, cube_lo, square_hi, square_lo)
    assert (cube_hi | cube_lo) == 0, "root"
    return True


@internal
@view
def _is_none(encoded: Bytes[48], root: Bytes[48]) -> bool:
    """
    @notice `_is_no_point` of bytes
    """
    assert len(encoded) == 48 and len(root) == 48, "root"
    return self._is_no_point(self._high(encoded, 0), self._low(encoded, 0), self._high(root, 0), self._low(root, 0))


@internal
@view
def _in_subgroup(point: G1) -> bool:
    """
    @notice Whether the order of a point of the curve divides r. Costs 384 additions.
    """
    multiple: G1 = point
    for i: uint256 in range(1, 255):
        multiple = self._add(multiple, multiple)
        if (ORDER >> (254 - i)) & 1 == 1:
            multiple = self._add(multiple, point)
    return self._is_identity(multiple)


# --- arithmetic


@internal
@pure
def _below_p(hi: uint256, lo: uint256) -> bool:
    return hi < P_HI or (hi == P_HI and lo < P_LO)


@internal
@pure
def _sum_mod_p(a_hi: uint256, a_lo: uint256, b_hi: uint256, b_lo: uint256) -> (uint256, uint256):
    """
    @notice Of two values below p
    """
    lo: uint256 = unsafe_add(a_lo, b_lo)
    hi: uint256 = a_hi + b_hi
    if lo < a_lo:
        hi += 1
    if self._below_p(hi, lo):
        return hi, lo
    if lo < P_LO:
        hi -= 1
    return hi - P_HI, unsafe_sub(lo, P_LO)


@internal
@view
def _power(hi: uint256, lo: uint256, exponent: uint256) -> (uint256, uint256):
    """
    @notice hi * 2^256 + lo to a power, modulo p
    """
    words: uint256[8] = [64, 32, 64, hi, lo, exponent, P_HI, P_LO]
    result: Bytes[64] = raw_call(MODEXP, abi_encode(words), max_outsize=64, is_static_call=True)
    assert len(result) == 64, "modexp"
    return convert(extract32(result, 0), uint256), convert(extract32(result, 32), uint256)


@internal
@view
def _inverse(scalar: uint256) -> uint256:
    """
    @notice Modulo the order of the groups
    """
    words: uint256[6] = [32, 32, 32, scalar, ORDER - 2, ORDER]
    result: Bytes[32] = raw_call(MODEXP, abi_encode(words), max_outsize=32, is_static_call=True)
    assert len(result) == 32, "modexp"
    return convert(extract32(result, 0), uint256)


@internal
@view
def _add(a: G1, b: G1) -> G1:
    """
    @notice The sum of two points
    @dev The precompile does not look at the subgroup
    """
    return self._decoded(raw_call(G1_ADD, abi_encode(a, b), max_outsize=128, is_static_call=True))


@internal
@view
def _msm(terms: DynArray[Term, MAX_TERMS]) -> G1:
    """
    @notice The sum of the terms, of which there is at least one. Reverts if a point is not in the subgroup.
    """
    encoded: Bytes[160 * MAX_TERMS + 64] = abi_encode(terms)
    return self._decoded(
        raw_call(G1_MSM, slice(encoded, 64, 160 * len(terms)), max_outsize=128, is_static_call=True)
    )


@internal
@pure
def _decoded(encoded: Bytes[128]) -> G1:
    assert len(encoded) == 128, "precompile"
    return abi_decode(encoded, G1)


@internal
@view
def _is_product(point: G1, base: G1, key: G2) -> bool:
    """
    @notice Whether point = x * base for the x with key = x * generator of G2. Reverts if one is not in its subgroup.
    """
    pairs: Bytes[768] = abi_encode(point, self._negative_generator(), base, key)
    return self._is_one(raw_call(PAIRING_CHECK, pairs, max_outsize=32, is_static_call=True))


@internal
@pure
def _is_one(result: Bytes[32]) -> bool:
    """
    @notice What the pairing precompile has answered
    """
    assert len(result) == 32, "precompile"
    return convert(extract32(result, 0), uint256) == 1


@internal
@pure
def _framed(batch_key: Bytes[56]) -> Bytes[48]:
    """
    @notice The value of a batch key that is one point and has no proof; empty if it is encoded otherwise
    """
    if len(batch_key) != 56:
        return b""
    if slice(batch_key, 0, 4) != b"\x00\x00\x00\x30" or slice(batch_key, 52, 4) != b"\x00\x00\x00\x00":
        return b""
    return slice(batch_key, 4, 48)


@internal
@pure
def _generator() -> G1:
    """
    @notice Of G1
    """
    return G1(
        x_hi=31827880280837800241567138048534752271,
        x_lo=88385725958748408079899006800036250932223001591707578097800747617502997169851,
        y_hi=11568204302792691131076548377920244452,
        y_lo=114417265404584670498511149331300188430316142484413708742216858159411894806497,
    )


@internal
@pure
def _negative_generator() -> G2:
    """
    @notice Of G2
    """
    return G2(
        x0_hi=3045985886519456750490515843806728273,
        x0_lo=89961632905173714226157479458612185649920463576279427516307505038263245192632,
        x1_hi=26419286191256893424348605754143887205,
        x1_lo=40446337346877272185227670183527379362551741423616556919902061939448715946878,
        y0_hi=17421388336814597573762763446246275004,
        y0_lo=82535940630695547964844822885348920226556672312706312698172214783216175252138,
        y1_hi=26554973746327433462396120515077546301,
        y1_lo=69304817850384178235384652711014277219752988873539414788182467642510429663469,
    )


# --- hashing: RFC 9380 with SHA-256


@internal
@pure
def _scalar(uniform_hi: bytes32, uniform_lo: bytes32) -> uint256:
    """
    @notice 48 uniform bytes, the second 16 of them at the front of `uniform_lo`, modulo the order of the groups
    """
    hi: uint256 = convert(uniform_hi, uint256)
    return uint256_addmod(uint256_mulmod(hi, 1 << 128, ORDER), convert(uniform_lo, uint256) >> 128, ORDER)


@internal
@pure
def _expanded(first: bytes32, dst: Bytes[64]) -> bytes32[4]:
    """
    @notice The first 128 bytes of an expansion. Of a shorter one the first bytes are the same for the same `first`.
    @param first b_0, which depends on how many bytes are asked for
    @param dst The tag and, in its last byte, the tag's length
    """
    blocks: bytes32[4] = empty(bytes32[4])
    mixed: bytes32 = first
    for i: uint256 in range(4):
        blocks[i] = sha256(concat(mixed, convert(convert(i + 1, uint8), bytes1), dst))
        mixed = convert(convert(first, uint256) ^ convert(blocks[i], uint256), bytes32)
    return blocks


@internal
@view
def _hash_to_g1(message: Bytes[96], dst: Bytes[64]) -> G1:
    """
    @notice The suite BLS12381G1_XMD:SHA-256_SSWU_RO_
    """
    zeros: Bytes[64] = abi_encode(empty(uint256[2]))
    blocks: bytes32[4] = self._expanded(sha256(concat(zeros, message, x"008000", dst)), dst)
    return self._add(self._mapped(blocks[0], blocks[1]), self._mapped(blocks[2], blocks[3]))


@internal
@view
def _mapped(uniform_hi: bytes32, uniform_lo: bytes32) -> G1:
    """
    @dev The precompile clears the cofactor, here of each summand instead of their sum
    """
    hi: uint256 = 0
    lo: uint256 = 0
    hi, lo = self._power(convert(uniform_hi, uint256), convert(uniform_lo, uint256), 1)
    return self._decoded(raw_call(MAP_FP_TO_G1, abi_encode(hi, lo), max_outsize=128, is_static_call=True))
