"""What tiers mean, as rendered: who is asked in which order, and what happens when nobody decides (spec: model 6.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rendered_node import accepted, rendered_node
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    HostEndpoint,
    NodeView,
    RuleAction,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.net.address import IPFamily, parse_address
from tortie.net.packet import Packet
from tortie.net.protocol import TCP
from tortie.render.config import RenderConfig

ALLOW = ActiveRule(protocol="tcp")
POLICIES = {
    "allow": ALLOW,
    "deny": replace(ALLOW, action=RuleAction.DENY),
    "pass": replace(ALLOW, action=RuleAction.NEXT_TIER),
    "log": replace(ALLOW, action=RuleAction.LOG),
    "silent": ActiveRule(protocol="udp"),
}
"""One rule each, about TCP; the silent one speaks of something else."""
POD = WorkloadEndpoint(WorkloadId("k8s", "ns/pod", "eth0"), "cali1", profiles=("allow",))
OUTSIDE, NODE, POD_ADDRESS = "10.1.0.1", "10.20.0.1", "10.65.0.2"


def tiers(words: str) -> tuple[EndpointTier, ...]:
    """A tier with these policies in both directions; no tier without any."""
    named = tuple(f"default.{word}" for word in words.split())
    return (EndpointTier(named, named),) if named else ()


def through(
    packet_to: str, in_iface: str, *, pod: WorkloadEndpoint = POD, host: HostEndpoint | None = None, port: int = 8080
) -> bool:
    """Whether a TCP connection is let through on a node with a pod and perhaps a host endpoint on eth0."""
    view = NodeView(
        "node-1",
        workloads=(pod,),
        host_endpoints=() if host is None else (host,),
        policies=tuple(ActivePolicy(f"default.{name}", (rule,), (rule,)) for name, rule in POLICIES.items()),
        profiles=tuple(ActiveProfile(name, (POLICIES[name],), (POLICIES[name],)) for name in ("allow", "deny", "silent")),
    )
    node = rendered_node(view, RenderConfig(endpoint_to_host_action="ACCEPT"), routes={f"{POD_ADDRESS}/32": "cali1"})
    src = POD_ADDRESS if in_iface == "cali1" else OUTSIDE
    packet = Packet(IPFamily.V4, parse_address(src).value, parse_address(packet_to).value, TCP, 40000, port, tcp_flags=2)
    return accepted(node, packet, in_iface)


# --- workloads ---------------------------------------------------------------------------------------------------

NORMAL = pytest.mark.parametrize(
    ("policies", "profiles", "expected"),
    [
        ("", "", False),
        ("", "allow", True),
        ("", "silent", False),
        ("", "silent allow", True),
        ("", "deny allow", False),
        ("allow", "", True),
        ("deny", "allow", False),
        ("silent", "allow", False),
        ("log", "allow", False),
        ("log allow", "", True),
        ("silent allow", "", True),
        ("silent deny allow", "allow", False),
        ("pass", "allow", True),
        ("pass", "", False),
        ("pass deny", "allow", True),
        ("silent pass", "deny", False),
    ],
)


@NORMAL
@pytest.mark.parametrize("in_iface", ["eth0", "cali1"], ids=["to", "from"])
def test_workload(in_iface: str, policies: str, profiles: str, expected: bool) -> None:
    pod = replace(POD, tiers=tiers(policies), profiles=tuple(profiles.split()))
    assert through(POD_ADDRESS if in_iface == "eth0" else OUTSIDE, in_iface, pod=pod) is expected


def test_a_workload_that_is_down_gets_and_sends_nothing() -> None:
    pod = replace(POD, active=False)
    assert not through(POD_ADDRESS, "eth0", pod=pod)
    assert not through(OUTSIDE, "cali1", pod=pod)


def test_traffic_from_a_workload_to_its_host_meets_egress_policy_first() -> None:
    assert through(NODE, "cali1")
    assert not through(NODE, "cali1", pod=replace(POD, tiers=tiers("deny")))


# --- host endpoints ----------------------------------------------------------------------------------------------

HOST = HostEndpoint("host", "eth0")


@NORMAL
def test_host_endpoint(policies: str, profiles: str, expected: bool) -> None:
    host = replace(HOST, tiers=tiers(policies), profiles=tuple(profiles.split()))
    assert through(NODE, "eth0", host=host) is expected


@pytest.mark.parametrize("kind", ["tiers", "untracked_tiers", "pre_dnat_tiers"])
def test_failsafe_ports_are_open_whatever_policy_says(kind: str) -> None:
    host = replace(HOST, **{kind: tiers("deny")})
    assert through(NODE, "eth0", host=host, port=22)
    assert not through(NODE, "eth0", host=host)


@pytest.mark.parametrize(
    ("policies", "expected"),
    [("", True), ("allow", True), ("deny", False), ("silent", False), ("pass", True), ("silent allow", True)],
)
def test_what_is_forwarded_by_a_host_endpoint_meets_its_forward_policy_and_no_other(policies: str, expected: bool) -> None:
    """A pass leaves the chain undecided, and the workload's own policy then decides."""
    host = replace(HOST, tiers=tiers("deny"), forward_tiers=tiers(policies))
    assert through(POD_ADDRESS, "eth0", host=host) is expected


@pytest.mark.parametrize("kind", ["untracked_tiers", "pre_dnat_tiers"])
@pytest.mark.parametrize(
    ("early", "normal", "expected"),
    [
        ("allow", "deny", True),
        ("deny", "allow", False),
        ("silent", "allow", True),
        ("silent", "deny", False),
        ("pass", "allow", True),
        ("pass", "deny", False),
        ("silent allow", "deny", True),
    ],
)
def test_early_policy_decides_or_leaves_it_to_the_normal_one(kind: str, early: str, normal: str, expected: bool) -> None:
    host = replace(HOST, tiers=tiers(normal), **{kind: tiers(early)})
    assert through(NODE, "eth0", host=host) is expected


def test_policy_for_all_interfaces_is_asked_where_no_endpoint_has_pre_dnat_policy_of_its_own() -> None:
    everywhere = HostEndpoint("all", "*", pre_dnat_tiers=tiers("deny"))
    assert not through(NODE, "eth0", host=everywhere)
    assert not through(POD_ADDRESS, "eth0", host=everywhere)
