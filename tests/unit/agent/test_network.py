"""Everything beside rules put together, and what cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.agent.test_route import POD
from tests.unit.agent.test_tunnel import ETH0, ON, VIEW
from tortie.agent.interface import Interface
from tortie.agent.network import desired_network
from tortie.agent.setting import DEFAULT_SETTINGS
from tortie.calc.view import IPPool, NodeView
from tortie.net.address import parse_address, parse_prefix
from tortie.render.config import RenderConfig

BOTH = replace(VIEW, workloads=(POD,))


def test_workloads_and_tunnels_are_wanted_together() -> None:
    desired = desired_network(BOTH, ON, DEFAULT_SETTINGS, [ETH0], frozenset({"cali9"}))
    assert {(str(route.destination), route.device) for route in desired.wanted.routes} == {
        ("10.65.0.2/32", "cali1"), ("fd00::2/128", "cali1"), ("203.0.113.7/32", "cali1"), ("10.65.2.0/26", "vxlan.calico"),
    }  # fmt: skip
    assert desired.wanted.settings[0].path == "net/ipv4/conf/default/rp_filter"
    assert desired.wanted.new_devices == {"cali9"}
    assert desired.remarks == ()


def test_only_what_leads_to_workloads_counts_as_routed() -> None:
    desired = desired_network(BOTH, ON, DEFAULT_SETTINGS, [ETH0])
    assert {str(address) for address in desired.routed} == {"10.65.0.2", "fd00::2", "203.0.113.7"}


def test_the_order_of_a_view_means_nothing() -> None:
    turned = replace(BOTH, vteps=BOTH.vteps[::-1], workloads=(replace(POD, interface="cali2", networks=()), POD))
    one = desired_network(turned, ON, DEFAULT_SETTINGS, [ETH0])
    other = desired_network(replace(turned, workloads=turned.workloads[::-1]), ON, DEFAULT_SETTINGS, [ETH0])
    assert one == other


def test_a_tunnel_that_is_not_known_yet_is_kept() -> None:
    wanted = desired_network(NodeView("node-1"), ON, DEFAULT_SETTINGS, [ETH0]).wanted
    assert (wanted.vxlan, wanted.keeps_vxlan) == (None, True)
    assert not desired_network(VIEW, RenderConfig(), DEFAULT_SETTINGS, [ETH0]).wanted.keeps_vxlan


@pytest.mark.parametrize(
    ("pool", "interface", "clash"),
    [
        ("10.20.0.0/16", ETH0, True),
        ("10.65.0.0/16", ETH0, False),
        ("fd00::/8", ETH0, False),
        ("10.20.0.0/16", replace(ETH0, name="cali1"), False),
        ("10.20.0.0/16", replace(ETH0, name="vxlan.calico"), False),
    ],
    ids=["clash", "elsewhere", "other family", "a workload's", "a tunnel's"],
)
def test_a_pool_that_holds_the_nodes_address_is_named(pool: str, interface: Interface, clash: bool) -> None:
    view = NodeView("node-1", pools=(IPPool(parse_prefix(pool)),))
    remarks = desired_network(view, RenderConfig(), DEFAULT_SETTINGS, [interface]).remarks
    assert [remark.startswith("pool 10.20.0.0/16 holds 10.20.0.1") for remark in remarks] == [True] * clash


def test_a_name_that_no_interface_can_have_is_named() -> None:
    view = NodeView("node-1", workloads=(replace(POD, interface="a b"),))
    desired = desired_network(view, RenderConfig(), DEFAULT_SETTINGS, [])
    assert desired.remarks == ("workload ns/pod: no interface can be called 'a b'",)
    assert not desired.wanted.routes and parse_address("10.65.0.2") not in desired.routed
