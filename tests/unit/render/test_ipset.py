"""Sets, their types, options and members (spec: rules 9)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tortie.calc.view import ActiveSet, AddressSet, HostMetadata, IPPool, NetSet, NodeView, PortMember, PortSet, Vtep
from tortie.net.address import IPFamily, Prefix, parse_address, parse_prefix
from tortie.netfilter.ipset import IPSet, PortPart, SetEntry
from tortie.render.config import RenderConfig
from tortie.render.ipset import NodeSets, ip_sets
from tortie.render.state import NodeInterface, NodeState

V4, V6 = IPFamily.V4, IPFamily.V6
CONFIG = RenderConfig()
VIEW = NodeView("node-1")
STATE = NodeState()
HOST = parse_address("10.0.0.1")


def members(one: IPSet) -> list[str]:
    """The members' texts, in order."""
    return [",".join(str(part) for part in entry.parts) for entry in one.entries]


def nets(*texts: str) -> frozenset[Prefix]:
    return frozenset(parse_prefix(text) for text in texts)


def many(numbers: Iterable[int]) -> frozenset[Prefix]:
    return frozenset(Prefix(V4, 0x0A000000 + number, 32) for number in numbers)


def test_three_sets_are_always_there() -> None:
    assert list(ip_sets(VIEW, STATE, CONFIG, V4)) == ["cali40all-ipam-pools", "cali40masq-ipam-pools", "cali40this-host"]
    assert list(ip_sets(VIEW, STATE, CONFIG, V6)) == ["cali60all-ipam-pools", "cali60masq-ipam-pools", "cali60this-host"]


# --- one view after the other ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (NetSet("x", nets("10.0.0.1/32")), NetSet("x", nets("10.0.0.1/32", "10.0.0.0/24", "fd00::/64"))),
        (NetSet("x", nets("10.0.0.0/8", "10.0.0.0/24", "10.1.0.0/16")), NetSet("x", nets("10.0.0.0/24"))),
        (NetSet("x", nets("10.0.0.1/32", "10.0.0.3/32")), NetSet("x", nets("10.0.0.2/32", "10.0.0.4/32"))),
        (NetSet("x", nets("10.0.0.1/32")), NetSet("x")),
        (
            PortSet("x", frozenset({PortMember(HOST, "udp", 80), PortMember(HOST, "tcp", 81)})),
            PortSet("x", frozenset({PortMember(HOST, "udp", 80), PortMember(HOST, "tcp", 80)})),
        ),
        (AddressSet("x", frozenset({HOST})), AddressSet("x")),
        (NetSet("x", nets("10.0.0.1/32")), AddressSet("x", frozenset({HOST}))),
        (NetSet("x", many(range(2000))), NetSet("x", many(range(1, 2001)))),
        (NetSet("x", many(range(2000))), NetSet("x", many(range(1500, 3500)))),
    ],
    ids=["come", "go", "come and go", "all go", "ports", "addresses", "another type", "one of many", "many of many"],
)
def test_a_changed_set_is_as_if_made_from_nothing(before: ActiveSet, after: ActiveSet) -> None:
    for family in IPFamily:
        sets = NodeSets(CONFIG, family)
        sets.of(replace(VIEW, ip_sets=(before,)), STATE)
        view = replace(VIEW, ip_sets=(after,))
        assert list(sets.of(view, STATE).items()) == list(ip_sets(view, STATE, CONFIG, family).items())


def test_a_set_whose_members_of_a_family_stay_is_the_same_object() -> None:
    sets = NodeSets(CONFIG, V4)
    before, after = (
        sets.of(replace(VIEW, ip_sets=(NetSet("x", nets("10.0.0.1/32", text)),)), STATE)
        for text in ("fd00::1/128", "fd00::2/128")
    )
    assert before["cali40x"] is after["cali40x"]


def test_members_that_stay_are_the_same_objects() -> None:
    sets = NodeSets(CONFIG, V4)
    before, after = (
        sets.of(replace(VIEW, ip_sets=(NetSet("x", many(numbers)),)), STATE)["cali40x"].entries
        for numbers in (range(10), range(1, 11))
    )
    assert all(one is other for one, other in zip(before[1:], after, strict=False))


# --- sets of rules -----------------------------------------------------------------------------------------------


def test_set_of_networks() -> None:
    view = replace(VIEW, ip_sets=(NetSet("s:x", nets("10.0.0.2/32", "10.0.0.0/24", "fd00::1/128")),))
    config = replace(CONFIG, max_ipset_size=99)
    assert ip_sets(view, STATE, config, V4)["cali40s:x"] == IPSet(
        "cali40s:x",
        "hash:net",
        V4,
        (SetEntry((parse_prefix("10.0.0.0/24"),)), SetEntry((parse_prefix("10.0.0.2/32"),))),
        {"family": "inet", "maxelem": "99"},
    )
    assert ip_sets(view, STATE, config, V6)["cali60s:x"] == IPSet(
        "cali60s:x", "hash:net", V6, (SetEntry((parse_prefix("fd00::1/128"),)),), {"family": "inet6", "maxelem": "99"}
    )


def test_set_of_named_ports() -> None:
    given = frozenset(
        {
            PortMember(parse_address("10.0.0.1"), "tcp", 80),
            PortMember(parse_address("10.0.0.1"), "udp", 53),
            PortMember(parse_address("fd00::1"), "tcp", 80),
        }
    )
    one = ip_sets(replace(VIEW, ip_sets=(PortSet("n:x", given),)), STATE, CONFIG, V4)["cali40n:x"]
    host = parse_prefix("10.0.0.1/32")
    assert one.type == "hash:ip,port"
    assert one.entries == (SetEntry((host, PortPart(6, 80))), SetEntry((host, PortPart(17, 53))))


def test_set_of_addresses() -> None:
    given = frozenset({parse_address("10.0.0.1"), parse_address("fd00::1")})
    one = ip_sets(replace(VIEW, ip_sets=(AddressSet("x", given),)), STATE, CONFIG, V6)["cali60x"]
    assert (one.type, members(one)) == ("hash:ip", ["fd00::1/128"])


def test_pools() -> None:
    pools = (
        IPPool(parse_prefix("10.0.0.0/16"), True),
        IPPool(parse_prefix("10.1.0.0/16")),
        IPPool(parse_prefix("fd00::/64"), True),
    )
    made = ip_sets(replace(VIEW, pools=pools), STATE, CONFIG, V4)
    assert members(made["cali40all-ipam-pools"]) == ["10.0.0.0/16", "10.1.0.0/16"]
    assert members(made["cali40masq-ipam-pools"]) == ["10.0.0.0/16"]


def test_this_host_is_every_address_but_those_of_workload_and_excluded_interfaces() -> None:
    interfaces = tuple(
        NodeInterface(name, frozenset(parse_address(text) for text in texts))
        for name, texts in [
            ("lo", ["127.0.0.1", "::1"]),
            ("eth0", ["10.20.0.11", "fe80::1"]),
            ("cali1", ["169.254.1.1"]),
            ("kube-ipvs0", ["10.96.0.1"]),
        ]
    )
    state = NodeState(interfaces)
    this_host = ip_sets(VIEW, state, CONFIG, V4)["cali40this-host"]
    assert (this_host.type, members(this_host)) == ("hash:ip", ["10.20.0.11/32", "127.0.0.1/32"])
    assert members(ip_sets(VIEW, state, CONFIG, V6)["cali60this-host"]) == ["::1/128", "fe80::1/128"]


HOSTS = tuple(HostMetadata(name, parse_address(text)) for name, text in [("node-1", "10.20.0.1"), ("node-2", "10.20.0.2")])
VTEPS = tuple(Vtep(host.hostname, b"\x66\0\0\0\0\1", parse_address("10.65.0.1"), host.address) for host in HOSTS)
NODES = replace(VIEW, hosts=HOSTS, vteps=VTEPS)
EXTERNAL = replace(CONFIG, external_nodes=(parse_prefix("192.0.2.0/24"),))


@pytest.mark.parametrize(
    ("config", "name", "expected"),
    [
        (replace(EXTERNAL, ipip_enabled=True), "cali40all-hosts-net", ["10.20.0.1/32", "10.20.0.2/32", "192.0.2.0/24"]),
        (replace(EXTERNAL, vxlan_enabled=True), "cali40all-vxlan-net", ["10.20.0.2/32", "192.0.2.0/24"]),
    ],
    ids=["IPIP: own address too", "VXLAN: other nodes only"],
)
def test_tunnel_peers(config: RenderConfig, name: str, expected: list[str]) -> None:
    assert members(ip_sets(NODES, STATE, config, V4)[name]) == expected
    assert not any("hosts" in other or "vxlan" in other for other in ip_sets(NODES, STATE, config, V6))
    assert name not in ip_sets(NODES, STATE, EXTERNAL, V4)
