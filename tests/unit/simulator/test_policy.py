"""Policy rules: what each selector tests, in which order rules answer, and what a doubt in one of them means."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from tests.router_builder import V4, V6, links, route, router, rule, sends, snapshot, value
from tortie.net.address import IPFamily
from tortie.simulator.device import Devices
from tortie.simulator.fib import Entry, compile_entry
from tortie.simulator.policy import (
    Flow,
    Found,
    Rules,
    compile_rule,
    default_rules,
    looks_into_packet,
    table_name,
)
from tortie.simulator.route import RouteKind, Router

A, B = 0x0A000005, 0x0A010009

SELECTORS = {
    "from": ("from 10.0.0.0/24", Flow(B, A), Flow(B, B)),
    "to": ("to 10.1.0.9", Flow(B), Flow(A)),
    "fwmark": ("fwmark 0x64", Flow(B, mark=0x64), Flow(B, mark=0x164)),
    "fwmark under a mask": ("fwmark 0x64/0xff", Flow(B, mark=0x164), Flow(B, mark=0x65)),
    "fwmark zero": ("fwmark 0/0x1", Flow(B, mark=2), Flow(B, mark=1)),
    "iif": ("iif e0", Flow(B, iif="e0"), Flow(B, iif="e1")),
    "iif lo is the node itself": ("iif lo", Flow(B), Flow(B, iif="e0")),
    "oif": ("oif e0", Flow(B, oif="e0"), Flow(B)),
    "tos": ("tos 0x10", Flow(B, tos=0x12), Flow(B, tos=0x08)),
    "tos below the upper bits": ("tos 0x10", Flow(B, tos=0xB0), Flow(B, tos=0xA8)),
    "ipproto": ("ipproto udp", Flow(B, proto=17), Flow(B, proto=6)),
    "sport": ("sport 53", Flow(B, sport=53), Flow(B, sport=54)),
    "dport range": ("dport 100-200", Flow(B, dport=200), Flow(B, dport=201)),
    "uidrange": ("uidrange 1000-1999", Flow(B, uid=1999), Flow(B, uid=2000)),
    "not": ("not fwmark 1", Flow(B), Flow(B, mark=1)),
    "two selectors": ("from 10.0.0.0/24 fwmark 1", Flow(B, A, mark=1), Flow(B, A)),
    "not with two selectors": ("not from 10.0.0.0/24 fwmark 1", Flow(B, A), Flow(B, A, mark=1)),
}


@pytest.mark.parametrize("case", SELECTORS)
def test_a_selector_matches_and_misses(case: str) -> None:
    text, hit, miss = SELECTORS[case]
    matches = compile_rule(rule(f"50: {text} lookup 100"))
    assert (matches(hit), matches(miss)) == (True, False)


def test_ipv6_compares_the_whole_traffic_class() -> None:
    matches = compile_rule(rule("50: tos 0x10 lookup 100", V6))
    assert (matches(Flow(B, tos=0x12)), matches(Flow(B, tos=0xB0))) == (True, False)


def test_an_ipv6_source_not_chosen_yet_matches_no_prefix() -> None:
    made = rule("50: from fd00::/16 lookup 100", V6)
    assert compile_rule(made, has_source=False)(Flow(B)) is False
    assert compile_rule(rule("50: from ::/0 lookup 100", V6), has_source=False)(Flow(B)) is True


UNKNOWN = {
    "an unknown sender": ("uidrange 0-9", Flow(B, uid=None), None),
    "decided by another selector": ("uidrange 0-9 fwmark 1", Flow(B, uid=None), False),
    "not read": ("dscp 8", Flow(B), None),
    "not read, inverted and missed by another": ("not dscp 8 fwmark 1", Flow(B), True),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_leaves_a_rule_open_unless_the_rest_decides(case: str) -> None:
    text, flow, expected = UNKNOWN[case]
    assert compile_rule(rule(f"50: {text} lookup 100"))(flow) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("dport 53", True), ("ipproto tcp", True), ("iif lo dport 53", False), ("fwmark 1", False)]
)
def test_only_rules_for_arriving_packets_make_routing_read_ports(text: str, expected: bool) -> None:
    assert looks_into_packet((rule(f"50: {text} lookup 100"),)) is expected


# --- the order of rules ------------------------------------------------------------------------------------------


def answers(rules: str, tables: str = "100 200 main") -> str:
    """The table that answers, or the errno; every table named has a route to everything."""
    known = tables.split()
    made = Rules(tuple(rule(line) for line in rules.splitlines()), Devices(links({}), V4))
    found = made.lookup(Flow(B), lambda name, flow: Found(entry=_entry(name)) if name in known else None)
    return found.errno or found.doubt or (found.entry.route.table if found.entry is not None else "-")


@cache
def _entry(table: str) -> Entry:
    return compile_entry(route(f"10.0.0.0/8 dev e0 table {table}"), lambda owner, hop: None)  # type: ignore[arg-type,return-value]


ORDER = {
    "the lowest priority number first": ("20: lookup 200\n10: lookup 100", "100"),
    "an empty table is passed": ("10: lookup 7\n20: lookup 200", "200"),
    "unreachable ends the search": ("10: unreachable\n20: lookup 100", "ENETUNREACH"),
    "prohibit": ("10: prohibit\n20: lookup 100", "EACCES"),
    "blackhole": ("10: blackhole\n20: lookup 100", "EINVAL"),
    "nop goes on": ("10: nop\n20: lookup 100", "100"),
    "goto leaps": ("10: goto 30\n20: lookup 100\n30: lookup 200", "200"),
    "goto to the first of its priority": ("10: goto 30\n30: lookup 200\n30: lookup 100", "200"),
    "goto without a target is passed": ("10: goto 15\n20: lookup 100", "100"),
    "goto never goes back": ("10: lookup 7\n20: goto 10\n30: lookup 100", "100"),
    "goto only when it matches": ("10: fwmark 9 goto 30\n20: lookup 100\n30: lookup 200", "100"),
    "short prefixes suppressed": ("10: lookup 100 suppress_prefixlength 8\n20: lookup 200", "200"),
    "longer ones kept": ("10: lookup 100 suppress_prefixlength 7\n20: lookup 200", "100"),
    "nothing answers": ("10: lookup 7", "ENETUNREACH"),
}


@pytest.mark.parametrize("case", ORDER)
def test_rules_answer_in_order(case: str) -> None:
    rules, expected = ORDER[case]
    assert answers(rules) == expected


def test_an_open_rule_is_a_doubt_only_where_it_makes_a_difference() -> None:
    assert answers("10: dscp 8 lookup 100\n20: lookup 200") == "policy rule 10 tests what Tortie does not read: dscp"
    assert answers("10: dscp 8 nop\n20: lookup 200") == "200"
    assert answers("10: dscp 8 lookup 7\n20: lookup 200") == "200"
    assert answers("10: fwmark 9 dscp 8 lookup 100\n20: lookup 200") == "200"


def test_a_rule_for_vrfs_does_nothing_where_there_is_none() -> None:
    made = router("default dev e1", "1000: l3mdev x lookup 7".replace(" x lookup 7", " x"))
    assert sends(made, "8.8.8.8").iface == "e1"


@pytest.mark.parametrize("family", list(IPFamily))
def test_the_kernels_own_rules_are_not_custom(family: IPFamily) -> None:
    devices = Devices(links({}), family)
    assert not Rules(default_rules(family), devices).custom
    assert Rules((*default_rules(family), rule("50: nop", family)), devices).custom


@pytest.mark.parametrize(("text", "name"), [("255", "local"), ("254", "main"), ("253", "default"), ("100", "100")])
def test_numbers_of_the_kernels_tables_are_names(text: str, name: str) -> None:
    assert table_name(text) == name


# --- IPv4 before the first rule ----------------------------------------------------------------------------------

ANYIP = "local 20.0.0.0/8 dev lo table local scope host\n20.1.0.0/16 dev e1"


def test_local_and_main_are_one_table_until_a_rule_is_changed() -> None:
    decision = sends(router(ANYIP), "20.1.1.1")
    assert decision.iface == "e1"
    assert decision.assumptions == (
        "no policy rule was ever changed in this namespace, so the tables local and main are searched as one",
    )
    assert sends(router(ANYIP, "50: nop"), "20.1.1.1").iface == "lo"
    assert sends(router(ANYIP), "20.2.1.1").assumptions == ()


def test_suppressing_some_of_several_ipv6_next_hops_is_left_to_the_hash() -> None:
    routes = "2001:db8::/32 table 100 nexthop via fd00::9 dev e0 nexthop via fd00:1::9 dev e1\ndefault dev e3"
    given = snapshot(routes, "50: lookup 100 suppress_ifgroup 7", family=V6)
    assert given.links is not None
    for groups, expected in (((7, 0), RouteKind.UNKNOWN), ((7, 7), RouteKind.UNICAST)):
        changed = tuple(
            replace(link, group=groups[int(link.name[1])]) if link.name in ("e0", "e1") else link for link in given.links
        )
        decisions = Router(replace(given, links=changed), V6).route_output(value("2001:db8::1"), value("fd00::1"))
        assert [one.kind for one in decisions] == [expected]
        assert decisions[0].iface in (None, "e3")


def test_suppressing_by_group_looks_at_the_device() -> None:
    text = "50: lookup 100 suppress_ifgroup 7"
    made = router("default dev e3 table 100\ndefault dev e1", text)
    assert sends(made, "8.8.8.8").iface == "e3"
