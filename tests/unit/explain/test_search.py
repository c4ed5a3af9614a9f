"""The smallest changes that work, and nothing that does not."""

from __future__ import annotations

import pytest

from tests.explained_cluster import explained, node_of
from tests.reference_builder import WORLD, configuration, global_policy, host, policy, read, resource
from tortie.explain.cause import CauseKind
from tortie.explain.change import ChangeKind
from tortie.explain.search import final_resources
from tortie.explain.world import ask, with_resources

WEB = "tcp 10.65.1.2:1000 10.65.0.2:8080"
ETH = host("eth", "interfaceName: eth0, expectedIPs: [10.20.0.1]")


def test_smaller_changes_come_first_and_each_kind_has_its_turn() -> None:
    more = policy("p", "a", "{ingress: [{action: Allow, protocol: TCP, source: {selector: role == 'x'}}]}")
    ports = policy("q", "a", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}")
    found = explained(read(WORLD, more, ports), WEB, "eth0").explanation
    assert [[change.kind for change in one.changes] for one in found.solutions] == [
        [ChangeKind.PORT],
        [ChangeKind.LABEL],
        [ChangeKind.RULE],
        [ChangeKind.RULE],
        [ChangeKind.POLICY],
    ]
    assert [one.size for one in found.solutions] == sorted(one.size for one in found.solutions)
    assert found.exhausted


def test_what_is_dropped_at_two_places_needs_two_changes() -> None:
    out = policy("out", "a", "{selector: role == 'front', types: [Egress], egress: [{action: Deny}]}")
    into = policy("in", "b", "{types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [1]}}]}")
    seen = explained(read(WORLD, out, into), "tcp 10.65.0.2:1000 10.65.0.3:80", "cali1")
    first = seen.explanation.solutions[0]
    assert [change.text for change in first.changes] == [
        "NetworkPolicy a/out: add an egress rule in front of rule 1 that allows tcp/80 to"
        " namespaces with team == 'blue' and role == 'back'",
        "NetworkPolicy b/in, ingress rule 1: add port 80",
    ]
    assert all(len(one.changes) == 2 for one in seen.explanation.solutions)


def test_two_changes_of_one_policy_are_one_resource() -> None:
    both = global_policy("p", "{selector: all(), types: [Ingress, Egress]}")
    resources = read(WORLD, both)
    seen = explained(resources, "tcp 10.65.0.2:1000 10.65.0.3:80", "cali1")
    solution = next(
        one
        for one in seen.explanation.solutions
        if [change.kind for change in one.changes] == [ChangeKind.RULE, ChangeKind.RULE]
    )
    (final,) = final_resources(solution.changes)
    changed = with_resources(resources, [final])
    assert ask(seen.question, node_of(changed).node).passes


def test_what_stands_behind_policy_is_told_when_nothing_helps() -> None:
    closed = policy("p", "a", "{types: [Egress]}")
    seen = explained(read(WORLD, closed), "tcp 10.65.0.2:1000 10.20.0.1:80", "cali1")
    assert seen.explanation.solutions == ()
    assert seen.explanation.beyond is not None and seen.explanation.beyond.kind is CauseKind.TO_HOST
    accepting = read(WORLD, closed, configuration("{defaultEndpointToHostAction: Accept}"))
    assert explained(accepting, "tcp 10.65.0.2:1000 10.20.0.1:80", "cali1").explanation.solutions


def test_an_answer_that_untracked_policy_forgot_is_let_through_by_untracked_policy() -> None:
    raw = "{selector: has(host), applyOnForward: true, doNotTrack: true, ingress: [{action: Allow, protocol: TCP}]}"
    normal = global_policy("n", "{selector: has(host), ingress: [{action: Allow}], egress: [{action: Allow}]}")
    seen = explained(read(WORLD, ETH, normal, global_policy("raw", raw)), "tcp 192.0.2.1:5 10.20.0.1:9999", "eth0")
    (solution, *_) = seen.explanation.solutions
    (change,) = solution.changes
    assert (seen.explanation.which, seen.verdict.kind) == ("answer", CauseKind.UNTRACKED_ANSWER)
    assert change.text.startswith(
        "a new GlobalNetworkPolicy allow-tcp-5-egress for host == 'eth', whose egress rule allows"
    )
    assert change.resource.spec.do_not_track  # type: ignore[union-attr]


def test_a_member_of_a_set_works_for_whom_the_rule_is() -> None:
    more = policy("p", "a", "{ingress: [{action: Allow, source: {selector: kind == 'net'}}]}")
    sets = resource("NetworkSet", "good", "{nets: [10.0.0.0/24]}", namespace="a", labels="{kind: net}")
    seen = explained(read(WORLD, more, sets), "tcp 192.0.2.1:1 10.65.0.2:80", "eth0")
    assert seen.changes[0] == "member: NetworkSet a/good: add 192.0.2.1/32, which NetworkPolicy a/p, ingress rule 1 is for"


@pytest.mark.parametrize("number", [12])
def test_many_policies_do_not_crowd_out_what_is_small(number: int) -> None:
    crowd = [policy(f"p{one}", "a", f"{{order: {one}, types: [Ingress]}}") for one in range(number)]
    opened = policy("open", "a", "{selector: access == 'open', ingress: [{action: Allow}]}")
    found = explained(read(WORLD, *crowd, opened), WEB, "eth0").explanation
    kinds = [one.changes[0].kind for one in found.solutions]
    assert kinds == [ChangeKind.LABEL, ChangeKind.RULE, ChangeKind.RULE, ChangeKind.POLICY]
    assert not found.exhausted
