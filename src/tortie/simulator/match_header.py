"""The tests of a rule's header: addresses, interfaces, protocol, fragment (spec: netfilter 7.1).

Source: ip_packet_match in net/ipv4/netfilter/ip_tables.c, ip6_packet_match in net/ipv6/netfilter/ip6_tables.c. Every
`compile_` function gives a closure made for exactly this test; every `explain_` function says why the test missed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tortie.net.address import AddressMask, IPFamily, format_address
from tortie.net.packet import Packet
from tortie.net.protocol import protocol_name
from tortie.net.wire import EXTENSION_HEADERS
from tortie.netfilter.hook import Backend
from tortie.netfilter.match import (
    DestinationMatch,
    FragmentMatch,
    InInterfaceMatch,
    IntRange,
    OutInterfaceMatch,
    ProtocolMatch,
    SourceMatch,
)
from tortie.simulator.answer import HOTDROP, Answer, Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.ipv6_header import protocol_behind
from tortie.simulator.skb import Skb

Holds: TypeAlias = Callable[[Skb], Answer]
"""A compiled match."""


def always(_: Skb) -> Answer:
    """A test that every packet passes."""
    return True


def never(_: Skb) -> Answer:
    """A test that no packet passes."""
    return False


def doubtful(why: str) -> Holds:
    """A test whose answer is not known for any packet."""
    doubt = Doubt(DoubtKind.UNKNOWN, why)
    return lambda _: doubt


def range_text(span: IntRange) -> str:
    """A range for sentences: its number, or `in 5 to 9`."""
    return str(span.low) if span.low == span.high else f"in {span.low} to {span.high}"


# --- addresses ---------------------------------------------------------------------------------------------------


def compile_source(match: SourceMatch) -> Holds:
    """`-s`."""
    value, mask, inverted = match.net.value, match.net.mask, match.inverted
    if value & ~mask:
        return always if inverted else never
    if not mask:
        return never if inverted else always
    if mask == match.net.family.all_ones:
        return (lambda skb: skb.packet.src != value) if inverted else (lambda skb: skb.packet.src == value)
    if inverted:
        return lambda skb: skb.packet.src & mask != value
    return lambda skb: skb.packet.src & mask == value


def compile_destination(match: DestinationMatch) -> Holds:
    """`-d`."""
    value, mask, inverted = match.net.value, match.net.mask, match.inverted
    if value & ~mask:
        return always if inverted else never
    if not mask:
        return never if inverted else always
    if mask == match.net.family.all_ones:
        return (lambda skb: skb.packet.dst != value) if inverted else (lambda skb: skb.packet.dst == value)
    if inverted:
        return lambda skb: skb.packet.dst & mask != value
    return lambda skb: skb.packet.dst & mask == value


def explain_address(what: str, address: int, net: AddressMask, *, inverted: bool) -> str:
    """Why an address test missed."""
    text = format_address(net.family, address)
    if net.mask == net.family.all_ones:
        value = format_address(net.family, net.value)
        return f"{what} is {value}" if inverted else f"{what} is {text}, not {value}"
    return f"{what} {text} is {'' if inverted else 'not '}in {net}"


# --- interfaces --------------------------------------------------------------------------------------------------


def compile_in_interface(match: InInterfaceMatch) -> Holds:
    """`-i`: a hook without an input device has an empty name; a device that is not known makes a doubt."""
    name, inverted = match.name, match.inverted
    if name in ("+", ""):
        return never if inverted else always
    doubt = Doubt(DoubtKind.UNKNOWN, f"the input interface is {'not ' if inverted else ''}{name}")
    if name.endswith("+"):
        prefix = name[:-1]

        def begins(skb: Skb) -> Answer:
            iface = skb.in_iface
            return doubt if iface is None else iface.startswith(prefix) is not inverted

        return begins

    def equals(skb: Skb) -> Answer:
        iface = skb.in_iface
        return doubt if iface is None else (iface == name) is not inverted

    return equals


def compile_out_interface(match: OutInterfaceMatch) -> Holds:
    """`-o`, as `-i`."""
    name, inverted = match.name, match.inverted
    if name in ("+", ""):
        return never if inverted else always
    doubt = Doubt(DoubtKind.UNKNOWN, f"the output interface is {'not ' if inverted else ''}{name}")
    if name.endswith("+"):
        prefix = name[:-1]

        def begins(skb: Skb) -> Answer:
            iface = skb.out_iface
            return doubt if iface is None else iface.startswith(prefix) is not inverted

        return begins

    def equals(skb: Skb) -> Answer:
        iface = skb.out_iface
        return doubt if iface is None else (iface == name) is not inverted

    return equals


def explain_interface(what: str, iface: str | None, name: str, *, inverted: bool) -> str:
    """Why an interface test missed."""
    if iface is None:
        return f"{what} interface is not known"
    if name in ("+", ""):
        return f"! {name or '+'} is no interface at all"
    if not iface:
        return f"there is no {what} interface here"
    if inverted:
        return f"{what} interface is {iface}"
    return f"{what} interface is {iface}, not {name}"


# --- protocol and fragment ---------------------------------------------------------------------------------------


def compile_protocol(match: ProtocolMatch, context: Context) -> Holds:
    """`-p`: in IPv6 what stands behind the extension headers.

    A broken chain of those drops the packet in the legacy back-end and is a miss in nft, where AH counts as a protocol.
    """
    number, inverted = match.number, match.inverted
    if context.family is IPFamily.V4:
        if number == 0:
            return never if inverted else always
        return (lambda skb: skb.packet.proto != number) if inverted else (lambda skb: skb.packet.proto == number)
    nft = context.backend is Backend.NFT
    broken: Answer = False if nft else HOTDROP

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        proto: int | None = packet.proto
        if packet.extensions or proto in EXTENSION_HEADERS:
            proto = protocol_behind(packet, stop_at_ah=nft)
            if proto is None:
                return broken
        return number == 0 or (proto == number) is not inverted

    return test


def explain_protocol(match: ProtocolMatch, packet: Packet, context: Context) -> str:
    """Why a protocol test missed."""
    name = protocol_name(match.number)
    seen: int | None = packet.proto
    if context.family is IPFamily.V6:
        seen = protocol_behind(packet, stop_at_ah=context.backend is Backend.NFT)
    if seen is None:
        return "the chain of extension headers is broken"
    return f"protocol is {protocol_name(seen)}" + ("" if match.inverted else f", not {name}")


def compile_fragment(match: FragmentMatch) -> Holds:
    """`-f`."""
    if match.inverted:
        return lambda skb: not skb.packet.fragment_offset
    return lambda skb: skb.packet.fragment_offset > 0


def explain_fragment(match: FragmentMatch, packet: Packet) -> str:
    """Why a fragment test missed."""
    if match.inverted:
        return f"the packet is a later fragment (offset {packet.fragment_offset * 8})"
    return "the packet is a first fragment" if packet.is_fragment else "the packet is no fragment"
