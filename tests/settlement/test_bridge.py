"""Exits: what is paid against a final state, and that nothing is paid twice: STL-7, STL-32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from encmempool.settlement.compile import compile_file, load
from encmempool.settlement.leaves import account_branch, exit_address, leaves
from encmempool.settlement.rehearsal import Contract
from encmempool.ssz import hash_pair, uint_chunk
from encmempool.types import Account, TokenBalance

ETHER = 10**18


class Exits:
    def __init__(self, world):
        self.world = world
        self.user = world.network.user.address
        self.head = None

    def settle(self, balance, user=None):
        """Post a commitment that names a state with this balance at the exit address, and make it final."""
        network, world = self.world.network, self.world
        state = network.state([Account(address=exit_address(user or self.user), nonce=0, balance=balance)])
        self.head = network.commitment(self.head, state_root=state.root)
        world.post(self.head)
        self.finalize()
        return self.head, state

    def finalize(self):
        self.world.chain.advance(self.world.parameters.finality_blocks)
        self.world.settlement.send("finalize", self.head.height, sender=self.world.anybody)

    def arguments(self, commitment, state, owner=None, **changes):
        owner = owner or self.user
        position, branch = account_branch(state, exit_address(owner))
        account = state.accounts[position]
        arguments = {
            "user": owner,
            "commitment": leaves(commitment),
            "position": position,
            "nonce": account.nonce,
            "balance": account.balance,
            "branch": branch,
            **changes,
        }
        return tuple(arguments.values())

    def exit(self, commitment, state, **changes):
        sender = self.world.anybody
        self.world.bridge.send("exit", *self.arguments(commitment, state, **changes), sender=sender)


@pytest.fixture
def exits(world):
    world.bridge.send("fund", sender=world.anybody, wei=10 * ETHER)
    return Exits(world)


def test_exit_address_is_the_same_on_both_sides(exits):
    assert exits.world.bridge.get("exit_address", exits.user) == exit_address(exits.user)


def test_exit_pays_what_was_moved_there_and_later_only_what_was_added(exits, refused):
    first = exits.settle(2 * ETHER)
    exits.exit(*first)
    assert exits.world.chain.balance(exits.user) == 2 * ETHER
    with refused("nothing"):
        exits.exit(*first)
    second = exits.settle(5 * ETHER)
    exits.exit(*second)
    assert exits.world.chain.balance(exits.user) == 5 * ETHER
    for state in (first, second):
        with refused("nothing"):
            exits.exit(*state)
    assert exits.world.chain.balance(exits.world.bridge.address) == 5 * ETHER


def test_exit_waits_until_its_state_is_final(exits, refused):
    network, world = exits.world.network, exits.world
    state = network.state([Account(address=exit_address(exits.user), nonce=0, balance=ETHER)])
    exits.head = network.commitment(state_root=state.root)
    world.post(exits.head)
    with refused("not final"):
        exits.exit(exits.head, state)
    exits.finalize()
    exits.exit(exits.head, state)


def test_exit_pays_what_there_is_and_the_rest_when_there_is_more(exits, refused):
    final = exits.settle(12 * ETHER)
    exits.exit(*final)
    assert exits.world.chain.balance(exits.user) == 10 * ETHER
    with refused("nothing"):
        exits.exit(*final)
    exits.world.bridge.send("fund", sender=exits.world.anybody, wei=5 * ETHER)
    exits.exit(*final)
    assert exits.world.chain.balance(exits.user) == 12 * ETHER


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"balance": 3 * ETHER}, "SSZ branch"),
        ({"nonce": 1}, "SSZ branch"),
        ({"user": b"\1" * 20}, "SSZ branch"),
        ({"position": 6}, "SSZ branch"),
        ({"position": 1 << 24}, "SSZ branch"),
        ({"position": 6 << 24}, "SSZ branch"),
        ({"branch": ()}, "SSZ branch"),
        ({"branch": (bytes(32),) * 28}, "SSZ branch"),
    ],
)
def test_exit_with_one_fault_is_refused(exits, refused, changes, reason):
    commitment, state = exits.settle(2 * ETHER)
    assert len(state.accounts) == 6
    with refused(reason):
        exits.exit(commitment, state, **changes)


def test_state_of_a_commitment_that_was_not_posted_pays_nothing(exits, refused):
    commitment, state = exits.settle(2 * ETHER)
    other = exits.world.network.commitment(state_root=state.root)
    with refused("not posted"):
        exits.exit(other, state)
    with refused("SSZ branch"):
        forged = exits.world.network.state([Account(address=exit_address(exits.user), nonce=0, balance=9 * ETHER)])
        exits.exit(commitment, forged)


def test_ordinary_account_of_the_user_pays_nothing(exits, refused):
    network = exits.world.network
    state = network.state([Account(address=exits.user, nonce=0, balance=ETHER)])
    exits.head = network.commitment(state_root=state.root)
    exits.world.post(exits.head)
    exits.finalize()
    position, branch = account_branch(state, exits.user)
    arguments = exits.user, leaves(exits.head), position, 0, ETHER, branch
    with refused("SSZ branch"):
        exits.world.bridge.send("exit", *arguments, sender=exits.world.anybody)


def test_token_balance_does_not_pass_for_an_account(exits, refused):
    """Both are trees of four leaves: a token whose address is an exit address, with an owner for a nonce."""
    network = exits.world.network
    token = TokenBalance(token=exit_address(exits.user), owner=b"\7" * 20, amount=9 * ETHER)
    state = replace(network.state([]), token_balances=(token,))
    exits.head = network.commitment(state_root=state.root)
    exits.world.post(exits.head)
    exits.finalize()
    height, accounts, _, pools = leaves(state)
    zeros = [bytes(32)]
    for _ in range(23):
        zeros.append(hash_pair(zeros[-1], zeros[-1]))
    branch = *zeros, uint_chunk(1), pools, hash_pair(height, accounts)
    nonce = int.from_bytes(token.owner, "little")
    arguments = exits.user, leaves(exits.head), 2 << 24, nonce, token.amount, branch
    with refused("SSZ branch"):
        exits.world.bridge.send("exit", *arguments, sender=exits.world.anybody)


def test_user_that_calls_again_while_it_is_paid_is_paid_once(exits, evm):
    artifact = compile_file(Path(__file__).with_name("reentrant.vy"))
    user = Contract(evm, artifact, evm.create(exits.world.anybody, artifact.creation()).result)
    final = exits.settle(2 * ETHER, user.address)
    calldata = load()["bridge"].call("exit", *exits.arguments(*final, user.address))
    user.send("act", exits.world.bridge.address, calldata, calldata, sender=exits.world.anybody)
    assert user.get("tried") == 1
    assert not user.get("succeeded")
    assert evm.balance(user.address) == 2 * ETHER


def test_fund_of_nothing_is_refused(exits, refused):
    with refused("nothing"):
        exits.world.bridge.send("fund", sender=exits.world.anybody)
