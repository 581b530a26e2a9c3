"""Ether fetched from the bridge: who transferred it to his exit address shows that in a final state.

The contracts and a history that anybody kept are enough; no sequencer and no member is asked.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.identity import Identity
from encmempool.prover import ledger_after
from encmempool.reveal import Follower
from encmempool.settlement.l1 import Mined, Reverted
from encmempool.settlement.leaves import Leaves, exit_address, leaves
from encmempool.settlement.site import Contracts
from encmempool.state import StateTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the bridge is shown of one user's exit address.

    height      whose commitment names the state
    balance     wei that the address holds in it
    """

    user: bytes
    height: int
    commitment: Leaves
    position: int
    nonce: int
    balance: int
    branch: Leaves


def finalize(contracts: Contracts, sender: Identity) -> int:
    """Make final what can be by now. Returns the last final height."""
    settlement = contracts.settlement
    final, posted = settlement.get("final_height"), settlement.get("height")

    def is_refused(height: int) -> bool:
        try:
            settlement.get("finalize", height)
        except Reverted:
            return True
        return False

    due = int(final + bisect_left(range(final + 1, posted + 1), True, key=is_refused))
    if due > final:
        settlement.send("finalize", due, sender=sender)
    return due


def claim(contracts: Contracts, follower: Follower, user: bytes, *, final_height: int) -> Claim:
    """By the newest final commitment that the followed history has.

    Raises EnvironmentProblem if the state it names holds nothing to fetch, and Malformed for another chain's history.
    Cost: a hash for each account of that state.
    """
    height = final_height
    while height > 0 and follower.chain.at(height) is None:
        height -= 1
    ready = follower.chain.at(height)
    if ready is None:
        raise EnvironmentProblem("no height is final on the chain below that the history holds: take a newer history")
    commitment = ready.commitment
    if contracts.settlement.get("roots", height) != commitment.root:
        raise Malformed(f"the history has another commitment at height {height} than the contracts")
    ledger = ledger_after(follower, commitment.executed_height)
    address = exit_address(user)
    nonce, balance = ledger.nonce(address), ledger.balance(address)
    if balance <= contracts.bridge.get("exited", user):
        raise EnvironmentProblem(
            f"there is nothing to fetch: in the state after height {commitment.executed_height}, the newest that is "
            f"final, the exit address 0x{address.hex()} holds {balance} wei, and as much was paid"
        )
    position, branch = StateTree(ledger).account_branch(address)
    return Claim(
        user=user,
        height=height,
        commitment=leaves(commitment),
        position=position,
        nonce=nonce,
        balance=balance,
        branch=branch,
    )


def fetch(contracts: Contracts, claimed: Claim, sender: Identity) -> tuple[int, Mined]:
    """Wei that the bridge paid the user; anybody may send it. EnvironmentProblem if it refuses."""
    arguments = (claimed.commitment, claimed.position, claimed.nonce, claimed.balance, claimed.branch)
    try:
        mined = contracts.bridge.send("exit", claimed.user, *arguments, sender=sender)
    except Reverted as error:
        raise EnvironmentProblem(f"the bridge refuses: {error}") from error
    (exited,) = contracts.bridge.logs_of(mined)
    return int(exited.arguments["amount"]), mined
