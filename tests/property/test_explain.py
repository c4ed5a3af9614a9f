"""What is said of policy is what policy does: causes agree with the reference, and every change that is told works.

Clusters and packets are those on which the reference is judged (`cluster_object`, `cluster_packet`). Each change is put
into the resources, the node is made anew from the ground up, and the packet is walked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from tests.cluster_node import INTERFACES, ClusterNode
from tests.explained_cluster import basis_of, node_of
from tests.kernel.generate.draw import Draw
from tests.strategies.cluster_object import NODE, draw_cluster, read_cluster
from tests.strategies.cluster_packet import Sent, draw_packet
from tortie.explain.cause import CauseKind
from tortie.explain.change import ChangeKind
from tortie.explain.explanation import Explanation, explain
from tortie.explain.miss import misses
from tortie.explain.origin import Origins
from tortie.explain.party import Parties
from tortie.explain.search import final_resources
from tortie.explain.title import full_name
from tortie.explain.world import Question, ask, with_resources
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.model.read import Resources, key_of
from tortie.model.resource_conversion import resources_to_v1
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
)
from tortie.reference.flow import Tracking
from tortie.reference.party import parties
from tortie.reference.rule import rule_holds
from tortie.simulator.trace import RuleStep
from tortie.simulator.walk import Arrival, walk

CLUSTERS = 24
ATTEMPTS = 10


def _sent(seeds: range) -> Iterator[tuple[Resources, ClusterNode, Sent]]:
    for seed in seeds:
        draw = Draw(f"explain {seed}")
        resources = read_cluster(draw_cluster(draw))
        node = node_of(resources)
        for _ in range(ATTEMPTS):
            sent = draw_packet(draw, node.routes)
            if sent is not None:
                yield resources, node, sent


@lru_cache(maxsize=1)
def _explained() -> tuple[tuple[Resources, Sent, Question, Explanation], ...]:
    """Packets that do not get through, explained."""
    found = []
    for resources, node, sent in _sent(range(CLUSTERS)):
        question = Question(Arrival(sent.packet, in_iface=sent.flow.enters))
        answer = ask(question, node.node)
        if answer.dropped is not None:
            basis = basis_of(resources)
            found.append((resources, sent, question, explain(basis, node.node.snapshot, question, answer, Origins(basis))))
    return tuple(found)


_SAME: dict[type[Reason], set[CauseKind]] = {  # type: ignore[valid-type]
    NoRule: {CauseKind.NO_POLICY},
    NoProfile: {CauseKind.NO_PROFILE},
    NoSuchProfile: {CauseKind.NO_SUCH_PROFILE},
    ByRule: {CauseKind.DENIED},
    EndpointToHost: {CauseKind.TO_HOST},
    TunnelPacket: {CauseKind.TUNNEL},
    NoConnection: {CauseKind.NO_CONNECTION, CauseKind.UNTRACKED_ANSWER},
    # The kernel's own check of sources comes behind the raw table and in front of the others.
    UnknownInterface: {CauseKind.UNKNOWN_ENDPOINT, CauseKind.FOREIGN_SOURCE, CauseKind.OUTSIDE},
    ForeignSource: {CauseKind.FOREIGN_SOURCE, CauseKind.OUTSIDE, CauseKind.DENIED},
}


def test_the_cause_is_the_references() -> None:
    kinds: Counter[CauseKind] = Counter()
    for resources, sent, _, explanation in _explained():
        verdict = explanation.verdict
        assert verdict is not None
        decided = decide_conversation(resources, NODE, sent.flow, interfaces=INTERFACES)
        decision = decided.first if explanation.which == "first" else decided.answer
        assert decision is not None
        reason = decision.decided_by.reason
        assert verdict.kind in _SAME[type(reason)], f"{sent.flow}: {decision} and {verdict.text}"
        kinds[verdict.kind] += 1
        if verdict.kind is CauseKind.DENIED and isinstance(reason, ByRule):
            resource = verdict.asked[-1].resource
            assert resource is not None
            assert (key_of(resource), verdict.denied_by) == (reason.owner, reason.number)
        if verdict.kind is CauseKind.NO_POLICY and isinstance(reason, NoRule):
            assert tuple(key_of(one.resource) for one in verdict.asked if one.resource is not None) == reason.policies
    assert len(kinds) > 5


def test_every_change_that_is_told_lets_the_packet_through_and_without_it_the_packet_is_dropped() -> None:
    kinds: Counter[ChangeKind] = Counter()
    for resources, _, question, explanation in _explained():
        assert not explanation.differences
        if explanation.solutions:
            assert not ask(question, node_of(resources).node).passes
        for solution in explanation.solutions[:3]:
            changed = with_resources(resources, final_resources(solution.changes))
            assert ask(question, node_of(changed).node).passes, [change.text for change in solution.changes]
            kinds.update(change.kind for change in solution.changes)
    assert {ChangeKind.RULE, ChangeKind.POLICY, ChangeKind.LABEL} <= kinds.keys()
    assert kinds.total() > 50


def test_where_no_change_is_told_policy_cannot_help() -> None:
    """Or it would help, and something else stands behind it."""
    for _, sent, _, explanation in _explained():
        verdict = explanation.verdict
        if verdict is None or explanation.solutions or verdict.kind not in (CauseKind.NO_POLICY, CauseKind.NO_PROFILE):
            continue
        unnamed = verdict.party is not None and not verdict.party.own
        assert explanation.beyond is not None or not explanation.exhausted or unnamed, f"{sent.flow}: {verdict.text}"


def test_a_rule_misses_nothing_exactly_when_it_holds_for_the_reference() -> None:
    held: Counter[bool] = Counter()
    for resources, _, sent in _sent(range(CLUSTERS)):
        if sent.flow.tracking is not Tracking.NEW:
            continue
        ours, theirs = Parties(resources), parties(resources)
        enforced = {one.name: one for one in resources_to_v1(resources).policies}
        for policy in (*resources.of(NetworkPolicy), *resources.of(GlobalNetworkPolicy)):
            made = enforced[full_name(policy)]
            for rule, converted in zip(policy.spec.ingress, made.inbound, strict=True):
                holds = rule_holds(rule, policy.metadata.namespace, sent.flow, theirs)
                assert (not misses(converted, sent.packet, ours)) is holds, (str(sent.flow), rule)
                held[holds] += 1
    assert held[True] > 100 and held[False] > 100


def test_every_rule_of_calicos_that_a_packet_met_is_attributed() -> None:
    """A node that was rendered from its resources has no rule whose origin is not known."""
    met: Counter[bool] = Counter()
    for resources, node, sent in _sent(range(6)):
        origins = Origins(basis_of(resources))
        for step in walk(node.node, Arrival(sent.packet, in_iface=sent.flow.enters)).trace.steps:
            origin = origins.of_step(step) if isinstance(step, RuleStep) else None
            if origin is not None:
                assert origin.rendered
                met[origin.rule is not None] += 1
    assert met[True] > 25 and met[False] > 500


def test_the_rules_that_allowed_a_packet_are_the_references() -> None:
    """Number and all: a rule of a policy may be many rules of iptables, and blocks of them."""
    compared = 0
    before, basis = None, None
    for resources, node, sent in _sent(range(5 * CLUSTERS)):
        question = Question(Arrival(sent.packet, in_iface=sent.flow.enters), one=True)
        answer = ask(question, node.node)
        decision = decide_conversation(resources, NODE, sent.flow, interfaces=INTERFACES).first
        if not answer.passes or decision.untracked or sent.flow.tracking is not Tracking.NEW:
            continue
        if before is not resources:
            before, basis = resources, basis_of(resources)
        told = explain(basis, node.node.snapshot, question, answer, Origins(basis))
        ours = [(one.by.chain.key, one.by.rule) for one in told.allowed if one.by.chain is not None and one.by.rule]
        reasons = [one.reason for one in decision.findings if one.says is Says.ALLOW]
        theirs = [(one.owner, one.number) for one in reasons if isinstance(one, ByRule)]
        assert ours == theirs, f"{sent.flow}: {decision}"
        compared += len(ours)
    assert compared > 15
