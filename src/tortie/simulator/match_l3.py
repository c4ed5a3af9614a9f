"""Tests of the IP header, the frame and the devices (spec: netfilter 7.3), but for what needs routing.

Sources: net/netfilter/xt_length.c, xt_hl.c, xt_dscp.c, xt_ecn.c, xt_iprange.c, xt_mac.c, xt_pkttype.c, xt_physdev.c,
xt_devgroup.c.
"""

from __future__ import annotations

from dataclasses import replace

from tortie.net.address import AddressRange, IPFamily, format_address
from tortie.net.packet import Packet
from tortie.netfilter.match import (
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
    Test,
    TosMatch,
    TtlMatch,
)
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.ipv6_header import unguarded_bytes
from tortie.simulator.link_layer import frame_source, link_named
from tortie.simulator.match_header import Holds
from tortie.simulator.skb import LOOPED_FRAME, Skb

_ECE, _CWR = 64, 128
_TCP_HEADER = 20


# --- numbers of the header ---------------------------------------------------------------------------------------


def compile_length(match: LengthMatch) -> Holds:
    """`-m length`."""
    low, high, inverted = match.length.low, match.length.high, match.inverted
    return lambda skb: (low <= skb.packet.length <= high) is not inverted


def explain_length(match: LengthMatch, packet: Packet) -> str:
    """Why `-m length` missed."""
    wanted = "" if match.inverted else f", not {match.length.low} to {match.length.high}"
    return f"length is {packet.length} bytes{wanted}"


def compile_hop_limit(match: TtlMatch | HlMatch) -> Holds:
    """`-m ttl` and `-m hl`."""
    value, inverted = match.value, match.inverted
    if match.compare is Compare.EQ:
        return lambda skb: (skb.packet.ttl == value) is not inverted
    if match.compare is Compare.LT:
        return lambda skb: skb.packet.ttl < value
    return lambda skb: skb.packet.ttl > value


def explain_hop_limit(match: TtlMatch | HlMatch, packet: Packet) -> str:
    """Why a test of the hop limit missed."""
    word = "TTL" if isinstance(match, TtlMatch) else "hop limit"
    if match.inverted:
        return f"{word} is {packet.ttl}"
    wanted = {Compare.EQ: "", Compare.LT: "below ", Compare.GT: "above "}[match.compare]
    return f"{word} is {packet.ttl}, not {wanted}{match.value}"


def compile_tos(match: TosMatch) -> Holds:
    """`-m tos`."""
    value, mask, inverted = match.value, match.mask, match.inverted
    return lambda skb: (skb.packet.tos & mask == value) is not inverted


def explain_tos(match: TosMatch, packet: Packet) -> str:
    """Why `-m tos` missed."""
    wanted = "" if match.inverted else f", not {match.value:#04x}"
    return f"TOS & {match.mask:#04x} is {packet.tos & match.mask:#04x}{wanted}"


def compile_dscp(match: DscpMatch) -> Holds:
    """`-m dscp`."""
    value, inverted = match.value, match.inverted
    return lambda skb: (skb.packet.tos >> 2 == value) is not inverted


def explain_dscp(match: DscpMatch, packet: Packet) -> str:
    """Why `-m dscp` missed."""
    return f"DSCP is {packet.tos >> 2:#04x}" + ("" if match.inverted else f", not {match.value:#04x}")


def compile_ecn(match: EcnMatch) -> Holds:
    """`-m ecn`: the TCP bits are read where a header would be, also in a later fragment (in IPv6 where the packet begins).

    Too short is a miss.
    """
    ect = match.ect
    wanted_bits = [(bit, test.inverted) for bit, test in ((_ECE, match.ece), (_CWR, match.cwr)) if test is not None]

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        if ect is not None and (packet.tos & 3 == ect.value) is ect.inverted:
            return False
        if not wanted_bits:
            return True
        flags = _tcp_flags(packet)
        return flags is not None and all(bool(flags & bit) is not inverted for bit, inverted in wanted_bits)

    return test


def _tcp_flags(packet: Packet) -> int | None:
    if packet.transport is None:
        return packet.tcp_flags
    raw = unguarded_bytes(packet)
    return raw[13] if len(raw) >= _TCP_HEADER else None


def explain_ecn(match: EcnMatch, packet: Packet) -> str:
    """Why `-m ecn` missed."""
    if match.ect is not None and (packet.tos & 3 == match.ect.value) is match.ect.inverted:
        return f"ECN bits are {packet.tos & 3}" + ("" if match.ect.inverted else f", not {match.ect.value}")
    flags = _tcp_flags(packet)
    if flags is None:
        return "the TCP header is cut short"
    names = [name for name, bit in (("ECE", _ECE), ("CWR", _CWR)) if flags & bit]
    return f"TCP has {' and '.join(names) or 'neither ECE nor CWR'} set"


def compile_iprange(match: IprangeMatch) -> Holds:
    """`-m iprange`."""
    source, destination = match.source, match.destination

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        return (source is None or _in_range(packet.src, source)) and (
            destination is None or _in_range(packet.dst, destination)
        )

    return test


def _in_range(address: int, test: Test[AddressRange]) -> bool:
    return (test.value.low <= address <= test.value.high) is not test.inverted


def explain_iprange(match: IprangeMatch, packet: Packet) -> str:
    """Why `-m iprange` missed."""
    for what, address, test in (("source", packet.src, match.source), ("destination", packet.dst, match.destination)):
        if test is not None and not _in_range(address, test):
            return f"{what} {format_address(packet.family, address)} is {'' if test.inverted else 'not '}in {test.value}"
    return ""


# --- frame -------------------------------------------------------------------------------------------------------


def compile_mac(match: MacMatch, context: Context) -> Holds:
    """`-m mac`: without an Ethernet header never, not even inverted."""
    address, inverted, snapshot = match.address, match.inverted, context.snapshot

    def test(skb: Skb) -> Answer:
        mac = frame_source(skb, snapshot)
        if isinstance(mac, Doubt):
            return replace(mac, why=f"the source MAC of the frame is {'not ' if inverted else ''}{address.hex(':')}")
        return mac is not None and (mac == address) is not inverted

    return test


def explain_mac(match: MacMatch, skb: Skb, context: Context) -> str:
    """Why `-m mac` missed."""
    mac = frame_source(skb, context.snapshot)
    if mac is None or isinstance(mac, Doubt):
        return "the packet came without an Ethernet header"
    return f"source MAC is {mac.hex(':')}" + ("" if match.inverted else f", not {match.address.hex(':')}")


def compile_pkttype(match: PkttypeMatch) -> Holds:
    """`-m pkttype`: the frame's type."""
    kind, inverted = match.type, match.inverted
    doubt = Doubt(DoubtKind.UNKNOWN, f"the frame is {'not ' if inverted else ''}{kind}")

    def test(skb: Skb) -> Answer:
        seen = seen_frame_type(skb)
        return doubt if seen is None else (seen == kind) is not inverted

    return test


def seen_frame_type(skb: Skb) -> str | None:
    """The type that rules see: a looped copy has its destination's (pkttype_mt)."""
    if skb.frame_type != LOOPED_FRAME:
        return skb.frame_type
    packet = skb.packet
    multicast = packet.dst >> 28 == 0xE if packet.family is IPFamily.V4 else packet.dst >> 120 == 0xFF
    return "multicast" if multicast else "broadcast"


def explain_pkttype(match: PkttypeMatch, skb: Skb) -> str:
    """Why `-m pkttype` missed."""
    return f"the frame is {seen_frame_type(skb)}" + ("" if match.inverted else f", not {match.type}")


# --- devices -----------------------------------------------------------------------------------------------------


def compile_physdev(match: PhysdevMatch) -> Holds:
    """`-m physdev`: a packet no bridge handled passes exactly the inverted tests (spec: netfilter 12)."""
    out = match.out_dev
    doubt = None
    if out is not None:
        doubt = Doubt(DoubtKind.UNKNOWN, f"the output bridge port is {'not ' if out.inverted else ''}{out.value}")

    def test(skb: Skb) -> Answer:
        if _physdev_miss(match, skb) is not None:
            return False
        return doubt if doubt is not None and skb.phys_out is None else True

    return test


def _physdev_miss(match: PhysdevMatch, skb: Skb) -> str | None:
    """Why a packet fails, None when it passes.

    A name is compared with the bridge port; where the packet has no port on that side the name of an input port is not
    tested, and an output port never fits, even inverted (physdev_mt in xt_physdev.c).
    """
    port_out = skb.phys_out  # None is a port whose name is not known
    if not (skb.phys_in or port_out != "" or skb.bridged):
        tests = (match.in_dev, match.out_dev, match.is_in, match.is_out, match.is_bridged)
        passes = all(test is None or test.inverted for test in tests)
        return None if passes else "the packet crosses no bridge"
    for wanted, seen, text in (
        (match.is_bridged, port_out != "", "is bridged"),
        (match.is_in, bool(skb.phys_in), "came in by a bridge port"),
        (match.is_out, port_out != "", "leaves by a bridge port"),
    ):
        if wanted is not None and seen is wanted.inverted:
            return f"the packet {text}" if wanted.inverted else f"it is not so that the packet {text}"
    name = match.in_dev
    if name is not None and skb.phys_in and _is_port(skb.phys_in, name.value) is name.inverted:
        return f"input bridge port is {skb.phys_in}" + ("" if name.inverted else f", not {name.value}")
    name = match.out_dev
    if name is None or port_out is None:
        return None
    if not port_out:
        return "the packet leaves by no bridge port"
    if _is_port(port_out, name.value) is name.inverted:
        return f"output bridge port is {port_out}" + ("" if name.inverted else f", not {name.value}")
    return None


def _is_port(port: str, pattern: str) -> bool:
    return port.startswith(pattern[:-1]) if pattern.endswith("+") else port == pattern


def explain_physdev(match: PhysdevMatch, skb: Skb) -> str:
    """Why `-m physdev` missed."""
    return _physdev_miss(match, skb) or ""


def compile_devgroup(match: DevgroupMatch, context: Context) -> Holds:
    """`-m devgroup`: the group numbers of the devices."""

    def test(skb: Skb) -> Answer:
        doubt: Answer = True
        for wanted, iface in ((match.source, skb.in_iface), (match.destination, skb.out_iface)):
            if wanted is None:
                continue
            group = _group_of(iface, context)
            if group is None:
                doubt = Doubt(DoubtKind.UNKNOWN, f"{iface or 'the device'} is in the group that the rule asks for")
            elif (group & wanted.value[1] == wanted.value[0]) is wanted.inverted:
                return False
        return doubt

    return test


def _group_of(iface: str | None, context: Context) -> int | None:
    link = link_named(context.snapshot.links, iface) if iface else None
    return link.group if link is not None else None


def explain_devgroup(match: DevgroupMatch, skb: Skb, context: Context) -> str:
    """Why `-m devgroup` missed."""
    for wanted, iface in ((match.source, skb.in_iface), (match.destination, skb.out_iface)):
        group = _group_of(iface, context)
        if wanted is not None and group is not None and (group & wanted.value[1] == wanted.value[0]) is wanted.inverted:
            return f"{iface} is in group {group:#x}" + ("" if wanted.inverted else f", not {wanted.value[0]:#x}")
    return ""
