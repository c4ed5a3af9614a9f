"""Choosing among own addresses: IPv4's first fitting one, IPv6's comparison by RFC 6724."""

from __future__ import annotations

import pytest

from tests.router_builder import V4, V6, links, value
from tortie.simulator.device import SCOPE, Devices
from tortie.simulator.source_address import (
    Kind6,
    classify_v6,
    label_v6,
    needs_device,
    redirect_v4,
    redirect_v6,
    select_v4,
    select_v6,
    solicited_node_group,
)

FIRST_FITTING = {
    "the first": ("10.0.0.1/24 10.1.0.1/24", "", "global", "10.0.0.1"),
    "the one whose subnet holds the gateway": ("10.0.0.1/24 10.1.0.1/24", "10.1.0.254", "global", "10.1.0.1"),
    "the first when none does": ("10.0.0.1/24 10.1.0.1/24", "10.9.0.254", "global", "10.0.0.1"),
    "a peer's subnet": ("10.0.0.1/24 10.1.0.1/30,peer=10.9.0.2/30", "10.9.0.1", "global", "10.1.0.1"),
    "not a secondary one": ("10.0.0.1/24 10.0.0.2/24,secondary", "", "global", "10.0.0.1"),
    "not one of scope link": ("169.254.0.1/16,link 10.0.0.1/24", "", "global", "10.0.0.1"),
    "unless that is wide enough": ("169.254.0.1/16,link 10.0.0.1/24", "", "link", "169.254.0.1"),
    "another device's": ("", "", "global", "10.7.0.1"),
    "another device's where only link scope is at hand": ("169.254.0.1/16,link", "", "global", "10.7.0.1"),
}


@pytest.mark.parametrize("case", FIRST_FITTING)
def test_ipv4_takes_the_first_fitting_address(case: str) -> None:
    text, towards, scope, expected = FIRST_FITTING[case]
    devices = Devices(links({"e0": text, "e7": "10.7.0.1/24"}), V4)
    found = select_v4(devices, "e0", value(towards), SCOPE[scope], route_localnet=False)
    assert found == value(expected)


def test_ipv4_host_addresses_count_as_link_ones_with_route_localnet() -> None:
    devices = Devices(links({"e0": "10.0.0.1/32,host"}), V4)
    assert select_v4(devices, "e0", 0, SCOPE["link"], route_localnet=False) is None
    assert select_v4(devices, "e0", 0, SCOPE["link"], route_localnet=True) == value("10.0.0.1")


def test_ipv4_redirect_takes_the_first_address_of_any_kind() -> None:
    devices = Devices(links({"e0": "169.254.0.1/16,link 10.0.0.1/24", "e1": ""}), V4)
    assert redirect_v4(devices, "e0") == value("169.254.0.1")
    assert redirect_v4(devices, "e1") is None


CLASSES = {
    "::": (Kind6(0), -1),
    "::1": (Kind6.UNICAST | Kind6.LOOPBACK, 2),
    "::10.0.0.1": (Kind6.UNICAST | Kind6.COMPATIBLE, 14),
    "::ffff:10.0.0.1": (Kind6.MAPPED, 14),
    "fe80::1": (Kind6.UNICAST | Kind6.LINK_LOCAL, 2),
    "febf::1": (Kind6.UNICAST | Kind6.LINK_LOCAL, 2),
    "fec0::1": (Kind6.UNICAST | Kind6.SITE_LOCAL, 5),
    "fd00::1": (Kind6.UNICAST, 14),
    "2001:db8::1": (Kind6.UNICAST, 14),
    "64:ff9b::1": (Kind6.UNICAST, 14),
    "ff01::1": (Kind6.MULTICAST | Kind6.LOOPBACK, 1),
    "ff02::1": (Kind6.MULTICAST | Kind6.LINK_LOCAL, 2),
    "ff0e::1": (Kind6.MULTICAST, 14),
}


@pytest.mark.parametrize("address", CLASSES)
def test_ipv6_addresses_have_classes_and_a_scope(address: str) -> None:
    assert classify_v6(value(address)) == CLASSES[address]


@pytest.mark.parametrize("address", ["::1", "fe80::1", "ff0e::1"])
def test_some_ipv6_addresses_need_a_device(address: str) -> None:
    assert needs_device(value(address))
    assert not needs_device(value("fd00::1"))


LABELS = {
    "::1": 0, "2001:db8::1": 1, "2002::1": 2, "::10.0.0.1": 3, "::ffff:10.0.0.1": 4, "fd00::1": 5, "2001::1": 6,
    "2001:10::1": 7, "fec0::1": 11, "3ffe::1": 12,
}  # fmt: skip


@pytest.mark.parametrize("address", LABELS)
def test_ipv6_labels_are_the_kernels(address: str) -> None:
    assert label_v6(value(address)) == LABELS[address]


BEST = {
    "1 the destination itself": ("2001:db8::1/64 2001:db8::5/64", "", "2001:db8::5", "2001:db8::5"),
    "2 a scope that suffices": ("fe80::1/64 2001:db8::1/64", "", "2001:db9::9", "2001:db8::1"),
    "2 the smallest that does": ("2001:db8::1/64 fe80::1/64", "", "fe80::9", "fe80::1"),
    "3 not deprecated": ("2001:db8::1/64,deprecated 2001:db8::2/64", "", "2001:db9::9", "2001:db8::2"),
    "5 the outgoing device": ("2001:db8:1::1/64", "2001:db9::1/64", "2001:db9::9", "2001:db8:1::1"),
    "6 a matching label": ("fd00::1/64 2001:db8::1/64", "", "2001:db9::9", "2001:db8::1"),
    "8 the longest common prefix": ("2001:db8:1::1/64 2001:db8:2::1/64", "", "2001:db8:2::9", "2001:db8:2::1"),
    "8 no longer than the prefix": ("2001:db8::1/32 2001:db8:0:ff::1/64", "", "2001:db8::9", "2001:db8:0:ff::1"),
    "the first of equals": ("2001:db8:1::1/48 2001:db8:1::2/48", "", "2001:db9::9", "2001:db8:1::1"),
    "never a tentative one": ("2001:db8::1/64,tentative fd00::1/64", "", "2001:db9::9", "fd00::1"),
    "another device's": ("", "2001:db8::7/64", "2001:db9::9", "2001:db8::7"),
    "not for a neighbour": ("", "fe80::7/64", "fe80::9", None),
    "nor for a group": ("", "2001:db8::7/64", "ff0e::9", None),
}
"""RFC 6724 section 5, by the number of its rule: addresses of e0, of e7, destination, source out of e0."""


@pytest.mark.parametrize("case", BEST)
def test_ipv6_takes_the_best_address(case: str) -> None:
    own, others, destination, expected = BEST[case]
    devices = Devices(links({"e0": own, "e7": others}), V6)
    assert select_v6(devices, "e0", value(destination)) == (value(expected) if expected else None)


def test_ipv6_may_be_held_to_the_device() -> None:
    devices = Devices(links({"e0": "", "e7": "2001:db8::7/64"}), V6)
    assert select_v6(devices, "e0", value("2001:db9::9"), only_device=True) is None


@pytest.mark.parametrize(
    ("destination", "expected"),
    [("2001:db9::9", "2001:db8::1"), ("fe80::9", "fe80::1"), ("fec0::9", None), (None, "2001:db8::1")],
)
def test_ipv6_redirect_keeps_the_scope_class(destination: str | None, expected: str | None) -> None:
    devices = Devices(links({"e0": "2001:db8::1/64 fe80::1/64"}), V6)
    target = value(destination) if destination is not None else None
    assert redirect_v6(devices, "e0", target) == (value(expected) if expected else None)


def test_every_address_has_its_solicited_node_group() -> None:
    assert solicited_node_group(value("fd00::12:3456:789a")) == value("ff02::1:ff56:789a")
