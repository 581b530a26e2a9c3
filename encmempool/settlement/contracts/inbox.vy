# pragma version 0.4.3
# pragma evm-version prague
"""
@title Inbox of encrypted transactions
@notice The second way in, past the sequencer: full bytes, in order. Fees are never paid out, so a flood costs the
        flooder.
@dev FRC-1 says what an entry is. Nothing of it is checked here: members pass over what is inadmissible.
"""

# The largest EncryptedTransaction: 150 bytes of header, an offset, a signature, and 65 KiB of ciphertext.
ENTRY_BYTES: constant(uint256) = 150 + 4 + 65 + 65 * 1024

event Posted:
    index: indexed(uint256)
    sender: indexed(address)
    entry: Bytes[ENTRY_BYTES]

struct Entry:
    digest: bytes32
    sender: address
    posted_at: uint64

BASE_FEE: public(immutable(uint256))
BYTE_FEE: public(immutable(uint256))

count: public(uint256)
_entries: HashMap[uint256, Entry]


@deploy
def __init__(base_fee: uint256, byte_fee: uint256):
    """
    @notice An empty inbox
    @param base_fee Wei for an entry
    @param byte_fee Wei for each of its bytes
    """
    BASE_FEE = base_fee
    BYTE_FEE = byte_fee


@external
@payable
def post(entry: Bytes[ENTRY_BYTES]) -> uint256:
    """
    @notice Append an entry for exactly its fee. Returns its index.
    @param entry The SSZ encoding of an `EncryptedTransaction`
    """
    assert len(entry) > 0, "FRC-1"
    assert msg.value == BASE_FEE + BYTE_FEE * len(entry), "fee"
    index: uint256 = self.count
    self.count = index + 1
    self._entries[index] = Entry(
        digest=sha256(entry), sender=msg.sender, posted_at=convert(block.number, uint64)
    )
    log Posted(index=index, sender=msg.sender, entry=entry)
    return index


@external
@view
def entry(index: uint256) -> Entry:
    """
    @notice The SHA-256 of an entry's bytes, who posted it, and in which block
    @param index Below `count`
    """
    assert index < self.count, "index"
    return self._entries[index]


@external
@view
def count_at(number: uint256) -> uint256:
    """
    @notice How many entries were posted in blocks up to this one
    @param number Of the block
    """
    low: uint256 = 0
    high: uint256 = self.count
    for _: uint256 in range(256):
        if low == high:
            break
        middle: uint256 = (low + high) // 2
        if convert(self._entries[middle].posted_at, uint256) <= number:
            low = middle + 1
        else:
            high = middle
    return low
