"""SSZ for frozen dataclasses: canonical bytes, strict decoding, hash tree roots.

A field's annotation names its SSZ type, and a class' codec is derived from its fields once. Decoding accepts exactly
what encoding produces. Written out here because the containers of the well-kept library, remerkleable, cost half a
millisecond a transaction, more than all the cryptography of its admission; the tests hold every object of the
protocol equal to remerkleable's, bytes and root. Source: Ethereum consensus-specs, ssz/simple-serialize.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
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


Known = Mapping[bytes, "SszObject"]
"""Objects at hand, by their encodings: lists of decoded objects refer to them instead of holding them once more."""

_NOTHING: Known = {}


class SszType(Protocol):
    size: int | None
    """Bytes of every value, or None where it varies."""

    def encode(self, value: Any) -> bytes: ...
    def decode(self, data: bytes, known: Known = ...) -> Any: ...
    def root(self, value: Any) -> bytes: ...


class Uint:
    def __init__(self, size: int) -> None:
        self.size: int | None = size
        self._bytes = size

    def encode(self, value: int) -> bytes:
        return value.to_bytes(self._bytes, "little")

    def decode(self, data: bytes, known: Known = _NOTHING) -> int:
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

    def decode(self, data: bytes, known: Known = _NOTHING) -> bytes:
        return data

    def root(self, value: bytes) -> bytes:
        return data_root(self.encode(value), self._depth)


class ByteList:
    size: int | None = None

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._depth = _depth(-(-limit // 32))

    def encode(self, value: bytes) -> bytes:
        if len(value) > self._limit:
            raise ValueError(f"at most {self._limit} bytes are allowed, not {len(value)}")
        return value

    def decode(self, data: bytes, known: Known = _NOTHING) -> bytes:
        if len(data) > self._limit:
            raise Malformed(f"a byte list of {len(data)} bytes exceeds its limit of {self._limit}")
        return data

    def root(self, value: bytes) -> bytes:
        return list_root(data_root(self.encode(value), self._depth), len(value))


class ListOf:
    """A list of at most `limit` elements, held as a tuple."""

    size: int | None = None

    def __init__(self, element: SszType, limit: int) -> None:
        self._element = element
        self._limit = limit
        self._packed = isinstance(element, Uint)
        self._kind = element.kind if isinstance(element, _Container) else None
        per_chunk = 32 // element.size if self._packed and element.size else 1
        self._depth = _depth(-(-limit // per_chunk))

    def encode(self, value: Sequence[Any]) -> bytes:
        if len(value) > self._limit:
            raise ValueError(f"at most {self._limit} elements are allowed, not {len(value)}")
        parts = [self._element.encode(item) for item in value]
        if self._element.size is not None:
            return b"".join(parts)
        return _offsets(parts) + b"".join(parts)

    def decode(self, data: bytes, known: Known = _NOTHING) -> tuple[Any, ...]:
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
        if self._kind is None or not known:
            return tuple(map(self._element.decode, parts))
        return tuple(self._decode_element(part, known) for part in parts)

    def _decode_element(self, data: bytes, known: Known) -> Any:
        # Decoding is a function of type and bytes, and `found` has these bytes: it is what decoding would make.
        found = known.get(data)
        return found if type(found) is self._kind else self._element.decode(data, known)

    def root(self, value: Sequence[Any]) -> bytes:
        if len(value) > self._limit:
            raise ValueError(f"at most {self._limit} elements are allowed, not {len(value)}")
        if self._packed:
            tree = data_root(self.encode(value), self._depth)
        else:
            tree = merkleize([self._element.root(item) for item in value], self._depth)
        return list_root(tree, len(value))


class _Container:
    """The codec of one dataclass."""

    def __init__(self, kind: type[SszObject], types: dict[str, SszType]) -> None:
        self.kind = kind
        self._types = types
        self._fixed_bytes = sum(t.size or _OFFSET_BYTES for t in types.values())
        self.size = None if any(t.size is None for t in types.values()) else self._fixed_bytes
        self._depth = _depth(len(types))

    def encode(self, value: SszObject) -> bytes:
        if (known := value.__dict__.get("encoded")) is not None:
            return bytes(known)
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

    def decode(self, data: bytes, known: Known = _NOTHING) -> SszObject:
        if len(data) < self._fixed_bytes or (self.size is not None and len(data) != self.size):
            raise Malformed(
                f"{self.kind.__name__} has {'at least ' if self.size is None else ''}"
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
                raise Malformed(f"the first offset of {self.kind.__name__} is wrong")
            parts = iter(_split(data, starts))
            for name, t in self._types.items():
                if t.size is None:
                    values[name] = t.decode(next(parts), known)
        value = self.kind(**values)
        value.__dict__["encoded"] = data
        return value

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
    def decode(cls, data: bytes, known: Known = _NOTHING) -> Self:
        """Raises Malformed for anything but the canonical encoding.

        known    objects that lists may hold, so that these are not decoded again
        """
        try:
            value = cls.codec().decode(bytes(data), known)
        except ValueError as error:
            raise Malformed(f"not an encoding of {cls.__name__}: {error}") from error
        if not isinstance(value, cls):
            raise TypeError(f"the codec of {cls.__name__} made a {type(value).__name__}")
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
    return _merkleize(list(leaves), 0, depth)


def list_root(tree: bytes, length: int) -> bytes:
    """A list's root: that of its elements' tree, mixed with its length."""
    return hash_pair(tree, uint_chunk(length))


def data_root(data: bytes, depth: int) -> bytes:
    """The same for leaves that are cut from bytes, the last one filled up with zeros."""
    if depth == 0:
        return chunk(data)
    filled = data.ljust(-(-len(data) // 64) * 64, b"\0")
    return _merkleize([_sha256(filled[at : at + 64]).digest() for at in range(0, len(filled), 64)], 1, depth)


def _merkleize(level: list[bytes], height: int, depth: int) -> bytes:
    """From the nodes at a height, counted from the leaves, up to the root. Appends to the list."""
    if not level:
        return _ZERO_HASHES[depth]
    while len(level) > 1:
        if len(level) % 2:
            level.append(_ZERO_HASHES[height])
        pairs = iter(level)
        level = [_sha256(left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
        height += 1
    return _lifted(level[0], height, depth)


def _lifted(root: bytes, height: int, depth: int) -> bytes:
    """The root of the tree whose leftmost subtree has this root and height, all else being zeros."""
    for zeros in _ZERO_HASHES[height:depth]:
        root = _sha256(root + zeros).digest()
    return root


class HashTree:
    """The tree over a list's leaves with its inner nodes, to compute it anew from what changes. A value.

    Level by level, the leaves first, each half as long as the one below, rounded up; the last one is a single node, or
    empty where there are no leaves.
    """

    def __init__(
        self, leaves: list[bytes], before: HashTree | None = None, changed: Iterable[int] = (), *, kept: int = 0
    ) -> None:
        """`leaves` is kept, not copied. Those below position `kept` are the same as `before`, but for those at the
        positions `changed`; the nodes above the others are taken from there."""
        old = before._levels if before else [[]]
        whole = kept == len(leaves) == len(old[0])
        self._levels: list[list[bytes]] = [leaves]
        while len(level := self._levels[-1]) > 1:
            height = len(self._levels)
            if len(level) % 2:
                level = [*level, _ZERO_HASHES[height - 1]]
            # A node stays if both below it do. The last one may have a single one below: it stays if none was added.
            kept = (kept + whole) // 2
            above = old[height][:kept] if kept else []
            changed = {position // 2 for position in changed if position // 2 < kept}
            for position in changed:
                above[position] = _sha256(level[2 * position] + level[2 * position + 1]).digest()
            rest = iter(level[2 * kept :])
            above += [_sha256(left + right).digest() for left, right in zip(rest, rest, strict=True)]
            self._levels.append(above)

    @property
    def leaves(self) -> Sequence[bytes]:
        return self._levels[0]

    def siblings(self, index: int, depth: int) -> tuple[bytes, ...]:
        """What stands beside the way from a leaf up to the root of the tree with 2^depth leaves, from the bottom."""
        found = []
        for height in range(depth):
            level = self._levels[height] if height < len(self._levels) else []
            beside = index >> height ^ 1
            found.append(level[beside] if beside < len(level) else _ZERO_HASHES[height])
        return tuple(found)

    def root(self, depth: int) -> bytes:
        """Of the tree with 2^depth leaves: these, then zeros."""
        *below, top = self._levels
        return _lifted(top[0], len(below), depth) if top else _ZERO_HASHES[depth]


def _type_of(hint: Any) -> SszType:
    if isinstance(hint, type) and issubclass(hint, SszObject):
        return hint.codec()
    python_type, mark = get_args(hint)
    return ListOf(_type_of(get_args(python_type)[0]), mark.limit) if isinstance(mark, Limit) else mark


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
