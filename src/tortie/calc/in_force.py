"""What is in force for a node, table by table, and what of it changed.

Endpoints become here what the node is told of them; everything else comes as it is told. Nothing is worked out twice:
what has not been set since changes were last taken is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

from tortie.calc.change import Changes, MemberChange
from tortie.calc.endpoint import Tiers, host_view, workload_id, workload_view
from tortie.calc.ordered import Ordered
from tortie.calc.tunnel import NetworkKey
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    HostEndpoint,
    HostMetadata,
    IPPool,
    Vtep,
    VxlanRoute,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.model import v1
from tortie.net.address import IPFamily, Prefix


class InForce:
    """The tables of a view but those of sets and routes, which others keep."""

    def __init__(self) -> None:
        self.workloads = Ordered[WorkloadId, WorkloadEndpoint]()
        self.host_endpoints = Ordered[str, HostEndpoint]()
        self.policies = Ordered[str, ActivePolicy]()
        self.profiles = Ordered[str, ActiveProfile]()
        self.pools = Ordered[NetworkKey, IPPool]()
        self.hosts = Ordered[str, HostMetadata]()
        self.vteps = Ordered[str, Vtep]()

    def set_endpoint(self, value: v1.Workload | v1.HostEndpoint, tiers: Tiers | None) -> None:
        """Says which policies apply to an endpoint of the node; None when the endpoint is gone."""
        if isinstance(value, v1.Workload):
            self.workloads.set(workload_id(value), None if tiers is None else workload_view(value, tiers))
        else:
            self.host_endpoints.set(value.name, None if tiers is None else host_view(value, tiers))

    def take_changes(
        self, ip_sets: Mapping[str, MemberChange], routes: Ordered[NetworkKey, VxlanRoute], config: frozenset[str]
    ) -> Changes:
        """What is not as it was when this was asked last, together with what others found."""
        return Changes(
            workloads=self.workloads.take_changed(),
            host_endpoints=self.host_endpoints.take_changed(),
            policies=self.policies.take_changed(),
            profiles=self.profiles.take_changed(),
            ip_sets=ip_sets,
            pools=_networks(self.pools.take_changed()),
            hosts=self.hosts.take_changed(),
            vteps=self.vteps.take_changed(),
            vxlan_routes=_networks(routes.take_changed()),
            config=config,
        )


def _networks(keys: frozenset[NetworkKey]) -> frozenset[Prefix]:
    return frozenset(Prefix(IPFamily(version), address, length) for version, address, length in keys)
