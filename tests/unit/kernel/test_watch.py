"""What messages of the kernel mean; that it sends such messages is tests/kernel/test_watch.py's."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from tortie.kernel.watch import (
    KernelEvent,
    LinkGone,
    LinkSeen,
    LinkTable,
    RouteTouched,
    SettingTouched,
    TablesTouched,
    Transactions,
    settings_touched,
)
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.net.node import InterfaceAddress, Link

ADDRESS = parse_address("10.20.0.1")
UP = 0x1 | 0x40


def table() -> LinkTable:
    return LinkTable([Link("eth0", 2, addresses=(InterfaceAddress(parse_prefix("10.20.0.1/24")),))])


def message(event: str, index: int = 2, flags: int = UP, family: int = 0, **attributes: Any) -> dict[str, Any]:
    attrs = tuple(attributes.items())
    return {"event": event, "index": index, "flags": flags, "family": family, "attrs": attrs, "table": 254,
            "header": {"pid": 77}}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "events"),
    [
        (message("RTM_NEWLINK", IFLA_IFNAME="eth0"), []),
        (message("RTM_NEWLINK", flags=1, IFLA_IFNAME="eth0"), [LinkSeen("eth0", False, frozenset({ADDRESS}))]),
        (message("RTM_NEWLINK", 3, IFLA_IFNAME="cali1"), [LinkSeen("cali1", True, frozenset())]),
        (
            message("RTM_NEWLINK", IFLA_IFNAME="wan0"),
            [LinkGone("eth0"), LinkSeen("wan0", True, frozenset({ADDRESS}))],
        ),
        (message("RTM_NEWLINK", 3, family=7, IFLA_IFNAME="port"), []),
        (message("RTM_DELLINK", IFLA_IFNAME="eth0"), [LinkGone("eth0")]),
        (message("RTM_DELLINK", 9, IFLA_IFNAME="x"), []),
        (message("RTM_DELADDR", family=2, IFA_LOCAL="10.20.0.1"), [LinkSeen("eth0", True, frozenset())]),
        (message("RTM_NEWADDR", family=2, IFA_LOCAL="10.20.0.1"), []),
        (
            message("RTM_NEWADDR", family=10, IFA_ADDRESS="fd00::1"),
            [LinkSeen("eth0", True, frozenset({ADDRESS, parse_address("fd00::1")}))],
        ),
        (message("RTM_NEWADDR", 9, family=2, IFA_LOCAL="10.0.0.1"), []),
        (message("RTM_DELROUTE", RTA_OIF=2), [RouteTouched("eth0", 77)]),
        (message("RTM_NEWROUTE", RTA_OIF=9), []),
        (message("RTM_NEWNEIGH"), []),
    ],
    ids=[
        "same", "down", "new", "renamed", "bridge port", "gone", "unknown gone", "address gone", "address again",
        "new address", "address of unknown", "route", "route of unknown", "other",
    ],
)  # fmt: skip
def test_links_addresses_and_routes(given: dict[str, Any], events: list[KernelEvent]) -> None:
    assert list(table().feed(given)) == events


def test_routes_of_other_tables_do_not_count() -> None:
    assert list(table().feed({**message("RTM_DELROUTE", RTA_OIF=2), "table": 255})) == []


def attribute(number: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)


def netlink(kind: int, family: int, *attributes: bytes) -> bytes:
    body = struct.pack("=BBH", family, 0, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), 10 << 8 | kind, 0, 1, 5) + body


RULE = netlink(6, socket.AF_INET, attribute(1, b"filter\0"), attribute(2, b"cali-x\0"))
OTHER_RULE = netlink(6, socket.AF_INET6, attribute(1, b"nat\0"))
BRIDGE_RULE = netlink(6, socket.AF_BRIDGE, attribute(1, b"filter\0"))
END = netlink(15, 0, attribute(1, b"\0\0\0\1"), attribute(2, b"\0\0\x03\xe8"), attribute(3, b"nft\0"))


def test_a_transaction_is_told_when_it_is_over() -> None:
    transactions = Transactions()
    assert list(transactions.feed(RULE + OTHER_RULE + BRIDGE_RULE)) == []
    tables = frozenset({(IPFamily.V4, "filter"), (IPFamily.V6, "nat")})
    assert list(transactions.feed(END)) == [TablesTouched(tables, 1000, "nft")]
    assert list(transactions.feed(END)) == [TablesTouched(frozenset(), 1000, "nft")]


@pytest.mark.parametrize("cut", range(0, len(RULE), 5))
def test_garbage_is_no_transaction(cut: int) -> None:
    assert list(Transactions().feed(RULE[:cut] + b"\1\0\0\0")) == []


def netconf(index: int, *values: tuple[int, int]) -> bytes:
    attributes = b"".join(attribute(number, struct.pack("=i", value)) for number, value in ((1, index), *values))
    body = struct.pack("=BBH", socket.AF_INET, 0, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), 80, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (netconf(2, (3, 2)), [SettingTouched("eth0", (("rp_filter", 2),))]),
        (netconf(2, (2, 0), (5, 1)), [SettingTouched("eth0", (("forwarding", 0), ("proxy", 1)))]),
        (netconf(2, (4, 1)), []),
        (netconf(9, (3, 0)), []),
        (netconf(-1, (3, 0)), []),
        (netconf(2, (3, 0))[:30], []),
        (END, []),
    ],
    ids=["one", "several", "one that does not matter", "an unknown link", "all links", "cut short", "another message"],
)
def test_settings_of_links(data: bytes, events: list[KernelEvent]) -> None:
    assert list(settings_touched(data, table())) == events
