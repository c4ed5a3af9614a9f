"""Targets that let the rules go on: what they change, and how they tell it. Their arithmetic is asked of the kernel too."""

from __future__ import annotations

import pytest

from tests.cases.matches import SYN, v4, v6
from tests.match_builder import Question, connection
from tortie.netfilter.match import CtState
from tortie.netfilter.target import CtTarget, MarkTarget
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.target import compile_target


@pytest.mark.parametrize(
    ("target", "mark", "text"),
    [
        ("MARK --set-xmark 0x1234/0xff", 0xFF1234, "mark 0xff00ff -> 0xff1234"),
        ("MARK --set-mark 0x10/0xf0", 0xFF001F, "mark 0xff00ff -> 0xff001f"),
        ("MARK --and-mark 0xff", 0xFF, "mark 0xff00ff -> 0xff"),
        ("MARK --or-mark 0x100", 0xFF01FF, "mark 0xff00ff -> 0xff01ff"),
        ("MARK --xor-mark 0x0", 0xFF00FF, "mark stays 0xff00ff"),
        ("CONNMARK --restore-mark --nfmask 0xf --ctmask 0xffff", 0xFF00F7, "mark 0xff00ff -> 0xff00f7"),
    ],
    ids=["V73", "set", "and", "or", "xor", "restore"],
)
def test_marks(target: str, mark: int, text: str) -> None:
    question = Question(f"-j {target}")
    skb = question.skb(mark=0xFF00FF, connection=connection(mark=0x30007), ct_state=CtState.NEW)
    assert question.run(skb) == (None, text)
    assert skb.mark == mark


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        ("--set-mark 0x5", 0xF, 0x5),
        ("--set-xmark 0xff00/0x0ff0", 0xF, 0xFF0F),
        ("--save-mark --nfmask 0xff --ctmask 0xf", 0x3F, 0x30 ^ 0xF0),
        ("--save-mark", 0x3F, 0xFFF0),
    ],
)
def test_connection_marks(options: str, before: int, after: int) -> None:
    question = Question(f"-j CONNMARK {options}")
    changed = connection(mark=before)
    _, text = question.run(question.skb(mark=0xFFF0, connection=changed, ct_state=CtState.NEW))
    assert (changed.mark, text) == (after, f"connection mark is {after:#x}")


@pytest.mark.parametrize("options", ["--set-mark 5", "--save-mark", "--restore-mark"])
def test_without_a_connection_connmark_does_nothing(options: str) -> None:
    question = Question(f"-j CONNMARK {options}")
    skb = question.skb(mark=7, ct_state=CtState.INVALID)
    assert question.run(skb)[0] is None
    assert skb.mark == 7
    template = question.skb(template=CtTarget())
    assert question.run(template)[0] == Doubt(DoubtKind.UNKNOWN, "CONNMARK works on the template that a CT rule attached")


@pytest.mark.parametrize(
    ("target", "packet", "ttl", "text"),
    [
        ("TTL --ttl-dec 3", v4(), 61, "TTL 64 -> 61"),
        ("TTL --ttl-dec 100", v4(), 0, "TTL 64 -> 0"),
        ("TTL --ttl-inc 250", v4(), 255, "TTL 64 -> 255"),
        ("TTL --ttl-set 64", v4(), 64, "TTL stays 64"),
        ("HL --hl-set 9", v6(), 9, "hop limit 64 -> 9"),
    ],
)
def test_hop_limits(target: str, packet: object, ttl: int, text: str) -> None:
    question = Question(f"-j {target}", family=packet.family)  # type: ignore[attr-defined]
    skb = question.skb(packet)  # type: ignore[arg-type]
    assert question.run(skb) == (None, text)
    assert skb.packet.ttl == ttl


@pytest.mark.parametrize(
    ("target", "tos", "text"),
    [
        ("TOS --set-tos 0x10/0x3f", 0xD0, "TOS 0xe3 -> 0xd0"),
        ("TOS --and-tos 0xf0", 0xE0, "TOS 0xe3 -> 0xe0"),
        ("DSCP --set-dscp 10", 0x2B, "TOS 0xe3 -> 0x2b"),
    ],
)
def test_the_tos_byte(target: str, tos: int, text: str) -> None:
    question = Question(f"-j {target}")
    skb = question.skb(v4(tos=0xE3))
    assert question.run(skb) == (None, text)
    assert skb.packet.tos == tos


def test_the_first_ct_rule_counts() -> None:
    first, second, never = Question("-j CT --zone 5"), Question("-j CT --zone 7 --helper ftp"), Question("-j CT --notrack")
    skb = first.skb()
    assert first.run(skb) == (None, "zone 5")
    assert second.run(skb) == (None, "zone 7, helper ftp")
    never.run(skb)
    assert skb.template == CtTarget(zone=5)
    assert skb.untracked is False


def test_notrack_comes_too_late_for_a_packet_with_a_connection() -> None:
    for rule in ("-j NOTRACK", "-j CT --notrack"):
        question = Question(rule)
        looped, fresh = question.skb(connection=connection()), question.skb()
        question.run(looped)
        assert question.run(fresh) == (None, "not tracked")
        assert (looped.untracked, fresh.untracked) == (False, True)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ('LOG --log-prefix "calico-packet: "', "logs 'calico-packet:'"),
        ("LOG", "logs"),
        ("NFLOG --nflog-group 5 --nflog-prefix x", "logs 'x'"),
        ("CLASSIFY --set-class 1:a", "priority 1:a"),
        ("TRACE", "the kernel traces the packet from here on"),
        ("CT --zone-orig mark", "zone mark (original direction)"),
        ("CT", "a connection template without a wish"),
        ("AUDIT --type accept", ""),
        ("CHECKSUM --checksum-fill", ""),
        ("IDLETIMER --timeout 9 --label x", ""),
    ],
)
def test_targets_that_leave_the_packet_alone(target: str, text: str) -> None:
    question = Question(f"-j {target}")
    skb = question.skb()
    packet, mark = skb.packet, skb.mark
    assert question.run(skb) == (None, text)
    assert (skb.packet, skb.mark) == (packet, mark)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("-j HMARK --hmark-tuple src --hmark-mod 5 --hmark-rnd 1", "Tortie does not simulate what HMARK does"),
        ("-j STRANGE --option", "Tortie does not know what the target STRANGE does"),
    ],
)
def test_what_tortie_does_not_know_is_a_doubt(rule: str, text: str) -> None:
    question = Question(rule)
    assert question.run(question.skb())[0] == Doubt(DoubtKind.UNKNOWN, text)


def test_targets_that_end_a_table_are_not_for_here() -> None:
    question = Question("-j ACCEPT")
    assert question.rule.target is not None
    with pytest.raises(ValueError, match="Accept is no target that lets the rules go on"):
        compile_target(question.rule.target, question.contexts[0])


def test_a_mark_has_32_bits() -> None:
    skb = Question("-p tcp").skb(mark=0xFFFFFFFF)
    compile_target(MarkTarget(0, 0), Question("-p tcp").contexts[0])(skb)
    assert skb.mark == 0xFFFFFFFF


def test_effects_of_tcp_targets_are_told() -> None:
    for rule, packet, text in (
        ("-p tcp -j TCPMSS --set-mss 900", v4(proto=6, tcp_flags=SYN), "MSS none -> 536"),
        ("-p tcp -j TCPMSS --set-mss 900", v4(proto=6, tcp_options=b"\2\4\5\xb4"), "MSS 1460 -> 900"),
        (
            "-p tcp -j TCPOPTSTRIP --strip-options mss",
            v4(proto=6, tcp_options=b"\2\4\5\xb4"),
            "TCP options are written over",
        ),
        ("-p tcp -j TCPOPTSTRIP --strip-options mss", v4(proto=6), "no such TCP option"),
        ("-p tcp -j ECN --ecn-tcp-remove", v4(proto=6, tcp_flags=0xC2), "ECN 0+ECE+CWR -> 0"),
    ):
        question = Question(rule)
        assert question.run(question.skb(packet)) == (None, text)
