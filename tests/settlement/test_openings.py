"""Wrong shares on chain: who is convicted, and everything next to it that convicts nobody.

Holds EVD-7 and EVD-11 for the contract, and STL-42 to STL-45.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import pytest

from encmempool.errors import Rejected
from encmempool.evidence import Evidence, examine
from encmempool.settlement.compile import load
from encmempool.settlement.decryption import Call
from encmempool.settlement.deployment import Parameters
from encmempool.settlement.leaves import leaves, signature
from encmempool.settlement.openings import conviction, share_bytes
from encmempool.settlement.rehearsal import KeyedNetwork, Rehearsal, Reverted
from encmempool.ssz import data_root
from threshold.schemes.registry import ENCRYPTED_SCHEMES

WRONG_SHARE = 128
WITH_ENTRIES = ("tdh2", "simple-bte", "fptx")
MEMBER = 2
PARAMETERS = Parameters(
    unbonding_blocks=50,
    finality_blocks=6,
    challenge_blocks=20,
    answer_blocks=5,
    posting_blocks=2,
    stall_blocks=10,
)


class Case:
    """A network with a key of one scheme, a batch in it, and a member that opens it wrongly."""

    def __init__(self, scheme, chain):
        self.name = scheme
        self.network = KeyedNetwork(scheme, batch_limit=8, seed=ENCRYPTED_SCHEMES.index(scheme))
        self.world = Rehearsal(chain, self.network, PARAMETERS)
        self.world.register(self.network.first)
        for member in self.network.members:
            self.world.deposit(member.address, self.world.parameters.member_bond)
        self.offender = self.network.members[MEMBER - 1]
        self._lists([self.network.encrypted(100 + 50 * at) for at in range(3)])

    def _lists(self, transactions):
        self.transactions = transactions
        self.commitment = self.network.listing(transactions)
        self.batch = self.network.batch(self.commitment, transactions)

    def with_batch(self, transactions):
        """The same network with another batch."""
        other = copy(self)
        other._lists(transactions)
        return other

    def good(self, member=MEMBER, batch=None):
        return self.network.opened(batch or self.batch, member)

    def wrong(self):
        """A share as the member would make it for another batch, of the same size."""
        others = [self.network.encrypted(height=2) for _ in self.transactions]
        elsewhere = self.network.listing(others, height=2, round=2)
        return self.good(batch=self.network.batch(elsewhere, others))

    def evidence(self, data=None, **changes):
        commitment = replace(self.commitment, **changes)
        return self.network.accused(commitment, self.transactions, MEMBER, self.wrong() if data is None else data)

    def made(self, data=None, **changes):
        return conviction(self.network.committee, self.evidence(data, **changes))

    def send(self, call, sender=None):
        return self.world.openings.send(call.function, *call.arguments, sender=sender or self.world.anybody)

    def show(self, made):
        for call in made.shown:
            self.send(call)

    def bonds(self):
        return [self.world.collateral.get("bond", member.address) for member in self.network.members]


@pytest.fixture(scope="module")
def cases(anvil):
    """One for each scheme, made once. Tests that change the chain find it as it was."""
    return {scheme: Case(scheme, anvil) for scheme in ENCRYPTED_SCHEMES}


@pytest.fixture(params=ENCRYPTED_SCHEMES)
def case(request, cases, precompiled):
    return cases[request.param]


@pytest.fixture(params=WITH_ENTRIES)
def listed(request, cases, precompiled):
    return cases[request.param]


def changed(call, at, value):
    """The call with another argument; `at` may lead into tuples."""

    def put(part, path):
        if not path:
            return value(part) if callable(value) else value
        first, *rest = path
        return (*part[:first], put(part[first], rest), *part[first + 1 :])

    return replace(call, arguments=put(call.arguments, at if isinstance(at, tuple) else (at,)))


def flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]


# --- who is convicted


def test_wrong_share_takes_the_whole_bond_of_its_member_alone_stl_42(case):
    before, made = case.bonds(), case.made()
    case.show(made)
    case.send(made.verdict)
    assert before[MEMBER - 1] > 0
    assert case.bonds() == [0 if at == MEMBER - 1 else bond for at, bond in enumerate(before)]
    assert case.world.collateral.get("claimable", case.world.anybody) == before[MEMBER - 1] // 10
    assert case.world.judge.get("convicted", WRONG_SHARE, case.offender.address, 1)


def test_wrong_share_convicts_on_chain_as_off_chain_evd_7(case):
    shown = case.evidence()
    finding = examine(Evidence.of(shown), [case.network.committee])
    assert (finding.offender, finding.height) == (case.offender.address, 1)
    with pytest.raises(Rejected, match="the share is right"):
        examine(Evidence.of(case.evidence(case.good())), [case.network.committee])


def test_right_share_convicts_nobody_stl_45(case, refused):
    for member in range(1, len(case.network.members) + 1):
        shown = case.network.accused(case.commitment, case.transactions, member, case.good(member))
        made = conviction(case.network.committee, shown)
        if member == 1:
            case.show(made)
        with refused("the share is right"):
            case.send(made.verdict)
    assert all(case.bonds())


def test_share_of_another_member_convicts(case):
    made = case.made(case.good(3))
    case.show(made)
    case.send(made.verdict)
    assert not case.bonds()[MEMBER - 1]


def test_share_that_is_no_point_convicts(case):
    made = case.made(b"\xc0" + case.good()[1:])
    case.show(made)
    case.send(made.verdict)
    assert not case.bonds()[MEMBER - 1]


@pytest.mark.parametrize("size", [0, 1, 47, 49, 144, 1 << 15, 1 << 20])
def test_share_of_another_size_convicts_without_entries_stl_44(case, size):
    made = case.made(b"\x80" * size)
    assert (made.shown, made.verdict.function) == ((), "convict_size")
    case.send(made.verdict)
    assert not case.bonds()[MEMBER - 1]


def test_size_that_is_right_or_not_the_signed_one_convicts_nobody_stl_44(case, refused):
    wrong = case.made(b"\x80" * 5).verdict
    for at, value in ((1, flipped), (2, 6), (3, flipped), (4, 2)):
        with pytest.raises(Reverted, match=r"^the (share|batch)$"):
            case.send(changed(wrong, at, value))
    right = case.evidence()
    count = len(case.transactions)
    assert len(right.share.message.data) == share_bytes(case.name, count)
    accusation = conviction(case.network.committee, right).verdict.arguments[0]
    data = right.share.message.data
    arguments = (accusation, data_root(data, 15), len(data), wrong.arguments[3], count)
    with refused("the share is right"):
        case.send(replace(wrong, arguments=arguments))
    assert all(case.bonds())


def test_member_is_convicted_once_at_a_height_stl_45(case, refused):
    made = case.made()
    case.show(made)
    case.send(made.verdict)
    case.world.deposit(case.offender.address, 1_000)
    again = case.made(b"\x80" * 5).verdict
    for call in (made.verdict, again):
        with refused("convicted already"):
            case.send(call)
    assert case.bonds()[MEMBER - 1] == 1_000


def test_nobody_but_openings_tells_the_judge_stl_45(case, refused):
    arguments = case.offender.address, 1, case.world.anybody
    with refused("openings only"):
        case.world.judge.send("convict_wrong_share", *arguments, sender=case.world.anybody)


def test_wrong_share_delays_no_finality(case):
    case.world.post(case.commitment)
    made = case.made()
    case.show(made)
    case.send(made.verdict)
    case.world.chain.advance(case.world.parameters.finality_blocks)
    case.world.settlement.send("finalize", 1, sender=case.world.anybody)


# --- what was signed


SHARE, SHARE_SIGNATURE, COMMITMENT, COMMITMENT_SIGNATURE, KEY_SET = range(5)


def test_changed_leaf_convicts_nobody(case):
    made = case.made()
    case.show(made)
    for part, count in ((SHARE, 6), (COMMITMENT, 13), (KEY_SET, 23)):
        for leaf in range(count):
            with pytest.raises(Reverted):
                case.send(changed(made.verdict, (0, part, leaf), flipped))
    assert all(case.bonds())


def test_share_signed_by_somebody_else_convicts_nobody_evd_11(case, refused):
    shown = case.evidence()
    made, share = conviction(case.network.committee, shown), shown.share.message
    case.show(made)
    for signer in (case.network.members[2], case.network.sequencer, case.network.user):
        forged = signature(case.network.sign(signer, share))
        with refused("EVD-11"):
            case.send(changed(made.verdict, (0, SHARE_SIGNATURE), forged))


def test_share_of_nobody_convicts_nobody_evd_11(case, refused):
    """A stranger's number in the committee is 0, and so is the member that it names."""
    made = case.made(b"\x80" * 5)
    share = replace(case.evidence(b"\x80" * 5).share.message, member=0)
    call = changed(made.verdict, (0, SHARE), leaves(share))
    with refused("EVD-11"):
        case.send(changed(call, (0, SHARE_SIGNATURE), signature(case.network.sign(case.network.sequencer, share))))


def test_share_in_the_name_of_another_member_convicts_nobody_evd_11(case, refused):
    shown = case.evidence()
    made, share = conviction(case.network.committee, shown), replace(shown.share.message, member=3)
    case.show(made)
    call = changed(made.verdict, (0, SHARE), leaves(share))
    with refused("EVD-11"):
        case.send(changed(call, (0, SHARE_SIGNATURE), signature(case.network.sign(case.offender, share))))


@pytest.mark.parametrize("change", [{"height": 2}, {"commitment_root": b"\1" * 32}])
def test_share_for_another_commitment_convicts_nobody(case, refused, change):
    shown = case.evidence()
    made, share = conviction(case.network.committee, shown), replace(shown.share.message, **change)
    case.show(made)
    call = changed(made.verdict, (0, SHARE), leaves(share))
    with refused("EVD-7"):
        case.send(changed(call, (0, SHARE_SIGNATURE), signature(case.network.sign(case.offender, share))))


@pytest.mark.parametrize("change", [{"committee_id": b"\1" * 32}, {"key_id": b"\1" * 32}])
def test_commitment_of_another_committee_or_key_convicts_nobody(case, refused, change):
    data = case.wrong()
    made = case.made(data)
    case.show(made)
    shown = case.network.accused(replace(case.commitment, **change), case.transactions, MEMBER, data)
    share = replace(shown.share.message, committee_id=case.network.first.root)
    call = changed(made.verdict, (0, COMMITMENT), leaves(shown.commitment.message))
    call = changed(call, (0, COMMITMENT_SIGNATURE), signature(shown.commitment.signature))
    call = changed(call, (0, SHARE), leaves(share))
    with refused("EVD-7"):
        case.send(changed(call, (0, SHARE_SIGNATURE), signature(case.network.sign(case.offender, share))))


def test_commitment_of_a_stranger_convicts_nobody(case, refused):
    made = case.made()
    case.show(made)
    for signer in (case.network.user, case.network.members[0]):
        forged = signature(case.network.sign(signer, case.commitment))
        with refused("EVD-7"):
            case.send(changed(made.verdict, (0, COMMITMENT_SIGNATURE), forged))


def test_key_set_that_is_not_registered_convicts_nobody(case, refused):
    network, data = case.network, case.wrong()
    other = network.successor(network.first)
    foreign = replace(case.commitment, committee_id=other.root, key_id=other.key_id)
    shown = network.accused(foreign, case.transactions, MEMBER, data)
    call = case.made(data).verdict
    accusation = (
        leaves(shown.share.message),
        signature(shown.share.signature),
        leaves(foreign),
        signature(shown.commitment.signature),
        leaves(other),
    )
    with refused("EVD-1"):
        case.send(changed(call, 0, accusation))


def test_key_set_of_another_committee_convicts_nobody(case, refused):
    made = case.made()
    case.show(made)
    other = case.network.successor(case.network.first)
    case.world.register(other)
    with refused("EVD-1"):
        case.send(changed(made.verdict, (0, KEY_SET), leaves(other)))


def test_bytes_that_the_member_did_not_sign_convict_nobody(case, refused):
    """A right share is signed, and a wrong one shown beside it."""
    right, wrong = case.made(case.good()), case.made()
    case.show(right)
    with refused("the share"):
        case.send(changed(wrong.verdict, 0, right.verdict.arguments[0]))
    assert all(case.bonds())


def test_another_schemes_verdict_convicts_nobody(cases, precompiled, refused):
    """Shares of three schemes are 48 bytes."""
    fptx = cases["fptx"]
    made = fptx.made(fptx.good())
    key, data, y, malformed = made.verdict.arguments[1], *made.verdict.arguments[5:8]
    arguments = (made.verdict.arguments[0], key, data, y, malformed)
    with refused("EVD-1"):
        fptx.send(Call(contract="openings", function="convict_ibe", arguments=arguments))


# --- keys


@pytest.mark.parametrize("scheme", ["tdh2", "ibe", "fptx"])
def test_key_of_another_member_convicts_nobody(cases, precompiled, refused, scheme):
    case = cases[scheme]
    made = case.made(case.good())
    case.show(made)
    other = conviction(
        case.network.committee, case.network.accused(case.commitment, case.transactions, 3, case.wrong())
    )
    key, of_other = made.verdict.arguments[1], other.verdict.arguments[1]
    for wrong in (of_other, (*of_other[:2], key[2]), (*key[:2], of_other[2]), (flipped(key[0]), *key[1:])):
        with refused("the key"):
            case.send(changed(made.verdict, 1, wrong))
    assert all(case.bonds())


def test_simple_bte_keys_of_another_member_convict_nobody(cases, precompiled):
    case = cases["simple-bte"]
    made = case.made(case.good())
    case.show(made)
    shown = case.network.accused(case.commitment, case.transactions, 3, case.good())
    other = conviction(case.network.committee, shown)
    *start, pairs, branch = made.verdict.arguments
    for ending in ((other.verdict.arguments[-2], branch), other.verdict.arguments[-2:], (pairs, ())):
        with pytest.raises(Reverted):
            case.send(replace(made.verdict, arguments=(*start, *ending)))
    for largest in (3, 7, 9):
        with pytest.raises(Reverted):
            case.send(changed(made.verdict, 2, largest))
    assert all(case.bonds())


def test_fptx_points_of_another_round_convict_nobody(cases, precompiled):
    case = cases["fptx"]
    made = case.made(case.good())
    case.show(made)
    elsewhere = conviction(case.network.committee, case.evidence(case.good(), round=2))
    *start, terms, branch = made.verdict.arguments
    for ending in ((elsewhere.verdict.arguments[-2], branch), elsewhere.verdict.arguments[-2:], (terms, ())):
        with pytest.raises(Reverted):
            case.send(replace(made.verdict, arguments=(*start, *ending)))
    for at, value in ((3, 7), (3, 9), (4, 1), (4, 3)):
        with pytest.raises(Reverted):
            case.send(changed(made.verdict, at, value))
    assert all(case.bonds())


@pytest.mark.parametrize(
    ("scheme", "change"),
    [("fptx", {"round": 2}), ("ibe", {"height": 2}), ("tdh2", {"height": 2}), ("tdh2", {"round": 2})],
)
def test_round_and_height_are_those_of_the_commitment(cases, precompiled, scheme, change):
    """What is right in the round and height that a commitment names is wrong under another."""
    case = cases[scheme]
    made = case.made(case.good(), **change)
    case.show(made)
    case.send(made.verdict)
    assert not case.bonds()[MEMBER - 1]


# --- entries


def test_batch_that_was_not_shown_convicts_nobody_stl_43(listed, refused):
    with refused("not shown"):
        listed.send(listed.made().verdict)


ENTRIES_AT = {"tdh2": (4, 6), "simple-bte": (5,), "fptx": (8,)}
SIZES = {"tdh2": (48, 40), "simple-bte": (48,), "fptx": (32,)}


def test_entries_of_another_batch_convict_nobody_stl_43(listed, refused):
    """The share is right for its own batch, and wrong for the one that is shown."""
    data, others = listed.good(), [listed.network.encrypted() for _ in listed.transactions]
    made, elsewhere = listed.made(data), listed.with_batch(others).made(data)
    listed.show(made)
    listed.show(elsewhere)
    with refused("not shown"):
        listed.send(changed(elsewhere.verdict, 0, made.verdict.arguments[0]))
    assert all(listed.bonds())


def test_part_of_a_batch_convicts_nobody_stl_43(listed, refused):
    made = listed.made(listed.good())
    listed.show(made)
    for count in (0, 1, 2):
        call = made.verdict
        for at, size in zip(ENTRIES_AT[listed.name], SIZES[listed.name], strict=True):
            call = changed(call, at, lambda part, kept=count * size: part[:kept])
        pieces_at = 2 if listed.name != "simple-bte" else 1
        for pieces in ((count,) if count else (), (3,), (1,) * count):
            with pytest.raises(Reverted):
                listed.send(changed(call, pieces_at, pieces))
    assert all(listed.bonds())


def test_pieces_that_do_not_make_up_the_batch_convict_nobody_stl_43(listed):
    made = listed.made(listed.good())
    listed.show(made)
    for pieces in ((), (2,), (4,), (3, 1), (0, 3), (1, 2), (3, 3), (2**255, 3)):
        with pytest.raises(Reverted):
            listed.send(changed(made.verdict, 2 if listed.name != "simple-bte" else 1, pieces))
    assert all(listed.bonds())


def test_piece_is_shown_once_and_only_at_its_place_stl_43(listed, refused):
    (show,) = listed.made().shown
    at = 2 if listed.name == "tdh2" else 1
    for change in ((at, 0), (at, 1)):
        with pytest.raises(Reverted):
            listed.send(changed(show, change, lambda number: number + 1))
    with refused("the batch"):
        listed.send(changed(show, at - 1, flipped))
    with pytest.raises(Reverted):
        listed.send(changed(show, (at, 2), lambda branch: branch[:-1]))
    with refused("the batch"):
        listed.send(changed(show, (at, 2, 3), flipped))
    listed.send(show)
    with refused("shown already"):
        listed.send(show)


def test_piece_with_other_entries_is_not_of_the_batch_stl_43(listed):
    (show,) = listed.made().shown
    at = 3 if listed.name == "tdh2" else 2
    for position in range(at, len(show.arguments)):
        with pytest.raises(Reverted):
            listed.send(changed(show, position, flipped))


def test_tdh2_entries_of_another_key_convict_nobody(cases, precompiled):
    """A ciphertext's id depends on the key."""
    case = cases["tdh2"]
    (show,) = case.made().shown
    with pytest.raises(Reverted):
        case.send(changed(show, 0, flipped))


def test_batch_that_fits_no_transaction_is_shown_in_pieces_by_anybody_stl_43(cases, precompiled, refused):
    case = cases["tdh2"]
    case = case.with_batch([case.network.encrypted(size) for size in (60_000, 100, 60_000, 100, 100)])
    made = case.made()
    assert [len(call.arguments[3]) // 48 for call in made.shown] == [2, 3]
    case.send(made.shown[1], sender=case.world.deployer)
    with refused("not shown"):
        case.send(made.verdict)
    case.send(made.shown[0])
    for pieces in ((2,), (2, 3, 1), (3, 2), (2, 2)):
        with pytest.raises(Reverted):
            case.send(changed(made.verdict, 2, pieces))
    case.send(made.verdict)
    assert not case.bonds()[MEMBER - 1]


def test_empty_batch_convicts_nobody(case):
    """Nobody asks for a share of it."""
    empty = case.network.commitment(batch_root=case.network.batch_root(()), count=0)
    shown = case.network.accused(empty, (), MEMBER, b"\x80" * 5)
    with pytest.raises(Reverted, match=r"^EVD-7$"):
        case.send(conviction(case.network.committee, shown).verdict)
    if case.name == "ibe":
        made = case.made()
        shown = case.network.accused(empty, (), MEMBER, case.evidence().share.message.data)
        accusation = conviction(case.network.committee, shown).verdict.arguments[0]
        with pytest.raises(Reverted, match=r"^IBE-3$"):
            case.send(changed(made.verdict, 0, accusation))
    assert all(case.bonds())


# --- gas


def test_lack_of_gas_convicts_nobody_stl_45(case):
    made = case.made(case.good())
    case.show(made)
    data = load()["openings"].call(made.verdict.function, *made.verdict.arguments)
    request = {"to": "0x" + case.world.openings.address.hex(), "data": "0x" + data.hex()}
    for gas in (*range(100_000, 700_000, 15_000), *range(700_000, 2_500_000, 100_000)):
        with pytest.raises(Reverted):
            case.world.chain.ask("eth_call", {**request, "gas": hex(gas)}, "latest")
    assert all(case.bonds())
