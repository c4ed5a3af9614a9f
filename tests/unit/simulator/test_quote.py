"""The packet inside an ICMP error: its tuple and how NAT rewrites it (nf_ct_get_tuple, l4proto_manip_pkt)."""

from __future__ import annotations

import pytest
from msgspec import structs

from tests.node_builder import address, packet
from tortie.net.packet import Packet
from tortie.net.wire import format_packet, parse_packet
from tortie.netfilter.conntrack import ConnTuple
from tortie.simulator.quote import quoted_tuple, read_quote, rewrite_quote

TCP = packet("tcp", "10.0.0.5:1000", "10.1.0.9:80", tcp_seq=9, payload=b"hello")
UDP6 = packet("udp", "[fd00::5]:1000", "[fd00:1::9]:53", payload=b"hello")
PING = packet("icmp", "10.0.0.5", "10.1.0.9", icmp_rest=0x12340001)
ESP = packet("esp", "10.0.0.5", "10.1.0.9", payload=b"abcdefgh")
FRAGMENT = packet("udp", "10.0.0.5", "10.1.0.9", transport=bytes(16), fragment_offset=8)


def error(quoted: Packet, length: int = 1000) -> Packet:
    data = format_packet(quoted)[:length]
    v6 = quoted.family.value == 6
    return packet("icmp", "fd00:2::1" if v6 else "10.2.0.1", "fd00::5" if v6 else "10.0.0.5", icmp_type=1, payload=data)


KEYS: dict[str, tuple[Packet, int, tuple[int, int] | None]] = {
    "ports": (TCP, 1000, (1000, 80)),
    "ports of which nothing more is there": (TCP, 24, (1000, 80)),
    "half a port": (TCP, 23, None),
    "over IPv6": (UDP6, 1000, (1000, 53)),
    "behind an extension header": (structs.replace(UDP6, extensions=((60, bytes(8)),)), 1000, (1000, 53)),
    "an identifier": (PING, 1000, (0x1234, 0x0800)),
    "a cut ICMP header": (PING, 27, None),
    "neither": (ESP, 1000, (0, 0)),
    "a later fragment": (FRAGMENT, 1000, None),
    "a cut IP header": (TCP, 19, None),
}


@pytest.mark.parametrize("name", KEYS)
def test_the_keys_of_what_is_quoted(name: str) -> None:
    quoted, length, keys = KEYS[name]
    found = quoted_tuple(error(quoted, length))
    expected = ConnTuple(quoted.family, quoted.proto, quoted.src, quoted.dst, *keys) if keys is not None else None
    assert found == expected


def target(quoted: Packet, source: str, port: int) -> ConnTuple:
    return ConnTuple(quoted.family, quoted.proto, address(source).value, quoted.dst, port, 7)


@pytest.mark.parametrize(
    ("quoted", "source"),
    [(TCP, "192.0.2.1"), (UDP6, "2001:db8::1"), (PING, "192.0.2.1")],
    ids=["tcp", "udp over IPv6", "an echo request"],
)
def test_a_whole_quote_is_rewritten_with_its_checksums(quoted: Packet, source: str) -> None:
    data = rewrite_quote(error(quoted), target(quoted, source, 2222), source=True)
    assert data is not None
    inner = parse_packet(data)
    assert inner.src == address(source).value
    assert inner.checksum_ok
    assert (inner.sport if inner.has_ports else inner.icmp_rest >> 16) == 2222
    assert (inner.dst, inner.payload) == (quoted.dst, quoted.payload)


def test_the_destination_is_rewritten_too() -> None:
    data = rewrite_quote(error(TCP), structs.replace(target(TCP, "1.1.1.1", 1), dst=9), source=False)
    assert data is not None
    assert (parse_packet(data).dst, parse_packet(data).dport, parse_packet(data).sport) == (9, 7, 1000)


def test_a_checksum_that_was_wrong_stays_as_wrong_as_it_was() -> None:
    data = bytearray(format_packet(TCP))
    data[36] ^= 0x40
    there = rewrite_quote(structs.replace(error(TCP), payload=bytes(data)), target(TCP, "192.0.2.1", 2222), source=True)
    assert there is not None
    assert not parse_packet(there).checksum_ok
    back = rewrite_quote(structs.replace(error(TCP), payload=there), target(TCP, "10.0.0.5", 1000), source=True)
    assert back == bytes(data)


def test_a_tcp_checksum_beyond_the_quote_is_left_out() -> None:
    data = rewrite_quote(error(TCP, 28), target(TCP, "192.0.2.1", 2222), source=True)
    assert data is not None
    assert (data[12:16], data[20:22], data[22:]) == (
        address("192.0.2.1").value.to_bytes(4, "big"), (2222).to_bytes(2, "big"), format_packet(TCP)[22:28],
    )  # fmt: skip


@pytest.mark.parametrize("quoted", [TCP, PING], ids=["tcp", "icmp"])
def test_less_than_eight_bytes_cannot_be_rewritten(quoted: Packet) -> None:
    assert rewrite_quote(error(quoted, 27), target(quoted, "192.0.2.1", 1), source=True) is None


def test_a_udp_packet_without_a_checksum_gets_none() -> None:
    bare = bytearray(format_packet(packet("udp", "10.0.0.5:1000", "10.1.0.9:53", payload=b"hello")))
    bare[26:28] = bytes(2)
    about = structs.replace(error(TCP), payload=bytes(bare))
    data = rewrite_quote(about, target(TCP, "192.0.2.1", 2222), source=True)
    assert data is not None
    assert data[26:28] == bytes(2)


def test_of_a_protocol_without_known_ports_only_the_address_is_rewritten() -> None:
    """DCCP, as of Linux 6.18."""
    quoted = packet("dccp", "10.0.0.5:1000", "10.1.0.9:80")
    data = rewrite_quote(error(quoted), target(quoted, "192.0.2.1", 2222), source=True)
    assert data is not None
    assert (data[12:16], data[20:]) == (address("192.0.2.1").value.to_bytes(4, "big"), format_packet(quoted)[20:])


def test_a_quote_without_an_ip_header_is_none() -> None:
    assert read_quote(structs.replace(error(TCP), payload=b"\x45" + bytes(10))) is None
