"""Option tables of the matches on layer 4: tcp, udp, sctp, dccp, icmp, multiport, ah, esp and their kin.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 7.2, 9.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tortie.codec.extension import Extension, Given, filled_fields, plain, test, unprinted, whole
from tortie.codec.kind import PORT_LIST, Kind, name_list, number, number_range, ports, read_number
from tortie.codec.service import SCTP_SERVICES, TCP_SERVICES
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.protocol import TCP_FLAGS
from tortie.netfilter.match import (
    AhMatch,
    DccpMatch,
    EspMatch,
    Icmp6Match,
    IcmpMatch,
    IntRange,
    IpcompMatch,
    MhMatch,
    MultiportMatch,
    PortSide,
    SctpChunksTest,
    SctpMatch,
    TcpFlagsTest,
    TcpMatch,
    TcpmssMatch,
    Test,
    UdpMatch,
)

V4, V6 = (IPFamily.V4,), (IPFamily.V6,)

_SPI = number_range(0xFFFFFFFF, vacuous=True)

# --- tcp ----------------------------------------------------------------------------------------------------------

_ALL_FLAGS = sum(TCP_FLAGS.values())


def _read_flag_set(text: str) -> int:
    bits = 0
    for name in text.upper().split(","):
        if name == "ALL":
            bits |= _ALL_FLAGS
        elif name != "NONE":
            if name not in TCP_FLAGS:
                raise InvalidInput(f"unknown TCP flag: {name!r}", remedy="flags are SYN ACK FIN RST URG PSH ALL NONE")
            bits |= TCP_FLAGS[name]
    return bits


def _write_flag_set(bits: int) -> str:
    return ",".join(name for name, bit in TCP_FLAGS.items() if bits & bit) or "NONE"


def _read_flags(text: str, family: IPFamily) -> TcpFlagsTest:
    mask, _, compare = text.partition(" ")
    return TcpFlagsTest(_read_flag_set(mask), _read_flag_set(compare))


TCP_FLAGS_KIND = Kind(
    _read_flags,
    lambda value, _: f"{_write_flag_set(value.mask)} {_write_flag_set(value.compare)}",
    words=2,
    vacuous=TcpFlagsTest(0, 0),
    inverts=True,
)
_SYN = Kind(lambda text, _: TcpFlagsTest(0x17, 0x02), lambda value, _: "", words=0)

_TCP_SPORT = test("sport", ports(TCP_SERVICES, upward=True, vacuous=True), "source_ports")
_TCP_DPORT = test("dport", ports(TCP_SERVICES, upward=True, vacuous=True), "destination_ports")
TCP = Extension(
    "tcp",
    TcpMatch,
    (
        _TCP_SPORT,
        _TCP_DPORT,
        test("tcp-option", number(1, 255), "option"),
        test("tcp-flags", TCP_FLAGS_KIND, "flags"),
        *unprinted(test("syn", _SYN, "flags"), "syn"),
        *unprinted(_TCP_SPORT, "source-port"),
        *unprinted(_TCP_DPORT, "destination-port"),
    ),
)

# --- udp, sctp, dccp ----------------------------------------------------------------------------------------------

_UDP_SPORT = test("sport", ports(vacuous=True), "source_ports")
_UDP_DPORT = test("dport", ports(vacuous=True), "destination_ports")
UDP = Extension(
    "udp",
    UdpMatch,
    (_UDP_SPORT, _UDP_DPORT, *unprinted(_UDP_SPORT, "source-port"), *unprinted(_UDP_DPORT, "destination-port")),
)

_CHUNKS = (
    "DATA", "INIT", "INIT_ACK", "SACK", "HEARTBEAT", "HEARTBEAT_ACK", "ABORT", "SHUTDOWN", "SHUTDOWN_ACK", "ERROR",
    "COOKIE_ECHO", "COOKIE_ACK", "ECN_ECNE", "ECN_CWR", "SHUTDOWN_COMPLETE", "I_DATA", "ASCONF_ACK", "RE_CONFIG", "PAD",
    "FORWARD_TSN", "ASCONF",
)  # fmt: skip
"""SCTP chunk types in ascending order of their numbers, which is how they are printed."""
_CHUNK_FLAGS = {"DATA": "IUBE", "ABORT": "T", "SHUTDOWN_COMPLETE": "T"}
"""The letters each chunk's flags have, from bit 3 down; a small letter asks that the bit is clear.

iptables 1.8.9 takes those of I_DATA and then forgets to print them, so they are refused.
"""


def _read_chunks(text: str, family: IPFamily) -> SctpChunksTest:
    mode, _, names = text.partition(" ")
    mode = mode.lower()
    if mode not in ("any", "all", "only"):
        raise InvalidInput(f"not one of any, all, only: {mode!r}")
    if names.upper() in ("ALL", "NONE"):
        return SctpChunksTest(mode, ((names.upper(), ""),))
    found: dict[str, str] = {}
    for part in names.split(","):
        name, joint, flags = part.upper().partition(":")[0], ":" in part, part.partition(":")[2]
        if name not in _CHUNKS:
            raise InvalidInput(f"unknown SCTP chunk type: {name!r}")
        letters = _CHUNK_FLAGS.get(name, "")
        if (joint and not letters) or any(flag.upper() not in letters for flag in flags):
            raise InvalidInput(f"flags do not fit the SCTP chunk type: {part!r}")
        given = {flag.upper(): flag for flag in reversed(flags)}
        found[name] = "".join(given[letter] for letter in letters if letter in given)
    return SctpChunksTest(mode, tuple((name, found[name]) for name in _CHUNKS if name in found))


def _write_chunks(value: SctpChunksTest, family: IPFamily) -> str:
    return f"{value.mode} " + ",".join(f"{name}:{flags}" if flags else name for name, flags in value.chunks)


_SCTP_SPORT = test("sport", ports(SCTP_SERVICES, upward=True), "source_ports")
_SCTP_DPORT = test("dport", ports(SCTP_SERVICES, upward=True), "destination_ports")
SCTP = Extension(
    "sctp",
    SctpMatch,
    (
        _SCTP_SPORT,
        _SCTP_DPORT,
        test("chunk-types", Kind(_read_chunks, _write_chunks, words=2), "chunks"),
        *unprinted(_SCTP_SPORT, "source-port"),
        *unprinted(_SCTP_DPORT, "destination-port"),
    ),
)

_DCCP_TYPES = (
    "REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID",
)  # fmt: skip
_DCCP_SPORT = test("sport", ports(), "source_ports")
_DCCP_DPORT = test("dport", ports(), "destination_ports")
DCCP = Extension(
    "dccp",
    DccpMatch,
    (
        _DCCP_SPORT,
        _DCCP_DPORT,
        test("dccp-types", name_list({name: name for name in _DCCP_TYPES}, any_case=True), "types"),
        test("dccp-option", number(1, 255), "option"),
        *unprinted(_DCCP_SPORT, "source-port"),
        *unprinted(_DCCP_DPORT, "destination-port"),
    ),
)

# --- icmp ---------------------------------------------------------------------------------------------------------

_ALL_CODES = IntRange(0, 255)
ICMP_NAMES: dict[str, tuple[int, int | None]] = {
    "any": (255, None), "echo-reply": (0, None), "pong": (0, None), "destination-unreachable": (3, None),
    "network-unreachable": (3, 0), "host-unreachable": (3, 1), "protocol-unreachable": (3, 2), "port-unreachable": (3, 3),
    "fragmentation-needed": (3, 4), "source-route-failed": (3, 5), "network-unknown": (3, 6), "host-unknown": (3, 7),
    "network-prohibited": (3, 9), "host-prohibited": (3, 10), "TOS-network-unreachable": (3, 11),
    "TOS-host-unreachable": (3, 12), "communication-prohibited": (3, 13), "host-precedence-violation": (3, 14),
    "precedence-cutoff": (3, 15), "source-quench": (4, None), "redirect": (5, None), "network-redirect": (5, 0),
    "host-redirect": (5, 1), "TOS-network-redirect": (5, 2), "TOS-host-redirect": (5, 3), "echo-request": (8, None),
    "ping": (8, None), "router-advertisement": (9, None), "router-solicitation": (10, None), "time-exceeded": (11, None),
    "ttl-exceeded": (11, None), "ttl-zero-during-transit": (11, 0), "ttl-zero-during-reassembly": (11, 1),
    "parameter-problem": (12, None), "ip-header-bad": (12, 0), "required-option-missing": (12, 1),
    "timestamp-request": (13, None), "timestamp-reply": (14, None), "address-mask-request": (17, None),
    "address-mask-reply": (18, None),
}  # fmt: skip
"""Names of ICMP types and codes that `--icmp-type` reads (spec: netfilter 7.2)."""

ICMP6_NAMES: dict[str, tuple[int, int | None]] = {
    "destination-unreachable": (1, None), "no-route": (1, 0), "communication-prohibited": (1, 1), "beyond-scope": (1, 2),
    "address-unreachable": (1, 3), "port-unreachable": (1, 4), "failed-policy": (1, 5), "reject-route": (1, 6),
    "packet-too-big": (2, None), "time-exceeded": (3, None), "ttl-exceeded": (3, None), "ttl-zero-during-transit": (3, 0),
    "ttl-zero-during-reassembly": (3, 1), "parameter-problem": (4, None), "bad-header": (4, 0),
    "unknown-header-type": (4, 1), "unknown-option": (4, 2), "echo-request": (128, None), "ping": (128, None),
    "echo-reply": (129, None), "pong": (129, None), "router-solicitation": (133, None),
    "router-advertisement": (134, None), "neighbour-solicitation": (135, None), "neighbor-solicitation": (135, None),
    "neighbour-advertisement": (136, None), "neighbor-advertisement": (136, None), "redirect": (137, None),
}  # fmt: skip
"""Names of ICMPv6 types and codes that `--icmpv6-type` reads."""


def _icmp_kind(names: Mapping[str, tuple[int, int | None]], *, has_any: bool) -> Kind:
    def read(text: str, family: IPFamily) -> tuple[int, IntRange]:
        if text[:1].isdigit():
            type_text, slash, code_text = text.partition("/")
            kind = read_number(type_text, 0, 255)
            code = read_number(code_text, 0, 255) if slash else None
        else:
            found = {names[name] for name in names if name.lower().startswith(text.lower())}
            exact = {names[name] for name in names if name.lower() == text.lower()}
            found = exact or found
            if len(found) != 1:
                raise InvalidInput(f"{'ambiguous' if found else 'unknown'} ICMP type: {text!r}")
            kind, code = found.pop()
        if code is None or (has_any and kind == 255):
            return kind, _ALL_CODES
        return kind, IntRange(code, code)

    def write(value: tuple[int, IntRange], family: IPFamily) -> str:
        kind, codes = value
        if has_any and kind == 255:
            return "any"
        if codes == _ALL_CODES:
            return str(kind)
        return f"{kind}/{codes.low}" if codes.low == codes.high else f"{kind}/{codes.low}-{codes.high}"

    return Kind(read, write)


ICMP = Extension(
    "icmp", IcmpMatch, (whole("icmp-type", _icmp_kind(ICMP_NAMES, has_any=True), "type", "codes"),), families=V4
)
ICMP6 = Extension(
    "icmp6", Icmp6Match, (whole("icmpv6-type", _icmp_kind(ICMP6_NAMES, has_any=False), "type", "codes"),), families=V6
)

# --- the others ---------------------------------------------------------------------------------------------------

_SPORTS = whole("sports", PORT_LIST, "ports", side=PortSide.SOURCE)
_DPORTS = whole("dports", PORT_LIST, "ports", side=PortSide.DESTINATION)
MULTIPORT = Extension(
    "multiport",
    MultiportMatch,
    (
        _SPORTS,
        _DPORTS,
        whole("ports", PORT_LIST, "ports", side=PortSide.EITHER),
        *unprinted(_SPORTS, "source-ports"),
        *unprinted(_DPORTS, "destination-ports"),
    ),
)
TCPMSS = Extension("tcpmss", TcpmssMatch, (whole("mss", number_range(65535, upward=True), "mss"),))
_AH_LENGTH = replace(number(), vacuous=0, inverts=True)
AH = Extension("ah", AhMatch, (test("ahspi", _SPI, "spi"),), families=V4)
AH6 = Extension(
    "ah",
    AhMatch,
    (test("ahspi", _SPI, "spi"), test("ahlen", _AH_LENGTH, "length"), plain("ahres", None, "reserved")),
    families=V6,
)
ESP = Extension("esp", EspMatch, (test("espspi", _SPI, "spi"),))
_IPCOMP_OPTIONS = (test("ipcompspi", number_range(0xFFFFFFFF), "spi"), plain("compres", None, "reserved"))


def _build_ipcomp(given: Sequence[Given], family: IPFamily) -> IpcompMatch:
    """Without a range the tool tests for SPI 0 (seen with iptables 1.8.9)."""
    return IpcompMatch(**{"spi": Test(IntRange(0, 0)), **filled_fields(given, family)})


IPCOMP = Extension("ipcomp", IpcompMatch, _IPCOMP_OPTIONS, build=_build_ipcomp)

MH_NAMES: dict[str, int] = {
    "binding-refresh-request": 0, "brr": 0, "home-test-init": 1, "hoti": 1, "careof-test-init": 2, "coti": 2,
    "home-test": 3, "hot": 3, "careof-test": 4, "cot": 4, "binding-update": 5, "bu": 5, "binding-acknowledgement": 6,
    "ba": 6, "binding-error": 7, "be": 7,
}  # fmt: skip
"""Names of Mobile IPv6 message types that `--mh-type` reads."""


def _read_mh_type(text: str) -> int:
    if text[:1].isdigit():
        return read_number(text, 0, 255)
    wanted = text.lower()
    name = wanted if wanted in MH_NAMES else next((name for name in MH_NAMES if name.startswith(wanted)), None)
    if name is None:
        raise InvalidInput(f"unknown Mobile IPv6 message: {text!r}")
    return MH_NAMES[name]


def _read_mh_types(text: str, family: IPFamily) -> IntRange:
    low, joint, high = text.partition(":")
    first = _read_mh_type(low) if low else 0
    last = (_read_mh_type(high) if high else 255) if joint else first
    if first > last:
        raise InvalidInput(f"range runs backwards: {text!r}")
    return IntRange(first, last)


_MH_TYPES = Kind(
    _read_mh_types,
    lambda value, _: str(value.low) if value.low == value.high else f"{value.low}:{value.high}",
    vacuous=IntRange(0, 255),
)
MH = Extension("mh", MhMatch, (test("mh-type", _MH_TYPES, "types"),), families=V6)

TRANSPORT_MATCHES: tuple[Extension, ...] = (
    TCP, UDP, SCTP, DCCP, ICMP, ICMP6, MULTIPORT, TCPMSS, AH, AH6, ESP, IPCOMP, MH,
)  # fmt: skip
"""Every match on layer 4."""
