"""How many connections a connlimit rule has counted, and where nobody can tell."""

from __future__ import annotations

import pytest

from tests.cases.matches import v4
from tests.match_builder import Question, ask, connection
from tests.node_builder import node, packet
from tortie.net.packet import Packet
from tortie.netfilter.conntrack import TcpState
from tortie.netfilter.match import CtState
from tortie.simulator.answer import HOTDROP, Answer, Doubt, DoubtKind
from tortie.simulator.connection import Connection
from tortie.simulator.trace import Cause, Verdict
from tortie.simulator.walk import Arrival, walk

ABOVE_2 = "-m connlimit --connlimit-above 2 --connlimit-mask 24"
MORE = "the rule has counted more than {} connections of 10.0.0.0/24"
NONE = "the rule has counted no connection of 10.0.0.0/24, and drops the packet for that"


def _begin(question: Question, sent: Packet, **fields: object) -> tuple[Answer, Connection]:
    """A connection's first packet meets the rule, and the connection is confirmed."""
    made = connection(sent)
    answer = question.ask(sent, connection=made, ct_state=CtState.NEW)
    made.confirmed = True
    for name, value in fields.items():
        setattr(made, name, value)
    question.session.insert(made)
    return answer, made


def _open(question: Question, sent: Packet) -> None:
    question.session.insert(connection(sent, confirmed=True))


def test_a_new_rule_has_counted_what_the_session_saw_begin() -> None:
    question = Question(ABOVE_2)
    assert [_begin(question, v4(sport=port))[0] for port in range(1, 5)] == [False, False, True, True]


def test_later_packets_of_a_counted_connection_find_it_counted() -> None:
    question = Question("-m connlimit --connlimit-above 1")
    _, first = _begin(question, v4(sport=1))
    assert question.ask(v4(sport=1), connection=first) is False
    _begin(question, v4(sport=2))
    assert question.ask(v4(sport=1), connection=first) is True


def test_connections_of_another_zone_are_another_group() -> None:
    question = Question("-m connlimit --connlimit-above 1")
    _begin(question, v4(sport=1))
    second = connection(v4(sport=2), zone_original=5, zone_reply=5)
    assert question.ask(v4(sport=2), connection=second) == Doubt(
        DoubtKind.CHANCE, "the rule has counted more than 1 connections of 10.0.0.5/32"
    )


def test_closed_connections_need_not_be_counted() -> None:
    question = Question("-m connlimit --connlimit-upto 1 --connlimit-mask 24")
    _begin(question, v4(sport=1), tcp_state=TcpState.TIME_WAIT)
    second = question.ask(v4(sport=2), connection=connection(v4(sport=2)))
    assert second == Doubt(DoubtKind.CHANCE, "the rule has counted at most 1 connections of 10.0.0.0/24")


@pytest.mark.parametrize("state", [TcpState.TIME_WAIT, TcpState.CLOSE])
def test_a_packet_of_a_closed_connection_may_be_dropped_by_counting(state: TcpState) -> None:
    question = Question(ABOVE_2)
    _, first = _begin(question, v4(sport=1), tcp_state=state)
    doubt = Doubt(DoubtKind.CHANCE, MORE.format(2), drop=NONE, otherwise=False)
    assert question.ask(v4(sport=1), connection=first) == doubt


def test_so_may_one_of_a_connection_that_the_rule_did_not_see_begin() -> None:
    question = Question(ABOVE_2)
    known = connection(confirmed=True)
    question.session.insert(known)
    doubt = Doubt(DoubtKind.CHANCE, MORE.format(2), drop=NONE, otherwise=False)
    assert question.ask(connection=known) == doubt
    assert question.ask(connection=None) == doubt


def test_connections_of_before_leave_a_doubt_where_they_could_make_the_difference() -> None:
    question = Question(ABOVE_2)
    for number in range(3):
        _open(question, v4(src=f"10.0.0.{number + 10}"))
    assert question.ask(connection=connection()) == Doubt(DoubtKind.CHANCE, MORE.format(2))
    assert question.ask(v4(src="11.0.0.1"), connection=connection(v4(src="11.0.0.1"))) is False


def test_meeting_the_rule_twice_before_confirmation_may_count_twice() -> None:
    question = Question("-m connlimit --connlimit-above 1 --connlimit-mask 24")
    made = connection()
    assert question.ask(connection=made) is False
    assert question.ask(connection=made) == Doubt(DoubtKind.CHANCE, MORE.format(1))
    question.session.clock_s += 1
    assert question.ask(connection=made) is False


def test_a_packet_without_a_tuple_is_dropped_by_counting() -> None:
    assert ask("-m connlimit --connlimit-above 2", v4(transport=b"abc")) is HOTDROP


def test_a_walk_forks_to_the_drop() -> None:
    rules = f"*filter\n:FORWARD ACCEPT\n-A FORWARD -m conntrack --ctstate ESTABLISHED {ABOVE_2} -m ttl --ttl-eq 9"
    made = node(rules)
    session = made.session()
    for sent in (packet("udp", "10.0.0.5:1", "10.1.0.9:2"), packet("udp", "10.1.0.9:2", "10.0.0.5:1")):
        found = walk(made, Arrival(sent, "e0" if sent.sport == 1 else "e1"), session)
    assert [trace.verdict for trace in found.outcomes] == [Verdict.ACCEPT, Verdict.DROP]
    assert found.outcomes[1].decided_by.cause is Cause.HOTDROP
    assert found.outcomes[1].conditions[0].option == "drop"
    assert found.verdict is Verdict.MAYBE
