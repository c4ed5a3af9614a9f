"""Tests that ask the routing tables: the specification's vectors on its own test bed."""

from __future__ import annotations

import pytest

from tests.cases.matches import v4, v6
from tests.match_builder import Question, ask, why
from tortie.net.packet import Packet
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.match import compile_match
from tortie.simulator.route import Router
from tortie.simulator.skb import LOOPED_FRAME


@pytest.mark.parametrize(
    ("rule", "packet", "answer"),
    [
        ("--dst-type LOCAL", v4(dst="10.0.0.1"), True),
        ("--dst-type LOCAL --limit-iface-in", v4(dst="10.2.0.1"), False),
        ("--dst-type UNICAST --limit-iface-in", v4(dst="10.2.0.1"), True),
        ("--dst-type BROADCAST", v4(dst="10.1.0.255"), True),
        ("--src-type UNICAST --dst-type MULTICAST", v4(dst="224.0.0.9"), True),
        ("! --src-type LOCAL", v4(src="10.2.0.1"), False),
        ("--dst-type UNICAST", v6(dst="fd00::1"), True),
        ("--dst-type LOCAL", v6(dst="fd00::1"), True),
    ],
    ids=["own", "V67", "V67 unicast", "broadcast", "both", "inverted", "V68", "own, IPv6"],
)
def test_address_types(rule: str, packet: Packet, answer: bool) -> None:
    assert ask(f"-m addrtype {rule}", packet) is answer


def test_v66_addresses_without_a_way_are_unicast_all_the_same() -> None:
    nowhere = v4(dst="9.9.9.9")
    assert ask("-m addrtype --dst-type UNREACHABLE,BLACKHOLE,PROHIBIT", nowhere) is False
    assert ask("-m addrtype --dst-type UNICAST", nowhere) is True


@pytest.mark.parametrize(
    ("rule", "packet", "answer"),
    [
        ("", v4(), True),
        ("", v4(src="10.1.0.7"), False),
        ("--loose", v4(src="10.1.0.7"), True),
        ("--invert", v4(src="10.1.0.7"), True),
        ("", v4(src="10.2.0.1"), False),
        ("", v6(src="::"), True),
    ],
    ids=["the way it came", "another way", "loose", "inverted", "own source", "no source"],
)
def test_reverse_paths(rule: str, packet: Packet, answer: bool) -> None:
    assert ask(f"-m rpfilter {rule}".rstrip(), packet) is answer


def test_a_looped_copy_always_comes_the_right_way() -> None:
    own = v4(src="10.0.0.1", dst="224.0.0.1")
    assert ask("-m rpfilter", own, frame_type=LOOPED_FRAME) is True
    assert ask("-m rpfilter --invert", own, frame_type=LOOPED_FRAME) is False
    assert ask("-m rpfilter", own) is False


def test_without_routes_there_are_doubts_that_say_what_is_asked() -> None:
    empty = Snapshot("empty")
    for rule, packet, text in (
        ("-m addrtype --dst-type LOCAL", v4(), "10.1.0.9 is LOCAL ("),
        ("-m addrtype ! --dst-type LOCAL", v4(), "10.1.0.9 is not LOCAL ("),
        ("-m rpfilter", v4(), "the way back to the source leads out of the input interface ("),
        ("-m rpfilter --invert", v4(), "the way back to the source does not lead out of the input interface ("),
    ):
        question = Question(rule)
        context = Context(
            packet.family, question.contexts[0].backend, ("raw", "X", 1, 0), Router(empty, packet.family), empty
        )
        answer = compile_match(question.rule.matches[0], context)(question.skb(packet))
        assert isinstance(answer, Doubt)
        assert answer.kind is DoubtKind.UNKNOWN
        assert answer.why.startswith(text)


def test_a_device_that_is_not_known() -> None:
    assert ask("-m rpfilter", in_iface=None) == Doubt(
        DoubtKind.UNKNOWN, "the way back to the source leads out of the input interface"
    )
    assert ask("-m addrtype --dst-type LOCAL --limit-iface-in", in_iface=None) == Doubt(
        DoubtKind.UNKNOWN, "10.1.0.9 is LOCAL on an interface that is not known"
    )


@pytest.mark.parametrize(
    ("rule", "packet", "reason"),
    [
        ("-m addrtype --dst-type LOCAL", v4(), "10.1.0.9 is UNICAST, not LOCAL"),
        ("-m addrtype ! --src-type UNICAST", v4(), "10.0.0.5 is UNICAST"),
        ("-m addrtype --dst-type MULTICAST", v6(dst="fd00::1"), "fd00::1 is LOCAL+UNICAST, not MULTICAST"),
        ("-m rpfilter", v4(src="10.1.0.7"), "the way back to 10.1.0.7 does not lead out of e0"),
        ("-m rpfilter --invert", v4(), "the way back to 10.0.0.5 leads out of e0"),
        ("-m rpfilter --loose", v4(src="9.9.9.9"), "9.9.9.9 has no unicast route back"),
    ],
)
def test_reasons(rule: str, packet: Packet, reason: str) -> None:
    assert why(rule, packet) == reason
