"""The whole of what is said of a packet, also on a node that is not as the resources have it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.explained_cluster import Explained, basis_of, explained, explained_on, node_of
from tests.reference_builder import WORLD, host, policy, read, resource
from tortie.explain.cause import CauseKind
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Chain, Rule
from tortie.netfilter.snapshot import Snapshot
from tortie.netfilter.target import Drop

CLOSED = read(WORLD, policy("web", "a", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}"))
OPEN = read(WORLD, policy("web", "a", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80, 8080]}}]}"))
WEB = "tcp 10.65.1.2:1000 10.65.0.2:8080"


def test_a_packet_that_gets_through_has_no_verdict_and_tells_who_allowed_it() -> None:
    seen = explained(OPEN, WEB, "eth0")
    assert seen.explanation.verdict is None and seen.changes == []
    assert [one.text for one in seen.explanation.allowed] == ["ingress of pod a/web: NetworkPolicy a/web rule 1 allows it"]


def test_everybody_at_the_ends_is_named() -> None:
    more = host("eth", "interfaceName: eth0, expectedIPs: [10.20.0.1]") + resource(
        "GlobalNetworkSet", "pods", "{nets: [10.65.0.0/16]}"
    )
    seen = explained(read(WORLD, more), WEB, "eth0")
    assert [(end.what, end.name, end.who) for end in seen.explanation.ends] == [
        ("source", "10.65.1.2", ("pod a/far on node-2", "in GlobalNetworkSet pods")),
        ("destination", "10.65.0.2", ("pod a/web", "in GlobalNetworkSet pods")),
        ("in", "eth0", ("HostEndpoint eth",)),
        ("out", "cali1", ("pod a/web",)),
    ]


def with_rule_in_front(snapshot: Snapshot, chain: str) -> Snapshot:
    """The snapshot with a rule in front of a chain that drops everything."""
    rulesets = []
    for ruleset in snapshot.rulesets:
        tables = dict(ruleset.tables)
        if ruleset.family is IPFamily.V4:
            table = tables[TableName.FILTER]
            old = table.chains[chain]
            new = Chain(chain, (Rule((), Drop()), *old.rules), old.policy)
            tables[TableName.FILTER] = replace(table, chains={**table.chains, chain: new})
        rulesets.append(replace(ruleset, tables=tables))
    return replace(snapshot, rulesets=tuple(rulesets))


def stale(chain: str) -> Explained:
    """A packet that the resources allow, on a node where somebody put a rule in front of a chain."""
    return explained_on(basis_of(OPEN), with_rule_in_front(node_of(OPEN).node.snapshot, chain), WEB, "eth0")


def test_a_rule_that_somebody_put_into_a_chain_is_nobodys() -> None:
    seen = stale("cali-tw-cali1")
    assert (seen.verdict.kind, seen.explanation.passes_as_meant) == (CauseKind.NOT_RENDERED, True)
    assert seen.explanation.differences.chains == ("filter cali-tw-cali1",)
    assert seen.verdict.asked == () and seen.changes == []


def test_a_foreign_rule_helps_no_policy() -> None:
    seen = stale("FORWARD")
    assert (seen.verdict.kind, seen.changes) == (CauseKind.FOREIGN_RULE, [])
    assert not seen.explanation.differences and not seen.explanation.passes_as_meant


def test_resources_that_came_later_are_told_apart_from_the_nodes_rules() -> None:
    """The node drops by the old rules; the new resources allow it, so that nothing has to be changed in them."""
    seen = explained_on(basis_of(OPEN), node_of(CLOSED).node.snapshot, WEB, "eth0")
    assert seen.explanation.differences and seen.explanation.passes_as_meant
    assert seen.verdict.kind is CauseKind.NOT_RENDERED and seen.changes == []


def test_an_old_node_that_drops_for_another_reason_is_told_what_its_resources_mean() -> None:
    other = read(WORLD, policy("web", "a", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: [81]}}]}"))
    seen = explained_on(basis_of(other), node_of(CLOSED).node.snapshot, WEB, "eth0")
    assert seen.explanation.differences and seen.verdict.kind is CauseKind.NO_POLICY
    assert seen.verdict.asked[0].rules[0].text == "allows tcp/81"
    assert seen.changes[0] == "port: NetworkPolicy a/web, ingress rule 1: add port 8080"


def test_a_node_without_calico_is_not_explained_by_it() -> None:
    snapshot = node_of(OPEN).node.snapshot
    bare = replace(snapshot, rulesets=tuple(replace(one, tables={}) for one in snapshot.rulesets))
    seen = explained_on(basis_of(CLOSED), bare, "tcp 10.65.1.2:1000 127.0.0.1:8080", "eth0")
    assert seen.explanation.differences.absent and seen.verdict.kind is CauseKind.OUTSIDE


@pytest.mark.parametrize("one", [True, False], ids=["the packet", "the conversation"])
def test_the_answer_counts_when_it_is_asked_for(one: bool) -> None:
    seen = explained(CLOSED, WEB, "eth0", one=one)
    assert (seen.answer.flow is None) is one
    assert seen.explanation.solutions[0].answered is True
