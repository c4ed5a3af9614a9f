"""Tests of the IP header, the frame and the devices: what is not known, and reasons."""

from __future__ import annotations

import pytest

from tests.cases.matches import CWR, ECE, v4, v6
from tests.match_builder import Question, ask, why
from tortie.net.node import Link
from tortie.net.packet import Packet
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.skb import LOOPED_FRAME

MAC = "00:11:22:33:44:55"
ETHERNET = (Link("e0", 2),)
TUN = (Link("e0", 2, link_type="none"),)


def _unknown(why: str) -> Doubt:
    return Doubt(DoubtKind.UNKNOWN, why)


@pytest.mark.parametrize(
    ("name", "rule", "fields", "links", "answer"),
    [
        ("the frame's", f"--mac-source {MAC}", {"mac_source": bytes.fromhex("001122334455")}, ETHERNET, True),
        ("another", f"--mac-source {MAC}", {"mac_source": bytes(6)}, ETHERNET, False),
        ("not told", f"--mac-source {MAC}", {}, ETHERNET, _unknown(f"the source MAC of the frame is {MAC}")),
        (
            "not told, inverted",
            f"! --mac-source {MAC}",
            {},
            ETHERNET,
            _unknown(f"the source MAC of the frame is not {MAC}"),
        ),
        ("no Ethernet", f"--mac-source {MAC}", {}, TUN, False),
        ("no Ethernet, inverted", f"! --mac-source {MAC}", {}, TUN, False),
        ("made here", f"! --mac-source {MAC}", {"in_iface": "", "local_output": True}, ETHERNET, False),
        ("an unknown device", f"--mac-source {MAC}", {}, (), _unknown(f"the source MAC of the frame is {MAC}")),
    ],
    ids=lambda value: value if isinstance(value, str) and " --" not in value else "",
)
def test_source_macs(name: str, rule: str, fields: dict[str, object], links: tuple[Link, ...], answer: Answer) -> None:
    assert Question(f"-m mac {rule}", links=links).ask(**fields) == answer  # type: ignore[arg-type]


def test_a_frame_whose_type_is_not_known() -> None:
    assert ask("-m pkttype --pkt-type unicast", frame_type=None) == _unknown("the frame is unicast")
    assert ask("-m pkttype ! --pkt-type unicast", frame_type=None) == _unknown("the frame is not unicast")


def test_a_looped_copy_is_of_its_destination_s_type() -> None:
    rule = "-m pkttype --pkt-type"
    assert ask(f"{rule} multicast", v4(dst="224.0.0.1"), frame_type=LOOPED_FRAME) is True
    assert ask(f"{rule} multicast", v6(dst="ff02::1"), frame_type=LOOPED_FRAME) is True
    assert ask(f"{rule} broadcast", v4(dst="10.0.0.255"), frame_type=LOOPED_FRAME) is True


def test_groups_of_devices() -> None:
    assert ask("-m devgroup --src-group 0") is True
    assert ask("-m devgroup --src-group 0x1/0x1") is False
    assert ask("-m devgroup --src-group 0", in_iface="gone") == _unknown("gone is in the group that the rule asks for")
    assert ask("-m devgroup --dst-group 5", out_iface=None) == _unknown("the device is in the group that the rule asks for")


def test_a_bridge_port_that_is_not_known() -> None:
    bridged = {"phys_in": "b0", "phys_out": None, "bridged": True}
    assert ask("-m physdev --physdev-is-out", **bridged) is True
    assert ask("-m physdev --physdev-in b0 --physdev-is-bridged", **bridged) is True
    assert ask("-m physdev --physdev-out b1", **bridged) == _unknown("the output bridge port is b1")
    assert ask("-m physdev ! --physdev-out b1 --physdev-in b1", **bridged) is False


@pytest.mark.parametrize(
    ("rule", "packet", "reason"),
    [
        ("-m ttl --ttl-lt 3", v4(), "TTL is 64, not below 3"),
        ("-m ttl ! --ttl-eq 64", v4(), "TTL is 64"),
        ("-m hl --hl-gt 64", v6(), "hop limit is 64, not above 64"),
        ("-m tos --tos 0x08/0xff", v4(), "TOS & 0xff is 0x00, not 0x08"),
        ("-m dscp --dscp 0x01", v4(tos=8), "DSCP is 0x02, not 0x01"),
        ("-m ecn --ecn-ip-ect 1", v4(tos=3), "ECN bits are 3, not 1"),
        ("-p tcp -m ecn ! --ecn-tcp-cwr", v4(proto=6, tcp_flags=CWR | ECE), "TCP has ECE and CWR set"),
        ("-p tcp -m ecn --ecn-tcp-ece", v4(proto=6), "TCP has neither ECE nor CWR set"),
        ("-p tcp -m ecn --ecn-tcp-ece", v4(proto=6, transport=b"abc"), "the TCP header is cut short"),
        ("-m iprange ! --src-range 10.0.0.1-10.0.0.9", v4(), "source 10.0.0.5 is in 10.0.0.1-10.0.0.9"),
        ("-m iprange --dst-range 10.0.0.1-10.0.0.9", v4(), "destination 10.1.0.9 is not in 10.0.0.1-10.0.0.9"),
        ("-m length ! --length 28", v4(), "length is 28 bytes"),
        ("-m pkttype --pkt-type multicast", v4(), "the frame is unicast, not multicast"),
        ("-m physdev --physdev-is-bridged", v4(), "the packet crosses no bridge"),
        ("-m devgroup --src-group 5", v4(), "e0 is in group 0x0, not 0x5"),
    ],
)
def test_reasons(rule: str, packet: Packet, reason: str) -> None:
    assert why(rule, packet) == reason


def test_reasons_about_bridge_ports() -> None:
    bridged = {"phys_in": "b0", "phys_out": "b1", "bridged": True}
    assert why("-m physdev --physdev-in b1", **bridged) == "input bridge port is b0, not b1"
    assert why("-m physdev ! --physdev-out b+", **bridged) == "output bridge port is b1"
    assert why("-m physdev ! --physdev-is-in", **bridged) == "the packet came in by a bridge port"
    assert why("-m physdev --physdev-is-out", phys_in="b0") == "it is not so that the packet leaves by a bridge port"
    assert why("-m physdev --physdev-out b1", phys_in="b0") == "the packet leaves by no bridge port"
