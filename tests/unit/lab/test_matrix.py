"""What verification found, as people and programs read it."""

from __future__ import annotations

from tests.unit.lab import laboratory
from tortie.lab.matrix import answer_lines, document, matrix_lines, summary_line
from tortie.lab.policy import Meaning
from tortie.lab.prediction import Prediction
from tortie.lab.probe import Outcome
from tortie.lab.verify import Finding, Question

TOPOLOGY = laboratory.topology()
STATIONS = laboratory.stations(TOPOLOGY)


def finding(source: str, name: str, probe: str, kernel: bool, simulator: bool | None, policy: bool | None) -> Finding:
    outcome = Outcome(kernel, STATIONS[source].address, 40000, "" if kernel else "no answer")
    prediction, meaning = Prediction(simulator, "n1: a rule"), Meaning(policy, "n1: a policy")
    return Finding(STATIONS[source], laboratory.target(TOPOLOGY, name, probe), outcome, prediction, meaning)


FOUND = (
    finding("shop/web", "n1", "tcp/80", True, True, True),
    finding("shop/web", "n1", "icmp", False, False, False),
    finding("n1", "shop/web", "tcp/80", True, False, True),
    finding("n1", "shop/web", "icmp", True, True, True),
    finding("n1", "web@n2", "tcp/30080", False, None, False),
    finding("office", "shop/web", "tcp/80", False, False, True),
    finding("office", "web@n1", "tcp/30080", True, True, True),
)
MATRIX = """\
cells: tcp/80 icmp tcp/30080, each + reached, . closed, ! the three disagree
            1 shop/web
            2 n1
            3 web@n2
            4 web@n1
from      1  2  3 4
shop/web     +.
n1        !+    !
office    !       +
"""


def test_the_matrix() -> None:
    assert "".join(f"{line.rstrip()}\n" for line in matrix_lines(FOUND)) == MATRIX


def test_the_summary() -> None:
    assert summary_line(FOUND) == "7 tries, 4 connected, 3 not; they DISAGREE on 3"
    assert summary_line(FOUND[:2]) == "2 tries, 1 connected, 1 not; kernel, simulator and policy agree on all"


def test_one_try_has_three_answers() -> None:
    assert list(answer_lines(FOUND[4])) == [
        "n1 to web@n2 tcp/30080:",
        "  kernel     does not: no answer",
        "  simulator  cannot tell: n1: a rule",
        "  policy     does not: n1: a policy",
    ]


def test_what_is_not_known_agrees_with_nothing() -> None:
    assert [finding.agrees for finding in FOUND] == [True, True, False, True, False, False, True]


def test_all_of_it_as_plain_data() -> None:
    assert document(FOUND)[5] == {
        "from": "office",
        "to": "shop/web",
        "probe": "tcp/80",
        "connected": False,
        "predicted": False,
        "predictedBecause": "n1: a rule",
        "allowed": True,
        "allowedBecause": "n1: a policy",
        "agree": False,
    }


def test_a_question_is_about_one_try() -> None:
    question = Question("office", "shop/web", "tcp/80")
    assert [question.asks(one.station, one.target) for one in FOUND].index(True) == 5
