"""What a rule asks and a packet does not have."""

from __future__ import annotations

import pytest

from tests.reference_builder import WORLD, policy, read
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.explain.miss import misses
from tortie.explain.party import Parties
from tortie.model.resource_conversion import resources_to_v1

WEB = "tcp 10.65.1.2:1000 10.65.0.2:8080"


def missed(rule: str, packet: str = WEB) -> list[str]:
    resources = read(WORLD, policy("p", "a", f"{{ingress: [{{action: Allow, {rule}}}]}}"))
    (made,) = resources_to_v1(resources).policies
    return [
        str(miss) for miss in misses(made.inbound[0], parse_packet_words(*split_words(packet)).packet, Parties(resources))
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("protocol: TCP", []),
        ("protocol: UDP", ["protocol"]),
        ("protocol: 17", ["protocol"]),
        ("notProtocol: TCP", ["notProtocol"]),
        ("ipVersion: 6", ["ipVersion"]),
        ("protocol: ICMP, icmp: {type: 8}", ["protocol", "icmp"]),
        ("notICMP: {type: 8}", []),
        ("protocol: TCP, destination: {ports: [80]}", ["destination ports"]),
        ('protocol: TCP, destination: {ports: ["8000:9000"]}', []),
        ("protocol: TCP, destination: {notPorts: [8080]}", ["destination notPorts"]),
        ("protocol: TCP, source: {ports: [80]}", ["source ports"]),
        ("source: {nets: [10.65.0.0/16]}", []),
        ("source: {nets: [10.0.0.0/16, 10.1.0.0/16]}", ["source nets"]),
        ("source: {notNets: [10.65.1.0/24]}", ["source notNets"]),
        ("source: {nets: ['fd00::/16']}", ["source nets"]),
        ("source: {notNets: ['fd00::/16']}", ["source notNets"]),
        ("source: {selector: role == 'front'}", []),
        ("source: {selector: role == 'back'}", ["source selector"]),
        ("source: {namespaceSelector: team == 'red'}", []),
        ("source: {namespaceSelector: team == 'blue'}", ["source selector"]),
        ("source: {notSelector: role == 'front'}", ["source selector"]),
        ("protocol: TCP, source: {selector: role == 'back'}, destination: {ports: [80]}",
         ["source selector", "destination ports"]),
    ],
)  # fmt: skip
def test_everything_that_is_not_so_is_told(rule: str, expected: list[str]) -> None:
    assert missed(rule) == expected


@pytest.mark.parametrize(
    ("rule", "packet", "expected"),
    [
        ("ports: [sql], namespaceSelector: all()", "tcp 10.65.0.2:1 10.65.0.3:5432", []),
        ("ports: [sql], namespaceSelector: all()", "tcp 10.65.0.2:1 10.65.0.3:5433", ["destination ports"]),
        ("ports: [sql], selector: role == 'back'", "tcp 10.65.0.2:1 10.65.0.3:5432", ["destination selector"]),
        ("ports: [sql, 80], namespaceSelector: all()", "tcp 10.65.0.2:1 10.65.0.3:80", []),
        ("notPorts: [sql], namespaceSelector: all()", "tcp 10.65.0.2:1 10.65.0.3:5432", ["destination notPorts"]),
    ],
)
def test_a_named_port_is_that_of_whoever_is_selected(rule: str, packet: str, expected: list[str]) -> None:
    assert missed(f"protocol: TCP, destination: {{{rule}}}", packet) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("protocol: ICMP, icmp: {type: 8, code: 1}", ["icmp"]), ("protocol: ICMP, notICMP: {type: 8}", ["notICMP"]),
     ("protocol: ICMP, icmp: {type: 8}", [])],
)  # fmt: skip
def test_icmp_has_types(rule: str, expected: list[str]) -> None:
    assert missed(rule, "icmp 10.65.1.2 10.65.0.2") == expected
