"""Connections from end to end: every node on the way there and back, as the journey prints.

Each row: what the cluster has beside `WORLD` and its two nodes, the two ends, the journey.
"""

from __future__ import annotations

import pytest

from tests.reference_builder import WORLD, configuration, global_policy, policy, profile, read, resource, workload
from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.node import Node
from tortie.model.read import Resources
from tortie.net.address import IPFamily, parse_address
from tortie.net.protocol import ICMP, TCP
from tortie.reference.between import End, decide_between
from tortie.reference.decision import Verdict

NODES = "".join(
    resource("Node", f"node-{n}", f"{{bgp: {{ipv4Address: {address}/24, ipv4IPIPTunnelAddr: 10.65.{n}.1}}}}")
    for n, address in ((1, "10.20.0.1"), (2, "10.20.0.2"), (3, "10.30.0.3"))
)


def pool(spec: str) -> str:
    return resource("IPPool", "pool", f"{{cidr: 10.65.0.0/16{spec}}}")


def host(name: str, node: str, spec: str = "interfaceName: eth0, profiles: [open]") -> str:
    return resource("HostEndpoint", name, f"{{node: {node}, {spec}}}", labels=f"{{at: {node}}}")


PLAIN, IPIP, VXLAN = pool(""), pool(", ipipMode: Always"), pool(", vxlanMode: Always")
HIDDEN = pool(", natOutgoing: true")
USING_IPIP = IPIP + configuration("{ipipEnabled: true}")
OPEN = profile("open")
WEB, DB, FAR = "web", "db", "far"
OUT_OF_WEB = "egress of WorkloadEndpoint(a/node--1-k8s-web-eth0): rule 1 of Profile(kns.a) allows it"
INTO_DB = "ingress of WorkloadEndpoint(b/node--1-k8s-db-eth0): rule 1 of Profile(kns.b) allows it"
INTO_FAR = "ingress of WorkloadEndpoint(a/node--2-k8s-far-eth0): rule 1 of Profile(kns.a) allows it"
KNOWN = "it belongs to a known connection"
BACK_FROM_FAR = f"egress of WorkloadEndpoint(a/node--2-k8s-far-eth0): {KNOWN}"
BACK_TO_WEB = f"ingress of WorkloadEndpoint(a/node--1-k8s-web-eth0): {KNOWN}"
BACK_FROM_DB = f"egress of WorkloadEndpoint(b/node--1-k8s-db-eth0): {KNOWN}"

TABLE = {
    "two workloads of one node": (
        PLAIN,
        (WEB, DB),
        f"allowed\nthere, node-1: allowed: {OUT_OF_WEB}; {INTO_DB}\nback, node-1: allowed: {BACK_FROM_DB}",
    ),
    "two workloads of two nodes": (
        PLAIN,
        (WEB, FAR),
        f"allowed\nthere, node-1: allowed: {OUT_OF_WEB}\nthere, node-2: allowed: {INTO_FAR}\n"
        f"back, node-2: allowed: {BACK_FROM_FAR}\nback, node-1: allowed: {BACK_TO_WEB}",
    ),
    "where it starts": (
        PLAIN + policy("p", "a", "{types: [Egress], selector: role == 'front'}"),
        (WEB, FAR),
        "denied\nthere, node-1: denied: egress of WorkloadEndpoint(a/node--1-k8s-web-eth0): "
        "no rule of NetworkPolicy(a/p) holds",
    ),
    "where it ends": (
        PLAIN + policy("p", "a", "{ingress: [{action: Deny, source: {selector: role == 'front'}}]}"),
        (WEB, FAR),
        f"denied\nthere, node-1: allowed: {OUT_OF_WEB}\nthere, node-2: denied: "
        "ingress of WorkloadEndpoint(a/node--2-k8s-far-eth0): rule 1 of NetworkPolicy(a/p) denies it",
    ),
    "a host endpoint on the way": (
        PLAIN
        + OPEN
        + host("h", "node-2")
        + global_policy("p", "{selector: has(at), applyOnForward: true, ingress: [{action: Deny}]}"),
        (WEB, FAR),
        f"denied\nthere, node-1: allowed: {OUT_OF_WEB}\nthere, node-2: denied: "
        "ingress of HostEndpoint(h) (policy for forwarded traffic): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "a tunnel": (
        USING_IPIP + host("h", "node-2"),
        (WEB, FAR),
        f"allowed\nthere, node-1: allowed: {OUT_OF_WEB}\n"
        "there, node-1 (tunnel): allowed: IPIP packet, to a node, 10.20.0.2\n"
        "there, node-2 (tunnel): allowed: IPIP packet, from a node, 10.20.0.1\n"
        f"there, node-2: allowed: {INTO_FAR}\nback, node-2: allowed: {BACK_FROM_FAR}\n"
        "back, node-2 (tunnel): allowed: IPIP packet, to a node, 10.20.0.1\n"
        "back, node-1 (tunnel): allowed: IPIP packet, from a node, 10.20.0.2\n"
        f"back, node-1: allowed: {BACK_TO_WEB}",
    ),
    "a tunnel that untracked policy closes": (
        USING_IPIP
        + host("h", "node-2")
        + global_policy("p", "{selector: has(at), applyOnForward: true, doNotTrack: true, ingress: [{action: Deny}]}"),
        (WEB, FAR),
        f"denied\nthere, node-1: allowed: {OUT_OF_WEB}\n"
        "there, node-1 (tunnel): allowed: IPIP packet, to a node, 10.20.0.2\n"
        "there, node-2 (tunnel): denied: ingress of HostEndpoint(h) (untracked policy): "
        "rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "a node to another's workload, by its address in the tunnel": (
        USING_IPIP + policy("p", "a", "{ingress: [{action: Deny, source: {nets: [10.65.1.1/32]}}]}"),
        ("node-1", FAR),
        "denied\nthere, node-1: allowed: no policy applies\n"
        "there, node-1 (tunnel): allowed: IPIP packet, to a node, 10.20.0.2\n"
        "there, node-2 (tunnel): allowed: IPIP packet, from a node, 10.20.0.1\n"
        "there, node-2: denied: ingress of WorkloadEndpoint(a/node--2-k8s-far-eth0): "
        "rule 1 of NetworkPolicy(a/p) denies it",
    ),
    "a workload to another node is hidden behind its own": (
        HIDDEN
        + OPEN
        + host("h", "node-2")
        + global_policy("p", "{selector: has(at), ingress: [{action: Deny, source: {nets: [10.20.0.1/32]}}]}"),
        (WEB, "node-2"),
        f"denied\nthere, node-1: allowed: {OUT_OF_WEB}\n"
        "there, node-2: denied: ingress of HostEndpoint(h): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "untracked policy of its own node sees the answer to the hidden address": (
        HIDDEN
        + host("h", "node-1")
        + global_policy(
            "p",
            "{selector: has(at), applyOnForward: true, doNotTrack: true, "
            "ingress: [{action: Deny, destination: {nets: [10.20.0.1/32]}}]}",
        ),
        (WEB, "10.0.0.1"),
        f"denied\nthere, node-1: allowed: {OUT_OF_WEB}; egress of HostEndpoint(h) (policy for forwarded traffic): "
        "no policy applies, and forwarded traffic is allowed\n"
        "back, node-1: denied: ingress of HostEndpoint(h) (untracked policy): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "somebody outside to a workload": (
        PLAIN,
        ("10.0.0.1", FAR),
        f"allowed\nthere, node-2: allowed: {INTO_FAR}\nback, node-2: allowed: {BACK_FROM_FAR}",
    ),
    "a node to its own workload": (
        PLAIN + policy("p", "a", "{ingress: [{action: Deny}]}"),
        ("node-1", WEB),
        "allowed\nthere, node-1: allowed: a node reaches its own workloads\n"
        f"back, node-1: allowed: egress of WorkloadEndpoint(a/node--1-k8s-web-eth0): {KNOWN}",
    ),
    "a workload to its own node": (
        PLAIN,
        (WEB, "node-1"),
        "denied\nthere, node-1: denied: workload to host, DefaultEndpointToHostAction is Drop",
    ),
    "a node to itself": (
        PLAIN,
        ("node-1", "node-1"),
        "allowed\nthere, node-1: allowed: no policy applies\nback, node-1: allowed: no policy applies",
    ),
    "two strangers": (PLAIN, ("10.0.0.1", "10.0.0.2"), "cannot tell: neither end is in the cluster"),
    "a node without an address": (
        PLAIN + resource("Node", "bare"),
        ("bare", FAR),
        "cannot tell: Node(bare) has no IPv4 address that is known",
    ),
    "VXLAN without addresses": (
        VXLAN,
        ("node-1", FAR),
        "cannot tell: the address of Node(node-1) at vxlan.calico is not known",
    ),
}


def end_of(resources: Resources, word: str) -> End:
    """A workload by its name, a node by its, or an address."""
    for found in resources.of(WorkloadEndpoint):
        if found.spec.pod == word:
            return found
    return resources.get(Node, word) or parse_address(word)


@pytest.mark.parametrize(("more", "ends", "journey"), TABLE.values(), ids=TABLE.keys())
def test_journeys(more: str, ends: tuple[str, str], journey: str) -> None:
    resources = read(WORLD, NODES, more)
    source, destination = (end_of(resources, word) for word in ends)
    assert str(decide_between(resources, source, destination, TCP, 80)) == journey


@pytest.mark.parametrize(
    ("there", "tunnelled"),
    [pytest.param("node-2", False, id="one subnet"), pytest.param("node-3", True, id="two subnets")],
)
def test_tunnels_between_subnets(there: str, tunnelled: bool) -> None:
    made = workload("away", "b", "cali8", "10.65.3.2", node=there) + pool(", ipipMode: CrossSubnet")
    resources = read(WORLD, NODES, made, configuration("{ipipEnabled: true}"))
    journey = decide_between(resources, end_of(resources, WEB), end_of(resources, "away"), TCP, 80)
    assert journey.verdict is Verdict.ALLOWED
    assert any(leg.outer for leg in journey.there) is tunnelled


def test_addresses_are_taken_for_whose_they_are() -> None:
    resources = read(WORLD, NODES, PLAIN)
    named = decide_between(resources, end_of(resources, WEB), end_of(resources, FAR), TCP, 80)
    told = decide_between(resources, parse_address("10.65.0.2"), parse_address("10.65.1.2"), TCP, 80)
    assert named == told


def test_other_interfaces() -> None:
    resources = read(WORLD, NODES, PLAIN, host("h", "node-2", "interfaceName: bond0"))
    ends = end_of(resources, WEB), end_of(resources, "node-2")
    assert decide_between(resources, *ends, TCP, 80).verdict is Verdict.ALLOWED
    assert decide_between(resources, *ends, TCP, 80, uplinks={"node-2": "bond0"}).verdict is Verdict.DENIED


def test_host_endpoints_by_address() -> None:
    resources = read(WORLD, NODES, PLAIN, host("h", "node-2", "expectedIPs: [10.20.0.2]"))
    ends = end_of(resources, WEB), end_of(resources, "node-2")
    assert decide_between(resources, *ends, TCP, 80).verdict is Verdict.UNKNOWN
    known = {"node-2": {"eth0": (parse_address("10.20.0.2"),)}}
    assert decide_between(resources, *ends, TCP, 80, interfaces=known).verdict is Verdict.DENIED


def test_echo_requests_and_families() -> None:
    resources = read(WORLD, NODES, PLAIN, policy("p", "b", "{ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8}}]}"))
    web, db = end_of(resources, WEB), end_of(resources, DB)
    assert decide_between(resources, web, db, ICMP).verdict is Verdict.ALLOWED
    assert decide_between(resources, web, db, TCP, 80).verdict is Verdict.DENIED
    assert decide_between(resources, web, db, TCP, 80, family=IPFamily.V6).verdict is Verdict.UNKNOWN
