"""Values as vectors write them: bytes as 0x-hex, integers as decimal strings, objects by their field names."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar, get_args, get_type_hints

from encmempool import types
from encmempool.ssz import SszObject
from threshold.entropy import Random

Json = dict[str, Any]
Kind = TypeVar("Kind", bound=SszObject)


def to_hex(data: bytes) -> str:
    return "0x" + data.hex()


def from_hex(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError(f"0x-hex was expected, not {text[:20]!r}")
    return bytes.fromhex(text[2:])


def bytes_list(items: list[str]) -> tuple[bytes, ...]:
    return tuple(map(from_hex, items))


def reader(random_hex: str) -> Random:
    """A random source that hands out these bytes, in order. ValueError once they are used up."""
    rest = from_hex(random_hex)

    def draw(size: int) -> bytes:
        nonlocal rest
        if size > len(rest):
            raise ValueError(f"{size} more random bytes are wanted than the case has")
        piece, rest = rest[:size], rest[size:]
        return piece

    return draw


def object_type(name: str) -> type[SszObject]:
    """The protocol object of that name. ValueError if there is none."""
    kind = getattr(types, name, None)
    if not (isinstance(kind, type) and issubclass(kind, SszObject) and kind is not SszObject):
        raise ValueError(f"there is no protocol object {name!r}")
    return kind


def from_json(kind: type[Kind], value: Json) -> Kind:
    hints = get_type_hints(kind)
    return kind(**{field.name: _from_plain(hints[field.name], value[field.name]) for field in fields(kind)})  # type: ignore[arg-type]


def to_json(value: SszObject) -> Json:
    return {field.name: _to_plain(getattr(value, field.name)) for field in fields(value)}  # type: ignore[arg-type]


def _from_plain(hint: Any, value: Any) -> Any:
    if hint is int:
        return int(value)
    if hint is bytes:
        return from_hex(value)
    if isinstance(hint, type) and issubclass(hint, SszObject):
        return from_json(hint, value)
    return tuple(_from_plain(get_args(hint)[0], item) for item in value)


def _to_plain(value: Any) -> Any:
    if isinstance(value, SszObject):
        return to_json(value)
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    return to_hex(value) if isinstance(value, bytes) else str(value)
