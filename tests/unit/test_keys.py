"""Key material as values: the secret stays inside, and the public part has one encoding."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from itertools import combinations

import pytest

from threshold.encoding import counted, sized, u8, u16
from threshold.errors import Malformed
from threshold.keys import KeyMaterial, KeyShare, PublicMaterial

SECRET = b"\xa7the secret of a member, 32 bytes"
PUBLIC = PublicMaterial(scheme=1, threshold=2, encryption_key=b"key", verification_keys=(b"a", b"bb", b"ccc"))


def shown(value: object) -> list[str]:
    return [repr(value), str(value), f"{value}"]


def holds_secret(text: str) -> bool:
    return any(form in text for form in (SECRET.hex(), repr(SECRET), "the secret", str(int.from_bytes(SECRET, "big"))))


def test_key_share_gives_its_secret_to_the_keystore():
    assert KeyShare(3, SECRET).secret_bytes() == SECRET
    assert KeyShare(3, SECRET).member == 3


def test_key_share_shows_no_secret():
    share = KeyShare(3, SECRET)
    assert not any(map(holds_secret, shown(share)))
    assert "member 3" in repr(share)


def test_key_material_shows_no_secret():
    material = KeyMaterial(public=PUBLIC, share=KeyShare(3, SECRET), transcript=b"")
    assert not any(map(holds_secret, shown(material)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_key_share_is_not_pickled(protocol):
    with pytest.raises(TypeError, match="keystore"):
        pickle.dumps(KeyShare(3, SECRET), protocol)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_key_share_is_not_copied(duplicate):
    with pytest.raises(TypeError):
        duplicate(KeyShare(3, SECRET))


def test_key_shares_are_not_compared_by_their_secret():
    share = KeyShare(3, SECRET)
    assert share == share
    assert share != KeyShare(3, SECRET)
    assert len({share, KeyShare(3, SECRET)}) == 2


def test_key_share_has_no_dictionary_to_leak_through():
    with pytest.raises(TypeError):
        vars(KeyShare(3, SECRET))


@pytest.mark.parametrize(
    "material",
    [
        PUBLIC,
        replace(PUBLIC, parameters=b"parameters"),
        PublicMaterial(scheme=0, threshold=1, encryption_key=b"", verification_keys=(b"",)),
        PublicMaterial(scheme=255, threshold=3, encryption_key=bytes(96), verification_keys=(bytes(48),) * 3),
    ],
)
def test_public_material_survives_its_encoding(material):
    assert PublicMaterial.decode(material.encode()) == material
    assert material.members == len(material.verification_keys)


def test_public_material_has_its_documented_bytes():
    assert PUBLIC.encode() == u8(1) + u16(2) + sized(b"key") + counted([b"a", b"bb", b"ccc"]) + sized(b"")


@pytest.mark.parametrize("cut", range(1, len(PUBLIC.encode()) + 1))
def test_public_material_is_malformed_when_truncated(cut):
    with pytest.raises(Malformed):
        PublicMaterial.decode(PUBLIC.encode()[:-cut])


def test_public_material_is_malformed_when_bytes_follow():
    with pytest.raises(Malformed, match="trailing"):
        PublicMaterial.decode(PUBLIC.encode() + b"\0")


@pytest.mark.parametrize("threshold", [0, 4, 65535])
def test_public_material_is_malformed_when_the_threshold_is_out_of_range(threshold):
    encoded = PUBLIC.encode()
    with pytest.raises(Malformed, match="of 3 members"):
        PublicMaterial.decode(encoded[:1] + threshold.to_bytes(2, "big") + encoded[3:])
    with pytest.raises(ValueError, match="of 3 members"):
        replace(PUBLIC, threshold=threshold)


def test_public_material_is_malformed_when_there_are_no_members():
    encoded = PUBLIC.encode()
    before = 1 + 2 + 4 + len(PUBLIC.encryption_key)
    with pytest.raises(Malformed, match="of 0 members"):
        PublicMaterial.decode(
            encoded[:before] + bytes(4) + len(PUBLIC.parameters).to_bytes(4, "big") + PUBLIC.parameters
        )


def test_key_id_names_network_scheme_key_and_parameters():
    ids = [
        PUBLIC.key_id(b"network"),
        PUBLIC.key_id(b"other"),
        replace(PUBLIC, scheme=2).key_id(b"network"),
        replace(PUBLIC, encryption_key=b"kez").key_id(b"network"),
        replace(PUBLIC, parameters=b"p").key_id(b"network"),
        PUBLIC.parameter_digest,
    ]
    assert {len(key_id) for key_id in ids} == {32}
    for first, second in combinations(ids, 2):
        assert first != second


def test_key_id_stays_when_the_members_change():
    other = replace(PUBLIC, verification_keys=(b"x", b"y", b"z", b"w"), threshold=3)
    assert other.key_id(b"network") == PUBLIC.key_id(b"network")
