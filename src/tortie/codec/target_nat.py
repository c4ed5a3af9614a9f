"""Option tables of the NAT targets.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 5, 6).
"""

from __future__ import annotations

from tortie.codec.extension import Extension, plain
from tortie.codec.kind import (
    PREFIX,
    Kind,
    read_address,
    read_number,
    read_port,
)
from tortie.net.address import AddressMask, IPFamily, format_address
from tortie.net.error import InvalidInput
from tortie.netfilter.match import IntRange
from tortie.netfilter.target import (
    Dnat,
    Masquerade,
    NatRange,
    Netmap,
    Redirect,
    Snat,
)


def _read_port_range(text: str) -> tuple[int, int]:
    """`port` or `low-high`; only a single port may be a service's name."""
    low_text, dash, high_text = text.partition("-")
    if not dash:
        port = read_port(text)
        return port, port
    low, high = read_number(low_text, 0, 65535), read_number(high_text, 0, 65535)
    if low > high:
        raise InvalidInput(f"port range runs backwards: {text!r}")
    return low, high


def read_nat_range(text: str, family: IPFamily) -> NatRange:
    """`[address[-address]][:port[-port[/base]]]`, addresses in brackets where IPv6 has a port; raises `InvalidInput`."""
    addresses, ports = _split_nat_range(text, family)
    filled: dict[str, int] = {}
    if addresses:
        low, dash, high = addresses.partition("-")
        filled["low"] = read_address(low, family)
        filled["high"] = read_address(high, family) if dash else filled["low"]
    if ports is not None:
        span, slash, base = ports.partition("/")
        filled["low_port"], filled["high_port"] = _read_port_range(span)
        if slash:
            if "-" not in span:
                raise InvalidInput(f"only a range of ports can be shifted: {text!r}")
            filled["base_port"] = read_port(base)
    if not filled or filled.get("base_port") == 0:
        raise InvalidInput(f"not an address or port: {text!r}")
    return NatRange(**filled)


def _split_nat_range(text: str, family: IPFamily) -> tuple[str, str | None]:
    """The addresses and what stands behind the colon, None when there is none."""
    if text.startswith("[") and family is IPFamily.V6:
        addresses, closing, rest = text[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise InvalidInput(f"not an address and port: {text!r}")
        return addresses, rest[1:] if rest else None
    if text.startswith(":") and (family is IPFamily.V4 or text.count(":") == 1):
        return "", text[1:]
    if family is IPFamily.V6:
        return text, None
    addresses, colon, ports = text.partition(":")
    return addresses, ports if colon else None


def write_nat_range(value: NatRange, family: IPFamily) -> str:
    """A NAT range as printed."""
    text = ""
    if value.low is not None and value.high is not None:
        text = format_address(family, value.low)
        if value.high != value.low:
            text += f"-{format_address(family, value.high)}"
        if family is IPFamily.V6 and value.low_port is not None:
            text = f"[{text}]"
    if value.low_port is not None:
        text += f":{value.low_port}"
        if value.high_port != value.low_port:
            text += f"-{value.high_port}"
        if value.base_port is not None:
            text += f"/{value.base_port}"
    return text


def _read_snat_range(text: str, family: IPFamily) -> NatRange:
    found = read_nat_range(text, family)
    if found.base_port is not None:
        raise InvalidInput("SNAT cannot shift ports")
    return found


_SNAT_RANGE = Kind(_read_snat_range, write_nat_range)
_NAT_RANGE = Kind(read_nat_range, write_nat_range)
_RANDOM = plain("random", None, "random")
_RANDOM_FULLY = plain("random-fully", None, "random_fully")
_PERSISTENT = plain("persistent", None, "persistent")


def _read_to_ports(text: str, family: IPFamily) -> IntRange:
    return IntRange(*_read_port_range(text))


_TO_PORTS = plain(
    "to-ports",
    Kind(_read_to_ports, lambda value, _: str(value.low) if value.low == value.high else f"{value.low}-{value.high}"),
    "ports",
)
_SNAT = Extension("SNAT", Snat, (plain("to-source", _SNAT_RANGE, "range"), _RANDOM, _RANDOM_FULLY, _PERSISTENT))
_DNAT = Extension("DNAT", Dnat, (plain("to-destination", _NAT_RANGE, "range"), _RANDOM, _PERSISTENT))
_MASQUERADE = Extension("MASQUERADE", Masquerade, (_TO_PORTS, _RANDOM, _RANDOM_FULLY))
_REDIRECT = Extension("REDIRECT", Redirect, (_TO_PORTS, _RANDOM))


def _read_netmap(text: str, family: IPFamily) -> AddressMask:
    found: AddressMask = PREFIX.read(text, family)
    return AddressMask(family, found.value & found.mask, found.mask)


_NETMAP = Extension("NETMAP", Netmap, (plain("to", Kind(_read_netmap, PREFIX.write), "net"),))


NAT_TARGETS: tuple[Extension, ...] = (_SNAT, _DNAT, _MASQUERADE, _REDIRECT, _NETMAP)
"""Every target that translates addresses."""
