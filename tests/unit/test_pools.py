"""The pool against real mainnet swaps, and the pair's own refusals."""

import csv
import os
from pathlib import Path
from random import Random

import pytest

from encmempool.execution.pools import Pool, Reverted, amount_in, amount_out, settle

A, B = b"\xaa" * 20, b"\xbb" * 20
ROOT = Path(__file__).resolve().parents[2]
SWAPS = Path(os.environ.get("ENCMEMPOOL_DATA", ROOT / ".." / "shared" / "data")) / "real-v2-swaps" / "swaps.csv"


def test_amount_out_matches_real_mainnet_swaps_to_the_wei() -> None:
    if not SWAPS.is_file():
        pytest.skip(f"no real swaps at {SWAPS}; set ENCMEMPOOL_DATA to the folder that holds real-v2-swaps")
    with SWAPS.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["getAmountOut_exact"] == "1"]
    assert len(rows) > 400
    for row in rows:
        quote = amount_out(int(row["reserve_in"]), int(row["reserve_out"]), int(row["amount_in"]))
        assert quote == int(row["amount_out"]), row["tx"]


def test_amount_in_is_the_least_input_or_one_more() -> None:
    seed = 3
    random = Random(seed)
    for _ in range(500):
        reserve_in, reserve_out = random.randint(1, 10**6), random.randint(2, 10**6)
        wanted = random.randint(1, reserve_out - 1)
        paid = amount_in(reserve_in, reserve_out, wanted)
        assert amount_out(reserve_in, reserve_out, paid) >= wanted, f"seed {seed}"
        assert paid <= 2 or amount_out(reserve_in, reserve_out, paid - 2) < wanted, f"seed {seed}"


def test_amount_in_adds_one_even_when_the_division_is_exact() -> None:
    assert amount_in(997, 2000, 1000) == 1001


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((10, 10, 0), "UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT"),
        ((0, 10, 1), "UniswapV2Library: INSUFFICIENT_LIQUIDITY"),
        ((10, 2**111, 2**150), "ds-math-mul-overflow"),
    ],
)
def test_amount_out_reverts_like_the_library(arguments: tuple[int, int, int], reason: str) -> None:
    with pytest.raises(Reverted, match=reason):
        amount_out(*arguments)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((10, 10, 0), "UniswapV2Library: INSUFFICIENT_OUTPUT_AMOUNT"),
        ((10, 0, 1), "UniswapV2Library: INSUFFICIENT_LIQUIDITY"),
        ((10, 10, 11), "ds-math-sub-underflow"),
        ((10, 10, 10), "division by zero"),
        ((10, 10, 2**255), "ds-math-mul-overflow"),
    ],
)
def test_amount_in_reverts_like_the_library(arguments: tuple[int, int, int], reason: str) -> None:
    with pytest.raises(Reverted, match=reason):
        amount_in(*arguments)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((1000, 1000, 1, 0), "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT"),
        ((1000, 1000, 1, 1000), "UniswapV2: INSUFFICIENT_LIQUIDITY"),
        ((1000, 1000, 0, 1), "UniswapV2: INSUFFICIENT_INPUT_AMOUNT"),
        ((10**6, 10**6, 1000, 997), "UniswapV2: K"),
        ((2**111, 10, 2**111, 1), "UniswapV2: OVERFLOW"),
    ],
)
def test_settle_reverts_like_the_pair(arguments: tuple[int, int, int, int], reason: str) -> None:
    with pytest.raises(Reverted, match=reason):
        settle(*arguments)


def test_settle_accepts_the_largest_output_and_refuses_one_more() -> None:
    seed = 4
    random = Random(seed)
    for _ in range(300):
        reserve_in, reserve_out = random.randint(1000, 10**30), random.randint(1000, 10**30)
        paid = random.randint(reserve_in // 101, reserve_in)
        taken = amount_out(reserve_in, reserve_out, paid)
        if taken:
            assert settle(reserve_in, reserve_out, paid, taken) == (reserve_in + paid, reserve_out - taken)
        with pytest.raises(Reverted):
            settle(reserve_in, reserve_out, paid, taken + 1)


def test_settle_accepts_a_reserve_of_112_bits() -> None:
    assert settle(2**111, 10, 2**111 - 1, 1) == (2**112 - 1, 9)


def test_pool_swaps_in_both_directions() -> None:
    pool = Pool(token0=A, token1=B, reserve0=10**6, reserve1=4 * 10**6)
    assert pool.swap(A, 1000, 3000) == Pool(token0=A, token1=B, reserve0=1_001_000, reserve1=3_997_000)
    assert pool.swap(B, 4000, 900) == Pool(token0=A, token1=B, reserve0=999_100, reserve1=4_004_000)


def test_pool_refuses_a_token_it_does_not_hold() -> None:
    with pytest.raises(ValueError, match="not in this pool"):
        Pool(token0=A, token1=B, reserve0=1, reserve1=1).reserves(b"\xcc" * 20)


@pytest.mark.parametrize(
    ("token0", "token1", "reserve0"), [(B, A, 1), (A, A, 1), (A[:19], B, 1), (A, B, 2**112), (A, B, -1)]
)
def test_pool_refuses_what_no_pair_can_be(token0: bytes, token1: bytes, reserve0: int) -> None:
    with pytest.raises(ValueError):
        Pool(token0=token0, token1=token1, reserve0=reserve0, reserve1=1)
