"""What of a device counts."""

from __future__ import annotations

import pytest

from tortie.agent.interface import Interface, interface_of, node_interfaces
from tortie.net.address import parse_address, parse_prefix
from tortie.net.node import InterfaceAddress, Link
from tortie.render.state import NodeInterface


@pytest.mark.parametrize(("up", "carrier", "running"), [(True, True, True), (True, False, False), (False, True, False)])
def test_an_interface_is_up_when_it_can_carry_packets(up: bool, carrier: bool, running: bool) -> None:
    assert interface_of(Link("eth0", 2, up=up, carrier=carrier)).up is running


def test_addresses_count_without_their_networks() -> None:
    link = Link("eth0", 2, addresses=(InterfaceAddress(parse_prefix("10.0.0.1/24")),))
    assert interface_of(link).addresses == {parse_address("10.0.0.1")}


def test_the_renderer_gets_them_by_name() -> None:
    assert node_interfaces([Interface("b"), Interface("a", up=False)]) == (NodeInterface("a"), NodeInterface("b"))
