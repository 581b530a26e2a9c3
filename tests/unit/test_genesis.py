"""The genesis file: there and back, and what is refused before a network starts from it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from encmempool import genesis as genesis_file
from encmempool.errors import Malformed
from encmempool.types import Allocation, Genesis

ETHER = 10**18


@pytest.fixture
def path(tmp_path):
    return tmp_path / "genesis.json"


@pytest.fixture
def edit(path, network):
    """Writes the usual genesis and changes its document, but not the root it states."""

    def make(change) -> None:
        genesis_file.write(network, path)
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return make


def set_in(*keys, value):
    def change(document):
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


# --- there and back --------------------------------------------------------------------------------------------------


def test_read_returns_what_was_written(path, network):
    genesis_file.write(network, path)
    assert genesis_file.read(path) == network
    assert genesis_file.read(path).root == network.root


@pytest.mark.parametrize(
    "changes",
    [
        {"accounts": (), "tokens": (), "pools": ()},
        {"chain_id": 2**64 - 1, "base_fee": 2**256 - 1, "timestamp_ms": 2**53},
        {"policy_parameters": bytes(range(256)), "size_classes": (1,)},
        {"base_fee": 0},
    ],
    ids=["nothing in it", "largest integers", "parameters", "no base fee"],
)
def test_read_returns_what_was_written_at_extremes(path, make_genesis, changes):
    genesis = make_genesis(**changes)
    genesis_file.write(genesis, path)
    assert genesis_file.read(path) == genesis


def test_file_starts_with_the_root(path, network):
    genesis_file.write(network, path)
    document = json.loads(path.read_text())
    assert next(iter(document.items())) == ("root", "0x" + network.root.hex())


def test_file_holds_integers_above_2_to_the_53_as_strings(path, network):
    """Other JSON readers would round them."""
    genesis_file.write(network, path)
    document = json.loads(path.read_text())
    assert document["accounts"][0]["balance"] == str(100 * ETHER)
    assert document["chain_id"] == 31337


def test_ledger_starts_from_the_genesis(network, alice, bob):
    ledger = genesis_file.ledger_of(network)
    token = network.tokens[0].address
    assert (ledger.height, ledger.nonce(alice.address), ledger.balance(alice.address)) == (0, 0, 100 * ETHER)
    assert ledger.token_balance(token, bob.address) == 1000 * ETHER
    assert ledger.pool(token, network.weth).reserve1 == 500 * ETHER
    assert (ledger.base_fee, ledger.fee_recipient) == (network.base_fee, network.sequencer)


# --- refused files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"7", b"{}", b'"genesis"', b"\xff\xfe", b"not json"],
    ids=["empty", "cut", "list", "null", "number", "no fields", "string", "no UTF-8", "text"],
)
def test_read_refuses_what_is_no_genesis_and_names_the_file(path, content):
    path.write_bytes(content)
    with pytest.raises(Malformed, match=r"genesis\.json is not a genesis file"):
        genesis_file.read(path)


@pytest.mark.parametrize("field", [*Genesis.__dataclass_fields__, "root"])
def test_read_refuses_a_missing_field(path, edit, field):
    edit(lambda document: document.pop(field))
    with pytest.raises(Malformed, match=rf"genesis\.json is not a genesis file: .*{field}"):
        genesis_file.read(path)


BROKEN = {
    "hex without 0x": set_in("router", value="7a" * 20),
    "no hex": set_in("router", value="0xzz"),
    "hex as a number": set_in("router", value=7),
    "integer in words": set_in("base_fee", value="ten"),
    "integer null": set_in("base_fee", value=None),
    "accounts no list": set_in("accounts", value=7),
    "account a number": set_in("accounts", 0, value=7),
    "unknown deadline": set_in("deadlines", "extra", value=1),
    "missing deadline": set_in("deadlines", value={"include_heights": 1}),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_read_refuses_a_field_of_another_kind(path, edit, fault):
    edit(BROKEN[fault])
    with pytest.raises(Malformed, match=r"genesis\.json is not a genesis file"):
        genesis_file.read(path)


UNENCODABLE = {
    "address too short": set_in("router", value="0x7a"),
    "account address too long": set_in("accounts", 0, "address", value="0x" + "11" * 21),
    "integer too large": set_in("chain_id", value=str(2**64)),
    "integer negative": set_in("base_fee", value=-1),
    "symbol too long": set_in("tokens", 0, "symbol", value="0x" + "41" * 33),
    "too many size classes": set_in("size_classes", value=list(range(1, 34))),
}


@pytest.mark.parametrize("fault", UNENCODABLE)
def test_read_refuses_a_value_that_has_no_encoding(path, edit, fault):
    edit(UNENCODABLE[fault])
    with pytest.raises(Malformed, match=r"genesis\.json"):
        genesis_file.read(path)


OTHER_CONTENTS = {
    "chain id": set_in("chain_id", value=1),
    "balance": set_in("accounts", 0, "balance", value=str(200 * ETHER)),
    "sequencer": set_in("sequencer", value="0x" + "66" * 20),
    "member": set_in("members", 0, value="0x" + "66" * 20),
    "deadline": set_in("deadlines", "include_heights", value=1),
    "stated root": set_in("root", value="0x" + "00" * 32),
    "stated root without 0x": set_in("root", value="00" * 32),
    "no root": set_in("root", value=None),
}


@pytest.mark.parametrize("fault", OTHER_CONTENTS)
def test_read_refuses_contents_that_do_not_have_the_stated_root(path, edit, fault):
    edit(OTHER_CONTENTS[fault])
    with pytest.raises(Malformed, match=r"genesis\.json states the root .*, but its contents have 0x"):
        genesis_file.read(path)


# --- a genesis nothing can start from --------------------------------------------------------------------------------


def refused(network: Genesis, fault: str) -> Genesis:
    first, second = network.accounts
    pool = network.pools[0]
    changes = {
        "duplicate account": {"accounts": (first, replace(second, address=first.address))},
        "too few tokens": {"accounts": (first, replace(second, tokens=()))},
        "too many tokens": {"accounts": (first, Allocation(address=second.address, balance=0, tokens=(1, 2)))},
        "no size class": {"size_classes": ()},
        "size classes descend": {"size_classes": (512, 256)},
        "size class twice": {"size_classes": (256, 256)},
        "pool twice": {"pools": (pool, pool)},
        "pool tokens descend": {"pools": (replace(pool, token0=pool.token1, token1=pool.token0),)},
        "reserve too large": {"pools": (replace(pool, reserve0=2**112),)},
    }
    return replace(network, **changes[fault])


FAULTS = {
    "duplicate account": "an account is listed twice",
    "too few tokens": "does not list an amount for every token",
    "too many tokens": "does not list an amount for every token",
    "no size class": "size_classes",
    "size classes descend": "size_classes",
    "size class twice": "size_classes",
    "pool twice": "two pools",
    "pool tokens descend": "ascending order",
    "reserve too large": "112 bits",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_check_refuses_one_fault(network, fault):
    with pytest.raises(Malformed, match=FAULTS[fault]):
        genesis_file.check(refused(network, fault))


@pytest.mark.parametrize("fault", FAULTS)
def test_read_refuses_one_fault_and_names_the_file(path, network, fault):
    genesis_file.write(refused(network, fault), path)
    with pytest.raises(Malformed, match=rf"genesis\.json.*{FAULTS[fault]}"):
        genesis_file.read(path)


def test_check_returns_the_genesis(network):
    assert genesis_file.check(network) is network


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"members": ()}, "members"),
        ({"members": (bytes(20), bytes(20))}, "members"),
        ({"policy_id": 9}, "policy"),
        ({"batch_limit": 0}, "batch_limit"),
        ({"batch_limit": 4097}, "batch_limit"),
        ({"size_classes": (1 << 17,)}, "size_classes"),
    ],
)
def test_genesis_is_malformed_when_no_network_could_start_from_it(path, make_genesis, change, says):
    genesis_file.write(make_genesis(**change), path)
    with pytest.raises(Malformed, match=says):
        genesis_file.read(path)
