"""One node as policy sees it: whose interface is whose, which addresses are known, what the configuration says.

A workload's interface is one whose name says so; of every other the host endpoint is looked for: by the interface's
name, or, for an endpoint without one, by its expected addresses. Of several the one with the lowest name counts (spec:
model 7.4).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from tortie.model.endpoint import HostEndpoint, WorkloadEndpoint
from tortie.model.node import Node
from tortie.model.policy import Policy
from tortie.model.read import Resources, key_of
from tortie.net.address import Address, parse_prefix
from tortie.reference.configuration import Configuration
from tortie.reference.decision import Direction, Stage
from tortie.reference.flow import Flow
from tortie.reference.party import Party, is_ready, labels, parties
from tortie.reference.policy import policies_for

ALL_INTERFACES = "*"
LINK_LOCAL = parse_prefix("fe80::/10")

Interfaces = Mapping[str, Collection[Address]]
"""A node's interfaces and the addresses on each."""


class NotKnown(Exception):
    """What a decision needs and nobody has said; its text says what it is. `decide` makes a decision of it."""


@dataclass(frozen=True, slots=True)
class Site:
    """A node, everything that is known of the cluster, and of the node's interfaces, if anything."""

    resources: Resources
    node: str
    configuration: Configuration
    interfaces: Interfaces | None
    everybody: tuple[Party, ...]

    # --- endpoints -----------------------------------------------------------------------------------------------

    def workload_at(self, interface: str) -> WorkloadEndpoint | None:
        """The workload of an interface."""
        return next((workload for workload in self.workloads() if workload.spec.interface_name == interface), None)

    def workloads(self) -> list[WorkloadEndpoint]:
        """The node's workloads that have an address: of several on one interface only that with the lowest identity."""
        found: dict[str, WorkloadEndpoint] = {}
        for workload in sorted(self.resources.of(WorkloadEndpoint), key=_identity):
            if workload.spec.node == self.node and is_ready(workload):
                found.setdefault(workload.spec.interface_name, workload)
        return list(found.values())

    def host_endpoint_at(self, interface: str) -> HostEndpoint | None:
        """The host endpoint of an interface; raises `NotKnown` when addresses decide that nobody has told."""
        config = self.configuration
        if config.is_workload_interface(interface) or config.is_excluded_interface(interface):
            return None
        for endpoint in self.host_endpoints():
            spec = endpoint.spec
            if spec.interface_name == interface:
                return endpoint
            if not spec.interface_name:
                if self.interfaces is None:
                    raise NotKnown(
                        f"{key_of(endpoint)} is found by address, and the addresses of {interface} are not known"
                    )
                if any(address in self.interfaces.get(interface, ()) for address in spec.expected_ips):
                    return endpoint
        return None

    def host_endpoints(self) -> list[HostEndpoint]:
        """The node's host endpoints, lowest name first."""
        here = [endpoint for endpoint in self.resources.of(HostEndpoint) if endpoint.spec.node == self.node]
        return sorted(here, key=lambda endpoint: endpoint.metadata.name.encode())

    def pre_dnat_endpoint_at(self, interface: str) -> HostEndpoint | None:
        """Whose pre-DNAT policy packets meet that enter here: the interface's endpoint, or that for all interfaces.

        The latter comes in where the interface has no endpoint with pre-DNAT policy of its own, also at the interfaces of
        workloads; no other policy of it counts in Calico 3.7 (spec: model 7.4, rules 5.1).
        """
        every = [endpoint for endpoint in self.host_endpoints() if endpoint.spec.interface_name == ALL_INTERFACES]
        for endpoint in (self.host_endpoint_at(interface), *every[:1]):
            if endpoint is not None and self.policies(endpoint, Stage.PRE_DNAT, Direction.INGRESS):
                return endpoint
        return None

    def policies(self, endpoint: WorkloadEndpoint | HostEndpoint, stage: Stage, direction: Direction) -> list[Policy]:
        """The policies of a kind and direction that apply to an endpoint, in order."""
        return policies_for(self.resources, labels(self.resources, endpoint), stage, direction)

    # --- addresses -----------------------------------------------------------------------------------------------

    def is_own_source(self, workload: WorkloadEndpoint | None, source: Address) -> bool:
        """True when a workload may send from an address: its own, or a floating one of its; link-local ones stay local.

        The kernel sees to it in IPv4 (rp_filter), a rule in IPv6: packets must come from where answers to them would be
        routed (spec: model 7.1, 7.2, rules 3.1).
        """
        if LINK_LOCAL.family is source.family and LINK_LOCAL.contains(source.value):
            return True
        if workload is None:
            return False
        own = any(net.family is source.family and net.contains(source.value) for net in workload.spec.ip_networks)
        return own or any(nat.external_ip == source for nat in workload.spec.ip_nats)

    def translated(self, flow: Flow) -> Flow:
        """The flow behind the node's NAT of destinations: as the asker says, or to the workload behind a floating address.

        Of several workloads with one floating address the one whose own is lowest as text gets it (spec: model 6.6).
        """
        if flow.is_translated:
            return flow.behind_translation()
        behind = [
            nat.internal_ip
            for workload in self.workloads()
            for nat in workload.spec.ip_nats
            if nat.external_ip == flow.destination
        ]
        return replace(flow, destination=min(behind, key=str)) if behind else flow

    def speaks_ipip(self, peer: Address) -> bool:
        """True for a node of the cluster, or one outside that is counted in."""
        return self._is_external_node(peer) or any(_address_of(node) == peer for node in self.resources.of(Node))

    def speaks_vxlan(self, peer: Address) -> bool:
        """True for another node that has an address in the tunnel, or one outside that is counted in (spec: model 7.7)."""
        return self._is_external_node(peer) or any(
            node.metadata.name != self.node and node.spec.ipv4_vxlan_tunnel_addr is not None and _address_of(node) == peer
            for node in self.resources.of(Node)
        )

    def _is_external_node(self, peer: Address) -> bool:
        nets = self.configuration.external_nodes
        return any(net.family is peer.family and net.contains(peer.value) for net in nets)


def site_of(resources: Resources, node: str, configuration: Configuration, interfaces: Interfaces | None) -> Site:
    """A node as policy sees it."""
    return Site(resources, node, configuration, interfaces, parties(resources))


def _address_of(node: Node) -> Address | None:
    bgp = node.spec.bgp
    own = None if bgp is None else bgp.ipv4_address
    return None if own is None else Address(own.family, own.address)


def _identity(workload: WorkloadEndpoint) -> tuple[str, str, str]:
    """Orchestrator, namespace with the workload's own name, endpoint: what tells a node's workloads apart."""
    (_, orchestrator), (_, name), (_, endpoint) = workload.spec.identifiers.segments[1:]
    return orchestrator, f"{workload.metadata.namespace}/{name}", endpoint
