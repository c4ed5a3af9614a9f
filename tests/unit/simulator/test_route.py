"""Routing seen from outside: the specification's test vectors, what a missing part means, and what is remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.router_builder import BED, DEFAULT, V4, V6, arrives, packet, route, router, rule, sends, snapshot, value
from tortie.net.address import IPFamily, format_address
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import Doubt
from tortie.simulator.route import RouteKind, Router

MARKED = "50: fwmark 0x64 lookup 100"
BY_E3 = f"{DEFAULT}\ndefault via 10.3.0.254 dev e3 table 100"
UNREACHABLE = f"{DEFAULT}\nunreachable default table 100"
BLACKHOLE = f"{DEFAULT}\nblackhole default table 100"


# --- spec: netfilter 14 ------------------------------------------------------------------------------------------


def test_v23_a_mark_steers_local_packets_when_they_are_routed_again() -> None:
    made = router(BY_E3, MARKED)
    assert sends(made, "8.8.8.8", "10.1.0.1").iface == "e1"
    again = sends(made, "8.8.8.8", "10.1.0.1", mark=0x64)
    assert (again.iface, again.why) == ("e3", "default via 10.3.0.254 dev e3, table 100, rule 50")


def test_v23_the_second_decision_knows_the_mark_and_the_packets_ports() -> None:
    made = router(BY_E3, "50: fwmark 0x64 ipproto udp dport 53 lookup 100")
    for mark, port, iface in ((0, 53, "e1"), (0x64, 53, "e3"), (0x64, 80, "e1")):
        (again,) = made.route_again(packet("10.1.0.1", "8.8.8.8", dport=port), mark=mark, iface="e1")
        assert again.iface == iface


@pytest.mark.parametrize(("family", "iface"), [(V4, "e1"), (V6, "e3")], ids=["IPv4 forgets", "IPv6 remembers"])
def test_who_sent_a_packet_that_is_routed_again(family: IPFamily, iface: str) -> None:
    routes = "default dev e1\ndefault dev e3 table 100"
    made = router(routes, "50: uidrange 1000-1000 lookup 100", family=family)
    sent = packet("10.1.0.1", "8.8.8.8") if family is V4 else packet("fd00:1::1", "2001:db8::1")
    (first,) = made.route_output(sent.dst, sent.src, uid=1000)
    (again,) = made.route_again(sent, mark=1, uid=1000, iface=first.iface)
    assert (first.iface, again.iface) == ("e3", iface)


def test_groups_keep_their_device_when_routed_again_in_ipv6() -> None:
    made = router("", family=V6)
    for destination in ("ff02::1", "ff0e::9"):
        (again,) = made.route_again(packet("fd00:2::1", destination), mark=1, uid=0, iface="e2")
        assert again.iface == "e2"


def test_a_packet_translated_to_no_address_at_all_is_routed_as_one_for_elsewhere() -> None:
    """Only sockets take `::` for `::1`."""
    made = router("::/0 dev e1", family=V6)
    sent = packet("fd00:1::1", "::")
    (first,) = made.route_output(sent.dst, sent.src)
    (again,) = made.route_again(sent, mark=0, iface="e1")
    assert (first.iface, again.iface) == ("lo", "e1")


def test_a_broadcast_source_counts_as_none_when_routed_again() -> None:
    made = router(BY_E3, "50: from 10.0.0.255 lookup 100")
    (again,) = made.route_again(packet("10.0.0.255", "8.8.8.8"), mark=1, iface="e1")
    assert again.iface == "e1"


@pytest.mark.parametrize(
    ("routes", "errno", "kind"),
    [
        pytest.param(UNREACHABLE, "EHOSTUNREACH", RouteKind.UNREACHABLE, id="unreachable"),
        pytest.param(BLACKHOLE, "EINVAL", RouteKind.BLACKHOLE, id="blackhole"),
        pytest.param(f"{DEFAULT}\nprohibit default table 100", "EACCES", RouteKind.PROHIBIT, id="prohibit"),
    ],
)
def test_v29_a_mark_that_leads_to_a_refusing_table_fails_the_send(routes: str, errno: str, kind: RouteKind) -> None:
    decision = sends(router(routes, MARKED), "8.8.8.8", "10.1.0.1", mark=0x64)
    assert (decision.kind, decision.errno, decision.iface) == (kind, errno, None)


def test_v30_own_addresses_stay_own_whatever_the_mark() -> None:
    assert arrives(router(BY_E3, MARKED), "10.0.0.5", "10.0.0.1", mark=0x64).kind is RouteKind.LOCAL


def test_v32_loopback_destinations_need_route_localnet() -> None:
    refused = arrives(router(), "10.0.0.5", "127.0.0.1")
    assert (refused.kind, refused.drop_reason) == (RouteKind.MARTIAN, "IP_LOCALNET")
    assert refused.sysctl == "net.ipv4.conf.e0.route_localnet"
    for device in ("e0", "all"):
        allowed = router(sysctls={f"{device}.route_localnet": "1"})
        assert arrives(allowed, "10.0.0.5", "127.0.0.1").kind is RouteKind.LOCAL


def test_v33_loopback_sources_leave_only_with_route_localnet() -> None:
    refused = sends(router(), "10.1.0.9", "127.0.0.1")
    assert (refused.kind, refused.errno) == (RouteKind.MARTIAN, "EINVAL")
    assert sends(router(sysctls={"all.route_localnet": "1"}), "10.1.0.9", "127.0.0.1").iface == "e1"


@pytest.mark.parametrize(
    ("destination", "source"), [("81.1.1.1", "10.1.0.1"), ("80.1.1.1", "10.9.0.1")], ids=["a hint ignored", "by gateway"]
)
def test_v47_masquerade_takes_the_address_next_to_the_gateway(destination: str, source: str) -> None:
    routes = "81.0.0.0/8 via 10.1.0.254 dev e1 src 10.1.0.2\n80.0.0.0/8 via 10.9.0.254 dev e1"
    made = router(routes, devices={**BED, "e1": "10.1.0.1/24 10.1.0.2/24,secondary 10.9.0.1/24"})
    way = arrives(made, "10.0.0.5", destination)
    assert way.iface is not None
    assert made.masquerade_address(way.iface, way.next_hop, value(destination)) == value(source)


def test_v48_masquerade_borrows_an_address_for_a_device_without() -> None:
    made = router("8.0.0.0/8 dev e9", devices={**BED, "e9": ""})
    assert made.masquerade_address("e9", None, value("8.8.8.8")) == value("10.0.0.1")


def test_v50_redirect_takes_the_first_address_of_any_scope() -> None:
    made = router(devices={**BED, "e2": "169.254.9.9/16,link 10.2.0.1/24"})
    assert made.redirect_address("e2") == value("169.254.9.9")


def test_v51_redirect_drops_where_there_is_no_address() -> None:
    assert router(devices={**BED, "e2": ""}).redirect_address("e2") is None


@pytest.mark.parametrize("kind", ["unreachable", "blackhole", "prohibit"])
def test_v66_refusing_routes_make_no_address_type(kind: str) -> None:
    made = router(f"{kind} 8.0.0.0/8")
    assert made.address_type(value("8.8.8.8")) == {"UNICAST"}


def test_v67_a_limited_test_knows_one_device_only() -> None:
    made = router()
    assert made.address_type(value("10.2.0.1"), iface="e0") == {"UNICAST"}
    assert made.address_type(value("10.2.0.1"), iface="e2") == {"LOCAL"}
    assert made.address_type(value("10.2.0.255")) == {"BROADCAST"}
    assert made.address_type(value("10.2.0.255"), iface="e0") == {"UNICAST"}


def test_v68_own_ipv6_addresses_are_unicast_too() -> None:
    assert router("", family=V6).address_type(value("fd00::1")) == {"UNICAST", "LOCAL"}


def test_v78_the_greater_rp_filter_counts() -> None:
    routes = "20.0.0.0/8 via 10.2.0.254 dev e2\n" + DEFAULT
    loose = router(routes, sysctls={"all.rp_filter": "1", "e0.rp_filter": "2"})
    assert arrives(loose, "20.1.1.1", "10.1.0.9").kind is RouteKind.UNICAST
    strict = arrives(router(routes, sysctls={"all.rp_filter": "1"}), "20.1.1.1", "10.1.0.9")
    assert (strict.drop_reason, strict.sysctl) == ("IP_RPFILTER", "net.ipv4.conf.all.rp_filter")
    assert strict.why == (
        "strict reverse-path filter on e0: the source is 20.1.1.1, and 20.0.0.0/8 via 10.2.0.254 dev e2, table main"
    )


def test_v79_forwarding_counts_per_device_in_ipv4_and_as_a_whole_in_ipv6() -> None:
    off = {"e0.forwarding": "0", "net.ipv6.conf.e0.forwarding": "0"}
    v4 = arrives(router(sysctls=off), "10.0.0.5", "10.1.0.9")
    assert (v4.kind, v4.drop_reason, v4.icmp) == (RouteKind.MARTIAN, "IP_INADDRERRORS", None)
    assert arrives(router("", family=V6, sysctls=off), "fd00::5", "fd00:1::9").kind is RouteKind.UNICAST


def test_v90_the_all_zero_host_is_an_ordinary_neighbour() -> None:
    decision = arrives(router(), "10.0.0.5", "10.0.0.0")
    assert (decision.kind, decision.iface, decision.redirect) == (RouteKind.UNICAST, "e0", True)


def test_v91_the_broadcast_of_any_interface_is_for_the_node() -> None:
    assert arrives(router(), "10.0.0.5", "10.1.0.255").kind is RouteKind.BROADCAST
    passed = router(sysctls={"all.bc_forwarding": "1", "e0.bc_forwarding": "1"})
    assert arrives(passed, "10.0.0.5", "10.1.0.255").kind is RouteKind.UNICAST


def test_v92_own_addresses_as_source_need_accept_local() -> None:
    refused = arrives(router(), "10.2.0.1", "10.1.0.9")
    assert (refused.drop_reason, refused.sysctl) == ("IP_LOCAL_SOURCE", "net.ipv4.conf.e0.accept_local")
    for device in ("all", "e0"):
        allowed = router(sysctls={f"{device}.accept_local": "1"})
        assert arrives(allowed, "10.2.0.1", "10.1.0.9").kind is RouteKind.UNICAST


def test_v93_addresses_of_a_device_that_is_down_are_still_own() -> None:
    assert arrives(router(down=("e2",)), "10.0.0.5", "10.2.0.1").kind is RouteKind.LOCAL


# --- missing parts -----------------------------------------------------------------------------------------------


def test_without_routes_only_own_addresses_are_known() -> None:
    made = Router(replace(snapshot(), routes={}), V4)
    assert arrives(made, "10.0.0.5", "10.2.0.1").kind is RouteKind.LOCAL
    elsewhere = arrives(made, "10.0.0.5", "8.8.8.8")
    assert (elsewhere.kind, elsewhere.why, elsewhere.missing) == (
        RouteKind.UNKNOWN, "the snapshot holds no IPv4 routes", True,
    )  # fmt: skip
    assert not made.knows_routes


def test_without_addresses_and_table_local_nothing_is_known() -> None:
    made = Router(replace(snapshot(), links=None), V4)
    decision = arrives(made, "10.0.0.5", "8.8.8.8")
    assert (decision.kind, decision.why) == (
        RouteKind.UNKNOWN, "the snapshot has neither addresses nor the table local",
    )  # fmt: skip
    assert isinstance(made.address_type(value("8.8.8.8")), Doubt)


def test_a_table_local_speaks_for_links_that_are_missing() -> None:
    given = replace(snapshot(), links=None)
    local = route("local 10.0.0.1/32 dev e0 table local scope host proto kernel")
    made = Router(replace(given, routes={V4: (*given.routes[V4], local)}), V4)
    assert arrives(made, "10.0.0.5", "10.0.0.1").kind is RouteKind.LOCAL
    assert arrives(made, "10.0.0.5", "8.8.8.8").iface == "e1"
    assert arrives(made, "10.0.0.1", "8.8.8.8").drop_reason == "IP_LOCAL_SOURCE"


def test_missing_rules_are_assumed_to_be_the_kernels_own_and_said_so() -> None:
    made = Router(replace(snapshot(), policy_rules={}), V4)
    text = "there are no IPv4 policy rules but the kernel's own (none in the snapshot)"
    assert arrives(made, "10.0.0.5", "8.8.8.8").assumptions == (text,)
    assert arrives(made, "10.0.0.5", "10.0.0.1").assumptions == ()


def test_missing_rules_are_unknown_when_other_tables_have_routes() -> None:
    made = Router(replace(snapshot(BY_E3), policy_rules={}), V4)
    decision = arrives(made, "10.0.0.5", "8.8.8.8")
    assert decision.why == "the snapshot has routes in table 100, but no policy rules"


def test_a_rule_may_name_a_table_whose_routes_were_not_dumped() -> None:
    decision = arrives(router(DEFAULT, "50: from all lookup 100"), "10.0.0.5", "8.8.8.8")
    assert decision.why == "the snapshot may lack the routes of table 100"


ASSUMED = {
    "forwarding matters for what is forwarded": ("10.0.0.5", "10.1.0.9", ["forwarding is 1"]),
    "and not for what is local": ("10.0.0.5", "10.0.0.1", []),
    "rp_filter matters where it would refuse": ("99.0.0.1", "10.0.0.1", ["rp_filter is 0"]),
    "accept_local where it refuses": ("10.2.0.1", "10.0.0.1", ["accept_local is 0"]),
    "route_localnet where it refuses": ("10.0.0.5", "127.0.0.1", ["route_localnet is 0"]),
}


@pytest.mark.parametrize("case", ASSUMED)
def test_a_missing_setting_is_assumed_only_where_it_matters(case: str) -> None:
    source, destination, expected = ASSUMED[case]
    made = Router(replace(snapshot("10.0.0.0/8 dev e0"), sysctls=None), V4)
    assumptions = arrives(made, source, destination).assumptions
    assert len(assumptions) == len(expected)
    assert all(part in text for part, text in zip(expected, assumptions, strict=True))


def test_a_vrf_is_not_understood() -> None:
    given = snapshot()
    assert given.links is not None
    vrf = replace(given.links[-1], name="red", index=9, kind="vrf", addresses=())
    enslaved = tuple(replace(link, master="red") if link.name == "e0" else link for link in given.links)
    made = Router(replace(given, links=(*enslaved, vrf)), V4)
    assert arrives(made, "10.0.0.5", "8.8.8.8").why == "e0 belongs to a VRF, whose routing Tortie does not know"
    assert arrives(made, "10.2.0.5", "8.8.8.8", "e2").iface == "e1"
    (sent,) = made.route_output(value("8.8.8.8"), 0, out_iface="red")
    assert sent.kind is RouteKind.UNKNOWN


def test_an_interface_nobody_knows_is_unknown() -> None:
    assert arrives(router(), "10.0.0.5", "8.8.8.8", "e7").why == "the snapshot has no interface e7"
    (decision,) = router().route_input(packet("10.0.0.5", "8.8.8.8"), None, 0)
    assert decision.kind is RouteKind.UNKNOWN


def test_an_empty_snapshot_answers_all_the_same() -> None:
    for family, destination in ((V4, "8.8.8.8"), (V6, "fd00::9")):
        made = Router(Snapshot("empty"), family)
        assert sends(made, destination).kind is RouteKind.UNKNOWN
        assert made.masquerade_address("e0", None, value(destination)) is None
        assert made.redirect_address("e0") is None
        assert not made.knows_addresses


@pytest.mark.parametrize(
    ("key", "frame_type", "destination", "reason"),
    [
        ("disable_ipv6", "unicast", "fd00::1", "IPV6DISABLED"),
        ("drop_unicast_in_l2_multicast", "multicast", "fd00::1", "UNICAST_IN_L2_MULTICAST"),
        ("drop_unicast_in_l2_multicast", "multicast", "ff02::1", None),
        ("drop_unicast_in_l2_multicast", "unicast", "fd00::1", None),
    ],
)
def test_a_device_may_refuse_ipv6_before_any_table(key: str, frame_type: str, destination: str, reason: str | None) -> None:
    made = router("", family=V6, sysctls={f"net.ipv6.conf.e0.{key}": "1"})
    refused = made.refuse_arrival(packet("fd00::5", destination), "e0", frame_type=frame_type)
    assert (refused.drop_reason if refused is not None else None) == reason
    assert made.refuse_arrival(packet("fd00::5", destination), "e1", frame_type=frame_type) is None
    assert router().refuse_arrival(packet("10.0.0.5", "10.0.0.1"), "e0", frame_type=frame_type) is None


# --- what is remembered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "first", "second"),
    [
        pytest.param(MARKED, {"mark": 0}, {"mark": 0x64}, id="mark"),
        pytest.param("50: tos 0x10 lookup 100", {"tos": 0}, {"tos": 0x10}, id="tos"),
        pytest.param("50: ipproto udp dport 53 lookup 100", {"dport": 80}, {"dport": 53}, id="port"),
        pytest.param("50: from 10.0.0.6 lookup 100", {"src": "10.0.0.5"}, {"src": "10.0.0.6"}, id="source"),
    ],
)
def test_answers_are_remembered_by_everything_that_rules_look_at(
    rules: str, first: dict[str, object], second: dict[str, object]
) -> None:
    made = router(BY_E3, rules)

    def out(mark: int = 0, src: str = "10.0.0.5", **more: int) -> str | None:
        return arrives(made, src, "8.8.8.8", mark=mark, **more).iface

    for _ in range(2):
        assert (out(**first), out(**second)) == ("e1", "e3")  # type: ignore[arg-type]


def test_like_questions_share_one_answer() -> None:
    made = router()
    assert arrives(made, "10.0.0.5", "8.8.8.8") is arrives(made, "10.0.0.5", "8.8.8.8", mark=7, dport=9)
    assert sends(made, "8.8.8.8") is sends(made, "8.8.8.8", mark=7, uid=5, dport=9)


def test_senders_are_told_apart_where_a_rule_tests_them() -> None:
    made = router(BY_E3, "50: uidrange 1000-1999 lookup 100")
    assert [sends(made, "8.8.8.8", uid=uid).iface for uid in (0, 1000, 0)] == ["e1", "e3", "e1"]
    unknown = sends(made, "8.8.8.8")
    assert unknown.why == "policy rule 50 tests the sender's uid, which is not known"


@pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
def test_what_comes_in_counts_as_sent_by_root(family: IPFamily) -> None:
    """ip_route_input_slow fills in sock_net_uid; IPv6 leaves 0."""
    ends = ("10.0.0.5", "8.8.8.8") if family is V4 else ("fd00::5", "2001:db8::1")
    for uids, iface in (("0-0", "e3"), ("1-9", "e1")):
        made = router("default dev e1\ndefault dev e3 table 100", f"50: uidrange {uids} lookup 100", family=family)
        assert arrives(made, *ends).iface == iface


# --- addresses of the node ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sysctls", "expected"),
    [({}, "10.1.0.1"), ({"net.ipv4.icmp_errors_use_inbound_ifaddr": "1"}, "10.0.0.1")],
    ids=["the way back", "the input device"],
)
def test_the_source_of_an_icmp_error(sysctls: dict[str, str], expected: str) -> None:
    made = router("20.0.0.0/8 via 10.1.0.254 dev e1", sysctls=sysctls)
    about = packet("20.0.0.5", "8.8.8.8")
    found = made.icmp_error_source(about, "e0", delivered=False)
    assert found is not None and format_address(V4, found) == expected
    assert made.icmp_error_source(packet("20.0.0.5", "10.3.0.1"), "e0", delivered=True) == value("10.3.0.1")


def test_a_node_without_addresses_signs_with_the_dummy_address() -> None:
    made = router("default dev e0", devices={"e0": ""})
    assert made.icmp_error_source(packet("20.0.0.5", "8.8.8.8"), "e0", delivered=False) == value("192.0.0.8")


def test_rules_may_mistake_type_and_code_of_an_error_for_its_source_port() -> None:
    made = router(BY_E3, "50: sport 771 lookup 100")
    about = packet("20.0.0.5", "8.8.8.8")
    assert made.icmp_error_source(about, "e0", delivered=False, kind=(3, 3)) == value("10.3.0.1")
    assert made.icmp_error_source(about, "e0", delivered=False, kind=(3, 1)) == value("10.1.0.1")


def test_icmpv6_errors_prefer_the_input_device() -> None:
    made = router("default via fd00:1::254 dev e1", family=V6)
    assert made.icmp_error_source(packet("2001:db8::5", "3ffe::1"), "e0", delivered=False) == value("fd00::1")
    assert made.icmp_error_source(packet("2001:db8::5", "fd00:2::1"), "e0", delivered=True) == value("fd00:2::1")


def test_icmpv6_errors_come_from_the_address_they_are_about_however_it_is_routed() -> None:
    made = router("unreachable fd00::/16 table 100\n2001:db8::/32 dev e1", "0: iif e0 lookup 100", family=V6)
    for destination, source in (("fd00:2::1", "fd00:2::1"), ("fd00:2::", "fd00:2::"), ("fd00:2::9", "fd00::1")):
        assert made.icmp_error_source(packet("2001:db8::5", destination), "e0", delivered=False) == value(source)


@pytest.mark.parametrize(
    ("address", "wanted", "expected"),
    [
        ("fd00::1", ["UNICAST", "LOCAL"], True),
        ("fd00::9", ["UNICAST", "LOCAL"], False),
        ("fd00::9", ["UNICAST"], True),
        ("3ffe::1", ["UNREACHABLE", "LOCAL"], True),
        ("ff02::1", ["UNICAST"], False),
        ("fd00::", ["ANYCAST"], True),
    ],
)
def test_ipv6_types_are_demanded_together(address: str, wanted: list[str], expected: bool) -> None:
    assert router("", family=V6).has_address_type(value(address), wanted) is expected


def test_ipv4_types_are_alternatives() -> None:
    assert router().has_address_type(value("10.0.0.1"), ["BROADCAST", "LOCAL"]) is True
    assert router().has_address_type(value("8.8.8.8"), ["BROADCAST", "LOCAL"]) is False


def test_rules_are_tried_by_priority_however_they_were_listed() -> None:
    given = snapshot(BY_E3)
    listed = (rule("50: from all lookup 100"), *given.policy_rules[V4])
    assert arrives(Router(replace(given, policy_rules={V4: listed}), V4), "10.0.0.5", "8.8.8.8").iface == "e3"
