"""Calldata of the Uniswap V2 router: the four swaps the ledger runs, in their one canonical encoding.

Source: IUniswapV2Router01 (uniswap/v2-periphery); the selectors are the first four bytes of keccak256 of each
signature, which a test recomputes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from struct import Struct

import eth_abi
from eth_abi.exceptions import DecodingError

from encmempool.errors import Malformed

_UINT256_END = 2**256


class SwapKind(Enum):
    """The router's functions by selector."""

    EXACT_TOKENS_FOR_TOKENS = bytes.fromhex("38ed1739")
    EXACT_ETH_FOR_TOKENS = bytes.fromhex("7ff36ab5")
    EXACT_TOKENS_FOR_ETH = bytes.fromhex("18cbafe5")
    TOKENS_FOR_EXACT_TOKENS = bytes.fromhex("8803dbee")


_KINDS = {kind.value: kind for kind in SwapKind}
_AMOUNTS = {kind: 1 if kind is SwapKind.EXACT_ETH_FOR_TOKENS else 2 for kind in SwapKind}
_ARGUMENTS = {kind: ("uint256",) * amounts + ("address[]", "address", "uint256") for kind, amounts in _AMOUNTS.items()}
_HEADS = {kind: Struct("32s" * amounts + "32s 12s 20s 32s 32s") for kind, amounts in _AMOUNTS.items()}
"""In canonical form: amounts, where the path starts, recipient, deadline; then the path, led by its length."""
_WORD = 32
_FILL = bytes(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One swap along a path.

    exact       amount of the side that is fixed: the output of TOKENS_FOR_EXACT_TOKENS, else the input
    bound       limit on the other side: the largest input of TOKENS_FOR_EXACT_TOKENS, else the smallest output
    path        tokens from sold to bought, 20 bytes each; the length is the router's to judge, not ours
    recipient   20 bytes
    deadline    last acceptable block time, Unix seconds
    """

    kind: SwapKind
    exact: int
    bound: int
    path: tuple[bytes, ...]
    recipient: bytes
    deadline: int

    def __post_init__(self) -> None:
        end = _UINT256_END
        if not (0 <= self.exact < end and 0 <= self.bound < end and 0 <= self.deadline < end):
            raise ValueError("amounts and deadline must fit 256 bits")
        if {len(self.recipient), *map(len, self.path)} != {20}:
            raise ValueError("addresses must have 20 bytes")

    @property
    def value(self) -> int:
        """Wei the call must carry: the input of EXACT_ETH_FOR_TOKENS, which is in no argument; else 0."""
        return self.exact if self.kind is SwapKind.EXACT_ETH_FOR_TOKENS else 0


def encode(swap: Swap) -> bytes:
    """Calldata: selector and ABI-encoded arguments. The transaction must carry `swap.value` wei."""
    amounts = (swap.bound,) if swap.kind is SwapKind.EXACT_ETH_FOR_TOKENS else (swap.exact, swap.bound)
    arguments = (*amounts, swap.path, swap.recipient, swap.deadline)
    return swap.kind.value + bytes(eth_abi.encode(_ARGUMENTS[swap.kind], arguments))


def decode(data: bytes, value: int) -> Swap:
    """Read calldata sent with `value` wei.

    Stricter than the contract, which accepts padding and odd offsets: other encodings of a swap are refused, as
    is ether sent to a function that takes none. Raises Malformed.
    """
    kind = _KINDS.get(data[:4])
    if kind is None:
        raise Malformed(f"unknown selector 0x{data[:4].hex()}")
    head = _HEADS[kind]
    if len(data) < 4 + head.size:
        raise _refused(kind, data, value)
    *amounts, start, fill, recipient, deadline, length = head.unpack_from(data, 4)
    path = []
    canonical = len(data) % _WORD == 4 and start == _word(head.size - _WORD) and fill == _FILL
    for at in range(4 + head.size, len(data), _WORD):
        canonical = canonical and data.startswith(_FILL, at)
        path.append(data[at + 12 : at + _WORD])
    canonical = canonical and length == _word(len(path))
    takes_ether = kind is SwapKind.EXACT_ETH_FOR_TOKENS
    if not canonical or (value and not takes_ether):
        raise _refused(kind, data, value)
    return Swap(
        kind=kind,
        exact=value if takes_ether else _number(amounts[0]),
        bound=_number(amounts[-1]),
        path=tuple(path),
        recipient=recipient,
        deadline=_number(deadline),
    )


def _refused(kind: SwapKind, data: bytes, value: int) -> Malformed:
    """What is wrong with calldata that is not canonical, or comes with ether it does not take."""
    name = kind.name.lower()
    try:
        eth_abi.decode(_ARGUMENTS[kind], data[4:])
    except (DecodingError, OverflowError):
        return Malformed(f"arguments of {name} do not decode")
    if value and kind is not SwapKind.EXACT_ETH_FOR_TOKENS:
        return Malformed(f"{name} takes no ether")
    return Malformed(f"arguments of {name} are not in canonical form")


def _word(number: int) -> bytes:
    return number.to_bytes(_WORD, "big")


def _number(word: bytes) -> int:
    return int.from_bytes(word, "big")
