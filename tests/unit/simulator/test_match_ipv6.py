"""Extension headers: reasons, and MACs in addresses. What the tests mean is asked of the kernel."""

from __future__ import annotations

import pytest

from tests.cases.matches import AUTH, CUT6, DST, HBH, ROUTE, SEGMENTS, v6
from tests.match_builder import Question, ask, why
from tortie.net.address import IPFamily
from tortie.net.node import Link
from tortie.net.packet import Packet
from tortie.simulator.answer import HOTDROP, Doubt, DoubtKind
from tortie.simulator.match_ipv6 import header_names, seen_headers

MAC = bytes.fromhex("021122334455")
MADE = v6(src="fe80::11:22ff:fe33:4455")


def test_an_address_made_of_the_source_mac() -> None:
    assert ask("-m eui64", MADE, mac_source=MAC) is True
    assert ask("-m eui64", MADE, mac_source=bytes(6)) is False
    assert ask("-m eui64", MADE, local_output=True, in_iface="") is False


def test_a_mac_that_was_not_told_matters_only_for_such_addresses() -> None:

    question = Question("-m eui64", family=IPFamily.V6, links=(Link("e0", 2),))
    assert question.ask(MADE) == Doubt(DoubtKind.UNKNOWN, "the source address is made of the frame's source MAC")
    assert question.ask(v6()) is False


def test_a_mobility_header_that_something_follows_drops() -> None:
    assert ask("-p mh -m mh --mh-type 5", v6(proto=135, transport=bytes([6, 0, 5, 0, 0, 0, 0, 0]))) is HOTDROP
    assert ask("-p mh -m mh --mh-type 5", v6(proto=135, transport=bytes([59, 0, 5]))) is HOTDROP


@pytest.mark.parametrize(
    ("packet", "names"),
    [
        (v6(), "protocol"),
        (v6(proto=6, extensions=(HBH, DST, ROUTE)), "hop-by-hop,ipv6-opts,ipv6-route,protocol"),
        (v6(proto=6, extensions=(AUTH,)), "ah,protocol"),
        (v6(proto=59, transport=b""), "ipv6-nonxt"),
        (v6(proto=50, transport=bytes(8)), "esp"),
    ],
)
def test_headers_are_collected(packet: Packet, names: str) -> None:
    seen = seen_headers(packet)
    assert seen is not None
    assert header_names(seen) == names


@pytest.mark.parametrize(
    ("rule", "packet", "reason"),
    [
        ("-m frag --fragid 7", v6(), "the packet has no fragment header"),
        (
            "-m hbh --hbh-len 16",
            v6(proto=6, extensions=(HBH,)),
            "the hop-by-hop options header does not fit: 0600050200000100",
        ),
        ("-m dst --dst-len 16", v6(), "the packet has no destination options header"),
        ("-m rt --rt-type 9", v6(proto=6, extensions=(ROUTE,)), f"the routing header does not fit: {ROUTE[1][:8].hex()}"),
        (
            "-m srh --srh-tag 5",
            v6(proto=6, extensions=(SEGMENTS,)),
            f"the routing header does not fit: {SEGMENTS[1][:8].hex()}",
        ),
        ("-m ah --ahspi 9", v6(), "the packet has no AH header"),
        ("-m ipv6header --header hop", v6(), "headers are protocol, not hop-by-hop"),
        ("-m ipv6header ! --header prot --soft", v6(), "headers are protocol"),
        ("-m ipv6header --header dst", CUT6["options, one byte"], "the extension headers are cut short"),
        ("-m eui64", v6(), "the source address is not made of the frame's source MAC"),
    ],
)
def test_reasons(rule: str, packet: Packet, reason: str) -> None:
    assert why(rule, packet, mac_source=MAC) == reason
