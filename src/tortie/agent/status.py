"""How the agent and its endpoints do, as values: what status files, datastore keys and `tortie status` are made of.

Endpoints: spec model 7.5. An endpoint that could not be set up is in error, one whose interface is missing or down is down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tortie.agent.interface import Interface, node_interfaces
from tortie.agent.report import Endpoint, EndpointStatus
from tortie.agent.route import owners_of_interfaces
from tortie.agent.state import Agent, Unreadable
from tortie.calc.view import ALL_INTERFACES, HostEndpoint, NodeView, WorkloadId
from tortie.render.config import RenderConfig
from tortie.render.host_endpoint import resolve_host_endpoints


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Everything that is said about the agent at one moment; `uptime_s` since it began."""

    hostname: str
    pid: int
    uptime_s: float
    in_sync: bool
    ready: bool
    lost: str | None
    held_back: str | None
    """Why nothing is programmed, None when it is."""
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    endpoints: Mapping[Endpoint, EndpointStatus] = field(default_factory=dict)
    reporting: bool = False
    """True when the datastore is to hold the endpoints' status too."""
    reporting_ttl_s: float = 0.0
    region: str = ""


def node_status(state: Agent, held_back: str | None, pid: int, uptime_s: float) -> NodeStatus:
    """The status that a state has."""
    return NodeStatus(
        hostname=state.hostname,
        pid=pid,
        uptime_s=uptime_s,
        in_sync=state.in_sync,
        ready=state.ready,
        lost=state.lost,
        held_back=held_back,
        problems=state.problems,
        remarks=state.remarks,
        unreadable=tuple(sorted(state.unreadable.values(), key=lambda one: (one.place, str(one.key)))),
        endpoints=state.statuses,
        reporting=state.settings.endpoint_reporting_enabled,
        reporting_ttl_s=state.settings.reporting_ttl_s,
        region=state.settings.openstack_region,
    )


def endpoint_statuses(
    view: NodeView, config: RenderConfig, interfaces: Iterable[Interface], failed: frozenset[str]
) -> dict[Endpoint, EndpointStatus]:
    """The status of every local endpoint; `failed` are interfaces on which something could not be set up."""
    interfaces = tuple(interfaces)
    up = {interface.name for interface in interfaces if interface.up}
    found: dict[Endpoint, EndpointStatus] = {}
    owners: Mapping[str, WorkloadId] = {name: workload.id for name, workload in owners_of_interfaces(view).items()}
    for workload in view.workloads:
        if owners.get(workload.interface) != workload.id or workload.interface in failed:
            found[workload.id] = EndpointStatus.ERROR
        else:
            active = workload.active and workload.interface in up
            found[workload.id] = EndpointStatus.UP if active else EndpointStatus.DOWN
    resolved = resolve_host_endpoints(view.host_endpoints, node_interfaces(interfaces), config)
    for endpoint in view.host_endpoints:
        names = [name for name, one in resolved.by_interface.items() if one.id == endpoint.id]
        found[endpoint.id] = _host_status(endpoint, names, up)
    return found


def _host_status(endpoint: HostEndpoint, names: Iterable[str], up: set[str]) -> EndpointStatus:
    if endpoint.interface == ALL_INTERFACES:
        return EndpointStatus.UP
    names = tuple(names)
    if not names:
        return EndpointStatus.ERROR
    return EndpointStatus.UP if all(name in up for name in names) else EndpointStatus.DOWN
