"""Addresses of tunnel devices, and when there are any (spec: model 6.7, 11). Routes: test_calculation.py."""

from __future__ import annotations

import pytest

from tortie.calc.tunnel import is_vxlan_enabled, vtep_mac, vtep_of
from tortie.model import v1
from tortie.net.address import parse_address


@pytest.mark.parametrize(
    ("node", "mac"),
    [("node1", "66:f9:37:c3:7e:94"), ("host-1", "66:35:54:e6:28:19"), ("worker-a", "66:54:1c:6e:f7:4d")],
)
def test_address_of_a_nodes_tunnel_device(node: str, mac: str) -> None:
    assert vtep_mac(node).hex(":") == mac


@pytest.mark.parametrize(
    ("text", "enabled"),
    [("true", True), ("True", True), ("1", True), ("yes", True), ("false", False), ("", False), ("maybe", False)],
)
def test_what_the_parameter_says(text: str, enabled: bool) -> None:
    assert is_vxlan_enabled({"VXLANEnabled": text}) is enabled


def test_vxlan_is_off_unless_it_is_said() -> None:
    assert not is_vxlan_enabled({})


@pytest.mark.parametrize("known", ["address", "vxlan_address"])
def test_half_a_tunnel_is_none(known: str) -> None:
    assert vtep_of(v1.Host("n", **{known: parse_address("10.0.0.1")})) is None
