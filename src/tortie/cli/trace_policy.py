"""Policy behind a trace, for `tortie trace -r`: resources and the node's name to an explanation, and that as lines.

Everything heavy is imported here or later, so that a trace without resources starts as fast as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tortie.cli.desired import Desired, choose_node, find_desired, unnamed_hint
from tortie.cli.node_state import ToldState, endpoint_marks, features_of_rules, snapshot_state, supposed_state
from tortie.cli.resource_option import read_resources
from tortie.cli.terminal import Line, Style
from tortie.explain.basis import Basis
from tortie.explain.cause import CauseKind
from tortie.explain.document import origin_document, policy_document
from tortie.explain.explanation import Explainer, Explanation
from tortie.explain.origin import ChainOrigin, Owner, RuleOrigin
from tortie.explain.search import Solution
from tortie.explain.stale import find_differences
from tortie.explain.verdict import OwnerSaid
from tortie.explain.world import Answer
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import TableName
from tortie.netfilter.target import Goto, Jump
from tortie.render import names
from tortie.simulator.trace import RuleStep, Walk

if TYPE_CHECKING:
    from tortie.cli.trace_option import TraceRequest
    from tortie.explain.world import Question
    from tortie.model.read import Resources
    from tortie.netfilter.snapshot import Snapshot

_RULES_SHOWN = 6
_CHANGES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class NodePolicy:
    """What the resources tell of a node, before any packet is asked about."""

    explainer: Explainer
    remarks: tuple[str, ...] = ()

    def attribute(self, walked: Walk) -> Explanation:
        """Policy behind one walk, without a search for what would let its packet through."""
        return self.explainer.attribute(Answer(walked))

    def document(self, explanation: Explanation) -> dict[str, Any]:
        """The field `policy` of a trace document."""
        return policy_document(explanation, self.remarks)

    def step_document(self, step: RuleStep) -> dict[str, Any] | None:
        """The field `origin` of a step in the trace document."""
        return origin_document(self.explainer.origins.of_step(step))

    def note(self, step: RuleStep) -> str:
        """What is to be said beside a step: whose rule it is, where it leads, what its sets hold; or nothing."""
        origins = self.explainer.origins
        origin = origins.of_step(step)
        leads = None
        match step.rule.target:
            case Jump(chain) | Goto(chain) if origin is not None and origin.rendered:
                leads = origins.of_chain(step.table, chain)
            case _:
                pass
        return origin_note(origin, leads)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the resources tell of one walk."""

    node: NodePolicy
    explanation: Explanation


def read_policy(request: TraceRequest, snapshot: Snapshot) -> NodePolicy:
    """Reads the resources of a request for the node of a snapshot; raises `InvalidInput`."""
    resources = read_resources(request.resources, keep_going=False)
    node = choose_node(request.node_name, live=request.node is None)
    policy = policy_at(resources, node, snapshot)
    if policy is None:
        hint = unnamed_hint(resources, node)
        remedy = hint if request.node_name else f"{hint}; say --node"
        raise InvalidInput(f"no resource names the node {node}", remedy=remedy)
    return policy


def policy_at(resources: Resources, node: str, snapshot: Snapshot) -> NodePolicy | None:
    """What resources tell of the node of a snapshot; None when none of them names it."""
    told = _state(snapshot, resources, node)
    desired = _nearest(resources, node, told, snapshot)
    if not desired.named:
        return None
    basis = Basis(resources, node, desired.cluster, desired.view, desired.state, desired.config, desired.rendering)
    return NodePolicy(Explainer(basis, snapshot), desired.remarks)


def find_policy(request: TraceRequest, snapshot: Snapshot, question: Question, answer: Answer) -> Policy:
    """Explains a walk by the resources of a request; raises `InvalidInput`."""
    node = read_policy(request, snapshot)
    return Policy(node, node.explainer.explain(question, answer))


def _state(snapshot: Snapshot, resources: Resources, node: str) -> ToldState:
    """What the node says of itself: from its interfaces, or without them from its rules and the resources."""
    if snapshot.links is not None:
        return snapshot_state(snapshot)
    told = supposed_state(resources, node)
    ipvs = any(
        names.FORWARD_CHECK in table.chains
        for ruleset in snapshot.rulesets
        for name, table in ruleset.tables.items()
        if name is TableName.FILTER
    )
    features = features_of_rules(snapshot.rulesets) or told.state.features
    state = replace(told.state, features=features, ipvs=ipvs, endpoint_marks=endpoint_marks(snapshot.rulesets))
    return replace(told, state=state)


def _nearest(resources: Resources, node: str, told: ToldState, snapshot: Snapshot) -> Desired:
    """What the node should have, as Tortie makes it or, where that is nearer to what it has, as Felix 3.7.5 does."""
    ours = find_desired(resources, node, told)
    differences = find_differences(ours.rendering, snapshot)
    if not differences or differences.absent:
        return ours
    exact = find_desired(resources, node, told, felix_exact=True)
    others = find_differences(exact.rendering, snapshot)
    return exact if len(others.chains) < len(differences.chains) else ours


# --- lines -------------------------------------------------------------------------------------------------------


def origin_note(origin: RuleOrigin | None, leads: ChainOrigin | None = None) -> str:
    """Where a rule comes from and `leads`, in short; empty for what the names of the chains tell."""
    if origin is None:
        return ""
    if not origin.rendered:
        return "not as these resources have it"
    notes = []
    chain = origin.chain
    if chain is not None and origin.rule is not None:
        notes.append(f"{chain.title}, {chain.direction} rule {origin.rule}")
    if leads is not None and leads.owner in (Owner.WORKLOAD, Owner.HOST_ENDPOINT):
        notes.append(leads.title if leads.direction is None else f"{leads.direction} of {leads.title}")
    notes += [f"{found.name} is {found.title}" for found in origin.sets]
    return "; ".join(notes)


def head_lines(policy: Policy) -> Iterator[Line]:
    """Who is behind the packet's ends, and what there is to know of the resources."""
    for end in policy.explanation.ends:
        if end.who:
            text = f"{end.name} is {', '.join(end.who)}"
            yield Line(((f"{end.what}: ", Style.FAINT), (text, Style.PLAIN)), hang=6)
    if policy.explanation.differences:
        yield Line((("stale: ", Style.DOUBT), (str(policy.explanation.differences), Style.PLAIN)), hang=7)
    for remark in policy.node.remarks:
        yield Line((("note: ", Style.FAINT), (remark, Style.PLAIN)), hang=6)


def policy_lines(policy: Policy) -> Iterator[Line]:
    """What policy says of the packet, and what would let it through."""
    explanation = policy.explanation
    verdict = explanation.verdict
    as_meant = explanation.differences and verdict is not None and verdict.kind is not CauseKind.NOT_RENDERED
    yield from said_lines(explanation, "as these resources mean it, " if as_meant else "")
    if explanation.passes_as_meant:
        yield _labelled("change ", "none of the resources is needed: program the node with them")
    elif verdict is not None:
        yield from _solution_lines(explanation)


def said_lines(explanation: Explanation, meant: str = "") -> Iterator[Line]:
    """What policy says of the packet: who allowed it, or who was asked and why no rule of theirs allows it.

    `meant` goes before a verdict.
    """
    verdict = explanation.verdict
    if verdict is None:
        for one in explanation.allowed:
            yield _labelled("policy ", one.text)
        return
    which = {"answer": "of the answer: ", "next": "of the next packet: "}.get(explanation.which, "")
    yield Line()
    when = f"if {' and '.join(explanation.when)}: " if explanation.when else ""
    yield _labelled("policy ", f"{which}{when}{meant}{verdict.text}")
    for owner in verdict.asked:
        yield from _owner_lines(owner)


def _owner_lines(owner: OwnerSaid) -> Iterator[Line]:
    if owner.resource is None:
        yield Line(((f"{owner.title}  ", Style.NAME), ("does not exist", Style.PLAIN)), indent=7, hang=2)
        return
    if not owner.rules:
        yield Line(((f"{owner.title}  ", Style.NAME), ("has no rules in this direction", Style.PLAIN)), indent=7, hang=2)
    for said in owner.rules[:_RULES_SHOWN]:
        why = f"; {', '.join(said.why)}" if said.why else ""
        words = (f"rule {said.number} {said.text}{why}", Style.PLAIN)
        yield Line(((f"{owner.title}  ", Style.NAME), words), indent=7, hang=2)
    left = len(owner.rules) - _RULES_SHOWN
    if left > 0:
        yield Line(((f"{owner.title}  ", Style.NAME), (f"and {left} rules more", Style.FAINT)), indent=7, hang=2)


def _solution_lines(explanation: Explanation) -> Iterator[Line]:
    if not explanation.solutions:
        if explanation.beyond is not None:
            yield _labelled("change ", f"none found: allowed there, it would be dropped next. {explanation.beyond.text}")
        elif not explanation.exhausted:
            yield _labelled("change ", "none found among those of up to three resources together that were tried")
        return
    yield _labelled("change ", "any of these lets it through (rendered, and walked again with its answer), smallest first:")
    for number, solution in enumerate(explanation.solutions[:_CHANGES_SHOWN], 1):
        yield Line(((f"{number} ", Style.NAME), (solution_text(solution), Style.PLAIN)), indent=7, hang=2)


def solution_text(solution: Solution) -> str:
    """Changes in words, with what else they do."""
    words = []
    for change in solution.changes:
        words.append(f"{change.text} ({change.remark})" if change.remark else change.text)
    if solution.answered is None:
        words.append("whether the answer comes back is not known")
    return "; and ".join(words)


def _labelled(label: str, text: str) -> Line:
    return Line(((label, Style.HEAD), (text, Style.PLAIN)), hang=len(label))
