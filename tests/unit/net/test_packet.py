"""What a packet says of itself: lengths, what its fields mean, and one line of text."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tortie.net.address import IPFamily, parse_address
from tortie.net.packet import Packet, describe_packet
from tortie.net.protocol import DCCP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP

V4, V6 = IPFamily.V4, IPFamily.V6
A, B, C = (parse_address(text).value for text in ("10.0.0.5", "10.0.0.1", "fd00::1"))
TCP_PACKET = Packet(V4, A, B, TCP, sport=40000, dport=80, tcp_flags=2)
LATER = Packet(V4, A, B, UDP, fragment_offset=185, transport=bytes(8))

TEXTS: dict[str, Packet] = {
    "tcp 10.0.0.5:40000 > 10.0.0.1:80 SYN ttl 64": TCP_PACKET,
    "tcp 10.0.0.5:40000 > 10.0.0.1:80 SYN+ACK ttl 3": replace(TCP_PACKET, tcp_flags=18, ttl=3),
    "tcp 10.0.0.5:40000 > 10.0.0.1:80 no-flags ttl 64": replace(TCP_PACKET, tcp_flags=0),
    "udp [fd00::1]:1 > [fd00::1]:2 ttl 64": Packet(V6, C, C, UDP, sport=1, dport=2),
    "icmp 10.0.0.5 > 10.0.0.1 type 8 code 0 ttl 64": Packet(V4, A, B, ICMP, icmp_type=8),
    "ipv6-icmp fd00::1 > fd00::1 type 128 code 1 ttl 64": Packet(V6, C, C, ICMPV6, icmp_type=128, icmp_code=1),
    "ipv6-icmp 10.0.0.5 > 10.0.0.1 ttl 64": Packet(V4, A, B, ICMPV6),
    "gre 10.0.0.5 > 10.0.0.1 ttl 64": Packet(V4, A, B, GRE, transport=b"1234"),
    "udp 10.0.0.5 > 10.0.0.1 fragment 1480 ttl 64": LATER,
    "udp 10.0.0.5:1 > 10.0.0.1:2 fragment 0+ ttl 64": Packet(V4, A, B, UDP, sport=1, dport=2, more_fragments=True),
}


@pytest.mark.parametrize(("text", "packet"), TEXTS.items())
def test_a_packet_as_one_line(text: str, packet: Packet) -> None:
    assert str(packet) == describe_packet(packet) == text


LENGTHS: dict[str, tuple[Packet, int]] = {
    "TCP": (TCP_PACKET, 40),
    "TCP with options and payload": (replace(TCP_PACKET, tcp_options=bytes(12), payload=bytes(100)), 152),
    "IPv4 with options": (replace(TCP_PACKET, options=bytes(8)), 48),
    "UDP": (Packet(V4, A, B, UDP, payload=b"x"), 29),
    "IPv6 counts its header": (Packet(V6, C, C, UDP), 48),
    "IPv6 with an extension": (Packet(V6, C, C, UDP, extensions=((60, bytes(16)),)), 64),
    "SCTP": (Packet(V4, A, B, SCTP), 32),
    "DCCP": (Packet(V4, A, B, DCCP), 32),
    "ICMP": (Packet(V4, A, B, ICMP, payload=bytes(56)), 84),
    "bytes that nobody reads": (Packet(V4, A, B, GRE, transport=bytes(7)), 27),
}


@pytest.mark.parametrize(("packet", "length"), LENGTHS.values(), ids=LENGTHS)
def test_length(packet: Packet, length: int) -> None:
    assert packet.length == length


def test_ports_and_icmp_fields_mean_something_only_in_a_whole_header() -> None:
    assert TCP_PACKET.has_ports
    assert not replace(TCP_PACKET, transport=bytes(3)).has_ports
    assert not Packet(V4, A, B, ICMP).has_ports
    assert Packet(V4, A, B, ICMP).is_icmp
    assert not Packet(V6, C, C, ICMP).is_icmp
    assert Packet(V4, A, B, ICMP, icmp_rest=0x12340001).icmp_id == 0x1234


def test_fragments() -> None:
    first = replace(TCP_PACKET, more_fragments=True)
    assert [(one.is_fragment, one.is_later_fragment) for one in (TCP_PACKET, first, LATER)] == [
        (False, False),
        (True, False),
        (True, True),
    ]


def test_a_dccp_packets_type_is_in_its_header() -> None:
    assert [Packet(V4, A, B, DCCP, dccp_header=bytes([3, 0, kind << 1, 0, 0, 0])).dccp_type for kind in (0, 7, 15)] == [
        0,
        7,
        15,
    ]
