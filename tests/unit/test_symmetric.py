"""The payload AEAD and the key derivation."""

from __future__ import annotations

from pathlib import Path

import pytest

from threshold.errors import ThresholdError
from threshold.hashing import Tag
from threshold.symmetric import KEY_BYTES, TAG_BYTES, AuthenticationFailed, derive_key, seal, unseal

KEY = bytes(range(32))


@pytest.mark.parametrize("size", [0, 1, 16, 1000])
def test_unseal_returns_what_was_sealed(size):
    plaintext = bytes(i % 251 for i in range(size))
    sealed = seal(KEY, plaintext, b"aad")
    assert len(sealed) == size + TAG_BYTES
    assert unseal(KEY, sealed, b"aad") == plaintext


@pytest.mark.parametrize("at", range(4 + TAG_BYTES))
def test_unseal_refuses_when_a_byte_is_changed(at):
    sealed = bytearray(seal(KEY, b"text", b"aad"))
    sealed[at] ^= 1
    with pytest.raises(AuthenticationFailed):
        unseal(KEY, bytes(sealed), b"aad")


@pytest.mark.parametrize(("key", "aad"), [(bytes(32), b"aad"), (KEY, b"aae"), (KEY, b""), (KEY, b"aad\0")])
def test_unseal_refuses_when_key_or_associated_data_differ(key, aad):
    with pytest.raises(AuthenticationFailed):
        unseal(key, seal(KEY, b"text", b"aad"), aad)


@pytest.mark.parametrize("size", [0, 1, 15])
def test_unseal_refuses_when_shorter_than_the_tag(size):
    with pytest.raises(AuthenticationFailed, match="shorter"):
        unseal(KEY, bytes(size), b"")


def test_failed_authentication_belongs_to_the_error_tree():
    assert issubclass(AuthenticationFailed, ThresholdError)


def test_derive_key_separates_everything_it_is_given():
    keys = [
        derive_key(Tag.TDH2_KEM, b"secret", b"ab"),
        derive_key(Tag.DKG_SHARE_KEY, b"secret", b"ab"),
        derive_key(Tag.TDH2_KEM, b"secret!", b"ab"),
        derive_key(Tag.TDH2_KEM, b"secret", b"a", b"b"),
        derive_key(Tag.TDH2_KEM, b"secret", b"ab", b""),
        derive_key(Tag.TDH2_KEM, b"secret"),
    ]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {KEY_BYTES}
    assert derive_key(Tag.TDH2_KEM, b"secret", b"ab") == keys[0]


def test_pycryptodome_is_imported_by_symmetric_and_onetime_only():
    root = Path(__file__).resolve().parents[2] / "threshold"
    importing = sorted(path.name for path in root.rglob("*.py") if "from Crypto" in path.read_text())
    assert importing == ["onetime.py", "symmetric.py"]
