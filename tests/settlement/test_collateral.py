"""Bonds on chain: who may touch them, where slashed ether goes, and that none of it is ever made or lost.

Holds STL-26 to STL-29.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from encmempool.settlement.compile import compile_file, load
from encmempool.settlement.rehearsal import RICH, Contract, Reverted
from specs import build

JUDGE, CHALLENGES, STRANGER, FUNDER = (bytes([each]) * 20 for each in (0xA1, 0xA2, 0xA3, 0xA4))
PARTY, REPORTER, USER, COLD = (bytes([each]) * 20 for each in (0xB1, 0xB2, 0xB3, 0xB4))
NOBODY = bytes(20)
UNBONDING, PENALTY, COMPENSATION, REWARD_BPS, POOL_BPS = 100, 1_000, 250, 1_000, 4_000
TOTALS = ("deposited", "bonded", "total_claimable", "pooled", "burnt", "paid")


class Bonds:
    """The contract with accounts for its judges."""

    def __init__(self, chain):
        self.chain = chain
        artifact = load()["collateral"]
        for account in (JUDGE, CHALLENGES, STRANGER, FUNDER, PARTY, REPORTER, USER, COLD):
            chain.fund(account, RICH)
        arguments = JUDGE, CHALLENGES, UNBONDING, PENALTY, COMPENSATION, REWARD_BPS, POOL_BPS
        self.contract = Contract(chain, artifact, chain.create(FUNDER, artifact.creation(*arguments)).result)
        self.get = self.contract.get

    def send(self, function, *arguments, sender=PARTY, wei=0):
        return self.contract.send(function, *arguments, sender=sender, wei=wei)

    def slash(self, party=PARTY, *, whole=False, reporter=REPORTER, harmed=NOBODY, sender=CHALLENGES):
        self.send("slash", party, whole, reporter, harmed, sender=sender)

    def totals(self):
        return {name: self.get(name) for name in TOTALS}


@pytest.fixture
def bonds(evm):
    made = Bonds(evm)
    made.send("deposit", PARTY, sender=FUNDER, wei=10_000)
    return made


def check_books(bonds):
    totals = bonds.totals()
    held = totals["bonded"] + totals["total_claimable"] + totals["pooled"] + totals["burnt"]
    assert held + totals["paid"] == totals["deposited"]
    assert bonds.chain.balance(bonds.contract.address) == held


def test_deposit_is_the_partys_whoever_pays(bonds):
    bonds.send("deposit", PARTY, sender=STRANGER, wei=5)
    assert bonds.get("bond", PARTY) == 10_005
    assert bonds.get("is_bonded", PARTY, 10_005)
    assert not bonds.get("is_bonded", PARTY, 10_006)
    check_books(bonds)


@pytest.mark.parametrize(("party", "wei"), [(NOBODY, 1), (PARTY, 0)])
def test_deposit_for_nobody_or_of_nothing_is_refused(bonds, refused, party, wei):
    with refused("nothing"):
        bonds.send("deposit", party, wei=wei)


def test_withdrawal_takes_the_whole_delay_and_pays_the_party(bonds, refused):
    bonds.send("begin_unbonding", PARTY)
    assert not bonds.get("is_bonded", PARTY, 1)
    bonds.chain.advance(UNBONDING - 1)
    with refused("unbonding"):
        bonds.send("withdraw", PARTY)
    bonds.chain.advance(1)
    before = bonds.chain.balance(PARTY)
    bonds.send("withdraw", PARTY)
    assert bonds.chain.balance(PARTY) == before + 10_000
    assert bonds.get("bond", PARTY) == bonds.get("unbonding_since", PARTY) == 0
    with refused("unbonding"):
        bonds.send("withdraw", PARTY)
    check_books(bonds)


def test_withdrawal_without_unbonding_is_refused(bonds, refused):
    bonds.chain.advance(10 * UNBONDING)
    with refused("unbonding"):
        bonds.send("withdraw", PARTY)


def test_unbonding_begins_once_and_can_be_cancelled(bonds, refused):
    with refused("unbonding"):
        bonds.send("cancel_unbonding", PARTY)
    bonds.send("begin_unbonding", PARTY)
    bonds.chain.advance(UNBONDING)
    with refused("unbonding"):
        bonds.send("begin_unbonding", PARTY)
    bonds.send("cancel_unbonding", PARTY)
    assert bonds.get("is_bonded", PARTY, 1)
    bonds.send("begin_unbonding", PARTY)
    with refused("unbonding"):
        bonds.send("withdraw", PARTY)


def test_nothing_does_not_begin_to_unbond(bonds, refused):
    with refused("unbonding"):
        bonds.send("begin_unbonding", STRANGER, sender=STRANGER)


@pytest.mark.parametrize("function", ["begin_unbonding", "cancel_unbonding", "withdraw"])
@pytest.mark.parametrize("sender", [STRANGER, FUNDER, JUDGE])
def test_only_the_payee_has_a_say_over_a_bond(bonds, refused, function, sender):
    if function != "begin_unbonding":
        bonds.send("begin_unbonding", PARTY)
        bonds.chain.advance(UNBONDING)
    with refused("payee"):
        bonds.send(function, PARTY, sender=sender)


def test_payee_that_was_named_takes_over_from_the_hot_key(bonds, refused):
    with refused("payee"):
        bonds.send("name_payee", PARTY, STRANGER, sender=STRANGER)
    with refused("payee"):
        bonds.send("name_payee", PARTY, NOBODY)
    bonds.send("name_payee", PARTY, COLD)
    assert bonds.get("payee", PARTY) == COLD
    for function in ("begin_unbonding", "withdraw"):
        with refused("payee"):
            bonds.send(function, PARTY)
    with refused("payee"):
        bonds.send("name_payee", PARTY, PARTY)
    bonds.send("begin_unbonding", PARTY, sender=COLD)
    bonds.chain.advance(UNBONDING)
    before = bonds.chain.balance(COLD)
    bonds.send("withdraw", PARTY, sender=COLD)
    assert bonds.chain.balance(COLD) == before + 10_000


def test_penalty_is_shared_out_by_the_schedule(bonds):
    bonds.slash(harmed=USER)
    rest = PENALTY - COMPENSATION
    assert bonds.get("bond", PARTY) == 9_000
    assert bonds.get("claimable", USER) == COMPENSATION
    assert bonds.get("claimable", REPORTER) == rest // 10
    assert bonds.get("pool", PARTY) == rest * 4 // 10
    assert bonds.get("burnt") == rest - rest // 10 - rest * 4 // 10
    check_books(bonds)


def test_whole_bond_is_taken_for_what_is_forbidden_also_while_unbonding(bonds, refused):
    bonds.send("begin_unbonding", PARTY)
    bonds.chain.advance(UNBONDING)
    bonds.slash(whole=True, sender=JUDGE)
    assert bonds.get("bond", PARTY) == 0
    assert bonds.get("claimable", REPORTER) == 1_000
    before = bonds.chain.balance(PARTY)
    bonds.send("withdraw", PARTY)
    assert bonds.chain.balance(PARTY) == before
    check_books(bonds)


def test_slashing_who_has_no_bond_takes_nothing(bonds):
    bonds.slash(STRANGER, whole=True, harmed=USER)
    assert bonds.get("claimable", USER) == bonds.get("claimable", REPORTER) == 0
    check_books(bonds)


def test_compensation_that_the_bond_is_too_short_for_comes_from_the_offenders_own_pool(bonds):
    bonds.send("deposit", STRANGER, sender=FUNDER, wei=100)
    bonds.slash(whole=True)
    pool = bonds.get("pool", PARTY)
    bonds.slash(harmed=USER)
    assert bonds.get("claimable", USER) == COMPENSATION
    assert bonds.get("pool", PARTY) == pool - COMPENSATION
    bonds.slash(STRANGER, harmed=COLD)
    assert bonds.get("claimable", COLD) == 100
    assert bonds.get("pool", PARTY) == pool - COMPENSATION
    check_books(bonds)


@pytest.mark.parametrize("harmed", [NOBODY, USER])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("bond", [0, 1, 249, 250, 777, 1_000, 1_001, 12_345])
def test_what_is_slashed_is_split_as_on_the_page_stl_27(evm, bond, whole, harmed):
    bonds = Bonds(evm)
    schedule = {
        "penalty": PENALTY,
        "compensation": COMPENSATION,
        "reward_bps": REWARD_BPS,
        "pool_bps": POOL_BPS,
    }
    left, pool, burnt, reward, compensation = bond, 0, 0, 0, 0
    if bond:
        bonds.send("deposit", PARTY, sender=FUNDER, wei=bond)
    for _ in range(3):
        expected = build.load("settlement").split(left, whole, harmed != NOBODY, pool, schedule)
        bonds.slash(whole=whole, harmed=harmed)
        left, pool, burnt = left - expected.taken, expected.pool, burnt + expected.burnt
        reward, compensation = reward + expected.reward, compensation + expected.compensation
        found = {name: bonds.get(name, PARTY) for name in ("bond", "pool")}
        assert found == {"bond": left, "pool": pool}
        assert bonds.get("burnt") == burnt
        assert (bonds.get("claimable", REPORTER), bonds.get("claimable", USER)) == (reward, compensation)
        check_books(bonds)


def test_offender_that_harms_and_reports_itself_loses_what_is_burnt(bonds):
    before = bonds.totals()["burnt"]
    for _ in range(100):
        bonds.slash(harmed=PARTY, reporter=PARTY)
    assert bonds.get("bond", PARTY) == 0
    rest = 10 * (PENALTY - COMPENSATION)
    assert bonds.totals()["burnt"] - before == rest // 2
    assert bonds.get("claimable", PARTY) <= 10_000 - rest // 2
    check_books(bonds)


@pytest.mark.parametrize("sender", [STRANGER, PARTY, FUNDER])
def test_only_the_judges_slash_lock_and_credit(bonds, refused, sender):
    for function, arguments in (
        ("slash", (PARTY, True, sender, NOBODY)),
        ("lock", (PARTY,)),
        ("unlock", (PARTY,)),
        ("credit", (sender,)),
    ):
        with refused("judges only"):
            bonds.send(function, *arguments, sender=sender)


@pytest.mark.parametrize(("function", "arguments"), [("lock", (PARTY,)), ("unlock", (PARTY,)), ("credit", (PARTY,))])
def test_judge_of_evidence_only_slashes(bonds, refused, function, arguments):
    with refused("judges only"):
        bonds.send(function, *arguments, sender=JUDGE)


def test_bond_is_not_withdrawn_while_a_challenge_is_open(bonds, refused):
    bonds.send("begin_unbonding", PARTY)
    bonds.chain.advance(UNBONDING)
    for _ in range(2):
        bonds.send("lock", PARTY, sender=CHALLENGES)
    bonds.send("unlock", PARTY, sender=CHALLENGES)
    with refused("challenged"):
        bonds.send("withdraw", PARTY)
    bonds.send("unlock", PARTY, sender=CHALLENGES)
    bonds.send("withdraw", PARTY)


def test_unlocking_what_is_not_locked_is_refused(bonds):
    with pytest.raises(Reverted):
        bonds.send("unlock", PARTY, sender=CHALLENGES)


def test_claim_pays_once_whoever_sends_it(bonds, refused):
    bonds.send("credit", USER, sender=CHALLENGES, wei=77)
    before = bonds.chain.balance(USER)
    bonds.send("claim", USER, sender=STRANGER)
    assert bonds.chain.balance(USER) == before + 77
    with refused("nothing"):
        bonds.send("claim", USER)
    check_books(bonds)


@pytest.mark.parametrize(
    "schedule", [(PENALTY, PENALTY + 1, 0, 0), (PENALTY, 0, 10_001, 0), (PENALTY, 0, 5_000, 5_001)]
)
def test_schedule_that_gives_more_than_it_takes_is_refused(evm, refused, schedule):
    evm.fund(FUNDER, RICH)
    with refused("schedule"):
        evm.create(FUNDER, load()["collateral"].creation(JUDGE, CHALLENGES, UNBONDING, *schedule))


@pytest.mark.parametrize("function", ["withdraw", "claim"])
def test_payee_that_calls_again_while_it_is_paid_gets_nothing_more(bonds, evm, function):
    artifact = compile_file(Path(__file__).with_name("reentrant.vy"))
    payee = Contract(evm, artifact, evm.create(FUNDER, artifact.creation()).result)
    collateral = load()["collateral"]
    bonds.send("credit", payee.address, sender=CHALLENGES, wei=500)
    bonds.send("credit", USER, sender=CHALLENGES, wei=500)
    bonds.send("deposit", payee.address, sender=FUNDER, wei=1_000)
    begin = collateral.call("begin_unbonding", payee.address)
    payee.send("act", bonds.contract.address, begin, b"", sender=FUNDER)
    evm.advance(UNBONDING)
    calldata = collateral.call(function, payee.address)
    payee.send("act", bonds.contract.address, calldata, calldata, sender=FUNDER)
    assert payee.get("tried") == 1
    assert not payee.get("succeeded")
    assert evm.balance(payee.address) == {"withdraw": 1_000, "claim": 500}[function]
    check_books(bonds)


AMOUNTS = st.integers(1, 5_000)
PARTIES = st.sampled_from([PARTY, USER, REPORTER, COLD])
HARMED = st.sampled_from([NOBODY, PARTY, USER, REPORTER, COLD])


def machine(chain_type):
    class Books(RuleBasedStateMachine):
        """Any calls in any order by anybody: what is in the contract is what its books say."""

        @initialize()
        def deploy(self):
            self.bonds = Bonds(chain_type())

        def attempt(self, function, *arguments, sender, wei=0):
            try:
                self.bonds.send(function, *arguments, sender=sender, wei=wei)
            except Reverted:
                return False
            return True

        @rule(party=PARTIES, wei=AMOUNTS, sender=PARTIES)
        def deposit(self, party, wei, sender):
            assert self.attempt("deposit", party, sender=sender, wei=wei)

        @rule(beneficiary=PARTIES, wei=AMOUNTS)
        def credit(self, beneficiary, wei):
            assert self.attempt("credit", beneficiary, sender=CHALLENGES, wei=wei)

        @rule(party=PARTIES, whole=st.booleans(), reporter=PARTIES, harmed=HARMED, judge=st.booleans())
        def slash(self, party, whole, reporter, harmed, judge):
            sender = JUDGE if judge else CHALLENGES
            assert self.attempt("slash", party, whole, reporter, harmed, sender=sender)

        @rule(party=PARTIES, sender=PARTIES)
        def begin_unbonding(self, party, sender):
            self.attempt("begin_unbonding", party, sender=sender)

        @rule(party=PARTIES, sender=PARTIES, blocks=st.integers(0, 2 * UNBONDING))
        def withdraw(self, party, sender, blocks):
            self.bonds.chain.advance(blocks)
            bond, locks = self.bonds.get("bond", party), self.bonds.get("open_challenges", party)
            payee, before = self.bonds.get("payee", party), self.bonds.chain.balance(sender)
            if self.attempt("withdraw", party, sender=sender):
                assert locks == 0
                assert sender == payee
                assert self.bonds.chain.balance(sender) == before + bond

        @rule(beneficiary=PARTIES)
        def claim(self, beneficiary):
            owed, before = self.bonds.get("claimable", beneficiary), self.bonds.chain.balance(beneficiary)
            assert self.attempt("claim", beneficiary, sender=STRANGER) == (owed > 0)
            assert self.bonds.chain.balance(beneficiary) == before + owed

        @rule(party=PARTIES, payee=PARTIES, sender=PARTIES)
        def name_payee(self, party, payee, sender):
            self.attempt("name_payee", party, payee, sender=sender)

        @rule(party=PARTIES, lock=st.booleans())
        def lock(self, party, lock):
            self.attempt("lock" if lock else "unlock", party, sender=CHALLENGES)

        @invariant()
        def books(self):
            if hasattr(self, "bonds"):
                check_books(self.bonds)
                parties = (PARTY, USER, REPORTER, COLD)
                sums = {
                    name: sum(self.bonds.get(name, each) for each in parties) for name in ("bond", "claimable", "pool")
                }
                totals = self.bonds.totals()
                assert (sums["bond"], sums["claimable"], sums["pool"]) == (
                    totals["bonded"],
                    totals["total_claimable"],
                    totals["pooled"],
                )

    return Books


def test_no_sequence_of_calls_makes_or_loses_ether(evm):
    run_state_machine_as_test(
        machine(type(evm)),
        settings=settings(
            max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
