from __future__ import annotations

import pytest

from tortie.cli.packet_option import (
    AskedPacket,
    nearest,
    parse_endpoint,
    parse_icmp_type,
    parse_packet_words,
    parse_tcp_flags,
    parse_time,
    split_words,
)
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet, describe_packet


def asked(line: str) -> AskedPacket:
    return parse_packet_words(*split_words(line))


def packet(line: str) -> Packet:
    return asked(line).packet


PACKETS = [
    ("tcp 10.0.0.5:1234 10.1.0.9:80", "tcp 10.0.0.5:1234 > 10.1.0.9:80 SYN ttl 64"),
    ("TCP 10.0.0.5 10.1.0.9:80", "tcp 10.0.0.5:40000 > 10.1.0.9:80 SYN ttl 64"),
    ("6 10.0.0.5:1 10.1.0.9:80 --tcp-flags SYN,ACK", "tcp 10.0.0.5:1 > 10.1.0.9:80 SYN+ACK ttl 64"),
    ("tcp 10.0.0.5:1 10.1.0.9:80 --tcp-flags=FA --ttl 3", "tcp 10.0.0.5:1 > 10.1.0.9:80 FIN+ACK ttl 3"),
    ("tcp 10.0.0.5:1 10.1.0.9:80 --tcp-flags none", "tcp 10.0.0.5:1 > 10.1.0.9:80 no-flags ttl 64"),
    ("tcp 10.0.0.5:1 10.1.0.9:80 --state ESTABLISHED", "tcp 10.0.0.5:1 > 10.1.0.9:80 ACK ttl 64"),
    ("udp [fd00::5]:53 [fd00::1]:5353", "udp [fd00::5]:53 > [fd00::1]:5353 ttl 64"),
    ("udp fd00::5 [fd00::1]:53 -6", "udp [fd00::5]:40000 > [fd00::1]:53 ttl 64"),
    ("icmp 10.0.0.5 10.1.0.9", "icmp 10.0.0.5 > 10.1.0.9 type 8 code 0 ttl 64"),
    ("icmp 10.0.0.5 10.1.0.9 --icmp-type 3/4", "icmp 10.0.0.5 > 10.1.0.9 type 3 code 4 ttl 64"),
    ("icmp 10.0.0.5 10.1.0.9 --icmp-type host-unreachable", "icmp 10.0.0.5 > 10.1.0.9 type 3 code 1 ttl 64"),
    ("icmp fd00::5 fd00::1", "ipv6-icmp fd00::5 > fd00::1 type 128 code 0 ttl 64"),
    ("icmpv6 fd00::5 fd00::1 --icmp-type echo-reply", "ipv6-icmp fd00::5 > fd00::1 type 129 code 0 ttl 64"),
    ("esp 10.0.0.5 10.1.0.9", "esp 10.0.0.5 > 10.1.0.9 ttl 64"),
    ("253 10.0.0.5 10.1.0.9", "253 10.0.0.5 > 10.1.0.9 ttl 64"),
    ("udp 10.0.0.5:1 10.1.0.9:2 --frag 0+", "udp 10.0.0.5:1 > 10.1.0.9:2 fragment 0+ ttl 64"),
    ("udp 10.0.0.5 10.1.0.9 --frag 1480", "udp 10.0.0.5 > 10.1.0.9 fragment 1480 ttl 64"),
    ("udp fd00::5 fd00::1 --frag 1480+", "udp fd00::5 > fd00::1 fragment 1480+ ttl 64"),
]


@pytest.mark.parametrize(("line", "expected"), PACKETS, ids=[line for line, _ in PACKETS])
def test_words_make_a_packet(line: str, expected: str) -> None:
    assert describe_packet(packet(line)) == expected


@pytest.mark.parametrize("line", [line for line, _ in PACKETS])
def test_every_such_packet_can_be_put_on_a_wire(line: str) -> None:
    from tortie.net.wire import format_packet, parse_packet

    made = packet(line)
    assert describe_packet(parse_packet(format_packet(made))) == describe_packet(made)


def test_options_beside_the_packet_are_read() -> None:
    found = asked(
        "udp 10.0.0.1:1 10.1.0.9:2 --local -o eth1 --mark 0x4000 --state new --uid 0 --gid 5 --groups 7,8 "
        "--mac 2:0:0:0:0:a --frame broadcast --time 2024-05-01T14:00:00"
    )
    assert (found.local, found.out_iface, found.mark, found.state) == (True, "eth1", 0x4000, "NEW")
    assert (found.uid, found.gid, found.groups) == (0, 5, frozenset({7, 8}))
    assert (found.mac, found.frame_type, found.time_s) == (b"\x02\0\0\0\0\x0a", "broadcast", 1714572000.0)


def test_what_was_filled_in_is_told() -> None:
    assert asked("tcp 10.0.0.5 10.1.0.9:80").notes == ("source port not given, 40000 taken",)
    assert asked("icmp 10.0.0.5 10.1.0.9").notes == ("ICMP type not given, echo request taken",)
    assert asked("tcp 10.0.0.5:1 10.1.0.9:80").notes == ()
    assert "icmp between IPv6 addresses is read as ICMPv6" in asked("icmp fd00::5 fd00::1").notes


def test_length_fills_up_the_packet() -> None:
    assert packet("udp 10.0.0.5:1 10.1.0.9:2 --length 100").length == 100
    assert packet("esp 10.0.0.5 10.1.0.9 --length 100").length == 100
    assert packet("udp fd00::5 [fd00::1]:2 --length 100 --payload abc").payload == b"abc" + bytes(49)


def test_payload_is_text_or_hexadecimal() -> None:
    assert packet("udp 10.0.0.5:1 10.1.0.9:2 --payload 'GET /'").payload == b"GET /"
    assert packet("udp 10.0.0.5:1 10.1.0.9:2 --payload 0x00ff").payload == b"\x00\xff"
    assert packet("esp 10.0.0.5 10.1.0.9 --payload 0x00000100").transport == b"\x00\x00\x01\x00"


def test_sctp_starts_with_an_init_chunk_so_that_conntrack_takes_it() -> None:
    assert packet("sctp 10.0.0.5:1 10.1.0.9:2").payload[:4] == b"\x01\x00\x00\x14"


BAD = [
    ("tcp 10.0.0.5", "three words, not 2", "tcp 10.65.0.2 10.65.1.9:80"),
    ("", "three words, not 0", None),
    ("tcpp 10.0.0.5 10.1.0.9:80", "unknown protocol: 'tcpp'", "a number from 0 to 255"),
    ("256 10.0.0.5 10.1.0.9", "unknown protocol: '256'", None),
    ("all 10.0.0.5 10.1.0.9", "one protocol, not 'all'", "such as tcp"),
    ("tcp 10.0.0.5 10.1.0.9", "destination port of tcp is missing", "10.65.1.9:80"),
    ("tcp 10.0.0.5 10.1.0.9:65536", "port out of range: 65536", "0 to 65535"),
    ("tcp 10.0.0.5 10.1.0.9:99999999", "port out of range: 99999999", None),
    ("tcp 10.0.0.5 10.1.0.9:http", "not a port: 'http'", None),
    ("tcp 10.0.0.5 10.1.0.9:-1", "not a port: '-1'", None),
    ("tcp 10.0.0.5 10.1.0.9:", "not a port: ''", None),
    ("tcp 10.0.0.256 10.1.0.9:80", "not an IP address: '10.0.0.256'", None),
    ("tcp 10.0.0.0/24 10.1.0.9:80", "not an IP address", "without a prefix length"),
    ("tcp example.org 10.1.0.9:80", "not an IP address", "host names are not looked up"),
    ("tcp 10.0.0.5 [fd00::1:80", "not an address with a port", "[fd00::1]:80"),
    ("tcp 10.0.0.5 [fd00::1]80", "not an address with a port", None),
    ("tcp 10.0.0.5 [fd00::1]:80", "not of the same IP family", None),
    ("tcp 10.0.0.5 10.1.0.9:80 -6", "-6 is given, but 10.0.0.5 is an IPv4 address", None),
    ("icmp 10.0.0.5:1 10.1.0.9", "icmp has no ports", "leave the ports out"),
    ("icmpv6 10.0.0.5 10.1.0.9", "icmpv6 does not go between IPv4 addresses", "58 if it is really meant"),
    ("tcp 10.0.0.5 10.1.0.9:80 --icmp-type 8", "--icmp-type is for icmp, not tcp", None),
    ("udp 10.0.0.5 10.1.0.9:80 --tcp-flags S", "--tcp-flags is for tcp, not udp", None),
    ("tcp 10.0.0.5 10.1.0.9:80 --tcp-flags SYNN", "unknown TCP flag in 'SYNN'", "SYN,ACK"),
    ("icmp 10.0.0.5 10.1.0.9 --icmp-type echo-requst", "unknown ICMP type", "did you mean echo-request?"),
    ("icmp 10.0.0.5 10.1.0.9 --icmp-type 256", "unknown ICMP type: '256'", None),
    ("tcp 10.0.0.5 10.1.0.9:80 --mark zz", "--mark is no number: 'zz'", None),
    ("tcp 10.0.0.5 10.1.0.9:80 --mark 0x100000000", "--mark is out of range", "from 0 to 4294967295"),
    ("tcp 10.0.0.5 10.1.0.9:80 --ttl 256", "--ttl is out of range", "from 0 to 255"),
    ("tcp 10.0.0.5 10.1.0.9:80 --ttl", "--ttl needs a value: N", None),
    ("tcp 10.0.0.5 10.1.0.9:80 --local=yes", "--local takes no value", None),
    ("tcp 10.0.0.5 10.1.0.9:80 --stat NEW", "no such option: --stat", "did you mean --state?"),
    ("tcp 10.0.0.5 10.1.0.9:80 --state NEWW", "unknown --state: 'NEWW'", "one of NEW"),
    ("tcp 10.0.0.5 10.1.0.9:80 --frame x", "unknown --frame: 'x'", "one of unicast"),
    ("tcp 10.0.0.5 10.1.0.9:80 --mac 1:2:3", "not a MAC address", "six bytes"),
    ("tcp 10.0.0.5 10.1.0.9:80 --mac 1:2:3:4:5:zz", "not a MAC address", "six bytes"),
    ("tcp 10.0.0.5 10.1.0.9:80 --time noon", "not a time: 'noon'", "seconds since 1970"),
    ("tcp 10.0.0.5 10.1.0.9:80 --payload 0xabc", "not hexadecimal bytes", "an even number"),
    ("tcp 10.0.0.5 10.1.0.9:80 --payload 'x", "quotes do not fit", None),
    ("tcp 10.0.0.5 10.1.0.9:80 --length 10", "needs 40 bytes, more than --length 10", None),
    ("tcp 10.0.0.5 10.1.0.9:80 --frag 1480", "a later fragment carries no ports", "--frag 0+"),
    ("tcp 10.0.0.5 10.1.0.9 --frag 7", "no multiple of 8", None),
    ("tcp 10.0.0.5 10.1.0.9 --frag 0", "offset 0 with nothing to follow", "write 0+"),
    ("tcp 10.0.0.5 10.1.0.9 --frag x", "not a fragment offset", None),
    ("udp fd00::5 [fd00::1]:53 --df", "--df is for IPv4", None),
]


@pytest.mark.parametrize(("line", "message", "remedy"), BAD, ids=[line for line, _, _ in BAD])
def test_bad_words_are_refused_with_a_remedy(line: str, message: str, remedy: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(line)
    assert message in caught.value.message
    if remedy is not None:
        assert remedy in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("S", 2), ("SYN+ACK", 18), ("fin,psh,urg", 41), ("SEC", 194), ("CWR", 128), ("all", 63), ("none", 0)],
)
def test_tcp_flags_are_names_or_letters(text: str, expected: int) -> None:
    assert parse_tcp_flags(text) == expected


def test_an_icmp_name_may_stand_for_type_and_code() -> None:
    assert parse_icmp_type("fragmentation-needed", IPFamily.V4) == (3, 4)
    assert parse_icmp_type("neighbour-solicitation", IPFamily.V6) == (135, 0)


def test_an_ipv6_address_with_colons_only_has_no_port() -> None:
    address, port = parse_endpoint("fd00::80")
    assert (str(address), port) == ("fd00::80", None)


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert parse_time("1970-01-01T01:00:00") == 3600
    assert parse_time("1970-01-01T01:00:00+01:00") == 0
    assert parse_time("77") == 77


def test_the_nearest_word_is_near() -> None:
    assert nearest("eht0", ["eth0", "docker0"]) == "eth0"
    assert nearest("xyz", ["eth0"]) is None
