"""Devices as routing sees them, and the table local that follows from their addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.router_builder import links
from tortie.net.address import IPFamily
from tortie.simulator.device import Devices, derive_local_routes, scope_number

V4, V6 = IPFamily.V4, IPFamily.V6


def local(text: str, family: IPFamily = V4, *, down: bool = False, forwarding: bool = True) -> list[str]:
    """What is derived for one device, as `TYPE ADDRESS`."""
    made = Devices(links({"e0": text}, down=("e0",) if down else ()), family)
    routes = derive_local_routes(made, forwarding=forwarding)
    return [f"{one.type.value} {one.prefix}" for one in routes if one.next_hops[0].dev == "e0"]


DERIVED = {
    "an address with its broadcast": ("10.0.0.1/24", ["local 10.0.0.1/32", "broadcast 10.0.0.255/32"]),
    "a point-to-point link has none": ("10.0.0.0/31", ["local 10.0.0.0/32"]),
    "nor has a single address": ("10.0.0.1/32", ["local 10.0.0.1/32"]),
    "a given broadcast": ("10.0.0.1/32,brd=10.0.0.9", ["local 10.0.0.1/32", "broadcast 10.0.0.9/32"]),
    "a peer's network": ("10.0.0.1/30,peer=10.9.0.1/30", ["local 10.0.0.1/32", "broadcast 10.9.0.3/32"]),
    "a secondary address shares them": (
        "10.0.0.1/24 10.0.0.2/24,secondary",
        ["local 10.0.0.1/32", "broadcast 10.0.0.255/32", "local 10.0.0.2/32"],
    ),
}
"""fib_add_ifaddr in net/ipv4/fib_frontend.c."""


@pytest.mark.parametrize("case", DERIVED)
def test_ipv4_routes_of_own_addresses(case: str) -> None:
    text, expected = DERIVED[case]
    assert local(text) == expected


def test_an_address_outlives_its_device_but_not_its_broadcast() -> None:
    assert local("10.0.0.1/24", down=True) == ["local 10.0.0.1/32"]


def test_ipv6_routes_of_own_addresses() -> None:
    assert local("fd00::1/64", V6) == ["local fd00::1/128", "anycast fd00::/128", "multicast ff00::/8"]
    assert local("fd00::1/64", V6, forwarding=False) == ["local fd00::1/128", "multicast ff00::/8"]
    assert local("fd00::1/127", V6) == ["local fd00::1/128", "multicast ff00::/8"]
    assert local("fd00::1/64,tentative", V6) == ["multicast ff00::/8"]
    assert local("fd00::1/64", V6, down=True) == []


def test_loopback_is_local_as_a_whole() -> None:
    made = Devices(links({}), V4)
    found = [f"{one.type.value} {one.prefix}" for one in derive_local_routes(made, forwarding=True)]
    assert found == ["local 127.0.0.1/32", "local 127.0.0.0/8", "broadcast 127.255.255.255/32"]


def test_devices_stand_in_the_order_of_their_index() -> None:
    made = links({"e0": "10.0.0.1/24", "e1": ""})
    mixed = (replace(made[1], index=9), made[2], made[0])
    assert [link.name for link in Devices(mixed, V4).ordered] == ["lo", "e1", "e0"]


def test_a_device_of_a_vrf_is_known_by_its_master() -> None:
    made = links({"e0": "", "red": ""})
    devices = Devices((made[0], replace(made[1], master="red"), replace(made[2], kind="vrf")), V4)
    assert [devices.in_vrf(name) for name in ("e0", "red", "lo", "gone")] == [True, True, False, False]


def test_unknown_devices_are_taken_to_be_up() -> None:
    assert Devices(None, V4).is_up("e0")
    assert Devices(None, V4).is_loopback("lo")
    assert not Devices(links({"e0": ""}, down=("e0",)), V4).is_up("e0")


@pytest.mark.parametrize(("text", "number"), [("global", 0), ("link", 253), ("host", 254), ("200", 200), ("odd", 0)])
def test_scopes_have_numbers(text: str, number: int) -> None:
    assert scope_number(text) == number
