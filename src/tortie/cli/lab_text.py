"""Single tries of a laboratory, for people: what kernel, simulator and policy say, and the walks behind a prediction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tortie.cli.terminal import Line, find_paper, write_lines
from tortie.cli.trace_text import View, walk_lines
from tortie.lab.matrix import MOST_SHOWN, answer_lines
from tortie.lab.prediction import Hop
from tortie.lab.verify import Finding, Question
from tortie.simulator.summary import read_naming


def finding_text(findings: Sequence[Finding], questions: Iterable[Question]) -> Iterator[str]:
    """All walks of the tries that are asked for, then each disagreement with its last walk; the first of many."""
    asked = list(questions)
    for finding in findings:
        if any(question.asks(finding.station, finding.target) for question in asked):
            yield _text(finding, finding.prediction.hops)
    wrong = [finding for finding in findings if not finding.agrees]
    for finding in wrong[:MOST_SHOWN]:
        yield _text(finding, finding.prediction.hops[-1:])
    if len(wrong) > MOST_SHOWN:
        yield f"and {len(wrong) - MOST_SHOWN} more\n"


def _text(finding: Finding, hops: Iterable[Hop]) -> str:
    paper = find_paper()
    walks = "".join(f"\n{write_lines(_hop_lines(hop), paper)}" for hop in hops)
    return "".join(f"{line}\n" for line in answer_lines(finding)) + walks


def _hop_lines(hop: Hop) -> Iterator[Line]:
    naming = read_naming(hop.snapshot.rulesets)
    yield from walk_lines(hop.walk, View(naming), label=f"{hop.turn.value}, at {hop.node}")
