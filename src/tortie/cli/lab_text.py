"""Single tries of a laboratory, for people: what kernel, simulator and policy say, and the walks behind a prediction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tortie.cli.terminal import Line, find_paper, write_lines
from tortie.cli.trace_policy import NodePolicy, policy_at, said_lines
from tortie.cli.trace_text import View, walk_lines
from tortie.lab.matrix import MOST_SHOWN, answer_lines
from tortie.lab.prediction import Hop
from tortie.lab.verify import Finding, Question
from tortie.model.read import Resources
from tortie.simulator.summary import read_naming


def finding_text(findings: Sequence[Finding], questions: Iterable[Question], resources: Resources) -> Iterator[str]:
    """All walks of the tries that are asked for, then each disagreement with its last walk; the first of many."""
    asked = list(questions)
    walks = _Walks(resources)
    for finding in findings:
        if any(question.asks(finding.station, finding.target) for question in asked):
            yield walks.text(finding, finding.prediction.hops)
    wrong = [finding for finding in findings if not finding.agrees]
    for finding in wrong[:MOST_SHOWN]:
        yield walks.text(finding, finding.prediction.hops[-1:])
    if len(wrong) > MOST_SHOWN:
        yield f"and {len(wrong) - MOST_SHOWN} more\n"


class _Walks:
    """Walks in words; what the resources tell of a node is found when it is first met."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._policies: dict[str, NodePolicy | None] = {}

    def text(self, finding: Finding, hops: Iterable[Hop]) -> str:
        """The answers to a try, and the walks at the hops."""
        paper = find_paper()
        walks = "".join(f"\n{write_lines(self._lines(hop), paper)}" for hop in hops)
        return "".join(f"{line}\n" for line in answer_lines(finding)) + walks

    def _lines(self, hop: Hop) -> Iterator[Line]:
        policy = self._policy(hop)
        view = View(read_naming(hop.snapshot.rulesets), origin=None if policy is None else policy.note)
        yield from walk_lines(hop.walk, view, label=f"{hop.turn.value}, at {hop.node}")
        if policy is not None:
            yield from said_lines(policy.attribute(hop.walk))

    def _policy(self, hop: Hop) -> NodePolicy | None:
        if hop.node not in self._policies:
            self._policies[hop.node] = policy_at(self._resources, hop.node, hop.snapshot)
        return self._policies[hop.node]
