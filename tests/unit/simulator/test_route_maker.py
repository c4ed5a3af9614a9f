"""What both families do alike: from a lookup's finding to a decision."""

from __future__ import annotations

import pytest

from tests.router_builder import BED, V4, V6, links, route, rule, value
from tortie.net.address import IPFamily
from tortie.net.node import NextHop, Route
from tortie.simulator.device import Devices
from tortie.simulator.fib import Hop, compile_entry
from tortie.simulator.policy import Found
from tortie.simulator.route_decision import RouteKind
from tortie.simulator.route_maker import RouteMaker
from tortie.simulator.setting import Settings


def make_hop(owner: Route, hop: NextHop) -> Hop:
    return Hop(hop, hop.dev, True, True, hop.gateway is None)


def maker(family: IPFamily = V4, sysctls: dict[str, str] | None = None) -> RouteMaker:
    return RouteMaker(family, Devices(links(BED), family), Settings(sysctls, family))


def found(text: str, family: IPFamily = V4) -> Found:
    return Found(entry=compile_entry(route(text, family), make_hop))


@pytest.mark.parametrize(
    ("text", "next_hop", "gateway"),
    [
        ("default via 10.1.0.254 dev e1", "10.1.0.254", "10.1.0.254"),
        ("default dev e1", "8.8.8.8", None),
        ("default via fe80::1 dev e1", "8.8.8.8", "fe80::1"),
    ],
    ids=["a gateway", "on the link", "a gateway of the other family"],
)
def test_the_next_hop_is_the_gateway_or_the_destination(text: str, next_hop: str, gateway: str | None) -> None:
    decision = maker().pass_on(found(text), value("8.8.8.8"))
    assert decision.next_hop == value(next_hop)
    assert (str(decision.gateway) if decision.gateway else None) == gateway


def test_a_refusal_carries_its_errno() -> None:
    entry = compile_entry(route("prohibit default"), make_hop)
    decision = maker().refuse(Found("EACCES", entry), icmp=(3, 13))
    assert (decision.kind, decision.errno, decision.icmp, decision.why) == (
        RouteKind.PROHIBIT, "EACCES", (3, 13), "prohibit default, table main",
    )  # fmt: skip


def test_what_refused_without_a_route_is_named() -> None:
    assert maker().describe(Found("ENETUNREACH")) == "no route"
    assert maker().describe(Found("EACCES", rule=rule("50: prohibit"))) == "policy rule 50 says prohibit"


def test_the_mtu_is_the_routes_own_before_the_devices() -> None:
    assert maker().mtu("e0", 1400) == 1400
    assert maker().mtu("e0") == 1500
    assert maker().mtu("lo") == 65535
    assert maker().mtu("gone") is None


def test_ipv6_devices_may_have_an_mtu_of_their_own() -> None:
    assert maker(V6, {"net.ipv6.conf.e0.mtu": "1280"}).mtu("e0") == 1280
    assert maker(V6).mtu("lo") == 65536
