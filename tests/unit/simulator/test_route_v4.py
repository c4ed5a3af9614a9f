"""IPv4 decisions in the kernel's order (spec: netfilter 10)."""

from __future__ import annotations

import pytest

from tests.router_builder import BED, DEFAULT, arrives, packet, router, sends, value
from tortie.net.protocol import TCP
from tortie.simulator.route import RouteKind

REFUSED = {
    "a multicast source": ("224.0.0.5", "10.0.0.1", "IP_INVALID_SOURCE"),
    "the broadcast as source": ("255.255.255.255", "10.0.0.1", "IP_INVALID_SOURCE"),
    "no source": ("0.0.0.0", "10.0.0.1", "IP_INVALID_SOURCE"),
    "no destination": ("10.0.0.5", "0.0.0.0", "IP_INVALID_DEST"),
    "a loopback source": ("127.0.0.1", "10.0.0.1", "IP_LOCALNET"),
    "a loopback destination": ("10.0.0.5", "127.0.0.1", "IP_LOCALNET"),
    "an own source": ("10.3.0.1", "10.0.0.1", "IP_LOCAL_SOURCE"),
    "an own source toward all": ("10.3.0.1", "255.255.255.255", "IP_LOCAL_SOURCE"),
    "a multicast source toward a group": ("224.0.0.5", "224.0.0.1", "IP_INVALID_SOURCE"),
}
"""Spec: netfilter 10.3."""


@pytest.mark.parametrize("case", REFUSED)
def test_martians_are_refused_with_the_kernels_reason(case: str) -> None:
    source, destination, reason = REFUSED[case]
    decision = arrives(router(), source, destination)
    assert (decision.kind, decision.drop_reason, decision.icmp) == (RouteKind.MARTIAN, reason, None)


ACCEPTED = {
    "a class E source": ("240.0.0.1", "10.0.0.1", RouteKind.LOCAL),
    "a source in 0/8": ("0.1.2.3", "10.0.0.1", RouteKind.LOCAL),
    "no source toward all": ("0.0.0.0", "255.255.255.255", RouteKind.BROADCAST),
    "neither source nor destination": ("0.0.0.0", "0.0.0.0", RouteKind.BROADCAST),
    "class E is forwarded": ("10.0.0.5", "240.0.0.1", RouteKind.UNICAST),
    "link-local is forwarded": ("10.0.0.5", "169.254.1.1", RouteKind.UNICAST),
    "the group of all hosts": ("10.0.0.5", "224.0.0.1", RouteKind.MULTICAST),
    "no source toward a link-local group": ("0.0.0.0", "224.0.0.1", RouteKind.MULTICAST),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_odd_addresses_that_are_fine(case: str) -> None:
    source, destination, kind = ACCEPTED[case]
    assert arrives(router(), source, destination).kind is kind


ERRORS = {
    "no route": ("", (3, 0), "IP_INNOROUTES", RouteKind.NO_ROUTE),
    "throw": ("throw default", (3, 0), "IP_INNOROUTES", RouteKind.NO_ROUTE),
    "unreachable": ("unreachable default", (3, 1), None, RouteKind.UNREACHABLE),
    "prohibit": ("prohibit default", (3, 13), None, RouteKind.PROHIBIT),
    "blackhole": ("blackhole default", None, None, RouteKind.BLACKHOLE),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_the_sender_is_told(case: str) -> None:
    routes, icmp, reason, kind = ERRORS[case]
    decision = arrives(router(routes), "10.0.0.5", "8.8.8.8")
    assert (decision.icmp, decision.drop_reason, decision.kind) == (icmp, reason, kind)


@pytest.mark.parametrize("case", ERRORS)
def test_a_node_that_does_not_forward_says_nothing(case: str) -> None:
    decision = arrives(router(ERRORS[case][0], sysctls={"e0.forwarding": "0"}), "10.0.0.5", "8.8.8.8")
    assert (decision.icmp, decision.drop_reason) == (None, "IP_INADDRERRORS")
    assert decision.why.endswith("forwarding is off (net.ipv4.conf.e0.forwarding)")


@pytest.mark.parametrize(("action", "icmp"), [("unreachable", (3, 0)), ("prohibit", (3, 13)), ("blackhole", None)])
def test_rules_refuse_too(action: str, icmp: tuple[int, int] | None) -> None:
    decision = arrives(router(DEFAULT, f"50: from all {action}"), "10.0.0.5", "8.8.8.8")
    assert (decision.icmp, decision.why) == (icmp, f"policy rule 50 says {action}")


def test_a_group_that_programs_may_have_joined_is_unknown() -> None:
    decision = arrives(router(), "10.0.0.5", "239.1.1.1")
    assert (decision.kind, decision.why) == (
        RouteKind.UNKNOWN, "the snapshot does not say whether e0 has joined the group 239.1.1.1",
    )  # fmt: skip


def test_a_bad_source_is_refused_whether_the_group_was_joined_or_not() -> None:
    decision = arrives(router(), "10.3.0.1", "239.1.1.1")
    assert (decision.kind, decision.drop_reason) == (RouteKind.MARTIAN, None)


def test_multicast_routing_is_not_understood() -> None:
    made = router(sysctls={"all.mc_forwarding": "1", "e0.mc_forwarding": "1"})
    assert arrives(made, "10.0.0.5", "239.1.1.1").why.startswith("multicast routing is on")
    assert arrives(made, "10.0.0.5", "224.0.0.1").kind is RouteKind.MULTICAST


def test_igmp_may_come_without_a_source() -> None:
    assert "joined" in arrives(router(), "0.0.0.0", "239.1.1.1", proto=2).why
    assert arrives(router(), "0.0.0.0", "239.1.1.1").drop_reason is None


@pytest.mark.parametrize(("flag", "kind"), [("0", RouteKind.LOCAL), ("1", RouteKind.MARTIAN)])
def test_unicast_in_a_broadcast_frame_may_be_unwelcome(flag: str, kind: RouteKind) -> None:
    made = router(sysctls={"e0.drop_unicast_in_l2_multicast": flag})
    (decision,) = made.route_input(packet("10.0.0.5", "10.0.0.1"), "e0", 0, frame_type="broadcast")
    assert decision.kind is kind
    (wanted,) = made.route_input(packet("10.0.0.5", "10.0.0.255"), "e0", 0, frame_type="broadcast")
    assert wanted.kind is RouteKind.BROADCAST


# --- next hops ---------------------------------------------------------------------------------------------------

TWO = "8.0.0.0/8 nexthop via 10.1.0.254 dev e1 weight 1 nexthop via 10.2.0.254 dev e2 weight 3"


def test_every_next_hop_of_a_multipath_route_is_possible() -> None:
    decisions = router(TWO).route_input(packet("10.0.0.5", "8.8.8.8"), "e0", 0)
    assert [(one.iface, one.probability, one.option) for one in decisions] == [
        ("e1", 0.25, "10.1.0.254@e1"), ("e2", 0.75, "10.2.0.254@e2"),
    ]  # fmt: skip
    assert not any(one.missing for one in decisions)


def test_a_dead_next_hop_is_not() -> None:
    assert arrives(router(TWO.replace("dev e1", "dev e1 dead")), "10.0.0.5", "8.8.8.8").iface == "e2"


def test_each_next_hop_sends_from_its_own_device() -> None:
    decisions = router(TWO).route_output(value("8.8.8.8"), 0)
    assert [one.source for one in decisions] == [value("10.1.0.1"), value("10.2.0.1")]


def test_a_bound_socket_takes_its_own_next_hop() -> None:
    assert sends(router(TWO), "8.8.8.8", out_iface="e2").next_hop == value("10.2.0.254")


def test_equal_default_routes_depend_on_their_gateways() -> None:
    made = router("default via 10.1.0.254 dev e1\ndefault via 10.2.0.254 dev e2")
    decisions = made.route_output(value("8.8.8.8"), 0)
    assert [(one.iface, one.missing) for one in decisions] == [("e1", True), ("e2", True)]
    assert decisions[0].condition == "of the equal default routes the one via 10.1.0.254 is in use"
    assert arrives(made, "10.0.0.5", "8.8.8.8").iface == "e1"


STRANGE = {
    "an own address as gateway": "8.0.0.0/8 via 10.1.0.1 dev e1",
    "a gateway behind a local prefix": "8.0.0.0/8 via 10.9.0.5 dev e1\nlocal 10.9.0.0/16 dev e1 scope host",
    "a tunnel": "8.0.0.0/8 via 10.1.0.254 dev e1 encap mpls",
    "a nexthop object that is not there": "8.0.0.0/8 nhid 7",
}


@pytest.mark.parametrize("case", STRANGE)
def test_what_a_dump_does_not_tell_is_unknown(case: str) -> None:
    made = router(STRANGE[case])
    assert arrives(made, "10.0.0.5", "8.8.8.8").kind is RouteKind.UNKNOWN
    assert sends(made, "8.8.8.8").kind is RouteKind.UNKNOWN
    assert sends(made, "9.9.9.9").kind is RouteKind.NO_ROUTE


def test_the_way_back_may_be_unknown() -> None:
    made = router(f"{DEFAULT}\n20.0.0.0/8 nhid 7", sysctls={"e0.rp_filter": "1"})
    decision = arrives(made, "20.1.1.1", "8.8.8.8")
    assert decision.why == ("the way back to 20.1.1.1: 20.0.0.0/8, table main: its nexthop object 7 is not in the snapshot")


def test_beyond_the_gateway_of_a_link_route_destinations_are_on_the_link() -> None:
    decision = arrives(router("8.0.0.0/8 via 10.1.0.1 dev e1 scope link"), "10.0.0.5", "8.8.8.8")
    assert (decision.next_hop, decision.gateway) == (value("8.8.8.8"), None)


def test_an_onlink_gateway_is_taken_as_it_is() -> None:
    assert arrives(router("8.0.0.0/8 via 10.1.0.1 dev e1 onlink"), "10.0.0.5", "8.8.8.8").next_hop == value("10.1.0.1")


REDIRECTS = {
    "a neighbour sent here for a neighbour": ("10.0.0.5", "10.0.0.9", {}, True),
    "to a gateway on the same link": ("10.0.0.5", "8.8.8.8", {}, True),
    "redirects are off": ("10.0.0.5", "10.0.0.9", {"e0.send_redirects": "0"}, False),
    "the sender is behind a gateway": ("7.7.7.7", "10.0.0.9", {}, False),
    "out of another device": ("10.0.0.5", "10.1.0.9", {}, False),
    "not one subnet, and media not shared": ("10.9.0.5", "8.8.8.8", {"e0.shared_media": "0"}, False),
    "media not shared, but one subnet": ("10.0.0.5", "8.8.8.8", {"e0.shared_media": "0"}, True),
}


@pytest.mark.parametrize("case", REDIRECTS)
def test_the_sender_is_told_of_the_shorter_way(case: str) -> None:
    source, destination, sysctls, expected = REDIRECTS[case]
    routes = "8.0.0.0/8 via 10.0.0.254 dev e0\n7.0.0.0/8 via 10.0.0.254 dev e0\n10.9.0.0/16 dev e0"
    made = router(routes, sysctls=sysctls)
    decision = arrives(made, source, destination)
    assert decision.redirect is expected
    assert made.sends_redirect(value(source), "e0", decision) is expected


# --- output ------------------------------------------------------------------------------------------------------


def test_local_destinations_go_over_lo_with_their_own_address() -> None:
    decision = sends(router(), "10.2.0.1")
    assert (decision.kind, decision.iface, decision.source) == (RouteKind.LOCAL, "lo", value("10.2.0.1"))


@pytest.mark.parametrize(
    ("routes", "source"),
    [
        ("8.0.0.0/8 via 10.1.0.254 dev e1", "10.1.0.1"),
        ("8.0.0.0/8 via 10.1.0.254 dev e1 src 10.3.0.1", "10.3.0.1"),
    ],
    ids=["by gateway", "a hint"],
)
def test_an_open_source_is_chosen_by_the_route(routes: str, source: str) -> None:
    assert sends(router(routes), "8.8.8.8").source == value(source)


ERRNOS = {
    "no route": ("", {}, "8.8.8.8", "", "ENETUNREACH"),
    "unreachable": ("unreachable default", {}, "8.8.8.8", "", "EHOSTUNREACH"),
    "a multicast source": (DEFAULT, {}, "8.8.8.8", "224.0.0.1", "EINVAL"),
    "a foreign source": (DEFAULT, {"any_source": False}, "8.8.8.8", "99.0.0.1", "ENETUNREACH"),
    "a device that is not there": (DEFAULT, {"out_iface": "e7"}, "8.8.8.8", "", "ENODEV"),
    "a device that is down": (DEFAULT, {"out_iface": "e3"}, "8.8.8.8", "", "ENETUNREACH"),
    "a group from a foreign source": (DEFAULT, {}, "224.0.0.9", "99.0.0.1", "ENETUNREACH"),
    "a loopback source": (DEFAULT, {}, "8.8.8.8", "127.0.0.1", "EINVAL"),
}


@pytest.mark.parametrize("case", ERRNOS)
def test_the_sender_gets_an_errno(case: str) -> None:
    routes, more, destination, source, errno = ERRNOS[case]
    assert sends(router(routes, down=("e3",)), destination, source, **more).errno == errno


def test_a_raw_socket_may_send_from_a_foreign_source() -> None:
    assert sends(router(), "8.8.8.8", "99.0.0.1").iface == "e1"


@pytest.mark.parametrize("routes", ["", "unreachable default"], ids=["no route", "a refusing one"])
def test_a_bound_socket_needs_no_route(routes: str) -> None:
    decision = sends(router(routes), "8.8.8.8", out_iface="e2")
    assert (decision.kind, decision.iface, decision.next_hop) == (RouteKind.UNICAST, "e2", value("8.8.8.8"))
    assert decision.source == value("10.2.0.1")


GROUPS = {
    "all hosts by route": ("224.0.0.1", {}, "", "e1", RouteKind.MULTICAST, True),
    "another group": ("239.1.1.1", {}, "", "e1", RouteKind.MULTICAST, None),
    "by the device of the source": ("239.1.1.1", {}, "10.2.0.1", "e2", RouteKind.MULTICAST, None),
    "by the bound device": ("224.0.0.9", {"out_iface": "e3"}, "", "e3", RouteKind.MULTICAST, None),
    "the limited broadcast": ("255.255.255.255", {"out_iface": "e2"}, "", "e2", RouteKind.BROADCAST, True),
    "a subnet's broadcast": ("10.2.0.255", {}, "", "e2", RouteKind.BROADCAST, True),
}


@pytest.mark.parametrize("case", GROUPS)
def test_groups_and_broadcasts_are_heard_by_the_node_itself(case: str) -> None:
    destination, more, source, iface, kind, looped = GROUPS[case]
    decision = sends(router(), destination, source, **more)
    assert (decision.iface, decision.kind, decision.looped) == (iface, kind, looped)
    assert decision.next_hop == value(destination)


def test_an_address_on_two_devices_leaves_it_open_which_one_a_group_takes() -> None:
    made = router(devices={**BED, "e3": "10.0.0.1/24"})
    decisions = made.route_output(value("224.0.0.9"), value("10.0.0.1"))
    assert [(one.iface, one.missing) for one in decisions] == [("e0", True), ("e3", True)]


def test_the_zero_destination_is_the_node_itself() -> None:
    assert sends(router(), "").source == value("127.0.0.1")
    assert sends(router(), "", "10.2.0.1").next_hop == value("10.2.0.1")
    assert sends(router(), "", out_iface="e2").source == value("10.2.0.1")


def test_igmp_asks_a_bound_device_and_not_what_zero_means() -> None:
    decision = sends(router(), "", "10.2.0.1", proto=2, out_iface="e2")
    assert (decision.kind, decision.errno) == (RouteKind.MARTIAN, "EINVAL")


def test_rules_see_what_the_socket_says() -> None:
    made = router(f"{DEFAULT}\ndefault dev e3 table 100", "50: oif e3 ipproto tcp dport 80 lookup 100")
    assert sends(made, "8.8.8.8", proto=TCP, dport=80).iface == "e1"
    assert sends(made, "8.8.8.8", proto=TCP, dport=80, out_iface="e3").table == "100"


def test_local_routes_in_main_are_own_addresses_while_the_tables_are_one() -> None:
    local = "local 50.0.0.0/8 dev lo scope host"
    assert router(local).is_local(value("50.1.1.1"))
    assert not router(local, "50: nop").is_local(value("50.1.1.1"))
