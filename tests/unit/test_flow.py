"""Where users come from: the quantiles they are drawn with, and files of real swaps."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from encmempool.errors import Malformed
from encmempool.execution.pools import amount_out
from encmempool.genesis import WETH
from encmempool.measure.flow import (
    FEE_BAND,
    MAX_POOLS,
    MAX_VALUE,
    MEAN_TIP_WEI,
    PEOPLE,
    QuantileFlow,
    replayed,
)
from encmempool.measure.market import ETHER, SIZE_QUANTILES, SLACK_QUANTILES_BPS

DATA = Path(os.environ.get("ENCMEMPOOL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
REAL = DATA / "real-v2-swaps" / "swaps.csv"
ETH, USD = "0x" + WETH.hex(), "0x" + "a0" * 20
ROW = {
    "block": "7",
    "pair": "0xpair",
    "token_in": ETH,
    "token_out": USD,
    "reserve_in": str(1_000 * ETHER),
    "reserve_out": str(3_000_000 * 10**6),
    "amount_in": str(10 * ETHER),
    "amount_out": "",
    "bound_min_out": "",
    "bound_max_in": "",
}
QUOTE = amount_out(1_000 * ETHER, 3_000_000 * 10**6, 10 * ETHER)


def written(path: Path, *rows: Mapping[str, str], columns: tuple[str, ...] = tuple(ROW)) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**ROW, "amount_out": "1", **row} for row in rows)
    return path


# --- drawn -----------------------------------------------------------------------------------------------------------


def test_draw_is_the_same_for_the_same_seed_only() -> None:
    flow = QuantileFlow(users=5, pools=2)
    assert flow.draw(9) == flow.draw(9)
    assert flow.draw(9) != flow.draw(10)


def test_traders_have_the_quantiles_of_real_swaps() -> None:
    traders = [trader for seed in range(500) for trader in QuantileFlow().draw(seed).traders]
    for points, values in (
        (SIZE_QUANTILES, sorted(trader.size for trader in traders)),
        (SLACK_QUANTILES_BPS, sorted(trader.slack_bps for trader in traders)),
    ):
        for probability, value in points:
            below = sum(each <= value for each in values) / len(values)
            if value in (points[0][1], points[-1][1]):
                continue  # what lies outside is counted at the ends
            assert below == pytest.approx(probability, abs=0.02)
    assert sum(trader.buys for trader in traders) / len(traders) == pytest.approx(0.5, abs=0.02)
    assert sum(trader.tip_wei for trader in traders) / len(traders) == pytest.approx(MEAN_TIP_WEI, rel=0.05)
    assert max(trader.value for trader in traders) <= MAX_VALUE


def test_people_trade_once_a_block_and_all_of_them_some_day() -> None:
    draws = [QuantileFlow(users=20).draw(seed) for seed in range(200)]
    for draw in draws:
        assert len({trader.sender for trader in draw.traders}) == 20
    assert {trader.sender for draw in draws for trader in draw.traders} == set(range(PEOPLE))


def test_outside_price_lies_within_the_fee_mostly_and_on_both_sides() -> None:
    gaps = []
    for seed in range(400):
        draw = QuantileFlow().draw(seed)
        ((wei, units),), (pool,) = draw.outside, draw.pools
        gaps.append(wei * pool.token / (units * pool.ether) - 1)
    assert sum(abs(gap) <= FEE_BAND for gap in gaps) > 360
    assert min(gaps) < -0.5 * FEE_BAND < 0.5 * FEE_BAND < max(gaps)


def test_pools_differ_in_price_and_all_are_used() -> None:
    draw = QuantileFlow(users=60, pools=3).draw(1)
    assert len({pool.token for pool in draw.pools}) == 3
    assert {trader.pool for trader in draw.traders} == {0, 1, 2}
    assert {order.pool for order in draw.market().orders} == {0, 1, 2}


@pytest.mark.parametrize("wrong", [{"users": 0}, {"users": PEOPLE + 1}, {"pools": 0}, {"pools": 9}])
def test_impossible_market_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=rf"not {next(iter(wrong.values()))}"):
        QuantileFlow(**wrong)


# --- replayed --------------------------------------------------------------------------------------------------------


def test_replay_keeps_direction_size_tolerance_and_the_pools_own_reserves(tmp_path: Path) -> None:
    sale = {
        "token_in": USD,
        "token_out": ETH,
        "reserve_in": str(3_000_000 * 10**6),
        "reserve_out": str(1_000 * ETHER),
        "amount_in": str(30_000 * 10**6),
        "bound_max_in": str(40_000 * 10**6),
    }
    flow = replayed(written(tmp_path / "s.csv", {"bound_min_out": str(QUOTE * 99 // 100)}, sale))
    assert (flow.distinct_blocks, flow.users, flow.pools, flow.source) == (1, 2, 1, "s.csv")
    market = flow.draw(5).market()
    (pool,) = market.pools
    assert (pool.ether, pool.token) == (1_000 * ETHER, 3_000_000 * 10**6)
    first, second = market.orders
    assert (first.buys, first.amount_in) == (True, 10 * ETHER)
    assert first.minimum_out / QUOTE == pytest.approx(0.99, abs=1e-5)
    assert (second.buys, second.amount_in) == (False, 30_000 * 10**6)
    quote = amount_out(3_000_000 * 10**6, 1_000 * ETHER, second.amount_in)
    assert second.minimum_out / quote == pytest.approx(0.75, abs=1e-5)


def test_replay_goes_round_and_puts_the_deepest_pool_first(tmp_path: Path) -> None:
    limit = {"bound_min_out": "1"}
    deep = limit | {"pair": "0xdeep", "reserve_in": str(5_000 * ETHER)}
    flow = replayed(written(tmp_path / "s.csv", limit, deep, limit | {"block": "8"}))
    assert flow.distinct_blocks == 2
    assert [pool.ether // ETHER for pool in flow.draw(0).pools] == [5_000, 1_000]
    assert [trader.pool for trader in flow.draw(0).traders] == [1, 0]
    assert flow.draw(4).pools == flow.draw(0).pools != flow.draw(1).pools


@pytest.mark.parametrize(
    "left_out",
    [
        {"bound_min_out": ""},
        {"token_in": USD, "bound_min_out": "1"},
        {"bound_min_out": str(QUOTE + 1)},
        {"bound_max_in": str(10 * ETHER - 1)},
        {"amount_in": "0", "bound_min_out": "1"},
        {"amount_in": "1000", "bound_min_out": "1"},
        {"amount_in": str(1_000 * ETHER), "bound_min_out": "1"},
        {"reserve_in": "0", "bound_min_out": "1"},
    ],
)
def test_row_that_says_nothing_of_a_user_is_left_out(left_out: dict[str, str], tmp_path: Path) -> None:
    kept = {"bound_min_out": "1", "block": "8"}
    assert replayed(written(tmp_path / "s.csv", left_out, kept)).distinct_blocks == 1
    with pytest.raises(Malformed, match="no swap against WETH with a limit"):
        replayed(written(tmp_path / "s.csv", left_out))


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("reserve_in", "-1", "reserve_in is negative: -1"),
        ("amount_in", "-5", "amount_in is negative: -5"),
        ("bound_min_out", "-1", "bound_min_out is negative"),
        ("amount_out", "1.5", "amount_out is '1.5', a whole number"),
        ("reserve_out", "", "reserve_out is '', a whole number"),
        ("bound_max_in", "much", "bound_max_in is 'much'"),
    ],
)
def test_bad_value_is_named_with_file_and_line(field: str, text: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", {"bound_min_out": "1"}, {field: text})
    with pytest.raises(Malformed, match=rf"s\.csv, line 3: {said}"):
        replayed(path)


def test_short_row_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", {"bound_min_out": "1"})
    path.write_text(path.read_text() + "7,0xpair\n")
    with pytest.raises(Malformed, match=r"line 3: the row ends before token_in"):
        replayed(path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    columns = tuple(name for name in ROW if name not in ("pair", "bound_max_in"))
    with pytest.raises(Malformed, match="lacks the columns pair, bound_max_in"):
        replayed(written(tmp_path / "s.csv", {}, columns=columns))
    with pytest.raises(Malformed, match="lacks the column"):
        replayed(written(tmp_path / "empty.csv", columns=("block",)))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b"PK\x03\x04\x00\x00", b""])
def test_file_that_is_no_csv_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(Malformed, match=r"s\.csv"):
        replayed(tmp_path / "s.csv")


def test_columns_may_come_in_any_order_with_others_between(tmp_path: Path) -> None:
    columns = ("note", *reversed(tuple(ROW)))
    straight = replayed(written(tmp_path / "a.csv", {"bound_min_out": "1"}))
    turned = replayed(written(tmp_path / "b.csv", {"bound_min_out": "1"}, columns=columns))
    assert straight.blocks == turned.blocks


def test_hop_of_a_longer_route_is_left_out_for_its_limit_is_of_another_token(tmp_path: Path) -> None:
    """A route to a token of 6 decimals: against ether its limit would be a tolerance of 100 %."""
    limit, columns = {"bound_min_out": "1"}, (*ROW, "hops")
    kept = [limit | {"hops": hops, "block": str(at)} for at, hops in enumerate(("1", "", "1"))]
    left_out = [limit | {"hops": hops, "block": "9"} for hops in ("2", "3")]
    assert replayed(written(tmp_path / "s.csv", *kept, *left_out, columns=columns)).distinct_blocks == 3
    with pytest.raises(Malformed, match=r"line 2: hops is 'two', a whole number"):
        replayed(written(tmp_path / "s.csv", limit | {"hops": "two"}, columns=columns))


def test_block_keeps_the_pools_and_people_there_are(tmp_path: Path) -> None:
    limit = {"bound_min_out": "1"}
    pools = [limit | {"pair": f"0xpair{at:02}"} for at in range(MAX_POOLS + 1)]
    crowd = [limit | {"block": "8"}] * (PEOPLE + 1)
    flow = replayed(written(tmp_path / "s.csv", *pools, *crowd))
    assert (flow.pools, flow.users) == (MAX_POOLS, PEOPLE)
    assert len(flow.draw(0).market().pools) == MAX_POOLS
    assert len({order.sender for order in flow.draw(1).market().orders}) == PEOPLE


REAL_IS_THERE = pytest.mark.skipif(not REAL.exists(), reason="the real swaps in ../shared/data are not here")


@REAL_IS_THERE
@pytest.mark.parametrize(
    ("pair", "buys", "size", "slack_bps"),
    [
        # 20 / 1704.988909474635 and 1 - 8615.467862134328 / 8787.777219377015: 2 % on top, line 2
        ("0xab659dee3030602c1af8c29d146facd4aed6ec85", True, 0.0117302815806, 196.0784314),
        # 90 / 2081.653821759345 and 1 - 1.644920691536118 / 1.653145294993799: a half on 100.5, line 6
        ("0x2174e6d76fe8fa6602db6af86f5e17840bdb0760", False, 0.0432348544506, 49.7512438),
        # wants 50.019: 0.002868031592557972 / 125.0514791789081 and 1 - 2868031.592 / 2896545.095, line 21
        ("0x819f3450da6f110ba6ea52195b3beafa246062de", True, 0.0000229348074, 98.4396970),
        # wants 250000 units: 0.480512706597966 / 191.1397154733547 and 1 - 480.5127066 / 485.3178337: 1 on 101, line 25
        ("0xb469899812f74ee43bffe2d2022590111da86425", True, 0.0025139344176, 99.0099010),
    ],
)
def test_real_swap_is_what_its_row_says_by_hand(pair: str, buys: bool, size: float, slack_bps: float) -> None:
    flow = replayed(REAL)
    close = pytest.approx(size, rel=1e-6)
    found = (at for at, swap in enumerate(flow.blocks[0]) if swap.pair == pair and swap.size == close)
    at = next(found)  # the file holds this block twice
    swap, draw = flow.blocks[0][at], flow.draw(0)
    assert swap.buys is buys
    assert swap.slack_bps == pytest.approx(slack_bps, rel=1e-6)
    order = draw.market().orders[at]
    reserve_in, _ = draw.pools[order.pool].entering(order)
    assert (order.buys, order.amount_in / reserve_in) == (buys, pytest.approx(size, rel=1e-4))
    assert flow.draw(22).pools == draw.pools != flow.draw(1).pools  # the first block comes again


@REAL_IS_THERE
def test_real_swaps_replay_with_their_sizes_and_tolerances() -> None:
    flow = replayed(REAL)
    swaps = [swap for block in flow.blocks for swap in block]
    assert (flow.distinct_blocks, len(swaps)) == (22, 171)
    assert sum(swap.buys for swap in swaps) / len(swaps) == pytest.approx(0.5, abs=0.15)
    tolerances = sorted(swap.slack_bps for swap in swaps)
    assert tolerances[len(swaps) // 4] == pytest.approx(49.8, abs=0.5)  # half a percent, the wallets' default
    with REAL.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["bound_min_out"] and row["token_in"] == ETH]
    row = rows[0]
    size = int(row["amount_in"]) / int(row["reserve_in"])
    found = next(swap for swap in swaps if swap.pair == row["pair"] and swap.size == size)
    quote = amount_out(int(row["reserve_in"]), int(row["reserve_out"]), int(row["amount_in"]))
    assert found.slack_bps == pytest.approx(10_000 * (1 - int(row["bound_min_out"]) / quote))
