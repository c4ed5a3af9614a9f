"""What becomes of a packet at one node, decided straight from the resources.

The way of a packet is told here in the order in which Calico 3.7 looks at it (spec: rules 3 and 6), as what it means and
not as how it is done; no speed is wanted. Every `yield` is a place that has a say; after one that denies nobody is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tortie.model.read import Resources
from tortie.net.address import IPFamily
from tortie.net.protocol import IPENCAP
from tortie.reference.configuration import Configuration, read_configuration
from tortie.reference.decision import (
    CannotTell,
    Decision,
    Direction,
    EndpointToHost,
    Finding,
    ForeignSource,
    HostToWorkload,
    KnownConnection,
    NeighbourDiscovery,
    NoIPv6,
    Says,
    Stage,
    TunnelPacket,
    UnknownInterface,
    decision_of,
)
from tortie.reference.enforcement import forward_policy, is_vxlan, normal_policy, pre_dnat_policy, untracked_policy
from tortie.reference.flow import LOOPBACK, Flow, Tracking
from tortie.reference.site import LINK_LOCAL, Interfaces, NotKnown, Site, site_of

NEIGHBOUR_DISCOVERY = frozenset((130, 131, 132, 133, 135, 136))
"""ICMPv6 that workloads may always send to their host: multicast listeners, router and neighbour discovery."""

_GO_ON = (Says.ALLOW, Says.NOTHING)


def decide(
    resources: Resources,
    node: str,
    flow: Flow,
    *,
    interfaces: Interfaces | None = None,
    configuration: Configuration | None = None,
) -> Decision:
    """Decides a packet at a node.

    `interfaces` are needed where a host endpoint is found by address; `configuration` is that of the resources unless
    given. What is missing for a decision makes it `UNKNOWN`, and the decision says what it is.
    """
    config = read_configuration(resources, node) if configuration is None else configuration
    return decide_at(site_of(resources, node, config, interfaces), flow)


def decide_at(site: Site, flow: Flow) -> Decision:
    """Decides a packet at a node that is looked at already."""
    findings = []
    try:
        for finding in _way(site, flow):
            findings.append(finding)
            if finding.says not in _GO_ON:
                break
    except NotKnown as missing:
        findings.append(Finding(Stage.NODE, Says.UNKNOWN, CannotTell(str(missing))))
    return decision_of(tuple(findings), Direction.EGRESS if flow.enters is None else Direction.INGRESS)


def _way(site: Site, flow: Flow) -> Iterator[Finding]:
    if site.configuration.unreadable:
        raise NotKnown(site.configuration.unreadable)
    if flow.family is IPFamily.V6 and not site.configuration.ipv6_support:
        yield Finding(Stage.NODE, Says.ALLOW, NoIPv6())
    elif flow.enters is None:
        yield from _made_here(site, flow)
    else:
        yield from _arriving(site, flow, flow.enters)


# --- packets that arrive -----------------------------------------------------------------------------------------


def _arriving(site: Site, flow: Flow, enters: str) -> Iterator[Finding]:
    """The sender's address, untracked policy, pre-DNAT policy; then the node's NAT; then to the node or through it.

    What untracked or pre-DNAT policy allows meets no other policy of the endpoint at which it enters.
    """
    accepted = False
    if site.configuration.is_workload_interface(enters):
        yield from _check_source(site, flow, enters)
    elif (endpoint := site.host_endpoint_at(enters)) is not None:
        finding = untracked_policy(site, endpoint, Direction.INGRESS, flow)
        if finding is not None:
            yield finding
            if finding.says is Says.ALLOW:
                accepted, flow = True, flow if enters == LOOPBACK else _untracked(flow)
    if not accepted and (endpoint := site.pre_dnat_endpoint_at(enters)) is not None:
        finding = pre_dnat_policy(site, endpoint, flow)
        if finding is not None:
            yield finding
            accepted = finding.says is Says.ALLOW
    flow = _translated(site, flow)
    if flow.leaves is None:
        yield from _to_the_node(site, flow, enters, accepted)
    else:
        yield from _through_the_node(site, flow, enters, flow.leaves, accepted)


def _untracked(flow: Flow) -> Flow:
    return replace(flow, tracking=Tracking.UNTRACKED)


def _translated(site: Site, flow: Flow) -> Flow:
    """The flow behind the node's NAT, which is a matter of connections: what has none keeps its destination."""
    if flow.tracking not in (Tracking.INVALID, Tracking.UNTRACKED):
        return site.translated(flow)
    if flow.is_translated:
        raise NotKnown(f"it is {flow.tracking.value}, so that it is not translated: where would it go then?")
    return flow


def _check_source(site: Site, flow: Flow, enters: str) -> Iterator[Finding]:
    workload = site.workload_at(enters)
    if workload is not None and not site.is_own_source(workload, flow.source):
        yield Finding(Stage.SOURCE, Says.DENY, ForeignSource(flow.source, enters))


def _to_the_node(site: Site, flow: Flow, enters: str, accepted: bool) -> Iterator[Finding]:
    """Tunnels of other nodes; then a workload's own policy, or that of the endpoint where it enters."""
    if (tunnel := _tunnel_in(site, flow)) is not None:
        yield tunnel
    elif site.configuration.is_workload_interface(enters):
        yield from _workload_to_host(site, flow, enters)
    elif not accepted and (endpoint := site.host_endpoint_at(enters)) is not None:
        yield normal_policy(site, endpoint, Direction.INGRESS, flow)


def _workload_to_host(site: Site, flow: Flow, enters: str) -> Iterator[Finding]:
    """A workload that speaks to its host needs its own policy's leave, and the configuration's."""
    if flow.family is IPFamily.V6 and flow.is_icmp and flow.icmp_type in NEIGHBOUR_DISCOVERY:
        if site.workload_at(enters) is None and not LINK_LOCAL.contains(flow.source.value):
            raise NotKnown(f"no workload endpoint is known at {enters}: is {flow.source} routed there?")
        yield Finding(Stage.TO_HOST, Says.ALLOW, NeighbourDiscovery(flow.icmp_type))
        return
    if site.configuration.openstack:
        raise NotKnown("this looks like an OpenStack compute node, whose services for workloads are not decided here")
    finding = _workload_policy(site, flow, enters, Direction.EGRESS)
    yield finding
    if not isinstance(finding.reason, KnownConnection):
        action = site.configuration.endpoint_to_host_action
        yield Finding(Stage.TO_HOST, Says.DENY if action.lower() == "drop" else Says.ALLOW, EndpointToHost(action))


def _through_the_node(site: Site, flow: Flow, enters: str, leaves: str, accepted: bool) -> Iterator[Finding]:
    """Policy for forwarded traffic where it enters, the workloads' at both ends, policy for forwarded where it leaves.

    The first that recognises a known connection lets it through for all.
    """
    is_workload = site.configuration.is_workload_interface
    if is_workload(enters):
        finding = _workload_policy(site, flow, enters, Direction.EGRESS)
        yield finding
        if isinstance(finding.reason, KnownConnection):
            return
    elif not accepted and (endpoint := site.host_endpoint_at(enters)) is not None:
        finding = forward_policy(site, endpoint, Direction.INGRESS, flow)
        yield finding
        if isinstance(finding.reason, KnownConnection):
            return
    if is_workload(leaves):
        yield _workload_policy(site, flow, leaves, Direction.INGRESS)
    elif (endpoint := site.host_endpoint_at(leaves)) is not None:
        yield forward_policy(site, endpoint, Direction.EGRESS, flow)


def _workload_policy(site: Site, flow: Flow, interface: str, direction: Direction) -> Finding:
    workload = site.workload_at(interface)
    if workload is None:
        return Finding(Stage.NODE, Says.DENY, UnknownInterface(interface))
    return normal_policy(site, workload, direction, flow)


# --- packets of the node's own -----------------------------------------------------------------------------------


def _made_here(site: Site, flow: Flow) -> Iterator[Finding]:
    """Untracked policy; then the node's NAT; then the policy of the endpoint where it looks to leave.

    The node reaches its own workloads whatever policy says. What it says to itself comes back in by the loopback.
    """
    leaves = _looks_to_leave(site, flow)
    accepted = False
    endpoint = site.host_endpoint_at(leaves)
    if endpoint is not None:
        finding = untracked_policy(site, endpoint, Direction.EGRESS, flow)
        if finding is not None:
            yield finding
            accepted = finding.says is Says.ALLOW
    flow = _translated(site, _untracked(flow) if accepted else flow)
    if not accepted:
        if site.configuration.is_workload_interface(leaves):
            yield Finding(Stage.NODE, Says.ALLOW, HostToWorkload())
        elif (tunnel := _tunnel_out(site, flow)) is not None:
            yield tunnel
        elif endpoint is not None:
            yield normal_policy(site, endpoint, Direction.EGRESS, flow)
    if flow.leaves == LOOPBACK:
        yield from _arriving(site, replace(flow, enters=LOOPBACK, leaves=None), LOOPBACK)


def _looks_to_leave(site: Site, flow: Flow) -> str:
    """Where policy takes a packet of the node's own to leave: where its destination is reached as it was before NAT.

    When the translated destination is reached elsewhere the packet is routed again, but the rules of OUTPUT, those behind
    NAT among them, are still told of the device that it first had (spec: netfilter 2.4).
    """
    assert flow.leaves is not None
    if flow.looks_to_leave is not None:
        return flow.looks_to_leave
    if site.translated(flow).destination != flow.destination and site.host_endpoints():
        raise NotKnown(f"it is translated: by which interface would {flow.destination} itself be reached?")
    return flow.leaves


# --- tunnels -----------------------------------------------------------------------------------------------------


def _tunnel_in(site: Site, flow: Flow) -> Finding | None:
    """Packets of the tunnels are for Calico's nodes alone, and need no other policy (spec: rules 3.6)."""
    kind = _tunnel(site, flow)
    if not kind:
        return None
    known = site.speaks_ipip(flow.source) if kind == "IPIP" else site.speaks_vxlan(flow.source)
    peer = f"from {'a node' if known else 'a stranger'}, {flow.source}"
    return Finding(Stage.TUNNEL, Says.ALLOW if known else Says.DENY, TunnelPacket(kind, peer))


def _tunnel_out(site: Site, flow: Flow) -> Finding | None:
    """Packets of the tunnels to Calico's nodes need no other policy (spec: rules 3.7)."""
    kind = _tunnel(site, flow)
    known = bool(kind) and (site.speaks_ipip if kind == "IPIP" else site.speaks_vxlan)(flow.destination)
    return Finding(Stage.TUNNEL, Says.ALLOW, TunnelPacket(kind, f"to a node, {flow.destination}")) if known else None


def _tunnel(site: Site, flow: Flow) -> str:
    """The kind of tunnel, among those that are in use, that a packet is of."""
    config = site.configuration
    if flow.family is not IPFamily.V4:
        return ""
    if config.ipip_enabled and flow.protocol == IPENCAP:
        return "IPIP"
    return "VXLAN" if config.vxlan_enabled and is_vxlan(site, flow) else ""
