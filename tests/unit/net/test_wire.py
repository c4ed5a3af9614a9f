"""Bytes of packets, field by field, and what of them the kernel never shows to a rule."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.protocol import DCCP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from tortie.net.wire import FRAGMENT, crc32c, format_packet, fragment_header, internet_checksum, parse_packet

V4_ENDS = {"src": parse_address("10.0.0.5").value, "dst": parse_address("10.0.0.1").value}
V6_ENDS = {"src": parse_address("fd00::5").value, "dst": parse_address("fd00::1").value}


def v4(proto: int, **fields: object) -> Packet:
    return Packet(IPFamily.V4, proto=proto, **(V4_ENDS | fields))  # type: ignore[arg-type]


def v6(proto: int, **fields: object) -> Packet:
    return Packet(IPFamily.V6, proto=proto, **(V6_ENDS | fields))  # type: ignore[arg-type]


# Bytes as scapy 2.8 writes them.
KNOWN = {
    "tcp syn with mss": (
        "4500002c04d24000400621f50a0000050a000001 9c4000500000000100000000600216d0d0bf0000020405b4",
        v4(
            TCP, sport=40000, dport=80, tcp_seq=1, tcp_flags=2, tcp_window=5840, tcp_options=bytes.fromhex("020405b4"),
            identification=1234, dont_fragment=True,
        ),
    ),
    "udp": (
        "45b80020000100004011660f0a0000050a000001 0035ffff000c793268690a00",
        v4(UDP, sport=53, dport=65535, payload=b"hi\n\0", tos=0xB8, identification=1),
    ),
    "udp without a checksum": (
        "45b80020000100004011660f0a0000050a000001 0035ffff000c000068690a00",
        v4(UDP, sport=53, dport=65535, payload=b"hi\n\0", tos=0xB8, identification=1, checksum=0),
    ),
    "icmp echo request": (
        "4500002000010000400166d70a0000050a000001 0800fcef12340a0b70696e67",
        v4(ICMP, icmp_type=8, icmp_rest=0x12340A0B, payload=b"ping", identification=1),
    ),
    "options and a protocol without fields": (
        "46c0002000010000010210120a0000050a00000194040000 1114eeeb00000000",
        v4(
            2, options=bytes.fromhex("94040000"), transport=bytes.fromhex("1114eeeb00000000"), ttl=1, tos=0xC0,
            identification=1,
        ),
    ),
    "sctp": (
        "4500003400010000408466400a0000050a000001 0001000200000003ab4acefb 0100001400000001000000000000000000000000",
        v4(
            SCTP, sport=1, dport=2, sctp_tag=3, identification=1,
            payload=bytes.fromhex("0100001400000001000000000000000000000000"),
        ),
    ),
    "gre": (
        "4500001c00010000402f66ad0a0000050a000001 0000080061626364",
        v4(GRE, transport=bytes.fromhex("0000080061626364"), identification=1),
    ),
    "later fragment": (
        "4500001c000720b94011460c0a0000050a000001 3132333435363738",
        v4(UDP, transport=b"12345678", fragment_offset=185, more_fragments=True, identification=7),
    ),
    "ipv6 extension headers": (
        "6000000000240040fd000000000000000000000000000005fd000000000000000000000000000001"
        "3c00010400000000 0600010400000000 00010002000000070000000950120001b5b70000",
        v6(
            TCP, sport=1, dport=2, tcp_seq=7, tcp_ack=9, tcp_flags=0x12, tcp_window=1,
            extensions=((0, bytes.fromhex("3c00010400000000")), (60, bytes.fromhex("0600010400000000"))),
        ),
    ),
    "icmpv6 echo request": (
        "604abcde00093afffd000000000000000000000000000005fd000000000000000000000000000001 80000db10001000278",
        v6(ICMPV6, icmp_type=128, icmp_rest=0x10002, payload=b"x", tos=4, flow_label=0xABCDE, ttl=255),
    ),
    "ipv6 later fragment": (
        "6000000000102c40fd000000000000000000000000000005fd000000000000000000000000000001"
        "110005c9deadbeef 3132333435363738",
        v6(
            UDP, transport=b"12345678", fragment_offset=185, more_fragments=True, identification=0xDEADBEEF,
            extensions=((FRAGMENT, bytes.fromhex("110005c9deadbeef")),),
        ),
    ),
    "ipv6 authentication header": (
        "6000000000223340fd000000000000000000000000000005fd000000000000000000000000000001"
        "110400000000000100000002000000000000000000000000 00010002000a00006162",
        v6(
            UDP, sport=1, dport=2, payload=b"ab", checksum=0,
            extensions=((51, bytes.fromhex("110400000000000100000002000000000000000000000000")),),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "packet"), KNOWN.values(), ids=KNOWN.keys())
def test_known_bytes(text: str, packet: Packet) -> None:
    data = bytes.fromhex(text)
    assert parse_packet(data) == packet
    assert format_packet(packet) == data


def test_bytes_after_the_length_are_cut_off() -> None:
    data = format_packet(v4(UDP, payload=b"x"))
    assert parse_packet(data + b"padding") == parse_packet(data)


GOOD_V4 = format_packet(v4(UDP, payload=b"x"))
GOOD_V6 = format_packet(v6(UDP, payload=b"x"))
REFUSED = {
    "no bytes": (b"", "no bytes"),
    "version 5": (b"\x55" + GOOD_V4[1:], "IP version 5"),
    "ipv4 cut in its header": (GOOD_V4[:19], "20 bytes, not 19"),
    "ipv4 header of four words": (b"\x44" + GOOD_V4[1:], "header length 16"),
    "ipv4 shorter than its header": (GOOD_V4[:2] + b"\0\x13" + GOOD_V4[4:], "total length 19"),
    "ipv4 longer than the bytes": (GOOD_V4[:-1], "of which 28 are there"),
    "ipv4 wrong header checksum": (GOOD_V4[:10] + b"\0\1" + GOOD_V4[12:], "checksum 0x0001 is wrong"),
    "ipv6 cut in its header": (GOOD_V6[:39], "40 bytes, not 39"),
    "ipv6 longer than the bytes": (GOOD_V6[:-1], "of which 48 are there"),
    "ipv6 jumbogram": (GOOD_V6[:4] + b"\0\0\0" + GOOD_V6[7:], "jumbogram"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_kernel_drops_unseen_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_packet(data)


SHORT = {
    "tcp of 19 bytes": (TCP, bytes(12) + b"\x50" + bytes(6)),
    "tcp with a data offset of four words": (TCP, bytes(12) + b"\x40" + bytes(7)),
    "tcp with a data offset beyond the packet": (TCP, bytes(12) + b"\x60" + bytes(7)),
    "udp of 7 bytes": (UDP, bytes(7)),
    "udplite of 7 bytes": (UDPLITE, bytes(7)),
    "sctp of 11 bytes": (SCTP, bytes(11)),
    "dccp of 11 bytes": (DCCP, bytes(11)),
    "icmp of 7 bytes": (ICMP, b"\x08" + bytes(6)),
    "icmpv6 in ipv4": (ICMPV6, bytes(8)),
}


@pytest.mark.parametrize(("proto", "body"), SHORT.values(), ids=SHORT.keys())
def test_a_header_that_is_not_whole_stays_bytes(proto: int, body: bytes) -> None:
    packet = v4(proto, transport=body)
    assert parse_packet(format_packet(packet)) == packet


def test_icmp_in_ipv6_stays_bytes() -> None:
    packet = v6(ICMP, transport=bytes(8))
    assert parse_packet(format_packet(packet)) == packet


def test_an_extension_header_cut_short_ends_the_chain() -> None:
    packet = v6(60, extensions=((0, b"\x3c" + bytes(7)),), transport=b"\x06\x01" + bytes(10))
    assert parse_packet(format_packet(packet)) == packet


def test_a_later_fragment_names_even_an_extension_header_as_its_protocol() -> None:
    header = fragment_header(60, offset=1, more=False, identification=9)
    packet = v6(60, extensions=(header,), transport=bytes(16), fragment_offset=1, identification=9)
    assert parse_packet(format_packet(packet)) == packet


def test_a_second_fragment_header_is_kept_as_it_is() -> None:
    first = fragment_header(FRAGMENT, offset=0, more=True, identification=1)
    second = fragment_header(UDP, offset=3, more=False, identification=2)
    packet = v6(UDP, extensions=(first, second), transport=bytes(16), more_fragments=True, identification=1)
    assert parse_packet(format_packet(packet)) == packet


def test_the_fragment_header_follows_the_fields() -> None:
    header = fragment_header(UDP, offset=0, more=False, identification=1)
    changed = v6(
        UDP, extensions=(header,), transport=b"12345678", fragment_offset=5, more_fragments=True, identification=77
    )
    assert format_packet(changed)[40:48] == bytes([UDP, 0, 0, 5 << 3 | 1, 0, 0, 0, 77])


PORTS = {"sport": 1, "dport": 2, "payload": b"data"}
CHECKED = {
    "tcp": v4(TCP, **PORTS),
    "tcp in ipv6": v6(TCP, **PORTS),
    "udp": v4(UDP, **PORTS),
    "udp in ipv6": v6(UDP, **PORTS),
    "udplite": v4(UDPLITE, **PORTS),
    "udplite covering its header": v4(UDPLITE, length_field=8, **PORTS),
    "sctp": v4(SCTP, **PORTS),
    "dccp": v4(DCCP, **PORTS),
    "icmp": v4(ICMP, icmp_type=8, payload=b"data"),
    "icmpv6": v6(ICMPV6, icmp_type=128, payload=b"data"),
}


@pytest.mark.parametrize("packet", CHECKED.values(), ids=CHECKED.keys())
def test_one_changed_bit_is_a_wrong_checksum(packet: Packet) -> None:
    data = bytearray(format_packet(packet))
    data[packet.header_length] ^= 1
    parsed = parse_packet(bytes(data))
    assert not parsed.checksum_ok
    assert format_packet(parsed) == data


@pytest.mark.parametrize("packet", CHECKED.values(), ids=CHECKED.keys())
def test_a_wrong_checksum_can_be_asked_for(packet: Packet) -> None:
    assert not parse_packet(format_packet(replace(packet, checksum_ok=False))).checksum_ok


def test_what_udplite_does_not_cover_may_change() -> None:
    data = bytearray(format_packet(CHECKED["udplite covering its header"]))
    data[-1] ^= 1
    assert parse_packet(bytes(data)).checksum_ok


def test_a_udp_length_that_lies_is_no_right_checksum() -> None:
    for length in (7, 13):
        parsed = parse_packet(format_packet(v4(UDP, length_field=length, checksum=0, **PORTS)))
        assert (parsed.length_field, parsed.checksum_ok) == (length, False)


def test_a_udp_length_below_the_datagram_covers_what_it_says() -> None:
    packet = v4(UDP, length_field=10, **PORTS)
    assert parse_packet(format_packet(packet)) == packet


def test_a_first_fragment_keeps_the_checksum_of_the_whole_datagram() -> None:
    packet = v4(UDP, length_field=2000, checksum=0x1234, more_fragments=True, **PORTS)
    assert parse_packet(format_packet(packet)) == packet
    assert packet.checksum_ok


UNFINISHED = {name: CHECKED[name] for name in ("tcp", "tcp in ipv6", "udp", "udp in ipv6", "sctp", "icmpv6")}


@pytest.mark.parametrize("packet", UNFINISHED.values(), ids=UNFINISHED.keys())
def test_a_checksum_left_to_the_network_card_counts_as_right_when_asked(packet: Packet) -> None:
    pseudo = packet.src + packet.dst + packet.proto + packet.length - packet.header_length
    bare = 0 if packet.proto == SCTP else 0xFFFF - internet_checksum(b"", pseudo)
    data = format_packet(replace(packet, checksum=bare))
    assert not parse_packet(data).checksum_ok
    assert parse_packet(data, unfinished_checksums=True) == packet


def test_an_ipv4_header_checksum_left_to_the_network_card_counts_as_right_when_asked() -> None:
    data = GOOD_V4[:10] + b"\0\0" + GOOD_V4[12:]
    with pytest.raises(InvalidInput):
        parse_packet(data)
    assert parse_packet(data, unfinished_checksums=True) == parse_packet(GOOD_V4)


UNWRITABLE = {
    "odd tcp options": (v4(TCP, tcp_options=b"\1"), "whole words"),
    "too many tcp options": (v4(TCP, tcp_options=bytes(44)), "40 bytes at most"),
    "odd ipv4 options": (v4(UDP, options=b"\1"), "whole words"),
    "too long for ipv4": (v4(UDP, payload=bytes(65508)), "65535 bytes"),
    "too long for ipv6": (v6(UDP, payload=bytes(65528)), "65575 bytes"),
    "field too large": (v4(UDP, sport=65536), "does not fit"),
    "ipv6 fragment without its header": (v6(UDP, more_fragments=True), "needs a fragment header"),
}


@pytest.mark.parametrize(("packet", "message"), UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_what_no_packet_can_hold_is_our_mistake(packet: Packet, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        format_packet(packet)


def test_crc32c_check_value() -> None:
    assert crc32c(b"123456789").to_bytes(4, "little") == bytes.fromhex("e3069283")


@pytest.mark.parametrize(("data", "checksum"), [(b"", 0xFFFF), (b"\0\0", 0xFFFF), (b"\xff\xff", 0), (b"\1", 0xFEFF)])
def test_internet_checksum(data: bytes, checksum: int) -> None:
    assert internet_checksum(data) == checksum


def test_the_type_of_a_dccp_packet() -> None:
    assert v4(DCCP, dccp_header=bytes([4, 0, 5 << 1 | 1, 0, 0, 0])).dccp_type == 5
