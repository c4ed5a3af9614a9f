"""The two readers of matches: every match has a closure and, where it can miss, a reason."""

from __future__ import annotations

import pytest

from tests.match_builder import Question, ask, why
from tortie.netfilter.match import OpaqueMatch
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.match import is_stateful


def test_a_match_that_cannot_be_read_is_a_doubt_that_names_it() -> None:
    question = Question("-m foo --bar 5")
    assert isinstance(question.rule.matches[0], OpaqueMatch)
    answer = question.ask()
    assert answer == Doubt(DoubtKind.UNKNOWN, "-m foo --bar 5 matches, which Tortie cannot read")


def test_a_comment_always_holds() -> None:
    assert ask("-m comment --comment anything") is True


@pytest.mark.parametrize(
    ("rule", "stateful"),
    [
        ("-m recent --name a --set", True),
        ("-m statistic --mode nth --every 3 --packet 0", True),
        ("-m quota --quota 9", True),
        ("-m limit --limit 3/hour", True),
        ("-m set --match-set s src", True),
        ("-m connlabel --label 5 --set", True),
        ("-m connlabel --label 5", False),
        ("-m mark --mark 5", False),
        ("-p tcp", False),
        ("-m conntrack --ctstate NEW", False),
    ],
)
def test_matches_that_remember_are_known(rule: str, stateful: bool) -> None:
    assert is_stateful(Question(rule).rule.matches[0]) is stateful


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("-s 10.9.0.0/16", "source 10.0.0.5 is not in 10.9.0.0/16"),
        ("-d 1.2.3.4", "destination is 10.1.0.9, not 1.2.3.4"),
        ("-p tcp", "protocol is udp, not tcp"),
        ("-i e1", "input interface is e0, not e1"),
        ("-p udp -m udp --dport 53", "destination port is 0, not 53"),
        ("-m mark --mark 0x10000/0xf0000", "mark & 0xf0000 is 0x0, not 0x10000"),
        ("-m conntrack --ctstate RELATED,ESTABLISHED", "connection state is INVALID, not RELATED or ESTABLISHED"),
        ("-m length --length 1:2", "length is 28 bytes, not 1 to 2"),
        ("-m addrtype --dst-type LOCAL", "10.1.0.9 is UNICAST, not LOCAL"),
        ("-m owner --uid-owner 0", "the packet has no sending socket"),
        ("-m time --weekdays Mon", "it is 2023-11-14 22:13:20 UTC: the day of the week is Tuesday"),
    ],
)
def test_a_miss_says_what_was_seen_and_what_was_asked_for(rule: str, reason: str) -> None:
    assert why(rule) == reason


def test_a_hit_says_nothing_unless_a_member_of_a_set_decided() -> None:
    assert why("-s 10.0.0.5 -p udp") == ""
    assert (
        why("-m set --match-set s src", sets="create s hash:net\nadd s 10.0.0.0/24\n")
        == "10.0.0.5 is in 10.0.0.0/24 of set s"
    )
