"""Every protocol object is held equal, bytes and root, to a remerkleable container made from the same annotations."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import fields, replace
from functools import cache
from typing import Any, get_args, get_type_hints

import pytest
import remerkleable.basic as basic
from hypothesis import given, settings, strategies as st
from remerkleable.byte_arrays import ByteList, ByteVector
from remerkleable.complex import Container, List

import encmempool
from encmempool import ssz, types
from encmempool.errors import Malformed
from encmempool.execution.ledger import AccountState, LedgerState, TokenBalance
from encmempool.execution.pools import Pool

for module in pkgutil.iter_modules(encmempool.__path__, "encmempool."):
    importlib.import_module(module.name)
KINDS = sorted(
    (kind for kind in ssz.SszObject.__subclasses__() if kind.__module__.startswith("encmempool.")),
    key=lambda kind: kind.__name__,
)
UINTS = {1: basic.uint8, 2: basic.uint16, 4: basic.uint32, 8: basic.uint64, 32: basic.uint256}

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


# --- the oracle ------------------------------------------------------------------------------------------------------


def hints(kind: type) -> dict[str, Any]:
    found = get_type_hints(kind, include_extras=True)
    return {field.name: found[field.name] for field in fields(kind)}


@cache
def container(kind: type) -> type[Container]:
    annotations = {name: oracle_type(hint) for name, hint in hints(kind).items()}
    made: type[Container] = type(kind.__name__, (Container,), {"__annotations__": annotations})
    return made


def oracle_type(hint: Any) -> Any:
    if isinstance(hint, type):
        return container(hint)
    python_type, mark = get_args(hint)
    if isinstance(mark, ssz.Limit):
        return List[oracle_type(get_args(python_type)[0]), mark.limit]
    if isinstance(mark, ssz.Uint):
        return UINTS[mark.size]
    return ByteVector[mark.size] if isinstance(mark, ssz.ByteVector) else ByteList[mark._limit]


def oracle(value: Any) -> Any:
    if isinstance(value, ssz.SszObject):
        parts = {field.name: oracle(getattr(value, field.name)) for field in fields(value)}
        return container(type(value))(**parts)
    return [oracle(item) for item in value] if isinstance(value, tuple) else value


# --- random values ---------------------------------------------------------------------------------------------------


def values(hint: Any) -> st.SearchStrategy[Any]:
    if isinstance(hint, type):
        return objects(hint)
    python_type, mark = get_args(hint)
    if isinstance(mark, ssz.Limit):
        return st.lists(values(get_args(python_type)[0]), max_size=min(mark.limit, 9)).map(tuple)
    if isinstance(mark, ssz.Uint):
        top = (1 << 8 * mark.size) - 1
        return st.one_of(st.integers(0, top), st.sampled_from((0, 1, top)))
    if isinstance(mark, ssz.ByteVector):
        return st.binary(min_size=mark.size, max_size=mark.size)
    return st.one_of(st.binary(max_size=min(mark._limit, 100)), st.just(bytes(min(mark._limit, 1025))))


def objects(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: values(hint) for name, hint in hints(kind).items()})


# --- properties ------------------------------------------------------------------------------------------------------


def test_every_object_of_the_protocol_is_covered():
    of_types = {item for item in vars(types).values() if isinstance(item, type) and issubclass(item, ssz.SszObject)}
    assert of_types - {ssz.SszObject} <= set(KINDS)
    assert len(KINDS) >= 30


@every_kind
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_object_equals_remerkleables_container(kind, data):
    value = data.draw(objects(kind))
    expected = oracle(value)
    assert value.encoded == expected.encode_bytes()
    assert value.root == bytes(expected.hash_tree_root())
    decoded = kind.decode(value.encoded)
    assert decoded == value
    assert decoded.encoded == value.encoded
    assert replace(decoded).encoded == value.encoded
    assert decoded.root == value.root


@st.composite
def mutations(draw: st.DrawFn, encoded: bytes) -> bytes:
    """One fault: a byte changed, lost or added, a piece cut out or doubled, or four bytes that may be an offset."""
    at = draw(st.integers(0, len(encoded)))
    end = draw(st.integers(at, min(len(encoded), at + 70)))
    fault = draw(st.sampled_from(("change", "cut", "insert", "double", "truncate", "offset")))
    if fault == "change":
        return encoded[:at] + draw(st.binary(min_size=1, max_size=1)) + encoded[at + 1 :]
    if fault == "cut":
        return encoded[:at] + encoded[end:]
    if fault == "insert":
        return encoded[:at] + draw(st.binary(max_size=5)) + encoded[at:]
    if fault == "double":
        return encoded[:end] + encoded[at:]
    if fault == "truncate":
        return encoded[:at]
    return encoded[:at] + draw(st.integers(0, len(encoded) + 8)).to_bytes(4, "little") + encoded[at + 4 :]


@every_kind
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_decoding_accepts_only_what_encodes_to_the_same_bytes(kind, data):
    """And whatever it accepts, remerkleable accepts and means the same by it."""
    mutated = data.draw(mutations(data.draw(objects(kind)).encoded))
    try:
        decoded = kind.decode(mutated)
    except Malformed:
        return
    assert replace(decoded).encoded == mutated
    assert bytes(container(kind).decode_bytes(mutated).hash_tree_root()) == decoded.root


@every_kind
@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=400))
def test_decoding_raises_nothing_but_malformed_on_arbitrary_bytes(kind, data):
    try:
        decoded = kind.decode(data)
    except Malformed:
        return
    assert replace(decoded).encoded == data


addresses = st.binary(min_size=20, max_size=20)
amounts = st.integers(0, 2**256 - 1)
ledger_states = st.builds(
    LedgerState,
    height=st.integers(0, 2**64 - 1),
    accounts=st.lists(
        st.builds(AccountState, address=addresses, nonce=st.integers(0, 2**64 - 1), balance=amounts), max_size=9
    ).map(tuple),
    token_balances=st.lists(st.builds(TokenBalance, token=addresses, owner=addresses, amount=amounts), max_size=9).map(
        tuple
    ),
    pools=st.lists(
        st.builds(
            Pool,
            token0=addresses.map(lambda a: b"\0" + a[1:]),
            token1=addresses.map(lambda a: b"\1" + a[1:]),
            reserve0=st.integers(0, 2**112 - 1),
            reserve1=st.integers(0, 2**112 - 1),
        ),
        max_size=5,
    ).map(tuple),
)


@settings(max_examples=80, deadline=None)
@given(state=ledger_states)
def test_state_root_equals_the_state_objects(state):
    as_object = types.State(
        height=state.height,
        accounts=tuple(types.Account(address=a.address, nonce=a.nonce, balance=a.balance) for a in state.accounts),
        token_balances=tuple(
            types.TokenBalance(token=b.token, owner=b.owner, amount=b.amount) for b in state.token_balances
        ),
        pools=tuple(
            types.PoolState(token0=p.token0, token1=p.token1, reserve0=p.reserve0, reserve1=p.reserve1)
            for p in state.pools
        ),
    )
    assert types.state_root(state) == as_object.root == bytes(oracle(as_object).hash_tree_root())


@settings(max_examples=50, deadline=None)
@given(transaction=objects(types.EncryptedTransaction), signature=st.binary(min_size=65, max_size=65))
def test_tx_id_equals_the_root_of_the_unsigned_transaction(transaction, signature):
    unsigned = types.UnsignedTransaction(header=transaction.header, ciphertext=transaction.ciphertext)
    assert transaction.tx_id == unsigned.root == replace(transaction, signature=signature).tx_id


leaf = st.binary(min_size=32, max_size=32)


@st.composite
def changed_lists(draw: st.DrawFn) -> tuple[list[bytes], list[bytes], set[int], int]:
    """Leaves, others that share the first ones, where these differ after all, and how many are shared."""
    old = draw(st.lists(leaf, max_size=40))
    kept = draw(st.one_of(st.just(len(old)), st.integers(0, len(old))))
    new = old[:kept] + draw(st.one_of(st.just([]), st.lists(leaf, max_size=20)))
    changed = draw(st.sets(st.integers(0, kept - 1))) if kept else set()
    for at in changed:
        new[at] = draw(leaf)
    return old, new, changed, kept


@settings(max_examples=300, deadline=None)
@given(lists=changed_lists(), spare=st.integers(0, 3))
def test_hash_tree_of_a_changed_list_equals_remerkleables(lists, spare):
    old, new, changed, kept = lists
    depth = max(len(old), len(new), 1).bit_length() + spare
    before = ssz.HashTree(list(old))
    tree = ssz.HashTree(list(new), before, changed, kept=kept)
    for made, leaves in ((before, old), (tree, new)):
        expected = List[basic.uint256, 1 << depth](*(int.from_bytes(item, "little") for item in leaves))
        assert ssz.list_root(made.root(depth), len(leaves)) == bytes(expected.hash_tree_root())
        assert made.root(depth) == ssz.merkleize(leaves, depth)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300), spare=st.integers(0, 3))
def test_root_of_bytes_equals_that_of_their_leaves(data, spare):
    leaves = [data[at : at + 32].ljust(32, b"\0") for at in range(0, len(data), 32)]
    depth = len(leaves).bit_length() + spare
    assert ssz.data_root(data, depth) == ssz.merkleize(leaves, depth)
