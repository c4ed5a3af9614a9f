"""From plain data, as JSON has it, to frozen dataclasses, driven by the fields' annotations.

A field's annotation says how it is read: `str`, `bool`, `int`, `float`, an Enum, another dataclass, `tuple[X, ...]`,
`Mapping[str, X]`, each also with `| None`; `Annotated[X, Reads(parse)]` hands the plain value to `parse`, and `Named` gives
a JSON name that is not the camel case of the field's. Every class is compiled into closures once, on first use.

What holds in general: null is the same as absent; unknown fields are refused with the nearest known name, or ignored where
the class says `UNKNOWN_IGNORED`, and known ones dropped where it names them in `NOT_KEPT`; a class with a method `problems`
is asked once it is built, and the first of the `FieldProblem`s that it tells counts. Scalars where text is expected become
text as Go's YAML reader makes it (ghodss/yaml, convertToJSONableObject), except in classes that say `SCALARS_EXACT`: the
Kubernetes API is stricter. All bad data raises `FieldProblem`.
"""

from __future__ import annotations

import struct
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from functools import partial
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tortie.model.problem import FieldProblem, field_problem, nearest
from tortie.net.error import InvalidInput

T = TypeVar("T")
Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Reads:
    """In an annotation: `parse` makes the value of the plain one, or raises `InvalidInput`."""

    parse: Read


@dataclass(frozen=True, slots=True)
class Named:
    """In an annotation: the field's name in JSON."""

    name: str


def read_value(cls: type[T], data: object) -> T:
    """The value of class `cls` that plain data describes; raises `FieldProblem`."""
    return cast(T, struct_reader(cls)(data))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is known of a dataclass before any data: JSON names to attributes and readers, and what must be there."""

    cls: type[Any]
    known: Mapping[str, tuple[str, Read]]
    required: Mapping[str, str]
    lenient: bool
    checked: bool


def struct_reader(cls: type[Any]) -> Read:
    """The function that makes instances of a dataclass from plain data."""
    found = _READERS.get(cls)
    if found is None:
        found = _READERS[cls] = _compiled(cls)
    return found


_READERS: dict[type[Any], Read] = {}


def _compiled(cls: type[Any]) -> Read:
    exact = getattr(cls, "SCALARS_EXACT", False)
    known: dict[str, tuple[str, Read]] = dict.fromkeys(getattr(cls, "NOT_KEPT", ()), ("", lambda data: None))
    required: dict[str, str] = {}
    hints = get_type_hints(cls, include_extras=True)
    for field in fields(cls):
        name, read = _field(field.name, hints[field.name], exact)
        known[name] = (field.name, read)
        if field.default is MISSING and field.default_factory is MISSING:
            required[field.name] = name
    lenient = getattr(cls, "UNKNOWN_IGNORED", False)
    return partial(_read_struct, _Shape(cls, known, required, lenient, hasattr(cls, "problems")))


def _read_struct(shape: _Shape, data: Any) -> Any:
    if type(data) is not dict:
        raise FieldProblem(f"expected fields, not {_shown(data)}")
    known = shape.known
    values: dict[str, Any] = {}
    for key, plain in data.items():
        entry = known.get(key)
        if entry is None:
            if shape.lenient:
                continue
            raise FieldProblem(f"unknown field {key!r}", path=(key,), remedy=nearest(key, known) or _all_of(known))
        if plain is None or not entry[0]:
            continue
        try:
            values[entry[0]] = entry[1](plain)
        except InvalidInput as error:
            raise field_problem(error).inside(key) from None
    for attribute, name in shape.required.items():
        if attribute not in values:
            raise FieldProblem(f"{name} is missing")
    value = shape.cls(**values)
    if shape.checked:
        for problem in value.problems():
            raise problem
    return value


def _all_of(known: Mapping[str, object]) -> str:
    return f"there are {', '.join(sorted(known))}"


def _field(attribute: str, hint: Any, exact: bool) -> tuple[str, Read]:
    """A field's name in JSON and how it is read."""
    name = None
    if get_origin(hint) is Annotated:
        name = next((extra.name for extra in hint.__metadata__ if isinstance(extra, Named)), None)
    return name or json_name(attribute), _reader(hint, exact)


def json_name(attribute: str) -> str:
    """The name in JSON of a field whose annotation gives none: `as_number` is `asNumber`."""
    head, *tail = attribute.split("_")
    return head + "".join(word.capitalize() for word in tail)


def _reader(hint: Any, exact: bool) -> Read:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        parse = next((extra.parse for extra in hint.__metadata__ if isinstance(extra, Reads)), None)
        return parse if parse is not None else _reader(arguments[0], exact)
    if origin in (Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return partial(_read_optional, _reader(inner, exact))
    if origin is tuple:
        return partial(_read_list, _reader(arguments[0], exact))
    if origin is Mapping:
        return partial(_read_mapping, _reader(arguments[1], exact))
    if hint is str:
        return _read_exact_text if exact else read_text
    if hint in _SCALARS:
        return _SCALARS[hint]
    if issubclass(hint, Enum):
        return partial(_read_word, {member.value: member for member in hint})
    # Compiled when it is first needed: classes may name themselves.
    return lambda data: struct_reader(hint)(data)


def _read_optional(read: Read, data: Any) -> Any:
    """Fields that are null were left out before; this is for elements of lists."""
    return None if data is None else read(data)


def _read_list(read: Read, data: Any) -> tuple[Any, ...]:
    if type(data) is not list:
        raise FieldProblem(f"expected a list, not {_shown(data)}")
    found = []
    for index, plain in enumerate(data):
        try:
            found.append(read(plain))
        except InvalidInput as error:
            raise field_problem(error).inside(index) from None
    return tuple(found)


def _read_mapping(read: Read, data: Any) -> dict[str, Any]:
    if type(data) is not dict:
        raise FieldProblem(f"expected fields, not {_shown(data)}")
    found = {}
    for key, plain in data.items():
        try:
            found[key] = read(plain)
        except InvalidInput as error:
            raise field_problem(error).inside(key) from None
    return found


def _read_word(words: Mapping[str, Enum], data: Any) -> Enum:
    found = words.get(data) if type(data) is str else None
    if found is None:
        raise FieldProblem(f"{_shown(data)} is not one of {', '.join(words)}", remedy=nearest(str(data), words))
    return found


def read_text(data: Any) -> str:
    """Text; a number or truth value becomes the text that Go's YAML reader makes of it, null is empty."""
    if type(data) is str:
        return data
    if data is None:
        return ""
    if type(data) is bool:
        return "true" if data else "false"
    if type(data) is int:
        return str(data)
    if type(data) is float:
        return _go_float(data)
    raise FieldProblem(f"expected text, not {_shown(data)}")


def _read_exact_text(data: Any) -> str:
    if type(data) is str:
        return data
    if data is None:
        return ""
    remedy = "put it in quotes" if isinstance(data, (bool, int, float)) else None
    raise FieldProblem(f"expected text, not {_shown(data)}", remedy=remedy)


def read_bool(data: Any) -> bool:
    """True or false."""
    if type(data) is not bool:
        raise FieldProblem(f"expected true or false, not {_shown(data)}")
    return data


def read_int(data: Any) -> int:
    """A whole number of 64 bits; raises `FieldProblem` for anything else, quoted numbers among them."""
    if type(data) is float and data.is_integer():
        data = int(data)
    if type(data) is not int or not -(2**63) <= data < 2**63:
        raise FieldProblem(f"expected a whole number, not {_shown(data)}")
    return data


def read_float(data: Any) -> float:
    """A finite number."""
    if type(data) not in (int, float) or not abs(data) <= 1e308:  # nor is it larger if it is no number at all
        raise FieldProblem(f"expected a number, not {_shown(data)}")
    return float(data)


_SCALARS: dict[Any, Read] = {bool: read_bool, int: read_int, float: read_float}


def _shown(data: Any) -> str:
    """A bad value in a message, shortened."""
    if data is None:
        return "nothing"
    if type(data) is dict:
        return "fields"
    if type(data) is list:
        return "a list"
    if type(data) is bool:
        return "true" if data else "false"
    text = repr(data)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _go_float(value: float) -> str:
    """`strconv.FormatFloat(value, 'g', -1, 32)`: the shortest digits that single precision tells apart."""
    if value != value:
        return "NaN"
    try:
        (single,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        return "+Inf" if value > 0 else "-Inf"
    if single in (float("inf"), float("-inf")):
        return "+Inf" if single > 0 else "-Inf"
    for digits in range(1, 10):
        text = f"{single:.{digits - 1}e}"
        if struct.pack("f", float(text)) == struct.pack("f", single):
            break
    head, _, power = text.partition("e")
    exponent = int(power)
    if -4 <= exponent < 6:  # of the shortest digits (strconv/ftoa.go)
        return f"{float(text):.{max(0, digits - 1 - exponent)}f}"
    return f"{head}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
