"""All that a node should have beside rules and sets, put together; and where the cluster's addresses clash with its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tortie.agent.interface import Interface
from tortie.agent.route import owners_of_interfaces, workload_routes
from tortie.agent.setting import Settings
from tortie.agent.sysctl import node_settings, workload_settings
from tortie.agent.tunnel import ipip_device, vxlan_part
from tortie.calc.view import NodeView
from tortie.net.address import Address
from tortie.reconcile.network import WantedNetwork
from tortie.reconcile.network_text import is_device_name
from tortie.render import names
from tortie.render.config import RenderConfig


@dataclass(frozen=True, slots=True)
class DesiredNetwork:
    """What is wanted, which addresses are a workload's, and what could not be made of the view."""

    wanted: WantedNetwork
    routed: frozenset[Address]
    remarks: tuple[str, ...] = ()


def desired_network(
    view: NodeView,
    config: RenderConfig,
    settings: Settings,
    interfaces: Iterable[Interface],
    new_devices: frozenset[str] = frozenset(),
) -> DesiredNetwork:
    """What a view asks of the node's network; the order of the view's tuples means nothing."""
    interfaces = tuple(interfaces)
    owners = owners_of_interfaces(view)
    pairs = list(workload_routes(owners.values(), config.families))
    vxlan = vxlan_part(view, config, settings, interfaces)
    wanted = WantedNetwork(
        interface_prefixes=config.interface_prefixes,
        vxlan_name=names.VXLAN_DEVICE,
        routes=(*(route for route, _ in pairs), *sorted(vxlan.routes, key=lambda route: str(route.destination))),
        neighbours=(*(static for _, static in pairs if static is not None), *vxlan.neighbours),
        forwarding=vxlan.forwarding,
        settings=(*node_settings(), *workload_settings(owners, config.families)),
        vxlan=vxlan.device,
        keeps_vxlan=config.vxlan_enabled,
        ipip=ipip_device(config, settings),
        families=config.families,
        new_devices=new_devices,
    )
    routed = frozenset(Address(route.destination.family, route.destination.address) for route, _ in pairs)
    remarks = [vxlan.remark] if vxlan.remark is not None else []
    remarks += _impossible_names(view)
    return DesiredNetwork(wanted, routed, (*remarks, *_overlaps(view, config, interfaces)))


def _impossible_names(view: NodeView) -> list[str]:
    return [
        f"workload {workload.id.workload}: no interface can be called {workload.interface!r}"
        for workload in sorted(view.workloads, key=lambda workload: workload.id)
        if not is_device_name(workload.interface)
    ]


def _overlaps(view: NodeView, config: RenderConfig, interfaces: Iterable[Interface]) -> list[str]:
    """Pools that hold an address of the node's own: packets for the node and for workloads would be confused."""
    tunnels = (names.VXLAN_DEVICE, names.IPIP_DEVICE, "wireguard.cali", "lo")
    return [
        f"pool {pool.cidr} holds {address}, the node's own address on {interface.name}: "
        "give the pool another network, or its workloads will be taken for the node"
        for pool in sorted(view.pools, key=lambda pool: str(pool.cidr))
        for interface in sorted(interfaces, key=lambda interface: interface.name)
        if interface.name not in tunnels and not config.is_workload_interface(interface.name)
        for address in sorted(interface.addresses, key=lambda address: (address.family.value, address.value))
        if address.family is pool.cidr.family and pool.cidr.contains(address.value)
    ]
