"""A connection from one end to the other: policy where it starts, host endpoints on the way, policy where it ends.

An end is a workload, a node, or an address, which may turn out to be one of those. Between nodes a packet goes as the pools
say: as it is, or inside a tunnel, whose own packets meet host endpoints too (spec: model 4.4, 9.6). What leaves a pool that
is to be hidden is given the node's address (spec: rules 8.1). Nodes are taken to reach each other, and everybody else, by
one interface each; what lies between them lets everything through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.node import Node
from tortie.model.pool import IPIPMode, IPPool, VXLANMode
from tortie.model.read import Resources, key_of
from tortie.net.address import Address, IPFamily
from tortie.net.protocol import ICMP, ICMPV6, IPENCAP, UDP
from tortie.reference.configuration import read_configuration
from tortie.reference.decide import decide
from tortie.reference.decision import Decision, Verdict
from tortie.reference.flow import LOOPBACK, Flow, Tracking
from tortie.reference.party import is_ready
from tortie.reference.site import Interfaces, NotKnown

End: TypeAlias = WorkloadEndpoint | Node | Address
"""Where a connection starts or ends."""

UPLINK = "eth0"
IPIP_DEVICE, VXLAN_DEVICE = "tunl0", "vxlan.calico"
EPHEMERAL_PORT = 49152
"""A source port as clients have them."""


@dataclass(frozen=True, slots=True)
class Leg:
    """What becomes of a packet at one node on its way; `outer` when it is a tunnel's packet around it."""

    node: str
    flow: Flow
    decision: Decision
    outer: bool = False


@dataclass(frozen=True, slots=True)
class Journey:
    """What becomes of a connection: its first packet on the way there, the answer on the way back."""

    verdict: Verdict
    there: tuple[Leg, ...]
    back: tuple[Leg, ...] = ()
    missing: str = ""
    """What would have to be known, when something is not that no node was asked about."""

    def __str__(self) -> str:
        return describe_journey(self)


@dataclass(frozen=True, slots=True)
class _Place:
    """An end as a node sees it: without `node` it is outside the cluster, without `interface` the node itself."""

    node: str | None
    interface: str | None
    address: Address


@dataclass(frozen=True, slots=True)
class _Cluster:
    resources: Resources
    interfaces: Mapping[str, Interfaces]
    uplinks: Mapping[str, str]

    def uplink(self, node: str) -> str:
        return self.uplinks.get(node, UPLINK)

    def node(self, name: str) -> Node | None:
        return self.resources.get(Node, name)

    def address_of(self, name: str, family: IPFamily) -> Address:
        node = self.node(name)
        address = None if node is None else _node_address(node, family)
        if address is None:
            raise NotKnown(f"the IPv{family.value} address of Node({name}) is not known")
        return address

    def pool_of(self, address: Address) -> IPPool | None:
        return next((pool for pool in self.resources.of(IPPool) if _holds(pool, address)), None)

    def leg(self, node: str, flow: Flow, *, outer: bool = False) -> Leg:
        return Leg(node, flow, decide(self.resources, node, flow, interfaces=self.interfaces.get(node)), outer)


def decide_between(
    resources: Resources,
    source: End,
    destination: End,
    protocol: int,
    port: int = 0,
    *,
    source_port: int = EPHEMERAL_PORT,
    family: IPFamily | None = None,
    interfaces: Mapping[str, Interfaces] | None = None,
    uplinks: Mapping[str, str] | None = None,
) -> Journey:
    """Decides a connection from end to end, and the way back of its answer.

    `family` is needed where both ends have both; IPv4 is taken else. `interfaces` are each node's with their addresses,
    where host endpoints are found by them; `uplinks` the interface by which each node reaches the others, eth0 unless
    given.
    ICMP is an echo request. What is missing for a decision makes it `UNKNOWN`.
    """
    cluster = _Cluster(resources, interfaces or {}, uplinks or {})
    there: list[Leg] = []
    back: list[Leg] = []
    try:
        chosen = family or _common_family(source, destination)
        start, end = _place(resources, source, chosen), _place(resources, destination, chosen)
        if start.node is None and end.node is None:
            raise NotKnown("neither end is in the cluster")
        first = _first(start, end, protocol, source_port, port)
        if not _go(there, _way_there(cluster, start, end, first)):
            return Journey(there[-1].decision.verdict, tuple(there))
        if not _go(back, _way_back(cluster, start, end, there)):
            return Journey(back[-1].decision.verdict, tuple(there), tuple(back))
    except NotKnown as missing:
        return Journey(Verdict.UNKNOWN, tuple(there), tuple(back), str(missing))
    return Journey(Verdict.ALLOWED, tuple(there), tuple(back))


def _go(legs: list[Leg], way: Iterator[Leg]) -> bool:
    """Follows a way for as long as the packet gets through; True if it arrives."""
    for leg in way:
        legs.append(leg)
        if leg.decision.verdict is not Verdict.ALLOWED:
            return False
    return True


# --- the ways ----------------------------------------------------------------------------------------------------


def _first(start: _Place, end: _Place, protocol: int, source_port: int, port: int) -> Flow:
    """The first packet; where it comes and goes is filled in at each node."""
    kinds = {ICMP: 8, ICMPV6: 128}
    ports = (0, 0) if protocol in kinds else (source_port, port)
    return Flow(start.address, end.address, protocol, *ports, icmp_type=kinds.get(protocol, 0), leaves=LOOPBACK)


def _way_there(cluster: _Cluster, start: _Place, end: _Place, first: Flow) -> Iterator[Leg]:
    """The nodes that the first packet meets: that where it starts, then, in a tunnel or not, that where it ends."""
    if start.node is not None and start.node == end.node:
        yield cluster.leg(start.node, _within(first, start, end))
        return
    device = None if start.node is None else _tunnel(cluster, start.node, end)
    flow = first
    if start.node is not None:
        flow = replace(flow, source=_own_source(cluster, start, device, flow.family))
        leaves = device or cluster.uplink(start.node)
        yield cluster.leg(start.node, replace(flow, enters=start.interface, leaves=leaves))
        flow = replace(flow, source=_hidden_source(cluster, start, end, flow))
    if device is not None and start.node is not None and end.node is not None:
        yield from _outer(cluster, start.node, end.node, device, Tracking.NEW)
    if end.node is not None:
        enters = device or cluster.uplink(end.node)
        yield cluster.leg(end.node, replace(flow, enters=enters, leaves=end.interface))


def _way_back(cluster: _Cluster, start: _Place, end: _Place, there: list[Leg]) -> Iterator[Leg]:
    """The nodes that the answer meets. It goes to the address that the asker showed, which may need another carrier."""
    asked = {leg.node: leg for leg in there if not leg.outer}
    last = there[-1]
    shown = last.flow.source if end.node is not None else _hidden_source(cluster, start, end, last.flow)
    if start.node is not None and start.node == end.node:
        answer = _resolved(cluster, end, last.flow).answered(untracked=last.decision.untracked)
        yield cluster.leg(start.node, answer)
        return
    device = None
    if end.node is not None:
        device = None if start.node is None else _tunnel(cluster, end.node, replace(start, address=shown))
        answer = _resolved(cluster, end, last.flow).answered(untracked=last.decision.untracked)
        answer = replace(answer, enters=end.interface, leaves=device or cluster.uplink(end.node))
        yield cluster.leg(end.node, answer)
    if device is not None and start.node is not None and end.node is not None:
        same_tunnel = device == IPIP_DEVICE and any(leg.outer for leg in there)
        tracking = Tracking.ESTABLISHED if same_tunnel else Tracking.NEW
        yield from _outer(cluster, end.node, start.node, device, tracking)
    if start.node is not None:
        leg = asked[start.node]
        answer = leg.flow.answered(untracked=leg.decision.untracked)
        enters = device or cluster.uplink(start.node)
        if shown != leg.flow.source:
            answer = replace(answer, destination=shown, translated=answer.destination)
        yield cluster.leg(start.node, replace(answer, enters=enters, leaves=start.interface))


def _within(flow: Flow, start: _Place, end: _Place) -> Flow:
    leaves = end.interface
    if start.interface is None and end.interface is None:
        leaves = LOOPBACK
    return replace(flow, enters=start.interface, leaves=leaves)


def _outer(cluster: _Cluster, here: str, there: str, device: str, tracking: Tracking) -> Iterator[Leg]:
    """The packet of a tunnel, made by one node for another; no workload has a part in it."""
    source, destination = cluster.address_of(here, IPFamily.V4), cluster.address_of(there, IPFamily.V4)
    config = read_configuration(cluster.resources, here)
    if device == IPIP_DEVICE:
        flow = Flow(source, destination, IPENCAP, leaves=cluster.uplink(here), tracking=tracking)
    else:
        flow = Flow(
            source,
            destination,
            UDP,
            EPHEMERAL_PORT,
            config.vxlan_port,
            leaves=cluster.uplink(here),
            tracking=tracking,
            vni=config.vxlan_vni,
        )
    yield cluster.leg(here, flow, outer=True)
    yield cluster.leg(there, replace(flow, enters=cluster.uplink(there), leaves=None), outer=True)


def _resolved(cluster: _Cluster, end: _Place, flow: Flow) -> Flow:
    """The packet as the end gets it: a floating address is translated to the workload's own."""
    for workload in cluster.resources.of(WorkloadEndpoint):
        for nat in workload.spec.ip_nats:
            if workload.spec.interface_name == end.interface and nat.external_ip == flow.destination:
                return replace(flow, destination=nat.internal_ip)
    return flow


# --- addresses ---------------------------------------------------------------------------------------------------


def _common_family(source: End, destination: End) -> IPFamily:
    for end in (source, destination):
        if isinstance(end, Address):
            return end.family
    return next((family for family in IPFamily if _has(source, family) and _has(destination, family)), IPFamily.V4)


def _has(end: End, family: IPFamily) -> bool:
    return _address(end, family) is not None


def _address(end: End, family: IPFamily) -> Address | None:
    match end:
        case Address():
            return end if end.family is family else None
        case Node():
            return _node_address(end, family)
        case WorkloadEndpoint():
            nets = (net for net in end.spec.ip_networks if net.family is family)
            return next((Address(net.family, net.address) for net in nets), None)


def _node_address(node: Node, family: IPFamily) -> Address | None:
    bgp = node.spec.bgp
    if bgp is None:
        return None
    own = bgp.ipv4_address if family is IPFamily.V4 else bgp.ipv6_address
    return None if own is None else Address(own.family, own.address)


def _place(resources: Resources, end: End, family: IPFamily) -> _Place:
    address = _address(end, family)
    if address is None:
        name = str(end) if isinstance(end, Address) else str(key_of(end))
        raise NotKnown(f"{name} has no IPv{family.value} address that is known")
    match end:
        case WorkloadEndpoint():
            return _Place(end.spec.node, end.spec.interface_name, address)
        case Node():
            return _Place(end.metadata.name, None, address)
        case Address():
            return _owner(resources, address)


def _owner(resources: Resources, address: Address) -> _Place:
    """Whose address it is: a workload's own or floating one, a node's, or nobody's in the cluster."""
    for workload in resources.of(WorkloadEndpoint):
        own = any(net.family is address.family and net.contains(address.value) for net in workload.spec.ip_networks)
        if is_ready(workload) and (own or any(nat.external_ip == address for nat in workload.spec.ip_nats)):
            return _Place(workload.spec.node, workload.spec.interface_name, address)
    for node in resources.of(Node):
        if _node_address(node, address.family) == address:
            return _Place(node.metadata.name, None, address)
    return _Place(None, None, address)


def _own_source(cluster: _Cluster, start: _Place, device: str | None, family: IPFamily) -> Address:
    """The address that the start shows its node: into a tunnel a node speaks from its address in it."""
    assert start.node is not None
    if start.interface is not None or device is None:
        return start.address
    node = cluster.node(start.node)
    bgp = None if node is None else node.spec.bgp
    inside = None if bgp is None else bgp.ipv4_ipip_tunnel_addr
    if device == VXLAN_DEVICE:
        inside = None if node is None else node.spec.ipv4_vxlan_tunnel_addr
    if inside is None:
        raise NotKnown(f"the address of Node({start.node}) at {device} is not known")
    return inside


# --- between nodes -----------------------------------------------------------------------------------------------


def _tunnel(cluster: _Cluster, here: str, end: _Place) -> str | None:
    """The tunnel by which a node sends to an address on another, as the address's pool says; None for none."""
    pool = cluster.pool_of(end.address)
    if pool is None or end.node is None:
        return None
    if pool.spec.vxlan_mode is VXLANMode.ALWAYS:
        return VXLAN_DEVICE
    match pool.spec.ipip_mode:
        case IPIPMode.ALWAYS:
            return IPIP_DEVICE
        case IPIPMode.CROSS_SUBNET:
            return None if _share_subnet(cluster, here, end.node) else IPIP_DEVICE
        case IPIPMode.NEVER:
            return None


def _share_subnet(cluster: _Cluster, here: str, there: str) -> bool:
    own, node = cluster.address_of(there, IPFamily.V4), cluster.node(here)
    subnet = None if node is None or node.spec.bgp is None else node.spec.bgp.ipv4_address
    if subnet is None:
        raise NotKnown(f"the subnet of Node({here}) is not known")
    return subnet.contains(own.value)


def _hidden_source(cluster: _Cluster, start: _Place, end: _Place, flow: Flow) -> Address:
    """The source behind the node's masquerading: pools with natOutgoing, to what is in no pool (spec: rules 8.1)."""
    assert start.node is not None
    hidden = any(pool.spec.nat_outgoing and _holds(pool, flow.source) for pool in cluster.resources.of(IPPool))
    if not hidden or cluster.pool_of(end.address) is not None:
        return flow.source
    only = _masquerading_interface(cluster, start.node)
    uplink = cluster.uplink(start.node)
    if only and not (uplink.startswith(only[:-1]) if only.endswith("+") else uplink == only):
        return flow.source
    return cluster.address_of(start.node, flow.family)


def _masquerading_interface(cluster: _Cluster, node: str) -> str:
    for name in (f"node.{node}", "default"):
        told = cluster.resources.get(FelixConfiguration, name)
        if told is not None and told.spec.iptables_nat_outgoing_interface_filter:
            return told.spec.iptables_nat_outgoing_interface_filter
    return ""


def _holds(pool: IPPool, address: Address) -> bool:
    return pool.spec.cidr.family is address.family and pool.spec.cidr.contains(address.value)


# --- words -------------------------------------------------------------------------------------------------------


def describe_journey(journey: Journey) -> str:
    """The verdict, then one line for each node on the way there and back."""
    lines = [journey.verdict.value if not journey.missing else f"{journey.verdict.value}: {journey.missing}"]
    for way, legs in (("there", journey.there), ("back", journey.back)):
        for leg in legs:
            what = " (tunnel)" if leg.outer else ""
            lines.append(f"{way}, {leg.node}{what}: {leg.decision}")
    return "\n".join(lines)
