"""The page `watch`, answered by this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any

from encmempool.errors import Rejected
from encmempool.ethereum import EthereumTransaction, gas_ladder
from encmempool.execution import router
from encmempool.execution.ledger import SWAP_GAS, Entry, Ledger
from encmempool.execution.pools import Pool
from encmempool.genesis import DEVELOPMENT_CHAIN_ID, DEVELOPMENT_TOKEN, ROUTER, WETH
from encmempool.measure.market import NO_DEADLINE_S, Order
from encmempool.measure.reorderings import Rank
from encmempool.risk.blocks import Block, Placed
from encmempool.risk.sequential import (
    Alarm,
    Calibration,
    Martingale,
    count_evidence,
    poisson_interval,
    rank_evidence,
)

Json = dict[str, Any]

_TOKEN = DEVELOPMENT_TOKEN.address
_PLENTY = 1 << 200


def block_of(ether: int, token: int, orders: Sequence[Order], *, drawn: bool = True) -> Block:
    """Orders of one pool as a block of the ledger, by senders who have whatever they sell."""
    sides = sorted(((WETH, ether), (_TOKEN, token)))
    (token0, reserve0), (token1, reserve1) = sides
    nonces: dict[int, int] = {}
    placed = []
    for at, order in enumerate(orders):
        address, nonce = _address(order.sender), nonces.get(order.sender, 0)
        nonces[order.sender] = nonce + 1
        placed.append(Placed.of(at.to_bytes(32, "big"), _entry(order, address, nonce), ROUTER))
    senders = {_address(order.sender) for order in orders}
    ledger = Ledger(
        chain_id=DEVELOPMENT_CHAIN_ID,
        accounts=dict.fromkeys(senders, _PLENTY),
        token_balances={(_TOKEN, sender): _PLENTY for sender in senders},
        pools=[Pool(token0=token0, token1=token1, reserve0=reserve0, reserve1=reserve1)],
        router=ROUTER,
        weth=WETH,
        base_fee=0,
        fee_recipient=bytes(20),
    )
    return Block(height=1, timestamp_ms=0, before=ledger, placed=tuple(placed), drawn=drawn)


def _address(sender: int) -> bytes:
    return (sender + 2).to_bytes(20, "big")


def _entry(order: Order, address: bytes, nonce: int) -> Entry:
    swap = order.swap(recipient=address, deadline=NO_DEADLINE_S)
    gas_limit = gas_ladder(SWAP_GAS)
    return Entry(
        sender=address,
        nonce=nonce,
        gas_limit=gas_limit,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
        payload=EthereumTransaction(
            sender=address,
            chain_id=DEVELOPMENT_CHAIN_ID,
            nonce=nonce,
            to=ROUTER,
            value=swap.value,
            data=router.encode(swap),
            gas_limit=gas_limit,
            max_fee_per_gas=0,
            max_priority_fee_per_gas=0,
            raw=b"",
        ),
    )


def all_orders(placed: Sequence[Placed]) -> Iterator[list[Placed]]:
    """Every order in which each sender's own stay in sequence, once."""
    if not placed:
        yield []
    for sender in dict.fromkeys(each.sender for each in placed):
        at = next(at for at, each in enumerate(placed) if each.sender == sender)
        for rest in all_orders([*placed[:at], *placed[at + 1 :]]):
            yield [placed[at], *rest]


def all_exchanges(placed: Sequence[Placed]) -> Iterator[list[Placed]]:
    """Every order in which senders with equally many have changed places, once."""
    senders = list(dict.fromkeys(each.sender for each in placed))
    queues = [[each for each in placed if each.sender == sender] for sender in senders]
    for instead in permutations(queues):
        if [len(queue) for queue in instead] == [len(queue) for queue in queues]:
            following = {sender: iter(queue) for sender, queue in zip(senders, instead, strict=True)}
            yield [next(following[each.sender]) for each in placed]


def _ranked(rank: Rank) -> Json:
    orders = rank.others + 1
    low, high = rank.above / orders, (rank.above + rank.ties + 1) / orders
    return {"above": str(rank.above), "ties": str(rank.ties), "p_low": f"{low:.6f}", "p_high": f"{high:.6f}"}


def _ordering_test(given: Json) -> Json:
    orders = [
        Order(
            sender=int(order["sender"]),
            buys=order["buys"],
            amount_in=int(order["amount_in"]),
            minimum_out=int(order["minimum_out"]),
        )
        for order in given["orders"]
    ]
    block = block_of(int(given["ether"]), int(given["token"]), orders, drawn=given["drawn"])
    others = (all_orders if given["drawn"] else all_exchanges)(block.placed)
    gain = block.run(block.placed).profit
    gains = [block.run(order).profit for order in others]
    gains.remove(gain)
    return {"gain": str(gain), "orders": str(len(gains) + 1), **_ranked(Rank.among(gain, gains))}


def _rank_evidence(given: Json) -> Json:
    rank = Rank.among(int(given["observed"]), [int(other) for other in given["others"]])
    return {**_ranked(rank), "evidence": _six(rank_evidence(rank))}


def _sandwich_evidence(given: Json) -> Json:
    calibration, evidence = Calibration(), []
    for block in given["blocks"]:
        observed, others = int(block["observed"]), [int(other) for other in block["others"]]
        try:
            calibration.add(observed, others)
        except ValueError as error:
            raise Rejected("WCH-6", str(error)) from error
        evidence.append(_six(count_evidence(observed, others, calibration.tilt(float(given["share"])))))
    return {"evidence": evidence, "rate": _six(calibration.rate or 0.0)}


def _poisson_interval(given: Json) -> Json:
    low, high = poisson_interval(int(given["count"]))
    return {"low": _six(low), "high": _six(high)}


def _alarm(given: Json) -> Json:
    statistics = given["statistics"]
    alarm = Alarm(error=float(given["error"]), statistics={str(at): Martingale() for at in range(len(statistics))})
    values = []
    for height, evidence in enumerate(zip(*statistics, strict=True), 1):
        alarm.add(height, {str(at): float(each) for at, each in enumerate(evidence) if each is not None})
        values.append(_six(alarm.value))
    return {"values": values, "raised": None if alarm.raised is None else str(alarm.raised.height)}


def _six(value: float) -> str:
    return f"{round(value, 6) + 0.0:.6f}"


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "ordering_test": _ordering_test,
    "rank_evidence": _rank_evidence,
    "sandwich_evidence": _sandwich_evidence,
    "poisson_interval": _poisson_interval,
    "alarm": _alarm,
}
