"""Counters, labels, helpers and numbers of connections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cases.matches import v4
from tests.match_builder import Question, ask, connection, why
from tortie.net.packet import Packet
from tortie.netfilter.conntrack import TcpState
from tortie.netfilter.match import CtState
from tortie.simulator.answer import HOTDROP, Doubt, DoubtKind
from tortie.simulator.connection import Connection

BYTES = "-m connbytes --connbytes {} --connbytes-dir {} --connbytes-mode {}"


def _counted(packets: tuple[int, int], size: tuple[int, int]) -> Connection:
    return connection(packets=list(packets), bytes=list(size))


@pytest.mark.parametrize(
    ("span", "direction", "mode", "answer"),
    [
        ("5:6", "both", "packets", True),
        ("3", "original", "packets", True),
        ("4", "original", "packets", False),
        ("90:90", "reply", "bytes", True),
        ("30:30", "both", "avgpkt", True),
        ("31", "both", "avgpkt", False),
    ],
)
def test_counters(span: str, direction: str, mode: str, answer: bool) -> None:
    assert ask(BYTES.format(span, direction, mode), connection=_counted((3, 2), (60, 90))) is answer


def test_one_number_inverted_is_the_same_as_not() -> None:
    one = _counted((3, 2), (60, 90))
    assert ask("-m connbytes ! --connbytes 3:3 --connbytes-dir original --connbytes-mode packets", connection=one) is True
    assert ask("-m connbytes ! --connbytes 3:4 --connbytes-dir original --connbytes-mode packets", connection=one) is False


def test_a_connection_read_without_counters_was_never_counted() -> None:
    entry = replace(connection().entry(), packets=None, bytes=None)
    question = Question(BYTES.format("0", "both", "packets"), connections=(entry,))
    assert question.ask(connection=Connection.from_entry(entry)) is False
    assert question.ask(connection=connection(v4(src="10.0.0.6"))) is True


def test_labels() -> None:
    labelled = connection(labels="5,7")
    assert ask("-m connlabel --label 5", connection=labelled) is True
    assert ask("-m connlabel ! --label 6", connection=labelled) is True
    assert ask("-m connlabel ! --label 6") is True
    assert ask("-m connlabel --label 6 --set", connection=labelled) is True
    assert labelled.labels == "5,7,6"


def test_labels_that_were_not_read_are_not_known() -> None:
    answer = ask("-m connlabel --label 5", connection=connection(from_snapshot=True))
    assert answer == Doubt(DoubtKind.UNKNOWN, "the connection has label 5")


def test_a_helper_is_the_expecting_connection_s() -> None:
    assert ask("-m helper --helper ftp", connection=connection(helper="ftp")) is False
    assert ask("-m helper ! --helper ftp") is True
    doubt = Doubt(DoubtKind.UNKNOWN, "helper ftp expected the connection")
    assert ask("-m helper --helper ftp", connection=connection(expected=True)) == doubt
    assert ask("-m helper --helper ftp", connection=connection(from_snapshot=True)) == doubt


def _open(question: Question, packet: Packet, **fields: object) -> Connection:
    made = connection(packet, confirmed=True, **fields)
    question.session.insert(made)
    return made


def test_a_new_rule_has_counted_what_the_session_saw_begin() -> None:
    question = Question("-m connlimit --connlimit-above 2")
    answers = []
    for port in range(1, 5):
        packet = v4(sport=port)
        made = connection(packet)
        answers.append(question.ask(packet, connection=made, ct_state=CtState.NEW))
        made.confirmed = True
        question.session.insert(made)
    assert answers == [False, False, True, True]


def test_closed_connections_are_not_counted() -> None:
    question = Question("-m connlimit --connlimit-upto 1")
    first = connection(v4(sport=1))
    assert question.ask(v4(sport=1), connection=first) is True
    first.confirmed, first.tcp_state = True, TcpState.TIME_WAIT
    question.session.insert(first)
    second = question.ask(v4(sport=2), connection=connection(v4(sport=2)))
    assert second == Doubt(DoubtKind.CHANCE, "the rule has counted at most 1 connections of 10.0.0.5/32")


def test_connections_of_before_leave_a_doubt_where_they_could_make_the_difference() -> None:
    question = Question("-m connlimit --connlimit-above 2 --connlimit-mask 24")
    for number in range(3):
        _open(question, v4(src=f"10.0.0.{number + 10}"))
    doubt = Doubt(DoubtKind.CHANCE, "the rule has counted more than 2 connections of 10.0.0.0/24")
    assert question.ask(connection=connection()) == doubt
    assert question.ask(v4(src="11.0.0.1"), connection=connection(v4(src="11.0.0.1"))) is False


def test_a_packet_without_a_tuple_is_dropped_by_counting() -> None:
    assert ask("-m connlimit --connlimit-above 2", v4(transport=b"abc")) is HOTDROP


def test_a_cluster_makes_multicast_frames_unicast() -> None:
    question = Question("-m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 1")
    skb = question.skb(frame_type="multicast")
    assert question.ask_about(skb) is False
    assert skb.frame_type == "unicast"
    group = question.skb(v4(dst="224.0.0.5"), frame_type="multicast")
    question.ask_about(group)
    assert group.frame_type == "multicast"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (BYTES.format("9", "both", "packets"), "the connection has 5 packets (both)"),
        ("-m connlabel --label 9", "labels of the connection are none"),
        ("-m helper --helper ftp", "no helper expected the connection"),
        ("-m connlimit --connlimit-above 2", "the rule has counted at most 2 connections of this address"),
        (
            "-m cluster --cluster-total-nodes 2 --cluster-local-node 2 --cluster-hash-seed 1",
            "the connection belongs to node 1 of 2",
        ),
    ],
)
def test_reasons(rule: str, reason: str) -> None:
    assert why(rule, connection=_counted((3, 2), (60, 90))) == reason


def test_a_packet_of_a_closed_connection_counts_for_nothing_unless_that_is_gone_already() -> None:
    """A count of nothing drops; a RST before any answer takes its connection out of the table first."""
    question = Question("-m connlimit --connlimit-upto 1")
    closed = connection()
    assert question.ask(connection=closed) is True
    closed.confirmed, closed.tcp_state = True, TcpState.CLOSE
    question.session.insert(closed)
    assert question.ask(connection=closed) is HOTDROP
    question.session.remove(closed)
    assert question.ask(connection=closed) is True
