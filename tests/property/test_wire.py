"""Bytes and packets agree: both ways round, with scapy, and for whatever bytes come."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.strategies.wire import packets
from tortie.net.address import IPFamily, format_address
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, TCP, UDP
from tortie.net.wire import crc32c, format_packet, parse_packet


@given(packets())
def test_a_packet_survives_its_bytes(packet: Packet) -> None:
    assert parse_packet(format_packet(packet)) == packet


@given(packets())
def test_length_is_the_number_of_bytes(packet: Packet) -> None:
    assert packet.length == len(format_packet(packet))


@given(packets(), st.data())
def test_bytes_survive_the_packet(packet: Packet, data: st.DataObject) -> None:
    raw = bytearray(format_packet(packet))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_packet(bytes(raw))
    except InvalidInput:
        return
    assert format_packet(parsed) == raw[: parsed.length]


@given(packets(), st.data())
def test_a_cut_packet_is_refused(packet: Packet, data: st.DataObject) -> None:
    raw = format_packet(packet)
    with pytest.raises(InvalidInput):
        parse_packet(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary(max_size=120))
def test_any_bytes_are_a_packet_or_invalid_input(raw: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        parse_packet(raw)


@pytest.fixture(scope="module")
def scapy() -> Any:
    """scapy's layers, imported without its remarks about the machine's network."""
    logging.getLogger("scapy").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("scapy.all")


def scapy_layers(layers: Any, packet: Packet) -> Any:
    """The packet as scapy builds it, checksums and lengths left to scapy."""
    src, dst = format_address(packet.family, packet.src), format_address(packet.family, packet.dst)
    if packet.family is IPFamily.V4:
        flags = packet.dont_fragment << 1 | packet.more_fragments
        head = layers.IP(
            src=src, dst=dst, ttl=packet.ttl, tos=packet.tos, id=packet.identification, flags=flags, proto=packet.proto
        )
    else:
        head = layers.IPv6(src=src, dst=dst, hlim=packet.ttl, tc=packet.tos, fl=packet.flow_label, nh=packet.proto)
    body = layers.Raw(packet.payload) if packet.payload else None
    if packet.proto == TCP:
        part = layers.TCP(
            sport=packet.sport, dport=packet.dport, seq=packet.tcp_seq, ack=packet.tcp_ack, flags=packet.tcp_flags,
            window=packet.tcp_window, urgptr=packet.tcp_urgent, reserved=packet.tcp_reserved >> 1,
        )  # fmt: skip
    elif packet.proto == UDP:
        part = layers.UDP(sport=packet.sport, dport=packet.dport)
    elif packet.proto == ICMP:
        part = layers.ICMP(type=8, code=packet.icmp_code, id=packet.icmp_rest >> 16, seq=packet.icmp_rest & 0xFFFF)
    else:
        part = layers.ICMPv6EchoRequest(code=packet.icmp_code, id=packet.icmp_rest >> 16, seq=packet.icmp_rest & 0xFFFF)
    return head / part / body if body is not None else head / part


def plain(packet: Packet) -> bool:
    """True for what scapy can be asked to build field by field."""
    return (
        packet.transport is None
        and not packet.is_fragment
        and not (packet.options or packet.extensions or packet.tcp_options)
        and packet.proto in (TCP, UDP, ICMP, ICMPV6)
        and not packet.tcp_reserved & 1
    )


@examples(300)
@given(packet=packets().filter(plain))
def test_scapy_writes_the_same_bytes(scapy: Any, packet: Packet) -> None:
    kind = {ICMP: 8, ICMPV6: 128}.get(packet.proto, 0)
    asked = Packet(**{name: getattr(packet, name) for name in Packet.__slots__} | {"icmp_type": kind})
    raw = bytes(scapy_layers(scapy, asked))
    assert format_packet(asked) == raw
    assert parse_packet(raw) == asked


@given(data=st.binary(max_size=100))
def test_scapy_sums_up_sctp_the_same_way(scapy: Any, data: bytes) -> None:
    assert crc32c(data) == importlib.import_module("scapy.layers.sctp").crc32c(data)
