"""A Calico node of any size as a snapshot and as files, made by Tortie's own renderer.

Every workload has two policies and its namespace's profile, so a node of 250 workloads has about 10,000 IPv4 rules, which
are chained as Felix chains them: a packet looks at some dozen, whatever the node's size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    IPPool,
    NetSet,
    NodeView,
    PortRange,
    RuleAction,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.codec.ipset import format_ipset_save
from tortie.codec.save import SaveFile, format_save
from tortie.net.address import IPFamily, Prefix, format_address, parse_address, parse_prefix
from tortie.netfilter.hook import Backend
from tortie.render.config import RenderConfig
from tortie.render.ruleset import complete_ruleset, render_node
from tortie.render.state import NodeInterface, NodeState

POD_NET = parse_address("10.244.0.0").value
_NODE = "10.0.0.1"
_POLICIES_EACH = 2
_RULES_OF_A_POLICY = 4


@dataclass(frozen=True, slots=True)
class CalicoNode:
    """A node's files, ready to be written or parsed."""

    workloads: int
    rules: str
    """iptables-save text of the IPv4 rules."""
    sets: str
    addresses: str
    routes: str
    policy_rules: str
    sysctls: str

    @property
    def rule_count(self) -> int:
        """Number of IPv4 rules."""
        return self.rules.count("\n-A ")

    def files(self) -> dict[str, bytes]:
        """The parts under a snapshot's file names."""
        texts = {
            "iptables-save": self.rules, "ipset-save": self.sets, "ip-addr.json": self.addresses,
            "ip-route.json": self.routes, "ip-rule.json": self.policy_rules, "sysctl": self.sysctls, "conntrack": "",
        }  # fmt: skip
        return {name: text.encode() for name, text in texts.items()}


def pod_address(number: int) -> int:
    """The address of a pod as an integer."""
    return POD_NET + 2 + number


def pod_interface(number: int) -> str:
    """The host's end of a pod's veth pair."""
    return f"cali{number:011x}"


def make_node(workloads: int) -> CalicoNode:
    """A node with this many workloads."""
    state = NodeState((NodeInterface("eth0", frozenset({parse_address(_NODE)})),))
    rendering = render_node(_view(workloads), state, RenderConfig())
    rendered = rendering.families[IPFamily.V4]
    return CalicoNode(
        workloads,
        format_save(SaveFile(complete_ruleset(rendered, Backend.LEGACY))),
        format_ipset_save(rendered.ip_sets),
        json.dumps(list(_links(workloads))),
        json.dumps(list(_routes(workloads))),
        json.dumps([{"priority": 0, "src": "all", "table": "local"}, {"priority": 32766, "src": "all", "table": "main"}]),
        "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.forwarding = 1\nnet.ipv4.conf.all.rp_filter = 1\n"
        + "".join(f"net.ipv4.conf.{name}.forwarding = 1\n" for name in ("eth0", *map(pod_interface, range(workloads)))),
    )


def _view(workloads: int) -> NodeView:
    policies = [_policy(f"default.policy-{number}", number) for number in range(max(workloads // 2, _POLICIES_EACH))]
    namespaces = [f"kns.team-{number}" for number in range(max(workloads // 10, 1))]
    pods = tuple(
        WorkloadEndpoint(
            WorkloadId("k8s", f"team/pod-{number}", "eth0"),
            pod_interface(number),
            profiles=(namespaces[number % len(namespaces)],),
            networks=(Prefix(IPFamily.V4, pod_address(number), 32),),
            tiers=(_tier(policies, number),),
        )
        for number in range(workloads)
    )
    allow = (ActiveRule(),)
    return NodeView(
        "bench",
        workloads=pods,
        policies=tuple(policies),
        profiles=tuple(ActiveProfile(name, allow, allow) for name in namespaces),
        ip_sets=tuple(NetSet(f"s:peers-{number}", _members(number)) for number in range(len(policies))),
        pools=(IPPool(parse_prefix("10.244.0.0/16"), masquerade=True),),
    )


def _tier(policies: list[ActivePolicy], number: int) -> EndpointTier:
    names = tuple(policies[(number + step) % len(policies)].name for step in range(_POLICIES_EACH))
    return EndpointTier(names, names)


def _policy(name: str, number: int) -> ActivePolicy:
    side = RuleSide(ip_sets=(f"s:peers-{number}",))
    ports = tuple(PortRange(port, port) for port in (80, 443, 8000 + number % 1000))
    inbound = tuple(
        ActiveRule(RuleAction.ALLOW, protocol=proto, source=side, destination=RuleSide(ports=(port,)))
        for proto in ("tcp", "udp")
        for port in ports[: _RULES_OF_A_POLICY // 2]
    )
    outbound = (ActiveRule(RuleAction.ALLOW, protocol="tcp", destination=RuleSide(ports=ports)), ActiveRule())
    return ActivePolicy(name, inbound, outbound)


def _members(number: int) -> frozenset[Prefix]:
    first = Prefix(IPFamily.V4, POD_NET, 16)
    others = (Prefix(IPFamily.V4, parse_address(f"10.{100 + number % 100}.{step}.0").value, 24) for step in range(8))
    return frozenset({first, *others})


def _links(workloads: int) -> Iterator[dict[str, object]]:
    names = ["lo", "eth0", *(pod_interface(number) for number in range(workloads))]
    own = {"lo": ("127.0.0.1", 8, "host"), "eth0": (_NODE, 24, "global")}
    for index, name in enumerate(names, 1):
        flags = ["UP", "LOWER_UP", "LOOPBACK" if name == "lo" else "BROADCAST"]
        found = [own[name]] if name in own else []
        info = [{"family": "inet", "local": a, "prefixlen": length, "scope": scope} for a, length, scope in found]
        yield {"ifindex": index, "ifname": name, "flags": flags, "mtu": 1500, "addr_info": info}


def _routes(workloads: int) -> Iterator[dict[str, object]]:
    local = {"type": "local", "table": "local", "protocol": "kernel", "scope": "host"}
    yield {"dst": "127.0.0.0/8", "dev": "lo", **local}
    yield {"dst": _NODE, "dev": "eth0", **local}
    yield {"dst": "default", "gateway": "10.0.0.254", "dev": "eth0"}
    yield {"dst": "10.0.0.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link"}
    for number in range(workloads):
        yield {
            "dst": format_address(IPFamily.V4, pod_address(number)), "dev": pod_interface(number), "scope": "link",
        }  # fmt: skip
