"""IPv6 decisions (spec: netfilter 11)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.router_builder import BED, V6, arrives, packet, router, sends, snapshot, value
from tortie.net.address import parse_address
from tortie.net.node import Neighbour
from tortie.simulator.answer import Doubt
from tortie.simulator.route import RouteDecision, RouteKind, Router

DEFAULT = "default via fd00:1::254 dev e1"
LINK = {name: f"{text} fe80::{number}/64" for number, (name, text) in enumerate(BED.items(), 1)}


def comes(routes: str, src: str, dst: str, *, sysctls: dict[str, str] | None = None, mark: int = 0) -> RouteDecision:
    return arrives(router(routes, family=V6, devices=LINK, sysctls=sysctls), src, dst, mark=mark)


KINDS = {
    "an own address": ("fd00::1", RouteKind.LOCAL, None),
    "an own address of another device": ("fd00:2::1", RouteKind.LOCAL, None),
    "the subnet-router anycast address": ("fd00:2::", RouteKind.LOCAL, None),
    "the own link-local address": ("fe80::1", RouteKind.LOCAL, None),
    "another device's link-local address": ("fe80::2", RouteKind.UNICAST, "e0"),
    "a neighbour's link-local address": ("fe80::99", RouteKind.UNICAST, "e0"),
    "somebody on a link": ("fd00:1::9", RouteKind.UNICAST, "e1"),
    "somebody far away": ("2001:db8::1", RouteKind.UNICAST, "e1"),
    "all nodes": ("ff02::1", RouteKind.MULTICAST, None),
    "the group of an own address": ("ff02::1:ff00:1", RouteKind.MULTICAST, None),
    "another group": ("ff02::1:ff00:99", RouteKind.UNKNOWN, None),
}


@pytest.mark.parametrize("case", KINDS)
def test_where_a_packet_goes(case: str) -> None:
    destination, kind, iface = KINDS[case]
    decision = comes(DEFAULT, "fd00::5", destination)
    assert (decision.kind, decision.iface) == (kind, iface)


def test_routers_have_joined_the_routers_group() -> None:
    on = {"net.ipv6.conf.e0.forwarding": "1"}
    assert comes(DEFAULT, "fd00::5", "ff02::2", sysctls=on).kind is RouteKind.MULTICAST
    assert comes(DEFAULT, "fd00::5", "ff02::2").kind is RouteKind.UNKNOWN


def test_own_addresses_are_accepted_as_source() -> None:
    assert comes(DEFAULT, "fd00:2::1", "fd00:1::9").kind is RouteKind.UNICAST


ERRORS = {
    "no route": ("", (1, 0), "IP_INNOROUTES", RouteKind.NO_ROUTE),
    "unreachable": ("unreachable default", (1, 0), "IP_INNOROUTES", RouteKind.UNREACHABLE),
    "prohibit": ("prohibit default", (1, 1), "IP_INNOROUTES", RouteKind.PROHIBIT),
    "blackhole": ("blackhole default", None, None, RouteKind.BLACKHOLE),
    "by way of lo": ("default dev lo", (1, 0), "IP_INNOROUTES", RouteKind.NO_ROUTE),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_the_sender_is_told(case: str) -> None:
    routes, icmp, reason, kind = ERRORS[case]
    decision = comes(routes, "fd00::5", "2001:db8::1")
    assert (decision.icmp, decision.drop_reason, decision.kind) == (icmp, reason, kind)


def test_a_group_without_route_is_dropped_silently() -> None:
    devices = {**LINK, "e0": ""}
    made = router(DEFAULT, family=V6, devices=devices, down=("e0",))
    assert arrives(made, "fd00::5", "ff02::1").icmp is None


FORWARDING = {
    "on": ({}, RouteKind.UNICAST),
    "off": ({"net.ipv6.conf.all.forwarding": "0"}, RouteKind.MARTIAN),
    "off but forced here": (
        {"net.ipv6.conf.all.forwarding": "0", "net.ipv6.conf.e0.force_forwarding": "1"}, RouteKind.UNICAST,
    ),
    "off but forced elsewhere": (
        {"net.ipv6.conf.all.forwarding": "0", "net.ipv6.conf.e1.force_forwarding": "1"}, RouteKind.MARTIAN,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FORWARDING)
def test_forwarding_is_decided_for_the_whole_node(case: str) -> None:
    sysctls, kind = FORWARDING[case]
    decision = comes(DEFAULT, "fd00::5", "fd00:1::9", sysctls=sysctls)
    assert decision.kind is kind
    if kind is RouteKind.MARTIAN:
        assert (decision.drop_reason, decision.sysctl) == ("IP_INADDRERRORS", "net.ipv6.conf.all.forwarding")


REDIRECTS = {
    "a neighbour of the sender": ("fd00::5", "fd00::9", True),
    "by a gateway known by its link address": ("fd00::5", "2001:db8:1::1", True),
    "by a gateway known by another": ("fd00::5", "2001:db8:2::1", False),
    "the sender is no neighbour": ("3ffe::5", "fd00::9", False),
    "out of another device": ("fd00::5", "fd00:1::9", False),
}


@pytest.mark.parametrize("case", REDIRECTS)
def test_the_sender_is_told_of_the_shorter_way(case: str) -> None:
    source, destination, expected = REDIRECTS[case]
    routes = f"{DEFAULT}\n2001:db8:1::/48 via fe80::99 dev e0\n2001:db8:2::/48 via fd00::99 dev e0"
    assert comes(routes, source, destination).redirect is expected


def test_a_device_without_link_local_address_sends_no_redirect() -> None:
    assert not arrives(router("", family=V6), "fd00::5", "fd00::9").redirect


# --- next hops ---------------------------------------------------------------------------------------------------

TWO = "2001:db8::/32 nexthop via fd00:1::9 dev e1 weight 1 nexthop via fd00:2::9 dev e2 weight 3"


def test_every_next_hop_of_a_multipath_route_is_possible() -> None:
    decisions = router(TWO, family=V6).route_input(packet("fd00::5", "2001:db8::1"), "e0", 0)
    assert [(one.iface, one.probability) for one in decisions] == [("e1", 0.25), ("e2", 0.75)]


def test_a_nexthop_object_that_is_not_there_is_unknown() -> None:
    made = router("2001:db8::/32 nhid 7", family=V6)
    assert arrives(made, "fd00::5", "2001:db8::1").why.endswith("its nexthop object 7 is not in the snapshot")
    assert sends(made, "2001:db8::1", "fd00::1").kind is RouteKind.UNKNOWN


def test_the_device_a_packet_came_in_by_is_preferred_among_equals() -> None:
    routes = "2001:db8::/32 dev e1\n2001:db8::/32 dev e2"
    made = router(routes, family=V6)
    assert arrives(made, "fd00::5", "2001:db8::1", "e2").iface == "e2"
    assert arrives(made, "fd00::5", "2001:db8::1", "e0").iface == "e1"


def test_source_specific_routes_count_the_packets_source() -> None:
    routes = f"{DEFAULT}\ndefault from fd00::/64 via fd00:2::9 dev e2"
    made = router(routes, family=V6)
    assert arrives(made, "fd00::5", "2001:db8::1").iface == "e2"
    assert arrives(made, "fd00:3::5", "2001:db8::1", "e3").iface == "e1"


@pytest.mark.parametrize(("state", "expected"), [("FAILED", "e2"), ("STALE", "e1")], ids=["failed", "only stale"])
def test_a_host_avoids_gateways_that_do_not_answer(state: str, expected: str) -> None:
    routes = "default via fd00:1::9 dev e1 metric 1\ndefault via fd00:2::9 dev e2 metric 5"
    gone = (Neighbour(parse_address("fd00:1::9"), "e1", states=(state,)),)
    host = router(routes, family=V6, sysctls={"net.ipv6.conf.all.forwarding": "0"}, neighbours=gone)
    assert sends(host, "2001:db8::1").iface == expected
    assert sends(router(routes, family=V6, neighbours=gone), "2001:db8::1").iface == "e1"


def test_a_host_whose_gateways_all_fail_takes_the_first() -> None:
    gone = (Neighbour(parse_address("fd00:1::9"), "e1", states=("FAILED",)),)
    off = {"net.ipv6.conf.all.forwarding": "0"}
    host = router("default via fd00:1::9 dev e1", family=V6, sysctls=off, neighbours=gone)
    assert sends(host, "2001:db8::1").iface == "e1"


# --- output ------------------------------------------------------------------------------------------------------


def test_local_destinations_go_over_lo() -> None:
    decision = sends(router(DEFAULT, family=V6), "fd00:2::1")
    assert (decision.kind, decision.iface, decision.source) == (RouteKind.LOCAL, "lo", value("fd00:2::1"))
    assert sends(router(DEFAULT, family=V6), "").next_hop == value("::1")


def test_an_open_source_is_chosen_for_the_device_or_taken_from_the_route() -> None:
    assert sends(router(DEFAULT, family=V6), "2001:db8::1").source == value("fd00:1::1")
    hinted = router(f"{DEFAULT} src fd00:3::1", family=V6)
    assert sends(hinted, "2001:db8::1").source == value("fd00:3::1")


def test_without_a_route_for_any_source_one_is_chosen_first() -> None:
    made = router("2001:db8::/32 from fd00::/64 dev e0", family=V6, devices={"e0": "fd00::1/64"})
    decision = sends(made, "2001:db8::1")
    assert (decision.iface, decision.source) == ("e0", value("fd00::1"))


ERRNOS = {
    "no route": ("", {}, "ENETUNREACH"),
    "unreachable": ("unreachable default", {}, "EHOSTUNREACH"),
    "prohibit": ("prohibit default", {}, "EACCES"),
    "blackhole": ("blackhole default", {}, "EINVAL"),
    "bound to a device without route": (DEFAULT, {"out_iface": "e2"}, "ENETUNREACH"),
    "a device that is not there": (DEFAULT, {"out_iface": "e9"}, "ENODEV"),
}


@pytest.mark.parametrize("case", ERRNOS)
def test_the_sender_gets_an_errno(case: str) -> None:
    routes, more, errno = ERRNOS[case]
    assert sends(router(routes, family=V6), "2001:db8::1", "fd00::1", **more).errno == errno


def test_a_device_that_was_only_wished_for_is_given_up() -> None:
    made = router(DEFAULT, family=V6)
    assert sends(made, "2001:db8::1", "fd00::1", out_iface="e2", bound=False).iface == "e1"


def test_a_node_without_a_fitting_address_cannot_send() -> None:
    made = router("", family=V6, devices={"e0": ""})
    assert sends(made, "ff02::1", out_iface="e0").errno == "EADDRNOTAVAIL"


@pytest.mark.parametrize(
    ("destination", "looped"), [("ff02::1", True), ("ff02::99", None)], ids=["all nodes", "another group"]
)
def test_groups_leave_by_the_bound_device(destination: str, looped: bool | None) -> None:
    decision = sends(router(DEFAULT, family=V6), destination, out_iface="e2")
    assert (decision.kind, decision.iface, decision.looped) == (RouteKind.MULTICAST, "e2", looped)


def test_anycast_routes_that_somebody_added_are_ways_out() -> None:
    made = router("anycast 2001:db8::/48 dev e2", family=V6)
    assert sends(made, "2001:db8::1").iface == "e2"
    assert arrives(made, "fd00::5", "2001:db8::1").kind is RouteKind.LOCAL


# --- addresses ---------------------------------------------------------------------------------------------------

TYPES = {
    "fd00::1": {"UNICAST", "LOCAL"},
    "fd00::": {"UNICAST", "ANYCAST"},
    "fd00::9": {"UNICAST"},
    "2001:db8::1": {"UNICAST", "UNREACHABLE"},
    "ff02::1": {"MULTICAST"},
    "::": {"UNSPEC", "UNREACHABLE"},
    "fe80::1": {"UNICAST", "LOCAL"},
}


@pytest.mark.parametrize("address", TYPES)
def test_types_of_addresses(address: str) -> None:
    assert router("", family=V6, devices=LINK).address_type(value(address)) == TYPES[address]


def test_a_limited_test_knows_one_device_only() -> None:
    made = router("", family=V6)
    assert made.has_address_type(value("fd00::1"), ["LOCAL"], iface="e0") is True
    assert made.has_address_type(value("fd00::1"), ["LOCAL"], iface="e1") is False


def test_types_that_cannot_be_known_are_a_doubt() -> None:
    made = Router(replace(snapshot("", family=V6), routes={}), V6)
    assert isinstance(made.address_type(value("2001:db8::1")), Doubt)
    assert made.address_type(value("fd00::1")) == {"UNICAST", "LOCAL"}


MATCH = {
    "from the link": ("fd00::5", True, True, True),
    "routed by another device": ("fd00:1::9", False, True, False),
    "no route": ("3ffe::1", False, False, False),
    "own": ("fd00::1", False, False, True),
    "link-local": ("fe80::99", True, True, True),
    "unspecified": ("::", True, True, True),
    "the anycast address": ("fd00::", False, False, False),
}
"""Source, and whether it passes plainly, with --loose, with --accept-local."""


@pytest.mark.parametrize("case", MATCH)
def test_the_rpfilter_match(case: str) -> None:
    source, plain, loose, accept_local = MATCH[case]
    made, about = router("", family=V6, devices=LINK), packet(source, "2001:db8::1")
    assert made.reverse_path(about, "e0", 0) is plain
    assert made.reverse_path(about, "e0", 0, loose=True) is loose
    assert made.reverse_path(about, "e0", 0, accept_local=True) is accept_local


def test_redirect_and_masquerade_addresses() -> None:
    made = router(DEFAULT, family=V6, devices=LINK)
    assert made.redirect_address("e2", value("fd00:9::1")) == value("fd00:2::1")
    assert made.redirect_address("e2", value("fe80::77")) == value("fe80::3")
    assert made.masquerade_address("e1", None, value("2001:db8::1")) == value("fd00:1::1")
