# pragma version 0.4.3
# pragma evm-version prague
"""
@title The modules' functions, to be called
"""
import signatures
import ssz


@external
@pure
def root4(leaves: bytes32[4]) -> bytes32:
    return ssz._root4(leaves)


@external
@pure
def root6(leaves: bytes32[6]) -> bytes32:
    return ssz._root6(leaves)


@external
@pure
def root10(leaves: bytes32[10]) -> bytes32:
    return ssz._root10(leaves)


@external
@pure
def root13(leaves: bytes32[13]) -> bytes32:
    return ssz._root13(leaves)


@external
@pure
def root16(leaves: bytes32[16]) -> bytes32:
    return ssz._root16(leaves)


@external
@pure
def root23(leaves: bytes32[23]) -> bytes32:
    return ssz._root23(leaves)


@external
@pure
def members_root(members: DynArray[address, ssz.COMMITTEE]) -> bytes32:
    return ssz._members_root(members)


@external
@pure
def account_root(account: address, nonce: uint256, balance: uint256) -> bytes32:
    return ssz._account_root(account, nonce, balance)


@external
@pure
def from_uint(number: uint256) -> bytes32:
    return ssz._from_uint(number)


@external
@pure
def to_uint(leaf: bytes32) -> uint256:
    return ssz._to_uint(leaf)


@external
@pure
def to_uint256(leaf: bytes32) -> uint256:
    return ssz._to_uint256(leaf)


@external
@pure
def to_address(leaf: bytes32) -> address:
    return ssz._to_address(leaf)


@external
@pure
def branch_root(leaf: bytes32, index: uint256, branch: DynArray[bytes32, 32]) -> bytes32:
    return ssz._branch_root(leaf, index, branch)


@external
@pure
def digest(root: bytes32, tag: bytes4, genesis_root: bytes32) -> bytes32:
    return signatures._digest(root, tag, genesis_root)


@external
@pure
def recover(digest: bytes32, signature: signatures.Signature) -> address:
    return signatures._recover(digest, signature)


@external
@pure
def tags() -> bytes4[6]:
    return [
        signatures.RECEIPT,
        signatures.ORDER_COMMITMENT,
        signatures.VOTE,
        signatures.DECRYPTION_SHARE,
        signatures.ABSTAIN,
        signatures.KEY_SET,
    ]


@external
@pure
def row_root(
    leaves: DynArray[bytes32, ssz.ROW], first: uint256, depth: uint256, branch: DynArray[bytes32, ssz.ROW_BRANCH]
) -> bytes32:
    return ssz._row_root(leaves, first, depth, branch)
