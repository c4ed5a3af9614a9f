"""Counters, labels, helpers and numbers of connections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cases.matches import v4
from tests.match_builder import Question, ask, connection, why
from tortie.simulator.answer import Doubt, DoubtKind
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
