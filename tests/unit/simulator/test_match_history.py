"""Chance and history: doubts where nothing is known, exact answers where the session has followed the rule."""

from __future__ import annotations

import pytest

from tests.cases.matches import v4
from tests.match_builder import Question, ask
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.match_history import PARTLY_KNOWN, initial_memory


def _chance(why: str, probability: float | None = None) -> Doubt:
    return Doubt(DoubtKind.CHANCE, why, probability)


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ("-m limit --limit 3/hour", _chance("limit 3/hour has tokens left")),
        (
            "-m hashlimit --hashlimit-upto 10/s --hashlimit-name h --hashlimit-mode srcip",
            _chance("its group in h is within 10/sec"),
        ),
        ("-m hashlimit --hashlimit-above 10/s --hashlimit-name h", _chance("its group in h is above 10/sec")),
        ("-m statistic --mode random --probability 0.25", _chance("chance of 0.25", 0.25)),
        ("-m statistic --mode random ! --probability 0.25", _chance("chance of 0.75", 0.75)),
        ("-m statistic --mode random --probability 1", True),
        ("-m statistic --mode random --probability 0", False),
        ("-m statistic --mode nth --every 4 --packet 0", _chance("it is the one of every 4 packets", 0.25)),
        ("-m statistic --mode nth ! --every 4 --packet 0", _chance("it is not the one of every 4 packets", 0.75)),
        ("-m quota --quota 99", _chance("the quota of 99 bytes is not used up")),
        ("-m quota ! --quota 99", _chance("the quota of 99 bytes is used up")),
        ("-m quota --quota 27", False),
        ("-m recent --name a --rcheck", _chance("list a holds the address")),
        ("-m recent --name a ! --rcheck", _chance("list a does not hold the address")),
        ("-m recent --name a --set", True),
        ("-m recent --name a ! --set", False),
    ],
)
def test_what_a_snapshot_does_not_hold_is_a_doubt(rule: str, answer: Answer) -> None:
    assert ask(rule) == answer


def _loaded(rule: str) -> Question:
    """A rule that has just been loaded."""
    question = Question(rule)
    memory = initial_memory(question.rule.matches[0])
    assert memory is not None
    question.session.memory[question.contexts[0].place] = memory
    return question


def test_v99_every_third_packet() -> None:
    question = _loaded("-m statistic --mode nth --every 3 --packet 2")
    assert [question.ask() for _ in range(8)] == [False, False, True, False, False, True, False, False]


def test_a_quota_ends_for_good_with_the_first_packet_that_does_not_fit() -> None:
    question = _loaded("-m quota --quota 60")
    packets = [v4(), v4(payload=b"12345"), v4(), v4()]
    assert [question.ask(packet) for packet in packets] == [True, False, False, False]


def test_a_list_that_the_session_made_knows_only_what_it_saw() -> None:
    question = Question("-m recent --name a --rcheck")
    setting = Question("-m recent --name a --set")
    setting.session = question.session
    setting.ask()
    assert question.ask() is True
    assert question.ask(v4(src="10.0.0.6")) == _chance("list a holds the address")
    assert PARTLY_KNOWN in question.session.recent["a"]


@pytest.mark.parametrize(
    ("options", "answers"),
    [
        ("--rcheck", [False, True]),
        ("--rcheck --hitcount 2", [False, True]),
        ("--rcheck --hitcount 3", [False, False]),
        ("--rcheck --seconds 60", [False, True]),
        ("--rcheck --seconds 60 --hitcount 2", [False, False]),
        ("--remove", [False, True]),
    ],
)
def test_a_known_list_is_exact(options: str, answers: list[bool]) -> None:
    question = Question(f"-m recent --name a {options}")
    now = question.session.clock_s
    question.session.recent["a"] = {0x0A000005: (now - 1000, now - 60)}
    assert [question.ask(v4(src="10.0.0.6")), question.ask()] == answers


def test_update_adds_a_time_and_remove_takes_the_address_out() -> None:
    update, remove = Question("-m recent --name a --update"), Question("-m recent --name a --remove")
    remove.session = update.session
    update.session.recent["a"] = {0x0A000005: (1.0,)}
    assert update.ask() is True
    assert update.session.recent["a"][0x0A000005] == (1.0, update.session.clock_s)
    assert remove.ask() is True
    assert [update.ask(), remove.ask()] == [False, False]


def test_a_full_list_forgets_the_address_it_has_not_seen_for_longest() -> None:
    question = Question("-m recent --name a --set")
    question.session.recent["a"] = dict.fromkeys(range(100), (1.0,))
    question.ask()
    assert 0 not in question.session.recent["a"]
    assert len(question.session.recent["a"]) == 100


def test_hop_limits_of_a_list_are_in_no_snapshot() -> None:
    question = Question("-m recent --name a --rcheck --rttl")
    question.session.recent["a"] = {0x0A000005: (1.0,)}
    assert question.ask() == _chance("list a holds the address")
    assert question.ask(v4(src="10.0.0.6")) is False


def test_a_child_session_keeps_its_history_to_itself() -> None:
    question = _loaded("-m statistic --mode nth --every 2 --packet 0")
    skb = question.skb()
    skb.session = question.session.begin()
    assert question.ask_about(skb) is True
    assert question.ask() is True
