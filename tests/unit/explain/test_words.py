"""Rules in words."""

from __future__ import annotations

import pytest

from tests.reference_builder import policy, read
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.explain.words import describe_rule, describe_traffic
from tortie.model.policy import NetworkPolicy


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("action: Allow", "allows everything"),
        ("action: Deny, protocol: TCP", "denies tcp"),
        ("action: Pass, protocol: 17, destination: {ports: [53, '80:90', dns]}", "passes udp/53,80:90,dns"),
        ("action: Log, notProtocol: TCP", "logs all but tcp"),
        ("action: Allow, protocol: ICMP, icmp: {type: 8}", "allows icmp type 8"),
        ("action: Allow, protocol: ICMP, icmp: {type: 3, code: 4}, notICMP: {type: 5}",
         "allows icmp type 3 code 4 but not type 5"),
        ("action: Allow, source: {nets: [10.0.0.0/8, 1.2.3.4/32]}", "allows everything from 10.0.0.0/8, 1.2.3.4/32"),
        ("action: Allow, source: {selector: a == 'b', notNets: [10.0.0.0/8]}",
         "allows everything from a == 'b' and not 10.0.0.0/8"),
        ("action: Allow, source: {namespaceSelector: team == 'red'}",
         "allows everything from namespaces with team == 'red'"),
        ("action: Allow, source: {namespaceSelector: all()}", "allows everything from any namespace"),
        ("action: Allow, source: {serviceAccounts: {names: [a, b]}}", "allows everything from service accounts of a, b"),
        ("action: Allow, protocol: TCP, source: {ports: [1], notSelector: has(x)}, destination: {notPorts: [2]}",
         "allows tcp from port 1 and not has(x) to not port 2"),
        ("action: Allow, ipVersion: 6", "allows everything in IPv6"),
    ],
)  # fmt: skip
def test_a_rule_is_a_clause(rule: str, words: str) -> None:
    (made,) = read(policy("p", "a", f"{{ingress: [{{{rule}}}]}}")).of(NetworkPolicy)
    assert describe_rule(made.spec.ingress[0]) == words


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        ("tcp 10.0.0.1:5 10.0.0.2:80", "tcp/80"),
        ("icmp 10.0.0.1 10.0.0.2", "icmp type 8"),
        ("gre 10.0.0.1 10.0.0.2", "gre"),
    ],
)
def test_traffic_is_what_a_rule_would_be_about(packet: str, words: str) -> None:
    assert describe_traffic(parse_packet_words(*split_words(packet)).packet) == words
