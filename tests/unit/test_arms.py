"""The arms one by one: how each makes its order, what each rule of the attacker's costs, and that none touches another.

What holds between arms and against theory is in `test_experiment_anchors`; this file asks what a single arm claims.
"""

from collections import Counter
from dataclasses import replace
from math import log, sqrt
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from encmempool.execution.ledger import REVERTED_SWAP_GAS
from encmempool.measure import laboratory as laboratory_module
from encmempool.measure.arms import (
    _FIRST_MOVES_SEED,
    _MOVES_BLOCKS,
    Arm,
    CommitReveal,
    PublicMark,
    _adverse_moves,
    arms,
)
from encmempool.measure.attacker import Placement, arrange
from encmempool.measure.calls import FrontRun
from encmempool.measure.ciphertexts import Network, Setup, Stock
from encmempool.measure.figures import input_worth
from encmempool.measure.flow import QuantileFlow, standard_pools
from encmempool.measure.formulas import spam_success
from encmempool.measure.laboratory import COLUMNS, Config, Laboratory
from encmempool.measure.market import ATTACKER, ETHER, GAS_PRICE_WEI, Call, Market, Order, play
from encmempool.measure.sandwich import Victim, best_sandwich, profitability_threshold
from encmempool.measure.strategies import (
    MARKS,
    CopyFirst,
    GreedySandwich,
    Placements,
    Public,
    Race,
    ShuffleSpam,
    learn,
)
from encmempool.ordering import Candidate, Policy, execution_order
from encmempool.types import EncryptedTransaction

BLOCKS = 60
SWAP_PAIR_GAS_WEI = 2 * 87_700 * GAS_PRICE_WEI
AT = {name: place for place, name in enumerate(COLUMNS)}
ALL = {arm.id: arm for arm in arms()}
KINDS = list(dict.fromkeys(id.partition("/")[0] for id in ALL))


def laboratory_of(*names: str) -> Laboratory:
    return Laboratory(Config(seed=6, blocks=BLOCKS, training_blocks=20, arms=names, verify_fraction=0.0))


def rows(lab: Laboratory, figures: NDArray[np.float64]) -> dict[tuple[str, str], NDArray[np.float64]]:
    return {(arm.id, strategy.name): figures[:, at] for at, (arm, strategy) in enumerate(lab.rows)}


@pytest.fixture(scope="module")
def lab() -> Laboratory:
    return laboratory_of("all")


@pytest.fixture(scope="module")
def together(lab: Laboratory) -> dict[tuple[str, str], NDArray[np.float64]]:
    return rows(lab, lab.run(0, BLOCKS)[0])


@pytest.fixture
def market() -> Market:
    return QuantileFlow().draw(21).market()


def user(sender: int) -> Order:
    return Order(sender=sender, buys=True, amount_in=100 * ETHER, minimum_out=0)


def attack(*sizes: int) -> Placements:
    """One placement for each size, all before the first user, told apart by size."""
    orders = (Order(sender=ATTACKER, buys=True, amount_in=size, minimum_out=0) for size in sizes)
    return tuple(Placement(before=0, order=order) for order in orders)


# --- the list --------------------------------------------------------------------------------------------------------


def test_ids_of_arms_and_names_of_their_strategies_are_unique(lab: Laboratory) -> None:
    """Chance is drawn, and rows are found, by these names."""
    names = [(arm.id, strategy.name) for arm, strategy in lab.rows]
    assert len({arm.id for arm in arms()}) == len(arms())
    assert len(set(names)) == len(names)


# --- how the order arises --------------------------------------------------------------------------------------------


def test_arrival_order_keeps_every_placement(market: Market) -> None:
    random = Random(2)
    for _ in range(50):
        placements = tuple(
            Placement(before=random.randrange(13), order=each.order, attack=number)
            for number, each in enumerate(attack(*range(1, random.randrange(2, 9))))
        )
        sequenced = Arm.sequence(ALL["T1"], market.orders, placements, Random(0))
        assert sequenced.block == arrange(market.orders, placements)
        numbers = {placement.order: placement.attack for placement in placements}
        assert [numbers.get(item) for item in sequenced.block] == list(sequenced.attacks)


def test_random_order_in_plaintext_holds_a_pair_around_its_victim_in_a_sixth_of_blocks() -> None:
    """Two addresses and a victim: formula (11) for one copy. No nonce holds the two in order."""
    tries, sandwiched = 6_000, 0
    for seed in range(tries):
        block = ALL["C3"].sequence((user(0),), attack(1, 2), Random(seed)).block
        sandwiched += [item.amount_in for item in block if isinstance(item, Order)] == [1, 100 * ETHER, 2]
    assert sandwiched / tries == pytest.approx(spam_success(1), abs=4 * sqrt(5 / 36 / tries))


def patterns_of_the_model(tries: int) -> Counter[tuple[int, ...]]:
    found: Counter[tuple[int, ...]] = Counter()
    for seed in range(tries):
        block = ALL["T2"].sequence((user(0), user(1)), attack(1, 2), Random(seed)).block
        assert [item.amount_in for item in block if item.sender == ATTACKER and isinstance(item, Order)] == [1, 2]
        found[tuple(item.sender for item in block)] += 1
    return found


def patterns_of_the_protocol(tries: int) -> Counter[tuple[int, ...]]:
    found: Counter[tuple[int, ...]] = Counter()
    senders = (ATTACKER, ATTACKER, 0, 1)
    batch = [
        Candidate(tx_id=bytes([9 - at]) * 32, sender=bytes([sender + 1]) * 20, nonce=at, sequence=at, priority_fee=0)
        for at, sender in enumerate(senders)
    ]
    for key in range(tries):
        seeded = execution_order(Policy.SHUFFLE, batch, commitment_root=bytes(32), batch_key_value=key.to_bytes(8))
        found[tuple(senders[at] for at in seeded)] += 1
    return found


@pytest.mark.parametrize("patterns", [patterns_of_the_model, patterns_of_the_protocol])
def test_shuffle_of_two_users_and_an_attackers_pair_is_uniform_over_twelve_patterns(patterns) -> None:
    """Model and protocol draw from one distribution: 4! / 2! orders of senders, each as likely as the others."""
    found = patterns(6_000)
    assert len(found) == 12
    assert chisquare(list(found.values())).pvalue > 1e-4


def test_fee_order_keeps_arrival_among_equal_tips(market: Market) -> None:
    orders = tuple(replace(order, tip_wei=5) for order in market.orders)
    assert ALL["T3"].sequence(orders, (), Random(0)).block == orders


# --- controls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [1, 5, 10])
def test_spam_in_whole_blocks_works_no_more_often_than_the_formula_and_near_it(copies: int) -> None:
    """A8 with eleven other users about, who may bring the victim to its limit or trade between the attacker's legs."""
    arm, strategy = ALL["C3"], ShuffleSpam(copies=copies)
    worked = tries = 0
    for seed in range(150):
        market = QuantileFlow().draw(seed).market()
        placements = strategy.plan(arm.known(market, (), Random(0)), market.pools, Random(0))
        if not placements:
            continue
        front = placements[0].order
        assert isinstance(front, Call)
        assert isinstance(front.decide, FrontRun)
        victim = front.decide.victim
        for again in range(4):
            fills = play(market.pools, arm.sequence(market.orders, placements, Random(f"{seed}/{again}")).block)
            own = [at for at, fill in enumerate(fills) if fill.executed and fill.order.sender == ATTACKER]
            (hit,) = (at for at, fill in enumerate(fills) if fill.order.sender == victim.sender)
            tries += 1
            worked += len(own) == 2 and own[0] < hit < own[1] and fills[hit].executed
    expected = spam_success(copies)
    error = sqrt(expected * (1 - expected) / tries)
    assert 0.5 * expected < worked / tries < expected + 3 * error


def test_race_that_is_never_won_pays_its_gas_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A11 at its end: every call finds its victim gone."""
    arm = replace(ALL["C2"], strategies=(Race(wins=0.0),))
    monkeypatch.setattr(laboratory_module, "select", lambda *_, **__: (ALL["C0"], ALL["C1"], arm))
    lab = laboratory_of()
    found = rows(lab, lab.run(0, 40)[0])["C2", "race, wins 0"]
    assert np.array_equal(found[:, AT["extracted"]], -found[:, AT["gas"]])
    assert found[:, AT["gas"]].all()
    assert not found[:, [AT["loss"], AT["failed"], AT["successes"]]].any()


# --- encrypted arms --------------------------------------------------------------------------------------------------


def test_encryption_alone_changes_nothing_for_users_nor_for_arbitrage(together) -> None:
    """A12: the residual of T1 without an attacker is that of C0, to the wei."""
    kept = [AT[name] for name in ("volume", "extracted", "expected", "loss", "failed", "welfare", "backrun")]
    assert np.array_equal(together["T1", "abstain"][:, kept], together["C0", "abstain"][:, kept])
    assert together["C0", "abstain"][:, AT["backrun"]].any()


def test_sandwiches_change_the_residual_only_by_the_state_they_leave(together) -> None:
    """A12: block by block it moves either way, and the sum stays."""
    sandwiched, quiet = (together[row][:, AT["backrun"]] for row in (("C1", "greedy sandwich"), ("C0", "abstain")))
    assert (sandwiched < quiet).any()
    assert (sandwiched > quiet).any()
    assert sandwiched.sum() == pytest.approx(quiet.sum(), rel=0.1)


@pytest.mark.parametrize("id", ["T7e/ladder", "T7f/padded"])
def test_sealed_marks_tell_a_direction_no_better_than_a_coin(lab: Laboratory, id: str) -> None:
    """Every lesson lies where a fair coin's majority lies: below 0.55, or within Hoeffding's bound for its tosses."""
    arm = ALL[id]
    assert isinstance(arm, PublicMark)
    seen = lab._history(arm)
    tosses = Counter(MARKS[arm.mark](Public.of(envelope)) for envelope, _, _ in seen)
    lessons = learn(arm.mark, seen)
    assert lessons
    for mark, lesson in lessons.items():
        noise = sqrt(log(2 * len(lessons) / 1e-4) / (2 * tosses[mark]))
        assert lesson.accuracy < max(0.55, 0.5 + noise)


@pytest.mark.parametrize("id", ["T7e/open", "T7f/open"])
def test_open_marks_tell_the_direction(lab: Laboratory, id: str) -> None:
    arm = ALL[id]
    assert isinstance(arm, PublicMark)
    assert max(lesson.accuracy for lesson in learn(arm.mark, lab._history(arm)).values()) > 0.9


def test_stand_ins_tell_nothing_of_the_block_they_stand_in_for() -> None:
    """Which recorded body stands in for which is drawn apart from the market: no index goes with anything in it.

    Seven bodies, since an index below 7 is nearly the first three bits of a draw: a shared stream would show.
    """
    network = Network(Setup(), Policy.ARRIVAL, standard_pools(1))
    recorded = QuantileFlow(users=7).draw(3).market()
    stock = Stock(network, recorded)
    bodies, drawn = [], []
    for seed in range(400):
        draw = QuantileFlow().draw(seed)
        market = draw.market()
        view = stock.view(market)
        bodies.append([stock._bodies.index(EncryptedTransaction.decode(data).ciphertext) for data in view])
        (outside, _), (pool,) = draw.outside[0], draw.pools
        drawn.append([outside / pool.ether, *(trader.rank for trader in draw.traders)])
    users = len(bodies[0])
    together = np.corrcoef(np.array(bodies), np.array(drawn), rowvar=False)[:users, users:]
    # 156 correlations of standard error 0.05: the largest of noise stays below 4.5 of them.
    assert abs(together).max() < 0.225
    first = [
        [row[0] for row, (gap, *_) in zip(bodies, drawn, strict=True) if (gap > 1) is side] for side in (True, False)
    ]
    assert set(first[0]) == set(first[1]) == set(range(7))


# --- arms whose rule has a price -------------------------------------------------------------------------------------


def test_deposit_at_which_not_opening_stops_paying_is_where_the_sign_changes(together) -> None:
    """T4: between a little less and a little more than the plaintext gain per commitment that stays closed."""
    plain = together["C1", "greedy sandwich"]
    closed = 24 * BLOCKS - plain[:, AT["transactions"]].sum()
    break_even = plain[:, AT["extracted"]].sum() / closed
    extracted = []
    for share in (0.99, 1.01):
        arm = replace(ALL["T4/D=0"], deposit_wei=round(share * break_even))
        assert isinstance(arm, CommitReveal)
        total = 0.0
        for at in range(BLOCKS):
            users = 12
            placements = attack(*range(1, 1 + int(plain[at, AT["transactions"]])))
            total += plain[at, AT["extracted"]] - arm.forfeited_wei(GreedySandwich(), placements, users)
        extracted.append(total)
    assert extracted[0] > 0 > extracted[1]
    assert ETHER < break_even < 5 * ETHER
    assert together["T4/D=0.5", "open what pays"][:, AT["extracted"]].sum() > 0


def test_abstaining_from_commitments_forfeits_nothing(together) -> None:
    for ether in ("0", "0.01", "0.1", "0.5"):
        assert not together[f"T4/D={ether}", "abstain"][:, AT["extracted"]].any()


def test_copied_claim_leaves_its_finder_with_nothing_in_plaintext() -> None:
    for seed in range(20):
        draw = QuantileFlow().draw(seed)
        open_arm, sealed_arm = ALL["T9/plaintext"], ALL["T9"]
        market = open_arm.market(draw)
        assert market == sealed_arm.market(draw)
        finder = market.orders[0].sender
        for arm, taken in ((open_arm, True), (sealed_arm, False)):
            known = arm.known(market, (b"",) * 12, Random(0))
            placements = CopyFirst().plan(known, market.pools, Random(0))
            fills = play(market.pools, arm.sequence(market.orders, placements, Random(0)).block)
            executed = {fill.order.sender: fill.executed for fill in fills}
            assert executed[finder] is not taken
            assert executed.get(ATTACKER, False) is taken


def test_no_limit_of_d1_leaves_a_sandwich_that_pays_unless_its_own_was_cheaper() -> None:
    """At the opening reserves, and by the rule computed here once more: failures and what a sandwich takes."""
    moves = np.array(_adverse_moves(1))
    assert len(moves) == 12 * _MOVES_BLOCKS
    counts: Counter[str] = Counter()
    for seed in range(60):
        draw = QuantileFlow().draw(seed)
        drawn, adapted = draw.market(), ALL["D1"].market(draw)
        (pool,) = drawn.pools
        for own, order in zip(drawn.orders, adapted.orders, strict=True):
            assert replace(order, minimum_out=own.minimum_out) == own
            reserve_in, reserve_out = pool.entering(order)
            plan = best_sandwich(reserve_in, reserve_out, Victim(amount=order.amount_in, bound=order.minimum_out))
            profit = 0 if plan is None else plan.profit if order.buys else pool.in_ether(plan.profit)
            if order.amount_in <= profitability_threshold() * reserve_in:
                assert order == own
                assert profit <= 0
                counts["too small"] += 1
            elif order != own:
                assert profit <= SWAP_PAIR_GAS_WEI
                counts["adapted"] += 1
                quote = play(drawn.pools, (replace(order, minimum_out=0),))[0].amount_out
                wider = replace(order, minimum_out=order.minimum_out - quote * 100 // 10**6)
                looser = best_sandwich(reserve_in, reserve_out, Victim(amount=order.amount_in, bound=wider.minimum_out))
                if quote * 800_000 // 10**6 < order.minimum_out - quote * 100 // 10**6:
                    assert looser is not None  # one hundredth of a percent more, and it pays
                    worth = looser.profit if order.buys else pool.in_ether(looser.profit)
                    assert worth > SWAP_PAIR_GAS_WEI
            elif profit > SWAP_PAIR_GAS_WEI:
                quote = play(drawn.pools, (replace(order, minimum_out=0),))[0].amount_out
                size = order.amount_in if order.buys else pool.in_ether(order.amount_in)
                safe = widest_safe_share(pool.entering(order), order, quote, pool.in_ether)
                fails = (moves > safe).mean() * (REVERTED_SWAP_GAS * GAS_PRICE_WEI + size * 5e-4)
                assert (1 - order.minimum_out / quote) * size < fails * 1.05
                counts["own is cheaper"] += 1
    assert min(counts[each] for each in ("too small", "adapted", "own is cheaper")) >= 5


def widest_safe_share(sides: tuple[int, int], order: Order, quote: int, in_ether) -> float:
    """By scanning, not by halving: the widest tolerance at which the best sandwich does not pay its gas."""
    widest = 0.0
    for ppm in range(0, 200_000, 50):
        plan = best_sandwich(*sides, Victim(amount=order.amount_in, bound=quote * (10**6 - ppm) // 10**6))
        profit = 0 if plan is None else plan.profit if order.buys else in_ether(plan.profit)
        if profit > SWAP_PAIR_GAS_WEI:
            break
        widest = ppm / 10**6
    return widest


def test_d1_learns_of_failures_from_blocks_that_no_run_has() -> None:
    """MSR-14: no seed of a run, whichever its own seed, lies among them."""
    learned = range(_FIRST_MOVES_SEED, _FIRST_MOVES_SEED + _MOVES_BLOCKS)
    apart = laboratory_module._SEEDS_APART
    kinds = (laboratory_module.EVALUATION, laboratory_module.TRAINING, laboratory_module.HISTORY)
    lengths = (laboratory_module.MAX_BLOCKS, laboratory_module.MAX_BLOCKS, laboratory_module._HISTORY_BLOCKS)
    for seed in learned:
        for first, length in zip(kinds, lengths, strict=True):
            assert not first - 1 <= seed % apart < first + length


# --- arms beside each other ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["T7d", "T8/p=0", "T8/p=0.9", "T9", "T9/plaintext", "D1"])
def test_arm_that_changes_its_users_is_played_on_those_and_not_on_the_others(
    together, lab: Laboratory, id: str
) -> None:
    """Volume and what arrives, made again from the arm's own market without the laboratory."""
    (row,) = (row for (arm, name), row in together.items() if arm == id and name == lab.families[id][0].name)
    volumes, drawn = [], []
    for at in range(8):
        draw = lab._draw(at)
        for found, market in ((volumes, ALL[id].market(draw)), (drawn, draw.market())):
            fills = play(market.pools, market.orders)
            found.append(float(sum(input_worth(market.pools, fill) for fill in fills if fill.executed)))
    assert row[:8, AT["volume"]].tolist() == volumes
    assert volumes != drawn


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_arm_alone_has_the_figures_it_has_among_all_msr_15(together, kind: str) -> None:
    """MSR-15."""
    alone = laboratory_of(kind)
    for name, found in rows(alone, alone.run(0, BLOCKS)[0]).items():
        assert np.array_equal(found, together[name]), name


def test_what_is_remembered_of_one_arm_is_never_anothers(together, lab: Laboratory, monkeypatch) -> None:
    """The laboratory plays equal blocks once; without its memory every arm is played on its own."""

    class Forgetful(dict[object, tuple[float, ...]]):
        def __contains__(self, key: object) -> bool:
            return False

    make = laboratory_module._Block.__init__

    def forget(block: laboratory_module._Block, *arguments: object) -> None:
        make(block, *arguments)  # type: ignore[arg-type]
        block._known = Forgetful()

    monkeypatch.setattr(laboratory_module._Block, "__init__", forget)
    for name, found in rows(lab, lab.run(0, 15)[0]).items():
        assert np.array_equal(found, together[name][:15]), name
