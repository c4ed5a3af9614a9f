"""Option tables of the matches on layers 3 and 2, on packet bytes, and on IPv6 extension headers.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 7.3, 9.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tortie.codec.extension import Extension, Given, fill_fields, format_option, plain, test, unprinted, whole
from tortie.codec.kind import (
    ADDRESS_RANGE,
    HOST_MASK,
    INTERFACE,
    MAC,
    PREFIX,
    RAW,
    Kind,
    number,
    number_range,
    read_host,
    read_number,
    words_of,
)
from tortie.codec.match_transport import V4, V6
from tortie.codec.words import quote_always
from tortie.net.address import IPFamily, format_address
from tortie.net.error import InvalidInput
from tortie.netfilter.match import (
    AddrtypeMatch,
    BpfMatch,
    Compare,
    DevgroupMatch,
    DscpMatch,
    EcnMatch,
    Eui64Match,
    FragMatch,
    HlMatch,
    IntRange,
    IprangeMatch,
    Ipv6headerMatch,
    LengthMatch,
    MacMatch,
    OptionsMatch,
    PhysdevMatch,
    PkttypeMatch,
    PolicyElement,
    PolicyMatch,
    RealmMatch,
    RpfilterMatch,
    RtMatch,
    SrhMatch,
    StringMatch,
    Test,
    TosMatch,
    TtlMatch,
    U32Match,
    U32Test,
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

# --- packet bytes -------------------------------------------------------------------------------------------------

_U32_OPERATION = re.compile(r"\s*(&|<<|>>|@)\s*(0[xX][0-9a-fA-F]+|\d+)")
_U32_NUMBER = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+)")


_U32_LIMIT = 10
"""Tests, and operators, locations and ranges of one test (linux/netfilter/xt_u32.h)."""


def _read_u32(text: str, family: IPFamily) -> tuple[U32Test, ...]:
    tests = tuple(_read_u32_test(part) for part in text.split("&&"))
    if len(tests) > _U32_LIMIT:
        raise InvalidInput(f"u32 has up to {_U32_LIMIT} tests")
    return tests


def _read_u32_test(text: str) -> U32Test:
    location, equals, values = text.partition("=")
    first = _U32_NUMBER.match(location)
    if first is None or not equals:
        raise InvalidInput(f"not a u32 test: {text!r}")
    operations = []
    position = first.end()
    while (found := _U32_OPERATION.match(location, position)) is not None:
        operations.append((found[1], read_number(found[2])))
        position = found.end()
    if location[position:].strip():
        raise InvalidInput(f"not a u32 location: {location!r}")
    ranges = []
    for part in values.split(","):
        low, joint, high = part.strip().partition(":")
        bottom = read_number(low.strip())
        ranges.append(IntRange(bottom, read_number(high.strip()) if joint else bottom))
    if len(operations) >= _U32_LIMIT or len(ranges) > _U32_LIMIT:
        raise InvalidInput(f"u32 has up to {_U32_LIMIT} numbers on each side of a test")
    if any(sign in ("<<", ">>") and operand > 31 for sign, operand in operations):
        raise InvalidInput(f"u32 shifts by up to 31 bits: {location!r}")
    return U32Test(read_number(first[1]), tuple(operations), tuple(ranges))


def _write_u32(tests: tuple[U32Test, ...], family: IPFamily) -> str:
    return quote_always("&&".join(_write_u32_test(item) for item in tests))


def _write_u32_test(item: U32Test) -> str:
    operations = "".join(f"{sign}{operand:#x}" for sign, operand in item.operations)
    values = ",".join(
        f"{part.low:#x}" if part.low == part.high else f"{part.low:#x}:{part.high:#x}" for part in item.ranges
    )
    return f"{item.offset:#x}{operations}={values}"


_U32 = Extension("u32", U32Match, (whole("u32", Kind(_read_u32, _write_u32), "tests"),))


def _read_bytecode(text: str, family: IPFamily) -> tuple[tuple[int, int, int, int], ...]:
    count_text, _, rest = text.partition(",")
    lines = [line.split() for line in rest.rstrip(",").split(",")] if rest else []
    if read_number(count_text, 1, 64) != len(lines) or any(len(line) != 4 for line in lines):
        raise InvalidInput(f"not BPF bytecode: {text!r}")
    code = [tuple(read_number(word) for word in line) for line in lines]
    return tuple((line[0], line[1], line[2], line[3]) for line in code)


def _write_bytecode(program: tuple[tuple[int, int, int, int], ...], family: IPFamily) -> str:
    return f'"{len(program)},{",".join(" ".join(map(str, line)) for line in program)}"'


_BPF = Extension(
    "bpf",
    BpfMatch,
    one_of=("program", "pinned"),
    options=(plain("bytecode", Kind(_read_bytecode, _write_bytecode), "program"), plain("object-pinned", RAW, "pinned")),
)

_HEX_PART = re.compile(r"\|([^|]*)\||\\(.)|([^|\\])", re.DOTALL)


def _read_hex_string(text: str) -> bytes:
    found = bytearray()
    if _HEX_PART.sub("", text):
        raise InvalidInput(f"a hex block does not end: {text!r}")
    for part in _HEX_PART.finditer(text):
        digits, escaped, char = part.groups()
        if digits is not None:
            try:
                found += bytes.fromhex(digits)
            except ValueError:
                raise InvalidInput(f"not hexadecimal: {digits!r}") from None
        else:
            found += (escaped or char).encode("utf-8", "surrogateescape")
    return bytes(found)


def _build_string(given: Sequence[Given], family: IPFamily) -> StringMatch:
    filled: dict[str, object] = {}
    for item in given:
        name = item.option.name
        if name in ("string", "hex-string"):
            if "pattern" in filled:
                raise InvalidInput("string takes --string or --hex-string once")
            raw = item.argument.encode("utf-8", "surrogateescape")
            filled["pattern"] = raw if name == "string" else _read_hex_string(item.argument)
            filled["inverted"] = item.inverted
        else:
            fill_fields(filled, item, family)
    if "pattern" not in filled or "algorithm" not in filled:
        raise InvalidInput("string needs --algo and --string or --hex-string")
    pattern = filled["pattern"]
    if isinstance(pattern, bytes) and not 1 <= len(pattern) <= 128:
        raise InvalidInput("string's pattern must have 1 to 128 bytes")
    found = StringMatch(**filled)  # type: ignore[arg-type]
    if found.start > found.end:
        raise InvalidInput("string's --from lies behind --to")
    return found


def _take_apart_string(value: StringMatch, family: IPFamily) -> Iterable[str | None]:
    bang = "! " if value.inverted else ""
    if any(not 32 <= byte < 127 for byte in value.pattern) or value.pattern.endswith(b"\\"):
        yield f'{bang}--hex-string "|{value.pattern.hex()}|"'
    else:
        text = value.pattern.decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
        yield f'{bang}--string "{text}"'
    yield f"--algo {value.algorithm}"
    yield f"--from {value.start}" if value.start else None
    yield f"--to {value.end}" if value.end != 65535 else None
    yield "--icase" if value.ignore_case else None


_STRING = Extension(
    "string",
    StringMatch,
    (
        whole("string", RAW, "pattern"),
        whole("hex-string", RAW, "pattern"),
        plain("algo", words_of("bm", "kmp", "fsm"), "algorithm"),
        plain("from", number(0, 65535), "start"),
        plain("to", number(0, 65535), "end"),
        plain("icase", None, "ignore_case"),
    ),
    build=_build_string,
    take_apart=_take_apart_string,
)

# --- IPv6 extension headers ---------------------------------------------------------------------------------------


def _build_frag(given: Sequence[Given], family: IPFamily) -> FragMatch:
    filled: dict[str, Any] = {}
    for item in given:
        fill_fields(filled, item, family)
    if "more" in filled and "last" in filled:
        raise InvalidInput("frag takes one of --fragmore and --fraglast")
    return FragMatch(**filled)


_FRAG = Extension(
    "frag",
    FragMatch,
    (
        test("fragid", number_range(0xFFFFFFFF, vacuous=True), "id"),
        test("fraglen", number(), "length"),
        plain("fragres", None, "reserved"),
        plain("fragfirst", None, "first"),
        plain("fragmore", None, "more"),
        plain("fraglast", None, "last"),
    ),
    families=V6,
    build=_build_frag,
)


def _read_header_options(text: str, family: IPFamily) -> tuple[tuple[int, int | None], ...]:
    found: list[tuple[int, int | None]] = []
    for part in text.split(","):
        kind, joint, length = part.partition(":")
        size = read_number(length, 0, 255) if joint else None
        option = read_number(kind, 0, 255)
        if option == 0 and joint:
            raise InvalidInput("the option Pad1 has no length")
        found.append((option, None if size == 255 else size))
    if len(found) > 16:
        raise InvalidInput(f"too many header options: {len(found)}, 16 at most")
    return tuple(found)


def _write_header_options(value: tuple[tuple[int, int | None], ...], family: IPFamily) -> str:
    return ",".join(str(kind) if length is None else f"{kind}:{length}" for kind, length in value)


def _options_extension(name: str) -> Extension:
    return Extension(
        name,
        OptionsMatch,
        (
            test(f"{name}-len", number(), "length"),
            plain(f"{name}-opts", Kind(_read_header_options, _write_header_options), "options"),
        ),
        families=V6,
        constants={"header": name},
    )


def _read_addresses(text: str, family: IPFamily) -> tuple[int, ...]:
    return tuple(read_host(part, family) for part in text.split(","))


_ADDRESSES = Kind(_read_addresses, lambda value, family: ",".join(format_address(family, item) for item in value))


def _build_rt(given: Sequence[Given], family: IPFamily) -> RtMatch:
    filled: dict[str, Any] = {}
    for item in given:
        if item.option.name.startswith("rt-0-") and filled.get("type") != Test(0):
            raise InvalidInput(f"rt takes --{item.option.name} only behind --rt-type 0")
        fill_fields(filled, item, family)
        if item.option.name == "rt-0-not-strict" and "addresses" not in filled:
            raise InvalidInput("rt takes --rt-0-not-strict only behind --rt-0-addrs")
    return RtMatch(**filled)


_RT = Extension(
    "rt",
    RtMatch,
    (
        test("rt-type", number(), "type"),
        test("rt-segsleft", number_range(0xFFFFFFFF, vacuous=True), "segments_left"),
        test("rt-len", number(), "length"),
        plain("rt-0-res", None, "reserved"),
        plain("rt-0-addrs", _ADDRESSES, "addresses"),
        plain("rt-0-not-strict", None, "not_strict"),
    ),
    families=V6,
    build=_build_rt,
)

_HEADER_NAMES = {
    "hop": "hop-by-hop", "dst": "ipv6-opts", "route": "ipv6-route", "frag": "ipv6-frag", "auth": "ah", "esp": "esp",
    "none": "ipv6-nonxt", "prot": "protocol",
}  # fmt: skip
_HEADER_NUMBERS = {
    "0": "hop-by-hop", "43": "ipv6-route", "44": "ipv6-frag", "50": "esp", "51": "ah", "59": "ipv6-nonxt",
    "60": "ipv6-opts", "255": "protocol",
}  # fmt: skip
_HEADERS = ("hop-by-hop", "ipv6-opts", "ipv6-route", "ipv6-frag", "ah", "esp", "ipv6-nonxt", "protocol")


def _read_headers(text: str, family: IPFamily) -> tuple[str, ...]:
    found = set()
    for part in text.split(","):
        name = _HEADER_NAMES.get(part) or _HEADER_NUMBERS.get(part) or part
        if name not in _HEADERS:
            raise InvalidInput(f"unknown IPv6 header: {part!r}")
        found.add(name)
    return tuple(name for name in _HEADERS if name in found)


_IPV6HEADER = Extension(
    "ipv6header",
    Ipv6headerMatch,
    (whole("header", Kind(_read_headers, lambda value, _: ",".join(value)), "headers"), plain("soft", None, "soft")),
    families=V6,
)
_EUI64 = Extension("eui64", Eui64Match, families=V6)

_SRH_STEMS = ("srh-hdr-len", "srh-segs-left", "srh-last-entry")
_SRH_NUMBERS = tuple(f"{stem}-{compare}" for stem in _SRH_STEMS for compare in ("eq", "gt", "lt"))
_SRH_NETS = ("srh-psid", "srh-nsid", "srh-lsid")
_SRH_NAMES = ("srh-next-hdr", *_SRH_NUMBERS, "srh-tag", *_SRH_NETS)


def _build_srh(given: Sequence[Given], family: IPFamily) -> SrhMatch:
    found: dict[str, tuple[str, str, bool]] = {}
    for item in given:
        name, text = item.option.name, item.argument
        if name in _SRH_NETS:
            text = PREFIX.write(PREFIX.read(text, family), family)
        elif name == "srh-next-hdr":
            text = str(read_number(text, 0, 255))
        else:
            text = str(read_number(text, 0, 65535 if name == "srh-tag" else 255))
        found[name] = (name, text, item.inverted)
    for stem in _SRH_STEMS:
        if len({found[name][1] for name in found if name.startswith(stem)}) > 1:
            raise InvalidInput(f"srh keeps one number for all --{stem} tests")
    return SrhMatch(tuple(found[name] for name in _SRH_NAMES if name in found))


def _take_apart_srh(value: SrhMatch, family: IPFamily) -> Iterable[str | None]:
    for name, text, inverted in value.options:
        yield f"{'! ' if inverted else ''}--{name} {text}"


_SRH = Extension(
    "srh",
    SrhMatch,
    tuple(test(name, RAW, "options") for name in _SRH_NAMES),
    families=V6,
    build=_build_srh,
    take_apart=_take_apart_srh,
)

NETWORK_MATCHES: tuple[Extension, ...] = (
    _LENGTH, _TTL, _HL, _TOS, _DSCP, _ECN, _IPRANGE, _MAC, _PKTTYPE, _ADDRTYPE, _RPFILTER, _PHYSDEV, _DEVGROUP, _REALM,
    _POLICY, _U32, _BPF, _STRING, _FRAG, _options_extension("hbh"), _options_extension("dst"), _RT, _IPV6HEADER, _EUI64,
    _SRH,
)  # fmt: skip
"""Every match on layers 3 and 2."""
