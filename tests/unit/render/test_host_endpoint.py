"""Which host endpoint governs an interface (spec: rules 6.4, model 7.4)."""

from __future__ import annotations

import pytest

from tortie.calc.view import EndpointTier, HostEndpoint
from tortie.net.address import parse_address
from tortie.render.config import RenderConfig
from tortie.render.host_endpoint import resolve_host_endpoints
from tortie.render.state import NodeInterface

PRE_DNAT = (EndpointTier(ingress=("p",)),)


def named(name: str, interface: str) -> HostEndpoint:
    return HostEndpoint(name, interface)


def expecting(name: str, *addresses: str, interface: str = "") -> HostEndpoint:
    return HostEndpoint(name, interface, tuple(parse_address(address) for address in addresses))


def nic(name: str, *addresses: str) -> NodeInterface:
    return NodeInterface(name, frozenset(parse_address(address) for address in addresses))


@pytest.mark.parametrize(
    ("endpoints", "interfaces", "expected"),
    [
        ([named("a", "eth0")], [nic("eth0"), nic("eth1")], {"eth0": "a"}),
        ([expecting("a", "10.0.0.1")], [nic("eth0", "10.0.0.1", "10.0.0.2")], {"eth0": "a"}),
        ([expecting("a", "fd00::1")], [nic("eth0", "fd00::1")], {"eth0": "a"}),
        ([expecting("a", "10.0.0.1", "10.0.0.2")], [nic("e0", "10.0.0.1"), nic("e1", "10.0.0.2")], {"e0": "a", "e1": "a"}),
        ([expecting("a", "10.0.0.3")], [nic("eth0", "10.0.0.1")], {}),
        ([named("b", "eth0"), expecting("a", "10.0.0.1")], [nic("eth0", "10.0.0.1")], {"eth0": "a"}),
        ([named("a", "eth0"), expecting("b", "10.0.0.1")], [nic("eth0", "10.0.0.1")], {"eth0": "a"}),
        ([expecting("a", "10.0.0.1", interface="eth1")], [nic("eth0", "10.0.0.1")], {}),
        ([named("a", "cali1"), named("b", "kube-ipvs0")], [nic("cali1"), nic("kube-ipvs0")], {}),
        ([named("a", "*"), expecting("b")], [nic("eth0", "10.0.0.1")], {}),
    ],
    ids=[
        "by name",
        "by IPv4 address",
        "by IPv6 address",
        "one endpoint on two interfaces",
        "address elsewhere",
        "lowest id wins: address",
        "lowest id wins: name",
        "a name that does not fit is not made good by an address",
        "never on workload or excluded interfaces",
        "neither for all interfaces nor without anything to go by",
    ],
)
def test_resolution(endpoints: list[HostEndpoint], interfaces: list[NodeInterface], expected: dict[str, str]) -> None:
    found = resolve_host_endpoints(endpoints, interfaces, RenderConfig())
    assert {name: endpoint.id for name, endpoint in found.by_interface.items()} == expected
    again = resolve_host_endpoints(reversed(endpoints), reversed(interfaces), RenderConfig())
    assert again == found


def test_of_endpoints_for_all_interfaces_the_lowest_counts_and_only_with_pre_dnat_policy() -> None:
    plain, late, early = (
        HostEndpoint(name, "*", pre_dnat_tiers=tiers) for name, tiers in [("c", ()), ("b", PRE_DNAT), ("a", ())]
    )
    assert resolve_host_endpoints([plain, late], [], RenderConfig()).all_interfaces == late
    assert resolve_host_endpoints([late, early], [], RenderConfig()).all_interfaces is None
