"""The chain below a development network: anvil or another, with the network's contracts and everybody's bonds on it.

Windows are short here, so that what takes days elsewhere can be watched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.identity import Identity
from encmempool.settlement.anvil import CHAIN_ID
from encmempool.settlement.deployment import ETHER, Parameters
from encmempool.settlement.l1 import L1, Reverted
from encmempool.settlement.site import FILE, Contracts, deploy
from encmempool.types import Deadlines, Genesis

DEADLINES = Deadlines(
    include_heights=64,
    include_l1_blocks=30,
    reveal_l1_blocks=20,
    force_l1_blocks=8,
    l1_depth=1,
    l1_lag_blocks=120,
)
PARAMETERS = Parameters(
    unbonding_blocks=600,
    finality_blocks=40,
    challenge_blocks=300,
    answer_blocks=20,
    posting_blocks=15,
    stall_blocks=60,
)
BACKING = 100 * ETHER
"""Behind the network's ether, for exits."""
_GAS_MONEY = 10 * ETHER
_READY_S = 20.0

# The first of anvil's funded accounts, whose key its documentation gives.
_PUBLIC_KEY_OF_ANVIL = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def wait_for(l1: L1) -> None:
    end = time.monotonic() + _READY_S
    while True:
        try:
            l1.block()
            return
        except EnvironmentProblem:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def deployer_of(key_file: Path | None) -> Identity:
    """Who pays: anvil's own account, or the key in a file as hex. Malformed if it is none."""
    text = _PUBLIC_KEY_OF_ANVIL
    if key_file is not None:
        try:
            text = key_file.read_text().strip().removeprefix("0x")
        except OSError as error:
            raise EnvironmentProblem(f"{key_file} cannot be read: {error.strerror}") from error
    try:
        return Identity(bytes.fromhex(text))
    except ValueError:
        raise Malformed(f"{key_file} holds no key: 64 hex digits are expected") from None


def bond(contracts: Contracts, deployer: Identity, *, sequencers: Iterable[bytes], members: Iterable[bytes]) -> None:
    """Put down what is missing of everybody's bond."""
    collateral, parameters = contracts.collateral, contracts.site.parameters
    for party, least in (
        *((party, parameters.sequencer_bond) for party in sequencers),
        *((party, parameters.member_bond) for party in members),
    ):
        if (missing := least - collateral.get("bond", party)) > 0:
            collateral.send("deposit", party, sender=deployer, wei=missing)


def settle(
    l1: L1,
    deployer: Identity,
    genesis: Genesis,
    folders: Sequence[Path],
    *,
    sequencers: Sequence[bytes],
    members: Sequence[bytes],
    others: Sequence[bytes],
    progress: Callable[[str], None],
) -> Contracts:
    """Deploy the contracts, bond sequencers and members, give everybody ether for gas, and tell the nodes where."""
    contracts = deploy(l1, deployer, genesis, PARAMETERS, progress=lambda name: progress(f"deploying {name}"))
    progress("bonding")
    try:
        bond(contracts, deployer, sequencers=sequencers, members=members)
        contracts.bridge.send("fund", sender=deployer, wei=BACKING)
        for account in dict.fromkeys((*sequencers, *members, *others)):
            if l1.balance(account) < _GAS_MONEY:
                l1.send(deployer, account, b"", wei=_GAS_MONEY)
    except Reverted as error:
        raise EnvironmentProblem(f"the contracts refuse: {error}") from error
    if l1.chain_id == CHAIN_ID:
        l1.request("evm_setIntervalMining", 1)
    for folder in folders:
        contracts.site.write(folder / FILE)
    return contracts
