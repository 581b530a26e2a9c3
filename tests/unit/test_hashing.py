"""Domain tags, challenges and weights."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from threshold.curve import ORDER
from threshold.encoding import enc
from threshold.hashing import (
    CHALLENGE_BYTES,
    Tag,
    challenge,
    expand_message_xmd,
    hash_to_scalar,
    tagged_hash,
    weights,
)


def test_tags_are_unique():
    """An Enum turns an equal value into an alias, which is how a duplicate would hide."""
    assert len(Tag.__members__) == len(list(Tag)) == len({tag.value for tag in Tag})


@pytest.mark.parametrize("tag", Tag)
def test_tag_has_its_form_and_fits_one_length_byte(tag):
    assert re.fullmatch(
        rb"encmempool-[a-z0-9]+(-[a-z0-9]+)*-v1(-[a-z-]+)?(-BLS12381G[12]_XMD:SHA-256_SSWU_RO_)?", tag.value
    )
    assert 1 <= len(tag.value) <= 255


def test_tags_are_written_in_hashing_only():
    root = Path(__file__).resolve().parents[2] / "threshold"
    holders = [path.name for path in root.rglob("*.py") if b'b"encmempool-' in path.read_bytes()]
    assert holders == ["hashing.py"]


def test_tagged_hash_is_sha256_of_the_encoded_list():
    assert tagged_hash(Tag.KEY_ID, b"a", b"") == sha256(enc(b"encmempool-key-v1-id", b"a", b"")).digest()


@pytest.mark.parametrize("function", [tagged_hash, challenge, lambda *a: hash_to_scalar(*a, modulus=ORDER)])
def test_hash_depends_on_tag_items_and_borders(function):
    values = [
        function(Tag.KEY_ID, b"ab"),
        function(Tag.CIPHERTEXT_ID, b"ab"),
        function(Tag.KEY_ID, b"a", b"b"),
        function(Tag.KEY_ID, b"b", b"a"),
        function(Tag.KEY_ID, b"ab", b""),
        function(Tag.KEY_ID),
    ]
    assert len(set(values)) == len(values)
    assert function(Tag.KEY_ID, b"ab") == values[0]


def test_challenge_has_128_bits():
    values = [challenge(Tag.TDH2_ENCRYPT, bytes([i])) for i in range(64)]
    assert CHALLENGE_BYTES == 16
    assert max(values).bit_length() == 128
    assert len(set(values)) == 64


def test_hash_to_scalar_is_48_bytes_reduced():
    wide = int.from_bytes(expand_message_xmd(enc(b"x"), Tag.TDH2_KEM.value, 48), "big")
    assert hash_to_scalar(Tag.TDH2_KEM, b"x", modulus=ORDER) == wide % ORDER
    assert hash_to_scalar(Tag.TDH2_KEM, b"x", modulus=7) == wide % 7


def test_weights_are_distinct_and_of_128_bits():
    drawn = weights(Tag.TDH2_WEIGHT, 100, b"statement")
    assert len(set(drawn)) == 100
    assert all(0 < weight < 1 << 128 for weight in drawn)
    assert max(drawn).bit_length() > 120


def test_weights_change_altogether_when_anything_does():
    drawn = weights(Tag.TDH2_WEIGHT, 10, b"a", b"b")
    for other in (
        weights(Tag.TDH2_WEIGHT, 10, b"ab"),
        weights(Tag.TDH2_WEIGHT, 10, b"a", b"c"),
        weights(Tag.TDH2_SHARE, 10, b"a", b"b"),
    ):
        assert not set(drawn) & set(other)


def test_weights_of_none_are_empty():
    assert weights(Tag.TDH2_WEIGHT, 0) == ()


@pytest.mark.parametrize("size", [1, 16, 31, 32, 33, 48, 8160])
def test_expand_message_gives_the_size_asked_for(size):
    assert len(expand_message_xmd(b"m", b"tag", size)) == size


@pytest.mark.parametrize(("dst", "size"), [(b"", 32), (b"x" * 256, 32), (b"x", 8161)])
def test_expand_message_refuses_when_out_of_range(dst, size):
    with pytest.raises(ValueError):
        expand_message_xmd(b"m", dst, size)
