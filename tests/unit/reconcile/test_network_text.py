"""The lines that ip and bridge are given; that they take them is tests/kernel/test_network.py's."""

from __future__ import annotations

import pytest

from tests.contract.network import MAC, PODS, TUNNEL, host
from tortie.net.address import parse_address, parse_prefix
from tortie.reconcile.network import (
    AddAddress,
    AddForwarding,
    AddRoute,
    DeleteAddress,
    DeleteDevice,
    DeleteForwarding,
    DeleteNeighbour,
    DeleteRoute,
    ForgetConnections,
    IpipDevice,
    MakeIpip,
    MakeVxlan,
    NetworkStep,
    SetMac,
    SetMtu,
    SetNeighbour,
    SetSetting,
    SetUp,
)
from tortie.reconcile.network_text import batch_line, describe_network_step, is_device_name

assert TUNNEL.vxlan is not None
V6_PREFIX = parse_prefix("fd00::/64")


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (
            MakeVxlan(TUNNEL.vxlan),
            "ip link add vxlan.calico address 66:aa:bb:cc:dd:ee type vxlan "
            "id 4096 dstport 4789 local 10.20.0.1 dev eth0 nolearning",
        ),
        (MakeIpip(IpipDevice("tunl0", 1440)), "ip tunnel add tunl0 mode ipip"),
        (DeleteDevice("vxlan.calico"), "ip link delete vxlan.calico"),
        (SetMtu("tunl0", 1440), "ip link set tunl0 mtu 1440"),
        (SetMac("vxlan.calico", MAC), "ip link set vxlan.calico address 66:aa:bb:cc:dd:ee"),
        (SetUp("tunl0"), "ip link set tunl0 up"),
        (AddAddress("tunl0", parse_prefix("10.65.0.1/32")), "ip address add 10.65.0.1/32 dev tunl0"),
        (DeleteAddress("tunl0", parse_prefix("10.65.0.1/24")), "ip address delete 10.65.0.1/24 dev tunl0"),
        (AddRoute(host("10.65.0.2/32", "cali1")), "ip route add 10.65.0.2/32 dev cali1 scope link proto boot table main"),
        (AddRoute(host("fd00::2/128", "cali1")), "ip route add fd00::2/128 dev cali1 proto boot table main"),
        (
            AddRoute(TUNNEL.routes[0]),
            "ip route add 10.65.1.0/26 via 10.65.1.0 dev vxlan.calico onlink proto boot table main",
        ),
        (DeleteRoute(V6_PREFIX, "cali1"), "ip route delete fd00::/64 dev cali1 table main"),
        (
            SetNeighbour(PODS.neighbours[0]),
            "ip neighbour replace 10.65.0.2 lladdr 66:aa:bb:cc:dd:ee dev cali1 nud permanent",
        ),
        (DeleteNeighbour("cali1", parse_address("10.65.0.2")), "ip neighbour delete 10.65.0.2 dev cali1"),
        (
            AddForwarding(TUNNEL.forwarding[0]),
            "bridge fdb append 66:aa:bb:cc:dd:01 dev vxlan.calico dst 10.20.0.2 self permanent",
        ),
        (DeleteForwarding(TUNNEL.forwarding[0]), "bridge fdb delete 66:aa:bb:cc:dd:01 dev vxlan.calico dst 10.20.0.2 self"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)  # fmt: skip
def test_the_line_of_a_step(step: NetworkStep, line: str) -> None:
    assert " ".join(batch_line(step)) == line == describe_network_step(step)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (SetSetting(PODS.settings[0]), "net/ipv4/conf/cali1/rp_filter = 1"),
        (ForgetConnections(parse_address("fd00::2")), "conntrack: forget fd00::2"),
    ],
)
def test_what_ip_does_not_do(step: NetworkStep, words: str) -> None:
    assert describe_network_step(step) == words
    with pytest.raises(ValueError, match="not done by ip"):
        batch_line(step)


@pytest.mark.parametrize(
    ("name", "possible"),
    [
        ("cali1", True),
        ("vxlan.calico", True),
        ("eth0@if3:~+", True),
        ("x" * 15, True),
        ("x" * 16, False),
        ("", False),
        (".", False),
        ("..", False),
        ("a b", False),
        ("a/b", False),
        ("a\nlink delete eth0", False),
    ],
)
def test_names_of_devices(name: str, possible: bool) -> None:
    assert is_device_name(name) is possible


def test_a_name_that_no_device_has_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="no device is called"):
        batch_line(SetUp("a b"))
