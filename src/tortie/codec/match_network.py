"""Option tables of the matches on layers 3 and 2, devices, routes and IPsec policies.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 7.3, 9.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tortie.codec.extension import Extension, Given, fill_fields, format_option, plain, test, unprinted, whole
from tortie.codec.kind import (
    ADDRESS_RANGE,
    HOST_MASK,
    INTERFACE,
    MAC,
    RAW,
    Kind,
    number,
    number_range,
    read_number,
    words_of,
)
from tortie.codec.match_transport import V4, V6
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.match import (
    AddrtypeMatch,
    Compare,
    DevgroupMatch,
    DscpMatch,
    EcnMatch,
    HlMatch,
    IprangeMatch,
    LengthMatch,
    MacMatch,
    PhysdevMatch,
    PkttypeMatch,
    PolicyElement,
    PolicyMatch,
    RealmMatch,
    RpfilterMatch,
    TosMatch,
    TtlMatch,
)

_LENGTH = Extension("length", LengthMatch, (whole("length", number_range(65535), "length"),))


def _hop_options(prefix: str) -> tuple:  # type: ignore[type-arg]
    byte = number(0, 255)
    equal = whole(f"{prefix}-eq", byte, "value", compare=Compare.EQ)
    return (
        equal,
        plain(f"{prefix}-lt", byte, "value", compare=Compare.LT),
        plain(f"{prefix}-gt", byte, "value", compare=Compare.GT),
        *unprinted(equal, prefix),
    )


_TTL = Extension("ttl", TtlMatch, _hop_options("ttl"), families=V4)
_HL = Extension("hl", HlMatch, _hop_options("hl"), families=V6)

# --- tos, dscp, ecn -----------------------------------------------------------------------------------------------

TOS_NAMES = {
    "Minimize-Delay": 0x10,
    "Maximize-Throughput": 0x08,
    "Maximize-Reliability": 0x04,
    "Minimize-Cost": 0x02,
    "Normal-Service": 0x00,
}
"""TOS values by name; a name has the mask 0x3f (spec: netfilter 7.3)."""


def read_tos(text: str, family: IPFamily) -> tuple[int, int]:
    """TOS value and mask; a number without a mask tests all eight bits."""
    if not text[:1].isdigit():
        for name, value in TOS_NAMES.items():
            if name.lower() == text.lower():
                return value, 0x3F
        raise InvalidInput(f"unknown TOS name: {text!r}", remedy=f"names are {', '.join(TOS_NAMES)}")
    value_text, slash, mask_text = text.partition("/")
    return read_number(value_text, 0, 255), read_number(mask_text, 0, 255) if slash else 0xFF


TOS_KIND = Kind(read_tos, lambda value, _: f"{value[0]:#04x}/{value[1]:#04x}")
"""TOS value with its mask."""
_TOS = Extension("tos", TosMatch, (whole("tos", TOS_KIND, "value", "mask"),))

DSCP_CLASSES: dict[str, int] = {
    **{f"CS{number}": number * 8 for number in range(8)},
    "BE": 0,
    **{f"AF{row}{column}": row * 8 + column * 2 for row in range(1, 5) for column in range(1, 4)},
    "EF": 0x2E,
}
"""DSCP values by class name (RFC 2474, 2597, 3246)."""


def _read_dscp_class(text: str, family: IPFamily) -> int:
    if text.upper() not in DSCP_CLASSES:
        raise InvalidInput(f"unknown DSCP class: {text!r}")
    return DSCP_CLASSES[text.upper()]


DSCP_KIND = number(0, 63, "#04x")
"""A DSCP value."""
DSCP_CLASS_KIND = Kind(_read_dscp_class, DSCP_KIND.write)
"""A DSCP class name."""
_DSCP = Extension(
    "dscp",
    DscpMatch,
    (whole("dscp", DSCP_KIND, "value"), *unprinted(whole("dscp-class", DSCP_CLASS_KIND, "value"), "dscp-class")),
)
_ECN = Extension(
    "ecn",
    EcnMatch,
    (test("ecn-tcp-ece", None, "ece"), test("ecn-tcp-cwr", None, "cwr"), test("ecn-ip-ect", number(0, 3), "ect")),
    one_of=("ece", "cwr", "ect"),
)


# --- addresses and devices ----------------------------------------------------------------------------------------

_IPRANGE = Extension(
    "iprange",
    IprangeMatch,
    (test("src-range", ADDRESS_RANGE, "source"), test("dst-range", ADDRESS_RANGE, "destination")),
    one_of=("source", "destination"),
)
_MAC = Extension("mac", MacMatch, (whole("mac-source", MAC, "address"),))

_PKTTYPES = {
    "unicast": "unicast", "host": "unicast", "broadcast": "broadcast", "bcast": "broadcast", "multicast": "multicast",
    "mcast": "multicast", "otherhost": "otherhost",
}  # fmt: skip


def _read_pkttype(text: str, family: IPFamily) -> str:
    if text.lower() not in _PKTTYPES:
        raise InvalidInput(f"unknown packet type: {text!r}", remedy="types are unicast, broadcast, multicast")
    return _PKTTYPES[text.lower()]


_PKTTYPE = Extension("pkttype", PkttypeMatch, (whole("pkt-type", Kind(_read_pkttype, RAW.write), "type"),))

ADDRESS_TYPES = (
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW",
    "NAT", "XRESOLVE",
)  # fmt: skip
"""Address types of addrtype in printed order."""
_IPV4_ONLY_TYPES = ("BROADCAST", "BLACKHOLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE")


def _read_address_types(text: str, family: IPFamily) -> tuple[str, ...]:
    found = set()
    for part in text.upper().split(","):
        name = next((name for name in ADDRESS_TYPES if part and name.startswith(part)), None)
        if name is None or (family is IPFamily.V6 and name in _IPV4_ONLY_TYPES):
            raise InvalidInput(f"not an address type of IPv{family.value}: {part!r}")
        found.add(name)
    return tuple(name for name in ADDRESS_TYPES if name in found)


_ADDRESS_TYPE_LIST = Kind(_read_address_types, lambda value, _: ",".join(value))
_ADDRTYPE = Extension(
    "addrtype",
    AddrtypeMatch,
    (
        test("src-type", _ADDRESS_TYPE_LIST, "source"),
        test("dst-type", _ADDRESS_TYPE_LIST, "destination"),
        plain("limit-iface-in", None, "limit_iface_in"),
        plain("limit-iface-out", None, "limit_iface_out"),
    ),
    one_of=("source", "destination"),
)
_RPFILTER = Extension(
    "rpfilter",
    RpfilterMatch,
    (
        plain("loose", None, "loose"),
        plain("validmark", None, "validmark"),
        plain("accept-local", None, "accept_local"),
        plain("invert", None, "inverted"),
    ),
)
_PHYSDEV = Extension(
    "physdev",
    PhysdevMatch,
    (
        test("physdev-is-in", None, "is_in"),
        test("physdev-in", INTERFACE, "in_dev"),
        test("physdev-is-out", None, "is_out"),
        test("physdev-out", INTERFACE, "out_dev"),
        test("physdev-is-bridged", None, "is_bridged"),
    ),
    one_of=("in_dev", "out_dev", "is_in", "is_out", "is_bridged"),
)


def _named_number(name: str) -> Kind:
    """Value and mask; 0 without a mask goes by the name it has in iproute2's tables."""

    def read(text: str, family: IPFamily) -> tuple[int, int]:
        if text == name:
            return 0, 0xFFFFFFFF
        value, slash, mask = text.partition("/")
        return read_number(value), read_number(mask) if slash else 0xFFFFFFFF

    def write(value: tuple[int, int], family: IPFamily) -> str:
        number, mask = value
        if mask != 0xFFFFFFFF:
            return f"{number:#x}/{mask:#x}"
        return f"{number:#x}" if number else name

    return Kind(read, write)


_GROUP = _named_number("default")
_DEVGROUP = Extension(
    "devgroup",
    DevgroupMatch,
    (test("src-group", _GROUP, "source"), test("dst-group", _GROUP, "destination")),
    one_of=("source", "destination"),
)
_REALM = Extension("realm", RealmMatch, (whole("realm", _named_number("cosmos"), "value", "mask"),), families=V4)


# --- policy -------------------------------------------------------------------------------------------------------

_IPSEC_PROTOCOLS = {"ah": 51, "esp": 50, "ipcomp": 108}


def _read_ipsec_protocol(text: str, family: IPFamily) -> int:
    if text in _IPSEC_PROTOCOLS:
        return _IPSEC_PROTOCOLS[text]
    found = read_number(text, 0, 255)
    if found not in _IPSEC_PROTOCOLS.values():
        raise InvalidInput(f"protocol {text!r} is none of IPsec's", remedy="use ah, esp or ipcomp")
    return found


_IPSEC_PROTOCOL = Kind(
    _read_ipsec_protocol, lambda value, _: next(name for name, proto in _IPSEC_PROTOCOLS.items() if proto == value)
)
_ELEMENT = tuple(
    replace(option, repeatable=True)
    for option in (
        test("reqid", number(), "reqid"),
        test("spi", number(form="#x"), "spi"),
        test("proto", _IPSEC_PROTOCOL, "proto"),
        test("mode", words_of("transport", "tunnel"), "mode"),
        test("tunnel-dst", HOST_MASK, "tunnel_destination"),
        test("tunnel-src", HOST_MASK, "tunnel_source"),
    )
)
_POLICY_HEAD = (
    plain("dir", words_of("in", "out"), "direction"),
    plain("pol", words_of("none", "ipsec"), "policy"),
    plain("strict", None, "strict"),
)
_NEXT = replace(plain("next", None), repeatable=True)


_DEEPEST_POLICY = 4


def _check_policy(strict: bool, policy: str, elements: Sequence[PolicyElement]) -> None:
    if len(elements) > 1 and not strict:
        raise InvalidInput("policy allows --next only with --strict")
    if len(elements) > _DEEPEST_POLICY:
        raise InvalidInput(f"policy has up to {_DEEPEST_POLICY} elements")
    if strict and (policy == "none" or PolicyElement() in elements):
        raise InvalidInput("policy --strict needs --pol ipsec and an option in every element")
    for element in elements:
        tunnel = element.mode is not None and (element.mode.value == "tunnel") is not element.mode.inverted
        if (element.tunnel_source or element.tunnel_destination) and not tunnel:
            raise InvalidInput("policy takes tunnel addresses only with --mode tunnel")


def _build_policy(given: Sequence[Given], family: IPFamily) -> PolicyMatch:
    head: dict[str, object] = {}
    elements: list[dict[str, object]] = [{}]
    for item in given:
        if item.option.name == "next":
            elements.append({})
        else:
            fill_fields(head if item.option in _POLICY_HEAD else elements[-1], item, family)
    if "direction" not in head:
        raise InvalidInput("policy needs --dir")
    strict, policy = bool(head.get("strict", False)), str(head.get("policy", "ipsec"))
    built = tuple(PolicyElement(**element) for element in elements)  # type: ignore[arg-type]
    _check_policy(strict, policy, built)
    if built == (PolicyElement(),) or policy == "none":
        built = ()
    return PolicyMatch(str(head["direction"]), policy, strict, built)


def _take_apart_policy(value: PolicyMatch, family: IPFamily) -> Iterable[str | None]:
    yield f"--dir {value.direction} --pol {value.policy}"
    yield "--strict" if value.strict else None
    for place, element in enumerate(value.elements):
        if place:
            yield "--next"
        for option in _ELEMENT:
            yield format_option(option, element, family, {option.fields[0]: None})


_POLICY = Extension(
    "policy",
    PolicyMatch,
    (*_POLICY_HEAD, *_ELEMENT, _NEXT),
    build=_build_policy,
    take_apart=_take_apart_policy,
)


NETWORK_MATCHES: tuple[Extension, ...] = (
    _LENGTH, _TTL, _HL, _TOS, _DSCP, _ECN, _IPRANGE, _MAC, _PKTTYPE, _ADDRTYPE, _RPFILTER, _PHYSDEV, _DEVGROUP, _REALM,
    _POLICY,
)  # fmt: skip
"""Every match on layers 3 and 2."""
