"""A view refuses values that no dataplane can be told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tortie.calc.view import NatMapping, NetSet, PortMember, PortRange, RuleSide
from tortie.net.address import parse_address, parse_prefix


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PortRange(5, 4), "not a port range"),
        (lambda: PortRange(-1, 4), "not a port range"),
        (lambda: PortRange(1, 65536), "not a port range"),
        (lambda: RuleSide(nets=(parse_prefix("10.0.0.1/8"),)), "host bits"),
        (lambda: RuleSide(not_nets=(parse_prefix("10.0.0.1/8"),)), "host bits"),
        (lambda: NetSet("s:x", frozenset({parse_prefix("0.0.0.0/0")})), "cannot be a member"),
        (lambda: NetSet("s:x", frozenset({parse_prefix("10.0.0.1/8")})), "cannot be a member"),
        (lambda: PortMember(parse_address("10.0.0.1"), "sctp", 80), "tcp or udp"),
        (lambda: PortMember(parse_address("10.0.0.1"), "tcp", 65536), "not a port"),
        (lambda: NatMapping(parse_address("10.0.0.1"), parse_address("fd00::1")), "two families"),
    ],
    ids=[
        "range that ends before it starts",
        "negative port",
        "port too large",
        "net with host bits",
        "excepted net with host bits",
        "set member that is everything",
        "set member with host bits",
        "named port of a protocol without",
        "named port too large",
        "floating address of another family",
    ],
)
def test_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_side_knows_all_sets_it_names() -> None:
    side = RuleSide(ip_sets=("a",), named_port_sets=("b",), not_ip_sets=("c",), not_named_port_sets=("d",))
    assert side.set_ids == ("a", "b", "c", "d")
