"""Tests of the transport header: TCP, UDP, ICMP, port lists (spec: netfilter 7.1, 7.2).

The kernel reads the header at the end of the IP header. In a later fragment there is none: the test fails, inverted or
not. A header that is too short *drops the packet* (hotdrop), before any counter or trace. The nft back-end tests ports
and TCP flags natively instead: too short is a miss, and in a later fragment whatever bytes stand there are compared.
Which tests it makes native is read from add_nft_tcp and add_nft_udp in iptables/nft.c (1.8.9): ports and flags, but not
`--tcp-option` and not a match without any option.

A whole header is in the packet's fields (`transport` is None), which is the quick case; every closure leaves the rest to
a slow function. Sources: net/netfilter/xt_tcpudp.c, xt_multiport.c, net/ipv4/netfilter/ip_tables.c (icmp_match).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import TCP_FLAGS
from tortie.netfilter.hook import Backend
from tortie.netfilter.match import (
    Icmp6Match,
    IcmpMatch,
    IntRange,
    MultiportMatch,
    PortSide,
    TcpFlagsTest,
    TcpMatch,
    Test,
    UdpMatch,
)
from tortie.simulator.answer import HOTDROP, Answer, Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.ipv6_header import is_later_fragment, transport_bytes, unguarded_bytes
from tortie.simulator.match_header import Holds, always, range_text
from tortie.simulator.skb import Skb
from tortie.simulator.tcp_option import has_option

_ALL_PORTS = IntRange(0, 65535)
_TCP_HEADER, _UDP_HEADER, _ICMP_HEADER, _PORTS = 20, 8, 8, 4
_FLAGS_AT = 13
Check = Callable[[Packet], bool]
"""A test of fields that are there."""


# --- TCP and UDP -------------------------------------------------------------------------------------------------


def compile_tcp(match: TcpMatch, context: Context) -> Holds:
    """`-m tcp`."""
    flags = match.flags
    in_header = _port_checks(match.source_ports, match.destination_ports)
    if flags is not None:
        in_header.append(_flags_check(flags))
    early = _all(in_header)
    check = _all([*in_header, _option_check(match.option)]) if match.option is not None else early
    trivial = not _tests_ports(match) and (flags is None or flags == Test(TcpFlagsTest(0, 0)))
    if context.backend is Backend.NFT and match.option is None and not trivial:
        return _native_tcp(match)
    drops_at = 1 if context.family is IPFamily.V4 else None
    with_option = match.option is not None

    def slow(packet: Packet) -> Answer:
        if is_later_fragment(packet):
            # Nobody normal sends a fragment 8 bytes into a TCP header. IPv6 counts the offset in bytes and lets it be.
            return HOTDROP if packet.fragment_offset == drops_at else False
        raw = transport_bytes(packet)
        if len(raw) < _TCP_HEADER:
            return HOTDROP
        if not early(_with_header(packet, raw)):
            return False
        return HOTDROP if with_option else True

    return _quick_or(check, slow)


def compile_udp(match: UdpMatch, context: Context) -> Holds:
    """`-m udp`."""
    check = _all(_port_checks(match.source_ports, match.destination_ports))
    if context.backend is Backend.NFT and _tests_ports(match):
        return _native_pair(match, []) or _native(_native_ports(match), _bytes_needed(match))
    return _quick_or(check, lambda packet: False if is_later_fragment(packet) else HOTDROP)


def _quick_or(check: Check, slow: Callable[[Packet], Answer]) -> Holds:
    def test(skb: Skb) -> Answer:
        packet = skb.packet
        return check(packet) if packet.transport is None else slow(packet)

    return test


def _native_tcp(match: TcpMatch) -> Holds:
    flags = match.flags
    if flags is None or flags == Test(TcpFlagsTest(0, 0)):
        return _native_pair(match, []) or _native(_native_ports(match), _bytes_needed(match))
    check = _flags_check(flags)
    return _native_pair(match, [check]) or _native([*_native_ports(match), check], _FLAGS_AT + 1)


def _native_pair(match: TcpMatch | UdpMatch, others: list[Check]) -> Holds | None:
    """The test for two single ports, both inverted, where Tortie cannot tell how the rule was loaded; None for all others.

    iptables-nft 1.8.9 makes one test of both ports, so that the rule excludes only packets with both (add_nft_tcpudp in
    iptables/nft.c; seen on Linux 6.18). Read as it is written the rule excludes packets with either.
    """
    source, destination = match.source_ports, match.destination_ports
    if source is None or destination is None or not (source.inverted and destination.inverted):
        return None
    sport, dport = source.value.low, destination.value.low
    if not (sport and dport and sport == source.value.high and dport == destination.value.high):
        return None
    check, needed = _all(others), _FLAGS_AT + 1 if others else 4
    doubt = Doubt(
        DoubtKind.UNKNOWN,
        f"the rule excludes only packets with both ports, {sport} and {dport}, as iptables 1.8.9 loads it",
    )

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        if packet.transport is not None:
            raw = unguarded_bytes(packet)
            if len(raw) < needed:
                return False
            packet = _with_header(packet, raw)
        hits = (packet.sport == sport) + (packet.dport == dport)
        if hits == 2 or not check(packet):
            return False
        return doubt if hits else True

    return test


def _native_ports(match: TcpMatch | UdpMatch) -> list[Check]:
    """The port tests that become native: of a full range there is nothing left, even when it is inverted."""
    source, destination = (
        None if ports is None or ports.value == _ALL_PORTS else ports
        for ports in (match.source_ports, match.destination_ports)
    )
    return _port_checks(source, destination)


def _native(checks: list[Check], needed: int) -> Holds:
    """The test as nft makes it: on the bytes where the header would be, as far as they are needed."""
    if not checks:
        return always
    check = _all(checks)

    def slow(packet: Packet) -> Answer:
        raw = unguarded_bytes(packet)
        return len(raw) >= needed and check(_with_header(packet, raw))

    return _quick_or(check, slow)


def _with_header(packet: Packet, raw: bytes) -> Packet:
    """The packet with ports and flags read from its bytes, as far as there are any."""
    raw = raw.ljust(_TCP_HEADER, b"\0")
    sport, dport = int.from_bytes(raw[0:2], "big"), int.from_bytes(raw[2:4], "big")
    return replace(packet, transport=None, sport=sport, dport=dport, tcp_flags=raw[_FLAGS_AT])


def _bytes_needed(match: TcpMatch | UdpMatch) -> int:
    destination = match.destination_ports
    return 4 if destination is not None and destination.value != _ALL_PORTS else 2


def _tests_ports(match: TcpMatch | UdpMatch) -> bool:
    """True when a port option is stored: a full range is as good as none, unless it is inverted."""
    return any(ports not in (None, Test(_ALL_PORTS)) for ports in (match.source_ports, match.destination_ports))


def _port_checks(source: Test[IntRange] | None, destination: Test[IntRange] | None) -> list[Check]:
    checks: list[Check] = []
    if source is not None and source != Test(_ALL_PORTS):
        checks.append(_source_port_check(source.value.low, source.value.high, source.inverted))
    if destination is not None and destination != Test(_ALL_PORTS):
        checks.append(_destination_port_check(destination.value.low, destination.value.high, destination.inverted))
    return checks


def _source_port_check(low: int, high: int, inverted: bool) -> Check:
    if low == high:
        return (lambda packet: packet.sport != low) if inverted else (lambda packet: packet.sport == low)
    return lambda packet: (low <= packet.sport <= high) is not inverted


def _destination_port_check(low: int, high: int, inverted: bool) -> Check:
    if low == high:
        return (lambda packet: packet.dport != low) if inverted else (lambda packet: packet.dport == low)
    return lambda packet: (low <= packet.dport <= high) is not inverted


def _flags_check(flags: Test[TcpFlagsTest]) -> Check:
    mask, compare, inverted = flags.value.mask, flags.value.compare, flags.inverted
    return lambda packet: (packet.tcp_flags & mask == compare) is not inverted


def _option_check(option: Test[int]) -> Check:
    number, inverted = option.value, option.inverted
    return lambda packet: has_option(packet.tcp_options, number) is not inverted


def _all(checks: list[Check]) -> Check:
    if not checks:
        return lambda _: True
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda packet: first(packet) and second(packet)
    return lambda packet: all(check(packet) for check in checks)


def explain_tcp(match: TcpMatch, packet: Packet) -> str:
    """Why `-m tcp` missed."""
    if packet.transport is not None:
        return no_header(packet)
    ports = explain_ports(match.source_ports, match.destination_ports, packet)
    if ports:
        return ports
    flags = match.flags
    if flags is not None and (packet.tcp_flags & flags.value.mask == flags.value.compare) is flags.inverted:
        seen, wanted = _flag_names(packet.tcp_flags & flags.value.mask), _flag_names(flags.value.compare)
        among = _flag_names(flags.value.mask)
        return f"TCP flags among {among} are {seen}" + ("" if flags.inverted else f", not {wanted}")
    assert match.option is not None
    return f"TCP option {match.option.value} is {'' if match.option.inverted else 'not '}in the header"


def explain_udp(match: UdpMatch, packet: Packet) -> str:
    """Why `-m udp` missed."""
    if packet.transport is not None:
        return no_header(packet)
    return explain_ports(match.source_ports, match.destination_ports, packet)


def no_header(packet: Packet) -> str:
    """Why a packet has no transport header to look at."""
    if is_later_fragment(packet):
        return f"the packet is a later fragment (offset {packet.fragment_offset * 8}) without a transport header"
    return "the transport header is cut short"


def explain_ports(source: Test[IntRange] | None, destination: Test[IntRange] | None, packet: Packet) -> str:
    """Which port test missed; empty when none did."""
    for what, test, port in (("source", source, packet.sport), ("destination", destination, packet.dport)):
        if test is not None and (port in test.value) is test.inverted:
            return f"{what} port is {port}" + ("" if test.inverted else f", not {range_text(test.value)}")
    return ""


def _flag_names(flags: int) -> str:
    return "+".join(name for name, bit in TCP_FLAGS.items() if flags & bit) or "none"


# --- ICMP --------------------------------------------------------------------------------------------------------


def compile_icmp(match: IcmpMatch | Icmp6Match) -> Holds:
    """`-m icmp` and `-m icmp6`: type 255 is any type in IPv4 only."""
    kind, low, high, inverted = match.type, match.codes.low, match.codes.high, match.inverted
    any_type = isinstance(match, IcmpMatch) and kind == 255

    def fits(icmp_type: int, code: int) -> bool:
        return (any_type or (icmp_type == kind and low <= code <= high)) is not inverted

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        if packet.transport is None:
            return fits(packet.icmp_type, packet.icmp_code)
        if is_later_fragment(packet):
            return False
        raw = transport_bytes(packet)
        return fits(raw[0], raw[1]) if len(raw) >= _ICMP_HEADER else HOTDROP

    return test


def explain_icmp(match: IcmpMatch | Icmp6Match, packet: Packet) -> str:
    """Why an ICMP type test missed."""
    if packet.transport is not None:
        return no_header(packet)
    seen = f"ICMP type is {packet.icmp_type} code {packet.icmp_code}"
    if match.inverted:
        return seen
    code = "" if match.codes.high - match.codes.low == 255 else f" code {range_text(match.codes)}"
    return f"{seen}, not {match.type}{code}"


# --- port lists --------------------------------------------------------------------------------------------------


def compile_multiport(match: MultiportMatch) -> Holds:
    """`-m multiport`: the same in both back-ends."""
    ports = frozenset(port for span in match.ports for port in range(span.low, span.high + 1))
    inverted = match.inverted
    if match.side is PortSide.SOURCE:
        check: Check = lambda packet: (packet.sport in ports) is not inverted  # noqa: E731
    elif match.side is PortSide.DESTINATION:
        check = lambda packet: (packet.dport in ports) is not inverted  # noqa: E731
    else:
        check = lambda packet: (packet.sport in ports or packet.dport in ports) is not inverted  # noqa: E731

    def slow(packet: Packet) -> Answer:
        if is_later_fragment(packet):
            return False
        raw = transport_bytes(packet)
        return check(_with_header(packet, raw)) if len(raw) >= _PORTS else HOTDROP

    return _quick_or(check, slow)


def explain_multiport(match: MultiportMatch, packet: Packet) -> str:
    """Why a port list missed."""
    if packet.transport is not None:
        return no_header(packet)
    listed = ",".join(str(span.low) if span.low == span.high else f"{span.low}:{span.high}" for span in match.ports)
    if match.side is PortSide.EITHER:
        return f"ports are {packet.sport} and {packet.dport}, {'one' if match.inverted else 'none'} of them among {listed}"
    elif match.side is PortSide.SOURCE:
        seen = f"source port is {packet.sport}"
    else:
        seen = f"destination port is {packet.dport}"
    if not match.inverted and len(match.ports) == 1:
        return f"{seen}, not {listed}"
    return f"{seen}, which is {'' if match.inverted else 'not '}among {listed}"
