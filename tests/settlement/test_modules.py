"""The contracts' hash trees and signatures are the package's own: SSZ-1, SSZ-7, SIG-1.

The vectors of specs/settlement.md are put to the contracts too: STL-1 to STL-5.
"""

from __future__ import annotations

import re
import typing
from dataclasses import fields
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from encmempool.conformance.values import from_hex
from encmempool.conformance.vectors import load as load_vectors
from encmempool.errors import EnvironmentProblem
from encmempool.identity import Identity, recover
from encmempool.settlement import compile as compilation
from encmempool.settlement.compile import CONTRACTS, MAX_CODE_BYTES, compile_file, load
from encmempool.settlement.leaves import batch_branch, leaves, signature
from encmempool.settlement.rehearsal import RICH, Contract, Reverted
from encmempool.ssz import chunk, list_root, merkleize, uint_chunk
from encmempool.types import (
    Abstain,
    Account,
    BatchList,
    DecryptionShare,
    Genesis,
    Header,
    KeySet,
    OrderCommitment,
    Receipt,
    Vote,
    signing_digest,
)
from specs import build
from threshold.errors import Rejected

notation, page = map(build.load, ("notation", "settlement"))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SOURCES = Path(compilation.__file__).with_name("contracts")
WORDS = st.binary(min_size=32, max_size=32)
SIZES = {Vote: 4, Receipt: 6, DecryptionShare: 6, Header: 10, OrderCommitment: 13, Genesis: 16, KeySet: 23}
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def artifact():
    return compile_file(Path(__file__).with_name("exposed.vy"))


@pytest.fixture
def exposed(artifact, evm):
    deployer = b"\1" * 20
    evm.fund(deployer, RICH)
    return Contract(evm, artifact, evm.create(deployer, artifact.creation()).result)


def values(kind):
    """Of an annotation of `encmempool.types`: fixed sizes, and lists and bytes that are not too long."""
    if isinstance(kind, type):
        return objects(kind)
    python_type, mark = typing.get_args(kind)
    if python_type is int:
        return st.integers(0, 2 ** (8 * mark.size) - 1)
    if python_type is bytes:
        return st.binary(min_size=mark.size or 0, max_size=mark.size or 100)
    return st.lists(values(typing.get_args(python_type)[0]), max_size=4).map(tuple)


def objects(kind):
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in fields(kind)})


@pytest.mark.parametrize("kind", SIZES)
def test_root_of_any_object_is_that_of_its_leaves(exposed, kind):
    @QUICK
    @given(objects(kind))
    def check(message):
        assert exposed.get(f"root{SIZES[kind]}", leaves(message)) == message.root

    check()


@QUICK
@given(objects(Account))
def test_root_of_an_account_is_computed_from_its_fields(exposed, account):
    assert exposed.get("account_root", account.address, account.nonce, account.balance) == account.root


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 31, 64, 127, 128])
def test_list_of_members_has_the_root_of_the_genesis_list(exposed, count):
    members = [bytes([at + 1]) * 20 for at in range(count)]
    expected = list_root(merkleize([chunk(member) for member in members], 10), count)
    assert exposed.get("members_root", members) == expected


@QUICK
@given(st.integers(0, 2**256 - 1))
def test_integers_stand_little_endian(exposed, number):
    leaf = uint_chunk(number)
    assert exposed.get("from_uint", number) == leaf
    assert exposed.get("to_uint256", leaf) == number
    if number < 2**64:
        assert exposed.get("to_uint", leaf) == number
    else:
        with pytest.raises(Reverted, match="SSZ-1"):
            exposed.get("to_uint", leaf)


@pytest.mark.parametrize("number", [0, 1, 255, 256, 2**64 - 1, 2**64, 2**255, 2**256 - 1])
def test_integers_at_the_edges_stand_little_endian(exposed, number):
    assert exposed.get("from_uint", number) == uint_chunk(number)


def test_address_fills_its_leaf_from_the_left_and_nothing_stands_behind(exposed):
    account = bytes(range(1, 21))
    assert exposed.get("to_address", chunk(account)) == account
    with pytest.raises(Reverted, match="SSZ-1"):
        exposed.get("to_address", account + bytes(11) + b"\1")


@QUICK
@given(st.lists(WORDS, min_size=1, max_size=40), st.data())
def test_branch_of_a_batch_leads_to_its_root_and_no_other_position(exposed, tx_ids, data):
    position = data.draw(st.integers(0, len(tx_ids) - 1))
    branch = batch_branch(tx_ids, position)
    root = BatchList(tx_ids=tuple(tx_ids)).root
    at = 2 << 12
    assert exposed.get("branch_root", tx_ids[position], at + position, branch) == root
    other = data.draw(st.integers(0, 4095).filter(lambda each: each != position))
    if tx_ids[other % len(tx_ids)] != tx_ids[position]:
        assert exposed.get("branch_root", tx_ids[position], at + other, branch) != root
    for wrong in (branch[:-1], (*branch, bytes(32))):
        with pytest.raises(Reverted, match="SSZ branch"):
            exposed.get("branch_root", tx_ids[position], at + position, wrong)


@QUICK
@given(objects(Vote), WORDS, st.binary(min_size=32, max_size=32).filter(lambda key: 0 < int.from_bytes(key) < ORDER))
def test_signature_recovers_its_signer_in_one_form_only(exposed, vote, genesis_root, key):
    signer = Identity(key)
    digest = signing_digest(vote, genesis_root)
    assert exposed.get("digest", vote.root, b"VOTE", genesis_root) == digest
    r, s, v = signature(signer.sign(digest))
    assert exposed.get("recover", digest, (r, s, v)) == signer.address
    assert exposed.get("recover", digest, (r, s, 55 - v)) != signer.address
    with pytest.raises(Reverted, match="SIG-1"):
        exposed.get("recover", digest, (r, ORDER - s, 55 - v))


SIZES_BY_NAME = {kind.__name__: size for kind, size in SIZES.items()}


def cases_of(operation, suits=lambda case: True):
    chosen = [case for case in load_vectors(page="settlement") if case.operation == operation and suits(case)]
    return [pytest.param(case, id=case.id) for case in chosen]


@pytest.mark.parametrize(
    "case", cases_of("leaves", lambda case: case.output is not None and case.input["type"] in SIZES_BY_NAME)
)
def test_leaves_of_a_vector_have_its_root_stl_1(exposed, case):
    name, made = case.input["type"], [from_hex(leaf) for leaf in case.output["leaves"]]
    assert len(made) == SIZES_BY_NAME[name] == page.LEAVES[name]
    assert exposed.get(f"root{len(made)}", made) == from_hex(case.output["root"])


@pytest.mark.parametrize("case", cases_of("recover", lambda case: len(from_hex(case.input["signature"])) == 65))
def test_signature_of_a_vector_is_taken_or_refused_stl_3(exposed, case):
    encoded = from_hex(case.input["signature"])
    if case.output is not None:
        digest = from_hex(case.output["digest"])
        parts = tuple(int(case.output[name]) for name in "rsv")
        assert exposed.get("recover", digest, parts) == from_hex(case.output["signer"])
        return
    with pytest.raises(Reverted, match="SIG-1"):
        exposed.get("recover", bytes(32), page.parts_of(encoded))


@pytest.mark.parametrize("case", cases_of("check_branch"))
def test_branch_of_a_vector_leads_where_the_page_says_stl_5(exposed, case):
    given = case.input
    first, width = {"batch": (2 << 12, 1 << 12), "accounts": (10 << 24, 1 << 24)}[given["list"]]
    position, branch = int(given["position"]), [from_hex(sibling) for sibling in given["branch"]]
    try:
        root = exposed.get("branch_root", from_hex(given["leaf"]), first + position, branch)
    except Reverted:
        root = b""
    leads = position < width and root == from_hex(given["root"])
    assert leads == (case.output is not None)


@QUICK
@given(WORDS)
def test_leaf_is_read_or_refused_as_on_the_page_stl_2(exposed, leaf):
    for each in (leaf, leaf[:8] + bytes(24), leaf[:20] + bytes(12), leaf[:9] + bytes(23)):
        for name, read in (("to_uint", page.read_integer), ("to_address", page.read_address)):
            try:
                expected = read(each)
            except notation.Refused as error:
                with pytest.raises(Reverted, match=error.rule):
                    exposed.get(name, each)
            else:
                assert exposed.get(name, each) == expected


HALF = ORDER // 2


@pytest.mark.parametrize(
    ("r", "s", "v"),
    [
        (1, HALF, 27),
        (1, HALF + 1, 27),
        (0, 1, 27),
        (1, 0, 27),
        (ORDER, 1, 27),
        (5, 1, 27),
        (1, 1, 26),
        (1, 1, 29),
        (1, 1, 0),
    ],
)
def test_signature_at_an_edge_is_taken_or_refused_as_by_the_package_sig_1(exposed, r, s, v):
    digest = bytes(31) + b"\1"
    encoded = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])
    try:
        expected = recover(digest, encoded)
    except Rejected as error:
        with pytest.raises(Reverted, match=error.rule):
            exposed.get("recover", digest, (r, s, v))
    else:
        assert exposed.get("recover", digest, (r, s, v)) == expected


def test_tags_are_those_of_ssz_7(exposed):
    kinds = (Receipt, OrderCommitment, Vote, DecryptionShare, Abstain, KeySet)
    assert exposed.get("tags") == (b"RCPT", b"ORDR", b"VOTE", b"SHAR", b"ABST", b"KEYS")
    assert len(kinds) == 6


def test_every_contract_fits_a_block(bare):
    assert tuple(load()) == CONTRACTS
    for name in CONTRACTS:
        size = len(bare.chain.code(getattr(bare, name).address))
        assert 0 < size <= MAX_CODE_BYTES


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_external_function_says_what_it_does(name):
    text = SOURCES.joinpath(f"{name}.vy").read_text()
    functions = re.findall(
        r'^@(?:external|deploy)\n(?:@\w+\n)*def (\w+)\((.*?)\)(?: -> [^\n]+)?:\n(    """.*?)(?:\n\n|\Z)',
        text,
        re.M | re.S,
    )
    assert len(functions) == len(re.findall(r"^@(?:external|deploy)$", text, re.M))
    for function, parameters, body in functions:
        assert body.lstrip().startswith('"""\n    @notice '), function
        for parameter in re.findall(r"(\w+):", parameters):
            is_told_elsewhere = "arguments are as in" in body
            assert f"@param {parameter} " in body or is_told_elsewhere, (function, parameter)


def test_contracts_are_compiled_once_into_a_directory(tmp_path, monkeypatch):
    calls = []

    def vyper(paths):
        calls.append([path.stem for path in paths])
        return [line for path in paths for line in (f'[{{"name": "{path.stem}"}}]', "0x600a")]

    monkeypatch.setattr(compilation, "_vyper", vyper)
    made = load(tmp_path / "cache")
    assert load(tmp_path / "cache") == made
    assert calls == [list(CONTRACTS)]
    assert (made["judge"].abi, made["judge"].bytecode) == (({"name": "judge"},), b"\x60\x0a")
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_source_that_does_not_compile_is_an_environment_problem(tmp_path):
    path = tmp_path / "broken.vy"
    path.write_text("this is no contract")
    with pytest.raises(EnvironmentProblem, match="vyper does not compile"):
        compile_file(path)


def test_missing_compiler_is_told_with_what_to_install(tmp_path, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(compilation, "version", missing)
    with pytest.raises(EnvironmentProblem, match=r"encmempool\[chain\]"):
        load(tmp_path)


@pytest.mark.parametrize("case", cases_of("row_branch", lambda case: case.output is not None))
def test_rows_of_the_vectors_lead_to_their_roots_stl_46(exposed, case):
    leaves = [from_hex(leaf) for leaf in case.input["leaves"]]
    first, count, levels = (int(case.input[name]) for name in ("first", "count", "levels"))
    row, branch = leaves[first : first + count], [from_hex(node) for node in case.output["branch"]]
    root = from_hex(case.output["root"])
    assert exposed.get("row_root", row, first, levels, branch) == root
    wrong = [(row, first, levels, branch[:-1])] if branch else []
    wrong += [(row, first, levels, [*branch, bytes(32)]), (row, first, levels + 1, branch), ([], first, levels, branch)]
    wrong += [(row, first + (1 << levels), levels, branch)]
    for arguments in wrong:
        with pytest.raises(Reverted):
            exposed.get("row_root", *arguments)
    if branch:
        changed = [bytes([branch[0][0] ^ 1]) + branch[0][1:], *branch[1:]]
        assert exposed.get("row_root", row, first, levels, changed) != root
