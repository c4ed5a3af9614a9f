"""What is announced and what gets into the kernel, line by line (spec: model 9.6, 9.7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.bgp.route_filter import TunnelWord, aggregation_lines, announced_lines, installed_lines
from tortie.bgp.speaker import OwnBlock, PoolNetwork, Speaker, Tunnel
from tortie.net.address import IPFamily, parse_prefix

POOL = parse_prefix("10.65.0.0/16")
SPEAKER = Speaker("a", "10.0.0.1", subnet=parse_prefix("10.0.0.0/24"))


def test_confirmed_blocks_go_out_whole_and_others_in_parts() -> None:
    blocks = (OwnBlock(parse_prefix("10.65.0.0/26")), OwnBlock(parse_prefix("10.65.1.0/26"), confirmed=False))
    lines = list(aggregation_lines(replace(SPEAKER, blocks=blocks), IPFamily.V4))
    assert lines == [
        "function calico_aggr()",
        "{",
        "  if ( net = 10.65.0.0/26 ) then { accept; }",
        "  if ( net ~ 10.65.0.0/26 ) then { reject; }",
        "  # 10.65.1.0/26 is not confirmed yet: its addresses go out one by one",
        "}",
    ]


def test_announced_are_services_and_pools_of_the_family_alone() -> None:
    pools = (PoolNetwork(POOL), PoolNetwork(parse_prefix("fd65::/64")))
    speaker = replace(SPEAKER, pools=pools, static_routes=(parse_prefix("10.96.0.0/12"),))
    assert list(announced_lines(speaker, IPFamily.V4))[2:] == [
        "  calico_aggr();",
        "  if ( net ~ 10.96.0.0/12 ) then { accept; }",
        "  if ( net ~ 10.65.0.0/16 ) then { accept; }",
        "  reject;",
        "}",
    ]
    assert list(announced_lines(speaker, IPFamily.V6, "_v6"))[2:] == [
        "  calico_aggr_v6();",
        "  if ( net ~ fd65::/64 ) then { accept; }",
        "  reject;",
        "}",
    ]


IN_SUBNET = "defined(bgp_next_hop) && ( bgp_next_hop ~ 10.0.0.0/24 )"
INSTALLED = {
    "vxlan is the agent's": (Tunnel.VXLAN, TunnelWord.KNOWN, ["reject;"]),
    "no tunnel, Calico's bird": (Tunnel.NONE, TunnelWord.KNOWN, ['krt_tunnel = "";', "accept;"]),
    "no tunnel, stock bird": (Tunnel.NONE, TunnelWord.UNKNOWN, ["accept;"]),
    "ipip, Calico's bird": (Tunnel.IPIP, TunnelWord.KNOWN, ['krt_tunnel = "tunl0";', "accept;"]),
    "ipip, stock bird": (Tunnel.IPIP, TunnelWord.UNKNOWN, ["if defined(bgp_next_hop) then reject; else accept;"]),
    "ipip between subnets, Calico's bird": (
        Tunnel.IPIP_CROSS_SUBNET,
        TunnelWord.KNOWN,
        [f'if {IN_SUBNET} then krt_tunnel = ""; else krt_tunnel = "tunl0";', "accept;"],
    ),
    "ipip between subnets, stock bird": (
        Tunnel.IPIP_CROSS_SUBNET,
        TunnelWord.UNKNOWN,
        ["if ! defined(bgp_next_hop) || ( bgp_next_hop ~ 10.0.0.0/24 ) then accept; else reject;"],
    ),
}


@pytest.mark.parametrize(("tunnel", "word", "expected"), INSTALLED.values(), ids=INSTALLED)
def test_what_gets_into_the_kernel_of_a_pool(tunnel: Tunnel, word: TunnelWord, expected: list[str]) -> None:
    lines = list(installed_lines(replace(SPEAKER, pools=(PoolNetwork(POOL, tunnel),)), word))
    assert lines[2] == "  if ( net ~ 10.65.0.0/16 ) then {"
    assert [line.strip() for line in lines[3:-3] if "#" not in line] == expected


def test_everything_gets_into_the_kernel_of_a_node_whose_subnet_is_not_known() -> None:
    speaker = replace(SPEAKER, subnet=None, pools=(PoolNetwork(POOL, Tunnel.VXLAN),))
    assert list(installed_lines(speaker, TunnelWord.KNOWN))[2:] == ["  accept;", "}"]


def test_service_networks_that_others_announce_are_kept_out_of_the_kernel() -> None:
    lines = list(installed_lines(replace(SPEAKER, rejected=(parse_prefix("10.96.0.0/12"),)), TunnelWord.UNKNOWN))
    assert lines[2] == "  if ( net ~ 10.96.0.0/12 ) then { reject; }"
