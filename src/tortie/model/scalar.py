"""Numbers, ports, protocols, networks, durations and selectors as Calico 3.7's resources spell them.

Sources: spec model 1.2, 1.3 (libcalico-go 3.7 lib/numorstring, lib/net, lib/validator/v3). Every `read_` function takes
plain data or raises `InvalidInput`; the aliases are for annotations of fields (see `tortie.model.reader`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from tortie.model.name import PORT_NAME_REMEDY, is_port_name
from tortie.model.problem import FieldProblem, nearest
from tortie.model.reader import Reads, read_text
from tortie.net.address import Address, IPFamily, Prefix, parse_address, parse_prefix
from tortie.selector.parse import parse_selector

# --- protocols and ports -----------------------------------------------------------------------------------------

Protocol: TypeAlias = int | str
"""A protocol as a resource names it: a number from 1 to 255, or one of `PROTOCOL_WORDS`."""
PROTOCOL_WORDS = ("TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite")
_WITH_PORTS = frozenset((6, 17, "TCP", "UDP", "tcp", "udp"))


def supports_ports(protocol: Protocol | None) -> bool:
    """True for TCP and UDP, by name or number: Calico 3.7 has no ports for any other protocol."""
    return protocol in _WITH_PORTS


def read_protocol(data: Any) -> Protocol:
    """A protocol's number, quoted or not, or its name, whose capitals matter."""
    number = data
    if type(data) is str and data.isascii() and data.isdigit() and int(data) <= 255:
        number = int(data)
    if type(number) is int and 0 < number <= 255:
        return number
    if type(number) is int:
        raise FieldProblem(f"protocol number invalid: {number}", remedy="use a number from 1 to 255")
    if data not in PROTOCOL_WORDS:
        remedy = nearest(str(data), PROTOCOL_WORDS) or f"use a number from 1 to 255 or one of {', '.join(PROTOCOL_WORDS)}"
        raise FieldProblem(f"protocol name invalid: {data!r}", remedy=remedy)
    return str(data)


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from `first` to `last`, both included, at least 1; a single port has both the same."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A port by the name that endpoints give it."""

    name: str


Port: TypeAlias = PortRange | NamedPort


def read_port(data: Any) -> Port:
    """A number, `"n"`, `"first:last"` or a name; raises `InvalidInput` with the original's words."""
    if type(data) is int:
        return _range(data, data, data)
    if type(data) is not str:
        raise FieldProblem(f"invalid port format ({read_text(data)})", remedy='write 80, "80:90" or a port\'s name')
    head, colon, tail = data.partition(":")
    if head.isascii() and head.isdigit() and not colon:
        return _range(data, int(head), int(head))
    if colon:
        if not (head.isascii() and head.isdigit() and tail.isascii() and tail.isdigit()):
            which = "minimum" if not head.isdigit() else "maximum"
            raise FieldProblem(f"invalid {which} port number in range ({data})", remedy='write "80:90"')
        if int(head) > int(tail):
            raise FieldProblem(f"minimum port number ({head}) is greater than maximum port number ({tail}) in port range")
        return _range(data, int(head), int(tail))
    if not is_port_name(data):
        raise FieldProblem(f"invalid name for named port ({data})", remedy=PORT_NAME_REMEDY)
    return NamedPort(data)


def _range(data: object, first: int, last: int) -> PortRange:
    if not 1 <= first <= last <= 65535:
        raise FieldProblem(f"port range invalid, port number must be between 1 and 65535: {data}")
    return PortRange(first, last)


def format_port(port: Port) -> str:
    """A port as resources spell it: a number, `first:last`, or the name."""
    if isinstance(port, NamedPort):
        return port.name
    return str(port.first) if port.first == port.last else f"{port.first}:{port.last}"


AnyProtocol: TypeAlias = Annotated[Protocol, Reads(read_protocol)]
AnyPort: TypeAlias = Annotated[Port, Reads(read_port)]

# --- AS numbers --------------------------------------------------------------------------------------------------


def read_as_number(data: Any) -> int:
    """A number of 32 bits, also quoted, or `"high.low"` with two of 16 bits."""
    text = str(data) if type(data) is int else data
    if type(text) is str:
        head, dot, tail = text.partition(".")
        if all(part.isascii() and part.isdigit() for part in ((head, tail) if dot else (head,))):
            if dot and int(head) <= 0xFFFF and int(tail) <= 0xFFFF:
                return int(head) << 16 | int(tail)
            if not dot and int(head) <= 0xFFFFFFFF:
                return int(head)
    remedy = 'quote it: "64512.1"' if type(data) is float else "use 0 to 4294967295, or two numbers of 16 bits with a dot"
    raise FieldProblem(f"invalid AS Number format ({read_text(data)})", remedy=remedy)


ASNumber: TypeAlias = Annotated[int, Reads(read_as_number)]

# --- addresses and networks --------------------------------------------------------------------------------------


def read_address(data: Any) -> Address:
    """One address of either family; an IPv4 address must not hide in IPv6's."""
    address = parse_address(_text(data, "an IP address"))
    if address.family is IPFamily.V6 and address.value >> 32 == 0xFFFF:
        raise FieldProblem(f"{data!r} is an IPv4 address", remedy="write it as one")
    return address


def read_address_v4(data: Any) -> Address | None:
    """An IPv4 address, or None for empty text."""
    return _of_family(data, IPFamily.V4)


def read_address_v6(data: Any) -> Address | None:
    """An IPv6 address, or None for empty text."""
    return _of_family(data, IPFamily.V6)


def _of_family(data: Any, family: IPFamily) -> Address | None:
    if data == "":
        return None
    address = read_address(data)
    if address.family is not family:
        raise FieldProblem(f"{data!r} is not an IPv{family.value} address")
    return address


def read_prefix(data: Any) -> Prefix:
    """A CIDR with or without host bits, or a bare address for its own host."""
    prefix = parse_prefix(_text(data, "a CIDR"))
    if prefix.family is IPFamily.V6 and prefix.address >> 32 == 0xFFFF:
        raise FieldProblem(f"{data!r} is an IPv4 network", remedy="write it as one")
    return prefix


def read_network(data: Any) -> Prefix:
    """A CIDR or bare address as the network that it lies in: host bits are cleared."""
    return read_prefix(data).network


def read_strict_network(data: Any) -> Prefix:
    """A CIDR without host bits, or a bare address."""
    prefix = read_prefix(data)
    if prefix.network != prefix:
        raise FieldProblem(f"{data!r} has bits set behind its prefix", remedy=f"did you mean {prefix.network}?")
    return prefix


def read_strict_cidr(data: Any) -> Prefix:
    """A CIDR without host bits; a bare address is refused, as Calico 3.7 does in rules (spec: model Q11)."""
    prefix = read_strict_network(data)
    if "/" not in data:
        raise FieldProblem(f"invalid CIDR: {data!r}", remedy=f"write {prefix}")
    return prefix


def _text(data: Any, what: str) -> str:
    if type(data) is not str:
        raise FieldProblem(f"expected {what}, not {data!r}")
    return data


AnyAddress: TypeAlias = Annotated[Address, Reads(read_address)]
AddressV4: TypeAlias = Annotated[Address | None, Reads(read_address_v4)]
AddressV6: TypeAlias = Annotated[Address | None, Reads(read_address_v6)]
LooseNet: TypeAlias = Annotated[Prefix, Reads(read_network)]
StrictNet: TypeAlias = Annotated[Prefix, Reads(read_strict_network)]
StrictCidr: TypeAlias = Annotated[Prefix, Reads(read_strict_cidr)]

# --- the rest ----------------------------------------------------------------------------------------------------


def read_selector(data: Any) -> str:
    """A selector's text, which must parse; empty text selects everything or nothing, as the place has it."""
    text = read_text(data)
    parse_selector(text)
    return text


def read_word_of(*words: str) -> Callable[[Any], str]:
    """A reader of one of these words, capitals included, or of empty text."""

    def read(data: Any) -> str:
        if data not in words and data != "":
            raise FieldProblem(f"{data!r} is not one of {', '.join(words)}", remedy=nearest(str(data), words))
        return str(data)

    return read


_MAC = re.compile(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){4})|([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}")


def read_mac(data: Any) -> bytes | None:
    """An Ethernet address in any of the spellings of Go's net.ParseMAC, or None for empty text."""
    text = _text(data, "a MAC address")
    if not text:
        return None
    if _MAC.fullmatch(text) is None:
        raise FieldProblem(f"{text!r} is not a MAC address", remedy="write it as ee:ee:ee:ee:ee:ee")
    return bytes.fromhex(re.sub("[:.-]", "", text))


_DURATION = re.compile(r"([-+]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_PART = re.compile(r"([0-9.]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS_NS = {
    "ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip


def read_duration(data: Any) -> int:
    """A duration as Go writes it, such as `1m30s`, in nanoseconds."""
    text = _text(data, "a duration such as 90s")
    sign = 1
    total = 0
    if text not in ("0", "+0", "-0"):
        found = _DURATION.fullmatch(text)
        if found is None:
            raise FieldProblem(f"{text!r} is not a duration", remedy="write it as 90s, 1m30s or 500ms")
        sign = -1 if found.group(1) == "-" else 1
        for number, unit in _PART.findall(found.group(2)):
            whole, _, fraction = number.partition(".")
            # As Go: the fraction is cut, never rounded (time.ParseDuration).
            total += int(whole or "0") * _UNITS_NS[unit]
            total += int(fraction or "0") * _UNITS_NS[unit] // 10 ** len(fraction)
    if total >= 2**63:
        raise FieldProblem(f"{text!r} is too long a duration")
    return sign * total


def read_ip_version(data: Any) -> IPFamily:
    """4 or 6."""
    if type(data) is not int or data not in (4, 6):
        raise FieldProblem(f"IP version {read_text(data)!r} is neither 4 nor 6")
    return IPFamily(data)


Mac: TypeAlias = Annotated[bytes | None, Reads(read_mac)]
SelectorText: TypeAlias = Annotated[str, Reads(read_selector)]
DurationNs: TypeAlias = Annotated[int, Reads(read_duration)]
IPVersion: TypeAlias = Annotated[IPFamily, Reads(read_ip_version)]
