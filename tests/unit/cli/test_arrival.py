from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.cli.arrival import check_interface, plan_arrival, usual_frame_type
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.net.error import InvalidInput
from tortie.net.node import InterfaceAddress, Link, NextHop, Route
from tortie.netfilter.match import CtState
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.walk import Node

V4, V6 = IPFamily.V4, IPFamily.V6


def _address(text: str, broadcast: str | None = None, scope: str = "global") -> InterfaceAddress:
    return InterfaceAddress(
        parse_prefix(text), scope, broadcast=None if broadcast is None else parse_address(broadcast).value
    )


def _route(prefix: str, *devices: str, gateway: str | None = None) -> Route:
    hops = tuple(NextHop(dev, None if gateway is None else parse_address(gateway)) for dev in devices)
    return Route(parse_prefix(prefix), hops)


_LOOPBACK = (_address("127.0.0.1/8", scope="host"), _address("::1/128", scope="host"))
SNAPSHOT = Snapshot(
    "hand-built",
    links=(
        Link("lo", 1, loopback=True, link_type="loopback", addresses=_LOOPBACK),
        Link("eth0", 2, addresses=(_address("10.0.0.1/24", "10.0.0.255"), _address("fd00::1/64"))),
        Link("cali1a2b", 3),
    ),
    routes={
        V4: (
            _route("10.0.0.0/24", "eth0"),
            _route("0.0.0.0/0", "eth0", gateway="10.0.0.254"),
            _route("10.65.0.2/32", "cali1a2b"),
            _route("10.9.0.0/16", "eth0", "cali1a2b"),
        ),
        V6: (_route("fd00::/64", "eth0"),),
    },
    policy_rules={},
)
NODE = Node.from_snapshot(SNAPSHOT)
NO_ROUTES = Node.from_snapshot(replace(SNAPSHOT, routes={}))
BARE = Node.from_snapshot(Snapshot("bare"))


def plan(line: str, node: Node = NODE) -> tuple[str | None, tuple[str, ...]]:
    planned = plan_arrival(parse_packet_words(*split_words(line)), node)
    return planned.arrival.in_iface, planned.notes


def test_the_device_is_the_one_by_which_the_source_would_be_answered() -> None:
    device, notes = plan("tcp 10.65.0.2:1 10.0.0.9:80")
    assert device == "cali1a2b"
    assert notes == ("arrives on cali1a2b, by which this node would answer 10.65.0.2",)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tcp 10.0.0.5:1 10.65.0.2:80", "eth0"),
        ("tcp 192.0.2.1:1 10.65.0.2:80", "eth0"),
        ("tcp [fd00::5]:1 [fd00::1]:80", "eth0"),
        ("tcp 10.65.0.2:1 10.0.0.9:80 -i eth0", "eth0"),
        ("tcp 10.0.0.1:1 10.0.0.9:80", None),
        ("tcp 127.0.0.1:1 127.0.0.1:80", None),
        ("tcp [fd00::1]:1 [fd00::5]:80", None),
        ("tcp 192.0.2.1:1 10.0.0.9:80 --local", None),
        ("tcp 10.0.0.1:1 10.0.0.9:80 -i eth0", "eth0"),
    ],
)
def test_a_packet_arrives_or_is_made_here(line: str, expected: str | None) -> None:
    assert plan(line)[0] == expected


def test_that_a_packet_is_made_here_is_told_when_it_was_worked_out() -> None:
    assert "10.0.0.1 is an address of this node" in plan("tcp 10.0.0.1:1 10.0.0.9:80")[1][0]
    assert plan("tcp 10.0.0.1:1 10.0.0.9:80 --local")[1] == ()


@pytest.mark.parametrize(
    ("line", "node", "message", "remedy"),
    [
        ("tcp 10.0.0.5:1 10.0.0.9:80 -i eht0", NODE, "no interface 'eht0' on this node", "did you mean eth0?"),
        ("tcp 10.0.0.5:1 10.0.0.9:80 -i wlan7", NODE, "no interface 'wlan7'", "there are lo, eth0, cali1a2b"),
        ("tcp 10.0.0.5:1 10.0.0.9:80 -i eth0 -o eht0", NODE, "no interface 'eht0'", "did you mean eth0?"),
        ("tcp 10.9.0.5:1 10.0.0.9:80", NODE, "10.9.0.5 may arrive on cali1a2b, eth0", "say which with -i"),
        ("tcp 10.0.0.5:1 10.0.0.9:80", NO_ROUTES, "the snapshot has no routes", "say -i IFACE, or --local"),
        ("tcp 10.0.0.5:1 10.0.0.9:80", BARE, "the snapshot has no routes", "say -i IFACE, or --local"),
        ("tcp [fd01::5]:1 [fd00::1]:80", NODE, "cannot tell where fd01::5 arrives", "say -i IFACE"),
        ("tcp 10.0.0.5:1 10.0.0.9:80 -i eth0 --local", NODE, "--local and -i exclude each other", None),
        ("tcp 10.0.0.5:1 10.0.0.9:80 -i eth0 -o eth0", NODE, "-o is not for a packet that arrives", "leave it out"),
        ("tcp 10.0.0.5:1 10.0.0.9:80 -i eth0 --uid 0", NODE, "--uid, --gid and --groups are for packets", "add --local"),
    ],
)
def test_what_cannot_be_told_is_asked_for(line: str, node: Node, message: str, remedy: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan(line, node)
    assert message in caught.value.message
    assert remedy is None or remedy in (caught.value.remedy or "")


def test_any_interface_may_be_named_when_the_snapshot_shows_none() -> None:
    assert plan("tcp 10.0.0.5:1 10.0.0.9:80 -i whatever", BARE)[0] == "whatever"
    check_interface("whatever", None)


def test_what_was_said_about_the_packet_reaches_the_walk() -> None:
    line = "udp 10.0.0.1:1 10.0.0.9:2 --mark 0x40 --uid 1000 --groups 4 --state INVALID -o eth0 --mac 2:0:0:0:0:1"
    arrival = plan_arrival(parse_packet_words(*split_words(line)), NODE).arrival
    assert (arrival.mark, arrival.state, arrival.out_iface) == (0x40, CtState.INVALID, "eth0")
    assert arrival.mac_source == b"\x02\0\0\0\0\x01"
    assert arrival.socket is not None
    assert (arrival.socket.uid, arrival.socket.gid, arrival.socket.groups) == (1000, None, frozenset({4}))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("udp 10.0.0.5:1 10.0.0.9:2", "unicast"),
        ("udp 10.0.0.5:1 224.0.0.1:2", "multicast"),
        ("udp 10.0.0.5:1 10.0.0.255:2", "broadcast"),
        ("udp 10.0.0.5:1 255.255.255.255:2", "broadcast"),
        ("udp fd00::5 [ff02::1]:2", "multicast"),
        ("udp fd00::5 [fd00::1]:2", "unicast"),
    ],
)
def test_the_frame_is_the_usual_one_for_the_destination(line: str, expected: str) -> None:
    asked = parse_packet_words(*split_words(line))
    assert usual_frame_type(asked.packet, SNAPSHOT.links) == expected
    assert plan_arrival(replace(asked, in_iface="eth0"), NODE).arrival.frame_type == expected


def test_the_frame_may_be_said() -> None:
    asked = parse_packet_words(*split_words("udp 10.0.0.5:1 10.0.0.9:2 --frame broadcast -i eth0"))
    assert plan_arrival(asked, NODE).arrival.frame_type == "broadcast"
