"""What IPv4 believes of a source: rp_filter and accept_local in input routing, and `-m rpfilter`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from tests.router_builder import BED, DEFAULT, V4, arrives, packet, router, snapshot
from tortie.simulator.answer import Doubt
from tortie.simulator.route import RouteKind, Router
from tortie.simulator.source_check import dissect

ROUTES = f"{DEFAULT}\n20.0.0.0/8 via 10.2.0.254 dev e2\n30.0.0.0/8 via 10.0.0.254 dev e0\nunreachable 40.0.0.0/8"

FILTER = {
    "from the link": ("10.0.0.5", "accepted", "accepted"),
    "from behind a gateway there": ("30.1.1.1", "accepted", "accepted"),
    "routed by another device": ("20.1.1.1", "IP_RPFILTER", "accepted"),
    "reached by the default route": ("99.1.1.1", "IP_RPFILTER", "accepted"),
    "unreachable": ("40.1.1.1", "IP_RPFILTER", "IP_RPFILTER"),
    "a subnet's broadcast": ("10.2.0.255", "IP_INVALID_SOURCE", "IP_INVALID_SOURCE"),
    "an own address": ("10.2.0.1", "IP_LOCAL_SOURCE", "IP_LOCAL_SOURCE"),
}
"""Source, verdict of rp_filter 1 and of rp_filter 2."""


@pytest.mark.parametrize("case", FILTER)
@pytest.mark.parametrize("destination", ["8.8.8.8", "10.0.0.1", "255.255.255.255"])
def test_the_reverse_path_filter(case: str, destination: str) -> None:
    source, strict, loose = FILTER[case]
    for mode, expected in (("1", strict), ("2", loose)):
        decision = arrives(router(ROUTES, sysctls={"e0.rp_filter": mode}), source, destination)
        assert (decision.drop_reason or "accepted") == expected


WITHOUT = {
    "an own address": ("10.2.0.1", "IP_LOCAL_SOURCE"),
    "a subnet's broadcast": ("10.2.0.255", "accepted"),
    "unreachable": ("40.1.1.1", "accepted"),
}


@pytest.mark.parametrize("case", WITHOUT)
def test_without_the_filter_only_own_addresses_are_refused(case: str) -> None:
    source, expected = WITHOUT[case]
    assert (arrives(router(ROUTES), source, "10.0.0.1").drop_reason or "accepted") == expected


def test_the_short_cut_is_an_assumption_where_the_full_check_says_more() -> None:
    text = "no policy rule or local route was ever changed in this namespace, so sources are not looked up"
    assert arrives(router(ROUTES), "10.2.0.255", "10.0.0.1").assumptions == (text,)
    assert arrives(router(ROUTES), "20.1.1.1", "10.0.0.1").assumptions == ()


@pytest.mark.parametrize(("routes", "rules"), [(ROUTES, "50: nop"), (f"{ROUTES}\nlocal 50.0.0.0/8 dev lo scope host", "")])
def test_custom_rules_and_local_routes_bring_the_full_check(routes: str, rules: str) -> None:
    assert arrives(router(routes, rules), "10.2.0.255", "10.0.0.1").drop_reason == "IP_INVALID_SOURCE"


def test_a_packet_that_goes_out_where_it_came_in_is_checked_in_full() -> None:
    assert arrives(router(ROUTES), "10.2.0.255", "10.0.0.9").drop_reason == "IP_INVALID_SOURCE"
    quiet = router(ROUTES, sysctls={"e0.send_redirects": "0"})
    assert arrives(quiet, "10.2.0.255", "10.0.0.9").kind is RouteKind.UNICAST


def test_a_device_without_address_believes_only_what_is_routed_to_it() -> None:
    made = router("60.0.0.0/8 dev e9\ndefault dev e1", devices={**BED, "e9": ""}, sysctls={"e9.rp_filter": "2"})
    assert arrives(made, "60.1.1.1", "8.8.8.8", "e9").kind is RouteKind.UNICAST
    refused = arrives(made, "70.1.1.1", "8.8.8.8", "e9")
    assert refused.why == "loose reverse-path filter on e9: the source is 70.1.1.1, and e9 has no IPv4 address"


@pytest.mark.parametrize(("flag", "expected"), [("0", "IP_RPFILTER"), ("1", "accepted")])
def test_the_mark_counts_only_with_src_valid_mark(flag: str, expected: str) -> None:
    made = router(
        f"{DEFAULT}\ndefault dev e0 table 100", "50: fwmark 1 lookup 100",
        sysctls={"e0.rp_filter": "1", "e0.src_valid_mark": flag},
    )  # fmt: skip
    assert (arrives(made, "99.1.1.1", "10.0.0.1", mark=1).drop_reason or "accepted") == expected


def test_the_way_back_starts_at_the_output_device() -> None:
    """fib_validate_source looks the source up as if it had come in by the device that the packet leaves by."""
    made = router("8.0.0.0/8 dev e1\n99.0.0.0/8 dev e0 table 100", "50: iif e1 lookup 100", sysctls={"e0.rp_filter": "1"})
    assert arrives(made, "99.1.1.1", "8.8.8.8").kind is RouteKind.UNICAST
    assert arrives(made, "99.1.1.1", "10.0.0.1").drop_reason == "IP_RPFILTER"


def test_ports_are_turned_round_for_the_way_back() -> None:
    made = router("99.0.0.0/8 dev e0 table 100", "50: ipproto udp sport 53 lookup 100", sysctls={"e0.rp_filter": "1"})
    assert arrives(made, "99.1.1.1", "10.0.0.1", dport=53).kind is RouteKind.LOCAL
    assert arrives(made, "99.1.1.1", "10.0.0.1", dport=54).drop_reason == "IP_RPFILTER"


def test_fragments_and_protocols_without_ports_show_none() -> None:
    whole = packet("10.0.0.5", "10.1.0.9", sport=7, dport=9)
    assert dissect(whole) == (17, 7, 9)
    assert dissect(structs.replace(whole, more_fragments=True)) == (17, 0, 0)
    assert dissect(structs.replace(whole, proto=89)) == (89, 0, 0)


# --- the match ---------------------------------------------------------------------------------------------------

MATCH = {
    "from the link": ("10.0.0.5", True, True, True),
    "routed by another device": ("20.1.1.1", False, True, False),
    "unreachable": ("40.1.1.1", False, False, False),
    "own": ("10.0.0.1", False, False, True),
    "own, of another device": ("10.2.0.1", False, False, False),
    "a broadcast address": ("10.0.0.255", False, False, False),
}
"""Source, and whether it passes plainly, with --loose, with --accept-local (spec: netfilter 7.3)."""


@pytest.mark.parametrize("case", MATCH)
def test_the_rpfilter_match(case: str) -> None:
    source, plain, loose, accept_local = MATCH[case]
    made, about = router(ROUTES), packet(source, "8.8.8.8")
    assert made.reverse_path(about, "e0", 0) is plain
    assert made.reverse_path(about, "e0", 0, loose=True) is loose
    assert made.reverse_path(about, "e0", 0, accept_local=True) is accept_local


def test_the_match_passes_everything_on_lo() -> None:
    assert router(ROUTES).reverse_path(packet("40.1.1.1", "8.8.8.8"), "lo", 0) is True


@pytest.mark.parametrize(
    ("destination", "passes"), [("255.255.255.255", True), ("224.0.0.9", True), ("239.1.1.1", False), ("10.0.0.1", False)]
)
def test_the_match_lets_the_zero_source_speak_to_the_link(destination: str, passes: bool) -> None:
    assert router("").reverse_path(packet("0.0.0.0", destination), "e0", 0) is passes


def test_the_match_uses_the_mark_only_with_validmark() -> None:
    made = router("default dev e0 table 100", "50: fwmark 1 lookup 100")
    about = packet("99.1.1.1", "8.8.8.8")
    assert made.reverse_path(about, "e0", 1) is False
    assert made.reverse_path(about, "e0", 1, valid_mark=True) is True


def test_the_match_says_what_it_cannot_know() -> None:
    made = Router(replace(snapshot(), routes={}), V4)
    answer = made.reverse_path(packet("99.1.1.1", "8.8.8.8"), "e0", 0)
    assert isinstance(answer, Doubt)
    assert answer.why == "the snapshot holds no IPv4 routes"
