"""The reference node as its Felix saw it: the view and the state that examples/reference-node/README.md describes."""

from __future__ import annotations

from tortie.calc.set_id import selector_set_id
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    HostEndpoint,
    HostMetadata,
    IcmpTest,
    IPPool,
    NetSet,
    NodeView,
    PortRange,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.render.state import Features, NodeInterface, NodeState

ALLOW = ActiveRule()
API = selector_set_id(
    '(projectcalico.org/namespace == "shop" && (projectcalico.org/orchestrator == "k8s" && app == "api"))'
)


def _port(*numbers: int) -> RuleSide:
    return RuleSide(ports=tuple(PortRange(number, number) for number in numbers))


def _pod(name: str, interface: str, address: str, *policies: str, account: str = "default") -> WorkloadEndpoint:
    namespace = name.partition("/")[0]
    return WorkloadEndpoint(
        WorkloadId("k8s", name, "eth0"),
        interface,
        profiles=(f"kns.{namespace}", f"ksa.{namespace}.{account}"),
        networks=(parse_prefix(address),),
        tiers=(EndpointTier(ingress=policies),) if policies else (),
    )


VIEW = NodeView(
    "reference",
    workloads=(
        _pod("default/client", "calia7a3e029a7b", "192.170.21.2/32"),
        _pod("shop/web", "cali551b05c3e54", "192.170.21.3/32", "shop/knp.default.web"),
        _pod("shop/api", "cali50d8cbfc60a", "192.170.21.6/32"),
        _pod("shop/db", "cali2d7243dcff6", "192.170.21.4/32", "shop/knp.default.db"),
        _pod("kube-system/coredns", "cali96971f43451", "192.170.21.5/32", account="coredns"),
    ),
    host_endpoints=(
        HostEndpoint("reference-eth0", "eth0", tiers=(EndpointTier(("default.host-access",), ("default.host-access",)),)),
    ),
    policies=(
        ActivePolicy(
            "default.host-access",
            (
                ActiveRule(ip_version=IPFamily.V4, protocol="icmp", icmp=IcmpTest(8)),
                ActiveRule(
                    protocol="tcp",
                    source=RuleSide(nets=(parse_prefix("10.20.0.0/24"),)),
                    destination=_port(6443, 10250),
                ),
            ),
            (ALLOW,),
        ),
        ActivePolicy("shop/knp.default.web", (ActiveRule(protocol="tcp", destination=_port(80)),), namespace="shop"),
        ActivePolicy(
            "shop/knp.default.db",
            (ActiveRule(protocol="tcp", source=RuleSide(ip_sets=(API,)), destination=_port(5432)),),
            namespace="shop",
        ),
    ),
    profiles=(
        *(ActiveProfile(f"kns.{namespace}", (ALLOW,), (ALLOW,)) for namespace in ("default", "shop", "kube-system")),
        ActiveProfile("ksa.default.default"),
        ActiveProfile("ksa.shop.default"),
        ActiveProfile("ksa.kube-system.coredns"),
    ),
    ip_sets=(NetSet(API, frozenset({parse_prefix("192.170.21.6/32"), parse_prefix("192.170.140.70/32")})),),
    pools=(IPPool(parse_prefix("192.170.0.0/16"), masquerade=True),),
    hosts=tuple(
        HostMetadata(name, parse_address(address))
        for name, address in [("reference", "10.20.0.11"), ("node-2", "10.20.0.12"), ("node-3", "10.20.0.13")]
    ),
)

_ADDRESSES = {
    "lo": ["127.0.0.1", "::1"],
    "eth0": ["10.20.0.11", "fe80::5054:ff:fe14:b"],
    "docker0": ["192.170.80.1", "fe80::42:5fff:fe1c:7a90"],
    "kube-ipvs0": ["10.96.0.1", "10.96.0.10", "10.96.71.20"],
    "veth3f1c2a9": ["fe80::9810:2eff:fe6b:4107"],
} | {workload.interface: ["fe80::ecee:eeff:feee:eeee"] for workload in VIEW.workloads}

STATE = NodeState(
    tuple(
        NodeInterface(name, frozenset(parse_address(address) for address in addresses))
        for name, addresses in _ADDRESSES.items()
    ),
    Features(snat_random_fully=False, masquerade_random_fully=False),
    ipvs=True,
)
"""iptables 1.4.21 printed the rules, so nothing is translated fully at random."""
