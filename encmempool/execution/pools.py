"""The constant-product pool of Uniswap V2 with its 0.3% fee, exact to the last unit.

Sources: UniswapV2Library.getAmountOut and getAmountIn (uniswap/v2-periphery), UniswapV2Pair.swap and _update
(uniswap/v2-core). Reasons are the contracts' own strings. Amounts are integers in each token's smallest unit.
"""

from __future__ import annotations

from dataclasses import dataclass

_RESERVE_END = 2**112
_UINT256_END = 2**256


class Reverted(Exception):
    """The contract refuses; the message is its reason. Stays inside execution, where it becomes a receipt."""


def amount_out(reserve_in: int, reserve_out: int, amount_in: int) -> int:
    """Largest output for an exact input, rounded down. Raises Reverted."""
    if amount_in <= 0:
        raise Reverted("UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT")
    if reserve_in <= 0 or reserve_out <= 0:
        raise Reverted("UniswapV2Library: INSUFFICIENT_LIQUIDITY")
    with_fee = amount_in * 997
    numerator = with_fee * reserve_out
    if numerator >= _UINT256_END:
        raise Reverted("ds-math-mul-overflow")
    return numerator // (reserve_in * 1000 + with_fee)


def amount_in(reserve_in: int, reserve_out: int, amount_out: int) -> int:
    """Input the router asks for an exact output: rounded down, plus one. Raises Reverted."""
    if amount_out <= 0:
        raise Reverted("UniswapV2Library: INSUFFICIENT_OUTPUT_AMOUNT")
    if reserve_in <= 0 or reserve_out <= 0:
        raise Reverted("UniswapV2Library: INSUFFICIENT_LIQUIDITY")
    numerator = reserve_in * amount_out * 1000
    if numerator >= _UINT256_END:
        raise Reverted("ds-math-mul-overflow")
    if amount_out > reserve_out:
        raise Reverted("ds-math-sub-underflow")
    if amount_out == reserve_out:
        raise Reverted("division by zero")
    return numerator // ((reserve_out - amount_out) * 997) + 1


def settle(reserve_in: int, reserve_out: int, paid: int, taken: int) -> tuple[int, int]:
    """The pair's own checks when `paid` came in and `taken` is asked for; returns both new reserves.

    Establishes that the product, fee deducted, does not fall. Raises Reverted.
    """
    if taken <= 0:
        raise Reverted("UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT")
    if taken >= reserve_out:
        raise Reverted("UniswapV2: INSUFFICIENT_LIQUIDITY")
    if paid <= 0:
        raise Reverted("UniswapV2: INSUFFICIENT_INPUT_AMOUNT")
    if (reserve_in * 1000 + paid * 997) * (reserve_out - taken) < reserve_in * reserve_out * 1000:
        raise Reverted("UniswapV2: K")
    if reserve_in + paid >= _RESERVE_END:
        raise Reverted("UniswapV2: OVERFLOW")
    return reserve_in + paid, reserve_out - taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Two tokens in ascending address order and what the pair holds of each, below 2**112."""

    token0: bytes
    token1: bytes
    reserve0: int
    reserve1: int

    def __post_init__(self) -> None:
        if not len(self.token0) == len(self.token1) == 20 or self.token0 >= self.token1:
            raise ValueError("a pool needs two different 20-byte tokens in ascending order")
        if not (0 <= self.reserve0 < _RESERVE_END and 0 <= self.reserve1 < _RESERVE_END):
            raise ValueError("reserves must fit 112 bits")

    def reserves(self, token_in: bytes) -> tuple[int, int]:
        """(reserve of `token_in`, reserve of the other). ValueError if the pool does not hold the token."""
        if token_in == self.token0:
            return self.reserve0, self.reserve1
        if token_in == self.token1:
            return self.reserve1, self.reserve0
        raise ValueError("token is not in this pool")

    def swap(self, token_in: bytes, paid: int, taken: int) -> Pool:
        """The pool after `paid` of `token_in` came in and `taken` of the other went out. Raises Reverted."""
        reserve_in, reserve_out = settle(*self.reserves(token_in), paid, taken)
        forward = token_in == self.token0
        return Pool(
            token0=self.token0,
            token1=self.token1,
            reserve0=reserve_in if forward else reserve_out,
            reserve1=reserve_out if forward else reserve_in,
        )
