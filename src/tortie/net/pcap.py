"""Captures: pcap and pcapng files to frames with their IP packets.

The file is walked once with struct, frame by frame, so a consumer may stop early. What is no IP packet is a `Frame` without
packet that names its problem; what is no capture, or a damaged one, is `InvalidInput` with the number of the packet,
counted from 1 as other tools count. Captures are mostly taken on the sending or receiving node, where checksums are left
to the network card: such unfinished ones count as right (see `parse_packet`).

Of a packet that the capture cut short (`tcpdump -s`) the missing bytes count as zeros when its headers are there, with a
remark; what is missing of a header is never made up.

Sources: pcap-savefile(5); draft-ietf-opsawg-pcapng; the link-layer header types of www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from tortie.net.error import InvalidInput
from tortie.net.packet import Packet, transport_header_length
from tortie.net.wire import parse_packet


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame: `data` from its link-layer header on, `packet` None when it holds no IP packet to walk.

    `problem` says why there is no packet, or what to know about the one there is.
    """

    time_s: float
    """Seconds since the epoch."""
    packet: Packet | None
    mac_source: bytes | None
    frame_type: str | None
    """`unicast`, `broadcast` or `multicast` as the frame's destination says; None where the link layer does not tell."""
    data: bytes
    problem: str | None = None
    outgoing: bool | None = None
    """Whether the capturing node sent it; None where the capture does not tell."""
    vlans: tuple[int, ...] = ()
    """Numbers of its VLAN tags, outermost first."""
    iface: str | None = None
    """The device it was captured on, where a pcapng file names it."""


@dataclass(slots=True)
class _Inside:
    """What a link-layer header tells: where the IP packet begins, or the problem."""

    start: int = 0
    problem: str | None = None
    mac_source: bytes | None = None
    frame_type: str | None = None
    outgoing: bool | None = None
    vlans: tuple[int, ...] = ()


def parse_capture(data: bytes) -> Iterator[Frame]:
    """The frames of a pcap or pcapng file in order; raises `InvalidInput`, for a damaged file after its good frames."""
    magic = data[:4]
    if magic == _SECTION_MAGIC:
        return _pcapng_frames(data)
    if magic in _PCAP_MAGICS:
        return _pcap_frames(data)
    if magic[:2] == b"\x1f\x8b":
        raise InvalidInput("a compressed capture", remedy="unpack it first: gunzip")
    raise InvalidInput("neither a pcap nor a pcapng file")


# --- pcap --------------------------------------------------------------------------------------------------------

_PCAP_MAGICS: dict[bytes, tuple[str, float]] = {
    b"\xa1\xb2\xc3\xd4": (">", 1e-6), b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9), b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
}  # fmt: skip
"""First bytes to byte order and unit of the fraction of a second."""
MOST_FRAME_BYTES = 1 << 20
"""A record that claims more is damage: the largest packet has 65575 bytes, with jumbograms put aside."""


def _pcap_frames(data: bytes) -> Iterator[Frame]:
    order, unit = _PCAP_MAGICS[data[:4]]
    if len(data) < 24:
        raise InvalidInput(f"a pcap file begins with 24 bytes, not {len(data)}")
    link_type = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    record = struct.Struct(f"{order}IIII")
    place, number, end = 24, 0, len(data)
    while place < end:
        number += 1
        if place + 16 > end:
            raise InvalidInput(f"packet {number}: its record header is cut short, the file ends")
        seconds, fraction, captured, length = record.unpack_from(data, place)
        place += 16
        if captured > MOST_FRAME_BYTES:
            raise InvalidInput(f"packet {number}: a damaged record that claims {captured} bytes")
        if place + captured > end:
            raise InvalidInput(f"packet {number}: {captured} bytes were captured, of which the file holds {end - place}")
        yield _frame(data[place : place + captured], link_type, seconds + fraction * unit, length - captured, None)
        place += captured


# --- pcapng ------------------------------------------------------------------------------------------------------

_SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    snap_length: int
    name: str | None
    ticks_per_s: int
    offset_s: int


def _pcapng_frames(data: bytes) -> Iterator[Frame]:
    order = "<"
    interfaces: list[_Interface] = []
    place, number = 0, 0
    while place < len(data):
        kind, size, order = _block_header(data, place, order, number)
        body = data[place + 8 : place + size - 4]
        place += size
        if kind == _SECTION:
            interfaces = []
        elif kind == _INTERFACE:
            interfaces.append(_interface(body, order))
        elif kind in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
            number += 1
            yield _pcapng_frame(kind, body, order, interfaces, number)


def _block_header(data: bytes, place: int, order: str, number: int) -> tuple[int, int, str]:
    """Kind and size of the block, and the byte order from here on."""
    if place + 12 > len(data):
        raise InvalidInput(f"after packet {number}: a block is cut short, the file ends")
    if data[place : place + 4] == _SECTION_MAGIC:
        mark = data[place + 8 : place + 12]
        if mark not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
            raise InvalidInput(f"after packet {number}: a section without its byte-order mark")
        order = ">" if mark == b"\x1a\x2b\x3c\x4d" else "<"
    kind, size = struct.unpack_from(f"{order}II", data, place)
    if size < 12 or size % 4:
        raise InvalidInput(f"after packet {number}: a damaged block that claims {size} bytes")
    if place + size > len(data):
        raise InvalidInput(f"after packet {number}: a block of {size} bytes, of which the file holds {len(data) - place}")
    if struct.unpack_from(f"{order}I", data, place + size - 4)[0] != size:
        raise InvalidInput(f"after packet {number}: a damaged block whose two lengths differ")
    return kind, size, order


def _interface(body: bytes, order: str) -> _Interface:
    if len(body) < 8:
        raise InvalidInput("an interface description is cut short")
    link_type, _, snap_length = struct.unpack_from(f"{order}HHI", body)
    name, ticks, offset = None, 10**6, 0
    place = 8
    while place + 4 <= len(body):
        code, size = struct.unpack_from(f"{order}HH", body, place)
        value = body[place + 4 : place + 4 + size]
        place += 4 + (size + 3 & ~3)
        if code == 0:
            break
        if code == 2:
            name = value.decode(errors="replace")
        elif code == 9 and size >= 1:
            ticks = 1 << (value[0] & 127) if value[0] & 128 else 10 ** (value[0] & 127)
        elif code == 14 and size == 8:
            offset = int(struct.unpack(f"{order}q", value)[0])
    return _Interface(link_type, snap_length, name, ticks, offset)


def _pcapng_frame(kind: int, body: bytes, order: str, interfaces: list[_Interface], number: int) -> Frame:
    if kind == _SIMPLE_PACKET:
        if len(body) < 4:
            raise InvalidInput(f"packet {number}: its block is cut short")
        index, ticks, start = 0, 0, 4
        length = struct.unpack_from(f"{order}I", body)[0]
        captured = min(length, len(body) - 4)
    else:
        if len(body) < 20:
            raise InvalidInput(f"packet {number}: its block is cut short")
        layout = "IIIII" if kind == _PACKET else "HxxIIII"
        index, high, low, captured, length = struct.unpack_from(order + layout, body)
        ticks, start = high << 32 | low, 20
    if index >= len(interfaces):
        raise InvalidInput(f"packet {number}: captured on interface {index}, which the file does not describe")
    if start + captured > len(body):
        raise InvalidInput(f"packet {number}: {captured} bytes were captured, of which its block holds {len(body) - start}")
    on = interfaces[index]
    if kind == _SIMPLE_PACKET and on.snap_length:
        captured = min(captured, on.snap_length)
    time_s = on.offset_s + ticks / on.ticks_per_s
    return _frame(body[start : start + captured], on.link_type, time_s, length - captured, on.name)


# --- frames ------------------------------------------------------------------------------------------------------


def _frame(data: bytes, link_type: int, time_s: float, missing: int, iface: str | None) -> Frame:
    reader = _LINK_TYPES.get(link_type)
    inside = reader(data) if reader is not None else _Inside(problem=f"link type {link_type} is not known")
    packet, problem = None, inside.problem
    if problem is None:
        packet, problem = _packet(data[inside.start :] if inside.start else data, missing)
    return Frame(
        time_s, packet, inside.mac_source, inside.frame_type, data, problem, inside.outgoing, inside.vlans, iface
    )  # fmt: skip


def _packet(data: bytes, missing: int) -> tuple[Packet | None, str | None]:
    try:
        return parse_packet(data, unfinished_checksums=True), None
    except InvalidInput as error:
        if missing <= 0:
            return None, error.message
        return _cut_packet(data, missing) or (None, f"the capture cut its headers short: {error.message}")


def _cut_packet(data: bytes, missing: int) -> tuple[Packet, str] | None:
    """A packet of which the capture holds the headers, its other bytes zeros; None when a header is not whole."""
    try:
        packet = parse_packet(data + bytes(min(missing, MOST_FRAME_BYTES)), unfinished_checksums=True)
    except InvalidInput:
        return None
    header = transport_header_length(packet)
    if packet.transport is None:
        whole = packet.header_length + header <= len(data)
    else:
        whole = packet.header_length <= len(data) and (packet.is_later_fragment or header == 0)
    if not whole:
        return None
    remark = f"the capture holds {len(data)} of its {packet.length} bytes; the others count as zeros"
    return msgspec.structs.replace(packet, checksum=None, checksum_ok=True), remark


# --- link layers -------------------------------------------------------------------------------------------------

_VLAN_TYPES = frozenset({0x8100, 0x88A8, 0x9100})
_IP_TYPES = frozenset({0x0800, 0x86DD})
_TYPE_NAMES = {
    0x0806: "ARP", 0x8035: "RARP", 0x8847: "MPLS", 0x8848: "MPLS", 0x8863: "PPPoE discovery", 0x8864: "PPPoE",
    0x888E: "EAPOL", 0x88CC: "LLDP", 0x88F7: "PTP",
}  # fmt: skip
_CUT = "cut short in its link-layer header"
_BROADCAST = b"\xff" * 6


def _ether_type(data: bytes, place: int, inside: _Inside) -> _Inside:
    """Goes on at a type field: through VLAN tags to the IP packet, or to the name of what is there instead."""
    while True:
        if place + 2 > len(data):
            inside.problem = _CUT
            return inside
        kind = data[place] << 8 | data[place + 1]
        place += 2
        if kind not in _VLAN_TYPES:
            break
        inside.vlans = (
            (*inside.vlans, (data[place] << 8 | data[place + 1]) & 0xFFF) if place + 2 <= len(data) else inside.vlans
        )
        place += 2
    inside.start = place
    if kind not in _IP_TYPES:
        known = _TYPE_NAMES.get(kind, f"type {kind:#06x}" if kind >= 0x600 else "an LLC frame")
        inside.problem = f"not an IP packet: {known}"
    return inside


def _ethernet(data: bytes) -> _Inside:
    if len(data) < 14:
        return _Inside(problem=_CUT)
    if data[0] & 1:
        frame_type = "broadcast" if data[:6] == _BROADCAST else "multicast"
    else:
        frame_type = "unicast"
    return _ether_type(data, 12, _Inside(mac_source=data[6:12], frame_type=frame_type))


def _raw(data: bytes) -> _Inside:
    return _Inside()


def _bsd_loopback(data: bytes) -> _Inside:
    """NULL and LOOP: four bytes with an address family, in either byte order."""
    if len(data) < 4:
        return _Inside(problem=_CUT)
    family = min(int.from_bytes(data[:4], "big"), int.from_bytes(data[:4], "little"))
    if family not in (2, 10, 24, 28, 30):  # AF_INET, and AF_INET6 of Linux, NetBSD, FreeBSD, Darwin
        return _Inside(problem=f"not an IP packet: address family {family}")
    return _Inside(start=4)


_PACKET_TYPES = {0: "unicast", 1: "broadcast", 2: "multicast"}
_OTHER_HOST, _OUTGOING = 3, 4


def _cooked(kind: int, address: bytes, data: bytes, protocol_at: int, start: int) -> _Inside:
    """Linux' cooked captures: packet type, sender's address, protocol (SLL has the protocol last, SLL2 first)."""
    inside = _Inside(
        mac_source=address if len(address) == 6 else None, frame_type=_PACKET_TYPES.get(kind), outgoing=kind == _OUTGOING
    )
    protocol = data[protocol_at : protocol_at + 2]
    if int.from_bytes(protocol, "big") in _VLAN_TYPES:
        # The tag stands behind the header: two bytes of tag, then the type that it hides.
        inside = _ether_type(protocol + data[start:], 0, inside)
        inside.start += start - 2
    else:
        inside = _ether_type(data, protocol_at, inside)
        inside.start = start
    if kind == _OTHER_HOST and inside.problem is None:
        inside.problem = "a frame to another host, which the kernel drops unseen"
    return inside


def _sll(data: bytes) -> _Inside:
    if len(data) < 16:
        return _Inside(problem=_CUT)
    kind, _, size = struct.unpack_from("!HHH", data)
    return _cooked(kind, data[6 : 6 + min(size, 8)], data, 14, 16)


def _sll2(data: bytes) -> _Inside:
    if len(data) < 20:
        return _Inside(problem=_CUT)
    return _cooked(data[10], data[12 : 12 + min(data[11], 8)], data, 0, 20)


_LINK_TYPES: dict[int, Callable[[bytes], _Inside]] = {
    0: _bsd_loopback, 1: _ethernet, 12: _raw, 14: _raw, 101: _raw, 108: _bsd_loopback, 113: _sll, 228: _raw, 229: _raw,
    276: _sll2,
}  # fmt: skip
"""LINKTYPE numbers: NULL, ETHERNET, RAW (of BSD, of OpenBSD, registered), LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2."""
