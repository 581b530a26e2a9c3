"""SSZ for frozen dataclasses: canonical bytes, strict decoding, hash tree roots.

A field's annotation names its SSZ type, and a class' codec is derived from its fields once. Decoding accepts exactly
what encoding produces. Written out here because the containers of the well-kept library, remerkleable, cost half a
millisecond a transaction, more than all the cryptography of its admission; the tests hold every object of the
protocol equal to remerkleable's, bytes and root. Source: Ethereum consensus-specs, ssz/simple-serialize.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache, cached_property
from typing import Annotated, Any, Protocol, Self, get_args, get_type_hints

from threshold.errors import Malformed

_OFFSET_BYTES = 4
_sha256 = hashlib.sha256


def _zero_hashes(depth: int) -> list[bytes]:
    hashes = [bytes(32)]
    for _ in range(depth):
        hashes.append(_sha256(hashes[-1] * 2).digest())
    return hashes


_ZERO_HASHES = _zero_hashes(64)


def _depth(count: int) -> int:
    return max(count - 1, 0).bit_length()


class SszType(Protocol):
    size: int | None
    """Bytes of every value, or None where it varies."""

    def encode(self, value: Any) -> bytes: ...
    def decode(self, data: bytes) -> Any: ...
    def root(self, value: Any) -> bytes: ...


class Uint:
    def __init__(self, size: int) -> None:
        self.size: int | None = size
        self._bytes = size

    def encode(self, value: int) -> bytes:
        return value.to_bytes(self._bytes, "little")

    def decode(self, data: bytes) -> int:
        return int.from_bytes(data, "little")

    def root(self, value: int) -> bytes:
        return chunk(self.encode(value))


class ByteVector:
    def __init__(self, size: int) -> None:
        self.size: int | None = size
        self._depth = _depth(-(-size // 32))

    def encode(self, value: bytes) -> bytes:
        if len(value) != self.size:
            raise ValueError(f"{self.size} bytes wanted, not {len(value)}")
        return value

    def decode(self, data: bytes) -> bytes:
        return data

    def root(self, value: bytes) -> bytes:
        return merkleize(_chunks(self.encode(value)), self._depth)


class ByteList:
    size: int | None = None

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._depth = _depth(-(-limit // 32))

    def encode(self, value: bytes) -> bytes:
        if len(value) > self._limit:
            raise ValueError(f"at most {self._limit} bytes are allowed, not {len(value)}")
        return value

    def decode(self, data: bytes) -> bytes:
        if len(data) > self._limit:
            raise Malformed(f"a byte list of {len(data)} bytes exceeds its limit of {self._limit}")
        return data

    def root(self, value: bytes) -> bytes:
        return list_root(_chunks(self.encode(value)), len(value), self._depth)


class ListOf:
    """A list of at most `limit` elements, held as a tuple."""

    size: int | None = None

    def __init__(self, element: SszType, limit: int) -> None:
        self._element = element
        self._limit = limit
        self._packed = isinstance(element, Uint)
        per_chunk = 32 // element.size if self._packed and element.size else 1
        self._depth = _depth(-(-limit // per_chunk))

    def encode(self, value: Sequence[Any]) -> bytes:
        if len(value) > self._limit:
            raise ValueError(f"at most {self._limit} elements are allowed, not {len(value)}")
        parts = [self._element.encode(item) for item in value]
        if self._element.size is not None:
            return b"".join(parts)
        return _offsets(parts) + b"".join(parts)

    def decode(self, data: bytes) -> tuple[Any, ...]:
        size = self._element.size
        if size is not None:
            if len(data) % size:
                raise Malformed(f"a list of {size}-byte elements has {len(data)} bytes")
            parts = [data[at : at + size] for at in range(0, len(data), size)]
        elif data:
            first = int.from_bytes(data[:_OFFSET_BYTES], "little")
            if first % _OFFSET_BYTES or not 0 < first <= len(data):
                raise Malformed("the first offset of a list is wrong")
            starts = [int.from_bytes(data[at : at + _OFFSET_BYTES], "little") for at in range(0, first, _OFFSET_BYTES)]
            parts = _split(data, starts)
        else:
            parts = []
        if len(parts) > self._limit:
            raise Malformed(f"a list of {len(parts)} elements exceeds its limit of {self._limit}")
        return tuple(map(self._element.decode, parts))

    def root(self, value: Sequence[Any]) -> bytes:
        if len(value) > self._limit:
            raise ValueError(f"at most {self._limit} elements are allowed, not {len(value)}")
        leaves = _chunks(self.encode(value)) if self._packed else [self._element.root(item) for item in value]
        return list_root(leaves, len(value), self._depth)


class _Container:
    """The codec of one dataclass."""

    def __init__(self, kind: type[SszObject], types: dict[str, SszType]) -> None:
        self._kind = kind
        self._types = types
        self._fixed_bytes = sum(t.size or _OFFSET_BYTES for t in types.values())
        self.size = None if any(t.size is None for t in types.values()) else self._fixed_bytes
        self._depth = _depth(len(types))

    def encode(self, value: SszObject) -> bytes:
        parts = [t.encode(getattr(value, name)) for name, t in self._types.items()]
        if self.size is not None:
            return b"".join(parts)
        head, tail, at = [], [], self._fixed_bytes
        for part, t in zip(parts, self._types.values(), strict=True):
            if t.size is not None:
                head.append(part)
            else:
                head.append(at.to_bytes(_OFFSET_BYTES, "little"))
                tail.append(part)
                at += len(part)
        return b"".join(head) + b"".join(tail)

    def decode(self, data: bytes) -> SszObject:
        if len(data) < self._fixed_bytes or (self.size is not None and len(data) != self.size):
            raise Malformed(
                f"{self._kind.__name__} has {'at least ' if self.size is None else ''}"
                f"{self._fixed_bytes} bytes, not {len(data)}"
            )
        values: dict[str, Any] = {}
        starts: list[int] = []
        at = 0
        for name, t in self._types.items():
            size = t.size or _OFFSET_BYTES
            piece = data[at : at + size]
            at += size
            if t.size is None:
                starts.append(int.from_bytes(piece, "little"))
                values[name] = None
            else:
                values[name] = t.decode(piece)
        if starts:
            if starts[0] != self._fixed_bytes:
                raise Malformed(f"the first offset of {self._kind.__name__} is wrong")
            parts = iter(_split(data, starts))
            for name, t in self._types.items():
                if t.size is None:
                    values[name] = t.decode(next(parts))
        return self._kind(**values)

    def field_root(self, value: SszObject, name: str) -> bytes:
        item = getattr(value, name)
        return item.root if isinstance(item, SszObject) else self._types[name].root(item)

    def root(self, value: SszObject) -> bytes:
        return merkleize([self.field_root(value, name) for name in self._types], self._depth)


class SszObject:
    """Base of every protocol object: a frozen dataclass whose annotations name SSZ types."""

    @classmethod
    @cache
    def codec(cls: Callable[..., Any]) -> _Container:
        kind: Any = cls
        hints = get_type_hints(kind, include_extras=True)
        return _Container(kind, {field.name: _type_of(hints[field.name]) for field in fields(kind)})

    @cached_property
    def encoded(self) -> bytes:
        return self.codec().encode(self)

    @cached_property
    def root(self) -> bytes:
        """hash_tree_root, with SHA-256."""
        return self.codec().root(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises Malformed for anything but the canonical encoding."""
        try:
            value = cls.codec().decode(data)
        except ValueError as error:
            raise Malformed(f"not an encoding of {cls.__name__}: {error}") from error
        if not isinstance(value, cls):
            raise TypeError(f"the codec of {cls.__name__} made a {type(value).__name__}")
        value.__dict__["encoded"] = bytes(data)
        return value

    def to_json(self) -> dict[str, Any]:
        """Field names to integers, 0x-hex and lists."""
        return {field.name: _to_json(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]


U8 = Annotated[int, Uint(1)]
U16 = Annotated[int, Uint(2)]
U32 = Annotated[int, Uint(4)]
U64 = Annotated[int, Uint(8)]
U256 = Annotated[int, Uint(32)]
Hash = Annotated[bytes, ByteVector(32)]
Address = Annotated[bytes, ByteVector(20)]
Signature = Annotated[bytes, ByteVector(65)]


class Limit:
    """Annotates a tuple field: an SSZ list of at most that many elements, whose type the tuple names."""

    def __init__(self, limit: int) -> None:
        self.limit = limit


def chunk(data: bytes) -> bytes:
    """At most 32 bytes, filled up with zeros on the right."""
    return data.ljust(32, b"\0")


def uint_chunk(value: int) -> bytes:
    return value.to_bytes(32, "little")


def hash_pair(left: bytes, right: bytes) -> bytes:
    return _sha256(left + right).digest()


def merkleize(leaves: Sequence[bytes], depth: int) -> bytes:
    """Root of the tree with 2^depth leaves of 32 bytes: those given, then zeros."""
    level = list(leaves)
    if not level:
        return _ZERO_HASHES[depth]
    for height in range(depth):
        if len(level) % 2:
            level.append(_ZERO_HASHES[height])
        level = [_sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
    return level[0]


def list_root(leaves: Sequence[bytes], length: int, depth: int) -> bytes:
    """A list's root: its elements' tree, mixed with its length."""
    return hash_pair(merkleize(leaves, depth), uint_chunk(length))


def _type_of(hint: Any) -> SszType:
    if isinstance(hint, type) and issubclass(hint, SszObject):
        return hint.codec()
    python_type, mark = get_args(hint)
    return ListOf(_type_of(get_args(python_type)[0]), mark.limit) if isinstance(mark, Limit) else mark


def _chunks(data: bytes) -> list[bytes]:
    return [chunk(data[at : at + 32]) for at in range(0, len(data), 32)]


def _offsets(parts: Sequence[bytes]) -> bytes:
    at = _OFFSET_BYTES * len(parts)
    offsets = []
    for part in parts:
        offsets.append(at.to_bytes(_OFFSET_BYTES, "little"))
        at += len(part)
    return b"".join(offsets)


def _split(data: bytes, starts: Sequence[int]) -> list[bytes]:
    ends = [*starts[1:], len(data)]
    if any(start > end for start, end in zip(starts, ends, strict=True)):
        raise Malformed("offsets are not in order or point beyond the end")
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


def _to_json(value: Any) -> Any:
    if isinstance(value, SszObject):
        return value.to_json()
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return "0x" + value.hex() if isinstance(value, bytes) else value
