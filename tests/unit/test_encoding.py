"""Fixed-width integers, counted lists, the hashing encoding, and the strict reader."""

from __future__ import annotations

from itertools import combinations

import pytest

from threshold.encoding import Reader, counted, enc, sized, u8, u16, u32, u64
from threshold.errors import Malformed

WIDTHS = {u8: 1, u16: 2, u32: 4, u64: 8}


@pytest.mark.parametrize(("write", "size"), WIDTHS.items(), ids=lambda x: getattr(x, "__name__", x))
def test_integers_are_big_endian_of_their_width(write, size):
    assert write(1) == bytes(size - 1) + b"\1"
    assert write(256**size - 1) == b"\xff" * size
    reader = Reader(write(258 % 256**size), "an integer")
    assert getattr(reader, write.__name__)() == 258 % 256**size
    reader.end()


@pytest.mark.parametrize(("write", "size"), WIDTHS.items(), ids=lambda x: getattr(x, "__name__", x))
def test_integers_refuse_when_out_of_range(write, size):
    for value in (-1, 256**size):
        with pytest.raises(OverflowError):
            write(value)


def test_sized_and_counted_have_their_documented_bytes():
    assert sized(b"ab") == bytes.fromhex("00000002") + b"ab"
    assert counted([b"", b"a"]) == bytes.fromhex("00000002 00000000 00000001") + b"a"
    assert counted([]) == bytes(4)


def test_enc_has_its_documented_bytes():
    assert enc() == bytes(8)
    assert enc(b"ab") == u64(1) + u64(2) + b"ab"


def test_enc_separates_lists_that_concatenate_alike():
    lists = [(), (b"",), (b"", b""), (b"ab",), (b"a", b"b"), (b"ab", b""), (b"", b"ab"), (b"a", b"", b"b")]
    lists += [(enc(b"ab"),), (enc(b"a", b"b"),), (u64(1), b"a")]
    for first, second in combinations(lists, 2):
        assert enc(*first) != enc(*second), (first, second)


def test_enc_is_no_prefix_of_another():
    lists = [(), (b"",), (b"a",), (b"a", b"b"), (b"ab",)]
    for first, second in combinations([enc(*items) for items in lists], 2):
        assert not first.startswith(second)
        assert not second.startswith(first)


def test_reader_refuses_when_truncated():
    with pytest.raises(Malformed, match="a thing is truncated"):
        Reader(b"abc", "a thing").take(4)


def test_reader_refuses_when_bytes_are_left_over():
    reader = Reader(b"abc", "a thing")
    assert reader.take(2) == b"ab"
    with pytest.raises(Malformed, match="a thing is followed by 1 trailing bytes"):
        reader.end()


def test_reader_stays_where_it_was_after_a_refusal():
    reader = Reader(b"abc", "a thing")
    with pytest.raises(Malformed):
        reader.take(4)
    assert reader.take(3) == b"abc"
    reader.end()


@pytest.mark.parametrize(("value", "accepted"), [(0, True), (96, True), (97, False), (98, False), (2**256 - 1, False)])
def test_scalar_is_accepted_only_when_below_the_modulus(value, accepted):
    reader = Reader(value.to_bytes(32, "big"), "a thing")
    if accepted:
        assert reader.scalar(97) == value
    else:
        with pytest.raises(Malformed, match="scalar"):
            reader.scalar(97)


def test_sized_refuses_when_over_the_limit():
    assert Reader(sized(b"abc"), "a thing").sized(3) == b"abc"
    with pytest.raises(Malformed, match="3 bytes"):
        Reader(sized(b"abc"), "a thing").sized(2)


def test_sized_refuses_when_the_announced_length_is_missing():
    with pytest.raises(Malformed, match="truncated"):
        Reader(u32(4) + b"abc", "a thing").sized()


def test_counted_refuses_when_over_the_limit():
    assert Reader(counted([b"a", b"b"]), "a thing").counted(2) == (b"a", b"b")
    with pytest.raises(Malformed, match="2 items"):
        Reader(counted([b"a", b"b"]), "a thing").counted(1)


@pytest.mark.parametrize("cut", range(1, 15))
def test_counted_refuses_when_cut_short(cut):
    data = counted([b"a", b"bc"])
    assert len(data) == 15
    with pytest.raises(Malformed):
        Reader(data[:-cut], "a thing").counted()
