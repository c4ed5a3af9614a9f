"""Routes and static ARP entries of workloads (spec: model 7.1).

A workload's addresses, floating ones included, are routed to its interface while it is active; to each IPv4 address of one
with a known MAC belongs a static ARP entry. Of several workloads on one interface the one with the lowest id has it, as in
the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tortie.calc.view import NodeView, WorkloadEndpoint
from tortie.net.address import Address, IPFamily, Prefix
from tortie.reconcile.network import DeviceRoute, StaticNeighbour
from tortie.reconcile.network_text import is_device_name


def owners_of_interfaces(view: NodeView) -> dict[str, WorkloadEndpoint]:
    """The workload of each interface that can exist, by the interface's name."""
    found: dict[str, WorkloadEndpoint] = {}
    for workload in sorted(view.workloads, key=lambda workload: (workload.interface, workload.id)):
        if is_device_name(workload.interface):
            found.setdefault(workload.interface, workload)
    return found


def routed_addresses(workload: WorkloadEndpoint) -> list[Address]:
    """Addresses of one workload, each once: its own, then its floating ones."""
    if not workload.active:
        return []
    own = (Address(net.family, net.address) for net in workload.networks)
    return list(dict.fromkeys((*own, *(nat.external for nat in workload.nats))))


def workload_routes(
    workloads: Iterable[WorkloadEndpoint], families: tuple[IPFamily, ...]
) -> Iterator[tuple[DeviceRoute, StaticNeighbour | None]]:
    """A route for each address, and the ARP entry that goes with it."""
    for workload in workloads:
        for address in routed_addresses(workload):
            if address.family not in families:
                continue
            route = DeviceRoute(Prefix(address.family, address.value, address.family.bits), workload.interface)
            static = None
            if workload.mac is not None and address.family is IPFamily.V4:
                static = StaticNeighbour(workload.interface, address, workload.mac)
            yield route, static
