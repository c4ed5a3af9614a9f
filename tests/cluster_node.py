"""A node of a cluster as it is once everything is calculated, rendered and programmed, ready for packets to be walked.

The node has `lo`, eth0 and eth1, both towards others, and an interface for every workload that there could be. Behind
eth0 are everybody whom no other route leads to and the cluster's other nodes, behind eth1 10.1.0.0/16 and fd00:1::/32. A
Kubernetes service, whose rules are not Calico's, translates `SERVICE` port 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tests import node_builder
from tortie.calc.calculation import calculate
from tortie.calc.view import NodeView, WorkloadEndpoint
from tortie.codec.save import parse_save
from tortie.model.parameter import felix_parameters
from tortie.model.read import Resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.net.address import Address, IPFamily, parse_address, parse_prefix
from tortie.net.protocol import protocol_name
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Ruleset
from tortie.render.config import parse_config
from tortie.render.ruleset import complete_ruleset, render_node
from tortie.render.state import NodeInterface, NodeState
from tortie.simulator.walk import Node

LINKS = "eth0 10.20.0.1/24 fd00:20::1/64; eth1 10.30.0.1/24 fd00:30::1/64"
INTERFACES: Mapping[str, frozenset[Address]] = {
    "lo": frozenset(map(parse_address, ("127.0.0.1", "::1"))),
    "eth0": frozenset(map(parse_address, ("10.20.0.1", "fd00:20::1"))),
    "eth1": frozenset(map(parse_address, ("10.30.0.1", "fd00:30::1"))),
}
"""What the node's own interfaces are called, and their addresses."""
SERVICE = {IPFamily.V4: parse_address("10.96.0.1"), IPFamily.V6: parse_address("fd00:96::1")}
SERVICE_PORT = 1
BEHIND_ETH1 = (parse_prefix("10.1.0.0/16"), parse_prefix("fd00:1::/32"))


@dataclass(frozen=True)
class ClusterNode:
    """The node, and by which interface it reaches each of its workloads' addresses."""

    node: Node
    routes: Mapping[Address, str]


def cluster_node(
    resources: Resources,
    node: str,
    *,
    interfaces: Iterable[str],
    more_routes: Mapping[Address, str],
    service: Mapping[IPFamily, tuple[Address, int]],
    ipvs: bool = False,
    felix_exact: bool = False,
) -> ClusterNode:
    """The node `node` with workloads' interfaces of these names; `more_routes` are foreign ones.

    `service` says whom the service stands for, and at which port; with `ipvs` rules are made for a node that uses IPVS,
    with `felix_exact` as Felix makes them, mistakes and all.
    """
    parameters = felix_parameters(resources, node)
    view = calculate(resources_to_v1(resources, felix_exact=felix_exact), node, parameters)
    config, _ = parse_config(view.config, felix_exact=felix_exact)
    state = NodeState(tuple(NodeInterface(name, addresses) for name, addresses in INTERFACES.items()), ipvs=ipvs)
    made = render_node(view, state, config)
    routes = {**_workload_routes(view), **more_routes}
    bare = _bare(interfaces, routes)
    rulesets = {family: _service_rules(family, service) for family in IPFamily}
    for family, rendered in made.families.items():
        rulesets[family] = complete_ruleset(rendered, Backend.LEGACY, rulesets[family])
    sets = {name: one for family in made.families.values() for name, one in family.ip_sets.items()}
    whole = Node.from_snapshot(replace(bare.snapshot, rulesets=tuple(rulesets.values()), ip_sets=sets))
    return ClusterNode(whole, routes)


def _workload_routes(view: NodeView) -> dict[Address, str]:
    """Each workload's own and floating addresses (spec: model 7.1); of two on one interface the first counts."""
    first: dict[str, WorkloadEndpoint] = {}
    for endpoint in sorted(view.workloads, key=lambda endpoint: endpoint.id):
        first.setdefault(endpoint.interface, endpoint)
    routes: dict[Address, str] = {}
    for name, endpoint in first.items():
        own = [Address(net.family, net.address) for net in endpoint.networks]
        routes |= dict.fromkeys([*own, *(nat.external for nat in endpoint.nats)], name)
    return routes


def _bare(interfaces: Iterable[str], known: Mapping[Address, str]) -> Node:
    """The node without rules, with what Felix sets on workloads' interfaces (spec: model 7.2)."""
    names = tuple(interfaces)
    links = "; ".join([LINKS, *names])
    routes = [f"{address} dev {name}" for address, name in known.items()]
    routes += [*(f"{net} dev eth1" for net in BEHIND_ETH1), "0.0.0.0/0 dev eth0", "::/0 dev eth0"]
    strict = {f"net.ipv4.conf.{name}.rp_filter": "1" for name in names}
    return node_builder.node(links=links, routes="; ".join(routes), sysctls=strict)


def _service_rules(family: IPFamily, service: Mapping[IPFamily, tuple[Address, int]]) -> Ruleset:
    if family not in service:
        text = ""
    else:
        address, port = service[family]
        target = f"[{address}]:{port}" if family is IPFamily.V6 else f"{address}:{port}"
        dnat = f"-d {SERVICE[family]} -p {protocol_name(6)} --dport {SERVICE_PORT} -j DNAT --to-destination {target}"
        text = f"-A PREROUTING {dnat}\n-A OUTPUT {dnat}\n"
    head = "*nat\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n"
    return parse_save(f"{head}{text}COMMIT\n", family, backend=Backend.LEGACY).ruleset
