"""Whether what is said of policy is what policy does, on the clusters and packets on which the reference is judged.

Causes and rules are the reference's; each change is put into the resources, the node is made anew from the ground up, and
the packet is walked again. Everything follows from seeds (`cluster_object`, `cluster_packet`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.cluster_node import INTERFACES, ClusterNode
from tests.explained_cluster import basis_of, node_of
from tests.kernel.generate.draw import Draw
from tests.strategies.cluster_object import NODE, draw_cluster, read_cluster
from tests.strategies.cluster_packet import Sent, draw_packet
from tortie.explain.cause import CauseKind
from tortie.explain.change import ChangeKind
from tortie.explain.explanation import Explainer, Explanation
from tortie.explain.search import final_resources
from tortie.explain.world import Question, ask, with_resources
from tortie.model.read import Resources, key_of
from tortie.reference.conversation import decide_conversation
from tortie.reference.decision import (
    ByRule,
    EndpointToHost,
    ForeignSource,
    NoConnection,
    NoProfile,
    NoRule,
    NoSuchProfile,
    Reason,
    Says,
    TunnelPacket,
    UnknownInterface,
    Verdict,
)
from tortie.reference.flow import Tracking
from tortie.simulator.walk import Arrival

ATTEMPTS = 10
_SAME: dict[type[Reason], set[CauseKind]] = {  # type: ignore[valid-type]
    NoRule: {CauseKind.NO_POLICY},
    NoProfile: {CauseKind.NO_PROFILE},
    NoSuchProfile: {CauseKind.NO_SUCH_PROFILE},
    ByRule: {CauseKind.DENIED},
    EndpointToHost: {CauseKind.TO_HOST},
    TunnelPacket: {CauseKind.TUNNEL},
    # Two checks of the source, the kernel's own and in IPv6 a rule, come earlier than the reference tells them.
    NoConnection: {CauseKind.NO_CONNECTION, CauseKind.UNTRACKED_ANSWER, CauseKind.FOREIGN_SOURCE, CauseKind.OUTSIDE},
    UnknownInterface: {CauseKind.UNKNOWN_ENDPOINT, CauseKind.FOREIGN_SOURCE, CauseKind.OUTSIDE},
    ForeignSource: {CauseKind.FOREIGN_SOURCE, CauseKind.OUTSIDE, CauseKind.DENIED},
}
"""What the reference calls a cause, and what it may be called here."""


@dataclass(frozen=True)
class Dropped:
    """A packet that does not get through, explained."""

    resources: Resources
    sent: Sent
    question: Question
    explanation: Explanation


def draw_sent(seeds: Iterable[str]) -> Iterator[tuple[Resources, ClusterNode, Sent]]:
    """Packets of drawn clusters."""
    for seed in seeds:
        draw = Draw(seed)
        resources = read_cluster(draw_cluster(draw))
        node = node_of(resources)
        for _ in range(ATTEMPTS):
            sent = draw_packet(draw, node.routes)
            if sent is not None:
                yield resources, node, sent


def draw_dropped(seeds: Iterable[str]) -> Iterator[Dropped]:
    """Those that do not get through."""
    for resources, node, sent in draw_sent(seeds):
        question = Question(Arrival(sent.packet, in_iface=sent.flow.enters))
        answer = ask(question, node.node)
        if answer.dropped is not None:
            basis = basis_of(resources)
            told = Explainer(basis, node.node.snapshot).explain(question, answer)
            yield Dropped(resources, sent, question, told)


def check_cause(one: Dropped) -> CauseKind:
    """The cause is the reference's finding, rule number and all."""
    verdict = one.explanation.verdict
    assert verdict is not None
    if one.explanation.which == "next":
        return verdict.kind  # the reference decides the first two packets
    decided = decide_conversation(one.resources, NODE, one.sent.flow, interfaces=INTERFACES)
    decision = decided.first if one.explanation.which == "first" else decided.answer
    if decision is None or decision.verdict is Verdict.UNKNOWN:
        assert Verdict.UNKNOWN in (decided.first.verdict, decided.verdict), str(one.sent.flow)
        return verdict.kind
    reason = decision.decided_by.reason
    assert verdict.kind in _SAME[type(reason)], f"{one.sent.flow}: {decision} and {verdict.text}"
    if verdict.kind is CauseKind.DENIED and isinstance(reason, ByRule):
        resource = verdict.asked[-1].resource
        assert resource is not None
        assert (key_of(resource), verdict.denied_by) == (reason.owner, reason.number), str(one.sent.flow)
    if verdict.kind is CauseKind.NO_POLICY and isinstance(reason, NoRule):
        asked = tuple(key_of(owner.resource) for owner in verdict.asked if owner.resource is not None)
        assert asked == reason.policies, str(one.sent.flow)
    return verdict.kind


def check_changes(one: Dropped, most: int) -> Counter[ChangeKind]:
    """Each change lets the packet through on a node made anew, and without it, or a part of it, the packet is dropped."""
    assert not one.explanation.differences
    kinds: Counter[ChangeKind] = Counter()
    if one.explanation.solutions:
        assert not ask(one.question, node_of(one.resources).node).passes
    for solution in one.explanation.solutions[:most]:
        changed = with_resources(one.resources, final_resources(solution.changes))
        texts = [change.text for change in solution.changes]
        assert ask(one.question, node_of(changed).node).passes, f"{one.sent.flow}: {texts}"
        kinds.update(change.kind for change in solution.changes)
        keys = [key_of(change.resource) for change in solution.changes]
        for change, key in zip(solution.changes, keys, strict=True) if len(keys) > 1 else ():
            rest = tuple(other for other in solution.changes if other is not change)
            if keys.count(key) == 1:
                less = with_resources(one.resources, final_resources(rest))
                assert not ask(one.question, node_of(less).node).passes, f"{one.sent.flow}: {texts} without {change.text}"
    return kinds


def check_nothing_found(one: Dropped) -> None:
    """Where no change is told, something stands in the way that policy cannot move, or nobody can be named."""
    verdict = one.explanation.verdict
    if verdict is None or one.explanation.solutions or verdict.kind not in (CauseKind.NO_POLICY, CauseKind.NO_PROFILE):
        return
    unnamed = verdict.party is not None and not verdict.party.own
    seen = one.explanation.beyond is not None or not one.explanation.exhausted or unnamed
    assert seen, f"{one.sent.flow}: {verdict.text}"


def check_allowed(resources: Resources, node: ClusterNode, sent: Sent) -> int:
    """The rules that allowed a packet are the reference's; how many there were."""
    question = Question(Arrival(sent.packet, in_iface=sent.flow.enters), one=True)
    answer = ask(question, node.node)
    decision = decide_conversation(resources, NODE, sent.flow, interfaces=INTERFACES).first
    if not answer.passes or decision.untracked or sent.flow.tracking is not Tracking.NEW:
        return 0
    basis = basis_of(resources)
    told = Explainer(basis, node.node.snapshot).explain(question, answer)
    ours = [(one.by.chain.key, one.by.rule) for one in told.allowed if one.by.chain is not None and one.by.rule]
    reasons = [one.reason for one in decision.findings if one.says is Says.ALLOW]
    assert ours == [(one.owner, one.number) for one in reasons if isinstance(one, ByRule)], f"{sent.flow}: {decision}"
    return len(ours)
