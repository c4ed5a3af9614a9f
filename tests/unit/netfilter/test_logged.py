"""A packet that the kernel logged, made whole with zeros; or None where its headers do not say enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.net.address import IPFamily, parse_address
from tortie.net.packet import Packet
from tortie.net.protocol import GRE, ICMP, TCP, UDP
from tortie.net.wire import format_packet
from tortie.netfilter.logged import LoggedPacket, logged_to_packet

V4, V6 = IPFamily.V4, IPFamily.V6
A, B = (parse_address(text).value for text in ("10.0.0.5", "10.0.0.1"))
LOGGED = LoggedPacket(V4, A, B, length=52, proto=TCP, sport=1, dport=2, tcp_flags=2, ttl=9, tos=4, identification=7)


def test_what_was_logged_is_in_the_packet_and_the_rest_is_zero() -> None:
    packet = logged_to_packet(LOGGED)
    assert packet == Packet(V4, A, B, TCP, sport=1, dport=2, tcp_flags=2, ttl=9, tos=4, identification=7, payload=bytes(12))
    assert packet is not None
    assert packet.length == 52


def test_what_was_not_logged_has_the_usual_value() -> None:
    packet = logged_to_packet(LoggedPacket(V4, A, B, length=28, proto=UDP, sport=1, dport=2))
    assert packet is not None
    assert (packet.ttl, packet.tos, packet.payload) == (64, 0, b"")


NOT_ENOUGH = {
    "no protocol": replace(LOGGED, proto=None),
    "no length": replace(LOGGED, length=None),
    "no ports": replace(LOGGED, sport=None),
    "no destination port": replace(LOGGED, dport=None),
    "no ICMP type": LoggedPacket(V4, A, B, length=28, proto=ICMP),
    "an extension header for a protocol": LoggedPacket(V6, 1, 2, length=60, proto=60),
}


@pytest.mark.parametrize("logged", NOT_ENOUGH.values(), ids=NOT_ENOUGH)
def test_not_enough(logged: LoggedPacket) -> None:
    assert logged_to_packet(logged) is None


def test_a_later_fragment_needs_no_header() -> None:
    packet = logged_to_packet(LoggedPacket(V4, A, B, length=36, proto=UDP, fragment_offset=10))
    assert packet is not None
    assert (packet.is_later_fragment, packet.transport) == (True, bytes(16))


def test_a_packet_of_a_protocol_without_ports_is_its_header_and_zeros() -> None:
    packet = logged_to_packet(LoggedPacket(V4, A, B, length=36, proto=GRE))
    assert packet is not None
    assert (packet.transport, packet.length) == (bytes(16), 36)


@pytest.mark.parametrize("identification", [5, None])
def test_a_fragment_of_ipv6_gets_its_header_back(identification: int | None) -> None:
    logged = LoggedPacket(
        V6, 1, 2, length=64, proto=UDP, sport=1, dport=2, more_fragments=True, identification=identification
    )
    packet = logged_to_packet(logged)
    assert packet is not None
    assert packet.extensions == ((44, bytes([UDP, 0, 0, 1]) + (identification or 0).to_bytes(4, "big")),)
    assert packet.length == 64


def test_an_icmp_error_holds_the_packet_that_it_is_about() -> None:
    logged = LoggedPacket(V4, B, A, length=80, proto=ICMP, icmp_type=3, icmp_code=1, quoted=LOGGED)
    packet, quoted = logged_to_packet(logged), logged_to_packet(LOGGED)
    assert packet is not None
    assert quoted is not None
    assert packet.payload == format_packet(quoted)
