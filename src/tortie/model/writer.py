"""From resources back to plain data, as JSON has it: the way that `reader` came, driven by the same annotations.

What is written reads as the same value (`tests/property/test_writer.py`). Fields that say nothing are left out: those that
are None, and empty ones or zeros whose default is that. Words of an enumeration are always written: that a mode is `Never`
is better said. So are fields that hold fields, empty or not, as Go's encoder has it: a rule's `source: {}`. Kinds and
versions are the caller's to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Annotated, Any, TypeAlias, get_args, get_origin, get_type_hints

from tortie.model.reader import Named, Reads, json_name
from tortie.model.resource import CALICO_VERSION, Resource
from tortie.model.scalar import NamedPort, PortRange, format_port, read_duration
from tortie.net.address import Address, Prefix

Write = Callable[[Any], Any]


def plain_resource(resource: Resource, *, version: str = CALICO_VERSION) -> dict[str, Any]:
    """A resource as its JSON has it, kind and version first; times and revisions are there when they are known."""
    return {"kind": type(resource).__name__, "apiVersion": version} | plain_value(resource)


def plain_value(value: Any) -> dict[str, Any]:
    """A dataclass of the model as an object of JSON."""
    found: dict[str, Any] = {}
    for attribute, name, default, write in _fields(type(value)):
        field = getattr(value, attribute)
        if _says_something(field, default):
            found[name] = write(field)
    return found


def _says_something(field: Any, default: Any) -> bool:
    if field is None:
        return False
    if isinstance(field, Enum) or is_dataclass(field):
        return True
    if field == default:
        return False
    return default is None or not isinstance(field, (str, tuple, Mapping)) or bool(field)


_Field: TypeAlias = tuple[str, str, Any, Write]
"""What is to be known of a field: attribute, name in JSON, default, and how its values are written."""
_FIELDS: dict[type[Any], tuple[_Field, ...]] = {}


def _fields(cls: type[Any]) -> tuple[_Field, ...]:
    found = _FIELDS.get(cls)
    if found is None:
        found = _FIELDS[cls] = _read_fields(cls)
    return found


def _read_fields(cls: type[Any]) -> tuple[_Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for field in fields(cls):
        hint = hints[field.name]
        extras = hint.__metadata__ if get_origin(hint) is Annotated else ()
        name = next((extra.name for extra in extras if isinstance(extra, Named)), None) or json_name(field.name)
        found.append((field.name, name, field.default, format_duration if _is_duration(hint) else _plain))
    return tuple(found)


def _is_duration(hint: Any) -> bool:
    """True when numbers of this annotation are nanoseconds."""
    if get_origin(hint) is Annotated:
        return any(isinstance(extra, Reads) and extra.parse is read_duration for extra in hint.__metadata__) or any(
            map(_is_duration, get_args(hint)[:1])
        )
    return any(map(_is_duration, get_args(hint)))


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return _SPELLED[type(value)](value) if type(value) in _SPELLED else plain_value(value)
    if isinstance(value, tuple):
        return [_plain(element) for element in value]
    if isinstance(value, Mapping):
        return {key: _plain(element) for key, element in value.items()}
    if isinstance(value, bytes):
        return value.hex(":")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _plain_port(port: PortRange | NamedPort) -> int | str:
    if isinstance(port, PortRange) and port.first == port.last:
        return port.first
    return format_port(port)


_SPELLED: Mapping[type[Any], Write] = {Address: str, Prefix: str, PortRange: _plain_port, NamedPort: _plain_port}
"""Values that are one word of JSON."""


def format_duration(nanoseconds: int) -> str:
    """A duration as Go writes it: `1m30s`, `1.5s`, `500ms`, `0s` (time.Duration.String)."""
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < 10**9:
        unit, size = next((pair for pair in _SMALL_UNITS if rest >= pair[1]), ("s", 10**9))
        return f"{sign}{_decimal(rest, size)}{unit}"
    minutes, seconds = divmod(rest, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(seconds, 10**9)}s"
    if hours:
        text = f"{hours}h{minutes}m{text}"
    elif minutes:
        text = f"{minutes}m{text}"
    return sign + text


_SMALL_UNITS = (("ms", 10**6), ("µs", 10**3), ("ns", 1))


def _decimal(number: int, unit: int) -> str:
    """`number / unit` with as many digits as it has, and no more."""
    whole, rest = divmod(number, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(unit)) - 1).rstrip('0')}"
