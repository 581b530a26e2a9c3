"""The network's birth certificate: what is fixed before the first key, as a file people can read."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from encmempool.documents import decode_json
from encmempool.errors import Malformed
from encmempool.execution.ledger import Ledger
from encmempool.execution.pools import Pool
from encmempool.ordering import Policy
from encmempool.ssz import SszObject
from encmempool.types import MAX_BATCH, MAX_SIZE_CLASS, Allocation, Deadlines, Genesis, PoolState, Token

DEVELOPMENT_CHAIN_ID = 31337
BASE_FEE = 10 * 10**9
BATCH_GAS_LIMIT = 21_000 << 20
BATCH_LIMIT = 4096
SIZE_CLASSES = tuple(256 << k for k in range(9))
ROUTER = bytes.fromhex("7a250d5630b4cf539739df2c5dacb4c659f2488d")
WETH = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
DEVELOPMENT_TOKEN = Token(address=bytes.fromhex("70cd" * 10), symbol=b"TKN", decimals=18)
DEADLINES = Deadlines(
    include_heights=16,
    include_l1_blocks=64,
    reveal_l1_blocks=64,
    force_l1_blocks=0,
    l1_depth=0,
    l1_lag_blocks=0,
)


def ledger_of(genesis: Genesis) -> Ledger:
    """The state at height 0."""
    return Ledger(
        chain_id=genesis.chain_id,
        accounts={account.address: account.balance for account in genesis.accounts},
        token_balances={
            (token.address, account.address): amount
            for account in genesis.accounts
            for token, amount in zip(genesis.tokens, account.tokens, strict=True)
            if amount
        },
        pools=[
            Pool(token0=pool.token0, token1=pool.token1, reserve0=pool.reserve0, reserve1=pool.reserve1)
            for pool in genesis.pools
        ],
        router=genesis.router,
        weth=genesis.weth,
        base_fee=genesis.base_fee,
        fee_recipient=genesis.sequencer,
    )


def check(genesis: Genesis) -> Genesis:
    """The genesis itself, if a ledger can start from it. Raises Malformed naming the field."""
    if len({account.address for account in genesis.accounts}) != len(genesis.accounts):
        raise Malformed("genesis: an account is listed twice")
    if len({token.address for token in genesis.tokens}) != len(genesis.tokens):
        raise Malformed("genesis: a token is listed twice")
    for account in genesis.accounts:
        if len(account.tokens) != len(genesis.tokens):
            raise Malformed(f"genesis: account 0x{account.address.hex()} does not list an amount for every token")
    if list(genesis.size_classes) != sorted(set(genesis.size_classes)) or not genesis.size_classes:
        raise Malformed("genesis: size_classes must ascend")
    if genesis.size_classes[-1] > MAX_SIZE_CLASS:
        raise Malformed(f"genesis: size_classes go up to {MAX_SIZE_CLASS} bytes at most")
    if not 1 <= genesis.batch_limit <= MAX_BATCH:
        raise Malformed(f"genesis: batch_limit lies between 1 and {MAX_BATCH}")
    if len(set(genesis.members)) != len(genesis.members) or not genesis.members:
        raise Malformed("genesis: members must be given, each once")
    if genesis.policy_id not in set(Policy):
        raise Malformed(f"genesis: there is no order policy {genesis.policy_id}")
    try:
        ledger_of(genesis)
    except ValueError as error:
        raise Malformed(f"genesis: {error}") from error
    # Execution conserves every asset, so no balance can outgrow its 256 bits later.
    supplies = [sum(account.balance for account in genesis.accounts)]
    supplies += [sum(account.tokens[at] for account in genesis.accounts) for at in range(len(genesis.tokens))]
    if sum(supplies) + sum(pool.reserve0 + pool.reserve1 for pool in genesis.pools) >= 1 << 256:
        raise Malformed("genesis: the balances together do not fit into 256 bits")
    return genesis


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Where a network's nodes are reached: beside the genesis and no part of its root, since machines move."""

    sequencer: str
    members: tuple[str, ...]
    others: tuple[str, ...] = ()


def write(genesis: Genesis, path: Path, nodes: Nodes | None = None) -> None:
    """`genesis.json`: field names, decimal integers as strings where they exceed 2^53, bytes as 0x-hex."""
    document = {"root": "0x" + genesis.root.hex(), **_to_document(genesis)}
    if nodes is not None:
        document["nodes"] = {"sequencer": nodes.sequencer, "members": nodes.members, "others": nodes.others}
    path.write_text(json.dumps(document, indent=2) + "\n")


def read_nodes(path: Path) -> Nodes | None:
    """The addresses in a genesis file, or None if it has none. Raises Malformed."""
    try:
        document = decode_json(path.read_bytes()).get("nodes")
        if document is None:
            return None
        texts = [document["sequencer"], *document["members"], *document["others"]]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("addresses are texts")
        return Nodes(
            sequencer=document["sequencer"], members=tuple(document["members"]), others=tuple(document["others"])
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"the nodes in {path} are damaged: {error}") from error


def read(path: Path) -> Genesis:
    """Raises Malformed if the file is not a genesis or its root is not the one it states."""
    try:
        document = decode_json(path.read_bytes())
        stated = document.pop("root")
        genesis = _genesis(document)
        root = "0x" + genesis.root.hex()
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Malformed(f"{path} is not a genesis file: {error}") from error
    if stated != root:
        raise Malformed(f"{path} states the root {stated}, but its contents have {root}")
    try:
        return check(genesis)
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from error


def _to_document(value: SszObject) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}  # type: ignore[arg-type]


def _plain(item: Any) -> Any:
    if isinstance(item, SszObject):
        return _to_document(item)
    if isinstance(item, tuple):
        return [_plain(element) for element in item]
    if isinstance(item, bytes):
        return "0x" + item.hex()
    return str(item) if item >= 1 << 53 else item


def _bytes(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError(f"{text!r} is not 0x-hex")
    return bytes.fromhex(text[2:])


def _genesis(document: dict[str, Any]) -> Genesis:
    return Genesis(
        chain_id=int(document["chain_id"]),
        timestamp_ms=int(document["timestamp_ms"]),
        accounts=tuple(
            Allocation(address=_bytes(a["address"]), balance=int(a["balance"]), tokens=tuple(map(int, a["tokens"])))
            for a in document["accounts"]
        ),
        tokens=tuple(
            Token(address=_bytes(t["address"]), symbol=_bytes(t["symbol"]), decimals=int(t["decimals"]))
            for t in document["tokens"]
        ),
        pools=tuple(
            PoolState(
                token0=_bytes(p["token0"]),
                token1=_bytes(p["token1"]),
                reserve0=int(p["reserve0"]),
                reserve1=int(p["reserve1"]),
            )
            for p in document["pools"]
        ),
        router=_bytes(document["router"]),
        weth=_bytes(document["weth"]),
        base_fee=int(document["base_fee"]),
        sequencer=_bytes(document["sequencer"]),
        members=tuple(map(_bytes, document["members"])),
        policy_id=int(document["policy_id"]),
        policy_parameters=_bytes(document["policy_parameters"]),
        batch_limit=int(document["batch_limit"]),
        gas_limit=int(document["gas_limit"]),
        size_classes=tuple(map(int, document["size_classes"])),
        deadlines=Deadlines(**{name: int(value) for name, value in document["deadlines"].items()}),
    )
