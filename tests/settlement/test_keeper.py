"""A node reports what it can show, once, and the contracts convict.

Holds EVD-2 to EVD-5, EVD-7, EVD-16 and EVD-17 for what is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from encmempool import evidence as kinds
from encmempool.errors import EnvironmentProblem
from encmempool.evidence import Evidence
from encmempool.settlement import l1, rehearsal
from encmempool.settlement.keeper import Keeper
from encmempool.settlement.rehearsal import KeyedNetwork, Rehearsal
from encmempool.types import (
    Abstain,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
)


@dataclass
class Reached:
    """A rehearsal's contract as one on a chain that is reached by its address."""

    contract: rehearsal.Contract

    def get(self, function, *arguments):
        return self.contract.get(function, *arguments)

    def send(self, function, *arguments, sender, wei=0):
        try:
            return self.contract.send(function, *arguments, sender=sender.address, wei=wei)
        except rehearsal.Reverted as error:
            raise l1.Reverted(str(error)) from error

    def logs(self, name, *, first, last):
        return ()


def keeper_of(world, identity, shown, committees=()):
    names = ("registry", "collateral", "settlement", "inbox", "judge", "challenges", "openings")
    contracts = SimpleNamespace(
        **{name: Reached(getattr(world, name)) for name in names},
        l1=SimpleNamespace(block=world.chain.block),
        site=SimpleNamespace(deployed_at=0),
    )
    world.chain.fund(identity.address, 10**20)
    return Keeper(
        contracts,
        identity,
        SimpleNamespace(),
        committees=lambda: committees,
        evidence=lambda: [Evidence.of(each) for each in shown],
        posts=False,
        depth=0,
    )


def reports(keeper):
    return [(step.name, step.fields.get("reason")) for step in keeper._report()]


def conflicting(network, kind):
    """A misbehaviour that the judge knows, and who committed it."""
    commitment = network.commitment()
    other, member = replace(commitment, timestamp_ms=6), network.members[1]

    def signed(made, message, signer=member):
        return made(message=message, signature=network.sign(signer, message))

    share = signed(SignedShare, network.share(commitment, 2))
    match kind:
        case "ConflictingCommitments":
            both = [signed(SignedCommitment, each, network.sequencer) for each in (commitment, other)]
            return kinds.ConflictingCommitments(first=both[0], second=both[1]), network.sequencer
        case "ConflictingReceipts":
            first, second = (network.receipt(network.transaction()) for _ in range(2))
            assert isinstance(first, SignedReceipt)
            return kinds.ConflictingReceipts(first=first, second=second), network.sequencer
        case "ConflictingVotes":
            both = [signed(SignedVote, network.vote(each)) for each in (commitment, other)]
            return kinds.ConflictingVotes(first=both[0], second=both[1]), member
        case "ConflictingShares":
            second = signed(SignedShare, network.share(other, 2))
            return kinds.ConflictingShares(first=share, second=second), member
        case "ShareAndAbstention":
            abstention = signed(SignedAbstain, Abstain(committee_id=network.first.root, height=1))
            return kinds.ShareAndAbstention(share=share, abstention=abstention), member
    successors = [network.successor(network.first, start_height=start) for start in (1, 2)]
    signed_once = [SignedKeySet(message=each, signatures=(network.sign(member, each),)) for each in successors]
    if kind == "ConflictingSuccessors":
        return kinds.ConflictingSuccessors(first=signed_once[0], second=signed_once[1]), member
    return kinds.ShareAfterSuccessor(successor=signed_once[0], share=share), member


@pytest.mark.parametrize(
    "kind",
    [
        "ConflictingCommitments",
        "ConflictingReceipts",
        "ConflictingVotes",
        "ConflictingShares",
        "ShareAndAbstention",
        "ConflictingSuccessors",
        "ShareAfterSuccessor",
    ],
)
def test_every_kind_that_the_judge_knows_is_reported_once(world, kind):
    network = world.network
    shown, offender = conflicting(network, kind)
    keeper = keeper_of(world, network.user, [shown])
    assert reports(keeper) == [("convicted", None)]
    assert world.collateral.get("bond", offender.address) == 0
    assert world.collateral.get("claimable", network.user.address) > 0
    assert reports(keeper) == []
    other = keeper_of(world, network.sequencer, [shown])
    assert reports(other) == [("not_convicted", "convicted already")]


@pytest.mark.parametrize("scheme", ["tdh2", "ibe"])
def test_wrong_share_is_reported_with_what_its_batch_lists_evd_7(precompiled, scheme):
    network = KeyedNetwork(scheme, seed=11 + len(scheme), batch_limit=4)
    world = Rehearsal(precompiled, network)
    world.register(network.first)
    for member in network.members:
        world.deposit(member.address, world.parameters.member_bond)
    transactions = [network.encrypted() for _ in range(2)]
    commitment = network.listing(transactions)
    batch = network.batch(commitment, transactions)
    shown = [network.accused(commitment, transactions, member, network.opened(batch, 1)) for member in (2, 3)]
    first, second = (
        keeper_of(world, identity, shown, [network.committee]) for identity in (network.user, network.sequencer)
    )
    assert reports(first) == [("convicted", None)] * 2
    assert reports(second) == [("not_convicted", "convicted already")] * 2
    bonds = [world.collateral.get("bond", member.address) > 0 for member in network.members]
    assert bonds == [True, False, False, True]


def test_wrong_share_of_a_batch_that_the_contracts_do_not_take_is_not_reported(precompiled, monkeypatch):
    network = KeyedNetwork("tdh2", seed=21, batch_limit=4)
    world = Rehearsal(precompiled, network)
    world.register(network.first)
    transactions = [network.encrypted() for _ in range(2)]
    commitment = network.listing(transactions)
    batch = network.batch(commitment, transactions)
    shown = network.accused(commitment, transactions, 2, network.opened(batch, 1))
    monkeypatch.setattr("encmempool.settlement.decryption.LARGEST_BATCH", {"tdh2": 1})
    assert reports(keeper_of(world, network.user, [shown], [network.committee])) == []


def test_report_that_does_not_reach_the_chain_is_made_again(world):
    shown, offender = conflicting(world.network, "ConflictingVotes")
    keeper = keeper_of(world, world.network.user, [shown])
    judge = keeper._contracts.judge

    def unreached(*_, **__):
        raise EnvironmentProblem("no chain")

    keeper._contracts.judge = SimpleNamespace(send=unreached)
    with pytest.raises(EnvironmentProblem):
        reports(keeper)
    keeper._contracts.judge = judge
    assert reports(keeper) == [("convicted", None)]
    assert world.collateral.get("bond", offender.address) == 0
