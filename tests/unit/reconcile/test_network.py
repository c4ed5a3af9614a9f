"""What is planned for a node's network, part by part; that plans are carried out is tests/contract/network.py's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.network import MAC, NOTHING, OTHER_MAC, PODS, TUNNEL, host
from tortie.net.address import Address, IPFamily, parse_address, parse_prefix
from tortie.net.node import InterfaceAddress, Link, Neighbour, NextHop, Route, RouteType
from tortie.reconcile.network import (
    AddAddress,
    AddForwarding,
    AddRoute,
    DeleteAddress,
    DeleteDevice,
    DeleteForwarding,
    DeleteNeighbour,
    DeleteRoute,
    ForgetConnections,
    ForwardingEntry,
    HeldNetwork,
    IpipDevice,
    MakeIpip,
    MakeVxlan,
    NetworkPlan,
    SetMac,
    SetMtu,
    SetNeighbour,
    SetSetting,
    SetUp,
    VxlanFacts,
    plan_network,
)

IP = parse_address("10.65.0.2")
LINKS = {name: Link(name, index) for index, name in enumerate(("eth0", "cali1", "cali2"), 1)}
HELD = HeldNetwork(LINKS)
FACTS = VxlanFacts(4096, 4789, "eth0", parse_address("10.20.0.1"))


def route(text: str, device: str, **changes: object) -> Route:
    return replace(Route(parse_prefix(text), (NextHop(device),)), **changes)  # type: ignore[arg-type]


def tunnel_link(**changes: object) -> Link:
    own = InterfaceAddress(parse_prefix("10.65.0.0/32"))
    return replace(Link("vxlan.calico", 9, mtu=1410, mac=MAC, addresses=(own,)), **changes)  # type: ignore[arg-type]


def test_everything_of_workloads_is_missing_at_first() -> None:
    plan = plan_network(PODS, HELD)
    assert plan.settings == tuple(SetSetting(setting) for setting in PODS.settings)
    assert plan.arriving == (SetNeighbour(PODS.neighbours[0]), *(AddRoute(one) for one in PODS.routes))
    assert plan.leaving == plan.forgetting == ()


@pytest.mark.parametrize(
    "link",
    [None, Link("cali1", 2, up=False), Link("cali1", 2, carrier=False)],
    ids=["missing", "down", "without carrier"],
)
def test_nothing_is_planned_for_a_device_that_is_not_up(link: Link | None) -> None:
    links = {name: one for name, one in LINKS.items() if name != "cali1"} | ({} if link is None else {"cali1": link})
    assert plan_network(PODS, HeldNetwork(links)).steps == (AddRoute(host("10.65.0.3/32", "cali2")),)


@pytest.mark.parametrize(
    ("held", "stays"),
    [
        (route("10.65.0.9/32", "cali1"), False),
        (route("10.65.0.9/32", "cali1", protocol="static", scope="global"), False),
        (route("fe80::/64", "cali1"), True),
        (route("10.65.0.9/32", "eth0"), True),
        (route("10.65.0.9/32", "cali1", table="100"), True),
        (route("10.65.0.9/32", "cali1", type=RouteType.LOCAL), True),
        (route("10.65.0.9/32", "cali1", next_hops=(NextHop("cali1"), NextHop("eth0"))), True),
    ],
    ids=["of ours", "whoever made it", "link local", "other device", "other table", "not unicast", "several hops"],
)
def test_routes_that_nobody_wants_go_when_they_are_ours(held: Route, stays: bool) -> None:
    plan = plan_network(NOTHING, replace(HELD, routes=(held,)))
    assert plan.leaving == (() if stays else (DeleteRoute(held.prefix, "cali1"),))


def test_a_route_that_is_there_is_kept_whoever_made_it() -> None:
    wanted = replace(NOTHING, routes=(host("10.65.0.2/32", "cali1"),))
    assert plan_network(wanted, replace(HELD, routes=(route("10.65.0.2/32", "cali1", protocol="bird"),))) == NetworkPlan()


def test_a_family_that_is_not_supported_is_let_alone() -> None:
    wanted = replace(NOTHING, families=(IPFamily.V4,))
    assert plan_network(wanted, replace(HELD, routes=(route("fd00::1/128", "cali1"),))) == NetworkPlan()


@pytest.mark.parametrize(
    ("wanted", "held", "before", "forgotten"),
    [
        ((), (route("10.65.0.2/32", "cali1"),), frozenset(), (IP,)),
        ((host("10.65.0.2/32", "cali2"),), (route("10.65.0.2/32", "cali1"),), frozenset(), (IP,)),
        ((), (), frozenset({IP}), (IP,)),
        ((host("10.65.0.2/32", "cali1"),), (), frozenset({IP}), ()),
        ((), (route("10.65.0.0/24", "cali1"),), frozenset(), ()),
    ],
    ids=["gone", "moved", "gone with its device", "still wanted", "a network is no workload"],
)
def test_whose_conversations_are_forgotten(
    wanted: tuple[object, ...], held: tuple[Route, ...], before: frozenset[Address], forgotten: tuple[Address, ...]
) -> None:
    made = plan_network(replace(NOTHING, routes=wanted), replace(HELD, routes=held), before)  # type: ignore[arg-type]
    assert made.forgetting == tuple(map(ForgetConnections, forgotten))


def test_a_tunnel_is_made_whole() -> None:
    assert TUNNEL.vxlan is not None
    name, device = TUNNEL.vxlan.name, TUNNEL.vxlan
    assert plan_network(TUNNEL, HELD).arriving == (
        MakeVxlan(device),
        SetMtu(name, 1410),
        AddAddress(name, parse_prefix("10.65.0.0/32")),
        SetUp(name),
        SetNeighbour(TUNNEL.neighbours[0]),
        AddForwarding(TUNNEL.forwarding[0]),
        AddRoute(TUNNEL.routes[0]),
    )


def test_a_tunnel_waits_for_the_device_that_carries_it() -> None:
    assert plan_network(TUNNEL, HeldNetwork()) == NetworkPlan()


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, vni=1),
        replace(FACTS, port=8472),
        replace(FACTS, parent="eth1"),
        replace(FACTS, local=None),
        replace(FACTS, plain=False),
        None,
    ],
    ids=["vni", "port", "parent", "local address", "options", "not a tunnel"],
)
def test_what_cannot_be_changed_is_made_anew(facts: VxlanFacts | None) -> None:
    plan = plan_network(TUNNEL, HeldNetwork({**LINKS, "vxlan.calico": tunnel_link()}, facts))
    assert DeleteDevice("vxlan.calico") in plan.leaving
    assert len(plan.arriving) == 7


@pytest.mark.parametrize(
    ("link", "steps"),
    [
        (tunnel_link(), ()),
        (tunnel_link(mac=OTHER_MAC), (SetMac("vxlan.calico", MAC),)),
        (tunnel_link(mtu=1500), (SetMtu("vxlan.calico", 1410),)),
        (tunnel_link(up=False), (SetUp("vxlan.calico"),)),
        (
            tunnel_link(addresses=(InterfaceAddress(parse_prefix("10.65.0.7/32")),)),
            (
                DeleteAddress("vxlan.calico", parse_prefix("10.65.0.7/32")),
                AddAddress("vxlan.calico", parse_prefix("10.65.0.0/32")),
            ),
        ),
    ],
    ids=["right", "mac", "mtu", "down", "address"],
)  # fmt: skip
def test_what_can_be_changed_is_changed(link: Link, steps: tuple[object, ...]) -> None:
    wanted = replace(TUNNEL, routes=(), neighbours=(), forwarding=())
    assert plan_network(wanted, HeldNetwork({**LINKS, "vxlan.calico": link}, FACTS)).steps == steps


def test_what_stands_in_a_tunnel_and_is_not_wanted_goes() -> None:
    old = ForwardingEntry("vxlan.calico", OTHER_MAC, parse_address("10.20.0.9"))
    held = HeldNetwork(
        {**LINKS, "vxlan.calico": tunnel_link()},
        FACTS,
        routes=(route("10.65.9.0/26", "vxlan.calico"),),
        neighbours=(Neighbour(parse_address("10.65.9.0"), "vxlan.calico", MAC), Neighbour(IP, "cali1", MAC)),
        forwarding=frozenset({old, TUNNEL.forwarding[0]}),
    )
    assert plan_network(TUNNEL, held).leaving == (
        DeleteRoute(parse_prefix("10.65.9.0/26"), "vxlan.calico"),
        DeleteNeighbour("vxlan.calico", parse_address("10.65.9.0")),
        DeleteForwarding(old),
    )


@pytest.mark.parametrize(("kept", "steps"), [(True, ()), (False, (DeleteDevice("vxlan.calico"),))])
def test_a_tunnel_that_is_not_wanted(kept: bool, steps: tuple[object, ...]) -> None:
    held = HeldNetwork({**LINKS, "vxlan.calico": tunnel_link()}, FACTS)
    assert plan_network(replace(NOTHING, keeps_vxlan=kept), held).steps == steps


def test_an_ipip_device_is_made_and_let_alone_when_ipip_is_off() -> None:
    device = IpipDevice("tunl0", 1440, IP)
    wanted = replace(NOTHING, ipip=device)
    made = (MakeIpip(device), SetMtu("tunl0", 1440), AddAddress("tunl0", parse_prefix("10.65.0.2/32")), SetUp("tunl0"))
    assert plan_network(wanted, HELD).steps == made
    held = HeldNetwork({**LINKS, "tunl0": Link("tunl0", 7, mtu=1440)})
    assert plan_network(wanted, held).steps == (made[2],)
    assert plan_network(NOTHING, held).steps == ()
