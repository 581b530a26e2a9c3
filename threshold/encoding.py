"""Canonical bytes: big-endian fixed-width integers, counted lists, and a reader that refuses what is left over."""

from __future__ import annotations

from collections.abc import Sequence

from threshold.errors import Malformed

MAX_SIZED_BYTES = 1 << 26
"""Of one item, unless a reader is told otherwise."""


def u8(value: int) -> bytes:
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def sized(data: bytes) -> bytes:
    """A 4-byte length, then the data."""
    return u32(len(data)) + data


def counted(items: Sequence[bytes]) -> bytes:
    """A 4-byte count, then every item with its 4-byte length."""
    return u32(len(items)) + b"".join(map(sized, items))


def enc(*items: bytes) -> bytes:
    """Injective encoding of a list for hashing: 8-byte count, then 8-byte length before every item."""
    parts = [u64(len(items))]
    for item in items:
        parts += (u64(len(item)), item)
    return b"".join(parts)


class Reader:
    """Reads the encodings above from front to back. Every failure is Malformed and names the object."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise Malformed(f"{self._what} is truncated: {size} bytes wanted at offset {self._at}")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def u8(self) -> int:
        return self.uint(1)

    def u16(self) -> int:
        return self.uint(2)

    def u32(self) -> int:
        return self.uint(4)

    def u64(self) -> int:
        return self.uint(8)

    def scalar(self, modulus: int) -> int:
        """32 bytes, refused unless below `modulus`."""
        value = self.uint(32)
        if value >= modulus:
            raise Malformed(f"{self._what} holds a scalar that is not below the group order")
        return value

    def sized(self, limit: int = MAX_SIZED_BYTES) -> bytes:
        size = self.u32()
        if size > limit:
            raise Malformed(f"{self._what} announces {size} bytes, more than the {limit} allowed")
        return self.take(size)

    def counted(self, limit: int = 1 << 16) -> tuple[bytes, ...]:
        count = self.u32()
        if count > limit:
            raise Malformed(f"{self._what} announces {count} items, more than the {limit} allowed")
        return tuple(self.sized() for _ in range(count))

    def end(self) -> None:
        left = len(self._data) - self._at
        if left:
            raise Malformed(f"{self._what} is followed by {left} trailing bytes")
