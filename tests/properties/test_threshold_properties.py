"""Laws of the encodings, of sharing and of a scheme's life, for values that hypothesis chooses."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings, strategies as st

from threshold import sharing
from threshold.curve import ORDER, load_backend
from threshold.encoding import Reader, counted, enc, sized, u8, u16, u32, u64
from threshold.entropy import deterministic
from threshold.errors import CiphertextRejected, Malformed
from threshold.keys import KeyShare, Limits, PublicMaterial
from threshold.polynomial import evaluate, lagrange_at, lagrange_at_zero, lagrange_integers
from threshold.schemes.base import Batch, BatchKey
from threshold.schemes.registry import SCHEMES, load_scheme

calm = settings(deadline=None)
"""Two busy cores make single examples slow now and then; that is no failure."""

chunks = st.binary(max_size=40)
lists = st.lists(chunks, max_size=6)
scalars = st.integers(min_value=0, max_value=ORDER - 1)

materials = st.integers(min_value=1, max_value=5).flatmap(
    lambda n: st.builds(
        PublicMaterial,
        scheme=st.integers(0, 255),
        threshold=st.integers(1, n),
        encryption_key=chunks,
        verification_keys=st.lists(chunks, min_size=n, max_size=n).map(tuple),
        parameters=chunks,
    )
)
batch_keys = st.builds(BatchKey, value=chunks, proof=chunks)


# --- encodings --------------------------------------------------------------------------------------------------------


@calm
@given(lists, lists)
def test_enc_is_injective(first, second):
    assert (enc(*first) == enc(*second)) == (first == second)


@calm
@given(lists, lists)
def test_enc_differs_when_a_border_moves(first, second):
    joined = b"".join(first)
    assume([joined] != first)
    assert enc(joined, *second) != enc(*first, *second)


@calm
@given(st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), chunks, lists)
def test_reader_returns_what_was_written(a, b, c, d, piece, items):
    reader = Reader(u8(a) + u16(b) + u32(c) + u64(d) + sized(piece) + counted(items) + piece, "a thing")
    assert (reader.u8(), reader.u16(), reader.u32(), reader.u64()) == (a, b, c, d)
    assert reader.sized() == piece
    assert reader.counted() == tuple(items)
    assert reader.take(len(piece)) == piece
    reader.end()


def whole(data: bytes) -> tuple[bytes, ...]:
    reader = Reader(data, "a thing")
    items = reader.counted()
    reader.end()
    return items


@calm
@given(st.binary(max_size=60))
def test_counted_reads_canonical_bytes_or_refuses(data):
    try:
        items = whole(data)
    except Malformed:
        return
    assert counted(items) == data


@calm
@given(lists, st.data())
def test_counted_is_malformed_when_cut(items, data):
    encoded = counted(items)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(Malformed):
        whole(encoded[:cut])


@calm
@given(lists, st.binary(min_size=1, max_size=5))
def test_counted_is_malformed_when_followed(items, tail):
    with pytest.raises(Malformed):
        whole(counted(items) + tail)


@pytest.mark.parametrize(("kind", "values"), [(PublicMaterial, materials), (BatchKey, batch_keys)])
def test_codec_has_one_encoding_for_each_value(kind, values):
    """Round trip, and every single-byte change either is refused or means something else, by its own encoding."""

    @calm
    @given(values, st.data())
    def check(value: Any, data: st.DataObject) -> None:
        encoded = value.encode()
        assert kind.decode(encoded) == value
        at = data.draw(st.integers(0, len(encoded) - 1))
        mask = data.draw(st.integers(1, 255))
        changed = encoded[:at] + bytes([encoded[at] ^ mask]) + encoded[at + 1 :]
        try:
            other = kind.decode(changed)
        except Malformed:
            return
        assert other != value
        assert other.encode() == changed

    check()


@pytest.mark.parametrize("kind", [PublicMaterial, BatchKey])
def test_codec_reads_canonical_bytes_or_refuses(kind):
    @calm
    @given(st.binary(max_size=60))
    def check(data: bytes) -> None:
        try:
            value = kind.decode(data)
        except Malformed:
            return
        assert value.encode() == data

    check()


def test_codecs_refuse_or_differ_for_every_byte_of_a_real_object():
    material, public, shares = committee("tdh2", 3, 2)
    scheme = load_scheme("tdh2")
    ciphertext = scheme.encrypt(public, b"x", aad=b"", height=0, random=deterministic(b"r"))
    entry = scheme.verify_ciphertext(public, ciphertext, aad=b"", height=0)
    batch = Batch(key_id=public.key_id, height=1, round=0, entries=(entry,))
    made = [scheme.partial_decrypt(public, s, batch, random=deterministic(b"s")) for s in shares[:2]]
    key, _ = scheme.combine(public, batch, made, None)
    for value in (material, key):
        encoded = value.encode()
        for at in range(len(encoded)):
            for mask in (1, 0x80, 0xFF):
                changed = encoded[:at] + bytes([encoded[at] ^ mask]) + encoded[at + 1 :]
                try:
                    other = type(value).decode(changed)
                except Malformed:
                    continue
                assert other != value
                assert other.encode() == changed


# --- polynomials and sharing ------------------------------------------------------------------------------------------


@calm
@given(st.lists(scalars, min_size=1, max_size=6), st.data())
def test_any_threshold_of_shares_recovers_the_secret(coefficients, data):
    t = len(coefficients)
    n = data.draw(st.integers(t, t + 5))
    chosen = data.draw(st.permutations(range(1, n + 1)))[: data.draw(st.integers(t, n))]
    shares = sharing.deal(coefficients, n)
    assert sharing.recover({j: shares[j] for j in chosen}) == coefficients[0]


@calm
@given(st.lists(scalars, min_size=2, max_size=6), st.integers(1, ORDER - 1), st.data())
def test_recover_moves_when_a_share_does(coefficients, error, data):
    t = len(coefficients)
    shares = sharing.deal(coefficients, t)
    at = data.draw(st.integers(1, t))
    assert sharing.recover({**shares, at: (shares[at] + error) % ORDER}) != coefficients[0]


indices = st.lists(st.integers(1, 1024), min_size=1, max_size=8, unique=True)


@calm
@given(indices)
def test_integer_weights_equal_modular_ones(chosen):
    numerators, denominator = lagrange_integers(chosen)
    inverse = pow(denominator, -1, ORDER)
    assert tuple(k * inverse % ORDER for k in numerators) == lagrange_at(0, chosen, ORDER)
    assert lagrange_at_zero(chosen, ORDER) == lagrange_at(0, chosen, ORDER)
    assert sum(numerators) == denominator


@calm
@given(st.lists(scalars, min_size=1, max_size=5), scalars, st.data())
def test_interpolation_gives_the_value_anywhere(coefficients, at, data):
    chosen = data.draw(st.lists(st.integers(1, 1024), min_size=len(coefficients), max_size=8, unique=True))
    weights = lagrange_at(at, chosen, ORDER)
    total = sum(w * evaluate(coefficients, j, ORDER) for w, j in zip(weights, chosen, strict=True)) % ORDER
    assert total == evaluate(coefficients, at, ORDER)


@settings(max_examples=25, deadline=None)
@given(st.lists(scalars, min_size=1, max_size=4), st.data())
def test_points_are_recovered_as_scalars_are(coefficients, data):
    group, t = load_backend().g1, len(coefficients)
    chosen = data.draw(st.lists(st.integers(1, 40), min_size=t, max_size=t + 2, unique=True))
    points = {j: (group.multiply(group.generator, evaluate(coefficients, j, ORDER)),) for j in chosen}
    (total,) = sharing.recover_points(group, points)
    assert group.equal(total, group.multiply(group.generator, coefficients[0]))


# --- schemes ----------------------------------------------------------------------------------------------------------


@cache
def committee(name: str, n: int, t: int) -> tuple[PublicMaterial, Any, tuple[KeyShare, ...]]:
    scheme = load_scheme(name)
    material, shares = scheme.deal(n=n, t=t, limits=Limits(batch=4, rounds=3), random=deterministic(b"key"))
    return material, scheme.load_public_key(material, key_id=material.key_id(b"network")), shares


@pytest.mark.parametrize("name", SCHEMES)
def test_batch_of_anything_opens_to_what_was_encrypted(name):
    scheme = load_scheme(name)
    _, public, shares = committee(name, 4, 3)

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(st.tuples(st.binary(max_size=200), chunks), min_size=1, max_size=4),
        st.permutations(range(4)),
        st.integers(0, 2**64 - 1),
        st.binary(min_size=8, max_size=8),
    )
    def check(items: list[tuple[bytes, bytes]], order: list[int], height: int, seed: bytes) -> None:
        random, entries = deterministic(seed), []
        addressed = height if scheme.info.addresses_height else 0
        for plaintext, aad in items:
            ciphertext = scheme.encrypt(public, plaintext, aad=aad, height=addressed, random=random)
            entries.append(scheme.verify_ciphertext(public, ciphertext, aad=aad, height=addressed))
        batch = Batch(key_id=public.key_id, height=height, round=1 + height % 3, entries=tuple(entries))
        prepared = scheme.precompute(public, batch)
        made = [scheme.partial_decrypt(public, shares[at], batch, random=random) for at in order]
        key, refused = scheme.combine(public, batch, made, prepared)
        assert refused == ()
        scheme.verify_batch_key(public, batch, key, prepared)
        opened = scheme.decrypt(public, batch, key, prepared)
        assert opened == tuple(plaintext for plaintext, _ in items)

    check()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), chunks, st.data())
def test_ciphertext_is_refused_when_any_byte_or_the_associated_data_change(plaintext, aad, data):
    scheme = load_scheme("tdh2")
    _, public, _ = committee("tdh2", 4, 3)
    ciphertext = scheme.encrypt(public, plaintext, aad=aad, height=0, random=deterministic(plaintext))
    at = data.draw(st.integers(0, len(ciphertext) - 1))
    mask = data.draw(st.integers(1, 255))
    changed = ciphertext[:at] + bytes([ciphertext[at] ^ mask]) + ciphertext[at + 1 :]
    with pytest.raises((Malformed, CiphertextRejected)):
        scheme.verify_ciphertext(public, changed, aad=aad, height=0)
    other = data.draw(chunks.filter(lambda value: value != aad))
    with pytest.raises(CiphertextRejected):
        scheme.verify_ciphertext(public, ciphertext, aad=other, height=0)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_ciphertext_is_malformed_when_it_is_noise(noise):
    scheme = load_scheme("tdh2")
    _, public, _ = committee("tdh2", 4, 3)
    with pytest.raises(Malformed):
        scheme.verify_ciphertext(public, noise, aad=b"", height=0)
