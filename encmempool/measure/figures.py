"""What is measured of a block: the attacker's gain, the users' loss and the volume that failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from encmempool.measure.market import ATTACKER, Fill, Order, Reserves


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Sums over blocks, in wei at each block's opening mid price. Add measurements; ratios are of sums.

    volume         inputs of the users who execute in the counterfactual
    extracted      the attacker's net gain: tokens and ether, less all its gas, failed transactions included
    expected       counterfactual outputs of the users who execute in both
    loss           what those users miss of `expected`; negative if they gain
    failed         inputs of the users who execute in the counterfactual but not here

    The counterfactual is the same order of users with the attacker's transactions deleted. `loss` is conditional on
    execution and so biased: those hurt most revert and leave the sum. Never report it without `failed_volume`.
    """

    volume: int = 0
    extracted: int = 0
    expected: int = 0
    loss: int = 0
    failed: int = 0

    def __add__(self, other: Measurement) -> Measurement:
        return Measurement(
            volume=self.volume + other.volume,
            extracted=self.extracted + other.extracted,
            expected=self.expected + other.expected,
            loss=self.loss + other.loss,
            failed=self.failed + other.failed,
        )

    @property
    def extracted_bps(self) -> float:
        """Of user volume; 0 if there is none."""
        return 10_000 * self.extracted / self.volume if self.volume else 0.0

    @property
    def victim_loss_bps(self) -> float:
        """Of expected output; 0 if no user executes in both."""
        return 10_000 * self.loss / self.expected if self.expected else 0.0

    @property
    def failed_volume(self) -> float:
        """Share of user volume, 0 to 1."""
        return self.failed / self.volume if self.volume else 0.0


def measure(
    pools: Sequence[Reserves],
    fills: Iterable[Fill],
    counterfactual: Iterable[Fill],
    *,
    forfeited_wei: int = 0,
    prices: Sequence[tuple[int, int]] = (),
) -> Measurement:
    """Compare a block with the same block without the attacker. Fills may come from `play` or from receipts.

    pools            before the block
    forfeited_wei    deposits the attacker loses: a cost of its own
    prices           where the attacker trades what it is left with, as (wei, token units); by default the mid price

    ValueError if the users' orders differ or are in another order.
    """
    volume = expected = loss = failed = 0
    extracted = -forfeited_wei
    user_fills = []
    for fill in fills:
        if fill.order.sender != ATTACKER:
            user_fills.append(fill)
            continue
        extracted += gain(pools, fill, prices)
    for fill, alone in zip(user_fills, counterfactual, strict=True):
        if fill.order != alone.order:
            raise ValueError("the counterfactual is of other orders")
        if not alone.executed:
            continue
        size = input_worth(pools, alone)
        volume += size
        if fill.executed:
            expected += output_worth(pools, alone)
            loss += output_worth(pools, alone) - output_worth(pools, fill)
        else:
            failed += size
    return Measurement(volume=volume, extracted=extracted, expected=expected, loss=loss, failed=failed)


def gain(pools: Sequence[Reserves], fill: Fill, prices: Sequence[tuple[int, int]] = ()) -> int:
    """Wei that an order brought its sender, fee deducted; tokens count at `prices`, by default at the mid price."""
    if not fill.executed:
        return -fill.fee
    if not prices:
        return output_worth(pools, fill) - input_worth(pools, fill) - fill.fee
    wei, units = prices[fill.order.pool]
    if fill.order.buys:
        return fill.amount_out * wei // units - fill.order.amount_in - fill.fee
    return fill.amount_out - fill.order.amount_in * wei // units - fill.fee


def worth(pools: Sequence[Reserves], order: Order, amount: int, *, is_ether: bool) -> int:
    """Wei that an amount of either side of an order is worth at the mid price of `pools`, rounded down."""
    return amount if is_ether else pools[order.pool].in_ether(amount)


def input_worth(pools: Sequence[Reserves], fill: Fill) -> int:
    return worth(pools, fill.order, fill.order.amount_in, is_ether=fill.order.buys)


def output_worth(pools: Sequence[Reserves], fill: Fill) -> int:
    return worth(pools, fill.order, fill.amount_out, is_ether=not fill.order.buys)
