"""What the bridge is shown of an exit address, from a history that somebody kept. The contracts' side is in
tests/settlement, both together in tests/commands/test_scenarios.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("web3")

from encmempool import audit
from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.settlement import exits
from encmempool.settlement.leaves import ACCOUNTS_INDEX, check_branch, exit_address
from encmempool.types import Account

WEI = 10**18


class Chain:
    """What contracts answer that hold a network's commitments."""

    def __init__(self, world, *, exited=0) -> None:
        self._world, self._exited = world, exited
        self.settlement = SimpleNamespace(get=lambda _, height: self.root(height))
        self.bridge = SimpleNamespace(get=lambda *_: self._exited)

    def root(self, height: int) -> bytes:
        return self._world.network.follower.chain.at(height).commitment.root


@pytest.fixture
def left(world):
    """A network in which somebody has transferred ether to his exit address, and a state that shows it is named."""
    user = world.people[0]
    world.run_height(world.encrypt(world.payload(user, to=exit_address(user.address), value=WEI), user))
    world.network.commit()
    world.network.reveal()
    return world, user.address, audit.replayed(audit.export(world.network))


def test_claim_shows_the_account_under_the_state_that_the_commitment_names(left):
    world, user, follower = left
    claimed = exits.claim(Chain(world), follower, user, final_height=2)
    commitment = follower.chain.at(2).commitment
    assert (claimed.height, claimed.nonce, claimed.balance) == (2, 0, WEI)
    account = Account(address=exit_address(user), nonce=0, balance=WEI)
    assert check_branch(ACCOUNTS_INDEX, account.root, claimed.position, claimed.branch, commitment.state_root)


def test_claim_by_an_older_final_height_shows_the_older_state(left):
    world, user, follower = left
    with pytest.raises(EnvironmentProblem, match=r"after height 0.* holds 0 wei"):
        exits.claim(Chain(world), follower, user, final_height=1)


def test_claim_is_made_by_the_newest_height_that_the_history_has(left):
    world, user, follower = left
    assert exits.claim(Chain(world), follower, user, final_height=40).height == 2


def test_claim_is_refused_when_it_was_paid(left):
    world, user, follower = left
    with pytest.raises(EnvironmentProblem, match="as much was paid"):
        exits.claim(Chain(world, exited=WEI), follower, user, final_height=2)


def test_claim_is_refused_before_a_height_is_final(left):
    world, user, follower = left
    with pytest.raises(EnvironmentProblem, match="no height is final"):
        exits.claim(Chain(world), follower, user, final_height=0)


def test_claim_is_refused_with_the_history_of_another_chain(left):
    world, user, follower = left
    chain = Chain(world)
    chain.root = lambda height: bytes(32)
    with pytest.raises(Malformed, match="another commitment at height 2"):
        exits.claim(chain, follower, user, final_height=2)
