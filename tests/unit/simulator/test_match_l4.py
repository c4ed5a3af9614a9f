"""Transport tests: the differences of the two back-ends (spec: netfilter 7.1), and their reasons."""

from __future__ import annotations

import pytest

from tests.cases.matches import ACK, SYN, later, later6, v4
from tests.match_builder import ask, why
from tortie.net.packet import Packet
from tortie.netfilter.hook import Backend
from tortie.simulator.answer import HOTDROP, Answer, Doubt, DoubtKind

LEGACY, NFT = Backend.LEGACY, Backend.NFT
PORT_80 = bytes([0, 9, 0, 80]) + bytes(16)


@pytest.mark.parametrize(
    ("name", "rule", "packet", "legacy", "nft"),
    [
        ("V63 later fragment", "-p udp -m udp --dport 53", later(17, 5, b"abcdefgh"), False, False),
        ("V63 later fragment inverted", "-p udp -m udp ! --dport 53", later(17, 5, b"abcdefgh"), False, True),
        ("V101 at offset 1", "-p tcp -m tcp --dport 80", later(6, 1, PORT_80), HOTDROP, True),
        ("V101 ten bytes", "-p tcp -m tcp --dport 80", v4(proto=6, transport=PORT_80[:10]), HOTDROP, True),
        ("V102", "-p udp -m udp --dport 80", later(17, 3, PORT_80), False, True),
        ("too short for the port", "-p udp -m udp --dport 80", v4(transport=b"abc"), HOTDROP, False),
        ("no option is a match of its own", "-p udp -m udp", v4(transport=b"abc"), HOTDROP, HOTDROP),
        ("TCP options are never native", "-p tcp -m tcp --tcp-option 2", v4(proto=6, transport=b"abc"), HOTDROP, HOTDROP),
        ("icmp is never native", "-p icmp -m icmp --icmp-type 8", v4(proto=1, transport=b"\x08\0\0"), HOTDROP, HOTDROP),
        ("a whole icmp header", "-p icmp -m icmp --icmp-type 8", v4(proto=1, transport=b"\x08" + bytes(7)), True, True),
        ("one byte less", "-p icmp -m icmp --icmp-type 8", v4(proto=1, transport=b"\x08" + bytes(6)), HOTDROP, HOTDROP),
        ("multiport is never native", "-p udp -m multiport --dports 80", later(17, 3, PORT_80), False, False),
        ("IPv6 fragment: nft reads the IPv6 header", "-p tcp -m tcp --dport 0", later6(6, 1, PORT_80), False, True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_back_ends_differ_where_the_header_is_not_there(
    name: str, rule: str, packet: Packet, legacy: Answer, nft: Answer
) -> None:
    assert ask(rule, packet, backend=LEGACY) is legacy
    assert ask(rule, packet, backend=NFT) is nft


def test_a_full_range_inverted_is_lost_in_nft() -> None:
    assert ask("-p tcp -m tcp ! --sport 0:65535", v4(proto=6)) is False
    assert ask("-p tcp -m tcp ! --sport 0:65535", v4(proto=6), backend=NFT) is True


def test_two_inverted_ports_of_nft_mean_what_the_loading_program_made_of_them() -> None:
    rule = "-p tcp -m tcp ! --sport 53 ! --dport 80 --tcp-flags SYN SYN"
    answers = {
        (sport, dport): ask(rule, v4(proto=6, sport=sport, dport=dport, tcp_flags=SYN), backend=NFT)
        for sport in (53, 54)
        for dport in (80, 81)
    }
    doubt = Doubt(
        DoubtKind.UNKNOWN, "the rule excludes only packets with both ports, 53 and 80, as iptables 1.8.9 loads it"
    )
    assert answers == {(53, 80): False, (53, 81): doubt, (54, 80): doubt, (54, 81): True}
    assert ask(rule, v4(proto=6, sport=53, dport=81), backend=NFT) is False
    assert ask(rule, v4(proto=6, sport=53, dport=81, tcp_flags=SYN)) is False
    assert ask("-p udp -m udp ! --sport 53 ! --dport 80", later(17, 3, bytes([0, 53, 0, 80])), backend=NFT) is False
    assert ask("-p udp -m udp ! --sport 53 ! --dport 80", later(17, 3, bytes([0, 53, 0])), backend=NFT) is False


@pytest.mark.parametrize(
    ("rule", "packet", "reason"),
    [
        ("-p tcp --syn", v4(proto=6, tcp_flags=SYN | ACK), "TCP flags among FIN+SYN+RST+ACK are SYN+ACK, not SYN"),
        ("-p tcp -m tcp ! --tcp-flags ACK NONE", v4(proto=6), "TCP flags among ACK are none"),
        ("-p tcp -m tcp --sport 5:9", v4(proto=6, sport=4), "source port is 4, not in 5 to 9"),
        ("-p tcp -m tcp --tcp-option 8", v4(proto=6), "TCP option 8 is not in the header"),
        ("-p udp -m udp ! --dport 5", v4(dport=5), "destination port is 5"),
        (
            "-p udp -m udp --dport 5", later(17, 3, b"abcd"),
            "the packet is a later fragment (offset 24) without a transport header",
        ),
        ("-p icmp -m icmp --icmp-type 8", v4(proto=1, icmp_type=3, icmp_code=4), "ICMP type is 3 code 4, not 8"),
        ("-p icmp -m icmp --icmp-type 3/1", v4(proto=1, icmp_type=3), "ICMP type is 3 code 0, not 3 code 1"),
        ("-p icmp -m icmp ! --icmp-type any", v4(proto=1, icmp_type=3), "ICMP type is 3 code 0"),
        ("-p udp -m multiport --sports 1,5:9", v4(sport=2), "source port is 2, which is not among 1,5:9"),
        ("-p udp -m multiport ! --ports 2", v4(sport=2, dport=3), "ports are 2 and 3, one of them among 2"),
    ],
)  # fmt: skip
def test_reasons(rule: str, packet: Packet, reason: str) -> None:
    assert why(rule, packet) == reason
