"""Kinds of option arguments: how one is read in any spelling iptables accepts and written as iptables-save prints it.

A `Kind` is two functions. `read` takes the argument's words joined by one blank and raises `InvalidInput`; `write` gives
text that `read` maps to the same value. Kinds know nothing of options or extensions; those tables are in
`match_*` and `target_*`. Numbers follow strtoul: decimal, `0x` hexadecimal, leading `0` octal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tortie.codec.service import ANY_SERVICE
from tortie.codec.words import quote
from tortie.net.address import (
    AddressMask,
    AddressRange,
    IPFamily,
    format_address,
    mask_length,
    parse_address,
    parse_address_mask,
)
from tortie.net.error import InvalidInput
from tortie.net.protocol import parse_protocol, protocol_name
from tortie.netfilter.match import IntRange


@dataclass(frozen=True, slots=True)
class Kind:
    """How an argument of `words` words is read and written; both functions are handed the family.

    `vacuous` is the value that tests nothing: the tools drop such an option and never print it, and lose its `!` too
    unless `inverts`.
    """

    read: Callable[[str, IPFamily], Any]
    write: Callable[[Any, IPFamily], str]
    words: int = 1
    vacuous: Any = None
    inverts: bool = False


def read_number(text: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
    """A number in any of C's three notations; raises `InvalidInput` when it is none or out of range."""
    body = text.lower()
    try:
        if body.startswith("0x"):
            number = int(body[2:], 16)
        elif len(body) > 1 and body.startswith("0"):
            number = int(body, 8)
        else:
            number = int(body)
    except ValueError:
        raise InvalidInput(f"not a number: {text!r}") from None
    if "_" in text or not text[:1].isalnum() or not text.isascii() or not low <= number <= high:
        raise InvalidInput(f"not a number from {low} to {high}: {text!r}")
    return number


def number(low: int = 0, high: int = 0xFFFFFFFF, form: str = "d", prefix: str = "") -> Kind:
    """A whole number, printed with a format specification."""
    return Kind(lambda text, _: read_number(text, low, high), lambda value, _: f"{prefix}{value:{form}}")


def number_range(high: int, form: str = "d", *, separator: str = ":", vacuous: bool = False, upward: bool = False) -> Kind:
    """`a`, `a:b`, `:b` or `a:`; one number prints alone.

    `vacuous` says that the full range is not printed, `upward` that a range must not run backwards.
    """

    def read(text: str, family: IPFamily) -> IntRange:
        low_text, joint, high_text = text.partition(separator)
        if not joint:
            value = read_number(text, 0, high)
            return IntRange(value, value)
        found = IntRange(
            read_number(low_text, 0, high) if low_text else 0, read_number(high_text, 0, high) if high_text else high
        )
        if upward and found.low > found.high:
            raise InvalidInput(f"range runs backwards: {text!r}")
        return found

    def write(value: IntRange, family: IPFamily) -> str:
        if value.low == value.high:
            return f"{value.low:{form}}"
        return f"{value.low:{form}}{separator}{value.high:{form}}"

    return Kind(read, write, vacuous=IntRange(0, high) if vacuous else None)


def read_port(text: str, services: Mapping[str, int] = ANY_SERVICE) -> int:
    """A port number or a service name."""
    if text.isascii() and text[:1].isdigit():
        return read_number(text, 0, 65535)
    port = services.get(text)
    if port is None:
        raise InvalidInput(f"unknown service: {text!r}", remedy="give the port's number")
    return port


def _write_range(value: IntRange, family: IPFamily) -> str:
    return str(value.low) if value.low == value.high else f"{value.low}:{value.high}"


def ports(services: Mapping[str, int] = ANY_SERVICE, *, upward: bool = False, vacuous: bool = False) -> Kind:
    """`--dport` and `--sport`: a port, or a range that may lack an end.

    `upward` refuses a range that runs backwards, `vacuous` says that the range of all ports is not printed.
    """

    def read(text: str, family: IPFamily) -> IntRange:
        low_text, joint, high_text = text.partition(":")
        if not joint:
            port = read_port(text, services)
            return IntRange(port, port)
        low = read_port(low_text, services) if low_text else 0
        high = read_port(high_text, services) if high_text else 65535
        if upward and low > high:
            raise InvalidInput(f"port range runs backwards: {text!r}")
        return IntRange(low, high)

    return Kind(read, _write_range, vacuous=IntRange(0, 65535) if vacuous else None)


def _read_port_list(text: str, family: IPFamily) -> tuple[IntRange, ...]:
    ranges = []
    slots = 0
    for part in text.split(","):
        low_text, joint, high_text = part.partition(":")
        low = read_port(low_text)
        high = read_port(high_text) if joint else low
        if joint and low >= high:
            raise InvalidInput(f"port range must run upwards: {part!r}")
        slots += 2 if joint else 1
        ranges.append(IntRange(low, high))
    if slots > 15:
        raise InvalidInput(f"too many ports: {slots} slots, 15 at most and a range takes two")
    return tuple(ranges)


def _write_port_list(value: tuple[IntRange, ...], family: IPFamily) -> str:
    return ",".join(_write_range(part, family) for part in value)


PORT_LIST = Kind(_read_port_list, _write_port_list)
"""`--dports` of multiport."""


def choice(names: Mapping[str, Any], aliases: Mapping[str, Any] | None = None) -> Kind:
    """One of some names; `aliases` are read too but never printed."""
    printed = {value: name for name, value in names.items()}
    known = {**(aliases or {}), **names}

    def read(text: str, family: IPFamily) -> Any:
        if text not in known:
            raise InvalidInput(f"not one of {', '.join(names)}: {text!r}")
        return known[text]

    return Kind(read, lambda value, _: printed[value])


def words_of(*names: str) -> Kind:
    """One of some names, held as text."""
    return choice({name: name for name in names})


def name_list(
    names: Mapping[str, Any], build: Callable[[Any], Any] = tuple, *, any_case: bool = False, short: bool = False
) -> Kind:
    """Names joined by commas, printed in the order of `names`; `build` makes the held value from the found ones.

    `short` lets the beginning of a name stand for it, in any case.
    """

    def read(text: str, family: IPFamily) -> Any:
        found = set()
        for part in text.split(","):
            name = part.upper() if any_case or short else part
            if short:
                name = next((full for full in names if part and full.startswith(name)), name)
            if name not in names:
                raise InvalidInput(f"not one of {', '.join(names)}: {part!r}")
            found.add(name)
        return build(names[name] for name in names if name in found)

    def write(value: Any, family: IPFamily) -> str:
        return ",".join(name for name, item in names.items() if item in value)

    return Kind(read, write)


STRING = Kind(lambda text, _: text, lambda value, _: quote(value))
"""A string printed bare or quoted."""


def read_interface(text: str, family: IPFamily) -> str:
    """A device name, or the beginning of names with `+` behind it."""
    if not 1 <= len(text.encode("utf-8", "surrogateescape")) <= 15:
        raise InvalidInput(f"interface names have 1 to 15 characters: {text!r}")
    return text


def string(longest: int, *, empty: bool = False) -> Kind:
    """A string that the tools cut to a number of bytes; only where said may it be empty."""

    def read(text: str, family: IPFamily) -> str:
        if not text and not empty:
            raise InvalidInput("the text must not be empty")
        return text.encode("utf-8", "surrogateescape")[:longest].decode("utf-8", "surrogateescape")

    return Kind(read, STRING.write)


RAW = Kind(lambda text, _: text, lambda value, _: value)
"""A name printed as it is, whatever it holds."""


def _read_mark(text: str, family: IPFamily) -> tuple[int, int]:
    value, slash, mask = text.partition("/")
    return read_number(value), read_number(mask) if slash else 0xFFFFFFFF


def _write_mark(value: tuple[int, int], family: IPFamily) -> str:
    return f"{value[0]:#x}" if value[1] == 0xFFFFFFFF else f"{value[0]:#x}/{value[1]:#x}"


INTERFACE = Kind(read_interface, RAW.write)
"""A device name."""

MARK = Kind(_read_mark, _write_mark)
"""Value and mask, the mask printed unless it is full."""

XMARK = Kind(_read_mark, lambda value, _: f"{value[0]:#x}/{value[1]:#x}")
"""Value and mask, both printed always."""


def _require(family: IPFamily, found: IPFamily, text: str) -> None:
    if family is not found:
        raise InvalidInput(f"not an IPv{family.value} address: {text!r}")


def read_address(text: str, family: IPFamily) -> int:
    """One address of the family with all its parts, as NAT targets take it."""
    address = parse_address(text)
    _require(family, address.family, text)
    return address.value


def read_host(text: str, family: IPFamily) -> int:
    """One address of the family; IPv4 also in inet_aton's forms, where 10.1 is 10.0.0.1."""
    return read_address(_spell_out(text, padded=False) if family is IPFamily.V4 else text, family)


HOST = Kind(read_host, lambda value, family: format_address(family, value))
"""One address, held as an integer."""


def _spell_out(text: str, *, padded: bool) -> str:
    """An IPv4 address with all four parts, from numbers in C's notations.

    The last part fills the bytes that are left. `padded` is the tools' own reading: if no part is larger than a byte, the
    missing ones are zeros at the end.
    """
    parts = text.split(".")
    if len(parts) > 4 or not all(part[:1].isdigit() for part in parts):
        return text
    *heads, last = [read_number(part) for part in parts]
    left = 5 - len(parts)
    if last >> 8 * left:
        raise InvalidInput(f"not an IP address: {text!r}")
    if padded and last <= 255:
        tail = [last, *[0] * (left - 1)]
    else:
        tail = list(last.to_bytes(left, "big"))
    return ".".join(map(str, [*heads, *tail]))


_NO_BITS = {"0", "0.0.0.0", "::", "00"}  # noqa: S104


def read_net(text: str, family: IPFamily) -> AddressMask:
    """Address with prefix length or mask; IPv4 also in the short forms that leave out trailing bytes.

    As in libxtables, with an empty mask the address is not looked at (`any/0`).
    """
    head, slash, tail = text.partition("/")
    if slash and tail in _NO_BITS:
        return AddressMask(family, 0, 0)
    try:
        net = parse_address_mask(text)
    except InvalidInput:
        net = None
    if family is IPFamily.V4 and (net is None or net.family is not family):
        head = _spell_out(head.lower().removeprefix("::ffff:"), padded=True)
        net = parse_address_mask(head + slash + tail)
    if net is None or net.family is not family:
        raise InvalidInput(f"not an IPv{family.value} network: {text!r}")
    return net


def _write_host_mask(value: AddressMask, family: IPFamily) -> str:
    length = mask_length(family, value.mask)
    address = format_address(family, value.value)
    return address if length is None or length == family.bits else f"{address}/{length}"


def _read_host_mask(text: str, family: IPFamily) -> AddressMask:
    head, slash, tail = text.partition("/")
    mask = read_net(f"{format_address(family, 0)}/{tail}", family).mask if slash else family.all_ones
    if mask_length(family, mask) is None:
        mask = family.all_ones
    return AddressMask(family, read_host(head, family), mask)


HOST_MASK = Kind(_read_host_mask, _write_host_mask)
"""Addresses of conntrack and policy: a full mask is not printed, and bits outside the mask stay as they were given.

A mask with holes becomes a full one, as in libxtables 1.8.9.
"""

PREFIX = Kind(_read_host_mask, lambda value, family: f"{format_address(family, value.value)}/{_length(value)}")
"""An address with a prefix length that is printed always; bits outside the mask stay as they were given."""


def _length(value: AddressMask) -> int:
    length = mask_length(value.family, value.mask)
    return value.family.bits if length is None else length


def _read_address_range(text: str, family: IPFamily) -> AddressRange:
    low, dash, high = text.partition("-")
    first = read_net(low, family).value
    return AddressRange(family, first, read_net(high, family).value if dash else first)


ADDRESS_RANGE = Kind(_read_address_range, lambda value, _: str(value))
"""`a-b`, also for one address."""

MASK = Kind(read_host, lambda value, family: format_address(family, value))
"""A netmask printed as an address."""


def _read_mac(text: str, family: IPFamily) -> bytes:
    parts = text.split(":")
    if len(parts) != 6 or not all(1 <= len(part) <= 2 for part in parts):
        raise InvalidInput(f"not a MAC address: {text!r}")
    try:
        return bytes(int(part, 16) for part in parts)
    except ValueError:
        raise InvalidInput(f"not a MAC address: {text!r}") from None


MAC = Kind(_read_mac, lambda value, _: ":".join(f"{byte:02x}" for byte in value))
"""Six bytes in hexadecimal."""

PROTOCOL = Kind(lambda text, _: parse_protocol(text), lambda value, _: protocol_name(value))
"""A protocol, printed by name."""

PROTOCOL_NUMBER = Kind(lambda text, _: parse_protocol(text), lambda value, _: str(value))
"""A protocol, printed as a number."""
