"""Which contracts with which parameters make the settlement of one network.

The contracts name each other and nobody can change that later, so each is created knowing the addresses that the others
are about to get: a deployer's next ones in a row. STL-33 to STL-37 hold for the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import rlp

from encmempool.ethereum import keccak256
from encmempool.settlement.compile import CONTRACTS, Artifact
from encmempool.settlement.leaves import leaves
from encmempool.types import Deadlines, Genesis

ETHER = 10**18
GWEI = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Spans in blocks of the chain below, 12 s each on mainnet, and amounts in wei. The genesis has further spans.

    unbonding_blocks   from the beginning of unbonding to withdrawal
    finality_blocks    from posting to finality
    challenge_blocks   how long after a deadline its keeping can be asked for
    answer_blocks      from a challenge to silence
    posting_blocks     how long after a receipt's deadline the commitment that keeps it may be posted
    stall_blocks       by which windows are extended at most while the committee does not reveal
    sequencer_bond     a sequencer's least bond
    member_bond        a member's
    penalty            for a promise not kept; all of the bond for what is forbidden
    compensation       to the harmed
    reward_bps         to who reports, in ten-thousandths of the rest
    pool_bps           kept to compensate whom the same offender harmed; what remains is burnt
    challenge_bond     of a challenger
    entry_fee          for an entry of the inbox
    byte_fee           for each of its bytes
    """

    unbonding_blocks: int = 100_800
    finality_blocks: int = 7_200
    challenge_blocks: int = 50_400
    answer_blocks: int = 600
    posting_blocks: int = 300
    stall_blocks: int = 7_200
    sequencer_bond: int = 32 * ETHER
    member_bond: int = 8 * ETHER
    penalty: int = ETHER
    compensation: int = ETHER // 4
    reward_bps: int = 1_000
    pool_bps: int = 4_000
    challenge_bond: int = ETHER // 10
    entry_fee: int = ETHER // 1_000
    byte_fee: int = GWEI

    def __post_init__(self) -> None:
        if not 0 < self.posting_blocks < self.answer_blocks:
            raise ValueError(
                "answer_blocks must exceed posting_blocks, so that what is posted in time can be shown in time"
            )
        if self.unbonding_blocks <= self.challenge_blocks + self.answer_blocks + self.stall_blocks:
            raise ValueError("unbonding_blocks must exceed the time in which a party can be accused")
        if self.finality_blocks <= self.answer_blocks:
            raise ValueError("finality_blocks must exceed answer_blocks")
        if not 0 <= self.compensation <= self.penalty <= min(self.sequencer_bond, self.member_bond):
            raise ValueError("compensation, penalty and bonds must ascend")
        if not 0 <= self.reward_bps + self.pool_bps <= 10_000:
            raise ValueError("reward_bps and pool_bps are shares of 10,000 together")

    def check_deadlines(self, deadlines: Deadlines) -> None:
        """ValueError where these of the genesis let parties off before they can be accused (STL-34)."""
        latest = max(deadlines.include_l1_blocks, deadlines.reveal_l1_blocks)
        if self.unbonding_blocks <= self.challenge_blocks + latest:
            raise ValueError(
                "unbonding_blocks must exceed the genesis' deadlines and the time in which they can be asked for"
            )


def contract_address(deployer: bytes, nonce: int) -> bytes:
    """Of the contract that an account creates with its nonce-th transaction."""
    return keccak256(rlp.encode([deployer, nonce]))[12:]


def creations(
    artifacts: Mapping[str, Artifact], genesis: Genesis, parameters: Parameters, *, deployer: bytes, nonce: int
) -> dict[str, tuple[bytes, bytes]]:
    """The address and the creation code of each contract, for transactions of the deployer in this order and in a row,
    the first with this nonce. What comes to stand elsewhere is no settlement: every address must be as told.

    Raises ValueError where the genesis lets parties off before they can be accused.
    """
    at = {name: contract_address(deployer, nonce + position) for position, name in enumerate(CONTRACTS)}
    deadlines = genesis.deadlines
    p = parameters
    p.check_deadlines(deadlines)
    arguments: dict[str, tuple[Any, ...]] = {
        "registry": (leaves(genesis),),
        "collateral": (
            at["judge"],
            at["challenges"],
            p.unbonding_blocks,
            p.penalty,
            p.compensation,
            p.reward_bps,
            p.pool_bps,
        ),
        "settlement": (at["registry"], at["judge"], at["challenges"], p.finality_blocks),
        "inbox": (p.entry_fee, p.byte_fee),
        "judge": (at["registry"], at["collateral"], at["settlement"], at["openings"], p.member_bond),
        "challenges": (
            at["registry"],
            at["collateral"],
            at["settlement"],
            at["inbox"],
            p.challenge_bond,
            p.challenge_blocks,
            p.answer_blocks,
            p.stall_blocks,
            p.posting_blocks,
            tuple(getattr(deadlines, field.name) for field in fields(deadlines)),
        ),
        "bridge": (at["settlement"],),
        "openings": (
            at["registry"],
            at["judge"],
            *(at[f"decryption_{name}"] for name in ("tdh2", "ibe", "simple_bte", "fptx")),
        ),
    }
    return {name: (at[name], artifacts[name].creation(*arguments.get(name, ()))) for name in CONTRACTS}
