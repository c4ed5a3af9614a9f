"""What sets look packets up by."""

from __future__ import annotations

import pytest

from tests.cases.matches import CUT6, later, later6, v4, v6
from tests.match_builder import Question
from tortie.net.packet import Packet
from tortie.netfilter.match import Compare, CounterTest
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.set_lookup import counter_holds, port_part


@pytest.mark.parametrize(
    ("name", "packet", "part"),
    [
        ("udp", v4(sport=5, dport=80), 17 << 16 | 80),
        ("icmp", v4(proto=1, icmp_type=3, icmp_code=4), 1 << 16 | 0x0304),
        ("ospf", v4(proto=89, transport=b"abcd"), 89 << 16),
        ("dccp has no ports here", v4(proto=33, dport=80), 33 << 16),
        ("protocol 0", v4(proto=0, transport=b""), None),
        ("a later fragment", later(17, 2, bytes(8)), None),
        ("a later fragment of ospf", later(89, 2, bytes(8)), 89 << 16),
        ("too short", v4(transport=bytes(7)), None),
        ("a data offset of none", v4(proto=6, transport=bytes([0, 5, 0, 80]) + bytes(16)), 6 << 16 | 80),
        ("a later fragment of IPv6", later6(89, 2, bytes(8)), None),
        ("no next header", v6(proto=59, transport=b""), None),
        ("icmp in IPv6", v6(proto=1, transport=bytes([8, 1]) + bytes(6)), 1 << 16 | 0x0801),
        ("cut before udp", CUT6["options"], None),
        ("cut before ospf", v6(proto=60, transport=bytes([89, 9, 0, 0, 0, 0, 0, 0])), 89 << 16),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_port_dimensions(name: str, packet: Packet, part: int | None) -> None:
    assert port_part(packet, False) == part


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        (None, [True, True, True]),
        (CounterTest(Compare.EQ, 5), [False, True, False]),
        (CounterTest(Compare.EQ, 5, inverted=True), [True, False, True]),
        (CounterTest(Compare.LT, 5), [True, False, False]),
        (CounterTest(Compare.GT, 5), [False, False, True]),
    ],
)
def test_counters_are_compared(test: CounterTest | None, holds: list[bool]) -> None:
    assert [counter_holds(test, value) for value in (4, 5, 6)] == holds


def test_a_frame_without_a_source_or_with_one_of_zeros_is_in_no_set() -> None:
    question = Question("-m set --match-set s src", sets="create s hash:mac\nadd s 00:11:22:33:44:55\n")
    assert question.ask(mac_source=bytes.fromhex("001122334455")) is True
    assert question.ask(mac_source=bytes(6)) is False
    assert question.ask(local_output=True, in_iface="") is False


def test_the_destination_mac_of_a_frame_is_not_told() -> None:
    question = Question("-m set --match-set s dst", sets="create s hash:mac\nadd s 00:11:22:33:44:55\n")
    answer = question.ask(mac_source=bytes.fromhex("001122334455"))
    assert answer == Doubt(DoubtKind.UNKNOWN, "the destination MAC of the frame is the one asked for")
    assert question.ask(mac_destination=bytes.fromhex("001122334455")) is True


def test_marks_are_masked_before_they_are_looked_up() -> None:
    question = Question("-m set --match-set s src,src", sets="create s hash:ip,mark markmask 0xff\nadd s 10.0.0.5,0x5\n")
    assert question.ask(mark=0x105) is True
    assert question.ask(mark=0x106) is False


def test_a_set_without_counters_passes_every_test_of_them() -> None:
    question = Question("-m set --match-set s src --packets-gt 1000", sets="create s hash:ip\nadd s 10.0.0.5\n")
    assert question.ask() is True
    assert question.ask(v4(src="10.0.0.6")) is False
