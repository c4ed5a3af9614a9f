"""Tests of IPv6 extension headers (spec: netfilter 7.3).

A header that is not there is a miss, inverted or not; a chain that ends too early to tell drops the packet, in both
back-ends. Sources: ip6t_frag.c, ip6t_hbh.c, ip6t_rt.c, ip6t_ipv6header.c, ip6t_ah.c, ip6t_mh.c, ip6t_eui64.c, ip6t_srh.c
in net/ipv6/netfilter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tortie.net.address import parse_prefix
from tortie.net.packet import Packet
from tortie.net.protocol import AH, ESP
from tortie.net.wire import DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING, format_packet
from tortie.netfilter.match import (
    AhMatch,
    Eui64Match,
    FragMatch,
    IntRange,
    Ipv6headerMatch,
    MhMatch,
    OptionsMatch,
    RtMatch,
    SrhMatch,
    Test,
)
from tortie.simulator.answer import HOTDROP, Answer, Doubt
from tortie.simulator.context import Context
from tortie.simulator.ipv6_header import find_header, is_later_fragment, transport_bytes
from tortie.simulator.link_layer import frame_source
from tortie.simulator.match_header import Holds
from tortie.simulator.skb import Skb

_NO_NEXT_HEADER = 59
_BYTES_SHOWN = 8
HeaderTest = Callable[[bytes], Answer]


def _on_header(number: int, least: int, test: HeaderTest) -> Holds:
    """A test of the first extension header of a kind; fewer than `least` bytes of it drop the packet."""

    def run(skb: Skb) -> Answer:
        found = find_header(skb.packet, number)
        if found is None:
            return False
        return HOTDROP if found == "broken" or len(found) < least else test(found)

    return run


def in_range(test: Test[IntRange] | None, number: int) -> bool:
    """Whether a number passes a test that may be absent."""
    return test is None or (number in test.value) is not test.inverted


def _equals(test: Test[int] | None, number: int) -> bool:
    return test is None or (number == test.value) is not test.inverted


def _u16(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 2], "big")


def _size(header: bytes) -> int:
    """The length that an option or routing header says it has."""
    return (header[1] + 1) * 8


# --- one header each ---------------------------------------------------------------------------------------------


def compile_frag(match: FragMatch) -> Holds:
    """`-m frag`; the kernel does not look at `--fraglen`."""

    def test(header: bytes) -> Answer:
        word = _u16(header, 2)
        more = bool(word & 1)
        return (
            in_range(match.id, int.from_bytes(header[4:8], "big"))
            and not (match.reserved and (header[1] or word & 6))
            and not (match.first and word & 0xFFF8)
            and not (match.more and not more)
            and not (match.last and more)
        )

    return _on_header(FRAGMENT, 8, test)


def compile_options(match: OptionsMatch) -> Holds:
    """`-m hbh` and `-m dst`."""
    number = HOP_BY_HOP if match.header == "hbh" else DESTINATION_OPTIONS

    def test(header: bytes) -> Answer:
        size = _size(header)
        if len(header) < size:
            return HOTDROP
        return _has_options(header[2:size], match.options) and _equals(match.length, size)

    return _on_header(number, 2, test)


def _has_options(area: bytes, wanted: tuple[tuple[int, int | None], ...]) -> bool:
    """True when the header begins with these options in this order; Pad1 has no length."""
    place = 0
    for position, (kind, length) in enumerate(wanted):
        if place >= len(area) or area[place] != kind:
            return False
        if kind == 0:
            place += 1
            continue
        if place + 1 >= len(area) or (length is not None and area[place + 1] != length):
            return False
        place += area[place + 1] + 2
        if place > len(area) and position < len(wanted) - 1:
            return False
    return True


def compile_rt(match: RtMatch) -> Holds:
    """`-m rt`."""

    def test(header: bytes) -> Answer:
        size = _size(header)
        if len(header) < size:
            return HOTDROP
        passes = in_range(match.segments_left, header[3]) and _equals(match.length, size) and _equals(match.type, header[2])
        if passes and match.reserved:
            passes = header[4:8] == bytes(4)
        return passes and _has_addresses(header[8:size], match)

    return _on_header(ROUTING, 4, test)


def _has_addresses(area: bytes, match: RtMatch) -> bool:
    wanted = match.addresses
    if not wanted:
        return True
    listed = [int.from_bytes(area[i : i + 16], "big") for i in range(0, len(area) // 16 * 16, 16)]
    if not match.not_strict:
        return tuple(listed) == wanted
    remaining = iter(listed)
    return all(any(address == other for other in remaining) for address in wanted)


def compile_ah6(match: AhMatch) -> Holds:
    """`-m ah` of IPv6."""

    def test(header: bytes) -> Answer:
        return (
            in_range(match.spi, int.from_bytes(header[4:8], "big"))
            and (match.length is None or match.length.value == 0 or _equals(match.length, (header[1] + 2) * 4))
            and not (match.reserved and _u16(header, 2))
        )

    return _on_header(AH, 12, test)


def compile_mh(match: MhMatch) -> Holds:
    """`-m mh`: a mobility header that something follows drops the packet."""
    types = match.types

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        if is_later_fragment(packet):
            return False
        raw = transport_bytes(packet)
        if len(raw) < 6 or raw[0] != _NO_NEXT_HEADER:
            return HOTDROP
        return in_range(types, raw[2])

    return test


def compile_eui64(_: Eui64Match, context: Context) -> Holds:
    """`-m eui64`: whether the interface identifier of the source is made of the frame's source MAC."""
    snapshot = context.snapshot

    def test(skb: Skb) -> Answer:
        mac = frame_source(skb, snapshot)
        if mac is None:
            return False
        identifier = skb.packet.src & 0xFFFFFFFFFFFFFFFF
        if isinstance(mac, Doubt):
            if identifier >> 24 & 0xFFFF != 0xFFFE:
                return False
            return replace(mac, why="the source address is made of the frame's source MAC")
        made = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:6]
        return identifier == int.from_bytes(made, "big")

    return test


# --- segment routing ---------------------------------------------------------------------------------------------

_SEGMENT_ROUTING = 4
_FIRST_SID = 8


def compile_srh(match: SrhMatch) -> Holds:
    """`-m srh`: no routing header of type 4 is a miss, and so is a broken chain."""

    def test(skb: Skb) -> Answer:
        header = find_header(skb.packet, ROUTING)
        if header is None or header == "broken" or len(header) < 8 or len(header) < _size(header):
            return False
        if header[2] != _SEGMENT_ROUTING or header[3] > header[4]:
            return False
        return all(_srh_option(header, name, value, inverted) for name, value, inverted in match.options)

    return test


def _srh_option(header: bytes, name: str, value: str, inverted: bool) -> bool:
    what = name.removeprefix("srh-")
    segments_left, last = header[3], header[4]
    if what in ("psid", "nsid", "lsid"):
        if (what == "psid" and segments_left == last) or (what == "nsid" and segments_left == 0):
            return False
        index = {"psid": segments_left + 1, "nsid": segments_left - 1, "lsid": 0}[what]
        place = _FIRST_SID + index * 16
        return parse_prefix(value).contains(int.from_bytes(header[place : place + 16], "big")) is not inverted
    number = int(value)
    if what == "next-hdr":
        passes = header[0] == number
    elif what == "tag":
        # The kernel compares the bytes of the header with a number in the machine's order, which is little endian.
        passes = int.from_bytes(header[6:8], "little") == number
    else:
        field, _, compare = what.rpartition("-")
        seen = {"hdr-len": header[1], "segs-left": segments_left, "last-entry": last}[field]
        passes = {"eq": seen == number, "gt": seen > number, "lt": seen < number}[compare]
    return passes is not inverted


# --- which headers there are -------------------------------------------------------------------------------------

_HEADER_BITS = {
    "hop-by-hop": 1, "ipv6-opts": 2, "ipv6-route": 4, "ipv6-frag": 8, "ah": 16, "esp": 32, "ipv6-nonxt": 64,
    "protocol": 128,
}  # fmt: skip
_BIT_OF_NUMBER = {HOP_BY_HOP: 1, DESTINATION_OPTIONS: 2, ROUTING: 4, FRAGMENT: 8, AH: 16, ESP: 32, _NO_NEXT_HEADER: 64}
_PROTOCOL_BIT = 128


def compile_ipv6header(match: Ipv6headerMatch) -> Holds:
    """`-m ipv6header`: exactly these headers, or with `--soft` these among others (inverted: none of these)."""
    wanted = sum(_HEADER_BITS[name] for name in match.headers)
    soft, inverted = match.soft, match.inverted

    def test(skb: Skb) -> Answer:
        seen = seen_headers(skb.packet)
        if seen is None:
            return False
        if soft:
            return not seen & wanted if inverted else seen & wanted == wanted
        return (seen == wanted) is not inverted

    return test


def seen_headers(packet: Packet) -> int | None:
    """Bits of the headers in a packet, as ipv6header_mt6 collects them; None where it gives up.

    It walks on behind a later fragment's header as if headers followed there, as the kernel does.
    """
    data = format_packet(packet)
    number, place, bits = data[6], 40, 0
    while number in _BIT_OF_NUMBER:
        if number == _NO_NEXT_HEADER:
            return bits | 64
        if len(data) - place < 2:
            return None
        bits |= _BIT_OF_NUMBER[number]
        if number == ESP:
            return bits
        size = (data[place + 1] + 1) * 8
        if number == FRAGMENT:
            size = 8
        elif number == AH:
            size = (data[place + 1] + 2) * 4
        number = data[place]
        place += size
        if place > len(data):
            break
    return bits | (_PROTOCOL_BIT if number not in (_NO_NEXT_HEADER, ESP) else 0)


def header_names(bits: int) -> str:
    """The names of headers, in the order iptables prints them."""
    return ",".join(name for name, bit in _HEADER_BITS.items() if bits & bit) or "none"


def explain_ipv6header(match: Ipv6headerMatch, packet: Packet) -> str:
    """Why `-m ipv6header` missed."""
    seen = seen_headers(packet)
    if seen is None:
        return "the extension headers are cut short"
    return f"headers are {header_names(seen)}" + ("" if match.inverted else f", not {','.join(match.headers)}")


def explain_header(number: int, name: str, packet: Packet) -> str:
    """Why a test of one extension header missed."""
    found = find_header(packet, number)
    if found is None or found == "broken":
        return f"the packet has no {name} header"
    return f"the {name} header does not fit: {found[:_BYTES_SHOWN].hex()}"
