"""Which host endpoint governs which interface of this node.

An endpoint names its interface, or leaves the name empty and is found by an expected address; one endpoint may be on
several interfaces, an interface has at most one endpoint, that with the lowest id. Workload interfaces and interfaces
whose addresses are ignored have none. Source: spec rules 6.4, model 7.4 (Felix 3.7 dataplane/linux/endpoint_mgr.go).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tortie.calc.view import ALL_INTERFACES, HostEndpoint
from tortie.render.config import RenderConfig
from tortie.render.state import NodeInterface


@dataclass(frozen=True, slots=True)
class ResolvedHosts:
    """Host endpoints by interface, sorted by name, and the endpoint for all interfaces if there is one."""

    by_interface: dict[str, HostEndpoint] = field(default_factory=dict)
    all_interfaces: HostEndpoint | None = None

    def untracked(self) -> dict[str, HostEndpoint]:
        """Those with untracked policy."""
        return {name: endpoint for name, endpoint in self.by_interface.items() if endpoint.untracked_tiers}

    def pre_dnat(self) -> dict[str, HostEndpoint]:
        """Those with pre-DNAT policy."""
        return {name: endpoint for name, endpoint in self.by_interface.items() if endpoint.pre_dnat_tiers}


def resolve_host_endpoints(
    endpoints: Iterable[HostEndpoint], interfaces: Iterable[NodeInterface], config: RenderConfig
) -> ResolvedHosts:
    """Finds the endpoint of every interface; of the endpoint for all interfaces only pre-DNAT policy counts."""
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.id)
    found: dict[str, HostEndpoint] = {}
    for interface in sorted(interfaces, key=lambda interface: interface.name):
        if config.is_workload_interface(interface.name) or config.is_excluded_interface(interface.name):
            continue
        best = next((endpoint for endpoint in ordered if _governs(endpoint, interface)), None)
        if best is not None:
            found[interface.name] = best
    every = next((endpoint for endpoint in ordered if endpoint.interface == ALL_INTERFACES), None)
    return ResolvedHosts(found, every if every is not None and every.pre_dnat_tiers else None)


def _governs(endpoint: HostEndpoint, interface: NodeInterface) -> bool:
    if endpoint.interface:
        return endpoint.interface == interface.name
    return any(address in interface.addresses for address in endpoint.expected_addresses)
