"""Anchors of the experiment that need its arms: what must come out, known from theory or from another arm.

Blocks run on the integer model alone; that this is what the ciphertext path does is tested in `scenarios`.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from encmempool.measure.arms import Arm, EncryptedByFee, EncryptedShuffle, EpochLeak, Permuted, Readable, arms, select
from encmempool.measure.control import closed_form_extraction
from encmempool.measure.flow import QuantileFlow
from encmempool.measure.formulas import spam_success
from encmempool.measure.laboratory import COLUMNS, Config, Laboratory, Tally
from encmempool.measure.market import ATTACKER, ETHER, Order, play
from encmempool.measure.ordering_test import summary
from encmempool.measure.strategies import Placements, Race, SandwichWhatLeaked, ShuffleSpam

BLOCKS = 250
AT = {name: place for place, name in enumerate(COLUMNS)}
ALL = {arm.id: arm for arm in arms()}


class Run:
    """Figures of some arms on the same blocks, by arm and strategy."""

    def __init__(self, names: tuple[str, ...], blocks: int = BLOCKS, **options: object) -> None:
        settings = {"seed": 5, "blocks": blocks, "training_blocks": 20, "verify_fraction": 0.0, **options}
        self.laboratory = Laboratory(Config(arms=names, **settings))  # type: ignore[arg-type]
        self.figures, self.tally = self.laboratory.run(0, blocks)
        self._place = {(arm.id, s.name): at for at, (arm, s) in enumerate(self.laboratory.rows)}

    def rows(self, arm: str, strategy: str) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self.figures[:, self._place[arm, strategy]]
        return found

    def column(self, arm: str, strategy: str, name: str) -> NDArray[np.float64]:
        column: NDArray[np.float64] = self.rows(arm, strategy)[:, AT[name]]
        return column

    def bps(self, arm: str, strategy: str, name: str = "extracted", of: str = "volume") -> float:
        return float(10_000 * self.column(arm, strategy, name).sum() / self.column(arm, strategy, of).sum())


@pytest.fixture(scope="module")
def run() -> Run:
    return Run(("all",))


@pytest.fixture
def leak_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """A laboratory of C1 and one arm made for the test."""

    def made(arm: Arm, blocks: int = BLOCKS) -> Run:
        with monkeypatch.context() as patch:
            controls = select(("C0", "C1"), members=4, threshold=3)
            patch.setattr("encmempool.measure.laboratory.select", lambda *_, **__: (*controls, arm))
            return Run((), blocks)

    return made


def test_a9_colluding_threshold_equals_plaintext_row_by_row(run: Run) -> None:
    kept = [AT[name] for name in COLUMNS if name not in ("detected", "rightly_detected", "sandwiches", "closed_form")]
    collusion, plaintext = (run.rows(arm, "greedy sandwich")[:, kept] for arm in ("T6/t'=3", "C1"))
    assert np.array_equal(collusion, plaintext)
    assert plaintext[:, AT["extracted"]].sum() > 0


def test_a9_one_share_too_few_equals_blind_row_by_row(run: Run) -> None:
    blind = [strategy.name for strategy in run.laboratory.families["T1"]]
    assert blind == [strategy.name for strategy in run.laboratory.families["T6/t'=2"]]
    for name in blind:
        for column in ("volume", "extracted", "loss", "failed"):
            assert np.array_equal(run.column("T6/t'=2", name, column), run.column("T1", name, column))


def test_a10_extraction_rises_with_the_leaked_share(run: Run) -> None:
    plaintext = run.bps("C1", "greedy sandwich")
    shares = (0.01, 0.05, 0.25, 0.5)
    gains = [run.bps(f"T5/q={share:g}", "sandwich what leaked") for share in shares]
    assert sorted(gains) == gains
    assert gains[0] > 0
    assert gains[-1] < plaintext
    for share, gained in zip(shares[2:], gains[2:], strict=True):
        assert gained == pytest.approx(share * plaintext, rel=0.3)


def test_a10_reading_everything_equals_plaintext(leak_of) -> None:
    everything = replace(ALL["T5/q=0.5"], id="T5/q=1", share=1.0, strategies=(SandwichWhatLeaked(),))
    assert isinstance(everything, EpochLeak)
    run = leak_of(everything)
    assert run.bps("T5/q=1", "sandwich what leaked") == pytest.approx(run.bps("C1", "greedy sandwich"), rel=0.01)


def test_a11_race_is_linear_in_the_chance_to_win(leak_of) -> None:
    chances = (0.0, 0.25, 0.5, 0.75, 1.0)
    races = replace(ALL["C2"], strategies=tuple(Race(wins=chance) for chance in chances))
    run = leak_of(races, blocks=500)
    gains = [run.bps("C2", f"race, wins {chance:g}") for chance in chances]
    assert gains[-1] == pytest.approx(run.bps("C1", "greedy sandwich"), rel=0.01)
    assert -1 < gains[0] < 0  # gas of calls that came too late
    for chance, gained in zip(chances, gains, strict=True):
        assert gained == pytest.approx(gains[0] + chance * (gains[-1] - gains[0]), abs=0.08 * gains[-1])


@pytest.mark.parametrize("copies", [1, 5, 10])
def test_a8_spam_against_a_random_order_succeeds_as_often_as_the_formula_says(copies: int) -> None:
    """One victim and no other user, so that chance alone decides; the contracts are the experiment's own."""
    arm, strategy = ALL["C3"], ShuffleSpam(copies=copies)
    assert isinstance(arm, Permuted)
    pools = QuantileFlow().draw(1).pools
    victim = Order(sender=0, buys=True, amount_in=200 * ETHER, minimum_out=0)
    market = replace(QuantileFlow().draw(1).market(), pools=pools, orders=(victim,))
    placements = strategy.plan(arm.known(market, (), Random(0)), pools, Random(0))
    tries, worked = 4_000, 0
    for seed in range(tries):
        fills = play(pools, arm.sequence(market.orders, placements, Random(seed)).block)
        sides = [fill.order.sender for fill in fills if fill.executed]
        worked += sides == [ATTACKER, 0, ATTACKER]
    expected = spam_success(copies)
    assert worked / tries == pytest.approx(expected, abs=4 * (expected * (1 - expected) / tries) ** 0.5)


def test_a12_blind_back_run_takes_what_arbitrage_left_in_the_unattacked_block(run: Run) -> None:
    taken = run.column("T10", "arbitrage at the end", "extracted")
    left = run.column("C0", "abstain", "backrun")
    idle = taken <= 0  # it stops, and pays for looking
    assert np.allclose(taken[~idle], left[~idle], rtol=1e-9, atol=100)
    assert (left[idle] == 0).all()
    assert (taken[idle] > -0.001 * ETHER).all()
    assert run.column("T10", "arbitrage at the end", "backrun").sum() < 1e-3 * left.sum()


def test_a12_sandwiches_leave_the_back_run_there(run: Run) -> None:
    assert run.bps("C1", "greedy sandwich", "backrun") > 0.7 * run.bps("C0", "abstain", "backrun")


def test_a13_orders_carry_content_in_plaintext_and_none_where_encrypted() -> None:
    p_values = Run(("C1", "T1", "T2"), blocks=400).tally.p_values
    plaintext = summary(p_values["C1"])
    assert plaintext.median < 0.05
    assert plaintext.share_below_5 > 0.6
    for arm in ("T1", "T2"):
        encrypted = summary(p_values[arm])
        assert encrypted.blocks == 400
        assert encrypted.ks_p > 0.01
        assert encrypted.share_below_5 < 0.1


def test_plaintext_arm_equals_the_closed_forms_in_real_numbers(run: Run) -> None:
    closed, played = (run.column("C1", "greedy sandwich", name) for name in ("closed_form", "extracted"))
    assert np.allclose(closed, played, rtol=1e-9, atol=1e6)
    assert closed.sum() > 0


def test_closed_form_skips_who_fails_unattacked() -> None:
    market = QuantileFlow().draw(1).market()
    impossible = tuple(replace(order, minimum_out=2**111) for order in market.orders)
    assert closed_form_extraction(market.pools, impossible) == 0


def test_commit_reveal_extracts_the_plaintext_gain_less_its_deposits(run: Run) -> None:
    plain = run.column("C1", "greedy sandwich", "extracted")
    placed = run.column("C1", "greedy sandwich", "transactions")
    for ether in (0.0, 0.01, 0.1, 0.5):
        opened = run.column(f"T4/D={ether:g}", "open what pays", "extracted")
        assert np.allclose(opened, plain - ether * ETHER * (24 - placed), rtol=1e-12)


def test_copied_claim_pays_in_plaintext_and_not_where_encrypted(run: Run) -> None:
    assert run.bps("T9/plaintext", "copy the claim") > 1
    assert run.column("T9/plaintext", "copy the claim", "failed").all()
    assert not run.column("T9", "copy the claim", "extracted").any()
    assert not run.column("T9", "copy the claim", "failed").any()


def test_sealed_envelopes_teach_nothing_and_open_ones_do(run: Run) -> None:
    for arm, mark in (("T7e", "fee and gas"), ("T7f", "the ciphertext's size")):
        sealed, exposed = ("ladder", "open") if arm == "T7e" else ("padded", "open")
        sure = f"infer from {mark}, 70 % sure"
        assert not run.column(f"{arm}/{sealed}", sure, "transactions").any()
        assert run.bps(f"{arm}/{exposed}", sure) > 5
    assert run.bps("T7d", "infer from the sender, 70 % sure") > 5


def test_blind_strategies_extract_nothing_and_knowing_ones_do(run: Run) -> None:
    for arm in ("T1", "T2", "T3"):
        for strategy in run.laboratory.families[arm]:
            assert run.bps(arm, strategy.name) < 1
    assert run.bps("T7a", "net bracket 0.003") > 1
    assert run.bps("T7c", "guess a limit of 50 bps") > 10


def test_limits_against_sandwiches_help_and_do_not_end_them(run: Run) -> None:
    assert 0 < run.bps("D1", "greedy sandwich") < 0.7 * run.bps("C1", "greedy sandwich")


def test_arms_meet_the_same_users_msr_15(run: Run) -> None:
    """MSR-15."""
    changed = {"T7d", "T7e/ladder", "T7e/open", "T8/p=0", "T8/p=0.9", "T9", "T9/plaintext", "D1"}
    draw = QuantileFlow().draw(77)
    for arm in ALL.values():
        market = arm.market(draw)
        assert (market == draw.market()) is (arm.id not in changed)
        assert [order.sender for order in market.orders] == [trader.sender for trader in draw.traders]


def test_figures_of_an_arm_do_not_depend_on_which_others_run_msr_15(run: Run) -> None:
    """MSR-15."""
    alone = Run(("T2", "T8"), blocks=20)
    for arm, strategy in alone.laboratory.rows:
        assert np.array_equal(alone.rows(arm.id, strategy.name), run.rows(arm.id, strategy.name)[:20])


def test_figures_of_a_block_do_not_depend_on_the_chunk(run: Run) -> None:
    figures, _ = run.laboratory.run(7, 3)
    assert np.array_equal(figures, run.figures[7:10])


def test_training_blocks_are_others_than_those_evaluated_msr_14(run: Run) -> None:
    """MSR-14."""
    figures, tally = run.laboratory.run(0, 5, training=True)
    assert not np.array_equal(figures, run.figures[:5])
    assert tally == Tally(plain_s=tally.plain_s)


def test_forfeited_deposits_are_costs_msr_21(run: Run) -> None:
    """MSR-21."""
    free, dear = (run.bps(f"T4/D={ether}", "open what pays") for ether in ("0", "0.5"))
    assert dear < free


# --- how the order arises --------------------------------------------------------------------------------------------


def _bracket(arm: Arm, strategy: str, seed: int = 3) -> tuple[tuple[Order, ...], Placements, Arm]:
    laboratory = Run((arm.id,), blocks=1).laboratory
    market = arm.market(QuantileFlow().draw(seed))
    (chosen,) = (each for each in laboratory.families[arm.id] if each.name == strategy)
    view = laboratory._view(arm, market)
    return market.orders, chosen.plan(arm.known(market, view, Random(0)), market.pools, Random(0)), arm


def test_fee_order_puts_the_highest_tip_first_and_the_lowest_last() -> None:
    orders, placements, arm = _bracket(ALL["T3"], "fee bracket 0.001")
    assert isinstance(arm, EncryptedByFee)
    block = arm.sequence(orders, placements, Random(0)).block
    tips = [item.tip_wei for item in block]
    assert tips == sorted(tips, reverse=True)
    assert [block[0].sender, block[-1].sender] == [ATTACKER, ATTACKER]
    assert block[0].tip_wei == max(order.tip_wei for order in orders) + 1


def test_shuffle_keeps_the_attackers_own_order_and_is_uniform() -> None:
    orders, placements, arm = _bracket(ALL["T2"], "blind bracket 0.001")
    assert isinstance(arm, EncryptedShuffle)
    first, last = (placement.order for placement in placements)
    between, tries = 0, 3_000
    for seed in range(tries):
        block = arm.sequence(orders, placements, Random(seed)).block
        assert sorted(map(repr, block)) == sorted(map(repr, (*orders, first, last)))
        assert block.index(first) < block.index(last)
        between += block.index(first) < block.index(orders[0]) < block.index(last)
    assert between / tries == pytest.approx(1 / 3, abs=0.04)


def test_select_takes_ids_kinds_and_all_and_names_what_there_is() -> None:
    assert [arm.id for arm in select(("T5", "C1"), members=4, threshold=3)] == [
        "C1",
        "T5/q=0.01",
        "T5/q=0.05",
        "T5/q=0.25",
        "T5/q=0.5",
    ]
    assert len(select(("all",), members=7, threshold=5)) == len(arms())
    assert {arm.id for arm in select(("T6",), members=7, threshold=5)} == {"T6/t'=4", "T6/t'=5"}
    with pytest.raises(ValueError, match=r"no arm 'T99'.*C0, C1.*D1"):
        select(("T99",), members=4, threshold=3)


def test_every_encrypted_arm_has_a_policy_and_no_plaintext_one_has() -> None:
    for arm in ALL.values():
        assert (arm.policy is None) is isinstance(arm, Readable)
