"""The tunnel devices that a node should have, and what stands in them (spec: model 7.6, 7.7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tortie.agent.interface import Interface
from tortie.agent.setting import Settings
from tortie.calc.view import NodeView, Vtep
from tortie.reconcile.network import DeviceRoute, ForwardingEntry, IpipDevice, StaticNeighbour, VxlanDevice
from tortie.render import names
from tortie.render.config import RenderConfig


@dataclass(frozen=True, slots=True)
class VxlanPart:
    """The device with all that belongs to it; `remark` says why it cannot be made yet."""

    device: VxlanDevice | None = None
    routes: tuple[DeviceRoute, ...] = ()
    neighbours: tuple[StaticNeighbour, ...] = ()
    forwarding: tuple[ForwardingEntry, ...] = ()
    remark: str | None = None


def vxlan_part(view: NodeView, config: RenderConfig, settings: Settings, interfaces: Iterable[Interface]) -> VxlanPart:
    """What VXLAN needs; nothing at all when it is off."""
    if not config.vxlan_enabled:
        return VxlanPart()
    own = next((vtep for vtep in view.vteps if vtep.node == view.hostname), None)
    if own is None:
        return VxlanPart(remark="vxlan.calico: this node's own tunnel endpoint is not known yet")
    parent = _carrier(own, interfaces)
    if parent is None:
        return VxlanPart(remark=f"vxlan.calico: no interface has the node's address {own.parent_address}")
    if not 0 < config.vxlan_port < 65536 or config.vxlan_vni >= 1 << 24:
        return VxlanPart(remark=f"vxlan.calico: no device can have port {config.vxlan_port} and VNI {config.vxlan_vni}")
    name = names.VXLAN_DEVICE
    device = VxlanDevice(
        name,
        config.vxlan_vni,
        config.vxlan_port,
        settings.vxlan_mtu,
        own.mac,
        parent,
        own.parent_address,
        own.address,
    )
    others = sorted((vtep for vtep in view.vteps if vtep.node != view.hostname), key=lambda vtep: vtep.node)
    known = {vtep.node for vtep in others}
    return VxlanPart(
        device,
        tuple(DeviceRoute(one.destination, name, one.gateway) for one in view.vxlan_routes if one.node in known),
        tuple(StaticNeighbour(name, vtep.address, vtep.mac) for vtep in others),
        tuple(ForwardingEntry(name, vtep.mac, vtep.parent_address) for vtep in others),
    )


def _carrier(own: Vtep, interfaces: Iterable[Interface]) -> str | None:
    carriers = [one.name for one in interfaces if own.parent_address in one.addresses and one.name != names.VXLAN_DEVICE]
    return min(carriers, default=None)


def ipip_device(config: RenderConfig, settings: Settings) -> IpipDevice | None:
    """The IPIP device; None when IPIP is off, and then one that is there is let alone."""
    if not config.ipip_enabled:
        return None
    return IpipDevice(names.IPIP_DEVICE, settings.ipip_mtu, config.ipip_tunnel_address)
