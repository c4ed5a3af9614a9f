"""Marks and connections: what holds without an entry, before tracking, and on a CT rule's template."""

from __future__ import annotations

import pytest

from tests.cases.matches import v4
from tests.match_builder import Question, ask, connection, why
from tortie.netfilter.match import CtState, Direction
from tortie.netfilter.target import CtTarget
from tortie.simulator.answer import Doubt, DoubtKind

UNTRACKED = {"untracked": True, "ct_state": CtState.UNTRACKED}
INVALID = {"ct_state": CtState.INVALID}
NEW = {"ct_state": CtState.NEW}


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ("-m conntrack --ctproto 17", False),
        ("-m conntrack ! --ctproto 17", False),
        ("-m conntrack --ctstate UNTRACKED --ctdir ORIGINAL", True),
        ("-m conntrack ! --ctstatus CONFIRMED", False),
        ("-m connmark --mark 0", False),
        ("-m connmark ! --mark 5", False),
        ("-m state --state UNTRACKED", True),
        ("-m state ! --state INVALID", True),
    ],
)
def test_v56_without_an_entry_only_the_state_counts(rule: str, answer: bool) -> None:
    assert ask(rule, **UNTRACKED) is answer


@pytest.mark.parametrize(
    "rule", ["-m conntrack --ctstate INVALID", "-m state --state INVALID", "-m conntrack ! --ctstate NEW"]
)
def test_before_tracking_ran_a_packet_is_invalid(rule: str) -> None:
    assert ask(rule) is True


def test_a_template_is_new_and_nothing_more_is_known_of_it() -> None:
    fields = {"template": CtTarget()}
    assert ask("-m conntrack --ctstate NEW", **fields) is True
    assert ask("-m conntrack --ctstate INVALID", **fields) is False
    doubt = Doubt(DoubtKind.UNKNOWN, "the template that a CT rule attached fits this test")
    assert ask("-m connmark --mark 0", **fields) == doubt
    assert ask("-m conntrack --ctproto 6", **fields) == doubt


def test_v57_status_none_never_matches() -> None:
    assert ask("-m conntrack --ctstatus NONE", connection=connection(), **NEW) is False


def test_states_of_translation_are_seen_from_both_sides() -> None:
    translated = connection(dst_nat=True)
    for direction in Direction:
        fields = {"connection": translated, "ct_direction": direction, "ct_state": CtState.ESTABLISHED}
        assert ask("-m conntrack --ctstate DNAT", **fields) is True
        assert ask("-m conntrack ! --ctstate DNAT,SNAT", **fields) is False
        assert ask("-m conntrack --ctstate SNAT", **fields) is False
        assert ask("-m conntrack --ctstate SNAT,ESTABLISHED", **fields) is True


def test_v74_a_value_outside_its_mask_never_matches() -> None:
    assert ask("-m mark --mark 0x1ff/0xff", mark=0x110) is False
    assert ask("-m mark ! --mark 0x1ff/0xff", mark=0x110) is True


def test_a_timer_is_a_matter_of_chance() -> None:
    answer = ask("-m conntrack --ctexpire 5:9", connection=connection(), **NEW)
    assert answer == Doubt(DoubtKind.CHANCE, "the connection's timer stands at 5 to 9 seconds")


def test_a_certain_miss_beside_a_doubt_is_a_miss() -> None:
    assert ask("-m conntrack --ctproto 6 --ctexpire 5:9", connection=connection(), **NEW) is False


CONNECTION = connection(v4(sport=5, dport=53), mark=0x20000, seen_reply=True, src_nat=True)
ESTABLISHED = {"connection": CONNECTION, "ct_state": CtState.ESTABLISHED}


@pytest.mark.parametrize(
    ("rule", "fields", "reason"),
    [
        ("-m mark ! --mark 0", {}, "mark is 0x0"),
        ("-m connmark --mark 0x10000/0xf0000", ESTABLISHED, "connection mark & 0xf0000 is 0x20000, not 0x10000"),
        ("-m connmark --mark 0", INVALID, "the packet has no connection: it is INVALID"),
        ("-m connmark --mark 0", {}, "the packet has no connection: tracking has not looked at it"),
        ("-m conntrack --ctstate NEW", ESTABLISHED, "connection state is ESTABLISHED with SNAT, not NEW"),
        ("-m state ! --state ESTABLISHED", ESTABLISHED, "connection state is ESTABLISHED with SNAT"),
        ("-m conntrack --ctdir REPLY", ESTABLISHED, "the packet goes in the original direction of its connection"),
        ("-m conntrack --ctproto 6", ESTABLISHED, "protocol of the connection is udp, not tcp"),
        ("-m conntrack ! --ctstatus SEEN_REPLY", ESTABLISHED, "connection status is SEEN_REPLY"),
        ("-m conntrack --ctorigsrc 1.1.1.1", ESTABLISHED, "original source is 10.0.0.5, not 1.1.1.1"),
        ("-m conntrack ! --ctrepldst 10.0.0.0/8", ESTABLISHED, "reply destination 10.0.0.5 is in 10.0.0.0/8"),
        ("-m conntrack --ctorigdstport 1:5", ESTABLISHED, "original destination port is 53, not in 1 to 5"),
        ("-m conntrack --ctreplsrcport 1", ESTABLISHED, "reply source port is 53, not 1"),
    ],
)  # fmt: skip
def test_reasons(rule: str, fields: dict[str, object], reason: str) -> None:
    assert why(rule, **fields) == reason  # type: ignore[arg-type]


def test_a_question_about_the_state_alone_is_answered_for_every_packet() -> None:
    question = Question("-m conntrack --ctstate NEW,UNTRACKED")
    answers = [question.ask(ct_state=state) for state in (CtState.NEW, CtState.UNTRACKED, CtState.INVALID, CtState.RELATED)]
    assert answers == [True, True, False, False]
