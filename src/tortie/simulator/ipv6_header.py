"""Finding headers in an IPv6 packet as the kernel does, also where the chain of extension headers is cut short.

`Packet` ends its chain at a header that does not fit. The kernel reads only the first two bytes of a header (four of a
fragment header) before it goes on, so it still learns what should follow. Whoever then reads the transport header finds
nothing there.

Source: ipv6_find_hdr in net/ipv6/exthdrs_core.c; the nft back-end calls it with IP6_FH_F_AUTH, which makes AH the
protocol (nft_set_pktinfo_ipv6 in include/net/netfilter/nf_tables_ipv6.h; seen on Linux 6.18).
"""

from __future__ import annotations

from typing import Final, Literal

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import AH
from tortie.net.wire import EXTENSION_HEADERS, FRAGMENT, format_packet

_BROKEN: Final = None


def protocol_behind(packet: Packet, *, stop_at_ah: bool = False) -> int | None:
    """The protocol after the extension headers; None where the chain is broken (the kernel's EBADMSG and ENOENT)."""
    proto = packet.proto
    if stop_at_ah and any(number == AH for number, _ in packet.extensions):
        return AH
    if proto not in EXTENSION_HEADERS:
        return proto
    raw = packet.transport or b""
    if packet.fragment_offset or len(raw) < _bytes_read(proto):
        return _BROKEN
    if proto == AH and stop_at_ah:
        return AH
    return raw[0] if raw[0] not in EXTENSION_HEADERS else _BROKEN


def _bytes_read(number: int) -> int:
    return 4 if number == FRAGMENT else 2


def is_cut_short(packet: Packet) -> bool:
    """True when the chain of extension headers ends in the middle of one, so that nothing stands behind it."""
    return packet.family is IPFamily.V6 and packet.proto in EXTENSION_HEADERS


def is_later_fragment(packet: Packet) -> bool:
    """True for a later fragment, also where its fragment header is cut short behind the offset."""
    if packet.fragment_offset:
        return True
    raw = packet.transport
    return (
        packet.family is IPFamily.V6
        and packet.proto == FRAGMENT
        and raw is not None
        and len(raw) >= 4
        and int.from_bytes(raw[2:4], "big") >> 3 > 0
    )


def transport_bytes(packet: Packet) -> bytes:
    """What stands where the transport header should be, of a packet that was not taken apart into fields."""
    if is_cut_short(packet):
        return b""
    return packet.transport if packet.transport is not None else packet.payload


def unguarded_bytes(packet: Packet) -> bytes:
    """What a test finds at the place of the transport header when it does not ask whether there can be one.

    Of IPv6's later fragments ipv6_find_hdr tells no place, so such a test reads the IPv6 header.
    """
    if packet.family is IPFamily.V6 and is_later_fragment(packet):
        return format_packet(packet)
    return transport_bytes(packet)


def find_header(packet: Packet, number: int) -> bytes | Literal["broken"] | None:
    """The first extension header of a kind and all that follows it in the packet.

    None where there is none, "broken" where the chain ends before the kernel could know that.
    """
    place = 40
    for kind, content in packet.extensions:
        if kind == number:
            return format_packet(packet)[place:]
        place += len(content)
    if packet.proto not in EXTENSION_HEADERS or packet.fragment_offset:
        return None
    raw = packet.transport or b""
    if len(raw) < _bytes_read(packet.proto):
        return "broken"
    if packet.proto == number:
        return raw
    return "broken" if raw[0] in EXTENSION_HEADERS else None
