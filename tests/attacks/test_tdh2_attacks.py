"""Attacks on weakened copies of TDH2, which they break, and on ours, which refuses.

Each weak copy differs from ours by one omission that has been seen in the wild. Whoever removes the check from ours
makes the second half of a test fail.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from py_ecc.bls.point_compression import compress_G1, decompress_G1
from py_ecc.optimized_bls12_381 import FQ, add, b, field_modulus, is_inf, multiply

from threshold import proofs, sharing
from threshold.curve import G1_BYTES, INSTALLED, ORDER, SCALAR_BYTES, load_backend
from threshold.encoding import counted, u16
from threshold.entropy import deterministic
from threshold.errors import CiphertextRejected, Malformed, NotEnoughShares, Rejected, ShareRejected
from threshold.hashing import Tag, challenge
from threshold.keys import KeyShare, PublicMaterial
from threshold.schemes import tdh2
from threshold.schemes.base import Batch, BatchKey, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.registry import load_scheme

N, T = 4, 3
VICTIM, ATTACKER = b"sender: victim", b"sender: attacker"
SECRET_ORDER = b"buy 40 ETH at market"
G1_COFACTOR = 0x396C8C005555E1568C00AAAB0000AAAB

CopyModule = Callable[[ModuleType], Any]


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> CopyModule:
    """A second instance of a module, to be weakened without touching the first."""

    def load(module: ModuleType) -> ModuleType:
        name = "weak_" + module.__name__.replace(".", "_")
        spec = importlib.util.spec_from_file_location(name, module.__file__)
        assert spec is not None
        assert spec.loader is not None
        weak = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, weak)  # dataclasses look their module up
        spec.loader.exec_module(weak)
        return weak

    return load


UNCHECKED = "arkworks"
"""The backend that can be made to read a point without asking for its subgroup."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A committee of 3 of 4 and its users. Every instance has the same key, whatever the scheme's weaknesses."""

    scheme: Any
    public: Any
    shares: tuple[KeyShare, ...]

    def encrypt(self, plaintext: bytes, aad: bytes) -> bytes:
        return self.scheme.encrypt(self.public, plaintext, aad=aad, height=0, random=deterministic(aad))

    def verified(self, ciphertext: bytes, aad: bytes) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(self.public, ciphertext, aad=aad, height=0)

    def batch(self, *entries: VerifiedCiphertext, height: int = 1) -> Batch:
        return Batch(key_id=self.public.key_id, height=height, round=0, entries=entries)

    def share(self, member: int, batch: Batch) -> Share:
        random = deterministic(bytes([member]))
        return self.scheme.partial_decrypt(self.public, self.shares[member - 1], batch, random=random)

    def opened(self, batch: Batch) -> BatchKey:
        key, refused = self.scheme.combine(self.public, batch, [self.share(j, batch) for j in range(1, T + 1)], None)
        assert refused == ()
        self.scheme.verify_batch_key(self.public, batch, key, None)
        return key

    def read(self, entry: VerifiedCiphertext, key: BatchKey) -> bytes | Undecryptable:
        """What somebody with this batch key reads in an entry, whether it was in the batch or not."""
        return self.scheme.decrypt(self.public, self.batch(entry), key, None)[0]


def network(scheme: Any, backend: str = UNCHECKED) -> Network:
    group = load_backend(backend).g1
    coefficients = sharing.random_polynomial(T, deterministic(b"key"))
    secrets = sharing.deal(coefficients, N)
    key, *keys = (group.encode(group.multiply(group.generator, k)) for k in (coefficients[0], *secrets.values()))
    material = PublicMaterial(scheme=1, threshold=T, encryption_key=key, verification_keys=tuple(keys))
    return Network(
        scheme=scheme,
        public=scheme.load_public_key(material, key_id=material.key_id(b"network")),
        shares=tuple(KeyShare(j, secret.to_bytes(SCALAR_BYTES, "big")) for j, secret in secrets.items()),
    )


@pytest.fixture
def ours() -> Network:
    return network(load_scheme("tdh2", UNCHECKED))


def test_honest_batch_opens_only_what_it_lists(ours):
    """The attacks below would mean nothing if any batch key read any entry."""
    victim = ours.verified(ours.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    other = ours.verified(ours.encrypt(b"mine", ATTACKER), ATTACKER)
    assert ours.read(victim, ours.opened(ours.batch(victim))) == SECRET_ORDER
    assert isinstance(ours.read(victim, ours.opened(ours.batch(other))), Undecryptable)


# --- the body outside the transcript ----------------------------------------------------------------------------------


def with_other_body(ciphertext: bytes) -> bytes:
    return ciphertext[: tdh2.HEADER_BYTES] + bytes(64)


def test_swapped_body_opens_the_victim_when_the_transcript_omits_the_body(copied):
    """The attacker's copy has another ciphertext id, so it looks new, goes into an earlier batch, and is opened."""
    module = copied(tdh2)
    module._encryption_challenge = lambda *parts: tdh2._encryption_challenge(*parts[:-1], b"")
    weak = network(module.make(load_backend(UNCHECKED)))
    victim = weak.verified(weak.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    copycat = weak.verified(with_other_body(victim.ciphertext), VICTIM)
    assert copycat.ciphertext_id != victim.ciphertext_id
    assert weak.read(victim, weak.opened(weak.batch(copycat))) == SECRET_ORDER


def test_swapped_body_is_refused_by_ours(ours):
    """TDH-2."""
    with pytest.raises(CiphertextRejected) as caught:
        ours.verified(with_other_body(ours.encrypt(SECRET_ORDER, VICTIM)), VICTIM)
    assert caught.value.rule == "TDH-2"


# --- header grafting --------------------------------------------------------------------------------------------------


def test_grafted_header_opens_the_victim_when_the_transcript_omits_the_associated_data(copied):
    """The attacker sends the victim's ciphertext as its own transaction, and pays to have it opened first."""
    module = copied(tdh2)
    module._encryption_challenge = lambda key, aad, *parts: tdh2._encryption_challenge(key, b"", *parts)
    weak = network(module.make(load_backend(UNCHECKED)))
    victim = weak.verified(weak.encrypt(SECRET_ORDER, VICTIM), VICTIM)
    grafted = weak.verified(victim.ciphertext, ATTACKER)
    key = weak.opened(weak.batch(grafted))
    assert isinstance(weak.read(grafted, key), Undecryptable)
    assert weak.read(victim, key) == SECRET_ORDER


def test_grafted_header_is_refused_by_ours(ours):
    """TDH-2."""
    with pytest.raises(CiphertextRejected) as caught:
        ours.verified(ours.encrypt(SECRET_ORDER, VICTIM), ATTACKER)
    assert caught.value.rule == "TDH-2"


# --- no subgroup check ------------------------------------------------------------------------------------------------


def small_order_point(prime: int) -> Any:
    """The cofactor of G1 is 3 * 11^2 * 10177^2 * 859267^2 * 52437899^2: together these leak 126 bits of a secret."""
    if prime == 3:
        return FQ(0), FQ(2), FQ(1)
    for x in range(1, 100):
        square = (x**3 + b.n) % field_modulus
        y = pow(square, (field_modulus + 1) // 4, field_modulus)
        point = multiply((FQ(x), FQ(y), FQ(1)), G1_COFACTOR * ORDER // 121)
        if y * y % field_modulus == square and not is_inf(point):
            break
    return point if is_inf(multiply(point, 11)) else multiply(point, 11)


def poisoned(key: Any, small: Any, prime: int) -> bytes:
    """u carries a small-order component. The proof holds whenever that order divides the challenge: try until then."""
    group, r, body = load_backend("reference").g1, 5, bytes(32)
    gbar = key.times_gbar(1)
    u = group.encode(add(group.multiply(group.generator, r), small))
    ubar = group.encode(group.multiply(gbar, r))
    w = wbar = group.identity
    for s in range(1, 1000):
        w, wbar = group.add(w, group.generator), group.add(wbar, gbar)
        commitments = group.encode(w), group.encode(wbar)
        e = challenge(Tag.TDH2_ENCRYPT, key.key_id, key.point_bytes, ATTACKER, u, ubar, *commitments, body)
        if e % prime == 0:
            return u + ubar + e.to_bytes(16, "big") + ((s + r * e) % ORDER).to_bytes(32, "big") + body
    raise AssertionError("no challenge divisible by so small a prime")


@pytest.mark.parametrize("prime", [3, 11])
def test_small_order_component_leaks_the_members_secret_when_the_subgroup_is_not_checked(prime):
    """The share is x * (r * g + S): what remains after taking r * (x * g) away is x * S, one of `prime` points."""
    group = load_backend("reference").g1
    loose = copy.copy(group)
    loose.decode = lambda data: decompress_G1(int.from_bytes(data, "big"))
    weak = network(tdh2.make(SimpleNamespace(g1=loose)), "reference")
    small = small_order_point(prime)
    entry = weak.verified(poisoned(weak.public, small, prime), ATTACKER)
    batch = weak.batch(entry)
    for member in range(1, N + 1):
        point = loose.decode(weak.share(member, batch).data[:G1_BYTES])
        known = group.multiply(weak.public.verification_keys[member - 1], 5)
        rest = group.encode(group.add(point, group.negate(known)))
        (residue,) = (k for k in range(prime) if group.encode(multiply(small, k)) == rest)
        secret = int.from_bytes(weak.shares[member - 1].secret_bytes(), "big")
        assert residue == secret % prime


@pytest.mark.parametrize("prime", [3, 11])
@pytest.mark.parametrize("backend", INSTALLED)
def test_small_order_component_is_refused_by_ours(backend, prime):
    """TDH-1."""
    ours = network(load_scheme("tdh2", backend), backend)
    key = network(load_scheme("tdh2", "reference"), "reference").public
    with pytest.raises(Malformed):
        ours.verified(poisoned(key, small_order_point(prime), prime), ATTACKER)


# --- shares with a small-order component ------------------------------------------------------------------------------


def tainted(members: Network, member: int, batch: Batch, prime: int, sign: int = 1) -> Share:
    """A share whose first point is off by a point of small order, with a proof that holds in spite of it.

    The proof speaks of the component of prime order only: its maker tries nonces until the other one drops out.
    """
    group, secret = load_backend(UNCHECKED).g1, int.from_bytes(members.shares[member - 1].secret_bytes(), "big")
    small = unchecked(int(compress_G1(small_order_point(prime))).to_bytes(G1_BYTES, "big"))
    images = [group.multiply(entry.parsed.u, secret) for entry in batch.entries]
    images[0] = group.add(images[0], small if sign > 0 else group.negate(small))
    data = b"".join(map(group.encode, images))
    statement = members.scheme._statement(members.public, batch, member, tuple(images), data)
    for nonce in range(1000):
        proof = proofs.prove_equality(group, statement, secret, deterministic(b"taint%d" % nonce))
        if proofs.verify_equality(group, statement, proof):
            return Share(member=member, data=data + proof.encode())
    raise AssertionError("no nonce served for so small a prime")


@pytest.mark.parametrize("prime", [3, 11])
def test_tainted_share_is_refused_by_ours_though_its_proof_holds(ours, prime):
    """TDH-3."""
    batch = two_entries(ours)
    with pytest.raises(ShareRejected) as caught:
        ours.scheme.verify_share(ours.public, batch, tainted(ours, 3, batch, prime))
    assert (caught.value.rule, caught.value.member) == ("TDH-3", 3)


@pytest.mark.parametrize("prime", [3, 11])
def test_tainted_share_is_named_and_replaced_when_it_would_spoil_the_batch_key(ours, prime):
    """Among members 1, 2 and 3 the third one's weight is 1, so its taint stays in the combination."""
    batch = two_entries(ours)
    honest = ours.opened(batch)
    shares = [ours.share(1, batch), ours.share(2, batch), tainted(ours, 3, batch, prime)]
    with pytest.raises(NotEnoughShares) as caught:
        ours.scheme.combine(ours.public, batch, shares, None)
    assert caught.value.blamed == (3,)
    key, refused = ours.scheme.combine(ours.public, batch, [*shares, ours.share(4, batch)], None)
    assert refused == (3,)
    assert key.value == honest.value
    ours.scheme.verify_batch_key(ours.public, batch, key, None)


@pytest.mark.parametrize("taints", [{1: 1}, {2: 1}, {1: 1, 2: 1}, {1: 1, 3: 1}, {1: 1, 2: -1, 3: 1}, {3: 1}])
@pytest.mark.parametrize("prime", [3, 11])
def test_batch_key_is_canonical_whatever_taints_cancel(ours, prime, taints):
    """Weights 3, -3, 1: order 3 drops out of the first two members' shares, and equal taints of these two cancel."""
    batch = two_entries(ours)
    honest = ours.opened(batch)
    shares = [tainted(ours, j, batch, prime, taints[j]) if j in taints else ours.share(j, batch) for j in (1, 2, 3)]
    shares.append(ours.share(4, batch))
    key = combined(ours, batch, shares, blamed=set(taints))
    assert key is None or key.value == honest.value


def combined(members: Network, batch: Batch, shares: list[Share], *, blamed: set[int]) -> BatchKey | None:
    """What an auditor accepts too; or nothing, if everybody in `blamed` is named."""
    try:
        key, refused = members.scheme.combine(members.public, batch, shares, None)
    except NotEnoughShares as refusal:
        if set(refusal.blamed) != blamed:
            raise
        return None
    assert set(refused) <= blamed
    members.scheme.verify_batch_key(members.public, batch, key, None)
    return key


@pytest.mark.parametrize("prime", [3, 11])
def test_batch_key_with_a_tainted_value_is_refused_by_ours(ours, prime):
    """TDH-5. Two keys for one batch would be two seeds for one permutation, and one of them opens nothing."""
    group, batch = load_backend(UNCHECKED).g1, two_entries(ours)
    shares = [ours.share(1, batch), ours.share(2, batch), tainted(ours, 3, batch, prime)]
    columns = {s.member: tuple(_points(s.data[: 2 * G1_BYTES])) for s in shares}
    value = b"".join(map(group.encode, sharing.recover_points(group, columns)))
    honest = ours.opened(batch)
    assert value != honest.value
    proof = counted([u16(s.member) + s.data for s in shares])
    for claimed in (value, honest.value):
        with pytest.raises(Rejected):
            ours.scheme.verify_batch_key(ours.public, batch, BatchKey(value=claimed, proof=proof), None)


def _points(data: bytes) -> list[Any]:
    return [unchecked(data[at : at + G1_BYTES]) for at in range(0, len(data), G1_BYTES)]


def unchecked(data: bytes) -> Any:
    """What the wheel makes of a point when nobody asks for the subgroup."""
    return type(load_backend(UNCHECKED).g1.generator).from_compressed_bytes_unchecked(data)


# --- one proof without weights for a batch of shares ------------------------------------------------------------------


def cancelling(members: Network, batch: Batch, module: Any) -> Share:
    """Member 3's share with the first point off by g and the second by -g."""
    group, secret = load_backend(UNCHECKED).g1, int.from_bytes(members.shares[2].secret_bytes(), "big")
    first, second = (group.multiply(entry.parsed.u, secret) for entry in batch.entries)
    images = group.add(first, group.generator), group.add(second, group.negate(group.generator))
    data = b"".join(map(group.encode, images))
    statement = members.scheme._statement(members.public, batch, 3, images, data)
    return Share(member=3, data=data + module.prove_equality(group, statement, secret, deterministic(b"c")).encode())


def two_entries(members: Network) -> Batch:
    entries = (members.verified(members.encrypt(SECRET_ORDER, aad), aad) for aad in (VICTIM, ATTACKER))
    return members.batch(*entries)


def test_cancelling_errors_destroy_a_batch_without_blame_when_proofs_are_not_weighted(copied):
    """Everybody accepts the share and the batch key, nothing opens, and no member is named."""
    module, plain = copied(tdh2), copied(proofs)
    plain.weights = lambda tag, count, *items: (1,) * count
    module.proofs = plain
    weak = network(module.make(load_backend(UNCHECKED)))
    batch = two_entries(weak)
    share = cancelling(weak, batch, plain)
    weak.scheme.verify_share(weak.public, batch, share)
    key, refused = weak.scheme.combine(weak.public, batch, [weak.share(1, batch), weak.share(2, batch), share], None)
    assert refused == ()
    weak.scheme.verify_batch_key(weak.public, batch, key, None)
    opened = weak.scheme.decrypt(weak.public, batch, key, None)
    assert [type(entry) for entry in opened] == [Undecryptable, Undecryptable]


def test_cancelling_errors_are_refused_and_named_by_ours(ours):
    """TDH-4. The fourth member's share takes the place of the refused one."""
    batch = two_entries(ours)
    share = cancelling(ours, batch, proofs)
    with pytest.raises(ShareRejected) as caught:
        ours.scheme.verify_share(ours.public, batch, share)
    assert (caught.value.rule, caught.value.member) == ("TDH-4", 3)
    shares = [ours.share(1, batch), share, ours.share(2, batch), ours.share(4, batch)]
    key, refused = ours.scheme.combine(ours.public, batch, shares, None)
    assert refused == (3,)
    assert ours.scheme.decrypt(ours.public, batch, key, None) == (SECRET_ORDER, SECRET_ORDER)
