"""The trusted dealer of tests, vectors and experiments."""

from __future__ import annotations

from itertools import combinations

import pytest

from threshold import sharing
from threshold.curve import Group, load_backend
from threshold.entropy import deterministic
from threshold.keys import KeyShare, PublicMaterial
from threshold.setup.dealer import deal

GROUPS = {
    "g1": load_backend().g1,
    "g2": load_backend().g2,
    "reference": load_backend("reference").g1,
}


@pytest.fixture(params=GROUPS)
def group(request: pytest.FixtureRequest) -> Group:
    return GROUPS[request.param]


def dealt(n: int, t: int, group: Group, seed: bytes = b"seed") -> tuple[PublicMaterial, tuple[KeyShare, ...]]:
    def material(key: bytes, keys: tuple[bytes, ...]) -> PublicMaterial:
        return PublicMaterial(scheme=1, threshold=t, encryption_key=key, verification_keys=keys)

    return deal(n=n, t=t, group=group, material=material, random=deterministic(seed))


def image(group: Group, secret: int) -> bytes:
    return group.encode(group.multiply(group.generator, secret))


def secrets(shares: tuple[KeyShare, ...]) -> dict[int, int]:
    return {share.member: int.from_bytes(share.secret_bytes(), "big") for share in shares}


def test_shares_recover_the_key_when_threshold_many(group):
    public, shares = dealt(4, 3, group)
    held = secrets(shares)
    assert list(held) == [1, 2, 3, 4]
    for chosen in combinations(held, 3):
        assert image(group, sharing.recover({m: held[m] for m in chosen})) == public.encryption_key


def test_shares_miss_the_key_when_one_too_few(group):
    public, shares = dealt(4, 3, group)
    held = secrets(shares)
    for chosen in combinations(held, 2):
        assert image(group, sharing.recover({m: held[m] for m in chosen})) != public.encryption_key


def test_verification_keys_fit_the_shares(group):
    public, shares = dealt(4, 3, group)
    assert tuple(image(group, secret) for secret in secrets(shares).values()) == public.verification_keys


def test_material_survives_its_encoding():
    public, _ = dealt(4, 3, GROUPS["g1"])
    assert PublicMaterial.decode(public.encode()) == public


def test_keys_differ_when_the_randomness_does():
    group = GROUPS["g1"]
    assert dealt(1, 1, group)[0] == dealt(1, 1, group)[0]
    assert dealt(1, 1, group)[0] != dealt(1, 1, group, b"other")[0]


@pytest.mark.parametrize(("n", "t"), [(0, 0), (3, 0), (3, 4), (1025, 1)])
def test_dealer_refuses_when_parameters_are_out_of_range(n, t):
    with pytest.raises(ValueError, match="committee"):
        dealt(n, t, GROUPS["g1"])
