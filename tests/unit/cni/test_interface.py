"""Both ends of a container's interface, as what the tools are told (spec: model 10.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.cni.interface import (
    PodInterface,
    creation_words,
    inside_lines,
    inside_sysctls,
    outside_routes,
    outside_sysctls,
)
from tortie.net.address import parse_prefix

V4, V6 = parse_prefix("10.0.0.5/32"), parse_prefix("fd00::5/128")
INTERFACE = PodInterface("eth0", "cali1", "/run/netns/x", (V4,))


def test_the_pair_is_made_with_its_other_end_in_the_container() -> None:
    assert " ".join(creation_words(INTERFACE)) == (
        "link add cali1 address ee:ee:ee:ee:ee:ee type veth peer name eth0 netns /run/netns/x"
    )


def test_an_mtu_is_of_both_ends() -> None:
    words = creation_words(replace(INTERFACE, mtu=1440))
    assert [words[index + 1] for index, word in enumerate(words) if word == "mtu"] == ["1440", "1440"]


def test_ipv4_goes_by_way_of_an_address_that_nobody_has() -> None:
    assert list(inside_lines(INTERFACE, None)) == [
        "link set eth0 up",
        "addr add 10.0.0.5/32 dev eth0",
        "route add 169.254.1.1/32 dev eth0 scope link",
        "route add 0.0.0.0/0 via 169.254.1.1 dev eth0",
    ]
    assert list(outside_routes(INTERFACE)) == ["route add 10.0.0.5/32 dev cali1 scope link"]


def test_ipv6_goes_by_way_of_the_nodes_end() -> None:
    interface = replace(INTERFACE, networks=(V6,))
    assert list(inside_lines(interface, "fe80::1")) == [
        "link set eth0 up",
        "addr add fd00::5/128 dev eth0 nodad",
        "route add ::/0 via fe80::1 dev eth0",
    ]
    with pytest.raises(ValueError, match="link-local"):
        list(inside_lines(interface, None))


def test_each_family_has_its_own_sysctls() -> None:
    four, six = INTERFACE, replace(INTERFACE, networks=(V6,))
    assert list(outside_sysctls(four)) == [
        ("net/ipv4/neigh/cali1/proxy_delay", "0"),
        ("net/ipv4/conf/cali1/proxy_arp", "1"),
        ("net/ipv4/conf/cali1/forwarding", "1"),
    ]
    assert list(outside_sysctls(six)) == [
        ("net/ipv6/conf/cali1/disable_ipv6", "0"),
        ("net/ipv6/conf/cali1/proxy_ndp", "1"),
        ("net/ipv6/conf/cali1/forwarding", "1"),
    ]
    assert list(inside_sysctls(four)) == [("net/ipv4/ip_forward", "0")]
    assert list(inside_sysctls(replace(six, allow_forwarding=True)))[-1] == ("net/ipv6/conf/all/forwarding", "1")
    both = replace(INTERFACE, networks=(V4, V6))
    assert list(outside_sysctls(both)) == [*outside_sysctls(four), *outside_sysctls(six)]
