"""Decisions as text: a route as `ip route` puts it, and the condition of one next hop among several."""

from __future__ import annotations

import pytest

from tests.router_builder import V4, V6, route, rule
from tortie.simulator.route_decision import (
    ICMP_V4,
    ICMP_V6,
    REFUSAL_KIND,
    RouteDecision,
    RouteKind,
    conditional,
    describe_route,
    unknown,
)

TEXTS = {
    "10.1.2.0/24 via 10.0.0.254 dev eth0": "10.1.2.0/24 via 10.0.0.254 dev eth0, table main",
    "default dev e0 metric 5": "default dev e0 metric 5, table main",
    "10.0.0.1/32 dev e0 table 7": "10.0.0.1 dev e0, table 7",
    "local 10.0.0.1/32 dev e0 table local": "local 10.0.0.1 dev e0, table local",
    "10.0.0.0/8 dev e0 tos 0x10": "10.0.0.0/8 tos 0x10 dev e0, table main",
    "unreachable 10.0.0.0/8": "unreachable 10.0.0.0/8, table main",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_route_reads_as_ip_route_prints_it(text: str) -> None:
    made = route(text)
    hop = made.next_hops[0] if made.next_hops else None
    assert describe_route(made, hop, None) == TEXTS[text]


def test_a_source_specific_route_names_its_source() -> None:
    made = route("default from fd00::/64 via fe80::1 dev e0", V6)
    assert describe_route(made, made.next_hops[0], None) == (
        "default from fd00::/64 via fe80::1 dev e0 metric 1024, table main"
    )


def test_a_rule_of_the_users_is_named() -> None:
    made = route("default dev e0 table 7", V4)
    assert describe_route(made, made.next_hops[0], rule("50: lookup 7")) == "default dev e0, table 7, rule 50"


def test_one_of_several_next_hops_states_its_condition() -> None:
    hop = route("default via 10.0.0.2 dev e0 weight 3").next_hops[0]
    decision = conditional(RouteDecision(RouteKind.UNICAST, "x"), hop, 4)
    assert decision.condition == "the multipath hash picks the next hop via 10.0.0.2 dev e0 (weight 3 of 4)"
    assert (decision.option, decision.probability) == ("10.0.0.2@e0", 0.75)


def test_an_unknown_decision_says_that_something_is_missing() -> None:
    assert (unknown("why").kind, unknown("why").missing) == (RouteKind.UNKNOWN, True)


def test_every_error_of_a_lookup_has_a_kind_and_an_answer() -> None:
    assert set(REFUSAL_KIND) == set(ICMP_V4) == set(ICMP_V6)
