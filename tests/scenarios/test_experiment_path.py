"""The experiment's ciphertext path: what attackers are handed, what is executed, and what is noticed if they differ."""

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from encmempool.measure import ciphertexts, laboratory
from encmempool.measure.arms import Arm, arms
from encmempool.measure.attacker import BlindBracket, BlindSpam, Placement, arrange
from encmempool.measure.calls import Close
from encmempool.measure.ciphertexts import Network, PathDisagrees, Setup, Stock, person, sign
from encmempool.measure.flow import QuantileFlow, standard_pools
from encmempool.measure.laboratory import COLUMNS, Config, Laboratory
from encmempool.measure.market import ATTACKER, Call, Market, Order, from_receipts, play
from encmempool.measure.strategies import Knowledge, Placements
from encmempool.ordering import Policy
from encmempool.types import EncryptedTransaction

USERS = 6
SCHEMES = [
    "tdh2",
    "ibe",
    pytest.param("simple-bte", marks=pytest.mark.slow),
    pytest.param("fptx", marks=pytest.mark.slow),
]
ALL = {arm.id: arm for arm in arms()}


@pytest.fixture(scope="module", params=SCHEMES)
def network(request: pytest.FixtureRequest) -> Network:
    return Network(Setup(scheme=request.param), Policy.ARRIVAL, standard_pools(2))


@pytest.fixture(scope="module")
def market() -> Market:
    return QuantileFlow(users=USERS, pools=2).draw(11).market()


def laboratory_of(*names: str, **options: object) -> Laboratory:
    settings = {"seed": 3, "blocks": 50, "training_blocks": 20, "verify_fraction": 1.0, "users": USERS, **options}
    return Laboratory(Config(arms=names, **settings))  # type: ignore[arg-type]


# --- what happens ----------------------------------------------------------------------------------------------------


def test_view_is_what_the_sequencers_database_holds_msr_13(network: Network, market: Market, monkeypatch) -> None:
    """MSR-13."""
    files: list[Path] = []
    held: list[set[bytes]] = []
    leave = ciphertexts._Roles.__exit__

    def look(roles: ciphertexts._Roles, *arguments: object) -> None:
        files.append(Path(roles._folder.name) / "sequencer.sqlite")
        with sqlite3.connect(files[0]) as connection:
            rows = connection.execute("SELECT value FROM records WHERE kind = 'transaction'").fetchall()
        connection.close()
        held.append({bytes(value) for (value,) in rows})
        leave(roles, *arguments)

    monkeypatch.setattr(ciphertexts._Roles, "__exit__", look)
    view = network.record(market)
    assert held == [set(view)]
    assert not files[0].exists()
    senders = [EncryptedTransaction.decode(data).header.sender for data in view]
    assert senders == [person(order.sender).address for order in market.orders]


def test_block_runs_in_the_order_that_was_planned_and_fills_as_the_model(network: Network, market: Market) -> None:
    view = network.record(market)
    block = arrange(market.orders, BlindSpam(pairs=2, size_ppm=1_000).plan(view, market.pools, Random(1)))
    realised = network.run(view, block, users=market.orders)
    assert realised.block == block
    assert from_receipts(block, realised.receipts) == play(market.pools, block)
    assert realised.reveal_ms > 0


def test_colluding_members_read_everything_from_the_threshold_on_and_nothing_below(
    network: Network, market: Market
) -> None:
    view = network.record(market)
    assert network.collude(view, 2) is None
    assert network.collude(view, 3) == market.orders
    assert network.collude(view, 4) == market.orders


def test_copied_ciphertexts_never_execute_for_the_attacker(network: Network, market: Market) -> None:
    assert network.copies_executed(network.record(market)) == 0


def test_calls_of_a_contract_are_committed_and_leave_the_ledger_alone(network: Network, market: Market) -> None:
    view = network.record(market)
    block = arrange(market.orders, (Placement(before=2, order=Call(decide=Close())),))
    realised = network.run(view, block, users=market.orders)
    assert [item.sender for item in realised.block].index(ATTACKER) == 2
    assert not realised.receipts[2].success
    orders = market.orders
    receipts = [receipt for at, receipt in enumerate(realised.receipts) if at != 2]
    assert from_receipts(orders, receipts) == play(market.pools, orders)


def test_tips_order_a_block_by_fee(market: Market) -> None:
    network = Network(Setup(), Policy.PRIORITY_FEE, standard_pools(2))
    realised = network.run(network.record(market), market.orders, users=market.orders)
    tips = [item.tip_wei for item in realised.block]
    assert tips == sorted(tips, reverse=True)
    assert tips != [order.tip_wei for order in market.orders]


def test_shuffle_runs_every_order_and_the_attackers_by_nonce(market: Market) -> None:
    network = Network(Setup(), Policy.SHUFFLE, standard_pools(2))
    view = network.record(market)
    block = arrange(market.orders, BlindBracket(size_ppm=1_000).plan(view, market.pools, Random(0)))
    runs = [network.run(view, block, users=market.orders) for _ in range(3)]
    for realised in runs:
        assert sorted(map(repr, realised.block)) == sorted(map(repr, block))
        assert [item for item in realised.block if item.sender == ATTACKER] == [block[0], block[-1]]
    assert len({realised.block for realised in runs}) > 1


def test_stand_in_has_true_headers_and_no_ciphertext_of_the_block(network: Network, market: Market) -> None:
    stock = Stock(network, QuantileFlow(users=USERS, pools=2).draw(12).market())
    recorded = [EncryptedTransaction.decode(data) for data in network.record(market)]
    stand_in = [EncryptedTransaction.decode(data) for data in stock.view(market)]
    assert [each.header for each in stand_in] == [each.header for each in recorded]
    assert [len(each.ciphertext) for each in stand_in] == [len(each.ciphertext) for each in recorded]
    assert not {each.ciphertext for each in stand_in} & {each.ciphertext for each in recorded}


def test_exposed_envelopes_show_lengths_and_gas_as_the_stand_ins_say(network: Network, market: Market) -> None:
    stock = Stock(network, QuantileFlow(users=USERS, pools=2).draw(12).market())
    for shows in ({"exact_gas": True}, {"exact_size": True}):
        exposed = [EncryptedTransaction.decode(data) for data in network.exposed(market, **shows)]
        stand_in = [EncryptedTransaction.decode(data) for data in stock.view(market, **shows)]
        assert [(e.header, len(e.ciphertext)) for e in exposed] == [(e.header, len(e.ciphertext)) for e in stand_in]
    overhead = network.committee.terms.overhead_bytes
    lengths = [len(sign(order, nonce=0)) + overhead for order in market.orders]
    assert [len(each.ciphertext) for each in exposed] == lengths


# --- every arm in full -----------------------------------------------------------------------------------------------


def test_every_encrypted_arm_agrees_in_full_msr_16() -> None:
    """MSR-16."""
    lab = laboratory_of("all")
    _, tally = lab.run(0, 2)
    encrypted = [arm for arm in lab.arms if arm.policy is not None]
    assert tally.verified_blocks == 2
    assert tally.verified_runs == 2 * len(encrypted)
    assert len(tally.reveal_ms) == tally.verified_runs


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["ibe", "simple-bte", "fptx"])
def test_every_encrypted_arm_agrees_in_full_with_each_scheme_msr_16(scheme: str) -> None:
    """MSR-16."""
    _, tally = laboratory_of("all", scheme=scheme).run(0, 1)
    assert tally.verified_runs > 20


def test_a_seventh_of_the_blocks_is_run_in_full_if_asked_for_msr_16() -> None:
    """MSR-16."""
    _, tally = laboratory_of("T1", verify_fraction=1 / 7).run(0, 21)
    assert (tally.verified_blocks, tally.verified_runs) == (3, 3)


# --- negative controls -----------------------------------------------------------------------------------------------


def test_a18_without_encryption_the_plaintext_extraction_returns_block_by_block() -> None:
    lab = laboratory_of("T1", scheme="clear", users=12)
    figures, _ = lab.run(0, 12)
    names = [(arm.id, strategy.name) for arm, strategy in lab.rows]
    kept = [COLUMNS.index(name) for name in ("volume", "extracted", "expected", "loss", "failed", "gas")]
    read, plaintext = (
        figures[:, names.index(row)][:, kept] for row in (("T1", "read the bytes"), ("C1", "greedy sandwich"))
    )
    assert np.array_equal(read, plaintext)
    assert plaintext[:, 1].sum() > 0


def test_a18_shares_handed_out_before_the_order_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break decryption after ordering: t members answer the colluding t-1, and the block is sandwiched after all."""
    collude = Network.collude
    monkeypatch.setattr(Network, "collude", lambda self, view, members: collude(self, view, members + 1))
    with pytest.raises(PathDisagrees, match=r"T6/t'=2.*decides otherwise"):
        _run_with_a_knowing_strategy("T6/t'=2")


def _run_with_a_knowing_strategy(id: str) -> None:
    from encmempool.measure.strategies import GreedySandwich

    arm = replace(ALL[id], strategies=(GreedySandwich(),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(laboratory, "select", lambda *_, **__: (ALL["C0"], ALL["C1"], arm))
        laboratory_of(users=12).run(0, 3)


def test_path_notices_a_sequencer_that_orders_otherwise_than_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Network.run
    monkeypatch.setattr(Network, "run", lambda self, view, block, users: run(self, view, block[::-1], users=users))
    with pytest.raises(PathDisagrees, match="another order was executed"):
        laboratory_of("T1").run(0, 1)


def test_path_notices_a_ledger_that_fills_otherwise_than_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laboratory, "from_receipts", lambda orders, receipts: from_receipts(orders, receipts)[::-1])
    with pytest.raises(PathDisagrees, match="filled the decrypted orders otherwise"):
        laboratory_of("T1").run(0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peeking:
    """Decides by a byte of the first ciphertext, which a stand-in cannot stand in for."""

    name: str = "peek"

    def plan(self, known: Knowledge, pools: object, random: Random) -> Placements:
        first = EncryptedTransaction.decode(known.view[0]).ciphertext
        order = Order(sender=ATTACKER, buys=True, amount_in=1 + first[-1] + 256 * first[-2], minimum_out=0)
        return (Placement(before=0, order=order),)


def test_path_notices_a_strategy_that_depends_on_the_ciphertext(monkeypatch: pytest.MonkeyPatch) -> None:
    arm: Arm = replace(ALL["T1"], strategies=(Peeking(),))
    monkeypatch.setattr(laboratory, "select", lambda *_, **__: (ALL["C0"], ALL["C1"], arm))
    with pytest.raises(PathDisagrees, match=r"T1, peek, seed .*decides otherwise"):
        laboratory_of().run(0, 2)


def test_path_notices_an_executed_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "copies_executed", lambda self, view: 1)
    with pytest.raises(PathDisagrees, match="1 copied ciphertexts were executed"):
        laboratory_of("T9").run(0, 1)
