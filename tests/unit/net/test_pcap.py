"""Captures byte by byte: file formats, link layers, and damage."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.pcap import Frame, parse_capture
from tortie.net.protocol import TCP, UDP
from tortie.net.wire import format_packet

A, B = parse_address("10.0.0.5").value, parse_address("10.0.0.1").value
PACKET = Packet(IPFamily.V4, A, B, UDP, sport=1, dport=2, payload=b"data")
RAW = format_packet(PACKET)
PACKET6 = Packet(IPFamily.V6, parse_address("fd00::5").value, parse_address("fd00::1").value, UDP, sport=1, dport=2)
RAW6 = format_packet(PACKET6)
MAC, OWN = bytes.fromhex("001122334455"), bytes.fromhex("02aabbccddee")
IP, IP6, ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"


def pcap(*frames: bytes, link: int = 1, order: str = "<", magic: int = 0xA1B2C3D4, missing: int = 0) -> bytes:
    out = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for number, frame in enumerate(frames):
        out += struct.pack(f"{order}IIII", 1000 + number, 500, len(frame), len(frame) + missing) + frame
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, options: bytes = b"", order: str = "<", snap: int = 0) -> bytes:
    return block(1, struct.pack(f"{order}HHI", link, 0, snap) + options, order)


def enhanced(frame: bytes, ticks: int = 0, number: int = 0, order: str = "<", missing: int = 0) -> bytes:
    head = struct.pack(f"{order}IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame) + missing)
    return block(6, head + frame, order)


ETHERNET = OWN + MAC + IP + RAW


def one(data: bytes) -> Frame:
    (frame,) = parse_capture(data)
    return frame


FILES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "pcap": (pcap(ETHERNET), {"time_s": 1000.0005}),
    "pcap, big endian": (pcap(ETHERNET, order=">"), {"time_s": 1000.0005}),
    "pcap with nanoseconds": (pcap(ETHERNET, magic=0xA1B23C4D), {"time_s": 1000.0000005}),
    "pcap with nanoseconds, big endian": (pcap(ETHERNET, order=">", magic=0xA1B23C4D), {"time_s": 1000.0000005}),
    "pcapng": (section() + interface() + enhanced(ETHERNET, 1500000), {"time_s": 1.5}),
    "pcapng, big endian": (section(">") + interface(order=">") + enhanced(ETHERNET, 1500000, order=">"), {"time_s": 1.5}),
    "pcapng with a name, nanoseconds and an offset": (
        section()
        + interface(options=option(2, b"eth0") + option(9, b"\x09") + option(14, struct.pack("<q", 100)) + option(0, b""))
        + enhanced(ETHERNET, 2_500_000_000),
        {"time_s": 102.5, "iface": "eth0"},
    ),
    "pcapng with binary fractions": (
        section() + interface(options=option(9, b"\x8a")) + enhanced(ETHERNET, 1536),
        {"time_s": 1.5},
    ),
    "pcapng simple packet": (
        section() + interface() + block(3, struct.pack("<I", len(ETHERNET)) + ETHERNET),
        {"time_s": 0.0},
    ),
    "pcapng old packet": (
        section()
        + interface()
        + block(2, struct.pack("<HHIIII", 0, 9, 0, 1500000, len(ETHERNET), len(ETHERNET)) + ETHERNET),
        {"time_s": 1.5},
    ),
    "pcapng with blocks in between": (
        section()
        + block(4, b"")
        + interface(link=113)
        + interface(link=1)
        + block(5, bytes(8))
        + enhanced(ETHERNET, number=1),
        {"time_s": 0.0},
    ),
    "pcapng with two sections": (
        section() + interface(link=113) + section(">") + interface(order=">") + enhanced(ETHERNET, order=">"),
        {"time_s": 0.0},
    ),
}


@pytest.mark.parametrize(("data", "fields"), FILES.values(), ids=FILES.keys())
def test_file_formats(data: bytes, fields: dict[str, Any]) -> None:
    frame = one(data)
    assert frame.time_s == pytest.approx(fields.pop("time_s"), abs=1e-7)
    assert replace(frame, time_s=0.0) == Frame(0.0, PACKET, MAC, "unicast", ETHERNET, **fields)


def sll(kind: int, protocol: bytes, payload: bytes, address: bytes = MAC) -> bytes:
    return struct.pack("!HHH", kind, 1, len(address)) + address.ljust(8, b"\0") + protocol + payload


def sll2(kind: int, protocol: bytes, payload: bytes) -> bytes:
    return protocol + struct.pack("!HIHBB", 0, 3, 1, kind, 6) + MAC.ljust(8, b"\0") + payload


UNICAST = {"packet": PACKET, "mac_source": MAC, "frame_type": "unicast"}
NOT_IP = {"packet": None, "mac_source": MAC, "frame_type": "unicast"}
TAG = b"\x81\x00\x20\x64"
LINKS: dict[str, tuple[int, bytes, dict[str, Any]]] = {
    "ethernet": (1, ETHERNET, UNICAST),
    "ethernet, ipv6": (1, OWN + MAC + IP6 + RAW6, UNICAST | {"packet": PACKET6}),
    "ethernet with padding": (1, ETHERNET + bytes(20), UNICAST),
    "ethernet broadcast": (1, b"\xff" * 6 + MAC + IP + RAW, UNICAST | {"frame_type": "broadcast"}),
    "ethernet multicast": (1, b"\x01\0\x5e\0\0\1" + MAC + IP + RAW, UNICAST | {"frame_type": "multicast"}),
    "vlan": (1, OWN + MAC + TAG + IP + RAW, UNICAST | {"vlans": (100,)}),
    "vlan in vlan": (1, OWN + MAC + b"\x88\xa8\0\5" + TAG + IP + RAW, UNICAST | {"vlans": (5, 100)}),
    "arp": (1, OWN + MAC + ARP + bytes(28), NOT_IP | {"problem": "not an IP packet: ARP"}),
    "arp in a vlan": (1, OWN + MAC + TAG + ARP + bytes(28), NOT_IP | {"vlans": (100,), "problem": "not an IP packet: ARP"}),
    "spanning tree": (1, OWN + MAC + b"\x00\x26" + bytes(38), NOT_IP | {"problem": "not an IP packet: an LLC frame"}),
    "unknown type": (1, OWN + MAC + b"\x99\x99" + bytes(8), NOT_IP | {"problem": "not an IP packet: type 0x9999"}),
    "ethernet cut short": (1, OWN + MAC, {"problem": "cut short in its link-layer header"}),
    "vlan cut short": (
        1,
        OWN + MAC + TAG[:2],
        {"problem": "cut short in its link-layer header", "mac_source": MAC, "frame_type": "unicast"},
    ),
    "damaged packet": (
        1,
        OWN + MAC + IP + RAW[:-1],
        NOT_IP | {"problem": "IPv4 total length is 32 bytes, of which 31 are there"},
    ),
    "raw": (101, RAW, {"packet": PACKET}),
    "raw, older number": (12, RAW6, {"packet": PACKET6}),
    "ipv4": (228, RAW, {"packet": PACKET}),
    "ipv6": (229, RAW6, {"packet": PACKET6}),
    "null, little endian": (0, b"\2\0\0\0" + RAW, {"packet": PACKET}),
    "null, big endian": (0, b"\0\0\0\2" + RAW, {"packet": PACKET}),
    "null, ipv6": (0, b"\x1e\0\0\0" + RAW6, {"packet": PACKET6}),
    "loop": (108, b"\0\0\0\x18" + RAW6, {"packet": PACKET6}),
    "null, another family": (0, b"\x05\0\0\0" + RAW, {"problem": "not an IP packet: address family 5"}),
    "null cut short": (0, b"\2\0", {"problem": "cut short in its link-layer header"}),
    "cooked": (113, sll(0, IP, RAW), UNICAST | {"outgoing": False}),
    "cooked broadcast": (113, sll(1, IP, RAW), UNICAST | {"frame_type": "broadcast", "outgoing": False}),
    "cooked multicast": (
        113,
        sll(2, IP6, RAW6),
        {"packet": PACKET6, "mac_source": MAC, "frame_type": "multicast", "outgoing": False},
    ),
    "cooked, sent": (113, sll(4, IP, RAW), {"packet": PACKET, "mac_source": MAC, "outgoing": True}),
    "cooked, without an address": (113, sll(0, IP, RAW, b""), UNICAST | {"mac_source": None, "outgoing": False}),
    "cooked, to another host": (
        113,
        sll(3, IP, RAW),
        {"mac_source": MAC, "outgoing": False, "problem": "a frame to another host, which the kernel drops unseen"},
    ),
    "cooked vlan": (113, sll(0, TAG[:2], TAG[2:] + IP + RAW), UNICAST | {"outgoing": False, "vlans": (100,)}),
    "cooked arp": (113, sll(0, ARP, bytes(28)), NOT_IP | {"outgoing": False, "problem": "not an IP packet: ARP"}),
    "cooked cut short": (113, bytes(15), {"problem": "cut short in its link-layer header"}),
    "cooked 2": (276, sll2(0, IP, RAW), UNICAST | {"outgoing": False}),
    "cooked 2, sent": (276, sll2(4, IP6, RAW6), {"packet": PACKET6, "mac_source": MAC, "outgoing": True}),
    "cooked 2 vlan": (276, sll2(0, TAG[:2], TAG[2:] + IP + RAW), UNICAST | {"outgoing": False, "vlans": (100,)}),
    "cooked 2 cut short": (276, bytes(19), {"problem": "cut short in its link-layer header"}),
    "radio": (127, bytes(40), {"problem": "link type 127 is not known"}),
}


@pytest.mark.parametrize(("link", "data", "fields"), LINKS.values(), ids=LINKS.keys())
def test_link_layers(link: int, data: bytes, fields: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"packet": None, "mac_source": None, "frame_type": None}
    assert replace(one(pcap(data, link=link)), time_s=0.0) == Frame(time_s=0.0, data=data, **(usual | fields))


def test_an_unfinished_checksum_is_right() -> None:
    pseudo = (A >> 16) + (A & 0xFFFF) + (B >> 16) + (B & 0xFFFF) + UDP + 12
    raw = RAW[:26] + struct.pack("!H", (pseudo & 0xFFFF) + (pseudo >> 16)) + RAW[28:]
    assert one(pcap(OWN + MAC + IP + raw)).packet == PACKET


LONG = Packet(IPFamily.V4, A, B, TCP, sport=1, dport=2, tcp_options=b"\1\1\1\1", payload=b"x" * 100)
LONG_RAW = format_packet(LONG)


def test_what_the_capture_left_out_of_a_payload_counts_as_zeros() -> None:
    frame = one(pcap(LONG_RAW[:50], link=101, missing=len(LONG_RAW) - 50))
    assert frame.problem == "the capture holds 50 of its 144 bytes; the others count as zeros"
    assert frame.packet == Packet(
        IPFamily.V4, A, B, TCP, sport=1, dport=2, tcp_options=b"\1\1\1\1", payload=b"x" * 6 + bytes(94)
    )


@pytest.mark.parametrize("kept", [0, 19, 20, 32, 39, 43])
def test_what_the_capture_left_out_of_headers_is_not_made_up(kept: int) -> None:
    frame = one(pcap(LONG_RAW[:kept], link=101, missing=len(LONG_RAW) - kept))
    assert frame.packet is None
    assert frame.problem is not None and frame.problem.startswith("the capture cut its headers short: ")


def test_a_later_fragment_needs_no_more_than_its_ip_header() -> None:
    fragment = Packet(IPFamily.V4, A, B, TCP, transport=b"x" * 80, fragment_offset=5)
    frame = one(pcap(format_packet(fragment)[:30], link=101, missing=70))
    assert frame.packet is not None and frame.packet.transport == b"x" * 10 + bytes(70)


PCAPNG = section() + interface() + enhanced(ETHERNET) + enhanced(ETHERNET)
WHOLE = len(section() + interface() + enhanced(ETHERNET))
DAMAGED = {
    "no bytes": (b"", 0, "neither a pcap nor a pcapng"),
    "text": (b"10.0.0.1 > 10.0.0.2: tcp", 0, "neither a pcap nor a pcapng"),
    "compressed": (b"\x1f\x8b\x08\x00", 0, "compressed"),
    "pcap without its header": (pcap()[:20], 0, "begins with 24 bytes"),
    "pcap cut in a record header": (pcap(ETHERNET, ETHERNET)[: -len(ETHERNET) - 5], 1, "packet 2: its record header"),
    "pcap cut in a frame": (
        pcap(ETHERNET, ETHERNET)[:-1],
        1,
        "packet 2: 46 bytes were captured, of which the file holds 45",
    ),
    "pcap with an absurd record": (pcap(ETHERNET) + b"\xff" * 16, 1, "packet 2: a damaged record"),
    "pcapng cut in a block": (PCAPNG[:-1], 1, "after packet 1: a block of"),
    "pcapng cut in a block header": (PCAPNG[: WHOLE + 8], 1, "after packet 1: a block is cut short"),
    "pcapng with an absurd block": (PCAPNG[: WHOLE + 4] + b"\xff" * 40, 1, "after packet 1: a damaged block"),
    "pcapng with two lengths": (PCAPNG[:-4] + b"\4\0\0\0", 1, "two lengths differ"),
    "pcapng without byte order": (section()[:8] + bytes(20), 0, "byte-order mark"),
    "pcapng without interfaces": (section() + enhanced(ETHERNET), 0, "packet 1: captured on interface 0"),
    "pcapng with a short interface": (section() + block(1, bytes(4)), 0, "interface description is cut short"),
    "pcapng with a short packet": (section() + interface() + block(6, bytes(8)), 0, "packet 1: its block is cut short"),
    "pcapng with a short simple packet": (section() + interface() + block(3, b""), 0, "packet 1: its block is cut short"),
    "pcapng with more than its block": (
        section() + interface() + block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99) + bytes(40)),
        0,
        "of which its block holds 40",
    ),
}


@pytest.mark.parametrize(("data", "good", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_found_where_it_is(data: bytes, good: int, message: str) -> None:
    found: list[Frame] = []
    with pytest.raises(InvalidInput, match=message):
        found.extend(parse_capture(data))
    assert len(found) == good


def test_an_empty_capture_has_no_frames() -> None:
    assert list(parse_capture(pcap())) == []
    assert list(parse_capture(section())) == []
