"""The gas table: whole, within a transaction's limit, and on anvil the same contracts do the same."""

from __future__ import annotations

import re
import socket

import pytest

from encmempool.npm import cache_directory
from encmempool.settlement.anvil import VERSION
from encmempool.settlement.compile import CONTRACTS, load
from encmempool.settlement.gas import gas_table, openings_table, running_anvil
from threshold.schemes.registry import ENCRYPTED_SCHEMES

TRANSACTION_GAS = 1 << 24
"""EIP-7825: chains that are to come allow no more."""
NOT_MEASURED = {
    "registry": {"committee", "signers"},
    "settlement": {"hold", "open_challenge", "close_challenge", "forget"},
    "collateral": {"credit", "lock", "unlock", "slash", "name_payee"},
    "judge": {"convict_share_and_abstention", "convict_successor_and_share", "convict_wrong_share"},
    "challenges": {
        "answer_dropped",
        "answer_succession",
        "answer_used_up",
        "answer_large_share",
        "answer_executed",
        "resume",
    },
    "openings": {
        "show_tdh2",
        "show_simple_bte",
        "show_fptx",
        "convict_tdh2",
        "convict_ibe",
        "convict_simple_bte",
        "convict_fptx",
        "convict_size",
    },
}
"""Those that contracts alone may call, whose gas is in the calls that lead to them; those that cost as another does;
and those that need EIP-2537, which have a table of their own."""


def check(table):
    measured = {re.split(", ", name)[0] for name in table}
    assert {f"deploy {name}" for name in CONTRACTS} <= measured
    for name, artifact in load().items():
        changing = {
            item["name"]
            for item in artifact.abi
            if item["type"] == "function" and item["stateMutability"] in ("nonpayable", "payable")
        }
        missing = {function for function in changing if f"{name}.{function}" not in measured}
        assert missing == NOT_MEASURED.get(name, set()) & changing
    assert all(0 < gas < TRANSACTION_GAS for gas in table.values())


def test_every_call_is_measured_and_fits_a_transaction(evm):
    check(gas_table(evm))


def test_calls_on_anvil_are_those_in_this_process_and_cost_at_least_as_much(evm):
    binary = cache_directory() / f"anvil-{VERSION}"
    if not binary.exists():
        pytest.skip("anvil is not in the cache: run `encmempool fetch anvil`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running_anvil(binary, port) as chain:
        table = gas_table(chain)
    check(table)
    warm = gas_table(evm)
    assert table.keys() == warm.keys()
    assert all(table[name] >= warm[name] for name in table)


@pytest.mark.parametrize("scheme", ENCRYPTED_SCHEMES)
def test_conviction_for_a_wrong_share_fits_a_transaction(precompiled, scheme):
    table = openings_table(precompiled, scheme, (1, 4))
    assert len(table) == (2 if scheme == "ibe" else 4)
    assert all(0 < gas < TRANSACTION_GAS for gas in table.values())


def test_largest_committee_fits_a_transaction(evm):
    table = gas_table(evm, members=128, batch=4)
    assert table["registry.register"] < TRANSACTION_GAS
    assert table["settlement.post, 8 heights"] < TRANSACTION_GAS
