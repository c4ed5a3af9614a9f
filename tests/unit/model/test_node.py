"""Nodes (spec: model 1.5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model_value import read_spec, refusal_of_spec
from tortie.model.node import Node, OrchRef
from tortie.net.address import parse_address, parse_prefix


def test_a_node() -> None:
    spec = read_spec(
        Node,
        {
            "bgp": {
                "asNumber": "1.10",
                "ipv4Address": "10.0.0.1/24",
                "ipv4IPIPTunnelAddr": "10.65.0.1",
                "routeReflectorClusterID": "224.0.0.1",
            },
            "ipv4VXLANTunnelAddr": "10.65.0.2",
            "orchRefs": [{"nodeName": "n", "orchestrator": "k8s"}],
        },
    ).spec
    assert spec.bgp is not None
    assert (spec.bgp.as_number, spec.bgp.ipv4_address) == (65546, parse_prefix("10.0.0.1/24"))
    assert spec.bgp.ipv4_ipip_tunnel_addr == parse_address("10.65.0.1")
    assert spec.ipv4_vxlan_tunnel_addr == parse_address("10.65.0.2")
    assert spec.orch_refs == (OrchRef("n", "k8s"),)


@pytest.mark.parametrize(
    ("bgp", "message"),
    [
        ({}, "spec.bgp: Spec.BGP should not be empty"),
        ({"ipv4Address": "fd00::1/64"}, "spec.bgp.ipv4Address: 'fd00::1/64' is not an IPv4 address"),
        ({"ipv6Address": "10.0.0.1/24"}, "spec.bgp.ipv6Address: '10.0.0.1/24' is not an IPv6 address"),
        ({"ipv4IPIPTunnelAddr": "10.0.0.1/24"}, "spec.bgp.ipv4IPIPTunnelAddr: not an IP address"),
    ],
)
def test_refused(bgp: dict[str, Any], message: str) -> None:
    assert message in refusal_of_spec(Node, {"bgp": bgp})
