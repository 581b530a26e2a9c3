"""Parameters that make no sense, addresses foretold, and what the contracts are handed.

Holds STL-33 to STL-37.
"""

from __future__ import annotations

import pytest

from encmempool.settlement.compile import CONTRACTS, load
from encmempool.settlement.deployment import Parameters, contract_address, creations
from encmempool.settlement.leaves import account_branch
from encmempool.settlement.rehearsal import Network
from encmempool.types import Deadlines

ETHER = 10**18


@pytest.mark.parametrize(
    "changes",
    [
        {"posting_blocks": 0},
        {"posting_blocks": 600},
        {"unbonding_blocks": 50_400 + 600 + 7_200},
        {"finality_blocks": 600},
        {"compensation": 2 * ETHER},
        {"penalty": 9 * ETHER},
        {"compensation": -1},
        {"reward_bps": 6_001},
        {"pool_bps": 9_001},
    ],
)
def test_parameters_that_let_an_offender_off_are_refused(changes):
    Parameters()
    with pytest.raises(ValueError, match=r"blocks|bonds|10,000"):
        Parameters(**changes)


@pytest.mark.parametrize("name", ["include_l1_blocks", "reveal_l1_blocks"])
def test_genesis_with_deadlines_beyond_unbonding_is_refused(name):
    spans = dict.fromkeys(Deadlines.__annotations__, 1)
    artifacts = load()
    for blocks, is_good in ((50_399, True), (50_400, False)):
        network = Network(deadlines=Deadlines(**{**spans, name: blocks}))
        options = {"deployer": bytes(20), "nonce": 0}
        if is_good:
            assert tuple(creations(artifacts, network.genesis, Parameters(), **options)) == CONTRACTS
        else:
            with pytest.raises(ValueError, match="unbonding_blocks"):
                creations(artifacts, network.genesis, Parameters(), **options)


def test_addresses_of_contracts_are_ethereums():
    """A widely published example of CREATE addresses."""
    deployer = bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    assert contract_address(deployer, 0).hex() == "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert contract_address(deployer, 1).hex() == "343c43a37d37dff08ae8c4a11544c718abb4fcf8"


def test_contracts_know_each_other(bare):
    for contract, names in (
        ("collateral", ("judge", "challenges")),
        ("settlement", ("registry", "judge", "challenges")),
        ("judge", ("registry", "collateral", "settlement", "openings")),
        ("challenges", ("registry", "collateral", "settlement", "inbox")),
        ("bridge", ("settlement",)),
        (
            "openings",
            ("registry", "judge", "decryption_tdh2", "decryption_ibe", "decryption_simple_bte", "decryption_fptx"),
        ),
    ):
        for name in names:
            assert getattr(bare, contract).get(name.upper()) == getattr(bare, name).address


def test_account_that_a_state_does_not_have_has_no_branch():
    state = Network().state([])
    with pytest.raises(KeyError):
        account_branch(state, bytes(20))


def test_call_with_the_wrong_number_of_arguments_is_a_mistake_of_ours():
    with pytest.raises(TypeError, match="1 arguments wanted, not 2"):
        load()["collateral"].call("deposit", bytes(20), 1)
