"""What is said of policy is what policy does: causes agree with the reference, and every change that is told works."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from tests.explain_agreement import (
    Dropped,
    check_allowed,
    check_cause,
    check_changes,
    check_nothing_found,
    draw_dropped,
    draw_sent,
)
from tests.explained_cluster import basis_of
from tortie.explain.change import ChangeKind
from tortie.explain.miss import misses
from tortie.explain.origin import Origins
from tortie.explain.party import Parties
from tortie.explain.title import full_name
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.model.resource_conversion import resources_to_v1
from tortie.reference.flow import Tracking
from tortie.reference.party import parties
from tortie.reference.rule import rule_holds
from tortie.simulator.trace import RuleStep
from tortie.simulator.walk import Arrival, walk

SEEDS = [f"explain {number}" for number in range(24)]
MORE_SEEDS = [f"explain {number}" for number in range(100)]


@lru_cache(maxsize=1)
def dropped() -> tuple[Dropped, ...]:
    """Packets that do not get through, explained."""
    return tuple(draw_dropped(SEEDS))


def test_the_cause_is_the_references() -> None:
    assert len({check_cause(one) for one in dropped()}) > 5


def test_every_change_that_is_told_lets_the_packet_through_and_without_it_the_packet_is_dropped() -> None:
    kinds: Counter[ChangeKind] = Counter()
    for one in dropped():
        kinds += check_changes(one, 3)
    assert {ChangeKind.RULE, ChangeKind.POLICY, ChangeKind.LABEL} <= kinds.keys()
    assert kinds.total() > 50


def test_where_no_change_is_told_policy_cannot_help() -> None:
    """Or it would help, and something else stands behind it."""
    for one in dropped():
        check_nothing_found(one)


def test_a_rule_misses_nothing_exactly_when_it_holds_for_the_reference() -> None:
    held: Counter[bool] = Counter()
    for resources, _, sent in draw_sent(SEEDS):
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
    for resources, node, sent in draw_sent(SEEDS[:6]):
        origins = Origins(basis_of(resources))
        for step in walk(node.node, Arrival(sent.packet, in_iface=sent.flow.enters)).trace.steps:
            origin = origins.of_step(step) if isinstance(step, RuleStep) else None
            if origin is not None:
                assert origin.rendered
                met[origin.rule is not None] += 1
    assert met[True] > 25 and met[False] > 500


def test_the_rules_that_allowed_a_packet_are_the_references() -> None:
    """Number and all: a rule of a policy may be many rules of iptables, and blocks of them."""
    assert sum(check_allowed(*one) for one in draw_sent(MORE_SEEDS)) > 15
