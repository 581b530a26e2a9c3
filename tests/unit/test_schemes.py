"""One contract for every scheme. Keys come from a dealer: no ceremony is needed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pytest

from threshold.curve import DEFAULT_BACKEND, INSTALLED
from threshold.entropy import deterministic
from threshold.errors import CiphertextRejected, Malformed, NotEnoughShares, Rejected, ShareRejected
from threshold.keys import KeyShare, Limits, PublicMaterial
from threshold.schemes.base import Batch, BatchKey, Candidate, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.registry import ENCRYPTED_SCHEMES, SCHEMES, load_scheme, scheme_name

ROOT = Path(__file__).resolve().parents[2]
NETWORK = b"network under test"
AAD = b"sender, nonce and limits"
SIZES = ((1, 1), (3, 1), (4, 3), (5, 5), (7, 4))
BATCH_SIZES = (1, 2, 5)
HEIGHT = 7
LIMITS = Limits(batch=5, rounds=3)
SMALL = Limits(batch=2, rounds=1)
"""For the slow backend."""


@dataclass(frozen=True, kw_only=True)
class Committee:
    """A scheme with a key and all its shares."""

    scheme: Any
    material: PublicMaterial
    public: Any
    shares: tuple[KeyShare, ...]

    @property
    def t(self) -> int:
        return self.material.threshold

    @property
    def height(self) -> int:
        """What ciphertexts are addressed to."""
        return HEIGHT if self.scheme.info.addresses_height else 0

    def encrypt(self, plaintext: bytes, seed: bytes = b"", aad: bytes = AAD) -> bytes:
        random = deterministic(b"encrypt" + seed + plaintext)
        return self.scheme.encrypt(self.public, plaintext, aad=aad, height=self.height, random=random)

    def verified(self, ciphertext: bytes, aad: bytes = AAD) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(self.public, ciphertext, aad=aad, height=self.height)

    def batch(self, *plaintexts: bytes) -> Batch:
        return self.of(*(self.verified(self.encrypt(p, bytes([i]))) for i, p in enumerate(plaintexts)))

    def of(self, *entries: VerifiedCiphertext) -> Batch:
        return Batch(key_id=self.public.key_id, height=HEIGHT, round=1, entries=entries)

    def share(self, member: int, batch: Batch, seed: bytes = b"") -> Share:
        random = deterministic(b"share" + seed + bytes([member]))
        return self.scheme.partial_decrypt(self.public, self.shares[member - 1], batch, random=random)

    def shared(self, batch: Batch) -> list[Share]:
        return [self.share(key_share.member, batch) for key_share in self.shares]

    def combine(self, batch: Batch, shares: list[Share]) -> tuple[BatchKey, tuple[int, ...]]:
        return self.scheme.combine(self.public, batch, shares, self.scheme.precompute(self.public, batch))

    def verify_batch_key(self, batch: Batch, key: BatchKey) -> None:
        self.scheme.verify_batch_key(self.public, batch, key, self.scheme.precompute(self.public, batch))

    def open(self, batch: Batch, key: BatchKey) -> tuple[bytes | Undecryptable, ...]:
        return self.scheme.decrypt(self.public, batch, key, self.scheme.precompute(self.public, batch))


@cache
def committee(
    name: str, n: int, t: int, backend: str = DEFAULT_BACKEND, seed: bytes = b"key", limits: Limits = LIMITS
) -> Committee:
    scheme = load_scheme(name, backend)
    material, shares = scheme.deal(n=n, t=t, limits=limits, random=deterministic(seed))
    public = scheme.load_public_key(material, key_id=material.key_id(NETWORK))
    return Committee(scheme=scheme, material=material, public=public, shares=shares)


def plaintexts(count: int) -> tuple[bytes, ...]:
    """The first is empty."""
    return tuple(b"payload %d " % i * i for i in range(count))


@pytest.fixture(params=SCHEMES)
def four(request: pytest.FixtureRequest) -> Committee:
    """3 of 4 members, for every scheme."""
    return committee(request.param, 4, 3)


@pytest.fixture(params=ENCRYPTED_SCHEMES)
def hiding(request: pytest.FixtureRequest) -> Committee:
    """3 of 4 members, for every scheme that hides."""
    return committee(request.param, 4, 3)


CHECKED = tuple(name for name in ENCRYPTED_SCHEMES if name != "ibe")
"""Whose ciphertexts prove that they were made as a whole. What was spoiled of an ibe ciphertext shows on opening."""
BOUND = tuple(name for name in ENCRYPTED_SCHEMES if not load_scheme(name).info.addresses_height)
"""Whose shares and batch keys open listed ciphertexts and no others."""


@pytest.fixture(params=BOUND)
def bound(request: pytest.FixtureRequest) -> Committee:
    return committee(request.param, 4, 3)


# --- every scheme -----------------------------------------------------------------------------------------------------


def lives(members: Committee, batch_size: int) -> None:
    """A batch from encryption to opening, with every check on the way."""
    expected = plaintexts(batch_size)
    batch = members.batch(*expected)
    assert len(batch) == batch_size
    shares = members.shared(batch)
    for share in shares:
        members.scheme.verify_share(members.public, batch, share)
        assert len(share.data) == members.scheme.info.share_bytes(batch_size)
    key, refused = members.combine(batch, shares)
    assert refused == ()
    members.verify_batch_key(batch, key)
    assert members.open(batch, key) == expected
    assert BatchKey.decode(key.encode()) == key


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize(("n", "t"), SIZES)
@pytest.mark.parametrize("name", SCHEMES)
def test_batch_is_opened_when_everyone_is_honest(name, n, t, batch_size):
    lives(committee(name, n, t), batch_size)


@pytest.mark.parametrize("name", SCHEMES)
def test_empty_batch_is_opened_or_refused_never_released(name):
    """What opens a batch as a whole must not be released for nothing."""
    members = committee(name, 4, 3)
    if members.scheme.info.share_bytes_per_batch in (0, 48) and members.scheme.info.share_bytes_per_transaction:
        lives(members, 0)
    elif members.scheme.info.hides:
        with pytest.raises(Rejected):
            members.share(1, members.batch())


@pytest.mark.parametrize("name", SCHEMES)
def test_parameters_of_a_dealt_key_verify(name):
    members = committee(name, 4, 3)
    members.scheme.verify_parameters(members.public)


@pytest.mark.parametrize("name", SCHEMES)
def test_key_says_its_limits(name):
    members = committee(name, 4, 3)
    info = members.scheme.info
    assert members.public.limits == Limits(
        batch=LIMITS.batch if info.limits_batch else None, rounds=LIMITS.rounds if info.limits_rounds else None
    )
    assert members.scheme.setup_privacy(4, 3) <= 3


def test_many_ciphertexts_are_checked_like_each_of_them(hiding):
    """verify_ciphertexts finds exactly the wrong ones."""
    good = [hiding.encrypt(b"payload", bytes([i])) for i in range(4)]
    spoiled = [good[0][:-1], bytes([good[1][0] ^ 1]) + good[1][1:]]
    ciphertexts = [good[0], spoiled[0], good[1], spoiled[1], good[2], good[3]]
    candidates = [Candidate(ciphertext=c, aad=AAD, height=hiding.height) for c in ciphertexts]
    results = hiding.scheme.verify_ciphertexts(hiding.public, candidates, random=deterministic(b"weights"))
    names = [r.ciphertext_id if isinstance(r, VerifiedCiphertext) else None for r in results]
    expected = [hiding.verified(c).ciphertext_id if c in good else None for c in ciphertexts]
    if hiding.scheme.info.name in CHECKED:
        assert names == expected
    else:
        assert [name for name, c in zip(names, ciphertexts, strict=True) if c in good] == [e for e in expected if e]
        assert names[3] is None


@pytest.mark.parametrize("name", SCHEMES)
def test_batch_is_opened_on_the_reference_backend(name):
    lives(committee(name, 3, 2, "reference", limits=SMALL), 2)


@pytest.mark.parametrize("name", SCHEMES)
def test_backends_agree_on_every_byte(name):
    made = set()
    for backend in INSTALLED:
        members = committee(name, 3, 2, backend, limits=SMALL)
        batch = members.batch(b"one", b"")
        shares = [members.share(3, batch), members.share(1, batch)]
        key, _ = members.combine(batch, shares)
        made.add((members.encrypt(b"one"), batch.digest, shares[0].data, shares[1].data, key.encode()))
    assert len(made) == 1


def test_batch_key_is_the_same_whichever_shares_are_combined(four):
    batch = four.batch(*plaintexts(3))
    shares = four.shared(batch)
    keys = [four.combine(batch, list(chosen))[0] for chosen in combinations(shares, 3)]
    assert len(keys) == 4
    assert len({key.value for key in keys}) == 1
    for key in keys:
        four.verify_batch_key(batch, key)


def test_batch_key_does_not_depend_on_the_order_of_shares(four):
    batch = four.batch(b"a", b"b")
    shares = four.shared(batch)[1:]
    assert len({four.combine(batch, list(order))[0].encode() for order in permutations(shares)}) == 1


def test_combine_refuses_when_shares_are_too_few(four):
    batch = four.batch(b"a")
    for count in range(3):
        with pytest.raises(NotEnoughShares) as caught:
            four.combine(batch, four.shared(batch)[:count])
        assert caught.value.blamed == ()
        assert caught.value.member is None


def test_combine_refuses_when_one_share_is_repeated(four):
    batch = four.batch(b"a")
    shares = [four.share(2, batch), four.share(2, batch), four.share(2, batch, b"fresh"), four.share(1, batch)]
    with pytest.raises(NotEnoughShares):
        four.combine(batch, shares)


def test_combine_ignores_repetitions_when_others_suffice(four):
    batch = four.batch(b"a")
    shares = four.shared(batch)
    key, refused = four.combine(batch, [shares[1], shares[1], *shares[:3]])
    assert refused == ()
    assert four.open(batch, key) == (b"a",)


def broken(share: Share) -> Share:
    """Wrong for every scheme: one byte more where nothing may stand, or a changed response."""
    data = share.data[:-1] + bytes([share.data[-1] ^ 1]) if share.data else b"\0"
    return replace(share, data=data)


def test_share_is_refused_when_wrong_and_its_member_named(four):
    batch = four.batch(b"a", b"b")
    with pytest.raises(ShareRejected) as caught:
        four.scheme.verify_share(four.public, batch, broken(four.share(3, batch)))
    assert caught.value.member == 3


def test_combine_names_the_member_when_its_share_is_wrong_and_others_suffice(four):
    batch = four.batch(b"a", b"b")
    shares = four.shared(batch)
    shares[0] = broken(shares[0])
    key, refused = four.combine(batch, shares)
    assert refused == (1,)
    assert four.open(batch, key) == (b"a", b"b")


def test_combine_blames_the_member_when_its_wrong_share_is_needed(four):
    batch = four.batch(b"a")
    shares = four.shared(batch)[:3]
    shares[1] = broken(shares[1])
    with pytest.raises(NotEnoughShares) as caught:
        four.combine(batch, shares)
    assert caught.value.blamed == (2,)
    assert caught.value.member == 2


@pytest.mark.parametrize("member", [0, 5, -1, 65536])
def test_share_is_refused_when_there_is_no_such_member(four, member):
    batch = four.batch(b"a")
    with pytest.raises(ShareRejected) as caught:
        four.scheme.verify_share(four.public, batch, replace(four.share(1, batch), member=member))
    assert caught.value.member == member


def test_share_is_refused_when_a_byte_follows_or_is_missing(four):
    batch = four.batch(b"a")
    share = four.share(1, batch)
    for data in (share.data + b"\0", share.data[:-1] if share.data else b"\0\0"):
        with pytest.raises(ShareRejected):
            four.scheme.verify_share(four.public, batch, replace(share, data=data))


@pytest.mark.parametrize("plaintext", [b"", b"\0", b"x" * 10_000])
def test_ciphertext_has_the_announced_overhead(four, plaintext):
    ciphertext = four.encrypt(plaintext)
    assert len(ciphertext) == len(plaintext) + four.scheme.info.ciphertext_overhead_bytes
    batch = four.of(four.verified(ciphertext))
    assert four.open(batch, four.combine(batch, four.shared(batch))[0]) == (plaintext,)


def test_secret_has_the_announced_size(four):
    info = four.scheme.info
    expected = info.secret_bytes + info.secret_bytes_per_slot * (LIMITS.batch or 0)
    assert {len(share.secret_bytes()) for share in four.shares} == {expected}


def test_public_key_says_what_the_material_says(four):
    assert (four.public.threshold, four.public.members) == (3, 4)
    assert four.public.key_id == four.material.key_id(NETWORK)


def test_public_key_is_refused_when_the_material_is_for_another_scheme(four):
    with pytest.raises(Rejected):
        four.scheme.load_public_key(replace(four.material, scheme=99), key_id=four.public.key_id)


def test_ciphertext_id_names_key_data_and_ciphertext(four):
    ciphertext = four.encrypt(b"a")

    def identity(key_id: bytes, data: bytes, aad: bytes) -> bytes:
        return VerifiedCiphertext(key_id=key_id, ciphertext=data, aad=aad, parsed=None).ciphertext_id  # a value only

    entry = four.verified(ciphertext)
    ids = {
        entry.ciphertext_id,
        identity(bytes(32), ciphertext, AAD),
        identity(four.public.key_id, ciphertext + b"\0", AAD),
        identity(four.public.key_id, ciphertext, AAD + b"\0"),
    }
    assert len(ids) == 4
    assert identity(four.public.key_id, ciphertext, AAD) == entry.ciphertext_id


def test_batch_digest_names_key_height_round_and_entries_in_order(four):
    batch = four.batch(b"a", b"b")
    others = [
        Batch(key_id=bytes(32), height=batch.height, round=batch.round, entries=()),
        replace(batch, height=8),
        replace(batch, round=2),
        replace(batch, entries=batch.entries[::-1]),
        replace(batch, entries=batch.entries[:1]),
        replace(batch, entries=()),
    ]
    assert len({batch.digest, *(other.digest for other in others)}) == 7
    assert replace(batch, height=7).digest == batch.digest


def test_batch_is_refused_when_an_entry_was_checked_for_another_key(four):
    with pytest.raises(ValueError, match="another key"):
        replace(four.batch(b"a"), key_id=bytes(32))


def opened_alone(
    members: Committee, entry: VerifiedCiphertext, opening: bytes, **changes: Any
) -> bytes | Undecryptable:
    given = {"aad": entry.aad, "height": members.height, "ciphertext": entry.ciphertext} | changes
    opened: bytes | Undecryptable = members.scheme.open_alone(
        members.material.encryption_key, members.public.key_id, opening=opening, **given
    )
    return opened


def openings(members: Committee, batch: Batch) -> list[bytes]:
    key, _ = members.combine(batch, members.shared(batch))
    precomputed = members.scheme.precompute(members.public, batch)
    return [members.scheme.opening(members.public, batch, key, precomputed, at) for at in range(len(batch))]


def test_opening_shows_its_entry_without_batch_and_parameters(four):
    """PRF-6"""
    batch = four.batch(*plaintexts(3))
    for entry, opening, plaintext in zip(batch.entries, openings(four, batch), plaintexts(3), strict=True):
        assert opened_alone(four, entry, opening) == plaintext


def test_opening_is_refused_when_it_is_not_the_entrys_own(hiding):
    """PRF-6"""
    batch = hiding.batch(*plaintexts(2))
    (entry, _), (opening, other) = batch.entries, openings(hiding, batch)
    by_height = hiding.scheme.info.opened_alone_by == "height key"
    assert (opening == other) == by_height
    wrong = [opening[:-1], opening + b"\0", opening[:-1] + bytes([opening[-1] ^ 1]), b""]
    for one in wrong if by_height else [*wrong, other]:
        with pytest.raises((Malformed, Rejected)):
            opened_alone(hiding, entry, one)


def test_opening_shows_what_is_undecryptable_only_where_it_is_checked(hiding):
    """PRF-6"""
    batch = hiding.batch(b"payload")
    (opening,), (entry,) = openings(hiding, batch), batch.entries
    if hiding.scheme.info.opened_alone_by == "height key":
        assert isinstance(opened_alone(hiding, entry, opening, aad=b"other"), Undecryptable)
        with pytest.raises(Rejected) as caught:
            opened_alone(hiding, entry, opening, height=hiding.height + 1)
        assert caught.value.rule == "IBE-6"
    else:
        with pytest.raises(Rejected) as caught:
            opened_alone(hiding, entry, opening, aad=b"other")
        assert caught.value.rule == "AED-3"


def test_scheme_names_and_numbers_lead_to_each_other():
    numbers = {load_scheme(name).info.number for name in SCHEMES}
    assert len(numbers) == len(SCHEMES)
    for name in SCHEMES:
        assert load_scheme(name).info.name == name
        assert scheme_name(load_scheme(name).info.number) == name


def test_registry_refuses_when_the_name_is_unknown():
    with pytest.raises(ValueError, match="tdh2"):
        load_scheme("rot13")
    with pytest.raises(ValueError):
        load_scheme("tdh2", "blst")
    with pytest.raises(ValueError):
        scheme_name(200)


def calls(tree: ast.AST, name: str, function: str | None = None) -> Iterator[tuple[str | None, int]]:
    """Every call of `name` with the innermost function around it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
            yield function, node.lineno
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from calls(node, name, inner)


def test_verified_ciphertext_is_constructed_in_verify_ciphertext_only():
    found = set()
    for package in ("threshold", "encmempool", "cli", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            source = path.read_text()
            assert "VerifiedCiphertext as " not in source, path
            for function, line in calls(ast.parse(source), "VerifiedCiphertext"):
                assert function in ("verify_ciphertext", "verify_ciphertexts"), f"{path}:{line}"
                assert path.parent.name == "schemes", f"{path}:{line}"
                found.add(path.stem)
    assert found == {name.replace("-", "_") for name in SCHEMES}


# --- schemes that hide ------------------------------------------------------------------------------------------------


def test_share_is_refused_when_made_for_other_entries(bound):
    batch = bound.batch(b"a", b"b")
    share = bound.share(1, batch)
    for other in (bound.batch(b"a", b"c"), replace(batch, entries=batch.entries[:1])):
        with pytest.raises(ShareRejected) as caught:
            bound.scheme.verify_share(bound.public, other, share)
        assert caught.value.member == 1


def test_share_is_refused_when_it_is_another_members(hiding):
    batch = hiding.batch(b"a", b"b")
    with pytest.raises(ShareRejected) as caught:
        hiding.scheme.verify_share(hiding.public, batch, replace(hiding.share(1, batch), member=2))
    assert caught.value.member == 2


def test_share_is_refused_when_made_with_another_members_secret(hiding):
    batch = hiding.batch(b"a")
    posing = KeyShare(1, hiding.shares[1].secret_bytes())
    share = hiding.scheme.partial_decrypt(hiding.public, posing, batch, random=deterministic(b"posing"))
    with pytest.raises(ShareRejected) as caught:
        hiding.scheme.verify_share(hiding.public, batch, share)
    assert caught.value.member == 1


def test_share_is_not_made_for_a_batch_of_another_key(hiding):
    other = committee(hiding.scheme.info.name, 4, 3, seed=b"other key")
    with pytest.raises(ValueError, match="another key"):
        hiding.share(1, other.batch(b"a"))


def test_share_is_refused_when_any_byte_is_changed(hiding):
    batch = hiding.batch(b"a")
    share = hiding.share(1, batch)
    for at in range(len(share.data)):
        data = share.data[:at] + bytes([share.data[at] ^ 1]) + share.data[at + 1 :]
        with pytest.raises(ShareRejected):
            hiding.scheme.verify_share(hiding.public, batch, replace(share, data=data))


def spoiled(members: Committee, ciphertext: bytes, aad: bytes = AAD) -> None:
    """Either the public check refuses it, or it opens to nothing."""
    try:
        entry = members.verified(ciphertext, aad)
    except (Malformed, CiphertextRejected):
        return
    assert members.scheme.info.name not in CHECKED
    batch = members.of(entry)
    (opened,) = members.open(batch, members.combine(batch, members.shared(batch)[:3])[0])
    assert isinstance(opened, Undecryptable)


def test_ciphertext_is_spoiled_when_any_byte_is_changed(hiding):
    ciphertext = hiding.encrypt(b"payload")
    hiding.verified(ciphertext)
    for at in range(len(ciphertext)):
        mask = (0x01, 0x80)[at % 2]
        spoiled(hiding, ciphertext[:at] + bytes([ciphertext[at] ^ mask]) + ciphertext[at + 1 :])


def test_ciphertext_is_spoiled_when_cut_or_followed(hiding):
    ciphertext = hiding.encrypt(b"payload")
    for changed in (ciphertext + b"\0", *(ciphertext[:at] for at in range(0, len(ciphertext), 5))):
        spoiled(hiding, changed)


@pytest.mark.parametrize("aad", [b"", AAD + b"\0", AAD[:-1], AAD.upper()])
def test_ciphertext_is_spoiled_when_the_associated_data_differ(hiding, aad):
    spoiled(hiding, hiding.encrypt(b"payload"), aad)


def test_ciphertext_is_spoiled_when_the_key_has_another_name(hiding):
    other = hiding.scheme.load_public_key(hiding.material, key_id=hiding.material.key_id(b"another network"))
    spoiled(replace(hiding, public=other), hiding.encrypt(b"payload"))


def test_ciphertext_is_spoiled_when_made_for_another_key(hiding):
    other = committee(hiding.scheme.info.name, 4, 3, seed=b"other key")
    spoiled(hiding, other.encrypt(b"payload"))


def test_ciphertext_shows_nothing_of_a_repeated_plaintext(hiding):
    first, second = hiding.encrypt(b"payload" * 9, b"1"), hiding.encrypt(b"payload" * 9, b"2")
    assert first[-70:] != second[-70:]
    assert b"payload" not in first


def test_batch_key_is_refused_when_any_byte_is_changed(hiding):
    batch = hiding.batch(b"a")
    key = hiding.combine(batch, hiding.shared(batch))[0]
    for name in ("value", "proof"):
        data = getattr(key, name)
        for at in range(len(data)):
            changed = replace(key, **{name: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]})
            with pytest.raises((Malformed, Rejected)):
                hiding.verify_batch_key(batch, changed)


def test_batch_key_is_refused_when_it_belongs_to_another_batch(bound):
    batch = bound.batch(b"a")
    key = bound.combine(batch, bound.shared(batch))[0]
    with pytest.raises(Rejected):
        bound.verify_batch_key(bound.batch(b"b"), key)


def test_batch_key_opens_no_ciphertext_that_was_not_listed(bound):
    """Pending privacy: what was left out stays closed."""
    batch, left_out = bound.batch(b"a", b"b"), bound.of(bound.verified(bound.encrypt(b"left out")))
    key = bound.combine(batch, bound.shared(batch))[0]
    assert bound.scheme.info.pending_privacy
    try:
        opened = bound.open(left_out, key)
    except Malformed:
        return
    assert all(isinstance(entry, Undecryptable) for entry in opened)
