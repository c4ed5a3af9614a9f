"""What becomes of a packet at node-1, and what decides it (spec: rules 3 to 6, model 6.3, 7.4).

Each row: what the cluster has beside `WORLD`, the packet with where it enters and leaves, the decision as it prints.
"""

from __future__ import annotations

import pytest

from tests.reference_builder import (
    INTERFACES,
    WORLD,
    configuration,
    flow,
    global_policy,
    host,
    policy,
    profile,
    read,
    resource,
    workload,
)
from tortie.net.address import Address, IPFamily, parse_address
from tortie.reference.decide import decide
from tortie.reference.decision import Says, Stage, Verdict
from tortie.reference.flow import Flow, Tracking

TO_WEB = flow("tcp 10.0.0.1:1000 > 10.65.0.2:80", "eth0", "cali1")
FROM_WEB = flow("tcp 10.65.0.2:1000 > 10.0.0.1:80", "cali1", "eth0")
WEB_TO_DB = flow("tcp 10.65.0.2:1000 > 10.65.0.3:5432", "cali1", "cali2")
WEB_TO_HOST = flow("tcp 10.65.0.2:1000 > 10.20.0.1:80", "cali1", None)
TO_HOST = flow("tcp 10.0.0.1:1000 > 10.20.0.1:80", "eth0", None)
FROM_HOST = flow("tcp 10.20.0.1:1000 > 10.0.0.1:80", None, "eth0")
THROUGH = flow("tcp 10.0.0.1:1000 > 10.1.0.1:80", "eth0", "eth1")
WEB, DB = "WorkloadEndpoint(a/node--1-k8s-web-eth0)", "WorkloadEndpoint(b/node--1-k8s-db-eth0)"
OPEN_A = "rule 1 of Profile(kns.a) allows it"
HOST = "HostEndpoint(h)"

ALLOW, DENY, PASS = "[{action: Allow}]", "[{action: Deny}]", "[{action: Pass}]"
BOTH = "types: [Ingress, Egress]"
ETH0 = host("h", "interfaceName: eth0, profiles: [open]") + profile("open")
ETH = "selector: host == 'eth'"
SPECIAL = "applyOnForward: true"


WORKLOADS = {
    "profiles decide where no policy applies": (
        "",
        WEB_TO_DB,
        f"allowed: egress of {WEB}: {OPEN_A}; ingress of {DB}: rule 1 of Profile(kns.b) allows it",
    ),
    "the first rule that holds decides": (
        policy("p", "b", "{ingress: [{action: Deny, protocol: TCP}, {action: Allow}]}"),
        WEB_TO_DB,
        f"denied: ingress of {DB}: rule 1 of NetworkPolicy(b/p) denies it",
    ),
    "a rule that logs decides nothing": (
        policy("p", "b", "{ingress: [{action: Log}, {action: Allow}]}"),
        WEB_TO_DB,
        f"allowed: egress of {WEB}: rule 1 of Profile(kns.a) allows it; "
        f"ingress of {DB}: rule 2 of NetworkPolicy(b/p) allows it",
    ),
    "the lower order goes first": (
        policy("p", "b", "{ingress: [{action: Allow, protocol: UDP}]}")
        + global_policy("q", f"{{ingress: {DENY}, order: 9}}"),
        flow("udp 10.65.0.2:1 > 10.65.0.3:2", "cali1", "cali2"),
        f"denied: ingress of {DB}: rule 1 of GlobalNetworkPolicy(q) denies it",
    ),
    "policies that apply and have no answer deny": (
        policy("p", "b", "{ingress: [{action: Allow, protocol: UDP}]}") + global_policy("q", "{selector: role == 'back'}"),
        WEB_TO_DB,
        f"denied: ingress of {DB}: no rule of NetworkPolicy(b/p), GlobalNetworkPolicy(q) holds",
    ),
    "one direction's policy says nothing of the other": (
        policy("p", "b", "{types: [Egress]}"),
        WEB_TO_DB,
        f"allowed: egress of {WEB}: {OPEN_A}; ingress of {DB}: rule 1 of Profile(kns.b) allows it",
    ),
    "pass leaves it to the profiles": (
        policy("p", "b", f"{{order: 1, ingress: {PASS}}}") + policy("q", "b", f"{{order: 2, ingress: {DENY}}}"),
        WEB_TO_DB,
        f"allowed: egress of {WEB}: {OPEN_A}; ingress of {DB}: rule 1 of Profile(kns.b) allows it",
    ),
    "no profile": (
        workload("bare", "a", "cali5", "10.65.0.5", more="profiles: []"),
        flow("tcp 10.0.0.1:1 > 10.65.0.5:2", "eth0", "cali5"),
        "denied: ingress of WorkloadEndpoint(a/node--1-k8s-bare-eth0): no policy applies, and there is no profile",
    ),
    "a profile that does not exist": (
        workload("bare", "a", "cali5", "10.65.0.5", more="profiles: [gone, kns.a]"),
        flow("tcp 10.0.0.1:1 > 10.65.0.5:2", "eth0", "cali5"),
        "denied: ingress of WorkloadEndpoint(a/node--1-k8s-bare-eth0): the profile gone does not exist",
    ),
    "passed to profiles that say nothing": (
        workload("bare", "a", "cali5", "10.65.0.5", more="profiles: [mute]")
        + resource("Profile", "mute")
        + global_policy("p", f"{{ingress: {PASS}}}"),
        flow("tcp 10.0.0.1:1 > 10.65.0.5:2", "eth0", "cali5"),
        "denied: ingress of WorkloadEndpoint(a/node--1-k8s-bare-eth0): "
        "rule 1 of GlobalNetworkPolicy(p) passes it, and no rule of mute holds",
    ),
    "an interface like a workload's without an endpoint": (
        "",
        flow("tcp 10.65.0.9:1 > 10.0.0.1:2", "cali9", "eth0"),
        "denied: no workload endpoint is known at cali9",
    ),
    "to such an interface": (
        "",
        flow("tcp 10.0.0.1:1 > 10.65.0.9:2", "eth0", "cali9"),
        "denied: no workload endpoint is known at cali9",
    ),
    "a workload without an address is not there": (
        workload("new", "a", "cali5"),
        flow("tcp 10.0.0.1:1 > 10.65.0.5:2", "eth0", "cali5"),
        "denied: no workload endpoint is known at cali5",
    ),
    "another's address": (
        "",
        flow("tcp 10.65.0.3:1 > 10.0.0.1:2", "cali1", "eth0"),
        "denied: 10.65.0.3 is no address of the workload at cali1",
    ),
    "workloads build no tunnels": (
        "",
        flow("ipencap 10.65.0.2 > 10.0.0.1", "cali1", "eth0"),
        f"denied: egress of {WEB}: IPIP packet, made by a workload",
    ),
    "an unseen condition": (
        policy("p", "b", "{ingress: [{action: Allow, http: {methods: [GET]}}]}"),
        flow("tcp 10.0.0.1:1 > 10.65.0.3:2", "eth0", "cali2"),
        f"allowed: ingress of {DB}: rule 1 of NetworkPolicy(b/p) allows it, "
        "whatever the HTTP request (nodes do not look at it)",
    ),
}

TO_AND_FROM_HOSTS = {
    "nothing protects a node without host endpoints": ("", TO_HOST, "allowed: no policy applies"),
    "a host endpoint without policy has its profiles": (
        ETH0,
        TO_HOST,
        f"allowed: ingress of {HOST}: rule 1 of Profile(open) allows it",
    ),
    "a host endpoint without anything is closed": (
        host("h", "interfaceName: eth0"),
        TO_HOST,
        f"denied: ingress of {HOST}: no policy applies, and there is no profile",
    ),
    "failsafe ports in": (
        host("h", "interfaceName: eth0"),
        flow("tcp 10.0.0.1:1000 > 10.20.0.1:22", "eth0", None),
        f"allowed: ingress of {HOST}: port 22 of protocol 6 is failsafe",
    ),
    "failsafe ports out": (
        host("h", "interfaceName: eth0"),
        flow("udp 10.20.0.1:1000 > 10.0.0.1:53", None, "eth0"),
        f"allowed: egress of {HOST}: port 53 of protocol 17 is failsafe",
    ),
    "failsafe ports are the node's, not what is behind it": (
        ETH0 + global_policy("p", f"{{{ETH}, ingress: [{{action: Deny}}], {SPECIAL}}}"),
        flow("tcp 10.0.0.1:1000 > 10.1.0.1:22", "eth0", "eth1"),
        f"denied: ingress of {HOST} (policy for forwarded traffic): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "no failsafe ports are configured": (
        host("h", "interfaceName: eth0") + configuration("{failsafeInboundHostPorts: []}"),
        flow("tcp 10.0.0.1:1000 > 10.20.0.1:22", "eth0", None),
        f"denied: ingress of {HOST}: no policy applies, and there is no profile",
    ),
    "policy of the node's own traffic": (
        ETH0 + global_policy("p", f"{{{ETH}, egress: [{{action: Deny, destination: {{nets: [10.0.0.0/24]}}}}]}}"),
        FROM_HOST,
        f"denied: egress of {HOST}: rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "host endpoint by an expected address": (
        host("h", "expectedIPs: [10.30.0.1]"),
        flow("tcp 10.1.0.1:1 > 10.20.0.1:2", "eth1", None),
        f"denied: ingress of {HOST}: no policy applies, and there is no profile",
    ),
    "of two host endpoints the lower name": (
        host("b", "interfaceName: eth0, profiles: [open]") + host("a", "expectedIPs: [10.20.0.1]") + profile("open"),
        TO_HOST,
        "denied: ingress of HostEndpoint(a): no policy applies, and there is no profile",
    ),
    "an excluded interface has no host endpoint": (
        host("h", "interfaceName: eth0") + configuration("{interfaceExclude: '/^eth/,dummy'}"),
        TO_HOST,
        "allowed: no policy applies",
    ),
    "the node reaches its workloads": (
        policy("p", "a", f"{{ingress: {DENY}}}"),
        flow("tcp 10.20.0.1:1 > 10.65.0.2:80", None, "cali1"),
        "allowed: a node reaches its own workloads",
    ),
    "workloads do not reach their node": (
        "",
        WEB_TO_HOST,
        "denied: workload to host, DefaultEndpointToHostAction is Drop",
    ),
    "unless they may": (
        configuration("{defaultEndpointToHostAction: Accept}"),
        WEB_TO_HOST,
        f"allowed: egress of {WEB}: rule 1 of Profile(kns.a) allows it; "
        "workload to host, DefaultEndpointToHostAction is Accept",
    ),
    "their own policy comes first": (
        configuration("{defaultEndpointToHostAction: Accept}") + policy("p", "a", f"{{egress: {DENY}}}"),
        WEB_TO_HOST,
        f"denied: egress of {WEB}: rule 1 of NetworkPolicy(a/p) denies it",
    ),
    "no host endpoint's policy is asked about workloads": (
        configuration("{defaultEndpointToHostAction: Return}") + ETH0 + global_policy("p", f"{{{ETH}, ingress: {DENY}}}"),
        WEB_TO_HOST,
        f"allowed: egress of {WEB}: rule 1 of Profile(kns.a) allows it; "
        "workload to host, DefaultEndpointToHostAction is Return",
    ),
    "neighbour discovery": (
        policy("p", "a", f"{{egress: {DENY}}}"),
        flow("icmpv6 fd00:65::2 > fd00:20::1 135/0", "cali1", None),
        "allowed: ICMPv6 type 135 of a workload to its host is always allowed",
    ),
    "what the node says to itself": (
        host("h", "interfaceName: lo") + global_policy("p", f"{{{ETH}, {BOTH}, ingress: {DENY}, egress: {ALLOW}}}"),
        flow("tcp 10.20.0.1:1 > 10.30.0.1:2", None, "lo"),
        f"denied: ingress of {HOST}: rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
}

FORWARDED = {
    "forwarded traffic is allowed unless policy says that it applies": (
        ETH0 + global_policy("p", f"{{{ETH}, {BOTH}, ingress: {DENY}, egress: {DENY}}}"),
        THROUGH,
        f"allowed: ingress of {HOST} (policy for forwarded traffic): no policy applies, and forwarded traffic is allowed",
    ),
    "policy that applies on forward": (
        ETH0 + global_policy("p", f"{{{ETH}, {SPECIAL}, ingress: [{{action: Allow, protocol: UDP}}]}}"),
        THROUGH,
        f"denied: ingress of {HOST} (policy for forwarded traffic): no rule of GlobalNetworkPolicy(p) holds",
    ),
    "where it leaves": (
        host("h", "interfaceName: eth1") + global_policy("p", f"{{{ETH}, {SPECIAL}, egress: {DENY}}}"),
        THROUGH,
        f"denied: egress of {HOST} (policy for forwarded traffic): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "forwarded traffic has no profiles to pass to": (
        host("h", "interfaceName: eth0") + global_policy("p", f"{{{ETH}, {SPECIAL}, ingress: {PASS}}}"),
        THROUGH,
        f"allowed: ingress of {HOST} (policy for forwarded traffic): rule 1 of GlobalNetworkPolicy(p) passes it",
    ),
    "a namespace's policy counts as well, where a host endpoint says that it is of it": (
        host("h", "interfaceName: eth0", "{projectcalico.org/namespace: a}") + policy("p", "a", f"{{ingress: {DENY}}}"),
        THROUGH,
        f"denied: ingress of {HOST} (policy for forwarded traffic): rule 1 of NetworkPolicy(a/p) denies it",
    ),
    "host and workload both have a say": (
        ETH0 + global_policy("p", f"{{{ETH}, {SPECIAL}, ingress: {ALLOW}}}") + policy("q", "a", f"{{ingress: {DENY}}}"),
        TO_WEB,
        f"denied: ingress of {WEB}: rule 1 of NetworkPolicy(a/q) denies it",
    ),
}

EVERY = host("every", "interfaceName: '*'", "{every: 'yes'}")

EARLY = {
    "untracked policy denies": (
        ETH0 + global_policy("p", f"{{{ETH}, doNotTrack: true, {SPECIAL}, ingress: {DENY}}}"),
        TO_HOST,
        f"denied: ingress of {HOST} (untracked policy): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "what untracked policy allows meets no other policy of the endpoint": (
        host("h", "interfaceName: eth0") + global_policy("p", f"{{{ETH}, doNotTrack: true, {SPECIAL}, ingress: {ALLOW}}}"),
        TO_HOST,
        f"allowed: ingress of {HOST} (untracked policy): rule 1 of GlobalNetworkPolicy(p) allows it",
    ),
    "but that of a workload behind it": (
        ETH0
        + global_policy("p", f"{{{ETH}, doNotTrack: true, {SPECIAL}, ingress: {ALLOW}}}")
        + policy("q", "a", f"{{ingress: {DENY}}}"),
        TO_WEB,
        f"denied: ingress of {WEB}: rule 1 of NetworkPolicy(a/q) denies it",
    ),
    "untracked policy that has no answer leaves it to the others": (
        ETH0 + global_policy("p", f"{{{ETH}, doNotTrack: true, {SPECIAL}, ingress: {PASS}}}"),
        TO_HOST,
        f"allowed: ingress of {HOST}: rule 1 of Profile(open) allows it",
    ),
    "failsafe ports are not for untracked policy": (
        ETH0 + global_policy("p", f"{{{ETH}, doNotTrack: true, {SPECIAL}, ingress: {DENY}}}"),
        flow("udp 10.0.0.1:53 > 10.20.0.1:1000", "eth0", None),
        f"allowed: ingress of {HOST}: rule 1 of Profile(open) allows it",
    ),
    "untracked policy sees packets of known connections": (
        ETH0 + global_policy("p", f"{{{ETH}, doNotTrack: true, {SPECIAL}, ingress: {DENY}}}"),
        flow("tcp 10.0.0.1:80 > 10.20.0.1:1000", "eth0", None, tracking=Tracking.ESTABLISHED),
        f"denied: ingress of {HOST} (untracked policy): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "pre-DNAT policy sees the address that the sender wrote": (
        EVERY
        + global_policy(
            "p",
            f"{{selector: has(every), preDNAT: true, {SPECIAL}, "
            "ingress: [{action: Deny, destination: {nets: [10.96.0.1/32]}}]}",
        ),
        flow("tcp 10.0.0.1:1 > 10.96.0.1:1", "eth0", "cali1", translated=parse_address("10.65.0.2"), translated_port=8080),
        "denied: ingress of HostEndpoint(every) (pre-DNAT policy): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "normal policy sees the address behind the NAT": (
        policy("p", "a", "{ingress: [{action: Deny, protocol: TCP, destination: {ports: [8080]}}]}"),
        flow("tcp 10.0.0.1:1 > 10.96.0.1:1", "eth0", "cali1", translated=parse_address("10.65.0.2"), translated_port=8080),
        f"denied: ingress of {WEB}: rule 1 of NetworkPolicy(a/p) denies it",
    ),
    "what pre-DNAT policy allows meets no other policy of the endpoint": (
        ETH0
        + EVERY
        + global_policy("p", f"{{selector: has(every), preDNAT: true, {SPECIAL}, ingress: {ALLOW}}}")
        + global_policy("q", f"{{{ETH}, ingress: {DENY}}}"),
        TO_HOST,
        "allowed: ingress of HostEndpoint(every) (pre-DNAT policy): rule 1 of GlobalNetworkPolicy(p) allows it",
    ),
    "the endpoint's own pre-DNAT policy comes before that for all interfaces": (
        ETH0
        + EVERY
        + global_policy("p", f"{{selector: has(every), preDNAT: true, {SPECIAL}, ingress: {ALLOW}}}")
        + global_policy("q", f"{{{ETH}, preDNAT: true, {SPECIAL}, ingress: {DENY}}}"),
        TO_HOST,
        f"denied: ingress of {HOST} (pre-DNAT policy): rule 1 of GlobalNetworkPolicy(q) denies it",
    ),
    "pre-DNAT policy for all interfaces is for workloads' too": (
        EVERY + global_policy("p", f"{{selector: has(every), preDNAT: true, {SPECIAL}, ingress: {DENY}}}"),
        FROM_WEB,
        "denied: ingress of HostEndpoint(every) (pre-DNAT policy): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "an endpoint for all interfaces has no other policy": (
        EVERY + global_policy("p", f"{{selector: has(every), ingress: {DENY}}}"),
        TO_HOST,
        "allowed: no policy applies",
    ),
    "failsafe ports are not for pre-DNAT policy": (
        EVERY + global_policy("p", f"{{selector: has(every), preDNAT: true, {SPECIAL}, ingress: {DENY}}}"),
        flow("tcp 10.0.0.1:1000 > 10.20.0.1:22", "eth0", None),
        "allowed: ingress of HostEndpoint(every) (pre-DNAT policy): port 22 of protocol 6 is failsafe",
    ),
}

STATES = {
    "a known connection": (
        policy("p", "a", f"{{ingress: {DENY}}}"),
        flow("tcp 10.0.0.1:80 > 10.65.0.2:1000", "eth0", "cali1", tracking=Tracking.ESTABLISHED),
        f"allowed: ingress of {WEB}: it belongs to a known connection",
    ),
    "no connection": (
        "",
        flow("tcp 10.0.0.1:80 > 10.65.0.2:1000", "eth0", "cali1", tracking=Tracking.INVALID),
        f"denied: ingress of {WEB}: it belongs to no connection and cannot begin one",
    ),
    "no connection, and nobody minds": (
        configuration("{disableConntrackInvalidCheck: true}"),
        flow("tcp 10.0.0.1:80 > 10.65.0.2:1000", "eth0", "cali1", tracking=Tracking.INVALID),
        f"allowed: ingress of {WEB}: rule 1 of Profile(kns.a) allows it",
    ),
}

NODES = resource("Node", "node-1", "{bgp: {ipv4Address: 10.20.0.1/24}, ipv4VXLANTunnelAddr: 10.65.0.1}") + resource(
    "Node", "node-2", "{bgp: {ipv4Address: 10.20.0.2/24}, ipv4VXLANTunnelAddr: 10.65.1.1}"
)
CLOSED = host("h", "interfaceName: eth0")

TUNNELS = {
    "IPIP of another node": (
        NODES + CLOSED + configuration("{ipipEnabled: true}"),
        flow("ipencap 10.20.0.2 > 10.20.0.1", "eth0", None),
        "allowed: IPIP packet, from a node, 10.20.0.2",
    ),
    "IPIP of a stranger": (
        NODES + configuration("{ipipEnabled: true}"),
        flow("ipencap 10.0.0.1 > 10.20.0.1", "eth0", None),
        "denied: IPIP packet, from a stranger, 10.0.0.1",
    ),
    "IPIP of a stranger who is expected": (
        NODES + CLOSED + configuration("{ipipEnabled: true, externalNodesList: [10.0.0.0/24]}"),
        flow("ipencap 10.0.0.1 > 10.20.0.1", "eth0", None),
        "allowed: IPIP packet, from a node, 10.0.0.1",
    ),
    "IPIP where it is not in use": (
        NODES + CLOSED,
        flow("ipencap 10.20.0.2 > 10.20.0.1", "eth0", None),
        f"denied: ingress of {HOST}: no policy applies, and there is no profile",
    ),
    "IPIP to another node": (
        NODES + CLOSED + configuration("{ipipEnabled: true}"),
        flow("ipencap 10.20.0.1 > 10.20.0.2", None, "eth0"),
        "allowed: IPIP packet, to a node, 10.20.0.2",
    ),
    "VXLAN of another node": (
        NODES + CLOSED + configuration("{vxlanEnabled: true}"),
        flow("udp 10.20.0.2:7000 > 10.20.0.1:4789", "eth0", None, vni=4096),
        "allowed: VXLAN packet, from a node, 10.20.0.2",
    ),
    "VXLAN of another network": (
        NODES + CLOSED + configuration("{vxlanEnabled: true}"),
        flow("udp 10.20.0.2:7000 > 10.20.0.1:4789", "eth0", None, vni=7),
        f"denied: ingress of {HOST}: no policy applies, and there is no profile",
    ),
    "VXLAN of a workload": (
        NODES + configuration("{vxlanEnabled: true}"),
        flow("udp 10.65.0.2:7000 > 10.20.0.2:4789", "cali1", "eth0", vni=4096),
        f"denied: egress of {WEB}: VXLAN packet, made by a workload",
    ),
}

UNKNOWN = {
    "a translated packet that untracked policy lets through": (
        ETH0 + global_policy("p", f"{{{ETH}, doNotTrack: true, {SPECIAL}, ingress: {ALLOW}}}"),
        flow("tcp 10.0.0.1:1 > 10.96.0.1:1", "eth0", "cali1", translated=parse_address("10.65.0.2")),
        "cannot tell: it is untracked, so that it is not translated: where would it go then?",
    ),
    "a packet of the node's own that is translated": (
        ETH0,
        flow("tcp 10.20.0.1:1 > 10.96.0.1:1", None, "cali1", translated=parse_address("10.65.0.2")),
        "cannot tell: it is translated: by which interface would 10.96.0.1 itself be reached?",
    ),
    "a parameter that an annotation overrides": (
        resource("FelixConfiguration", "default", more=", annotations: {config.projectcalico.org/InterfacePrefix: tap}"),
        TO_WEB,
        "cannot tell: an annotation of FelixConfiguration(default) overrides config.projectcalico.org/InterfacePrefix",
    ),
    "OpenStack": (
        configuration("{interfacePrefix: 'cali,tap'}"),
        WEB_TO_HOST,
        "cannot tell: this looks like an OpenStack compute node, whose services for workloads are not decided here",
    ),
    "neighbour discovery of nobody": (
        "",
        flow("icmpv6 fd00::9 > fd00:20::1 135/0", "cali9", None),
        "cannot tell: no workload endpoint is known at cali9: is fd00::9 routed there?",
    ),
}

OTHERWISE = {
    "no IPv6": (
        configuration("{ipv6Support: false}") + policy("p", "a", f"{{ingress: {DENY}}}"),
        flow("tcp fd00::1 > fd00:65::2", "eth0", "cali1"),
        "allowed: IPv6 support is off, so nothing is enforced",
    ),
    "the node's own configuration wins": (
        configuration("{defaultEndpointToHostAction: Accept}")
        + configuration("{defaultEndpointToHostAction: Drop}", "node.node-1"),
        WEB_TO_HOST,
        "denied: workload to host, DefaultEndpointToHostAction is Drop",
    ),
    "where policy of a translated packet of the node's own looks": (
        ETH0 + global_policy("p", f"{{{ETH}, egress: [{{action: Deny, destination: {{nets: [10.65.0.2/32]}}}}]}}"),
        flow("tcp 10.20.0.1:1 > 10.96.0.1:1", None, "cali1", translated=parse_address("10.65.0.2"), looks_to_leave="eth0"),
        f"denied: egress of {HOST}: rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
    "a floating address": (
        workload("nat", "a", "cali5", "10.65.0.5", more="ipNATs: [{internalIP: 10.65.0.5, externalIP: 10.77.0.1}]")
        + global_policy("p", "{selector: all(), ingress: [{action: Deny, destination: {nets: [10.65.0.5/32]}}]}"),
        flow("tcp 10.0.0.1:1 > 10.77.0.1:80", "eth0", "cali5"),
        "denied: ingress of WorkloadEndpoint(a/node--1-k8s-nat-eth0): rule 1 of GlobalNetworkPolicy(p) denies it",
    ),
}

TABLE = {
    **WORKLOADS, **TO_AND_FROM_HOSTS, **FORWARDED, **EARLY, **STATES, **TUNNELS, **UNKNOWN, **OTHERWISE,
}  # fmt: skip


@pytest.mark.parametrize(("more", "packet", "decision"), TABLE.values(), ids=TABLE.keys())
def test_a_packet_at_a_node(more: str, packet: Flow, decision: str) -> None:
    assert str(decide(read(WORLD, more), "node-1", packet, interfaces=INTERFACES)) == decision


def test_no_row_hides_another() -> None:
    parts = (WORKLOADS, TO_AND_FROM_HOSTS, FORWARDED, EARLY, STATES, TUNNELS, UNKNOWN, OTHERWISE)
    assert len(TABLE) == sum(map(len, parts))


def test_a_host_endpoint_by_address_needs_the_addresses() -> None:
    decision = decide(read(WORLD, host("h", "expectedIPs: [10.20.0.1]")), "node-1", TO_HOST)
    assert decision.verdict is Verdict.UNKNOWN
    assert str(decision) == "cannot tell: HostEndpoint(h) is found by address, and the addresses of eth0 are not known"


def test_everything_that_had_a_say_is_told_in_order() -> None:
    untracked = global_policy("p", f"{{{ETH}, doNotTrack: true, {SPECIAL}, ingress: []}}")
    decision = decide(read(WORLD, ETH0, untracked), "node-1", TO_WEB, interfaces=INTERFACES)
    assert [(finding.stage, finding.says) for finding in decision.findings] == [
        (Stage.UNTRACKED, Says.NOTHING),
        (Stage.FORWARD, Says.ALLOW),
        (Stage.NORMAL, Says.ALLOW),
    ]


def test_the_rest_of_the_cluster_is_another_node() -> None:
    there = flow("tcp 10.0.0.1:1 > 10.65.1.2:80", "eth0", "cali3")
    assert decide(read(WORLD), "node-2", there).verdict is Verdict.ALLOWED
    assert decide(read(WORLD), "node-1", there).verdict is Verdict.DENIED


def test_a_flow_has_one_family() -> None:
    with pytest.raises(ValueError, match="two families"):
        Flow(parse_address("10.0.0.1"), Address(IPFamily.V6, 1), 6, enters="eth0")
