"""What policy means across nodes: who is asked, about which addresses, and where the network itself has no way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.lab import laboratory
from tortie.lab.probe import Outcome
from tortie.net.address import parse_address

POOLS = """apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pods}
spec: {cidr: 10.65.0.0/16, natOutgoing: true}
"""
WEB_ONLY = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress: [{FROMports: [{protocol: TCP, port: 80}]}]
"""


def from_net(net: str) -> str:
    return WEB_ONLY.replace("FROM", f"from: [{{ipBlock: {{cidr: {net}}}}}], ")


EVERYBODY = WEB_ONLY.replace("FROM", "")
HOST = """apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-eth0, labels: {role: host}}
spec: {node: n1, interfaceName: eth0}
"""
CLOSED_FORWARD = """apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: closed}
spec:
  selector: role == 'host'
  applyOnForward: true
  types: [Ingress]
  ingress: [{action: Deny, protocol: TCP, source: {nets: [192.0.2.0/24]}}]
"""
BEFORE_TRANSLATION = """apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: ports}
spec:
  selector: role == 'host'
  preDNAT: true
  applyOnForward: true
  types: [Ingress]
  ingress: [{action: Deny, protocol: TCP, destination: {ports: [30080]}}]
"""
EGRESS = """apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec: {selector: all(), types: [Egress], egress: [{action: Allow, destination: {nets: [10.65.0.0/16]}}]}
"""
CASES: dict[str, tuple[tuple[str, ...], str, str, str, bool]] = {
    "pods of one node, without policy": ((), "shop/near", "shop/web", "tcp/80", True),
    "pods of one node, a port that is allowed": ((EVERYBODY,), "shop/near", "shop/web", "tcp/80", True),
    "pods of one node, echo that is not": ((EVERYBODY,), "shop/near", "shop/web", "icmp", False),
    "pods of two nodes": ((EVERYBODY,), "shop/far", "shop/web", "tcp/80", True),
    "pods of two nodes, not from there": ((from_net("10.65.0.0/24"),), "shop/far", "shop/web", "tcp/80", False),
    "the pod's own node, which always may": ((EVERYBODY,), "n1", "shop/web", "icmp", True),
    "another node, which may not": ((EVERYBODY,), "n2", "shop/web", "icmp", False),
    "a host outside": ((from_net("192.0.2.7/32"),), "office", "shop/web", "tcp/80", True),
    "a host outside of what is allowed": ((from_net("192.0.2.8/32"),), "office", "shop/web", "tcp/80", False),
    "a host outside, through a closed host endpoint": ((HOST, CLOSED_FORWARD), "office", "shop/web", "tcp/80", False),
    "a pod to the world": ((POOLS,), "shop/web", "office", "tcp/80", True),
    "a pod that must stay within": ((POOLS, EGRESS), "shop/web", "office", "tcp/80", False),
    "a node to a node": ((), "n1", "n2", "tcp/80", True),
    "a node to one whose interface is closed": ((HOST,), "n2", "n1", "tcp/80", False),
    "two hosts apart": ((HOST,), "office", "n2", "icmp", True),
    "a floating address, of the same node": ((EVERYBODY,), "shop/near", "shop/web (10.67.0.10)", "tcp/80", True),
    "a floating address, of the node itself, which has a host endpoint": (
        (HOST, EVERYBODY),
        "n1",
        "shop/web (10.67.0.10)",
        "icmp",
        True,
    ),
    "a floating address, from outside": ((EVERYBODY,), "office", "shop/web (10.67.0.10)", "tcp/80", True),
    "a floating address, another port": ((EVERYBODY,), "office", "shop/web (10.67.0.10)", "icmp", False),
    "a service at the pod's node": ((EVERYBODY,), "office", "web@n1", "tcp/30080", True),
    "a service at another node": ((EVERYBODY,), "office", "web@n2", "tcp/30080", True),
    "a service at another node, which is who the pod sees": (
        (from_net("10.10.0.2/32"),),
        "office",
        "web@n2",
        "tcp/30080",
        True,
    ),
    "a service at one's own node, to a pod of another": ((EVERYBODY,), "shop/far", "web@n2", "tcp/30080", True),
    "a service at one's own node, which is who the pod sees": (
        (from_net("10.65.0.0/16"),),
        "shop/far",
        "web@n2",
        "tcp/30080",
        False,
    ),
    "a service whose port is closed before it is translated": (
        (HOST, BEFORE_TRANSLATION),
        "office",
        "web@n1",
        "tcp/30080",
        False,
    ),
}


@pytest.mark.parametrize(("more", "source", "name", "probe", "allowed"), CASES.values(), ids=CASES)
def test_what_policy_means(more: tuple[str, ...], source: str, name: str, probe: str, allowed: bool) -> None:
    found = laboratory.topology()
    station = laboratory.stations(found)[source]
    outcome = Outcome(False, station.address, 40000)
    meaning = laboratory.policy(found, *more).meaning(station, laboratory.target(found, name, probe), outcome)
    assert meaning.allows is allowed, meaning.why


UNTOLD = (POOLS.replace("natOutgoing: true", "natOutgoing: false"),)
LOST: dict[str, tuple[tuple[str, ...], str, str, bool]] = {
    "from outside to a pod": ((), "office", "shop/web", False),
    "from a pod to the outside": (UNTOLD, "shop/web", "office", False),
    "from a pod that is hidden behind its node": ((POOLS,), "shop/web", "office", True),
    "from a node to the outside": ((), "n1", "office", True),
    "by a service, which nodes have": ((), "office", "web@n1", True),
    "between pods": ((), "shop/far", "shop/web", True),
}


@pytest.mark.parametrize("router", [True, False], ids=["a router without BGP", "no router"])
@pytest.mark.parametrize(("more", "source", "name", "allowed"), LOST.values(), ids=LOST)
def test_without_a_router_that_speaks_bgp_the_world_has_no_way_to_pods(
    more: tuple[str, ...], source: str, name: str, allowed: bool, router: bool
) -> None:
    found = laboratory.topology(router="router: {}")
    if not router:
        found = replace(found, router=None)
    station = laboratory.stations(found)[source]
    target = laboratory.target(found, name, "tcp/30080" if "@" in name else "tcp/80")
    meaning = laboratory.policy(found, *more).meaning(station, target, Outcome(False))
    assert meaning.allows is allowed, meaning.why
    if not allowed:
        assert meaning.why == "no router that speaks BGP knows the way to pods"


def test_the_source_is_that_of_the_try() -> None:
    """A node may speak from another address than its own."""
    found = laboratory.topology()
    policy = laboratory.policy(found, from_net("10.99.0.1/32"))
    target = laboratory.target(found, "shop/web", "tcp/80")
    station = laboratory.stations(found)["n2"]
    assert policy.meaning(station, target, Outcome(True, parse_address("10.99.0.1"), 40000)).allows is True
    assert policy.meaning(station, target, Outcome(True, station.address, 40000)).allows is False
