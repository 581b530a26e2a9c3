"""The JSON form of SSZ objects, in the manner of Ethereum's Beacon API.

Integers are decimal strings, bytes are 0x-hex, containers are objects with the fields' names, lists are arrays. An
object has one form, and reading refuses all that is not it, but for hex digits in upper case: a field that is unknown
or missing, a number written as a number, a sign, a leading zero, a length beyond the limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, Protocol, TypeVar, get_args, get_type_hints

from encmempool.documents import decode_json
from encmempool.errors import Malformed
from encmempool.ssz import ByteList, ByteVector, Limit, SszObject, Uint

Kind = TypeVar("Kind", bound=SszObject)
Schema = dict[str, Any]

COMPONENTS = "#/components/schemas/"
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_LONGEST_NAME = 40


def to_json(value: SszObject) -> dict[str, Any]:
    form: dict[str, Any] = _container(type(value)).write(value)
    return form


def from_json(kind: type[Kind], document: Any) -> Kind:
    """The object that a decoded JSON document is the form of. Raises Malformed, naming the field: `header.nonce: …`."""
    try:
        value = _container(kind).read(document)
    except _Fault as fault:
        raise Malformed(str(fault)) from None
    if not isinstance(value, kind):
        raise TypeError(f"the form of {kind.__name__} made a {type(value).__name__}")
    return value


def decode_object(kind: type[Kind], data: bytes) -> Kind:
    """The same from JSON text."""
    return from_json(kind, decode_document(data))


def decode_document(data: bytes) -> Any:
    """Strict JSON from anyone: no name twice in an object, no NaN. Raises Malformed."""
    try:
        return decode_json(data, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from error


def decimal(text: Any, bits: int) -> int:
    """An unsigned integer of so many bits. Raises Malformed."""
    if not isinstance(text, str):
        raise _Fault('a decimal string is wanted, such as "12"')
    if not _DECIMAL.fullmatch(text):
        raise _Fault("a decimal number without sign and leading zeros is wanted")
    value = int(text)
    if value >> bits:
        raise _Fault(f"the number exceeds {bits} bits")
    return value


def hexadecimal(text: Any) -> bytes:
    """Bytes of any length. Raises Malformed."""
    if not isinstance(text, str) or not text.startswith("0x"):
        raise _Fault("a string of 0x and hex digits is wanted")
    try:
        data = bytes.fromhex(text[2:])
    except ValueError:
        raise _Fault("not hex digits, two for each byte") from None
    if 2 * len(data) + 2 != len(text):  # fromhex skips blanks
        raise _Fault("not hex digits, two for each byte")
    return data


def json_schema(kind: type[SszObject]) -> Schema:
    """The JSON Schema of a container's form; the schemas inside are referred to as OpenAPI components."""
    return _container(kind).definition()


def json_schemas(kinds: Iterable[type[SszObject]]) -> dict[str, Schema]:
    """OpenAPI components: the schemas of these containers and of all that they refer to, by name."""
    found: dict[str, Schema] = {}
    named: dict[str, type[SszObject]] = {}

    def visit(form: _Form) -> None:
        if isinstance(form, _List):
            visit(form.element)
        elif isinstance(form, _ObjectForm):
            name = form.kind.__name__
            if named.setdefault(name, form.kind) is not form.kind:
                raise ValueError(f"two containers have the name {name}")
            if name not in found:
                found[name] = form.definition()
                for inner in form.forms.values():
                    visit(inner)
        elif isinstance(form, _Integer):
            found[form.name] = form.definition()

    for kind in kinds:
        visit(_container(kind))
    return dict(sorted(found.items()))


def decimal_schema(bits: int) -> Schema:
    """Exact to the last number below 2^bits, but for 256 bits, whose pattern would be some thousand characters."""
    pattern = f"^({_up_to((1 << bits) - 1)})$" if bits <= 64 else "^(0|[1-9][0-9]{0,77})$"
    return {"type": "string", "pattern": pattern, "description": f"a decimal number below 2^{bits}"}


def hex_schema(*, size: int | None = None, limit: int = 0) -> Schema:
    """Exactly `size` bytes, or at most `limit`."""
    if size is not None:
        return {"type": "string", "pattern": f"^0x[0-9a-fA-F]{{{2 * size}}}$", "description": f"{size} bytes"}
    return {
        "type": "string",
        "pattern": "^0x([0-9a-fA-F]{2})*$",
        "maxLength": 2 + 2 * limit,
        "description": f"at most {limit} bytes",
    }


def _up_to(highest: int) -> str:
    """A pattern for the decimal numbers from 0 to `highest`."""
    digits = str(highest)
    parts = ["0"] + [f"[1-9][0-9]{{{length - 1}}}" for length in range(1, len(digits))]
    for at, digit in enumerate(digits):
        low = 1 if at == 0 else 0
        if int(digit) > low:
            parts.append(f"{digits[:at]}[{low}-{int(digit) - 1}][0-9]{{{len(digits) - at - 1}}}")
    return "|".join([*parts, digits])


class _Fault(Malformed):
    """What is wrong, and where: the path is put together on the way up."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.path = ""

    def at(self, step: str) -> _Fault:
        self.path = step + ("" if self.path.startswith("[") or not self.path else ".") + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class _Form(Protocol):
    def write(self, value: Any) -> Any: ...
    def read(self, document: Any) -> Any: ...
    def schema(self) -> Schema: ...


class _Integer:
    def __init__(self, size: int) -> None:
        self._bits = 8 * size
        self.name = f"uint{self._bits}"

    def write(self, value: int) -> str:
        return str(value)

    def read(self, document: Any) -> int:
        return decimal(document, self._bits)

    def definition(self) -> Schema:
        return decimal_schema(self._bits)

    def schema(self) -> Schema:
        return {"$ref": COMPONENTS + self.name}


class _Bytes:
    def __init__(self, *, size: int | None = None, limit: int = 0) -> None:
        self._size = size
        self._limit = limit

    def write(self, value: bytes) -> str:
        return "0x" + value.hex()

    def read(self, document: Any) -> bytes:
        data = hexadecimal(document)
        if self._size is not None:
            if len(data) != self._size:
                raise _Fault(f"{self._size} bytes are wanted, not {len(data)}")
        elif len(data) > self._limit:
            raise _Fault(f"{len(data)} bytes exceed the limit of {self._limit}")
        return data

    def schema(self) -> Schema:
        return hex_schema(size=self._size, limit=self._limit)


class _List:
    def __init__(self, element: _Form, limit: int) -> None:
        self.element = element
        self._limit = limit

    def write(self, value: Iterable[Any]) -> list[Any]:
        return [self.element.write(item) for item in value]

    def read(self, document: Any) -> tuple[Any, ...]:
        if not isinstance(document, list):
            raise _Fault("an array is wanted")
        if len(document) > self._limit:
            raise _Fault(f"{len(document)} elements exceed the limit of {self._limit}")
        found: list[Any] = []
        try:
            found.extend(self.element.read(item) for item in document)
        except _Fault as fault:
            raise fault.at(f"[{len(found)}]") from None
        return tuple(found)

    def schema(self) -> Schema:
        return {"type": "array", "items": self.element.schema(), "maxItems": self._limit}


class _ObjectForm:
    def __init__(self, kind: type[SszObject], forms: Mapping[str, _Form]) -> None:
        self.kind = kind
        self.forms = forms

    def write(self, value: SszObject) -> dict[str, Any]:
        return {name: form.write(getattr(value, name)) for name, form in self.forms.items()}

    def read(self, document: Any) -> SszObject:
        if not isinstance(document, dict):
            raise _Fault(f"an object is wanted: {self.kind.__name__}")
        if document.keys() != self.forms.keys():
            raise self._other_fields(document)
        values = {}
        for name, form in self.forms.items():
            try:
                values[name] = form.read(document[name])
            except _Fault as fault:
                raise fault.at(name) from None
        make: Callable[..., SszObject] = self.kind
        return make(**values)

    def _other_fields(self, document: dict[str, Any]) -> _Fault:
        if missing := [name for name in self.forms if name not in document]:
            return _Fault("the field is missing").at(missing[0])
        unknown = min(document.keys() - self.forms.keys())
        return _Fault(f"unknown field {unknown[:_LONGEST_NAME]!a}")

    def definition(self) -> Schema:
        return {
            "type": "object",
            "properties": {name: form.schema() for name, form in self.forms.items()},
            "required": list(self.forms),
            "additionalProperties": False,
        }

    def schema(self) -> Schema:
        return {"$ref": COMPONENTS + self.kind.__name__}


_FORMS: dict[type[SszObject], _ObjectForm] = {}


def _container(kind: type[SszObject]) -> _ObjectForm:
    form = _FORMS.get(kind)
    if form is None:
        hints = get_type_hints(kind, include_extras=True)
        forms = {field.name: _form_of(hints[field.name]) for field in fields(kind)}  # type: ignore[arg-type]
        form = _FORMS[kind] = _ObjectForm(kind, forms)
    return form


def _form_of(hint: Any) -> _Form:
    if isinstance(hint, type) and issubclass(hint, SszObject):
        return _container(hint)
    python_type, mark = get_args(hint)
    match mark:
        case Limit():
            return _List(_form_of(get_args(python_type)[0]), mark.limit)
        case Uint():
            return _Integer(mark.size or 0)
        case ByteVector():
            return _Bytes(size=mark.size)
        case ByteList():
            return _Bytes(limit=mark._limit)
    raise TypeError(f"{hint!r} is not an SSZ type")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a name twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")
