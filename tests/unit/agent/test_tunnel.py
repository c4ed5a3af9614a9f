"""What tunnels need (spec: model 7.6, 7.7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.agent.interface import Interface
from tortie.agent.setting import DEFAULT_SETTINGS
from tortie.agent.tunnel import VxlanPart, ipip_device, vxlan_part
from tortie.calc.view import NodeView, Vtep, VxlanRoute
from tortie.net.address import parse_address, parse_prefix
from tortie.reconcile.network import DeviceRoute, ForwardingEntry, IpipDevice, StaticNeighbour, VxlanDevice
from tortie.render.config import RenderConfig

ON = RenderConfig(vxlan_enabled=True)
MAC, OTHER_MAC = bytes.fromhex("660000000001"), bytes.fromhex("660000000002")
OWN = Vtep("node-1", MAC, parse_address("10.65.1.0"), parse_address("10.20.0.1"))
OTHER = Vtep("node-2", OTHER_MAC, parse_address("10.65.2.0"), parse_address("10.20.0.2"))
ROUTE = VxlanRoute(parse_prefix("10.65.2.0/26"), "node-2", parse_address("10.65.2.0"))
VIEW = NodeView("node-1", vteps=(OTHER, OWN), vxlan_routes=(ROUTE,))
ETH0 = Interface("eth0", addresses=frozenset({parse_address("10.20.0.1")}))
NAME = "vxlan.calico"


def test_the_device_and_what_stands_in_it() -> None:
    assert vxlan_part(VIEW, ON, DEFAULT_SETTINGS, [ETH0]) == VxlanPart(
        VxlanDevice(NAME, 4096, 4789, 1410, MAC, "eth0", OWN.parent_address, OWN.address),
        (DeviceRoute(ROUTE.destination, NAME, ROUTE.gateway),),
        (StaticNeighbour(NAME, OTHER.address, OTHER_MAC),),
        (ForwardingEntry(NAME, OTHER_MAC, OTHER.parent_address),),
    )


def test_nothing_when_it_is_off() -> None:
    assert vxlan_part(VIEW, RenderConfig(), DEFAULT_SETTINGS, [ETH0]) == VxlanPart()


def test_a_route_to_a_node_without_tunnel_is_left_out() -> None:
    view = replace(VIEW, vteps=(OWN,))
    assert vxlan_part(view, ON, DEFAULT_SETTINGS, [ETH0]).routes == ()


@pytest.mark.parametrize(
    ("view", "config", "interfaces", "remark"),
    [
        (replace(VIEW, vteps=(OTHER,)), ON, [ETH0], "own tunnel endpoint is not known"),
        (VIEW, ON, [Interface("eth0")], "no interface has the node's address 10.20.0.1"),
        (VIEW, replace(ON, vxlan_vni=1 << 24), [ETH0], "no device can have port 4789 and VNI 16777216"),
        (VIEW, replace(ON, vxlan_port=0), [ETH0], "no device can have port 0"),
    ],
    ids=["own endpoint unknown", "no carrier", "vni", "port"],
)
def test_why_there_is_no_device_yet(view: NodeView, config: RenderConfig, interfaces: list[Interface], remark: str) -> None:
    part = vxlan_part(view, config, DEFAULT_SETTINGS, interfaces)
    assert part.device is None and part.remark is not None and remark in part.remark


def test_the_ipip_device() -> None:
    address = parse_address("10.65.1.1")
    config = RenderConfig(ipip_enabled=True, ipip_tunnel_address=address)
    assert ipip_device(config, replace(DEFAULT_SETTINGS, ipip_mtu=1400)) == IpipDevice("tunl0", 1400, address)
    assert ipip_device(RenderConfig(), DEFAULT_SETTINGS) is None
