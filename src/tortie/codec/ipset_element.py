"""One member of an ip set as text: `10.0.0.0/8,tcp:80`, without its extensions.

Reading is done by a function made once for each set, since sets of a hundred thousand members are usual; parts that come
again (ports, the nets of a pair) are read once. Forms that only people write (`10.0.0.0/30` in a set of addresses,
`10.0.0.1-10.0.0.9`, `tcp:80-90`) become the several elements that the kernel would hold (spec: netfilter 8.3).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

from tortie.net.address import IPFamily, Prefix, format_address, parse_ipv4, parse_ipv6
from tortie.net.error import InvalidInput
from tortie.net.protocol import ICMP, ICMPV6, TCP, parse_protocol, protocol_name
from tortie.netfilter.ipset import IfacePart, MacPart, MarkPart, NamePart, Part, PortPart

ElementReader = Callable[[str], list[tuple[Part, ...]]]
"""From a member's text to its elements, nearly always one; raises `InvalidInput`, or `UnknownWord` for a name."""

MOST_ELEMENTS = 1 << 16
"""More elements than this for one member are refused."""


class UnknownWord(Exception):
    """A protocol, ICMP type or extension that this version of Tortie has no meaning for."""


ICMP_NAMES: dict[int, str] = {
    0x0000: "echo-reply", 0x0300: "network-unreachable", 0x0301: "host-unreachable", 0x0302: "protocol-unreachable",
    0x0303: "port-unreachable", 0x0304: "fragmentation-needed", 0x0305: "source-route-failed", 0x0306: "network-unknown",
    0x0307: "host-unknown", 0x0309: "network-prohibited", 0x030A: "host-prohibited", 0x030B: "TOS-network-unreachable",
    0x030C: "TOS-host-unreachable", 0x030D: "communication-prohibited", 0x030E: "host-precedence-violation",
    0x030F: "precedence-cutoff", 0x0400: "source-quench", 0x0500: "network-redirect", 0x0501: "host-redirect",
    0x0502: "TOS-network-redirect", 0x0503: "TOS-host-redirect", 0x0800: "echo-request", 0x0900: "router-advertisement",
    0x0A00: "router-solicitation", 0x0B00: "ttl-zero-during-transit", 0x0B01: "ttl-zero-during-reassembly",
    0x0C00: "ip-header-bad", 0x0C01: "required-option-missing", 0x0D00: "timestamp-request", 0x0E00: "timestamp-reply",
    0x1100: "address-mask-request", 0x1200: "address-mask-reply",
}  # fmt: skip
"""Type * 256 + code to the name that ipset 7.17 prints."""
ICMPV6_NAMES: dict[int, str] = {
    0x0100: "no-route", 0x0101: "communication-prohibited", 0x0103: "address-unreachable", 0x0104: "port-unreachable",
    0x0200: "packet-too-big", 0x0300: "ttl-zero-during-transit", 0x0301: "ttl-zero-during-reassembly",
    0x0400: "bad-header", 0x0401: "unknown-header-type", 0x0402: "unknown-option", 0x8000: "echo-request",
    0x8100: "echo-reply", 0x8500: "router-solicitation", 0x8600: "router-advertisement",
    0x8700: "neighbour-solicitation", 0x8800: "neighbour-advertisement", 0x8900: "redirect",
}  # fmt: skip
_ICMP_CODES = {name: code for code, name in ICMP_NAMES.items()} | {"pong": 0, "ping": 0x0800}
_ICMPV6_CODES = {name: code for code, name in ICMPV6_NAMES.items()}

_PORT_RANGE = re.compile(r"(?:(.*):)?([0-9]+)-([0-9]+)")
_ICMP_NUMBERS = re.compile(r"([0-9]{1,3})/([0-9]{1,3})")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
_MARK = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}")


def element_reader(dimensions: tuple[str, ...], family: IPFamily | None, *, any_protocol: bool = False) -> ElementReader:
    """The reader of a set type's members; bitmaps, which have no family, hold IPv4. `any_protocol`: ports are bare."""
    family = family or IPFamily.V4
    single = {
        "ip": _ip_reader(family),
        "net": _net_reader(family),
        "port": _read_bare_port if any_protocol else _read_port,
        "iface": _read_iface,
        "mac": _read_mac,
        "mark": _read_mark,
        "set": NamePart,
    }
    readers = [single[dimension] for dimension in dimensions]
    optional = dimensions == ("ip", "mac")
    known: list[dict[str, Part]] = [{} for _ in dimensions]

    def read(text: str) -> list[tuple[Part, ...]]:
        texts = text.split(",", len(readers) - 1)
        if len(texts) != len(readers):
            if not (optional and len(texts) == len(readers) - 1):
                raise InvalidInput(f"a member of {len(readers)} parts is wanted, not {text!r}")
            texts.append("")
        parts = [seen.get(part) for seen, part in zip(known, texts, strict=True)]
        for place, part in enumerate(parts):
            if part is not None:
                continue
            if _is_range(dimensions[place], texts[place]):
                return _expand(dimensions, texts, family, readers)
            known[place][texts[place]] = parts[place] = readers[place](texts[place])
        return [tuple([part for part in parts if part is not None])]

    if dimensions == ("ip",):
        return _one_address(family, read)
    if dimensions == ("net",):
        return _one_network(family, read)
    return read


def _one_address(family: IPFamily, general: ElementReader) -> ElementReader:
    """A short cut for sets of addresses."""
    parse, bits = (parse_ipv4, 32) if family is IPFamily.V4 else (parse_ipv6, 128)

    def read(text: str) -> list[tuple[Part, ...]]:
        if "/" in text or "-" in text:
            return general(text)
        return [(Prefix(family, parse(text), bits),)]

    return read


def _one_network(family: IPFamily, general: ElementReader) -> ElementReader:
    """A short cut for sets of networks."""
    net = _net_reader(family)

    def read(text: str) -> list[tuple[Part, ...]]:
        return general(text) if "-" in text else [(net(text),)]

    return read


# --- one dimension -----------------------------------------------------------------------------------------------


def _ip_reader(family: IPFamily) -> Callable[[str], Part]:
    parse, bits = (parse_ipv4, 32) if family is IPFamily.V4 else (parse_ipv6, 128)
    return lambda text: Prefix(family, parse(text), bits)


def _net_reader(family: IPFamily) -> Callable[[str], Part]:
    parse, bits = (parse_ipv4, 32) if family is IPFamily.V4 else (parse_ipv6, 128)
    lengths = {str(length): length for length in range(bits + 1)}

    def read(text: str) -> Prefix:
        head, slash, tail = text.partition("/")
        value = parse(head)
        if not slash:
            return Prefix(family, value, bits)
        length = lengths.get(tail)
        if length is None:
            raise InvalidInput(f"not a prefix length: {text!r}")
        host = bits - length
        return Prefix(family, value >> host << host, length)

    return read


def _read_port(text: str) -> PortPart:
    name, colon, tail = text.rpartition(":")
    if not colon:
        return PortPart(TCP, _port_number(text))  # "if no protocol is given, TCP" (ipset(8), hash:ip,port)
    try:
        proto = parse_protocol(name)
    except InvalidInput:
        raise UnknownWord(f"protocol {name!r}") from None
    if proto in (ICMP, ICMPV6):
        return PortPart(proto, _icmp_number(tail, _ICMP_CODES if proto == ICMP else _ICMPV6_CODES))
    return PortPart(proto, _port_number(tail))


def _read_bare_port(text: str) -> PortPart:
    return PortPart(None, _port_number(text.rpartition(":")[2]))


def _port_number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 0xFFFF:
        return int(text)
    raise InvalidInput(f"not a port number: {text!r}")


def _icmp_number(text: str, names: dict[str, int]) -> int:
    numbers = _ICMP_NUMBERS.fullmatch(text)
    if numbers is not None and int(numbers[1]) <= 255 and int(numbers[2]) <= 255:
        return int(numbers[1]) << 8 | int(numbers[2])
    if text not in names:
        raise UnknownWord(f"ICMP type {text!r}")
    return names[text]


def _read_iface(text: str) -> IfacePart:
    physdev = text.startswith("physdev:")
    name = text[8:] if physdev else text
    if not 0 < len(name.encode()) <= 15:
        raise InvalidInput(f"not an interface name: {name!r}")
    return IfacePart(name, physdev=physdev)


def _read_mac(text: str) -> MacPart:
    if not text:
        return MacPart(None)
    if _MAC.fullmatch(text) is None:
        raise InvalidInput(f"not a MAC address: {text!r}")
    return MacPart(bytes.fromhex(text.replace(":", "")))


def _read_mark(text: str) -> MarkPart:
    if _MARK.fullmatch(text) is None or int(text, 0 if "x" in text.lower() else 10) > 0xFFFFFFFF:
        raise InvalidInput(f"not a mark: {text!r}")
    return MarkPart(int(text, 0 if "x" in text.lower() else 10))


# --- several elements at once ------------------------------------------------------------------------------------


def _is_range(dimension: str, text: str) -> bool:
    if dimension == "ip":
        return "/" in text or "-" in text
    if dimension == "net":
        return "-" in text
    return dimension == "port" and "-" in text and _PORT_RANGE.fullmatch(text) is not None


def _expand(
    dimensions: tuple[str, ...], texts: list[str], family: IPFamily, readers: list[Callable[[str], Part]]
) -> list[tuple[Part, ...]]:
    choices: list[list[Part]] = []
    count = 1
    for dimension, text, reader in zip(dimensions, texts, readers, strict=True):
        if not _is_range(dimension, text):
            choices.append([reader(text)])
        elif dimension == "port":
            choices.append(list(_ports(text, reader)))
        elif dimension == "ip":
            low, high = _bounds(text, family)
            if high - low >= MOST_ELEMENTS:
                raise InvalidInput(f"{text} stands for more than {MOST_ELEMENTS} elements")
            choices.append([Prefix(family, value, family.bits) for value in range(low, high + 1)])
        else:
            choices.append(list(_prefixes(*_bounds(text, family), family)))
        count *= len(choices[-1])
    if count > MOST_ELEMENTS:
        raise InvalidInput(f"{','.join(texts)} stands for more than {MOST_ELEMENTS} elements")
    return list(itertools.product(*choices))


def _bounds(text: str, family: IPFamily) -> tuple[int, int]:
    """First and last address of `a-b` or `a/n`."""
    parse = parse_ipv4 if family is IPFamily.V4 else parse_ipv6
    head, dash, tail = text.partition("-")
    if dash:
        low, high = parse(head), parse(tail)
        return min(low, high), max(low, high)
    net = _net_reader(family)(text)
    assert isinstance(net, Prefix)
    return net.address, net.address | net.mask ^ family.all_ones


def _prefixes(low: int, high: int, family: IPFamily) -> Iterator[Prefix]:
    """The fewest prefixes that cover exactly `low` to `high`."""
    while low <= high:
        host = min((low & -low).bit_length() - 1 if low else family.bits, (high - low + 1).bit_length() - 1)
        yield Prefix(family, low, family.bits - host)
        low += 1 << host


def _ports(text: str, reader: Callable[[str], Part]) -> Iterator[Part]:
    found = _PORT_RANGE.fullmatch(text)
    assert found is not None
    low, high = sorted((_port_number(found[2]), _port_number(found[3])))
    head = f"{found[1]}:" if found[1] else ""
    return (reader(f"{head}{port}") for port in range(low, high + 1))


# --- writing -----------------------------------------------------------------------------------------------------


def format_element(parts: tuple[Part, ...]) -> str:
    """A member as ipset prints it, without extensions: `10.0.0.1,tcp:80`."""
    if len(parts) == 1:
        return _format_part(parts[0])
    return ",".join([text for part in parts if (text := _format_part(part))])


def _format_part(part: Part) -> str:
    match part:
        case Prefix(family, address, length):
            text = format_address(family, address)
            return text if length == family.bits else f"{text}/{length}"
        case PortPart():
            return _format_port(part)
        case IfacePart(name, physdev):
            return f"physdev:{name}" if physdev else name
        case MacPart(address):
            return "" if address is None else address.hex(":").upper()
        case MarkPart(value):
            return f"0x{value:08x}"
        case NamePart(name):
            return name


def _format_port(part: PortPart) -> str:
    if part.proto is None:
        return str(part.port)
    names = ICMP_NAMES if part.proto == ICMP else ICMPV6_NAMES if part.proto == ICMPV6 else None
    if names is None:
        return f"{protocol_name(part.proto)}:{part.port}"
    return f"{protocol_name(part.proto)}:{names.get(part.port) or f'{part.port >> 8}/{part.port & 255}'}"
