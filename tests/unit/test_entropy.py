"""Randomness that enters as an argument."""

from __future__ import annotations

import pytest

from threshold import entropy
from threshold.curve import ORDER


def test_deterministic_repeats_for_one_seed():
    first, second = entropy.deterministic(b"seed"), entropy.deterministic(b"seed")
    assert [first(n) for n in (5, 40, 0, 32)] == [second(n) for n in (5, 40, 0, 32)]


def test_deterministic_is_one_stream_however_it_is_cut():
    whole = entropy.deterministic(b"seed")(100)
    draw = entropy.deterministic(b"seed")
    assert b"".join(draw(n) for n in (1, 31, 33, 35)) == whole


def test_deterministic_differs_between_seeds():
    assert entropy.deterministic(b"a")(32) != entropy.deterministic(b"b")(32)


def test_deterministic_never_repeats_its_blocks():
    draw = entropy.deterministic(b"seed")
    assert len({draw(32) for _ in range(100)}) == 100


def test_system_gives_fresh_bytes_of_the_size_asked_for():
    assert len(entropy.system(48)) == 48
    assert entropy.system(32) != entropy.system(32)


@pytest.mark.parametrize("modulus", [2, 3, 97, 256, 257, ORDER])
def test_scalar_lies_in_the_open_range(modulus):
    random = entropy.deterministic(b"range")
    assert all(0 < entropy.scalar(random, modulus) < modulus for _ in range(200))


def test_scalar_reaches_every_value():
    random = entropy.deterministic(b"every")
    assert {entropy.scalar(random, 11) for _ in range(400)} == set(range(1, 11))


def test_scalar_draws_again_when_zero_or_not_below_the_modulus():
    """Rejected draws are dropped, not reduced: a reduction would favour small values."""
    draws = iter([b"\x00", b"\x0b", b"\x0f", b"\x0a", b"\x01"])
    assert entropy.scalar(lambda size: next(draws), 11) == 10
    assert next(draws) == b"\x01"


def test_scalar_masks_the_bits_above_the_modulus():
    assert entropy.scalar(lambda size: b"\xf5", 11) == 5
