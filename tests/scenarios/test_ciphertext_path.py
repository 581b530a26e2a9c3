"""The ciphertext path under every policy, with the schemes that admit it, and with sequencers and attackers that cheat.

`test_experiment_path` has what one committee does under the order of arrival.
"""

from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest

from encmempool.measure import laboratory as laboratory_module
from encmempool.measure.arms import arms
from encmempool.measure.attacker import BlindBracket, BlindSpam, Placement, arrange
from encmempool.measure.ciphertexts import Network, PathDisagrees, Realised, Setup, Stock, person
from encmempool.measure.flow import QuantileFlow, standard_pools
from encmempool.measure.laboratory import COLUMNS, Config, Laboratory
from encmempool.measure.market import ATTACKER, Market, Order, from_receipts, play
from encmempool.measure.strategies import Knowledge, Placements
from encmempool.ordering import Policy
from encmempool.types import EncryptedTransaction

USERS = 6
ALL = {arm.id: arm for arm in arms()}
SLOW = pytest.mark.slow
SCHEMES = ["tdh2", "ibe", pytest.param("simple-bte", marks=SLOW), pytest.param("fptx", marks=SLOW)]


@pytest.fixture(scope="module")
def market() -> Market:
    return QuantileFlow(users=USERS, pools=2).draw(13).market()


@pytest.fixture(scope="module", params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def network_of(scheme: str, policy: Policy, *, pools: int = 2, **more: int) -> Network:
    return Network(Setup(scheme=scheme, **more), policy, standard_pools(pools))


def laboratory_of(*names: str, **options: object) -> Laboratory:
    settings = {"seed": 3, "blocks": 50, "training_blocks": 20, "verify_fraction": 1.0, "users": USERS, **options}
    return Laboratory(Config(arms=names, **settings))  # type: ignore[arg-type]


def own(block: tuple[object, ...]) -> list[Order]:
    return [item for item in block if isinstance(item, Order) and item.sender == ATTACKER]


# --- policies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", list(Policy))
def test_policy_runs_every_order_once_and_fills_them_as_the_model(scheme: str, policy: Policy, market: Market) -> None:
    """The attacker's three pairs keep the order in which it sent them, whatever the policy does with the others."""
    network = network_of(scheme, policy)
    view = network.record(market)
    sent = arrange(market.orders, BlindSpam(pairs=3, size_ppm=1_000).plan(view, market.pools, Random(4)))
    realised = network.run(view, sent, users=market.orders)
    assert sorted(map(repr, realised.block)) == sorted(map(repr, sent))
    assert own(realised.block) == own(sent)
    orders = tuple(item for item in realised.block if isinstance(item, Order))
    assert from_receipts(orders, realised.receipts) == play(market.pools, orders)
    if policy is Policy.ARRIVAL:
        assert realised.block == sent
    if policy is Policy.PRIORITY_FEE:
        tips = [item.tip_wei for item in realised.block]
        assert tips == sorted(tips, reverse=True)


def test_fee_bracket_gets_the_first_place_and_the_last(market: Market) -> None:
    network, arm = network_of("tdh2", Policy.PRIORITY_FEE), ALL["T3"]
    view = network.record(market)
    strategy = next(each for each in arm.strategies if each.name == "fee bracket 0.001")
    placements = strategy.plan(arm.known(market, view, Random(0)), market.pools, Random(0))
    realised = network.run(view, arrange(market.orders, placements), users=market.orders)
    assert realised.block == arm.sequence(market.orders, placements, Random(0)).block
    assert [realised.block[0].sender, realised.block[-1].sender] == [ATTACKER, ATTACKER]


@SLOW
def test_reveal_shuffles_as_uniformly_as_the_model_says() -> None:
    """One user and the attacker's pair: the user's place among three is a fair draw in blocks that are really run."""
    market = QuantileFlow(users=1).draw(2).market()
    network = network_of("tdh2", Policy.SHUFFLE, pools=1)
    view = network.record(market)
    sent = arrange(market.orders, BlindBracket(size_ppm=1_000).plan(view, market.pools, Random(0)))
    places = [0, 0, 0]
    for _ in range(150):
        realised = network.run(view, sent, users=market.orders)
        places[[item.sender for item in realised.block].index(market.orders[0].sender)] += 1
    # Each count is binomial(150, 1/3): mean 50, standard deviation 5.8.
    assert all(abs(count - 50) < 25 for count in places)


# --- what colluders and copies get -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "threshold"), [(4, 3), (7, 5)])
def test_one_share_too_few_reads_nothing_and_one_more_everything(
    scheme: str, members: int, threshold: int, market: Market
) -> None:
    network = network_of(scheme, Policy.ARRIVAL, members=members, threshold=threshold)
    view = network.record(market)
    assert network.collude(view, 1) is None
    assert network.collude(view, threshold - 1) is None
    assert network.collude(view, threshold) == market.orders
    assert network.collude(view[::-1], threshold) == market.orders[::-1]
    assert network.collude((), threshold - 1) == ()


def test_two_recordings_of_one_market_share_headers_and_no_ciphertext(scheme: str, market: Market) -> None:
    network = network_of(scheme, Policy.ARRIVAL)
    first, second = (list(map(EncryptedTransaction.decode, network.record(market))) for _ in range(2))
    assert [each.header for each in first] == [each.header for each in second]
    assert not {each.ciphertext for each in first} & {each.ciphertext for each in second}
    assert len({each.ciphertext for each in first}) == USERS


def test_view_holds_no_part_of_an_order(scheme: str, market: Market) -> None:
    """Amounts, limits and routes stand in the signed transaction word for word; nowhere in what is recorded."""
    view = network_of(scheme, Policy.ARRIVAL).record(market)
    for order, data in zip(market.orders, view, strict=True):
        assert person(order.sender).address in data
        for amount in (order.amount_in, order.minimum_out):
            if amount > 2**40:
                assert amount.to_bytes(16).lstrip(b"\0") not in data


def test_sealed_lengths_are_all_one(scheme: str) -> None:
    pools = standard_pools(1)
    market = QuantileFlow(users=12).draw(4).market()
    network = Network(Setup(scheme=scheme), Policy.ARRIVAL, pools)
    assert len({len(EncryptedTransaction.decode(data).ciphertext) for data in network.record(market)}) == 1
    assert (
        len({len(EncryptedTransaction.decode(data).ciphertext) for data in network.exposed(market, exact_size=True)})
        > 1
    )


# --- negative controls -----------------------------------------------------------------------------------------------


def test_a18_without_encryption_every_encrypted_arm_in_order_of_arrival_is_plaintext_again() -> None:
    """Blocks run in full, too: what the path executes is then the sandwich, and it agrees with the model on that."""
    lab = laboratory_of("T1", "T6/t'=2", scheme="clear", users=12)
    count = len(lab.families["T1"])
    figures, tally = lab.run(0, count)
    names = [(arm.id, strategy.name) for arm, strategy in lab.rows]
    extracted = COLUMNS.index("extracted")
    plain = figures[:, names.index(("C1", "greedy sandwich")), extracted]
    assert plain.all()
    for id in ("T1", "T6/t'=2"):
        assert np.array_equal(figures[:, names.index((id, "read the bytes")), extracted], plain)
        assert names.index((id, "read the bytes")) - names.index((id, "abstain")) == count - 1
    assert tally.verified_runs == 2 * count  # each strategy once, the reading one among them


def test_path_notices_two_users_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sequencer that only swaps two of its users' transactions, and leaves the attacker's alone."""
    run = Network.run

    def exchanged(self: Network, view, block, users) -> Realised:
        places = [at for at, item in enumerate(block) if item.sender != ATTACKER][:2]
        swapped = list(block)
        swapped[places[0]], swapped[places[1]] = block[places[1]], block[places[0]]
        return run(self, view, tuple(swapped), users=users)

    monkeypatch.setattr(Network, "run", exchanged)
    with pytest.raises(PathDisagrees, match=r"T1, blind bracket.*another order was executed"):
        laboratory_of("T1").run(0, 1)


def test_path_notices_an_order_left_out_of_a_shuffle(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Network.run
    monkeypatch.setattr(Network, "run", lambda self, view, block, users: run(self, view, block[:-1], users=users))
    with pytest.raises(PathDisagrees, match=r"T2.*other transactions were executed"):
        laboratory_of("T2").run(0, 1)


def test_path_notices_nonces_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Network.run

    def turned(self: Network, view, block, users) -> Realised:
        realised = run(self, view, block, users=users)
        turned_round = iter(own(realised.block)[::-1])
        mixed = tuple(next(turned_round) if item.sender == ATTACKER else item for item in realised.block)
        return replace(realised, block=mixed)

    monkeypatch.setattr(Network, "run", turned)
    with pytest.raises(PathDisagrees, match=r"T2, blind bracket.*nonces"):
        laboratory_of("T2").run(1, 1)


def test_path_notices_one_wei_of_one_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(orders, receipts):
        first, *others = from_receipts(orders, receipts)
        return (replace(first, amount_out=first.amount_out + 1), *others)

    monkeypatch.setattr(laboratory_module, "from_receipts", short)
    with pytest.raises(PathDisagrees, match="filled the decrypted orders otherwise"):
        laboratory_of("T1").run(0, 1)


def test_path_notices_one_wei_of_gas(monkeypatch: pytest.MonkeyPatch) -> None:
    def dear(orders, receipts):
        *others, last = from_receipts(orders, receipts)
        return (*others, replace(last, fee=last.fee + 1))

    monkeypatch.setattr(laboratory_module, "from_receipts", dear)
    with pytest.raises(PathDisagrees, match="filled the decrypted orders otherwise"):
        laboratory_of("T1").run(0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Trades on the parity of all ciphertext bytes: one bit of content is enough."""

    name: str = "parity"

    def plan(self, known: Knowledge, pools: object, random: Random) -> Placements:
        bit = sum(sum(EncryptedTransaction.decode(data).ciphertext) for data in known.view) % 2
        order = Order(sender=ATTACKER, buys=bool(bit), amount_in=10**18, minimum_out=0)
        return (Placement(before=0, order=order),)


def test_path_notices_a_strategy_that_uses_one_bit_of_ciphertext(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block has an even chance to show it; twenty have all but one in a million."""
    arm = replace(ALL["T1"], strategies=(Parity(),))
    monkeypatch.setattr(laboratory_module, "select", lambda *_, **__: (ALL["C0"], ALL["C1"], arm))
    with pytest.raises(PathDisagrees, match=r"T1, parity, seed .*decides otherwise"):
        laboratory_of(users=1).run(0, 20)


def test_path_notices_an_epoch_key_that_opens_other_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """T5 in full reads with real shares; were they to read something else than the model gives away, it shows."""
    collude = Network.collude

    def doubled(self: Network, view, members: int):
        read = collude(self, view, members)
        return None if read is None else tuple(replace(order, amount_in=2 * order.amount_in) for order in read)

    monkeypatch.setattr(Network, "collude", doubled)
    with pytest.raises(PathDisagrees, match=r"T5/q=0.5, sandwich what leaked.*decides otherwise"):
        laboratory_of("T5/q=0.5", users=12).run(0, 10)


# --- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_at_least_the_share_asked_for_is_run_in_full_msr_16(share: float) -> None:
    """MSR-16."""
    _, tally = laboratory_of("T1", verify_fraction=share, users=1).run(0, 10)
    assert tally.verified_blocks >= round(10 * share)
    assert tally.verified_runs == tally.verified_blocks == len(tally.reveal_ms)
    assert tally.full_s > 0


def test_no_block_is_run_in_full_if_none_is_asked_for() -> None:
    _, tally = laboratory_of("T1", verify_fraction=0.0, users=1).run(0, 3)
    assert (tally.verified_blocks, tally.verified_runs, tally.reveal_ms) == (0, 0, [])


def test_every_strategy_of_an_arm_has_its_turn_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    verify = laboratory_module._Block.verify

    def noted(block, arm, strategy, placements, sequenced) -> None:
        verified.append(strategy.name)
        verify(block, arm, strategy, placements, sequenced)

    monkeypatch.setattr(laboratory_module._Block, "verify", noted)
    lab = laboratory_of("T3", users=1)
    lab.run(0, len(lab.families["T3"]))
    assert sorted(verified) == sorted(strategy.name for strategy in lab.families["T3"])
    assert verified[0] != "abstain"  # a short run is not verified on nothing


def test_stand_ins_of_one_seed_are_the_same_and_of_two_are_not(market: Market) -> None:
    """Figures repeat only if what the attacker is shown does."""
    network = network_of("tdh2", Policy.ARRIVAL)
    stock = Stock(network, QuantileFlow(users=USERS, pools=2).draw(12).market())
    assert stock.view(market) == stock.view(market)
    other = replace(market, seed=market.seed + 1)
    assert stock.view(other) != stock.view(market)


def test_attacker_with_more_transactions_than_one_sender_may_have_uses_more_accounts() -> None:
    market = QuantileFlow(users=2).draw(1).market()
    network = Network(Setup(batch=80), Policy.ARRIVAL, market.pools)
    spam = Order(sender=ATTACKER, buys=True, amount_in=10**15, minimum_out=0)
    block = (spam,) * 66 + market.orders + (spam,)
    realised = network.run(network.record(market), block, users=market.orders)
    assert realised.block == block
    assert from_receipts(block, realised.receipts) == play(market.pools, block)
