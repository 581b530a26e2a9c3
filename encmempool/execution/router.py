"""Calldata of the Uniswap V2 router: the four swaps the ledger runs, in their one canonical encoding.

Source: IUniswapV2Router01 (uniswap/v2-periphery); the selectors are the first four bytes of keccak256 of each
signature, which a test recomputes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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


_ARGUMENTS = {
    kind: ("uint256",) * (1 if kind is SwapKind.EXACT_ETH_FOR_TOKENS else 2) + ("address[]", "address", "uint256")
    for kind in SwapKind
}


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
        if not all(0 <= number < _UINT256_END for number in (self.exact, self.bound, self.deadline)):
            raise ValueError("amounts and deadline must fit 256 bits")
        if not all(len(address) == 20 for address in (*self.path, self.recipient)):
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
    try:
        kind = SwapKind(data[:4])
    except ValueError as error:
        raise Malformed(f"unknown selector 0x{data[:4].hex()}") from error
    try:
        *amounts, path, recipient, deadline = eth_abi.decode(_ARGUMENTS[kind], data[4:])
    except (DecodingError, OverflowError) as error:
        raise Malformed(f"arguments of {kind.name.lower()} do not decode") from error
    if kind is SwapKind.EXACT_ETH_FOR_TOKENS:
        amounts.insert(0, value)
    elif value:
        raise Malformed(f"{kind.name.lower()} takes no ether")
    swap = Swap(
        kind=kind,
        exact=amounts[0],
        bound=amounts[1],
        path=tuple(bytes.fromhex(token[2:]) for token in path),
        recipient=bytes.fromhex(recipient[2:]),
        deadline=deadline,
    )
    if encode(swap) != data:
        raise Malformed(f"arguments of {kind.name.lower()} are not in canonical form")
    return swap
