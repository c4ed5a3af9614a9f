"""Numbers, ports, protocols, networks and durations: what is accepted, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tortie.model.scalar import (
    NamedPort,
    PortRange,
    format_port,
    read_address,
    read_as_number,
    read_duration,
    read_mac,
    read_network,
    read_port,
    read_protocol,
    read_selector,
    read_strict_cidr,
    read_strict_network,
    supports_ports,
)
from tortie.net.error import InvalidInput

ACCEPTED: list[tuple[Callable[[Any], Any], Any, Any]] = [
    (read_protocol, "TCP", "TCP"),
    (read_protocol, "UDPLite", "UDPLite"),
    (read_protocol, 6, 6),
    (read_protocol, "17", 17),
    (read_protocol, 255, 255),
    (read_port, 80, PortRange(80, 80)),
    (read_port, "80", PortRange(80, 80)),
    (read_port, "80:90", PortRange(80, 90)),
    (read_port, "http", NamedPort("http")),
    (read_as_number, 64512, 64512),
    (read_as_number, "4294967295", 4294967295),
    (read_as_number, "1.10", 65546),
    (read_duration, "90s", 90 * 10**9),
    (read_duration, "1m30s", 90 * 10**9),
    (read_duration, "0.5s", 5 * 10**8),
    (read_duration, "0", 0),
    (read_mac, "ee:ee:ee:ee:ee:ee", bytes([0xEE] * 6)),
    (read_mac, "", None),
    (read_selector, "has(a)", "has(a)"),
    (read_selector, "", ""),
]


@pytest.mark.parametrize(("read", "data", "value"), ACCEPTED, ids=lambda part: getattr(part, "__name__", repr(part))[:30])
def test_accepted(read: Callable[[Any], Any], data: Any, value: Any) -> None:
    assert read(data) == value


@pytest.mark.parametrize(
    ("read", "data", "text"),
    [
        (read_network, "10.0.0.1/8", "10.0.0.0/8"),
        (read_network, "10.0.0.1", "10.0.0.1/32"),
        (read_strict_network, "10.0.0.1", "10.0.0.1/32"),
        (read_strict_network, "fd00::/64", "fd00::/64"),
        (read_strict_cidr, "10.0.0.0/8", "10.0.0.0/8"),
    ],
)
def test_networks(read: Callable[[Any], Any], data: str, text: str) -> None:
    assert str(read(data)) == text


REFUSED: list[tuple[Callable[[Any], Any], Any, str]] = [
    (read_protocol, "tcp", "protocol name invalid: 'tcp'"),
    (read_protocol, "sctp ", "protocol name invalid"),
    (read_protocol, 0, "protocol number invalid"),
    (read_protocol, 256, "protocol number invalid"),
    (read_port, 0, "port range invalid, port number must be between 1 and 65535"),
    (read_port, 65536, "port range invalid"),
    (read_port, "90:80", "minimum port number (90) is greater than maximum port number (80) in port range"),
    (read_port, "a:80", "invalid minimum port number in range (a:80)"),
    (read_port, "80:b", "invalid maximum port number in range (80:b)"),
    (read_port, "HTTP", "invalid name for named port (HTTP)"),
    (read_port, 1.5, "invalid port format (1.5)"),
    (read_as_number, "65536.1", "invalid AS Number format (65536.1)"),
    (read_as_number, 4294967296, "invalid AS Number format"),
    (read_duration, "90", "'90' is not a duration"),
    (read_mac, "ee:ee", "is not a MAC address"),
    (read_strict_network, "10.0.0.1/8", "'10.0.0.1/8' has bits set behind its prefix"),
    (read_strict_cidr, "10.0.0.1", "invalid CIDR"),
    (read_address, "10.0.0.1/32", "not an IP address"),
    (read_selector, "a == b", "expected a string"),
]


@pytest.mark.parametrize(("read", "data", "message"), REFUSED, ids=lambda part: getattr(part, "__name__", repr(part))[:30])
def test_refused(read: Callable[[Any], Any], data: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(data)
    assert message in refusal.value.message


def test_only_tcp_and_udp_have_ports() -> None:
    assert [name for name in (6, 17, "TCP", "UDP", 132, "SCTP", "UDPLite", "ICMP", None) if supports_ports(name)] == [
        6,
        17,
        "TCP",
        "UDP",
    ]


@pytest.mark.parametrize("data", ["80:90", "http"])
def test_ports_are_printed_as_they_are_read(data: str) -> None:
    assert format_port(read_port(data)) == data
