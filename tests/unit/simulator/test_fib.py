"""Tables: which route a destination gets, in the kernel's order."""

from __future__ import annotations

import pytest

from tests.router_builder import V4, V6, route, value
from tortie.net.node import NextHop, Route
from tortie.simulator.fib import Entry, Hop, Table4, Table6, compile_entry, score6, select6


def make_hop(owner: Route, hop: NextHop) -> Hop:
    return Hop(hop, hop.dev, not (hop.dead or hop.linkdown), not hop.dead, hop.gateway is None)


def entries(text: str, family: object = V4) -> list[Entry]:
    return [compile_entry(route(line, family), make_hop) for line in text.splitlines() if line.strip()]  # type: ignore[arg-type]


def looked_up(text: str, destination: str, *, tos: int = 0, oif: str = "", **more: object) -> str:
    """Device of the route found, or its error; a dash when there is none."""
    hit = Table4(entries(text)).lookup(value(destination), tos, oif, **more)  # type: ignore[arg-type]
    if hit is None:
        return "-"
    return hit[0].error or str(hit[0].hops[hit[1]].iface)


NESTED = "default dev e0\n10.0.0.0/8 dev e1\n10.1.0.0/16 dev e2\n10.1.2.3/32 dev e3"


@pytest.mark.parametrize(
    ("destination", "expected"), [("9.9.9.9", "e0"), ("10.9.9.9", "e1"), ("10.1.9.9", "e2"), ("10.1.2.3", "e3")]
)
def test_the_longest_prefix_wins(destination: str, expected: str) -> None:
    assert looked_up(NESTED, destination) == expected


def test_without_a_route_there_is_none() -> None:
    assert looked_up("10.0.0.0/8 dev e1", "11.0.0.1") == "-"


@pytest.mark.parametrize(
    ("tos", "expected"),
    [(0x10, "e1"), (0x12, "e1"), (0xB0, "e1"), (0x08, "e2"), (0, "e2")],
    ids=["equal", "ECN is not looked at", "nor are the upper bits", "another", "none"],
)
def test_a_tos_route_comes_before_the_others_of_its_prefix(tos: int, expected: str) -> None:
    text = "10.0.0.0/8 dev e2 metric 1\n10.0.0.0/8 dev e1 metric 9 tos 0x10\n10.0.0.0/8 dev e3 metric 5"
    assert looked_up(text, "10.1.1.1", tos=tos) == expected


def test_a_tos_route_does_not_beat_a_longer_prefix() -> None:
    assert looked_up("10.0.0.0/8 dev e1 tos 0x10\n10.1.0.0/16 dev e2", "10.1.1.1", tos=0x10) == "e2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8 dev e1 dead\ndefault dev e2", "e2"),
        ("10.0.0.0/8 nexthop dev e1 dead nexthop dev e2", "e2"),
        ("unreachable 10.0.0.0/8\ndefault dev e2", "EHOSTUNREACH"),
        ("prohibit 10.0.0.0/8", "EACCES"),
        ("blackhole 10.0.0.0/8", "EINVAL"),
        ("throw 10.0.0.0/8", "EAGAIN"),
    ],
    ids=["dead", "one hop dead", "unreachable", "prohibit", "blackhole", "throw"],
)
def test_dead_routes_are_passed_over_and_refusing_ones_end_the_search(text: str, expected: str) -> None:
    assert looked_up(text, "10.1.1.1") == expected


def test_a_bound_device_passes_over_routes_by_others() -> None:
    text = "10.0.0.0/8 nexthop dev e1 nexthop dev e2\ndefault dev e3"
    assert [looked_up(text, "10.1.1.1", oif=name) for name in ("e1", "e2", "e3", "e4")] == ["e1", "e2", "e3", "-"]


def test_a_refusing_route_refuses_on_every_device() -> None:
    assert looked_up("unreachable 10.0.0.0/8\ndefault dev e3", "10.1.1.1", oif="e3") == "EHOSTUNREACH"


def test_a_lost_carrier_matters_unless_asked_not_to() -> None:
    text = "10.0.0.0/8 dev e1 linkdown\ndefault dev e2"
    assert looked_up(text, "10.1.1.1") == "e2"
    assert looked_up(text, "10.1.1.1", ignoring_carrier=True) == "e1"


def test_wider_scopes_can_be_passed_over() -> None:
    text = "10.0.0.0/8 dev e1\ndefault dev e2 scope link"
    assert looked_up(text, "10.1.1.1", least_scope=253) == "e2"


def test_local_comes_before_main_where_they_are_one() -> None:
    assert looked_up("10.0.0.0/8 dev e1\n10.0.0.0/8 dev e2 table local metric 9", "10.1.1.1") == "e2"


def test_routes_that_differ_in_their_next_hop_alone() -> None:
    made = entries("default via 10.0.0.1 dev e0\ndefault via 10.0.0.2 dev e0\ndefault via 10.0.0.3 dev e0 metric 5")
    assert Table4(made).equals(made[0]) == tuple(made[:2])


# --- IPv6 --------------------------------------------------------------------------------------------------------


def leaves(text: str, destination: str, source: str = "") -> list[list[str]]:
    """The leaves tried one after the other, as devices."""
    table = Table6(entries(text, V6))
    return [[str(one.hop.iface) for one in leaf] for leaf in table.chain(value(destination), value(source))]


def test_all_prefixes_are_tried_from_the_longest() -> None:
    text = "default dev e0\n2001:db8::/32 dev e1\n2001:db8:1::/48 dev e2"
    assert leaves(text, "2001:db8:1::9") == [["e2"], ["e1"], ["e0"]]


SPECIFIC = "default dev e0\n2001:db8::/32 dev e1\n2001:db8::/32 from fd00::/16 dev e2\n2001:db8::/32 from fd00::/64 dev e3"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("fd00::5", [["e3"], ["e2"], ["e1"], ["e0"]], id="longest source first"),
        pytest.param("fd00:1::5", [["e2"], ["e1"], ["e0"]], id="shorter source"),
        pytest.param("3ffe::5", [["e0"]], id="a foreign source misses the plain route beside them"),
    ],
)
def test_source_specific_routes_come_first(source: str, expected: list[list[str]]) -> None:
    assert leaves(SPECIFIC, "2001:db8::9", source) == expected


def test_a_foreign_source_finds_the_plain_route_on_the_way_back_up() -> None:
    assert leaves(f"{SPECIFIC}\n2001:db8:1::/48 dev e7", "2001:db8:1::9", "3ffe::5") == [["e7"], ["e1"], ["e0"]]


def test_a_foreign_source_finds_the_plain_default_route() -> None:
    assert leaves("default dev e0\ndefault from fd00::/16 dev e1", "2001:db8::9", "3ffe::5") == [["e0"]]


def selected(text: str, oif: str = "", *, strict: bool = False, failed: str = "") -> str:
    """The device of the best route to 2001:db8::9; a dash for none."""
    (leaf,) = Table6(entries(text, V6)).chain(value("2001:db8::9"), 0)
    best = select6(leaf, oif, strict=strict, failed=(lambda hop: str(hop.value.gateway) == failed) if failed else None)
    return "-" if best is None else str(best.hop.iface)


CHOICES = {
    "the lowest metric": ("default dev e0 metric 5\ndefault dev e1 metric 1", "", "e1"),
    "the first of equals": ("default dev e0\ndefault dev e1", "", "e0"),
    "the wished-for device": ("default dev e0\ndefault dev e1", "e1", "e1"),
    "but not at a higher metric": ("default dev e0 metric 1\ndefault dev e1 metric 5", "e1", "e0"),
    "preference before device": ("default dev e0 pref high\ndefault dev e1", "e1", "e0"),
    "low preference last": ("default dev e0 pref low\ndefault dev e1", "", "e1"),
    "not a dead one": ("default dev e0 dead\ndefault dev e1", "", "e1"),
    "when the lowest metric is dead, the best of all others": (
        "default dev e0 dead metric 1\ndefault dev e1 metric 5\ndefault dev e2 metric 9 pref high", "", "e2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHOICES)
def test_the_best_route_of_a_prefix(case: str) -> None:
    text, oif, expected = CHOICES[case]
    assert selected(text, oif) == expected


def test_strictness_refuses_other_devices() -> None:
    assert selected("default dev e0\ndefault dev e1", "e1", strict=True) == "e1"
    assert selected("default dev e0", "e1", strict=True) == "-"


def test_gateways_that_failed_are_avoided() -> None:
    text = "default via fe80::1 dev e0\ndefault via fe80::2 dev e1"
    assert selected(text, failed="fe80::1") == "e1"


def test_hops_of_one_route_are_siblings_however_they_are_listed() -> None:
    together = "2001:db8::/32 nexthop via fe80::1 dev e0 nexthop via fe80::2 dev e1"
    apart = "2001:db8::/32 via fe80::1 dev e0\n2001:db8::/32 via fe80::2 dev e1"
    for text in (together, apart):
        (leaf,) = Table6(entries(text, V6)).chain(value("2001:db8::9"), 0)
        assert [[str(one.hop.iface) for one in candidate.siblings] for candidate in leaf] == [["e0", "e1"]] * 2


def test_routes_without_gateway_are_siblings_of_nobody_else() -> None:
    (leaf,) = Table6(entries("default dev e0\ndefault dev e1", V6)).chain(value("2001:db8::9"), 0)
    assert [len(one.siblings) for one in leaf] == [1, 1]


def test_scores_are_the_kernels() -> None:
    (leaf,) = Table6(entries("default dev e0 pref high", V6)).chain(value("2001:db8::9"), 0)
    assert [score6(leaf[0], oif, strict=False) for oif in ("", "e0", "e1")] == [14, 14, 12]
    assert score6(leaf[0], "e1", strict=True) < 0


def test_a_refusing_ipv6_route_lies_on_lo() -> None:
    (made,) = entries("unreachable 2001:db8::/32", V6)
    assert (made.error, made.hops[0].iface, made.metric) == ("EHOSTUNREACH", "lo", 1024)
