"""Addresses in nat: floating ones, pools, tunnels (spec: rules 3.3, 8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.calc.view import IPPool, NatMapping, PortRange
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.render.config import RenderConfig
from tortie.render.nat import floating_dnat_rules, floating_snat_rules, nat_chains, nat_outgoing_rules, prerouting_rules
from tortie.render.state import NodeState, RenderContext, render_context

V4, V6 = IPFamily.V4, IPFamily.V6
CONTEXT = render_context(RenderConfig(), NodeState())


def context(config: RenderConfig) -> RenderContext:
    return render_context(config, NodeState())


def mapping(external: str, internal: str) -> NatMapping:
    return NatMapping(parse_address(external), parse_address(internal))


def test_all_six_chains_are_always_there() -> None:
    assert list(nat_chains(CONTEXT, V6, (), ())) == [
        "cali-PREROUTING",
        "cali-POSTROUTING",
        "cali-OUTPUT",
        "cali-fip-dnat",
        "cali-fip-snat",
        "cali-nat-outgoing",
    ]


def test_floating_addresses_are_sorted_as_text_and_clashes_go_to_the_smallest_text() -> None:
    mappings = [
        mapping("172.16.1.10", "10.0.0.9"),
        mapping("172.16.1.3", "10.0.0.9"),
        mapping("172.16.1.3", "10.0.0.10"),
    ]
    assert [rule.words for rule in floating_dnat_rules(mappings)] == [
        "--destination 172.16.1.10 --jump DNAT --to-destination 10.0.0.9",
        "--destination 172.16.1.3 --jump DNAT --to-destination 10.0.0.10",
    ]
    assert [rule.words for rule in floating_snat_rules(CONTEXT, mappings)] == [
        "--destination 10.0.0.10 --source 10.0.0.10 --jump SNAT --to-source 172.16.1.3 --random-fully",
        "--destination 10.0.0.9 --source 10.0.0.9 --jump SNAT --to-source 172.16.1.10 --random-fully",
    ]
    assert floating_dnat_rules(reversed(mappings)) == floating_dnat_rules(mappings)
    assert floating_snat_rules(CONTEXT, reversed(mappings)) == floating_snat_rules(CONTEXT, mappings)


def test_floating_addresses_go_to_the_table_of_their_family() -> None:
    mappings = [mapping("172.16.1.3", "10.0.0.9"), mapping("fd00::3", "fd00::9")]
    for family, address in ((V4, "172.16.1.3"), (V6, "fd00::3")):
        (rule,) = nat_chains(CONTEXT, family, (), mappings)["cali-fip-dnat"]
        assert f"--destination {address} " in rule.words


@pytest.mark.parametrize("family", [V4, V6])
def test_nothing_is_masqueraded_when_no_pool_of_the_family_asks(family: IPFamily) -> None:
    other = V6 if family is V4 else V4
    pools = [IPPool(parse_prefix("10.0.0.0/8"), family is V6), IPPool(parse_prefix("fd00::/64"), family is V4)]
    assert nat_outgoing_rules(CONTEXT, family, pools) == []
    assert nat_outgoing_rules(CONTEXT, other, pools) != []


def test_ports_and_outgoing_interface_are_last_but_for_the_action() -> None:
    config = RenderConfig(nat_port_range=PortRange(99, 99), nat_outgoing_interface="eth0")
    base = "-m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst"
    rules = nat_outgoing_rules(context(config), V4, [IPPool(parse_prefix("10.0.0.0/8"), True)])
    assert [rule.words for rule in rules] == [
        f"{base} -p tcp --out-interface eth0 --jump MASQUERADE --to-ports 99-99 --random-fully",
        f"{base} -p tcp --out-interface eth0 --jump RETURN",
        f"{base} -p udp --out-interface eth0 --jump MASQUERADE --to-ports 99-99 --random-fully",
        f"{base} -p udp --out-interface eth0 --jump RETURN",
        f"{base} --out-interface eth0 --jump MASQUERADE --random-fully",
    ]


@pytest.mark.parametrize("ports", [None, PortRange(0, 0)])
def test_no_port_range_means_one_rule(ports: PortRange | None) -> None:
    pools = [IPPool(parse_prefix("10.0.0.0/8"), True)]
    assert len(nat_outgoing_rules(context(RenderConfig(nat_port_range=ports)), V4, pools)) == 1


OPENSTACK = RenderConfig(cluster_type="openstack", metadata_host="10.0.0.1")


@pytest.mark.parametrize(
    ("config", "family", "expected"),
    [
        (OPENSTACK, V4, 2),
        (OPENSTACK, V6, 1),
        (replace(OPENSTACK, metadata_host="metadata"), V4, 1),
        (replace(OPENSTACK, metadata_host="127.0.0.1"), V4, 2),
        (replace(OPENSTACK, cluster_type=""), V4, 2),
        (RenderConfig(), V4, 1),
    ],
    ids=["IPv4", "IPv6", "host name", "default address", "told from the address", "no OpenStack"],
)
def test_metadata_service(config: RenderConfig, family: IPFamily, expected: int) -> None:
    assert len(prerouting_rules(context(config), family)) == expected


def test_metadata_without_a_port_leaves_the_packets_own() -> None:
    rule = prerouting_rules(context(replace(OPENSTACK, metadata_port=0)), V4)[-1]
    assert rule.words.endswith("--jump DNAT --to-destination 10.0.0.1")
