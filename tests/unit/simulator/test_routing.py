"""Routing as a step of a walk: choices among ways, and what a refusal means for the packet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.node_builder import V4, hits, node, packet, walk_packet
from tortie.net.address import parse_address, parse_prefix
from tortie.net.node import NextHop, PolicyRule, Route
from tortie.simulator.trace import Cause, Disposition, RouteStep, Verdict
from tortie.simulator.walk import Arrival, Node, walk

RULES = "*mangle\n:PREROUTING ACCEPT\n:FORWARD ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT"

REFUSED = {
    "no route": ("", {}, "8.8.8.8", Cause.ROUTE, (3, 0)),
    "an unreachable route": ("unreachable 8.0.0.0/8", {}, "8.8.8.8", Cause.ROUTE, (3, 1)),
    "a prohibited route": ("prohibit 8.0.0.0/8", {}, "8.8.8.8", Cause.ROUTE, (3, 13)),
    "a black hole": ("blackhole 8.0.0.0/8", {}, "8.8.8.8", Cause.ROUTE, None),
    "the reverse path": ("", {"net.ipv4.conf.all.rp_filter": "1"}, "10.1.0.9", Cause.RP_FILTER, None),
    "forwarding is off on the device": ("", {"net.ipv4.conf.e0.forwarding": "0"}, "10.1.0.9", Cause.SYSCTL, None),
    "a loopback destination from outside": ("", {}, "127.0.0.1", Cause.SYSCTL, None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_refused_a_packet_and_what_its_sender_is_told(name: str) -> None:
    routes, sysctls, destination, cause, icmp = REFUSED[name]
    source = "10.2.0.5:1" if cause is Cause.RP_FILTER else "10.0.0.5:1"
    trace = walk_packet(node(RULES, routes=routes, sysctls=sysctls), packet("udp", source, f"{destination}:2")).trace
    assert hits(trace) == ["mangle:PREROUTING:P1"]
    assert (trace.verdict, trace.decided_by.cause) == (Verdict.DROP, cause), trace.decided_by.text
    assert [(one.packet.icmp_type, one.packet.icmp_code) for one in trace.answers] == ([icmp] if icmp else [])


@pytest.mark.parametrize(("source", "device"), [("10.0.0.5", "e0"), ("10.1.0.1", None)], ids=["arriving", "of the node"])
def test_where_no_answer_can_be_told_the_walk_is_unknown(source: str, device: str | None) -> None:
    policy = (PolicyRule(V4, 5, table="100", unsupported=("dscp 8",)),)
    trace = walk(node(RULES, policy=policy), Arrival(packet("udp", f"{source}:1", "10.1.0.9:2"), device)).trace
    assert (trace.verdict, trace.disposition, trace.decided_by.cause) == (
        Verdict.UNKNOWN, Disposition.UNKNOWN, Cause.MISSING,
    )  # fmt: skip
    assert "policy rule 5" in trace.decided_by.text


def test_several_next_hops_are_several_outcomes() -> None:
    made = node(RULES)
    both = Route(
        parse_prefix("9.0.0.0/8"),
        (NextHop("e1", parse_address("10.1.0.254")), NextHop("e2", parse_address("10.2.0.254"))),
    )
    snapshot = made.snapshot
    made = Node.from_snapshot(replace(snapshot, routes={**snapshot.routes, V4: (*snapshot.routes[V4], both)}))
    walked = walk_packet(made, packet("udp", "10.0.0.5:1", "9.9.9.9:2"))
    assert sorted(one.out.iface for one in walked.outcomes if one.out is not None) == ["e1", "e2"]
    assert walked.verdict is Verdict.ACCEPT
    assert {one.conditions[0].subject for one in walked.outcomes} == {"route"}


def test_a_decision_is_told_with_the_route_that_made_it() -> None:
    trace = walk_packet(
        node(RULES, routes="9.0.0.0/8 via 10.1.0.254 dev e1"), packet("udp", "10.0.0.5:1", "9.9.9.9:2")
    ).trace
    (step,) = (step for step in trace.steps if isinstance(step, RouteStep))
    assert (step.stage, step.decision.iface) == ("input", "e1")
    assert step.decision.why == "9.0.0.0/8 via 10.1.0.254 dev e1, table main"
    assert trace.disposition is Disposition.FORWARDED
