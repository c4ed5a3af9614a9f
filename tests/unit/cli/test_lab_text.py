"""Single tries for people: answers, and the walks behind the simulator's."""

from __future__ import annotations

from tests.unit.lab import laboratory
from tests.unit.lab.test_prediction import predictor
from tortie.cli.lab_text import finding_text
from tortie.lab.matrix import MOST_SHOWN
from tortie.lab.policy import Meaning
from tortie.lab.probe import Outcome
from tortie.lab.verify import Finding, Question

TOPOLOGY = laboratory.topology()
STATIONS = laboratory.stations(TOPOLOGY)
RESOURCES = laboratory.resources(TOPOLOGY)


def finding(*, connected: bool) -> Finding:
    station, target = STATIONS["shop/far"], laboratory.target(TOPOLOGY, "shop/web", "tcp/80")
    outcome = Outcome(connected, station.address, 40000, "" if connected else "no answer")
    prediction = predictor().predict(station, target, outcome, with_hops=True)
    return Finding(station, target, outcome, prediction, Meaning(True, "n1: a policy"))


def test_a_disagreement_ends_with_the_last_walk() -> None:
    (text,) = finding_text([finding(connected=False)], [], RESOURCES)
    lines = text.splitlines()
    assert lines[:4] == [
        "shop/far to shop/web tcp/80:",
        "  kernel     does not: no answer",
        "  simulator  connects: both directions get through",
        "  policy     connects: n1: a policy",
    ]
    assert [line for line in lines if " at n" in line] == [
        "the next packet, at n1: tcp 10.65.1.1:40000 > 10.65.0.1:80 ACK ttl 63, arrives on eth0"
    ]
    assert lines[-1].startswith("FORWARDED out of cali")


def test_a_try_that_is_asked_for_is_shown_whole() -> None:
    (text,) = finding_text([finding(connected=True)], [Question("shop/far", "shop/web", "tcp/80")], RESOURCES)
    heads = [line.partition(": ")[0] for line in text.splitlines() if ", at n" in line]
    assert heads == [
        *("the first packet, at n2", "the first packet, at n1", "the answer, at n1", "the answer, at n2"),
        *("the next packet, at n2", "the next packet, at n1"),
    ]


def test_what_agrees_and_is_not_asked_for_is_not_shown() -> None:
    assert list(finding_text([finding(connected=True)], [], RESOURCES)) == []


def test_the_first_of_many() -> None:
    texts = list(finding_text([finding(connected=False)] * (MOST_SHOWN + 3), [], RESOURCES))
    assert len(texts) == MOST_SHOWN + 1
    assert texts[-1] == "and 3 more\n"
